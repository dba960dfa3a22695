"""Labels to print: of the run's images, or of others by the run's clusters."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.neighbours import copies
from aeclust.clusters.newcomers import label_new
from aeclust.clusters.numbers import OUTLIER, renumbered
from aeclust.clusters.scores import best_names, names_by
from aeclust.clusters.support import doubtful_names, support_of
from aeclust.errors import InputError
from aeclust.images import Images, Source, fingerprints, truth
from aeclust.images.truth import Labels
from aeclust.images.written import rounded
from aeclust.run.added import added_to
from aeclust.run.clusters import cluster_count, cluster_numbers, current_labels, log_epoch
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.images import as_in_run, check_alike, describe_images, other_images
from aeclust.run.latents import embed_alike
from aeclust.run.manifest import Manifest
from aeclust.run.present import Present, others, present_images
from aeclust.run.verdict import verdict


@dataclass(frozen=True)
class Prediction:
    """Images and their labels.

    Attributes
    ----------
    present : Present
        Which images they are.
    labels : ndarray of shape (n,)
        int64, 0 to k - 1, or -1 of outliers, which are in no cluster.
    confidence : ndarray of shape (n,)
        float32 in [0, 1]: that of the clustering; for other images see
        :func:`aeclust.clusters.newcomers.label_new`, and for an exact duplicate of a training
        image the confidence of that image.
    latents : ndarray of shape (m, d) or None
        Of those that are none of the run's.
    made_of : str
        SHA-256 of the latents that the labels are of; empty if they are of none of the run's.
    """

    present: Present
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]
    latents: NDArray[np.float32] | None = None
    made_of: str = ""

    @property
    def ids(self) -> NDArray[np.int64] | NDArray[np.str_]:
        """What the images (n,) are called: int64 or str."""
        return self.present.ids

    def confident(self, least: float | None) -> Prediction:
        """The same where images of less confidence are outliers; whatever it is, if None."""
        if least is None:
            return self
        unsure = rounded(self.confidence) < least  # as tables have it
        return dataclasses.replace(self, labels=np.where(unsure, OUTLIER, self.labels))


def check_confidence(least: float | None) -> None:
    """Refuse a least confidence that is none."""
    if least is not None and not 0 <= least <= 1:
        raise InputError(
            f"is {least}", where="`min_confidence`", expected="a number from 0 to 1",
            mend="for example 0.6",
        )  # fmt: skip


def predict(
    context: Context,
    source: Source | None = None,
    *,
    invert: bool = False,
    val_images: Source | None = None,
    val_labels: str | None = None,
    min_confidence: float | None = None,
) -> Prediction:
    """Labels of the run's images, or of others by the run's clusters.

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
    min_confidence : float, optional
        Images of less confidence are outliers, labelled -1.

    Raises
    ------
    InputError
        If the request contradicts itself, or something it needs is missing.
    """
    check_confidence(min_confidence)
    manifest = context.folder.manifest()
    _check_request(context.folder, manifest, invert, val_images, val_labels)
    labels = current_labels(context, manifest, look=source is None)
    log_epoch(context, labels)
    log_added(context, labels)
    used = cluster_numbers(labels)
    if invert and len(used) != 2:
        raise InputError(
            f"there are {len(used)} clusters to swap", where="`invert`", expected="2 clusters",
            mend="leave it out",
        )  # fmt: skip
    names = _names(context, manifest, labels, val_images, val_labels)
    if invert:
        names[used] = names[used[::-1]]
    raw = label_images(context, manifest, labels, source).confident(min_confidence)
    log_verdict(context, labels, raw, {})  # of clusters, by the numbers that all else calls them
    return dataclasses.replace(raw, labels=renumbered(raw.labels, names))


def log_verdict(
    context: Context, made: Artifact, shown: Prediction, names: Mapping[int, str]
) -> None:
    """Log how many labels of the run's images should hold, where that is known."""
    if (shown.present.rows >= 0).any():
        judged = verdict(
            context.folder, made, names, labels=shown.labels, confidence=shown.confidence
        )
        if judged.share is not None:
            context.log(f"{len(shown.ids):,} images labelled. {judged.sentence}")


def log_added(context: Context, labels: Artifact) -> None:
    """Log of labels what people added to them, if they did."""
    if added := added_to(labels):
        context.log(f"labels are {added}")


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
        context.log(
            f"{known.location} has other labels than 0 to {k - 1}: clusters keep their own numbers"
        )
        return np.arange(k)
    images = Source(location=manifest.val_images)
    return _names_by(context, manifest, labels, images, known)


