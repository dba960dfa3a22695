"""What happens to images after training, and what every command makes of it.

Each event happens to a small run. Then every command gives a result, or one clear sentence; nothing
is trained; and no image has the label of another one: all have that of their own kind.
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import RECIPE, Cli, Result, bytes_of, check_error, files_of, one_error, run_quietly

from aeclust.artifact import Artifact
from aeclust.cli.terminal import Terminal
from aeclust.network.training import Moment
from aeclust.run import predict as predicting
from aeclust.run import present as looking
from aeclust.run.clusters import numbered_as
from aeclust.run.folder import RunFolder

N = 24
TRAIN = ["-k", "2", *RECIPE, "--epochs", "1"]
NAMES = {0: "blue", 1: "yellow"}  # by kind
LOOK = (
    "predict", "embed", "cluster", "plot", "plot --gallery", "report", "export out.csv",
    "export sorted", "reconstruct --idx 0,1", "checkpoint-curve", "name", "info",
)  # fmt: skip


def picture(kind: int, seed: int) -> NDArray[np.uint8]:
    """A bluish (0) or yellowish (1) image, with noise of its own."""
    colour = np.array([[50, 80, 170], [200, 160, 60]])[kind]
    noise = np.random.default_rng(seed).integers(-30, 31, (8, 8, 3))
    pixels: NDArray[np.uint8] = (colour + noise).astype(np.uint8)
    return pixels


@dataclass
class Place:
    """A run and its images, where they lie, and the kind of each image by its id."""

    run: Path
    data: Path
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, kind: int, seed: int) -> Place:
        """Write a file; what was there before is replaced."""
        (self.data / name).parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(picture(kind, seed)).save(self.data / name)
        self.kinds[name] = kind
        return self

    def remove(self, name: str) -> Place:
        (self.data / name).unlink()
        del self.kinds[name]
        return self

    def rename(self, old: str, new: str) -> Place:
        (self.data / old).rename(self.data / new)
        self.kinds[new] = self.kinds.pop(old)
        return self

    def swap(self, one: str, other: str) -> None:
        """Exchange the names of two files."""
        kinds = self.kinds[one], self.kinds[other]
        self.rename(one, "x.png")
        self.rename(other, one)
        self.rename("x.png", other)
        assert (self.kinds[other], self.kinds[one]) == kinds

    def rows(self, images: list[tuple[int, int]]) -> None:
        """Write an array of images of these kinds and seeds."""
        np.save(self.data, np.stack([picture(*image) for image in images]))
        self.kinds = {str(row): kind for row, (kind, _) in enumerate(images)}

    def pack(self, images: dict[str, tuple[int, int]]) -> None:
        """Write an archive of images by their names."""
        with zipfile.ZipFile(self.data, "w") as file:
            for name, image in images.items():
                out = io.BytesIO()
                Image.fromarray(picture(*image)).save(out, "PNG")
                file.writestr(name, out.getvalue())
        self.kinds = {name: kind for name, (kind, _) in images.items()}

    def enlist(self, images: dict[str, tuple[int, int]]) -> None:
        """Write a list of images, and their files beside it."""
        for name, image in images.items():
            Image.fromarray(picture(*image)).save(self.data.parent / name)
        self.data.write_text("".join(f"{name}\n" for name in images))
        self.kinds = {name: kind for name, (kind, _) in images.items()}

    def move(self, *, run: str = "", data: str = "") -> None:
        """Move one of them, or both, into another folder."""
        world = self.data.parents[1]
        if data:
            (world / data).mkdir(exist_ok=True)
            self.data = Path(shutil.move(self.data, world / data / self.data.name))
        if run:
            (world / run).mkdir(exist_ok=True)
            self.run = Path(shutil.move(self.run, world / run / self.run.name))


IMAGES = [(i % 2, i) for i in range(N)]
NAMED = {f"{i:02}.png": image for i, image in enumerate(IMAGES)}
WITHOUT = {name: image for name, image in NAMED.items() if name != "00.png"}
PLACES = {"folder": "photos", "array": "x.npy", "archive": "photos.zip", "list": "list.txt"}
FIRST, SECOND = "s/00.png", "s/01.png"


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Place]:
    """A clustered and named run of each kind; not to be touched."""
    places = {}
    for kind, data in PLACES.items():
        home = tmp_path_factory.mktemp(kind) / "home"
        home.mkdir()
        place = Place(home / "run", home / data)
        match kind:
            case "folder":
                for name, image in NAMED.items():
                    place.add(f"s/{name}", *image)
            case "array":
                place.rows(IMAGES)
            case "archive":
                place.pack(NAMED)
            case "list":
                place.enlist(NAMED)
        known = home / "known.csv"
        known.write_text(
            "id,label\n" + "".join(f"{n},{NAMES[k]}\n" for n, k in place.kinds.items())
        )
        for command in (["train", place.data, *TRAIN], ["name", "--labels", known]):
            result = run_quietly(*command, "--run", place.run)
            assert result.code == 0, result.err
        # away from where it was: its copies find nothing there
        kept = Path(shutil.move(home, home.parent / "kept"))
        places[kind] = Place(kept / "run", kept / place.data.name, place.kinds)
    return places


@pytest.fixture
def copy_of(worlds: dict[str, Place], tmp_path: Path) -> Callable[[str], Place]:
    """A run of the test's own, its images beside it."""

    def make(kind: str) -> Place:
        there = worlds[kind]
        home = tmp_path / "w" / ("home-2" if (tmp_path / "w").exists() else "home")
        shutil.copytree(there.run.parent, home)
        run = RunFolder(home / there.run.name)
        run.write_manifest(run.manifest())  # where its images lie now
        return Place(run.path, home / there.data.name, dict(there.kinds))

    return make


