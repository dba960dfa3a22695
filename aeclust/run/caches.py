"""Latents and labels of a run: made when missing or stale, kept when fresh.

An artifact remembers the request it was made for. The command that owns it compares that request
with the one at hand; a later command takes it as it stands, as long as its ancestry is current.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.clusters import scores as metrics
from aeclust.clusters.chain import Views, cluster_latents
from aeclust.clusters.clusterers import check_count
from aeclust.clusters.doubts import doubts
from aeclust.clusters.indicators import EstimatedK
from aeclust.clusters.neighbours import copies, viewed
from aeclust.clusters.neighbours import label_others as vote_on_others
from aeclust.errors import InputError, at
from aeclust.images import Images, Source, blocks, fingerprints, listing, load, mean_colours
from aeclust.images import truth as labels
from aeclust.recipe import AUTO_K, Recipe
from aeclust.run.context import Context, check_agreement, tell_about
from aeclust.run.folder import Manifest, RunFolder

if TYPE_CHECKING:
    from aeclust.network.model import Autoencoder
    from aeclust.network.parallel import Team

LAST = "last"
FIRST_PHASE = "end of the first phase"


@dataclass(frozen=True)
class Made:
    """An artifact, and whether it had to be made."""

    artifact: Artifact
    fresh: bool


# -- weights -----------------------------------------------------------------------------------


def load_network(context: Context, manifest: Manifest, epoch: int) -> tuple[Autoencoder, str]:
    """The network after an epoch, on the context's device, and the digest of its weights.

    Raises
    ------
    InputError
        If there is no such checkpoint, or it is not of this run.
    """
    from aeclust.network.model import build, load_state

    folder = context.folder
    if epoch not in folder.checkpoints():
        raise no_checkpoint(folder, epoch)
    file = folder.weights_file(epoch)
    artifact = artifacts.read(file, "weights")
    if Recipe.from_json(artifact.recipe, where=str(file)) != manifest.recipe:
        raise InputError(
            f"these weights are of recipe {artifact.recipe.get('name')!r} or of other settings",
            where=str(file),
            expected=f"weights of this run's recipe {manifest.recipe.name!r}",
            mend="restore the run's own file, or train again with --force",
        )
    if artifact.parents.get("data") != manifest.data_digest:
        raise InputError(
            "these weights were trained on other images",
            where=str(file),
            expected="weights of this run",
            mend="restore the run's own file, or train again with --force",
        )
    network = build(manifest.recipe, manifest.shape[3], seed=0)
    load_state(network, artifact.group("state_dict/"), where=str(file))
    return network.to(context.device).eval(), artifact.digest


def tell_unfinished(context: Context, manifest: Manifest) -> None:
    """Say that training has not come to its end, if it has not."""
    missing = context.folder.unfinished(manifest)
    if missing:
        context.say(f"warning: {missing}")


def last_checkpoint(folder: RunFolder) -> int:
    """The epoch of the newest weights."""
    epochs = folder.checkpoints()
    if not epochs:
        raise InputError(
            "the run has no checkpoint",
            where=str(folder.path),
            expected="a finished or interrupted training",
            mend=f"run {folder.command('train --resume')}",
        )
    return epochs[-1]


def no_checkpoint(folder: RunFolder, epoch: int) -> InputError:
    """What to raise where a checkpoint is asked for that is not there."""
    return InputError(
        f"there is no checkpoint of epoch {epoch}",
        where=str(folder.path),
        expected=f"one of {', '.join(map(str, folder.checkpoints())) or 'none at all'}",
        mend="choose one of these with --checkpoint",
    )


def load_images(context: Context, source: Source) -> Images:
    """Images from anywhere; those of a folder as a command of this run decoded them before.

    They are taken from the run's ``images.h5`` as long as the folder lists the same files.
    """
    file, listed = context.folder.images_file, listing(source)
    if listed and file.exists():
        artifact = artifacts.read(file, "images", mapped=True)
        if artifact.details.get("listing") == listed:
            ids, skipped = (
                artifacts.decode_ids(artifact.arrays.get(name, np.array([], "S1")))
                for name in ("ids", "skipped")
            )
            return Images(artifact.arrays["pixels"], ids, source, tuple(skipped.tolist()))
    return load(source, progress=partial(context.progress, "reading images"))


def other_images(context: Context, manifest: Manifest, source: Source) -> Images:
    """Images from anywhere, as :func:`sized` says."""
    return load_images(context, sized(manifest, source))


def sized(manifest: Manifest, source: Source) -> Source:
    """A folder's images are resized as the run's were, if no size is stated."""
    if source.size is None and os.path.isdir(source.location):
        return dataclasses.replace(source, size=manifest.source.size)
    return source


def keep_images(context: Context, manifest: Manifest, images: Images) -> None:
    """Keep the run's images if they were decoded just now; only for who locks the folder."""
    if not images.listing:
        return
    arrays = {"ids": artifacts.encode_ids(images.ids)}
    if images.skipped:
        arrays["skipped"] = artifacts.encode_ids(np.array(images.skipped))
    artifact = Artifact(
        kind="images",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.data_digest},
        details={"listing": images.listing},
    )
    parts = ({"pixels": block} for block in blocks(images.pixels))
    artifacts.write_blocks(context.folder.images_file, artifact, len(images), parts)


