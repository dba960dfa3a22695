"""Labels of images that were not clustered, and how sure they are."""

from __future__ import annotations

import numpy as np

from aeclust.clusters import Array, Floats, Ints
from aeclust.clusters.mixtures import temper
from aeclust.clusters.neighbours import label_others
from aeclust.clusters.scores import best_names


def label_new(
    others: Array,
    latents: Array,
    labels: Ints,
    references: Ints,
    k: int,
    shares: Floats | None = None,
    *,
    own: tuple[Array, Array] | None = None,
) -> tuple[Ints, Floats]:
    """Label images that were not clustered.

    The network decides which of its clusters they are in, if those are the clusters; otherwise
    the references nearest to them vote.

    Parameters
    ----------
    others, latents, labels, references, k, shares
        See :func:`aeclust.clusters.neighbours.label_others`.
    own : tuple of ndarray of shape (m, k) and (n, k), optional
        The network's probabilities for the others and for the images that were clustered, if the
        clusters are those that it learnt (`by_network` of a
        :class:`~aeclust.clusters.clustering.Clustering`) and nobody has changed them since.

    Returns
    -------
    labels : ndarray of shape (m,)
        int64.
    confidence : ndarray of shape (m,)
        float32 in [0, 1]: the network's probability, at a temperature at which it is no more
        confident of the references than the shares are; or the largest share of the votes.
    """
    if own is None or shares is None:
        return label_others(others, latents, labels, references, k, shares)
    theirs, ours = own[0], own[1][references]
    order = np.argsort(best_names(ours.argmax(1), labels[references], k))
    both = np.concatenate((ours, theirs))[:, order]
    rows, sure = np.arange(len(ours)), float(shares[references].max(1).mean())
    tempered = temper(both, max(sure, 1 / k), rows=rows)[len(ours) :]
    return tempered.argmax(1), tempered.max(1)
