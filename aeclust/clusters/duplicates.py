"""Copies among pictures: the same ones, and the same one resized, cropped, recoloured or mirrored.

Near ones are looked for among the nearest latents. A pair is judged by its pixels alone: one
picture is laid over the other by an affine map, and what they show in detail must correlate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from aeclust import seeds
from aeclust.clusters import Array, Doubles, Ints
from aeclust.clusters.nearest import nearest

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 32  # pixels of a square that a picture is judged by: more are no better, and take longer
LEAST_SIDE = 16  # of a picture; below, different ones look the same (digits of 8 pixels)
# All below was chosen on 100 photographs and ten copies of each, see docs/benchmarks.md.
ALIKE = 0.6  # correlation of details: 99 of 100 copies have more, of 2,500 other pairs none 0.35
_COARSE = 0.7  # of 16 pixels a side: 199 of 200 copies have more, and 1 of 16 other pairs
# Nearest ones that each picture is compared with: latents, which crops hardly change, and 64
# pixels, plain and mirrored, for networks that have not learnt much.
_BY_LATENTS, _BY_LOOK, _COARSE_SIDE = 6, 2, 8
# How the search begins: either picture as a part of the other one, also mirrored. What begins best
# at 8 pixels a side goes on at 16, and the best of these at 32.
_BEGINNINGS = ((False, 1.0), (False, 0.8), (True, 0.8), (False, -1.0), (False, -0.8), (True, -0.8))
_KEPT, _STEPS = 3, (8, 6, 8)
# What a copy may be: at least this share of the other one, neither side more than doubled, and
# turned by 14 degrees at most: freely turned, any two small things before a plain sky are alike.
_COVERED, _ZOOMED, _TURNED = 0.4, 2.0, 0.25
_NOISE = 1.0  # level of 255 that counts as noise: blank pictures are alike for no reason
_BLUR = 5  # pixels a side of the mean that details are measured against
_FAINT = 4.0  # levels: details that differ by more count alike, so that no border outweighs them
_PLAIN = 0.03  # share of details below which pictures are too plain to be alike
# What is usual among pictures that are no copies is asked of so many, by a neighbour of this rank.
_USUAL, _RANK, _QUANTILE = 400, 50, 0.995
_AT_ONCE = 512  # pairs: what the cache of a core holds


@dataclass(frozen=True)
class Pairs:
    """Pairs of copies.

    Attributes
    ----------
    rows : ndarray of shape (p, 2)
        int64; the lower row first, no pair twice.
    alike : ndarray of shape (p,)
        The correlation of what they show, 1 for equal ones.
    """

    rows: Ints
    alike: Doubles


def equal_pairs(fingerprints: Array) -> Pairs:
    """Each row (n,) that has the content of an earlier one, beside the first of these."""
    _, first, which = np.unique(fingerprints, return_index=True, return_inverse=True)
    rows = np.stack([first[which], np.arange(len(fingerprints))], 1).astype(np.int64)
    rows = rows[rows[:, 0] != rows[:, 1]]
    return Pairs(rows, np.ones(len(rows)))


def near_pairs(
    latents: Array,
    squares: Array,
    *,
    seed: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Pairs:
    """Pictures that are alike to the details, after laying one over the other.

    Where many pictures that are no copies are alike, as letters are, a pair must be twice as much
    alike as these.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    squares : ndarray of shape (n, 32, 32)
        uint8, the pictures in grey.
    seed : int
        Of the pictures that say what is usual.
    progress : callable
        Takes (done, total) of the pairs.
    """
    pairs = _candidates(latents, squares)
    least = _least(latents, squares, seed)
    alike = alikeness(squares, pairs, progress)
    found = alike >= least
    return Pairs(pairs[found], alike[found])


def _candidates(latents: Array, squares: Array) -> Ints:
    """Pairs of rows (p, 2) that may be copies: by their latents, or as they look, also mirrored."""
    rows = np.arange(len(latents))
    look = squares.reshape(len(squares), _COARSE_SIDE, SIDE // _COARSE_SIDE, _COARSE_SIDE, -1)
    small = look.mean((2, 4), dtype=np.float32)
    small -= small.mean((1, 2), keepdims=True)
    small /= small.std((1, 2), keepdims=True) + _NOISE
    plain, mirrored = (each.reshape(len(small), -1) for each in (small, small[:, :, ::-1]))
    found = [
        nearest(asked, base, count, exclude=rows)[0]
        for asked, base, count in (
            (latents, latents, _BY_LATENTS),
            (plain, plain, _BY_LOOK),
            (mirrored, plain, _BY_LOOK),
        )
    ]
    pairs = [np.stack([np.repeat(rows, each.shape[1]), each.ravel()], 1) for each in found]
    low, high = np.sort(np.concatenate(pairs), 1).T
    coded = np.unique(low * len(rows) + high)  # much faster than of rows
    return np.stack(np.divmod(coded, len(rows)), 1)


def _least(latents: Array, squares: Array, seed: int) -> float:
    """How much alike copies must be among these pictures."""
    n = len(latents)
    some = np.sort(seeds.stream(seed, "pictures").permutation(n)[:_USUAL])
    rows, _ = nearest(latents[some], latents, min(_RANK, n // 2), exclude=some)
    if not rows.shape[1]:
        return ALIKE
    usual = float(np.quantile(alikeness(squares, np.stack([some, rows[:, -1]], 1)), _QUANTILE))
    return max(ALIKE, 1 - (1 - usual) / 2)


def groups(n: int, *pairs: Pairs) -> list[Ints]:
    """Rows that pairs connect, directly or by others; each group ascending, by its first row."""
    rows = np.concatenate([each.rows for each in pairs])
    graph = coo_array((np.ones(len(rows)), (rows[:, 0], rows[:, 1])), shape=(n, n))
    _, which = connected_components(graph, directed=False)
    several = np.bincount(which)[which] > 1
    members = np.flatnonzero(several)
    order = members[np.argsort(which[members], kind="stable")]
    parts = np.split(order, np.flatnonzero(np.diff(which[order])) + 1) if len(order) else []
    return sorted(parts, key=lambda part: int(part[0]))


def alikeness(
    squares: Array,
    pairs: Ints,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Doubles:
    """How much alike the pictures of each pair (p, 2) are, in [-1, 1]; 0 where it is plain."""
    import torch

    result = np.zeros(len(pairs))
    for start in range(0, len(pairs), _AT_ONCE):
        some = pairs[start : start + _AT_ONCE]
        one, other = (torch.from_numpy(squares[some[:, i]]).float() for i in (0, 1))
        likely, turned, maps = _roughly(one, other)
        if likely.any():
            below, above = _turned(one, other, turned)
            fine = _detailed(below[likely], above[likely], maps[likely])
            result[start + np.flatnonzero(likely.numpy())] = fine.numpy()
        progress(start + len(some), len(pairs))
    return result


def _roughly(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which pairs may be alike by 16 pixels a side.

    Returns
    -------
    likely, turned : tensor of shape (p,)
        The second: whether the first picture is to be laid over the other one, of which it may
        be no more than a part, or the other way round.
    maps : tensor of shape (p, 3, 3)
        That lay them best.
    """
    import torch
    from torch.nn.functional import avg_pool2d

    small, tiny = ([avg_pool2d(each, by) for each in (one, other)] for by in (2, 4))
    tried = []
    for turn, zoom in _BEGINNINGS:
        begin = torch.diag(torch.tensor([zoom, abs(zoom), 1.0])).expand(len(one), 3, 3)
        below, above = tiny[::-1] if turn else tiny
        tried.append(_aligned(below, above, begin, _STEPS[0]))
    found, maps = torch.stack([each for each, _ in tried]), torch.stack([each for _, each in tried])
    results = []
    for which in found.topk(_KEPT, dim=0).indices:
        turned = torch.tensor([turn for turn, _ in _BEGINNINGS])[which]
        below, above = _turned(small[0], small[1], turned)
        begin = maps[which, torch.arange(len(one))]
        results.append((*_aligned(below, above, begin, _STEPS[1]), turned))
    found, maps, turned = (torch.stack(each) for each in zip(*results, strict=True))
    best, every = found.argmax(0), torch.arange(len(one))
    return found[best, every] >= _COARSE, turned[best, every], maps[best, every]


