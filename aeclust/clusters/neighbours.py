"""The nearest of given points: their votes and their places, and which rows are such points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Floats, Ints

if TYPE_CHECKING:
    import torch

NEIGHBOURS = 15
MAX_REFERENCES = 10_000
_VIEWED = 2_048  # a share of so many is known within two hundredths
_ROWS = 128  # of distances at a time: blocks that the cache holds, two to four times as fast


def neighbour_vote(
    queries: Array,
    base: Array,
    labels: Ints,
    k: int,
    *,
    shares: Floats | None = None,
    exclude: Ints | None = None,
    count: int = NEIGHBOURS,
) -> tuple[Ints, Floats]:
    """Label points by the vote of their nearest ones (Euclidean) among others.

    Parameters
    ----------
    queries : ndarray of shape (n, d)
    base, labels : ndarray of shape (r, d) and (r,)
        The points that vote, and their labels in 0 to k - 1.
    shares : ndarray of shape (r, k), optional
        Their probabilities of the clusters, which then are the votes.
    exclude : ndarray of shape (n,), optional
        The row of `base` that is the query itself and has no vote, or -1.
    count : int
        Voters, of which there may be fewer.

    Returns
    -------
    labels : ndarray of shape (n,)
        int64. A tied vote goes to the nearest voter among the tied clusters; of probabilities, to
        the lower number.
    votes : ndarray of shape (n, k)
        float32, the share of the votes for each cluster; rows sum to 1.
    """
    import torch

    winners, votes = np.empty(len(queries), np.int64), np.empty((len(queries), k), np.float32)
    count = min(count, len(base) - (exclude is not None))
    for start, distances in _distances(queries, base):
        block = slice(start, start + len(distances))
        if exclude is not None:
            itself = torch.from_numpy(exclude[block])
            there = torch.nonzero(itself >= 0)[:, 0]
            distances[there, itself[there]] = torch.inf
        rows = distances.topk(count, largest=False).indices.numpy()
        if shares is not None:
            votes[block] = shares[rows].mean(1)
            winners[block] = votes[block].argmax(1)
            continue
        nearest = labels[rows]
        counts = (nearest[:, :, np.newaxis] == np.arange(k)).sum(1)
        tied = np.take_along_axis(counts == counts.max(1, keepdims=True), nearest, 1)
        winners[block] = nearest[np.arange(len(nearest)), tied.argmax(1)]
        votes[block] = counts / count
    return winners, votes


def votes_of_others(latents: Array, labels: Ints, references: Ints, k: int) -> Floats:
    """Shares (n, k) of the clusters among the references nearest to each image, itself not counted.

    Latents are of shape (n, d), labels (n,), the rows of the references (r,).
    """
    itself = places(len(latents), references)
    return neighbour_vote(latents, latents[references], labels[references], k, exclude=itself)[1]


def label_others(
    others: Array,
    latents: Array,
    labels: Ints,
    references: Ints,
    k: int,
    shares: Floats | None = None,
) -> tuple[Ints, Floats]:
    """Label images that were not clustered, by the vote of the references nearest to them.

    Parameters
    ----------
    others : ndarray of shape (m, d)
        Their latents.
    latents, labels : ndarray of shape (n, d) and (n,)
        Of the images that were clustered.
    references : ndarray of shape (r,)
        The rows of these that vote.
    shares : ndarray of shape (n, k), optional
        Probabilities of the clusters, which then are the votes.

    Returns
    -------
    labels : ndarray of shape (m,)
        int64, see :func:`neighbour_vote`. References that are outliers, labelled -1, vote for -1.
    confidence : ndarray of shape (m,)
        float32 in [0, 1], the largest share of the votes.
    """
    voters, voting = labels[references] + 1, None  # 0 is what no cluster has
    if shares is not None:
        outside = voters[:, np.newaxis] == 0
        voting = np.where(outside, 0, shares[references])
        voting = np.concatenate((outside, voting), axis=1, dtype=shares.dtype)
    winners, votes = neighbour_vote(others, latents[references], voters, k + 1, shares=voting)
    return winners - 1, votes.max(1)


def copies(fingerprints: Array, known: Array) -> Ints:
    """The row (m,) of the known image (n,) that is the same, the last of several; -1 if none is."""
    row_of = {mark: row for row, mark in enumerate(known.tolist())}
    return np.array([row_of.get(mark, -1) for mark in fingerprints.tolist()], np.int64)


def neighbours(points: Array, queries: Array | None = None, count: int = NEIGHBOURS) -> Ints:
    """Rows (n, count) of the points nearest to each point, or to each query (n, d).

    A point is none of its own neighbours, nor of those of the query in the same row.
    """
    rows, count = [], min(count, len(points) - 1)
    for start, distances in _distances(points if queries is None else queries, points):
        block = np.arange(len(distances))
        distances[block, start + block] = np.inf
        rows.append(distances.topk(count, largest=False).indices.numpy())
    return np.concatenate(rows)


def place_by_neighbours(queries: Array, base: Array, positions: Floats) -> Floats:
    """Positions (n, e) of queries (n, d): the mean position (r, e) of the three nearest of a base.

    A query that equals one of the base (r, d) lands on the position of that one.
    """
    placed = np.empty((len(queries), positions.shape[1]), np.float32)
    for start, distances in _distances(queries, base):
        block = slice(start, start + len(distances))
        rows = distances.topk(min(3, len(base)), largest=False).indices.numpy()
        counts = (base[rows] == queries[block, np.newaxis]).all(2)
        counts[~counts.any(1)] = True
        spots = positions[rows] * counts[:, :, np.newaxis]
        placed[block] = spots.sum(1) / counts.sum(1, keepdims=True)
    return placed


def references(
    n: int, *, seed: int, limit: int = MAX_REFERENCES, purpose: seeds.Purpose = "references"
) -> Ints:
    """Rows (r,) that stand for all of n: all of them, or `limit` random ones, ascending."""
    if n <= limit:
        return np.arange(n)
    return np.sort(seeds.stream(seed, purpose).choice(n, limit, replace=False))


def viewed(n: int, *, seed: int, few: bool = False) -> Ints:
    """Rows (v,) of the images that a view is made of: all, or 2,048 random ones, ascending.

    A `few` are 512, where a view takes long to look at.
    """
    limit = _VIEWED // 4 if few else _VIEWED
    return references(n, seed=seed, limit=limit, purpose="views")


def places(n: int, rows: Ints) -> Ints:
    """Where each of n images stands among some rows (r,); -1 if it does not."""
    result = np.full(n, -1)
    result[rows] = np.arange(len(rows))
    return result


def _distances(queries: Array, base: Array) -> Iterator[tuple[int, torch.Tensor]]:
    """The start of each block of queries and its squared distances to all of the base."""
    import torch

    # in float32 the differences of large norms would be noise among near neighbours
    points = torch.from_numpy(np.asarray(base, np.float64))
    norms = points.square().sum(1)
    for start in range(0, len(queries), _ROWS):
        block = torch.from_numpy(np.asarray(queries[start : start + _ROWS], np.float64))
        squared = norms + block.square().sum(1, keepdim=True) - 2 * block @ points.T
        yield start, squared.clamp(min=0)
