"""aeclust reconstruct: any indices, their order and repeats, and the error of each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from support import RECIPE, Cli, Data, check_error, files_of

from aeclust.network import inference
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.latents import load_network
from aeclust.show import plots


def errors_of(run: RunFolder, pixels: NDArray[np.uint8], epoch: int) -> list[float]:
    """The mean squared error in [-1, 1], worked out by hand."""
    network, _ = load_network(Context(run), run.manifest(), epoch)
    batch = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        copies = network.decode(network.encode(batch))
    return [float(x) for x in (copies - batch).square().mean((1, 2, 3))]


def test_the_picture_and_the_line(cli: Cli, run: RunFolder, data: Data) -> None:
    before = files_of(run.path)
    code, out, err = cli("reconstruct", "--idx", "1,2,3,6,7,9")
    assert (code, err) == (0, "")
    mean = np.mean(errors_of(run, np.load(data.images)[[1, 2, 3, 6, 7, 9]], 11))
    assert out == (
        f"aeclust-run/reconstruction.png: 6 images above their"
        f" reconstructions by the network after epoch 11; mean squared error {mean:.4f}\n"
    )
    with Image.open(run.path / "reconstruction.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height
    after = files_of(run.path)
    assert after.keys() - before.keys() == {"reconstruction.png"}
    assert {name: after[name] for name in before} == before


def test_order_and_repeats_are_kept_and_the_figure_gets_what_inference_gives(
    cli: Cli, run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    draw = plots.reconstruction_figure

    def spy(*arguments: Any, **words: Any) -> Any:
        drawn.extend(arguments)
        return draw(*arguments, **words)

    monkeypatch.setattr(plots, "reconstruction_figure", spy)
    rows = [9, 0, 9, 59, 1]
    answer = json.loads(cli("reconstruct", "--idx", " 9, 0,9,59 ,1", "--json").out)
    assert list(answer) == ["file", "epoch", "ids", "mse"]
    assert answer["file"] == "aeclust-run/reconstruction.png"
    assert (answer["epoch"], answer["ids"]) == (11, rows)
    pixels = np.load(data.images)[rows]
    assert answer["mse"] == pytest.approx(errors_of(run, pixels, 11), rel=1e-5)
    network, _ = load_network(Context(run), run.manifest(), 11)
    wanted: Any = inference.reconstruct(network, pixels)
    for given, expected in zip(drawn[:3], wanted, strict=True):
        assert np.array_equal(given, expected)
    assert np.allclose(drawn[0], pixels / 255, atol=1e-6)
    assert drawn[3] == [f"image {row}" for row in rows]
    assert answer["mse"] == drawn[2].tolist()


def test_any_checkpoint_and_other_images_can_be_asked_for(
    cli: Cli, run: RunFolder, data: Data
) -> None:
    for flags, images, epoch in (
        (["--checkpoint", 0], data.images, 0),
        ([data.val_images, "-o", "val.png"], data.val_images, 11),
    ):
        answer = json.loads(cli("reconstruct", *flags, "--idx", "3", "--json").out)
        assert answer["epoch"] == epoch
        expected = errors_of(run, np.load(images)[[3]], epoch)
        assert answer["mse"] == pytest.approx(expected, rel=1e-5)
    assert answer["file"] == "val.png"
    assert Path("val.png").read_bytes().startswith(b"\x89PNG")


def test_paths_are_the_ids_of_a_folder(cli: Cli, run: RunFolder, data: Data) -> None:
    Path("photos/a").mkdir(parents=True)
    for name, image in zip(("b.png", "a/c.png"), np.load(data.val_images)[:2], strict=True):
        Image.fromarray(image).save(Path("photos", name))
    answer = json.loads(cli("reconstruct", "photos", "--idx", "1,0", "--json").out)
    assert answer["ids"] == ["b.png", "a/c.png"]


@pytest.mark.parametrize(
    ("name", "start"), [("r.svg", b"<?xml"), ("r.pdf", b"%PDF"), ("r.PNG", b"\x89PNG")]
)
def test_the_ending_decides_the_format_and_equal_runs_draw_equal_bytes(
    cli: Cli, run: RunFolder, name: str, start: bytes
) -> None:
    drawn = []
    for _ in range(2):
        assert cli("reconstruct", "--idx", "0,1", "-o", name).code == 0
        drawn.append(Path(name).read_bytes())
    assert drawn[0].startswith(start)
    assert drawn[0] == drawn[1]


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (
            ["--idx", "1,60"],
            {"what": "there is no image 60", "where": "`idx`", "expected": "numbers from 0 to 59"},
        ),
        (
            ["--idx", "1", "-o", "r.gif"],
            {"what": "ends in '.gif'", "where": "r.gif", "expected": ".png, .svg or .pdf"},
        ),
    ],
)
def test_wrong_requests_are_refused(
    cli: Cli, run: RunFolder, flags: list[str], parts: dict[str, str]
) -> None:
    check_error(cli("reconstruct", *flags).error, **parts)


def test_images_changed_since_training_are_refused(cli: Cli, data: Data) -> None:
    np.save("mine.npy", np.load(data.images))
    assert cli("train", "mine.npy", *RECIPE, "--epochs", 1).code == 0
    np.save("mine.npy", 255 - np.load(data.images))
    before = files_of(Path("aeclust-run"))
    check_error(
        cli("reconstruct", "--idx", "0").error,
        what="none of the run's 60 images is here",
        where=f"{Path.cwd()}/mine.npy",
        expected="the images that the run was trained on, or most of them",
    )
    assert files_of(Path("aeclust-run")) == before
