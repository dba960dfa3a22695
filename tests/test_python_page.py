"""Every block of docs/python.md is run; docstrings list parameters that there are."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pages import blocks

import aeclust
from aeclust.run.folder import RunFolder

PACKAGE = Path(aeclust.__file__).parent


def test_every_block_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    codes = blocks("docs/python.md", "python")
    assert len(codes) >= 6
    for code in codes:
        exec(compile(code, "docs/python.md", "exec"), names)
    said = capsys.readouterr().out.splitlines()
    assert "(50, 32)" in said
    assert "(50, 16, 16, 3)" in said
    assert "True" in said  # the loaded model predicts what the saved one did
    assert RunFolder(tmp_path / "scenes-run").checkpoints() == [4]
    assert [line.split()[0] for line in said[-5:]] == ["0", "1", "2", "3", "4"]
    # the stages give the labels of the estimator
    model: Any = names["model"]
    result: Any = names["result"]
    assert result.labels.tolist() == model.labels_.tolist()


def public(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.AST]]:
    """Functions, classes and methods that others may call."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            yield f"{prefix}{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{prefix}{node.name}.")


def public_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for file in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for name, node in public(tree.body, f"{file.relative_to(PACKAGE)}: "):
            if isinstance(node, ast.FunctionDef):
                yield name, node


def test_the_parameters_of_a_docstring_are_those_of_its_function() -> None:
    functions = list(public_functions())
    assert len(functions) > 200
    for name, node in functions:
        _, _, after = (ast.get_docstring(node) or "").partition("Parameters\n----------\n")
        section = re.split(r"\n\n\w+\n--", after)[0]
        listed = ", ".join(re.findall(r"^(\w+(?:, \w+)*) :", section, flags=re.MULTILINE))
        taken = {each.arg for each in ast.walk(node.args) if isinstance(each, ast.arg)}
        assert set(filter(None, listed.split(", "))) <= taken, name


def test_the_examples_of_docstrings_are_right() -> None:
    files = [f for f in sorted(PACKAGE.rglob("*.py")) if ">>>" in f.read_text(encoding="utf-8")]
    assert len(files) > 5
    for file in files:
        name = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        module = importlib.import_module(name.removesuffix(".__init__"))
        assert doctest.testmod(module).failed == 0, name
