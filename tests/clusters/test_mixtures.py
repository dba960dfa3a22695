"""Borders between clusters, against a plain mixture and by laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import multivariate_normal
from sklearn.mixture import GaussianMixture
from support import far_groups, raising

from aeclust.clusters import mixtures
from aeclust.clusters.mixtures import settle, temper

Array = NDArray[Any]
FEW = settings(max_examples=40, deadline=None)


def everything(points: Array) -> Array:
    return np.arange(len(points))


def settled(points: Array, rows: Array, start: Array, sizes: list[int]) -> Array:
    result = settle(points, rows, start, sizes)
    assert result is not None
    return result


def slow_posterior(points: Array, start: Array, *, tied: bool, steps: int = 10) -> Array:
    """Expectation maximisation in plain words, by scipy's densities."""
    shares = start.astype(float)
    d = points.shape[1]
    floor = 1e-4 * points.var(0).mean() * np.eye(d)
    for _ in range(steps):
        own = []
        for j in range(shares.shape[1]):
            mean = np.average(points, axis=0, weights=shares[:, j])
            own.append((mean, np.cov(points.T, aweights=shares[:, j], ddof=0).reshape(d, d)))
        weights = shares.mean(0)
        if tied:
            common = sum(w * c for w, (_, c) in zip(weights, own, strict=True))
            own = [(mean, common) for mean, _ in own]
        densities = np.stack(
            [
                w * multivariate_normal(mean, cov + floor).pdf(points)
                for w, (mean, cov) in zip(weights, own, strict=True)
            ],
            1,
        )
        shares = densities / densities.sum(1, keepdims=True)
    return shares


@pytest.mark.parametrize("k", [2, 3])
def test_the_mean_of_four_plain_mixtures(k: int) -> None:
    points, truth = far_groups((50, 40, 30)[:k], apart=3)
    rng = np.random.default_rng(1)
    start = rng.dirichlet(np.ones(k), len(points)) * 0.3 + 0.7 * np.eye(k)[truth]
    result = settled(points, everything(points), start, [4, 2])
    assert result.dtype == np.float32
    wanted = np.mean(
        [slow_posterior(points[:, :d], start, tied=tied) for d in (4, 2) for tied in (False, True)],
        axis=0,
    )
    np.testing.assert_allclose(result, wanted, atol=1e-5)


@pytest.mark.parametrize(("apart", "wrong", "right"), [(40, 0, 1), (6, 25, 0.99)])
@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_start_is_mended_where_the_points_say_so(
    apart: float, wrong: int, right: float, seed: int
) -> None:
    points, truth = far_groups((100, 80, 90), apart=apart, seed=seed)
    labels = truth.copy()
    labels[:wrong] = (labels[:wrong] + 1) % 3
    result = settled(points, everything(points), np.eye(3)[labels], [4, 3])
    assert (result.argmax(1) == truth).mean() >= right
    if right == 1:  # and sure
        np.testing.assert_allclose(result, np.eye(3)[truth], atol=1e-3)


def test_between_two_clusters_it_is_unsure() -> None:
    # two even lines of points, mirrored, and one in the middle
    half = np.linspace(1, 3, 41)[:, np.newaxis]
    points = np.concatenate([-half, half, [[0.0]]])
    start = np.concatenate([np.eye(2)[np.repeat([0, 1], 41)], [[0.5, 0.5]]])
    result = settled(points, everything(points), start, [1])
    np.testing.assert_allclose(result[-1], [0.5, 0.5], atol=1e-6)
    assert result[40].max() > 0.99
    np.testing.assert_allclose(result[:41], result[41:82, ::-1], atol=1e-6)


