"""The map: images as points in two dimensions, by cluster and by true label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, sqrt
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.numbers import OUTLIER
from aeclust.show import style
from aeclust.show.palette import colour, marker
from aeclust.show.style import BIG, COLUMN, GRID, INK, NORMAL, PAGE, SMALL, FloatArray

_ACROSS = (22, 16)  # thumbnails beside one another in a map alone, and in one of two
_LEAST = np.array([0.8, 0.55])  # width and height of a map, of its longer side
_LONGEST, _TALL = 1.3, 0.16  # inches of a name on the map
_PAD = 0.035  # inches around it
_CELLS = 48  # places a side where a name may stand
# cells that points are smeared over: more among thumbnails, whose names stand well inside a group
_NARROW, _WIDE = 2.5, 6.0
_DENSE = 0.4  # of the largest density, where a name is wanted
_LEGEND: dict[str, Any] = {"handlelength": 1}
_FEW = 6  # groups, of which those without a name are called more than a number on the map


@dataclass(frozen=True)
class Panel:
    """One colouring of the points of a map.

    Attributes
    ----------
    title : str
    groups : ndarray of shape (n,)
        Integers, any values; -1 is drawn in grey below the others, and listed last.
    names : mapping of int to str
        What the values are called; one that is missing stands as a number.
    looks : mapping of int to int
        The cluster whose colour and marker a value has; its own, where it is missing.
    wrong : ndarray of shape (n,) or None
        Which points to mark as wrong.
    """

    title: str
    groups: NDArray[np.int64]
    names: Mapping[int, str]
    looks: Mapping[int, int] = field(default_factory=dict)
    wrong: NDArray[np.bool_] | None = None

    @property
    def values(self) -> list[int]:
        """The different values, ascending, but outliers last."""
        values = np.unique(self.groups)
        return [*values[values != OUTLIER].tolist(), *values[values == OUTLIER].tolist()]

    def look(self, value: int) -> tuple[str, str]:
        """Colour and marker of a value."""
        cluster = self.looks.get(value, value)
        return colour(cluster), "." if cluster == OUTLIER else marker(cluster)

    def called(self, value: int) -> str:
        """What a value is called."""
        return str(self.names.get(value, value))


def thumbnail_box(points: FloatArray, height: float, width: float, panels: int = 1) -> FloatArray:
    """The sides (2,), in units of the points, that an image takes on a map.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
    height, width : float
        Typical pixels of the images; a frame and a little air are within the box.
    panels : int
        How many maps stand side by side.
    """
    low, high = _limits(points)
    return _box(high - low, height, width, panels)


def map_figure(
    points: FloatArray,
    panels: Sequence[Panel],
    *,
    title: str,
    note: str = "",
    thumbnails: Mapping[int, FloatArray] | None = None,
    box: FloatArray | None = None,
    places: FloatArray | None = None,
) -> Figure:
    """The same points once per panel, side by side, coloured by the panel's groups.

    All panels share limits and one scale on both axes, so distances can be compared. Each group is
    named where it is densest. Legends, below the panels, count the points of each group.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        Finite; n at least 1.
    panels : sequence of Panel
        1 or 2.
    title, note : str
        Above all, and in small print below.
    thumbnails : mapping of int to ndarray of shape (h, w, c), optional
        Images in [0, 1] by the row of the point that each is of, framed in the colour of its group.
    box : ndarray of shape (2,), optional
        The room that each of them has, see :func:`thumbnail_box`; a square, if None.
    places : ndarray of shape (m, 2), optional
        Where their middles are; on their points, if None.
    """
    low, high = _limits(points)
    images = thumbnails or {}
    box = _box(high - low, 1, 1, len(panels)) if box is None else box
    if images:
        low, high = low - box / 2, high + box / 2  # those at the border stay whole
    width = PAGE if len(panels) > 1 or images else COLUMN
    each = width / len(panels) - 0.06
    size = BIG if width == PAGE and len(panels) == 1 else SMALL  # of names on the map
    scale = (high - low) / each  # units in an inch: of the width, as of the height
    legends = [_legend_plan(panel, each) for panel in panels]
    below = max(_legend_height(*each) for each in zip(panels, legends, strict=True))
    above = 0.22 if any(panel.title for panel in panels) else 0.04
    height = each * float((high[1] - low[1]) / (high[0] - low[0])) + below + above
    with style.new_figure(width, height, title, note, below) as figure:
        for k, (panel, (labels, columns)) in enumerate(zip(panels, legends, strict=True)):
            axes = figure.add_subplot(1, len(panels), k + 1)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), xticks=[], yticks=[])
            axes.set_aspect("equal", anchor="S")  # the legend hangs on the lower edge
            axes.spines[:].set_color(GRID)
            if panel.title:
                axes.set_title(style.shortened(panel.title, each, NORMAL), fontsize=NORMAL, pad=4)
            if places is None:  # else the images stand for all points
                _scatter(axes, points, panel)
            for i, (row, image) in enumerate(images.items()):
                centre = points[row] if places is None else places[i]
                wrong = panel.wrong is not None and bool(panel.wrong[row])
                framed, _ = panel.look(int(panel.groups[row]))
                _draw_thumbnail(axes, image, centre, box, framed, wrong=wrong)
            cells = _WIDE if images else _NARROW
            _name(axes, points, panel, (low, high), float(scale[0]), size, cells)
            look = _LEGEND | {"ncols": columns}
            style.legend(axes, _handles(panel), labels, "upper center", (0.5, 0), **look)
    return figure


def _legend_plan(panel: Panel, inches: float) -> tuple[list[str], int]:
    """The labels of a panel's legend and the number of columns that fits."""
    counts = [f" ({int((panel.groups == value).sum()):,})" for value in panel.values]
    room = inches / (1 + (len(counts) > _FEW)) - style.text_width(max(counts, key=len), SMALL)
    room -= 0.33  # for marker and gaps
    names = [style.shortened(panel.called(value), room, SMALL) for value in panel.values]
    labels = [name + count for name, count in zip(names, counts, strict=True)]
    if panel.wrong is not None and panel.wrong.any():
        labels.append(f"wrong ({int(panel.wrong.sum()):,})")
    wide = np.array([style.text_width(label, SMALL) + 0.33 for label in labels])
    for columns in range(len(labels), 1, -1):
        rows = ceil(len(labels) / columns)
        ends = range(0, len(labels), rows)
        if sum(float(wide[end : end + rows].max()) for end in ends) <= inches:
            return labels, len(ends)
    return labels, 1


