"""A recipe's whole chain: against its steps done by hand, and who decides when opinions differ."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import pytest
from numpy.typing import NDArray
from support import far_groups, numbered_by_size, refused

from aeclust.clusters import chain, clusterers, clustering, reduction
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.clustering import Views
from aeclust.clusters.consensus import Consensus, agree
from aeclust.clusters.heads import LostClusterError
from aeclust.clusters.mixtures import settle
from aeclust.clusters.neighbours import neighbours, references, votes_of_others
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import best_names, score
from aeclust.recipe import HDBSCAN, Recipe, choices, named

Array = NDArray[Any]
SINGLE = [name for name in choices("clusterer") if name not in (*chain.ENSEMBLES, HDBSCAN)]
KINDS = ("kmeans", "gmm", "gmm-tied", "spectral")


def recipe_of(**changes: object) -> Recipe:
    """The hybrid's sphere, PCA and consensus, or others."""
    return named("hybrid").override(changes)


def by_hand(points: Array, sizes: tuple[int, ...], k: int, seed: int) -> Consensus:
    """What the members agree on, in these numbers of dimensions."""
    members = {
        f"{name} in {size} dimensions": cluster(points[:, :size], k, name, seed=seed, member=i)
        for i, (size, name) in enumerate(itertools.product(sizes, KINDS))
    }
    return agree(members, neighbours(points), k, seed=seed)


def settled(points: Array, rows: Array, start: Array, sizes: list[int]) -> Array:
    shares = settle(points, rows, start, sizes)
    assert shares is not None
    return shares


def limit_references(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(chain, "references", partial(references, limit=limit))


def three_kinds() -> tuple[Array, Array]:
    """Ninety points in three clusters far apart, and which."""
    truth = np.arange(90) % 3
    noise = np.random.default_rng(0).normal(size=(90, 4))
    return (noise + 50 * np.eye(3, 4)[truth]).astype(np.float32), truth


def test_it_is_said_where_no_head_has_all_clusters(monkeypatch: pytest.MonkeyPatch) -> None:
    points, truth = three_kinds()
    recipe = recipe_of(clusterer="heads", reduction="sphere", k=3)
    assert cluster_latents(points, recipe, seed=0).substitutions == ()
    monkeypatch.setattr(chain, "pooled", mock.Mock(side_effect=LostClusterError))
    result = cluster_latents(points, recipe, seed=0)
    note = "heads found fewer than 3 clusters: a consensus of other methods decides"
    assert result.substitutions == (note,)
    assert result.labels.tolist() == numbered_by_size(truth)


# -- one clusterer -----------------------------------------------------------------------------


@pytest.mark.parametrize("clusterer", SINGLE)
def test_one_clusterer_is_reduction_and_cluster(clusterer: str) -> None:
    points, truth = far_groups((14, 24, 18))
    recipe = named("baseline").override({"reduction": "pca:2", "clusterer": clusterer, "k": 3})
    result = cluster_latents(points, recipe, seed=3)
    reduced = reduce(points, ("pca:2",), seed=3)
    np.testing.assert_array_equal(result.points, reduced)
    np.testing.assert_array_equal(result.labels, cluster(reduced, 3, clusterer, seed=3))
    assert result.labels.tolist() == numbered_by_size(truth)
    assert (result.k, result.shares, result.agreement, result.members) == (3, None, None, [])
    assert result.references.tolist() == list(range(56))


def test_one_clusterer_is_as_sure_as_the_references_nearby(monkeypatch: pytest.MonkeyPatch) -> None:
    latents = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    limit_references(monkeypatch, 30)
    result = cluster_latents(latents, recipe_of(clusterer="kmeans", reduction="none"), seed=4)
    rows = references(50, seed=4, limit=30).tolist()
    assert result.references.tolist() == rows
    wanted = []
    for i in range(50):
        gaps = [np.square(latents[i] - latents[j]).sum() if j != i else np.inf for j in rows]
        nearest = np.argsort(gaps)[:15]
        wanted.append(np.mean([result.labels[rows[j]] == result.labels[i] for j in nearest]))
    assert result.confidence.dtype == np.float32
    np.testing.assert_allclose(result.confidence, wanted, atol=1e-6)
    np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-6)


