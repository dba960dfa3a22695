"""A run with a frozen encoder: every command, and features that are made once and kept."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders import FROZEN, WIDTH, colour_encoder, counted, features_of
from numpy.typing import NDArray
from PIL import Image
from support import Cli, bytes_of, check_error, files_of, make_images, one_error
from torch import Tensor

from aeclust import artifact
from aeclust.cli.terminal import Terminal
from aeclust.clusters.scores import best_names
from aeclust.network import inference
from aeclust.network.encoder import Encoder
from aeclust.network.training import Moment
from aeclust.run import encoders
from aeclust.run.folder import RunFolder

IMAGES, KINDS = make_images(60, seed=1)
OTHERS, OTHER_KINDS = make_images(30, seed=4)
RUN = RunFolder(Path("aeclust-run"))


def stored(name: str) -> Mapping[str, Any]:
    return artifact.read(RUN.path / name).arrays


def named_as(kinds: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Labels by the names of the kinds that they are."""
    names: NDArray[np.int64] = best_names(labels, kinds, 2)[labels]
    return names


# -- what the commands give -------------------------------------------------------------------


def test_features_are_the_encoders_and_latents_these_standardised(frozen_place: Path) -> None:
    features, latents = stored("features.h5"), stored("latents.h5")["latents"]
    wanted = features_of(IMAGES)
    assert np.allclose(features["features"], wanted, rtol=1e-5)
    assert np.array_equal(features["fingerprints"], stored("latents.h5")["fingerprints"])
    assert np.allclose(latents, (wanted - wanted.mean(0)) / wanted.std(0), atol=1e-4)
    assert latents.shape == (60, WIDTH)


def test_labels_are_the_kinds_and_confidence_is_a_share(frozen_place: Path) -> None:
    labels = stored("labels.h5")
    assert np.array_equal(named_as(KINDS, labels["labels"]), KINDS)
    assert labels["confidence"].min() >= 0.5
    assert labels["confidence"].max() <= 1
    details = artifact.read(RUN.labels_file).details
    assert 0.9 < details["agreement"] <= 1
    assert 0.9 < details["view_agreement"] <= 1  # views change a colour only a little


def test_what_a_run_has_says_which_encoder_made_it(frozen_place: Path) -> None:
    recipe = json.loads(RUN.manifest_file.read_text())["recipe"]
    assert recipe["encoder"] == "colours.onnx"
    assert len(recipe["encoder_sha256"]) == 64
    assert recipe["latent_size"] == WIDTH
    names = ["features.h5", "latents.h5", "labels.h5", "weights/epoch-0002.h5"]
    assert all(artifact.read(RUN.path / name).recipe == recipe for name in names)
    weights = stored("weights/epoch-0002.h5")
    assert {name for name in weights if "encoder" in name} == set()
    # the path is for this machine, and stands in no artifact
    path = str(frozen_place).encode()
    assert not any(path in file.read_bytes() for file in RUN.path.rglob("*.h5"))


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("embed", "aeclust-run/latents.h5: 60 vectors of 6 values after epoch 2 (up to date"),
        ("embed others.npy -o o.h5", "o.h5: 30 vectors of 6 values after epoch 2"),
        ("embed --checkpoint 0", "aeclust-run/latents.h5: 60 vectors of 6 values after epoch 0"),
        ("cluster", "(up to date, nothing to do)"),
        ("cluster -k 3", "aeclust-run/labels.h5: 60 images in "),
        ("cluster -k auto", "aeclust-run/labels.h5: 60 images in "),
        (
            "cluster --clusterer kmeans --reduction pca:2",
            "aeclust-run/labels.h5: 60 images in ",
        ),
        ("predict", "id,label\n0,"),
        ("reconstruct --idx 1,2,59", "aeclust-run/reconstruction.png"),
        ("checkpoint-curve", "aeclust-run/checkpoint-curve.png and aeclust-run/checkpoint-curve"),
        ("plot", "aeclust-run/embedding.png"),
        ("plot --gallery", "aeclust-run/gallery.png"),
        ("plot others.npy", "aeclust-run/embedding-of-others.png"),
        ("report", "aeclust-run/report.html"),
        ("name 0=blue", "blue"),
        ("export sorted/", "sorted"),
        ("export all.npz", "all.npz: 60 images"),
        ("export net.safetensors", "the decoder of recipe pretrained after epoch 2"),
        ("evaluate aeclust-run/labels.h5 images-kinds.npy", "accuracy"),
        ("info", "features.h5: features, intact"),
        ("update", "nothing to do"),
        ("train images.npy --encoder colours.onnx --resume", "2 epochs"),
    ],
)
def test_every_command(cli: Cli, frozen_place: Path, command: str, answer: str) -> None:
    flags = FROZEN if command.startswith("train") else []
    result = cli(*command.split(), *flags)
    assert result.code == 0, result.err
    assert answer in result.out
    assert "Traceback" not in result.err
    assert "stale" not in cli("info").out or command in ("embed --checkpoint 0",)