def _legend_height(panel: Panel, plan: tuple[list[str], int]) -> float:
    """Inches below the map that its legend takes; measured where letters may be higher."""
    labels, columns = plan
    high = 0.15 * ceil(len(labels) / columns) + 0.06
    if all(label.replace("…", "").isascii() for label in labels):
        return high
    measured = style.legend_height(_handles(panel), labels, **_LEGEND, ncols=columns)
    return max(high, measured + 0.02)


def _limits(points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Corners of the box all panels show: the points, a margin, and no strip."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    centre, half = (low + high) / 2, (high - low) / 2
    largest, away = float(half.max()), float(np.abs(centre).max())
    if largest <= 1e-9 * away:  # all points coincide
        largest = max(1.0, away)
    half = 1.06 * np.maximum(half, _LEAST * largest)
    return centre - half, centre + half


def _box(extent: FloatArray, height: float, width: float, panels: int) -> FloatArray:
    ratio = float(np.clip(width / height, 0.25, 4.0))
    across = _ACROSS[panels > 1]
    return np.array([min(1.0, ratio), min(1.0, 1 / ratio)]) * float(extent[0]) / across


def _draw_thumbnail(
    axes: Axes, image: FloatArray, centre: FloatArray, box: FloatArray, framed: str, *, wrong: bool
) -> None:
    """An image in the middle of its box, in a frame that is close around it."""
    edge = 0.08 * box.max()
    room = 0.96 * box - edge
    shape = np.array([image.shape[1], image.shape[0]])
    sides = shape * (room / shape).min()
    x, y = (centre - (sides + edge) / 2).tolist()
    high, wide = (sides + edge).tolist()[::-1]
    axes.add_patch(Rectangle((x, y), wide, high, facecolor=framed, lw=0, zorder=2))
    if wrong:  # the ring of the legend, in a corner
        ring: Any = {"ms": 4.5, "mew": 0.8, "mec": INK, "mfc": "white", "zorder": 4}
        axes.plot(x + wide, y + high, "o", **ring)
    style.draw_image(axes, image, (float(centre[0]), float(centre[1])), *room.tolist())


# -- points ------------------------------------------------------------------------------------


def _scatter(axes: Axes, points: FloatArray, panel: Panel) -> None:
    """Draws the points, and rings around the wrong ones."""
    area = float(np.clip(300 / sqrt(len(points)), 0.8, 36))  # square points
    ascending = np.unique(panel.groups)
    looks = np.array([panel.look(value) for value in ascending.tolist()])
    colours, markers = looks[np.searchsorted(ascending, panel.groups)].T
    # Shuffled, always alike: drawn group by group, the last group would hide the others. One call
    # draws one marker, so the markers take turns.
    order = seeds.stream(0, "pictures").permutation(len(points))
    # outliers below all others, and wrong ones above them
    ranks = (panel.groups != OUTLIER).astype(int)
    ranks += 0 if panel.wrong is None else 2 * panel.wrong
    order = order[np.argsort(ranks[order], kind="stable")]
    turns = np.array_split(order, min(8, len(order))) if len(set(markers.tolist())) > 1 else [order]
    edge = 0.3 if area >= 8 else 0.0
    look: Any = {"s": area, "lw": edge, "edgecolors": "white" if edge else "none"}
    for turn in turns:
        for shape in np.unique(markers[turn]).tolist():
            mine = turn[markers[turn] == shape]
            x, y = points[mine].T
            axes.scatter(x, y, c=colours[mine], marker=shape, rasterized=True, **look)
    if panel.wrong is not None and panel.wrong.any():
        look = {"s": 1.8 * area + 2.5, "lw": float(np.clip(0.18 * sqrt(area), 0.35, 0.8))}
        look |= {"edgecolors": INK, "zorder": 1.5, "rasterized": True}
        x, y = points[panel.wrong].T
        axes.scatter(x, y, c="none", marker="o", **look)


def _handles(panel: Panel) -> list[Line2D]:
    """What stands before the entries of a legend."""
    look: Any = {"linestyle": "", "markersize": 4.5, "markeredgewidth": 0}
    looks = map(panel.look, panel.values)
    handles = [Line2D([], [], color=colour, marker=shape, **look) for colour, shape in looks]
    if panel.wrong is not None and panel.wrong.any():
        look |= {"markersize": 5, "markeredgewidth": 0.7, "markeredgecolor": INK}
        handles.append(Line2D([], [], color="none", marker="o", **look))
    return handles


# -- names -------------------------------------------------------------------------------------


def _name(
    axes: Axes,
    points: FloatArray,
    panel: Panel,
    limits: tuple[FloatArray, ...],
    unit: float,
    size: float,
    cells: float,
) -> None:
    """Write what each group is called where it is densest, the larger ones first, none on another.

    `unit` is an inch, `size` in points; density is smeared over so many `cells`. A name that has no
    room is replaced by the number alone, as near as may be.
    """
    taken: list[tuple[FloatArray, FloatArray]] = []
    sizes = {value: int((panel.groups == value).sum()) for value in panel.values}
    for value in sorted(sizes, key=lambda value: -sizes[value]):
        if value == OUTLIER:
            continue
        whole = panel.called(value)
        number = whole.removeprefix("cluster ").removeprefix("class ")
        if number.partition(":")[0].isdecimal():
            number = number.partition(":")[0]
        if whole in (f"cluster {number}", f"class {number}") and len(sizes) > _FEW:
            whole = number
        dense, every = _densest(points[panel.groups == value], limits, cells)
        for text, places in ((whole, dense), (number, every)):
            text = style.shortened(text, _LONGEST * size / SMALL, size)
            wide, tall = style.text_width(text, size) / 2 + _PAD, _TALL * size / SMALL / 2
            half = np.array([wide, tall]) * unit
            place = _free(np.clip(places, limits[0] + half, limits[1] - half), half, taken)
            if place is not None:
                taken.append((place, half))
                _write(axes, text, place, panel.look(value)[0], size)
                break


def _densest(
    points: FloatArray, limits: tuple[FloatArray, ...], smear: float
) -> tuple[FloatArray, FloatArray]:
    """Centres of the cells where points are dense, the densest first, and those of all cells."""
    from scipy.ndimage import gaussian_filter  # loading it takes a moment

    low, high = limits
    edges = [np.linspace(low[axis], high[axis], _CELLS + 1) for axis in (0, 1)]
    counts = np.histogram2d(points[:, 0], points[:, 1], bins=edges)[0]
    density = gaussian_filter(counts, smear, mode="constant").ravel()
    density[counts.ravel() == 0] = 0
    cells = np.stack(np.divmod(np.arange(_CELLS**2), _CELLS), axis=1)
    away = np.square(cells - cells[density.argmax()]).sum(axis=1)
    order = np.lexsort((away, -density))
    centres = low + (cells[order] + 0.5) * (high - low) / _CELLS
    return centres[: int((density >= _DENSE * density.max()).sum())], centres


def _free(
    places: FloatArray, half: FloatArray, taken: Sequence[tuple[FloatArray, FloatArray]]
) -> FloatArray | None:
    """The first of some places where a box covers none of the others."""
    free = np.ones(len(places), bool)
    for centre, other in taken:
        free &= (np.abs(places - centre) >= half + other).any(axis=1)
    return places[int(free.argmax())] if free.any() else None


def _write(axes: Axes, text: str, place: FloatArray, framed: str, size: float) -> None:
    pad = _PAD * 72 / size
    box: Any = {"boxstyle": f"round,pad={pad:.3f},rounding_size=0.3", "fc": "white", "ec": framed}
    look: Any = {"ha": "center", "va": "center", "fontsize": size, "zorder": 5}
    x, y = place.tolist()
    written = axes.text(x, y, text, bbox={**box, "alpha": 0.9, "lw": 0.9}, **look)
    written.set_in_layout(False)