def _turned(one: Tensor, other: Tensor, turned: Tensor) -> tuple[Tensor, Tensor]:
    """The pictures of each pair, in the other order where that is true."""
    import torch

    swap = turned[:, None, None]
    return torch.where(swap, other, one), torch.where(swap, one, other)


def _detailed(one: Tensor, other: Tensor, maps: Tensor) -> Tensor:
    """The correlation (p,) of what differs from the mean around it, the maps made better first."""
    _, maps = _aligned(one, other, maps, _STEPS[2])
    laid, covered = _laid(other, maps)
    return _correlation(_details(one), _details(laid), covered * _sane(maps), _PLAIN)


def _aligned(one: Tensor, other: Tensor, maps: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """The correlation after some steps from the maps (p, 3, 3), and the maps then.

    The steps are Gauss and Newton's for the least squares of standardised pictures, which change
    the map before the picture (Baker and Matthews, Lucas-Kanade 20 years on, 2004): so what they
    need of the derivatives is worked out once.
    """
    import torch

    side = one.shape[-1]
    down, across = torch.gradient(one, dim=(1, 2))
    place = (torch.arange(side) + 0.5) * (2 / side) - 1
    x, y = place[None, None, :], place[None, :, None]
    slopes = [across * x, across * y, across, down * x, down * y, down]
    jacobian = torch.stack(slopes, 3).flatten(1, 2) * (side / 2)
    hessian = jacobian.mT @ jacobian
    stable = hessian.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] * 1e-4 + 1e-3
    solved = torch.linalg.solve(hessian + stable * torch.eye(6), jacobian.mT)
    level, spread = one.mean((1, 2), keepdim=True), one.std((1, 2), keepdim=True)
    for _ in range(steps):
        laid, covered = _laid(other, maps)
        count = covered.sum((1, 2), keepdim=True).clamp(min=1)
        apart = (laid - (laid * covered).sum((1, 2), keepdim=True) / count) * covered
        scale = apart.square().sum((1, 2), keepdim=True).div(count).sqrt() + _NOISE
        error = apart * (spread / scale) - (one - level) * covered
        change = (solved @ error.flatten(1)[:, :, None]).view(-1, 2, 3).clamp(-0.2, 0.2)
        moved = torch.eye(3).repeat(len(one), 1, 1)
        moved[:, :2] += change
        maps = maps @ torch.linalg.inv(moved)
    laid, covered = _laid(other, maps)
    return _correlation(one, laid, covered * _sane(maps)), maps


