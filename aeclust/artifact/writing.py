"""Artifacts put in place whole or not at all, however many values they have.

HDF5 makes the head of a file in memory: all it has to say, and after it the place of every
dataset. The values never pass through HDF5, which does not survive a full disk: they are written
behind the head, whole arrays and blocks of rows alike, to a temporary file beside the final one.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from aeclust.artifact.header import USER_BLOCK, user_block, write_header
from aeclust.artifact.schema import Array, Artifact, Shape, check_content, check_values
from aeclust.disk import NOT_AS_WRITTEN, replacing, write_errors

_CHUNK = 2**20  # bytes read back in one go


def write(
    path: Path, artifact: Artifact, rows: int = 0, blocks: Iterable[Mapping[str, Array]] = ()
) -> str:
    """Write an artifact, some of it perhaps in blocks; equal content gives equal bytes.

    Parameters
    ----------
    path : Path
    artifact : Artifact
        Its arrays are written as they are.
    rows : int
        Rows of every further dataset.
    blocks : iterable of mapping of str to ndarray
        Consecutive rows of the further datasets, each block with all of them: they are never in
        memory together.

    Returns
    -------
    str
        The digest.

    Raises
    ------
    ValueError
        If an array does not fit the kind or holds NaN or infinity, or the blocks do not fit each
        other or have other rows in total: nothing of the sort may reach a disk.
    WriteError
        As for :func:`aeclust.disk.write_bytes`.
    """
    rest = iter(blocks)
    first = next(rest, {})
    arrays = {name: _storable(values) for name, values in artifact.arrays.items()}
    shapes = {name: (a.dtype, a.shape) for name, a in arrays.items()} | _shapes(first, rows)
    check_content(artifact.kind, arrays, shapes)
    head, places = _lay_out(artifact, shapes)
    with replacing(path) as file:
        draft = _Draft(file, places)
        with write_errors(path):
            draft.append(arrays | {"": head})
        done = 0
        for block in chain([first] if first else [], rest):
            counts = {len(values) for values in block.values()}
            done += max(counts)
            if len(counts) > 1 or done > rows or _shapes(block, rows) != _shapes(first, rows):
                raise ValueError(f"a block does not fit those before it, or {rows} rows")
            check_values(block)
            with write_errors(path):
                draft.append(block)
        if first and done != rows:
            raise ValueError(f"the blocks have {done} rows instead of {rows}")
        with write_errors(path):
            return draft.finish()


def _storable(values: Array) -> Array:
    # HDF5 has no empty text width
    return values.astype("S1") if values.dtype == "S0" else values


def _shapes(block: Mapping[str, Array], rows: int) -> dict[str, Shape]:
    """The datasets of which a block is a part."""
    return {name: (a.dtype, (rows, *a.shape[1:])) for name, a in block.items()}


class _Head(io.BytesIO):
    """A file in memory that forgets what is written from its `end` on."""

    end: int | None = None

    def write(self, data: Any) -> int:
        if self.end is not None and self.tell() >= self.end:
            return len(data)
        return super().write(data)


def _lay_out(artifact: Artifact, shapes: Mapping[str, Shape]) -> tuple[Array, dict[str, int]]:
    """What stands between user block and values, and where the values of each dataset belong.

    The head has the name "".
    """
    head = _Head()
    places = {"": USER_BLOCK}
    with h5py.File(head, "w", userblock_size=USER_BLOCK) as file:
        write_header(file, artifact)
        for name, (dtype, shape) in sorted(shapes.items()):
            # in one piece and without times: the same arrays, the same bytes
            file.create_dataset(name, shape, dtype, track_times=False)
        file.flush()
        head.end = head.seek(0, io.SEEK_END)
        # widest first, so that all are aligned and can be mapped
        for name in sorted(shapes, key=lambda name: (-shapes[name][0].alignment, name)):
            dataset = file[name]
            if dataset.size:
                dataset[(0,) * dataset.ndim] = np.zeros((), dataset.dtype)  # gives it its place
                places[name] = dataset.id.get_offset()
    return np.frombuffer(head.getvalue(), np.uint8)[USER_BLOCK:], places


class _Draft:
    """A temporary file that is filled with values, which belong side by side at these places."""

    def __init__(self, file: io.BufferedRandom, places: Mapping[str, int]) -> None:
        self._file = file
        self._ends = dict(places)  # of what was written
        self._hashes = {name: hashlib.sha256() for name in places}  # of what was handed over

    def append(self, arrays: Mapping[str, Array]) -> None:
        """Write the next values of some datasets."""
        for name, end in self._ends.items():
            if name in arrays:
                values = np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8)
                if self._file.tell() != end:  # or else a buffer of many is written at once
                    self._file.seek(end)
                self._file.write(values.data)
                self._hashes[name].update(values.data)
                self._ends[name] += len(values)

    def finish(self) -> str:
        """Force it to disk, compare it with what was handed over, sign it; returns the digest."""
        self._sync()
        whole = hashlib.sha256()
        start = USER_BLOCK
        self._file.seek(start)
        for name, end in self._ends.items():
            part = hashlib.sha256()
            for at in range(start, end, _CHUNK):
                data = self._file.read(min(_CHUNK, end - at))
                part.update(data)
                whole.update(data)
            if part.digest() != self._hashes[name].digest():
                raise OSError(NOT_AS_WRITTEN)
            start = end
        block = user_block(whole.hexdigest())
        longer = self._file.read(1)
        self._file.seek(0)
        self._file.write(block)
        self._sync()
        self._file.seek(0)
        if longer or self._file.read(USER_BLOCK) != block:
            raise OSError(NOT_AS_WRITTEN)
        return whole.hexdigest()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
