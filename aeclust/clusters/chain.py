"""The whole chain: from latents to labels, and how sure they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from aeclust.clusters import Array, Callback, Floats, Ints
from aeclust.clusters.clusterers import check_count, cluster, numbers_by_size
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.consensus import Consensus, agree, information, refine
from aeclust.clusters.density import cluster_dense
from aeclust.clusters.evidence import estimate_k
from aeclust.clusters.heads import NEAR, LostClusterError, pooled, train_heads
from aeclust.clusters.hush import hushed
from aeclust.clusters.known import Known, check_classes, numbers_of_classes, with_numbers
from aeclust.clusters.mixtures import settle, temper
from aeclust.clusters.neighbours import (
    NEIGHBOURS,
    neighbour_vote,
    neighbours,
    places,
    references,
)
from aeclust.clusters.reduction import check_spread, limited, reduce
from aeclust.clusters.scores import best_names
from aeclust.clusters.steer import follow
from aeclust.errors import InputError
from aeclust.recipe import AUTO_K, HDBSCAN, Recipe

ENSEMBLES = ("consensus", "heads")
_MEMBERS = ("kmeans", "gmm", "gmm-tied", "spectral")
# The members overrule the network if they predict neighbours better, by this share at least.
_CHANCE = 0.006


@hushed()
def cluster_latents(
    latents: Array,
    recipe: Recipe,
    *,
    seed: int,
    assignments: Floats | None = None,
    views: Views | None = None,
    known: Known | None = None,
    progress: Callback = lambda step: None,
) -> Clustering:
    """Cluster latents by a recipe's reduction and clusterer.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    recipe : Recipe
    seed : int
    assignments : ndarray of shape (n, k), optional
        By the network, which learnt them from such a consensus in many views of every image. They
        replace the members' outcome, unless a cluster has no image or that is clearly better.
    views : Views, optional
        By the same network; only a consensus asks them.
    known : Known, optional
        Labels and pairs that steer: clusters that have a known class have its number, and known
        images a confidence of 1. The other clusters have the numbers behind.
    progress : callable
        Takes the name of every step that begins.

    Returns
    -------
    Clustering

    Raises
    ------
    InputError
        See :func:`aeclust.clusters.reduction.reduce` and
        :func:`aeclust.clusters.clusterers.cluster`; and if there are more known classes than
        clusters, or they contradict themselves.
    """
    if known is not None:
        _check_known(known, recipe)
    notes: list[str] = []
    points = _reduced(latents, recipe, seed, notes.append, progress)
    estimate = None
    if recipe.k == AUTO_K and recipe.clusterer != HDBSCAN:
        progress("number of clusters")
        estimate = estimate_k(points, seed=seed)
    k = recipe.k if estimate is None else estimate.k
    k = max(k, 0 if known is None else known.count)
    if recipe.clusterer in ENSEMBLES:
        result = _by_several(
            recipe.clusterer, latents, points, k, seed, assignments, views, notes.append, progress
        )
    else:
        result = _by_one(recipe, latents, points, k, seed, notes.append, progress)
    result = replace(result, substitutions=tuple(notes), estimate=estimate)
    return result if known is None else steered(result, known.closed, seed)


def _check_known(known: Known, recipe: Recipe) -> None:
    known.check()
    if recipe.clusterer == HDBSCAN:
        what, mend = "no known labels steer hdbscan", "choose another, or name its clusters"
        raise InputError(what, where="`known`", expected="another `clusterer`", mend=mend)
    check_classes(known.count, recipe.k)


def _by_several(
    clusterer: str,
    latents: Array,
    points: Floats,
    k: int,
    seed: int,
    assignments: Floats | None,
    views: Views | None,
    note: Callback,
    progress: Callback,
) -> Clustering:
    """What heads, or the members of a consensus, agree on."""
    rows = references(len(latents), seed=seed)
    if len(rows) < len(points):
        note(_sampled(len(rows), len(points)))
    if clusterer == "heads":
        agreed, probabilities = _heads(latents, points, rows, k, seed, note, progress)
        return _result(latents, points, rows, agreed, probabilities, None, views)
    members = _members(points[rows], k, seed, progress)
    progress("consensus")
    return _consensus(latents, points, rows, members, k, seed, assignments, views)


def _by_one(
    recipe: Recipe,
    latents: Array,
    points: Floats,
    k: int,
    seed: int,
    note: Callback,
    progress: Callback,
) -> Clustering:
    """What a single clusterer makes of the points."""
    progress(recipe.clusterer)
    given: dict[str, Any] = {"points": points, "latents": latents}
    given["references"] = references(len(latents), seed=seed)
    if recipe.clusterer == HDBSCAN:
        labels, strengths = cluster_dense(points, recipe.min_cluster_size, seed=seed, note=note)
        return Clustering(labels=labels, strengths=strengths, k=int(labels.max()) + 1, **given)
    labels = cluster(points, k, recipe.clusterer, seed=seed, note=note)
    return Clustering(labels=labels, k=k, **given)


def steered(result: Clustering, known: Known, seed: int) -> Clustering:
    """A clustering whose known images have their classes, and the others follow them.

    A cluster without a known image would have none at all where the others drew every one away: it
    keeps what it had.
    """
    # votes alone would be against every small cluster
    voted = (result.probabilities + np.eye(result.k, dtype=np.float32)[result.labels]) / 2
    shares = voted if result.shares is None else result.shares
    numbers = numbers_of_classes(shares, known)
    result, start = with_numbers(result, numbers), shares[:, np.argsort(numbers)]
    rows = result.references
    answer, labels = follow(result.latents, result.points, start, known, rows, seed=seed)
    for number in range(known.count, result.k):
        if not (labels == number).any():
            kept = np.flatnonzero((result.labels == number) & (known.classes < 0))
            others = answer[kept, labels[kept]]
            answer[kept, labels[kept]] = answer[kept, number]
            answer[kept, number], labels[kept] = others, number
    return replace(result, labels=labels, posteriors=answer, shares=answer, by_network=False)


def _reduced(
    latents: Array, recipe: Recipe, seed: int, note: Callback, progress: Callback
) -> Floats:
    """The points to cluster; a consensus does with fewer components than a recipe asks for."""
    steps = recipe.reduction
    if recipe.clusterer in ENSEMBLES or recipe.network in ("frozen", "none"):
        steps = limited(steps, latents.shape, note)
    points = reduce(
        latents, steps, seed=seed, perplexity=recipe.perplexity, note=note, progress=progress
    )
    check_spread(points)
    return points


def _members(points: Floats, k: int, seed: int, progress: Callback) -> dict[str, Ints]:
    """Four kinds of clusterer on all and on the first half of the dimensions.

    A clusterer that fails on these points is a collapsed member; the first must not fail.
    """
    members: dict[str, Ints] = {}
    for size in _sizes(points):
        for clusterer in _MEMBERS:
            name = f"{clusterer} in {size} dimensions"
            progress(name)
            try:
                labels = cluster(points[:, :size], k, clusterer, seed=seed, member=len(members))
            except InputError:
                if not members:
                    raise
                labels = np.zeros(len(points), np.int64)
            members[name] = labels
    return members


def _sampled(some: int, n: int) -> str:
    """What is done where there are too many images to cluster all of them together."""
    return f"{some:,} random images decide the clusters; the other {n - some:,} follow them"


def _sizes(points: Floats) -> list[int]:
    """All dimensions, and the first half of them."""
    whole = points.shape[1]
    return sorted({whole, min(whole, max(2, whole // 2))}, reverse=True)


def _consensus(
    latents: Array,
    points: Floats,
    rows: Ints,
    members: dict[str, Ints],
    k: int,
    seed: int,
    assignments: Floats | None,
    views: Views | None,
) -> Clustering:
    """The consensus of members that clustered the references, extended to all points."""
    near = neighbours(points[rows])
    agreed = agree(members, near, k, seed=seed)
    if assignments is not None and not _stands(assignments[rows], agreed.labels, near, k, seed):
        assignments = None
    start = np.eye(k)[agreed.labels] if assignments is None else assignments[rows]
    probabilities = _extended(points, rows, start)
    agreed = agreed.led(probabilities[rows].argmax(1), k)
    return _result(latents, points, rows, agreed, probabilities, assignments, views)


def _heads(
    latents: Array,
    points: Floats,
    rows: Ints,
    k: int,
    seed: int,
    note: Callback,
    progress: Callback,
) -> tuple[Consensus, Floats]:
    """What heads on the latents agree on, and their probabilities (n, k).

    They learn from neighbours among the points. Where all of them lose a cluster, as they may
    where there are few images for each, the members of a consensus decide.
    """
    check_count(len(rows), k)
    # of few images, so many neighbours would be most of them of other clusters
    near = neighbours(points[rows], count=min(NEAR, max(1, len(rows) // (2 * k))))
    progress("heads")
    try:
        return pooled(train_heads(latents[rows], near, k, seed=seed), latents, rows, near, k)
    except LostClusterError:
        note(f"heads found fewer than {k} clusters: a consensus of other methods decides")
        members = _members(points[rows], k, seed, progress)
        agreed = agree(members, near, k, seed=seed)
        probabilities = _extended(points, rows, np.eye(k)[agreed.labels])
        return agreed.led(probabilities[rows].argmax(1), k), probabilities


def _result(
    latents: Array,
    points: Floats,
    rows: Ints,
    agreed: Consensus,
    probabilities: Floats,
    assignments: Floats | None,
    views: Views | None,
) -> Clustering:
    """Clusters by their probabilities (n, k), in order of size, and how far to trust them."""
    labels, k = probabilities.argmax(1), probabilities.shape[1]
    numbers = numbers_by_size(labels, k)
    labels, probabilities = numbers[labels], probabilities[:, np.argsort(numbers)]
    seen = None
    if views is not None:
        seen = _view_agreement(views, latents, labels, rows, k, assignments)
    trust = agreed.agreement * (1.0 if seen is None else seen)
    return Clustering(
        labels=labels,
        points=points,
        references=rows,
        latents=latents,
        k=k,
        posteriors=probabilities,
        shares=temper(probabilities, max(trust, 1 / k)),
        agreement=agreed.agreement,
        members=agreed.members,
        by_network=assignments is not None,
        view_agreement=seen,
    )


def _stands(assignments: Array, rivals: Ints, near: Ints, k: int, seed: int) -> bool:
    """Whether the network's clusters (r, m) stand against the members' outcome (r,).

    They do if all k of them are in use and, refined as the members are, they have as much
    information about neighbours, but for a little that is chance.
    """
    labels = assignments.argmax(1)
    if assignments.shape[1] != k or len(np.unique(labels)) < k:
        return False
    known = information(refine(labels, near, k, seed=seed), near, k)
    return information(rivals, near, k) <= known * (1 + _CHANCE)


def _extended(points: Floats, rows: Ints, start: Array) -> Floats:
    """Probabilities (n, k) of the clusters of all points, from those (r, k) of the references.

    By mixtures or, where these lose a cluster, by the references' vote.
    """
    probabilities = settle(points, rows, start, _sizes(points))
    if probabilities is None:
        sure, k = np.asarray(start, np.float32), start.shape[1]
        _, probabilities = neighbour_vote(points, points[rows], sure.argmax(1), k, shares=sure)
        probabilities[rows] = sure
    return probabilities


def _view_agreement(
    views: Views, latents: Array, labels: Ints, rows: Ints, k: int, assignments: Array | None
) -> float | None:
    """Share of the views that are put where their images' labels are; None if unknown.

    The network itself puts them there if the labels are the clusters that it learnt. If not, the
    references nearest to a view vote. The view's own image has no vote, and no more references
    vote than its cluster has others; views of images alone in their clusters are not counted.
    """
    truth = labels[views.rows]
    if assignments is not None and views.clusters is not None:
        seen = best_names(assignments.argmax(1), labels, k)[views.clusters]
    elif views.latents is not None:
        itself = places(len(latents), rows)[views.rows]
        others = np.bincount(labels[rows], minlength=k)[truth] - (itself >= 0)
        voters = np.minimum(others, NEIGHBOURS)
        seen = np.full(len(truth), -1)
        base = latents[rows]
        for count in np.unique(voters[voters > 0]).tolist():
            asked = voters == count
            seen[asked], _ = neighbour_vote(
                views.latents[asked], base, labels[rows], k, exclude=itself[asked], count=count
            )
        seen, truth = seen[voters > 0], truth[voters > 0]
    else:
        return None
    return float((seen == truth).mean()) if len(truth) else None
