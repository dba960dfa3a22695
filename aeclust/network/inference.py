"""A trained network at work: latents, reconstructions and their errors.

Every function leaves its network in evaluation mode and works where the network's weights lie.
Images are (n, h, w, c), uint8 or float in [0, 1]; latents (n, d) are float32. Where a network has a
frozen encoder, its features (n, d) may be given instead of images to :func:`embed`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aeclust.clusters.neighbours import viewed
from aeclust.network.batches import generator, in_memory, to_input, to_unit
from aeclust.network.isolation import isolated
from aeclust.network.model import Autoencoder
from aeclust.network.parallel import ALONE, Team
from aeclust.network.views import mild_view, random_view

BATCH = 256
_PIXELS = 2**21  # of images that a GPU takes at a time: Python asks for each batch and waits for it


def embed(
    network: Autoencoder,
    pixels: NDArray[Any],
    *,
    team: Team = ALONE,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Latents of images.

    Parameters
    ----------
    network : Autoencoder
    pixels : ndarray of shape (n, h, w, c)
        uint8, or float in [0, 1].
    team : Team
        The processes that embed together; each gets the whole.
    progress : callable
        Takes the number of images done, after every batch.

    Returns
    -------
    ndarray of shape (n, d)
        float32; the mean of a variational code.
    """
    done, result = 0, np.empty((0, 0), np.float32)
    for block in embed_blocks(network, pixels, team=team):
        if not done:
            result = np.empty((len(pixels), block.shape[1]), np.float32)
        result[done : done + len(block)] = block
        done += len(block)
        progress(done)
    return result


def embed_blocks(
    network: Autoencoder, pixels: NDArray[Any], *, team: Team = ALONE
) -> Iterator[NDArray[np.float32]]:
    """The rows of :func:`embed`, a batch of each process at a time: only these are in memory."""
    network.eval()
    step = at_once(network) * team.size

    def encode(images: NDArray[Any]) -> Tensor:
        return network.encode(_seen(network, images))

    for start in range(0, len(pixels), step):
        with isolated():  # not for whoever takes the block
            block = team.shared(encode, pixels[start : start + step])
        yield _array(block)


