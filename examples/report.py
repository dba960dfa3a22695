"""The report on NTU ML2020 homework 9 through Python: three networks and their validation accuracy.

python examples/report.py FOLDER     # trainX.npy, valX.npy and valY.npy; hours on two cores
python examples/report.py --quick    # 500 built-in images, small networks, one epoch
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aeclust import AutoencoderClusterer
from aeclust.clusters.scores import score
from aeclust.images import demo


def main(folder: str) -> None:
    quick: dict[str, object] = {}
    if folder == "--quick":
        train, val = demo.load("scenes-val"), demo.scenes(100, seed=2)
        images, val_images, val_labels = train.pixels, val.pixels, val.labels
        quick = {"epochs": 1, "batch_size": 128}
    else:
        images, val_images, val_labels = (
            np.load(Path(folder) / name) for name in ("trainX.npy", "valX.npy", "valY.npy")
        )
    for recipe in ("baseline", "vae", "deep"):
        channels = (8, 16, 32) if recipe != "deep" else (8, 16, 32, 64, 128)
        settings = {**quick, "channels": channels} if quick else None
        model = AutoencoderClusterer(2, recipe=recipe, settings=settings, random_state=0)
        model.fit(images)
        scores = score(model.predict(val_images), val_labels)
        copies = model.inverse_transform(model.transform(val_images[:6]))
        print(
            f"{recipe}: accuracy {scores.accuracy:.3f}, ARI {scores.ari:.3f}, drew {copies.shape}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