def run_images(context: Context, manifest: Manifest) -> Images:
    """The run's own images; InputError if they are not the ones it was trained on."""
    images = load_images(context, manifest.source)
    if images.listing and context.folder.images_file.exists():
        context.say(f"{manifest.source.location} has changed: its images are decoded anew")
    if images.digest() != manifest.data_digest:
        raise InputError(
            "the images have changed since training",
            where=manifest.source.location,
            expected="the images that the run was trained on",
            mend="restore them, or train again with --force",
        )
    return images


def check_data(context: Context, manifest: Manifest) -> None:
    """Notice that the run's images changed; that they are gone matters only to what needs them."""
    location = manifest.source.location
    if location.startswith("demo:"):
        return
    if os.path.exists(location.partition("::")[0]):
        run_images(context, manifest)
    else:
        context.say(f"{location} is gone; what was made from it is used as it stands")


def check_channels(images: Images, manifest: Manifest) -> None:
    """Other images must have the colours that the network was built for."""
    have, want = images.pixels.shape[3], manifest.shape[3]
    if have != want:
        words = {1: "grey", 3: "RGB"}
        raise InputError(
            f"the images are {words[have]} and the weights take {words[want]}",
            where=images.source.location,
            expected=f"{want} channels",
            mend="convert them",
        )


# -- embed -------------------------------------------------------------------------------------


def embed(context: Context, *, checkpoint: int | None = None, force: bool = False) -> Made:
    """Latents of the run's images after `checkpoint` epochs (the last kept, if None).

    The processes of a team share the images: all of them see the folder and decide alike, because
    nothing is written before each has embedded its part. Only the leader's result holds latents.
    """
    manifest = context.folder.manifest()
    tell_unfinished(context, manifest)
    wanted = LAST if checkpoint is None else checkpoint
    if not force and context.folder.latents_file.exists():
        artifact = artifacts.read(context.folder.latents_file, "latents", mapped=True)
        reason = stale_latents(context.folder, manifest, artifact.parents, artifact.details)
        if artifact.details.get("checkpoint") != wanted:
            reason = f"they are of checkpoint {artifact.details.get('checkpoint')}"
        if not reason:
            check_data(context, manifest)
            return Made(artifact, fresh=True)
        context.say(f"latents are made anew: {reason}")
    return _make_latents(context, manifest, wanted)


