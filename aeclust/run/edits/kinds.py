"""Corrections by hand: what each is."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from aeclust.artifact import Artifact

Id = int | str
Ids = tuple[Id, ...]


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One correction.

    Attributes
    ----------
    names : mapping of int to str
        The names that it took from clusters, or empty ones that it gave; for ``edit undo``.
    off : str
        Why it is left out for good; empty of those that hold where their clusters are.
    """

    names: Mapping[int, str] = field(default_factory=dict)
    off: str = ""


@dataclass(frozen=True)
class Merge(Edit):
    """All of these clusters become the first."""

    clusters: tuple[int, ...]

    def __str__(self) -> str:
        return f"merge {' '.join(map(str, self.clusters))}"


@dataclass(frozen=True)
class Split(Edit):
    """A cluster becomes k, of which the first keeps its number."""

    cluster: int
    k: int = 2
    parts: Mapping[int, Ids] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"split {self.cluster} -k {self.k}"


@dataclass(frozen=True)
class Move(Edit):
    """Images go to a cluster; to a new one if it is None, or is made by this."""

    ids: Ids
    to: int | None
    new: bool = False

    def __str__(self) -> str:
        to = "new" if self.to is None else f"{self.to}{' (new)' * self.new}"
        return f"move {_few(self.ids)} --to {to}"


@dataclass(frozen=True)
class Drop(Edit):
    """Images are in no cluster any more."""

    ids: Ids

    def __str__(self) -> str:
        return f"drop {_few(self.ids)}"


@dataclass(frozen=True)
class Name(Edit):
    """A cluster gets a name, or loses it if that is empty; it goes into ``names.json``."""

    cluster: int
    name: str

    def __str__(self) -> str:
        return f"name {shlex.quote(f'{self.cluster}={self.name}')}"


def _few(ids: Ids) -> str:
    more = len(ids) - 3
    return shlex.join(map(str, ids[:3])) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class Edits:
    """The content of ``edits.json``.

    Attributes
    ----------
    labels : str
        SHA-256 of the ``labels.h5`` whose numbers they speak of; empty in a file written by hand,
        which means the labels as they are.
    edits : tuple of Edit
        In the order in which they apply.
    clusters : mapping of int to tuple
        Ids of the most confident images of each cluster in these labels, to know it again by.
    data : str
        SHA-256 of the images that the ids are of.
    after : int
        Of a report page's: how many edits the run had when it was written.
    """

    labels: str
    edits: tuple[Edit, ...] = ()
    clusters: Mapping[int, Ids] = field(default_factory=dict)
    data: str = ""
    after: int = 0

    def renamed(self, ids: Mapping[Id, Id], data: str) -> Edits:
        """The same where images have other ids; those without one are left out."""

        def of(some: Ids) -> Ids:
            return tuple(ids[each] for each in some if each in ids)

        edits: list[Edit] = []
        for each in self.edits:
            if isinstance(each, Move | Drop):
                # one of images that are gone is still reported
                gone = each.off or "its images are gone" * (not of(each.ids))
                each = dataclasses.replace(each, ids=of(each.ids) or each.ids, off=gone)
            elif isinstance(each, Split):
                each = dataclasses.replace(each, parts={j: of(p) for j, p in each.parts.items()})
            edits.append(each)
        most_confident = {number: of(some) for number, some in self.clusters.items()}
        return Edits(self.labels, tuple(edits), most_confident, data)


def corrected_by(labels: Artifact) -> str:
    """How many edits are in labels, in words; empty without any.

    >>> corrected_by(Artifact("labels", {}, {}, 0, {}, {"edits": 12}))
    'corrected by 12 edits'
    """
    count = labels.details.get("edits", 0)
    return f"corrected by {count:,} edit{'s' * (count != 1)}" if count else ""