def test_who_wants_only_labels_waits_for_no_votes(monkeypatch: pytest.MonkeyPatch) -> None:
    votes = mock.Mock(wraps=votes_of_others)
    monkeypatch.setattr(clustering, "votes_of_others", votes)
    points, _ = far_groups((14, 24, 18))
    result = cluster_latents(points, recipe_of(clusterer="kmeans", reduction="none", k=3), seed=0)
    assert (result.k, len(result.labels), votes.call_count) == (3, 56, 0)
    assert result.confidence.shape == (56,)
    assert result.probabilities.shape == (56, 3)
    votes.assert_called_once()


# -- consensus ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(40, 25), (20, 30, 25), (21, 20, 19, 18)])
def test_a_consensus_finds_obvious_groups(sizes: tuple[int, ...]) -> None:
    points, truth = far_groups(sizes)
    steps: list[str] = []
    result = cluster_latents(points, recipe_of(k=len(sizes)), seed=0, progress=steps.append)
    assert result.labels.dtype == np.int64
    assert result.labels.tolist() == numbered_by_size(truth)
    # empty dimensions are no obstacle
    wide = np.concatenate([np.zeros_like(points), points], 1)
    wider = cluster_latents(wide, recipe_of(k=len(sizes), reduction="none"), seed=0)
    assert wider.labels.tolist() == numbered_by_size(truth)
    # PCA is limited to the four values of a latent
    np.testing.assert_array_equal(result.points, reduce(points, ("sphere", "pca:4"), seed=0))
    assert result.substitutions == (
        f"pca:20 becomes pca:4: {len(points)} images of 4 values allow no more",
    )
    names = [member.name for member in result.members]
    assert names == [f"{name} in {size} dimensions" for size in (4, 2) for name in KINDS]
    assert steps == ["sphere", "pca:4", *names, "consensus"]
    assert not any(member.collapsed for member in result.members[: len(KINDS)])
    np.testing.assert_array_equal(result.probabilities.argmax(1), result.labels)
    np.testing.assert_allclose(result.probabilities.sum(1), 1, atol=1e-6)
    assert result.agreement is not None
    assert 0.8 < result.agreement <= 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("limit", [60, 40])
