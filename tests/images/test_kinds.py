"""What a file is, by its first bytes: every kind that is read, and what is said of the others."""

from __future__ import annotations

import io
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_files import Array, Files, chunk, exif, flat, picture, pictures, pnm, saved, with_remark
from PIL import BmpImagePlugin, Image
from support import refused

from aeclust.errors import InputError
from aeclust.images import Images, gate, load

RGB = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
PHOTO = picture(RGB)
PNG, JPEG = saved(PHOTO, "PNG"), saved(PHOTO, "JPEG", quality=95)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def read(folder: Path, files: Files, **stated: Any) -> Images:
    return load(pictures(files, **stated)(folder))


def values_of(folder: Path, content: bytes, name: str = "a.png") -> Array:
    """The pixels (h, w, c) of one file."""
    (pixels,) = read(folder, {name: content}).pixels
    return np.asarray(pixels)


EXACT = {
    "PNG": PNG,
    "lossless WebP": saved(PHOTO, "WEBP", lossless=True),
    "BMP": saved(PHOTO, "BMP"),
    "TIFF": saved(PHOTO, "TIFF"),
    "TIFF, LZW": saved(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF, deflate": saved(PHOTO, "TIFF", compression="tiff_adobe_deflate"),
    "TIFF of two pages": saved(
        PHOTO, "TIFF", save_all=True, append_images=[flat((9, 9, 9), "RGB", (3, 3))]
    ),
    "PPM": saved(PHOTO, "PPM"),
    "plain PPM": pnm("P3", 8, 6, 255, b" ".join(b"%d" % value for value in RGB.ravel().tolist())),
}
NEAR = {"JPEG": JPEG, "WebP": saved(PHOTO, "WEBP", quality=95), "AVIF": saved(PHOTO, "AVIF")}


@pytest.mark.parametrize("name", ["a.png", "a.jfif", "a.JPE", "a.tiff", "a", "a.dat", "a.v2"])
@pytest.mark.parametrize("kind", EXACT)
def test_a_file_is_what_its_first_bytes_say_whatever_it_is_called(
    kind: str, name: str, tmp_path: Path
) -> None:
    assert values_of(tmp_path, EXACT[kind], name).tolist() == RGB.tolist()


@pytest.mark.parametrize("name", ["a.jpg", "a.gif", "a"])
@pytest.mark.parametrize("kind", NEAR)
def test_kinds_that_lose_something_are_read_as_well(kind: str, name: str, tmp_path: Path) -> None:
    smooth = flat((40, 90, 160), "RGB", (16, 16))
    content = saved(smooth, {"WebP": "WEBP"}.get(kind, kind), quality=95)
    gap = np.abs(values_of(tmp_path, content, name).astype(int) - (40, 90, 160))
    assert gap.max() <= 4


def test_of_a_gif_the_first_frame_is_read(tmp_path: Path) -> None:
    frames = [flat(shade, size=(3, 2)) for shade in (10, 200, 90)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert values_of(tmp_path, content, "a.gif").tolist() == [[[10] * 3] * 3] * 2
    clear = Image.new("P", (2, 1), 1)
    clear.putpalette([0, 0, 0, 200, 100, 50])
    clear.putpixel((0, 0), 0)
    content = saved(clear, "GIF", transparency=0)
    assert values_of(tmp_path / "b", content).tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_bits_and_greys_of_ppm_files(tmp_path: Path) -> None:
    files = {
        "bits": b"P4\n8 1\n\x0f",
        "grey": pnm("P5", 8, 1, 255, bytes(range(0, 80, 10))),
        "plain bits": b"P1\n8 1\n0 0 0 0 1 1 1 1\n",
        "sixteen greys": pnm("P5", 8, 1, 15, bytes(range(8))),
    }
    pixels = read(tmp_path, files).pixels[:, 0, :, 0]
    assert pixels.tolist() == [
        [255] * 4 + [0] * 4,
        list(range(0, 80, 10)),
        [255] * 4 + [0] * 4,
        [17 * value for value in range(8)],
    ]


@pytest.mark.parametrize("kind", ["WEBP", "TIFF", "AVIF"])
def test_other_kinds_are_turned_upright_too(kind: str, tmp_path: Path) -> None:
    halves = np.zeros((32, 64, 3), np.uint8)
    halves[:, 32:] = 255  # bright on the right, once turned below
    content = saved(picture(halves), kind, exif=exif(6)[6 * (kind == "TIFF") :])
    pixels = values_of(tmp_path, content, "a.jpg")
    assert pixels.shape == (64, 32, 3)
    assert pixels[:30].max() < 20
    assert pixels[34:].min() > 235


# -- what is left out --------------------------------------------------------------------------


def test_files_that_are_no_images_are_counted_by_kind(tmp_path: Path) -> None:
    ours = with_remark(PNG, chunk(b"tEXt", b"Software\0aeclust"))
    files: Files = {
        "a.png": PNG, "notes.txt": b"P5 is a magic number", "more.TXT": LFS, "README": b"",
        "film.mp4": b"\0\0\0\x20ftypisom", "phone.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
        "phone.jpg": b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "raw.nef": saved(PHOTO, "TIFF"),
        "layers.psd": b"8BPS\0\1" + bytes(20), "map.png": ours, "cinema.jp2": b"\xff\x4f\xff\x51",
        "movie.BMP.part": b"BM nothing of the kind",
    }  # fmt: skip
    images = read(tmp_path, files)
    assert images.ids.tolist() == ["a.png"]
    assert images.skipped == [
        "11 files of other kinds (1 .mp4, 1 .part, 2 .txt, 2 HEIC: pip install pillow-heif,"
        " 1 JPEG 2000, 1 Photoshop, 1 camera raw .nef, 1 picture by aeclust, 1 without an ending)"
    ]
    assert all(each.kind and not each.why for each in images.left_out)


@pytest.mark.parametrize(
    ("content", "what", "mend"),
    [
        (LFS, "is a Git LFS pointer, not an image", "run git lfs pull"),
        (b"\r\n<!DOCTYPE html><html>", "is an HTML page, not an image", "download it again"),
        (b"<HTML><body>404", "is an HTML page, not an image", "download it again"),
        (b"", "is empty", "download or copy it again"),
        ("Grüße\n".encode() * 200, "is text, not an image", "remove it"),
        (bytes(600), "is no image, by its first bytes", "remove it"),
        (b"\x89PNG\n\x1a\n" + PNG[8:], "is no image, by its first bytes", "remove it"),
    ],
)
def test_a_file_that_is_called_an_image_and_is_none_is_called_what_it_is(
    content: bytes, what: str, mend: str, tmp_path: Path
) -> None:
    for i, name in enumerate(("b.png", "b.JPEG", "b.tif")):
        source = pictures({"a.png": PNG, name: content})(tmp_path / str(i))
        with refused(
            what=what,
            where=f"{source.location}/{name}",
            expected="a whole image",
            mend=f"{mend}, or leave such files out with `skip_bad`",
        ):
            load(source)
    images = read(tmp_path, {"a.png": PNG, "b.png": content}, skip_bad=True)
    assert images.skipped == [f"b.png: {what}"]


def test_half_an_image_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    for kind, content in (EXACT | NEAR).items():
        half = content[: len(content) // 2]
        place = tmp_path / kind
        with pytest.raises(InputError) as caught:
            read(place, {"b": half})
        assert caught.value.what.startswith("cannot be read ("), kind
        assert caught.value.where == f"{place}/in/b"


class FakeHeif(BmpImagePlugin.BmpImageFile):
    """A decoder as pillow-heif brings one, of files that are a BMP behind their first box."""

    def _open(self) -> None:
        assert self.fp is not None
        self.fp = io.BytesIO(self.fp.read()[24:])
        super()._open()


def test_heic_is_read_where_its_decoder_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = types.ModuleType("pillow_heif")
    plugin.HeifImageFile = FakeHeif  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pillow_heif", plugin)
    gate._decoders.cache_clear()
    content = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + saved(PHOTO, "BMP")
    try:
        assert values_of(tmp_path, content, "a.heic").tolist() == RGB.tolist()
    finally:
        gate._decoders.cache_clear()


# -- remarks beside sound pixels ---------------------------------------------------------------


@pytest.mark.parametrize(
    "remark",
    [
        chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
        chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(100_000_000))),
        chunk(b"iTXt", b"c\0\1\0\0\0" + zlib.compress(bytes(10_000_000))),
        chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(3_000_000))),
        chunk(b"iCCP", b"nonsense"),
        chunk(b"tEXt", b"a\0b", checksum=7),
        chunk(b"iCCP", b"a\0b", checksum=7),
        chunk(b"eXIf", exif(6)[6:], checksum=7),
        chunk(b"pHYs", b""),
        chunk(b"gAMA", b""),
        chunk(b"acTL", b""),
        chunk(b"fcTL", b"12"),
        chunk(b"abCd", b""),
    ],
    ids=[
        "long text", "bomb of text", "bomb of international text", "long profile",
        "broken profile", "text with another checksum", "profile with another checksum",
        "EXIF with another checksum", "short size", "short gamma", "short animation",
        "short frame", "unknown",
    ],
)  # fmt: skip
def test_remarks_in_a_png_are_no_reason_to_refuse_it(remark: bytes, tmp_path: Path) -> None:
    assert values_of(tmp_path, with_remark(PNG, remark)).tolist() == RGB.tolist()


