"""What the page's script is told of images, so that it can draw, select and correct them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from jinja2.utils import htmlsafe_json_dumps
from numpy.typing import NDArray

from aeclust.clusters.numbers import OUTLIER, OUTLIERS
from aeclust.errors import shortened
from aeclust.show.palette import COLOURS, MARKERS, OUTLIER_SHAPE, SHAPES
from aeclust.show.report import Editing, Report

# characters for ids as they are shown, and for those that had to be shown otherwise than they are
_SHOWN_IDS, _EXACT_IDS = 1_000_000, 400_000
_ID_LENGTHS = (200, 100, 50, 25, 12)
_WHOLE, _END = 9, 8  # characters that fit below a small picture, and that remain of the end of more
_GRID = 10_000  # steps from one side of the map to the other


def ends(text: str) -> tuple[str, str]:
    """A text in two parts, of which the first is cut where there is no room for both.

    >>> ends("IMG_20210403_0412.jpg"), ends("red.jpg")
    (('IMG_20210403_', '0412.jpg'), ('red.jpg', ''))
    """
    at = len(text) if len(text) <= _WHOLE else len(text) - _END
    return text[:at], text[at:]


def titled(cluster: int, names: Mapping[int, str]) -> str:
    """What a cluster is called: with its number, which is the key that images are moved by."""
    if cluster == OUTLIER:
        return OUTLIERS
    name = names.get(cluster, "")
    return f"{cluster}: {shortened(name, 60)}" if name else f"cluster {cluster}"


def places(report: Report, order: NDArray[np.int64]) -> dict[int, int]:
    """Where each known row stands in the script's lists: the points in an order, then the rest."""
    mapped = report.mapped.rows[order]
    rest = np.setdiff1d(report.rows, mapped)
    return {row: i for i, row in enumerate([*mapped.tolist(), *rest.tolist()])}


def images(
    report: Report, order: NDArray[np.int64], titles: Mapping[int, str], shapes: Sequence[str]
) -> dict[str, Any]:
    """What the script draws, in an order in which no cluster covers another one.

    Parameters
    ----------
    report : Report
    order : ndarray
        Of the points.
    titles, shapes
        Of the clusters that have a toggle.
    """
    points = np.asarray(report.points, np.float64)[order]
    low = points.min(axis=0)
    spread = float((points.max(axis=0) - low).max()) or 1.0
    spots = np.rint((points - low) * (_GRID / spread)).astype(int)
    where = places(report, order)
    known = {row: each for row, *each in _said(report)}
    ids, labels, confidence = zip(*(known[row] for row in where), strict=True)
    short = _shown(ids)
    m = len(order)
    return {
        "clusters": list(titles),
        "names": list(titles.values()),
        "shapes": list(shapes),
        "other": SHAPES["o"],
        "x": spots[:, 0].tolist(),
        "y": (spots[:, 1].max() - spots[:, 1]).tolist(),  # a screen counts downwards
        "labels": labels[:m],
        "confidence": confidence[:m],
        "ids": short[:m],
        "rest": {"labels": labels[m:], "confidence": confidence[m:], "ids": short[m:]},
        "looks": {
            "colours": len(COLOURS),
            "shapes": [SHAPES[name] for name in MARKERS],
            "outlier": OUTLIER_SHAPE,
        },
        "edit": None if report.editing is None else _edit(report, report.editing, where, short),
    }


def _said(report: Report) -> Iterator[tuple[int, str, int, float]]:
    """Row, id, label and confidence of all images, some of them twice."""
    for part in [report.mapped, *report.beside]:
        sure = np.round(part.confidence.astype(np.float64), 3).tolist()
        yield from zip(part.rows.tolist(), part.ids, part.labels.tolist(), sure, strict=True)


def _shown(ids: Sequence[str]) -> list[str]:
    for length in _ID_LENGTHS:
        short = [shortened(name, length) for name in ids]
        if len(as_json(short).encode()) <= _SHOWN_IDS:
            break
    return short


def _edit(
    report: Report, editing: Editing, where: dict[int, int], short: Sequence[str]
) -> dict[str, Any]:
    """What edits are made of, and what they are kept by while they are made."""
    ids = {row: name for row, name, *_ in _said(report)}
    # as text, in which nothing can turn the direction of what stands around it
    exact = json.dumps({i: ids[row] for row, i in where.items() if ids[row] != short[i]})
    place = np.full(report.shape[0], -1)
    place[list(where)] = list(where.values())
    near = np.empty_like(editing.neighbours)
    near[place[report.rows]] = place[editing.neighbours]
    sizes = [[pick.cluster, pick.size] for pick in report.picks]
    names = [[j, shortened(name, 100)] for j, name in sorted(report.names.items())]
    labels = [label for _, _, label, _ in _said(report)]
    state = as_json([editing.labels, sizes, names, labels])
    return {
        "possible": len(exact) <= _EXACT_IDS,
        "labels": editing.labels,
        "after": editing.after,
        # other labels, or other edits in force, have other corrections
        "key": hashlib.sha256(state.encode()).hexdigest()[:16],
        "exact": exact if len(exact) <= _EXACT_IDS else "{}",
        "rows": list(where),
        "whole": len(where) == report.shape[0],
        "sizes": sizes,
        "names": names,
        "near": near.ravel().tolist(),
        "each": near.shape[1],
    }


def as_json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    form: dict[str, Any] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    return htmlsafe_json_dumps(value, json.dumps, **form)
