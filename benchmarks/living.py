"""A folder that grows: how good labels are of photographs that come a third at a time.

    python benchmarks/living.py --seeds 0 1       # about 8 minutes a seed on two cores
    python benchmarks/living.py --table           # the rows measured so far

``houses`` is read from ``AECLUST_DATA`` (or ``../shared/data``). A run is trained on two thirds of
the houses, all four photographs of each. The last third is added to the folder. Then labels are
those of ``aeclust predict``, of ``aeclust update`` and of ``aeclust train --continue``, in this
order, and of a run that is trained on all. Labels of others score, and do nothing else. Each row is
appended to ``benchmarks/results/living.jsonl``.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from rows import Row, append_row, read_rows

from aeclust.cli import main as command
from aeclust.clusters.scores import best_names

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
EACH, K = 4, 4  # photographs of a house, and kinds of them


def labels_of(file: str) -> dict[str, str]:
    """Label by id."""
    with open(file, newline="", encoding="utf-8") as table:
        return {row["id"]: row["label"] for row in csv.DictReader(table)}


def aeclust(*arguments: object) -> float:
    """Run one command; the seconds it took."""
    started = time.perf_counter()
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()) as err,
    ):
        code = command([*map(str, arguments)])
    if code:
        sys.exit(f"aeclust {' '.join(map(str, arguments))}: {err.getvalue()}")
    return time.perf_counter() - started


def scored(run: Path, truth: dict[str, str], added: set[str]) -> dict[str, float]:
    """Accuracy of all and of those added, by one matching of clusters and kinds for all."""
    aeclust("predict", "--run", run, "-o", run / "labels.csv")
    predicted = labels_of(str(run / "labels.csv"))
    ids = sorted(predicted)
    kinds = sorted(set(truth.values()))
    clusters = np.array([int(predicted[name]) for name in ids])
    classes = np.array([kinds.index(truth[name]) for name in ids])
    right = best_names(clusters, classes, K)[clusters] == classes
    new = np.array([name in added for name in ids])
    return {"all": float(right.mean()), "new": float(right[new].mean() if new.any() else np.nan)}


def measure(seed: int, threads: int) -> list[Row]:
    """One draw of the houses that come later, and one seed of training."""
    truth = labels_of(str(DATA / "houses.csv"))
    houses = np.array(sorted(truth)).reshape(-1, EACH)
    late = np.random.default_rng(seed).permutation(len(houses))[: len(houses) // 3]
    added = set(houses[late].reshape(-1).tolist())
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        photos, run = Path(place) / "photos", Path(place) / "run"
        photos.mkdir()
        flags = ("--seed", seed, "--threads", threads)

        def note(what: str, seconds: float, run: Path = run) -> None:
            row: Row = {"seed": seed, "threads": threads, "what": what}
            row |= {**scored(run, truth, added), "seconds": round(seconds, 1)}
            append_row("living", row)
            rows.append(row)
            print(row, flush=True)

        for name in sorted(set(truth) - added):
            shutil.copy(DATA / "houses" / name, photos / name)
        note("train on two thirds", aeclust("train", photos, "-k", K, "--run", run, *flags))
        for name in sorted(added):
            shutil.copy(DATA / "houses" / name, photos / name)
        spent = aeclust("predict", "--run", run, "-o", run / "labels.csv")
        note("predict with a third added", spent)
        note("update", aeclust("update", "--run", run))
        note("train --continue", aeclust("train", "--continue", "--run", run, "--threads", threads))
        whole = Path(place) / "whole"
        note("train on all", aeclust("train", photos, "-k", K, "--run", whole, *flags), whole)
    return rows


def table(rows: list[Row]) -> str:
    """Mean and spread over seeds."""
    lines = ["what                        seeds   all  sd    new  sd    seconds"]
    for what in dict.fromkeys(row["what"] for row in rows):
        some = [row for row in rows if row["what"] == what]
        every, new = (np.array([row[name] for row in some], float) for name in ("all", "new"))
        spread = [values.std(ddof=1) if len(some) > 1 else np.nan for values in (every, new)]
        seconds = np.mean([row["seconds"] for row in some])
        lines.append(
            f"{what:27} {len(some):5} {every.mean():6.3f} {spread[0]:5.3f}"
            f" {new.mean():6.3f} {spread[1]:5.3f} {seconds:7.1f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    if not options.table:
        for seed in options.seeds:
            measure(seed, options.threads)
    print(table(read_rows("living")))


if __name__ == "__main__":
    main()
