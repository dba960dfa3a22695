"""The commands that check: evaluate, info, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aeclust.cli import answers, completion, options, setup
from aeclust.cli.app import CHECK, command
from aeclust.cli.threads import on_threads
from aeclust.errors import InputError


@command(CHECK)
def evaluate(
    *, predicted: options.LabelsFile, truth: options.LabelsFile, as_json: options.Json = False
) -> None:
    """Score labels against the truth: accuracy by best matching, NMI, ARI, cluster sizes.

    aeclust evaluate submission.csv demo:scenes
    aeclust predict demo:scenes-val | aeclust evaluate - demo:scenes-val
    """
    from aeclust.clusters.scores import score
    from aeclust.images import truth as labels

    ours, known = (labels.load(each, texts=True) for each in (predicted, truth))
    clusters, classes = labels.pair(ours, known)
    result = score(clusters, classes)
    setup.reply(answers.scores_answer(result, labelled=len(classes), images=len(ours)), as_json)


@command(CHECK)
def info(
    *,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|RUN",
            help="An artifact or a run folder.",
            show_default="the run",
            autocompletion=completion.paths,
        ),
    ] = None,
    run: options.Run = options.DEFAULT_RUN,
    as_json: options.Json = False,
) -> None:
    """Say what a file or a run is, verify it, and list what is stale and why.

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
    """Say what this machine offers, and what will hurt.

    aeclust doctor
    aeclust doctor --run results --json
    """
    from aeclust.run.doctor import examine

    with on_threads(threads):
        health = examine(run)
    setup.reply(answers.health_answer(health), as_json)
    if health.problems:
        raise typer.Exit(2)
