"""The choice of a number of clusters as a figure: what speaks for each, and how clusters merge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from aeclust.clusters.evidence import Evidence
from aeclust.clusters.tree import Tree
from aeclust.show import style
from aeclust.show.palette import COLOURS, colour, marker
from aeclust.show.style import INK, LINES, NORMAL, PAGE, SMALL, TEXT, FloatArray

MOST_LEAVES = 48
MOST_IMAGES = 6  # of each cluster
_MOST = 96  # of all
# inches: of the tree, where names and images begin; height of a line, of its images, above
_TREE, _NAMES, _IMAGES = 2.85, 3.03, 4.42
_LINE, _ROW, _HEAD, _PANELS = 0.17, 0.4, 0.36, 1.5
_NEAR = 0.1  # inches that a number needs
_TITLES = {
    "score": "score, which decides",
    "silhouette": "silhouette",
    "half_agreement": "agreement of halves",
    "seed_agreement": "agreement of seeds",
    "information": "information",
}


@dataclass(frozen=True)
class Leaf:
    """A cluster: its title, and some typical images (h, w, c) in [0, 1]; none of vectors alone."""

    title: str
    images: Sequence[FloatArray]


def images_per_leaf(leaves: int) -> int:
    """How many images stand beside each leaf, so that there are not too many in all."""
    return max(1, min(MOST_IMAGES, _MOST // max(1, leaves)))


def choice_figure(
    tried: Mapping[int, Evidence],
    chosen: int | None,
    tree: Tree,
    leaves: Mapping[int, Leaf],
    *,
    title: str = "",
    note: str = "",
) -> Figure:
    """The numbers in small panels, and below them the tree with its clusters.

    Parameters
    ----------
    tried : mapping of int to Evidence
        By number of clusters; without any there are no panels.
    chosen : int or None
        The number that was chosen.
    tree : Tree
        Drawn if it has a merge. Its largest :data:`MOST_LEAVES` groups are the leaves.
    leaves : mapping of int to Leaf
        By cluster.
    title, note : str
        Above all, and in small print below.
    """
    groups = tree.groups(MOST_LEAVES) if tree.merges else []
    row = _ROW if any(leaf.images for leaf in leaves.values()) else _LINE
    tall = _HEAD + row * len(groups) if groups else 0.0
    heights = [height for height in (_PANELS if tried else 0.0, tall) if height] or [0.3]
    with style.new_figure(PAGE, sum(heights) + 0.1, title, note) as figure:
        grid = figure.add_gridspec(len(heights), 1, height_ratios=heights)
        if tried:
            panels = grid[0].subgridspec(1, len(_TITLES))
            for i, (name, text) in enumerate(_TITLES.items()):
                values = [getattr(each, name) for each in tried.values()]
                _draw_panel(figure.add_subplot(panels[i]), list(tried), values, chosen, text)
        if groups:
            axes = figure.add_subplot(grid[len(heights) - 1])
            _draw_tree(axes, tree, groups, leaves, row)
            axes.set(xlim=(0, PAGE - 0.06), ylim=(tall, 0))
            axes.set_aspect("equal", anchor="N")
            axes.set_axis_off()
    return figure


def _draw_panel(
    axes: Axes, numbers: list[int], values: list[float], chosen: int | None, title: str
) -> None:
    """One number over k, with the chosen k marked."""
    look: Any = {"color": COLOURS[0], "lw": 1, "ms": 2.2, "clip_on": False}
    axes.plot(numbers, values, "o-", **look)
    if chosen in numbers:
        axes.axvline(chosen, color=INK, lw=0.8, zorder=0)
        axes.plot(chosen, values[numbers.index(chosen)], "o", color=INK, ms=4, clip_on=False)
    axes.set_title(title, fontsize=SMALL, pad=3)
    axes.set_xlabel("clusters", labelpad=1)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.margins(x=0.04)
    low, high = min(0.0, *values), max(values)
    axes.set_ylim(low, high + 0.1 * (high - low or 1.0))  # room for the mark of the chosen one
    style.tidy(axes)


def _draw_tree(
    axes: Axes,
    tree: Tree,
    groups: Sequence[tuple[int, ...]],
    leaves: Mapping[int, Leaf],
    row: float,
) -> None:
    """Merges from right to left, in inches, and a line for each group that they begin with."""
    shown = tree.merges[len(tree.sizes) - len(groups) :]
    places = {group: i for i, group in enumerate(_in_order(groups, shown))}
    ends = {group: (_TREE, _HEAD + row * (i + 0.5)) for group, i in places.items()}
    for merge in shown:
        (x0, y0), (x1, y1) = ends[merge.left], ends[merge.right]
        x = _across(merge.kept)
        axes.plot([x0, x, x, x1], [y0, y0, y1, y1], "-", color=TEXT, lw=0.9)
        ends[tuple(sorted(merge.left + merge.right))] = (x, (y0 + y1) / 2)
    _draw_numbers(axes, [merge.kept for merge in shown], _HEAD + row * len(groups))
    for group, i in places.items():
        y, first = _HEAD + row * (i + 0.5), group[0]
        axes.plot(_TREE + 0.08, y, marker=marker(first), color=colour(first), ms=4, mew=0)
        _draw_leaf(axes, group, sum(tree.sizes[cluster] for cluster in group), leaves, y)


def _draw_leaf(
    axes: Axes, group: tuple[int, ...], size: int, leaves: Mapping[int, Leaf], y: float
) -> None:
    """The name of a group, how many images it has, and its first cluster's typical ones."""
    leaf, more = leaves[group[0]], len(group) - 1
    facts = f" and {more} more ({size:,})" if more else f" ({size:,})"
    room = _IMAGES if leaf.images else PAGE
    limit = room - _NAMES - style.text_width(facts, SMALL) - 0.08
    name = style.shortened(leaf.title, max(0.3, limit), SMALL)
    axes.text(_NAMES, y, name + facts, fontsize=SMALL, va="center")
    for i, image in enumerate(leaf.images[:MOST_IMAGES]):
        side = _ROW - 0.03
        style.draw_image(axes, image, (_IMAGES + (i + 0.5) * _ROW, y), side, -side)


