"""The pages of the documentation as tests take them: their blocks, and how a line is typed."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from aeclust.cli import main

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
    command, _, target = line.partition(" > ")
    words = shlex.split(command)
    if words[0] != "aeclust" or "|" in words:
        subprocess.run(["bash", "-euo", "pipefail", "-c", line], check=True, timeout=60)
        return ""
    arguments = words[1:]
    if arguments[0] == "train" and "--write-config" not in arguments:
        arguments = ["train", *train, *arguments[1:]]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(arguments)
    assert code == 0, f"{line}\n{err.getvalue()}"
    if target:
        Path(target).write_text(out.getvalue())
    return out.getvalue()
