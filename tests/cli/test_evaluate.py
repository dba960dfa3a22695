"""aeclust evaluate: scores of labels in any file against the truth in any other."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score
from support import Cli, Data, check_error

from aeclust import artifact
from aeclust.images.written import to_csv
from aeclust.run.folder import RunFolder

TRUTH = [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]
FOUND = [1, 1, 1, 0, 0, 0, 2, 2, 2, 2]
ACCURACY = 0.8  # 1 is class 0 (3 of 4), 0 is class 1 (2 of 3), 2 is class 2 (3 of 3)


def write_csv(name: str, rows: Sequence[tuple[object, int]]) -> None:
    Path(name).write_text("id,label\n" + "".join(f"{i},{label}\n" for i, label in rows))


def answer(cli: Cli, *arguments: object) -> dict[str, Any]:
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
        f"accuracy 0.8000  without matching 0.4000  NMI {nmi:.4f}  ARI {ari:.4f}\n"
        "cluster sizes 0: 3, 1: 3, 2: 4\n"
        "best matching: 0 is 1, 1 is 0\n"
        "images by cluster (row) and true label (column), * matched:\n"
        "cluster  1   0   2\n"
        "0        2*  1   0\n"
        "1        0   3*  0\n"
        "2        1   0   3*\n"
    )
    assert answer(cli, "found.npy", "truth.npy") == {
        "images": 10,
        "accuracy": ACCURACY,
        "nmi": pytest.approx(nmi),
        "ari": pytest.approx(ari),
        "sizes": {"0": 3, "1": 3, "2": 4},
        "outliers": 0,
        "as_written": 0.4,
        "by_hand": "",
        "left_out": 0,
        "names": {},
        "table": {
            "clusters": [0, 1, 2],
            "classes": ["1", "0", "2"],
            "counts": [[2, 1, 0], [0, 3, 0], [1, 0, 3]],
            "matched": [0, 1, 2],
        },
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
    assert (answer["images"], answer["accuracy"]) == (4, 0.75)
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
    assert lines[0] == f"4 of {len(FOUND)} images have a true label and are scored"
    assert lines[1].startswith("accuracy 0.7500")
    assert scores["images"] == 4
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
    score = re.match(r"accuracy (\d\.\d{4})  without matching \d\.\d{4}  NMI 0\.0", out)
    assert score
    assert 0.1 < float(score[1]) < 0.2


# three clusters of 500 photographs by their true classes; the names of the first two are swapped
SWAPPED = [[130, 300, 70], [304, 119, 77], [20, 20, 460]]


def test_names_that_are_swapped_are_scored_as_written(cli: Cli) -> None:
    clusters = np.repeat([0, 1, 2], 500)
    classes = np.repeat(np.tile([0, 1, 2], 3), np.ravel(SWAPPED))
    words = np.array(["barn", "church", "house"])
    Path("named.csv").write_text(to_csv(np.arange(1500), words[clusters]))
    Path("export.csv").write_text(to_csv(np.arange(1500), clusters, name=words[clusters]))
    Path("truth.csv").write_text(to_csv(np.arange(1500), words[classes]))
    for name in ("named.csv", "export.csv"):
        result = cli("evaluate", name, "truth.csv", "--plot", "table.png")
        assert result.out.startswith("accuracy 0.7093  without matching 0.4727  NMI ")
        assert "\nbest matching: 0 (barn) is church, 1 (church) is barn\n" in result.out
        assert "\n1 (church)     119    304*     77\n" in result.out
        assert "\ncluster sizes 0 (barn): 500, 1 (church): 500, 2 (house): 500\n" in result.out
    assert Path("table.png").read_bytes().startswith(b"\x89PNG")
    given = answer(cli, "named.csv", "truth.csv")
    assert (given["as_written"], given["accuracy"]) == (709 / 1500, 1064 / 1500)
    assert given["names"] == {"0": "barn", "1": "church", "2": "house"}
    assert given["table"]["counts"] == [[300, 130, 70], [119, 304, 77], [20, 20, 460]]


@pytest.mark.parametrize(
    ("found", "true", "as_written"),
    [
        ([0, 1, 1, 1], [0, 1, 0, 0], 0.5),
        ([0, 1, 1, 1], [0, 2, 0, 0], None),  # other numbers
        ([0, 1, 2, 2], [0, 1, 0, 0], None),
        ([0, 1, 2, -1], [0, 1, 2, 2], 0.75),  # an outlier is wrong
        (["a", "b", "-1", "x"], ["a", "a", "a", "c"], 0.25),  # one word in common
        (["a", "b", "a", "b"], [0, 1, 0, 1], None),
    ],
)
def test_labels_are_taken_as_written_where_both_sides_have_the_same_words(
    found: list[object], true: list[object], as_written: float | None, cli: Cli
) -> None:
    for name, column in (("found", found), ("true", true)):
        rows = "".join(f"{i},{label}\n" for i, label in enumerate(column))
        Path(f"{name}.csv").write_text(f"id,label\n{rows}")
    assert answer(cli, "found.csv", "true.csv")["as_written"] == as_written


def test_a_truth_of_a_few_may_lack_some_numbers(cli: Cli) -> None:
    np.save("found.npy", FOUND)
    write_csv("truth.csv", [(9, 2), (0, 1)])
    assert answer(cli, "found.npy", "truth.csv")["as_written"] == 1


def test_a_run_is_scored_by_its_names_without_what_was_known(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    kinds = np.load(data.labels)
    clusters = artifact.read(full_run.labels_file).arrays["labels"]
    names = ["sea", "land"] if clusters[0] == kinds[0] else ["land", "sea"]
    known = np.where(np.arange(60) < 5, clusters, -1)
    labels = artifact.read(full_run.labels_file)
    steered = dataclasses.replace(
        labels,
        arrays={**labels.arrays, "known": known, "pairs": np.array([[4, 5, 1]])},
        details={**labels.details, "known": {"labels": 5, "pairs": 1, "names": {}}},
    )
    artifact.write(full_run.labels_file, steered)
    cli("name", *(f"{j}={name}" for j, name in enumerate(names)))
    Path("truth.csv").write_text(to_csv(np.arange(60), np.array(["sea", "land"])[kinds]))
    Path("known.csv").write_text(to_csv(np.arange(55, 60), np.array([*"aaaaa"])))
    for arguments, n, line in (
        (["aeclust-run"], 54, "6 images whose labels were known before are left out;"),
        ([full_run.labels_file], 54, "6 images"),
        (["aeclust-run", "--with-known"], 60, "accuracy"),
        (["aeclust-run", "--known", "known.csv"], 49, "11 images"),
    ):
        result = cli("evaluate", arguments[0], "truth.csv", *arguments[1:])
        assert result.out.startswith(f"steered by 5 labels and 1 pair\n{line}"), result.err
        given = json.loads(cli("evaluate", arguments[0], "truth.csv", *arguments[1:], "--json").out)
        assert (given["images"], given["left_out"], given["accuracy"]) == (n, 60 - n, 1)
        assert given["as_written"] == (1 if arguments[0] == "aeclust-run" else None)
    few = "id,label\n" + "".join(f"{i},sea\n" for i in range(5))
    Path("few.csv").write_text(few)
    check_error(
        cli("evaluate", "aeclust-run", "few.csv").error,
        where="few.csv",
        what="the labels of all 5 images were known before, and steered the clusters",
        mend="or score these with `with_known`",
    )


def test_a_column_of_file_names_is_no_name(cli: Cli) -> None:
    Path("found.csv").write_text("id,label,name\n0,0,x.png\n1,0,y.png\n")
    write_csv("truth.csv", [(0, 0), (1, 0)])
    result = cli("evaluate", "found.csv", "truth.csv")
    assert "it has names of image files\n" in result.err
    assert "cluster sizes 0: 2\n" in result.out


def test_what_is_no_file_of_labels_is_refused(cli: Cli) -> None:
    Path("help.txt").write_text("x")
    check_error(
        cli("evaluate", "help.txt", "demo:scenes").error,
        what="is no file of labels",
        where="help.txt",
        expected=".csv, .json, .npy, .npz, .h5, a folder that export made, or demo:NAME",
    )
