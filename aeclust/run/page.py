"""A run gathered onto one page, which is written as an HTML file."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import disk, seeds
from aeclust import recipe as recipes
from aeclust.artifact import Artifact
from aeclust.clusters.nearest import nearest
from aeclust.images import Source
from aeclust.network import inference
from aeclust.recipe import AUTO_K, Recipe
from aeclust.run import choice, embedding
from aeclust.run.checkpoints import kept_by
from aeclust.run.clustered import latents_of, of_run
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.curve import kept_curve
from aeclust.run.edits.file import read_edits
from aeclust.run.figures import with_ending
from aeclust.run.find.found import Found
from aeclust.run.find.section import copies_and_outliers
from aeclust.run.freshness import recipe_of
from aeclust.run.latents import load_network
from aeclust.run.manifest import Manifest
from aeclust.run.pixels import pixels_at
from aeclust.run.predict import Prediction
from aeclust.run.previews import pictures_at
from aeclust.show import page as pages
from aeclust.show import picks, thumbnails
from aeclust.show.report import Editing, Reconstructed, Report, Section, Shown

if TYPE_CHECKING:
    from aeclust.network.model import Autoencoder

# fields of a recipe that `train` has a flag for; the others are set by --set
_FLAGS = {"k": "-k", "total": "--epochs", "batch_size": "--batch-size", "image_size": "--size"}
_FLAGS |= {name: f"--{name}" for name in ("optimizer", "lr", "loss", "precision", "encoder")}
_FLAGS |= {"encoder_input": "--encoder-input"}
_FILLED_IN = ("encoder_sha256", "latent_size")  # by the encoder, where it is frozen
_CLUSTER_FLAGS = {"k": "-k"} | {n: f"--{n}" for n in ("reduction", "clusterer", "perplexity")}
_CLUSTER_FLAGS |= {"min_cluster_size": "--min-cluster-size"}


@dataclass(frozen=True)
class Reported:
    """The page's path and size, and what is on it: images in clusters, and in none.

    And what people added to the labels.
    """

    file: Path
    size: int
    images: int
    clusters: int
    outliers: int
    added: str


def report(context: Context, *, output: Path | None = None) -> Reported:
    """Write a page about the run, making what is missing or stale first.

    Parameters
    ----------
    context : Context
    output : Path, optional
        ``report.html`` in the run folder, if None.

    Returns
    -------
    Reported

    Raises
    ------
    InputError
        If `output` does not end in .html, which is looked at before any work, or as for the
        commands that make what is missing.
    """
    file = with_ending(context.folder.path / "report.html", output, (".html",))
    gathered = gather(context)
    text = pages.page(gathered).encode()
    disk.write_bytes(file, text)
    outliers = gathered.outliers
    clusters = len(gathered.picks) - (outliers > 0)
    inside, added = gathered.shape[0] - outliers, " ".join(gathered.remarks)
    return Reported(file, len(text), inside, clusters, outliers, added)


def gather(context: Context) -> Report:
    """What the page shows; of the images only those that are on it are read."""
    manifest = context.folder.manifest()
    labelled = current_labels(context, manifest)
    recipe = recipe_of(labelled)
    clustered = of_run(context, manifest, labelled)
    prediction = clustered.prediction
    points = embedding.in_two_dimensions(context, manifest, clustered)
    network, weights = None, None
    if not manifest.vectors:
        network, weights = load_network(context, manifest, int(labelled.details["epoch"]))
    labels, confidence = prediction.labels, prediction.confidence
    details, seed = labelled.details, manifest.seed
    some = np.sort(seeds.stream(seed, "pictures").permutation(len(labels))[: pages.MOST_POINTS])
    count = pages.picks_per_kind(len(clustered.titles))
    latents = latents_of(context, prediction)
    picked = picks.pick(labels, confidence, latents, count=count, seed=seed)
    shown = pages.shown(picked)
    rows = picks.rows_of(shown)
    unfinished = context.folder.unfinished(manifest)
    made = Report(
        data=called(manifest.source),
        shape=(len(labels), *manifest.shape[1:]),
        recipe=recipe,
        seed=seed,
        agreement=details.get("agreement"),
        view_agreement=details.get("view_agreement"),
        members=details.get("members", {}),
        warnings=[*filter(None, [unfinished]), *details.get("warnings", [])],
        substitutions=details.get("substitutions", []),
        points=points[some],
        mapped=_shown(context, manifest, prediction, some, thumbnails.largest_tile(len(some))),
        note=clustered.note,
        picks=picked,
        gallery=_shown(context, manifest, prediction, rows, thumbnails.LARGEST_PICTURE),
        reconstructed=None
        if network is None
        else _reconstructed(context, manifest, prediction, network, shown, latents),
        losses=[(int(line["epoch"]), float(line["loss"])) for line in context.folder.metrics()],
        curve=kept_curve(context, manifest),
        names=clustered.names,
        remarks=[*filter(None, [clustered.added])],
        sections=[
            *choice.sections(context, manifest, labelled, clustered, latents, picked),
            *_found(Found(context, manifest, labelled, clustered)),
        ],
        digests={
            "data": manifest.data_digest,
            **({} if weights is None else {"weights": weights}),
            "latents": labelled.parents["latents"],
            "labels": labelled.digest,
        },
        versions=labelled.versions,
        commands=commands(manifest, recipe, labelled.seed, details),
    )
    return dataclasses.replace(made, editing=_editing(context, made.rows, latents, labelled))


def _found(of: Found) -> list[Section]:
    """What there is of copies and outliers."""
    side, images = thumbnails.LARGEST_PICTURE, of.clustered.prediction
    return copies_and_outliers(of, lambda rows: _shown(of.context, of.manifest, images, rows, side))


def _editing(
    context: Context, rows: NDArray[np.int64], latents: NDArray[Any], labelled: Artifact
) -> Editing:
    """What people correct the page's images with: digest, nearest neighbours, edits so far."""
    near = np.empty((len(rows), 0), np.int64)
    if len(rows) > 1:
        points, itself = np.asarray(latents[rows]), np.arange(len(rows))
        progress = partial(context.progress, "neighbours")
        near, _ = nearest(points, points, pages.NEIGHBOURS, exclude=itself, progress=progress)
    stored = read_edits(context.folder)
    return Editing(labelled.digest, rows[near], after=0 if stored is None else len(stored.edits))


