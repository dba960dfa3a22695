"""The verdict on a run's labels: values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aeclust.artifact import Artifact
from aeclust.recipe import named
from aeclust.run.edits.file import write_edits
from aeclust.run.edits.kinds import Edits, Split
from aeclust.run.folder import RunFolder
from aeclust.run.verdict import Step, Verdict, verdict

_RUN = RunFolder(Path("r"), " --run r")


def _judged(
    labels: Sequence[int],
    sure: Sequence[float],
    names: dict[int, str] | None = None,
    clusterer: str = "consensus",
    **details: object,
) -> Verdict:
    k: object = "auto" if clusterer == "hdbscan" else max(2, len({*labels}))
    recipe = named("hybrid").override({"clusterer": clusterer, "k": k})
    arrays = {"labels": np.array(labels), "confidence": np.array(sure, np.float32)}
    known = {"agreement": 0.9, "view_agreement": 0.9, **details}
    return verdict(_RUN, Artifact("labels", arrays, recipe.to_json(), 0, {}, known), names or {})


def test_verdict_counts_labels_and_names_the_weak_clusters() -> None:
    # (6 * 0.9 + 0.6 + 2 * 0.65 + 0.85) / 10
    labels, sure = [0] * 6 + [1] + [2] * 2 + [3], [0.9] * 6 + [0.6] + [0.65] * 2 + [0.85]
    seen = _judged(labels, sure, {2: "sea", 0: "a"})
    assert seen.sentence == (
        "About 8 of 10 labels should hold; look at clusters 1 and 2 (sea) first."
    )
    assert seen.share == pytest.approx(0.815)
    assert (seen.look_first, seen.to_check) == ((1, 2), 2)
    assert seen.steps == (
        Step("name the clusters", "aeclust name --run r 1=... 3=..."),
        Step("check 2 images", "aeclust ask --run r -n 2"),
        Step("export", "aeclust export --run r labels.csv"),
    )


@pytest.mark.parametrize(
    ("sure", "start"),
    [
        (0.996, "Nearly all"),
        (0.973, "About 97 of 100"),
        (0.94, "About 9 of 10"),
        (0.04, "Hardly any"),
    ],
)
def test_verdict_rounds_as_people_do(sure: float, start: str) -> None:
    assert _judged([0, 1] * 50, [sure] * 100).sentence == f"{start} labels should hold."


def test_verdict_claims_no_more_than_was_checked() -> None:
    pair = [0, 1], [0.9, 0.9]
    assert _judged(*pair, view_agreement=None).sentence.startswith("At best about 9 of 10")
    alone = _judged(*pair, clusterer="kmeans", agreement=None)
    assert (alone.share, alone.to_check) == (None, 2)
    assert alone.sentence == (
        "Only one method (kmeans) made these clusters, so how many labels hold is not known."
    )
    assert _judged(*pair).to_check == 0  # a fifth of a label
    assert _judged([0, 1, -1], [1, 1, 0]).share == 1  # an image in no cluster has no label
    few = _judged([0, 1] * 9, [0.6] * 18)  # guessing gives a half
    steered = _judged([0, 1] * 9, [0.6] * 18, known={"labels": 4})  # whose labels would be lost
    assert steered.steps == few.steps[1:]
    assert few.steps[0] == Step("try another number of clusters", "aeclust cluster --run r -k auto")


def test_verdict_does_not_vouch_for_clusters_that_were_split_by_hand(tmp_path: Path) -> None:
    folder, parts = RunFolder(tmp_path), {0: (0,), 2: (1,)}
    arrays = {"labels": np.array([0, 2, 1]), "confidence": np.full(3, 0.9, np.float32)}
    details = {"agreement": 0.9, "view_agreement": 0.9, "edits": 1}
    made = Artifact("labels", arrays, named("hybrid").to_json(), 0, {}, details)
    for off, start in (("", "At best about 9 of 10"), ("cluster 0 is gone", "About 9 of 10")):
        write_edits(
            folder, Edits("a" * 64, (Split(off=off, cluster=0, parts=parts),), {0: (0,)}, "b" * 64)
        )
        sentence = verdict(folder, made, {}).sentence
        assert sentence.startswith(f"{start} labels should hold")
        assert ("split by hand" in sentence) == (not off)


def test_verdict_on_one_cluster_or_none() -> None:
    merged = _judged([0, 0], [1, 1], edits=1)
    assert merged.sentence == "All 2 images are in one cluster: nothing is separated."
    assert merged.steps == (Step("take the last edit back", "aeclust edit undo --run r"),)
    some = _judged([0, 0, -1], [1, 1, 0], edits=1)
    assert some.sentence == "2 of 3 images are in one cluster, and the others in none."
    none = _judged([-1], [0], clusterer="hdbscan")
    assert none.sentence == "No image is in a cluster."
    assert [each.command for each in none.steps] == [
        "aeclust cluster --run r -k 2 --clusterer consensus"
    ]
    assert (none.share, none.look_first, none.to_check) == (None, (), 0)
