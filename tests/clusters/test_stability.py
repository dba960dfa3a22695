"""Clusterings compared: by hand, against plain loops, and under relabelling."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from aeclust.clusters.crosstab import crosstab
from aeclust.clusters.stability import stability

FIRST = np.array([0, 0, 0, 0, 1, 1, 1, 4, 4, -1])


def test_stability_by_hand() -> None:
    # the same but for one image of 0 that is with 1, one of 4 in no cluster; and other numbers
    other = np.array([7, 7, 7, 2, 2, 2, 2, 5, -1, -1])
    coarse = np.array([3, 3, 3, 3, 3, 3, 3, 9, 9, 9])  # 0 and 1 together
    result = stability([FIRST, other, coarse])
    assert result.numbers.tolist() == [0, 1, 4]
    assert result.aligned.tolist() == [
        FIRST.tolist(), [0, 0, 0, 1, 1, 1, 1, 4, -1, -1], [0, 0, 0, 0, 0, 0, 0, 4, 4, 4],
    ]  # fmt: skip
    np.testing.assert_allclose(result.overlap, [[3 / 4, 3 / 4, 1 / 2], [4 / 7, 3 / 7, 2 / 3]])
    np.testing.assert_allclose(result.clusters, [37 / 56, 33 / 56, 7 / 12])
    np.testing.assert_allclose(result.together, [7 / 8, 1, 3 / 4])
    assert result.kept.tolist() == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 1, 0.5, 0.5]
    assert result.ari[0, 2] == result.ari[2, 0] == pytest.approx(adjusted_rand_score(FIRST, coarse))
    assert np.diag(result.ari).tolist() == [1, 1, 1]


def test_parts_of_a_cluster_are_that_cluster() -> None:
    result = stability([np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 2, 2])])
    assert result.aligned[1].tolist() == [0, 0, 0, 0, 1, 1]
    assert result.kept.tolist() == [1] * 6
    assert result.clusters.tolist() == [0.5, 1]


def test_a_clustering_without_any_cluster_is_compared() -> None:
    none, some = np.full(3, -1), np.array([0, 0, 1])
    assert stability([some, none]).clusters.tolist() == [0, 0]
    assert stability([none, some]).aligned.tolist() == [[-1] * 3, [0, 0, 1]]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-1, 3), st.integers(-1, 3)), min_size=1, max_size=20),
    st.permutations(range(4)),
)
def test_stability_against_plain_loops(rows: list[tuple[int, int]], names: list[int]) -> None:
    first, other = np.array(rows, np.int64).T
    result = stability([first, other])
    sets: Any = [
        {j: {i for i, c in enumerate(each.tolist()) if c == j} for j in set(each.tolist()) - {-1}}
        for each in (first, other)
    ]
    for j, share in zip(result.numbers.tolist(), result.clusters, strict=True):
        best = max((len(sets[0][j] & s) / len(sets[0][j] | s) for s in sets[1].values()), default=0)
        assert share == pytest.approx(best)
    if len(sets[0]) == len(sets[1]):
        kept = sum(a == b for a, b in zip(result.aligned[1], first, strict=True) if b >= 0)
        assert kept == max(
            sum(len(sets[0][a] & sets[1][b]) for a, b in zip(sets[0], order, strict=True))
            for order in permutations(sets[1])
        )
    renamed = np.where(other >= 0, np.array(names)[other] * 100, -1)
    again = stability([first, renamed])
    np.testing.assert_allclose(again.overlap, result.overlap)
    np.testing.assert_allclose(again.ari, result.ari)


def test_clusters_by_classes_by_hand() -> None:
    clusters = np.array([1, 1, 1, 0, 0, 0, 2, 2, 2, 2, -1])
    classes = np.array([5, 5, 5, 5, 8, 8, 6, 6, 6, 8, 6])
    table = crosstab(clusters, classes)
    assert table.clusters.tolist() == [0, 1, 2, -1]
    assert table.classes.tolist() == [8, 5, 6]  # as 0, 1 and 2 match them
    assert table.counts.tolist() == [[2, 1, 0], [0, 3, 0], [1, 0, 3], [0, 0, 1]]
    assert table.matched.tolist() == [0, 1, 2, -1]
    few = crosstab(np.array([0, 1, 1]), np.array([4, 4, 4]))
    assert (few.counts.tolist(), few.matched.tolist()) == ([[1], [2]], [-1, 0])
