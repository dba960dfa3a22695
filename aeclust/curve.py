"""How reconstruction error and clustering accuracy move through training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aeclust import inference, metrics
from aeclust.clustering import cluster_latents, neighbour_vote, references
from aeclust.models import Autoencoder
from aeclust.recipes import Recipe


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
    """

    epoch: int
    error: float
    accuracy: float | None


@dataclass(frozen=True)
class Curve:
    """All checkpoints, and what they say together.

    Attributes
    ----------
    points : list of Point
        By epoch, ascending.
    correlation : float or None
        Spearman's rank correlation of error and accuracy; -1 would mean that the lower error
        always has the higher accuracy.
    fall : tuple of (int, int, float) or None
        The largest fall of accuracy between neighbouring checkpoints: the epochs and its size.
    """

    points: list[Point]
    correlation: float | None
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
    for epoch, network in checkpoints:
        error = inference.mean_squared_error(
            network, pixels, image_size=recipe.image_size, device=device
        )
        accuracy = None
        if validation is not None:
            images, truth = validation
            clusters = label_others(network, images, pixels, recipe, seed=seed, device=device)
            accuracy = metrics.scores(clusters, truth).accuracy
        points.append(Point(epoch, error, accuracy))
    return summarise(points)


def label_others(
    network: Autoencoder,
    others: NDArray[Any],
    training: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
) -> NDArray[np.int64]:
    """Clusters (m,) of images that were not trained on.

    A chain with t-SNE cannot place new points, so the others are clustered by themselves (the
    protocol of the report); any other chain clusters the training images and lets their
    neighbours vote.
    """
    latents = inference.embed(network, others, image_size=recipe.image_size, device=device)
    if recipe.transductive:
        return cluster_latents(latents, recipe, seed=seed, where="validation")[0]
    base = inference.embed(network, training, image_size=recipe.image_size, device=device)
    labels, _ = cluster_latents(base, recipe, seed=seed, where="training images")
    kept = references(len(base), seed=seed)
    return neighbour_vote(latents, base[kept], labels[kept], recipe.k)[0]


def summarise(points: list[Point]) -> Curve:
    """Rank correlation and largest fall of a list of points."""
    errors = np.array([p.error for p in points])
    accuracies = np.array([p.accuracy for p in points if p.accuracy is not None])
    if len(accuracies) < len(points):
        return Curve(points, None, None)
    fall = metrics.largest_fall(accuracies)
    return Curve(
        points,
        metrics.rank_correlation(errors, accuracies),
        None if fall is None else (points[fall[0]].epoch, points[fall[0] + 1].epoch, fall[1]),
    )
