"""Names of clusters: given by hand or taken from a few known labels, kept in ``names.json``.

Names belong to the numbers in the ``labels.h5`` that they were given for, and to no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust import disk
from aeclust.artifact import Artifact
from aeclust.clusters import scores as metrics
from aeclust.errors import InputError
from aeclust.images import Source
from aeclust.images import truth as labels
from aeclust.run.caches import Prediction, cluster_count, current_labels, label_images
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder

_FORMAT = 1
_MAX_BYTES = 1 << 24
MAX_LENGTH = 100


@dataclass(frozen=True)
class Names:
    """The content of ``names.json``.

    Attributes
    ----------
    labels : str
        SHA-256 of the labels that the names were given for.
    names : dict of int to str
        By cluster, ascending; clusters without a name are missing.
    """

    labels: str
    names: dict[int, str] = field(default_factory=dict)

    def stale(self, folder: RunFolder) -> str:
        """Why they do not name the clusters in a run's ``labels.h5``, or an empty text."""
        if not self.names:
            return ""
        if not folder.labels_file.exists():
            return "the labels are missing"
        now = artifacts.claimed_digest(folder.labels_file)
        return "" if now == self.labels else "the labels have changed"

    def to_json(self) -> dict[str, object]:
        """As ``names.json`` has it."""
        return {
            "format": _FORMAT,
            "labels": self.labels,
            "names": {str(cluster): name for cluster, name in sorted(self.names.items())},
        }


@dataclass(frozen=True)
class Cluster:
    """One cluster: its number, images, mean confidence in [0, 1], and name if it has one."""

    cluster: int
    size: int
    confidence: float
    name: str | None


@dataclass(frozen=True)
class Named:
    """All clusters; and, where known labels named them, how many of these there were and agree."""

    clusters: list[Cluster]
    known: int | None = None
    agree: int | None = None


def read_names(folder: RunFolder) -> Names | None:
    """What ``names.json`` says, stale or not; None if there is none.

    Raises
    ------
    InputError
        If it is damaged.
    """
    file = folder.names_file
    if not file.exists():
        return None
    try:
        with open(file, "rb") as handle:
            found = json.loads(handle.read(_MAX_BYTES))
        names = {int(cluster): str(name) for cluster, name in found["names"].items()}
        read = Names(str(found["labels"]), names)
        if read.to_json() != found:
            raise ValueError("not as it would be written")
        for name in names.values():
            check_name(name, "a name in it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError,
            InputError) as error:  # fmt: skip
        raise InputError(
            f"is damaged ({type(error).__name__}: {error})",
            where=str(file),
            expected="the file as aeclust name wrote it",
            mend="restore a copy, or delete it and name the clusters again",
        ) from error
    return read


def current_names(context: Context, artifact: Artifact) -> dict[int, str]:
    """Names of clusters in these labels, by number; those given for other labels are left out.

    Parameters
    ----------
    context : Context
        Told in one line if there are names, but for other labels.
    artifact : Artifact
        The run's labels, as :func:`aeclust.run.caches.current_labels` gives them.

    Raises
    ------
    InputError
        If ``names.json`` is damaged, or names a cluster that the labels do not have.
    """
    stored = read_names(context.folder)
    if stored is None or not stored.names:
        return {}
    if stored.labels != artifact.digest:
        context.say(
            "names are left out, because the labels have changed since;"
            f" name the clusters anew with {context.folder.command('name 0=NAME')}"
        )
        return {}
    _check_clusters(stored.names, cluster_count(artifact), str(context.folder.names_file))
    return stored.names


def check_name(name: str, where: str) -> None:
    """Refuse what is empty, cannot be printed on one line, or is longer than 100 characters."""
    if not (0 < len(name) <= MAX_LENGTH and name.isprintable() and name == name.strip()):
        raise InputError(
            f"the name is {name[: MAX_LENGTH + 1]!r}",
            where=where,
            expected=f"1 to {MAX_LENGTH} printable characters",
            mend="choose another",
        )


def _check_clusters(names: Mapping[int, str], k: int, where: str) -> None:
    beyond = next((cluster for cluster in names if not 0 <= cluster < k), None)
    if beyond is not None:
        raise InputError(
            f"there is no cluster {beyond}",
            where=where,
            expected=f"clusters 0 to {k - 1}",
            mend="aeclust name lists them",
        )


