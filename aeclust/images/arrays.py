"""Images in arrays: the files that hold these, and their layouts."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact, memory
from aeclust.errors import AeclustError, InputError, at, near_file, reason
from aeclust.images.ranges import to_pixels

LAYOUTS = ("nhw", "nhwc", "nchw")
_SOURCES = "images in files, a folder or a .zip, .npy, .npz, .h5, or demo:scenes"
_NPY, _ZIP, _HDF5 = b"\x93NUMPY", b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
_FIRST_BLOCK = 512  # bytes that may stand before HDF5, or twice as many, and so on
_KINDS = "biufSU"  # of dtypes, numbers and texts
# how a file begins that stands for another one: what it is, and how to get the other
_LFS = ("is a Git LFS pointer, not the file itself", "run git lfs pull")
_HTML = ("is an HTML page, not a file of arrays", "download it again")
_STANDS_FOR = {b"version https://git-lfs": _LFS, b"<!doctype html": _HTML, b"<html": _HTML}


# -- files -------------------------------------------------------------------------------------


def check_there(path: str) -> None:
    """Refuse the path of nothing."""
    if not os.path.exists(path):
        mend = near_file(path, "check the path")
        what = "there is no such file or folder"
        raise InputError(what, where=path, expected=_SOURCES, mend=mend)


def read_array(
    path: str, key: str | None, axes: tuple[int, ...] = (3, 4), usual: Sequence[str] = ()
) -> tuple[str, NDArray[Any]]:
    """One array of a ``.npy``, ``.npz`` or ``.h5`` file, memory-mapped if the file allows it.

    Parameters
    ----------
    path : str
    key : str or None
        Of a ``.npz`` or ``.h5`` file, the name of the array; None if only one fits.
    axes : tuple of int
        How many axes fit.
    usual : sequence of str
        Names of which the first that is there is meant, where no `key` is.

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
    known = kind_of(path)
    kind = known or ending
    with at(path):
        check_there(path)
        if not os.path.isfile(path):  # a FIFO or a device would hang or never end
            raise InputError("is not a regular file", expected="an array in a file")
        if not known:
            _refuse_other(path)
        if kind in (".h5", ".hdf5"):
            key, array = artifact.read_array(Path(path), key, axes, usual)
            return f"{path}::{key}", array
        if kind == ".npz":
            return _read_npz(path, key, axes, usual)
        if kind != ".npy":
            what = f"is of an unknown kind ({ending or 'no ending'})"
            raise InputError(what, expected=_SOURCES, mend="convert it")
        refuse_key(key)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # numpy's about odd headers
                return path, np.lib.format.open_memmap(path, mode="r")
        except AeclustError:  # a signal that ends the command
            raise
        except Exception as error:  # whatever numpy raises on bytes that are no array
            raise _unreadable(error) from error


def kind_of(path: str) -> str:
    """What a file of arrays is by its bytes, whatever its name: ``.npy``, ``.npz`` or ``.h5``.

    Empty for any other file, such as an archive without arrays, and for what cannot be read.
    """
    if not os.path.isfile(path):
        return ""
    try:
        with open(path, "rb") as file:
            head, place = file.read(len(_HDF5)), 0
            if head.startswith(_NPY):
                return ".npy"
            if head.startswith(_ZIP):
                return ".npz" if npz_keys(path) else ""
            while head and head != _HDF5:
                place = max(_FIRST_BLOCK, 2 * place)
                file.seek(place)
                head = file.read(len(_HDF5))
            return ".h5" if head else ""
    except OSError:
        return ""


def _refuse_other(path: str) -> None:
    """Refuse a file that is empty or stands for another one."""
    try:
        with open(path, "rb") as file:
            head = file.read(64)
    except OSError:  # what reads it says why
        return
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    found = [other for start, other in _STANDS_FOR.items() if text.startswith(start)]
    if found or not head:
        what, mend = found[0] if found else ("is empty", "download or copy it again")
        raise InputError(what, expected="a whole .npy, .npz or .h5 file", mend=mend)


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


def _read_npz(
    path: str, key: str | None, axes: tuple[int, ...], usual: Sequence[str]
) -> tuple[str, NDArray[Any]]:
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # numpy's about odd headers
            names = _members(archive)
            # an array that is named has nothing to do with what lies beside it
            headers = {name: _npz_header(archive, name) for name in names if key in (None, name)}
            shapes = dict.fromkeys(names, ()) | {
                name: shape for name, (shape, dtype) in headers.items() if dtype.kind in _KINDS
            }
            key = artifact.choose_key(key, shapes, axes, usual)
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


# -- layouts -----------------------------------------------------------------------------------


def from_array(
    raw: NDArray[Any],
    *,
    layout: str | None = None,
    range: str | None = None,
    log: Callable[[str], None] = lambda line: None,
) -> NDArray[Any]:
    """An array of images in any layout and range as (n, h, w, c), uint8 or floating in [0, 1].

    Parameters
    ----------
    raw : ndarray of shape (n, h, w), (n, h, w, c) or (n, c, h, w)
    layout, range
        As for :class:`~aeclust.images.Source`.
    log : callable
        Takes remarks on the values, for the user.

    Returns
    -------
    ndarray of shape (n, h, w, c)
        A view of `raw`, unless its values must be changed: a stated range makes it float32.

    Raises
    ------
    InputError
        If the array is ambiguous or not images.
    """
    shaped = _to_nhwc(raw, layout)
    if 0 in shaped.shape:
        raise InputError(f"holds no images (shape {raw.shape})", expected="at least one image")
    return to_pixels(shaped, range, log)


def _to_nhwc(raw: NDArray[Any], layout: str | None) -> NDArray[Any]:
    """The array with its axes as (n, h, w, c), never copied."""
    shape = raw.shape
    if raw.ndim not in (3, 4):
        expected = "(n, h, w), (n, h, w, c) or (n, c, h, w)"
        mend = artifact.VECTORS if raw.ndim == 2 else "reshape it"
        raise InputError(f"has shape {shape}", expected=expected, mend=mend)
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
