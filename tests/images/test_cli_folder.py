"""Image folders are decoded once; afterwards, only files that were touched are looked into."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from PIL import Image
from support import RECIPE, Cli, bytes_of, check_error, make_images, one_error

from aeclust import artifact as artifacts
from aeclust import images
from aeclust.cli.terminal import Terminal
from aeclust.images import Source, look, reading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "photos"
    place.mkdir()
    for i, image in enumerate(make_images(20, seed=1)[0]):
        Image.fromarray(image).save(place / f"{i:02}.png")
    (place / "bad.png").write_bytes(b"no image")
    return place


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were decoded."""
    names: list[str] = []
    real: Any = vars(reading)["decode"]

    def decode(file: BinaryIO, name: str, how: Any) -> Any:
        names.append(name)
        return real(file, name, how)

    monkeypatch.setattr(reading, "decode", decode)
    return names


def train(cli: Cli, *more: object) -> str:
    """Train on the folder; what is logged."""
    short = [*RECIPE, "--epochs", 1, "--skip-bad"]
    result = cli("train", "photos", *short, *more)
    assert result.code == 0, result.err
    return result.err


KEPT = Path("aeclust-run/images.h5")


def test_reading_a_folder_is_followed(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[tuple[str, int, int]] = []
    monkeypatch.setattr(Terminal, "progress", lambda self, *step: steps.append(step))
    train(cli)
    assert steps == [("reading images", done, 21) for done in range(1, 22)]


def test_a_folder_is_decoded_once(cli: Cli, folder: Path, decoded: list[str]) -> None:
    plain = images.load(Source(location=str(folder), size=8, skip_bad=True))
    decoded.clear()
    train(cli)
    assert sorted(decoded) == [*(f"{i:02}.png" for i in range(20)), "bad.png"]
    kept = artifacts.read(KEPT, "images")
    assert np.array_equal(kept.arrays["pixels"], plain.pixels)
    assert np.array_equal(kept.arrays["fingerprints"], images.fingerprints(plain.pixels))
    assert artifacts.decode_ids(kept.arrays["ids"]).tolist() == plain.ids.tolist()
    assert artifacts.decode_ids(kept.arrays["left_out"]).tolist() == ["bad.png"]
    assert kept.parents == {"data": plain.digest()}
    for command in (["cluster"], ["embed", "--force"], ["predict"], ["reconstruct", "--idx", "0"]):
        result = cli(*command)
        assert result.code == 0, result.err
    assert "left out bad.png: " in cli("embed", "--force").err
    assert len(decoded) == 21


def test_a_kept_folder_gives_the_bytes_of_one_that_is_decoded(cli: Cli, folder: Path) -> None:
    train(cli)
    assert cli("embed").code == 0
    first = bytes_of(Path("aeclust-run"), "[!p]*.h5")
    KEPT.unlink()
    assert cli("embed", "--force").code == 0  # and it is kept again
    assert bytes_of(Path("aeclust-run"), "[!p]*.h5") == first


def test_a_touched_file_is_decoded_again_and_then_known(
    cli: Cli, folder: Path, decoded: list[str]
) -> None:
    train(cli)
    os.utime(folder / "03.png", ns=(1, 1))  # the same pixels in a file of another time
    decoded.clear()
    result = cli("embed")
    assert result.code == 0, result.err
    assert "photos: " not in result.err.replace("photos: 20 images", "")
    assert decoded == ["03.png"]
    assert cli("embed", "--force").code == 0
    assert decoded == ["03.png"]
    assert "OUT OF DATE" not in cli("info", "aeclust-run").out


def test_damage_is_named_and_never_passed_over(cli: Cli, folder: Path) -> None:
    train(cli)
    damaged = bytearray(KEPT.read_bytes())
    damaged[-1] ^= 1
    KEPT.write_bytes(damaged)
    result = cli("embed")
    assert "damaged or not from aeclust: its bytes do not" in one_error(result)
    check_error(result.error, where=str(KEPT))
    KEPT.unlink()
    assert cli("embed").code == 0


def test_of_an_array_the_pixels_are_not_kept(cli: Cli, folder: Path, tmp_path: Path) -> None:
    train(cli)
    assert Path("aeclust-run/previews.h5").exists()
    pixels = make_images(20, seed=1)[0]
    np.save(tmp_path / "x.npy", pixels)
    assert cli("train", "x.npy", *RECIPE, "--epochs", 1, "--force").code == 0
    kept = artifacts.read(KEPT, "images").arrays
    assert kept.keys() == {"ids", "fingerprints", "marks"}
    assert np.array_equal(kept["fingerprints"], images.fingerprints(pixels))
    assert not Path("aeclust-run/previews.h5").exists()
    assert cli("train", *RECIPE, "--epochs", 1, "--force").code == 0
    assert not KEPT.exists()


def test_a_mark_changes_with_its_file_alone(folder: Path) -> None:
    def marks() -> dict[str, int]:
        listing = look(str(folder))
        assert listing is not None
        return dict(zip(listing.names, listing.marks.tolist(), strict=True))

    before = marks()
    assert len(set(before.values())) == 21
    assert marks() == before
    (folder / "notes.txt").write_text("no image")
    os.utime(folder / "00.png", ns=(1, 1))
    after = marks()
    assert after.keys() - before.keys() == {"notes.txt"}
    assert {name for name, mark in before.items() if after[name] != mark} == {"00.png"}
    assert look("demo:scenes") is None


def test_linked_folders_are_left_out_and_named(cli: Cli, folder: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    (folder / "2023").symlink_to(elsewhere)
    (folder / ".venv").mkdir()
    (folder / ".venv/lib64").symlink_to(elsewhere)  # hidden
    log = train(cli)
    assert "left out 1 linked folder (2023)\n" in log
    assert "20 images" in log
    Path("links").mkdir()
    Path("links/2023").symlink_to(elsewhere)
    result = cli("train", "links", "--run", "b")
    check_error(result.error, mend="name what is linked to")
    assert "1 linked folder (2023)" in one_error(result)


def test_other_folders_are_resized_as_the_runs_own_was(cli: Cli) -> None:
    for name, n in (("photos", 24), ("others", 10)):
        Path(name).mkdir()
        pixels, labels = make_images(n, seed=n)
        for i, image in enumerate(pixels):
            Image.fromarray(image).resize((9 + i % 2, 11)).save(Path(name) / f"{i}.png")
    Path("truth.csv").write_text(
        "id,label\n" + "".join(f"{i}.png,{label}\n" for i, label in enumerate(labels))
    )
    assert cli("train", "photos", *RECIPE, "--epochs", 1).code == 0
    assert "others: 10 images, 8 x 8 RGB" in cli("predict", "others").err
    flags = ["--val-images", "others", "--val-labels", "truth.csv"]
    result = cli("checkpoint-curve", *flags)
    assert result.code == 0, result.err
    assert "largest fall" in result.out or "never falls" in result.out
    assert " (2 checkpoints are too few to mean much):\n" in result.out
    train = ["train", "photos", *RECIPE, "--epochs", 1, *flags, "--run", "b"]
    for known in (train, ["predict", "--run", "b"]):
        assert cli(*known).code == 0
    for command in (["embed", "others", "-o", "o.h5"], ["reconstruct", "others", "--idx", "0"]):
        assert cli(*command).code == 0
