"""aeclust name: names for clusters, by hand or by known labels, and what uses them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from support import RECIPE, Cli, Data, files_of, one_error

from aeclust import artifact as artifacts
from aeclust.errors import InputError
from aeclust.run.folder import RunFolder
from aeclust.run.names import Names, check_name, read_names
from aeclust.show import plots

STALE = (
    "names are left out, because the labels have changed since; "
    "name the clusters anew with aeclust name 0=NAME\n"
)


def sizes(run: RunFolder) -> list[int]:
    clusters = artifacts.read(run.labels_file).arrays["labels"]
    return [int((clusters == c).sum()) for c in range(clusters.max() + 1)]


def names_of(cli: Cli) -> list[str | None]:
    clusters = json.loads(cli("name", "--json").out)["clusters"]
    assert [one["cluster"] for one in clusters] == list(range(len(clusters)))
    return [one["name"] for one in clusters]


def stored(run: RunFolder) -> dict[str, Any]:
    found = json.loads(run.names_file.read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


# -- by hand -----------------------------------------------------------------------------------


def test_clusters_are_listed_with_size_and_confidence(cli: Cli, full_run: RunFolder) -> None:
    before = files_of(full_run.path)
    code, out, err = cli("name")
    assert (code, err) == (0, "")
    arrays = artifacts.read(full_run.labels_file).arrays
    means = [arrays["confidence"][arrays["labels"] == c].mean() for c in (0, 1)]
    assert out == "cluster   images  confidence  name\n" + "".join(
        f"{c:7d}  {size:7d}  {means[c]:10.3f}\n" for c, size in enumerate(sizes(full_run))
    )
    answer = json.loads(cli("name", "--json").out)
    assert (answer["known"], answer["agree"]) == (None, None)
    for c, one in enumerate(answer["clusters"]):
        confidence = pytest.approx(means[c], abs=1e-6)
        assert one == {
            "cluster": c, "size": sizes(full_run)[c], "confidence": confidence, "name": None,
        }  # fmt: skip
    assert files_of(full_run.path) == before


def test_names_are_kept_beside_the_digest_of_the_labels(cli: Cli, full_run: RunFolder) -> None:
    result = cli("name", "0=blue sky", " 1 = Straße ")
    assert (result.code, result.err) == (0, "")
    assert [line[30:] for line in result.out.splitlines()] == ["name", "blue sky", "Straße"]
    digest = artifacts.read(full_run.labels_file).digest
    assert stored(full_run) == {
        "format": 1, "labels": digest, "names": {"0": "blue sky", "1": "Straße"},
    }  # fmt: skip
    assert read_names(full_run) == Names(digest, {0: "blue sky", 1: "Straße"})


def test_names_are_changed_and_removed_one_by_one(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea", "1=sea")
    assert names_of(cli) == ["sea", "sea"]
    cli("name", "1=a=b")
    assert names_of(cli) == ["sea", "a=b"]
    cli("name", "0=")
    assert names_of(cli) == [None, "a=b"]
    cli("name", "--clear")
    assert names_of(cli) == [None, None]
    assert stored(full_run)["names"] == {}


def test_missing_labels_are_made_first(cli: Cli, run: RunFolder) -> None:
    result = cli("name", "0=sea")
    assert "labels are missing: clustering first\n" in result.err
    assert names_of(cli) == ["sea", None]


def test_names_follow_their_labels_away_and_back(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea", "1=shore")
    told = "the names that clusters had are not theirs any more: aeclust name\n"
    assert told in cli("cluster", "-k", 3).err
    assert cli("name").err == STALE
    assert names_of(cli) == [None, None, None]
    assert cli("predict").err == ""
    assert cli("plot").err == STALE
    cli("cluster", "-k", 2)
    assert names_of(cli) == ["sea", "shore"]
    cli("cluster", "-k", 3)
    assert cli("name", "2=new").err == ""
    assert names_of(cli) == [None, None, "new"]


def test_names_are_written_under_the_lock(cli: Cli, full_run: RunFolder) -> None:
    held = RunFolder(full_run.path)
    with held.lock():
        assert "another process works here" in one_error(cli("name", "0=sea"), code=5)
        assert "another process works here" in one_error(cli("name", "--clear"), code=5)
        assert cli("name").code == 0
    assert not full_run.names_file.exists()


# -- by known labels ---------------------------------------------------------------------------


def test_a_few_known_labels_name_the_clusters(cli: Cli, full_run: RunFolder, data: Data) -> None:
    truth, clusters = np.load(data.labels), artifacts.read(full_run.labels_file).arrays["labels"]
    words = ["night", "day"]
    rows = [(i, words[truth[i]]) for i in (0, 1, 7, 30)] + [(31, words[1 - truth[31]])]
    Path("known.csv").write_text("id,label\n" + "".join(f"{i},{w}\n" for i, w in rows))
    result = cli("name", "--labels", "known.csv")
    assert result.code == 0
    assert result.out.endswith("\n4 of 5 known labels agree (80.0%)\n")
    expected = [words[truth[np.argmax(clusters == c)]] for c in (0, 1)]
    assert names_of(cli) == expected
    answer = json.loads(cli("name", "--labels", "known.csv", "--json").out)
    assert (answer["known"], answer["agree"]) == (5, 4)


def test_whole_numbers_from_any_source_name_clusters(
    cli: Cli, full_run: RunFolder, data: Data
) -> None:
    result = cli("name", "--labels", data.labels)
    assert result.out.endswith("\n60 of 60 known labels agree (100.0%)\n")
    named = [int(line.split(",")[1]) for line in cli("predict", "--names").out.splitlines()[1:]]
    assert named == np.load(data.labels).tolist()


def test_a_cluster_left_over_takes_its_own_majority_or_no_name(
    cli: Cli, full_run: RunFolder
) -> None:
    cli("cluster", "-k", 4)
    clusters = artifacts.read(full_run.labels_file).arrays["labels"]
    first = [int(np.argmax(clusters == c)) for c in range(4)]
    second = int(np.flatnonzero(clusters == 2)[1])
    rows = [(first[0], "a"), (first[2], "b"), (second, "b"), (first[1], "b")]
    Path("known.csv").write_text("id,label\n" + "".join(f"{i},{w}\n" for i, w in rows))
    result = cli("name", "--labels", "known.csv")
    assert names_of(cli) == ["a", "b", "b", None]
    assert "4 of 4 known labels agree" in result.out


def test_exported_names_come_back_after_clustering_anew(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea", "1=shore")
    before = cli("predict", "--names").out
    for name in ("old.csv", "old.json", "old.npz", "old"):
        assert cli("export", name).code == 0
    cli("cluster", "--seed", 5, "--force")
    assert STALE in cli("name").err
    for name in ("old.csv", "old.json", "old.npz", "old"):
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


def test_names_keep_the_numbers_of_the_labels(cli: Cli, data: Data) -> None:
    flipped = 1 - np.load(data.labels)
    np.save("flipped.npy", flipped)
    known = ["--val-images", data.images, "--val-labels"]
    for name, labels in (("as", data.labels), ("flipped", "flipped.npy")):
        assert cli("train", data.images, *RECIPE, *known, labels, "--run", name).code == 0
        cli("name", "0=sea", "1=shore", "--run", name)
    answers = [
        json.loads(cli("predict", "--names", "--json", "--run", name).out)
        for name in ("as", "flipped")
    ]
    assert answers[0] == answers[1]


@pytest.mark.parametrize("given", [["0=$a$ b", "1=_c"], ["1=shore"]])
def test_plot_prints_names_in_its_legend(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    seen: dict[str, Any] = {}
    draw: Callable[..., Any] = plots.embedding_figure

    def spy(points: Any, panels: Any, **options: Any) -> Any:
        seen["panels"] = panels
        return draw(points, panels, **options)

    monkeypatch.setattr(plots, "embedding_figure", spy)
    cli("name", *given)
    words = ["0: $a$ b", "1: _c"] if len(given) == 2 else ["cluster 0", "1: shore"]
    for more in ([], ["--labels", data.labels], [data.val_images]):
        assert cli("plot", *more).code == 0
        panel = seen["panels"][0]
        assert set(panel.names.values()) == set(words)
    clusters = artifacts.read(full_run.labels_file).arrays["labels"]
    cli("plot", "--labels", data.labels)
    panel = seen["panels"][0]
    assert [panel.names[group] for group in panel.groups] == [words[c] for c in clusters]
    with Image.open("aeclust-run/embedding.png") as picture:
        assert picture.width > 900


def test_info_lists_the_names_and_whether_they_are_stale(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea")
    assert cli("info").out.splitlines()[-1].startswith("names.json: names, intact, ")
    cli("cluster", "-k", 3)
    assert cli("info").out.splitlines()[-1].endswith(", STALE: the labels have changed")
    full_run.labels_file.unlink()
    assert cli("info").out.splitlines()[-1].endswith(", STALE: the labels are missing")
    last = json.loads(cli("info", "--json").out)["files"][-1]
    assert (last["kind"], last["details"]) == ("names", {"names": {"0": "sea"}})
    cli("name", "--clear")
    assert "STALE" not in cli("info").out


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["sea"],
            "CLUSTER=NAME: reads 'sea'; expected the number of a cluster and its name; "
            "for example aeclust name 0=landscape",
        ),
        (["x=sea"], "CLUSTER=NAME: reads 'x=sea'"),
        (["²=sea"], "CLUSTER=NAME: reads '²=sea'"),
        (["0=a", "00=b"], "CLUSTER=NAME: cluster 0 is named twice; expected one name for it"),
        (
            ["2=sea"],
            "aeclust-run/labels.h5: there is no cluster 2; expected clusters 0 to 1; "
            "aeclust name lists them",
        ),
        (
            ["0=a\tb"],
            "cluster 0: the name is 'a\\tb'; expected 1 to 100 printable characters; "
            "choose another",
        ),
        ([f"0={'a' * 101}"], "expected 1 to 100 printable characters"),
        (
            ["0=a", "--clear"],
            "CLUSTER=NAME, --labels, --clear: they exclude each other; expected one of them",
        ),
        (["--clear", "--labels", "x.csv"], "they exclude each other"),
        (["--labels", "nowhere.csv"], "nowhere.csv: cannot be read (No such file or directory)"),
        (["--labels", "strange.csv"], "strange.csv: id '99' is not among the images"),
        (
            ["--labels", "bare.csv"],
            "bare.csv, row 2: reads '0,'; expected id,label with a label; correct that row",
        ),
        (["--labels", "control.csv"], "control.csv: the name is 'a\\x07'"),
    ],
)
def test_wrong_names_are_refused(
    cli: Cli, full_run: RunFolder, arguments: list[str], text: str
) -> None:
    tables = {
        "strange": "id,label\n99,sea\n",
        "bare": "id,label\n0,\n",
        "control": "id,label\n0,a\x07\n",
    }
    for name, table in tables.items():
        Path(f"{name}.csv").write_text(table)
    before = files_of(full_run.path)
    assert text in one_error(cli("name", *arguments))
    assert files_of(full_run.path) == before


def test_there_must_be_a_run(cli: Cli) -> None:
    for arguments in ([], ["0=a"], ["--clear"]):
        assert "aeclust-run: there is no run here" in one_error(cli("name", *arguments))
    assert not Path("aeclust-run").exists()


def test_predict_needs_a_name_for_every_cluster(cli: Cli, full_run: RunFolder) -> None:
    cli("name", "0=sea")
    assert one_error(cli("predict", "--names")) == (
        "--names: cluster 1 has no name; expected a name for every cluster; "
        "name it with aeclust name 1=NAME"
    )
    for other in (["--invert"], ["--val-labels", "x"], ["--val-images", "x"]):
        assert one_error(cli("predict", "--names", *other)) == (
            "--names: the clusters have names already; expected neither --invert nor "
            "--val-images and --val-labels beside it; leave out one of them"
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
def test_damaged_names_are_an_error_that_names_the_file(
    cli: Cli, labelled: Path, text: str, tmp_path: Path
) -> None:
    run = RunFolder(shutil.copytree(labelled, tmp_path / "aeclust-run"))
    run.names_file.write_text(text)
    for command in (["name"], ["name", "0=a"], ["plot"], ["predict", "--names"]):
        error = one_error(cli(*command))
        assert error.startswith("aeclust-run/names.json: is damaged (")
        assert error.endswith(
            "; expected the file as aeclust name wrote it; "
            "restore a copy, or delete it and name the clusters again"
        )
    result = cli("info")
    assert (result.code, result.err.count("names.json: is damaged (")) == (2, 1)
    assert run.names_file.read_text() == text
    assert cli("name", "--clear").code == 0
    assert names_of(cli) == [None, None]


def test_a_name_of_a_cluster_beyond_is_damage(cli: Cli, full_run: RunFolder) -> None:
    digest = artifacts.read(full_run.labels_file).digest
    full_run.names_file.write_text(json.dumps(Names(digest, {7: "a"}).to_json()))
    assert one_error(cli("name")) == (
        "aeclust-run/names.json: there is no cluster 7; expected clusters 0 to 1; "
        "aeclust name lists them"
    )


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.integers(0, 999), st.text(max_size=120), max_size=4))
def test_any_names_are_refused_or_read_back(
    tmp_path_factory: pytest.TempPathFactory, names: dict[int, str]
) -> None:
    folder = RunFolder(tmp_path_factory.getbasetemp())
    try:
        for name in names.values():
            check_name(name, "here")
    except InputError:
        assert any(not n.strip() or len(n) > 100 or not n.isprintable() or n != n.strip()
                   for n in names.values())  # fmt: skip
        return
    kept = Names("0" * 64, names)
    folder.names_file.write_text(json.dumps(kept.to_json()), encoding="utf-8")
    assert read_names(folder) == kept
