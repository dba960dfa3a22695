"""Clusters are named: by hand or by a few known labels; and images by their cluster's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.numbers import OUTLIER, outlier_count
from aeclust.clusters.scores import matched_classes
from aeclust.errors import InputError, at, listed
from aeclust.images import Source, truth
from aeclust.run.clusters import cluster_count, cluster_numbers, current_labels
from aeclust.run.context import Context
from aeclust.run.names import check_name, read_names, write_names
from aeclust.run.predict import Prediction, label_images, label_present, log_added


@dataclass(frozen=True)
class Cluster:
    """One cluster: its number, images, mean confidence in [0, 1], and name if it has one."""

    cluster: int
    size: int
    confidence: float
    name: str | None


@dataclass(frozen=True)
class Named:
    """All clusters that have an image, and how many images are in none.

    Where known labels named them, how many of these there were, and how many agree.
    """

    clusters: list[Cluster]
    outliers: int
    known: int | None = None
    agree: int | None = None


def current_names(context: Context, labels: Artifact) -> dict[int, str]:
    """Names of clusters in these labels, by number.

    Names for other labels are left out, and so are those of clusters without an image: an edit
    that left a cluster empty may be undone.

    Raises
    ------
    InputError
        If ``names.json`` is damaged.
    """
    stored = read_names(context.folder)
    if stored is None or not stored.names:
        return {}
    if not stored.fit(labels):
        context.log(
            "names are left out, because the labels have changed since;"
            f" name the clusters anew with {context.folder.command('name 0=NAME')}"
        )
        return {}
    used = cluster_numbers(labels)
    return {cluster: name for cluster, name in stored.names.items() if cluster in used}


def _check_clusters(names: Mapping[int, str], used: list[int]) -> None:
    beyond = next((cluster for cluster in names if cluster not in used), None)
    if beyond is not None:
        whole = 0 < len(used) == used[-1] + 1
        there = f"clusters 0 to {used[-1]}" if whole else f"one of {listed(used, 'none at all')}"
        mend = "aeclust name lists them"
        raise InputError(f"there is no cluster {beyond}", expected=there, mend=mend)


# -- naming ------------------------------------------------------------------------------------


def list_clusters(context: Context) -> Named:
    """All clusters of a run, whose labels are made if missing or stale."""
    labels = current_labels(context, context.folder.manifest())
    return _named(labels, current_names(context, labels))


def give_names(context: Context, names: Mapping[int, str]) -> Named:
    """Change the names of some clusters; an empty one removes it."""
    for cluster, name in names.items():
        if name:
            with at(f"cluster {cluster}"):
                check_name(name)
    manifest = context.folder.manifest()
    with context.folder.lock():
        labels = current_labels(context, manifest)
        with at(context.folder.labels_file):
            _check_clusters(names, cluster_numbers(labels))
        stored = read_names(context.folder)
        kept = stored.names if stored and stored.fit(labels) else {}
        return _store(context, labels, {**kept, **names})


def clear_names(context: Context) -> Named:
    """Remove all names, stale and damaged ones too."""
    manifest = context.folder.manifest()
    with context.folder.lock():
        return _store(context, current_labels(context, manifest), {})


def names_by_labels(context: Context, location: str) -> Named:
    """Name clusters by the known labels of some images; former names are forgotten.

    Clusters and known labels are matched one to one; a cluster left over takes the label that most
    of its known images have, or none.

    Parameters
    ----------
    context : Context
    location : str
        A CSV of ``id,label`` where a label may be any text, or whole numbers from any source.
    """
    manifest = context.folder.manifest()
    known, texts = truth.load_named(location)
    with context.folder.lock():
        labels = current_labels(context, manifest)
        ours = label_present(context, manifest, labels)
        rows, classes = known.aligned(ours.ids, gone=ours.present.gone)
        total, inside = len(rows), ours.labels[rows] >= 0
        clusters, classes = ours.labels[rows][inside], classes[inside]
        if not len(clusters):
            what, mend = "names no cluster", "label images that are in one"
            expected = "known labels of images that are in a cluster"
            raise InputError(what, where=known.location, expected=expected, mend=mend)
        matched = matched_classes(clusters, classes, cluster_count(labels))
        names = {cluster: texts[c] for cluster, c in enumerate(matched.tolist()) if c >= 0}
        with at(known.location):
            for name in names.values():
                check_name(name)
        agree = int((matched[clusters] == classes).sum())
        return dataclasses.replace(_store(context, labels, names), known=total, agree=agree)


def _store(context: Context, labels: Artifact, names: Mapping[int, str]) -> Named:
    kept = {cluster: name for cluster, name in names.items() if name}
    write_names(context.folder, labels.digest, kept)
    return _named(labels, kept)


def _named(labels: Artifact, names: Mapping[int, str]) -> Named:
    sizes, means = sizes_and_confidences(labels)
    clusters = [
        Cluster(number, int(sizes[number]), round(float(means[number]), 6), names.get(number))
        for number in cluster_numbers(labels)
    ]
    return Named(clusters, outlier_count(labels.arrays["labels"]))


def sizes_and_confidences(labels: Artifact) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Images (k,) in the cluster of each number, and their mean confidence (k,); 0 without any."""
    inside, k = labels.arrays["labels"] >= 0, cluster_count(labels)
    values = labels.arrays["labels"][inside]
    confidence = labels.arrays["confidence"][inside].astype(np.float64)
    sizes = np.bincount(values, minlength=k)
    sums = np.bincount(values, confidence, minlength=k)
    return sizes, sums / np.maximum(sizes, 1)


# -- predicting names --------------------------------------------------------------------------


def predict_names(
    context: Context, source: Source | None = None
) -> tuple[Prediction, NDArray[np.str_]]:
    """Cluster numbers as in ``labels.h5``, and the name (n,) of each, which outliers alone lack."""
    manifest = context.folder.manifest()
    labels = current_labels(context, manifest)
    log_added(context, labels)
    names = current_names(context, labels)
    missing = [cluster for cluster in cluster_numbers(labels) if cluster not in names]
    if missing:
        raise InputError(
            f"cluster {missing[0]} has no name",
            where="`names`",
            expected="a name for every cluster",
            mend=f"name it with {context.folder.command(f'name {missing[0]}=NAME')}",
        )
    prediction = label_images(context, manifest, labels, source)
    return prediction, name_column(names, prediction.labels)


def label_column(names: NDArray[np.str_], clusters: NDArray[np.int64]) -> NDArray[np.str_]:
    """Names (n,) in place of labels (n,), where outliers are -1 still."""
    return np.where(clusters == OUTLIER, str(OUTLIER), names)


def name_column(names: Mapping[int, str], clusters: NDArray[np.int64]) -> NDArray[np.str_]:
    """The name (n,) of every image by its cluster; empty where the cluster has none."""
    return np.array([names.get(cluster, "") for cluster in clusters.tolist()], dtype=np.str_)
