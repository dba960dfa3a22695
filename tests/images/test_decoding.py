"""What becomes of an image on its way to the network: squares, previews, many at once."""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import Array, Files, flat, picture, pictures, saved
from PIL import Image
from support import refused, within

from aeclust.images import FITS, decoding, from_preview, gate, load, reading
from aeclust.images.decoding import How, decode, preview_side


def decoded(content: bytes, **how: Any) -> Array:
    return decode(io.BytesIO(content), "a.png", How(**how)).pixels


# -- squares -----------------------------------------------------------------------------------

# left, middle and right thirds of a wide image; of a tall one from the top
STRIPES = np.repeat(np.array([0, 90, 180], np.uint8), 30)
WIDE = picture(np.tile(STRIPES, (30, 1)))
TALL = WIDE.transpose(Image.Transpose.ROTATE_270)


def test_squash_squeezes_the_whole_image_into_a_square(tmp_path: Path) -> None:
    square = decoded(saved(WIDE, "PNG"), size=3, fit="squash")[..., 0]
    assert square.tolist() == [[square[0, 0], 90, square[0, 2]]] * 3
    assert square[0, 0] < 25
    assert square[0, 2] > 155


@pytest.mark.parametrize("image", [WIDE, TALL], ids=["wide", "tall"])
def test_crop_keeps_the_centre(image: Image.Image) -> None:
    square = decoded(saved(image, "PNG"), size=10, fit="crop")[1:-1, 1:-1]  # edges see beyond it
    assert square.ravel().tolist() == [90] * 64


def test_pad_adds_a_border_of_the_mean_colour() -> None:
    wide = picture(np.tile(np.array([[10, 20, 30], [50, 60, 90]], np.uint8), (2, 1, 1)).repeat(
        4, axis=1
    ).repeat(2, axis=0))  # fmt: skip
    square = decoded(saved(wide, "PNG"), size=8, fit="pad")
    assert square.shape == (8, 8, 3)
    for row in (0, 1, 6, 7):  # 8 x 4 in the middle of 8 x 8
        assert square[row].tolist() == [[30, 40, 60]] * 8
    assert square[2:6, 0].tolist() == [[10, 20, 30]] * 4
    assert square[2:6, 7].tolist() == [[50, 60, 90]] * 4
    grey = decoded(saved(WIDE, "PNG"), size=9, fit="pad")
    assert grey.shape == (9, 9, 1)
    assert set(grey[[0, 1, 2, 6, 7, 8]].ravel().tolist()) == {90}


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 255),
    st.sampled_from(FITS),
)  # fmt: skip
def test_a_flat_image_stays_flat_however_it_is_fitted(
    width: int, height: int, size: int, shade: int, fit: str
) -> None:
    content = saved(flat(shade, size=(width, height)), "PNG")
    assert decoded(content, size=size, fit=fit).ravel().tolist() == [shade] * size**2


@pytest.mark.parametrize("fit", FITS)
def test_a_square_is_the_same_in_every_fit(fit: str) -> None:
    content = saved(picture(np.random.default_rng(0).integers(0, 256, (20, 20, 3))), "PNG")
    assert decoded(content, size=8, fit=fit).tolist() == decoded(content, size=8).tolist()


# -- previews ----------------------------------------------------------------------------------


def preview(image: Image.Image, side: int) -> Image.Image:
    content = decode(io.BytesIO(saved(image, "PNG")), "a", How(size=8, preview=side)).preview
    return Image.open(io.BytesIO(content))


@pytest.mark.parametrize(
    ("size", "side", "wanted"),
    [
        ((320, 200), 160, (160, 100)),
        ((200, 320), 64, (40, 64)),
        ((40, 30), 160, (40, 30)),  # nothing is made larger
        ((5_000, 2), 96, (96, 1)),
    ],
)
def test_a_preview_is_the_whole_image_made_small(
    size: tuple[int, int], side: int, wanted: tuple[int, int]
) -> None:
    small = preview(flat((200, 30, 60), "RGB", size), side)
    assert small.size == wanted
    assert small.format == "JPEG"
    assert np.abs(np.asarray(small).astype(int) - (200, 30, 60)).max() <= 3
    assert preview(flat(9, size=size), side).mode == "L"