@dataclass(frozen=True)
class Event:
    """Something that happens.

    Attributes
    ----------
    change : callable
        Does it, and says what kinds of images there are afterwards.
    says : str
        Words of a line that `predict` logs; empty if it says nothing.
    refused : str
        Words of the one error of every command that looks at the images; empty if there is none.
    fails : tuple of str
        Commands that are refused, because what they need is gone.
    """

    kind: str
    name: str
    change: Callable[[Place], object]
    says: str = ""
    refused: str = ""
    fails: tuple[str, ...] = ()


def _delete(place: Place, names: list[str]) -> None:
    for name in names:
        place.remove(name)


def _unrelated(place: Place) -> None:
    shutil.rmtree(place.data)
    for i in range(6):
        place.add(f"s/{i:02}.png", i % 2, 100 + i)


def _all_gone(place: Place) -> None:
    shutil.rmtree(place.data / "s")


def _nested_run(place: Place) -> None:
    """The run moves into the folder of its own images."""
    place.move(run="home/photos")


def _run_out_again(place: Place) -> None:
    """The run was in the folder of its images, and leaves it: another folder holds it now."""
    place.move(run="home/photos")
    run = RunFolder(place.run)
    run.write_manifest(run.manifest())
    place.move(run="elsewhere")
    Image.new("RGB", (8, 8), "red").save(place.run.parent / "other.png")


def _emptied(place: Place) -> None:
    kinds = place.kinds
    place.pack({})
    place.kinds = kinds


def _delete_of_list(place: Place) -> None:
    (place.data.parent / "00.png").unlink()
    del place.kinds["00.png"]


def _backup(place: Place) -> None:
    shutil.copytree(place.run, place.data / "backup")
    Image.new("RGB", (8, 8), "red").save(place.data / "backup" / "gallery.png")


def _export_inside(place: Place) -> None:
    result = run_quietly("export", place.data / "sorted", "--run", place.run)
    assert result.code == 0, result.err


def _there_and_back(place: Place) -> None:
    """An image is deleted, commands are run, and it comes back with another time."""
    content = (place.data / FIRST).read_bytes()
    (place.data / FIRST).unlink()
    assert "1 of 24 images is gone" in run_quietly("predict", "--run", place.run).err
    (place.data / FIRST).write_bytes(content)


