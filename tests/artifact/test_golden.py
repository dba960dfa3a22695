"""Kept files of format 1 are read as they were meant; see tests/golden/make.py."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import Cli, files_of

from aeclust import artifact as artifacts
from aeclust.artifact import Array
from aeclust.clusters.scores import score
from aeclust.images import fingerprints, from_preview
from aeclust.run.folder import RunFolder

GOLDEN = Path(__file__).parents[1] / "golden" / "1"
RUNS = ["baseline", "two-phases"]
KINDS = np.arange(24) % 2  # bluish and yellowish images by turns


@pytest.fixture
def kept(cli: Cli, tmp_path: Path) -> Path:
    """A copy of what was kept, as the working folder."""
    shutil.copytree(GOLDEN, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_arrays_hold_what_they_held() -> None:
    digests = json.loads((GOLDEN / "digests.json").read_text())
    files = {str(file.relative_to(GOLDEN)): artifacts.read(file) for file in GOLDEN.rglob("*.h5")}
    assert {artifact.kind for artifact in files.values()} == set(artifacts.KINDS)
    assert digests == {
        name: {
            key: hashlib.sha256(values.tobytes()).hexdigest()
            for key, values in artifact.arrays.items()
        }
        for name, artifact in files.items()
    }


def test_a_kept_folder_of_pictures_holds_what_it_held() -> None:
    artifact = artifacts.read(GOLDEN / "images.h5", "images")
    pixels = artifact.arrays["pixels"]
    assert pixels.shape == (3, 3, 4, 3)
    assert (pixels == 255 * np.eye(3, dtype=np.uint8)[:, np.newaxis, np.newaxis]).all()
    assert artifacts.decode_ids(artifact.arrays["ids"]).tolist() == ["0é.png", "1é.png", "2é.png"]
    assert artifacts.decode_ids(artifact.arrays["left_out"]).tolist() == ["bad.png"]
    previews = artifacts.read(GOLDEN / "previews.h5", "previews").arrays
    starts = [0, *previews["ends"].tolist()]
    for start, end, colour in zip(starts, starts[1:], 255 * np.eye(3), strict=False):
        preview = from_preview(previews["previews"][start:end].tobytes())
        assert preview.shape == (3, 4, 3)
        assert np.abs(preview - colour).max() <= 2


def test_kept_features_are_of_the_kept_images() -> None:
    artifact = artifacts.read(GOLDEN / "features.h5", "features")
    assert artifact.arrays["features"].shape == (24, 320)
    assert artifact.recipe["encoder"] == "efficientnet-lite0"
    ours = fingerprints(np.load(GOLDEN / "images.npy"))
    assert np.array_equal(artifact.arrays["fingerprints"], ours)


@pytest.mark.parametrize("run", RUNS)
def test_a_kept_run_is_intact_and_fresh(run: str, cli: Cli, kept: Path) -> None:
    for file in kept.glob("*/images.h5"):  # where they are copied to, their images look touched
        file.unlink()
    before = files_of(kept)
    info = cli("info", run)
    assert info.code == 0, info.err
    assert "finished" in info.out
    assert "OUT OF DATE" not in info.out
    predicted = cli("predict", "--run", run)
    assert predicted.code == 0, predicted.err
    assert "anew" not in predicted.err
    labels = np.array([int(row["label"]) for row in csv.DictReader(predicted.out.splitlines())])
    assert score(labels, KINDS).accuracy == 1
    assert files_of(kept) == before


@pytest.mark.parametrize("run", RUNS)
def test_a_kept_run_serves_every_later_command(run: str, cli: Cli, kept: Path) -> None:
    np.save("others.npy", np.load("images.npy")[::-1])
    for command in (
        ["predict", "others.npy"],
        ["reconstruct", "--idx", "0,1"],
        ["checkpoint-curve"],
        ["plot"],
        ["cluster", "-k", 3],
        ["embed", "--checkpoint", 0],
    ):
        result = cli(*command, "--run", run)
        assert result.code == 0, result.err


def weights(run: Path, epoch: int) -> dict[str, Array]:
    return artifacts.read(RunFolder(run).weights_file(epoch)).group("state_dict/")


@pytest.mark.parametrize("run", RUNS)
def test_a_kept_state_is_resumed(run: str, cli: Cli, kept: Path) -> None:
    result = cli("train", "--resume", "--run", f"{run}-stopped", "--threads", 1)
    assert result.code == 0, result.err
    last = RunFolder(kept / run).checkpoints()[-1]
    first, whole = weights(kept / run, 0), weights(kept / run, last)
    resumed = weights(kept / f"{run}-stopped", last)
    assert resumed.keys() == whole.keys()
    # another machine or version of PyTorch rounds otherwise, but by far less than was learnt
    missed = sum(float(np.abs(resumed[n] - whole[n]).sum()) for n in whole)
    learnt = sum(float(np.abs(first[n] - whole[n]).sum()) for n in whole)
    assert missed < 0.1 * learnt
