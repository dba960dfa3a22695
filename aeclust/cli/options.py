"""The options that commands share, alone or in groups, and what their values ask for."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aeclust import recipe as recipes
from aeclust.cli import completion, streams
from aeclust.cli.app import CLUSTERING, COMPUTING, IMAGES, KNOWN, OUTPUT, TRAINING
from aeclust.disk import output_file
from aeclust.errors import InputError, at

if TYPE_CHECKING:
    from aeclust.images import Source

DATA = "Images: .npy, .npz, .h5, a folder, or demo:scenes, demo:scenes-val, demo:digits"
DEFAULT_RUN = Path("aeclust-run")
_MAY_BE_CSV = {"labels", "val_labels", "predicted", "truth"}


def _location(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
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
            "standard input cannot be read again by later commands", where="-",
            expected="a file or a folder", mend="save it first: cat > images.npy",
        )  # fmt: skip
    if ctx.meta.setdefault("aeclust.stdin", param.name) != param.name:
        raise InputError(
            "standard input can be read only once", where="-",
            expected="one - in a command", mend="save one of them to a file",
        )  # fmt: skip
    # the root is closed even where the rest of the request is wrong
    root = ctx.find_root()
    return root.with_resource(streams.standard_input(csv=param.name in _MAY_BE_CSV))


def _destination(value: Path | None) -> Path | None:
    """The file that ``-o`` means, looked at before any work."""
    return value if value in (None, streams.STREAM) else output_file(value)


def flag(name: str, panel: str, text: str) -> Any:
    """An option without a value."""
    return typer.Option(name, help=text, rich_help_panel=panel)


# -- options -------------------------------------------------------------------------------------

_image = partial(typer.Option, rich_help_panel=IMAGES)
_known = partial(typer.Option, rich_help_panel=KNOWN, callback=_location)
_labels = partial(_known, metavar="FILE", autocompletion=completion.labels)
_output = partial(typer.Option, rich_help_panel=OUTPUT, autocompletion=completion.paths)
_computing = partial(typer.Option, rich_help_panel=COMPUTING)
_training = partial(typer.Option, rich_help_panel=TRAINING, show_default="the recipe's")
_clustering = partial(_training, rich_help_panel=CLUSTERING)
_images = partial(typer.Argument, metavar="DATA", autocompletion=completion.images)
_seed = partial(
    _computing, help="Decides everything random.", min=0, max=2**32 - 1, metavar="N"
)  # fmt: skip

Run = Annotated[Path, _output("--run", envvar="AECLUST_RUN", help="The run folder.", metavar="DIR")]
Output = Annotated[
    Path | None,
    _output(
        "-o", "--output", help="Write here; - is standard output.", metavar="FILE",
        callback=_destination,
    ),
]  # fmt: skip
Force = Annotated[bool, flag("--force", OUTPUT, "Make it anew in any case.")]
Json = Annotated[bool, flag("--json", OUTPUT, "One JSON object on standard output.")]
Seed = Annotated[int | None, _seed(show_default="0")]
RunSeed = Annotated[int | None, _seed(show_default="the run's")]
Threads = Annotated[
    int | None,
    _computing(help="CPU threads.", min=1, max=1024, metavar="N", show_default="all cores"),
]
Checkpoint = Annotated[
    int | None,
    _image(help="Epoch of the weights.", min=0, metavar="EPOCH", show_default="the last"),
]
K = Annotated[
    str | None,
    _clustering("-k", "--clusters", help="Number of clusters, or auto.", metavar="K"),
]
_TEXTS = (
    "a CSV of id,label where a label may be any text, .npy, .npz, .h5, images in folders of their"
    " classes, or demo:NAME."
)
TrueLabels = Annotated[str | None, _labels(help=f"True labels of the images: {_TEXTS}")]
KnownLabels = Annotated[
    str | None, _labels(help=f"A few known labels to name the clusters by: {_TEXTS}")
]
LabelsFile = Annotated[
    str,
    typer.Argument(
        help="Labels: .csv, .h5, .npy, .npz, images in folders of their classes, or - for standard"
        " input.",
        callback=_location,
        autocompletion=completion.labels,
    ),
]


# -- groups of options ---------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Common:
    """Where a command works and how much it prints."""

    run: Run = DEFAULT_RUN
    device: Annotated[
        Literal["auto", "cpu", "cuda", "mps"], _computing(help="Where to compute.")
    ] = "auto"
    threads: Threads = None
    as_json: Json = False
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Nothing on standard error but errors.",
                           rich_help_panel=OUTPUT)
    ] = False  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images other than the run's."""

    data: Annotated[
        str | None,
        _images(
            help=f"{DATA}; - reads .npy or .npz from standard input.", show_default="the run's",
            callback=_location,
        ),
    ] = None  # fmt: skip
    layout: Annotated[
        Literal["nhw", "nhwc", "nchw"] | None, _image(help="Axes of an array, if ambiguous.")
    ] = None
    range_: Annotated[
        str | None,
        _image("--range", help="Values of black and white, for example 0:255.", metavar="LOW:HIGH"),
    ] = None
    size: Annotated[
        int | None, _image(help="Resize the images of a folder to SIZE x SIZE.", metavar="SIZE")
    ] = None
    skip_bad: Annotated[
        bool, flag("--skip-bad", IMAGES, "Leave out unreadable images, listed.")
    ] = False

    def source(self) -> Source | None:
        """The images by an absolute path; None where none are given, and nothing about them."""
        stated = {
            "layout": self.layout, "range": self.range_, "size": self.size,
            "skip_bad": self.skip_bad,
        }  # fmt: skip
        if self.data is not None:
            from aeclust.images import Source

            return Source(location=absolute(self.data), **stated)  # type: ignore[arg-type]
        for name, value in stated.items():
            if value:
                raise InputError(
                    "it describes DATA, and none is given",
                    where=f"`{name}`",
                    expected="DATA beside it",
                    mend="leave it out: the run remembers its own images",
                )
        return None


