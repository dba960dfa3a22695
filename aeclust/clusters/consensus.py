"""One clustering out of many: members refined among neighbours, aligned and voted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.scores import best_names

_ROUNDS = 10
_SWEEPS = 30
_RARE = 1e-9


@dataclass(frozen=True)
class Member:
    """One clustering of an ensemble, refined among neighbours.

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

    def led(self, labels: NDArray[np.int64], k: int) -> Consensus:
        """The same members under labels (n,) that decide whatever the vote says."""
        votes = np.array([best_names(own, labels, k)[own] for own in self.votes])
        weights = np.array([m.agreement**4 for m in self.members if not m.collapsed])
        return replace(
            self,
            labels=labels,
            shares=_shares(votes, weights, k).astype(np.float32),
            agreement=float((votes == labels).mean()),
            votes=votes,
        )


def agree(
    members: Mapping[str, NDArray[np.int64]], neighbours: NDArray[np.int64], k: int, *, seed: int
) -> Consensus:
    """Of several clusterings the one that tells most about an image's neighbours.

    Every member is refined among the neighbours (:func:`refine`), and so is the outcome of their
    :func:`vote`. Whichever of these has the most :func:`information` decides; the members' votes
    say how far they agree with it.

    Parameters
    ----------
    members : mapping of str to ndarray of shape (n,)
        Labels in 0 to k - 1; at least one member has k clusters.
    neighbours : ndarray of shape (n, m)
        Rows of the nearest images of every image.
    k : int
    seed : int
    """
    refined = {
        name: refine(labels, neighbours, k, seed=seed, member=i)
        for i, (name, labels) in enumerate(members.items())
    }
    voted = vote(refined, k)
    outcome = refine(voted.labels, neighbours, k, seed=seed, member=len(members))
    candidates = [*voted.votes, outcome]
    return voted.led(max(candidates, key=lambda own: information(own, neighbours, k)), k)


def information(labels: NDArray[np.int64], neighbours: NDArray[np.int64], k: int) -> float:
    """Mutual information between the cluster of an image and that of a neighbour, in nats.

    At most log k: it asks for neighbours that share a cluster and for clusters that are not a few
    large ones, without fixing their sizes. Over neighbours instead of augmented views it is the
    objective of Ji et al., "Invariant Information Clustering" (2019), equation 3. Between
    clusterings of the same points the higher one was nearly always the more accurate, see
    docs/research.md.
    """
    joint = _joint(labels, neighbours, k)
    alone = joint.sum(1)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / np.outer(alone, alone)[seen])).sum())


def refine(
    labels: NDArray[np.int64], neighbours: NDArray[np.int64], k: int, *, seed: int, member: int = 0
) -> NDArray[np.int64]:
    """Move images to the clusters that their neighbours point to, in at most thirty sweeps.

    A neighbour in cluster b speaks for cluster a with their pointwise mutual information,
    log p(a, b) / p(a) p(b), so that a small cluster is not outvoted for being small. A random half
    of the images moves at a time, or two neighbours could swap places forever.

    Parameters
    ----------
    labels : ndarray of shape (n,)
        In 0 to k - 1.
    neighbours : ndarray of shape (n, m)
        Rows of the nearest images of every image.
    k : int
    seed : int
    member : int
        Of an ensemble: members of different numbers draw different random numbers.

    Returns
    -------
    ndarray of shape (n,)
        `labels` themselves where refining would lose a cluster.
    """
    generator = seeds.stream(seed, "refinement", member)
    n = len(labels)
    present = labels
    for _ in range(_SWEEPS):
        joint = _joint(present, neighbours, k) + _RARE
        alone = joint.sum(1)
        votes = np.zeros((n, k))
        for column in neighbours.T:
            votes[np.arange(n), present[column]] += 1
        best = (votes @ np.log(joint / np.outer(alone, alone))).argmax(1)
        if np.array_equal(best, present):
            break
        present = np.where(generator.random(n) < 0.5, best, present)
    return present if len(np.unique(present)) == len(np.unique(labels)) else labels


def _joint(labels: NDArray[np.int64], neighbours: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """How often clusters (k, k) meet as neighbours, as shares of all pairs; symmetric."""
    pairs = labels[:, np.newaxis] * k + labels[neighbours]
    joint = np.bincount(pairs.ravel(), minlength=k * k).reshape(k, k).astype(np.float64)
    return (joint + joint.T) / (2 * pairs.size)


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
        shares = _shares(aligned, weights, k)
        tied = shares >= shares.max(1, keepdims=True) * (1 - 1e-12)
        stays = np.take_along_axis(tied, before[:, np.newaxis], 1)[:, 0]
        outcome = np.where(stays, before, shares.argmax(1))
        if np.array_equal(outcome, before):
            break
    if len(np.unique(outcome)) < k:
        outcome = assignments[int(agreements.argmax())]
        aligned = np.array([best_names(own, outcome, k)[own] for own in assignments])
        shares = np.eye(k)[outcome]
    found = dict(zip(whole, agreements.tolist(), strict=True))
    return Consensus(
        labels=outcome.astype(np.int64),
        shares=shares.astype(np.float32),
        agreement=float((aligned == outcome).mean()),
        votes=aligned,
        members=[Member(name, found.get(name, 0.0), name not in found) for name in members],
    )


def _shares(
    aligned: NDArray[np.int64], weights: NDArray[np.float64], k: int
) -> NDArray[np.float64]:
    """Each cluster's share of the weighted votes (n, k)."""
    shares = np.zeros((aligned.shape[1], k))
    for own, weight in zip(aligned, weights, strict=True):
        shares[np.arange(len(own)), own] += weight
    shares /= shares.sum(1, keepdims=True)
    return shares


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
