"""What has become of a run's images since it took them in: gone, new, renamed, or as they were.

Images are known again by their content. A file counts as unread only if nobody has touched it.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError, printable
from aeclust.images import (
    Images,
    LeftOut,
    Listing,
    look,
    mark_of,
    of_files,
)
from aeclust.run.context import Context
from aeclust.run.images import (
    Known,
    have_changed,
    images_there,
    kept_images,
    known_fingerprints,
    match,
    refresh,
)
from aeclust.run.manifest import Manifest

_AS_IT_STANDS = "labels made before are used as they are"
Ids = NDArray[np.str_] | NDArray[np.int64]


@dataclass(frozen=True)
class Present:
    """Images that a command is about: the run's as they are now, or others.

    Attributes
    ----------
    ids : ndarray of shape (m,)
        What they are called now, in their order: int64 or str.
    rows : ndarray of shape (m,)
        int64; the row that each has among the run's images, -1 for the new ones.
    new : Images or None
        Those that the run does not have, in their order.
    gone, edited : tuple of str
        Ids that the run has and that are no more; whose content is another, which are both gone
        and new.
    renamed : dict of str to str
        What images that have another name are called now, by the ids that the run has.
    marks : ndarray of shape (n,) or (1,) or (0,)
        As of :class:`~aeclust.images.Images`.
    left_out, unread : tuple of LeftOut
        Files that give no image, and of these the ones that have not been logged yet.
    remarks : tuple of str
        Remarks on the values of the new ones, for the user.
    """

    ids: Ids
    rows: NDArray[np.int64]
    new: Images | None = None
    gone: tuple[str, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    edited: tuple[str, ...] = ()
    marks: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    left_out: tuple[LeftOut, ...] = ()
    unread: tuple[LeftOut, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether all is as it was."""
        return self.new is None and not (self.gone or self.renamed)

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """Of every image that is new (m,), its number among the new ones."""
        return np.cumsum(self.rows < 0) - 1

    @property
    def former(self) -> Mapping[str, str]:
        """What images are called now, by former ids that can mean no other.

        A row number is one of another image now.
        """
        return self.renamed if self.ids.dtype.kind == "U" else {}


def remember_whole(context: Context, manifest: Manifest, images: Images) -> None:
    """Remember that the run's images were read just now and are as they are."""
    key = f"{manifest.data_digest} {manifest.source.location}"
    context.present[key] = Present(images.ids, np.arange(len(images)), marks=images.marks)


def others(images: Images) -> Present:
    """Images that are none of the run's."""
    rows = np.full(len(images), -1)
    return Present(images.ids, rows, images, marks=images.marks, left_out=images.left_out)


def present_images(context: Context, manifest: Manifest, *, taking: bool = False) -> Present:
    """The run's images as they are now; what is not as it was is logged, once in a command.

    Parameters
    ----------
    context, manifest
    taking : bool
        Whether the run is about to take them in, so that nothing need be logged of how.

    Raises
    ------
    InputError
        If none of them is there any more, or nothing is known to compare them with.
    """
    key = f"{manifest.data_digest} {manifest.source.location}"
    if key not in context.present:
        present = _present(context, manifest, taking=taking)
        context.present[key] = present
        for line in _in_words(present, manifest, taking=taking):
            context.log(f"{manifest.source.location}: {line}")
        if not (present.whole or taking):
            context.log(f"{context.folder.command('update')} takes the images in as they are now")
    return context.present[key]


def count_present(context: Context, manifest: Manifest) -> int:
    """How many of the run's images are there now, of which nothing is logged."""
    source = manifest.source
    path = source.location.partition("::")[0]
    known = known_fingerprints(context, manifest)
    if path.startswith("demo:") or known is None or not os.path.exists(path):
        return manifest.shape[0]  # as far as is known; reading them says more
    return int((_compared(context, manifest, known).rows >= 0).sum())


def _compared(context: Context, manifest: Manifest, known: Known) -> Present:
    """What :func:`compare` gives, worked out once in a command."""
    source = manifest.source
    key = f"compared {manifest.data_digest} {source.location} {source.files}"
    if key not in context.present:
        path = source.location.partition("::")[0]
        listing = None if manifest.vectors else look(path, source.files)
        context.present[key] = compare(context, manifest, listing, known)
    return context.present[key]