def _edited_and_back(place: Place) -> None:
    content = (place.data / FIRST).read_bytes()
    Image.fromarray(picture(1, 200)).save(place.data / FIRST)
    assert "1 image has changed" in run_quietly("predict", "--run", place.run).err
    (place.data / FIRST).write_bytes(content)


def _grey(place: Place) -> None:
    Image.new("L", (8, 8), 90).save(place.data / "grey.png")
    place.kinds["grey.png"] = 0  # darker, as the bluish ones are


def _touch_all(place: Place) -> None:
    for file in place.data.rglob("*.png"):
        os.utime(file, ns=(1, 1))


STANDS = "labels made before are used as they are"
GONE = f"is gone; {STANDS}"
CURVE, COPIES = ("checkpoint-curve",), ("export sorted",)
LOST = ("export sorted", "reconstruct --idx 0,1", "checkpoint-curve", "report", "plot --gallery")
NONE = "none of the run's 24 images is here"

EVENTS = [
    Event("folder", "nothing", lambda p: None),
    Event("folder", "delete one", lambda p: p.remove(FIRST), "1 of 24 images is gone (s/00.png)"),
    Event(
        "folder",
        "delete half",
        lambda p: _delete(p, [f"s/{i:02}.png" for i in range(12)]),
        "12 of 24 images are gone (the first is s/00.png)",
    ),
    Event("folder", "delete all", _all_gone, STANDS, "", COPIES),
    Event("folder", "lose it", lambda p: shutil.rmtree(p.data), GONE, "", COPIES),
    Event("folder", "add one", lambda p: p.add("a.png", 1, 50), "1 image is new (a.png)"),
    Event(
        "folder",
        "add many",
        lambda p: [p.add(f"new/{i}.png", i % 2, 50 + i) for i in range(9)],
        "9 images are new (the first is new/0.png)",
    ),
    Event("folder", "add a copy", lambda p: p.add("copy.png", 0, 0), "1 image is new (copy.png)"),
    Event("folder", "add a grey one", _grey, "1 image is new (grey.png)"),
    Event("folder", "add a text", lambda p: (p.data / "notes.txt").write_text("no image")),
    Event(
        "folder",
        "add a broken one",
        lambda p: (p.data / "bad.png").write_bytes(b"\x89PNG\r\n\x1a\nno more"),
        "left out, because they cannot be read: 1 image (bad.png:",
    ),
    Event("folder", "rename one", lambda p: p.rename(FIRST, "z.png"), "1 image has another name"),
    Event("folder", "swap two", lambda p: p.swap(FIRST, SECOND), "2 images have other names now"),
    Event(
        "folder",
        "rename all",
        lambda p: [p.rename(f"s/{i:02}.png", f"{i}.png") for i in range(N)],
        "24 images have other names now",
    ),
    Event(
        "folder",
        "edit one",
        lambda p: p.add(FIRST, 1, 60),
        "1 image has changed (s/00.png)",
    ),
    Event(
        "folder",
        "damage one",
        lambda p: ((p.data / FIRST).write_bytes(b"\x89PNG\r\n\x1a\n"), p.kinds.pop(FIRST)),
        "1 of 24 images is gone (s/00.png)",
    ),
    Event("folder", "touch one", lambda p: os.utime(p.data / FIRST, ns=(1, 1))),
    Event("folder", "touch all", _touch_all),
    Event("folder", "move the run", lambda p: p.move(run="elsewhere")),
    Event("folder", "move both", lambda p: p.move(run="new", data="new")),
    Event("folder", "move the data", lambda p: p.move(data="else"), GONE, "", COPIES),
    Event("folder", "move the run inside", _nested_run),
    Event("folder", "move the run out", _run_out_again),
    Event("folder", "copy the run inside", _backup),
    Event("folder", "export inside", _export_inside),
    Event("folder", "other images", _unrelated, refused=NONE),
    Event("folder", "delete and restore", _there_and_back),
    Event("folder", "edit and restore", _edited_and_back),
    Event(
        "folder",
        "delete, add, rename, edit",
        lambda p: (
            p.remove(SECOND).add("n.png", 1, 70).rename("s/04.png", "4.png").add(FIRST, 1, 71)
        ),
        "1 of 24 images is gone (s/01.png)",
    ),
    Event("array", "nothing", lambda p: None),
    Event("array", "touch", lambda p: os.utime(p.data, ns=(1, 1))),
    *(
        Event("array", name, partial(Place.rows, images=images), says, "", CURVE)
        for name, images, says in (
            ("append", [*IMAGES, (1, 50), (0, 51)], "2 images are new (the first is 24)"),
            ("delete a row", IMAGES[1:], "1 of 24 images is gone (0) and left out"),
            ("edit a row", [(1, 60), *IMAGES[1:]], "1 image has changed (0)"),
            ("reverse", IMAGES[::-1], "24 images have other row numbers now (the first is"),
        )
    ),
    Event("array", "other images", lambda p: p.rows([(0, 80), (1, 81)]), refused=NONE),
    *(
        Event(kind, name, partial(write, images=images), says)
        for kind, write in (("archive", Place.pack), ("list", Place.enlist))
        for name, images, says in (
            ("nothing", NAMED, ""),
            ("delete one", WITHOUT, "1 of 24 images is gone (00.png) and left out"),
            ("add one", {**NAMED, "n.png": (1, 50)}, "1 image is new (n.png)"),
            ("edit one", {**NAMED, "00.png": (1, 60)}, "1 image has changed (00.png)"),
            ("rename one", {**WITHOUT, "z.png": (0, 0)}, "name now (00.png is z.png)"),
        )
    ),
    Event("archive", "lose it", lambda p: p.data.unlink(), GONE, "", COPIES),
    Event(
        "list",
        "delete a file of it",
        _delete_of_list,
        "1 of 24 images is gone (00.png) and left out",
    ),
    Event("list", "lose it", lambda p: p.data.unlink(), GONE, "", COPIES),
    Event("archive", "other images", lambda p: p.pack({"a.png": (0, 80)}), refused=NONE),
    Event("archive", "empty it", _emptied, STANDS, "", COPIES),
    Event("array", "lose it", lambda p: p.data.unlink(), GONE, "", LOST),
    Event("array", "move both", lambda p: p.move(run="new", data="new")),
    Event("array", "move it", lambda p: p.move(data="else"), GONE, "", LOST),
]  # fmt: skip


