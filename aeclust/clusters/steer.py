"""How known labels steer the images that nobody knows: a regression that starts from clusters."""

from __future__ import annotations

import heapq
from collections import defaultdict

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Doubles, Floats, Ints
from aeclust.clusters.heads import scaled, spread_of
from aeclust.clusters.known import Known
from aeclust.clusters.neighbours import NEIGHBOURS, neighbour_vote, places

# Of the prior, for every value of a latent; known labels choose among them, few take the usual one.
_STRENGTHS, _USUAL = (0.1, 0.3, 1.0, 3.0), 1.0
_FEW, _FOLDS = 25, 5
_ON_SIZES = 10.0  # the strength of the prior on the size of each cluster
_LEAST = 1e-6  # probability of a cluster
_STEPS = 60


def follow(
    latents: Array, points: Array, shares: Array, known: Known, rows: Ints, *, seed: int
) -> tuple[Floats, Ints]:
    """Probabilities of clusters, once some images are known.

    The clusters as they were found are the prior. A logistic regression adds a linear function of
    the latents to the logarithms of their probabilities, and is penalised for whatever it adds. So
    few labels change little and do little harm, and many have the last word. How strong the prior
    is, the known labels choose by cross-validation. Then every image takes half of its answer from
    its neighbours. Images in pairs get the likeliest clusters that the pairs allow, and count as
    known in a second regression.

    Parameters
    ----------
    latents, points : ndarray of shape (n, d) and (n, e)
        What the regression sees, and where neighbours are near.
    shares : ndarray of shape (n, k)
        Probabilities of the clusters before; those of a known class have its number.
    known : Known
        Closed: whoever belongs with a known image is known.
    rows : ndarray of shape (r,)
        The points that vote on their neighbours.
    seed : int

    Returns
    -------
    probabilities : ndarray of shape (n, k)
        float32, rows sum to 1; of known images 1 for their class.
    labels : ndarray of shape (n,)
        int64, the likeliest clusters that known labels and pairs allow.
    """
    start = np.log(np.maximum(np.asarray(shares, np.float64), _LEAST))
    inputs, given = standardised(latents), known.classes
    answer = _answered(inputs, start, given, seed)
    if len(known.same) or len(known.different):
        given = _allowed(answer, known)
        answer = _answered(inputs, start, given, seed)
    _clamp(answer, given)
    base, k = answer[rows].astype(np.float32), answer.shape[1]
    itself, count = places(len(points), rows), _voters(start[rows].argmax(1), k)
    _, votes = neighbour_vote(
        points, points[rows], base.argmax(1), k, shares=base, exclude=itself, count=count
    )
    answer = (answer + votes) / 2
    _clamp(answer, known.classes)
    labels = _allowed(answer, known)
    return answer.astype(np.float32), np.where(labels < 0, answer.argmax(1), labels)


def _voters(clusters: Ints, k: int) -> int:
    """Neighbours that vote: so few that a small cluster is not outvoted for being small."""
    sizes = np.bincount(clusters, minlength=k)
    return int(np.clip(sizes[sizes > 0].min() // 2, 1, NEIGHBOURS))


def standardised(latents: Array) -> Floats:
    """Latents (n, d) with values of one spread and vectors of one length, as heads see them."""
    return scaled(latents, *spread_of(latents))


def _clamp(answer: Doubles, given: Ints) -> None:
    """Make probabilities (n, k) sure of what is given (n,), -1 of nothing."""
    sure = given >= 0
    answer[sure] = np.eye(answer.shape[1])[given[sure]]


def _answered(inputs: Floats, start: Doubles, given: Ints, seed: int) -> Doubles:
    """Probabilities (n, k) by a regression on what is given of some images (n,)."""
    rows = np.flatnonzero(given >= 0)
    seen, before, classes = inputs[rows].astype(np.float64), start[rows], given[rows]
    strength = _USUAL
    if len(rows) >= _FEW:
        fold = seeds.stream(seed, "known").permutation(len(rows)) % _FOLDS
        parts = [(np.flatnonzero(fold != i), np.flatnonzero(fold == i)) for i in range(_FOLDS)]

        def loss(strength: float) -> float:
            total = 0.0
            for learnt, held in parts:
                fit = _fitted(seen[learnt], before[learnt], classes[learnt], strength)
                total -= _log_softmax(before[held] + seen[held] @ fit[:-1] + fit[-1])[
                    np.arange(len(held)), classes[held]
                ].sum()
            return total

        strength = min(_STRENGTHS, key=loss)
    fit = _fitted(seen, before, classes, strength)
    return np.exp(_log_softmax(start + inputs @ fit[:-1] + fit[-1]))


def _fitted(inputs: Doubles, start: Doubles, classes: Ints, strength: float) -> Doubles:
    """Weights (d, k) and below them biases (k,) that are added to log probabilities (m, k).

    The most probable ones where they have normal priors around 0, of the inverse variances
    `strength` times d for weights (Bishop, "Pattern Recognition and Machine Learning", section
    4.5).
    """
    from scipy.optimize import minimize

    (m, d), k = inputs.shape, start.shape[1]
    wanted = np.eye(k)[classes]
    prior = np.full((d + 1, k), strength * d)
    prior[-1] = _ON_SIZES
    design = np.column_stack([inputs, np.ones(m)])

    def loss(flat: Doubles) -> tuple[float, Doubles]:
        weights = flat.reshape(d + 1, k)
        logs = _log_softmax(start + design @ weights)
        value = (prior * weights**2).sum() / 2 - (wanted * logs).sum()
        return float(value), (design.T @ (np.exp(logs) - wanted) + prior * weights).ravel()

    options = {"maxiter": _STEPS}
    best = minimize(loss, np.zeros((d + 1) * k), jac=True, method="L-BFGS-B", options=options)
    return np.asarray(best.x, np.float64).reshape(d + 1, k)


def _log_softmax(logits: Doubles) -> Doubles:
    logits = logits - logits.max(1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(1, keepdims=True)), np.float64)


def _allowed(answer: Doubles, known: Known) -> Ints:
    """The likeliest cluster (n,) of every image that is known or in a pair; -1 of the others.

    Images that are the same decide together. Of those that are different the surest decides first,
    then whoever is different from one that has decided; where nothing is left that all pairs allow,
    the likeliest cluster is taken all the same.
    """
    given = known.classes.copy()
    paired = np.unique(np.concatenate([known.same.ravel(), known.different.ravel()]))
    if not len(paired):
        return given
    part = known.parts[paired]
    logs = np.log(np.maximum(answer[paired], _LEAST))
    groups, of = np.unique(part, return_inverse=True)
    total = np.zeros((len(groups), answer.shape[1]))
    np.add.at(total, of, logs)
    chosen = np.full(len(groups), -1)
    chosen[of] = known.classes[paired]  # closed: all of a group know the same
    apart: defaultdict[int, set[int]] = defaultdict(set)
    for a, b in np.searchsorted(groups, known.parts[known.different]).tolist():
        apart[a].add(b)
        apart[b].add(a)
    margins = np.diff(np.sort(total, axis=1)[:, -2:], axis=1)[:, 0]
    # those that are different from a decided one, the surest first, and behind them all others
    waiting = [(1, -margin, group) for group, margin in enumerate(margins.tolist())]
    waiting += [(0, -margins[b], b) for a in np.flatnonzero(chosen >= 0).tolist() for b in apart[a]]
    heapq.heapify(waiting)
    while waiting:
        group = heapq.heappop(waiting)[2]
        if chosen[group] >= 0:
            continue
        taken = [int(chosen[b]) for b in apart[group] if chosen[b] >= 0]
        free = total[group].copy()
        if len(set(taken)) < len(free):
            free[taken] = -np.inf
        chosen[group] = int(free.argmax())
        for b in apart[group]:
            if chosen[b] < 0:
                heapq.heappush(waiting, (0, -margins[b], b))
    given[paired] = chosen[of]
    return given
