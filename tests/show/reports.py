"""Reports made by hand, and their pages read back."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from html.parser import HTMLParser
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aeclust import recipe as recipes
from aeclust.show import page as pages
from aeclust.show import picks as choice
from aeclust.show.report import Editing, Reconstructed, Report, Shown

EVIL = "</script><img src=x onerror=alert(1)>\u2028&'\"\u202e"
EVIL_SEEN = "</script><img src=x onerror=alert(1)>\\u2028&'\"\\u202e"
SHAPES = [(107, 160, 3), (160, 90, 3), (8, 8, 3), (160, 160, 1), (12, 160, 1), (40, 30, 3)]
VOID = {"meta", "img", "input", "path", "rect", "circle", "link", "br"}


def make_report(
    n: int = 60, k: int = 3, *, side: int = 8, channels: int = 3, noise: bool = False,
    outliers: int = 0, identify: Any = str, **changes: Any,
) -> Report:  # fmt: skip
    """A report of flat images, a colour for each, or of noise."""
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, k, n))
    labels[:k] = np.arange(k)
    centres = rng.normal(0, 10, (k, 2))
    points = centres[labels] + rng.normal(0, 1, (n, 2))
    labels[n - outliers :] = -1
    confidence = np.round(rng.uniform(0.2, 1, n), 3)
    colours = rng.integers(0, 256, (n, 1, 1, channels), np.uint8)

    def shown(rows: NDArray[np.int64], longest: int) -> Shown:
        shape = (len(rows), min(side, longest), min(side, longest), channels)
        pixels = np.broadcast_to(colours[rows], shape)
        if noise:
            pixels = rng.integers(0, 256, shape, np.uint8)
        ids = [identify(row) for row in rows.tolist()]
        return Shown(rows, ids, labels[rows], confidence[rows], list(pixels))

    some = np.arange(min(n, pages.MOST_POINTS))
    picks = choice.pick(labels, confidence, points, count=pages.picks_per_kind(k), seed=0)
    rows = choice.rows_of(pages.shown(picks))
    first = shown(np.arange(min(n, 4)), 64)
    errors = np.arange(len(first.ids)) / 8
    originals = np.array(first.pictures) / 255
    reconstructed = Reconstructed(first.ids, originals, originals / 2, errors)
    made = Report(
        data="photos", shape=(n, side, side, channels), recipe=recipes.named("hybrid"), seed=7,
        agreement=0.875, view_agreement=0.625,
        verdict="About 9 of 10 labels should hold.", steps=[],
        members={"kmeans in 10 dimensions": 0.75}, warnings=[], substitutions=[],
        points=points[some], mapped=shown(some, 32), note="Alike (t-SNE)", picks=picks,
        gallery=shown(rows, 64), reconstructed=reconstructed, losses=[(1, 4.0), (2, 3.0)],
        curve=None, names={}, digests={"data": "d" * 64}, versions={"torch": "2.9"},
        commands=["aeclust train photos --recipe hybrid", "aeclust report"],
    )  # fmt: skip
    made = dataclasses.replace(made, **changes)
    if "editing" not in changes:  # the neighbours of an image are the next ones
        m = len(made.rows)
        after = (np.arange(m)[:, np.newaxis] + np.arange(1, min(7, m))) % m
        editing = Editing("a" * 64, made.rows[after])
        made = dataclasses.replace(made, editing=editing)
    return made


def sizes_of(report: Report) -> list[int]:
    return [pick.size for pick in report.picks]


class Parsed(HTMLParser):
    """Elements with their attributes and the text inside each, from text that is well formed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[int] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")
        if tag not in VOID:
            self._open.append(len(self.elements) - 1)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.elements[self._open.pop()][0] == tag

    def handle_data(self, data: str) -> None:
        innermost = self._open[-1:]
        hidden = innermost and self.elements[innermost[0]][0] in ("script", "style")
        for i in innermost if hidden else self._open:
            self.texts[i] += data

    def all(self, tag: str) -> list[tuple[dict[str, str | None], str]]:
        """Attributes and text of every element of a kind."""
        both = zip(self.elements, self.texts, strict=True)
        return [(attributes, text) for (name, attributes), text in both if name == tag]

    @property
    def text(self) -> str:
        return " ".join(self.all("body")[0][1].split())

    @property
    def points(self) -> dict[str, Any]:
        """What the script is given."""
        found: dict[str, Any] = json.loads(
            next(
                text for attributes, text in self.all("script") if attributes.get("id") == "points"
            )
        )
        return found


def decoded(uri: str) -> NDArray[np.uint8]:
    header, _, text = uri.partition(",")
    assert header in ("data:image/jpeg;base64", "data:image/webp;base64")
    with Image.open(io.BytesIO(base64.b64decode(text))) as picture:
        return np.asarray(picture.convert("RGB"))


def tiles(sheets: dict[str, Any], count: int) -> list[NDArray[np.uint8]]:
    """The pictures on sheets, one after the other."""
    pictures, sizes = [decoded(uri) for uri in sheets["uris"]], sheets["tiles"]
    found = []
    for i in range(count):
        sheet, place = divmod(i, sheets["columns"] * sheets["rows"])
        row, column = divmod(place, sheets["columns"])
        y, x = row * sheets["cell"][0], column * sheets["cell"][1]
        height, width = sizes[i] if len(sizes) > 1 else sizes[0]
        found.append(pictures[sheet][y : y + height, x : x + width])
    return found


def flat(shapes: list[tuple[int, int, int]]) -> list[NDArray[np.uint8]]:
    """Images of these shapes, each of a colour of its own."""
    shades = np.random.default_rng(1).integers(0, 256, (len(shapes), 3), np.uint8)
    return [
        np.broadcast_to(shade[: shape[2]], shape)
        for shape, shade in zip(shapes, shades, strict=True)
    ]
