"""Randomness: one seed of the user, and a stream of its own for each purpose.

Streams of different purposes are independent, so that no two stages ever share their luck.
"""

from __future__ import annotations

import zlib
from typing import Literal

import numpy as np

Purpose = Literal[
    "weights",  # initial weights of a network
    "batches",  # order of the images, by epoch
    "augmentation",  # views and noise of training, by epoch and step
    "views",  # views that latents are compared with
    "references",  # images that vote on others, or stand for all
    "reduction",  # PCA, kernel PCA, t-SNE
    "clusterer",  # each clusterer, by its number
    "refinement",  # which images may move
    "estimate",  # samples that the number of clusters is estimated from
    "heads",  # initial weights and pairs of the heads that learn clusters
    "indicators",  # samples and k-means of what is known without labels
    "known",  # which known labels are held back to choose by
    "ask",  # which of equally useful images are asked for
    "pictures",  # images and points that are shown
]


def sequence(seed: int, purpose: Purpose, *place: int) -> np.random.SeedSequence:
    """The source of a stream.

    Parameters
    ----------
    seed : int
        The user's, 0 or more.
    purpose : str
    place : int
        Numbers that distinguish streams of one purpose, such as epoch and step.

    Returns
    -------
    SeedSequence
    """
    # with their number, because a sequence that ends in zeros is the same without them
    return np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), len(place), *place])


def stream(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """Random numbers for a purpose, see :func:`sequence`."""
    return np.random.default_rng(sequence(seed, purpose, *place))


def number(seed: int, purpose: Purpose, *place: int) -> int:
    """A seed in 0 to 2^32 - 1 for libraries that take one, see :func:`sequence`."""
    return int(sequence(seed, purpose, *place).generate_state(1, np.uint32)[0])
