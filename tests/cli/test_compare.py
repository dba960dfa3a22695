"""aeclust compare: what stays together over runs and files, whatever their ids and order."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from support import Cli, check_error, far_groups

from aeclust.images import truth
from aeclust.images.written import to_csv

FIRST = [0, 0, 0, 0, 1, 1, 1, 1]
SECOND = [7, 7, 7, 3, 3, 3, 3, 3]  # one image of 0 is with 1


def write(name: str, labels: list[int], order: list[int] | None = None) -> None:
    rows = np.arange(len(labels)) if order is None else np.array(order)
    ids = np.array([f"{i}.png" for i in rows])
    Path(name).write_text(to_csv(ids, np.array(labels)[rows]))


def test_files_are_compared_by_id(cli: Cli) -> None:
    write("a.csv", FIRST)
    write("b.csv", SECOND, [7, 0, 3, 1, 2, 6, 5, 4])
    write("c.csv", [*FIRST, 1])
    result = cli("compare", "a.csv", "b.csv", "c.csv", "-o", "kept.csv", "--plot", "moved.svg")
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        "3 clusterings of 8 images\n"
        "left out: 1 other image of c.csv\n"
        "\n"
        "cluster   images  stability  least  together\n"
        "      0        4      0.875  0.750     0.875  stable\n"
        "      1        4      0.900  0.800     1.000  stable\n"
        "\n"
        "stability: how far the same cluster comes again in the others, from 0 to 1\n"
        "least: its stability in the one that agrees worst\n"
        "together: the largest share of its images that is in one cluster of another\n"
        "\n"
        "adjusted Rand index       1       2\n"
        "1 a.csv\n"
        "2 b.csv               0.495\n"
        "3 c.csv               1.000   0.495\n"
        "\n"
        "7 of 8 images stay in their cluster of a.csv\n"
        "least stable images: 3.png (0.50)\n"
    )
    with open("kept.csv") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["id", "label", "stability"]
    assert rows[4] == ["3.png", "0", "0.5"]
    assert [row[2] for row in rows[1:]].count("1.0") == 7
    assert Path("moved.svg").read_bytes().startswith(b"<?xml")
    given = json.loads(cli("compare", "a.csv", "b.csv", "c.csv", "--json").out)
    assert (given["images"], given["left_out"], given["stay_in_all"]) == (8, [0, 0, 1], 7)
    assert given["clusters"][0]["stability"] == 0.875
    assert given["least_stable"] == [{"id": "3.png", "stays": 0.5}]


def test_what_a_stability_means_fits_the_numbers(cli: Cli) -> None:
    write("fine.csv", [0] * 9 + [1] * 10 + [2] * 12 + [3] * 9)
    # of 0 nearly all with 1, of 1 less, 2 in two parts, and 3 in three
    groups = {0: 9, 1: 2, 8: 8, 2: 7, 4: 5, 5: 3, 6: 3, 7: 3}
    write("other.csv", [j % 8 for j, count in groups.items() for _ in range(count)])
    lines = cli("compare", "fine.csv", "other.csv").out.splitlines()[3:7]
    shares = [[float(number) for number in line.split()[2:5:2]] for line in lines]
    assert shares == [[0.529, 1], [0.421, 0.8], [0.583, 0.583], [0.333, 0.333]]
    assert [" ".join(line.split()[5:]) for line in lines] == [
        "joined with others", "joined with others", "doubtful", "dissolved",
    ]  # fmt: skip


def test_runs_are_compared_by_content(cli: Cli) -> None:
    vectors, groups = far_groups([12, 8, 6], seed=3)
    order = np.random.default_rng(0).permutation(26)
    np.save("one.npy", vectors)
    np.save("two.npy", vectors[order][:25])
    for name in ("one", "two"):
        assert cli("embed", "--features", f"{name}.npy", "--run", name).code == 0
        assert cli("cluster", "-k", 3, "--clusterer", "kmeans", "--run", name).code == 0
    cli("name", "0=large", "--run", "one")
    result = cli("compare", "one", "two/labels.h5", "-o", "-", "--json")
    assert result.out.startswith("id,label,stability\n0,")
    answer = json.loads(result.err.splitlines()[-1])
    assert (answer["images"], answer["left_out"], answer["stay_in_all"]) == (25, [1, 0], 25)
    assert answer["ari"] == [[1, 1], [1, 1]]
    assert [c["name"] for c in answer["clusters"]] == ["large", None, None]
    # of other contents: the same rows, or none
    np.save("three.npy", 2 * vectors)
    assert cli("embed", "--features", "three.npy", "--run", "three").code == 0
    assert cli("cluster", "-k", 3, "--clusterer", "kmeans", "--run", "three").code == 0
    said = cli("compare", "one", "three").out
    assert "matched by their ids, because the images differ: three\n" in said
    assert "26 of 26 images stay" in said
    check_error(cli("compare", "two", "three/labels.h5").error, what="has no image that two has")
    np.save("true.npy", groups)
    assert "26 of 26 images stay in their cluster of one" in cli("compare", "one", "true.npy").out


@pytest.mark.parametrize(
    ("arguments", "where", "what"),
    [
        (["a.csv"], "RUN", "1 is given"),
        (["a.csv", "b.csv"], "b.csv", "has no image that a.csv has"),
        (["a.csv", "a.csv", "-o", "x.png"], "x.png", "ends in '.png'"),
        (["a.csv", "a.csv", "--plot", "x.csv"], "x.csv", "ends in '.csv'"),
        (["a.csv", "a.csv", "--plot", "-", "-o", "-"], "`plot` -, `output` -", "they exclude each"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    arguments: list[str], where: str, what: str, cli: Cli
) -> None:
    write("a.csv", FIRST)
    Path("b.csv").write_text("id,label\nz,0\n")
    result = cli("compare", *arguments)
    assert result.error is not None
    assert result.error.what.startswith(what)
    check_error(result.error, where=where)


def test_images_of_runs_that_move_are_drawn(cli: Cli, labelled: Path) -> None:
    shutil.copytree(labelled, "run")
    labels = truth.load("run/labels.h5").values.copy()
    labels[:2] = 1 - labels[:2]
    Path("moved.csv").write_text(to_csv(np.arange(60), labels))
    result = cli("compare", "moved.csv", "run", "--plot", "moved.png")
    assert (result.code, result.err) == (0, "")
    assert "least stable images: 0 (0.00), 1 (0.00)" in result.out
