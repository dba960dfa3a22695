"""The options that commands share, alone or in groups, and what their values ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from aeclust import recipe as recipes
from aeclust.cli import completion, streams
from aeclust.cli.app import CLUSTERING, COMPUTING, IMAGES, KNOWN, OPTION, OUTPUT
from aeclust.cli.values import absolute, together
from aeclust.disk import output_file
from aeclust.errors import InputError
from aeclust.run import DEFAULT_RUN as _RUN

if TYPE_CHECKING:
    from aeclust.images import Source

DATA = (
    "Images: files, a folder, a .zip, a .csv or .txt of paths; an array (.npy, .npz, .h5); or"
    " demo:scenes, demo:scenes-val, demo:digits"
)
DEFAULT_RUN = Path(_RUN)
_MAY_BE_CSV = {"labels", "val_labels", "predicted", "truth", "known", "edits", "runs"}


def _location(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> str | None:
    """A location as it stands, or for ``-`` a file with what comes from standard input."""
    if value == "":  # an unset variable of the shell; as a path it would be the working folder
        raise InputError(
            "no path is given",
            where=param.opts[0] if param.param_type_name == "option" else param.opts[0].upper(),
            expected="a file, a folder or demo:NAME",
            mend="state it, or leave it out",
        )
    features = value if param.name == "features" else ctx.params.get("features")
    begins = ctx.command.name == "train" or (ctx.command.name == "embed" and features is not None)
    piped = value == "-" or (begins and "aeclust.stdin" in ctx.meta)
    if not piped or ctx.resilient_parsing:
        return value
    if begins:
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


def _locations(
    ctx: typer.Context, param: typer.CallbackParam, values: list[str] | None
) -> list[str] | None:
    """The same for several; None without any."""
    return [str(_location(ctx, param, value)) for value in values or ()] or None


def _destination(value: Path | None) -> Path | None:
    """The file that ``-o`` means, looked at before any work."""
    return value if value in (None, streams.STREAM) else output_file(value)


def option(panel: str, text: str, metavar: str | None = None, *names: str, **more: Any) -> Any:
    """An option in a panel of the help; without `names` it is called like its parameter."""
    return typer.Option(*names, help=text, metavar=metavar, rich_help_panel=panel, **more)


def flag(name: str, panel: str, text: str) -> Any:
    """An option without a value."""
    return option(panel, text, None, name)


def grouped(panel: str, **shared: Any) -> Callable[..., Any]:
    """Options in a panel as the fields of a group, None unless given."""

    def of_group(*texts: str, default: Any = None, **more: Any) -> Any:
        info = option(panel, *texts, **(shared | more))
        return field(default=default, metadata={OPTION: info})

    return of_group


# -- options of several commands -----------------------------------------------------------------

_PATHS: dict[str, Any] = {"autocompletion": completion.paths}
_LOCATION: dict[str, Any] = {"callback": _location, "autocompletion": completion.images}
_LABELS: dict[str, Any] = {"callback": _location, "autocompletion": completion.labels}
_SEED = ("Seed of all random numbers.", "N")
_RANGE: dict[str, Any] = {"min": 0, "max": 2**32 - 1}
_CLASSES = "images in folders of their classes"
_TEXTS = (
    f"a CSV of id,label where a label may be any text, .npy, .npz, .h5, {_CLASSES}, or demo:NAME."
)

Run = Annotated[
    Path, option(OUTPUT, "Folder of the run.", "DIR", "--run", envvar="AECLUST_RUN", **_PATHS)
]
Output = Annotated[
    Path | None,
    option(
        *(OUTPUT, "Write to this file; - is standard output.", "FILE", "-o", "--output"),
        callback=_destination,
        **_PATHS,
    ),
]
Force = Annotated[bool, flag("--force", OUTPUT, "Make it again even if it is up to date.")]
Json = Annotated[bool, flag("--json", OUTPUT, "Print one JSON object instead of text.")]
Seed = Annotated[int | None, option(COMPUTING, *_SEED, show_default="0", **_RANGE)]
RunSeed = Annotated[int | None, option(COMPUTING, *_SEED, show_default="the run's", **_RANGE)]
Threads = Annotated[
    int | None,
    option(
        COMPUTING,
        "How many CPU threads to use.",
        "N",
        show_default="the run's, or idle cores",
        min=1,
        max=1024,
    ),
]
Features = Annotated[
    str | None,
    option(
        IMAGES,
        "Your own vectors of the images, a row for each: .npy, .npz, .h5 or .safetensors.",
        "FILE",
        callback=_location,
        autocompletion=completion.paths,
    ),
]
Checkpoint = Annotated[
    int | None,
    option(IMAGES, "Use the network after this epoch.", "EPOCH", show_default="the last", min=0),
]
MinConfidence = Annotated[
    float | None,
    option(OUTPUT, "Give images of lower confidence the label -1, no cluster.", "NUMBER"),
]
TrueLabels = Annotated[
    str | None, option(KNOWN, f"True labels of the images: {_TEXTS}", "FILE", **_LABELS)
]
KnownLabels = Annotated[
    str | None,
    option(KNOWN, f"A few known labels to name the clusters by: {_TEXTS}", "FILE", **_LABELS),
]


def known_option(text: str) -> Any:
    """Labels that steer, of which `text` says what for."""
    kinds = (
        "A CSV of id,label with any text or number, of pairs a,b,same|different, or of both;"
        " .npy, .npz, .h5. May be given several times."
    )
    more = _LABELS | {"callback": _locations}
    return option(KNOWN, f"{text} {kinds}", "FILE", "--known", **more)


Steering = Annotated[
    list[str] | None,
    known_option("Labels that you know for some images: the clusters follow them."),
]
Picture = Annotated[
    Path | None,
    option(
        *(OUTPUT, "Draw the result: .png, .svg or .pdf; - is standard output.", "FILE", "--plot"),
        callback=_destination,
        **_PATHS,
    ),
]

Clusterings = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN RUN...",
        help=f"Runs, or files of labels: .csv, .h5, .npy, .npz, {_CLASSES}, or - for standard"
        " input; the first is what the others are compared with.",
        callback=_locations,
        autocompletion=completion.paths,
    ),
]
EditsFile = Annotated[
    str,
    typer.Argument(
        metavar="FILE",
        help="What a report page downloads, or a CSV of id,label with numbers or names of clusters,"
        " or -1; - for standard input.",
        callback=_location,
        autocompletion=completion.paths,
    ),
]


def labels_argument(metavar: str, text: str) -> Any:
    """The same as an argument."""
    kinds = f".csv, .h5, .npy, .npz, {_CLASSES}, or - for standard input"
    return typer.Argument(metavar=metavar, help=f"{text} {kinds}.", **_LABELS)


def picture(text: str) -> Any:
    """A picture to draw beside what a command does."""
    text += " .png, .svg or .pdf; - is standard output."
    return option(OUTPUT, text, "FILE", "--plot", callback=_destination, **_PATHS)


# -- groups of options ---------------------------------------------------------------------------

_image = grouped(IMAGES)
_known = grouped(KNOWN)
_clustering = grouped(CLUSTERING, show_default="the recipe's")


def clusters_option() -> Any:
    """The number of clusters."""
    return _clustering("Number of clusters, or auto to estimate it.", "K", "-k", "--clusters")


def _data(text: str, default: str) -> Any:
    more = _LOCATION | {"callback": _locations}
    info = typer.Argument(metavar="DATA...", help=text, show_default=default, **more)
    return field(default=None, metadata={OPTION: info})


@dataclass(frozen=True, kw_only=True)
class Common:
    """Where a command works and how much it prints."""

    run: Run = DEFAULT_RUN
    device: Literal["auto", "cpu", "cuda", "mps"] = grouped(COMPUTING)(
        "Where to compute; auto prefers a GPU.", default="auto"
    )
    threads: Threads = None
    as_json: Json = False
    quiet: bool = grouped(OUTPUT)(
        "Print errors only, no progress.", None, "-q", "--quiet", default=False
    )


def features_at(location: str | None) -> Source | None:
    """Vectors by an absolute path; None where none are given."""
    if location is None:
        return None
    from aeclust.images import Source

    return Source(location=absolute(location), features=True)


@dataclass(frozen=True, kw_only=True)
class Images:
    """Images other than the run's."""

    data: list[str] | None = _data(
        f"{DATA}; - reads an array from standard input.", "the run's images"
    )
    layout: Literal["nhw", "nhwc", "nchw"] | None = _image(
        "Axes of an array, if ambiguous: n images, h height, w width, c channels."
    )
    range_: str | None = _image(
        "Pixel values of black and white, for example 0:255.", "LOW:HIGH", "--range"
    )
    skip_bad: bool = _image(
        "Leave out images that cannot be read, and list them.", None, "--skip-bad", default=False
    )

    def source(self) -> Source | None:
        """The images by an absolute path; None where none are given, and nothing about them."""
        if self.data is not None:
            from aeclust.images import Source

            location, files = together(self.data)
            return Source(
                location=location,
                files=files,
                layout=self.layout,
                range=self.range_,
                skip_bad=self.skip_bad,
            )
        for name in ("layout", "range_", "skip_bad"):
            if getattr(self, name):
                raise InputError(
                    "it describes DATA, and none is given",
                    where=f"`{name.rstrip('_')}`",
                    expected="DATA beside it",
                    mend="leave it out: the run remembers its own images",
                )
        return None


