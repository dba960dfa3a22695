"""Reasons to doubt a clustering that need no labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters.chain import Clustering
from aeclust.clusters.neighbours import references

# Shares at which a clustering is doubted.
LOW_AGREEMENT = 0.75
LITTLE_SURER = 0.5  # than a guess: where on the way from that to certainty
NEARLY_EMPTY = 0.1  # of an even share
FEW = 3  # images, where an even share is twice as many
BY_COLOUR = 0.9
_FOLDS = 3
_MOST = 10_000


def doubts(found: Clustering, colours: NDArray[Any] | None = None) -> list[str]:
    """What a user should know before trusting a clustering, a sentence each; none if all is well.

    Parameters
    ----------
    found : Clustering
    colours : ndarray of shape (n, c), optional
        Mean colour of the images.
    """
    said = []
    n, k = len(found.labels), found.k
    if found.agreement is not None and found.agreement < LOW_AGREEMENT:
        said.append(
            f"the members of the consensus agree with it on only {found.agreement:.0%} of the"
            " images: other seeds or clusterers may group them otherwise"
        )
    if found.view_agreement is not None and found.view_agreement < LOW_AGREEMENT:
        said.append(
            f"a random view of an image tells its cluster for only {found.view_agreement:.0%} of"
            " the images: what the images of a cluster have in common may be hard to see"
        )
    if not said and found.tempered is not None:
        sure = float(found.tempered.max(1).mean())
        if sure - 1 / k < LITTLE_SURER * (1 - 1 / k):
            said.append(
                f"only {sure:.0%} of the labels can be counted on, where guessing gets"
                f" {1 / k:.0%} right: there may be no such groups"
            )
    collapsed = [member.name for member in found.members if member.collapsed]
    if collapsed:
        said.append(
            f"{', '.join(collapsed)} found fewer than {k} clusters and had no vote:"
            f" {k} may be too many"
        )
    sizes = np.bincount(found.labels, minlength=k)
    small = np.flatnonzero(sizes < max(NEARLY_EMPTY * n / k, min(FEW, n / k / 2)))
    if len(small) == 1:
        said.append(f"cluster {small[0]} is nearly empty ({sizes[small[0]]} of {n} images)")
    elif len(small):
        names = ", ".join(map(str, small))
        said.append(
            f"clusters {names} are nearly empty ({sizes[small].sum()} of {n} images together)"
        )
    if colours is not None:
        share = predicted_by_colour(colours, found.labels)
        if share is not None and share >= BY_COLOUR:
            said.append(
                f"mean colour and brightness alone predict {share:.0%} of each cluster: the groups"
                " may follow colour, not content"
            )
    return said


def predicted_by_colour(colours: NDArray[Any], labels: NDArray[np.int64]) -> float | None:
    """How well a linear model finds the clusters from mean colours alone.

    Parameters
    ----------
    colours : ndarray of shape (n, c)
    labels : ndarray of shape (n,)

    Returns
    -------
    float or None
        Share of a cluster's images found, averaged over the clusters (three-fold
        cross-validation, at most 10,000 images): 1 / k by chance. None if a cluster has fewer
        than three images.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    sample = references(len(labels), seed=0, limit=_MOST)
    colours, labels = colours[sample], labels[sample]
    _, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2 or counts.min() < _FOLDS:
        return None
    model = make_pipeline(
        StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1_000)
    )
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    return float(
        balanced_accuracy_score(labels, cross_val_predict(model, colours, labels, cv=folds))
    )
