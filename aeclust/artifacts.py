"""The artifact format, and the only module that opens HDF5.

An artifact is an HDF5 file behind a 512-byte user block that holds the format version and the
SHA-256 of everything after it::

    aeclust artifact 1 sha256:<64 hexadecimal digits>\n, then zeros up to byte 512

so that any flipped bit is found. Root attributes say what the file is (``kind``, ``recipe``,
``seed``, ``parents``, ``versions``, ``details``; all but ``kind`` are JSON), datasets hold the
arrays. Nothing in a file depends on the clock or on a path: equal content gives equal bytes.

Writing lays a file out, fills it with whole arrays and with blocks of rows, and puts it in place
whole or not at all. Reading goes through one gate that trusts nothing in the file.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import math
import mmap
import os
import re
import stat
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError, WriteError, near_file

if TYPE_CHECKING:
    import h5py

FORMAT = 1
_BLOCK = 512
_MAGIC = b"aeclust artifact "

Array = NDArray[Any]
Json = Any
Refuse = Callable[[str], InputError]  # names the file and what is wrong with it

# What a dataset may hold: dtype kinds and sizes in bytes, None for any size.
_DTYPES = {"f": (4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,), "S": None}
_MAX_ATTRIBUTE = 64_000
_MAX_OBJECTS = 4_096
_MAX_DEPTH = 8
_MAX_JSON_DEPTH = 32
_MAX_BYTES = 64 * 2**30
_PAGE = 4_096
_CHUNK = 2**20  # bytes written, read back and looked at in one go
_IN_PARTS = "save it as .npy, which is read in parts"
_SPOILT = "what was read back differs from what was written"
_SHARE = 0.25  # of the machine's memory, for what is decoded and can as well lie on disk
_GZIP = 1_100  # times smaller than its content, at the very best


@dataclass(frozen=True)
class _Dataset:
    dtype: str  # "ids" for int64 or fixed-width UTF-8
    shape: tuple[str, ...]  # one letter for each axis, equal letters for equal lengths
    required: bool = True


# A trailing slash is a group whose datasets the network itself checks, name by name.
_SCHEMAS: dict[str, dict[str, _Dataset]] = {
    "images": {
        "pixels": _Dataset("uint8", ("n", "h", "w", "c")),
        "ids": _Dataset("ids", ("n",)),
        "skipped": _Dataset("ids", ("s",), required=False),
    },
    "weights": {"state_dict/": _Dataset("any", ())},
    "resume": {
        "state_dict/": _Dataset("any", ()),
        "optimizer/": _Dataset("any", (), required=False),
        "progress": _Dataset("float64", ("p",)),
        "targets": _Dataset("float32", ("n", "k"), required=False),
    },
    "latents": {
        "latents": _Dataset("float32", ("n", "d")),
        "ids": _Dataset("ids", ("n",)),
        "fingerprints": _Dataset("uint64", ("n",)),
        "colours": _Dataset("float32", ("n", "c"), required=False),
        "assignments": _Dataset("float32", ("n", "k"), required=False),
    },
    "labels": {
        "labels": _Dataset("int64", ("n",)),
        "confidence": _Dataset("float32", ("n",)),
        "ids": _Dataset("ids", ("n",)),
        "fingerprints": _Dataset("uint64", ("n",)),
        "reference_latents": _Dataset("float32", ("m", "d")),
        "reference_labels": _Dataset("int64", ("m",)),
        "shares": _Dataset("float32", ("n", "k"), required=False),
        "reference_shares": _Dataset("float32", ("m", "k"), required=False),
        "embedding": _Dataset("float32", ("n", "e"), required=False),
    },
    "embedding": {
        "embedding": _Dataset("float32", ("n", "e")),
        "ids": _Dataset("ids", ("n",)),
    },
    "curve": {
        "epochs": _Dataset("int64", ("p",)),
        "errors": _Dataset("float64", ("p",)),
        "accuracies": _Dataset("float64", ("p",), required=False),
        "rank": _Dataset("float64", ("p",)),
        "view_neighbours": _Dataset("float64", ("p",)),
        "view_clusters": _Dataset("float64", ("p",)),
        "information": _Dataset("float64", ("p",)),
        "half_agreement": _Dataset("float64", ("p",)),
        "separation": _Dataset("float64", ("p",)),
    },
}
KINDS = tuple(_SCHEMAS)

# What a killed process may leave beside FILE; nobody but its writer ever reads it.
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp")


@dataclass(frozen=True)
class Artifact:
    """What a file says.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    arrays : mapping of str to ndarray
        Datasets by their full name (``latents``, ``state_dict/encoder.0.weight``).
    recipe : dict
        The recipe as JSON values.
    seed : int
    parents : dict of str to str
        SHA-256 of what the file was made from, by role (``data``, ``weights``, ``latents``).
    details : dict
        JSON values of this kind, such as the epoch of the weights.
    versions : dict of str to str
        Library versions at writing.
    digest : str
        SHA-256 of the file after its user block, in hexadecimal: its identity as a parent.
    """

    kind: str
    arrays: Mapping[str, Array]
    recipe: dict[str, Json]
    seed: int
    parents: dict[str, str]
    details: dict[str, Json]
    versions: dict[str, str] = field(default_factory=dict)
    digest: str = ""

    def with_digest(self, digest: str) -> Artifact:
        """The same artifact after writing, when its digest is known."""
        return dataclasses.replace(self, digest=digest)

    def group(self, prefix: str) -> dict[str, Array]:
        """The datasets below `prefix` by their name inside it."""
        return {
            name[len(prefix) :]: value
            for name, value in self.arrays.items()
            if name.startswith(prefix)
        }


def write(path: Path, artifact: Artifact) -> str:
    """Write an artifact whole or not at all; returns its digest.

    Raises
    ------
    ValueError
        If an array does not fit the schema of the kind, or holds NaN or infinity: nothing of the
        sort may reach a disk.
    WriteError
        As for :func:`write_bytes`.
    """
    return write_blocks(path, artifact, 0, ())


def write_blocks(
    path: Path, artifact: Artifact, rows: int, blocks: Iterable[Mapping[str, Array]]
) -> str:
    """Write an artifact with more values than memory holds, whole or not at all.

    The bytes are those that :func:`write` gives for the same content.

    Parameters
    ----------
    path : Path
    artifact : Artifact
        Its arrays are written as they are.
    rows : int
        Rows of every further dataset.
    blocks : iterable of mapping of str to ndarray
        Consecutive rows of the further datasets, each block with all of them.

    Returns
    -------
    str
        The digest.

    Raises
    ------
    ValueError
        As for :func:`write`, and if the blocks do not fit each other or have other rows in total.
    WriteError
        As for :func:`write_bytes`.
    """
    rest = iter(blocks)
    first = next(rest, {})
    kind, whole = artifact.kind, {name: _storable(a) for name, a in artifact.arrays.items()}
    shapes = {name: _Shape(a.dtype, a.shape) for name, a in whole.items()}
    shapes |= {name: _Shape(a.dtype, (rows, *a.shape[1:])) for name, a in first.items()}
    _refuse_to_write(kind, _misfit(kind, shapes) or _bad_values(whole))
    parts = _lay_out(artifact, shapes)
    with _replacing(path) as file:
        draft = _Draft(file, parts)
        with _told(path):
            draft.begin(whole)
        done = 0
        for block in chain([first] if first else [], rest):
            counts = {len(a) for a in block.values()}
            fitting = {n: _Shape(a.dtype, (rows, *a.shape[1:])) for n, a in block.items()}
            done += max(counts)
            if len(counts) > 1 or done > rows or fitting != {n: shapes[n] for n in first}:
                raise ValueError(f"{kind}: a block does not fit those before it, or {rows} rows")
            _refuse_to_write(kind, _bad_values(block))
            with _told(path):
                draft.append(block)
        if first and done != rows:
            raise ValueError(f"{kind}: the blocks have {done} rows instead of {rows}")
        with _told(path):
            return draft.finish()


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that every other process sees the old file or the new one.

    The bytes go to a temporary file in the same folder, are forced to disk, read back, compared,
    and renamed into place.

    Raises
    ------
    WriteError
        If any of it fails; an existing file stays as it was and no temporary file remains.
    """
    with _replacing(path) as file, _told(path):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        if not _same(file, data):
            raise OSError(_SPOILT)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what killed writers of files with such names left; only for who locks the folder."""
    with contextlib.suppress(OSError):  # no folder, nothing left
        for file in folder.iterdir():
            match = _TEMPORARY.fullmatch(file.name)
            if match and names.fullmatch(match[1]):
                file.unlink()


def read(path: Path, kind: str | None = None, *, mapped: bool = False) -> Artifact:
    """Read and verify a whole artifact.

    The bytes that were verified are those that are used: the file is opened once, and neither a
    path nor a byte is looked up again.

    Parameters
    ----------
    path : Path
    kind : str, optional
        The kind expected; None takes any.
    mapped : bool
        Leave the arrays in the file and map them into memory. They stay those of this file if
        another takes its name, as every writer here does it, but show what a foreign program
        writes into it later. Windows replaces no file that is mapped: there they are read.

    Raises
    ------
    InputError
        If the file is missing, is no artifact, is damaged, is of a newer format or another kind,
        or holds anything that the format does not have.
    """
    where = str(path)
    source, data = _contents(path, mapped=mapped and os.name != "nt")
    digest = _verify(data, where)
    refuse = partial(_damaged, where)
    with _opened(source, refuse) as file:
        names = list(_inspect(file, refuse, most=len(data), chunks=False))
        found = _text(file, "kind", where)
        if found not in _SCHEMAS:
            raise _damaged(where, f"kind {found!r} is unknown")
        if kind is not None and found != kind:
            raise InputError(
                f"this is a {found} file",
                where=where,
                expected=f"a {kind} file",
                mend="name another",
            )
        header = {
            name: _json(_text(file, name, where), where)
            for name in ("recipe", "seed", "parents", "details", "versions")
        }
        for name, value in header.items():
            if type(value) is not (int if name == "seed" else dict):  # True is no seed
                raise _damaged(where, f"attribute {name!r} has the wrong type")
        arrays = {name: _values(file[name], data) for name in names}
    problem = _misfit(found, {name: _Shape(a.dtype, a.shape) for name, a in arrays.items()})
    problem = problem or _bad_values(arrays)
    if problem:
        raise _damaged(where, problem)
    return Artifact(kind=found, arrays=arrays, digest=digest, **header)


def is_artifact(path: Path) -> bool:
    """Whether the file starts as artifacts do; it may still be damaged."""
    if not path.is_file():  # opening a FIFO would wait
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def claimed_digest(path: Path) -> str:
    """The digest that a file's user block states, without verifying it; empty if there is none."""
    if not is_artifact(path):
        return ""
    with open(path, "rb") as file:
        found = re.match(_MAGIC + rb"\d+ sha256:([0-9a-f]{64})\n", file.read(_BLOCK))
    return found[1].decode() if found else ""


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
    size = _regular_size(path)
    refuse = partial(_unfit, where)
    try:
        source = open(path, "rb")  # noqa: SIM115 - closed by the with below
    except OSError as error:
        raise refuse(f"it cannot be opened ({error.strerror})") from error
    with source, _opened(source, refuse) as file:
        sizes = _inspect(file, refuse, most=size * _GZIP, chunks=True)
        if key is None:
            key = only_key({name: file[name].ndim for name in sizes}, axes, where)
        elif key not in sizes:
            raise missing_key(key, list(sizes), where)
        check = partial(memory.check, what=repr(key), where=where, mend=_IN_PARTS)
        item, there = file[key], memory.machine()
        start = _place(item)
        if start is not None and item.ndim:
            return key, np.memmap(source, item.dtype, "r", start, item.shape)
        if item.chunks and item.size and there is not None and sizes[key] > there * _SHARE:
            # rows of whole chunks, so that each is decoded once, of about 16 MiB
            rows, row = int(item.chunks[0]), item.nbytes // len(item)
            rows *= max(1, 16 * _CHUNK // (rows * row))
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


def encode_ids(ids: Array) -> Array:
    """Ids as stored: int64, or UTF-8 bytes of one width."""
    return (
        np.char.encode(ids, "utf-8") if ids.dtype.kind == "U" else ids.astype(np.int64, copy=False)
    )


def decode_ids(ids: Array) -> Array:
    """The inverse of :func:`encode_ids`."""
    return np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids


# -- writing -----------------------------------------------------------------------------------


class _Shape(NamedTuple):
    dtype: np.dtype[Any]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Part:
    """A stretch of a file: the values of the dataset `name`, or else HDF5's `own` bytes."""

    start: int
    length: int
    name: str = ""
    own: bytes = b""


def _lay_out(artifact: Artifact, shapes: Mapping[str, _Shape]) -> list[_Part]:
    """All that follows the user block, in order; HDF5 builds it but for the values."""
    import h5py

    skeleton = _Skeleton()
    values: list[_Part] = []
    with h5py.File(skeleton, "w", userblock_size=_BLOCK) as file:
        file.attrs["kind"] = np.bytes_(artifact.kind.encode())
        for name in ("recipe", "seed", "parents", "details"):
            file.attrs[name] = _json_bytes(getattr(artifact, name))
        file.attrs["versions"] = _json_bytes(_library_versions())
        for name in sorted(shapes):
            dtype, shape = shapes[name]
            # contiguous and without times: the same arrays, the same bytes
            dataset = file.create_dataset(name, shape, dtype, track_times=False)
            if dataset.size:
                dataset[(0,) * len(shape)] = np.zeros((), dtype)  # with a value it gets its place
                values.append(_Part(dataset.id.get_offset(), dataset.nbytes, name))
    parts, start = [], _BLOCK
    for part in (*sorted(values, key=lambda part: part.start), _Part(skeleton.size, 0)):
        skeleton.seek(start)
        own = skeleton.read(part.start - start) or b""
        parts += [_Part(start, len(own), own=own), part]
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


class _Draft:
    """A file that is being filled, part by part."""

    def __init__(self, file: io.BufferedRandom, parts: list[_Part]) -> None:
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
        self._file.write(_user_block(digest))
        self._file.flush()
        os.fsync(self._file.fileno())
        handed = {name: found.hexdigest() for name, found in self._hashes.items()}
        same = self._read_back() == (digest, handed)
        self._file.seek(0)
        if not same or self._file.read(_BLOCK) != _user_block(digest):
            raise OSError(_SPOILT)
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
        self._file.seek(_BLOCK)
        for part in self._parts:
            for at in range(0, part.length, _CHUNK):
                data = self._file.read(min(_CHUNK, part.length - at))
                whole.update(data)
                each[part.name].update(data)
        whole.update(self._file.read(1))  # there should be no more
        return whole.hexdigest(), {name: found.hexdigest() for name, found in each.items()}


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[io.BufferedRandom]:
    """A new file beside `path`, which takes its place if the body ends well."""
    temporary = ""
    try:
        with _told(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(
                prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
            )
            file = os.fdopen(handle, "w+b")
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):  # what could not be written is tried once more
                file.close()
        with _told(path):
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"could not be written ({error.strerror or error})",
            where=str(path),
            mend="free space or choose another place; what was there before is unharmed",
        ) from error


