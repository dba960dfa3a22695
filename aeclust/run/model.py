"""A run without its images: made in memory, written to a folder, read back from one."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shlex
import shutil
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.errors import InputError, WriteError
from aeclust.images import Images
from aeclust.network import training
from aeclust.network.model import Autoencoder, state_arrays
from aeclust.network.parallel import Team
from aeclust.run.caches import (
    LAST,
    labels_of,
    latent_blocks,
    load_network,
    seen_again,
    stale_ancestry,
)
from aeclust.run.context import Context
from aeclust.run.folder import Manifest, RunFolder
from aeclust.run.train import write_weights


@dataclass(frozen=True, kw_only=True)
class Model:
    """What a run has once its images are clustered.

    Attributes
    ----------
    manifest : Manifest
    epoch : int
        After which the latents were taken.
    network : Autoencoder
        As it was then, in evaluation mode.
    latents, labels : Artifact
    """

    manifest: Manifest
    epoch: int
    network: Autoencoder
    latents: Artifact
    labels: Artifact


def fit(images: Images, manifest: Manifest, device: torch.device) -> Model:
    """Train, embed and cluster as the commands do, without a file.

    Raises
    ------
    InputError, DivergedError
        See :func:`aeclust.network.training.train` and
        :func:`aeclust.clusters.chain.cluster_latents`.
    """
    recipe, pixels, epoch = manifest.recipe, images.pixels, manifest.recipe.total_epochs
    network = training.train(pixels, recipe, seed=manifest.seed, device=device)
    parts = defaultdict(list)
    for block in latent_blocks(network, pixels, recipe, epoch, Team(device=device)):
        for name, rows in block.items():
            parts[name].append(rows)
    latents = Artifact(
        kind="latents",
        arrays={
            "ids": artifacts.encode_ids(images.ids),
            **seen_again(network, pixels, recipe, epoch, seed=manifest.seed),
            **{name: np.concatenate(rows) for name, rows in parts.items()},
        },
        recipe=recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.data_digest},
        details={"checkpoint": LAST, "epoch": epoch, "run": manifest.identity},
    )
    labels = labels_of(latents, recipe, manifest.seed)
    return Model(manifest=manifest, epoch=epoch, network=network, latents=latents, labels=labels)


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
        _check_disk(model, path)  # before a run that is there is replaced
        manifest = dataclasses.replace(model.manifest, kept=(model.epoch,))
        folder.begin(manifest)
        if not os.path.isdir(manifest.source.location):  # what a former run had decoded
            with contextlib.suppress(OSError):  # nobody will read it
                folder.images_file.unlink(missing_ok=True)
        weights = write_weights(folder, manifest, model.epoch, state_arrays(model.network))
        # of the only checkpoint, which thereby is the last
        parents = {"data": manifest.data_digest, "weights": weights}
        latents = _adopted(model.latents, parents)
        parents["latents"] = artifacts.write(folder.latents_file, latents)
        artifacts.write(folder.labels_file, _adopted(model.labels, parents))


def _check_disk(model: Model, path: Path) -> None:
    needed = sum(value.nbytes for value in state_arrays(model.network).values())
    for artifact in (model.latents, model.labels):
        needed += sum(value.nbytes for value in artifact.arrays.values())
    free = shutil.disk_usage(path).free
    if free < needed:
        raise WriteError(
            f"{free / 1e6:.0f} MB are free and {needed / 1e6:.0f} MB will be needed",
            where=str(path),
            mend="free space, or choose another folder",
        )


def _adopted(artifact: Artifact, parents: dict[str, str]) -> Artifact:
    details = {**artifact.details, "checkpoint": LAST}
    return dataclasses.replace(artifact, parents=dict(parents), details=details)


def load(path: Path) -> Model:
    """Read a clustered run, its network on the CPU.

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
    labels = artifacts.read(folder.labels_file, "labels")
    stale = stale_ancestry(folder, manifest, labels)
    if stale:
        raise InputError(
            f"the labels are stale: {stale}",
            where=str(folder.labels_file),
            expected="labels of the latents and weights beside them",
            mend=mend,
        )
    latents = artifacts.read(folder.latents_file, "latents", mapped=True)
    epoch = int(labels.details["epoch"])
    network, _ = load_network(Context(folder), manifest, epoch)
    return Model(manifest=manifest, epoch=epoch, network=network, latents=latents, labels=labels)
