"""One file of an image, to the pixels that a network sees and a preview for people."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from aeclust.errors import AeclustError, InputError, reason

Fit = Literal["squash", "crop", "pad"]
ENDINGS = (".png", ".jpg", ".jpeg")
FITS: tuple[Fit, ...] = ("squash", "crop", "pad")
_MAX_IMAGE_PIXELS = 64_000_000
_PREVIEW_QUALITY, _MAX_PREVIEW = 80, 1_024


@dataclass(frozen=True)
class How:
    """How images in files are read.

    Attributes
    ----------
    size : int or None
        Pixels a side of the result; None keeps the file's own.
    fit : {"squash", "crop", "pad"}
        What becomes of an image that is no square.
    preview : int
        Pixels of the longer side of a preview; 0 makes none.
    """

    size: int | None = None
    fit: Fit = "squash"
    preview: int = 0


class Picture(NamedTuple):
    """An image: pixels (h, w, 1 or 3) uint8, and a JPEG to look at, empty if none was wanted."""

    pixels: NDArray[np.uint8]
    preview: bytes


class OtherKindError(ValueError):
    """A file that is no image of a kind that is read; its text names the kind, for counting."""


def decode(file: BinaryIO, name: str, how: How) -> Picture:
    """One image: upright, alpha on white, 8 bits.

    Raises
    ------
    OtherKindError
        If the file is no image, or of a kind that is not read, and its name promised none.
    Exception
        Whatever Pillow raises on bytes that are no image.
    """
    ending = os.path.splitext(name)[1].lower()
    if ending not in ENDINGS:
        raise OtherKindError(ending or "without an ending")
    with Image.open(file, formats=["PNG", "JPEG"]) as opened:
        if opened.width * opened.height > _MAX_IMAGE_PIXELS:
            raise ValueError(f"{opened.width} x {opened.height} is over {_MAX_IMAGE_PIXELS} pixels")
        if how.size is not None:  # a JPEG need not be unfolded to more than what is used
            side = max(2 * how.size, how.preview)
            opened.draft(None, (side, side))
        opened.load()
        # in place: the pixels are turned before anything is amiss with other parts of the EXIF
        with suppress(Exception):  # broken EXIF beside sound pixels is no reason to refuse these
            ImageOps.exif_transpose(opened, in_place=True)
        image = _eight_bits(opened)
    preview = _preview(image, how.preview) if how.preview else b""
    if how.size is not None:
        image = _fitted(image, how.size, how.fit)
    array = np.asarray(image)
    return Picture(array[..., np.newaxis] if array.ndim == 2 else array, preview)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Grey or RGB."""
    if image.mode.startswith("I"):  # 16-bit grey
        wide = np.asarray(image).astype(np.int64)
        image = Image.fromarray((wide // 257).clip(0, 255).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _fitted(image: Image.Image, size: int, fit: Fit) -> Image.Image:
    """A square of so many pixels a side."""
    smooth = Image.Resampling.BILINEAR
    if fit == "crop":
        return ImageOps.fit(image, (size, size), smooth)
    if fit == "pad":
        return ImageOps.pad(image, (size, size), smooth, color=_mean(image))
    return image.resize((size, size), smooth)


def _mean(image: Image.Image) -> int | tuple[int, ...]:
    """The mean colour of an image, which says less than black bars would."""
    mean = np.asarray(image).mean((0, 1)).round().astype(int)
    return int(mean) if mean.ndim == 0 else tuple(mean.tolist())


def _preview(image: Image.Image, side: int) -> bytes:
    small = image.copy()
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    out = io.BytesIO()
    small.save(out, "JPEG", quality=_PREVIEW_QUALITY)
    return out.getvalue()


def from_preview(data: bytes) -> NDArray[np.uint8]:
    """A preview (h, w, 1 or 3) from its JPEG.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            if max(image.size) > _MAX_PREVIEW:
                raise ValueError(f"{image.width} x {image.height} pixels")
            array = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    except AeclustError:  # a signal that ends the command
        raise
    except Exception as error:  # whatever Pillow raises on bytes that are no image
        what, mend = f"holds a broken preview ({reason(error)})", "delete it"
        raise InputError(what, expected="a file as aeclust wrote it", mend=mend) from error
    return array[..., np.newaxis] if array.ndim == 2 else array


def preview_side(n: int) -> int:
    """Pixels of the longer side of the previews of n images, which together stay bounded."""
    return 160 if n <= 20_000 else 96 if n <= 60_000 else 64
