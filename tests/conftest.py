"""A tiny run, trained once, and the command line to work on copies of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Two processes test side by side, each on one core. Libraries read this when they are loaded.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

pytest.register_assert_rewrite("support")

from encoders import FROZEN, colour_encoder  # noqa: E402
from support import RECIPE, TWO_PHASES, Cli, Data, Result, make_images, run_main, run_quietly  # noqa: E402

from aeclust.run.folder import RunFolder  # noqa: E402

# Where a test says nothing else: twice as many find little more, and the suite lacks the time.
hypothesis.settings.register_profile("suite", max_examples=50)
hypothesis.settings.load_profile("suite")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The README first: it takes one of the two processes for most of the time."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _still_one_thread() -> Iterator[None]:
    """Whatever a test of threads leaves: with two, other weights are learnt."""
    yield
    if torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_run_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AECLUST_RUN", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Commands in an empty working folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        return run_main(arguments, capsys.readouterr)

    return run


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Data:
    folder = tmp_path_factory.mktemp("data")

    def save(name: str, array: NDArray[Any]) -> Path:
        np.save(folder / name, array)
        return folder / name

    images, labels = make_images(60, seed=1)
    val_images, val_labels = make_images(24, seed=2)
    rng = np.random.default_rng(3)
    return Data(
        images=save("images.npy", images),
        labels=save("labels.npy", labels),
        val_images=save("val.npy", val_images),
        val_labels=save("val-labels.npy", val_labels),
        noise=save("noise.npy", rng.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)),
        noise_labels=save("noise-labels.npy", rng.integers(0, 2, 40)),
        other=save("other.npy", make_images(30, seed=4)[0]),
    )


@pytest.fixture(scope="session")
def trained(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after `train` alone; not to be touched."""
    run = tmp_path_factory.mktemp("trained") / "run"
    result = run_quietly("train", data.images, *RECIPE, "--run", run)
    assert result.code == 0, result.err
    return run


@pytest.fixture(scope="session")
def labelled(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run after `train`, `embed` and `cluster`; not to be touched."""
    run = tmp_path_factory.mktemp("labelled") / "run"
    shutil.copytree(trained, run)
    result = run_quietly("cluster", "--run", run)
    assert result.code == 0, result.err
    return run


@pytest.fixture(scope="session")
def self_labelled(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two phases after `train` and `cluster`; not to be touched."""
    run = tmp_path_factory.mktemp("self-labelled") / "run"
    for command in (["train", data.images, *TWO_PHASES], ["cluster"]):
        result = run_quietly(*command, "--run", run)
        assert result.code == 0, result.err
    return run


@pytest.fixture(scope="session")
def frozen_labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, an encoder and a clustered run beside each other; not to be touched."""
    place = tmp_path_factory.mktemp("frozen")
    for name, n, seed in (("images", 60, 1), ("others", 30, 4)):
        images, kinds = make_images(n, seed)
        np.save(place / f"{name}.npy", images)
        np.save(place / f"{name}-kinds.npy", kinds)
    encoder = colour_encoder(place / "colours.onnx")
    for command in (["train", place / "images.npy", "--encoder", encoder, *FROZEN], ["cluster"]):
        result = run_quietly(*command, "--run", place / "aeclust-run")
        assert result.code == 0, result.err
    return place


@pytest.fixture
def frozen_place(cli: Cli, frozen_labelled: Path, tmp_path: Path) -> Path:
    """A copy of all that, in the working folder."""
    shutil.copytree(frozen_labelled, tmp_path, dirs_exist_ok=True)
    manifest = tmp_path / "aeclust-run" / "run.json"
    manifest.write_text(manifest.read_text().replace(str(frozen_labelled), str(tmp_path)))
    return tmp_path


@pytest.fixture
def run(cli: Cli, trained: Path, tmp_path: Path) -> RunFolder:
    """A trained run of the test's own, where `cli` finds it."""
    return RunFolder(shutil.copytree(trained, tmp_path / "aeclust-run"))


@pytest.fixture
def full_run(cli: Cli, labelled: Path, tmp_path: Path) -> RunFolder:
    """A run of the test's own with latents and labels, where `cli` finds it."""
    return RunFolder(shutil.copytree(labelled, tmp_path / "aeclust-run"))


@pytest.fixture
def two_phase_run(cli: Cli, self_labelled: Path, tmp_path: Path) -> RunFolder:
    """A run of two phases of the test's own with latents and labels, where `cli` finds it."""
    return RunFolder(shutil.copytree(self_labelled, tmp_path / "aeclust-run"))
