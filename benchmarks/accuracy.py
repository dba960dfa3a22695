"""Accuracy of clusterings: data sets x methods x seeds, one table.

    python benchmarks/accuracy.py                          # all rows that are missing; many hours
    python benchmarks/accuracy.py --method hybrid --data landscape --seeds 0 1 2 3 4
    python benchmarks/accuracy.py --table                  # the rows measured so far

Every finished row is appended to ``benchmarks/results/accuracy.jsonl`` and never measured again:
the command can be stopped and repeated. ``landscape`` and ``cifar10`` are read from
``AECLUST_DATA`` (or ``../shared/data``), ``fashion-mnist`` from the Debian package
``dataset-fashion-mnist``; what is absent is left out, and said. ``umap`` needs
``pip install umap-learn``; for the peer see ``benchmarks/peer.py``, which runs in an environment of
its own and writes rows of the same kind.

Labels are read after the clustering, to score it. The answers for ``landscape``'s training images
are held back, so its rows score the 500 validation images: labelled by the vote of their training
neighbours, or, where the chain has t-SNE, embedded and clustered by themselves (the report's way).
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from aeclust import AutoencoderClusterer, demo, metrics
from aeclust.clustering import cluster, neighbour_vote
from aeclust.reduction import reduce

RESULTS = Path(__file__).parent / "results" / "accuracy.jsonl"
DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Set:
    """Images to cluster, the images that are scored, and their classes.

    Attributes
    ----------
    pixels : ndarray of shape (n, h, w, c)
    scored : ndarray of shape (m, h, w, c) or None
        None scores the images that were clustered.
    classes : ndarray of shape (m,) or (n,)
    k : int
    """

    pixels: NDArray[np.uint8]
    scored: NDArray[np.uint8] | None
    classes: NDArray[np.int64]
    k: int


def landscape() -> Set:
    folder = DATA / "landscape"
    train, val, classes = (np.load(folder / f"{name}.npy") for name in ("trainX", "valX", "valY"))
    return Set(train, val, classes, 2)


def cifar10() -> Set:
    with np.load(DATA / "cifar10" / "cifar10_test.npz", allow_pickle=False) as file:
        return Set(file["X"], None, file["y"].astype(np.int64), 10)


def fashion_mnist() -> Set:
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        classes = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return Set(pixels, None, classes, 10)


def digits() -> Set:
    images = demo.load("digits")
    return Set(images.pixels, None, images.labels, 10)


def scenes() -> Set:
    images = demo.load("scenes")
    return Set(images.pixels, None, images.labels, 2)


SETS: dict[str, Callable[[], Set]] = {
    "landscape": landscape,
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "demo:digits": digits,
    "demo:scenes": scenes,
}


# -- methods: a set and a seed in, labels of the scored images out --------------------------------


def flat(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(pixels.reshape(len(pixels), -1) / 255, np.float32)


def by_points(
    data: Set, points: NDArray[Any], others: NDArray[Any] | None, clusterer: str, seed: int
) -> NDArray[np.int64]:
    """Cluster points; scored images that are not among them get their neighbours' vote."""
    labels = cluster(points, data.k, clusterer, seed=seed)
    return labels if others is None else neighbour_vote(others, points, labels, data.k)[0]


def pixels_kmeans(data: Set, seed: int) -> NDArray[np.int64]:
    others = None if data.scored is None else flat(data.scored)
    return by_points(data, flat(data.pixels), others, "kmeans", seed)


def pca_kmeans(data: Set, seed: int) -> NDArray[np.int64]:
    both = flat(data.pixels if data.scored is None else np.concatenate([data.pixels, data.scored]))
    points = reduce(both, ("pca:50",), seed=seed)
    own, others = points[: len(data.pixels)], points[len(data.pixels) :]
    return by_points(data, own, others if len(others) else None, "kmeans", seed)


