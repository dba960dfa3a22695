"""Gaussian mixtures that start from given clusters: where their borders settle, and how surely."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_STEPS = 10
_ROWS = 16_384  # of all points at a time, so that many points take no more room than few
_FLOOR = 1e-4  # of the mean variance, added to every variance
_LEAST = 1e-12
_HOTTEST = 1e4


def settle(
    points: NDArray[Any], rows: NDArray[np.int64], start: NDArray[Any], sizes: Iterable[int]
) -> NDArray[np.float32] | None:
    """Probabilities of clusters, from mixtures that are moved a little from a start.

    For the first `size` dimensions of every given size a mixture with a covariance for each
    cluster, and one with a common covariance, take ten steps of expectation maximisation
    (Dempster, Laird and Rubin, 1977; Bishop, "Pattern Recognition and Machine Learning", section
    9.2); the answer is the mean of their posteriors. Ten steps let the borders fall where there
    are few points and leave the clusters what they were; at convergence they would be others.

    Parameters
    ----------
    points : ndarray of shape (n, e)
        Reduced latents; those that matter most first.
    rows : ndarray of shape (m,)
        The points that the mixtures are fitted to.
    start : ndarray of shape (m, k)
        Probabilities of the clusters of those.
    sizes : iterable of int
        1 to e.

    Returns
    -------
    ndarray of shape (n, k) or None
        float32, rows sum to 1; None if the mixtures lose a cluster among the fitted points.
    """
    k = start.shape[1]
    spread = float(points[rows].var(0, dtype=np.float64).mean())
    total = np.zeros((len(points), k))
    count = 0
    for size in sizes:
        fitted = np.asarray(points[rows][:, :size], np.float64)
        own = float(fitted.var(0).mean())
        if own <= _LEAST * spread:  # nothing to see in the first of these dimensions
            continue
        floor = _FLOOR * own * np.eye(size)
        for tied in (False, True):
            shares = np.asarray(start, np.float64)
            for _ in range(_STEPS):
                mixture = _maximise(fitted, shares, floor, tied=tied)
                shares = _expect(fitted, *mixture)
            for first in range(0, len(points), _ROWS):
                block = slice(first, first + _ROWS)
                total[block] += _expect(np.asarray(points[block, :size], np.float64), *mixture)
            count += 1
    total /= count
    if len(np.unique(total[rows].argmax(1))) < k:
        return None
    return total.astype(np.float32)


def temper(shares: NDArray[np.float32], confidence: float) -> NDArray[np.float32]:
    """Probabilities made less sure, until the largest of a row is `confidence` on average.

    Latents are no Gaussians, so posteriors are surer than they should be. One temperature for all
    takes that back (Guo et al., "On Calibration of Modern Neural Networks", 2017, section 4.2,
    where labels choose it); which cluster is the likeliest does not change, but for ties.

    Parameters
    ----------
    shares : ndarray of shape (n, k)
        Rows sum to 1.
    confidence : float
        At least 1 / k. Probabilities that are no surer than that are left alone.
    """
    logs = np.log(np.maximum(np.asarray(shares, np.float64), _LEAST))

    def at(temperature: float) -> NDArray[np.float64]:
        heated: NDArray[np.float64] = np.exp((logs - logs.max(1, keepdims=True)) / temperature)
        heated /= heated.sum(1, keepdims=True)
        return heated

    if at(1.0).max(1).mean() <= confidence:
        return shares
    low, high = 1.0, _HOTTEST
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if at(middle).max(1).mean() > confidence else (low, middle)
    return at(high).astype(np.float32)


def _maximise(
    points: NDArray[np.float64],
    shares: NDArray[np.float64],
    floor: NDArray[np.float64],
    *,
    tied: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Weights (k,), means (k, d) and covariances (k, d, d) of the most likely mixture."""
    sizes = shares.sum(0) + 1e-9
    means = shares.T @ points / sizes[:, np.newaxis]
    covariances = np.empty((len(sizes), *floor.shape))
    for j, mean in enumerate(means):
        gaps = points - mean
        covariances[j] = (shares[:, j, np.newaxis] * gaps).T @ gaps / sizes[j]
    if tied:
        covariances[:] = np.average(covariances, axis=0, weights=sizes)
    return sizes / sizes.sum(), means, covariances + floor


def _expect(
    points: NDArray[np.float64],
    weights: NDArray[np.float64],
    means: NDArray[np.float64],
    covariances: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Posterior probabilities (n, k) of the Gaussians."""
    from scipy.linalg import solve_triangular

    logs = np.empty((len(points), len(weights)))
    for j, (weight, mean, covariance) in enumerate(zip(weights, means, covariances, strict=True)):
        root = np.linalg.cholesky(covariance)
        scaled = solve_triangular(root, (points - mean).T, lower=True)
        logs[:, j] = np.log(weight) - np.log(np.diag(root)).sum() - np.square(scaled).sum(0) / 2
    logs -= logs.max(1, keepdims=True)
    shares = np.exp(logs)
    shares /= shares.sum(1, keepdims=True)
    return shares
