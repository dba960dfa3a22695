"""The same machine, versions, threads and seed give the same bytes, in every stage."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
from support import RECIPE, TWO_PHASES, Cli, Data

STAGES: list[list[object]] = [
    ["embed"],
    ["cluster"],
    ["predict", "-o", "aeclust-run/submission.csv"],
    ["reconstruct", "--idx", "0,1,2"],
    ["plot"],
    ["checkpoint-curve"],
]


def hashes(run: Path) -> dict[str, str]:
    """SHA-256 of all that was made; metrics.jsonl tells seconds, which are not the same."""
    return {
        file.relative_to(run).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(run.rglob("*"))
        if file.is_file() and file.name not in (".lock", "metrics.jsonl")
    }


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param([*TWO_PHASES, "--set", "epochs=1", "--set", "label_epochs=1"], id="hybrid"),
        pytest.param([*RECIPE, "--epochs", "2"], id="baseline", marks=pytest.mark.endurance),
    ],
)
@pytest.mark.parametrize("times", [2, pytest.param(10, marks=pytest.mark.endurance)])
def test_repetitions_of_every_stage_give_one_hash(
    cli: Cli, data: Data, recipe: list[str], times: int
) -> None:
    run = Path("aeclust-run")
    repetitions = []
    for _ in range(times):
        shutil.rmtree(run, ignore_errors=True)
        for command in (["train", data.images, *recipe], *STAGES):
            result = cli(*command, "-q")
            assert result.code == 0, result.err
        repetitions.append(hashes(run))
    assert repetitions == [repetitions[0]] * times
    endings = {Path(name).suffix for name in repetitions[0]}
    assert endings == {".h5", ".json", ".csv", ".png"}
