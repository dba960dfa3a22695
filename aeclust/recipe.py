"""Recipes: everything that decides a result, in one frozen dataclass for each method."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from aeclust.errors import InputError, did_you_mean, near_file

REDUCTIONS = ("pca", "kpca", "tsne")
SPHERE = "sphere"
CLUSTERERS = (
    "consensus",
    "kmeans",
    "minibatch-kmeans",
    "gmm",
    "gmm-tied",
    "spectral",
    "agglomerative",
)
AUTO_K = 0
_SMALLEST_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Network, loss, optimiser, epochs, reduction and clusterer of one method.

    A recipe is stored in every artifact made with it, so that later stages need no flag repeated.
    Construction checks every field and raises :class:`~aeclust.errors.InputError`.

    Attributes
    ----------
    name : str
        Where the fields came from: a key of :data:`RECIPES`.
    network : {"plain", "residual"}
        Family of encoder and decoder, see :mod:`aeclust.network.model`.
    image_size : int
        Pixels a side inside the network; other images are resized, which is said aloud.
    channels : tuple of int
        Channels after each encoder stage; every stage halves the image.
    batch_norm : bool
        Batch normalisation after every convolution but the last.
    latent_size : int
        Values in a latent; 0 takes the last feature map itself.
    variational : bool
        Mean and log-variance heads and the reparameterisation trick; the latent is the mean.
    loss : {"mse", "elbo"}
        Mean squared error over pixels in [-1, 1], or the negative evidence lower bound.
    beta : float
        Weight of the KL term of the bound.
    contrast, temperature : float
        Weight and temperature of the contrastive term between two augmented views; 0 trains
        without views.
    reconstruction : float
        Weight of the reconstruction loss.
    optimizer : {"adam", "adamw", "sgd", "muon"}
        See :mod:`aeclust.network.optimizers`.
    lr, weight_decay, momentum : float
        Momentum is used by ``sgd`` and ``muon``.
    schedule : {"constant", "one-cycle"}
        ``one-cycle`` rises to ``lr`` in the first fifth of all steps and falls to zero in the end.
    batch_size : int
        Images in a step.
    steps : int
        Least number of steps in an epoch, for which few images are cut into smaller batches, of
        32 or more; 0 keeps ``batch_size``.
    epochs : int
        Of training that knows no k.
    label_epochs : int
        Of self-labelling after it: the network learns to tell k clusters of its own latents apart
        in augmented views.
    precision : {"float32", "bfloat16", "auto"}
        ``bfloat16`` runs training under autocast; weights and latents stay float32. ``auto`` does
        so where the hardware has instructions for it.
    k : int
        Number of clusters; 0 (``auto``) estimates it from the latents.
    reduction : tuple of str
        Steps applied to the latents before clustering: ``sphere``, which keeps only the direction
        from their mean, and ``method:size`` with methods ``pca``, ``kpca`` (RBF) and ``tsne``;
        empty for none.
    perplexity : float
        Of t-SNE.
    clusterer : {"consensus", "kmeans", "minibatch-kmeans", "gmm", "gmm-tied", "spectral", \
        "agglomerative"}
        ``consensus`` makes one clustering of several others, see :mod:`aeclust.clusters.consensus`.
    """

    name: str
    network: Literal["plain", "residual"] = "plain"
    image_size: int = 32
    channels: tuple[int, ...] = (64, 128, 256)
    batch_norm: bool = False
    latent_size: int = 0
    variational: bool = False
    loss: Literal["mse", "elbo"] = "mse"
    beta: float = 1.0
    contrast: float = 0.0
    temperature: float = 0.5
    reconstruction: float = 1.0
    optimizer: Literal["adam", "adamw", "sgd", "muon"] = "adam"
    lr: float = 1e-5
    weight_decay: float = 1e-5
    momentum: float = 0.0
    schedule: Literal["constant", "one-cycle"] = "constant"
    batch_size: int = 64
    steps: int = 0
    epochs: int = 100
    label_epochs: int = 0
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    k: int = 2
    reduction: tuple[str, ...] = ("kpca:200", "tsne:2")
    perplexity: float = 30.0
    clusterer: Literal[
        "consensus", "kmeans", "minibatch-kmeans", "gmm", "gmm-tied", "spectral", "agglomerative"
    ] = "minibatch-kmeans"

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name in ("lr", "temperature", "perplexity"):
            _require(getattr(self, name) > 0, name, getattr(self, name), "a number above 0")
        for name in ("beta", "weight_decay", "momentum", "contrast", "reconstruction"):
            _require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        for name in ("lr", "weight_decay"):  # PyTorch refuses steps beyond float32
            _require(getattr(self, name) <= 1e30, name, getattr(self, name), "1e30 or less")
        for name in ("batch_size", "epochs"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        for name in ("epochs", "label_epochs"):
            _require(getattr(self, name) < 10**9, name, getattr(self, name), "less than 1e9")
        _require(self.momentum < 1, "momentum", self.momentum, "less than 1")
        _require(self.k >= 2 or self.k == AUTO_K, "k", self.k, "2 clusters or more, or auto")
        _require(self.steps >= 0, "steps", self.steps, "0 or more")
        _require(self.label_epochs >= 0, "label_epochs", self.label_epochs, "0 or more")
        _require(
            self.label_epochs == 0 or self.contrast > 0,
            "label_epochs",
            self.label_epochs,
            "0 without a contrastive term, because self-labelling needs augmented views",
        )
        _require(self.latent_size >= 0, "latent_size", self.latent_size, "0 or more")
        _require(
            0 < len(self.channels) <= 16 and min(self.channels) > 0,
            "channels",
            self.channels,
            "one positive number for each of 1 to 16 encoder stages",
        )
        divisor = 2 ** len(self.channels)
        _require(
            self.image_size > 0 and self.image_size % divisor == 0,
            "image_size",
            self.image_size,
            f"a multiple of {divisor}, because {len(self.channels)} stages halve the image",
        )
        _require(
            not self.variational or self.latent_size > 0,
            "latent_size",
            self.latent_size,
            "1 or more for a variational network",
        )
        _require(
            self.loss == "mse" or self.variational,
            "loss",
            self.loss,
            "mse, because the bound needs a variational network",
        )
        _require(
            self.contrast > 0 or self.reconstruction > 0,
            "reconstruction",
            self.reconstruction,
            "a positive weight for the contrastive or the reconstruction term",
        )
        _require(
            self.contrast == 0 or self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "2 or more, because the contrastive term compares images",
        )
        _require(
            self.network == "plain" or self.batch_size >= 2,
            "batch_size",
            self.batch_size,
            "2 or more, because the residual network normalises batches",
        )
        _require(
            self.optimizer != "muon" or self.network == "residual" or self.batch_norm,
            "optimizer",
            self.optimizer,
            "adam, adamw or sgd, because muon rescales kernels, which needs batch normalisation",
        )
        for text in self.reduction:
            parse_reduction(text)

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
        return self.epochs + (0 if self.k == AUTO_K else self.label_epochs)

    @property
    def transductive(self) -> bool:
        """Whether the chain has t-SNE, which cannot place images it was not fitted on."""
        return any(parse_reduction(step)[0] == "tsne" for step in self.reduction)

    def override(self, values: Mapping[str, object], *, where: str = "") -> Recipe:
        """This recipe with some fields replaced.

        Parameters
        ----------
        values : mapping
            Field names to values; strings are read as the field's type (``"0.9"``, ``"true"``,
            ``"kpca:200,tsne:2"``).
        where : str
            Named in errors.

        Raises
        ------
        InputError
            For an unknown field or a value that the field does not take.
        """
        for name in values:
            if name not in FIELDS or name == "name":
                raise _unknown(name, [f for f in FIELDS if f != "name"], where, "recipe field")
        try:
            return dataclasses.replace(self, **{n: _parse(n, v) for n, v in values.items()})
        except InputError as error:
            raise InputError(
                error.what, where=where, expected=error.expected, mend=error.mend
            ) from None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, tuples as lists."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_json(cls, values: Mapping[str, object], *, where: str = "") -> Recipe:
        """The inverse of :meth:`to_json`; fields that did not exist yet take their defaults."""
        name = values.get("name")
        if not isinstance(name, str):
            raise InputError(
                "the recipe has no name", where=where, mend="the file is not aeclust's"
            )
        rest = {k: v for k, v in values.items() if k != "name"}
        if type(rest.get("k")) is int and rest["k"] == AUTO_K:
            rest["k"] = "auto"
        return cls(name=name).override(rest, where=where)


FIELDS: dict[str, Any] = typing.get_type_hints(Recipe)


def read_toml(file: Path) -> dict[str, Any]:
    """Recipe fields, and ``recipe`` for the one to start from, from a flat TOML file."""
    try:
        if file.stat().st_size > 1 << 20:
            raise OSError("larger than 1 MB")
        return tomllib.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"cannot be read ({getattr(error, 'strerror', None) or error})",
            where=str(file),
            expected="TOML with one recipe field a line",
            mend=near_file(file, "correct it"),
        ) from error