def _refuse_to_write(kind: str, problem: str) -> None:
    if problem:
        raise ValueError(f"{kind}: {problem}")


def _storable(value: Array) -> Array:
    # HDF5 has no empty text width
    return value.astype("S1") if value.dtype.kind == "S" and value.dtype.itemsize == 0 else value


def _json_bytes(value: Json) -> np.bytes_:
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    if len(text) > _MAX_ATTRIBUTE or _nesting(text) > _MAX_JSON_DEPTH:
        raise ValueError(f"the header is too large or nests too deep: {text[:60]}...")
    return np.bytes_(text.encode())


def _user_block(digest: str) -> bytes:
    return (_MAGIC + f"{FORMAT} sha256:{digest}\n".encode()).ljust(_BLOCK, b"\0")


def _library_versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("aeclust", "h5py", "numpy", "scikit-learn", "torch")}


def _same(file: io.BufferedRandom, data: bytes) -> bool:
    view, step = memoryview(data), 1 << 20
    return all(
        file.read(step) == view[start : start + step] for start in range(0, len(data), step)
    ) and not file.read(1)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    # Windows has no handle on a folder to force, some file systems refuse to; by now the new file
    # is in place and whole, so that this is no failure to write.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# -- the gate ----------------------------------------------------------------------------------


