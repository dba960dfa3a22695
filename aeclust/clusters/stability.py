"""How far several clusterings of the same images agree, cluster by cluster and image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Doubles, Ints


@dataclass(frozen=True)
class Stability:
    """What becomes of the clusters of a first clustering in r - 1 others.

    Attributes
    ----------
    numbers : ndarray of shape (k,)
        Clusters of the first, ascending, without -1.
    aligned : ndarray of shape (r, n)
        int64; every clustering in the numbers of the first. What no cluster of it matches has
        numbers above them, and -1 stays -1.
    overlap : ndarray of shape (r - 1, k)
        The best Jaccard index of each cluster of the first with any of another: the images that
        both have, divided by those that either has.
    together : ndarray of shape (k,)
        The largest share of its images that one cluster of another has, which may have more beside
        them: the mean over the others.
    kept : ndarray of shape (n,)
        The share of the others in which an image is in its cluster of the first; what is in no
        cluster of the first, and in none there, counts as kept.
    ari : ndarray of shape (r, r)
        Adjusted Rand index of every two; images in no cluster count as one more cluster.
    """

    numbers: Ints
    aligned: Ints
    overlap: Doubles
    together: Doubles
    kept: Doubles
    ari: Doubles

    @property
    def clusters(self) -> Doubles:
        """Hennig's clusterwise stability (k,): the mean of the best Jaccard indices."""
        return np.asarray(self.overlap.mean(0), np.float64)


def stability(clusterings: Sequence[Ints]) -> Stability:
    """Compare clusterings (n,) of the same images, at least two, with the first of them.

    As many clusters are matched one to one, with the most images in common. Of more or fewer, each
    takes the number of the cluster of the first with which it has most images in common, so that
    parts of a cluster all are that cluster.
    """
    from sklearn.metrics import adjusted_rand_score

    first, *others = clusterings
    numbers = np.unique(first[first >= 0])
    aligned, overlap, together = [first], [], []
    for other in others:
        theirs = np.unique(other[other >= 0])
        table = _table(first, other, numbers, theirs)
        sizes = [(np.bincount(np.searchsorted(n, c[c >= 0]), minlength=len(n)))
                 for n, c in ((numbers, first), (theirs, other))]  # fmt: skip
        either = sizes[0][:, None] + sizes[1] - table
        overlap.append((table / either).max(1, initial=0.0))
        together.append((table / sizes[0][:, None]).max(1, initial=0.0))
        aligned.append(_renamed(other, theirs, _heirs(table, numbers)))
    r = len(clusterings)
    ari = np.eye(r)
    for i in range(r):
        for j in range(i):
            ari[i, j] = ari[j, i] = adjusted_rand_score(clusterings[i], clusterings[j])
    kept = np.mean([each == first for each in aligned[1:]], axis=0)
    mean = np.asarray(np.mean(together, axis=0), np.float64)
    return Stability(numbers, np.stack(aligned), np.stack(overlap), mean, kept, ari)


def _table(first: Ints, other: Ints, numbers: Ints, theirs: Ints) -> Ints:
    """Images (k, l) by their clusters in both."""
    both = (first >= 0) & (other >= 0)
    table = np.zeros((len(numbers), len(theirs)), np.int64)
    places = np.searchsorted(numbers, first[both]), np.searchsorted(theirs, other[both])
    np.add.at(table, places, 1)
    return table


def _heirs(table: Ints, numbers: Ints) -> Ints:
    """The number (l,) that each cluster of another clustering has in the first one."""
    from scipy.optimize import linear_sum_assignment

    k, count = table.shape
    beyond = int(numbers.max(initial=-1)) + 1
    heirs = beyond + np.arange(count)
    if k == count:
        rows, columns = linear_sum_assignment(table, maximize=True)
    else:
        rows, columns = table.argmax(0) if k else np.zeros(0, np.int64), np.arange(count * (k > 0))
    shared = table[rows, columns] > 0
    heirs[columns[shared]] = numbers[rows[shared]]
    return heirs


def _renamed(labels: Ints, numbers: Ints, names: Ints) -> Ints:
    renamed = np.full_like(labels, -1)
    inside = labels >= 0
    renamed[inside] = names[np.searchsorted(numbers, labels[inside])]
    return renamed
