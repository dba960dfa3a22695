"""Arrays from HDF5 files that others wrote."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aeclust import memory
from aeclust.artifact.gate import inspect, opened, place_of, regular_size, unfit
from aeclust.artifact.schema import Array
from aeclust.disk import told
from aeclust.errors import InputError

if TYPE_CHECKING:
    import h5py

_BLOCK = 2**24  # bytes decoded in one go
_SHARE = 0.25  # of the machine's memory, for what is decoded and can as well lie on disk
_GZIP = 1_100  # times smaller than its content, at the very best
_IN_PARTS = "save it as .npy, which is read in parts"


def read_array(path: Path, key: str | None, axes: tuple[int, ...]) -> tuple[str, Array]:
    """A dataset from any HDF5 file: the one called `key`, or the only one with so many axes.

    What is stored in one piece is mapped into memory, never read whole. What is stored in chunks
    is decoded: into memory, or, if that takes more than a quarter of it, block by block into a
    temporary file without a name, which is mapped.

    Returns
    -------
    (str, ndarray)
        Its name and its values.
    """
    where = str(path)
    size = regular_size(path)
    refuse = partial(unfit, where)
    try:
        source = open(path, "rb")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise refuse(f"it cannot be opened ({error.strerror})") from error
    with source, opened(source, refuse) as file:
        sizes = inspect(file, refuse, most=size * _GZIP, chunks=True)
        if key is None:
            key = only_key({name: file[name].ndim for name in sizes}, axes, where)
        elif key not in sizes:
            raise missing_key(key, list(sizes), where)
        check = partial(memory.check, what=repr(key), where=where, mend=_IN_PARTS)
        item, there = file[key], memory.machine()
        start = place_of(item)
        if start is not None and item.ndim:
            return key, np.memmap(source, item.dtype, "r", start, item.shape)
        if item.chunks and item.size and there is not None and sizes[key] > there * _SHARE:
            # rows of whole chunks, so that each is decoded once, of about a block
            rows, row = int(item.chunks[0]), item.nbytes // len(item)
            rows *= max(1, _BLOCK // (rows * row))
            check(rows * row + math.prod(item.chunks) * item.dtype.itemsize)
            return key, _decoded(item, rows)
        check(sizes[key])
        return key, np.asarray(item[()])


def only_key(dimensions: Mapping[str, int], axes: tuple[int, ...], where: str) -> str:
    """The one array with a number of axes among `axes`; more or none are an error naming all."""
    fitting = [name for name, ndim in dimensions.items() if ndim in axes]
    if len(fitting) != 1:
        names = ", ".join(dimensions) or "it is empty"
        raise InputError(
            f"{len(fitting)} of its arrays could be meant ({names})",
            where=where,
            expected=f"one array with {' or '.join(map(str, axes))} axes",
            mend=f"name one, as {where}::KEY",
        )
    return fitting[0]


def missing_key(key: str, names: Iterator[str] | list[str], where: str) -> InputError:
    """The error for ``FILE::KEY`` with an unknown key."""
    return InputError(
        f"no array is called {key!r}",
        where=where,
        expected=f"one of {', '.join(names)}",
        mend="change the part after ::",
    )


def _decoded(item: h5py.Dataset, rows: int) -> Array:
    """The values of a dataset in a temporary file, which lasts as long as its memory map."""
    folder = Path(tempfile.gettempdir())
    with told(folder):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the with below
    with file:
        for start in range(0, len(item), rows):
            block = np.ascontiguousarray(item[start : start + rows])
            with told(folder):
                file.write(block.data)
                file.flush()
        return np.memmap(file, item.dtype, "r", 0, item.shape)