def _damaged(where: str, what: str) -> InputError:
    return InputError(
        f"damaged or not from aeclust: {what}",
        where=where,
        expected="a file as aeclust wrote it",
        mend="delete it to have it made anew, or restore a copy",
    )


def _unfit(where: str, what: str) -> InputError:
    return InputError(
        f"cannot be used: {what}",
        where=where,
        expected="an HDF5 file of plain arrays of numbers",
        mend="copy the arrays into a new file",
    )


def _regular_size(path: Path) -> int:
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


def _contents(path: Path, *, mapped: bool) -> tuple[io.BytesIO | mmap.mmap, memoryview]:
    """A whole file as a file object and as its bytes, which are the same memory; never written."""
    size = _regular_size(path)
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


def _verify(data: memoryview, where: str) -> str:
    """Compare the user block with the one that the rest of the file calls for."""
    block = bytes(data[:_BLOCK])
    if not block.startswith(_MAGIC):
        raise InputError(
            "is not an aeclust artifact",
            where=where,
            expected="a file written by aeclust",
            mend="check the path",
        )
    version = block[len(_MAGIC) :].split(b" ")[0]
    if version != str(FORMAT).encode() and version.isdigit() and len(version) < 9:
        raise InputError(
            f"is of format {int(version)}",
            where=where,
            expected=f"format {FORMAT}",
            mend="read it with a newer aeclust",
        )
    digest = hashlib.sha256(data[_BLOCK:]).hexdigest()
    if block != _user_block(digest):
        raise _damaged(where, "its bytes do not match its SHA-256")
    return digest


