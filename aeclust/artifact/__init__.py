"""The artifact format, in the only package that opens HDF5.

An artifact is an HDF5 file behind a 512-byte user block that holds the format version and the
SHA-256 of everything after it::

    aeclust artifact 1 sha256:<64 hexadecimal digits>\n, then zeros up to byte 512

so that any flipped bit is found. Root attributes say what the file is (``kind``, ``recipe``,
``seed``, ``parents``, ``versions``, ``details``; all but ``kind`` are JSON), datasets hold the
arrays. Nothing in a file depends on the clock or on a path: equal content gives equal bytes.

Writing lays a file out (:mod:`~aeclust.artifact.layout`), fills it with whole arrays and with
blocks of rows, and puts it in place whole or not at all (:mod:`aeclust.disk`). Reading goes through
one gate that trusts nothing in the file (:mod:`~aeclust.artifact.gate`), which arrays from foreign
files pass as well (:mod:`~aeclust.artifact.foreign`).
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from aeclust.artifact.foreign import missing_key, only_key, read_array
from aeclust.artifact.gate import (
    contents,
    damaged,
    inspect,
    json_of,
    opened,
    text_of,
    values_of,
    verify,
)
from aeclust.artifact.header import (
    FORMAT,
    MAGIC,
    MAX_SEED,
    USER_BLOCK,
    Json,
    library_versions,
    misstated,
)
from aeclust.artifact.layout import Draft, lay_out
from aeclust.artifact.schema import (
    KINDS,
    Array,
    Shape,
    bad_values,
    decode_ids,
    encode_ids,
    misfit,
    misnumbered,
)
from aeclust.disk import replacing, told
from aeclust.errors import InputError

__all__ = [
    "FORMAT",
    "KINDS",
    "MAX_SEED",
    "Array",
    "Artifact",
    "Json",
    "claimed_digest",
    "decode_ids",
    "encode_ids",
    "is_artifact",
    "missing_key",
    "only_key",
    "read",
    "read_array",
    "write",
    "write_blocks",
]


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
        As for :func:`aeclust.disk.write_bytes`.
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
        As for :func:`aeclust.disk.write_bytes`.
    """
    rest = iter(blocks)
    first = next(rest, {})
    kind, whole = artifact.kind, {name: _storable(a) for name, a in artifact.arrays.items()}
    shapes = {name: Shape(a.dtype, a.shape) for name, a in whole.items()}
    shapes |= {name: Shape(a.dtype, (rows, *a.shape[1:])) for name, a in first.items()}
    _refuse_to_write(
        kind,
        misstated(artifact.seed, artifact.details)
        or misfit(kind, shapes)
        or misnumbered(kind, shapes, whole)
        or bad_values(whole),
    )
    header = {name: getattr(artifact, name) for name in ("recipe", "seed", "parents", "details")}
    parts = lay_out(kind, header | {"versions": library_versions()}, shapes)
    with replacing(path) as file:
        draft = Draft(file, parts)
        with told(path):
            draft.begin(whole)
        done = 0
        for block in chain([first] if first else [], rest):
            counts = {len(a) for a in block.values()}
            fitting = {n: Shape(a.dtype, (rows, *a.shape[1:])) for n, a in block.items()}
            done += max(counts)
            if len(counts) > 1 or done > rows or fitting != {n: shapes[n] for n in first}:
                raise ValueError(f"{kind}: a block does not fit those before it, or {rows} rows")
            _refuse_to_write(kind, bad_values(block))
            with told(path):
                draft.append(block)
        if first and done != rows:
            raise ValueError(f"{kind}: the blocks have {done} rows instead of {rows}")
        with told(path):
            return draft.finish()


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
    source, data = contents(path, mapped=mapped and os.name != "nt")
    digest = verify(data, where)
    refuse = partial(damaged, where)
    with opened(source, refuse) as file:
        names = list(inspect(file, refuse, most=len(data), chunks=False))
        found = text_of(file, "kind", where)
        if found not in KINDS:
            raise damaged(where, f"kind {found!r} is unknown")
        if kind is not None and found != kind:
            raise InputError(
                f"this is a {found} file",
                where=where,
                expected=f"a {kind} file",
                mend="name another",
            )
        header = {
            name: json_of(text_of(file, name, where), where)
            for name in ("recipe", "seed", "parents", "details", "versions")
        }
        for name, value in header.items():
            if type(value) is not (int if name == "seed" else dict):  # True is no seed
                raise damaged(where, f"attribute {name!r} has the wrong type")
        arrays = {name: values_of(file[name], data) for name in names}
    shapes = {name: Shape(a.dtype, a.shape) for name, a in arrays.items()}
    problem = (
        misstated(header["seed"], header["details"])
        or misfit(found, shapes)
        or misnumbered(found, shapes, arrays)
        or bad_values(arrays)
    )
    if problem:
        raise damaged(where, problem)
    return Artifact(kind=found, arrays=arrays, digest=digest, **header)


def is_artifact(path: Path) -> bool:
    """Whether the file starts as artifacts do; it may still be damaged."""
    if not path.is_file():  # opening a FIFO would wait
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def claimed_digest(path: Path) -> str:
    """The digest that a file's user block states, without verifying it; empty if there is none."""
    if not is_artifact(path):
        return ""
    with open(path, "rb") as file:
        found = re.match(MAGIC + rb"\d+ sha256:([0-9a-f]{64})\n", file.read(USER_BLOCK))
    return found[1].decode() if found else ""


def _storable(value: Array) -> Array:
    # HDF5 has no empty text width
    return value.astype("S1") if value.dtype.kind == "S" and value.dtype.itemsize == 0 else value


def _refuse_to_write(kind: str, problem: str) -> None:
    if problem:
        raise ValueError(f"{kind}: {problem}")
