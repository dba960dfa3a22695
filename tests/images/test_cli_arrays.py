"""Commands on arrays as people have them: floats, other depths, labels in columns or as texts."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from support import SHORT, Cli, Data, one_error

from aeclust import artifact as artifacts
from aeclust.run.folder import RunFolder


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4"])
def test_the_float_copies_of_training_images_have_their_labels(
    cli: Cli, full_run: RunFolder, data: Data, dtype: str
) -> None:
    kept = artifacts.read(full_run.labels_file).arrays
    np.save("copy.npy", (np.load(data.images) / 255).astype(dtype)[::-1])
    code, out, _ = cli("predict", "copy.npy", "--json")
    assert code == 0
    answer = json.loads(out)
    assert answer["labels"] == kept["labels"][::-1].tolist()
    assert answer["confidence"] == pytest.approx(kept["confidence"][::-1].tolist(), abs=1e-6)


@pytest.mark.parametrize(
    ("kind", "most", "hint"),
    [(">u2", 4_095, " 0:4095"), ("i2", 1_000, "=-"), ("f4", 200, " 0:255"), ("u2", 200, " 0:255")],
)
def test_the_next_try_is_taken(cli: Cli, data: Data, kind: str, most: int, hint: str) -> None:
    images = np.load(data.images)
    values = images * (most / images.max()) - 500 * ("-" in hint)
    np.save("deep.npy", values.astype(kind))
    line = one_error(cli("train", "deep.npy", *SHORT, "-q"))
    flag = re.findall(r"for example (--range[ =]\S+)$", line.strip())[0]
    assert flag.startswith(f"--range{hint}")
    done = cli("train", "deep.npy", *SHORT, *flag.split())
    assert done.code == 0
    assert "hardly used" not in done.err


def test_a_range_that_is_hardly_used_is_said_once(cli: Cli, data: Data) -> None:
    np.save("deep.npy", np.load(data.images).astype(np.uint16))
    done = cli("train", "deep.npy", "--range", "0:65535", *SHORT)
    assert done.code == 0
    assert done.err.count("the range 0:65535 is hardly used: values are ") == 1
    assert "the images nearly black; 0:255 would fit" in done.err


def test_labels_in_a_column_or_as_texts_are_compared(cli: Cli, data: Data) -> None:
    known = np.load(data.labels)
    np.save("column.npy", known[:, None])
    np.save("texts.npy", np.array(["sea", "land"])[known])
    for other in ("column.npy", "texts.npy"):
        done = cli("evaluate", data.labels, other, "--json")
        assert (done.code, json.loads(done.out)["accuracy"]) == (0, 1)
