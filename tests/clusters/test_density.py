"""Dense regions are clusters, and what lies between them is in none."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN
from sklearn.datasets import load_digits
from support import far_groups, numbered_by_size, refused

from aeclust.clusters import density
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.density import cluster_dense
from aeclust.clusters.known import Known
from aeclust.clusters.neighbours import label_others
from aeclust.clusters.scores import score
from aeclust.recipe import named


def test_far_groups_are_clusters_and_lone_points_are_outliers() -> None:
    points, groups = far_groups([40, 25, 30], apart=50.0)
    lone = np.array([[-90, 0, 0, 0], [0, -80, 0, 0], [0, 0, 0, 200]], np.float32)
    labels, strengths = cluster_dense(np.concatenate((points, lone)), 0, seed=0)
    assert labels.tolist() == [*numbered_by_size(groups), -1, -1, -1]
    assert strengths.dtype == np.float32
    assert (strengths[-3:] == 0).all()
    assert ((strengths[:-3] > 0) & (strengths <= 1)[:-3]).all()


@pytest.mark.parametrize("least", [0, 36])
def test_it_is_scikit_learns_hdbscan_numbered_by_size(least: int) -> None:
    digits = load_digits().data[:900]
    labels, strengths = cluster_dense(digits.astype(np.float32), least, seed=0)
    theirs = HDBSCAN(min_cluster_size=least or 9, min_samples=5, copy=True).fit(digits)
    np.testing.assert_allclose(strengths, theirs.probabilities_, rtol=1e-6)
    inside = theirs.labels_ >= 0
    assert (labels[~inside] == -1).all()
    assert labels[inside].tolist() == numbered_by_size(theirs.labels_[inside])


@pytest.mark.parametrize(("n", "least"), [(12, 0), (9, 0), (60, 31), (2, 2)])
def test_without_two_dense_regions_there_is_nothing_to_find(n: int, least: int) -> None:
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    size = least or 5
    with refused(
        what="hdbscan finds no clusters, only outliers",
        expected=f"groups of {size} images or more that lie closer together than the rest",
        mend="lower `min_cluster_size`, or choose another `clusterer` or `reduction`",
    ):
        cluster_dense(points, least, seed=0)


def test_of_many_points_some_are_clustered_and_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    points, groups = far_groups([200, 100], apart=50.0)
    monkeypatch.setattr(density, "MAX_REFERENCES", 150)
    notes: list[str] = []
    labels, strengths = cluster_dense(points, 40, seed=0, note=notes.append)
    assert labels.tolist() == numbered_by_size(groups)
    assert (strengths > 0).all()
    assert notes == [
        "150 random images decide the clusters; the other 150 follow their nearest neighbours"
    ]


def test_the_chain_finds_k_and_takes_no_known_labels() -> None:
    points, groups = far_groups([40, 25])
    recipe = named("features").override({"clusterer": "hdbscan", "reduction": "none", "k": 7})
    assert recipe.k == 0
    result = cluster_latents(points, recipe, seed=0)
    inside = result.labels >= 0
    assert (result.k, result.estimate, result.shares) == (2, None, None)
    assert result.labels[inside].tolist() == numbered_by_size(groups[inside])
    assert result.confidence is result.strengths
    known = Known(np.r_[0, np.full(64, -1)], np.empty((0, 2), int), np.empty((0, 2), int))
    with refused(where="`known`", what="no known labels steer hdbscan"):
        cluster_latents(points, recipe, seed=0, known=known)


def test_outliers_vote_for_none() -> None:
    latents, labels = np.eye(4, dtype=np.float32), np.array([-1, -1, 2, 0])
    voters = np.arange(3)
    found, share = label_others(np.zeros((1, 4)), latents, labels, voters, 3)
    assert (found.tolist(), share.tolist()) == ([-1], [pytest.approx(2 / 3)])
    # of an outlier no share counts
    shares = np.array([[1, 0, 0], [1, 0, 0], [0, 0.2, 0.8], [1, 0, 0]], np.float32)
    found, share = label_others(np.zeros((1, 4)), latents, labels, voters, 3, shares)
    assert (found.tolist(), share.tolist()) == ([-1], [pytest.approx(2 / 3)])
    found, share = label_others(np.zeros((1, 4)), latents, labels, np.array([1, 2, 3]), 3, shares)
    assert (found.tolist(), share.tolist()) == ([-1], [pytest.approx(1 / 3)])  # tied


def test_outliers_are_wrong_and_one_more_group() -> None:
    clusters, classes = np.array([0, 0, 3, 3, -1, -1]), np.array([5, 5, 1, 1, 5, 5])
    result = score(clusters, classes)
    assert (result.accuracy, result.sizes, result.outliers) == (4 / 6, {0: 2, 3: 2}, 2)
    other = score(np.array([0, 0, 3, 3, 9, 9]), classes)
    assert (result.nmi, result.ari, other.outliers) == (other.nmi, other.ari, 0)
    assert score(np.full(3, -1), np.array([-1, -1, 2])).accuracy == 0
