"""New images: how good are their labels beside those of images that were clustered along?

    python benchmarks/newcomers.py landscape-known cifar10 --seeds 0 1
    python benchmarks/newcomers.py --table        # the rows measured so far

A set is cut into two halves, and a network is trained on each: every image is once one of those
that are clustered (*along*), and once new to the network of the other half. There it is labelled by
``aeclust predict`` (*predict*), by the vote of its 15 nearest references (*vote*), and
clustered together with the half that the network learnt from (*update*).
Clusters are named by the classes of the half that was trained on. Each row is appended to
 ``benchmarks/results/newcomers.jsonl``.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, append_row, read_rows
from sets import SETS, Set

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clustering import Views
from aeclust.clusters.neighbours import label_others
from aeclust.clusters.newcomers import label_new
from aeclust.clusters.scores import best_names
from aeclust.network import inference
from aeclust.network.training import train
from aeclust.recipe import Recipe, named

WAYS = ("along", "predict", "vote", "update")
Answers = dict[str, NDArray[np.int64]]


def answers(
    data: Set, ours: NDArray[np.int64], new: NDArray[np.int64], recipe: Recipe, seed: int
) -> tuple[Answers, dict[str, float]]:
    """Classes that are said of the images in some rows, and of new ones; mean confidences."""
    network = train(data.pixels[ours], recipe, seed=seed, device=torch.device("cpu"))
    latents, others = (inference.embed(network, data.pixels[rows]) for rows in (ours, new))
    assigned, theirs = (inference.assign(network, each) for each in (latents, others))
    views = Views(*inference.random_views(network, data.pixels[ours], seed=seed, labelled=True))
    found = cluster_latents(latents, recipe, seed=seed, assignments=assigned, views=views)
    both = cluster_latents(
        np.concatenate([latents, others]), recipe, seed=seed,
        assignments=np.concatenate([assigned, theirs]),
    ).labels  # fmt: skip
    known = data.classes[ours] >= 0

    def named_by(labels: NDArray[np.int64], shown: NDArray[np.int64]) -> NDArray[np.int64]:
        """New labels by the classes that images of the same clusters have."""
        return best_names(labels[known], data.classes[ours][known], data.k)[shown]

    base = latents, found.labels, found.references, found.k, found.shares
    own = (theirs, assigned) if found.by_network else None
    predicted, confidence = label_new(others, *base, own=own)
    said = {
        "along": named_by(found.labels, found.labels),
        "predict": named_by(found.labels, predicted),
        "vote": named_by(found.labels, label_others(others, *base)[0]),
        "update": named_by(both[: len(ours)], both[len(ours) :]),
    }
    sure = {"along": float(found.confidence.mean()), "predict": float(confidence.mean())}
    return said, sure


def measure(name: str, seed: int) -> Row:
    """Both halves of a set."""
    data, started = SETS[name](), time.perf_counter()
    recipe = named("hybrid").override({"k": data.k})
    halves = np.array_split(np.random.default_rng(seed).permutation(len(data.pixels)), 2)
    right = {way: np.zeros(len(data.pixels)) for way in WAYS}
    sure = []
    for ours, new in (halves, halves[::-1]):
        said, confidence = answers(data, ours, new, recipe, seed)
        sure.append(confidence)
        for way, classes in said.items():
            rows = ours if way == "along" else new
            right[way][rows] = classes == data.classes[rows]
    scored = data.classes >= 0
    row: Row = {"set": name, "seed": seed, "images": int(scored.sum())}
    for way in WAYS:
        gap = (right[way] - right["along"])[scored]
        row[way] = round(float(right[way][scored].mean()), 4)
        row[f"{way} error"] = round(float(gap.std() / np.sqrt(len(gap))), 4)
    for way in ("along", "predict"):
        row[f"{way} confidence"] = round(float(np.mean([each[way] for each in sure])), 4)
    row["minutes"] = round((time.perf_counter() - started) / 60, 1)
    append_row("newcomers", row)
    return row


def table(rows: list[Row]) -> str:
    """Accuracy along; and, with its standard error, how far new images are from it."""
    lines = ["set              seed images  along" + "".join(f"{way:>18}" for way in WAYS[1:])]
    for row in rows:
        gaps = [f"{row[w] - row['along']:+9.4f} ({row[f'{w} error']:.4f})" for w in WAYS[1:]]
        lines.append(
            f"{row['set']:16} {row['seed']:4} {row['images']:6} {row['along']:6.4f}"
            + "".join(f" {gap:>17}" for gap in gaps)
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", choices=[[], *SETS], metavar="SET")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in options.sets if not options.table else ():
        for seed in options.seeds:
            measure(name, seed)
    print(table(read_rows("newcomers")))


if __name__ == "__main__":
    main()
