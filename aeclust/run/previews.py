"""Images for people to look at: previews of those in files, the pixels of all others."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.errors import InputError, at
from aeclust.images import Images, Listing, Source, from_preview, look, of_files
from aeclust.run.context import Context
from aeclust.run.images import images_there, is_there, load_images
from aeclust.run.manifest import Manifest
from aeclust.run.pixels import pixels_at
from aeclust.run.present import Present

_BLOCK = 64  # images in memory at a time
_TYPICAL = 100  # images that say which shape is typical
_BARE: Any = {"preview": True, "may_be_none": True}
_BLANK = np.full((8, 8, 1), 128, np.uint8)  # of a vector whose photograph is gone
_Kept = tuple[NDArray[np.uint8], NDArray[np.int64]]


def pictures_at(
    context: Context, manifest: Manifest, present: Present, which: NDArray[np.int64]
) -> Iterator[NDArray[Any]]:
    """Some of the images, one after the other: each (h, w, c), of its own shape.

    They are previews of images in files, kept or made of files that are as they were; else pixels.
    Of vectors they are the photographs that these were made of.

    Parameters
    ----------
    context, manifest, present
    which : ndarray of shape (m,)
        Their numbers among those that are present.
    """
    kept, listing, in_files = _kept(context, manifest), None, present.ids.dtype.kind == "U"
    if manifest.vectors:
        yield from _photographs(context, manifest, present, which, kept)
        return
    for start in range(0, len(which), _BLOCK):
        some = which[start : start + _BLOCK]
        coded = _coded(present, kept, some)
        if in_files and not all(coded):
            source = manifest.source if present.new is None else present.new.source
            listing = listing or look(source.location, source.files)
            coded = _completed(coded, listing, source, present, some)
        pixels: Iterator[NDArray[Any]] = iter(())
        if not all(coded):
            bare = some[[not data for data in coded]]
            pixels = iter(pixels_at(context, manifest, present, bare, listing))
        for data in coded:
            with at(context.folder.previews_file):
                picture = from_preview(data) if data else next(pixels)
            yield picture


def in_unit(picture: NDArray[Any]) -> NDArray[np.float32]:
    """A picture in [0, 1]."""
    return np.asarray(picture / np.float32(255 if picture.dtype == np.uint8 else 1), np.float32)


def check_pictures(manifest: Manifest, others: Source | None) -> None:
    """Refuse to draw images of vectors, the run's or others, of which there is nothing to see."""
    if not manifest.vectors or (others is None and manifest.pictures is not None):
        return
    mend = "leave DATA out"
    if manifest.pictures is None:
        mend = "begin again with the images as DATA, aeclust embed with `features` and `force`"
    raise InputError(
        "these are vectors, and there is no image to show of them",
        where=(others or manifest.source).location,
        expected="vectors of the run, and the images that they were made of",
        mend=mend,
    )


def _photographs(
    context: Context,
    manifest: Manifest,
    present: Present,
    which: NDArray[np.int64],
    kept: _Kept | None,
) -> Iterator[NDArray[Any]]:
    """The images that some vectors were made of; grey where one is gone."""
    source, listing, rows = manifest.pictures, None, np.empty((0, 0, 0, 1), np.uint8)
    there = source is not None and is_there(source)
    if source is not None and not there:
        context.log(f"{source.location} is gone; images that were not stored are grey")
    if source is not None and there and not manifest.photographs:
        rows = load_images(context, source).pixels
    for start in range(0, len(which), _BLOCK):
        some = which[start : start + _BLOCK]
        coded, names = _coded(present, kept, some), present.ids[some].tolist()
        if source is not None and there and manifest.photographs and not all(coded):
            listing = listing or look(source.location, source.files)
            coded = _read(coded, listing, source, names)
        for name, data in zip(names, coded, strict=True):
            number = int(name) if str(name).isdecimal() else len(rows)
            with at(context.folder.previews_file):
                yield from_preview(data) if data else rows[number] if number < len(rows) else _BLANK


