"""What the values of images mean: black and white, stated or recognised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError
from aeclust.images.pixels import blocks

_UNIT = "uint8, or float in [0, 1]"
_ROUNDING = 1e-5  # of a range: what six digits of its ends may miss
_WHITES = (1, 255, 1_023, 4_095, 16_383, 65_535)  # of 1, 8, 10, 12, 14 and 16 bits
_USED = 0.25  # of a range, with less of which another one is likely meant
_OVERSHOOT = 0.25  # beyond [0, 1], as resampling leaves it


def bounds(stated: str) -> tuple[float, float]:
    """The values that mean black and white in a range, ``LOW:HIGH``; InputError if there are none.

    >>> bounds("0:255")
    (0.0, 255.0)
    """
    left, _, right = stated.partition(":")
    try:
        black, white = float(left), float(right)
    except ValueError:
        black = white = 0.0
    if not (np.isfinite([black, white, white - black]).all() and black < white):
        expected = "LOW:HIGH, for example 0:255"
        raise InputError(f"range is {stated!r}", where="`range`", expected=expected)
    return black, white


def fitting(low: float, high: float, slack: float = _ROUNDING) -> str:
    """The range that values from `low` to `high` likely have, ``LOW:HIGH``: a usual one, or theirs.

    Parameters
    ----------
    low, high : float
    slack : float
        By what share of a range values may lie beyond it.

    >>> fitting(0, 3_900), fitting(-0.9, 1), fitting(0, 16), fitting(-1_000, 2_000)
    ('0:4095', '-1:1', '0:16', '-1000:2000')
    """
    if low == high == 0:
        return "0:255"
    usual = ((-1.0, 1.0),) if low < 0 else tuple((0.0, float(white)) for white in _WHITES)
    for black, white in usual:
        edge = slack * (white - black)
        inside = black - edge <= low and high <= white + edge
        if inside and _share(low, high, black, white) >= _USED:
            return f"{_text(black)}:{_text(white)}"
    black, white = (low, high) if low < min(high, 0.0) else (min(low, 0.0), max(high, 0.0))
    for digits in (6, 9, 17):
        texts = _text(black, digits), _text(white, digits)
        left, right = map(float, texts)
        edge = slack * (right - left)
        if left < right and left - edge <= black and white <= right + edge:
            break
    return ":".join(texts)


def to_pixels(images: NDArray[Any], stated: str | None, log: Callable[[str], None]) -> NDArray[Any]:
    """uint8, or floating in [0, 1], of an array (n, h, w, c); every value is looked at once.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c)
    stated : str or None
        The range of its values; None recognises uint8, bool and [0, 1].
    log : callable
        Takes remarks on the values, for the user.

    Raises
    ------
    InputError
        If the values are no pixels, or it is not clear what they mean.
    """
    dtype = images.dtype
    if dtype.kind not in "buif":
        raise InputError(f"has dtype {dtype}", expected=_UNIT, mend="convert it")
    low, high = _extremes(images)
    slack = max(_ROUNDING, float(np.finfo(dtype).eps)) if dtype.kind == "f" else 0.0
    if stated is not None:
        return _rescaled(images, stated, low, high, slack, log)
    if dtype.kind == "b":
        return _copied(images, np.dtype(np.uint8), lambda block: block * np.uint8(255))
    hint = as_setting(fitting(low, high, slack))
    values = f"values {_text(low)} to {_text(high)}"
    if dtype == np.uint8:
        if high == 1:
            what = "has uint8 values 0 and 1 only: nearly black, or black and white"
            mend = "state `range` 0:255 or `range` 0:1"
            raise InputError(what, expected="an unambiguous range", mend=mend)
        warn_if_hardly_used(low, high, "0:255", log)
        return images
    if dtype.kind in "ui":
        mend = f"state the range, for example {hint}"
        raise InputError(f"has dtype {dtype} with {values}", expected=_UNIT, mend=mend)
    if low < -slack or high > 1 + slack:
        near = low > -_OVERSHOOT and high < 1 + _OVERSHOOT
        mend = "clip it to [0, 1], or " * near + f"state the range, for example {hint}"
        expected = "float in [0, 1], or uint8"
        raise InputError(f"has {dtype} {values}", expected=expected, mend=mend)
    warn_if_hardly_used(low, high, "0:1", log)
    if low >= 0 and high <= 1 and dtype.isnative and dtype.itemsize <= 8:
        return images
    plain = np.dtype(f"f{min(dtype.itemsize, 8)}")  # the only ones that networks take
    return _copied(images, plain, lambda block: block.clip(0, 1))


def _share(low: float, high: float, black: float, white: float) -> float:
    """How much of a range is used; dark images count from black, but where grey is the middle."""
    return (high - (low if black < 0 else black)) / (white - black)


def warn_if_hardly_used(low: float, high: float, meant: str, log: Callable[[str], None]) -> None:
    """Warn the user if values from `low` to `high` are few of a range."""
    black, white = bounds(meant)
    if low < high and _share(low, high, black, white) < _USED:
        log(
            f"the range {meant} is hardly used: values are {_text(low)} to {_text(high)}, and the"
            f" images nearly {'grey' if black < 0 else 'black'}; {fitting(low, high)} would fit"
        )


def _text(value: float, digits: int = 6) -> str:
    short = abs(value) < 1e15 and float(value).is_integer()
    return str(int(value)) if short else f"{value:.{digits}g}"


def as_setting(text: str) -> str:
    """A range as it is stated: one that begins with a minus would be taken for a flag."""
    return f"`range`{'=' if text.startswith('-') else ' '}{text}"


def _extremes(images: NDArray[Any]) -> tuple[float, float]:
    low, high, row = np.inf, -np.inf, 0
    for block in blocks(images):
        flat = block.reshape(len(block), -1)
        if block.dtype.kind == "f" and not np.isfinite(flat).all():
            bad = row + int(np.argmin(np.isfinite(flat).all(1)))
            what, mend = f"image {bad} holds NaN or infinity", "repair or remove that image"
            raise InputError(what, expected="finite values", mend=mend)
        low, high, row = min(low, flat.min()), max(high, flat.max()), row + len(block)
    return float(low), float(high)


def _rescaled(
    images: NDArray[Any],
    stated: str,
    low: float,
    high: float,
    slack: float,
    log: Callable[[str], None],
) -> NDArray[Any]:
    black, white = bounds(stated)
    edge = slack * (white - black)
    if low < black - edge or high > white + edge:
        raise InputError(
            f"has values {_text(low)} to {_text(high)}",
            expected=f"values within {stated}",
            mend=f"change it, for example to {as_setting(fitting(low, high, slack))}",
        )
    warn_if_hardly_used(low, high, stated, log)
    if images.dtype == np.uint8 and (black, white) == (0, 255):
        return images

    def scaled(block: NDArray[Any]) -> NDArray[Any]:
        unit = (block.astype(np.float64) - black) / (white - black)
        return unit.clip(0, 1)

    return _copied(images, np.dtype(np.float32), scaled)


def _copied(
    images: NDArray[Any], dtype: np.dtype[Any], change: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """A changed copy, made block by block."""
    needed = float(dtype.itemsize) * images.size
    memory.check(needed, "its copy in [0, 1]", "save it as uint8, or as float32 in [0, 1]")
    result, done = np.empty(images.shape, dtype), 0
    for block in blocks(images):
        result[done : done + len(block)] = change(block)
        done += len(block)
    return result
