"""What the tests of several rooms share: small images, recipes, answers of commands."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from unittest import mock

import numpy as np
import pytest
import torch
import typer
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.cli import main
from aeclust.errors import AeclustError, InputError
from aeclust.recipe import Recipe, named

COMMANDS = (
    "train", "embed", "cluster", "update", "predict", "reconstruct", "checkpoint-curve", "plot",
    "report", "evaluate", "compare", "info", "ask", "name", "export", "doctor", "edit merge",
    "edit split", "edit move", "edit drop", "edit undo", "edit clear", "edit apply", "edit list",
    "find similar", "find duplicates", "find outliers",
)  # fmt: skip

TOP_COMMANDS = tuple(dict.fromkeys(name.partition(" ")[0] for name in COMMANDS))

# 11 epochs of four steps: a checkpoint after every epoch, and before the first
RECIPE = ["--recipe", "baseline", "--set", "channels=4,8", "--set", "image_size=8"]
RECIPE += ["--set", "reduction=pca:2", "--set", "clusterer=kmeans", "--lr", "1e-3"]
RECIPE += ["--epochs", "11", "--batch-size", "16"]

# the default recipe: 2 epochs that know no k and 2 of self-labelling, four steps each, all kept
TWO_PHASES = ["--set", "channels=4,8", "--set", "image_size=8", "--batch-size", "16"]
TWO_PHASES += ["--set", "epochs=2", "--set", "label_epochs=2", "--set", "crops=1"]

# three checkpoints, and the state to resume after every step
SHORT = [*RECIPE, "--epochs", "2", "--batch-size", "32"]

# what is said of clusters of make_images
BY_COLOUR = (
    "mean colour and brightness alone predict 100% of each cluster: "
    "the clusters may follow colour, not content; a few known labels can steer them"
)
BACK = (
    "latents.h5 is out of date (3 clusters need the network after epoch 2, before it learnt 2"
    " clusters): embedding the images again"
)


def command_of(words: Sequence[str]) -> str:
    """The command that the words behind ``aeclust`` ask for, with its verb if it has some."""
    both = " ".join(words[:2])
    return both if both in COMMANDS else words[0]


class Streams(NamedTuple):
    """What a command answered."""

    code: int
    out: str
    err: str


class Result(Streams):
    """The same, and the error behind its one line, if it was refused."""

    error: AeclustError | None = None


_rendered: list[AeclustError] = []
_line = AeclustError.line


def _recorded_line(error: AeclustError, setting: Callable[[str], str] = str) -> str:
    _rendered.append(error)
    return _line(error, setting)


# The command line renders an error once, at its edge: so tests see the error itself.
AeclustError.line = _recorded_line  # type: ignore[method-assign, assignment]


# typer builds all commands anew for each call, which takes longer than many a command here
_commands = functools.cache(typer.main.get_command)


def run_main(arguments: Sequence[object], streams: Callable[[], Sequence[str]]) -> Result:
    """One command in this process, whose output and error output `streams` gives afterwards."""
    _rendered.clear()
    with mock.patch.object(typer.main, "get_command", _commands):
        code = main([str(argument) for argument in arguments])
    result = Result(code, *streams())
    result.error = _rendered[-1] if code and _rendered else None
    return result


def check_error(error: BaseException | None, **fields: str) -> None:
    """The parts of an error: any of `what`, `where`, `expected` and `mend`."""
    assert isinstance(error, AeclustError)
    assert {name: getattr(error, name) for name in fields} == fields


@contextlib.contextmanager
def refused(
    kind: type[AeclustError] = InputError, **fields: str
) -> Iterator[pytest.ExceptionInfo[AeclustError]]:
    """Within it, an error of this kind is raised whose parts are these."""
    with pytest.raises(kind) as caught:
        yield caught
    check_error(caught.value, **fields)


class Cli(Protocol):
    """Runs one command in this process."""

    def __call__(self, *arguments: object) -> Result: ...


@dataclass(frozen=True)
class Data:
    """Files of 8 x 8 RGB images of two obvious kinds, and of their labels.

    `noise` holds images of no kind, with labels drawn at random.
    """

    images: Path
    labels: Path
    val_images: Path
    val_labels: Path
    noise: Path
    noise_labels: Path
    other: Path


def make_images(n: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Bluish images (0) and yellowish ones (1), with noise; the first two are one of each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    labels[:2] = [0, 1]
    colours = np.array([[50, 80, 170], [200, 160, 60]])
    noise = rng.integers(-30, 31, (n, 8, 8, 3))
    return (colours[labels][:, None, None] + noise).astype(np.uint8), labels


def tiny(name: str = "hybrid", /, **changes: object) -> Recipe:
    """A recipe's network for 8 x 8 pixels, with latents of 6 values if it has a bottleneck."""
    latent = 6 if named(name).latent_size else 0
    fields = {"image_size": 8, "channels": (4, 8), "latent_size": latent}
    if named(name).crops:
        fields["crops"] = 1
    return named(name).override(fields | changes)


def noise_images(n: int, side: int = 8, channels: int = 3, seed: int = 0) -> NDArray[np.uint8]:
    """Images of every value at random."""
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, channels), np.uint8)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Standard normal numbers, the same every time."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def far_groups(
    sizes: Sequence[int], *, seed: int = 0, d: int = 4, apart: float = 20.0
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points in groups of these sizes, `apart` on each axis, mixed, and their groups."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = apart * np.eye(len(sizes), d)[labels] + rng.normal(size=(len(labels), d))
    return points.astype(np.float32), labels


def numbered_by_size(labels: NDArray[np.int64]) -> list[int]:
    """Clusters numbered by falling size, ties by first appearance, in a plain loop."""
    values = labels.tolist()
    order = sorted(set(values), key=lambda value: (-values.count(value), values.index(value)))
    return [order.index(value) for value in values]


def files_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder but locks, with its bytes and the time of its last change."""
    return {
        file.relative_to(folder).as_posix(): (file.read_bytes(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (".lock", ".worker")
    }


def bytes_of(folder: Path, pattern: str) -> dict[str, bytes]:
    """The bytes of the files that fit a pattern, by name."""
    return {file.name: file.read_bytes() for file in sorted(folder.glob(pattern))}


def intact_files(run: Path) -> dict[str, bytes]:
    """All that readers look at, artifacts verified; times in metrics.jsonl are left out."""
    found = {}
    for file in sorted(run.rglob("*")):
        name = file.relative_to(run).as_posix()
        if not file.is_file() or file.name.startswith("."):
            continue
        found[name] = file.read_bytes()
        if name.endswith(".h5"):
            artifact.read(file)
        if name == "metrics.jsonl":
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            found[name] = json.dumps([(line["epoch"], line["loss"]) for line in lines]).encode()
    return found


def left_behind(run: Path) -> list[str]:
    """What dead writers left; pictures are written without the lock, and theirs may stay."""
    names = [file.name for file in run.rglob(".*") if file.name not in (".lock", ".worker")]
    return [name for name in names if ".png." not in name and ".csv." not in name]


def one_error(result: Result, code: int = 2) -> str:
    """The text of the one error line that a refused command answers with."""
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.endswith("\n")
    assert result.err.count("\n") == 1
    assert result.code == code
    return result.err.removeprefix("error: ").rstrip("\n")


def give_memory(monkeypatch: pytest.MonkeyPatch, there: float) -> None:
    """A machine of so many bytes."""
    monkeypatch.setattr("aeclust.memory.machine", lambda: int(there))


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail, rather than hang, if the body waits for something that never comes."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A script in a folder, where `aeclust` is the one under test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {k: v for k, v in os.environ.items() if k != "AECLUST_RUN"} | {"PATH": path}
    environment["OMP_NUM_THREADS"] = "1"  # the other core tests as well
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def run_quietly(*arguments: object) -> Result:
    """One command outside a test, where no fixture catches the streams."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        return run_main(arguments, lambda: (out.getvalue(), err.getvalue()))


def raising(error: BaseException) -> Callable[..., Any]:
    """A function that fails, whatever it is called with."""

    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail
