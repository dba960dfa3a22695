"""One clustering out of many: members aligned, weighted by agreement, and voted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.metrics import best_names

_ROUNDS = 10


@dataclass(frozen=True)
class Member:
    """One clustering of an ensemble.

    Attributes
    ----------
    name : str
    agreement : float
        Mean share of images on which the other members agree with it under the best matching, in
        [0, 1]; 0 for a collapsed member.
    collapsed : bool
        Whether it holds fewer clusters than asked for and had no vote.
    """

    name: str
    agreement: float
    collapsed: bool


@dataclass(frozen=True)
class Consensus:
    """What the members say together.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        int64, 0 to k - 1.
    shares : ndarray of shape (n, k)
        float32, each cluster's share of the members' weighted votes; rows sum to 1.
    agreement : float
        Mean over the members that voted of the share of images that they label as the outcome
        does, in [0, 1]: a score of the run that needs no labels.
    members : list of Member
    votes : ndarray of shape (members, n)
        Labels of the members that voted.
    """

    labels: NDArray[np.int64]
    shares: NDArray[np.float32]
    agreement: float
    members: list[Member]
    votes: NDArray[np.int64] = field(repr=False)

    def judged(self, probabilities: NDArray[np.floating[Any]]) -> Consensus:
        """The same members under labels of probabilities (n, k) that come from elsewhere.

        Should these use fewer than k clusters, the consensus stays as it is.
        """
        labels = probabilities.argmax(1)
        k = probabilities.shape[1]
        if len(np.unique(labels)) < k:
            return self
        return replace(
            self,
            labels=labels.astype(np.int64),
            shares=probabilities.astype(np.float32),
            agreement=float(np.mean([agreement(own, labels, k) for own in self.votes])),
        )


def vote(members: Mapping[str, NDArray[np.int64]], k: int) -> Consensus:
    """Align clusterings of the same images and let them vote.

    Members that lost a cluster are left out. The others vote with the fourth power of their mean
    agreement with each other, so that an outlier counts for little. All are aligned to the member
    that agrees most, then to the outcome until it stays the same; a tied vote changes nothing
    (Dudoit and Fridlyand, "Bagging to improve the accuracy of a clustering procedure", 2003, with
    weights). Should the vote itself lose a cluster, the member that agrees most decides alone.

    Parameters
    ----------
    members : mapping of str to ndarray of shape (n,)
        Labels in 0 to k - 1; at least one member has k clusters.
    k : int
    """
    whole = {name: labels for name, labels in members.items() if len(np.unique(labels)) == k}
    assignments = np.array(list(whole.values()))
    agreements = _pairwise(assignments, k)
    weights = agreements**4
    outcome = assignments[int(agreements.argmax())]
    for _ in range(_ROUNDS):
        before = outcome
        aligned = np.array([best_names(own, before, k)[own] for own in assignments])
        shares = np.zeros((assignments.shape[1], k))
        for own, weight in zip(aligned, weights, strict=True):
            shares[np.arange(len(own)), own] += weight
        tied = shares >= shares.max(1, keepdims=True) * (1 - 1e-12)
        stays = np.take_along_axis(tied, before[:, np.newaxis], 1)[:, 0]
        outcome = np.where(stays, before, shares.argmax(1))
        if np.array_equal(outcome, before):
            break
    if len(np.unique(outcome)) < k:
        outcome = assignments[int(agreements.argmax())]
        aligned = np.array([best_names(own, outcome, k)[own] for own in assignments])
        shares = np.eye(k)[outcome]
    shares /= shares.sum(1, keepdims=True)
    found = dict(zip(whole, agreements.tolist(), strict=True))
    return Consensus(
        labels=outcome.astype(np.int64),
        shares=shares.astype(np.float32),
        agreement=float((aligned == outcome).mean()),
        votes=aligned,
        members=[Member(name, found.get(name, 0.0), name not in found) for name in members],
    )


def agreement(first: NDArray[Any], second: NDArray[Any], k: int) -> float:
    """Share of images on which two clusterings agree under the best matching, in [0, 1]."""
    return float((best_names(first, second, k)[first] == second).mean())


def _pairwise(assignments: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """Each member's mean agreement with the others; 1 for a member alone."""
    count = len(assignments)
    table = np.ones((count, count))
    for i in range(count):
        for j in range(i):
            table[i, j] = table[j, i] = agreement(assignments[i], assignments[j], k)
    return (table.sum(1) - 1) / (count - 1) if count > 1 else np.ones(1)
