"""Figures (3.4 to 7 inches wide, text 7 pt or more) from arrays; nothing is saved or shown here."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil, inf, sqrt
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from aeclust.show.palette import COLOURS, marker

FloatArray = NDArray[np.floating[Any]]
_FONT = "DejaVu Sans"  # comes with matplotlib, so pictures agree between machines
_SMALL, _NORMAL, _BIG = 7.0, 8.0, 9.0  # points
# A gallery, in inches: its width, the air between columns, kinds and images, a title's height
_PAGE, _GUTTER, _KIND_GAP, _GAP, _HEAD = 7.0, 0.2, 0.12, 0.03, 0.2
_BELOW = 0.14  # a confidence under its image


@dataclass(frozen=True)
class Panel:
    """One colouring of the points of `embedding_figure`.

    title: printed above the panel; groups: (n,) integers, any values; names: the legend entry of
    each group value, where a missing one is printed as `str(value)`.
    """

    title: str
    groups: NDArray[np.int64]
    names: Mapping[int, str]


@dataclass(frozen=True)
class Exhibit:
    """One cluster of `gallery_figure`.

    name: its title; size: how many images it has; mean: their mean confidence, in [0, 1].
    typical, doubtful, random: (m, h, w, c) float in [0, 1], m from 1 to `gallery_count`, c 1 or 3.
    confidence: as many as doubtful, in [0, 1], each printed below its image.
    """

    name: str
    size: int
    mean: float
    typical: FloatArray
    doubtful: FloatArray
    random: FloatArray
    confidence: FloatArray


def reconstruction_figure(
    originals: FloatArray, reconstructions: FloatArray, errors: FloatArray, captions: Sequence[str]
) -> Figure:
    """Originals above their reconstructions, in input order, in bands of at most 10 columns.

    originals, reconstructions: (m, h, w, c) float in [0, 1], m >= 1, c 1 (grey) or 3 (RGB).
    errors: (m,) float >= 0, the mean squared error of each image in [-1, 1] units.
    captions: m image ids; an id too long for two lines of its column loses its middle.
    The axes come in pairs: original 0, reconstruction 0, original 1, and so on.
    Raises ValueError when shapes or lengths disagree or a value is out of its range.
    """
    shape, count = np.shape(originals), len(captions)
    valid = len(shape) == 4 and 0 not in shape and shape[3] in (1, 3)
    _require(valid, f"originals must be (m, h, w, 1 or 3), m >= 1, not {shape}")
    originals = _checked("originals", originals, shape, 0, 1)
    reconstructions = _checked("reconstructions", reconstructions, shape, 0, 1)
    errors = _checked("errors", errors, shape[:1], 0)
    _require(count == shape[0], f"captions must be {shape[0]} strings, not {count}")
    bands = ceil(count / 10)
    columns = ceil(count / bands)  # bands of nearly equal length
    cell = min(1.35, 6.7 / columns)  # inches
    ids = [_fitted(caption, cell, _SMALL) for caption in captions]
    tall = min(max(cell * shape[1] / shape[2], 0.3), 2.0)
    upright: Any = {"rotation": 0, "ha": "right", "va": "center"} if tall < 0.6 else {}
    labels_height = 0.37 + 0.13 * any("\n" in text for text in ids) + 0.06 * (bands > 1)
    with _figure(max(3.4, columns * cell + 0.3), bands * (2 * tall + labels_height)) as figure:
        for i, pair in enumerate(zip(originals, reconstructions, strict=True)):
            band, column = divmod(i, columns)
            for row, image in enumerate(pair):
                place = (2 * band + row) * columns + column + 1
                axes = figure.add_subplot(2 * bands, columns, place)
                axes.imshow(image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
                # Anchors: spare height goes between the bands, not between the two of a pair.
                axes.set(xticks=[], yticks=[], anchor="SN"[row])
                if column == 0:
                    axes.set_ylabel(("original", "reconstruction")[row], **upright)
                if row == 0:
                    axes.set_title(ids[i], fontsize=_SMALL, pad=3)
            digits = ".4f" if errors[i] >= 0.001 or errors[i] == 0 else ".1e"
            axes.set_xlabel(f"MSE {errors[i]:{digits}}", labelpad=3)
    return figure


def gallery_count(clusters: int, height: int, width: int) -> int:
    """How many images of each kind `gallery_figure` has room for beside one another.

    From 15 for a few clusters down to 3 for dozens. height, width: pixels of the images.
    """
    plan = _gallery_plan(clusters, height, width)
    return plan.across * plan.down


def gallery_figure(exhibits: Sequence[Exhibit], *, title: str, note: str = "") -> Figure:
    """Typical, doubtful and random images of each cluster, a block for each in the order given.

    exhibits: at least one, all of images of one shape; two dozen fill a page. Up to 12 stand below
    one another, more in two columns. title: above all; note: printed small below.
    Raises ValueError for no exhibit, shapes that disagree, too many images, values out of range.
    """
    _require(len(exhibits) > 0, "exhibits must hold at least one Exhibit")
    shape = np.shape(exhibits[0].typical)[1:]
    valid = len(shape) == 3 and 0 not in shape and shape[2] in (1, 3)
    _require(valid, f"images must be (m, h, w, 1 or 3), not (m, {', '.join(map(str, shape))})")
    plan = _gallery_plan(len(exhibits), shape[0], shape[1])
    bottoms = [0.0] * plan.columns
    places: list[tuple[float, float]] = []  # of the upper left corner of each block
    for i, one in enumerate(exhibits):
        counts = [len(images) for images in (one.typical, one.doubtful, one.random)]
        most, room = max(counts), plan.across * plan.down
        fits = min(counts) > 0 and most <= room
        _require(fits, f"each kind of {one.name!r} must hold 1 to {room} images, not {counts}")
        column = i // ceil(len(exhibits) / plan.columns)
        places.append((column * (plan.block + _GUTTER), bottoms[column]))
        bottoms[column] += _HEAD + ceil(most / plan.across) * plan.pitch
    height = max(bottoms) + _HEAD
    with _figure(_PAGE + 0.06, height + 0.06, title, note) as figure:
        axes = figure.add_subplot()  # in inches from its upper left corner
        for column in range(plan.columns):
            for kind, name in enumerate(("typical", "doubtful", "random")):
                x = column * (plan.block + _GUTTER) + kind * plan.kind
                axes.text(x, _HEAD - 0.05, name, fontsize=_SMALL, color="#555555")
        for one, (x, y) in zip(exhibits, places, strict=True):
            _draw_exhibit(axes, one, plan, x, y + _HEAD, shape)
        axes.set(xlim=(0, _PAGE), ylim=(height, 0))
        axes.set_aspect("equal", anchor="N")
        axes.set_axis_off()
    return figure


def thumbnail_box(points: FloatArray, height: int, width: int) -> FloatArray:
    """The sides (2,), in units of the points (n, 2), that an image takes on `embedding_figure`.

    height, width: pixels of the image; its frame and a little air are within the box.
    """
    low, high = _limits(points)
    return _box(high - low, height, width)


def embedding_figure(
    points: FloatArray,
    panels: Sequence[Panel],
    *,
    title: str,
    axis_note: str = "",
    thumbnails: Mapping[int, FloatArray] | None = None,
) -> Figure:
    """The same points once per panel, side by side, coloured by the panel's groups.

    points: (n, 2) finite float, n >= 1; panels: at least one (1 or 2 read best), groups (n,) int.
    All panels share limits and one scale on both axes, so distances can be compared. Legends, below
    the panels, count the points of each group. title: above all; axis_note: printed small below.
    thumbnails: images (h, w, c) float in [0, 1], c 1 or 3, by the row of the point that each is
    centred on, framed in the colour of its group; `thumbnail_box` has the room that each takes.
    Raises ValueError for no panel, shapes that disagree, points not finite, groups not integers.
    """
    _require(len(panels) > 0, "panels must hold at least one Panel")
    _require(np.ndim(points) == 2 and len(points) > 0, "points must be (n, 2), n >= 1")
    points = _checked("points", points, (len(points), 2))
    for panel in panels:
        _checked(f"groups of panel {panel.title!r}", panel.groups, (len(points),), kinds="iu")
    low, high = _limits(points)
    laid = [
        (row, _checked_thumbnail(row, image, len(points)))
        for row, image in (thumbnails or {}).items()
    ]
    boxes = [_box(high - low, *image.shape[:2]) for _, image in laid]
    if laid:  # those at the border stay whole
        border = np.max(boxes, axis=0) / 2
        low, high = low - border, high + border
    width = 7.0 if len(panels) > 1 else 5.0 if laid else 3.4
    each = width / len(panels) - 0.06
    legends = [_legend_plan(panel, each) for panel in panels]
    below = 0.15 * max(ceil(len(labels) / columns) for labels, columns in legends) + 0.04
    height = each * float((high[1] - low[1]) / (high[0] - low[0])) + below + 0.22
    with _figure(width, height, title, axis_note, below) as figure:
        for k, (panel, (labels, columns)) in enumerate(zip(panels, legends, strict=True)):
            axes = figure.add_subplot(1, len(panels), k + 1)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
            axes.set_aspect("equal", anchor="S")  # the legend hangs on the lower edge
            axes.set_title(_fitted(panel.title, each, _NORMAL), fontsize=_NORMAL, pad=4)
            handles = _scatter(axes, points, np.asarray(panel.groups))
            values = np.unique(panel.groups)
            for (row, image), box in zip(laid, boxes, strict=True):
                handle = handles[int(np.searchsorted(values, panel.groups[row]))]
                _draw_thumbnail(axes, image, points[row], box, handle.get_color())
            _legend(axes, handles, labels, "upper center", (0.5, 0), ncols=columns, handlelength=1)
    return figure


def curve_figure(
    epochs: NDArray[np.integer[Any]],
    errors: FloatArray,
    accuracies: FloatArray | None,
    *,
    error_label: str = "reconstruction MSE (all training images)",
    accuracy_label: str = "validation accuracy",
    note: str = "",
    title: str = "",
) -> Figure:
    """Reconstruction error (left axis) and accuracy (right axis) at each checkpoint.

    epochs: (m,) integers, strictly increasing, m >= 1.
    errors: (m,) float >= 0; the axis is logarithmic when they span more than a decade above 0.
    accuracies: (m,) float in [0, 1], shown in percent, or None to draw the error axis alone.
    The largest fall of accuracy between neighbouring checkpoints is shaded, its size (percentage
    points) printed above; nothing is marked where accuracy never falls.
    Raises ValueError when shapes disagree, epochs do not increase or a value is out of its range.
    """
    count = np.size(epochs)
    _require(count > 0, "epochs must hold at least one checkpoint")
    epochs = _checked("epochs", epochs, (count,), kinds="iu")
    _require(bool(np.all(epochs[1:] > epochs[:-1])), "epochs must be strictly increasing")
    errors = _checked("errors", errors, (count,), 0)
    if accuracies is not None:
        accuracies = _checked("accuracies", accuracies, (count,), 0, 1)
    with _figure(3.4, 2.2 if accuracies is None else 2.5, title, note) as figure:
        left = figure.add_subplot()
        left.set_xlabel("epoch", fontsize=_NORMAL)
        left.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10], integer=True))
        lines = [_draw_line(left, epochs, errors, error_label, COLOURS[0], "o-")]
        if 0 < 10 * errors.min() < errors.max():
            fine = errors.max() < 1000 * errors.min()
            left.set_yscale("log", subs=[])
            left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if fine else (1.0,)))
        left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if count == 1:  # away from the accuracy, which is drawn on an axis of 0 to 100 % then
            share = 0.25 if accuracies is None or accuracies[0] >= 0.5 else 0.75
            left.set(xticks=epochs, ylim=(0, (float(errors[0]) or 1.0) / share))
        if accuracies is not None:
            right = left.twinx()
            lines.append(_draw_line(right, epochs, accuracies, accuracy_label, COLOURS[3], "s--"))
            pad = 1.0 if count == 1 else max(0.06 * float(np.ptp(accuracies)), 0.01)
            right.set_ylim(max(0.0, accuracies.min() - pad), min(1.0, accuracies.max() + pad))
            right.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            right.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
            labels = [_shortened(label, 44) for label in (error_label, accuracy_label)]
            _legend(left, lines, labels, "lower left", (0, 1.06), handlelength=2.6)
            _mark_largest_fall(left, epochs, accuracies)
    return figure


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _checked(
    name: str, data: Any, shape: Any, low: float = -inf, high: float = inf, kinds: str = "fiu"
) -> NDArray[Any]:
    array = np.asarray(data)
    _require(array.shape == shape, f"{name} must have shape {shape}, not {array.shape}")
    kind = "integers" if kinds == "iu" else "finite numbers"
    _require(array.dtype.kind in kinds and bool(np.isfinite(array).all()), f"{name} must be {kind}")
    inside = array.min() >= low - 1e-6 and array.max() <= high + 1e-6  # float32 may round out
    found = f"{array.min():g} to {array.max():g}"
    _require(bool(inside), f"{name} must be in [{low:g}, {high:g}], not {found}")
    return array if low == -inf else np.clip(array, low, high)


def _shortened(text: str, limit: int) -> str:
    """At most `limit` drawable characters; the middle goes first, as ids differ at their ends."""
    known = get_font(findfont(_FONT)).get_charmap()  # others would be warned of at each drawing
    text = "".join(c if ord(c) in known else "\ufffd" for c in " ".join(text.split()))
    tail = limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def _fitted(text: str, inches: float, size: float, lines: int = 2) -> str:
    wide = int(inches * 72 / (size * 0.64))  # 0.64 em: the width of a digit
    text = _shortened(text, lines * wide)
    return textwrap.fill(text, wide, max_lines=lines, placeholder="…", break_on_hyphens=False)


@contextmanager
def _figure(
    width: float, height: float, title: str = "", note: str = "", below: float = 0.0
) -> Iterator[Figure]:
    """A figure to fill under our own settings; title and note add height, `below` stays free."""
    title, note = _fitted(title, width, _BIG), _fitted(note, width, _SMALL, 4)
    height += sum(0.15 * len(text.splitlines()) + 0.05 for text in (title, note) if text)
    own: Any = {"font.family": _FONT, "font.size": _SMALL, "text.parse_math": False}
    own |= {"axes.edgecolor": "#999999", "axes.linewidth": 0.6, "axes.labelsize": _SMALL}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(own)
        free = (0, below / height, 1, 1 - below / height)
        layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03, hspace=0, wspace=0, rect=free)
        figure = Figure((width, height), dpi=300, layout=layout)
        if title:
            figure.suptitle(title, fontsize=_BIG)
        if note:
            figure.supxlabel(note, fontsize=_SMALL, color="#555555")
        yield figure


def _legend(
    axes: Axes, handles: list[Line2D], labels: list[str], loc: Any, anchor: Any, **options: Any
) -> None:
    options |= {"frameon": False, "handletextpad": 0.5, "columnspacing": 1.2, "borderpad": 0.2}
    names = ["-"] * len(labels)  # set afterwards: one that starts with "_" would be refused here
    legend = axes.legend(handles, names, loc=loc, bbox_to_anchor=anchor, fontsize=_SMALL, **options)
    legend.set_in_layout(loc == "lower left")  # for the one below, `_figure` kept the room free
    for text, label in zip(legend.get_texts(), labels, strict=True):
        text.set_text(label)


def _legend_plan(panel: Panel, inches: float) -> tuple[list[str], int]:
    """The labels of a panel's legend and the number of columns that fits."""
    values, counts = np.unique(panel.groups, return_counts=True)
    limit = max(4, int(inches * 72 / (_SMALL * 0.64)) - 14)  # leaves room for marker and count
    names = [_shortened(str(panel.names.get(int(v), int(v))), limit) for v in values]
    labels = [f"{name} ({count})" for name, count in zip(names, counts, strict=True)]
    entry = _SMALL * (0.6 * max(map(len, labels)) + 2.8)  # points; 2.8 em: marker and gaps
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


