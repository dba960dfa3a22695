"""A ``.zip`` of images, read member by member: nothing is unpacked to disk."""

from __future__ import annotations

import io
import os
import re
import struct
import zipfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from aeclust.errors import AeclustError, InputError, reason
from aeclust.images.gate import HEAD, MAX_BYTES, kind_of
from aeclust.images.listing import Listing, check_utf8, mark_by

ZIPPED = (b"PK\3\4", b"PK\5\6")  # how an archive begins, an empty one in the second way
_MAX_MEMBERS = 2_000_000
_MAX_NAME = 1_024
# before the bytes of a member: so many bytes, of which the last four are the lengths of two texts
_HEADER, _LENGTHS = 30, 26
_PIECE = 1 << 20
_UNIX, _SAYS_UTF8 = 3, 0x800
_ENCRYPTED = 1  # a bit of the flags of a member


@dataclass(frozen=True)
class Archive(Listing):
    """The members of an archive, but for folders and what is hidden.

    A member is unpacked as it is read, and no further than it says that it goes. Several threads
    may read at once.
    """

    members: dict[str, zipfile.ZipInfo] = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path) -> Archive:
        """The archive at a path.

        Raises
        ------
        InputError
            If it cannot be read, or a member's name leads out of it or stands there twice.
        """
        infos = _members(path)
        if len(infos) > _MAX_MEMBERS:
            raise InputError(f"holds {len(infos):,} files", expected=f"up to {_MAX_MEMBERS:,}")
        members: dict[str, zipfile.ZipInfo] = {}
        for member in infos:
            name = _name(member)
            parts = re.split(r"[/\\]", name)
            if len(name) > _MAX_NAME:
                raise InputError("holds a file with an endless name", expected="shorter names")
            if not parts[0] or ".." in parts or ":" in parts[0]:
                raise InputError(f"holds a file named {name!r}", expected="names within it")
            hidden = any(part.startswith(".") and part != "." for part in parts)
            if member.is_dir() or parts[0] == "__MACOSX" or hidden:
                continue
            if name in members:
                raise InputError(f"holds two files named {name!r}", expected="one of each name")
            check_utf8(name)
            members[name] = member
        names = tuple(sorted(members, key=os.fsencode))
        marks = [mark_by(members[name].CRC, members[name].file_size) for name in names]
        return cls(path, names, np.array(marks, np.uint64), members=members)

    def open(self, name: str) -> BinaryIO:
        """One of the members in memory, of no image only the first bytes."""
        member = self.members.get(name)
        if member is None:
            raise OSError("it is not there")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise OSError("it is packed otherwise than by deflate")  # which cannot be bounded
        if member.flag_bits & _ENCRYPTED:
            raise OSError("it is encrypted")
        if member.file_size > MAX_BYTES:
            raise OSError(f"it claims more than {MAX_BYTES} bytes")
        try:
            with open(self.place, "rb") as file:
                file.seek(member.header_offset)
                header = file.read(_HEADER)
                if len(header) < _HEADER or not header.startswith(ZIPPED[0]):
                    raise OSError("its header is missing")
                file.seek(sum(struct.unpack_from("<HH", header, _LENGTHS)), os.SEEK_CUR)
                with zipfile.ZipExtFile(file, "r", member) as stream:
                    head = stream.read(HEAD)
                    rest = max(0, member.file_size - len(head))
                    return io.BytesIO(head + _whole(stream, rest) if kind_of(head) else head)
        except AeclustError:
            raise
        except Exception as error:  # whatever zipfile raises on bytes that are no archive
            raise OSError(reason(error)) from error

    def path(self, name: str) -> None:
        """Nowhere by itself."""


def _name(member: zipfile.ZipInfo) -> str:
    """The name of a member: Unix writes UTF-8 even where it does not say so."""
    if member.create_system == _UNIX and not member.flag_bits & _SAYS_UTF8:
        with suppress(UnicodeError):
            return member.filename.encode("cp437").decode()
    return member.filename


def _whole(stream: zipfile.ZipExtFile, size: int) -> bytes:
    """So many bytes of a member, which are unpacked piece by piece, and never more."""
    pieces = []
    while size and (piece := stream.read(min(size, _PIECE))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


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


def _members(path: Path) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(path) as file:
            return file.infolist()
    except AeclustError:
        raise
    except Exception as error:
        what = f"cannot be read ({reason(error)})"
        raise InputError(what, expected="a whole .zip file", mend="copy it again") from error
