"""The commands that draw: reconstruct, checkpoint-curve, plot, report."""

from __future__ import annotations

from typing import Annotated

import typer

from aeclust.cli import answers, options, setup, streams, values
from aeclust.cli.app import IMAGES, LOOK, OUTPUT, command
from aeclust.errors import InputError


@command(LOOK)
def reconstruct(
    *,
    idx: Annotated[
        str,
        typer.Option(
            help="Row numbers of the images, in any order.", metavar="1,2,3",
            rich_help_panel=IMAGES,
        ),
    ],
    checkpoint: options.Checkpoint = None,
    images: options.Images,
    output: options.Output = None,
    common: options.Common,
) -> None:  # fmt: skip
    """Draw images above their reconstructions by the network (reconstruction.png).

    aeclust reconstruct --idx 1,2,3,6,7,9
    aeclust reconstruct demo:scenes-val --idx 0,1 -o unseen.svg
    """
    source, rows = images.source(), values.parse_indices(idx)
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run.pictures import reconstruct as reconstruct_run

        drawn = reconstruct_run(context, rows, source, checkpoint=checkpoint, output=target)
        answer = answers.reconstruction_answer(drawn)
        setup.reply(answer, common.as_json, output, quiet=common.quiet)


@command(LOOK, "checkpoint-curve")
def checkpoint_curve(
    *,
    validation: options.Validation,
    output: options.Output = None,
    seed: options.RunSeed = None,
    common: options.Common,
) -> None:
    """Draw reconstruction error and accuracy over the course of training.

    aeclust checkpoint-curve
    aeclust checkpoint-curve --val-images demo:scenes-val --val-labels demo:scenes-val
    """
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run.pictures import checkpoint_curve as curve_run

        made = curve_run(
            context,
            val_images=validation.source(),
            val_labels=validation.val_labels,
            seed=seed,
            output=target,
        )
        if len(made.curve.points) == 1:
            context.log(
                "there is one checkpoint: a point and no curve; aeclust train keeps about a dozen"
                " without --keep-checkpoints"
            )
        answer = answers.curve_answer(made, streamed=output == streams.STREAM)
        setup.reply(answer, common.as_json, output, quiet=common.quiet)


@command(LOOK)
def plot(
    *,
    images: options.Images,
    labels: options.TrueLabels = None,
    thumbnails: Annotated[
        bool, options.flag("--thumbnails", OUTPUT, "Draw some of the images on the map.")
    ] = False,
    gallery: Annotated[
        bool,
        options.flag(
            "--gallery", OUTPUT,
            "Draw typical, doubtful and random images of each cluster instead (gallery.png).",
        ),
    ] = False,
    output: options.Output = None,
    seed: options.RunSeed = None,
    common: options.Common,
) -> None:  # fmt: skip
    """Draw a map of the images by cluster and by true label (embedding.png), or a gallery.

    aeclust plot --gallery
    aeclust plot --labels demo:scenes
    aeclust plot demo:scenes-val -o - > unseen.png
    """
    source = images.source()
    if gallery and (thumbnails or labels is not None):
        raise InputError(
            "a gallery has neither points nor true labels",
            where="`gallery`",
            expected="it without `thumbnails` and `labels`",
            mend="run aeclust plot once for each picture",
        )
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run import maps, pictures

        if gallery:
            shown = pictures.gallery(context, source, seed=seed, output=target)
            answer = answers.gallery_answer(shown)
        else:
            drawn = maps.plot(
                context, source, truth=labels, thumbnails=thumbnails, seed=seed, output=target
            )
            answer = answers.plot_answer(drawn)
        setup.reply(answer, common.as_json, output, quiet=common.quiet)


@command(LOOK)
def report(*, output: options.Output = None, common: options.Common) -> None:
    """Write one HTML page that shows the clusters, to look through and to send (report.html).

    aeclust report
    aeclust report -o clusters.html
    """
    with (
        streams.writable(output, ".html", binary=False) as target,
        setup.surroundings(common) as context,
    ):
        from aeclust.run.page import report as report_run

        answer = answers.report_answer(report_run(context, output=target))
        setup.reply(answer, common.as_json, output, quiet=common.quiet)