@dataclass(frozen=True, kw_only=True)
class TrainImages(Images):
    """The images of a run."""

    data: Annotated[
        str | None,
        _images(help=f"{DATA}.", show_default="demo:scenes", callback=_location),
    ] = None


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Labelled images that serve reporting and naming alone."""

    val_images: Annotated[
        str | None,
        _known(
            help="Labelled images, for reporting and naming.", metavar="DATA",
            autocompletion=completion.images,
        ),
    ] = None  # fmt: skip
    val_labels: Annotated[
        str | None, _labels(help="Their labels: .npy, .npz, .h5, a CSV of id,label, or demo:NAME.")
    ] = None

    def source(self) -> Source | None:
        """The images by an absolute path."""
        return Images(data=self.val_images).source()

    def both(self) -> tuple[str | None, str | None]:
        """Images and labels by absolute paths; refuses one without the other."""
        if (self.val_images is None) != (self.val_labels is None):
            raise InputError(
                "only one of the two is given", where="`val_images`, `val_labels`",
                expected="both or neither", mend="add the other",
            )  # fmt: skip
        if self.val_images is None or self.val_labels is None:
            return None, None
        return absolute(self.val_images), absolute(self.val_labels)


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """Recipe fields of clustering."""

    k: K = None
    reduction: Annotated[
        str | None,
        _clustering(
            help="Steps before clustering: sphere, and pca, kpca, tsne with sizes; or none.",
            metavar="kpca:200,tsne:2",
        ),
    ] = None
    clusterer: Annotated[
        recipes.Clusterer | None,
        _clustering(
            help="consensus, kmeans, minibatch-kmeans, gmm, gmm-tied, spectral or agglomerative.",
            metavar="NAME",
        ),
    ] = None
    perplexity: Annotated[float | None, _clustering(help="Of t-SNE.", metavar="NUMBER")] = None

    def given(self) -> dict[str, Any]:
        """The fields that the user gave."""
        return _given(self)


@dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe of a run."""

    recipe: Annotated[
        Literal["baseline", "vae", "deep", "hybrid"] | None,
        _training(help="baseline, vae, deep or hybrid.", metavar="NAME", show_default="hybrid"),
    ] = None
    epochs: Annotated[
        int | None,
        _training(
            help="Passes over the images; hybrid adds its label_epochs to them.", metavar="N"
        ),
    ] = None
    batch_size: Annotated[int | None, _training(help="Images in a step.", metavar="N")] = None
    optimizer: Annotated[
        recipes.Optimizer | None, _training(help="adam, adamw, sgd or muon.", metavar="NAME")
    ] = None
    lr: Annotated[float | None, _training(help="Learning rate.", metavar="RATE")] = None
    loss: Annotated[recipes.Loss | None, _training(help="mse or elbo.", metavar="NAME")] = None
    precision: Annotated[
        recipes.Precision | None,
        _training(
            help="auto, float32 or bfloat16: what networks compute in while they learn.",
            metavar="NAME",
        ),
    ] = None
    set_: Annotated[
        list[str] | None,
        _training(
            "--set", help="Any other recipe field; repeatable.", metavar="FIELD=VALUE",
            show_default=True, autocompletion=completion.settings,
        ),
    ] = None  # fmt: skip
    config: Annotated[
        Path | None,
        _training(
            help="Recipe fields from a TOML file.", metavar="FILE.toml", show_default=True,
            autocompletion=completion.tomls,
        ),
    ] = None  # fmt: skip
    write_config: Annotated[
        bool,
        flag(
            "--write-config", TRAINING,
            "Print the recipe as such a file, with all these flags in it, and train nothing.",
        ),
    ] = False  # fmt: skip
    k: K = None

    def chosen(self, begun: recipes.Recipe | None = None) -> recipes.Recipe:
        """The recipe by name, then the TOML file, then --set, then the flags of their own.

        The recipe of a run that has `begun` is where to start from, unless another one is named.
        """
        values = {} if self.config is None else recipes.read_toml(self.config)
        configured = values.pop("recipe", None)
        name = self.recipe or (None if configured is None else str(configured))
        base = recipes.named(name or recipes.DEFAULT_RECIPE)
        if begun is not None and name in (None, begun.name):
            base = begun
        for setting in self.set_ or []:
            field, equals, value = setting.partition("=")
            if not equals:
                raise InputError(
                    f"{setting!r} has no value", where="`set`", expected="FIELD=VALUE",
                    mend="for example --set momentum=0.9",
                )  # fmt: skip
            values[field.strip()] = value
        # all at once, because fields are checked together
        with at(self.config or "the recipe"):
            return base.override(values | _given(self))


