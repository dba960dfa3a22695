"""The commands that make a run: train, embed, cluster, predict."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from aeclust.cli import answers, options, setup, streams, values
from aeclust.cli.answers_cluster import clusters_answer, updated_answer
from aeclust.cli.app import KNOWN, OUTPUT, WORK, command
from aeclust.cli.terminal import deferred_signals
from aeclust.cli.training import Asked, Training
from aeclust.errors import InputError
from aeclust.network.place import by_torchrun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from aeclust.run.context import Context
    from aeclust.run.predict import Prediction


@command(WORK)
def train(
    *,
    images: options.TrainImages,
    training: Training,
    validation: options.Validation,
    known: options.Steering = None,
    resume: Annotated[
        bool, options.flag("--resume", OUTPUT, "Continue an interrupted training, or start one.")
    ] = False,
    continue_: Annotated[
        bool,
        options.flag(
            "--continue", OUTPUT, "Train a finished run further, with its images as they are now."
        ),
    ] = False,
    force: Annotated[
        bool, options.flag("--force", OUTPUT, "Replace the run in the folder.")
    ] = False,
    seed: options.Seed = None,
    common: options.Common,
) -> None:
    """Train a network on unlabelled images; its checkpoints go into the run folder.

    aeclust train
    aeclust train photos/ -k 5
    aeclust train demo:digits -k 10 --epochs 20 --run digits
    """
    if resume + continue_ + force > 1:
        raise values.exclusive("`resume`, `continue`, `force`")
    given = validation.both()
    folder = setup.run_folder(common.run)
    begun = folder.manifest() if continue_ or (resume and folder.exists()) else None
    asked = Asked.of(training, images, given, begun, seed=seed, learn_on=continue_)
    if training.write_config and (asked.budget is None or (resume and begun is not None)):
        setup.reply(answers.recipe_answer(asked.shown(asked.recipe)), common.as_json)
        return
    if images.data is not None and begun is None:
        from aeclust.images import check_location

        check_location(asked.source.location)
    if not (resume or continue_ or force or training.write_config or by_torchrun(os.environ)):
        folder.refuse_run()  # before the libraries of training are loaded
    kept = training.kept(asked.recipe, begun)
    with (
        deferred_signals() as signals,
        setup.surroundings(
            common,
            together=True,
            epochs=asked.recipe.total_epochs,
            begins=begun is None,
            signals=signals,
        ) as context,
    ):
        from aeclust.run.clusters import log_unused_k
        from aeclust.run.train import train as train_run

        log_unused_k(context, asked.recipe, training.k)
        if training.write_config:
            planned = asked.planned(context, learn_on=continue_)
            if context.team.leads:
                setup.reply(answers.recipe_answer(asked.shown(planned)), common.as_json)
            return
        trained = train_run(
            context,
            asked.source,
            asked.recipe,
            seed=asked.seed,
            encoder_file=asked.encoder_file,
            val_images=asked.val_images,
            val_labels=asked.val_labels,
            kept=kept,
            budget=asked.budget,
            known=known or (),
            resume=resume,
            learn_on=continue_,
            force=force,
        )
        if context.team.leads:
            setup.reply(answers.trained_answer(common.run, trained), common.as_json)
            setup.log_next(context, _look(context), _labels(context))


@command(WORK)
def embed(
    *,
    checkpoint: options.Checkpoint = None,
    images: options.Images,
    features: options.Features = None,
    output: options.Output = None,
    force: options.Force = False,
    common: options.Common,
) -> None:
    """Compute a vector for each image (latents.h5), or begin a run with vectors of your own.

    aeclust embed --checkpoint 5
    aeclust embed demo:scenes-val -o val-latents.h5
    aeclust embed --features clip.npy photos/ --run clip
    """
    if features is not None and checkpoint is not None:
        raise values.exclusive("`features`, `checkpoint`")
    source, vectors = images.source(), options.features_at(features)
    with (
        streams.writable(output, ".h5") as target,
        setup.surroundings(
            common, output=output, together=vectors is None, begins=vectors is not None
        ) as context,
    ):
        from aeclust.run import latents

        made, file = None, target
        if vectors is not None:
            from aeclust.run.features import embed_features

            made, file = embed_features(context, vectors, source, force=force), None
            source = None
        elif source is not None:  # None where these are the images of the run
            made = latents.embed_others(context, source, target, checkpoint=checkpoint)
        if made is None or file is None:
            made = made or latents.embed(context, checkpoint=checkpoint, force=force)
            file = context.folder.latents_file
            file = setup.copy_to(file, target) if context.team.leads else file
        if context.team.leads:
            answer = answers.latents_answer(file, made)
            setup.reply(answer, common.as_json, output, quiet=common.quiet)
            if not made.fresh and source is None:
                setup.log_next(context, _look(context), _labels(context))


@command(WORK)
def cluster(
    *,
    clustering: options.Clustering,
    known: options.Steering = None,
    plot: Annotated[
        Path | None,
        options.picture("Draw which clusters merge first, and what auto found for each number:"),
    ] = None,
    output: options.Output = None,
    force: options.Force = False,
    seed: options.RunSeed = None,
    common: options.Common,
) -> None:
    """Group the images into clusters (labels.h5).

    aeclust cluster -k 3
    aeclust cluster -k auto --clusterer kmeans
    aeclust cluster --known known.csv
    """
    if output == plot == streams.STREAM:
        raise values.exclusive("`output` -, `plot` -")
    with (
        streams.writable(output, ".h5") as target,
        streams.writable(plot, ".png") as picture,
        setup.surroundings(common, output=output) as context,
    ):
        from aeclust.run import choice
        from aeclust.run.clusters import cluster as cluster_run
        from aeclust.run.names import read_names
        from aeclust.run.verdict import verdict

        choice.check_picture(context, picture)

        made = cluster_run(
            context, overrides=clustering.given(), known=known or (), seed=seed, force=force
        )
        file = setup.copy_to(context.folder.labels_file, target)
        seen = choice.look(context, made.artifact, plot=picture)
        names = read_names(context.folder)
        called = names.names if names is not None and names.fit(made.artifact) else {}
        judged = verdict(context.folder, made.artifact, called)
        stream = plot if plot == streams.STREAM else output
        answer = clusters_answer(file, made, seen, judged)
        setup.reply(answer, common.as_json, stream, quiet=common.quiet)
        if not made.fresh:
            logged = picture is not None  # with the picture
            if names is not None and names.names and not called and not logged:
                context.log("the clusters have changed: their former names are not used any more")
            steps = [(step.what, step.command) for step in judged.steps]
            setup.log_next(context, _look(context), *steps)


@command(WORK)
def update(*, images: options.Images, common: options.Common) -> None:
    """Take in the images as they are now: cluster all again, keep the names, train nothing.

    aeclust update
    aeclust update --json
    """
    source = images.source()
    with setup.surroundings(common) as context:
        from aeclust.run.update import update as update_run

        updated = update_run(context, source)
        setup.reply(updated_answer(common.run, updated), common.as_json)
        setup.log_next(context, _look(context), _labels(context))


def _look(context: Context) -> tuple[str, str]:
    return "look at the clusters", context.folder.command("report")


def _labels(context: Context) -> tuple[str, str]:
    return "save the labels", context.folder.command("predict > submission.csv")


@command(WORK)
def predict(
    *,
    images: options.Images,
    features: options.Features = None,
    invert: Annotated[
        bool, options.flag("--invert", KNOWN, "Swap the labels of two clusters.")
    ] = False,
    names: Annotated[
        bool, options.flag("--names", KNOWN, "Print names (see aeclust name) in place of numbers.")
    ] = False,
    validation: options.Validation,
    confidence: Annotated[
        bool,
        options.flag("--confidence", OUTPUT, "Add a column: how likely each label holds, 0 to 1."),
    ] = False,
    min_confidence: options.MinConfidence = None,
    output: options.Output = None,
    common: options.Common,
) -> None:
    """Print id,label for every image; what is missing or out of date is made first.

    aeclust predict > submission.csv
    aeclust predict --names > named.csv
    aeclust predict - < new-images.npy
    """
    if names and (invert or validation != options.Validation()):
        raise InputError(
            "the clusters have names already",
            where="`names`",
            expected="neither `invert` nor `val_images` and `val_labels` beside it",
            mend="leave out one of them",
        )
    source = images.source()
    if features is not None and source is not None:
        raise values.exclusive("DATA, `features`")
    source = options.features_at(features) or source
    with setup.surroundings(common, output=output) as context:
        texts = None
        if names:
            from aeclust.run.naming import predict_names

            prediction, texts = predict_names(context, source, min_confidence=min_confidence)
        else:
            from aeclust.run.predict import predict as predict_run

            prediction = predict_run(
                context,
                source,
                invert=invert,
                val_images=validation.source(),
                val_labels=validation.val_labels,
                min_confidence=min_confidence,
            )
        text = _table(prediction, texts, as_json=common.as_json, confidence=confidence)
        setup.emit(text, None if output == streams.STREAM else output)


def _table(
    prediction: Prediction, names: NDArray[np.str_] | None, *, as_json: bool, confidence: bool
) -> str:
    """Images with their labels, or the names of these, as CSV or JSON."""
    from aeclust.images.written import rounded, to_csv, to_json
    from aeclust.run.naming import label_column

    ids, labels = prediction.ids, prediction.labels
    if as_json:
        return to_json(ids, labels, prediction.confidence, names)
    more = {"confidence": rounded(prediction.confidence)} if confidence else {}
    written = labels if names is None else label_column(names, labels)
    return to_csv(ids, written, **more)
