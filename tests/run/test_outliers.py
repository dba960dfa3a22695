"""Images in no cluster, labelled -1, and numbers without a cluster go through every stage."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from support import Cli, Data

from aeclust import artifact
from aeclust.run.clusters import cluster_numbers
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
    assert f"60 images in clusters of {sizes[0]}, {sizes[1]} and 5 outliers" in cli("cluster").out
    answer = json.loads(cli("cluster", "--json").out)
    assert (answer["k"], answer["clusters"], answer["sizes"]) == (2, [0, 2], sizes)
    assert answer["outliers"] == OUT

    result = cli("name", "0=sea", "2=land")
    assert [line.split()[0] for line in result.out.splitlines()[1:]] == ["0", "2", "5"]
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


def test_pictures_show_outliers_last(cli: Cli, gaps: RunFolder, data: Data) -> None:
    shown = json.loads(cli("plot", "--gallery", "--json").out)["clusters"]
    assert [(each["cluster"], each["name"]) for each in shown] == [
        (0, "cluster 0"), (2, "cluster 2"), (-1, "outliers"),
    ]  # fmt: skip
    assert cli("plot", "--labels", data.labels).code == 0
    assert "55 images in 2 clusters and 5 outliers" in cli("report").out