def test_a_consensus_is_what_its_members_agree_on_and_mixtures_extend(
    seed: int, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    latents = np.random.default_rng(seed).normal(size=(60, 5)).astype(np.float32)
    limit_references(monkeypatch, limit)
    recipe = recipe_of(k=3, reduction="pca:5")
    result = cluster_latents(latents, recipe, seed=seed)
    points, rows = reduce(latents, ("pca:5",), seed=seed), references(60, seed=seed, limit=limit)
    agreed = by_hand(points[rows], (5, 2), 3, seed)
    shares = settled(points, rows, np.eye(3)[agreed.labels], [5, 2])
    labels = shares.argmax(1)
    assert result.labels.tolist() == numbered_by_size(labels)
    led = agreed.led(labels[rows], 3)
    assert (result.agreement, result.members) == (led.agreement, led.members)
    # the columns follow the final numbers
    for new in range(3):
        old = int(labels[np.argmax(result.labels == new)])
        np.testing.assert_array_equal(result.probabilities[:, new], shares[:, old])
    again = cluster_latents(latents, recipe, seed=seed)
    assert again.labels.tobytes() == result.labels.tobytes()
    assert again.probabilities.tobytes() == result.probabilities.tobytes()


@pytest.mark.parametrize(("d", "sizes"), [(1, (1,)), (2, (2,)), (3, (3, 2)), (6, (6, 3))])
def test_the_members_work_in_all_and_in_half_of_the_dimensions(
    d: int, sizes: tuple[int, ...]
) -> None:
    truth = np.arange(40) % 2
    latents = 20.0 * truth[:, np.newaxis] + np.random.default_rng(0).normal(size=(40, d))
    result = cluster_latents(latents, recipe_of(k=2, reduction="none"), seed=0)
    assert score(result.labels, truth).accuracy == 1
    assert [member.name for member in result.members] == [
        f"{name} in {size} dimensions" for size in sizes for name in KINDS
    ]


def test_a_clusterer_that_fails_is_a_collapsed_member() -> None:
    # one Gaussian to the mixture, whose variance is below its floor
    latents = 1e-6 * np.random.default_rng(0).uniform(size=(40, 4))
    result = cluster_latents(latents, recipe_of(k=3, reduction="none"), seed=0)
    lost = {member.name for member in result.members if member.collapsed}
    assert {"gmm in 4 dimensions", "gmm in 2 dimensions"} <= lost
    assert "kmeans in 4 dimensions" not in lost
    assert result.k == 3


@pytest.mark.parametrize("k", ["2", "auto"])
@pytest.mark.parametrize("steps", ["none", "sphere,pca:20"])
@pytest.mark.parametrize("value", [None, np.nan, 1e20])
def test_latents_that_no_chain_can_cluster_are_refused(
    k: str, steps: str, value: float | None
) -> None:
    latents = np.ones((9, 3), np.float32)
    what = "all 9 points are the same: collapsed network or equal images"
    if value is not None:
        latents[:4] += np.arange(12, dtype=np.float32).reshape(4, 3)
        latents[5, 1] = value
        what = "holds values beyond 1e+12, infinity or NaN: the network has diverged"
    with refused(what=what, where=""):
        cluster_latents(latents, recipe_of(k=k, reduction=steps), seed=0)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_consensus_of_as_many_clusters_as_points_is_the_points(n: int) -> None:
    latents = np.random.default_rng(n).normal(size=(n, 8))
    result = cluster_latents(latents, recipe_of(k=n), seed=0)
    assert sorted(result.labels.tolist()) == list(range(n))
    assert result.agreement == 1
    with refused(what=f"{n} images cannot form {n + 1} clusters"):
        cluster_latents(latents, recipe_of(k=n + 1), seed=0)


@pytest.mark.parametrize("clusterer", ["consensus", "kmeans"])
@pytest.mark.parametrize("sizes", [(30, 25), (25, 20, 15)])
def test_auto_finds_the_number_of_groups(clusterer: str, sizes: tuple[int, ...]) -> None:
    points, truth = far_groups(sizes)
    recipe = recipe_of(k="auto", reduction="pca:4", clusterer=clusterer)
    result = cluster_latents(points, recipe, seed=0)
    assert result.k == len(sizes)
    assert result.estimate is not None
    assert result.labels.tolist() == numbered_by_size(truth)


def test_a_small_cluster_survives_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    # k-means finds six outliers, which fifteen neighbours would outvote
    points = np.random.default_rng(0).normal(size=(110, 2))
    points[:6] += 100
    limit_references(monkeypatch, 100)
    assert len(set(references(110, seed=0, limit=100)) & set(range(6))) >= 4
    result = cluster_latents(points, recipe_of(k=2, reduction="none"), seed=0)
    assert result.labels.tolist() == [1] * 6 + [0] * 104


def test_where_the_mixtures_lose_a_cluster_the_start_is_extended_by_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, truth = far_groups((60, 80), seed=2)
    limit_references(monkeypatch, 50)
    monkeypatch.setattr(chain, "settle", lambda *rest: None)
    result = cluster_latents(points, recipe_of(k=2), seed=0)
    assert result.labels.tolist() == numbered_by_size(truth)
    np.testing.assert_array_equal(result.probabilities, np.eye(2)[result.labels])


def test_a_chain_of_many_points_lists_what_stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    points, truth = far_groups((60, 80, 100), seed=2)
    points /= 10  # near enough for the kernel
    recipe = recipe_of(k=3, reduction="kpca:3", clusterer="agglomerative")
    assert cluster_latents(points, recipe, seed=0).substitutions == ()
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 100)
    monkeypatch.setattr(reduction, "LANDMARKS", 90)
    monkeypatch.setitem(clusterers.MOST, "agglomerative", 80)
    result = cluster_latents(points, recipe, seed=0)
    assert result.labels.tolist() == numbered_by_size(truth)
    assert result.substitutions == (
        "kernel PCA of 240 images is approximated by Nystroem with 90 landmarks",
        "80 random images decide the clusters; the other 160 follow their nearest neighbours",
    )
    limit_references(monkeypatch, 90)
    result = cluster_latents(points, recipe_of(k=3, reduction="pca:4"), seed=0)
    assert result.substitutions == (
        "90 random images decide the clusters; the other 150 follow them",
    )


# -- the network's own clusters ----------------------------------------------------------------


