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
from support import RECIPE, Cli, Data, files_of, one_error

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
        f"aeclust-run/reconstruction.png: 6 images after epoch 11, mean MSE {mean:.4f}\n"
    )
    with Image.open(run.path / "reconstruction.png") as picture:
        assert picture.format == "PNG"
        assert picture.width > picture.height
    after = files_of(run.path)
    assert after.keys() - before.keys() == {"reconstruction.png"}
    assert {name: after[name] for name in before} == before


def test_order_and_repeats_are_kept(cli: Cli, run: RunFolder, data: Data) -> None:
    rows = [9, 0, 9, 59, 1]
    answer = json.loads(cli("reconstruct", "--idx", " 9, 0,9,59 ,1", "--json").out)
    assert list(answer) == ["file", "epoch", "ids", "mse"]
    assert answer["file"] == "aeclust-run/reconstruction.png"
    assert answer["epoch"] == 11
    assert answer["ids"] == rows
    assert answer["mse"] == pytest.approx(errors_of(run, np.load(data.images)[rows], 11), rel=1e-5)
    assert answer["mse"][0] == answer["mse"][2]


def test_the_figure_gets_what_inference_gives(
    cli: Cli, run: RunFolder, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: dict[str, Any] = {}
    draw = plots.reconstruction_figure

    def spy(originals: Any, copies: Any, errors: Any, captions: Any) -> Any:
        drawn["all"] = (originals, copies, errors, captions)
        return draw(originals, copies, errors, captions)

    monkeypatch.setattr(plots, "reconstruction_figure", spy)
    answer = json.loads(cli("reconstruct", "--idx", "5,4,5", "--json").out)
    network, _ = load_network(Context(run), run.manifest(), 11)
    pixels = np.load(data.images)[[5, 4, 5]]
    wanted = inference.reconstruct(network, pixels)
    originals, copies, errors, captions = drawn["all"]
    assert np.array_equal(originals, wanted[0])
    assert np.array_equal(copies, wanted[1])
    assert np.array_equal(errors, wanted[2])
    assert np.allclose(originals, pixels / 255, atol=1e-6)
    assert captions == ["5", "4", "5"]
    assert answer["mse"] == wanted[2].tolist()


def test_any_checkpoint_can_be_asked_for(cli: Cli, run: RunFolder, data: Data) -> None:
    answer = json.loads(cli("reconstruct", "--idx", "3", "--checkpoint", 0, "--json").out)
    assert answer["epoch"] == 0
    assert answer["mse"] == pytest.approx(errors_of(run, np.load(data.images)[[3]], 0), rel=1e-5)


def test_other_images_can_be_reconstructed(cli: Cli, run: RunFolder, data: Data) -> None:
    answer = json.loads(
        cli("reconstruct", data.val_images, "--idx", "2", "-o", "val.png", "--json").out
    )
    assert answer["file"] == "val.png"
    assert answer["mse"] == pytest.approx(
        errors_of(run, np.load(data.val_images)[[2]], 11), rel=1e-5
    )
    assert Path("val.png").read_bytes().startswith(b"\x89PNG")
    assert not (run.path / "reconstruction.png").exists()


def test_paths_are_the_ids_of_a_folder(cli: Cli, run: RunFolder, data: Data) -> None:
    Path("photos/a").mkdir(parents=True)
    for name, image in zip(("b.png", "a/c.png"), np.load(data.val_images)[:2], strict=True):
        Image.fromarray(image).save(Path("photos", name))
    answer = json.loads(cli("reconstruct", "photos", "--idx", "1,0", "--json").out)
    assert answer["ids"] == ["b.png", "a/c.png"]


@pytest.mark.parametrize(
    ("name", "start"), [("r.svg", b"<?xml"), ("r.pdf", b"%PDF"), ("r.PNG", b"\x89PNG")]
)
def test_the_ending_decides_the_format(cli: Cli, run: RunFolder, name: str, start: bytes) -> None:
    assert cli("reconstruct", "--idx", "0", "-o", name).code == 0
    assert Path(name).read_bytes().startswith(start)


def test_equal_runs_draw_equal_bytes(cli: Cli, run: RunFolder) -> None:
    for ending in ("png", "pdf"):
        for name in ("one", "two"):
            assert cli("reconstruct", "--idx", "0,1", "-o", f"{name}.{ending}").code == 0
        assert Path(f"one.{ending}").read_bytes() == Path(f"two.{ending}").read_bytes()


def test_images_changed_since_training_are_refused(cli: Cli, data: Data) -> None:
    np.save("mine.npy", np.load(data.images))
    assert cli("train", "mine.npy", *RECIPE, "--epochs", 1).code == 0
    np.save("mine.npy", np.load(data.images)[::-1])
    before = files_of(Path("aeclust-run"))
    assert one_error(cli("reconstruct", "--idx", "0")) == (
        f"{Path.cwd()}/mine.npy: the images have changed since training; expected the images that "
        "the run was trained on; restore them, or train again with --force"
    )
    assert files_of(Path("aeclust-run")) == before
