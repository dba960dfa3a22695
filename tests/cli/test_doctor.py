"""What the machine offers, and a sentence on each thing that will hurt."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from support import Cli, files_of, give_memory

from aeclust.run.folder import RunFolder


@pytest.fixture(autouse=True)
def _a_machine_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    give_memory(monkeypatch, 16e9)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(free=9 * 10**9))


def requiring(monkeypatch: pytest.MonkeyPatch, *needs: str, extras: tuple[str, ...] = ()) -> None:
    """The package as if it needed these."""
    offered = SimpleNamespace(get_all=lambda name: list(extras))
    monkeypatch.setattr(metadata, "requires", lambda name: list(needs))
    monkeypatch.setattr(metadata, "metadata", lambda name: offered)


def examined(cli: Cli, *arguments: object, code: int = 0) -> dict[str, Any]:
    result = cli("doctor", "--json", *arguments)
    assert (result.code, result.err) == (code, "")
    answer = json.loads(result.out)
    assert isinstance(answer, dict)
    return answer


def test_a_machine_in_order(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    health = examined(cli)
    assert health["versions"]["python"] == platform.python_version()
    assert health["versions"]["torch"] == metadata.version("torch")
    assert health["versions"]["numpy"] == np.__version__
    assert {"h5py", "matplotlib", "scikit-learn", "aeclust"} <= health["versions"].keys()
    assert health["devices"][0]["kind"] == "cpu"
    assert health["auto"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert health["precision"] in ("float32", "bfloat16")
    assert health["threads"] == torch.get_num_threads()
    assert health["memory"] == 16 * 10**9
    assert (health["run"], health["run_state"]) == ("aeclust-run", "run")
    assert health["writable"]
    assert health["problems"] == []
    assert files_of(full_run.path) == before
    text = cli("doctor").out
    assert text.endswith("all is well\n")
    assert "memory     16.0 GB\n" in text
    assert "run        aeclust-run: holds a run, writable, 9.0 GB free\n" in text


def test_there_need_be_no_run(cli: Cli) -> None:
    assert examined(cli)["run_state"] == "none"
    Path("aeclust-run").mkdir()
    assert examined(cli)["run_state"] == "no run in it"
    assert "not there yet, writable" in cli("doctor", "--run", "a/b").out
    assert not Path("a").exists()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (
            lambda patch: give_memory(patch, 2e9),
            "this machine has 2.0 GB of memory: t-SNE, kernel PCA and consensus of many images will"
            " be refused; use fewer images, or --reduction pca:20",
        ),
        (
            lambda patch: patch.setattr(
                shutil, "disk_usage", lambda place: SimpleNamespace(free=10**8)
            ),
            "{cwd}: 0.1 GB are free: checkpoints may not fit; free space, or choose another place"
            " with --run",
        ),
        (
            lambda patch: patch.setattr(os, "access", lambda place, mode: False),
            "{cwd}: cannot be written to: choose another folder with --run",
        ),
        (
            lambda patch: requiring(patch, "numpy<2,>=1"),
            f"numpy {np.__version__} is outside the tested range <2,>=1: pip install 'numpy<2,>=1'",
        ),
        (
            lambda patch: requiring(patch, "aeclust-needs-this>=1"),
            "aeclust-needs-this is not installed: pip install 'aeclust-needs-this>=1'",
        ),
    ],
)
def test_what_will_hurt_is_one_sentence(
    cli: Cli,
    spoil: Callable[[pytest.MonkeyPatch], None],
    problem: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil(monkeypatch)
    sentence = problem.format(cwd=tmp_path)
    assert examined(cli, code=2)["problems"] == [sentence]
    code, out, err = cli("doctor")
    assert (code, err) == (2, "")
    assert out.endswith(f"problem    {sentence}\n")


def test_extras_are_those_that_the_package_offers(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    requiring(
        monkeypatch,
        "numpy>=2",
        'aeclust-needs-this>=1; extra == "tsne"',
        'h5py>=1; extra == "onnx"',
        'pytest; extra == "dev"',
        extras=("tsne", "onnx", "dev"),
    )
    tsne, onnx = examined(cli)["extras"]
    assert (tsne["name"], tsne["there"]) == ("tsne", False)
    assert (onnx["name"], onnx["there"]) == ("onnx", True)
    text = cli("doctor").out
    assert "extra      tsne (draws 5,000 to 100,000 points by t-SNE several times faster): " in text
    assert "faster): not installed; pip install 'aeclust-needs-this>=1'\n" in text
    assert "run without PyTorch, and takes encoders of others): installed\n" in text


def test_threads_asked_for_are_threads_used(cli: Cli) -> None:
    assert examined(cli, "--threads", 2)["threads"] == 2
