"""The checkpoint curve: what is known of every checkpoint of a training, and of all together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import Array
from aeclust.clusters.indicators import INDICATORS, Indicators


@dataclass(frozen=True)
class Point:
    """One checkpoint.

    Its error is the mean square over all training images, in [-1, 1] units; its accuracy that of
    the validation images' clusters by best matching, or None without labels.
    """

    epoch: int
    error: float
    accuracy: float | None
    indicators: Indicators


@dataclass(frozen=True)
class Curve:
    """All checkpoints.

    Attributes
    ----------
    points : list of Point
    correlations : dict of str to float or None
        Spearman's rank correlation with accuracy, of the error (``mse``; -1 would mean that the
        lower error always has the higher accuracy) and of each indicator; empty without labels,
        None where it is undefined.
    fall : tuple of (int, int, float) or None
        The largest fall of accuracy between neighbouring checkpoints: the epochs and its size. None
        if it is no more than two standard errors of such a difference, and so may be chance.
    validated : int
        Images that accuracies are of; 0 if unknown.
    """

    points: list[Point]
    correlations: dict[str, float | None]
    fall: tuple[int, int, float] | None
    validated: int = 0


def summarise(points: list[Point], validated: int = 0) -> Curve:
    """Rank correlations and largest fall of a list of points, with accuracies of so many images."""
    accuracies = np.array([p.accuracy for p in points if p.accuracy is not None])
    if len(accuracies) < len(points):
        return Curve(points, {}, None)
    columns = {"mse": [p.error for p in points]}
    columns |= {name: [getattr(p.indicators, name) for p in points] for name in INDICATORS}
    correlations = {
        name: rank_correlation(np.array(values), accuracies) for name, values in columns.items()
    }
    return Curve(points, correlations, _largest_fall(points, accuracies, validated), validated)


def _largest_fall(
    points: list[Point], accuracies: Array, validated: int
) -> tuple[int, int, float] | None:
    falls = accuracies[:-1] - accuracies[1:]
    if not validated or not (falls > 0).any():
        return None
    i = int(falls.argmax())
    error = float(np.hypot(*standard_errors(accuracies[i : i + 2], validated)))
    if falls[i] <= 2 * error:
        return None
    return points[i].epoch, points[i + 1].epoch, float(falls[i])


def standard_errors(accuracies: Array, images: int) -> Array:
    """Of shares of so many images, each right or wrong by itself.

    >>> standard_errors(np.array([0.5, 0.9, 1.0]), 25)
    array([0.1 , 0.06, 0.  ])
    """
    return np.asarray(np.sqrt(accuracies * (1 - accuracies) / images))


def rank_correlation(x: Array, y: Array) -> float | None:
    """Spearman's rho of two curves, or None where it is undefined (constant, or under 3 points)."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    from scipy.stats import spearmanr  # loading it takes longer than most commands

    return float(spearmanr(x, y).statistic)
