"""How far known images support the names of clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Ints
from aeclust.clusters.scores import names_by
from aeclust.errors import listed

# A name is in doubt where the known images leave another one a chance above this: 3 of 3 images do
# (1/16), 4 of 4 do not (1/32).
DOUBTFUL = 0.05
_MEND = "label more images to be sure"


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


def support_of(table: Ints, matched: Ints, count: int | None = None) -> dict[int, Support]:
    """How known images support the name of each cluster that has any.

    Parameters
    ----------
    table : ndarray of shape (k, c)
        Known images by cluster and class.
    matched : ndarray of shape (k,)
        The class of each cluster, see :func:`aeclust.clusters.scores.names_by`.
    count : int, optional
        How many clusters there are; k, if None.
    """
    names = matched[table.any(1)]
    # each class is a cluster: then a cluster of another class swaps with the one of that
    whole = len(names) == table.shape[1] == (len(table) if count is None else count)
    swapped = whole and len(np.unique(names)) == len(names)
    found = {}
    for part in _parts(table):
        for cluster in part:
            others = _others(table, matched, part, cluster)
            if swapped and others[cluster] < 0 and len(names) > 1:
                others = _swap(table, matched, cluster)
            found[cluster] = _support(table, matched, cluster, others)
    return dict(sorted(found.items()))


def _parts(table: Ints) -> list[list[int]]:
    """Clusters that have known images, together where a chain of classes links them."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    rows = np.flatnonzero(table.any(1))
    shared = table[rows] @ table[rows].T > 0
    _, part = connected_components(csr_array(shared), directed=False)
    return [rows[part == each].tolist() for each in np.unique(part)]


def _support(table: Ints, matched: Ints, cluster: int, others: dict[int, int]) -> Support:
    from scipy.special import betainc

    mine, row = int(matched[cluster]), table[cluster].copy()
    known, support = int(row.sum()), int(row[mine])
    row[mine] = 0
    against = int(row.max())
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


def _swap(table: Ints, matched: Ints, cluster: int) -> dict[int, int]:
    """The best exchange of a cluster's name with another one's."""
    rows = np.flatnonzero(table.any(1))
    loss = table[rows, matched[rows]] - table[rows, matched[cluster]]
    loss[rows == cluster] = loss.max() + 1
    other = int(rows[loss.argmin()])
    return {j: int(matched[i]) for j, i in sorted([(cluster, other), (other, cluster)])}


def doubtful_names(
    support: Mapping[int, Support],
    matched: Ints,
    texts: Sequence[str],
) -> list[str]:
    """Which names the known images leave in doubt, and why, a line for each reason.

    Parameters
    ----------
    support : mapping of int to Support
        Of every cluster that has known images.
    matched : ndarray of shape (k,)
        The label that names each cluster.
    texts : sequence of str
        What labels are.
    """
    doubtful = {j: each for j, each in support.items() if each.doubt > DOUBTFUL}
    few = [j for j, each in doubtful.items() if not each.otherwise]
    contested = {tuple(each.others.items()): each for j, each in doubtful.items() if j not in few}
    lines = []
    for others, each in contested.items():
        cluster, other = others[0]
        if len(others) > 1:
            named = " and ".join(f"{j} were {texts[c] if c >= 0 else 'none'}" for j, c in others)
            lines.append(
                f"the names of clusters {listed(j for j, _ in others)} are uncertain: {each.agree}"
                f" of their known images agree with them, and {each.otherwise} would if {named};"
                f" {_MEND}"
            )
            continue
        name, rival = texts[matched[cluster]], texts[other]
        owner = np.flatnonzero(matched == other)
        names = f", which names cluster {owner[0]}" if len(owner) else ""
        lines.append(
            f"the name {name} of cluster {cluster} is uncertain: {each.agree} of its known images"
            f" are {name}, and {each.otherwise} are {rival}{names}; {_MEND}"
        )
    if few:
        most = max(doubtful[j].support for j in few)
        images = "one known image" if most == 1 else f"no more than {most} known images"
        images += " each" * (len(few) > 1)
        whose = "name of cluster" if len(few) == 1 else "names of clusters"
        rests = "rests on" if len(few) == 1 else "rest on"
        lines.append(f"the {whose} {listed(few)} {rests} {images}; {_MEND}")
    return lines