def current_latents(
    context: Context, manifest: Manifest, wish: Mapping[str, object] | None = None
) -> Artifact:
    """The latents as last asked for, made if missing or stale.

    `wish` is the `details` of labels that were made from latents now missing.
    """
    folder = context.folder
    if not folder.latents_file.exists():
        context.say("latents are missing: embedding first")
        return _make_latents(context, manifest, _checkpoint(folder, manifest, wish or {})).artifact
    artifact = artifacts.read(folder.latents_file, "latents", mapped=True)
    reason = stale_latents(folder, manifest, artifact.parents, artifact.details)
    if not reason:
        check_data(context, manifest)
        return artifact
    context.say(f"latents are made anew: {reason}")
    wanted = _checkpoint(folder, manifest, artifact.details)
    return _make_latents(context, manifest, wanted).artifact


def _checkpoint(folder: RunFolder, manifest: Manifest, details: Mapping[str, object]) -> int | str:
    """The checkpoint that `details` asked for, if they are of this run and it is still there."""
    wanted = details.get("checkpoint")
    if details.get("run") != manifest.identity:
        return LAST
    if wanted == FIRST_PHASE and manifest.recipe.epochs in folder.checkpoints():
        return FIRST_PHASE
    return int(str(wanted)) if wanted in folder.checkpoints() else LAST


def _epoch(folder: RunFolder, manifest: Manifest, wanted: int | str) -> int:
    """The epoch that a request for a checkpoint means at present."""
    if wanted == FIRST_PHASE:
        return manifest.recipe.epochs
    return last_checkpoint(folder) if isinstance(wanted, str) else wanted


def stale_latents(
    folder: RunFolder,
    manifest: Manifest,
    parents: Mapping[str, str],
    details: Mapping[str, object],
) -> str:
    """Why latents with this ancestry are stale, or an empty text."""
    if parents.get("data") != manifest.data_digest:
        return "they are of other images"
    epoch = details.get("epoch")
    if not isinstance(epoch, int) or epoch not in folder.checkpoints():
        return "their checkpoint is gone"
    if details.get("checkpoint") == LAST and epoch != last_checkpoint(folder):
        return "there is a later checkpoint"
    if artifacts.claimed_digest(folder.weights_file(epoch)) != parents.get("weights"):
        return "the weights have changed"
    return ""


def embed_others(
    context: Context, source: Source, output: Path | None, *, checkpoint: int | None = None
) -> Made | None:
    """Latents of other images into a file of their own; None if they are the run's own images."""
    manifest = context.folder.manifest()
    images = other_images(context, manifest, source)
    digest = images.digest()
    check_agreement(context, f"{digest} {checkpoint}", source.location)
    if digest == manifest.data_digest:
        return None
    if output is None:
        raise InputError(
            "these are not the images of the run",
            where=source.location,
            expected="-o FILE for the latents of other images",
            mend="add -o, or leave DATA out",
        )
    check_channels(images, manifest)
    tell_about(context, images, manifest.recipe)
    return _embed_into(
        context, manifest, images, LAST if checkpoint is None else checkpoint, output
    )


def _make_latents(context: Context, manifest: Manifest, wanted: int | str) -> Made:
    images = run_images(context, manifest)
    tell_about(context, images, manifest.recipe)
    with context.folder.lock() if context.team.leads else contextlib.nullcontext():
        if context.team.leads:
            keep_images(context, manifest, images)
        return _embed_into(context, manifest, images, wanted, context.folder.latents_file)