def _present(context: Context, manifest: Manifest, *, taking: bool) -> Present:
    source, n = manifest.source, manifest.shape[0]
    path = source.location.partition("::")[0]
    if path.startswith("demo:"):
        return Present(np.arange(n), np.arange(n))
    known = known_fingerprints(context, manifest)
    if not os.path.exists(path):
        context.log(f"{source.location} is gone; {_AS_IT_STANDS}")
        return Present(np.arange(n) if known is None else known[0], np.arange(n))
    if known is None:
        images = images_there(context, manifest, preview=taking)
        if images.digest() == manifest.data_digest:
            return Present(images.ids, np.arange(len(images)), marks=images.marks)
        if taking:  # an update that was killed left nothing to know them by
            return others(images)
        raise have_changed(context, manifest, images)
    present = _compared(context, manifest, known)
    if (present.rows >= 0).any():
        _remember(context, manifest, present)
        return present
    if present.new is None:  # an empty folder, such as a disk is mounted at
        context.log(f"{source.location} is empty; {_AS_IT_STANDS}")
        return Present(known[0], np.arange(n))
    raise InputError(
        f"none of the run's {n:,} images is here",
        where=source.location,
        expected="the images that the run was trained on, or most of them",
        mend=f"put them back, say where they are with {context.folder.command('update')} PATH,"
        " or train again with `force`",
    )


def compare(context: Context, manifest: Manifest, listing: Listing | None, known: Known) -> Present:
    """What is there now beside what the run has.

    Parameters
    ----------
    context, manifest
    listing : Listing or None
        Files, or None for an array.
    known : (ndarray, ndarray)
        Ids and fingerprints of the run's images.
    """
    kept = kept_images(context, manifest)
    if listing is None:
        return _of_array(context, manifest, kept, known)
    return _of_files(context, manifest, listing, kept, known)


def _of_array(context: Context, manifest: Manifest, kept: Images | None, known: Known) -> Present:
    source, n = manifest.source, manifest.shape[0]
    marks = np.array([mark_of(source.location.partition("::")[0])], np.uint64)
    if kept is not None and np.array_equal(kept.marks, marks):
        return Present(known[0], np.arange(n), marks=marks)
    images = images_there(context, manifest)
    if images.digest() == manifest.data_digest:
        return Present(known[0], np.arange(n), marks=images.marks)
    rows = match(known, images.ids, images.fingerprints)
    added = np.flatnonzero(rows < 0)
    new = None
    if len(added):
        some: Any = added
        if added[-1] - added[0] == len(added) - 1:  # at one place: nothing is copied
            some = slice(added[0], added[-1] + 1)
        coded = images.previews  # of photographs of vectors
        new = dataclasses.replace(
            images,
            pixels=images.pixels[some],
            ids=images.ids[some],
            previews=tuple(coded[row] for row in added.tolist()) if coded else (),
            known_digest="",
            known_fingerprints=None,
        )
    return _described(known, Present(images.ids, rows, new, marks=images.marks))


def _of_files(
    context: Context, manifest: Manifest, listing: Listing, kept: Images | None, known: Known
) -> Present:
    names = np.array(listing.names, np.str_)
    row_of = {name: row for row, name in enumerate(known[0].tolist())}
    rows = np.array([row_of.get(name, -1) for name in listing.names], np.int64)
    untouched, passed = np.zeros(len(names), bool), np.zeros(len(names), bool)
    still: list[LeftOut] = []
    if kept is not None:
        ours = rows >= 0
        untouched[ours] = kept.marks[rows[ours]] == listing.marks[ours]
        former = {(each.name, each.mark): each for each in kept.left_out}
        for i, key in enumerate(zip(listing.names, listing.marks.tolist(), strict=True)):
            if key in former:
                passed[i] = True
                still.append(former[key])
    which = np.flatnonzero(~untouched & ~passed)
    read = of_files(
        manifest.source,
        listing,
        which.tolist(),
        channels=manifest.shape[3],
        preview=True,
        may_be_none=True,
        progress=partial(context.progress, "reading images that changed"),
    )
    there = np.flatnonzero(untouched)
    # what is there now, in the order of the listing
    places = np.concatenate([there, np.flatnonzero(np.isin(names, read.ids))])
    contents = np.concatenate([known[1][rows[there]], read.fingerprints])
    matched = match(known, names[places], contents)
    order = np.argsort(places)
    present = Present(
        names[places[order]],
        matched[order],
        _some(read, matched[len(there) :] < 0),
        marks=listing.marks[places[order]],
        left_out=tuple(sorted([*still, *read.left_out])),
        unread=read.left_out,
        remarks=read.remarks,
    )
    return _described(known, present)


