"""Image folders are decoded once, and again only when they have changed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import RECIPE, Cli, bytes_of, check_error, make_images, one_error

from aeclust import artifact as artifacts
from aeclust import images
from aeclust.cli.terminal import Terminal
from aeclust.images import Source, folders
from aeclust.run.folder import RunFolder


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
    real = folders._decode

    def decode(path: Path, size: int | None) -> np.ndarray:
        names.append(path.name)
        return real(path, size)

    monkeypatch.setattr(folders, "_decode", decode)
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
    plain = images.load(Source(location=str(folder), skip_bad=True))
    decoded.clear()
    train(cli)
    assert len(decoded) == 21
    kept = artifacts.read(KEPT, "images")
    assert np.array_equal(kept.arrays["pixels"], plain.pixels)
    assert artifacts.decode_ids(kept.arrays["ids"]).tolist() == plain.ids.tolist()
    assert artifacts.decode_ids(kept.arrays["skipped"]).tolist() == list(plain.skipped)
    assert kept.parents == {"data": plain.digest()}
    for command in (["cluster"], ["embed", "--force"], ["predict"], ["reconstruct", "--idx", "0"]):
        result = cli(*command)
        assert result.code == 0, result.err
        assert "decoded anew" not in result.err
    assert "left out bad.png: " in cli("embed", "--force").err
    train(cli, "--force")
    assert len(decoded) == 21


def test_a_kept_folder_gives_the_bytes_of_one_that_is_decoded(cli: Cli, folder: Path) -> None:
    train(cli)
    assert cli("embed").code == 0
    first = bytes_of(Path("aeclust-run"), "*.h5")
    KEPT.unlink()
    assert cli("embed", "--force").code == 0  # and it is kept again
    assert bytes_of(Path("aeclust-run"), "*.h5") == first


def test_a_changed_folder_is_decoded_anew(cli: Cli, folder: Path, decoded: list[str]) -> None:
    train(cli)
    os.utime(folder / "03.png", ns=(1, 1))  # the same pixels in a file of another time
    decoded.clear()
    info = cli("info", "aeclust-run")
    assert "images.h5: images, intact" in info.out
    assert "the folder has changed" in info.out
    result = cli("embed")
    assert result.code == 0, result.err
    assert "photos has changed: its images are decoded anew\n" in result.err
    assert len(decoded) == 21
    assert cli("embed", "--force").code == 0
    assert len(decoded) == 21
    assert "STALE" not in cli("info", "aeclust-run").out


@pytest.mark.parametrize("change", ["another", "fewer", "more"])
def test_other_images_are_noticed_all_the_same(cli: Cli, folder: Path, change: str) -> None:
    train(cli)
    if change == "another":
        Image.new("RGB", (8, 8), "red").save(folder / "03.png")
    elif change == "fewer":
        (folder / "03.png").unlink()
    else:
        Image.new("RGB", (8, 8), "red").save(folder / "more.png")
    result = cli("embed")
    assert result.code == 2
    assert "the images have changed since training" in result.err


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


def test_a_run_of_an_array_keeps_no_images(cli: Cli, folder: Path, tmp_path: Path) -> None:
    train(cli)
    np.save(tmp_path / "x.npy", make_images(20, seed=1)[0])
    assert cli("train", "x.npy", *RECIPE, "--epochs", 1, "--force").code == 0
    assert not KEPT.exists()
    assert RunFolder(Path("aeclust-run")).exists()


def test_a_listing_says_how_a_folder_is_read(folder: Path) -> None:
    plain = Source(location=str(folder))
    assert len(images.listing(plain)) == 64
    assert images.listing(plain) == images.listing(plain)
    others = [Source(location=str(folder), size=8), Source(location=str(folder), skip_bad=True)]
    assert len({images.listing(source) for source in (plain, *others)}) == 3
    before = images.listing(plain)
    (folder / "notes.txt").write_text("no image")
    assert images.listing(plain) == before
    (folder / "00.png").rename(folder / "zz.png")
    assert images.listing(plain) != before
    assert images.listing(Source(location="demo:scenes")) == ""


def test_images_of_other_kinds_are_counted_and_left_out(cli: Cli, folder: Path) -> None:
    (folder / "a.bmp").write_bytes(b"x")
    (folder / "b.WEBP").write_bytes(b"x")
    assert "left out 2 images of other kinds (.bmp, .webp)\n" in train(cli)
    Path("others").mkdir()
    Path("others/a.tiff").write_bytes(b"x")
    check_error(
        cli("train", "others", "--run", "b").error,
        what="holds no PNG or JPEG file, but 1 image of other kinds (.tiff)",
        expected="images ending in .png or .jpg",
        mend="convert them",
    )


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
    check_error(
        cli("train", "links", "--run", "b").error,
        what="holds no PNG or JPEG file, but 1 linked folder (2023)",
        expected="images ending in .png or .jpg",
        mend="name what is linked to",
    )


def test_other_folders_are_resized_as_the_runs_own_was(cli: Cli) -> None:
    for name, n in (("photos", 24), ("others", 10)):
        Path(name).mkdir()
        pixels, labels = make_images(n, seed=n)
        for i, image in enumerate(pixels):
            Image.fromarray(image).resize((9 + i % 2, 11)).save(Path(name) / f"{i}.png")
    Path("truth.csv").write_text(
        "id,label\n" + "".join(f"{i}.png,{label}\n" for i, label in enumerate(labels))
    )
    assert cli("train", "photos", "--size", 8, *RECIPE, "--epochs", 1).code == 0
    other = cli("predict", "others")
    assert "others: 10 images, 8 x 8 RGB" in other.err
    assert other.out == cli("predict", "others", "--size", 8).out
    flags = ["--val-images", "others", "--val-labels", "truth.csv"]
    result = cli("checkpoint-curve", *flags)
    assert result.code == 0, result.err
    assert "largest fall" in result.out or "never falls" in result.out
    assert "accuracy (2 checkpoints are too few to mean much):\n" in result.out
    train = ["train", "photos", "--size", 8, *RECIPE, "--epochs", 1, *flags, "--run", "b"]
    for known in (train, ["predict", "--run", "b"]):
        assert cli(*known).code == 0
    for command in (["embed", "others", "-o", "o.h5"], ["reconstruct", "others", "--idx", "0"]):
        assert cli(*command).code == 0
