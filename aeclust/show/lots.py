"""Pictures with what is said of them, in lots side by side: similar ones, copies, outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from aeclust.show.palette import colour, marker
from aeclust.show.style import (
    GRID,
    GROUND,
    INK,
    PAGE,
    SMALL,
    TEXT,
    FloatArray,
    draw_image,
    new_figure,
    shortened,
    text_width,
)

ACROSS = 6  # pictures in a row
MOST = 10 * ACROSS  # pictures of a sheet
# inches: air between pictures and between lots, heights of words
_GAP, _HEAD, _LINE = 0.08, 0.2, 0.13
_CELL = (PAGE - (ACROSS - 1) * _GAP) / ACROSS
_MARK = 0.12  # the mark of a cluster
_TALL, _RULE = 0.85 * _CELL, 0.06


@dataclass(frozen=True)
class Lot:
    """Pictures that belong together.

    Attributes
    ----------
    pictures : sequence of ndarray of shape (h, w, c)
        In [0, 1], each of its own shape; c is 1 or 3.
    names, remarks : sequence of str
        Two lines below each picture.
    title : str
        Above the first of them.
    clusters : sequence of int
        Those that the pictures are in, whose marks stand before the remarks; none, if empty.
    """

    pictures: Sequence[FloatArray]
    names: Sequence[str]
    remarks: Sequence[str]
    title: str = ""
    clusters: Sequence[int] = ()


def room_for(sizes: Sequence[int]) -> int:
    """How many lots of these sizes, one or more, have room on a sheet: one at least."""
    taken, column, count = 0, 0, 0
    for size in sizes:
        row, column = _place(taken, column, size)
        taken, column = _end(row, column, size)
        if count and (taken + (column > 0)) * ACROSS > MOST:
            break
        count += 1
    return count


def lots_figure(lots: Sequence[Lot], *, title: str, note: str = "") -> Figure:
    """Draw lots from left to right; one that fits beside the last stands there.

    Parameters
    ----------
    lots : sequence of Lot
        At least one, none empty. Several are told apart by a line above each.
    title, note : str
        Above all, and in small print below.
    """
    pitch = _HEAD * any(lot.title for lot in lots) + _TALL + 2 * _LINE + 0.12
    places, row, column = [], 0, 0
    for lot in lots:
        start = _place(row, column, len(lot.pictures))
        places.append(start)
        row, column = _end(*start, len(lot.pictures))
    height = (row + (column > 0)) * pitch
    with new_figure(PAGE + 0.06, height + _RULE + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for lot, start in zip(lots, places, strict=True):
            _draw_lot(axes, lot, start, pitch, ruled=len(lots) > 1)
        axes.set(xlim=(0, PAGE), ylim=(height, -_RULE))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure


def _place(row: int, column: int, size: int) -> tuple[int, int]:
    """Where a lot begins: in the row of the last one, if all of it fits there."""
    return (row + 1, 0) if column and column + size > ACROSS else (row, column)


def _end(row: int, column: int, size: int) -> tuple[int, int]:
    """Row and column behind a lot."""
    return row + (column + size) // ACROSS, (column + size) % ACROSS


def _draw_lot(axes: Axes, lot: Lot, start: tuple[int, int], pitch: float, *, ruled: bool) -> None:
    row, column = start
    count = len(lot.pictures)
    upper, left = row * pitch, column * (_CELL + _GAP)
    if lot.title:
        across = min(count, ACROSS - column)
        text = shortened(lot.title, across * (_CELL + _GAP) - _GAP, SMALL)
        axes.text(left, upper + _HEAD - 0.06, text, fontsize=SMALL)
        upper += _HEAD
    for i in range(ceil(count / ACROSS)) if ruled else ():
        here = min(count - i * ACROSS, ACROSS)
        right = left + here * (_CELL + _GAP) - _GAP
        axes.plot([left, right], [upper + i * pitch - _RULE / 2] * 2, color=GRID, linewidth=0.8)
    for i, picture in enumerate(lot.pictures):
        down, across = divmod(column + i, ACROSS)
        x, y = across * (_CELL + _GAP), upper + down * pitch
        axes.add_patch(Rectangle((x, y), _CELL, _TALL, fc=GROUND, lw=0, zorder=1))
        draw_image(axes, picture, (x + _CELL / 2, y + _TALL / 2), _CELL, -_TALL)
        mark = _MARK if len(lot.clusters) else 0.0
        for j, text in enumerate((lot.names[i], lot.remarks[i])):
            look: Any = {"fontsize": SMALL, "ha": "center", "va": "top"}
            look["color"] = TEXT if j else INK
            short = shortened(text, _CELL - j * mark, SMALL)
            middle, upper_edge = x + (_CELL + j * mark) / 2, y + _TALL + 0.02 + j * _LINE
            axes.text(middle, upper_edge, short, **look)
        if mark:
            left_of = middle - text_width(short, SMALL) / 2 - mark / 2
            shape = "." if lot.clusters[i] < 0 else marker(lot.clusters[i])
            dot: Any = {"color": colour(lot.clusters[i]), "ms": 3.5, "mew": 0}
            axes.plot(left_of, upper_edge + 0.055, marker=shape, **dot)
