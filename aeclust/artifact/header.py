"""What stands before the arrays: the user block, and attributes in JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite

import h5py
import numpy as np

from aeclust.artifact.schema import Artifact, ContentError, Json

FORMAT = 1
USER_BLOCK = 512  # bytes
MAGIC = b"aeclust artifact "
MAX_ATTRIBUTE = 64_000  # bytes
MAX_SEED = 2**32 - 1
_MAX_NESTING = 32
_ROUNDING = 1e-9
_TYPES = {"recipe": dict, "seed": int, "parents": dict, "details": dict, "versions": dict}
_LIBRARIES = ("aeclust", "h5py", "numpy", "scikit-learn", "torch")


def user_block(digest: str) -> bytes:
    """The first bytes of a file, the rest of which has this SHA-256 in hexadecimal."""
    return (MAGIC + f"{FORMAT} sha256:{digest}\n".encode()).ljust(USER_BLOCK, b"\0")


def write_header(file: h5py.File, artifact: Artifact) -> None:
    """Set the attributes of a file (ValueError for what no reader takes, or NaN)."""
    from importlib.metadata import version

    check_header(artifact.seed, artifact.details)
    file.attrs["kind"] = np.bytes_(artifact.kind.encode())
    for name in _TYPES:
        value = getattr(artifact, name)
        if name == "versions":
            value = {library: version(library) for library in _LIBRARIES}
        text = json.dumps(value, sort_keys=True, allow_nan=False)
        if len(text) > MAX_ATTRIBUTE or nesting(text) > _MAX_NESTING:
            raise ContentError(f"the header is too large or nests too deep: {text[:60]}...")
        file.attrs[name] = np.bytes_(text.encode())


def read_header(file: h5py.File) -> dict[str, Json]:
    """All attributes but the kind, each of its type (ContentError otherwise)."""
    header = {}
    for name, kind in _TYPES.items():
        text = read_text(file, name)
        if nesting(text) > _MAX_NESTING:
            raise ContentError("its JSON nests too deep")
        try:
            header[name] = json.loads(text)
        except ValueError as error:
            raise ContentError(f"its JSON does not parse ({error})") from None
        if type(header[name]) is not kind:  # True is no seed
            raise ContentError(f"attribute {name!r} has the wrong type")
    check_header(header["seed"], header["details"])
    return header


def read_text(file: h5py.File, name: str) -> str:
    """A text among the attributes of a file, of bounded length (ContentError otherwise)."""
    if name not in file.attrs:
        raise ContentError(f"attribute {name!r} is missing")
    attribute = file.attrs.get_id(name)
    if attribute.dtype.kind != "S" or attribute.shape != ():
        raise ContentError(f"attribute {name!r} is not a text")
    if attribute.get_storage_size() > MAX_ATTRIBUTE:
        raise ContentError(f"attribute {name!r} is larger than {MAX_ATTRIBUTE} bytes")
    try:
        return bytes(file.attrs[name]).decode()
    except UnicodeDecodeError:
        raise ContentError(f"attribute {name!r} is not UTF-8") from None


def nesting(text: str) -> int:
    """How deep the brackets of a JSON text nest; those inside strings do not count."""
    depth = deepest = 0
    for character in re.sub(r'(?s)"(?:[^"\\]|\\.)*"?', "", text):
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


def check_header(seed: int, details: Mapping[str, Json]) -> None:
    """Refuse what no writer puts into a header; details of unknown names may be any."""
    if not 0 <= seed <= MAX_SEED:
        raise ContentError(f"seed {seed} is not in 0 to 2^32 - 1")
    for name in _DETAILS.keys() & details.keys():
        if not _is_a(_DETAILS[name], details[name]):
            raise ContentError(f"'details' has an impossible {name!r}")


def _is_a(kind: str, value: Json) -> bool:
    if kind.endswith("?") and value is None:
        return True
    match kind.rstrip("?"):
        case "count":
            return type(value) is int and value >= 0  # True is no number
        case "flag":
            return type(value) is bool
        case "share":
            return type(value) in (int, float) and 0 <= value <= 1 + _ROUNDING
        case "shares":
            return isinstance(value, dict) and all(_is_a("share?", v) for v in value.values())
        case "texts":
            return isinstance(value, list) and all(isinstance(v, str) for v in value)
        case "rows":
            return isinstance(value, list) and all(
                isinstance(row, dict)
                and _is_a("count", row.get("k"))
                and all(type(v) in (int, float) and isfinite(v) for v in row.values())
                for row in value
            )
        case "known":
            return isinstance(value, dict) and all(
                _is_a("names" if name == "names" else "count", each) for name, each in value.items()
            )
        case "names":
            return isinstance(value, dict) and all(
                number.isdecimal() and len(number) < 19 and isinstance(name, str)
                for number, name in value.items()
            )
    return isinstance(value, str)


# A question mark: or null.
_DETAILS = {
    "epoch": "count",
    "image_channels": "count",
    "checkpoint": "count?",
    "validated": "count",
    "run": "text",
    "former": "text",
    "listing": "text",
    "k": "count",
    "agreement": "share?",
    "view_agreement": "share?",
    "members": "shares",
    "by_network": "flag",
    "warnings": "texts",
    "substitutions": "texts",
    "estimated": "count",
    "tried": "rows",
    "known": "known",
    "edits": "count",
}
