"""Which datasets each kind of artifact has, and what they may hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_CHUNK = 2**20  # bytes looked at in one go

# What a dataset may hold: dtype kinds and sizes in bytes, None for any size.
_DTYPES = {"f": (4, 8), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "b": (1,), "S": None}


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
        "view_rows": _Dataset("int64", ("v",), required=False),
        "view_latents": _Dataset("float32", ("v", "d"), required=False),
        "view_clusters": _Dataset("int64", ("v",), required=False),
    },
    "labels": {
        "labels": _Dataset("int64", ("n",)),
        "confidence": _Dataset("float32", ("n",)),
        "ids": _Dataset("ids", ("n",)),
        "references": _Dataset("int64", ("m",)),
        "shares": _Dataset("float32", ("n", "k"), required=False),
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

# Axes that may have length 0: of skipped files and of views.
_MAY_BE_EMPTY = "sv"

# Datasets of cluster numbers, and those with a column for every cluster, of which each has a row.
_NUMBERS = {
    "labels": (("labels",), ("shares",)),
    "latents": (("view_clusters",), ("assignments",)),
}


# Datasets of row numbers of the others.
_ROW_NUMBERS = {"references", "view_rows"}


def encode_ids(ids: Array) -> Array:
    """Ids as stored: int64, or UTF-8 bytes of one width."""
    return (
        np.char.encode(ids, "utf-8") if ids.dtype.kind == "U" else ids.astype(np.int64, copy=False)
    )


def decode_ids(ids: Array) -> Array:
    """The inverse of :func:`encode_ids`."""
    return np.char.decode(ids, "utf-8") if ids.dtype.kind == "S" else ids


class Shape(NamedTuple):
    """What a dataset is, without its values."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]


def plain(dtype: np.dtype[Any]) -> bool:
    """Whether values of this type are plain numbers or texts of one width."""
    sizes = _DTYPES.get(dtype.kind, ())
    return sizes is None or dtype.itemsize in sizes


def misfit(kind: str, arrays: Mapping[str, Shape]) -> str:
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
        if not plain(value.dtype):
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
            if length == 0 and letter not in _MAY_BE_EMPTY:
                return f"{name!r} is empty"
    return ""


def misnumbered(kind: str, shapes: Mapping[str, Shape], arrays: Mapping[str, Array]) -> str:
    """Which of the arrays numbers a cluster that is not there, or an empty text."""
    numbered, by_cluster = _NUMBERS.get(kind, ((), ()))
    for name in _ROW_NUMBERS & arrays.keys():
        values = arrays[name]
        if values.size and not 0 <= values.min() <= values.max() < shapes[kind].shape[0]:
            return f"{name!r} numbers a row that is not there"
    columns = {name: shapes[name].shape[1] for name in by_cluster if name in shapes}
    rows = shapes[kind].shape[0] if numbered else 0
    k = next(iter(columns.values()), rows)
    if kind == "labels":  # of which every cluster has an image
        k = int(arrays["labels"].max()) + 1
        for name, count in columns.items():
            if count != k:
                return f"{name!r} has {count} columns for {k} clusters"
        k = min(k, rows)
    for name in numbered:
        values = arrays.get(name, np.empty(0))
        if values.size and not 0 <= values.min() <= values.max() < k:
            return f"{name!r} numbers a cluster that is not there"
    return ""


def bad_values(arrays: Mapping[str, Array]) -> str:
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
