"""Scores by hand, against every permutation, and under relabelling."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeclust.clusters.curve import rank_correlation
from aeclust.clusters.scores import best_names, names_by, score

# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)

Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]

# nine images: the table is [[3, 1, 0], [0, 2, 1], [0, 0, 2]]
CLUSTERS = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
CLASSES = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])


def table_of(clusters: NDArray[Any], classes: NDArray[Any], k: int) -> NDArray[np.int64]:
    """Images (k, c) by cluster and class."""
    table = np.zeros((k, int(classes.max()) + 1), np.int64)
    np.add.at(table, (clusters, classes), 1)
    return table


@st.composite
def pairs(draw: st.DrawFn, largest: int = 3) -> Pairs:
    rows = draw(st.lists(st.tuples(st.integers(0, largest), st.integers(0, largest)), min_size=1))
    clusters, classes = np.array(rows, np.int64).T
    return clusters, classes


def best_share(clusters: NDArray[Any], classes: NDArray[Any], k: int) -> float:
    """Accuracy under every one-to-one naming of k clusters; the best."""
    return max(
        float(np.mean(np.array(names)[clusters] == classes)) for names in permutations(range(k))
    )


def entropy(labels: list[Any]) -> float:
    shares = [labels.count(value) / len(labels) for value in set(labels)]
    return -sum(share * math.log(share) for share in shares)


def adjusted_rand(clusters: NDArray[Any], classes: NDArray[Any]) -> float:
    """Hubert and Arabie's index over all pairs of images, in a plain loop."""
    n = len(clusters)
    both = in_cluster = in_class = 0
    for i in range(n):
        for j in range(i):
            in_cluster += bool(clusters[i] == clusters[j])
            in_class += bool(classes[i] == classes[j])
            both += bool(clusters[i] == clusters[j] and classes[i] == classes[j])
    every = n * (n - 1) / 2
    chance = in_cluster * in_class / every if every else 0.0
    most = (in_cluster + in_class) / 2
    return 1.0 if most == chance else (both - chance) / (most - chance)


# -- scores ------------------------------------------------------------------------------------


def test_scores_by_hand() -> None:
    result = score(CLUSTERS, CLASSES)
    assert result.accuracy == pytest.approx(7 / 9)
    assert result.sizes == {0: 4, 1: 3, 2: 2}
    joint = entropy(list(zip(CLUSTERS.tolist(), CLASSES.tolist(), strict=True)))
    apart = entropy(CLUSTERS.tolist()) + entropy(CLASSES.tolist())
    assert result.nmi == pytest.approx(2 * (apart - joint) / apart)
    # pairs together: 10 in clusters, 9 in classes, 5 in both, of 36
    assert result.ari == pytest.approx((5 - 10 * 9 / 36) / ((10 + 9) / 2 - 10 * 9 / 36))


def test_accuracy_takes_the_best_matching_and_not_the_greedy_one() -> None:
    # table [[4, 3], [3, 0]]: greedy takes the 4 and then 0; crossed gives 3 + 3
    clusters, classes = np.array([0] * 7 + [1] * 3), np.array([0] * 4 + [1] * 3 + [0] * 3)
    assert score(clusters, classes).accuracy == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("clusters", "classes", "accuracy", "nmi", "ari"),
    [
        ([0], [5], 1.0, 1.0, 1.0),
        ([0, 0, 0], [4, 4, 4], 1.0, 1.0, 1.0),
        ([0, 1, 2], [2, 0, 1], 1.0, 1.0, 1.0),
        ([0, 0, 0, 0], [0, 0, 1, 1], 0.5, 0.0, 0.0),
        ([0, 1, 2, 3], [0, 0, 0, 0], 0.25, 0.0, 0.0),
        ([0, 0, 1, 1], [0, 1, 0, 1], 0.5, 0.0, -0.5),
        # as many classes as images bring no warning
        (list(range(40)), list(range(39, -1, -1)), 1.0, 1.0, 1.0),
    ],
)
def test_scores_of_degenerate_partitions(
    clusters: list[int], classes: list[int], accuracy: float, nmi: float, ari: float
) -> None:
    result = score(np.array(clusters), np.array(classes))
    assert result.accuracy == pytest.approx(accuracy)
    assert result.nmi == pytest.approx(nmi, abs=1e-12)
    assert result.ari == pytest.approx(ari)


@FEW
@given(pairs())
def test_scores_against_plain_loops(pair: Pairs) -> None:
    result = score(*pair)
    assert result.accuracy == pytest.approx(best_share(*pair, 4))
    assert result.ari == pytest.approx(adjusted_rand(*pair))
    assert sum(result.sizes.values()) == len(pair[0])
    assert 0 <= result.nmi <= 1


