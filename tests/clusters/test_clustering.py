"""Clusters that are obvious, the promise about their numbers, and votes against a plain loop."""

from __future__ import annotations

import dataclasses
import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import give_memory

from aeclust import memory
from aeclust.clusters import chain as chains
from aeclust.clusters import clusterers, reduction
from aeclust.clusters import neighbours as nearest
from aeclust.clusters.chain import (
    Views,
    cluster_latents,
)
from aeclust.clusters.clusterers import cluster, numbers_by_size
from aeclust.clusters.consensus import agree
from aeclust.clusters.mixtures import settle as settle_or_not
from aeclust.clusters.neighbours import (
    copies,
    label_others,
    neighbour_vote,
    neighbours,
    place_by_neighbours,
    references,
    votes_of_others,
)
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import best_names, score
from aeclust.errors import InputError
from aeclust.recipe import CLUSTERERS, Recipe, named

# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)

Array = NDArray[Any]

# those that `cluster` knows: a consensus is made of them by `cluster_latents`
SINGLE = [name for name in CLUSTERERS if name != "consensus"]
HYBRID = named("hybrid")
KINDS = ("kmeans", "gmm", "gmm-tied", "spectral")


def settle(points: Array, rows: Array, start: Array, sizes: list[int]) -> Array:
    found = settle_or_not(points, rows, start, sizes)
    assert found is not None
    return found


