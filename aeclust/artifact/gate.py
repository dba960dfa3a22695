"""The gate that every HDF5 file passes: nothing in it is trusted, nothing in it is followed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import math
import mmap
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aeclust.artifact.header import (
    FORMAT,
    MAGIC,
    MAX_ATTRIBUTE,
    MAX_NESTING,
    USER_BLOCK,
    Json,
    nesting,
    user_block,
)
from aeclust.artifact.schema import Array, plain
from aeclust.errors import InputError, near_file

if TYPE_CHECKING:
    import h5py

_MAX_OBJECTS = 4_096
_MAX_DEPTH = 8
_MAX_BYTES = 64 * 2**30

Refuse = Callable[[str], InputError]  # names the file and what is wrong with it


def damaged(where: str, what: str) -> InputError:
    """The error for an artifact that is none, or is not whole."""
    return InputError(
        f"damaged or not from aeclust: {what}",
        where=where,
        expected="a file as aeclust wrote it",
        mend="delete it to have it made anew, or restore a copy",
    )


def unfit(where: str, what: str) -> InputError:
    """The error for an HDF5 file of others that does not pass."""
    return InputError(
        f"cannot be used: {what}",
        where=where,
        expected="an HDF5 file of plain arrays of numbers",
        mend="copy the arrays into a new file",
    )


def regular_size(path: Path) -> int:
    """The size of a regular file in bytes; anything else is an InputError, as is too much."""
    try:
        status = os.stat(path)
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})",
            where=str(path),
            mend=near_file(path, "check the path"),
        ) from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError("is not a regular file", where=str(path), expected="an HDF5 file")
    if status.st_size > _MAX_BYTES:
        raise InputError(
            f"has {status.st_size} bytes", where=str(path), expected=f"at most {_MAX_BYTES}"
        )
    return status.st_size


def contents(path: Path, *, mapped: bool) -> tuple[io.BytesIO | mmap.mmap, memoryview]:
    """A whole file as a file object and as its bytes, which are the same memory; never written."""
    size = regular_size(path)
    try:
        with open(path, "rb") as file:
            if mapped and size:
                mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_COPY)
                return mapping, memoryview(mapping)
            memory_file = io.BytesIO(file.read(size + 1))
            return memory_file, memory_file.getbuffer()
    except (OSError, ValueError) as error:  # the latter if it shrank meanwhile
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(
            f"cannot be read ({reason})", where=str(path), mend="check its permissions"
        ) from error


def verify(data: memoryview, where: str) -> str:
    """Compare the user block with the one that the rest of the file calls for."""
    block = bytes(data[:USER_BLOCK])
    if not block.startswith(MAGIC):
        raise InputError(
            "is not an aeclust artifact",
            where=where,
            expected="a file written by aeclust",
            mend="check the path",
        )
    version = block[len(MAGIC) :].split(b" ")[0]
    if version != str(FORMAT).encode() and version.isdigit() and len(version) < 9:
        raise InputError(
            f"is of format {int(version)}",
            where=where,
            expected=f"format {FORMAT}",
            mend="read it with a newer aeclust",
        )
    digest = hashlib.sha256(data[USER_BLOCK:]).hexdigest()
    if block != user_block(digest):
        raise damaged(where, "its bytes do not match its SHA-256")
    return digest


@contextlib.contextmanager
def opened(
    source: io.BytesIO | io.BufferedReader | mmap.mmap, refuse: Refuse
) -> Iterator[h5py.File]:
    """An HDF5 file to look at; what HDF5 stumbles over in the body is refused in one line."""
    import h5py

    try:
        with h5py.File(source, "r") as file:
            yield file
    # h5py has no error type of its own: a damaged file raises whatever HDF5 stumbled over
    except (
        OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError
    ) as error:  # fmt: skip
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise refuse(f"HDF5 cannot read it ({reason})") from error


def inspect(file: h5py.File, refuse: Refuse, *, most: int, chunks: bool) -> dict[str, int]:
    """Every dataset's name and what it takes in bytes, after a look that follows nothing.

    Only hard links, plain filters and plain numbers pass, each object once, within bounds on
    depth, count and bytes: a file must not open other files, nor hold more than `most` bytes. What
    aeclust writes itself is never stored in `chunks`.
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
                raise refuse(f"{full!r} is no name")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise refuse(f"{full!r} is a link to somewhere else")
            item = group[name]
            identity = h5py.h5o.get_info(item.id).addr
            if identity in seen or len(seen) >= _MAX_OBJECTS:
                raise refuse(f"{full!r} repeats an object or exceeds {_MAX_OBJECTS}")
            seen.add(identity)
            if isinstance(item, h5py.Group):
                if depth >= _MAX_DEPTH:
                    raise refuse(f"{full!r} lies deeper than {_MAX_DEPTH} groups")
                pending.append((item, f"{full}/", depth + 1))
                continue
            if not isinstance(item, h5py.Dataset):
                raise refuse(f"{full!r} is neither group nor dataset")
            sizes[full] = _inspect_dataset(item, full, refuse, chunks=chunks)
    most = min(_MAX_BYTES, most)
    if sum(sizes.values()) > most:
        raise refuse(f"it declares {sum(sizes.values())} bytes of data, more than {most}")
    return dict(sorted(sizes.items()))


