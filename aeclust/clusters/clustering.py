"""What a clustering is: labels of latents, their confidence, and the evidence for both."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.consensus import Member
from aeclust.clusters.evidence import EstimatedK
from aeclust.clusters.neighbours import votes_of_others


@dataclass(frozen=True)
class Views:
    """One random view of some images: their rows (v,), its latents (v, d) and clusters (v,).

    The clusters are the likeliest by the network's own assignments, if it has learnt clusters.
    """

    rows: Ints
    latents: Floats | None = None
    clusters: Ints | None = None


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """Groups of latents.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        int64, 0 to k - 1, numbered by falling size, ties by first appearance; -1 of outliers.
    points : ndarray of shape (n, e)
        float32, the reduced latents that were clustered.
    references : ndarray of shape (r,)
        int64, rows of the latents that vote on other images, ascending; see
        :func:`aeclust.clusters.neighbours.label_others`.
    latents : ndarray of shape (n, d)
        Those that were clustered.
    k : int
        Number of clusters.
    posteriors : ndarray of shape (n, k) or None
        float32, by the mixtures that settle a consensus, see
        :func:`aeclust.clusters.mixtures.settle`; None of a single clusterer.
    shares : ndarray of shape (n, k) or None
        float32, the probabilities of a consensus, made no more confident on average than members
        and views agree. These are two doubts, taken for independent: their product remains, or an
        even share if that is more.
    strengths : ndarray of shape (n,) or None
        float32, see :func:`aeclust.clusters.density.cluster_dense`, the only one with outliers.
    agreement : float or None
        Of the members of a consensus, refined among neighbours, with the labels; in [0, 1].
    members : list of Member
    by_network : bool
        Whether they are the clusters that the network learnt, but for what mixtures moved.
    view_agreement : float or None
        Share of the views that fall into the cluster of their image; None without views.
    substitutions : tuple of str
        A sentence for every step that something else stood in for: for want of time or points, or
        because it failed.
    estimate : EstimatedK or None
        Where k was asked for.
    """

    labels: Ints
    points: Floats
    references: Ints
    latents: Array
    k: int
    posteriors: Floats | None = None
    shares: Floats | None = None
    strengths: Floats | None = None
    agreement: float | None = None
    members: list[Member] = field(default_factory=list)
    by_network: bool = False
    view_agreement: float | None = None
    substitutions: tuple[str, ...] = ()
    estimate: EstimatedK | None = None

    @cached_property
    def probabilities(self) -> Floats:
        """The posteriors, or the votes (n, k) of the nearest references, counted when asked for."""
        if self.posteriors is not None:
            return self.posteriors
        return votes_of_others(self.latents, self.labels, self.references, self.k)

    @property
    def confidence(self) -> Floats:
        """The share (n,) of each image's cluster in [0, 1]; without shares its probability.

        Of what was clustered by density it is the strength.
        """
        if self.strengths is not None:
            return self.strengths
        shares = self.probabilities if self.shares is None else self.shares
        return np.take_along_axis(shares, self.labels[:, np.newaxis], 1)[:, 0]
