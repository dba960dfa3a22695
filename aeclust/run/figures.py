"""Pictures of a run: reconstructions, the checkpoint curve, the embedding."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifacts, clustering, inference, labels, metrics, reduction
from aeclust.artifacts import Artifact
from aeclust.choosing import INDICATORS
from aeclust.curve import Curve
from aeclust.curve import checkpoint_curve as measure_curve
from aeclust.errors import InputError
from aeclust.images import Images, Source, load
from aeclust.models import Autoencoder
from aeclust.recipes import Recipe
from aeclust.run.caches import (
    check_channels,
    current_labels,
    current_latents,
    current_request,
    label_images,
    last_checkpoint,
    load_images,
    load_network,
    run_images,
)
from aeclust.run.context import Context, tell_about
from aeclust.run.folder import Manifest

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = ("png", "svg", "pdf")


# -- reconstruct -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reconstructed:
    """The picture's path, and the id and error of every image on it, in the order asked for."""

    file: Path
    ids: list[int | str]
    errors: list[float]
    epoch: int


def reconstruct(
    context: Context,
    indices: Sequence[int],
    source: Source | None = None,
    *,
    checkpoint: int | None = None,
    output: Path | None = None,
) -> Reconstructed:
    """Draw images above their reconstructions, with the error of each.

    Parameters
    ----------
    context : Context
    indices : sequence of int
        Row numbers, in any order, repeats kept.
    source : Source, optional
        Other images than the run's.
    checkpoint : int, optional
        The last, if None.
    output : Path, optional
        ``reconstruction.png`` in the run folder, if None.
    """
    file = _picture(context.folder.path / "reconstruction.png", output)
    manifest = context.folder.manifest()
    images = _images(context, manifest, source)
    bad = next((i for i in indices if not 0 <= i < len(images)), None)
    if bad is not None:
        raise InputError(
            f"there is no image {bad}",
            where=f"--idx {','.join(map(str, indices[:20]))}",
            expected=f"numbers from 0 to {len(images) - 1}",
            mend="correct --idx",
        )
    epoch = last_checkpoint(context.folder) if checkpoint is None else checkpoint
    network, _ = load_network(context, manifest, epoch)
    rows = np.array(indices, np.int64)
    originals, copies, errors = inference.reconstruct(
        network,
        images.pixels[rows],
        image_size=manifest.recipe.image_size,
        device=context.device,
    )
    ids = images.ids[rows].tolist()
    from aeclust import plots

    figure = plots.reconstruction_figure(originals, copies, errors, [str(name) for name in ids])
    _save(file, figure)
    return Reconstructed(file, ids, errors.tolist(), epoch)


# -- checkpoint-curve --------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveFiles:
    """The measured curve and where it was drawn and tabled."""

    curve: Curve
    picture: Path
    table: Path


def checkpoint_curve(
    context: Context,
    *,
    val_images: Source | None = None,
    val_labels: str | None = None,
    seed: int | None = None,
    output: Path | None = None,
) -> CurveFiles:
    """Measure and draw error and validation accuracy of every checkpoint.

    Parameters
    ----------
    context : Context
    val_images, val_labels : optional
        Labelled images; those given to ``train``, if None. Without any, the error alone is drawn.
    seed : int, optional
        Of reduction and clusterer; the run's, if None.
    output : Path, optional
        The picture; the CSV lies beside it. ``checkpoint-curve.png`` in the run folder, if None.
    """
    file = _picture(context.folder.path / "checkpoint-curve.png", output)
    manifest = context.folder.manifest()
    recipe = manifest.recipe
    last_checkpoint(context.folder)
    images = run_images(context, manifest)
    validation = _validation(context, manifest, val_images, val_labels)
    epochs = context.folder.checkpoints()

    def networks() -> Iterator[tuple[int, Autoencoder]]:
        for i, epoch in enumerate(epochs):
            context.progress("checkpoints", i, len(epochs))
            yield epoch, load_network(context, manifest, epoch)[0]
        context.progress("checkpoints", len(epochs), len(epochs))

    curve = measure_curve(
        networks(),
        images.pixels,
        recipe,
        seed=manifest.seed if seed is None else seed,
        device=context.device,
        validation=validation,
    )
    note = ""
    if validation is not None:
        way = "clustered by themselves" if recipe.transductive else "labelled by their neighbours"
        note = f"{len(validation[1])} validation images, {way}"
    table = file.with_suffix(".csv")
    artifacts.write_bytes(table, _curve_csv(curve).encode())
    from aeclust import plots

    accuracies = [p.accuracy for p in curve.points if p.accuracy is not None]
    figure = plots.curve_figure(
        np.array([p.epoch for p in curve.points]),
        np.array([p.error for p in curve.points]),
        np.array(accuracies) if accuracies else None,
        note=note,
        title=f"{recipe.name}, {len(images)} images",
    )
    _save(file, figure)
    return CurveFiles(curve, file, table)


