"""Self-labelling: targets worked out by hand, and a head that begins by predicting them."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import make_images, refused, tiny

from aeclust.clusters import chain
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.known import Known
from aeclust.clusters.neighbours import references
from aeclust.network import inference
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.network.selflabel import fit_head, self_label, soft_targets
from aeclust.recipe import Recipe

# on a busy machine
PATIENT = settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.too_slow])


def plain(**changes: object) -> Recipe:
    """Targets of k-means on the latents as they are."""
    return tiny(clusterer="kmeans", reduction="none", **changes)


def blobs(sizes: list[int], *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Shuffled groups of points on the axes, far apart, and their numbers."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = 20 * np.eye(len(sizes) + 2)[labels]
    points += generator.normal(size=points.shape)
    return points.astype(np.float32), labels


def network_of(recipe: Recipe) -> Autoencoder:
    """In evaluation, with statistics that are no longer those of the start."""
    network = build(recipe, 3, seed=1)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(10):
            network(torch.rand((20, 3, 8, 8), generator=generator) * 2 - 1)
    return network.eval()


def head_of(network: Autoencoder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    assert network.head is not None
    weight, bias = (value.detach().double().numpy() for value in network.head.parameters())
    return weight, bias


def logistic_regression(
    codes: NDArray[np.float64], targets: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A hundred steps of AdamW from zero: rate 0.01, decay 0.001."""
    ones = np.concatenate([codes, np.ones((len(codes), 1))], 1)
    values = np.zeros((targets.shape[1], ones.shape[1]))
    mean, square = np.zeros_like(values), np.zeros_like(values)
    for step in range(1, 101):
        scores = np.exp(ones @ values.T)
        slope = (scores / scores.sum(1, keepdims=True) - targets).T @ ones / len(ones)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        ahead = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        values = values * (1 - 0.01 * 0.001) - 0.01 * ahead
    return values[:, :-1], values[:, -1]


# -- targets --------------------------------------------------------------------------------------


@pytest.mark.parametrize("recipe", [plain(k=3), tiny(k=3), tiny(k=3, reduction="sphere")])
def test_targets_follow_obvious_blobs(recipe: Recipe) -> None:
    """Each has enough members that no point's 15 nearest others are strangers."""
    latents, labels = blobs([30, 24, 18])
    targets = soft_targets(latents, recipe, seed=0)
    assert targets.shape == (72, 3)
    assert targets.dtype == np.float32
    # clusters are numbered by falling size, as these blobs are
    np.testing.assert_array_equal(targets, np.eye(3)[labels])


def test_shares_are_those_of_the_fifteen_nearest_others_by_hand() -> None:
    """A group of ten: of the 15 nearest to each, itself apart, 9 are of its own group."""
    latents, labels = blobs([30, 10])
    targets = soft_targets(latents, plain(k=2), seed=0)
    expected = np.array([[1, 0], [6 / 15, 9 / 15]])[labels]
    np.testing.assert_allclose(targets, expected, rtol=1e-6)


@PATIENT
@given(st.integers(2, 4), st.integers(16, 30), st.integers(0, 10**6))
def test_targets_against_a_plain_count(k: int, size: int, seed: int) -> None:
    """Points of no groups: shares among the nearest 15 others, counted by sorting."""
    latents = np.random.default_rng(seed).normal(size=(2 * size, 3)).astype(np.float32)
    recipe = plain(k=k)
    targets = soft_targets(latents, recipe, seed=seed)
    np.testing.assert_allclose(targets.sum(1), 1, rtol=1e-6)
    assert targets.min() >= 0
    labels = cluster_latents(latents, recipe, seed=seed).labels
    points = latents.astype(np.float64)
    for row, target in enumerate(targets):
        far = ((points - points[row]) ** 2).sum(1)
        far[row] = math.inf
        nearest = labels[np.argsort(far)[:15]]
        np.testing.assert_allclose(target, np.bincount(nearest, minlength=k) / 15, rtol=1e-6)


