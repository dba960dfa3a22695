"""The verdict on a run's labels: values worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aeclust.artifact import Artifact
from aeclust.recipe import named
from aeclust.run.folder import RunFolder
from aeclust.run.verdict import Step, Verdict, verdict

_RUN = RunFolder(Path("r"), " --run r")


def _made(labels: list[int], sure: list[float], clusterer: str = "consensus", **details: object):
    recipe = replace(named("hybrid"), clusterer=clusterer, k=max(2, len({*labels} - {-1})))
    known = {"agreement": 0.9, "view_agreement": 0.9, **details}
    arrays = {"labels": np.array(labels), "confidence": np.array(sure, np.float32)}
    return Artifact("labels", arrays, recipe.to_json(), 0, {}, known)


def _judged(*made: object, names: dict[int, str] | None = None, **details: object) -> Verdict:
    return verdict(_RUN, _made(*made, **details), names or {})  # type: ignore[arg-type]


def test_verdict_counts_labels_and_names_the_weak_clusters():
    # 0.9, 0.6, 0.65 and 0.85 weigh 6, 1, 2, 1: 8.15 / 10
    labels, sure = [0] * 6 + [1] + [2] * 2 + [3], [0.9] * 6 + [0.6] + [0.65] * 2 + [0.85]
    seen = _judged(labels, sure, names={2: "sea", 0: "a"})
    assert seen.sentence == (
        "About 8 of 10 labels should hold; look at clusters 1 and 2 (sea) first."
    )
    assert seen.share == pytest.approx(0.815)
    assert (seen.look_first, seen.to_check) == ((1, 2), 2)
    assert seen.steps == (
        Step("name the clusters", "aeclust name --run r 1=... 3=..."),
        Step("check these 2 images", "aeclust ask --run r -n 2"),
        Step("export", "aeclust export --run r labels.csv"),
    )


@pytest.mark.parametrize(
    ("sure", "start"),
    [
        (0.996, "Nearly all labels should hold."),
        (0.973, "About 97 of 100 labels should hold."),
        (0.94, "About 9 of 10 labels should hold."),
        (0.74, "About 7 of 10 labels should hold."),
    ],
)
def test_verdict_rounds_as_people_do(sure: float, start: str):
    assert _judged([0, 1] * 50, [sure] * 100).sentence == start


def test_verdict_claims_no_more_than_was_checked():
    pair = [0, 1], [0.9, 0.9]
    assert _judged(*pair, view_agreement=None).sentence.startswith("At best about 9 of 10")
    alone = _judged(*pair, "kmeans", agreement=None)
    assert (alone.share, alone.to_check) == (None, 2)
    assert alone.sentence == (
        "Only one method (kmeans) made these clusters, so how many labels hold is not known."
    )
    assert _judged(*pair).to_check == 0  # 0.2 of a label
    # what people know or moved is sure, and outliers have no label
    assert _judged([0, 1, -1], [1, 1, 0]).share == 1
    few = _judged([0, 1] * 9, [0.6] * 18)
    assert few.steps[0] == Step("try another number of clusters", "aeclust cluster --run r -k auto")


@pytest.mark.parametrize(
    ("made", "edits", "sentence", "command"),
    [
        (
            ([0, 0], [1, 1]),
            1,
            "All 2 images are in one cluster: nothing is separated.",
            "edit undo --run r",
        ),
        (
            ([-1], [0], "hdbscan"),
            0,
            "No image is in a cluster.",
            "cluster --run r -k 2 --clusterer consensus",
        ),
    ],
)
def test_verdict_on_one_cluster_or_none(made, edits: int, sentence: str, command: str):
    seen = _judged(*made, edits=edits)
    assert (seen.sentence, seen.steps[0].command) == (sentence, f"aeclust {command}")
    assert (seen.share, seen.look_first, seen.to_check, len(seen.steps)) == (None, (), 0, 1)