def kinds_of(result: Result) -> dict[str, int]:
    """The label of every image that predict printed."""
    rows = list(csv.reader(io.StringIO(result.out)))
    assert rows[0] == ["id", "label"]
    return {name: int(label) for name, label in rows[1:]}


def confidences(cli: Cli, place: Place) -> dict[str, float]:
    """How sure the label of every image is, by its id."""
    answer = json.loads(cli("predict", "--json", "--run", place.run).out)
    return dict(zip(map(str, answer["ids"]), answer["confidence"], strict=True))


def contents_of(place: Place) -> dict[str, bytes]:
    """The bytes of every image in a folder or an array, by its id; of the same only the last."""
    if place.data.suffix == ".npy" and place.data.exists():
        return {str(row): image.tobytes() for row, image in enumerate(np.load(place.data))}
    ids = [name for name in place.kinds if (place.data / name).is_file()]
    return {name: (place.data / name).read_bytes() for name in ids}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A working folder for what commands write."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: f"{e.kind}: {e.name}")
def test_every_command_after_an_event(
    cli: Cli, home: Path, copy_of: Callable[[str], Place], event: Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    place = copy_of(event.kind)
    before = kinds_of(cli("predict", "--run", place.run, "-q"))
    number = {kind: before[name] for name, kind in place.kinds.items()}
    assert all(before[name] == number[kind] for name, kind in place.kinds.items())
    sure, contents = confidences(cli, place), contents_of(place)
    event.change(place)
    weights = bytes_of(place.run / "weights", "*")
    monkeypatch.chdir(home)
    for command in LOOK:
        result = cli(*command.split(), "--run", place.run)
        if event.refused and command != "info":
            assert result.code == 2
            last = result.err.splitlines()[-1]
            assert last.startswith("error: ")
            assert event.refused in last
            continue
        if command in event.fails:
            assert result.code == 2, command
            assert result.err.splitlines()[-1].startswith("error: ")
            continue
        assert result.code == 0, f"{command}: {result.err}"
        if command == "info" and event.says and event.name != "add a broken one":  # said once
            assert event.says in result.out
        if command == "predict":
            if event.says:
                assert event.says in result.err
            else:
                assert result.err == ""
            expected = {name: number[kind] for name, kind in place.kinds.items()}
            assert kinds_of(result) == expected
    if not event.refused:  # no row of another image: each has a confidence of its own
        row_of = {content: name for name, content in contents.items()}
        after, kept = confidences(cli, place), contents_of(place)
        known = {name: row_of[content] for name, content in kept.items() if content in row_of}
        assert known or event.kind != "folder" or not kept
        assert {name: after[name] for name in known} == {n: sure[old] for n, old in known.items()}
    assert bytes_of(place.run / "weights", "*") == weights
    if not event.refused:
        rows = csv.DictReader(Path("out.csv").read_text().splitlines())
        assert {row["id"]: int(row["label"]) for row in rows} == expected
        if "export sorted" not in event.fails:
            shown = {p.relative_to("sorted").parts[0] for p in Path("sorted").rglob("*.png")}
            assert shown == {f"{number[kind]}-{NAMES[kind]}" for kind in set(place.kinds.values())}


def test_what_people_say_of_an_image_holds_by_its_former_name(
    cli: Cli, home: Path, copy_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy_of("folder")
    monkeypatch.chdir(home)
    known = place.run.parent / "known.csv"  # of all images, by the names of before
    few = home / "few.csv"
    few.write_text("".join(known.read_text().splitlines(keepends=True)[:7]))
    assert cli("cluster", "--known", few, "--run", place.run).code == 0
    assert cli("ask", "-n", 2, "--run", place.run).code == 0
    place.rename(FIRST, "z.png")
    run = f"--run {place.run}"
    assert cli("cluster", "--known", few, "--run", place.run, "--force").code == 0
    for line in (
        f"name --labels {known} {run}",
        f"ask -n 3 {run}",
        f"plot --labels {known} {run}",
        f"evaluate {place.run} {known} --with-known",
        f"evaluate {place.run} {known} --known {few}",
        f"edit apply {known} {run}",
        f"find similar {FIRST} -n 1 {run}",
        f"edit move {FIRST} --to new {run}",
    ):
        result = cli(*line.split())
        assert result.code == 0, f"{line}: {result.err}"
        assert "is gone" not in result.err
    assert "z.png,2\n" in cli("predict", "--run", place.run).out
    known.write_text(f"id,label\n{FIRST},blue\nz.png,yellow\n")
    twice = cli("name", "--labels", known, "--run", place.run, "-q")
    assert "ids 's/00.png' and 'z.png' are of the same image" in one_error(twice)
    both = cli("cluster", "--known", known, "--run", place.run, "-q")
    assert "'z.png' is 'yellow' here and 'blue' in" in one_error(both)


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: f"{e.kind}: {e.name}")
def test_update_after_an_event(
    cli: Cli, home: Path, copy_of: Callable[[str], Place], event: Event
) -> None:
    place = copy_of(event.kind)
    before = kinds_of(cli("predict", "--run", place.run, "-q"))
    number = {kind: before[name] for name, kind in place.kinds.items()}
    event.change(place)
    lost = STANDS in event.says
    path = [place.data] if lost and place.data.exists() else []
    weights = bytes_of(place.run / "weights", "*")
    result = cli("update", *path, "--run", place.run)
    assert bytes_of(place.run / "weights", "*") == weights
    if event.refused:
        assert result.code == 2
        assert event.refused in result.err
        return
    assert result.code == 0, result.err
    again = cli("predict", "--run", place.run)
    assert again.code == 0, again.err
    assert (STANDS if lost and not path else "") in again.err
    assert "new" not in again.err.replace("new/", "")
    expected = {name: number[kind] for name, kind in place.kinds.items()}
    assert kinds_of(again) == expected
    named = cli("predict", "--names", "--run", place.run)
    assert dict(csv.reader(io.StringIO(named.out))) == {
        "id": "label",
        **{name: NAMES[kind] for name, kind in place.kinds.items()},
    }
    there = files_of(place.run)
    assert "(up to date, nothing to do)" in cli("update", "--run", place.run).out
    assert files_of(place.run) == there


class Death(BaseException):
    """A process that ends, whatever it is at."""


@pytest.mark.parametrize("command", ["update", "train --continue --epochs 1"])
@pytest.mark.parametrize("embedded", [True, False])
def test_a_death_between_any_two_files_leaves_a_run_that_goes_on(
    cli: Cli, home: Path, copy_of: Callable[[str], Place], command: str, embedded: bool,
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    place = copy_of("folder")
    numbers = kinds_of(cli("predict", "--run", place.run, "-q"))
    number = {kind: numbers[name] for name, kind in place.kinds.items()}
    place.remove(SECOND).add("n.png", 1, 70).rename("s/04.png", "4.png").add(FIRST, 1, 71)
    if not embedded:
        for name in ("latents.h5", "labels.h5"):
            (place.run / name).unlink()
    kept = shutil.copytree(place.run, tmp_path / "kept")
    replace, died = os.replace, 0
    for count in range(40):
        shutil.rmtree(place.run)
        shutil.copytree(kept, place.run)
        left = [count]

        def dying(*paths: Any, left: list[int] = left) -> None:
            if not left[0]:
                raise Death
            left[0] -= 1
            replace(*paths)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying)
            try:
                assert cli(*command.split(), "--run", place.run).code == 0
            except Death:
                died += 1
            else:
                break
        weights = bytes_of(place.run / "weights", "*")
        if command == "update" or not RunFolder(place.run).manifest().former:
            again = cli(*command.split(), "--run", place.run)
        else:
            again = cli("train", "--resume", "--run", place.run)
        assert again.code == 0, f"{count}: {again.err}"
        assert command != "update" or bytes_of(place.run / "weights", "*") == weights
        predicted = kinds_of(cli("predict", "--run", place.run, "-q"))
        swap = {} if embedded else {0: 1, 1: 0}  # nothing remembers which cluster had which number
        wanted = {name: number[kind] for name, kind in place.kinds.items()}
        others = {name: swap.get(label, label) for name, label in wanted.items()}
        assert predicted in (wanted, others)
    assert died > (2 if command == "update" else 5)


def test_update_waits_for_the_end_of_training(cli: Cli, copy_of: Callable[[str], Place]) -> None:
    place = copy_of("folder").add("n.png", 1, 70)
    RunFolder(place.run).weights_file(1).unlink()  # as if it had been killed early
    before = files_of(place.run)
    check_error(cli("update", "--run", place.run).error, what="training is not finished")
    assert files_of(place.run) == before


def test_labels_and_latents_of_other_times_are_not_mixed(
    cli: Cli, copy_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, other = copy_of("folder"), RunFolder(copy_of("array").run)
    place.add("n.png", 1, 70)
    real: Any = vars(predicting)["current_labels"]

    def meanwhile(*arguments: Any, **settings: Any) -> Any:
        labels = real(*arguments, **settings)
        shutil.copy(other.latents_file, place.run)  # another process has clustered anew
        return labels

    monkeypatch.setattr(predicting, "current_labels", meanwhile)
    result = cli("predict", "--run", place.run)
    check_error(result.error, what="the run has changed meanwhile", mend="repeat the command")


def test_a_reader_leaves_alone_what_was_taken_in_meanwhile(
    cli: Cli, copy_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy_of("folder").add("n.png", 1, 70)
    os.utime(place.data / FIRST, ns=(1, 1))
    real: Any = vars(looking)["refresh"]

    def late(*arguments: Any) -> None:
        monkeypatch.setattr(looking, "refresh", real)
        assert run_quietly("update", "--run", place.run).code == 0
        real(*arguments)

    monkeypatch.setattr(looking, "refresh", late)
    result = cli("predict", "--run", place.run)  # whose labels are of before
    check_error(result.error, what="the run has changed meanwhile")
    assert "(up to date, nothing to do)" in cli("update", "--run", place.run).out
    assert cli("predict", "--run", place.run).err == ""


def test_a_copied_project_looks_at_its_own_images(
    cli: Cli, copy_of: Callable[[str], Place], tmp_path: Path
) -> None:
    place = copy_of("folder")
    shutil.copytree(place.run.parent, tmp_path / "copy")
    copy = Place(tmp_path / "copy" / "run", tmp_path / "copy" / "photos", dict(place.kinds))
    copy.remove(FIRST).add("n.png", 1, 50)
    result = cli("predict", "--run", copy.run)
    assert kinds_of(result).keys() == copy.kinds.keys()
    assert f"{copy.data}: 1 of 24 images is gone (s/00.png)" in result.err


def test_names_follow_through_two_continues_and_a_look_between(
    cli: Cli, copy_of: Callable[[str], Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = copy_of("folder")
    names = [line.split()[-1] for line in cli("name", "--run", place.run).out.splitlines()[1:]]
    more = ["train", "--continue", "--epochs", 2, "--run", place.run, "-q"]

    def press(terminal: Terminal, moment: Moment) -> None:
        if moment.epoch == 1:
            signal.raise_signal(signal.SIGINT)

    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(Terminal, "observe", press)
            assert cli(*more).code == 130
        assert cli("predict", "--run", place.run).code == 0  # of what it has come to
        assert cli("train", "--resume", "--run", place.run, "-q").code == 0
    listed = cli("name", "--run", place.run)
    assert [line.split()[-1] for line in listed.out.splitlines()[1:]] == names
    assert sorted(names) == ["blue", "yellow"]


def test_another_number_of_clusters_keeps_the_order_and_the_names_it_can() -> None:
    def labels(values: list[int], digest: str) -> Artifact:
        marks = np.arange(len(values), dtype=np.uint64)
        arrays = {"labels": np.array(values), "fingerprints": marks}
        return Artifact("labels", arrays, {}, 0, {}, {}, digest=digest)

    former = labels([0, 0, 1, 1, 1, 2, 3], "a")
    # what was 1 and 3 is the larger one now, and what was 0 and 2 the other
    made, heirs = numbered_as(former, labels([1, 1, 0, 0, 0, 1, 0], "b"))
    assert made.arrays["labels"].tolist() == [0, 0, 1, 1, 1, 0, 1]
    assert heirs == {0: 0, 1: 1}
    made, heirs = numbered_as(former, labels([1, 1, 0, 0, 4, 2, 3], "b"))
    assert made.arrays["labels"].tolist() == [0, 0, 1, 1, 4, 2, 3]
    assert heirs == {0: 0, 1: 1, 2: 2, 3: 3}


def test_others_are_labelled_whatever_the_runs_own_images_have_become(
    cli: Cli, copy_of: Callable[[str], Place]
) -> None:
    place = copy_of("array")
    before = kinds_of(cli("predict", "--run", place.run))
    np.save(place.data, 200 * np.load(place.data).astype(np.float32))  # of no range that is known
    assert cli("predict", "--run", place.run).code == 2
    others = place.data.parent / "others.npy"
    np.save(others, np.stack([picture(*image) for image in IMAGES]))
    result = cli("predict", others, "--run", place.run)
    assert result.code == 0, result.err
    assert kinds_of(result) == before
