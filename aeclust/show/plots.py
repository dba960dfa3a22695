"""Figures (3.4 to 7 inches wide, text 7 pt or more) from arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.curve import Curve
from aeclust.clusters.numbers import OUTLIER
from aeclust.show import style
from aeclust.show.palette import COLOURS, OUTLIER_COLOURS, marker
from aeclust.show.style import NORMAL, SMALL, TEXT, FloatArray

# -- reconstructions ---------------------------------------------------------------------------


def reconstruction_figure(
    originals: FloatArray, reconstructions: FloatArray, errors: FloatArray, captions: Sequence[str]
) -> Figure:
    """Originals above their reconstructions, in bands of at most 10 columns.

    Parameters
    ----------
    originals, reconstructions : ndarray of shape (m, h, w, c)
        Float in [0, 1]; m at least 1, c 1 or 3.
    errors : ndarray of shape (m,)
        Mean squared errors in [-1, 1] units.
    captions : sequence of str
        Ids of the m images; one too long for two lines of its column loses its middle.

    Returns
    -------
    Figure
        Its axes come in pairs: original 0, reconstruction 0, original 1, and so on.
    """
    count, high, wide, _ = originals.shape
    bands = ceil(count / 10)
    columns = ceil(count / bands)  # bands of nearly equal length
    cell = min(1.35, 6.7 / columns)  # inches
    ids = [style.fitted(caption, cell, SMALL) for caption in captions]
    tall = min(max(cell * high / wide, 0.3), 2.0)
    upright: Any = {"rotation": 0, "ha": "right", "va": "center"} if tall < 0.6 else {}
    labels_height = 0.37 + 0.13 * any("\n" in text for text in ids) + 0.06 * (bands > 1)
    width, height = max(3.4, columns * cell + 0.3), bands * (2 * tall + labels_height)
    with style.new_figure(width, height) as figure:
        for i, pair in enumerate(zip(originals, reconstructions, strict=True)):
            band, column = divmod(i, columns)
            for row, image in enumerate(pair):
                place = (2 * band + row) * columns + column + 1
                axes = figure.add_subplot(2 * bands, columns, place)
                image = np.clip(image, 0, 1)  # float32 may round out
                axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                # Anchors: spare height goes between the bands, not between the two of a pair.
                axes.set(xticks=[], yticks=[], anchor="SN"[row])
                if column == 0:
                    axes.set_ylabel(("original", "reconstruction")[row], **upright)
                if row == 0:
                    axes.set_title(ids[i], fontsize=SMALL, pad=3)
            digits = ".4f" if errors[i] >= 0.001 or errors[i] == 0 else ".1e"
            axes.set_xlabel(f"MSE {errors[i]:{digits}}", labelpad=3)
    return figure


# -- embedding ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Panel:
    """One colouring of the points of an embedding.

    Attributes
    ----------
    title : str
    groups : ndarray of shape (n,)
        Integers, any values; -1 is drawn in grey below the others, and listed last.
    names : mapping of int to str
        Legend entries of the values; one that is missing stands as a number.
    """

    title: str
    groups: NDArray[np.int64]
    names: Mapping[int, str]


def thumbnail_box(points: FloatArray, height: float, width: float) -> FloatArray:
    """The sides (2,), in units of the points, that an image takes on an embedding.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    height, width : float
        Typical pixels of the images; a frame and a little air are within the box.
    """
    low, high = _limits(points)
    return _box(high - low, height, width)


def embedding_figure(
    points: FloatArray,
    panels: Sequence[Panel],
    *,
    title: str,
    note: str = "",
    thumbnails: Mapping[int, FloatArray] | None = None,
    box: FloatArray | None = None,
) -> Figure:
    """The same points once per panel, side by side, coloured by the panel's groups.

    All panels share limits and one scale on both axes, so distances can be compared. Legends, below
    the panels, count the points of each group.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Finite; n at least 1.
    panels : sequence of Panel
        1 or 2 read best.
    title, note : str
        Above all, and in small print below.
    thumbnails : mapping of int to ndarray of shape (h, w, c), optional
        Images in [0, 1] by the row of the point that each is centred on, framed in the colour of
        its group.
    box : ndarray of shape (2,), optional
        The room that each of them has, see :func:`thumbnail_box`; a square, if None.
    """
    low, high = _limits(points)
    images = thumbnails or {}
    box = _box(high - low, 1, 1) if box is None else box
    if images:
        low, high = low - box / 2, high + box / 2  # those at the border stay whole
    width = 7.0 if len(panels) > 1 else 5.0 if images else 3.4
    each = width / len(panels) - 0.06
    legends = [_legend_plan(panel, each) for panel in panels]
    below = 0.15 * max(ceil(len(labels) / columns) for labels, columns in legends) + 0.04
    height = each * float((high[1] - low[1]) / (high[0] - low[0])) + below + 0.22
    with style.new_figure(width, height, title, note, below) as figure:
        for k, (panel, (labels, columns)) in enumerate(zip(panels, legends, strict=True)):
            axes = figure.add_subplot(1, len(panels), k + 1)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
            axes.set_aspect("equal", anchor="S")  # the legend hangs on the lower edge
            axes.set_title(style.fitted(panel.title, each, NORMAL), fontsize=NORMAL, pad=4)
            handles = _scatter(axes, points, panel.groups)
            handle_of = dict(zip(_values(panel.groups).tolist(), handles, strict=True))
            for row, image in images.items():
                handle = handle_of[int(panel.groups[row])]
                _draw_thumbnail(axes, image, points[row], box, handle.get_color())
            look: Any = {"ncols": columns, "handlelength": 1}
            style.legend(axes, handles, labels, "upper center", (0.5, 0), **look)
    return figure


def _values(groups: NDArray[Any]) -> NDArray[Any]:
    """The different values of groups, ascending, but outliers last."""
    values = np.unique(groups)
    return np.concatenate((values[values != OUTLIER], values[values == OUTLIER]))


def _legend_plan(panel: Panel, inches: float) -> tuple[list[str], int]:
    """The labels of a panel's legend and the number of columns that fits."""
    values = _values(panel.groups)
    counts = [int((panel.groups == value).sum()) for value in values]
    limit = max(4, style.characters(inches, SMALL) - 14)  # leaves room for marker and count
    names = [style.shortened(str(panel.names.get(int(v), int(v))), limit) for v in values]
    labels = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    entry = SMALL * (0.6 * max(map(len, labels)) + 2.8)  # points; 2.8 em: marker and gaps
    rows = ceil(len(labels) / max(1, int(inches * 72 / entry)))
    return labels, ceil(len(labels) / rows)


