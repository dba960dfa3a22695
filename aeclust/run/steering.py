"""Known labels that steer the clusters of a run, as ``labels.h5`` keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters import Callback
from aeclust.clusters.ask import worth_asking
from aeclust.clusters.known import Known, check_classes
from aeclust.clusters.neighbours import votes_of_others
from aeclust.errors import InputError, at
from aeclust.images.columns import is_whole
from aeclust.images.known import Given, read_known
from aeclust.recipe import AUTO_K
from aeclust.run.images import match
from aeclust.run.names import check_name
from aeclust.run.present import present_images

if TYPE_CHECKING:
    from aeclust.run.context import Context
    from aeclust.run.folder import RunFolder
    from aeclust.run.manifest import Manifest


@dataclass(frozen=True)
class Steering:
    """What somebody knows of the images of a run.

    Attributes
    ----------
    data : str
        SHA-256 of the images, by whose rows it is said.
    labels : tuple of (int, int)
        Rows, ascending, and the numbers that their clusters must have.
    pairs : tuple of (int, int, int)
        Two rows, ascending, and 1 where they belong together, else 0.
    names : tuple of (int, str)
        Numbers, ascending, and what these clusters are called.
    gone : tuple of str
        Ids, sorted, of images that are no more and of which something was said.
    """

    data: str
    labels: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int, int], ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    gone: tuple[str, ...] = ()

    def known(self, n: int) -> tuple[Known, NDArray[np.int64]]:
        """The same of n images with classes that leave no number out, and the number of each."""
        rows, numbers = np.array(self.labels, np.int64).reshape(-1, 2).T
        used, classes = np.unique(numbers, return_inverse=True)
        of_image = np.full(n, -1)
        of_image[rows] = classes
        pairs = np.array(self.pairs, np.int64).reshape(-1, 3)
        same = pairs[:, 2] == 1
        return Known(of_image, pairs[same, :2], pairs[~same, :2]), used

    def arrays(self, n: int) -> dict[str, NDArray[Any]]:
        """What labels of n images hold of it."""
        numbers = np.full(n, -1)
        rows, values = np.array(self.labels, np.int64).reshape(-1, 2).T
        numbers[rows] = values
        return {"known": numbers, "pairs": np.array(self.pairs, np.int64).reshape(-1, 3)}

    @property
    def said(self) -> dict[int, str]:
        """The label of every known image by its row, as a file has it."""
        words = dict(self.names)
        return {row: words.get(number, str(number)) for row, number in self.labels}

    @property
    def details(self) -> dict[str, Any]:
        """What labels say of it: how many labels and pairs, and the names of clusters."""
        names = {str(number): name for number, name in self.names}
        gone = {"gone": [*self.gone]} if self.gone else {}
        return {"labels": len(self.labels), "pairs": len(self.pairs), "names": names, **gone}


def steering_of(labels: Artifact) -> Steering | None:
    """What steered labels, if anything did."""
    if "known" not in labels.details:
        return None
    known, pairs = (labels.arrays.get(name, np.empty((0, 3))) for name in ("known", "pairs"))
    rows = np.flatnonzero(known >= 0)
    said = labels.details["known"]
    names = said.get("names", {})
    return Steering(
        data=labels.parents.get("data", ""),
        labels=tuple(zip(rows.tolist(), known[rows].tolist(), strict=True)),
        pairs=tuple((int(a), int(b), int(same)) for a, b, same in pairs),
        names=tuple(sorted((int(number), str(name)) for number, name in names.items())),
        gone=tuple(map(str, said.get("gone", ()))),
    )


def steered_by(labels: Artifact) -> str:
    """What steered labels, in words; empty if nothing did.

    >>> steered_by(Artifact("labels", {}, {}, 0, {}, {"known": {"labels": 20, "pairs": 1}}))
    'steered by 20 labels and 1 pair'
    """
    return in_words(labels.details.get("known", {}))


def in_words(details: Mapping[str, Any]) -> str:
    """The same by what labels say of it."""
    counts = [(details.get(what, 0), what) for what in ("labels", "pairs")]
    words = [f"{n:,} {what.removesuffix('s') if n == 1 else what}" for n, what in counts if n]
    return f"steered by {' and '.join(words)}" if words else ""


# -- from files ----------------------------------------------------------------------------------


def read_steering(
    context: Context, manifest: Manifest, locations: Sequence[str], k: int
) -> Steering:
    """What files say of a run's images, for so many clusters.

    Labels that all are numbers from 0 to k - 1 are those of the clusters. Others are names, and
    the clusters are numbered in the order in which these come first in the files.

    Raises
    ------
    InputError
        As for :func:`~aeclust.images.known.read_known`; if it contradicts itself, says more kinds
        of labels than `k`, or speaks of images that the run has not taken in.
    """
    present = present_images(context, manifest)
    with at(", ".join(locations)):
        gone = {*present.gone, *_gone(context.folder)}
        given = read_known(locations, present.ids, gone=gone)
        if given.gone:
            are = "is" if len(given.gone) == 1 else "are"
            context.log(f"{len(given.gone):,} of the known images {are} gone: {given.gone[0]}")
        rows = present.rows
        new = next((row for row in _places(given) if rows[row] < 0), None)
        if new is not None:
            raise InputError(
                f"{str(present.ids[new])!r} is new, or has other content than when it was taken in",
                expected="known labels of the run's images",
                mend=f"take it in first with {context.folder.command('update')}",
            )
        ids = np.full(manifest.shape[0], None, object)
        ids[rows[rows >= 0]] = present.ids[rows >= 0]
        return numbered(given, rows, ids, manifest.data_digest, k, log=context.log)


def _gone(folder: RunFolder) -> tuple[str, ...]:
    """Ids of known images that an update has found gone."""
    with suppress(InputError):  # labels that are damaged, and may be replaced by force
        if folder.labels_file.exists():
            steering = steering_of(artifact.read(folder.labels_file, "labels"))
            return () if steering is None else steering.gone
    return ()


def _places(given: Given) -> set[int]:
    return {*given.labels, *(row for pair in given.pairs for row in pair)}


def numbered(
    given: Given,
    rows: NDArray[np.int64],
    ids: NDArray[Any],
    data: str,
    k: int,
    *,
    log: Callback = lambda line: None,
) -> Steering:
    """What was given of images, with the numbers of clusters for its labels.

    Parameters
    ----------
    given : Given
    rows : ndarray of shape (m,)
        The row of each of the images that it speaks of.
    ids : ndarray of shape (n,)
        By row, for errors.
    data : str
        SHA-256 of the images.
    k : int
    log : callable
        Takes one line for the user.
    """
    words = [*dict.fromkeys(given.labels.values())]
    whole = bool(words) and all(map(is_whole, words))
    kinds = len({int(word) for word in words} if whole else words)
    check_classes(kinds, k)
    most = kinds if k == AUTO_K else k
    if whole and all(0 <= int(word) < most for word in words):
        number, names = {word: int(word) for word in words}, {}
    else:
        for word in words:
            check_name(word)
        number = {word: i for i, word in enumerate(words)}
        names = dict(enumerate(words))
        if whole:
            log(f"known labels are taken for names, as not all are numbers of {most} clusters")
    pairs = ((*sorted((int(rows[a]), int(rows[b]))), int(s)) for (a, b), s in given.pairs.items())
    steering = Steering(
        data=data,
        labels=tuple(sorted((int(rows[i]), number[word]) for i, word in given.labels.items())),
        pairs=tuple(sorted((a, b, same) for a, b, same in pairs)),
        names=tuple(names.items()),
        gone=tuple(sorted(given.gone)),
    )
    steering.known(len(ids))[0].check(ids)
    return steering


# -- what to know next ---------------------------------------------------------------------------


def telling(
    labels: Artifact, latents: NDArray[Any], *, count: int, seed: int, known: NDArray[np.bool_]
) -> list[int]:
    """Rows of the images whose labels would tell most, by :func:`worth_asking`.

    `latents` (n, d) are those that the labels are of, and `known` (n,) whom nobody asks for.
    """
    arrays = labels.arrays
    clusters, shares = arrays["labels"], arrays.get("shares")
    if shares is None:  # the votes for no cluster come first
        k = int(clusters.max()) + 2
        shares = votes_of_others(latents, clusters + 1, arrays["references"], k)[:, 1:]
    rows = worth_asking(latents, clusters, shares, count=count, seed=seed, known=known)
    return [*map(int, rows)]


# -- from one state of the images to the next ----------------------------------------------------


def carried(steering: Steering, labels: Artifact, latents: Artifact) -> Steering | None:
    """What steered labels, said of the images that latents are of; None if none of these is known.

    Images are known again by content and name.
    """
    data = latents.parents["data"]
    if steering.data == data:
        return steering
    known = tuple(labels.arrays[name] for name in ("ids", "fingerprints"))
    rows = match((known[0], known[1]), latents.arrays["ids"], latents.arrays["fingerprints"])
    now = np.full(len(known[0]), -1)
    now[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
    there = [(int(now[row]), number) for row, number in steering.labels if now[row] >= 0]
    pairs = [
        (*sorted((int(now[a]), int(now[b]))), same)
        for a, b, same in steering.pairs
        if now[a] >= 0 <= now[b]
    ]
    if not (there or pairs):
        return None
    said = {row for row, _ in steering.labels} | {r for *both, _ in steering.pairs for r in both}
    lost = artifact.decode_ids(known[0][[row for row in sorted(said) if now[row] < 0]])
    lost = lost if lost.dtype.kind == "U" else lost[:0]  # a row number is another image now
    used = {number for _, number in there}
    return Steering(
        data=data,
        labels=tuple(sorted(there)),
        pairs=tuple(sorted((a, b, same) for a, b, same in pairs)),
        names=tuple((number, name) for number, name in steering.names if number in used),
        gone=tuple(sorted({*steering.gone, *map(str, lost.tolist())})),
    )
