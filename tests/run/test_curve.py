"""Checkpoints measured one by one, and what they say together, by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aeclust.clusters import chain
from aeclust.clusters.chain import Views, cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import INDICATORS, Indicators, indicate
from aeclust.clusters.neighbours import neighbour_vote, references
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import score
from aeclust.errors import InputError
from aeclust.network import inference
from aeclust.network.inference import assign, embed, embed_views, mean_squared_error
from aeclust.network.model import Autoencoder, build
from aeclust.recipe import Recipe, named
from aeclust.run import curve
from aeclust.run.curve import checkpoint_curve, cluster_validation

CPU = torch.device("cpu")


def tiny(**changes: object) -> Recipe:
    fields = {"image_size": 8, "channels": (4, 8), "reduction": ("pca:2",), "clusterer": "kmeans"}
    return named("baseline").override(fields | changes)


PLAIN = tiny()
TRANSDUCTIVE = tiny(reduction=("pca:4", "tsne:2"), perplexity=5.0)


def images(n: int, *, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Dark images (0) and light ones (1)."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    shades = np.array([40, 200])[labels][:, np.newaxis, np.newaxis, np.newaxis]
    return (shades + rng.integers(-20, 21, (n, 8, 8, 3))).astype(np.uint8), labels


TRAINING = images(40, seed=0)[0]
OTHERS, TRUTH = images(24, seed=1)


def networks(*epochs: int) -> Iterator[tuple[int, Autoencoder]]:
    for epoch in epochs:
        yield epoch, build(PLAIN, 3, seed=epoch)


def latents_of(network: Autoencoder, pixels: NDArray[Any]) -> NDArray[np.float32]:
    return embed(network, pixels)


def error_of(network: Autoencoder, pixels: NDArray[Any]) -> float:
    latents = latents_of(network, pixels)
    return mean_squared_error(network, pixels, latents)


def indicators_of(network: Autoencoder, pixels: NDArray[Any], *, k: int, seed: int) -> Indicators:
    views = embed_views(network, pixels, seed=seed)
    return indicate(latents_of(network, pixels), views, k, seed=seed)


# -- summaries ---------------------------------------------------------------------------------


FLAT = Indicators(
    rank=2.0,
    view_neighbours=0.5,
    view_clusters=0.5,
    information=0.5,
    half_agreement=0.5,
    separation=0.5,
)


def point(epoch: int, error: float, accuracy: float | None, **changes: float) -> Point:
    """A checkpoint whose indicators do not move but for `changes`."""
    return Point(epoch, error, accuracy, dataclasses.replace(FLAT, **changes))


def test_a_summary_by_hand() -> None:
    points = [
        point(0, 0.9, 0.5, rank=3.0, view_clusters=0.1, separation=0.9),
        point(2, 0.4, 0.875, rank=6.0, view_clusters=0.2, separation=0.1),
        point(5, 0.3, 0.625, rank=4.0, view_clusters=0.3, separation=0.6),
        point(9, 0.2, 0.75, rank=5.0, view_clusters=0.4, separation=0.5),
    ]
    found = summarise(points)
    assert found.points == points
    # ranks of the errors 4, 3, 2, 1 and of the accuracies 1, 4, 2, 3: squares 9 + 1 + 0 + 4
    wanted = {
        "mse": 1 - 6 * 14 / (4 * 15),
        "rank": 1.0,
        "view_neighbours": None,
        # ranks 1, 2, 3, 4: squares 0 + 4 + 1 + 1
        "view_clusters": 1 - 6 * 6 / (4 * 15),
        "information": None,
        "half_agreement": None,
        # ranks 4, 1, 3, 2: squares 9 + 9 + 1 + 1
        "separation": 1 - 6 * 20 / (4 * 15),
    }
    assert list(found.correlations) == list(wanted)
    for name, value in wanted.items():
        rho = found.correlations[name]
        assert rho == (None if value is None else pytest.approx(value)), name
    assert found.fall == (2, 5, 0.25)


@pytest.mark.parametrize(
    ("points", "correlation", "fall"),
    [
        ([], None, None),
        ([point(0, 0.5, 0.5)], None, None),
        ([point(0, 0.5, 0.75), point(1, 0.4, 0.5)], None, (0, 1, 0.25)),
        ([point(e, 1 - e / 4, e / 4) for e in range(4)], -1.0, None),
        ([point(e, 0.5, e / 4) for e in range(4)], None, None),
        ([point(e, e / 4, 0.5) for e in range(4)], None, None),
    ],
)
def test_summaries_of_few_or_flat_points(
    points: list[Point], correlation: float | None, fall: tuple[int, int, float] | None
) -> None:
    found = summarise(points)
    assert found.points == points
    mse = found.correlations["mse"]
    assert mse == (None if correlation is None else pytest.approx(correlation))
    assert all(found.correlations[name] is None for name in INDICATORS)
    assert found.fall == fall


@pytest.mark.parametrize(
    "points",
    [
        [point(e, e / 4, None) for e in range(4)],
        # labels that are missing once are missing
        [point(0, 0.3, 0.9), point(1, 0.2, None), point(2, 0.1, 0.4)],
    ],
)
def test_without_labels_there_is_nothing_to_correlate(points: list[Point]) -> None:
    assert summarise(points) == Curve(points, {}, None)


# -- labels of other images --------------------------------------------------------------------


def test_others_are_labelled_by_their_neighbours_in_training() -> None:
    network = build(PLAIN, 3, seed=0)
    latents, base = latents_of(network, OTHERS), latents_of(network, TRAINING)
    found = cluster_validation(latents, base, PLAIN, seed=0)
    labels = cluster(reduce(base, ("pca:2",), seed=0), 2, "kmeans", seed=0)
    np.testing.assert_array_equal(found, neighbour_vote(latents, base, labels, 2)[0])
    assert score(found, TRUTH).accuracy == 1.0


def self_labelling() -> tuple[Recipe, Autoencoder, NDArray[np.float32]]:
    """A network whose head parts a quarter of the images from the rest, and what it says."""
    recipe = named("hybrid").override(
        {"image_size": 8, "channels": (4, 8), "epochs": 2, "label_epochs": 1}
    )
    network = build(recipe, 3, seed=0)
    assert network.head is not None
    logits = network.head(torch.from_numpy(latents_of(network, TRAINING))).detach()
    with torch.no_grad():
        network.head.bias[1] += (logits[:, 0] - logits[:, 1]).quantile(0.25)
    return recipe, network, assign(network, latents_of(network, TRAINING))


def test_a_network_that_labelled_itself_has_its_say() -> None:
    # four groups that fall into left and right or, the network says, into top and bottom
    rng = np.random.default_rng(0)
    quarter = np.arange(144) % 4
    latents = (2 * np.stack([quarter // 2, quarter % 2], 1) - 1) * [12.0, 8.0]
    latents = (latents + rng.normal(size=(144, 2))).astype(np.float32)
    base, others = latents[:120], latents[120:]
    recipe = named("hybrid").override({"reduction": "none"})
    upright = (0.2 + 0.6 * np.eye(2)[quarter[:120] % 2]).astype(np.float32)
    for said, truth in ((upright, quarter % 2), (None, quarter // 2)):
        found = cluster_validation(others, base, recipe, seed=0, assignments=said)
        assert score(found, truth[120:]).accuracy == 1.0


def test_only_in_the_second_phase_has_the_network_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, network, assignments = self_labelling()
    given: list[NDArray[np.float32] | None] = []
    asked: list[Views] = []

    def spy(
        *args: Any, views: Views, assignments: NDArray[np.float32] | None = None, **rest: Any
    ) -> Any:
        given.append(assignments)
        asked.append(views)
        return cluster_latents(*args, views=views, assignments=assignments, **rest)

    monkeypatch.setattr(curve, "cluster_latents", spy)
    checkpoint_curve(
        [(epoch, network) for epoch in (0, 2, 3)],
        TRAINING, recipe, seed=0, validation=(OTHERS, TRUTH),
    )  # fmt: skip
    assert given[:2] == [None, None]
    np.testing.assert_array_equal(given[2], assignments)
    # views are asked everywhere, and of clusters where there are some
    seen = inference.embed_views(network, TRAINING, seed=0)
    for views in asked:
        np.testing.assert_array_equal(views.latents, seen)
    told = inference.assign(network, seen).argmax(1)
    assert [views.clusters is None for views in asked] == [True, True, False]
    np.testing.assert_array_equal(asked[2].clusters, told)


def test_only_the_references_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(PLAIN, 3, seed=0)
    base = latents_of(network, TRAINING)
    labels = cluster(reduce(base, ("pca:2",), seed=0), 2, "kmeans", seed=0)
    kept = np.array([0, 2, 4, 5])  # three dark ones and a light one: dark wins everywhere
    monkeypatch.setattr(chain, "references", lambda n, *, seed: kept)
    found = cluster_validation(latents_of(network, OTHERS), base, PLAIN, seed=0)
    assert set(found.tolist()) == {int(labels[0])}


def test_a_chain_with_tsne_clusters_the_others_by_themselves() -> None:
    network = build(TRANSDUCTIVE, 3, seed=0)
    latents, base = latents_of(network, OTHERS), latents_of(network, TRAINING)
    found = cluster_validation(latents, base, TRANSDUCTIVE, seed=3)
    wanted = reduce(latents, TRANSDUCTIVE.reduction, seed=3, perplexity=5.0)
    np.testing.assert_array_equal(found, cluster(wanted, 2, "kmeans", seed=3))
    assert wanted.shape == (24, 2)
    # the training images have no part in it
    again = cluster_validation(latents, np.zeros_like(base), TRANSDUCTIVE, seed=3)
    np.testing.assert_array_equal(again, found)


def test_errors_say_which_images_they_are_about() -> None:
    network = build(PLAIN, 3, seed=0)
    latents, base = latents_of(network, OTHERS), latents_of(network, TRAINING)
    same = np.zeros_like(base)
    with pytest.raises(InputError, match=r"^training images: all 40 points are the same") as caught:
        cluster_validation(latents, same, PLAIN, seed=0)
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match=r"^validation: all 40 points are the same"):
        cluster_validation(same, base, TRANSDUCTIVE, seed=0)
    with pytest.raises(InputError, match=r"^validation: 5 points are too few for t-SNE"):
        cluster_validation(latents[:5], base, TRANSDUCTIVE, seed=0)


# -- the curve ---------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [PLAIN, TRANSDUCTIVE], ids=["pca", "tsne"])
def test_every_checkpoint_is_measured(recipe: Recipe) -> None:
    found = checkpoint_curve(
        networks(0, 3, 7), TRAINING, recipe, seed=1, validation=(OTHERS, TRUTH)
    )
    assert [point.epoch for point in found.points] == [0, 3, 7]
    for point, (_, network) in zip(found.points, networks(0, 3, 7), strict=True):
        assert point.error == error_of(network, TRAINING)
        latents, base = latents_of(network, OTHERS), latents_of(network, TRAINING)
        clusters = cluster_validation(latents, base, recipe, seed=1)
        assert point.accuracy == score(clusters, TRUTH).accuracy
        assert point.indicators == indicators_of(network, TRAINING, k=2, seed=1)
    assert found == summarise(found.points)


def test_without_labels_errors_and_indicators_are_measured() -> None:
    found = checkpoint_curve(networks(0, 1), TRAINING, PLAIN, seed=0)
    wanted = [
        Point(
            epoch,
            error_of(network, TRAINING),
            None,
            indicators_of(network, TRAINING, k=2, seed=0),
        )
        for epoch, network in networks(0, 1)
    ]
    assert found == Curve(wanted, {}, None)


@pytest.mark.parametrize(("k", "clusters"), [("2", 2), ("5", 5), ("auto", 2)])
def test_indicators_are_those_of_the_latents_and_of_views(k: str, clusters: int) -> None:
    (found,) = checkpoint_curve(networks(0), TRAINING, tiny(k=k), seed=4).points
    network = build(PLAIN, 3, seed=0)
    assert found.indicators == indicators_of(network, TRAINING, k=clusters, seed=4)
    others = indicators_of(network, TRAINING, k=2, seed=4)
    assert (found.indicators == others) == (clusters == 2)


def test_dark_and_light_images_show_in_the_indicators() -> None:
    found = indicators_of(build(PLAIN, 3, seed=0), TRAINING, k=2, seed=0)
    assert found.half_agreement == 1.0
    assert found.separation > 0.5
    # even a view of another brightness stays on its side
    assert found.view_clusters > 0.75


def test_indicators_are_taken_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "SAMPLE", 30)
    (found,) = checkpoint_curve(networks(0), TRAINING, PLAIN, seed=3).points
    network = build(PLAIN, 3, seed=0)
    kept = references(40, seed=3, limit=30, purpose="indicators")
    assert found.indicators == indicators_of(network, TRAINING[kept], k=2, seed=3)
    # the error is that of all images
    assert found.error == error_of(network, TRAINING)


def test_labels_are_used_for_the_score_alone() -> None:
    wrong = 1 - TRUTH
    wrong[:6] = TRUTH[:6]
    first, second = (
        checkpoint_curve(networks(0), TRAINING, PLAIN, seed=0, validation=(OTHERS, labels)).points[
            0
        ]
        for labels in (TRUTH, wrong)
    )
    assert first.error == second.error
    assert first.indicators == second.indicators
    # perfect clusters against labels of which six of 24 are turned
    assert (first.accuracy, second.accuracy) == (1.0, 0.75)