def _embed_into(
    context: Context, manifest: Manifest, images: Images, wanted: int | str, file: Path
) -> Made:
    epoch = _epoch(context.folder, manifest, wanted)
    network, digest = load_network(context, manifest, epoch)
    artifact = Artifact(
        kind="latents",
        arrays={
            "ids": artifacts.encode_ids(images.ids),
            **(
                seen_again(network, images.pixels, manifest.recipe, epoch, seed=manifest.seed)
                if context.team.leads
                else {}
            ),
        },
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": images.digest(), "weights": digest},
        details={"checkpoint": wanted, "epoch": epoch, "run": manifest.identity},
    )
    progress = partial(context.progress, "embed")
    parts = latent_blocks(
        network, images.pixels, manifest.recipe, epoch, context.team, progress=progress
    )
    if not context.team.leads:  # the leader has the blocks of all, and writes them
        for _ in parts:
            pass
        return Made(artifact, fresh=False)
    artifacts.write_blocks(file, artifact, len(images), parts)
    return Made(artifacts.read(file, "latents", mapped=True), fresh=False)


def seen_again(
    network: Autoencoder, pixels: NDArray[Any], recipe: Recipe, epoch: int, *, seed: int
) -> dict[str, NDArray[Any]]:
    """What latents keep of a random view of some images; nothing, where none was learnt from."""
    from aeclust.network import inference

    if not recipe.contrast:
        return {}
    _, views, clusters = inference.look_again(
        network,
        pixels,
        image_size=recipe.image_size,
        device=next(network.parameters()).device,
        seed=seed,
        labelled=epoch > recipe.epochs,
    )
    return {"view_latents": views} | ({} if clusters is None else {"view_clusters": clusters})


