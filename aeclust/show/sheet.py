"""Numbered pictures with what is said of each: a sheet to look at while a list is filled in."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from aeclust.show.style import (
    SMALL,
    TEXT,
    FloatArray,
    characters,
    draw_image,
    new_figure,
    shortened,
)

MOST_ON_SHEET = 1_000  # matplotlib's pictures are at most 65,536 pixels high
_PAGE, _GAP, _LINE = 7.0, 0.12, 0.14  # inches: width, air between columns, height of a text


def sheet_figure(
    images: Sequence[FloatArray],
    captions: Sequence[tuple[str, str]],
    *,
    first: int = 1,
    title: str = "",
    note: str = "",
) -> Figure:
    """Draw pictures in rows, numbered, with two lines below each.

    Parameters
    ----------
    images : sequence of ndarray of shape (h, w, c)
        At least one, at most :data:`MOST_ON_SHEET`, in [0, 1], each of its own shape.
    captions : sequence of (str, str)
        What each is called, and what is said of it.
    first : int
        The number of the first.
    title, note : str
        Above all, and in small print below.
    """
    across = next((n for most, n in ((4, 4), (30, 5), (100, 7)) if len(images) <= most), 10)
    cell = (_PAGE + _GAP) / across - _GAP
    height, width = np.median([image.shape[:2] for image in images], axis=0)
    tall = cell * float(np.clip(height / width, 0.2, 1.4))  # others shrink within their room
    pitch = tall + 2 * _LINE + _GAP
    room = characters(cell, SMALL)
    with new_figure(_PAGE + 0.06, ceil(len(images) / across) * pitch + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for i, (image, (name, said)) in enumerate(zip(images, captions, strict=True)):
            row, column = divmod(i, across)
            x, y = column * (cell + _GAP), row * pitch
            draw_image(axes, image, (x + cell / 2, y + tall / 2), cell, -tall)
            look: Any = {"fontsize": SMALL, "va": "top"}
            number = f"{first + i}: "
            axes.text(x, y + tall + 0.02, number + shortened(name, room - len(number)), **look)
            axes.text(x, y + tall + _LINE, shortened(said, room), color=TEXT, **look)
        axes.set(xlim=(0, _PAGE), ylim=(ceil(len(images) / across) * pitch, 0))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure
