"""Weights as files: checkpoints, the state to resume, and what a run begins with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError, WriteError
from aeclust.images import Images
from aeclust.network.model import build, state_arrays
from aeclust.network.training import Snapshot
from aeclust.run.context import Context
from aeclust.run.encoders import other_features
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import recipe_of
from aeclust.run.latents import load_network
from aeclust.run.manifest import Manifest


def check_room(folder: Path, needed: int, freed: int = 0) -> None:
    """Refuse to write more bytes than are free; some may become free meanwhile.

    Raises
    ------
    WriteError
    """
    free = shutil.disk_usage(folder).free + freed
    if free < needed:
        raise WriteError(
            f"{free / 1e6:.0f} MB are free and {needed / 1e6:.0f} MB will be needed",
            where=str(folder),
            mend="free space, or choose another folder",
        )


def write_weights(
    folder: RunFolder, manifest: Manifest, epoch: int, weights: dict[str, NDArray[Any]]
) -> str:
    """Write the checkpoint of an epoch, its state dict; returns its digest."""
    arrays = {f"state_dict/{name}": value for name, value in weights.items()}
    return artifact.write(
        folder.weights_file(epoch), _artifact("weights", arrays, manifest, {"epoch": epoch})
    )


def write_snapshot(folder: RunFolder, manifest: Manifest, snapshot: Snapshot) -> None:
    """Write the state to resume."""
    arrays = {f"state_dict/{name}": value for name, value in snapshot.weights.items()}
    arrays |= {f"optimizer/{name}": value for name, value in snapshot.optimizer.items()}
    if snapshot.targets is not None:
        arrays["targets"] = snapshot.targets
    arrays["progress"] = np.array([snapshot.epoch, snapshot.step, *snapshot.totals], np.float64)
    details = {"device": snapshot.device}
    artifact.write(folder.resume_file, _artifact("resume", arrays, manifest, details))


def read_snapshot(folder: RunFolder, manifest: Manifest) -> Snapshot | None:
    """The state to resume; None if none was saved, InputError if it is of another run."""
    if not folder.resume_file.exists():
        return None
    state = artifact.read(folder.resume_file, "resume")
    ours = (manifest.recipe, manifest.seed, manifest.weights_digest)
    if (recipe_of(state), state.seed, state.parents.get("data")) != ours:
        raise InputError(
            "it is of another run",
            where=str(folder.resume_file),
            expected="the state of this run",
            mend="restore the run's file, or train again with `force`",
        )
    epoch, step, *totals = state.arrays["progress"].tolist()
    return Snapshot(
        state.group("state_dict/"),
        state.group("optimizer/"),
        int(epoch),
        int(step),
        tuple(totals),
        state.arrays.get("targets"),
        str(state.details.get("device", "cpu")),
    )


def _artifact(
    kind: str, arrays: dict[str, NDArray[Any]], manifest: Manifest, details: dict[str, Any]
) -> Artifact:
    return Artifact(
        kind=kind,
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.weights_digest},
        details={"image_channels": manifest.shape[3], **details},
    )


def weights_to_begin_with(context: Context, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """The last weights of the run that is about to be replaced, kept in ``start.h5`` meanwhile.

    Raises
    ------
    InputError
        If its training is not finished, its network is another one than the new recipe's, or a
        frozen encoder would give other features.
    """
    folder, old = context.folder, context.folder.manifest()
    missing = folder.unfinished(old)
    if missing or folder.resume_file.exists():
        raise InputError(
            "training is not finished",
            where=str(folder.path),
            expected="a finished run to learn on from",
            mend=f"finish it first with {folder.command('train --resume')}",
        )
    network, _ = load_network(context, old, folder.last_checkpoint())
    weights = state_arrays(network)
    wanted = state_arrays(build(manifest.recipe, manifest.shape[3], seed=0))
    if {n: w.shape for n, w in weights.items()} != {n: w.shape for n, w in wanted.items()}:
        raise InputError(
            "the recipe asks for another network, or another number of clusters, than the run has",
            where=str(folder.path),
            expected="the same",
            mend="leave those flags out, or train anew with `force`",
        )
    others = other_features(old.recipe, manifest.recipe)
    if network.frozen and others:  # the weights know the scale of its features
        raise InputError(
            f"the run has learnt from other features: {others}",
            where=str(folder.path),
            expected="the same",
            mend="leave those flags out, or train anew with `force`",
        )
    arrays = {f"state_dict/{name}": value for name, value in weights.items()}
    details = {"epoch": 0, "run": manifest.identity}
    artifact.write(folder.start_file, _artifact("weights", arrays, manifest, details))
    return weights


def read_start(folder: RunFolder, manifest: Manifest) -> dict[str, NDArray[Any]]:
    """The weights that a run began with, which learns on from another one.

    Raises
    ------
    InputError
        If ``start.h5`` is missing, damaged, or of another run.
    """
    start = artifact.read(folder.start_file, "weights")
    if start.details.get("run") != manifest.identity:
        raise InputError(
            "it is of another run",
            where=str(folder.start_file),
            expected="the weights that this run began with",
            mend="train again with `force`",
        )
    return start.group("state_dict/")


def check_disk(context: Context, manifest: Manifest, images: Images) -> None:
    """Refuse a training whose files the disk has no room for."""
    recipe, folder = manifest.recipe, context.folder
    network = build(recipe, manifest.shape[3], seed=0)
    size = sum(value.nbytes for value in state_arrays(network).values())
    count = len(manifest.checkpoints)
    copies = 1 if recipe.optimizer == "sgd" and not recipe.momentum else 3
    needed = size * (count + copies)
    context.log(
        f"{count} checkpoints of {size / 1e6:.1f} MB, and the state to resume from, will take up to"
        f" {needed / 1e6:.0f} MB of disk"
    )
    # what a former run takes will be freed, what an interrupted one takes need not be written again
    freed = sum(f.stat().st_size for f in folder.state_files() if f.exists())
    if images.ids.dtype.kind == "U":  # of arrays no pixels are kept
        needed += images.pixels.nbytes + sum(map(len, images.previews))
    check_room(folder.path, needed, freed)
