"""One file of an image, to the pixels that a network sees and a preview for people."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from aeclust.errors import AeclustError, InputError, Interrupted, reason
from aeclust.images.depth import (
    Depth,
    Range,
    check_range,
    grey_values,
    has_deep_colours,
    ppm_values,
    read_in_range,
    to_eight_bits,
    upper_bits,
    white_of,
)
from aeclust.images.gate import HEAD, identify, opened

Fit = Literal["crop", "squash", "pad"]
FITS: tuple[Fit, ...] = ("crop", "squash", "pad")  # the default first, see docs/benchmarks.md
_EIGHT_BITS = 255
_PREVIEWS = ((30_000, 160), (60_000, 96), (100_000, 64))  # up to so many images, so many pixels
_PREVIEW_BYTES = 256_000_000  # of so many images; each of more takes what it would among these
_QUALITIES, _MAX_PREVIEW = (80, 60, 40, 20), 1_024


@dataclass(frozen=True)
class How:
    """How images in files are read.

    Attributes
    ----------
    size : int or None
        Pixels a side of the result; None keeps the file's own.
    fit : {"crop", "squash", "pad"}
        What becomes of an image that is no square.
    preview : int
        Pixels of the longer side of a preview; 0 makes none.
    range : (float, float) or None
        Black and white of images of more than 8 bits, and of others if it ends by 255.
    """

    size: int | None = None
    fit: Fit = FITS[0]
    preview: int = 0
    range: Range | None = None


class Picture(NamedTuple):
    """An image: pixels (h, w, 1 or 3) uint8, a preview as a JPEG, empty if none was asked for.

    `depth` describes values of more than 8 bits.
    """

    pixels: NDArray[np.uint8]
    preview: bytes
    depth: Depth | None = None


def decode(file: BinaryIO, name: str, how: How) -> Picture:
    """One image: upright, alpha on white, 8 bits.

    Raises
    ------
    OtherKindError
        If the file is of a kind that is not read, or no image, and its name promised none.
    NoImageError
        If its name promised one.
    OutOfRangeError
        If it has values outside of the range.
    Exception
        Whatever a decoder raises on bytes that are no image.
    """
    head = file.read(HEAD)
    draft = None if how.size is None else max(2 * how.size, how.preview)
    with opened(identify(head, name), file, head, draft) as opening:
        image, depth = _eight_bits(opening, file, how.range)
    preview = _preview(image, how.preview) if how.preview else b""
    if how.size is not None:
        image = _fitted(image, how.size, how.fit)
    array = np.asarray(image)
    return Picture(array[..., np.newaxis] if array.ndim == 2 else array, preview, depth)


def size_of(file: BinaryIO, name: str) -> tuple[int, int]:
    """How many pixels an image has, by its header, and how many bytes its file; 0 if damaged."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(HEAD)
    try:
        with opened(identify(head, name), file, head, None) as image:
            return image.width * image.height, size
    except Interrupted:
        raise
    except Exception:  # whatever a damaged file stumbles over
        return 0, 0


def _eight_bits(
    image: ImageFile.ImageFile, file: BinaryIO, stated: Range | None
) -> tuple[Image.Image, Depth | None]:
    """An opened image, upright, grey or RGB."""
    white, deep = white_of(image), has_deep_colours(image)
    if image.format == "PPM" and white is not None and image.tile[0][0] == "ppm":
        values = ppm_values(image, file)
        if white <= _EIGHT_BITS:
            return _stretched(Image.fromarray(to_eight_bits(values, 0, white)), stated), None
    else:
        image.load()
        # in place: the pixels are turned before anything is amiss with other parts of the EXIF
        with suppress(Exception):  # broken EXIF beside sound pixels is no reason to refuse these
            ImageOps.exif_transpose(image, in_place=True)
        if white is None:
            depth = upper_bits(image, stated) if deep else None
            return _stretched(_composed(image), None if deep else stated), depth
        values = grey_values(image, white)
    pixels, depth = read_in_range(values, white, stated)
    return Image.fromarray(pixels), depth


def _composed(image: Image.Image) -> Image.Image:
    """An image of 8 bits as grey or RGB, what is clear on white."""
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("L" if image.mode in ("1", "L") else "RGB")


def _stretched(image: Image.Image, stated: Range | None) -> Image.Image:
    """An image of 8 bits in the range that is stated, if that can mean 8 bits."""
    if stated is None or stated[1] > _EIGHT_BITS:
        return image
    values = np.asarray(image)
    check_range(float(values.min()), float(values.max()), stated)
    return Image.fromarray(to_eight_bits(values, *stated))


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
    """A small JPEG, of lower quality and then smaller until it takes no more than its share."""
    share = next(_PREVIEW_BYTES // n for n, pixels in _PREVIEWS if side >= pixels)
    while True:
        scale = min(1.0, side / max(image.size))
        size = [max(1, round(length * scale)) for length in image.size]
        small = image.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=2.0)
        for quality in _QUALITIES:
            out = io.BytesIO()
            small.save(out, "JPEG", quality=quality)
            if out.tell() <= share:
                return out.getvalue()
        side //= 2


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
    """Pixels of the longer side of the previews of n images, which together stay bounded.

    Up to 100,000 images they take 256 MB at most, and then 2,560 bytes each.
    """
    return next((side for most, side in _PREVIEWS if n <= most), _PREVIEWS[-1][1])