def groups(sizes: tuple[int, ...], *, seed: int = 0) -> tuple[NDArray[np.float32], Array]:
    """Groups far apart, in mixed order."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = 20.0 * np.eye(len(sizes), 4)[labels] + rng.normal(size=(len(labels), 4))
    return points.astype(np.float32), labels


def numbered_by_size(labels: Array) -> Array:
    """The promise of `cluster`, in a plain loop."""
    found = labels.tolist()
    order = sorted(set(found), key=lambda name: (-found.count(name), found.index(name)))
    return np.array([order.index(name) for name in found])


def refused(points: Array, k: int, clusterer: str = "kmeans") -> str:
    """The one line with which points are refused."""
    with pytest.raises(InputError) as caught:
        cluster(points, k, clusterer, seed=0)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- clusters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("clusterer", SINGLE)
@pytest.mark.parametrize("sizes", [(11, 25), (12, 16, 14), (12, 12, 12)])
def test_obvious_groups_are_found_and_numbered_by_size(
    clusterer: str, sizes: tuple[int, ...]
) -> None:
    points, truth = groups(sizes)
    found = cluster(points, len(sizes), clusterer, seed=0)
    assert found.dtype == np.int64
    assert found.tolist() == numbered_by_size(truth).tolist()


def test_ties_are_numbered_by_first_appearance() -> None:
    points = np.array([[9.0], [0.0], [5.0], [9.1], [0.1], [5.1], [0.2]])
    assert cluster(points, 3, "kmeans", seed=0).tolist() == [1, 0, 2, 1, 0, 2, 0]


@pytest.mark.parametrize("clusterer", SINGLE)
def test_the_same_seed_gives_the_same_bytes(clusterer: str) -> None:
    points = np.random.default_rng(3).normal(size=(50, 3)).astype(np.float32)
    before = points.copy()
    first, second = (cluster(points, 3, clusterer, seed=5) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    assert first.tolist() == numbered_by_size(first).tolist()
    np.testing.assert_array_equal(points, before)


@FEW
@given(st.lists(st.integers(0, 3), min_size=1))
def test_numbers_fall_by_size_whatever_the_clusterer_called_them(found: list[int]) -> None:
    _, labels = np.unique(found, return_inverse=True)
    k = int(labels.max()) + 1
    assert numbers_by_size(labels, k)[labels].tolist() == numbered_by_size(labels).tolist()


# -- degenerate points -------------------------------------------------------------------------


@pytest.mark.parametrize("clusterer", SINGLE)
@pytest.mark.parametrize("n", [2, 3, 11])
def test_as_many_clusters_as_points_are_the_points(clusterer: str, n: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 2))
    assert cluster(points, n, clusterer, seed=0).tolist() == list(range(n))


@pytest.mark.parametrize("clusterer", SINGLE)
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
    found = cluster(points, 2, clusterer, seed=0)
    if clusterer == "spectral":  # any cut of a graph without a path between the kinds
        assert found.tolist() == numbered_by_size(found).tolist()
        assert set(found.tolist()) == {0, 1}
    else:
        assert found.tolist() == truth


@pytest.mark.parametrize(
    ("clusterer", "scale"),
    # a fixed floor under their variances makes the mixtures alone blind to small points
    [
        (c, scale)
        for c in SINGLE
        for scale in (1e-10, 1e-5, 1e5, 1e10)
        if not c.startswith("gmm") or scale > 1
    ],
)
def test_the_scale_does_not_matter(clusterer: str, scale: float) -> None:
    points, truth = groups((15, 10))
    found = cluster(points * np.float32(scale), 2, clusterer, seed=0)
    assert found.tolist() == numbered_by_size(truth).tolist()


@pytest.mark.parametrize("clusterer", SINGLE)
@pytest.mark.parametrize(
    ("points", "k", "line"),
    [
        (
            np.eye(3), 4,
            "3 images cannot form 4 clusters; expected at most 3; lower k",
        ),
        (
            np.ones((1, 3)), 2,
            "1 images cannot form 2 clusters; expected at most 1; lower k",
        ),
        (
            np.ones((9, 3)), 2,
            "all 9 points are the same: collapsed network or equal images; expected latents that"
            " differ; train again with other images, more epochs, or a lower lr",
        ),
        (
            1e-30 * np.eye(9, 3), 2,
            "all 9 points are the same: collapsed network or equal images; expected latents that"
            " differ; train again with other images, more epochs, or a lower lr",
        ),
        (
            np.repeat(np.eye(3), 20, 0), 4,
            "only 3 different points for 4 clusters; expected at least 4 different ones;"
            " lower k, or add other images",
        ),
        (
            np.array([[0.0], [np.nan], [1.0]]), 2,
            "holds values beyond 1e+12, infinity or NaN: the network has diverged;"
            " expected finite latents of ordinary size; train again with a lower lr",
        ),
        (
            np.array([[0.0], [1e300], [1.0]]), 2,
            "holds values beyond 1e+12, infinity or NaN: the network has diverged;"
            " expected finite latents of ordinary size; train again with a lower lr",
        ),
    ],
)  # fmt: skip
def test_points_that_cannot_form_clusters_are_refused(
    clusterer: str, points: Array, k: int, line: str
) -> None:
    assert refused(points, k, clusterer) == line


def test_different_points_are_counted_beyond_the_first_ones() -> None:
    points = np.concatenate([np.zeros((30, 1)), [[1.0], [2.0]]])
    assert cluster(points, 3, "kmeans", seed=0).tolist() == [0] * 30 + [1, 2]


def test_a_clusterer_that_finds_too_few_clusters_is_refused() -> None:
    # to the mixture these are one Gaussian, whose variance is below its floor
    points = 1e-6 * np.random.default_rng(0).uniform(size=(40, 4))
    assert refused(points, 3, "gmm") == (
        "gmm found only 1 of 3 clusters; expected points that fall into as many groups;"
        " lower k or choose another clusterer"
    )


def test_a_mixture_of_flat_gaussians_is_refused() -> None:
    points = 1e7 * np.random.default_rng(0).normal(size=(12, 64))
    assert refused(points, 3, "gmm") == (
        "gmm cannot form 3 clusters of these points; expected points that spread in"
        " every direction of their clusters; use clusterer kmeans, or fewer dimensions by"
        " reduction"
    )


@pytest.mark.parametrize("clusterer", ["spectral", "agglomerative"])
def test_clusterers_of_all_pairs_ask_before_they_take_memory(
    clusterer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, truth = groups((15, 10))
    wanted = numbered_by_size(truth).tolist()
    needed = {
        "spectral": memory.spectral(25, points.shape[1], 2),
        "agglomerative": memory.agglomerative(25, points.shape[1]),
    }[clusterer]
    give_memory(monkeypatch, needed + 1)
    assert cluster(points, 2, clusterer, seed=0).tolist() == wanted
    give_memory(monkeypatch, needed - 1)
    assert cluster(points, 2, "kmeans", seed=0).tolist() == wanted
    assert refused(points, 2, clusterer) == (
        f"{clusterer} clustering of 25 points needs about 0 GB of memory;"
        " expected at most 0 GB, all that this machine has; use clusterer kmeans"
    )


@pytest.mark.parametrize("n", range(9, 16))
def test_spectral_clustering_of_few_points_says_nothing(n: int) -> None:
    # around 5 k + 1 points the solver would fall back on another one, and say so
    points, _ = groups((n - n // 2, n // 2))
    found = cluster(points[:, :3], 2, "spectral", seed=0)
    assert found.tolist() == numbered_by_size(found).tolist()
    assert set(found.tolist()) == {0, 1}


@pytest.mark.parametrize("n", [6, 12, 20])
def test_spectral_clustering_does_not_take_as_many_points_as_values_for_a_graph(n: int) -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], [n - n // 2 + 1, n // 2 - 1])
    points = rng.normal(size=(n, n)) + 20 * truth[:, np.newaxis]
    assert points.shape == (n, n)
    assert set(cluster(points, 2, "spectral", seed=0).tolist()) == {0, 1}


# -- a recipe's whole chain --------------------------------------------------------------------


def chain(**changes: object) -> Recipe:
    """The hybrid's sphere, PCA and consensus, or others."""
    return HYBRID.override(changes)


@pytest.mark.parametrize("clusterer", SINGLE)
def test_one_clusterer_is_reduction_and_cluster(clusterer: str) -> None:
    points, truth = groups((14, 24, 18))
    recipe = named("baseline").override({"reduction": "pca:2", "clusterer": clusterer, "k": 3})
    found = cluster_latents(points, recipe, seed=3)
    reduced = reduce(points, ("pca:2",), seed=3)
    np.testing.assert_array_equal(found.points, reduced)
    np.testing.assert_array_equal(found.labels, cluster(reduced, 3, clusterer, seed=3))
    assert found.labels.tolist() == numbered_by_size(truth).tolist()
    assert (found.k, found.shares, found.agreement, found.members) == (3, None, None, [])


