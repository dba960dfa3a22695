"""What identifies images, what is worked out from them, and how they go to JSON."""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_files import GREY, RGB, Array, archive, hdf5, numpy_file
from sklearn.datasets import load_sample_images
from support import refused

from aeclust.images import (
    Images,
    Source,
    blocks,
    check_enough,
    demo,
    fingerprints,
    from_array,
    like_photographs,
    load,
    mean_colours,
)
from aeclust.images.pixels import looks


def images_of(pixels: Array, ids: Array | None = None, **more: Any) -> Images:
    ids = np.arange(len(pixels)) if ids is None else ids
    return Images(pixels, ids, Source(location="anywhere"), **more)


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (RGB, "2 images, 5 x 6 RGB, uint8"),
        (GREY[:1] / np.float64(255), "1 images, 5 x 6 grey, float64"),
    ],
)
def test_a_description_has_number_size_colour_and_dtype(
    array: Array, text: str, tmp_path: Path
) -> None:
    assert load(numpy_file(array)(tmp_path)).describe() == text


def test_a_source_goes_to_json_and_back() -> None:
    source = Source(location="x.npz::a", layout="nhw", range="0:255")
    assert source.to_json() == {
        "location": "x.npz::a", "files": (), "layout": "nhw", "range": "0:255", "size": None,
        "fit": "crop", "skip_bad": False,
    }  # fmt: skip
    assert Source(**source.to_json()) == source
    several = Source(location="photos", files=("a.png", "b"))
    assert Source(**json.loads(json.dumps(several.to_json()))) == several


# -- digests -----------------------------------------------------------------------------------


def test_equal_data_has_equal_digests_wherever_it_lies(tmp_path: Path) -> None:
    makes = [
        numpy_file(RGB),
        numpy_file(np.moveaxis(RGB, 3, 1).copy(), layout="nchw"),
        numpy_file(np.asfortranarray(RGB)),
        archive(x=RGB),
        hdf5(x=RGB),
    ]
    digests = {load(make(tmp_path)).digest() for make in makes}
    assert digests == {images_of(RGB.copy()).digest()}
    assert len(digests.pop()) == 64


def test_a_digest_hides_neither_shape_dtype_ids_nor_pixels() -> None:
    changed = RGB.copy()
    changed[1, 4, 5, 2] ^= 1
    names = np.array(["a", "b"])
    variants = [
        images_of(RGB),
        images_of(changed),
        images_of(RGB[:1]),
        images_of(RGB.reshape(2, 6, 5, 3)),
        images_of(RGB.view(np.int8)),
        images_of(RGB / 255),
        images_of(RGB / np.float32(255)),
        images_of(RGB, names),
        images_of(RGB, names[::-1]),
        images_of(RGB, np.array(["a\nb", "c"])),
        images_of(RGB, np.array(["a", "b\nc"])),
    ]
    assert len({variant.digest() for variant in variants}) == len(variants)


@settings(max_examples=60, deadline=None)
@given(
    pixels=hnp.arrays(np.uint8, hnp.array_shapes(min_dims=4, max_dims=4, max_side=4)),
    data=st.data(),
)
def test_any_changed_bit_changes_the_digest(pixels: Array, data: st.DataObject) -> None:
    changed = pixels.copy()
    position = data.draw(st.integers(0, pixels.size - 1))
    changed.flat[position] ^= 1 << data.draw(st.integers(0, 7))
    assert images_of(pixels).digest() == images_of(pixels.copy()).digest()
    assert images_of(pixels).digest() != images_of(changed).digest()


def test_large_data_is_hashed_whole() -> None:  # more rows than one block
    pixels = np.arange(10_000, dtype=np.uint16).reshape(-1, 1, 1, 1)
    assert images_of(pixels).digest() == hashlib.sha256(
        f"{pixels.shape} <u2".encode()
        + "\0".join(str(row) for row in range(10_000)).encode()
        + pixels.tobytes()
    ).hexdigest()  # fmt: skip


