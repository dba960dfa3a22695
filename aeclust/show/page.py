"""A run as one HTML page that holds all it shows: arrays in, text out; nothing is saved here."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from math import floor, inf, log10
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import printable
from aeclust.recipe import Recipe
from aeclust.show import thumbnails
from aeclust.show.palette import COLOURS, ON_DARK, marker
from aeclust.show.picks import Picks

if TYPE_CHECKING:
    from aeclust.clusters.curve import Curve

LIMIT = 5_000_000  # bytes of a page: what mail takes as an attachment
MOST_POINTS = 10_000
MOST_CLUSTERS = 60  # with a line and a gallery of their own, the largest ones
MOST_RECONSTRUCTIONS = 12
# characters for pictures; the map's tiles take what the rest leaves of the limit
_GALLERY, _RECONSTRUCTIONS, _IDS = 1_200_000, 200_000, 1_000_000
_ID_LENGTHS = (200, 100, 50, 25, 12)
_GRID = 10_000  # steps from one side of the map to the other
# Markers in a square from -1 to 1, by the names of the palette.
_SHAPES = {
    "o": "M-.85 0a.85.85 0 1 0 1.7 0a.85.85 0 1 0-1.7 0z",
    "^": "M0-1L1 .8H-1z",
    "s": "M-.75-.75H.75V.75H-.75z",
    "D": "M0-1L1 0L0 1L-1 0z",
    "v": "M0 1L1-.8H-1z",
    "P": "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35z",
    "X": "M-.95-.5L-.5-.95L0-.45L.5-.95L.95-.5L.45 0L.95 .5L.5 .95L0 .45L-.5 .95L-.95 .5L-.45 0z",
}


@dataclass(frozen=True)
class Shown:
    """Some images and what is said of them.

    Attributes
    ----------
    rows : ndarray of shape (m,)
        int64; their rows in the data, none twice.
    ids : sequence of str
    labels : ndarray of shape (m,)
        int64, their clusters.
    confidence : ndarray of shape (m,)
        In [0, 1].
    pixels : ndarray of shape (m, h, w, c)
        uint8; c is 1 or 3.
    """

    rows: NDArray[np.int64]
    ids: Sequence[str]
    labels: NDArray[np.int64]
    confidence: NDArray[np.floating[Any]]
    pixels: NDArray[np.uint8]


@dataclass(frozen=True)
class Report:
    """What is on the page.

    Attributes
    ----------
    data : str
        What the images are called, without a path.
    shape : tuple of int
        Of all images, (n, h, w, c).
    recipe : Recipe
        That of the labels.
    seed : int
    sizes : ndarray of shape (k,)
        Images in each cluster.
    confidences : ndarray of shape (k,)
        Their mean confidence, in [0, 1]; of an empty cluster, 0.
    agreement : float or None
        Of the members with the labels, in [0, 1].
    view_agreement : float or None
        Of the clusters of random views with the labels, in [0, 1].
    members : mapping of str to float
    warnings, substitutions : sequence of str
    points : ndarray of shape (m, 2)
        The embedding of `mapped`, finite; m at least 1.
    mapped : Shown
        The images on the map.
    note : str
        How the embedding came to be.
    picks : sequence of Picks
        By cluster; those beyond the largest `MOST_CLUSTERS` are left out.
    gallery : Shown
        All images of `picks`.
    originals, reconstructions : ndarray of shape (r, h, w, c)
        Float in [0, 1].
    errors : ndarray of shape (r,)
        Mean squared errors in [-1, 1] units.
    captions : sequence of str
        What the r images are called.
    losses : sequence of (int, float)
        Epochs, ascending, and the loss of each.
    curve : Curve or None
        None if it has not been measured.
    names : mapping of int to str
        Names of clusters that have one.
    digests, versions : mapping of str to str
    commands : sequence of str
        What makes the run again.
    """

    data: str
    shape: tuple[int, ...]
    recipe: Recipe
    seed: int
    sizes: NDArray[np.int64]
    confidences: NDArray[np.float64]
    agreement: float | None
    view_agreement: float | None
    members: Mapping[str, float]
    warnings: Sequence[str]
    substitutions: Sequence[str]
    points: NDArray[np.floating[Any]]
    mapped: Shown
    note: str
    picks: Sequence[Picks]
    gallery: Shown
    originals: NDArray[np.floating[Any]]
    reconstructions: NDArray[np.floating[Any]]
    errors: NDArray[np.floating[Any]]
    captions: Sequence[str]
    losses: Sequence[tuple[int, float]]
    curve: Curve | None
    names: Mapping[int, str]
    digests: Mapping[str, str]
    versions: Mapping[str, str]
    commands: Sequence[str]

    def name(self, cluster: int) -> str:
        """What a cluster is called, short enough for a line."""
        return _shortened(self.names.get(cluster, f"cluster {cluster}"), 60)

    @property
    def clusters(self) -> list[int]:
        """Those with a line of their own: the largest, by ascending number."""
        return largest(self.sizes)


def page(report: Report) -> str:
    """The whole page.

    It loads nothing and may be opened from anywhere: style, script and pictures lie in it, and its
    content security policy forbids everything else. Equal reports give equal text of less than
    `LIMIT` bytes.
    """
    style, script = _palette_css() + _resource("report.css"), _resource("report.js")
    n, k = report.shape[0], len(report.sizes)
    title = f"{n:,} image{'s' * (n != 1)} in {k:,} cluster{'s' * (k != 1)}"
    parts = {
        "style_hash": _sha256(style),
        "script_hash": _sha256(script),
        "style": style,
        "script": script,
        "title": title,
        "about": " · ".join(
            (
                _text(report.data, 80),
                f"recipe {_text(report.recipe.name)}",
                f"seed {report.seed}",
            )
        ),
        "facts": _facts(report),
        "warnings": _warnings(report),
        "map_note": _map_note(report),
        "toggles": _toggles(report),
        "members": _members(report),
        "table": _table(report),
        "gallery": _gallery(report),
        "reconstructions": _reconstructions(report),
        "training": _training(report),
        "commands": "\n".join(escape(printable(line)) for line in report.commands),
        "recipe": _pairs((name, _value(value)) for name, value in report.recipe.to_json().items()),
        "data": _pairs(_data(report)),
    }
    order = np.random.default_rng(0).permutation(len(report.points))
    points = _points(report, order)
    template = Template(_resource("report.html"))
    empty = template.substitute(parts, points=_json(points | {"sheets": None}))
    room = LIMIT - len(empty.encode()) - 1_000  # for how the sheets are laid out
    found = thumbnails.sheets(report.mapped.pixels[order], room)
    sheets = {
        "uris": found.uris,
        "columns": found.columns,
        "rows": found.rows,
        "cell": found.cell,
        "tile": found.tile,
    }
    return template.substitute(parts, points=_json(points | {"sheets": sheets}))


def largest(sizes: NDArray[np.int64]) -> list[int]:
    """The clusters that have room on the page, by ascending number."""
    return sorted(np.argsort(-sizes, kind="stable")[:MOST_CLUSTERS].tolist())


def picks_per_kind(k: int) -> int:
    """How many typical images of each of k clusters have room, and doubtful and random ones."""
    return max(2, min(10, 160 // min(k, MOST_CLUSTERS)))


# -- the map -----------------------------------------------------------------------------------


def _points(report: Report, order: NDArray[np.int64]) -> dict[str, Any]:
    """What the script draws, in an order in which no cluster covers another one."""
    points = np.asarray(report.points, np.float64)[order]
    low = points.min(axis=0)
    spread = float((points.max(axis=0) - low).max()) or 1.0
    places = np.rint((points - low) * (_GRID / spread)).astype(int)
    ids = [report.mapped.ids[i] for i in order.tolist()]
    for length in _ID_LENGTHS:
        short = [_shortened(name, length) for name in ids]
        if len(_json(short).encode()) <= _IDS:
            break
    clusters = report.clusters
    return {
        "clusters": clusters,
        "names": [report.name(j) for j in clusters],
        "shapes": [_SHAPES[marker(i)] for i in range(len(clusters))],
        "other": _SHAPES["o"],
        "x": places[:, 0].tolist(),
        "y": (places[:, 1].max() - places[:, 1]).tolist(),  # a screen counts downwards
        "labels": report.mapped.labels[order].tolist(),
        "confidence": np.round(report.mapped.confidence[order].astype(np.float64), 3).tolist(),
        "ids": short,
    }


def _map_note(report: Report) -> str:
    m, n = len(report.points), report.shape[0]
    some = f" {m:,} of {n:,} images, drawn at random with seed {report.seed}." if m < n else ""
    return _text(f"{report.note}.{some}", 400).replace("t-SNE", "t\u2011SNE")  # in one piece


def _toggles(report: Report) -> str:
    clusters = report.clusters
    lines = [
        _toggle(str(i), _mark(i), escape(report.name(j)), int(report.sizes[j]))
        for i, j in enumerate(clusters)
    ]
    rest = len(report.sizes) - len(clusters)
    if rest:
        size = int(report.sizes.sum() - report.sizes[clusters].sum())
        lines.append(_toggle("other", _mark(None), f"{rest:,} smaller clusters", size))
    return "\n".join(lines)


def _toggle(group: str, mark: str, name: str, size: int) -> str:
    return (
        f'<label class="toggle"><input type="checkbox" data-group="{group}" checked autocomplete='
        f'"off">{mark}<span class="name">{name}</span> <span class="size">{size:,}</span></label>'
    )


def _mark(group: int | None) -> str:
    """The marker of a group in its colour; None is the one for all other clusters."""
    colour = "other" if group is None else f"c{group % len(COLOURS)}"
    shape = _SHAPES["o" if group is None else marker(group)]
    return (
        f'<svg class="mark {colour}" viewBox="-1.2 -1.2 2.4 2.4" aria-hidden="true">'
        f'<path d="{shape}"/></svg>'
    )


def _palette_css() -> str:
    pairs = enumerate(zip(COLOURS, ON_DARK, strict=True))
    return "".join(f".c{i}{{color:light-dark({light},{dark})}}\n" for i, (light, dark) in pairs)


# -- clusters ----------------------------------------------------------------------------------


def _facts(report: Report) -> str:
    n = report.shape[0]
    mean = float((report.sizes * report.confidences).sum()) / n
    facts = [("images", f"{n:,}"), ("clusters", f"{len(report.sizes):,}")]
    facts.append(("mean confidence", f"{mean:.2f}"))
    if report.agreement is not None:
        facts.append(("agreement of the members", f"{report.agreement:.2f}"))
    if report.view_agreement is not None:
        facts.append(("agreement of random views", f"{report.view_agreement:.2f}"))
    low, high = int(report.sizes.min()), int(report.sizes.max())
    facts.append(("images in a cluster", f"{low:,}" if low == high else f"{low:,} to {high:,}"))
    return "\n".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)


def _warnings(report: Report) -> str:
    if not report.warnings:
        return ""
    lines = "".join(f"<li>{_text(line, 400)}</li>" for line in report.warnings)
    return (
        '<section class="warnings" aria-labelledby="warned"><h2 id="warned">Look twice</h2>'
        f"<ul>{lines}</ul></section>"
    )


def _members(report: Report) -> str:
    lines = []
    if report.members:
        lines.append("<h3>How far each member agrees with the others</h3>")
        members = [(name, f"{share:.1%}") for name, share in report.members.items()]
        lines.append(f'<dl class="pairs">{_pairs(members)}</dl>')
        lines.append("<p>The agreement at the top is theirs with the labels in the end.</p>")
    lines += [f"<p>{_text(line, 400)}</p>" for line in report.substitutions]
    return "\n".join(lines)


def _table(report: Report) -> str:
    n, clusters = report.shape[0], report.clusters
    lines = [
        f'<tr><th scope="row">{_mark(i)}{escape(report.name(j))}</th>'
        f"<td>{int(report.sizes[j]):,}</td><td>{_bar(i, report.sizes[j] / report.sizes.max())}"
        f'<span class="share">{report.sizes[j] / n:.1%}</span></td>'
        f"<td>{report.confidences[j]:.2f}</td></tr>"
        for i, j in enumerate(clusters)
    ]
    rest = len(report.sizes) - len(clusters)
    if rest:
        size = int(report.sizes.sum() - report.sizes[clusters].sum())
        lines.append(
            f'<tr><th scope="row">{_mark(None)}{rest:,} smaller clusters</th><td>{size:,}</td>'
            f'<td><span class="share">{size / n:.1%}</span></td><td></td></tr>'
        )
    return "\n".join(lines)


def _bar(group: int, share: float) -> str:
    """A bar in the colour of a group, `share` of the longest one."""
    return (
        f'<svg class="bar c{group % len(COLOURS)}" viewBox="0 0 100 8" preserveAspectRatio="none" '
        f'aria-hidden="true"><rect width="{100 * share:.1f}" height="8"/></svg>'
    )


def _gallery(report: Report) -> str:
    shown, shown_clusters = report.gallery, report.clusters
    uris, size = thumbnails.pictures(shown.pixels, _GALLERY)
    place = {row: i for i, row in enumerate(shown.rows.tolist())}
    lines = []
    for pick in report.picks:
        group = shown_clusters.index(pick.cluster)
        name = escape(report.name(pick.cluster))
        lines.append(f'<section class="cluster" aria-labelledby="cluster-{group}">')
        lines.append(
            f'<h3 id="cluster-{group}">{_mark(group)}{name} <span class="size">{pick.size:,}'
            f" image{'s' * (pick.size != 1)}, mean confidence"
            f" {report.confidences[pick.cluster]:.2f}</span></h3>"
        )
        for kind, rows in (
            ("Most typical", pick.typical),
            ("Most doubtful", pick.doubtful),
            ("Random", pick.random),
        ):
            figures = "".join(
                _figure(uris[i], size, shown.ids[i], f"{shown.confidence[i]:.2f}")
                for i in map(place.__getitem__, rows.tolist())
            )
            strip = f'<div class="strip">{figures}</div>'
            lines.append(f'<div class="kind"><h4>{kind}</h4>{strip}</div>')
        lines.append("</section>")
    return "\n".join(lines)


def _figure(uri: str, size: tuple[int, int], name: str, caption: str) -> str:
    name = _text(name, 80)
    return (
        f"<figure>{_image(uri, size, f'image {name}')}"
        f'<figcaption><span class="id" title="{name}">{name}</span> {caption}</figcaption></figure>'
    )


def _image(uri: str, size: tuple[int, int], alt: str) -> str:
    """A picture, small ones enlarged by a whole number with their pixels kept apart."""
    times = max(1, thumbnails.LARGEST_PICTURE // max(size))
    small = ' class="pixels"' if max(size) <= 16 else ""
    return (
        f'<img{small} src="{uri}" width="{times * size[1]}" height="{times * size[0]}" alt="{alt}">'
    )


# -- reconstructions and training --------------------------------------------------------------


def _reconstructions(report: Report) -> str:
    both = np.concatenate([report.originals, report.reconstructions])
    pixels = thumbnails.shrunk(both, thumbnails.LARGEST_PICTURE)
    uris, size = thumbnails.pictures(pixels, _RECONSTRUCTIONS)
    figures = []
    for i, (caption, error) in enumerate(zip(report.captions, report.errors, strict=True)):
        name = _text(caption, 80)
        figures.append(
            f"<figure>{_image(uris[i], size, f'image {name}')}"
            f"{_image(uris[i + len(report.errors)], size, f'reconstruction of image {name}')}"
            f'<figcaption><span class="id" title="{name}">{name}</span> MSE {error:.4f}'
            "</figcaption></figure>"
        )
    return "".join(figures)


def _training(report: Report) -> str:
    charts = []
    if report.losses:
        epochs = [epoch for epoch, _ in report.losses]
        losses = [loss for _, loss in report.losses]
        charts.append(
            _chart("Loss", epochs, {"loss": losses}, "{:.4g}", breaks=report.recipe.epochs)
        )
    if report.curve is None:
        charts.append(
            '<p class="absent">The checkpoint curve has not been measured: run <code>aeclust '
            "checkpoint-curve</code> to add it.</p>"
        )
        return "\n".join(charts)
    points = report.curve.points
    epochs = [point.epoch for point in points]
    errors = [point.error for point in points]
    title = "Reconstruction error of every checkpoint"
    charts.append(_chart(title, epochs, {"MSE": errors}, "{:.4f}"))
    accuracies = [point.accuracy for point in points if point.accuracy is not None]
    shares = {"validation accuracy": accuracies} if accuracies else {}
    shares["view_neighbours"] = [point.indicators.view_neighbours for point in points]
    title = "Validation accuracy, and" if accuracies else "What is known without labels:"
    charts.append(_chart(f"{title} view_neighbours", epochs, shares, "{:.1%}"))
    return "\n".join(charts)


def _chart(
    title: str,
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float]],
    form: str,
    *,
    breaks: float = inf,
) -> str:
    """Lines over epochs as an inline drawing, with the same said in words.

    After the epoch `breaks` they start anew.
    """
    keep = np.unique(np.linspace(0, len(epochs) - 1, min(len(epochs), 500)).astype(int)).tolist()
    x = [epochs[i] for i in keep]
    values = {name: [line[i] for i in keep] for name, line in series.items()}
    flat = [value for line in values.values() for value in line]
    low, high = min(flat), max(flat)
    left, right, top, bottom = 52, 392, 12, 176

    def across(epoch: float) -> float:
        return left + (right - left) * ((epoch - x[0]) / (x[-1] - x[0]) if x[-1] > x[0] else 0.5)

    def down(value: float) -> float:
        return bottom - (bottom - top) * ((value - low) / (high - low) if high > low else 0.5)

    lines = []
    for tick in _ticks(low, high):
        y, marked = down(tick), f"{100 * tick:g}%" if form.endswith("%}") else f"{tick:g}"
        lines.append(f'<path class="grid" d="M{left} {y:.1f}H{right}"/>')
        lines.append(f'<text x="{left - 8}" y="{y + 4:.1f}" text-anchor="end">{marked}</text>')
    whole = [int(tick) for tick in _ticks(x[0], x[-1]) if tick == int(tick)]
    inner = [tick for tick in whole if min(across(tick) - left, right - across(tick)) > 30]
    lines += [
        f'<text x="{across(epoch):.1f}" y="{bottom + 18}" text-anchor="middle">{epoch}</text>'
        for epoch in dict.fromkeys([x[0], *inner, x[-1]])
    ]
    centre = (left + right) / 2
    lines.append(f'<text x="{centre}" y="{bottom + 36}" text-anchor="middle">epoch</text>')
    keys = []
    for i, (name, line) in enumerate(values.items()):
        colour = ("c0", "c3")[i]
        places = [f"{across(a):.1f} {down(b):.1f}" for a, b in zip(x, line, strict=True)]
        # the second phase has a term more: its loss does not go on from the first one's
        starts = {0, *(j for j in range(1, len(x)) if x[j - 1] <= breaks < x[j])}
        drawn = "".join(f"{'M' if j in starts else 'L'}{at}" for j, at in enumerate(places))
        lines.append(f'<path class="line {colour}" d="{drawn}"/>')
        if len(places) <= 30:
            lines += [
                f'<circle class="{colour}" cx="{at.split()[0]}" cy="{at.split()[1]}" r="2.5"/>'
                for at in places
            ]
        said = f"{name} {form.format(line[0])} after epoch {x[0]}"
        if len(x) > 1:
            said += f", {form.format(line[-1])} after epoch {x[-1]}"
        keys.append(f'<span class="{colour}" aria-hidden="true">━</span> {said}')
    label = escape(f"{title}: a line over {len(epochs)} epochs or checkpoints, described below")
    return (
        f'<figure class="chart"><h3>{escape(title)}</h3><svg viewBox="0 0 400 220" role="img" '
        f'aria-label="{label}">{"".join(lines)}</svg>'
        f"<figcaption>{'; '.join(keys)}</figcaption></figure>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers within a range, three to eight of them; its only value if it has one."""
    # nothing that a label could show
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):
        return [low]
    exponent = floor(log10((high - low) / 3))
    unit, hair = 10.0**exponent, 1e-14  # for what is a whole number but for rounding
    step = unit * next(m for m in (5, 2, 1) if (high - low) / (m * unit) >= 3 - hair or m == 1)
    first, last = int(np.ceil(low / step - hair)), int(np.floor(high / step + hair))
    return [round(i * step, max(0, -exponent)) for i in range(first, last + 1)]


# -- how it was made ---------------------------------------------------------------------------


def _data(report: Report) -> Iterable[tuple[str, str]]:
    n, h, w, c = report.shape
    yield "data", report.data
    yield "images", f"{n:,} of {h} x {w} pixels, {'grey' if c == 1 else 'RGB'}"
    yield "seed", str(report.seed)
    yield from ((f"{name} version", version) for name, version in report.versions.items())
    yield from ((f"{name} SHA-256", digest) for name, digest in report.digests.items())


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(
        f"<div><dt>{_text(name, 80)}</dt><dd>{_text(value, 200)}</dd></div>"
        for name, value in pairs
    )


def _value(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- text --------------------------------------------------------------------------------------


def _shortened(text: str, limit: int) -> str:
    """At most `limit` characters that can be seen; the middle goes first, as ids end in a name."""
    if len(text) > 2 * limit:  # what goes in any case is not looked at
        text = text[:limit] + text[-limit:]
    text, tail = printable(text), limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def _text(text: str, limit: int = 200) -> str:
    return escape(_shortened(text, limit))


def _json(value: object) -> str:
    """JSON that cannot end the script element it stands in."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _resource(name: str) -> str:
    return (files("aeclust.show") / "template" / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
