"""Any source of images: what is recognised, what is refused, and what identifies the data."""

from __future__ import annotations

import hashlib
import io
import os
import re
import signal
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from aeclust import images
from aeclust.errors import InputError
from aeclust.images import Images, Source, blocks, demo, fingerprints, load, mean_colours

Array = NDArray[Any]
Make = Callable[[Path], Source]

RGB = np.arange(2 * 5 * 6 * 3, dtype=np.uint8).reshape(2, 5, 6, 3)
GREY = RGB[..., 0]


def numpy_file(array: Array, **stated: Any) -> Make:
    """A source of one ``.npy`` file, ``a.npy``."""

    def make(folder: Path) -> Source:
        np.save(folder / "a.npy", array)
        return Source(location=str(folder / "a.npy"), **stated)

    return make


def raw_file(name: str, content: bytes, key: str = "", **stated: Any) -> Make:
    def make(folder: Path) -> Source:
        (folder / name).write_bytes(content)
        return Source(location=f"{folder / name}{key}", **stated)

    return make


def archive(key: str = "", **arrays: Array) -> Make:
    def make(folder: Path) -> Source:
        np.savez(folder / "a.npz", allow_pickle=True, **arrays)
        return Source(location=f"{folder / 'a.npz'}{key}")

    return make


def hdf5(key: str = "", **arrays: Any) -> Make:
    def make(folder: Path) -> Source:
        with h5py.File(folder / "a.h5", "w") as file:
            for name, array in arrays.items():
                file[name] = array
        return Source(location=f"{folder / 'a.h5'}{key}")

    return make


def pictures(files: dict[str, Image.Image | bytes], **stated: Any) -> Make:
    """A source of a folder, ``in``, of images or other bytes."""

    def make(folder: Path) -> Source:
        (folder / "in").mkdir()
        for name, content in files.items():
            path = folder / "in" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                content.save(path)
        return Source(location=str(folder / "in"), **stated)

    return make


def picture(values: Any, mode: str | None = None) -> Image.Image:
    image = Image.fromarray(np.asarray(values, np.uint8))
    return image if mode is None else image.convert(mode)


def flat(colour: Any, mode: str = "L", size: tuple[int, int] = (4, 4)) -> Image.Image:
    return Image.new(mode, size, colour)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def exif(orientation: int) -> bytes:
    """A TIFF header and one directory with one entry, tag 0x112 of type SHORT."""
    entry = struct.pack("<HHIHH", 0x112, 3, 1, orientation, 0)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + entry + bytes(4)


