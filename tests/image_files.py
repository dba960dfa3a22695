"""Files of images for tests: arrays, folders of pictures."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aeclust.images import Source

Array = NDArray[Any]
Make = Callable[[Path], Source]
Files = Mapping[str, Image.Image | bytes]

RGB = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
GREY = RGB[..., 0]


def npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def zipped(**members: bytes) -> bytes:
    """An archive of files, whose names have _ for a dot."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return out.getvalue()


def picture(values: Any, mode: str | None = None) -> Image.Image:
    image = Image.fromarray(np.asarray(values, np.uint8))
    return image if mode is None else image.convert(mode)


def flat(colour: Any, mode: str = "L", size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, colour)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int) -> bytes:
    """A TIFF header and one directory with one entry, tag 0x112 of type SHORT."""
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a header and nothing else."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    checked = [struct.pack(">I", zlib.crc32(chunk)) for chunk in (header, b"IDAT")]
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13)
    return start + header + checked[0] + struct.pack(">I", 0) + b"IDAT" + checked[1]


def npy_that_claims(header: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"


# -- sources: each makes its file in a folder ----------------------------------------------------


def numpy_file(array: Array, **stated: Any) -> Make:
    """One ``.npy`` file, ``a.npy``."""
    return raw_file("a.npy", npy(array), **stated)


def raw_file(name: str, content: bytes, key: str = "", **stated: Any) -> Make:
    def make(folder: Path) -> Source:
        (folder / name).write_bytes(content)
        return Source(location=f"{folder / name}{key}", **stated)

    return make


def archive(key: str = "", **arrays: Array) -> Make:
    def make(folder: Path) -> Source:
        np.savez(folder / "a.npz", allow_pickle=True, **arrays)
        return Source(location=f"{folder / 'a.npz'}{key}")

    return make


def hdf5(key: str = "", **arrays: Any) -> Make:
    def make(folder: Path) -> Source:
        with h5py.File(folder / "a.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
        return Source(location=f"{folder / 'a.h5'}{key}")

    return make


def pictures(files: Files, **stated: Any) -> Make:
    """A folder, ``in``, of images or other bytes."""

    def make(folder: Path) -> Source:
        (folder / "in").mkdir()
        for name, content in files.items():
            path = folder / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content.save(path)
        return Source(location=str(folder / "in"), **stated)

    return make


# -- whole files of every kind -----------------------------------------------------------------


def _hdf5(**options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("x", data=RGB, **options)
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=RGB)
    return out.getvalue()


VALID: dict[str, bytes] = {
    "a.npy": npy(RGB),
    "stored.npz": zipped(x_npy=npy(RGB)),
    "deflated.npz": _npz(),
    "plain.h5": _hdf5(),
    "filtered.h5": _hdf5(compression="gzip", shuffle=True, fletcher32=True),
    "in/a.png": saved(picture(RGB[0]), "PNG", exif=exif(6)),
    "in/a.jpg": saved(picture(RGB[0]), "JPEG", exif=exif(6)),
}
