"""Corrections by hand: their file, their algebra, and that every command follows them."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Cli, check_error, far_groups, one_error, refused, run_quietly

from aeclust import AutoencoderClusterer, artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError
from aeclust.run.again import commands
from aeclust.run.edits.applied import Correction, most_confident
from aeclust.run.edits.file import parse_edits, to_text
from aeclust.run.edits.kinds import Drop, Edit, Edits, Ids, Merge, Move, Name, Split
from aeclust.run.folder import RunFolder

SIZES = [12, 10, 8, 6, 4]
VECTORS, GROUPS = far_groups(SIZES, seed=1, d=6)
NUMBERS = st.integers(0, 9)
IDS = st.one_of(
    st.lists(st.integers(-(2**63) + 1, 2**63 - 1), min_size=1, max_size=4, unique=True),
    st.lists(
        st.text(st.characters(codec="utf-8"), max_size=5), min_size=1, max_size=4, unique=True
    ),
).map(tuple)
NAMES = st.dictionaries(NUMBERS, st.sampled_from(["", "sea", "a b"]), max_size=2)
MORE: dict[str, Any] = {"names": NAMES, "off": st.sampled_from(["", "there is no cluster 5"])}
EDIT = st.one_of(
    st.builds(Merge, st.lists(NUMBERS, min_size=2, unique=True).map(tuple), **MORE),
    st.builds(Split, NUMBERS, st.integers(2, 9), **MORE),
    st.builds(Split, NUMBERS, parts=st.just({3: ("a", "b"), 7: ("c",)}), **MORE),
    st.builds(Move, IDS, NUMBERS, st.booleans(), **MORE),
    st.builds(Move, IDS, st.none(), **MORE),
    st.builds(Drop, IDS, **MORE),
    st.builds(Name, NUMBERS, st.sampled_from(["", "kitchen"])),
)


# -- the file --------------------------------------------------------------------------------------


@given(st.lists(EDIT, max_size=5), st.dictionaries(NUMBERS, IDS, max_size=3))
@settings(max_examples=40, deadline=None)
def test_what_is_written_is_read(edits: list[Edit], clusters: dict[int, Ids]) -> None:
    written = Edits("ab" * 32, tuple(edits), clusters, "cd" * 32)
    assert parse_edits(to_text(written).encode()) == written


PAGE = {
    "format": 1,
    "labels": "ab" * 32,
    "edits": [
        {"edit": "merge", "clusters": [2, 5]},
        {"edit": "split", "cluster": 3, "k": 2},
        {"edit": "move", "ids": ["a/b.jpg", "c"], "to": 4},
        {"edit": "move", "ids": [3], "to": "new"},
        {"edit": "drop", "ids": ["d"]},
        {"edit": "name", "cluster": 4, "name": "kitchen"},
    ],
}


def test_what_a_page_downloads_is_read() -> None:
    edits = parse_edits(b"\xef\xbb\xbf" + json.dumps(PAGE).encode())
    assert edits.edits == (
        Merge((2, 5)), Split(3, 2), Move(("a/b.jpg", "c"), 4), Move((3,), None), Drop(("d",)),
        Name(4, "kitchen"),
    )  # fmt: skip
    assert [str(each) for each in edits.edits] == [
        "merge 2 5", "split 3 -k 2", "move a/b.jpg c --to 4", "move 3 --to new", "drop d",
        "name 4=kitchen",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"format": 2}, "is of format 2"),
        ({"format": True}, "is of format True"),
        ({"more": 1}, "has the key 'more'"),
        ({"labels": 7}, "labels has '7'"),
        ({"edits": {}}, "has no list of edits"),
        ({"clusters": []}, "clusters are no object"),
        ({"clusters": {"01": [1]}}, "clusters has the key '01'"),
        ({"clusters": {"²": [1]}}, "clusters has the key '²'"),
        ({"edits": [{"edit": "paint"}]}, "edit 1 is of no known kind"),
        ({"edits": [{"edit": ["merge"]}]}, "edit 1 is of no known kind"),
        ({"edits": [PAGE["edits"][0], 7]}, "edit 2 is of no known kind"),  # type: ignore[index]
        ({"edits": [{"edit": "merge", "clusters": [1]}]},
         "edit 1 (merge) does not name two clusters"),
        ({"edits": [{"edit": "merge", "clusters": [1, 1]}]},
         "edit 1 (merge) names a cluster twice"),
        ({"edits": [{"edit": "merge", "clusters": [1, True]}]}, "edit 1 (merge) has 'True'"),
        ({"edits": [{"edit": "split", "cluster": 1, "k": 1}]}, "edit 1 (split) has '1'"),
        ({"edits": [{"edit": "drop", "ids": []}]}, "edit 1 (drop) has no ids"),
        ({"edits": [{"edit": "drop", "ids": [1, "1"]}]}, "edit 1 (drop) has no ids"),
        ({"edits": [{"edit": "drop", "ids": [[1]]}]}, "edit 1 (drop) has no ids"),
        ({"edits": [{"edit": "drop", "ids": [1, 1]}]}, "edit 1 (drop) has an id twice"),
        ({"edits": [{"edit": "drop", "ids": [2**63]}]}, "edit 1 (drop) has an id beyond 64 bits"),
        ({"edits": [{"edit": "drop", "ids": ["\ud800"]}]}, "edit 1 (drop) has '\\ud800'"),
        ({"edits": [{"edit": "move", "ids": [1], "to": -1}]}, "edit 1 (move) has '-1'"),
        ({"edits": [{"edit": "move", "ids": [1]}]}, "edit 1 has no key 'to'"),
        ({"edits": [{"edit": "name", "cluster": 1, "name": "a\nb"}]},
         "edit 1 (name) the name is 'a\\nb'"),
        ({"edits": [{"edit": "drop"}]}, "edit 1 has no key 'ids'"),
    ],
)  # fmt: skip
def test_a_file_that_is_wrong_is_one_sentence(change: dict[str, Any], what: str) -> None:
    with refused(what=what):
        parse_edits(json.dumps({**PAGE, **change}).encode())


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff", b'{"format":1,"format":1}', b"1e9"])
def test_what_is_no_such_object_is_refused(text: bytes) -> None:
    with pytest.raises(InputError):
        parse_edits(text)


# -- their algebra -----------------------------------------------------------------------------


def labels_of(groups: np.ndarray[Any, Any], digest: str = "a", *, shares: bool = True) -> Artifact:
    """Labels that are sure by what number the image has."""
    n, k = len(groups), int(groups.max()) + 1
    sure = np.linspace(0.6, 0.9, n, dtype=np.float32)
    chances = np.repeat((1 - sure)[:, None] / max(1, k - 1), k, axis=1)
    chances[np.arange(n), groups] = sure
    arrays = {
        "ids": np.char.encode(np.array([f"{i}.png" for i in range(n)]), "utf-8"),
        "labels": groups.astype(np.int64),
        "confidence": sure,
        **({"shares": chances.astype(np.float32)} if shares else {}),
    }
    return Artifact("labels", arrays, {}, 0, {"data": "d"}, {}, digest=digest)


LABELS = labels_of(GROUPS)


@st.composite
def histories(draw: Any) -> Correction:
    """Labels after a few edits that make sense, each drawn from what is there."""
    now = Correction(LABELS, Edits("a"))
    for kind in draw(st.lists(st.sampled_from("msovd"), max_size=7)):
        used = now.partition.numbers
        rows = st.lists(st.integers(0, len(GROUPS) - 1), min_size=1, max_size=4, unique=True)
        ids = tuple(now.ids[row] for row in draw(rows))
        cluster = draw(st.sampled_from(used))
        members = np.flatnonzero(now.partition.labels == cluster).tolist()
        if kind == "m" and len(used) > 1:
            now.apply(Merge(tuple(draw(st.permutations(used))[:2])))
        elif kind == "s" and len(members) > 1:
            at = draw(st.integers(1, len(members) - 1))
            halves = {cluster: members[:at], now.partition.free(): members[at:]}
            parts = {j: tuple(now.ids[row] for row in half) for j, half in halves.items()}
            now.apply(Split(cluster, 2, parts))
        elif kind == "d" and (now.partition.labels >= 0).sum() > 4:
            now.apply(Drop(ids))
        elif kind == "o":
            now.apply(Move(ids, cluster))
        elif kind == "v":
            now.apply(Move(ids, None, new=True))
    return now


@given(histories())
@settings(max_examples=60, deadline=None)
def test_a_partition_stays_one_and_the_file_gives_it_again(now: Correction) -> None:
    arrays, used = now.labels.arrays, now.partition.numbers
    assert {*arrays["labels"].tolist()} - {-1} == {*used}
    assert arrays["shares"].shape == (len(GROUPS), max(used) + 1)
    inside, unused = arrays["labels"] >= 0, np.setdiff1d(np.arange(max(used) + 1), used)
    np.testing.assert_allclose(arrays["shares"][inside].sum(1), 1, rtol=1e-5)
    assert not arrays["shares"][:, unused].any()
    assert (arrays["confidence"] >= 0).all()
    assert (arrays["confidence"] <= 1).all()
    assert LABELS.arrays["labels"].tolist() == GROUPS.tolist()
    text = to_text(Edits("a", tuple(now.edits), most_confident(LABELS)))
    again = Correction(LABELS, parse_edits(text.encode()))
    assert again.labels.arrays["labels"].tolist() == arrays["labels"].tolist()
    assert again.edits == now.edits
    assert again.labels.details["edits"] == len(now.edits)


@given(histories(), st.permutations(range(len(SIZES))))
@settings(max_examples=40, deadline=None)
def test_edits_follow_clusters_that_have_other_numbers(now: Correction, order: list[int]) -> None:
    edits = Edits("a", tuple(now.edits), most_confident(LABELS))
    other = Correction(labels_of(np.array(order)[GROUPS], "b"), edits)
    assert not any(each.off for each in other.edits)
    was, became = now.labels.arrays["labels"], other.labels.arrays["labels"]
    pairs = {*zip(was.tolist(), became.tolist(), strict=True)}
    assert len(pairs) == len({*was.tolist()}) == len({*became.tolist()})
    assert ((was == -1) == (became == -1)).all()
    # and once they speak of the new numbers, they say the same
    rebased = Correction(other.found, Edits("b", tuple(other.edits)))
    assert rebased.labels.arrays["labels"].tolist() == became.tolist()


def test_undoing_gives_the_labels_of_before() -> None:
    edits = (Merge((2, 4)), Move(("0.png", "1.png"), 4, new=True), Drop(("5.png",)), Merge((4, 0)))
    whole = [Correction(LABELS, Edits("a", edits[:count])) for count in range(5)]
    assert [len(each.partition.numbers) for each in whole] == [5, 4, 5, 5, 4]
    assert whole[0].labels.arrays["labels"].tolist() == GROUPS.tolist()
    numbers = whole[4].partition.labels
    assert numbers[[0, 1, 5]].tolist() == [4, 4, -1]
    assert (numbers[GROUPS == 0] == 4).sum() >= 9


def test_a_cluster_goes_on_where_most_of_its_surest_images_are() -> None:
    groups = GROUPS.copy()
    groups[GROUPS == 1] = 0  # the larger of the two goes on
    groups[np.flatnonzero(GROUPS == 3)[:3]] = 2  # a half is not more than a half
    edits = (Merge((0, 2)), Merge((1, 2)), Split(3, parts={3: ("0.png",), 5: ("1.png",)}),
             Drop(("gone.png",)), Move(("0.png", "gone.png"), 4))  # fmt: skip
    now = Correction(
        labels_of(groups, "b", shares=False), Edits("a", edits, most_confident(LABELS))
    )
    assert now.numbers == {0: 0, 4: 4}
    assert [each.off for each in now.edits] == [
        "", "there is no cluster 1", "there is no cluster 3", "its images are gone", "",
    ]  # fmt: skip
    assert now.edits[-1] == Move(("0.png",), 4)


# -- a run -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of vectors in five clusters beside them; not to be touched."""
    place = tmp_path_factory.mktemp("rooms")
    np.save(place / "v.npy", VECTORS)
    for line in (f"embed --features {place}/v.npy", "cluster -k 5 --clusterer kmeans"):
        result = run_quietly(*line.split(), "--run", place / "aeclust-run")
        assert result.code == 0, result.err
    return place


