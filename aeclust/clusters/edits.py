"""Clusters as people correct them: merged, split, images moved and taken out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.neighbours import NEIGHBOURS, neighbour_vote
from aeclust.clusters.numbers import OUTLIER
from aeclust.clusters.reduction import limited, reduce
from aeclust.recipe import Recipe

_ROUNDING = 1e-5  # of a sum of shares


class Partition:
    """Labels of images that are changed step by step; what was given stays as it is.

    Clusters keep their numbers, whatever becomes of the others. What a person says of an image is
    sure: it has a confidence of 1 from then on.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        int64, -1 of images in no cluster.
    confidence : ndarray of shape (n,)
        float32.
    shares : ndarray of shape (n, k), optional
        Probabilities of the clusters.
    """

    def __init__(self, labels: Ints, confidence: Floats, shares: Floats | None = None) -> None:
        self.labels, self.confidence = labels.copy(), confidence.copy()
        self._shares = None if shares is None else shares.copy()
        self._sums = None if shares is None else shares.sum(1)

    @property
    def numbers(self) -> list[int]:
        """Those of the clusters that have an image, ascending."""
        return np.flatnonzero(np.bincount(self.labels + 1)[1:]).tolist()

    def free(self, wanted: int | None = None, taken: Sequence[int] = ()) -> int:
        """A number for a new cluster: the one that is wanted, if it is free, or the lowest.

        Those of clusters are not free, nor others that are `taken`, nor any as large as n.
        """
        used = {*self.numbers, *taken}
        if wanted is not None and wanted < len(self.labels) and wanted not in used:
            return wanted
        return next(number for number in range(len(used) + 1) if number not in used)

    def merge(self, first: int, others: Sequence[int]) -> None:
        """Make several clusters one, which has the first number and all their shares."""
        joined = np.isin(self.labels, [first, *others])
        self.labels[joined] = first
        if self._shares is not None:
            self._shares[:, first] += self._shares[:, others].sum(1)
            self._shares[:, others] = 0
            self.confidence[joined] = np.minimum(self._shares[joined, first], 1)

    def move(self, rows: Ints, number: int) -> None:
        """Put images into a cluster, which may be a new one, or into none (-1)."""
        self._begin(number)
        self.labels[rows], self.confidence[rows] = number, 1
        if self._shares is not None:
            self._shares[rows] = 0
            if number != OUTLIER:
                self._shares[rows, number] = 1

    def split(self, parts: dict[int, Ints]) -> None:
        """Give parts of a cluster numbers of their own; its rows are those of all parts.

        Its share of every other image is divided by the sizes of the parts.
        """
        whole = np.concatenate(list(parts.values()))
        former = int(self.labels[whole[0]])
        for number in parts:
            self._begin(number)
        for number, rows in parts.items():
            self.labels[rows] = number
        if self._shares is None:
            return
        share = self._shares[:, former].copy()
        self._shares[:, former] = 0
        for number, rows in parts.items():
            self._shares[:, number] += share * (len(rows) / len(whole))
        for number in parts:
            self._shares[whole, number] = 0
        self._shares[whole, self.labels[whole]] = share[whole]

    def shares(self) -> Floats | None:
        """Probabilities (n, largest number + 1); numbers of no cluster have none of them."""
        if self._shares is None or self._sums is None:
            return None
        used = self.numbers
        shares = np.zeros((len(self.labels), max(used, default=0) + 1), np.float32)
        shares[:, used] = self._shares[:, used]
        left = shares.sum(1)
        lost = (left > 0) & (np.abs(left - self._sums) > _ROUNDING)
        shares[lost] *= (self._sums[lost] / left[lost])[:, np.newaxis]
        return shares

    def _begin(self, number: int) -> None:
        """Have a column for a number, in which there is nothing unless a cluster has it."""
        if self._shares is None or number == OUTLIER:
            return
        missing = number + 1 - self._shares.shape[1]
        if missing > 0:
            self._shares = np.pad(self._shares, ((0, 0), (0, missing)))
        elif number not in self.numbers:
            self._shares[:, number] = 0


def parted(
    latents: Array, rows: Ints, k: int, recipe: Recipe, *, points: Floats | None, seed: int
) -> Ints:
    """The part of some images, 0 to k - 1 by falling size, by k-means of several starts.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
        Of all images.
    rows : ndarray of shape (m,)
        The images to part.
    k : int
    recipe : Recipe
        By whose reduction, but for t-SNE, k-means sees the latents.
    points : ndarray of shape (n, e), optional
        What was clustered, and is taken instead.
    seed : int

    Returns
    -------
    ndarray of shape (m,)
        int64.

    Raises
    ------
    InputError
        If the images are too few or too many of them are the same.
    """
    if points is None:
        steps = [step for step in recipe.reduction if not step.startswith("tsne")]
        points = reduce(latents, limited(steps, latents.shape), seed=seed)
    return cluster(points[rows], k, "kmeans", seed=seed)


def completed(points: Array, parts: Ints) -> Ints:
    """The part (n,) of every point, where -1 is that of the nearest ones that have one.

    No more of them vote than the smallest part has.
    """
    known = parts != OUTLIER
    result, voters = parts.copy(), parts[known]
    if not known.all():
        sizes = np.bincount(voters)
        count = min(NEIGHBOURS, int(sizes[sizes > 0].min()))
        base, k = points[known], len(sizes)
        result[~known], _ = neighbour_vote(points[~known], base, voters, k, count=count)
    return result
