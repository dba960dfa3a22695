"""Labels from every source, the CSV they leave in, and each refusal."""

from __future__ import annotations

import csv
import dataclasses
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust.artifact import Artifact
from aeclust.errors import InputError
from aeclust.images import demo
from aeclust.images import truth as labels
from aeclust.images.truth import Labels, load, pair, to_csv

# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)

NAMES = np.array(["b.png", "a/1.png", "ü, ö.png"])


def labels_of(values: list[int], ids: list[Any] | None = None) -> Labels:
    named = None if ids is None else np.array(ids)
    return Labels(np.array(values, np.int64), named, "truth.csv")


def artifact(kind: str, arrays: dict[str, NDArray[Any]]) -> Artifact:
    recipe = {"name": "baseline", "k": 2}
    return Artifact(kind=kind, arrays=arrays, recipe=recipe, seed=0, parents={}, details={})


def csv_file(folder: Path, text: str) -> str:
    file = folder / "labels.csv"
    file.write_bytes(text.encode())
    return str(file)


def refused(action: Callable[[], object]) -> str:
    """The one line that an action is refused with."""
    with pytest.raises(InputError) as caught:
        action()
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    return str(caught.value)


# -- sources -----------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int16, bool])
def test_arrays_of_whole_numbers_are_read(tmp_path: Path, dtype: type) -> None:
    values: NDArray[Any] = np.array([1, 0, 1, 1]).astype(dtype)
    np.save(tmp_path / "y.npy", values)
    np.savez(tmp_path / "y.npz", images=np.zeros((4, 8, 8)), y=values)
    for location in ("y.npy", "y.npz", "y.npz::y"):
        read = load(str(tmp_path / location))
        assert read.values.dtype == np.int64
        assert read.values.tolist() == [1, 0, 1, 1]
        assert read.ids is None
        assert read.location == str(tmp_path / location)
        assert len(read) == 4


def test_an_hdf5_array_is_read(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["y"] = np.array([3, 1, 2])
    read = load(str(tmp_path / "y.h5"))
    assert (read.values.tolist(), read.ids) == ([3, 1, 2], None)


def test_a_built_in_set_brings_its_labels() -> None:
    read = load("demo:digits")
    np.testing.assert_array_equal(read.values, demo.load("digits").labels)
    assert (read.ids, read.location) == (None, "demo:digits")


@pytest.mark.parametrize("ids", [np.arange(3), NAMES], ids=["numbers", "texts"])
def test_a_labels_artifact_brings_its_ids(tmp_path: Path, ids: NDArray[Any]) -> None:
    file = tmp_path / "labels.h5"
    arrays = {
        "labels": np.array([1, 0, 1]),
        "confidence": np.ones(3, np.float32),
        "ids": artifacts.encode_ids(ids),
        "references": np.arange(3),
    }
    artifacts.write(file, artifact("labels", arrays))
    read = load(str(file))
    assert read.values.tolist() == [1, 0, 1]
    assert read.ids is not None
    assert read.ids.tolist() == ids.tolist()


def test_a_csv_is_read_as_spreadsheets_write_it(tmp_path: Path) -> None:
    text = '\ufeffID , Label\r\n"b, c.png", 1 \r\n\r\n d ,-3\r\n'
    read = load(csv_file(tmp_path, text))
    assert read.values.tolist() == [1, -3]
    assert read.ids is not None
    assert read.ids.tolist() == ["b, c.png", " d "]


# -- the CSV -----------------------------------------------------------------------------------


def test_the_csv_by_hand() -> None:
    assert to_csv(np.arange(3), np.array([1, 0, 1])) == "id,label\n0,1\n1,0\n2,1\n"
    text = to_csv(np.array(["a.png", 'q"q', "x,y", "two\nlines", "é"]), np.arange(5))
    assert text == 'id,label\na.png,0\n"q""q",1\n"x,y",2\n"two\nlines",3\né,4\n'


def test_a_carriage_return_is_quoted() -> None:
    text = to_csv(np.array(["a\rb"]), np.array([4]))
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
    assert read.ids is not None
    assert read.ids.tolist() == ids
    assert read.values.tolist() == values.tolist()


def test_numbers_survive_the_round_trip_as_texts(tmp_path: Path) -> None:
    read = load(csv_file(tmp_path, to_csv(np.arange(12), np.arange(12) % 3)))
    rows, values = read.aligned(np.arange(12))
    assert rows.tolist() == list(range(12))
    assert values.tolist() == [0, 1, 2] * 4


# -- matching ----------------------------------------------------------------------------------


def test_labels_without_ids_stand_in_row_order() -> None:
    rows, values = labels_of([2, 0, 1]).aligned(NAMES)
    assert (rows.tolist(), values.tolist()) == ([0, 1, 2], [2, 0, 1])


def test_labels_with_ids_find_their_rows() -> None:
    rows, values = labels_of([5, 6], ["ü, ö.png", "b.png"]).aligned(NAMES)
    assert (rows.tolist(), values.tolist()) == ([2, 0], [5, 6])
    # numbers match the texts that a CSV made of them
    rows, values = labels_of([5, 6], ["2", "0"]).aligned(np.arange(3))
    assert (rows.tolist(), values.tolist()) == ([2, 0], [5, 6])


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
    found = pair(predicted, truth)
    assert [values.tolist() for values in found] == [clusters, classes]


@FEW
@given(st.permutations(range(6)), st.integers(1, 6))
def test_the_order_of_a_csv_does_not_matter(order: list[int], known: int) -> None:
    truth = np.array([4, 3, 2, 1, 0, 9])
    kept = order[:known]
    shuffled = labels_of(truth[kept].tolist(), [f"{row}.png" for row in kept])
    predicted = Labels(np.arange(6), np.array([f"{row}.png" for row in range(6)]), "predicted")
    clusters, classes = pair(predicted, shuffled)
    assert classes.tolist() == truth[clusters].tolist()
    assert sorted(clusters.tolist()) == sorted(kept)


# -- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "ids", "line"),
    [
        (
            labels_of([0, 1]),
            np.arange(3),
            "truth.csv: holds 2 labels for 3 images; expected one label for each image;"
            " give the labels of these images, or a CSV of id,label",
        ),
        (
            labels_of([0], ["9"]),
            np.arange(3),
            "truth.csv: id '9' is not among the images; expected ids of the clustered images;"
            " check that both belong to the same data",
        ),
        (
            labels_of([0, 1, 2, 0], ["b.png", "x\n", "y", "z"]),
            NAMES,
            r"truth.csv: id 'x\n' and 2 others are not among the images; expected ids of the"
            " clustered images; check that both belong to the same data",
        ),
    ],
)
def test_labels_of_other_images_are_refused(known: Labels, ids: NDArray[Any], line: str) -> None:
    assert refused(lambda: known.aligned(ids)) == line
    predicted = Labels(np.zeros(len(ids), np.int64), ids, "predicted")
    assert refused(lambda: pair(predicted, known)) == line


