"""Wrong input and wrong requests: one line that says what, where, what was expected, how to mend.

Every case goes through the command line, ends with exit code 2, prints nothing on standard output
and leaves every file as it was.
"""

from __future__ import annotations

import ast
import dataclasses
import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from support import (
    RECIPE,
    Cli,
    Data,
    files_of,
    give_memory,
    make_images,
    one_error,
    raising,
    run_quietly,
)

from aeclust import artifact as artifacts
from aeclust.run import latents as caches
from aeclust.run.folder import RunFolder

TINY = shlex.join(RECIPE)
AWAY = f"{TINY} --run away"


# -- files to go wrong with --------------------------------------------------------------------


@pytest.fixture(scope="session")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of files that are not what they should be, and a few that are."""
    folder = tmp_path_factory.mktemp("bad")
    rng = np.random.default_rng(0)
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
        "texts": np.array([["a", "b"]]),
        "none": images[:0],
        "black": (images > 99).astype(np.uint8),
        "grey": images[..., :1],
        "alone": images[:1],
        "equal": np.repeat(images[:1], 12, 0),
        "two-kinds": np.repeat(images[:2], 6, 0),
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
    for name in ("garbage.npz", "garbage.h5", "garbage.csv", "garbage.toml"):
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
    }
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text)
    tomls = {
        "list": "[a]\nlr = 1\n",
        "field": "epoch = 3\n",
        "value": 'lr = "high"\n',
        "recipe": 'recipe = "basline"\n',
        "large": "#" * (1 << 20) + "\n",
    }
    for name, text in tomls.items():
        (folder / f"{name}.toml").write_text(text)
    for name in ("no-images/sub", "mixed", "broken", "all-broken"):
        (folder / name).mkdir(parents=True)
    (folder / "no-images/sub/notes.txt").write_text("no image")
    Image.fromarray(images[0]).save(folder / "mixed/a.png")
    Image.fromarray(images[0].repeat(2, 0)).save(folder / "mixed/b.png")
    Image.fromarray(images[0]).save(folder / "broken/a.png")
    png = (folder / "broken/a.png").read_bytes()
    (folder / "broken/b.png").write_bytes(png[:-40])
    (folder / "all-broken/a.png").write_bytes(b"no image")
    Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8), "L").save(folder / "all-broken/b.gif")
    return folder


# -- ways to spoil a run -----------------------------------------------------------------------


def no_run(run: RunFolder) -> None:
    shutil.rmtree(run.path)


def no_weights(run: RunFolder) -> None:
    shutil.rmtree(run.path / "weights")


def three_clusters(run: RunFolder) -> None:
    assert run_quietly("cluster", "-k", 3, "--run", run.path).code == 0


def foreign_weights(run: RunFolder) -> None:
    change(run.weights_file(11), recipe={**artifacts.read(run.weights_file(11)).recipe, "lr": 1.0})


def weights_of_other_images(run: RunFolder) -> None:
    change(run.weights_file(11), parents={"data": "0" * 64})


def weights_of_another_size(run: RunFolder) -> None:
    arrays = dict(artifacts.read(run.weights_file(11)).arrays)
    arrays["state_dict/extra"] = arrays.pop("state_dict/encoder.0.bias")
    arrays["state_dict/encoder.3.bias"] = np.zeros(9, np.float32)
    change(run.weights_file(11), arrays=arrays)


def latents_for_labels(run: RunFolder) -> None:
    shutil.copy(run.latents_file, run.labels_file)


def labels_for_latents(run: RunFolder) -> None:
    shutil.copy(run.labels_file, run.latents_file)


def newer_latents(run: RunFolder) -> None:
    content = run.latents_file.read_bytes()
    run.latents_file.write_bytes(content.replace(b"artifact 1 ", b"artifact 2 ", 1))


def truncated_weights(run: RunFolder) -> None:
    run.weights_file(11).write_bytes(run.weights_file(11).read_bytes()[:-1])
    run.latents_file.unlink()


def damaged_labels(run: RunFolder) -> None:
    content = bytearray(run.labels_file.read_bytes())
    content[700] ^= 1
    run.labels_file.write_bytes(content)


def damaged_manifest(run: RunFolder) -> None:
    run.manifest_file.write_text(run.manifest_file.read_text()[:-20])


def newer_manifest(run: RunFolder) -> None:
    text = run.manifest_file.read_text()
    run.manifest_file.write_text(text.replace('"format": 1', '"format": 9'))


def missing_data(run: RunFolder) -> None:
    text = run.manifest_file.read_text()
    run.manifest_file.write_text(text.replace("images.npy", "gone.npy"))
    run.latents_file.unlink()


def other_data(run: RunFolder) -> None:
    text = run.manifest_file.read_text()
    run.manifest_file.write_text(text.replace("images.npy", "other.npy"))
    run.latents_file.unlink()


def equal_latents(run: RunFolder) -> None:
    change(run.latents_file, arrays=same_rows(run, np.zeros(60, np.int64)))


def two_different_latents(run: RunFolder) -> None:
    change(run.latents_file, arrays=same_rows(run, np.arange(60) % 2))


def same_rows(run: RunFolder, rows: Any) -> dict[str, Any]:
    arrays = dict(artifacts.read(run.latents_file).arrays)
    return {**arrays, "latents": arrays["latents"][rows]}


def five_estimated(run: RunFolder) -> None:
    arrays = dict(artifacts.read(run.latents_file).arrays)
    groups = 20 * np.eye(5)[np.arange(60) % 5]
    noise = np.random.default_rng(0).normal(0, 1, (60, 5))
    change(run.latents_file, arrays={**arrays, "latents": (groups + noise).astype(np.float32)})
    flags = ["-k", "auto", "--reduction", "pca:4"]
    assert run_quietly("cluster", *flags, "--run", run.path).code == 0


def three_different_images(run: RunFolder) -> None:
    latents = artifacts.read(run.latents_file)
    marks = np.arange(len(latents.arrays["ids"]), dtype=np.uint64) % 3
    arrays = {**latents.arrays, "fingerprints": marks}
    artifacts.write(run.latents_file, dataclasses.replace(latents, arrays=arrays))


def huge_latents(run: RunFolder) -> None:
    arrays = dict(artifacts.read(run.latents_file).arrays)
    change(run.latents_file, arrays={**arrays, "latents": arrays["latents"] * 1e14})


def change(file: Path, **fields: Any) -> None:
    """The same artifact with other content, intact by its digest."""
    artifacts.write(file, dataclasses.replace(artifacts.read(file), **fields))


# -- the cases ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Case:
    """A command, what its error must contain, and what happens to the run before."""

    command: str
    text: str
    spoil: Callable[[RunFolder], None] = lambda run: None
    quiet: bool = True


NONE = "there is no such file or folder; expected .npy, .npz, .h5, a folder of PNG or JPEG images"

REQUESTS = [
    # the shape of the request itself
    Case("tran", "No such command 'tran'", quiet=False),
    Case("train --epoch 3", "No such option", quiet=False),
    Case("train --epochs", "requires an argument", quiet=False),
    Case("train --epochs many", "Invalid value for '--epochs': "),
    Case("train --lr fast", "Invalid value for '--lr': "),
    Case("train --seed=-1", "Invalid value for '--seed': "),
    Case("train --threads 0", "Invalid value for '--threads': "),
    Case("embed --checkpoint=-1", "Invalid value for '--checkpoint': "),
    Case("embed --device tpu", "--device: is 'tpu'; expected one of auto, cpu, cuda, mps"),
    Case("train {bad}/fine.npy --layout hwc", "--layout: is 'hwc'; expected one of nhw, nhwc"),
    Case("train a.npy b.npy", "Got unexpected extra argument"),
    Case("evaluate {labels}", "Missing argument ", quiet=False),
    Case("reconstruct", "Missing option '--idx'"),
    # combinations
    Case(
        "train --val-images x.npy",
        "--val-images, --val-labels: only one of the two is given; expected both or neither; "
        "add the other",
    ),
    Case("train --val-labels x.npy", "expected both or neither; add the other"),
    Case(
        "checkpoint-curve --val-images {val}",
        "--val-images, --val-labels: only one of the two is given; expected both; add the other",
    ),
    Case("checkpoint-curve --val-labels {labels}", "only one of the two is given"),
    Case("train --resume --force", "--resume, --force: they exclude each other; expected one of"),
    Case(
        "embed --layout nhwc",
        "--layout: it describes DATA, and none is given; expected DATA beside it; "
        "leave it out: the run remembers its own images",
    ),
    Case("predict --range 0:1", "--range: it describes DATA, and none is given"),
    Case("plot --size 8", "--size: it describes DATA, and none is given"),
    Case("reconstruct --idx 1 --skip-bad", "--skip-bad: it describes DATA, and none is given"),
    Case(
        "predict --val-images {val}",
        "--val-images: there are images without labels; expected --val-labels beside it; add it",
    ),
    Case(
        "predict --invert --val-labels {labels}",
        "--invert: labels name the clusters already; expected one of the two; "
        "leave out --invert or --val-labels",
    ),
    Case(
        "predict --invert",
        "--invert: there are 3 clusters to swap; expected 2 clusters; leave it out",
        three_clusters,
    ),
    Case(
        "embed --device mps",
        "--device: mps is not available here; expected cpu; use --device auto",
    ),
    # recipes: what a field takes is in tests/test_recipe.py
    Case(
        f"train --set momentum {AWAY}",
        "--set: 'momentum' has no value; expected FIELD=VALUE; for example --set momentum=0.9",
    ),
    Case(
        "train --recipe basline",
        "--recipe: is 'basline'; expected one of baseline, vae, deep, hybrid; "
        "did you mean baseline?",
    ),
    Case("train --set epoch=3", "no recipe field is called 'epoch'; expected one of network, "),
    Case("train --epochs 0", "the recipe: epochs is 0; expected 1 or more; change --epochs"),
    Case(
        "train --set momentum=1",
        "the recipe: momentum is 1.0; expected less than 1; change --set momentum",
    ),
    Case("train -k 1", "the recipe: k is 1; expected 2 clusters or more, or auto; change -k"),
    Case("cluster -k 2.5", "k is '2.5'; expected a whole number, or auto; change -k"),
    Case("cluster --clusters=-1", "k is -1; expected 2 clusters or more, or auto; change -k"),
    Case("cluster --reduction pca", "reduction is 'pca'; expected sphere, or METHOD:SIZE with"),
    Case("cluster --clusterer dbscan", "--clusterer: is 'dbscan'; expected one of consensus, kmea"),
    Case("cluster --perplexity 0", "perplexity is 0.0; expected a number above 0; change --perp"),
    Case(
        "train --optimizer lion", "--optimizer: is 'lion'; expected one of adam, adamw, sgd, muon"
    ),
    Case(
        "train --config nowhere.toml",
        "nowhere.toml: cannot be read (No such file or directory); "
        "expected TOML with one recipe field a line; correct it",
    ),
    Case("train --config {bad}/garbage.toml", "garbage.toml: cannot be read ("),
    Case("train --config {bad}/large.toml", "large.toml: cannot be read (larger than 1 MB)"),
    Case("train --config {bad}/list.toml", "list.toml: no recipe field is called 'a'"),
    Case("train --config {bad}/field.toml", "did you mean epochs?"),
    Case("train --config {bad}/value.toml", "value.toml: lr is 'high'; expected a finite number"),
    Case("train --config {bad}/recipe.toml", "no recipe is called 'basline'"),
    # indices, checkpoints, pictures
    Case(
        "reconstruct --idx 1,x",
        "--idx: reads '1,x'; expected row numbers, as 1,2,3; correct it",
    ),
    Case("reconstruct --idx ''", "--idx: reads ''"),
    Case("reconstruct --idx=-1", "--idx: reads '-1'"),
    Case("reconstruct --idx 1.5", "--idx: reads '1.5'"),
    Case("reconstruct --idx ²", "--idx: reads '²'"),
    Case(
        "reconstruct --idx 0,60",
        "--idx: there is no image 60; expected numbers from 0 to 59; correct it",
    ),
    Case("reconstruct --idx 999999999999999", "there is no image 999999999999999"),
    Case(
        "embed --checkpoint 12",
        "aeclust-run: there is no checkpoint of epoch 12; "
        "expected one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11; choose one of these with",
    ),
    Case("reconstruct --idx 1 --checkpoint 99", "there is no checkpoint of epoch 99"),
    Case(
        "reconstruct --idx 1 -o picture.gif",
        "picture.gif: ends in '.gif'; expected .png, .svg or .pdf; change -o",
    ),
    Case("plot -o picture", "picture: ends in 'nothing'"),
    Case("checkpoint-curve -o curve.csv", "curve.csv: ends in '.csv'"),
    Case(
        "plot --gallery --thumbnails",
        "--gallery: a gallery has neither points nor true labels; "
        "expected it without --thumbnails and --labels; run aeclust plot once for each picture",
    ),
    Case("plot --gallery --labels {labels}", "--gallery: a gallery has neither points nor true"),
    Case("plot --gallery -o picture.jpg", "picture.jpg: ends in '.jpg'; expected .png, .svg or"),
]

IMAGES = [
    Case(
        f"train nowhere.npy {AWAY}", f"{{cwd}}/nowhere.npy: {NONE}, or demo:scenes; check the path"
    ),
    Case(f"train {{bad}}/images.mat {AWAY}", "images.mat: is of an unknown kind (.mat)"),
    Case(f"train demo:cats {AWAY}", "demo:cats: no built-in set is called 'cats'; expected demo:"),
    Case(
        f"train {{bad}}/flat.npy {AWAY}", "flat.npy: has shape (12, 3); expected (n, h, w), (n, h"
    ),
    Case(
        f"train {{bad}}/one-image.npy {AWAY}",
        "one-image.npy: has shape (8, 8, 3): one colour image, or grey images 3 pixels wide; "
        "expected an unambiguous shape; add the missing axis, or state --layout nhw",
    ),
    Case(
        f"train {{bad}}/which.npy {AWAY}",
        "which.npy: has shape (5, 3, 8, 3): channels could stand first or last; "
        "expected an unambiguous shape; state --layout nhwc or --layout nchw",
    ),
    Case(f"train {{bad}}/fine.npy --layout nhw {AWAY}", "expected 3 axes for --layout nhw"),
    Case(
        f"train {{bad}}/two-channels.npy {AWAY}",
        "has 2 channels (shape (12, 8, 8, 2), layout nhwc); "
        "expected 1 (grey) or 3 (RGB) channels, first or last; drop or combine channels",
    ),
    Case(
        f"train {{bad}}/nan.npy {AWAY}",
        "nan.npy: image 3 holds NaN or infinity; expected finite values; "
        "repair or remove that image",
    ),
    Case(f"train {{bad}}/complex.npy {AWAY}", "has dtype complex64; expected uint8, or float in"),
    Case(f"train {{bad}}/texts.npy {AWAY}", "texts.npy: has shape (1, 2)"),
    Case(
        f"train {{bad}}/whole-numbers.npy {AWAY}",
        "; expected uint8, or float in [0, 1]; state the range, for example --range 0:255",
    ),
    Case(f"train {{bad}}/whole-numbers.npy {AWAY}", "has dtype int64 with values -2"),
    Case(
        f"train {{bad}}/float.npy {AWAY}", "; expected float in [0, 1], or uint8; state the range"
    ),
    Case(f"train {{bad}}/float.npy {AWAY}", "float.npy: has float32 values -0."),
    Case(
        f"train {{bad}}/black.npy {AWAY}",
        "has uint8 values 0 and 1 only: nearly black, or black and white; "
        "expected an unambiguous range; state --range 0:255 or --range 0:1",
    ),
    Case(
        f"train {{bad}}/fine.npy --range white {AWAY}", "--range: range is 'white'; expected LOW:"
    ),
    Case(
        f"train {{bad}}/fine.npy --range 9:1 {AWAY}", "--range: range is '9:1'; expected LOW:HIGH"
    ),
    Case(
        f"train {{bad}}/fine.npy --range 0:9 {AWAY}", "; expected values within 0:9; change --range"
    ),
    Case(f"train {{bad}}/fine.npy --size 8 {AWAY}", "--size: does not apply to"),
    Case(f"train {{bad}}/fine.npy --skip-bad {AWAY}", "--skip-bad: does not apply to"),
    Case(f"train {{bad}}/fine.npy::a {AWAY}", "::a says nothing about it; expected ::KEY for .npz"),
    Case(f"train {{bad}}/mixed --layout nhwc {AWAY}", "--layout: does not apply to"),
    Case(
        f"train demo:digits --range 0:255 {AWAY}",
        "--range: does not apply to demo:digits; expected an array; leave it out",
    ),
    Case(
        f"train {{bad}}/objects.npy {AWAY}",
        "objects.npy: holds Python objects; expected a whole file as numpy.save writes it, of "
        "numbers; save it again",
    ),
    Case(f"train {{bad}}/truncated.npy {AWAY}", "truncated.npy: cannot be read ("),
    Case(f"train {{bad}}/nothing.npy {AWAY}", "nothing.npy: cannot be read ("),
    Case(
        f"train {{bad}}/none.npy {AWAY}", "holds no images (shape (0, 8, 8, 3)); expected at least"
    ),
    Case(f"train {{bad}}/garbage.npz {AWAY}", "garbage.npz: cannot be read (File is not a zip"),
    Case(
        f"train {{bad}}/two.npz {AWAY}",
        "2 of its arrays could be meant (a, b); expected one array with 3 or 4 axes; name it, as",
    ),
    Case(
        f"train {{bad}}/two.npz::c {AWAY}", "no array is called 'c'; expected one of a, b; change"
    ),
    Case(f"train {{bad}}/two.h5 {AWAY}", "2 of its arrays could be meant (a, b/c)"),
    Case(f"train {{bad}}/two.h5::d {AWAY}", "no array is called 'd'; expected one of a, b/c"),
    Case(f"train {{bad}}/garbage.h5 {AWAY}", "garbage.h5: cannot be used: HDF5 cannot read it ("),
    Case(
        f"train {{bad}}/link.h5 {AWAY}",
        "cannot be used: 'images' is a link to somewhere else; expected an HDF5 file of plain",
    ),
    Case(f"train {{bad}}/no-images {AWAY}", "holds no PNG or JPEG file; expected images ending in"),
    Case(
        f"train {{bad}}/mixed {AWAY}",
        "mixed: images have different sizes (a.png is 8 x 8, b.png is 16 x 8); expected one size; "
        "resize all of them with --size, for example --size 32",
    ),
    Case(f"train {{bad}}/mixed --size 0 {AWAY}", "--size: size is 0; expected 1 to 4096 pixels"),
    Case(
        f"train {{bad}}/broken {AWAY}",
        "; expected a whole PNG or JPEG image; remove it, or leave such files out with --skip-bad",
    ),
    Case(f"train {{bad}}/broken {AWAY}", "broken/b.png: cannot be read ("),
    Case(
        f"train {{bad}}/all-broken --skip-bad {AWAY}",
        "all-broken: none of its 1 images can be read; expected images",
    ),
    Case(
        f"train {{bad}}/alone.npy {AWAY}",
        "alone.npy: 1 images cannot form 2 clusters; expected at least 2 images; add images or",
    ),
    Case(f"train {{bad}}/fine.npy -k 13 {AWAY}", "12 images cannot form 13 clusters; expected at"),
    Case(
        "predict {bad}/grey.npy",
        "grey.npy: the images are grey and the weights take RGB; expected 3 channels; convert them",
    ),
    Case("embed {bad}/grey.npy -o out.h5", "the images are grey and the weights take RGB"),
    Case("reconstruct {bad}/grey.npy --idx 0", "the images are grey and the weights take RGB"),
    Case("plot {bad}/grey.npy", "the images are grey and the weights take RGB"),
    Case("plot {bad}/grey.npy --gallery", "the images are grey and the weights take RGB"),
    Case(
        "reconstruct {bad}/fine.npy --idx 12", "there is no image 12; expected numbers from 0 to 11"
    ),
    Case("embed {bad}/fine.npy", "these are not the images of the run; expected -o FILE"),
]

LABELS = [
    Case("plot --labels nowhere.npy", "nowhere.npy: there is no such file or folder"),
    Case("plot --labels nowhere.csv", "nowhere.csv: cannot be read (No such file or directory)"),
    Case("plot --labels {bad}/garbage.csv", "garbage.csv: cannot be read ("),
    Case(
        "plot --labels {bad}/empty.csv", "empty.csv: is empty; expected the header id,label; write"
    ),
    Case(
        "plot --labels {bad}/headless.csv", "headless.csv: starts with '0,1'; expected the header"
    ),
    Case("plot --labels {bad}/only-header.csv", "holds no labels; expected rows after the header"),
    Case(
        "predict --val-images {images} --val-labels {bad}/words.csv",
        "words.csv, row 2: reads '0,cat'; expected id,label with a whole number; correct that row,"
        " or give words to aeclust name",
    ),
    Case("plot --labels {bad}/columns.csv", "columns.csv, row 3: reads '1,0,0'"),
    Case(
        "plot --labels {bad}/twice.csv",
        "twice.csv, row 4: id '0' stands in row 2 already; expected each id once; remove one",
    ),
    Case(
        "plot --labels {bad}/strangers.csv",
        "strangers.csv: id '99' is not among the images; expected ids of the clustered images; "
        "check that both belong to the same data",
    ),
    Case("plot --labels {bad}/more-strangers.csv", "id '98' and 2 others are not among the images"),
    Case(
        "plot --labels {bad}/labels-of-61.npy",
        "labels-of-61.npy: holds 61 labels for 60 images; expected one label for each image; "
        "give the labels of these images, or a CSV of id,label",
    ),
    Case("predict --val-labels {bad}/labels-of-61.npy", "holds 61 labels for 60 images"),
    Case(
        "plot --labels {bad}/float-labels.npy", "has dtype float64; expected whole numbers; convert"
    ),
    Case("plot --labels {bad}/wide-labels.npy", "wide-labels.npy: has shape (60, 2); expected one"),
    Case(
        "plot --labels {bad}/huge-labels.npy", "holds numbers beyond 2^62; expected class numbers"
    ),
    Case("plot --labels aeclust-run/latents.h5", "this is a latents file; expected a labels file"),
    Case("plot --labels demo:cats", "demo:cats: no built-in set is called 'cats'"),
    Case(
        "predict --val-images {val} --val-labels {bad}/labels-of-24.npy",
        "labels-of-24.npy: holds label 2; expected 0 to 1 to name 2 clusters; "
        "renumber the labels, or change -k",
    ),
    Case("predict --val-labels {bad}/minus.csv", "minus.csv: holds label -1; expected 0 to 1 to"),
    Case("predict --val-images {val} --val-labels {labels}", "holds 60 labels for 24 images"),
    Case(
        "checkpoint-curve --val-images {val} --val-labels {labels}", "holds 60 labels for 24 images"
    ),
    Case("evaluate {labels} {val_labels}", "holds 24 labels for 60 images", quiet=False),
    Case("evaluate nowhere.npy {labels}", "nowhere.npy: there is no such file", quiet=False),
    Case("evaluate {bad}/twice.csv {labels}", "id '0' stands in row 2 already", quiet=False),
    Case(
        f"train {{images}} --val-images {{val}} --val-labels {{labels}} {AWAY}",
        "holds 60 labels for 24 images",
    ),
    Case(
        f"train {{images}} --val-images {{bad}}/grey.npy --val-labels {{bad}}/labels.npy {AWAY}",
        "the images are grey and the weights take RGB",
    ),
]

RUNS = [
    *(
        Case(
            command,
            "aeclust-run: there is no run here; expected a folder made by aeclust train; "
            "run aeclust train first, or name the folder with --run",
            no_run,
        )
        for command in ("embed", "cluster", "predict", "reconstruct --idx 1", "plot")
    ),
    Case("checkpoint-curve", "aeclust-run: there is no run here", no_run),
    Case("info aeclust-run/weights", "weights: there is no run here", quiet=False),
    Case("predict --run away", "away: there is no run here"),
    Case(
        f"train {{images}} {TINY}", "aeclust-run: a run is here already; expected an empty or new"
    ),
    Case(f"train {{images}} {TINY} --resume --lr 1", "started otherwise: lr was 0.001 and is 1.0"),
    Case(
        f"train {{bad}}/fine.npy {TINY} --resume",
        "this run was started otherwise: the images are others; expected the flags of its start",
    ),
    Case(
        "embed --force",
        "aeclust-run: the run has no checkpoint; expected a finished or interrupted training; "
        "run aeclust train --resume",
        no_weights,
    ),
    Case("reconstruct --idx 1", "the run has no checkpoint", no_weights),
    Case("checkpoint-curve", "the run has no checkpoint", no_weights),
    Case("embed --checkpoint 3", "expected one of none at all", no_weights),
    Case(
        "reconstruct --idx 1",
        "epoch-0011.h5: these weights are of recipe 'baseline' or of other settings; "
        "expected weights of this run's recipe 'baseline'; restore the run's own file",
        foreign_weights,
    ),
    Case(
        "reconstruct --idx 1",
        "epoch-0011.h5: these weights were trained on other images; expected weights of this run; "
        "restore the run's own file, or train again with --force",
        weights_of_other_images,
    ),
    Case(
        "reconstruct --idx 1",
        "epoch-0011.h5: the weights do not fit the network: missing encoder.0.bias, "
        "unexpected extra, encoder.3.bias is (9,) instead of (8,); "
        "expected weights of this recipe and image size; use the run folder that they came from",
        weights_of_another_size,
    ),
    Case("checkpoint-curve", "these weights are of recipe 'baseline'", foreign_weights),
    Case(
        "embed", "epoch-0011.h5: damaged or not from aeclust: its bytes do not", truncated_weights
    ),
    Case("predict", "labels.h5: damaged or not from aeclust: its bytes do not", damaged_labels),
    Case(
        "cluster", "labels.h5: this is a latents file; expected a labels file", latents_for_labels
    ),
    Case("embed", "latents.h5: this is a labels file; expected a latents file", labels_for_latents),
    Case(
        "embed",
        "latents.h5: is of format 2; expected format 1; read it with a newer",
        newer_latents,
    ),
    Case("predict", "run.json: is damaged (JSONDecodeError: ", damaged_manifest),
    Case("info", "run.json: is damaged (JSONDecodeError: ", damaged_manifest, quiet=False),
    Case(
        "predict",
        "run.json: is of format 9; expected format 1; read it with the aeclust that wrote it",
        newer_manifest,
    ),
    Case("embed", "gone.npy: there is no such file or folder", missing_data),
    Case("predict", "gone.npy: there is no such file or folder", missing_data),
    Case("plot --gallery", "gone.npy: there is no such file or folder", missing_data),
    Case("plot --thumbnails", "other.npy: the images have changed since training", other_data),
    Case("predict", "other.npy: the images have changed since training; expected the", other_data),
    Case("checkpoint-curve", "other.npy: the images have changed since training", other_data),
    Case("info nowhere.h5", "nowhere.h5: cannot be read (No such file or directory)", quiet=False),
    Case("info {images}", "images.npy: is not an aeclust artifact; expected a file", quiet=False),
    # clustering
    Case(
        "cluster -k 61",
        "latents.h5: 60 images cannot form 61 clusters; expected at most 60; lower -k",
    ),
    Case(
        "cluster --reduction pca:33",
        "pca:33 asks for more components than the 32 images and latent values allow; "
        "expected at most 32; use --reduction pca:32 or less",
    ),
    Case(
        "cluster --reduction kpca:61", "kpca:61 asks for more components than the 60 images allow"
    ),
    Case(
        "cluster --reduction tsne:2 --perplexity 60",
        "60 points are too few for t-SNE with perplexity 60; expected more than 60; "
        "lower --perplexity, or use --reduction pca:2",
    ),
    Case(
        "cluster --force",
        "latents.h5: all 60 points are the same: collapsed network or equal images; "
        "expected latents that differ; train again with other images, more epochs, or a lower --lr",
        equal_latents,
    ),
    Case(
        "cluster --clusterer consensus -k 3 --reduction none",
        "latents.h5: only 2 different points for 3 clusters; expected at least 3 different ones",
        two_different_latents,
    ),
    Case(
        "embed --force -o .",
        ".: is a folder; expected a file; add a name to it",
    ),
    Case(
        "predict --val-labels=",
        "--val-labels: no path is given; expected a file, a folder or demo:NAME; state it, or leave"
        " it out",
    ),
    Case(
        "cluster -k 4",
        "latents.h5: only 3 different images for 4 clusters; expected at least 4 different ones; "
        "lower -k, or add other images",
        three_different_images,
    ),
    Case("cluster --clusterer consensus -k 61", "60 images cannot form 61 clusters; expected at"),
    Case("cluster -k auto --force", "latents.h5: all 60 points are the same", equal_latents),
    Case("cluster --reduction sphere --force", "all 60 points are the same", equal_latents),
    Case("cluster --reduction sphere --force", "holds values beyond 1e+12", huge_latents),
    Case(
        "predict --invert",
        "--invert: there are 5 clusters to swap; expected 2 clusters; leave it out",
        five_estimated,
    ),
    Case("cluster --reduction none --force", "all 60 points are the same", equal_latents),
    Case(
        "cluster -k 3 --reduction none",
        "latents.h5: only 2 different points for 3 clusters; expected at least 3 different ones; "
        "lower -k, or add other images",
        two_different_latents,
    ),
    Case(
        "cluster --force",
        "latents.h5: holds values beyond 1e+12, infinity or NaN: the network has diverged; "
        "expected finite latents of ordinary size; train again with a lower --lr",
        huge_latents,
    ),
]

CASES = REQUESTS + IMAGES + LABELS + RUNS


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.command.replace(f" {AWAY}", ""))
def test_a_wrong_request_is_one_line_and_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, bad: Path, case: Case, tmp_path: Path
) -> None:
    places = {
        "bad": bad,
        "cwd": tmp_path,
        "images": data.images,
        "labels": data.labels,
        "val": data.val_images,
        "val_labels": data.val_labels,
    }
    case.spoil(full_run)
    before = files_of(tmp_path), files_of(bad)
    arguments = shlex.split(case.command.format(**places))
    text = one_error(cli(*arguments, *(["-q"] if case.quiet else [])))
    assert case.text.format(**places) in text
    assert (files_of(tmp_path), files_of(bad)) == before


def test_there_are_enough_kinds_of_errors() -> None:
    assert len({case.text for case in CASES}) >= 60


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO there")
def test_a_fifo_is_refused_and_not_waited_for(cli: Cli, full_run: RunFolder) -> None:
    os.mkfifo("pipe.npy")
    os.mkfifo("pipe.h5")
    Path("photos").mkdir()
    os.mkfifo("photos/pipe.png")
    for name in ("pipe.npy", "pipe.h5"):
        assert "is not a regular file; expected an" in one_error(cli("predict", name))
    assert "is not a regular file; expected an HDF5 file" in one_error(cli("info", "pipe.h5"))
    assert "cannot be read (not a regular file)" in one_error(cli("predict", "photos"))


@pytest.mark.skipif(sys.platform != "linux", reason="others keep names in Unicode")
def test_a_file_name_that_is_not_utf8_is_named(cli: Cli, full_run: RunFolder) -> None:
    os.mkdir("photos")
    with open(b"photos/\xff.png", "wb"):
        pass
    assert one_error(cli("predict", "photos")) == "\\udcff.png: a file name is not UTF-8; rename it"


def test_control_characters_from_files_never_reach_the_terminal(
    cli: Cli, full_run: RunFolder
) -> None:
    Path("known.csv").write_text("id,label\n\x1b[31mred\x1b]0;title\x07,1\n")
    text = one_error(cli("plot", "--labels", "known.csv"))
    assert text.isprintable()
    assert "x1b[31mred" in text


def test_weights_that_change_behind_the_labels_are_noticed(
    cli: Cli, full_run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caches, "stale_ancestry", lambda *arguments: "")  # looked a moment ago
    labels = artifacts.read(full_run.labels_file)
    change(full_run.labels_file, parents={**labels.parents, "weights": "0" * 64})
    assert one_error(cli("predict", data.val_images, "-q")) == (
        "aeclust-run/labels.h5: the labels were made with other weights; "
        "expected labels of this run's weights; run aeclust cluster --force"
    )


def test_too_large_a_step_is_refused_before_it_starts(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_memory(monkeypatch, 100)
    before = files_of(full_run.path)
    text = one_error(cli("cluster", "--clusterer", "spectral", "-q"))
    assert text == (
        "aeclust-run/latents.h5: spectral clustering of 60 points needs about 0 GB of memory; "
        "expected at most 0 GB, all that this machine has; use --clusterer kmeans"
    )
    assert files_of(full_run.path) == before


# -- no error without a test -------------------------------------------------------------------

SOURCES = Path(__file__).parent.parent / "aeclust"
ERRORS = ("InputError", "WriteError", "BusyError", "DivergedError")


def literals(node: ast.AST) -> Iterator[str]:
    """The constant parts of a text, of both branches of a choice."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            if isinstance(part, ast.Constant):
                yield from literals(part)
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def error_texts() -> Iterator[tuple[str, str]]:
    """Where each error is raised, and each constant part of what it says and expected."""
    for file in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ERRORS:
                told = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "expected")]
                for part in (part for text in told for part in literals(text)):
                    if len(part.strip()) > 3:
                        yield f"{file.relative_to(SOURCES)}, line {node.lineno}", part.strip()


