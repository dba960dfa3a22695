"""The flags that commands share, and what their values ask for."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperCommand, TyperGroup

from aeclust.cli import completion, streams
from aeclust.disk import meant
from aeclust.errors import InputError

if TYPE_CHECKING:
    from aeclust.images import Source
    from aeclust.recipe import Recipe

DATA = "Images: .npy, .npz, .h5, a folder, or demo:scenes, demo:scenes-val, demo:digits"

# -- how --help groups commands, and the flags of each --------------------------------------------

WORK, LOOK, SHARE, CHECK = "Work", "Look", "Share", "Check"
COMMAND_PANELS = (WORK, LOOK, SHARE, CHECK)
IMAGES, TRAINING, CLUSTERING = "Images", "Training", "Clustering"
KNOWN, OUTPUT, COMPUTING = "Known labels", "Output", "Computing"


class Command(TyperCommand):
    """A command whose help is tidy."""

    def get_params(self, ctx: Any) -> Any:
        """As typer's, with --help among the flags of output."""
        params = _without_types(super().get_params(ctx))
        next(param for param in params if param.name == "help").rich_help_panel = OUTPUT
        return params


class Commands(TyperGroup):
    """The commands, panel after panel whatever the order they are written in."""

    def get_params(self, ctx: Any) -> Any:
        """As typer's."""
        return _without_types(super().get_params(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of their panels."""
        known = {panel: place for place, panel in enumerate(COMMAND_PANELS)}

        def place(name: str) -> int:
            return known.get(str(getattr(self.commands[name], "rich_help_panel", "")), len(known))

        return sorted(super().list_commands(ctx), key=place)


def _without_types(params: list[Any]) -> list[Any]:
    """Flags without a value show no type."""
    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = " "
    return params


# -- flags ---------------------------------------------------------------------------------------

_MAY_BE_CSV = {"labels", "val_labels", "predicted", "truth"}


def _readable(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """A location as it stands, or for ``-`` a file with what comes from standard input."""
    if value == "":  # an unset variable of the shell; as a path it would be the working folder
        raise InputError(
            "no path is given",
            where=param.opts[0] if param.param_type_name == "option" else param.opts[0].upper(),
            expected="a file, a folder or demo:NAME",
            mend="state it, or leave it out",
        )
    if value != "-" or ctx.resilient_parsing:
        return value
    if ctx.command.name == "train":
        raise InputError(
            "standard input cannot be found again by later commands",
            where="-",
            expected="a file or a folder",
            mend="save it first: cat > images.npy",
        )
    if ctx.meta.setdefault("aeclust.stdin", param.name) != param.name:
        raise InputError(
            "standard input can be read only once",
            where="-",
            expected="one - in a command",
            mend="save one of them to a file",
        )
    return ctx.with_resource(streams.standard_input(csv=param.name in _MAY_BE_CSV))


def _destination(value: Path | None) -> Path | None:
    """The file that ``-o`` means, looked at before any work."""
    return value if value in (None, streams.STREAM) else meant(value)


# a recipe's field with a flag of its own
recipe_field = partial(typer.Option, show_default="the recipe's", rich_help_panel=TRAINING)
_SEED = partial(
    typer.Option,
    help="Decides everything random.",
    min=0,
    max=2**32 - 1,
    metavar="N",
    rich_help_panel=COMPUTING,
)

Run = Annotated[
    Path,
    typer.Option(
        "--run",
        envvar="AECLUST_RUN",
        help="The run folder.",
        metavar="DIR",
        rich_help_panel=OUTPUT,
        autocompletion=completion.paths,
    ),
]
Seed = Annotated[int | None, _SEED(show_default="0")]
OptionalSeed = Annotated[int | None, _SEED(show_default="the run's")]
Device = Annotated[
    Literal["auto", "cpu", "cuda", "mps"],
    typer.Option(help="Where to compute.", rich_help_panel=COMPUTING),
]
Threads = Annotated[
    int | None,
    typer.Option(
        help="CPU threads.",
        min=1,
        max=1024,
        metavar="N",
        show_default="all cores",
        rich_help_panel=COMPUTING,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "-o",
        "--output",
        help="Write here; - is standard output.",
        metavar="FILE",
        rich_help_panel=OUTPUT,
        autocompletion=completion.paths,
        callback=_destination,
    ),
]
Force = Annotated[
    bool,
    typer.Option("--force", help="Make it anew in any case.", rich_help_panel=OUTPUT),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="One JSON object on standard output.",
        rich_help_panel=OUTPUT,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "-q",
        "--quiet",
        help="Nothing on standard error but errors.",
        rich_help_panel=OUTPUT,
    ),
]
Checkpoint = Annotated[
    int | None,
    typer.Option(
        help="Epoch of the weights.",
        min=0,
        metavar="EPOCH",
        show_default="the last",
        rich_help_panel=IMAGES,
    ),
]
Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help=f"{DATA}; - reads .npy or .npz from standard input.",
        show_default="the run's",
        callback=_readable,
        autocompletion=completion.images,
    ),
]
TrainData = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help=f"{DATA}.",
        show_default="demo:scenes",
        callback=_readable,
        autocompletion=completion.images,
    ),
]
Layout = Annotated[
    Literal["nhw", "nhwc", "nchw"] | None,
    typer.Option(help="Axes of an array, if ambiguous.", rich_help_panel=IMAGES),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--range",
        help="Values of black and white, for example 0:255.",
        metavar="LOW:HIGH",
        rich_help_panel=IMAGES,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        help="Resize the images of a folder to SIZE x SIZE.",
        metavar="SIZE",
        rich_help_panel=IMAGES,
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        help="Leave out unreadable images, listed.",
        rich_help_panel=IMAGES,
    ),
]
ValImages = Annotated[
    str | None,
    typer.Option(
        help="Labelled images, for reporting and naming.",
        metavar="DATA",
        rich_help_panel=KNOWN,
        callback=_readable,
        autocompletion=completion.images,
    ),
]
_LABELS = partial(
    typer.Option,
    metavar="FILE",
    rich_help_panel=KNOWN,
    callback=_readable,
    autocompletion=completion.labels,
)
ValLabels = Annotated[
    str | None,
    _LABELS(help="Their labels: .npy, .npz, .h5, a CSV of id,label, or demo:NAME."),
]
TrueLabels = Annotated[
    str | None,
    _LABELS(
        help="True labels of the images: a CSV of id,label where a label may be any text, .npy,"
        " .npz, .h5, images in folders of their classes, or demo:NAME."
    ),
]
KnownLabels = Annotated[
    str | None,
    _LABELS(
        help="A few known labels to name the clusters by: a CSV of id,label where a label may be"
        " any text, .npy, .npz, .h5, images in folders of their classes, or demo:NAME."
    ),
]
LabelsFile = Annotated[
    str,
    typer.Argument(
        help="Labels: .csv, .h5, .npy, .npz, images in folders of their classes, or - for standard"
        " input.",
        callback=_readable,
        autocompletion=completion.labels,
    ),
]
K = Annotated[
    str | None,
    recipe_field(
        "-k",
        "--clusters",
        help="Number of clusters, or auto.",
        metavar="K",
        rich_help_panel=CLUSTERING,
    ),
]

# of training and clustering alone
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="baseline, vae, deep or hybrid.",
        metavar="NAME",
        show_default="hybrid",
        rich_help_panel=TRAINING,
        autocompletion=completion.recipes,
    ),
]
Epochs = Annotated[
    int | None,
    recipe_field(
        help="Passes over the images; hybrid adds its label_epochs to them.",
        metavar="N",
    ),
]
BatchSize = Annotated[
    int | None,
    recipe_field(
        help="Images in a step.",
        metavar="N",
    ),
]
Optimizer = Annotated[
    str | None,
    recipe_field(
        help="adam, adamw, sgd or muon.",
        metavar="NAME",
        autocompletion=completion.optimizers,
    ),
]
LearningRate = Annotated[
    float | None,
    recipe_field(
        help="Learning rate.",
        metavar="RATE",
    ),
]
Loss = Annotated[
    str | None,
    recipe_field(
        help="mse or elbo.",
        metavar="NAME",
        autocompletion=completion.losses,
    ),
]
Precision = Annotated[
    str | None,
    recipe_field(
        help="auto, float32 or bfloat16: what networks compute in while they learn.",
        metavar="NAME",
        autocompletion=completion.precisions,
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Any other recipe field; repeatable.",
        metavar="FIELD=VALUE",
        rich_help_panel=TRAINING,
        autocompletion=completion.settings,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        help="Recipe fields from a TOML file.",
        metavar="FILE.toml",
        rich_help_panel=TRAINING,
        autocompletion=completion.tomls,
    ),
]
WriteConfig = Annotated[
    bool,
    typer.Option(
        "--write-config",
        help="Print the recipe as such a file, with all these flags in it, and train nothing.",
        rich_help_panel=TRAINING,
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Continue an interrupted run, or start one.",
        rich_help_panel=OUTPUT,
    ),
]
Replace = Annotated[
    bool,
    typer.Option("--force", help="Replace a run that is there.", rich_help_panel=OUTPUT),
]
Reduction = Annotated[
    str | None,
    recipe_field(
        help="Steps before clustering: sphere, and pca, kpca, tsne with sizes; or none.",
        metavar="kpca:200,tsne:2",
        rich_help_panel=CLUSTERING,
    ),
]
Clusterer = Annotated[
    str | None,
    recipe_field(
        help="consensus, kmeans, minibatch-kmeans, gmm, gmm-tied, spectral or agglomerative.",
        metavar="NAME",
        rich_help_panel=CLUSTERING,
        autocompletion=completion.clusterers,
    ),
]
Perplexity = Annotated[
    float | None,
    recipe_field(help="Of t-SNE.", metavar="NUMBER", rich_help_panel=CLUSTERING),
]

DEFAULT_RUN = Path("aeclust-run")


# Recipe fields that have a flag; the others are set by --set.
FIELD_FLAGS = {"k": "-k"} | {
    name: f"--{name.replace('_', '-')}"
    for name in (
        *("epochs", "batch_size", "optimizer", "lr", "loss", "precision"),
        *("reduction", "clusterer", "perplexity"),
    )
}


def flag_of(setting: str) -> str:
    """What the command line calls a setting that an error names.

    >>> flag_of("k"), flag_of("skip_bad"), flag_of("momentum")
    ('-k', '--skip-bad', '--set momentum')
    """
    from aeclust.recipe import FIELDS

    if setting == "output":
        return "-o"
    if setting in FIELDS:
        return FIELD_FLAGS.get(setting, f"--set {setting}")
    return f"--{setting.replace('_', '-')}"


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
    from aeclust import recipe as recipes

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
