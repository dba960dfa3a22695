"""docs/json.md lists every key that --json prints, and its type."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import TOP_COMMANDS, Cli, Data, one_error

from aeclust.run.folder import RunFolder

PAGE = (Path(__file__).parents[2] / "docs" / "json.md").read_text(encoding="utf-8")
ROW = re.compile(r"^- `([^`]+)` \(([^)]+)\): ", re.MULTILINE)
SECTIONS = {
    title: ROW.findall(text)
    for title, text in re.findall(r"^## ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}
# the keys of a section are those of all its commands, so that each of them is seen once at least
COMMANDS = {
    "embed": ["embed"],
    "cluster": [
        "cluster --clusterer consensus -k auto",
        "cluster --clusterer consensus -k 2 --known {labels}",
    ],
    "update": ["update"],
    "predict": ["predict"],
    "reconstruct": ["reconstruct --idx 1,0"],
    "checkpoint-curve": ["checkpoint-curve --val-images {val} --val-labels {val_labels}"],
    "plot": ["plot --labels {labels}"],
    "plot --gallery": ["plot --gallery"],
    "report": ["report"],
    "find similar": ["find similar 0 -n 3"],
    "find duplicates": ["find duplicates --run twice"],
    "find outliers": ["find outliers -n 3"],
    "ask": ["ask -n 3"],
    "name": ["name", "name --labels {labels}"],
    "export": ["export sorted"],
    "evaluate": ["evaluate {labels} {labels}"],
    "edit": ["edit drop 0", "edit list"],
    "compare": ["compare aeclust-run other.npy"],
    "info": ["info"],
    "info FILE": ["info aeclust-run/labels.h5"],
    "doctor": ["doctor"],
}  # fmt: skip


def fits(value: object, kind: str) -> bool:
    """Whether a value is of a kind as the page names it; a plural is a list."""
    alone = {
        "text": isinstance(value, str),
        "integer": type(value) is int,
        "number": type(value) in (int, float),
        "boolean": isinstance(value, bool),
        "object": isinstance(value, dict),
        "null": value is None,
    }
    if kind in alone:
        return alone[kind]
    if kind.startswith("lists of "):
        return isinstance(value, list) and all(fits(one, kind[9:]) for one in value)
    kinds = kind.split(" or ")
    if all(each.endswith("s") for each in kinds):
        ones = " or ".join(each.removesuffix("s") for each in kinds)
        return isinstance(value, list) and all(fits(one, ones) for one in value)
    return any(fits(value, each) for each in kinds)


def at(value: Any, path: str) -> Iterator[Any]:
    """The values that a path of the page names; none below what is null."""
    if not path:
        yield value
        return
    key, _, rest = path.partition(".")
    for one in value[key[:-2]] if key.endswith("[]") else [value[key]]:
        if one is not None or not rest:
            yield from at(one, rest)


def check(title: str, values: Sequence[dict[str, Any]]) -> None:
    """The keys that are printed are those of the page, in its order, and each of them is seen."""
    rows = SECTIONS[title]
    for path, kind in rows:
        seen = [one for value in values for one in at(value, path)]
        assert seen, f"no {path} was printed"
        assert all(fits(one, kind) for one in seen), f"{path} is no {kind}"
    for parent in {path.rpartition(".")[0] for path, _ in rows}:
        start = f"{parent}." if parent else ""
        below = [path.removeprefix(start) for path, _ in rows if path.startswith(start)]
        for one in (one for value in values for one in at(value, parent)):
            if one is not None:
                assert list(one) == [name for name in below if "." not in name], parent


def test_every_command_has_its_section() -> None:
    assert {title.partition(" ")[0] for title in SECTIONS} == {*TOP_COMMANDS, "metrics.jsonl"}
    assert {*COMMANDS, "train", "metrics.jsonl"} == SECTIONS.keys()
    documented = sum(len(rows) for rows in SECTIONS.values())
    assert documented == len(re.findall("^- ", PAGE, re.MULTILINE))


@pytest.mark.parametrize("title", COMMANDS)
def test_the_page_lists_what_a_command_prints(
    cli: Cli, full_run: RunFolder, data: Data, title: str
) -> None:
    places = {"val": data.val_images, "val_labels": data.val_labels, "labels": data.labels}
    if "other.npy" in COMMANDS[title][0]:
        np.save("other.npy", np.append(1 - np.load(data.labels)[:1], np.load(data.labels)[1:]))
    if "twice" in COMMANDS[title][0]:
        np.save("twice.npy", np.repeat(np.eye(9, dtype=np.float32), 2, 0))
        assert cli("embed", "--features", "twice.npy", "--run", "twice").code == 0
    values = []
    for words in COMMANDS[title]:
        code, out, err = cli(*words.format(**places).split(), "--json")
        assert (code, out.count("\n")) == (0, 1), err
        values.append(json.loads(out))
    check(title, values)


def test_the_page_lists_what_training_prints_and_logs(cli: Cli, run: RunFolder) -> None:
    code, out, err = cli("train", "--resume", "--json")
    assert code == 0, err
    result = json.loads(out)
    check("train", [result])
    lines = [json.loads(line) for line in run.metrics_file.read_text().splitlines()]
    assert [line["epoch"] for line in lines] == list(range(1, 12))
    check("metrics.jsonl", lines)
    assert result["metrics"] == lines[-1]


def test_a_config_is_an_object_too(cli: Cli) -> None:
    code, out, _ = cli("train", "--write-config", "--json", "--lr", "0.5")
    assert code == 0
    assert json.loads(out)["lr"] == 0.5
    assert json.loads(out)["name"] == "hybrid"


def test_an_error_is_the_same_with_json(cli: Cli) -> None:
    text = "aeclust-run: there is no run here; expected a folder made by aeclust train"
    assert text in one_error(cli("predict", "--json"))
