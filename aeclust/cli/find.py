"""The commands that find images: find similar, duplicates, outliers."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aeclust.cli import answers_find, completion, options, setup, streams
from aeclust.cli.app import LOOK, OUTPUT, command, verbs

find = verbs(
    LOOK,
    "find",
    "Find images: like one of them, look-alikes of each other, or unlike all others.",
)


def _count(text: str) -> Any:
    return options.option(OUTPUT, text, "N", "-n", "--count", min=1, max=100_000)


@command(LOOK, of=find)
def similar(
    *,
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="An id as aeclust predict prints it, or any file with one image.",
            autocompletion=completion.paths,
        ),
    ],
    count: Annotated[int, _count("Number of images.")] = 12,
    output: options.Output = None,
    common: options.Common,
) -> None:
    """List the images most like one, the nearest first, and draw them (similar.png).

    aeclust find similar 3
    aeclust find similar photos/coast/003.png -n 24
    """
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run.find.search import similar as similar_run

        answer = answers_find.similar_answer(similar_run(context, image, count, output=target))
        setup.reply(answer, common.as_json, output, quiet=common.quiet)


@command(LOOK, of=find)
def duplicates(*, output: options.Output = None, common: options.Common) -> None:
    """List groups of look-alikes: equal, resized, cropped, recoloured, mirrored (duplicates.png).

    aeclust find duplicates
    aeclust find duplicates -o copies.pdf
    """
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run.find.duplicates import duplicates as duplicates_run

        answer = answers_find.duplicates_answer(duplicates_run(context, output=target))
        setup.reply(answer, common.as_json, output, quiet=common.quiet)


@command(LOOK, of=find)
def outliers(
    *,
    count: Annotated[int, _count("Number of images.")] = 30,
    output: options.Output = None,
    common: options.Common,
) -> None:
    """List the images that are least like the others, and draw them (outliers.png).

    aeclust find outliers
    aeclust find outliers -n 100 --json
    """
    with streams.writable(output, ".png") as target, setup.surroundings(common) as context:
        from aeclust.run.find.search import outliers as outliers_run

        answer = answers_find.outliers_answer(outliers_run(context, count, output=target))
        setup.reply(answer, common.as_json, output, quiet=common.quiet)
