"""aeclust export: images by cluster, tables, and what is read back of them."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from support import (
    RECIPE,
    Cli,
    Data,
    check_error,
    files_of,
    give_memory,
    make_images,
    one_error,
    refused,
    run_quietly,
)

from aeclust import artifact, images
from aeclust.cli.terminal import Terminal
from aeclust.images import Source, truth
from aeclust.run import export as export_module
from aeclust.run.folder import RunFolder

HEADER = ["id", "label", "confidence", "name", "file"]


def table(folder: str) -> list[dict[str, str]]:
    with open(Path(folder) / "labels.csv", newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        assert rows.fieldnames == HEADER
        return list(rows)


def left() -> list[str]:
    """What lies in the working folder, hidden files too."""
    return sorted(os.listdir())


def refuse(cli: Cli, *arguments: object, code: int = 2, **fields: str) -> None:
    """A command answers with one error, whose parts are these."""
    result = cli(*arguments)
    one_error(result, code)
    check_error(result.error, **fields)


def replace_ids(run: RunFolder, ids: list[Any]) -> None:
    """Labels of the same run with other ids."""
    labels = artifact.read(run.labels_file)
    arrays = {**labels.arrays, "ids": artifact.encode_ids(np.array(ids))}
    artifact.write(run.labels_file, dataclasses.replace(labels, arrays=arrays))


def ids_of(run: RunFolder) -> list[Any]:
    return list(artifact.decode_ids(artifact.read(run.labels_file).arrays["ids"]).tolist())


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images and a run on it, side by side; not to be touched."""
    place = tmp_path_factory.mktemp("photos")
    pixels = make_images(20, seed=6)[0]
    for i, image in enumerate(pixels):
        file = place / "photos" / f"day {i % 3}" / ("deep" if i % 2 else ".") / f"é{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(file)
    for command in (["train", place / "photos", *RECIPE, "--epochs", 1], ["cluster"]):
        result = run_quietly(*command, "--run", place / "run")
        assert result.code == 0, result.err
    return place


@pytest.fixture
def of_photos(cli: Cli, photos: Path, tmp_path: Path) -> RunFolder:
    """A run of the test's own on the folder of images, where `cli` finds it."""
    return RunFolder(shutil.copytree(photos / "run", tmp_path / "aeclust-run"))


# -- folders -----------------------------------------------------------------------------------


def test_rows_of_an_array_become_images_by_cluster(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    cli("name", "0=land/scape: é", "1=..")
    code, out, err = cli("export", "sorted")
    assert (code, out, err) == (0, "sorted: 60 images in 2 folders\n", "")
    arrays = artifact.read(full_run.labels_file).arrays
    pixels, rows = np.load(data.images), table("sorted")
    folders = {0: "0-land-scape-é", 1: "1"}
    for i, row in enumerate(rows):
        cluster = int(arrays["labels"][i])
        assert row["id"] == str(i)
        assert row["label"] == str(cluster)
        assert row["name"] == ["land/scape: é", ".."][cluster]
        assert float(row["confidence"]) == pytest.approx(arrays["confidence"][i], abs=1e-6)
        assert row["file"] == f"{folders[cluster]}/{i:02d}.png"
        with Image.open(Path("sorted") / row["file"]) as image:
            assert np.array_equal(np.asarray(image), pixels[i])
    files = {p.relative_to("sorted").as_posix() for p in Path("sorted").rglob("*") if p.is_file()}
    assert files == {row["file"] for row in rows} | {"labels.csv"}
    assert left() == ["aeclust-run", "sorted"]


def test_files_keep_their_paths_and_bytes(cli: Cli, of_photos: RunFolder, photos: Path) -> None:
    assert cli("export", "sorted.v2/").code == 0
    rows = table("sorted.v2")
    assert len(rows) == 20
    for row in rows:
        assert row["file"] == f"{row['label']}/{row['id']}"
        copy, original = Path("sorted.v2") / row["file"], photos / "photos" / row["id"]
        assert copy.read_bytes() == original.read_bytes()
        assert not copy.is_symlink()


def test_links_lead_to_the_images(cli: Cli, of_photos: RunFolder, photos: Path) -> None:
    assert cli("export", "sorted", "--link").code == 0
    for row in table("sorted"):
        link = Path("sorted") / row["file"]
        assert link.is_symlink()
        assert link.resolve() == (photos / "photos" / row["id"]).resolve()
    assert cli("export", "sorted", "--force").code == 0
    assert not any(path.is_symlink() for path in Path("sorted").rglob("*"))
    assert (photos / "photos" / "day 0" / "é0.png").exists()


@pytest.mark.parametrize("kind", [["--link"], []])
def test_a_folder_is_images_and_labels_again(
    cli: Cli, of_photos: RunFolder, data: Data, kind: list[str]
) -> None:
    assert cli("export", "sorted", *kind).code == 0
    again = images.load(Source(location="sorted"))
    by_file = {row["file"]: row["label"] for row in table("sorted")}
    assert set(again.ids.tolist()) == by_file.keys()
    assert cli("train", "sorted", *RECIPE, "--epochs", 1, "--run", "second", "-q").code == 0
    result = json.loads(cli("evaluate", "sorted", of_photos.labels_file, "--json").out)
    assert (result["images"], result["accuracy"]) == (20, 1.0)


def test_grey_and_floating_images_are_written_with_8_bits(cli: Cli) -> None:
    grey = make_images(12, seed=3)[0][..., 0]
    np.save("grey.npy", (grey / 255).astype(np.float32))
    cli("train", "grey.npy", *RECIPE, "--epochs", 1)
    assert cli("export", "sorted").code == 0
    for i, row in enumerate(table("sorted")):
        with Image.open(Path("sorted") / row["file"]) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), grey[i])


