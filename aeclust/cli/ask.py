"""The command that asks: ask."""

from __future__ import annotations

from typing import Annotated

from aeclust.cli import options, setup, streams
from aeclust.cli.answers_ask import asked_answer
from aeclust.cli.app import CORRECT, OUTPUT, command


@command(CORRECT)
def ask(
    *,
    count: Annotated[
        int, options.option(OUTPUT, "How many images.", "N", "-n", "--count", min=1)
    ] = 20,
    output: options.Output = None,
    force: Annotated[
        bool, options.flag("--force", OUTPUT, "Replace a file whose labels the run has not read.")
    ] = False,
    seed: options.RunSeed = None,
    common: options.Common,
) -> None:
    """Choose the images most worth labelling (ask.csv to fill in, ask.png to look at).

    aeclust ask -n 20
    aeclust ask -n 50 -o to-label.csv
    """
    with (
        streams.writable(output, ".csv", binary=False) as target,
        setup.surroundings(common) as context,
    ):
        from aeclust.run.asking import ask as ask_run

        asked = ask_run(
            context,
            count,
            output=target,
            drawn=output != streams.STREAM,
            seed=seed,
            force=force or output == streams.STREAM,
        )
        setup.reply(asked_answer(asked), common.as_json, output, quiet=common.quiet)
        if output != streams.STREAM:
            context.log(f"next: fill in the column label of {asked.file}, then {asked.command}")
