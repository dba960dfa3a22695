"""What is worked out from the pixels of images, a block of rows at a time."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aeclust.errors import InputError

_BLOCK_ROWS, _BLOCK_BYTES = 4_096, 1 << 24
# What distinguishes photographs: docs/which-recipe.md has what they were measured on.
_SAMPLE, _SMALL = 512, 32
_COLOURFUL = 8.0  # levels between the strongest and the weakest of three colours
_NATURAL = (3.3, 6.4)  # tails of edges: below 3 in noise, above 7 in drawings
_ROUNDING = 1e-3  # of a level of 8 bits; those of 16 bits lie four times as far apart


def blocks(pixels: NDArray[Any], rows: int = _BLOCK_ROWS) -> Iterator[NDArray[Any]]:
    """Consecutive rows, of large images fewer, so that a memory map is never read whole."""
    rows = max(1, min(rows, _BLOCK_BYTES // max(1, pixels[:1].nbytes)))
    for start in range(0, len(pixels), rows):
        yield np.asarray(pixels[start : start + rows])


def fingerprints(pixels: NDArray[Any]) -> NDArray[np.uint64]:
    """A 64-bit BLAKE2b of every image's values, equal for equal images, whatever their dtype.

    Floats that are the 256 levels of 8 bits, as good as half precision holds them, count as these;
    others, and vectors, as they are in single precision.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c) or (n, d)
        uint8, or floating in [0, 1]; vectors of any numbers.

    Returns
    -------
    ndarray of shape (n,)
    """
    marks = (
        int.from_bytes(hashlib.blake2b(image, digest_size=8).digest(), "little")
        for block in blocks(pixels)
        for image in _comparable(np.ascontiguousarray(block))
    )
    return np.fromiter(marks, np.uint64, len(pixels))


def _comparable(block: NDArray[Any]) -> Iterator[Any]:
    """Every image in the dtype that its values are compared in."""
    if block.ndim == 2:
        yield from block.astype(np.float32) + np.float32(0)  # which has no zero below zero
        return
    if block.dtype == np.uint8:
        yield from block
        return
    single = block.astype(np.float32, copy=False)
    scaled = single * np.float32(255)
    levels = np.rint(scaled)
    # half precision is off by at most 2^-11 of a value; single precision from -1 to 1 by far less
    near = np.abs(scaled - levels) <= levels * 2.0**-11 + _ROUNDING
    whole = near.reshape(len(near), -1).all(1)
    for eight_bits, image, level in zip(whole.tolist(), single, levels, strict=True):
        yield level.astype(np.uint8) if eight_bits else image


def check_enough(images: NDArray[Any], k: int) -> None:
    """Refuse images that are too few, or too alike, for k clusters.

    Parameters
    ----------
    images : ndarray of shape (n, h, w, c) or (n,)
        Pixels, or their fingerprints.
    k : int

    Raises
    ------
    InputError
    """
    n, mend = len(images), "add images or lower `k`"
    if n < k:
        expected = f"at least {k} images"
        raise InputError(f"{n:,} images cannot form {k} clusters", expected=expected, mend=mend)
    different = _count_different(images, max(2, k))
    if n > 1 and different == 1:
        mend = "check how they were made"
        raise InputError(f"all {n:,} images are the same", expected="images that differ", mend=mend)
    if different < k:
        what = f"only {different:,} of {n:,} images are different, too few for {k} clusters"
        raise InputError(what, expected=f"at least {k} different ones", mend=mend)


def _count_different(images: NDArray[Any], most: int) -> int:
    """How many images differ, counted until there are `most`; often the first few are enough."""
    seen: set[int] = set()
    for block in blocks(images):
        seen.update((block if block.ndim == 1 else fingerprints(block)).tolist())
        if len(seen) >= most:
            return most
    return len(seen)


def mean_colours(pixels: NDArray[Any]) -> NDArray[np.float32]:
    """The mean colour of every image.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)

    Returns
    -------
    ndarray of shape (n, c)
        In [0, 1].
    """
    scale = 255.0 if pixels.dtype == np.uint8 else 1.0
    means = [block.mean((1, 2), dtype=np.float64) / scale for block in blocks(pixels)]
    return np.concatenate(means).astype(np.float32)


def like_photographs(pixels: NDArray[Any]) -> bool:
    """Whether images are photographs in colour, by the :func:`looks` of some of them: a guess.

    They are at least 32 pixels a side, in colour, busier than drawings and less even than noise.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)
        uint8, or floating in [0, 1].
    """
    n, h, w, c = pixels.shape
    if not n or c != 3 or min(h, w) < _SMALL:
        return False
    colour, tails = looks(pixels)
    return colour >= _COLOURFUL and _NATURAL[0] <= tails <= _NATURAL[1]


def looks(pixels: NDArray[Any]) -> tuple[float, float]:
    """How strong the colours of images are, and how heavy the tails of their edges.

    512 of the images (n, h, w, 3) are made 32 pixels small. The one is the distance of the
    strongest and the weakest of three colours, in levels, of the median image. The other is of what
    differs from the mean of its neighbours: the fourth moment over the second squared, 3 if it is
    Gaussian and more if it is nothing but a few edges. Blurred backgrounds have few edges too,
    hence its lower quartile.
    """
    some = np.linspace(0, len(pixels) - 1, min(len(pixels), _SAMPLE)).astype(np.int64).tolist()
    small = np.stack([_small(pixels[row]) for row in some])  # one at a time: they may be large
    grey = small.mean(3)
    across, down = grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:], grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1]
    edges = np.square(4 * grey[:, 1:-1, 1:-1] - across - down)
    tails = np.square(edges).mean((1, 2)) / np.square(edges.mean((1, 2)) + _ROUNDING)
    colours = np.ptp(small, axis=3).mean((1, 2))
    return float(np.median(colours)), float(np.quantile(tails, 0.25))


def _small(image: NDArray[Any]) -> NDArray[np.float64]:
    """An image (h, w, 3) made 32 pixels small, in levels."""
    if image.dtype != np.uint8:
        image = np.rint(np.asarray(image, np.float64) * 255).astype(np.uint8)
    size, box = (_SMALL, _SMALL), Image.Resampling.BOX
    return np.asarray(Image.fromarray(image).resize(size, box), np.float64)


def grey_square(image: NDArray[Any], side: int) -> NDArray[np.uint8]:
    """An image (h, w, c), uint8 or floating in [0, 1], squeezed into a grey square (side, side)."""
    if image.dtype != np.uint8:
        image = np.rint(np.asarray(image, np.float64) * 255).astype(np.uint8)
    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("L")
    smooth = Image.Resampling.BOX if min(picture.size) >= side else Image.Resampling.BILINEAR
    return np.asarray(picture.resize((side, side), smooth))


def to_png(pixels: NDArray[Any]) -> bytes:
    """One image (h, w, c), uint8 or floating in [0, 1], as a PNG of 8 bits."""
    if pixels.dtype != np.uint8:
        pixels = np.rint(np.asarray(pixels, np.float64) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(out, "PNG")
    return out.getvalue()
