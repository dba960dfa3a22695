"""Pictures of a run: reconstructions, the checkpoint curve, the embedding, the gallery."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust import disk
from aeclust.artifact import Artifact
from aeclust.clusters import reduction
from aeclust.clusters import scores as metrics
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.curve import Curve
from aeclust.clusters.indicators import INDICATORS
from aeclust.errors import InputError, at, printable
from aeclust.images import Images, Source
from aeclust.images import truth as labels
from aeclust.network import inference
from aeclust.recipe import Recipe
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.curve import current_curve, load_validation
from aeclust.run.folder import Manifest
from aeclust.run.freshness import epoch_for, last_request
from aeclust.run.images import check_channels, describe_images, other_images, run_images
from aeclust.run.latents import current_latents, embed_alike, load_network
from aeclust.run.names import current_names
from aeclust.run.predict import label_by_neighbours
from aeclust.show import picks as choice

_CURVE_COLUMNS = ("epoch", "mse", "validation_accuracy")

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ENDINGS = ("png", "svg", "pdf")
GALLERY_CLUSTERS = 48
_GALLERY_NOTE = (
    "typical: nearest to the mean latent, of the confident half; "
    "doubtful: of least confidence, printed below"
)


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
    epoch = context.folder.last_checkpoint() if checkpoint is None else checkpoint
    network, _ = load_network(context, manifest, epoch)
    rows = np.array(indices, np.int64)
    originals, copies, errors = inference.reconstruct(
        network,
        images.pixels[rows],
        image_size=manifest.recipe.image_size,
        device=context.device,
    )
    ids = images.ids[rows].tolist()
    from aeclust.show import plots

    figure = plots.reconstruction_figure(originals, copies, errors, [str(name) for name in ids])
    _save(file, figure)
    return Reconstructed(file, ids, errors.tolist(), epoch)


# -- checkpoint-curve --------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveFiles:
    """The measured curve, where it was drawn and tabled, and of how many validation images."""

    curve: Curve
    picture: Path
    table: Path
    validated: int


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
    table = disk.meant(file.with_suffix(".csv"))
    _check_table(table)
    manifest = context.folder.manifest()
    recipe = manifest.recipe
    context.folder.last_checkpoint()
    validation = load_validation(context, manifest, val_images, val_labels)
    if validation is None:
        context.log("no validation labels: accuracy is left out (see --val-images, --val-labels)")
    curve = current_curve(
        context, manifest, seed=manifest.seed if seed is None else seed, validation=validation
    )
    note = ""
    if validation is not None:
        way = "clustered by themselves" if recipe.transductive else "labelled by their neighbours"
        note = f"{len(validation.classes)} validation images, {way}"
    disk.write_bytes(table, _curve_csv(curve).encode())
    from aeclust.show import plots

    accuracies = [p.accuracy for p in curve.points if p.accuracy is not None]
    figure = plots.curve_figure(
        np.array([p.epoch for p in curve.points]),
        np.array([p.error for p in curve.points]),
        np.array(accuracies) if accuracies else None,
        note=note,
        title=f"{recipe.name}, {manifest.shape[0]} images",
    )
    _save(file, figure)
    return CurveFiles(curve, file, table, 0 if validation is None else len(validation.classes))


def _check_table(file: Path) -> None:
    """Refuse to put the table, which nobody named, in the place of a file of another kind."""
    start = ",".join(_CURVE_COLUMNS).encode()
    try:
        with open(file, "rb") as there:
            found = there.read(len(codecs.BOM_UTF8) + len(start)).removeprefix(codecs.BOM_UTF8)
            known = not found or found.startswith(start)
    except OSError:  # not there, or it will be told on writing
        return
    if not known:
        raise InputError(
            "is there already, and is no table of a checkpoint curve",
            where=str(file),
            expected="a name for the picture that leaves its .csv free",
            mend="change -o, or move that file away",
        )


def _curve_csv(curve: Curve) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_CURVE_COLUMNS, *INDICATORS))
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
    thumbnails: bool = False,
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
    thumbnails : bool
        Lay some of the images over their points.
    seed : int, optional
        Of the embedding of other images, and of the choice of thumbnails; the run's, if None.
    output : Path, optional
        ``embedding.png`` in the run folder, if None.
    """
    file = _picture(context.folder.path / "embedding.png", output)
    manifest = context.folder.manifest()
    if truth is None and source is not None and source.location == manifest.val_images:
        truth = manifest.val_labels
    images = None
    if source is not None:
        images = other_images(context, manifest, source)
    elif thumbnails:
        images = run_images(context, manifest)
    if images is None or images.digest() == manifest.data_digest:
        embedded = own_embedding(context, manifest, current_labels(context, manifest))
    else:
        embedded = _other_embedding(context, manifest, images, seed)
    from aeclust.show import plots

    points, groups, rows = embedded.points, embedded.labels, np.arange(len(embedded.labels))
    k = int(groups.max()) + 1
    titles = _titles(k, embedded.names)
    panels = [plots.Panel("by cluster", groups, titles)]
    scores = None
    if truth is not None:
        known = labels.load(truth, texts=True)
        rows, classes = known.aligned(embedded.ids)
        points, groups = points[rows], groups[rows]
        scores = metrics.score(groups, classes)
        called = known.called
        if classes.min() >= 0 and classes.max() < k:
            # a cluster takes the colour of the class that it matches
            matched = metrics.best_names(groups, classes, k)
            titles = {int(c): titles[j] for j, c in enumerate(matched)}
            groups = matched[groups]
        panels = [
            plots.Panel(f"by cluster (accuracy {scores.accuracy:.3f})", groups, titles),
            plots.Panel(
                "by true label",
                classes,
                {c: printable(called.get(c, f"class {c}")) for c in np.unique(classes).tolist()},
            ),
        ]
    laid: dict[int, NDArray[np.float32]] = {}
    if thumbnails and images is not None:
        box = plots.thumbnail_box(points, *images.pixels.shape[1:3])
        chosen = choice.apart(points, box, seed=manifest.seed if seed is None else seed)
        laid = dict(zip(chosen.tolist(), _unit(images, rows[chosen]), strict=True))
    title = f"{manifest.recipe.name}: {len(points)} images"
    figure = plots.embedding_figure(
        points, panels, title=title, axis_note=embedded.note, thumbnails=laid
    )
    _save(file, figure)
    return Plotted(file, scores)


