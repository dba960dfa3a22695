"""The checkpoint curve of a run: measured when missing or stale, kept in ``curve.h5``."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clustering import Views
from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import INDICATORS, Indicators, indicate
from aeclust.clusters.neighbours import references
from aeclust.clusters.newcomers import label_new
from aeclust.clusters.scores import score
from aeclust.errors import BusyError, InputError, WriteError, at
from aeclust.images import Source, truth
from aeclust.network import inference
from aeclust.network.model import Autoencoder
from aeclust.recipe import Recipe
from aeclust.run.context import Context
from aeclust.run.encoders import run_features
from aeclust.run.folder import RunFolder
from aeclust.run.images import check_alike, other_images, run_images
from aeclust.run.latents import load_network
from aeclust.run.manifest import Manifest
from aeclust.run.present import present_images


@dataclass(frozen=True)
class Validation:
    """Labelled images: pixels (m, h, w, c), classes (m,) int64, and the SHA-256 of both."""

    pixels: NDArray[Any]
    classes: NDArray[np.int64]
    digest: str


def load_validation(
    context: Context, manifest: Manifest, val_images: Source | None, val_labels: str | None
) -> Validation | None:
    """Labelled images as asked for now or at training; None if there are none."""
    if val_images is None and val_labels is None and manifest.val_images is not None:
        val_images, val_labels = Source(location=manifest.val_images), manifest.val_labels
    if val_images is None and val_labels is None:
        return None
    if val_images is None or val_labels is None:
        raise InputError(
            "only one of the two is given",
            where="`val_images`, `val_labels`",
            expected="both",
            mend="add the other",
        )
    images = other_images(context, manifest, val_images)
    check_alike(images, manifest)
    rows, classes = truth.load(val_labels, texts=True).aligned(images.ids)
    decisive = hashlib.sha256(images.digest().encode())
    decisive.update(rows.astype("<i8").tobytes() + classes.astype("<i8").tobytes())
    return Validation(images.pixels[rows], classes, decisive.hexdigest())


def current_curve(
    context: Context, manifest: Manifest, *, seed: int, validation: Validation | None
) -> Curve:
    """Error, accuracy and indicators of every checkpoint, measured if missing or stale."""
    wanted = _request(context.folder, manifest, seed, validation)
    file = context.folder.curve_file
    present_images(context, manifest)
    if file.exists():
        kept = artifact.read(file, "curve")
        # older curves have which images, and not how many
        known = {"validated": wanted["validated"], **kept.details}
        if known == wanted and kept.parents.get("data") == manifest.data_digest:
            return _curve(kept, wanted["validated"])
        context.log("curve.h5 is out of date: measuring the checkpoints again")
    images = run_images(context, manifest)
    epochs = context.folder.checkpoints()

    def networks() -> Iterator[tuple[int, Autoencoder]]:
        for i, epoch in enumerate(epochs):
            context.progress("checkpoints", i, len(epochs))
            yield epoch, load_network(context, manifest, epoch)[0]
        context.progress("checkpoints", len(epochs), len(epochs))

    curve = checkpoint_curve(
        networks(),
        images.pixels,
        manifest.recipe,
        seed=seed,
        validation=None if validation is None else (validation.pixels, validation.classes),
        features=run_features(context, manifest, images) if manifest.recipe.encoder else None,
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(context.folder.lock())
        except (BusyError, WriteError) as error:
            # a run that still trains, or is only to be read: its numbers are for everybody
            context.log(f"the measurements could not be saved: {error.where}: {error.what}")
            return curve
        artifact.write(file, _artifact(manifest, curve, seed, wanted))
    return curve


def kept_curve(context: Context, manifest: Manifest) -> Curve | None:
    """The curve as it was last measured, if it is of these checkpoints."""
    file = context.folder.curve_file
    if not file.exists():
        return None
    kept = artifact.read(file, "curve")
    if stale_curve(context.folder, manifest, kept):
        return None
    return _curve(kept, kept.details.get("validated", 0))


def stale_curve(folder: RunFolder, manifest: Manifest, kept: Artifact) -> str:
    """Why a curve is stale, or an empty text."""
    same = kept.details.get("weights") == _weights(folder)
    same &= kept.details.get("run") == manifest.identity
    if same and kept.parents.get("data") != manifest.data_digest:
        return "the images have changed"
    return "" if same else "the checkpoints have changed"


def _request(
    folder: RunFolder, manifest: Manifest, seed: int, validation: Validation | None
) -> dict[str, Any]:
    return {
        "run": manifest.identity,
        "weights": _weights(folder),
        "seed": seed,
        "validation": "" if validation is None else validation.digest,
        "validated": 0 if validation is None else len(validation.classes),
    }


def _weights(folder: RunFolder) -> str:
    """One SHA-256 for all checkpoints and their epochs."""
    names = [
        f"{epoch} {artifact.claimed_digest(folder.weights_file(epoch))}\n"
        for epoch in folder.checkpoints()
    ]
    return hashlib.sha256("".join(names).encode()).hexdigest()


def _artifact(manifest: Manifest, curve: Curve, seed: int, details: dict[str, object]) -> Artifact:
    points = curve.points
    arrays: dict[str, NDArray[Any]] = {
        "epochs": np.array([p.epoch for p in points], np.int64),
        "errors": np.array([p.error for p in points]),
    }
    for name in INDICATORS:
        arrays[name] = np.array([getattr(p.indicators, name) for p in points], np.float64)
    if points[0].accuracy is not None:
        arrays["accuracies"] = np.array([p.accuracy for p in points], np.float64)
    return Artifact(
        kind="curve",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=seed,
        parents={"data": manifest.data_digest},
        details=details,
    )


def _curve(kept: Artifact, validated: int) -> Curve:
    columns = {name: values.tolist() for name, values in kept.arrays.items()}
    accuracies = columns.get("accuracies", [None] * len(columns["epochs"]))
    indicators = zip(*(columns[name] for name in INDICATORS), strict=True)
    rows = zip(columns["epochs"], columns["errors"], accuracies, indicators, strict=True)
    return summarise([Point(*row[:3], Indicators(*row[3])) for row in rows], validated)


# Images on which indicators are taken: a share of neighbours needs no more.
SAMPLE = 1_000


def checkpoint_curve(
    checkpoints: Iterable[tuple[int, Autoencoder]],
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    validation: tuple[NDArray[Any], NDArray[np.int64]] | None = None,
    features: NDArray[np.float32] | None = None,
) -> Curve:
    """Measure every checkpoint.

    Parameters
    ----------
    checkpoints : iterable of (int, Autoencoder)
        Epochs, ascending, and their networks.
    pixels : ndarray of shape (n, h, w, c)
        The training images.
    recipe : Recipe
        Its reduction and clusterer are applied to each checkpoint.
    seed : int
    validation : (ndarray of shape (m, h, w, c), ndarray of shape (m,)), optional
        Labelled images. Labels are used for the score alone.
    features : ndarray of shape (n, d), optional
        Of the training images, by a frozen encoder.
    """
    points: list[Point] = []
    sample = references(len(pixels), seed=seed, limit=SAMPLE, purpose="indicators")
    latents = np.empty((0, 0), np.float32)
    for epoch, network in checkpoints:
        if network.frozen and points:  # the latents, and so all but the error, are the same
            error = inference.mean_squared_error(network, pixels, latents)
            points.append(replace(points[-1], epoch=epoch, error=error))
            continue
        latents = inference.embed(network, pixels if features is None else features)
        views = inference.embed_views(network, pixels, seed=seed, rows=sample)
        accuracy = None
        if validation is not None:
            others = inference.embed(network, validation[0])
            known: dict[str, Any] = {}
            if not recipe.transductive:
                labelled = epoch > recipe.epochs
                if labelled:
                    known["assignments"] = inference.assign(network, latents)
                    known["assigned"] = inference.assign(network, others)
                if recipe.contrast or network.frozen:
                    known["views"] = Views(
                        *inference.random_views(network, pixels, seed=seed, labelled=labelled)
                    )
            clusters = cluster_validation(others, latents, recipe, seed=seed, **known)
            accuracy = score(clusters, validation[1]).accuracy
        error = inference.mean_squared_error(network, pixels, latents)
        indicators = indicate(latents[sample], views, recipe.k or 2, seed=seed)
        points.append(Point(epoch, error, accuracy, indicators))
    return summarise(points, 0 if validation is None else len(validation[1]))


def cluster_validation(
    others: NDArray[Any],
    training: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    assignments: NDArray[np.float32] | None = None,
    assigned: NDArray[np.float32] | None = None,
    views: Views | None = None,
) -> NDArray[np.int64]:
    """Clusters (m,) of images that were not trained on.

    A chain with t-SNE cannot place new points, so the others are clustered by themselves (the
    protocol of the report); any other chain clusters the training images, whose clusters label
    the others.

    Parameters
    ----------
    others : ndarray of shape (m, d)
        Latents.
    training : ndarray of shape (n, d)
        Latents of the training images.
    recipe : Recipe
    seed : int
    assignments : ndarray of shape (n, k), optional
        The network's own probabilities for the training images, if it labelled itself.
    assigned : ndarray of shape (m, k), optional
        The same for the others.
    views : Views, optional
        Of some of these, by the same network.
    """
    if recipe.transductive:
        with at("validation"):
            return cluster_latents(others, recipe, seed=seed).labels
    with at("training images"):
        known = cluster_latents(training, recipe, seed=seed, assignments=assignments, views=views)
    own = None
    if known.by_network and assigned is not None and assignments is not None:
        own = assigned, assignments
    base = training, known.labels, known.references, known.k, known.shares
    return label_new(others, *base, own=own)[0]