@FEW
@given(
    st.integers(2, 30),
    st.integers(1, 4),
    st.integers(2, 4),
    st.floats(-6, 6),
    st.integers(0, 2**20),
)
def test_probabilities_whatever_the_points(n: int, d: int, k: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = max(n, k)
    points = 10**scale * rng.normal(size=(n, d))
    labels = rng.integers(0, k, n)
    labels[:k] = np.arange(k)
    start = np.eye(k)[labels]
    before = start.copy()
    result = settle(points, everything(points), start, sorted({d, max(1, d // 2)}))
    if result is None:  # a cluster was lost
        return
    assert result.shape == (n, k)
    assert np.isfinite(result).all()
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-5)
    assert np.unique(result.argmax(1)).tolist() == list(range(k))
    np.testing.assert_array_equal(start, before)


@pytest.mark.parametrize(("scale", "place"), [(1e-5, 3), (1e5, 3), (1, 1e7), (1, 1e8)])
def test_neither_scale_nor_place_matters(scale: float, place: float) -> None:
    points, truth = far_groups((50, 40), apart=3)
    start = np.eye(2)[truth]
    plain = settled(points, everything(points), start, [4, 2])
    moved = settled(scale * (points.astype(float) + place), everything(points), start, [4, 2])
    np.testing.assert_allclose(moved, plain, atol=1e-5)
    turned = settled(points, everything(points), start[:, ::-1], [4, 2])
    np.testing.assert_allclose(turned[:, ::-1], plain, atol=1e-6)


def test_other_points_are_placed_by_what_the_fitted_ones_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, truth = far_groups((60, 50), apart=5)
    rows = everything(points)[::2]
    result = settled(points, rows, np.eye(2)[truth[rows]], [4, 2])
    alone = settled(points[rows], np.arange(len(rows)), np.eye(2)[truth[rows]], [4, 2])
    np.testing.assert_allclose(result[rows], alone, atol=1e-6)
    assert (result.argmax(1) == truth).mean() > 0.97
    monkeypatch.setattr(mixtures, "_ROWS", 7)
    blocks = settled(points, rows, np.eye(2)[truth[rows]], [4, 2])
    np.testing.assert_allclose(blocks, result, atol=1e-6)


def test_mixtures_that_cannot_be_fitted_are_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    points, truth = far_groups((50, 40), apart=3)
    monkeypatch.setattr(GaussianMixture, "fit", raising(ValueError("ill-defined covariance")))
    assert settle(points, everything(points), np.eye(2)[truth], [2]) is None


def test_a_lost_cluster_is_no_answer() -> None:
    # a cluster of one point in the very middle of another
    points = np.random.default_rng(0).normal(size=(200, 2))
    points[0] = points[1:].mean(0)
    start = np.full((200, 2), [0.6, 0.4])
    start[0] = [0.45, 0.55]
    assert settle(points, everything(points), start, [2]) is None
    assert settle(points, everything(points), np.full((200, 2), [0.6, 0.4]), [2]) is None


@pytest.mark.parametrize("size", [0.0, 1e-200])
def test_dimensions_without_spread_have_no_mixture(size: float) -> None:
    points, truth = far_groups((50, 40), apart=6)
    wide = np.concatenate([size * points, points], 1)
    start = np.eye(2)[truth]
    result = settled(wide, everything(points), start, [8, 4])
    np.testing.assert_array_equal(result, settled(wide, everything(points), start, [8]))
    assert (result.argmax(1) == truth).mean() > 0.97


# -- confidence --------------------------------------------------------------------------------


def test_tempering_by_hand() -> None:
    # at temperature 2 the odds of 16 to 1 become 4 to 1
    sure = np.array([[16 / 17, 1 / 17], [1 / 17, 16 / 17]], np.float32)
    np.testing.assert_allclose(temper(sure, 0.8), [[0.8, 0.2], [0.2, 0.8]], atol=1e-5)
    # certainty beyond all digits can be tempered
    np.testing.assert_allclose(temper(np.eye(3, dtype=np.float32), 0.9).max(1), 0.9, atol=1e-5)


@FEW
@given(st.integers(1, 40), st.integers(2, 5), st.floats(0, 1), st.integers(0, 2**20))
def test_tempered_probabilities_are_as_sure_as_asked_and_say_the_same(
    n: int, k: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(k, 0.3), n).astype(np.float32)
    before = shares.copy()
    wanted = 1 / k + 0.05 + share * (0.9 - 1 / k)
    result = temper(shares, wanted)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result.sum(1), 1, atol=1e-5)
    np.testing.assert_array_equal(shares, before)
    np.testing.assert_array_equal(result.argmax(1), shares.argmax(1))
    if shares.max(1).mean() <= wanted:
        np.testing.assert_array_equal(result, shares)
    elif not (np.sort(shares, 1)[:, -2:].min() < 1e-9):
        assert result.max(1).mean() == pytest.approx(wanted, abs=1e-4)
    # who was surer stays surer, if there are but two clusters
    if k == 2:
        order = np.argsort(-shares.min(1))  # the larger ones may round to 1
        assert (np.diff(result.max(1)[order]) >= -1e-6).all()