@dataclass(frozen=True)
class Shown:
    """The gallery's path, and for each cluster on it its name and the ids of its images."""

    file: Path
    clusters: list[ShownCluster]


@dataclass(frozen=True)
class ShownCluster:
    """One cluster of a gallery: number, name, size, mean confidence, and ids as drawn."""

    cluster: int
    name: str
    size: int
    confidence: float
    typical: list[int | str]
    doubtful: list[int | str]
    random: list[int | str]


def gallery(
    context: Context,
    source: Source | None = None,
    *,
    seed: int | None = None,
    output: Path | None = None,
) -> Shown:
    """Draw typical, doubtful and random images of every cluster.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Other images than the run's. A chain with t-SNE clusters them by themselves.
    seed : int, optional
        Of the random ones, and of the clustering of other images; the run's, if None.
    output : Path, optional
        ``gallery.png`` in the run folder, if None.
    """
    file = _picture(context.folder.path / "gallery.png", output)
    manifest = context.folder.manifest()
    own = source is None
    if source is None:
        images = run_images(context, manifest)
    else:
        images = other_images(context, manifest, source)
        own = images.digest() == manifest.data_digest
    if own:
        artifact = current_labels(context, manifest)
        groups, confidence = artifact.arrays["labels"], artifact.arrays["confidence"]
        latents = artifacts.read(context.folder.latents_file, "latents", mapped=True)
        values, note = latents.arrays["latents"], ""
        names: Mapping[int, str] = current_names(context, artifact)
    else:
        others = _cluster_others(context, manifest, images, seed)
        groups, confidence, values = others.labels, others.confidence, others.latents
        names = others.names
        way = "labelled by the vote of training neighbours"
        note = f"{way if others.voted else 'clustered by themselves'}; "
    from aeclust.show import plots

    size = images.pixels.shape[1:3]
    picks = choice.pick(
        groups,
        confidence,
        values,
        count=plots.gallery_count(min(len(np.unique(groups)), GALLERY_CLUSTERS), *size),
        seed=manifest.seed if seed is None else seed,
    )
    if len(picks) > GALLERY_CLUSTERS:  # clusters are numbered by falling size
        context.log(f"the gallery shows {GALLERY_CLUSTERS} of {len(picks)} clusters")
    titles = _titles(int(groups.max()) + 1, names)
    exhibits, clusters = [], []
    for one in picks[:GALLERY_CLUSTERS]:
        mean = float(confidence[groups == one.cluster].mean(dtype=np.float64))
        name = titles[one.cluster]
        exhibits.append(
            plots.Exhibit(
                name=name,
                size=one.size,
                mean=mean,
                typical=_unit(images, one.typical),
                doubtful=_unit(images, one.doubtful),
                random=_unit(images, one.random),
                confidence=confidence[one.doubtful],
            )
        )
        ids = (images.ids[rows].tolist() for rows in (one.typical, one.doubtful, one.random))
        clusters.append(ShownCluster(one.cluster, name, one.size, mean, *ids))
    title = f"{manifest.recipe.name}: {len(images)} images"
    _save(file, plots.gallery_figure(exhibits, title=title, note=f"{note}{_GALLERY_NOTE}"))
    return Shown(file, clusters)


def _titles(k: int, names: Mapping[int, str]) -> dict[int, str]:
    return {j: f"{j}: {names[j]}" if j in names else f"cluster {j}" for j in range(k)}


