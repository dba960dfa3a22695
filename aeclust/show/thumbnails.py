"""Small pictures inside a page: images shrunk, and coded as data URIs within a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil, isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Longest side and quality, the first that keeps the budget; 100 is without loss in WebP.
_PICTURES = (
    *((160, 90), (160, 75), (128, 75), (96, 75)),
    *((64, 100), (64, 90), (64, 75), (64, 50), (48, 50), (32, 50), (32, 25)),
    *((24, 25), (16, 25), (8, 10)),
)
_TILES = (
    *((160, 80), (160, 65), (128, 75), (128, 60), (96, 75), (96, 60), (80, 75), (80, 60)),
    *((64, 75), (64, 60), (48, 75), (48, 60), (32, 85), (32, 70), (32, 50), (32, 30)),
    *((24, 50), (24, 30), (16, 50), (16, 25), (8, 10), (8, 1)),
)
LARGEST_PICTURE, SMALL_PICTURE, _SMALL_TILE = 160, 64, 32
_TILE_PIXELS = 13_000_000  # of all tiles together: about what a page can hold, and 40 MB of memory
# JPEG codes squares of 8 pixels by themselves where colours are as fine as brightness, so that no
# tile bleeds into the next one.
_SQUARE = 8
_SHEET = 1_024  # pixels a side: small enough for the browser of a phone


@dataclass(frozen=True)
class Sheets:
    """Many tiles on few pictures, from left to right and from top to bottom.

    Attributes
    ----------
    uris : list of str
        JPEG pictures as data URIs, each with `columns` * `rows` tiles, the last with fewer.
    columns, rows : int
    cell : tuple of int
        Height and width of the place that each tile has; it lies in the upper left corner.
    tiles : list of tuple of int
        Height and width of each tile, or of the first alone where all are alike.
    """

    uris: list[str]
    columns: int
    rows: int
    cell: tuple[int, int]
    tiles: list[tuple[int, int]]


def largest_tile(m: int) -> int:
    """Pixels of the longer side beyond which m tiles would be too many for a page."""
    return max(_SMALL_TILE, min(LARGEST_PICTURE, isqrt(_TILE_PIXELS // max(1, m))))


def shrunk(image: NDArray[Any], side: int) -> NDArray[np.uint8]:
    """An image made small enough for a square; one that fits stays as it is.

    Parameters
    ----------
    image : ndarray of shape (h, w, c)
        uint8, or float in [0, 1]; c is 1 or 3.
    side : int
        Of the square, in pixels.

    Returns
    -------
    ndarray of shape (height, width, c)
        uint8, with the proportions of the image as far as whole pixels allow.
    """
    if image.dtype != np.uint8:
        image = np.rint(255 * image.astype(np.float64)).astype(np.uint8)
    height, width = _fitting(image, side)
    if (height, width) == image.shape[:2]:
        return image
    small = _picture(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(small).reshape(height, width, image.shape[2])


def pictures(
    images: Sequence[NDArray[np.uint8]], budget: int
) -> tuple[list[str], list[tuple[int, int]]]:
    """Each image as a picture of its own, as large and as good as the budget allows.

    Parameters
    ----------
    images : sequence of ndarray of shape (h, w, c)
        Each of its own shape.
    budget : int
        Characters that all of them may take together.

    Returns
    -------
    list of str
        WebP pictures as data URIs: its headers are short.
    list of tuple of int
        Their heights and widths.
    """
    for side, quality in _trials(_PICTURES, SMALL_PICTURE, images):
        small = (shrunk(image, side) for image in images)
        look = {"lossless": True} if quality == 100 else {"quality": quality}
        uris = _within(budget, (_uri(image, "webp", **look) for image in small))
        if len(uris) == len(images):
            return uris, [_fitting(image, side) for image in images]
    raise ValueError(f"{len(images)} pictures need more than {budget} characters")


def sheets(images: Sequence[NDArray[np.uint8]], budget: int) -> Sheets:
    """Many images as tiles of few pictures, as large and as good as the budget allows.

    Parameters
    ----------
    images : sequence of ndarray of shape (h, w, c)
        At least one, each of its own shape.
    budget : int
        Characters that all pictures may take together.
    """
    m, channels = len(images), max(image.shape[2] for image in images)
    for side, quality in _trials(_TILES, _SMALL_TILE, images):
        sizes = [_fitting(image, side) for image in images]
        high, wide = (
            ceil(max(lengths) / _SQUARE) * _SQUARE for lengths in zip(*sizes, strict=True)
        )
        columns, rows = min(m, _SHEET // wide), _SHEET // high
        starts = range(0, m, columns * rows)
        parts = (images[start : start + columns * rows] for start in starts)
        tiles = ([shrunk(image, side) for image in part] for part in parts)
        grids = (_grid(some, (high, wide, channels), columns) for some in tiles)
        look = {"quality": quality, "subsampling": "4:4:4"}
        uris = _within(budget, (_uri(grid, "jpeg", **look) for grid in grids))
        if len(uris) == len(starts):
            alike = len(set(sizes)) == 1
            return Sheets(uris, columns, rows, (high, wide), sizes[:1] if alike else sizes)
    raise ValueError(f"{m} tiles need more than {budget} characters")


def _trials(
    trials: Sequence[tuple[int, int]], small: int, images: Sequence[NDArray[Any]]
) -> list[tuple[int, int]]:
    """Sides and qualities without the sides above `small` that no image reaches."""
    longest = max((max(image.shape[:2]) for image in images), default=small)
    enough = min((side for side, _ in trials if side >= max(longest, small)), default=longest)
    return [(side, quality) for side, quality in trials if side <= enough]


def _fitting(image: NDArray[Any], side: int) -> tuple[int, int]:
    """Height and width of an image that is made small enough for a square."""
    h, w, _ = image.shape
    scale = min(1, side / max(h, w))
    return max(1, round(scale * h)), max(1, round(scale * w))


def _grid(
    tiles: Sequence[NDArray[np.uint8]], cell: tuple[int, int, int], columns: int
) -> NDArray[np.uint8]:
    """Tiles in cells (height, width, channels) beside and below one another."""
    high, wide, channels = cell
    grid = np.zeros((ceil(len(tiles) / columns) * high, columns * wide, channels), np.uint8)
    for i, tile in enumerate(tiles):
        row, column = divmod(i, columns)
        # what stands around a tile is its own edge, which is cheaper to code than a border
        air = ((0, high - tile.shape[0]), (0, wide - tile.shape[1]), (0, 0))
        place = grid[row * high : (row + 1) * high, column * wide : (column + 1) * wide]
        place[:] = np.pad(tile, air, mode="edge") if tile.shape[:2] != cell[:2] else tile
    return grid


def _within(budget: int, uris: Iterable[str]) -> list[str]:
    """As many as fit the budget; what comes after them is not made."""
    kept = []
    for uri in uris:
        budget -= len(uri)
        if budget < 0:
            break
        kept.append(uri)
    return kept


def _picture(image: NDArray[np.uint8]) -> Image.Image:
    image = np.ascontiguousarray(image)
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _uri(image: NDArray[np.uint8], kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    _picture(image).save(buffer, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
