"""Commands take the cores that are idle, say so, and stay with what was chosen."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import pytest
import threadpoolctl
import torch
from support import RECIPE, Cli, Data

from aeclust.cli import threads
from aeclust.network import inference, training

RUN = Path("aeclust-run/run.json")
SHORT = [*RECIPE, "--epochs", 1]

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Makes this a machine of some cores, of which others keep some busy."""

    def of(cores: int, busy: float, *, limit: int = 999, own: float = 0.0) -> None:
        clock = itertools.count()

        def usage() -> tuple[float, float, float]:
            now = float(next(clock))  # one second passes between two looks
            return now * (busy + own), now * cores, now * own

        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        monkeypatch.setattr(threads, "_usage", usage)
        monkeypatch.setattr(threads, "cores", lambda: cores)
        monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
        monkeypatch.setattr(joblib, "cpu_count", lambda: min(cores, limit))

    return of


@pytest.mark.parametrize(
    ("cores", "busy", "limit", "own", "wanted", "line"),
    [
        (1, 0.0, 9, 0.0, 1, ""),
        (1, 1.0, 9, 0.0, 1, ""),
        (2, 0.0, 9, 0.0, 2, ""),
        (2, 0.3, 9, 0.0, 2, ""),  # nothing is ever wholly idle
        (2, 0.0, 9, 1.0, 2, ""),  # what it does itself while it starts counts for nothing
        (2, 1.0, 9, 0.0, 1,
         "1 of 2 cores is busy: training with 1 thread; --threads 2 asks for both"),
        (2, 2.0, 9, 0.0, 1,
         "2 of 2 cores are busy: training with 1 thread; --threads 2 asks for both"),
        (16, 3.0, 99, 0.0, 13,
         "3 of 16 cores are busy: training with 13 threads; --threads 16 asks for all"),
        (16, 0.0, 1, 0.0, 1, ""),  # a container with a limit of one
        (16, 8.0, 4, 0.0, 4, ""),  # which leaves as many as it is allowed
        (16, 14.0, 4, 0.0, 2,
         "14 of 16 cores are busy: training with 2 threads; --threads 4 asks for all"),
    ],
)  # fmt: skip
def test_threads_are_as_many_as_cores_are_idle(
    cores: int, busy: float, limit: int, own: float, wanted: int, line: str, machine: Machine
) -> None:
    lines: list[str] = []
    machine(cores, busy, limit=limit, own=own)
    assert threads.suitable(lines.append) == wanted
    assert lines == ([line] if line else [])


def test_a_run_goes_on_with_its_threads_on_a_busy_machine(machine: Machine) -> None:
    lines: list[str] = []
    machine(4, 3.0)
    assert threads.suitable(lines.append, 4) == 4
    assert threads.suitable(lines.append, 1) == 1
    assert lines == [
        "3 of 4 cores are busy: the run continues with 4 threads; --threads asks for fewer"
    ]


def test_where_nobody_counts_all_cores_are_taken(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(4, 3.0)
    monkeypatch.setattr(threads, "_usage", lambda: None)
    assert threads.suitable(print) == 4
    monkeypatch.setattr(threads, "_usage", lambda: (1.0, 1.0, 0.0))  # its clock stands still
    assert threads.suitable(print) == 4


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="only Linux counts so")
def test_the_time_of_our_cores_is_counted() -> None:
    first, started = threads._usage(), time.monotonic()
    while time.monotonic() < started + 0.5:
        pass
    second, passed = threads._usage(), time.monotonic() - started
    assert first is not None
    assert second is not None
    busy, total, own = (new - old for new, old in zip(second, first, strict=True))
    assert total == pytest.approx(threads.cores() * passed, abs=0.15)
    assert 0.1 < own <= passed + 0.05  # others may have had the core for most of it
    assert own - 0.1 <= busy <= total + 1e-6


# -- in a command ------------------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[set[int]]:
    """The numbers of threads that libraries have, whenever a network is trained or embeds."""
    numbers: list[set[int]] = []

    def watch(module: Any, name: str) -> None:
        real = getattr(module, name)

        def watched(*given: Any, **more: Any) -> Any:
            numbers.append({library["num_threads"] for library in threadpoolctl.threadpool_info()})
            return real(*given, **more)

        monkeypatch.setattr(module, name, watched)

    watch(training, "train")
    watch(inference, "embed_blocks")
    return numbers


def recorded() -> int | None:
    threads: int | None = json.loads(RUN.read_text())["threads"]
    return threads


def test_what_was_chosen_is_recorded_and_kept(
    cli: Cli, data: Data, machine: Machine, seen: list[set[int]]
) -> None:
    machine(2, 1.0)
    result = cli("train", data.images, *SHORT)
    assert result.code == 0
    assert "1 of 2 cores is busy: training with 1 thread; --threads 2 asks for both" in result.err
    assert (seen.pop(), recorded()) == ({1}, 1)
    machine(2, 0.0)  # from here on it is idle
    result = cli("train", "--resume")
    assert "busy" not in result.err
    assert (result.code, recorded()) == (0, 1)
    assert cli("embed").code == 0
    assert seen.pop() == {1}
    assert cli("embed", "--force", "--threads", 2).code == 0
    assert seen.pop() == {2}
    assert recorded() == 1, "of the training"
    assert cli("train", data.images, *SHORT, "--force").code == 0
    assert (seen.pop(), recorded()) == ({2}, 2), "a new run has a new choice"


def test_a_flag_or_the_environment_decides(
    cli: Cli, data: Data, machine: Machine, seen: list[set[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(2, 2.0)
    result = cli("train", data.images, *SHORT, "--threads", 2)
    assert "busy" not in result.err
    assert (result.code, seen.pop(), recorded()) == (0, {2}, 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # as the libraries have read it
    result = cli("train", data.images, *SHORT, "--force")
    assert "busy" not in result.err
    assert (result.code, recorded()) == (0, torch.get_num_threads())


def test_the_environment_is_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKL_NUM_THREADS", "5")
    before = dict(os.environ)
    with threads.on_threads(3):
        assert {os.environ[name] for name in threads._VARIABLES} == {"3"}
    assert dict(os.environ) == before
