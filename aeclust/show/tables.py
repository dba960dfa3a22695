"""A table of clusters by classes as a heat map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from aeclust.show.palette import colour, marker
from aeclust.show.style import COLUMN, INK, PAGE, SMALL, TEXT, new_figure, shortened, text_width

_LONGEST = 1.5  # inches of a title
_MARK = 0.16  # inches of the mark of a cluster
_LARGEST, _LEAST = 0.62, 0.13  # inches of a cell; smaller ones have no titles of their own
_SHADES = LinearSegmentedColormap.from_list("shares", ["#FFFFFF", "#4A6076"])  # of no cluster
_DARK = 0.6  # share from which on white is read better than black


def table_figure(
    counts: NDArray[np.int64],
    rows: Sequence[str],
    columns: Sequence[str],
    matched: NDArray[np.int64],
    *,
    marks: Sequence[int] = (),
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
    marks : sequence of int
        The clusters of the rows, whose marks stand beside their titles.
    title, note : str
        Above all, and in small print below.
    """
    k, c = counts.shape
    sides = [[shortened(text, _LONGEST, SMALL) for text in texts] for texts in (rows, columns)]
    gap = _MARK if len(marks) else 0.0
    left, longest = (max(text_width(text, SMALL) for text in texts) + 0.1 for texts in sides)
    cell = min(_LARGEST, (PAGE - left - gap - 0.75) / c)
    upright = longest > cell + 0.1
    above = longest if upright else 0.25
    tall = min(cell, 0.3)
    width, height = max(COLUMN, left + gap + cell * c + 0.75), above + tall * k + 0.35
    with new_figure(width, height, title, note) as figure:
        axes = figure.add_subplot()
        totals = counts.sum(1)
        shares = counts / np.maximum(totals, 1)[:, None]
        axes.imshow(shares, cmap=_SHADES, vmin=0, vmax=1, aspect=tall / cell)
        for row, column in enumerate(matched.tolist()):
            if column >= 0:
                corner = (column - 0.49, row - 0.49)
                axes.add_patch(Rectangle(corner, 0.98, 0.98, fill=False, ec=INK, lw=0.8))
        if text_width(str(counts.max()), SMALL) < cell and tall > _LEAST:
            _write(axes, counts, shares)
        axes.xaxis.tick_top()
        axes.xaxis.set_label_position("top")
        axes.set_xlabel("true label", loc="left", labelpad=2)
        _titles(axes, sides, min(cell, tall), upright=upright)
        if tall > _LEAST:
            for row, total in enumerate(totals.tolist()):
                axes.text(c - 0.4, row, f"{total:,}", va="center", color=TEXT)
            axes.text(c - 0.4, -0.7, "images", color=TEXT, va="bottom")
        axes.tick_params(length=0)
        axes.tick_params(axis="y", pad=3 + 60 * gap)
        beside = ScaledTranslation(-0.09, 0, figure.dpi_scale_trans)
        for row, cluster in enumerate(marks if tall > _LEAST else ()):
            shape = "." if cluster < 0 else marker(cluster)
            look: Any = {"color": colour(cluster), "ms": 4.5, "mew": 0, "clip_on": False}
            (mark,) = axes.plot(-0.5, row, marker=shape, transform=axes.transData + beside, **look)
            mark.set_in_layout(False)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure


def _write(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for row, column in np.argwhere(counts > 0).tolist():
        shade = "white" if shares[row, column] > _DARK else INK
        text = str(counts[row, column])
        axes.text(column, row, text, ha="center", va="center", color=shade)


def _titles(axes: Axes, sides: list[list[str]], cell: float, *, upright: bool) -> None:
    """Titles of rows and columns; of many, one in so many that they do not overlap."""
    step = max(1, int(np.ceil(_LEAST / cell)))
    for axis, texts in zip((axes.yaxis, axes.xaxis), sides, strict=True):
        axis.set_ticks(range(0, len(texts), step), texts[::step])
    if upright:
        axes.tick_params(axis="x", labelrotation=90)
