"""A process that dies at any moment leaves every file absent, old or new, and work goes on."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support import RECIPE, SHORT, Data, intact_files, left_behind, make_images, run_quietly

from aeclust.run.folder import RunFolder


class Died(BaseException):
    """The process is gone: nothing that it would do next happens."""


class Mortal:
    """Counts what a process does to the disk, and lets it die in one of these acts.

    A write dies when half of the bytes are out; other acts die before they are done. After that
    every further act dies as well, so that no handler tidies up what a dead process could not.
    """

    def __init__(self, patch: pytest.MonkeyPatch, last: int | None = None) -> None:
        self.acts: list[str] = []
        self.last = last
        for name in ("fsync", "replace", "unlink"):
            patch.setattr(os, name, self._mortal(name, getattr(os, name)))
        patch.setattr(os, "fdopen", self._fdopen(os.fdopen))

    @property
    def dead(self) -> bool:
        return self.last is not None and len(self.acts) > self.last

    def act(self, name: str) -> None:
        self.acts.append(name)
        if self.dead:
            raise Died(name)

    def _mortal(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **settings: Any) -> Any:
            # what is gone already cannot be removed: no act
            if name != "unlink" or self.dead or os.path.exists(arguments[0]):
                self.act(name)
            return real(*arguments, **settings)

        return wrapped

    def _fdopen(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(handle: int, mode: str) -> Any:
            file = real(handle, mode)
            write = file.write

            class Writer:
                def __enter__(this) -> Writer:  # noqa: N805 - self is the mortal process
                    return this

                def __exit__(this, *problem: object) -> None:  # noqa: N805
                    file.close()

                def __getattr__(this, name: str) -> Any:  # noqa: N805
                    return getattr(file, name)

                def write(this, data: bytes) -> int:  # noqa: N805
                    try:
                        self.act("write")
                    except Died:
                        write(data[: len(data) // 2])
                        raise
                    return int(write(data))

            return Writer()

        return wrapped


def die(arguments: list[object], last: int | None = None) -> tuple[list[str], int | None]:
    """One command that dies in act number `last`, or lives; its acts and its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        mortal = Mortal(patch, last)
        code = None
        with suppress(Died):
            code = run_quietly(*arguments).code
        return mortal.acts, code


def crash_everywhere(
    start: Path | None,
    arguments: list[object],
    again: list[object],
    folder: Path,
    *,
    clears: bool = False,
    every: int = 1,
) -> int:
    """Let a command die in each of its acts, and go on with `again`; the number of acts.

    With `every` it dies in the last act and every so many before it. Only one that `clears` the
    run first may leave a file absent that was there before.
    """
    run = folder / "run"

    def prepare() -> dict[str, bytes]:
        shutil.rmtree(run, ignore_errors=True)
        if start is not None:
            shutil.copytree(start, run)
        return intact_files(run) if start is not None else {}

    for _ in range(2):  # the first time, libraries that it loads may write caches of their own
        prepare()
        acts, code = die([*arguments, "--run", run])
        assert code == 0
    assert {"write", "fsync", "replace"} <= set(acts)
    new = intact_files(run)
    # what is written several times has every state in between as well
    growing = {"metrics.jsonl", "resume.h5", "run.json.next"}
    for last in range(len(acts) - 1, -1, -every):
        old = prepare()
        died, code = die([*arguments, "--run", run], last)
        assert code is None, f"it lived through {acts[last]}"
        assert died[: last + 1] == acts[: last + 1]
        now = intact_files(run)
        for name, content in now.items():
            if name not in growing:
                assert content in (old.get(name), new.get(name)), f"{name} after {acts[last]}"
        assert clears or old.keys() & new.keys() <= now.keys(), f"lost by {acts[last]}"
        if clears and now == old and "--resume" in again:
            continue  # nothing has begun, and the former run is not one to resume
        result = run_quietly(*again, "--run", run)
        assert result.code == 0, result.err
        assert intact_files(run) == new
        assert not left_behind(run), f"left behind by {acts[last]}"
    return len(acts)


# Acts come by fours (write, fsync, rename, fsync), so a ninth of them has all kinds.
SOME_DEATHS = pytest.mark.parametrize(
    "every", [9, pytest.param(1, marks=pytest.mark.endurance)], ids=["ninth", "all"]
)


