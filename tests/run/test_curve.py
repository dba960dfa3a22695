"""Checkpoints measured one by one, and what they say together, by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import refused, tiny

from aeclust.clusters import chain
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.clustering import Views
from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import INDICATORS, Indicators, indicate
from aeclust.clusters.neighbours import neighbour_vote, references
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import score
from aeclust.network.inference import assign, embed, embed_views, mean_squared_error
from aeclust.network.model import Autoencoder, build
from aeclust.recipe import Recipe, named
from aeclust.run import curve
from aeclust.run.curve import checkpoint_curve, cluster_validation

PLAIN = tiny("baseline", reduction=("pca:2",), clusterer="kmeans")
TRANSDUCTIVE = PLAIN.override({"reduction": ("pca:4", "tsne:2"), "perplexity": 5.0})


def images(n: int, *, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Dark images (0) and light ones (1)."""
    labels = np.arange(n) % 2
    noise = np.random.default_rng(seed).integers(-20, 21, (n, 8, 8, 3))
    return (np.array([40, 200])[labels][:, None, None, None] + noise).astype(np.uint8), labels


TRAINING = images(40, seed=0)[0]
OTHERS, TRUTH = images(24, seed=1)


def networks(*epochs: int) -> Iterator[tuple[int, Autoencoder]]:
    for epoch in epochs:
        yield epoch, build(PLAIN, 3, seed=epoch)


