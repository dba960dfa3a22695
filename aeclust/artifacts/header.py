"""What stands before the arrays: the user block, and attributes in JSON."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

FORMAT = 1
USER_BLOCK = 512  # bytes
MAGIC = b"aeclust artifact "
MAX_ATTRIBUTE = 64_000  # bytes
MAX_NESTING = 32

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
    for character in re.sub(r'"(?:[^"\\]|\\.)*"', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def library_versions() -> dict[str, str]:
    """The versions that an artifact names as its makers."""
    from importlib.metadata import version

    return {name: version(name) for name in ("aeclust", "h5py", "numpy", "scikit-learn", "torch")}
