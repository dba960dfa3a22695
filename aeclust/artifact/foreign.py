"""Arrays from HDF5 files that others wrote."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from aeclust import memory
from aeclust.artifact.gate import inspect, open_regular, place_of, refused
from aeclust.artifact.schema import Array
from aeclust.disk import write_errors
from aeclust.errors import InputError, at

_BLOCK = 2**24  # bytes decoded in one go
_SHARE = 0.25  # of the machine's memory, for what is decoded and can as well lie on disk
_GZIP = 1_100  # times smaller than its content, at the very best


def read_array(path: Path, key: str | None, axes: tuple[int, ...]) -> tuple[str, Array]:
    """A dataset from any HDF5 file: the one called `key`, or the only one with so many axes.

    What is stored in one piece is mapped into memory, never read whole. What is stored in chunks
    is decoded: into memory, or, if that takes more than a quarter of it, block by block into a
    temporary file without a name, which is mapped.

    Parameters
    ----------
    path : Path
    key : str, optional
    axes : tuple of int
        Numbers of axes, any of which will do.

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
    refusal = refused(
        "cannot be used",
        expected="an HDF5 file of plain arrays of numbers",
        mend="copy the arrays into a new file",
    )
    with at(path), refusal, open_regular(path) as source, h5py.File(source, "r") as file:
        sizes = inspect(file, most=os.fstat(source.fileno()).st_size * _GZIP, chunks=True)
        name = choose_key(key, {name: file[name].ndim for name in sizes}, axes)
        item, there = file[name], memory.machine()
        start = place_of(item)
        if start is not None and item.ndim:
            return name, np.memmap(source, item.dtype, "r", start, item.shape)
        if item.chunks and item.size and there is not None and sizes[name] > there * _SHARE:
            # rows of whole chunks, so that each is decoded once, of about a block
            rows, row = int(item.chunks[0]), item.nbytes // len(item)
            rows *= max(1, _BLOCK // (rows * row))
            _check_memory(rows * row + math.prod(item.chunks) * item.dtype.itemsize, name)
            return name, _decoded(item, rows)
        _check_memory(sizes[name], name)
        return name, np.asarray(item[()])


def choose_key(key: str | None, dimensions: Mapping[str, int], axes: tuple[int, ...]) -> str:
    """The array that is meant among those of a file.

    Parameters
    ----------
    key : str, optional
        Its name; None for the only one with so many axes.
    dimensions : mapping of str to int
        Number of axes of each array.
    axes : tuple of int
        Numbers of axes, any of which will do.

    Returns
    -------
    str

    Raises
    ------
    InputError
        Naming all arrays, if no array has this name, or none or several have so many axes.
    """
    names = ", ".join(dimensions) or "it is empty"
    if key is not None:
        if key in dimensions:
            return key
        what, mend = f"no array is called {key!r}", "change the part after ::"
        raise InputError(what, expected=f"one of {names}", mend=mend)
    fitting = [name for name, ndim in dimensions.items() if ndim in axes]
    if len(fitting) != 1:
        raise InputError(
            f"{len(fitting)} of its arrays could be meant ({names})",
            expected=f"one array with {' or '.join(map(str, axes))} axes",
            mend="name it, as FILE::KEY",
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