def png_that_claims(width: int, height: int) -> bytes:
    """A PNG of a header and nothing else."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(
        ">I", zlib.crc32(header)
    ) + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))  # fmt: skip


def npy_that_claims(header: str) -> bytes:
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header) + 1) + header.encode() + b"\n"


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            file.writestr(name.replace("_", "."), content)
    return out.getvalue()


def npy(array: Array) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def refusal(source: Source) -> str:
    """What loading says, having checked that it is one line and means exit 2."""
    with pytest.raises(InputError) as caught:
        load(source)
    assert caught.value.exit_code == 2
    assert str(caught.value).isprintable()
    return str(caught.value)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail, rather than hang, if the body waits for something that never comes."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"hung for {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("images")


# -- arrays in files ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        numpy_file(RGB),
        archive(x=RGB),
        archive("::x", x=RGB, y=RGB[::-1]),
        archive(x=RGB, labels=np.arange(2)),
        raw_file("a.npz", zipped(x_npy=npy(RGB), readme_txt=b"hello")),
        raw_file("A.NPY", npy(RGB)),
        hdf5(x=RGB),
        hdf5("::x", x=RGB, y=RGB[::-1]),
        hdf5("::group/x", **{"group/x": RGB, "labels": np.arange(2)}),
    ],
    ids=["npy", "npz", "npz key", "npz labels", "npz text", "NPY", "h5", "h5 key", "h5 group"],
)
def test_an_array_loads_equal_from_any_kind_of_file(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path)
    found = load(source)
    assert found.pixels.dtype == np.uint8
    assert found.pixels.tolist() == RGB.tolist()
    assert found.ids.dtype == np.int64
    assert found.ids.tolist() == [0, 1]
    assert found.source is source
    assert found.skipped == ()
    assert len(found) == 2


@pytest.mark.parametrize(
    ("array", "stated"),
    [
        (RGB, None),
        (np.moveaxis(RGB, 3, 1).copy(), "nchw"),
        (GREY, "nhw"),
        (RGB.astype(np.float32) / 255, None),
    ],
    ids=["nhwc", "nchw", "nhw", "float"],
)
def test_an_npy_file_is_mapped_and_never_copied(
    array: Array, stated: str | None, tmp_path: Path
) -> None:
    pixels = load(numpy_file(array, layout=stated)(tmp_path)).pixels
    assert isinstance(pixels, np.memmap)
    assert not pixels.flags.writeable
    before = pixels[0, 0, 0, 0]
    changed = array.copy()
    changed.flat[0] = 1
    assert before != 1
    with open(tmp_path / "a.npy", "r+b") as file:  # what the file says now, the pixels say now
        file.write(npy(changed))
    assert pixels[0, 0, 0, 0] == 1


@settings(max_examples=80, deadline=None)
@given(
    values=hnp.arrays(
        np.uint8,
        st.tuples(*[st.integers(1, 6)] * 3, st.sampled_from([1, 3])),
        elements=st.integers(2, 255),
    ),
    dtype=st.sampled_from(["u1", "f2", "f4", "f8"]),
    data=st.data(),
)
def test_every_layout_loads_to_equal_pixels(
    values: Array, dtype: str, data: st.DataObject, shared: Path
) -> None:
    layouts = {"nhwc": values, "nchw": np.moveaxis(values, 3, 1)}
    if values.shape[3] == 1:
        layouts["nhw"] = values[..., 0]
    layout = data.draw(st.sampled_from(sorted(layouts)))
    array = layouts[layout] if dtype == "u1" else (layouts[layout] / 255).astype(dtype)
    wanted = values if dtype == "u1" else (values / 255).astype(dtype)
    source = numpy_file(array, layout=layout)(shared)
    assert load(source).pixels.dtype == np.dtype(dtype)
    assert np.array_equal(load(source).pixels, wanted)
    if min(values.shape[1:3]) > 4:  # wide enough not to be taken for channels
        assert np.array_equal(load(numpy_file(array)(shared)).pixels, wanted)


def test_ambiguous_layouts_load_as_stated(tmp_path: Path) -> None:
    array = np.arange(2, 2 + 2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)

    def loaded(array: Array, layout: str) -> Array:
        (tmp_path / layout).mkdir()
        return load(numpy_file(array, layout=layout)(tmp_path / layout)).pixels

    last, first, narrow = loaded(array, "nhwc"), loaded(array, "nchw"), loaded(array[0], "nhw")
    assert last.shape == (2, 3, 5, 3)
    assert first.shape == (2, 5, 3, 3)
    assert narrow.shape == (3, 5, 3, 1)
    assert last[1, 2, 4, 0] == first[1, 4, 0, 2] == array[1, 2, 4, 0]
    assert narrow[2, 4, 1, 0] == array[0, 2, 4, 1]


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (RGB, "2 images, 5 x 6 RGB, uint8"),
        (GREY[:1] / np.float64(255), "1 images, 5 x 6 grey, float64"),
    ],
)
def test_a_description_tells_number_size_colour_and_dtype(
    array: Array, told: str, tmp_path: Path
) -> None:
    assert load(numpy_file(array)(tmp_path)).describe() == told


def test_a_source_goes_to_json_and_back() -> None:
    source = Source(location="x.npz::a", layout="nhw", range="0:255")
    assert source.to_json() == {
        "location": "x.npz::a", "layout": "nhw", "range": "0:255", "size": None, "skip_bad": False
    }  # fmt: skip
    assert Source(**source.to_json()) == source


def test_a_built_in_set_loads_with_row_numbers_as_ids() -> None:
    found = load(Source(location="demo:digits"))
    assert np.array_equal(found.pixels, demo.load("digits").pixels)
    assert found.ids.tolist() == list(range(len(found.pixels)))


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


# -- folders -----------------------------------------------------------------------------------


def test_a_folder_loads_png_and_jpeg_of_all_subfolders_sorted_bytewise(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {
        "b.png": flat(1), "a/x.png": flat(2), "B.png": flat(3), "a/deep/é.JPG": flat(4),
        "a.jpeg": flat(5), "a/X.PNG": flat(6), "10.png": flat(7), "9.png": flat(8),
        "notes.txt": b"no image", "a/README": b"no image",
    }  # fmt: skip
    found = load(pictures(files)(tmp_path))
    assert found.ids.tolist() == [
        "10.png", "9.png", "B.png", "a.jpeg", "a/X.PNG", "a/deep/é.JPG", "a/x.png", "b.png"
    ]  # fmt: skip
    assert found.ids.dtype.kind == "U"
    assert found.pixels[:, 0, 0, 0].tolist() == [7, 8, 3, 5, 6, 4, 2, 1]
    assert found.pixels.shape == (8, 4, 4, 1)


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {
        "a.png": flat(1), ".b.png": b"broken", ".cache/c.png": b"broken", "d/.e/f.png": b"broken"
    }  # fmt: skip
    assert load(pictures(files)(tmp_path)).ids.tolist() == ["a.png"]


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
        (WIDE, [[[0], [0], [1]], [[1], [128], [255]]]),  # v / 257, downwards
        (INDEXED, [[[10, 20, 30], [200, 100, 50]]]),
        (picture([[0, 255]], "1"), [[[0], [255]]]),
    ],
    ids=["grey", "RGB", "clear", "half clear", "grey and alpha", "16 bit", "palette", "1 bit"],
)
def test_a_png_of_any_mode_becomes_grey_or_rgb(
    image: Image.Image, wanted: Any, tmp_path: Path
) -> None:
    pixels = load(pictures({"a.png": image})(tmp_path)).pixels
    assert pixels.dtype == np.uint8
    assert pixels[0].tolist() == wanted


def test_a_transparent_colour_of_a_palette_is_white(tmp_path: Path) -> None:
    content = saved(INDEXED, "PNG", transparency=0)
    pixels = load(pictures({"a.png": content})(tmp_path)).pixels
    assert pixels[0].tolist() == [[[255, 255, 255], [200, 100, 50]]]


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
    content = saved(image, "JPEG", quality=95)
    pixels = load(pictures({"a.jpg": content})(tmp_path)).pixels
    assert pixels.shape == (1, 4, 4, len(wanted))
    assert np.abs(pixels.astype(int) - wanted).max() <= 3


def test_a_jpeg_taken_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    content = saved(picture([[0] * 16] * 8 + [[255] * 16] * 8), "JPEG", exif=exif(6))
    pixels = load(pictures({"a.jpg": content})(tmp_path)).pixels[0, :, :, 0]
    assert pixels[:, :8].min() > 250  # what lay below stands on the left
    assert pixels[:, 8:].max() < 5


def test_orientation_by_hand(tmp_path: Path) -> None:
    content = saved(picture([[1, 2, 3], [4, 5, 6]]), "PNG", exif=exif(6))
    pixels = load(pictures({"a.png": content})(tmp_path)).pixels
    assert pixels[0, :, :, 0].tolist() == [[4, 1], [5, 2], [6, 3]]


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
    pixels = load(pictures({"a.png": content})(tmp_path)).pixels
    assert pixels[0, :, :, 0].tolist() == upright(values).tolist()


def test_grey_among_rgb_becomes_rgb(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {"a.png": flat(7), "b.png": flat((1, 2, 3), "RGB")}
    pixels = load(pictures(files)(tmp_path)).pixels
    assert pixels.shape == (2, 4, 4, 3)
    assert pixels[:, 3, 3].tolist() == [[7, 7, 7], [1, 2, 3]]


def test_size_resizes_every_image_after_turning_it(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {
        "a.png": picture([[0, 100], [100, 200]]),
        "b.png": flat(9, size=(7, 3)),
        "c.png": saved(picture([[0, 0, 0, 0, 255, 255, 255, 255]] * 2), "PNG", exif=exif(6)),
    }
    pixels = load(pictures(files, size=1)(tmp_path)).pixels
    assert pixels.shape == (3, 1, 1, 1)
    assert pixels.ravel().tolist()[:2] == [100, 9]  # the mean of four pixels, and a flat image
    (tmp_path / "again").mkdir()
    tall = load(pictures({"c.png": files["c.png"]}, size=2)(tmp_path / "again")).pixels[0, :, :, 0]
    assert tall[0].max() < 64  # dark above bright, no longer left of it
    assert tall[1].min() > 192


def test_a_large_photograph_is_made_small_as_if_it_had_been_read_whole(tmp_path: Path) -> None:
    blots = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    photo = Image.fromarray(blots).resize((1200, 900), Image.Resampling.BICUBIC)
    content = saved(photo, "JPEG", quality=95, exif=exif(6))
    found = load(pictures({"a.jpg": content}, size=32)(tmp_path)).pixels[0]
    turned = photo.transpose(Image.Transpose.ROTATE_270)
    whole = np.asarray(turned.resize((32, 32), Image.Resampling.BILINEAR))
    gap = np.abs(found.astype(int) - whole)
    assert gap.mean() < 2
    assert gap.max() < 16
    turned_wrongly = np.abs(found.astype(int) - whole.swapaxes(0, 1))
    assert turned_wrongly.mean() > 20


def test_many_files_come_in_order_and_each_is_told(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {f"{i:03}.png": flat(i) for i in range(50)}
    told: list[tuple[int, int]] = []
    found = load(pictures(files)(tmp_path), progress=lambda done, total: told.append((done, total)))
    assert found.ids.tolist() == sorted(files)
    assert found.pixels[:, 0, 0, 0].tolist() == list(range(50))
    assert told == [(done, 50) for done in range(1, 51)]


def test_a_largest_size_is_allowed(tmp_path: Path) -> None:
    assert load(pictures({"a.png": flat(1)}, size=4096)(tmp_path)).pixels.shape[1:3] == (4096, 4096)


def test_skip_bad_lists_what_it_left_out_and_why(tmp_path: Path) -> None:
    whole = saved(picture(np.random.default_rng(0).integers(0, 256, (64, 64))), "JPEG")
    files: dict[str, Image.Image | bytes] = {
        "a.png": b"text", "b.png": flat(5, size=(64, 64)), "d.jpg": whole[: len(whole) // 2],
        "e.png": png_that_claims(9_000, 9_000), "f.png": saved(flat(5), "GIF"),
    }  # fmt: skip
    source = pictures(files, skip_bad=True)(tmp_path)
    os.mkfifo(tmp_path / "in" / "c.png")
    (tmp_path / "in" / "g.png").symlink_to("nowhere")
    with within(30):
        found = load(source)
    assert found.ids.tolist() == ["b.png"]
    assert found.pixels.shape == (1, 64, 64, 1)
    assert [line.partition(" ")[0] for line in found.skipped] == [
        "a.png:", "c.png:", "d.jpg:", "e.png:", "f.png:", "g.png:"
    ]  # fmt: skip
    assert found.skipped[0].startswith("a.png: cannot identify image file ")
    assert found.skipped[1] == "c.png: not a regular file"
    assert found.skipped[2].startswith("d.jpg: image file is truncated")
    assert found.skipped[3] == "e.png: 9000 x 9000 is over 64000000 pixels"
    assert found.skipped[4].startswith("f.png: cannot identify image file ")
    assert found.skipped[5] == "g.png: not a regular file"


def test_what_was_skipped_is_safe_for_a_terminal(tmp_path: Path) -> None:
    files: dict[str, Image.Image | bytes] = {"\x1b[2J.png": b"text", "b.png": flat(5)}
    (line,) = load(pictures(files, skip_bad=True)(tmp_path)).skipped
    assert line.startswith(r"\x1b[2J.png: cannot identify image file ")
    assert line.isprintable()


def test_a_file_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    source = pictures({"a.png": flat(1)})(tmp_path)
    with open(os.fsencode(source.location) + b"/\xff.png", "wb") as file:
        file.write(b"x")
    assert refusal(source) == r"\udcff.png: a file name is not UTF-8; rename it"


def test_a_folder_that_may_not_be_listed_is_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = pictures({"a.png": flat(1), "closed/b.png": flat(2)})(tmp_path)
    scan = os.scandir

    def guarded(path: str) -> Any:
        if os.path.basename(path) == "closed":
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert refusal(source) == (
        f"{tmp_path}/in/closed: cannot be read (Permission denied); check its permissions"
    )


# -- every error -------------------------------------------------------------------------------

KINDS = ".npy, .npz, .h5, a folder of PNG or JPEG images, or demo:scenes"
WHOLE = "expected a whole file as numpy.save writes it, of numbers; save it again"
TERABYTES = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 3)}"
OBJECTS = np.array([[[None]]])
NAN = np.full((6_000, 1, 8), 0.5, np.float32)
NAN[5_000, 0, 3] = np.nan
INF = np.full((3, 8, 8), 0.5)
INF[1, 7, 7] = -np.inf


def at(name: str, **stated: Any) -> Make:
    return lambda folder: Source(location=f"{folder}/{name}", **stated)


def demo_source(name: str, **stated: Any) -> Make:
    return lambda folder: Source(location=f"demo:{name}", **stated)


def floats(*values: float) -> Array:
    return np.array(values, np.float32).repeat(40).reshape(-1, 5, 8)


# The whole message with the folder as {}; one that ends in an ellipsis goes on in other people's
# words.
ERRORS: dict[str, tuple[Make, str]] = {
    # files
    "missing path": (
        at("no.npy"),
        f"{{}}/no.npy: there is no such file or folder; expected {KINDS}; check the path",
    ),
    "missing path with a key": (
        at("no.h5::x"),
        "{}/no.h5: there is no such file or folder; expected …",
    ),
    "empty path": (
        lambda folder: Source(location=""),
        "there is no such file or folder; expected …",
    ),
    "unknown ending": (
        raw_file("a.tif", b"II*"),
        f"{{}}/a.tif: is of an unknown kind (.tif); expected {KINDS}; convert it",
    ),
    "no ending": (
        raw_file("a", b"x"),
        f"{{}}/a: is of an unknown kind (no ending); expected {KINDS}; convert it",
    ),
    "a text file as npy": (
        raw_file("a.npy", b"hello, world\n"),
        "{}/a.npy: cannot be read (the magic string is not correct; …",
    ),
    "an empty npy": (
        raw_file("a.npy", b""),
        f"{{}}/a.npy: cannot be read (EOF: reading magic string, expected 8 bytes got 0); {WHOLE}",
    ),
    "a truncated npy": (
        raw_file("a.npy", npy(RGB)[:-9]),
        f"{{}}/a.npy: cannot be read (mmap length is greater than file size); {WHOLE}",
    ),
    "a truncated header": (
        raw_file("a.npy", npy(RGB)[:40]),
        "{}/a.npy: cannot be read (EOF: reading array header, …",
    ),
    "objects in npy": (
        numpy_file(OBJECTS),
        f"{{}}/a.npy: holds Python objects; {WHOLE}",
    ),
    "npy that claims 3 TB": (
        raw_file("a.npy", npy_that_claims(TERABYTES)),
        f"{{}}/a.npy: cannot be read (mmap length is greater than file size); {WHOLE}",
    ),
    "open bracket in npy": (
        raw_file("a.npy", npy_that_claims("{'descr': '|u1', 'shape': (1,")),
        "{}/a.npy: cannot be read (…",
    ),
    "deep brackets in npy": (
        raw_file("a.npy", npy_that_claims("-" * 9_000 + "1")),
        "{}/a.npy: cannot be read (…",
    ),
    "npz named npy": (
        raw_file("a.npy", zipped(x_npy=npy(RGB))),
        "{}/a.npy: cannot be read (the magic string is not correct; …",
    ),
    "npy named npz": (
        raw_file("a.npz", npy(RGB)),
        f"{{}}/a.npz: cannot be read (File is not a zip file); {WHOLE}",
    ),
    "a text file as npz": (
        raw_file("a.npz", b"hello\n"),
        f"{{}}/a.npz: cannot be read (File is not a zip file); {WHOLE}",
    ),
    "a pickle in npz": (
        archive("::x", x=OBJECTS),
        f"{{}}/a.npz: holds Python objects; {WHOLE}",
    ),
    "a pickle as the only array of npz": (
        archive(x=OBJECTS),
        f"{{}}/a.npz: holds Python objects; {WHOLE}",
    ),
    "npz that claims 3 TB": (
        raw_file("a.npz", zipped(x_npy=npy_that_claims(TERABYTES))),
        "{}/a.npz: 'x' needs about 3000 GB of memory; expected at most …",
    ),
    "npz with text as npy": (
        raw_file("a.npz", zipped(x_npy=b"hello, world"), "::x"),
        "{}/a.npz: cannot be read (the magic string is not correct; …",
    ),
    "a text file as h5": (
        raw_file("a.h5", b"hello\n"),
        "{}/a.h5: cannot be used: HDF5 cannot read it (…",
    ),
    "a soft link in h5": (
        hdf5(x=h5py.SoftLink("/y")),
        "{}/a.h5: cannot be used: 'x' is a link to somewhere else; expected an HDF5 file of "
        "plain arrays of numbers; copy the arrays into a new file",
    ),
    # keys
    "two arrays in npz": (
        archive(x=RGB, y=GREY),
        "{}/a.npz: 2 of its arrays could be meant (x, y); expected one array with 3 or 4 axes; "
        "name one, as {}/a.npz::KEY",
    ),
    "no array in npz": (
        archive(x=RGB[0, 0]),
        "{}/a.npz: 0 of its arrays could be meant (x); expected one array with 3 or 4 axes; "
        "name one, as {}/a.npz::KEY",
    ),
    "unknown key of npz": (
        archive("::z", x=RGB, y=GREY),
        "{}/a.npz: no array is called 'z'; expected one of x, y; change the part after ::",
    ),
    "text of npz as key": (
        raw_file("a.npz", zipped(x_npy=npy(RGB), readme_txt=b"hi"), "::readme.txt"),
        "{}/a.npz: no array is called 'readme.txt'; expected one of x; change the part after ::",
    ),
    "two arrays in h5": (
        hdf5(x=RGB, y=GREY),
        "{}/a.h5: 2 of its arrays could be meant (x, y); expected one array with 3 or 4 axes; "
        "name one, as {}/a.h5::KEY",
    ),
    "unknown key of h5": (
        hdf5("::z", x=RGB),
        "{}/a.h5: no array is called 'z'; expected one of x; change the part after ::",
    ),
    "a key of npy": (
        raw_file("a.npy", npy(RGB), "::x"),
        "{}/a.npy: ::x says nothing about it; expected ::KEY for .npz and .h5 files",
    ),
    "a key of a folder": (
        lambda folder: Source(location=pictures({"a.png": flat(1)})(folder).location + "::x"),
        "{}/in: ::x says nothing about it; expected ::KEY for .npz and .h5 files",
    ),
    "unknown demo set": (
        demo_source("faces"),
        "demo:faces: no built-in set is called 'faces'; expected demo:scenes or "
        "demo:scenes-val or demo:digits; did you mean demo:scenes?",
    ),
    # shapes
    "one axis": (
        numpy_file(RGB.ravel()),
        "{}/a.npy: has shape (180,); expected (n, h, w), (n, h, w, c) or (n, c, h, w); reshape it",
    ),
    "two axes": (
        numpy_file(RGB[0, 0]),
        "{}/a.npy: has shape (6, 3); expected (n, h, w), (n, h, w, c) or (n, c, h, w); reshape it",
    ),
    "five axes": (
        numpy_file(RGB[None]),
        "{}/a.npy: has shape (1, 2, 5, 6, 3); expected (n, h, w), (n, h, w, c) or (n, c, h, "
        "w); reshape it",
    ),
    "two axes under a key": (
        hdf5("::x", x=RGB[0, 0]),
        "{}/a.h5::x: has shape (6, 3); expected …",
    ),
    "five channels": (
        numpy_file(np.zeros((2, 8, 8, 5), np.uint8)),
        "{}/a.npy: has 5 channels (shape (2, 8, 8, 5), layout nhwc); expected 1 (grey) or 3 "
        "(RGB) channels, first or last; drop or combine channels",
    ),
    "RGBA": (
        numpy_file(np.zeros((2, 8, 8, 4), np.uint8)),
        "{}/a.npy: has 4 channels (shape (2, 8, 8, 4), layout nhwc); expected …",
    ),
    "stated channels": (
        numpy_file(RGB, layout="nchw"),
        "{}/a.npy: has 5 channels (shape (2, 5, 6, 3), layout nchw); expected …",
    ),
    "channels first or last": (
        numpy_file(np.zeros((2, 3, 8, 3), np.uint8)),
        "{}/a.npy: has shape (2, 3, 8, 3): channels could stand first or last; expected an "
        "unambiguous shape; state --layout nhwc or --layout nchw",
    ),
    "grey first or last": (
        numpy_file(np.zeros((2, 1, 8, 1), np.uint8)),
        "{}/a.npy: has shape (2, 1, 8, 1): channels could stand first or last; expected …",
    ),
    "one colour image": (
        numpy_file(RGB[0]),
        "{}/a.npy: has shape (5, 6, 3): one colour image, or grey images 3 pixels wide; "
        "expected an unambiguous shape; add the missing axis, or state --layout nhw",
    ),
    "bad layout": (
        numpy_file(RGB, layout="hwc"),
        "--layout: layout is 'hwc'; expected one of nhw, nhwc, nchw",
    ),
    "layout of other axes": (
        numpy_file(RGB, layout="nhw"),
        "{}/a.npy: has shape (2, 5, 6, 3); expected 3 axes for --layout nhw",
    ),
    "layout of more axes": (
        numpy_file(GREY, layout="nchw"),
        "{}/a.npy: has shape (2, 5, 6); expected 4 axes for --layout nchw",
    ),
    "no images": (
        numpy_file(RGB[:0]),
        "{}/a.npy: holds no images (shape (0, 5, 6, 3)); expected at least one image",
    ),
    "images without pixels": (
        numpy_file(GREY[:, :0]),
        "{}/a.npy: holds no images (shape (2, 0, 6)); expected at least one image",
    ),
    # values
    "NaN": (
        numpy_file(NAN),
        "{}/a.npy: image 5000 holds NaN or infinity; expected finite values; repair or remove "
        "that image",
    ),
    "infinity": (
        numpy_file(INF),
        "{}/a.npy: image 1 holds NaN or infinity; expected finite values; repair or remove "
        "that image",
    ),
    "NaN in a stated range": (
        numpy_file(NAN, range="0:255"),
        "{}/a.npy: image 5000 holds NaN or infinity; expected …",
    ),
    "above 1": (
        numpy_file(floats(0, 1.5)),
        "{}/a.npy: has float32 values 0 to 1.5; expected float in [0, 1], or uint8; state the "
        "range, for example --range 0:255 or --range=-1:1",
    ),
    "negative": (
        numpy_file(floats(-1, 1)),
        "{}/a.npy: has float32 values -1 to 1; expected float in [0, 1], or uint8; state …",
    ),
    "int64 without range": (
        numpy_file(RGB.astype(np.int64)),
        "{}/a.npy: has dtype int64 with values 0 to 179; expected uint8, or float in [0, 1]; "
        "state the range, for example --range 0:255",
    ),
    "uint16 without range": (
        numpy_file(np.full((2, 8, 8), 65_535, np.uint16)),
        "{}/a.npy: has dtype uint16 with values 65535 to 65535; expected …",
    ),
    "bool": (
        numpy_file(RGB > 9),
        "{}/a.npy: has dtype bool; expected uint8, or float in [0, 1]; convert it",
    ),
    "bool with range": (
        numpy_file(RGB > 9, range="0:1"),
        "{}/a.npy: has dtype bool; expected uint8, or float in [0, 1]; convert it",
    ),
    "complex": (
        numpy_file(RGB.astype(complex)),
        "{}/a.npy: has dtype complex128; expected uint8, or float in [0, 1]; convert it",
    ),
    "text": (
        numpy_file(GREY.astype("S3")),
        "{}/a.npy: has dtype |S3; expected uint8, or float in [0, 1]; convert it",
    ),
    "other byte order": (
        numpy_file(floats(0, 1).astype(">f4")),
        "{}/a.npy: has dtype >f4; expected uint8, or float in [0, 1]; convert it",
    ),
    "black and white": (
        numpy_file((RGB > 9).astype(np.uint8)),
        "{}/a.npy: has uint8 values 0 and 1 only: nearly black, or black and white; expected "
        "an unambiguous range; state --range 0:255 or --range 0:1",
    ),
    "below the range": (
        numpy_file(floats(-1, 9), range="0:255"),
        "{}/a.npy: has values -1 to 9; expected values within 0:255; change --range",
    ),
    "whole numbers a hair above the range": (
        numpy_file(np.full((9, 8, 8, 3), 1_000_001), range="0:1000000"),
        "{}/a.npy: has values 1000001 to 1000001; expected values within 0:1000000; change --range",
    ),
    "above the range": (
        numpy_file(RGB, range="0:178"),
        "{}/a.npy: has values 0 to 179; expected values within 0:178; change --range",
    ),
    **{
        f"range {text!r}": (
            numpy_file(RGB, range=text),
            f"--range: range is {text!r}; expected LOW:HIGH, for example 0:255",
        )
        for text in (
            "255",
            "0:",
            ":255",
            ":",
            "1:0",
            "1:1",
            "a:b",
            "0:255:1",
            "nan:1",
            "0:inf",
            "0-255",
        )
    },
    # folders
    "empty folder": (
        pictures({}),
        "{}/in: holds no PNG or JPEG file; expected images ending in .png or .jpg",
    ),
    "folder of other files": (
        pictures({"a.txt": b"x", ".a.png": b"x"}),
        "{}/in: holds no PNG or JPEG file; expected images ending in .png or .jpg",
    ),
    "unreadable image": (
        pictures({"a.png": flat(1), "b.png": b"text"}),
        "{}/in/b.png: cannot be read (cannot identify image file …",
    ),
    "image of too many pixels": (
        pictures({"a.png": png_that_claims(9_000, 9_000)}),
        "{}/in/a.png: cannot be read (9000 x 9000 is over 64000000 pixels); expected a whole "
        "PNG or JPEG image; remove it, or leave such files out with --skip-bad",
    ),
    "image of far too many pixels": (
        pictures({"a.png": png_that_claims(90_000, 90_000)}),
        "{}/in/a.png: cannot be read (Image size (8100000000 pixels) exceeds limit …",
    ),
    "another format as png": (
        pictures({"a.png": saved(flat(1), "BMP")}),
        "{}/in/a.png: cannot be read (cannot identify image file …",
    ),
    "all images bad": (
        pictures({"a.png": b"x", "b.jpg": b""}, skip_bad=True),
        "{}/in: none of its 2 images can be read; expected images",
    ),
    "mixed sizes": (
        pictures({"a.png": flat(1), "b.png": flat(1), "c.png": flat(1, size=(5, 4))}),
        "{}/in: images have different sizes (a.png is 4 x 4, c.png is 4 x 5); expected one "
        "size; resize all of them with --size, for example --size 32",
    ),
    "size 0": (
        pictures({"a.png": flat(1)}, size=0),
        "--size: size is 0; expected 1 to 4096 pixels",
    ),
    "size 4097": (
        pictures({"a.png": flat(1)}, size=4097),
        "--size: size is 4097; expected 1 to 4096 pixels",
    ),
    # flags that do not apply
    "layout of a folder": (
        pictures({"a.png": flat(1)}, layout="nhwc"),
        "{}/in: --layout says nothing about it; expected --layout for arrays",
    ),
    "range of a folder": (
        pictures({"a.png": flat(1)}, range="0:1"),
        "{}/in: --range says nothing about it; expected --range for arrays",
    ),
    "size of an array": (
        numpy_file(RGB, size=8),
        "{}/a.npy: --size says nothing about it; expected --size for folders of images",
    ),
    "skip_bad of an array": (
        numpy_file(RGB, skip_bad=True),
        "{}/a.npy: --skip-bad says nothing about it; expected --skip-bad for folders of images",
    ),
    "layout of a demo set": (
        demo_source("digits", layout="nhwc"),
        "demo:digits: --layout says nothing about it; expected --layout for arrays",
    ),
    "size of a demo set": (
        demo_source("digits", size=8),
        "demo:digits: --size says nothing about it; expected --size for folders of images",
    ),
}


@pytest.mark.parametrize("fault", ERRORS)
def test_every_error_is_one_line_that_tells_how_to_mend_it(fault: str, tmp_path: Path) -> None:
    make, told = ERRORS[fault]
    wanted = told.replace("{}", str(tmp_path))
    said = refusal(make(tmp_path))
    if wanted.endswith("…"):
        assert said.startswith(wanted[:-1])
    else:
        assert said == wanted


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_a_fifo_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with within(30):
        said = refusal(Source(location=str(tmp_path / name)))
    assert said == f"{tmp_path / name}: is not a regular file; expected an array in a file"


def test_numpy_warnings_on_odd_headers_do_not_reach_the_user(tmp_path: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 5L, 6L)}"  # of Python 2
    source = raw_file("a.npy", npy_that_claims(header) + GREY[:1].tobytes())(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = load(source).pixels
    assert caught == []
    assert pixels[0, :, :, 0].tolist() == GREY[0].tolist()


# -- malformed files ---------------------------------------------------------------------------


def _hdf5(**options: Any) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file.create_dataset("x", data=RGB, **options)
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, x=RGB)
    return out.getvalue()


VALID: dict[str, bytes] = {
    "a.npy": npy(RGB),
    "stored.npz": zipped(x_npy=npy(RGB)),
    "deflated.npz": _npz(),
    "plain.h5": _hdf5(),
    "filtered.h5": _hdf5(compression="gzip", shuffle=True, fletcher32=True),
    "in/a.png": saved(picture(RGB[0]), "PNG", exif=exif(6)),
    "in/a.jpg": saved(picture(RGB[0]), "JPEG", exif=exif(6)),
}


@pytest.mark.parametrize("name", VALID)
@settings(max_examples=200, deadline=None)
@given(
    flips=st.lists(st.tuples(st.integers(0, 2**20), st.integers(1, 255)), max_size=4),
    cut=st.none() | st.integers(0, 2**20),
)
def test_a_damaged_file_loads_or_is_refused_and_nothing_else(
    name: str, flips: list[tuple[int, int]], cut: int | None, tmp_path_factory: Any
) -> None:
    folder = tmp_path_factory.getbasetemp() / "mutations"
    damaged = bytearray(VALID[name])
    for position, mask in flips:
        damaged[position % len(damaged)] ^= mask
    if cut is not None:
        del damaged[cut % len(damaged) :]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged)
    location = str(path.parent if name.startswith("in/") else path)
    key = "::x" if path.suffix in (".npz", ".h5") and len(flips) % 2 else ""
    outcome: Images | InputError
    try:
        outcome = load(Source(location=location + key))
    except InputError as error:
        outcome = error
    finally:
        path.unlink()
    if isinstance(outcome, InputError):
        assert str(outcome).isprintable()
        assert outcome.exit_code == 2
    else:
        assert outcome.pixels.ndim == 4
        assert outcome.pixels.dtype.kind in "uf"
        assert outcome.pixels.shape[3] in (1, 3)


def test_the_files_to_be_damaged_are_whole(tmp_path: Path) -> None:
    for name, content in VALID.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        if not name.startswith("in/"):
            assert np.array_equal(load(Source(location=str(path))).pixels, RGB)
    assert load(Source(location=str(tmp_path / "in"))).pixels.shape == (2, 6, 5, 3)


# -- identity ----------------------------------------------------------------------------------


def images_of(pixels: Array, ids: Array | None = None) -> Images:
    ids = np.arange(len(pixels)) if ids is None else ids
    return Images(pixels, ids, Source(location="anywhere"))


def test_equal_data_has_equal_digests_wherever_it_lies(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    makes = [
        numpy_file(RGB),
        numpy_file(np.moveaxis(RGB, 3, 1).copy(), layout="nchw"),
        numpy_file(np.asfortranarray(RGB)),
        archive(x=RGB),
        hdf5(x=RGB),
    ]
    digests = {load(make(tmp_path / "other")).digest() for make in makes}
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


@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_fingerprints_equal_an_independent_loop(dtype: str) -> None:
    rng = np.random.default_rng(0)
    first = rng.integers(0, 256, (4_500, 3, 2, 2)).astype(dtype)
    pixels = np.moveaxis(first, 1, 3)  # not contiguous, and more than one block
    wanted = [
        struct.unpack("<Q", hashlib.blake2b(image.tobytes(), digest_size=8).digest())[0]
        for image in pixels
    ]
    found = fingerprints(pixels)
    assert found.dtype == np.uint64
    assert found.tolist() == wanted
    assert len(set(wanted)) == len(np.unique(first.reshape(4_500, -1), axis=0))


def test_equal_images_have_equal_fingerprints() -> None:
    pixels = np.concatenate([RGB, RGB[::-1]])
    found = fingerprints(pixels).tolist()
    assert found[:2] == found[:1:-1]
    assert found[0] != found[1]


def test_blocks_are_consecutive_and_complete() -> None:
    pixels = np.arange(10).reshape(10, 1, 1, 1)
    assert [block.ravel().tolist() for block in images.blocks(pixels, 4)] == [
        [0, 1, 2, 3], [4, 5, 6, 7], [8, 9]
    ]  # fmt: skip


# -- mean colours ------------------------------------------------------------------------------


def test_mean_colours_by_hand() -> None:
    pixels = np.zeros((3, 2, 2, 3), np.uint8)
    pixels[0] = 255
    pixels[1, 0, 0] = [204, 102, 0]
    pixels[2, 0] = [0, 255, 51]
    found = mean_colours(pixels)
    assert found.dtype == np.float32
    wanted = np.array([[1, 1, 1], [0.2, 0.1, 0], [0, 0.5, 0.1]])
    np.testing.assert_allclose(found, wanted, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", ["u1", "f4", "f8"])
def test_mean_colours_equal_an_independent_loop(dtype: str, channels: int) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, (4_500, channels, 3, 2))  # more than one block
    unit = values / 255
    pixels = np.moveaxis(values if dtype == "u1" else unit, 1, 3).astype(dtype)
    found = mean_colours(pixels)
    assert found.dtype == np.float32
    assert found.shape == (4_500, channels)
    wanted = [[colour.sum() / 6 for colour in image] for image in unit]
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_bytes_do_not_overflow_in_a_mean() -> None:
    white = np.full((2, 64, 64, 1), 255, np.uint8)
    assert mean_colours(white).tolist() == [[1.0], [1.0]]


def test_broken_remarks_beside_sound_pixels_are_no_reason_to_refuse(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for name, remarks in {
        "nonsense": b"Exif\0\0nonsense",
        "cut off": exif(6)[:-8],
        "endless": b"Exif\0\0II*\0" + struct.pack("<IH", 8, 60_000) + bytes(20),
    }.items():
        place = tmp_path / name
        place.mkdir()
        content = saved(picture(values), "PNG", exif=remarks)
        pixels = load(pictures({"a.png": content})(place)).pixels
        assert pixels[0, :, :, 0].tolist() == values.tolist(), name


def test_the_range_as_an_error_shows_it_can_be_stated(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(200, 8, 8)).astype(np.float32)
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError) as caught:
        load(Source(location=str(tmp_path / "a.npy")))
    low, high = re.findall(r"values (\S+) to (\S+);", str(caught.value))[0]
    stated = f"{low}:{high}"
    pixels = load(Source(location=str(tmp_path / "a.npy"), range=stated)).pixels
    assert (pixels.min(), pixels.max()) == pytest.approx((0, 1), abs=1e-5)
    assert 0 <= pixels.min() <= pixels.max() <= 1


def test_blocks_of_large_images_are_short() -> None:
    large = np.zeros((40, 1024, 1024), np.uint8)
    assert [len(block) for block in blocks(large)] == [16, 16, 8]
    assert [len(block) for block in blocks(np.zeros((5_000, 8, 8), np.uint8))] == [4_096, 904]
    assert [len(block) for block in blocks(np.zeros((2, 8_192, 8_192, 1), np.uint8))] == [1, 1]


def test_different_images_are_counted_until_there_are_enough() -> None:
    pixels = np.zeros((9, 4, 4, 1), np.uint8)
    from aeclust.images.pixels import _count_different as different
    assert different(pixels, 4) == 1
    pixels[3], pixels[8, 0, 0] = 7, 9
    assert [different(pixels, most) for most in (1, 2, 3, 4)] == [1, 2, 3, 3]
