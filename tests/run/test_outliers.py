"""Images in no cluster, labelled -1, and numbers without a cluster go through every stage."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import Cli, Data, check_error, far_groups

from aeclust import AutoencoderClusterer, artifact
from aeclust.run.clusters import cluster_numbers, numbered_as
from aeclust.run.folder import RunFolder

OUT = 5  # of the first images


@pytest.fixture
def gaps(full_run: RunFolder) -> RunFolder:
    """A run with clusters 0 and 2, whose first images are in neither."""
    labels = artifact.read(full_run.labels_file)
    values = 2 * labels.arrays["labels"]
    values[:OUT] = -1
    arrays = {**labels.arrays, "labels": values}
    artifact.write(full_run.labels_file, dataclasses.replace(labels, arrays=arrays))
    return full_run


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(text.splitlines()))[1:]


def test_tables_and_scores_know_outliers_and_gaps(cli: Cli, gaps: RunFolder, data: Data) -> None:
    labels = artifact.read(gaps.labels_file)
    values = labels.arrays["labels"]
    sizes = [int((values == j).sum()) for j in (0, 2)]
    assert cluster_numbers(labels) == [0, 2]
    assert (
        f"60 images in 2 clusters of {sizes[0]} and {sizes[1]}, and 5 outliers"
        in cli("cluster").out
    )
    answer = json.loads(cli("cluster", "--json").out)
    assert (answer["k"], answer["clusters"], answer["sizes"]) == (2, [0, 2], sizes)
    assert answer["outliers"] == OUT

    result = cli("name", "0=sea", "2=land")
    assert [line.split()[0] for line in result.out.splitlines()[1:]] == ["0", "2", "-1"]
    assert cli("name", "1=hill").error is not None
    named = rows(cli("predict", "--names").out)
    assert [cell for _, cell in named[:OUT]] == ["-1"] * OUT
    assert {cell for _, cell in named[OUT:]} == {"sea", "land"}

    plain = cli("predict", "-o", "found.csv")
    assert plain.code == 0
    found = [int(label) for _, label in rows(Path("found.csv").read_text())]
    assert found == values.tolist()
    swapped = [int(label) for _, label in rows(cli("predict", "--invert").out)]
    assert swapped == [{0: 2, 2: 0, -1: -1}[label] for label in found]
    scores = json.loads(cli("evaluate", "found.csv", data.labels, "--json").out)
    assert scores["accuracy"] == pytest.approx((60 - OUT) / 60)
    assert (scores["sizes"], scores["outliers"]) == ({"0": sizes[0], "2": sizes[1]}, OUT)

    # exact copies keep the label; and what outliers are alone near to is one
    images = np.load(data.images)
    np.save("copies.npy", images[:8])
    copied = [int(label) for _, label in rows(cli("predict", "copies.npy").out)]
    assert copied == found[:8]

    assert cli("export", "sorted").code == 0
    folders = {path.name: len(list(path.iterdir())) for path in Path("sorted").glob("*/")}
    assert folders == {"0-sea": sizes[0], "2-land": sizes[1], "outliers": OUT}


def test_hdbscan_finds_k_itself_and_doubtful_images_may_be_left_out(
    cli: Cli, full_run: RunFolder
) -> None:
    result = cli("cluster", "--clusterer", "hdbscan", "-k", 3, "--min-cluster-size", 10)
    assert result.code == 0
    assert "-k is not used: hdbscan finds its own number of clusters\n" in result.err
    labels = artifact.read(full_run.labels_file)
    values, sure = labels.arrays["labels"], labels.arrays["confidence"]
    assert (labels.recipe["k"], labels.recipe["min_cluster_size"]) == (0, 10)
    assert f"found 2 clusters; {(values < 0).sum()} of 60 images are in none\n" in result.err
    assert cluster_numbers(labels) == [0, 1]
    again = cli("cluster", "--clusterer", "hdbscan", "-k", "auto", "--min-cluster-size", 10)
    assert "up to date" in again.out
    assert "not used" not in again.err

    table = rows(cli("predict", "--confidence", "--min-confidence", 0.6).out)
    assert [float(cell) for _, _, cell in table] == sure.astype(float).round(6).tolist()
    kept = np.where(sure.astype(float).round(6) < 0.6, -1, values)
    assert [int(label) for _, label, _ in table] == kept.tolist()
    assert 0 < (kept >= 0).sum() < (values >= 0).sum()
    answer = json.loads(cli("predict", "--min-confidence", 0.6, "--json").out)
    assert answer["labels"] == kept.tolist()
    assert cli("export", "some.csv", "--min-confidence", 0.6).code == 0
    assert [int(row[1]) for row in rows(Path("some.csv").read_text())] == kept.tolist()
    # what that leaves is read again
    agreed = json.loads(cli("name", "--labels", "some.csv", "--json").out)
    assert (agreed["known"], agreed["agree"]) == ((kept >= 0).sum(),) * 2
    named = rows(cli("predict", "--names", "--confidence", "--min-confidence", 1).out)
    assert {label for _, label, _ in named} == {"-1", "0", "1"}


def test_what_is_no_confidence_is_refused(cli: Cli, full_run: RunFolder) -> None:
    wrong = {"where": "`min_confidence`", "expected": "a number from 0 to 1"}
    check_error(cli("predict", "--min-confidence", "nan").error, what="is nan", **wrong)
    check_error(cli("export", "a.csv", "--min-confidence", 1.5).error, what="is 1.5", **wrong)
    check_error(
        cli("export", "a.onnx", "--min-confidence", 0.5).error,
        what="no labels are exported", where="`min_confidence`",
    )  # fmt: skip


def test_the_estimator_leaves_outliers_out(tmp_path: Path) -> None:
    points = far_groups([30, 20])[0]
    points[0] = -200
    how = {"clusterer": "hdbscan", "reduction": "none"}
    model = AutoencoderClusterer(9, recipe="features", settings=how, random_state=0).fit(points)
    assert (model.n_clusters_, model.labels_[0]) == (2, -1)
    assert model.predict(points)[0] == -1
    model.save(tmp_path / "run")
    again = AutoencoderClusterer.load(tmp_path / "run")
    assert (again.n_clusters, again.n_clusters_) == ("auto", 2)
    assert (again.labels_ == model.labels_).all()


def test_former_numbers_are_matched_without_outliers() -> None:
    def labels(*values: int) -> artifact.Artifact:
        arrays = {"labels": np.array(values), "fingerprints": np.arange(len(values), dtype="u8")}
        return artifact.Artifact("labels", arrays, {}, 0, {}, {})

    former = labels(-1, -1, -1, 0, 0, 2, 2, 1)
    now, heirs = numbered_as(former, labels(1, 1, -1, 2, -1, 0, 0, -1))
    assert now.arrays["labels"].tolist() == [1, 1, -1, 0, -1, 2, 2, -1]
    assert heirs == {0: 0, 2: 2}


def test_pictures_show_outliers_last(cli: Cli, gaps: RunFolder, data: Data) -> None:
    shown = json.loads(cli("plot", "--gallery", "--json").out)["clusters"]
    assert [(each["cluster"], each["name"]) for each in shown] == [
        (0, "cluster 0"), (2, "cluster 2"), (-1, "outliers"),
    ]  # fmt: skip
    assert cli("plot", "--labels", data.labels).code == 0
    assert "55 images in 2 clusters and 5 outliers" in cli("report").out
