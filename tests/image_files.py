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


def chunk(name: bytes, body: bytes, checksum: int | None = None) -> bytes:
    """A piece of a PNG, with its own checksum or another."""
    if checksum is None:
        checksum = zlib.crc32(name + body)
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def with_remark(png: bytes, remark: bytes) -> bytes:
    """A PNG with one more chunk after its header."""
    return png[:33] + remark + png[33:]


def png_of_16_bits(values: Any) -> bytes:
    """A PNG of (h, w) grey, (h, w, 2) with alpha, (h, w, 3) RGB or (h, w, 4) with alpha."""
    array = np.asarray(values, ">u2")
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[array.shape[2] if array.ndim == 3 else 1]
    header = struct.pack(">IIBBBBB", array.shape[1], array.shape[0], 16, colour, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + row.tobytes() for row in array))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiff(values: Any, *, photometric: int = 1, order: str = "<", bits: int | None = None) -> bytes:
    """A TIFF of one strip, grey, of the values' own dtype or of packed `bits`."""
    array = np.asarray(values)
    sample = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    width = bits or 8 * array.dtype.itemsize
    data = array.astype(f"{order}{array.dtype.str[1:]}").tobytes()
    if bits is not None:
        text = "".join(f"{value:0{bits}b}" for value in array.ravel().tolist())
        data = int(text, 2).to_bytes(len(text) // 8, "big")
    entries = [
        (256, 4, array.shape[1]), (257, 4, array.shape[0]), (258, 3, width), (259, 3, 1),
        (262, 3, photometric), (273, 4, 8), (277, 3, 1), (278, 4, array.shape[0]),
        (279, 4, len(data)), (339, 3, sample),
    ]  # fmt: skip
    forms = {3: "HHIHxx", 4: "HHII"}  # a short stands on the left of its place
    packed = b"".join(struct.pack(order + forms[k], tag, k, 1, v) for tag, k, v in entries)
    directory = struct.pack(order + "H", len(entries)) + packed + bytes(4)
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8 + len(data))
    return start + data + directory


def pnm(magic: str, width: int, height: int, white: int, data: bytes) -> bytes:
    """A PGM or PPM."""
    return f"{magic}\n# made by hand\n{width} {height}\n{white}\n".encode() + data


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
        (folder / "in").mkdir(parents=True)
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


_PNG, _JPEG = (saved(picture(RGB[0]), kind, exif=exif(6)) for kind in ("PNG", "JPEG"))
VALID: dict[str, bytes] = {
    "a.npy": npy(RGB),
    "stored.npz": zipped(x_npy=npy(RGB)),
    "deflated.npz": _npz(),
    "plain.h5": _hdf5(),
    "filtered.h5": _hdf5(compression="gzip", shuffle=True, fletcher32=True),
    "in/a.png": _PNG,
    "in/a.jpg": _JPEG,
    "in/a.webp": saved(picture(RGB[0]), "WEBP", exif=exif(6)),
    "in/lossless.webp": saved(picture(RGB[0]), "WEBP", lossless=True),
    "in/a.bmp": saved(picture(RGB[0]), "BMP"),
    "in/a.gif": saved(picture(RGB[0]), "GIF"),
    "in/a.tif": saved(picture(RGB[0]), "TIFF", compression="tiff_lzw"),
    "in/wide.tif": tiff(np.array([[0, 500], [9000, 65_535]], np.uint16)),
    "in/wide.png": png_of_16_bits([[0, 500], [9000, 65_535]]),
    "in/a.ppm": saved(picture(RGB[0]), "PPM"),
    "in/wide.pgm": pnm("P5", 2, 1, 4095, b"\0\1\x0f\xff"),
    "in/a.avif": saved(picture(RGB[0]), "AVIF"),
    "in/none": _JPEG,
    "one.png": _PNG,
    "photos.zip": zipped(a_png=_PNG, b_jpg=_JPEG, notes_txt=b"no image"),
}
