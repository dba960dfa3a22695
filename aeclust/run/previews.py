"""Images for people to look at: previews of those in files, the pixels of all others."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.errors import InputError, at
from aeclust.images import Images, Listing, Source, from_preview, look, of_files
from aeclust.run.context import Context
from aeclust.run.images import images_there, load_images
from aeclust.run.manifest import Manifest
from aeclust.run.present import Present, numbers_of_new, pixels_at

_BLOCK = 64  # images in memory at a time
_TYPICAL = 100  # images that say which shape is typical
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
    if manifest.pictures is not None and not is_there(manifest.pictures):
        context.log(f"{manifest.pictures.location} is gone; images that are not kept are grey")
    kept, listing, in_files = _kept(context, manifest), None, present.ids.dtype.kind == "U"
    for start in range(0, len(which), _BLOCK):
        some = which[start : start + _BLOCK]
        coded = _coded(present, kept, some)
        if manifest.vectors:
            yield from _of_vectors(context, manifest, present, some, coded)
            continue
        if in_files and not all(coded):
            source = manifest.source if present.new is None else present.new.source
            listing = listing or look(source.location, source.files)
            coded = _completed(coded, listing, source, present, some)
        pixels: Iterator[NDArray[Any]] = iter(())
        if not all(coded):
            bare = some[[not data for data in coded]]
            pixels = iter(pixels_at(context, manifest, present, bare))
        for data in coded:
            with at(context.folder.previews_file):
                picture = from_preview(data) if data else next(pixels)
            yield picture


def check_pictures(manifest: Manifest, *, others: bool) -> None:
    """Refuse to draw images of vectors, the run's or others, of which there is nothing to see."""
    ours = manifest.pictures is None
    if manifest.vectors and (ours or others):
        raise InputError(
            "these are vectors, and there is no image to show of them",
            where=manifest.source.location,
            expected="the images that they were made of" if ours else "the run's own vectors",
            mend="begin again with the images as DATA, aeclust embed with `features` and `force`"
            if ours
            else "leave DATA out",
        )


def _of_vectors(
    context: Context,
    manifest: Manifest,
    present: Present,
    which: NDArray[np.int64],
    coded: list[bytes],
) -> Iterator[NDArray[Any]]:
    """The photographs of some vectors; grey where one is gone."""
    source, names = manifest.pictures, present.ids[which].tolist()
    found: dict[Any, NDArray[Any]] = {}
    wanted = {name for name, data in zip(names, coded, strict=True) if not data}
    if source is not None and wanted and manifest.photographs:
        listing = look(source.location, source.files)
        there = enumerate(() if listing is None else listing.names)
        numbers = [i for i, name in there if name in wanted]
        if listing is not None and numbers:
            read = of_files(source, listing, numbers, preview=True, may_be_none=True)
            found = dict(zip(read.ids.tolist(), map(from_preview, read.previews), strict=True))
    elif source is not None and wanted and is_there(source):
        images = load_images(context, source, preview=True)
        rows = {str(name): row for row, name in enumerate(images.ids.tolist())}
        found = {n: images.pixels[rows[str(n)]] for n in wanted if str(n) in rows}
    for name, data in zip(names, coded, strict=True):
        with at(context.folder.previews_file):
            yield from_preview(data) if data else found.get(name, _BLANK)


def is_there(source: Source) -> bool:
    """Whether there is still anything where images lay."""
    path = source.location.partition("::")[0]
    return path.startswith("demo:") or os.path.exists(path)


def typical_shape(context: Context, manifest: Manifest, present: Present) -> tuple[float, float]:
    """The median height and width, in pixels, of the images as people see them."""
    in_files, n = manifest.vectors or present.ids.dtype.kind == "U", len(present.ids)
    some = np.linspace(0, n - 1, min(n, _TYPICAL) if in_files else 1).astype(np.int64)
    shapes = [picture.shape[:2] for picture in pictures_at(context, manifest, present, some)]
    height, width = np.median(shapes, axis=0).tolist()
    return height, width


def as_images(context: Context, manifest: Manifest, present: Present) -> Images:
    """The images that are there now, as a run takes them in."""
    if manifest.vectors or present.ids.dtype.kind != "U":
        return images_there(context, manifest)
    every, source = np.arange(len(present.ids)), manifest.source
    coded = _coded(present, _kept(context, manifest), every)
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
        numbers = numbers_of_new(present)[which]
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
    there = {name: i for i, name in enumerate(listing.names)}
    names = present.ids[which].tolist()
    wanted = [
        there[name]
        for name, mark, data in zip(names, present.marks[which], coded, strict=True)
        if not data and name in there and listing.marks[there[name]] == mark
    ]
    read = of_files(source, listing, sorted(wanted), preview=True, may_be_none=True)
    made = dict(zip(read.ids.tolist(), read.previews, strict=True))
    return [data or made.get(name, b"") for name, data in zip(names, coded, strict=True)]
