"""Vectors that somebody else made of images: the files that hold them, and their checks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact, memory
from aeclust.errors import AeclustError, InputError, at, near_file, reason, to_install
from aeclust.images.arrays import kind_of, npz_keys, read_array
from aeclust.images.columns import as_column
from aeclust.images.pixels import blocks

MOST_VALUES = 16_384
_USUAL = ("features", "latents")  # arrays that are meant where several could be
_IDS = "ids"
_WHOLE = 2**24  # up to which single precision has every whole number
_SMALLEST, _LARGEST = 1e-12, 1e12  # that clusterers can distinguish in single precision
_FILES = ".npy, .npz, .h5 or .safetensors with vectors, (n, d)"
Column = NDArray[Any]


def read_features(location: str) -> tuple[str, NDArray[Any], Column | None]:
    """The vectors of a ``.npy``, ``.npz``, ``.h5`` or ``.safetensors`` file, mapped if it can be.

    Of several arrays ``features`` or ``latents`` are meant, if no other is named. The ``ids``
    beside them in a ``.npz`` or ``.h5`` file are theirs, those of our own latents too.

    Parameters
    ----------
    location : str
        A path, or ``PATH::KEY``.

    Returns
    -------
    (str, ndarray of shape (n, d), ndarray of shape (n,) or None)
        The place for errors; the vectors, as :func:`from_features` gives them; int64 or str.

    Raises
    ------
    InputError
        If the file is missing, unreadable, or holds no such array.
    """
    path, _, key = location.partition("::")
    if location.startswith("demo:") or os.path.isdir(path):
        what, mend = "holds images", "make vectors of them first, or train on the images"
        raise InputError(what, where=location, expected=_FILES, mend=mend)
    if not os.path.exists(path):
        mend = near_file(path, "check the path")
        raise InputError("there is no such file", where=path, expected=_FILES, mend=mend)
    if not key and kind_of(path) == ".h5" and artifact.is_artifact(Path(path)):
        made = artifact.read(Path(path), "latents", mapped=True).arrays
        return path, made["latents"], _checked_ids(artifact.decode_ids(made[_IDS]), path)
    if _is_safetensors(path):
        place, raw = _read_safetensors(path, key or None)
        beside = None
    else:
        place, raw = read_array(path, key or None, (2,), _USUAL)
        beside = _ids_beside(path, place.partition("::")[2])
    with at(place):
        vectors = from_features(raw)
    if beside is None:
        return place, vectors, None
    where, values = beside
    with at(where):
        if len(values) != len(vectors):
            what = f"holds {len(values)} ids for {len(vectors)} vectors"
            raise InputError(what, expected="one id for each vector", mend="save both again")
    return place, vectors, _checked_ids(values, where)


def from_features(raw: NDArray[Any]) -> NDArray[Any]:
    """Vectors (n, d), each value of which was looked at; never copied.

    Raises
    ------
    InputError
        If the array is none of numbers that single precision can hold.
    """
    shape = raw.shape
    if raw.ndim != 2:
        mend = "reshape it, or train on it if it holds images"
        raise InputError(f"has shape {shape}", expected="(n, d): a vector in each row", mend=mend)
    if 0 in shape:
        raise InputError(f"holds no vectors (shape {shape})", expected="at least one of one value")
    if shape[1] > MOST_VALUES:
        mend = "reduce them first, or pool them if they are feature maps"
        expected = f"at most {MOST_VALUES:,}"
        raise InputError(f"has vectors of {shape[1]:,} values", expected=expected, mend=mend)
    if raw.dtype.kind not in "biuf":
        raise InputError(f"has dtype {raw.dtype}", expected="numbers", mend="convert it")
    broken, large, done, most = list[int](), list[int](), 0, 0.0
    limit = _LARGEST if raw.dtype.kind == "f" else _WHOLE
    for block in blocks(raw):
        sizes = np.abs(block.astype(np.float64)).max(1)  # NaN where there is one
        broken += (done + np.flatnonzero(~np.isfinite(sizes))).tolist()
        large += (done + np.flatnonzero(sizes > limit)).tolist()
        done, most = done + len(block), max(most, float(sizes.max()))
    if broken:
        what = _rows(broken, "NaN or infinity")
        raise InputError(what, expected="finite values", mend="repair or remove those rows")
    if large:
        what = _rows(large, f"values beyond {limit:g}")
        raise InputError(what, expected="what single precision can compute with", mend="scale them")
    if 0 < most < _SMALLEST:
        what = f"holds no value beyond {_SMALLEST:g}"
        raise InputError(what, expected="what single precision can compute with", mend="scale them")
    return raw


def _rows(rows: list[int], what: str) -> str:
    if len(rows) == 1:
        return f"row {rows[0]} holds {what}"
    return f"{len(rows):,} rows hold {what}, the first is row {rows[0]}"


# -- ids ---------------------------------------------------------------------------------------


def _ids_beside(path: str, key: str) -> tuple[str, Column] | None:
    """Where the ids of an array of this name stand, and these; None without any."""
    name = key.rpartition("/")[0] + "/" * ("/" in key) + _IDS
    kind = kind_of(path)
    names = {*artifact.names_of(Path(path))} if kind == ".h5" else npz_keys(path)
    if name not in names or name == key:
        return None
    return read_array(path, name, (1,))


def _checked_ids(values: Column, where: str) -> Column:
    """Ids as int64 or str, each of them once and such that a line of a table can hold it."""
    with at(where):
        mend = "save them again"
        try:
            ids = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
            ids = as_column(ids[:, 0] if ids.ndim == 2 and ids.shape[1] == 1 else ids)
            if ids.dtype.kind == "U":
                np.char.encode(ids, "utf-8")
        except UnicodeError:
            ids = np.array([])
        if ids.dtype.kind not in "iU" or (ids == "").any():
            what = f"has no ids (dtype {values.dtype}, shape {values.shape})"
            raise InputError(what, expected="whole numbers or texts, (n,)", mend=mend)
        different, counts = np.unique(ids, return_counts=True)
        if len(different) < len(ids):
            what = f"has id {str(different[counts > 1][0])!r} twice"
            raise InputError(what, expected="each id once", mend=mend)
    return ids


# -- safetensors -------------------------------------------------------------------------------


def _is_safetensors(path: str) -> bool:
    """Whether a file is one by its name, or by how it begins: a length, and JSON."""
    if path.lower().endswith(".safetensors") or not os.path.isfile(path):
        return path.lower().endswith(".safetensors")
    try:
        with open(path, "rb") as file:
            return file.read(9)[6:] == b"\0\0{"
    except OSError:
        return False


def _read_safetensors(path: str, key: str | None) -> tuple[str, NDArray[Any]]:
    with at(path):
        if not os.path.isfile(path):
            raise InputError("is not a regular file", expected=_FILES)
        try:
            from safetensors import safe_open
        except ImportError as error:
            mend = to_install("safetensors")
            raise InputError("needs a library to be read", expected="it", mend=mend) from error
        try:
            with safe_open(path, framework="pt") as file:
                shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
                key = artifact.choose_key(key, shapes, (2,), _USUAL)
                tensor = file.get_tensor(key)
                if tensor.is_floating_point() and str(tensor.dtype) not in _NUMPYS:
                    memory.check(4.0 * tensor.numel(), repr(key), "save it in half precision")
                    tensor = tensor.float()
                return f"{path}::{key}", tensor.numpy()
        except AeclustError:
            raise
        except Exception as error:  # whatever it raises on bytes that are no tensors
            what = f"cannot be read ({reason(error)})"
            expected = "a whole file of tensors"
            raise InputError(what, expected=expected, mend="save it again") from error


_NUMPYS = {f"torch.float{bits}" for bits in (16, 32, 64)}  # and not bfloat16