def _laid(other: Tensor, maps: Tensor) -> tuple[Tensor, Tensor]:
    """Pictures (p, s, s) laid over others by maps, and 1 where there is something of them."""
    from torch.nn.functional import affine_grid, grid_sample

    side = other.shape[-1]
    grid = affine_grid(maps[:, :2], [len(other), 1, side, side], align_corners=False)
    laid = grid_sample(other[:, None], grid, padding_mode="border", align_corners=False)
    covered = (grid.abs() <= 1).all(3).float()
    return laid[:, 0], covered


def _sane(maps: Tensor) -> Tensor:
    """1 for maps (p, 3, 3) as a crop or a small turn makes them, 0 for others."""
    stretch, turn = maps[:, [0, 1], [0, 1]].abs(), maps[:, [0, 1], [1, 0]].abs()
    within = (stretch >= 1 / _ZOOMED) & (stretch <= _ZOOMED) & (turn <= _TURNED)
    return within.all(1)[:, None, None].float()


def _correlation(one: Tensor, other: Tensor, covered: Tensor, noise: float = _NOISE**2) -> Tensor:
    """Of two pictures where one covers the other, -1 where that is too little."""
    import torch

    count = covered.sum((1, 2), keepdim=True).clamp(min=1)
    one = (one - (one * covered).sum((1, 2), keepdim=True) / count) * covered
    other = (other - (other * covered).sum((1, 2), keepdim=True) / count) * covered
    variances = [each.square().sum((1, 2)) + count[:, 0, 0] * noise for each in (one, other)]
    result = (one * other).sum((1, 2)) / (variances[0] * variances[1]).sqrt()
    return torch.where(covered.mean((1, 2)) >= _COVERED, result, -1.0)


def _details(squares: Tensor) -> Tensor:
    """What differs from the mean of the pixels around it, as much anywhere as it differs there."""
    apart = squares - _around(squares)
    return apart / (_around(apart.square()) + _FAINT**2).sqrt()


def _around(squares: Tensor) -> Tensor:
    """The means of the pixels around each."""
    from torch.nn.functional import avg_pool2d, pad

    return avg_pool2d(pad(squares[:, None], (_BLUR // 2,) * 4, mode="reflect"), _BLUR, 1)[:, 0]