def _validation(
    context: Context, manifest: Manifest, val_images: Source | None, val_labels: str | None
) -> tuple[NDArray[Any], NDArray[np.int64]] | None:
    """Labelled images as asked for now or at training; None if there are none."""
    if val_images is None and val_labels is None and manifest.val_images is not None:
        val_images, val_labels = Source(location=manifest.val_images), manifest.val_labels
    if val_images is None and val_labels is None:
        context.say("no validation labels: accuracy is left out (see --val-images, --val-labels)")
        return None
    if val_images is None or val_labels is None:
        raise InputError(
            "only one of the two is given",
            where="--val-images, --val-labels",
            expected="both",
            mend="add the other",
        )
    images = load(val_images)
    check_channels(images, manifest)
    rows, classes = labels.load(val_labels).aligned(images.ids)
    return images.pixels[rows], classes


def _curve_csv(curve: Curve) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("epoch", "mse", "validation_accuracy", *INDICATORS))
    for point in curve.points:
        accuracy = "" if point.accuracy is None else point.accuracy
        known = (getattr(point.indicators, name) for name in INDICATORS)
        writer.writerow((point.epoch, point.error, accuracy, *known))
    return out.getvalue()


# -- plot --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Plotted:
    """The picture's path, and the scores where true labels were given."""

    file: Path
    scores: metrics.Scores | None


def plot(
    context: Context,
    source: Source | None = None,
    *,
    truth: str | None = None,
    seed: int | None = None,
    output: Path | None = None,
) -> Plotted:
    """Draw a 2-D embedding by cluster and, with labels, by true label.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Other images than the run's. A chain with t-SNE embeds and clusters them by themselves.
    truth : str, optional
        Labels of the images; those given to ``train`` for its validation images, if None.
    seed : int, optional
        Of the embedding of other images; the run's, if None.
    output : Path, optional
        ``embedding.png`` in the run folder, if None.
    """
    file = _picture(context.folder.path / "embedding.png", output)
    manifest = context.folder.manifest()
    if truth is None and source is not None and source.location == manifest.val_images:
        truth = manifest.val_labels
    images = None if source is None else load_images(context, source)
    if images is None or images.digest() == manifest.data_digest:
        embedded = own_embedding(context, manifest, current_labels(context, manifest))
    else:
        check_channels(images, manifest)
        embedded = _other_embedding(context, manifest, images, seed)
    from aeclust import plots

    points, groups = embedded.points, embedded.labels
    k = int(groups.max()) + 1
    names = {j: f"cluster {j}" for j in range(k)}
    panels = [plots.Panel("by cluster", groups, names)]
    scores = None
    if truth is not None:
        rows, classes = labels.load(truth).aligned(embedded.ids)
        points, groups = points[rows], groups[rows]
        scores = metrics.scores(groups, classes)
        if classes.min() >= 0 and classes.max() < k:
            # a cluster takes the colour of the class that it matches
            matched = metrics.best_names(groups, classes, k)
            names = {int(c): f"cluster {j}" for j, c in enumerate(matched)}
            groups = matched[groups]
        panels = [
            plots.Panel(f"by cluster (accuracy {scores.accuracy:.3f})", groups, names),
            plots.Panel(
                "by true label", classes, {int(c): f"class {c}" for c in np.unique(classes)}
            ),
        ]
    title = f"{manifest.recipe.name}: {len(points)} images"
    _save(file, plots.embedding_figure(points, panels, title=title, axis_note=embedded.note))
    return Plotted(file, scores)


@dataclass(frozen=True)
class Embedded:
    """Points (n, 2), their clusters and ids, the recipe of both, and how they came to be."""

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    ids: NDArray[Any]
    recipe: Recipe
    note: str


