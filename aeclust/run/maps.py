"""The map of a run: its images, or others, in two dimensions, by cluster and by true label."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters import scores
from aeclust.clusters.crosstab import Crosstab, crosstab
from aeclust.clusters.numbers import OUTLIER
from aeclust.errors import printable
from aeclust.images import Source
from aeclust.images import truth as labels
from aeclust.run import embedding
from aeclust.run.clustered import Clustered, clustered, title_of
from aeclust.run.context import Context
from aeclust.run.figures import picture_name, save, with_ending
from aeclust.run.pictures import others_than, pictures_of
from aeclust.run.previews import typical_shape
from aeclust.show import maps
from aeclust.show.picks import mosaic

_WRONG = "Ringed: in the wrong cluster"


@dataclass(frozen=True)
class Plotted:
    """The picture's path; scores where true labels were given; additions by people, and names."""

    file: Path
    scores: scores.Scores | None
    added: str = ""
    names: Mapping[int, str] = field(default_factory=dict)


def plot(
    context: Context,
    source: Source | None = None,
    *,
    truth: str | None = None,
    thumbnails: bool = False,
    seed: int | None = None,
    output: Path | None = None,
) -> Plotted:
    """Draw a 2-D embedding by cluster and, with labels, by true label.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Other images than the run's. A chain with t-SNE embeds and clusters them by themselves.
    truth : str, optional
        Where labels of the images are; those given to ``train`` for its validation images, if None.
    thumbnails : bool
        Lay some of the images over their points.
    seed : int, optional
        Of the embedding of other images, and of the choice of thumbnails; the run's, if None.
    output : Path, optional
        In the run folder, if None: ``embedding.png``, or a name that says what else it shows.

    Returns
    -------
    Plotted
    """
    manifest = context.folder.manifest()
    if truth is None and source is not None and source.location == manifest.val_images:
        truth = manifest.val_labels
    parts = ["thumbnails"] * thumbnails + ["labels"] * (truth is not None)
    name = picture_name("embedding", *parts, others=others_than(context.folder, manifest, source))
    file = with_ending(context.folder.path / name, output)
    shown = clustered(context, manifest, source, seed, seen=thumbnails)
    points = embedding.in_two_dimensions(context, manifest, shown, seed)
    rows, panels, result = _panels(shown, truth)
    points = points[rows]
    laid: dict[int, NDArray[np.float32]] = {}
    box = places = None
    if thumbnails:
        shape = typical_shape(context, manifest, shown.prediction.present)
        box = maps.thumbnail_box(points, *shape, panels=len(panels))
        chosen, places = mosaic(points, box, seed=manifest.seed if seed is None else seed)
        pictures = pictures_of(context, manifest, shown.prediction.present, rows[chosen])
        laid = dict(zip(chosen.tolist(), pictures, strict=True))
    note = f"{shown.note}. {_WRONG}" if len(panels) > 1 else shown.note
    look: Any = {"title": title_of(shown, panels[0].groups), "note": note}
    look |= {"thumbnails": laid, "box": box, "places": places}
    save(file, maps.map_figure(points, panels, **look))
    return Plotted(file, result, shown.added, shown.names)


def _panels(
    clustered: Clustered, known: str | None
) -> tuple[NDArray[np.int64], list[maps.Panel], scores.Scores | None]:
    """Rows of the images that are drawn, how they are coloured, and what the clusters score."""
    groups, titles = clustered.prediction.labels, clustered.titles
    if known is None:
        return np.arange(len(groups)), [maps.Panel("", groups, titles)], None
    known_labels = labels.load(known, texts=True)
    present = clustered.prediction.present
    rows, classes = known_labels.aligned(present.ids, gone=present.gone, former=present.former)
    groups = groups[rows]
    result, table = scores.score(groups, classes), crosstab(groups, classes)
    words, matched = known_labels.called, _matched(table)
    names = {c: printable(words.get(c, f"class {c}")) for c in np.unique(classes).tolist()}
    pairs = zip(groups.tolist(), classes.tolist(), strict=True)
    wrong = np.array([matched.get(cluster) != value for cluster, value in pairs])
    by_cluster = f"by cluster (accuracy {result.accuracy:.3f})"
    return (
        rows,
        [
            maps.Panel(by_cluster, groups, titles, wrong=wrong),
            maps.Panel("by true label", classes, names, looks=_looks(table, matched, titles)),
        ],
        result,
    )


def _matched(table: Crosstab) -> dict[int, int]:
    """The class that each cluster matches, of those that match one."""
    pairs = zip(table.clusters.tolist(), table.matched.tolist(), strict=True)
    return {cluster: int(table.classes[column]) for cluster, column in pairs if column >= 0}


def _looks(table: Crosstab, matched: Mapping[int, int], clusters: Iterable[int]) -> dict[int, int]:
    """The cluster that each class looks like: what none matches looks like none."""
    looks = {value: cluster for cluster, value in matched.items()}
    unlike = itertools.count(max(clusters, default=-1) + 1)
    for value in table.classes.tolist():
        if value not in looks:
            looks[value] = OUTLIER if value == OUTLIER else next(unlike)
    return looks
