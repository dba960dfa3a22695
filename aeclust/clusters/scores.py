"""How well clusters match true classes, and which cluster is which class.

scipy and scikit-learn are imported where they are used: most commands end without them, and loading
them takes longer than all that these functions do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Array, Ints
from aeclust.clusters.numbers import OUTLIER, outlier_count


@dataclass(frozen=True)
class Scores:
    """Agreement of a clustering with the truth.

    Attributes
    ----------
    accuracy : float
        Share of images whose cluster is matched with their class, under the best one-to-one
        matching of clusters and classes; in [0, 1]. Outliers are matched with no class.
    nmi : float
        Normalised mutual information (arithmetic mean), in [0, 1].
    ari : float
        Adjusted Rand index: 1 for equal partitions, 0 expected by chance.
    sizes : dict of int to int
        Images in each cluster.
    outliers : int
        Images in none, labelled -1. For `nmi` and `ari` they are one more group.
    """

    accuracy: float
    nmi: float
    ari: float
    sizes: dict[int, int]
    outliers: int = 0


def score(clusters: Array, classes: Array) -> Scores:
    """Score clusters (n,) against true classes (n,), whatever their numbers; n is at least 1."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
    from sklearn.metrics.cluster import contingency_matrix

    numbers, counts = np.unique(clusters, return_counts=True)
    inside = numbers != OUTLIER
    table = contingency_matrix(clusters, classes)[inside]
    rows, columns = linear_sum_assignment(table, maximize=True)
    return Scores(
        accuracy=float(table[rows, columns].sum() / len(clusters)),
        # rounding takes equal partitions a little above 1
        nmi=min(1.0, float(normalized_mutual_info_score(classes, clusters))),
        ari=float(adjusted_rand_score(classes, clusters)),
        sizes=dict(zip(numbers[inside].tolist(), counts[inside].tolist(), strict=True)),
        outliers=outlier_count(clusters),
    )


def best_names(clusters: Array, classes: Array, k: int) -> Ints:
    """The class (k,) that names each of k clusters, by the best one-to-one matching.

    It is a permutation of 0 to k - 1, as clusters (m,) and classes (m,) of labelled images are
    numbers in that range. What no label decides keeps its number where it can.
    """
    from scipy.optimize import linear_sum_assignment

    # a preference for the number itself, too weak to overrule any label
    table = np.eye(k) / (2 * k)
    np.add.at(table, (clusters, classes), 1)
    return np.asarray(linear_sum_assignment(table, maximize=True)[1], np.int64)


def names_by(table: Ints, like: Ints | None = None) -> Ints:
    """The class (k,) that names each cluster by some known images; classes may be more or fewer.

    Parameters
    ----------
    table : ndarray of shape (k, c)
        Known images by cluster and class.
    like : ndarray of shape (k,), optional
        Of equally good names take those most like these.

    Returns
    -------
    ndarray of shape (k,)
        By the best one-to-one matching. A cluster left over takes the class that most of its known
        images have, the smallest of several; -1 if none of its images is known.
    """
    from scipy.optimize import linear_sum_assignment

    matched = np.where(table.any(1), table.argmax(1), -1)
    values = table.astype(np.float64)
    if like is not None:  # a preference too weak to overrule any image
        values[np.arange(len(like)), like] += 1 / (2 * len(like))
    rows, columns = linear_sum_assignment(values, maximize=True)
    agreeing = table[rows, columns] > 0  # a pair that shares no image is no match
    matched[rows[agreeing]] = columns[agreeing]
    return matched