@dataclass(frozen=True, kw_only=True)
class TrainImages(Images):
    """The images of a run."""

    data: list[str] | None = _data(f"{DATA}.", "demo:scenes")
    fit: Literal["crop", "squash", "pad"] | None = _image(
        "How photographs become squares: cut to their centre, squeezed, or with a border.",
        show_default="crop",
    )

    def chosen(self, recipe: recipes.Recipe, begun: Source | None = None) -> Source:
        """The images of a run; what is not repeated is as it was when the run began."""
        from aeclust.images import Source, is_files

        base, given = begun or Source(location="demo:scenes"), self.source()
        if given is not None:
            base = replace(
                base,
                location=given.location,
                files=given.files,
                layout=given.layout or base.layout,
                range=given.range or base.range,
                skip_bad=given.skip_bad or base.skip_bad,
            )
        size = recipe.image_size if is_files(base.location) else base.size
        return replace(base, size=size, fit=self.fit or base.fit)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Labelled images that serve reporting and naming alone."""

    val_images: str | None = _known(
        "Images with labels, for scores and names only.", "DATA", **_LOCATION
    )
    val_labels: str | None = _known(
        "Their labels: .npy, .npz, .h5, a CSV of id,label, or demo:NAME.", "FILE", **_LABELS
    )

    def source(self) -> Source | None:
        """The images by an absolute path."""
        return Images(data=None if self.val_images is None else [self.val_images]).source()

    def both(self) -> tuple[str | None, str | None]:
        """Images and labels by absolute paths; refuses one without the other."""
        if (self.val_images is None) != (self.val_labels is None):
            raise InputError(
                "only one of the two is given",
                where="`val_images`, `val_labels`",
                expected="both or neither",
                mend="add the other",
            )
        if self.val_images is None or self.val_labels is None:
            return None, None
        return absolute(self.val_images), absolute(self.val_labels)


@dataclass(frozen=True, kw_only=True)
class Clustering:
    """Recipe fields of clustering."""

    k: str | None = clusters_option()
    reduction: str | None = _clustering(
        "Steps before clustering: sphere; pca, kpca or tsne with a size; or none.",
        "kpca:200,tsne:2",
    )
    clusterer: recipes.Clusterer | None = _clustering(
        "consensus, heads, kmeans, minibatch-kmeans, gmm, gmm-tied, spectral, agglomerative, or"
        " hdbscan, which finds the number of clusters itself and leaves outliers.",
        "NAME",
    )
    min_cluster_size: int | None = _clustering("Fewest images in a cluster of hdbscan.", "N")
    perplexity: float | None = _clustering("Perplexity of t-SNE.", "NUMBER")

    def given(self) -> dict[str, Any]:
        """The fields that the user gave."""
        return given_fields(self)


def given_fields(group: Any) -> dict[str, Any]:
    """The recipe fields of a group of options that the user gave."""
    values = {each.name: getattr(group, each.name) for each in fields(group)}
    return {n: v for n, v in values.items() if n in recipes.FIELDS and v is not None}