def test_pixels_of_a_png_with_another_checksum_are_refused(tmp_path: Path) -> None:
    at = PNG.index(b"IDAT")
    length = int.from_bytes(PNG[at - 4 : at], "big")
    after = at + 4 + length
    for content, why in (
        (PNG[:after] + b"\0\0\0\0" + PNG[after + 4 :], "damaged in IDAT"),
        (PNG[: after - 9], "truncated in IDAT"),
        (PNG[:29] + b"\0\0\0\0" + PNG[33:], "damaged in IHDR"),
    ):
        with refused(what=f"cannot be read (image file is {why})"):
            values_of(tmp_path / str(len(content)) / why, content)


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2, "big") + content


@pytest.mark.parametrize(
    ("marker", "content"),
    [
        (0xE0, b"JFIF\0"),
        (0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"),
        (0xE1, b"Exif\0\0nonsense"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x"),
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\5nonsense"),
        (0xE2, b"MPF\0nonsense"),
        (0xED, b"Photoshop 3.0\0008BIM\4\4\0\0\xff\xff\xff\xff"),
        (0xEE, b"Adobe"),
        (0xFE, bytes(60_000)),
    ],
)
def test_remarks_in_a_jpeg_are_no_reason_to_refuse_it(
    marker: int, content: bytes, tmp_path: Path
) -> None:
    plain = values_of(tmp_path / "a", JPEG)
    spoilt = JPEG[:2] + segment(marker, content) + JPEG[2:]
    assert values_of(tmp_path / "b", spoilt).tolist() == plain.tolist()


def test_the_colours_of_a_jpeg_stay_what_its_marks_say(tmp_path: Path) -> None:
    # without Adobe's mark, CMYK would be taken for its inverse, and RGB for YCbCr
    cmyk = values_of(tmp_path / "a", saved(flat((0, 255, 255, 0), "CMYK"), "JPEG", quality=95))
    assert np.abs(cmyk[0, 0].astype(int) - (255, 0, 0)).max() <= 3
    rgb = saved(flat((200, 30, 60), "RGB", (8, 8)), "JPEG", quality=95, keep_rgb=True)
    assert np.abs(values_of(tmp_path / "b", rgb)[0, 0].astype(int) - (200, 30, 60)).max() <= 3


# -- limits ------------------------------------------------------------------------------------


def large(kind: str, width: int, height: int, **options: Any) -> bytes:
    return saved(Image.new("L", (width, height), 90), kind, **options)


def claims(kind: str, width: int, height: int) -> bytes:
    """A file of this kind whose header claims a size that it does not have."""
    two, four = (b"".join(side.to_bytes(n, "little") for side in (width, height)) for n in (2, 4))
    small = saved(flat(90, size=(4, 4)), kind)
    if kind == "BMP":
        return small[:18] + four + small[26:]
    if kind == "GIF":
        return small[:6] + two + small[10:]
    if kind == "PPM":
        return small.replace(b"4 4", b"%d %d" % (width, height))
    if kind == "WEBP":
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in (width, height))
        body = b"WEBPVP8X\x0a\0\0\0\0\0\0\0" + canvas + small[12:]
        return b"RIFF" + len(body).to_bytes(4, "little") + body
    data = bytearray(small)
    for tag, side in ((256, width), (257, height)):  # TIFF
        place = _tag(data, tag)
        data[place : place + 4] = side.to_bytes(4, "little")
        data[place - 6 : place - 4] = b"\4\0"
    return bytes(data)


def _tag(data: bytearray, tag: int) -> int:
    """Where the value of a TIFF tag stands."""
    start = int.from_bytes(data[4:8], "little") + 2
    while int.from_bytes(data[start : start + 2], "little") != tag:
        start += 12
    return start + 8


@pytest.mark.parametrize("kind", ["BMP", "GIF", "PPM", "WEBP", "TIFF"])
def test_what_claims_too_many_pixels_is_refused_before_it_is_decoded(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = claims(kind, 9_000, 9_000)
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("it was decoded"))
    with refused(what="has 9000 x 9000 pixels, more than the 64,000,000 that are read"):
        values_of(tmp_path, content, "a.png")


def test_a_jpeg_of_108_megapixels_is_decoded_at_an_eighth(tmp_path: Path) -> None:
    content = large("JPEG", 12_000, 9_000, quality=30)
    with refused(what="has 12000 x 9000 pixels, more than the 64,000,000 that are read"):
        values_of(tmp_path / "a", content)
    images = read(tmp_path / "b", {"a.jpg": content}, size=32)
    assert images.pixels.shape == (1, 32, 32, 1)
    assert np.abs(images.pixels.astype(int) - 90).max() <= 2


def test_what_a_progressive_jpeg_is_held_in_has_its_own_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = large("JPEG", 400, 300, progressive=True)
    monkeypatch.setattr(gate, "_MAX_PROGRESSIVE", 100_000)
    with refused(what="has 400 x 300 pixels, more than the 100,000 that are read"):
        read(tmp_path, {"a.jpg": content}, size=8)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "AVIF"])
def test_files_of_too_many_bytes_are_not_read_whole(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_BYTES", 100)
    content = saved(PHOTO, kind)
    assert len(content) > 100
    with refused(what="cannot be read (it has more than 100 bytes)"):
        values_of(tmp_path, content)
