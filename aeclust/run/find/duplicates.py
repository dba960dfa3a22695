"""Copies among the images of a run: found, shown, left out."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters import duplicates as pairs_of
from aeclust.clusters.duplicates import LEAST_SIDE, Pairs
from aeclust.images import Listing, size_of
from aeclust.run.context import Context
from aeclust.run.find.found import Found, Id, draw, found, sheet_file
from aeclust.run.predict import Prediction
from aeclust.show.lots import Lot, room_for

_GREY = 0.01  # mean distance of the channels, up to which there are no colours to speak of


@dataclass(frozen=True)
class Copy:
    """An image that is there in another form.

    `same_as` is the id of an equal one before it in its group, None without any; `alike` how much
    it is like the one of its group that is most like it.
    """

    id: Id
    same_as: Id | None
    alike: float


@dataclass(frozen=True)
class Group:
    """Images of which one is enough: see :func:`by_worth`."""

    keep: Id
    copies: list[Copy]


@dataclass(frozen=True)
class Duplicates:
    """Groups of copies, and how many images could be left out.

    `near` is None where near ones were not looked for: of vectors, and of tiny images.
    """

    images: int
    exact: int
    near: int | None
    groups: list[Group]
    file: str | None


def duplicates(context: Context, *, output: Path | None = None) -> Duplicates:
    """Groups of images that are the same, or the same in another form.

    Parameters
    ----------
    context : Context
    output : Path, optional
        ``duplicates.png`` in the run folder, if None.
    """
    file = sheet_file(context, "duplicates.png", output)
    of = found(context)
    near = comparable(of)
    grouped = groups_of(of, near=near)
    result = [group for group, _ in grouped]
    every = [copy for group in result for copy in group.copies]
    exact = sum(copy.same_as is not None for copy in every)
    count = len(every)
    lots = []
    if of.seen:
        shown = room_for([len(rows) for _, rows in grouped])
        lots = [lot_of(of, *each) for each in grouped[:shown]]
    title = f"{count:,} of {len(of.ids):,} images are equal or nearly equal to one to keep"
    note = "A line joins each group of look-alikes"
    if len(lots) < len(result):
        note += f", {len(lots)} of {len(result):,} groups are shown"
    note += ". The number: how closely an image follows the most similar one, 1 at most."
    return Duplicates(
        len(of.ids),
        exact,
        count - exact if near else None,
        result,
        draw(file, lots, title, note, of=of),
    )


def groups_of(of: Found, *, near: bool) -> list[tuple[Group, NDArray[np.int64]]]:
    """Groups of equal images, and of `near` ones too, with their rows; the one to keep first."""
    n = len(of.ids)
    equal = pairs_of.equal_pairs(of.contents)
    alike = Pairs(np.empty((0, 2), np.int64), np.empty(0))
    if near:
        alike = pairs_of.near_pairs(
            of.latents,
            of.squares,
            seed=of.manifest.seed,
            progress=lambda done, total: of.context.progress("comparing pairs", done, total),
        )
    best = np.zeros(n)
    for pairs in (alike, equal):
        for side in (0, 1):
            np.maximum.at(best, pairs.rows[:, side], pairs.alike)
    grouped = pairs_of.groups(n, equal, alike)
    place = np.empty(n, np.int64)
    ordered = by_worth(of, np.concatenate(grouped)) if grouped else np.empty(0, np.int64)
    place[ordered] = np.arange(len(ordered))
    result = []
    for rows in grouped:
        rows = rows[np.argsort(place[rows])]
        _, first, which = np.unique(of.contents[rows], return_index=True, return_inverse=True)
        order = np.argsort(first[which], kind="stable")  # equal ones beside one another
        rows, equals = rows[order], rows[first[which[order]]]
        copies = [
            Copy(
                of.ids[row].item(),
                None if row == other else of.ids[other].item(),
                round(float(best[row]), 4),
            )
            for row, other in zip(rows[1:].tolist(), equals[1:].tolist(), strict=True)
        ]
        result.append((Group(of.ids[rows[0]].item(), copies), rows))
    return result


def comparable(of: Found) -> bool:
    """Whether pictures are large enough to recognise copies; logged if not."""
    if of.side >= LEAST_SIDE:
        return True
    why = f"images below {LEAST_SIDE} pixels a side" if of.seen else "vectors"
    of.context.log(f"only equal {why} are looked for, not similar ones")
    return False


def by_worth(of: Found, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same rows, the ones to keep first.

    Those of most pixels; of as many, colour before grey, the larger file, the first.
    """
    pixels, coloured, size = np.zeros((3, len(rows)), np.int64)
    if of.seen:
        pictures = of.pictures(rows)
        coloured[:] = [bool(np.ptp(picture, axis=2).mean() > _GREY) for picture in pictures]
    listing = of.listing if of.ids.dtype.kind == "U" else None
    for i, name in enumerate(of.ids[rows].tolist()):
        if listing and name in listing.numbers:
            pixels[i], size[i] = _size(listing, name)
    return np.asarray(rows[np.lexsort((rows, -size, -coloured, -pixels))])


def _size(listing: Listing, name: str) -> tuple[int, int]:
    with suppress(OSError), listing.open(name) as file:
        return size_of(file, name)
    return 0, 0  # of what is gone or damaged since, others are better


def lot_of(of: Found, group: Group, rows: NDArray[np.int64]) -> Lot:
    """A group as it is drawn."""
    said = [
        f"nearly equal, {copy.alike:.2f}" if copy.same_as is None else "equal"
        for copy in group.copies
    ]
    names = of.ids[rows].astype(np.str_).tolist()
    return Lot(list(of.pictures(rows)), names, ["to keep", *said])


def singled_out(context: Context, prediction: Prediction) -> tuple[Prediction, int]:
    """Images without the copies among them, and how many these were."""
    of = found(context)
    copies = [rows[1:] for _, rows in groups_of(of, near=comparable(of))]
    left_out = np.concatenate(copies) if copies else np.empty(0, np.int64)
    keep = np.setdiff1d(np.arange(len(prediction.ids)), left_out)
    return _only(prediction, keep), len(left_out)


def _only(prediction: Prediction, which: NDArray[np.int64]) -> Prediction:
    """Some of the images, by their numbers, ascending."""
    present, latents = prediction.present, prediction.latents
    new = present.new
    numbers = present.numbers[which][present.rows[which] < 0]
    if new is not None:
        new = dataclasses.replace(
            new,
            pixels=new.pixels[numbers],
            ids=new.ids[numbers],
            marks=new.marks[numbers] if len(new.marks) == len(new) else new.marks,
            previews=tuple(new.previews[i] for i in numbers.tolist()) if new.previews else (),
            known_digest="",
            known_fingerprints=None,
        )
    marks = present.marks
    some = dataclasses.replace(
        present,
        ids=present.ids[which],
        rows=present.rows[which],
        new=new if len(numbers) else None,
        marks=marks[which] if len(marks) == len(present.ids) else marks,
    )
    return dataclasses.replace(
        prediction,
        present=some,
        labels=prediction.labels[which],
        confidence=prediction.confidence[which],
        latents=None if latents is None or not len(numbers) else latents[numbers],
    )