@pytest.mark.parametrize(
    ("array", "line"),
    [
        (np.zeros((3, 1), int), "has shape (3, 1); expected one label for each image, (n,)"),
        (np.zeros(0, int), "has shape (0,); expected one label for each image, (n,)"),
        (np.array(3), "has shape (); expected one label for each image, (n,)"),
        (
            np.zeros(3),
            "has dtype float64; expected whole numbers; convert it with .astype(int)",
        ),
        (
            np.array(["a"]),
            "has dtype <U1; expected whole numbers; convert it with .astype(int)",
        ),
        (
            np.array([0, 2**63], np.uint64),
            "holds numbers beyond 2^62; expected class numbers",
        ),
        (np.array([0, -(2**63)]), "holds numbers beyond 2^62; expected class numbers"),
    ],
)
def test_arrays_that_are_no_labels_are_refused(
    tmp_path: Path, array: NDArray[Any], line: str
) -> None:
    file = tmp_path / "y.npy"
    np.save(file, array)
    assert refused(lambda: load(str(file))) == f"{file}: {line}"


HEADER = "expected the header id,label; write it as aeclust predict does"
ROW = "expected id,label with a whole number; correct that row"
WORDS = f"{ROW}, or give words to aeclust name"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", f": is empty; {HEADER}"),
        ("\n\n", f": is empty; {HEADER}"),
        ("0,1\n1,0\n", f": starts with '0,1'; {HEADER}"),
        ("label,id\n0,1\n", f": starts with 'label,id'; {HEADER}"),
        ("x" * 99, f": starts with '{'x' * 60}'; {HEADER}"),
        ("id,label\n", ": holds no labels; expected rows after the header"),
        ("id,label\na,1\nb\n", f", row 3: reads 'b'; {ROW}"),
        ("id,label\na,1,2\n", f", row 2: reads 'a,1,2'; {ROW}"),
        ("id,label\na,1.0\n", f", row 2: reads 'a,1.0'; {ROW}"),
        ("id,label\na,\n", f", row 2: reads 'a,'; {ROW}"),
        ("id,label\na,-\n", f", row 2: reads 'a,-'; {ROW}"),
        ("id,label\na,--1\n", f", row 2: reads 'a,--1'; {ROW}"),
        ("id,label\na,1_0\n", f", row 2: reads 'a,1_0'; {ROW}"),
        ("id,label\na,cat\x1b[2J\n", rf", row 2: reads 'a,cat\x1b[2J'; {WORDS}"),
        (f"id,label\na,{10**18}\n", f", row 2: reads 'a,{10**18}'; {ROW}"),
        (
            "id,label\na,1\nb,0\na,1\n",
            ", row 4: id 'a' stands in row 2 already; expected each id once; remove one of them",
        ),
    ],
)
def test_broken_csvs_are_refused(tmp_path: Path, text: str, line: str) -> None:
    file = csv_file(tmp_path, text)
    assert refused(lambda: load(file)) == f"{file}{line}"