def _limits(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Corners of the box all panels show: the points, a margin, sides no less than 0.7 to 1."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    centre, half = (low + high) / 2, (high - low) / 2
    largest, away = float(half.max()), float(np.abs(centre).max())
    if largest <= 1e-9 * away:  # all points coincide
        largest = max(1.0, away)
    half = 1.06 * np.maximum(half, 0.7 * largest)
    return centre - half, centre + half


def _box(extent: FloatArray, height: float, width: float) -> FloatArray:
    ratio = float(np.clip(width / height, 0.25, 4.0))
    return np.array([min(1.0, ratio), min(1.0, 1 / ratio)]) * float(extent[0]) / 18


def _draw_thumbnail(
    axes: Axes, image: FloatArray, centre: FloatArray, box: FloatArray, colour: Any
) -> None:
    """An image in the middle of its box, in a frame that is close around it."""
    edge = 0.092 * box.max()
    room = 0.92 * box - edge
    shape = np.array([image.shape[1], image.shape[0]])
    sides = shape * (room / shape).min()
    x, y = (centre - (sides + edge) / 2).tolist()
    frame = Rectangle((x, y), *(sides + edge).tolist(), facecolor=colour, lw=0, zorder=2)
    axes.add_patch(frame)
    style.draw_image(axes, image, (float(centre[0]), float(centre[1])), *room.tolist())


def _scatter(axes: Axes, points: FloatArray, groups: NDArray[Any]) -> list[Line2D]:
    """Draws the points, gives one legend handle per group value, in the order of these."""
    values = _values(groups)
    ascending = np.argsort(values)
    ranks = ascending[np.searchsorted(values, groups, sorter=ascending)]
    area = float(np.clip(300 / sqrt(len(points)), 0.8, 36))  # square points
    colours = np.array([COLOURS[k % len(COLOURS)] for k in range(len(values))])
    markers = np.array([marker(k) for k in range(len(values))])
    colours[values == OUTLIER], markers[values == OUTLIER] = OUTLIER_COLOURS[0], "."
    # Shuffled, always alike: drawn group by group, the last group would hide the others. One call
    # draws one marker, so the markers take turns.
    order = seeds.stream(0, "pictures").permutation(len(points))
    order = order[np.argsort(groups[order] != OUTLIER, kind="stable")]  # these below all others
    turns = np.array_split(order, min(8, len(order))) if len(set(markers)) > 1 else [order]
    edge = 0.3 if area >= 8 else 0.0
    look: Any = {"s": area, "lw": edge, "edgecolors": "white" if edge else "none"}
    for turn in turns:
        for shape in np.unique(markers[ranks[turn]]).tolist():
            mine = turn[markers[ranks[turn]] == shape]
            x, y = points[mine].T
            axes.scatter(x, y, c=colours[ranks[mine]], marker=shape, rasterized=True, **look)
    look = {"linestyle": "", "markersize": 4.5, "markeredgewidth": 0}
    pairs = zip(colours.tolist(), markers.tolist(), strict=True)
    return [Line2D([], [], color=colour, marker=marker, **look) for colour, marker in pairs]


# -- curves ------------------------------------------------------------------------------------


def curve_figure(curve: Curve, *, title: str = "", note: str = "") -> Figure:
    """What was measured of every checkpoint.

    The reconstruction error has the left axis, which is logarithmic where the errors span more than
    a decade; the right one, in percent, is for validation accuracy, where there is one, and
    ``view_neighbours``. The largest fall of accuracy between neighbouring checkpoints is shaded.
    """
    epochs = np.array([point.epoch for point in curve.points])
    errors = np.array([point.error for point in curve.points])
    shares = curve_shares(curve)
    with style.new_figure(3.4, 2.6, title, note) as figure:
        left = figure.add_subplot()
        handles = [_draw_line(left, epochs, errors, COLOURS[0], "o-")]
        left.set_ylabel("reconstruction MSE", color=COLOURS[0], fontsize=NORMAL)
        left.tick_params(axis="y", labelcolor=COLOURS[0])
        if 0 < 10 * errors.min() < errors.max():
            fine = errors.max() < 1000 * errors.min()
            left.set_yscale("log", subs=[])
            left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,)))
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        right = left.twinx()
        looks = (("s--", COLOURS[3]), ("^:", COLOURS[2]))[-len(shares) :]
        for values, (line, colour) in zip(shares.values(), looks, strict=True):
            handles.append(_draw_line(right, epochs, np.array(values), colour, line))
        seen = np.concatenate(list(shares.values()))
        pad = max(0.06 * float(np.ptp(seen)), 0.01)
        if len(epochs) == 1:  # the error stands away from the first share, of 0 to 100 %
            pad, part = 1.0, 0.25 if seen[0] >= 0.5 else 0.75
            left.set(xticks=epochs, ylim=(0, (float(errors[0]) or 1.0) / part))
        right.set_ylim(max(0.0, seen.min() - pad), min(1.0, seen.max() + pad))
        right.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        labels = [
            "reconstruction MSE (all training images)",
            *(f"{name} (right)" for name in shares),
        ]
        style.legend(left, handles, labels, "lower left", (0, 1.06), handlelength=2.6)
        if curve.fall is not None:
            _mark_fall(left, epochs, *curve.fall)
    return figure


