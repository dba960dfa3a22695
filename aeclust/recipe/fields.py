"""The fields of a recipe: what each means, what it may be, and what must fit what."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from aeclust.errors import InputError, did_you_mean
from aeclust.recipe.bounds import (
    A_GROUP,
    AUTO_K,
    BELOW_1,
    CLUSTERS,
    COUNTED,
    FEW,
    FLOAT32,
    FROM_0,
    FROM_1,
    POSITIVE,
    PRINTABLE,
    SHA256,
    STAGES,
    TO_1,
)  # fmt: skip

Optimizer = Literal["adam", "adamw", "sgd", "muon"]
Loss = Literal["mse", "elbo"]
Precision = Literal["float32", "bfloat16", "auto"]
Clusterer = Literal[
    "consensus",
    "heads",
    "kmeans",
    "minibatch-kmeans",
    "gmm",
    "gmm-tied",
    "spectral",
    "agglomerative",
    "hdbscan",
]
REDUCTIONS = ("pca", "kpca", "tsne")
SPHERE = "sphere"
HDBSCAN = "hdbscan"  # the clusterer that finds its own number of clusters
_SMALLEST_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Network, loss, optimiser, epochs, reduction and clusterer of one method.

    A recipe is stored in every artifact made with it, so that later stages need no flag repeated.
    The annotation of a field holds its type, its meaning and its bounds; construction checks them
    and raises :class:`~aeclust.errors.InputError`. For ``network`` see
    :mod:`aeclust.network.model`, for ``optimizer`` :mod:`aeclust.network.optimizers`, for
    ``consensus`` :mod:`aeclust.clusters.consensus`. Images of another size than ``image_size`` are
    resized. Batches are made smaller for ``steps``, down to 32 images. ``one-cycle`` rises in the
    first fifth of all steps. Self-labelling trains the network to separate k clusters of its own
    latents apart in augmented views.
    """

    name: Annotated[str, "the recipe that the fields come from: a key of RECIPES"]
    network: Annotated[
        Literal["plain", "residual", "frozen", "none"], "family of encoder and decoder"
    ] = "plain"
    encoder: Annotated[
        str,
        "that somebody else trained, frozen: efficientnet-lite0, timm:NAME or FILE.onnx",
        PRINTABLE,
    ] = ""
    encoder_input: Annotated[
        str, "what was stated of the images that the frozen encoder takes", PRINTABLE
    ] = ""
    enlarge: Annotated[
        float,
        "times that small images are enlarged at most for a frozen encoder; 0 has no end",
        FROM_0,
    ] = 0.0
    encoder_sha256: Annotated[str, "of the frozen encoder's weights; train fills it in", SHA256] = (
        ""
    )
    image_size: Annotated[int, "pixels a side of the images that the encoder takes"] = 32
    drawn_size: Annotated[
        int, "pixels a side that the decoder of a frozen encoder draws", FROM_0
    ] = 0
    channels: Annotated[
        tuple[int, ...], "after each encoder stage; every stage halves the image", STAGES
    ] = (64, 128, 256)
    extra_layers: Annotated[int, "residual layers of a stage beyond the first", FROM_0, FEW] = 0
    batch_norm: Annotated[bool, "batch normalisation after every convolution but the last"] = False
    latent_size: Annotated[int, "values in a latent; 0 takes the last feature map", FROM_0] = 0
    variational: Annotated[bool, "mean and log-variance heads; the latent is the mean"] = False
    loss: Annotated[Loss, "squared error, or the negative evidence lower bound"] = "mse"
    beta: Annotated[float, "weight of the KL term of the bound", FROM_0] = 1.0
    contrast: Annotated[float, "weight of the contrastive term; 0 trains without", FROM_0] = 0.0
    temperature: Annotated[float, "of the contrastive term", POSITIVE] = 0.5
    view_scale: Annotated[
        float, "side of its views, as a share of image_size; 0 shows them whole", FROM_0, TO_1
    ] = 0.0
    crops: Annotated[int, "small crops of each image that must find its views", FROM_0, FEW] = 0
    crop_scale: Annotated[float, "side of these, as a share of image_size", FROM_0, TO_1] = 0.0
    reconstruction: Annotated[float, "weight of the reconstruction loss", FROM_0] = 1.0
    decoded: Annotated[
        int, "with contrast the decoder draws one in so many images; 0 draws all", FROM_0
    ] = 0
    optimizer: Annotated[Optimizer, ""] = "adam"
    lr: Annotated[float, "learning rate, at its peak", POSITIVE, FLOAT32] = 1e-5
    weight_decay: Annotated[float, "", FROM_0, FLOAT32] = 1e-5
    momentum: Annotated[float, "of sgd and muon", FROM_0, BELOW_1] = 0.0
    schedule: Annotated[
        Literal["constant", "one-cycle"], "one-cycle rises to lr and falls to zero in the end"
    ] = "constant"
    batch_size: Annotated[int, "images in a step", FROM_1] = 64
    steps: Annotated[int, "least number in an epoch; 0 keeps batch_size", FROM_0] = 0
    epochs: Annotated[int, "of training without a number of clusters", FROM_1, COUNTED] = 100
    label_epochs: Annotated[int, "of learning k clusters after it", FROM_0, COUNTED] = 0
    precision: Annotated[Precision, "auto takes bfloat16 where the hardware has it"] = "float32"
    k: Annotated[int, 'number of clusters, or "auto"', CLUSTERS] = 2
    reduction: Annotated[
        tuple[str, ...], "steps before clustering: sphere, and pca, kpca, tsne with sizes"
    ] = ("kpca:200", "tsne:2")
    perplexity: Annotated[float, "of t-SNE", POSITIVE] = 30.0
    clusterer: Annotated[Clusterer, ""] = "minibatch-kmeans"
    min_cluster_size: Annotated[
        int, "images in a cluster of hdbscan; 0 takes a hundredth of all, at least 5", A_GROUP
    ] = 0

    def __post_init__(self) -> None:
        for name in FIELDS:
            value = getattr(self, name)
            _check_type(name, value)
            for bound in ANNOTATIONS[name].__metadata__[1:]:
                _require(bound.holds(value), name, value, bound.words)
        parts = 2 ** len(self.channels)
        drawn = "image_size" if self.network in ("plain", "residual") else "drawn_size"
        side = getattr(self, drawn)
        if self.network != "none":
            _require(
                side > 0 and side % parts == 0,
                drawn,
                side,
                f"a multiple of {parts}, because {len(self.channels)} stages halve the image",
            )
        _require(self.image_size > 0, "image_size", self.image_size, "1 or more")
        for name, fits, expected in _RELATIONS:
            _require(fits(self), name, getattr(self, name), expected)
        for step in self.reduction:
            parse_reduction(step)

    def batch_of(self, n: int) -> int:
        """Images in a step when there are n.

        >>> named("hybrid").batch_of(1797)
        64
        """
        if not self.steps:
            return self.batch_size
        return min(self.batch_size, max(_SMALLEST_BATCH, n // self.steps))

    @property
    def total_epochs(self) -> int:
        """Epochs of both phases; self-labelling needs a number of clusters."""
        if self.network == "none":
            return 0
        return self.epochs + (0 if self.k == AUTO_K else self.label_epochs)

    @property
    def transductive(self) -> bool:
        """Whether the chain has t-SNE, which cannot place images it was not fitted on."""
        return any(parse_reduction(step)[0] == "tsne" for step in self.reduction)

    def lasting(self, total: int, *, fixed: bool = False) -> Recipe:
        """The recipe with so many epochs in all.

        The two phases share them as they do now, and each has one at least. A single epoch is the
        first phase's, and so are all if self-labelling has no number of clusters. If its number of
        epochs is `fixed`, the first phase has the rest.

        Examples
        --------
        >>> [(r.epochs, r.label_epochs) for r in map(named("hybrid").lasting, (1, 2, 3, 9, 50))]
        [(1, 0), (1, 1), (2, 1), (7, 2), (39, 11)]
        """
        whole = self.override({"epochs": total})
        if self.k == AUTO_K or not self.label_epochs:
            return whole
        labelling = self.label_epochs
        if fixed:
            expected = f"more than the {labelling} of self-labelling"
            mend = "raise `epochs`, or lower `label_epochs`"
            _require(labelling < total, "epochs", total, expected, mend)
        else:
            share = labelling / (self.epochs + labelling)
            labelling = min(max(1, round(total * share)), total - 1)
        return dataclasses.replace(self, epochs=total - labelling, label_epochs=labelling)

    def override(self, values: Mapping[str, object]) -> Recipe:
        """Replace some fields.

        Parameters
        ----------
        values : mapping
            Field names to values; strings are read as the field's type (``"0.9"``, ``"true"``,
            ``"kpca:200,tsne:2"``). Clusterer hdbscan makes k auto, whatever it is.

        Returns
        -------
        Recipe

        Raises
        ------
        InputError
            For an unknown field or a value that the field does not take.
        """
        for name in values:
            if name not in FIELDS or name == "name":
                raise unknown("recipe field", name, [n for n in FIELDS if n != "name"])
        fields = {n: _parse(n, v) for n, v in values.items()}
        if fields.get("clusterer", self.clusterer) == HDBSCAN:
            fields["k"] = AUTO_K
        return dataclasses.replace(self, **fields)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Recipe:
        """The inverse of :meth:`to_json`; fields that came later may be missing."""
        for name in values:
            if name not in FIELDS:
                raise unknown("recipe field", name, [n for n in FIELDS if n != "name"])
        for name in FIELDS:
            if name not in values and name not in LATER:
                raise InputError(f"the recipe has no {name}", mend="the file is not aeclust's")
        fields = {n: tuple(v) if isinstance(v, list) else v for n, v in values.items()}
        try:
            return cls(**fields)  # type: ignore[arg-type] # which construction checks
        except InputError as error:
            mend = "restore the file, or make it anew"
            raise InputError(error.what, expected=error.expected, mend=mend) from None


_NONE = "nothing without a frozen encoder"
# fields that must fit others
_RELATIONS: tuple[tuple[str, Callable[[Recipe], bool], str], ...] = (
    ("k", lambda r: r.k == AUTO_K or r.clusterer != HDBSCAN, "auto with clusterer hdbscan"),
    ("loss", lambda r: r.loss == "mse" or r.variational, "mse without a variational network"),
    ("latent_size", lambda r: r.latent_size > 0 or not r.variational, "1 or more if variational"),
    # self-labelling needs augmented views
    ("label_epochs", lambda r: r.label_epochs == 0 or r.contrast > 0, "0 where contrast is 0"),
    (
        "extra_layers",
        lambda r: not r.extra_layers or r.network == "residual",
        "0 without network residual",
    ),
    ("crop_scale", lambda r: r.crops == 0 or r.crop_scale > 0, "above 0 with crops"),
    ("reconstruction", lambda r: r.contrast + r.reconstruction > 0, "above 0 where contrast is 0"),
    (
        "encoder",
        lambda r: r.network != "frozen" or bool(r.encoder),
        "the name of one or its file, because the network has a frozen encoder",
    ),
    ("encoder", lambda r: r.network == "frozen" or not r.encoder, "none, or `recipe` pretrained"),
    *(
        (name, lambda r, name=name: r.network == "frozen" or not getattr(r, name), _NONE)
        for name in ("encoder_input", "enlarge", "encoder_sha256", "drawn_size")
    ),
    # its latents are the features, and nothing but its decoder is trained
    (
        "variational",
        lambda r: not (r.variational and r.network == "frozen"),
        "false with network frozen",
    ),
    ("contrast", lambda r: r.contrast == 0 or r.network != "frozen", "0 with network frozen"),
    (
        "batch_size",
        lambda r: r.batch_size > 1 or r.contrast == 0,
        "2 or more with contrast",
    ),
    # the residual network and the decoder of a frozen encoder normalise batches
    (
        "batch_size",
        lambda r: r.batch_size > 1 or r.network in ("plain", "none"),
        "2 or more with network residual or frozen",
    ),
    (
        "optimizer",
        lambda r: r.optimizer != "muon" or r.network in ("residual", "frozen") or r.batch_norm,
        "adam, adamw or sgd, because muon rescales kernels, which needs batch normalisation",
    ),
)
# fields that recipes in older files lack, which had what is the default: nothing
LATER = (
    *("encoder", "encoder_input", "enlarge", "encoder_sha256", "drawn_size"),
    "min_cluster_size",
    *("view_scale", "crops", "crop_scale", "decoded", "extra_layers"),
)
FIELDS: dict[str, Any] = typing.get_type_hints(Recipe)
ANNOTATIONS: dict[str, Any] = typing.get_type_hints(Recipe, include_extras=True)


def choices(name: str) -> tuple[str, ...]:
    """The values of a field that has a choice of them; empty for another field.

    >>> choices("loss"), choices("batch_norm"), choices("lr")
    (('mse', 'elbo'), ('true', 'false'), ())
    """
    kind = FIELDS.get(name)
    if kind is bool:
        return ("true", "false")
    return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()


def parse_reduction(text: str) -> tuple[str, int]:
    """``"kpca:200"`` as ``("kpca", 200)``, and ``"sphere"``, which has no size, with 0."""
    if text == SPHERE:
        return text, 0
    method, _, size = text.partition(":")
    whole = size.isascii() and size.isdigit() and len(size) < 10
    if method not in REDUCTIONS or not whole or int(size) < 1:
        near = [f"{known}:{size}" for known in REDUCTIONS] if whole and size.strip("0") else []
        usual = "for example pca:20 or kpca:200,tsne:2, or none"
        raise InputError(
            f"reduction is {text!r}",
            expected=f"{SPHERE}, or METHOD:SIZE with METHOD one of {', '.join(REDUCTIONS)}",
            mend=did_you_mean(text, near, usual),
        )
    if method == "tsne" and int(size) > 3:
        raise InputError(
            f"reduction is {text!r}", expected="at most 3 t-SNE dimensions", mend="use tsne:2"
        )
    return method, int(size)


def unknown(thing: str, name: str, known: Collection[str]) -> InputError:
    """The error for a name that is none of the known ones."""
    expected = f"one of {', '.join(known)}"
    mend = did_you_mean(name, known, "choose one of these")
    return InputError(f"no {thing} is called {name!r}", expected=expected, mend=mend)


def _require(holds: bool, name: str, value: object, expected: str, mend: str = "") -> None:
    if not holds:
        raise InputError(f"{name} is {value!r}", expected=expected, mend=mend or f"change `{name}`")


def _parse(name: str, value: object) -> Any:
    """A field's value from a command line or TOML; what does not fit is left for the check."""
    kind = FIELDS[name]
    if name == "k":  # nobody who asks for 0 clusters means auto
        _require(str(value).strip() != str(AUTO_K), name, AUTO_K, CLUSTERS.words)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return _number(value, float)
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if name == "k" and text == "auto":
        return AUTO_K
    if typing.get_origin(kind) is tuple:
        items = [] if text in ("", "none") else text.split(",")
        return tuple(_number(item, int) if name == "channels" else item.strip() for item in items)
    if kind is bool:
        return {"true": True, "false": False}.get(text.lower(), text)
    return _number(text, kind) if kind in (int, float) else text


def _number(value: str | int, kind: type[int] | type[float]) -> object:
    try:
        return kind(value)
    except (ValueError, OverflowError):
        return value


_WORDS = {str: "a text", int: "a whole number", float: "a finite number", bool: "true or false"}


def _check_type(name: str, value: object) -> None:
    kind, mend = FIELDS[name], ""
    if typing.get_origin(kind) is Literal:
        fits, expected = value in choices(name), f"one of {', '.join(choices(name))}"
        mend = did_you_mean(str(value), choices(name))
    elif typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        fits = isinstance(value, tuple) and all(type(each) is item for each in value)
        expected = "whole numbers" if item is int else "texts"
    else:
        fits = type(value) is kind and (not isinstance(value, float) or math.isfinite(value))
        expected = _WORDS[kind] + (", or auto" if name == "k" else "")
    _require(fits, name, value, expected, mend)