@pytest.fixture
def run(cli: Cli, rooms: Path, tmp_path: Path) -> RunFolder:
    """A copy in the working folder."""
    shutil.copytree(rooms, tmp_path, dirs_exist_ok=True)
    manifest = tmp_path / "aeclust-run" / "run.json"
    manifest.write_text(manifest.read_text().replace(str(rooms), str(tmp_path)))
    return RunFolder(tmp_path / "aeclust-run")


def done(cli: Cli, *words: object) -> dict[str, Any]:
    result = cli("edit", *words, "--json", "-q")
    assert result.code == 0, result.err
    answer: dict[str, Any] = json.loads(result.out)
    return answer


def predicted(cli: Cli, *words: object) -> list[int]:
    rows = cli("predict", *words, "-q").out.splitlines()[1:]
    return [int(row.rpartition(",")[2]) for row in rows]


def test_every_command_follows_the_edits(cli: Cli, run: RunFolder) -> None:
    assert artifact.read(run.labels_file).arrays["labels"].tolist() == GROUPS.tolist()
    before = run.labels_file.read_bytes()
    cli("name", "2=pantry", "3=attic")
    ids = np.flatnonzero(GROUPS == 4)[:2].tolist()
    line = cli("edit", "merge", 1, "pantry")
    assert line == (
        0,
        "aeclust-run: merged 2 into cluster 1; 8 labels changed;"
        " clusters now: 0: 12, 1 (pantry): 18, 3 (attic): 6, 4: 4; 1 edit in all\n",
        "",
    )
    done(cli, "move", *ids, "--to", "new")
    done(cli, "drop", ids[0])
    expected = np.where(GROUPS == 2, 1, GROUPS)
    expected[ids] = [-1, 2]
    assert predicted(cli) == expected.tolist()
    assert run.labels_file.read_bytes() == before
    # copies, and others by the vote of their neighbours
    assert predicted(cli, "v.npy") == expected.tolist()
    np.save("new.npy", VECTORS[GROUPS == 2] + np.float32(0.01))
    assert {*predicted(cli, "new.npy")} == {1}
    cli("export", "all.csv")
    table = [row.split(",") for row in Path("all.csv").read_text().splitlines()]
    assert [int(row[1]) for row in table[1:]] == expected.tolist()
    assert [row[2] for row in table[1:]][ids[1]] == "1.0"
    np.save("truth.npy", expected)
    assert json.loads(cli("evaluate", "all.csv", "truth.npy", "--json").out)["accuracy"] > 0.9
    clusters = json.loads(cli("name", "--json").out)["clusters"]
    assert [(c["cluster"], c["size"], c["name"]) for c in clusters] == [
        (0, 12, None), (1, 18, "pantry"), (2, 1, None), (3, 6, "attic"), (4, 2, None),
    ]  # fmt: skip
    assert "; corrected by 3 edits" in cli("cluster", "-k", 5, "--clusterer", "kmeans").out
    info = json.loads(cli("info", "--json").out)["files"][-1]
    assert (info["kind"], info["details"]) == ("edits", {"edits": 3, "not_in_force": []})
    assert AutoencoderClusterer.load(run.path).labels_.tolist() == expected.tolist()
    manifest = run.manifest()
    again = commands(manifest, manifest.recipe, manifest.seed, {"edits": 3})
    assert again[-2:] == ["aeclust edit apply edits.json", "aeclust report"]
    # names come back with what is taken back
    for _ in range(3):
        left = done(cli, "undo")
    assert (left["names"], left["sizes"]["2"]) == ({"2": "pantry", "3": "attic"}, 8)
    assert not run.edits_file.exists()
    assert predicted(cli) == GROUPS.tolist()
    check_error(cli("edit", "undo").error, what="there is no edit to take back")


