"""Images in files below a folder: decoding, turning, resizing, and what is left out or refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import (
    Array,
    Files,
    Make,
    exif,
    flat,
    picture,
    pictures,
    png_that_claims,
    saved,
)
from PIL import Image
from support import check_error, refused, within

from aeclust.errors import InputError
from aeclust.images import Source, load


def pixels_of(content: Image.Image | bytes, folder: Path, name: str = "a.png") -> Array:
    """The pixels (h, w, c) of one file."""
    (pixels,) = load(pictures({name: content})(folder)).pixels
    return np.asarray(pixels)


def test_a_folder_loads_png_and_jpeg_of_all_subfolders_sorted_bytewise(tmp_path: Path) -> None:
    files: Files = {
        "b.png": flat(1), "a/x.png": flat(2), "B.png": flat(3), "a/deep/é.JPG": flat(4),
        "a.jpeg": flat(5), "a/X.PNG": flat(6), "10.png": flat(7), "9.png": flat(8),
        "notes.txt": b"no image", "a/README": b"no image",
        ".b.png": b"hidden", ".cache/c.png": b"hidden", "d/.e/f.png": b"hidden",
    }  # fmt: skip
    images = load(pictures(files)(tmp_path))
    assert images.ids.tolist() == [
        "10.png", "9.png", "B.png", "a.jpeg", "a/X.PNG", "a/deep/é.JPG", "a/x.png", "b.png"
    ]  # fmt: skip
    assert images.ids.dtype.kind == "U"
    assert images.pixels[:, 0, 0, 0].tolist() == [7, 8, 3, 5, 6, 4, 2, 1]
    assert images.pixels.shape == (8, 4, 4, 1)


def test_many_files_come_in_order_and_progress_counts_each(tmp_path: Path) -> None:
    files: Files = {f"{i:03}.png": flat(i) for i in range(50)}
    steps: list[tuple[int, int]] = []
    images = load(pictures(files)(tmp_path), progress=lambda *step: steps.append(step))
    assert images.ids.tolist() == sorted(files)
    assert images.pixels[:, 0, 0, 0].tolist() == list(range(50))
    assert steps == [(done, 50) for done in range(1, 51)]


# -- modes -------------------------------------------------------------------------------------

WIDE = Image.fromarray(np.array([[0, 256, 257], [513, 32896, 65535]], np.uint16))
INDEXED = Image.new("P", (2, 1), 1)
INDEXED.putpalette([10, 20, 30, 200, 100, 50])
INDEXED.putpixel((0, 0), 0)


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (picture([[0, 100], [200, 255]]), [[[0], [100]], [[200], [255]]]),
        (picture([[[1, 2, 3], [4, 5, 6]]]), [[[1, 2, 3], [4, 5, 6]]]),
        # on white: c * a / 255 + 255 - a, so 128 * 64 / 255 + 191 = 223.1
        (picture([[[255, 0, 0, 128], [9, 9, 9, 0]]]), [[[255, 127, 127], [255, 255, 255]]]),
        (picture([[[128, 0, 255, 64], [9, 8, 7, 255]]]), [[[223, 191, 255], [9, 8, 7]]]),
        (Image.merge("LA", [flat(0, size=(1, 1)), flat(51, size=(1, 1))]), [[[204, 204, 204]]]),
        (WIDE, [[[0], [1], [1]], [[2], [128], [255]]]),  # v / 257
        (INDEXED, [[[10, 20, 30], [200, 100, 50]]]),
        (saved(INDEXED, "PNG", transparency=0), [[[255, 255, 255], [200, 100, 50]]]),
        (picture([[0, 255]], "1"), [[[0], [255]]]),
    ],
    ids=[
        "grey", "RGB", "clear", "half clear", "grey and alpha", "16 bit", "palette",
        "clear palette", "1 bit",
    ],
)  # fmt: skip
def test_a_png_of_any_mode_becomes_grey_or_rgb(
    image: Image.Image | bytes, wanted: Any, tmp_path: Path
) -> None:
    pixels = pixels_of(image, tmp_path)
    assert pixels.dtype == np.uint8
    assert pixels.tolist() == wanted


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (flat(77), [77]),
        (flat((200, 30, 60), "RGB"), [200, 30, 60]),
        (flat((0, 255, 255, 0), "CMYK"), [255, 0, 0]),  # magenta and yellow are red
        (flat((0, 0, 0, 255), "CMYK"), [0, 0, 0]),
    ],
    ids=["grey", "RGB", "CMYK red", "CMYK black"],
)
def test_a_jpeg_of_any_mode_becomes_grey_or_rgb(
    image: Image.Image, wanted: list[int], tmp_path: Path
) -> None:
    pixels = pixels_of(saved(image, "JPEG", quality=95), tmp_path, "a.jpg")
    assert pixels.shape == (4, 4, len(wanted))
    assert np.abs(pixels.astype(int) - wanted).max() <= 3


def test_grey_among_rgb_becomes_rgb(tmp_path: Path) -> None:
    pixels = load(pictures({"a.png": flat(7), "b.png": flat((1, 2, 3), "RGB")})(tmp_path)).pixels
    assert pixels.shape == (2, 4, 4, 3)
    assert pixels[:, 3, 3].tolist() == [[7, 7, 7], [1, 2, 3]]


# -- turning and resizing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, lambda x: x),
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (4, np.flipud),
        (5, np.transpose),
        (6, lambda x: np.rot90(x, -1)),
        (7, lambda x: np.rot90(x.T, 2)),
        (8, np.rot90),
        (9, lambda x: x),
    ],
)
def test_every_orientation_is_turned_upright(
    orientation: int, upright: Callable[[Array], Array], tmp_path: Path
) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    content = saved(picture(values), "PNG", exif=exif(orientation))
    assert pixels_of(content, tmp_path)[..., 0].tolist() == upright(values).tolist()


# a directory of two entries: upright is a quarter turn away, and the second leads out of the file
LOST = struct.pack("<HHIHHHHII", 0x112, 3, 1, 6, 0, 0x8769, 4, 1, 2**31) + bytes(4)


@pytest.mark.parametrize(
    ("remarks", "turned"),
    [
        (b"Exif\0\0nonsense", False),
        (exif(6)[:-8], False),
        (b"Exif\0\0II*\0" + struct.pack("<IH", 8, 60_000) + bytes(20), False),
        (b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + LOST, True),
    ],
    ids=["nonsense", "cut off", "endless", "lost"],
)
def test_broken_exif_beside_sound_pixels_is_no_reason_to_refuse(
    remarks: bytes, turned: bool, tmp_path: Path
) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    pixels = pixels_of(saved(picture(values), "PNG", exif=remarks), tmp_path)[..., 0]
    assert pixels.tolist() == (np.rot90(values, -1) if turned else values).tolist()


def test_size_resizes_every_image_after_turning_it(tmp_path: Path) -> None:
    files: Files = {
        "a.png": picture([[0, 100], [100, 200]]),
        "b.png": flat(9, size=(7, 3)),
        "c.png": saved(picture([[0, 0, 0, 0, 255, 255, 255, 255]] * 2), "PNG", exif=exif(6)),
    }
    pixels = load(pictures(files, size=1)(tmp_path)).pixels
    assert pixels.shape == (3, 1, 1, 1)
    assert pixels.ravel().tolist()[:2] == [100, 9]  # the mean of four pixels, and a flat image
    tall = load(Source(location=f"{tmp_path}/in", size=2, fit="squash")).pixels[2, :, :, 0]
    assert tall[0].max() < 64  # dark above bright, no longer left of it
    assert tall[1].min() > 192


def test_a_large_photograph_is_made_small_as_if_it_had_been_read_whole(tmp_path: Path) -> None:
    blots = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    photo = Image.fromarray(blots).resize((1200, 900), Image.Resampling.BICUBIC)
    content = saved(photo, "JPEG", quality=95, exif=exif(6))
    pixels = load(pictures({"a.jpg": content}, size=32, fit="squash")(tmp_path)).pixels[0]
    turned = photo.transpose(Image.Transpose.ROTATE_270)
    whole = np.asarray(turned.resize((32, 32), Image.Resampling.BILINEAR))
    gap = np.abs(pixels.astype(int) - whole)
    assert gap.mean() < 2
    assert gap.max() < 16
    assert np.abs(pixels.astype(int) - whole.swapaxes(0, 1)).mean() > 20


def test_a_largest_size_is_allowed(tmp_path: Path) -> None:
    assert load(pictures({"a.png": flat(2)}, size=4096)(tmp_path)).pixels.shape[1:3] == (4096, 4096)


# -- what is left out --------------------------------------------------------------------------


def test_skip_bad_lists_what_it_left_out_and_why(tmp_path: Path) -> None:
    whole = saved(picture(np.random.default_rng(0).integers(0, 256, (64, 64))), "JPEG")
    files: Files = {
        "\x1b[2J.png": b"text", "a.png": b"text", "b.png": flat(5, size=(64, 64)),
        "d.jpg": whole[: len(whole) // 2], "e.png": png_that_claims(9_000, 9_000),
        "f.png": saved(flat(5), "GIF")[:20],
    }  # fmt: skip
    source = pictures(files, skip_bad=True)(tmp_path)
    os.mkfifo(tmp_path / "in" / "c.png")
    (tmp_path / "in" / "g.png").symlink_to("nowhere")
    with within(30):
        images = load(source)
    assert images.ids.tolist() == ["b.png"]
    assert images.pixels.shape == (1, 64, 64, 1)
    starts = [
        r"\x1b[2J.png: is text, not an image",
        "a.png: is text, not an image",
        "c.png: not a regular file",
        "d.jpg: image file is truncated",
        "e.png: has 9000 x 9000 pixels, more than the 64,000,000 that are read",
        "f.png: no whole GIF image: ",
        "g.png: No such file or directory",
    ]
    assert len(images.skipped) == len(starts)
    for line, start in zip(images.skipped, starts, strict=True):
        assert line.startswith(start)
        assert line.isprintable()


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"text", "is text, not an image"),
        (saved(flat(1), "BMP")[:60], "cannot be read (image file is truncated "),
    ],
)
def test_a_file_that_is_no_image_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(pictures({"a.png": content})(tmp_path))
    assert caught.value.what.startswith(why)
    check_error(
        caught.value,
        where=f"{tmp_path}/in/a.png",
        expected="a whole image",
        mend="remove it, or leave such files out with `skip_bad`",
    )


OTHER = {"a.txt": b"x", ".a.png": b"x"}
BAD = {"a.png": b"x", "b.jpg": b""}
MIXED = {"a.png": flat(1), "b.png": flat(1), "c.png": flat(1, size=(5, 4))}
SIZES = "images have different sizes (a.png is 4 x 4, c.png is 4 x 5)"
RESIZE = "resize all of them with `size`, for example `size` 32"
KINDS = "PNG, JPEG, WebP, BMP, GIF, TIFF, PPM or AVIF"
NOTES = "holds no image, but 1 file of another kind (1 .txt)"
TEXT = "none of its 2 images can be read (a.png: is text, not an image)"


@pytest.mark.parametrize(
    ("make", "what", "expected", "mend"),
    [
        (pictures({}), "holds no image", KINDS, ""),
        (pictures(OTHER), NOTES, KINDS, "convert them"),
        (pictures(BAD, skip_bad=True), TEXT, "images", ""),
        (pictures(MIXED), SIZES, "one size", RESIZE),
        (pictures(MIXED, size=0), "size is 0", "1 to 4096 pixels", ""),
        (pictures(MIXED, size=4097), "size is 4097", "1 to 4096 pixels", ""),
    ],
)
def test_folders_that_hold_no_usable_images_are_refused(
    make: Make, what: str, expected: str, mend: str, tmp_path: Path
) -> None:
    source = make(tmp_path)
    where = source.location if source.size is None else "`size`"
    with refused(what=what, expected=expected, mend=mend, where=where):
        load(source)


def test_a_folder_has_no_keys(tmp_path: Path) -> None:
    with refused(what="::x says nothing about it", where=str(tmp_path)):
        load(Source(location=f"{tmp_path}::x"))


def test_a_file_name_that_is_not_utf8_is_left_out_and_said(tmp_path: Path) -> None:
    source = pictures({"a.png": flat(1)})(tmp_path)
    with open(os.fsencode(source.location) + b"/\xff.png", "wb") as file:
        file.write(b"x")
    images = load(source)
    assert images.ids.tolist() == ["a.png"]
    assert images.skipped == ["1 file whose name is not UTF-8 (\\xff.png)"]


def test_a_folder_that_may_not_be_listed_is_left_out_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures({"a.png": flat(1), "closed/b.png": flat(2)})(tmp_path)
    scan = os.scandir

    def guarded(path: str) -> Any:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    images = load(source)
    assert images.ids.tolist() == ["a.png"]
    assert images.skipped == ["1 folder that cannot be read (closed)"]
    with refused(what="cannot be read (Permission denied)", mend="check its permissions"):
        load(Source(location=f"{tmp_path}/in/closed"))


@pytest.mark.parametrize("side", [9_000, 90_000])
def test_an_image_beyond_the_cap_says_so_before_it_is_decoded(side: int, tmp_path: Path) -> None:
    source = pictures({"a.png": png_that_claims(side, side)})(tmp_path)
    what = f"has {side} x {side} pixels, more than the 64,000,000 that are read"
    mend = "make it smaller, or leave such files out with `skip_bad`"
    with refused(what=what, where=f"{tmp_path}/in/a.png", mend=mend):
        load(source)