def latent_blocks(
    network: Autoencoder,
    pixels: NDArray[Any],
    recipe: Recipe,
    epoch: int,
    team: Team,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Iterator[dict[str, NDArray[Any]]]:
    """What an artifact of latents says of consecutive images; no more than a block in memory."""
    from aeclust.network import inference

    done = 0
    for latents in inference.embed_blocks(
        network, pixels, image_size=recipe.image_size, device=team.device, team=team
    ):
        images = pixels[done : done + len(latents)]
        done += len(latents)
        block: dict[str, NDArray[Any]] = {
            "latents": latents,
            "fingerprints": fingerprints(images),
            "colours": mean_colours(images),
        }
        if epoch > recipe.epochs:  # before the first label, the network knows no clusters
            block["assignments"] = inference.assign(network, latents, device=team.device)
        progress(done, len(pixels))
        yield block


# -- cluster -----------------------------------------------------------------------------------


def cluster(
    context: Context,
    *,
    overrides: Mapping[str, object] | None = None,
    seed: int | None = None,
    force: bool = False,
) -> Made:
    """Labels of the run's images.

    Parameters
    ----------
    context : Context
    overrides : mapping, optional
        Recipe fields other than the run's: k, reduction, clusterer, perplexity.
    seed : int, optional
        The run's, if None.
    force : bool
        Make them anew in any case.
    """
    file = context.folder.labels_file
    manifest = context.folder.manifest()
    tell_unfinished(context, manifest)
    recipe = manifest.recipe.override(overrides or {}, where="cluster")
    seed = manifest.seed if seed is None else seed
    # before the latents of another phase replace those that are there
    with at(context.folder.latents_file):
        check_count(manifest.shape[0], recipe.k)
    latents = _latents_for(context, manifest, recipe)
    if not force and file.exists():
        artifact = artifacts.read(file, "labels")
        reason = stale_labels(latents.digest, artifact.parents)
        if (Recipe.from_json(artifact.recipe, where=str(file)), artifact.seed) != (recipe, seed):
            reason = "they were asked for with other flags"
        if not reason:
            tell_epoch(context, artifact)
            for doubt in artifact.details.get("warnings", []):
                context.say(f"warning: {doubt}")
            return Made(artifact, fresh=True)
        context.say(f"labels are made anew: {reason}")
    made = _make_labels(context, latents, recipe, seed)
    tell_epoch(context, made.artifact)
    return made


def current_labels(context: Context, manifest: Manifest) -> Artifact:
    """The labels as last asked for, made if missing or stale."""
    tell_unfinished(context, manifest)
    file = context.folder.labels_file
    if not file.exists():
        latents = _latents_for(context, manifest, manifest.recipe)
        context.say("labels are missing: clustering first")
        return _make_labels(context, latents, manifest.recipe, manifest.seed).artifact
    artifact = artifacts.read(file, "labels")
    reason = stale_ancestry(context.folder, manifest, artifact)
    if not reason:
        check_data(context, manifest)
        return artifact
    recipe, seed = manifest.recipe, manifest.seed
    if artifact.details.get("run") == manifest.identity:
        recipe, seed = Recipe.from_json(artifact.recipe, where=str(file)), artifact.seed
    latents = _latents_for(context, manifest, recipe, artifact.details)
    if not stale_labels(latents.digest, artifact.parents):
        return artifact  # the latents had been lost and came back the same
    context.say(f"labels are made anew: {reason}")
    return _make_labels(context, latents, recipe, seed).artifact


def tell_epoch(context: Context, labelled: Artifact) -> None:
    """Say of labels that they are of an earlier checkpoint, which somebody asked for."""
    asked = isinstance(labelled.details.get("checkpoint"), int)
    if asked and epoch_of(labelled) != last_checkpoint(context.folder):
        context.say(
            f"labels are of epoch {epoch_of(labelled)}, which embed --checkpoint asked for;"
            f" {context.folder.command('embed')} goes back to the last"
        )


def _latents_for(
    context: Context,
    manifest: Manifest,
    recipe: Recipe,
    wish: Mapping[str, object] | None = None,
) -> Artifact:
    """Latents that suit a recipe's k: those after self-labelling suit the run's own k alone.

    A checkpoint that ``embed`` was asked for is left as it is.
    """
    latents = current_latents(context, manifest, wish)
    right = _right_checkpoint(context.folder, manifest, recipe)
    if latents.details.get("checkpoint") in (right, *context.folder.checkpoints()):
        return latents
    if right == FIRST_PHASE:
        if manifest.recipe.epochs not in manifest.checkpoints:
            raise InputError(
                f"the end of the first phase, epoch {manifest.recipe.epochs}, was not kept, and"
                f" after it the network labelled itself with {manifest.recipe.k} clusters",
                where=str(context.folder.path),
                expected=f"-k {manifest.recipe.k}",
                mend="train or fit again with the other number",
            )
        context.say(
            f"the network has labelled itself with {manifest.recipe.k} clusters: going back to the"
            f" end of the first phase, epoch {manifest.recipe.epochs}, which knows no k"
        )
    else:
        context.say(f"latents are made anew: the network has learnt the {recipe.k} clusters")
    return _make_latents(context, manifest, right).artifact


def _right_checkpoint(folder: RunFolder, manifest: Manifest, recipe: Recipe) -> str:
    """Which latents suit a recipe's k, if no checkpoint was asked for."""
    two_phases = last_checkpoint(folder) > manifest.recipe.epochs
    return FIRST_PHASE if two_phases and recipe.k != manifest.recipe.k else LAST


@dataclass(frozen=True)
class Request:
    """Network and chain as last asked for in this run, by flags of ``embed`` and ``cluster``."""

    recipe: Recipe
    seed: int
    epoch: int


def current_request(folder: RunFolder, manifest: Manifest) -> Request:
    """What the labels were or would be made with, without making them."""
    recipe, seed = manifest.recipe, manifest.seed
    wanted: int | str = LAST
    if folder.labels_file.exists():
        artifact = artifacts.read(folder.labels_file, "labels")
        if artifact.details.get("run") == manifest.identity:
            recipe = Recipe.from_json(artifact.recipe, where=str(folder.labels_file))
            seed = artifact.seed
            wanted = _checkpoint(folder, manifest, artifact.details)
    if folder.latents_file.exists():
        details = artifacts.read(folder.latents_file, "latents").details
        wanted = _checkpoint(folder, manifest, details)
    if isinstance(wanted, str):
        wanted = _right_checkpoint(folder, manifest, recipe)
    return Request(recipe, seed, _epoch(folder, manifest, wanted))


def epoch_of(artifact: Artifact) -> int:
    """The epoch of the weights behind latents or labels; -1 if they do not say."""
    return int(artifact.details.get("epoch", -1))


def cluster_count(artifact: Artifact) -> int:
    """Number of clusters in labels, each of which has an image."""
    return int(artifact.arrays["labels"].max()) + 1


def stale_labels(latents_digest: str, parents: Mapping[str, str]) -> str:
    """Why labels with these parents are stale beside such latents, or an empty text."""
    return "" if parents.get("latents") == latents_digest else "the latents have changed"


def stale_ancestry(folder: RunFolder, manifest: Manifest, artifact: Artifact) -> str:
    """Why labels or an embedding are stale, without reading the latents; or an empty text."""
    if not folder.latents_file.exists():
        return "the latents are missing"
    reason = stale_labels(artifacts.claimed_digest(folder.latents_file), artifact.parents)
    return reason or stale_latents(folder, manifest, artifact.parents, artifact.details)


def _make_labels(context: Context, latents: Artifact, recipe: Recipe, seed: int) -> Made:
    with context.folder.lock():  # from the start: minutes of work are not for losing
        where = str(context.folder.latents_file)
        artifact = labels_of(latents, recipe, seed, where=where, say=context.say, step=context.step)
        context.progress("clustering", 1, 1)
        return Made(_write(context.folder.labels_file, artifact), fresh=False)


def labels_of(
    latents: Artifact,
    recipe: Recipe,
    seed: int,
    *,
    where: str = "latents",
    say: Callable[[str], None] = lambda line: None,
    step: Callable[[str], None] = lambda what: None,
) -> Artifact:
    """Labels of latents by a recipe's chain, not yet written anywhere.

    Parameters
    ----------
    latents : Artifact
    recipe : Recipe
    seed : int
    where : str
        Named in errors.
    say : callable
        Takes one line for the user.
    step : callable
        Takes what is done next.
    """
    values = latents.arrays["latents"]
    # their latents may differ by what rounding does in a batch
    count = len(np.unique(latents.arrays["fingerprints"]))
    with at(where):
        check_count(len(values), recipe.k, count, "images")
    chain = " > ".join((*recipe.reduction, recipe.clusterer))
    k = "estimated" if recipe.k == AUTO_K else recipe.k
    say(f"clustering {len(values)} latents: {chain}, k = {k}")
    with at(where):
        found = cluster_latents(
            values,
            recipe,
            seed=seed,
            assignments=latents.arrays.get("assignments"),
            views=_views(latents, where),
            progress=step,
        )
    if found.estimate is not None:
        say(_estimate_text(found.estimate, latents))
    arrays: dict[str, NDArray[Any]] = {
        "labels": found.labels,
        "confidence": found.confidence,
        "ids": latents.arrays["ids"],
        "fingerprints": latents.arrays["fingerprints"],
        "reference_latents": values[found.references],
        "reference_labels": found.labels[found.references],
    }
    if found.shares is not None:
        arrays["shares"] = found.shares
        arrays["reference_shares"] = found.shares[found.references]
    if found.points.shape[1] == 2 and recipe.reduction:
        arrays["embedding"] = found.points
    for line in found.substitutions:
        say(line)
    warnings = doubts(found, latents.arrays.get("colours"), seed=seed)
    for doubt in warnings:
        say(f"warning: {doubt}")
    return Artifact(
        kind="labels",
        arrays=arrays,
        recipe=recipe.to_json(),
        seed=seed,
        parents={**latents.parents, "latents": latents.digest},
        details={
            **latents.details,
            "k": found.k,
            "agreement": found.agreement,
            "view_agreement": found.view_agreement,
            "members": {m.name: m.agreement for m in found.members},
            "warnings": warnings,
            **({"substitutions": list(found.substitutions)} if found.substitutions else {}),
        },
    )


def _estimate_text(found: EstimatedK, latents: Artifact) -> str:
    k, other = found.k, "state another number with -k"
    if len(found.silhouettes) < 2:
        return f"{k} clusters, because the images are too few to estimate it; {other}"
    if k == max(found.silhouettes):
        return f"estimated {k} clusters, the most that were tried, so there may be more; {other}"
    if latents.details.get("checkpoint") == FIRST_PHASE and latents.recipe.get("k") == k:
        return f"estimated {k} clusters; the network has learnt {k} of its own, which -k {k} takes"
    return f"estimated {k} clusters; {other}"


def _views(latents: Artifact, where: str) -> Views | None:
    """Rows of images, and what the network made of views of them."""
    found = [latents.arrays.get(name) for name in ("view_latents", "view_clusters")]
    count = next((len(values) for values in found if values is not None), None)
    if count is None:
        return None
    rows = viewed(len(latents.arrays["latents"]), seed=latents.seed)
    if len(rows) != count:
        raise InputError(
            f"knows {count} views",
            where=where,
            expected=f"{len(rows)} of them",
            mend="make it anew with aeclust embed --force",
        )
    return Views(rows, *found)


def _write(file: Path, artifact: Artifact) -> Artifact:
    return artifact.with_digest(artifacts.write(file, artifact))


# -- predict -----------------------------------------------------------------------------------


def _check_known(folder: RunFolder, manifest: Manifest) -> None:
    """Miss validation files before any work: without them clusters would have other names."""
    for place in (manifest.val_images, manifest.val_labels):
        if place is None or place.startswith("demo:"):
            continue
        if not (os.path.exists(place) or os.path.exists(place.partition("::")[0])):
            raise InputError(
                "is gone, and with it the names of the clusters",
                where=place,
                expected="the validation images and labels of aeclust train",
                mend="put it back, state others with --val-images and --val-labels, or name the"
                f" clusters with {folder.command('name')} and add --names",
            )


@dataclass(frozen=True)
class Prediction:
    """Labels to print.

    Attributes
    ----------
    ids : ndarray of shape (n,)
        int64 or str.
    labels : ndarray of shape (n,)
        int64, 0 to k - 1.
    confidence : ndarray of shape (n,)
        float32 in [0, 1]: that of the clustering; for other images the share of their neighbours'
        votes, and for an exact duplicate of a training image that one's own.
    """

    ids: NDArray[np.int64] | NDArray[np.str_]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]


