"""The tables of ``research.py``: every candidate on every set, and beside the base.

A value stands with its standard error over images and, after several seeds, with the one over
seeds: ``.412 ± .005, .008``. The mean over sets is that of the sets a candidate has; its gap is the
mean of their sizes, whatever the sign.
"""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from measures import unpacked
from numpy.typing import NDArray
from rows import Row

BASE, MEAN = "base", "mean over sets"
PAIRED = ("outcome", "probe")
MEASURES = {
    "probe": "probe",
    "nearest": "15-NN",
    "first": "first phase",
    "members": "its members",
    "network": "network",
    "outcome": "outcome",
    "confidence": "confidence",
    "gap": "gap",
    "minutes": "minutes",
}
Doubles = NDArray[np.float64]
Cell = dict[int, Row]  # of one candidate and set: row by seed
Table = dict[str, dict[str, Cell]]  # cell by candidate and set


def identity(row: Row) -> tuple[str, ...]:
    """What makes a row that row, whatever its candidate is called."""
    settings = json.dumps(row["settings"], sort_keys=True)
    return row["processor"], row["code"], settings, row["data"], str(row["seed"])


def print_tables(rows: list[Row], half: str | None, *, every_code: bool) -> None:
    """Tables for each kind of processor, of the rows of the last code or of every."""
    if rows and not every_code:
        rows = [row for row in rows if row["code"] == rows[-1]["code"]]
    for place in dict.fromkeys(row["processor"] for row in rows):
        table = tabulated([row for row in rows if row["processor"] == place])
        sets = list(dict.fromkeys(data for cells in table.values() for data in cells))
        print(f"\n{place}, {f'half {half}' if half else 'all'} of the labelled images")
        for data in sets:
            lines = {name: cells[data] for name, cells in table.items() if data in cells}
            print_lines(data, {name: [cell] for name, cell in lines.items()}, half)
        print_lines(MEAN, {n: list(c.values()) for n, c in table.items()}, half)
        if BASE in table:
            print_differences(table, half)
            for name in PAIRED:
                print_pairs(table, sets, name, half)


def tabulated(rows: list[Row]) -> Table:
    """Cells by candidate and set; a candidate has the name that its settings were last given."""
    names, last = {}, {}
    for row in rows:
        settings, name = identity(row)[2], row["candidate"]
        names[settings], last[name] = name, settings
    table: Table = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        name = names[settings := identity(row)[2]]
        label = name if last[name] == settings else f"{name}, earlier"
        table[label][row["data"]][row["seed"]] = row
    return table


# -- one cell ----------------------------------------------------------------------------------


def counts(row: Row, half: str | None) -> tuple[int, int]:
    """Labelled images in half a and in half b that count."""
    first = row["n"] // 2
    return (0 if half == "b" else first), (0 if half == "a" else row["n"] - first)


def value(row: Row, name: str, half: str | None) -> float:
    """NaN where the row does not say."""
    if name == "gap":
        return value(row, "confidence", half) - value(row, "outcome", half)
    if name == "minutes":
        return float(row[name])
    if name == "members":
        return float(np.mean(members(row, half)))
    return weighted(row.get(name, [np.nan] * 2), row, half)


def members(row: Row, half: str | None) -> list[float]:
    return [weighted(each, row, half) for each in row["members"]] or [np.nan]


def weighted(halves: list[float], row: Row, half: str | None) -> float:
    return float(np.average(halves, weights=counts(row, half)))


@dataclass(frozen=True)
class Value:
    """A mean, and its standard errors over images and over seeds; NaN where there is none."""

    mean: float
    images: float
    seeds: float

    @classmethod
    def of(cls, cell: Cell, name: str, half: str | None) -> Value:
        values = values_of(cell, name, half)
        images = np.nan
        if name not in ("confidence", "minutes"):
            right = values_of(cell, "outcome" if name == "gap" else name, half).mean()
            images = (right * (1 - right) / sum(counts(next(iter(cell.values())), half))) ** 0.5
        return cls(float(values.mean()), float(images), standard_error(values))

    @classmethod
    def over(cls, values: list[Value], *, sizes: bool) -> Value:
        """The mean over sets, or of the values' sizes."""
        means, *errors = np.array([(v.mean, v.images, v.seeds) for v in values]).T
        images, seeds = (float((each**2).sum() ** 0.5 / len(values)) for each in errors)
        return cls(float((np.abs(means) if sizes else means).mean()), images, seeds)

    def __str__(self) -> str:
        if np.isnan(self.mean):
            return ""
        errors = [f"{error:.3f}" for error in (self.images, self.seeds) if not np.isnan(error)]
        return f"{self.mean:.3f}" + (f" ± {', '.join(errors)}" if errors else "")


