"""Where every byte of an artifact goes, and a file that is being filled accordingly."""

from __future__ import annotations

import hashlib
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from aeclust.artifact.header import USER_BLOCK, Json, json_bytes, user_block
from aeclust.artifact.schema import Array, Shape
from aeclust.disk import SPOILT

_PAGE = 4_096
_CHUNK = 2**20  # bytes written and read back in one go


@dataclass(frozen=True)
class Part:
    """A stretch of a file: the values of the dataset `name`, or else HDF5's `own` bytes."""

    start: int
    length: int
    name: str = ""
    own: bytes = b""


def lay_out(kind: str, attributes: Mapping[str, Json], shapes: Mapping[str, Shape]) -> list[Part]:
    """All that follows the user block, in order; HDF5 builds it but for the values."""
    import h5py

    skeleton = _Skeleton()
    values: list[Part] = []
    with h5py.File(skeleton, "w", userblock_size=USER_BLOCK) as file:
        file.attrs["kind"] = np.bytes_(kind.encode())
        for name, value in attributes.items():
            file.attrs[name] = json_bytes(value)
        for name in sorted(shapes):
            dtype, shape = shapes[name]
            # contiguous and without times: the same arrays, the same bytes
            dataset = file.create_dataset(name, shape, dtype, track_times=False)
            if dataset.size:
                dataset[(0,) * len(shape)] = np.zeros((), dtype)  # with a value it gets its place
                values.append(Part(dataset.id.get_offset(), dataset.nbytes, name))
    parts, start = [], USER_BLOCK
    for part in (*sorted(values, key=lambda part: part.start), Part(skeleton.size, 0)):
        skeleton.seek(start)
        own = skeleton.read(part.start - start) or b""
        parts += [Part(start, len(own), own=own), part]
        start = part.start + part.length
    return [part for part in parts if part.length]


class _Skeleton(io.RawIOBase):
    """A file in memory of which only the pages that were written take any."""

    def __init__(self) -> None:
        self._pages: defaultdict[int, bytearray] = defaultdict(lambda: bytearray(_PAGE))
        self._at = self.size = 0

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self.size = self._at if size is None else size
        return self.size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for page, inside, outside in self._spans(len(view)):
            self._pages[page][inside] = view[outside]
        self._at += len(view)
        self.size = max(self.size, self._at)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self.size - self._at))
        for page, inside, outside in self._spans(count):
            view[outside] = self._pages[page][inside]
        self._at += count
        return count

    def _spans(self, count: int) -> Iterator[tuple[int, slice, slice]]:
        done = 0
        while done < count:
            page, start = divmod(self._at + done, _PAGE)
            length = min(_PAGE - start, count - done)
            yield page, slice(start, start + length), slice(done, done + length)
            done += length


class Draft:
    """A file that is being filled, part by part."""

    def __init__(self, file: io.BufferedRandom, parts: list[Part]) -> None:
        self._file, self._parts = file, parts
        self._hashes = {part.name: hashlib.sha256() for part in parts}  # of what was handed over
        self._next = {part.name: part.start for part in parts}  # where its next rows go

    def begin(self, whole: Mapping[str, Array]) -> None:
        """Write HDF5's own bytes and whole arrays, in the order of the file."""
        pieces: list[Iterable[tuple[int, memoryview]]] = []
        for part in self._parts:
            if not part.name:
                self._hashes[""].update(part.own)
                pieces.append([(part.start, memoryview(part.own))])
            elif part.name in whole:
                pieces.append(self._pieces(part.name, whole[part.name]))
        self._write(chain.from_iterable(pieces))

    def append(self, block: Mapping[str, Array]) -> None:
        """Write the next rows of some datasets."""
        self._write(
            chain.from_iterable(self._pieces(n, block[n]) for n in block if n in self._next)
        )

    def finish(self) -> str:
        """Seal the file, force it to disk, and compare what it holds with what was handed over."""
        digest, _ = self._read_back()
        self._file.seek(0)
        self._file.write(user_block(digest))
        self._file.flush()
        os.fsync(self._file.fileno())
        handed = {name: found.hexdigest() for name, found in self._hashes.items()}
        same = self._read_back() == (digest, handed)
        self._file.seek(0)
        if not same or self._file.read(USER_BLOCK) != user_block(digest):
            raise OSError(SPOILT)
        return digest

    def _pieces(self, name: str, rows: Array) -> Iterator[tuple[int, memoryview]]:
        view = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).data
        start = self._next[name]
        self._next[name] += len(view)
        for at in range(0, len(view), _CHUNK):
            self._hashes[name].update(view[at : at + _CHUNK])
            yield start + at, view[at : at + _CHUNK]

    def _write(self, pieces: Iterable[tuple[int, memoryview]]) -> None:
        start, joined = 0, bytearray()  # what lies side by side is written together
        for at, piece in pieces:
            if at != start + len(joined) or len(joined) >= _CHUNK:
                self._write_at(start, joined)
                start, joined = at, bytearray()
            joined += piece
        self._write_at(start, joined)
        self._file.flush()

    def _write_at(self, start: int, data: bytearray) -> None:
        if data:
            self._file.seek(start)
            self._file.write(data)

    def _read_back(self) -> tuple[str, dict[str, str]]:
        """SHA-256 of all that follows the user block, and of every dataset."""
        whole, each = hashlib.sha256(), {name: hashlib.sha256() for name in self._hashes}
        self._file.seek(USER_BLOCK)
        for part in self._parts:
            for at in range(0, part.length, _CHUNK):
                data = self._file.read(min(_CHUNK, part.length - at))
                whole.update(data)
                each[part.name].update(data)
        whole.update(self._file.read(1))  # there should be no more
        return whole.hexdigest(), {name: found.hexdigest() for name, found in each.items()}