def predict(
    context: Context,
    source: Source | None = None,
    *,
    invert: bool = False,
    val_images: Source | None = None,
    val_labels: str | None = None,
) -> Prediction:
    """Labels of the run's images, or of others by the vote of their nearest training latents.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Other images.
    invert : bool
        Swap the names that two clusters would have without it.
    val_images, val_labels : optional
        Labelled images that name the clusters by best matching; without `val_images` the labels
        are of the run's own images. Not given, those of training are used where they fit k.
    """
    manifest = context.folder.manifest()
    if invert and val_labels is not None:
        raise InputError(
            "labels name the clusters already", where="--invert", expected="one of the two",
            mend="leave out --invert or --val-labels",
        )  # fmt: skip
    if val_images is not None and val_labels is None:
        raise InputError(
            "there are images without labels", where="--val-images",
            expected="--val-labels beside it", mend="add it",
        )  # fmt: skip
    if val_labels is None:
        _check_known(context.folder, manifest)
    artifact = current_labels(context, manifest)
    tell_epoch(context, artifact)
    k = cluster_count(artifact)
    if invert and k != 2:
        raise InputError(
            f"there are {k} clusters to swap", where="--invert", expected="2 clusters",
            mend="leave it out",
        )  # fmt: skip
    names = np.arange(k)
    if val_labels is not None:
        names = _names(context, manifest, artifact, val_images, labels.load(val_labels))
    elif manifest.val_images is not None and manifest.val_labels is not None:
        known = labels.load(manifest.val_labels)
        if known.values.min() >= 0 and known.values.max() < k:
            images = Source(location=manifest.val_images)
            names = _names(context, manifest, artifact, images, known)
        else:
            context.say(f"{known.location} has other labels than 0 to {k - 1}: no cluster is named")
    if invert:
        names = names[::-1]
    raw = label_images(context, manifest, artifact, source)
    return Prediction(raw.ids, names[raw.labels], raw.confidence)


