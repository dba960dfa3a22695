"""What values mean: ranges that are recognised, stated, named in errors, or hardly used."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_files import GREY, RGB, Array, numpy_file
from support import check_error, refused

from aeclust.errors import InputError
from aeclust.images import Source, load
from aeclust.images.arrays import from_array


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("ranges")


# -- ranges ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "dtype", "stated", "wanted"),
    [
        ([0, 51, 255], "u1", "0:255", [0, 51, 255]),
        ([0, 51, 255], "u2", "0:255", [0, 0.2, 1]),
        ([0, 51, 255], "i8", "0:255", [0, 0.2, 1]),
        ([0, 51, 255], "f4", "0:255", [0, 0.2, 1]),
        ([0, 13107, 65535], "u2", "0:65535", [0, 0.2, 1]),
        ([0, 13107, 65535], ">u2", "0:65535", [0, 0.2, 1]),
        ([-1, 0, 1], "f8", "-1:1", [0, 0.5, 1]),
        ([-1, 0, 1], "i1", "-1:1", [0, 0.5, 1]),
        ([0, 1, 1], "u1", "0:1", [0, 1, 1]),
        ([0, 1, 0], "u1", "0:255", [0, 1, 0]),
        ([10, 15, 10], "f2", "10:20", [0, 0.5, 0]),
        ([0, 0.25, 1], "f4", None, [0, 0.25, 1]),
        ([0.5, 0.5, 0.5], "f8", None, [0.5, 0.5, 0.5]),
        ([0, 0, 0], "u1", None, [0, 0, 0]),
        ([0, 1, 2], "u1", None, [0, 1, 2]),
    ],
)
def test_a_range_means_black_and_white(
    values: list[float], dtype: str, stated: str | None, wanted: list[float], tmp_path: Path
) -> None:
    array = np.array(values * 2, dtype).reshape(1, 1, 6)
    pixels = load(numpy_file(array, range=stated, layout="nhw")(tmp_path)).pixels
    kept = stated is None or (dtype, stated) == ("u1", "0:255")
    assert pixels.dtype == (np.dtype(dtype) if kept else np.float32)
    assert pixels.ravel().tolist() == pytest.approx(wanted * 2, abs=1e-7)


@settings(max_examples=60, deadline=None)
@given(array=hnp.arrays(np.float32, (2, 5, 5), elements=st.floats(-9, 7, width=32)))
def test_a_stated_range_fills_at_most_the_unit_interval(array: Array, shared: Path) -> None:
    pixels = load(numpy_file(array, range="-9:7")(shared)).pixels
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    assert pixels[..., 0] * 16 - 9 == pytest.approx(array, abs=1e-5)


def test_a_stated_range_reaches_every_image(tmp_path: Path) -> None:  # of more than one block
    array = (np.arange(5_000) % 256).astype(np.uint8).reshape(-1, 1, 1)
    pixels = load(numpy_file(array, range="0:510", layout="nhw")(tmp_path)).pixels
    assert pixels.ravel() == pytest.approx(array.ravel() / 510, abs=1e-7)


def test_the_range_as_an_error_shows_it_can_be_stated(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(200, 8, 8)).astype(np.float32)
    source = numpy_file(values)(tmp_path)
    with pytest.raises(InputError) as caught:
        load(source)
    low, high = re.findall(r"values (\S+) to (\S+)$", caught.value.what)[0]
    pixels = load(Source(location=source.location, range=f"{low}:{high}")).pixels
    assert (pixels.min(), pixels.max()) == pytest.approx((0, 1), abs=1e-5)
    assert 0 <= pixels.min() <= pixels.max() <= 1


NAN = np.full((6_000, 1, 8), 0.5, np.float32)
NAN[5_000, 0, 3] = np.nan
INF = np.full((3, 8, 8), 0.5)
INF[1, 7, 7] = -np.inf
NEAR = np.full((9, 8, 8, 3), 1_000_001)
DEEP = np.full((2, 8, 8), 65_535, np.uint16)
UNIT, FLOAT = "uint8, or float in [0, 1]", "float in [0, 1], or uint8"
STATE, CHANGE = "state the range, for example ", "change it, for example to "
BLACK_WHITE = "has uint8 values 0 and 1 only: nearly black, or black and white"


def floats(*values: float) -> Array:
    return np.array(values, np.float32).repeat(40).reshape(-1, 5, 8)


@pytest.mark.parametrize(
    ("array", "stated", "what", "expected", "mend"),
    [
        (NAN, None, "image 5000 holds NaN or infinity", "finite values", "repair or remove"),
        (NAN, "0:255", "image 5000 holds NaN or infinity", "finite values", "repair or remove"),
        (INF, None, "image 1 holds NaN or infinity", "finite values", "repair or remove"),
        (RGB.astype(complex), None, "has dtype complex128", UNIT, "convert it"),
        (GREY.astype("S3"), None, "has dtype |S3", UNIT, "convert it"),
        (
            (RGB > 9).astype(np.uint8),
            None,
            BLACK_WHITE,
            "an unambiguous range",
            "state `range` 0:255 or",
        ),
        (
            floats(-1, 9),
            "0:255",
            "has values -1 to 9",
            "values within 0:255",
            f"{CHANGE}`range`=-1:9",
        ),
        (RGB, "0:178", "has values 0 to 179", "values within 0:178", f"{CHANGE}`range` 0:255"),
        (
            NEAR,
            "0:1000000",
            "has values 1000001 to 1000001",
            "values within 0:1000000",
            f"{CHANGE}`range` 0:1000001",
        ),
    ],
)
def test_values_that_are_no_pixels_or_ambiguous_are_refused(
    array: Array, stated: str | None, what: str, expected: str, mend: str
) -> None:
    with pytest.raises(InputError) as caught:
        from_array(array, range=stated)
    check_error(caught.value, what=what, expected=expected, where="")
    assert caught.value.mend.startswith(mend)


def halves(*values: float) -> Array:
    return floats(*values).astype(np.float16)


@pytest.mark.parametrize(
    ("array", "what", "hint"),
    [
        (floats(0, 1.5), "has float32 values 0 to 1.5", "0:1.5"),
        (floats(0, 1.0001), "has float32 values 0 to 1.0001", "0:1.0001"),
        (floats(-0.06, 1.08), "has float32 values -0.06 to 1.08", "-0.06:1.08"),
        (halves(0, 1.25), "has float16 values 0 to 1.25", "0:1.25"),
        (floats(0, 16), "has float32 values 0 to 16", "0:16"),
        (floats(0, 64), "has float32 values 0 to 64", "0:255"),
        (floats(3, 255), "has float32 values 3 to 255", "0:255"),
        (floats(0, 4_095), "has float32 values 0 to 4095", "0:4095"),
        (floats(0, 1e5), "has float32 values 0 to 100000", "0:100000"),
        (floats(-1, 1), "has float32 values -1 to 1", "-1:1"),
        (floats(-0.5, 0.25), "has float32 values -0.5 to 0.25", "-1:1"),
        (floats(-0.25, 0.125), "has float32 values -0.25 to 0.125", "-0.25:0.125"),
        (floats(-2, 3), "has float32 values -2 to 3", "-2:3"),
        (np.array([-1e6 - 0.25, -1e6]).repeat(40).reshape(2, 5, 8),
         "has float64 values -1e+06 to -1000000", "-1000000.25:-1000000"),
        (RGB.astype(np.int64), "has dtype int64 with values 0 to 179", "0:255"),
        (RGB.astype(np.uint16), "has dtype uint16 with values 0 to 179", "0:255"),
        ((RGB % 17).astype(">i4"), "has dtype >i4 with values 0 to 16", "0:16"),
        (RGB.astype(int) % 2, "has dtype int64 with values 0 to 1", "0:1"),
        (RGB.astype(int) * 0, "has dtype int64 with values 0 to 0", "0:255"),
        ((RGB * np.uint16(5)).astype(">u2"), "has dtype >u2 with values 0 to 895", "0:1023"),
        (RGB.astype(np.uint16) * 20, "has dtype uint16 with values 0 to 3580", "0:4095"),
        (RGB.astype(np.uint32) * 90, "has dtype uint32 with values 0 to 16110", "0:16383"),
        (RGB.astype(np.uint16) * 100, "has dtype uint16 with values 0 to 17900", "0:65535"),
        (RGB.astype(np.int16) * 20 - 1_024, "has dtype int16 with values -1024 to 2556",
         "-1024:2556"),
        (DEEP, "has dtype uint16 with values 65535 to 65535", "0:65535"),
        (RGB.astype(np.uint64) << 50, "has dtype uint64 with values 0 to 2.01536e+17",
         "0:2.015360833248297e+17"),
    ],
)  # fmt: skip
def test_the_range_that_is_named_fits_and_is_taken(array: Array, what: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        from_array(array)
    expected = FLOAT if array.dtype.kind == "f" else UNIT
    near = array.dtype.kind == "f" and array.min() > -0.25 and array.max() < 1.25
    mend = "clip it to [0, 1], or " * bool(near) + STATE
    setting = f"`range`{'=' if hint.startswith('-') else ' '}{hint}"
    check_error(caught.value, what=what, expected=expected, mend=f"{mend}{setting}")
    remarks: list[str] = []
    pixels = from_array(array, range=hint, log=remarks.append)
    black, white = map(float, hint.split(":"))
    wanted = (array.astype(float) - black) / (white - black)
    assert pixels[..., 0] == pytest.approx(wanted if wanted.ndim == 3 else wanted[..., 0], abs=1e-5)
    assert (pixels.min() >= 0, pixels.max() <= 1, remarks) == (True, True, [])


@settings(max_examples=100, deadline=None)
@given(
    array=st.sampled_from(["i1", "u2", ">u2", "i2", "i4", "u8", "f2", ">f4", "f8"]).flatmap(
        lambda dtype: hnp.arrays(
            dtype,
            (2, 5, 5),
            elements=st.floats(-60_000, 60_000, width=16)
            if "f" in dtype
            else hnp.from_dtype(np.dtype(dtype)),
        )
    )
)
def test_whatever_range_an_error_names_the_next_try_is_taken(array: Array) -> None:
    try:
        from_array(array)
    except InputError as error:
        hint = re.findall(r"`range`[ =](\S+)", error.mend)[-1]
        remarks: list[str] = []
        pixels = from_array(array, range=hint, log=remarks.append)
        assert 0 <= pixels.min() <= pixels.max() <= 1
        assert remarks == []


@pytest.mark.parametrize(
    ("array", "stated", "rest"),
    [
        (RGB.astype(np.uint16), "0:65535", "0 to 179, and the images nearly black; 0:255"),
        (RGB.astype(np.uint16) * 20, "0:65535", "0 to 3580, and the images nearly black; 0:4095"),
        (RGB.astype(np.int16) * 80, "0:65535", "0 to 14320, and the images nearly black; 0:16383"),
        (RGB / 255, "0:255", "0 to 0.701961, and the images nearly black; 0:1"),
        (floats(-0.2, 0.1), "-1:1", "-0.2 to 0.1, and the images nearly grey; -0.2:0.1"),
        (RGB > 9, "0:255", "0 to 1, and the images nearly black; 0:1"),
        (RGB // 8, None, "0 to 22, and the images nearly black; 0:22"),
        (RGB / 1_024, None, "0 to 0.174805, and the images nearly black; 0:0.174805"),
    ],
)
def test_a_range_that_is_hardly_used_is_said(
    array: Array, stated: str, rest: str, tmp_path: Path
) -> None:
    images = load(numpy_file(array, range=stated)(tmp_path))
    meant = stated or ("0:255" if array.dtype == np.uint8 else "0:1")
    line = f"the range {meant} is hardly used: values are {rest} would fit"
    assert images.remarks == (line,)
    assert from_array(array, range=rest.split()[-1]).max() > 0.69


@pytest.mark.parametrize(
    ("array", "stated"),
    [
        (RGB.astype(np.uint16), "0:700"),  # more than a quarter
        (RGB, "0:255"),
        (floats(0, 0.5), "-1:1"),
        (floats(250, 255), "0:255"),
        (DEEP, "0:65535"),
        (DEEP * 0, "0:65535"),  # black, whatever the range
        (RGB / 255, None),
    ],
)
def test_nothing_is_said_of_a_range_that_may_be_right(array: Array, stated: str | None) -> None:
    remarks: list[str] = []
    from_array(array, range=stated, log=remarks.append)
    assert remarks == []


@pytest.mark.parametrize(
    ("array", "wanted"),
    [
        (floats(0, 1 + 9e-6), [0, 1]),
        (floats(-9e-6, 0.5), [0, 0.5]),
        (floats(0, 0.5, np.nextafter(np.float32(1), np.float32(2))), [0, 0.5, 1]),
        (halves(0, 0.5, np.nextafter(np.float16(1), np.float16(2))), [0, 0.5, 1]),
    ],
)
@pytest.mark.parametrize("order", ["<", ">"])
def test_rounding_beyond_black_and_white_is_clipped(
    array: Array, wanted: list[float], order: Literal["<", ">"]
) -> None:
    for stated in (None, "0:1"):
        pixels = from_array(array.astype(array.dtype.newbyteorder(order)), range=stated)
        assert pixels[:, 0, 0, 0].tolist() == wanted
        assert pixels.dtype == (array.dtype if stated is None else np.float32)
        assert pixels.dtype.isnative


@pytest.mark.parametrize("dtype", [">f2", ">f4", ">f8", "g"])
def test_floats_of_other_machines_are_converted(dtype: str) -> None:
    array = (RGB / np.longdouble(256)).astype(dtype)
    pixels = from_array(array)
    assert pixels.dtype == np.dtype({"g": "f8"}.get(dtype, dtype.replace(">", "<")))
    assert pixels.tolist() == (RGB / 256).tolist()


def test_true_and_false_are_white_and_black() -> None:
    pixels = from_array(RGB > 9)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == np.where(RGB > 9, 255, 0).tolist()
    assert from_array(RGB > 9, range="0:1").tolist() == np.where(RGB > 9, 1.0, 0.0).tolist()


@pytest.mark.parametrize(
    "text", ["255", "0:", ":255", ":", "1:0", "1:1", "a:b", "0:255:1", "nan:1", "0:inf", "0-255"]
)
def test_ranges_without_two_ends_in_order_are_refused(text: str) -> None:
    expected = "LOW:HIGH, for example 0:255"
    with refused(what=f"range is {text!r}", expected=expected, where="`range`", mend=""):
        from_array(RGB, range=text)
