"""Processes that are killed, and two that want the same run folder."""

from __future__ import annotations

import contextlib
import multiprocessing
import random
import shutil
import sys
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from support import SHORT, TWO_PHASES, Data, Result, intact_files, left_behind, run_quietly

from aeclust import artifact as artifacts
from aeclust.errors import InputError
from aeclust.run.folder import RunFolder

# A fork has everything loaded already, so that a kill meets the command and not its imports.
# From Python 3.12 on it warns of threads; those here belong to pytest and wait.
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def work(arguments: list[object], answer: Path) -> None:
    result = run_quietly(*arguments)
    answer.write_text(f"{result.code}\n{result.err}")


def started(arguments: list[object], answer: Path) -> BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=(arguments, answer))
    process.start()
    return process


# -- kills -------------------------------------------------------------------------------------

COMMANDS: dict[str, tuple[str, list[object]]] = {
    "train": ("", ["train", *SHORT]),
    "train in two phases": ("", ["train", *TWO_PHASES]),
    "embed": ("labelled", ["embed", "--checkpoint", 5]),
    "cluster": ("labelled", ["cluster", "-k", 3]),
    "predict": ("trained", ["predict"]),
    "reconstruct": ("labelled", ["reconstruct", "--idx", "0,1"]),
    "plot": ("labelled", ["plot"]),
    "checkpoint-curve": ("labelled", ["checkpoint-curve"]),
}
KILLS = 30


@pytest.mark.endurance
@pytest.mark.parametrize("name", COMMANDS)
def test_a_kill_at_any_moment_breaks_nothing(
    name: str, data: Data, trained: Path, labelled: Path, tmp_path: Path
) -> None:
    assert len(COMMANDS) * KILLS >= 200
    begin, command = COMMANDS[name]
    source = {"": None, "trained": trained, "labelled": labelled}[begin]
    run, answer = tmp_path / "run", tmp_path / "answer"
    arguments = [command[0], *([data.images] if not begin else []), *command[1:], "--run", run]
    again = [*arguments, *(["--resume"] if not begin else [])]

    def prepare() -> dict[str, bytes]:
        shutil.rmtree(run, ignore_errors=True)
        if source is not None:
            shutil.copytree(source, run)
        return intact_files(run)

    old = prepare()
    assert run_quietly(*arguments).code == 0
    new = intact_files(run)
    prepare()
    clock = time.monotonic()
    started(arguments, answer).join()
    needed = time.monotonic() - clock
    killed = 0
    for i in range(5 * KILLS):  # some end before they are killed
        if killed == KILLS:
            break
        prepare()
        answer.unlink(missing_ok=True)
        process = started(arguments, answer)
        time.sleep(random.Random(f"{name} {i}").uniform(0, needed))
        process.kill()
        process.join()
        killed += not answer.exists()
        for file, content in intact_files(run).items():
            if file not in ("metrics.jsonl", "resume.h5", "run.json.next"):
                assert content in (old.get(file), new.get(file)), f"kill {i}: {file}"
        assert old.keys() <= intact_files(run).keys()
        result = run_quietly(*again)
        assert result.code == 0, f"kill {i}: {result.err}"
        assert intact_files(run) == new, f"kill {i}"
        assert not left_behind(run)
    assert killed == KILLS, "most of the commands had ended before"


# -- two in one folder -------------------------------------------------------------------------


@contextlib.contextmanager
def both(first: list[object], second: list[object], folder: Path) -> Iterator[list[BaseProcess]]:
    """Two commands at the same time; they answer in files ``0`` and ``1``."""
    for name in ("0", "1"):
        (folder / name).unlink(missing_ok=True)
    processes = [started(first, folder / "0"), started(second, folder / "1")]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()


def compete(data: Data, labelled: Path, folder: Path, rounds: int) -> None:
    run = folder / "run"
    shutil.copytree(labelled, run)
    busy = 0
    for i in range(rounds):
        train: list[object] = ["train", data.images, *SHORT, "--seed", i, "--force"]
        pairs: list[list[list[object]]] = [
            [train, train],
            [["embed", "--force"], ["cluster", "--force"]],
            [["checkpoint-curve"], ["cluster", "--force"]],
        ]
        first, second = ([*command, "--run", run, "-q"] for command in pairs[i % len(pairs)])
        with both(first, second, folder) as processes:
            while any(process.is_alive() for process in processes):
                for file in (*run.glob("weights/*.h5"), *run.glob("*.h5")):
                    with contextlib.suppress(FileNotFoundError):
                        look(file)
            results = []
            for j, other in enumerate(reversed(processes)):
                code, _, text = (folder / str(j)).read_text().partition("\n")
                results.append(Result(int(code), "", text))
                if int(code) == 5:
                    busy += 1
                    assert f"another process works here (process {other.pid})" in text
        assert {result.code for result in results} <= {0, 5}, results
        assert 0 in {result.code for result in results}
        for file in run.rglob("*.h5"):
            artifacts.read(file)
        assert RunFolder(run).checkpoints()
    assert busy > 0, "they never met"


def look(file: Path) -> None:
    """Read a file that somebody may be replacing: it is whole, or it is not there."""
    try:
        artifacts.read(file)
    except InputError as error:
        if "no such file" not in str(error):
            raise


def test_two_processes_do_not_disturb_each_other(
    data: Data, labelled: Path, tmp_path: Path
) -> None:
    compete(data, labelled, tmp_path, rounds=3)


@pytest.mark.endurance
def test_two_processes_do_not_disturb_each_other_for_long(
    data: Data, labelled: Path, tmp_path: Path
) -> None:
    compete(data, labelled, tmp_path, rounds=50)
