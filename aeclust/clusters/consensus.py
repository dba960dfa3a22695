"""One clustering out of many: members refined among neighbours, aligned and voted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Doubles, Ints
from aeclust.clusters.scores import best_names

_ROUNDS = 10
_SWEEPS = 30
_RARE = 1e-9


@dataclass(frozen=True)
class Member:
    """One clustering of an ensemble, refined among neighbours.

    Its agreement is the share of images that it labels as the consensus does, under the best
    matching, in [0, 1]. A collapsed one holds fewer clusters than asked for; it has no vote and an
    agreement of 0.
    """

    name: str
    agreement: float
    collapsed: bool


@dataclass(frozen=True)
class Consensus:
    """A clustering, and how far the members agree with it.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        int64, 0 to k - 1.
    agreement : float
        Mean over the members that voted of the share of images that they label in the same way,
        in [0, 1]: a score of the run that needs no labels.
    members : list of Member
    votes : ndarray of shape (members, n)
        Labels of the members that voted, in the numbers of `labels`.
    """

    labels: Ints
    agreement: float
    members: list[Member]
    votes: Ints = field(repr=False)

    def led(self, labels: Ints, k: int) -> Consensus:
        """The same members beside other labels (n,)."""
        votes = _aligned(self.votes, labels, k)
        shares = iter((votes == labels).mean(1).tolist())
        members = [
            each if each.collapsed else replace(each, agreement=next(shares))
            for each in self.members
        ]
        agreement = float((votes == labels).mean())
        return replace(self, labels=labels, agreement=agreement, members=members, votes=votes)


def agree(members: Mapping[str, Ints], neighbours: Ints, k: int, *, seed: int) -> Consensus:
    """Of several clusterings the one that predicts an image's neighbours best.

    Every member is refined among the neighbours (:func:`refine`), and so is the outcome of their
    :func:`vote`. Whichever of these has the most :func:`information` decides; the members' votes
    show how far they agree with it.

    Parameters
    ----------
    members : mapping of str to ndarray of shape (n,)
        Labels in 0 to k - 1; at least one member has k clusters.
    neighbours : ndarray of shape (n, m)
        Rows of the nearest images of every image.
    k, seed : int
    """
    refined = {
        name: refine(labels, neighbours, k, seed=seed, member=i)
        for i, (name, labels) in enumerate(members.items())
    }
    voted = vote(refined, k)
    outcome = refine(voted.labels, neighbours, k, seed=seed, member=len(members))
    candidates = [*voted.votes, outcome]
    return voted.led(max(candidates, key=lambda labels: information(labels, neighbours, k)), k)


def information(labels: Ints, neighbours: Ints, k: int) -> float:
    """Mutual information between the cluster of an image and that of a neighbour, in nats.

    At most log k: it asks for neighbours that share a cluster and for clusters that are not a few
    large ones, without fixing their sizes. Over neighbours instead of augmented views it is the
    objective of Ji et al., "Invariant Information Clustering" (2019), equation 3. Between
    clusterings of the same points the higher one was nearly always the more accurate, see
    docs/research.md. Labels are of shape (n,), the rows of neighbours (n, m).
    """
    joint = _joint(labels, neighbours, k)
    alone = joint.sum(1)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / np.outer(alone, alone)[seen])).sum())


def refine(labels: Ints, neighbours: Ints, k: int, *, seed: int, member: int = 0) -> Ints:
    """Move images to the clusters that their neighbours point to, in at most thirty sweeps.

    A neighbour in cluster b speaks for cluster a with their pointwise mutual information,
    log p(a, b) / p(a) p(b), so that a small cluster is not outvoted for being small. A random half
    of the images moves at a time, or two neighbours could swap places forever.

    Parameters
    ----------
    labels, neighbours : ndarray of shape (n,) and (n, m)
        Clusters in 0 to k - 1, and rows of the nearest images of every image.
    k, seed : int
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


def _joint(labels: Ints, neighbours: Ints, k: int) -> Doubles:
    """How often clusters (k, k) meet as neighbours, as shares of all pairs; symmetric."""
    pairs = labels[:, np.newaxis] * k + labels[neighbours]
    joint = np.bincount(pairs.ravel(), minlength=k * k).reshape(k, k).astype(np.float64)
    return (joint + joint.T) / (2 * pairs.size)


def vote(members: Mapping[str, Ints], k: int) -> Consensus:
    """Align clusterings of the same images and let them vote.

    Members that lost a cluster are left out. The others vote with the fourth power of their mean
    agreement with each other, so that an outlier counts for little. All are aligned to the member
    that agrees most, then to the outcome until it stays the same; a tied vote changes nothing
    (Dudoit and Fridlyand, "Bagging to improve the accuracy of a clustering procedure", 2003, with
    weights). Should the vote itself lose a cluster, the member that agrees most decides alone. At
    least one member has k clusters.
    """
    whole = {name: labels for name, labels in members.items() if len(np.unique(labels)) == k}
    assignments = np.array(list(whole.values()), np.int64)
    agreements = _agreements(assignments, k)
    best = assignments[int(agreements.argmax())]
    outcome = best
    for _ in range(_ROUNDS):
        before = outcome
        shares = np.zeros((len(best), k))
        for labels, weight in zip(_aligned(assignments, before, k), agreements**4, strict=True):
            shares[np.arange(len(labels)), labels] += weight
        tied = shares >= shares.max(1, keepdims=True) * (1 - 1e-12)
        stays = np.take_along_axis(tied, before[:, np.newaxis], 1)[:, 0]
        outcome = np.where(stays, before, shares.argmax(1))
        if np.array_equal(outcome, before):
            break
    if len(np.unique(outcome)) < k:
        outcome = best
    listed = [Member(name, 0.0, name not in whole) for name in members]
    return Consensus(outcome, 1.0, listed, assignments).led(outcome, k)


def _aligned(assignments: Ints, labels: Ints, k: int) -> Ints:
    """Clusterings (m, n), each in the numbers of labels (n,) that match it best."""
    return np.array([best_names(row, labels, k)[row] for row in assignments])


def agreement(first: Array, second: Array, k: int) -> float:
    """Share of images on which two clusterings agree under the best matching, in [0, 1]."""
    return float((best_names(first, second, k)[first] == second).mean())


def _agreements(assignments: Ints, k: int) -> Doubles:
    """Each member's mean agreement with the others; 1 for a member alone."""
    count = len(assignments)
    table = np.ones((count, count))
    for i in range(count):
        for j in range(i):
            table[i, j] = table[j, i] = agreement(assignments[i], assignments[j], k)
    return (table.sum(1) - 1) / (count - 1) if count > 1 else np.ones(1)
