"""The estimator with a person in the loop: known labels, questions, corrections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import far_groups, refused

from aeclust import AutoencoderClusterer
from aeclust.errors import ArgumentError

POINTS, GROUPS = far_groups([24, 20, 16, 12])
FIRST = {g: np.flatnonzero(g == GROUPS)[:3].tolist() for g in range(4)}
WORDS = {row: word for g, word in ((3, "cat"), (1, "dog")) for row in FIRST[g]}
STEERED = np.array([2, 1, 3, 0])[GROUPS].tolist()
PLAIN = {"reduction": "none", "clusterer": "kmeans"}


def make(k: Any = 4) -> AutoencoderClusterer:
    return AutoencoderClusterer(k, recipe="features", settings=PLAIN, random_state=0)


@pytest.fixture(scope="module")
def plain() -> AutoencoderClusterer:
    """Fitted, not to be changed."""
    return make().fit(POINTS)


def fitted() -> AutoencoderClusterer:
    return make().fit(POINTS)


def test_known_labels_steer_however_they_are_given(tmp_path: Path) -> None:
    y = np.full(72, -1)
    numbers = {"cat": 0, "dog": 1}
    y[[*WORDS]] = [numbers[word] for word in WORDS.values()]
    file = tmp_path / "known.csv"
    file.write_text("id,label\n" + "".join(f"{row},{word}\n" for row, word in WORDS.items()))
    for said in ({"known": WORDS}, {"known": file}, {"known": [file]}, {"y": y}, {"known": y}):
        model = make().fit(POINTS, **said)
        assert model.labels_.tolist() == STEERED
        assert (model.confidence_[[*WORDS]] == 1).all()
        named = {0: "cat", 1: "dog"} if isinstance(said.get("known"), dict | Path | list) else {}
        assert model.names_ == named


def test_labels_of_all_images_are_for_scorers_and_steer_nothing(
    plain: AutoencoderClusterer,
) -> None:
    assert make().fit(POINTS, 3 - GROUPS).labels_.tolist() == plain.labels_.tolist()


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ({"y": [-1, 0]}, {"where": "y", "what": "has 2 labels for 72 images"}),
        ({"known": {72: "x"}}, {"where": "known", "what": "there is no image 72"}),
        ({"known": {(1, 2): "sane"}}, {"what": "says 'sane' of (1, 2)"}),
        ({"known": {(1, 2): "same", (2, 1): False}}, {"expected": "one of them"}),
        ({"known": 7}, {"what": "is of type int"}),
        ({"known": {0: 1, 3: float("nan")}}, {"what": "has the label nan", "where": "known"}),
        ({"y": np.append([-1, np.nan], np.ones(70))}, {"where": "y"}),
        (
            {"known": {0: "a", 1: "b", (0, 1): "same"}},
            {"what": "'0' and '1' have different labels and are the same by the pairs"},
        ),
        (
            {"known": {row: str(row) for row in range(5)}},
            {"what": "there are 5 kinds of known labels for 4 clusters",
             "mend": "raise n_clusters to 5 or more"},
        ),
        (
            {"known": {0: 1}, "y": np.append([2], np.full(71, -1))},
            {"what": "image 0 is '2' in y and '1' in known"},
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_known_is_refused(said: dict[str, Any], fields: dict[str, str]) -> None:
    with refused(ArgumentError, **fields):
        make().fit(POINTS, **said)


def test_what_is_asked_for_is_answered_without_training() -> None:
    model = fitted()
    rows = model.ask(6)
    assert len({*rows.tolist()}) == 6
    model.cluster(known={row: f"kind {GROUPS[row]}" for row in rows.tolist()})
    named = {row: model.names_[model.labels_[row]] for row in rows.tolist()}
    assert named == {row: f"kind {GROUPS[row]}" for row in rows.tolist()}
    assert not {*model.ask(6)} & {*rows}
    assert model.cluster().names_ == {}


def test_corrections_are_those_of_the_commands(tmp_path: Path) -> None:
    model = make().fit(POINTS, known=WORDS)
    model.merge(2, 0)  # which cats are in
    assert model.labels_.tolist() == np.array([2, 1, 3, 2])[GROUPS].tolist()
    assert (model.n_clusters_, model.names_) == (3, {1: "dog"})
    model.split(2)  # far groups come apart again, and the smaller one takes the free number
    assert model.labels_.tolist() == STEERED
    model.move(FIRST[0], 3).move(FIRST[1][0], None).drop([FIRST[2][0]])
    expected = np.array(STEERED)
    expected[FIRST[0]], expected[FIRST[1][0]], expected[FIRST[2][0]] = 3, 4, -1
    assert model.labels_.tolist() == expected.tolist()
    assert model.predict(POINTS[FIRST[0]]).tolist() == [3, 3, 3]

    model.save(tmp_path / "run")
    again = AutoencoderClusterer.load(tmp_path / "run")
    assert again.labels_.tolist() == expected.tolist()
    assert again.names_ == model.names_


def test_images_alike_are_the_nearest_of_fit(plain: AutoencoderClusterer) -> None:
    asked = np.concatenate([POINTS[:2], POINTS[2:3] + 0.5])
    gaps = np.linalg.norm(asked[:, None] - POINTS, axis=2)
    gaps[[0, 1], [0, 1]] = np.inf  # an image is not its own neighbour
    assert plain.similar(asked, n=4).tolist() == gaps.argsort(1)[:, :4].tolist()
    assert plain.similar(asked[:1], n=99).shape == (1, 71)


def test_a_correction_that_makes_no_sense_is_refused(plain: AutoencoderClusterer) -> None:
    with refused(ArgumentError, what="there is no cluster 9"):
        plain.merge(0, 9)
    with refused(ArgumentError, what="clusters are (1,)"):
        plain.merge(1)
    with refused(ArgumentError, what="there is no image 72"):
        plain.move([3, 72], 0)
    with refused(ArgumentError, where="rows"):
        plain.drop(["a"])
    with refused(ArgumentError, what="n is 0"):
        plain.ask(0)
