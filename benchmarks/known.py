"""What known labels are worth: by ``aeclust ask`` and by chance, beside other ways to use them.

    python benchmarks/known.py animals tiny10 --recipe hybrid --runs runs
    python benchmarks/known.py --print                       # every method, and what lost
    python benchmarks/known.py --print --methods aeclust "logistic regression, by chance"

Trains the run of a set where RUNS has none, clusters it without labels, then with 10 to 500 known
ones in five draws: by chance, asked for all at once, and asked for in rounds of 10, 10, 30, 50 and
400, each by the clusters that the former ones steered. Of ``landscape-known``, whose answers are
for some of its images alone, only these can be asked for. Scored are the images that nobody knows,
under the best matching of clusters and classes. The other methods see the same latents,
standardised, and the same labels; label spreading and neighbours see the reduced latents;
self-training, which takes long, has one draw by chance. Rows are kept in ``results/known.jsonl``,
and what is there is not done again.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from methods import aeclust
from numpy.typing import NDArray
from rows import append_row, read_rows
from sets import SETS, Set
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier, kneighbors_graph
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from aeclust import artifact
from aeclust.clusters.ask import worth_asking
from aeclust.clusters.chain import cluster_latents, steered
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.known import Known
from aeclust.clusters.scores import score
from aeclust.recipe import Recipe

COUNTS, DRAWS = (10, 20, 50, 100, 500), 5
OURS, SLIGHT = "aeclust", 0.005
Labels = NDArray[np.int64]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("sets", nargs="*", help=", ".join(SETS))
    parser.add_argument("--recipe", default="hybrid")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--print", action="store_true")
    parser.add_argument("--methods", nargs="+", help="rows that are printed, by their beginning")
    given = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    for name in given.sets:
        measure(name, given.recipe, given.runs / f"{name}-{given.recipe}", peers=given.peers)
    if given.print:
        print_table(given.methods)
        print_losses()


def measure(name: str, recipe: str, run: Path, *, peers: bool) -> None:
    data = SETS[name]()
    found, classes = clustered(data, recipe, run), data.classes
    done = {tuple(row[key] for key in ("data", "recipe", "n", "draw", "way", "method"))
            for row in read_rows("known")}  # fmt: skip
    nobody = np.zeros(0, np.int64)

    def keep(n: int, draw: int, way: str, method: str, rows: Labels, labels: Labels) -> None:
        fields = {"data": name, "recipe": recipe, "n": n, "draw": draw, "way": way}
        accuracy = round(accuracy_of(labels, classes, rows), 4)
        append_row("known", {**fields, "method": method, "accuracy": accuracy})

    if (name, recipe, 0, 0, "none", OURS) not in done:
        keep(0, 0, "none", OURS, nobody, found.labels)
    graph = kneighbors_graph(found.points, 15, include_self=True) if peers else None
    inputs = StandardScaler().fit_transform(found.latents)
    for draw in range(DRAWS):
        rounds = nobody
        for n in COUNTS:
            rounds = np.concatenate([rounds, asked(found, classes, n - len(rounds), draw, rounds)])
            there = np.random.default_rng(draw).permutation(np.flatnonzero(classes >= 0))
            once = asked(found, classes, n, draw, nobody)
            for way, rows in (("chance", there[:n]), ("ask", once), ("ask in rounds", rounds)):
                methods: dict[str, Any] = {OURS: partial(follow, found, classes, rows)}
                if peers and way != "ask":
                    methods |= others(
                        inputs,
                        found.points,
                        graph,
                        classes,
                        rows,
                        slow=draw == 0 and way == "chance",
                    )
                for method, label in methods.items():
                    if (name, recipe, n, draw, way, method) not in done:
                        keep(n, draw, way, method, rows, label())


def clustered(data: Set, recipe: str, run: Path) -> Clustering:
    """The clusters of a run without labels."""
    if not (run / "labels.h5").exists():
        with tempfile.TemporaryDirectory() as place:
            images = data.folder
            if images is None:
                images = Path(place) / "images.npy"
                np.save(images, data.pixels)
            aeclust("train", images, "--recipe", recipe, "-k", data.k, "--run", run)
            aeclust("cluster", "--run", run)
    latents = artifact.read(run / "latents.h5", "latents")
    arrays, chain = latents.arrays, Recipe.from_json(latents.recipe).override({"k": data.k})
    views = Views(arrays["view_rows"], arrays["view_latents"], arrays.get("view_clusters"))
    return cluster_latents(
        np.array(arrays["latents"]),
        chain,
        seed=0,
        assignments=arrays.get("assignments"),
        views=views,
    )


def asked(found: Clustering, classes: Labels, count: int, draw: int, known: Labels) -> Labels:
    """Rows that are asked for next, by clusters that what is known has steered."""
    if len(known):
        found = steered(found, known_of(classes, known), 0)
    # a fifth is never asked for: or else the draws would hardly differ
    barred = (classes < 0) | (np.random.default_rng(100 + draw).random(len(classes)) < 0.2)
    barred[known] = True
    shares = found.probabilities if found.shares is None else found.shares
    return worth_asking(found.latents, found.labels, shares, count=count, seed=draw, known=barred)


def known_of(classes: Labels, rows: Labels) -> Known:
    """What is known if these rows are."""
    known = np.full(len(classes), -1)
    known[rows] = np.unique(classes[rows], return_inverse=True)[1]
    return Known(known).closed


def follow(found: Clustering, classes: Labels, rows: Labels) -> Labels:
    return steered(found, known_of(classes, rows), 0).labels


def others(
    inputs: Any, points: Any, graph: Any, classes: Labels, rows: Labels, *, slow: bool
) -> dict[str, Any]:
    """Other methods with the same labels, which need two classes at least."""
    known = np.full(len(classes), -1)
    known[rows] = classes[rows]
    if len(np.unique(classes[rows])) < 2:
        return {}
    seen = inputs[rows], classes[rows]
    near = min(5, len(rows))
    methods: dict[str, Any] = {
        "logistic regression": lambda: LogisticRegression(max_iter=300).fit(*seen).predict(inputs),
        "5 nearest": lambda: (
            KNeighborsClassifier(near).fit(points[rows], classes[rows]).predict(points)
        ),
        "label spreading": lambda: (
            LabelSpreading(kernel=lambda *_: graph).fit(points, known).transduction_
        ),
    }
    if slow:
        model = SelfTrainingClassifier(LogisticRegression(max_iter=100))
        methods["self-training"] = lambda: model.fit(inputs, known).predict(inputs)
    return methods


def accuracy_of(labels: Labels, classes: Labels, rows: Labels) -> float:
    scored = classes >= 0
    scored[rows] = False
    return score(labels[scored], classes[scored]).accuracy


# -- the table ---------------------------------------------------------------------------------


def print_table(methods: list[str] | None) -> None:
    cells = defaultdict[tuple[str, ...], dict[int, list[float]]](lambda: defaultdict(list))
    for row in read_rows("known"):
        key = row["data"], row["recipe"], row["method"], row["way"]
        cells[key][row["n"]].append(row["accuracy"])
    print(f"| set | recipe | method, labels | none | {' | '.join(map(str, COUNTS))} |")
    print(f"| --- | --- | --- | --- |{' --- |' * len(COUNTS)}")
    for name, recipe, method, way in sorted(cells, key=lambda k: (k[:2], k[2] != OURS, k[2:])):
        called = f"{method}, by {way}"
        if way == "none" or not called.startswith(tuple(methods or [""])):
            continue
        none = cells[name, recipe, OURS, "none"][0][0]
        means = [in_words(cells[name, recipe, method, way][n]) for n in COUNTS]
        ours = f"{none:.3f}" if method == OURS else ""
        print(f"| {name} | {recipe} | {called} | {ours} | {' | '.join(means)} |")


def print_losses() -> None:
    """Where known labels are worse than none, or another method with the same labels is better."""
    means = defaultdict[tuple[Any, ...], dict[str, dict[int, float]]](lambda: defaultdict(dict))
    for row in read_rows("known"):
        key = row["data"], row["recipe"], row["way"], row["n"]
        means[key][row["method"]][row["draw"]] = row["accuracy"]
    for (name, recipe, way, n), methods in sorted(means.items()):
        ours, none = methods[OURS], means[name, recipe, "none", 0][OURS][0]
        rivals = {"no labels": dict.fromkeys(ours, none), **methods}
        for rival, theirs in rivals.items():
            gaps = [ours[draw] - theirs[draw] for draw in theirs if draw in ours]
            if np.mean(gaps) < -SLIGHT:
                print(f"{name}, {recipe}, {n} by {way}: {in_words(gaps)} beside {rival}")


def in_words(values: list[float]) -> str:
    """Mean and standard error over draws."""
    if not values:
        return ""
    if len(values) == 1:
        return f"{values[0]:.3f}"
    return f"{np.mean(values):.3f}±{np.std(values, ddof=1) / len(values) ** 0.5:.3f}"


if __name__ == "__main__":
    main()
