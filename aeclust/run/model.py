"""A run without its images: made in memory, written to a folder, read back from one."""

from __future__ import annotations

import dataclasses
import math
import os
import shlex
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError, at
from aeclust.images import Images
from aeclust.network import training
from aeclust.network.inference import encode_frozen
from aeclust.network.model import Autoencoder, state_arrays
from aeclust.network.parallel import Team
from aeclust.network.training import Moment
from aeclust.recipe import Recipe, named
from aeclust.run.budget import Budget
from aeclust.run.clusters import labels_of
from aeclust.run.context import Context
from aeclust.run.edits.applied import correction, followed
from aeclust.run.encoders import Sight, begun, completed, separated
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import Request, last_request, stale_labels
from aeclust.run.known import Steering
from aeclust.run.latents import describe, describe_vectors, load_network
from aeclust.run.manifest import Manifest
from aeclust.run.progress import Lines
from aeclust.run.weights import check_room, write_weights

FEATURES = "features"  # the recipe that takes vectors as they are


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a run has once its images are clustered.

    Attributes
    ----------
    manifest : Manifest
    epoch : int
        After which the latents were taken.
    network : Autoencoder or None
        As it was then, in evaluation mode; None of a run of vectors.
    latents, labels : Artifact
    """

    manifest: Manifest
    epoch: int
    network: Autoencoder | None
    latents: Artifact
    labels: Artifact


def fit(
    images: Images,
    manifest: Manifest,
    device: torch.device,
    *,
    sight: Sight | None = None,
    steering: Steering | None = None,
    write: Callable[[str], None] | None = None,
) -> Model:
    """Train, embed and cluster as the commands do, without a file; vectors are only clustered.

    `sight` is the frozen encoder, if the recipe has one; `steering` what is known of the images;
    `write` takes the lines that say how far it has come.

    Raises
    ------
    InputError, DivergedError
        See :func:`aeclust.network.training.train` and
        :func:`aeclust.clusters.chain.cluster_latents`.
    """
    recipe, epoch = manifest.recipe, manifest.recipe.total_epochs
    known = None
    if steering is not None:
        manifest = dataclasses.replace(manifest, steering=steering)
        known = steering.known(len(images))[0]
    with closing(Lines(write, epochs=epoch)) as lines:

        def observe(moment: Moment) -> None:
            lines.observe(moment)
            if (moment.epoch, moment.step) == (recipe.epochs, 0) and moment.epoch < epoch:
                lines.progress(f"looking for {recipe.k} clusters to learn", 0, 0)

        network, features, team = None, None, Team(device=device)
        embedded = partial(lines.progress, "embed")
        if manifest.vectors:
            latents, blocks = describe_vectors(images, manifest, progress=embedded)
        else:
            if sight is not None:
                features = _features(sight, images, recipe, team, lines)
            network = training.train(
                images.pixels,
                recipe,
                seed=manifest.seed,
                device=device,
                features=features,
                known=known,
                observe=observe,
                log=lines.log,
            )
            network.see = sight
            given = (network, images, manifest, epoch, team)
            latents, blocks = describe(*given, features=features, progress=embedded)
        latents = _whole(latents, blocks)
        labels = labels_of(
            latents,
            Request(recipe=recipe, seed=manifest.seed, steering=steering),
            log=lines.log,
            progress=lambda step: lines.progress(f"clustering: {step}", 0, 0),
        )
    return Model(manifest=manifest, epoch=epoch, network=network, latents=latents, labels=labels)


def _features(
    sight: Sight, images: Images, recipe: Recipe, team: Team, lines: Lines
) -> NDArray[np.float32]:
    """What the frozen encoder makes of the images."""
    what, count = f"features by {recipe.encoder}", len(images)
    return encode_frozen(
        sight,
        images.pixels,
        recipe.image_size,
        team=team,
        progress=lambda done: lines.progress(what, done, count),
    )


def _whole(latents: Artifact, blocks: Iterable[Mapping[str, NDArray[Any]]]) -> Artifact:
    """Latents with the arrays that come in blocks of rows."""
    parts: defaultdict[str, list[NDArray[Any]]] = defaultdict(list)
    for block in blocks:
        for name, rows in block.items():
            parts[name].append(rows)
    whole = {name: np.concatenate(rows) for name, rows in parts.items()}
    return dataclasses.replace(latents, arrays={**latents.arrays, **whole})


def sighted(
    recipe: Recipe, weights: str | None, shape: tuple[int, ...], device: torch.device
) -> tuple[Recipe, Sight | None]:
    """A recipe that says all about its frozen encoder, and that; None for one without.

    `weights` is the path of a file of them, and the shape that of the images (n, h, w, c).
    """
    recipe, file = separated(recipe, weights)
    if not recipe.encoder:
        return recipe, None
    encoder = begun(recipe, file, device)
    recipe = completed(recipe, encoder, shape, in_files=False)
    return recipe, Sight(recipe, file, device, {encoder.sha256: encoder})


def save(model: Model, path: Path, *, overwrite: bool = False) -> None:
    """Write a model as a run folder, which the commands take for one whose images are elsewhere.

    Raises
    ------
    InputError
        If there is a run already and `overwrite` is False.
    BusyError, WriteError
        If another process works there, or a file cannot be written.
    """
    folder = RunFolder(path)
    with folder.lock():
        if (folder.exists() or folder.checkpoints()) and not overwrite:
            raise InputError(
                "a run is here already",
                where=str(path),
                expected="an empty or new folder",
                mend="replace it with overwrite=True, or choose another folder",
            )
        state = {} if model.network is None else state_arrays(model.network)
        values = [*state.values()]
        values += [*model.latents.arrays.values(), *model.labels.arrays.values()]
        check_room(path, sum(value.nbytes for value in values))  # before a run there is replaced
        # of the only checkpoint, which thereby is the last
        manifest = dataclasses.replace(model.manifest, kept=(model.epoch,) if state else None)
        folder.begin(manifest)
        for file in (folder.images_file, folder.previews_file):
            file.unlink(missing_ok=True)
        parents = {"data": manifest.data_digest}
        if state:
            parents["weights"] = write_weights(folder, manifest, model.epoch, state)
        latents = artifact.write(folder.latents_file, _adopted(model.latents, parents))
        labels = _adopted(model.labels, {**parents, "latents": latents})
        artifact.write(folder.labels_file, labels)


def _adopted(made: Artifact, parents: dict[str, str]) -> Artifact:
    """An artifact of the weights that are saved, which no checkpoint was chosen for by hand."""
    details = {**made.details, "checkpoint": None}
    return dataclasses.replace(made, parents=parents, details=details)


def load(path: Path, device: torch.device) -> Model:
    """Read a clustered run with its edits, its network on a device.

    Raises
    ------
    InputError
        If there is no run, its latents or labels are missing or stale, or a file is damaged.
    """
    folder = RunFolder(path, f" --run {shlex.quote(str(path))}")
    manifest = folder.manifest()
    mend = f"run {folder.command('cluster')}"
    if not folder.labels_file.exists():
        raise InputError(
            "the run has no labels", where=str(path), expected="one that was clustered", mend=mend
        )
    labels = artifact.read(folder.labels_file, "labels")
    stale = stale_labels(folder, manifest, labels, last_request(folder, manifest))
    if stale:
        raise InputError(
            f"the labels are stale: {stale}",
            where=str(folder.labels_file),
            expected="labels of the latents and weights beside them",
            mend=mend,
        )
    latents = artifact.read(folder.latents_file, "latents", mapped=True)
    epoch = int(labels.details["epoch"])
    network = None
    if not manifest.vectors:
        context = Context(folder, lambda: Team(device=device))
        network = load_network(context, manifest, epoch)[0]
    found = correction(folder, labels)
    labels = labels if found is None else followed(found.labels)
    return Model(manifest=manifest, epoch=epoch, network=network, latents=latents, labels=labels)


# -- what a caller says of arrays ----------------------------------------------------------------


def shape_of_rows(length: int, image_shape: Any) -> tuple[int, ...]:
    """The shape of the images that rows of so many values are flattened from."""
    shape: tuple[int, ...] = ()
    with suppress(TypeError, ValueError):
        shape = np.empty(length).reshape(image_shape).shape
    if len(shape) not in (2, 3):
        raise InputError(
            f"rows of {length} values are no images of shape {image_shape!r}",
            where="image_shape",
            expected="(h, w) or (h, w, c) of that many values in all",
        )
    return shape


def has_network(estimator: Any) -> bool:
    """Whether an estimator has a network that draws and compares images, or will have once fitted.

    scikit-learn asks it: methods that need one are not there without.
    """
    if hasattr(estimator, "network_"):
        return estimator.network_ is not None
    return bool(estimator.recipe != FEATURES)


def image_shape(manifest: Manifest) -> tuple[int, int] | tuple[int, int, int] | None:
    """What the rows of a run were flattened from; None of one whose images were given as such."""
    if not manifest.flattened:
        return None
    _, h, w, c = manifest.shape
    return (h, w) if c == 1 else (h, w, c)


def settings_of(recipe: Recipe, manifest: Manifest) -> dict[str, object] | None:
    """What must be set of the recipe by its name to have this one, but for k; None if nothing."""
    base = named(recipe.name).to_json()
    changed = {n: v for n, v in recipe.to_json().items() if n != "k" and v != base[n]}
    if manifest.encoder_file is not None:
        onnx = manifest.encoder_file.lower().endswith(".onnx")
        changed["encoder" if onnx else "encoder_weights"] = manifest.encoder_file
    return changed or None


def asked(
    name: str, settings: Mapping[str, object] | None, k: object, epochs: object
) -> tuple[Recipe, str | None]:
    """The recipe that an estimator's parameters ask for, and the file of its encoder's weights."""

    def plain(value: object) -> Any:  # a search over np.arange gives numbers of numpy
        return value.item() if isinstance(value, np.generic) else value

    values = {name: plain(value) for name, value in {**(settings or {}), "k": k}.items()}
    weights = values.pop("encoder_weights", None)
    with at("recipe"):
        base = named(name)
    with at("settings"):
        if not isinstance(weights, str | os.PathLike | None):
            what, expected = f"encoder_weights is {weights!r}", "the path of a .safetensors file"
            raise InputError(what, expected=expected)
        recipe = base.override(values)
    if epochs is not None:
        recipe = recipe.lasting(plain(epochs), fixed="label_epochs" in values)
    return recipe, None if weights is None else str(os.fspath(weights))


def budget_of(minutes: Any, epochs: object, settings: Mapping[str, object] | None) -> Budget | None:
    """What training may take by an estimator's parameters; None where epochs decide."""
    if minutes is None:
        return None
    if epochs is not None or "epochs" in (settings or {}):
        raise InputError("they exclude each other", where="minutes, epochs", expected="one of them")
    return Budget(minutes.item() if isinstance(minutes, np.generic) else minutes, settings or ())


