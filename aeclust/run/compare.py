"""Clusterings of the same images beside one another: what stays together, and what moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact, disk
from aeclust.clusters.numbers import titled
from aeclust.clusters.stability import Stability, stability
from aeclust.errors import InputError, printable
from aeclust.images import truth
from aeclust.images.columns import rows_of
from aeclust.images.truth import Labels
from aeclust.images.written import to_csv
from aeclust.run.added import added_to
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.figures import save, with_ending
from aeclust.run.folder import RunFolder
from aeclust.run.images import match
from aeclust.run.naming import current_names, name_column
from aeclust.run.present import present_images
from aeclust.run.previews import check_pictures, in_unit, pictures_at

_NOTE = "Pale: images that stay in their cluster. Dark: images that move."
_STRIP = " Below: those that stay least"
_SHARES = ", with the share of the clusterings in which they stay"
About = Callable[[str], AbstractContextManager[Context]]


@dataclass(frozen=True)
class Compared:
    """What several clusterings agree on.

    Attributes
    ----------
    places : list of str
        Where they are.
    ids : ndarray of shape (n,)
        The images that all of them have, in the order of the first.
    labels : ndarray of shape (r, n)
        int64, each in its own numbers.
    names : list of dict of int to str
        Of the clusters of each that have one.
    left_out : list of int
        Images that each has beside these.
    by_ids : list of str
        Places of runs with images of other contents, which are matched by their ids.
    added : list of str
        What people added to each, in words; empty if nothing.
    result : Stability
    """

    places: list[str]
    ids: NDArray[Any]
    labels: NDArray[np.int64]
    names: list[dict[int, str]]
    left_out: list[int]
    by_ids: list[str]
    added: list[str]
    result: Stability


@dataclass(frozen=True)
class _Clustering:
    """Labels, and what identifies the images: their contents too, where these are known."""

    labels: Labels
    ids: NDArray[Any]
    marks: NDArray[np.uint64] | None = None
    added: str = ""
    is_run: bool = False


def compare(
    about: About, places: Sequence[str], *, output: Path | None = None, plot: Path | None = None
) -> Compared:
    """Compare clusterings with the first of them.

    Parameters
    ----------
    about : callable
        Gives the context of what is at a place.
    places : sequence of str
        At least two runs or files of labels.
    output : Path, optional
        Where to write a CSV of ``id,label,stability``.
    plot : Path, optional
        Where to draw what moves.
    """
    if len(places) < 2:
        what, expected = f"{len(places)} is given", "two or more runs or files of labels"
        raise InputError(what, where="RUN", expected=expected, mend="name another one")
    if output is not None:
        with_ending(output, output, (".csv",))
    if plot is not None:
        with_ending(plot, plot, setting="plot")
    found = [_clustering(about, place) for place in places]
    rows = _common(found, places)
    labels = np.stack([each.labels.values[own] for each, own in zip(found, rows, strict=True)])
    compared = Compared(
        list(places),
        found[0].ids[rows[0]],
        labels,
        [each.labels.called for each in found],
        [len(each.labels) - len(rows[0]) for each in found],
        [p for p, each in zip(places, found, strict=True) if _differ(found[0], each)],
        [each.added for each in found],
        stability(list(labels)),
    )
    if output is not None:
        kept = compared.result.kept.round(6)
        text = to_csv(compared.ids, labels[0], stability=kept)
        disk.write_bytes(output, text.encode())
    if plot is not None:
        _draw(about, compared, found, rows, plot)
    return compared


def _clustering(about: About, place: str) -> _Clustering:
    """The current labels of a run, or those of a file."""
    is_run = RunFolder(Path(place)).exists()
    with about(place) as context:
        if not is_run and not artifact.is_artifact(Path(place)):
            found = truth.load(place, texts=True)
            for remark in found.remarks:
                context.log(remark)
            return _Clustering(found, np.arange(len(found)) if found.ids is None else found.ids)
        names: dict[int, str] = {}
        if is_run:
            labels = current_labels(context, context.folder.manifest(), look=False)
            names = current_names(context, labels)
        else:
            labels = artifact.read(Path(place), "labels")
    found = truth.of_artifact(labels, place)
    if names:
        found = replace(found, names=name_column(names, found.values))
    ids, marks = artifact.decode_ids(labels.arrays["ids"]), labels.arrays["fingerprints"]
    return _Clustering(found, ids, marks, added_to(labels), is_run)


def _common(found: Sequence[_Clustering], places: Sequence[str]) -> list[NDArray[np.int64]]:
    """The rows (m,) in each clustering of the images that all of them have."""
    first = found[0]
    theirs = [np.arange(len(first.ids))]
    for other, place in zip(found[1:], places[1:], strict=True):
        rows = np.full(len(first.ids), -1)
        at = _rows_in(first, other)
        rows[at[at >= 0]] = np.flatnonzero(at >= 0)
        if (rows < 0).all():
            raise InputError(
                f"has no image that {places[0]} has",
                where=place,
                expected="clusterings of the same images",
                mend="compare runs of one set of images",
            )
        theirs.append(rows)
    every = np.stack(theirs)
    common = (every >= 0).all(0)
    if not common.any():
        raise InputError(
            "there is no image that all of them have",
            where=", ".join(places),
            expected="clusterings of the same images",
            mend="compare two at a time",
        )
    return [rows[common] for rows in every]


def _differ(first: _Clustering, other: _Clustering) -> bool:
    """Whether contents are known of both, and none is the same."""
    if first.marks is None or other.marks is None:
        return False
    return not np.isin(first.marks, other.marks).any()


def _rows_in(first: _Clustering, other: _Clustering) -> NDArray[np.int64]:
    """The row of the first that each image of another is, -1 for none.

    By content where that is known of both. Runs may work at other sizes, or with vectors: where no
    content is the same, by ids, which as row numbers must be the same then. Else by ids; where one
    has row numbers alone and the other paths, rows are taken as they stand.
    """
    if first.marks is not None and other.marks is not None:
        in_files = first.ids.dtype.kind == other.ids.dtype.kind == "U"
        alike = in_files or np.array_equal(first.ids, other.ids)
        if not (alike and _differ(first, other)):
            return match((first.ids, first.marks), other.ids, other.marks)
    without = [each.labels.ids is None for each in (first, other)]
    paths = any(not all(map(str.isdecimal, map(str, each.ids))) for each in (first, other))
    if any(without) and paths and len(first.ids) == len(other.ids):
        return np.arange(len(first.ids))
    return rows_of(other.ids, first.ids)


# -- the picture -----------------------------------------------------------------------------------


def _draw(
    about: About,
    compared: Compared,
    found: Sequence[_Clustering],
    rows: Sequence[NDArray[np.int64]],
    file: Path,
) -> None:
    from aeclust.show import flows

    places, result = compared.places, compared.result
    with about(places[0]) as context:
        if (more := len(places) - 1 - flows.PANELS) > 0:
            context.log(f"the picture shows the first {flows.PANELS + 1} and leaves out {more}")
    shown = range(1, min(len(places), flows.PANELS + 1))
    first, start = _side(compared, 0)
    others = []
    for i in shown:
        side, end = _side(compared, i)
        table = np.zeros((len(first.names), len(side.names)), np.int64)
        np.add.at(table, (start, end), 1)
        others.append((side, table))
    images = _least_stable(about, compared, found, rows, flows.IMAGES)
    stay = int((result.kept == 1).sum())
    title = f"{len(compared.ids):,} images, of which {stay:,} stay in their cluster"
    note = _NOTE + f"{_STRIP}{_SHARES * (len(places) > 2)}." * bool(images)
    figure = flows.flow_figure(first, others, images, title=title, note=note)
    save(file, figure)


def _side(compared: Compared, i: int) -> tuple[Any, NDArray[np.int64]]:
    """The clusters of a clustering in the order of the first, and the place (n,) of each image."""
    from aeclust.show.flows import Side

    own, aligned = compared.labels[i], compared.result.aligned[i]
    pairs, places = np.unique(np.stack([aligned, own]), axis=1, return_inverse=True)
    last = pairs[1] < 0  # no cluster stands below all
    order = np.lexsort((pairs[1], pairs[0], last))
    place_of = np.argsort(order)
    numbers, mine = pairs[:, order]
    names = [titled(cluster, compared.names[i]) for cluster in mine.tolist()]
    inside = np.isin(numbers, compared.result.numbers)
    title = Path(compared.places[i]).name or compared.places[i]
    side = Side(printable(title), names, np.where(inside, numbers, -1).tolist())
    return side, place_of[places.ravel()]


def _least_stable(
    about: About,
    compared: Compared,
    found: Sequence[_Clustering],
    rows: Sequence[NDArray[np.int64]],
    count: int,
) -> list[tuple[NDArray[np.float32], str]]:
    """Images that stay least, from the first run that has images to show, and in how many."""
    kept = compared.result.kept
    least = [i for i in np.argsort(kept, kind="stable")[:count].tolist() if kept[i] < 1]
    run = next((i for i, each in enumerate(found) if each.is_run), None)
    if run is None or not least:
        return []
    with about(compared.places[run]) as context:
        try:
            manifest = context.folder.manifest()
            check_pictures(manifest, None)
            present = present_images(context, manifest)
            place = {row: i for i, row in enumerate(present.rows.tolist()) if row >= 0}
            there = [i for i in least if int(rows[run][i]) in place]
            which = np.array([place[int(rows[run][i])] for i in there], np.int64)
            pictures = list(pictures_at(context, manifest, present, which))
        except InputError as error:
            context.log(f"the picture shows no images: {error.what}")
            return []
    shares = [f"{kept[i]:.2f}" if len(found) > 2 else "" for i in there]
    return [*zip(map(in_unit, pictures), shares, strict=True)]
