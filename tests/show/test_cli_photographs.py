"""Photographs as people see them: previews of their own shape in gallery, page and embedding."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from reports import Parsed, decoded, tiles
from support import RECIPE, Cli, run_quietly

from aeclust.run import pictures
from aeclust.show import maps, plots
from aeclust.show.gallery import gallery_figure

# heights, widths and channels of files, and of what is shown of them: 160 pixels at most
SHAPES = [(240, 360, 3), (360, 240, 3), (200, 200, 1), (8, 8, 3), (100, 400, 3), (240, 360, 3)]
SHOWN = [(107, 160, 3), (160, 107, 3), (160, 160, 1), (8, 8, 3), (40, 160, 3), (107, 160, 3)]
NAMES = [f"{i:02d}.{'jpg' if i % 2 else 'png'}" for i in range(36)]


def photograph(i: int) -> NDArray[np.uint8]:
    """Flat, half of them bluish and half yellowish."""
    height, width, channels = SHAPES[i % 6]
    colour = [250 - 4 * i, 200, 40] if i < 18 else [40, 3 * i, 240]
    return np.broadcast_to(np.array(colour[:channels], np.uint8), (height, width, channels))


def seen(i: int) -> NDArray[np.float64]:
    """What is shown of it, in [0, 1]."""
    return np.broadcast_to(photograph(i)[0, 0] / 255, SHOWN[i % 6])


def write(folder: Path, numbers: range) -> None:
    folder.mkdir()
    for i in numbers:
        image = photograph(i)
        Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).save(folder / NAMES[i])


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs and a run on them; not to be touched."""
    folder = tmp_path_factory.mktemp("photographs")
    write(folder / "photos", range(36))
    flags = [*RECIPE, "--epochs", 1, "--size", 8, "--run", folder / "run"]
    assert run_quietly("train", folder / "photos", *flags).code == 0
    assert run_quietly("cluster", "--run", folder / "run").code == 0
    return folder


