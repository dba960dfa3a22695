"""Images, the run's and others, with their clusters and in two dimensions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters import reduction
from aeclust.clusters.chain import cluster_latents
from aeclust.errors import at
from aeclust.images import Images
from aeclust.network import inference
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.folder import Manifest
from aeclust.run.freshness import epoch_for, last_request, recipe_of
from aeclust.run.images import check_channels, describe_images
from aeclust.run.latents import current_latents, embed_alike, load_network
from aeclust.run.names import current_names
from aeclust.run.predict import label_by_neighbours


@dataclass(frozen=True)
class Clustered:
    """Images with their clusters.

    Attributes
    ----------
    ids, labels, confidence : ndarray of shape (n,)
    names : mapping of int to str
        Of the run's clusters that have one; none where images were clustered by themselves.
    note : str
        How `points` came to be, or will.
    points : ndarray of shape (n, 2) or None
        What was clustered, if it has two dimensions.
    latents : ndarray of shape (n, d) or None
        Of other images than the run's, whose latents are in a file.
    way : str
        How other images got their clusters.
    """

    ids: NDArray[Any]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]
    names: Mapping[int, str]
    note: str
    points: NDArray[np.float32] | None
    latents: NDArray[np.float32] | None = None
    way: str = ""

    @property
    def titles(self) -> dict[int, str]:
        """What every cluster is called in a picture."""
        names, numbers = self.names, range(int(self.labels.max()) + 1)
        return {j: f"{j}: {names[j]}" if j in names else f"cluster {j}" for j in numbers}


def clustered(
    context: Context, manifest: Manifest, images: Images | None, seed: int | None
) -> Clustered:
    """Some images, the run's own if None, by what their clusters are now."""
    if images is None or images.digest() == manifest.data_digest:
        return of_run(context, current_labels(context, manifest))
    return _of_others(context, manifest, images, seed)


def of_run(context: Context, labels: Artifact) -> Clustered:
    """The run's images by its current labels."""
    recipe, arrays = recipe_of(labels), labels.arrays
    ids, names = artifact.decode_ids(arrays["ids"]), current_names(context, labels)
    steps, points = " > ".join(recipe.reduction), arrays.get("embedding")
    note = f"{steps}, as clustered"
    if points is None:
        note = f"t-SNE of the latents; clustered by {steps or 'latents'} > {recipe.clusterer}"
    return Clustered(ids, arrays["labels"], arrays["confidence"], names, note, points)


def _of_others(context: Context, manifest: Manifest, images: Images, seed: int | None) -> Clustered:
    """Other images by the network and chain that the run's labels were, or would be, made with.

    Training neighbours vote, but a chain with t-SNE clusters the images by themselves.
    """
    check_channels(images, manifest.shape[3])
    request = last_request(context.folder, manifest)
    recipe = request.recipe
    if not recipe.transductive:
        labels = current_labels(context, manifest)
        new = embed_alike(context, manifest, images, int(labels.details["epoch"]))
        known = artifact.read(context.folder.latents_file, "latents", mapped=True)
        votes = label_by_neighbours(images.pixels, new, known, labels)
        names, way = current_names(context, labels), "labelled by the vote of training neighbours"
        return Clustered(images.ids, *votes, names, f"t-SNE of the latents; {way}", None, new, way)
    describe_images(context, images, recipe)
    network, _ = load_network(context, manifest, epoch_for(context.folder, manifest, request))
    latents = inference.embed(
        network,
        images.pixels,
        progress=lambda done: context.progress("embed", done, len(images)),
    )
    seed = request.seed if seed is None else seed
    with at(images.source.location):
        result = cluster_latents(latents, recipe, seed=seed, progress=context.step)
    context.progress("clustering", 1, 1)
    for line in result.substitutions:
        context.log(line)
    points = result.points if result.points.shape[1] == 2 else None
    steps, way = " > ".join((*recipe.reduction, recipe.clusterer)), "clustered by themselves"
    note = f"latents embedded and {way} ({steps})"
    if points is None:
        note = f"t-SNE of the latents; {way} ({steps})"
    return Clustered(images.ids, result.labels, result.confidence, {}, note, points, latents, way)


def in_two_dimensions(
    context: Context, manifest: Manifest, images: Clustered, seed: int | None = None
) -> NDArray[np.float32]:
    """Points (n, 2) of images; those of the run are kept in ``embedding.h5``."""
    if images.points is not None:
        return images.points
    if images.latents is None:
        return _current_embedding(context, manifest).arrays["embedding"]
    request = last_request(context.folder, manifest)
    return _draw(context, images.latents, request.seed if seed is None else seed)[0]


def _current_embedding(context: Context, manifest: Manifest) -> Artifact:
    """The latents in two dimensions, drawn if missing or stale."""
    file = context.folder.embedding_file
    latents = current_latents(context, manifest, last_request(context.folder, manifest))
    if file.exists():
        kept = artifact.read(file, "embedding")
        if kept.parents.get("latents") == latents.digest:
            return kept
    context.log(f"drawing {len(latents.arrays['latents'])} latents by t-SNE")
    points, remarks = _draw(context, latents.arrays["latents"], manifest.seed)
    drawn = Artifact(
        kind="embedding",
        arrays={"embedding": points, "ids": latents.arrays["ids"]},
        recipe=latents.recipe,
        seed=manifest.seed,
        parents={**latents.parents, "latents": latents.digest},
        details={**latents.details, **({"substitutions": remarks} if remarks else {})},
    )
    with context.folder.lock():
        return drawn.with_digest(artifact.write(file, drawn))


def _draw(
    context: Context, latents: NDArray[Any], seed: int
) -> tuple[NDArray[np.float32], list[str]]:
    """Latents in two dimensions, and the steps that something else stood in for."""
    remarks: list[str] = []
    context.progress(f"t-SNE of {len(latents)} latents", 0, 0)
    points = reduction.picture(latents, seed=seed, note=remarks.append)
    context.progress("t-SNE", 1, 1)
    for line in remarks:
        context.log(line)
    return points, remarks
