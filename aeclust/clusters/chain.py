"""Groups of points, and how sure they are."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.clusters.consensus import Member, agree, information, refine
from aeclust.clusters.indicators import EstimatedK, estimate_k
from aeclust.clusters.mixtures import settle, temper
from aeclust.clusters.neighbours import (
    MAX_REFERENCES,
    NEIGHBOURS,
    neighbour_vote,
    neighbours,
    references,
)
from aeclust.clusters.reduction import check_spread, limited, reduce
from aeclust.clusters.scores import best_names
from aeclust.errors import InputError
from aeclust.recipe import Recipe

# Points up to which each clusterer takes all of them.
MOST = {
    "kmeans": 100_000,
    "gmm": 100_000,
    "gmm-tied": 100_000,
    "spectral": MAX_REFERENCES,
    "agglomerative": MAX_REFERENCES,
}
_ROWS = 16_384  # of many points at a time, so that no step holds another copy of all

# By this share may another clustering tell more about neighbours before it replaces the network's.
_CHANCE = 0.006


@dataclass(frozen=True)
class Views:
    """What a network makes of one random view of some of the images.

    Attributes
    ----------
    rows : ndarray of shape (v,)
        Of the images.
    latents : ndarray of shape (v, d) or None
    clusters : ndarray of shape (v,) or None
        The likeliest by the network's own assignments, if it knows clusters.
    """

    rows: NDArray[np.int64]
    latents: NDArray[np.float32] | None = None
    clusters: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Clustering:
    """Groups of latents.

    Attributes
    ----------
    labels : ndarray of shape (n,)
        int64, 0 to k - 1, numbered by falling size, ties by first appearance.
    points : ndarray of shape (n, e)
        float32, the reduced latents that were clustered.
    shares : ndarray of shape (n, k) or None
        float32, probabilities of the clusters by the mixtures that settle a consensus
        (:func:`aeclust.clusters.mixtures.settle`); None without one.
    agreement : float or None
        Of the members, refined among neighbours, with the labels; in [0, 1].
    members : list of Member
    view_agreement : float or None
        Share of images, of those asked about, that stay in their clusters where the network sees
        no more than a random view of them; None if nobody asked.
    substitutions : tuple of str
        A sentence for every step that something else stood in for, because there are many points,
        or too few of them or of their values.
    estimate : EstimatedK or None
        Where k was asked for.
    """

    labels: NDArray[np.int64]
    points: NDArray[np.float32]
    shares: NDArray[np.float32] | None = None
    agreement: float | None = None
    members: list[Member] = field(default_factory=list)
    view_agreement: float | None = None
    substitutions: tuple[str, ...] = ()
    estimate: EstimatedK | None = None

    @property
    def k(self) -> int:
        """Number of clusters."""
        return int(self.labels.max()) + 1

    @cached_property
    def tempered(self) -> NDArray[np.float32] | None:
        """The shares (n, k), made no surer on average than members and views agree.

        That other clusterers and other views would say otherwise are two doubts, taken for
        independent: what remains is the product, or an even share, if that is more.
        """
        if self.shares is None or self.agreement is None:
            return self.shares
        views = 1.0 if self.view_agreement is None else self.view_agreement
        return temper(self.shares, max(self.agreement * views, 1 / self.shares.shape[1]))


def cluster_latents(
    latents: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    assignments: NDArray[np.float32] | None = None,
    views: Views | None = None,
    where: str = "latents",
    report: Callable[[str], None] = lambda step: None,
) -> Clustering:
    """Cluster latents by a recipe's whole chain.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    recipe : Recipe
        Its reduction, clusterer and k.
    seed : int
    assignments : ndarray of shape (n, k), optional
        The network's own probabilities of k clusters. It learnt them from such a consensus, in
        many views of every image, so the mixtures start from these rather than from the members'
        outcome, unless a cluster has no image or the members now know clearly better.
    views : Views, optional
        By the same network.
    where : str
        Named in errors.
    report : callable
        Takes the name of every step that begins.

    Raises
    ------
    InputError
        See :func:`aeclust.clusters.reduction.reduce` and :func:`cluster`.
    """
    steps = recipe.reduction
    told: list[str] = []
    if recipe.clusterer == "consensus":
        steps = limited(steps, latents.shape)
        n, d = latents.shape
        told += [
            f"{asked} of {n:,} latents with {d:,} values is {done}"
            for asked, done in zip(recipe.reduction, steps, strict=True)
            if asked != done
        ]
    points = reduce(
        latents,
        steps,
        seed=seed,
        perplexity=recipe.perplexity,
        where=where,
        tell=told.append,
        report=report,
    )
    check_spread(points, where)
    if not recipe.k:
        report("number of clusters")
    estimate = None if recipe.k else estimate_k(points, seed=seed)
    k = recipe.k if estimate is None else estimate.k
    if recipe.clusterer != "consensus":
        report(recipe.clusterer)
        labels = cluster(points, k, recipe.clusterer, seed=seed, where=where, tell=told.append)
        return Clustering(labels, points, substitutions=tuple(told), estimate=estimate)
    kept = references(len(points), seed=seed)
    if len(kept) < len(points):
        told.append(
            f"consensus of {len(points):,} points is that of {len(kept):,} random ones, extended by"
            " Gaussian mixtures"
        )
    members = _members(points[kept], k, seed=seed, where=where, report=report)
    report("consensus")
    near = neighbours(points[kept])
    agreed = agree(members, near, k, seed=seed)
    learnt = assignments
    if learnt is not None and not _stands(learnt[kept], agreed.labels, near, k, seed=seed):
        learnt = None
    start = np.eye(k)[agreed.labels] if learnt is None else learnt[kept]
    shares = settle(points, kept, start, _sizes(points))
    if shares is None:
        sure = np.asarray(start, np.float32)
        shares = neighbour_vote(points, points[kept], sure.argmax(1), k, reference_shares=sure)[1]
        shares[kept] = sure
    labels = shares.argmax(1)
    agreed = agreed.led(labels[kept], k)
    rank = _ranks(labels, k)
    return Clustering(
        rank[labels],
        points,
        shares[:, np.argsort(rank)],
        agreed.agreement,
        agreed.members,
        None if views is None else _view_agreement(latents, labels, learnt, views, k, seed=seed),
        tuple(told),
        estimate,
    )


def _view_agreement(
    latents: NDArray[Any],
    labels: NDArray[np.int64],
    learnt: NDArray[Any] | None,
    views: Views,
    k: int,
    *,
    seed: int,
) -> float | None:
    """Share of the views that are put where their images' labels (n,) are; None if nobody can say.

    If these are the clusters that the network learnt (n, k), it says so itself: which of them is
    which label is known from the images. If not, the latents nearest to a view vote, without that
    of its own image, and no more of them than the image has others in its cluster: who has none
    is not asked.
    """
    rows = views.rows
    if learnt is not None and views.clusters is not None:
        seen = best_names(learnt.argmax(1), labels, k)[views.clusters]
    elif views.latents is not None:
        kept, itself = references(len(latents), seed=seed), np.full(len(latents), -1)
        itself[kept] = np.arange(len(kept))
        others = np.bincount(labels[kept], minlength=k)[labels[rows]] - (itself[rows] >= 0)
        voters = np.minimum(others, NEIGHBOURS)
        seen = np.full(len(rows), -1)
        for count in np.unique(voters[voters > 0]):
            asked = voters == count
            seen[asked], _ = neighbour_vote(
                views.latents[asked],
                latents[kept],
                labels[kept],
                k,
                exclude=itself[rows[asked]],
                count=int(count),
            )
        seen, rows = seen[voters > 0], rows[voters > 0]
    else:
        return None
    return float((seen == labels[rows]).mean()) if len(rows) else None


def _stands(
    assignments: NDArray[Any],
    others: NDArray[np.int64],
    near: NDArray[np.int64],
    k: int,
    *,
    seed: int,
) -> bool:
    """Whether the network's clusters (n, m) stand against the members' outcome (n,).

    They do if all k of them are in use and, refined as the members are, they tell as much about
    the neighbours, but for a little that is chance.
    """
    own = assignments.argmax(1)
    if assignments.shape[1] != k or len(np.unique(own)) < k:
        return False
    told = information(refine(own, near, k, seed=seed), near, k)
    return information(others, near, k) <= told * (1 + _CHANCE)


def _members(
    points: NDArray[Any], k: int, *, seed: int, where: str, report: Callable[[str], None]
) -> dict[str, NDArray[np.int64]]:
    """Four kinds of clusterer on all and on the first half of the dimensions.

    A clusterer that fails on these points is a collapsed member; k-means must not fail.
    """
    found: dict[str, NDArray[np.int64]] = {}
    whole = points.shape[1]
    for size in _sizes(points):
        for clusterer in ("kmeans", "gmm", "gmm-tied", "spectral"):
            name = f"{clusterer} in {size} dimensions"
            report(name)
            try:
                own = cluster(points[:, :size], k, clusterer, seed=seed, where=where)
            except InputError:
                if clusterer == "kmeans" and size == whole:
                    raise
                own = np.zeros(len(points), np.int64)
            found[name] = own
    return found


def _sizes(points: NDArray[Any]) -> list[int]:
    """All dimensions, and the first half of them."""
    whole = points.shape[1]
    return sorted({whole, min(whole, max(2, whole // 2))}, reverse=True)


def cluster(
    points: NDArray[Any],
    k: int,
    clusterer: str,
    *,
    seed: int,
    where: str = "latents",
    tell: Callable[[str], None] = lambda line: None,
) -> NDArray[np.int64]:
    """Put points into k clusters.

    Parameters
    ----------
    points : ndarray of shape (n, d)
    k : int
        2 to n.
    clusterer : {"kmeans", "minibatch-kmeans", "gmm", "gmm-tied", "spectral", "agglomerative"}
        ``gmm`` is a Gaussian mixture with full covariances, ``gmm-tied`` one whose clusters share
        a covariance, ``spectral`` uses a graph of 10 neighbours, ``agglomerative`` is Ward's.
        Beyond 10,000 points the last two, beyond 100,000 all but ``minibatch-kmeans`` are fitted
        to that many random points; the others are labelled by the fitted model, or by the vote of
        their neighbours where there is no model to ask.
    seed : int
    where : str
        Named in errors.
    tell : callable
        Takes a sentence if only some of the points were clustered.

    Returns
    -------
    ndarray of shape (n,)
        0 to k - 1, numbered by falling size, ties by first appearance.

    Raises
    ------
    InputError
        If there are fewer (different) points than clusters, the clusterer fails on them, or there
        is too little memory.
    """
    n = len(points)
    check_k(k, n, where)
    check_spread(points, where)
    # a run of k different points settles it early; only degenerate data need the full count
    if len(np.unique(points[: 4 * k], axis=0)) < k and len(np.unique(points, axis=0)) < k:
        raise InputError(
            f"only {len(np.unique(points, axis=0))} different points for {k} clusters",
            where=where,
            expected=f"at least {k} different ones",
            mend="lower -k, or remove duplicate images",
        )
    kept = references(n, seed=seed, limit=max(2 * k, MOST.get(clusterer, n)))
    needed = {
        "spectral": memory.spectral(len(kept), points.shape[1], k),
        "agglomerative": memory.agglomerative(len(kept), points.shape[1]),
    }
    if clusterer in needed:
        memory.check(
            needed[clusterer],
            f"{clusterer} clustering of {len(kept)} points",
            where,
            "use --clusterer kmeans",
        )
    if k == n:  # the only way, which spectral and mini-batch clustering miss
        return np.arange(n)
    try:
        model, labels = _fit(np.asarray(points[kept], np.float64), k, clusterer, seed)
    except ValueError as error:  # scikit-learn's, of a Gaussian without volume
        raise InputError(
            f"{clusterer} cannot form {k} clusters of these points",
            where=where,
            expected="points that spread in every direction of their clusters",
            mend="use --clusterer kmeans, or fewer dimensions by --reduction",
        ) from error
    if len(np.unique(labels)) < k:
        raise InputError(
            f"{clusterer} found only {len(np.unique(labels))} of {k} clusters",
            where=where,
            expected="points that fall into as many groups",
            mend="lower -k or choose another --clusterer",
        )
    if len(kept) < n:
        labels = _extend(model, labels, points, kept, k)
        by = "the fitted model" if hasattr(model, "predict") else "the vote of neighbours"
        tell(
            f"{clusterer} clustering of {n:,} points is that of {len(kept):,} random ones, extended"
            f" by {by}"
        )
    return _by_size(labels, k)


def _extend(
    model: Any, labels: NDArray[np.int64], points: NDArray[Any], kept: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """Labels of all points by the model of those kept, or by these points' labels (m,)."""
    if not hasattr(model, "predict"):
        found = neighbour_vote(points, points[kept], labels, k)[0]
    else:
        starts = range(0, len(points), _ROWS)
        blocks = (np.asarray(points[first : first + _ROWS], np.float64) for first in starts)
        found = np.concatenate([model.predict(block) for block in blocks]).astype(np.int64)
    found[kept] = labels
    return found