@pytest.mark.parametrize("sizes", [(40, 25), (20, 30, 25), (21, 20, 19, 18)])
def test_a_consensus_finds_obvious_groups(sizes: tuple[int, ...]) -> None:
    points, truth = groups(sizes)
    k = len(sizes)
    found = cluster_latents(points, chain(k=k), seed=0)
    assert found.labels.dtype == np.int64
    assert found.labels.tolist() == numbered_by_size(truth).tolist()
    # PCA is limited to the four values of a latent
    np.testing.assert_array_equal(found.points, reduce(points, ("sphere", "pca:4"), seed=0))
    assert found.substitutions == (f"pca:20 of {len(points)} latents with 4 values is pca:4",)
    assert [member.name for member in found.members] == [
        f"{name} in {size} dimensions" for size in (4, 2) for name in KINDS
    ]
    assert not any(member.collapsed for member in found.members[: len(KINDS)])
    assert found.shares is not None
    assert found.shares.dtype == np.float32
    np.testing.assert_array_equal(found.shares.argmax(1), found.labels)
    np.testing.assert_allclose(found.shares.sum(1), 1, atol=1e-6)
    assert found.agreement is not None
    assert 0.8 < found.agreement <= 1


@pytest.mark.parametrize("seed", range(4))
def test_a_consensus_is_what_its_members_agree_on_numbered_by_size(seed: int) -> None:
    latents = np.random.default_rng(seed).normal(size=(60, 5)).astype(np.float32)
    recipe = chain(k=3, reduction="pca:5")
    found = cluster_latents(latents, recipe, seed=seed)
    points = reduce(latents, ("pca:5",), seed=seed)
    agreed = agree(
        {
            f"{name} in {size} dimensions": cluster(
                points[:, :size], 3, name, seed=seed, member=member
            )
            for member, (size, name) in enumerate(itertools.product((5, 2), KINDS))
        },
        neighbours(points),
        3,
        seed=seed,
    )
    shares = settle(points, np.arange(60), np.eye(3)[agreed.labels], [5, 2])
    labels = shares.argmax(1)
    assert found.labels.tolist() == numbered_by_size(labels).tolist()
    assert (found.agreement, found.members) == (agreed.led(labels, 3).agreement, agreed.members)
    # the columns follow the final numbers
    for new in range(3):
        old = int(labels[np.argmax(found.labels == new)])
        np.testing.assert_array_equal(found.probabilities[:, new], shares[:, old])
    again = cluster_latents(latents, recipe, seed=seed)
    assert again.labels.tobytes() == found.labels.tobytes()
    assert again.probabilities.tobytes() == found.probabilities.tobytes()


@pytest.mark.parametrize("d", [1, 2, 3, 6])
def test_the_members_work_in_all_and_in_half_of_the_dimensions(d: int) -> None:
    rng = np.random.default_rng(0)
    latents = 20.0 * (np.arange(40) % 2)[:, np.newaxis] + rng.normal(size=(40, d))
    found = cluster_latents(latents, chain(k=2, reduction="none"), seed=0)
    assert score(found.labels, np.arange(40) % 2).accuracy == 1
    sizes = {1: (1,), 2: (2,), 3: (3, 2), 6: (6, 3)}[d]
    assert [member.name for member in found.members] == [
        f"{name} in {size} dimensions" for size in sizes for name in KINDS
    ]


