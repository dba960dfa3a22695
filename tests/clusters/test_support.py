"""What known images say of names: a swap that two images decided, near ties, contradictions."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeclust.clusters.scores import names_by
from aeclust.clusters.support import DOUBTFUL, support_of

# 24 known images of three clusters (rows) and classes: 9 of the first two clusters' agree with
# the names 0 and 1, and 7 with these the other way round
TWO_IMAGES = np.array([[5, 3, 0], [4, 4, 0], [0, 0, 8]])


def test_a_swap_on_the_strength_of_two_images_is_seen() -> None:
    names = names_by(TWO_IMAGES)
    assert names.tolist() == [0, 1, 2]
    said = support_of(TWO_IMAGES, names)
    assert [(s.known, s.support, s.runner_up, s.against) for s in said.values()] == [
        (8, 5, 1, 3), (8, 4, 0, 4), (8, 8, -1, 0),
    ]  # fmt: skip
    for cluster in (0, 1):
        assert (said[cluster].agree, said[cluster].otherwise) == (9, 7)
        assert said[cluster].others == {0: 1, 1: 0}
        # 9 of 16: the chance of at most 7 heads among 17 tosses
        assert said[cluster].doubt == pytest.approx(41226 / 2**17)
        assert said[cluster].doubt > DOUBTFUL
    assert (said[2].agree, said[2].otherwise, said[2].others) == (12, 0, {1: 2, 2: 1})
    assert said[2].doubt == pytest.approx(2**-13)


@pytest.mark.parametrize(
    ("table", "cluster", "agree", "otherwise", "others"),
    [
        # all for one: four are enough, three are not
        ([[4, 0], [0, 3], [0, 0]], 0, 4, 0, {0: -1}),
        ([[4, 0, 0], [0, 3, 1]], 0, 4, 0, {0: -1}),
        ([[4, 0], [0, 3], [0, 0]], 1, 3, 0, {1: -1}),
        # with a cluster for each class, both would have to be wrong
        ([[2, 0], [0, 2]], 0, 4, 0, {0: 1, 1: 0}),
        ([[2, 0], [0, 1]], 1, 3, 0, {0: 1, 1: 0}),
        ([[2, 0, 0], [0, 9, 0], [1, 0, 2]], 0, 4, 1, {0: 2, 2: 0}),
        # most of cluster 0 is of the class that cluster 1 has more of
        ([[5, 4], [6, 0]], 0, 4, 5, {0: 0}),
        # a cluster left over has its own majority, which takes nothing from another
        ([[5], [4]], 0, 5, 0, {0: -1}),
        ([[9, 0], [0, 9], [4, 3]], 2, 4, 3, {2: 1}),
        # three in a ring
        ([[6, 5, 0], [0, 6, 5], [5, 0, 6]], 0, 18, 15, {0: 1, 1: 2, 2: 0}),
    ],
)
def test_support_by_hand(
    table: list[list[int]], cluster: int, agree: int, otherwise: int, others: dict[int, int]
) -> None:
    counts = np.array(table)
    said = support_of(counts, names_by(counts))[cluster]
    assert (said.agree, said.otherwise, said.others) == (agree, otherwise, others)
    doubtful = agree < 4 or otherwise > 0
    assert (said.doubt > DOUBTFUL) == doubtful


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=3, max_size=3))
def test_other_names_are_the_best_that_there_are(rows: list[list[int]]) -> None:
    table = np.array(rows)
    names = names_by(table)
    found = support_of(table, names)
    assert list(found) == np.flatnonzero(table.any(1)).tolist()
    for cluster, said in found.items():
        assert cluster in said.others
        assert said.known == table[cluster].sum()
        # no one-to-one naming in which this cluster has another class agrees better, unless its
        # images are all of one class: then no exchange of names does
        alone = said.against == 0
        whole = sum(int(table[i, names[i]]) for i in found)
        best = max(
            sum(int(table[i, other[i]]) for i in found)
            for other in permutations(range(3))
            if other[cluster] != names[cluster]
            and not (alone and sum(other[i] != names[i] for i in found) > 2)
        )
        assert whole - said.agree + said.otherwise >= best
