"""Files put in place whole or not at all, whatever dies or fills up meanwhile."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from aeclust.errors import InputError, WriteError, at, near_file, reason

NOT_AS_WRITTEN = "what was read back differs from what was written"

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # the last on Windows

# Where the system lists what processes have open, and how many links in a row are a circle.
_OPEN = re.compile(r"/dev/fd|/proc/.+/fd")
_MOST_LINKS = 40

_PART = 1 << 20  # bytes to read in one go

# What a killed process may leave beside FILE; nobody but its writer ever reads it.
_TEMPORARY = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.tmp")


def read_start(file: BinaryIO, most: int) -> bytes:
    """The first bytes of a file, at most so many; they take no more memory than there are."""
    parts = []
    while most > 0 and (part := file.read(min(most, _PART))):
        parts.append(part)
        most -= len(part)
    return b"".join(parts)


def write_bytes(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that every other process sees the old file or the new one.

    The bytes go to a temporary file in the same folder, are forced to disk, read back, compared,
    and renamed into place.

    Raises
    ------
    WriteError
        If any of it fails; an existing file stays as it was and no temporary file remains.
    """
    view, step = memoryview(data), 1 << 20
    with replacing(path) as file, write_errors(path):
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        chunks = range(0, len(data) + 1, step)
        if any(file.read(step) != view[start : start + step] for start in chunks):
            raise OSError(NOT_AS_WRITTEN)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a new file beside `path`, which takes its place if the body ends well.

    The body forces to disk what it writes.

    Raises
    ------
    WriteError
        If the file cannot be made or put in place.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(temporary, _NEW, _mode(path))
    try:
        file = os.fdopen(handle, "w+b")
        try:
            yield file
        finally:
            with contextlib.suppress(OSError):  # what could not be written is tried once more
                file.close()
        with write_errors(path):
            os.replace(temporary, path)
            _sync_folder(path.parent)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(temporary)


@contextlib.contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Within it, what the system refuses is a WriteError that names `path`."""
    try:
        yield
    except OSError as error:
        raise WriteError(
            f"could not be written ({reason(error)})",
            where=str(path),
            mend="free space or choose another place; what was there before is unharmed",
        ) from error


def _mode(path: Path) -> int:
    """Who may read and write a new file: those who may the old one, but for the umask."""
    try:
        return path.stat().st_mode & 0o777 | 0o600
    except OSError:
        return 0o666


def _sync_folder(folder: Path) -> None:
    # Windows has no handle on a folder to force, some file systems refuse to; by now the new file
    # is in place and whole, so that this is no failure to write.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def remove_leftovers(folder: Path, names: re.Pattern[str]) -> None:
    """Remove what killed writers of files with such names left; only for who locks the folder."""
    for file in folder.glob(".*.tmp"):
        match = _TEMPORARY.fullmatch(file.name)
        if match and names.fullmatch(match[1]):
            with contextlib.suppress(OSError):
                file.unlink()


def output_file(path: Path) -> Path:
    """The file that a user's name for it stands for: links are followed, and so stay what they are.

    Raises
    ------
    InputError
        If a folder, a device, a pipe or an open file such as ``/dev/stdout`` is there, in whose
        place no file is to be put.
    WriteError
        If nobody may look.
    """
    with at(path), write_errors(path):
        if path.is_dir():
            raise InputError("is a folder", expected="a file", mend="add a name to it")
        if (path.exists() and not path.is_file()) or _is_open(path):
            raise InputError(
                "is a device, a pipe or an open file",
                expected="a file, or a new name",
                mend="use `output` - and redirect standard output, as in > FILE",
            )
        return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_open(path: Path) -> bool:
    """Whether it names what a process has open, over its links; others may be writing there too."""
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(path.parent)
        if _OPEN.fullmatch(folder) or not path.is_symlink():
            return bool(_OPEN.fullmatch(folder))
        path = Path(folder) / os.readlink(path)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def read_whole(path: Path, most: int) -> tuple[bytes, str]:
    """What is in a file of at most so many bytes, and its SHA-256.

    Raises
    ------
    InputError
        If there is no such file, or it is larger, or cannot be read.
    """
    with at(path):
        if not path.is_file():  # a FIFO or a device would hang or never end
            what = "is no file" if path.exists() else "is not there"
            raise InputError(what, expected="a file", mend=near_file(path, "check the path"))
        try:
            with open(path, "rb") as file:
                # Python takes memory for all that is asked for, however little there is
                data = file.read(min(most, os.fstat(file.fileno()).st_size) + 1)
        except OSError as error:
            raise InputError(f"cannot be read ({reason(error)})", mend="check the file") from error
        if len(data) > most:
            limit = f"at most {most:,} bytes"
            raise InputError("is too large", expected=limit, mend="choose another")
    return data, hashlib.sha256(data).hexdigest()
