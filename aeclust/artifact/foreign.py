"""Arrays from HDF5 files that others wrote."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np

from aeclust import memory
from aeclust.artifact.gate import (
    check_storage,
    check_total,
    datasets,
    open_regular,
    place_of,
    refused,
    size_of,
)
from aeclust.artifact.schema import Array, ContentError
from aeclust.disk import write_errors
from aeclust.errors import InputError, at, listed

_BLOCK = 2**24  # bytes decoded in one go
_SHARE = 0.25  # of the machine's memory, for what is decoded and can as well lie on disk
_GZIP = 1_100  # times smaller than its content, at the very best
_KINDS = "biufS"  # of dtypes, numbers and texts of one width
# how to mend an array of two axes where one of images is expected
VECTORS = "reshape it, or cluster vectors of your own by aeclust embed `features` FILE"


def names_of(path: Path) -> list[str]:
    """Full names of the datasets in any HDF5 file that passes the gate (InputError if not)."""
    unreadable = refused("cannot be used", expected="a whole HDF5 file", mend="save it again")
    with at(path), unreadable, open_regular(path) as source, h5py.File(source, "r") as file:
        return sorted(name for name, _ in datasets(file))


def read_array(
    path: Path, key: str | None, axes: tuple[int, ...], usual: Sequence[str] = ()
) -> tuple[str, Array]:
    """A dataset from any HDF5 file: the one called `key`, or the only one with so many axes.

    What is stored in one piece is mapped into memory, never read whole. What is stored in chunks
    is decoded: into memory, or, if that takes more than a quarter of it, block by block into a
    temporary file without a name, which is mapped.

    Parameters
    ----------
    path : Path
    key : str, optional
    axes, usual
        As for :func:`choose_key`.

    Returns
    -------
    (str, ndarray)
        Its name and its values.

    Raises
    ------
    InputError
        If the file does not pass the gate, it is not clear which array is meant, or its values do
        not fit into memory.
    WriteError
        If the temporary file cannot be written.
    """
    key = key.strip("/") if key else None
    plain = "an HDF5 file of plain arrays of numbers"
    unreadable = refused("cannot be used", expected=plain, mend="save it again")
    mend = "copy the array into a new file" if key else "name the array, as FILE::KEY"
    unclear = refused("cannot be used", expected=plain, mend=mend)
    with at(path), unreadable, open_regular(path) as source, h5py.File(source, "r") as file:
        with unclear:
            name, item = _choose(file, key, axes, usual)
        size, there = size_of(item), memory.machine()
        check_total(size, os.fstat(source.fileno()).st_size * _GZIP)
        start = place_of(item)
        if start is not None and item.ndim:
            return name, np.memmap(source, item.dtype, "r", start, item.shape)
        if item.chunks and item.size and there is not None and size > there * _SHARE:
            # rows of whole chunks, so that each is decoded once, of about a block
            rows, row = int(item.chunks[0]), item.nbytes // len(item)
            rows *= max(1, _BLOCK // (rows * row))
            _check_memory(rows * row + math.prod(item.chunks) * item.dtype.itemsize, name)
            return name, _decoded(item, rows)
        _check_memory(size, name)
        return name, np.asarray(item[()])


def _choose(
    file: h5py.File, key: str | None, axes: tuple[int, ...], usual: Sequence[str]
) -> tuple[str, h5py.Dataset]:
    """The dataset that is meant; of one that is named, what lies beside it does not matter."""
    found = dict(sorted(datasets(file, key)))
    if key is not None and not found:  # there are only names to list
        names = []
        with suppress(ContentError):
            for name, _ in datasets(file):
                names.append(name)
        choose_key(key, dict.fromkeys(sorted(names), ()), axes)
    for name, item in found.items():  # before their shapes, which may lie in other files
        check_storage(item, name)
    shapes = {name: item.shape if _is_array(item) else () for name, item in found.items()}
    name = choose_key(key, shapes, axes, usual)
    item = found[name]
    if item.shape is None:
        raise ContentError(f"{name!r} holds nothing")
    if not _is_array(item):
        raise InputError(
            f"{name!r} has dtype {item.dtype}",
            expected="numbers, or texts of one width",
            mend='write texts as numpy.char.encode(names, "utf-8")',
        )
    return name, item


def _is_array(item: h5py.Dataset) -> bool:
    try:
        return item.shape is not None and item.dtype.kind in _KINDS
    except (TypeError, ValueError):  # numpy has no such type
        return False


def choose_key(
    key: str | None,
    shapes: Mapping[str, tuple[int, ...]],
    axes: tuple[int, ...],
    usual: Sequence[str] = (),
) -> str:
    """The array that is meant among those of a file.

    Parameters
    ----------
    key : str, optional
        Its name; None for the only one with so many axes.
    shapes : mapping of str to tuple of int
        Of each array; empty for what is none of numbers.
    axes : tuple of int
        Numbers of axes, any of which will do; a column (n, 1) has one as well.
    usual : sequence of str
        Names of which the first that is there is meant, where none is stated.

    Returns
    -------
    str

    Raises
    ------
    InputError
        Naming the arrays, if none has this name, or none or several have so many axes.
    """
    names = listed(shapes, "it is empty")
    if key is None:
        key = next((name for name in usual if name in shapes), None)
    if key is not None:
        if key in shapes:
            return key
        what, mend = f"no array is called {key!r}", "change the part after ::"
        raise InputError(what, expected=f"one of {names}", mend=mend)
    fitting = [
        name
        for name, (*shape,) in shapes.items()
        if len(shape) in axes or (1 in axes and shape[1:] == [1])
    ]
    if len(fitting) != 1:
        mend = "name it, as FILE::KEY"
        if 3 in axes and not fitting and any(len(shape) == 2 for shape in shapes.values()):
            mend = VECTORS
        raise InputError(
            f"{len(fitting)} of its arrays could be meant ({names})",
            expected=f"one array of numbers with {' or '.join(map(str, axes))} axes",
            mend=mend,
        )
    return fitting[0]


def _check_memory(needed: float, name: str) -> None:
    memory.check(needed, repr(name), "save it as .npy, which is read in parts")


def _decoded(item: h5py.Dataset, rows: int) -> Array:
    """The values of a dataset in a temporary file, which lasts as long as its memory map."""
    folder = Path(tempfile.gettempdir())
    with write_errors(folder):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the with below
    with file:
        for start in range(0, len(item), rows):
            block = np.ascontiguousarray(item[start : start + rows])
            with write_errors(folder):
                file.write(block.data)
                file.flush()
        return np.memmap(file, item.dtype, "r", 0, item.shape)
