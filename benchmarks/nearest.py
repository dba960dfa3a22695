"""Seconds of the neighbours of many points, exact and in cells, on one thread of its own time.

    OMP_NUM_THREADS=1 python benchmarks/nearest.py           # 100,000 points of each kind

Exact ones are found for some of the queries; scikit-learn's brute force is timed on the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from rows import append_row
from sklearn.neighbors import NearestNeighbors

from aeclust.clusters.nearest import nearest
from aeclust.images import demo

N, SOME, COUNT = 100_000, 2_000, 20


def normal(d: int) -> NDArray[np.float32]:
    """Independent values: nothing says where the near ones are."""
    return np.random.default_rng(0).normal(size=(N, d)).astype(np.float32)


def bent() -> NDArray[np.float32]:
    """Twelve directions, bent into 256 values."""
    rng = np.random.default_rng(0)
    ways = rng.normal(size=(12, 256)) / np.sqrt(12)
    return np.asarray(np.tanh(rng.normal(size=(N, 12)) @ ways), np.float32)


def pictures() -> NDArray[np.float32]:
    """Scenes in grey, 8 pixels a side."""
    pixels = demo.scenes(N, seed=5).pixels
    return np.asarray(pixels.reshape(N, 8, 4, 8, 4, 3).mean((2, 4, 5)).reshape(N, 64), np.float32)


KINDS: dict[str, Callable[[], NDArray[np.float32]]] = {
    "normal": lambda: normal(64),
    "normal, 320 values": lambda: normal(320),
    "12 directions bent into 256 values": bent,
    "scenes of 8 x 8 pixels": pictures,
}


def main() -> None:
    torch.set_num_threads(1)
    for kind, make in KINDS.items():
        points, own = make(), np.arange(N)
        start = time.process_time()
        rows, distances = nearest(points[:SOME], points, COUNT, exclude=own[:SOME])
        exact = (time.process_time() - start) * N / SOME
        start = time.process_time()
        found, apart = nearest(points, points, COUNT, exclude=own)
        cells = time.process_time() - start
        search = NearestNeighbors(n_neighbors=COUNT + 1, algorithm="brute").fit(points)
        start = time.process_time()
        theirs = search.kneighbors(points[: SOME // 2], return_distance=False)
        seconds = (time.process_time() - start) * 2 * N / SOME
        known = [set(row) for row in rows.tolist()]
        shares = [
            len(a & set(b)) / COUNT for a, b in zip(known, found[:SOME].tolist(), strict=True)
        ]
        row = {
            "n": N, "d": points.shape[1], "kind": kind,
            "seconds": round(exact, 1), "scikit-learn": round(seconds, 1),
            "same": float(np.mean(np.sort(rows[: SOME // 2], 1) == np.sort(theirs[:, 1:], 1))),
            "in cells": round(cells, 1), "found": round(float(np.mean(shares)), 4),
            "nearest found": round(float((apart[:SOME, 0] == distances[:, 0]).mean()), 4),
            "farther": round(float(apart[:SOME].mean() / distances.mean() - 1), 5),
        }  # fmt: skip
        append_row("nearest", row)


if __name__ == "__main__":
    main()
