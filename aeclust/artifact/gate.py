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
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5o, h5t, h5z

from aeclust.artifact.schema import Array, ContentError, is_plain
from aeclust.errors import AeclustError, InputError, near_file, reason, unreadable

_MAX_OBJECTS = 4_096
_MAX_DEPTH = 8
_MAX_BYTES = 64 * 2**30


@contextlib.contextmanager
def refused(what: str, *, expected: str, mend: str) -> Iterator[None]:
    """Within it, whatever is wrong with a file is an InputError that says what it is not."""
    try:
        yield
    except AeclustError:
        raise
    except MemoryError as error:  # says nothing about the file
        raise too_large() from error
    except ContentError as error:
        raise InputError(f"{what}: {error}", expected=expected, mend=mend) from error
    except Exception as error:  # h5py has no error type: a damaged file may raise any
        what = f"{what}: HDF5 cannot read it ({reason(error)})"
        raise InputError(what, expected=expected, mend=mend) from error


def too_large() -> InputError:
    """What a file is for which no memory is left."""
    return InputError("does not fit into the memory that is left", mend="close other programs")


def open_regular(path: Path) -> io.BufferedReader:
    """Open a regular file of bounded size (InputError for any other, which is not waited for)."""
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise InputError("is not a regular file", expected="an HDF5 file")
        if status.st_size > _MAX_BYTES:
            raise InputError(f"has {status.st_size} bytes", expected=f"at most {_MAX_BYTES}")
        return open(path, "rb")
    except OSError as error:
        denied = isinstance(error, PermissionError)
        mend = near_file(path, "check its permissions" if denied else "check the path")
        raise unreadable(error, mend=mend) from error


def contents(path: Path, *, mapped: bool) -> tuple[io.BytesIO | mmap.mmap, memoryview]:
    """A whole file as a file object and as its bytes, which are the same memory; never written."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if mapped and size:
                mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
                return mapping, memoryview(mapping)
            copy = io.BytesIO(file.read(size + 1))
            return copy, copy.getbuffer()
    except OSError as error:
        raise InputError(
            f"cannot be read ({reason(error)})", mend="check its permissions"
        ) from error
    except MemoryError as error:
        raise too_large() from error


def inspect(file: h5py.File, *, most: int) -> dict[str, int]:
    """Look at every object of an artifact without following anything.

    Only hard links and plain numbers in one piece pass, each object once, within bounds on depth
    and count: a file must not open other files.

    Parameters
    ----------
    file : File
    most : int
        Bytes that its values may take.

    Returns
    -------
    dict of str to int
        What each dataset takes in bytes, by its full name, in the order of names.

    Raises
    ------
    ContentError
    """
    sizes: dict[str, int] = {}
    for full, item in datasets(file):
        check_storage(item, full)
        if item.chunks is not None:
            raise ContentError(f"{full!r} is stored in chunks")
        if item.shape is None or not is_plain(item.dtype):
            raise ContentError(f"{full!r} has dtype {item.dtype}")
        sizes[full] = size_of(item)
    check_total(sum(sizes.values()), most)
    return dict(sorted(sizes.items()))


def check_total(total: int, most: int) -> None:
    """Refuse values of more bytes than a file can hold (ContentError)."""
    most = min(_MAX_BYTES, most)
    if total > most:
        raise ContentError(f"it declares {total} bytes of data, more than {most}")


def datasets(file: h5py.File, key: str | None = None) -> Iterator[tuple[str, h5py.Dataset]]:
    """Every dataset of a file with its full name, found by hard links alone.

    Parameters
    ----------
    file : File
    key : str, optional
        Nothing is opened but the dataset of this name and the groups that lead to it.

    Raises
    ------
    ContentError
        For a link, an object met twice, and what lies beyond the bounds on depth and count.
    """
    seen: set[Any] = set()
    pending: list[tuple[h5py.Group, str, int]] = [(file, "", 0)]
    while pending:
        group, prefix, depth = pending.pop()
        for name in group:
            full = prefix + name
            if key is not None and key != full and not key.startswith(f"{full}/"):
                continue
            # before it is looked up, or it would be followed as a path
            if "/" in name or name == ".":
                raise ContentError(f"{full!r} is no name")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ContentError(f"{full!r} is a link to somewhere else")
            item = group[name]
            identity = h5o.get_info(item.id).addr
            if identity in seen or len(seen) >= _MAX_OBJECTS:
                raise ContentError(f"{full!r} repeats an object or exceeds {_MAX_OBJECTS}")
            seen.add(identity)
            if isinstance(item, h5py.Dataset):
                yield full, item
            elif not isinstance(item, h5py.Group):
                raise ContentError(f"{full!r} is neither group nor dataset")
            elif depth >= _MAX_DEPTH:
                raise ContentError(f"{full!r} lies deeper than {_MAX_DEPTH} groups")
            else:
                pending.append((item, f"{full}/", depth + 1))


def check_storage(item: h5py.Dataset, full: str) -> None:
    """Refuse a dataset whose values lie in other files, or behind code of others (ContentError)."""
    plist = item.id.get_create_plist()
    if item.is_virtual or plist.get_external_count():
        raise ContentError(f"{full!r} keeps its data in other files")
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    filters -= {h5z.FILTER_DEFLATE, h5z.FILTER_SHUFFLE, h5z.FILTER_FLETCHER32}
    if filters:
        raise ContentError(f"{full!r} uses filter {min(filters)}")


def size_of(item: h5py.Dataset) -> int:
    """The bytes that reading a dataset takes: a chunk is read whole, however little is used."""
    return max(int(item.size), math.prod(item.chunks or ())) * int(item.dtype.itemsize)


def place_of(item: h5py.Dataset) -> int | None:
    """Where a file holds the values of a dataset one after the other as numpy would, if it does."""
    plain = (
        item.id.get_create_plist().get_layout() == h5d.CONTIGUOUS
        and item.id.get_storage_size() == item.nbytes > 0
        and item.id.get_type() == h5t.py_create(item.dtype, logical=True)
    )
    return int(item.id.get_offset()) if plain else None


def values_of(item: h5py.Dataset, data: memoryview) -> Array:
    """The values of a dataset within the `data` of its file, copied only if they must be."""
    start = place_of(item)
    if start is None:
        return np.asarray(item[()])
    values = np.frombuffer(data, item.dtype, int(item.size), start).reshape(item.shape)
    return values if values.flags.aligned else values.copy()
