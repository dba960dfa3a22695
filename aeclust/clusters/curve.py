"""The checkpoint curve: what every checkpoint of a training says, and what all say together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aeclust.clusters import scores as metrics
from aeclust.clusters.indicators import INDICATORS, Indicators


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
