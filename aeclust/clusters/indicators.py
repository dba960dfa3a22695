"""What can be known without labels: how good a network is."""

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

_NEIGHBOURS = 10


def kmeans(points: Array, k: int, number: int) -> KMeans:
    """k-means of points (n, d), the best of three starts."""
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
        How well a k-means cluster, refined among ten neighbours, predicts a neighbour's, as a share
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
    models = [kmeans(part, k, seeds.number(seed, "indicators", i)) for i, part in enumerate(parts)]
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
