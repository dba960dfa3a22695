"""Where images come from, and what they are once they are read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError, at, did_you_mean
from aeclust.images import demo
from aeclust.images.arrays import check_there, from_array, read_array, refuse_key
from aeclust.images.decoding import FITS, Fit, How, preview_side
from aeclust.images.features import read_features
from aeclust.images.files import look
from aeclust.images.listing import Listing, mark_of
from aeclust.images.pixels import blocks, fingerprints
from aeclust.images.ranges import bounds
from aeclust.images.reading import LeftOut, in_words, no_images, read_files

_IDS_AT_ONCE = 4_096
_MEANT_FOR = {"layout": "an array", "range": "an array or files", "skip_bad": "images in files"}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where images come from and what the user stated about them.

    Attributes
    ----------
    location : str
        A path, ``PATH::KEY`` for one array of a ``.npz`` or ``.h5`` file, or ``demo:NAME``.
    files : tuple of str
        Of a folder, the files and folders below it that are meant; none means all.
    layout : {"nhw", "nhwc", "nchw"} or None
        None recognises it.
    range : str or None
        ``LOW:HIGH``, the values that mean black and white; None recognises uint8 and [0, 1], and
        in files 8 and 16 bits. In files it is of images of more than 8 bits, and of others where it
        ends by 255.
    size : int or None
        Resize images in files to this many pixels a side; of arrays it says nothing.
    fit : {"crop", "squash", "pad"}
        What becomes of images in files that are no squares, if they are resized.
    skip_bad : bool
        Leave out the images in files that cannot be read.
    features : bool
        It holds no images, but a vector for each, which somebody else made.
    """

    location: str
    files: tuple[str, ...] = ()
    layout: str | None = None
    range: str | None = None
    size: int | None = None
    fit: Fit = FITS[0]
    skip_bad: bool = False
    features: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", tuple(self.files))  # JSON knows lists alone

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        values = asdict(self)
        return values if self.features else {n: v for n, v in values.items() if n != "features"}

    @property
    def way(self) -> str:
        """How images in files are read, as one text: another way gives other pixels."""
        return json.dumps([self.range, self.size, self.fit])


@dataclass(frozen=True)
class Images:
    """Images in one layout, or vectors that stand for them.

    Attributes
    ----------
    pixels : ndarray of shape (n, h, w, c) or (n, d)
        uint8, or floating in [0, 1]; c is 1 or 3. Vectors of any numbers have two axes. A memory
        map where the file allows it.
    ids : ndarray of shape (n,)
        int64 row numbers, or relative POSIX paths (str) sorted bytewise; of vectors any others.
    source : Source
    marks : ndarray of shape (n,) or (1,) or (0,)
        uint64 of every file, or of the one that holds the array: as long as they are the same, so
        are the images. None of a built-in set.
    left_out : tuple of LeftOut
        Files that gave no image.
    notes : tuple of str
        What was passed over, in words.
    remarks : tuple of str
        Remarks on the values, for the user.
    previews : tuple of bytes
        JPEG, one for each image in a file, if they were asked for.
    colours : ndarray of shape (n, c) or None
        Mean colours of the photographs that vectors were made of, where these are at hand.
    known_digest : str
        What :meth:`digest` gives, if a file whose bytes were verified says so; else empty.
    known_fingerprints : ndarray of shape (n,) or None
        What :attr:`fingerprints` is, if such a file says so.
    """

    pixels: NDArray[Any]
    ids: NDArray[Any]
    source: Source
    marks: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    previews: tuple[bytes, ...] = ()
    colours: NDArray[np.float32] | None = None
    known_digest: str = ""
    known_fingerprints: NDArray[np.uint64] | None = None

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def skipped(self) -> list[str]:
        """What was left out, in words."""
        return [*in_words(self.left_out), *self.notes]

    def describe(self) -> str:
        """One line: number, size, colour and dtype."""
        if self.pixels.ndim == 2:
            n, d = self.pixels.shape
            return f"{n:,} vectors of {d} values, {self.pixels.dtype}"
        n, h, w, c = self.pixels.shape
        colour = "grey" if c == 1 else "RGB"
        return f"{n:,} images, {h} x {w} {colour}, {self.pixels.dtype}"

    def digest(self) -> str:
        """SHA-256 over shape, dtype, ids and pixels, in hexadecimal: the identity of the data."""
        return self.known_digest or self._digest

    @cached_property
    def fingerprints(self) -> NDArray[np.uint64]:
        """A number (n,) for the content of each image, see :func:`aeclust.images.fingerprints`."""
        known = self.known_fingerprints
        return fingerprints(self.pixels) if known is None else known

    @cached_property  # it reads all of them
    def _digest(self) -> str:
        sha = hashlib.sha256(f"{self.pixels.shape} {self.pixels.dtype.str}".encode())
        for start in range(0, len(self.ids), _IDS_AT_ONCE):
            names = map(str, self.ids[start : start + _IDS_AT_ONCE].tolist())
            sha.update(("\0" * (start > 0) + "\0".join(names)).encode())
        for block in blocks(self.pixels):
            sha.update(np.ascontiguousarray(block).data)
        return sha.hexdigest()


