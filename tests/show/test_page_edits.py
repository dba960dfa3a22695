"""Labels corrected on the report page, in a real browser, and handed to the run."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import FRAME, PROGRAM, Browser, browser
from PIL import Image
from support import Cli

pytestmark = pytest.mark.skipif(
    not PROGRAM, reason="no Chromium or Chrome is installed (Debian: apt-get install chromium)"
)

TOLD = "document.getElementById('told').textContent"
KEEP = """URL.createObjectURL = ((make) => (blob) => {
  window.blobs = [...(window.blobs ?? []), blob];
  return make.call(URL, blob);
})(URL.createObjectURL)"""


class Person:
    """Somebody at the page, and what the labels are to be by what they do: the oracle."""

    def __init__(self, page: Browser, labels: dict[str, int]) -> None:
        self.page, self.labels = page, dict(labels)
        self.past: list[dict[str, int]] = []
        self.ids: list[str] = page.value(
            "JSON.parse(document.getElementById('points').textContent).ids"
        )
        shown = "[...document.querySelectorAll('figure[data-image]')].map((f) => +f.dataset.image)"
        self.figures = [self.ids[i] for i in page.value(shown)]

    def focus(self, name: str) -> None:
        i = self.ids.index(name)
        self.page.value(f"document.querySelector('figure[data-image=\"{i}\"]').focus()")

    def click(self, at: str, **how: bool) -> None:
        event = f"new MouseEvent('click', {json.dumps({'bubbles': True, **how})})"
        self.page.value(f"document.querySelector({json.dumps(at)}).dispatchEvent({event})")

    def fill(self, field: str, value: object) -> None:
        self.page.value(f"document.getElementById('{field}').value = {json.dumps(str(value))}")

    def about(self, cluster: int) -> None:
        self.click(f'tr[data-cluster="{cluster}"] .opens')

    def moved(self, names: list[str], to: int) -> None:
        """What has just been done."""
        self.past.append(dict(self.labels))
        self.labels |= dict.fromkeys(names, to)

    def read(self, button: str) -> str:
        self.page.value(f"(window.blobs = [], document.getElementById('{button}').click())")
        text: str = self.page.value("window.blobs[0].text()")
        return text


@pytest.fixture
def place(cli: Cli) -> dict[str, int]:
    """A run of 48 photographs in four clusters, with the page; their labels."""
    rng = np.random.default_rng(0)
    Path("photos").mkdir()
    for row in range(48):
        colour = np.array([[50, 50, 50], [200, 50, 50], [50, 200, 50], [50, 50, 200]])[row % 4]
        pixels = np.clip(colour + rng.integers(-20, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(f'photos/{row:02}, "x" é.png')
    centres = 20 * np.eye(4, 8)[np.arange(48) % 4]
    np.save("vectors.npy", (centres + rng.normal(size=(48, 8))).astype(np.float32))
    for line in (
        ["embed", "--features", "vectors.npy", "photos"],
        ["cluster", "-k", 4, "--clusterer", "kmeans", "--reduction", "pca:2"],
        ["report"],
    ):
        assert cli(*line).code == 0
    return predicted(cli)


def predicted(cli: Cli) -> dict[str, int]:
    return labels_of(cli("predict").out)


def labels_of(text: str) -> dict[str, int]:
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["id", "label"]
    assert len({row[0] for row in rows[1:]}) == len(rows) - 1
    return {name: int(label) for name, label in rows[1:]}


def test_thirty_corrections_come_to_the_csv(
    cli: Cli, place: dict[str, int], tmp_path: Path
) -> None:
    file = Path("aeclust-run/report.html")
    with browser(tmp_path / "profile") as page:
        page.open(file)
        page.value(KEEP)
        person = Person(page, place)
        by_keys_and_menus(person)
        of_whole_clusters(person)
        assert page.value("document.getElementById('bar-count').textContent") == "30 changes"
        taken_back(person)
        page.open(file)  # nothing is lost
        assert page.value(TOLD) == "30 changes from before are here again."
        page.value(KEEP)
        edits, told = person.read("save-edits"), person.read("save-csv")
        assert labels_of(told) == person.labels
        assert list(labels_of(told)) == list(place)  # in the order of the data
        person.about(3)
        person.fill("parts", 3)
        person.click("#split button")
        assert page.value(TOLD) == "cluster 3 is to be split into 3."
        split = person.read("save-edits")
        for kind in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening"):
            assert page.told(kind) == []

    labels = json.loads(cli("info", "aeclust-run/labels.h5", "--json").out)
    assert json.loads(edits).keys() == {"format", "labels", "after", "edits"}
    assert (json.loads(edits)["format"], json.loads(edits)["labels"]) == (1, labels["digest"])
    Path("edits.json").write_text(edits, encoding="utf-8")
    assert cli("edit", "apply", "edits.json").code == 0
    assert predicted(cli) == person.labels
    names = json.loads(Path("aeclust-run/names.json").read_text())["names"]
    assert names == {"1": "red & <b>"}
    Path("edits.json").write_text(split, encoding="utf-8")  # what is in force already is known
    assert cli("edit", "apply", "edits.json").code == 0
    parts = predicted(cli)
    assert {n: i for n, i in parts.items() if person.labels[n] != 3} == {
        n: i for n, i in person.labels.items() if i != 3
    }
    whole = [parts[name] for name, label in person.labels.items() if label == 3]
    assert len(set(whole)) == 3
    assert min(set(whole)) >= 2  # 2 was merged, 3 is kept, and all lower ones are in use
    assert cli("report").code == 0
    text = file.read_text(encoding="utf-8")
    assert "corrected by 29 edits" in text  # names are kept by themselves


def by_keys_and_menus(person: Person) -> None:
    """26 corrections of images."""
    page = person.page
    names = sorted({*person.figures})  # of one cluster after the other
    for name in names[:17]:  # a key where one is
        to = (person.labels[name] + 1) % 4
        person.focus(name)
        page.press(str(to))
        person.moved([name], to)
        assert page.value(TOLD) == f"1 image moved to cluster {to}."
    for first in range(17, 23, 2):  # two that are selected, by the menu
        for name in names[first : first + 2]:
            person.click(f'figure[data-image="{person.ids.index(name)}"]', ctrlKey=True)
        assert page.value("document.getElementById('bar-selected').textContent") == (
            "2 images selected"
        )
        person.fill("to", 3)
        person.click("#move")
        person.moved(names[first : first + 2], 3)
    for name in names[23:27]:  # large, and no part of anything
        person.focus(name)
        page.press("Enter")
        assert page.value("document.getElementById('viewer-id').textContent") == name
        assert page.value("document.querySelectorAll('.near').length") == 6
        page.press("o")
        person.moved([name], -1)
        said = page.value("document.getElementById('viewer-what').textContent")
        assert said.startswith("outliers, ")
        page.value("document.getElementById('viewer').close()")
    # a range with Shift, to a new cluster
    page.press("7")
    assert page.value(TOLD) == "There is no cluster 7."
    figures = "document.querySelectorAll('figure[data-image]')"
    page.value(f"{figures}[0].querySelector('.tick').click()")
    page.value(f"{figures}[3].dispatchEvent(new MouseEvent('click', {{shiftKey: true}}))")
    page.press("n")
    person.moved(person.figures[:4], 4)
    # with the pointer around the whole map, but for what is hidden
    page.value("document.querySelector('tr[data-cluster=\"4\"] .opens').click()")
    person.click("#take")
    page.press("1")
    person.moved([name for name, label in person.labels.items() if label == 4], 1)
    around(person, lambda: page.value("document.querySelectorAll('[data-group]')[0].click()"))
    page.press("n")
    person.moved([name for name, label in person.labels.items() if label != 0], 4)
    page.press("z", ctrl=True)
    person.labels = person.past.pop()
    # what is lassoed now is all of one cluster
    around(person, lambda: page.value("document.getElementById('all').click()"))
    page.press("Escape")
    assert page.value("document.querySelectorAll('.picked').length") == 0


def around(person: Person, first: Callable[[], Any]) -> None:
    """A loop around all points that are shown."""
    page = person.page
    first()
    canvas = "document.getElementById('canvas')"
    page.value(f"{canvas}.scrollIntoView({{block: 'center'}})")
    box = page.value(f"{canvas}.getBoundingClientRect().toJSON()")
    corners = [(4, 4), (box["width"] - 4, 4), (box["width"] - 4, box["height"] - 4)]
    path = [(box["x"] + x, box["y"] + y) for x, y in [*corners, (4, box["height"] - 4)]]
    kinds = ["mousePressed", "mouseMoved", "mouseMoved", "mouseMoved", "mouseReleased"]
    for kind, (x, y) in zip(kinds, [*path, path[-1]], strict=True):
        page(
            "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1
        )
    page.value(FRAME)


def of_whole_clusters(person: Person) -> None:
    """Four corrections of clusters: two names, a merge, and one more image."""
    person.about(1)
    person.fill("new-name", "reds")
    person.click("#rename button")
    person.about(1)
    person.fill("new-name", " red & <b>\t")
    person.click("#rename button")
    assert person.page.value(TOLD) == "1: reds is called red & <b>."
    person.about(1)
    person.fill("other", 2)
    person.click("#merge button")
    person.moved([name for name, label in person.labels.items() if label == 2], 1)
    assert person.page.value(TOLD) == "cluster 2 is merged into 1: red & <b>."
    name = next(name for name in person.figures if person.labels[name] == 0)
    person.focus(name)
    person.page.press("n")
    person.moved([name], 2)  # the lowest number that is free


def taken_back(person: Person) -> None:
    """Undone by keys and by the button, and done again."""
    page = person.page
    done, before = dict(person.labels), person.past.pop()
    page.press("z", ctrl=True)
    page.press("z", ctrl=True)
    assert page.value(TOLD).startswith("Undone: cluster 2 merged into 1: red & <b>.")
    page.press("y", ctrl=True)
    page.value("document.querySelector('.undo').click()")
    page.value("document.querySelector('.redo').click()")
    assert page.value("document.getElementById('changes').children.length") == 29
    assert labels_of(person.read("save-csv")) == before
    page.press("z", ctrl=True, shift=True)
    person.labels = done
