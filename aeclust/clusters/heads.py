"""Many linear heads that learn clusters from neighbours, for latents of a good encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.consensus import Consensus, information, vote
from aeclust.clusters.scores import best_names

if TYPE_CHECKING:
    import torch

HEADS = 16
NEAR = 10  # neighbours of an image that it may be paired with
_STEPS, _PAIRS = 400, 1_024
_LR, _WARM_UP, _DECAY = 3e-3, 0.2, 1e-3
_MOMENTS, _TINY = (0.9, 0.999), 1e-8
_SHARPNESS = 0.6  # below about a half all images fall into one cluster
_MEMORY = 0.9  # of the running mean of the clusters' sizes
_ROWS = 4_096  # of all latents at a time


@contextmanager
def _alone() -> Iterator[None]:
    """Within it PyTorch works on the CPU as it would by itself, whatever its caller has set."""
    import torch

    with torch.no_grad(), torch.autocast("cpu", enabled=False), torch.device("cpu"):
        yield


def spread_of(latents: Array) -> tuple[Floats, Floats]:
    """Mean (d,) and standard deviation (d,) of every value of latents (n, d)."""
    centre = np.asarray(latents.mean(0, dtype=np.float64), np.float32)
    return centre, np.maximum(np.asarray(latents.std(0, dtype=np.float64), np.float32), 1e-6)


def scaled(latents: Array, centre: Floats, scale: Floats) -> Floats:
    """Latents (n, d) with values of one spread, and then vectors of one length."""
    values = (np.asarray(latents, np.float32) - centre) / scale
    norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return np.asarray(values * (values.shape[1] ** 0.5 / norms), np.float32)


class LostClusterError(Exception):
    """No head has an image in every cluster."""


@dataclass(frozen=True)
class Heads:
    """Linear maps from latents to the logits of clusters.

    Attributes
    ----------
    centre, scale : ndarray of shape (d,)
        Of every value of a latent; what is left of a latent is divided by its norm.
    weights, biases : Tensor of shape (heads, d, k) and (heads, 1, k)
    """

    centre: Floats
    scale: Floats
    weights: torch.Tensor
    biases: torch.Tensor

    def inputs(self, latents: Array) -> torch.Tensor:
        """What the heads see of latents (n, d)."""
        import torch

        return torch.from_numpy(scaled(latents, self.centre, self.scale))

    @_alone()
    def probabilities(self, latents: Array) -> Floats:
        """Probabilities (heads, n, k) of the clusters of latents (n, d)."""
        return _logits(self, self.inputs(latents)).softmax(2).numpy()


@_alone()
def train_heads(
    latents: Array,
    near: Ints,
    k: int,
    *,
    seed: int,
    count: int = HEADS,
    progress: Callable[[int], None] = lambda step: None,
) -> Heads:
    """Train linear heads to give an image and a neighbour of it the same cluster.

    An image with probabilities p and a neighbour with q both learn the common answer w, which is
    proportional to (p q)^0.6 / s. The sizes s of the clusters, a running mean, are a guard
    against a cluster that takes all. This climbs the gradient of the log of the sum of
    (p q)^0.6 / s, the pointwise mutual information of Adaloglou et al., "Exploring the Limits of
    Deep Image Clustering using Pretrained Models" (2023), section 3, but with no teacher and
    all pairs of one weight. Heads differ by their initial weights alone: all see the same pairs.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    near : ndarray of shape (n, m)
        Rows of the nearest images of every image.
    k, seed, count : int
        Clusters, and number of heads.
    progress : callable
        Takes the number of steps done, now and then.
    """
    import torch

    n, d = latents.shape
    centre, scale = spread_of(latents)
    draw = seeds.stream(seed, "heads")
    start = draw.normal(0, d**-0.5, (count, d, k)).astype(np.float32)
    values = [torch.from_numpy(start), torch.zeros(count, 1, k, dtype=torch.float32)]
    heads = Heads(centre, scale, *values)
    moments = [[torch.zeros_like(value) for value in values] for _ in _MOMENTS]
    sizes = torch.full((count, 1, k), 1 / k, dtype=torch.float32)
    inputs = heads.inputs(latents)
    pairs = min(n, _PAIRS)
    for step in range(_STEPS):
        rows = draw.integers(n, size=pairs)
        others = near[rows, draw.integers(near.shape[1], size=pairs)]
        sides = [inputs[rows], inputs[others]]
        logs = [_logits(heads, side).log_softmax(2) for side in sides]
        shares = [each.exp() for each in logs]
        mean = (shares[0].mean(1, keepdim=True) + shares[1].mean(1, keepdim=True)) / 2
        sizes = _MEMORY * sizes + (1 - _MEMORY) * mean
        wanted = (_SHARPNESS * (logs[0] + logs[1]) - sizes.clamp(min=_TINY).log()).softmax(2)
        slopes = [(share - wanted) * (_SHARPNESS / pairs) for share in shares]
        gradients = [
            sum(_products(side.T, slope) for side, slope in zip(sides, slopes, strict=True)),
            sum(slope.sum(1, keepdim=True) for slope in slopes),
        ]
        _adamw(values, gradients, moments, step)
        progress(step + 1)
    return heads


def _logits(heads: Heads, inputs: torch.Tensor) -> torch.Tensor:
    return _products(inputs, heads.weights) + heads.biases


def _products(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """The product (h, n, k) of a matrix (n, d) with each of others (h, d, k), all at once."""
    heads, rows, k = right.shape
    flat = left @ right.permute(1, 0, 2).reshape(rows, heads * k)
    return flat.view(len(left), heads, k).permute(1, 0, 2)


def _adamw(
    values: list[torch.Tensor],
    gradients: list[torch.Tensor],
    moments: list[list[torch.Tensor]],
    step: int,
) -> None:
    """A step of AdamW in place (Loshchilov and Hutter, 2019), the rate rising, then falling."""
    part = (step + 1) / _STEPS
    rise = min(1.0, part / _WARM_UP)
    fall = 0.5 * (1 + np.cos(np.pi * max(0.0, (part - _WARM_UP) / (1 - _WARM_UP))))
    rate = _LR * rise * float(fall)
    first, second = _MOMENTS
    for value, slope, mean, square in zip(values, gradients, *moments, strict=True):
        mean.lerp_(slope, 1 - first)
        square.lerp_(slope.square(), 1 - second)
        unbiased = (square / (1 - second ** (step + 1))).sqrt_() + _TINY
        value.mul_(1 - rate * _DECAY)
        value.sub_(rate / (1 - first ** (step + 1)) * mean / unbiased)


def pooled(
    heads: Heads, latents: Array, rows: Ints, near: Ints, k: int
) -> tuple[Consensus, Floats]:
    """What the heads agree on.

    Heads with the most :func:`~aeclust.clusters.consensus.information` about neighbours, half of
    those that kept all clusters, are aligned to the best of them, and their probabilities are
    averaged. Where that loses a cluster, the best decides alone.

    Parameters
    ----------
    heads : Heads
    latents : ndarray of shape (n, d)
    rows, near : ndarray of shape (r,) and (r, m)
        The latents that the heads learnt from, and the neighbours of each among these.
    k : int

    Returns
    -------
    consensus : Consensus
        Of the r latents, with all heads as members.
    probabilities : ndarray of shape (n, k)
        float32.

    Raises
    ------
    LostClusterError
        If no head has kept k clusters.
    """
    labels = heads.probabilities(latents[rows]).argmax(2)
    members = {f"head {i + 1:02d}": each for i, each in enumerate(labels)}
    whole = [i for i, each in enumerate(labels) if len(np.unique(each)) == k]
    if not whole:
        raise LostClusterError
    known = {i: information(labels[i], near, k) for i in whole}
    chosen = sorted(whole, key=lambda i: -known[i])[: -(-len(whole) // 2)]
    best = labels[chosen[0]]
    names = [best_names(labels[i], best, k) for i in chosen]
    order = [np.argsort(each) for each in names]  # the head's cluster of each of the best head's
    probabilities = _averaged(heads, latents, chosen, order)
    if len(np.unique(probabilities[rows].argmax(1))) < k:
        probabilities = _averaged(heads, latents, chosen[:1], order[:1])
    voted = vote(members, k)
    return voted.led(probabilities[rows].argmax(1), k), probabilities


def _averaged(heads: Heads, latents: Array, chosen: Sequence[int], order: Sequence[Ints]) -> Floats:
    """Mean probabilities (n, k) of some heads, each in the order (k,) that its clusters have."""
    parts = []
    for first in range(0, len(latents), _ROWS):
        block = heads.probabilities(latents[first : first + _ROWS])
        parts.append(np.mean([block[i][:, each] for i, each in zip(chosen, order, strict=True)], 0))
    return np.concatenate(parts)
