"""Accuracy against the minutes of `aeclust train --minutes`: sets x minutes x seeds.

    python benchmarks/minutes.py --sets landscape-known cifar10 --minutes 2 5 10
    python benchmarks/minutes.py --pace                     # steps of every rung, on this machine
    python benchmarks/minutes.py --table
    python benchmarks/minutes.py --figure docs/img/minutes.png

What minutes buy is chosen by the program, from the pace of two idle cores that ``--pace`` measured
and `PACES` keeps. Accuracy depends on the recipe alone, so a row may be trained on one thread that
other work holds up. Finished rows are appended to ``results/minutes.jsonl`` and not measured again.
Labels are read after the clustering, to score it, as in ``research.py``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import code_of
from methods import settings_of
from research import Job, loaded, measured
from rows import Row, append_row, processor, read_rows
from sets import SETS

from aeclust.network.pace import Paces
from aeclust.network.parallel import Team
from aeclust.recipe import DEFAULT_RECIPE, Recipe, named
from aeclust.recipe.budget import Pace, affordable, ladder
from aeclust.show.palette import colour, marker
from aeclust.show.style import COLUMN, encoded, new_figure, tidy

SIZES = ("channels", "extra_layers", "crops", "view_scale", "crop_scale")
CHOSEN = ("landscape-known", "animals", "cifar10")
MINUTES = (2, 5, 10, 30)
# Seconds of a step of 256 images of 32 x 32 pixels in either phase, and of looking for clusters
# among 10,000: two idle cores of an Intel Xeon with AMX.
PACES: dict[tuple[tuple[int, ...], int], Pace] = {
    ((32, 64, 128), 0): Pace(0.150, 0.180, 5.6),
    ((64, 128, 256), 0): Pace(0.341, 0.400, 7.9),
    ((128, 256, 512), 0): Pace(1.06, 1.30, 16.7),
    ((128, 256, 512), 1): Pace(1.63, 1.94, 24.5),
    ((192, 384, 768), 1): Pace(4.02, 4.47, 46.7),
}
_START, _MEASURING, _LONGEST = 2.0, 0.05, 20.0  # seconds to start, and of measuring
_SPENT = 0.96  # of the rest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=CHOSEN)
    parser.add_argument("--minutes", nargs="+", type=float, default=MINUTES)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--pace", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--figure", type=Path, metavar="PICTURE")
    asked = parser.parse_args()
    if asked.pace:
        print_paces()
    elif asked.table:
        print(table(read_rows("minutes")))
    elif asked.figure:
        draw(read_rows("minutes"), asked.figure)
    else:
        for job, minutes in missing(asked):
            row = {**measured(job), "minutes_asked": minutes}
            append_row("minutes", row, hidden=("settings", "right"))


def bought(minutes: float, n: int, k: int) -> Recipe:
    """What the program trains on n images."""

    def pace(recipe: Recipe) -> Pace:
        first, second, between = PACES[recipe.channels, recipe.extra_layers]
        share = recipe.batch_of(n) / 256
        return Pace(share * first, share * second, between * n / 10_000)

    left = _SPENT * (60 * minutes - _START - min(_LONGEST, _MEASURING * 60 * minutes))
    return affordable(named(DEFAULT_RECIPE).override({"k": k}), n, lambda: left, pace).recipe


def missing(asked: argparse.Namespace) -> Iterator[tuple[Job, float]]:
    """Rows that are asked for and not there, in the order of seeds, minutes and sets."""
    place = processor()
    code = code_of("aeclust.network.training", "aeclust.network.inference")
    for seed in asked.seeds:
        for minutes in asked.minutes:
            for data in asked.sets:
                try:
                    images = loaded(data)
                except FileNotFoundError as error:
                    print(f"{data} is left out: {error.filename} is absent", file=sys.stderr)
                    continue
                recipe = bought(minutes, len(images.pixels), images.k)
                names = (*SIZES, "epochs", "label_epochs")
                fields = {name: recipe.to_json()[name] for name in names}
                found = [
                    (row["data"], row["seed"], row["fields"])
                    for row in read_rows("minutes")
                    if row["minutes_asked"] == minutes
                ]
                if (data, seed, fields) not in found:
                    settings = settings_of(recipe) or {}
                    job = Job(f"{minutes:g}", settings, data, seed, place, code, fields, "cpu")
                    yield job, minutes


def print_paces() -> None:
    """Seconds of every rung, on as many threads as torch has."""
    pixels = np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3), np.uint8)
    paces = Paces(pixels, seed=0, seconds=20.0, team=Team())
    print(f"{processor()}, {torch.get_num_threads()} threads")
    for recipe, least in ladder(named(DEFAULT_RECIPE))[0]:
        print(
            recipe.channels, recipe.extra_layers, f"from {least} steps", paces(recipe), flush=True
        )


def table(rows: list[Row]) -> str:
    """Markdown: a line for every set and number of minutes, means over seeds.

    The standard error is that of the scored images, of one seed.
    """
    lines = [
        "| set | minutes | channels | epochs | seeds | accuracy | probe | 15-NN |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    groups: dict[tuple[str, float, str], list[Row]] = {}
    for row in sorted(rows, key=lambda row: (list(SETS).index(row["data"]), row["minutes_asked"])):
        fields = row["fields"]
        what = f"{','.join(map(str, fields['channels']))} | {fields['epochs']} + "
        what += str(fields["label_epochs"])
        groups.setdefault((row["data"], row["minutes_asked"], what), []).append(row)
    for (data, minutes, what), group in groups.items():
        accuracy, probe, nearest = (
            float(np.mean([row[name] for row in group])) for name in ("outcome", "probe", "nearest")
        )
        error = sqrt(accuracy * (1 - accuracy) / group[0]["n"])
        seeds = ", ".join(str(row["seed"]) for row in group)
        lines.append(
            f"| {data} | {minutes:g} | {what} | {seeds} | {accuracy:.3f} ± {error:.3f} |"
            f" {probe:.3f} | {nearest:.3f} |"
        )
    return "\n".join(lines)


def draw(rows: list[Row], file: Path) -> None:
    """Accuracy and what a probe knows against minutes: two lines for every set, means of seeds."""
    with new_figure(COLUMN, 2.6) as figure:
        axes = figure.add_subplot()
        tidy(axes)
        for data in SETS:
            own = [row for row in rows if row["data"] == data]
            minutes = sorted({row["minutes_asked"] for row in own})
            if not minutes:
                continue
            group = len(axes.lines) // 2
            look: Any = {"color": colour(group), "marker": marker(group)}
            ends = []
            for column, style in (("outcome", "-"), ("probe", ":")):
                means = [
                    np.mean([row[column] for row in own if row["minutes_asked"] == each])
                    for each in minutes
                ]
                ends.append(means[-1])
                axes.plot(minutes, means, style, markersize=3, **look)
            ends_last = minutes[-1] == max(row["minutes_asked"] for row in rows)
            axes.annotate(
                data,
                (minutes[-1], sum(ends) / 2),  # between its two lines
                (0 if ends_last else 6, 0),
                textcoords="offset points",
                ha="right" if ends_last else "left",
                va="center",
                color=colour(group),
            )
        axes.set_xscale("log")
        axes.set(
            xlabel="minutes on two idle cores", ylabel="accuracy; dotted: probe", ylim=(0.3, 1)
        )
        last = max(row["minutes_asked"] for row in rows)
        first = min(row["minutes_asked"] for row in rows)
        ticks = [each for each in (1, *MINUTES) if first <= each <= last]
        axes.set_xticks(ticks, [str(each) for each in ticks])
        axes.minorticks_off()
        file.write_bytes(encoded(figure, "png"))


if __name__ == "__main__":
    main()
