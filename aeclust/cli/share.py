"""The commands that take results elsewhere: name, export."""

from __future__ import annotations

from typing import Annotated

import typer

from aeclust.cli import answers, completion, options, setup, values
from aeclust.cli.answers_cluster import names_answer
from aeclust.cli.app import OUTPUT, SHARE, command


@command(SHARE)
def name(
    *,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CLUSTER=NAME]...", help="Such as 0=landscape; 0= removes the name."
        ),
    ] = None,
    labels: options.KnownLabels = None,
    clear: Annotated[bool, options.flag("--clear", OUTPUT, "Remove all names.")] = False,
    common: options.Common,
) -> None:
    """Name the clusters (names.json), or list them with their names, sizes and confidence.

    aeclust name 0=landscape 1=other
    aeclust name --labels known.csv
    aeclust name
    """
    if sum([bool(assignments), labels is not None, clear]) > 1:
        raise values.exclusive("CLUSTER=NAME, `labels`, `clear`")
    given = values.parse_names(assignments or [])
    with setup.surroundings(common) as context:
        from aeclust.run import naming

        if labels is not None:
            named = naming.names_by_labels(context, labels)
        elif clear:
            named = naming.clear_names(context)
        elif given:
            named = naming.give_names(context, given)
        else:
            named = naming.list_clusters(context)
        setup.reply(names_answer(named), common.as_json)


@command(SHARE)
def export(
    *,
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DEST",
            help="A folder (no ending) of images by cluster, or a file that ends in .csv, .json,"
            " .npz, .safetensors (the network) or .onnx (its encoder).",
            autocompletion=completion.paths,
        ),
    ],
    link: Annotated[
        bool, options.flag("--link", OUTPUT, "Link to the images instead of copying them.")
    ] = False,
    checkpoint: options.Checkpoint = None,
    min_confidence: options.MinConfidence = None,
    without_duplicates: Annotated[
        bool,
        options.flag(
            "--without-duplicates",
            OUTPUT,
            "Of each group of look-alikes keep one image.",
        ),
    ] = False,
    force: Annotated[
        bool, options.flag("--force", OUTPUT, "Replace what an export left there.")
    ] = False,
    common: options.Common,
) -> None:
    """Write images by cluster, a table of labels, or the network; the ending of DEST decides.

    aeclust export sorted
    aeclust export clusters.csv --without-duplicates
    aeclust export encoder.onnx
    """
    with setup.surroundings(common) as context:
        from aeclust.run.export import export as export_run

        made = export_run(
            context,
            destination,
            link=link,
            checkpoint=checkpoint,
            min_confidence=min_confidence,
            without_duplicates=without_duplicates,
            force=force,
        )
        setup.reply(answers.export_answer(made), common.as_json)
