"""Labels beside the truth: scores, what the names themselves are worth, clusters by classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.clusters.crosstab import Crosstab, crosstab
from aeclust.clusters.numbers import titled
from aeclust.clusters.scores import Scores, score
from aeclust.errors import InputError, printable
from aeclust.images import truth
from aeclust.images.known import read_known
from aeclust.images.truth import Labels
from aeclust.run.added import added_to
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.figures import save, with_ending
from aeclust.run.folder import RunFolder
from aeclust.run.naming import current_names, name_column
from aeclust.run.predict import label_present
from aeclust.run.present import Present
from aeclust.run.steering import known_images


@dataclass(frozen=True)
class Evaluated:
    """Agreement of some labels with the truth.

    Attributes
    ----------
    images, labelled : int
        How many have a predicted label, and how many of these are scored.
    added : str
        What people added to the labels, in words; empty if nothing.
    left_out : int
        That have a true label, but whose label was known before.
    scores : Scores
    as_written : float or None
        The share of images whose label reads as the true one; None where the two sides do not use
        the same words.
    names, classes : dict of int to str
        What clusters and classes are called, those that are called anything.
    renamed : dict of int to str
        What the best matching calls the clusters that are written otherwise; empty where nothing
        is compared as it is written.
    table : Crosstab
    """

    images: int
    labelled: int
    added: str
    left_out: int
    scores: Scores
    as_written: float | None
    names: dict[int, str]
    classes: dict[int, str]
    renamed: dict[int, str]
    table: Crosstab


def evaluate(
    context: Context,
    predicted: str,
    true: str,
    *,
    known: Sequence[str] = (),
    with_known: bool = False,
    plot: Path | None = None,
) -> Evaluated:
    """Score labels against the truth, without the images whose label was known before.

    Parameters
    ----------
    context : Context
        Of the run, where `predicted` is one.
    predicted, true : str
        Where labels are; `predicted` may be a run, whose labels are made if missing or stale.
    known : sequence of str
        Files of the known labels that steered the clusters.
    with_known : bool
        Score the known images too.
    plot : Path, optional
        Where to draw the table of clusters by classes.
    """
    if plot is not None:
        with_ending(plot, plot, setting="plot")
    ours, present, added = _labels_at(context, predicted)
    gone, former = ((), {}) if present is None else (present.gone, present.former)
    classes_of = truth.load(true, texts=True)
    for remark in (*ours.remarks, *classes_of.remarks):
        context.log(remark)
    rows, classes = truth.pair(ours, classes_of, gone=gone, former=former)
    if len(ours) != len(classes_of) and _by_rows(ours) and _by_rows(classes_of):
        context.log(
            f"the ids are row numbers, of {len(ours):,} images and {len(classes_of):,} true labels:"
            " make sure that both are of the same images in the same order"
        )
    if not len(rows):
        raise InputError("no image that is there has a true label", where=true, expected="some")
    out = _known(ours, known, gone, former)[rows] & (not with_known)
    if out.all():
        raise InputError(
            f"the labels of all {len(rows)} images were known before, and steered the clusters",
            where=true,
            expected="the truth of others",
            mend="or score these with `with_known`",
        )
    clusters, classes = ours.values[rows][~out], classes[~out]
    table = crosstab(clusters, classes)
    written, right = _as_written(ours, classes_of, clusters, classes)
    result = Evaluated(
        images=len(ours),
        labelled=len(classes),
        added=added,
        left_out=int(out.sum()),
        scores=score(clusters, classes),
        as_written=written,
        names=ours.called,
        classes=classes_of.called,
        renamed={} if written is None else _renamed(table, right, classes_of.called),
        table=table,
    )
    if plot is not None:
        _draw(
            result, plot, title=f"{len(classes):,} images of {_short(predicted)}, by {_short(true)}"
        )
    return result


def _by_rows(labels: Labels) -> bool:
    """Whether labels are of images that have no more than row numbers, from 0 on."""
    rows = np.arange(len(labels)).astype(np.str_)
    return labels.ids is None or np.array_equal(labels.ids.astype(np.str_), rows)


def _labels_at(context: Context, place: str) -> tuple[Labels, Present | None, str]:
    """Labels of a file or of a run as they are now, that run's images, added_to them."""
    if not RunFolder(Path(place)).exists():
        if not artifact.is_artifact(Path(place)):
            return truth.load(place, texts=True), None, ""
        labels = artifact.read(Path(place), "labels")
        found = truth.of_artifact(labels, place)
        return replace(found, known=known_images(labels)), None, added_to(labels)
    manifest = context.folder.manifest()
    labels = current_labels(context, manifest)
    names, ours = current_names(context, labels), label_present(context, manifest, labels)
    rows, known = ours.present.rows, known_images(labels)
    found = Labels(
        ours.labels,
        ours.ids,
        place,
        name_column(names, ours.labels) if names else None,
        known=None if known is None else known[rows] & (rows >= 0),
    )
    return found, ours.present, added_to(labels)


