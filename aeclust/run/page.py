"""A run gathered onto one page, which is written as an HTML file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust import disk, seeds
from aeclust.artifact import Artifact
from aeclust.clusters.nearest import nearest
from aeclust.network import inference
from aeclust.run import choice, embedding
from aeclust.run.again import called, commands
from aeclust.run.asking import to_ask
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
from aeclust.run.verdict import Verdict, verdict
from aeclust.show import page as pages
from aeclust.show import picks, thumbnails
from aeclust.show.report import Editing, Reconstructed, Report, Section, Shown, Step

if TYPE_CHECKING:
    from aeclust.network.model import Autoencoder


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
    folder = context.folder.as_seen_beside()  # wherever it lies, the page is the same
    beside = dataclasses.replace(context, folder=folder)
    judged = verdict(folder, labelled, clustered.names, labels=labels, confidence=confidence)
    made = Report(
        data=called(manifest.source),
        shape=(len(labels), *manifest.shape[1:]),
        recipe=recipe,
        seed=seed,
        agreement=_agreement(details),
        view_agreement=details.get("view_agreement"),
        verdict=judged.sentence,
        steps=_steps(beside, manifest, labelled, prediction, judged),
        members=details.get("members", {}),
        warnings=[*filter(None, [folder.unfinished(manifest)]), *details.get("warnings", [])],
        substitutions=details.get("substitutions", []),
        points=points[some],
        mapped=_shown(context, manifest, prediction, some, thumbnails.largest_tile(len(some))),
        note=clustered.note,
        picks=picked,
        gallery=_shown(context, manifest, prediction, rows, thumbnails.LARGEST_PICTURE),
        reconstructed=None
        if network is None
        else _reconstructed(context, manifest, prediction, network, shown, latents),
        losses=[(int(line["epoch"]), float(line["loss"])) for line in folder.metrics()],
        curve=kept_curve(context, manifest),
        names=clustered.names,
        remarks=[*filter(None, [clustered.added])],
        sections=[
            *choice.sections(context, manifest, labelled, clustered, latents, picked),
            *_found(Found(beside, manifest, labelled, clustered)),
        ],
        digests={
            "data": manifest.data_digest,
            **({} if weights is None else {"weights": weights}),
            "latents": labelled.parents["latents"],
            "labels": labelled.digest,
        },
        versions=labelled.versions,
        commands=commands(manifest, recipe, labelled.seed, details),
        flag=folder.flag,
    )
    return dataclasses.replace(made, editing=_editing(beside, made.rows, latents, labelled))


def _agreement(details: Mapping[str, Any]) -> float | None:
    """The mean of the members that kept all clusters.

    Labels from before 0.2.0 may tell another one, of members that were measured otherwise.
    """
    kept = [share for share in details.get("members", {}).values() if share > 0]
    return float(np.mean(kept)) if kept else details.get("agreement")


def _steps(
    context: Context,
    manifest: Manifest,
    labelled: Artifact,
    prediction: Prediction,
    judged: Verdict,
) -> list[Step]:
    """What to do next; beside the command that asks for images those that it asks for."""
    count, steps = judged.to_check, []
    asks = context.folder.command(f"ask -n {count}")
    for step in judged.steps:
        images = None
        if step.command == asks:
            present = prediction.present
            rows = to_ask(context, labelled, present, count=count, seed=manifest.seed)
            images = _shown(context, manifest, prediction, rows, thumbnails.LARGEST_PICTURE)
        if images is None or len(images.ids):
            steps.append(Step(step.what, step.command, images))
    return steps


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
    after, command = 0 if stored is None else len(stored.edits), context.folder.command
    return Editing(labelled.digest, rows[near], after, command("edit apply edits.json"))


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
