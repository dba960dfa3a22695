"""Typical, doubtful and random images of a cluster; and one image of each cell of a map."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeclust.show import picks
from aeclust.show.picks import mosaic, pick


def test_a_case_worked_out_by_hand() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1, 0])
    confidence = np.array([0.9, 0.5, 0.6, 0.8, 1.0, 0.7, 0.9])
    latents = np.array([[2.0], [0], [100], [10], [1], [2], [5]])
    zero, one = pick(labels, confidence, latents, count=2, seed=0)
    # the mean of cluster 0 is 27; its confident half is 6 (at 5) and 4 (at 1)
    assert (zero.cluster, zero.size) == (0, 4)
    assert zero.typical.tolist() == [6, 4]
    assert zero.doubtful.tolist() == [2, 0]
    # the mean of cluster 1 is 4; its confident half is 3 (at 10) and 5 (at 2)
    assert (one.cluster, one.size) == (1, 3)
    assert one.typical.tolist() == [5, 3]
    assert one.doubtful.tolist() == [1, 5]


def test_clusters_are_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    labels, confidence = rng.integers(0, 2, 50), rng.random(50)
    values, latents = rng.normal(size=(50, 3)), mock.MagicMock()
    read: list[int] = []

    def part(rows: NDArray[np.int64]) -> NDArray[np.float64]:
        read.append(len(rows))
        return values[rows]

    latents.__getitem__.side_effect = part
    wanted = pick(labels, confidence, values, count=5, seed=0)
    monkeypatch.setattr(picks, "_ROWS", 7)
    found = pick(labels, confidence, latents, count=5, seed=0)
    assert max(read) == 7
    for one, other in zip(found, wanted, strict=True):
        for kind, rows in one.kinds.items():
            assert rows.tolist() == other.kinds[kind].tolist()


def test_equals_are_taken_in_the_order_of_their_rows() -> None:
    (only,) = pick(np.zeros(6, int), np.ones(6), np.zeros((6, 2)), count=2, seed=0)
    assert only.doubtful.tolist() == [0, 1]
    assert only.typical.tolist() == [3, 4]


def test_numbers_without_images_are_left_out() -> None:
    found = pick(np.array([3, 1, 3]), np.ones(3), np.zeros((3, 1)), count=5, seed=0)
    assert [(one.cluster, one.size) for one in found] == [(1, 1), (3, 2)]


@given(
    st.lists(st.integers(0, 4), min_size=1, max_size=60),
    st.integers(1, 9),
    st.integers(0, 1000),
)
def test_picks_are_rows_of_their_cluster_and_no_row_comes_twice(
    groups: list[int], count: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, n = np.array(groups), len(groups)
    confidence, latents = rng.random(n), rng.normal(size=(n, 3))
    found = pick(labels, confidence, latents, count=count, seed=seed)
    assert sum(one.size for one in found) == n
    for one in found:
        least = confidence[one.doubtful]
        others = np.setdiff1d(np.flatnonzero(labels == one.cluster), one.doubtful)
        assert np.all(np.diff(least) >= 0)
        assert len(others) == 0 or least[-1] <= confidence[others].min()
        for rows in (one.typical, one.doubtful, one.random):
            assert set(labels[rows]) == {one.cluster}
            assert len(set(rows.tolist())) == len(rows) <= count
        assert len(one.doubtful) == len(one.random) == min(count, one.size)
        assert len(one.typical) == min(count, one.size - one.size // 2)


def test_the_random_ones_follow_the_seed() -> None:
    labels, confidence, latents = np.zeros(50, int), np.ones(50), np.zeros((50, 1))
    draws = [pick(labels, confidence, latents, count=5, seed=s)[0].random.tolist() for s in (0, 1)]
    again = pick(labels, confidence, latents, count=5, seed=0)[0].random.tolist()
    assert draws[0] == again != draws[1]


def test_each_cell_that_has_points_gives_one_of_them() -> None:
    # 5 by 2 in cells of 2 by 1: three across, half a unit beyond the points on either side
    points, box = np.array([[0.0, 0], [1, 0], [5, 2], [3.4, 0.1], [5, 0]]), np.array([2.0, 1])
    found = [mosaic(points, box, seed=seed) for seed in range(20)]
    assert {tuple(rows.tolist()) for rows, _ in found} == {(0, 2, 3, 4), (1, 2, 3, 4)}
    for _, centres in found:
        assert centres.tolist() == [[0.5, 0.5], [4.5, 1.5], [2.5, 0.5], [4.5, 0.5]]


@given(st.integers(1, 300), st.floats(0.01, 3), st.floats(0.01, 3), st.integers(0, 1000))
def test_cells_do_not_overlap_have_one_point_each_and_leave_none_out(
    n: int, width: float, height: float, seed: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 2)).astype(np.float32)
    box = np.array([width, height])
    rows, centres = mosaic(points, box, seed=seed)
    again, _ = mosaic(points, box, seed=seed)
    assert rows.dtype == np.int64
    assert rows.tolist() == again.tolist()
    assert len(rows) == len(centres) <= n
    assert np.all(np.diff(rows) > 0)  # none twice
    apart = np.abs(centres[:, np.newaxis] - centres) / box
    assert (apart.max(axis=2) + 2 * np.eye(len(rows))).min() > 1 - 1e-5
    near = np.abs(points[:, np.newaxis] - centres) / box
    assert near.max(axis=2).min(axis=1).max() <= 0.5 + 1e-4
    assert near[rows, np.arange(len(rows))].max() <= 0.5 + 1e-4  # it lies in its own


def test_points_in_one_place_give_one() -> None:
    assert mosaic(np.full((9, 2), 1e9), np.array([1.0, 1.0]), seed=0)[0].shape == (1,)