def test_many_images_are_labelled_by_an_even_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Images outside the sample have 15 neighbours in it as well."""
    monkeypatch.setattr(chain, "references", functools.partial(references, limit=60))
    latents, labels = blobs([70, 50])
    targets = soft_targets(latents, plain(k=2), seed=0)
    np.testing.assert_array_equal(targets, np.eye(2)[labels])


def test_known_images_have_their_class_and_others_follow() -> None:
    latents, labels = blobs([40, 30])
    classes = np.full(70, -1)
    rows = np.concatenate([np.flatnonzero(labels == j)[:3] for j in (0, 1)])
    classes[rows] = 1 - labels[rows]  # the larger group would have number 0
    targets = soft_targets(latents, plain(k=2), seed=0, known=Known(classes))
    np.testing.assert_array_equal(targets[rows], np.eye(2)[classes[rows]])
    np.testing.assert_array_equal(targets.argmax(1), 1 - labels)


@pytest.mark.parametrize(
    ("latents", "k", "expected"),
    [
        (np.eye(3, dtype=np.float32), 5, "at most 3"),
        (np.eye(2, 4, dtype=np.float32).repeat(10, 0), 3, "at least 3 different ones"),
    ],
)
def test_latents_that_cannot_be_labelled_are_refused(
    latents: NDArray[np.float32], k: int, expected: str
) -> None:
    with refused(where="latents after the first phase", expected=expected):
        soft_targets(latents, plain(k=k), seed=0)


# -- the head -------------------------------------------------------------------------------------


def labelled(k: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Latents on the sphere, and targets that lean to the nearest axis."""
    generator = np.random.default_rng(3)
    labels = generator.integers(0, k, 50)
    latents = np.eye(8)[labels] + 0.1 * generator.normal(size=(50, 8))
    latents *= math.sqrt(8) / np.linalg.norm(latents, axis=1, keepdims=True)
    return latents.astype(np.float32), (0.9 * np.eye(k)[labels] + 0.1 / k).astype(np.float32)


@pytest.mark.parametrize("k", [2, 5])
def test_the_head_starts_as_a_logistic_regression(k: int) -> None:
    network = network_of(tiny(k=k))
    latents, targets = labelled(k)
    fit_head(network, latents, targets)
    expected = logistic_regression(latents.astype(np.float64), targets.astype(np.float64))
    for result, wanted in zip(head_of(network), expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("k", [2, 5])
def test_the_head_predicts_its_targets(k: int) -> None:
    network = network_of(tiny(k=k))
    latents, targets = labelled(k)
    fit_head(network, latents, targets)
    result = inference.assign(network, latents)
    np.testing.assert_array_equal(result.argmax(1), targets.argmax(1))
    assert np.abs(result - targets).max() < 0.2
    entropy = -(targets * np.log(targets)).sum(1).mean()
    assert entropy <= -(targets * np.log(result)).sum(1).mean() < entropy + 0.1 < math.log(k)


def test_what_the_head_was_before_does_not_count() -> None:
    network, other = (network_of(tiny(k=3)) for _ in range(2))
    assert other.head is not None
    torch.nn.init.constant_(other.head.weight, 7.0)
    torch.nn.init.constant_(other.head.bias, -9.0)
    latents, targets = labelled(3)
    for one in (network, other):
        fit_head(one, latents, targets)
    for result, wanted in zip(head_of(network), head_of(other), strict=True):
        assert result.tobytes() == wanted.tobytes()


def test_nothing_but_the_head_is_fitted() -> None:
    network = network_of(tiny(k=3))
    before = state_arrays(network)
    fit_head(network, *labelled(3))
    after = state_arrays(network)
    changed = {name for name in before if before[name].tobytes() != after[name].tobytes()}
    assert changed == {"head.weight", "head.bias"}
    grads = {name for name, value in network.named_parameters() if value.grad is not None}
    assert grads <= changed


@pytest.mark.parametrize("changes", [{"k": "auto"}, {"label_epochs": 0}])
def test_a_network_without_a_head_is_refused(changes: dict[str, Any]) -> None:
    network = build(tiny(**changes), 3, seed=0)
    latents, targets = blobs([4, 4])[0], np.full((8, 2), 0.5, np.float32)
    with pytest.raises(ValueError, match=r"^a network without self-labelling has no head$"):
        fit_head(network, latents, targets)


# -- both -----------------------------------------------------------------------------------------


def test_self_labelling_knows_two_kinds_of_images() -> None:
    noisy, kinds = make_images(60, seed=1)
    plain_colours = noisy.mean((1, 2), keepdims=True)
    pixels = (0.8 * plain_colours + 0.2 * noisy).astype(np.uint8)
    recipe = tiny()
    network = network_of(recipe)
    latents = inference.embed(network, pixels)
    targets = self_label(network, pixels, recipe, seed=0)
    np.testing.assert_array_equal(targets, soft_targets(latents, recipe, seed=0))
    first = int(kinds.sum() > 30)  # the larger kind
    np.testing.assert_array_equal(targets.argmax(1), kinds if first == 0 else 1 - kinds)
    result = inference.assign(network, latents)
    np.testing.assert_array_equal(result.argmax(1), targets.argmax(1))
