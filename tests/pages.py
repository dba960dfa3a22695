"""The pages of the documentation as tests take them: their blocks, and how a line is typed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from aeclust.cli import main
from aeclust.images import demo

ROOT = Path(__file__).parent.parent


def blocks(document: str, language: str) -> list[str]:
    """The content of the fenced blocks of a language, in order."""
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def lines_of(document: str) -> list[str]:
    """All lines of the shell blocks of a page."""
    return [line for block in blocks(document, "sh") for line in block.splitlines() if line]


def type_line(line: str, *, train: Sequence[str] = ()) -> str:
    """Do what a line of a shell block says, aeclust in this process; what it printed.

    `train` are flags for every training, which may be shorter than a reader's.
    """
    if loop := re.fullmatch(r"for (\w+) in ([^;]+); do (.+); done", line):
        for word in loop[2].split():
            type_line(loop[3].replace(f"${loop[1]}", word), train=train)
        return ""
    if setting := re.match(r"(AECLUST_\w+)=(\S+) ", line):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(setting[1], setting[2])
            return type_line(line[setting.end() :], train=train)
    command, _, target = line.partition(" > ")
    command, _, source = command.partition(" < ")
    stages = [shlex.split(stage) for stage in command.split(" | ")]
    if any(words[0] != "aeclust" for words in stages):
        subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, timeout=60)
        return ""
    content = Path(source).read_bytes() if source else b""
    for _, *arguments in stages:
        if arguments[0] == "train" and "--write-config" not in arguments:
            arguments = ["train", *train, *arguments[1:]]
        content = _run(arguments, content)
    if target:
        Path(target).write_bytes(content)
    return content.decode(errors="replace")


def have_few(patch: pytest.MonkeyPatch, scenes: int, others: int) -> None:
    """The built-in sets with this many images, which are made in no time."""

    def few(name: str) -> demo.DemoSet:
        if name == "digits":
            whole = demo.digits()
            return demo.DemoSet(whole.pixels[:scenes], whole.labels[:scenes], whole.classes)
        if name == "scenes":
            return demo.scenes(scenes, seed=0)
        return demo.scenes(others, seed=1)

    patch.setattr(demo, "load", few)
    patch.setattr(demo, "classes", lambda name: few(name).labels)


def _run(arguments: list[str], given: bytes) -> bytes:
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), encoding="utf-8"))
        code = main(arguments)
    assert code == 0, f"{arguments}\n{err.getvalue()}"
    out.flush()
    out.seek(0)
    return out.buffer.read()
