"""Files of format 1, written by earlier versions, are read as they were meant."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import Cli, files_of

from aeclust import artifact as artifacts
from aeclust.artifact import Array
from aeclust.clusters.scores import score
from aeclust.run.folder import RunFolder

GOLDEN = Path(__file__).parents[1] / "golden"
FOLDERS = ["1-first", "1-two-phases"]
KINDS = np.arange(24) % 2  # bluish and yellowish images by turns, see make.py


@pytest.fixture(params=FOLDERS)
def kept(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> Path:
    """A copy of what was kept, as the working folder."""
    shutil.copytree(GOLDEN / request.param, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_every_kind_was_kept() -> None:
    found = {artifacts.read(file).kind for file in GOLDEN.rglob("*.h5")}
    assert found == set(artifacts.KINDS)


@pytest.mark.parametrize(
    ("file", "sums"),
    [
        ("1-first/run/latents.h5", {"latents": 124.4787}),
        (
            "1-first/run/labels.h5",
            {"confidence": 17.6, "embedding": 0.0, "reference_latents": 124.4787},
        ),
        (
            "1-two-phases/run/latents.h5",
            {"assignments": 24.0, "colours": 33.9052, "latents": 164.5445},
        ),
        (
            "1-two-phases/run/labels.h5",
            {
                "confidence": 24.0,
                "reference_latents": 164.5445,
                "reference_shares": 24.0,
                "shares": 24.0,
            },
        ),
        ("1-two-phases/run/embedding.h5", {"embedding": -99.7116}),
    ],
)
def test_arrays_hold_what_they_held(file: str, sums: dict[str, float]) -> None:
    artifact = artifacts.read(GOLDEN / file)
    assert artifact.arrays["ids"].tolist() == list(range(24))
    found = {
        name: float(values.astype(np.float64).sum())
        for name, values in artifact.arrays.items()
        if values.dtype == np.float32
    }
    assert found == pytest.approx(sums, abs=1e-3)


def test_a_kept_folder_of_pictures_holds_what_it_held() -> None:
    artifact = artifacts.read(GOLDEN / "1-folder" / "images.h5", "images")
    pixels = artifact.arrays["pixels"]
    assert pixels.shape == (3, 3, 4, 3)
    assert (pixels == 255 * np.eye(3, dtype=np.uint8)[:, np.newaxis, np.newaxis]).all()
    assert artifacts.decode_ids(artifact.arrays["ids"]).tolist() == ["0é.png", "1é.png", "2é.png"]
    assert artifacts.decode_ids(artifact.arrays["skipped"])[0].startswith("bad.png: ")
    assert len(artifact.details["listing"]) == 64


def test_a_kept_run_is_intact_and_fresh(cli: Cli, kept: Path) -> None:
    before = files_of(kept)
    result = cli("info", "run")
    assert result.code == 0, result.err
    assert "finished" in result.out
    assert "STALE" not in result.out
    predicted = cli("predict", "--run", "run")
    assert predicted.code == 0, predicted.err
    assert "anew" not in predicted.err
    labels = np.array([int(row["label"]) for row in csv.DictReader(predicted.out.splitlines())])
    assert score(labels, KINDS).accuracy == 1
    assert files_of(kept) == before


def test_a_kept_run_serves_every_later_command(cli: Cli, kept: Path) -> None:
    np.save("others.npy", np.load("images.npy")[::-1])
    for command in (
        ["predict", "others.npy"],
        ["reconstruct", "--idx", "0,1"],
        ["checkpoint-curve"],
        ["plot"],
        ["cluster", "-k", 3],
        ["embed", "--checkpoint", 0],
    ):
        result = cli(*command, "--run", "run")
        assert result.code == 0, result.err


def weights(run: Path, epoch: int) -> dict[str, Array]:
    return artifacts.read(RunFolder(run).weights_file(epoch)).group("state_dict/")


def test_a_kept_state_is_resumed(cli: Cli, kept: Path) -> None:
    result = cli("train", "--resume", "--run", "stopped", "--threads", 1)
    assert result.code == 0, result.err
    last = RunFolder(kept / "run").checkpoints()[-1]
    first, wanted, found = (
        weights(kept / run, e) for run, e in (("run", 0), ("run", last), ("stopped", last))
    )
    assert found.keys() == wanted.keys()
    # another machine or version of PyTorch rounds otherwise, but by far less than was learnt
    missed = sum(float(np.abs(found[n] - wanted[n]).sum()) for n in wanted)
    learnt = sum(float(np.abs(first[n] - wanted[n]).sum()) for n in wanted)
    assert missed < 0.1 * learnt
