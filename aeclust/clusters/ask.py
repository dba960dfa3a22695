"""Which images are most worth labelling by a person."""

from __future__ import annotations

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.steer import standardised

_SIZES = 20  # dimensions in which images are spread
_SHARPNESS = 2.5  # of the weight of doubt: borders are asked about, and not only the worst images
_LEAST = 1e-9
_ROUNDS = 30


def worth_asking(
    latents: Array, labels: Ints, shares: Floats, *, count: int, seed: int, known: Array
) -> Ints:
    """Rows of the images to ask for, in the order in which to answer.

    First comes a typical image of each cluster that has no known one, so that it gets a name; at
    most half of the questions are these. All others weigh by their doubt, which is how little the
    likeliest cluster is ahead of the next. As many groups as there are questions left are made of
    them by weighted k-means, and in each group the image in the middle is asked for: it is
    doubtful, typical of others that are, and far from the other questions (compare Zhdanov,
    "Diverse mini-batch active learning", 2019). Groups of the largest weight come first.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    labels : ndarray of shape (n,)
        -1 for no cluster; such images are in full doubt.
    shares : ndarray of shape (n, k)
        How likely each image belongs to each cluster.
    count : int
        Of images to ask for; fewer where fewer are left.
    seed : int
    known : ndarray of shape (n,)
        bool, images that are not asked for.

    Returns
    -------
    ndarray of shape (count,)
        int64.
    """
    known, doubt, points = np.asarray(known, bool), _doubt(labels, shares), _spread(latents, seed)
    count = min(count, int((~known).sum()))
    typical = _typical(points, labels, doubt, known)[: (count + 1) // 2]
    left = ~known
    left[typical] = False
    rows = np.flatnonzero(left)
    count -= len(typical)
    if not count:
        return typical
    weights = doubt[rows] ** _SHARPNESS + _LEAST
    groups, gaps = _grouped(points[rows], weights, count, seed)
    weight = np.bincount(groups, weights, minlength=count)
    order = np.lexsort((gaps, groups))  # group after group, its middle first
    middles = order[np.unique(groups[order], return_index=True)[1]]
    middles = middles[np.argsort(-weight[groups[middles]], kind="stable")]
    # of equal images there are fewer groups than were asked for
    rest = np.setdiff1d(np.arange(len(rows)), middles)
    rest = rest[np.argsort(-weights[rest], kind="stable")]
    return np.concatenate([typical, rows[np.concatenate([middles, rest])[:count]]])


def _typical(points: Array, labels: Ints, doubt: Array, known: Array) -> Ints:
    """For each cluster without a known image the one of its surer half in the middle of that."""
    found = []
    for cluster in np.unique(labels[labels >= 0]).tolist():
        rows = np.flatnonzero(labels == cluster)
        if known[rows].any():
            continue
        rows = rows[np.argsort(doubt[rows], kind="stable")][: (len(rows) + 1) // 2]
        found.append(int(rows[((points[rows] - points[rows].mean(0)) ** 2).sum(1).argmin()]))
    return np.array(found, np.int64)


def _doubt(labels: Ints, shares: Floats) -> Array:
    """How far each image (n,) is from being sure of its cluster, in [0, 1]."""
    if shares.shape[1] < 2:
        return np.where(labels < 0, 1.0, 1.0 - shares[:, 0])
    first, second = -np.partition(-np.asarray(shares, np.float64), 1, axis=1)[:, :2].T
    return np.where(labels < 0, 1.0, 1.0 - (first - second))


def _spread(latents: Array, seed: int) -> Array:
    """The main directions (n, e) of latents (n, d)."""
    from sklearn.decomposition import PCA

    values = standardised(latents)
    size = min(_SIZES, *values.shape)
    number = seeds.number(seed, "ask", 0)
    return np.asarray(PCA(size, svd_solver="randomized", random_state=number).fit_transform(values))


def _grouped(points: Array, weights: Array, count: int, seed: int) -> tuple[Ints, Array]:
    """The group (n,) of each point, and its squared distance (n,) to the middle of the group."""
    from sklearn.cluster import KMeans

    from aeclust.clusters.hush import hushed

    number = seeds.number(seed, "ask", 1)
    with hushed():  # of equal points there are fewer groups
        model = KMeans(count, n_init=1, max_iter=_ROUNDS, random_state=number)
        groups = np.asarray(model.fit_predict(points, sample_weight=weights), np.int64)
    gaps = ((points - model.cluster_centers_[groups]) ** 2).sum(1)
    return groups, gaps
