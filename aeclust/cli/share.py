"""The commands that take results elsewhere: name, export."""

from __future__ import annotations

from typing import Annotated

import typer

from aeclust.cli import answers, completion
from aeclust.cli.app import OUTPUT, SHARE, command
from aeclust.cli.options import (
    Checkpoint,
    Common,
    KnownLabels,
    exclusive,
    flag,
    parse_names,
)
from aeclust.cli.setup import (
    reply,
    surroundings,
)


@command(SHARE)
def name(
    *,
    assignments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[CLUSTER=NAME]...", help="As 0=landscape; 0= removes a name."),
    ] = None,
    labels: KnownLabels = None,
    clear: Annotated[bool, flag("--clear", OUTPUT, "Remove all names.")] = False,
    common: Common,
) -> None:
    """Name the clusters (names.json), or list them with their names, sizes and confidence.

    aeclust name 0=landscape 1=other
    aeclust name --labels known.csv
    aeclust name
    """
    if sum([bool(assignments), labels is not None, clear]) > 1:
        raise exclusive("CLUSTER=NAME, `labels`, `clear`")
    given = parse_names(assignments or [])
    with surroundings(common) as context:
        from aeclust.run import names

        if labels is not None:
            named = names.names_by_labels(context, labels)
        elif clear:
            named = names.clear_names(context)
        elif given:
            named = names.give_names(context, given)
        else:
            named = names.list_clusters(context)
        reply(answers.names_answer(named), common.as_json)


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
        bool, flag("--link", OUTPUT, "Link to the images instead of copying them.")
    ] = False,
    checkpoint: Checkpoint = None,
    force: Annotated[bool, flag("--force", OUTPUT, "Replace what an export left there.")] = False,
    common: Common,
) -> None:
    """Take clusters, latents or the network elsewhere; what DEST ends in decides.

    aeclust export sorted
    aeclust export clusters.csv
    aeclust export encoder.onnx
    """
    with surroundings(common) as context:
        from aeclust.run.export import export as export_run

        made = export_run(context, destination, link=link, checkpoint=checkpoint, force=force)
        reply(answers.export_answer(made), common.as_json)
