"""Where nothing can be written, a command exits 4 with one line and harms nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support import RECIPE, Cli, Data, Result, check_error, files_of, one_error, run_quietly

from aeclust import artifact as artifacts
from aeclust.run.folder import RunFolder

SHORT = [*RECIPE, "--epochs", "2", "--batch-size", "32"]
NO_SPACE = "could not be written (No space left on device)"
REPEAT = (
    "the former run cannot be replaced (No space left on device); "
    "check permissions and space, and repeat"
)
LATER = [
    ["embed", "--force"],
    ["cluster", "--force"],
    ["reconstruct", "--idx", "0,1"],
    ["plot"],
    ["checkpoint-curve"],
]


class Refusing:
    """A disk that has room for so many writes, and for no more.

    Parameters
    ----------
    kind : {"write", "fsync", "replace"}
        What the system refuses; bytes may seem to be written and be refused when they are forced.
    """

    def __init__(self, patch: pytest.MonkeyPatch, kind: str, room: int | None) -> None:
        self.kind, self.room, self.asked = kind, room, 0
        for name in ("fsync", "replace"):
            patch.setattr(os, name, self._refusing(name, getattr(os, name)))
        patch.setattr(os, "fdopen", self._fdopen)

    def ask(self, kind: str) -> None:
        if kind == self.kind:
            self.asked += 1
            if self.room is not None and self.asked > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _refusing(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any) -> Any:
            self.ask(name)
            return real(*arguments)

        return wrapped

    def _fdopen(self, handle: int, mode: str) -> io.BufferedRandom:
        disk = self

        class Writer(io.FileIO):
            def write(self, data: Any) -> int:
                disk.ask("write")
                return super().write(data)

        return io.BufferedRandom(Writer(handle, mode.replace("b", "")))


def full(arguments: list[object], kind: str, room: int | None) -> tuple[Result, int]:
    """One command on such a disk, and how often it asked for what is refused."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Refusing(patch, kind, room)
        return run_quietly(*arguments), disk.asked


@pytest.mark.parametrize("kind", ["write", "fsync", "replace"])
@pytest.mark.parametrize("command", [["train"], *LATER], ids=lambda command: command[0])
def test_a_full_disk_at_any_write_exits_4_and_harms_nothing(
    command: list[object], kind: str, data: Data, labelled: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    arguments = [*command, "--run", run]
    if command == ["train"]:
        arguments += [data.images, *SHORT, "-q"]
    else:
        shutil.copytree(labelled, run)
    before = files_of(run)
    result, needed = full(arguments, kind, None)
    assert result.code == 0
    assert needed >= 1
    for room in range(needed):
        shutil.rmtree(run)
        if before:
            shutil.copytree(labelled, run)
        result, _ = full(arguments, kind, room)
        if kind == "fsync" and result.code == 0:
            assert room == needed - 1  # of the folder, after the last file is in place
            continue
        assert result.code == 4
        assert result.error is not None
        assert result.error.where.startswith(str(run))
        if not result.err.endswith(f"{REPEAT}\n"):  # at the last step of beginning a run
            assert result.error.what == NO_SPACE
        after = files_of(run)
        assert not [name for name in after if name.endswith(".tmp")]
        for name, (content, _) in before.items():  # and what was made anew has the same bytes
            assert after[name][0] == content
        for file in run.rglob("*.h5"):
            artifacts.read(file)


@pytest.mark.parametrize("kind", ["write", "fsync", "replace"])
def test_a_run_is_not_replaced_where_nothing_can_be_written(
    kind: str, data: Data, labelled: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(labelled, run)
    before = files_of(run)
    command: list[object] = ["train", data.images, *SHORT, "--force", "--run", run, "-q"]
    result, _ = full(command, kind, 0)
    assert result.code == 4
    check_error(result.error, where=f"{run}/run.json.next", what=NO_SPACE)
    assert files_of(run) == before


def test_a_limit_on_file_sizes_is_one_line_and_harms_nothing(cli: Cli, full_run: RunFolder) -> None:
    resource = pytest.importorskip("resource", reason="Windows has no such limit")
    before = files_of(full_run.path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        result = cli("embed", "--force", "-q")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert one_error(result, 4) == (
        "aeclust-run/latents.h5: could not be written (File too large); "
        "free space or choose another place; what was there before is unharmed"
    )
    assert files_of(full_run.path) == before


# run where a small file system of its own is mounted on the working folder's subfolder `disk`
SCRIPT = """
import contextlib, io, json, os, subprocess, sys
from aeclust.cli import main

def command(*arguments, run="disk/run"):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*arguments, "--run", run])
    print(json.dumps([code, out.getvalue(), err.getvalue()]), flush=True)

recipe, later = json.loads(sys.argv[1]), json.loads(sys.argv[2])
command("train", *recipe, "-q")
command("cluster", "-q")
with contextlib.suppress(OSError), open("disk/filler", "wb", buffering=0) as file:
    while file.write(bytes(4096)):
        pass
for arguments in later:
    command(*arguments, "-q")
command("info")
command("train", *recipe, "-q", run="disk/other")
os.unlink("disk/filler")
subprocess.run(["mount", "-o", "remount,ro", "disk"], check=True)
for arguments in later:
    command(*arguments, "-q")
command("info")
"""


def test_a_disk_that_is_really_full_and_one_that_is_read_only(data: Data, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    mount = "mount -t tmpfs -o size=1m tmpfs disk"
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        subprocess.run([*inside, mount], cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine lets nobody mount a file system: {error}")
    recipe = [str(data.images), *map(str, SHORT), "--threads", "1"]
    requests = [json.dumps(recipe), json.dumps(LATER)]
    done = subprocess.run(
        [*inside, f'{mount} && exec "$@"', "sh", sys.executable, "-c", SCRIPT, *requests],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = [Result(*json.loads(line)) for line in done.stdout.splitlines()]
    trained, clustered, *rest = results
    assert (trained.code, clustered.code) == (0, 0)
    full, intact, refused, frozen, still = (
        rest[:5], rest[5], rest[6], rest[7:12], rest[12]
    )  # fmt: skip
    for result in full:
        line = one_error(result, 4)
        assert line.startswith("disk/run/")
        assert NO_SPACE in line
    for arguments, result in zip(LATER, frozen, strict=True):
        line = one_error(result, 4)
        if arguments[0] in ("embed", "cluster"):  # which lock the folder first
            assert line == (
                "disk/run: cannot be written to (Read-only file system); choose another folder"
            )
        else:
            assert "could not be written (Read-only file system)" in line
    assert "MB are free and" in one_error(refused, 4)
    for result in (intact, still):
        assert result.code == 0
        assert "labels.h5: labels, intact" in result.out
        assert result.out.count(", intact") == 6
        assert "OUT OF DATE" not in result.out
