"""Which files may hold images: named, marked, and not opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError, at, printable, reason

TABLE = "labels.csv"  # of a folder that export made
TABLE_HEADER = "id,label,confidence,name,file"
_RUNS = ("run.json", "run.json.next")  # a folder with one of them is a run


@dataclass(frozen=True)
class Listing:
    """Files that may hold images, in the order of their names.

    Attributes
    ----------
    place : Path
        What they lie in.
    names : tuple of str
        Relative POSIX paths, sorted bytewise.
    marks : ndarray of shape (n,)
        uint64; a file that was written to, replaced or touched has another one.
    notes : tuple of str
        What was passed over, in words.
    """

    place: Path
    names: tuple[str, ...]
    marks: NDArray[np.uint64]
    notes: tuple[str, ...] = ()

    def open(self, name: str) -> BinaryIO:
        """One of the files, for reading (OSError if it is no regular file or cannot be read)."""
        path = self.place / name
        if not path.is_file():  # a FIFO or a device would hang or never end
            raise OSError("not a regular file")
        return open(path, "rb")


def is_files(location: str) -> bool:
    """Whether a location is one of files of images, rather than of an array or a built-in set."""
    return not location.startswith("demo:") and os.path.isdir(location)


def look(location: str) -> Listing | None:
    """The files at a location; None if there are none, because it is an array, or gone.

    Nothing below a run folder, nor what ``aeclust export`` made, is listed.

    Raises
    ------
    InputError
        If a folder cannot be listed, or a name is not UTF-8.
    """
    if not is_files(location):
        return None
    names: list[str] = []
    links: list[str] = []
    folder = Path(location)
    with at(folder):
        for parent, name, is_link in _walk(folder):
            (links if is_link else names).append((parent / name).as_posix())
        names.sort(key=os.fsencode)
        for name in names:
            try:
                name.encode()
            except UnicodeEncodeError as error:
                raise InputError(
                    "a file name is not UTF-8", where=name, mend="rename it"
                ) from error
    marks = np.fromiter((mark_of(folder / name) for name in names), np.uint64, len(names))
    return Listing(folder, tuple(names), marks, _linked(sorted(links, key=os.fsencode)))


def _walk(folder: Path) -> Iterator[tuple[Path, str, bool]]:
    """Folder, name, and whether it is a link to a folder, of everything visible below."""
    for parent, folders, names in os.walk(folder, onerror=_refuse_folder):
        exported = parent != str(folder) and _is_export(parent, names)  # who names one means it
        if exported or any(name in names for name in _RUNS):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(parent).relative_to(folder)
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                yield place, name, True
        for name in names:
            if not name.startswith("."):
                yield place, name, False


def _is_export(parent: str, names: list[str]) -> bool:
    if TABLE not in names:
        return False
    try:
        with open(os.path.join(parent, TABLE), "rb") as file:
            return (
                file.read(len(TABLE_HEADER) + 3)
                .lstrip(b"\xef\xbb\xbf")
                .startswith(TABLE_HEADER.encode())
            )
    except OSError:
        return False


def _refuse_folder(error: OSError) -> None:
    place, mend = str(error.filename), "check its permissions"
    raise InputError(f"cannot be read ({reason(error)})", where=place, mend=mend) from error


def _linked(links: list[str]) -> tuple[str, ...]:
    """Folders that are not followed: they may lead anywhere."""
    if not links:
        return ()
    return (f"{len(links)} linked folder{'s' * (len(links) != 1)} ({printable(links[0])})",)


def mark_of(path: str | Path) -> int:
    """A number that a file keeps until somebody writes, replaces or touches it; 0 if it is gone."""
    try:
        state = os.stat(path)
    except OSError:  # a broken link, say; opening it says why
        return 0
    words = f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"
    return int.from_bytes(hashlib.blake2b(words.encode(), digest_size=8).digest(), "little")
