"""aeclust evaluate: scores of labels in any file against the truth in any other."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from support import Cli, Data, check_error

from aeclust.run.folder import RunFolder

TRUTH = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
FOUND = [1, 1, 1, 0, 0, 0, 2, 2, 2, 2]
ACCURACY = 0.8  # 1 is class 0 (3 of 4), 0 is class 1 (2 of 3), 2 is class 2 (3 of 3)


def write_csv(name: str, rows: Sequence[tuple[object, int]]) -> None:
    Path(name).write_text("id,label\n" + "".join(f"{i},{label}\n" for i, label in rows))


def answer(cli: Cli, *arguments: object) -> dict[str, object]:
    result = cli("evaluate", *arguments, "--json")
    assert (result.code, result.err) == (0, "")
    scores = json.loads(result.out)
    assert isinstance(scores, dict)
    return scores


def test_the_scores_of_a_small_case(cli: Cli) -> None:
    np.save("found.npy", FOUND)
    np.save("truth.npy", TRUTH)
    nmi, ari = normalized_mutual_info_score(TRUTH, FOUND), adjusted_rand_score(TRUTH, FOUND)
    code, out, err = cli("evaluate", "found.npy", "truth.npy")
    assert (code, err) == (0, "")
    assert out == (
        f"accuracy 0.8000  NMI {nmi:.4f}  ARI {ari:.4f}\ncluster sizes 0: 3, 1: 3, 2: 4\n"
    )
    assert answer(cli, "found.npy", "truth.npy") == {
        "n": 10,
        "accuracy": ACCURACY,
        "nmi": pytest.approx(nmi),
        "ari": pytest.approx(ari),
        "sizes": {"0": 3, "1": 3, "2": 4},
        "outliers": 0,
    }


def test_csv_is_matched_by_id_whatever_its_order(cli: Cli) -> None:
    names = [f"image {i}.png" for i in range(10)]
    write_csv("found.csv", list(zip(names, FOUND, strict=True)))
    write_csv("truth.csv", list(zip(names, TRUTH, strict=True))[::-1])
    assert answer(cli, "found.csv", "truth.csv")["accuracy"] == ACCURACY


def test_words_are_scored_as_numbers_are(cli: Cli) -> None:
    Path("found.csv").write_text("id,label\na,0\nb,0\nc,1\nd,1\n")
    Path("named.csv").write_text("id,label\na,zebra\nb,zebra\nc,ant\nd,ant\n")
    Path("true.csv").write_text("id,label\nd,sea\nc,sea\nb,sea\na,land\n")
    answer = json.loads(cli("evaluate", "found.csv", "true.csv", "--json").out)
    assert (answer["n"], answer["accuracy"]) == (4, 0.75)
    again = json.loads(cli("evaluate", "named.csv", "true.csv", "--json").out)
    assert again["accuracy"] == 0.75


def test_the_order_matters_where_there_are_no_ids(cli: Cli) -> None:
    np.save("found.npy", FOUND)
    np.save("truth.npy", TRUTH[::2] + TRUTH[1::2])
    wrong = answer(cli, "found.npy", "truth.npy")["ari"]
    assert wrong == pytest.approx(adjusted_rand_score(TRUTH[::2] + TRUTH[1::2], FOUND))


def test_rows_stand_in_for_ids_where_one_has_none(cli: Cli) -> None:
    np.save("found.npy", FOUND)
    write_csv("truth.csv", list(enumerate(TRUTH))[::-1])
    assert answer(cli, "found.npy", "truth.csv")["accuracy"] == ACCURACY


def test_the_truth_of_a_few_scores_these(cli: Cli) -> None:
    np.save("found.npy", FOUND)
    write_csv("truth.csv", [(9, 0), (0, 1), (3, 0), (4, 0)])
    scores = answer(cli, "found.npy", "truth.csv")
    lines = cli("evaluate", "found.npy", "truth.csv").out.splitlines()
    assert lines[0] == f"4 of {len(FOUND)} images are labelled; of these"
    assert lines[1].startswith("accuracy 0.7500")
    assert scores["n"] == 4
    assert scores["accuracy"] == 0.75
    assert scores["sizes"] == {"0": 2, "1": 1, "2": 1}


def test_more_clusters_than_classes_leave_some_without_a_match(cli: Cli) -> None:
    np.save("found.npy", [0, 0, 1, 1, 2, 2])
    np.save("truth.npy", [5, 5, 5, 5, -1, -1])
    assert answer(cli, "found.npy", "truth.npy")["accuracy"] == pytest.approx(4 / 6)


def test_labels_artifacts_and_archives_are_read(cli: Cli, full_run: RunFolder, data: Data) -> None:
    np.savez("truth.npz", names=np.zeros((3, 3)), y=np.load(data.labels))
    assert answer(cli, full_run.labels_file, "truth.npz::y")["accuracy"] == 1.0
    assert answer(cli, full_run.labels_file, data.labels)["accuracy"] == 1.0


def test_a_built_in_set_is_a_truth(cli: Cli) -> None:
    found = np.random.default_rng(0).integers(0, 10, 1797)
    np.save("found.npy", found)
    out = cli("evaluate", "found.npy", "demo:digits").out
    score = re.match(r"accuracy (\d\.\d{4})  NMI 0\.0", out)
    assert score
    assert 0.1 < float(score[1]) < 0.2


def test_what_is_no_file_of_labels_is_refused(cli: Cli) -> None:
    Path("help.txt").write_text("x")
    check_error(
        cli("evaluate", "help.txt", "demo:scenes").error,
        what="is no file of labels",
        where="help.txt",
        expected=".csv, .json, .npy, .npz, .h5, a folder that export made, or demo:NAME",
    )
