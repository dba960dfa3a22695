"""The nearest points against a plain loop, and outlier factors by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aeclust.clusters.nearest import far_out, nearest, odd_looks, outlier_factors


@pytest.mark.parametrize(("n", "count"), [(5, 3), (5, 9), (2_100, 12)])
@pytest.mark.parametrize("away", [0.0, 1_000.0])
def test_none_is_missed_wherever_the_points_lie(n: int, count: int, away: float) -> None:
    rng = np.random.default_rng(0)
    base = (away + rng.normal(size=(n, 6))).astype(np.float32)
    base[3] = base[1]
    queries = np.concatenate([base[:4], base[:2] + np.float32(0.5)])
    itself = np.array([0, 1, 2, 3, -1, -1])
    rows, distances = nearest(queries, base, count, exclude=itself)
    assert rows.shape == (6, min(count, n - 1))
    for query, own, row, distance in zip(queries, itself, rows, distances, strict=True):
        apart = np.linalg.norm(base.astype(np.float64) - query, axis=1)
        order = [i for i in np.argsort(apart, kind="stable").tolist() if i != own]
        assert row.tolist() == order[: len(row)]
        assert distance == pytest.approx(apart[row], abs=1e-12)
    assert (rows[1, 0], rows[3, 0]) == (3, 1)  # the copy, at no distance
    assert (distances[1, 0], distances[3, 0]) == (0, 0)


def test_outlier_factors_are_of_what_is_usual_in_a_cluster() -> None:
    distances = np.array([[1, 3], [2, 2], [5, 7], [20, 20], [30, 10], [10, 30], [80, 0], [3, 5]])
    labels = np.array([0, 0, 0, 1, 1, 1, -1, 2])
    # means 2 2 6, 20 20 20, 40 and 4: of all the median is 13; one image has no usual of its own
    factors = outlier_factors(distances.astype(np.float64), labels)
    assert factors == pytest.approx([1, 1, 3, 1, 1, 1, 40 / 13, 4 / 13])
    assert outlier_factors(np.zeros((3, 1)), np.zeros(3, np.int64)).tolist() == [0, 0, 0]


def test_what_lies_beside_a_dense_cluster_is_one_though_a_wide_one_is_wider() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([9 * rng.normal(size=(80, 3)), 99 + 0.1 * rng.normal(size=(40, 3))])
    points[-3:] = [[96, 99, 99], [96, 99.2, 99], [96, 99, 99.2]]  # three, alike
    _, distances = nearest(points, points, 20, exclude=np.arange(len(points)))
    factors = outlier_factors(distances, np.repeat([0, 1], [80, 40]))
    assert set(np.argsort(-factors)[:3].tolist()) == {117, 118, 119}
    assert (factors[117:] > far_out(factors)).all()


def test_far_out_is_three_widths_of_the_middle_half_above_it() -> None:
    assert far_out(np.array([1.0, 2.0, 3.0, 4.0, 90.0])) == 4 + 3 * (4 - 2)


def test_a_blank_picture_and_noise_look_odd() -> None:
    rng = np.random.default_rng(0)
    across = np.arange(16) / 16 + rng.random((40, 1))  # waves, each with a phase and contrast
    waves = np.sin(2 * np.pi * across)[:, np.newaxis] * rng.uniform(50, 90, (40, 1, 1))
    squares = np.repeat(128 + waves, 16, 1).astype(np.uint8)
    squares[7], squares[9] = 80, rng.integers(0, 256, (16, 16), np.uint8)
    assert np.flatnonzero(odd_looks(squares)).tolist() == [7, 9]
    assert odd_looks(squares[:1]).tolist() == [0]
