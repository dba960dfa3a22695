"""Artifacts read through the gate, in which nothing is used before it is verified."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

import h5py

from aeclust.artifact.gate import contents, inspect, refused, values_of
from aeclust.artifact.header import FORMAT, MAGIC, USER_BLOCK, read_header, read_text, user_block
from aeclust.artifact.schema import KINDS, Artifact, ContentError, check_content
from aeclust.errors import InputError, at


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

    Returns
    -------
    Artifact

    Raises
    ------
    InputError
        If the file is missing, is no artifact, is damaged, is of a newer format or another kind,
        or holds anything that the format does not have.
    """
    refusal = refused(
        "damaged or not from aeclust",
        expected="a file as aeclust wrote it",
        mend="delete it to have it made anew, or restore a copy",
    )
    with at(path):
        source, data = contents(path, mapped=mapped and os.name != "nt")
    with at(path), refusal:
        digest = _verify(data)
        with h5py.File(source, "r") as file:
            names = inspect(file, most=len(data))
            stored = read_text(file, "kind")
            if stored not in KINDS:
                raise ContentError(f"kind {stored!r} is unknown")
            if kind not in (None, stored):
                expected = f"a {kind} file"
                raise InputError(f"this is a {stored} file", expected=expected, mend="name another")
            header = read_header(file)
            arrays = {name: values_of(file[name], data) for name in names}
        check_content(stored, arrays)
    return Artifact(kind=stored, arrays=arrays, digest=digest, **header)


def _verify(data: memoryview) -> str:
    """Compare the user block with the one that the rest of the file calls for."""
    block = bytes(data[:USER_BLOCK])
    if not block.startswith(MAGIC):
        expected = "a file written by aeclust"
        raise InputError("is not an aeclust artifact", expected=expected, mend="check the path")
    version = block[len(MAGIC) :].split(b" ")[0]
    if version != str(FORMAT).encode() and version.isdigit() and len(version) < 9:
        mend = "read it with a newer aeclust"
        raise InputError(f"is of format {int(version)}", expected=f"format {FORMAT}", mend=mend)
    digest = hashlib.sha256(data[USER_BLOCK:]).hexdigest()
    if block != user_block(digest):
        raise ContentError("its bytes do not match its SHA-256")
    return digest


def is_artifact(path: Path) -> bool:
    """Whether the file starts as artifacts do; it may still be damaged."""
    return _first_bytes(path).startswith(MAGIC)


def claimed_digest(path: Path) -> str:
    """The digest that a file's user block states, without verifying it; empty if there is none."""
    match = re.match(MAGIC + rb"\d+ sha256:([0-9a-f]{64})\n", _first_bytes(path))
    return match[1].decode() if match else ""


def _first_bytes(path: Path) -> bytes:
    if not path.is_file():  # opening a FIFO would wait
        return b""
    try:
        with open(path, "rb") as file:
            return file.read(USER_BLOCK)
    except OSError:
        return b""