def _some(images: Images, which: NDArray[np.bool_]) -> Images | None:
    """Those images of which it is true; None without any."""
    if not which.any():
        return None
    rows = np.flatnonzero(which)
    return dataclasses.replace(
        images,
        pixels=images.pixels[rows],
        ids=images.ids[rows],
        marks=images.marks[rows],
        left_out=(),
        notes=(),
        previews=tuple(images.previews[row] for row in rows.tolist()),
    )


def _described(known: Known, present: Present) -> Present:
    """With what is gone, renamed and edited."""
    ours = present.rows >= 0
    former = known[0][present.rows[ours]]
    names = zip(former.tolist(), present.ids[ours].tolist(), strict=True)
    missing = known[0][np.setdiff1d(np.arange(len(known[0])), present.rows)]
    added = set() if present.new is None else set(map(str, present.new.ids.tolist()))
    gone = tuple(map(str, missing.tolist()))
    return dataclasses.replace(
        present,
        gone=gone,
        renamed={str(old): str(name) for old, name in names if old != name},
        edited=tuple(name for name in gone if name in added),
    )


def _remember(context: Context, manifest: Manifest, present: Present) -> None:
    """Spare the next command from reading files again that were touched and are as they were."""
    kept = kept_images(context, manifest)
    if kept is None:
        return
    marks, left_out = kept.marks, present.left_out
    if present.ids.dtype.kind != "U" or manifest.vectors:
        marks, left_out = (present.marks if present.whole else marks), kept.left_out
    else:
        marks, ours = marks.copy(), present.rows >= 0
        rows = present.rows[ours]
        same = kept.ids[rows] == present.ids[ours]
        marks[rows[same]] = present.marks[ours][same]
    if left_out != kept.left_out or not np.array_equal(marks, kept.marks):
        refresh(context, manifest, dataclasses.replace(kept, marks=marks, left_out=left_out))


def _in_words(present: Present, manifest: Manifest, *, taking: bool) -> list[str]:
    """A line for each thing that is not as it was."""
    n = manifest.shape[0]
    edited = set(present.edited)
    gone = [name for name in present.gone if name not in edited]
    added = [] if present.new is None else present.new.ids.tolist()
    new = [str(name) for name in added if str(name) not in edited]
    lines, way = [], "" if taking else ": labelled by the present clusters"
    if gone:
        are = "is" if len(gone) == 1 else "are"
        lines.append(f"{len(gone):,} of {n:,} images {are} gone ({_first(gone)}) and left out")
    if new:
        lines.append(f"{len(new):,} image{_s(new)} new ({_first(new)}){way}")
    if edited:
        have = "has" if len(edited) == 1 else "have"
        lines.append(f"{_images(len(edited))} {have} changed ({_first(present.edited)}){way}")
    if present.renamed:
        name = "name" if present.ids.dtype.kind == "U" else "row number"
        has = f"has another {name}" if len(present.renamed) == 1 else f"have other {name}s"
        which = _first([*present.renamed])
        if present.former:
            before, now = map(printable, next(iter(present.former.items())))
            which = f"{'the first: ' * (len(present.former) > 1)}{before} is {now}"
        lines.append(f"{_images(len(present.renamed))} {has} now ({which})")
    lines += present.remarks
    reported = set(present.gone)
    damaged = [each for each in present.unread if not each.kind and each.name not in reported]
    if damaged:
        first = f"{printable(damaged[0].name)}: {damaged[0].why}"
        lines.append(f"left out, because they cannot be read: {_images(len(damaged))} ({first})")
    return lines


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count != 1)}"


def _s(names: list[str]) -> str:
    return " is" if len(names) == 1 else "s are"


def _first(names: tuple[str, ...] | list[str]) -> str:
    return f"the first is {printable(names[0])}" if len(names) > 1 else printable(names[0])
