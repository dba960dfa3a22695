"""Which images show what is in a cluster, and which in an embedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.numbers import OUTLIER, in_use

_ROWS = 16_384  # of latents at a time


@dataclass(frozen=True)
class Picks:
    """Rows of some images of one cluster, each of shape (m,), m at most what was asked for.

    Attributes
    ----------
    cluster, size : int
        Its number, which is -1 of the outliers, and how many images it has.
    confidence : float
        The mean of all its images.
    typical : ndarray
        int64; those nearest to the cluster's mean latent, of its more confident half.
    doubtful : ndarray
        int64; the least confident ones, the least first.
    random : ndarray
        int64; drawn without replacement, ascending.
    """

    cluster: int
    size: int
    confidence: float
    typical: NDArray[np.int64]
    doubtful: NDArray[np.int64]
    random: NDArray[np.int64]

    @property
    def kinds(self) -> dict[str, NDArray[np.int64]]:
        """The rows by what their kind is called: the least sure need not be in doubt."""
        return {"typical": self.typical, "least sure": self.doubtful, "random": self.random}


def pick(
    labels: NDArray[np.int64],
    confidence: NDArray[np.floating[Any]],
    latents: NDArray[np.floating[Any]],
    *,
    count: int,
    seed: int,
) -> list[Picks]:
    """Up to `count` typical, doubtful and random images of every cluster that has any.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        Integers from 0, and -1 of outliers, which are taken for one more cluster.
    confidence : ndarray of shape (n,)
        In [0, 1].
    latents : ndarray of shape (n, d)
        May be memory-mapped; some thousand rows are read at a time.
    count : int
        At least 1.
    seed : int
        Of the random ones.

    Returns
    -------
    list of Picks
        By ascending cluster number, outliers last. Equals are taken in the order of their rows.
    """
    picks = []
    for cluster in [*in_use(labels), OUTLIER]:
        rows = np.flatnonzero(labels == cluster)
        if not len(rows):
            continue
        by_doubt = np.argsort(confidence[rows], kind="stable")
        # an odd one out belongs to the confident half
        sure = np.sort(rows[by_doubt[len(rows) // 2 :]])
        sums = [latents[part].sum(axis=0, dtype=np.float64) for part in _parts(rows)]
        centre = np.sum(sums, axis=0) / len(rows)
        gaps = (latents[part] - centre for part in _parts(sure))
        distances = np.concatenate([np.square(gap).sum(axis=1) for gap in gaps])
        drawn = seeds.stream(seed, "pictures", cluster % 2**32)  # streams have no place -1
        picks.append(
            Picks(
                cluster=cluster,
                size=len(rows),
                confidence=float(confidence[rows].mean(dtype=np.float64)),
                typical=sure[np.argsort(distances, kind="stable")[:count]],
                doubtful=rows[by_doubt[:count]],
                random=np.sort(drawn.permutation(rows)[:count]),
            )
        )
    return picks


def _parts(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]


def rows_of(picks: Sequence[Picks]) -> NDArray[np.int64]:
    """All rows of some picks, ascending, each once."""
    return np.unique(np.concatenate([rows for p in picks for rows in p.kinds.values()]))


def mosaic(
    points: NDArray[np.floating[Any]], box: NDArray[np.floating[Any]], *, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """A point of each cell of a grid that has any, and the middle of that cell.

    Parameters
    ----------
    points : ndarray of shape (n, 2)
        n at least 1.
    box : ndarray of shape (2,)
        The sides of every cell, above 0.
    seed : int
        Of which point is taken.

    Returns
    -------
    rows : ndarray of shape (m,)
        int64, ascending.
    centres : ndarray of shape (m, 2)
    """
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    cells = np.maximum(1, np.ceil((high - low) / box))
    corner = (low + high - cells * box) / 2
    order = seeds.stream(seed, "pictures").permutation(len(points))
    at = np.clip((points[order] - corner) // box, 0, cells - 1)  # the highest is in the last
    _, first = np.unique(at, axis=0, return_index=True)
    first = first[np.argsort(order[first])]
    return order[first], corner + (at[first] + 0.5) * box