@pytest.fixture
def hung(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the gallery was drawn of, and the figure."""
    found: dict[str, Any] = {}

    def spy(picked: Any, names: Any, images: Any, *more: Any, **options: Any) -> Any:
        found["figure"] = gallery_figure(picked, names, images, *more, **options)
        found.update(images=images, picks=picked)
        return found["figure"]

    monkeypatch.setattr(pictures, "gallery_figure", spy)
    return found


def test_the_gallery_has_equal_cells_in_which_each_image_keeps_its_shape(
    cli: Cli, root: Path, hung: dict[str, Any]
) -> None:
    told = json.loads(cli("plot", "--gallery", "--run", root / "run", "-o", "g.png", "--json").out)
    assert sum(one["size"] for one in told["clusters"]) == 36
    for row, image in hung["images"].items():
        assert image.shape == SHOWN[row % 6]
        assert np.abs(image - seen(row)).max() <= 0.03
    rows = [row for pick in hung["picks"] for kind in pick.kinds.values() for row in kind]
    # three in a row, as their names need room: a cell of 213 at 300 dpi
    cell = (7.04 / 3 - 0.14 + 0.04) / 3 - 0.04
    drawn = hung["figure"].axes[0].images
    assert len(drawn) == len(rows) > 20
    for row, image in zip(rows, drawn, strict=True):
        left, right, bottom, top = image.get_extent()
        width, height = right - left, bottom - top
        wide, high = SHOWN[row % 6][1], SHOWN[row % 6][0]
        assert width / height == pytest.approx(wide / high)
        # as large as fits into a cell whose proportions are the median ones, 107 to 160
        assert (width, height) == pytest.approx(
            np.array([wide, high]) * min(cell / wide, cell * 107 / 160 / high)
        )
    # and they are in the picture, each with the pixels of its cell
    with Image.open("g.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    first = np.broadcast_to(photograph(rows[0])[0, 0], 3).astype(int)
    alike = np.abs(pixels - first).max(axis=2) <= 8
    width = min(cell, cell * 107 / 160 / SHOWN[rows[0] % 6][0] * SHOWN[rows[0] % 6][1])
    assert alike.sum(axis=1).max() >= 0.97 * 300 * width


def test_the_page_has_pictures_and_tiles_of_these_shapes(cli: Cli, root: Path) -> None:
    assert cli("report", "--run", root / "run", "-o", "page.html").code == 0
    page = Parsed(Path("page.html").read_text(encoding="utf-8"))
    shown = [a for a, _ in page.all("img") if str(a["alt"]).startswith("image ")]
    large = [a for a in shown if decoded(str(a["src"])).shape[0] > 8]
    assert len(large) > 30
    for attributes in large:
        row = NAMES.index(str(attributes["alt"]).removeprefix("image "))
        picture = decoded(str(attributes["src"]))
        assert picture.shape[:2] == SHOWN[row % 6][:2]
        assert np.abs(picture / 255 - seen(row)).max() <= 0.03
    sheets = page.points["sheets"]
    for name, tile in zip(page.points["ids"], tiles(sheets, 36), strict=True):
        row = NAMES.index(name)
        assert tile.shape[:2] == SHOWN[row % 6][:2]
        assert np.abs(tile / 255 - seen(row)).max() <= 0.03


def test_originals_beside_reconstructions_are_what_the_network_sees(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[int, ...]] = []
    draw = plots.reconstruction_figure

    def spy(originals: Any, *more: Any, **words: Any) -> Any:
        found.append(originals.shape)
        return draw(originals, *more, **words)

    monkeypatch.setattr(plots, "reconstruction_figure", spy)
    cli("reconstruct", "--idx", "0,3", "--run", root / "run", "-o", "r.png")
    assert found == [(2, 8, 8, 3)]


def test_thumbnails_keep_their_shapes_in_frames_that_do_not_overlap(
    cli: Cli, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, Any] = {}
    draw = maps.map_figure

    def spy(*arguments: Any, **options: Any) -> Any:
        found.update(options, figure=draw(*arguments, **options))
        return found["figure"]

    monkeypatch.setattr(maps, "map_figure", spy)
    assert cli("plot", "--thumbnails", "--run", root / "run", "-o", "t.png").code == 0
    laid = found["thumbnails"]
    assert len(laid) >= 2
    for row, image in laid.items():
        assert image.shape == SHOWN[row % 6]
        assert np.abs(image - seen(row)).max() <= 0.03
    axes = found["figure"].axes[0]
    frames = [patch.get_bbox() for patch in axes.patches]
    assert all(not a.overlaps(b) for i, a in enumerate(frames) for b in frames[:i])
    for row, frame, image in zip(laid, frames, axes.images, strict=True):
        left, right, bottom, top = image.get_extent()
        high, wide, _ = SHOWN[row % 6]
        assert (right - left) / (top - bottom) == pytest.approx(wide / high)
        # the frame is as wide on all sides
        edges = [left - frame.x0, frame.x1 - right, bottom - frame.y0, frame.y1 - top]
        assert edges == pytest.approx([0.04 * found["box"].max()] * 4)


def test_a_run_whose_folder_is_gone_shows_the_same(cli: Cli, root: Path) -> None:
    looks = (["plot", "--gallery"], ["report"], ["plot", "--thumbnails"])

    def look(ending: str) -> list[bytes]:
        drawn = []
        for i, command in enumerate(looks):
            name = f"{ending}{i}.{'html' if command == ['report'] else 'png'}"
            assert cli(*command, "--run", root / "run", "-o", name).code == 0
            drawn.append(Path(name).read_bytes())
        return drawn

    before = look("before")
    (root / "photos").rename(root / "away")
    try:
        assert look("after") == before
    finally:
        (root / "away").rename(root / "photos")


def test_previews_that_were_deleted_are_made_of_the_files_and_else_pixels_are_shown(
    cli: Cli, root: Path, tmp_path: Path, hung: dict[str, Any]
) -> None:
    cli("plot", "--gallery", "--run", root / "run", "-o", "kept.png")
    shutil.copytree(root / "run", tmp_path / "bare")
    (tmp_path / "bare" / "previews.h5").unlink()
    cli("plot", "--gallery", "--run", "bare", "-o", "made.png")
    assert Path("made.png").read_bytes() == Path("kept.png").read_bytes()
    (root / "photos").rename(root / "away")
    try:
        assert cli("plot", "--gallery", "--run", "bare", "-o", "pixels.png").code == 0
    finally:
        (root / "away").rename(root / "photos")
    assert {image.shape for image in hung["images"].values()} == {(8, 8, 3)}


def test_photographs_of_another_folder_are_shown_as_large(
    cli: Cli, root: Path, hung: dict[str, Any]
) -> None:
    write(Path("others"), range(3, 36, 2))
    told = json.loads(cli("plot", "others", "--gallery", "--run", root / "run", "--json").out)
    assert sum(one["size"] for one in told["clusters"]) == 17
    assert len(hung["images"]) == 17
    for row, image in hung["images"].items():
        number = 3 + 2 * row
        assert image.shape == SHOWN[number % 6]
        assert np.abs(image - seen(number)).max() <= 0.03


def test_new_photographs_are_shown_beside_the_others(
    cli: Cli, root: Path, hung: dict[str, Any]
) -> None:
    shutil.copytree(root / "photos", "photos")
    flags = [*RECIPE, "--epochs", 1, "--size", 8]
    Path("photos", NAMES[1]).rename("later.jpg")
    assert cli("train", "photos", *flags).code == 0
    Path("later.jpg").rename(Path("photos", NAMES[1]))
    Path("photos", NAMES[2]).unlink()
    assert cli("plot", "--gallery", "--seed", 3).code == 0
    numbers = [i for i in range(36) if i != 2]
    assert hung["images"]
    for row, image in hung["images"].items():
        assert image.shape == SHOWN[numbers[row] % 6]
        assert np.abs(image - seen(numbers[row])).max() <= 0.03
