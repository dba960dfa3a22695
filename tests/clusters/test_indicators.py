"""Indicators against values known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import far_groups

from aeclust.clusters.indicators import Indicators, indicate, rank_me, shared_neighbours

# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)

Array = NDArray[Any]


def blobs(k: int, *, seed: int, n: int = 80, apart: float = 12.0) -> tuple[Array, Array]:
    """Even groups of points around corners that are equally far from each other."""
    return far_groups(np.bincount(np.arange(n) % k).tolist(), seed=seed, d=k, apart=apart)


def turned(d: int, seed: int) -> Array:
    """A random rotation (d, d)."""
    return np.asarray(np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0])


# -- effective rank ----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5, 16])
def test_the_rank_of_equal_singular_values_is_their_number(d: int) -> None:
    latents = np.zeros((20, 16))
    latents[:d, :d] = 3 * turned(d, seed=d)
    assert rank_me(latents) == pytest.approx(d)
    assert rank_me(latents @ turned(16, seed=0)) == pytest.approx(d)


@pytest.mark.parametrize(
    ("latents", "rank"),
    [
        (np.diag([3.0, 1.0]), (4 / 3) ** 0.75 * 4**0.25),  # shares 3/4 and 1/4
        (np.diag([3.0, 1.0, 0.0]), (4 / 3) ** 0.75 * 4**0.25),
        (np.zeros((5, 3)), 1),
        (np.ones((5, 3)), 1),
    ],
)
def test_the_rank_by_hand(latents: Array, rank: float) -> None:
    assert rank_me(latents) == pytest.approx(rank)


@FEW
@given(st.integers(2, 30), st.integers(1, 8), st.floats(1e-3, 1e3), st.integers(0, 2**20))
def test_the_rank_lies_between_one_and_d_at_any_scale(
    n: int, d: int, scale: float, seed: int
) -> None:
    latents = np.random.default_rng(seed).normal(size=(n, d))
    rank = rank_me(latents)
    assert 1 - 1e-9 <= rank <= min(n, d) + 1e-9
    assert rank_me(scale * latents) == pytest.approx(rank)


# -- neighbours of views -----------------------------------------------------------------------


@FEW
@given(st.integers(2, 40), st.integers(0, 2**20))
def test_identical_views_share_all_neighbours(n: int, seed: int) -> None:
    latents = np.random.default_rng(seed).normal(size=(n, 3))
    assert shared_neighbours(latents, latents.copy()) == 1.0
    same = np.ones((n, 2))
    assert 0 <= shared_neighbours(same, same) <= 1


def test_shared_neighbours_by_hand() -> None:
    latents = np.array([[0.0], [1.0], [2.2], [10.0], [11.0], [12.2]])
    # their two nearest: {1, 2}, {0, 2}, {1, 0}, {4, 5}, {3, 5}, {4, 3}
    views = latents.copy()
    views[0] = 12.2  # of whose three nearest, {5, 4, 3}, none is a neighbour of 0
    views[3] = 6.3  # whose three nearest are {3, 2, 4}: of {4, 5} only 4
    assert shared_neighbours(latents, views, count=2) == pytest.approx(
        (0 + 1 + 1 + 0.5 + 1 + 1) / 6
    )


def test_ten_neighbours_are_compared() -> None:
    # two far groups of 20 on lines without ties
    line = (np.arange(20.0) + 0.01 * np.arange(20) ** 2)[:, np.newaxis]
    latents = np.concatenate([line, 1_000 + line])
    views = np.concatenate([1_000 + line, line])
    assert shared_neighbours(latents, views) == 0.0
    # every view of a group is its first point, which sees the ten first of the others
    views = np.repeat(latents[[0, 20]], 20, 0)
    total = 0
    for i in range(20):
        nearest = sorted(range(20), key=lambda j: abs(line[i, 0] - line[j, 0]))
        total += len(set(nearest[1:11]) & set([j for j in range(11) if j != i][:10]))
    assert shared_neighbours(latents, views) == pytest.approx(total / 200)


# -- all indicators ----------------------------------------------------------------------------


def check(result: Indicators, d: int) -> None:
    """The bounds that are promised."""
    assert 1 - 1e-9 <= result.rank <= d + 1e-9
    for name in ("view_neighbours", "view_clusters", "information", "separation"):
        assert -1e-9 <= getattr(result, name) <= 1 + 1e-9, name
    assert -0.5 - 1e-9 <= result.half_agreement <= 1 + 1e-9


def test_indicators_of_blobs() -> None:
    points, labels = blobs(3, seed=0, n=90, apart=50)
    result = indicate(points + 7, points + 7, 3, seed=0)
    assert (result.view_neighbours, result.view_clusters, result.half_agreement) == (1, 1, 1)
    assert result.information == pytest.approx(1)  # even clusters, no neighbour outside
    means = np.stack([points[labels == j].mean(0) for j in range(3)])
    within = np.square(points - means[labels]).sum()
    total = np.square(points - points.mean(0)).sum()
    assert result.separation == pytest.approx(1 - within / total)
    assert result.separation > 0.99
    assert result.rank == pytest.approx(rank_me(points - points.mean(0)))
    # views that move every image to the next blob share neither neighbours nor clusters
    moved = points + 50 * (np.eye(3)[(labels + 1) % 3] - np.eye(3)[labels])
    result = indicate(points, moved, 3, seed=0)
    assert (result.view_neighbours, result.view_clusters) == (0, 0)
    moved[labels > 0] = points[labels > 0]  # and of a third of them are lost
    assert indicate(points, moved, 3, seed=0).view_clusters == pytest.approx(2 / 3)


def test_clusters_of_noise_depend_on_the_images_that_were_taken() -> None:
    noise = np.random.default_rng(0).normal(size=(200, 6))
    other = np.random.default_rng(1).normal(size=(200, 6))
    result = indicate(noise, other, 5, seed=0)
    assert result.half_agreement < 0.6
    assert result.view_neighbours < 0.15
    assert result.view_clusters < 0.4
    assert result.information < 0.5
    assert 5.5 < result.rank <= 6
    assert result.separation < 0.5


@pytest.mark.parametrize("n", [2, 3, 4, 5])
@pytest.mark.parametrize("k", [2, 10])
def test_few_points_have_indicators(n: int, k: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 3))
    result = indicate(points, points, k, seed=0)
    check(result, 3)
    assert (result.view_neighbours, result.view_clusters) == (1, 1)
    if n < 4:  # one cluster
        assert result.separation == pytest.approx(0)
        assert (result.information, result.half_agreement) == (0, 1)


@pytest.mark.parametrize("n", [2, 3, 10, 30])
def test_points_that_are_all_the_same_have_indicators(n: int) -> None:
    same = np.full((n, 3), 0.5, np.float32)
    result = indicate(same, same, 3, seed=0)
    assert (result.rank, result.separation) == (1, 0)
    assert (result.view_clusters, result.half_agreement) == (1, 1)
    check(result, 3)


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 25), st.integers(1, 4), st.integers(2, 6), st.integers(0, 2**20))
def test_indicators_stay_within_their_bounds_and_the_rank_ignores_a_shift(
    n: int, d: int, k: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    latents = rng.normal(size=(n, d))
    views = latents + 0.3 * rng.normal(size=(n, d))
    result = indicate(latents, views, k, seed=seed)
    check(result, d)
    assert result == indicate(latents, views, k, seed=seed)
    shifted = indicate(latents + 2, views + 2, k, seed=seed)
    assert shifted.rank == pytest.approx(result.rank)
    # rounding may lead k-means elsewhere in noise, so its separation is compared among groups below


@pytest.mark.parametrize("seed", range(3))
def test_a_shift_of_groups_changes_no_separation(seed: int) -> None:
    latents = far_groups([9, 8, 7], seed=seed, d=3)[0].astype(np.float64)
    result, shifted = (indicate(x, x, 3, seed=seed) for x in (latents, latents + 2))
    assert result.separation > 0.5
    assert shifted.separation == pytest.approx(result.separation, abs=1e-9)