def square(quarter: Array) -> tuple[Array, Array, Array]:
    """Four groups that fall into left and right, or into top and bottom; left and right wins."""
    rng = np.random.default_rng(0)
    n = len(quarter)
    sides = np.stack([quarter // 2, quarter % 2], 1)
    points = (2 * sides - 1) * [12.0, 8.0] + rng.normal(size=(n, 2))
    return points.astype(np.float32), sides[:, 0], sides[:, 1]


def test_the_network_decides_where_it_is_as_good_as_the_members() -> None:
    points, across, upright = square(np.arange(120) % 4)
    recipe = chain(reduction="none")
    plain = cluster_latents(points, recipe, seed=0)
    assert score(plain.labels, across).accuracy == 1
    sure = (0.2 + 0.6 * np.eye(2)[upright]).astype(np.float32)
    found = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert found.labels.tolist() == numbered_by_size(upright).tolist()
    assert found.members == plain.members
    assert plain.agreement is not None
    assert found.agreement is not None
    assert found.agreement < 0.8 < plain.agreement
    # the mixtures start from its probabilities
    start = sure[:, ::-1] if found.labels[0] != upright[0] else sure
    wanted = settle(points, np.arange(120), start, [2])
    np.testing.assert_allclose(found.probabilities, wanted, atol=1e-6)


@pytest.mark.parametrize(("top", "stands"), [(47, True), (44, False)])
def test_how_much_better_the_members_must_know(top: int, stands: bool) -> None:
    # left and right are even; top and bottom have 2 * top and 200 - 2 * top points, which tells
    # 0.3 % and 1.0 % less: the entropies of .47 and of .44 against that of .5
    quarter = np.repeat([0, 1, 2, 3], [100 - top, top, 100 - top, top])
    points, across, upright = square(quarter)
    sure = (0.2 + 0.6 * np.eye(2)[upright]).astype(np.float32)
    found = cluster_latents(points, chain(reduction="none"), seed=0, assignments=sure)
    assert score(found.labels, upright if stands else across).accuracy == 1


def test_members_that_know_clearly_better_overrule_the_network() -> None:
    points, across, _ = square(np.arange(120) % 4)
    # one quarter against three tells less about a neighbour than two against two
    uneven = np.eye(2, dtype=np.float32)[(np.arange(120) % 4 == 3).astype(int)]
    found = cluster_latents(points, chain(reduction="none"), seed=0, assignments=uneven)
    assert score(found.labels, across).accuracy == 1


def test_a_network_that_knows_other_clusters_has_no_say() -> None:
    points, truth = groups((40, 25))
    plain = cluster_latents(points, chain(), seed=0)
    of_three = np.eye(3, dtype=np.float32)[truth]
    collapsed = np.tile(np.array([0.6, 0.4], np.float32), (65, 1))
    for assignments in (of_three, collapsed):
        found = cluster_latents(points, chain(), seed=0, assignments=assignments)
        np.testing.assert_array_equal(found.labels, plain.labels)
        np.testing.assert_array_equal(found.shares, plain.shares)
        assert (found.agreement, found.members) == (plain.agreement, plain.members)
    # nor has any without a consensus
    kmeans = chain(clusterer="kmeans", reduction="pca:2")
    wrong = np.eye(2, dtype=np.float32)[np.arange(65) % 2]
    alone = cluster_latents(points, kmeans, seed=0, assignments=wrong)
    np.testing.assert_array_equal(alone.labels, cluster(alone.points, 2, "kmeans", seed=0))
    assert alone.shares is None


def test_a_clusterer_that_fails_is_a_collapsed_member() -> None:
    # one Gaussian to the mixture, whose variance is below its floor
    latents = 1e-6 * np.random.default_rng(0).uniform(size=(40, 4))
    found = cluster_latents(latents, chain(k=3, reduction="none"), seed=0)
    lost = {member.name for member in found.members if member.collapsed}
    assert {"gmm in 4 dimensions", "gmm in 2 dimensions"} <= lost
    assert "kmeans in 4 dimensions" not in lost
    assert found.k == 3


@pytest.mark.parametrize("k", ["2", "auto"])
@pytest.mark.parametrize("reduction", ["none", "sphere,pca:20"])
@pytest.mark.parametrize(
    ("value", "line"),
    [
        (None, "all 9 points are the same: collapsed network or equal images"),
        (np.nan, "holds values beyond 1e\\+12, infinity or NaN: the network has diverged"),
        (1e20, "holds values beyond 1e\\+12, infinity or NaN: the network has diverged"),
    ],
)
def test_latents_that_no_chain_can_cluster_are_refused(
    k: str, reduction: str, value: float | None, line: str
) -> None:
    latents = np.ones((9, 3), np.float32)
    if value is not None:
        latents[:4] += np.arange(12, dtype=np.float32).reshape(4, 3)
        latents[5, 1] = value
    with pytest.raises(InputError, match=f"^{line}") as caught:
        cluster_latents(latents, chain(k=k, reduction=reduction), seed=0)
    assert caught.value.exit_code == 2


def test_too_many_clusters_are_refused_by_a_consensus() -> None:
    with pytest.raises(InputError, match=r"^3 images cannot form 4 clusters"):
        cluster_latents(np.eye(3), chain(k=4), seed=0)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_consensus_of_as_many_clusters_as_points_is_the_points(n: int) -> None:
    latents = np.random.default_rng(n).normal(size=(n, 8))
    found = cluster_latents(latents, chain(k=n), seed=0)
    assert sorted(found.labels.tolist()) == list(range(n))
    assert found.agreement == 1


@pytest.mark.parametrize("clusterer", ["consensus", "kmeans"])
@pytest.mark.parametrize("sizes", [(30, 25), (25, 20, 15)])
def test_auto_finds_the_number_of_groups(clusterer: str, sizes: tuple[int, ...]) -> None:
    points, truth = groups(sizes)
    found = cluster_latents(points, chain(k="auto", reduction="pca:4", clusterer=clusterer), seed=0)
    assert found.k == len(sizes)
    assert found.labels.tolist() == numbered_by_size(truth).tolist()


def limit_references(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(chains, "references", partial(references, limit=limit))


def test_a_consensus_of_many_points_is_extended_by_its_mixtures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, truth = groups((60, 80, 100), seed=2)
    limit_references(monkeypatch, 90)
    found = cluster_latents(points, chain(k=3, reduction="pca:4"), seed=0)
    assert found.labels.tolist() == numbered_by_size(truth).tolist()
    assert found.shares is not None
    assert found.shares.shape == (240, 3)
    # the members agree on the sample, and its points vote for the others
    kept = references(240, seed=0, limit=90)
    sample = found.points[kept]
    names = {f"{name} in {size} dimensions": (name, size) for size in (4, 2) for name in KINDS}
    members = {
        text: cluster(sample[:, :size], 3, name, seed=0, member=member)
        for member, (text, (name, size)) in enumerate(names.items())
    }
    agreed = agree(members, neighbours(sample), 3, seed=0)
    shares = settle(found.points, kept, np.eye(3)[agreed.labels], [4, 2])
    assert (found.agreement, found.members) == (
        agreed.led(shares[kept].argmax(1), 3).agreement,
        agreed.members,
    )
    for new in range(3):
        old = int(shares.argmax(1)[np.argmax(found.labels == new)])
        np.testing.assert_array_equal(found.probabilities[:, new], shares[:, old])


def test_the_network_labels_points_beyond_the_references(monkeypatch: pytest.MonkeyPatch) -> None:
    limit_references(monkeypatch, 80)
    kept = references(180, seed=0, limit=80)
    quarter = np.arange(180) % 4
    quarter[kept] = np.arange(80) % 4  # 20 each: no neighbour is in another quarter
    points, across, upright = square(quarter)
    recipe = chain(reduction="none")
    sure = (0.1 + 0.8 * np.eye(2)[upright]).astype(np.float32)
    found = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert found.labels.tolist() == numbered_by_size(upright).tolist()
    # a network that leaves a cluster of the references empty has no say anywhere
    sure[kept] = [0.6, 0.4]
    found = cluster_latents(points, recipe, seed=0, assignments=sure)
    assert found.labels.tolist() == numbered_by_size(across).tolist()


@pytest.mark.parametrize("n", [2, 3, 15, 16, 40])
def test_neighbours_are_the_nearest_others(n: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 3))
    found = neighbours(points)
    assert found.shape == (n, min(15, n - 1))
    for i, rows in enumerate(found.tolist()):
        gaps = np.linalg.norm(points - points[i], axis=1)
        others = sorted((row for row in range(n) if row != i), key=gaps.__getitem__)
        assert rows == others[: len(rows)]


def test_neighbours_do_not_depend_on_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    whole = neighbours(points)
    monkeypatch.setattr(nearest, "_ROWS", 7)
    np.testing.assert_array_equal(neighbours(points), whole)


def test_a_small_cluster_survives_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    # k-means finds six outliers, which fifteen neighbours would outvote
    rng = np.random.default_rng(0)
    points = rng.normal(size=(110, 2))
    points[:6] += 100
    limit_references(monkeypatch, 100)
    assert len(set(references(110, seed=0, limit=100)) & set(range(6))) >= 4
    found = cluster_latents(points, chain(k=2, reduction="none"), seed=0)
    assert found.labels.tolist() == [1] * 6 + [0] * 104


def test_where_the_mixtures_lose_a_cluster_the_start_is_extended_by_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, truth = groups((60, 80), seed=2)
    limit_references(monkeypatch, 50)
    monkeypatch.setattr(chains, "settle", lambda *rest: None)
    found = cluster_latents(points, chain(k=2), seed=0)
    assert found.labels.tolist() == numbered_by_size(truth).tolist()
    assert found.shares is not None
    np.testing.assert_array_equal(found.shares, np.eye(2)[found.labels])


def test_empty_dimensions_are_no_obstacle() -> None:
    points, truth = groups((20, 16))
    wide = np.concatenate([np.zeros_like(points), points], 1)
    found = cluster_latents(wide, chain(k=2, reduction="none"), seed=0)
    assert found.labels.tolist() == numbered_by_size(truth).tolist()


def test_tempered_shares_are_no_surer_than_the_members_agree() -> None:
    # in as many dimensions mixtures are surer of noise than they should be
    latents = np.random.default_rng(0).normal(size=(200, 20)).astype(np.float32)
    found = cluster_latents(latents, chain(k=3), seed=0)
    assert found.shares is not None
    assert found.agreement is not None
    assert found.agreement < found.probabilities.max(1).mean()
    assert found.shares.max(1).mean() == pytest.approx(found.agreement, abs=1e-4)
    np.testing.assert_array_equal(found.confidence, found.shares.max(1))


def test_views_that_look_otherwise_make_less_sure() -> None:
    rng, kinds = np.random.default_rng(0), np.arange(200) % 3
    latents = (rng.normal(size=(200, 20)) + 3 * np.eye(3, 20)[kinds]).astype(np.float32)
    recipe = chain(k=3)
    plain = cluster_latents(latents, recipe, seed=0)
    # a network that has learnt the very clusters, under other numbers
    learnt = np.eye(3, dtype=np.float32)[(plain.labels + 1) % 3]
    rows = np.arange(0, 200, 2)
    known = cluster_latents(latents, recipe, seed=0, assignments=learnt)
    names = best_names(learnt.argmax(1), known.labels, 3)
    seen = np.argsort(names)[known.labels[rows]]
    seen[:20] = (seen[:20] + 1) % 3  # a fifth of the views fall elsewhere
    found = cluster_latents(
        latents, recipe, seed=0, assignments=learnt, views=Views(rows, clusters=seen)
    )
    assert (plain.view_agreement, known.view_agreement) == (None, None)
    assert found.view_agreement == pytest.approx(0.8)
    np.testing.assert_array_equal(found.labels, known.labels)
    assert found.shares is not None
    assert found.agreement is not None
    assert found.shares.max(1).mean() == pytest.approx(0.8 * found.agreement, abs=1e-4)
    np.testing.assert_array_equal(found.shares.argmax(1), known.labels)


def three_kinds() -> tuple[Array, Array]:
    """Ninety points in three clusters far apart, and which."""
    truth = np.arange(90) % 3
    noise = np.random.default_rng(0).normal(size=(90, 4))
    return (noise + 50 * np.eye(3, 4)[truth]).astype(np.float32), truth


def test_views_that_are_all_elsewhere_leave_no_more_than_an_even_share() -> None:
    latents, truth = three_kinds()
    learnt = np.eye(3, dtype=np.float32)[truth]
    views = Views(np.arange(90), clusters=(truth + 1) % 3)
    found = cluster_latents(latents, chain(k=3), seed=0, assignments=learnt, views=views)
    assert (found.agreement, found.view_agreement) == (1.0, 0.0)
    assert found.shares is not None
    assert found.shares.max(1).mean() == pytest.approx(1 / 3, abs=1e-2)
    np.testing.assert_array_equal(found.shares.argmax(1), found.labels)


def test_views_vote_where_the_networks_clusters_do_not_count() -> None:
    latents, truth = three_kinds()
    learnt = np.eye(3, dtype=np.float32)[truth % 2]  # one of its three clusters has no image
    rows = np.arange(0, 90, 2)
    elsewhere = latents[rows] + np.float32(1e-3)
    elsewhere[:9] = latents[(rows[:9] + 1) % 90]  # a fifth of the views look like other clusters
    views = Views(rows, elsewhere, truth[rows] % 2)
    found = cluster_latents(latents, chain(k=3), seed=0, assignments=learnt, views=views)
    assert found.agreement == 1.0
    assert found.view_agreement == pytest.approx(0.8)
    assert found.confidence.mean() == pytest.approx(0.8, abs=1e-3)
    old = dataclasses.replace(views, latents=None)
    found = cluster_latents(latents, chain(k=3), seed=0, assignments=learnt, views=old)
    assert (found.agreement, found.view_agreement) == (1.0, None)


def test_no_more_neighbours_vote_on_a_view_than_its_cluster_has_others() -> None:
    latents, _ = three_kinds()
    latents = latents[np.r_[0:90:3, 1:90:3, 2:12:3]]  # 30, 30 and 4 of them
    last = np.arange(60, 64)
    found = cluster_latents(latents, chain(k=3), seed=0, views=Views(last, latents[last]))
    assert found.labels[last].tolist() == [2] * 4
    assert found.view_agreement == 1.0  # by the three others
    # one alone has nobody to ask
    latents = latents[:61]
    everyone = np.arange(61)
    found = cluster_latents(latents, chain(k=3), seed=0, views=Views(everyone, latents))
    assert np.bincount(found.labels).tolist() == [30, 30, 1]
    assert found.view_agreement == 1.0
    found = cluster_latents(latents, chain(k=3), seed=0, views=Views(everyone[60:], latents[60:]))
    assert found.view_agreement is None


@pytest.mark.parametrize("clusters", [None, 2, 4])
def test_views_of_a_network_that_knows_other_clusters_say_nothing(clusters: int | None) -> None:
    latents = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    rows = np.arange(60)
    learnt = None if clusters is None else np.eye(clusters, dtype=np.float32)[rows % clusters]
    views = Views(rows, clusters=rows % (clusters or 3))
    found = cluster_latents(latents, chain(k=3), seed=0, assignments=learnt, views=views)
    assert found.view_agreement is None


# -- many points -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("clusterer", "by"),
    [
        ("kmeans", "the fitted model"),
        ("gmm", "the fitted model"),
        ("gmm-tied", "the fitted model"),
        ("spectral", "the vote of neighbours"),
        ("agglomerative", "the vote of neighbours"),
    ],
)
def test_a_clustering_of_many_points_is_that_of_some(
    clusterer: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    points, truth = groups((60, 80, 100), seed=2)
    told: list[str] = []
    exact = cluster(points, 3, clusterer, seed=0, note=told.append)
    assert told == []
    monkeypatch.setitem(clusterers.MOST, clusterer, 90)
    monkeypatch.setattr(clusterers, "_ROWS", 32)
    found = cluster(points, 3, clusterer, seed=0, note=told.append)
    assert found.dtype == np.int64
    assert found.tolist() == exact.tolist() == numbered_by_size(truth).tolist()
    assert told == [
        f"{clusterer} clustering of 240 points is that of 90 random ones, extended by {by}"
    ]


def test_only_mini_batches_take_all_points() -> None:
    assert clusterers.MOST.keys() == {*SINGLE} - {"minibatch-kmeans"}


def test_a_chain_of_many_points_lists_what_stood_in(monkeypatch: pytest.MonkeyPatch) -> None:
    points, truth = groups((60, 80, 100), seed=2)
    points /= 10  # near enough for the kernel
    recipe = chain(k=3, reduction="kpca:3", clusterer="agglomerative")
    assert cluster_latents(points, recipe, seed=0).substitutions == ()
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 100)
    monkeypatch.setattr(reduction, "LANDMARKS", 90)
    monkeypatch.setitem(clusterers.MOST, "agglomerative", 80)
    found = cluster_latents(points, recipe, seed=0)
    assert found.labels.tolist() == numbered_by_size(truth).tolist()
    assert found.substitutions == (
        "kernel PCA of 240 points is approximated by Nystroem with 90 landmarks",
        "agglomerative clustering of 240 points is that of 80 random ones, extended by the vote of"
        " neighbours",
    )
    limit_references(monkeypatch, 90)
    found = cluster_latents(points, chain(k=3, reduction="pca:4"), seed=0)
    assert found.substitutions == (
        "consensus of 240 points is that of 90 random ones, extended by Gaussian mixtures",
    )


# -- confidence --------------------------------------------------------------------------------


def test_votes_of_others_by_hand() -> None:
    latents = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    votes = votes_of_others(latents, np.array([0, 0, 0, 1]), np.arange(4), 2)
    assert votes.dtype == np.float32
    # three others vote for each: two of them in the cluster of the first three, none in the last's
    np.testing.assert_allclose(votes, [[2 / 3, 1 / 3]] * 3 + [[1, 0]])


def test_one_clusterer_is_as_sure_as_the_references_nearby(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    latents = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    limit_references(monkeypatch, 30)
    recipe = chain(clusterer="kmeans", reduction="none")
    found = cluster_latents(latents, recipe, seed=4)
    kept = references(50, seed=4, limit=30).tolist()
    assert found.references.tolist() == kept
    wanted = []
    for i in range(50):
        gaps = [np.square(latents[i] - latents[j]).sum() if j != i else np.inf for j in kept]
        nearest = np.argsort(gaps)[:15]
        wanted.append(np.mean([found.labels[kept[j]] == found.labels[i] for j in nearest]))
    assert found.confidence.dtype == np.float32
    np.testing.assert_allclose(found.confidence, wanted, atol=1e-6)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)


def test_others_get_the_vote_of_the_references_alone() -> None:
    latents = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    labels, others = np.array([0, 0, 1, 1, 0]), np.array([[1.5], [10.5]])
    found, sure = label_others(others, latents, labels, np.array([1, 2, 3]), 2)
    assert (found.tolist(), found.dtype) == ([1, 1], np.int64)
    np.testing.assert_allclose(sure, [2 / 3, 2 / 3])
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.7, 0.3], [0, 1]], np.float32)
    found, sure = label_others(others, latents, labels, np.array([1, 2, 3]), 2, shares)
    assert found.tolist() == [0, 0]
    np.testing.assert_allclose(sure, [0.6, 0.6])


