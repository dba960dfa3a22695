"""Files of known labels and pairs: what they may say, and what is refused."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import refused

from aeclust.images.known import read_known

IDS = np.array(["a.png", "b.png", "c, d.png", "e.png"])
TEXTS = st.text('xyzé -,"7', min_size=1, max_size=4)
WORD = TEXTS.map(str.strip).filter(lambda word: word not in ("", "-1"))
PAIR = st.sampled_from([(a, b) for a in range(4) for b in range(4) if a != b])


@given(
    labels=st.dictionaries(st.integers(0, 3), WORD),
    pairs=st.dictionaries(PAIR, st.booleans(), max_size=4),
    spare=st.integers(0, 2),
    cut=st.integers(0, 8),
)
def test_whatever_is_known_is_read_back_from_several_files(
    labels: dict[int, str], pairs: dict[tuple[int, int], bool], spare: int, cut: int
) -> None:
    pairs = {pair: same for pair, same in pairs.items() if pair[::-1] not in pairs}
    rows = [["id", "label", *["more"] * spare]]
    rows += [[IDS[i], labels.get(i, ""), *["7"] * spare] for i in (*labels, *range(4))]
    rows[1:] = [row for i, row in enumerate(rows[1:]) if i < len(labels) or not row[1]]
    told = [["a", "b", "same|different"]]
    told += [[IDS[a], IDS[b], "Same" if same else "different"] for (a, b), same in pairs.items()]
    told += [["a.png", "b.png", ""], [""] * spare]
    with tempfile.TemporaryDirectory() as folder:
        parts = [[*rows, *told], rows[: 1 + cut], [told[0], *told[cut:]]]
        for name, part in enumerate(parts):
            with open(Path(folder) / f"{name}.csv", "w", newline="", encoding="utf-8-sig") as file:
                csv.writer(file).writerows(part)
        files = [f"{folder}/{name}.csv" for name in range(3)]
        if not (labels or pairs):
            with refused(what="holds no known label"):
                read_known(files, IDS)
            return
        read = read_known(files, IDS)
    assert read.labels == labels
    assert [*read.labels] == [*labels]  # in the order of the file
    assert read.pairs == {(min(pair), max(pair)): same for pair, same in pairs.items()}


@pytest.mark.parametrize(
    ("text", "row", "fields"),
    [
        ("id,label\na.png,x\nz.png,y\n", 3, {"what": "id 'z.png' is not among the images"}),
        (
            "id,label\na.png,x\n\na.png,y\n",
            4,
            {"what": "'a.png' is 'y' here and 'x' in {file}, row 2", "expected": "one of them"},
        ),
        (
            "a,b,same|different\na.png,b.png,same\nb.png,a.png,different\n",
            3,
            {"what": "'b.png' and 'a.png' are 'different' here and 'same' in {file}, row 2"},
        ),
        ("a,b,same|different\na.png,b.png,diferent\n", 2, {"mend": "did you mean different?"}),
        ("a,b,same|different\na.png,a.png,same\n", 2, {"what": "reads 'a.png,a.png,same'"}),
        ("id,label\nc, d.png,x\n", 2, {"what": "reads 'c, d.png,x'", "expected": "id,label"}),
        (
            "path,kind\na.png,x\n",
            0,
            {
                "what": "starts with 'path,kind'",
                "expected": "the header id,label or a,b,same|different",
            },
        ),
    ],
)
def test_a_refusal_names_the_row(
    tmp_path: Path, text: str, row: int, fields: dict[str, str]
) -> None:
    file = tmp_path / "known.csv"
    file.write_text(text)
    place = f"{file}, row {row}" if row else str(file)
    parts: dict[str, Any] = {name: part.format(file=file) for name, part in fields.items()}
    with refused(where=place, **parts):
        read_known([str(file)], IDS)


def test_a_file_that_is_not_filled_in_yet_says_so(tmp_path: Path) -> None:
    file = tmp_path / "ask.csv"
    file.write_text("id,label\na.png,\nb.png, \nb.png,-1\n")
    with refused(what="holds no known label", mend="fill in its column label"):
        read_known([str(file)], IDS)


def test_an_image_that_is_gone_is_told_and_left_out(tmp_path: Path) -> None:
    file = tmp_path / "known.csv"
    file.write_text("id,label\nold.png,x\na.png,y\na,b,same|different\nold.png,a.png,same\n")
    read = read_known([str(file)], IDS, gone=("old.png",))
    assert (read.labels, read.pairs, read.gone) == ({0: "y"}, {}, ("old.png",))


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (np.array([3, -1, 0, -1]), {0: "3", 2: "0"}),
        (np.array(["", "dog", "-1", "cat"]), {1: "dog", 3: "cat"}),
    ],
)
def test_an_array_has_a_label_for_each_image_or_none(
    tmp_path: Path, values: np.ndarray, labels: dict[int, str]
) -> None:
    np.save(tmp_path / "known.npy", values)
    assert read_known([str(tmp_path / "known.npy")], IDS).labels == labels
    with refused(what="holds 4 labels for 3 images"):
        read_known([str(tmp_path / "known.npy")], IDS[:3])


def test_numbers_that_a_program_wrote_as_floats_are_whole(tmp_path: Path) -> None:
    file = tmp_path / "known.csv"
    file.write_text("id,label\na.png,3.0\nb.png,-1.0\ne.png,3.5\n")
    assert read_known([str(file)], IDS).labels == {0: "3", 3: "3.5"}
