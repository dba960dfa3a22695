"""Self-labelling: what the second phase of training learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

from aeclust.clusters.chain import cluster_latents
from aeclust.errors import at
from aeclust.network import inference
from aeclust.network.model import Autoencoder
from aeclust.network.parallel import ALONE, Team
from aeclust.recipe import Recipe

_HEAD_STEPS, _HEAD_LR, _HEAD_DECAY = 100, 0.01, 1e-3


def self_label(
    network: Autoencoder,
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    team: Team = ALONE,
) -> NDArray[np.float32]:
    """Targets (n, k) of the second phase; the network's head is set to predict them.

    A team embeds together, then its leader finds the targets for all and sets its own head.
    """
    latents = inference.embed(
        network, pixels, image_size=recipe.image_size, device=device, team=team
    )
    targets = np.empty(0, np.float32)
    if team.leads:
        targets = soft_targets(latents, recipe, seed=seed)
        fit_head(network, latents, targets)
    return team.tell(targets)


def soft_targets(latents: NDArray[np.float32], recipe: Recipe, *, seed: int) -> NDArray[np.float32]:
    """Probabilities of clusters of latents.

    The targets stay as they are while the network learns them. That is the guard against
    collapse: no cluster can swallow another because it is easier to predict, and none is made
    larger or smaller to please a prior (compare van Gansbeke et al., "SCAN", 2020, whose targets
    follow the network and need such a term).

    Returns
    -------
    ndarray of shape (n, k)
        float32, rows sum to 1: those of a consensus, or, of a single clusterer, the shares of the
        clusters among each image's nearest latents, its own not counted.
    """
    with at("latents after the first phase"):
        return cluster_latents(latents, recipe, seed=seed).probabilities


def fit_head(
    network: Autoencoder, latents: NDArray[np.float32], targets: NDArray[np.float32]
) -> None:
    """Start the head as the logistic regression of the targets on the present latents.

    A random head would tear at the encoder in its first steps.
    """
    head = network.head
    if head is None:
        raise ValueError("a network without self-labelling has no head")
    device = head.weight.device
    codes = torch.from_numpy(latents).to(device)
    wanted = torch.from_numpy(targets).to(device)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    optimizer = torch.optim.AdamW(head.parameters(), _HEAD_LR, weight_decay=_HEAD_DECAY)
    for _ in range(_HEAD_STEPS):
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(head(codes), wanted).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
