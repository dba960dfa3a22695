"""docs/json.md lists every key that --json prints, and its type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import TOP_COMMANDS, Cli, Data, one_error

from aeclust.run.folder import RunFolder

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
SECTIONS = {
    title: re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, flags=re.MULTILINE)
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
ARGUMENTS = {
    "embed": ["embed"],
    "cluster": ["cluster", "--clusterer", "consensus"],
    "update": ["update"],
    "predict": ["predict"],
    "reconstruct": ["reconstruct", "--idx", "1,0"],
    "checkpoint-curve": [
        "checkpoint-curve", "--val-images", "{val}", "--val-labels", "{val_labels}",
    ],
    "plot": ["plot", "--labels", "{labels}"],
    "plot --gallery": ["plot", "--gallery"],
    "report": ["report"],
    "find similar": ["find", "similar", "0", "-n", "3"],
    "find duplicates": ["find", "duplicates"],
    "find outliers": ["find", "outliers", "-n", "3"],
    "ask": ["ask", "-n", "3"],
    "name": ["name"],
    "name --labels": ["name", "--labels", "{labels}"],
    "export": ["export", "sorted"],
    "evaluate": ["evaluate", "{labels}", "{labels}"],
    "edit": ["edit", "drop", "0"],
    "compare": ["compare", "aeclust-run", "{val_labels}"],
    "info": ["info"],
    "info FILE": ["info", "aeclust-run/labels.h5"],
    "doctor": ["doctor"],
}  # fmt: skip


def fits(value: object, kind: str) -> bool:
    """Whether a value is of a kind as the page names it."""
    if kind.startswith("list of ") and not kind.endswith(" or null"):
        inner = kind.removeprefix("list of ")
        return isinstance(value, list) and all(fits(one, inner) for one in value)
    if " or " in kind and kind != "true or false":
        first, _, last = kind.rpartition(" or ")
        return fits(value, first) or fits(value, last)
    return {
        "text": isinstance(value, str),
        "whole number": type(value) is int,
        "number": type(value) in (int, float),
        "true or false": isinstance(value, bool),
        "object": isinstance(value, dict),
        "null": value is None,
    }[kind]


def at(value: Any, path: str) -> Iterator[Any]:
    """The values that a path of the page names."""
    if not path:
        yield value
        return
    key, _, rest = path.partition(".")
    for one in value[key[:-2]] if key.endswith("[]") else [value[key]]:
        yield from at(one, rest)


def check(title: str, value: dict[str, Any]) -> None:
    rows = SECTIONS[title]
    for path, kind in rows:
        assert all(fits(one, kind) for one in at(value, path)), f"{path} is no {kind}"
    parents = {path.rpartition(".")[0] for path, _ in rows}
    for parent in parents:
        start = f"{parent}." if parent else ""
        below = [path.removeprefix(start) for path, _ in rows if path.startswith(start)]
        for one in at(value, parent):
            assert list(one) == [name for name in below if "." not in name], parent


def test_every_command_has_its_section() -> None:
    assert {title.partition(" ")[0] for title in SECTIONS} == {*TOP_COMMANDS, "metrics.jsonl"}
    assert {*ARGUMENTS, "train", "metrics.jsonl"} == SECTIONS.keys()


@pytest.mark.parametrize("title", ARGUMENTS)
def test_the_page_lists_what_a_command_prints(
    cli: Cli, full_run: RunFolder, data: Data, title: str
) -> None:
    places = {"val": data.val_images, "val_labels": data.val_labels, "labels": data.labels}
    arguments = [argument.format(**places) for argument in ARGUMENTS[title]]
    code, out, err = cli(*arguments, "--json")
    assert (code, out.count("\n")) == (0, 1), err
    check(title, json.loads(out))


def test_the_page_lists_what_training_prints_and_logs(cli: Cli, run: RunFolder) -> None:
    code, out, err = cli("train", "--resume", "--json")
    assert code == 0, err
    result = json.loads(out)
    check("train", result)
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 12))
    for line in lines:
        check("metrics.jsonl", line)
    assert result["metrics"] == lines[-1]


def test_a_config_is_an_object_too(cli: Cli) -> None:
    code, out, _ = cli("train", "--write-config", "--json", "--lr", "0.5")
    assert code == 0
    assert json.loads(out)["lr"] == 0.5
    assert json.loads(out)["name"] == "hybrid"


def test_an_error_is_the_same_with_json(cli: Cli) -> None:
    text = "aeclust-run: there is no run here; expected a folder made by aeclust train"
    assert text in one_error(cli("predict", "--json"))
