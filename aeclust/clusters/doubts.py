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


def doubts(clustering: Clustering, colours: Array | None = None, *, seed: int) -> list[str]:
    """Warnings before a clustering is trusted, a sentence each; none if all is well.

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
            f"other ways of clustering give only {agreement:.0%} of these labels: another seed may"
            " group the images otherwise; try another number of clusters"
        )
    if views is not None and views < LOW_AGREEMENT:
        sentences.append(
            f"only {views:.0%} of the images keep their label when seen in part: what the images of"
            " a cluster share may be hard to see; look at them before you use the labels"
        )
    if not sentences and clustering.shares is not None:
        sure = float(clustering.shares.max(1).mean())
        if little_better_than_guessing(sure, k):
            sentences.append(
                f"only {sure:.0%} of the labels should hold, where guessing gets {1 / k:.0%} right:"
                f" the images may not fall into {k} groups; try another number of clusters"
            )
    collapsed = sum(member.collapsed for member in clustering.members)
    if collapsed:
        sentences.append(
            f"{collapsed} of {len(clustering.members)} ways of clustering found fewer than {k}"
            f" clusters: {f'{k} may be too many' if k > 2 else 'there may be no groups'}"
        )
    outside = outlier_count(clustering.labels) / len(inside)
    if outside > MANY_OUTLIERS:
        sentences.append(
            f"{outside:.0%} of the images are in no cluster: lower min_cluster_size, or choose"
            " another clusterer"
        )
    sizes = np.bincount(clustering.labels[inside])
    # known labels may leave a number to no cluster
    small = np.flatnonzero((sizes > 0) & (sizes < max(NEARLY_EMPTY * n / k, min(FEW, n / k / 2))))
    if len(small):
        which, them, total = f"cluster {small[0]} is", "it", ""
        if len(small) > 1:
            which, them, total = f"clusters {listed(small)} are", "them", " together"
        sentences.append(
            f"{which} nearly empty ({sizes[small].sum():,} of {n:,} images{total}): look at {them},"
            f" and merge {them} or ask for fewer"
        )
    share = None if colours is None else colour_share(colours, clustering.labels, seed=seed)
    if share is not None and share >= BY_COLOUR:
        sentences.append(
            f"mean colour and brightness alone predict {share:.0%} of each cluster: the clusters"
            " may follow colour, not content; a few known labels can steer them"
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
