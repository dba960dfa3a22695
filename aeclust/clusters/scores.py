"""Scores of a clustering, and of two curves against each other.

scipy and scikit-learn are imported where they are used: most commands end without them, and loading
them takes longer than all that these do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Scores:
    """Agreement of a clustering with the truth.

    Attributes
    ----------
    accuracy : float
        Share of images whose cluster is matched with their class, under the best one-to-one
        matching of clusters and classes; in [0, 1].
    nmi : float
        Normalised mutual information (arithmetic mean), in [0, 1].
    ari : float
        Adjusted Rand index: 1 for equal partitions, 0 expected by chance.
    sizes : dict of int to int
        Images in each cluster.
    """

    accuracy: float
    nmi: float
    ari: float
    sizes: dict[int, int]


def contingency(clusters: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Table of counts: rows the distinct clusters, columns the distinct classes, both ascending."""
    _, rows = np.unique(clusters, return_inverse=True)
    _, columns = np.unique(classes, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def score(clusters: NDArray[Any], classes: NDArray[Any]) -> Scores:
    """Score a clustering against true classes.

    Parameters
    ----------
    clusters, classes : ndarray of shape (n,)
        Integers; the numbers themselves do not matter. n is at least 1.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    table = contingency(clusters, classes)
    rows, columns = linear_sum_assignment(table, maximize=True)
    names, counts = np.unique(clusters, return_counts=True)
    return Scores(
        accuracy=float(table[rows, columns].sum() / len(clusters)),
        # rounding takes equal partitions a little above 1
        nmi=min(1.0, float(normalized_mutual_info_score(classes, clusters))),
        ari=float(adjusted_rand_score(classes, clusters)),
        sizes=dict(zip(names.tolist(), counts.tolist(), strict=True)),
    )


def best_names(clusters: NDArray[Any], classes: NDArray[Any], k: int) -> NDArray[np.int64]:
    """The class that names each of k clusters, by the best one-to-one matching.

    Parameters
    ----------
    clusters, classes : ndarray of shape (m,)
        Of labelled images, both in 0 to k - 1.
    k : int

    Returns
    -------
    ndarray of shape (k,)
        A permutation of 0 to k - 1; what no label decides keeps its own number where it can.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((k, k))
    np.add.at(table, (clusters, classes), 1.0)
    # a preference too weak to overrule any label
    rows, columns = linear_sum_assignment(table + np.eye(k) / (2 * k), maximize=True)
    names = np.empty(k, np.int64)
    names[rows] = columns
    return names


def matched_classes(clusters: NDArray[Any], classes: NDArray[Any], k: int) -> NDArray[np.int64]:
    """The class of each of k clusters by some known images; classes may be more or fewer.

    Parameters
    ----------
    clusters, classes : ndarray of shape (m,)
        Of the known images; clusters in 0 to k - 1, classes 0 or more. m is at least 1.
    k : int

    Returns
    -------
    ndarray of shape (k,)
        By the best one-to-one matching. A cluster left over takes the class that most of its known
        images have, the smallest of several; -1 if none of its images is known.
    """
    from scipy.optimize import linear_sum_assignment

    table = np.zeros((k, int(classes.max()) + 1), np.int64)
    np.add.at(table, (clusters, classes), 1)
    found = np.where(table.any(1), table.argmax(1), -1)
    rows, columns = linear_sum_assignment(table, maximize=True)
    agreeing = table[rows, columns] > 0  # a pair that shares no image is no match
    found[rows[agreeing]] = columns[agreeing]
    return found


def rank_correlation(x: NDArray[Any], y: NDArray[Any]) -> float | None:
    """Spearman's rho of two curves, or None where it is undefined (constant, or under 3 points)."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def largest_fall(values: NDArray[Any]) -> tuple[int, float] | None:
    """The index before the largest fall between neighbours, and its size; None if nothing falls."""
    if len(values) < 2:
        return None
    falls = values[:-1] - values[1:]
    at = int(np.argmax(falls))
    return (at, float(falls[at])) if falls[at] > 0 else None
