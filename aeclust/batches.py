"""Pixels to network input and back, and the random order in which training takes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F


def to_input(pixels: NDArray[Any], size: int, device: torch.device) -> Tensor:
    """Images as the networks take them.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)
        uint8, or float in [0, 1].
    size : int
        Pixels a side of the result; other images are resized (bilinear, antialiased).
    device : torch.device

    Returns
    -------
    Tensor of shape (n, c, size, size)
        float32 in [-1, 1].
    """
    # floats in float32 before they reach a device: not every one has float64
    kind = np.uint8 if pixels.dtype == np.uint8 else np.float32
    batch = torch.from_numpy(np.array(pixels, kind, order="C")).to(device)
    scale = 127.5 if batch.dtype == torch.uint8 else 0.5
    batch = batch.permute(0, 3, 1, 2).to(torch.float32) / scale - 1.0
    if batch.shape[2:] != (size, size):
        batch = F.interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return batch


def to_unit(batch: Tensor) -> NDArray[np.float32]:
    """Network images (n, c, h, w) in [-1, 1] as (n, h, w, c) float32 in [0, 1]."""
    unit = (batch.float().permute(0, 2, 3, 1) + 1.0) / 2.0
    return np.asarray(unit.clamp(0, 1).cpu().numpy(), dtype=np.float32)


def epoch_batches(n: int, batch_size: int, *, seed: int, epoch: int) -> list[NDArray[np.int64]]:
    """The rows of every batch of an epoch: a permutation that depends on (seed, epoch) alone.

    A single row left over joins the batch before it, because batch statistics need two images.
    """
    order = np.random.default_rng([seed, epoch]).permutation(n)
    cuts = list(range(batch_size, n, batch_size))
    if cuts and n - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def step_generator(device: torch.device, *, seed: int, epoch: int, step: int) -> torch.Generator:
    """Randomness of one training step, from (seed, epoch, step) alone, so that a run can resume."""
    state = np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state) >> 1)