def own_embedding(context: Context, manifest: Manifest, artifact: Artifact) -> Embedded:
    """The run's images by its current labels; the picture is made if missing or stale."""
    recipe = Recipe.from_json(artifact.recipe, where=str(context.folder.labels_file))
    ids = artifacts.decode_ids(artifact.arrays["ids"])
    chain = " > ".join(recipe.reduction)
    if "embedding" in artifact.arrays:
        points, note = artifact.arrays["embedding"], f"{chain}, as clustered"
    else:
        points = _current_embedding(context, manifest).arrays["embedding"]
        note = f"t-SNE of the latents; clustered by {chain or 'latents'} > {recipe.clusterer}"
    return Embedded(points, artifact.arrays["labels"], ids, recipe, note)


def _other_embedding(
    context: Context, manifest: Manifest, images: Images, seed: int | None
) -> Embedded:
    """Others by the network and chain that the run's labels were, or would be, made with."""
    request = current_request(context.folder, manifest)
    recipe = request.recipe
    if not recipe.transductive:
        labelled = label_images(context, manifest, current_labels(context, manifest), images.source)
    else:
        tell_about(context, images, recipe)
    network, _ = load_network(context, manifest, request.epoch)
    latents = inference.embed(
        network, images.pixels, image_size=recipe.image_size, device=context.device
    )
    seed = request.seed if seed is None else seed
    if not recipe.transductive:
        note = "t-SNE of the latents; labelled by the vote of training neighbours"
        points = reduction.picture(latents, seed=seed, tell=context.say)
        return Embedded(points, labelled.labels, images.ids, recipe, note)
    found = clustering.cluster_latents(latents, recipe, seed=seed, where=images.source.location)
    for line in found.substitutions:
        context.say(line)
    groups, points = found.labels, found.points
    note = (
        "latents embedded and clustered by themselves"
        f" ({' > '.join(recipe.reduction)} > {recipe.clusterer})"
    )
    if points.shape[1] != 2:
        points = reduction.picture(points, seed=seed, tell=context.say)
    return Embedded(points, groups, images.ids, recipe, note)


def _current_embedding(context: Context, manifest: Manifest) -> Artifact:
    """The 2-D picture of the latents, made if missing or stale."""
    file = context.folder.embedding_file
    latents = current_latents(context, manifest)
    if file.exists():
        artifact = artifacts.read(file, "embedding")
        if artifact.parents.get("latents") == latents.digest:
            return artifact
    context.say(f"drawing {len(latents.arrays['latents'])} latents by t-SNE")
    values = latents.arrays["latents"]
    told: list[str] = []
    points = reduction.picture(values, seed=manifest.seed, tell=told.append)
    for line in told:
        context.say(line)
    artifact = Artifact(
        kind="embedding",
        arrays={"embedding": points, "ids": latents.arrays["ids"]},
        recipe=latents.recipe,
        seed=manifest.seed,
        parents={**latents.parents, "latents": latents.digest},
        details={**latents.details, **({"substitutions": told} if told else {})},
    )
    with context.folder.lock():
        return artifact.with_digest(artifacts.write(file, artifact))


# -- shared ------------------------------------------------------------------------------------


def _images(context: Context, manifest: Manifest, source: Source | None) -> Images:
    if source is None:
        return run_images(context, manifest)
    images = load_images(context, source)
    check_channels(images, manifest)
    tell_about(context, images, manifest.recipe)
    return images


def _picture(default: Path, output: Path | None) -> Path:
    """Where the picture goes; its ending decides the format, and is looked at before any work."""
    file = default if output is None else output
    if file.suffix.lower().lstrip(".") not in ENDINGS:
        raise InputError(
            f"ends in {file.suffix or 'nothing'!r}",
            where=str(file),
            expected=".png, .svg or .pdf",
            mend="change -o",
        )
    return file


def _save(file: Path, figure: Figure) -> None:
    kind = file.suffix.lower().lstrip(".")
    buffer = io.BytesIO()
    # neither a date nor a version: equal runs draw equal bytes
    metadata: dict[str, Any] = {
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    }[kind]
    figure.savefig(buffer, format=kind, metadata=metadata)
    artifacts.write_bytes(file, buffer.getvalue())
