"""Images of more than 8 bits: what their values mean, and when it must be said."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from aeclust.errors import InputError
from aeclust.images.ranges import as_setting, fitting, warn_if_hardly_used

Range = tuple[float, float]
_FULL = 65_535  # white of 16 bits
_ROUNDING = 1e-5  # of a range, as for arrays
_FAR_BELOW = 4  # values that reach no fourth of white are of fewer bits than they are stored in
_PHOTOMETRIC, _BITS_PER_SAMPLE = 262, 258  # tags of TIFF


class Depth(NamedTuple):
    """The values that an image of more than 8 bits holds.

    `white` is what its file says is white; 0 where it says nothing. Of `colour`, Pillow keeps the
    upper 8 bits alone.
    """

    low: float
    high: float
    white: float
    colour: bool = False


class OutOfRangeError(ValueError):
    """An image with values outside of the range that was stated."""

    def __init__(self, low: float, high: float, stated: Range) -> None:
        self.what = f"has values {_number(low)} to {_number(high)}"
        self.expected = f"values within {in_words(*stated)}"
        self.mend = f"change it, for example to {as_setting(fitting(low, high))}"
        super().__init__(f"{self.what}, outside of {in_words(*stated)}")


def in_words(low: float, high: float) -> str:
    """A range as it is stated."""
    return f"{_number(low)}:{_number(high)}"


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else f"{value:.9g}"


# -- one image -----------------------------------------------------------------------------------


def white_of(image: ImageFile.ImageFile) -> float | None:
    """White of an opened image of other values than 8 bits; 0 if unknown, None if it has 8 bits."""
    codec, _, _, args = _tile(image)
    if codec.startswith("ppm") and image.mode != "1":
        return float(args[1]) if codec == "ppm" or image.mode == "I" else None
    if image.mode.startswith("I;16"):
        return 4_095 if getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE) == (12,) else _FULL
    if image.mode in ("I", "F"):
        return _FULL if image.format == "PPM" and image.mode == "I" else 0
    return None


def _tile(image: ImageFile.ImageFile) -> tuple[Any, ...]:
    """How the first piece of an opened image is decoded: codec, place, offset, arguments."""
    return tuple(image.tile[0]) if image.tile else ("", None, 0, ())


def has_deep_colours(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image has colours, or alpha, of 16 bits: Pillow keeps the upper 8."""
    return len(image.getbands()) > 1 and any(";16" in repr(tile[3]) for tile in image.tile)


