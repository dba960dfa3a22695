"""Training into a run folder: checkpoints, metrics, and the state to resume."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust import disk
from aeclust.artifact import Artifact
from aeclust.errors import InputError, Interrupted, WriteError
from aeclust.images import Images, Source, check_enough, load
from aeclust.images import truth as labels
from aeclust.network import training
from aeclust.network.model import build, state_arrays
from aeclust.recipe import AUTO_K, Recipe, checkpoint_epochs
from aeclust.run.caches import check_channels, keep_images, load_images, sized
from aeclust.run.context import Context, check_agreement, tell_about
from aeclust.run.folder import Manifest, RunFolder

_RESUME_EVERY = 30.0  # seconds between two saves of the state
_UNCHANGED = "interrupted before training began; nothing was changed"


@dataclass(frozen=True)
class Trained:
    """What :func:`train` did; `metrics` are of the last epoch."""

    manifest: Manifest
    checkpoints: list[int]
    did_train: bool
    metrics: dict[str, float]


def train(
    context: Context,
    source: Source,
    recipe: Recipe,
    *,
    seed: int,
    val_images: str | None = None,
    val_labels: str | None = None,
    resume: bool = False,
    force: bool = False,
) -> Trained:
    """Train a recipe on images into the run folder.

    Raises
    ------
    InputError
        If a run is there already and neither `resume` nor `force` is given, if it is resumed with
        another request, or if the images cannot be used.
    DivergedError
        If training diverges; checkpoints saved so far are kept.
    Interrupted
        After a signal, once the state is saved.
    WriteError
        If the disk has too little room or a file cannot be written.
    """
    context.rest(_UNCHANGED)
    folder, team = context.folder, context.team
    try:
        images = load_images(context, source)
    except InputError:
        if not force:
            raise
        images = load(source)  # what --force replaces may be damaged
    tell_about(context, images, recipe)
    manifest = Manifest(
        source=source,
        data_digest=images.digest(),
        shape=images.pixels.shape,
        recipe=recipe,
        seed=seed,
        val_images=val_images,
        val_labels=val_labels,
    )
    check_enough(images.pixels, recipe.k, where=source.location, flag="-k")
    if val_images is not None and val_labels is not None:
        # used only by later commands, but better refused before hours of training than after
        others = load(sized(manifest, Source(location=val_images)))
        check_channels(others, manifest)
        labels.load(val_labels).aligned(others.ids)
    training.check_batches(len(images), recipe, team)
    check_agreement(context, manifest.identity, source.location)
    if not team.leads:
        context.rest(None)  # from here on the leader changes files: all of them end together
    with folder.lock() if team.leads else contextlib.nullcontext():
        start = _Start()
        if team.leads:
            start = _prepare(context, manifest, images, resume=resume, force=force)
        start = team.tell(start)
        context.rest(None)
        if not start.finished:
            _train_and_save(context, images, manifest, start.snapshot)
        return _trained(folder, manifest, did_train=not start.finished)


@dataclass(frozen=True)
class _Start:
    """Where training starts: nowhere if it is finished, at the first step without a snapshot."""

    finished: bool = False
    snapshot: training.Snapshot | None = None


def _prepare(
    context: Context, manifest: Manifest, images: Images, *, resume: bool, force: bool
) -> _Start:
    """Make the folder that of this run, whose lock is held."""
    folder, recipe = context.folder, manifest.recipe
    snapshot = None
    if resume:
        folder.finish_replacing()
    if folder.exists():
        if resume:
            _refuse_other(folder.manifest(), manifest, folder)
            if recipe.total_epochs in folder.checkpoints() and not folder.resume_file.exists():
                context.say(f"{folder.path}: finished already, nothing to do")
                return _Start(finished=True)
            snapshot = _read_snapshot(folder, manifest)
            if snapshot is None:
                # the same steps again give the same checkpoints, so those stay
                context.say(f"{folder.path}: no state was saved yet, starting from the first step")
        elif not force:
            raise InputError(
                "a run is here already",
                where=str(folder.path),
                expected="an empty or new folder",
                mend="continue it with --resume, replace it with --force, or change --run",
            )
    elif folder.checkpoints() and not force:
        raise InputError(
            "there are checkpoints here, but no run.json",
            where=str(folder.path),
            expected="an empty or new folder, or a whole run",
            mend="restore run.json, replace all with --force, or change --run",
        )
    _check_disk(context, manifest, images)  # before anything is removed
    stop = context.signal()
    if stop:
        raise Interrupted(stop, _UNCHANGED)
    context.rest(None)
    if resume and folder.exists():
        folder.write_manifest(manifest)
    else:
        folder.begin(manifest)
    if not os.path.isdir(manifest.source.location):  # what a former run had decoded
        with contextlib.suppress(OSError):  # nobody will read it
            folder.images_file.unlink(missing_ok=True)
    keep_images(context, manifest, images)
    return _Start(snapshot=snapshot)


def _trained(folder: RunFolder, manifest: Manifest, *, did_train: bool) -> Trained:
    lines = _metrics_up_to(folder, manifest.recipe.total_epochs)
    return Trained(
        manifest, folder.checkpoints(), did_train, json.loads(lines[-1]) if lines else {}
    )


def _train_and_save(
    context: Context, images: Images, manifest: Manifest, snapshot: training.Snapshot | None
) -> None:
    """Run the loop with an observer that keeps metrics, checkpoints and the state to resume.

    All processes of a team run it; the leader keeps.
    """
    folder, recipe, team = context.folder, manifest.recipe, context.team
    kept, total = set(checkpoint_epochs(recipe)), recipe.total_epochs
    if total < recipe.epochs + recipe.label_epochs:
        context.say("k is left to an estimate: no self-labelling, which needs a number of clusters")
    lines = _metrics_up_to(folder, snapshot.epoch if snapshot else 0)
    saved_at = time.monotonic()

    def told(epoch: int) -> str:
        return (
            f"interrupted in epoch {epoch + 1} of {total}; the state is saved;"
            f" continue with {folder.command('train --resume')}"
        )

    def between(epoch: int, step: int) -> bool:
        """Whether what the second phase learns is looked for now, which takes a while."""
        return (epoch, step) == (recipe.epochs, 0) and epoch < total

    def keep(moment: training.Moment) -> None:
        nonlocal saved_at
        context.rest(None)
        if moment.metrics and team.leads:
            lines.append(json.dumps({"epoch": moment.epoch, **moment.metrics}))
            disk.write_bytes(folder.metrics_file, "".join(f"{x}\n" for x in lines).encode())
        if moment.step == 0 and moment.epoch in kept and team.leads:
            write_weights(folder, manifest, moment.epoch, moment.snapshot().weights)
        # a signal to any of the processes ends all after the same step
        stop, finished = team.most(context.signal() or 0), moment.epoch == total
        due = time.monotonic() - saved_at > _RESUME_EVERY
        needed = stop or due or between(moment.epoch, moment.step)
        if needed and not finished and team.leads:
            _write_snapshot(folder, manifest, moment.snapshot())
            saved_at = time.monotonic()
        context.observe(moment)
        if stop and not finished:
            raise Interrupted(stop, told(moment.epoch))
        if between(moment.epoch, moment.step):
            context.progress(f"looking for {recipe.k} clusters to learn", 0, 0)
            context.rest(told(moment.epoch))

    if snapshot is not None and between(snapshot.epoch, snapshot.step):
        context.rest(told(snapshot.epoch))
    training.train(
        images.pixels,
        recipe,
        seed=manifest.seed,
        device=context.device,
        resume=snapshot,
        team=team,
        observe=keep,
    )
    if team.leads:
        folder.resume_file.unlink(missing_ok=True)


def _refuse_other(old: Manifest, new: Manifest, folder: RunFolder) -> None:
    """An interrupted run goes on with the request it was started with, or not at all."""

    def shown(recipe: Recipe, name: str) -> str:
        value = getattr(recipe, name)
        return "'auto'" if (name, value) == ("k", AUTO_K) else repr(value)

    changes = [
        f"{name} was {shown(old.recipe, name)} and is {shown(new.recipe, name)}"
        for name in (field.name for field in dataclasses.fields(Recipe))
        if getattr(old.recipe, name) != getattr(new.recipe, name)
    ]
    if old.seed != new.seed:
        changes.append(f"seed was {old.seed} and is {new.seed}")
    if old.data_digest != new.data_digest:
        changes.append("the images are others")
    if (old.val_images, old.val_labels) != (new.val_images, new.val_labels):
        changes.append("the validation data are others")
    if changes:
        raise InputError(
            f"this run was started otherwise: {'; '.join(changes[:4])}",
            where=str(folder.path),
            expected="the flags of its start",
            mend="repeat those, or replace the run with --force",
        )


def _check_disk(context: Context, manifest: Manifest, images: Images) -> None:
    recipe = manifest.recipe
    network = build(recipe, manifest.shape[3], seed=0)
    size = sum(value.nbytes for value in state_arrays(network).values())
    count = len(checkpoint_epochs(recipe))
    copies = 1 if recipe.optimizer == "sgd" and not recipe.momentum else 3
    needed = size * (count + copies)
    context.say(
        f"{count} checkpoints of {size / 1e6:.1f} MB and the state to resume"
        f" will take up to {needed / 1e6:.0f} MB"
    )
    free = shutil.disk_usage(context.folder.path).free
    # what a former run takes will be freed, what an interrupted one takes need not be written again
    free += sum(f.stat().st_size for f in context.folder.state_files() if f.exists())
    needed += images.pixels.nbytes if images.listing else 0
    if free < needed:
        raise WriteError(
            f"{free / 1e6:.0f} MB are free and {needed / 1e6:.0f} MB will be needed",
            where=str(context.folder.path),
            mend="free space or choose another place with --run",
        )


def _metrics_up_to(folder: RunFolder, epoch: int) -> list[str]:
    if epoch == 0 or not folder.metrics_file.exists():
        return []
    try:
        lines = folder.metrics_file.read_text(encoding="utf-8").splitlines()
        # the first may be missing, if somebody deleted a damaged file as they were told
        start = json.loads(lines[0])["epoch"] if lines else 1
        kept = lines[: max(0, epoch - start + 1)]
        if [json.loads(line)["epoch"] for line in kept] == list(range(start, start + len(kept))):
            return kept
        problem = "its epochs are not in order"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise InputError(
        f"is damaged ({problem})",
        where=str(folder.metrics_file),
        expected="one JSON object an epoch, as aeclust train wrote it",
        mend="delete it",
    )


def write_weights(
    folder: RunFolder, manifest: Manifest, epoch: int, weights: dict[str, NDArray[Any]]
) -> str:
    """Write the checkpoint of an epoch, its state dict; returns its digest."""
    arrays = {f"state_dict/{name}": value for name, value in weights.items()}
    return artifacts.write(
        folder.weights_file(epoch), _artifact("weights", arrays, manifest, {"epoch": epoch})
    )


def _write_snapshot(folder: RunFolder, manifest: Manifest, snapshot: training.Snapshot) -> None:
    arrays = {f"state_dict/{name}": value for name, value in snapshot.weights.items()}
    arrays |= {f"optimizer/{name}": value for name, value in snapshot.optimizer.items()}
    if snapshot.targets is not None:
        arrays["targets"] = snapshot.targets
    arrays["progress"] = np.array([snapshot.epoch, snapshot.step, *snapshot.totals], np.float64)
    artifacts.write(folder.resume_file, _artifact("resume", arrays, manifest, {}))


def _read_snapshot(folder: RunFolder, manifest: Manifest) -> training.Snapshot | None:
    if not folder.resume_file.exists():
        return None
    artifact = artifacts.read(folder.resume_file, "resume")
    recipe = Recipe.from_json(artifact.recipe, where=str(folder.resume_file))
    ours = (manifest.recipe, manifest.seed, manifest.data_digest)
    if (recipe, artifact.seed, artifact.parents.get("data")) != ours:
        raise InputError(
            "it is of another run",
            where=str(folder.resume_file),
            expected="the state of this one",
            mend="restore the run's own file, or train again with --force",
        )
    epoch, step, *totals = artifact.arrays["progress"].tolist()
    return training.Snapshot(
        artifact.group("state_dict/"),
        artifact.group("optimizer/"),
        int(epoch),
        int(step),
        tuple(totals),
        artifact.arrays.get("targets"),
    )


def _artifact(
    kind: str, arrays: dict[str, NDArray[Any]], manifest: Manifest, details: dict[str, Any]
) -> Artifact:
    return Artifact(
        kind=kind,
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.data_digest},
        details={"image_channels": manifest.shape[3], **details},
    )