def test_upstream_is_made_first(cli: Cli, run: RunFolder) -> None:
    result = cli("export", "sorted")
    assert result.code == 0
    assert "latents.h5 is missing: embedding the images first\n" in result.err
    assert "labels.h5 is missing: clustering first\n" in result.err


def test_progress_counts_every_image(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int, int]] = []
    monkeypatch.setattr(Terminal, "progress", lambda self, *step: steps.append(step))
    cli("export", "sorted")
    assert steps == [("export", i + 1, 60) for i in range(60)]


# -- replacing ---------------------------------------------------------------------------------


def test_force_replaces_what_an_export_made_and_nothing_else(cli: Cli, full_run: RunFolder) -> None:
    cli("export", "sorted")
    place, before = f"{Path.cwd()}/sorted", files_of(Path("sorted"))
    mend = "choose another name, or replace it with `force`"
    what, expected = "is there already", ""
    refuse(cli, "export", "sorted", what=what, where=place, expected=expected, mend=mend)
    cli("name", "0=sea")
    Path("sorted/.DS_Store").write_bytes(b"x")  # as file managers leave it
    assert cli("export", "sorted", "--force").code == 0
    assert {row["file"].split("/")[0] for row in table("sorted")} == {"0-sea", "1"}
    assert not Path("sorted/.DS_Store").exists()
    assert files_of(Path("sorted")).keys() != before.keys()
    assert left() == ["aeclust-run", "sorted"]

    (Path("sorted") / "1" / "notes.txt").write_text("mine")
    before = files_of(Path("sorted"))
    what = "is or holds what no export like this put there (1/notes.txt)"
    expected = "nothing else where `force` replaces"
    mend = "choose another name, or remove it yourself"
    force = ("export", "sorted", "--force")
    refuse(cli, *force, what=what, where=place, expected=expected, mend=mend)
    assert files_of(Path("sorted")) == before


@pytest.mark.parametrize(
    ("make", "dest", "what"),
    [
        (lambda: Path("mine").mkdir(), "mine", "no labels.csv of an export"),
        (lambda: Path("mine").touch(), "mine", "a file"),
        (lambda: Path("mine").symlink_to("aeclust-run"), "mine", "a file"),
        (lambda: None, ".", "no labels.csv of an export"),
        (lambda: None, "aeclust-run", "no labels.csv of an export"),
        (lambda: None, "..", "no labels.csv of an export"),
    ],
)
def test_force_never_replaces_what_is_not_its_own(
    cli: Cli, full_run: RunFolder, make: Any, dest: str, what: str
) -> None:
    make()
    before = files_of(Path())
    what = f"is or holds what no export like this put there ({what})"
    refuse(cli, "export", dest, "--force", what=what)
    assert files_of(Path()) == before


