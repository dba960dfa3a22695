"""aeclust report: the run on one page."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reports import Parsed, tiles
from support import RECIPE, Cli, Data, check_error, files_of, one_error
from typer.main import get_command

from aeclust import artifact as artifacts
from aeclust.cli.app import app
from aeclust.cli.training import Training
from aeclust.images import Source
from aeclust.run.again import called, commands
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.manifest import Manifest
from aeclust.run.page import gather
from aeclust.show import page as pages


def parsed(file: Path = Path("aeclust-run/report.html")) -> Parsed:
    return Parsed(file.read_text(encoding="utf-8"))


def test_the_page_shows_what_the_run_holds(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("report")
    size = (full_run.path / "report.html").stat().st_size
    said = f"aeclust-run/report.html: 60 images in 2 clusters, {size / 1e6:.1f} MB\n"
    assert (code, out, err) == (0, said, "")
    after = files_of(full_run.path)
    assert after.keys() - before.keys() == {"report.html"}
    assert {name: after[name] for name in before} == before
    page = parsed()
    labels = artifacts.read(full_run.labels_file)
    rows = [int(name) for name in page.points["ids"]]
    assert sorted(rows) == list(range(60))
    assert page.points["labels"] == labels.arrays["labels"][rows].tolist()
    confidence = labels.arrays["confidence"][rows]
    assert np.allclose(page.points["confidence"], confidence, atol=0.0005)
    images = np.load(data.images).astype(int)
    for row, tile in zip(rows, tiles(page.points["sheets"], 60), strict=True):
        assert tile.shape == (8, 8, 3)
        assert np.abs(tile - images[row]).mean() < 20  # two images differ by 80 or by 25
    assert "images.npy · recipe baseline · seed 0" in page.text
    assert "These are the two dimensions that were clustered." in page.text
    assert f"labels SHA-256{labels.digest}" in page.text
    assert "mean colour and brightness alone predict 100% of each cluster" in page.text
    losses = [json.loads(line)["loss"] for line in full_run.metrics_file.read_text().splitlines()]
    assert f"loss {losses[0]:#.4g} after epoch 1, {losses[-1]:#.4g} after epoch 11" in page.text
    assert "run aeclust checkpoint-curve to add it" in page.text


def test_reconstructions_are_those_of_the_most_typical_images(
    cli: Cli, full_run: RunFolder
) -> None:
    found = gather(Context(folder=full_run))
    typical = [row for pick in found.picks for row in pick.typical[:2].tolist()]
    assert found.reconstructed is not None
    assert list(found.reconstructed.ids) == [str(row) for row in typical]
    assert len(typical) == 4
    told = json.loads(cli("reconstruct", "--idx", ",".join(map(str, typical)), "--json").out)
    assert told["mse"] == found.reconstructed.errors.tolist()


def test_missing_stages_are_made_first(cli: Cli, run: RunFolder) -> None:
    result = cli("report")
    assert result.code == 0
    assert "latents.h5 is missing: embedding the images first\n" in result.err
    assert "labels.h5 is missing: clustering first\n" in result.err
    assert (run.path / "report.html").exists()


def test_the_default_recipe_has_its_picture_drawn(cli: Cli, two_phase_run: RunFolder) -> None:
    assert cli("report").err == "placing 60 images on a map (t-SNE)\n"
    assert cli("report").err == ""
    page = parsed()
    points = artifacts.read(two_phase_run.embedding_file).arrays["embedding"]
    spread = np.ptp(points, axis=0)
    assert max(page.points["x"]) == round(10_000 * float(spread[0] / spread.max()))
    assert "Labels that each other way gives too" in page.text


def test_json_has_the_file_and_its_size(cli: Cli, full_run: RunFolder) -> None:
    told = json.loads(cli("report", "-o", "page.HTML", "--json").out)
    size = Path("page.HTML").stat().st_size
    assert told == {"file": "page.HTML", "bytes": size, "by_hand": ""}
    assert not (full_run.path / "report.html").exists()


def test_the_ending_is_looked_at_before_any_work(cli: Cli) -> None:
    result = cli("report", "-o", "page.pdf")
    assert one_error(result) == "page.pdf: ends in '.pdf'; expected .html; change -o"
    check_error(cli("report", "-o", "page").error, what="ends in 'nothing'", where="page")


def test_a_run_elsewhere_gives_the_same_bytes_and_tells_no_path(
    cli: Cli, full_run: RunFolder, tmp_path: Path, data: Data
) -> None:
    cli("report")
    shutil.copytree(full_run.path, tmp_path / "moved" / "aeclust-run")
    for run in ("moved/aeclust-run", tmp_path / "moved" / "aeclust-run"):
        assert cli("report", "--run", run, "-o", "moved.html").code == 0
        assert Path("moved.html").read_bytes() == (full_run.path / "report.html").read_bytes()
    shutil.copytree(full_run.path, tmp_path / "moved" / "other")
    assert cli("report", "--run", tmp_path / "moved" / "other", "-o", "other.html").code == 0
    text = Path("other.html").read_text()
    assert "aeclust checkpoint-curve --run other" in text
    assert str(tmp_path) not in text
    assert str(data.images.parent) not in text


@pytest.mark.parametrize(
    ("flags", "printed"),
    [
        ("", ""),
        ("--epochs 3", " --epochs 3"),
        ("--epochs 1", " --epochs 1"),
        ("--epochs 7 -k auto", " -k auto --epochs 7"),
        ("--set epochs=2 --set label_epochs=1", " --epochs 3"),
        ("--set epochs=9", " --set epochs=9"),
        ("--set label_epochs=0", " --set label_epochs=0"),
        ("--epochs 6 --set label_epochs=3", " --set epochs=3 --set label_epochs=3"),
        (
            "--set epochs=1 --set label_epochs=0 --set contrast=0",
            " --set contrast=0.0 --set epochs=1 --set label_epochs=0",
        ),
        ("--recipe vae --epochs 3", " --epochs 3"),
        ("--epochs 40 --keep-checkpoints 5", " --epochs 40 --keep-checkpoints 5"),
        ("--keep-checkpoints last", " --keep-checkpoints last"),
        ("--keep-checkpoints all", " --keep-checkpoints all"),
    ],
)
def test_the_epochs_of_a_run_are_printed_as_they_are_asked_for(flags: str, printed: str) -> None:
    training = parsed_training(flags)
    recipe = training.chosen()
    manifest = Manifest(
        source=Source(location="demo:scenes"),
        data_digest="",
        shape=(9, 8, 8, 3),
        recipe=recipe,
        seed=0,
        kept=training.kept(recipe, None),
    )
    line = commands(manifest, recipe, 0, {})[0]
    assert line == f"aeclust train demo:scenes --recipe {recipe.name}{printed}"
    again = parsed_training(line.removeprefix("aeclust train demo:scenes"))
    assert again.chosen() == recipe
    assert again.kept(recipe, None) == manifest.kept


def parsed_training(flags: str) -> Training:
    """What flags of ``aeclust train`` ask for."""
    command: Any = get_command(app).commands["train"]  # type: ignore[attr-defined]
    values = command.make_context("train", shlex.split(flags)).params
    return Training(**{each.name: values[each.name] for each in dataclasses.fields(Training)})


def test_what_to_do_next_is_said_of_this_run(cli: Cli, two_phase_run: RunFolder) -> None:
    """The images to check are those that the command beside them asks for."""
    shutil.copytree(two_phase_run.path, "my run")
    judged = gather(Context(folder=RunFolder(Path("my run"), " --run 'my run'")))
    assert cli("report", "--run", "my run").code == 0
    page = parsed(Path("my run/report.html"))
    lines = [text for _, text in page.all("code")]
    for line in [*(step.command for step in judged.steps), "aeclust edit apply edits.json"]:
        verb = shlex.split(line)[1]
        assert any(text.startswith(f"aeclust {verb}") for text in lines)
    assert all("--run 'my run'" in step.command for step in judged.steps)
    assert "aeclust edit apply --run 'my run' edits.json" in lines
    assert "aeclust checkpoint-curve --run 'my run'" in lines
    (asks,) = [step for step in judged.steps if step.images is not None]
    assert asks.images is not None
    asked = json.loads(cli(*shlex.split(asks.command)[1:], "--json").out)
    assert [str(name) for name in asked["ids"]] == list(asks.images.ids)


def test_its_commands_make_the_run_again(cli: Cli, data: Data) -> None:
    """Every kind of flag: of train, of embed and of cluster, and both seeds."""
    shutil.copy(data.images, "images.npy")
    for command in (
        ["train", "images.npy", *RECIPE, "--seed", 3, "--epochs", 2, "--layout", "nhwc"],
        ["embed", "--checkpoint", 1],
        ["cluster", "-k", 3, "--reduction", "none", "--seed", 5],
        ["report"],
    ):
        assert cli(*command).code == 0
    commands = next(text for _, text in parsed().all("code") if "train" in text).splitlines()
    assert commands == [
        "aeclust train images.npy --recipe baseline --size 8 --set channels=4,8"
        " --lr 0.001 --batch-size 16 --set reduction=pca:2 --set clusterer=kmeans --epochs 2"
        " --layout nhwc --seed 3",
        "aeclust embed --checkpoint 1",
        "aeclust cluster -k 3 --reduction none --seed 5",
        "aeclust report",
    ]
    again = "again/aeclust-run"
    for line in commands:
        assert cli(*shlex.split(line)[1:], "--run", again).code == 0
    assert Path(f"{again}/report.html").read_bytes() == Path("aeclust-run/report.html").read_bytes()


def test_folders_are_called_by_their_name(cli: Cli, full_run: RunFolder) -> None:
    manifest = full_run.manifest()
    for location, name in (
        ("/somewhere/photos", "photos"),
        ("/somewhere/all.npz::images", "all.npz::images"),
        ("demo:scenes", "demo:scenes"),
    ):
        assert called(type(manifest.source)(location=location)) == name


def test_more_images_than_points_are_drawn_at_random(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_POINTS", 20)
    cli("report")
    page = parsed()
    assert "20 of 60 images, drawn at random with seed 0." in page.text
    rows = [int(name) for name in page.points["ids"]]
    assert len(set(rows)) == 20
    labels = artifacts.read(full_run.labels_file).arrays["labels"]
    assert page.points["labels"] == labels[rows].tolist()
    assert sum(int(text.split()[-1]) for _, text in page.all("label")[2:4]) == 60


def test_names_and_a_curve_are_taken_where_there_are_any(cli: Cli, full_run: RunFolder) -> None:
    assert cli("name", "1=seaside").code == 0
    points = json.loads(cli("checkpoint-curve", "--json").out)["points"]
    assert cli("report").code == 0
    page = parsed()
    assert page.points["names"] == ["cluster 0", "1: seaside"]
    first, last = points[0]["error"], points[-1]["error"]
    assert f"MSE {first:.4f} after epoch 0, {last:.4f} after epoch 11" in page.text
    full_run.weights_file(3).unlink()  # a curve of other checkpoints is left out
    assert cli("report").code == 0
    assert "run aeclust checkpoint-curve to add it" in parsed().text


def test_a_run_without_metrics_has_no_loss_and_damaged_ones_are_named(
    cli: Cli, full_run: RunFolder
) -> None:
    full_run.metrics_file.unlink()
    assert cli("report").code == 0
    assert "after epoch" not in parsed().text
    for text, problem in (
        ('{"epoch": 1}\n', "KeyError: 'loss'"),
        ('{"epoch": 1, "loss": NaN}\n', "ValueError: a loss is not finite"),
        ('{"epoch": 1e999, "loss": 1}\n', "ValueError: an epoch is no whole number"),
    ):
        full_run.metrics_file.write_text(text)
        error = cli("report").error
        check_error(error, what=f"is damaged ({problem})", where="aeclust-run/metrics.jsonl")