def test_new_images_get_the_label_of_their_kind(cli: Cli, frozen_place: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(cli("predict", "others.npy").out)))
    given = np.array([int(row["label"]) for row in rows])
    assert np.array_equal(named_as(OTHER_KINDS, given), OTHER_KINDS)


def test_the_curve_falls_and_the_latents_stay(cli: Cli, frozen_place: Path) -> None:
    assert cli("checkpoint-curve").code == 0
    curve = stored("curve.h5")
    assert curve["epochs"].tolist() == [0, 1, 2]
    assert curve["errors"][2] < curve["errors"][0]
    assert len(set(curve["view_neighbours"].tolist())) == 1


def test_an_onnx_encoder_is_not_exported_again(cli: Cli, frozen_place: Path) -> None:
    result = cli("export", "net.onnx")
    one_error(result)
    check_error(
        result.error,
        what="is an ONNX file already, and is not copied into another",
        where="colours.onnx",
        expected="an encoder of timm, or efficientnet-lite0",
    )
    assert not Path("net.onnx").exists()


# -- features are made once ---------------------------------------------------------------------


def test_images_are_seen_once_and_views_when_they_are_embedded(
    cli: Cli, frozen_place: Path
) -> None:
    shutil.rmtree(RUN.path)
    command = ["train", "images.npy", "--encoder", "colours.onnx", *FROZEN]
    for words, wanted in (
        (command, 60),
        (["embed"], 60),  # views
        (["cluster"], 0),
        (["predict"], 0),
        (["cluster", "-k", "3"], 0),
        (["plot"], 0),
        (["predict", "others.npy"], 30),
        (["checkpoint-curve"], 60),  # views, once for all checkpoints
        (["reconstruct", "--idx", "3,4"], 2),
        (["train", *command[1:], "--force"], 0),
        (["embed"], 0),  # the same weights again
    ):
        with counted() as seen:
            assert cli(*words).code == 0
        assert sum(seen) == wanted, words


@pytest.mark.parametrize(
    "change",
    [
        lambda: ["--encoder", colour_encoder(Path("others.onnx"), seed=1)],
        lambda: ["--encoder", "colours.onnx", "--set", "image_size=16"],
        # of timm, two networks with the same weights may compute otherwise
        lambda: ["--encoder", shutil.copy("colours.onnx", "same.onnx")],
        lambda: np.save("images.npy", OTHERS) or ["--encoder", "colours.onnx"],  # type: ignore[func-returns-value]
    ],
    ids=["another encoder", "another size", "another name", "other images"],
)
def test_features_of_something_else_are_not_taken(
    cli: Cli, frozen_place: Path, change: Callable[[], list[Any]]
) -> None:
    before = stored("features.h5")
    flags = change()
    with counted() as seen:
        assert cli("train", "images.npy", *FROZEN, *flags, "--force").code == 0
    n = len(np.load("images.npy"))
    assert sum(seen) == n
    now = stored("features.h5")
    assert len(now["features"]) == n
    if "others.onnx" in map(str, flags):
        assert np.allclose(now["features"], features_of(IMAGES, seed=1), rtol=1e-5)
    elif n == 30:
        assert np.allclose(now["features"], features_of(OTHERS), rtol=1e-5)
    else:
        assert np.allclose(now["features"], before["features"], atol=1)


