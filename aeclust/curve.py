"""How reconstruction error and clustering accuracy move through training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aeclust import inference, metrics
from aeclust.choosing import INDICATORS, Indicators, indicate
from aeclust.clustering import cluster_latents, neighbour_vote, references
from aeclust.models import Autoencoder
from aeclust.recipes import Recipe

# Images on which indicators are taken: a share of neighbours needs no more.
SAMPLE = 1_000


@dataclass(frozen=True)
class Point:
    """One checkpoint.

    Attributes
    ----------
    epoch : int
    error : float
        Mean squared error over all training images, in [-1, 1] units.
    accuracy : float or None
        Of the validation images' clusters, by best matching; None without labels.
    indicators : Indicators
        What can be known without labels.
    """

    epoch: int
    error: float
    accuracy: float | None
    indicators: Indicators


@dataclass(frozen=True)
class Curve:
    """All checkpoints, and what they say together.

    Attributes
    ----------
    points : list of Point
        By epoch, ascending.
    correlations : dict of str to float or None
        Spearman's rank correlation with accuracy, of the error (``mse``; -1 would mean that the
        lower error always has the higher accuracy) and of each indicator; empty without labels,
        None where it is undefined.
    fall : tuple of (int, int, float) or None
        The largest fall of accuracy between neighbouring checkpoints: the epochs and its size.
    """

    points: list[Point]
    correlations: dict[str, float | None]
    fall: tuple[int, int, float] | None


def checkpoint_curve(
    checkpoints: Iterable[tuple[int, Autoencoder]],
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    validation: tuple[NDArray[Any], NDArray[np.int64]] | None = None,
) -> Curve:
    """Measure every checkpoint.

    Parameters
    ----------
    checkpoints : iterable of (int, Autoencoder)
        Epochs, ascending, and their networks.
    pixels : ndarray of shape (n, h, w, c)
        The training images.
    recipe : Recipe
        Its reduction and clusterer are applied to each checkpoint.
    seed : int
    device : torch.device
    validation : (ndarray of shape (m, h, w, c), ndarray of shape (m,)), optional
        Labelled images. Labels are used for the score alone.
    """
    points = []
    sample = pixels[references(len(pixels), seed=seed, limit=SAMPLE)]
    for epoch, network in checkpoints:
        error = inference.mean_squared_error(
            network, pixels, image_size=recipe.image_size, device=device
        )
        found = indicators(network, sample, recipe, seed=seed, device=device)
        accuracy = None
        if validation is not None:
            images, truth = validation
            clusters = label_others(
                network,
                images,
                pixels,
                recipe,
                seed=seed,
                device=device,
                self_labelled=epoch > recipe.epochs,
            )
            accuracy = metrics.scores(clusters, truth).accuracy
        points.append(Point(epoch, error, accuracy, found))
    return summarise(points)


def indicators(
    network: Autoencoder,
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
) -> Indicators:
    """What a checkpoint shows of itself without labels, on (n, h, w, c) images."""
    latents = inference.embed(network, pixels, image_size=recipe.image_size, device=device)
    views = inference.embed_views(
        network, pixels, image_size=recipe.image_size, device=device, seed=seed
    )
    return indicate(latents, views, recipe.k or 2, seed=seed)


def label_others(
    network: Autoencoder,
    others: NDArray[Any],
    training: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    self_labelled: bool = False,
) -> NDArray[np.int64]:
    """Clusters (m,) of images that were not trained on.

    A chain with t-SNE cannot place new points, so the others are clustered by themselves (the
    protocol of the report); any other chain clusters the training images and lets their
    neighbours vote.
    """
    latents = inference.embed(network, others, image_size=recipe.image_size, device=device)
    if recipe.transductive:
        return cluster_latents(latents, recipe, seed=seed, where="validation").labels
    base = inference.embed(network, training, image_size=recipe.image_size, device=device)
    assignments = inference.assign(network, base, device=device) if self_labelled else None
    found = cluster_latents(
        base, recipe, seed=seed, assignments=assignments, where="training images"
    )
    kept = references(len(base), seed=seed)
    return neighbour_vote(latents, base[kept], found.labels[kept], found.k)[0]


def summarise(points: list[Point]) -> Curve:
    """Rank correlations and largest fall of a list of points."""
    accuracies = np.array([p.accuracy for p in points if p.accuracy is not None])
    if len(accuracies) < len(points):
        return Curve(points, {}, None)
    columns = {"mse": [p.error for p in points]}
    columns |= {name: [getattr(p.indicators, name) for p in points] for name in INDICATORS}
    fall = metrics.largest_fall(accuracies)
    return Curve(
        points,
        {
            name: metrics.rank_correlation(np.array(values), accuracies)
            for name, values in columns.items()
        },
        None if fall is None else (points[fall[0]].epoch, points[fall[0] + 1].epoch, fall[1]),
    )