def strings_of_tests() -> str:
    """All strings in the tests, those split over several lines in one piece."""
    trees = (
        ast.parse(file.read_text(encoding="utf-8")) for file in Path(__file__).parent.glob("*.py")
    )
    return "\0".join(
        node.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def test_every_text_of_an_error_stands_in_some_test() -> None:
    tested = strings_of_tests()
    found = list(error_texts())
    assert len(found) > 100
    assert [f"{where}: {part!r}" for where, part in found if part not in tested] == []


def test_an_unset_variable_is_no_working_folder(cli: Cli) -> None:
    assert one_error(cli("train", "", "--size", 8)) == (
        "DATA: no path is given; expected a file, a folder or demo:NAME; state it, or leave it out"
    )


def test_a_working_folder_that_is_gone_is_told(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory")
    monkeypatch.setattr("os.getcwd", raising(gone))
    assert one_error(cli("train", "images.npy")) == (
        "the working folder is gone; change to another one"
    )


def test_too_few_different_images_are_refused(cli: Cli, data: Data) -> None:
    np.save("few.npy", np.repeat(np.load(data.images)[:3], 6, axis=0))
    assert one_error(cli("train", "few.npy", *RECIPE, "-k", 4, "-q")).endswith(
        "few.npy: only 3 of 18 images are different, too few for 4 clusters;"
        " expected at least 4 different ones; add images or lower -k"
    )


def test_escapes_in_the_manifest_of_a_stranger_do_not_reach_the_terminal(
    cli: Cli, full_run: RunFolder
) -> None:
    text = full_run.manifest_file.read_text()
    location = json.loads(text)["data"]["location"]
    full_run.manifest_file.write_text(text.replace(location, "/tmp/\\u001b[31mred"))
    shown = cli("info", "--run", full_run.path).out
    assert "/tmp/\\x1b[31mred" in shown
    assert "\x1b" not in shown