@contextlib.contextmanager
def _opened(
    source: io.BytesIO | io.BufferedReader | mmap.mmap, refuse: Refuse
) -> Iterator[h5py.File]:
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


def _inspect(file: h5py.File, refuse: Refuse, *, most: int, chunks: bool) -> dict[str, int]:
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
    if item.shape is None or not _plain(item.dtype):
        raise refuse(f"{full!r} has dtype {item.dtype}")
    # a chunk is read whole, however little of it the dataset has
    values = max(int(item.size), math.prod(item.chunks or ()))
    return values * int(item.dtype.itemsize)


def _values(item: h5py.Dataset, data: memoryview) -> Array:
    """The values of a dataset within the `data` of its file, copied only if they must be."""
    start = _place(item)
    if start is None:
        return np.asarray(item[()])
    values = np.frombuffer(data, item.dtype, int(item.size), start).reshape(item.shape)
    return values if values.flags.aligned else values.copy()


def _place(item: h5py.Dataset) -> int | None:
    """Where a file holds the values of a dataset one after the other as numpy would, if it does."""
    import h5py

    plain = (
        item.id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
        and item.id.get_storage_size() == item.nbytes > 0
        and item.id.get_type() == h5py.h5t.py_create(item.dtype, logical=True)
    )
    return int(item.id.get_offset()) if plain else None