def latents() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of the validation and of the training images, by the first network."""
    network = build(PLAIN, 3, seed=0)
    return embed(network, OTHERS), embed(network, TRAINING)


def indicators_of(network: Autoencoder, pixels: NDArray[Any], *, k: int, seed: int) -> Indicators:
    return indicate(embed(network, pixels), embed_views(network, pixels, seed=seed), k, seed=seed)


# -- summaries ---------------------------------------------------------------------------------


def point(epoch: int, error: float, accuracy: float | None, **changes: float) -> Point:
    """A checkpoint whose indicators do not move but for `changes`."""
    flat = Indicators(2.0, *[0.5] * (len(INDICATORS) - 1))
    return Point(epoch, error, accuracy, dataclasses.replace(flat, **changes))


def test_a_summary_by_hand() -> None:
    points = [
        point(0, 0.9, 0.5, rank=3.0, view_clusters=0.1, separation=0.9),
        point(2, 0.4, 0.875, rank=6.0, view_clusters=0.2, separation=0.1),
        point(5, 0.3, 0.625, rank=4.0, view_clusters=0.3, separation=0.6),
        point(9, 0.2, 0.75, rank=5.0, view_clusters=0.4, separation=0.5),
    ]
    # 0.875 to 0.625 of n images: two standard errors are twice the root of 0.34375 / n
    assert summarise(points, 22).fall is None
    summary = summarise(points, 23)
    assert summary.points == points
    assert summary.fall == (2, 5, 0.25)
    assert summarise(points).fall is None  # of nobody knows how many
    wanted = {
        # ranks of the errors 4, 3, 2, 1 and of the accuracies 1, 4, 2, 3: squares 9 + 1 + 0 + 4
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
    assert list(summary.correlations) == list(wanted)
    for name, value in wanted.items():
        assert summary.correlations[name] == (value and pytest.approx(value)), name


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
    summary = summarise(points, 500)
    assert summary.points == points
    assert summary.correlations.pop("mse") == (correlation and pytest.approx(correlation))
    assert summary.correlations == dict.fromkeys(INDICATORS)
    assert summary.fall == fall


@pytest.mark.parametrize("accuracies", [[None, None, None], [0.9, None, 0.4]])
def test_without_all_labels_there_is_nothing_to_correlate(accuracies: list[float | None]) -> None:
    points = [point(e, e / 4, accuracy) for e, accuracy in enumerate(accuracies)]
    assert summarise(points) == Curve(points, {}, None)


# -- labels of other images --------------------------------------------------------------------


def test_others_are_labelled_by_their_neighbours_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    others, training = latents()
    clusters = cluster_validation(others, training, PLAIN, seed=0)
    labels = cluster(reduce(training, ("pca:2",), seed=0), 2, "kmeans", seed=0)
    np.testing.assert_array_equal(clusters, neighbour_vote(others, training, labels, 2)[0])
    assert score(clusters, TRUTH).accuracy == 1.0
    # of the references alone: of three dark ones and a light one, dark wins everywhere
    monkeypatch.setattr(chain, "references", lambda n, *, seed: np.array([0, 2, 4, 5]))
    clusters = cluster_validation(others, training, PLAIN, seed=0)
    assert set(clusters.tolist()) == {int(labels[0])}


def test_a_network_that_labelled_itself_has_its_say() -> None:
    # four groups that fall into left and right or, the network says, into top and bottom
    rng = np.random.default_rng(0)
    quarter = np.arange(144) % 4
    points = (2 * np.stack([quarter // 2, quarter % 2], 1) - 1) * [12.0, 8.0]
    points = (points + rng.normal(size=(144, 2))).astype(np.float32)
    recipe = named("hybrid").override({"reduction": "none"})
    upright = (0.2 + 0.6 * np.eye(2)[quarter[:120] % 2]).astype(np.float32)
    for assignments, truth in ((upright, quarter % 2), (None, quarter // 2)):
        clusters = cluster_validation(
            points[120:], points[:120], recipe, seed=0, assignments=assignments
        )
        assert score(clusters, truth[120:]).accuracy == 1.0


def test_only_in_the_second_phase_has_the_network_a_say(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny(latent_size=0, epochs=2, label_epochs=1)
    network = build(recipe, 3, seed=0)
    assert network.head is not None
    training = embed(network, TRAINING)
    with torch.no_grad():  # it parts a quarter of the images from the rest
        logits = network.head(torch.from_numpy(training))
        network.head.bias[1] += (logits[:, 0] - logits[:, 1]).quantile(0.25)
    asked: list[tuple[NDArray[np.float32] | None, Views]] = []

    def spy(*args: Any, views: Views, assignments: Any = None, **rest: Any) -> Any:
        asked.append((assignments, views))
        return cluster_latents(*args, views=views, assignments=assignments, **rest)

    monkeypatch.setattr(curve, "cluster_latents", spy)
    checkpoint_curve(
        [(epoch, network) for epoch in (2, 3)],
        TRAINING, recipe, seed=0, validation=(OTHERS, TRUTH),
    )  # fmt: skip
    (first, views), (second, labelled_views) = asked
    assert first is None
    np.testing.assert_array_equal(second, assign(network, training))
    # views are asked in both, and of clusters where there are some
    seen = embed_views(network, TRAINING, seed=0)
    np.testing.assert_array_equal(views.latents, seen)
    np.testing.assert_array_equal(labelled_views.latents, seen)
    assert views.clusters is None
    np.testing.assert_array_equal(labelled_views.clusters, assign(network, seen).argmax(1))


def test_a_chain_with_tsne_clusters_the_others_by_themselves() -> None:
    others, training = latents()
    # the training images have no part in it
    clusters = cluster_validation(others, np.zeros_like(training), TRANSDUCTIVE, seed=3)
    wanted = reduce(others, TRANSDUCTIVE.reduction, seed=3, perplexity=5.0)
    assert wanted.shape == (24, 2)
    np.testing.assert_array_equal(clusters, cluster(wanted, 2, "kmeans", seed=3))


def test_errors_say_which_images_they_are_about() -> None:
    others, training = latents()
    same = np.zeros_like(training)
    what = "all 40 points are the same: collapsed network or equal images"
    with refused(where="training images", what=what):
        cluster_validation(others, same, PLAIN, seed=0)
    with refused(where="validation", what=what):
        cluster_validation(same, training, TRANSDUCTIVE, seed=0)
    with refused(where="validation", what="5 points are too few for t-SNE with perplexity 5"):
        cluster_validation(others[:5], training, TRANSDUCTIVE, seed=0)


# -- the curve ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "labelled"),
    [(PLAIN, True), (TRANSDUCTIVE, True), (PLAIN, False)],
    ids=["pca", "tsne", "without labels"],
)
def test_every_checkpoint_is_measured(recipe: Recipe, labelled: bool) -> None:
    validation = (OTHERS, TRUTH) if labelled else None
    measured = checkpoint_curve(networks(0, 3), TRAINING, recipe, seed=1, validation=validation)
    assert [point.epoch for point in measured.points] == [0, 3]
    for point, (_, network) in zip(measured.points, networks(0, 3), strict=True):
        training = embed(network, TRAINING)
        assert point.error == mean_squared_error(network, TRAINING, training)
        assert point.indicators == indicators_of(network, TRAINING, k=2, seed=1)
        clusters = cluster_validation(embed(network, OTHERS), training, recipe, seed=1)
        assert point.accuracy == (score(clusters, TRUTH).accuracy if labelled else None)
    assert measured == summarise(measured.points, len(TRUTH) * labelled)


@pytest.mark.parametrize(("k", "clusters"), [("2", 2), ("5", 5), ("auto", 2)])
def test_indicators_are_those_of_the_latents_and_of_views(k: str, clusters: int) -> None:
    (measured,) = checkpoint_curve(networks(0), TRAINING, PLAIN.override({"k": k}), seed=4).points
    network = build(PLAIN, 3, seed=0)
    assert measured.indicators == indicators_of(network, TRAINING, k=clusters, seed=4)
    of_two = indicators_of(network, TRAINING, k=2, seed=4)
    assert (measured.indicators == of_two) == (clusters == 2)
    # dark and light images show, and even a view of another brightness stays on its side
    assert of_two.half_agreement == 1.0
    assert of_two.separation > 0.5
    assert of_two.view_clusters > 0.75


def test_indicators_are_taken_on_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curve, "SAMPLE", 30)
    (measured,) = checkpoint_curve(networks(0), TRAINING, PLAIN, seed=3).points
    network = build(PLAIN, 3, seed=0)
    kept = references(40, seed=3, limit=30, purpose="indicators")
    assert measured.indicators == indicators_of(network, TRAINING[kept], k=2, seed=3)
    # the error is that of all images
    assert measured.error == mean_squared_error(network, TRAINING, embed(network, TRAINING))


def test_labels_are_used_for_the_score_alone() -> None:
    wrong = np.concatenate([TRUTH[:18], 1 - TRUTH[18:]])
    first, second = (
        checkpoint_curve(networks(0), TRAINING, PLAIN, seed=0, validation=(OTHERS, labels)).points
        for labels in (TRUTH, wrong)
    )
    # perfect clusters against labels of which six of 24 are turned
    assert (first[0].accuracy, second[0].accuracy) == (1.0, 0.75)
    assert dataclasses.replace(second[0], accuracy=1.0) == first[0]
