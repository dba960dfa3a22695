"""The options of train that make the recipe of a run."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aeclust import recipe as recipes
from aeclust.cli import completion
from aeclust.cli.app import TRAINING
from aeclust.cli.options import clusters_option, given_fields, grouped
from aeclust.cli.values import absolute, exclusive
from aeclust.errors import InputError, at

if TYPE_CHECKING:
    from aeclust.cli.options import TrainImages
    from aeclust.images import Source
    from aeclust.run.budget import Budget
    from aeclust.run.context import Context
    from aeclust.run.manifest import Manifest

_training = grouped(TRAINING, show_default="the recipe's")


@dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe of a run."""

    recipe: Literal["baseline", "vae", "deep", "hybrid", "pretrained"] | None = _training(
        "hybrid (any images), pretrained (photographs), or the report's baseline, vae, deep.",
        "NAME",
        show_default="hybrid",
    )
    encoder: str | None = _training(
        "Network of recipe pretrained: efficientnet-lite0, timm:NAME or FILE.onnx.",
        "NAME|FILE",
        autocompletion=completion.encoders,
    )
    encoder_weights: Path | None = grouped(TRAINING)(
        "Weights for timm:NAME, instead of timm's own.",
        "FILE.safetensors",
        autocompletion=completion.weights,
    )
    encoder_input: str | None = _training(
        "Input that an ONNX file expects, such as range=0:1,layout=nchw, or JSON in a file.",
        "TEXT|FILE.json",
    )
    epochs: int | None = _training(
        "Passes over the images. hybrid spends 14 of 18 on learning what images look like and the"
        " rest on the clusters (--set label_epochs=N), but none with one epoch or -k auto.",
        "N",
    )
    minutes: float | None = _training(
        "Train for about so long: the size of the network and the epochs are chosen for this"
        " machine and these images, and stored.",
        "M",
        show_default="by epochs",
    )
    image_size: int | None = _training(
        "Pixels per side that the network sees; other images are resized.", "SIZE", "--size"
    )
    batch_size: int | None = _training("Images per training step.", "N")
    optimizer: recipes.Optimizer | None = _training("Optimiser: adam, adamw, sgd or muon.", "NAME")
    lr: float | None = _training("Learning rate.", "RATE")
    loss: recipes.Loss | None = _training("Loss: mse or elbo.", "NAME")
    precision: recipes.Precision | None = _training(
        "Number format of training: auto, float32 or bfloat16.", "NAME"
    )
    set_: list[str] | None = grouped(TRAINING)(
        *("Any other field of the recipe; may be given several times.", "FIELD=VALUE", "--set"),
        autocompletion=completion.settings,
    )
    config: Path | None = grouped(TRAINING)(
        "Read recipe fields from a TOML file.", "FILE.toml", autocompletion=completion.tomls
    )
    write_config: bool = grouped(TRAINING)(
        "Print the recipe with all these flags as such a file, and train nothing.",
        *(None, "--write-config"),
        default=False,
    )
    keep_checkpoints: str | None = grouped(TRAINING)(
        "Checkpoints to keep, spread evenly over training; last is enough for all commands but"
        " checkpoint-curve.",
        "N|last|all",
        show_default="12",
    )
    k: str | None = clusters_option()

    def chosen(self, begun: recipes.Recipe | None = None) -> recipes.Recipe:
        """The recipe by name, then the TOML file, then --set, then the flags of their own.

        The recipe of a run that has `begun` is where to start from, unless another one is named.
        """
        values = {} if self.config is None else recipes.read_toml(self.config)
        if self.minutes is not None and begun is not None:  # they decide, not the file
            values = {n: v for n, v in values.items() if n not in ("epochs", "label_epochs")}
        configured = values.pop("recipe", None)
        name = self.recipe or (None if configured is None else str(configured))
        if name is None and self.encoder is not None:
            name = begun.name if begun is not None and begun.encoder else "pretrained"
        with at("`recipe`" if self.recipe or self.config is None else self.config):
            base = recipes.named(name or recipes.DEFAULT_RECIPE)
        if begun is not None and name in (None, begun.name):
            base = begun
        settings = self._settings()
        values |= settings
        given = given_fields(self)
        total = given.pop("epochs", None)
        fixed = "label_epochs" in settings
        # all at once, because fields are checked together
        with at(self.config or "the recipe"):
            recipe = base.override(values | given)
            return recipe if total is None else recipe.lasting(total, fixed=fixed)

    def budget(self, begun: Manifest | None) -> Budget | None:
        """What training may take, if that was given; what else was given stays as it is."""
        if self.minutes is None:
            return None
        settings = self._settings()
        if self.epochs is not None or "epochs" in settings:
            raise exclusive("`minutes`, `epochs`")
        from aeclust.run.budget import Budget

        configured = {} if self.config is None else recipes.read_toml(self.config)
        stated = {*configured, *given_fields(self)} - {"label_epochs"} | {*settings}
        return Budget(self.minutes, stated, partial(self.kept, begun=begun))

    def _settings(self) -> dict[str, str]:
        """The fields of --set."""
        values = {}
        for setting in self.set_ or []:
            name, equals, value = setting.partition("=")
            if not equals:
                raise InputError(
                    f"{setting!r} has no value", where="`set`", expected="FIELD=VALUE",
                    mend="for example --set momentum=0.9",
                )  # fmt: skip
            values[name.strip()] = value
        return values

    @property
    def encoder_file(self) -> str | None:
        """The file of the frozen encoder or its weights, as far as it was given."""
        file = self.encoder_weights
        if file is None and self.encoder is not None and self.encoder.lower().endswith(".onnx"):
            file = Path(self.encoder)
        return None if file is None else absolute(str(file))

    def with_path(self, recipe: recipes.Recipe, begun: str | None) -> recipes.Recipe:
        """A recipe for a file: its ONNX encoder by a path that holds in every folder."""
        if self.encoder_weights is not None:
            raise exclusive("`write_config`, `encoder_weights`")
        path = self.encoder_file or begun
        if path is None or Path(path).name != Path(recipe.encoder).name:
            return recipe
        return recipe.override({"encoder": path})

    def kept(self, recipe: recipes.Recipe, begun: Manifest | None) -> tuple[int, ...] | None:
        """The epochs that keep a checkpoint, as a run that has `begun` does; None for the usual."""
        from aeclust.run.checkpoints import checkpoint_epochs, kept_by, parse_keep

        asked = self.keep_checkpoints
        if asked is None and begun is not None and begun.kept is not None:
            if recipe == begun.recipe:
                return begun.kept
            asked = kept_by(begun.recipe, begun.kept) or None
        if asked is None:
            return None
        kept = checkpoint_epochs(recipe, parse_keep(asked))
        return None if kept == checkpoint_epochs(recipe) else tuple(kept)


