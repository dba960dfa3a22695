"""Do images of other kinds come out as outliers among photographs of houses?

    python benchmarks/duplicates.py make FOLDER
    aeclust train FOLDER --recipe pretrained --epochs 1 -k 4 --run RUN
    python benchmarks/outliers.py RUN

10 or 30 images of ``tiny10``, of ten kinds, join the photographs of a run that are no copies. A row
says what share of them is among as many with the largest factors: of
:func:`aeclust.clusters.nearest.outlier_factors`, of the mean distance alone, and of scikit-learn's
local outlier factor. As these images have 32 pixels a side, all are made so small first.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rows import append_row
from sets import SETS
from sklearn.neighbors import LocalOutlierFactor

from aeclust.clusters.nearest import OUTLIER_NEIGHBOURS, nearest, outlier_factors
from aeclust.clusters.neighbours import neighbour_vote
from aeclust.images import Source
from aeclust.run.context import Context
from aeclust.run.find.found import Found, found
from aeclust.run.folder import RunFolder
from aeclust.run.images import as_in_run, load_images
from aeclust.run.latents import embed_alike

SMALL, SIDE = 32, 192


def latents(of: Found, images: list[Image.Image]) -> NDArray[np.float32]:
    """Of images that are made as coarse as those of ``tiny10``."""
    with tempfile.TemporaryDirectory() as folder:
        for i, image in enumerate(images):
            small = image.convert("RGB").resize((SMALL, SMALL), Image.Resampling.BOX)
            small.resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(f"{folder}/{i:04d}.png")
        read = load_images(of.context, as_in_run(of.manifest, Source(location=folder)))
    made, _ = embed_alike(of.context, of.manifest, read, int(of.labels.details["epoch"]))
    return made


def main() -> None:
    of = found(Context(RunFolder(Path(sys.argv[1]))))
    rows = [i for i, name in enumerate(of.ids.tolist()) if name.count("-") == 1]
    folder = Path(of.manifest.source.location)
    houses = latents(of, [Image.open(folder / of.ids[i]) for i in rows])
    labels, tiny = of.clustered.prediction.labels[rows], SETS["tiny10"]()
    which = [i for kind in range(10) for i in np.flatnonzero(tiny.classes == kind)[:3].tolist()]
    others = latents(of, [Image.fromarray(tiny.pixels[i]) for i in which])
    for step in (3, 1):
        joined = np.concatenate([houses, others[::step]])
        voted, _ = neighbour_vote(others[::step], houses, labels, int(labels.max()) + 1)
        k = OUTLIER_NEIGHBOURS
        _, distances = nearest(joined, joined, k, exclude=np.arange(len(joined)))
        theirs = LocalOutlierFactor(n_neighbors=k).fit(joined)
        row: dict[str, object] = {"photographs": len(rows), "outliers": len(others[::step])}
        for name, values in {
            "aeclust": outlier_factors(distances, np.concatenate([labels, voted])),
            "mean distance": distances.mean(1),
            "local outlier factor": -theirs.negative_outlier_factor_,
        }.items():
            first = np.argsort(-values)[: len(others[::step])]
            row[name] = float((first >= len(rows)).mean().round(3))
        append_row("outliers", row)


if __name__ == "__main__":
    main()
