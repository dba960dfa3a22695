"""How often does ``-k auto`` find the number of classes?

    aeclust train ../shared/data/houses -k auto --run houses
    python benchmarks/choose_k.py houses:4 digits:10

Each argument is a run with its latents, and the number of classes that its images have. The number
of clusters is estimated with three seeds; beside it stands what the silhouette alone said, which
decided before: the smallest of 2 to 15 clusters within a standard error of the best.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score

from aeclust import artifact, seeds
from aeclust.clusters.evidence import estimate_k
from aeclust.clusters.reduction import reduce
from aeclust.recipe import Recipe

SEEDS = (0, 1, 2)


def main() -> None:
    print("| run | recipe | classes | -k auto | silhouette alone |")
    print("| --- | --- | --- | --- | --- |")
    found: list[int] = []
    alone: list[int] = []
    wanted: list[int] = []
    for argument in sys.argv[1:]:
        run, _, classes = argument.rpartition(":")
        latents = artifact.read(Path(run) / "latents.h5", "latents")
        recipe = Recipe.from_json(latents.recipe)
        points = reduce(latents.arrays["latents"], recipe.reduction, seed=0)
        numbers = [estimate_k(points, seed=seed).k for seed in SEEDS]
        before = [by_silhouette(points, seed) for seed in SEEDS]
        cells = [Path(run).name, recipe.name, classes, listed(numbers), listed(before)]
        print(f"| {' | '.join(cells)} |", flush=True)
        found += numbers
        alone += before
        wanted += [int(classes)] * len(SEEDS)
    for name, numbers in (("-k auto", found), ("silhouette alone", alone)):
        gaps = np.abs(np.array(numbers) - wanted)
        off = np.exp(np.abs(np.log(np.array(numbers) / wanted)).mean())
        print(
            f"{name}: {np.count_nonzero(gaps == 0)} of {len(gaps)} right,"
            f" {np.count_nonzero(gaps <= 1)} within one, wrong by a factor of {off:.2f} on average"
        )


def by_silhouette(points: NDArray[Any], seed: int) -> int:
    """The rule of before."""
    generator, tried = seeds.stream(seed, "estimate"), range(2, 16)
    scores = np.empty((5, len(tried)))
    for i, row in enumerate(scores):
        sample = np.asarray(points, np.float64)
        if len(points) > 2_000:
            sample = sample[generator.choice(len(points), 2_000, replace=False)]
        for column, k in enumerate(tried):
            number = seeds.number(seed, "estimate", i, k)
            model = KMeans(k, n_init=3, random_state=number).fit(sample)
            row[column] = silhouette_score(sample, model.labels_)
    means = scores.mean(0)
    error = scores[:, means.argmax()].std(ddof=1) / 5**0.5
    return next(k for k, mean in zip(tried, means, strict=True) if mean >= means.max() - error)


def listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


if __name__ == "__main__":
    main()
