"""The commands that make a run: train, embed, cluster, predict."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from aeclust.cli import answers, options, setup, streams, values
from aeclust.cli.app import KNOWN, OUTPUT, WORK, command
from aeclust.cli.terminal import deferred_signals
from aeclust.cli.training import Training
from aeclust.errors import InputError


@command(WORK)
def train(
    *,
    images: options.TrainImages,
    training: Training,
    validation: options.Validation,
    known: options.Steering = None,
    resume: Annotated[
        bool, options.flag("--resume", OUTPUT, "Continue an interrupted run, or start one.")
    ] = False,
    continue_: Annotated[
        bool,
        options.flag(
            "--continue", OUTPUT, "Learn on from a finished run, with its images as they are now."
        ),
    ] = False,
    force: Annotated[bool, options.flag("--force", OUTPUT, "Replace a run that is there.")] = False,
    seed: options.Seed = None,
    common: options.Common,
) -> None:
    """Learn from unlabelled images; writes checkpoints into the run folder.

    aeclust train
    aeclust train photos/ -k 5
    aeclust train demo:digits -k 10 --epochs 20 --run digits
    """
    val_images, val_labels = validation.both()
    if resume + continue_ + force > 1:
        raise values.exclusive("`resume`, `continue`, `force`")
    # what is not repeated is as it was when the run began
    folder = setup.run_folder(common.run)
    begun = folder.manifest() if continue_ or (resume and folder.exists()) else None
    if begun is not None:
        begun.check_network()
    recipe = training.chosen(None if begun is None else begun.recipe)
    budget = training.budget(begun)
    by_itself = training.epochs is None and budget is None
    if begun is not None and continue_ and not begun.former and by_itself:
        from aeclust.run.checkpoints import further

        recipe = further(recipe)
    settled = budget is None or (resume and begun is not None)
    if training.write_config and settled:
        shown = training.with_path(recipe, None if begun is None else begun.encoder_file)
        setup.reply(answers.recipe_answer(shown), common.as_json)
        return
    kept = training.kept(recipe, begun)
    source = images.chosen(recipe, None if begun is None else begun.source)
    encoder_file = training.encoder_file
    if begun is not None and recipe.encoder == begun.recipe.encoder:
        encoder_file = encoder_file or begun.encoder_file
    if begun is not None:
        seed = begun.seed if seed is None else seed
        val_images, val_labels = val_images or begun.val_images, val_labels or begun.val_labels
    with (
        deferred_signals() as signals,
        setup.surroundings(
            common,
            together=True,
            epochs=recipe.total_epochs,
            begins=begun is None,
            signals=signals,
        ) as context,
    ):
        from aeclust.run.clusters import log_unused_k
        from aeclust.run.train import train as train_run

        log_unused_k(context, recipe, training.k)
        if training.write_config and budget is not None:
            from aeclust.run.start import begin

            start = begin(context, begun, source, recipe, encoder_file, learn_on=continue_)
            planned = start.planned(context, budget, seed or 0)
            if context.team.leads:
                shown = training.with_path(planned, None if begun is None else begun.encoder_file)
                setup.reply(answers.recipe_answer(shown), common.as_json)
            return
        trained = train_run(
            context,
            source,
            recipe,
            seed=seed or 0,
            encoder_file=encoder_file,
            val_images=val_images,
            val_labels=val_labels,
            kept=kept,
            budget=budget,
            known=known or (),
            resume=resume,
            learn_on=continue_,
            force=force,
        )
        if context.team.leads:
            setup.reply(answers.trained_answer(common.run, trained), common.as_json)
            setup.log_next(context, "cluster", "report", "predict > submission.csv")


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
    """Turn images into latents (latents.h5), or begin a run of vectors of your own.

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
                setup.log_next(context, "cluster", "plot")


@command(WORK)
def cluster(
    *,
    clustering: options.Clustering,
    known: options.Steering = None,
    plot: Annotated[
        Path | None,
        options.picture("Draw how clusters merge as k falls, and what auto found for every k:"),
    ] = None,
    output: options.Output = None,
    force: options.Force = False,
    seed: options.RunSeed = None,
    common: options.Common,
) -> None:
    """Group the latents (labels.h5).

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

        choice.check_picture(context, picture)

        made = cluster_run(
            context, overrides=clustering.given(), known=known or (), seed=seed, force=force
        )
        file = setup.copy_to(context.folder.labels_file, target)
        seen = choice.look(context, made.artifact, plot=picture)
        stream = plot if plot == streams.STREAM else output
        answer = answers.clusters_answer(file, made, seen)
        setup.reply(answer, common.as_json, stream, quiet=common.quiet)
        if not made.fresh:
            names = read_names(context.folder)
            told = picture is not None  # with the picture
            if names is not None and not told and names.stale(context.folder):
                anew = context.folder.command("name")
                context.log(f"the names that clusters had are not theirs any more: {anew}")
            setup.log_next(context, "plot", "predict > submission.csv")


@command(WORK)
def update(*, images: options.Images, common: options.Common) -> None:
    """Take the images in as they are now: embed what is new, cluster all anew, keep the names.

    aeclust update
    aeclust update --json
    """
    source = images.source()
    with setup.surroundings(common) as context:
        from aeclust.run.update import update as update_run

        updated = update_run(context, source)
        setup.reply(answers.updated_answer(common.run, updated), common.as_json)
        setup.log_next(context, "report", "predict > submission.csv")


@command(WORK)
def predict(
    *,
    images: options.Images,
    features: options.Features = None,
    invert: Annotated[
        bool, options.flag("--invert", KNOWN, "Swap the names of two clusters.")
    ] = False,
    names: Annotated[
        bool, options.flag("--names", KNOWN, "Print the names that aeclust name gave.")
    ] = False,
    validation: options.Validation,
    confidence: Annotated[
        bool, options.flag("--confidence", OUTPUT, "Add a column: how sure each label is, 0 to 1.")
    ] = False,
    min_confidence: options.MinConfidence = None,
    output: options.Output = None,
    common: options.Common,
) -> None:
    """Print id,label for every image, making what is missing or stale first.

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
        from aeclust.images.written import rounded, to_csv, to_json

        texts = None
        if names:
            from aeclust.run.naming import label_column, predict_names

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
        ids, labels = prediction.ids, prediction.labels
        if common.as_json:
            text = to_json(ids, labels, prediction.confidence, texts)
        else:
            more = {"confidence": rounded(prediction.confidence)} if confidence else {}
            written = labels if texts is None else label_column(texts, labels)
            text = to_csv(ids, written, **more)
        setup.emit(text, None if output == streams.STREAM else output)