def _names(
    context: Context,
    manifest: Manifest,
    artifact: Artifact,
    val_images: Source | None,
    known: labels.Labels,
) -> NDArray[np.int64]:
    k = cluster_count(artifact)
    raw = label_images(context, manifest, artifact, val_images)
    rows, classes = known.aligned(raw.ids)
    if classes.min() < 0 or classes.max() >= k:
        raise InputError(
            f"holds label {classes.min() if classes.min() < 0 else classes.max()}",
            where=known.location,
            expected=f"0 to {k - 1} to name {k} clusters",
            mend="renumber the labels, or change -k",
        )
    names = metrics.best_names(raw.labels[rows], classes, k)
    agree = float((names[raw.labels[rows]] == classes).mean())
    context.say(f"clusters are named by {len(rows)} known labels; {agree:.1%} of these agree")
    if (names != np.arange(k)).any():
        pairs = ", ".join(f"{new} is cluster {old}" for old, new in enumerate(names.tolist()))
        context.say(f"these are other numbers than in plots and aeclust name: {pairs}")
    return names


def label_images(
    context: Context, manifest: Manifest, artifact: Artifact, source: Source | None
) -> Prediction:
    """Cluster numbers of the run's images, or of others by the vote of their neighbours."""
    arrays = artifact.arrays
    own = Prediction(artifacts.decode_ids(arrays["ids"]), arrays["labels"], arrays["confidence"])
    if source is None:
        return own
    images = other_images(context, manifest, source)
    if images.digest() == manifest.data_digest:
        return own
    return label_others(images, embed_alike(context, manifest, artifact, images), artifact)


