"""The commands of docs/howto.md and of --help are typed as they stand; links lead somewhere."""

from __future__ import annotations

import contextlib
import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pages import ROOT, blocks, have_few, lines_of, type_line
from PIL import Image
from support import COMMANDS, command_of, far_groups, make_images

from aeclust import artifact
from aeclust.clusters.scores import score
from aeclust.images import demo
from aeclust.images.truth import load

# networks that take a second: what is shown is that the commands work
QUICK = ["--set", "channels=4,8", "--set", "crops=1", "--batch-size", "16", "--epochs", "2"]

NARROW = ["--set", "channels=8,8,16", "--size", "32", "--epochs", "2"]  # of a frozen encoder


def save_photos(folder: Path, n: int, seed: int) -> None:
    pixels, kinds = make_images(n, seed)
    for i, (image, kind) in enumerate(zip(pixels, kinds, strict=True)):
        file = folder / ("coast" if kind else "town") / f"{i:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).resize((10 + i % 5, 12)).save(file)


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and arrays, in which the how-to was typed from top to bottom."""
    folder = tmp_path_factory.mktemp("howto")
    with contextlib.chdir(folder):
        save_photos(Path("photos"), 60, seed=1)
        save_photos(Path("new-photos"), 6, seed=2)
        Path("photos/broken.jpg").write_bytes(b"no image")
        ids = sorted(str(p.relative_to("photos")) for p in Path("photos").glob("*/*.png"))
        with open("twenty.csv", "w", newline="") as file:
            rows = [("id", "label"), *((name, int(name < "town")) for name in ids[::3])]
            csv.writer(file).writerows(rows)
        np.save("images.npy", make_images(60, seed=3)[0])
        new, kinds = make_images(20, seed=4)
        np.save("new.npy", new)
        with open("new-labels.csv", "w", newline="") as file:
            csv.writer(file).writerows([["id", "label"], *enumerate(kinds.tolist())])
        np.save("clip.npy", far_groups([30, 30], seed=5)[0])
        np.save("new-clip.npy", far_groups([3, 3], seed=6)[0])
        for line in lines_of("docs/howto.md"):
            type_line(line, train=NARROW if "--recipe" in line else QUICK)
        (code,) = blocks("docs/howto.md", "python")
        names: dict[str, np.ndarray] = {}
        exec(compile(code, "docs/howto.md", "exec"), names)
        np.save("seen-latents.npy", names["latents"])
    return folder


def test_howto_finds_the_two_kinds_of_photographs(reader: Path) -> None:
    labels = load(str(reader / "all.csv"))
    assert labels.ids is not None
    truth = np.array([name.startswith("coast") for name in labels.ids.tolist()]).astype(int)
    assert len(truth) == 60
    assert score(labels.values, truth).accuracy > 0.9
    assert len(list((reader / "sorted").rglob("*.png"))) == 60


def test_howto_names_clusters_by_known_labels(reader: Path) -> None:
    known = load(str(reader / "twenty.csv"))
    submitted = load(str(reader / "submission.csv"))
    rows, truth = known.aligned(np.asarray(submitted.ids))
    assert (submitted.values[rows] == truth).mean() > 0.9
    # the other way round, unless the labels of the run happen to be so already
    inverted = load(str(reader / "inverted.csv")).values
    assert (inverted == 1 - load(str(reader / "all.csv")).values).all()


def test_howto_takes_an_encoder_that_others_trained(reader: Path) -> None:
    found, kinds = load(str(reader / "seen.csv")), make_images(6, seed=2)[1]
    names = [f"{'coast' if kind else 'town'}/{i:03d}.png" for i, kind in enumerate(kinds)]
    assert np.asarray(found.ids).tolist() == sorted(names)
    assert (reader / "seen" / "features.h5").exists()


def test_howto_clusters_embeddings(reader: Path) -> None:
    found = load(str(reader / "new-clip.csv")).values
    assert score(found, far_groups([3, 3], seed=6)[1]).accuracy == 1
    assert (reader / "clip" / "report.html").exists()


def test_howto_leaves_what_it_promises(reader: Path) -> None:
    assert json.loads((reader / "ancestry.json").read_text())["kind"] == "labels"
    assert json.loads((reader / "clusters.json").read_text())["k"] == 2
    assert len(np.load(reader / "seen-latents.npy")) == 60
    assert all(file.is_symlink() for file in (reader / "by-kind").rglob("*.png"))
    assert (reader / "new-photos.csv").read_text().count("\n") == 7


# -- the examples of --help ----------------------------------------------------------------------

EXAMPLES = lines_of("docs/cli.md")
SMALL = ["--set", "channels=8,64", "--set", "crops=1", "--batch-size", "16"]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run on a few scenes, clustered and named, and what the examples read."""
    folder = tmp_path_factory.mktemp("examples")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        have_few(patch, 60, 24)
        save_photos(Path("photos"), 30, seed=1)
        np.save("clip.npy", far_groups([20, 11], seed=5)[0])  # and that of an odd name
        np.save("new-images.npy", demo.load("scenes-val").pixels)
        Path("known.csv").write_text("id,label\n0,a\n1,b\n2,b\n")
        for line in ("train --epochs 6", "cluster", "name 0=landscape 1=other"):
            type_line(f"aeclust {line}", train=SMALL)
        type_line("aeclust predict > submission.csv")
        prepare_edits()
        for seed in (1, 2, 3):
            shutil.copytree("aeclust-run", f"seed-{seed}")
    return folder


