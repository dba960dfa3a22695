"""Measured rows: one JSON object a line, appended when it is known and never lost."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aeclust.run import doctor

Row = dict[str, Any]
RESULTS = Path(__file__).parent / "results"


def read_rows(name: str) -> list[Row]:
    """The rows of ``results/NAME.jsonl``."""
    file = RESULTS / f"{name}.jsonl"
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def append_row(name: str, row: Row, *, hidden: Collection[str] = ()) -> None:
    """Keep one more row, and print it but for what is hidden."""
    print(json.dumps({key: row[key] for key in row if key not in hidden}), flush=True)
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def processor(kind: str = "cpu") -> str:
    """The name of this machine's processor, or of its first device of another kind."""
    devices = doctor.examine(Path()).devices
    return next(device.name for device in devices if device.kind == kind)
