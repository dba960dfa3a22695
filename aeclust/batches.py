"""Pixels to network input and back, and the random order in which training takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aeclust.distributed import Share


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


@dataclass(frozen=True)
class Draws:
    """Random numbers for the rows of a batch.

    Attributes
    ----------
    generator : torch.Generator
    share : Share or None
        The part of the batch that they are for: numbers are drawn for all of it, so that an image
        gets the same ones however a batch is shared. None if there are no other rows.
    """

    generator: torch.Generator
    share: Share | None = None

    def uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        """Of `shape`, whose first axis is the rows; float32 in [low, high)."""
        return low + (high - low) * self._own(torch.rand, shape, torch.float32)

    def normal(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Of `shape`, whose first axis is the rows; mean 0, variance 1."""
        return self._own(torch.randn, shape, dtype)

    def _own(
        self, draw: Callable[..., Tensor], shape: tuple[int, ...], dtype: torch.dtype
    ) -> Tensor:
        options = {"generator": self.generator, "device": self.generator.device, "dtype": dtype}
        if self.share is None:
            return draw(shape, **options)
        return draw((self.share.total, *shape[1:]), **options)[self.share.rows]


def step_draws(
    device: torch.device, *, seed: int, epoch: int, step: int, share: Share | None = None
) -> Draws:
    """Randomness of one training step, from (seed, epoch, step) alone, so that a run can resume."""
    state = np.random.SeedSequence([seed, epoch, step]).generate_state(1, np.uint64)[0]
    return Draws(torch.Generator(device).manual_seed(int(state) >> 1), share)
