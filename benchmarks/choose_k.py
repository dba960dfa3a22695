"""How often does ``-k auto`` find the number of classes?

    aeclust train ../shared/data/houses -k auto --run houses
    python benchmarks/choose_k.py houses:4 digits:10

Each argument is a run with its latents, and the number of classes that its images have. The number
of clusters is estimated with three seeds, and beside it stands what the silhouette alone would say,
which decided before: the smallest of 2 to 15 clusters within a standard error of the best was taken
then, here the best is, because samples are no longer kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from aeclust import artifact
from aeclust.clusters.evidence import estimate_k
from aeclust.clusters.neighbours import references
from aeclust.clusters.reduction import reduce
from aeclust.recipe import Recipe

SEEDS = (0, 1, 2)


def main() -> None:
    print("| run | recipe | classes | -k auto | silhouette alone |")
    print("| --- | --- | --- | --- | --- |")
    found, alone, wanted = [], [], []
    for argument in sys.argv[1:]:
        run, _, classes = argument.rpartition(":")
        latents = artifact.read(Path(run) / "latents.h5", "latents")
        recipe = Recipe.from_json(latents.recipe)
        points = reduce(latents.arrays["latents"], recipe.reduction, seed=0)
        points = points[references(len(points), seed=0)]
        estimates = [estimate_k(points, seed=seed) for seed in SEEDS]
        silhouettes = [{k: each.silhouette for k, each in e.tried.items()} for e in estimates]
        best = [max(values, key=values.__getitem__) for values in silhouettes]
        numbers = [e.k for e in estimates]
        cells = [Path(run).name, recipe.name, classes, listed(numbers), listed(best)]
        print(f"| {' | '.join(cells)} |", flush=True)
        found += numbers
        alone += best
        wanted += [int(classes)] * len(SEEDS)
    for name, numbers in (("-k auto", found), ("silhouette alone", alone)):
        gaps = np.abs(np.array(numbers) - wanted)
        off = np.abs(np.log(np.array(numbers) / wanted)).mean()
        print(
            f"{name}: {np.count_nonzero(gaps == 0)} of {len(gaps)} right,"
            f" {np.count_nonzero(gaps <= 1)} within one, wrong by a factor of {np.exp(off):.2f}"
        )


def listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


if __name__ == "__main__":
    main()
