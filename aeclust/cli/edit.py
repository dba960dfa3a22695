"""The commands that correct clusters by hand: edit merge, split, move, drop, and so on."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aeclust.cli import answers_edit, options, setup, streams
from aeclust.cli.app import CLUSTERING, CORRECT, command, verbs
from aeclust.errors import InputError

edit = verbs(
    CORRECT,
    "edit",
    "Correct the clusters by hand (edits.json): merge, split, move, drop. Later commands"
    " use the corrections; labels.h5 stays as it is.",
)

_CALLED = "its number, or its name"
Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help=f"A cluster: {_CALLED}.")]
Ids = Annotated[
    list[str],
    typer.Argument(
        metavar="ID...",
        help="Images as aeclust predict prints them; - reads them from standard input, one a line.",
    ),
]


@command(CORRECT, of=edit)
def merge(
    *,
    clusters: Annotated[
        list[str],
        typer.Argument(metavar="CLUSTER...", help=f"Two clusters or more: each {_CALLED}."),
    ],
    common: options.Common,
) -> None:
    """Merge clusters into the first of them, which keeps its number, and its name if it has one.

    aeclust edit merge 2 5
    aeclust edit merge kitchen pantry
    """
    _edit("merge", common, clusters)


@command(CORRECT, of=edit)
def split(
    *,
    cluster: Cluster,
    k: Annotated[
        int,
        options.option(CLUSTERING, "Number of parts.", "K", "-k", "--parts", min=2, max=1_000),
    ] = 2,
    common: options.Common,
) -> None:
    """Split a cluster by what its images look like; the largest part keeps number and name.

    aeclust edit split 3
    aeclust edit split 3 -k 4
    """
    _edit("split", common, cluster, k)


@command(CORRECT, of=edit)
def move(
    *,
    ids: Ids,
    to: Annotated[
        str, options.option(CLUSTERING, f"A cluster: {_CALLED}; or new.", "CLUSTER", "--to")
    ],
    common: options.Common,
) -> None:
    """Put images into another cluster, or into a new one.

    aeclust edit move coast/003.png town/000.png --to 4
    aeclust edit move --to new -- -odd-name.png
    aeclust edit move - --to kitchen < ids.txt
    """
    _edit("move", common, _given(ids), to)


@command(CORRECT, of=edit)
def drop(*, ids: Ids, common: options.Common) -> None:
    """Take images out of all clusters: their label is -1.

    aeclust edit drop coast/003.png
    aeclust edit drop - < ids.txt
    """
    _edit("drop", common, _given(ids))


@command(CORRECT, of=edit)
def undo(*, common: options.Common) -> None:
    """Take back the last edit.

    aeclust edit undo
    """
    _edit("undo", common)


@command(CORRECT, of=edit)
def clear(*, common: options.Common) -> None:
    """Take back all edits.

    aeclust edit clear
    """
    _edit("undo", common, every=True)


@command(CORRECT, of=edit)
def apply(
    *,
    edits: options.EditsFile,
    common: options.Common,
) -> None:
    """Apply the edits in a file: all of them, or none.

    aeclust edit apply edits.json
    aeclust edit apply corrected.csv
    """
    with setup.surroundings(common) as context:
        from aeclust.run.edits.given import apply_file

        answer = answers_edit.edited_answer(common.run, apply_file(context, edits))
        setup.reply(answer, common.as_json)


@command(CORRECT, "list", of=edit)
def list_(*, common: options.Common) -> None:
    """List the edits: which are in force, and which are not and why.

    aeclust edit list
    """
    with setup.surroundings(common) as context:
        from aeclust.run.edits.verbs import list_edits

        answer = answers_edit.edits_answer(common.run, list_edits(context))
        setup.reply(answer, common.as_json)


def _edit(verb: str, common: options.Common, *words: Any, **more: Any) -> None:
    """Do one edit of :mod:`aeclust.run.edits.verbs`, and answer in a line."""
    with setup.surroundings(common) as context:
        from aeclust.run.edits import verbs

        edited = getattr(verbs, verb)(context, *words, **more)
        setup.reply(answers_edit.edited_answer(common.run, edited), common.as_json)


def _given(ids: list[str]) -> list[str]:
    """Ids as they stand, or those on standard input."""
    if "-" not in ids:
        return ids
    if len(ids) > 1:
        raise InputError("it cannot stand beside others", where="-", expected="ids, or - alone")
    return streams.input_lines()