def test_a_folder_is_no_place_for_a_table(cli: Cli, full_run: RunFolder) -> None:
    Path("mine.csv").mkdir()
    (Path("mine.csv") / "notes.txt").write_text("mine")
    before = files_of(Path())
    refuse(cli, "export", "mine.csv", "--force", what="is a folder", mend="add a name to it")
    assert files_of(Path()) == before


def test_a_linked_folder_in_an_export_is_foreign(cli: Cli, full_run: RunFolder) -> None:
    cli("export", "sorted")
    Path("sorted/more").symlink_to(Path.cwd() / "aeclust-run")
    what = "is or holds what no export like this put there (more)"
    refuse(cli, "export", "sorted", "--force", what=what)


def test_force_replaces_a_file(cli: Cli, full_run: RunFolder) -> None:
    Path("a.csv").write_text("old")
    refuse(cli, "export", "a.csv", what="is there already")
    assert Path("a.csv").read_text() == "old"
    assert cli("export", "a.csv", "--force").code == 0
    assert Path("a.csv").read_text().startswith("id,label,confidence\n0,")


@pytest.mark.parametrize("place", ["photos", "."])
def test_the_images_themselves_are_out_of_reach(
    cli: Cli, photos: Path, tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    assert cli("train", "photos", *RECIPE, "--epochs", 1).code == 0
    monkeypatch.setattr(export_module, "check_free", lambda *a, **b: None)
    before = files_of(tmp_path)
    what = "is or holds the folder of the run's images"
    where, expected = str((tmp_path / place).resolve()), "a place apart from it"
    arguments = ("export", place, "--force", "-q")
    refuse(cli, *arguments, what=what, where=where, expected=expected, mend="choose another")
    assert files_of(tmp_path) == before


def test_an_export_among_the_images_is_none_of_them(cli: Cli, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    assert cli("train", "photos", *RECIPE, "--epochs", 1).code == 0
    before = cli("predict").out
    assert cli("export", "photos/day 0/sorted").code == 0
    assert len(list(Path("photos/day 0/sorted").rglob("*.png"))) == 20
    assert cli("predict") == (0, before, "")


# -- whole or not at all -----------------------------------------------------------------------


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("when", ["image", "rename"])
def test_what_is_stopped_leaves_nothing_and_harms_nothing(
    cli: Cli,
    full_run: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    there: bool,
    when: str,
) -> None:
    if there:
        cli("export", "sorted")
    before, count = files_of(Path()), 0
    write, rename = export_module._write, os.rename

    def write_some(target: Path, data: bytes) -> None:
        nonlocal count
        count += 1
        if when == "image" and count == 30:
            raise error
        write(target, data)

    def rename_some(source: Path, target: Path) -> None:
        if when == "rename" and str(source).endswith(".tmp"):
            raise error
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(export_module, "_write", write_some)
        patch.setattr(os, "rename", rename_some)
        result = cli("export", "sorted", "--force")
    if isinstance(error, OSError):
        one_error(result, code=4)
        check_error(
            result.error,
            what="could not be written (No space left on device)",
            where=f"{Path.cwd()}/sorted",
            mend="free space or choose another place; what was there before is unharmed",
        )
    else:
        assert (result.code, result.err) == (130, "interrupted\n")
    assert files_of(Path()) == before
    assert left() == ["aeclust-run", *(["sorted"] if there else [])]


def test_lost_images_are_named(cli: Cli, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos / "photos", tmp_path / "photos")
    cli("train", "photos", *RECIPE, "--epochs", 1)
    cli("cluster")
    shutil.rmtree(tmp_path / "photos")
    for flags in ([], ["--link"]):
        refuse(
            cli, "export", "sorted", "-q", *flags,
            what="cannot be read (it is gone)",
            where=f"{tmp_path}/photos/day 0/deep/é15.png",
            expected="the images that the run was trained on",
            mend="restore it, or train with `force`",
        )  # fmt: skip
    assert "sorted" not in left()


OUTSIDE = "leads out of the folder, or is no path of a file"


@pytest.mark.parametrize(
    "hostile",
    ["../x.png", "/etc/passwd", "a/../../x", "..", ".", "", "a//b.png", "./a.png", "a/", "a\0b"],
)
def test_hostile_ids_do_not_leave_the_folder(
    cli: Cli, of_photos: RunFolder, tmp_path: Path, hostile: str
) -> None:
    with refused(what=f"id {hostile!r} {OUTSIDE}"):
        export_module._checked(hostile, of_photos)
    ids = ids_of(of_photos)
    ids[4] = hostile or "./"  # the format has no empty text
    replace_ids(of_photos, ids)
    before = files_of(tmp_path)
    # files are called what they are called where they lie, whatever a file of labels says
    assert cli("export", "sorted", "-q").code == 0
    after = files_of(tmp_path)
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in after.keys() - before.keys()} == {"sorted"}
    with open("sorted/labels.csv", newline="", encoding="utf-8") as file:
        names = {row["id"] for row in csv.DictReader(file)}
    assert len(names) == len(ids)
    assert ids[4] not in names


# -- tables ------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True])
def test_tables_hold_the_labels_of_the_run(cli: Cli, full_run: RunFolder, named: bool) -> None:
    if named:
        cli("name", "1=sea, shore")
    arrays = artifact.read(full_run.labels_file).arrays
    names = ["", "sea, shore"]
    column: NDArray[Any] = np.array([names[c] for c in arrays["labels"]])
    rounded = [round(c, 6) for c in arrays["confidence"].tolist()]

    assert cli("export", "a.csv") == (0, "a.csv: 60 images\n", "")
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == arrays["labels"].astype(str).tolist()
    assert [float(row["confidence"]) for row in rows] == rounded
    assert [row.get("name") for row in rows] == (column.tolist() if named else [None] * 60)

    assert cli("export", "a.json").code == 0
    expected = json.loads(cli("predict", "--json").out)
    if named:
        expected["names"] = column.tolist()
    assert json.loads(Path("a.json").read_text()) == expected

    assert cli("export", "a.npz").code == 0
    with np.load("a.npz", allow_pickle=False) as archive:
        keys = {"ids", "labels", "confidence", "latents"} | ({"names"} if named else set())
        assert set(archive.files) == keys
        latents = artifact.read(full_run.latents_file).arrays["latents"]
        assert np.array_equal(archive["latents"], latents)
        for key in ("ids", "labels", "confidence"):
            assert np.array_equal(archive[key], arrays[key])
            assert archive[key].dtype == arrays[key].dtype
        if named:
            assert archive["names"].dtype.kind == "U"
            assert np.array_equal(archive["names"], column)


@pytest.mark.parametrize("ending", [".csv", ".json", ".npz", ""])
def test_what_is_exported_is_read_wherever_labels_are(
    cli: Cli, of_photos: RunFolder, ending: str
) -> None:
    name = f"out{ending}"
    assert cli("export", name).code == 0
    labels = truth.load(name)
    assert np.array_equal(labels.values, artifact.read(of_photos.labels_file).arrays["labels"])
    assert labels.ids is not None
    assert labels.ids.tolist() == ids_of(of_photos)
    score = json.loads(cli("evaluate", name, of_photos.labels_file, "--json").out)
    assert (score["images"], score["accuracy"]) == (20, 1.0)
    assert "20 of 20 known labels agree" in cli("name", "--labels", name).out
    assert truth.load_named(name)[1] == ["0", "1"]


def test_equal_runs_export_equal_bytes(cli: Cli, full_run: RunFolder) -> None:
    for name in ("x.npz", "x.json", "x.csv"):
        cli("export", name)
        cli("export", f"again-{name}")
        assert Path(name).read_bytes() == Path(f"again-{name}").read_bytes()


# -- requests ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "where", "what", "expected", "mend"),
    [
        (
            ["a.txt"],
            "a.txt",
            "ends in '.txt'",
            ".csv, .json, .npz, .safetensors, .onnx, or a folder",
            "give a folder no ending, or a slash at its end",
        ),
        (["a.csv", "--link"], "`link`", "a file holds no images", "a folder", "leave it out"),
        (
            ["a", "--link"],
            "`link`",
            "the images are rows of an array",
            "images in a folder",
            "leave it out: each row becomes a PNG",
        ),
        (
            ["a", "--checkpoint", 3],
            "`checkpoint`",
            "no network is exported",
            "a destination that ends in .safetensors or .onnx",
            "leave it out, or embed with that `checkpoint` first",
        ),
        (
            ["-"],
            "-",
            "an export has a name",
            "a folder or a file",
            "use aeclust predict for a CSV on standard output",
        ),
    ],
)
def test_wrong_requests_are_refused(
    cli: Cli,
    full_run: RunFolder,
    arguments: list[str],
    where: str,
    what: str,
    expected: str,
    mend: str,
) -> None:
    before = files_of(full_run.path)
    refuse(cli, "export", *arguments, where=where, what=what, expected=expected, mend=mend)
    assert files_of(full_run.path) == before
    assert left() == ["aeclust-run"]


