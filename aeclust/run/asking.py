"""Images most worth labelling, in a file to fill in and on a sheet to look at."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import disk
from aeclust.artifact import Artifact
from aeclust.clusters.numbers import titled
from aeclust.errors import InputError, at
from aeclust.images.known import read_known, to_csv
from aeclust.recipe import HDBSCAN, Clusterer
from aeclust.run.again import cluster_flags
from aeclust.run.clusters import cluster_numbers, current_labels
from aeclust.run.context import Context
from aeclust.run.edits.applied import correction
from aeclust.run.edits.kinds import Drop, Move
from aeclust.run.figures import save, with_ending
from aeclust.run.freshness import recipe_of
from aeclust.run.known import Steering
from aeclust.run.manifest import Manifest
from aeclust.run.naming import current_names
from aeclust.run.pictures import pictures_of
from aeclust.run.predict import Prediction, label_present, latents_behind
from aeclust.run.present import Present
from aeclust.run.steering import steering_of, worth_labelling
from aeclust.show.lots import Lot, lots_figure

_MOST_DRAWN = 600
_HEAD = 100  # bytes of a PNG in which it says whose it is


@dataclass(frozen=True)
class Asked:
    """What is asked for.

    Attributes
    ----------
    file : Path
        The CSV to fill in.
    sheet : Path or None
        The pictures; None of vectors without any.
    ids : list of int or str
        The images that are asked for, in the order in which to answer.
    known : int
        Images whose labels are known already, which stand in the file filled in.
    command : str
        What takes the answers in.
    """

    file: Path
    sheet: Path | None
    ids: list[int | str]
    known: int
    command: str


def ask(
    context: Context,
    count: int,
    *,
    output: Path | None = None,
    drawn: bool = True,
    seed: int | None = None,
    force: bool = False,
) -> Asked:
    """Choose the images most worth labelling, and write a file to fill in, and a sheet of them.

    What is known already stands in the file filled in, with its pairs, so that the file that is
    filled in last says all.

    Parameters
    ----------
    context : Context
    count : int
        Of images; fewer if fewer are left.
    output : Path, optional
        The CSV, which the sheet lies beside; ``ask.csv`` in the run folder, if None.
    drawn : bool
        Whether there is to be a sheet.
    seed : int, optional
        The run's, if None.
    force : bool
        Replace a file whose labels the run has not read.

    Raises
    ------
    InputError
        If the file holds labels that the run has not read, or all images are known.
    """
    file = with_ending(context.folder.path / "ask.csv", output, (".csv",))
    manifest = context.folder.manifest()
    labels = current_labels(context, manifest)
    prediction = label_present(context, manifest, labels)
    present, steering = prediction.present, steering_of(labels) or Steering("")
    names, said = current_names(context, labels), steering.said
    command = _command(context, manifest, labels, file)
    if not force:
        _check_replaceable(file, present, steering, command)
    seed = manifest.seed if seed is None else seed
    asked = to_ask(context, labels, present, count=count, seed=seed)
    if not len(asked):
        what = f"all {(present.rows >= 0).sum():,} images are known or corrected by hand"
        raise InputError(what, where=str(context.folder.path), expected="images to ask for")
    place = _places(labels, present)
    number_of = dict(steering.labels)
    there = (row for row in said if place[row] >= 0)
    answered = sorted(there, key=lambda row: (number_of[row], row))
    rows = np.array([*place[answered], *asked], np.int64)
    columns = _columns(prediction, rows, [said[row] for row in answered], names)
    sheet = None
    if drawn and not (manifest.vectors and manifest.pictures is None):
        sheet = _draw(context, manifest, file, present, asked, columns)
    pairs = [
        (*present.ids[place[[a, b]]].tolist(), bool(same))
        for a, b, same in steering.pairs
        if place[a] >= 0 <= place[b]
    ]
    disk.write_bytes(file, to_csv(columns, pairs).encode())
    return Asked(file, sheet, columns["id"][len(answered) :], len(answered), command)


def _columns(
    prediction: Prediction, rows: NDArray[np.int64], answers: list[str], names: Mapping[int, str]
) -> dict[str, list[Any]]:
    """The columns of the file: first the images that have an answer, then those to ask for."""
    count, clusters = len(rows) - len(answers), prediction.labels[rows].tolist()
    return {
        "id": prediction.ids[rows].tolist(),
        "label": answers + [""] * count,
        "cluster": clusters,
        **({"cluster_name": [names.get(cluster, "") for cluster in clusters]} if names else {}),
        "confidence": [f"{c:.3f}" for c in prediction.confidence[rows].tolist()],
        "picture": [""] * len(answers) + [*range(1, count + 1)],
    }


def to_ask(
    context: Context, labels: Artifact, present: Present, *, count: int, seed: int
) -> NDArray[np.int64]:
    """Places of the images to ask for, in the order in which to answer.

    None of those that are known, corrected by hand or new; so there may be none at all.
    """
    place, steering = _places(labels, present), steering_of(labels)
    barred = place < 0
    barred[[*(steering.said if steering else ()), *_corrected(context, labels)]] = True
    if barred.all():
        return np.empty(0, np.int64)
    latents = latents_behind(context, labels.parents["latents"]).arrays["latents"]
    return place[worth_labelling(labels, latents, count=count, seed=seed, known=barred)]


def _places(labels: Artifact, present: Present) -> NDArray[np.int64]:
    """Of each labelled image (n,) its place among those that are there; -1 if it is gone."""
    place, ours = np.full(len(labels.arrays["ids"]), -1), np.flatnonzero(present.rows >= 0)
    place[present.rows[ours]] = ours
    return place


def _corrected(context: Context, labels: Artifact) -> list[int]:
    """Rows of the images that somebody has put somewhere by hand."""
    found = correction(context.folder, labels)
    moved = [each for each in found.edits if isinstance(each, Move | Drop)] if found else []
    ids = {name for each in moved if not each.off for name in each.ids}
    return [row for name, row in found.row_of.items() if name in ids] if found else []


def _command(context: Context, manifest: Manifest, labels: Artifact, file: Path) -> str:
    """What takes the answers in: of clusters by hdbscan, which no labels steer, by another one."""
    recipe = recipe_of(labels)
    if recipe.clusterer == HDBSCAN:
        own, k = manifest.recipe.clusterer, max(2, len(cluster_numbers(labels)))
        clusterer: Clusterer = "consensus" if own == HDBSCAN else own
        recipe = replace(recipe, clusterer=clusterer, k=k, min_cluster_size=0)
        context.log(
            f"hdbscan takes no known labels: the answers will steer {k} clusters by {clusterer}"
        )
    flags = cluster_flags(manifest, recipe, labels.seed)
    return context.folder.command(shlex.join(["cluster", *flags, "--known", str(file)]))


def _check_replaceable(file: Path, present: Present, steering: Steering, command: str) -> None:
    """Refuse to replace a file with labels or pairs that the run has not read."""
    if not file.exists():
        return
    with at(file):
        try:
            gone = (*present.gone, *steering.gone)
            given = read_known([str(file)], present.ids, gone=gone, former=present.former)
        except InputError as error:
            if error.what.startswith("holds no known label"):
                return
            raise
        rows, said = present.rows.tolist(), steering.said
        pairs = {(a, b): bool(same) for a, b, same in steering.pairs}
        new = [place for place, word in given.labels.items() if said.get(rows[place]) != word]
        new_pairs = [
            pair
            for pair, same in given.pairs.items()
            if pairs.get((min(rows[i] for i in pair), max(rows[i] for i in pair))) != same
        ]
        if new or new_pairs:
            counts = [(len(new), "label"), (len(new_pairs), "pair")]
            what = " and ".join(f"{n:,} {each}{'s' * (n != 1)}" for n, each in counts if n)
            raise InputError(
                f"has {what} that the run has not read yet",
                expected="a file that is not filled in, or whose labels the run has read",
                mend=f"take them in with {command}, or replace it with `force`",
            )


def _draw(
    context: Context,
    manifest: Manifest,
    file: Path,
    present: Present,
    rows: NDArray[np.int64],
    columns: Mapping[str, Sequence[Any]],
) -> Path:
    """The sheet with the images that are asked for, which are the last ones of the file."""
    sheet = disk.output_file(file.with_suffix(".png"))
    _check_sheet(sheet)
    if len(rows) > _MOST_DRAWN:
        context.log(f"the sheet shows the first {_MOST_DRAWN:,} of {len(rows):,} images")
    last = slice(len(columns["id"]) - len(rows), None)
    names = [f"{i}: {name}" for i, name in enumerate(columns["id"][last], 1)]
    called = columns.get("cluster_name", [""] * len(columns["id"]))[last]
    clusters, sure = columns["cluster"][last], columns["confidence"][last]
    remarks = [
        f"{titled(cluster, {cluster: word})}, {share}"
        for word, cluster, share in zip(called, clusters, sure, strict=True)
    ]
    pictures = pictures_of(context, manifest, present, rows[:_MOST_DRAWN])
    title = f"{len(rows):,} image{'s' * (len(rows) != 1)} to label"
    note = (
        f"Write the labels into {file.name}. Below each image: its cluster, with the confidence. "
    )
    note += "A sure one is typical of its cluster: its label names the cluster."
    lot = Lot(pictures, names, remarks, clusters=clusters)
    figure = lots_figure([lot], title=title, note=note)
    save(sheet, figure)
    return sheet


def _check_sheet(sheet: Path) -> None:
    """Refuse to put the sheet, which nobody named, in the place of somebody's picture."""
    if sheet.exists():
        with open(sheet, "rb") as there:
            ours = b"aeclust" in there.read(_HEAD)
        if not ours:
            raise InputError(
                "is there already, and is no sheet of aeclust",
                where=str(sheet),
                expected="a name for the file that leaves its .png free",
                mend="change `output`, or move that picture away",
            )
