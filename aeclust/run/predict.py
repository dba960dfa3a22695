"""Labels to print: of the run's images, or of others by the vote of the nearest of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.neighbours import copies, label_others
from aeclust.clusters.scores import best_names
from aeclust.errors import InputError
from aeclust.images import Source, fingerprints, truth
from aeclust.images.truth import Labels
from aeclust.run.clusters import cluster_count, current_labels, log_epoch
from aeclust.run.context import Context
from aeclust.run.folder import Manifest, RunFolder
from aeclust.run.images import other_images
from aeclust.run.latents import embed_alike


@dataclass(frozen=True)
class Prediction:
    """Labels to print.

    Attributes
    ----------
    ids : ndarray of shape (n,)
        int64 or str.
    labels : ndarray of shape (n,)
        int64, 0 to k - 1.
    confidence : ndarray of shape (n,)
        float32 in [0, 1]: that of the clustering; for other images the share of their neighbours'
        votes, and for an exact duplicate of a training image the confidence of that image.
    """

    ids: NDArray[np.int64] | NDArray[np.str_]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]


def predict(
    context: Context,
    source: Source | None = None,
    *,
    invert: bool = False,
    val_images: Source | None = None,
    val_labels: str | None = None,
) -> Prediction:
    """Labels of the run's images, or of others by the vote of their nearest training latents.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Other images.
    invert : bool
        Swap the names that two clusters would have without it.
    val_images, val_labels : optional
        Labelled images that name the clusters by best matching; without `val_images` the labels
        are of the run's images. Not given, those of training are used where they fit k.

    Raises
    ------
    InputError
        If the request contradicts itself, or something it needs is missing.
    """
    manifest = context.folder.manifest()
    _check_request(context.folder, manifest, invert, val_images, val_labels)
    labels = current_labels(context, manifest)
    log_epoch(context, labels)
    k = cluster_count(labels)
    if invert and k != 2:
        raise InputError(
            f"there are {k} clusters to swap", where="`invert`", expected="2 clusters",
            mend="leave it out",
        )  # fmt: skip
    names = _names(context, manifest, labels, val_images, val_labels)
    if invert:
        names = names[::-1]
    raw = label_images(context, manifest, labels, source)
    return Prediction(raw.ids, names[raw.labels], raw.confidence)


def _check_request(
    folder: RunFolder,
    manifest: Manifest,
    invert: bool,
    val_images: Source | None,
    val_labels: str | None,
) -> None:
    if invert and val_labels is not None:
        raise InputError(
            "labels name the clusters already", where="`invert`", expected="one of the two",
            mend="leave out `invert` or `val_labels`",
        )  # fmt: skip
    if val_images is not None and val_labels is None:
        raise InputError(
            "there are images without labels", where="`val_images`",
            expected="`val_labels` beside it", mend="add it",
        )  # fmt: skip
    # before any work: without the validation files of training, clusters would have other names
    for place in (manifest.val_images, manifest.val_labels) if val_labels is None else ():
        if place is None or place.startswith("demo:") or os.path.exists(place):
            continue
        if not os.path.exists(place.partition("::")[0]):
            raise InputError(
                "is gone, and with it the names of the clusters",
                where=place,
                expected="the validation images and labels of aeclust train",
                mend="put it back, state others with `val_images` and `val_labels`, or name the"
                f" clusters with {folder.command('name')} and add --names",
            )


def _names(
    context: Context,
    manifest: Manifest,
    labels: Artifact,
    val_images: Source | None,
    val_labels: str | None,
) -> NDArray[np.int64]:
    """The number (k,) that each cluster is printed by."""
    k = cluster_count(labels)
    if val_labels is not None:
        return _names_by(context, manifest, labels, val_images, truth.load(val_labels))
    if manifest.val_images is None or manifest.val_labels is None:
        return np.arange(k)
    known = truth.load(manifest.val_labels)
    if known.values.min() < 0 or known.values.max() >= k:
        context.log(f"{known.location} has other labels than 0 to {k - 1}: no cluster is named")
        return np.arange(k)
    images = Source(location=manifest.val_images)
    return _names_by(context, manifest, labels, images, known)


def _names_by(
    context: Context, manifest: Manifest, labels: Artifact, val_images: Source | None, known: Labels
) -> NDArray[np.int64]:
    k = cluster_count(labels)
    raw = label_images(context, manifest, labels, val_images)
    rows, classes = known.aligned(raw.ids)
    if classes.min() < 0 or classes.max() >= k:
        raise InputError(
            f"holds label {classes.min() if classes.min() < 0 else classes.max()}",
            where=known.location,
            expected=f"0 to {k - 1} to name {k} clusters",
            mend="renumber the labels, or change `k`",
        )
    names = best_names(raw.labels[rows], classes, k)
    agree = float((names[raw.labels[rows]] == classes).mean())
    context.log(f"clusters are named by {len(rows)} known labels; {agree:.1%} of these agree")
    if (names != np.arange(k)).any():
        pairs = ", ".join(f"{new} is cluster {old}" for old, new in enumerate(names.tolist()))
        context.log(f"these are other numbers than in plots and aeclust name: {pairs}")
    return names


def label_images(
    context: Context, manifest: Manifest, labels: Artifact, source: Source | None
) -> Prediction:
    """Cluster numbers by the run's current labels, or of other images by their neighbours' vote."""
    images = None if source is None else other_images(context, manifest, source)
    if images is None or images.digest() == manifest.data_digest:
        arrays = labels.arrays
        ids = artifact.decode_ids(arrays["ids"])
        return Prediction(ids, arrays["labels"], arrays["confidence"])
    new = embed_alike(context, manifest, images, int(labels.details["epoch"]))
    latents = artifact.read(context.folder.latents_file, "latents", mapped=True)
    result, confidence = label_by_neighbours(images.pixels, new, latents, labels)
    return Prediction(images.ids, result, confidence)


def label_by_neighbours(
    pixels: NDArray[Any], new: NDArray[np.float32], latents: Artifact, labels: Artifact
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and confidence (m,) of other images, by the run's images whose latents are near.

    An exact duplicate of one of the run's images has the label and confidence of that image.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
    new : ndarray of shape (m, d)
        Their latents.
    latents, labels : Artifact
        Of the run.
    """
    known = labels.arrays
    result, confidence = label_others(
        new,
        latents.arrays["latents"],
        known["labels"],
        known["references"],
        cluster_count(labels),
        known.get("shares"),
    )
    rows = copies(fingerprints(pixels), latents.arrays["fingerprints"])
    copied = rows >= 0
    result[copied] = known["labels"][rows[copied]]
    confidence[copied] = known["confidence"][rows[copied]]
    return result, confidence