@dataclass(frozen=True)
class _GalleryPlan:
    """How a gallery is divided, in inches: a block for each cluster, three kinds side by side."""

    columns: int  # of blocks
    across: int  # images of a kind in a row
    down: int  # rows of a kind, at most
    block: float  # width of a block
    kind: float  # from one kind to the next
    cell: float  # width of the room of an image
    tall: float  # its height
    pitch: float  # from one row of images to the next


def _gallery_plan(clusters: int, height: int, width: int) -> _GalleryPlan:
    columns, across = (1, 5) if clusters <= 12 else (2, 3)
    block = (_PAGE - (columns - 1) * _GUTTER) / columns
    kind = (block + _KIND_GAP) / 3
    cell = (kind - _KIND_GAP + _GAP) / across - _GAP
    tall = cell * float(np.clip(height / width, 0.2, 1.4))  # others shrink within their room
    pitch = tall + _BELOW
    down = int((9 / ceil(clusters / columns) - _HEAD) / pitch)  # 9 inches: a page
    return _GalleryPlan(columns, across, min(max(down, 1), 3), block, kind, cell, tall, pitch)


def _draw_exhibit(
    axes: Axes, one: Exhibit, plan: _GalleryPlan, x: float, y: float, shape: tuple[int, ...]
) -> None:
    """A cluster's title and images, from (x, y) to the right and downwards."""
    name = repr(one.name)
    counts = [len(images) for images in (one.typical, one.doubtful, one.random)]
    confidence = _checked(f"confidence of {name}", one.confidence, (counts[1],), 0, 1)
    mean = float(_checked(f"mean of {name}", one.mean, (), 0, 1))
    told = f", {one.size} image{'s' * (one.size != 1)}, confidence {mean:.2f}"
    limit = int(plan.block * 72 / (_NORMAL * 0.64)) - len(told)
    axes.text(x, y + _HEAD - 0.06, _shortened(one.name, limit) + told, fontsize=_NORMAL)
    for kind, images in enumerate((one.typical, one.doubtful, one.random)):
        images = _checked(f"images of {name}", images, (counts[kind], *shape), 0, 1)
        for i, image in enumerate(images):
            row, column = divmod(i, plan.across)
            left = x + kind * plan.kind + column * (plan.cell + _GAP)
            upper = y + _HEAD + row * plan.pitch
            centre = (left + plan.cell / 2, upper + plan.tall / 2)
            _draw_image(axes, image, centre, plan.cell, -plan.tall)
            if kind == 1:
                below = (centre[0], upper + plan.tall + 0.015)
                axes.text(*below, f"{confidence[i]:.2f}", fontsize=_SMALL, ha="center", va="top")


