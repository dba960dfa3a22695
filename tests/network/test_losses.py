"""The objective: every term by hand, against plain numpy, and against torch.distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import normal
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from aeclust.network.losses import crop_contrast, gaussian_kl, nt_xent, objective
from aeclust.network.model import Output
from aeclust.recipe import Recipe, named


def recipe(**fields: object) -> Recipe:
    return named("baseline").override({"variational": True, "latent_size": 2} | fields)


def output_of(reconstruction: Tensor, **parts: Tensor) -> Output:
    absent = dict.fromkeys(("log_variance", "projection", "logits"))
    given = {"latent": torch.zeros(len(reconstruction), 2), **absent, **parts}
    return Output(reconstruction=reconstruction, **given)  # type: ignore[arg-type]


def looped_nt_xent(projections: NDArray[np.float64], temperature: float) -> float:
    """Equation 1 of the SimCLR paper, read aloud."""
    n = len(projections)
    terms = []
    for i in range(n):
        partner = i + n // 2 if i < n // 2 else i - n // 2

        def similarity(j: int, i: int = i) -> float:
            a, b = projections[i], projections[j]
            return float(a @ b / (math.sqrt(a @ a) * math.sqrt(b @ b)))

        below = sum(math.exp(similarity(j) / temperature) for j in range(n) if j != i)
        terms.append(-math.log(math.exp(similarity(partner) / temperature) / below))
    return sum(terms) / n


# two images of 1 x 1 x 2 pixels: squared errors 1, 4, 0 and 0.25
IMAGES = torch.tensor([[[[0.0, 1.0]]], [[[-1.0, 0.5]]]])
RECONSTRUCTION = torch.tensor([[[[1.0, -1.0]]], [[[-1.0, 0.0]]]])
MEAN = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
LOG_VARIANCE = torch.tensor([[0.0, math.log(4.0)], [0.0, 0.0]])
# by value: (1 + 1 - 1 - 0) / 2 + (4 + 4 - 1 - log 4) / 2, and nothing for the second image
KL = 0.5 + (7 - math.log(4)) / 2


# -- reconstruction and bound ---------------------------------------------------------------------


@pytest.mark.parametrize("variational", [False, True])
def test_mse_by_hand_leaves_the_kl_out(variational: bool) -> None:
    parts = {"latent": MEAN, "log_variance": LOG_VARIANCE} if variational else {}
    loss = objective(output_of(RECONSTRUCTION, **parts), IMAGES, recipe())
    kl = KL / 2 if variational else 0
    assert loss.values() == pytest.approx((5.25 / 4, 5.25 / 4, kl, 0, 0))


@pytest.mark.parametrize("beta", [0.0, 1.0, 4.0])
@pytest.mark.parametrize("weight", [1.0, 3.0])
def test_the_bound_by_hand(beta: float, weight: float) -> None:
    output = output_of(RECONSTRUCTION, latent=MEAN, log_variance=LOG_VARIANCE)
    loss = objective(output, IMAGES, recipe(loss="elbo", beta=beta, reconstruction=weight))
    # an image: half the sum of its squares (5 and 0.25), and its KL
    reconstruction, kl = (5 / 2 + 0.25 / 2) / 2, KL / 2
    total = weight * (reconstruction + beta * kl)
    assert loss.values() == pytest.approx((total, reconstruction, kl, 0, 0))


def test_the_bound_against_a_gaussian_likelihood() -> None:
    """The bound is -log p(x | z) + KL, short of the constant of the Gaussian."""
    images, reconstruction = normal(4, 3, 5, 5, seed=1), normal(4, 3, 5, 5, seed=2)
    mean, log_variance = normal(4, 7, seed=3), normal(4, 7, seed=4)
    output = output_of(reconstruction, latent=mean, log_variance=log_variance)
    surprise = F.gaussian_nll_loss(
        reconstruction, images, torch.ones_like(images), full=True, reduction="none"
    ).sum((1, 2, 3))
    constant = 75 * math.log(2 * math.pi) / 2
    kl = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    expected = (surprise - constant + kl).mean().item()
    loss = objective(output, images, recipe(loss="elbo"))
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", ["mse", "elbo"])
def test_a_perfect_standard_normal_reconstruction_costs_nothing(loss: str) -> None:
    output = output_of(IMAGES, latent=torch.zeros(2, 2), log_variance=torch.zeros(2, 2))
    assert not objective(output, IMAGES, recipe(loss=loss)).values().any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_the_objective_is_float32_whatever_the_network_gives(dtype: torch.dtype) -> None:
    output = Output(
        MEAN.to(dtype),
        LOG_VARIANCE.to(dtype),
        RECONSTRUCTION.to(dtype),
        normal(2, 3).to(dtype),
        normal(2, 4).to(dtype),
    )
    targets = torch.full((1, 4), 0.25)
    loss = objective(output, IMAGES, recipe(loss="elbo", contrast=1), targets)
    terms = (loss.total, loss.reconstruction, loss.kl, loss.contrast, loss.labels)
    assert [(term.dtype, term.shape) for term in terms] == [(torch.float32, ())] * 5
    assert loss.labels.item() > 0
    assert loss.reconstruction.item() == pytest.approx(5.25 / 4)


# -- contrast in the objective --------------------------------------------------------------------


@pytest.mark.parametrize("weight", [2.0, 0.0])
def test_the_contrastive_term_is_added_by_its_weight(weight: float) -> None:
    """Without weight a reconstruction is measured, though not minimised."""
    projection = normal(2, 3)
    chosen = recipe(contrast=0.5, temperature=0.2, reconstruction=weight)
    loss = objective(output_of(RECONSTRUCTION, projection=projection), IMAGES, chosen)
    contrast, error = looped_nt_xent(projection.double().numpy(), 0.2), 5.25 / 4
    total = weight * error + contrast / 2
    assert loss.values() == pytest.approx((total, error, 0, contrast, 0))


# -- labels ---------------------------------------------------------------------------------------


def plain_cross_entropy(logits: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    """Of targets (m, k) with logits (2 m, k), row i and m + i of the same image, in nats."""
    terms = []
    for row, scores in enumerate(logits):
        wanted = targets[row % len(targets)]
        surprise = np.log(np.exp(scores).sum()) - scores
        terms.append(float(wanted @ surprise))
    return sum(terms) / len(terms)


@pytest.mark.parametrize(("m", "k"), [(1, 2), (3, 2), (4, 7)])
def test_labels_against_a_plain_cross_entropy(m: int, k: int) -> None:
    logits, targets = normal(2 * m, k, seed=1), normal(m, k, seed=2).softmax(1)
    reconstruction, images = normal(m, 1, 2, 2, seed=3), normal(m, 1, 2, 2, seed=4)
    projection = normal(2 * m, 5, seed=5)
    output = output_of(reconstruction, projection=projection, logits=logits)
    chosen = named("hybrid").override({"reconstruction": 3, "contrast": 0.5, "temperature": 0.4})
    loss = objective(output, images, chosen, targets)
    labels = plain_cross_entropy(logits.double().numpy(), targets.double().numpy())
    contrast = looped_nt_xent(projection.double().numpy(), 0.4)
    error = (reconstruction - images).square().mean().item()
    total = 3 * error + contrast / 2 + labels
    assert loss.values() == pytest.approx((total, error, 0, contrast, labels), rel=1e-5)


def test_labels_cost_the_entropy_of_their_targets_at_least() -> None:
    targets = normal(6, 4, seed=2).softmax(1)
    output = output_of(
        normal(6, 1, 1, 1), projection=normal(12, 3), logits=targets.log().repeat(2, 1) + 5
    )
    loss = objective(output, normal(6, 1, 1, 1), named("hybrid"), targets)
    entropy = -(targets * targets.log()).sum(1).mean().item()
    assert loss.labels.item() == pytest.approx(entropy, rel=1e-5)
    worse = output_of(normal(6, 1, 1, 1), projection=normal(12, 3), logits=normal(12, 4, seed=7))
    assert objective(worse, normal(6, 1, 1, 1), named("hybrid"), targets).labels.item() > entropy


def test_without_targets_or_logits_there_are_no_labels() -> None:
    projection, logits = normal(4, 3), normal(4, 2)
    images, targets = IMAGES, torch.eye(2)
    headless = output_of(RECONSTRUCTION, projection=projection)
    labelled = output_of(RECONSTRUCTION, projection=projection, logits=logits)
    plain, aimed, aimless = (
        objective(output, images, named("hybrid"), wanted).values()
        for output, wanted in ((headless, None), (headless, targets), (labelled, None))
    )
    assert plain[4] == 0
    np.testing.assert_array_equal(aimed, plain)
    np.testing.assert_array_equal(aimless, plain)


def test_the_gradient_of_the_labels_is_what_is_missing() -> None:
    """Of a softmax with cross-entropy: what it gives less what it should, over the rows."""
    logits = normal(4, 3, seed=1).requires_grad_()
    targets = normal(2, 3, seed=2).softmax(1)
    output = output_of(RECONSTRUCTION, projection=normal(4, 3), logits=logits)
    total = objective(output, IMAGES, named("hybrid"), targets).total
    (slope,) = torch.autograd.grad(total, logits)
    torch.testing.assert_close(slope, (logits.softmax(1) - targets.repeat(2, 1)).detach() / 4)


# -- KL -------------------------------------------------------------------------------------------


def test_kl_by_hand_and_against_torch_distributions() -> None:
    assert gaussian_kl(MEAN, LOG_VARIANCE).tolist() == pytest.approx([KL, 0])
    mean, log_variance = normal(50, 6, seed=1), normal(50, 6, seed=2)
    expected = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(gaussian_kl(mean, log_variance), expected)


def test_kl_is_least_at_the_standard_normal() -> None:
    assert torch.equal(gaussian_kl(torch.zeros(3, 5), torch.zeros(3, 5)), torch.zeros(3))
    assert gaussian_kl(normal(500, 2, seed=1), normal(500, 2, seed=2)).min() > 0


def test_kl_gradient() -> None:
    mean, log_variance = (normal(4, 3, seed=seed, dtype=torch.float64) for seed in (1, 2))
    inputs = (mean.requires_grad_(), log_variance.requires_grad_())
    assert torch.autograd.gradcheck(gaussian_kl, inputs)


# -- NT-Xent --------------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.1, 0.5, 2.0])
@pytest.mark.parametrize("pairs", [1, 2, 5])
def test_nt_xent_against_a_plain_loop(pairs: int, temperature: float) -> None:
    projections = normal(2 * pairs, 4, seed=pairs, dtype=torch.float64)
    expected = looped_nt_xent(projections.numpy(), temperature)
    assert nt_xent(projections, temperature).item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("pairs", [1, 2, 7, 100])
def test_nt_xent_of_equal_projections(pairs: int) -> None:
    loss = nt_xent(torch.ones(2 * pairs, 3), 0.5).item()
    assert loss == pytest.approx(math.log(2 * pairs - 1), rel=1e-5, abs=1e-6)


def test_crops_find_the_mean_of_the_views_by_hand() -> None:
    """Two images, whose mean directions are (1, 0) and (0, 1); temperature 1/2."""
    views = torch.tensor([[3.0, 3.0], [-1.0, 1.0], [1.0, -1.0], [2.0, 2.0]])
    exact = torch.tensor([[5.0, 0.0], [0.0, 0.1]])
    wrong, between = exact.flip(0), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    right = math.log(1 + math.exp(-2))
    assert crop_contrast(exact, views, 0.5).item() == pytest.approx(right)
    assert crop_contrast(wrong, views, 0.5).item() == pytest.approx(right + 2)
    assert crop_contrast(between, views, 0.5).item() == pytest.approx(math.log(2))
    several = crop_contrast(torch.cat([exact, wrong, between]), views, 0.5).item()
    assert several == pytest.approx((2 * right + 2 + math.log(2)) / 3)


def test_crops_join_the_contrast_of_views() -> None:
    projection, crops = normal(6, 4), normal(9, 4, seed=1)
    parts = {"projection": projection, "crop_projection": crops, "latent": torch.zeros(6, 2)}
    whole = objective(output_of(RECONSTRUCTION, **parts), IMAGES, named("hybrid"))
    expected = nt_xent(projection, 0.35) + crop_contrast(crops, projection, 0.35)
    assert whole.contrast.item() == pytest.approx(expected.item())
    assert whole.total.item() == pytest.approx(10 * 5.25 / 4 + expected.item(), rel=1e-5)


def test_nt_xent_by_hand() -> None:
    """Two orthogonal pairs: each view sees its partner at 1 and the two others at 0."""
    projections = torch.eye(2).repeat(2, 1)
    assert nt_xent(projections, 1.0).item() == pytest.approx(math.log((math.e + 2) / math.e))
    crossed = projections[[0, 1, 1, 0]]
    assert nt_xent(crossed, 1.0).item() == pytest.approx(math.log(math.e + 2))


def test_nt_xent_knows_directions_alone_and_neither_order_nor_side() -> None:
    projections = normal(12, 5, dtype=torch.float64)
    expected = nt_xent(projections, 0.5)
    lengths = torch.linspace(0.1, 10, 12, dtype=torch.float64)[:, None]
    torch.testing.assert_close(nt_xent(lengths * projections, 0.5), expected)
    torch.testing.assert_close(nt_xent(projections.roll(6, 0), 0.5), expected)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(nt_xent(projections[torch.cat([order, order + 6])], 0.5), expected)


def test_nt_xent_gradient() -> None:
    projections = normal(6, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: nt_xent(x, 0.5), (projections,))
