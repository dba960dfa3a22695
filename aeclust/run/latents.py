"""Latents of a run: made when missing or stale, kept when fresh."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.neighbours import copies
from aeclust.errors import InputError, at
from aeclust.images import Images, Source, blocks, fingerprints, mean_colours
from aeclust.recipe import AUTO_K, Recipe
from aeclust.run.context import Context
from aeclust.run.encoders import run_features, sight
from aeclust.run.freshness import Request, check_checkpoint, epoch_for, stale_latents
from aeclust.run.images import (
    check_alike,
    describe_images,
    keep_images,
    kept_images,
    other_images,
    run_images,
)
from aeclust.run.manifest import Manifest
from aeclust.run.present import present_images

if TYPE_CHECKING:
    from aeclust.network.model import Autoencoder
    from aeclust.network.parallel import Team

_BLOCK = 4_096  # latents that are put together at a time


@dataclass(frozen=True)
class Made:
    """An artifact, and whether it was there already."""

    artifact: Artifact
    fresh: bool


def load_network(context: Context, manifest: Manifest, epoch: int) -> tuple[Autoencoder, str]:
    """The network after an epoch, on the context's device, and the digest of its weights.

    Raises
    ------
    InputError
        If there is no such checkpoint, or it is not of this run.
    """
    from aeclust.network.model import build, load_state

    folder = context.folder
    manifest.check_network()
    check_checkpoint(folder, epoch)
    file = folder.weights_file(epoch)
    weights = artifact.read(file, "weights")
    with at(file):
        mend = "restore the run's file, or train again with `force`"
        if Recipe.from_json(weights.recipe) != manifest.recipe:
            raise InputError(
                f"these weights are of recipe {weights.recipe.get('name')!r} or of other settings",
                expected=f"weights of this run's recipe {manifest.recipe.name!r}",
                mend=mend,
            )
        if weights.parents.get("data") != manifest.weights_digest:
            raise InputError(
                "these weights were trained on other images", expected="weights of this run",
                mend=mend,
            )  # fmt: skip
        network = build(manifest.recipe, manifest.shape[3], seed=0)
        load_state(network, weights.group("state_dict/"))
    if network.frozen:
        network.see = sight(context, manifest)
    return network.to(context.device).eval(), weights.digest


def log_unfinished(context: Context, manifest: Manifest) -> None:
    """Log that training has not come to its end, if it has not."""
    missing = context.folder.unfinished(manifest)
    if missing:
        context.log(f"warning: {missing}")


def embed(context: Context, *, checkpoint: int | None = None, force: bool = False) -> Made:
    """Latents of the run's images.

    The processes of a team share the images: all of them see the folder and decide alike, because
    nothing is written before each has embedded its part. Only the leader's result holds latents.

    Parameters
    ----------
    context : Context
    checkpoint : int, optional
        Epoch of the weights; the last, if None.
    force : bool
        Make them anew in any case.
    """
    folder, manifest = context.folder, context.folder.manifest()
    log_unfinished(context, manifest)
    if checkpoint is not None:
        manifest.check_network()
        check_checkpoint(folder, checkpoint)
    # latents are asked for by themselves, whatever number of clusters the labels have
    request = Request(recipe=manifest.recipe, seed=manifest.seed, checkpoint=checkpoint)
    if not force and folder.latents_file.exists():
        latents = artifact.read(folder.latents_file, "latents", mapped=True)
        reason = _stale(context, manifest, latents, request)
        if not reason and latents.details.get("checkpoint") != checkpoint:
            reason = "made with another --checkpoint"
        if not reason:
            present_images(context, manifest)
            return Made(latents, fresh=True)
        context.log(f"latents.h5 is out of date ({reason}): embedding the images again")
    return Made(_make(context, manifest, request, force=force), fresh=False)


def current_latents(context: Context, manifest: Manifest, request: Request) -> Artifact:
    """The latents that a request is about, made if missing or stale."""
    file = context.folder.latents_file
    if not file.exists():
        context.log("latents.h5 is missing: embedding the images first")
        return _make(context, manifest, request)
    latents = artifact.read(file, "latents", mapped=True)
    reason = _stale(context, manifest, latents, request)
    if not reason:
        present_images(context, manifest)
        return latents
    context.log(f"latents.h5 is out of date ({reason}): embedding the images again")
    return _make(context, manifest, request)


def _stale(context: Context, manifest: Manifest, latents: Artifact, request: Request) -> str:
    """Why latents are not those of a request, with the reason for the epoch; empty if they are."""
    epoch = epoch_for(context.folder, manifest, request)
    reason = stale_latents(context.folder, manifest, latents.parents, latents.details, epoch)
    if manifest.vectors:
        return reason
    back = latents.details.get("epoch") != epoch < context.folder.last_checkpoint()
    if reason and back and request.checkpoint is None:
        k = request.recipe.k
        reason = (
            f"{'-k auto needs' if k == AUTO_K else f'{k} clusters need'} the network after epoch"
            f" {epoch}, before it learnt {manifest.recipe.k} clusters"
        )
    return reason


def embed_others(
    context: Context, source: Source, output: Path | None, *, checkpoint: int | None = None
) -> Made | None:
    """Latents of other images into a file of their own; None if they are the run's images.

    Without an `output`, only those will do. The epoch is the last, if no checkpoint is given.
    """
    folder, manifest = context.folder, context.folder.manifest()
    if checkpoint is not None:
        manifest.check_network()
    images = other_images(context, manifest, source)
    digest = images.digest()
    with at(source.location):
        context.check_same(f"{digest} {checkpoint}")
        if digest == manifest.data_digest:
            return None
        if output is None:
            raise InputError(
                "these are not the images of the run",
                expected="`output` FILE for the latents of other images",
                mend="add `output`, or leave DATA out",
            )
    check_alike(images, manifest)
    describe_images(context, images, manifest.recipe)
    request = Request(recipe=manifest.recipe, seed=manifest.seed, checkpoint=checkpoint)
    epoch = checkpoint or 0
    if checkpoint is None and not manifest.vectors:
        epoch = folder.last_checkpoint()
    return Made(_write(context, manifest, images, request, epoch, output), fresh=False)


def _make(
    context: Context, manifest: Manifest, request: Request, *, force: bool = False
) -> Artifact:
    epoch = epoch_for(context.folder, manifest, request)
    present_images(context, manifest)
    images = run_images(context, manifest)
    describe_images(context, images, manifest.recipe)
    leads = context.team.leads
    with context.folder.lock() if leads else contextlib.nullcontext():
        if leads and kept_images(context, manifest) is None:
            keep_images(context, manifest, images)
        file = context.folder.latents_file
        return _write(context, manifest, images, request, epoch, file, force=force)


def _write(
    context: Context,
    manifest: Manifest,
    images: Images,
    request: Request,
    epoch: int,
    file: Path,
    *,
    force: bool = False,
) -> Artifact:
    parents = {"data": images.digest()}
    progress = partial(context.progress, "embed")
    if manifest.vectors:
        latents, blocks = describe_vectors(images, manifest, progress=progress)
    else:
        network, parents["weights"] = load_network(context, manifest, epoch)
        known = features = None
        if network.frozen and parents["data"] == manifest.data_digest:
            features = run_features(context, manifest, images)
        else:
            known = _reusable(context, manifest, parents["weights"], force=force)
        latents, blocks = describe(
            network,
            images,
            manifest,
            epoch,
            context.team,
            known=known,
            features=features,
            progress=progress,
        )
    details = {**latents.details, "checkpoint": request.checkpoint}
    latents = replace(latents, parents=parents, details=details)
    if not context.team.leads:  # the leader has the blocks of all, and writes them
        for _ in blocks:
            pass
        return latents
    artifact.write(file, latents, len(images), blocks)
    return artifact.read(file, "latents", mapped=True)


def _reusable(
    context: Context, manifest: Manifest, weights: str, *, force: bool
) -> Artifact | None:
    """Latents by the same weights of what the run had before it took in other images."""
    file = context.folder.latents_file
    if force or not file.exists():
        return None
    latents = artifact.read(file, "latents", mapped=True)
    other = latents.parents.get("data") != manifest.data_digest
    return latents if other and latents.parents.get("weights") == weights else None


def describe(
    network: Autoencoder,
    images: Images,
    manifest: Manifest,
    epoch: int,
    team: Team,
    *,
    known: Artifact | None = None,
    features: NDArray[np.float32] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Artifact, Iterator[dict[str, NDArray[Any]]]]:
    """All that latents hold of images.

    Parameters
    ----------
    network, epoch
        The network as it was after an epoch.
    images, manifest, team
        Of the run, by whose recipe and seed they are made.
    known : Artifact, optional
        Latents by this network, from which those of equal images are taken.
    features : ndarray of shape (n, d), optional
        Of the images, by the network's frozen encoder.
    progress : callable
        Takes (done, total) of the images.

    Returns
    -------
    latents : Artifact
        Without the arrays that have a row for every image.
    blocks : iterator of dict of str to ndarray
        Those arrays, of consecutive images.
    """
    from aeclust.network import inference

    recipe, pixels = manifest.recipe, images.pixels
    labelled = epoch > recipe.epochs  # before its first label, the network knows no clusters

    def parts() -> Iterator[dict[str, NDArray[Any]]]:
        done = 0
        made = inference.embed_blocks(network, pixels if features is None else features, team=team)
        for latents in made if known is None else _completed(network, images, known, team):
            rows = pixels[done : done + len(latents)]
            done += len(latents)
            block: dict[str, NDArray[Any]] = {"latents": latents}
            block |= {"fingerprints": fingerprints(rows), "colours": mean_colours(rows)}
            if labelled:
                block["assignments"] = inference.assign(network, latents)
            progress(done, len(pixels))
            yield block

    arrays: dict[str, NDArray[Any]] = {"ids": artifact.encode_ids(images.ids)}
    # views mean something to a network that learnt from views
    if (recipe.contrast or network.frozen) and team.leads:
        rows, views, clusters = inference.random_views(
            network, pixels, seed=manifest.seed, labelled=labelled
        )
        arrays |= {"view_rows": rows, "view_latents": views}
        arrays |= {} if clusters is None else {"view_clusters": clusters}
    return _artifact(manifest, arrays, epoch), parts()


def describe_vectors(
    images: Images,
    manifest: Manifest,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Artifact, Iterator[dict[str, NDArray[Any]]]]:
    """All that latents hold of vectors, which they are; as :func:`describe` gives it."""

    def parts() -> Iterator[dict[str, NDArray[Any]]]:
        done = 0
        for rows in blocks(images.pixels):
            done += len(rows)
            progress(done, len(images))
            yield {"latents": rows.astype(np.float32), "fingerprints": fingerprints(rows)}

    arrays: dict[str, NDArray[Any]] = {"ids": artifact.encode_ids(images.ids)}
    arrays |= {} if images.colours is None else {"colours": images.colours}
    return _artifact(manifest, arrays, 0), parts()


def _artifact(manifest: Manifest, arrays: dict[str, NDArray[Any]], epoch: int) -> Artifact:
    return Artifact(
        kind="latents",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.data_digest},
        details={"epoch": epoch, "run": manifest.identity, "checkpoint": None},
    )


def _completed(
    network: Autoencoder, images: Images, known: Artifact, team: Team
) -> Iterator[NDArray[Any]]:
    """Latents of images in blocks, of which only those that are not known are worked out."""
    from aeclust.network import inference

    rows = copies(images.fingerprints, known.arrays["fingerprints"])
    new = np.flatnonzero(rows < 0)
    known_latents = known.arrays["latents"]
    made = np.empty((0, known_latents.shape[1]), np.float32)
    if len(new):
        made = inference.embed(network, images.pixels[new], team=team)
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        latents = known_latents[block]  # a row of -1 takes what stands last, and is overwritten
        first = int(np.searchsorted(new, start))
        latents[block < 0] = made[first : first + int((block < 0).sum())]
        yield latents


def embed_alike(
    context: Context, manifest: Manifest, images: Images, epoch: int
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Latents (n, d) of other images, by the network that a run had after an epoch.

    And its own probabilities (n, k) of the clusters that it had learnt by then, or None.
    """
    from aeclust.network import inference

    check_alike(images, manifest)
    if manifest.vectors:
        return images.pixels.astype(np.float32), None
    network, _ = load_network(context, manifest, epoch)
    latents = inference.embed(
        network,
        images.pixels,
        progress=lambda done: context.progress("embed", done, len(images)),
    )
    labelled = epoch > manifest.recipe.epochs
    return latents, inference.assign(network, latents) if labelled else None
