"""Small pictures inside a page: images shrunk, and coded as data URIs within a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Longest side and quality, the first that keeps the budget; 100 is without loss in WebP.
_PICTURES = (
    *((64, 100), (64, 90), (64, 75), (64, 50), (48, 50), (32, 50), (32, 25)),
    *((24, 25), (16, 25), (8, 10)),
)
_TILES = (
    *((32, 85), (32, 70), (32, 50), (32, 30)),
    *((24, 50), (24, 30), (16, 50), (16, 25), (8, 10), (8, 1)),
)
LARGEST_PICTURE, LARGEST_TILE = 64, 32
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
    cell, tile : tuple of int
        Heights and widths: of the place that each tile has, and of the tile in its upper left
        corner.
    """

    uris: list[str]
    columns: int
    rows: int
    cell: tuple[int, int]
    tile: tuple[int, int]


def shrunk(pixels: NDArray[Any], side: int) -> NDArray[np.uint8]:
    """Images made small enough for a square; those that fit stay as they are.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
        uint8, or float in [0, 1]; c is 1 or 3.
    side : int
        Of the square, in pixels.

    Returns
    -------
    ndarray of shape (m, height, width, c)
        uint8, with the proportions of the images as far as whole pixels allow.
    """
    m, h, w, c = pixels.shape
    scale = min(1, side / max(h, w))
    if scale == 1 and pixels.dtype == np.uint8:
        return pixels
    height, width = (max(1, round(scale * length)) for length in (h, w))
    result = np.empty((m, height, width, c), np.uint8)
    for i, image in enumerate(pixels):  # one at a time: a map of floats may exceed the memory
        if image.dtype != np.uint8:
            image = np.rint(255 * image.astype(np.float64)).astype(np.uint8)
        if scale < 1:
            small = _picture(image).resize((width, height), Image.Resampling.LANCZOS)
            image = np.asarray(small).reshape(height, width, c)
        result[i] = image
    return result


def pictures(pixels: NDArray[np.uint8], budget: int) -> tuple[list[str], tuple[int, int]]:
    """Each image as a picture of its own, as large and as good as the budget allows.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
    budget : int
        Characters that all of them may take together.

    Returns
    -------
    list of str
        WebP pictures as data URIs: its headers are short.
    tuple of int
        Height and width.
    """
    for side, quality in _PICTURES:
        small = shrunk(pixels, side)
        look = {"lossless": True} if quality == 100 else {"quality": quality}
        uris = _within(budget, (_uri(image, "webp", **look) for image in small))
        if len(uris) == len(small):
            return uris, (small.shape[1], small.shape[2])
    raise ValueError(f"{len(pixels)} pictures need more than {budget} characters")


def sheets(pixels: NDArray[np.uint8], budget: int) -> Sheets:
    """Many images as tiles of few pictures, as large and as good as the budget allows.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
        m at least 1.
    budget : int
        Characters that all pictures may take together.
    """
    for side, quality in _TILES:
        tiles = shrunk(pixels, side)
        m, height, width, _ = tiles.shape
        cell = (ceil(height / _SQUARE) * _SQUARE, ceil(width / _SQUARE) * _SQUARE)
        columns, rows = min(m, _SHEET // cell[1]), _SHEET // cell[0]
        starts = range(0, m, columns * rows)
        grids = (_grid(tiles[start : start + columns * rows], cell, columns) for start in starts)
        look = {"quality": quality, "subsampling": "4:4:4"}
        uris = _within(budget, (_uri(grid, "jpeg", **look) for grid in grids))
        if len(uris) == len(starts):
            return Sheets(uris, columns, rows, cell, (height, width))
    raise ValueError(f"{len(pixels)} tiles need more than {budget} characters")


def _grid(tiles: NDArray[np.uint8], cell: tuple[int, int], columns: int) -> NDArray[np.uint8]:
    """Tiles in cells beside and below one another."""
    m, height, width, c = tiles.shape
    lines = ceil(m / columns)
    # what stands around a tile is its own edge, which is cheaper to code than a border
    air = ((0, lines * columns - m), (0, cell[0] - height), (0, cell[1] - width), (0, 0))
    cells = np.pad(tiles, air, mode="edge").reshape(lines, columns, *cell, c)
    return cells.swapaxes(1, 2).reshape(lines * cell[0], columns * cell[1], c)


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
