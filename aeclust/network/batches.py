"""Pixels to network input and back, and the random streams of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aeclust import seeds

# Images up to so many bytes are shuffled as one; of larger sets, this much at a time, made of
# pieces of this size. They depend on the data alone: the same data, the same weights anywhere.
_WHOLE = 4 * 2**30
_WINDOW = 2**30
_PIECE = 2**20
_SHRUNK = 256  # images at a time


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
    return as_input(in_memory(pixels).to(device), size)


def in_memory(values: NDArray[Any]) -> Tensor:
    """A copy as a tensor of the CPU; floats in float32, because not every device has float64."""
    kind = np.uint8 if values.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.array(values, kind, order="C"))


def as_input(pixels: Tensor, size: int) -> Tensor:
    """The same of a tensor (n, h, w, c), uint8 or float32, on its device."""
    scale = 127.5 if pixels.dtype == torch.uint8 else 0.5
    batch = pixels.permute(0, 3, 1, 2).to(torch.float32) / scale - 1.0
    if batch.shape[2:] != (size, size):
        batch = F.interpolate(batch, (size, size), mode="bilinear", antialias=True)
    return batch


def shrunk(pixels: NDArray[Any], size: int, device: torch.device) -> NDArray[Any]:
    """Images (n, h, w, c) as uint8 of so many pixels a side, if they are larger; else as they are.

    What is looked at many times is made smaller once.
    """
    if min(pixels.shape[1:3]) <= size:
        return pixels
    small = np.empty((len(pixels), size, size, pixels.shape[3]), np.uint8)
    for start in range(0, len(pixels), _SHRUNK):
        block = to_input(pixels[start : start + _SHRUNK], size, device)
        values = ((block + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
        small[start : start + len(block)] = values.permute(0, 2, 3, 1).cpu().numpy()
    return small


def to_unit(batch: Tensor) -> NDArray[np.float32]:
    """Images as the networks give them (n, c, h, w) in [-1, 1], as (n, h, w, c) in [0, 1]."""
    unit = (batch.float().permute(0, 2, 3, 1) + 1.0) / 2.0
    return np.asarray(unit.clamp(0, 1).cpu().numpy(), dtype=np.float32)


def epoch_batches(
    n: int, batch_size: int, *, seed: int, epoch: int, row_bytes: int = 0
) -> list[NDArray[np.int64]]:
    """The rows of every batch of an epoch: a permutation that depends on (seed, epoch) alone.

    Parameters
    ----------
    n : int
        Images, 1 or more.
    batch_size : int
        A single row left over joins the batch before it, because batch statistics need two images.
    seed, epoch : int
    row_bytes : int
        That an image takes. Images of more than 4 GiB together are permuted so that they are read
        from disk in pieces, see :func:`windowed_order`: windows of 1 GiB from pieces of 1 MiB.

    Returns
    -------
    list of ndarray of shape (batch_size,)
        The last may be shorter, or longer by one.
    """
    rng = seeds.stream(seed, "batches", epoch)
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


def generator(
    device: torch.device, seed: int, purpose: seeds.Purpose, *place: int
) -> torch.Generator:
    """The stream of a purpose for tensors of a device, see :func:`aeclust.seeds.sequence`.

    Each kind of device makes other numbers of a seed.
    """
    return reseeded(torch.Generator(device), seed, purpose, *place)


def reseeded(
    source: torch.Generator, seed: int, purpose: seeds.Purpose, *place: int
) -> torch.Generator:
    """A generator that is there already, as the stream of a purpose."""
    state = seeds.sequence(seed, purpose, *place).generate_state(1, np.uint64)[0]
    return source.manual_seed(int(state) >> 1)
