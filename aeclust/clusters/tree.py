"""How clusters merge as their number falls: groups of groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Array, Doubles, Ints

_ROWS = 16_384  # of latents at a time


@dataclass(frozen=True)
class Merge:
    """Two groups that become one.

    Attributes
    ----------
    left, right : tuple of int
        The numbers of their clusters, ascending; `left` has the lowest one.
    kept : float
        The share of the variance between the clusters that is left between the groups, in
        [0, 1]; it never rises from one merge to the next.
    """

    left: tuple[int, ...]
    right: tuple[int, ...]
    kept: float


@dataclass(frozen=True)
class Tree:
    """Clusters that merge two by two until one is left.

    Attributes
    ----------
    sizes : dict of int to int
        How many images each cluster has, by ascending number; those without an image are none.
    merges : list of Merge
        The first two that merge, and so on: one less than clusters.
    """

    sizes: dict[int, int]
    merges: list[Merge]

    def groups(self, count: int) -> list[tuple[int, ...]]:
        """The clusters in so many groups, or in as many as there are, by their lowest number."""
        merged: set[tuple[int, ...]] = {(number,) for number in self.sizes}
        for merge in self.merges[: max(0, len(self.sizes) - count)]:
            merged -= {merge.left, merge.right}
            merged.add(tuple(sorted(merge.left + merge.right)))
        return sorted(merged)


def merge_tree(latents: Array, labels: Ints) -> Tree:
    """Merge the two groups that are nearest, until one is left.

    They are nearest by Ward's criterion ("Hierarchical grouping to optimize an objective function",
    1963) with the clusters as they are to begin with: two groups are the nearer the less variance
    between groups is lost when they become one. So clusters of any clusterer can be merged.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
        May be memory-mapped; some thousand rows are read at a time.
    labels : ndarray of shape (n,)
        Numbers of clusters, which may have gaps; -1 is none.
    """
    from scipy.spatial.distance import cdist

    numbers, counts = np.unique(labels[labels >= 0], return_counts=True)
    sizes = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    members, weights = [(number,) for number in sizes], counts.astype(np.float64)
    centres = _sums(latents, labels, numbers) / weights[:, np.newaxis]
    # what is lost when two groups become one
    losses = cdist(centres, centres, "sqeuclidean") / (1 / weights[:, np.newaxis] + 1 / weights)
    np.fill_diagonal(losses, np.inf)
    lost, pairs = [], []
    while len(members) > 1:
        into, gone = sorted(divmod(int(losses.argmin()), len(losses)))
        lost.append(float(losses[into, gone]))
        pairs.append((members[into], members[gone]))
        # Lance and Williams, "A general theory of classificatory sorting strategies" (1967)
        both = weights[[into, gone], np.newaxis] + weights
        row = (both * losses[[into, gone]]).sum(0) - weights * lost[-1]
        losses[into] = losses[:, into] = row / (both.sum(0) - weights)
        losses[into, into] = np.inf
        losses = np.delete(np.delete(losses, gone, 0), gone, 1)
        weights[into] += weights[gone]
        weights = np.delete(weights, gone)
        members[into] = tuple(sorted(members[into] + members.pop(gone)))
    # what the merges that are still to come will lose
    left = [sum(lost[i + 1 :]) / (sum(lost) or 1.0) for i in range(len(lost))]
    return Tree(sizes, [Merge(*pair, share) for pair, share in zip(pairs, left, strict=True)])


def _sums(latents: Array, labels: Ints, numbers: Ints) -> Doubles:
    """The sum (k, d) of the latents of each cluster."""
    sums = np.zeros((len(numbers), latents.shape[1]))
    for start in range(0, len(labels), _ROWS):
        part = labels[start : start + _ROWS]
        order = np.argsort(part, kind="stable")[np.count_nonzero(part < 0) :]
        there, firsts = np.unique(part[order], return_index=True)
        if len(there):
            block = np.asarray(latents[start : start + _ROWS], np.float64)[order]
            sums[np.searchsorted(numbers, there)] += np.add.reduceat(block, firsts)
    return sums
