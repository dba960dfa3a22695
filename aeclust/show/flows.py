"""What moves between clusterings: flows from the clusters of one to those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aeclust.show.palette import colour
from aeclust.show.style import (
    COLUMN,
    LINES,
    NORMAL,
    PAGE,
    SMALL,
    TEXT,
    FloatArray,
    draw_image,
    new_figure,
    shortened,
)

PANELS = 6  # that a figure has room for, three beside one another
IMAGES = 10  # in the strip below
_BAR, _AIR = 0.05, 0.012  # width of a bar, air between two of them: of the panel
_LEAST = 0.11  # inches of a bar that has a title
_STRIP = 0.85  # inches


@dataclass(frozen=True)
class Side:
    """The clusters of one clustering, from above to below.

    Attributes
    ----------
    title : str
    names : sequence of str
        Of the k clusters.
    numbers : sequence of int
        Which cluster of the first clustering each is; what is none of these, or no cluster, is
        grey.
    """

    title: str
    names: Sequence[str]
    numbers: Sequence[int]


def flow_figure(
    first: Side,
    others: Sequence[tuple[Side, NDArray[np.int64]]],
    images: Sequence[tuple[FloatArray, str]] = (),
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """A panel for each other clustering, with what stays pale and what moves dark.

    Parameters
    ----------
    first : Side
    others : sequence of (Side, ndarray of shape (k, l))
        At most :data:`PANELS`, and how many images flow from each cluster of the first to each.
    images : sequence of (ndarray of shape (h, w, c), str)
        At most :data:`IMAGES` in [0, 1] in a strip below, with captions.
    title, note : str
        Above all, and in small print below.
    """
    columns = min(len(others), 3)
    rows = ceil(len(others) / columns)
    most = max(len(side.names) for side in (first, *(side for side, _ in others)))
    tall = float(np.clip(0.21 * most + 0.4, 1.8, 6.0 if rows == 1 else 4.0))
    wide = min(PAGE / columns, 4.6)
    strip = [_STRIP] if images else []
    width, height = max(columns * wide, COLUMN), rows * (tall + 0.25) + sum(strip)
    with new_figure(width, height, title, note) as figure:
        ratios = [tall + 0.25] * rows + strip
        grid = figure.add_gridspec(len(ratios), columns, height_ratios=ratios)
        for i, (side, table) in enumerate(others):
            axes = figure.add_subplot(grid[i // columns, i % columns])
            _draw_panel(axes, first, side, table, wide, tall)
        if images:
            _draw_strip(figure.add_subplot(grid[rows, :]), images, width)
    return figure


def _draw_panel(
    axes: Axes, first: Side, other: Side, table: NDArray[np.int64], wide: float, tall: float
) -> None:
    """Bars of two clusterings, and ribbons between them."""
    total = table.sum()
    tops = [_tops(table.sum(axis) / total) for axis in (1, 0)]
    _draw_ribbons(axes, first.numbers, other.numbers, table / total, tops)
    limit = wide * 0.22  # of 1.9 parts, 0.45 lie on either side
    sides = ((first, 0.0, -0.03, "right", 1), (other, 1 - _BAR, 1.03, "left", 0))
    for (side, x, at, align, axis), starts in zip(sides, tops, strict=True):
        sizes = table.sum(axis) / total
        for name, number, top, size in zip(side.names, side.numbers, starts, sizes, strict=True):
            axes.bar(x, size, _BAR, top, align="edge", color=_colour(number), zorder=3)
            if size * tall >= _LEAST:
                where: Any = {"ha": align, "va": "center", "fontsize": SMALL}
                axes.text(at, top + size / 2, shortened(name, limit, SMALL), **where)
        heading = shortened(side.title, wide / 2 - 0.1, NORMAL)
        axes.text(min(max(at, 0), 1), -0.03, heading, ha=["left", "right"][axis == 0], va="bottom")
    low = 1 + _AIR * max(map(len, tops))
    axes.set(xlim=(-0.45, 1.45), ylim=(low, -0.1))
    axes.set_axis_off()


def _tops(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where each bar begins, from above."""
    return np.concatenate([[0.0], np.cumsum(sizes + _AIR)[:-1]])


def _draw_ribbons(
    axes: Axes,
    lefts: Sequence[int],
    rights: Sequence[int],
    parts: NDArray[np.float64],
    tops: Sequence[NDArray[np.float64]],
) -> None:
    """Bands from the bars of one side to those of the other, what moves above what stays."""
    rows, columns = np.nonzero(parts)
    sizes = parts[rows, columns][:, None]
    before = [np.cumsum(parts, axis) - parts for axis in (1, 0)]
    starts = (tops[0][rows] + before[0][rows, columns])[:, None]
    ends = (tops[1][columns] + before[1][rows, columns])[:, None]
    t = np.linspace(0, 1, 40)
    upper = starts + (ends - starts) * t * t * (3 - 2 * t)
    x = np.broadcast_to(_BAR + (1 - 2 * _BAR) * t, upper.shape)
    bands = np.stack([np.hstack([x, x[:, ::-1]]), np.hstack([upper, (upper + sizes)[:, ::-1]])], 2)
    colours = np.array([_colour(lefts[row]) for row in rows.tolist()])
    stays = np.array(lefts)[rows] == np.array(rights)[columns]
    for which, alpha in ((stays, 0.25), (~stays, 0.8)):
        look: Any = {"facecolors": colours[which].tolist(), "alpha": alpha, "linewidths": 0}
        axes.add_collection(PolyCollection(list(bands[which]), zorder=1 + (alpha > 0.5), **look))


def _colour(number: int) -> str:
    return colour(number) if number >= 0 else LINES


def _draw_strip(axes: Axes, images: Sequence[tuple[FloatArray, str]], width: float) -> None:
    """Images side by side in inches, and a caption below each."""
    cell = min(width / IMAGES, _STRIP - 0.2)
    for i, (image, caption) in enumerate(images):
        x = (i + 0.5) * cell
        draw_image(axes, image, (x, cell / 2), cell * 0.94, -cell * 0.94)
        text, high = shortened(caption, cell, SMALL), image.shape[0] / image.shape[1]
        below = cell * (0.5 + 0.47 * min(1.0, high)) + 0.03
        axes.text(x, below, text, ha="center", va="top", fontsize=SMALL, color=TEXT)
    axes.set(xlim=(0, width), ylim=(cell + 0.2, 0))
    axes.set_aspect("equal", anchor="W")
    axes.set_axis_off()
