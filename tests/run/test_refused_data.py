"""Images and labels that a command cannot use: one line names them, and no file changes.

What is wrong with which file is tested in tests/images; here is what commands add.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from support import RECIPE, Cli, Data, files_of, make_images, one_error

from aeclust.run.folder import RunFolder


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what they should be, and a few that are."""
    folder = tmp_path_factory.mktemp("bad")
    images = make_images(12, seed=9)[0]
    arrays: dict[str, Any] = {
        "fine": images,
        "flat": images[:, 0, 0],
        "one-image": images[0],
        "which": np.zeros((5, 3, 8, 3), np.uint8),
        "whole-numbers": images.astype(np.int64) - 300,
        "grey": images[..., :1],
        "alone": images[:1],
        "alike": np.repeat(images[:3], 6, 0),
        "labels": np.arange(12) % 2,
        "labels-of-61": np.zeros(61, np.int64),
        "labels-of-24": np.arange(24) % 3,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    (folder / "garbage.h5").write_bytes(b"\xff\x00garbage")
    with h5py.File(folder / "link.h5", "w") as file:
        file["images"] = h5py.ExternalLink("other.h5", "a")
    np.savez(folder / "two.npz", a=images, b=images)
    tables = {
        "words": "id,label\n0,cat\n",
        "columns": "id,label\n0,1\n1,0,0\n",
        "strangers": "id,label\n0,1\n99,0\n",
        "minus": "id,label\n0,-1\n1,1\n",
        "escapes": "id,label\n\x1b[31mred\x1b]0;title\x07,1\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    for name, size in (("mixed/a", 1), ("mixed/b", 2), ("broken/a", 1)):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(images[0].repeat(size, 0)).save(folder / f"{name}.png")
    png = (folder / "broken/a.png").read_bytes()
    (folder / "broken/b.png").write_bytes(png[:-40])
    return folder


# what is to be trained on, what is wrong there, and the rest of the line, or a part of it
IMAGES = [
    ("nowhere.npy", "nowhere.npy: there is no such file or folder", "check the path"),
    ("{bad}/flat.npy", "flat.npy: has shape (12, 3)", "expected (n, h, w), (n, h"),
    ("{bad}/one-image.npy", "one-image.npy: has shape (8, 8, 3)", "or state --layout nhw"),
    ("{bad}/which.npy", "which.npy: has shape (5, 3, 8, 3)", "--layout nhwc or --layout nchw"),
    ("{bad}/fine.npy --layout nhw", "fine.npy: has shape", "expected 3 axes for --layout nhw"),
    ("{bad}/whole-numbers.npy", "has dtype int64 with values -2", "for example --range=-2"),
    ("{bad}/fine.npy --range white", "--range: range is 'white'", "expected LOW:HIGH"),
    ("{bad}/fine.npy --range 0:9", "fine.npy: has values 20 to 230", "to --range 0:255"),
    ("{bad}/fine.npy --skip-bad", "--skip-bad: does not apply to", ""),
    ("{bad}/mixed --layout nhwc", "--layout: does not apply to", ""),
    ("demo:digits --range 0:255", "--range: does not apply to demo:digits", "expected an array"),
    ("{bad}/fine.npy::a", "::a says nothing about it", "expected ::KEY for .npz"),
    ("{bad}/two.npz", "2 of its arrays could be meant (a, b)", "expected one array"),
    ("{bad}/garbage.h5", "garbage.h5: cannot be used: HDF5 cannot read it (", ""),
    ("{bad}/link.h5", "cannot be used: 'images' is a link to somewhere else", "HDF5 file of plain"),
    ("{bad}/mixed --size 0", "image_size is 0", "change --size"),
    ("{bad}/broken", "broken/b.png: cannot be read (", "leave such files out with --skip-bad"),
    ("{bad}/alone.npy", "alone.npy: 1 images cannot form 2 clusters", "lower -k"),
    ("{bad}/alike.npy -k 4", "alike.npy: only 3 of 18 images are different", "lower -k"),
    ("{images} --val-images {val} --val-labels {labels}", "holds 60 labels for 24 images", ""),
    (
        "{images} --val-images {bad}/grey.npy --val-labels {bad}/labels.npy",
        "grey.npy: the images are grey and the weights take RGB",
        "expected 3 channels",
    ),
]
OTHERS = [
    *(
        (command, "grey.npy: the images are grey and the weights take RGB", "expected 3 channels")
        for command in (
            "predict {bad}/grey.npy",
            "embed {bad}/grey.npy -o out.h5",
            "reconstruct {bad}/grey.npy --idx 0",
            "plot {bad}/grey.npy",
            "plot {bad}/grey.npy --gallery",
        )
    ),
    ("plot --labels nowhere.csv", "nowhere.csv: there is no such file", ""),
    ("plot --labels aeclust-run/latents.h5", "this is a latents file", "expected a labels file"),
    ("plot --labels {bad}/columns.csv", "columns.csv, row 3: reads '1,0,0'", ""),
    ("plot --labels {bad}/strangers.csv", "id '99' is not among the images", "expected ids of the"),
    ("plot --labels {bad}/escapes.csv", "x1b[31mred", ""),
    ("plot --labels {bad}/labels-of-61.npy", "holds 61 labels for 60 images", ""),
    ("predict --val-labels {bad}/labels-of-61.npy", "holds 61 labels for 60 images", ""),
    ("predict --val-labels {bad}/words.csv", "words.csv, row 2: reads '0,cat'", "aeclust name"),
    ("predict --val-labels {bad}/minus.csv", "minus.csv: holds label -1", "expected 0 to 1 to"),
    (
        "predict --val-images {val} --val-labels {bad}/labels-of-24.npy",
        "labels-of-24.npy: holds label 2",
        "expected 0 to 1 to name 2 clusters; renumber the labels, or change -k",
    ),
    *(
        (f"{command} --val-images {{val}} --val-labels {{labels}}", "holds 60 labels for 24", "")
        for command in ("predict", "checkpoint-curve")
    ),
    ("evaluate {labels} {val_labels}", "holds 24 labels for 60 images", ""),
    ("evaluate nowhere.npy {labels}", "nowhere.npy: there is no such file", ""),
]
CASES = {f"train {images}": (text, rest) for images, text, rest in IMAGES}
CASES |= {command: (text, rest) for command, text, rest in OTHERS}


@pytest.mark.parametrize("command", CASES)
def test_what_cannot_be_used_is_named_and_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, bad: Path, command: str
) -> None:
    text, rest = CASES[command]
    before = files_of(Path()), files_of(bad)
    places = {"bad": bad, "images": data.images, "labels": data.labels, "val": data.val_images}
    name, *arguments = shlex.split(command.format(**places, val_labels=data.val_labels))
    flags = {"train": [*RECIPE, "--run", "away", "-q"], "evaluate": []}.get(name, ["-q"])
    line = one_error(cli(name, *flags, *arguments))
    assert text in line
    assert rest in line.partition(text)[2]
    assert line.isprintable()
    assert (files_of(Path()), files_of(bad)) == before