UNREADABLE = "expected a CSV of id,label; check the path"


def test_unreadable_csvs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = str(tmp_path / "none.csv")
    assert refused(lambda: load(missing)) == (
        f"{missing}: cannot be read (No such file or directory); {UNREADABLE}"
    )
    folder = tmp_path / "folder.csv"
    folder.mkdir()
    assert refused(lambda: load(str(folder))) == (
        f"{folder}: cannot be read (not a regular file of at most 1073741824 bytes); {UNREADABLE}"
    )
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"id,label\n\xfc,1\n")
    line = refused(lambda: load(str(latin)))
    assert line.startswith(f"{latin}: cannot be read ('utf-8' codec can't decode byte 0xfc")
    assert line.endswith(UNREADABLE)
    long = csv_file(tmp_path, f"id,label\n{'x' * 200_000},1\n")
    assert refused(lambda: load(long)) == (
        f"{long}: cannot be read (field larger than field limit (131072)); {UNREADABLE}"
    )
    monkeypatch.setattr(labels, "_MAX_BYTES", 10)
    large = csv_file(tmp_path, "id,label\n0,1\n")
    assert refused(lambda: load(large)) == (
        f"{large}: cannot be read (not a regular file of at most 10 bytes); {UNREADABLE}"
    )


def test_a_missing_array_and_another_artifact_are_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.npy")
    assert refused(lambda: load(missing)).startswith(f"{missing}: there is no such file")
    file = tmp_path / "latents.h5"
    arrays: dict[str, NDArray[Any]] = {
        "latents": np.zeros((3, 2), np.float32),
        "ids": np.arange(3),
        "fingerprints": np.arange(3, dtype=np.uint64),
    }
    artifacts.write(file, artifact("latents", arrays))
    line = refused(lambda: load(str(file)))
    assert line.startswith(f"{file}: ")
    assert "labels" in line
    assert refused(lambda: load("demo:cats")).startswith("demo:cats: no built-in set is called")


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
    (folder / "a.json").write_text(labels.to_json(ids, values, confidence, names))
    arrays: dict[str, Any] = {"ids": ids, "labels": values, "confidence": confidence}
    if names is not None:
        arrays["names"] = names
    np.savez(folder / "a.npz", latents=np.zeros((len(ids), 2)), **arrays)
    for name in ("a.csv", "", "a.json", "a.npz"):
        read = load(str(folder / name))
        assert read.ids is not None
        assert (read.ids.tolist(), read.values.tolist()) == (ids.tolist(), values.tolist())
        assert read.values.dtype == np.int64
        assert (read.names is None) == (not named)
        if read.names is not None and names is not None:
            assert read.names.tolist() == names.tolist()
        known, texts = labels.load_named(str(folder / name))
        wanted = values.astype(str) if names is None or not names.any() else names
        assert known.ids is not None
        assert known.ids.tolist() == ids[wanted != ""].tolist()
        assert [texts[v] for v in known.values] == wanted[wanted != ""].tolist()


def test_row_numbers_come_back_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        labels.to_json(np.arange(3), np.arange(3), np.ones(3, np.float32))
    )
    read = load(str(tmp_path / "a.json"))
    assert read.ids is not None
    assert read.ids.dtype == np.int64


def test_texts_are_numbered_in_the_order_of_the_alphabet_where_they_may_be(tmp_path: Path) -> None:
    words = csv_file(tmp_path, "id,label\na,sea\nb,1\nc, land \nd,sea\n")
    found = labels.load(words, texts=True)
    assert found.values.tolist() == [2, 0, 1, 2]
    assert found.called == {0: "1", 1: "land", 2: "sea"}
    numbers = labels.load(csv_file(tmp_path, "id,label\na,7\nb,-1\n"), texts=True)
    assert (numbers.values.tolist(), numbers.called) == ([7, -1], {})
    named = labels.load(csv_file(tmp_path, "id,label,name\na,7,sea\nb,-1,\n"), texts=True)
    assert (named.values.tolist(), named.called) == ([7, -1], {7: "sea"})


@pytest.mark.parametrize("label", ["", " "])
def test_an_absent_label_is_no_text(tmp_path: Path, label: str) -> None:
    with pytest.raises(InputError, match=r"row 3: reads .* expected id,label with a label;"):
        labels.load(csv_file(tmp_path, f"id,label\na,sea\nb,{label}\n"), texts=True)


