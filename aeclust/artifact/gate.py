"""The gate that every HDF5 file passes: nothing in it is trusted, nothing in it is followed."""

from __future__ import annotations

import contextlib
import io
import math
import mmap
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aeclust.artifact.schema import Array, ContentError, is_plain
from aeclust.errors import AeclustError, InputError, near_file, reason

if TYPE_CHECKING:
    import h5py

_MAX_OBJECTS = 4_096
_MAX_DEPTH = 8
_MAX_BYTES = 64 * 2**30


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file of bounded size; nothing else is waited for.

    Raises
    ------
    InputError
    """
    try:
        status = os.stat(path)
    except OSError as error:
        mend = near_file(path, "check the path")
        raise InputError(f"cannot be read ({reason(error)})", mend=mend) from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file", expected="an HDF5 file")
    if status.st_size > _MAX_BYTES:
        raise InputError(f"has {status.st_size} bytes", expected=f"at most {_MAX_BYTES}")
    with _reading():
        return open(path, "rb")


def contents(path: Path, *, mapped: bool) -> tuple[io.BytesIO | mmap.mmap, memoryview]:
    """A whole file as a file object and as its bytes, which are the same memory; never written.

    Raises
    ------
    InputError
    """
    with open_regular(path) as file, _reading():
        size = os.fstat(file.fileno()).st_size
        if mapped and size:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            return mapping, memoryview(mapping)
        memory_file = io.BytesIO(file.read(size + 1))
        return memory_file, memory_file.getbuffer()


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # the latter for a map of a file that was cut off
        mend = "check its permissions"
        raise InputError(f"cannot be read ({reason(error)})", mend=mend) from error


@contextlib.contextmanager
def hdf5(source: io.BytesIO | io.BufferedReader | mmap.mmap) -> Iterator[h5py.File]:
    """Open an HDF5 file to look at.

    Raises
    ------
    ContentError
        If HDF5 stumbles over anything in the body.
    """
    import h5py

    try:
        with h5py.File(source, "r") as file:
            yield file
    except (AeclustError, ContentError):
        raise
    except Exception as error:  # h5py has no error type: a damaged file may raise any
        raise ContentError(f"HDF5 cannot read it ({reason(error)})") from error


@contextlib.contextmanager
def refused(what: str, *, expected: str, mend: str) -> Iterator[None]:
    """Within it, a ContentError becomes an InputError that says what the file is not."""
    try:
        yield
    except ContentError as error:
        raise InputError(f"{what}: {error}", expected=expected, mend=mend) from error


def inspect(file: h5py.File, *, most: int, chunks: bool) -> dict[str, int]:
    """Look at every object of a file without following anything.

    Only hard links, plain filters and plain numbers pass, each object once, within bounds on
    depth and count: a file must not open other files.

    Parameters
    ----------
    file : File
    most : int
        Bytes that its values may take.
    chunks : bool
        Whether datasets may be stored in chunks; aeclust itself stores none so.

    Returns
    -------
    dict of str to int
        What each dataset takes in bytes, by its full name, in the order of names.

    Raises
    ------
    ContentError
    """
    import h5py

    sizes: dict[str, int] = {}
    seen: set[Any] = set()
    pending: list[tuple[h5py.Group, str, int]] = [(file, "", 0)]
    while pending:
        group, prefix, depth = pending.pop()
        for name in group:
            full = prefix + name
            # before it is looked up, or it would be followed as a path
            if "/" in name or name == ".":
                raise ContentError(f"{full!r} is no name")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ContentError(f"{full!r} is a link to somewhere else")
            item = group[name]
            identity = h5py.h5o.get_info(item.id).addr
            if identity in seen or len(seen) >= _MAX_OBJECTS:
                raise ContentError(f"{full!r} repeats an object or exceeds {_MAX_OBJECTS}")
            seen.add(identity)
            if isinstance(item, h5py.Dataset):
                sizes[full] = _inspect_dataset(item, full, chunks=chunks)
            elif not isinstance(item, h5py.Group):
                raise ContentError(f"{full!r} is neither group nor dataset")
            elif depth >= _MAX_DEPTH:
                raise ContentError(f"{full!r} lies deeper than {_MAX_DEPTH} groups")
            else:
                pending.append((item, f"{full}/", depth + 1))
    total, most = sum(sizes.values()), min(_MAX_BYTES, most)
    if total > most:
        raise ContentError(f"it declares {total} bytes of data, more than {most}")
    return dict(sorted(sizes.items()))


def _inspect_dataset(item: h5py.Dataset, full: str, *, chunks: bool) -> int:
    """Refuse what reads other files or holds more than plain values; the size in bytes."""
    import h5py

    plist = item.id.get_create_plist()
    if item.is_virtual or plist.get_external_count():
        raise ContentError(f"{full!r} keeps its data in other files")
    if item.chunks is not None and not chunks:
        raise ContentError(f"{full!r} is stored in chunks")
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    allowed = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    if filters - allowed:
        raise ContentError(f"{full!r} uses filter {min(filters - allowed)}")
    if item.shape is None or not is_plain(item.dtype):
        raise ContentError(f"{full!r} has dtype {item.dtype}")
    # a chunk is read whole, however little of it the dataset has
    values = max(int(item.size), math.prod(item.chunks or ()))
    return values * int(item.dtype.itemsize)


def place_of(item: h5py.Dataset) -> int | None:
    """Where a file holds the values of a dataset one after the other as numpy would, if it does."""
    import h5py

    plain = (
        item.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        and item.id.get_storage_size() == item.nbytes > 0
        and item.id.get_type() == h5py.h5t.py_create(item.dtype, logical=True)
    )
    return int(item.id.get_offset()) if plain else None


def values_of(item: h5py.Dataset, data: memoryview) -> Array:
    """The values of a dataset within the `data` of its file, copied only if they must be."""
    start = place_of(item)
    if start is None:
        return np.asarray(item[()])
    values = np.frombuffer(data, item.dtype, int(item.size), start).reshape(item.shape)
    return values if values.flags.aligned else values.copy()
