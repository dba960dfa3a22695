"""The images of many files, decoded a few at a time."""

from __future__ import annotations

import math
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError, printable, reason, unreadable
from aeclust.images.decoding import How, Picture, decode
from aeclust.images.depth import Depth, OutOfRangeError, check, remarks
from aeclust.images.gate import KINDS, NoImageError, OtherKindError, promises
from aeclust.images.listing import Listing

MAX_SIDE = 4_096
# Files decoded beside each other: Pillow lets other threads work while it decodes, and a few large
# photographs fit in memory. A slow one stalls nobody before so many others are done.
_AT_A_TIME = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 4)
_AHEAD = 8 * _AT_A_TIME


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
    remarks : tuple of str
        Remarks on their values, for the user.
    """

    names: list[str]
    marks: NDArray[np.uint64]
    pixels: NDArray[np.uint8]
    previews: list[bytes]
    left_out: tuple[LeftOut, ...]
    remarks: tuple[str, ...] = ()


def read_files(
    listing: Listing,
    which: Sequence[int],
    how: How,
    *,
    channels: int | None = None,
    skip_bad: bool,
    lenient: bool = False,
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
    lenient : bool
        Besides, leave out those whose range must be stated, and only note that others are dark.
    progress : callable
        Takes (done, total) of the files.

    Raises
    ------
    InputError
        If an image cannot be read, their sizes differ, or their range must be stated.
    """
    if how.size is not None and not 1 <= how.size <= MAX_SIDE:
        expected = f"1 to {MAX_SIDE} pixels"
        raise InputError(f"size is {how.size}", where="`size`", expected=expected)
    found = _Found(listing, len(which), how.size or 0, channels)
    for done, (number, picture) in enumerate(_decoded(listing, which, how), 1):
        progress(done, len(which))
        if lenient and how.range is None and _is_unclear(picture):
            picture = ValueError("no range is stated for its values")
        if not isinstance(picture, Exception):
            found.add(number, picture)
        elif skip_bad or lenient or isinstance(picture, OtherKindError):
            found.left_out.append(_left_out(listing, number, picture))
        else:
            raise _undecodable(listing.where(listing.names[number]), picture) from picture
    pixels = found.pixels[: len(found.kept)]
    if how.range is None and not lenient:
        check(found.depths)
        _check_eight_bits(pixels)
    return Decoded(
        [listing.names[number] for number in found.kept],
        listing.marks[found.kept],
        pixels,
        found.previews,
        tuple(found.left_out),
        remarks(found.depths, how.range),
    )


class _Found:
    """The images of some of n files, as they come."""

    def __init__(self, listing: Listing, n: int, side: int, channels: int | None) -> None:
        self.listing, self.n, self.channels = listing, n, channels
        self.pixels = np.empty((0, side, side, channels or 0), np.uint8)
        self.kept: list[int] = []
        self.previews: list[bytes] = []
        self.depths: list[Depth] = []
        self.left_out: list[LeftOut] = []

    def add(self, number: int, picture: Picture) -> None:
        """Take in the image of a file.

        Raises
        ------
        InputError
            If it has another size than those before.
        """
        image = picture.pixels
        if self.channels is not None:
            image = _in_channels(image, self.channels)
        if self.kept and image.shape[:2] != self.pixels.shape[1:3]:
            first, name = (self.listing.names[each] for each in (self.kept[0], number))
            raise _of_other_size(first, self.pixels[0], name, image)
        if image.shape[2] > self.pixels.shape[3] or not self.kept:  # grey among RGB becomes RGB
            self.pixels = _room_for(self.pixels, len(self.kept), (self.n, *image.shape))
        self.pixels[len(self.kept)] = image
        self.kept.append(number)
        self.previews.append(picture.preview)
        if picture.depth is not None:
            self.depths.append(picture.depth)


def _is_unclear(picture: Picture | Exception) -> bool:
    """Whether nothing says which values mean black and white."""
    depth = None if isinstance(picture, Exception) else picture.depth
    return depth is not None and not depth.white


