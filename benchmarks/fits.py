"""Which square of a photograph is clustered best: its centre, all of it squeezed, or with a border.

    python benchmarks/fits.py --seeds 0 1 2 3 4        # about two minutes a row on one core

`houses`, 2,140 photographs of four kinds in many shapes, is read from ``AECLUST_DATA`` (or
``../shared/data``); its labels only score. Every row is printed as it comes, with the accuracy by
the best matching of four clusters that the default recipe finds.
"""

from __future__ import annotations

import argparse
import csv
import os
from pathlib import Path

import numpy as np
import torch

from aeclust.clusters.scores import score
from aeclust.estimator import AutoencoderClusterer
from aeclust.images import FITS, Source, load

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(DATA / "houses.csv", newline="", encoding="utf-8") as file:
        truth = {row["id"]: row["label"] for row in csv.DictReader(file)}
    for seed in options.seeds:
        for fit in FITS:
            images = load(Source(location=str(DATA / "houses"), size=32, fit=fit))
            classes = np.unique([truth[name] for name in images.ids.tolist()], return_inverse=True)
            model = AutoencoderClusterer(n_clusters=4, random_state=seed).fit(images.pixels)
            print(seed, fit, f"{score(model.labels_, classes[1]).accuracy:.3f}", flush=True)


if __name__ == "__main__":
    main()
