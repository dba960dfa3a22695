"""Any source of images as one array and its ids."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aeclust import artifact as artifacts
from aeclust import memory
from aeclust.errors import InputError, did_you_mean, near_file, printable
from aeclust.images import demo

LAYOUTS = ("nhw", "nhwc", "nchw")
ENDINGS = (".png", ".jpg", ".jpeg")
# images all the same, which are not read: fewer decoders, fewer surprises
_OTHER_ENDINGS = (".bmp", ".webp", ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif", ".jp2")
_MAX_IMAGE_PIXELS = 64_000_000
_BLOCK, _BLOCK_BYTES = 4_096, 1 << 24  # rows taken at once, and bytes of theirs
# Files decoded beside each other, and taken from a folder at once: Pillow lets other threads work
# while it decodes, and a few large photographs fit in memory.
_AT_A_TIME, _AHEAD = min(4, os.cpu_count() or 1), 16

_ROUNDING = 1e-5  # of a range: what six digits of its ends may miss

# What Pillow raises on files that are not the images they claim to be.
_BAD_IMAGE = (
    OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error,
    OverflowError, MemoryError, Image.DecompressionBombError, AttributeError, ArithmeticError,
    RuntimeError, zlib.error,
)  # fmt: skip

# How an image is turned that a camera says it held so (EXIF's orientation, tag 0x0112).
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# What numpy and zipfile raise on files that are not the arrays they claim to be.
_BAD_ARRAY = (
    OSError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, OverflowError,
    RuntimeError, MemoryError, tokenize.TokenError, zipfile.error, zlib.error,
)  # fmt: skip


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
    known_digest : str
        What :meth:`digest` gives, if it is known already.
    """

    pixels: NDArray[Any]
    ids: NDArray[Any]
    source: Source
    skipped: tuple[str, ...] = ()
    listing: str = ""
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
        for start in range(0, len(self.ids), _BLOCK):
            names = map(str, self.ids[start : start + _BLOCK].tolist())
            sha.update(("\0" * (start > 0) + "\0".join(names)).encode())
        for block in blocks(self.pixels):
            sha.update(np.ascontiguousarray(block).data)
        return sha.hexdigest()


