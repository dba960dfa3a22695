"""A ``.zip`` of images, read member by member: nothing is unpacked to disk."""

from __future__ import annotations

import io
import os
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np

from aeclust.errors import AeclustError, InputError, reason
from aeclust.images.gate import HEAD, MAX_BYTES, kind_of
from aeclust.images.listing import Listing, check_utf8, mark_by

ZIPPED = (b"PK\3\4", b"PK\5\6")  # how an archive begins, an empty one in the second way
_MAX_MEMBERS = 2_000_000
_MAX_NAME = 1_024
_ENCRYPTED = 1  # a bit of the flags of a member


@dataclass(frozen=True)
class Archive(Listing):
    """The members of an archive, but for folders and what is hidden.

    A member is unpacked as it is read, and no further than it says that it goes. Several threads
    may read at once.
    """

    file: zipfile.ZipFile = field(kw_only=True, repr=False, compare=False)
    lock: Lock = field(default_factory=Lock, kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path) -> Archive:
        """The archive at a path.

        Raises
        ------
        InputError
            If it cannot be read, or a member's name leads out of it or stands there twice.
        """
        file = _opened(path)
        members = file.infolist()
        if len(members) > _MAX_MEMBERS:
            raise InputError(f"holds {len(members):,} files", expected=f"up to {_MAX_MEMBERS:,}")
        marks: dict[str, int] = {}
        for member in members:
            name = member.filename
            parts = re.split(r"[/\\]", name)
            if len(name) > _MAX_NAME:
                raise InputError("holds a file with an endless name", expected="shorter names")
            if not parts[0] or ".." in parts or ":" in parts[0]:
                raise InputError(f"holds a file named {name!r}", expected="names within it")
            if member.is_dir() or parts[0] == "__MACOSX" or any(p.startswith(".") for p in parts):
                continue
            if name in marks:
                raise InputError(f"holds two files named {name!r}", expected="one of each name")
            check_utf8(name)
            marks[name] = mark_by(member.CRC, member.file_size)
        names = tuple(sorted(marks, key=os.fsencode))
        values = np.fromiter((marks[name] for name in names), np.uint64, len(names))
        return cls(path, names, values, file=file)

    def open(self, name: str) -> BinaryIO:
        """One of the members in memory, of no image only the first bytes."""
        member = self.file.getinfo(name)
        if member.flag_bits & _ENCRYPTED:
            raise OSError("it is encrypted")
        if member.file_size > MAX_BYTES:
            raise OSError(f"it claims more than {MAX_BYTES} bytes")
        try:
            with self.lock:
                stream = self.file.open(member)
            try:
                head = stream.read(HEAD)
                return io.BytesIO(head + stream.read() if kind_of(head) else head)
            finally:
                with self.lock:
                    stream.close()
        except Exception as error:  # whatever zipfile raises on bytes that are no archive
            raise OSError(reason(error)) from error

    def path(self, name: str) -> None:
        """Nowhere by itself."""


def is_array(path: str) -> bool:
    """Whether an archive holds arrays alone, as ``numpy.savez`` writes it."""
    try:
        with zipfile.ZipFile(path) as file:
            names = [name for name in file.namelist() if not name.endswith("/")]
    except AeclustError:  # a signal that ends the command
        raise
    except Exception:  # whatever zipfile raises on bytes that are no archive: reading says why
        return False
    return bool(names) and all(name.endswith(".npy") for name in names)


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except AeclustError:
        raise
    except Exception as error:
        what = f"cannot be read ({reason(error)})"
        raise InputError(what, expected="a whole .zip file", mend="copy it again") from error