def test_copies_are_found_by_their_fingerprints() -> None:
    known = np.array([7, 9, 2**63, 9], np.uint64)
    found = copies(np.array([2**63, 1, 9], np.uint64), known)
    assert (found.tolist(), found.dtype) == ([2, -1, 3], np.int64)


# -- votes -------------------------------------------------------------------------------------


def looped_vote(
    queries: Array, known: Array, labels: Array, k: int, exclude: Array | None, voters: int
) -> tuple[list[int], list[list[float]]]:
    """One query, one reference at a time."""
    winners, shares = [], []
    for i, query in enumerate(queries):
        order = sorted(range(len(known)), key=lambda j: float(((query - known[j]) ** 2).sum()))
        if exclude is not None and exclude[i] >= 0:
            order.remove(int(exclude[i]))
        count = min(voters, len(known) - (exclude is not None))
        nearest = [int(labels[j]) for j in order[:count]]
        votes = [nearest.count(j) for j in range(k)]
        winners.append(next(name for name in nearest if votes[name] == max(votes)))
        shares.append([vote / count for vote in votes])
    return winners, shares


@FEW
@given(
    st.integers(2, 40),
    st.integers(2, 4),
    st.booleans(),
    st.sampled_from([1, 4, 15]),
    st.integers(0, 2**20),
)
def test_the_vote_against_a_plain_loop(
    m: int, k: int, leave_out: bool, voters: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    known, labels = rng.normal(size=(m, 3)), rng.integers(0, k, m)
    itself = rng.permutation(m)[: m // 2 + 1]
    queries = np.concatenate([known[itself], rng.normal(size=(5, 3))])
    exclude = np.concatenate([itself, np.full(5, -1)]) if leave_out else None
    found, shares = neighbour_vote(queries, known, labels, k, exclude=exclude, count=voters)
    winners, wanted = looped_vote(queries, known, labels, k, exclude, voters)
    assert found.dtype == np.int64
    assert shares.dtype == np.float32
    assert found.tolist() == winners
    np.testing.assert_allclose(shares, wanted, atol=1e-6)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-6)


def test_a_tied_vote_goes_to_the_nearest() -> None:
    known = np.array([[1.0], [-2.0], [3.0], [-4.0]])
    found, shares = neighbour_vote(np.zeros((1, 1)), known, np.array([2, 0, 0, 2]), 3)
    assert found.tolist() == [2]
    assert shares.tolist() == [[0.5, 0.0, 0.5]]
    # the nearest of all is in no tie
    known = np.array([[1.0], [-2.0], [3.0], [-4.0], [5.0]])
    found, _ = neighbour_vote(np.zeros((1, 1)), known, np.array([1, 2, 0, 0, 2]), 3)
    assert found.tolist() == [2]


def test_references_vote_with_their_probabilities() -> None:
    known = np.array([[0.0], [1.0], [2.0]])
    labels = np.array([0, 0, 1])
    probabilities = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], np.float32)
    found, shares = neighbour_vote(
        np.zeros((1, 1)), known, labels, 2, reference_shares=probabilities
    )
    # two of three say 0, but one is surer than both of them
    assert found.tolist() == [1]
    np.testing.assert_allclose(shares, [[1.3 / 3, 1.7 / 3]], rtol=1e-6)
    assert shares.dtype == np.float32
    # sure references vote as their labels do
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    names = np.arange(60) % 3
    sure = np.eye(3, dtype=np.float32)[names]
    plain = neighbour_vote(points[:20], points[20:], names[20:], 3)
    soft = neighbour_vote(points[:20], points[20:], names[20:], 3, reference_shares=sure[20:])
    np.testing.assert_allclose(soft[1], plain[1], atol=1e-6)
    # and nobody votes for itself
    exclude = np.array([0, -1, -1])
    alone = neighbour_vote(
        known, known, labels, 2, reference_shares=probabilities, exclude=exclude
    )[1]
    np.testing.assert_allclose(alone[0], [0.35, 0.65], rtol=1e-6)


