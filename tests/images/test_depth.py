"""Images of more than 8 bits: scientific TIFF, floats, and the range that says what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from image_files import Array, Files, flat, picture, pictures, png_of_16_bits, pnm, saved, tiff
from PIL import Image
from support import refused

from aeclust.images import Source, load, look, of_files
from aeclust.images.depth import to_eight_bits

DARK = np.array([[0, 1000], [2000, 4095]], np.uint16)  # 12 bits
BRIGHT = np.array([[0, 16_384], [32_768, 65_535]], np.uint16)
EXPECTED = [[0, 62], [125, 255]]  # 255 v / 4095, to the nearest


def pixels_of(folder: Path, files: Files, **stated: Any) -> Array:
    return np.asarray(load(pictures(files, **stated)(folder)).pixels)


def forms(values: Array) -> dict[str, bytes]:
    """Files of all kinds that hold 16-bit grey values."""
    return {
        "png": png_of_16_bits(values),
        "tif": tiff(values),
        "big endian tif": tiff(values, order=">"),
        "deflated tif": saved(Image.fromarray(values), "TIFF", compression="tiff_deflate"),
        "pgm": pnm("P5", values.shape[1], values.shape[0], 65_535, values.astype(">u2").tobytes()),
        "plain pgm": pnm(
            "P2", values.shape[1], values.shape[0], 65_535,
            b" ".join(b"%d" % value for value in values.ravel().tolist()),
        ),
    }  # fmt: skip


KINDS = list(forms(DARK))


@pytest.mark.parametrize("kind", KINDS)
def test_12_bits_in_16_are_read_with_a_range_and_refused_without(kind: str, tmp_path: Path) -> None:
    content = forms(DARK)[kind]
    pixels = pixels_of(tmp_path / "a", {"a": content}, range="0:4095")
    assert pixels[0, :, :, 0].tolist() == EXPECTED
    assert pixels.dtype == np.uint8
    source = pictures({"a": content})(tmp_path / "b")
    with refused(
        what="has grey images of 16 bits with values up to 4095 only",
        where=source.location,
        expected="values that reach 65535",
        mend="state the range, for example `range` 0:4095",
    ):
        load(source)


@pytest.mark.parametrize("kind", KINDS)
def test_values_that_use_16_bits_need_no_range(kind: str, tmp_path: Path) -> None:
    pixels = pixels_of(tmp_path, {"a": forms(BRIGHT)[kind]})
    assert pixels[0, :, :, 0].tolist() == [[0, 64], [128, 255]]


@pytest.mark.parametrize(
    ("largest", "mend"),
    [
        (1, "0:1"), (64, "0:255"), (255, "0:255"), (256, "0:1023"), (1023, "0:1023"),
        (1024, "0:4095"), (4095, "0:4095"), (4096, "0:16383"), (16_383, "0:16383"),
        (16_384, ""), (65_535, ""),
    ],
)  # fmt: skip
def test_the_hint_fits_the_largest_value_of_all_images(
    largest: int, mend: str, tmp_path: Path
) -> None:
    files = {
        "a.png": png_of_16_bits([[0, 1]]),
        "b.png": png_of_16_bits([[0, largest]]),
        "c.png": png_of_16_bits([[0, 0]]),
    }
    if not mend:
        assert pixels_of(tmp_path, files)[1].max() == round(largest / 257)
        return
    with refused(mend=f"state the range, for example `range` {mend}"):
        pixels_of(tmp_path, files)
    assert pixels_of(tmp_path / "b", files, range=mend).shape == (3, 1, 2, 1)


def test_values_outside_of_the_range_name_the_file(tmp_path: Path) -> None:
    source = pictures({"a.png": png_of_16_bits(DARK)}, range="0:4000")(tmp_path)
    with refused(
        what="has values 0 to 4095",
        where=f"{source.location}/a.png",
        expected="values within 0:4000",
        mend="change it, for example to `range` 0:4095",
    ):
        load(source)


def test_12_packed_bits_say_themselves_what_is_white(tmp_path: Path) -> None:
    content = tiff(np.array([[0, 1000], [2000, 4095]], np.uint16), bits=12)
    assert pixels_of(tmp_path, {"a.tif": content})[0, :, :, 0].tolist() == EXPECTED


@pytest.mark.parametrize("magic", ["P2", "P5"])
def test_a_pgm_says_itself_what_is_white(magic: str, tmp_path: Path) -> None:
    values = [0, 1000, 2000, 4000]
    plain = b" ".join(b"%d" % value for value in values)
    data = np.array(values, ">u2").tobytes() if magic == "P5" else plain
    content = pnm(magic, 2, 2, 4000, data)
    assert pixels_of(tmp_path / "a", {"a.pgm": content}).ravel().tolist() == [0, 64, 128, 255]
    # and a range is of the values as they stand there
    stated = pixels_of(tmp_path / "b", {"a.pgm": content}, range="0:8000")
    assert stated.ravel().tolist() == [0, 32, 64, 128]


def test_colours_of_16_bits_in_a_ppm(tmp_path: Path) -> None:
    values = np.arange(6).reshape(1, 2, 3) * 200
    content = pnm("P6", 2, 1, 1000, values.astype(">u2").tobytes())
    pixels = pixels_of(tmp_path, {"a.ppm": content})
    assert pixels[0].tolist() == [[[0, 51, 102], [153, 204, 255]]]


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_16_bits_keep_8_and_are_refused_where_that_is_too_few(
    channels: int, tmp_path: Path
) -> None:
    bright, dark = (np.full((2, 2, channels), value, np.uint16) for value in (0x8040, 4_000))
    for values in (bright, dark):
        if channels != 3:
            values[..., -1] = 65_535  # nothing shines through
    pixels = pixels_of(tmp_path / "a", {"a.png": png_of_16_bits(bright)})
    assert pixels[0].ravel().tolist() == [0x80] * 12
    with refused(
        what="has colour images of 16 bits with values up to 4095 only",
        expected="values that reach 65535",
        mend="convert them to 8 bits",
    ):
        pixels_of(tmp_path / "b", {"a.png": png_of_16_bits(dark)})
    with refused(what="cannot be read (8 of its 16 bits a colour are read: convert it to 8 bits)"):
        pixels_of(tmp_path / "c", {"a.png": png_of_16_bits(dark)}, range="0:4095")


CT = np.array([[-1000, 0], [500, 2000]], np.int16)


@pytest.mark.parametrize("order", ["<", ">"])
def test_signed_values_need_a_range(order: str, tmp_path: Path) -> None:
    content = tiff(CT, order=order)
    with refused(
        what="has images with values -1000 to 2000",
        expected="8 or 16 bits, or float in [0, 1]",
        mend="state the range, for example `range`=-1000:2000",
    ):
        pixels_of(tmp_path / "a", {"a.tif": content})
    pixels = pixels_of(tmp_path / "b", {"a.tif": content}, range="-1000:2000")
    assert pixels.ravel().tolist() == [0, 85, 128, 255]  # 127.5 to the even neighbour


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (np.array([[0, 3000]], np.int16), " 0:4095"),
        (np.array([[0, 70_000]], np.int32), " 0:70000"),
        (np.array([[-5000, 2]], np.int16), "=-5000:2"),
        (np.array([[0, 812.4]], np.float32), " 0:1023"),
        (np.array([[-0.5, 0.5]], np.float32), "=-1:1"),
        (np.array([[2.5, 1e6]], np.float32), " 0:1000000"),
    ],
)
def test_a_hint_is_never_refused_next(values: Array, hint: str, tmp_path: Path) -> None:
    files = {"a.tif": tiff(values)}
    with refused(mend=f"state the range, for example `range`{hint}"):
        pixels_of(tmp_path / "a", files)
    pixels = pixels_of(tmp_path / "b", files, range=hint[1:])
    assert pixels.shape == (1, 1, 2, 1)


def test_floats_in_0_to_1_are_read_as_they_are(tmp_path: Path) -> None:
    values = np.array([[0, 0.25], [0.5, 1.000001]], np.float32)
    assert pixels_of(tmp_path / "a", {"a.tif": tiff(values)}).ravel().tolist() == [0, 64, 128, 255]
    scaled = pixels_of(tmp_path / "b", {"a.tif": tiff(values * 200)}, range="0:200")
    assert scaled.ravel().tolist() == [0, 64, 128, 255]


def test_floats_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with refused(what="cannot be read (it holds NaN or infinity)"):
        pixels_of(tmp_path, {"a.tif": tiff(np.array([[0, np.nan]], np.float32))})


def test_a_page_on_which_0_is_white_is_turned(tmp_path: Path) -> None:
    content = tiff(BRIGHT, photometric=0)
    assert pixels_of(tmp_path, {"a.tif": content}).ravel().tolist() == [255, 191, 127, 0]


def test_a_range_beyond_255_says_nothing_about_8_bits(tmp_path: Path) -> None:
    files: Files = {"a.png": png_of_16_bits(DARK), "b.png": picture([[0, 62], [125, 255]])}
    pixels = pixels_of(tmp_path, files, range="0:4095")
    assert pixels[0].tolist() == pixels[1].tolist()


def test_a_range_up_to_255_is_of_8_bits_too(tmp_path: Path) -> None:
    mask: Files = {"a.png": picture([[0, 1]]), "b.png": picture([[1, 0]])}
    with refused(
        what="has images with values 0 and 1 only: nearly black, or black and white",
        mend="state `range` 0:255 or `range` 0:1",
    ):
        pixels_of(tmp_path / "a", mask)
    assert pixels_of(tmp_path / "b", mask, range="0:1").ravel().tolist() == [0, 255, 255, 0]
    assert pixels_of(tmp_path / "c", mask, range="0:255").ravel().tolist() == [0, 1, 1, 0]
    with refused(what="has values 0 to 1", expected="values within 0:0.5"):
        pixels_of(tmp_path / "d", mask, range="0:0.5")


def test_a_range_that_is_none_is_refused(tmp_path: Path) -> None:
    with refused(what="range is 'dark'", where="`range`"):
        pixels_of(tmp_path, {"a.png": flat(9)}, range="dark")


def test_a_layout_says_nothing_about_files(tmp_path: Path) -> None:
    source = pictures({"a.png": flat(9)}, layout="nhw")(tmp_path)
    with refused(what=f"does not apply to {source.location}", where="`layout`"):
        load(source)


def test_what_comes_later_is_never_black_in_silence(tmp_path: Path) -> None:
    """A run takes in what it can: its range is what it is."""
    files: Files = {"a.png": png_of_16_bits(DARK), "b.tif": tiff(CT), "c.png": flat(9, size=(2, 2))}
    source = pictures(files)(tmp_path)
    listing = look(source.location)
    assert listing is not None
    images = of_files(source, listing, range(3), channels=1, may_be_none=True)
    assert images.ids.tolist() == ["a.png", "c.png"]
    assert images.skipped == ["b.tif: no range is stated for its values"]
    assert images.remarks == (
        "1 image of 16 bits is nearly black; if that is wrong, state their range",
    )
    stated = Source(location=source.location, range="-1000:4095")
    images = of_files(stated, listing, range(3), channels=1, may_be_none=True)
    assert images.ids.tolist() == ["a.png", "b.tif", "c.png"]
    assert images.skipped == []
    assert images.remarks == ()


def test_a_range_that_is_hardly_used_is_said(tmp_path: Path) -> None:
    source = pictures({"a.png": png_of_16_bits(DARK)}, range="0:65535")(tmp_path)
    assert load(source).remarks == (
        "the range 0:65535 is hardly used: values are 0 to 4095, and the images nearly"
        " black; 0:4095 would fit",
    )


@given(
    st.lists(st.integers(0, 65_535), min_size=1, max_size=9),
    st.integers(0, 30_000),
    st.integers(30_001, 65_535),
)
def test_eight_bits_are_the_nearest_ones(values: list[int], black: int, white: int) -> None:
    got = to_eight_bits(np.array(values), black, white).tolist()
    for value, pixel in zip(values, got, strict=True):
        exact = min(max((value - black) * 255 / (white - black), 0), 255)
        assert abs(pixel - exact) <= 0.5 + 1e-9