def _shown(
    context: Context,
    manifest: Manifest,
    prediction: Prediction,
    rows: NDArray[np.int64],
    side: int,
) -> Shown:
    pictures: list[NDArray[np.uint8]] = []
    if not manifest.vectors or manifest.pictures is not None:
        for picture in pictures_at(context, manifest, prediction.present, rows):
            pictures.append(thumbnails.shrunk(picture, side))
            context.progress("thumbnails", len(pictures), len(rows))
    ids = [str(name) for name in prediction.ids[rows].tolist()]
    labels, confidence = prediction.labels[rows], prediction.confidence[rows]
    return Shown(rows, ids, labels, confidence, pictures)


def _reconstructed(
    context: Context,
    manifest: Manifest,
    prediction: Prediction,
    network: Autoencoder,
    picked: Sequence[picks.Picks],
    latents: NDArray[Any],
) -> Reconstructed:
    """The most typical images of each cluster."""
    most = pages.MOST_RECONSTRUCTIONS
    each = 2 if 2 * len(picked) <= most else 1
    rows = np.concatenate([pick.typical[:each] for pick in picked])[:most]
    pixels = pixels_at(context, manifest, prediction.present, rows)
    drawn = inference.reconstruct(network, pixels, latents[rows])
    return Reconstructed([str(name) for name in prediction.ids[rows].tolist()], *drawn)


# -- what makes it again -----------------------------------------------------------------------


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
