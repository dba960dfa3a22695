"""Accuracy of clusterings: data sets x methods x seeds, one table.

    python benchmarks/accuracy.py                          # all rows that are missing; many hours
    python benchmarks/accuracy.py --method hybrid --data landscape --seeds 0 1 2 3 4
    python benchmarks/accuracy.py --table                  # the rows measured so far
    python benchmarks/accuracy.py --figure docs/img/reliability.png

Every finished row is appended to ``benchmarks/results/accuracy.jsonl`` and not measured again while
its recipe stays what it was: the command can be stopped and repeated. Processors round differently,
so the same seed may give other clusters on another: with ``--here``, a row that only another kind
of processor measured is missing. ``landscape`` and ``cifar10`` are read from ``AECLUST_DATA`` (or
``../shared/data``), ``fashion-mnist`` from the Debian package ``dataset-fashion-mnist``; what is
absent is left out, and said. ``umap`` needs ``pip install umap-learn``; for the peer see
``benchmarks/peer.py``, which runs in an environment of its own and writes rows of the same kind.

Labels are read after the clustering, to score it. The answers for ``landscape``'s 8,500 training
images are held back, so its rows cluster these and the 500 validation images together, and score
the latter.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row, append_row, read_rows

from aeclust.clusters.clusterers import cluster
from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import best_names, score
from aeclust.estimator import AutoencoderClusterer
from aeclust.images import demo
from aeclust.recipe import named
from aeclust.run import doctor

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True)
class Set:
    """Images to cluster, and the classes that score them.

    Attributes
    ----------
    pixels : ndarray of shape (n, h, w, c)
    classes : ndarray of shape (n,)
        -1 where nobody knows: those images are clustered, but not scored.
    k : int
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    k: int


@dataclass(frozen=True)
class Found:
    """Labels (n,) of a set's images and, where the method says, how sure they are."""

    labels: NDArray[np.int64]
    confidence: NDArray[np.float32] | None = None


def landscape() -> Set:
    folder = DATA / "landscape"
    train, val, classes = (np.load(folder / f"{name}.npy") for name in ("trainX", "valX", "valY"))
    unknown = np.full(len(train), -1)
    return Set(np.concatenate([train, val]), np.concatenate([unknown, classes]), 2)


def cifar10() -> Set:
    with np.load(DATA / "cifar10" / "cifar10_test.npz", allow_pickle=False) as file:
        return Set(file["X"], file["y"].astype(np.int64), 10)


def fashion_mnist() -> Set:
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        classes = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return Set(pixels, classes, 10)


def built_in(name: str) -> Set:
    images = demo.load(name)
    return Set(images.pixels, images.labels, len(np.unique(images.labels)))


SETS: dict[str, Callable[[], Set]] = {
    "landscape": landscape,
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "demo:digits": lambda: built_in("digits"),
    "demo:scenes": lambda: built_in("scenes"),
}


# -- methods: a set and a seed in, labels of its images out ---------------------------------------


def flat(data: Set) -> NDArray[np.float32]:
    return np.asarray(data.pixels.reshape(len(data.pixels), -1) / 255, np.float32)


def pixels_kmeans(data: Set, seed: int) -> Found:
    return Found(cluster(flat(data), data.k, "kmeans", seed=seed))


def pca_kmeans(data: Set, seed: int) -> Found:
    points = reduce(flat(data), ("pca:50",), seed=seed)
    return Found(cluster(points, data.k, "kmeans", seed=seed))


@dataclass(frozen=True)
class Trained:
    """A recipe of aeclust with some fields changed, by its estimator."""

    name: str
    settings: dict[str, object]

    def __call__(self, data: Set, seed: int) -> Found:
        model = AutoencoderClusterer(
            data.k, recipe=self.name, settings=self.settings, random_state=seed
        ).fit(data.pixels)
        return Found(model.labels_, model.confidence_)


def recipe(name: str, **settings: object) -> Trained:
    return Trained(name, settings)


def digest(method: object) -> str | None:
    """What a method's recipe is today; None for methods without one."""
    if not isinstance(method, Trained):
        return None
    values = named(method.name).override(method.settings).to_json()
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def umap_gmm(data: Set, seed: int) -> Found:
    """N2D's idea (McConville et al., 2019): autoencoder, UMAP to k dimensions, Gaussian mixture."""
    import umap  # an extra of this benchmark alone

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
    points = umap.UMAP(
        n_components=data.k, n_neighbors=20, min_dist=0.0, random_state=seed
    ).fit_transform(model.transform(data.pixels))
    return Found(cluster(points, data.k, "gmm", seed=seed))