def _read(
    coded: list[bytes], listing: Listing | None, source: Source, names: list[str]
) -> list[bytes]:
    """Previews by name, the missing ones made of the files."""
    if listing is None:
        return coded
    wanted = {name for name, data in zip(names, coded, strict=True) if not data}
    numbers = sorted(listing.numbers[name] for name in wanted if name in listing.numbers)
    return _filled(coded, names, of_files(source, listing, numbers, **_BARE))


def typical_shape(context: Context, manifest: Manifest, present: Present) -> tuple[float, float]:
    """The median height and width, in pixels, of the images as people see them."""
    in_files, n = manifest.vectors or present.ids.dtype.kind == "U", len(present.ids)
    some = np.linspace(0, n - 1, min(n, _TYPICAL) if in_files else 1).astype(np.int64)
    shapes = [picture.shape[:2] for picture in pictures_at(context, manifest, present, some)]
    height, width = np.median(shapes, axis=0).tolist()
    return height, width


def as_images(context: Context, manifest: Manifest, present: Present) -> Images:
    """The images that are there now, as a run takes them in."""
    in_array = manifest.vectors or present.ids.dtype.kind != "U"
    images = images_there(context, manifest) if in_array else None
    if images is not None and (images.previews or not manifest.photographs):
        return images
    every, source = np.arange(len(present.ids)), manifest.source
    coded = _coded(present, _kept(context, manifest), every)
    if images is not None:  # the photographs are gone, but for what was kept
        return dataclasses.replace(images, previews=tuple(coded) if any(coded) else ())
    if not all(coded):  # of files that were read without
        coded = _completed(coded, look(source.location, source.files), source, present, every)
    return Images(
        pixels_at(context, manifest, present, every),
        present.ids,
        source,
        present.marks,
        present.left_out,
        previews=tuple(coded) if all(coded) else (),
    )


def _kept(context: Context, manifest: Manifest) -> _Kept | None:
    """The previews of the run's images, and where each begins, the end of the last included."""
    file = context.folder.previews_file
    if not file.exists():
        return None
    kept = artifact.read(file, "previews", mapped=True)
    ends = kept.arrays["ends"]
    if kept.parents.get("data") != manifest.data_digest or len(ends) != manifest.shape[0]:
        return None
    return kept.arrays["previews"], np.concatenate([[0], ends])


def _coded(present: Present, kept: _Kept | None, which: NDArray[np.int64]) -> list[bytes]:
    """The previews of some images as JPEG; empty where there is none."""
    rows, coded = present.rows[which], [b""] * len(which)
    if kept is not None:
        for i in np.flatnonzero(rows >= 0).tolist():
            coded[i] = kept[0][kept[1][rows[i]] : kept[1][rows[i] + 1]].tobytes()
    if present.new is not None and present.new.previews:
        numbers = present.numbers[which]
        for i in np.flatnonzero(rows < 0).tolist():
            coded[i] = present.new.previews[numbers[i]]
    return coded


def _completed(
    coded: list[bytes],
    listing: Listing | None,
    source: Source,
    present: Present,
    which: NDArray[np.int64],
) -> list[bytes]:
    """Previews of some images, the missing ones made of files that are as they were."""
    if listing is None or not len(present.marks):
        return coded
    there = listing.numbers
    names = present.ids[which].tolist()
    wanted = [
        there[name]
        for name, mark, data in zip(names, present.marks[which], coded, strict=True)
        if not data and name in there and listing.marks[there[name]] == mark
    ]
    return _filled(coded, names, of_files(source, listing, sorted(wanted), **_BARE))


def _filled(coded: list[bytes], names: list[str], read: Images) -> list[bytes]:
    """Previews by name, the missing ones from images that were read with theirs."""
    made = dict(zip(read.ids.tolist(), read.previews, strict=True))
    return [data or made.get(name, b"") for name, data in zip(names, coded, strict=True)]
