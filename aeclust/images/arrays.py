"""Images in arrays: the files that hold these, and their layouts and ranges."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact, memory
from aeclust.errors import AeclustError, InputError, at, near_file, reason
from aeclust.images.decoding import ENDINGS
from aeclust.images.pixels import blocks

LAYOUTS = ("nhw", "nhwc", "nchw")
_SOURCES = ".npy, .npz, .h5, a folder of PNG or JPEG images, or demo:scenes"
_UNIT = "uint8, or float in [0, 1]"
_ROUNDING = 1e-5  # of a range: what six digits of its ends may miss


# -- files -------------------------------------------------------------------------------------


def read_array(
    path: str, key: str | None, axes: tuple[int, ...] = (3, 4)
) -> tuple[str, NDArray[Any]]:
    """One array of a ``.npy``, ``.npz`` or ``.h5`` file, memory-mapped if the file allows it.

    Parameters
    ----------
    path : str
    key : str or None
        Of a ``.npz`` or ``.h5`` file, the name of the array; None if only one fits.
    axes : tuple of int
        How many axes fit.

    Returns
    -------
    (str, ndarray)
        The place for errors, and the array.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or holds no such array.
    """
    ending = os.path.splitext(path)[1].lower()
    with at(path):
        if not os.path.exists(path):
            mend = near_file(path, "check the path")
            raise InputError("there is no such file or folder", expected=_SOURCES, mend=mend)
        if not os.path.isfile(path):  # a FIFO or a device would hang or never end
            raise InputError("is not a regular file", expected="an array in a file")
        if ending in (".h5", ".hdf5"):
            key, array = artifact.read_array(Path(path), key, axes)
            return f"{path}::{key}", array
        if ending == ".npz":
            return _read_npz(path, key, axes)
        if ending != ".npy":
            what = f"is of an unknown kind ({ending or 'no ending'})"
            mend = "name the folder it lies in" if ending in ENDINGS else "convert it"
            raise InputError(what, expected=_SOURCES, mend=mend)
        refuse_key(key)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's about odd headers
                return path, np.lib.format.open_memmap(path, mode="r")
        except AeclustError:  # a signal that ends the command
            raise
        except Exception as error:  # whatever numpy raises on bytes that are no array
            raise _unreadable(error) from error


def npz_keys(path: str) -> set[str]:
    """Names of the arrays in a ``.npz`` file; none if it cannot be read: reading it says why."""
    if not os.path.isfile(path):
        return set()
    try:
        with zipfile.ZipFile(path) as archive:
            return set(_members(archive))
    except AeclustError:
        raise
    except Exception:  # whatever zipfile raises on bytes that are no archive
        return set()


def refuse_key(key: str | None) -> None:
    """Refuse ``PATH::KEY`` where there is nothing to choose from."""
    if key:
        expected = "::KEY for .npz and .h5 files"
        raise InputError(f"::{key} says nothing about it", expected=expected)


def _read_npz(path: str, key: str | None, axes: tuple[int, ...]) -> tuple[str, NDArray[Any]]:
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # numpy's about odd headers
            names = _members(archive)
            # an array that is named has nothing to do with what lies beside it
            headers = {name: _npz_header(archive, name) for name in names if key in (None, name)}
            dimensions = {name: len(headers[name][0]) if name in headers else 0 for name in names}
            key = artifact.choose_key(key, dimensions, axes)
            shape, dtype = headers[key]
            needed = math.prod(shape) * dtype.itemsize
            memory.check(needed, repr(key), "save it as .npy, which is read in parts")
            with archive.open(f"{key}.npy") as file:
                return f"{path}::{key}", np.lib.format.read_array(file, allow_pickle=False)
    except AeclustError:
        raise
    except Exception as error:  # whatever numpy and zipfile raise on bytes that are no array
        raise _unreadable(error) from error


def _members(archive: zipfile.ZipFile) -> list[str]:
    return [name[:-4] for name in archive.namelist() if name.endswith(".npy")]


def _npz_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with archive.open(f"{name}.npy") as file:
        if np.lib.format.read_magic(file) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(file)
        return shape, dtype


def _unreadable(error: Exception) -> InputError:
    why = reason(error)
    objects = "Object arrays" in why or "Python objects" in why
    return InputError(
        "holds Python objects" if objects else f"cannot be read ({why})",
        expected="a whole file as numpy.save writes it, of numbers",
        mend="save it again",
    )


# -- layouts and ranges ------------------------------------------------------------------------


def from_array(
    raw: NDArray[Any], *, layout: str | None = None, range: str | None = None
) -> NDArray[Any]:
    """An array of images in any layout and range as (n, h, w, c), uint8 or floating in [0, 1].

    Parameters
    ----------
    raw : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
    layout, range
        As for :class:`~aeclust.images.Source`.

    Returns
    -------
    ndarray of shape (n, h, w, c)
        A view of `raw`, unless a stated range makes it float32.

    Raises
    ------
    InputError
        If the array is ambiguous or not images.
    """
    shaped = _to_nhwc(raw, layout)
    if 0 in shaped.shape:
        raise InputError(f"holds no images (shape {raw.shape})", expected="at least one image")
    return _to_pixels(shaped, range)


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
        expected = "LOW:HIGH, for example 0:255"
        raise InputError(f"range is {stated!r}", where="`range`", expected=expected)
    return black, white


def _to_nhwc(raw: NDArray[Any], layout: str | None) -> NDArray[Any]:
    """The array with its axes as (n, h, w, c), never copied."""
    shape = raw.shape
    if raw.ndim not in (3, 4):
        expected = "(n, h, w), (n, h, w, c) or (n, c, h, w)"
        raise InputError(f"has shape {shape}", expected=expected, mend="reshape it")
    if layout not in (None, *LAYOUTS):
        expected = f"one of {', '.join(LAYOUTS)}"
        raise InputError(f"layout is {layout!r}", where="`layout`", expected=expected)
    layout = layout or _recognised_layout(shape)
    if len(layout) != raw.ndim:
        raise InputError(f"has shape {shape}", expected=f"{len(layout)} axes for `layout` {layout}")
    if layout == "nhw":
        return raw[..., np.newaxis]
    shaped = np.moveaxis(raw, 1, 3) if layout == "nchw" else raw
    if shaped.shape[3] not in (1, 3):
        what = f"has {shaped.shape[3]} channels (shape {shape}, layout {layout})"
        expected = "1 (grey) or 3 (RGB) channels, first or last"
        raise InputError(what, expected=expected, mend="drop or combine channels")
    return shaped


def _recognised_layout(shape: tuple[int, ...]) -> str:
    """The layout of three or four axes; InputError if two are possible."""
    what = mend = ""
    first, last = shape[1] in (1, 3), shape[-1] in (1, 3)
    if len(shape) == 3 and shape[2] in (1, 3, 4):
        what = f"one colour image, or grey images {shape[2]} pixels wide"
        mend = "add the missing axis, or state `layout` nhw"
    elif len(shape) == 4 and first and last:
        what = "channels could stand first or last"
        mend = "state `layout` nhwc or `layout` nchw"
    if what:
        what = f"has shape {shape}: {what}"
        raise InputError(what, expected="an unambiguous shape", mend=mend)
    return "nhw" if len(shape) == 3 else "nchw" if first else "nhwc"


def _to_pixels(images: NDArray[Any], stated: str | None) -> NDArray[Any]:
    """uint8, or floating in [0, 1]; every value is looked at once."""
    dtype = images.dtype
    unusual = not dtype.isnative or dtype.itemsize > 8  # no network takes these
    if dtype.kind not in "uif" or (unusual and stated is None):
        raise InputError(f"has dtype {dtype}", expected=_UNIT, mend="convert it")
    low, high = _extremes(images)
    if stated is not None:
        return _rescaled(images, stated, low, high)
    if dtype == np.uint8:
        if high == 1:
            what = "has uint8 values 0 and 1 only: nearly black, or black and white"
            mend = "state `range` 0:255 or `range` 0:1"
            raise InputError(what, expected="an unambiguous range", mend=mend)
    elif dtype.kind in "ui":
        what = f"has dtype {dtype} with values {low:g} to {high:g}"
        mend = f"state the range, for example `range` 0:{255 if high < 256 else 65535}"
        raise InputError(what, expected=_UNIT, mend=mend)
    elif low < 0 or high > 1:
        mend = "state the range, for example `range` 0:255 or `range`=-1:1"
        what = f"has {dtype} values {low:g} to {high:g}"
        raise InputError(what, expected="float in [0, 1], or uint8", mend=mend)
    return images


def _extremes(images: NDArray[Any]) -> tuple[float, float]:
    low, high, row = np.inf, -np.inf, 0
    for block in blocks(images):
        flat = block.reshape(len(block), -1)
        if block.dtype.kind == "f" and not np.isfinite(flat).all():
            bad = row + int(np.argmin(np.isfinite(flat).all(1)))
            what, mend = f"image {bad} holds NaN or infinity", "repair or remove that image"
            raise InputError(what, expected="finite values", mend=mend)
        low, high, row = min(low, flat.min()), max(high, flat.max()), row + len(block)
    return float(low), float(high)


def _rescaled(images: NDArray[Any], stated: str, low: float, high: float) -> NDArray[Any]:
    black, white = bounds(stated)
    slack = _ROUNDING * (white - black) if images.dtype.kind == "f" else 0.0
    if low < black - slack or high > white + slack:
        ends = (str(int(end)) if end.is_integer() else f"{end:g}" for end in (low, high))
        what, expected = f"has values {' to '.join(ends)}", f"values within {stated}"
        raise InputError(what, expected=expected, mend="change `range`")
    if images.dtype == np.uint8 and (black, white) == (0, 255):
        return images
    memory.check(4.0 * images.size, "its copy in [0, 1]", "save it in that range")
    result = np.empty(images.shape, np.float32)
    done = 0
    for block in blocks(images):
        scaled = (block.astype(np.float64) - black) / (white - black)
        result[done : done + len(block)] = scaled.clip(0, 1)
        done += len(block)
    return result
