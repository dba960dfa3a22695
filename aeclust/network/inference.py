"""A trained network at work: latents, reconstructions and their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeclust.clusters.neighbours import viewed
from aeclust.network.batches import step_draws, to_input, to_unit
from aeclust.network.model import Autoencoder
from aeclust.network.parallel import ALONE, Team
from aeclust.network.views import view

BATCH = 256


def embed(
    network: Autoencoder,
    pixels: NDArray[Any],
    *,
    image_size: int,
    device: torch.device,
    team: Team = ALONE,
    report: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Latents of images.

    Parameters
    ----------
    network : Autoencoder
        Used in evaluation mode.
    pixels : ndarray of shape (n, h, w, c)
        uint8, or float in [0, 1].
    image_size : int
        Pixels a side inside the network.
    device : torch.device
    team : Team
        The processes that embed together; each gets the whole.
    report : callable
        Told the number of images done after every batch.

    Returns
    -------
    ndarray of shape (n, d)
        float32; the mean of a variational code.
    """
    done, result = 0, np.empty((0, 0), np.float32)
    for block in embed_blocks(network, pixels, image_size=image_size, device=device, team=team):
        if not done:
            result = np.empty((len(pixels), block.shape[1]), np.float32)
        result[done : done + len(block)] = block
        done += len(block)
        report(done)
    return result


def embed_blocks(
    network: Autoencoder,
    pixels: NDArray[Any],
    *,
    image_size: int,
    device: torch.device,
    team: Team = ALONE,
) -> Iterator[NDArray[np.float32]]:
    """The rows of :func:`embed`, at most 256 of each process at a time, so that only these are in
    memory."""
    network.eval()
    for start in range(0, len(pixels), BATCH * team.size):
        rows = pixels[start : start + BATCH * team.size]
        share = team.share(len(rows))
        with torch.inference_mode():  # not for whoever takes the block
            own = network.encode(to_input(rows[share.rows], image_size, device))
            block = share.gather(own).cpu().numpy()
        yield block.astype(np.float32, copy=False)


def embed_views(
    network: Autoencoder,
    pixels: NDArray[Any],
    *,
    image_size: int,
    device: torch.device,
    seed: int,
    rows: NDArray[np.int64] | None = None,
) -> NDArray[np.float32]:
    """Latents (n, d) of one random view of every image, or of those in some rows (n,)."""
    parts = []
    with torch.inference_mode():
        for step, batch in enumerate(_batches(network, pixels, image_size, device, rows)):
            draws = step_draws(device, seed=seed, epoch=0, step=step)
            parts.append(network.encode(view(batch, draws)).cpu().numpy())
    return np.concatenate(parts).astype(np.float32, copy=False)


def assign(
    network: Autoencoder, latents: NDArray[Any], *, device: torch.device
) -> NDArray[np.float32]:
    """Probabilities (n, k) of the clusters that self-labelling taught, for latents (n, d)."""
    with torch.inference_mode():
        parts = [network.assign(block).cpu().numpy() for block in _blocks(network, latents, device)]
    return np.concatenate(parts).astype(np.float32, copy=False)


def look_again(
    network: Autoencoder,
    pixels: NDArray[Any],
    *,
    image_size: int,
    device: torch.device,
    seed: int,
    labelled: bool,
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64] | None]:
    """A random view of some images: rows (v,), latents (v, d) and likeliest clusters (v,).

    Of clusters that are really there, a view shows enough to tell which one it is. The rows are
    those of :func:`aeclust.clusters.neighbours.viewed`; before self-labelling the network knows no
    clusters.
    """
    rows = viewed(len(pixels), seed=seed)
    views = embed_views(network, pixels, image_size=image_size, device=device, seed=seed, rows=rows)
    return rows, views, assign(network, views, device=device).argmax(1) if labelled else None


def reconstruct(
    network: Autoencoder, pixels: NDArray[Any], *, image_size: int, device: torch.device
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Images as the network sees them, their reconstructions, and the error of each.

    Parameters
    ----------
    network, pixels, image_size, device
        As for :func:`embed`.

    Returns
    -------
    originals, reconstructions : ndarray of shape (n, image_size, image_size, c)
        float32 in [0, 1].
    errors : ndarray of shape (n,)
        Mean squared error over pixels and channels in [-1, 1]; a variational code is its mean.
    """
    originals, reconstructions, errors = [], [], []
    with torch.inference_mode():
        for batch in _batches(network, pixels, image_size, device):
            output = network.decode(network.encode(batch))
            originals.append(to_unit(batch))
            reconstructions.append(to_unit(output))
            errors.append(_errors(batch, output))
    return np.concatenate(originals), np.concatenate(reconstructions), np.concatenate(errors)


def mean_squared_error(
    network: Autoencoder,
    pixels: NDArray[Any],
    latents: NDArray[Any],
    *,
    image_size: int,
    device: torch.device,
) -> float:
    """Mean over images, pixels and channels in [-1, 1] of what is drawn for their latents."""
    both = zip(
        _batches(network, pixels, image_size, device),
        _blocks(network, latents, device),
        strict=True,
    )
    with torch.inference_mode():
        total = sum(float(_errors(batch, network.decode(block)).sum()) for batch, block in both)
    return total / len(pixels)


def decode(
    network: Autoencoder, latents: NDArray[Any], *, device: torch.device
) -> NDArray[np.float32]:
    """Images (n, s, s, c) in [0, 1] that the network draws for latents (n, d)."""
    with torch.inference_mode():
        return np.concatenate(
            [to_unit(network.decode(block)) for block in _blocks(network, latents, device)]
        )


def _batches(
    network: Autoencoder,
    pixels: NDArray[Any],
    image_size: int,
    device: torch.device,
    rows: NDArray[np.int64] | None = None,
) -> Iterator[Tensor]:
    network.eval()
    for start in range(0, len(pixels if rows is None else rows), BATCH):
        batch = slice(start, start + BATCH)
        yield to_input(pixels[batch if rows is None else rows[batch]], image_size, device)


def _blocks(network: Autoencoder, latents: NDArray[Any], device: torch.device) -> Iterator[Tensor]:
    network.eval()
    for start in range(0, len(latents), BATCH):
        block = torch.from_numpy(np.asarray(latents[start : start + BATCH], np.float32))
        yield block.to(device)


def _errors(images: Tensor, output: Tensor) -> NDArray[np.float64]:
    return (output - images).cpu().double().square().flatten(1).mean(1).numpy()
