"""Images and labels that no command can use: one line names them, and no file changes."""

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
    unit = (images / 255).astype(np.float32)
    holed = unit.copy()
    holed[3, 0, 0, 0] = np.nan
    arrays: dict[str, Any] = {
        "fine": images,
        "nan": holed,
        "flat": images[:, 0, 0],
        "one-image": images[0],
        "which": np.zeros((5, 3, 8, 3), np.uint8),
        "two-channels": images[..., :2],
        "whole-numbers": images.astype(np.int64) - 300,
        "float": unit * 3 - 1,
        "complex": unit.astype(np.complex64),
        "none": images[:0],
        "black": (images > 99).astype(np.uint8),
        "grey": images[..., :1],
        "alone": images[:1],
        "alike": np.repeat(images[:3], 6, 0),
        "labels": np.arange(12) % 2,
        "labels-of-61": np.zeros(61, np.int64),
        "labels-of-24": np.arange(24) % 3,
        "float-labels": np.zeros(60),
        "wide-labels": np.zeros((60, 2), np.int64),
        "huge-labels": np.full(60, 2**63, np.uint64),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    np.save(folder / "objects.npy", np.array([{"a": 1}]), allow_pickle=True)
    whole = (folder / "fine.npy").read_bytes()
    (folder / "truncated.npy").write_bytes(whole[:-100])
    (folder / "nothing.npy").touch()
    (folder / "images.mat").write_bytes(whole)
    for name in ("garbage.npz", "garbage.h5", "garbage.csv"):
        (folder / name).write_bytes(b"\xff\x00garbage")
    np.savez(folder / "two.npz", a=images, b=images)
    with h5py.File(folder / "two.h5", "w") as file:
        file["a"] = images
        file["b/c"] = images
    with h5py.File(folder / "link.h5", "w") as file:
        file["images"] = h5py.ExternalLink("two.h5", "a")
    tables = {
        "empty": "",
        "headless": "0,1\n1,0\n",
        "only-header": "id,label\n",
        "words": "id,label\n0,cat\n",
        "columns": "id,label\n0,1\n1,0,0\n",
        "twice": "id,label\n0,1\n1,0\n0,1\n",
        "strangers": "id,label\n0,1\n99,0\n",
        "more-strangers": "id,label\n98,1\n99,0\n100,0\n",
        "minus": "id,label\n0,-1\n1,1\n",
        "escapes": "id,label\n\x1b[31mred\x1b]0;title\x07,1\n",
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    for name in ("no-images/sub", "mixed", "broken", "all-broken"):
        (folder / name).mkdir(parents=True)
    (folder / "no-images/sub/notes.txt").write_text("no image")
    Image.fromarray(images[0]).save(folder / "mixed/a.png")
    Image.fromarray(images[0].repeat(2, 0)).save(folder / "mixed/b.png")
    Image.fromarray(images[0]).save(folder / "broken/a.png")
    png = (folder / "broken/a.png").read_bytes()
    (folder / "broken/b.png").write_bytes(png[:-40])
    (folder / "all-broken/a.png").write_bytes(b"no image")
    Image.fromarray(images[0, ..., 0], "L").save(folder / "all-broken/b.gif")
    return folder


# what is to be trained on, what is wrong there, and what was expected, or its start
IMAGES = [
    ("nowhere.npy", "nowhere.npy: there is no such file or folder", ".npy, .npz, .h5, a folder of"),
    ("demo:cats", "demo:cats: no built-in set is called 'cats'", "demo:"),
    ("{bad}/images.mat", "images.mat: is of an unknown kind (.mat)", ""),
    ("{bad}/flat.npy", "flat.npy: has shape (12, 3)", "(n, h, w), (n, h"),
    ("{bad}/one-image.npy", "(8, 8, 3): one colour image, or grey images", "an unambiguous shape"),
    ("{bad}/which.npy", "(5, 3, 8, 3): channels could stand first or last", "an unambiguous shape"),
    ("{bad}/fine.npy --layout nhw", "fine.npy: has shape (12, 8, 8, 3)", "3 axes for --layout nhw"),
    ("{bad}/two-channels.npy", "has 2 channels (shape (12, 8, 8, 2), layout nhwc)", "1 (grey) or"),
    ("{bad}/nan.npy", "nan.npy: image 3 holds NaN or infinity", "finite values"),
    ("{bad}/complex.npy", "has dtype complex64", "uint8, or float in"),
    ("{bad}/whole-numbers.npy", "has dtype int64 with values -2", "uint8, or float in [0, 1]"),
    ("{bad}/float.npy", "float.npy: has float32 values -0.", "float in [0, 1], or uint8"),
    ("{bad}/black.npy", "has uint8 values 0 and 1 only", "an unambiguous range"),
    ("{bad}/fine.npy --range white", "--range: range is 'white'", "LOW:HIGH"),
    ("{bad}/fine.npy --range 9:1", "--range: range is '9:1'", "LOW:HIGH"),
    ("{bad}/fine.npy --range 0:9", "fine.npy: has values 20 to 230", "values within 0:9"),
    ("{bad}/fine.npy --size 8", "--size: does not apply to", ""),
    ("{bad}/fine.npy --skip-bad", "--skip-bad: does not apply to", ""),
    ("{bad}/mixed --layout nhwc", "--layout: does not apply to", ""),
    ("demo:digits --range 0:255", "--range: does not apply to demo:digits", "an array"),
    ("{bad}/fine.npy::a", "::a says nothing about it", "::KEY for .npz"),
    ("{bad}/objects.npy", "objects.npy: holds Python objects", "a whole file as numpy.save"),
    ("{bad}/truncated.npy", "truncated.npy: cannot be read (", ""),
    ("{bad}/nothing.npy", "nothing.npy: cannot be read (", ""),
    ("{bad}/none.npy", "holds no images (shape (0, 8, 8, 3))", "at least"),
    ("{bad}/garbage.npz", "garbage.npz: cannot be read (File is not a zip", ""),
    ("{bad}/two.npz", "2 of its arrays could be meant (a, b)", "one array with 3 or 4 axes"),
    ("{bad}/two.npz::c", "no array is called 'c'", "one of a, b"),
    ("{bad}/two.h5", "2 of its arrays could be meant (a, b/c)", "one array with 3 or 4 axes"),
    ("{bad}/two.h5::d", "no array is called 'd'", "one of a, b/c"),
    ("{bad}/garbage.h5", "garbage.h5: cannot be used: HDF5 cannot read it (", ""),
    ("{bad}/link.h5", "cannot be used: 'images' is a link to somewhere else", "an HDF5 file of"),
    ("{bad}/no-images", "holds no PNG or JPEG file", "images ending in"),
    ("{bad}/mixed", "images have different sizes (a.png is 8 x 8, b.png is 16 x 8)", "one size"),
    ("{bad}/mixed --size 0", "--size: size is 0", "1 to 4096 pixels"),
    ("{bad}/broken", "broken/b.png: cannot be read (", "a whole PNG or JPEG image"),
    ("{bad}/all-broken --skip-bad", "all-broken: none of its 1 images can be read", "images"),
    ("{bad}/alone.npy", "alone.npy: 1 images cannot form 2 clusters", "at"),
    ("{bad}/fine.npy -k 13", "12 images cannot form 13 clusters", "at"),
    ("{bad}/alike.npy -k 4", "alike.npy: only 3 of 18 images are different", "at least 4"),
    (
        "{images} --val-images {val} --val-labels {labels}",
        "labels.npy: holds 60 labels for 24 images",
        "one label for each image",
    ),
    (
        "{images} --val-images {bad}/grey.npy --val-labels {bad}/labels.npy",
        "grey.npy: the images are grey and the weights take RGB",
        "3 channels",
    ),
]
# other commands with images and labels, what is wrong there, and what was expected, or its start
OTHERS = [
    *(
        (command, "grey.npy: the images are grey and the weights take RGB", "3 channels")
        for command in (
            "predict {bad}/grey.npy",
            "embed {bad}/grey.npy -o out.h5",
            "reconstruct {bad}/grey.npy --idx 0",
            "plot {bad}/grey.npy",
            "plot {bad}/grey.npy --gallery",
        )
    ),
    ("plot --labels nowhere.npy", "nowhere.npy: there is no such file or folder", ""),
    ("plot --labels nowhere.csv", "nowhere.csv: cannot be read (No such file or directory)", ""),
    ("plot --labels demo:cats", "demo:cats: no built-in set is called 'cats'", ""),
    ("plot --labels aeclust-run/latents.h5", "this is a latents file", "a labels file"),
    ("plot --labels {bad}/garbage.csv", "garbage.csv: cannot be read (", ""),
    ("plot --labels {bad}/empty.csv", "empty.csv: is empty", "the header id,label"),
    ("plot --labels {bad}/headless.csv", "headless.csv: starts with '0,1'", "the header"),
    ("plot --labels {bad}/only-header.csv", "holds no labels", "rows after the header"),
    ("plot --labels {bad}/columns.csv", "columns.csv, row 3: reads '1,0,0'", ""),
    ("plot --labels {bad}/twice.csv", "twice.csv, row 4: id '0' stands in row 2 already", "each"),
    ("plot --labels {bad}/strangers.csv", "id '99' is not among the images", "ids of the"),
    ("plot --labels {bad}/more-strangers.csv", "id '98' and 2 others are not among", ""),
    ("plot --labels {bad}/escapes.csv", "x1b[31mred", ""),
    ("plot --labels {bad}/labels-of-61.npy", "holds 61 labels for 60 images", "one label for each"),
    ("plot --labels {bad}/float-labels.npy", "has dtype float64", "whole numbers"),
    ("plot --labels {bad}/wide-labels.npy", "wide-labels.npy: has shape (60, 2)", "one"),
    ("plot --labels {bad}/huge-labels.npy", "holds numbers beyond 2^62", "class numbers"),
    ("predict --val-labels {bad}/words.csv", "words.csv, row 2: reads '0,cat'", "id,label with a"),
    ("predict --val-labels {bad}/labels-of-61.npy", "holds 61 labels for 60 images", ""),
    ("predict --val-labels {bad}/minus.csv", "minus.csv: holds label -1", "0 to 1 to name 2"),
    (
        "predict --val-images {val} --val-labels {bad}/labels-of-24.npy",
        "labels-of-24.npy: holds label 2",
        "0 to 1 to name 2 clusters",
    ),
    *(
        (f"{command} --val-images {{val}} --val-labels {{labels}}", "holds 60 labels for 24", "one")
        for command in ("predict", "checkpoint-curve")
    ),
    ("evaluate {labels} {val_labels}", "holds 24 labels for 60 images", ""),
    ("evaluate nowhere.npy {labels}", "nowhere.npy: there is no such file", ""),
    ("evaluate {bad}/twice.csv {labels}", "id '0' stands in row 2 already", ""),
]
CASES = {f"train {images}": (text, expected) for images, text, expected in IMAGES}
CASES |= {command: (text, expected) for command, text, expected in OTHERS}


@pytest.mark.parametrize("command", CASES)
def test_what_cannot_be_used_is_named_and_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, bad: Path, command: str
) -> None:
    text, expected = CASES[command]
    before = files_of(Path()), files_of(bad)
    places = {"bad": bad, "images": data.images, "labels": data.labels, "val": data.val_images}
    name, *arguments = shlex.split(command.format(**places, val_labels=data.val_labels))
    flags = {"train": [*RECIPE, "--run", "away", "-q"], "evaluate": []}.get(name, ["-q"])
    line = one_error(cli(name, *flags, *arguments))
    assert text in line
    assert not expected or f"; expected {expected}" in line
    assert line.isprintable()
    assert (files_of(Path()), files_of(bad)) == before
