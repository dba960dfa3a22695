"""aeclust info: what a file or a run is, whether it is intact, what is stale and why."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from support import RECIPE, TWO_PHASES, Cli, Data, files_of

from aeclust import artifact
from aeclust.cli.terminal import Terminal
from aeclust.network.training import Moment
from aeclust.recipe import named
from aeclust.run.folder import RunFolder

# -- one file ----------------------------------------------------------------------------------


def test_a_file_is_described(cli: Cli, full_run: RunFolder) -> None:
    labels = artifact.read(full_run.labels_file)
    code, out, err = cli("info", full_run.labels_file)
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first == f"{full_run.labels_file}: labels, intact, sha256 {labels.digest}"
    arrays = {"labels: int64 (60,)", "confidence: float32 (60,)", "references: int64 (60,)"}
    parents = ", ".join(f"{name}={digest}" for name, digest in labels.parents.items())
    assert {f"  {line}" for line in (*arrays, f"parents: {parents}")} <= set(lines)
    details = "  details: agreement=None, checkpoint=None, epoch=11, k=2, members={}, run="
    for start in (details, "  recipe: ", "  versions: aeclust="):
        assert any(line.startswith(start) for line in lines)
    assert ", name=baseline" in out
    assert lines[-1] == "  seed: 0"


@pytest.mark.parametrize("name", ["weights/epoch-0011.h5", "latents.h5", "labels.h5"])
def test_json_of_a_file_says_all_of_it(cli: Cli, full_run: RunFolder, name: str) -> None:
    file = full_run.path / name
    stored = dataclasses.asdict(artifact.read(file))
    arrays = {key: [str(a.dtype), list(a.shape)] for key, a in stored["arrays"].items()}
    assert json.loads(cli("info", file, "--json").out) == {
        **{"file": str(file), "stale": ""},
        **{key: stored[key] for key in ("kind", "digest", "recipe", "seed", "parents")},
        **{key: stored[key] for key in ("versions", "details")},
        "arrays": arrays,
    }


def test_what_two_phases_leave_beside_latents_and_labels(
    cli: Cli, two_phase_run: RunFolder
) -> None:
    lines = cli("info", two_phase_run.latents_file).out.splitlines()
    assert {"  assignments: float32 (60, 2)", "  colours: float32 (60, 3)"} <= set(lines)
    labels = json.loads(cli("info", two_phase_run.labels_file, "--json").out)
    assert labels["arrays"]["shares"] == ["float32", [60, 2]]
    assert (labels["details"]["k"], labels["details"]["agreement"]) == (2, 1.0)
    kinds = ("kmeans", "gmm", "gmm-tied", "spectral")
    members = {f"{kind} in {size} dimensions" for kind in kinds for size in (4, 8)}
    assert set(labels["details"]["members"]) == members


# -- a whole run -------------------------------------------------------------------------------


def test_a_run_is_described(cli: Cli, full_run: RunFolder, data: Data) -> None:
    before = files_of(full_run.path)
    manifest = full_run.manifest()
    kinds = {f"weights/epoch-{epoch:04d}.h5": "weights" for epoch in range(12)}
    kinds |= {"images.h5": "images", "latents.h5": "latents", "labels.h5": "labels"}
    lines = [
        "aeclust-run: baseline, 11 epochs, seed 0, finished",
        f"images: {data.images} (60, 8, 8, 3), sha256 {manifest.data_digest[:12]}",
        "Only one method (kmeans) made these clusters, so how many labels hold is not known.",
        *(
            f"{name}: {kind}, intact, sha256 {artifact.read(full_run.path / name).digest[:12]}"
            for name, kind in kinds.items()
        ),
    ]
    assert cli("info") == (0, "".join(f"{line}\n" for line in lines), "")
    answer = json.loads(cli("info", "--json").out)
    files = answer.pop("files")
    assert [file["file"] for file in files] == [f"aeclust-run/{name}" for name in kinds]
    assert {file["stale"] for file in files} == {""}
    assert answer == {
        "folder": "aeclust-run", "manifest": json.loads(full_run.manifest_file.read_text()),
        "finished": True, "process": None, "damaged": [], "changes": [], "verdict": lines[2],
    }  # fmt: skip
    assert files_of(full_run.path) == before


@pytest.mark.parametrize(("k", "epochs"), [("2", 4), ("auto", 2)])
def test_a_run_counts_the_epochs_of_all_its_phases(
    cli: Cli, data: Data, k: str, epochs: int
) -> None:
    assert cli("train", data.images, *TWO_PHASES, "-k", k).code == 0
    result = cli("info")
    assert result.code == 0
    assert result.out.startswith(f"aeclust-run: hybrid, {epochs} epochs, seed 0, finished\n")


@pytest.mark.parametrize("flag", [["--run"], []])
def test_any_run_can_be_named(cli: Cli, labelled: Path, flag: list[str]) -> None:
    result = cli("info", *flag, labelled)
    assert result.code == 0
    assert result.out.startswith(f"{labelled}: baseline, 11 epochs, seed 0, finished\n")


@pytest.mark.parametrize(
    ("epoch", "change", "reasons"),
    [
        (3, {"recipe": named("vae").to_json()},
         {"epoch-0003.h5": "made by another recipe than the run's"}),
        (3, {"parents": {"data": "0" * 64}},
         {"epoch-0003.h5": "made from other images than the run's"}),
        (11, {"seed": 1}, dict.fromkeys(("latents.h5", "labels.h5"), "the weights have changed")),
    ],
)  # fmt: skip
def test_what_is_stale_says_why(
    cli: Cli, full_run: RunFolder, epoch: int, change: dict[str, Any], reasons: dict[str, str]
) -> None:
    file = full_run.weights_file(epoch)
    artifact.write(file, dataclasses.replace(artifact.read(file), **change))
    files = json.loads(cli("info", "--json").out)["files"]
    assert {Path(file["file"]).name: file["stale"] for file in files if file["stale"]} == reasons
    result = cli("info")
    assert result.code == 0
    lines = [line for line in result.out.splitlines() if "OUT OF DATE" in line]
    assert [line.split(", OUT OF DATE: ")[1] for line in lines] == list(reasons.values())


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
    first, _, *files = out.splitlines()
    assert first == (
        "aeclust-run: baseline, 11 epochs, seed 0,"
        " interrupted: continue with aeclust train --resume"
    )
    weights = [f"weights/epoch-{epoch:04d}.h5" for epoch in range(3)]
    assert [line.split(":")[0] for line in files] == [*weights, "resume.h5", "images.h5"]
    assert json.loads(cli("info", "--json").out)["finished"] is False


def test_a_run_at_work_is_not_called_interrupted(cli: Cli, full_run: RunFolder) -> None:
    with RunFolder(full_run.path).lock():
        first = cli("info").out.splitlines()[0]
        assert first.endswith(f", process {os.getpid()} works here")
        assert json.loads(cli("info", "--json").out)["process"] == os.getpid()
    assert cli("info").out.splitlines()[0].endswith(", finished")
    (full_run.path / ".worker").write_text("999999999")  # of a process that was killed
    assert json.loads(cli("info", "--json").out)["process"] is None


# -- damage ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["weights/epoch-0004.h5", "latents.h5", "labels.h5"])
@pytest.mark.parametrize("place", [0, 30, 600, -1])
def test_any_flipped_bit_is_found(cli: Cli, full_run: RunFolder, name: str, place: int) -> None:
    file = full_run.path / name
    content = bytearray(file.read_bytes())
    content[place] ^= 4
    file.write_bytes(content)
    before = files_of(full_run.path)
    for target, shown in (([], f"aeclust-run/{name}"), ([file], str(file))):
        code, out, err = cli("info", *target)
        assert code == 2
        assert re.match(rf"error: {re.escape(shown)}(: | is )", err)
        assert err.count("\n") == 1
        assert f"{name}: " not in out
    assert files_of(full_run.path) == before


def test_all_damage_is_listed_beside_what_is_intact(cli: Cli, full_run: RunFolder) -> None:
    full_run.weights_file(4).write_bytes(b"")
    full_run.labels_file.write_bytes(b"garbage")
    full_run.weights_file(7).unlink()
    code, out, err = cli("info", "--json")
    assert code == 2
    answer = json.loads(out)
    assert len(answer["files"]) == 12
    names = ("weights/epoch-0004.h5", "labels.h5", "weights/epoch-0007.h5")
    assert [re.split(": | is ", line)[0] for line in answer["damaged"]] == [
        f"aeclust-run/{name}" for name in names
    ]
    assert "is missing; expected a checkpoint for each of 0, 1, 2" in answer["damaged"][2]
    assert err == f"error: {'; '.join(answer['damaged'])}\n"