def _box(extent: FloatArray, height: int, width: int) -> FloatArray:
    ratio = float(np.clip(width / height, 0.25, 4.0))
    return np.array([min(1.0, ratio), min(1.0, 1 / ratio)]) * float(extent[0]) / 18


def _checked_thumbnail(row: int, image: FloatArray, count: int) -> NDArray[Any]:
    shape = np.shape(image)
    valid = len(shape) == 3 and 0 not in shape and shape[2] in (1, 3)
    _require(valid, f"thumbnail {row} must be (h, w, 1 or 3), not {shape}")
    _require(0 <= row < count, f"there is no point {row} for a thumbnail")
    return _checked(f"thumbnail {row}", image, shape, 0, 1)


def _draw_thumbnail(
    axes: Axes, image: FloatArray, centre: FloatArray, box: FloatArray, colour: Any
) -> None:
    """An image in the middle of its box, in a frame."""
    sides = 0.92 * box
    x, y = (centre - sides / 2).tolist()
    axes.add_patch(Rectangle((x, y), *sides.tolist(), facecolor=colour, lw=0, zorder=2))
    width, height = (sides - 0.1 * sides.max()).tolist()
    _draw_image(axes, image, (float(centre[0]), float(centre[1])), width, height)


def _draw_image(
    axes: Axes, image: FloatArray, centre: tuple[float, float], width: float, height: float
) -> None:
    """As large as fits into a box around `centre`; a negative height where y grows downwards."""
    high, wide = image.shape[:2]
    scale = min(width / wide, abs(height) / high)
    right, up = scale * wide / 2, float(np.copysign(scale * high / 2, height))
    x, y = centre
    axes.imshow(
        image,
        cmap="gray",
        vmin=0,
        vmax=1,
        interpolation="antialiased",  # smooth where it is made smaller, pixels where larger
        extent=(x - right, x + right, y - up, y + up),
        zorder=3,
    )


