"""What a shell offers for a value half typed, where typer does not know it: fields and files.

Each function takes the beginning of a value and gives what it could become.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable

from aeclust.recipe import FIELDS, choices


def settings(incomplete: str) -> list[str]:
    """``FIELD=``, and then the values of a field that has a choice of them."""
    field, equals, _ = incomplete.partition("=")
    if not equals:
        return _fitting(incomplete, (f"{name}=" for name in FIELDS if name != "name"))
    return _fitting(incomplete, (f"{field}={value}" for value in choices(field)))


def images(incomplete: str) -> list[str]:
    """Built-in sets, folders, and files that may hold images."""
    from aeclust.images.gate import ENDINGS

    arrays, lists = (".npy", ".npz", ".h5", ".hdf5"), (".zip", ".csv", ".txt")
    return _demo(incomplete) + _files(incomplete, (*arrays, *lists, *ENDINGS))


def labels(incomplete: str) -> list[str]:
    """Built-in sets, and files that may hold labels."""
    return _demo(incomplete) + _files(incomplete, (".npy", ".npz", ".h5", ".hdf5", ".csv", ".json"))


def tomls(incomplete: str) -> list[str]:
    """TOML files."""
    return _files(incomplete, (".toml",))


def encoders(incomplete: str) -> list[str]:
    """The encoder that has a package of its own, and ONNX files."""
    return _fitting(incomplete, ["efficientnet-lite0", "timm:"]) + _files(incomplete, (".onnx",))


def weights(incomplete: str) -> list[str]:
    """Safetensors files."""
    return _files(incomplete, (".safetensors",))


def paths(incomplete: str) -> list[str]:
    """Any file or folder."""
    return _files(incomplete, ("",))


def _fitting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _demo(incomplete: str) -> list[str]:
    from aeclust.images.demo import NAMES

    return _fitting(incomplete, (f"demo:{name}" for name in NAMES))


def _files(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Folders with a slash, and files of these endings."""
    paths = sorted(glob.glob(glob.escape(incomplete) + "*"))
    named = (f"{path}/" if os.path.isdir(path) else path for path in paths)
    return [path for path in named if path.endswith("/") or path.lower().endswith(endings)]
