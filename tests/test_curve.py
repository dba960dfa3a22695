"""Checkpoints measured one by one, and what they say together, by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from aeclust import curve
from aeclust.clustering import cluster, neighbour_vote
from aeclust.curve import Curve, Point, checkpoint_curve, label_others, summarise
from aeclust.errors import InputError
from aeclust.inference import embed, mean_squared_error
from aeclust.metrics import scores
from aeclust.models import Autoencoder, build
from aeclust.recipes import Recipe, named
from aeclust.reduction import reduce

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
    return embed(network, pixels, image_size=8, device=CPU)


# -- summaries ---------------------------------------------------------------------------------


def test_a_summary_by_hand() -> None:
    points = [
        Point(0, 0.9, 0.5), Point(2, 0.4, 0.875), Point(5, 0.3, 0.625), Point(9, 0.2, 0.75)
    ]  # fmt: skip
    found = summarise(points)
    assert found.points == points
    # ranks of the errors 4, 3, 2, 1 and of the accuracies 1, 4, 2, 3: squares 9 + 1 + 0 + 4
    assert found.correlation == pytest.approx(1 - 6 * 14 / (4 * 15))
    assert found.fall == (2, 5, 0.25)


@pytest.mark.parametrize(
    ("points", "correlation", "fall"),
    [
        ([], None, None),
        ([Point(0, 0.5, 0.5)], None, None),
        ([Point(0, 0.5, 0.75), Point(1, 0.4, 0.5)], None, (0, 1, 0.25)),
        ([Point(e, 1 - e / 4, e / 4) for e in range(4)], -1.0, None),
        ([Point(e, 0.5, e / 4) for e in range(4)], None, None),
        ([Point(e, e / 4, 0.5) for e in range(4)], None, None),
        ([Point(e, e / 4, None) for e in range(4)], None, None),
        # labels that are missing once are missing
        ([Point(0, 0.3, 0.9), Point(1, 0.2, None), Point(2, 0.1, 0.4)], None, None),
    ],
)
def test_summaries_of_few_or_flat_points(
    points: list[Point], correlation: float | None, fall: tuple[int, int, float] | None
) -> None:
    found = summarise(points)
    assert found.points == points
    assert found.correlation == (None if correlation is None else pytest.approx(correlation))
    assert found.fall == fall


# -- labels of other images --------------------------------------------------------------------


def test_others_are_labelled_by_their_neighbours_in_training() -> None:
    network = build(PLAIN, 3, seed=0)
    found = label_others(network, OTHERS, TRAINING, PLAIN, seed=0, device=CPU)
    latents, base = latents_of(network, OTHERS), latents_of(network, TRAINING)
    labels = cluster(reduce(base, ("pca:2",), seed=0), 2, "kmeans", seed=0)
    np.testing.assert_array_equal(found, neighbour_vote(latents, base, labels, 2)[0])
    assert scores(found, TRUTH).accuracy == 1.0


def test_only_the_references_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(PLAIN, 3, seed=0)
    base = latents_of(network, TRAINING)
    labels = cluster(reduce(base, ("pca:2",), seed=0), 2, "kmeans", seed=0)
    kept = np.array([0, 2, 4, 5])  # three dark ones and a light one: dark wins everywhere
    monkeypatch.setattr(curve, "references", lambda n, *, seed: kept)
    found = label_others(network, OTHERS, TRAINING, PLAIN, seed=0, device=CPU)
    assert set(found.tolist()) == {int(labels[0])}


def test_a_chain_with_tsne_clusters_the_others_by_themselves() -> None:
    network = build(TRANSDUCTIVE, 3, seed=0)
    found = label_others(network, OTHERS, TRAINING, TRANSDUCTIVE, seed=3, device=CPU)
    wanted = reduce(latents_of(network, OTHERS), TRANSDUCTIVE.reduction, seed=3, perplexity=5.0)
    np.testing.assert_array_equal(found, cluster(wanted, 2, "kmeans", seed=3))
    assert wanted.shape == (24, 2)
    # the training images have no part in it
    black = np.zeros_like(TRAINING)
    again = label_others(network, OTHERS, black, TRANSDUCTIVE, seed=3, device=CPU)
    np.testing.assert_array_equal(again, found)


def test_errors_say_which_images_they_are_about() -> None:
    network = build(PLAIN, 3, seed=0)
    same = np.zeros_like(TRAINING)
    with pytest.raises(InputError, match=r"^training images: all 40 points are the same") as caught:
        label_others(network, OTHERS, same, PLAIN, seed=0, device=CPU)
    assert caught.value.exit_code == 2
    with pytest.raises(InputError, match=r"^validation: all 40 points are the same"):
        label_others(network, same, TRAINING, TRANSDUCTIVE, seed=0, device=CPU)
    with pytest.raises(InputError, match=r"^validation: 5 points are too few for t-SNE"):
        label_others(network, OTHERS[:5], TRAINING, TRANSDUCTIVE, seed=0, device=CPU)


# -- the curve ---------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [PLAIN, TRANSDUCTIVE], ids=["pca", "tsne"])
def test_every_checkpoint_is_measured(recipe: Recipe) -> None:
    found = checkpoint_curve(
        networks(0, 3, 7), TRAINING, recipe, seed=1, device=CPU, validation=(OTHERS, TRUTH)
    )
    assert [point.epoch for point in found.points] == [0, 3, 7]
    for point, (_, network) in zip(found.points, networks(0, 3, 7), strict=True):
        assert point.error == mean_squared_error(network, TRAINING, image_size=8, device=CPU)
        clusters = label_others(network, OTHERS, TRAINING, recipe, seed=1, device=CPU)
        assert point.accuracy == scores(clusters, TRUTH).accuracy
    assert found == summarise(found.points)


def test_without_labels_only_the_errors_are_measured() -> None:
    found = checkpoint_curve(networks(0, 1), TRAINING, PLAIN, seed=0, device=CPU)
    errors = [
        mean_squared_error(network, TRAINING, image_size=8, device=CPU)
        for _, network in networks(0, 1)
    ]
    assert found == Curve([Point(0, errors[0], None), Point(1, errors[1], None)], None, None)


def test_labels_are_used_for_the_score_alone() -> None:
    wrong = 1 - TRUTH
    wrong[:6] = TRUTH[:6]
    first, second = (
        checkpoint_curve(
            networks(0), TRAINING, PLAIN, seed=0, device=CPU, validation=(OTHERS, labels)
        ).points[0]
        for labels in (TRUTH, wrong)
    )
    assert first.error == second.error
    # perfect clusters against labels of which six of 24 are turned
    assert (first.accuracy, second.accuracy) == (1.0, 0.75)