def _given(group: Any) -> dict[str, Any]:
    """The recipe fields of a group that the user gave."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {n: v for n, v in values.items() if n in recipes.FIELDS and v is not None}


# -- values --------------------------------------------------------------------------------------


def absolute(location: str) -> str:
    """Paths stay right when a later command runs elsewhere."""
    return location if location.startswith("demo:") else os.path.abspath(location)


def exclusive(settings: str) -> InputError:
    """The error of a command that was given more than one of these settings."""
    return InputError("they exclude each other", where=settings, expected="one of them")


def parse_indices(text: str) -> list[int]:
    """``"1,2,3"`` as numbers."""
    items = [item.strip() for item in text.split(",")]
    if not all(item.isascii() and item.isdigit() and len(item) < 16 for item in items):
        raise InputError(
            f"reads {text!r}", where="`idx`", expected="row numbers, as 1,2,3", mend="correct it"
        )
    return [int(item) for item in items]


def parse_names(assignments: list[str]) -> dict[int, str]:
    """``["0=sea", "1="]`` as names by cluster, an empty one where the name is to be removed."""
    names: dict[int, str] = {}
    with at("CLUSTER=NAME"):
        for text in assignments:
            cluster, equals, name = (part.strip() for part in text.partition("="))
            if not (equals and cluster.isascii() and cluster.isdigit() and len(cluster) < 10):
                raise InputError(
                    f"reads {text!r}",
                    expected="the number of a cluster and its name",
                    mend="for example aeclust name 0=landscape",
                )
            if int(cluster) in names:
                raise InputError(
                    f"cluster {int(cluster)} is named twice", expected="one name for it"
                )
            names[int(cluster)] = name
    return names
