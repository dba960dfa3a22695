"""Gaussian mixtures that start from given clusters: where their borders settle, and how surely."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from aeclust.clusters import Array, Doubles, Floats, Ints
from aeclust.clusters.hush import hushed

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

_STEPS = 10
_ROWS = 16_384  # of all points at a time, so that many points take no more room than few
_FLOOR = 1e-4  # of the mean variance, added to every variance
_LEAST = 1e-12
_HOTTEST = 1e4


def settle(points: Array, rows: Ints, start: Array, sizes: Iterable[int]) -> Floats | None:
    """Probabilities of clusters, from mixtures that are moved a little from a start.

    For the first `size` dimensions of every given size a mixture with a covariance for each
    cluster, and one with a common covariance, take ten steps of expectation maximisation
    (Dempster, Laird and Rubin, 1977; Bishop, "Pattern Recognition and Machine Learning", section
    9.2); the answer is the mean of their posteriors. Ten steps let the borders fall where there
    are few points and leave the clusters what they were; at convergence they would be others.

    Parameters
    ----------
    points : ndarray of shape (n, e)
        Reduced latents, whose dimensions fall in importance.
    rows, start : ndarray of shape (m,) and (m, k)
        The points that the mixtures are fitted to, and the probabilities of their clusters.
    sizes : iterable of int
        1 to e.

    Returns
    -------
    ndarray of shape (n, k) or None
        float32, rows sum to 1; None if the mixtures lose a cluster among the fitted points
        or cannot be fitted.
    """
    k = start.shape[1]
    spread = float(points[rows].var(0, dtype=np.float64).mean())
    # far from 0 the digits that distinguish points would be lost in squares
    centre = points[rows].mean(0, dtype=np.float64)
    total = np.zeros((len(points), k))
    count = 0
    for size in sizes:
        fitted = points[rows, :size] - centre[:size]
        variance = float(fitted.var(0).mean())
        if variance <= _LEAST * spread:  # nothing to see in the first of these dimensions
            continue
        for kind in ("full", "tied"):
            try:
                mixture = _fitted(fitted, np.asarray(start, np.float64), _FLOOR * variance, kind)
            except ValueError:  # scikit-learn's, of a Gaussian without volume
                return None
            for first in range(0, len(points), _ROWS):
                block = slice(first, first + _ROWS)
                total[block] += mixture.predict_proba(points[block, :size] - centre[:size])
            count += 1
    total /= count
    if len(np.unique(total[rows].argmax(1))) < k:
        return None
    return total.astype(np.float32)


def _fitted(points: Doubles, shares: Doubles, floor: float, kind: str) -> GaussianMixture:
    """A mixture after ten steps from shares (m, k) of the clusters; scikit-learn takes nine."""
    from sklearn.mixture import GaussianMixture

    sizes = shares.sum(0) + 1e-9
    means = shares.T @ points / sizes[:, np.newaxis]
    covariances = np.empty((len(sizes), points.shape[1], points.shape[1]))
    for j, mean in enumerate(means):
        gaps = points - mean
        covariances[j] = (shares[:, j, np.newaxis] * gaps).T @ gaps / sizes[j]
    if kind == "tied":
        covariances = np.average(covariances, axis=0, weights=sizes)
    precisions = np.linalg.inv(covariances + floor * np.eye(points.shape[1]))
    mixture = GaussianMixture(
        len(sizes),
        covariance_type=kind,
        tol=0,
        reg_covar=floor,
        max_iter=_STEPS - 1,
        weights_init=sizes / sizes.sum(),
        means_init=means,
        precisions_init=(precisions + np.swapaxes(precisions, -1, -2)) / 2,
    )
    with hushed():  # it is not to converge
        return mixture.fit(points)


def temper(shares: Floats, confidence: float, *, rows: Ints | None = None) -> Floats:
    """Probabilities made less sure, until the largest of a row is `confidence` on average.

    Latents are no Gaussians, so posteriors are overconfident. One temperature for all
    takes that back (Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2,
    where labels choose it); which cluster is the likeliest does not change, but for ties.
    Probabilities (n, k) that are no more confident than a confidence of 1 / k or more are left
    alone. The average is that of all, or of some `rows` (m,).
    """
    logs = np.log(np.maximum(np.asarray(shares, np.float64), _LEAST))
    logs -= logs.max(1, keepdims=True)
    measured = logs if rows is None else logs[rows]
    if _heated(measured, 1.0).max(1).mean() <= confidence:
        return shares
    low, high = 1.0, _HOTTEST
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        surer = _heated(measured, middle).max(1).mean() > confidence
        low, high = (middle, high) if surer else (low, middle)
    return _heated(logs, high).astype(np.float32)


def _heated(logs: Doubles, temperature: float) -> Doubles:
    """Probabilities (n, k) at a temperature, from logarithms of which the largest is 0."""
    heated: Doubles = np.exp(logs / temperature)
    heated /= heated.sum(1, keepdims=True)
    return heated
