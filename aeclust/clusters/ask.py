"""Which images to ask a person about, because their labels would tell most."""

from __future__ import annotations

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Floats, Ints


def worth_asking(
    latents: Array, labels: Ints, shares: Floats, *, count: int, seed: int, known: Array
) -> Ints:
    """Rows of the images to ask for, in the order in which to answer.

    The clusters take turns, and each asks for its doubtful images first.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    labels : ndarray of shape (n,)
        -1 for no cluster.
    shares : ndarray of shape (n, k)
        How likely each image belongs to each cluster.
    count : int
        Of images to ask for; fewer where fewer are left.
    seed : int
    known : ndarray of shape (n,)
        bool, images that are not asked for.

    Returns
    -------
    ndarray of shape (count,)
        int64.
    """
    rows = seeds.stream(seed, "ask").permutation(np.flatnonzero(~np.asarray(known, bool)))
    rows = rows[np.argsort(shares.max(1)[rows], kind="stable")]
    _, groups = np.unique(labels[rows], return_inverse=True)
    turn = np.empty(len(rows), np.int64)
    for group in range(groups.max(initial=-1) + 1):
        turn[groups == group] = np.arange((groups == group).sum())
    return np.asarray(rows[np.lexsort((groups, turn))][:count], np.int64)
