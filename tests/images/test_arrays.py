"""Images in arrays: what is recognised, what is converted, and what is refused."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from image_files import (
    GREY,
    RGB,
    VALID,
    Array,
    Make,
    archive,
    hdf5,
    npy,
    npy_that_claims,
    numpy_file,
    raw_file,
    zipped,
)
from support import check_error, raising, refused, within

from aeclust.errors import InputError, Interrupted
from aeclust.images import Source, demo, load
from aeclust.images.arrays import from_array, kind_of, npz_keys, read_array


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("images")


# -- files -------------------------------------------------------------------------------------


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
    images = load(source)
    assert images.pixels.dtype == np.uint8
    assert images.pixels.tolist() == RGB.tolist()
    assert images.ids.dtype == np.int64
    assert images.ids.tolist() == [0, 1]
    assert (images.source, images.skipped, images.remarks) == (source, [], ())
    assert images.marks.shape == (1,)
    assert len(images) == 2


@pytest.mark.parametrize("name", ["a", "a.png", "a.npy", "a.npz", "a.h5", "a.mat", "a.tar.gz"])
@pytest.mark.parametrize("kind", ["a.npy", "stored.npz", "deflated.npz", "plain.h5", "matlab"])
def test_a_file_of_arrays_is_told_by_its_bytes(kind: str, name: str, tmp_path: Path) -> None:
    out = io.BytesIO()
    with h5py.File(out, "w", userblock_size=2_048) as file:
        file["x"] = RGB
    content = {**VALID, "matlab": out.getvalue()}[kind]
    assert load(raw_file(name, content)(tmp_path)).pixels.tolist() == RGB.tolist()


def test_what_a_file_of_arrays_is(tmp_path: Path) -> None:
    def kind(content: bytes) -> str:
        (tmp_path / "a").write_bytes(content)
        return kind_of(str(tmp_path / "a"))

    assert kind(npy(RGB)) == kind(b"\x93NUMPY") == ".npy"
    assert kind(zipped(x_npy=npy(RGB), a_txt=b"")) == ".npz"
    assert kind(zipped(x_png=b"")) == kind(zipped()) == kind(b"PK\3\4x_npy") == ""
    signature = b"\x89HDF\r\n\x1a\n"
    assert kind(signature) == kind(bytes(4_096) + signature) == ".h5"
    assert kind(bytes(1_536) + signature) == kind(b"\x89HDF\n" * 900) == kind(b"") == ""
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(str(tmp_path / "pipe")) == kind_of(str(tmp_path)) == kind_of("none.npy") == ""


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
    assert pixels[0, 0, 0, 0] == 0
    changed = array.copy()
    changed.flat[0] = 1
    with open(tmp_path / "a.npy", "r+b") as file:  # the pixels follow the file
        file.write(npy(changed))
    assert pixels[0, 0, 0, 0] == 1


def test_a_built_in_set_loads_with_row_numbers_as_ids() -> None:
    images = load(Source(location="demo:digits"))
    assert np.array_equal(images.pixels, demo.load("digits").pixels)
    assert images.ids.tolist() == list(range(len(images.pixels)))


def test_the_keys_of_an_archive_are_those_of_its_arrays(tmp_path: Path) -> None:
    source = raw_file("a.npz", zipped(x_npy=npy(RGB), y_npy=b"", readme_txt=b"hello"))(tmp_path)
    assert npz_keys(source.location) == {"x", "y"}
    assert npz_keys(raw_file("b.npz", b"hello")(tmp_path).location) == set()
    assert npz_keys(str(tmp_path / "none.npz")) == set()


def test_numpy_warnings_on_odd_headers_do_not_reach_the_user(tmp_path: Path) -> None:
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (1L, 5L, 6L)}"  # of Python 2
    source = raw_file("a.npy", npy_that_claims(header) + GREY[:1].tobytes())(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels = load(source).pixels
    assert caught == []
    assert pixels[0, :, :, 0].tolist() == GREY[0].tolist()


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_a_fifo_is_refused_and_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with within(30), refused(what="is not a regular file", where=str(tmp_path / name)):
        load(Source(location=str(tmp_path / name)))


# -- layouts -----------------------------------------------------------------------------------


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
    pixels = load(numpy_file(array, layout=layout)(shared)).pixels
    assert pixels.dtype == np.dtype(dtype)
    assert np.array_equal(pixels, wanted)
    if min(values.shape[1:3]) > 4:  # wide enough not to be taken for channels
        assert np.array_equal(load(numpy_file(array)(shared)).pixels, wanted)


def test_ambiguous_layouts_load_as_stated(tmp_path: Path) -> None:
    array = np.arange(2, 2 + 2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)

    def loaded(array: Array, layout: str) -> Array:
        (tmp_path / layout).mkdir()
        return load(numpy_file(array, layout=layout)(tmp_path / layout)).pixels

    last, first, narrow = loaded(array, "nhwc"), loaded(array, "nchw"), loaded(array[0], "nhw")
    assert (last.shape, first.shape, narrow.shape) == ((2, 3, 5, 3), (2, 5, 3, 3), (3, 5, 3, 1))
    assert last[1, 2, 4, 0] == first[1, 4, 0, 2] == array[1, 2, 4, 0]
    assert narrow[2, 4, 1, 0] == array[0, 2, 4, 1]


# -- what is refused ---------------------------------------------------------------------------

TERABYTES = "{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000, 1000, 3)}"
NO_MAGIC = "cannot be read (the magic string is not correct;"
TOO_SHORT = "cannot be read (mmap length is greater than file size)"
OBJECTS = npy(np.array([[[None]]]))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.npy", b"hello, world\n", NO_MAGIC),
        ("a.npy", b"\x93", "cannot be read (EOF: reading magic string, expected 8 bytes got 1)"),
        ("a.npy", npy(RGB)[:-9], TOO_SHORT),
        ("a.npy", npy(RGB)[:40], "cannot be read (EOF: reading array header, "),
        ("a.npy", OBJECTS, "holds Python objects"),
        ("a.npy", npy_that_claims(TERABYTES), TOO_SHORT),
        ("a.npy", npy_that_claims("{'descr': '|u1', 'shape': (1,"), "cannot be read ("),
        ("a.npy", npy_that_claims("-" * 9_000 + "1"), "cannot be read ("),
        ("a.npy", zipped(x_txt=npy(RGB)), NO_MAGIC),
        ("a.npy", zipped(x_npy=npy(RGB))[:-9], NO_MAGIC),
        ("a.npz", b"hello\n", "cannot be read (File is not a zip file)"),
        ("a.npz::x", zipped(x_npy=OBJECTS), "holds Python objects"),
        ("a.npz::x", zipped(x_npy=b"hello, world"), NO_MAGIC),
    ],
)
def test_files_that_hold_no_array_are_refused(
    name: str, content: bytes, what: str, tmp_path: Path
) -> None:
    path, _, key = name.partition("::")
    (tmp_path / path).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_array(str(tmp_path / path), key or None)
    assert caught.value.what.startswith(what)
    assert str(caught.value).isprintable()
    expected = "a whole file as numpy.save writes it, of numbers"
    check_error(caught.value, where=str(tmp_path / path), expected=expected, mend="save it again")


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5", "a"])
@pytest.mark.parametrize(
    ("content", "what", "mend"),
    [
        (b"", "is empty", "download or copy it again"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 9\n",
            "is a Git LFS pointer, not the file itself",
            "run git lfs pull",
        ),
        (
            b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html></html>",
            "is an HTML page, not a file of arrays",
            "download it again",
        ),
        (b"<html><body>", "is an HTML page, not a file of arrays", "download it again"),
    ],
)
def test_a_file_that_stands_for_another_is_called_that(
    name: str, content: bytes, what: str, mend: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    expected = "a whole .npy, .npz or .h5 file"
    with refused(what=what, expected=expected, mend=mend, where=str(tmp_path / name)):
        load(Source(location=str(tmp_path / name)))


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_a_signal_while_a_file_is_read_passes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.save(tmp_path / "a.npy", RGB)
    (tmp_path / "a.npz").write_bytes(zipped(x_npy=npy(RGB)))
    stop = raising(Interrupted(15, "stopped"))
    monkeypatch.setattr("numpy.lib.format.open_memmap", stop)
    monkeypatch.setattr("zipfile.ZipFile", stop)
    for reader in (lambda path: read_array(path, None), npz_keys)[: 1 + (name == "a.npz")]:
        with pytest.raises(Interrupted):
            reader(str(tmp_path / name))


def test_what_lies_beside_a_named_array_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(zipped(x_npy=npy(RGB), junk_npy=b"hello, world"))
    np.testing.assert_array_equal(read_array(str(tmp_path / "a.npz"), "x")[1], RGB)
    with refused(what="no array is called 'y'", expected="one of x, junk"):
        read_array(str(tmp_path / "a.npz"), "y")


def test_an_archive_that_claims_more_than_there_is_memory_is_refused(tmp_path: Path) -> None:
    source = raw_file("a.npz", zipped(x_npy=npy_that_claims(TERABYTES)))(tmp_path)
    mend = "save it as .npy, which is read in parts"
    with refused(what="'x' needs about 3000 GB of memory", mend=mend):
        load(source)


@pytest.mark.parametrize(
    ("location", "what", "mend"),
    [
        ("no.npy", "there is no such file or folder", "check the path"),
        ("no.h5::x", "there is no such file or folder", "check the path"),
        ("plain", "is of an unknown kind (no ending)", "convert it"),
    ],
)
def test_what_is_no_source_of_images_is_refused(
    location: str, what: str, mend: str, tmp_path: Path
) -> None:
    (tmp_path / "plain").write_bytes(b"x")
    place, expected = (
        tmp_path / location,
        "images in files, a folder or a .zip, .npy, .npz, .h5, or ",
    )
    with refused(
        what=what, mend=mend, where=str(place).partition("::")[0], expected=f"{expected}demo:scenes"
    ):
        load(Source(location=str(place)))


CALLED = "name it, as FILE::KEY"
VECTORS = "reshape it, or cluster vectors of your own by aeclust embed `features` FILE"
FIT = "one array of numbers with 3 or 4 axes"


@pytest.mark.parametrize(
    ("make", "what", "expected", "mend"),
    [
        (archive(x=RGB, y=GREY), "2 of its arrays could be meant (x, y)", FIT, CALLED),
        (archive(x=np.full((2, 5, 6), None)), "0 of its arrays could be meant (x)", FIT, CALLED),
        (archive(x=RGB[0, 0]), "0 of its arrays could be meant (x)", FIT, VECTORS),
        (archive("::z", x=RGB, y=GREY), "no array is called 'z'", "one of x, y", None),
        (hdf5(x=RGB, y=GREY), "2 of its arrays could be meant (x, y)", FIT, CALLED),
        (hdf5("::z", x=RGB), "no array is called 'z'", "one of x", None),
        (raw_file("a.npy", npy(RGB), "::x"), "::x says nothing about it", None, ""),
    ],
)
def test_keys_that_mean_no_array_are_refused(
    make: Make, what: str, expected: str | None, mend: str | None, tmp_path: Path
) -> None:
    source = make(tmp_path)
    path = source.location.partition("::")[0]
    expected = "::KEY for .npz and .h5 files" if expected is None else expected
    mend = "change the part after ::" if mend is None else mend.replace("{}", path)
    with refused(what=what, expected=expected, mend=mend, where=path):
        load(source)


def test_an_unknown_built_in_set_is_refused() -> None:
    with refused(
        what="no built-in set is called 'faces'",
        where="demo:faces",
        expected="demo:scenes or demo:scenes-val or demo:digits",
        mend="did you mean demo:scenes?",
    ):
        load(Source(location="demo:faces"))


SHAPES = "(n, h, w), (n, h, w, c) or (n, c, h, w)"
CLEAR = "an unambiguous shape"
CHANNELS = "1 (grey) or 3 (RGB) channels, first or last"
EITHER = "channels could stand first or last"
STRIP = "one colour image, or grey images 3 pixels wide"
NONE = "at least one image"


@pytest.mark.parametrize(
    ("shape", "layout", "what", "expected", "mend"),
    [
        ((180,), None, "has shape {}", SHAPES, "reshape it"),
        ((6, 3), None, "has shape {}", SHAPES, VECTORS),
        ((1, 2, 5, 6, 3), None, "has shape {}", SHAPES, "reshape it"),
        ((2, 5, 6, 3), "nhw", "has shape {}", "3 axes for `layout` nhw", ""),
        ((2, 5, 6), "nchw", "has shape {}", "4 axes for `layout` nchw", ""),
        ((2, 3, 8, 3), None, f"has shape {{}}: {EITHER}", CLEAR, "state `layout` nhwc or "),
        ((2, 1, 8, 1), None, f"has shape {{}}: {EITHER}", CLEAR, "state `layout` nhwc or "),
        ((5, 6, 3), None, f"has shape {{}}: {STRIP}", CLEAR, "add the missing axis, or state"),
        ((2, 8, 8, 5), None, "has 5 channels (shape {}, layout nhwc)", CHANNELS, "drop or combine"),
        ((2, 8, 8, 4), None, "has 4 channels (shape {}, layout nhwc)", CHANNELS, "drop or combine"),
        ((2, 5, 6, 3), "nchw", "has 5 channels (shape {}, layout nchw)", CHANNELS, "drop or"),
        ((0, 5, 6, 3), None, "holds no images (shape {})", NONE, ""),
        ((2, 0, 6), None, "holds no images (shape {})", NONE, ""),
        ((2, 5, 6, 3), "hwc", "layout is 'hwc'", "one of nhw, nhwc, nchw", ""),
    ],
)
def test_shapes_that_are_no_images_or_ambiguous_are_refused(
    shape: tuple[int, ...], layout: str | None, what: str, expected: str, mend: str
) -> None:
    with pytest.raises(InputError) as caught:
        from_array(np.zeros(shape, np.uint8), layout=layout)
    where = "`layout`" if layout == "hwc" else ""
    check_error(caught.value, what=what.format(shape), expected=expected, where=where)
    assert caught.value.mend.startswith(mend)


@pytest.mark.parametrize(
    ("location", "setting", "value", "expected"),
    [
        ("{}", "layout", "nhwc", "an array"),
        ("{}/a.npy", "skip_bad", True, "images in files"),
        ("demo:digits", "layout", "nhwc", "an array"),
        ("demo:digits", "range", "0:1", "an array or files"),
    ],
)
def test_settings_that_mean_nothing_for_a_source_are_refused(
    location: str, setting: str, value: Any, expected: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "a.npy", RGB)
    location = location.format(tmp_path)
    what, where = f"does not apply to {location}", f"`{setting}`"
    with refused(what=what, where=where, expected=expected, mend="leave it out"):
        load(Source(location=location, **{setting: value}))


def test_an_error_is_one_line_that_says_how_to_mend_it(tmp_path: Path) -> None:
    source = numpy_file((RGB > 9).astype(np.uint8))(tmp_path)
    with pytest.raises(InputError) as caught:
        load(source)
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f"{source.location}: has uint8 values 0 and 1 only: nearly black, or black and white; "
        "expected an unambiguous range; state range 0:255 or range 0:1"
    )


def test_the_array_with_fitting_axes_is_read(tmp_path: Path) -> None:
    location = archive(x=RGB, y=np.arange(2))(tmp_path).location
    assert read_array(location, None, (1,))[0] == f"{location}::y"
    assert read_array(location, None, (3, 4))[0] == f"{location}::x"
