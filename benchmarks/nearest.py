"""Seconds of the exact neighbours of many random latents, on one thread of its own time.

    OMP_NUM_THREADS=1 python benchmarks/nearest.py           # a tenth of 100,000 queries

scikit-learn's brute force is timed on the same queries.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from rows import append_row
from sklearn.neighbors import NearestNeighbors

from aeclust.clusters.nearest import nearest

N, TENTH, COUNT = 100_000, 10_000, 20


def main() -> None:
    torch.set_num_threads(1)
    for d in (64, 320):
        points = np.random.default_rng(0).normal(size=(N, d)).astype(np.float32)
        start = time.process_time()
        rows, _ = nearest(points[:TENTH], points, COUNT, exclude=np.arange(TENTH))
        ours = time.process_time() - start
        search = NearestNeighbors(n_neighbors=COUNT + 1, algorithm="brute").fit(points)
        start = time.process_time()
        theirs = search.kneighbors(points[: TENTH // 10], return_distance=False)
        seconds = 10 * (time.process_time() - start)
        same = np.mean(np.sort(rows[: TENTH // 10], 1) == np.sort(theirs[:, 1:], 1))
        row = {"n": N, "d": d, "seconds": round(10 * ours, 1), "same": float(same)}
        append_row("nearest", row | {"scikit-learn": round(10 * seconds, 1)})


if __name__ == "__main__":
    main()