def curve_shares(curve: Curve) -> dict[str, list[float]]:
    """Of each checkpoint, in [0, 1]: validation accuracy, if known, and view_neighbours."""
    accuracies = [point.accuracy for point in curve.points if point.accuracy is not None]
    shares = {"validation accuracy": accuracies} if accuracies else {}
    return shares | {"view_neighbours": [p.indicators.view_neighbours for p in curve.points]}


def loss_figure(losses: Sequence[tuple[int, float]], *, breaks: int) -> Figure:
    """The loss of each epoch.

    Parameters
    ----------
    losses : sequence of (int, float)
        Epochs, ascending, and losses; at least one.
    breaks : int
        Epoch after which the line starts anew: the second phase has other terms.
    """
    epochs, values = (np.array(column) for column in zip(*losses, strict=True))
    look = "o-" if len(epochs) <= 30 else "-"
    with style.new_figure(3.4, 2.2) as figure:
        axes = figure.add_subplot()
        for part in (epochs <= breaks, epochs > breaks):
            if part.any():
                _draw_line(axes, epochs[part], values[part], COLOURS[0], look)
        axes.spines["right"].set_visible(False)
        axes.set_ylabel("loss", color=COLOURS[0], fontsize=NORMAL)
        axes.tick_params(axis="y", labelcolor=COLOURS[0])
    return figure


def _draw_line(
    axes: Axes, epochs: NDArray[Any], values: FloatArray, colour: str, look: str
) -> Line2D:
    """One line over epochs."""
    (line,) = axes.plot(epochs, values, look, color=colour, lw=1.2, ms=3.5, clip_on=False)
    axes.set_xlabel("epoch", fontsize=NORMAL, color=TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    axes.tick_params(which="both", width=0.6, length=2.5)
    axes.spines["top"].set_visible(False)
    return line


def _mark_fall(axes: Axes, epochs: NDArray[Any], start: int, end: int, size: float) -> None:
    """Shade the epochs in which accuracy, in [0, 1], falls most, and print its fall above."""
    axes.axvspan(start, end, color="#000000", alpha=0.08, lw=0, zorder=0)
    points = f"{100 * size:.1f}" if size >= 0.001 else f"{100 * size:.1g}"
    place = ((start + end) / 2 - float(epochs[0])) / float(epochs[-1] - epochs[0])
    side = "left" if place < 0.2 else "right" if place > 0.8 else "center"  # stays over the axes
    x = {"left": start, "right": end, "center": (start + end) / 2}[side]
    above: Any = {"transform": axes.get_xaxis_transform(), "ha": side, "va": "bottom"}
    axes.text(x, 1.01, f"largest fall: \u2212{points} points", color=TEXT, **above)
