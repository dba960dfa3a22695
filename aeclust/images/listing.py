"""Files that may hold images, wherever they lie: their names, marks, and how one is opened."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError


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
    chosen : bool
        Whether somebody named each of them: one that is not there is missed.
    """

    place: Path
    names: tuple[str, ...]
    marks: NDArray[np.uint64]
    notes: tuple[str, ...] = ()
    chosen: bool = False

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each name, by which it need not be looked for among all."""
        return {name: i for i, name in enumerate(self.names)}

    def where(self, name: str) -> str:
        """What an error about one of the files is about."""
        return str(self.place / name)

    def path(self, name: str) -> Path | None:
        """Where one of the files lies; None if it is in an archive."""
        return self.place / name

    def open(self, name: str) -> BinaryIO:
        """One of the files, for reading (OSError if it is no regular file or cannot be read)."""
        path = self.path(name)
        if path is None or (path.exists() and not path.is_file()):
            raise OSError("not a regular file")  # a FIFO or a device would hang or never end
        return open(path, "rb")


def check_utf8(name: str) -> None:
    """Refuse a name that no file of ours can hold."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        what, mend = "a file name is not UTF-8", "rename it"
        raise InputError(what, where=name, mend=mend) from error


def mark_of(path: str | Path) -> int:
    """A number that a file has until somebody writes, replaces or touches it; 0 if it is gone."""
    try:
        state = os.stat(path)
    except OSError:  # a broken link, say; opening it says why
        return 0
    return mark_by(state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def mark_by(*words: object) -> int:
    """A number that differs where contents differ."""
    text = " ".join(map(str, words))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