def at_once(network: Autoencoder, pixels: int = 0) -> int:
    """Images in a batch where a network works; of drawn ones, each may have so many pixels."""
    if network.device.type == "cpu":
        return BATCH
    return max(BATCH, _PIXELS // max(network.image_size**2, pixels))


def encode_frozen(
    see: Callable[[Tensor], Tensor],
    pixels: NDArray[Any],
    size: int,
    *,
    rows: NDArray[np.int64] | None = None,
    team: Team = ALONE,
    progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Features (n, d) by a frozen encoder of all images, or of those in some rows (n,).

    It takes `size` pixels a side.
    """

    def encode(images: NDArray[Any]) -> Tensor:
        return see(to_input(images, size, team.device))

    parts, n = [], len(pixels if rows is None else rows)
    for start in range(0, n, BATCH * team.size):
        block = slice(start, min(n, start + BATCH * team.size))
        with isolated():
            images = pixels[block if rows is None else rows[block]]
            parts.append(_array(team.shared(encode, images)))
        progress(block.stop)
    return np.concatenate(parts)


def embed_views(
    network: Autoencoder, pixels: NDArray[Any], *, seed: int, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Latents (n, d) of one random view of every image, or of those in some rows (n,).

    A frozen encoder, which has not learnt to overlook as much, gets a mild one.
    """
    parts = []
    with isolated():
        for step, batch in enumerate(_batches(network, pixels, rows)):
            source = generator(network.device, seed, "views", step)
            view = mild_view(batch, source) if network.frozen else random_view(batch, source)
            parts.append(_array(network.encode(view)))
    return np.concatenate(parts)


def assign(network: Autoencoder, latents: NDArray[Any]) -> NDArray[np.float32]:
    """Probabilities (n, k) of the clusters that self-labelling taught, for latents (n, d)."""
    with isolated():
        return np.concatenate([_array(network.assign(x)) for x in _blocks(network, latents)])


def random_views(
    network: Autoencoder, pixels: NDArray[Any], *, seed: int, labelled: bool
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.int64] | None]:
    """Random views of some images: rows (v,), latents (v, d) and likeliest clusters (v,).

    Of clusters that are really there, a view shows enough to recognise one. The rows are
    those of :func:`aeclust.clusters.neighbours.viewed`; unless `labelled`, the network has no
    clusters yet, and there is None.
    """
    rows = viewed(len(pixels), seed=seed, few=network.frozen)
    latents = embed_views(network, pixels, seed=seed, rows=rows)
    return rows, latents, assign(network, latents).argmax(1) if labelled else None


def reconstruct(
    network: Autoencoder, pixels: NDArray[Any], latents: NDArray[Any] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
    """Images as the network sees them, their reconstructions, and the error of each.

    Parameters
    ----------
    network, pixels
    latents : ndarray of shape (n, d), optional
        Of the images, if they are known.

    Returns
    -------
    originals, reconstructions : ndarray of shape (n, s, s, c)
        float32 in [0, 1]; s is the size that the network draws, but for the originals of a frozen
        encoder, which may draw far smaller: those have the size of the images, squared, as far as
        the encoder sees it.
    errors : ndarray of shape (n,)
        Mean squared error over pixels and channels in [-1, 1]; a variational code is its mean.
    """
    originals, reconstructions, errors = [], [], []
    with isolated():
        images = _batches(network, pixels, size=network.drawn_size)
        codes = _blocks(network, latents) if latents is not None else _codes(network, pixels)
        for code, batch in zip(codes, images, strict=True):
            output = network.decode(code)
            if not network.frozen:
                originals.append(to_unit(batch))
            reconstructions.append(to_unit(output))
            errors.append(_errors(batch, output))
        if network.frozen:
            side = min(network.image_size, max(pixels.shape[1:3]))
            originals = [to_unit(batch) for batch in _batches(network, pixels, size=side)]
    return np.concatenate(originals), np.concatenate(reconstructions), np.concatenate(errors)


def _codes(network: Autoencoder, pixels: NDArray[Any]) -> Iterator[Tensor]:
    return (network.encode(batch) for batch in _batches(network, pixels))


def mean_squared_error(network: Autoencoder, pixels: NDArray[Any], latents: NDArray[Any]) -> float:
    """Mean over images, pixels and channels in [-1, 1] of what is drawn for their latents."""
    pairs = zip(
        _batches(network, pixels, size=network.drawn_size), _blocks(network, latents), strict=True
    )
    with isolated():
        total = sum(float(_errors(batch, network.decode(block)).sum()) for batch, block in pairs)
    return total / len(pixels)


def decode(
    network: Autoencoder, latents: NDArray[Any], *, size: tuple[int, ...] | None = None
) -> NDArray[np.float32]:
    """Images (n, h, w, c) in [0, 1] that the network draws for latents (n, d), in another size."""
    images = []
    with isolated():
        for block in _blocks(network, latents, 0 if size is None else math.prod(size)):
            batch = network.decode(block)
            if size is not None and size != batch.shape[2:]:
                batch = F.interpolate(batch, list(size), mode="bilinear", antialias=True)
            images.append(to_unit(batch))
    return np.concatenate(images)


def _batches(
    network: Autoencoder,
    pixels: NDArray[Any],
    rows: NDArray[np.int64] | None = None,
    size: int = 0,
) -> Iterator[Tensor]:
    network.eval()
    step = at_once(network)
    for start in range(0, len(pixels if rows is None else rows), step):
        batch = slice(start, start + step)
        images = pixels[batch if rows is None else rows[batch]]
        yield to_input(images, size or network.image_size, network.device)


def _seen(network: Autoencoder, images: NDArray[Any]) -> Tensor:
    """Images, or features of a frozen encoder, as a network takes them."""
    if images.ndim == 2:
        return in_memory(images).to(network.device)
    return to_input(images, network.image_size, network.device)


def _blocks(network: Autoencoder, latents: NDArray[Any], pixels: int = 0) -> Iterator[Tensor]:
    network.eval()
    step = at_once(network, pixels)
    for start in range(0, len(latents), step):
        block = np.asarray(latents[start : start + step], np.float32)
        yield torch.from_numpy(block).to(network.device)


def _array(values: Tensor) -> NDArray[np.float32]:
    return values.cpu().numpy().astype(np.float32, copy=False)


def _errors(images: Tensor, output: Tensor) -> NDArray[np.float64]:
    return (output - images).cpu().double().square().flatten(1).mean(1).numpy()
