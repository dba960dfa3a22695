"""Images in two dimensions; those of the run are drawn once and kept in ``embedding.h5``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters import reduction
from aeclust.clusters.neighbours import place_by_neighbours
from aeclust.errors import BusyError, WriteError
from aeclust.run.clustered import Clustered, joined
from aeclust.run.context import Context
from aeclust.run.freshness import last_request
from aeclust.run.latents import current_latents
from aeclust.run.manifest import Manifest
from aeclust.run.predict import latents_behind


def in_two_dimensions(
    context: Context, manifest: Manifest, images: Clustered, seed: int | None = None
) -> NDArray[np.float32]:
    """Points (n, 2) of images; new ones stand among their neighbours of the run's."""
    rows, others = images.prediction.present.rows, images.prediction.latents
    ours = (rows >= 0).any()
    if others is not None and not ours:
        if images.points is not None:
            return images.points
        request = last_request(context.folder, manifest)
        return _draw(context, others, request.seed if seed is None else seed)[0]
    points = images.points
    if points is None:
        points = _current_embedding(context, manifest).arrays["embedding"]
    if others is not None:
        latents = latents_behind(context, images.prediction.made_of)
        others = place_by_neighbours(others, latents.arrays["latents"], points)
    return joined(points, others, rows)


def _current_embedding(context: Context, manifest: Manifest) -> Artifact:
    """The latents in two dimensions, drawn if missing or stale."""
    file = context.folder.embedding_file
    latents = current_latents(context, manifest, last_request(context.folder, manifest))
    if file.exists():
        kept = artifact.read(file, "embedding")
        if kept.parents.get("latents") == latents.digest:
            return kept
    context.log(f"placing {len(latents.arrays['latents']):,} images on a map (t-SNE)")
    points, remarks = _draw(context, latents.arrays["latents"], manifest.seed)
    drawn = Artifact(
        kind="embedding",
        arrays={"embedding": points, "ids": latents.arrays["ids"]},
        recipe=latents.recipe,
        seed=manifest.seed,
        parents={**latents.parents, "latents": latents.digest},
        details={**latents.details, **({"substitutions": remarks} if remarks else {})},
    )
    try:
        with context.folder.lock():
            return drawn.with_digest(artifact.write(file, drawn))
    except (BusyError, WriteError) as error:  # the picture may go elsewhere
        context.log(f"the map could not be saved: {error.where}: {error.what}")
        return drawn


def _draw(
    context: Context, latents: NDArray[Any], seed: int
) -> tuple[NDArray[np.float32], list[str]]:
    """Latents in two dimensions, and the steps that something else stood in for."""
    remarks: list[str] = []
    context.progress("t-SNE", 0, 0)
    points = reduction.picture(latents, seed=seed, note=remarks.append)
    context.progress("t-SNE", 1, 1)
    for line in remarks:
        context.log(line)
    return points, remarks
