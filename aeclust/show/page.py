"""A run as one HTML page that holds all it shows: arrays in, text out.

Here values are prepared; ``template/page.html`` lays them out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

from aeclust import seeds
from aeclust.clusters.numbers import OUTLIER, OUTLIERS
from aeclust.errors import shortened
from aeclust.recipe import AUTO_K, Recipe
from aeclust.show import editing, plots, style, thumbnails
from aeclust.show.editing import as_json
from aeclust.show.palette import (
    COLOURS,
    ON_DARK,
    OUTLIER_COLOURS,
    OUTLIER_SHAPE,
    SHAPES,
    marker,
    place,
)
from aeclust.show.picks import Picks
from aeclust.show.report import Reconstructed, Report, Section, Shown, Step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT = 4_940_000  # bytes of a page, printed as 4.9 MB: what mail takes as an attachment
MOST_POINTS = 10_000
MOST_CLUSTERS = 60  # with a line and a gallery of their own, the largest ones
MOST_RECONSTRUCTIONS = 12
NEIGHBOURS = 6  # of each image
# characters for pictures; the map's tiles take what the rest leaves of the limit
_GALLERY, _RECONSTRUCTIONS, _SECTION_ROWS, _STEPS = 1_200_000, 200_000, 400_000, 300_000
# larger ones fit into a room that makes rows equally high
_SMALL, _WIDEST, _TALLEST = thumbnails.SMALL_PICTURE, 160, 96


def page(report: Report) -> str:
    """The whole page.

    It loads nothing and may be opened from anywhere: style, script and pictures lie in it, and its
    content security policy forbids everything else. Equal reports give equal text of less than
    `LIMIT` bytes.
    """
    templates = Environment(
        loader=PackageLoader("aeclust.show", "template"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"short": shortened, "ends": editing.ends}
    look = templates.get_template("page.css").render(
        colours=list(zip(COLOURS, ON_DARK, strict=True)), outliers=OUTLIER_COLOURS
    )
    script = templates.get_template("page.js").render()
    groups = _groups(report)
    clusters = [pick for pick in report.picks if pick.cluster != OUTLIER]
    inside = sum(pick.size for pick in clusters)
    order = seeds.stream(report.seed, "pictures").permutation(len(report.points))
    # outliers below all clusters
    order = order[np.argsort(report.mapped.labels[order] != OUTLIER, kind="stable")]
    where = editing.places(report, order)
    sure = np.rint(1_000 * report.mapped.confidence.astype(np.float64)).astype(int)
    values = {
        "report": report,
        "style": look,
        "style_hash": _sha256(look),
        "script": script,
        "script_hash": _sha256(script),
        "groups": groups,
        "sizes": [pick.size for pick in clusters],
        "mean_confidence": sum(p.size * p.confidence for p in clusters) / max(1, inside),
        "least": f"{(sure.min() // 10) / 100:.2f}",
        "most": f"{-(-sure.max() // 10) / 100:.2f}",
        "steps": _steps(report.steps, where),
        "gallery": _gallery(report, groups, where),
        "sections": _sections(report.sections, where),
        "reconstructions": _reconstructions(report.reconstructed),
        "charts": _charts(report),
        "recipe": _recipe(report.recipe),
    }
    template = templates.get_template("page.html")
    points = editing.images(report, order, *_looks(groups))
    empty = template.render(values, points=as_json(points | {"sheets": None}))
    room = LIMIT - len(empty.encode()) - 1_000 - 10 * len(order)  # for how the sheets are laid out
    if not report.mapped.pictures:
        return empty
    tiles = [report.mapped.pictures[i] for i in order.tolist()]
    sheets = asdict(thumbnails.sheets(tiles, room))
    return template.render(values, points=as_json(points | {"sheets": sheets}))


def shown(picks: Sequence[Picks]) -> list[Picks]:
    """Those of the largest clusters, which alone have room, in their order; and of outliers."""
    clusters = [pick for pick in picks if pick.cluster != OUTLIER]
    largest = sorted(clusters, key=lambda pick: -pick.size)[:MOST_CLUSTERS]
    kept = {pick.cluster for pick in largest} | {OUTLIER}
    return [pick for pick in picks if pick.cluster in kept]


def picks_per_kind(k: int) -> int:
    """How many typical images of each of k clusters have room, and doubtful and random ones."""
    return max(2, min(10, 160 // min(k, MOST_CLUSTERS)))


class _Group(NamedTuple):
    """What a line of the table and a toggle of the map show: a cluster, outliers, or small ones."""

    cluster: int | None  # -1 are the outliers
    name: str
    size: int
    confidence: float
    colour: str  # a class of the style
    shape: str  # a path of SVG


def _groups(report: Report) -> list[_Group]:
    groups = []
    for pick in shown(report.picks):
        name = editing.titled(pick.cluster, report.names)
        look = (f"c{place(pick.cluster)}", SHAPES[marker(pick.cluster)])
        if pick.cluster == OUTLIER:
            look = (OUTLIERS, OUTLIER_SHAPE)
        groups.append(_Group(pick.cluster, name, pick.size, pick.confidence, *look))
    small = len(report.picks) - len(groups)
    if small:
        size = report.shape[0] - sum(group.size for group in groups)
        groups.append(_Group(None, f"{small:,} smaller clusters", size, 0, "other", SHAPES["o"]))
    return groups


def _looks(groups: Sequence[_Group]) -> tuple[dict[int, str], list[str]]:
    """Titles by cluster, and shapes, of the clusters that have a toggle."""
    own = [(group.cluster, group) for group in groups if group.cluster is not None]
    return {cluster: group.name for cluster, group in own}, [group.shape for _, group in own]


class _Picture(NamedTuple):
    """An image on the page; small ones are enlarged, with their pixels kept apart.

    Without a `uri` there is nothing to see of it.
    """

    id: str
    uri: str
    width: int
    height: int
    pixels: bool
    image: int | None = None  # its place in the script's lists


def _pictures(
    ids: Sequence[str], images: Sequence[NDArray[np.uint8]], budget: int
) -> list[_Picture]:
    if not images:
        return [_Picture(name, "", 0, 0, False) for name in ids]
    uris, sizes = thumbnails.pictures(images, budget)
    pictures = []
    for name, uri, (height, width) in zip(ids, uris, sizes, strict=True):
        longest = max(height, width)
        scale = max(1.0, _SMALL // longest)
        if longest > _SMALL:
            scale = min(1.0, _WIDEST / width, _TALLEST / height)
        sides = (max(1, round(scale * width)), max(1, round(scale * height)))
        pictures.append(_Picture(name, uri, *sides, longest <= 16))
    return pictures


def _gallery(
    report: Report, groups: Sequence[_Group], where: Mapping[int, int]
) -> list[tuple[_Group, dict[str, Any]]]:
    """Of each group, pictures with their confidence by kind."""
    images, picks = report.gallery, shown(report.picks)
    (pairs,) = _lots([images], _GALLERY, where)
    by_row = dict(zip(images.rows.tolist(), pairs, strict=True))
    return [
        (group, {kind: [by_row[i] for i in rows.tolist()] for kind, rows in pick.kinds.items()})
        for group, pick in zip(groups, picks, strict=False)  # small clusters come last
    ]


def _steps(
    steps: Sequence[Step], where: Mapping[int, int]
) -> list[tuple[Step, list[tuple[_Picture, float]]]]:
    """Each with pictures of its images, if it has any."""
    lots = iter(_lots([step.images for step in steps if step.images], _STEPS, where))
    return [(step, next(lots) if step.images else []) for step in steps]


class _Row(NamedTuple):
    """Images of a section with what is said of them."""

    caption: str
    pictures: list[tuple[_Picture, float]]


def _sections(
    sections: Sequence[Section], where: Mapping[int, int]
) -> list[tuple[Section, str, list[_Row]]]:
    """Of each section its figure as a data URI, and its rows."""
    lots = iter(_lots([lot for each in sections for _, lot in each.rows], _SECTION_ROWS, where))
    made = []
    for section in sections:
        uri = "" if section.figure is None else _svg_uri(section.figure.encode())
        made.append((section, uri, [_Row(text, next(lots)) for text, _ in section.rows]))
    return made


def _lots(
    lots: Sequence[Shown], budget: int, where: Mapping[int, int]
) -> list[list[tuple[_Picture, float]]]:
    """Pictures with their confidence of several lots of images, all of one quality."""
    ids = [name for lot in lots for name in lot.ids]
    made = iter(_pictures(ids, [image for lot in lots for image in lot.pictures], budget))
    return [
        [
            (next(made)._replace(image=where[row]), confidence)
            for row, confidence in zip(lot.rows.tolist(), lot.confidence.tolist(), strict=True)
        ]
        for lot in lots
    ]


def _reconstructions(made: Reconstructed | None) -> list[tuple[_Picture, _Picture, float]]:
    """Original, reconstruction and error of each."""
    if made is None:
        return []
    both = [thumbnails.shrunk(image, _SMALL) for image in (*made.originals, *made.copies)]
    pictures = _pictures([*made.ids, *made.ids], both, _RECONSTRUCTIONS)
    m = len(made.ids)
    return list(zip(pictures[:m], pictures[m:], made.errors.tolist(), strict=True))


class _Chart(NamedTuple):
    """A picture of lines, and the same in words."""

    title: str
    uri: str
    words: str


def _charts(report: Report) -> list[_Chart]:
    charts = []
    if report.losses:
        figure = plots.loss_figure(report.losses, breaks=report.recipe.epochs)
        words = _words("loss", *zip(*report.losses, strict=True), form="{:#.4g}")
        if report.losses[-1][0] > report.recipe.epochs:
            words += (
                f"; from epoch {report.recipe.epochs + 1} on the network learns the clusters too,"
            )
            words += " and losses from there on cannot be compared with those before"
        charts.append(_Chart("Loss", _svg(figure), words))
    if report.curve is not None:
        points, shares = report.curve.points, plots.curve_shares(report.curve)
        epochs = [point.epoch for point in points]
        lines = [_words("MSE", epochs, [point.error for point in points], form="{:.4f}")]
        lines += [_words(name, epochs, values, form="{:.1%}") for name, values in shares.items()]
        title = f"Reconstruction error, {' and '.join(shares)} of every checkpoint"
        charts.append(_Chart(title, _svg(plots.curve_figure(report.curve)), "; ".join(lines)))
    return charts


def _words(name: str, epochs: Sequence[int], values: Sequence[float], *, form: str) -> str:
    words = f"{name} {form.format(values[0])} after epoch {epochs[0]}"
    if len(epochs) > 1:
        words += f", {form.format(values[-1])} after epoch {epochs[-1]}"
    return words


def _recipe(recipe: Recipe) -> dict[str, str]:
    """What applies of a recipe, in words: what is empty, 0 or false switches something off."""
    fields = recipe.to_json()
    applies = {name: _word(value) for name, value in fields.items() if value}
    if recipe.k == AUTO_K:
        applies["k"] = "auto"
    if recipe.label_epochs and recipe.epochs:
        applies["epochs"] = f"{recipe.epochs}, then {recipe.label_epochs} that learn the clusters"
        del applies["label_epochs"]
    return applies


def _word(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _svg(figure: Figure) -> str:
    return _svg_uri(style.encoded(figure, "svg", transparent=True))


def _svg_uri(picture: bytes) -> str:
    return f"data:image/svg+xml;base64,{base64.b64encode(picture).decode()}"


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
