"""Interrupts of aeclust train, and --resume: it ends with the bytes of a run left alone."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import RECIPE, TWO_PHASES, Cli, Data, bytes_of, check_error, files_of, run_quietly

from aeclust import artifact as artifacts
from aeclust.cli.terminal import Terminal
from aeclust.images import Images, Source
from aeclust.network.training import Moment
from aeclust.run.folder import RunFolder

RUN = RunFolder(Path("aeclust-run"))


def metrics_of(run: Path, *names: str) -> list[list[float]]:
    lines = (run / "metrics.jsonl").read_text().splitlines()
    return [[json.loads(line)[name] for name in names] for line in lines]


def saved(epoch: int, epochs: int) -> str:
    return (
        f"interrupted in epoch {epoch} of {epochs}; the state is saved; "
        "continue with aeclust train --resume\n"
    )


def interrupt_after(monkeypatch: pytest.MonkeyPatch, steps: int) -> None:
    """Ctrl-C, as if pressed after so many steps."""
    observe = Terminal.observe

    def pressing(terminal: Terminal, moment: Moment) -> None:
        observe(terminal, moment)
        if moment.epoch * moment.steps + moment.step == steps:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Terminal, "observe", pressing)


@pytest.fixture
def interrupted(cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    """A run of one phase that was interrupted in its second epoch."""
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        assert cli("train", data.images, *RECIPE, "-q").code == 130
    return RUN


# -- as if it had not been interrupted ---------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 6, 8, 42])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(
    cli: Cli, data: Data, trained: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        result = cli("train", data.images, *RECIPE, "-q")
    epoch, step = divmod(steps + 1, 4)
    assert result == (130, "", saved(epoch + 1, 11))
    state = artifacts.read(RUN.resume_file, "resume").arrays
    assert state["progress"][:2].tolist() == [epoch, step]
    assert cli("train", data.images, *RECIPE, "--resume").code == 0
    assert not RUN.resume_file.exists()
    assert bytes_of(RUN.path, "weights/*") == bytes_of(trained, "weights/*")
    assert metrics_of(RUN.path, "epoch", "loss") == metrics_of(trained, "epoch", "loss")


@pytest.mark.parametrize("steps", [6, 7, 8, 12])
def test_a_second_phase_goes_on_as_if_it_had_not_been_interrupted(
    cli: Cli, data: Data, self_labelled: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, steps)
        result = cli("train", data.images, *TWO_PHASES, "-q")
    # between the phases nothing waits for another step
    epoch, step = divmod(steps if steps == 8 else steps + 1, 4)
    assert result == (130, "", saved(epoch + 1, 4))
    state = artifacts.read(RUN.resume_file, "resume").arrays
    assert state["progress"][:2].tolist() == [epoch, step]
    # what the second phase learns is kept from its first step on
    begun = (epoch, step) > (2, 0)
    assert ("targets" in state) is begun
    if begun:
        assert state["targets"].shape == (60, 2)
        assert np.allclose(state["targets"].sum(1), 1)
    assert cli("train", "--resume").code == 0
    assert not RUN.resume_file.exists()
    assert bytes_of(RUN.path, "weights/*") == bytes_of(self_labelled, "weights/*")
    names = ("epoch", "loss", "labels")
    assert metrics_of(RUN.path, *names) == metrics_of(self_labelled, *names)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_between_the_phases_does_not_wait_and_loses_nothing(
    cli: Cli,
    data: Data,
    self_labelled: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    code: int,
) -> None:
    def slow(*arguments: object, **settings: object) -> NDArray[np.float32]:
        signal.raise_signal(number)
        raise AssertionError("it went on clustering")

    with monkeypatch.context() as patch:
        patch.setattr("aeclust.network.training.self_label", slow)
        for flags in ([], ["--resume"]):
            result = cli("train", data.images, *TWO_PHASES, *flags, "-q")
            assert result == (code, "", saved(3, 4))
    assert RUN.checkpoints() == [0, 1, 2]
    assert cli("train", data.images, *TWO_PHASES, "--resume").code == 0
    assert bytes_of(RUN.path, "weights/*") == bytes_of(self_labelled, "weights/*")


@pytest.mark.parametrize("moment", ["while libraries load", "while images load", "before the lock"])
def test_an_interrupt_before_the_first_step_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    before = files_of(full_run.path)

    def slow(source: Source, **more: object) -> Images:
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on loading")

    def early(name: str) -> torch.device:
        signal.raise_signal(signal.SIGTERM)
        return torch.device("cpu")

    def swallowed(*arguments: object) -> None:
        with contextlib.suppress(Exception):
            signal.raise_signal(signal.SIGTERM)

    if moment == "while libraries load":
        monkeypatch.setattr("aeclust.run.context.choose_device", early)
    elif moment == "while images load":
        monkeypatch.setattr("aeclust.run.images.load", slow)
    else:
        monkeypatch.setattr(import_module("aeclust.run.train"), "check_disk", swallowed)
    result = cli("train", data.images, *RECIPE, "--force", "-q")
    assert result == (143, "", "interrupted before training began; nothing was changed\n")
    assert files_of(full_run.path) == before


@pytest.mark.parametrize("state", ["no run", "no state saved"])
def test_resume_starts_where_nothing_had_been_saved(
    cli: Cli, data: Data, trained: Path, state: str
) -> None:
    if state == "no state saved":
        shutil.copytree(trained, RUN.path)
        for epoch in range(3, 12):
            RUN.weights_file(epoch).unlink()
    result = cli("train", data.images, *RECIPE, "--resume")
    assert result.code == 0
    text = "no state was saved yet, starting from the first step"
    assert (text in result.err) is (state == "no state saved")
    assert bytes_of(RUN.path, "weights/*") == bytes_of(trained, "weights/*")


@pytest.mark.parametrize("seconds", [1, 7, 25])
def test_the_state_is_never_older_than_a_minute(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    module = import_module("aeclust.run.keeper")
    now, saves = [0], [0]

    def observe(terminal: Terminal, moment: Moment) -> None:  # every step takes so long
        now.append(now[-1] + seconds)

    def save(*arguments: object) -> None:
        assert now[-1] - saves[-1] <= 60
        saves.append(now[-1])

    monkeypatch.setattr(Terminal, "observe", observe)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: float(now[-1])))
    monkeypatch.setattr(module, "write_snapshot", save)
    assert cli("train", data.images, *RECIPE).code == 0
    assert len(saves) > 1
    assert now[-2] - saves[-1] <= 60  # at the last step, whose checkpoint replaces the state


# -- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (["{images}", *RECIPE, "--lr", "0.5"], "lr was 0.001 and is 0.5"),
        (["{images}", *RECIPE, "--epochs", "12"], "epochs was 11 and is 12"),
        (["{images}", *RECIPE, "--seed", "1"], "seed was 0 and is 1"),
        (["{images}", *RECIPE, "-k", "3"], "k was 2 and is 3"),
        (["--epochs", "12"], "epochs was 11 and is 12"),
        (["{other}", *RECIPE], "the images are others"),
        (
            ["{images}", *RECIPE, "--val-images", "{val}", "--val-labels", "{val_labels}"],
            "the validation data are others",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_request_is_refused(
    cli: Cli, run: RunFolder, data: Data, arguments: list[str], change: str
) -> None:
    before = files_of(run.path)
    places = {"images": data.images, "other": data.other, "val": data.val_images}
    filled = [word.format(**places, val_labels=data.val_labels) for word in arguments]
    result = cli("train", *filled, "--resume", "-q")
    assert result.code == 2
    check_error(
        result.error,
        what=f"this run was started otherwise: {change}",
        where="aeclust-run",
        expected="the flags of its start",
        mend="repeat those, or replace the run with `force`",
    )
    assert files_of(run.path) == before


@pytest.mark.parametrize("shape", [(60, 3), (59, 2), None])
def test_a_state_whose_targets_do_not_fit_is_refused(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int] | None
) -> None:
    with monkeypatch.context() as patch:
        interrupt_after(patch, 9)
        assert cli("train", data.images, *TWO_PHASES, "-q").code == 130
    state = artifacts.read(RUN.resume_file, "resume")
    arrays = {name: value for name, value in state.arrays.items() if name != "targets"}
    if shape is not None:
        arrays["targets"] = np.full(shape, 0.5, np.float32)
    artifacts.write(RUN.resume_file, dataclasses.replace(state, arrays=arrays))
    before = bytes_of(RUN.path, "*.*"), bytes_of(RUN.path, "weights/*")
    result = cli("train", "--resume", "-q")
    assert result.code == 2
    assert f"targets of shape {shape} cannot be of this run" in result.err
    assert (bytes_of(RUN.path, "*.*"), bytes_of(RUN.path, "weights/*")) == before


def test_a_state_that_is_damaged_or_of_another_run_is_named_and_kept(
    cli: Cli, data: Data, interrupted: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = interrupted.resume_file.read_bytes()
    with monkeypatch.context() as patch:
        interrupt_after(patch, 6)
        cli("train", data.images, *RECIPE, "--seed", 9, "--run", "other", "-q")
    for content, what in (
        (whole[:-1], "damaged or not from aeclust: its bytes do not match its SHA-256"),
        (Path("other/resume.h5").read_bytes(), "it is of another run"),
    ):
        interrupted.resume_file.write_bytes(content)
        before = files_of(interrupted.path)
        result = cli("train", data.images, *RECIPE, "--resume", "-q")
        assert result.code == 2
        check_error(result.error, where="aeclust-run/resume.h5", what=what)
        assert files_of(interrupted.path) == before


def test_damaged_metrics_can_be_deleted_as_they_say(cli: Cli, interrupted: RunFolder) -> None:
    file = interrupted.metrics_file
    whole = file.read_text()
    before = json.loads(whole.splitlines()[-1])["epoch"]
    file.write_text("{")
    refused = cli("train", "--resume", "-q")
    assert refused.code == 2
    check_error(
        refused.error,
        where=str(file),
        expected="one JSON object an epoch, as aeclust train wrote it",
        mend="delete it",
    )
    file.write_text('{"epoch": 2}\n{"epoch": 4}\n')
    assert "its epochs are not in order" in cli("train", "--resume", "-q").err
    file.unlink()
    assert cli("train", "--resume").code == 0
    assert metrics_of(interrupted.path, "epoch") == [[e] for e in range(before + 1, 12)]
    file.unlink()
    assert cli("train", "--resume").out == (
        "aeclust-run: trained by recipe baseline for 11 epochs; 12 checkpoints\n"
    )
    assert cli("report").code == 0


# -- signals to a process ----------------------------------------------------------------------

PATIENCE = 600  # seconds; a busy machine may need minutes to load PyTorch
LONG = [*RECIPE, "--epochs", "120", "--threads", "1"]


@pytest.fixture(scope="module")
def uninterrupted(data: Data, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("long") / "run"
    assert run_quietly("train", data.images, *LONG, "--run", run).code == 0
    return run


@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.endurance),
        (signal.SIGTERM, 143),
    ],
)
def test_signals_save_the_state_and_resume_ends_with_the_same_bytes(
    cli: Cli, data: Data, uninterrupted: Path, number: signal.Signals, code: int
) -> None:
    arguments: list[Any] = ["train", str(data.images), *LONG, "-q"]
    process = subprocess.Popen(
        [sys.executable, "-m", "aeclust", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + PATIENCE
    try:
        while not RUN.metrics_file.exists() and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(process.pid, number)
        asked = time.monotonic()
        out, err = process.communicate(timeout=PATIENCE)
        assert time.monotonic() - asked < 10
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (code, "")
    assert err.startswith("interrupted in epoch ")
    assert err.endswith("; continue with aeclust train --resume\n")
    assert RUN.resume_file.exists()
    assert 120 not in RUN.checkpoints()
    assert cli(*arguments, "--resume").code == 0
    assert RUN.checkpoints()[-1] == 120
    assert bytes_of(RUN.path, "weights/*") == bytes_of(uninterrupted, "weights/*")