def _unit(images: Images, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Some images in [0, 1]; of a memory map, these alone are read."""
    pixels = images.pixels[rows]
    scale = 255 if pixels.dtype == np.uint8 else 1
    return np.asarray(pixels / np.float32(scale), np.float32)


@dataclass(frozen=True)
class Embedded:
    """Points (n, 2), their clusters and ids, and how they came to be.

    `names` are those of the run's clusters; none where the images were clustered by themselves.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    ids: NDArray[Any]
    note: str
    names: Mapping[int, str] = field(default_factory=dict)


def own_embedding(context: Context, manifest: Manifest, artifact: Artifact) -> Embedded:
    """The run's images by its current labels; the picture is made if missing or stale."""
    recipe = Recipe.from_json(artifact.recipe)
    ids = artifacts.decode_ids(artifact.arrays["ids"])
    chain = " > ".join(recipe.reduction)
    if "embedding" in artifact.arrays:
        points, note = artifact.arrays["embedding"], f"{chain}, as clustered"
    else:
        points = _current_embedding(context, manifest).arrays["embedding"]
        note = f"t-SNE of the latents; clustered by {chain or 'latents'} > {recipe.clusterer}"
    names = current_names(context, artifact)
    return Embedded(points, artifact.arrays["labels"], ids, note, names)


def _other_embedding(
    context: Context, manifest: Manifest, images: Images, seed: int | None
) -> Embedded:
    others = _cluster_others(context, manifest, images, seed)
    points = others.points
    if points.shape[1] != 2 or others.voted:
        points = _draw(context, points, others.seed, context.log)
    voted = "t-SNE of the latents; labelled by the vote of training neighbours"
    alone = f"latents embedded and clustered by themselves ({others.chain})"
    note = voted if others.voted else alone
    return Embedded(points, others.labels, images.ids, note, others.names)


@dataclass(frozen=True)
class _Others:
    """Other images: latents (n, d), clusters and confidence (n,), and how these came to be.

    voted: by training neighbours, and not by a chain of their own; points (n, e): what was
    clustered, or the latents; names: of the run's clusters, if these are the clusters.
    """

    latents: NDArray[np.float32]
    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    confidence: NDArray[np.float32]
    voted: bool
    chain: str
    seed: int
    names: Mapping[int, str] = field(default_factory=dict)


def _cluster_others(
    context: Context, manifest: Manifest, images: Images, seed: int | None
) -> _Others:
    """By the network and chain that the run's labels were, or would be, made with."""
    check_channels(images, manifest.shape[3])
    request = last_request(context.folder, manifest)
    recipe = request.recipe
    seed = request.seed if seed is None else seed
    chain = " > ".join((*recipe.reduction, recipe.clusterer))
    if not recipe.transductive:
        artifact = current_labels(context, manifest)
        names = current_names(context, artifact)
        latents = embed_alike(context, manifest, images, int(artifact.details["epoch"]))
        known = artifacts.read(context.folder.latents_file, "latents", mapped=True)
        voted = label_by_neighbours(images, latents, known, artifact)
        return _Others(latents, latents, voted.labels, voted.confidence, True, chain, seed, names)
    describe_images(context, images, recipe)
    network, _ = load_network(context, manifest, epoch_for(context.folder, manifest, request))
    latents = inference.embed(
        network,
        images.pixels,
        image_size=recipe.image_size,
        device=context.device,
        report=lambda done: context.progress("embed", done, len(images)),
    )
    with at(images.source.location):
        found = cluster_latents(latents, recipe, seed=seed, progress=context.step)
    context.progress("clustering", 1, 1)
    for line in found.substitutions:
        context.log(line)
    return _Others(latents, found.points, found.labels, found.confidence, False, chain, seed)


def _draw(
    context: Context, latents: NDArray[Any], seed: int, tell: Callable[[str], None]
) -> NDArray[np.float32]:
    """Latents in two dimensions, which takes a while that is shown."""
    context.progress(f"t-SNE of {len(latents)} latents", 0, 0)
    points = reduction.picture(latents, seed=seed, note=tell)
    context.progress("t-SNE", 1, 1)
    return points


def _current_embedding(context: Context, manifest: Manifest) -> Artifact:
    """The 2-D picture of the latents, made if missing or stale."""
    file = context.folder.embedding_file
    latents = current_latents(context, manifest, last_request(context.folder, manifest))
    if file.exists():
        artifact = artifacts.read(file, "embedding")
        if artifact.parents.get("latents") == latents.digest:
            return artifact
    context.log(f"drawing {len(latents.arrays['latents'])} latents by t-SNE")
    values = latents.arrays["latents"]
    told: list[str] = []
    points = _draw(context, values, manifest.seed, told.append)
    for line in told:
        context.log(line)
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
    images = other_images(context, manifest, source)
    check_channels(images, manifest.shape[3])
    describe_images(context, images, manifest.recipe)
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
    disk.write_bytes(file, buffer.getvalue())
