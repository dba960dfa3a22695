"""Every block of docs/export.md is run as it stands."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from pages import blocks
from support import Cli

from aeclust.run.folder import RunFolder


def test_the_page_on_export_runs(
    cli: Cli, full_run: RunFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    (known,) = blocks("docs/export.md", "csv")
    Path("known.csv").write_text(known)
    commands = "".join(blocks("docs/export.md", "sh")).splitlines()
    assert len(commands) == 11
    answers = {}
    for line in commands:
        words, _, target = line.partition(" > ")
        program, *arguments = shlex.split(words)
        assert program == "aeclust"
        result = cli(*arguments)
        assert result.code == 0, result.err
        answers[line] = result.out
        if target:
            Path(target).write_text(result.out)
    assert "2 of 2 known labels agree (100.0%)" in answers["aeclust name --labels known.csv"]
    assert {line.split(",")[1] for line in Path("named.csv").read_text().splitlines()[1:]} == {
        "landscape",
        "other",
    }
    assert answers["aeclust evaluate found.json sorted"].startswith("accuracy 1.0000")
    assert len(list(Path("sorted").glob("?-*/*.png"))) == 60
    names: dict[str, object] = {}
    for code in blocks("docs/export.md", "python"):
        exec(compile(code, "docs/export.md", "exec"), names)
    assert capsys.readouterr().out == "(5, 32) float32\nTrue\n"
