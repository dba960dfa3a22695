"""The commands that check: evaluate, compare, info, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aeclust.cli import answers, completion, options, setup, streams, values
from aeclust.cli.answers_check import compared_answer, evaluated_answer
from aeclust.cli.app import CHECK, KNOWN, command
from aeclust.cli.threads import on_threads
from aeclust.errors import InputError


@command(CHECK)
def evaluate(
    *,
    predicted: Annotated[
        str,
        options.labels_argument("PREDICTED", "Labels to score: a run for its current ones,"),
    ],
    truth: Annotated[str, options.labels_argument("TRUTH", "True labels:")],
    known: Annotated[
        list[str] | None,
        options.known_option("Known labels that steered PREDICTED: their images are not scored."),
    ] = None,
    with_known: Annotated[
        bool,
        options.flag("--with-known", KNOWN, "Score the images with known labels as well."),
    ] = False,
    plot: options.Picture = None,
    as_json: options.Json = False,
) -> None:
    """Score labels against the truth: accuracy, NMI, ARI, and a table of clusters by classes.

    aeclust evaluate submission.csv demo:scenes
    aeclust evaluate aeclust-run demo:scenes --plot classes.png
    aeclust predict demo:scenes-val | aeclust evaluate - demo:scenes-val
    """
    if known and with_known:
        raise values.exclusive("`known`, `with_known`")
    with streams.writable(plot, ".png") as target, setup.about(predicted) as context:
        from aeclust.run.evaluate import evaluate as evaluate_labels

        result = evaluate_labels(
            context, predicted, truth, known=known or (), with_known=with_known, plot=target
        )
        setup.reply(evaluated_answer(result), as_json, plot)


@command(CHECK)
def compare(
    *,
    runs: options.Clusterings,
    plot: options.Picture = None,
    output: options.Output = None,
    as_json: options.Json = False,
) -> None:
    """Measure how stable clusters are: how far other runs or files give the same ones.

    aeclust compare seed-1 seed-2 seed-3 --plot moved.png
    aeclust compare aeclust-run submission.csv -o stability.csv
    """
    if plot == output == streams.STREAM:
        raise values.exclusive("`plot` -, `output` -")
    streamed = streams.STREAM if streams.STREAM in (plot, output) else None
    with (
        streams.writable(plot, ".png") as picture,
        streams.writable(output, ".csv", binary=False) as table,
    ):
        from aeclust.run.compare import compare as compare_runs

        compared = compare_runs(setup.about, runs, output=table, plot=picture)
        setup.reply(compared_answer(compared), as_json, streamed)


@command(CHECK)
def info(
    *,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|RUN",
            help="A file of aeclust, or a run folder.",
            show_default="the run",
            autocompletion=completion.paths,
        ),
    ] = None,
    run: options.Run = options.DEFAULT_RUN,
    as_json: options.Json = False,
) -> None:
    """Describe a file or a run, verify it, and list what is out of date and why.

    aeclust info
    aeclust info aeclust-run/labels.h5
    aeclust info --json
    """
    from aeclust.run.info import file_info, run_info

    if target is not None and not target.is_dir():
        setup.reply(answers.file_answer(file_info(target)), as_json)
        return
    folder = setup.run_folder(run if target is None else target)
    whole = run_info(folder)
    setup.reply(answers.run_answer(whole, folder.command("train --resume")), as_json)
    if whole.damaged:
        raise InputError("; ".join(whole.damaged))


@command(CHECK)
def doctor(
    *,
    run: options.Run = options.DEFAULT_RUN,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Check this machine: versions, devices, memory, and what will cause trouble.

    aeclust doctor
    aeclust doctor --run results --json
    """
    from aeclust.run.doctor import examine

    with on_threads(threads):
        health = examine(run)
    setup.reply(answers.health_answer(health), as_json)
    if health.problems:
        raise typer.Exit(2)