def _names_by(
    context: Context, manifest: Manifest, labels: Artifact, val_images: Source | None, known: Labels
) -> NDArray[np.int64]:
    k = cluster_count(labels)
    raw = label_images(context, manifest, labels, val_images)
    rows, classes = known.aligned(raw.ids, gone=raw.present.gone, former=raw.present.former)
    if classes.min() < 0 or classes.max() >= k:
        raise InputError(
            f"holds label {classes.min() if classes.min() < 0 else classes.max()}",
            where=known.location,
            expected=f"0 to {k - 1} to name {k} clusters",
            mend="renumber the labels, or change `k`",
        )
    inside = raw.labels[rows] >= 0
    named = raw.labels[rows][inside], classes[inside]
    names = best_names(*named, k)
    agree = float((renumbered(raw.labels[rows], names) == classes).mean())
    context.log(
        f"clusters are numbered like {len(rows)} validation labels; {agree:.1%} of these agree"
    )
    table = np.zeros((k, k), np.int64)
    np.add.at(table, named, 1)
    support = support_of(table, names_by(table, names), len(cluster_numbers(labels)))
    for warning in doubtful_names(support, names, [*map(str, range(k))]):
        context.log(f"warning: {warning}")
    used = cluster_numbers(labels)
    if (names[used] != used).any():
        pairs = ", ".join(f"label {names[old]} is cluster {old}" for old in used)
        context.log(f"pictures and aeclust name have other numbers: {pairs} there")
    return names


def label_images(
    context: Context, manifest: Manifest, labels: Artifact, source: Source | None
) -> Prediction:
    """Cluster numbers by the run's current labels, or of other images by the run's clusters.

    The run's images are those that are there now, new ones among them.
    """
    if source is None or as_in_run(manifest, source) == manifest.source:
        return label_present(context, manifest, labels)
    images = other_images(context, manifest, source)
    known = labels.arrays
    if images.digest() == manifest.data_digest:
        present = Present(images.ids, np.arange(len(images)))
        made_of = labels.parents["latents"]
        return Prediction(present, known["labels"], known["confidence"], made_of=made_of)
    check_alike(images, manifest)
    describe_images(context, images, manifest.recipe)
    latents, found = _label(context, manifest, labels, images)
    return Prediction(others(images), *found, latents, labels.parents["latents"])


def label_present(context: Context, manifest: Manifest, labels: Artifact) -> Prediction:
    """Cluster numbers of the run's images as they are now."""
    present = present_images(context, manifest)
    rows, known, made_of = present.rows, labels.arrays, labels.parents["latents"]
    if present.whole:
        return Prediction(present, known["labels"], known["confidence"], made_of=made_of)
    # a row of -1 takes what stands last, until it is overwritten
    result, confidence, latents = known["labels"][rows], known["confidence"][rows], None
    if present.new is not None:
        latents, found = _label(context, manifest, labels, present.new)
        result[rows < 0], confidence[rows < 0] = found
    return Prediction(present, result, confidence, latents, made_of)


def _label(
    context: Context, manifest: Manifest, labels: Artifact, images: Images
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int64], NDArray[np.float32]]]:
    """Latents of images that are none of the run's, and their labels and confidences."""
    new, assigned = embed_alike(context, manifest, images, int(labels.details["epoch"]))
    latents = latents_behind(context, labels.parents["latents"])
    return new, label_by_run(images.pixels, new, assigned, latents, labels)


def latents_behind(context: Context, digest: str) -> Artifact:
    """The run's latents, if they are those that labels were made of.

    Raises
    ------
    InputError
        If another process has made others meanwhile.
    """
    latents = artifact.read(context.folder.latents_file, "latents", mapped=True)
    if latents.digest != digest:
        raise InputError(
            "the run has changed meanwhile",
            where=str(context.folder.path),
            expected="the latents that its labels were made of",
            mend="repeat the command",
        )
    return latents


def label_by_run(
    pixels: NDArray[Any],
    new: NDArray[np.float32],
    assigned: NDArray[np.float32] | None,
    latents: Artifact,
    labels: Artifact,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and confidence (m,) of other images, by the clusters of the run's images.

    An exact duplicate of one of the run's images has the label and confidence of that image.

    Parameters
    ----------
    pixels : ndarray of shape (m, h, w, c)
    new : ndarray of shape (m, d)
        Their latents.
    assigned : ndarray of shape (m, k) or None
        The network's own probabilities of its clusters, if it has learnt any.
    latents, labels : Artifact
        Of the run.
    """
    known, own = labels.arrays, None
    # what people changed counts where they did: for what is near
    if labels.details.get("by_network") and not added_to(labels):
        own = _own(assigned, latents.arrays.get("assignments"), cluster_count(labels))
    result, confidence = label_new(
        new,
        latents.arrays["latents"],
        known["labels"],
        known["references"],
        cluster_count(labels),
        known.get("shares"),
        own=own,
    )
    rows = copies(fingerprints(pixels), latents.arrays["fingerprints"])
    copied = rows >= 0
    result[copied] = known["labels"][rows[copied]]
    confidence[copied] = known["confidence"][rows[copied]]
    return result, confidence


def _own(
    theirs: NDArray[np.float32] | None, ours: NDArray[np.float32] | None, k: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """A network's probabilities for other images and for its own, if it has learnt k clusters."""
    if theirs is None or ours is None or not theirs.shape[1] == ours.shape[1] == k:
        return None
    return theirs, ours
