"""aeclust info: what a file or a run is, whether it is intact, what is stale and why."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from support import RECIPE, TWO_PHASES, Cli, Data, files_of

from aeclust import artifact as artifacts
from aeclust.cli.terminal import Terminal
from aeclust.network.training import Moment
from aeclust.run.folder import RunFolder

# -- one file ----------------------------------------------------------------------------------


def test_a_file_is_described(cli: Cli, full_run: RunFolder) -> None:
    labels = artifacts.read(full_run.labels_file)
    code, out, err = cli("info", full_run.labels_file)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == f"{full_run.labels_file}: labels, intact, sha256 {labels.digest}"
    assert "  labels: int64 (60,)" in lines
    assert "  confidence: float32 (60,)" in lines
    assert "  references: int64 (60,)" in lines
    parents = ", ".join(f"{name}={digest}" for name, digest in labels.parents.items())
    assert f"  parents: {parents}" in lines
    details = "  details: agreement=None, checkpoint=None, epoch=11, k=2, members={}, run="
    assert any(line.startswith(details) for line in lines)
    assert any(line.startswith("  recipe: ") and "name=baseline" in line for line in lines)
    assert any(line.startswith("  versions: aeclust=") for line in lines)
    assert lines[-1] == "  seed: 0"


@pytest.mark.parametrize("name", ["weights/epoch-0011.h5", "latents.h5", "labels.h5"])
def test_json_of_a_file_says_all_of_it(cli: Cli, full_run: RunFolder, name: str) -> None:
    artifact = artifacts.read(full_run.path / name)
    answer = json.loads(cli("info", full_run.path / name, "--json").out)
    assert list(answer) == [
        "file", "kind", "digest", "arrays", "recipe", "seed", "parents", "versions", "details",
        "stale",
    ]  # fmt: skip
    assert answer["kind"] == artifact.kind
    assert answer["digest"] == artifact.digest
    assert answer["parents"] == artifact.parents
    assert answer["recipe"] == artifact.recipe
    assert answer["versions"] == artifact.versions
    assert answer["arrays"] == {
        key: [str(value.dtype), list(value.shape)] for key, value in artifact.arrays.items()
    }
    assert answer["stale"] == ""


def test_what_two_phases_leave_beside_latents_and_labels(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    lines = cli("info", two_phase_run.latents_file).out.splitlines()
    assert "  assignments: float32 (60, 2)" in lines
    assert "  colours: float32 (60, 3)" in lines
    assert "  shares: float32 (60, 2)" in cli("info", two_phase_run.labels_file).out.splitlines()
    details = json.loads(cli("info", two_phase_run.labels_file, "--json").out)["details"]
    assert (details["k"], details["agreement"]) == (2, 1.0)
    assert set(details["members"]) == {
        f"{kind} in {size} dimensions"
        for kind in ("kmeans", "gmm", "gmm-tied", "spectral")
        for size in (4, 8)
    }


# -- a whole run -------------------------------------------------------------------------------


def test_a_run_is_described(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("info")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    manifest = full_run.manifest()
    assert lines[0] == "aeclust-run: baseline, 11 epochs, seed 0, finished"
    assert lines[1] == (f"images: {data.images} (60, 8, 8, 3), sha256 {manifest.data_digest[:12]}")
    names = [f"weights/epoch-{epoch:04d}.h5" for epoch in range(12)]
    kinds = ["weights"] * 12 + ["latents", "labels"]
    assert lines[2:] == [
        f"{name}: {kind}, intact, sha256 {artifacts.read(full_run.path / name).digest[:12]}"
        for name, kind in zip([*names, "latents.h5", "labels.h5"], kinds, strict=True)
    ]
    assert files_of(full_run.path) == before


@pytest.mark.parametrize(("k", "epochs"), [("2", 4), ("auto", 2)])
def test_a_run_counts_the_epochs_of_all_its_phases(
    cli: Cli, data: Data, k: str, epochs: int
) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", k).code == 0
    code, out, _ = cli("info")
    assert code == 0
    assert out.startswith(f"aeclust-run: hybrid, {epochs} epochs, seed 0, finished\n")
    assert json.loads(cli("info", "--json").out)["damaged"] == []


@pytest.mark.parametrize("by_flag", [True, False])
def test_any_run_can_be_named(cli: Cli, labelled: Path, by_flag: bool) -> None:
    arguments = ["--run", labelled] if by_flag else [labelled]
    result = cli("info", *arguments)
    assert result.code == 0
    assert result.out.startswith(f"{labelled}: baseline, 11 epochs, seed 0, finished\n")


def test_json_of_a_run_says_all_of_it(cli: Cli, full_run: RunFolder) -> None:
    answer = json.loads(cli("info", "--json").out)
    assert list(answer) == ["folder", "manifest", "finished", "process", "files", "damaged"]
    assert answer["folder"] == "aeclust-run"
    assert answer["manifest"] == json.loads(full_run.manifest_file.read_text())
    assert answer["finished"] is True
    assert answer["damaged"] == []
    assert len(answer["files"]) == 14
    assert {file["stale"] for file in answer["files"]} == {""}


def stale(cli: Cli) -> dict[str, str]:
    """The reason for each stale file, after looking that the text says the same."""
    code, out, _ = cli("info", "--json")
    assert code == 0
    files = json.loads(out)["files"]
    reasons = {Path(file["file"]).name: file["stale"] for file in files if file["stale"]}
    said = [line.split(", STALE: ")[1] for line in cli("info").out.splitlines() if "STALE" in line]
    assert said == list(reasons.values())
    return reasons


def test_a_new_training_makes_latents_and_labels_stale(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    cli("train", data.images, *RECIPE, "--seed", 1, "--force")
    reason = "the weights have changed"
    assert stale(cli) == {"latents.h5": reason, "labels.h5": reason}
    cli("predict")
    assert stale(cli) == {}


def test_weights_of_another_run_are_named(cli: Cli, full_run: RunFolder, data: Data) -> None:
    cli("train", data.images, *RECIPE, "--lr", "0.5", "--epochs", 1, "--run", "other")
    shutil.copy("other/weights/epoch-0001.h5", full_run.weights_file(3))
    assert stale(cli) == {"epoch-0003.h5": "it is of another recipe than the run"}
    cli("train", data.other, *RECIPE, "--run", "third")
    shutil.copy("third/weights/epoch-0003.h5", full_run.weights_file(3))
    assert stale(cli) == {"epoch-0003.h5": "it is of other images than the run's"}


def test_an_interrupted_run_says_how_to_go_on(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(terminal: Terminal, moment: Moment) -> None:
        if moment.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Terminal, "observe", press)
        assert cli("train", data.images, *RECIPE).code == 130
    code, out, err = cli("info")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == (
        "aeclust-run: baseline, 11 epochs, seed 0,"
        " interrupted: continue with aeclust train --resume"
    )
    assert [line.split(":")[0] for line in lines[2:]] == [
        "weights/epoch-0000.h5", "weights/epoch-0001.h5", "weights/epoch-0002.h5", "resume.h5",
    ]  # fmt: skip
    assert json.loads(cli("info", "--json").out)["finished"] is False


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights/epoch-0004.h5", "latents.h5", "labels.h5"])
@pytest.mark.parametrize("at", [0, 30, 600, -1])
def test_any_flipped_bit_is_found(cli: Cli, full_run: RunFolder, name: str, at: int) -> None:
    file = full_run.path / name
    content = bytearray(file.read_bytes())
    content[at] ^= 4
    file.write_bytes(content)
    before = files_of(full_run.path)
    for target in ([], [file]):
        code, out, err = cli("info", *target)
        assert code == 2
        assert err.startswith(f"error: {Path('aeclust-run', name) if not target else file}: ")
        assert err.count("\n") == 1
        assert (f"{name}: " in out) is False
    assert files_of(full_run.path) == before


def test_all_damage_is_listed_beside_what_is_intact(cli: Cli, full_run: RunFolder) -> None:
    full_run.weights_file(4).write_bytes(b"")
    full_run.labels_file.write_bytes(b"garbage")
    full_run.weights_file(7).unlink()
    code, out, err = cli("info", "--json")
    assert code == 2
    answer = json.loads(out)
    assert len(answer["files"]) == 11
    assert [line.split(": ")[0] for line in answer["damaged"]] == [
        "aeclust-run/weights/epoch-0004.h5",
        "aeclust-run/labels.h5",
        "aeclust-run/weights/epoch-0007.h5",
    ]
    assert "is missing; expected a checkpoint for each of 0, 1, 2" in answer["damaged"][2]
    assert err == f"error: {'; '.join(answer['damaged'])}\n"


def test_a_missing_file_is_an_error(cli: Cli) -> None:
    code, out, err = cli("info", "nowhere.h5")
    assert (code, out) == (2, "")
    assert err == "error: nowhere.h5: cannot be read (No such file or directory); check the path\n"


def test_a_run_at_work_is_not_called_interrupted(cli: Cli, full_run: RunFolder) -> None:
    with RunFolder(full_run.path).lock():
        first = cli("info").out.splitlines()[0]
        assert first.endswith(f", process {os.getpid()} works here")
        assert json.loads(cli("info", "--json").out)["process"] == os.getpid()
    assert cli("info").out.splitlines()[0].endswith(", finished")
    (full_run.path / ".lock").write_text("999999999")  # of a process that was killed
    assert json.loads(cli("info", "--json").out)["process"] is None