def test_features_of_another_run_are_not_this_ones(cli: Cli, frozen_place: Path) -> None:
    command = ["train", "others.npy", "--encoder", "colours.onnx", *FROZEN, "--run", "other"]
    assert cli(*command).code == 0
    shutil.copy("other/features.h5", RUN.features_file)
    with counted() as seen:
        assert cli("embed", "--force").code == 0
    assert sum(seen) == 60 + 60
    assert np.allclose(stored("features.h5")["features"], features_of(IMAGES), rtol=1e-5)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-9] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("command", ["embed --force", "checkpoint-curve", "train --force"])
def test_damaged_features_are_refused_by_name(cli: Cli, frozen_place: Path, command: str) -> None:
    flip(RUN.features_file)
    words = command.split()
    if words[0] == "train":
        words += ["images.npy", "--encoder", "colours.onnx", *FROZEN]
    assert cli("predict").code == 0  # which notes when the images were written
    before = files_of(RUN.path)
    result = cli(*words, "-q")
    check_error(
        result.error,
        where="aeclust-run/features.h5",
        mend="delete it to have it made anew, or restore a copy",
    )
    one_error(result)
    assert files_of(RUN.path) == before
    assert "features.h5: damaged" in cli("info").err
    RUN.features_file.unlink()
    assert cli(*words).code == 0


def test_features_of_another_width_are_refused(cli: Cli, frozen_place: Path) -> None:
    kept = artifact.read(RUN.features_file)
    arrays = {**kept.arrays, "features": kept.arrays["features"][:, :2].copy()}
    artifact.write(
        RUN.features_file,
        artifact.Artifact(
            kind="features",
            arrays=arrays,
            recipe=kept.recipe,
            seed=kept.seed,
            parents=kept.parents,
            details={},
        ),
    )
    result = cli("embed", "--force", "-q")
    one_error(result)
    check_error(
        result.error,
        what="holds features of 2 values",
        where="aeclust-run/features.h5",
        expected="6, as colours.onnx gives",
    )


def test_an_encoder_that_takes_no_such_images_replaces_no_run(cli: Cli, frozen_place: Path) -> None:
    colour_encoder(Path("grey.onnx"), channels=1)
    before = files_of(RUN.path / "weights")
    result = cli("train", "images.npy", "--encoder", "grey.onnx", *FROZEN, "--force", "-q")
    one_error(result)
    check_error(
        result.error,
        what="got images of 3 channels",
        where="grey.onnx",
        expected="grey images",
    )
    assert files_of(RUN.path / "weights") == before


# -- a folder that changes, and work that is broken off ------------------------------------------


@dataclass
class Folder:
    """Photographs of two kinds, and a run of them."""

    path: Path

    def add(self, *rows: int) -> None:
        self.path.mkdir(exist_ok=True)
        for row in rows:
            Image.fromarray(IMAGES[row]).save(self.path / f"{row:02d}.png")


@pytest.fixture
def photos(cli: Cli) -> Folder:
    folder = Folder(Path("photos"))
    folder.add(*range(20))
    colour_encoder(Path("colours.onnx"))
    assert cli("train", "photos", "--encoder", "colours.onnx", *FROZEN).code == 0
    assert cli("cluster").code == 0
    return folder


def test_update_looks_at_new_images_alone(cli: Cli, photos: Folder) -> None:
    photos.add(20, 21, 22)
    (photos.path / "03.png").unlink()
    before = bytes_of(RUN.path, "weights/*")
    with counted() as seen:
        result = cli("update")
    assert result.code == 0, result.err
    assert sum(seen) == 3 + 22  # and a view of each
    assert bytes_of(RUN.path, "weights/*") == before
    rows = [row for row in range(23) if row != 3]
    assert np.allclose(stored("features.h5")["features"], features_of(IMAGES[rows]), rtol=1e-5)
    labels = stored("labels.h5")["labels"]
    assert np.array_equal(named_as(KINDS[rows], labels), KINDS[rows])
    with counted() as seen:
        assert cli("predict").code == 0
    assert seen == []


def test_to_learn_on_keeps_what_latents_mean(cli: Cli, photos: Folder) -> None:
    centre = stored("weights/epoch-0002.h5")["state_dict/centre"]
    photos.add(20, 21)
    with counted() as seen:
        result = cli("train", "--continue")
    assert result.code == 0, result.err
    assert sum(seen) == 2
    assert len(json.loads(RUN.manifest_file.read_text())["former"]) == 1
    last = RUN.weights_file(RUN.last_checkpoint())
    assert np.array_equal(artifact.read(last).arrays["state_dict/centre"], centre)
    assert cli("cluster").code == 0