@pytest.mark.parametrize(("n", "side"), [(30_000, 160), (60_000, 96), (100_000, 64)])
def test_previews_together_stay_bounded_whatever_they_show(n: int, side: int) -> None:
    assert preview_side(n) == side
    assert preview_side(n + 1) < side or n == 100_000
    noise = picture(np.random.default_rng(0).integers(0, 256, (300, 300, 3)))
    content = decode(io.BytesIO(saved(noise, "PNG")), "a", How(preview=side)).preview
    assert 0 < n * len(content) <= 256_000_000
    assert from_preview(content).shape[2] == 3


def test_no_previews_are_made_unless_they_are_asked_for(tmp_path: Path) -> None:
    source = pictures({"a.png": flat(1), "b.png": flat(2)})(tmp_path)
    assert load(source).previews == ()
    shown = [from_preview(each)[0, 0, 0] for each in load(source, preview=True).previews]
    assert shown == [1, 2]


def test_a_broken_preview_is_refused() -> None:
    with refused(expected="a file as aeclust wrote it", mend="delete it"):
        from_preview(b"\xff\xd8\xff")
    with refused(what="holds a broken preview (2000 x 2 pixels)"):
        from_preview(saved(flat(1, size=(2_000, 2)), "JPEG"))


# -- many at once ------------------------------------------------------------------------------


def test_a_slow_file_stalls_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: Files = {f"{i:02}.png": flat(i, size=(8, 8)) for i in range(20)}
    others = threading.Event()
    done: list[str] = []

    def decode_slowly(file: BinaryIO, name: str, how: How) -> Any:
        if name == "00.png":
            assert others.wait(20)
        picture = decode(file, name, how)
        done.append(name)
        if len(done) == 10:
            others.set()
        return picture

    monkeypatch.setattr(reading, "decode", decode_slowly)
    monkeypatch.setattr(reading, "_AT_A_TIME", 2)
    monkeypatch.setattr(reading, "_AHEAD", 16)
    with within(30):
        images = load(pictures(files, size=8)(tmp_path))
    assert images.pixels[:, 0, 0, 0].tolist() == list(range(20))
    assert done.index("00.png") >= 10


def test_no_more_are_decoded_ahead_than_can_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files: Files = {f"{i:02}.png": flat(i, size=(8, 8)) for i in range(40)}
    begun, seen = [0], [0]

    def counted(file: BinaryIO, name: str, how: How) -> Any:
        begun[0] += 1
        seen[0] = max(seen[0], begun[0] - read[0])
        return decode(file, name, how)

    read = [0]

    def slowly(done: int, total: int) -> None:
        time.sleep(0.002)
        read[0] = done

    monkeypatch.setattr(reading, "decode", counted)
    monkeypatch.setattr(reading, "_AT_A_TIME", 2)
    monkeypatch.setattr(reading, "_AHEAD", 6)
    load(pictures(files, size=8)(tmp_path), progress=slowly)
    assert begun == [40]
    assert seen[0] <= 6 + 2


def test_the_first_error_ends_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files: Files = {"00.png": b"x", **{f"{i:03}.png": flat(i) for i in range(1, 300)}}
    begun = [0]

    def counted(file: BinaryIO, name: str, how: How) -> Any:
        begun[0] += 1
        time.sleep(0.001)
        return decode(file, name, how)

    monkeypatch.setattr(reading, "decode", counted)
    with refused(what="is text, not an image"):
        load(pictures(files, size=8)(tmp_path))
    assert begun[0] < 150


def test_a_large_jpeg_is_unfolded_no_further_than_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, int]] = []
    real = gate.opened

    def opened(*arguments: Any) -> Any:
        image = real(*arguments)
        seen.append(image.size)
        return image

    monkeypatch.setattr(decoding, "opened", opened)
    content = saved(flat(90, size=(1_600, 1_200)), "JPEG")
    for how, size in (
        (How(size=32), (200, 150)),  # an eighth
        (How(size=32, preview=160), (400, 300)),  # a fourth: an eighth is lower than 160
        (How(size=150), (400, 300)),  # twice what is asked for
        (How(), (1_600, 1_200)),
    ):
        decode(io.BytesIO(content), "a.jpg", how)
        assert seen.pop() == size
