"""Images made small, on sheets or alone, within a budget, and how large the page shows them."""

from __future__ import annotations

import dataclasses
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import SHAPES, Parsed, decoded, flat, make_report, tiles

from aeclust.show import page as pages
from aeclust.show import picks as choice
from aeclust.show import thumbnails
from aeclust.show.page import page
from aeclust.show.report import Shown


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([1, 3]), st.integers(1, 64))
def test_shrunk_images_fit_and_keep_their_proportions(h: int, w: int, c: int, side: int) -> None:
    image = np.random.default_rng(h).integers(0, 256, (h, w, c), np.uint8)
    small = thumbnails.shrunk(image, side)
    height, width, channels = small.shape
    assert channels == c
    assert small.dtype == np.uint8
    if max(h, w) <= side:
        assert np.array_equal(small, image)
        return
    assert max(height, width) == side
    assert abs(height * w - width * h) <= max(h, w)  # within a pixel of the shorter side


def test_floats_become_bytes_as_they_are_seen() -> None:
    image = np.array([0.0, 0.5, 1.0]).reshape(1, 3, 1)
    assert thumbnails.shrunk(image, 8).ravel().tolist() == [0, 128, 255]


def test_tighter_budgets_are_kept_by_smaller_and_poorer_pictures() -> None:
    noise = list(np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), np.uint8))
    lengths, sides = [], []
    for budget in (2_000_000, 200_000, 50_000, 10_000):
        uris, sizes = thumbnails.pictures(noise, budget)
        assert sum(map(len, uris)) <= budget
        assert [decoded(uri).shape[:2] for uri in uris] == sizes
        lengths.append(sum(map(len, uris)))
        sides.append(sizes[0][0])
    assert lengths == sorted(lengths, reverse=True)
    assert sides[0] == 64
    assert sides[-1] < sides[0]
    assert thumbnails.sheets(noise, 9_000).tiles < thumbnails.sheets(noise, 2_000_000).tiles
    with pytest.raises(ValueError, match="50 pictures need more than 100 characters"):
        thumbnails.pictures(noise, 100)
    with pytest.raises(ValueError, match="50 tiles need more than 100 characters"):
        thumbnails.sheets(noise, 100)


def test_pictures_and_tiles_keep_the_shape_and_the_colour_of_each_image() -> None:
    images = flat(SHAPES * 20)
    sheets = asdict(thumbnails.sheets(images, 4_000_000))
    assert sheets["cell"] == (160, 160)
    assert (sheets["columns"], sheets["rows"], len(sheets["uris"])) == (6, 6, 4)
    assert sheets["tiles"] == [shape[:2] for shape in SHAPES] * 20
    uris, sizes = thumbnails.pictures(images, 1_000_000)
    assert sizes == sheets["tiles"]
    for image, tile, uri in zip(images, tiles(sheets, 120), uris, strict=True):
        assert decoded(uri).shape[:2] == tile.shape[:2] == image.shape[:2]
        for picture in (tile, decoded(uri)):
            assert np.abs(picture - image.astype(int)).max() <= 8  # grey among RGB stays grey


@pytest.mark.parametrize(
    ("m", "side"), [(1, 160), (300, 160), (2_140, 77), (10_000, 36), (60_000, 32)]
)
def test_more_points_have_smaller_tiles(m: int, side: int) -> None:
    assert thumbnails.largest_tile(m) == side


def test_large_pictures_fit_into_a_room_and_small_ones_are_enlarged() -> None:
    images = flat(SHAPES)
    rows = np.arange(6)
    pick = choice.Picks(0, 6, 0.5, rows[:2], rows[2:4], rows[4:])
    shown = Shown(rows, [f"{i}.jpg" for i in rows], 0 * rows, rows / 6, images)
    made = make_report(6, 1, picks=[pick], gallery=shown, mapped=shown)
    parsed = Parsed(page(made))
    drawn = [a for a, _ in parsed.all("img")][:6]
    found = [(a["width"], a["height"], a.get("class")) for a in drawn]
    # 160 x 96 is the room of those above 64 pixels
    assert found == [
        ("144", "96", None), ("54", "96", None), ("64", "64", "pixels"),
        ("96", "96", None), ("160", "12", None), ("30", "40", None),
    ]  # fmt: skip
    assert [decoded(str(a["src"])).shape[:2] for a in drawn] == [shape[:2] for shape in SHAPES]


def test_photographs_of_noise_in_many_shapes_fit() -> None:
    rng, n = np.random.default_rng(0), 3_000
    side = thumbnails.largest_tile(n)
    noise = rng.integers(0, 256, (side, side, 3), np.uint8)
    sizes = rng.integers(side // 3, side + 1, (n, 2)).tolist()
    made = make_report(n)
    shown = dataclasses.replace(made.mapped, pictures=[noise[:h, :w] for h, w in sizes])
    text = page(dataclasses.replace(made, mapped=shown))
    assert len(text.encode()) < pages.LIMIT
    found = Parsed(text).points["sheets"]["tiles"]
    assert len(found) == n
    assert 32 <= max(map(max, found)) <= side
