"""Reconstructions and curves as figures, from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from aeclust.clusters.curve import Curve, standard_errors
from aeclust.show import style
from aeclust.show.palette import COLOURS
from aeclust.show.style import COLUMN, GROUND, PAGE, SMALL, TEXT, FloatArray

# -- reconstructions ---------------------------------------------------------------------------


def reconstruction_figure(
    originals: FloatArray,
    reconstructions: FloatArray,
    errors: FloatArray,
    captions: Sequence[str],
    *,
    title: str = "",
    note: str = "",
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
    title, note : str
        Above all, and in small print below.

    Returns
    -------
    Figure
        Its axes come in pairs: original 0, reconstruction 0, original 1, and so on.
    """
    count, high, wide, _ = originals.shape
    bands = ceil(count / 10)
    columns = ceil(count / bands)  # bands of nearly equal length
    cell = min(1.3, (PAGE - 0.3) / columns)  # inches
    ids = [style.fitted(caption, cell - 0.08, SMALL) for caption in captions]
    tall = min(max(cell * high / wide, 0.3), 2.0)
    upright: Any = {"rotation": 0, "ha": "right", "va": "center"} if tall < 0.6 else {}
    labels_height = 0.37 + 0.13 * any("\n" in text for text in ids) + 0.06 * (bands > 1)
    width, height = max(COLUMN, columns * cell + 0.3), bands * (2 * tall + labels_height)
    with style.new_figure(width, height, title, note) as figure:
        for i, pair in enumerate(zip(originals, reconstructions, strict=True)):
            band, column = divmod(i, columns)
            for row, image in enumerate(pair):
                place = (2 * band + row) * columns + column + 1
                axes = figure.add_subplot(2 * bands, columns, place)
                image = np.clip(image, 0, 1)  # float32 may round out
                axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                # Anchors: spare height goes between the bands, not between the two of a pair.
                axes.set(xticks=[], yticks=[], anchor="SN"[row])
                axes.spines[:].set_visible(False)
                if column == 0:
                    axes.set_ylabel(("original", "reconstruction")[row], **upright)
                if row == 0:
                    axes.set_title(ids[i], fontsize=SMALL, pad=3, loc="center")
            digits = ".4f" if errors[i] >= 0.001 or errors[i] == 0 else ".1e"
            axes.set_xlabel(f"error {errors[i]:{digits}}", labelpad=3)
    return figure


# -- curves ------------------------------------------------------------------------------------


def curve_figure(curve: Curve, *, title: str = "", note: str = "") -> Figure:
    """What was measured of every checkpoint, in two panels that share the epochs.

    Above is the reconstruction error, on a logarithmic axis where errors span more than a decade.
    Below are, in percent, validation accuracy with a band of one standard error, where there are
    labels, and ``view_neighbours``; a fall of accuracy that is beyond chance is shaded.
    """
    epochs = np.array([point.epoch for point in curve.points])
    errors = np.array([point.error for point in curve.points])
    shares = curve_shares(curve)
    with style.new_figure(COLUMN, 3.3, title, note) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.3))
        upper.set_title("reconstruction error of the training images", fontsize=SMALL, pad=4)
        _draw_line(upper, epochs, errors, COLOURS[0], "o-")
        _error_axis(upper, errors)
        looks = (("s--", COLOURS[3]), ("^-", COLOURS[2]))[-len(shares) :]
        handles = [
            _draw_line(lower, epochs, np.array(values), colour, line)
            for values, (line, colour) in zip(shares.values(), looks, strict=True)
        ]
        seen = [*map(np.array, shares.values())]
        if curve.validated:
            around = seen[0] + np.array([[-1], [1]]) * standard_errors(seen[0], curve.validated)
            lower.fill_between(epochs, *around, color=COLOURS[3], alpha=0.15, lw=0, zorder=1)
            seen += [*around.clip(0, 1)]
        low, high = float(np.min(seen)), float(np.max(seen))
        pad = max(0.06 * (high - low), 0.01)
        room = 0.2 * (high - low) if curve.fall else 0.0  # for what is said of it
        lower.set_ylim(max(-0.01, low - pad), min(1.01, high + pad) + room)
        lower.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        lower.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        lower.set_xlabel("epoch")
        if len(epochs) == 1:
            lower.set_xticks(epochs)
        above: Any = {"ncols": 2, "handlelength": 2.4, "borderaxespad": 0}
        style.legend(lower, handles, [*shares], "lower left", (-0.02, 1.01), **above)
        if curve.fall is not None:
            _mark_fall(lower, epochs, *curve.fall)
    return figure


def _error_axis(axes: Axes, errors: FloatArray) -> None:
    if 0 < 10 * errors.min() < errors.max():
        fine = errors.max() < 1000 * errors.min()
        axes.set_yscale("log", subs=[])
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,)))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.margins(y=0.1)


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
    with style.new_figure(COLUMN, 2.0) as figure:
        axes = figure.add_subplot()
        axes.set_title("loss", fontsize=SMALL, pad=4)
        for part in (epochs <= breaks, epochs > breaks):
            if part.any():
                _draw_line(axes, epochs[part], values[part], COLOURS[0], look)
        axes.set_xlabel("epoch")
    return figure


def _draw_line(
    axes: Axes, epochs: NDArray[Any], values: FloatArray, colour: str, look: str
) -> Line2D:
    """One line over epochs."""
    (line,) = axes.plot(epochs, values, look, color=colour, lw=1.2, ms=3.5, clip_on=False)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
    style.tidy(axes)
    return line


def _mark_fall(axes: Axes, epochs: NDArray[Any], start: int, end: int, size: float) -> None:
    """Shade the epochs in which accuracy, in [0, 1], falls most, and say by how much."""
    axes.axvspan(start, end, color=GROUND, lw=0, zorder=0)
    place = ((start + end) / 2 - float(epochs[0])) / float(epochs[-1] - epochs[0])
    side = "left" if place < 0.3 else "right" if place > 0.7 else "center"  # stays over the axes
    x = {"left": start, "right": end, "center": (start + end) / 2}[side]
    above: Any = {"transform": axes.get_xaxis_transform(), "ha": side, "va": "top"}
    axes.text(x, 0.97, f"largest fall: \u2212{100 * size:.1f} points", color=TEXT, **above)