def _left_out(listing: Listing, number: int, error: Exception) -> LeftOut:
    name, mark = listing.names[number], int(listing.marks[number])
    # what may be otherwise next time is tried again: a mark that no file has
    passing = isinstance(error, MemoryError) or getattr(error, "errno", None) is not None
    mark = 0 if passing or "pip install" in str(error) else mark
    if isinstance(error, OtherKindError):
        return LeftOut(name, mark, str(error), "")
    return LeftOut(name, mark, "", printable(reason(error)))


def _of_other_size(
    first: str, one: NDArray[np.uint8], name: str, other: NDArray[np.uint8]
) -> InputError:
    return InputError(
        f"images have different sizes ({first} is {_by(one.shape)}, {name} is {_by(other.shape)})",
        expected="one size",
        mend="resize all of them with `size`, for example `size` 32",
    )


def _check_eight_bits(pixels: NDArray[np.uint8]) -> None:
    """Refuse masks of zeros and ones: they would be black, and ones may be meant as white."""
    if len(pixels) and pixels.max() == 1 and pixels.min() == 0:
        what = "has images with values 0 and 1 only: nearly black, or black and white"
        mend = "state `range` 0:255 or `range` 0:1"
        raise InputError(what, expected="an unambiguous range", mend=mend)


def in_words(left_out: Sequence[LeftOut]) -> list[str]:
    """What was left out: each damaged image with the reason, the rest counted by kind."""
    lines = [f"{printable(each.name)}: {each.why}" for each in left_out if not each.kind]
    kinds = [each.kind for each in left_out if each.kind]
    if kinds:
        counts = {kind: kinds.count(kind) for kind in sorted(set(kinds))}
        several = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
        files = (
            "1 file of another kind" if len(kinds) == 1 else f"{len(kinds):,} files of other kinds"
        )
        lines.append(f"{files} ({several})")
    return lines


def no_images(listing: Listing, left_out: Sequence[LeftOut]) -> InputError:
    """The error for files none of which is an image that can be read."""
    damaged = [each for each in left_out if not each.kind]
    if damaged:
        first = f"{printable(damaged[0].name)}: {damaged[0].why}"
        what = f"none of its {len(damaged)} images can be read ({first})"
        return InputError(what, expected="images")
    others = [*in_words(left_out), *listing.notes]
    but = ", but " * bool(others) + " and ".join(others)
    mends = ["convert them"] * bool(left_out) + ["name what is linked to"] * bool(listing.notes)
    return InputError(f"holds no image{but}", expected=KINDS, mend=" and ".join(mends))


def _undecodable(place: str, error: Exception) -> InputError:
    if isinstance(error, OutOfRangeError):
        return InputError(error.what, where=place, expected=error.expected, mend=error.mend)
    if isinstance(error, FileNotFoundError):
        mend = "check the path, or leave such files out with `skip_bad`"
        return unreadable(error, where=place, mend=mend)
    mend, what = "remove it", f"cannot be read ({reason(error)})"
    if isinstance(error, NoImageError):
        mend, what = error.mend or mend, str(error)
    mend += ", or leave such files out with `skip_bad`"
    return InputError(what, where=place, expected="a whole image", mend=mend)


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
    """Every image in its place, or what is wrong with it."""
    ahead = _AHEAD if how.size is not None else _AT_A_TIME  # whole ones may be large
    pool, waiting = ThreadPoolExecutor(_AT_A_TIME), deque[tuple[int, Future[Picture | Exception]]]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's about broken remarks
        try:
            for number in which:
                waiting.append((number, pool.submit(_decode_or_fault, listing, how, number)))
                if len(waiting) > ahead:
                    first, future = waiting.popleft()
                    yield first, future.result()
            for first, future in waiting:
                yield first, future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _decode_or_fault(listing: Listing, how: How, number: int) -> Picture | Exception:
    name = listing.names[number]
    try:
        file = listing.open(name)
    except Exception as error:  # also what zipfile raises
        if listing.chosen or promises(name):
            return error
        return OtherKindError(f"that cannot be opened ({reason(error)})")
    try:
        with file:
            return decode(file, name, how)
    except Exception as error:  # whatever a decoder raises on bytes that are no image
        return error
