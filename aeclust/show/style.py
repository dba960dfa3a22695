"""Our own style, which all figures share: widths, fonts, colours, text that fits, legends, bytes.

Figures are as wide as a column or a page of a paper, on white, with text that can be read in print.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

FloatArray = NDArray[np.floating[Any]]
Picture = Figure  # what is drawn, for rooms that are not to know by what
COLUMN, PAGE = 3.3, 6.9  # inches
FONT = "DejaVu Sans"  # comes with matplotlib, so pictures agree between machines
FINE, SMALL, NORMAL, BIG = 6.0, 7.0, 8.0, 9.0  # points; fine are the names of files
# What is not data: words, words that come second, lines, and the grounds of boxes and of the dark.
INK, TEXT, LINES, GRID, GROUND = "#1A1F26", "#59626E", "#A8AFB8", "#E4E7EB", "#F1F3F5"
_SETTINGS: Any = {
    **{"font.family": FONT, "font.size": SMALL, "text.parse_math": False, "text.color": INK},
    **{"axes.edgecolor": LINES, "axes.linewidth": 0.6, "axes.labelsize": SMALL},
    **{"axes.labelcolor": TEXT, "axes.titlesize": NORMAL, "axes.titlelocation": "left"},
    **{"axes.titlecolor": INK, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.6},
    **{"xtick.color": LINES, "xtick.labelcolor": TEXT, "ytick.color": LINES},
    **{"ytick.labelcolor": TEXT, "lines.solid_capstyle": "round"},
    **{"svg.fonttype": "path", "svg.hashsalt": "aeclust"},
}
# Neither a date nor a version: equal figures give equal bytes. A reader of a folder of photographs
# knows by the name that a picture is none, in a PNG within its first 100 bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": "aeclust"},
    "svg": {"Date": None, "Creator": "aeclust"},
    "pdf": {"CreationDate": None, "Creator": "aeclust", "Producer": None},
}
_EDGE = 0.03  # inches around everything


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
    title = fitted(title, width - 2 * _EDGE, BIG, bold=True)
    note = fitted(note, width - 2 * _EDGE, SMALL, 4)
    height += sum(0.15 * len(text.splitlines()) + 0.05 for text in (title, note) if text)
    with _settings():
        free = (0, below / height, 1, 1 - below / height)
        layout = ConstrainedLayoutEngine(h_pad=_EDGE, w_pad=_EDGE, hspace=0, wspace=0, rect=free)
        figure = Figure((width, height), dpi=300, layout=layout)
        start: Any = {"x": _EDGE / width, "ha": "left"}
        if title:
            figure.suptitle(title, fontsize=BIG, fontweight="bold", **start)
        if note:
            figure.supxlabel(note, fontsize=SMALL, color=TEXT, **start)
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


def legend_height(handles: list[Line2D], labels: list[str], **options: Any) -> float:
    """Inches that a legend is high: scripts differ."""
    with _settings():
        figure = Figure((1, 1), dpi=100)
        axes = figure.add_subplot()
        legend(axes, handles, labels, "upper center", (0.5, 0), **options)
        drawn: Any = axes.get_legend()
        canvas: Any = FigureCanvasAgg(figure)
        return float(drawn.get_window_extent(canvas.get_renderer()).height) / 100


@cache
def _drawable() -> Collection[int]:
    """The characters of the font; others would be warned of at each drawing."""
    with _settings():
        return set(get_font(findfont(FONT)).get_charmap())


@cache
def _advance(character: str, bold: bool) -> float:
    """How wide a character is, as a part of the size of its font."""
    look = FontProperties(family=FONT, weight="bold" if bold else "normal")
    with _settings():
        font = get_font(findfont(look))
    font.set_size(100, 72)
    return float(font.load_char(ord(character)).linearHoriAdvance) / 65536 / 100


def _widths(text: str, size: float, bold: bool) -> FloatArray:
    """Inches up to the end of each character of a line."""
    return np.cumsum([_advance(character, bold) for character in text]) * size / 72


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Inches that a line of text takes, at a size in points."""
    return float(_widths(text, size, bold)[-1]) if text else 0.0


def shortened(text: str, inches: float, size: float, *, bold: bool = False) -> str:
    """Drawable characters that fit a width; the middle goes first, as ids differ at their ends."""
    text, most = " ".join(text.split()), int(72 * inches / size / 0.2) + 2  # few are narrower
    if len(text) > 2 * most:
        text = text[:most] + text[-most:]
    text = "".join(c if ord(c) in _drawable() else "\ufffd" for c in text)
    if text_width(text, size, bold=bold) <= inches:
        return text
    heads, tails = (np.append(0, _widths(part, size, bold)) for part in (text, text[::-1]))
    kept = np.arange(len(text))
    wide = heads[kept - kept // 2] + tails[kept // 2] + text_width("…", size, bold=bold)
    most = max(1, int((wide <= inches).sum()) - 1)
    return f"{text[: most - most // 2]}…{text[len(text) - most // 2 :]}"


def told_apart(texts: Sequence[str], inches: float, size: float) -> list[str]:
    """Texts that fit a width: what all of them share goes first, so that they still differ."""
    if len(texts) > 1 and any(text_width(text, size) > inches for text in texts):
        start, end = (_shared(each) for each in (texts, [text[::-1] for text in texts]))
        inside = [text[start : max(start, len(text) - end)] for text in texts]
        head = texts[0][: min(start, 3)]
        texts = [f"{head}…{part}" if start > len(head) else head + part for part in inside]
    return [shortened(text, inches, size).replace("……", "…") for text in texts]


def _shared(texts: Sequence[str]) -> int:
    """With how many characters all texts begin."""
    columns = enumerate(zip(*texts, strict=False))
    return next((i for i, each in columns if len({*each}) > 1), min(map(len, texts)))


def fitted(text: str, inches: float, size: float, lines: int = 2, *, bold: bool = False) -> str:
    """Text in at most so many lines of a width; the middle of the last one goes first."""
    rows: list[str] = []
    text = shortened(text, 2 * lines * inches, size, bold=bold)
    while len(rows) < lines - 1 and text_width(text, size, bold=bold) > inches:
        cut = max(1, int((_widths(text, size, bold) <= inches).sum()))
        cut = max(text.rfind(" ", 0, cut + 1), 0) or cut  # a word that is too long is cut
        rows.append(text[:cut])
        text = text[cut:].lstrip()
    return "\n".join([*rows, shortened(text, inches, size, bold=bold)])


def tidy(axes: Axes) -> None:
    """Axes of curves: open above and on the right, with a grid that stays behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(visible=True, axis="y")
    axes.tick_params(which="both", width=0.6, length=2.5)


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
