"""Wrong requests: one line with where, what and what was expected, and no file changes."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from support import Cli, Data, check_error, files_of, give_memory, one_error, raising, run_quietly

from aeclust import artifact as artifacts
from aeclust.run.folder import RunFolder

# -- ways to spoil a run -----------------------------------------------------------------------


def change(file: Path, **fields: Any) -> None:
    """The same artifact with other content, intact by its digest."""
    artifacts.write(file, dataclasses.replace(artifacts.read(file), **fields))


def with_arrays(file: Path, **arrays: NDArray[Any]) -> None:
    change(file, arrays={**artifacts.read(file).arrays, **arrays})


def replace(file: Path, old: str, new: str) -> None:
    file.write_bytes(file.read_bytes().replace(old.encode(), new.encode(), 1))


def latents_of(run: RunFolder) -> NDArray[Any]:
    return np.asarray(artifacts.read(run.latents_file).arrays["latents"])


def no_run(run: RunFolder) -> None:
    shutil.rmtree(run.path)


def no_manifest(run: RunFolder) -> None:
    run.manifest_file.unlink()


def no_weights(run: RunFolder) -> None:
    shutil.rmtree(run.path / "weights")


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
    replace(run.latents_file, "artifact 1 ", "artifact 2 ")


def newer_manifest(run: RunFolder) -> None:
    replace(run.manifest_file, '"format": 1', '"format": 9')


def three_clusters(run: RunFolder) -> None:
    assert run_quietly("cluster", "-k", 3, "--run", run.path).code == 0


def equal_latents(run: RunFolder) -> None:
    with_arrays(run.latents_file, latents=latents_of(run)[np.zeros(60, np.int64)])


def two_different_latents(run: RunFolder) -> None:
    with_arrays(run.latents_file, latents=latents_of(run)[np.arange(60) % 2])


def huge_latents(run: RunFolder) -> None:
    with_arrays(run.latents_file, latents=latents_of(run) * 1e14)


def three_different_images(run: RunFolder) -> None:
    with_arrays(run.latents_file, fingerprints=np.arange(60, dtype=np.uint64) % 3)


# -- the cases ---------------------------------------------------------------------------------


class Case(NamedTuple):
    """A command, the end of the place and what is wrong there, and what was expected there."""

    command: str
    text: str
    expected: str = ""
    spoil: Callable[[RunFolder], None] = lambda run: None


USAGE = [  # refused while the command line is read
    ("tran", "No such command 'tran'"),
    ("train --epoch 3", "No such option"),
    ("train --epochs", "requires an argument"),
    ("train --epochs many", "Invalid value for '--epochs': "),
    ("train --lr fast", "Invalid value for '--lr': "),
    ("train --seed=-1", "Invalid value for '--seed': "),
    ("train --threads 0", "Invalid value for '--threads': "),
    ("embed --checkpoint=-1", "Invalid value for '--checkpoint': "),
    ("train a.npy b.npy", "a.npy: it cannot stand beside others"),
    ("evaluate {labels}", "Missing argument "),
    ("reconstruct", "Missing option '--idx'"),
]
REQUESTS = [
    # choices
    Case("embed --device tpu", "--device is 'tpu'", "one of auto, cpu, cuda, mps"),
    Case("train a.npy --layout hwc", "--layout is 'hwc'", "one of nhw, nhwc, nchw"),
    Case("train --optimizer lion", "--optimizer is 'lion'", "one of adam, adamw, sgd, muon"),
    Case("train --recipe basline", "--recipe is 'basline'", "one of baseline, vae, deep"),
    Case("cluster --clusterer dbscan", "--clusterer is 'dbscan'", "one of consensus, heads"),
    Case("embed --device mps", "--device: mps is not available here", "cpu"),
    # combinations
    Case("train --val-images x.npy", "only one of the two is given", "both or neither"),
    Case("train --val-labels x.npy", "only one of the two is given", "both or neither"),
    Case("checkpoint-curve --val-images {val}", "only one of the two is given", "both"),
    Case("checkpoint-curve --val-labels {labels}", "only one of the two is given", "both"),
    Case("train --resume --force", "they exclude each other", "one of"),
    Case("embed --layout nhwc", "--layout: it describes DATA, and none is given", "DATA beside it"),
    Case("predict --range 0:1", "--range: it describes DATA, and none is given"),
    Case("plot --size 8", "No such option: --size; it is a flag of aeclust train"),
    Case("reconstruct --idx 1 --skip-bad", "--skip-bad: it describes DATA, and none is given"),
    Case("predict --val-images {val}", "there are images without labels", "--val-labels"),
    Case("predict --invert --val-labels {labels}", "labels name the clusters already", "one of"),
    Case("predict --invert", "--invert: there are 3 clusters", "2 clusters", three_clusters),
    Case("plot --gallery --thumbnails", "a gallery has neither points nor true labels"),
    Case("plot --gallery --labels {labels}", "a gallery has neither points nor true labels"),
    # the recipe: what a field takes is in tests/test_recipe.py
    Case("train --set momentum", "--set: 'momentum' has no value", "FIELD=VALUE"),
    Case("train --set epoch=3", "no recipe field is called 'epoch'", "one of network, "),
    Case("train --epochs 0", "epochs is 0", "1 or more"),
    Case("train --set momentum=1", "momentum is 1.0", "less than 1"),
    Case("train -k 1", "k is 1", "2 clusters or more, or auto"),
    Case("cluster -k 2.5", "k is '2.5'", "a whole number, or auto"),
    Case("cluster --clusters=-1", "k is -1", "2 clusters or more, or auto"),
    Case("cluster --reduction pca", "reduction is 'pca'", "sphere, or METHOD:SIZE with"),
    Case("cluster --perplexity 0", "perplexity is 0.0", "a number above 0"),
    Case("train --config nowhere.toml", "nowhere.toml: there is no such file"),
    Case("train --config garbage.toml", "garbage.toml: cannot be read ("),
    Case("train --config value.toml", "value.toml: lr is 'high'", "a finite number"),
    Case("train --config recipe.toml", "no recipe is called 'basline'"),
    # indices, checkpoints, pictures
    *(
        Case(f"reconstruct --idx={text}", f"--idx: reads '{text}'", "row numbers, as 1,2,3")
        for text in ("1,x", "", "-1", "1.5", "²")
    ),
    Case("reconstruct --idx 0,60", "there is no image 60", "numbers from 0 to 59"),
    Case("reconstruct {val} --idx 24", "there is no image 24", "numbers from 0 to 23"),
    Case("reconstruct --idx 999999999999999", "there is no image 999999999999999"),
    Case("embed --checkpoint 12", "there is no checkpoint of epoch 12", "one of 0, 1, 2, 3, 4, 5,"),
    Case("reconstruct --idx 1 --checkpoint 99", "there is no checkpoint of epoch 99"),
    Case("reconstruct --idx 1 -o p.gif", "p.gif: ends in '.gif'", ".png, .svg or .pdf"),
    Case("plot -o picture", "picture: ends in 'nothing'"),
    Case("plot --gallery -o picture.jpg", "picture.jpg: ends in '.jpg'"),
    Case("checkpoint-curve -o curve.csv", "curve.csv: ends in '.csv'"),
    Case("embed --force -o .", ". is a folder", ""),
    Case("embed {val}", "these are not the images of the run", "-o FILE for the latents of other"),
    Case("predict --val-labels=", "--val-labels: no path is given", "a file, a folder or demo:"),
    Case("train '' --size 8", "DATA: no path is given", "a file, a folder or demo:NAME"),
]
RUNS = [
    *(
        Case(command, "aeclust-run: there is no run here", "a folder made by aeclust", no_run)
        for command in (
            *("embed", "cluster", "predict", "reconstruct --idx 1", "plot", "checkpoint-curve"),
            *("report", "name", "export out.csv", "info"),
        )
    ),
    Case("info aeclust-run/weights", "weights: there is no run here"),
    Case("predict --run away", "away: there is no run here"),
    Case("train {images}", "aeclust-run: a run is here already", "an empty or new folder"),
    *(
        Case(f"train {{images}}{flag}", "checkpoints here, but no run.json", "", no_manifest)
        for flag in ("", " --resume")
    ),
    *(
        Case(c, "aeclust-run: the run has no checkpoint", "a finished or interrupted", no_weights)
        for c in ("embed --force", "reconstruct --idx 1", "checkpoint-curve")
    ),
    Case("embed --checkpoint 3", "no checkpoint of epoch 3", "one of none at all", no_weights),
    *(
        Case(
            c,
            "epoch-0011.h5: these weights are of recipe 'baseline'",
            "",
            foreign_weights,
        )
        for c in ("reconstruct --idx 1", "checkpoint-curve")
    ),
    Case(
        "reconstruct --idx 1",
        "epoch-0011.h5: these weights were trained on other images",
        "weights of this run",
        weights_of_other_images,
    ),
    Case(
        "reconstruct --idx 1",
        "epoch-0011.h5: the weights do not fit the network: missing encoder.0.bias, "
        "unexpected extra, encoder.3.bias is (9,) instead of (8,)",
        "weights of this recipe and image size",
        weights_of_another_size,
    ),
    Case("cluster", "labels.h5: this is a latents file", "a labels file", latents_for_labels),
    Case("embed", "latents.h5: this is a labels file", "a latents file", labels_for_latents),
    Case("embed", "latents.h5 is of format 2", "format 1", newer_latents),
    Case("predict", "run.json is of format 9", "format 1", newer_manifest),
    Case("info nowhere.h5", "nowhere.h5: there is no such file"),
    Case("info {images}", "images.npy is not an aeclust artifact", "a file"),
]
CLUSTERING = [
    *(
        Case(f"cluster {flags}", "latents.h5: 60 images cannot form 61 clusters", "at most 60")
        for flags in ("-k 61", "-k 61 --clusterer consensus")
    ),
    Case("cluster --reduction pca:33", "pca:33 asks for more components", "at most 32"),
    Case("cluster --reduction kpca:61", "kpca:61 asks for more components", "at most 60"),
    Case("cluster --reduction tsne:2 --perplexity 60", "60 points are too few for t-SNE", "more"),
    *(
        Case(f"cluster --force {flags}", "latents.h5: all 60 points are", "", equal_latents)
        for flags in ("", "-k auto", "--reduction sphere", "--reduction none")
    ),
    *(
        Case(
            f"cluster -k 3 --reduction none {flags}",
            "latents.h5: only 2 different points for 3 clusters",
            "at least 3 different ones",
            two_different_latents,
        )
        for flags in ("", "--clusterer consensus")
    ),
    Case(
        "cluster -k 4",
        "latents.h5: only 3 different images for 4 clusters",
        "at least 4 different ones",
        three_different_images,
    ),
    *(
        Case(f"cluster --force {flags}", "latents.h5: holds values beyond 1e+12", "", huge_latents)
        for flags in ("", "--reduction sphere")
    ),
]

TOMLS = {
    "garbage": b"\xff\x00garbage",
    "value": b'lr = "high"\n',
    "recipe": b'recipe = "basline"\n',
}


def refusal(cli: Cli, data: Data, command: str) -> str:
    """The one line of a command that changes nothing."""
    places = {"images": data.images, "val": data.val_images}
    name, *arguments = shlex.split(command.format(**places, labels=data.labels))
    before = files_of(Path())
    # nothing but the error is to be printed
    result = cli(name, *([] if name in ("info", "evaluate") else ["-q"]), *arguments)
    assert files_of(Path()) == before
    return one_error(result)


@pytest.mark.parametrize(("command", "text"), USAGE, ids=[command for command, _ in USAGE])
def test_what_is_no_command_line_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, command: str, text: str
) -> None:
    assert text in refusal(cli, data, command)


@pytest.mark.parametrize("case", REQUESTS + RUNS + CLUSTERING, ids=lambda case: case.command)
def test_a_wrong_request_changes_nothing(
    cli: Cli, full_run: RunFolder, data: Data, case: Case
) -> None:
    for name, content in TOMLS.items():
        Path(f"{name}.toml").write_bytes(content)
    case.spoil(full_run)
    line = refusal(cli, data, case.command)
    assert case.text in line
    assert not case.expected or f"; expected {case.expected}" in line


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (
            "embed --layout nhwc",
            "--layout: it describes DATA, and none is given; expected DATA beside it; "
            "leave it out: the run remembers its own images",
        ),
        ("train --epochs 0", "the recipe: epochs is 0; expected 1 or more; change --epochs"),
        (
            "train --recipe basline",
            "--recipe is 'basline'; expected one of baseline, vae, deep, hybrid, pretrained; "
            "did you mean baseline?",
        ),
        (
            "cluster --reduction tsne:2 --perplexity 60",
            "60 points are too few for t-SNE with perplexity 60; expected more than 60; "
            "lower --perplexity, or use --reduction pca:2",
        ),
    ],
)
def test_the_whole_line(cli: Cli, full_run: RunFolder, data: Data, command: str, line: str) -> None:
    assert refusal(cli, data, command).endswith(line)


# -- the file system ---------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="no FIFO there")
def test_a_fifo_is_refused_and_not_waited_for(cli: Cli, full_run: RunFolder) -> None:
    os.mkfifo("pipe.npy")
    os.mkfifo("pipe.h5")
    Path("photos").mkdir()
    os.mkfifo("photos/pipe.png")
    for command in (["predict", "pipe.npy"], ["predict", "pipe.h5"], ["info", "pipe.h5"]):
        check_error(cli(*command).error, what="is not a regular file")
    assert "cannot be read (not a regular file)" in one_error(cli("predict", "photos"))


@pytest.mark.skipif(sys.platform != "linux", reason="others keep names in Unicode")
def test_a_file_name_that_is_not_utf8_is_named(cli: Cli, full_run: RunFolder) -> None:
    os.mkdir("photos")
    with open(b"photos/\xff.png", "wb"):
        pass
    text = one_error(cli("predict", "photos"))
    assert "holds no image, but 1 file whose name is not UTF-8 (\\xff.png)" in text


def test_a_working_folder_that_is_gone_is_named(
    cli: Cli, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = FileNotFoundError(errno.ENOENT, "No such file or directory")
    monkeypatch.setattr("os.getcwd", raising(gone))
    assert one_error(cli("train", "images.npy")) == (
        "the working folder is gone; change to another one"
    )


def test_escapes_in_the_manifest_of_a_stranger_do_not_reach_the_terminal(
    cli: Cli, full_run: RunFolder
) -> None:
    location = json.loads(full_run.manifest_file.read_text())["data"]["location"]
    replace(full_run.manifest_file, location, "/tmp/\\u001b[31mred")
    shown = cli("info", "--run", full_run.path).out
    assert "/tmp/\\x1b[31mred" in shown
    assert "\x1b" not in shown


def test_too_large_a_step_is_refused_before_it_starts(
    cli: Cli, full_run: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_memory(monkeypatch, 100)
    before = files_of(full_run.path)
    result = cli("cluster", "--clusterer", "spectral", "-q")
    check_error(
        result.error,
        what="spectral clustering of 60 points needs about 0 GB of memory",
        expected="at most 0 GB, all that this machine has",
    )
    assert files_of(full_run.path) == before
