"""The gallery as a figure: typical, doubtful and random images of each cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from aeclust.show.palette import colour, marker
from aeclust.show.picks import Picks
from aeclust.show.style import (
    FINE,
    GRID,
    GROUND,
    INK,
    NORMAL,
    PAGE,
    SMALL,
    TEXT,
    FloatArray,
    draw_image,
    new_figure,
    shortened,
    text_width,
    told_apart,
)

# inches: air between columns, kinds and images, height of a title, of a name and of a confidence
_GUTTER, _KIND_GAP, _GAP, _HEAD, _NAME, _BELOW = 0.25, 0.14, 0.04, 0.22, 0.11, 0.14
_FINE = 128  # pixels that five images in a row have room for; more of them get four
_MARK = 0.14  # inches before the name of a cluster


@dataclass(frozen=True)
class _Plan:
    """How a gallery is divided, in inches: a block for each cluster, three kinds side by side."""

    columns: int  # of blocks
    across: int  # images of a kind in a row
    down: int  # rows of a kind, at most
    block: float  # width of a block
    kind: float  # from one kind to the next
    cell: float  # width of the room of an image
    tall: float  # its height
    below: float  # from there to its confidence
    pitch: float  # from one row of images to the next


def _plan(clusters: int, height: float, width: float, named: bool) -> _Plan:
    columns, across = (1, 5) if clusters <= 12 else (2, 3)
    if columns == 1 and max(height, width) > _FINE:
        across = 4
    if named:  # whose names need room
        across = 4 - columns
    block = (PAGE - (columns - 1) * _GUTTER) / columns
    kind = (block + _KIND_GAP) / 3
    cell = (kind - _KIND_GAP + _GAP) / across - _GAP
    tall = cell * float(np.clip(height / width, 0.2, 1.4))  # others shrink within their room
    below = _NAME * named
    pitch = tall + below + _BELOW
    down = int((9 / ceil(clusters / columns) - _HEAD) / pitch)  # 9 inches: a page
    return _Plan(columns, across, min(max(down, 1), 3), block, kind, cell, tall, below, pitch)


def gallery_count(clusters: int, height: float, width: float, *, named: bool = False) -> int:
    """How many images of a kind have room: from 15 for a few clusters down to 2 for dozens.

    Parameters
    ----------
    clusters : int
    height, width : float
        Typical pixels of the images.
    named : bool
        Whether a name stands below each image.
    """
    plan = _plan(clusters, height, width, named)
    return plan.across * plan.down


def gallery_figure(
    picks: Sequence[Picks],
    names: Mapping[int, str],
    images: Mapping[int, FloatArray],
    confidence: FloatArray,
    *,
    called: Mapping[int, str] | None = None,
    shape: tuple[float, float] | None = None,
    title: str,
    note: str = "",
) -> Figure:
    """Draw a block for each cluster, in the order given.

    Parameters
    ----------
    picks : sequence of Picks
        At least one, each of at most :func:`gallery_count` images of a kind. Up to 12 stand below
        one another, more in two columns, and two dozen fill a page.
    names : mapping of int to str
        Titles of the clusters.
    images : mapping of int to ndarray of shape (h, w, c)
        By row, in [0, 1], each of its own shape; c is 1 or 3.
    confidence : ndarray of shape (n,)
        By row, printed below the doubtful ones.
    called : mapping of int to str, optional
        By row, the names of the images, which stand below them without what they have in common.
    shape : tuple of float, optional
        Height and width that decide the room of all images, as for :func:`gallery_count`; their
        medians, if None.
    title, note : str
        Above all, and in small print below.

    Returns
    -------
    Figure
    """
    if shape is None:
        shape = tuple(np.median([image.shape[:2] for image in images.values()], axis=0))
    plan = _plan(len(picks), *shape, named=bool(called))
    called = called or {}
    short = dict(zip(called, told_apart([*called.values()], plan.cell, FINE), strict=True))
    bottoms = [0.0] * plan.columns
    corners: list[tuple[float, float]] = []  # the upper left one of each block
    for i, pick in enumerate(picks):
        most = max(len(rows) for rows in pick.kinds.values())
        column = i // ceil(len(picks) / plan.columns)
        corners.append((column * (plan.block + _GUTTER), bottoms[column]))
        bottoms[column] += _HEAD + ceil(most / plan.across) * plan.pitch
    height = max(bottoms) + _HEAD
    with new_figure(PAGE + 0.06, height + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for column in range(plan.columns):
            for kind, name in enumerate(picks[0].kinds):
                x = column * (plan.block + _GUTTER) + kind * plan.kind
                axes.text(x, _HEAD - 0.06, name, fontsize=SMALL, color=TEXT)
        for pick, (x, y) in zip(picks, corners, strict=True):
            _draw_title(axes, pick, names[pick.cluster], plan.block, x, y + _HEAD)
            for kind, rows in enumerate(pick.kinds.values()):
                corner = (x + kind * plan.kind, y + 2 * _HEAD)
                for i, row in enumerate(rows.tolist()):
                    texts = [short.get(row, ""), f"{confidence[row]:.2f}" * (kind == 1)]
                    _draw(axes, images[row], texts, plan, i, *corner)
        axes.set(xlim=(0, PAGE), ylim=(height, 0))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure


def _draw_title(axes: Axes, pick: Picks, name: str, wide: float, x: float, y: float) -> None:
    """The mark of a cluster, its name, and what is to be said of it, below a line."""
    axes.plot([x, x + wide], [y, y], color=GRID, lw=0.6, zorder=0)
    shape = "." if pick.cluster < 0 else marker(pick.cluster)
    axes.plot(x + 0.05, y + _HEAD / 2, marker=shape, color=colour(pick.cluster), ms=5, mew=0)
    facts = f"{pick.size:,} image{'s' * (pick.size != 1)}, confidence {pick.confidence:.2f}"
    room = wide - _MARK - text_width(facts, SMALL) - 0.12
    name = shortened(name, room, NORMAL, bold=True)
    look: Any = {"va": "center_baseline"}
    axes.text(x + _MARK, y + _HEAD / 2, name, fontsize=NORMAL, fontweight="bold", **look)
    behind = x + _MARK + text_width(name, NORMAL, bold=True) + 0.08
    axes.text(behind, y + _HEAD / 2, facts, fontsize=SMALL, color=TEXT, **look)


def _draw(
    axes: Axes,
    image: FloatArray,
    texts: Sequence[str],
    plan: _Plan,
    number: int,
    x: float,
    y: float,
) -> None:
    """An image in its room among those from (x, y) on, and its name and confidence below it."""
    row, column = divmod(number, plan.across)
    left, upper = x + column * (plan.cell + _GAP), y + row * plan.pitch
    centre = left + plan.cell / 2
    ratio = image.shape[0] / image.shape[1] * plan.cell / plan.tall
    if abs(ratio - 1) > 0.02:  # rows are even where images are not
        ground = Rectangle((left, upper), plan.cell, plan.tall, fc=GROUND, lw=0, zorder=1)
        axes.add_patch(ground)
    draw_image(axes, image, (centre, upper + plan.tall / 2), plan.cell, -plan.tall)
    lines = [(texts[0], 0.0, FINE, TEXT), (texts[1], plan.below, SMALL, INK)]
    for text, down, size, shade in lines:
        if text:
            look: Any = {"fontsize": size, "color": shade, "ha": "center", "va": "top"}
            place = (centre, upper + plan.tall + 0.02 + down)
            axes.text(*place, text, **look)
