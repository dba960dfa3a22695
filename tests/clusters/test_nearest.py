"""The nearest points against a plain loop, and outlier factors against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from aeclust.clusters.nearest import far_out, nearest, outlier_factors


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


def test_outlier_factors_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(size=(80, 3)), 9 + 0.1 * rng.normal(size=(40, 3))])
    points[-1] = [4, 4, 4]
    rows, distances = nearest(points, points, 20, exclude=np.arange(len(points)))
    factors = outlier_factors(rows, distances)
    theirs = LocalOutlierFactor(n_neighbors=20).fit(points)
    assert factors == pytest.approx(-theirs.negative_outlier_factor_, rel=1e-9)
    assert factors.argmax() == 119
    assert factors[119] > far_out(factors)


def test_far_out_is_three_widths_of_the_middle_half_above_it() -> None:
    assert far_out(np.array([1.0, 2.0, 3.0, 4.0, 90.0])) == 4 + 3 * (4 - 2)