def blocks(pixels: NDArray[Any], rows: int = _BLOCK) -> Iterator[NDArray[Any]]:
    """Consecutive rows, of large images fewer, so that a memory map is never read whole."""
    rows = max(1, min(rows, _BLOCK_BYTES // max(1, pixels[:1].nbytes)))
    for start in range(0, len(pixels), rows):
        yield np.asarray(pixels[start : start + rows])


def fingerprints(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """A 64-bit BLAKE2b of every image's values, equal for equal images.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)

    Returns
    -------
    ndarray of shape (n,)
    """
    result = np.empty(len(pixels), np.uint64)
    row = 0
    for block in blocks(pixels):
        for image in np.ascontiguousarray(block):
            digest = hashlib.blake2b(image, digest_size=8).digest()
            result[row] = int.from_bytes(digest, "little")
            row += 1
    return result


def check_enough(pixels: NDArray[Any], k: int, *, where: str, flag: str) -> None:
    """Refuse images that are too few, or too alike, for k clusters, which `flag` states.

    Raises
    ------
    InputError
    """
    if len(pixels) < k:
        raise InputError(
            f"{len(pixels)} images cannot form {k} clusters",
            where=where,
            expected=f"at least {k} images",
            mend=f"add images or lower {flag}",
        )
    count = different(pixels, max(2, k))
    if len(pixels) > 1 and count == 1:
        raise InputError(
            f"all {len(pixels)} images are the same",
            where=where,
            expected="images that differ",
            mend="check how they were made",
        )
    if count < k:
        raise InputError(
            f"only {count} of {len(pixels)} images are different, too few for {k} clusters",
            where=where,
            expected=f"at least {k} different ones",
            mend=f"add images or lower {flag}",
        )


def different(pixels: NDArray[Any], most: int) -> int:
    """How many different images there are, counted until there are `most`; mostly the first are
    enough."""
    seen: set[int] = set()
    for block in blocks(pixels):
        seen.update(fingerprints(block).tolist())
        if len(seen) >= most:
            break
    return min(len(seen), most)


def mean_colours(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The mean colour (n, c) of every image, in [0, 1]."""
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    means = [block.mean((1, 2), dtype=np.float64) / scale for block in blocks(pixels)]
    return np.concatenate(means).astype(np.float32)


def load(
    source: Source, *, progress: Callable[[int, int], None] = lambda done, total: None
) -> Images:
    """Read images from wherever `source` says.

    Parameters
    ----------
    source : Source
    progress : callable
        Takes (done, total) of the files of a folder.

    Raises
    ------
    InputError
        If the source is missing, unreadable, ambiguous, or not images.
    """
    location = source.location
    if source.layout is not None and source.layout not in LAYOUTS:
        raise InputError(
            f"layout is {source.layout!r}",
            where="--layout",
            expected=f"one of {', '.join(LAYOUTS)}",
        )
    if location.startswith("demo:"):
        _refuse_stated(source, "layout", "range", "size", "skip_bad")
        pixels = demo.load(demo_name(location)).pixels
        return Images(pixels, np.arange(len(pixels)), source)
    path, _, key = location.partition("::")
    if os.path.isdir(path):
        _refuse_stated(source, "layout", "range")
        _refuse_key(path, key)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own size warning; _decode has a cap
            return _load_folder(Path(path), source, progress)
    if os.path.exists(path):  # or else a lost folder would be blamed on the flags it once needed
        _refuse_stated(source, "size", "skip_bad")
    where, raw = read_array(path, key or None)
    pixels = from_array(raw, layout=source.layout, range=source.range, where=where)
    return Images(pixels, np.arange(len(pixels)), source)


def listing(source: Source) -> str:
    """SHA-256 over names, sizes and times of a folder's images and how they are to be read.

    As long as it is the same, so is what :func:`load` gives; empty for what is no folder.
    """
    folder = Path(source.location)
    if not os.path.isdir(folder):
        return ""
    sha = hashlib.sha256(json.dumps({**source.to_json(), "location": ""}).encode())
    for name in image_files(folder):
        try:
            found = os.stat(folder / name)
        except OSError:  # a broken link, say; whoever decodes it will tell
            return ""
        sha.update(f"\0{name}\0{found.st_size} {found.st_mtime_ns} {found.st_ctime_ns}".encode())
    return sha.hexdigest()


def from_array(
    raw: NDArray[Any], *, layout: str | None = None, range: str | None = None, where: str = "X"
) -> NDArray[Any]:
    """An array of images in any layout and range as (n, h, w, c), uint8 or floating in [0, 1].

    Parameters
    ----------
    raw : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
    layout, range
        As for :class:`Source`.
    where : str
        Named in errors.

    Raises
    ------
    InputError
        If the array is ambiguous or not images.
    """
    shaped = _to_nhwc(raw, layout, where)
    if shaped.shape[0] == 0 or 0 in shaped.shape[1:]:
        raise InputError(
            f"holds no images (shape {raw.shape})", where=where, expected="at least one image"
        )
    return _to_pixels(shaped, range, where)


def bounds(stated: str) -> tuple[float, float]:
    """The values that mean black and white in a range, ``LOW:HIGH``; InputError if there are none.

    >>> bounds("0:255")
    (0.0, 255.0)
    """
    left, _, right = stated.partition(":")
    try:
        black, white = float(left), float(right)
    except ValueError:
        black = white = 0.0
    if not (np.isfinite([black, white]).all() and black < white):
        raise InputError(
            f"range is {stated!r}", where="--range", expected="LOW:HIGH, for example 0:255"
        )
    return black, white


def demo_name(location: str) -> str:
    """The name of the built-in set ``demo:NAME``."""
    name = location.removeprefix("demo:")
    if name not in demo.NAMES:
        raise InputError(
            f"no built-in set is called {name!r}",
            where=location,
            expected=" or ".join(f"demo:{n}" for n in demo.NAMES),
            mend=did_you_mean(location, (f"demo:{n}" for n in demo.NAMES)),
        )
    return name


def read_array(
    path: str, key: str | None, axes: tuple[int, ...] = (3, 4)
) -> tuple[str, NDArray[Any]]:
    """One array of a ``.npy``, ``.npz`` or ``.h5`` file, memory-mapped if the file allows it.

    Returns
    -------
    (str, ndarray)
        How to name it in errors, and the array.
    """
    ending = os.path.splitext(path)[1].lower()
    if not os.path.exists(path):
        raise InputError(
            "there is no such file or folder",
            where=path,
            expected=".npy, .npz, .h5, a folder of PNG or JPEG images, or demo:scenes",
            mend=near_file(path, "check the path"),
        )
    if not os.path.isfile(path):  # a FIFO or a device would hang or never end
        raise InputError("is not a regular file", where=path, expected="an array in a file")
    if ending in (".h5", ".hdf5"):
        key, array = artifacts.read_array(Path(path), key, axes)
        return f"{path}::{key}", array
    if ending not in (".npy", ".npz"):
        raise InputError(
            f"is of an unknown kind ({ending or 'no ending'})",
            where=path,
            expected=".npy, .npz, .h5, a folder of PNG or JPEG images, or demo:scenes",
            mend="name the folder it lies in" if ending in ENDINGS else "convert it",
        )
    if ending == ".npy":
        _refuse_key(path, key)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's own on odd headers
            if ending == ".npz":
                return _read_npz(path, key, axes)
            return path, np.lib.format.open_memmap(path, mode="r")
    except _BAD_ARRAY as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        objects = "Object arrays" in reason or "Python objects" in reason
        raise InputError(
            "holds Python objects" if objects else f"cannot be read ({reason})",
            where=path,
            expected="a whole file as numpy.save writes it, of numbers",
            mend="save it again",
        ) from error


def npz_keys(path: str) -> set[str]:
    """Names of the arrays in a ``.npz`` file; none if it cannot be read, as who reads it tells."""
    if not os.path.isfile(path):
        return set()
    try:
        with zipfile.ZipFile(path) as archive:
            return {name[:-4] for name in archive.namelist() if name.endswith(".npy")}
    except _BAD_ARRAY:
        return set()


def to_png(pixels: NDArray[Any]) -> bytes:
    """One image (h, w, c), uint8 or floating in [0, 1], as a PNG of 8 bits."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.asarray(pixels, np.float64) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()


def _read_npz(path: str, key: str | None, axes: tuple[int, ...]) -> tuple[str, NDArray[Any]]:
    with zipfile.ZipFile(path) as archive:
        names = [name[:-4] for name in archive.namelist() if name.endswith(".npy")]
        if key is None:
            axes_of = {name: len(_npz_header(archive, f"{name}.npy")[0]) for name in names}
            key = artifacts.only_key(axes_of, axes, path)
        elif key not in names:
            raise artifacts.missing_key(key, names, path)
        shape, dtype = _npz_header(archive, f"{key}.npy")
        needed = math.prod(shape) * dtype.itemsize
        memory.check(needed, repr(key), path, "save it as .npy, which is read in parts")
        with archive.open(f"{key}.npy") as file:
            return f"{path}::{key}", np.lib.format.read_array(file, allow_pickle=False)


def _npz_header(archive: zipfile.ZipFile, member: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        return shape, dtype


def _refuse_stated(source: Source, *names: str) -> None:
    for name in names:
        if getattr(source, name):
            flag = "--" + name.replace("_", "-")
            kind = "arrays" if name in ("layout", "range") else "folders of images"
            raise InputError(
                f"{flag} says nothing about it",
                where=source.location,
                expected=f"{flag} for {kind}",
            )


def _refuse_key(path: str, key: str | None) -> None:
    if key:
        raise InputError(
            f"::{key} says nothing about it", where=path, expected="::KEY for .npz and .h5 files"
        )


# -- arrays ------------------------------------------------------------------------------------


def _to_nhwc(raw: NDArray[Any], layout: str | None, where: str) -> NDArray[Any]:
    """The array with its axes as (n, h, w, c), never copied; ambiguous shapes are errors."""
    shape = raw.shape
    if raw.ndim not in (3, 4):
        raise InputError(
            f"has shape {shape}",
            where=where,
            expected="(n, h, w), (n, h, w, c) or (n, c, h, w)",
            mend="reshape it",
        )
    if layout is not None and len(layout) != raw.ndim:
        raise InputError(
            f"has shape {shape}", where=where, expected=f"{len(layout)} axes for --layout {layout}"
        )
    if layout is None:
        if raw.ndim == 3 and shape[2] in (1, 3, 4):
            raise InputError(
                f"has shape {shape}: one colour image, or grey images {shape[2]} pixels wide",
                where=where,
                expected="an unambiguous shape",
                mend="add the missing axis, or state --layout nhw",
            )
        first, last = (shape[1] in (1, 3), shape[3] in (1, 3)) if raw.ndim == 4 else (False, False)
        if first and last:
            raise InputError(
                f"has shape {shape}: channels could stand first or last",
                where=where,
                expected="an unambiguous shape",
                mend="state --layout nhwc or --layout nchw",
            )
        layout = "nhw" if raw.ndim == 3 else "nchw" if first else "nhwc"
    if layout == "nhw":
        shaped = raw[..., np.newaxis]
    else:
        shaped = np.moveaxis(raw, 1, 3) if layout == "nchw" else raw
    if shaped.shape[3] not in (1, 3):
        raise InputError(
            f"has {shaped.shape[3]} channels (shape {shape}, layout {layout})",
            where=where,
            expected="1 (grey) or 3 (RGB) channels, first or last",
            mend="drop or combine channels",
        )
    return shaped


def _to_pixels(images: NDArray[Any], stated: str | None, where: str) -> NDArray[Any]:
    """uint8, or floating in [0, 1]; every value looked at once."""
    odd = not images.dtype.isnative or images.dtype.itemsize > 8  # no network takes these
    if images.dtype.kind not in "uif" or (odd and stated is None):
        raise InputError(
            f"has dtype {images.dtype}", where=where, expected="uint8, or float in [0, 1]",
            mend="convert it",
        )  # fmt: skip
    low, high = _extremes(images, where)
    if stated is not None:
        return _rescale(images, stated, low, high, where)
    if images.dtype == np.uint8:
        if high == 1:
            raise InputError(
                "has uint8 values 0 and 1 only: nearly black, or black and white",
                where=where,
                expected="an unambiguous range",
                mend="state --range 0:255 or --range 0:1",
            )
        return images
    if images.dtype.kind in "ui":
        white = 255 if high < 256 else 65535
        raise InputError(
            f"has dtype {images.dtype} with values {low:g} to {high:g}",
            where=where,
            expected="uint8, or float in [0, 1]",
            mend=f"state the range, for example --range 0:{white}",
        )
    if low < 0 or high > 1:
        raise InputError(
            f"has {images.dtype} values {low:g} to {high:g}",
            where=where,
            expected="float in [0, 1], or uint8",
            mend="state the range, for example --range 0:255 or --range=-1:1",
        )
    return images


def _extremes(images: NDArray[Any], where: str) -> tuple[float, float]:
    low, high, row = np.inf, -np.inf, 0
    for block in blocks(images):
        flat = block.reshape(len(block), -1)
        if block.dtype.kind == "f" and not np.isfinite(flat).all():
            bad = row + int(np.argmin(np.isfinite(flat).all(1)))
            raise InputError(
                f"image {bad} holds NaN or infinity",
                where=where,
                expected="finite values",
                mend="repair or remove that image",
            )
        low, high, row = min(low, flat.min()), max(high, flat.max()), row + len(block)
    return float(low), float(high)


def _said(value: float) -> str:
    return str(int(value)) if value.is_integer() else f"{value:g}"


def _rescale(
    images: NDArray[Any], stated: str, low: float, high: float, where: str
) -> NDArray[Any]:
    black, white = bounds(stated)
    slack = _ROUNDING * (white - black) if images.dtype.kind == "f" else 0.0
    if low < black - slack or high > white + slack:
        raise InputError(
            f"has values {_said(low)} to {_said(high)}", where=where,
            expected=f"values within {stated}",
            mend="change --range",
        )  # fmt: skip
    if images.dtype == np.uint8 and (black, white) == (0, 255):
        return images
    memory.check(4.0 * images.size, "its copy in [0, 1]", where, "save it in that range")
    result = np.empty(images.shape, np.float32)
    done = 0
    for block in blocks(images):
        scaled = (block.astype(np.float64) - black) / (white - black)
        result[done : done + len(block)] = scaled.clip(0, 1)
        done += len(block)
    return result


# -- folders -----------------------------------------------------------------------------------


def _load_folder(folder: Path, source: Source, progress: Callable[[int, int], None]) -> Images:
    listed = listing(source)  # before the files: what comes meanwhile makes it another
    files, others, linked = _below(folder)
    lefts = []
    if others:
        kinds = ", ".join(sorted({os.path.splitext(name)[1].lower() for name in others}))
        lefts.append(f"{len(others)} image{'s' * (len(others) != 1)} of other kinds ({kinds})")
    if linked:
        first = printable(linked[0])
        lefts.append(f"{len(linked)} linked folder{'s' * (len(linked) != 1)} ({first})")
    left = " and ".join(lefts)
    if not files:
        raise InputError(
            f"holds no PNG or JPEG file{f', but {left}' if left else ''}",
            where=str(folder),
            expected="images ending in .png or .jpg",
            mend=" and ".join(
                [*["convert them"] * bool(others), *["name what is linked to"] * bool(linked)]
            ),
        )
    if source.size is not None and not 1 <= source.size <= 4096:
        raise InputError(f"size is {source.size}", where="--size", expected="1 to 4096 pixels")
    pixels = np.empty((0, 0, 0, 0), np.uint8)
    ids: list[str] = []
    skipped = lefts
    for done, (name, image) in enumerate(_decoded(folder, files, source.size), 1):
        progress(done, len(files))
        if not isinstance(image, np.ndarray):
            reason = printable((str(image) or type(image).__name__).splitlines()[0])
            if not source.skip_bad:
                raise InputError(
                    f"cannot be read ({reason})",
                    where=str(folder / name),
                    expected="a whole PNG or JPEG image",
                    mend="remove it, or leave such files out with --skip-bad",
                ) from image
            skipped.append(f"{printable(name)}: {reason}")
            continue
        # at once, and not after all of them have been taken into memory
        if ids and image.shape[:2] != pixels.shape[1:3]:
            raise InputError(
                f"images have different sizes ({ids[0]} is {_by(pixels.shape[1:])},"
                f" {name} is {_by(image.shape)})",
                where=str(folder),
                expected="one size",
                mend="resize all of them with --size, for example --size 32",
            )
        if image.shape[2] > pixels.shape[3]:  # grey among RGB becomes RGB
            shape = (len(files), *image.shape)
            memory.check(
                math.prod(shape) + pixels.size,
                f"{len(files)} images of {_by(image.shape)}",
                str(folder),
                "make them smaller, for example --size 32",
            )
            grey, pixels = pixels, np.empty(shape, np.uint8)
            if ids:
                pixels[: len(ids)] = grey[: len(ids)]
            del grey
        pixels[len(ids)] = image
        ids.append(name)
    if not ids:
        raise InputError(
            f"none of its {len(files)} images can be read", where=str(folder), expected="images"
        )
    named = np.array(ids, dtype=np.str_)
    return Images(pixels[: len(ids)], named, source, tuple(skipped), listed)


def _by(size: tuple[int, ...]) -> str:
    return f"{size[0]} x {size[1]}"


def image_files(folder: Path) -> list[str]:
    """Relative POSIX paths of all images below, sorted bytewise; hidden ones are left alone."""
    return _below(folder).files


class _Below(NamedTuple):
    """Relative POSIX paths below a folder, sorted bytewise, without hidden ones."""

    files: list[str]
    others: list[str]  # images of kinds that are not read
    linked: list[str]  # folders that are not followed: they may lead anywhere


def _below(folder: Path) -> _Below:
    found = _Below([], [], [])
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        seen = [name for name in names if not name.startswith(".")]
        images = [name for name in seen if name.lower().endswith(ENDINGS)]
        others = [name for name in seen if name.lower().endswith(_OTHER_ENDINGS)]
        place = Path(parent).relative_to(folder)
        for paths, own in zip(found, (images, others, links), strict=True):
            paths += [(place / name).as_posix() for name in own]
    bad = next((path for path in found.files + found.others if not _is_utf8(path)), None)
    if bad is not None:
        raise InputError("a file name is not UTF-8", where=printable(bad), mend="rename it")
    for paths in found:
        paths.sort(key=os.fsencode)
    return found


def _refuse_folder(error: OSError) -> None:
    raise InputError(
        f"cannot be read ({error.strerror})",
        where=str(error.filename),
        mend="check its permissions",
    ) from error


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _decoded(
    folder: Path, names: list[str], size: int | None
) -> Iterator[tuple[str, NDArray[np.uint8] | Exception]]:
    """Every image in its place, or what is wrong with it; a few at a time."""
    decode = partial(_decode_or_fault, size=size)
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        for start in range(0, len(names), _AHEAD):
            some = names[start : start + _AHEAD]
            yield from zip(some, pool.map(decode, (folder / name for name in some)), strict=True)


def _decode_or_fault(path: Path, size: int | None) -> NDArray[np.uint8] | Exception:
    try:
        return _decode(path, size)
    except _BAD_IMAGE as error:
        return error


def _upright(file: Image.Image) -> Image.Transpose | None:
    """How to turn an image; broken remarks beside sound pixels are no reason to refuse these."""
    try:
        return _UPRIGHT.get(file.getexif().get(_ORIENTATION, 1))
    except _BAD_IMAGE:
        return None


def _decode(path: Path, size: int | None) -> NDArray[np.uint8]:
    """One image as (h, w, 1 or 3): upright, alpha on white, 8 bits."""
    if not path.is_file():  # a FIFO or a device would hang or never end
        raise OSError("not a regular file")
    with Image.open(path, formats=["PNG", "JPEG"]) as file:
        if file.width * file.height > _MAX_IMAGE_PIXELS:
            raise ValueError(f"{file.width} x {file.height} is over {_MAX_IMAGE_PIXELS} pixels")
        if size is not None:  # a JPEG need not be unfolded to more than twice the size asked for
            file.draft(None, (2 * size, 2 * size))
        file.load()
        turn = _upright(file)
        image = file if turn is None else file.transpose(turn)
    if image.mode.startswith("I"):  # 16-bit grey
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    image = image.convert("L" if image.mode in ("1", "L") else "RGB")
    if size is not None:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[..., np.newaxis] if array.ndim == 2 else array
