"""Self-labelling: what the second phase of training learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.known import Known
from aeclust.errors import at
from aeclust.network import inference
from aeclust.network.model import Autoencoder
from aeclust.network.optimizers import adamw_step
from aeclust.network.parallel import ALONE, Team
from aeclust.recipe import Recipe

_HEAD_STEPS, _HEAD_LR, _HEAD_DECAY = 100, 0.01, 1e-3


def self_label(
    network: Autoencoder,
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    known: Known | None = None,
    team: Team = ALONE,
) -> NDArray[np.float32]:
    """Targets (n, k) of the second phase; the network's head is set to predict them.

    A team embeds together, then its leader clusters for all and sets its head.
    """
    latents = inference.embed(network, pixels, team=team)
    targets = np.empty(0, np.float32)
    if team.leads:
        targets = soft_targets(latents, recipe, seed=seed, known=known)
        fit_head(network, latents, targets)
    return team.broadcast(targets)


def soft_targets(
    latents: NDArray[np.float32], recipe: Recipe, *, seed: int, known: Known | None = None
) -> NDArray[np.float32]:
    """Probabilities of clusters of latents (n, d).

    The targets stay as they are while the network learns them. That is the guard against
    collapse: no cluster can swallow another because it is easier to predict, and none is made
    larger or smaller to please a prior (compare van Gansbeke et al., "SCAN", 2020, whose targets
    follow the network and need such a term).

    Returns
    -------
    ndarray of shape (n, k)
        float32, rows sum to 1: those of a consensus, or, of a single clusterer, the shares of the
        clusters among the latents nearest to each image, itself not counted. Those of known images
        are sure of their class.
    """
    with at("latents after the first phase"):
        return cluster_latents(latents, recipe, seed=seed, known=known).probabilities


def fit_head(
    network: Autoencoder, latents: NDArray[np.float32], targets: NDArray[np.float32]
) -> None:
    """Start the head as the logistic regression of targets (n, k) on the present latents (n, d).

    A random head would tear at the encoder in its first steps.

    Raises
    ------
    ValueError
        If the network has no head.
    """
    head = network.head
    if head is None:
        raise ValueError("a network without self-labelling has no head")
    codes, wanted = (torch.from_numpy(x).to(network.device) for x in (latents, targets))
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    head.requires_grad_(True)
    values: list[Tensor] = list(head.parameters())
    states: list[dict[str, Tensor]] = [{} for _ in values]
    for _ in range(_HEAD_STEPS):
        slopes = torch.autograd.grad(F.cross_entropy(head(codes), wanted), values)
        adamw_step(values, list(slopes), states, lr=_HEAD_LR, weight_decay=_HEAD_DECAY)
