"""Clusters are corrected by hand: edits are checked, applied and kept; taken back, and listed."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters.numbers import OUTLIER, outlier_count
from aeclust.errors import InputError, did_you_mean, listed
from aeclust.images.columns import as_texts, rows_of
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.edits.applied import Correction, Kind, latents_of, most_confident, with_parts
from aeclust.run.edits.file import read_edits, write_edits
from aeclust.run.edits.kinds import Drop, Edit, Edits, Id, Ids, Merge, Move, Name, Split
from aeclust.run.names import read_names, write_names
from aeclust.run.present import present_images

NEW = "new"
_MOST_LOOKED_AT = 5_000  # ids, for the one that was meant


@dataclass(frozen=True)
class Listed:
    """An edit in words, and why it is not in force; empty if it is."""

    edit: str
    off: str


@dataclass(frozen=True)
class Edited:
    """What was done, and what the clusters are then.

    Attributes
    ----------
    done : str
        In words; empty where edits were only listed.
    changed : int
        Images whose label is another.
    edits : list of Listed
        All of the run.
    sizes, names : dict
        Of the clusters that have an image, by their numbers; names of those that have one.
    outliers : int
        Images in no cluster.
    """

    done: str
    changed: int
    edits: list[Listed]
    sizes: dict[int, int]
    names: dict[int, str]
    outliers: int


# -- the commands ----------------------------------------------------------------------------------


def list_edits(context: Context) -> Edited:
    """All edits of a run, in force or not, and what the clusters are."""
    return Session(context).answer()


def merge(context: Context, clusters: Sequence[str]) -> Edited:
    """Make clusters, by their numbers or names, one, which is the first of them."""
    with editing(context) as session:
        numbers = [session.cluster(text) for text in clusters]
        if len({*numbers}) < max(2, len(numbers)):
            what = "one cluster" if len(numbers) < 2 else "the same cluster twice"
            raise InputError(f"{what} cannot be merged", mend="name two clusters or more to merge")
        session.apply(Merge(tuple(numbers)))
        others = " and ".join(map(str, numbers[1:]))
        return session.save(f"merged {others} into cluster {numbers[0]}")


def split(context: Context, cluster: str, k: int = 2) -> Edited:
    """Split a cluster in k by its latents; the largest part keeps its number."""
    with editing(context) as session:
        number = session.cluster(cluster)
        made = session.apply(Split(number, k))
        sizes = session.answer().sizes
        parts = [f"{n} ({sizes[n]:,} images)" for n in made.parts]
        return session.save(f"split cluster {number} into {' and '.join(parts)}")


def move(context: Context, ids: Sequence[Id], to: str) -> Edited:
    """Put images into a cluster by its number or name, or into a new one."""
    with editing(context) as session:
        number = None if to == NEW and not session.named(NEW) else session.cluster(to, new=True)
        made = session.apply(Move(session.known(ids), number, new=number is None))
        where = f"{'the new ' * made.new}cluster {made.to}"
        return session.save(f"moved {_images(len(made.ids))} to {where}")


def drop(context: Context, ids: Sequence[Id]) -> Edited:
    """Take images out of all clusters."""
    with editing(context) as session:
        made = session.apply(Drop(session.known(ids)))
        return session.save(f"dropped {_images(len(made.ids))} from all clusters")


def undo(context: Context, *, every: bool = False) -> Edited:
    """Take back the last edit, or all of them; names that it changed are as before."""
    with editing(context) as session:
        edits = session.stored.edits
        if not edits and every:
            return session.answer("there is no edit to take back")
        if not edits:
            raise InputError(
                "there is no edit to take back",
                where=str(context.folder.path),
                expected="a run that was edited",
                mend=f"{context.folder.command('edit list')} lists them",
            )
        count = len(edits) if every else 1
        for last in reversed(edits[-count:]):
            session.restore_names(last)
        left = dataclasses.replace(session.stored, edits=edits[:-count])
        session.now = session.correction(left)
        done = f"all {count:,} edits" if every and count > 1 else str(edits[-1])
        return session.save(f"took back {done}", left)


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


# -- labels while they are edited ------------------------------------------------------------------


@contextmanager
def editing(context: Context) -> Iterator[Session]:
    """A session whose folder is locked meanwhile."""
    with context.folder.lock():
        yield Session(context)


class Session:
    """A run's labels while they are edited.

    Attributes
    ----------
    stored : Edits
        As they were before.
    now : Correction
        The labels as they are now.
    names : dict of int to str
        Of the clusters as they are now.
    """

    def __init__(self, context: Context) -> None:
        manifest = context.folder.manifest()
        self.context, self.folder = context, context.folder
        self.found = current_labels(context, manifest, edited=False)
        self.present = present_images(context, manifest)
        self.stored = read_edits(self.folder) or Edits(self.found.digest)
        self.now = self.correction(self.stored)
        self._before = self.now.partition.labels.copy()
        names = read_names(self.folder)
        self.names = dict(names.names) if names is not None and names.fit(self.found) else {}
        self._names_before = dict(self.names)

    def correction(self, edits: Edits) -> Correction:
        """The labels as they were made, with some edits."""
        made = Correction(self.found, edits, latents_of(self.folder, self.found))
        made.rebase()
        return made

    def apply(self, edit: Kind, reserved: Iterable[int] = ()) -> Kind:
        """Apply one more edit; new clusters of a split have none of the `reserved` numbers.

        Returns
        -------
        Edit
            As it is kept.

        Raises
        ------
        InputError
            If it makes no sense.
        """
        names = dict(self.names)
        if isinstance(edit, Name):
            names |= {self.now.now(edit.cluster): edit.name}
            self.names = {number: name for number, name in names.items() if name}
            return edit
        if isinstance(edit, Split) and not edit.parts:
            latents = latents_of(self.folder, self.found)()
            parts = with_parts(self.now, edit, latents, reserved).parts
            edit = dataclasses.replace(edit, parts=parts)
        done = self.now.apply(edit)
        if isinstance(done, Merge):
            first, *others = done.clusters
            names |= {first: next((names[j] for j in (first, *others) if j in names), "")}
        used = self.now.partition.numbers
        after = {number: name for number, name in names.items() if name and number in used}
        changed = {j: self.names.get(j, "") for j in sorted({*self.names, *after})}
        changed = {j: name for j, name in changed.items() if after.get(j, "") != name}
        done = dataclasses.replace(done, names=changed)
        self.now.edits[-1], self.names = done, after
        return done

    def restore_names(self, edit: Edit) -> None:
        """Names as they were before an edit, but for those that were changed since."""
        taken = next((name for name in edit.names.values() if name), "")
        if self.stored.labels != self.found.digest:
            return
        for number, name in edit.names.items():
            if name:
                self.names[number] = name
            elif self.names.get(number) == taken:
                del self.names[number]

    # -- what people say ---------------------------------------------------------------------------

    def named(self, text: str) -> list[int]:
        """The clusters of this name."""
        return [number for number, name in self.names.items() if name == text]

    def cluster(self, text: str, *, new: bool = False) -> int:
        """The number of a cluster that is called by its number or name.

        Raises
        ------
        InputError
            If there is none, or several may be meant; `new` says that a new one might be.
        """
        named, whole = self.named(text), text.isascii() and text.isdigit() and len(text) < 10
        found: set[int] = {*named, *({int(text)} & {*self.now.numbers} if whole else ())}
        if len(found) == 1 and not (named and text == NEW and new):
            return found.pop()
        if found:
            may = [f"cluster {j}{' by its name' * (j in named)}" for j in sorted(found)]
            raise InputError(
                f"{text!r} may be {' or '.join(may)}{' or a new one' * (text == NEW and new)}",
                expected="a cluster that cannot be mistaken",
                mend=f"give it another name with {self.folder.command('name')}",
            )
        otherwise = f"{self.folder.command('name')} lists them" + "; new makes one" * new
        called = [f"{j} ({self.names[j]})" if j in self.names else j for j in self.now.numbers]
        raise InputError(
            f"there is no cluster {text[:60]}",
            expected=f"one of {listed(called)}",
            mend=did_you_mean(text, self.names.values(), otherwise),
        )

    def known(self, given: Sequence[Id], *, some: bool = False) -> Ids:
        """Ids of images as the labels have them, by what these are called now; see :meth:`rows`."""
        rows = self.rows(given, some=some)
        return tuple(self.now.ids[row] for row in dict.fromkeys(rows[rows >= 0].tolist()))

    def rows(self, given: Sequence[Id], *, some: bool = False) -> NDArray[np.int64]:
        """Rows (m,) of images in the labels by what these are called now, -1 if left out.

        Raises
        ------
        InputError
            If an id is of no image; or, unless `some` will do, of one that is new since.
        """
        names = as_texts([*map(str, given)])
        places = rows_of(names, self.present.ids, self.present.former)
        rows = np.where(places >= 0, self.present.rows[places], OUTLIER)
        self._log_new(names[(places >= 0) & (rows < 0)].tolist(), some=some)
        if (places < 0).any():
            away = places < 0
            rows[away] = rows_of(names[away], np.array(self.now.ids))
            self._log_gone(names[away][rows[away] >= 0].tolist())
            self._refuse_unknown(names[away][rows[away] < 0].tolist())
        return rows

    def _log_new(self, names: list[str], *, some: bool) -> None:
        """What has come since the labels were made has no row in them."""
        if not names:
            return
        what = f"{_first(names)} new since the clusters were made"
        update = self.folder.command("update")
        if not some:
            mend = f"take it in first with {update}"
            raise InputError(what, expected="images that are in the run", mend=mend)
        self.context.log(f"{what}, and left out: {update} takes them in")

    def _log_gone(self, names: list[str]) -> None:
        if names:
            self.context.log(f"{_first(names)} gone now; the edit applies again if it comes back")

    def _refuse_unknown(self, names: list[str]) -> None:
        if names:
            near = map(str, self.present.ids[:_MOST_LOOKED_AT].tolist())
            mend = f"{self.folder.command('predict')} prints them"
            raise InputError(
                f"{_first(names)} not among the images",
                expected="ids of the run's images",
                mend=did_you_mean(names[0], near, mend),
            )

    # -- the result --------------------------------------------------------------------------------

    def save(self, done: str, edits: Edits | None = None) -> Edited:
        """Keep the edits as they are now, or others, and say what became of the labels."""
        if edits is None:
            made, data = tuple(self.now.edits), self.found.parents["data"]
            edits = Edits(self.found.digest, made, most_confident(self.found), data)
        write_edits(self.folder, edits)
        if self.names != self._names_before:
            write_names(self.folder, self.found.digest, self.names)
        return self.answer(done)

    def answer(self, done: str = "") -> Edited:
        """What the clusters are now."""
        labels = self.now.partition.labels
        numbers, sizes = np.unique(labels[labels != OUTLIER], return_counts=True)
        return Edited(
            done,
            int((labels != self._before).sum()),
            [Listed(str(each), each.off) for each in self.now.edits],
            dict(zip(numbers.tolist(), sizes.tolist(), strict=True)),
            {number: self.names[number] for number in numbers.tolist() if number in self.names},
            outlier_count(labels),
        )


def _first(names: Collection[str]) -> str:
    """A few ids in a sentence about them."""
    first, more = next(iter(names)), len(names) - 1
    return f"{first!r} and {more:,} other{'s' * (more > 1)} are" if more else f"{first!r} is"
