"""What speaks for each number of clusters, and which it probably is; no labels are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import combinations
from math import sqrt

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Doubles, Ints
from aeclust.clusters.consensus import information, refine
from aeclust.clusters.indicators import kmeans
from aeclust.clusters.neighbours import neighbours

LARGEST_K = 20
_LEAST = 10  # points a cluster
_MOST, _SAMPLES = 2_000, 5
_NEIGHBOURS = 10
_AGREE = 0.5  # of halves, below which clusters are an accident of the images


@dataclass(frozen=True)
class Evidence:
    """What speaks for a number of clusters of k-means, each the mean over several samples.

    Attributes
    ----------
    silhouette : float
        How much nearer a point is to its own cluster than to the next, in [-1, 1] (Rousseeuw,
        1987); -1 for a sample in which a cluster was lost.
    half_agreement : float
        Adjusted Rand index between k-means of two halves, compared on both; at most 1.
    seed_agreement : float
        The same between k-means of different seeds and, of many points, different samples.
    information : float
        How well a cluster, refined among ten neighbours, predicts a neighbour's, as a share of
        log k, in [0, 1]; see :func:`aeclust.clusters.consensus.information`.
    score : float
        The silhouette, or 0 where that is negative or the half agreement is below one half.
    """

    silhouette: float
    half_agreement: float
    seed_agreement: float
    information: float
    score: float


@dataclass(frozen=True)
class EstimatedK:
    """How many clusters, and what speaks for every number that was tried, by ascending number."""

    k: int
    tried: dict[int, Evidence]

    def rows(self) -> list[dict[str, float]]:
        """The same as plain numbers, rounded to the precision of samples."""
        return [
            {"k": k, **{name: round(value, 4) for name, value in asdict(each).items()}}
            for k, each in self.tried.items()
        ]


def from_rows(rows: Iterable[Mapping[str, float]]) -> dict[int, Evidence]:
    """The inverse of :meth:`EstimatedK.rows`; a number that is missing is 0."""
    names = [each.name for each in fields(Evidence)]
    return {int(row["k"]): Evidence(*(float(row.get(n, 0)) for n in names)) for row in rows}


def estimate_k(points: Array, *, seed: int, largest: int | None = None) -> EstimatedK:
    """The smallest number of clusters that stand apart as well as any, if halves agree on them.

    k-means is scored by the mean silhouette (Rousseeuw, 1987) on several random samples, among the
    numbers on which clusterings of two halves agree at least half. The answer is the smallest one
    whose score lies within one standard error of the best. It finds groups that stand apart;
    classes that run into each other are counted together, and 2, the least there is to answer, is
    no evidence of groups. An answer of `largest` says that there may be more.

    Parameters
    ----------
    points : ndarray of shape (n, d)
        Reduced latents.
    seed : int
    largest : int, optional
        20 if None, and of few points as many as leave ten to a cluster.
    """
    points = np.asarray(points, np.float64)
    if largest is None:
        largest = min(LARGEST_K, max(2, len(points) // _LEAST))
    tried = range(2, min(largest, len(np.unique(points, axis=0)) - 1) + 1)
    if not tried:
        return EstimatedK(2, {})
    generator = seeds.stream(seed, "estimate")
    looks: list[list[_Look]] = []
    common = points
    for row in range(_SAMPLES):
        sample = points
        if len(points) > _MOST:
            sample = points[generator.choice(len(points), _MOST, replace=False)]
        common = sample if row == 0 else common
        halves = np.array_split(generator.permutation(len(sample)), 2)
        looks.append(_looks(sample, halves, common, tried, seed, row))
    found = {k: _evidence([each[i] for each in looks], k) for i, k in enumerate(tried)}
    scores = {k: each.score for k, each in found.items()}
    if not any(scores.values()):  # no halves agree: the silhouette alone is left
        scores = {k: each.silhouette for k, each in found.items()}
    best = max(scores, key=scores.__getitem__)
    seen = [each[tried.index(best)].silhouette for each in looks]
    error = float(np.std(seen, ddof=1)) / sqrt(_SAMPLES)
    best = next(k for k in tried if scores[k] >= scores[best] - error)
    return EstimatedK(best, found)


@dataclass(frozen=True)
class _Look:
    """k clusters of one sample: three numbers, the last in nats; and labels of common points."""

    silhouette: float
    half_agreement: float
    information: float
    labels: Ints


def _looks(
    sample: Doubles,
    halves: Sequence[Ints],
    common: Doubles,
    tried: Sequence[int],
    seed: int,
    row: int,
) -> list[_Look]:
    """What one sample shows of every number of clusters."""
    from sklearn.metrics import adjusted_rand_score, pairwise_distances, silhouette_score

    distances, near = pairwise_distances(sample), neighbours(sample, count=_NEIGHBOURS)
    looks = []
    for k in tried:
        numbers = [seeds.number(seed, "estimate", row, k, part) for part in range(3)]
        whole = kmeans(sample, k, numbers[0])
        labels = whole.labels_.astype(np.int64)
        silhouette, half_agreement = -1.0, 0.0
        if len(np.unique(labels)) == k:
            silhouette = float(silhouette_score(distances, labels, metric="precomputed"))
        if min(map(len, halves)) >= k:
            pairs = zip(halves, numbers[1:], strict=True)
            both = [kmeans(sample[half], k, number).predict(sample) for half, number in pairs]
            half_agreement = float(adjusted_rand_score(*both))
        known = information(refine(labels, near, k, seed=seed), near, k)
        looks.append(_Look(silhouette, half_agreement, known, whole.predict(common)))
    return looks


def _evidence(looks: Sequence[_Look], k: int) -> Evidence:
    """The means of several looks, and how far these agree with each other."""
    from sklearn.metrics import adjusted_rand_score

    agreements = [adjusted_rand_score(a.labels, b.labels) for a, b in combinations(looks, 2)]
    known = float(np.mean([look.information for look in looks])) / float(np.log(k))
    silhouette = float(np.mean([look.silhouette for look in looks]))
    half_agreement = float(np.mean([look.half_agreement for look in looks]))
    return Evidence(
        silhouette=silhouette,
        half_agreement=half_agreement,
        seed_agreement=float(np.mean(agreements)),
        information=min(1.0, max(0.0, known)),
        score=max(0.0, silhouette) if half_agreement >= _AGREE else 0.0,
    )