def test_only_the_fifteen_nearest_vote() -> None:
    known = np.arange(1.0, 41.0)[:, np.newaxis]
    labels = (np.arange(40) >= 8).astype(np.int64)
    found, shares = neighbour_vote(np.zeros((1, 1)), known, labels, 2)
    assert found.tolist() == [0]
    np.testing.assert_allclose(shares, [[8 / 15, 7 / 15]])


def test_a_query_that_is_a_reference_has_no_vote_for_itself() -> None:
    known, labels = np.array([[0.0], [1.0], [2.0]]), np.array([1, 0, 0])
    found, shares = neighbour_vote(known[:1], known, labels, 2, exclude=np.array([0]))
    assert (found.tolist(), shares.tolist()) == ([0], [[1.0, 0.0]])


def test_blocks_of_queries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    known, labels = rng.normal(size=(30, 3)), rng.integers(0, 2, 30)
    exclude = np.arange(30) % 30
    whole = neighbour_vote(known, known, labels, 2, exclude=exclude)
    placed = place_by_neighbours(known, known, known[:, :2].astype(np.float32))
    monkeypatch.setattr(nearest, "_ROWS", 7)
    parts = neighbour_vote(known, known, labels, 2, exclude=exclude)
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])
    again = place_by_neighbours(known, known, known[:, :2].astype(np.float32))
    np.testing.assert_allclose(again, placed)


