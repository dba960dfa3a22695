"""What somebody knows of some images: their classes, and which of them belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count

import numpy as np

from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.clustering import Clustering
from aeclust.clusters.numbers import in_use, renumbered
from aeclust.errors import InputError
from aeclust.recipe import AUTO_K


def _no_pairs() -> Ints:
    return np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Known:
    """Known labels of n images.

    Attributes
    ----------
    classes : ndarray of shape (n,)
        int64, -1 for images that nobody knows, else 0 to c - 1; each of these has an image.
    same, different : ndarray of shape (q, 2) and (r, 2)
        int64, rows of two images that belong to one cluster, or to two.
    """

    classes: Ints
    same: Ints = field(default_factory=_no_pairs)
    different: Ints = field(default_factory=_no_pairs)

    @property
    def count(self) -> int:
        """The number c of classes."""
        return int(self.classes.max(initial=-1)) + 1

    @cached_property
    def parts(self) -> Ints:
        """A number (n,) for each image, equal ones for images that belong together by `same`."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        n, (a, b) = len(self.classes), self.same.T
        graph = coo_array((np.ones(len(a), bool), (a, b)), shape=(n, n))
        return np.asarray(connected_components(graph, directed=False)[1], np.int64)

    @cached_property
    def closed(self) -> Known:
        """The same, where all images know their class that belong together with one who does."""
        of_part = np.full(len(self.classes), -1)
        rows = np.flatnonzero(self.classes >= 0)
        of_part[self.parts[rows]] = self.classes[rows]
        return replace(self, classes=of_part[self.parts])

    def check(self, ids: Array | None = None) -> None:
        """Refuse what contradicts itself, with the ids (n,) of two images; rows without.

        Raises
        ------
        InputError
        """
        found = self._contradiction()
        if found is None:
            return
        *rows, what = found
        one, other = (str(row if ids is None else ids[row]) for row in rows)
        raise InputError(
            f"{one!r} and {other!r} {what}",
            expected="known labels and pairs that can all be true",
            mend="correct one of them",
        )

    def _contradiction(self) -> tuple[int, int, str] | None:
        """Two rows, and what is said of them that cannot be."""
        rows = np.flatnonzero(self.classes >= 0)
        rows = rows[np.lexsort((rows, self.classes[rows], self.parts[rows]))]
        one, other = rows[:-1], rows[1:]
        torn = self.parts[one] == self.parts[other]
        torn &= self.classes[one] != self.classes[other]
        if torn.any():
            i = int(torn.argmax())
            return int(one[i]), int(other[i]), "have different labels and are the same by the pairs"
        a, b = self.different.T
        joined = self.parts[a] == self.parts[b]
        if joined.any():
            i = int(joined.argmax())
            return int(a[i]), int(b[i]), "are both the same and different by the pairs"
        classes = self.closed.classes
        alike = (classes[a] >= 0) & (classes[a] == classes[b])
        if alike.any():
            i = int(alike.argmax())
            return int(a[i]), int(b[i]), "have one label and are different by a pair"
        return None


def check_classes(kinds: int, k: int) -> None:
    """Refuse more known classes than clusters, of which there are as many as needed with auto.

    Raises
    ------
    InputError
    """
    if k != AUTO_K and kinds > k:
        raise InputError(
            f"there are {kinds} kinds of known labels for {k} clusters",
            where="`known`",
            expected=f"at most {k}",
            mend=f"raise `k` to {kinds} or more",
        )


def numbers_of_classes(shares: Array, known: Known) -> Ints:
    """The new number (k,) of each cluster: that of the class whose images it holds, if any.

    Classes and clusters are matched one to one, so that the known images have the largest shares
    (n, k) of them; the other clusters fill the gaps in the order of before.
    """
    from scipy.optimize import linear_sum_assignment

    rows = np.flatnonzero(known.classes >= 0)
    table = np.zeros((known.count, shares.shape[1]))
    np.add.at(table, known.classes[rows], shares[rows])
    classes, clusters = linear_sum_assignment(table, maximize=True)
    taken = dict(zip(clusters.tolist(), classes.tolist(), strict=True))
    return numbers_around(taken, shares.shape[1])


def numbers_around(taken: Mapping[int, int], k: int) -> Ints:
    """The number (k,) of each of k clusters, of which some are taken; the others fill the gaps."""
    free = (number for number in count() if number not in set(taken.values()))
    return np.array([taken[j] if j in taken else next(free) for j in range(k)], np.int64)


def with_numbers(result: Clustering, numbers: Ints) -> Clustering:
    """The same clusters with other numbers (k,)."""
    columns = int(numbers.max()) + 1

    def moved(shares: Floats | None) -> Floats | None:
        if shares is None:
            return None
        wide = np.zeros((len(shares), columns), np.float32)
        wide[:, numbers] = shares
        return wide

    labels = renumbered(result.labels, numbers)
    posteriors, shares = moved(result.posteriors), moved(result.shares)
    return replace(result, labels=labels, posteriors=posteriors, shares=shares)


def without_empty(result: Clustering) -> Clustering:
    """The same where known labels have left a cluster no image, which is no cluster then."""
    used = in_use(result.labels)
    lost, last = result.k - len(used), used[-1] + 1
    if not lost:
        return result
    are = "1 cluster is" if lost == 1 else f"{lost} clusters are"
    note = f"{are} left without an image by the known labels"
    return replace(
        result,
        k=len(used),
        posteriors=None if result.posteriors is None else result.posteriors[:, :last],
        shares=None if result.shares is None else np.ascontiguousarray(result.shares[:, :last]),
        substitutions=(*result.substitutions, note),
    )