def ppm_values(image: ImageFile.ImageFile, file: BinaryIO) -> NDArray[Any]:
    """The values of a PPM of another white than 255; Pillow would rescale them one by one."""
    _, _, offset, args = _tile(image)
    shape = (image.height, image.width, 3)[: len(image.getbands()) // 2 + 2]
    dtype = np.dtype(">u2" if args[1] > 255 else "u1")
    file.seek(offset)
    data = file.read(math.prod(shape) * dtype.itemsize)
    if len(data) < math.prod(shape) * dtype.itemsize:
        raise ValueError("image file is truncated")
    return np.frombuffer(data, dtype).reshape(shape)


def grey_values(image: ImageFile.ImageFile, white: float) -> NDArray[Any]:
    """The values of a decoded image of more than 8 bits."""
    values = np.asarray(image)
    if image.format == "PPM" and white not in (0, _FULL):  # Pillow spread them over 16 bits
        return np.rint(values * (white / _FULL)).astype(np.int64)
    # black is the largest value of a scanned page: Pillow turns 8 bits, and no more
    if white and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:
        return white - values.astype(np.int64)
    return values


def to_eight_bits(values: NDArray[Any], black: float, white: float) -> NDArray[np.uint8]:
    """Values as 0 to 255, those outside of black and white cut off."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:  # a table spares time and memory
        every = np.arange(1 << 8 * values.dtype.itemsize, dtype=np.float64)
        table: NDArray[np.uint8] = to_eight_bits(every, black, white)[values]
        return table
    scaled = (values.astype(np.float64) - black) * 255 / (white - black)
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def read_in_range(
    values: NDArray[Any], white: float, stated: Range | None
) -> tuple[NDArray[np.uint8], Depth | None]:
    """The pixels of an image, and what its values are unless they are floats in [0, 1].

    Raises
    ------
    OutOfRangeError
        If there are values outside of the range that is stated.
    ValueError
        If they are not finite.
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinity")
    low, high = float(values.min()), float(values.max())
    if stated is not None:
        check_range(low, high, stated, values.dtype.kind == "f")
        return to_eight_bits(values, *stated), Depth(low, high, stated[1])
    if values.dtype.kind == "f" and low >= -_ROUNDING and high <= 1 + _ROUNDING:
        return to_eight_bits(values, 0, 1), None
    ends = (0, white) if white else (low, max(high, low + 1))
    return to_eight_bits(values, *ends), Depth(low, high, white)


def upper_bits(image: ImageFile.ImageFile, stated: Range | None) -> Depth | None:
    """What the values of a decoded image with colours of 16 bits were, as far as Pillow keeps them.

    Raises
    ------
    ValueError
        If another range than that of 16 bits is stated.
    """
    if stated is None:
        bands = dict(zip(image.getbands(), image.split(), strict=True))
        high = max(float(np.asarray(band).max()) for name, band in bands.items() if name != "A")
        return Depth(0, 256 * high + 255, _FULL, colour=True)
    if stated != (0, _FULL):
        raise ValueError("8 of its 16 bits a colour are read: convert it to 8 bits")
    return None


def check_range(low: float, high: float, stated: Range, floating: bool = False) -> None:
    """Refuse values outside of a range."""
    slack = _ROUNDING * (stated[1] - stated[0]) if floating else 0.0
    if low < stated[0] - slack or high > stated[1] + slack:
        raise OutOfRangeError(low, high, stated)


# -- all of them ---------------------------------------------------------------------------------


def check(depths: Sequence[Depth]) -> None:
    """Refuse images whose range must be stated, or that would turn black in silence.

    Parameters
    ----------
    depths : sequence of Depth
        Of all images of more than 8 bits, read without a range.

    Raises
    ------
    InputError
    """
    unknown = [each for each in depths if not each.white]
    if unknown:
        low, high = min(each.low for each in unknown), max(each.high for each in unknown)
        what = f"has images with values {_number(low)} to {_number(high)}"
        expected = "8 or 16 bits, or float in [0, 1]"
        raise InputError(what, expected=expected, mend=_state(low, high))
    for colour in (False, True):
        some = [each for each in depths if each.colour is colour]
        if some and are_dark(some):
            high = max(each.high for each in some)
            white = max(each.white for each in some)
            kind = "colour" if colour else "grey"
            what = f"has {kind} images of 16 bits with values up to {_number(high)} only"
            mend = "convert them to 8 bits" if colour else _state(0, high)
            raise InputError(what, expected=f"values that reach {_number(white)}", mend=mend)


def remarks(depths: Sequence[Depth], stated: Range | None) -> tuple[str, ...]:
    """What to say of images that are nearly black in the range that they are read in.

    Parameters
    ----------
    depths : sequence of Depth
        Of all images of more than 8 bits that are read.
    stated : (float, float) or None
        Their range; None is that of 16 bits.
    """
    if depths and stated is not None:
        low, high = min(each.low for each in depths), max(each.high for each in depths)
        lines: list[str] = []
        warn_if_hardly_used(low, high, in_words(*stated), lines.append)
        return tuple(lines)
    dark = sum(are_dark([each]) for each in depths)
    images = "1 image of 16 bits is" if dark == 1 else f"{dark:,} images of 16 bits are"
    return (f"{images} nearly black; if that is wrong, state their range",) * bool(dark)


def are_dark(depths: Sequence[Depth]) -> bool:
    """Whether no image reaches a fourth of its white: 14 bits or fewer, stored in 16."""
    return all(_FAR_BELOW * (each.high + 1) <= each.white + 1 for each in depths)


def _state(low: float, high: float) -> str:
    return f"state the range, for example {as_setting(fitting(low, high))}"
