"""Heads that learn clusters from neighbours: their steps, what they find, how sure they are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import far_groups, numbered_by_size
from torch import Tensor

from aeclust import seeds
from aeclust.clusters import chain, heads
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.heads import Heads, LostClusterError, pooled, train_heads
from aeclust.clusters.neighbours import neighbours, references
from aeclust.clusters.scores import score
from aeclust.recipe import named

Floats = NDArray[np.float32]
FEATURES = named("features")
TWO = [40, 20]
TEN = [36, 34, 32, 30, 28, 26, 24, 22, 20, 18]


def clustered(latents: Floats, k: int, *, seed: int = 0, **more: Any) -> Clustering:
    return cluster_latents(latents, FEATURES.override({"k": k}), seed=seed, **more)


# -- one step -------------------------------------------------------------------------------------


def inputs_of(latents: Floats) -> Tensor:
    """Every value standardised, and every row brought to the norm of a standard normal one."""
    values = latents.astype(np.float64)
    values = (values - values.mean(0)) / values.std(0)
    norms = np.sqrt((values**2).sum(1, keepdims=True))
    return torch.from_numpy(values / norms * values.shape[1] ** 0.5)


def objective(first: Tensor, second: Tensor, sizes: Tensor) -> Tensor:
    """Log of the sum of (p q)^0.6 / s over the clusters, of logits (heads, n, k)."""
    both = first.softmax(2) * second.softmax(2)
    return (both**0.6 / sizes).sum(2).log()


def test_a_step_climbs_the_gradient_of_the_objective(monkeypatch: pytest.MonkeyPatch) -> None:
    latents = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    found: list[Any] = []

    def note(values: list[Tensor], gradients: list[Tensor], moments: Any, step: int) -> None:
        found.append(([value.double() for value in values], gradients))

    monkeypatch.setattr(heads, "_STEPS", 1)
    monkeypatch.setattr(heads, "_adamw", note)
    # of two images each is the neighbour of the other: every pair is of these two
    train_heads(latents, np.array([[1], [0]]), 3, seed=7, count=4)
    ((weights, biases), gradients) = found[0]
    assert weights.shape == (4, 5, 3)
    for value in (weights, biases):
        value.requires_grad_(True)
    logits = inputs_of(latents) @ weights + biases
    # the running mean starts with equal sizes; no gradient flows through it
    sizes = 0.9 / 3 + 0.1 * logits.detach().softmax(2).mean(1, keepdim=True)
    one, other = logits[:, :1], logits[:, 1:]
    objective(one, other, sizes).sum().neg().backward()  # type: ignore[no-untyped-call]
    for gradient, value in zip(gradients, (weights, biases), strict=True):
        assert value.grad is not None
        assert float(value.grad.abs().max()) > 1e-3
        assert torch.allclose(gradient.double(), value.grad, rtol=1e-4, atol=1e-6)


def rate_after(step: int, steps: int) -> float:
    """A rise within a fifth of the steps to 0.003, and half a cosine down to nothing."""
    part = (step + 1) / steps
    if part < 0.2:
        return 0.003 * part / 0.2
    return float(0.003 * 0.5 * (1 + np.cos(np.pi * (part - 0.2) / 0.8)))


def test_steps_are_those_of_adamw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads, "_STEPS", 20)
    rng = np.random.default_rng(0)
    values = [torch.from_numpy(rng.normal(size=shape)) for shape in ((2, 5, 3), (2, 1, 3))]
    wanted = [value.clone().requires_grad_(True) for value in values]
    moments = [[torch.zeros_like(value) for value in values] for _ in range(2)]
    library = torch.optim.AdamW(wanted, lr=1.0, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-3)
    for step in range(20):
        gradients = [torch.from_numpy(rng.normal(size=tuple(value.shape))) for value in values]
        for value, gradient in zip(wanted, gradients, strict=True):
            value.grad = gradient
        library.param_groups[0]["lr"] = rate_after(step, 20)
        library.step()
        heads._adamw(values, gradients, moments, step)
    for value, other in zip(values, wanted, strict=True):
        assert torch.allclose(value, other, rtol=1e-9, atol=1e-12)


# -- what they find --------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [TWO, TEN])
@pytest.mark.parametrize("seed", [0, 1])
def test_groups_far_apart_are_found_and_numbered_by_size(sizes: list[int], seed: int) -> None:
    latents, truth = far_groups(sizes, seed=seed, d=12)
    found = clustered(latents, len(sizes), seed=seed)
    assert found.labels.tolist() == numbered_by_size(truth)
    assert found.labels.dtype == np.int64
    assert found.agreement is not None
    assert 0.5 < found.agreement <= 1
    assert float(found.confidence.min()) > 0.5
    assert found.shares is not None
    assert np.allclose(found.shares.sum(1), 1, atol=1e-5)


def test_all_of_it_is_decided_by_the_seed() -> None:
    latents, _ = far_groups(TWO, d=12, apart=2.0)
    first, again, other = (clustered(latents, 2, seed=seed) for seed in (3, 3, 4))
    assert first.probabilities.tobytes() == again.probabilities.tobytes()
    assert first.confidence.tobytes() == again.confidence.tobytes()
    assert first.probabilities.tobytes() != other.probabilities.tobytes()


@pytest.mark.parametrize(("scale", "shift"), [(8.0, 0.0), (1 / 64, 0.0), (1.0, 32.0)])
def test_scale_and_place_of_latents_mean_nothing(scale: float, shift: float) -> None:
    latents, _ = far_groups(TWO, d=12, apart=3.0)
    moved = (latents * np.float32(scale) + np.float32(shift)).astype(np.float32)
    near = neighbours(latents, count=heads.NEAR)
    one, other = (train_heads(x, near, 2, seed=0, count=3) for x in (latents, moved))
    assert np.allclose(one.probabilities(latents), other.probabilities(moved), atol=5e-3)
    # every value may have a scale and a place of its own
    own = np.exp2(np.arange(latents.shape[1]) % 3).astype(np.float32)
    third = train_heads(latents * own, near, 2, seed=0, count=3)
    assert np.allclose(one.probabilities(latents), third.probabilities(latents * own), atol=5e-3)


def test_a_value_that_never_differs_does_no_harm() -> None:
    latents, truth = far_groups(TWO, d=6)
    latents[:, 3] = 7
    assert clustered(latents, 2).labels.tolist() == numbered_by_size(truth)


def test_a_step_is_told_of() -> None:
    latents, _ = far_groups(TWO, d=4)
    told: list[int] = []
    train_heads(latents, neighbours(latents), 2, seed=0, count=2, progress=told.append)
    assert told[-1] == heads._STEPS
    assert told == sorted(told)


# -- surroundings ----------------------------------------------------------------------------------


def dtype_of_64_bits() -> AbstractContextManager[object]:
    class Changed(AbstractContextManager[object]):
        def __enter__(self) -> None:
            torch.set_default_dtype(torch.float64)

        def __exit__(self, *error: object) -> None:
            torch.set_default_dtype(torch.float32)

    return Changed()


@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.enable_grad,
        torch.inference_mode,
        dtype_of_64_bits,
        partial(torch.autocast, "cpu", torch.bfloat16),
        partial(torch.device, "meta"),
    ],
    ids=["no_grad", "enable_grad", "inference", "float64", "autocast", "meta"],
)
def test_what_goes_on_around_changes_nothing(
    around: Callable[[], AbstractContextManager[object]],
) -> None:
    latents, _ = far_groups(TWO, d=6, apart=3.0)
    answers = []
    for surroundings in (nullcontext, around):
        with surroundings():
            found = clustered(latents, 2)
        answers.append((found.probabilities.tobytes(), found.confidence.tobytes()))
    assert answers[0] == answers[1]


# -- many and few ----------------------------------------------------------------------------------


def test_many_latents_are_labelled_by_what_some_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    latents, truth = far_groups([90, 60, 50], d=8)
    monkeypatch.setattr(chain, "references", partial(references, limit=80))
    learnt: list[int] = []

    def noting(latents: Floats, *rest: Any, **more: Any) -> Heads:
        learnt.append(len(latents))
        return train_heads(latents, *rest, **more)

    monkeypatch.setattr(chain, "train_heads", noting)
    monkeypatch.setattr(heads, "_ROWS", 32)  # and looked at in blocks
    found = clustered(latents, 3)
    assert learnt == [80]
    assert found.references.tolist() == references(200, seed=0, limit=80).tolist()
    assert found.labels.tolist() == numbered_by_size(truth)
    assert "80 random images decide the clusters; the other 120 follow them" in found.substitutions


@pytest.mark.parametrize(("n", "k"), [(2, 2), (3, 2), (3, 3), (5, 4), (7, 7), (12, 6)])
def test_few_images_make_as_many_clusters_as_asked(n: int, k: int) -> None:
    latents = np.random.default_rng(n).normal(size=(n, 9)).astype(np.float32)
    found = clustered(latents, k)
    assert sorted(set(found.labels.tolist())) == list(range(k))
    assert found.labels.tolist() == numbered_by_size(found.labels)
    assert found.confidence.min() >= 0
    assert found.confidence.max() <= 1
    assert np.isfinite(found.probabilities).all()


def test_of_few_images_few_neighbours_are_asked() -> None:
    # five to a cluster: of ten neighbours most would be of other clusters
    latents, kinds = far_groups([5, 5, 5, 5], seed=0)
    recipe = named("features").override({"k": 4})
    for seed in range(3):
        assert score(cluster_latents(latents, recipe, seed=seed).labels, kinds).accuracy == 1


def test_where_all_heads_lose_a_cluster_the_members_decide(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    latents, truth = far_groups([20, 10], d=6)

    def losing(*arguments: object, **more: object) -> None:
        raise LostClusterError

    monkeypatch.setattr(chain, "pooled", losing)
    found = clustered(latents, 2)
    assert found.labels.tolist() == numbered_by_size(truth)
    assert {member.name.partition(" ")[0] for member in found.members} == {
        "kmeans", "gmm", "gmm-tied", "spectral",
    }  # fmt: skip


# -- what they agree on ----------------------------------------------------------------------------


def fixed(labels: list[list[int]], k: int) -> Heads:
    """Heads that give rows of the identity these labels, each as sure as can be."""
    n = len(labels[0])
    weights = torch.zeros(len(labels), n, k)
    for head, row in enumerate(labels):
        weights[head, range(n), row] = 40.0 / n**0.5
    ones = np.ones(n, np.float32)
    return Heads(0 * ones, ones, weights, torch.zeros(len(labels), 1, k))


ROWS = np.eye(6, dtype=np.float32)
NEAR = np.array([[1, 2], [0, 2], [0, 1], [4, 5], [3, 5], [3, 4]])


def test_heads_with_the_most_information_are_averaged_under_one_naming() -> None:
    # two heads know the neighbours, one by other names; the third does not; the last lost a cluster
    labels = [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]]
    agreed, probabilities = pooled(fixed(labels, 2), ROWS, np.arange(6), NEAR, 2)
    assert probabilities.argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
    assert float(probabilities.max(1).min()) > 0.999
    assert [member.name for member in agreed.members] == [f"head {i:02d}" for i in (1, 2, 3, 4)]
    assert agreed.labels.tolist() == [0, 0, 0, 1, 1, 1]


def test_where_the_mean_loses_a_cluster_the_best_head_decides(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # each head has another image alone in a cluster
    monkeypatch.setattr(heads, "_ROWS", 4)
    alone = fixed(np.eye(6, dtype=int).tolist(), 2)
    agreed, probabilities = pooled(alone, ROWS, np.arange(6), NEAR, 2)
    assert sorted(probabilities.argmax(1).tolist()) == [0, 0, 0, 0, 0, 1]
    assert agreed.labels.tolist() == probabilities.argmax(1).tolist()
    assert float(probabilities.max(1).min()) > 0.999


def test_no_head_with_all_clusters_is_an_error_of_its_own() -> None:
    with pytest.raises(LostClusterError):
        pooled(fixed([[0] * 6, [1] * 6], 2), ROWS, np.arange(6), NEAR, 2)


def test_rows_that_taught_nothing_have_probabilities_too() -> None:
    agreed, probabilities = pooled(
        fixed([[0, 0, 0, 1, 1, 1]], 2), ROWS, np.array([0, 1, 3, 4]), NEAR[:4] % 4, 2
    )
    assert probabilities.argmax(1).tolist() == [0, 0, 0, 1, 1, 1]
    assert agreed.labels.tolist() == [0, 0, 1, 1]


def test_views_that_change_their_cluster_lower_the_confidence() -> None:
    latents, truth = far_groups(TWO, d=12)
    rows = np.arange(60)
    still = clustered(latents, 2, views=Views(rows, latents))
    assert still.view_agreement == 1.0
    halves = np.where((rows % 2 == 0)[:, np.newaxis], latents, latents[truth != truth[0]][0])
    moved = clustered(latents, 2, views=Views(rows, halves.astype(np.float32)))
    stayed = (rows % 2 == 0) | (truth != truth[0])
    assert moved.view_agreement == pytest.approx(stayed.mean())
    assert moved.confidence.mean() < still.confidence.mean()


def test_the_stream_of_the_heads_is_their_own() -> None:
    assert seeds.stream(0, "heads").integers(2**62) != seeds.stream(0, "clusterer").integers(2**62)
