"""The flags that commands share, and what their values ask for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aeclust.errors import InputError

if TYPE_CHECKING:
    from aeclust.images import Source
    from aeclust.recipes import Recipe

DATA = "Images: .npy, .npz, .h5, a folder, or demo:scenes, demo:scenes-val, demo:digits"

Run = Annotated[
    Path, typer.Option("--run", envvar="AECLUST_RUN", help="The run folder.", metavar="DIR")
]
Seed = Annotated[
    int | None,
    typer.Option(help="Decides everything random; 0 if not given.", min=0, max=2**32 - 1),
]
OptionalSeed = Annotated[
    int | None,
    typer.Option(help="Decides everything random; the run's if not given.", min=0, max=2**32 - 1),
]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], typer.Option(help="Where to compute.")]
Threads = Annotated[
    int | None, typer.Option(help="CPU threads; all cores if not given.", min=1, max=1024)
]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="Write here.", metavar="FILE")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Nothing on standard error but errors.")]
Checkpoint = Annotated[
    int | None, typer.Option(help="Epoch of the weights; the last if not given.", min=0)
]
Data = Annotated[str | None, typer.Argument(metavar="DATA", help=f"{DATA}; the run's if absent.")]
Layout = Annotated[
    Literal["nhw", "nhwc", "nchw"] | None, typer.Option(help="Axes of an array, if ambiguous.")
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range", help="Values of black and white, for example 0:255.", metavar="LOW:HIGH"
    ),
]
Size = Annotated[
    int | None, typer.Option(help="Resize the images of a folder to SIZE x SIZE.", metavar="SIZE")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Leave out unreadable images, listed.")]
ValImages = Annotated[
    str | None, typer.Option(help="Labelled images, for reporting and naming.", metavar="DATA")
]
ValLabels = Annotated[
    str | None,
    typer.Option(
        help="Their labels: .npy, .npz, .h5, a CSV of id,label, or demo:NAME.", metavar="FILE"
    ),
]
K = Annotated[
    str | None,
    typer.Option("-k", "--clusters", help="Number of clusters, or auto.", metavar="K"),
]

DEFAULT_RUN = Path("aeclust-run")


def given(flags: dict[str, Any]) -> dict[str, Any]:
    """The flags that the user gave."""
    return {name: value for name, value in flags.items() if value is not None}


def chosen_recipe(
    name: str | None,
    config: Path | None,
    settings: list[str],
    flags: dict[str, Any],
    *,
    begun: Recipe | None = None,
) -> Recipe:
    """The recipe by name, then the TOML file, then --set, then the flags of their own.

    The recipe of a run that has begun is where to start from, unless another one is named.
    """
    from aeclust import recipes

    fields: dict[str, Any] = {}
    if config is not None:
        fields = recipes.read_toml(config)
        configured = fields.pop("recipe", None)
        name = name or (None if configured is None else str(configured))
    chosen = recipes.named(name or recipes.DEFAULT_RECIPE)
    if begun is not None and name in (None, begun.name):
        chosen = begun
    pairs: dict[str, Any] = {}
    for setting in settings:
        field, equals, value = setting.partition("=")
        if not equals:
            raise InputError(
                f"{setting!r} has no value", where="--set", expected="FIELD=VALUE",
                mend="for example --set momentum=0.9",
            )  # fmt: skip
        pairs[field.strip()] = value
    # all at once, because fields are checked together
    where = "the recipe" if config is None else str(config)
    return chosen.override({**fields, **pairs, **given(flags)}, where=where)


def source_of(
    data: str,
    layout: str | None = None,
    range_: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
) -> Source:
    """The images asked for, by an absolute path."""
    from aeclust.images import Source

    return Source(
        location=absolute(data), layout=layout, range=range_, size=size, skip_bad=skip_bad
    )


def optional_source(
    data: str | None,
    layout: str | None = None,
    range_: str | None = None,
    size: int | None = None,
    skip_bad: bool = False,
) -> Source | None:
    """The same where DATA may be absent; then nothing may be said about it."""
    if data is not None:
        return source_of(data, layout, range_, size, skip_bad)
    stated = {"--layout": layout, "--range": range_, "--size": size, "--skip-bad": skip_bad}
    for flag, value in stated.items():
        if value:
            raise InputError(
                "it describes DATA, and none is given",
                where=flag,
                expected="DATA beside it",
                mend="leave it out: the run remembers its own images",
            )
    return None


def absolute(location: str) -> str:
    """Paths stay right when a later command runs elsewhere."""
    return location if location.startswith("demo:") else os.path.abspath(location)


def parse_indices(text: str) -> list[int]:
    """``"1,2,3"`` as numbers."""
    items = [item.strip() for item in text.split(",")]
    if not all(item.isascii() and item.isdigit() and len(item) < 16 for item in items):
        raise InputError(
            f"reads {text!r}", where="--idx", expected="row numbers, as 1,2,3", mend="correct it"
        )
    return [int(item) for item in items]


def parse_names(assignments: list[str]) -> dict[int, str]:
    """``["0=sea", "1="]`` as names by cluster, an empty one where the name is to be removed."""
    names: dict[int, str] = {}
    for text in assignments:
        cluster, equals, name = (part.strip() for part in text.partition("="))
        if not (equals and cluster.isascii() and cluster.isdigit() and len(cluster) < 10):
            raise InputError(
                f"reads {text!r}",
                where="CLUSTER=NAME",
                expected="the number of a cluster and its name",
                mend="for example aeclust name 0=landscape",
            )
        if int(cluster) in names:
            raise InputError(
                f"cluster {int(cluster)} is named twice", where="CLUSTER=NAME",
                expected="one name for it",
            )  # fmt: skip
        names[int(cluster)] = name
    return names
