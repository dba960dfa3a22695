"""Which number that needs no labels goes with accuracy through training?

    python benchmarks/indicators.py            # the runs that are missing, about 3 minutes each
    python benchmarks/indicators.py --table    # the table of the runs measured so far

Two recipes are trained on at most 1,500 images of each set, with three seeds; each of their
checkpoints is measured as ``aeclust checkpoint-curve`` does, its accuracy on 500 other images. A
run's row holds Spearman's rank correlation of every indicator with accuracy. Rows are kept in
``benchmarks/results/indicators.jsonl`` and never measured twice. ``landscape`` and ``cifar10`` are
read from ``AECLUST_DATA`` (or ``../shared/data``) and left out where they are absent.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import append_row, read_rows

from aeclust.clusters.indicators import INDICATORS
from aeclust.images import demo
from aeclust.network import training
from aeclust.network.model import build, load_state
from aeclust.recipe import named
from aeclust.run.checkpoints import checkpoint_epochs
from aeclust.run.curve import checkpoint_curve

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CPU = torch.device("cpu")
TRAINED, SCORED = 1_500, 500
SEEDS = (0, 1, 2)

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "hybrid": ("hybrid", {"epochs": 9, "label_epochs": 3}),
    "baseline": (
        "baseline",
        {"epochs": 11, "lr": 1e-3, "precision": "auto", "reduction": "pca:20"},
    ),
}

Split = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]


def landscape() -> Split:
    train, val, y = (np.load(DATA / "landscape" / f"{n}.npy") for n in ("trainX", "valX", "valY"))
    return train[:TRAINED], val, y


def cifar10() -> Split:
    with np.load(DATA / "cifar10" / "cifar10_test.npz", allow_pickle=False) as file:
        return cut(file["X"], file["y"].astype(np.int64))


def digits() -> Split:
    images = demo.load("digits")
    order = np.random.default_rng(0).permutation(len(images.labels))
    return cut(images.pixels[order], images.labels[order])


def scenes() -> Split:
    train, val = demo.load("scenes"), demo.load("scenes-val")
    return train.pixels[:TRAINED], val.pixels, val.labels


def cut(pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Split:
    """The last 500 images are scored, and at most 1,500 others trained on."""
    return pixels[:-SCORED][:TRAINED], pixels[-SCORED:], classes[-SCORED:]


SETS: dict[str, Callable[[], Split]] = {
    "landscape": landscape,
    "cifar10": cifar10,
    "demo:digits": digits,
    "demo:scenes": scenes,
}


def measure(split: Split, method: str, seed: int) -> dict[str, Any]:
    """Correlations with accuracy, and the accuracies themselves, of one run's checkpoints."""
    pixels, scored, classes = split
    name, settings = RECIPES[method]
    recipe = named(name).override({**settings, "k": len(np.unique(classes))})
    kept = set(checkpoint_epochs(recipe))
    snapshots: dict[int, dict[str, NDArray[Any]]] = {}

    def keep(moment: training.Moment) -> None:
        if moment.step == 0 and moment.epoch in kept:
            snapshots[moment.epoch] = moment.snapshot().weights

    training.train(pixels, recipe, seed=seed, device=CPU, observe=keep)
    network = build(recipe, pixels.shape[3], seed=0)

    def networks() -> Any:
        for epoch, weights in snapshots.items():
            load_state(network, weights)
            yield epoch, network.eval()

    found = checkpoint_curve(networks(), pixels, recipe, seed=seed, validation=(scored, classes))
    accuracies = [point.accuracy for point in found.points if point.accuracy is not None]
    return {
        "correlations": found.correlations,
        "accuracies": [round(accuracy, 4) for accuracy in accuracies],
        "fall": None if found.fall is None else round(found.fall[2], 4),
    }


def main() -> None:
    if "--table" in sys.argv[1:]:
        print(table(read_rows("indicators")))
        return
    for method in RECIPES:
        for data, load in SETS.items():
            try:
                split = load()
            except FileNotFoundError as error:
                print(f"{data} is left out: {error.filename} is absent", file=sys.stderr)
                continue
            for seed in SEEDS:
                done = {(r["data"], r["method"], r["seed"]) for r in read_rows("indicators")}
                if (data, method, seed) in done:
                    continue
                started = time.monotonic()
                row = {"data": data, "method": method, "seed": seed}
                row |= measure(split, method, seed)
                row["minutes"] = round((time.monotonic() - started) / 60, 2)
                append_row("indicators", row)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean rank correlation with accuracy over the seeds, and their range."""
    names = ("mse", *INDICATORS)
    lines = [
        f"| recipe | data | {' | '.join(names)} |",
        "| --- | --- |" + " --- |" * len(names),
    ]
    for method in RECIPES:
        for data in SETS:
            group = [r for r in rows if (r["data"], r["method"]) == (data, method)]
            if group:
                cells = [cell([r["correlations"][name] for r in group]) for name in names]
                lines.append(f"| {method} | {data} | {' | '.join(cells)} |")
    return "\n".join(lines)


def cell(values: list[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "undefined"
    return f"{np.mean(known):+.2f} ({min(known):+.2f} to {max(known):+.2f})"


if __name__ == "__main__":
    main()
