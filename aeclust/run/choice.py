"""What helps a person to choose the number of clusters: numbers for each, and how they merge."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.evidence import Evidence, from_rows
from aeclust.clusters.tree import Tree, merge_tree
from aeclust.run.clustered import Clustered, latents_of, of_run, title_of
from aeclust.run.context import Context
from aeclust.run.figures import save, with_ending
from aeclust.run.manifest import Manifest
from aeclust.run.predict import latents_behind
from aeclust.run.previews import in_unit, pictures_at
from aeclust.show import choice as figures
from aeclust.show import style, thumbnails
from aeclust.show.picks import Picks, pick
from aeclust.show.report import Section

_SIDE, _DPI = 64, 130  # pixels of an image in the report, and of an inch: a page has little room


@dataclass(frozen=True)
class Choice:
    """What speaks for each number of clusters that was tried, and how the clusters there merge.

    Attributes
    ----------
    tried : dict of int to Evidence
        By number; empty unless the number was estimated.
    chosen : int or None
        The estimate.
    tree : Tree
    file : Path or None
        Where it was drawn.
    """

    tried: dict[int, Evidence]
    chosen: int | None
    tree: Tree
    file: Path | None = None


def check_picture(context: Context, plot: Path | None) -> None:
    """Refuse a picture of an unknown kind, or in the place of a file of the run."""
    if plot is not None:
        context.folder.check_foreign(with_ending(plot, plot, setting="plot"))


def look(context: Context, labels: Artifact, *, plot: Path | None = None) -> Choice:
    """What helps to choose, by the current labels of a run.

    Parameters
    ----------
    context : Context
    labels : Artifact
    plot : Path, optional
        Where to draw it.
    """
    if plot is None:
        kept = latents_behind(context, labels.parents["latents"])
        return _choice(labels, labels.arrays["labels"], kept.arrays["latents"])
    manifest = context.folder.manifest()
    shown = of_run(context, manifest, labels)
    latents, prediction = latents_of(context, shown.prediction), shown.prediction
    choice = _choice(labels, prediction.labels, latents)
    picks = pick(
        prediction.labels,
        prediction.confidence,
        latents,
        count=figures.MOST_IMAGES,
        seed=manifest.seed,
    )
    leaves = _leaves(context, manifest, shown, picks, choice.tree, thumbnails.LARGEST_PICTURE)
    figure = figures.choice_figure(
        choice.tried,
        choice.chosen,
        choice.tree,
        leaves,
        title=title_of(shown),
        note=_note(choice),
    )
    save(plot, figure)
    return dataclasses.replace(choice, file=plot)


def sections(
    context: Context,
    manifest: Manifest,
    labels: Artifact,
    shown: Clustered,
    latents: NDArray[Any],
    picks: Sequence[Picks],
) -> list[Section]:
    """The same as a part of the report; none where there is nothing to choose between."""
    choice = _choice(labels, shown.prediction.labels, latents)
    if not choice.tried and len(choice.tree.merges) < 2:
        return []
    leaves = _leaves(context, manifest, shown, picks, choice.tree, _SIDE)
    figure = figures.choice_figure(choice.tried, choice.chosen, choice.tree, leaves)
    return [
        Section(
            title="How many clusters",
            note=_note(choice),
            figure=style.encoded(figure, "svg", transparent=True, dpi=_DPI).decode(),
            words=figures.words(choice.tried, choice.chosen, choice.tree),
            photographs=any(leaf.images for leaf in leaves.values()),
        )
    ]


def _choice(labels: Artifact, numbers: NDArray[np.int64], latents: NDArray[Any]) -> Choice:
    tried = from_rows(labels.details.get("tried", []))
    return Choice(tried, labels.details.get("estimated"), merge_tree(latents, numbers))


def _leaves(
    context: Context,
    manifest: Manifest,
    shown: Clustered,
    picks: Sequence[Picks],
    tree: Tree,
    side: int,
) -> dict[int, figures.Leaf]:
    """Of the first cluster of each group that is drawn, its title and some typical images."""
    groups = tree.groups(figures.MOST_LEAVES)
    first, titles = {group[0] for group in groups}, shown.titles
    each = figures.images_per_leaf(len(groups))
    rows = {pick.cluster: pick.typical[:each] for pick in picks if pick.cluster in first}
    images: Iterator[NDArray[Any]] = iter(())
    if rows and (not manifest.vectors or manifest.pictures is not None):
        every = np.concatenate([*rows.values()])
        pictures = pictures_at(context, manifest, shown.prediction.present, every)
        images = iter([in_unit(thumbnails.shrunk(each, side)) for each in pictures])
    return {
        cluster: figures.Leaf(titles[cluster], [*itertools.islice(images, len(some))])
        for cluster, some in rows.items()
    }


def _note(choice: Choice) -> str:
    parts = []
    if choice.tried:
        parts.append(
            "Above: each number of clusters, tried by k-means of samples. The score decides: the"
            " smallest number whose score is nearly the best is taken. It is the silhouette, but 0"
            " where clusterings of two halves of the images agree less than half."
        )
    if choice.tree.merges:
        parts.append(
            "The tree merges the nearest clusters first, from right to left. Each thin"
            " vertical line stands for the number of clusters above it: the wider the gap around"
            " the line, the better that number suits."
        )
    return " ".join(parts)