def embed_alike(
    context: Context, manifest: Manifest, artifact: Artifact, images: Images
) -> NDArray[np.float32]:
    """Latents (n, d) of other images, by the weights that the run's labels were made with."""
    check_channels(images, manifest)
    tell_about(context, images, manifest.recipe)
    network, digest = load_network(context, manifest, epoch_of(artifact))
    if digest != artifact.parents.get("weights"):
        raise InputError(
            "the labels were made with other weights",
            where=str(context.folder.labels_file),
            expected="labels of this run's weights",
            mend=f"run {context.folder.command('cluster --force')}",
        )
    from aeclust.network import inference

    return inference.embed(
        network,
        images.pixels,
        image_size=manifest.recipe.image_size,
        device=context.device,
        report=lambda done: context.progress("embed", done, len(images)),
    )


def label_others(images: Images, latents: NDArray[np.float32], artifact: Artifact) -> Prediction:
    """Cluster numbers of other images by the vote of the run's images near them."""
    return Prediction(images.ids, *label_unseen(latents, fingerprints(images.pixels), artifact))


def label_unseen(
    latents: NDArray[np.float32], marks: NDArray[np.uint64], artifact: Artifact
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Labels and confidence (n,) of images: a training image's own for a copy of it."""
    known = artifact.arrays
    base = known["reference_latents"]
    found, confidence = vote_on_others(
        latents, base, known["reference_labels"], np.arange(len(base)), cluster_count(artifact),
        known.get("reference_shares"),
    )  # fmt: skip
    rows = copies(marks, known["fingerprints"])
    copied = rows >= 0
    found[copied] = known["labels"][rows[copied]]
    confidence[copied] = known["confidence"][rows[copied]]
    return found, confidence