def _decoded(item: h5py.Dataset, rows: int) -> Array:
    """The values of a dataset in a temporary file, which lasts as long as its memory map."""
    folder = Path(tempfile.gettempdir())
    with _told(folder):
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by the with below
    with file:
        for start in range(0, len(item), rows):
            block = np.ascontiguousarray(item[start : start + rows])
            with _told(folder):
                file.write(block.data)
                file.flush()
        return np.memmap(file, item.dtype, "r", 0, item.shape)


def _plain(dtype: np.dtype[Any]) -> bool:
    sizes = _DTYPES.get(dtype.kind, ())
    return sizes is None or dtype.itemsize in sizes


def _text(file: h5py.File, name: str, where: str) -> str:
    if name not in file.attrs:
        raise _damaged(where, f"attribute {name!r} is missing")
    attribute = file.attrs.get_id(name)
    if attribute.dtype.kind != "S" or attribute.shape != ():
        raise _damaged(where, f"attribute {name!r} is not a text")
    if attribute.get_storage_size() > _MAX_ATTRIBUTE:
        raise _damaged(where, f"attribute {name!r} is larger than {_MAX_ATTRIBUTE} bytes")
    try:
        return bytes(file.attrs[name]).decode()
    except UnicodeDecodeError:
        raise _damaged(where, f"attribute {name!r} is not UTF-8") from None


