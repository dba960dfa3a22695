"""What an artifact is: its kind, its header, and the datasets that each kind has."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import listed

Array = NDArray[Any]
Shape = tuple[np.dtype[Any], tuple[int, ...]]
Json = Any

_CHUNK = 2**20  # bytes looked at in one go

# What a dataset may hold: dtype kinds and sizes in bytes, None for any size.
_DTYPES = {"f": (4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,), "S": None}

# Datasets by kind. First their names, with a question mark if they may be missing; then dtypes,
# "ids" for int64 or fixed-width UTF-8; then a letter for each axis, equal ones for equal lengths.
# A trailing slash is a group whose datasets the network itself checks, name by name.
_TABLE = {
    "images": (
        "pixels? uint8 nhwc, ids ids n, fingerprints uint64 n, marks uint64 m, "
        "left_out? ids l, left_out_marks? uint64 l, left_out_kinds? ids l, left_out_reasons? ids l"
    ),
    "previews": "previews uint8 b, ends int64 n, colours? float32 nc",
    "weights": "state_dict/ any -",
    "resume": "state_dict/ any -, optimizer/? any -, progress float64 p, targets? float32 nk",
    "latents": (
        "latents float32 nd, ids ids n, fingerprints uint64 n, colours? float32 nc, "
        "assignments? float32 nk, view_rows? int64 v, view_latents? float32 vd, "
        "view_clusters? int64 v"
    ),
    "labels": (
        "labels int64 n, confidence float32 n, ids ids n, fingerprints uint64 n, "
        "references int64 m, "
        "shares? float32 nk, embedding? float32 ne, known? int64 n, pairs? int64 qt, "
        "gone? ids g"
    ),
    "features": "features float32 nd, fingerprints uint64 n",
    "embedding": "embedding float32 ne, ids ids n",
    "curve": (
        "epochs int64 p, errors float64 p, accuracies? float64 p, rank float64 p, "
        "view_neighbours float64 p, view_clusters float64 p, information float64 p, "
        "half_agreement float64 p, separation float64 p"
    ),
}
KINDS = tuple(_TABLE)


class _Dataset(NamedTuple):
    dtype: str
    axes: str
    required: bool


def _datasets(text: str) -> dict[str, _Dataset]:
    rows = map(str.split, text.split(","))
    return {n.rstrip("?"): _Dataset(dtype, axes, n[-1] != "?") for n, dtype, axes in rows}


_SCHEMAS = {kind: _datasets(text) for kind, text in _TABLE.items()}

# Axes that may have length 0: of files left out, of views, and of pairs of known images.
_MAY_BE_EMPTY = "lvq"

# Datasets of row numbers, and of cluster numbers with the one that has a column for each cluster.
# A label of -1 is no cluster, and so is the known label of an image that nobody knows.
_ROW_NUMBERS = ("references", "view_rows")
_NONE = {"labels": -1, "known": -1}
_CLUSTERS = {"labels": ("labels", "shares"), "latents": ("view_clusters", "assignments")}


class ContentError(ValueError):
    """What keeps a file or arrays from being an artifact, or an HDF5 file from being used."""


@dataclass(frozen=True)
class Artifact:
    """The content of a file.

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
        """The datasets whose name starts with `prefix`, by the rest of their name."""
        inside = [name for name in self.arrays if name.startswith(prefix)]
        return {name.removeprefix(prefix): self.arrays[name] for name in inside}


def encode_ids(ids: Array) -> Array:
    """Ids as stored: int64, or UTF-8 bytes of one width."""
    if ids.dtype.kind == "U":
        return np.char.encode(ids, "utf-8")
    return ids.astype(np.int64, copy=False)


def decode_ids(ids: Array) -> Array:
    """The inverse of :func:`encode_ids`."""
    return np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids


def is_plain(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type are plain numbers or texts of one width."""
    sizes = _DTYPES.get(dtype.kind, ())
    return sizes is None or dtype.itemsize in sizes


def check_content(
    kind: str, arrays: Mapping[str, Array], shapes: Mapping[str, Shape] | None = None
) -> None:
    """Refuse what a file of this kind does not hold.

    Parameters
    ----------
    kind : str
    arrays : mapping of str to ndarray
    shapes : mapping of str to Shape, optional
        Of all datasets, if some of their arrays are not there yet.

    Raises
    ------
    ContentError
    """
    shapes = shapes or {name: (a.dtype, a.shape) for name, a in arrays.items()}
    _check_shapes(kind, shapes)
    _check_numbers(kind, shapes, arrays)
    check_values(arrays)


def _check_shapes(kind: str, shapes: Mapping[str, Shape]) -> None:
    schema = _SCHEMAS[kind]
    _check_names(schema, shapes)
    lengths: dict[str, int] = {}
    for name, (dtype, shape) in shapes.items():
        if not is_plain(dtype):
            raise ContentError(f"{name!r} has dtype {dtype}")
        expected = schema.get(name)
        if expected is None:  # in a group
            continue
        fits = dtype.kind == "S" or dtype == np.int64
        if not (fits if expected.dtype == "ids" else dtype == np.dtype(expected.dtype)):
            raise ContentError(f"{name!r} has dtype {dtype} instead of {expected.dtype}")
        axes = expected.axes
        if len(shape) != len(axes):
            raise ContentError(f"{name!r} has {len(shape)} dimensions instead of {len(axes)}")
        for axis, length in zip(axes, shape, strict=True):
            other = lengths.setdefault(axis, length)
            if length != other:
                raise ContentError(
                    f"{name!r} has {length} rows or columns where others have {other}"
                )
            if length == 0 and axis not in _MAY_BE_EMPTY:
                raise ContentError(f"{name!r} is empty")


def _check_names(schema: Mapping[str, _Dataset], names: Mapping[str, Any]) -> None:
    groups = tuple(name for name in schema if name.endswith("/"))
    present = {*names, *(group for group in groups if any(n.startswith(group) for n in names))}
    missing = [n for n, expected in schema.items() if expected.required and n not in present]
    unexpected = [n for n in names if n not in schema and not n.startswith(groups)]
    if missing or unexpected:
        lists = [*map(listed, (missing, unexpected))]
        raise ContentError(f"missing {lists[0]}, unexpected {lists[1]}")


def _check_numbers(kind: str, shapes: Mapping[str, Shape], arrays: Mapping[str, Array]) -> None:
    """Refuse numbers of clusters and rows that are not there."""
    if kind not in _CLUSTERS:
        return
    numbers, columns = _CLUSTERS[kind]
    rows = shapes[kind][1][0]
    k = shapes[columns][1][1] if columns in shapes else rows
    limits = {**dict.fromkeys(_ROW_NUMBERS, rows), numbers: k}
    if kind == "labels":
        used = int(arrays["labels"].max()) + 1
        if columns in shapes and k != used:
            raise ContentError(f"{columns!r} has {k} columns for {used} clusters")
        limits |= {"labels": min(k, rows), "known": max(used, 1), **_pair_limits(arrays, rows)}
    for name, limit in limits.items():
        values, least = arrays.get(name, np.empty(0)), _NONE.get(name, 0)
        if values.size and not least <= values.min() <= values.max() < limit:
            raise ContentError(f"{name!r} has numbers outside {least} to {limit - 1}")


def _pair_limits(arrays: Mapping[str, Array], rows: int) -> dict[str, int]:
    """Pairs (q, 3) are two rows and whether these belong together, which is 0 or 1."""
    pairs = arrays.get("pairs")
    if pairs is None:
        return {}
    if pairs.shape[1] != 3 or (pairs.size and not 0 <= pairs[:, 2].min() <= pairs[:, 2].max() <= 1):
        raise ContentError("'pairs' has other columns than two rows, and 0 or 1")
    return {"pairs": max(rows, 2)}


def check_values(arrays: Mapping[str, Array]) -> None:
    """Refuse NaN, infinity, and texts that are not UTF-8 (ContentError)."""
    for name, values in arrays.items():
        flat, step = values.reshape(-1), max(1, _CHUNK // max(1, values.dtype.itemsize))
        for start in range(0, flat.size, step):
            part = flat[start : start + step]
            if part.dtype.kind == "f" and not np.isfinite(part).all():
                raise ContentError(f"{name!r} holds NaN or infinity")
            try:
                decode_ids(part)
            except UnicodeDecodeError:
                raise ContentError(f"{name!r} is not UTF-8") from None