def _known(
    ours: Labels, places: Sequence[str], gone: Collection[str], former: Mapping[str, str]
) -> NDArray[np.bool_]:
    """Which images (n,) had a label before."""
    known = np.zeros(len(ours), bool) if ours.known is None else ours.known.copy()
    if places:
        ids = np.arange(len(ours)) if ours.ids is None else ours.ids
        known[[*read_known(places, ids, gone=gone, former=former).labels]] = True
    return known


def _as_written(
    ours: Labels, true: Labels, clusters: NDArray[np.int64], classes: NDArray[np.int64]
) -> tuple[float | None, Mapping[int, set[int]]]:
    """How many are right as written, and the classes that read as each cluster does.

    None if the two sides do not use the same words: names of which they share some or, where
    neither has names, the same numbers; a truth of a few images may lack some of these.
    """
    written = {label: word for label, word in _word_of(ours).items() if label != -1}
    read = _word_of(true)
    if ours.called or true.called:
        same = bool({*written.values()} & {*read.values()} - {""})
    elif len(true) < len(ours):
        same = {*read} <= {*written}
    else:
        same = {*read} == {*written}
    if not same:
        return None, {}
    classes_by: dict[str, set[int]] = {}
    for label, word in read.items():
        classes_by.setdefault(word, set()).add(label)
    right = {label: classes_by.get(word, set()) for label, word in written.items() if word}
    pairs = zip(clusters.tolist(), classes.tolist(), strict=True)
    agree = sum(label in right.get(cluster, ()) for cluster, label in pairs)
    return agree / len(classes), right


def _renamed(
    table: Crosstab, right: Mapping[int, set[int]], called: Mapping[int, str]
) -> dict[int, str]:
    """What the best matching calls the clusters that are written otherwise."""
    pairs = zip(table.clusters.tolist(), table.matched.tolist(), strict=True)
    best = {cluster: int(table.classes[column]) for cluster, column in pairs if column >= 0}
    return {j: called.get(c, str(c)) for j, c in best.items() if c not in right.get(j, ())}


def _word_of(labels: Labels) -> dict[int, str]:
    return dict(zip(labels.values.tolist(), labels.words, strict=True))


def _short(place: str) -> str:
    return printable(Path(place).name or place)


def _draw(result: Evaluated, file: Path, *, title: str) -> None:
    from aeclust.show.tables import table_figure

    table, scores = result.table, result.scores
    rows = [titled(cluster, result.names) for cluster in table.clusters.tolist()]
    columns = [printable(result.classes.get(each, str(each))) for each in table.classes.tolist()]
    note = f"Accuracy {scores.accuracy:.3f}: framed is the true label that each cluster matches"
    if result.as_written is not None:
        note += f", while {result.as_written:.3f} have the label as it is written"
    note += ". The darker, the larger a share of the cluster."
    note += f" The clusters are {result.added}." * bool(result.added)
    look: Any = {"marks": table.clusters.tolist(), "title": title, "note": note}
    figure = table_figure(table.counts, rows, columns, table.matched, **look)
    save(file, figure)
