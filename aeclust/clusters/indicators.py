"""What can be known without labels: the number of clusters, and how good a network is."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Ints
from aeclust.clusters.consensus import information, refine
from aeclust.clusters.hush import hushed
from aeclust.clusters.neighbours import neighbours

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

_MOST, _SAMPLES = 2_000, 5
_LEAST = 10  # points a cluster
LARGEST_K = 15
_NEIGHBOURS = 10


@dataclass(frozen=True)
class EstimatedK:
    """How many clusters, and the mean silhouette, in [-1, 1], of every number that was tried."""

    k: int
    silhouettes: dict[int, float]


def estimate_k(points: Array, *, seed: int, largest: int | None = None) -> EstimatedK:
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
            labels = _kmeans(sample, k, seeds.number(seed, "estimate", row, k)).labels_
            if len(np.unique(labels)) == k:
                scores[row, column] = silhouette_score(sample, labels)
    means = scores.mean(0)
    best = int(means.argmax())
    error = float(scores[:, best].std(ddof=1)) / _SAMPLES**0.5
    k = next(k for k, mean in zip(tried, means, strict=True) if mean >= means[best] - error)
    return EstimatedK(k, dict(zip(tried, means.tolist(), strict=True)))


def _kmeans(points: Array, k: int, number: int) -> KMeans:
    from sklearn.cluster import KMeans

    with hushed():  # too few different points
        return KMeans(k, n_init=3, random_state=number).fit(points)


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


def indicate(latents: Array, views: Array, k: int, *, seed: int) -> Indicators:
    """Indicators of latents.

    Parameters
    ----------
    latents, views : ndarray of shape (n, d)
        Of images, and of one random view of each; a single image agrees with itself.
    k : int
        Of k-means; half the number of images if that is less.
    seed : int
    """
    from sklearn.metrics import adjusted_rand_score

    if len(latents) < 2:
        return Indicators(1.0, 1.0, 1.0, 0.0, 1.0, 0.0)
    k = min(k, len(latents) // 2)
    latents, views = np.asarray(latents, np.float64), np.asarray(views, np.float64)
    centre = latents.mean(0)
    latents, views = latents - centre, views - centre
    order = seeds.stream(seed, "indicators").permutation(len(latents))
    parts = [latents, *(latents[rows] for rows in np.array_split(order, 2))]
    models = [_kmeans(part, k, seeds.number(seed, "indicators", i)) for i, part in enumerate(parts)]
    labels = models[0].labels_.astype(np.int64)
    near = neighbours(latents, count=_NEIGHBOURS)
    refined = refine(labels, near, k, seed=seed)
    known = information(refined, near, k) / float(np.log(k)) if k > 1 else 0.0
    total = float(np.square(latents).sum())
    return Indicators(
        rank=rank_me(latents),
        view_neighbours=_shared(near, neighbours(latents, views, _NEIGHBOURS)),
        view_clusters=float((models[0].predict(views) == labels).mean()),
        information=min(1.0, max(0.0, known)),
        half_agreement=float(adjusted_rand_score(*(half.predict(latents) for half in models[1:]))),
        separation=max(0.0, 1 - float(models[0].inertia_) / total) if total else 0.0,
    )


def rank_me(latents: Array) -> float:
    """Effective rank of latents (n, d); 1 for latents without spread."""
    values = np.linalg.svd(latents, compute_uv=False)
    if values.sum() <= 0:
        return 1.0
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def shared_neighbours(latents: Array, views: Array, count: int = _NEIGHBOURS) -> float:
    """Mean share of the nearest neighbours that an image and its view have in common."""
    return _shared(neighbours(latents, count=count), neighbours(latents, views, count))


def _shared(first: Ints, second: Ints) -> float:
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) for a, b in pairs]) / first.shape[1])
