"""Clusters that are obvious, the promise about their numbers, and points that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import far_groups, give_memory, numbered_by_size, refused

from aeclust import memory
from aeclust.clusters import clusterers
from aeclust.clusters.chain import ENSEMBLES
from aeclust.clusters.clusterers import check_count, cluster, numbers_by_size
from aeclust.recipe import HDBSCAN, choices

Array = NDArray[Any]
# those that `cluster` knows: a consensus is made of them by `cluster_latents`
SINGLE = [name for name in choices("clusterer") if name not in (*ENSEMBLES, HDBSCAN)]

each_clusterer = pytest.mark.parametrize("clusterer", SINGLE)


# -- clusters ----------------------------------------------------------------------------------


@each_clusterer
@pytest.mark.parametrize("sizes", [(11, 25), (12, 16, 14), (12, 12, 12)])
def test_obvious_groups_are_found_and_numbered_by_size(
    clusterer: str, sizes: tuple[int, ...]
) -> None:
    points, truth = far_groups(sizes)
    labels = cluster(points, len(sizes), clusterer, seed=0)
    assert labels.dtype == np.int64
    assert labels.tolist() == numbered_by_size(truth)


@each_clusterer
def test_the_same_seed_gives_the_same_bytes(clusterer: str) -> None:
    points = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    before = points.copy()
    first, second = (cluster(points, 3, clusterer, seed=5, member=2) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tolist() == numbered_by_size(first)
    np.testing.assert_array_equal(points, before)


def test_members_of_an_ensemble_draw_numbers_of_their_own() -> None:
    noise = np.random.default_rng(0).normal(size=(300, 2))
    outcomes = {cluster(noise, 9, "minibatch-kmeans", seed=0, member=i).tobytes() for i in range(4)}
    assert len(outcomes) == 4


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=1))
def test_numbers_fall_by_size_whatever_the_clusterer_called_them(values: list[int]) -> None:
    _, labels = np.unique(values, return_inverse=True)
    numbers = numbers_by_size(labels, int(labels.max()) + 1)
    assert numbers[labels].tolist() == numbered_by_size(labels)


# -- degenerate points -------------------------------------------------------------------------


@each_clusterer
@pytest.mark.parametrize("n", [2, 3, 11])
def test_as_many_clusters_as_points_are_the_points(clusterer: str, n: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 2))
    assert cluster(points, n, clusterer, seed=0).tolist() == list(range(n))


@each_clusterer
@pytest.mark.parametrize(
    ("points", "truth"),
    [
        (np.repeat(np.eye(2, 3), 20, 0), [0] * 20 + [1] * 20),
        (np.repeat(np.eye(2, 3), [5, 20], 0), [1] * 5 + [0] * 20),
        (np.concatenate([np.zeros((20, 3)), np.ones((1, 3))]), [0] * 20 + [1]),
        (np.array([[1.0], [1.0], [4.0]]), [0, 0, 1]),
    ],
    ids=["halves", "unequal", "one outlier", "three points"],
)
def test_duplicates_share_a_cluster(clusterer: str, points: Array, truth: list[int]) -> None:
    labels = cluster(points, 2, clusterer, seed=0)
    if clusterer == "spectral":  # any cut of a graph without a path between the kinds
        truth = numbered_by_size(labels)
        assert set(truth) == {0, 1}
    assert labels.tolist() == truth


@each_clusterer
@pytest.mark.parametrize("scale", [1e-10, 1e-5, 1e5, 1e10])
def test_the_scale_does_not_matter(clusterer: str, scale: float) -> None:
    if clusterer.startswith("gmm") and scale < 1:
        scale = 1 / scale  # a fixed floor under their variances makes them blind to small points
    points, truth = far_groups((15, 10))
    labels = cluster(points * np.float32(scale), 2, clusterer, seed=0)
    assert labels.tolist() == numbered_by_size(truth)


DIVERGED = "holds values beyond 1e+12, infinity or NaN: the network has diverged"


@each_clusterer
@pytest.mark.parametrize(
    ("points", "k", "what", "mend"),
    [
        (np.eye(3), 4, "3 images cannot form 4 clusters", "lower `k`"),
        (np.ones((1, 3)), 2, "1 images cannot form 2 clusters", "lower `k`"),
        (
            1e-30 * np.eye(9, 3), 2,
            "all 9 points are the same: collapsed network or equal images",
            "train again with other images, more epochs, or a lower `lr`",
        ),
        (
            np.repeat(np.eye(3), 20, 0), 4,
            "only 3 different points for 4 clusters", "lower `k`, or add other images",
        ),
        (np.array([[0.0], [np.nan], [1.0]]), 2, DIVERGED, "train again with a lower `lr`"),
        (np.array([[0.0], [1e300], [1.0]]), 2, DIVERGED, "train again with a lower `lr`"),
    ],
)  # fmt: skip
def test_points_that_cannot_form_clusters_are_refused(
    clusterer: str, points: Array, k: int, what: str, mend: str
) -> None:
    with refused(what=what, mend=mend, where=""):
        cluster(points, k, clusterer, seed=0)


def test_images_are_counted_as_points_are() -> None:
    check_count(4, 4, 4)
    with refused(what="4 images cannot form 5 clusters", expected="at most 4"):
        check_count(4, 5)
    with refused(
        what="only 3 different images for 4 clusters", expected="at least 4 different ones"
    ):
        check_count(9, 4, 3, "images")


def test_different_points_are_counted_beyond_the_first_ones() -> None:
    points = np.concatenate([np.zeros((30, 1)), [[1.0], [2.0]]])
    assert cluster(points, 3, "kmeans", seed=0).tolist() == [0] * 30 + [1, 2]


def test_a_clusterer_that_fails_is_refused() -> None:
    # to the mixture these are one Gaussian, whose variance is below its floor
    points = 1e-6 * np.random.default_rng(0).uniform(size=(40, 4))
    with refused(
        what="gmm found only 1 of 3 clusters", mend="lower `k` or choose another `clusterer`"
    ):
        cluster(points, 3, "gmm", seed=0)
    flat = 1e7 * np.random.default_rng(0).normal(size=(12, 64))
    with refused(
        what="gmm cannot form 3 clusters of these points",
        expected="points that spread in every direction of their clusters",
        mend="use `clusterer` kmeans, or fewer dimensions by `reduction`",
    ):
        cluster(flat, 3, "gmm", seed=0)


@pytest.mark.parametrize("clusterer", ["spectral", "agglomerative"])
def test_clusterers_of_all_pairs_ask_before_they_take_memory(
    clusterer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, truth = far_groups((15, 10))
    needed = {
        "spectral": memory.spectral(25, points.shape[1], 2),
        "agglomerative": memory.agglomerative(25, points.shape[1]),
    }[clusterer]
    give_memory(monkeypatch, needed + 1)
    assert cluster(points, 2, clusterer, seed=0).tolist() == numbered_by_size(truth)
    give_memory(monkeypatch, needed - 1)
    assert cluster(points, 2, "kmeans", seed=0).tolist() == numbered_by_size(truth)
    what = f"{clusterer} clustering of 25 points needs about 0 GB of memory"
    with refused(what=what, mend="use `clusterer` kmeans"):
        cluster(points, 2, clusterer, seed=0)


@pytest.mark.parametrize("n", range(9, 16))
def test_spectral_clustering_of_few_points_says_nothing(n: int) -> None:
    # around 5 k + 1 points the solver would fall back on another one, and say so
    points, _ = far_groups((n - n // 2, n // 2))
    labels = cluster(points[:, :3], 2, "spectral", seed=0)
    assert labels.tolist() == numbered_by_size(labels)
    assert set(labels.tolist()) == {0, 1}


@pytest.mark.parametrize("n", [6, 12, 20])
def test_spectral_clustering_does_not_take_as_many_points_as_values_for_a_graph(n: int) -> None:
    truth = np.repeat([0, 1], [n - n // 2 + 1, n // 2 - 1])
    points = np.random.default_rng(0).normal(size=(n, n)) + 20 * truth[:, np.newaxis]
    assert set(cluster(points, 2, "spectral", seed=0).tolist()) == {0, 1}


# -- many points -------------------------------------------------------------------------------


@pytest.mark.parametrize("clusterer", sorted({*SINGLE} - {"minibatch-kmeans"}))
def test_a_clustering_of_many_points_is_that_of_some(
    clusterer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, truth = far_groups((60, 80, 100), seed=2)
    notes: list[str] = []
    exact = cluster(points, 3, clusterer, seed=0, note=notes.append)
    assert notes == []
    monkeypatch.setitem(clusterers.MOST, clusterer, 90)
    monkeypatch.setattr(clusterers, "_ROWS", 32)
    labels = cluster(points, 3, clusterer, seed=0, note=notes.append)
    assert labels.dtype == np.int64
    assert labels.tolist() == exact.tolist() == numbered_by_size(truth)
    by = dict.fromkeys(("spectral", "agglomerative"), "their nearest neighbours")
    assert notes == [
        "90 random images decide the clusters; the other 150 follow"
        f" {by.get(clusterer, 'the fitted model')}"
    ]