@pytest.mark.parametrize(("offset", "scale"), [(0, 1e-4), (1e3, 1e-2), (0, 1e18)])
def test_neighbours_are_right_at_any_scale(offset: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    known = (offset + scale * rng.normal(size=(60, 8))).astype(np.float32)
    labels = rng.integers(0, 3, 60)
    exclude = np.arange(60)
    found, _ = neighbour_vote(known, known, labels, 3, exclude=exclude)
    exact = known.astype(np.float64)
    assert found.tolist() == looped_vote(exact, exact, labels, 3, exclude, 15)[0]


# -- places ------------------------------------------------------------------------------------


def test_a_new_point_lands_amid_its_three_nearest() -> None:
    known = np.array([[0.0], [1.0], [2.0], [9.0]])
    positions = np.array([[0, 0], [3, 0], [0, 6], [50, 50]], np.float32)
    found = place_by_neighbours(np.array([[0.9], [8.0]]), known, positions)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, np.array([[1, 2], [53 / 3, 56 / 3]]), rtol=1e-6)


def test_fewer_than_three_references_are_enough() -> None:
    positions = np.array([[2, 4], [4, 8]], np.float32)
    found = place_by_neighbours(np.array([[5.0]]), np.array([[0.0], [1.0]]), positions)
    np.testing.assert_allclose(found, [[3, 6]])
    np.testing.assert_allclose(
        place_by_neighbours(np.array([[5.0]]), np.array([[0.0]]), positions[:1]), [[2, 4]]
    )


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (0, 1e-5), (100, 1e-2), (0, 1e18)])
def test_a_reference_lands_on_its_own_position(offset: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    known = (offset + scale * rng.normal(size=(200, 64))).astype(np.float32)
    positions = rng.normal(size=(200, 2)).astype(np.float32)
    order = rng.permutation(200)
    found = place_by_neighbours(known[order], known, positions)
    np.testing.assert_array_equal(found, positions[order])


def test_equal_references_share_their_mean() -> None:
    known = np.array([[0.0], [0.0], [1.0], [2.0]])
    positions = np.array([[0, 0], [2, 4], [9, 9], [9, 9]], np.float32)
    np.testing.assert_allclose(place_by_neighbours(known[:1], known, positions), [[1, 2]])


# -- references --------------------------------------------------------------------------------


def test_all_rows_are_kept_up_to_the_limit() -> None:
    assert references(5, seed=0, limit=5).tolist() == [0, 1, 2, 3, 4]
    assert len(references(10_000, seed=0)) == 10_000
    assert len(references(10_001, seed=0)) == 10_000


@FEW
@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_kept_rows_are_ascending_and_the_seed_decides_them(n: int, limit: int, seed: int) -> None:
    rows = references(n, seed=seed, limit=limit)
    assert len(rows) == min(n, limit)
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows[0] <= rows[-1] < n
    assert rows.tolist() == references(n, seed=seed, limit=limit).tolist()


def test_kept_rows_are_even() -> None:
    counts = np.zeros(20)
    for seed in range(400):
        counts[references(20, seed=seed, limit=5)] += 1
    # 100 expected for each row, with a standard deviation of 8.7
    assert abs(counts - 100).max() < 45
