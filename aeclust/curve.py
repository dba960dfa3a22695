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
from aeclust.clustering import Views, cluster_latents
from aeclust.models import Autoencoder
from aeclust.nearest import neighbour_vote, references
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
    sample = references(len(pixels), seed=seed, limit=SAMPLE)
    size = recipe.image_size
    for epoch, network in checkpoints:
        latents = inference.embed(network, pixels, image_size=size, device=device)
        views = inference.embed_views(
            network, pixels, image_size=size, device=device, seed=seed, rows=sample
        )
        accuracy = None
        if validation is not None:
            images, truth = validation
            others = inference.embed(network, images, image_size=size, device=device)
            labelled, assignments, seen = epoch > recipe.epochs, None, None
            if labelled and not recipe.transductive:
                assignments = inference.assign(network, latents, device=device)
            if recipe.contrast and not recipe.transductive:
                again = inference.look_again(
                    network, pixels, image_size=size, device=device, seed=seed, labelled=labelled
                )
                seen = Views(*again)
            clusters = label_others(
                others, latents, recipe, seed=seed, assignments=assignments, views=seen
            )
            accuracy = metrics.scores(clusters, truth).accuracy
        error = inference.mean_squared_error(
            network, pixels, latents, image_size=size, device=device
        )
        found = indicate(latents[sample], views, recipe.k or 2, seed=seed)
        points.append(Point(epoch, error, accuracy, found))
    return summarise(points)


def label_others(
    others: NDArray[Any],
    training: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    assignments: NDArray[np.float32] | None = None,
    views: Views | None = None,
) -> NDArray[np.int64]:
    """Clusters (m,) of images that were not trained on.

    A chain with t-SNE cannot place new points, so the others are clustered by themselves (the
    protocol of the report); any other chain clusters the training images and lets their
    neighbours vote.

    Parameters
    ----------
    others : ndarray of shape (m, d)
        Latents.
    training : ndarray of shape (n, d)
        Latents of the training images.
    recipe : Recipe
    seed : int
    assignments : ndarray of shape (n, k), optional
        The network's own probabilities for the training images, if it labelled itself.
    views : Views, optional
        Of some of these, by the same network.
    """
    if recipe.transductive:
        return cluster_latents(others, recipe, seed=seed, where="validation").labels
    found = cluster_latents(
        training,
        recipe,
        seed=seed,
        assignments=assignments,
        views=views,
        where="training images",
    )
    kept = references(len(training), seed=seed)
    shares = None if found.tempered is None else found.tempered[kept]
    return neighbour_vote(
        others, training[kept], found.labels[kept], found.k, reference_shares=shares
    )[0]


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
