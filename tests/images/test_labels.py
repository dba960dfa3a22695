"""Labels from every source, the CSV they leave in, and each refusal."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import refused

from aeclust.artifact import Artifact, encode_ids, write
from aeclust.errors import InputError
from aeclust.images import truth
from aeclust.images.truth import Labels, load, load_named, pair
from aeclust.images.written import to_csv, to_json

# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)

NAMES = np.array(["b.png", "a/1.png", "ü, ö.png"])


def labels_of(values: list[int], ids: list[Any] | None = None) -> Labels:
    named = None if ids is None else np.array(ids)
    return Labels(np.array(values, np.int64), named, "truth.csv")


def ids_of(labels: Labels) -> list[Any]:
    assert labels.ids is not None
    return list(labels.ids.tolist())


def csv_file(folder: Path, text: str) -> str:
    file = folder / "labels.csv"
    file.write_bytes(text.encode())
    return str(file)


def encoded(kind: str, **arrays: NDArray[Any]) -> Artifact:
    recipe = {"name": "baseline", "k": 2}
    return Artifact(kind=kind, arrays=arrays, recipe=recipe, seed=0, parents={}, details={})


# -- sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int16, bool])
def test_arrays_of_whole_numbers_are_read(tmp_path: Path, dtype: type) -> None:
    values: NDArray[Any] = np.array([1, 0, 1, 1]).astype(dtype)
    np.save(tmp_path / "y.npy", values)
    np.savez(tmp_path / "y.npz", images=np.zeros((4, 8, 8)), y=values)
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["y"] = values.astype(int)
    for location in ("y.npy", "y.npz", "y.npz::y", "y.h5"):
        read = load(str(tmp_path / location))
        assert read.values.dtype == np.int64
        assert read.values.tolist() == [1, 0, 1, 1]
        assert read.ids is None
        assert read.location == str(tmp_path / location)
        assert len(read) == 4


@pytest.mark.parametrize("ids", [np.arange(3), NAMES], ids=["numbers", "texts"])
def test_a_labels_artifact_brings_its_ids(tmp_path: Path, ids: NDArray[Any]) -> None:
    confidence, references = np.ones(3, np.float32), np.arange(3)
    arrays = {"labels": np.array([1, 0, 1]), "confidence": confidence, "references": references}
    arrays["fingerprints"] = np.arange(3, dtype=np.uint64)
    write(tmp_path / "labels.h5", encoded("labels", ids=encode_ids(ids), **arrays))
    labels = load(str(tmp_path / "labels.h5"))
    assert labels.values.tolist() == [1, 0, 1]
    assert ids_of(labels) == ids.tolist()


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, "S2", "U2"])
def test_a_column_of_labels_is_read(tmp_path: Path, dtype: Any) -> None:
    values = np.array([[1], [0], [12]]).astype(dtype)
    np.save(tmp_path / "y.npy", values)
    np.savez(tmp_path / "y.npz", images=np.zeros((3, 8, 8)), points=np.zeros((3, 2)), y=values)
    for location in ("y.npy", "y.npz", "y.npz::y"):
        assert load(str(tmp_path / location)).values.tolist() == [1, 0, 12]


@pytest.mark.parametrize("texts", [["sea", "a", " sea"], ["ü", "é漢", "ü"]])
@pytest.mark.parametrize("kind", ["<U4", ">U4", "S", "column"])
def test_texts_in_arrays_are_labels_as_in_a_csv(
    texts: list[str], kind: str, tmp_path: Path
) -> None:
    array = np.array(texts) if kind in ("S", "column") else np.array(texts, kind)
    array = np.char.encode(array, "utf-8") if kind == "S" else array
    array = array[:, None] if kind == "column" else array
    np.save(tmp_path / "y.npy", array)
    np.savez(tmp_path / "a.npz", y=array)
    np.savez(tmp_path / "b.npz", ids=np.arange(3), labels=array.ravel())
    wanted = load(
        csv_file(tmp_path, f"id,label\n0,{texts[0]}\n1,{texts[1]}\n2,{texts[2]}\n"), texts=True
    )
    places = ["y.npy", "a.npz", *["b.npz"] * (kind != "S")]
    if kind == "S":
        with h5py.File(tmp_path / "y.h5", "w") as file:
            file["y"] = array
        places.append("y.h5::y")
    for place in places:
        read = load(str(tmp_path / place), texts=True)
        assert read.values.tolist() == wanted.values.tolist()
        assert read.called == wanted.called
        assert load_named(str(tmp_path / place))[1] == sorted({text.strip() for text in texts})
        with pytest.raises(InputError):
            load(str(tmp_path / place))


def test_an_empty_text_is_no_label(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.array(["sea", ""]))
    with refused(what="row 1 reads ''", expected="a label for each image", mend="fill it in"):
        load(str(tmp_path / "y.npy"), texts=True)


def test_labels_are_told_by_their_bytes(tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.arange(3))
    (tmp_path / "y.npy").rename(tmp_path / "y.dat")
    assert load(str(tmp_path / "y.dat")).values.tolist() == [0, 1, 2]
    arrays = {"labels": np.array([1, 0]), "confidence": np.ones(2, np.float32)}
    more = {"references": np.arange(2), "ids": encode_ids(np.array(["a", "b"]))}
    more["fingerprints"] = np.arange(2, dtype=np.uint64)
    write(tmp_path / "labels", encoded("labels", **arrays, **more))
    assert ids_of(load(str(tmp_path / "labels"))) == ["a", "b"]


def test_a_csv_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = '\ufeffID , Label\r\n"b, c.png", 1 \r\n\r\n d ,-3\r\n'
    read = load(csv_file(tmp_path, text))
    assert read.values.tolist() == [1, -3]
    assert ids_of(read) == ["b, c.png", " d "]


# -- the CSV -----------------------------------------------------------------------------------


def test_the_csv_by_hand() -> None:
    assert to_csv(np.arange(3), np.array([1, 0, 1])) == "id,label\n0,1\n1,0\n2,1\n"
    text = to_csv(np.array(["a.png", 'q"q', "x,y", "two\nlines", "é"]), np.arange(5))
    assert text == 'id,label\na.png,0\n"q""q",1\n"x,y",2\n"two\nlines",3\né,4\n'
    text = to_csv(np.array(["a\rb"]), np.array([4]))  # which must be quoted to be read again
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["id", "label"], ["a\rb", "4"]]


# numpy drops NULs that end a text, and no file name holds one
IDS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    min_size=1,
    max_size=8,
    unique=True,
)


@FEW
@given(IDS, st.integers(-(10**17), 10**17))
@example(["a,b", 'say "it"', "two\nlines", "r\rn", "\r\n", "", " ", "é漢\U0001f600"], 1)
def test_ids_survive_the_round_trip(ids: list[str], first: int) -> None:
    values = first + np.arange(len(ids))
    with tempfile.TemporaryDirectory() as folder:
        read = load(csv_file(Path(folder), to_csv(np.array(ids), values)))
    assert ids_of(read) == ids
    assert read.values.tolist() == values.tolist()


# -- matching ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "ids", "rows", "values"),
    [
        (labels_of([2, 0, 1]), NAMES, [0, 1, 2], [2, 0, 1]),
        (labels_of([5, 6], ["ü, ö.png", "b.png"]), NAMES, [2, 0], [5, 6]),
        # numbers match the texts that a CSV made of them
        (labels_of([5, 6], ["2", "0"]), np.arange(3), [2, 0], [5, 6]),
    ],
)
def test_labels_find_their_rows(
    labels: Labels, ids: NDArray[Any], rows: list[int], values: list[int]
) -> None:
    assert [column.tolist() for column in labels.aligned(ids)] == [rows, values]


@pytest.mark.parametrize(
    ("predicted", "truth", "clusters", "classes"),
    [
        (labels_of([0, 1, 2]), labels_of([7, 8, 9]), [0, 1, 2], [7, 8, 9]),
        (labels_of([0, 1, 2], ["x", "y", "z"]), labels_of([7, 8, 9]), [0, 1, 2], [7, 8, 9]),
        (labels_of([0, 1, 2]), labels_of([7, 9], ["2", "0"]), [2, 0], [7, 9]),
        (labels_of([0, 1, 2], ["x", "y", "z"]), labels_of([7, 9], ["z", "x"]), [2, 0], [7, 9]),
    ],
)
def test_pairs_are_matched_by_id_where_both_have_them(
    predicted: Labels, truth: Labels, clusters: list[int], classes: list[int]
) -> None:
    rows, values = pair(predicted, truth)
    assert (predicted.values[rows].tolist(), values.tolist()) == (clusters, classes)


@FEW
@given(st.permutations(range(6)), st.integers(1, 6))
def test_the_order_of_a_csv_does_not_matter(order: list[int], known: int) -> None:
    truth = np.array([4, 3, 2, 1, 0, 9])
    kept = order[:known]
    shuffled = labels_of(truth[kept].tolist(), [f"{row}.png" for row in kept])
    predicted = Labels(np.arange(6), np.array([f"{row}.png" for row in range(6)]), "predicted")
    rows, classes = pair(predicted, shuffled)
    assert classes.tolist() == truth[rows].tolist()
    assert sorted(rows.tolist()) == sorted(kept)


COMPOSED, APART = "caf\u00e9.png", "cafe\u0301.png"


@pytest.mark.parametrize(
    ("names", "ids", "rows"),
    [
        ([APART, "b"], ["b", COMPOSED], [1, 0]),
        ([COMPOSED], ["b", APART], [1]),
        ([COMPOSED, APART], [APART, COMPOSED], [1, 0]),  # each its own
        (["\u212b"], ["A\u030a"], [0]),  # the unit and the letter
        ([APART], [APART, COMPOSED], [0]),
    ],
)
def test_ids_that_differ_by_composition_are_the_same(
    names: list[str], ids: list[str], rows: list[int]
) -> None:
    found, values = labels_of([*range(len(names))], names).aligned(np.array(ids))
    assert (found.tolist(), values.tolist()) == (rows, [*range(len(names))])


def test_images_that_are_gone_may_have_labels_in_either_form() -> None:
    known = labels_of([0, 1, 2], ["b", APART, "c"])
    rows, values = known.aligned(np.array(["b"]), gone=[COMPOSED, "c"])
    assert (rows.tolist(), values.tolist()) == ([0], [0])
    with refused(what="id 'c' is not among the images"):
        known.aligned(np.array(["b"]), gone=[COMPOSED])
    assert labels_of([3], ["7"]).aligned(np.array([7]), gone=["8"])[0].tolist() == [0]


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["\u212b"], ["A\u030a", "\u00c5"]),  # either could be meant
        (["A\u030a", "\u00c5"], ["\u212b"]),
        ([APART, COMPOSED], [COMPOSED]),  # which is taken
        (["cafe.png"], [COMPOSED]),
    ],
)
def test_ids_that_could_mean_several_are_unknown(names: list[str], ids: list[str]) -> None:
    with pytest.raises(InputError, match="among the images"):
        labels_of([*range(len(names))], names).aligned(np.array(ids))


# -- refusals ----------------------------------------------------------------------------------

LENGTH = ("one label for each image", "give the labels of these images, or a CSV of id,label")
KNOWN = ("ids of the clustered images", "check that both belong to the same data")
FOUR = labels_of([0, 1, 2, 0], ["b.png", "x\n", "y", "z"])


@pytest.mark.parametrize(
    ("known", "ids", "what", "others"),
    [
        (labels_of([0, 1]), np.arange(3), "holds 2 labels for 3 images", LENGTH),
        (labels_of([0], ["9"]), np.arange(3), "id '9' is not among the images", KNOWN),
        (FOUR, NAMES, r"id 'x\n' and 2 others are not among the images", KNOWN),
    ],
)
def test_labels_of_other_images_are_refused(
    known: Labels, ids: NDArray[Any], what: str, others: tuple[str, str]
) -> None:
    predicted = Labels(np.zeros(len(ids), np.int64), ids, "predicted")
    with refused(what=what, expected=others[0], mend=others[1], where="truth.csv"):
        known.aligned(ids)
    with refused(what=what, expected=others[0], mend=others[1], where="truth.csv"):
        pair(predicted, known)


GIVE_WORDS = "give words to aeclust name, or number them"
EACH, WHOLE, CONVERT = "one label for each image, (n,)", "whole numbers", "convert it with .astype("


@pytest.mark.parametrize(
    ("array", "what", "expected", "mend"),
    [
        (np.zeros((3, 2), int), "has shape (3, 2)", EACH, ""),
        (np.zeros((0, 1), int), "has shape (0,)", EACH, ""),
        (np.zeros(0, int), "has shape (0,)", EACH, ""),
        (np.array(3), "has shape ()", EACH, ""),
        (np.zeros(3), "has dtype float64", WHOLE, f"{CONVERT}int)"),
        (np.array(["1", "a"]), "row 1 reads 'a'", WHOLE, GIVE_WORDS),
        (np.array([b"a" * 99]), f"row 0 reads {'a' * 60!r}", WHOLE, GIVE_WORDS),
        (np.array(["1", " "]), "row 1 reads ''", WHOLE, "fill it in"),
        (np.array([b"\xff"]), "holds texts that are not Unicode", "numbers or UTF-8", ""),
        (np.array([0, 2**63], np.uint64), "holds numbers beyond 2^62", "class numbers", ""),
        (np.array([0, -(2**63)]), "holds numbers beyond 2^62", "class numbers", ""),
    ],
)
def test_arrays_that_are_no_labels_are_refused(
    tmp_path: Path, array: NDArray[Any], what: str, expected: str, mend: str
) -> None:
    np.save(tmp_path / "y.npy", array)
    with refused(what=what, expected=expected, mend=mend, where=f"{tmp_path}/y.npy"):
        load(f"{tmp_path}/y.npy")


HEADER = "the header id,label"
ROW = "id,label with a whole number"
AS, FIX = "write it as aeclust predict does", "correct that row"
WORDS = "correct that row, or give words to aeclust name"


@pytest.mark.parametrize(
    ("text", "place", "what", "expected", "mend"),
    [
        ("", "", "is empty", HEADER, AS),
        ("\n\n", "", "is empty", HEADER, AS),
        ("0,1\n1,0\n", "", "starts with '0,1'", HEADER, AS),
        ("label,id\n0,1\n", "", "starts with 'label,id'", HEADER, AS),
        ("x" * 99, "", f"starts with '{'x' * 60}'", HEADER, AS),
        ("id,label\n", "", "holds no labels", "rows after the header", ""),
        ("id,label\na,1\nb\n", ", row 3", "reads 'b'", ROW, FIX),
        ("id,label\na,1,2\n", ", row 2", "reads 'a,1,2'", ROW, FIX),
        ("id,label\na,1.0\n", ", row 2", "reads 'a,1.0'", ROW, FIX),
        ("id,label\na,\n", ", row 2", "reads 'a,'", ROW, FIX),
        ("id,label\na,-\n", ", row 2", "reads 'a,-'", ROW, FIX),
        ("id,label\na,--1\n", ", row 2", "reads 'a,--1'", ROW, FIX),
        ("id,label\na,1_0\n", ", row 2", "reads 'a,1_0'", ROW, FIX),
        ("id,label\na,cat\x1b[2J\n", ", row 2", r"reads 'a,cat\x1b[2J'", ROW, WORDS),
        (f"id,label\na,{10**18}\n", ", row 2", f"reads 'a,{10**18}'", ROW, FIX),
        (
            "id,label\na,1\nb,0\na,1\n",
            ", row 4",
            "id 'a' stands in row 2 already",
            "each id once",
            "remove one of them",
        ),
    ],
)
def test_broken_csvs_are_refused(
    tmp_path: Path, text: str, place: str, what: str, expected: str, mend: str
) -> None:
    file = csv_file(tmp_path, text)
    with refused(what=what, expected=expected, mend=mend, where=f"{file}{place}"):
        load(file)


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_spreadsheet_may_write_other_separators_and_utf_16(
    tmp_path: Path, separator: str, encoding: str
) -> None:
    file = tmp_path / "labels.csv"
    rows = ["id,label,more", "ü.png,1,'a'", "b.png,0,", ""]
    file.write_text("\r\n".join(rows).replace(",", separator), encoding=encoding)
    labels = load(str(file))
    assert labels.ids is not None
    assert (labels.ids.tolist(), labels.values.tolist()) == (["ü.png", "b.png"], [1, 0])


def test_an_error_about_a_row_is_one_line(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "id,label\na,1\n\x1b,1.5\n")
    with pytest.raises(InputError) as caught:
        load(file)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        rf"{file}, row 3: reads '\x1b,1.5'; expected id,label with a whole number; correct that row"
    )


def test_unreadable_csvs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.csv").mkdir()
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"id,label\n\xfc,1\n")
    save = "save it as UTF-8, which spreadsheets call CSV UTF-8"
    with refused(what="line 2 is not UTF-8", expected="UTF-8", mend=save, where=str(latin)):
        load(str(latin))
    (tmp_path / "over.csv").write_text(f"id,label\n{'x' * 200_000},1\n")
    for name, why in {
        "folder": "not a regular file of at most 1073741824 bytes",
        "over": "field larger than field limit (131072)",
    }.items():
        file = str(tmp_path / f"{name}.csv")
        what, expected = f"cannot be read ({why})", "a CSV of id,label"
        with refused(what=what, expected=expected, mend="check the path", where=file):
            load(file)
    with refused(what="there is no such file", mend="check the path"):
        load(str(tmp_path / "no-such-file.csv"))
    monkeypatch.setattr(truth, "_MAX_BYTES", 10)
    with refused(what="cannot be read (not a regular file of at most 10 bytes)"):
        load(csv_file(tmp_path, "id,label\n0,1\n"))


def test_a_missing_array_and_another_artifact_are_refused(tmp_path: Path) -> None:
    with refused(what="there is no such file or folder", where=f"{tmp_path}/none.npy"):
        load(f"{tmp_path}/none.npy")
    marks, latents = np.arange(3, dtype=np.uint64), np.zeros((3, 2), np.float32)
    file = tmp_path / "latents.h5"
    write(file, encoded("latents", latents=latents, ids=np.arange(3), fingerprints=marks))
    with pytest.raises(InputError, match="labels") as caught:
        load(str(file))
    assert caught.value.where == str(file)
    with refused(what="no built-in set is called 'cats'", where="demo:cats"):
        load("demo:cats")


# -- what aeclust export writes ----------------------------------------------------------------

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@FEW
@given(
    st.lists(
        st.tuples(TEXT, st.integers(-5, 9), st.floats(0, 1)), min_size=1, unique_by=lambda r: r[0]
    ),
    st.booleans(),
)
def test_exported_columns_come_back_from_every_format(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, float]], named: bool
) -> None:
    folder = tmp_path_factory.mktemp("exported")
    ids, values = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    confidence = np.array([r[2] for r in rows], np.float32)
    names = np.array(["" if v < 0 else f"c {v}, x" for v in values]) if named else None
    more = {} if names is None else {"name": names}
    text = to_csv(ids, values, confidence=confidence.round(6), **more)
    (folder / "a.csv").write_bytes(text.encode())
    (folder / "labels.csv").write_bytes(text.encode())
    (folder / "a.json").write_text(to_json(ids, values, confidence, names))
    arrays: dict[str, Any] = {"ids": ids, "labels": values, "confidence": confidence}
    if names is not None:
        arrays["names"] = names
    np.savez(folder / "a.npz", latents=np.zeros((len(ids), 2)), **arrays)
    for name in ("a.csv", "", "a.json", "a.npz"):
        read = load(str(folder / name))
        assert (ids_of(read), read.values.tolist()) == (ids.tolist(), values.tolist())
        assert read.values.dtype == np.int64
        assert (read.names is None) == (not named)
        if read.names is not None and names is not None:
            assert read.names.tolist() == names.tolist()
        known, texts = load_named(str(folder / name))
        wanted = values.astype(str) if names is None or not names.any() else names
        called = (wanted != "") & (wanted != "-1")  # of outliers nobody knows a name
        assert ids_of(known) == ids[called].tolist()
        assert [texts[v] for v in known.values] == wanted[called].tolist()


def test_row_numbers_come_back_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(to_json(np.arange(3), np.arange(3), np.ones(3, np.float32)))
    read = load(str(tmp_path / "a.json"))
    assert read.ids is not None
    assert read.ids.dtype == np.int64


def test_texts_are_numbered_in_the_order_of_the_alphabet_where_they_may_be(tmp_path: Path) -> None:
    words = csv_file(tmp_path, "id,label\na,sea\nb,1\nc, land \nd,sea\n")
    labels = load(words, texts=True)
    assert labels.values.tolist() == [2, 0, 1, 2]
    assert labels.called == {0: "1", 1: "land", 2: "sea"}
    numbers = load(csv_file(tmp_path, "id,label\na,7\nb,-1\n"), texts=True)
    assert (numbers.values.tolist(), numbers.called) == ([7, -1], {})
    named = load(csv_file(tmp_path, "id,label,name\na,7,sea\nb,-1,\n"), texts=True)
    assert (named.values.tolist(), named.called) == ([7, -1], {7: "sea"})


IMAGES = "its column of names is one of images, and names no cluster"


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "c.png", "d", "e"], f"{IMAGES}: it repeats the ids"),
        (["x.jpg", "y.JPG", "", "x.png"], f"{IMAGES}: it has names of image files"),
        (["Ann", "Bob", "Cy", "Di"], f"{IMAGES}: nearly all of them are different"),
        (["sea", "land", "sea", "land"], ""),
        (["sea", "", "", "land"], ""),
        (["", "", "", ""], ""),
    ],
)
def test_a_column_of_names_may_be_one_of_images(names: list[str], why: str, tmp_path: Path) -> None:
    ids, values = ["a", "b/c.png", "d", "e"], np.array([3, 7, 3, 7])
    (tmp_path / "a.json").write_text(
        json.dumps({"ids": ids, "labels": values.tolist(), "names": names})
    )
    csv_file(tmp_path, to_csv(np.array(ids), values, name=np.array(names)))
    for name in ("labels.csv", "a.json"):
        read = load(str(tmp_path / name), texts=True)
        assert read.remarks == ((f"{tmp_path}/{name}: {why}",) if why else ())
        assert (read.names is None) == bool(why)
        assert load_named(str(tmp_path / name))[0].remarks == read.remarks
    if why:  # and then labels may be words again
        file = csv_file(tmp_path, to_csv(np.array(ids), np.array([*"wwxx"]), name=np.array(names)))
        assert load(file, texts=True).called == {0: "w", 1: "x"}


def test_a_label_of_two_names_is_refused(tmp_path: Path) -> None:
    file = csv_file(tmp_path, "id,label,name\n0,1,sea\n1,2,land\n2,1,land\n3,2,land\n")
    with refused(
        where=file,
        what="label 1 has the names 'sea' and 'land'",
        expected="one name for all images of a label",
        mend="correct it, or call that column otherwise",
    ):
        load(file)


@pytest.mark.parametrize("label", ["", " "])
def test_an_absent_label_is_no_text(tmp_path: Path, label: str) -> None:
    file = csv_file(tmp_path, f"id,label\na,sea\nb,{label}\n")
    with refused(where=f"{file}, row 3", expected="id,label with a label"):
        load(file, texts=True)


def test_folders_of_images_are_classes_where_labels_may_be_texts(tmp_path: Path) -> None:
    expected = "images in folders that are named by their classes"
    mend, where = "sort them into folders, or write a CSV of id,label", str(tmp_path)
    with refused(what="holds no image file", expected=expected, mend=mend, where=where):
        load(where, texts=True)
    for name in ("sea/b.png", "land/x/a.jpg", "sea/a.PNG", "land/notes.txt", ".git/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    labels = load(where, texts=True)
    assert ids_of(labels) == ["land/x/a.jpg", "sea/a.PNG", "sea/b.png"]
    assert labels.values.tolist() == [0, 1, 1]
    assert labels.called == {0: "land", 1: "sea"}
    assert load_named(where)[1] == ["land", "sea"]
    with refused(what="is no file of labels", where=where):
        load(where)
    (tmp_path / "lost.png").touch()
    what = "lost.png is in no folder of a class"
    with refused(what=what, expected=expected, mend=mend, where=where):
        load(where, texts=True)


def test_files_that_were_left_out_need_no_cluster() -> None:
    ids = np.array(["a", "b", "c"])
    known = Labels(np.array([4, 5, 6]), ids, "photos", files=True)
    rows, values = known.aligned(np.array(["c", "a"]))
    assert (rows.tolist(), values.tolist()) == ([1, 0], [4, 6])
    with refused(what="id 'a' and 2 others are not among the images", where="photos"):
        known.aligned(np.array(["d", "e"]))
    with refused(what="id 'b' is not among the images"):
        dataclasses.replace(known, files=False).aligned(np.array(["c", "a"]))


def test_labels_of_any_text_are_numbered(tmp_path: Path) -> None:
    labels, texts = load_named(csv_file(tmp_path, "id,label\na, sea\nb,1\nc,sea\n"))
    assert (labels.values.tolist(), texts) == ([1, 0, 1], ["1", "sea"])
    np.save(tmp_path / "y.npy", np.array([3, 1, 3]))
    labels, texts = load_named(str(tmp_path / "y.npy"))
    assert (labels.values.tolist(), texts, labels.ids) == ([1, 0, 1], ["1", "3"], None)


BELONG = "has no columns ids, labels and names that belong together"
LISTS = "lists of one length: ids, whole numbers and, if they are there, names"


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "{}",
        '{"ids": [], "labels": []}',
        '{"ids": [1, "a"], "labels": [1, 2]}',
        '{"ids": [[1], [2, 3]], "labels": [1, 2]}',
        '{"ids": [1, 2], "labels": [1]}',
        '{"ids": [1], "labels": ["1"]}',
        '{"ids": [1], "labels": [1.0]}',
        '{"ids": [1], "labels": [true]}',
        '{"ids": [1], "labels": [1], "names": [2]}',
        '{"ids": [1], "labels": [1], "names": []}',
        f'{{"ids": [1], "labels": [{2**70}]}}',
    ],
)
def test_json_without_fitting_columns_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    mend = "write it as aeclust export does"
    with refused(what=BELONG, expected=LISTS, mend=mend, where=str(file)):
        load(str(file))


def test_json_that_names_an_id_twice_or_huge_numbers_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(f'{{"ids": [1], "labels": [{2**62 + 1}]}}')
    with refused(what="holds numbers beyond 2^62", expected="class numbers", where=str(file)):
        load(str(file))
    file.write_text('{"ids": ["a", "a"], "labels": [1, 2]}')
    with refused(what="has an id twice", expected="each id once", mend="remove one of them"):
        load(str(file))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "9" * 5_000])
def test_broken_json_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load(str(file))
    assert caught.value.where == str(file)
    assert caught.value.expected == "one object, as aeclust predict --json writes it"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["a.csv", "a.json"])
def test_a_text_that_makes_a_column_too_large_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aeclust.memory.machine", lambda: 3_999)
    ids = [*"abcdefghi", "j" * 100]
    text = json.dumps({"ids": ids, "labels": [0] * 10})
    if name == "a.csv":
        text = "id,label\n" + "".join(f"{i},0\n" for i in ids)
    (tmp_path / name).write_text(text)
    what = "a column of 10 texts, one of 100 characters, needs about 0 GB of memory"
    with refused(what=what, mend="shorten the longest", where=str(tmp_path / name)):
        load(str(tmp_path / name))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint64, np.int16])
def test_columns_of_an_archive_are_whole_numbers_of_any_kind(tmp_path: Path, dtype: type) -> None:
    np.savez(tmp_path / "a.npz", ids=np.arange(3, dtype=dtype), labels=np.array([1, 0, 1], dtype))
    read = load(str(tmp_path / "a.npz"))
    assert read.ids is not None
    assert read.ids.dtype == read.values.dtype == np.int64
    assert (read.ids.tolist(), read.values.tolist()) == ([0, 1, 2], [1, 0, 1])


def test_columns_of_an_archive_never_become_lists(tmp_path: Path) -> None:
    values = np.arange(100_000)
    np.savez(tmp_path / "a.npz", ids=values, labels=values)
    load(str(tmp_path / "a.npz"))  # what is imported late does not count
    tracemalloc.start()
    load(str(tmp_path / "a.npz"))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 8 * values.nbytes  # lists take 15 times as much


@pytest.mark.parametrize(
    "column",
    [np.array([[0], [1]]), np.array(5), np.array([0.0, 1.0]), np.array([True, False]),
     np.array([2**63, 1], np.uint64), np.array([], np.int64)],
    ids=["2d", "0d", "float", "bool", "huge", "none"],
)  # fmt: skip
def test_columns_of_an_archive_that_are_no_labels_are_refused(
    tmp_path: Path, column: NDArray[Any]
) -> None:
    np.savez(tmp_path / "a.npz", ids=np.array(["a", "b"]), labels=column)
    with refused(what=BELONG, expected=LISTS, where=f"{tmp_path}/a.npz"):
        load(f"{tmp_path}/a.npz")


@pytest.mark.parametrize("point", [0x110000, 2**31])
def test_texts_that_no_text_can_be_are_refused(tmp_path: Path, point: int) -> None:
    ids = np.array(["ab", "cd"])
    ids.view(np.uint32)[0] = point
    np.savez(tmp_path / "a.npz", ids=ids, labels=np.arange(2))
    with refused(what=BELONG, where=f"{tmp_path}/a.npz"):
        load(f"{tmp_path}/a.npz")
