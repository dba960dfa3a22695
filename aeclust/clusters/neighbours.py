"""The nearest of given points: their votes, their places, and the rows kept for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import seeds

if TYPE_CHECKING:
    import torch

NEIGHBOURS = 15
MAX_REFERENCES = 10_000
_VIEWED = 2_048
_ROWS = 128  # of distances at a time: blocks that the cache holds, two to four times as fast


def neighbour_vote(
    queries: NDArray[Any],
    references: NDArray[Any],
    reference_labels: NDArray[np.int64],
    k: int,
    *,
    reference_shares: NDArray[np.float32] | None = None,
    exclude: NDArray[np.int64] | None = None,
    count: int = NEIGHBOURS,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Label points by the vote of their nearest references (Euclidean).

    Parameters
    ----------
    queries : ndarray of shape (n, d)
    references : ndarray of shape (m, d)
    reference_labels : ndarray of shape (m,)
        In 0 to k - 1.
    k : int
    reference_shares : ndarray of shape (m, k), optional
        Each reference's probabilities of the clusters, which then are its vote, not its label.
    exclude : ndarray of shape (n,), optional
        The reference that is the query itself and has no vote, or -1.
    count : int
        Voters, of which there may be fewer.

    Returns
    -------
    labels : ndarray of shape (n,)
        A tied vote goes to the nearest reference among the tied clusters; of probabilities, to
        the lower number.
    shares : ndarray of shape (n, k)
        float32, the share of the votes for each cluster; rows sum to 1.
    """
    import torch

    labels = np.empty(len(queries), np.int64)
    shares = np.empty((len(queries), k), np.float32)
    count = min(count, len(references) - (exclude is not None))
    for start, distances in _distances(queries, references):
        stop = start + len(distances)
        if exclude is not None:
            itself = torch.from_numpy(exclude[start:stop])
            own = torch.nonzero(itself >= 0)[:, 0]
            distances[own, itself[own]] = torch.inf
        rows = distances.topk(count, largest=False).indices.numpy()
        if reference_shares is not None:
            shares[start:stop] = reference_shares[rows].mean(1)
            labels[start:stop] = shares[start:stop].argmax(1)
            continue
        nearest = reference_labels[rows]
        votes = (nearest[:, :, np.newaxis] == np.arange(k)).sum(1)
        tied = votes == votes.max(1, keepdims=True)
        first = np.take_along_axis(tied, nearest, 1).argmax(1)
        labels[start:stop] = nearest[np.arange(stop - start), first]
        shares[start:stop] = votes / count
    return labels, shares


def votes_of_others(
    latents: NDArray[Any], labels: NDArray[np.int64], rows: NDArray[np.int64], k: int
) -> NDArray[np.float32]:
    """Shares (n, k) of the clusters among each image's nearest references, itself not counted.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    labels : ndarray of shape (n,)
    rows : ndarray of shape (r,)
        Of the references.
    k : int
    """
    itself = places(len(latents), rows)
    return neighbour_vote(latents, latents[rows], labels[rows], k, exclude=itself)[1]


def label_others(
    others: NDArray[Any],
    latents: NDArray[Any],
    labels: NDArray[np.int64],
    references: NDArray[np.int64],
    k: int,
    shares: NDArray[np.float32] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Label images that were not clustered, by the vote of the references nearest to them.

    Parameters
    ----------
    others : ndarray of shape (m, d)
        Their latents.
    latents : ndarray of shape (n, d)
        Of the images that were clustered.
    labels : ndarray of shape (n,)
    references : ndarray of shape (r,)
        Rows of those that vote.
    k : int
    shares : ndarray of shape (n, k), optional
        Probabilities of the clusters, which then are the votes.

    Returns
    -------
    labels : ndarray of shape (m,)
        int64, see :func:`neighbour_vote`.
    confidence : ndarray of shape (m,)
        float32 in [0, 1], the winner's share of the votes.
    """
    result, votes = neighbour_vote(
        others,
        latents[references],
        labels[references],
        k,
        reference_shares=None if shares is None else shares[references],
    )
    return result, votes.max(1)


def copies(fingerprints: NDArray[np.uint64], known: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The row (m,) of the known image (n,) that is the same, the last of several; -1 if none is."""
    row_of = {mark: row for row, mark in enumerate(known.tolist())}
    return np.array([row_of.get(mark, -1) for mark in fingerprints.tolist()], np.int64)


def neighbours(points: NDArray[Any]) -> NDArray[np.int64]:
    """Rows (n, 15) of the points nearest to each point, itself not among them."""
    found = []
    for start, distances in _distances(points, points):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf
        count = min(NEIGHBOURS, len(points) - 1)
        found.append(distances.topk(count, largest=False).indices.numpy())
    return np.concatenate(found)


def place_by_neighbours(
    queries: NDArray[Any], references: NDArray[Any], positions: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Positions of points among others: the mean of their three nearest references.

    Parameters
    ----------
    queries : ndarray of shape (n, d)
    references : ndarray of shape (m, d)
    positions : ndarray of shape (m, e)
        Of the references; a query that equals a reference lands on that one's.
    """
    placed = np.empty((len(queries), positions.shape[1]), np.float32)
    for start, distances in _distances(queries, references):
        stop = start + len(distances)
        rows = distances.topk(min(3, len(references)), largest=False).indices.numpy()
        counts = (references[rows] == queries[start:stop, np.newaxis]).all(2)
        counts[~counts.any(1)] = True
        spots = positions[rows] * counts[:, :, np.newaxis]
        placed[start:stop] = spots.sum(1) / counts.sum(1, keepdims=True)
    return placed


def references(
    n: int, *, seed: int, limit: int = MAX_REFERENCES, purpose: seeds.Purpose = "references"
) -> NDArray[np.int64]:
    """Rows (r,) that stand for all of n: all of them, or `limit` random ones, ascending."""
    if n <= limit:
        return np.arange(n)
    return np.sort(seeds.stream(seed, purpose).choice(n, limit, replace=False))


def viewed(n: int, *, seed: int) -> NDArray[np.int64]:
    """Rows (v,) of the images that a view is made of: all, or 2,048 random ones, ascending.

    A share of so many is known within two hundredths.
    """
    return references(n, seed=seed, limit=_VIEWED, purpose="views")


def places(n: int, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each of n images stands among some rows (r,); -1 if it does not."""
    result = np.full(n, -1)
    result[rows] = np.arange(len(rows))
    return result


def _distances(
    queries: NDArray[Any], references: NDArray[Any]
) -> Iterator[tuple[int, torch.Tensor]]:
    """The start of each block of queries and its squared distances to all references."""
    import torch

    # in float32 the differences of large norms would be noise among near neighbours
    base = torch.from_numpy(np.asarray(references, np.float64))
    norms = base.square().sum(1)
    for start in range(0, len(queries), _ROWS):
        block = torch.from_numpy(np.asarray(queries[start : start + _ROWS], np.float64))
        squared = norms + block.square().sum(1, keepdim=True) - 2 * block @ base.T
        yield start, squared.clamp(min=0)
