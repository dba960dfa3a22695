"""The nearest points against a plain loop, and outlier factors by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aeclust.clusters.nearest import far_out, halved, nearest, odd_looks, outlier_factors


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


def test_many_points_are_looked_for_in_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base = (rng.normal(size=(3_000, 5)) @ rng.normal(size=(5, 24)) + 9).astype(np.float32)
    base[2_000:2_200] = base[7]  # so many equal ones fill cells of their own
    base[5] = base[2_999]
    own = np.arange(3_000)
    rows, distances = nearest(base, base, 10, exclude=own)
    for name, size in {"_ALL": 1_000, "_FEW": 100, "_LOOKED_AT": 640, "_CELL": 64}.items():
        monkeypatch.setattr(f"aeclust.clusters.nearest.{name}", size)
    done: list[tuple[int, int]] = []
    near, far = nearest(base, base, 10, exclude=own, progress=lambda *each: done.append(each))
    assert done[-1] == (3_000, 3_000)
    assert (near != own[:, np.newaxis]).all()
    assert (near[5, 0], near[2_999, 0]) == (2_999, 5)
    assert (far >= distances).all()  # all true distances
    assert far == pytest.approx(np.linalg.norm(base[near] - base[:, np.newaxis], axis=2), abs=1e-3)
    assert (far == distances).mean() > 0.9
    assert all(len(set(found)) == 10 for found in near.tolist())
    few, _ = nearest(base[:50], base, 10, exclude=own[:50])  # none is missed
    assert (few == rows[:50]).all()


def test_halves_are_equal_and_apart() -> None:
    points = torch.tensor([[0.0, 0], [90, 1], [1, 0], [91, 0], [2, 1], [95, 1], [96, 0]])
    parts = [sorted(part.tolist()) for part in halved(points, 4)]
    assert sorted(parts) in ([[0, 2, 4], [1, 3, 5, 6]], [[0, 1, 2, 4], [3, 5, 6]])
    assert [len(part) for part in halved(torch.zeros(10, 2), 3)] == [3, 2, 3, 2]


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
