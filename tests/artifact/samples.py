"""Artifacts of every kind, right ones and forged ones, for the tests of this room."""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from support import raising

from aeclust.artifact import Array, Artifact, encode_ids, read, write
from aeclust.artifact.header import user_block
from aeclust.errors import InputError

Build = Callable[[Any], None]

LATENTS: dict[str, Array] = {
    "latents": np.arange(6, dtype=np.float32).reshape(3, 2),
    "ids": np.array([0, 1, 2]),
    "fingerprints": np.array([0, 1, 2**64 - 1], np.uint64),
}
SAMPLES: dict[str, dict[str, Array]] = {
    "weights": {
        "state_dict/encoder.0.weight": np.full((2, 3, 1, 1), -0.5, np.float32),
        "state_dict/encoder.1.num_batches_tracked": np.array(12),
    },
    "resume": {
        "state_dict/w": np.array([1.5, -2.0], np.float32),
        "optimizer/0.exp_avg": np.zeros((0, 3), np.float32),
        "optimizer/0.rng": np.array([0, 255], np.uint8),
        "progress": np.array([4.0, 1e-300]),
        "targets": np.array([[0.25, 0.75], [1.0, 0.0]], np.float32),
    },
    "images": {
        "pixels": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
        "ids": np.array(["a.png", "b/c.jpg"]),
        "fingerprints": np.array([7, 2**64 - 1], np.uint64),
        "marks": np.array([1, 2], np.uint64),
        "left_out": np.array([b"d.png"]),
        "left_out_marks": np.array([3], np.uint64),
        "left_out_kinds": np.array([b""]),
        "left_out_reasons": np.array([b"broken data stream"]),
    },
    "previews": {"previews": np.arange(7, dtype=np.uint8), "ends": np.array([3, 7])},
    "features": {
        "features": np.array([[0.5, -1.5], [2.0, 1e-30]], np.float32),
        "fingerprints": np.array([7, 2**64 - 1], np.uint64),
    },
    "latents": {
        **LATENTS,
        "colours": np.array([[0.1, 0.2, 1.0], [0.0, 0.5, 0.5], [1.0, 1.0, 1.0]], np.float32),
        "assignments": np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]], np.float32),
        "view_rows": np.array([0, 2]),
        "view_latents": np.array([[0.5, 1.5], [2.0, 3.0]], np.float32),
        "view_clusters": np.array([1, 0]),
    },
    "labels": {
        "labels": np.array([0, 1]),
        "confidence": np.array([0.5, 1.0], np.float32),
        "ids": np.array(["a.png", "é/ü.png"]),
        "fingerprints": np.array([7, 2**64 - 1], np.uint64),
        "references": np.array([1, 0]),
        "shares": np.array([[1.0, 0.0], [0.25, 0.75]], np.float32),
        "embedding": np.zeros((2, 2), np.float32),
    },
    "embedding": {
        "embedding": np.array([[1.0, -1.0]], np.float32),
        "ids": np.array([2**62]),
    },
    "curve": {
        "epochs": np.array([0, 3]),
        "errors": np.array([0.5, 1e-9]),
        "accuracies": np.array([0.5, 1.0]),
        "rank": np.array([1.0, 2.5]),
        "view_neighbours": np.array([0.0, 1.0]),
        "view_clusters": np.array([0.25, 0.5]),
        "information": np.array([0.0, 0.1]),
        "half_agreement": np.array([-0.1, 1.0]),
        "separation": np.array([0.3, 0.4]),
    },
}
HEADER: dict[str, Any] = {
    "recipe": {"name": "hybrid", "lr": 3e-3, "channels": [64, 128], "note": "Zürich [[[ {"},
    "seed": 7,
    "parents": {"data": "ab" * 32},
    "details": {"epoch": 3, "finished": True, "none": None},
}
_FORGED = {"kind": b"latents", "seed": b"0"}
_FORGED |= dict.fromkeys(("recipe", "parents", "details", "versions"), b"{}")


def artifact(kind: str = "latents", arrays: dict[str, Array] | None = None) -> Artifact:
    stored = {
        name: encode_ids(value) if name == "ids" else value
        for name, value in (SAMPLES[kind] if arrays is None else arrays).items()
    }
    return Artifact(kind=kind, arrays=stored, **HEADER)


def encode(made: Artifact) -> tuple[bytes, str]:
    """The bytes of a file and their digest."""
    with TemporaryDirectory() as folder:
        digest = write(Path(folder) / "a.h5", made)
        assert os.listdir(folder) == ["a.h5"]
        return (Path(folder) / "a.h5").read_bytes(), digest


def sign(path: Path) -> None:
    """Give the file the user block that its content calls for, as an attacker would."""
    data = path.read_bytes()
    path.write_bytes(user_block(hashlib.sha256(data[512:]).hexdigest()) + data[512:])


def forge(path: Path, build: Build = lambda file: None, **options: Any) -> Path:
    """A signed latents file, right in every detail until `build` changes it."""
    with h5py.File(path, "w", userblock_size=512, **options) as file:
        for name, text in _FORGED.items():
            file.attrs[name] = np.bytes_(text)
        for name, value in LATENTS.items():
            file[name] = value
        build(file)
    sign(path)
    return path


def refusal(path: Path, kind: str | None = None) -> InputError:
    """The error of reading, having checked that it is one line and names the file."""
    with pytest.raises(InputError) as caught:
        read(path, kind)
    assert caught.value.where == str(path)
    assert str(caught.value).isprintable()
    return caught.value


def damage(path: Path) -> str:
    """What is wrong with an artifact that is damaged."""
    error = refusal(path)
    assert error.expected == "a file as aeclust wrote it"
    return error.what.removeprefix("damaged or not from aeclust: ")


# -- what a disk may do --------------------------------------------------------------------------

NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
UNHARMED = "free space or choose another place; what was there before is unharmed"
CHANGED = "what was read back differs from what was written"


class FullDisk(io.FileIO):
    """A file on a disk without space."""

    def write(self, data: object) -> int:
        raise NO_SPACE


FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "open": ("os.open", raising(NO_SPACE), "No space left on device"),
    "write": (
        "os.fdopen",
        lambda handle, mode: io.BufferedRandom(FullDisk(handle, mode)),
        "No space left on device",
    ),
    "fsync": ("os.fsync", raising(OSError(errno.EIO, "Input/output error")), "Input/output error"),
    "replace": ("os.replace", raising(PermissionError(errno.EPERM, "No")), "No"),
    "changed": ("os.fsync", lambda handle: os.pwrite(handle, b"X", 2), CHANGED),
    "short": ("os.fsync", lambda handle: os.truncate(handle, 2), CHANGED),
    "long": ("os.fsync", lambda handle: os.pwrite(handle, b"X", 1 << 21), CHANGED),
}
