"""The report's observations as measurements.

    python benchmarks/report_questions.py            # about forty minutes of one core
    python benchmarks/report_questions.py --table    # the table of the rows measured so far

Each row trains one variant on one set and measures twelve checkpoints: reconstruction error over
all training images, accuracy of the training images, and accuracy of the validation images, each
clustered by the recipe's own chain (the report's protocol). Rows are kept in
``benchmarks/results/report_questions.jsonl`` and never measured twice. CIFAR-10 is read from
``AECLUST_DATA`` (or ``../shared/data``) and left out where it is absent.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rows import append_row, read_rows

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.curve import rank_correlation
from aeclust.clusters.scores import score
from aeclust.images import demo
from aeclust.network import inference, training
from aeclust.network.model import build, load_state
from aeclust.recipe import RECIPES, Recipe
from aeclust.run.checkpoints import checkpoint_epochs

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CPU = torch.device("cpu")
EPOCHS = 11

# The questions: SGD against Adam on one network, the bound against the squared error on another.
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "baseline, Adam 1e-5": ("baseline", {}),
    "baseline, Adam 1e-3": ("baseline", {"lr": 1e-3}),
    "baseline, SGD 0.1, momentum 0.9": (
        "baseline",
        {"optimizer": "sgd", "lr": 0.1, "momentum": 0.9},
    ),
    "vae, MSE, Adam 1e-3": ("vae", {"lr": 1e-3}),
    "vae, bound, Adam 1e-3": ("vae", {"lr": 1e-3, "loss": "elbo"}),
    "deep, SGD 0.1, momentum 0.9": ("deep", {}),
    "deep, Adam 1e-3": ("deep", {"optimizer": "adam", "lr": 1e-3, "momentum": 0.0}),
}


@dataclass(frozen=True)
class Split:
    """Images and classes to train on, and others to validate on."""

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    val_pixels: NDArray[np.uint8]
    val_classes: NDArray[np.int64]


def sets() -> Iterator[tuple[str, Split, list[str]]]:
    """Every set with the variants to train on it."""
    file = DATA / "cifar10" / "cifar10_test.npz"
    if file.exists():
        with np.load(file, allow_pickle=False) as cifar:
            x, y = cifar["X"], cifar["y"].astype(np.int64)
        split = Split(x[:1000], y[:1000], x[1000:1500], y[1000:1500])
        yield "CIFAR-10 (1,000)", split, ["baseline, Adam 1e-3"]
    train, val = demo.load("scenes"), demo.load("scenes-val")
    split = Split(train.pixels[:1000], train.labels[:1000], val.pixels, val.labels)
    yield "demo:scenes (1,000)", split, list(VARIANTS)


def measure(split: Split, recipe: Recipe, seed: int) -> list[dict[str, float]]:
    """Error, training accuracy and validation accuracy of every checkpoint."""
    kept = set(checkpoint_epochs(recipe))
    snapshots: dict[int, dict[str, NDArray[Any]]] = {}

    def keep(moment: training.Moment) -> None:
        if moment.step == 0 and moment.epoch in kept:
            snapshots[moment.epoch] = moment.snapshot().weights

    training.train(split.pixels, recipe, seed=seed, device=CPU, observe=keep)
    rows = []
    network = build(recipe, 3, seed=0)
    for epoch, weights in snapshots.items():
        load_state(network, weights)

        def embed(pixels: NDArray[Any]) -> NDArray[np.float32]:
            return inference.embed(network, pixels)

        def accuracy(latents: NDArray[np.float32], classes: NDArray[np.int64]) -> float:
            found = cluster_latents(latents, recipe, seed=seed)
            return score(found.labels, classes).accuracy

        latents = embed(split.pixels)
        mse = inference.mean_squared_error(network, split.pixels, latents)
        rows.append(
            {
                "epoch": epoch,
                "mse": mse,
                "train": accuracy(latents, split.classes),
                "val": accuracy(embed(split.val_pixels), split.val_classes),
            }
        )
    return rows


def main() -> None:
    done = read_rows("report_questions")
    if "--table" in sys.argv:
        print(table(done))
        return
    for data, split, variants in sets():
        for variant in variants:
            if any((row["data"], row["variant"]) == (data, variant) for row in done):
                continue
            name, settings = VARIANTS[variant]
            k = len(np.unique(split.classes))
            recipe = RECIPES[name].override(
                {**settings, "epochs": EPOCHS, "k": k, "precision": "bfloat16"}
            )
            started = time.monotonic()
            points = measure(split, recipe, seed=0)
            minutes = (time.monotonic() - started) / 60
            row = {
                "data": data,
                "variant": variant,
                "seed": 0,
                "minutes": minutes,
                "points": points,
            }
            append_row("report_questions", row)
            print(table([row]), flush=True)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: the ends of each curve, its best, and the three rank correlations."""
    head = (
        "data | variant | MSE first > last | train accuracy first > last (best) |"
        " validation first > last (best) | rho MSE, train | rho MSE, val | rho train, val"
    )
    lines = [f"| {head} |", "|" + " --- |" * 8]
    for row in rows:
        mse, train, val = (np.array([p[c] for p in row["points"]]) for c in ("mse", "train", "val"))
        pairs = ((mse, train), (mse, val), (train, val))
        rho = [rank_correlation(a, b) for a, b in pairs]
        cells = [
            row["data"],
            row["variant"],
            f"{mse[0]:.3f} > {mse[-1]:.4f}",
            *(f"{a[0]:.3f} > {a[-1]:.3f} ({a.max():.3f})" for a in (train, val)),
            *("undefined" if r is None else f"{r:+.2f}" for r in rho),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