@FEW
@given(pairs(), st.permutations(range(4)), st.permutations(range(4)), st.integers(0, 2**20))
def test_scores_depend_neither_on_numbers_nor_on_order(
    pair: Pairs, rows: list[int], columns: list[int], seed: int
) -> None:
    order = np.random.default_rng(seed).permutation(len(pair[0]))
    clusters, classes = (values[order] for values in pair)
    # far apart and negative numbers are numbers as well
    renamed = np.array(rows)[clusters] * 1000 - 7, np.array(columns)[classes] + 2**40
    before, after = score(*pair), score(*renamed)
    assert after.accuracy == before.accuracy
    assert after.nmi == pytest.approx(before.nmi)
    assert after.ari == pytest.approx(before.ari)
    assert sorted(after.sizes.values()) == sorted(before.sizes.values())
    perfect = score(np.array(rows)[classes], classes)
    assert (perfect.accuracy, perfect.ari) == (1.0, 1.0)
    assert 1 - 1e-12 <= perfect.nmi <= 1.0


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clusters", "classes", "k", "names"),
    [
        # cluster 0 holds mostly class 1, cluster 1 class 2, cluster 2 class 0
        ([0, 0, 0, 1, 1, 2, 2], [1, 1, 0, 2, 2, 0, 0], 3, [1, 2, 0]),
        # what no label decides keeps its number
        ([], [], 4, [0, 1, 2, 3]),
        ([3], [3], 4, [0, 1, 2, 3]),
        ([0], [1], 4, [1, 0, 2, 3]),
        ([0, 1], [0, 0], 2, [0, 1]),
        ([0, 0], [0, 1], 2, [0, 1]),
    ],
)
def test_best_names_by_hand(
    clusters: list[int], classes: list[int], k: int, names: list[int]
) -> None:
    result = best_names(np.array(clusters, np.int64), np.array(classes, np.int64), k)
    assert result.dtype == np.int64
    assert result.tolist() == names


@FEW
@given(pairs())
def test_best_names_are_a_permutation_that_reaches_the_accuracy(pair: Pairs) -> None:
    clusters, classes = pair
    names = best_names(clusters, classes, 4)
    assert sorted(names.tolist()) == [0, 1, 2, 3]
    agree = float(np.mean(names[clusters] == classes))
    assert agree == pytest.approx(score(clusters, classes).accuracy)
    # among the best namings none keeps more numbers
    kept = max(
        sum(name == j for j, name in enumerate(other))
        for other in permutations(range(4))
        if np.mean(np.array(other)[clusters] == classes) == agree
    )
    assert int((names == np.arange(4)).sum()) == kept


@pytest.mark.parametrize(
    ("clusters", "classes", "k", "matched"),
    [
        ([0, 0, 0, 1, 1], [1, 1, 0, 0, 0], 2, [1, 0]),
        # the matching of all beats the majority of one
        ([0, 0, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0], 2, [1, 0]),
        # more clusters than classes: the majority, or nothing where none is known
        ([0, 0, 2, 2, 2], [0, 0, 0, 0, 1], 4, [0, -1, 1, -1]),
        ([0, 1, 1], [0, 0, 0], 2, [0, 0]),
        # more classes than clusters
        ([0, 0, 0], [4, 4, 2], 1, [4]),
        # a class that a cluster shares no image with is no match
        ([0, 0, 1], [2, 2, 2], 2, [2, 2]),
    ],
)
def test_names_by_known_images_by_hand(
    clusters: list[int], classes: list[int], k: int, matched: list[int]
) -> None:
    result = names_by(table_of(np.array(clusters), np.array(classes), k))
    assert result.dtype == np.int64
    assert result.tolist() == matched


@FEW
@given(pairs())
def test_names_by_known_images_agree_at_least_as_often_as_any_permutation(pair: Pairs) -> None:
    clusters, classes = pair
    matched = names_by(table_of(clusters, classes, 5))
    assert (matched[np.unique(clusters)] >= 0).all()
    assert matched[4] == -1
    agree = float(np.mean(matched[clusters] == classes))
    assert agree >= score(clusters, classes).accuracy - 1e-9


# -- curves ------------------------------------------------------------------------------------


def test_rank_correlation_by_hand() -> None:
    x = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    y = np.array([0.5, 0.9, 0.1, 0.3, 0.7])  # ranks 3, 5, 1, 2, 4: squares sum to 4+9+4+4+1
    assert rank_correlation(x, y) == pytest.approx(1 - 6 * 22 / (5 * 24))
    # ties share their mean rank: 1, 2.5, 2.5, 4 against 1, 2, 3, 4
    tied = rank_correlation(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 3]))
    assert tied == pytest.approx(4.5 / math.sqrt(4.5 * 5))


@pytest.mark.parametrize(
    ("x", "y"), [([], []), ([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [0, 0, 0])]
)
def test_rank_correlation_is_none_where_it_is_undefined(x: list[float], y: list[float]) -> None:
    assert rank_correlation(np.array(x), np.array(y)) is None


@FEW
@given(st.lists(st.integers(-50, 50), min_size=3, unique=True))
def test_rank_correlation_sees_only_the_order(values: list[int]) -> None:
    x = np.array(values, float)
    assert rank_correlation(x, x**3) == pytest.approx(1)
    assert rank_correlation(x, -np.arctan(x)) == pytest.approx(-1)
