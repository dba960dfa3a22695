"""Clusters where points lie close together, and outliers where they do not: HDBSCAN."""

from __future__ import annotations

import numpy as np

from aeclust.clusters import Array, Callback, Floats, Ints
from aeclust.clusters.clusterers import numbers_by_size
from aeclust.clusters.hush import hushed
from aeclust.clusters.neighbours import MAX_REFERENCES, label_others, references
from aeclust.clusters.numbers import OUTLIER, renumbered
from aeclust.clusters.reduction import check_spread
from aeclust.errors import InputError

FEWEST = 5  # points in a cluster, unless fewer are asked for
_PART = 100  # of the points, one in so many makes a cluster
_NEAR = 5  # points that say how close together they lie; more of them leave more outliers


def cluster_dense(
    points: Array, least: int, *, seed: int, note: Callback = lambda sentence: None
) -> tuple[Ints, Floats]:
    """Put points into as many clusters as there are dense regions, and the rest into none.

    HDBSCAN (Campello, Moulavi and Sander, "Density-based clustering based on hierarchical density
    estimates", 2013) by scikit-learn. Of more than 10,000 points so many random ones are clustered,
    and these vote on the others.

    Parameters
    ----------
    points : ndarray of shape (n, d)
    least : int
        Points in a cluster; 0 takes a hundredth of all, and 5 at least.
    seed : int
    note : callable
        Takes a sentence if only some of the points were clustered.

    Returns
    -------
    labels : ndarray of shape (n,)
        int64, 0 to k - 1, numbered by falling size, ties by first appearance; -1 of outliers.
    strengths : ndarray of shape (n,)
        float32 in [0, 1]: how deep in its cluster a point lies, 0 of an outlier; for points that
        were not clustered the share of the votes.

    Raises
    ------
    InputError
        If there is no dense region, or no second one.
    """
    from sklearn.cluster import HDBSCAN

    check_spread(points)
    n = len(points)
    rows = references(n, seed=seed, limit=MAX_REFERENCES)
    size = least or max(FEWEST, n // _PART)
    fewest = max(2, round(size * len(rows) / n))
    found = np.full(len(rows), OUTLIER)
    if 2 * fewest <= len(rows):
        with hushed():
            model = HDBSCAN(min_cluster_size=fewest, min_samples=min(_NEAR, fewest), copy=True)
            model.fit(np.asarray(points[rows], np.float64))
        found, strengths = model.labels_.astype(np.int64), model.probabilities_.astype(np.float32)
    k = int(found.max()) + 1
    if not k:
        raise InputError(
            "hdbscan finds no clusters, only outliers",
            expected=f"groups of {size} images or more that lie closer together than the rest",
            mend="lower `min_cluster_size`, or choose another `clusterer` or `reduction`",
        )
    labels = found
    if len(rows) < n:
        labels, votes = label_others(points, points[rows], found, np.arange(len(rows)), k)
        labels[rows], votes[rows] = found, strengths
        strengths = votes
        note(
            f"{len(rows):,} random images decide the clusters; the other {n - len(rows):,} follow"
            " their nearest neighbours"
        )
    return renumbered(labels, numbers_by_size(labels, k)), strengths