def test_a_known_digest_is_not_computed_again() -> None:
    assert images_of(RGB, known_digest="ab" * 32).digest() == "ab" * 32


def marks_of(pixels: Array) -> list[int]:
    digests = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in pixels)
    return [struct.unpack("<Q", digest)[0] for digest in digests]


LEVELS = np.random.default_rng(0).integers(0, 256, (4_500, 3, 2, 2), np.uint8)
PIXELS = np.moveaxis(LEVELS, 1, 3)  # not contiguous, and more than one block


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
def test_fingerprints_equal_an_independent_loop(dtype: str) -> None:
    marks = fingerprints(PIXELS)
    assert marks.dtype == np.uint64
    assert marks.tolist() == marks_of(PIXELS)
    assert len(set(marks.tolist())) == len(np.unique(LEVELS.reshape(4_500, -1), axis=0))
    between = ((PIXELS + 0.5) / 256).astype(dtype)  # no images of 8 bits
    assert fingerprints(between).tolist() == marks_of(between.astype(np.float32))


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("way", ["divided", "multiplied", "16 bits", "signed", "256 levels"])
def test_an_image_as_floats_has_the_fingerprint_of_its_8_bits(dtype: str, way: str) -> None:
    every = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
    images, stated = np.concatenate([every, PIXELS[:64, :, :, :1].reshape(4, 8, 8, 1)]), None
    floats = images.astype(dtype)
    if way == "divided":
        array = floats / np.dtype(dtype).type(255)
    elif way == "multiplied":
        array = floats * np.dtype(dtype).type(1 / 255)
    elif way == "256 levels":
        array, stated = floats, "0:255"
    elif way == "signed":
        array, stated = (images / 127.5 - 1).astype("f4" if dtype == "f2" else dtype), "-1:1"
    else:
        array, stated = images.astype(np.uint16) * 257, "0:65535"
    pixels = from_array(array, range=stated)
    assert pixels.dtype.kind == "f"
    assert fingerprints(pixels).tolist() == fingerprints(images).tolist()


def test_images_of_more_than_8_bits_keep_their_own_fingerprints() -> None:
    levels = np.arange(65_536, dtype=np.uint16).reshape(-1, 1, 1, 1)
    pixels = from_array(levels, range="0:65535", layout="nhwc")
    marks = fingerprints(pixels)
    assert len(np.unique(marks[:1_500])) == 1_500  # of one value, as dark as six levels of 8 bits
    two = fingerprints(np.concatenate([pixels[:60_000], pixels[128:60_128]], axis=1))
    assert len(np.unique(two)) == 60_000  # of two values half a level of 8 bits apart


# -- enough images -----------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [False, True], ids=["pixels", "fingerprints"])
def test_images_that_are_too_few_or_too_alike_are_refused(marked: bool) -> None:
    pixels = np.zeros((5_000, 4, 4, 1), np.uint8)
    images = fingerprints(pixels) if marked else pixels
    same = "all 5,000 images are the same"
    with refused(what=same, expected="images that differ", mend="check how they were made"):
        check_enough(images, 2)
    pixels[3], pixels[4_999, 0, 0] = 7, 9  # the last is of the second block
    images = fingerprints(pixels) if marked else pixels
    check_enough(images, 3)
    mend = "add images or lower `k`"
    what = "only 3 of 5,000 images are different, too few for 4 clusters"
    with refused(what=what, expected="at least 4 different ones", mend=mend):
        check_enough(images, 4)
    check_enough(images[:1], 1)
    what = "2 images cannot form 3 clusters"
    with refused(what=what, expected="at least 3 images", mend=mend, where=""):
        check_enough(images[:2], 3)


# -- blocks and colours ------------------------------------------------------------------------


def test_blocks_are_consecutive_and_complete() -> None:
    pixels = np.arange(10).reshape(10, 1, 1, 1)
    assert [block.ravel().tolist() for block in blocks(pixels, 4)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]
    ]  # fmt: skip


