"""The images of many files, decoded a few at a time."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError, printable, reason
from aeclust.images.decoding import How, OtherKindError, Picture, decode
from aeclust.images.files import Listing

MAX_SIDE = 4_096
# Files decoded beside each other, and taken from a listing at once: Pillow lets other threads work
# while it decodes, and a few large photographs fit in memory.
_AT_A_TIME, _AHEAD = min(4, os.cpu_count() or 1), 16


class LeftOut(NamedTuple):
    """A file that gave no image.

    `kind` is what it is, for counting; empty for a damaged one, of which `why` says what is wrong.
    """

    name: str
    mark: int
    kind: str
    why: str


@dataclass(frozen=True)
class Decoded:
    """What files hold.

    Attributes
    ----------
    names : list of str
        Of those that hold an image, in the order of the listing.
    marks : ndarray of shape (n,)
        uint64, theirs.
    pixels : ndarray of shape (n, h, w, c)
        uint8.
    previews : list of bytes
        JPEG; empty texts if none were asked for.
    left_out : tuple of LeftOut
    """

    names: list[str]
    marks: NDArray[np.uint64]
    pixels: NDArray[np.uint8]
    previews: list[bytes]
    left_out: tuple[LeftOut, ...]


def read_files(
    listing: Listing,
    which: Sequence[int],
    how: How,
    *,
    channels: int | None = None,
    skip_bad: bool,
    progress: Callable[[int, int], None],
) -> Decoded:
    """Decode some files of a listing.

    Parameters
    ----------
    listing : Listing
    which : sequence of int
        Their numbers in it, ascending.
    how : How
    channels : {1, 3} or None
        None takes 3 as soon as one image has colours.
    skip_bad : bool
        Leave out images that cannot be read.
    progress : callable
        Takes (done, total) of the files.

    Raises
    ------
    InputError
        If an image cannot be read, or their sizes differ.
    """
    if how.size is not None and not 1 <= how.size <= MAX_SIDE:
        expected = f"1 to {MAX_SIDE} pixels"
        raise InputError(f"size is {how.size}", where="`size`", expected=expected)
    side = how.size or 0
    pixels = np.empty((0, side, side, channels or 0), np.uint8)
    kept: list[int] = []
    previews: list[bytes] = []
    left_out: list[LeftOut] = []
    for done, (number, picture) in enumerate(_decoded(listing, which, how), 1):
        progress(done, len(which))
        name, mark = listing.names[number], int(listing.marks[number])
        if isinstance(picture, OtherKindError):
            left_out.append(LeftOut(name, mark, str(picture), ""))
            continue
        if isinstance(picture, Exception):
            if not skip_bad:
                raise _undecodable(str(listing.place / name), picture) from picture
            left_out.append(LeftOut(name, mark, "", printable(reason(picture))))
            continue
        image = picture.pixels if channels is None else _in_channels(picture.pixels, channels)
        if kept and image.shape[:2] != pixels.shape[1:3]:
            first = listing.names[kept[0]]
            raise InputError(
                f"images have different sizes ({first} is {_by(pixels.shape[1:])},"
                f" {name} is {_by(image.shape)})",
                expected="one size",
                mend="resize all of them with `size`, for example `size` 32",
            )
        if image.shape[2] > pixels.shape[3] or not kept:  # grey among RGB becomes RGB
            pixels = _room_for(pixels, len(kept), (len(which), *image.shape))
        pixels[len(kept)] = image
        kept.append(number)
        previews.append(picture.preview)
    names = [listing.names[number] for number in kept]
    return Decoded(names, listing.marks[kept], pixels[: len(kept)], previews, tuple(left_out))


def in_words(left_out: Sequence[LeftOut]) -> list[str]:
    """What was left out: each damaged image with the reason, the rest counted by kind."""
    lines = [f"{printable(each.name)}: {each.why}" for each in left_out if not each.kind]
    kinds = [each.kind for each in left_out if each.kind]
    if kinds:
        counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        several = ", ".join(f"{count} {kind}" for kind, count in counts.items())
        lines.append(f"{len(kinds)} file{'s' * (len(kinds) != 1)} that are not read ({several})")
    return lines


def no_images(listing: Listing, left_out: Sequence[LeftOut]) -> InputError:
    """The error for files none of which is an image that can be read."""
    damaged = [each for each in left_out if not each.kind]
    if damaged:
        return InputError(f"none of its {len(damaged)} images can be read", expected="images")
    others = [*in_words(left_out), *listing.notes]
    but = ", but " * bool(others) + " and ".join(others)
    mends = ["convert them"] * bool(left_out) + ["name what is linked to"] * bool(listing.notes)
    what, expected = f"holds no PNG or JPEG file{but}", "images ending in .png or .jpg"
    return InputError(what, expected=expected, mend=" and ".join(mends))


def _undecodable(place: str, error: Exception) -> InputError:
    what, expected = f"cannot be read ({reason(error)})", "a whole PNG or JPEG image"
    mend = "remove it, or leave such files out with `skip_bad`"
    return InputError(what, where=place, expected=expected, mend=mend)


def _in_channels(image: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """An image in so many channels, grey by the luminance of ITU-R 601."""
    if image.shape[2] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=2)
    weights = np.array([299, 587, 114])
    grey: NDArray[np.uint8] = ((image @ weights + 500) // 1000).astype(np.uint8)
    return grey[..., np.newaxis]


def _room_for(pixels: NDArray[np.uint8], used: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A new array that starts with the images so far; grey ones are spread over its channels."""
    what = f"{shape[0]} images of {_by(shape[1:])}"
    mend = "make them smaller, for example `size` 32"
    memory.check(math.prod(shape) + pixels.size, what, mend)
    result = np.empty(shape, np.uint8)
    if used:
        result[:used] = pixels[:used]
    return result


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]}"


def _decoded(
    listing: Listing, which: Sequence[int], how: How
) -> Iterator[tuple[int, Picture | Exception]]:
    """Every image in its place, or what is wrong with it; a few at a time."""
    work = partial(_decode_or_fault, listing, how)
    with ThreadPoolExecutor(_AT_A_TIME) as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about sizes, which decode caps
        for start in range(0, len(which), _AHEAD):
            some = which[start : start + _AHEAD]
            yield from zip(some, pool.map(work, some), strict=True)


def _decode_or_fault(listing: Listing, how: How, number: int) -> Picture | Exception:
    try:
        with listing.open(listing.names[number]) as file:
            return decode(file, listing.names[number], how)
    except Exception as error:  # whatever Pillow raises on bytes that are no image
        return error
