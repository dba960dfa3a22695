"""Small pictures inside a page: images shrunk, and coded as data URIs within a budget."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Longest side and quality, the first that keeps the budget; no quality is without loss.
_PICTURES = (
    *((64, None), (64, 90), (64, 75), (64, 50), (48, 50), (32, 50), (32, 25)),
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
    uris : tuple of str
        JPEG pictures as data URIs, each with `columns` * `rows` tiles, the last with fewer.
    columns, rows : int
    cell : tuple of int
        Height and width of the place that each tile has; tiles stand in its upper left corner.
    tile : tuple of int
        Height and width of a tile.
    """

    uris: tuple[str, ...]
    columns: int
    rows: int
    cell: tuple[int, int]
    tile: tuple[int, int]


def shrunk(pixels: NDArray[Any], side: int) -> NDArray[np.uint8]:
    """Images made small enough for a square; those that fit stay as they are.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
        uint8, or float in [0, 1]; c is 1 or 3. A memory map is read one image at a time.
    side : int
        Of the square, in pixels.

    Returns
    -------
    ndarray of shape (m, height, width, c)
        uint8, with the proportions of the images as far as whole pixels allow.
    """
    _, h, w, c = pixels.shape
    scale = min(1.0, side / max(h, w))
    height, width = (max(1, round(scale * length)) for length in (h, w))
    result = np.empty((len(pixels), height, width, c), np.uint8)
    for i, image in enumerate(pixels):
        small = _picture(image)
        if scale < 1:
            small = small.resize((width, height), Image.Resampling.LANCZOS)
        result[i] = np.asarray(small).reshape(height, width, c)
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
        uris = _within(budget, (_webp(image, quality) for image in small))
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
        cell = (_up(height), _up(width))
        columns, rows = min(m, _SHEET // cell[1]), _SHEET // cell[0]
        found = _sheets(tiles, cell, columns, rows, quality)
        uris = _within(budget, found)
        if len(uris) == ceil(m / (columns * rows)):
            return Sheets(tuple(uris), columns, rows, cell, (height, width))
    raise ValueError(f"{len(pixels)} tiles need more than {budget} characters")


def _within(budget: int, uris: Iterable[str]) -> list[str]:
    """As many as fit the budget; what comes after them is not made."""
    kept = []
    for uri in uris:
        budget -= len(uri)
        if budget < 0:
            break
        kept.append(uri)
    return kept


def _sheets(
    tiles: NDArray[np.uint8], cell: tuple[int, int], columns: int, rows: int, quality: int
) -> Iterator[str]:
    _, height, width, c = tiles.shape
    # what stands around a tile is its own edge, which is cheaper to code than a border
    room = ((0, 0), (0, cell[0] - height), (0, cell[1] - width), (0, 0))
    for start in range(0, len(tiles), columns * rows):
        some = np.pad(tiles[start : start + columns * rows], room, mode="edge")
        lines = ceil(len(some) / columns)
        sheet = np.zeros((lines * columns, *cell, c), np.uint8)
        sheet[: len(some)] = some
        grid = sheet.reshape(lines, columns, *cell, c).swapaxes(1, 2)
        picture = _picture(grid.reshape(lines * cell[0], columns * cell[1], c))
        yield _uri(picture, "JPEG", quality=quality, subsampling="4:4:4")


def _up(length: int) -> int:
    return ceil(length / _SQUARE) * _SQUARE


def _picture(image: NDArray[Any]) -> Image.Image:
    if image.dtype != np.uint8:
        image = np.rint(255 * np.asarray(image, np.float64))
    image = np.ascontiguousarray(image, np.uint8)
    return Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)


def _webp(image: NDArray[np.uint8], quality: int | None) -> str:
    options: dict[str, Any] = {"lossless": True} if quality is None else {"quality": quality}
    return _uri(_picture(image), "WEBP", **options)


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"
