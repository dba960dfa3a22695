"""The gallery as a figure: typical, doubtful and random images of each cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeclust.show.style import (
    NORMAL,
    SMALL,
    TEXT,
    FloatArray,
    characters,
    draw_image,
    new_figure,
    shortened,
)

# inches: width, air between columns, kinds and images, height of a title and of a confidence
_PAGE, _GUTTER, _KIND_GAP, _GAP, _HEAD, _BELOW = 7.0, 0.2, 0.12, 0.03, 0.2, 0.14


@dataclass(frozen=True)
class Exhibit:
    """One cluster of a gallery.

    Attributes
    ----------
    name : str
    size : int
        How many images it has.
    mean : float
        Their mean confidence, in [0, 1].
    typical, doubtful, random : ndarray of shape (m, h, w, c)
        Float in [0, 1]; m from 1 to :func:`gallery_count`, c 1 or 3.
    confidence : ndarray of shape (m,)
        Of the doubtful ones, in [0, 1], printed below them.
    """

    name: str
    size: int
    mean: float
    typical: FloatArray
    doubtful: FloatArray
    random: FloatArray
    confidence: FloatArray


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
    pitch: float  # from one row of images to the next


def _plan(clusters: int, height: int, width: int) -> _Plan:
    columns, across = (1, 5) if clusters <= 12 else (2, 3)
    block = (_PAGE - (columns - 1) * _GUTTER) / columns
    kind = (block + _KIND_GAP) / 3
    cell = (kind - _KIND_GAP + _GAP) / across - _GAP
    tall = cell * float(np.clip(height / width, 0.2, 1.4))  # others shrink within their room
    pitch = tall + _BELOW
    down = int((9 / ceil(clusters / columns) - _HEAD) / pitch)  # 9 inches: a page
    return _Plan(columns, across, min(max(down, 1), 3), block, kind, cell, tall, pitch)


def gallery_count(clusters: int, height: int, width: int) -> int:
    """How many images of a kind have room: from 15 for a few clusters down to 3 for dozens.

    Parameters
    ----------
    clusters : int
    height, width : int
        Pixels of the images.
    """
    plan = _plan(clusters, height, width)
    return plan.across * plan.down


def gallery_figure(exhibits: Sequence[Exhibit], *, title: str, note: str = "") -> Figure:
    """Draw a block for each cluster, in the order given.

    Parameters
    ----------
    exhibits : sequence of Exhibit
        At least one, all with images of one shape; up to 12 stand below one another, more in two
        columns, and two dozen fill a page.
    title, note : str
        Above all, and in small print below.
    """
    plan = _plan(len(exhibits), *exhibits[0].typical.shape[1:3])
    bottoms = [0.0] * plan.columns
    corners: list[tuple[float, float]] = []  # the upper left one of each block
    for i, exhibit in enumerate(exhibits):
        most = max(len(images) for images in (exhibit.typical, exhibit.doubtful, exhibit.random))
        column = i // ceil(len(exhibits) / plan.columns)
        corners.append((column * (plan.block + _GUTTER), bottoms[column]))
        bottoms[column] += _HEAD + ceil(most / plan.across) * plan.pitch
    height = max(bottoms) + _HEAD
    with new_figure(_PAGE + 0.06, height + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for column in range(plan.columns):
            for kind, name in enumerate(("typical", "doubtful", "random")):
                x = column * (plan.block + _GUTTER) + kind * plan.kind
                axes.text(x, _HEAD - 0.05, name, fontsize=SMALL, color=TEXT)
        for exhibit, (x, y) in zip(exhibits, corners, strict=True):
            _draw_exhibit(axes, exhibit, plan, x, y + _HEAD)
        axes.set(xlim=(0, _PAGE), ylim=(height, 0))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure


def _draw_exhibit(axes: Axes, exhibit: Exhibit, plan: _Plan, x: float, y: float) -> None:
    """A cluster's title and images, from (x, y) to the right and downwards."""
    plural = "s" * (exhibit.size != 1)
    facts = f", {exhibit.size} image{plural}, confidence {exhibit.mean:.2f}"
    name = shortened(exhibit.name, characters(plan.block, NORMAL) - len(facts))
    axes.text(x, y + _HEAD - 0.06, name + facts, fontsize=NORMAL)
    for kind, images in enumerate((exhibit.typical, exhibit.doubtful, exhibit.random)):
        for i, image in enumerate(images):
            row, column = divmod(i, plan.across)
            left = x + kind * plan.kind + column * (plan.cell + _GAP)
            upper = y + _HEAD + row * plan.pitch
            centre = (left + plan.cell / 2, upper + plan.tall / 2)
            draw_image(axes, image, centre, plan.cell, -plan.tall)
            if kind == 1:
                text, below = f"{exhibit.confidence[i]:.2f}", upper + plan.tall + 0.015
                axes.text(centre[0], below, text, fontsize=SMALL, ha="center", va="top")
