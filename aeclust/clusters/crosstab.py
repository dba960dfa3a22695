"""Clusters by classes: how many images are in both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Array, Ints


@dataclass(frozen=True)
class Crosstab:
    """Images by cluster and class.

    Attributes
    ----------
    clusters : ndarray of shape (k,)
        Numbers, ascending; -1, which is no cluster, stands last.
    classes : ndarray of shape (c,)
        Those that the clusters match in the order of these, then the others, ascending.
    counts : ndarray of shape (k, c)
    matched : ndarray of shape (k,)
        The column of the class that matches each cluster one to one; -1 for none.
    """

    clusters: Ints
    classes: Ints
    counts: Ints
    matched: Ints


def crosstab(clusters: Array, classes: Array) -> Crosstab:
    """Clusters (n,) by classes (n,), matched as for the accuracy of :func:`scores.score`."""
    from scipy.optimize import linear_sum_assignment

    rows, row = np.unique(clusters, return_inverse=True)
    columns, column = np.unique(classes, return_inverse=True)
    counts = np.zeros((len(rows), len(columns)), np.int64)
    np.add.at(counts, (row, column), 1)
    order = np.argsort(rows < 0, kind="stable")
    rows, counts = rows[order], counts[order]
    inside = int((rows >= 0).sum())
    i, j = linear_sum_assignment(counts[:inside], maximize=True)
    shared = counts[i, j] > 0
    i, j = i[shared], j[shared]
    rest = np.setdiff1d(np.arange(len(columns)), j)
    matched = np.full(len(rows), -1)
    matched[i] = np.arange(len(i))
    order = np.concatenate([j, rest])
    return Crosstab(rows, columns[order], counts[:, order], matched)
