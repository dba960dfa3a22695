"""What stands before the arrays: the user block, and attributes in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

FORMAT = 1
USER_BLOCK = 512  # bytes
MAGIC = b"aeclust artifact "
MAX_ATTRIBUTE = 64_000  # bytes
MAX_NESTING = 32
MAX_SEED = 2**32 - 1
_ROUNDING = 1e-9

Json = Any


def user_block(digest: str) -> bytes:
    """The first bytes of a file, the rest of which has this SHA-256 in hexadecimal."""
    return (MAGIC + f"{FORMAT} sha256:{digest}\n".encode()).ljust(USER_BLOCK, b"\0")


def json_bytes(value: Json) -> np.bytes_:
    """A value as an attribute holds it: JSON with sorted keys.

    Raises
    ------
    ValueError
        If it is larger or nests deeper than a reader allows, or holds NaN or infinity.
    """
    text = json.dumps(value, sort_keys=True, allow_nan=False)
    if len(text) > MAX_ATTRIBUTE or nesting(text) > MAX_NESTING:
        raise ValueError(f"the header is too large or nests too deep: {text[:60]}...")
    return np.bytes_(text.encode())


def nesting(text: str) -> int:
    """How deep the brackets of a JSON text nest; those inside strings do not count."""
    depth = deepest = 0
    for character in re.sub(r'(?s)"(?:[^"\\]|\\.)*"?', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def library_versions() -> dict[str, str]:
    """The versions that an artifact names as its makers."""
    from importlib.metadata import version

    return {name: version(name) for name in ("aeclust", "h5py", "numpy", "scikit-learn", "torch")}


def misstated(seed: Json, details: Mapping[str, Json]) -> str:
    """What of the header no writer says, or an empty text; details that are unknown may be any."""
    if not 0 <= seed <= MAX_SEED:
        return f"seed {seed} is not in 0 to 2^32 - 1"
    for name, sound in _DETAILS.items():
        if name in details and not sound(details[name]):
            return f"'details' has an impossible {name!r}"
    return ""


def _is_whole(value: Json) -> bool:
    return type(value) is int and value >= 0  # True is no number


def _is_share(value: Json) -> bool:
    return value is None or (type(value) in (int, float) and 0 <= value <= 1 + _ROUNDING)


def _is_text(value: Json) -> bool:
    return isinstance(value, str)


def _are_texts(value: Json) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


_DETAILS: dict[str, Callable[[Json], bool]] = {
    "epoch": _is_whole,
    "image_channels": _is_whole,
    "checkpoint": lambda value: value is None or _is_whole(value),
    "run": _is_text,
    "listing": _is_text,
    "k": _is_whole,
    "agreement": _is_share,
    "view_agreement": _is_share,
    "members": lambda value: isinstance(value, dict) and all(map(_is_share, value.values())),
    "warnings": _are_texts,
    "substitutions": _are_texts,
}
