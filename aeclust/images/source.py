"""Where images come from, and what they are once they are read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError, at, did_you_mean
from aeclust.images import demo
from aeclust.images.arrays import from_array, read_array, refuse_key
from aeclust.images.folders import image_files, read_folder
from aeclust.images.pixels import blocks

_IDS_AT_ONCE = 4_096
_FOR_ARRAYS, _FOR_FOLDERS = ("layout", "range"), ("size", "skip_bad")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where images come from and what the user stated about them.

    Attributes
    ----------
    location : str
        A path, ``PATH::KEY`` for one array of a ``.npz`` or ``.h5`` file, or ``demo:NAME``.
    layout : {"nhw", "nhwc", "nchw"} or None
        None recognises it.
    range : str or None
        ``LOW:HIGH``, the values that mean black and white; None recognises uint8 and [0, 1].
    size : int or None
        Resize every image of a folder to this many pixels a side.
    skip_bad : bool
        Leave out the images of a folder that cannot be read.
    """

    location: str
    layout: str | None = None
    range: str | None = None
    size: int | None = None
    skip_bad: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Images:
    """Images in one layout.

    Attributes
    ----------
    pixels : ndarray of shape (n, h, w, c)
        uint8, or floating in [0, 1]; c is 1 or 3. A memory map where the file allows it.
    ids : ndarray of shape (n,)
        int64 row numbers, or relative POSIX paths (str) sorted bytewise.
    source : Source
    skipped : tuple of str
        What ``skip_bad`` left out, with the reason.
    listing : str
        Of a folder that was decoded just now, what :func:`listing` was before; else empty.
    remarks : tuple of str
        What the user should know of the values, in words.
    known_digest : str
        What :meth:`digest` gives, if a file whose bytes were verified says so; else empty.
    """

    pixels: NDArray[Any]
    ids: NDArray[Any]
    source: Source
    skipped: tuple[str, ...] = ()
    listing: str = ""
    remarks: tuple[str, ...] = ()
    known_digest: str = ""

    def __len__(self) -> int:
        return len(self.pixels)

    def describe(self) -> str:
        """One line: number, size, colour and dtype."""
        n, h, w, c = self.pixels.shape
        colour = "grey" if c == 1 else "RGB"
        return f"{n} images, {h} x {w} {colour}, {self.pixels.dtype}"

    def digest(self) -> str:
        """SHA-256 over shape, dtype, ids and pixels, in hexadecimal: the identity of the data."""
        return self.known_digest or self._digest

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
    source: Source, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Images:
    """Read images from wherever `source` says.

    Parameters
    ----------
    source : Source
    progress : callable
        Takes (done, total) of the files of a folder.

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
    if location.startswith("demo:"):
        _refuse_stated(source, *_FOR_ARRAYS, *_FOR_FOLDERS)
        pixels = demo.load(demo_name(location)).pixels
    elif os.path.isdir(path):
        _refuse_stated(source, *_FOR_ARRAYS)
        with at(path):
            refuse_key(key)
        listed = listing(source)  # before the files: what comes meanwhile makes it another
        pixels, names, skipped = read_folder(
            Path(path), size=source.size, skip_bad=source.skip_bad, progress=progress
        )
        return Images(pixels, np.array(names), source, tuple(skipped), listed)
    else:
        if os.path.exists(path):  # or else a lost folder would be blamed on the settings it needed
            _refuse_stated(source, *_FOR_FOLDERS)
        place, raw = read_array(path, key or None)
        with at(place):
            pixels = from_array(raw, layout=source.layout, range=source.range, log=remarks.append)
    return Images(pixels, np.arange(len(pixels)), source, remarks=tuple(remarks))


def listing(source: Source) -> str:
    """SHA-256 over names, sizes and times of a folder's images and how they are to be read.

    As long as it is the same, so is what :func:`load` gives. It is empty for what is no folder.
    """
    folder = Path(source.location)
    if not os.path.isdir(folder):
        return ""
    sha = hashlib.sha256(json.dumps({**source.to_json(), "location": ""}).encode())
    for name in image_files(folder):
        try:
            state = os.stat(folder / name)
        except OSError:  # a broken link, say; decoding it will fail and name it
            return ""
        sha.update(f"\0{name}\0{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}".encode())
    return sha.hexdigest()


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
            expected = "an array" if name in _FOR_ARRAYS else "a folder of images"
            raise InputError(what, where=where, expected=expected, mend="leave it out")
