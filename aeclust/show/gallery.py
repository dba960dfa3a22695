"""The gallery as a figure: typical, doubtful and random images of each cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from aeclust.show.picks import Picks
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
_FINE = 128  # pixels that five images in a row have room for; more of them get four


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


def _plan(clusters: int, height: float, width: float) -> _Plan:
    columns, across = (1, 5) if clusters <= 12 else (2, 3)
    if columns == 1 and max(height, width) > _FINE:
        across = 4
    block = (_PAGE - (columns - 1) * _GUTTER) / columns
    kind = (block + _KIND_GAP) / 3
    cell = (kind - _KIND_GAP + _GAP) / across - _GAP
    tall = cell * float(np.clip(height / width, 0.2, 1.4))  # others shrink within their room
    pitch = tall + _BELOW
    down = int((9 / ceil(clusters / columns) - _HEAD) / pitch)  # 9 inches: a page
    return _Plan(columns, across, min(max(down, 1), 3), block, kind, cell, tall, pitch)


def gallery_count(clusters: int, height: float, width: float) -> int:
    """How many images of a kind have room: from 15 for a few clusters down to 3 for dozens.

    Parameters
    ----------
    clusters : int
    height, width : float
        Typical pixels of the images.
    """
    plan = _plan(clusters, height, width)
    return plan.across * plan.down


def gallery_figure(
    picks: Sequence[Picks],
    names: Mapping[int, str],
    images: Mapping[int, FloatArray],
    confidence: FloatArray,
    *,
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
    plan = _plan(len(picks), *shape)
    bottoms = [0.0] * plan.columns
    corners: list[tuple[float, float]] = []  # the upper left one of each block
    for i, pick in enumerate(picks):
        most = max(len(rows) for rows in pick.kinds.values())
        column = i // ceil(len(picks) / plan.columns)
        corners.append((column * (plan.block + _GUTTER), bottoms[column]))
        bottoms[column] += _HEAD + ceil(most / plan.across) * plan.pitch
    height = max(bottoms) + _HEAD
    with new_figure(_PAGE + 0.06, height + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for column in range(plan.columns):
            for kind, name in enumerate(picks[0].kinds):
                x = column * (plan.block + _GUTTER) + kind * plan.kind
                axes.text(x, _HEAD - 0.05, name, fontsize=SMALL, color=TEXT)
        for pick, (x, y) in zip(picks, corners, strict=True):
            plural = "s" * (pick.size != 1)
            facts = f", {pick.size} image{plural}, confidence {pick.confidence:.2f}"
            name = shortened(names[pick.cluster], characters(plan.block, NORMAL) - len(facts))
            axes.text(x, y + 2 * _HEAD - 0.06, name + facts, fontsize=NORMAL)
            for kind, rows in enumerate(pick.kinds.values()):
                corner = (x + kind * plan.kind, y + 2 * _HEAD)
                texts = [f"{confidence[row]:.2f}" for row in rows] if kind == 1 else None
                _draw_kind(axes, [images[row] for row in rows], texts, plan, *corner)
        axes.set(xlim=(0, _PAGE), ylim=(height, 0))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure


def _draw_kind(
    axes: Axes,
    images: Sequence[FloatArray],
    texts: Sequence[str] | None,
    plan: _Plan,
    x: float,
    y: float,
) -> None:
    """Images of a kind from (x, y) to the right and downwards, and texts below them."""
    for i, image in enumerate(images):
        row, column = divmod(i, plan.across)
        centre = x + column * (plan.cell + _GAP) + plan.cell / 2
        upper = y + row * plan.pitch
        draw_image(axes, image, (centre, upper + plan.tall / 2), plan.cell, -plan.tall)
        if texts:
            look: Any = {"fontsize": SMALL, "ha": "center", "va": "top"}
            axes.text(centre, upper + plan.tall + 0.015, texts[i], **look)
