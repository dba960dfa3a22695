"""Known labels steer a run's clusters until somebody clusters without them."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import TWO_PHASES, Cli, Data, far_groups, noise_images, one_error, refused

from aeclust import AutoencoderClusterer, artifact
from aeclust.artifact import Artifact
from aeclust.images.known import Given
from aeclust.run.clusters import numbered_as
from aeclust.run.folder import RunFolder
from aeclust.run.known import Steering
from aeclust.run.steering import carried, numbered, steered_by, steering_of

POINTS, GROUPS = far_groups([24, 20, 16, 12])
N = len(GROUPS)
FLAGS = ["-k", 4, "--clusterer", "kmeans", "--reduction", "none"]
RUN = RunFolder(Path("aeclust-run"))


@pytest.fixture
def vectors(cli: Cli) -> Cli:
    """Commands beside a run of vectors in four groups."""
    np.save("vectors.npy", POINTS)
    assert cli("embed", "--features", "vectors.npy").code == 0
    return cli


def labels() -> Artifact:
    return artifact.read(RUN.labels_file, "labels")


def write_known(lines: str, name: str = "known.csv") -> str:
    Path(name).write_text(lines)
    return name


def of_groups(words: dict[int, str], count: int = 3) -> str:
    """Known labels of the first few images of some groups."""
    rows = [(i, words[g]) for g in words for i in np.flatnonzero(g == GROUPS)[:count]]
    return "id,label\n" + "".join(f"{i},{word}\n" for i, word in rows)


def test_words_number_and_name_clusters_and_every_command_keeps_them(vectors: Cli) -> None:
    a, b = np.flatnonzero(GROUPS == 0)[:2]
    known = write_known(f"{of_groups({3: 'cat', 1: 'dog'})}a,b,same|different\n{b},{a},same\n")
    made = vectors("cluster", *FLAGS, "--known", known, "--json")
    steered = {"labels": 6, "pairs": 1, "names": {"0": "cat", "1": "dog"}}
    assert json.loads(made.out)["steered_by"] == steered
    stored = labels()
    assert steered_by(stored) == "steered by 6 labels and 1 pair"
    assert stored.arrays["labels"].tolist() == np.array([2, 1, 3, 0])[GROUPS].tolist()
    assert stored.arrays["pairs"].tolist() == [[a, b, 1]]
    rows = stored.arrays["known"] >= 0
    assert stored.arrays["known"][rows].tolist() == stored.arrays["labels"][rows].tolist()
    assert (stored.arrays["confidence"][rows] == 1).all()
    names = json.loads(vectors("name", "--json").out)["clusters"]
    assert [each["name"] for each in names] == ["cat", "dog", None, None]

    assert "(up to date, nothing to do)" in vectors("cluster", *FLAGS, "--known", known).out
    RUN.latents_file.unlink()
    assert "labels are steered by 6 labels and 1 pair" in vectors("predict").err
    assert labels().digest == stored.digest

    ended = vectors("cluster", *FLAGS)
    assert "the former clusters were steered by 6 labels and 1 pair, these are not" in ended.err
    assert steered_by(labels()) == ""
    assert "known" not in labels().arrays


def test_names_by_hand_stay_with_their_clusters_where_others_are_known(vectors: Cli) -> None:
    known = write_known(of_groups({3: "cat", 1: "dog"}))  # 0, 1; the others 2, 3
    assert vectors("cluster", *FLAGS, "--known", known).code == 0
    assert vectors("edit", "split", 2).code == 0  # of group 0; the new one is 4
    assert vectors("name", "1=hound", "2=big", "3=third", "4=its other half").code == 0
    known = write_known(of_groups({2: "ape", 1: "dog", 3: "cat"}))  # 0, 1, 2; the other is 3
    again = vectors("cluster", *FLAGS, "--known", known)
    assert "cluster 1 keeps the name hound; known labels call it dog" in again.err
    assert "cluster 0 keeps the name third; known labels call it ape" in again.err
    assert json.loads(RUN.names_file.read_text())["names"] == {
        "0": "third", "1": "hound", "2": "cat", "3": "big", "4": "its other half",
    }  # fmt: skip
    stored = RUN.names_file.read_bytes()
    assert vectors("cluster", *FLAGS, "--known", known, "--force").code == 0
    assert RUN.names_file.read_bytes() == stored


def test_numbers_are_those_of_the_clusters(vectors: Cli) -> None:
    known = write_known(of_groups({0: "3", 2: "0"}))
    assert vectors("cluster", *FLAGS, "--known", known).code == 0
    assert labels().arrays["labels"].tolist() == np.array([3, 1, 0, 2])[GROUPS].tolist()
    assert not RUN.names_file.exists()

    # what is beyond them is a name, and there must be a cluster for each
    known = write_known(of_groups({0: "7", 2: "0"}))
    assert "are used as names" in vectors("cluster", *FLAGS, "--known", known).err
    assert labels().details["known"]["names"] == {"0": "7", "1": "0"}
    known = write_known(of_groups({0: "a", 1: "b", 2: "c"}))
    refused = one_error(vectors("cluster", *FLAGS, "-k", 2, "--known", known))
    assert "there are 3 kinds of known labels for 2 clusters" in refused
    assert "raise -k to 3 or more" in refused


def test_with_auto_there_is_a_cluster_for_each_kind(vectors: Cli) -> None:
    known = write_known(of_groups({0: "a", 1: "b", 2: "c", 3: "d"}), "all.csv")
    last = np.flatnonzero(GROUPS == 0)[-1]
    more = write_known(f"id,label\n{last},e\n", "more.csv")
    flags = [*FLAGS[2:], "-k", "auto", "--known", known, "--known", more]
    assert "; known labels are of more kinds: 5 clusters; " in vectors("cluster", *flags).err
    assert len(np.unique(labels().arrays["labels"])) == 5


def test_what_contradicts_itself_is_refused_in_ids(vectors: Cli) -> None:
    a, b = (int(np.flatnonzero(g == GROUPS)[0]) for g in (0, 1))
    pair = f"a,b,same|different\n{a},{b},same\n"
    known = [write_known(of_groups({0: "x", 1: "y"})), write_known(pair, "pairs.csv")]
    refused = vectors("cluster", *FLAGS, "--known", known[0], "--known", known[1])
    what = f"'{a}' and '{b}' have different labels and are the same by the pairs"
    assert what in one_error(refused)
    assert not RUN.labels_file.exists()


def test_an_update_carries_what_is_known_by_content(vectors: Cli) -> None:
    a, b = np.flatnonzero(GROUPS == 1)[:2]
    known = write_known(f"{of_groups({3: '2', 1: '0'})}a,b,same|different\n{a},{b},different\n")
    # the pair contradicts what is known of both
    assert "have one label and are different" in one_error(
        vectors("cluster", *FLAGS, "--known", known)
    )
    c = np.flatnonzero(GROUPS == 0)[0]
    known = write_known(f"{of_groups({3: '2', 1: '0'})}a,b,same|different\n{a},{c},different\n")
    assert vectors("cluster", *FLAGS, "--known", known).code == 0
    vectors("name", "2=few", "3=third")
    before = labels()

    gone = int(np.flatnonzero(GROUPS == 3)[0])
    kept = np.delete(np.arange(N)[::-1], N - 1 - gone)
    np.save("vectors.npy", np.concatenate([POINTS[kept], POINTS[:1] + 0.5]))
    told = vectors("update")
    assert "left out with the images that are gone: 1 label\n" in told.err
    after = labels()
    expected = np.append(before.arrays["known"][kept], -1)
    assert after.arrays["known"].tolist() == expected.tolist()
    place = {row: i for i, row in enumerate(kept.tolist())}
    assert after.arrays["pairs"].tolist() == [[*sorted((place[a], place[c])), 0]]
    assert after.arrays["labels"][: N - 1].tolist() == before.arrays["labels"][kept].tolist()
    assert steered_by(after) == "steered by 5 labels and 1 pair"
    assert json.loads(RUN.names_file.read_text())["names"] == {"2": "few", "3": "third"}


def clustered(numbers: list[int], known: list[int] | None = None, marks: int = 0) -> Artifact:
    arrays = {"labels": np.array(numbers), "fingerprints": np.arange(marks, marks + len(numbers))}
    arrays |= {} if known is None else {"known": np.array(known)}
    return Artifact("labels", arrays, {}, 0, {}, {})


@pytest.mark.parametrize(
    ("before", "now", "known", "expected"),
    [
        # without known labels 0 and 1 would change places
        ([0, 0, 1, 1, 2], [1, 1, 0, 0, 2], [-1, -1, -1, 0, -1], [1, 1, 0, 0, 2]),
        # the others take their former numbers
        ([0, 0, 1, 2, 2], [2, 2, 0, 1, 1], [-1, -1, 0, -1, -1], [1, 1, 0, 2, 2]),
        # of more clusters than now, and of fewer
        ([0, 1, 2, 3, 4], [1, 1, 0, 2, 2], [-1, -1, 0, -1, -1], [1, 1, 0, 2, 2]),
        ([0, 0, 0, 1, 1], [0, 0, 2, 1, 1], [-1, -1, -1, 1, -1], [0, 0, 2, 1, 1]),
    ],
)
def test_known_numbers_stay_where_others_become_those_of_before(
    before: list[int], now: list[int], known: list[int], expected: list[int]
) -> None:
    labels, _ = numbered_as(clustered(before), clustered(now, known))
    assert labels.arrays["labels"].tolist() == expected


def test_a_number_of_no_cluster_has_no_share_behind_the_last_one() -> None:
    now = clustered([0, 1, 3, 3, 1], [0, -1, -1, -1, -1])  # known labels have left none in 2
    shares = np.eye(4, dtype=np.float32)[now.arrays["labels"]]
    now = replace(now, arrays={**now.arrays, "shares": shares})
    arrays = numbered_as(clustered([0, 1, 2, 2, 3]), now)[0].arrays
    assert arrays["labels"].tolist() == [0, 1, 2, 2, 1]
    assert arrays["shares"].tolist() == np.eye(3)[arrays["labels"]].tolist()


def test_a_steered_run_that_was_edited_is_taken_elsewhere(vectors: Cli) -> None:
    words = {0: "sea", 1: "ice", 2: "sky", 3: "fog"}
    a, b, c = (int(np.flatnonzero(group == GROUPS)[3]) for group in (0, 3, 1))
    pairs = f"a,b,same|different\n{a},{b},different\n{a},{c},different\n"
    vectors("cluster", *FLAGS, "--known", write_known(of_groups(words) + pairs))
    vectors("edit", "merge", "sea", "fog")
    model = AutoencoderClusterer.load(RUN.path)
    model.save("other")
    again = artifact.read(Path("other/labels.h5"), "labels")
    assert again.arrays["labels"].tolist() == np.array([0, 1, 2, 0])[GROUPS].tolist()
    assert again.details["known"]["names"] == {"0": "sea", "1": "ice", "2": "sky"}
    assert again.arrays["pairs"].tolist() == [[a, c, 0]]  # the other one is not true any more
    assert (again.arrays["known"][again.arrays["known"] >= 0] < 3).all()
    # a new cluster has no name of one that was merged, whose number it has
    vectors("edit", "split", "sky")
    assert vectors("cluster", *FLAGS, "--known", "known.csv", "--force").code == 0
    named = {
        each["cluster"]: each["name"]
        for each in json.loads(vectors("name", "--json").out)["clusters"]
    }
    assert named == {0: "sea", 1: "ice", 2: "sky", 3: None}


def test_images_that_are_gone_are_not_forgotten_by_a_file_without_them(cli: Cli) -> None:
    Path("photos").mkdir()
    for i, pixels in enumerate(noise_images(8)):
        Image.fromarray(pixels).save(f"photos/{i}.png")
    np.save("vectors.npy", POINTS[:8])
    cli("embed", "--features", "vectors.npy", "photos")
    flags = ["-k", 2, "--clusterer", "kmeans", "--reduction", "none"]
    lines = [f"{i}.png,{word}\n" for i, word in enumerate("abab")]
    every = write_known("id,label\n" + "".join(lines), "every.csv")
    fewer = write_known("id,label\n" + "".join(lines[2:]), "fewer.csv")
    assert cli("cluster", *flags, "--known", every).code == 0
    Path("photos/0.png").unlink()
    np.save("vectors.npy", POINTS[1:8])
    assert cli("update").code == 0
    assert cli("cluster", *flags, "--known", fewer).code == 0
    again = cli("cluster", *flags, "--known", every)
    assert again.code == 0
    assert "1 of the known images is gone: 0.png" in again.err


def test_what_is_known_follows_images_that_come_go_and_are_renamed() -> None:
    def files(names: list[str], marks: list[int], data: str) -> Artifact:
        arrays = {"ids": np.array(names, "S"), "fingerprints": np.array(marks, np.uint64)}
        return Artifact("labels", arrays, {}, 0, {"data": data}, {})

    old = files(["a", "b", "c", "d"], [1, 2, 3, 3], "old")
    # a is gone, b is called z, c and d are copies of each other, e is new
    new = files(["c", "d", "e", "z"], [3, 3, 9, 2], "new")
    told = Steering("old", ((0, 5), (1, 7), (3, 8)), ((0, 1, 1), (1, 3, 0)), ((5, "x"), (7, "y")))
    expected = Steering("new", ((1, 8), (3, 7)), ((1, 3, 0),), ((7, "y"),), gone=("a",))
    assert carried(told, old, new) == expected
    assert carried(Steering("old", ((0, 5),)), old, new) is None
    assert carried(told, old, files(["a"], [1], "old")) == told


# -- ask -----------------------------------------------------------------------------------------


def rows_of(file: str) -> list[dict[str, str]]:
    with open(file, newline="") as there:
        return [*csv.DictReader(there)]


def fill_in(file: str, words: list[str]) -> None:
    rows = rows_of(file)
    for row in rows:
        row["label"] = words[GROUPS[int(row["id"])]]
    with open(file, "w", newline="") as there:
        writer = csv.DictWriter(there, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_what_is_asked_for_is_answered_taken_in_and_not_asked_again(vectors: Cli) -> None:
    file = "aeclust-run/ask.csv"
    vectors("cluster", *FLAGS, "--seed", 3)
    first = json.loads(vectors("ask", "-n", 8, "--json").out)
    command = f"aeclust cluster -k 4 --reduction none --clusterer kmeans --seed 3 --known {file}"
    assert (first["known"], first["sheet"], first["next"][0]["command"]) == (0, None, command)
    vectors("cluster", "--clusterer", "hdbscan", "--reduction", "none")
    instead = json.loads(vectors("ask", "-n", 8, "-o", "other.csv", "--json").out)["next"][0][
        "command"
    ]
    assert instead == "aeclust cluster -k 4 --reduction none --known other.csv"  # by a consensus
    vectors("cluster", *FLAGS, "--seed", 3)
    asked = [int(row["id"]) for row in rows_of(file)]
    assert asked == first["ids"]
    assert len({*asked}) == 8
    assert vectors("ask", "-n", 8, "-o", "-").out == Path(file).read_text()

    fill_in(file, ["sea", "sky", "sea", "ice"])
    filled = Path(file).read_text()
    refused = one_error(vectors("ask", "-n", 8))
    assert "has 8 labels that the run has not read yet" in refused
    assert f"take them in with {command}, or replace it with --force" in refused
    assert Path(file).read_text() == filled

    assert vectors(*command.split()[1:]).code == 0
    again = vectors("ask", "-n", 4)
    assert f"{file}: 4 images to label, beside 8 known ones" in again.out
    rows = rows_of(file)
    told = {int(row["id"]): row["label"] for row in rows if row["label"]}
    assert told == {row: ["sea", "sky", "sea", "ice"][GROUPS[row]] for row in asked}
    assert not {int(row["id"]) for row in rows[8:]} & set(asked)
    assert [row["picture"] for row in rows[8:]] == ["1", "2", "3", "4"]
    # what was corrected by hand is not asked for either
    vectors("edit", "drop", rows[8]["id"])
    vectors("ask", "-n", 4)
    assert rows[8]["id"] not in {row["id"] for row in rows_of(file)}
    # nor is a file replaced with a pair that nobody has taken in
    text = Path(file).read_text()
    Path(file).write_text(f"{text}a,b,same|different\n0,1,different\n")
    assert "has 1 pair that the run has not read yet" in one_error(vectors("ask", "-n", 4))
    Path(file).write_text(text)
    # the file as it is says what is known already
    digest = labels().digest
    assert "up to date" in vectors(*command.split()[1:]).out
    assert labels().digest == digest


def test_a_sheet_shows_what_is_asked_for(full_run: RunFolder, cli: Cli) -> None:
    assert cli("ask", "-n", 5).out.endswith(
        "ask.csv: 5 images to label; aeclust-run/ask.png shows them\n"
    )
    assert (full_run.path / "ask.png").read_bytes().startswith(b"\x89PNG")
    Path("mine.png").write_bytes(b"a picture")
    refused = one_error(cli("ask", "-o", "mine.csv"))
    assert "mine.png is there already, and is no sheet of aeclust" in refused
    assert not Path("mine.csv").exists()


def test_whoever_shows_labels_says_what_steered_them(vectors: Cli) -> None:
    known = write_known(of_groups({0: "a", 1: "b"}))
    vectors("cluster", *FLAGS[:-1], "pca:2", "--known", known)  # nothing is drawn by t-SNE
    words = "steered by 6 labels"
    assert f"labels {words}, intact" in vectors("info").out
    assert vectors("name").out.endswith(f"{words}\n")
    assert json.loads(vectors("plot", "--json").out)["by_hand"] == words
    assert vectors("report").out.endswith(f"MB; {words}\n")
    page = Path("aeclust-run/report.html").read_text()
    assert f"· {words}</p>" in page
    flags = "-k 4 --reduction pca:2 --clusterer kmeans --known known.csv"
    assert f"aeclust cluster {flags}" in page


def test_a_training_that_was_steered_stays_so(cli: Cli, data: Data) -> None:
    known = write_known("id,label\n0,left\n1,right\n2,left\n3,right\n")
    train = ["train", data.images, *TWO_PHASES]
    assert cli(*train, "--known", known).code == 0
    manifest = RUN.manifest()
    assert manifest.steering is not None
    assert manifest.steering.said == {0: "left", 1: "right", 2: "left", 3: "right"}
    assert replace(manifest, steering=None).identity != manifest.identity
    assert cli("cluster").code == 0
    assert steered_by(labels()) == "steered by 4 labels"
    assert labels().arrays["labels"][:4].tolist() == [0, 1, 0, 1]
    RUN.labels_file.write_bytes(b"damaged")
    assert cli("cluster", "--force").code == 0
    assert steered_by(labels()) == "steered by 4 labels"

    assert cli(*train, "--resume").code == 0  # what is not repeated is as it was
    other = write_known("id,label\n0,right\n1,left\n", "other.csv")
    refused = cli(*train, "--resume", "--known", other)
    assert refused.code == 2
    assert "this run was started otherwise: the known labels are others" in refused.err

    three = write_known("id,label\n0,left\n1,right\n2,up\n", "three.csv")
    assert cli(*train, "-k", 3, "--force", "--known", three).code == 0
    before = RUN.latents_file.read_bytes()
    kinds = "--known: there are 3 kinds of known labels for 2 clusters; expected at most 2;"
    assert one_error(cli("cluster", "-k", 2)).startswith(kinds)
    assert RUN.latents_file.read_bytes() == before  # refused before any work

    assert cli(*train, "--force", "--known", known).code == 0
    images = np.load(data.images)
    np.save("grown.npy", np.concatenate([images[1:], images[:1] // 2]))  # the first is no more
    assert cli("train", "grown.npy", *TWO_PHASES, "--continue").code == 0
    moved = RUN.manifest().steering
    assert moved is not None
    assert moved.said == {0: "right", 1: "left", 2: "right"}


def test_many_known_labels_and_ids_that_are_gone_are_kept(vectors: Cli) -> None:
    assert vectors("cluster", *FLAGS, "--known", write_known(of_groups({0: "a"}))).code == 0
    gone = tuple(f"{'folder/' * 9}{i:04d}.png" for i in range(1_000))
    some = tuple((i, i % 3) for i in range(30_000))
    known = Steering("d" * 64, some, ((0, 29_999, 1),), ((0, "a"),), gone)
    manifest = replace(RUN.manifest(), steering=known, shape=(30_000, 6), data_digest="d" * 64)
    RUN.write_manifest(manifest)
    assert RUN.manifest().steering == known
    RUN.write_manifest(replace(manifest, shape=(29_999, 6)))
    with refused(where=str(RUN.manifest_file)):
        RUN.manifest()

    made = labels()
    known = replace(known, labels=((0, 0),), pairs=())
    details, n = {**made.details, "known": known.details}, len(made.arrays["ids"])
    made = replace(made, arrays={**made.arrays, **known.arrays(n)}, details=details)
    artifact.write(RUN.labels_file, made)
    assert steering_of(labels()) == replace(known, data=made.parents["data"])
    words = Given({i: f"{i:03d}{'x' * 90}" for i in range(800)})
    with refused(what="the 800 different known labels have too many characters"):
        numbered(words, np.arange(800), np.arange(800), "d", 800)
