"""What can be known without labels: the number of clusters, and how good a network is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.consensus import information, refine

_MOST, _SAMPLES = 2_000, 5
_LEAST = 10  # points a cluster
LARGEST_K = 15


@dataclass(frozen=True)
class EstimatedK:
    """How many clusters, and why.

    Attributes
    ----------
    k : int
    silhouettes : dict of int to float
        Mean silhouette of k-means for every number that was tried, in [-1, 1].
    """

    k: int
    silhouettes: dict[int, float]


def estimate_k(points: NDArray[Any], *, seed: int, largest: int | None = None) -> EstimatedK:
    """The smallest number of clusters that is as well separated as any.

    k-means is scored by the mean silhouette (Rousseeuw, 1987) for k from 2 to `largest`, on
    several random samples. The answer is the smallest k whose mean lies within one standard error
    of the best one's. It finds groups that stand apart; classes that run into each other are
    counted together, and 2, the least there is to answer, is no evidence of groups. An answer of
    `largest` says that there may be more.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Reduced latents.
    seed : int
    largest : int, optional
        15 if None, and of few points as many as leave ten to a cluster.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import silhouette_score

    generator = seeds.stream(seed, "estimate")
    different = len(np.unique(points, axis=0))
    if largest is None:
        largest = min(LARGEST_K, max(2, len(points) // _LEAST))
    tried = range(2, min(largest, different - 1) + 1)
    if not tried:
        return EstimatedK(2, {})
    scores = np.full((_SAMPLES, len(tried)), -1.0)
    for row in range(_SAMPLES):
        sample = np.asarray(points, np.float64)
        if len(points) > _MOST:
            sample = sample[generator.choice(len(points), _MOST, replace=False)]
        for column, k in enumerate(tried):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # too few different points
                number = seeds.number(seed, "estimate", row, k)
                labels = KMeans(k, n_init=3, random_state=number).fit_predict(sample)
            if len(np.unique(labels)) == k:
                scores[row, column] = silhouette_score(sample, labels)
    means = scores.mean(0)
    best = int(means.argmax())
    error = float(scores[:, best].std(ddof=1)) / _SAMPLES**0.5
    k = next(k for k, mean in zip(tried, means, strict=True) if mean >= means[best] - error)
    return EstimatedK(k, dict(zip(tried, means.tolist(), strict=True)))


@dataclass(frozen=True)
class Indicators:
    """What latents show without labels.

    Attributes
    ----------
    rank : float
        RankMe, the effective number of dimensions: the exponential of the entropy of the singular
        values' shares (Garrido et al., "RankMe", 2023, equation 3); 1 to d.
    view_neighbours : float
        Share of an image's ten nearest neighbours that a random view of it shares, in [0, 1].
    view_clusters : float
        Share of images whose random view falls into the same k-means cluster, in [0, 1].
    information : float
        What a k-means cluster, refined among ten neighbours, tells about a neighbour's, as a share
        of log k, in [0, 1] (:func:`aeclust.clusters.consensus.information`).
    half_agreement : float
        Adjusted Rand index between k-means on two halves of the images, compared on all.
    separation : float
        Share of the variance that lies between k-means clusters, in [0, 1].
    """

    rank: float
    view_neighbours: float
    view_clusters: float
    information: float
    half_agreement: float
    separation: float


INDICATORS = tuple(f.name for f in fields(Indicators))


def indicate(latents: NDArray[Any], views: NDArray[Any], k: int, *, seed: int) -> Indicators:
    """Indicators of latents.

    Parameters
    ----------
    latents, views : ndarray of shape (n, d)
        Of images, and of one random view of each; a single image agrees with itself.
    k : int
        Of k-means; half the number of images if that is less.
    seed : int
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.metrics import adjusted_rand_score

    if len(latents) < 2:
        return Indicators(1.0, 1.0, 1.0, 0.0, 1.0, 0.0)
    k = min(k, len(latents) // 2)
    latents, views = np.asarray(latents, np.float64), np.asarray(views, np.float64)
    centre = latents.mean(0)
    latents, views = latents - centre, views - centre
    order = seeds.stream(seed, "indicators").permutation(len(latents))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # collapsed latents have fewer clusters
        numbers = [seeds.number(seed, "indicators", i) for i in range(3)]
        whole = KMeans(k, n_init=3, random_state=numbers[0]).fit(latents)
        halves = [
            KMeans(k, n_init=3, random_state=number).fit(latents[part]).predict(latents)
            for number, part in zip(numbers[1:], np.array_split(order, 2), strict=True)
        ]
    near, seen = (_nearest(latents, queries) for queries in (latents, views))
    refined = refine(whole.labels_.astype(np.int64), near, k, seed=seed)
    total = float(np.square(latents).sum())
    return Indicators(
        rank=rank_me(latents),
        view_neighbours=_shared(near, seen),
        view_clusters=float((whole.predict(views) == whole.labels_).mean()),
        information=_share_of_log(information(refined, near, k), k),
        half_agreement=float(adjusted_rand_score(*halves)),
        separation=max(0.0, 1 - float(whole.inertia_) / total) if total else 0.0,
    )


def rank_me(latents: NDArray[Any]) -> float:
    """Effective rank of latents (n, d); 1 for latents without spread."""
    values = np.linalg.svd(latents, compute_uv=False)
    if values.sum() <= 0:
        return 1.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _share_of_log(told: float, k: int) -> float:
    """Information as a share of the most that k clusters can tell; one cluster tells nothing."""
    return min(1.0, max(0.0, told / float(np.log(k)))) if k > 1 else 0.0


def shared_neighbours(latents: NDArray[Any], views: NDArray[Any], count: int = 10) -> float:
    """Mean share of the nearest neighbours that an image and its view have in common."""
    return _shared(*(_nearest(latents, queries, count) for queries in (latents, views)))


def _nearest(latents: NDArray[Any], queries: NDArray[Any], count: int = 10) -> NDArray[np.int64]:
    """Rows (n, count) of the latents nearest to query i, without latent i itself."""
    from sklearn.neighbors import NearestNeighbors

    count = min(count, len(latents) - 1)
    index = NearestNeighbors(n_neighbors=count + 1).fit(latents)
    found = index.kneighbors(queries, return_distance=False)
    rows = [[row for row in own if row != i][:count] for i, own in enumerate(found.tolist())]
    return np.array(rows, np.int64)


def _shared(first: NDArray[np.int64], second: NDArray[np.int64]) -> float:
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) for a, b in pairs]) / first.shape[1])