def _inspect_dataset(item: h5py.Dataset, full: str, refuse: Refuse, *, chunks: bool) -> int:
    """Refuse what reads other files or holds more than plain values; the size in bytes."""
    import h5py

    plist = item.id.get_create_plist()
    if item.is_virtual or plist.get_external_count():
        raise refuse(f"{full!r} keeps its data in other files")
    if item.chunks is not None and not chunks:
        raise refuse(f"{full!r} is stored in chunks")
    filters = {plist.get_filter(i)[0] for i in range(plist.get_nfilters())}
    allowed = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
    if filters - allowed:
        raise refuse(f"{full!r} uses filter {min(filters - allowed)}")
    if item.shape is None or not plain(item.dtype):
        raise refuse(f"{full!r} has dtype {item.dtype}")
    # a chunk is read whole, however little of it the dataset has
    values = max(int(item.size), math.prod(item.chunks or ()))
    return values * int(item.dtype.itemsize)


def values_of(item: h5py.Dataset, data: memoryview) -> Array:
    """The values of a dataset within the `data` of its file, copied only if they must be."""
    start = place_of(item)
    if start is None:
        return np.asarray(item[()])
    values = np.frombuffer(data, item.dtype, int(item.size), start).reshape(item.shape)
    return values if values.flags.aligned else values.copy()


def place_of(item: h5py.Dataset) -> int | None:
    """Where a file holds the values of a dataset one after the other as numpy would, if it does."""
    import h5py

    plain = (
        item.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        and item.id.get_storage_size() == item.nbytes > 0
        and item.id.get_type() == h5py.h5t.py_create(item.dtype, logical=True)
    )
    return int(item.id.get_offset()) if plain else None


def text_of(file: h5py.File, name: str, where: str) -> str:
    """A text among the attributes of a file, of bounded length."""
    if name not in file.attrs:
        raise damaged(where, f"attribute {name!r} is missing")
    attribute = file.attrs.get_id(name)
    if attribute.dtype.kind != "S" or attribute.shape != ():
        raise damaged(where, f"attribute {name!r} is not a text")
    if attribute.get_storage_size() > MAX_ATTRIBUTE:
        raise damaged(where, f"attribute {name!r} is larger than {MAX_ATTRIBUTE} bytes")
    try:
        return bytes(file.attrs[name]).decode()
    except UnicodeDecodeError:
        raise damaged(where, f"attribute {name!r} is not UTF-8") from None


def json_of(text: str, where: str) -> Json:
    """The value that a JSON text stands for, of bounded depth."""
    if nesting(text) > MAX_NESTING:
        raise damaged(where, "its JSON nests too deep")
    try:
        return json.loads(text)
    except ValueError as error:
        raise damaged(where, f"its JSON does not parse ({error})") from None