SHORT = {"epochs": 20, "precision": "auto"}
METHODS: dict[str, Callable[[Set, int], Found]] = {
    "pixels, k-means": pixels_kmeans,
    "PCA 50, k-means": pca_kmeans,
    "hybrid": recipe("hybrid"),
    "hybrid, 8 + 3 epochs": recipe("hybrid", epochs=8, label_epochs=3),
    "hybrid, 60 + 6 epochs": recipe("hybrid", epochs=60, label_epochs=6),
    "baseline, 20 epochs": recipe("baseline", **SHORT),
    "vae, 20 epochs": recipe("vae", **SHORT),
    "deep, 20 epochs": recipe("deep", **SHORT),
    "baseline": recipe("baseline", precision="auto"),
    "vae": recipe("vae", precision="auto"),
    "deep": recipe("deep", precision="auto"),
    "umap": umap_gmm,
    "hybrid, first phase alone": recipe("hybrid", label_epochs=0),
    "hybrid, k-means": recipe("hybrid", clusterer="kmeans"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--method", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--here", action="store_true", help="measure rows of other processors too")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--figure", type=Path, metavar="PICTURE")
    asked = parser.parse_args()
    if asked.figure:
        draw_reliability(read(), asked.figure)
        return
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
                if not known(name, method, seed, here=asked.here):
                    measure(name, data, method, seed)


def known(data: str, method: str, seed: int, *, here: bool = False) -> bool:
    """Whether a row is there, of any processor or of this one."""
    rows = [
        row for row in read() if (row["data"], row["method"], row["seed"]) == (data, method, seed)
    ]
    return any(row["processor"] == processor() for row in rows) if here else bool(rows)


def processor() -> str:
    """The name of this machine's processor."""
    return doctor.examine(Path()).devices[0].name


def measure(name: str, data: Set, method: str, seed: int) -> None:
    """Run one row and append it."""
    started = time.monotonic()
    outcome = METHODS[method](data, seed)
    minutes = (time.monotonic() - started) / 60
    scored = data.classes >= 0
    classes = data.classes[scored]
    found = score(outcome.labels[scored], classes)
    row = {
        "data": name,
        "method": method,
        "seed": seed,
        "recipe": digest(METHODS[method]),
        "accuracy": round(found.accuracy, 4),
        "nmi": round(found.nmi, 4),
        "ari": round(found.ari, 4),
        "sizes": np.sort(np.bincount(outcome.labels))[::-1].tolist(),
        "minutes": round(minutes, 2),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    if outcome.confidence is not None:
        row |= reliability(outcome.labels[scored], outcome.confidence[scored], classes)
    append_row("accuracy", row)


def reliability(
    labels: NDArray[np.int64], confidence: NDArray[np.float32], classes: NDArray[np.int64]
) -> dict[str, Any]:
    """Accuracy of the more confident half, and confidence against accuracy in tenths."""
    names = best_names(labels, classes, int(max(labels.max(), classes.max())) + 1)
    right = (names[labels] == classes)[np.argsort(-confidence, kind="stable")]
    sure = np.sort(confidence)[::-1]
    tenths = zip(np.array_split(sure, 10), np.array_split(right, 10), strict=True)
    return {
        "confident_half": round(float(right[: len(right) // 2].mean()), 4),
        "tenths": [[round(float(c.mean()), 4), round(float(r.mean()), 4)] for c, r in tenths],
    }


def draw_reliability(found: list[Row], file: Path) -> None:
    """Accuracy against confidence of the default recipe: a line for every set, mean of its rows."""
    figure, axes = plt.subplots(figsize=(3.6, 3.4), layout="constrained")
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfectly calibrated")
    markers = iter("osD^v")
    for data in SETS:
        own = [r for r in found if (r["data"], r["method"]) == (data, "hybrid")]
        tenths = [r["tenths"] for r in own if "tenths" in r]
        if tenths:
            sure, right = np.mean(tenths, axis=0).T
            axes.plot(sure, right, marker=next(markers), markersize=4, label=data)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.2, 1.01), ylim=(0, 1.01))
    axes.legend(fontsize="x-small", loc="lower right")
    figure.savefig(file, dpi=200)


def read() -> list[Row]:
    """The rows that hold: those of a recipe that has changed since do not."""
    return [
        row
        for row in read_rows("accuracy")
        if row.get("recipe") == digest(METHODS.get(row["method"]))
    ]


def table(found: list[Row]) -> str:
    """Markdown: mean, spread (half the range) and seeds of every data set, method and processor."""
    found = [row | mean_confidence(row) for row in found]
    lines = [
        "| data (k) | method | seeds | accuracy | confidence | confident half | NMI | ARI |"
        " minutes | processor |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = {name: i for i, name in enumerate(SETS)}
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(found, key=lambda r: (order.get(r["data"], 99), r["method"], r["seed"])):
        groups.setdefault((row["data"], row["method"], row["processor"]), []).append(row)
    for (data, method, where), group in groups.items():
        columns = ("accuracy", "confidence", "confident_half", "nmi", "ari")
        cells = [mean(group, column) for column in columns]
        minutes = sum(row["minutes"] for row in group) / len(group)
        seeds = ", ".join(str(row["seed"]) for row in group)
        k = len(group[0]["sizes"])
        short = re.sub(r"\(\w+\)| Processor", "", where)
        lines.append(
            f"| {data} ({k}) | {method} | {seeds} | {' | '.join(cells)} | {minutes:.1f} | {short} |"
        )
    return "\n".join(lines)


def mean_confidence(row: Row) -> Row:
    """What a row's tenths claim together."""
    return {"confidence": float(np.mean(row["tenths"], 0)[0])} if "tenths" in row else {}


def mean(group: list[Row], column: str) -> str:
    values = [row[column] for row in group if column in row]
    if not values:
        return ""
    spread = (max(values) - min(values)) / 2
    return f"{sum(values) / len(values):.3f}" + (f" ± {spread:.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
