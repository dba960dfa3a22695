"""The report page on a phone: how long it is, what fingers meet and what they do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import FRAME, PROGRAM, Browser, browser
from reports import make_report

from aeclust.show.page import page
from aeclust.show.picks import Picks
from aeclust.show.report import Shown, Step

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="no Chromium or Chrome is installed (Debian: apt-get install chromium)"
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("phone"), width=390, height=844) as found:
        found("Emulation.setTouchEmulationEnabled", enabled=True, maxTouchPoints=2)
        yield found


def test_the_card_shows_photographs_in_their_proportions(opened: Browser, tmp_path: Path) -> None:
    """By arrow keys."""
    shapes = [(107, 160), (160, 90), (40, 30), (8, 8)]
    rows = np.arange(4)
    images = [np.full((*shape, 3), 60 * row, np.uint8) for row, shape in enumerate(shapes)]
    shown = Shown(rows, [f"{row}.jpg" for row in rows], 0 * rows, rows / 4, images)
    picks = [Picks(0, 4, 0.5, rows, rows[::-1], rows)]
    points = np.array([[0.0, 0], [1, 0], [2, 0], [3, 0]])
    made = make_report(4, 1, mapped=shown, gallery=shown, picks=picks, points=points, losses=[])
    file = tmp_path / "photographs.html"
    file.write_text(page(made), encoding="utf-8")
    opened.open(file)
    assert opened.value("document.documentElement.scrollWidth") == 390
    opened.value("document.getElementById('canvas').focus()")
    thumb, found = "document.getElementById('thumb')", {}
    for key in ["ArrowLeft"] * 3 + ["ArrowRight"] * 3:
        opened.press(key)
        name = opened.value("document.getElementById('card-id').textContent")
        opened.value(FRAME)
        found[name] = opened.value(f"[{thumb}.width, {thumb}.height]")
        shade = opened.value(f"{thumb}.getContext('2d').getImageData(9, 9, 1, 1).data[0]")
        assert abs(shade - 60 * int(name[0])) <= 8
        card = opened.value("document.getElementById('card').getBoundingClientRect().toJSON()")
        assert 0 <= card["left"] < card["right"] <= 390
    assert {name: tuple(size) for name, size in found.items()} == {
        "0.jpg": (160, 107), "1.jpg": (90, 160), "2.jpg": (60, 80), "3.jpg": (112, 112),
    }  # fmt: skip


def test_twenty_clusters_are_less_than_ten_screens_of_a_phone(
    opened: Browser, tmp_path: Path
) -> None:
    long = "a name of some length, as people give them"
    made = make_report(200, 20, side=16, names={3: long}, losses=[])
    few = slice(0, 30)
    checked = Shown(
        made.gallery.rows[few], made.gallery.ids[few], made.gallery.labels[few],
        made.gallery.confidence[few], made.gallery.pictures[few],
    )  # fmt: skip
    first = Step("name the clusters", "aeclust name --run 'a b' 0=... 1=... 2=...")
    steps = [first, Step("check 30 images", "aeclust ask --run 'a b' -n 30", checked), first]
    (tmp_path / "many.html").write_text(page(dataclasses.replace(made, steps=steps)), "utf-8")
    opened.open(tmp_path / "many.html")
    tall, wide = opened.value(
        "[document.documentElement.scrollHeight, document.documentElement.scrollWidth]"
    )
    assert wide == 390
    assert tall < 10 * 844
    # what a finger is to meet is large enough
    kinds = "nav a, button, summary, .toggle, figure[role], input[type=range]"
    small = f"""[...document.querySelectorAll("{kinds}")]
      .filter((each) => each.checkVisibility() && each.getBoundingClientRect().height < 40)
      .map((each) => each.outerHTML.slice(0, 80))"""
    assert opened.value(small) == []
    cluster = "document.querySelector('.cluster')"
    seen = f"[...{cluster}.querySelectorAll('img')].filter((img) => img.checkVisibility()).length"
    pick = made.picks[0]
    five = sum(min(5, len(rows)) for rows in (pick.typical, pick.doubtful))
    assert opened.value(seen) == five
    opened.value(f"{cluster}.querySelector('.more').click()")
    assert opened.value(seen) == opened.value(f"{cluster}.querySelectorAll('img').length") > five


def test_two_fingers_enlarge_the_map_and_one_moves_it(opened: Browser) -> None:
    """On the page that was opened last."""
    canvas = "document.getElementById('canvas')"
    opened.value(f"{canvas}.scrollIntoView({{block: 'center'}})")
    box = opened.value(f"{canvas}.getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    before = opened.value("scrollY")

    def touch(kind: str, *places: tuple[float, float]) -> None:
        points = [{"x": left, "y": top, "id": i} for i, (left, top) in enumerate(places)]
        opened("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def middle() -> str:
        """The image in the middle of the map, which arrow keys come to first."""
        opened.value(f"{canvas}.focus({{preventScroll: true}})")
        opened.press("Escape")
        opened.press("ArrowLeft")
        name: str = opened.value("document.getElementById('card-id').textContent")
        return name

    out = "document.getElementById('zoom-out').disabled"
    assert opened.value(out)
    first = middle()
    touch("touchStart", (x - 20, y), (x + 20, y))
    for apart in range(40, 130, 40):
        touch("touchMove", (x - apart, y), (x + apart, y))
    touch("touchEnd")
    assert not opened.value(out)
    assert middle() == first  # what is between the fingers stays there
    touch("touchStart", (x, y))
    for by in range(20, 90, 30):
        touch("touchMove", (x + by, y + by))
    touch("touchEnd")
    assert middle() != first
    assert opened.value("scrollY") == before
    opened.value("document.getElementById('zoom-whole').click()")
    assert opened.value(out)