@pytest.fixture
def saving_always(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    monkeypatch.setattr(importlib.import_module("aeclust.run.keeper"), "_RESUME_EVERY", -1.0)


@SOME_DEATHS
def test_training_that_dies_goes_on_to_the_same_bytes(
    data: Data, tmp_path: Path, saving_always: None, every: int
) -> None:
    command: list[object] = ["train", data.images, *SHORT]
    acts = crash_everywhere(None, command, [*command, "--resume"], tmp_path, every=every)
    assert acts > 30


@SOME_DEATHS
@pytest.mark.parametrize("flag", ["--force", "--resume"])
def test_replacing_a_run_that_dies_can_be_repeated_or_resumed(
    data: Data, labelled: Path, tmp_path: Path, flag: str, every: int
) -> None:
    command: list[object] = ["train", data.images, *SHORT, "--seed", 5]
    acts = crash_everywhere(
        labelled, [*command, "--force"], [*command, flag], tmp_path, clears=True, every=every
    )
    assert acts > 30


@SOME_DEATHS
def test_resuming_that_dies_can_be_repeated(
    data: Data, tmp_path: Path, saving_always: None, every: int
) -> None:
    command: list[object] = ["train", data.images, *SHORT]
    start = tmp_path / "start"
    acts, _ = die([*command, "--run", tmp_path / "whole"])
    die([*command, "--run", start], last=2 * len(acts) // 3)
    assert RunFolder(start).resume_file.exists()
    again = [*command, "--resume"]
    assert crash_everywhere(start, again, again, tmp_path, every=every) > 10


@pytest.mark.parametrize(
    "command",
    [
        "embed --checkpoint 5",
        "predict",
        "plot",
        *(
            pytest.param(command, marks=pytest.mark.endurance)
            for command in (
                "embed --force",
                "cluster --force",
                "cluster -k 3",
                "reconstruct --idx 0,1",
                "checkpoint-curve",
            )
        ),
    ],
)
def test_a_later_stage_that_dies_can_be_repeated(
    command: str, trained: Path, labelled: Path, tmp_path: Path
) -> None:
    name, *flags = command.split()
    start = trained if name == "predict" else labelled
    # latents and labels in every act; what takes longer, or shows them, in some
    every = {"embed": 1, "cluster": 1, "checkpoint-curve": 5}.get(name, 3)
    assert crash_everywhere(start, [name, *flags], [name, *flags], tmp_path, every=every) >= 3


def test_keeping_a_decoded_folder_that_dies_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    for i, image in enumerate(make_images(20, seed=1)[0]):
        Image.fromarray(image).save(tmp_path / "pictures" / f"{i}.png")
    start = tmp_path / "start"
    train = ["train", tmp_path / "pictures", *RECIPE, "--epochs", "1", "--run", start]
    assert run_quietly(*train).code == 0
    (start / "images.h5").unlink()
    assert crash_everywhere(start, ["embed"], ["embed", "--force"], tmp_path) >= 8


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["predict"], "labels.csv"),
        (["embed"], "latents.h5"),
        (["cluster"], "labels.h5"),
        (["reconstruct", "--idx", "0,1"], "six.pdf"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_an_output_elsewhere_is_the_old_or_the_new_one(
    command: list[object], name: str, labelled: Path, tmp_path: Path
) -> None:
    run, output = tmp_path / "run", tmp_path / name
    shutil.copytree(labelled, run)
    request = [*command, "--run", run, "-o", output]
    acts, code = die(request)
    assert code == 0
    new = output.read_bytes()
    for last in range(len(acts)):
        output.write_bytes(b"old")
        die(request, last)
        assert output.read_bytes() in (b"old", new)


# -- signals to what does not save first -------------------------------------------------------


class Signalled(Mortal):
    """A process that gets a signal in act number `last`, and lives to tidy up."""

    number = signal.SIGTERM

    def act(self, name: str) -> None:
        self.acts.append(name)
        if len(self.acts) - 1 == self.last:
            signal.raise_signal(self.number)


INTERRUPT = (signal.SIGINT, 130, "interrupted\n")
TERMINATE = (signal.SIGTERM, 143, "terminated\n")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("embed --force", INTERRUPT),
        ("embed --force", TERMINATE),
        ("cluster -k 3", TERMINATE),
        ("plot", INTERRUPT),
    ],
    ids=["embed, SIGINT", "embed, SIGTERM", "cluster, SIGTERM", "plot, SIGINT"],
)
def test_a_signal_ends_a_later_stage_at_once_and_leaves_nothing_half_written(
    command: str,
    answer: tuple[signal.Signals, int, str],
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    number, code, text = answer
    monkeypatch.setattr(Signalled, "number", number)
    # a shell starts background jobs with Ctrl-C ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    run = tmp_path / "run"
    shutil.copytree(labelled, run)
    old = intact_files(run)
    arguments: list[object] = [*command.split(), "--run", run, "-q"]
    try:
        run_quietly(*arguments)  # libraries that it loads may write caches of their own
        shutil.rmtree(run)
        shutil.copytree(labelled, run)
        acts, _ = die(arguments)
        new = intact_files(run)
        for last in range(0, len(acts), 3):  # of all kinds, as they come by fours
            shutil.rmtree(run)
            shutil.copytree(labelled, run)
            with pytest.MonkeyPatch.context() as patch:
                Signalled(patch, last)
                result = run_quietly(*arguments)
            assert (result.code, result.out, result.err) == (code, "", text)
            now = intact_files(run)
            assert old.keys() <= now.keys()
            for name, content in now.items():
                assert content in (old.get(name), new.get(name)), f"{name} after {acts[last]}"
            assert not left_behind(run)
    finally:
        signal.signal(signal.SIGINT, before)
