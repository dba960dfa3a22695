"""Reasons to doubt a clustering that need no labels."""

from __future__ import annotations

import numpy as np

from aeclust import seeds
from aeclust.clusters import Array, Ints
from aeclust.clusters.clustering import Clustering
from aeclust.clusters.hush import hushed
from aeclust.clusters.neighbours import references
from aeclust.clusters.numbers import outlier_count
from aeclust.errors import listed

# Shares at which a clustering is doubted.
LOW_AGREEMENT = 0.75
LITTLE_SURER = 0.5  # than a guess: where on the way from that to certainty
NEARLY_EMPTY = 0.1  # of an even share
FEW = 3  # images, where an even share is twice as many
BY_COLOUR = 0.9
MANY_OUTLIERS = 0.5
_FOLDS = 3
_NAMED = 3  # members, at most


def doubts(clustering: Clustering, colours: Array | None = None, *, seed: int) -> list[str]:
    """What a user should know before trusting a clustering, a sentence each; none if all is well.

    Parameters
    ----------
    clustering : Clustering
    colours : ndarray of shape (n, c), optional
        Mean colour of the images.
    seed : int
    """
    agreement, views = clustering.agreement, clustering.view_agreement
    sentences = []
    inside = clustering.labels >= 0
    n, k = int(inside.sum()), clustering.k
    if agreement is not None and agreement < LOW_AGREEMENT:
        sentences.append(
            f"the members of the consensus agree with it on only {agreement:.0%} of the"
            " images: other seeds or clusterers may group them otherwise"
        )
    if views is not None and views < LOW_AGREEMENT:
        sentences.append(
            f"a random view of an image tells its cluster for only {views:.0%} of"
            " the images: what the images of a cluster have in common may be hard to see"
        )
    if not sentences and clustering.shares is not None:
        sure = float(clustering.shares.max(1).mean())
        if little_better_than_guessing(sure, k):
            sentences.append(
                f"only {sure:.0%} of the labels can be counted on, where guessing gets"
                f" {1 / k:.0%} right: there may be no such groups"
            )
    collapsed = [member.name for member in clustering.members if member.collapsed]
    if collapsed:
        who = ", ".join(collapsed)
        if len(collapsed) > _NAMED:
            who = f"{len(collapsed)} of {len(clustering.members)} members"
        sentences.append(
            f"{who} found fewer than {k} clusters and had no vote: {k} may be too many"
        )
    outside = outlier_count(clustering.labels) / len(inside)
    if outside > MANY_OUTLIERS:
        sentences.append(f"{outside:.0%} of the images are outliers, which are in no cluster")
    sizes = np.bincount(clustering.labels[inside])
    # known labels may leave a number to no cluster
    small = np.flatnonzero((sizes > 0) & (sizes < max(NEARLY_EMPTY * n / k, min(FEW, n / k / 2))))
    if len(small) == 1:
        sentences.append(f"cluster {small[0]} is nearly empty ({sizes[small[0]]} of {n} images)")
    elif len(small):
        numbers, count = listed(small), sizes[small].sum()
        sentences.append(f"clusters {numbers} are nearly empty ({count} of {n} images together)")
    share = None if colours is None else colour_share(colours, clustering.labels, seed=seed)
    if share is not None and share >= BY_COLOUR:
        sentences.append(
            f"mean colour and brightness alone predict {share:.0%} of each cluster: the groups"
            " may follow colour, not content"
        )
    return sentences


def little_better_than_guessing(share: float, k: int) -> bool:
    """Whether a share of labels that should hold is nearer to that of guessing than to 1.

    >>> little_better_than_guessing(0.7, 2), little_better_than_guessing(0.8, 2)
    (True, False)
    """
    return share - 1 / k < LITTLE_SURER * (1 - 1 / k)


@hushed()
def colour_share(colours: Array, labels: Ints, *, seed: int) -> float | None:
    """How well a linear model finds the clusters (n,) from mean colours (n, c) alone.

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

    rows = references(len(labels), seed=seed)
    rows = rows[labels[rows] >= 0]  # outliers are no group
    colours, labels = colours[rows], labels[rows]
    _, counts = np.unique(labels, return_counts=True)
    if len(counts) < 2 or counts.min() < _FOLDS:
        return None
    linear = LogisticRegression(class_weight="balanced", max_iter=1_000)
    number = seeds.number(seed, "indicators")
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=number)
    model = make_pipeline(StandardScaler(), linear)
    predicted = cross_val_predict(model, colours, labels, cv=folds)
    return float(balanced_accuracy_score(labels, predicted))