MEANINGS = {
    "network": "family of encoder and decoder",
    "image_size": "pixels a side inside the network",
    "channels": "after each encoder stage; every stage halves the image",
    "batch_norm": "batch normalisation after every convolution but the last",
    "latent_size": "values in a latent; 0 takes the last feature map itself",
    "variational": "mean and log-variance heads; the latent is the mean",
    "loss": "squared error, or the negative evidence lower bound",
    "beta": "weight of the KL term of the bound",
    "contrast": "weight of the contrastive term between two views; 0 trains without views",
    "temperature": "of the contrastive term",
    "reconstruction": "weight of the reconstruction loss",
    "optimizer": "",
    "lr": "learning rate, at its peak",
    "weight_decay": "",
    "momentum": "of sgd and muon",
    "schedule": "one-cycle rises to lr and falls to zero in the end",
    "batch_size": "images in a step",
    "steps": "least number of steps in an epoch, by smaller batches; 0 keeps batch_size",
    "epochs": "of training that knows no k",
    "label_epochs": "of self-labelling after it",
    "precision": "auto takes bfloat16 where the hardware has instructions for it",
    "k": 'number of clusters, or "auto"',
    "reduction": "steps before clustering: sphere, and pca, kpca, tsne with sizes",
    "perplexity": "of t-SNE",
    "clusterer": "",
}