def _nesting(text: str) -> int:
    """How deep the brackets of a JSON text nest; those inside strings do not count."""
    depth = deepest = 0
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def _json(text: str, where: str) -> Json:
    if _nesting(text) > _MAX_JSON_DEPTH:
        raise _damaged(where, "its JSON nests too deep")
    try:
        return json.loads(text)
    except ValueError as error:
        raise _damaged(where, f"its JSON does not parse ({error})") from None


def _misfit(kind: str, arrays: Mapping[str, _Shape]) -> str:
    """What keeps arrays so shaped from being a file of this kind, or an empty text."""
    schema = _SCHEMAS[kind]
    groups = tuple(name for name in schema if name.endswith("/"))
    missing = [
        name
        for name, spec in schema.items()
        if spec.required
        and not any(a == name or a.startswith(f"{name.rstrip('/')}/") for a in arrays)
    ]
    unexpected = [a for a in arrays if a not in schema and not a.startswith(groups or "\0")]
    if missing or unexpected:
        lists = [", ".join(names) or "nothing" for names in (missing, unexpected)]
        return f"missing {lists[0]}, unexpected {lists[1]}"
    lengths: dict[str, int] = {}
    for name, value in arrays.items():
        if not _plain(value.dtype):
            return f"{name!r} has dtype {value.dtype}"
        spec = schema.get(name)
        if spec is None:
            continue
        wanted = value.dtype.kind == "S" or value.dtype == np.int64
        if not (wanted if spec.dtype == "ids" else value.dtype == np.dtype(spec.dtype)):
            return f"{name!r} has dtype {value.dtype} instead of {spec.dtype}"
        if len(value.shape) != len(spec.shape):
            return f"{name!r} has {len(value.shape)} dimensions instead of {len(spec.shape)}"
        for letter, length in zip(spec.shape, value.shape, strict=True):
            if lengths.setdefault(letter, length) != length:
                return f"{name!r} has {length} rows or columns where others have {lengths[letter]}"
    return ""


def _bad_values(arrays: Mapping[str, Array]) -> str:
    """Which of them holds what no file may hold, or an empty text."""
    for name, value in arrays.items():
        step = max(1, _CHUNK // max(1, value.dtype.itemsize))
        flat = value.reshape(-1)
        for start in range(0, flat.size, step):
            some = flat[start : start + step]
            if some.dtype.kind == "f" and not np.isfinite(some).all():
                return f"{name!r} holds NaN or infinity"
            if some.dtype.kind == "S" and not _is_utf8(some):
                return f"{name!r} is not UTF-8"
    return ""


def _is_utf8(ids: Array) -> bool:
    try:
        decode_ids(ids)
    except UnicodeDecodeError:
        return False
    return True
