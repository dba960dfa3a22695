"""Commands that make a run again."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aeclust import recipe as recipes
from aeclust.images import Source
from aeclust.recipe import AUTO_K, Recipe
from aeclust.run.checkpoints import kept_by
from aeclust.run.manifest import Manifest

# fields of a recipe that `train` has a flag for; the others are set by --set
_FLAGS = {"k": "-k", "total": "--epochs", "batch_size": "--batch-size", "image_size": "--size"}
_FLAGS |= {name: f"--{name}" for name in ("optimizer", "lr", "loss", "precision", "encoder")}
_FLAGS |= {"encoder_input": "--encoder-input"}
_FILLED_IN = ("encoder_sha256", "latent_size")  # by the encoder, where it is frozen
_CLUSTER_FLAGS = {"k": "-k"} | {n: f"--{n}" for n in ("reduction", "clusterer", "perplexity")}
_CLUSTER_FLAGS |= {"min_cluster_size": "--min-cluster-size"}


def called(source: Source) -> str:
    """What the images are called wherever they lie."""
    path, colons, key = source.location.partition("::")
    return source.location if path.startswith("demo:") else f"{Path(path).name}{colons}{key}"


def commands(
    manifest: Manifest, recipe: Recipe, seed: int, details: Mapping[str, Any]
) -> list[str]:
    """Commands that make the run again, with the flags that say other than their defaults.

    Parameters
    ----------
    manifest : Manifest
    recipe : Recipe
        That of the labels, which ``cluster`` may have been given flags for.
    seed : int
        That of the labels.
    details : mapping
        Those of the labels: ``checkpoint`` is what ``embed`` was asked for.
    """
    lines = [_features(manifest) if manifest.vectors else _training(manifest)]
    if isinstance(details.get("checkpoint"), int):
        lines.append(["embed", "--checkpoint", str(details["checkpoint"])])
    cluster = ["cluster", *cluster_flags(manifest, recipe, seed)]
    cluster += ["--known", "known.csv"] if "known" in details else []
    lines += [cluster] if len(cluster) > 1 else []
    lines += [["edit", "apply", "edits.json"]] if details.get("edits") else []
    return [shlex.join(["aeclust", *line]) for line in [*lines, ["report"]]]


def cluster_flags(manifest: Manifest, recipe: Recipe, seed: int) -> list[str]:
    """What ``cluster`` was given for labels by this recipe and seed."""
    flags = []
    for name, value in _changes(manifest.recipe, recipe).items():
        flags += [_CLUSTER_FLAGS[name], value] if name in _CLUSTER_FLAGS else []
    return flags + (["--seed", str(seed)] if seed != manifest.seed else [])


def _training(manifest: Manifest) -> list[str]:
    """What trains a run again."""
    source, trained = manifest.source, manifest.recipe
    train = ["train", called(source), "--recipe", trained.name]
    for name, value in _training_changes(trained).items():
        flag = _FLAGS.get(name)
        train += ["--set", f"{name}={value}"] if flag is None else [flag, value]
    file = manifest.encoder_file
    if file is not None and Path(file).name != trained.encoder:
        train += ["--encoder-weights", Path(file).name]
    train += _reading(source)
    keep = kept_by(trained, manifest.kept or ())
    train += ["--keep-checkpoints", keep] if keep else []
    train += ["--seed", str(manifest.seed)] if manifest.seed else []
    train += ["--fit", source.fit] if source.fit != Source.fit else []
    return train


def _features(manifest: Manifest) -> list[str]:
    """What begins a run of vectors again."""
    embed, pictures = ["embed", "--features", called(manifest.source)], manifest.pictures
    return embed if pictures is None else [*embed, called(pictures), *_reading(pictures)]


def _reading(source: Source) -> list[str]:
    """The flags that say how images are read."""
    stated = [(name, getattr(source, name)) for name in ("layout", "range")]
    flags = [word for name, value in stated if value is not None for word in (f"--{name}", value)]
    return flags + ["--skip-bad"] * source.skip_bad


def _training_changes(trained: Recipe) -> dict[str, str]:
    """What a training was asked for beside its recipe's name; ``total`` are all its epochs."""
    base = recipes.named(trained.name)
    changes = _changes(base, trained)
    if trained.encoder:
        changes = {n: v for n, v in changes.items() if n not in _FILLED_IN}
    both = ("epochs", "label_epochs")
    if any(name in changes for name in both) and (trained.contrast or not base.label_epochs):
        usual = dataclasses.replace(base, k=trained.k).lasting(trained.total_epochs)
        if all(getattr(usual, name) == getattr(trained, name) for name in both):
            changes = {n: v for n, v in changes.items() if n not in both}
            changes["total"] = str(trained.total_epochs)
    return changes


def _changes(base: Recipe, other: Recipe) -> dict[str, str]:
    """Fields in which a recipe differs from another one, as flags state them."""
    before, after = base.to_json(), other.to_json()
    return {name: _stated(name, after[name]) for name in after if after[name] != before[name]}


def _stated(name: str, value: object) -> str:
    if (name, value) == ("k", AUTO_K):
        return "auto"
    if isinstance(value, list):
        return ",".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