@dataclass(frozen=True)
class Asked:
    """What a training is asked for; what is not given is as it was when the run began."""

    training: Training
    begun: Manifest | None
    recipe: recipes.Recipe
    budget: Budget | None
    source: Source
    encoder_file: str | None
    val_images: str | None
    val_labels: str | None
    seed: int

    @classmethod
    def of(
        cls,
        training: Training,
        images: TrainImages,
        validation: tuple[str | None, str | None],
        begun: Manifest | None,
        *,
        seed: int | None,
        learn_on: bool,
    ) -> Asked:
        """What the options say, of a new run or of one that has `begun`."""
        if begun is None:
            recipe = training.chosen()
            file, budget = training.encoder_file, training.budget(None)
            source = images.chosen(recipe)
            return cls(training, None, recipe, budget, source, file, *validation, seed or 0)
        begun.check_network()
        recipe, budget = training.chosen(begun.recipe), training.budget(begun)
        if learn_on and not begun.former and training.epochs is None and budget is None:
            from aeclust.run.checkpoints import further

            recipe = further(recipe)
        file = training.encoder_file
        if recipe.encoder == begun.recipe.encoder:
            file = file or begun.encoder_file
        source = images.chosen(recipe, begun.source)
        images_, labels = validation[0] or begun.val_images, validation[1] or begun.val_labels
        seed = begun.seed if seed is None else seed
        return cls(training, begun, recipe, budget, source, file, images_, labels, seed)

    def shown(self, recipe: recipes.Recipe) -> recipes.Recipe:
        """A recipe of this training for a file."""
        file = None if self.begun is None else self.begun.encoder_file
        return self.training.with_path(recipe, file)

    def planned(self, context: Context, *, learn_on: bool) -> recipes.Recipe:
        """The recipe that fits into the budget, which is timed with the images."""
        from aeclust.run.start import begin

        if self.budget is None:
            return self.recipe
        start = begin(
            context, self.begun, self.source, self.recipe, self.encoder_file, learn_on=learn_on
        )
        return start.planned(context, self.budget, self.seed)