def prepare_edits() -> None:
    """A run of photographs in six clusters that was edited, and files of edits."""
    Image.new("RGB", (12, 12)).save("photos/-odd-name.png")
    np.save("rooms.npy", far_groups([8, 7, 6, 5, 3, 2], seed=7, d=6)[0])
    for line in (
        "embed --features rooms.npy photos/", "cluster -k 6 --clusterer kmeans",
        "name 0=kitchen 1=pantry", "edit split 0",
    ):  # fmt: skip
        type_line(f"aeclust {line} --run edited")
    labels = artifact.read(Path("edited/labels.h5"))
    ids = artifact.decode_ids(labels.arrays["ids"]).tolist()
    edits = [{"edit": "drop", "ids": ids[:2]}, {"edit": "merge", "clusters": [2, 3]}]
    Path("edits.json").write_text(
        json.dumps({"format": 1, "labels": labels.digest, "edits": edits})
    )
    Path("corrected.csv").write_text(f"id,label\n{ids[3]},kitchen\n{ids[4]},4\n{ids[5]},-1\n")
    Path("ids.txt").write_text("\n".join(ids[6:9]))


def test_every_command_has_examples() -> None:
    assert len(EXAMPLES) > 30
    assert {command_of(line.split()[1:]) for line in EXAMPLES} == set(COMMANDS)


@pytest.mark.parametrize("line", EXAMPLES)
def test_examples_of_the_help_run(
    line: str, prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    have_few(monkeypatch, 60, 24)
    place = shutil.copytree(prepared, tmp_path / "here")
    monkeypatch.chdir(place)
    if line.startswith("aeclust train"):
        shutil.rmtree("aeclust-run")
        line += " --epochs 2"  # the last one counts
    if line.startswith("aeclust edit"):
        shutil.rmtree("aeclust-run")
        shutil.move("edited", "aeclust-run")
    before = {file for file in place.rglob("*") if file.is_file()}
    printed = type_line(line, train=SMALL)
    assert printed or {file for file in place.rglob("*") if file.is_file()} - before


# -- links ---------------------------------------------------------------------------------------

PAGES = sorted(
    p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
)


def anchors(page: Path) -> set[str]:
    """The names of a page's headings, as they are linked to."""
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        assert not target.startswith("http"), "the project has no address yet"
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("page", [p for p in PAGES if p.startswith("docs/")])
def test_every_page_is_linked_from_the_readme(page: str) -> None:
    assert f"({page}" in (ROOT / "README.md").read_text(encoding="utf-8")