def load(
    source: Source,
    *,
    preview: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Images:
    """Read images from where `source` points to.

    Parameters
    ----------
    source : Source
    preview : bool
        Make previews of images in files.
    progress : callable
        Takes (done, total) of the files.

    Returns
    -------
    Images

    Raises
    ------
    InputError
        If the source is missing, unreadable, ambiguous, or not images.
    """
    location = source.location
    path, _, key = location.partition("::")
    remarks: list[str] = []
    if source.features:
        _refuse_stated(source, *_MEANT_FOR)
        marks = np.array([mark_of(path)], np.uint64)
        _, vectors, ids = read_features(location)
        return Images(vectors, np.arange(len(vectors)) if ids is None else ids, source, marks)
    if location.startswith("demo:"):
        _refuse_stated(source, *_MEANT_FOR)
        pixels = demo.load(demo_name(location)).pixels
        return Images(pixels, np.arange(len(pixels)), source)
    listing = look(path, source.files)  # before the files: what comes meanwhile makes it another
    if listing is None:
        if os.path.exists(path):  # or else a lost folder would be blamed on the settings it needed
            _refuse_stated(source, "skip_bad")
        marks = np.array([mark_of(path)], np.uint64)
        place, raw = read_array(path, key or None)
        with at(place):
            pixels = from_array(raw, layout=source.layout, range=source.range, log=remarks.append)
        return Images(pixels, np.arange(len(pixels)), source, marks, remarks=tuple(remarks))
    _refuse_stated(source, "layout")
    with at(path):
        refuse_key(key)
        every = range(len(listing.names))
        return of_files(source, listing, every, preview=preview, progress=progress)


def of_files(
    source: Source,
    listing: Listing,
    which: Sequence[int],
    *,
    channels: int | None = None,
    preview: bool = False,
    may_be_none: bool = False,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Images:
    """The images in some files of a listing, by their numbers in it.

    Parameters
    ----------
    source, listing, which
    channels : {1, 3} or None
        None takes 3 as soon as one image has colours.
    preview, progress
        As for :func:`load`.
    may_be_none : bool
        Leave out whatever cannot be read, even if nothing remains.

    Raises
    ------
    InputError
        If there is no image among them, or one cannot be read.
    """
    stated = None if source.range is None else bounds(source.range)
    side = preview_side(len(listing.names)) if preview else 0
    how = How(source.size, source.fit, side, stated)
    decoded = read_files(
        listing,
        which,
        how,
        channels=channels,
        skip_bad=source.skip_bad,
        lenient=may_be_none,
        progress=progress,
    )
    if not (decoded.names or may_be_none):
        raise no_images(listing, decoded.left_out)
    return Images(
        decoded.pixels,
        np.array(decoded.names, np.str_),
        source,
        decoded.marks,
        decoded.left_out,
        listing.notes,
        remarks=decoded.remarks,
        previews=tuple(decoded.previews) if preview else (),
    )


def check_location(location: str) -> None:
    """Refuse, before any work, where no images can be."""
    if location.startswith("demo:"):
        demo_name(location)
    else:
        check_there(location.partition("::")[0])


def demo_name(location: str) -> str:
    """The name of the built-in set ``demo:NAME``.

    Raises
    ------
    InputError
        If there is no such set.
    """
    name, known = location.removeprefix("demo:"), [f"demo:{name}" for name in demo.NAMES]
    if name not in demo.NAMES:
        what, mend = f"no built-in set is called {name!r}", did_you_mean(location, known)
        raise InputError(what, where=location, expected=" or ".join(known), mend=mend)
    return name


def _refuse_stated(source: Source, *settings: str) -> None:
    """Settings that mean nothing for a kind of source must not be stated for it."""
    for name in settings:
        if getattr(source, name):
            what, where = f"does not apply to {source.location}", f"`{name}`"
            expected = _MEANT_FOR[name]
            raise InputError(what, where=where, expected=expected, mend="leave it out")
