"""Makes files of every kind in the present format, to be read by later versions.

    rm -r tests/golden/1; python tests/golden/make.py

A change of the format gets a number and a folder of its own; once a version is released, its files
are never made anew: a version that cannot read them has broken a promise.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from aeclust import artifact as artifacts
from aeclust.errors import Interrupted
from aeclust.images import Source
from aeclust.recipe import Recipe, named
from aeclust.run.clusters import cluster
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.maps import plot
from aeclust.run.pictures import checkpoint_curve
from aeclust.run.train import train

SMALL: dict[str, object] = {"channels": (4, 8), "image_size": 8, "batch_size": 8, "epochs": 1}
RECIPES = {
    "baseline": named("baseline").override({**SMALL, "reduction": "pca:2", "clusterer": "kmeans"}),
    "two-phases": named("hybrid").override({**SMALL, "label_epochs": 1}),
}


def main() -> None:
    """Fill the folder of this format, which must not be there."""
    folder = Path(__file__).parent / "1"
    folder.mkdir()
    os.chdir(folder)  # so that the runs remember their images by a relative path
    rng = np.random.default_rng(0)
    kinds = np.arange(24) % 2  # bluish and yellowish images by turns
    noise = rng.integers(-30, 31, (24, 8, 8, 3))
    colours = np.array([[50, 80, 170], [200, 160, 60]])
    np.save("images.npy", (colours[kinds][:, None, None] + noise).astype(np.uint8))
    for name, recipe in RECIPES.items():
        keep_run(name, recipe)
    keep_pictures(RECIPES["baseline"])
    keep_features(named("pretrained").override({**SMALL, "image_size": 32, "drawn_size": 8}))
    for extra in (*Path().rglob("*.png"), *Path().rglob("*.csv"), *Path().rglob(".lock")):
        extra.unlink()
    digests = {
        str(file): {
            name: hashlib.sha256(values.tobytes()).hexdigest()
            for name, values in artifacts.read(file).arrays.items()
        }
        for file in sorted(Path().rglob("*.h5"))
    }
    Path("digests.json").write_text(json.dumps(digests, indent=1))


def keep_run(name: str, recipe: Recipe) -> None:
    """A run with all that is made of it, and one that was stopped after the first epoch."""
    source = Source(location="images.npy")
    context = Context(folder=RunFolder(Path(name)))
    train(context, source, recipe, seed=0)
    cluster(context)
    plot(context)
    checkpoint_curve(context)
    seen: list[object] = []
    stopped = Context(
        folder=RunFolder(Path(f"{name}-stopped")),
        observe=seen.append,
        signal=lambda: 2 if seen else None,
    )
    with contextlib.suppress(Interrupted):
        train(stopped, source, recipe, seed=0)


def keep_pictures(recipe: Recipe) -> None:
    """What a folder of pictures was decoded to."""
    pictures = Path("pictures")
    pictures.mkdir()
    for i, colour in enumerate(["red", "lime", "blue"]):
        Image.new("RGB", (4, 3), colour).save(pictures / f"{i}é.png")
    (pictures / "bad.png").write_bytes(b"no image")
    source = Source(location="pictures", skip_bad=True)
    train(Context(folder=RunFolder(Path("run"))), source, recipe, seed=0)
    for name in ("images.h5", "previews.h5"):
        os.replace(f"run/{name}", name)
    shutil.rmtree("run")
    shutil.rmtree("pictures")


def keep_features(recipe: Recipe) -> None:
    """What a frozen encoder made of images."""
    train(Context(folder=RunFolder(Path("run"))), Source(location="images.npy"), recipe, seed=0)
    os.replace("run/features.h5", "features.h5")
    shutil.rmtree("run")


if __name__ == "__main__":
    main()
