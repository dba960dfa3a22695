"""Labels of a run's images: made when missing or stale, kept when fresh."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clusterers import check_count
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.doubts import doubts
from aeclust.clusters.evidence import EstimatedK
from aeclust.clusters.known import check_classes, numbers_around, with_numbers, without_empty
from aeclust.clusters.numbers import in_use, outlier_count, renumbered
from aeclust.clusters.scores import best_names
from aeclust.errors import InputError, at, listed
from aeclust.recipe import AUTO_K, HDBSCAN, Recipe
from aeclust.run.context import Context
from aeclust.run.edits.applied import carry_edits, corrected
from aeclust.run.edits.file import read_edits
from aeclust.run.edits.kinds import corrected_by
from aeclust.run.freshness import Request, last_request, log_dropped, recipe_of, stale_labels
from aeclust.run.images import common_rows
from aeclust.run.kept_names import going_on, keep_names
from aeclust.run.known import Steering
from aeclust.run.latents import Made, current_latents, log_unfinished
from aeclust.run.manifest import Manifest
from aeclust.run.present import present_images
from aeclust.run.steering import (
    carried,
    in_words,
    lost_in_words,
    read_steering,
    steered_by,
)

_NEARLY = 0.95  # of the highest score: a number of clusters that is nearly as likely


def cluster(
    context: Context,
    *,
    overrides: Mapping[str, object] | None = None,
    known: Sequence[str] = (),
    seed: int | None = None,
    force: bool = False,
) -> Made:
    """Labels of the run's images.

    Parameters
    ----------
    context : Context
    overrides : mapping, optional
        Recipe fields other than the run's: k, reduction, clusterer, perplexity, min_cluster_size.
    known : sequence of str
        Files of known labels that steer, see :func:`aeclust.images.known.read_known`.
    seed : int, optional
        The run's, if None.
    force : bool
        Make them anew in any case.
    """
    manifest = context.folder.manifest()
    log_unfinished(context, manifest)
    recipe = manifest.recipe.override(overrides or {})
    log_unused_k(context, recipe, (overrides or {}).get("k"))
    steering = None
    if known:
        steering = read_steering(context, manifest, known, recipe.k)
    elif manifest.steering is not None:  # which the network learnt from
        steering = _learnt_from(context, manifest, force=force)
    if steering is not None:  # before any work
        check_classes(len({number for _, number in steering.labels}), recipe.k)
    request = replace(
        last_request(context.folder, manifest, by_labels=not force),
        recipe=recipe,
        seed=manifest.seed if seed is None else seed,
        steering=steering,
    )
    log_dropped(context, manifest, request, {**(overrides or {}), "seed": seed})
    made = _labels(context, manifest, request, force=force)
    log_epoch(context, made.artifact)
    if made.fresh:
        artifact.read(context.folder.latents_file, "latents", mapped=True)  # are they whole?
        for doubt in made.artifact.details.get("warnings", []):
            context.log(f"warning: {doubt}")
    labels = corrected(context, made.artifact)
    if not made.fresh and (by := corrected_by(labels)):
        lists = context.folder.command("edit list")
        context.log(f"the new clusters are {by}; {lists} lists the edits")
    return Made(labels, fresh=made.fresh)


def _learnt_from(context: Context, manifest: Manifest, *, force: bool) -> Steering | None:
    """The known labels of a training, of the images as they are by now."""
    try:
        return last_request(context.folder, manifest).steering
    except InputError:
        if not force:  # which replaces labels that are damaged
            raise
        return last_request(context.folder, manifest, by_labels=False).steering


def current_labels(
    context: Context, manifest: Manifest, *, look: bool = True, edited: bool = True
) -> Artifact:
    """The labels as last asked for, made if missing or stale, with the edits of the run.

    Without `look` fresh ones are taken whatever has become of the run's images. Unless `edited`
    they are those of ``labels.h5``, whose digest they have in any case.
    """
    log_unfinished(context, manifest)
    if not context.folder.labels_file.exists():
        context.log("labels.h5 is missing: clustering first")
    request = last_request(context.folder, manifest)
    labels = _labels(context, manifest, request, look=look).artifact
    return corrected(context, labels) if edited else labels


def _labels(
    context: Context,
    manifest: Manifest,
    request: Request,
    *,
    force: bool = False,
    look: bool = True,
) -> Made:
    """The labels that are asked for, made if missing, stale or forced."""
    folder, file = context.folder, context.folder.labels_file
    labels = artifact.read(file, "labels") if file.exists() and not force else None
    if labels is not None and not stale_labels(folder, manifest, labels, request):
        if look:
            present_images(context, manifest)
        return Made(labels, fresh=True)
    with at(folder.latents_file):
        # before latents are made for it
        check_count(manifest.shape[0], request.recipe.k)
    latents = current_latents(context, manifest, request)
    if labels is not None:
        # latents that were lost may have come back the same
        reason = stale_labels(folder, manifest, labels, request)
        if not reason:
            return Made(labels, fresh=True)
        if labels.details.get("run") in manifest.former:
            reason = "the network was trained further since"
        context.log(f"labels.h5 is out of date ({reason}): clustering again")
    if request.steering is not None:
        there = carried(request.steering, labels, latents)
        if there is not None and (gone := lost_in_words(request.steering, there)):
            context.log(gone)
        request = replace(request, steering=there)
    if request.steering is None and file.exists():
        _log_unsteered(context)
    former = labels if labels is not None and _grown(manifest, labels) else None
    read_edits(folder)  # damaged ones are an error now
    with folder.lock(), at(folder.latents_file):  # from the start: minutes of work are not lost
        labels = labels_of(latents, request, log=context.log, progress=context.step)
        context.progress("clustering", 1, 1)
        heirs: dict[int, int] = {}
        if former is not None:
            labels, heirs = numbered_as(former, labels)
            lost = len(cluster_numbers(former)) - len(heirs)
            if lost:
                are = "clusters are" if lost > 1 else "cluster is"
                context.log(f"{lost} former {are} gone; the others keep their names")
        before = former
        if former is None and request.steering is not None:
            before = _replaced(file, labels)
            heirs = {} if before is None else going_on(before, labels)
        labels = labels.with_digest(artifact.write(file, labels))
        if before is not None:
            heirs |= carry_edits(folder, before, labels)
        keep_names(context, before, labels, heirs, grown=former is not None)
        return Made(labels, fresh=False)


def _replaced(file: Path, labels: Artifact) -> Artifact | None:
    """What others take the place of, if they are of the same images and it is whole."""
    with suppress(InputError):  # what is damaged is replaced by force
        before = artifact.read(file, "labels") if file.exists() else None
        if before is not None and before.parents["data"] == labels.parents["data"]:
            return before
    return None


def _log_unsteered(context: Context) -> None:
    """Log of labels that will be replaced that known labels steered them."""
    with suppress(InputError):  # what is damaged is replaced by force
        if former := steered_by(artifact.read(context.folder.labels_file, "labels")):
            again = context.folder.command("cluster --known FILE")
            context.log(f"the former clusters were {former}, these are not: use {again}")


def _grown(manifest: Manifest, labels: Artifact) -> bool:
    """Whether labels are of other images, or of a run that this one has learnt on from."""
    run, data = labels.details.get("run"), labels.parents.get("data")
    if run in manifest.former:
        return True
    # while a run learns on, its labels are of whatever it has come to
    return run == manifest.identity and (data != manifest.data_digest or bool(manifest.former))


def numbered_as(former: Artifact, labels: Artifact) -> tuple[Artifact, dict[int, int]]:
    """Labels whose clusters have the numbers of former ones, as far as their images are the same.

    Returns
    -------
    labels : Artifact
        With the numbers of before, if there are as many clusters; else in that order.
    heirs : dict of int to int
        The cluster that each former cluster has become, by the best one-to-one matching of the
        images that both have.
    """
    old, new = common_rows(former, labels)
    was, values = former.arrays["labels"][old], labels.arrays["labels"]
    counts = cluster_count(former), cluster_count(labels)
    both = (was >= 0) & (values[new] >= 0)  # in a cluster then and now
    was, now = was[both], values[new][both]
    known = labels.arrays.get("known", np.empty(0, np.int64))
    fixed = np.repeat(np.unique(known[known >= 0]), len(values) + 1)  # outnumber all images
    most = max(counts)
    number = best_names(np.append(now, fixed), np.append(was, fixed), most)
    shared = set(zip(was.tolist(), now.tolist(), strict=True))
    heirs = {int(number[j]): j for j in range(counts[1]) if (int(number[j]), j) in shared}
    if counts[0] != counts[1] and len(fixed):  # a known label's cluster keeps its number
        kept = {j: int(number[j]) for j in range(counts[1]) if number[j] < counts[1]}
        number = numbers_around(kept, counts[1])
        heirs = {old: int(number[j]) for old, j in heirs.items()}
    elif counts[0] != counts[1]:  # in the order of before, and what is new behind
        order = [*(heirs[old] for old in sorted(heirs)), *range(counts[1])]
        number = np.empty(counts[1], np.int64)
        number[[*dict.fromkeys(order)]] = np.arange(counts[1])
        heirs = {old: int(number[j]) for old, j in heirs.items()}
    arrays = {**labels.arrays, "labels": renumbered(values, number)}
    if "shares" in arrays:  # a number that no cluster has may be the last one now
        columns = np.argsort(number)[: arrays["labels"].max() + 1]
        arrays["shares"] = np.ascontiguousarray(arrays["shares"][:, columns])
    if counts[0] != counts[1]:
        return replace(labels, arrays=arrays), heirs
    # names for the former numbers hold for these, even if the process dies before they are copied
    details = {**labels.details, "former": former.digest}
    return replace(labels, arrays=arrays, details=details), {each: each for each in heirs}


def log_unused_k(context: Context, recipe: Recipe, stated: object) -> None:
    """Log that the number of clusters that somebody stated decides nothing."""
    if recipe.clusterer == HDBSCAN and stated not in (None, "auto"):
        context.log("-k is not used: hdbscan finds its own number of clusters")


def log_epoch(context: Context, labels: Artifact) -> None:
    """Log of labels that they are of an earlier checkpoint, which somebody asked for."""
    epoch = int(labels.details["epoch"])
    if labels.details.get("checkpoint") is not None and epoch != context.folder.last_checkpoint():
        context.log(
            f"the labels come from the network after epoch {epoch}, as embed --checkpoint asked;"
            f" {context.folder.command('embed')} goes back to the last epoch"
        )


def cluster_count(labels: Artifact) -> int:
    """The largest number of a cluster in labels, and one: what shares have columns for."""
    return int(labels.arrays["labels"].max()) + 1


def cluster_numbers(labels: Artifact) -> list[int]:
    """The numbers of the clusters that have an image, ascending.

    After edits there may be gaps between them. Outliers, labelled -1, are in no cluster.
    """
    return in_use(labels.arrays["labels"])


def labels_of(
    latents: Artifact,
    request: Request,
    *,
    log: Callable[[str], None] = lambda line: None,
    progress: Callable[[str], None] = lambda step: None,
) -> Artifact:
    """Labels of latents by a recipe's chain, not yet written anywhere.

    `log` takes one line for the user, `progress` what is done next. Beside errors of
    :func:`aeclust.clusters.chain.cluster_latents`, too few different images are one.
    """
    arrays, recipe = latents.arrays, request.recipe
    # latents of equal images may differ by what rounding does in a batch
    different = len(np.unique(arrays["fingerprints"]))
    check_count(len(arrays["ids"]), recipe.k, different, "images")
    steering, n = request.steering, len(arrays["latents"])
    into = f" into {recipe.k} clusters"
    if recipe.k == AUTO_K:
        finder = "hdbscan" if recipe.clusterer == HDBSCAN else "-k auto"
        into = f"; {finder} finds how many clusters there are"
    by = "" if steering is None else f", {in_words(steering.details)}"
    log(f"clustering {n:,} images{into}{by}")
    known, numbers = (None, None) if steering is None else steering.known(n)
    result = cluster_latents(
        arrays["latents"],
        recipe,
        seed=request.seed,
        assignments=arrays.get("assignments"),
        views=_views(latents),
        known=known,
        progress=progress,
    )
    if numbers is not None:
        wanted = dict(enumerate(numbers.tolist()))
        result = without_empty(with_numbers(result, numbers_around(wanted, result.k)))
    if result.shares is None:
        progress("confidence")
    warnings = doubts(result, arrays.get("colours"), seed=request.seed)
    for line in _remarks(result, latents, warnings):
        log(line)
    return Artifact(
        kind="labels",
        arrays={
            "ids": arrays["ids"],
            "fingerprints": arrays["fingerprints"],
            **_arrays(result, recipe),
            **({} if steering is None else steering.arrays(n)),
        },
        recipe=recipe.to_json(),
        seed=request.seed,
        parents={**latents.parents, "latents": latents.digest},
        details={
            **latents.details,
            "k": result.k,
            "agreement": result.agreement,
            "view_agreement": result.view_agreement,
            **({"by_network": True} if result.by_network else {}),
            "members": {member.name: member.agreement for member in result.members},
            "warnings": warnings,
            **({"substitutions": list(result.substitutions)} if result.substitutions else {}),
            **_kept(result.estimate),
            **({} if steering is None else {"known": steering.details}),
        },
    )


def _views(latents: Artifact) -> Views | None:
    rows = latents.arrays.get("view_rows")
    if rows is None:
        return None
    return Views(rows, latents.arrays["view_latents"], latents.arrays.get("view_clusters"))


def _arrays(result: Clustering, recipe: Recipe) -> dict[str, NDArray[Any]]:
    """What labels hold beside the ids."""
    arrays: dict[str, NDArray[Any]] = {
        "labels": result.labels,
        "confidence": result.confidence,
        "references": result.references,
    }
    if result.shares is not None:
        arrays["shares"] = result.shares
    if recipe.reduction and result.points.shape[1] == 2:  # clustered in a picture already
        arrays["embedding"] = result.points
    return arrays


def _kept(estimate: EstimatedK | None) -> dict[str, Any]:
    """What labels keep of an estimate of the number of clusters."""
    return {} if estimate is None else {"estimated": estimate.k, "tried": estimate.rows()}


def _remarks(result: Clustering, latents: Artifact, warnings: list[str]) -> list[str]:
    """Lines for the user: the estimate, what stood in for something else, doubts."""
    lines = [*result.substitutions, *(f"warning: {doubt}" for doubt in warnings)]
    if result.strengths is not None:
        n, outside = len(result.labels), outlier_count(result.labels)
        return [f"found {result.k} clusters; {outside:,} of {n:,} images are in none", *lines]
    if result.estimate is None:
        return lines
    k, tried, other = result.estimate.k, result.estimate.tried, "choose another number with -k"
    if result.k > k:
        estimated = f"estimated {k} clusters; known labels are of more kinds: {result.k} clusters"
        return [f"{estimated}; {other}", *lines]
    recipe, epoch = recipe_of(latents), latents.details["epoch"]
    learnt = recipe.k == k and epoch == recipe.epochs < recipe.total_epochs
    if len(tried) < 2:
        estimate = f"{k} clusters, because the images are too few to estimate it; {other}"
    elif k == max(tried):
        estimate = (
            f"estimated {k} clusters, the most that were tried, so there may be more; {other}"
        )
    elif learnt:
        estimate = f"estimated {k} clusters; the network learnt {k} in training, too: use -k {k}"
    else:
        near = [j for j in tried if j != k and tried[j].score >= _NEARLY * tried[k].score > 0]
        nearly = f" (nearly as likely: {listed(near)})" if near else ""
        estimate = f"estimated {k} clusters{nearly}; {other}"
    return [estimate, *lines]