def _scatter(axes: Axes, points: FloatArray, groups: NDArray[Any]) -> list[Line2D]:
    """Draws the points, gives one legend handle per group value, in increasing order."""
    values, ranks = np.unique(groups, return_inverse=True)
    area = float(np.clip(300 / sqrt(len(points)), 0.8, 36))  # square points
    colours = np.array([COLOURS[k % len(COLOURS)] for k in range(len(values))])
    markers = np.array([marker(k) for k in range(len(values))])
    # Shuffled, always alike: drawn group by group, the last group would hide the others. One call
    # draws one marker, so the markers take turns.
    order = np.random.default_rng(0).permutation(len(points))
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


def _draw_line(
    axes: Axes, epochs: NDArray[Any], values: FloatArray, label: str, colour: str, style: str
) -> Line2D:
    """One curve, with its axis label and tick labels in its colour."""
    (line,) = axes.plot(epochs, values, style, color=colour, lw=1.2, ms=3.5, clip_on=False)
    parts = label.replace(" (", "\n(", 1).splitlines()
    text = "\n".join(_fitted(part, 2.0, _NORMAL) for part in parts)
    axes.set_ylabel(text, color=colour, fontsize=_NORMAL)
    # Ticks are made when first drawn, under the caller's settings: what they need is told here.
    ticks: Any = {"color": "#999999", "width": 0.6, "length": 2.5, "labelsize": _SMALL}
    axes.tick_params(which="both", labelfontfamily=_FONT, **ticks)
    axes.tick_params(axis="y", labelcolor=colour)
    axes.spines[["top", "right"] if style == "o-" else ["top", "left"]].set_visible(False)
    return line


def _mark_largest_fall(axes: Axes, epochs: NDArray[Any], accuracies: FloatArray) -> None:
    falls = -100 * np.diff(accuracies.astype(np.float64))
    if falls.size == 0 or falls.max() <= 1e-9:
        return
    i = int(falls.argmax())
    start, end = float(epochs[i]), float(epochs[i + 1])
    axes.axvspan(start, end, color="#000000", alpha=0.08, lw=0, zorder=0)
    size = f"{falls[i]:.1f}" if falls[i] >= 0.1 else f"{falls[i]:.1g}"
    text, above = f"largest fall: \u2212{size} points", axes.get_xaxis_transform()
    place = ((start + end) / 2 - float(epochs[0])) / float(epochs[-1] - epochs[0])
    side = "left" if place < 0.2 else "right" if place > 0.8 else "center"  # stays over the axes
    x = {"left": start, "right": end, "center": (start + end) / 2}[side]
    axes.text(x, 1.01, text, transform=above, ha=side, va="bottom", color="#555555")
