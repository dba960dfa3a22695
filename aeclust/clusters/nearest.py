"""The nearest of many points, and how alone each point stands among its nearest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters import Array, Doubles, Ints

if TYPE_CHECKING:
    from torch import Tensor

OUTLIER_NEIGHBOURS = 20  # more than there are outliers of a kind; 10 to 40 find the same
_ROWS, _TILE = 256, 2_048  # queries, and points at a time: what the cache of a core holds
_GROUP = 32  # points of which the nearest one stands for all until the nearest groups are known
_HELD = 1 << 25  # numbers that are held at a time
_LEAST_WIDTH = 0.25  # of logarithms: so beyond is less than half, or more than twice
_SPARE = 8  # more than are asked for: single precision may take near ones in another order
# Many queries among more points than this look only at the cells near to each, of so many points in
# all: the time then grows with their number and not with its square.
_ALL, _FEW, _LOOKED_AT, _CELL = 1 << 15, 1 << 12, 1 << 14, 1 << 9
_SAMPLE, _TURNS = 1_000, 5  # points and steps that say in which direction a cell is widest


def nearest(
    queries: Array,
    base: Array,
    count: int,
    *,
    exclude: Ints | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Ints, Doubles]:
    """The nearest points (Euclidean) of others, in blocks.

    None is missed, unless more than 4,096 queries are asked of more than 32,768 points. Then each
    looks at 16,384 of them, in the cells whose means are nearest: docs/benchmarks.md has the share
    that is found. Distances are found in single precision from the mean of all points, and those
    of the nearest and a few more are then worked out in double precision.

    Parameters
    ----------
    queries : ndarray of shape (m, d)
    base : ndarray of shape (n, d)
    count : int
        How many of them; there may be fewer.
    exclude : ndarray of shape (m,), optional
        The row of `base` that is the query itself, or -1.
    progress : callable
        Takes (done, total) of the queries.

    Returns
    -------
    rows : ndarray of shape (m, count)
        int64, the nearest first; of equally near ones, in ascending order.
    distances : ndarray of shape (m, count)
    """
    n, d = base.shape
    count = max(0, min(count, n - (exclude is not None)))
    wanted = min(n, count + _SPARE)
    by_cells = n > _ALL and len(queries) > _FEW
    found, exact = np.empty((len(queries), count), np.int64), np.empty((len(queries), count))
    step = max(16, _HELD // (4 * wanted * d))
    done = 0
    for which, near in (_in_cells if by_cells else _among_all)(queries, base, wanted):
        for start in range(0, len(which), step):
            some, rows = which[start : start + step], near[start : start + step]
            itself = None if exclude is None else exclude[some]
            asked = np.asarray(queries[some], np.float64)
            found[some], exact[some] = _in_order(asked, base, rows, count, itself)
        done += len(which)
        progress(done, len(queries))
    return found, exact


def _centred(points: Array, mean: Doubles) -> Tensor:
    """Points in single precision and, in a last column, one for the squared lengths of others."""
    import torch

    moved = torch.from_numpy((np.asarray(points, np.float64) - mean).astype(np.float32))
    return torch.cat([moved, torch.ones(len(moved), 1)], 1)


def _among_all(queries: Array, base: Array, wanted: int) -> Iterator[tuple[Ints, Ints]]:
    """Blocks of queries, each with rows (m, wanted) of the points that are nearest to them."""
    import torch

    n, d = base.shape
    mean = base.mean(0, dtype=np.float64)
    padded = -(-n // _TILE) * _TILE
    points = torch.zeros(padded, d + 1)  # a last column adds their squared lengths
    for start in range(0, n, _TILE):
        tile = torch.from_numpy((base[start : start + _TILE] - mean).astype(np.float32))
        points[start : start + len(tile), :d] = -2 * tile
        points[start : start + len(tile), d] = tile.square().sum(1)
    points[n:, d] = torch.inf  # which are none
    rows = max(16, min(_ROWS, _HELD // padded))
    distances = torch.empty(rows, padded)
    lowest = torch.empty(rows, padded // _GROUP)
    for start in range(0, len(queries), rows):
        block = _centred(queries[start : start + rows], mean)
        held, low = distances[: len(block)], lowest[: len(block)]
        for left in range(0, padded, _TILE):
            tile = held[:, left : left + _TILE]
            torch.mm(block, points[left : left + _TILE].T, out=tile)
            each = low[:, left // _GROUP : (left + _TILE) // _GROUP]
            torch.amin(tile.view(len(block), -1, _GROUP), 2, out=each)
        yield np.arange(start, start + len(block)), _smallest(held, low, wanted).numpy()


def _in_cells(queries: Array, base: Array, wanted: int) -> Iterator[tuple[Ints, Ints]]:
    """The same among the points of the cells near to each query, queries of a cell together."""
    import torch

    mean = base.mean(0, dtype=np.float64)
    rows, points, means = _cells(base, mean)
    cells, size = rows.shape
    count = min(cells, _LOOKED_AT // size)
    homes = [
        (_centred(queries[start : start + _TILE], mean) @ means.T).argmin(1)
        for start in range(0, len(queries), _TILE)
    ]
    order = torch.cat(homes).argsort(stable=True).numpy()
    step = _HELD // (2 * count * size)
    for start in range(0, len(order), step):
        which = order[start : start + step]
        block = _centred(queries[which], mean)
        near = (block @ means.T).topk(count, largest=False).indices
        places = near.flatten().argsort(stable=True)  # by cell, so those who look at it together
        ends = near.flatten().bincount(minlength=cells).cumsum(0).tolist()
        held = torch.empty(len(block) * count, size)
        for cell, (first, last) in enumerate(pairwise([0, *ends])):
            if first < last:
                some = places[first:last]
                held[some] = block[some // count] @ points[cell].T
        held = held.view(len(block), -1)
        columns = _smallest(held, held.view(len(block), -1, _GROUP).amin(2), wanted)
        yield which, rows[near.gather(1, columns // size), columns % size].numpy()


def _cells(base: Array, mean: Doubles) -> tuple[Tensor, Tensor, Tensor]:
    """Points in cells, none in two, that lie close together.

    Returns
    -------
    rows : tensor of shape (c, s)
        Those of each cell, and zeros behind them.
    points : tensor of shape (c, s, d + 1)
        These, so that a product gives their distances; infinitely far those that are none.
    means : tensor of shape (c, d + 1)
        Of the cells, likewise.
    """
    import torch

    moved = torch.cat([_centred(base[i : i + _TILE], mean) for i in range(0, len(base), _TILE)])
    parts = halved(moved[:, :-1], _CELL)
    size = -(-max(map(len, parts)) // _GROUP) * _GROUP
    rows = torch.zeros(len(parts), size, dtype=torch.int64)
    points = torch.zeros(len(parts), size, moved.shape[1])
    points[:, :, -1] = torch.inf
    means = torch.empty(len(parts), moved.shape[1])
    for i, part in enumerate(parts):
        some = moved[part, :-1]
        rows[i, : len(part)], points[i, : len(part), :-1] = part, -2 * some
        points[i, : len(part), -1] = some.square().sum(1)
        means[i, :-1], means[i, -1] = -2 * some.mean(0), some.mean(0).square().sum()
    return rows, points, means


def halved(points: Tensor, most: int) -> list[Tensor]:
    """Rows of points (n, d) in parts of `most` at most, and of equal size but for one.

    Each part was cut in two at the median along the direction in which it is widest, or nearly.
    """
    import torch

    parts = [torch.arange(len(points))]
    while len(parts[0]) > most:
        halves = []
        for part in parts:
            some = points[part[:: max(1, len(part) // _SAMPLE)]]
            some = some - some.mean(0)
            way = some[some.square().sum(1).argmax()]
            for _ in range(_TURNS):  # power iterations
                way = some.T @ (some @ way)
                way = way / way.norm().clamp(min=1e-30)
            ordered = part[(points[part] @ way).argsort(stable=True)]
            middle = (len(part) + 1) // 2
            halves += [ordered[:middle], ordered[middle:]]
        parts = halves
    return parts


def _smallest(held: Tensor, low: Tensor, wanted: int) -> Tensor:
    """Columns of the smallest numbers of each row: they lie in the groups of the smallest ones."""
    groups = low.topk(min(wanted, low.shape[1]), largest=False).indices
    places = groups[:, :, None].expand(-1, -1, _GROUP)
    among = held.view(len(held), -1, _GROUP).gather(1, places).flatten(1)
    best = among.topk(wanted, largest=False).indices
    return groups.gather(1, best // _GROUP) * _GROUP + best % _GROUP


def _in_order(
    queries: Array, base: Array, near: Ints, count: int, itself: Ints | None
) -> tuple[Ints, Doubles]:
    """Some near rows by their distances in double precision, without the query itself."""
    near = np.sort(near, 1)
    apart = np.asarray(base[near], np.float64) - queries[:, np.newaxis]
    exact = np.sqrt(np.square(apart).sum(2))
    if itself is not None:
        exact[near == itself[:, np.newaxis]] = np.inf
    order = np.argsort(exact, 1, kind="stable")[:, :count]
    return np.take_along_axis(near, order, 1), np.take_along_axis(exact, order, 1)


def outlier_factors(distances: Doubles, labels: Ints) -> Doubles:
    """How much farther each point is from its nearest than is usual in its cluster.

    The mean distance to the k nearest, over the median of the same in the cluster: so a wide
    cluster is no crowd of outliers. Clusters of no more than k points, and what is in none, are
    measured by all. Local outlier factors, which compare with the neighbours themselves, miss
    outliers that are like one another, see docs/benchmarks.md.

    Parameters
    ----------
    distances : ndarray of shape (n, k)
        Of the nearest of each point, without itself, see :func:`nearest`.
    labels : ndarray of shape (n,)
        Their clusters, -1 for none.

    Returns
    -------
    ndarray of shape (n,)
        1 for what is usual.
    """
    apart = distances.mean(1)
    of_all = float(np.median(apart)) or 1.0  # where most are at no distance of one another
    usual = np.full(len(apart), of_all)
    for cluster in np.unique(labels).tolist():
        inside = labels == cluster
        if cluster >= 0 and inside.sum() > distances.shape[1]:
            usual[inside] = float(np.median(apart[inside])) or of_all
    return np.asarray(apart / usual)


def far_out(factors: Doubles) -> float:
    """The factor beyond which a point is far out of what is usual among all (n,).

    It is Tukey's outer fence, three times the middle half's width above it: in many dimensions
    factors lie close to 1, in few they do not.
    """
    lower, upper = np.quantile(factors, [0.25, 0.75])
    return float(upper + 3 * (upper - lower))


def odd_looks(squares: NDArray[np.uint8]) -> Doubles:
    """How far pictures are out of what is usual in contrast, or in how coarse their details are.

    A picture of nothing and one of noise are near to many others for a network that knows neither.

    Parameters
    ----------
    squares : ndarray of shape (n, h, w)
        uint8, grey.

    Returns
    -------
    ndarray of shape (n,)
        By how many widths of the middle half an image lies beyond Tukey's outer fences; 0 for one
        within them.
    """
    measures = np.empty((2, len(squares)))
    for start in range(0, len(squares), _TILE):
        some = squares[start : start + _TILE].astype(np.float32)
        steps = [np.square(np.diff(some, axis=axis)).mean((1, 2)) for axis in (1, 2)]
        spread = some.var((1, 2))
        rough = np.log(((steps[0] + steps[1]) / 2 + 1) / (spread + 1))
        measures[:, start : start + _TILE] = np.log(np.sqrt(spread) + 1), rough
    lower, upper = np.quantile(measures, [0.25, 0.75], axis=1)[..., np.newaxis]
    width = np.maximum(upper - lower, _LEAST_WIDTH)
    beyond = np.maximum(lower - measures, measures - upper) / width - 3
    return np.asarray(np.maximum(beyond, 0).max(0))
