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

from aeclust.network.parallel import Share

# Images up to so many bytes are shuffled as one; of larger sets, this much at a time, made of
# pieces of this size. They depend on the data alone: the same data, the same weights anywhere.
_WHOLE = 4 * 2**30
_WINDOW = 2**30
_PIECE = 2**20


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


def epoch_batches(
    n: int, batch_size: int, *, seed: int, epoch: int, row_bytes: int = 0
) -> list[NDArray[np.int64]]:
    """The rows of every batch of an epoch: a permutation that depends on (seed, epoch) alone.

    Of rows that take more than 4 GiB together, it is one that reads a disk in pieces, see
    :func:`windowed_order`: windows of 1 GiB from pieces of 1 MiB.

    A single row left over joins the batch before it, because batch statistics need two images.
    """
    rng = np.random.default_rng([seed, epoch])
    if n * row_bytes <= _WHOLE:
        order = rng.permutation(n)
    else:
        piece = max(1, _PIECE // row_bytes)
        order = windowed_order(n, piece=piece, window=_WINDOW // (piece * row_bytes) or 1, rng=rng)
    cuts = list(range(batch_size, n, batch_size))
    if cuts and n - cuts[-1] == 1:
        cuts.pop()
    return np.split(order, cuts)


def windowed_order(
    n: int, *, piece: int, window: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """A permutation that needs only a part of the rows in memory at a time.

    The rows are cut into pieces of consecutive ones, at other places each time. The pieces are
    dealt out at random into windows of equal numbers, and the rows of a window are permuted. So a
    batch comes from pieces all over the set, and every piece is read from disk once; but rows of
    one piece always meet in one window, and those of different windows in no batch but the one
    between them.

    Parameters
    ----------
    n : int
        Rows in all.
    piece : int
        Consecutive rows that are read together.
    window : int
        Pieces of a window, at most.
    rng : Generator

    Returns
    -------
    ndarray of shape (n,)
    """
    edges = np.unique(np.r_[0, np.arange(rng.integers(1, piece + 1), n, piece), n])
    pieces = rng.permutation(len(edges) - 1)
    windows = np.array_split(pieces, -(-len(pieces) // window))
    rows = [np.concatenate([np.arange(edges[i], edges[i + 1]) for i in some]) for some in windows]
    return np.concatenate([rng.permutation(some) for some in rows])


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