def recipe(name: str, **settings: object) -> Callable[[Set, int], NDArray[np.int64]]:
    """A recipe of aeclust, by its estimator."""

    def run(data: Set, seed: int) -> NDArray[np.int64]:
        model = AutoencoderClusterer(
            data.k, recipe=name, settings={**settings}, random_state=seed
        ).fit(data.pixels)
        if data.scored is None:
            return model.labels_
        if not model.recipe_.transductive:
            return model.predict(data.scored)
        points = reduce(
            model.transform(data.scored),
            model.recipe_.reduction,
            seed=seed,
            perplexity=model.recipe_.perplexity,
        )
        return cluster(points, data.k, model.recipe_.clusterer, seed=seed)

    return run


def umap_gmm(data: Set, seed: int) -> NDArray[np.int64]:
    """N2D's idea (McConville et al., 2019): autoencoder, UMAP to k dimensions, Gaussian mixture."""
    import umap  # type: ignore[import-not-found]  # an extra of this benchmark alone

    model = AutoencoderClusterer(
        data.k,
        recipe="baseline",
        settings={
            "epochs": 20,
            "lr": 1e-3,
            "precision": "auto",
            "reduction": "pca:50",
            "clusterer": "kmeans",
        },
        random_state=seed,
    ).fit(data.pixels)
    both = data.pixels if data.scored is None else np.concatenate([data.pixels, data.scored])
    points = umap.UMAP(
        n_components=data.k, n_neighbors=20, min_dist=0.0, random_state=seed
    ).fit_transform(model.transform(both))
    own, others = points[: len(data.pixels)], points[len(data.pixels) :]
    return by_points(data, own, others if len(others) else None, "gmm", seed)


SHORT = {"epochs": 20, "precision": "auto"}
METHODS: dict[str, Callable[[Set, int], NDArray[np.int64]]] = {
    "pixels, k-means": pixels_kmeans,
    "PCA 50, k-means": pca_kmeans,
    "hybrid": recipe("hybrid"),
    "baseline, 20 epochs": recipe("baseline", **SHORT),
    "vae, 20 epochs": recipe("vae", **SHORT),
    "deep, 20 epochs": recipe("deep", **SHORT),
    "umap": umap_gmm,
    "hybrid, first phase alone": recipe("hybrid", label_epochs=0),
    "hybrid, k-means": recipe("hybrid", clusterer="kmeans"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--method", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print(table(read()))
        return
    for name in asked.data:
        try:
            data = SETS[name]()
        except FileNotFoundError as error:
            print(f"{name} is left out: {error.filename} is absent", file=sys.stderr)
            continue
        for method in asked.method:
            for seed in asked.seeds:
                if not any(key(row) == (name, method, seed) for row in read()):
                    measure(name, data, method, seed)


def measure(name: str, data: Set, method: str, seed: int) -> None:
    """Run one row and append it."""
    started = time.monotonic()
    labels = METHODS[method](data, seed)
    minutes = (time.monotonic() - started) / 60
    found = metrics.scores(labels, data.classes)
    row = {
        "data": name,
        "method": method,
        "seed": seed,
        "accuracy": round(found.accuracy, 4),
        "nmi": round(found.nmi, 4),
        "ari": round(found.ari, 4),
        "sizes": sorted(found.sizes.values(), reverse=True),
        "minutes": round(minutes, 2),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    print(json.dumps(row), flush=True)
    append(row)


def append(row: dict[str, Any]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    with open(RESULTS, "a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def key(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["data"], row["method"], row["seed"]


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown: mean, spread (half the range) and seeds of every data set and method."""
    lines = [
        "| data (k) | method | seeds | accuracy | NMI | ARI | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = {name: i for i, name in enumerate(SETS)}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda r: (order.get(r["data"], 99), r["method"], r["seed"])):
        groups.setdefault((row["data"], row["method"]), []).append(row)
    for (data, method), group in groups.items():
        cells = [mean(group, column) for column in ("accuracy", "nmi", "ari")]
        minutes = sum(row["minutes"] for row in group) / len(group)
        seeds = ", ".join(str(row["seed"]) for row in group)
        k = len(group[0]["sizes"])
        lines.append(f"| {data} ({k}) | {method} | {seeds} | {' | '.join(cells)} | {minutes:.1f} |")
    return "\n".join(lines)


def mean(group: list[dict[str, Any]], column: str) -> str:
    values = [row[column] for row in group]
    spread = (max(values) - min(values)) / 2
    return f"{sum(values) / len(values):.3f}" + (f" ± {spread:.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
