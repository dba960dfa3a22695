"""What known images say of the classes that name clusters, and how far to believe them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Ints
from aeclust.clusters.scores import names_by

# A name is in doubt where the known images leave another one a chance above this: 3 of 3 images do
# (1/16), 4 of 4 do not (1/32).
DOUBTFUL = 0.05


@dataclass(frozen=True)
class Support:
    """The known images of one cluster, and what they make of its name.

    Attributes
    ----------
    known, support : int
        Its known images, and those of the class that names it.
    runner_up, against : int
        The class that most of the others have, the smallest of several, and how many; -1 and 0
        without any.
    agree, otherwise : int
        Known images that agree with the names, and with the best other ones in which this cluster
        has another class or none: of the clusters whose names differ between the two.
    others : dict of int to int
        These other classes by cluster, -1 for none.
    doubt : float
        The chance that the other names fit more of all images, if nothing but `agree` and
        `otherwise` is known: that a share with a uniform prior is below a half.
    """

    known: int
    support: int
    runner_up: int
    against: int
    agree: int
    otherwise: int
    others: dict[int, int]
    doubt: float


def support_of(table: Ints, matched: Ints) -> dict[int, Support]:
    """What known images say of each cluster that has any.

    Parameters
    ----------
    table : ndarray of shape (k, c)
        Known images by cluster and class.
    matched : ndarray of shape (k,)
        The class of each cluster, see :func:`aeclust.clusters.scores.names_by`.
    """
    found = {}
    for part in _parts(table):
        for cluster in part:
            found[cluster] = _support(table, matched, part, cluster)
    return dict(sorted(found.items()))


def _parts(table: Ints) -> list[list[int]]:
    """Clusters that have known images, together where a chain of classes links them."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows = np.flatnonzero(table.any(1))
    shared = table[rows] @ table[rows].T > 0
    _, part = connected_components(csr_array(shared), directed=False)
    return [rows[part == each].tolist() for each in np.unique(part)]


def _support(table: Ints, matched: Ints, part: list[int], cluster: int) -> Support:
    from scipy.special import betainc

    mine, row = int(matched[cluster]), table[cluster].copy()
    known, support = int(row.sum()), int(row[mine])
    row[mine] = 0
    against = int(row.max())
    others = _others(table, matched, part, cluster)
    agree = sum(int(table[each, matched[each]]) for each in others)
    otherwise = sum(int(table[each, one]) for each, one in others.items() if one >= 0)
    return Support(
        known=known,
        support=support,
        runner_up=int(row.argmax()) if against else -1,
        against=against,
        agree=agree,
        otherwise=otherwise,
        others=others,
        doubt=float(betainc(agree + 1, otherwise + 1, 0.5)),
    )


def _others(table: Ints, matched: Ints, part: list[int], cluster: int) -> dict[int, int]:
    """The best names of some clusters without the one of this cluster, where they differ."""
    names, row = matched[part], part.index(cluster)
    values = table[part].copy()
    values[row, names[row]] = 0
    other = names_by(values, like=names)
    return {part[i]: int(other[i]) for i in np.flatnonzero(other != names).tolist()}