def to_toml(recipe: Recipe) -> str:
    """Every field as TOML with a comment; :func:`read_toml` reads it back to an equal recipe."""
    lines = [f'recipe = "{recipe.name}"  # where the fields below come from']
    for name, value in recipe.to_json().items():
        if name == "name":
            continue
        if name == "k" and value == AUTO_K:
            value = "auto"
        # JSON writes the texts, numbers, booleans and lists of a recipe as TOML does
        line = f"{name} = {json.dumps(value)}"
        choices = typing.get_args(FIELDS[name]) if _is_choice(name) else ()
        comment = "; ".join(filter(None, (MEANINGS[name], " | ".join(choices))))
        lines.append(f"{line}  # {comment}" if comment else line)
    return "\n".join(lines) + "\n"


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


def _unknown(name: str, known: Iterable[str], where: str, thing: str) -> InputError:
    known = list(known)
    return InputError(
        f"no {thing} is called {name!r}",
        where=where,
        expected=f"one of {', '.join(known)}",
        mend=did_you_mean(name, known, "see aeclust train --help"),
    )


def _require(
    holds: bool, name: str, value: object, expected: str, mend: str = "change that field"
) -> None:
    if not holds:
        raise InputError(f"{name} is {value!r}", expected=expected, mend=mend)


def _parse(name: str, value: object) -> Any:
    """A field's value from a command line, TOML or JSON; a misfit is left for the check."""
    kind = FIELDS[name]
    if name == "k" and str(value).strip() == str(AUTO_K):  # nobody who asks for none means auto
        raise InputError(
            f"k is {AUTO_K}", expected="2 clusters or more, or auto", mend="change that field"
        )
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


def _is_choice(name: str) -> bool:
    return typing.get_origin(FIELDS[name]) is Literal


def _check_type(name: str, value: object) -> None:
    kind = FIELDS[name]
    if _is_choice(name):
        choices = typing.get_args(kind)
        mend = did_you_mean(str(value), choices, "change that field")
        _require(value in choices, name, value, f"one of {', '.join(choices)}", mend)
    elif typing.get_origin(kind) is tuple:
        item = typing.get_args(kind)[0]
        _require(
            isinstance(value, tuple) and all(type(v) is item for v in value),
            name,
            value,
            "whole numbers" if item is int else "texts",
        )
    elif kind is float:
        _require(isinstance(value, float) and math.isfinite(value), name, value, "a finite number")
    else:
        words = {int: "a whole number", bool: "true or false", str: "a text"}
        wanted = words[kind] + (", or auto" if name == "k" else "")
        _require(type(value) is kind, name, value, wanted)


RECIPES: dict[str, Recipe] = {
    # The course's autoencoder: the last feature map (256 x 4 x 4) is the latent.
    "baseline": Recipe(name="baseline"),
    # The same made variational; the report trained it on the squared error alone.
    "vae": Recipe(name="vae", latent_size=128, variational=True),
    # The report's best: deeper, normalised, variational, and trained by plain SGD.
    "deep": Recipe(
        name="deep",
        channels=(64, 128, 256, 512, 1024),
        batch_norm=True,
        latent_size=128,
        variational=True,
        optimizer="sgd",
        lr=0.1,
        weight_decay=0.0,
        momentum=0.9,
        epochs=200,
        reduction=("kpca:50", "tsne:2"),
    ),
    # The project's own: what stays the same under augmentation, a decoder that keeps it honest,
    # and clusters that the network has learnt to tell apart.
    "hybrid": Recipe(
        name="hybrid",
        network="residual",
        channels=(64, 128, 256),
        batch_norm=True,
        contrast=1.0,
        temperature=0.35,
        reconstruction=10.0,
        optimizer="muon",
        lr=0.15,
        weight_decay=1e-4,
        momentum=0.6,
        schedule="one-cycle",
        batch_size=256,
        steps=28,
        epochs=14,
        label_epochs=4,
        precision="auto",
        reduction=("sphere", "pca:20"),
        clusterer="consensus",
    ),
}
DEFAULT_RECIPE = "hybrid"


def named(name: str) -> Recipe:
    """The recipe called `name`; :class:`~aeclust.errors.InputError` suggests a near miss."""
    if name not in RECIPES:
        raise _unknown(name, list(RECIPES), "--recipe", "recipe")
    return RECIPES[name]


def checkpoint_epochs(recipe: Recipe, count: int = 12) -> list[int]:
    """The epochs after which a checkpoint is kept.

    `count` of them, evenly, with 0 and the last, and the end of the first phase.

    >>> checkpoint_epochs(named("baseline"))
    [0, 9, 18, 27, 36, 45, 55, 64, 73, 82, 91, 100]
    """
    evenly = {round(recipe.total_epochs * i / (count - 1)) for i in range(count)}
    return sorted(evenly | {recipe.epochs})