# -- naming ------------------------------------------------------------------------------------


def list_clusters(context: Context) -> Named:
    """All clusters of a run, whose labels are made if missing or stale."""
    artifact = current_labels(context, context.folder.manifest())
    return Named(_clusters(artifact, current_names(context, artifact)))


def give_names(context: Context, names: Mapping[int, str]) -> Named:
    """Change the names of some clusters; an empty one removes it.

    Raises
    ------
    InputError
        If there is no such cluster, or a name cannot be one.
    """
    for cluster, name in names.items():
        if name:
            check_name(name, f"cluster {cluster}")
    manifest = context.folder.manifest()
    with context.folder.lock():
        artifact = current_labels(context, manifest)
        _check_clusters(names, cluster_count(artifact), str(context.folder.labels_file))
        stored = read_names(context.folder)
        kept = stored.names if stored and stored.labels == artifact.digest else {}
        changed = {**kept, **names}
        return Named(_store(context, artifact, changed))


def clear_names(context: Context) -> Named:
    """Remove all names, stale and damaged ones too."""
    manifest = context.folder.manifest()
    with context.folder.lock():
        artifact = current_labels(context, manifest)
        return Named(_store(context, artifact, {}))


def names_by_labels(context: Context, known: str) -> Named:
    """Name clusters by the known labels of some images; what they had for names is forgotten.

    Clusters and known labels are matched one to one; a cluster left over takes the label that most
    of its known images have, or none.

    Parameters
    ----------
    context : Context
    known : str
        A CSV of ``id,label`` where a label may be any text, or whole numbers from any source.
    """
    manifest = context.folder.manifest()
    truth, texts = labels.load_named(known)
    with context.folder.lock():
        artifact = current_labels(context, manifest)
        rows, classes = truth.aligned(artifacts.decode_ids(artifact.arrays["ids"]))
        clusters = artifact.arrays["labels"][rows]
        matched = metrics.matched_classes(clusters, classes, cluster_count(artifact))
        names = {
            cluster: texts[found] for cluster, found in enumerate(matched.tolist()) if found >= 0
        }
        for name in names.values():
            check_name(name, truth.location)
        agree = int((matched[clusters] == classes).sum())
        return Named(_store(context, artifact, names), len(rows), agree)


def _store(context: Context, artifact: Artifact, names: Mapping[int, str]) -> list[Cluster]:
    kept = {cluster: name for cluster, name in names.items() if name}
    text = json.dumps(Names(artifact.digest, kept).to_json(), indent=2, ensure_ascii=False)
    disk.write_bytes(context.folder.names_file, f"{text}\n".encode())
    return _clusters(artifact, kept)


def _clusters(artifact: Artifact, names: Mapping[int, str]) -> list[Cluster]:
    values, k = artifact.arrays["labels"], cluster_count(artifact)
    sizes = np.bincount(values, minlength=k)
    sums = np.bincount(values, weights=artifact.arrays["confidence"], minlength=k)
    means = sums / np.maximum(sizes, 1)
    return [
        Cluster(cluster, int(sizes[cluster]), round(float(means[cluster]), 6), names.get(cluster))
        for cluster in range(k)
    ]


# -- predicting names --------------------------------------------------------------------------


def predict_names(
    context: Context, source: Source | None = None
) -> tuple[Prediction, NDArray[np.str_]]:
    """Cluster numbers as in ``labels.h5``, and the name (n,) of each.

    Parameters
    ----------
    context, source
        As for :func:`aeclust.run.caches.predict`.

    Raises
    ------
    InputError
        If a cluster has no name.
    """
    manifest = context.folder.manifest()
    artifact = current_labels(context, manifest)
    names = current_names(context, artifact)
    missing = [cluster for cluster in range(cluster_count(artifact)) if cluster not in names]
    if missing:
        raise InputError(
            f"cluster {missing[0]} has no name",
            where="--names",
            expected="a name for every cluster",
            mend=f"name it with {context.folder.command(f'name {missing[0]}=NAME')}",
        )
    found = label_images(context, manifest, artifact, source)
    return found, name_column(names, found.labels)


def name_column(names: Mapping[int, str], clusters: NDArray[np.int64]) -> NDArray[np.str_]:
    """The name (n,) of every image by its cluster; empty where the cluster has none."""
    return np.array([names.get(cluster, "") for cluster in clusters.tolist()], dtype=np.str_)
