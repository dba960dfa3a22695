"""What speaks for each number of clusters: blobs, and numbers worked out by other means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score
from support import far_groups

from aeclust import seeds
from aeclust.clusters import evidence as module
from aeclust.clusters.evidence import EstimatedK, Evidence, estimate_k, from_rows

Array = NDArray[Any]


def blobs(k: int, *, seed: int, n: int = 80, apart: float = 12.0) -> tuple[Array, Array]:
    """Even groups of points around corners that are equally far from each other."""
    return far_groups(np.bincount(np.arange(n) % k).tolist(), seed=seed, d=k, apart=apart)


@pytest.mark.parametrize(("k", "seed"), [(2, 0), (5, 1)])
def test_blobs_are_counted(k: int, seed: int) -> None:
    points, _ = blobs(k, seed=seed, n=15 * k)
    result = estimate_k(points, seed=seed, largest=7)
    assert (result.k, list(result.tried)) == (k, [*range(2, 8)])
    found = result.tried[k]
    # k-means finds them whatever its seed and half, and no neighbour is of another blob
    assert (found.half_agreement, found.seed_agreement) == (1, 1)
    assert found.information == pytest.approx(1, abs=0.01)
    assert found.score == found.silhouette
    assert found.silhouette == max(each.silhouette for each in result.tried.values())


def test_the_same_seed_gives_the_same_numbers_as_scikit_learn() -> None:
    points, labels = blobs(3, seed=4)
    result = estimate_k(points, seed=4, largest=3)
    assert result == estimate_k(points, seed=4, largest=3)
    assert result.tried[3].silhouette == pytest.approx(silhouette_score(points, labels))
    numbers = [seeds.number(4, "estimate", row, 2, 0) for row in range(5)]
    models = [KMeans(2, n_init=3, random_state=number).fit(points) for number in numbers]
    scores = [silhouette_score(points, model.labels_) for model in models]
    assert result.tried[2].silhouette == pytest.approx(np.mean(scores))


def test_the_smallest_number_within_one_standard_error_on_which_halves_agree_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # five samples of 2 to 5 clusters; of 4 the mean is 0.6 and the standard deviation 0.1, so that
    # anything from 0.6 - 0.1 / sqrt(5) = 0.5553 on will do; 5 is better, but halves disagree
    best = 0.6 + 0.1 * np.array([-1, -1, 0, 1, 1])
    none = np.zeros(10, np.int64)
    for three, wanted in ((0.556, 3), (0.555, 4)):
        table = iter(
            [module._Look(s, a, 0.1, none) for s, a in zip(row, (1, 1, 1, 0.49), strict=True)]
            for row in ((0.5, three, four, 0.9) for four in best)
        )
        monkeypatch.setattr(module, "_looks", lambda *_, it=table: next(it))
        result = estimate_k(np.arange(10.0)[:, np.newaxis], seed=0, largest=5)
        assert result.k == wanted
        scores = [each.score for each in result.tried.values()]
        assert scores == pytest.approx([0.5, three, 0.6, 0])


def test_no_more_than_twenty_clusters_and_ten_points_to_each() -> None:
    for n, most in ((200, 20), (149, 14), (30, 3), (10, 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "_looks", lambda *a: [module._Look(0, 0, 0, a[0])] * len(a[3]))
            patch.setattr("sklearn.metrics.adjusted_rand_score", lambda *_: 0)
            points = np.arange(float(n))[:, np.newaxis]
            assert max(estimate_k(points, seed=0).tried) == most


@pytest.mark.parametrize(
    "points",
    [np.eye(2), np.ones((9, 3)), np.repeat(np.eye(2), 20, 0), np.ones((1, 4))],
    ids=["two points", "all the same", "two kinds of duplicates", "one point"],
)
def test_where_there_is_no_choice_the_answer_is_two(points: Array) -> None:
    assert estimate_k(points, seed=0) == EstimatedK(2, {})


def test_no_more_clusters_are_tried_than_leave_a_point_over() -> None:
    line = np.array([[0.0], [1.0], [10.0], [11.0], [11.0]])
    result = estimate_k(line, seed=0, largest=9)
    assert (list(result.tried), result.k) == ([2, 3], 2)
    # points that differ by rounding alone are not counted
    assert estimate_k(np.array([[0.0], [1e-20], [2e-20], [1.0], [1.0]]), seed=0).k == 2


def test_many_points_are_judged_by_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST", 40)
    points = np.zeros((90, 2))
    points[:5] = [[1, 2], [3, 4], [5, 6], [7, 8], [9, 10]]
    # samples hold about two of the five, so that not every number can be tried on them
    result = estimate_k(points, seed=0, largest=5)
    assert -1 <= result.tried[5].silhouette < 0
    seen, looks = [], module._looks

    def watched(*arguments: Any) -> Any:
        seen.append(arguments)
        return looks(*arguments)

    monkeypatch.setattr(module, "_looks", watched)
    points, _ = blobs(3, seed=0, n=90)
    assert estimate_k(points, seed=0, largest=3).k == 3
    samples = [{tuple(row) for row in sample} for sample, *_ in seen]
    assert len(samples) == len({frozenset(sample) for sample in samples}) == 5
    assert all(len(sample) == 40 and sample <= set(map(tuple, points)) for sample in samples)
    for sample, halves, common, *_ in seen:
        assert sorted(np.concatenate(halves)) == [*range(len(sample))]
        assert common is seen[0][0]


def test_rows_are_plain_numbers_and_back() -> None:
    estimate = EstimatedK(3, {3: Evidence(0.123456, 0.5, 1.0, 0.25, 0.0)})
    assert estimate.rows() == [
        {
            "k": 3,
            "silhouette": 0.1235,
            "half_agreement": 0.5,
            "seed_agreement": 1.0,
            "information": 0.25,
            "score": 0.0,
        }
    ]
    assert from_rows(estimate.rows()) == {3: Evidence(0.1235, 0.5, 1.0, 0.25, 0.0)}
    assert from_rows([{"k": 2, "silhouette": 1}]) == {2: Evidence(1, 0, 0, 0, 0)}
