"""A table of clusters by classes as a heat map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust.show.palette import COLOURS
from aeclust.show.style import SMALL, TEXT, characters, new_figure, shortened

_WIDTH = 7.0  # inches, at most
_LONGEST = 26  # characters of a title
_LARGEST, _LEAST = 0.62, 0.13  # inches of a cell; smaller ones have no titles of their own
_SHADES = LinearSegmentedColormap.from_list("shares", ["#FFFFFF", COLOURS[0]])
_DARK = 0.9  # share from which on white is read better than black


def table_figure(
    counts: NDArray[np.int64],
    rows: Sequence[str],
    columns: Sequence[str],
    matched: NDArray[np.int64],
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """Counts in cells that are the darker, the larger a share of their row they are.

    Parameters
    ----------
    counts : ndarray of shape (k, c)
    rows, columns : sequence of str
        Titles of the k rows and c columns.
    matched : ndarray of shape (k,)
        The column whose cell is framed in each row; -1 for none.
    title, note : str
        Above all, and in small print below.
    """
    k, c = counts.shape
    sides = [[shortened(text, _LONGEST) for text in texts] for texts in (rows, columns)]
    letter = SMALL * 0.66 / 72  # inches
    left = letter * max(map(len, sides[0])) + 0.1
    cell = min(_LARGEST, (_WIDTH - left - 0.7) / c)
    upright = max(map(len, sides[1])) > characters(cell, SMALL) + 1
    above = letter * max(map(len, sides[1])) + 0.1 if upright else 0.25
    tall = min(cell, 0.3)
    width, height = max(3.4, left + cell * c + 0.7), above + tall * k + 0.2
    with new_figure(width, height, title, note) as figure:
        axes = figure.add_subplot()
        totals = counts.sum(1)
        shares = counts / np.maximum(totals, 1)[:, None]
        axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect=tall / cell)
        for row, column in enumerate(matched.tolist()):
            if column >= 0:
                corner = (column - 0.49, row - 0.49)
                axes.add_patch(Rectangle(corner, 0.98, 0.98, fill=False, ec="black", lw=0.8))
        if characters(cell, SMALL) >= len(str(counts.max())) and tall > _LEAST:
            _write(axes, counts, shares)
        axes.xaxis.tick_top()
        _titles(axes, sides, min(cell, tall), upright=upright)
        if tall > _LEAST:
            for row, total in enumerate(totals.tolist()):
                axes.text(c - 0.3, row, f"{total:,}", va="center", color=TEXT)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _write(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(counts > 0).tolist():
        colour = "white" if shares[row, column] > _DARK else "black"
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=colour)


def _titles(axes: Axes, sides: list[list[str]], cell: float, *, upright: bool) -> None:
    """Titles of rows and columns; of many, one in so many that they do not overlap."""
    step = max(1, int(np.ceil(_LEAST / cell)))
    for axis, texts in zip((axes.yaxis, axes.xaxis), sides, strict=True):
        axis.set_ticks(range(0, len(texts), step), texts[::step])
    if upright:
        axes.tick_params(axis="x", labelrotation=90)
