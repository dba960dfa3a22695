"""Pictures of a run: reconstructions, the checkpoint curve, the gallery."""

from __future__ import annotations

import codecs
import contextlib
import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import disk
from aeclust.clusters.curve import Curve
from aeclust.clusters.indicators import INDICATORS
from aeclust.clusters.numbers import in_use
from aeclust.errors import InputError
from aeclust.images import Source
from aeclust.network import inference
from aeclust.run.clustered import clustered, latents_of, title_of
from aeclust.run.context import Context
from aeclust.run.curve import current_curve, load_validation
from aeclust.run.figures import picture_name, save, with_ending
from aeclust.run.folder import RunFolder
from aeclust.run.images import as_in_run, check_alike, describe_images, other_images
from aeclust.run.latents import load_network
from aeclust.run.manifest import Manifest
from aeclust.run.pixels import pixels_at
from aeclust.run.present import Present, others, present_images
from aeclust.run.previews import in_unit, pictures_at, typical_shape
from aeclust.show import plots
from aeclust.show.gallery import gallery_count, gallery_figure
from aeclust.show.picks import pick, rows_of

GALLERY_CLUSTERS = 48
_GALLERY_NOTE = (
    "Typical: nearest to the middle of the cluster, of its more confident half. "
    "Least sure: of lowest confidence, which stands below each."
)
_ERROR_NOTE = (
    "By the network after epoch {}, which sees the originals as they are here. "
    "Error: mean squared difference of pixels in [-1, 1]."
)
_WATCH = "view_neighbours needs no labels: it is the number to watch."
_CURVE_COLUMNS = ("epoch", "mse", "validation_accuracy")


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
        ``reconstruction.png`` in the run folder, if None; of other images, with their name.

    Returns
    -------
    Reconstructed

    Raises
    ------
    InputError
        If there is no image of such a number, or `output` ends in no format of pictures.
    """
    manifest = context.folder.manifest()
    name = picture_name("reconstruction", others=others_than(context.folder, manifest, source))
    file = with_ending(context.folder.path / name, output)
    manifest.check_network()
    present = _present(context, manifest, source)
    n = len(present.ids)
    bad = next((i for i in indices if not 0 <= i < n), None)
    if bad is not None:
        what, expected = f"there is no image {bad}", f"numbers from 0 to {n - 1}"
        raise InputError(what, where="`idx`", expected=expected)
    epoch = context.folder.last_checkpoint() if checkpoint is None else checkpoint
    network, _ = load_network(context, manifest, epoch)
    rows = np.array(indices, np.int64)
    pixels = pixels_at(context, manifest, present, rows)
    originals, copies, errors = inference.reconstruct(network, pixels)
    ids = present.ids[rows].tolist()
    number = len(ids)
    title = f"{number:,} image{'s' * (number != 1)} and what the network reconstructs of them"
    look: Any = {"title": title, "note": _ERROR_NOTE.format(epoch)}
    files = names_of_files(present.ids, np.unique(rows))
    called = [files.get(row, f"image {present.ids[row]}") for row in indices]
    save(file, plots.reconstruction_figure(originals, copies, errors, called, **look))
    return Reconstructed(file, ids, errors.tolist(), epoch)


def _present(context: Context, manifest: Manifest, source: Source | None) -> Present:
    if source is None:
        return present_images(context, manifest)
    images = other_images(context, manifest, source)
    check_alike(images, manifest)
    describe_images(context, images, manifest.recipe)
    return others(images)


# -- checkpoint-curve --------------------------------------------------------------------------


@dataclass(frozen=True)
class CurveFiles:
    """The measured curve, and where it was drawn and tabled."""

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
    """Measure and draw error, validation accuracy and ``view_neighbours`` of every checkpoint.

    Parameters
    ----------
    context : Context
    val_images, val_labels : optional
        Labelled images; those given to ``train``, if None. Without any, accuracy is left out.
    seed : int, optional
        Of reduction and clusterer; the run's, if None.
    output : Path, optional
        The picture; the CSV lies beside it. ``checkpoint-curve.png`` in the run folder, if None.

    Returns
    -------
    CurveFiles
    """
    file = with_ending(context.folder.path / "checkpoint-curve.png", output)
    table = disk.output_file(file.with_suffix(".csv"))
    _check_table(table)
    manifest = context.folder.manifest()
    manifest.check_network()
    context.folder.last_checkpoint()
    validation = load_validation(context, manifest, val_images, val_labels)
    if validation is None:
        context.log("no validation labels: accuracy is left out (see --val-images, --val-labels)")
    seed = manifest.seed if seed is None else seed
    curve = current_curve(context, manifest, seed=seed, validation=validation)
    note = ""
    if validation is not None:
        alone = manifest.recipe.transductive
        way = "clustered by themselves" if alone else "labelled by the run's clusters"
        note = f"Accuracy of {curve.validated:,} images, {way}; band: one standard error. "
    if manifest.recipe.contrast:  # of others it says little
        note += _WATCH
    disk.write_bytes(table, _curve_csv(curve))
    title = f"{len(curve.points):,} checkpoints of a training on {manifest.shape[0]:,} images"
    save(file, plots.curve_figure(curve, title=title, note=note))
    return CurveFiles(curve, file, table)


def _check_table(file: Path) -> None:
    """Refuse to put the table, which nobody named, in the place of a file of another kind."""
    start = ",".join(_CURVE_COLUMNS).encode()
    try:
        with open(file, "rb") as there:
            head = there.read(len(codecs.BOM_UTF8) + len(start)).removeprefix(codecs.BOM_UTF8)
    except OSError:  # not there, or writing it fails later
        return
    if head and not head.startswith(start):
        raise InputError(
            "is there already, and is no table of a checkpoint curve",
            where=str(file),
            expected="a name for the picture that leaves its .csv free",
            mend="change `output`, or move that file away",
        )


def _curve_csv(curve: Curve) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow((*_CURVE_COLUMNS, *INDICATORS))
    for point in curve.points:
        known = (getattr(point.indicators, name) for name in INDICATORS)
        writer.writerow((point.epoch, point.error, point.accuracy, *known))
    return out.getvalue().encode()


# -- the gallery -------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Shown:
    """The gallery's path, what is on it, and what people added to the labels."""

    file: Path
    clusters: list[ShownCluster]
    added: str = ""


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
        ``gallery.png`` in the run folder, if None; of other images, with their name.

    Returns
    -------
    Shown
    """
    manifest = context.folder.manifest()
    name = picture_name("gallery", others=others_than(context.folder, manifest, source))
    file = with_ending(context.folder.path / name, output)
    images = clustered(context, manifest, source, seed, seen=True)
    prediction, names = images.prediction, images.titles
    labels, sure, ids = prediction.labels, prediction.confidence, prediction.ids
    clusters = len(in_use(labels))
    shown = min(clusters, GALLERY_CLUSTERS)
    shape = typical_shape(context, manifest, prediction.present)
    named = ids.dtype.kind == "U"
    count = gallery_count(len(names) - clusters + shown, *shape, named=named)
    seed = manifest.seed if seed is None else seed
    picked = pick(labels, sure, latents_of(context, prediction), count=count, seed=seed)
    if clusters > shown:  # the largest, which after an update need not be the first
        context.log(f"the gallery shows {shown} of {clusters} clusters")
        largest = sorted(picked[:clusters], key=lambda each: -each.size)[:shown]
        picked = [*largest, *picked[clusters:]]
    rows = rows_of(picked)
    drawn = pictures_of(context, manifest, prediction.present, rows)
    pictures = dict(zip(rows.tolist(), drawn, strict=True))
    called = names_of_files(ids, rows)
    look: Any = {"title": title_of(images), "note": _GALLERY_NOTE, "called": called}
    save(file, gallery_figure(picked, names, pictures, sure, shape=shape, **look))
    shown_clusters = []
    for each in picked:
        kinds = (ids[rows].tolist() for rows in each.kinds.values())
        facts = (each.cluster, names[each.cluster], each.size, each.confidence)
        shown_clusters.append(ShownCluster(*facts, *kinds))
    return Shown(file, shown_clusters, images.added)


def names_of_files(ids: NDArray[Any], rows: NDArray[np.int64]) -> dict[int, str]:
    """What stands below some images, by row: nothing, if ids are no paths.

    The names of their files, but the whole paths if some files are called alike.
    """
    if ids.dtype.kind != "U":
        return {}
    paths = ids[rows].tolist()
    names = [path.rpartition("/")[2] for path in paths]
    return dict(zip(rows.tolist(), names if len({*names}) == len(names) else paths, strict=True))


def others_than(folder: RunFolder, manifest: Manifest, source: Source | None) -> Source | None:
    """Images that are not the run's, as seen from the folder that holds the run; else None."""
    if source is None or as_in_run(manifest, source) == manifest.source:
        return None
    place, mark, key = source.location.partition("::")
    if os.path.isabs(place):
        with contextlib.suppress(ValueError):  # on another drive
            place = os.path.relpath(place, os.path.dirname(os.path.abspath(folder.path)))
    return dataclasses.replace(source, location=place + mark + key)


def pictures_of(
    context: Context, manifest: Manifest, present: Present, rows: NDArray[np.int64]
) -> list[NDArray[np.float32]]:
    """Some images in [0, 1], each of its own shape; of a memory map, these alone are read."""
    return [*map(in_unit, pictures_at(context, manifest, present, rows))]
