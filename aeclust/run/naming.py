"""Clusters are named: by hand or by a few known labels; and images by their cluster's name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.numbers import OUTLIER, outlier_count
from aeclust.clusters.scores import names_by
from aeclust.clusters.support import Support, doubtful_names, support_of
from aeclust.errors import InputError, at, listed
from aeclust.images import Source, truth
from aeclust.run.added import added_to
from aeclust.run.clusters import cluster_count, cluster_numbers, current_labels
from aeclust.run.context import Context
from aeclust.run.names import check_name, read_names, write_names
from aeclust.run.predict import (
    Prediction,
    check_confidence,
    label_images,
    label_present,
    log_added,
    log_verdict,
)


@dataclass(frozen=True)
class Votes:
    """The known images of a cluster.

    Attributes
    ----------
    known, agree : int
        How many there are, and how many have the label that names it.
    runner_up : str or None
        The label that most of the others have.
    against : int
        How many have that.
    doubt : float
        The chance that other names fit more of all images, see
        :class:`~aeclust.clusters.support.Support`; 1 without any known image.
    labels : dict of str to int
        How many have each label.
    """

    known: int
    agree: int
    runner_up: str | None
    against: int
    doubt: float
    labels: dict[str, int]


@dataclass(frozen=True)
class Cluster:
    """One cluster: its number, images, mean confidence in [0, 1], and name if it has one.

    Where known labels named it, also how its known images support that.
    """

    cluster: int
    size: int
    mean_confidence: float
    name: str | None
    votes: Votes | None = None


@dataclass(frozen=True)
class Named:
    """All clusters that have an image, and how many images are in none.

    Where known labels named them, how many of these there were, and how many agree; how many are
    of images in no cluster, which agree with none, and how many of images that are gone; and which
    names are in doubt. `added` is what people added to the labels, in words.
    """

    clusters: list[Cluster]
    outliers: int
    added: str
    known: int | None = None
    agree: int | None = None
    of_outliers: int | None = None
    of_gone: int | None = None
    warnings: list[str] = field(default_factory=list)


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
            "the clusters have changed since they were named, so the names are not used; name them"
            f" again with {context.folder.command('name 0=NAME')}"
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
    of its known images have, or none. Names that the known images leave in doubt are given all the
    same, and said.

    Parameters
    ----------
    context : Context
    location : str
        A CSV of ``id,label`` where a label may be any text, or whole numbers from any source.
    """
    manifest = context.folder.manifest()
    known, texts = truth.load_named(location)
    for remark in known.remarks:
        context.log(remark)
    with context.folder.lock():
        labels = current_labels(context, manifest)
        ours = label_present(context, manifest, labels)
        rows, classes = known.aligned(ours.ids, gone=ours.present.gone, former=ours.present.former)
        inside = ours.labels[rows] >= 0
        clusters, classes = ours.labels[rows][inside], classes[inside]
        if not len(clusters):
            what, mend = "names no cluster", "label images that are in one"
            expected = "known labels of images that are in a cluster"
            raise InputError(what, where=known.location, expected=expected, mend=mend)
        table = np.zeros((cluster_count(labels), len(texts)), np.int64)
        np.add.at(table, (clusters, classes), 1)
        matched = names_by(table)
        names = {cluster: texts[c] for cluster, c in enumerate(matched.tolist()) if c >= 0}
        with at(known.location):
            for name in names.values():
                check_name(name)
        named = _store(context, labels, names)
    support = support_of(table, matched, len(named.clusters))
    warnings = doubtful_names(support, matched, texts)
    if unknown := [j for j in cluster_numbers(labels) if j not in support]:
        these = f"{'cluster' if len(unknown) == 1 else 'clusters'} {listed(unknown)}"
        warnings.append(f"no name for {these}, where no image is known: label some of them")
    for warning in warnings:
        context.log(f"warning: {warning}")
    return dataclasses.replace(
        named,
        clusters=[
            dataclasses.replace(each, votes=_votes(support.get(each.cluster), table, each, texts))
            for each in named.clusters
        ],
        known=len(rows),
        agree=int((matched[clusters] == classes).sum()),
        of_outliers=len(rows) - len(clusters),
        of_gone=0 if known.files else len(known) - len(rows),
        warnings=warnings,
    )


def _votes(
    support: Support | None, table: NDArray[np.int64], cluster: Cluster, texts: Sequence[str]
) -> Votes:
    if support is None:
        return Votes(0, 0, None, 0, 1.0, {})
    return Votes(
        support.known,
        support.support,
        texts[support.runner_up] if support.against else None,
        support.against,
        round(support.doubt, 6),
        {text: n for text, n in zip(texts, table[cluster.cluster].tolist(), strict=True) if n},
    )


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
    return Named(clusters, outlier_count(labels.arrays["labels"]), added_to(labels))


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
    context: Context, source: Source | None = None, *, min_confidence: float | None = None
) -> tuple[Prediction, NDArray[np.str_]]:
    """Cluster numbers as in ``labels.h5``, and the name (n,) of each, which outliers alone lack."""
    check_confidence(min_confidence)
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
    prediction = label_images(context, manifest, labels, source).confident(min_confidence)
    log_verdict(context, labels, prediction, names)
    return prediction, name_column(names, prediction.labels)


def label_column(names: NDArray[np.str_], clusters: NDArray[np.int64]) -> NDArray[np.str_]:
    """Names (n,) in place of labels (n,), where outliers are -1 still."""
    return np.where(clusters == OUTLIER, str(OUTLIER), names)


def name_column(names: Mapping[int, str], clusters: NDArray[np.int64]) -> NDArray[np.str_]:
    """The name (n,) of every image by its cluster; empty where the cluster has none."""
    return np.array([names.get(cluster, "") for cluster in clusters.tolist()], dtype=np.str_)