def square(quarter: Array) -> tuple[Array, Array, Array]:
    """Four groups that fall into left and right, or into top and bottom; left and right wins."""
    sides = np.stack([quarter // 2, quarter % 2], 1)
    noise = np.random.default_rng(0).normal(size=(len(quarter), 2))
    points = (2 * sides - 1) * [12.0, 8.0] + noise
    return points.astype(np.float32), sides[:, 0], sides[:, 1]


def test_the_network_decides_where_it_is_as_good_as_the_members() -> None:
    points, across, upright = square(np.arange(120) % 4)
    recipe = recipe_of(reduction="none")
    plain = cluster_latents(points, recipe, seed=0)
    assert score(plain.labels, across).accuracy == 1
    sure = (0.2 + 0.6 * np.eye(2)[upright]).astype(np.float32)
    result = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert result.labels.tolist() == numbered_by_size(upright)
    # the members agree with each other, and are measured by the labels that are given
    assert {member.agreement for member in plain.members} == {1.0}
    assert np.mean([member.agreement for member in result.members]) == result.agreement
    assert plain.agreement is not None
    assert result.agreement is not None
    assert result.agreement < 0.8 < plain.agreement
    # the mixtures start from its probabilities
    start = sure[:, ::-1] if result.labels[0] != upright[0] else sure
    wanted = settled(points, np.arange(120), start, [2])
    np.testing.assert_allclose(result.probabilities, wanted, atol=1e-6)


@pytest.mark.parametrize(("top", "stands"), [(47, True), (44, False), (25, False)])
def test_how_much_better_the_members_must_know(top: int, stands: bool) -> None:
    # left and right are even; top and bottom have 2 * top and 200 - 2 * top points, which tells
    # 0.3 %, 1.0 % and 19 % less: the entropies of .47, .44 and .25 against that of .5
    quarter = np.repeat([0, 1, 2, 3], [100 - top, top, 100 - top, top])
    points, across, upright = square(quarter)
    sure = (0.2 + 0.6 * np.eye(2)[upright]).astype(np.float32)
    result = cluster_latents(points, recipe_of(reduction="none"), seed=0, assignments=sure)
    assert score(result.labels, upright if stands else across).accuracy == 1


def test_a_network_that_knows_other_clusters_is_not_asked() -> None:
    points, truth = far_groups((40, 25))
    plain = cluster_latents(points, recipe_of(), seed=0)
    of_three = np.eye(3, dtype=np.float32)[truth]
    collapsed = np.tile(np.array([0.6, 0.4], np.float32), (65, 1))
    for assignments in (of_three, collapsed):
        result = cluster_latents(points, recipe_of(), seed=0, assignments=assignments)
        np.testing.assert_array_equal(result.labels, plain.labels)
        np.testing.assert_array_equal(result.shares, plain.shares)
        assert (result.agreement, result.members) == (plain.agreement, plain.members)
    # nor is any without a consensus
    kmeans = recipe_of(clusterer="kmeans", reduction="pca:2")
    wrong = np.eye(2, dtype=np.float32)[np.arange(65) % 2]
    alone = cluster_latents(points, kmeans, seed=0, assignments=wrong)
    np.testing.assert_array_equal(alone.labels, cluster(alone.points, 2, "kmeans", seed=0))


def test_the_network_labels_points_beyond_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_references(monkeypatch, 80)
    rows = references(180, seed=0, limit=80)
    quarter = np.arange(180) % 4
    quarter[rows] = np.arange(80) % 4  # 20 each: no neighbour is in another quarter
    points, across, upright = square(quarter)
    recipe = recipe_of(reduction="none")
    sure = (0.1 + 0.8 * np.eye(2)[upright]).astype(np.float32)
    result = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert result.labels.tolist() == numbered_by_size(upright)
    # a network that leaves a cluster of the references empty is not asked anywhere
    sure[rows] = [0.6, 0.4]
    result = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert result.labels.tolist() == numbered_by_size(across)


# -- how sure it is ----------------------------------------------------------------------------


def test_shares_are_no_surer_than_the_members_agree() -> None:
    # in as many dimensions mixtures are surer of noise than they should be
    latents = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    result = cluster_latents(latents, recipe_of(k=3), seed=0)
    assert result.shares is not None
    assert result.agreement is not None
    assert result.agreement < result.probabilities.max(1).mean()
    assert result.shares.max(1).mean() == pytest.approx(result.agreement, abs=1e-4)
    np.testing.assert_array_equal(result.confidence, result.shares.max(1))


def test_views_that_look_otherwise_make_less_sure() -> None:
    rng, kinds = np.random.default_rng(0), np.arange(200) % 3
    latents = (rng.normal(size=(200, 20)) + 3 * np.eye(3, 20)[kinds]).astype(np.float32)
    ask = partial(cluster_latents, latents, recipe_of(k=3), seed=0)
    plain = ask()
    # a network that has learnt the very clusters, under other numbers
    learnt = np.eye(3, dtype=np.float32)[(plain.labels + 1) % 3]
    rows = np.arange(0, 200, 2)
    known = ask(assignments=learnt)
    names = best_names(learnt.argmax(1), known.labels, 3)
    seen = np.argsort(names)[known.labels[rows]]
    seen[:20] = (seen[:20] + 1) % 3  # a fifth of the views fall elsewhere
    result = ask(assignments=learnt, views=Views(rows, clusters=seen))
    assert (plain.view_agreement, known.view_agreement) == (None, None)
    assert result.view_agreement == pytest.approx(0.8)
    np.testing.assert_array_equal(result.labels, known.labels)
    assert result.shares is not None
    assert result.agreement is not None
    assert result.shares.max(1).mean() == pytest.approx(0.8 * result.agreement, abs=1e-4)
    np.testing.assert_array_equal(result.shares.argmax(1), known.labels)


def test_views_that_are_all_elsewhere_leave_no_more_than_an_even_share() -> None:
    latents, truth = three_kinds()
    learnt = np.eye(3, dtype=np.float32)[truth]
    views = Views(np.arange(90), clusters=(truth + 1) % 3)
    result = cluster_latents(latents, recipe_of(k=3), seed=0, assignments=learnt, views=views)
    assert (result.agreement, result.view_agreement) == (1.0, 0.0)
    assert result.shares is not None
    assert result.shares.max(1).mean() == pytest.approx(1 / 3, abs=1e-2)
    np.testing.assert_array_equal(result.shares.argmax(1), result.labels)


def test_views_vote_where_the_networks_clusters_do_not_count() -> None:
    latents, truth = three_kinds()
    learnt = np.eye(3, dtype=np.float32)[truth % 2]  # one of its three clusters has no image
    rows = np.arange(0, 90, 2)
    elsewhere = latents[rows] + np.float32(1e-3)
    elsewhere[:9] = latents[(rows[:9] + 1) % 90]  # a fifth of the views look like other clusters
    views = Views(rows, elsewhere, truth[rows] % 2)
    ask = partial(cluster_latents, latents, recipe_of(k=3), seed=0, assignments=learnt)
    result = ask(views=views)
    assert result.agreement == 1.0
    assert result.view_agreement == pytest.approx(0.8)
    assert result.confidence.mean() == pytest.approx(0.8, abs=1e-3)
    result = ask(views=dataclasses.replace(views, latents=None))
    assert (result.agreement, result.view_agreement) == (1.0, None)


def test_no_more_neighbours_vote_on_a_view_than_its_cluster_has_others() -> None:
    latents, _ = three_kinds()
    latents = latents[np.r_[0:90:3, 1:90:3, 2:12:3]]  # 30, 30 and 4 of them
    labels = np.arange(64) // 30

    def agreement(n: int, rows: Array) -> float | None:
        views = Views(rows, latents[rows])
        return chain._view_agreement(views, latents[:n], labels[:n], np.arange(n), 3, None)

    assert agreement(64, np.arange(60, 64)) == 1.0  # by the three others
    # one alone has nobody to ask
    assert agreement(61, np.arange(61)) == 1.0
    assert agreement(61, np.arange(60, 61)) is None


@pytest.mark.parametrize("clusters", [None, 2, 4])
def test_views_of_a_network_that_knows_other_clusters_tell_nothing(clusters: int | None) -> None:
    latents = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    rows = np.arange(60)
    learnt = None if clusters is None else np.eye(clusters, dtype=np.float32)[rows % clusters]
    views = Views(rows, clusters=rows % (clusters or 3))
    result = cluster_latents(latents, recipe_of(k=3), seed=0, assignments=learnt, views=views)
    assert result.view_agreement is None