def values_of(cell: Cell, name: str, half: str | None) -> Doubles:
    return np.array([value(row, name, half) for row in cell.values()])


def standard_error(values: Doubles) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan


# -- the tables --------------------------------------------------------------------------------


def print_lines(title: str, lines: dict[str, list[Cell]], half: str | None) -> None:
    """A line for each candidate: the mean over its cells."""
    head(title, "sets" if title == MEAN else "seeds", *MEASURES.values())
    for candidate, cells in lines.items():
        texts = [str(len(cells) if title == MEAN else len(cells[0]))]
        for name in MEASURES:
            values = [Value.of(cell, name, half) for cell in cells]
            over = values[0] if title != MEAN else Value.over(values, sizes=name == "gap")
            text = str(over) if name != "minutes" else f"{over.mean:.1f}"
            if name == "members" and title != MEAN and text:
                each = [m for row in cells[0].values() for m in members(row, half)]
                text += f" ({min(each):.3f} to {max(each):.3f})"
            texts.append(text)
        line(candidate, *texts)


def print_differences(table: Table, half: str | None) -> None:
    """Candidates less the base, of the same sets and seeds; a star beyond two standard errors."""
    compared = [name for name in MEASURES if name != "minutes"]
    head(f"less {BASE}, mean over sets ± standard error over these", "sets", "pairs",
         *(MEASURES[name] for name in compared))  # fmt: skip
    for candidate, cells in table.items():
        pairs = {data: paired(table[BASE].get(data, {}), cell) for data, cell in cells.items()}
        pairs = {data: pair for data, pair in pairs.items() if pair[0]}
        if candidate == BASE or not pairs:
            continue
        texts = []
        for name in compared:
            found = np.array([difference(*pair, name, half) for pair in pairs.values()])
            error = standard_error(found)
            star = " *" if len(found) > 2 and abs(found.mean()) > 2 * error else ""
            texts.append(signed(float(found.mean()), error) + star)
        line(candidate, len(pairs), sum(len(ours) for ours, _ in pairs.values()), *texts)


def print_pairs(table: Table, sets: list[str], name: str, half: str | None) -> None:
    """Candidates less the base on each set, image by image; the error is over images alone."""
    head(f"less {BASE}, {MEASURES[name]}", *sets)
    for candidate, cells in table.items():
        if candidate != BASE:
            texts = []
            for data in sets:
                ours, theirs = paired(table[BASE].get(data, {}), cells.get(data, {}))
                gains = [rights(b, name, half) - rights(a, name, half)
                         for a, b in zip(ours.values(), theirs.values(), strict=True)]  # fmt: skip
                mean = np.mean(gains, 0) if gains else np.array([np.nan])
                texts.append(signed(float(mean.mean()), standard_error(mean)))
            line(candidate, *texts)


def paired(base: Cell, other: Cell) -> tuple[Cell, Cell]:
    """Those of the same seeds."""
    shared = [seed for seed in base if seed in other]
    return {seed: base[seed] for seed in shared}, {seed: other[seed] for seed in shared}


def difference(base: Cell, other: Cell, name: str, half: str | None) -> float:
    ours, theirs = (values_of(cell, name, half) for cell in (base, other))
    if name == "gap":
        ours, theirs = np.abs(ours), np.abs(theirs)
    return float((theirs - ours).mean())


def rights(row: Row, name: str, half: str | None) -> Doubles:
    """1 for every image that is right, 0 for the others."""
    right, middle = unpacked(row["right"][name], row["n"]).astype(np.float64), row["n"] // 2
    return {"a": right[:middle], "b": right[middle:]}.get(half or "", right)


def signed(mean: float, error: float) -> str:
    if np.isnan(mean):
        return ""
    return f"{mean:+.3f}" + ("" if np.isnan(error) else f" ± {error:.3f}")


def head(title: str, *columns: str) -> None:
    print()
    line(title, *columns)
    line(*["---"] * (len(columns) + 1))


def line(*cells: object) -> None:
    print(f"| {' | '.join(map(str, cells))} |")