@pytest.mark.parametrize(
    ("flags", "what"),
    [
        (["--size", "16"], "`image_size` was 8 and is 16"),
        (["--encoder-input", "output=y"], "`encoder_input` was '' and is '{\"output\": \"y\"}'"),
    ],
)
def test_to_learn_on_takes_the_same_features(
    cli: Cli, frozen_place: Path, flags: list[str], what: str
) -> None:
    before = files_of(RUN.path / "weights")
    result = cli("train", "--continue", *flags, "-q")
    one_error(result)
    check_error(
        result.error,
        what=f"the run has learnt from other features: {what}",
        where="aeclust-run",
        mend="leave those flags out, or train anew with `force`",
    )
    assert files_of(RUN.path / "weights") == before


class Died(BaseException):
    """The process is gone."""


def test_a_process_that_died_over_features_is_done_again(
    cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = bytes_of(RUN.path, "weights/*")
    shutil.rmtree(RUN.path)
    real = Encoder.__call__

    def dying(encoder: Encoder, images: Tensor) -> Tensor:
        if len(images) > 1:
            raise Died
        return real(encoder, images)

    command = ["train", "images.npy", "--encoder", "colours.onnx", *FROZEN]
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "__call__", dying)
        with pytest.raises(Died):
            cli(*command)
    assert not RUN.features_file.exists()
    assert cli(*command, "--resume").code == 0
    assert bytes_of(RUN.path, "weights/*") == before


def test_features_are_kept_now_and_then_while_they_are_made(
    cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, features = bytes_of(RUN.path, "weights/*"), RUN.features_file.read_bytes()
    shutil.rmtree(RUN.path)
    real, seen = Encoder.__call__, list[int]()

    def dying(encoder: Encoder, images: Tensor) -> Tensor:
        seen.append(len(images))
        if sum(seen) > 40:
            raise Died
        return real(encoder, images)

    command = ["train", "images.npy", "--encoder", "colours.onnx", *FROZEN]
    monkeypatch.setattr(inference, "BATCH", 16)
    monkeypatch.setattr(encoders, "_KEEP_EVERY", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "__call__", dying)
        with pytest.raises(Died):
            cli(*command)
    assert len(stored("features.h5")["features"]) == 32
    with counted() as counts:
        assert cli("train", "--resume").code == 0
    assert sum(counts) == 60 - 32
    assert RUN.features_file.read_bytes() == features
    assert bytes_of(RUN.path, "weights/*") == before


def test_ctrl_c_over_features_is_obeyed_at_once(
    cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(RUN.path)
    real = Encoder.__call__

    def pressing(encoder: Encoder, images: Tensor) -> Tensor:
        if len(images) > 1:
            signal.raise_signal(signal.SIGINT)
        return real(encoder, images)

    command = ["train", "images.npy", "--encoder", "colours.onnx", *FROZEN]
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "__call__", pressing)
        result = cli(*command, "-q")
    again = "start again with aeclust train --resume\n"
    assert result == (130, "", f"interrupted before the first epoch; {again}")
    assert cli("train", "--resume").code == 0


@pytest.mark.parametrize("steps", [0, 1, 4, 6])
def test_an_interrupted_decoder_goes_on_as_if_it_had_not_been(
    cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    before = bytes_of(RUN.path, "weights/*")
    observe = Terminal.observe

    def pressing(terminal: Terminal, moment: Moment) -> None:
        observe(terminal, moment)
        if moment.epoch * moment.steps + moment.step == steps:
            signal.raise_signal(signal.SIGINT)

    command = ["train", "images.npy", "--encoder", "colours.onnx", *FROZEN]
    with monkeypatch.context() as patch:
        patch.setattr(Terminal, "observe", pressing)
        assert cli(*command, "--force", "-q").code == 130
    assert RUN.resume_file.exists()
    with counted() as seen:
        assert cli("train", "--resume").code == 0
    assert seen == []
    assert bytes_of(RUN.path, "weights/*") == before