def test_blocks_of_large_images_are_short() -> None:
    large = np.zeros((40, 1024, 1024), np.uint8)
    assert [len(block) for block in blocks(large)] == [16, 16, 8]
    assert [len(block) for block in blocks(np.zeros((5_000, 8, 8), np.uint8))] == [4_096, 904]
    assert [len(block) for block in blocks(np.zeros((2, 8_192, 8_192, 1), np.uint8))] == [1, 1]


def test_mean_colours_by_hand() -> None:
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[0] = 255
    pixels[1, 0, 0] = [204, 102, 0]
    pixels[2, 0] = [0, 255, 51]
    wanted = np.array([[1, 1, 1], [0.2, 0.1, 0], [0, 0.5, 0.1]])
    np.testing.assert_allclose(mean_colours(pixels), wanted, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_mean_colours_equal_an_independent_loop(dtype: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (4_500, channels, 3, 2))  # more than one block
    unit = values / 255
    pixels = np.moveaxis(values if dtype == "u1" else unit, 1, 3).astype(dtype)
    means = mean_colours(pixels)
    assert means.dtype == np.float32
    assert means.shape == (4_500, channels)
    wanted = [[colour.sum() / 6 for colour in image] for image in unit]
    np.testing.assert_allclose(means, wanted, atol=1e-6)


# -- what looks like photographs -------------------------------------------------------------------


def photographs(side: int) -> Array:
    """Squares of the two photographs that scikit-learn ships."""
    step = 48
    return np.stack(
        [
            photo[y : y + side, x : x + side]
            for photo in load_sample_images().images
            for y in range(0, photo.shape[0] - side, step)
            for x in range(0, photo.shape[1] - side, step)
        ]
    )


def drawn(n: int, side: int) -> Array:
    """Rectangles on a ground, in any colours."""
    draw = np.random.default_rng(0)
    images = np.empty((n, side, side, 3), np.uint8)
    for image in images:
        image[:] = draw.integers(256, size=3)
        for _ in range(3):
            (top, left), (height, width) = draw.integers(side - 5, size=(2, 2))
            image[top : top + 5 + height, left : left + 5 + width] = draw.integers(256, size=3)
    return images


def test_large_images_are_looked_at_one_by_one() -> None:
    class Watched:
        def __len__(self) -> int:
            return len(pixels)

        def __getitem__(self, key: int) -> Any:
            assert isinstance(key, int)
            return pixels[key]

    pixels, watched = photographs(64), cast(Any, Watched())
    assert looks(watched) == looks(pixels)


@pytest.mark.parametrize("side", [64, 96, 200])
def test_photographs_look_like_photographs_at_any_size_and_as_floats(side: int) -> None:
    pixels = photographs(side)
    assert like_photographs(pixels)
    assert like_photographs((pixels / 255).astype(np.float32))


def test_grey_photographs_drawings_and_noise_do_not() -> None:
    grey = photographs(96).mean(3, keepdims=True).astype(np.uint8)
    noise = np.random.default_rng(0).integers(256, size=(100, 32, 32, 3), dtype=np.uint8)
    others = {
        "grey": grey,
        "grey in three channels": np.repeat(grey, 3, 3),
        "rectangles": drawn(100, 64),
        "drawn scenes": demo.scenes(100, seed=0).pixels,
        "glyphs": demo.load("digits").pixels,
        "noise": noise,
        "one colour": np.full((3, 64, 64, 3), (200, 30, 90), np.uint8),
        "tiny": photographs(96)[:, ::4, ::4],
        "none": np.empty((0, 64, 64, 3), np.uint8),
    }
    assert {name for name, pixels in others.items() if like_photographs(pixels)} == set()


def test_a_sample_of_many_images_decides() -> None:
    few, many = photographs(96)[:10], drawn(600, 32)
    mixed = np.concatenate([few[:, 32:64, 32:64], many])
    assert not like_photographs(mixed)
    assert like_photographs(np.concatenate([photographs(96), drawn(10, 96)]))
