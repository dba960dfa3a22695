"""What is asked for, and whether a file was made for it.

A request is resolved once, to an epoch, and stored in what is made for it. A file is fresh if what
it was made for equals what is asked for now; or else it is made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError, at, listed
from aeclust.recipe import AUTO_K, Recipe
from aeclust.run.folder import RunFolder
from aeclust.run.known import Steering
from aeclust.run.manifest import Manifest
from aeclust.run.steering import steering_of

if TYPE_CHECKING:
    from aeclust.run.context import Context


@dataclass(frozen=True, kw_only=True)
class Request:
    """What latents and labels of a run are made for.

    Attributes
    ----------
    recipe : Recipe
        Its k, reduction, clusterer, perplexity and min_cluster_size make the labels.
    seed : int
        Of the labels.
    checkpoint : int or None
        The epoch that somebody asked for by ``embed --checkpoint``; None leaves it to
        :func:`epoch_for`.
    steering : Steering or None
        Known labels that the labels follow.
    """

    recipe: Recipe
    seed: int
    checkpoint: int | None = None
    steering: Steering | None = None


def recipe_of(made: Artifact) -> Recipe:
    """The recipe that an artifact was made by; errors name the kind of file."""
    with at(f"{made.kind}.h5"):
        return Recipe.from_json(made.recipe)


def last_request(folder: RunFolder, manifest: Manifest, *, by_labels: bool = True) -> Request:
    """What was last asked for, by the files that were made; at first, what the recipe asks for.

    Without `by_labels` the labels are not looked at.
    """
    recipe, seed, checkpoint, known = manifest.recipe, manifest.seed, None, None
    steering = manifest.steering
    if steering is not None and steering.data != manifest.data_digest:
        steering = None  # it was said of other rows
    if by_labels and folder.labels_file.exists():
        labels = artifact.read(folder.labels_file, "labels")
        if labels.details.get("run") == manifest.identity:
            recipe, seed = recipe_of(labels), labels.seed
            checkpoint, known = labels.details.get("checkpoint"), labels.parents.get("latents")
        inherits = manifest.former if manifest.steering is None else ()
        if labels.details.get("run") in (manifest.identity, *inherits):
            steering = steering_of(labels)
    # latents that were made after the labels know better
    if folder.latents_file.exists() and artifact.claimed_digest(folder.latents_file) != known:
        latents = artifact.read(folder.latents_file, "latents", mapped=True)
        if latents.details.get("run") == manifest.identity:
            checkpoint = latents.details.get("checkpoint")
    there = checkpoint if checkpoint in folder.checkpoints() else None
    return Request(recipe=recipe, seed=seed, checkpoint=there, steering=steering)


def epoch_for(folder: RunFolder, manifest: Manifest, request: Request) -> int:
    """The epoch whose latents a request is about.

    The second phase taught the network the run's own number of clusters: for another
    number its latents are those after the first phase.

    Raises
    ------
    InputError
        If no checkpoint suits.
    """
    if manifest.vectors:
        return 0
    last, first_phase = folder.last_checkpoint(), manifest.recipe.epochs
    if request.checkpoint is not None:
        return request.checkpoint
    if last <= first_phase or request.recipe.k == manifest.recipe.k:
        return last
    if first_phase not in folder.checkpoints():
        raise InputError(
            f"the network after epoch {first_phase} is not kept, and later ones have learnt"
            f" {manifest.recipe.k} clusters",
            where=str(folder.path),
            expected=f"`k` {manifest.recipe.k}",
            mend="restore it, or train or fit again with the other number",
        )
    return first_phase


def check_checkpoint(folder: RunFolder, epoch: int) -> None:
    """Refuse an epoch that has no weights file."""
    if epoch not in folder.checkpoints():
        raise InputError(
            f"there is no checkpoint of epoch {epoch}",
            where=str(folder.path),
            expected=f"one of {listed(folder.checkpoints(), 'none at all')}",
            mend="choose one of these with `checkpoint`",
        )


def stale_latents(
    folder: RunFolder,
    manifest: Manifest,
    parents: Mapping[str, str],
    details: Mapping[str, object],
    epoch: int,
) -> str:
    """Why latents are not those of the run's images after an epoch; empty if they are.

    `parents` and `details` are those of the latents, or of what was made from them.
    """
    if parents.get("data") != manifest.data_digest:
        return "made from other images"
    if details.get("epoch") != epoch:
        return f"made after epoch {details.get('epoch')}, and epoch {epoch} is wanted"
    if manifest.vectors:
        return ""
    if parents.get("weights") != artifact.claimed_digest(folder.weights_file(epoch)):
        return "the weights have changed"
    return ""


def stale_labels(folder: RunFolder, manifest: Manifest, labels: Artifact, request: Request) -> str:
    """Why labels are not what is asked for, without reading the latents; empty if they are."""
    if (recipe_of(labels), labels.seed) != (request.recipe, request.seed):
        changed = differing(labels, request)
        return f"made with {' '.join(f'{each.flag} {each.made}' for each in changed)}"
    steering = steering_of(labels)
    if steering != request.steering:
        how = "with other" if steering and request.steering else "with" if steering else "without"
        return f"made {how} known labels"
    return stale_ancestry(folder, manifest, labels, epoch_for(folder, manifest, request))


@dataclass(frozen=True)
class Differing:
    """A setting of labels that is not the one asked for: its flag and both values."""

    name: str
    made: str
    wanted: str

    @property
    def flag(self) -> str:
        """As the command line calls it."""
        return "-k" if self.name == "k" else f"--{self.name.replace('_', '-')}"


def differing(labels: Artifact, request: Request) -> list[Differing]:
    """The settings in which labels are not what is asked for."""
    made = recipe_of(labels).to_json() | {"seed": labels.seed}
    wanted = request.recipe.to_json() | {"seed": request.seed}
    names = [name for name in wanted if made.get(name) != wanted[name]]
    return [Differing(n, _as_given(n, made.get(n)), _as_given(n, wanted[n])) for n in names]


def _as_given(name: str, value: object) -> str:
    """A setting as the command line takes it."""
    if name == "k" and value == AUTO_K:
        return "auto"
    return ",".join(map(str, value)) or "none" if isinstance(value, list | tuple) else str(value)


def log_dropped(
    context: Context, manifest: Manifest, request: Request, stated: Mapping[str, object]
) -> None:
    """Log which settings of the labels that are there do not hold any more, unless `stated`."""
    with suppress(InputError):  # whoever needs the labels says that they are damaged
        labels = artifact.read(context.folder.labels_file, "labels")
        if labels.details.get("run") != manifest.identity:
            return
        dropped = [each for each in differing(labels, request) if stated.get(each.name) is None]
        if dropped:
            flags = " and ".join(each.flag for each in dropped)
            now = " and ".join(each.wanted for each in dropped)
            before = " ".join(f"{each.flag} {each.made}" for each in dropped)
            context.log(
                f"without {flags}: {now}, as in training; the labels with {before} are replaced"
            )


def stale_ancestry(folder: RunFolder, manifest: Manifest, made: Artifact, epoch: int) -> str:
    """Why what was made from latents is not of the latents of an epoch; empty if it is."""
    if not folder.latents_file.exists():
        return "latents.h5 is missing"
    if artifact.claimed_digest(folder.latents_file) != made.parents.get("latents"):
        return "latents.h5 has changed"
    return stale_latents(folder, manifest, made.parents, made.details, epoch)
