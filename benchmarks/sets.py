"""The data sets of the benchmarks: images to cluster, and the classes that score them.

All but the built-in ones are read from ``AECLUST_DATA`` (or ``../shared/data``), ``fashion-mnist``
from the Debian package ``dataset-fashion-mnist``. What is absent raises ``FileNotFoundError``.
"""

from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeclust.images import Source, demo, load

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
FASHION = Path("/usr/share/datasets/fashion-mnist")


@dataclass(frozen=True, eq=False)
class Set:
    """Images to cluster, and the classes that score them.

    Attributes
    ----------
    pixels : ndarray of shape (n, h, w, c)
    classes : ndarray of shape (n,)
        -1 where nobody knows: those images are clustered, but not scored.
    k : int
    folder : Path or None
        Of photographs, which a method may read larger than `pixels`, in the same order.
    """

    pixels: NDArray[np.uint8]
    classes: NDArray[np.int64]
    k: int
    folder: Path | None = None


def landscape() -> Set:
    folder = DATA / "landscape"
    train, val, classes = (np.load(folder / f"{name}.npy") for name in ("trainX", "valX", "valY"))
    unknown = np.full(len(train), -1)
    return Set(np.concatenate([train, val]), np.concatenate([unknown, classes]), 2)


def landscape_known() -> Set:
    """The training images alone, scored on the answers for 3,500 of them."""
    pixels = np.load(DATA / "landscape" / "trainX.npy")
    classes = np.full(len(pixels), -1)
    for name, label in labels_of(DATA / "landscape" / "known.csv").items():
        classes[int(name)] = int(label)
    return Set(pixels, classes, 2)


def houses() -> Set:
    truth = labels_of(DATA / "houses.csv")
    folder = DATA / "houses"
    images = load(Source(location=str(folder), size=32))
    kinds, classes = np.unique([truth[name] for name in images.ids.tolist()], return_inverse=True)
    return Set(images.pixels, classes, len(kinds), folder)


def labels_of(file: Path) -> dict[str, str]:
    """Label by id."""
    with open(file, newline="", encoding="utf-8") as table:
        return {row["id"]: row["label"] for row in csv.DictReader(table)}


def arrays(name: str) -> Set:
    with np.load(DATA / f"{name}.npz", allow_pickle=False) as file:
        classes = file["y"].astype(np.int64)
        return Set(file["X"], classes, len(np.unique(classes)))


def fashion_mnist() -> Set:
    with gzip.open(FASHION / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)
    with gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz") as file:
        classes = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return Set(pixels, classes, 10)


def digits() -> Set:
    images = demo.load("digits")
    return Set(images.pixels, images.labels, 10)


def scenes() -> Set:
    """More of them than the demo has, which is to be fast."""
    images = demo.scenes(3000, seed=0)
    return Set(images.pixels, images.labels, 2)


SETS: dict[str, Callable[[], Set]] = {
    "landscape": landscape,
    "landscape-known": landscape_known,
    "outdoor": lambda: arrays("outdoor"),
    "animals": lambda: arrays("animals"),
    "cifar10": lambda: arrays("cifar10/cifar10_test"),
    "tiny10": lambda: arrays("tiny10"),
    "houses": houses,
    "fashion-mnist": fashion_mnist,
    "demo:digits": digits,
    "demo:scenes": scenes,
}
