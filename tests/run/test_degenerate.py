"""Images that hold next to nothing: every command gives a result or one line, and never NaN."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support import TWO_PHASES, Cli, make_images, one_error

from aeclust import artifact as artifacts
from aeclust.artifact import Array
from aeclust.run.folder import RunFolder

SHORT = ["--set", "image_size=8", "--batch-size", "16", "--set", "epochs=1", "--seed", "3"]
RECIPES: dict[str, list[str]] = {
    "hybrid": [*TWO_PHASES, *SHORT, "--set", "label_epochs=1"],
    "baseline": ["--recipe", "baseline", "--set", "channels=4,8", *SHORT],
    "vae": ["--recipe", "vae", "--set", "channels=4,8", *SHORT],
    "deep": ["--recipe", "deep", "--set", "channels=4,8", *SHORT],
}
IMAGES, LABELS = make_images(40, seed=1)


def full(value: float, n: int = 40, dtype: type = np.uint8) -> Array:
    return np.full((n, 8, 8, 3), value, dtype)


def changed(images: Array, index: tuple[int, ...], value: float) -> Array:
    copy = images.copy()
    copy[index] = value
    return copy


def spread(width: float) -> Array:
    noise = np.random.default_rng(0).uniform(-1, 1, (40, 8, 8, 3))
    return (0.5 + width * noise).astype(np.float64)


def brightness() -> Array:
    return np.repeat(np.arange(40) * 6, 192).reshape(40, 8, 8, 3).astype(np.uint8)


UNIT = IMAGES / np.float32(255)

EQUAL = "images are the same; expected images that differ"

# Images, and what `train` says of those that nothing can be learnt from.
SETS: dict[str, tuple[Callable[[], Array], str]] = {
    "all grey": (lambda: full(128), EQUAL),
    "all black": (lambda: full(0), EQUAL),
    "all white": (lambda: full(255), EQUAL),
    "black in floats": (lambda: full(0, dtype=np.float32), EQUAL),
    "one image": (lambda: IMAGES[:1], "1 images cannot form 2 clusters"),
    "two images": (lambda: IMAGES[:2], ""),
    "three images": (lambda: IMAGES[:3], ""),
    "two equal images": (lambda: IMAGES[[0, 0]], EQUAL),
    "two images, twenty times each": (lambda: IMAGES[[0, 1] * 20], ""),
    "one image forty times, one other": (lambda: IMAGES[[0] * 40 + [1]], ""),
    "three images, many times": (lambda: IMAGES[[0, 1, 2] * 13], ""),
    "a spread of 1e-30": (
        lambda: 1e-30 * np.random.default_rng(0).uniform(0, 1, (40, 8, 8, 3)),
        EQUAL,
    ),
    "a spread of 1e-12": (lambda: spread(1e-12), EQUAL),
    "a spread of 1e-6": (lambda: spread(1e-6), ""),
    "NaN in one pixel": (
        lambda: changed(UNIT, (7, 1, 2, 0), np.nan),
        "image 7 holds NaN or infinity",
    ),
    "infinity in one pixel": (
        lambda: changed(UNIT, (7, 1, 2, 0), np.inf),
        "image 7 holds NaN or infinity",
    ),
    "one pixel that differs": (lambda: changed(full(90), (7, 1, 2, 0), 91), ""),
    "no images": (lambda: IMAGES[:0], "holds no images (shape (0, 8, 8, 3))"),
    "one pixel each": (lambda: IMAGES[:, :1, :1], "channels could stand first or last"),
    "black and white": (lambda: (255 * (IMAGES > 120)).astype(np.uint8), ""),
    "brightness alone": (brightness, ""),
    "grey": (lambda: IMAGES[..., 0], ""),
    "wide": (lambda: np.concatenate([IMAGES] * 8, axis=2), ""),
    "noise": (lambda: np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8), ""),
}
COMMANDS: list[list[object]] = [
    ["embed"],
    ["cluster"],
    ["predict"],
    ["predict", "images.npy", "--val-labels", "labels.npy"],
    ["reconstruct", "--idx", "0"],
    ["checkpoint-curve", "--val-images", "images.npy", "--val-labels", "labels.npy"],
    ["plot", "images.npy", "--labels", "one-class.npy"],
    ["cluster", "-k", "auto"],
    ["info"],
]


def finite(folder: Path) -> None:
    """No NaN in anything that was written."""
    for file in folder.rglob("*.h5"):
        for name, values in artifacts.read(file).arrays.items():
            assert values.dtype.kind != "f" or np.isfinite(values).all(), f"{file} {name}"
    for file in folder.glob("*.csv"):
        for row in csv.DictReader(file.read_text().splitlines()):
            cells = [cell for cell in row.values() if cell]
            assert all(np.isfinite(float(cell)) for cell in cells), row
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        assert np.isfinite(list(json.loads(line).values())).all()


def walk(cli: Cli, pixels: Array, recipe: list[str]) -> dict[str, str]:
    """All commands on these images; what was refused, and how."""
    np.save("images.npy", pixels)
    np.save("labels.npy", np.arange(len(pixels)) % 2)
    np.save("one-class.npy", np.zeros(len(pixels), int))
    result = cli("train", "images.npy", *recipe, "-q")
    if result.code:
        return {"train": one_error(result, result.code)}
    refused = {}
    for command in COMMANDS:
        result = cli(*command, *(() if command == ["info"] else ("-q",)))
        if result.code:
            name = " ".join(map(str, command))
            refused[name] = one_error(result, result.code)
            assert result.code == 2, refused[name]
        elif command == ["predict"]:
            rows = list(csv.reader(result.out.splitlines()))[1:]
            assert [row[0] for row in rows] == [str(i) for i in range(len(pixels))]
            assert {row[1] for row in rows} <= {"0", "1"}
    finite(Path("aeclust-run"))
    return refused


@pytest.mark.parametrize("name", SETS)
def test_degenerate_images_end_in_a_result_or_one_line(cli: Cli, name: str) -> None:
    make, told = SETS[name]
    refused = walk(cli, make(), RECIPES["hybrid"])
    assert refused.keys() == ({"train"} if told else set())
    assert told in refused.get("train", "")


@pytest.mark.endurance
@pytest.mark.parametrize("recipe", ["baseline", "vae", "deep"])
@pytest.mark.parametrize("name", SETS)
def test_degenerate_images_with_every_recipe(cli: Cli, name: str, recipe: str) -> None:
    make, told = SETS[name]
    refused = walk(cli, make(), RECIPES[recipe])
    assert not told or refused


@pytest.mark.parametrize("recipe", ["hybrid", "baseline"])
def test_a_network_without_weights_is_called_collapsed(
    cli: Cli, recipe: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save("images.npy", IMAGES)
    assert cli("train", "images.npy", *RECIPES[recipe]).code == 0
    run = RunFolder(Path("aeclust-run"))
    file = run.weights_file(run.checkpoints()[-1])
    whole = artifacts.read(file)
    zeroed = {name: np.zeros_like(values) for name, values in whole.arrays.items()}
    artifacts.write(file, dataclasses.replace(whole, arrays=zeroed))
    assert one_error(cli("cluster", "-q")) == (
        "aeclust-run/latents.h5: all 40 points are the same: collapsed network or equal images; "
        "expected latents that differ; train again with other images, more epochs, or a lower --lr"
    )
    assert cli("checkpoint-curve", "-q").code == 0  # which shows where it happened
    finite(run.path)