def test_a_split_is_found_in_the_latents_and_kept(cli: Cli, run: RunFolder) -> None:
    done(cli, "merge", 0, 3, 4)
    answer = done(cli, "split", 0, "-k", 3)
    assert answer["sizes"] == {"0": 12, "1": 10, "2": 8, "3": 6, "4": 4}
    assert predicted(cli) == GROUPS.tolist()
    run.latents_file.unlink()  # and made again, the same: nobody looks for the parts anew
    assert predicted(cli) == GROUPS.tolist()


def test_edits_are_kept_where_images_come_and_go(cli: Cli, run: RunFolder) -> None:
    cli("name", "1=sea", "3=attic")
    first = [np.flatnonzero(j == GROUPS)[-1] for j in range(5)]
    done(cli, "merge", 1, 3)
    done(cli, "move", first[0], first[2], "--to", "new")  # number 3
    cli("name", "3=odd")
    left = np.delete(np.arange(len(GROUPS)), [0, 5, 9])  # other rows for all behind
    assert not {0, 5, 9} & {*first}
    np.save("v.npy", np.concatenate([VECTORS[left], VECTORS[GROUPS == 3][:2] + 0.01]))
    result = cli("update", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["moved"] == 0
    expected = np.where(GROUPS == 3, 1, GROUPS)
    expected[[first[0], first[2]]] = 3
    assert predicted(cli) == [*expected[left].tolist(), 1, 1]
    names = {c["cluster"]: c["name"] for c in json.loads(cli("name", "--json").out)["clusters"]}
    assert names == {0: None, 1: "sea", 2: None, 3: "odd", 4: None}


def test_clusters_made_anew_keep_what_still_makes_sense(cli: Cli, run: RunFolder) -> None:
    row = int(np.flatnonzero(GROUPS == 0)[0])
    done(cli, "merge", 3, 4)
    done(cli, "drop", row)
    result = cli("cluster", "-k", 2, "--clusterer", "kmeans")
    assert "1 of 2 edits is not in force: merge 3 4: there is no cluster " in result.err
    assert predicted(cli)[row] == -1
    assert "  NOT IN FORCE: there is no cluster " in cli("edit", "list").out
    assert ", OUT OF DATE: 1 of 2 are not in force; merge 3 4: " in cli("info").out
    cli("cluster", "-k", 5, "--clusterer", "kmeans")  # and back
    assert "NOT IN FORCE" not in cli("edit", "list").out
    cli("cluster", "-k", 2, "--clusterer", "kmeans")
    done(cli, "drop", (row + 1) % len(GROUPS))  # on other clusters: what went before stays out
    assert "not in force" not in cli("predict").err
    assert [bool(each["off"]) for each in done(cli, "list")["edits"]] == [True, False, False]
    run.begin(run.manifest())  # as train --force
    assert not run.edits_file.exists()


# -- from a file -------------------------------------------------------------------------------


def page(run: RunFolder, *edits: dict[str, Any], labels: str = "") -> Path:
    digest = labels or artifact.read(run.labels_file).digest
    text = json.dumps({"format": 1, "labels": digest, "edits": edits})
    Path("page.json").write_text(text)
    return Path("page.json")


def test_a_page_is_applied_once_and_goes_on(cli: Cli, run: RunFolder) -> None:
    edits: list[dict[str, Any]] = [
        {"edit": "split", "cluster": 0, "k": 2},
        {"edit": "merge", "clusters": [1, 2]},
        {"edit": "move", "ids": [0], "to": 2},  # which is the next new number of the page
        {"edit": "name", "cluster": 2, "name": "odd"},
    ]
    answer = done(cli, "apply", page(run, *edits))
    assert (answer["done"], answer["names"]) == ("applied 4 edits", {"2": "odd"})
    assert (answer["sizes"]["2"], len(answer["sizes"])) == (1, 6)
    again = done(cli, "apply", page(run, *edits[:3]))
    assert again["done"] == "nothing to do: all 3 edits are in force already"
    more = done(cli, "apply", page(run, *edits, {"edit": "drop", "ids": [1, 0]}))
    assert more["done"] == "applied 2 edits (3 edits before them were in force already)"
    assert more["sizes"].get("2") is None
    assert [each["edit"] for each in more["edits"]][1:] == [
        "merge 1 2", "move 0 --to 2 (new)", "drop 1 0",
    ]  # fmt: skip
    # numbers that a page gives to new clusters are its own
    other = [{"edit": "move", "ids": [3, 4, 6, 7], "to": 5, "new": True},
             {"edit": "split", "cluster": 5, "k": 2}]  # fmt: skip
    last = done(cli, "apply", page(run, *other))["edits"][-2:]
    assert [each["edit"] for each in last] == ["move 3 4 6 and 1 more --to 2 (new)", "split 2 -k 2"]
    for _ in other:
        done(cli, "undo")
    # of which none is as large as there are images
    # who writes edits by hand means the clusters as they are
    Path("mine.json").write_text(json.dumps({"edits": [{"edit": "drop", "ids": [4]}]}))
    assert done(cli, "apply", "mine.json")["done"] == "applied 1 edit"
    done(cli, "undo")
    far: list[dict[str, Any]] = [
        {"edit": "move", "ids": [3], "to": 10**9, "new": True},
        {"edit": "split", "cluster": 4, "parts": {"4": [15], "999999999": [18]}},
    ]
    assert max(map(int, done(cli, "apply", page(run, *far))["sizes"])) < 8
    for _ in far:
        done(cli, "undo")
    # and a page that was written since may ask for the same again
    page_since = json.loads(page(run, edits[0]).read_text()) | {"after": 4}
    Path("page.json").write_text(json.dumps(page_since))
    assert done(cli, "apply", "page.json")["done"] == "applied 1 edit"
    done(cli, "clear")
    what = "it was made after 4 edits, and the run has 0 now"
    check_error(cli("edit", "apply", "page.json").error, what=what)


def test_a_table_moves_what_has_another_label(cli: Cli, run: RunFolder) -> None:
    cli("name", "0=kitchen")
    rows = [int(np.flatnonzero(j == GROUPS)[0]) for j in range(5)]
    table = f"id,label\n{rows[0]},kitchen\n{rows[1]},kitchen\n{rows[2]},-1\n{rows[3]},5\n"
    Path("fixed.csv").write_text(table)
    answer = done(cli, "apply", "fixed.csv")
    assert [each["edit"] for each in answer["edits"]] == [
        f"drop {rows[2]}", f"move {rows[1]} --to 0", f"move {rows[3]} --to 5 (new)",
    ]  # fmt: skip
    assert predicted(cli)[rows[3]] == 5
    assert done(cli, "apply", "fixed.csv")["done"] == "nothing to do: all images have these labels"
    # two clusters that swap all their images keep their names
    done(cli, "clear")
    swapped = np.array([0, 2, 1, 3, 4])[GROUPS]
    lines = "".join(f"{row},{label}\n" for row, label in enumerate(swapped.tolist()))
    Path("fixed.csv").write_text(f"id,label\n{lines}")
    cli("name", "1=sea", "2=town")
    assert done(cli, "apply", "fixed.csv")["names"] == {"0": "kitchen", "1": "sea", "2": "town"}
    assert predicted(cli) == swapped.tolist()


def test_nothing_is_applied_of_a_file_with_a_mistake(cli: Cli, run: RunFolder) -> None:
    drop = {"edit": "drop", "ids": [0]}
    for edits, labels, what in (
        ([drop, {"edit": "merge", "clusters": [1, 9]}], "", "(merge 1 9): there is no cluster 9"),
        (
            [drop, {"edit": "move", "ids": [1], "to": 7}],
            "",
            "(move 1 --to 7): there is no cluster 7",
        ),
        ([drop, {"edit": "drop", "ids": [99]}], "", "(drop 99): '99' is not among the images"),
        ([drop], "00" * 32, "it was made for other clusters than the run has now"),
    ):
        what = f"edit 2 {what}" if len(edits) > 1 else what
        result = cli("edit", "apply", page(run, *edits, labels=labels))
        one_error(result)
        check_error(result.error, what=what, where="page.json")
    for table, what in (
        ("0,1\n0,2\n", "row 3 repeats an id: '0,2'"),
        ("0,\n", "row 2 has no label: '0,'"),
        ("0,7\n", "there is no cluster 7"),
        ("77,1\n", "'77' is not among the images"),
    ):
        Path("table.csv").write_text(f"id,label\n{table}")
        check_error(cli("edit", "apply", "table.csv").error, what=what, where="table.csv")
    for text, what in (
        ("merge 1 2", "cannot be read (Expecting value"),
        ("[]", "is no object"),
        ("{}", "has no key 'edits'"),
    ):
        Path("mine.json").write_text(text)
        result = cli("edit", "apply", "mine.json")
        assert result.error is not None
        assert result.error.what.startswith(what)
        check_error(result.error, where="mine.json")
        assert "header" not in result.err
        assert "data" not in result.err
    assert not run.edits_file.exists()


def test_what_people_say_is_never_guessed(cli: Cli, run: RunFolder) -> None:
    cli("name", "0=4", "1=sea", "2=sea", "3=new")
    for words, what in (
        ("merge 4 1", "'4' may be cluster 0 by its name or cluster 4"),
        ("merge 0 sea", "'sea' may be cluster 1 by its name or cluster 2 by its name"),
        ("merge 0 see", "there is no cluster see"),
        ("merge 1 1", "the same cluster twice cannot be merged"),
        ("merge 1", "one cluster cannot be merged"),
        ("split 0 -k 13", "12 images cannot form 13 clusters"),
        ("move 0 --to new", "'new' may be cluster 3 by its name or a new one"),
        ("move 0 zzz yyy --to 1", "'zzz' and 1 other are not among the images"),
        (f"drop {' '.join(map(str, range(40)))}", "no image would be left in a cluster"),
    ):
        result = cli("edit", *words.split())
        one_error(result)
        check_error(result.error, what=what)
    np.save("v.npy", np.concatenate([VECTORS[1:], VECTORS[:1] + 1]))
    result = cli("edit", "drop", 39)
    check_error(result.error, what="'39' is new since the clusters were made")
    run.edits_file.write_text("{")
    mend = "restore a copy, or delete it and correct the clusters again"
    check_error(cli("predict").error, mend=mend)
    assert len(json.loads(cli("info", "--json").out)["damaged"]) == 1
    run.edits_file.write_text(json.dumps({**PAGE, "edits": []}))
    what = "is not as aeclust edit writes it: it lacks what belongs to the labels"
    check_error(cli("predict").error, what=what, where=str(run.edits_file.relative_to(Path.cwd())))


def test_edits_say_what_of_them_is_gone() -> None:
    edits = Edits(
        "a", (Drop((1, 2)), Move((3,), 0), Split(0, parts={0: (1,), 1: (3,)})), {0: (1, 3)}, "d"
    )
    assert edits.renamed({1: 0, 2: 1}, "e") == Edits(
        "a",
        (Drop((0, 1)), Move((3,), 0, off="its images are gone"), Split(0, parts={0: (0,), 1: ()})),
        {0: (0,)},
        "e",
    )
    rows = dataclasses.replace(LABELS, arrays={**LABELS.arrays, "ids": np.arange(40)})
    other = Correction(rows, Edits("a", (Drop((1,)),), {}, "other"))
    assert other.edits[0].off == "its row numbers are of other images"
