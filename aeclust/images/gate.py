"""What a file is by its first bytes, and the one decoder that opens it, within limits."""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import BinaryIO

from PIL import ImageFile

from aeclust.errors import reason

HEAD = 512  # bytes that show what a file is
MAX_PIXELS = 64_000_000
# A progressive JPEG is held whole, in two bytes a value, however small it is decoded.
_MAX_PROGRESSIVE = 2 * MAX_PIXELS
MAX_BYTES = 600_000_000  # of a file that is read as a whole: 64 million pixels of 16-bit RGBA
ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".dib", ".gif"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".avif", ".heic", ".heif"),
)
_IN_PARTS = ("PNG", "BMP", "GIF", "TIFF", "PPM")  # read no further than their pixels go
KINDS = "PNG, JPEG, WebP, BMP, GIF, TIFF, PPM or AVIF"
_MISSING = {"AVIF": "pip install --upgrade Pillow", "HEIC": "pip install pillow-heif"}
# cameras keep their raw data in TIFF files whose first page is a thumbnail
_RAW = {".dng", ".nef", ".cr2", ".arw", ".pef", ".srw", ".rwl", ".3fr", ".iiq", ".erf", ".nrw"}
_AVIF = {b"avif", b"avis"}
_HEIC = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_FIRST = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    *((start, "TIFF") for start in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    (b"8BPS\0\1", "Photoshop"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_BITMAP_HEADERS = {12, 40, 52, 56, 64, 108, 124}
_PPM = re.compile(rb"P[1-6](?:\s|#[^\r\n]*[\r\n])+\d+(?:\s|#[^\r\n]*[\r\n])+\d+\s")
_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_OURS = b"Software\0aeclust"


# Pillow logs what else it finds odd; with nobody listening that would be printed
logging.getLogger("PIL").addHandler(logging.NullHandler())


class OtherKindError(ValueError):
    """A file that is no image of a kind that is read; its text names the kind, for counting."""


class NoImageError(ValueError):
    """A file whose name promises an image that it does not hold: what it is, and what to do."""

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.mend = mend


# -- what a file is ------------------------------------------------------------------------------


def kind_of(head: bytes) -> str:
    """The kind of image that starts with these bytes; empty if they start none."""
    for start, kind in _FIRST:
        if head.startswith(start):
            return kind
    if head[:4] == b"RIFF" and head[8:15] == b"WEBPVP8":
        return "WebP"
    if head[:2] == b"BM" and len(head) >= 18:
        return "BMP" if struct.unpack_from("<I", head, 14)[0] in _BITMAP_HEADERS else ""
    if head[4:8] == b"ftyp":
        size = min(int.from_bytes(head[:4], "big"), len(head))
        brands = {head[at : at + 4] for at in (8, *range(16, size - 3, 4))}
        return "AVIF" if brands & _AVIF else "HEIC" if brands & _HEIC else ""
    return "PPM" if _PPM.match(head) else ""


def promises(name: str) -> bool:
    """Whether a file of this name is meant to be an image of a kind that is read."""
    return ending_of(name) in ENDINGS


def ending_of(name: str) -> str:
    """The ending of a name in small letters, with its dot."""
    return os.path.splitext(name)[1].lower()


def identify(head: bytes, name: str) -> str:
    """The kind of a file to decode.

    Raises
    ------
    OtherKindError
        If it is an image of another kind, or none and its name promised none.
    NoImageError
        If its name promised one.
    """
    kind, ending = kind_of(head), ending_of(name)
    if not kind:
        if promises(name):
            raise _instead(head)
        raise OtherKindError(ending or "without an ending")
    if kind not in _decoders():
        raise OtherKindError(f"{kind}: {_MISSING[kind]}" if kind in _MISSING else kind)
    if kind == "TIFF" and (ending in _RAW or head[8:10] == b"CR"):
        raise OtherKindError(f"camera raw {ending or 'file'}")
    return kind


@cache
def _decoders() -> dict[str, Callable[[BinaryIO], ImageFile.ImageFile]]:
    """The one decoder of each kind, as far as they are installed."""
    from PIL import (
        BmpImagePlugin,
        GifImagePlugin,
        JpegImagePlugin,
        PngImagePlugin,
        PpmImagePlugin,
        TiffImagePlugin,
        WebPImagePlugin,
    )

    found: dict[str, Callable[[BinaryIO], ImageFile.ImageFile]] = {
        "PNG": PngImagePlugin.PngImageFile,
        "JPEG": JpegImagePlugin.JpegImageFile,
        "WebP": WebPImagePlugin.WebPImageFile,
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "TIFF": TiffImagePlugin.TiffImageFile,
        "PPM": PpmImagePlugin.PpmImageFile,
    }
    with suppress(ImportError):
        from PIL import AvifImagePlugin, _avif  # noqa: F401 - the second is what can be missing

        found["AVIF"] = AvifImagePlugin.AvifImageFile
    with suppress(ImportError):
        from pillow_heif import HeifImageFile

        found["HEIC"] = HeifImageFile
    return found


def _instead(head: bytes) -> NoImageError:
    """What a file is whose name promised an image."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head:
        return NoImageError("is empty", "download or copy it again")
    if start.startswith(b"version https://git-lfs"):
        return NoImageError("is a Git LFS pointer, not an image", "run git lfs pull")
    if start.startswith((b"<!doctype html", b"<html")):
        return NoImageError("is an HTML page, not an image", "download it again")
    try:
        text = head.decode(errors="strict" if len(head) < HEAD else "ignore")
    except UnicodeDecodeError:
        text = "\0"
    if all(letter.isprintable() or letter.isspace() for letter in text):
        return NoImageError("is text, not an image")
    return NoImageError("is no image, by its first bytes")


# -- opening it ----------------------------------------------------------------------------------


def opened(kind: str, file: BinaryIO, head: bytes, draft: int | None) -> ImageFile.ImageFile:
    """An image that may be decoded: its header is read, and it is small enough.

    Parameters
    ----------
    kind : str
        As :func:`identify` gave it: no other decoder sees the bytes.
    file : binary file
    head : bytes
        Its first bytes.
    draft : int or None
        Pixels a side that are enough, where the decoder can give fewer than there are.
    """
    if kind == "WebP":  # whose decoder takes memory for the canvas as it is made
        _check_size(*_webp_size(head))
    if kind not in _IN_PARTS and file.seek(0, os.SEEK_END) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES} bytes")
    file.seek(0)
    if kind == "PNG":
        file = io.BytesIO(_png_without_remarks(file))
    elif kind == "JPEG":
        file = io.BytesIO(_jpeg_without_remarks(file.read()))
    try:
        image = _decoders()[kind](file)
    except SyntaxError as error:  # what Pillow says may be its own affair, or nothing
        raise ValueError(f"no whole {kind} image: {reason(error)}") from error
    if kind == "TIFF" and 50_706 in getattr(image, "tag_v2", ()):
        raise OtherKindError("camera raw .dng")
    if image.info.get("progressive"):
        _check_size(*image.size, _MAX_PROGRESSIVE)
    if draft is not None:
        image.draft(None, (draft, draft))
    _check_size(*image.size)
    return image


def _check_size(width: int, height: int, most: int = MAX_PIXELS) -> None:
    if width * height > most:
        what = f"has {width} x {height} pixels, more than the {most:,} that are read"
        raise NoImageError(what, "make it smaller")


def _webp_size(head: bytes) -> tuple[int, int]:
    """The canvas that a WebP file claims; 0 where its decoder will refuse it anyway."""
    if head[12:16] == b"VP8X" and len(head) >= 30:
        return (
            1 + int.from_bytes(head[24:27], "little"),
            1 + int.from_bytes(head[27:30], "little"),
        )
    if head[12:16] == b"VP8L" and len(head) >= 25:
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 " and len(head) >= 30:
        width, height = struct.unpack_from("<HH", head, 26)
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _png_without_remarks(file: BinaryIO) -> bytes:
    """The chunks of a PNG that make its pixels, and its EXIF if that is whole.

    A broken or endless text or profile is no reason to refuse sound pixels; pixels that do not fit
    their checksum are.
    """
    kept, size = [file.read(8)], 0
    while header := file.read(8):
        if len(header) < 8:
            break
        length, name = struct.unpack(">I4s", header)
        if len(kept) == 1 and (length, name) != (13, b"IHDR"):
            raise ValueError("no whole PNG image: its header is missing")
        remark = name not in _CHUNKS
        if remark and not (name in (b"eXIf", b"tEXt") and length < 1 << 16):
            file.seek(length + 4, os.SEEK_CUR)
            continue
        size += length
        if size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        body, checksum = file.read(length), file.read(4)
        sound = zlib.crc32(body, zlib.crc32(name)).to_bytes(4, "big") == checksum
        if name == b"tEXt" and sound and body.startswith(_OURS):
            raise OtherKindError("picture by aeclust")
        if not (sound or remark):
            short = len(body) < length or len(checksum) < 4
            raise ValueError(
                f"image file is {'truncated' if short else 'damaged'} in {name.decode()}"
            )
        if name == b"IHDR":
            _check_size(*struct.unpack_from(">II", body))
        if sound and name != b"tEXt":
            kept += [header, body, checksum]
        if name == b"IEND":
            break
    return b"".join(kept)


def _jpeg_without_remarks(data: bytes) -> bytes:
    """A JPEG without what is not pixels, but for its EXIF and what says how colours are stored."""
    kept, at, exif = [data[:2]], 2, False
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data):
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xFF:  # padding
            at += 1
            continue
        if marker == 0xDA or not 0xC0 <= marker <= 0xFE or 0xD0 <= marker <= 0xD9 or length < 2:
            break  # the pixels begin, or it is for the decoder to judge
        segment = data[at : at + 2 + length]
        remark = 0xE0 <= marker <= 0xEF or marker == 0xFE
        is_exif = marker == 0xE1 and segment[4:10] == b"Exif\0\0" and not exif
        exif |= is_exif
        colours = (marker == 0xE0 and segment[4:9] == b"JFIF\0" and length >= 16) or (
            marker == 0xEE and segment[4:9] == b"Adobe" and length >= 14
        )
        if not remark or is_exif or colours:
            kept.append(segment)
        at += 2 + length
    return b"".join([*kept, data[at:]])