def test_what_is_not_there_cannot_be_exported(cli: Cli, full_run: RunFolder) -> None:
    refuse(cli, "export", "a.onnx", "--checkpoint", 99, what="there is no checkpoint of epoch 99")
    refuse(cli, "export", "a", "--run", "away", what="there is no run here", where="away")
    assert left() == ["aeclust-run"]


def test_latents_beyond_memory_are_refused(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_memory(monkeypatch, 100)
    what = "a copy of the latents needs about 0 GB of memory"
    where, mend = "aeclust-run/latents.h5", "read that file instead"
    refuse(cli, "export", "a.npz", "-q", what=what, where=where, mend=mend)


def test_a_place_that_cannot_be_written_exits_4(cli: Cli, full_run: RunFolder) -> None:
    Path("file").touch()
    for name in ("file/sorted", "file/a.csv"):
        assert "could not be written" in one_error(cli("export", name), code=4)


def test_json_says_what_was_written(cli: Cli, full_run: RunFolder) -> None:
    assert json.loads(cli("export", "out/a.csv", "--json").out) == {
        "file": "out/a.csv", "format": "csv", "content": "60 images",
    }  # fmt: skip
    answer = json.loads(cli("export", "out/a.safetensors", "--json", "--checkpoint", 3).out)
    assert (answer["format"], answer["content"]) == (
        "safetensors",
        "the network of recipe baseline after epoch 3",
    )


@pytest.mark.parametrize("name", ["run.json", "names.json", "labels.h5", "../run/run.json"])
def test_what_the_run_keeps_is_no_destination(cli: Cli, full_run: RunFolder, name: str) -> None:
    full_run.path.rename("run")
    before = files_of(Path("run"))
    destination = f"run/{name}"
    if destination.endswith(".json"):
        what, where = "it belongs to the run", str(Path(destination).resolve())
        refuse(cli, "export", destination, "--force", "--run", "run", what=what, where=where)
    for command in ("predict", "cluster", "embed"):
        refuse(cli, command, "-o", destination, "--run", "run", "-q", what="it belongs to the run")
    assert files_of(Path("run")) == before


def test_what_a_killed_export_put_aside_comes_back(cli: Cli, full_run: RunFolder) -> None:
    assert cli("export", "sorted").code == 0
    before = files_of(Path("sorted"))
    Path("sorted").rename(".sorted.0123abcd.old")
    refuse(cli, "export", "sorted", "-q", what="is there already")
    assert files_of(Path("sorted")) == before


def test_the_network_is_the_one_that_the_latents_are_of(cli: Cli, two_phase_run: RunFolder) -> None:
    assert "after epoch 4" in cli("export", "first.onnx").out
    assert cli("cluster", "-k", 3).code == 0  # which goes back to the end of the first phase
    assert "after epoch 2" in cli("export", "second.safetensors").out
    assert "after epoch 4" in cli("export", "third.safetensors", "--checkpoint", 4).out
