"""Labels with the edits of a run applied, in memory; ``labels.h5`` stays as it was made."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.edits import Partition, completed, parted
from aeclust.clusters.numbers import OUTLIER, in_use
from aeclust.errors import InputError, at, listed
from aeclust.run.context import Context
from aeclust.run.edits.file import read_edits, write_edits
from aeclust.run.edits.kinds import Drop, Edit, Edits, Id, Ids, Merge, Move, Split
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import recipe_of
from aeclust.run.images import match

Kind = TypeVar("Kind", bound=Edit)
_MOST_CONFIDENT = 20  # images by which a cluster is known again


def _no_latents() -> NDArray[Any]:
    raise InputError("the latents are not at hand", expected="those of the labels")


class Correction:
    """Labels to which edits are applied one by one.

    Parameters
    ----------
    labels : Artifact
        As they were made.
    edits : Edits
        Those of the run so far, which are applied as far as their clusters and images are there.
    latents : callable
        Gives the latents (n, d) of the images, if they are needed.

    Attributes
    ----------
    numbers : dict of int to int
        The number now of every cluster that the edits know by a number; equal ones where the
        edits were made on these labels.
    made : set of int
        The numbers now of those that the edits made.
    edits : list of Edit
        By the numbers now; those that do not hold say why (off).
    """

    def __init__(
        self, labels: Artifact, edits: Edits, latents: Callable[[], NDArray[Any]] = _no_latents
    ) -> None:
        arrays = labels.arrays
        self.found, self.stored, self._latents = labels, edits, latents
        self.partition = Partition(arrays["labels"], arrays["confidence"], arrays.get("shares"))
        self.ids: list[Id] = artifact.decode_ids(arrays["ids"]).tolist()
        self.row_of = {name: row for row, name in enumerate(self.ids)}
        self.numbers = {number: number for number in self.partition.numbers}
        self.made: set[int] = set()
        self.edits: list[Edit] = []
        if edits.labels != labels.digest:
            self.numbers = self._heirs(edits.clusters)
        rows = arrays["ids"].dtype.kind != "S"  # by which other images go, once there are others
        others = rows and edits.data not in ("", labels.parents.get("data"))
        for each in edits.edits:
            off = each.off or "its row numbers are of other images" * others
            self._try(dataclasses.replace(each, off=off))

    @property
    def labels(self) -> Artifact:
        """The labels with the edits that hold."""
        part, count = self.partition, sum(not each.off for each in self.edits)
        arrays = {**self.found.arrays, "labels": part.labels, "confidence": part.confidence}
        shares = part.shares()
        if shares is not None:
            arrays["shares"] = shares
        count += self.found.details.get("edits", 0)
        details = {**self.found.details, "edits": count}
        return dataclasses.replace(self.found, arrays=arrays, details=details)

    def apply(self, edit: Kind) -> Kind:
        """Apply one more edit, and give it as it is to be kept.

        Raises
        ------
        InputError
            If it makes no sense now; then nothing is changed.
        """
        apply: Any = {Merge: self._merge, Split: self._split, Move: self._move, Drop: self._drop}
        numbers = {**self.numbers}
        done: Kind = apply[type(edit)](edit)
        names = {numbers.get(number, number): name for number, name in edit.names.items()}
        done = dataclasses.replace(done, names=names)
        self.edits.append(done)
        used = {*self.partition.numbers}
        self.numbers = {old: now for old, now in self.numbers.items() if now in used}
        self.made &= used
        return done

    def rows(self, ids: Ids) -> NDArray[np.int64]:
        """Rows of those images that are there."""
        return np.array([self.row_of[name] for name in ids if name in self.row_of], np.int64)

    def rebase(self) -> None:
        """From now on edits speak of the clusters by their numbers now."""
        self.numbers = {number: number for number in self.partition.numbers}

    def _try(self, edit: Edit) -> None:
        """Apply an edit of before, or keep it as one that does not hold."""
        if not edit.off:
            try:
                self.apply(edit)
            except InputError as error:
                edit = dataclasses.replace(edit, off=error.what)
        if edit.off:
            self.edits.append(edit)

    def now(self, cluster: int) -> int:
        """The number now of a cluster by its number in the edits."""
        if cluster not in self.numbers:
            raise InputError(
                f"there is no cluster {cluster}",
                expected=f"one of {listed(sorted(self.numbers), 'none at all')}",
                mend="aeclust name lists them",
            )
        return self.numbers[cluster]

    def _there(self, ids: Ids) -> NDArray[np.int64]:
        rows = self.rows(ids)
        if not len(rows):
            raise InputError("its images are gone", expected="images of the run")
        return rows

    def _known(self, rows: NDArray[np.int64]) -> Ids:
        return tuple(self.ids[row] for row in rows.tolist())

    def _merge(self, edit: Merge) -> Edit:
        first, *others = [self.now(cluster) for cluster in edit.clusters]
        self.partition.merge(first, others)
        return dataclasses.replace(edit, clusters=(first, *others))

    def _move(self, edit: Move) -> Edit:
        rows = self._there(edit.ids)
        if edit.new or edit.to is None:
            to = self.partition.free(edit.to)
            self.numbers[to if edit.to is None else edit.to] = to
            self.made.add(to)
        else:
            to = self.now(edit.to)
        self.partition.move(rows, to)
        return dataclasses.replace(edit, ids=self._known(rows), to=to)

    def _drop(self, edit: Drop) -> Edit:
        rows = self._there(edit.ids)
        left = self.partition.labels != OUTLIER
        left[rows] = False
        if not left.any():
            raise InputError(
                "no image would be left in a cluster", expected="one at least in a cluster"
            )
        self.partition.move(rows, OUTLIER)
        return dataclasses.replace(edit, ids=self._known(rows))

    def _split(self, edit: Split) -> Edit:
        """Split a cluster into the parts that its images were in; the others follow the nearest."""
        now = self.now(edit.cluster)
        members = np.flatnonzero(self.partition.labels == now)
        of_row = np.full(len(self.ids), OUTLIER)
        for number, ids in edit.parts.items():
            of_row[self.rows(ids)] = number
        of_member = of_row[members]
        there = [number for number in edit.parts if (of_member == number).any()]
        if len(there) < 2:
            raise InputError("its parts are gone", expected="images of two of them")
        if (of_member == OUTLIER).any():
            order = np.array(there)
            places = np.full(len(members), OUTLIER)
            for place, number in enumerate(there):
                places[of_member == number] = place
            of_member = order[completed(self._latents()[members], places)]
        parts: dict[int, NDArray[np.int64]] = {}
        taken: list[int] = []
        for number in there:
            keeps = number == edit.cluster
            to = now if keeps else self.partition.free(number, taken)
            taken.append(to)
            parts[to] = members[of_member == number]
            self.numbers[number] = to
            self.made |= {to} - {now}
        self.partition.split(parts)
        kept = {number: self._known(rows) for number, rows in parts.items()}
        return dataclasses.replace(edit, cluster=now, parts=kept)

    def _heirs(self, clusters: Mapping[int, Ids]) -> dict[int, int]:
        """The cluster that has more than half of the most confident images of each, one to one."""
        wanted: dict[int, tuple[int, int]] = {}
        for number, ids in clusters.items():
            labels = self.partition.labels[self.rows(ids)]
            counts = np.bincount(labels + 1)[1:]
            if not len(counts) or 2 * counts.max() <= len(labels):
                continue
            now, count = int(counts.argmax()), int(counts.max())
            if count > wanted.get(now, (0, 0))[0]:
                wanted[now] = (count, number)
        return {number: now for now, (_, number) in wanted.items()}


def with_parts(
    now: Correction, edit: Split, latents: NDArray[Any], reserved: Iterable[int] = ()
) -> Split:
    """A split with the parts that k-means finds in what its cluster is now."""
    partition, arrays = now.partition, now.found.arrays
    rows = np.flatnonzero(partition.labels == now.now(edit.cluster))
    points, recipe = arrays.get("embedding"), recipe_of(now.found)
    with at(f"cluster {edit.cluster}"):
        parts = parted(latents, rows, edit.k, recipe, points=points, seed=now.found.seed)
    numbers = [edit.cluster]
    while len(numbers) < edit.k:
        numbers.append(partition.free(taken=[*numbers, *reserved]))
    of_part = [rows[parts == part].tolist() for part in range(edit.k)]
    ids = {j: tuple(now.ids[row] for row in of_part[i]) for i, j in enumerate(numbers)}
    return dataclasses.replace(edit, parts=ids)


def most_confident(labels: Artifact) -> dict[int, Ids]:
    """Ids of the most confident images of every cluster in labels."""
    values, ids = labels.arrays["labels"], artifact.decode_ids(labels.arrays["ids"])
    order = np.argsort(-labels.arrays["confidence"], kind="stable")
    rows = {j: order[values[order] == j][:_MOST_CONFIDENT] for j in in_use(values)}
    return {j: tuple(ids[some].tolist()) for j, some in rows.items()}


def correction(folder: RunFolder, labels: Artifact) -> Correction | None:
    """Labels with the edits of their run; None if there are none."""
    edits = read_edits(folder)
    return None if edits is None else Correction(labels, edits, latents_of(folder, labels))


def carry_edits(folder: RunFolder, former: Artifact, labels: Artifact) -> dict[int, int]:
    """Have the edits speak of images as new labels call them; only for who locks the folder.

    Returns
    -------
    dict of int to int
        By their former numbers, what the clusters that edits had made are now.
    """
    edits = read_edits(folder)
    if edits is None:
        return {}
    was = Correction(former, edits, latents_of(folder, former))
    data, before = labels.parents["data"], former.parents["data"]
    if data != before and edits.data in ("", before):
        old, new = (artifact.decode_ids(each.arrays["ids"]) for each in (former, labels))
        rows = match((old, former.arrays["fingerprints"]), new, labels.arrays["fingerprints"])
        there = rows >= 0
        ids = dict(zip(old[rows[there]].tolist(), new[there].tolist(), strict=True))
        edits = edits.renamed(ids, data)
        write_edits(folder, edits)
    now = Correction(labels, edits, latents_of(folder, labels))
    made = {old: number for old, number in was.numbers.items() if number in was.made}
    return {number: now.numbers[old] for old, number in made.items() if old in now.numbers}


def followed(labels: Artifact) -> Artifact:
    """Labels whose known images are known by the cluster that they are in after edits.

    Pairs that the edits contradict are left out.
    """
    if "known" not in labels.details:
        return labels
    said, arrays, clusters = labels.details["known"], labels.arrays, labels.arrays["labels"]
    known = np.where(arrays["known"] >= 0, clusters, OUTLIER)
    one, other, same = arrays["pairs"].T
    pairs = arrays["pairs"][(clusters[one] == clusters[other]) == (same == 1)]
    names = {number: name for number, name in said["names"].items() if int(number) in clusters}
    counts = {"labels": int((known >= 0).sum()), "pairs": len(pairs)}
    return dataclasses.replace(
        labels,
        arrays={**arrays, "known": known, "pairs": pairs},
        details={**labels.details, "known": {**said, **counts, "names": names}},
    )


def latents_of(folder: RunFolder, labels: Artifact) -> Callable[[], NDArray[Any]]:
    """Gives the latents that labels were made of, if they are needed."""

    def read() -> NDArray[Any]:
        latents = artifact.read(folder.latents_file, "latents", mapped=True)
        if latents.digest != labels.parents["latents"]:
            raise InputError(
                "are not those that the labels were made of",
                where=str(folder.latents_file),
                expected="the latents of the labels",
                mend=f"run {folder.command('cluster')}",
            )
        values: NDArray[Any] = latents.arrays["latents"]
        return values

    return read


def corrected(context: Context, labels: Artifact) -> Artifact:
    """Labels with the edits of the run; those that do not hold are said, once in a command."""
    found = correction(context.folder, labels)
    if found is None:
        return labels
    # those that were logged before are not logged again
    pairs = zip(found.edits, found.stored.edits, strict=True)
    off = [each for each, before in pairs if each.off and not before.off]
    if off and labels.digest not in context.logged:
        context.logged.add(labels.digest)
        are, count = "is" if len(off) == 1 else "are", len(found.edits)
        why = f"; {context.folder.command('edit list')} says why" if len(off) > 1 else ""
        context.log(
            f"{len(off):,} of {count:,} edit{'s' * (count != 1)} {are} not in force:"
            f" {off[0]}: {off[0].off}{why}"
        )
    return found.labels