def _draw_numbers(axes: Axes, kept: Sequence[float], bottom: float) -> None:
    """Above the tree: how many groups a cut there leaves, where there is room for it."""
    axes.text(0, 0.12, "number of clusters", fontsize=SMALL, color=TEXT, va="center")
    borders, last = [1.0, *kept], inf
    for i, (right, left) in enumerate(pairwise(borders)):
        x, number = _across((left + right) / 2), str(len(kept) + 1 - i)
        near = _NEAR * len(number)
        if (right - left) * (_TREE - 0.1) < _NEAR or last - x < near:
            continue
        last = x
        axes.text(x, _HEAD - 0.07, number, fontsize=NORMAL, ha="center")
        axes.plot([x, x], [_HEAD, bottom], ":", color=LINES, lw=0.5, zorder=0)


def _across(kept: float) -> float:
    return 0.1 + (_TREE - 0.1) * kept


def _in_order(groups: Sequence[tuple[int, ...]], merges: Sequence[Any]) -> list[tuple[int, ...]]:
    """Groups so that what merges stands together."""
    lists = {group: [group] for group in groups}
    for merge in merges:
        both = lists.pop(merge.left) + lists.pop(merge.right)
        lists[tuple(sorted(merge.left + merge.right))] = both
    return [group for each in lists.values() for group in each]


def words(tried: Mapping[int, Evidence], chosen: int | None, tree: Tree) -> str:
    """What the figure shows, for those who do not see it."""
    parts = []
    if tried:
        scores = ", ".join(f"{k}: {each.score:.3f}" for k, each in tried.items())
        parts.append(f"Score by number of clusters: {scores}; {chosen} was chosen.")
    last = tree.merges[-min(len(tree.merges), 5) :]
    left = range(len(last), 0, -1)
    for merge, count in zip(last, left, strict=True):
        sides = (", ".join(map(str, side)) for side in (merge.left, merge.right))
        parts.append(f"To {count}: {' with '.join(sides)}.")
    return " ".join(parts)
