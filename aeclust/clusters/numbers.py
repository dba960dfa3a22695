"""Numbers of clusters, of which some may be in no use; and -1, the label of what is in none."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeclust.clusters import Array, Ints
from aeclust.errors import printable

OUTLIER = -1
OUTLIERS = "outliers"


def in_use(labels: Array) -> list[int]:
    """The numbers of the clusters that have an image, ascending; labels are of shape (n,).

    >>> in_use(np.array([3, 0, -1, 3]))
    [0, 3]
    """
    return [number for number in np.unique(labels).tolist() if number != OUTLIER]


def titled(cluster: int, names: Mapping[int, str]) -> str:
    """What a cluster is called in pictures and tables: its number with its name, if it has one.

    >>> titled(3, {3: "sea"}), titled(0, {}), titled(-1, {})
    ('3: sea', 'cluster 0', 'outliers')
    """
    if cluster == OUTLIER:
        return OUTLIERS
    return printable(f"{cluster}: {names[cluster]}") if names.get(cluster) else f"cluster {cluster}"


def outlier_count(labels: Array) -> int:
    """How many images are in no cluster."""
    return int(np.count_nonzero(labels == OUTLIER))


def renumbered(labels: Ints, numbers: Array) -> Ints:
    """Labels (n,) by the new number (k,) of each cluster; outliers stay outliers.

    >>> renumbered(np.array([1, -1, 0]), np.array([4, 2]))
    array([ 2, -1,  4])
    """
    return np.append(numbers, OUTLIER).astype(np.int64)[labels]
