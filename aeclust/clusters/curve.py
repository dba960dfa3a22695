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
    correlations = {
        name: rank_correlation(np.array(values), accuracies) for name, values in columns.items()
    }
    falls = accuracies[:-1] - accuracies[1:]
    if not (falls > 0).any():
        return Curve(points, correlations, None)
    i = int(falls.argmax())
    return Curve(points, correlations, (points[i].epoch, points[i + 1].epoch, float(falls[i])))


def rank_correlation(x: Array, y: Array) -> float | None:
    """Spearman's rho of two curves, or None where it is undefined (constant, or under 3 points)."""
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    from scipy.stats import spearmanr  # loading it takes longer than most commands

    return float(spearmanr(x, y).statistic)
