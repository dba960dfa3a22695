"""What all figures share: fonts and sizes, text that fits, legends, and how they become bytes."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
FONT = "DejaVu Sans"  # comes with matplotlib, so pictures agree between machines
SMALL, NORMAL, BIG = 7.0, 8.0, 9.0  # points
TEXT, LINES = "#555555", "#999999"  # colours of what is not data
_SETTINGS: Any = {
    **{"font.family": FONT, "font.size": SMALL, "text.parse_math": False},
    **{"axes.edgecolor": LINES, "axes.linewidth": 0.6, "axes.labelsize": SMALL},
    **{"xtick.color": LINES, "xtick.labelcolor": TEXT, "ytick.color": LINES},
    "ytick.labelcolor": TEXT,
    **{"svg.fonttype": "path", "svg.hashsalt": "aeclust"},
}
# Neither a date nor a version: equal figures give equal bytes. A reader of a folder of photographs
# knows by the name that a picture is none, in a PNG within its first 100 bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "aeclust"},
    "svg": {"Date": None, "Creator": "aeclust"},
    "pdf": {"CreationDate": None, "Creator": "aeclust", "Producer": None},
}


@contextmanager
def _settings() -> Iterator[None]:
    """Within it, matplotlib has our settings and none of the caller's."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


@contextmanager
def new_figure(
    width: float, height: float, title: str = "", note: str = "", below: float = 0.0
) -> Iterator[Figure]:
    """A figure to be filled within the block.

    Parameters
    ----------
    width, height : float
        Inches, without what title and note need.
    title, note : str
        Above everything, and in small print below.
    below : float
        Inches at the bottom that the layout leaves free.
    """
    title, note = fitted(title, width, BIG), fitted(note, width, SMALL, 4)
    height += sum(0.15 * len(text.splitlines()) + 0.05 for text in (title, note) if text)
    with _settings():
        free = (0, below / height, 1, 1 - below / height)
        layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03, hspace=0, wspace=0, rect=free)
        figure = Figure((width, height), dpi=300, layout=layout)
        if title:
            figure.suptitle(title, fontsize=BIG)
        if note:
            figure.supxlabel(note, fontsize=SMALL, color=TEXT)
        yield figure


def encoded(
    figure: Figure,
    kind: Literal["png", "svg", "pdf"],
    *,
    transparent: bool = False,
    dpi: int | Literal["figure"] = "figure",
) -> bytes:
    """The figure as a file of this kind, equal bytes for equal figures.

    `dpi` are pixels of an inch: of an SVG those of the images in it.
    """
    buffer = io.BytesIO()
    look: Any = {"metadata": _METADATA[kind], "transparent": transparent, "dpi": dpi}
    with _settings():
        figure.savefig(buffer, format=kind, **look)
    return buffer.getvalue()


def legend(
    axes: Axes, handles: list[Line2D], labels: list[str], loc: Any, anchor: Any, **options: Any
) -> None:
    """A legend without a frame; labels may begin with an underscore."""
    options |= {"frameon": False, "handletextpad": 0.5, "columnspacing": 1.2, "borderpad": 0.2}
    names = ["-"] * len(labels)  # set afterwards: one that starts with "_" would be refused here
    drawn = axes.legend(handles, names, loc=loc, bbox_to_anchor=anchor, fontsize=SMALL, **options)
    drawn.set_in_layout(loc == "lower left")  # for the one below, the figure keeps room free
    for text, label in zip(drawn.get_texts(), labels, strict=True):
        text.set_text(label)


def characters(inches: float, size: float) -> int:
    """How many characters of a size in points stand beside one another."""
    return int(inches * 72 / (size * 0.64))  # 0.64 em: the width of a digit


@cache
def _drawable() -> Collection[int]:
    """The characters of the font; others would be warned of at each drawing."""
    with _settings():
        return set(get_font(findfont(FONT)).get_charmap())


def shortened(text: str, limit: int) -> str:
    """At most `limit` drawable characters; the middle goes first, as ids differ at their ends."""
    text = "".join(c if ord(c) in _drawable() else "\ufffd" for c in " ".join(text.split()))
    tail = limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def fitted(text: str, inches: float, size: float, lines: int = 2) -> str:
    """Text in at most so many lines of a width."""
    wide = characters(inches, size)
    text = shortened(text, lines * wide)
    return textwrap.fill(text, wide, max_lines=lines, placeholder="…", break_on_hyphens=False)


def draw_image(
    axes: Axes, image: FloatArray, centre: tuple[float, float], width: float, height: float
) -> None:
    """Draw an image in [0, 1] as large as fits into a box.

    Parameters
    ----------
    axes : Axes
    image : ndarray of shape (h, w, c)
    centre : tuple of float
        Of the box, in units of the axes, as are its sides.
    width, height : float
        A negative height where y grows downwards.
    """
    high, wide = image.shape[:2]
    scale = min(width / wide, abs(height) / high)
    right, up = scale * wide / 2, float(np.copysign(scale * high / 2, height))
    x, y = centre
    # smooth where it is made smaller, pixels where larger
    look: Any = {"cmap": "gray", "vmin": 0, "vmax": 1, "interpolation": "antialiased"}
    extent = (x - right, x + right, y - up, y + up)
    axes.imshow(np.clip(image, 0, 1), extent=extent, zorder=3, **look)
