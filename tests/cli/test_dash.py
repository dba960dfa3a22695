"""`-`: standard input in the place of images or labels, standard output in that of a file."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import pytest
from PIL import Image
from support import Cli, Data, one_error

from aeclust.cli import main
from aeclust.run.folder import RunFolder

TERMINAL = "standard input is a terminal; expected a stream of images or labels; for example"


class Answer(NamedTuple):
    code: int
    out: bytes
    err: str


class Stream(io.TextIOWrapper):
    """Bytes as a standard stream, of a terminal or not."""

    def __init__(self, content: bytes = b"", *, terminal: bool = False) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8", write_through=True)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.fixture
def pipe(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Answer]:
    """A command between two pipes."""

    def run(*arguments: object, stdin: bytes = b"", terminal: bool = False) -> Answer:
        capsys.readouterr()
        out = Stream(terminal=terminal)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdin", Stream(stdin, terminal=terminal))
            patch.setattr(sys, "stdout", out)
            code = main([str(argument) for argument in arguments])
        content = out.buffer
        assert isinstance(content, io.BytesIO)
        return Answer(code, content.getvalue(), capsys.readouterr().err)

    return run


def left_behind() -> set[str]:
    return {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("aeclust-")}


Pipe = Callable[..., Answer]


# -- standard input ----------------------------------------------------------------------------


def npz(file: Path) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.load(file))
    return buffer.getvalue()


def test_images_from_a_stream_are_those_of_the_file(
    cli: Cli, full_run: RunFolder, data: Data, pipe: Pipe
) -> None:
    before = left_behind()
    expected = cli("predict", data.val_images).out.encode()
    for content in (data.val_images.read_bytes(), npz(data.val_images)):
        answer = pipe("predict", "-", stdin=content)
        assert (answer.code, answer.out) == (0, expected)
        assert "standard input" in answer.err.splitlines()[0]
        assert tempfile.gettempdir() not in answer.err
    assert left_behind() == before


def test_every_command_that_takes_images_once_takes_a_stream(
    cli: Cli, full_run: RunFolder, data: Data, pipe: Pipe
) -> None:
    content = data.val_images.read_bytes()
    assert pipe("reconstruct", "-", "--idx", 2, stdin=content).code == 0
    assert pipe("plot", "-", "--labels", data.val_labels, stdin=content).code == 0
    assert pipe("embed", "-", "-o", "latents.h5", stdin=content).code == 0
    with h5py.File("latents.h5") as file:
        assert file["latents"].shape == (24, 32)


def test_labels_from_a_stream_are_those_of_the_file(
    cli: Cli, full_run: RunFolder, data: Data, pipe: Pipe
) -> None:
    printed = (cli("predict").out.encode(), cli("predict", "--json").out.encode())
    expected = cli("evaluate", full_run.labels_file, data.labels).out.encode()
    for content in (*printed, full_run.labels_file.read_bytes()):
        assert pipe("evaluate", "-", data.labels, stdin=content).out == expected
    truth = data.labels.read_bytes()
    assert pipe("evaluate", full_run.labels_file, "-", stdin=truth).out == expected
    named = cli("predict", "--val-labels", data.labels).out.encode()
    assert pipe("predict", "--val-labels", "-", stdin=truth).out == named
    scored = pipe("plot", "--labels", "-", "--json", stdin=truth)
    assert json.loads(scored.out)["accuracy"] == json.loads(cli(
        "plot", "--labels", data.labels, "--json"
    ).out)["accuracy"]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "content", "text"),
    [
        (["train", "-"], b"", "-: standard input cannot be read again by later commands; expected"),
        (["train", "--val-labels", "-"], b"", "expected a file or a folder; save it first: cat >"),
        (["evaluate", "-", "-"], b"", "-: standard input can be read only once; expected one - in"),
        (["predict", "-", "--val-labels", "-"], b"\x93NUMPY", "expected one - in a command; save"),
        (
            ["predict", "-"],
            b"",
            "standard input is empty; expected the bytes of a .npy, .npz or .h5 file; save the",
        ),
        (["predict", "-"], b"id,label\n", "standard input is of an unknown kind; expected the b"),
        (["predict", "-"], b"\x93NUMPY\x01", "standard input: cannot be read ("),
        (["evaluate", "-", "{labels}"], b"", "standard input is empty; expected the header id,l"),
        (["evaluate", "-", "{labels}"], b"id,label\n0,\n", "standard input, row 2: reads '0,'"),
    ],
)
def test_what_a_stream_cannot_give_is_one_line(
    full_run: RunFolder, data: Data, pipe: Pipe, arguments: list[str], content: bytes, text: str
) -> None:
    before = left_behind()
    command = [argument.format(labels=data.labels) for argument in arguments]
    answer = pipe(*command, stdin=content)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, b"", 1)
    assert answer.err.startswith(f"error: {text}" if text[0] in "-s" else "error: ")
    assert text in answer.err
    assert tempfile.gettempdir() not in answer.err
    assert left_behind() == before


def test_a_terminal_is_not_waited_for(full_run: RunFolder, pipe: Pipe) -> None:
    answer = pipe("predict", "-", terminal=True)
    assert (answer.code, answer.out) == (2, b"")
    assert TERMINAL in answer.err


def test_no_room_for_a_stream_exits_4(
    full_run: RunFolder, pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(shutil, "copyfileobj", full)
    answer = pipe("predict", "-", stdin=b"\x93NUMPY-and-so-on")
    assert answer.code == 4
    assert answer.err == (
        "error: standard input: could not be kept (No space left on device); "
        "free space in the folder for temporary files, or change TMPDIR\n"
    )


# -- standard output ---------------------------------------------------------------------------


def test_a_picture_goes_to_a_stream_as_it_goes_to_a_file(
    cli: Cli, full_run: RunFolder, data: Data, pipe: Pipe
) -> None:
    commands = (["reconstruct", "--idx", "1,2"], ["plot"], ["checkpoint-curve"])
    for command in commands:
        assert cli(*command, "-o", "expected.png").code == 0
        answer = pipe(*command, "-o", "-")
        assert answer.out == Path("expected.png").read_bytes()
        assert "standard output" in answer.err.splitlines()[-1]
        with Image.open(io.BytesIO(answer.out)) as picture:
            assert picture.format == "PNG"
    assert not Path("-").exists()


def test_an_artifact_goes_to_a_stream_as_it_lies_in_the_run(
    full_run: RunFolder, data: Data, pipe: Pipe
) -> None:
    labels = pipe("cluster", "-o", "-", "--json")
    assert labels.out == full_run.labels_file.read_bytes()
    answer = [line for line in labels.err.splitlines() if line.startswith("{")]
    assert json.loads(answer[0])["file"] == "standard output"
    quiet = pipe("embed", "-o", "-", "-q")
    assert (quiet.out, quiet.err) == (full_run.latents_file.read_bytes(), "")
    others = pipe("embed", "-", "-o", "-", stdin=data.val_images.read_bytes())
    Path("others.h5").write_bytes(others.out)
    with h5py.File("others.h5") as file:
        assert file["latents"].shape == (24, 32)
    assert "standard output: 24 vectors of 32 values" in others.err


def test_predict_writes_its_csv_either_way(cli: Cli, full_run: RunFolder, pipe: Pipe) -> None:
    expected = cli("predict").out.encode()
    assert pipe("predict", "-o", "-").out == expected
    assert pipe("predict", "-o", "-", terminal=True).out == expected  # text may be looked at


@pytest.mark.parametrize("command", ["embed", "cluster", "plot", "checkpoint-curve"])
def test_bytes_never_go_to_a_terminal(full_run: RunFolder, pipe: Pipe, command: str) -> None:
    answer = pipe(command, "-o", "-", terminal=True)
    assert (answer.code, answer.out) == (2, b"")
    ending = ".h5" if command in ("embed", "cluster") else ".png"
    assert answer.err == (
        f"error: -o - is a terminal; expected a pipe or a file for bytes; add > FILE{ending}\n"
    )


def test_an_error_leaves_a_streamed_picture_unwritten(cli: Cli, full_run: RunFolder) -> None:
    assert "there is no image 99" in one_error(cli("reconstruct", "--idx", "99", "-o", "-", "-q"))


def test_closed_streams_are_one_line(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert one_error(cli("predict", "-")) == (
        "standard input is closed; expected a stream of images or labels; "
        "for example aeclust predict - < images.npy"
    )
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", None)
        code = main(["predict", "-q"])
    assert code == 4


def test_names_in_any_script_pass_through_any_stream(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli("name", "0=Städte", "1=海").code == 0
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding="ascii"))
    assert main(["predict", "--names", "-q"]) == 0
    sys.stdout.flush()
    assert "海" in out.getvalue().decode()


def test_a_path_that_the_system_does_not_take_is_one_line(cli: Cli) -> None:
    told = one_error(cli("info", "--run", "a" * 300))
    assert told == f"{'a' * 300}/run.json: cannot be used (File name too long)"
