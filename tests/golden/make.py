"""Makes a run of every kind of artifact, to be kept and read by later versions.

    python tests/golden/make.py FOLDER RECIPE
    python tests/golden/make.py FOLDER pictures

``1-first`` was made by the first version that wrote format 1 (baseline), ``1-two-phases`` by the
first whose labels hold probabilities (hybrid), its ``curve.h5`` by the first that kept the
checkpoint curve, ``1-folder`` by the first that kept what an image folder was decoded to. They are
never made anew: a version that cannot read them has broken a promise. A change of the format gets
a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from aeclust.errors import Interrupted
from aeclust.images import Source
from aeclust.recipe import named
from aeclust.run.clusters import cluster
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.pictures import checkpoint_curve, plot
from aeclust.run.train import train


def main(folder: Path, recipe_name: str) -> None:
    folder.mkdir()
    os.chdir(folder)  # so that the run remembers its images by a relative path
    rng = np.random.default_rng(0)
    kinds = np.arange(24) % 2
    noise = rng.integers(-30, 31, (24, 8, 8, 3))
    colours = np.array([[50, 80, 170], [200, 160, 60]])
    np.save("images.npy", (colours[kinds][:, None, None] + noise).astype(np.uint8))
    small: dict[str, object] = {"channels": (4, 8), "image_size": 8, "batch_size": 8, "epochs": 1}
    if recipe_name == "hybrid":
        small["label_epochs"] = 1
    else:
        small |= {"reduction": "pca:2", "clusterer": "kmeans"}
    recipe = named(recipe_name).override(small)
    source = Source(location="images.npy")
    context = Context(folder=RunFolder(Path("run")))
    train(context, source, recipe, seed=0)
    cluster(context)
    plot(context)
    checkpoint_curve(context)
    seen: list[object] = []
    stopped = Context(
        folder=RunFolder(Path("stopped")), observe=seen.append, signal=lambda: 2 if seen else None
    )
    with contextlib.suppress(Interrupted):
        train(stopped, source, recipe, seed=0)
    for extra in (*Path().rglob("*.png"), *Path().rglob("*.csv"), *Path().rglob(".lock")):
        extra.unlink()


def keep_pictures(folder: Path) -> None:
    folder.mkdir()
    os.chdir(folder)
    Path("pictures").mkdir()
    for i, colour in enumerate(["red", "lime", "blue"]):
        Image.new("RGB", (4, 3), colour).save(Path("pictures") / f"{i}é.png")
    Path("pictures/bad.png").write_bytes(b"no image")
    recipe = named("baseline").override({"channels": (4, 8), "image_size": 8, "epochs": 1})
    source = Source(location="pictures", skip_bad=True)
    train(Context(folder=RunFolder(Path("run"))), source, recipe, seed=0)
    os.replace("run/images.h5", "images.h5")
    shutil.rmtree("run")
    shutil.rmtree("pictures")


if __name__ == "__main__":
    if sys.argv[2] == "pictures":
        keep_pictures(Path(sys.argv[1]))
    else:
        main(Path(sys.argv[1]), sys.argv[2])