def test_folders_of_images_are_classes_where_labels_may_be_texts(tmp_path: Path) -> None:
    for name in ("sea/b.png", "land/x/a.jpg", "sea/a.PNG", "land/notes.txt", ".git/c.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = labels.load(str(tmp_path), texts=True)
    assert found.ids is not None
    assert found.ids.tolist() == ["land/x/a.jpg", "sea/a.PNG", "sea/b.png"]
    assert found.values.tolist() == [0, 1, 1]
    assert found.called == {0: "land", 1: "sea"}
    assert labels.load_named(str(tmp_path))[1] == ["land", "sea"]
    with pytest.raises(InputError, match="is no file of labels"):
        labels.load(str(tmp_path))
    (tmp_path / "lost.png").touch()
    line = refused(lambda: labels.load(str(tmp_path), texts=True))
    assert line == (
        f"{tmp_path}: lost.png is in no folder of a class; expected images in folders that are"
        " named by their classes; sort them into folders, or write a CSV of id,label"
    )


def test_files_that_were_left_out_need_no_cluster() -> None:
    ids = np.array(["a", "b", "c"])
    known = Labels(np.array([4, 5, 6]), ids, "photos", files=True)
    rows, values = known.aligned(np.array(["c", "a"]))
    assert (rows.tolist(), values.tolist()) == ([1, 0], [4, 6])
    line = refused(lambda: known.aligned(np.array(["d", "e"])))
    assert line.startswith("photos: id 'a' and 2 others are not among the images; expected ids")
    strict = dataclasses.replace(known, files=False)
    assert "id 'b' is not among" in refused(lambda: strict.aligned(np.array(["c", "a"])))


def test_a_folder_without_images_has_no_classes(tmp_path: Path) -> None:
    line = refused(lambda: labels.load(str(tmp_path), texts=True))
    assert line.startswith(f"{tmp_path}: holds no PNG or JPEG file; expected images in folders")


def test_labels_of_any_text_are_numbered(tmp_path: Path) -> None:
    found, texts = labels.load_named(csv_file(tmp_path, "id,label\na, sea\nb,1\nc,sea\n"))
    assert (found.values.tolist(), texts) == ([1, 0, 1], ["1", "sea"])
    np.save(tmp_path / "y.npy", np.array([3, 1, 3]))
    found, texts = labels.load_named(str(tmp_path / "y.npy"))
    assert (found.values.tolist(), texts, found.ids) == ([1, 0, 1], ["1", "3"], None)


BELONG = (
    "has no columns ids, labels and names that belong together; expected lists of one length: "
    "ids, whole numbers and, if they are there, names; write it as aeclust export does"
)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[1]", BELONG),
        ("{}", BELONG),
        ('{"ids": [], "labels": []}', BELONG),
        ('{"ids": [1, "a"], "labels": [1, 2]}', BELONG),
        ('{"ids": [[1], [2, 3]], "labels": [1, 2]}', BELONG),
        ('{"ids": [1, 2], "labels": [1]}', BELONG),
        ('{"ids": [1], "labels": ["1"]}', BELONG),
        ('{"ids": [1], "labels": [1.0]}', BELONG),
        ('{"ids": [1], "labels": [true]}', BELONG),
        ('{"ids": [1], "labels": [1], "names": [2]}', BELONG),
        ('{"ids": [1], "labels": [1], "names": []}', BELONG),
        (f'{{"ids": [1], "labels": [{2**70}]}}', BELONG),
        (
            f'{{"ids": [1], "labels": [{2**62 + 1}]}}',
            "holds numbers beyond 2^62; expected class numbers",
        ),
        (
            '{"ids": ["a", "a"], "labels": [1, 2]}',
            "has an id twice; expected each id once; remove one of them",
        ),
    ],
)
def test_json_that_is_no_labels_is_refused(tmp_path: Path, text: str, line: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    assert refused(lambda: load(str(file))) == f"{file}: {line}"


def test_broken_json_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    for text in ("", "{", "[" * 100_000, "9" * 5_000):
        file.write_text(text)
        line = refused(lambda: load(str(file)))
        assert line.startswith(f"{file}: ")
        assert "expected one object, as aeclust predict --json writes it" in line or BELONG in line


def test_texts_that_no_text_can_be_are_refused(tmp_path: Path) -> None:
    ids = np.array(["ab", "cd"])
    ids.view(np.uint32)[0] = 2**31
    np.savez(tmp_path / "a.npz", ids=ids, labels=np.arange(2))
    file = str(tmp_path / "a.npz")
    assert refused(lambda: load(file)) == f"{file}: {BELONG}"