def check_k(k: int, n: int, where: str) -> None:
    """Refuse more clusters than images."""
    if k > n:
        raise InputError(
            f"{n} images cannot form {k} clusters", where=where, expected=f"at most {n}",
            mend="lower -k",
        )  # fmt: skip


def confidence(
    latents: NDArray[Any], found: Clustering, *, seed: int
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.float32]]:
    """References that will label new images, and what they say of the images themselves.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    found : Clustering
        Of these latents.
    seed : int

    Returns
    -------
    references : ndarray of shape (m, d)
    reference_labels : ndarray of shape (m,)
    confidence : ndarray of shape (n,)
        float32 in [0, 1]: the tempered probability of an image's own cluster; without a
        consensus, the cluster's share among the image's nearest references, itself not among them.
    """
    kept = references(len(latents), seed=seed)
    base, base_labels = latents[kept], found.labels[kept]
    shares = found.tempered
    if shares is None:
        itself = np.full(len(latents), -1)
        itself[kept] = np.arange(len(kept))
        shares = neighbour_vote(latents, base, base_labels, found.k, exclude=itself)[1]
    return base, base_labels, np.take_along_axis(shares, found.labels[:, np.newaxis], 1)[:, 0]


def _fit(
    points: NDArray[np.float64], k: int, clusterer: str, seed: int
) -> tuple[Any, NDArray[np.int64]]:
    """The fitted model of scikit-learn, and its labels of the points."""
    from sklearn import cluster as skl
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    models = {
        "kmeans": lambda: skl.KMeans(k, n_init=10, random_state=seed),
        "minibatch-kmeans": lambda: skl.MiniBatchKMeans(k, n_init=10, random_state=seed),
        "gmm": lambda: GaussianMixture(k, n_init=3, reg_covar=1e-5, random_state=seed),
        "gmm-tied": lambda: GaussianMixture(
            k, covariance_type="tied", n_init=3, reg_covar=1e-5, random_state=seed
        ),
        "spectral": lambda: skl.SpectralClustering(
            k,
            # the default factorises the graph: 50 times slower where there are many points
            eigen_solver="lobpcg" if len(points) > 500 else "arpack",
            affinity="nearest_neighbors",
            n_neighbors=min(10, len(points)),
            assign_labels="cluster_qr",
            random_state=seed,
        ),
        "agglomerative": lambda: skl.AgglomerativeClustering(k),
    }
    with warnings.catch_warnings():
        # too few clusters are an error of our own; a graph in several parts is still a graph
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "Graph is not fully connected", UserWarning)
        warnings.filterwarnings("ignore", "The spectral clustering API has changed", UserWarning)
        warnings.filterwarnings("ignore", "Exited (at iteration|postprocessing)", UserWarning)
        model = models[clusterer]()
        return model, np.asarray(model.fit_predict(points), np.int64)


def _by_size(labels: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    return _ranks(labels, k)[labels]


def _ranks(labels: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """The new number (k,) of each cluster: by falling size, ties by first appearance."""
    sizes = np.bincount(labels, minlength=k)
    first = np.array([np.argmax(labels == j) for j in range(k)])
    rank = np.empty(k, np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(k)
    return rank
