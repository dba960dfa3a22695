"""Every block of docs/python.md is run; docstrings list parameters that there are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import blocks, have_few

import aeclust
from aeclust.run.folder import RunFolder

PACKAGE = Path(aeclust.__file__).parent


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    have_few(monkeypatch, 120, 50)
    names: dict[str, object] = {}
    codes = blocks("docs/python.md", "python")
    assert len(codes) >= 6
    for code in codes:
        exec(compile(code, "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out.splitlines()
    assert "(50, 32)" in printed
    assert "(50, 16, 16, 3)" in printed
    assert "[30 30 30] [0 0 0 0]" in printed  # vectors of one's own
    assert "True" in printed  # the loaded model predicts what the saved one did
    assert RunFolder(tmp_path / "scenes-run").checkpoints() == [4]
    assert [line.split()[0] for line in printed[-5:]] == ["0", "1", "2", "3", "4"]
    # the stages give the labels of the estimator
    model: Any = names["model"]
    result: Any = names["result"]
    assert result.labels.tolist() == model.labels_.tolist()


def public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods that others may call."""
    for node in body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, f"{prefix}{node.name}.")


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda file: file.stem)
def test_a_list_of_parameters_is_whole(file: Path) -> None:
    for name, node in public(ast.parse(file.read_text(encoding="utf-8")).body, ""):
        _, listed, after = (ast.get_docstring(node) or "").partition("Parameters\n")
        if listed:
            arguments = (*node.args.args, *node.args.kwonlyargs)
            names = {argument.arg for argument in arguments} - {"self", "cls"}
            assert names <= set(re.findall(r"\w+", after)), name
