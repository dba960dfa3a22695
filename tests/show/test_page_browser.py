"""The report page in a real browser: what a pointer, a keyboard and a screen reader find."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import FRAME, PROGRAM, Browser, browser
from reports import EVIL, EVIL_SEEN, make_report, sizes_of

from aeclust.show.page import page
from aeclust.show.report import Step

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="no Chromium or Chrome is installed (Debian: apt-get install chromium)"
)

STEP = Step("name the clusters", "aeclust name --run 'a b' 0=... 2=...")
APPLY = "aeclust edit apply edits.json"
MADE = make_report(
    200, 3, side=16, identify=lambda row: f"{EVIL}{row}", names={1: EVIL}, data=EVIL, note=EVIL,
    steps=[STEP],
)  # fmt: skip
SAID = "document.getElementById('said').textContent"
COUNT = "document.getElementById('count').textContent"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    folder = tmp_path_factory.mktemp("browser")
    file = folder / "report.html"
    file.write_text(page(MADE), encoding="utf-8")
    with browser(folder / "profile") as found:
        found.open(file)
        yield found


def row_said(opened: Browser) -> int:
    """The image that the live region tells of, after a look at all that it tells."""
    name, cluster, confidence = opened.value(SAID).rsplit(", ", 2)
    row = int(name.removeprefix(EVIL_SEEN))
    label = int(MADE.mapped.labels[row])
    assert cluster == (f"1: {EVIL_SEEN}" if label == 1 else f"cluster {label}")
    assert confidence == f"confidence {MADE.mapped.confidence[row]:.2f}"
    return row


def test_a_person_can_look_filter_and_step(opened: Browser) -> None:
    # it ran, and drew points of every colour
    assert opened.value("document.getElementById('interactive').hidden") is False
    drawn = """(() => {
      const canvas = document.getElementById("canvas");
      const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const seen = new Set();
      for (let i = 0; i < all.length; i += 4) {
        if (all[i + 3] > 200) seen.add(all.slice(i, i + 3).join());
      }
      return seen.size;
    })()"""
    assert opened.value(drawn) >= 3

    # a click on a toggle, a key on another one, and the ends of the range
    assert opened.value(COUNT) == "200 of 200 points shown"
    sizes = sizes_of(MADE)
    x, y = opened.value(
        "(() => { const toggle = document.querySelector('[data-group=\"0\"]');"
        " toggle.scrollIntoView({block: 'center'}); const box = toggle.getBoundingClientRect();"
        " return [box.x + 5, box.y + 5]; })()"
    )
    opened.point(x, y, press=True)
    assert opened.value(COUNT) == f"{200 - sizes[0]} of 200 points shown"
    opened.value("document.querySelector('[data-group=\"1\"]').focus()")
    opened.press(" ")
    assert opened.value(COUNT) == f"{sizes[2]} of 200 points shown"
    opened.value("document.getElementById('all').click()")
    slide = "Object.assign(document.getElementById('{}'), {{value: {}}})"
    slide += ".dispatchEvent(new Event('input'))"
    opened.value(slide.format("low", 0.5))
    kept = MADE.mapped.confidence >= 0.5
    assert 0 < kept.sum() < 200
    assert opened.value(COUNT) == f"{kept.sum()} of 200 points shown"
    opened.value(slide.format("high", 0.4))  # takes the lower end along
    assert opened.value("document.getElementById('low').value") == "0.4"
    exact = np.isclose(MADE.mapped.confidence, 0.4).sum()
    assert opened.value(COUNT) == f"{exact} of 200 points shown"
    # beside each cluster stands how many of it there are in the range
    there = "document.querySelector('.toggle .size').textContent"
    some = np.isclose(MADE.mapped.confidence[MADE.mapped.labels == 0], 0.4).sum()
    assert opened.value(there) == f"{some} of {sizes[0]}"
    opened.value(slide.format("high", 1))
    opened.value(slide.format("low", 0))  # where there is none: it stops at the least that there is
    least = np.floor(100 * MADE.mapped.confidence.min()) / 100
    assert least > 0
    assert opened.value("document.getElementById('low').value") == f"{least:.2f}".rstrip("0")
    assert opened.value(COUNT) == "200 of 200 points shown"
    assert opened.value(there) == str(sizes[0])
    # the highest bar reaches the top, and stands where most of the images are
    bars = """(() => {
      const bars = document.getElementById("bars"), width = bars.width, found = [];
      const row = bars.getContext("2d").getImageData(0, 1, width, 1).data;
      for (let x = 0; x < width; x++) if (row[4 * x + 3]) found.push(x / width);
      return [found[0], found.at(-1)];
    })()"""
    counts, _ = np.histogram(MADE.mapped.confidence, 32, (least, 1))
    left, right = opened.value(bars)
    highest = np.flatnonzero(counts == counts.max())
    assert left == pytest.approx(highest[0] / 32, abs=0.02)
    assert right == pytest.approx((highest[-1] + 1) / 32, abs=0.02)

    # arrow keys step to a neighbour on that side, and are read aloud
    opened.value("document.getElementById('canvas').focus()")
    opened.press("ArrowLeft")
    first = row_said(opened)
    opened.press("ArrowLeft")
    second = row_said(opened)
    (dx, dy) = MADE.points[second] - MADE.points[first]
    assert dx < 0
    assert abs(dy) <= abs(dx) + 1e-3 * np.ptp(MADE.points)
    opened.press("ArrowUp")
    assert MADE.points[row_said(opened)][1] > MADE.points[second][1]
    assert opened.value("document.getElementById('card').hidden") is False
    assert opened.value("document.getElementById('thumb').width") == 112
    opened.press("Escape")
    assert opened.value("document.getElementById('card').hidden") is True
    assert opened.value(SAID) == ""

    # the theme
    assert opened.value("document.getElementById('theme').textContent") == "Dark theme"
    light = opened.value("getComputedStyle(document.documentElement).backgroundColor")
    opened.value("document.getElementById('theme').click()")
    dark = opened.value("getComputedStyle(document.documentElement).backgroundColor")
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(21, 24, 29)")

    # nothing went wrong, nothing left the page, and no name did anything
    assert opened.told("Log.entryAdded") == []
    assert opened.told("Runtime.exceptionThrown") == []
    assert opened.told("Runtime.consoleAPICalled") == []
    assert opened.told("Page.javascriptDialogOpening") == []
    asked = [event["request"]["url"] for event in opened.told("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith("data:image/")] == [asked[0]]
    assert asked[0].startswith("file:///")


def place_of(opened: Browser, row: int) -> tuple[float, float]:
    """Where a point of the map stands, in the window."""
    there = "document.getElementById('canvas')"
    opened.value(there + ".scrollIntoView({block: 'center'})")
    box = opened.value(there + ".getBoundingClientRect().toJSON()")
    low, high = MADE.points.min(axis=0), MADE.points.max(axis=0)
    spread, edge = float((high - low).max()), 22
    width, height = (high - low) / spread
    inner, tall = box["width"] - 2, box["height"] - 2  # within its border
    scale = min((inner - 2 * edge) / width, (tall - 2 * edge) / height)
    place = (MADE.points[row] - [low[0], high[1]]) * [1, -1] / spread * scale
    x = box["x"] + 1 + (inner - width * scale) / 2 + place[0]
    y = box["y"] + 1 + (tall - height * scale) / 2 + place[1]
    return x, y


def test_the_pointer_shows_the_image_under_it(opened: Browser) -> None:
    row = int(MADE.points[:, 0].argmin())  # at the edge that the map keeps
    x, y = place_of(opened, row)
    opened.point(x, y)
    assert opened.value("document.getElementById('card-id').textContent") == f"{EVIL_SEEN}{row}"
    colour = opened.value(
        "[...document.getElementById('thumb').getContext('2d').getImageData(56, 56, 1, 1).data]"
    )
    assert np.abs(np.array(colour[:3]) - MADE.mapped.pictures[row][8, 8].astype(int)).max() <= 8
    opened.point(
        x, opened.value("document.getElementById('canvas').getBoundingClientRect().y") - 20
    )
    assert opened.value("document.getElementById('card').hidden") is True


def test_the_map_grows_and_moves_under_the_pointer(opened: Browser) -> None:
    row = int(MADE.points[:, 0].argmin())
    x, y = place_of(opened, row)

    def wheel(by: float, *, ctrl: bool = False) -> None:
        where: dict[str, float] = {"x": x, "y": y, "deltaX": 0, "deltaY": by}
        opened("Input.dispatchMouseEvent", type="mouseWheel", modifiers=2 * ctrl, **where)
        opened.value(FRAME)

    def shown(x: float, y: float) -> bool:
        opened.point(x, y)
        seen: bool = opened.value("document.getElementById('card-id').textContent") == (
            f"{EVIL_SEEN}{row}"
        )
        return seen and not opened.value("document.getElementById('card').hidden")

    whole = "document.getElementById('zoom-whole')"
    assert opened.value(f"{whole}.disabled")
    for _ in range(4):
        wheel(-100, ctrl=True)
    assert shown(x, y)  # what is under it stays there
    page = opened.value("scrollY")
    wheel(60)
    assert shown(x, y - 60)
    assert not shown(x, y + 60)
    assert opened.value("scrollY") == page
    opened.value(f"{whole}.click()")
    assert opened.value(f"{whole}.disabled")
    assert shown(x, y)
    wheel(60)  # which moves the page, as anywhere else
    opened.value(FRAME)
    assert opened.value("scrollY") > page


def test_an_image_is_enlarged_and_let_go(opened: Browser) -> None:
    figure, viewer = (
        "document.querySelector('.cluster figure')",
        "document.getElementById('viewer')",
    )
    row = int(MADE.picks[0].typical[0])
    opened.value(f"{figure}.focus()")
    for close in ("escape", "image", "beside"):
        opened.press("Enter")
        assert opened.value(f"{viewer}.open")
        assert (
            opened.value("document.getElementById('viewer-id').textContent") == f"{EVIL_SEEN}{row}"
        )
        assert opened.value("document.getElementById('viewer-what').textContent") == (
            f"cluster 0, confidence {MADE.gallery.confidence[MADE.gallery.rows == row][0]:.2f}"
        )
        assert opened.value("document.getElementById('large').width") > 100
        if close == "escape":
            opened.press("Escape")
        elif close == "image":
            box = opened.value("document.getElementById('large').getBoundingClientRect().toJSON()")
            opened.point(box["x"] + 9, box["y"] + 9, press=True)
        else:
            opened.point(3, 300, press=True)
        assert not opened.value(f"{viewer}.open")
        assert opened.value(f"document.activeElement === {figure}")


def test_names_keep_both_ends_where_there_is_little_room(opened: Browser) -> None:
    ends = """[...document.querySelectorAll('.cluster .id')].map((id) => {
      const [head, tail] = [...id.children].map((each) => each.getBoundingClientRect());
      return [id.textContent === id.title, id.lastChild.textContent, tail.width, head.width,
        tail.right - id.getBoundingClientRect().right];
    })"""
    found = opened.value(ends)
    rows = [row for pick in MADE.picks for rows in pick.kinds.values() for row in rows.tolist()]
    for row, (whole, text, tail, head, over) in zip(rows, found, strict=True):
        assert whole
        assert f"{EVIL_SEEN}{row}".endswith(text)
        assert tail > 20 < head + 10
        assert over < 1


def test_commands_are_copied(opened: Browser) -> None:
    opened(
        "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
    )
    opened("Page.bringToFront")
    for button, command in (("#next .copy", STEP.command), ("#corrections .copy", APPLY)):
        opened.value(f"document.querySelector('{button}').click()")
        assert opened.value("getSelection().toString()") == command
        assert opened.value("navigator.clipboard.readText()") == command
        assert opened.value("document.getElementById('told').textContent") == "Copied."


def test_every_control_has_a_name(opened: Browser) -> None:
    nodes = opened("Accessibility.getFullAXTree")["nodes"]
    named = {"checkbox", "slider", "button", "link", "heading", "image", "application", "table"}
    found = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in nodes
        if not node["ignored"] and node["role"]["value"] in named
    ]
    assert [role for role, name in found if not name and role != "table"] == []
    roles = [role for role, _ in found]
    assert (roles.count("checkbox"), roles.count("slider"), roles.count("application")) == (3, 2, 1)
    assert [name for role, name in found if role == "slider"] == ["from", "to"]
    assert ("application", "Map of the images") in found
    assert ("checkbox", f"cluster 0 {sizes_of(MADE)[0]}") in found


def test_the_policy_lets_nothing_out(opened: Browser) -> None:
    assert (
        opened.value("fetch('https://localhost/').then(() => 'sent', () => 'refused')") == "refused"
    )
    loaded = """new Promise((done) => {
      const image = new Image();
      image.onload = () => done("loaded");
      image.onerror = () => done("refused");
      image.src = "https://localhost/x.png";
    })"""
    assert opened.value(loaded) == "refused"
    entries = [event["entry"]["text"] for event in opened.told("Log.entryAdded")]
    assert len(entries) >= 2
    assert all("Content Security Policy" in text for text in entries)


def test_a_phone_needs_no_scrolling_sideways(opened: Browser) -> None:
    opened(
        "Emulation.setDeviceMetricsOverride",
        width=360, height=700, deviceScaleFactor=2, mobile=True,
    )  # fmt: skip
    assert opened.value("document.documentElement.scrollWidth") == 360
    assert opened.value("document.getElementById('canvas').width") >= 600  # sharp on its screen


def test_vectors_without_images_are_looked_through_by_their_ids(
    opened: Browser, tmp_path: Path
) -> None:
    bare = [dataclasses.replace(shown, pictures=[]) for shown in (MADE.mapped, MADE.gallery)]
    made = make_report(
        200, 3, shape=(200, 512), mapped=bare[0], gallery=bare[1], reconstructed=None, losses=[]
    )
    (tmp_path / "report.html").write_text(page(made), encoding="utf-8")
    opened.open(tmp_path / "report.html")
    opened.value("document.getElementById('canvas').focus()")
    opened.press("ArrowLeft")
    assert opened.value("document.getElementById('card').hidden") is False
    assert opened.value("document.getElementById('thumb').hidden") is True
    assert opened.value(SAID).startswith(EVIL_SEEN)
    assert opened.value("document.documentElement.scrollWidth") == 360
    assert opened.value("document.querySelectorAll('img').length") == 0
    assert opened.value("document.querySelectorAll('figcaption').length") > 20
    assert opened.told("Runtime.exceptionThrown") == []
    assert opened.told("Log.entryAdded") == []
