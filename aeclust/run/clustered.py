"""Images, the run's and others, with their clusters, latents and pixels, for what shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.numbers import OUTLIER, in_use, outlier_count, titled
from aeclust.errors import at
from aeclust.images import Images, Source
from aeclust.recipe import Recipe
from aeclust.run.added import added_to
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.freshness import epoch_for, last_request, recipe_of
from aeclust.run.images import as_in_run, check_alike, describe_images, other_images
from aeclust.run.latents import embed_alike
from aeclust.run.manifest import Manifest
from aeclust.run.naming import current_names
from aeclust.run.predict import Prediction, label_images, label_present, latents_behind
from aeclust.run.present import others
from aeclust.run.previews import check_pictures

_TSNE = "Neighbours are alike; large distances and directions mean nothing (t-SNE)"
_CLUSTERED_SO = "These are the two dimensions that were clustered"


@dataclass(frozen=True)
class Clustered:
    """Images with their clusters.

    Attributes
    ----------
    prediction : Prediction
        Their ids, labels and confidences, and which of the run's images they are.
    names : mapping of int to str
        Of the run's clusters that have one; none where images were clustered by themselves.
    note : str
        How their points in two dimensions are to be read.
    points : ndarray of shape (r, 2) or None
        What was clustered, if it has two dimensions: of the run's images, or of others that were
        clustered by themselves.
    way : str
        How other images got their clusters; empty for the run's.
    added : str
        What people added to the labels, in words.
    """

    prediction: Prediction
    names: Mapping[int, str]
    note: str
    points: NDArray[np.float32] | None
    way: str = ""
    added: str = ""

    @property
    def titles(self) -> dict[int, str]:
        """What every cluster is called in a picture, outliers last."""
        labels = self.prediction.labels
        numbers = [*in_use(labels), *[OUTLIER] * (OUTLIER in labels)]
        return {number: titled(number, self.names) for number in numbers}


def clustered(
    context: Context,
    manifest: Manifest,
    source: Source | None,
    seed: int | None,
    *,
    seen: bool = False,
) -> Clustered:
    """Some images, the run's as they are now if None, by what their clusters are now.

    If they are to be `seen`, vectors of which there is nothing to look at are refused.
    """
    own = source is None or as_in_run(manifest, source) == manifest.source
    if seen:
        check_pictures(manifest, None if own else source)
    if source is None or own:
        return of_run(context, manifest, current_labels(context, manifest))
    images = other_images(context, manifest, source)
    if images.digest() == manifest.data_digest or not _transductive(context, manifest):
        labels = current_labels(context, manifest)
        return _of_run(context, labels, label_images(context, manifest, labels, source))
    return _by_themselves(context, manifest, images, seed)


def of_run(context: Context, manifest: Manifest, labels: Artifact) -> Clustered:
    """The run's images as they are now, by its current labels."""
    return _of_run(context, labels, label_present(context, manifest, labels))


def _of_run(context: Context, labels: Artifact, prediction: Prediction) -> Clustered:
    """Images by the run's labels, or by its clusters."""
    recipe, names, added = recipe_of(labels), current_names(context, labels), added_to(labels)
    if not (prediction.present.rows >= 0).any():
        way = "labelled by the run's clusters"
        return Clustered(prediction, names, _TSNE, None, way, added)
    points = labels.arrays.get("embedding")
    return Clustered(prediction, names, _note(recipe, points), points, added=added)


def _note(recipe: Recipe, points: NDArray[Any] | None) -> str:
    """How to read a map: of the two dimensions that were clustered, or of a t-SNE of all."""
    in_tsne = points is None or any(step.startswith("tsne") for step in recipe.reduction)
    return _TSNE if in_tsne else _CLUSTERED_SO


def _transductive(context: Context, manifest: Manifest) -> bool:
    """Whether a chain with t-SNE made the labels, which clusters other images by themselves."""
    return last_request(context.folder, manifest).recipe.transductive


def _by_themselves(
    context: Context, manifest: Manifest, images: Images, seed: int | None
) -> Clustered:
    """Other images by the network and chain that the run's labels were, or would be, made with."""
    check_alike(images, manifest)
    request = last_request(context.folder, manifest)
    recipe = request.recipe
    describe_images(context, images, recipe)
    epoch = epoch_for(context.folder, manifest, request)
    latents, _ = embed_alike(context, manifest, images, epoch)
    seed = request.seed if seed is None else seed
    with at(images.source.location):
        result = cluster_latents(latents, recipe, seed=seed, progress=context.step)
    context.progress("clustering", 1, 1)
    for line in result.substitutions:
        context.log(line)
    points = result.points if result.points.shape[1] == 2 else None
    prediction = Prediction(others(images), result.labels, result.confidence, latents)
    return Clustered(prediction, {}, _note(recipe, points), points, "clustered by themselves")


def title_of(shown: Clustered, labels: NDArray[np.int64] | None = None) -> str:
    """What stands above a picture of images, or of those with some of the labels."""
    every = len(shown.prediction.labels)
    labels = shown.prediction.labels if labels is None else labels
    some = f"{len(labels):,} of {_count(every, 'image')}"
    images = _count(every, "image") if len(labels) == every else some
    parts = [_count(len(in_use(labels)), "cluster")]
    if outliers := outlier_count(labels):
        parts.append(_count(outliers, "outlier"))
    ways = [*filter(None, (shown.way, shown.added))]
    return ", ".join([f"{images} in {' and '.join(parts)}", *ways])


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' * (n != 1)}"


def latents_of(context: Context, prediction: Prediction) -> NDArray[Any]:
    """Latents (n, d) of images, which may be memory-mapped."""
    rows = prediction.present.rows
    if prediction.latents is not None and not (rows >= 0).any():
        return prediction.latents
    kept = latents_behind(context, prediction.made_of)
    return joined(kept.arrays["latents"], prediction.latents, rows)


def joined(
    ours: NDArray[Any], of_new: NDArray[Any] | None, rows: NDArray[np.int64]
) -> NDArray[Any]:
    """What images have of whom some are rows of the run's, and others (-1) stand in their order."""
    if of_new is None and np.array_equal(rows, np.arange(len(ours))):
        return ours
    result = ours[rows]
    if of_new is not None:
        result[rows < 0] = of_new
    return result
