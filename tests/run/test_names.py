"""aeclust name: names for clusters, by hand or by known labels, and what uses them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import Cli, Data, check_error, far_groups, files_of, one_error, refused

from aeclust import artifact
from aeclust.clusters.scores import names_by
from aeclust.clusters.support import doubtful_names, support_of
from aeclust.errors import BusyError, InputError
from aeclust.run.folder import RunFolder
from aeclust.run.names import Names, check_name, read_names, write_names
from aeclust.show import maps

STALE = (
    "the clusters have changed since they were named, so the names are not used; "
    "name them again with aeclust name 0=NAME\n"
)
MORE = "label more images to be sure"


def clusters_of(run: RunFolder) -> NDArray[np.int64]:
    return artifact.read(run.labels_file).arrays["labels"]


def names_of(cli: Cli) -> list[str | None]:
    clusters = json.loads(cli("name", "--json").out)["clusters"]
    assert [cluster["cluster"] for cluster in clusters] == list(range(len(clusters)))
    return [cluster["name"] for cluster in clusters]


def known(rows: list[tuple[int, str]]) -> None:
    """Write known.csv."""
    Path("known.csv").write_text("id,label\n" + "".join(f"{i},{word}\n" for i, word in rows))


# -- by hand -----------------------------------------------------------------------------------


def test_clusters_are_listed_with_size_and_confidence(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    labels = clusters_of(full_run)
    sizes = np.bincount(labels).tolist()
    confidence = artifact.read(full_run.labels_file).arrays["confidence"]
    means = [confidence[labels == c].mean() for c in (0, 1)]
    table = "cluster   images  confidence  name\n" + "".join(
        f"{c:7d}  {sizes[c]:7d}  {means[c]:10.3f}\n" for c in (0, 1)
    )
    assert cli("name") == (0, table, "")
    assert json.loads(cli("name", "--json").out) == {
        "clusters": [
            {"cluster": c, "size": sizes[c], "mean_confidence": pytest.approx(means[c], abs=1e-6),
             "name": None, "votes": None}
            for c in (0, 1)
        ],
        "outliers": 0,
        "by_hand": "",
        "known": None,
        "agree": None,
        "of_outliers": None,
        "of_gone": None,
        "warnings": [],
    }  # fmt: skip
    assert files_of(full_run.path) == before


def test_names_are_kept_beside_the_digest_of_the_labels(cli: Cli, full_run: RunFolder) -> None:
    result = cli("name", "0=blue sky", " 1 = Straße ")
    assert (result.code, result.err) == (0, "")
    assert [line[30:] for line in result.out.splitlines()] == ["name", "blue sky", "Straße"]
    digest = artifact.read(full_run.labels_file).digest
    assert json.loads(full_run.names_file.read_text(encoding="utf-8")) == {
        "format": 1, "labels": digest, "names": {"0": "blue sky", "1": "Straße"},
    }  # fmt: skip
    assert read_names(full_run) == Names(digest, {0: "blue sky", 1: "Straße"})


def test_names_are_changed_and_removed_one_by_one(cli: Cli, run: RunFolder) -> None:
    assert "labels.h5 is missing: clustering first\n" in cli("name", "0=sea", "1=sea").err
    for arguments, names in (
        ([], ["sea", "sea"]),
        (["1=a=b"], ["sea", "a=b"]),
        (["0="], [None, "a=b"]),
        (["--clear"], [None, None]),
    ):
        assert cli("name", *arguments).code == 0
        assert names_of(cli) == names
    assert read_names(run) == Names(artifact.read(run.labels_file).digest)


def test_names_follow_their_labels_away_and_back(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea", "1=shore")
    lost = "the clusters have changed: their former names are not used any more\n"
    assert lost in cli("cluster", "-k", 3).err
    assert [cli(command).err for command in ("name", "predict", "plot")] == [STALE, "", STALE]
    assert names_of(cli) == [None, None, None]
    assert cli("info").out.splitlines()[-1].endswith(", OUT OF DATE: the labels have changed")
    cli("cluster", "-k", 2)
    assert names_of(cli) == ["sea", "shore"]
    assert cli("info").out.splitlines()[-1].startswith("names.json: names, intact, ")
    full_run.labels_file.unlink()
    last = json.loads(cli("info", "--json").out)["files"][-1]
    assert (last["kind"], last["stale"]) == ("names", "the labels are missing")
    assert last["details"] == {"names": {"0": "sea", "1": "shore"}}


def test_names_are_written_under_the_lock(cli: Cli, full_run: RunFolder) -> None:
    with full_run.lock():
        for arguments in (["0=sea"], ["--clear"]):
            result = cli("name", *arguments)
            assert isinstance(result.error, BusyError)
            assert result.code == 5
        assert cli("name").code == 0
    assert not full_run.names_file.exists()


# -- by known labels ---------------------------------------------------------------------------


def test_a_few_known_labels_name_the_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    truth, words = np.load(data.labels), ["night", "day"]
    known([(i, words[truth[i]]) for i in (0, 1, 7, 30)] + [(31, words[1 - truth[31]])])
    result = cli("name", "--labels", "known.csv")
    assert result.code == 0
    assert result.out.endswith("\n4 of 5 known labels agree (80.0%)\n")
    clusters = clusters_of(full_run)
    assert names_of(cli) == [words[truth[np.argmax(clusters == c)]] for c in (0, 1)]
    answer = json.loads(cli("name", "--labels", "known.csv", "--json").out)
    assert (answer["known"], answer["agree"]) == (5, 4)
    # and whole numbers from any source
    result = cli("name", "--labels", data.labels)
    assert result.out.endswith("\n60 of 60 known labels agree (100.0%)\n")
    named = [int(line.split(",")[1]) for line in cli("predict", "--names").out.splitlines()[1:]]
    assert named == truth.tolist()


def test_a_cluster_left_over_takes_its_own_majority_or_no_name(
    cli: Cli, full_run: RunFolder
) -> None:
    cli("cluster", "-k", 4)
    clusters = clusters_of(full_run)
    first = [int(np.argmax(clusters == c)) for c in range(4)]
    second = int(np.flatnonzero(clusters == 2)[1])
    known([(first[0], "a"), (first[2], "b"), (second, "b"), (first[1], "b")])
    assert "4 of 4 known labels agree" in cli("name", "--labels", "known.csv").out
    assert names_of(cli) == ["a", "b", "b", None]


def test_names_that_few_images_decide_are_said(cli: Cli) -> None:
    vectors, _ = far_groups([30, 26, 22, 12], seed=2)
    np.save("vectors.npy", vectors)
    assert cli("embed", "--features", "vectors.npy").code == 0
    assert cli("cluster", "-k", 4, "--clusterer", "kmeans").code == 0
    first = [np.flatnonzero(clusters_of(RunFolder(Path("aeclust-run"))) == j) for j in range(4)]
    # 5 barns and 3 churches, 4 of each, 8 houses: two images keep 0 and 1 from being swapped
    words = ["barn"] * 5 + ["church"] * 3, ["barn"] * 4 + ["church"] * 4, ["house"] * 8
    known([
        (row, word)
        for rows, each in zip(first, words, strict=False)
        for row, word in zip(rows.tolist(), each, strict=False)
    ])  # fmt: skip
    result = cli("name", "--labels", "known.csv")
    assert result.err == (
        "warning: the names of clusters 0, 1 are uncertain: 9 of their known images agree with"
        f" them, and 7 would if 0 were church and 1 were barn; {MORE}\n"
        "warning: no name for cluster 3, where no image is known: label some of them\n"
    )
    lines = result.out.splitlines()
    assert lines[0] == "cluster   images  confidence  name    agree     next label"
    assert [line[30:].split() for line in lines[1:5]] == [
        ["barn", "5", "of", "8", "church", "3"], ["church", "4", "of", "8", "barn", "4"],
        ["house", "8", "of", "8"], ["none"],
    ]  # fmt: skip
    assert lines[5] == "17 of 24 known labels agree (70.8%)"
    votes = json.loads(cli("name", "--labels", "known.csv", "--json", "-q").out)["clusters"]
    assert votes[0]["votes"]["labels"] == {"barn": 5, "church": 3}
    assert votes[3]["votes"] == {
        "known": 0, "agree": 0, "runner_up": None, "against": 0, "doubt": 1.0, "labels": {},
    }  # fmt: skip
    # predict numbers clusters by known labels, which leave the same doubt
    numbered = Path("known.csv").read_text().replace("barn", "1").replace("church", "0")
    Path("numbers.csv").write_text(numbered.replace("house", "2"))
    said = cli("predict", "--val-labels", "numbers.csv").err
    assert f"agree with them, and 7 would if 0 were 0 and 1 were 1; {MORE}\n" in said
    # outliers among the known images name nothing, nor does what is gone
    cli("edit", "drop", int(first[2][0]))
    with open("known.csv", "a") as file:
        file.write("89,barn\n")
    np.save("vectors.npy", vectors[:-1])
    result = cli("name", "--labels", "known.csv")
    assert "\nknown labels of images that are gone, which name no cluster: 1\n" in result.out
    assert "\nknown labels of outliers, which name no cluster: 1\n" in result.out


@pytest.mark.parametrize(
    ("table", "lines"),
    [
        ([[4, 0], [0, 4]], []),
        (
            [[2, 0], [0, 1]],
            ["the names of clusters 0, 1 rest on no more than 2 known images each; " + MORE],
        ),
        ([[9, 0], [0, 1]], []),  # or both would be wrong
        ([[9, 0], [0, 1], [0, 0]], ["the name of cluster 1 rests on one known image; " + MORE]),
        (
            [[5, 4], [9, 0]],
            ["the name b of cluster 0 is uncertain: 4 of its known images are b, and 5 are a,"
             f" which names cluster 1; {MORE}"],
        ),
        (
            [[4, 3]],
            ["the name a of cluster 0 is uncertain: 4 of its known images are a, and 3 are b;"
             f" {MORE}"],
        ),
    ],
)  # fmt: skip
def test_doubts_of_names_in_words(table: list[list[int]], lines: list[str]) -> None:
    counts = np.array(table)
    names = names_by(counts)
    found = doubtful_names(support_of(counts, names), names, ["a", "b"])
    assert found == lines


def test_exported_names_come_back_after_clustering_anew(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea", "1=shore")
    before = cli("predict", "--names").out
    exports = ("old.csv", "old.json", "old.npz", "old")
    assert [cli("export", name).code for name in exports] == [0] * 4
    cli("cluster", "--seed", 5, "--force")
    assert STALE in cli("name").err
    for name in exports:
        result = cli("name", "--labels", name)
        assert result.out.endswith("60 of 60 known labels agree (100.0%)\n")
        assert cli("predict", "--names").out == before
        cli("name", "--clear")


# -- what uses them ----------------------------------------------------------------------------


def test_predict_prints_names_where_asked(cli: Cli, full_run: RunFolder, data: Data) -> None:
    cli("name", "0=blue, deep", "1=shore")
    numbers = [line.split(",") for line in cli("predict").out.splitlines()[1:]]
    words = {"0": '"blue, deep"', "1": "shore"}
    expected = "id,label\n" + "".join(f"{i},{words[c]}\n" for i, c in numbers)
    assert cli("predict", "--names") == (0, expected, "")
    answer = json.loads(cli("predict", data.val_images, "--names", "--json", "-q").out)
    assert list(answer) == ["ids", "labels", "confidence", "names"]
    assert answer["names"] == [["blue, deep", "shore"][c] for c in answer["labels"]]
    assert len(set(answer["names"])) == 2


def test_names_keep_the_numbers_that_labels_given_to_train_would_change(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    np.save("flipped.npy", 1 - np.load(data.labels))
    cli("name", "0=sea", "1=shore")
    answers, plain, manifest = [], [], full_run.manifest()
    for labels in (data.labels, Path("flipped.npy").resolve()):
        full_run.write_manifest(
            dataclasses.replace(manifest, val_images=str(data.images), val_labels=str(labels))
        )
        answers.append(cli("predict", "--names", "--json"))
        plain.append(cli("predict").out)
    assert answers[0] == answers[1]
    assert answers[0].code == 0
    assert plain[0] != plain[1]


def test_plot_prints_names_in_its_legend(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    draw = maps.map_figure

    def spy(points: Any, panels: Any, **options: Any) -> Any:
        drawn.append(panels[0])
        return draw(points, panels, **options)

    monkeypatch.setattr(maps, "map_figure", spy)
    clusters = clusters_of(full_run)
    for assignments, arguments, words in (
        (["1=shore"], [], ["cluster 0", "1: shore"]),
        (["0=$a$ b", "1=_c"], [data.val_images], ["0: $a$ b", "1: _c"]),
        ([], ["--labels", data.labels], ["0: $a$ b", "1: _c"]),
    ):
        cli("name", *assignments)
        assert cli("plot", *arguments).code == 0
        panel = drawn[-1]
        assert set(panel.names.values()) == set(words)
        if data.val_images not in arguments:
            assert [panel.names[group] for group in panel.groups] == [words[c] for c in clusters]


# -- refusals ----------------------------------------------------------------------------------

NUMBER = "the number of a cluster and its name"
PRINTABLE = "1 to 100 printable characters"
WAYS = "CLUSTER=NAME, `labels`, `clear`"


@pytest.mark.parametrize(
    ("arguments", "where", "what", "expected"),
    [
        (["sea"], "CLUSTER=NAME", "reads 'sea'", NUMBER),
        (["x=sea"], "CLUSTER=NAME", "reads 'x=sea'", NUMBER),
        (["²=sea"], "CLUSTER=NAME", "reads '²=sea'", NUMBER),
        (["0=a", "00=b"], "CLUSTER=NAME", "cluster 0 is named twice", "one name for it"),
        (["2=a"], "aeclust-run/labels.h5", "there is no cluster 2", "clusters 0 to 1"),
        (["0=a\tb"], "cluster 0", r"the name is 'a\tb'", PRINTABLE),
        ([f"0={'a' * 102}"], "cluster 0", f"the name is '{'a' * 101}'", PRINTABLE),
        (["0=a", "--clear"], WAYS, "they exclude each other", "one of them"),
        (["--clear", "--labels", "x.csv"], WAYS, "they exclude each other", "one of them"),
    ],
)
def test_wrong_names_are_refused(
    cli: Cli, full_run: RunFolder, arguments: list[str], where: str, what: str, expected: str
) -> None:
    before = files_of(full_run.path)
    result = cli("name", *arguments)
    check_error(result.error, where=where, what=what, expected=expected)
    one_error(result)
    assert files_of(full_run.path) == before


@pytest.mark.parametrize(
    ("row", "where", "what"),
    [
        ("99,sea", "known.csv", "id '99' is not among the images"),
        ("0,", "known.csv, row 2", "reads '0,'"),
        ("0,a\x07", "known.csv", r"the name is 'a\x07'"),
        (None, "known.csv", "there is no such file"),
    ],
)
def test_wrong_known_labels_are_refused(
    cli: Cli, full_run: RunFolder, row: str | None, where: str, what: str
) -> None:
    if row is not None:
        Path("known.csv").write_text(f"id,label\n{row}\n")
    before = files_of(full_run.path)
    check_error(cli("name", "--labels", "known.csv").error, where=where, what=what)
    assert files_of(full_run.path) == before


def test_predict_needs_a_name_for_every_cluster(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea")
    assert one_error(cli("predict", "--names")) == (
        "--names: cluster 1 has no name; expected a name for every cluster; "
        "name it with aeclust name 1=NAME"
    )
    for other in (["--invert"], ["--val-labels", "x"], ["--val-images", "x"]):
        check_error(
            cli("predict", "--names", *other).error,
            what="the clusters have names already",
            expected="neither `invert` nor `val_images` and `val_labels` beside it",
        )


DAMAGED = [
    "", "[]", "{", "[" * 100_000, '{"format": 1}',
    '{"format": 2, "labels": "", "names": {}}',
    '{"format": 1, "labels": "", "names": {"x": "a"}}',
    '{"format": 1, "labels": "", "names": {"00": "a"}}',
    '{"format": 1, "labels": "", "names": {"0": 1}}',
    '{"format": 1, "labels": "", "names": {"0": ""}}',
    '{"format": 1, "labels": "", "names": {"0": "a\\u0007"}}',
]  # fmt: skip


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_damaged_names_are_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    run = RunFolder(tmp_path)
    run.names_file.write_text(text)
    with refused(
        where=str(run.names_file),
        expected="the file as aeclust name wrote it",
        mend="restore a copy, or delete it and name the clusters again",
    ):
        read_names(run)


def test_damaged_names_stop_what_uses_them_and_are_cleared_away(
    cli: Cli, full_run: RunFolder
) -> None:
    full_run.names_file.write_text("{")
    for command in (["name"], ["name", "0=a"], ["plot"], ["predict", "--names"]):
        assert one_error(cli(*command)).startswith("aeclust-run/names.json is damaged (")
    result = cli("info")
    assert (result.code, result.err.count("names.json is damaged (")) == (2, 1)
    assert full_run.names_file.read_text() == "{"
    assert cli("name", "--clear").code == 0
    assert names_of(cli) == [None, None]


def test_a_name_of_a_cluster_without_an_image_is_kept_and_not_shown(
    cli: Cli, full_run: RunFolder
) -> None:
    write_names(full_run, artifact.read(full_run.labels_file).digest, {7: "a"})
    assert names_of(cli) == [None, None]
    assert cli("name", "0=sea").code == 0
    assert names_of(cli) == ["sea", None]
    stored = read_names(full_run)
    assert stored is not None
    assert stored.names == {0: "sea", 7: "a"}


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 999), st.text(max_size=120), max_size=4))
def test_any_names_are_refused_or_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: dict[int, str]
) -> None:
    try:
        for name in names.values():
            check_name(name)
    except InputError:
        assert any(
            not n or len(n) > 100 or not n.isprintable() or n != n.strip() for n in names.values()
        )
        return
    folder = RunFolder(tmp_path_factory.getbasetemp())
    stored = Names("0" * 64, names)
    folder.names_file.write_text(json.dumps(stored.to_json()), encoding="utf-8")
    assert read_names(folder) == stored
