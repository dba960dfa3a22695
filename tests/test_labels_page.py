"""docs/labels.md is typed from top to bottom, by a person who answers, corrects and checks."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pages import lines_of, type_line
from PIL import Image

from aeclust import artifact

KINDS = {
    "bathroom": (50, 80, 170),
    "kitchen": (200, 160, 60),
    "frontal": (60, 150, 70),
    "bedroom": (170, 60, 120),
}
QUICK = ["--set", "channels=8,8,16", "--size", "32", "--epochs", "2"]


def take_photos(folder: str, n: int, seed: int) -> dict[str, str]:
    """A folder of noisy pictures in a colour for each kind; the kinds by id."""
    rng, kinds = np.random.default_rng(seed), {}
    Path(folder).mkdir()
    for i in range(n):
        kind = list(KINDS)[rng.integers(4)]
        pixels = np.array(KINDS[kind]) + rng.integers(-30, 31, (8, 8, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(f"{folder}/{folder}-{i:02d}.png")
        kinds[f"{folder}-{i:02d}.png"] = kind
    return kinds


def rows_of(file: str) -> list[list[str]]:
    with open(file, newline="") as content:
        return list(csv.reader(content))


def fill_in(file: str, kinds: dict[str, str]) -> int:
    """What a person does with a table that has no labels yet; for how many images."""
    head, *rows = rows_of(file)
    assert head[:2] == ["id", "label"]
    assert not any(row[1] for row in rows)
    with open(file, "w", newline="") as content:
        csv.writer(content).writerows([head, *([i, kinds[i], *rest] for i, _, *rest in rows)])
    return len(rows)


def download_edits(ids: list[str]) -> None:
    """What the page writes for somebody who moves the first image and takes the second out."""
    labels = artifact.read(Path("aeclust-run/labels.h5"))
    edits = [{"edit": "move", "ids": ids[:1], "to": 3}, {"edit": "drop", "ids": ids[1:2]}]
    Path("edits.json").write_text(
        json.dumps({"format": 1, "labels": labels.digest, "edits": edits})
    )


def test_labels_that_follow_the_page_can_be_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kinds, new = take_photos("photos", 60, seed=1), take_photos("new-photos", 8, seed=2)
    said = {}
    for line in lines_of("docs/labels.md"):
        if line.startswith("aeclust edit apply"):
            download_edits([*kinds])
        said[line] = type_line(line, train=QUICK)
        if line.startswith("aeclust ask"):
            assert fill_in("aeclust-run/ask.csv", kinds) == 20
        elif line.endswith("> check.csv"):
            assert fill_in("check.csv", kinds) == 60
    names = [line.split()[-1] for line in said["aeclust name"].splitlines()[1:5]]
    assert sorted(names) == sorted(KINDS)
    signed = {id_: name for id_, name, _ in rows_of("labels.csv")[1:]}
    assert (signed.pop("photos-00.png"), signed.pop("photos-01.png")) == (names[3], "-1")
    asked = [id_ for id_, *_ in rows_of("aeclust-run/ask.csv")[1:]]
    assert all(signed.get(id_, kinds[id_]) == kinds[id_] for id_ in asked)
    assert np.mean([name == kinds[id_] for id_, name in signed.items()]) > 0.9
    found = {id_: name for id_, name, _ in rows_of("new-labels.csv")[1:]}
    assert np.mean([found[id_] == kind for id_, kind in new.items()]) > 0.8
    checked = said["aeclust evaluate aeclust-run check.csv"]
    assert checked.startswith("steered by 20 labels and corrected by 2 edits\n20 images")
    assert "without matching 0.9" in checked
