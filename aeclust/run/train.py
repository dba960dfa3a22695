"""Training into a run folder: checkpoints, metrics, and the state to resume."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aeclust.errors import InputError, Interrupted, at
from aeclust.images import Images, Source, check_enough, is_files, load, truth
from aeclust.network import training
from aeclust.network.training import Snapshot
from aeclust.recipe import Recipe, named
from aeclust.run import encoders
from aeclust.run.budget import Budget
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.images import (
    as_in_run,
    check_alike,
    describe_images,
    keep_images,
    kept_images,
)
from aeclust.run.keeper import Keeper
from aeclust.run.manifest import Manifest, check_trains, refuse_other, some_of
from aeclust.run.start import begin
from aeclust.run.steering import steering_at_start
from aeclust.run.weights import (
    check_disk,
    read_snapshot,
    read_start,
    weights_to_begin_with,
)

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
    encoder_file: str | None = None,
    val_images: str | None = None,
    val_labels: str | None = None,
    kept: tuple[int, ...] | None = None,
    budget: Budget | None = None,
    known: Sequence[str] = (),
    resume: bool = False,
    learn_on: bool = False,
    force: bool = False,
) -> Trained:
    """Train a recipe on images into the run folder.

    Parameters
    ----------
    context, source, recipe, seed
    encoder_file : str, optional
        With the frozen encoder that the recipe names, or its weights.
    val_images, val_labels : str, optional
        Labelled images for reporting and naming.
    kept : tuple of int, optional
        The epochs that keep a checkpoint, if not the usual ones.
    budget : Budget, optional
        What training may take: the recipe for it is chosen, unless the run is there already.
    known : sequence of str
        Where known labels are, that training and clusters are to follow.
    resume : bool
        Go on where an interrupted training stopped, with the images that it was started on,
        whatever has become of them; they may lie elsewhere.
    learn_on : bool
        Begin with the weights of the finished run that is there, and replace it.
    force : bool
        Replace what is there.

    Raises
    ------
    InputError
        If a run is there already and neither `resume`, `learn_on` nor `force` is given, if it is
        resumed with another request, or if the images cannot be used.
    DivergedError
        If training diverges; checkpoints saved so far are kept.
    Interrupted
        After a signal, once the state is saved.
    WriteError
        If the disk has too little room or a file cannot be written.
    """
    check_trains(recipe)
    context.rest(_UNCHANGED)
    folder, team = context.folder, context.team
    former = folder.manifest() if (resume or learn_on) and folder.exists() else None
    if team.leads and not (resume or learn_on or force):
        folder.refuse_run()
    given = begin(context, former, source, recipe, encoder_file, learn_on=learn_on)
    former, images, source = given.former, given.images, given.source
    recipe, encoder_file = given.recipe, given.encoder_file
    if budget is not None and (former is None or learn_on):
        recipe = given.planned(context, budget, seed)
        kept = budget.keep(recipe)
    context.expect(recipe.total_epochs)
    describe_images(context, images, recipe)
    if former is None and (advice := encoders.advice(recipe, images)):
        context.log(advice)
    manifest = Manifest(
        source=source,
        data_digest=images.digest(),
        shape=images.pixels.shape,
        some=some_of(images.ids),
        recipe=recipe,
        seed=seed,
        val_images=val_images,
        val_labels=val_labels,
        encoder_file=encoder_file,
        kept=kept,
        threads=context.threads,
        minutes=None if budget is None else budget.minutes,
    )
    if former is not None:
        manifest = _after(former, manifest, learn_on=learn_on)
    steering = steering_at_start(context, manifest, images, known, former, learn_on=learn_on)
    manifest = dataclasses.replace(manifest, steering=steering)
    _check_apart(folder, source)
    _check_images(context, manifest, images)
    if not team.leads:
        context.rest(None)  # from here on the leader changes files: all of them end together
    with folder.lock() if team.leads else contextlib.nullcontext():
        ways = {"resume": resume, "learn_on": learn_on, "force": force}
        start = _prepare(context, manifest, images, **ways) if team.leads else _Start()
        start = team.broadcast(start)
        context.rest(None)
        if not start.finished:
            _train_and_save(context, images, manifest, start)
        metrics = [{}, *folder.metrics()][-1]
        return Trained(manifest, folder.checkpoints(), not start.finished, metrics)


def _after(former: Manifest, manifest: Manifest, *, learn_on: bool) -> Manifest:
    """What a run is started for that learns on from a former one, or resumes it."""
    if learn_on:
        return dataclasses.replace(manifest, former=(*former.former, former.identity))
    return dataclasses.replace(
        manifest,
        trained_on=former.trained_on,
        former=former.former,
        flattened=former.flattened,
        threads=former.threads,
        minutes=former.minutes if manifest.minutes is None else manifest.minutes,
    )


def _check_apart(folder: RunFolder, source: Source) -> None:
    """Refuse a run folder that holds its images: what is below it is never one."""
    home, images = (Path(os.path.realpath(path)) for path in (folder.path, source.location))
    if is_files(source.location) and images.is_relative_to(home):
        raise InputError(
            "the run folder is or holds the folder of the images",
            where="`run`",
            expected="another folder; one among the images will do",
            mend="change `run`, or leave it out",
        )


def _check_images(context: Context, manifest: Manifest, images: Images) -> None:
    """Refuse images that cannot be trained on, and processes with other ones."""
    with at(manifest.source.location):
        check_enough(images.pixels, manifest.recipe.k)
        training.check_batches(len(images), manifest.recipe, context.team)
        _check_validation(manifest)  # before all agree: one that fails here ends all of them
        context.check_same(manifest.identity)


def _check_validation(manifest: Manifest) -> None:
    """Refuse before hours of training what only later commands use."""
    if manifest.val_images is None or manifest.val_labels is None:
        return
    others = load(as_in_run(manifest, Source(location=manifest.val_images)))
    check_alike(others, manifest)
    truth.load(manifest.val_labels).aligned(others.ids)


@dataclass(frozen=True)
class _Start:
    """Where training starts: nowhere if it is finished, at the first step without a snapshot.

    `weights` are those to begin with instead of random ones.
    """

    finished: bool = False
    snapshot: Snapshot | None = None
    weights: dict[str, NDArray[Any]] | None = None


def _prepare(
    context: Context,
    manifest: Manifest,
    images: Images,
    *,
    resume: bool,
    learn_on: bool,
    force: bool,
) -> _Start:
    """Make the folder that of this run, whose lock is held."""
    folder, recipe = context.folder, manifest.recipe
    snapshot = None
    if resume:
        folder.finish_replacing()
    if folder.exists():
        if resume:
            refuse_other(folder.manifest(), manifest, folder.path)
            if _finished(context, manifest):
                return _Start(finished=True)
            snapshot = read_snapshot(folder, manifest)
            if snapshot is None:
                # the same steps again give the same checkpoints, so those stay
                context.log(f"{folder.path}: no state was saved yet, starting from the first step")
        elif not (force or learn_on):
            folder.refuse_run()
    elif folder.checkpoints() and not force:
        raise InputError(
            "there are checkpoints here, but no run.json",
            where=str(folder.path),
            expected="an empty or new folder, or a whole run",
            mend="restore run.json, replace all with `force`, or change `run`",
        )
    elif learn_on:
        raise InputError(
            "there is no run here",
            where=str(folder.path),
            expected="a finished one to learn on from",
            mend="leave out `continue`, or change `run`",
        )
    check_disk(context, manifest, images)  # before anything is removed
    if recipe.encoder:
        encoders.check_kept(folder)
    if stop := context.signal():
        raise Interrupted(stop, _UNCHANGED)
    context.rest(None)
    weights = None
    if learn_on:
        weights = weights_to_begin_with(context, manifest)
        keep_images(context, manifest, images)  # the former run knows its own by their latents
    if resume and folder.exists():
        folder.write_manifest(manifest)
    else:
        folder.begin(manifest)
    if kept_images(context, manifest) is None:
        keep_images(context, manifest, images)
    if manifest.former and weights is None and snapshot is None:
        weights = read_start(folder, manifest)
    if not manifest.former:
        folder.start_file.unlink(missing_ok=True)
    return _Start(snapshot=snapshot, weights=weights)


def _finished(context: Context, manifest: Manifest) -> bool:
    """Whether the run that is there is finished; it then learns where its images lie now."""
    folder = context.folder
    if manifest.recipe.total_epochs not in folder.checkpoints() or folder.resume_file.exists():
        return False
    old, file = folder.manifest(), manifest.encoder_file
    moved = dataclasses.replace(old, source=manifest.source, encoder_file=file)
    if moved != old:  # the images, or the encoder, lie elsewhere
        folder.write_manifest(moved)
    context.log(f"{folder.path}: finished already, nothing to do")
    return True


def _train_and_save(context: Context, images: Images, manifest: Manifest, start: _Start) -> None:
    recipe, snapshot = manifest.recipe, start.snapshot
    if recipe.total_epochs < recipe.epochs + recipe.label_epochs:
        context.log("no number of clusters is given: training leaves out its part that needs one")
    elif recipe.epochs == 1 and named(recipe.name).label_epochs > recipe.label_epochs == 0:
        context.log(
            "with one epoch, the last part of training, which learns the clusters, is left out"
        )
    features = None
    if recipe.encoder:
        again = context.folder.command("train --resume")
        if context.team.size == 1:  # several end together, or not at all
            context.rest(f"interrupted before the first epoch; start again with {again}")
        features = encoders.run_features(context, manifest, images)
        context.rest(None)
    known = None if manifest.steering is None else manifest.steering.known(len(images))[0]
    with contextlib.closing(Keeper(context, manifest, snapshot)) as keeper:
        training.train(
            images.pixels,
            recipe,
            features=features,
            known=known,
            seed=manifest.seed,
            device=context.device,
            resume=snapshot,
            initial=start.weights,
            team=context.team,
            observe=keeper,
            log=context.log,
        )
    if context.team.leads:
        for file in (context.folder.resume_file, context.folder.start_file):
            file.unlink(missing_ok=True)