def planned(
    budget: Budget,
    pixels: NDArray[Any],
    recipe: Recipe,
    seed: int,
    device: torch.device,
    sight: Sight | None,
    write: Callable[[str], None] | None,
) -> Recipe:
    """The recipe for a budget; `write` takes the line that says what was chosen."""
    return budget.planned(
        pixels,
        recipe,
        seed=seed,
        team=Team(device=device),
        see=sight,
        log=write or (lambda line: None),
    )


def seed_of(random_state: Any) -> int:
    """The seed that scikit-learn's ``random_state`` means; None draws one."""
    seed = random_state
    if not isinstance(seed, (int, np.integer)):
        seed = check_random_state(seed).randint(2**31 - 1)
    if not 0 <= seed < 2**32:
        expected = "a whole number from 0 to 2^32 - 1"
        raise InputError(f"random_state is {seed}", expected=expected)
    return int(seed)


def check_kind(pixels: NDArray[Any], recipe: Recipe) -> None:
    """Refuse a network for vectors, and none for images."""
    if (recipe.network == "none") != (pixels.ndim == 2):
        expected = f"none with recipe {FEATURES} alone"
        mend = f"leave it out, or change recipe {recipe.name}"
        what = f"network is {recipe.network!r}"
        raise InputError(what, where="settings", expected=expected, mend=mend)


def refuse_of_images(settings: Mapping[str, object]) -> None:
    """Refuse what was stated of images or training, where vectors are taken as they are."""
    for name, value in settings.items():
        if value is not None:
            what = f"says nothing about vectors, which recipe {FEATURES} takes as they are"
            raise InputError(what, where=name, expected="none", mend="leave it out")


def check_channels(pixels: NDArray[Any], network: Autoencoder) -> None:
    """Refuse images of other colours than a network was built for."""
    if pixels.shape[3] != network.image_channels:
        expected, mend = f"{network.image_channels}, as in training", "convert the images"
        raise InputError(f"has {pixels.shape[3]} channels", expected=expected, mend=mend)


def stated_range(value_range: Any) -> str | None:
    """A range of values, if there is one, as :class:`~aeclust.images.Source` has it."""
    if value_range is None:
        return None
    try:
        low, high = map(float, value_range)
    except (TypeError, ValueError):
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InputError(
            f"value_range is {value_range!r}",
            expected="the numbers that mean black and white, for example (0, 255)",
        )
    return f"{low!r}:{high!r}"
