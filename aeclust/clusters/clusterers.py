"""One clusterer on points: k-means, Gaussian mixtures, spectral and agglomerative clustering."""

from __future__ import annotations

from typing import Any

import numpy as np

from aeclust import memory, seeds
from aeclust.clusters import Array, Callback, Doubles, Ints
from aeclust.clusters.hush import hushed
from aeclust.clusters.neighbours import MAX_REFERENCES, neighbour_vote, references
from aeclust.clusters.reduction import check_spread
from aeclust.errors import InputError

# Points up to which each clusterer takes all of them.
MOST = {
    "kmeans": 100_000,
    "gmm": 100_000,
    "gmm-tied": 100_000,
    "spectral": MAX_REFERENCES,
    "agglomerative": MAX_REFERENCES,
}
_ROWS = 16_384  # of many points at a time, so that no step holds another copy of all


def cluster(
    points: Array,
    k: int,
    clusterer: str,
    *,
    seed: int,
    member: int = 0,
    note: Callback = lambda sentence: None,
) -> Ints:
    """Put points into k clusters.

    Parameters
    ----------
    points : ndarray of shape (n, d)
    k : int
        2 to n.
    clusterer : {"kmeans", "minibatch-kmeans", "gmm", "gmm-tied", "spectral", "agglomerative"}
        ``gmm`` is a Gaussian mixture with full covariances, ``gmm-tied`` one whose clusters share
        a covariance, ``spectral`` uses a graph of 10 neighbours, ``agglomerative`` is Ward's.
        Beyond 10,000 points the last two, beyond 100,000 all but ``minibatch-kmeans`` are fitted
        to so many random ones. The model labels the others, or their neighbours' vote.
    seed : int
    member : int
        Of an ensemble: members of different numbers draw different random numbers.
    note : callable
        Takes a sentence if only some of the points were clustered.

    Returns
    -------
    ndarray of shape (n,)
        int64, 0 to k - 1, numbered by falling size, ties by first appearance.

    Raises
    ------
    InputError
        If (different) points or memory are too few, or the clusterer fails on the points.
    """
    n, d = len(points), points.shape[1]
    check_count(n, k)
    check_spread(points)
    # a run of k different points settles it early; only degenerate data need the full count
    if len(np.unique(points[: 4 * k], axis=0)) < k:
        check_count(n, k, len(np.unique(points, axis=0)))
    rows = references(n, seed=seed, limit=max(2 * k, MOST.get(clusterer, n)))
    m = len(rows)
    needed = {"spectral": memory.spectral(m, d, k), "agglomerative": memory.agglomerative(m, d)}
    if clusterer in needed:
        what = f"{clusterer} clustering of {m} points"
        memory.check(needed[clusterer], what, "use `clusterer` kmeans")
    if k == n:  # the only way, which spectral and mini-batch clustering miss
        return np.arange(n)
    number = seeds.number(seed, "clusterer", member)
    model, labels = _fit(np.asarray(points[rows], np.float64), k, clusterer, number)
    if m < n:
        labels = _extend(model, labels, points, rows, k)
        by = "the fitted model" if hasattr(model, "predict") else "their nearest neighbours"
        note(f"{m:,} random images decide the clusters; the other {n - m:,} follow {by}")
    return numbers_by_size(labels, k)[labels]


def check_count(n: int, k: int, different: int | None = None, what: str = "points") -> None:
    """Refuse n images, of which so many (or so many of their points) are different, for k clusters.

    Raises
    ------
    InputError
    """
    if k > n:
        raise InputError(
            f"{n:,} images cannot form {k} clusters", expected=f"at most {n}", mend="lower `k`"
        )
    if different is not None and different < k:
        raise InputError(
            f"only {different} different {what} for {k} clusters",
            expected=f"at least {k} different ones",
            mend="lower `k`, or add other images",
        )


def numbers_by_size(labels: Ints, k: int) -> Ints:
    """The new number (k,) of each cluster: by falling size, ties by first appearance.

    Labels (n,) may be -1, which is no cluster.
    """
    sizes = np.bincount(labels[labels >= 0], minlength=k)
    first = np.array([np.argmax(labels == j) for j in range(k)])
    numbers = np.empty(k, np.int64)
    numbers[np.lexsort((first, -sizes))] = np.arange(k)
    return numbers


def _fit(points: Doubles, k: int, clusterer: str, number: int) -> tuple[Any, Ints]:
    """The fitted model of scikit-learn, and its labels of the points."""
    with hushed():
        model = _model(len(points), k, clusterer, number)
        try:
            labels = np.asarray(model.fit_predict(points), np.int64)
        except ValueError as error:  # scikit-learn's, of a Gaussian without volume
            raise InputError(
                f"{clusterer} cannot form {k} clusters of these points",
                expected="points that spread in every direction of their clusters",
                mend="use `clusterer` kmeans, or fewer dimensions by `reduction`",
            ) from error
    if len(np.unique(labels)) < k:
        raise InputError(
            f"{clusterer} found only {len(np.unique(labels))} of {k} clusters",
            expected="points that fall into as many groups",
            mend="lower `k` or choose another `clusterer`",
        )
    return model, labels


def _model(n: int, k: int, clusterer: str, number: int) -> Any:
    """An estimator of scikit-learn for n points."""
    from sklearn import cluster as sklearn_cluster
    from sklearn.mixture import GaussianMixture

    if clusterer == "kmeans":
        return sklearn_cluster.KMeans(k, n_init=10, random_state=number)
    if clusterer == "minibatch-kmeans":
        return sklearn_cluster.MiniBatchKMeans(k, n_init=10, random_state=number)
    if clusterer in ("gmm", "gmm-tied"):
        kind = "tied" if clusterer == "gmm-tied" else "full"
        return GaussianMixture(
            k, covariance_type=kind, n_init=3, reg_covar=1e-5, random_state=number
        )
    if clusterer == "spectral":
        return sklearn_cluster.SpectralClustering(
            k,
            # the default factorises the graph: 50 times slower where there are many points
            eigen_solver="lobpcg" if n > 500 else "arpack",
            affinity="nearest_neighbors",
            n_neighbors=min(10, n),
            assign_labels="cluster_qr",
            random_state=number,
        )
    return sklearn_cluster.AgglomerativeClustering(k)


def _extend(model: Any, labels: Ints, points: Array, rows: Ints, k: int) -> Ints:
    """Labels (n,) of all points by the model of some rows, or by the labels of these (r,)."""
    if hasattr(model, "predict"):
        starts = range(0, len(points), _ROWS)
        blocks = (np.asarray(points[first : first + _ROWS], np.float64) for first in starts)
        extended = np.concatenate([model.predict(block) for block in blocks]).astype(np.int64)
    else:
        extended, _ = neighbour_vote(points, points[rows], labels, k)
    extended[rows] = labels
    return extended
