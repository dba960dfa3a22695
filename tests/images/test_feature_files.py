"""Vectors of one's own: every file gives what was put in, and what is none is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from support import refused, within

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError
from aeclust.images import Images, Source, fingerprints, load, with_photographs
from aeclust.images.features import from_features, read_features

Array = NDArray[Any]
VECTORS = np.array([[0.5, -2.0, 3.0], [1.0, 0.0, -0.25]])
NAMES = np.array(["b.png", "é/a.png"])
SINGLE = "what single precision can compute with"


def write_npy(path: Path, values: Array) -> str:
    np.save(path / "v.npy", values)
    return str(path / "v.npy")


def write_npz(path: Path, values: Array) -> str:
    np.savez(path / "v.npz", features=values)
    return str(path / "v.npz")


def write_packed(path: Path, values: Array) -> str:
    np.savez_compressed(path / "v.npz", anything=values, other=values[0])
    return str(path / "v.npz::anything")


def write_hdf5(path: Path, values: Array) -> str:
    with h5py.File(path / "v.h5", "w") as file:
        file["deep/features"] = values
    return str(path / "v.h5::deep/features")


def write_chunks(path: Path, values: Array) -> str:
    with h5py.File(path / "v.h5", "w") as file:
        file.create_dataset("features", data=values, chunks=(1, values.shape[1]), compression=1)
        file["other"] = values
    return str(path / "v.h5")


def write_tensors(path: Path, values: Array) -> str:
    save_file({"x": np.ascontiguousarray(values)}, path / "v.safetensors")
    return str(path / "v.safetensors")


FORMATS = (write_npy, write_npz, write_packed, write_hdf5, write_chunks, write_tensors)
DTYPES = (*(np.dtype(f"f{size}") for size in (2, 4, 8)), np.dtype("i1"), np.dtype("u2"))


@st.composite
def vectors(draw: st.DrawFn) -> Array:
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(st.tuples(st.integers(1, 5), st.integers(1, 6)))
    elements = st.floats(-1024, 1024, width=16) if dtype.kind == "f" else None
    return draw(hnp.arrays(dtype, shape, elements=elements))


@settings(max_examples=25)
@given(values=vectors())
@pytest.mark.parametrize("write", FORMATS)
def test_a_file_gives_what_was_put_in(
    write: Callable[[Path, Array], str], values: Array, tmp_path_factory: pytest.TempPathFactory
) -> None:
    location = write(tmp_path_factory.mktemp("file"), values)
    images = load(Source(location=location, features=True))
    assert images.pixels.dtype == values.dtype
    assert np.array_equal(images.pixels, values)
    assert images.ids.tolist() == list(range(len(values)))
    n, d = values.shape
    assert images.describe() == f"{n} vectors of {d} values, {values.dtype}"


@settings(max_examples=25)
@given(ids=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), unique=True,
                    min_size=1, max_size=5))  # fmt: skip
@pytest.mark.parametrize("ending", ["npz", "h5"])
def test_ids_come_back_as_they_were(
    ending: str, ids: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    ids = [name.strip("\0") + "x" for name in ids]  # zeros at the end are none to numpy
    ids = sorted(set(ids))
    path = str(tmp_path_factory.mktemp("file") / f"v.{ending}")
    values, names = np.ones((len(ids), 2)), np.array(ids)
    if ending == "npz":
        np.savez(path, features=values, ids=names)
    else:
        with h5py.File(path, "w") as file:
            file["features"], file["ids"] = values, np.char.encode(names, "utf-8")
    assert read_features(path)[2].tolist() == ids  # type: ignore[union-attr]


def test_ids_may_be_numbers_and_a_column(tmp_path: Path) -> None:
    path = str(tmp_path / "v.npz")
    np.savez(path, features=VECTORS, ids=np.array([[7], [3]], np.uint8))
    images = load(Source(location=path, features=True))
    assert (images.ids.dtype, images.ids.tolist()) == (np.dtype(np.int64), [7, 3])


def test_ids_stand_beside_the_array_that_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["a/x"], file["a/ids"] = VECTORS, np.array([5, 6])
        file["b/x"] = VECTORS
    a, b = (read_features(f"{tmp_path}/v.h5::{group}/x")[2] for group in "ab")
    assert (a.tolist(), b) == ([5, 6], None)  # type: ignore[union-attr]


def test_plain_files_are_mapped_and_never_read_whole(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["features"] = VECTORS
    for location in (write_npy(tmp_path, VECTORS), str(tmp_path / "v.h5")):
        assert isinstance(load(Source(location=location, features=True)).pixels, np.memmap)


def test_bfloat16_becomes_single_precision(tmp_path: Path) -> None:
    tensor = torch.tensor([[1.5, -3.0], [0.0078125, 4.0]]).bfloat16()
    save_tensors({"x": tensor}, tmp_path / "v")  # told by its bytes, not by its name
    _, found, _ = read_features(str(tmp_path / "v"))
    assert found.dtype == np.float32
    assert found.tolist() == [[1.5, -3.0], [0.0078125, 4.0]]


def test_latents_of_a_run_and_its_export_are_features_with_ids(tmp_path: Path) -> None:
    latents = VECTORS.astype(np.float32)
    arrays: dict[str, Array] = {
        "latents": latents,
        "ids": artifact.encode_ids(NAMES),
        "fingerprints": np.array([1, 2], np.uint64),
        "view_rows": np.array([0]),
        "view_latents": latents[:1],
    }
    artifact.write(tmp_path / "latents.h5", Artifact("latents", arrays, {}, 0, {}, {}))
    np.savez(tmp_path / "export.npz", latents=latents, ids=NAMES, labels=np.array([0, 1]))
    for name in ("latents.h5", "export.npz"):
        _, found, ids = read_features(str(tmp_path / name))
        assert np.array_equal(found, latents)
        assert ids is not None
        assert ids.tolist() == NAMES.tolist()


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "what", "expected"),
    [
        (np.ones(4), "has shape (4,)", "(n, d): a vector in each row"),
        (np.ones((2, 2, 2)), "has shape (2, 2, 2)", "(n, d): a vector in each row"),
        (np.ones((0, 3)), "holds no vectors (shape (0, 3))", "at least one of one value"),
        (np.ones((3, 0)), "holds no vectors (shape (3, 0))", "at least one of one value"),
        (np.ones((1, 16_385)), "has vectors of 16,385 values", "at most 16,384"),
        (np.array([["a"]]), "has dtype <U1", "numbers"),
        (np.ones((1, 1), complex), "has dtype complex128", "numbers"),
        (np.array([[1.0], [np.nan]]), "row 1 holds NaN or infinity", "finite values"),
        (np.full((3, 1), np.inf), "3 rows hold NaN or infinity, the first is row 0",
         "finite values"),
        (np.array([[1.0], [1e300], [-2e12]]), "2 rows hold values beyond 1e+12, the first is row 1",
         SINGLE),
        (np.array([[2**24 + 1]]), "row 0 holds values beyond 1.67772e+07", SINGLE),
        (np.array([[-(2**63)]]), "row 0 holds values beyond 1.67772e+07", SINGLE),
        (np.array([[1e-13]]), "holds no value beyond 1e-12", SINGLE),
    ],
)  # fmt: skip
def test_what_are_no_vectors_is_refused(values: Array, what: str, expected: str) -> None:
    with refused(what=what, expected=expected):
        from_features(values)


@pytest.mark.parametrize("row", [0, 4_095, 4_096, 9_999])
def test_a_bad_row_is_found_wherever_it_is(row: int) -> None:
    values = np.ones((10_000, 2), np.float16)
    values[row, 1] = np.nan
    with refused(what=f"row {row} holds NaN or infinity"):
        from_features(values)


@pytest.mark.parametrize(
    ("ids", "what"),
    [
        (np.array([1, 2, 3]), "holds 3 ids for 2 vectors"),
        (np.array([4, 4]), "has id '4' twice"),
        (np.array(["x", "x"]), "has id 'x' twice"),
        (np.array(["x", ""]), "has no ids (dtype <U1, shape (2,))"),
        (np.array([0.5, 1.5]), "has no ids (dtype float64, shape (2,))"),
        (np.array([b"\xff", b"a"]), "has no ids (dtype |S1, shape (2,))"),
        (np.array(["\ud800", "a"]), "has no ids (dtype <U1, shape (2,))"),
        (np.array([2**63, 1], np.uint64), "has no ids (dtype uint64, shape (2,))"),
        (np.ones((2, 2), int), "has no ids (dtype int64, shape (2, 2))"),
        (np.array(["a", "b"], object), "holds Python objects"),
    ],
)
def test_what_are_no_ids_is_refused(ids: Array, what: str, tmp_path: Path) -> None:
    np.savez(tmp_path / "v.npz", features=VECTORS, ids=ids)
    with refused(what=what):
        read_features(str(tmp_path / "v.npz"))


def test_which_array_is_meant_is_never_guessed(tmp_path: Path) -> None:
    many = {"a": VECTORS, "b": VECTORS}
    np.savez(tmp_path / "v.npz", a=VECTORS, b=VECTORS)
    save_file(many, tmp_path / "v.safetensors")
    with h5py.File(tmp_path / "v.h5", "w") as file:
        file["a"], file["b"] = VECTORS, VECTORS
    for name in ("v.npz", "v.safetensors", "v.h5"):
        with refused(
            what="2 of its arrays could be meant (a, b)",
            where=str(tmp_path / name),
            expected="one array of numbers with 2 axes",
            mend="name it, as FILE::KEY",
        ):
            read_features(str(tmp_path / name))
        assert np.array_equal(read_features(f"{tmp_path / name}::b")[1], VECTORS)
        with refused(what="no array is called 'c'", expected="one of a, b"):
            read_features(f"{tmp_path / name}::c")


def test_what_is_no_file_of_vectors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pickle.npy").write_bytes(b"")
    np.save(tmp_path / "pickle.npy", np.array([[{}]]), allow_pickle=True)
    (tmp_path / "text.csv").write_text("id,label\n")
    (tmp_path / "torn.safetensors").write_bytes(b"\x08" + b"\0" * 7 + b"{")
    for name, what in {
        "pickle.npy": "holds Python objects",
        "text.csv": "is of an unknown kind (.csv)",
        "gone.npy": "there is no such file",
        "": "holds images",
    }.items():
        with refused(what=what):
            read_features(f"{tmp_path}/{name}" if name else str(tmp_path))
    for name in ("pipe", "pipe.safetensors"):  # which is not waited for
        os.mkfifo(tmp_path / name)
        with within(5), refused(what="is not a regular file"):
            read_features(str(tmp_path / name))
    with refused(what="holds images", where="demo:digits"):
        load(Source(location="demo:digits", features=True))
    with pytest.raises(InputError, match=r"cannot be read \(.*a whole file of tensors"):
        read_features(str(tmp_path / "torn.safetensors"))


@pytest.mark.parametrize("setting", [{"layout": "nhw"}, {"range": "0:1"}, {"skip_bad": True}])
def test_what_is_said_of_images_is_refused(setting: dict[str, Any], tmp_path: Path) -> None:
    source = Source(location=write_npy(tmp_path, VECTORS), features=True, **setting)
    with refused(where=f"`{next(iter(setting))}`", mend="leave it out"):
        load(source)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("write", FORMATS)
def test_a_damaged_file_is_refused_or_read(
    write: Callable[[Path, Array], str],
    data: st.DataObject,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    location = write(tmp_path_factory.mktemp("file"), VECTORS)
    path = Path(location.partition("::")[0])
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        del content[place:]
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        _, found, _ = read_features(location)
        assert found.ndim == 2


def test_without_its_library_a_file_of_tensors_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = write_tensors(tmp_path, VECTORS)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(InputError) as caught:
        read_features(location)
    assert caught.value.mend.startswith("pip install")


# -- as images of a run ------------------------------------------------------------------------


@settings(max_examples=50)
@given(values=vectors())
def test_a_fingerprint_is_of_the_values_in_single_precision(values: Array) -> None:
    marks = fingerprints(values)
    single = values.astype(np.float32)
    assert np.array_equal(marks, fingerprints(single))
    assert np.array_equal(marks, fingerprints(0 - (0 - single.astype(np.float64))))
    equal = (single[:, None] == single[None]).all(2)
    assert np.array_equal(marks[:, None] == marks[None], equal)


def test_vectors_that_images_of_8_bits_would_be_rounded_to_differ() -> None:
    near = np.array([[1.0, 1.0], [0.9998, 1.0]], np.float32)
    assert len(set(fingerprints(near).tolist())) == 2
    assert len(set(fingerprints(near.reshape(2, 1, 2, 1)).tolist())) == 1


def photographs(names: list[str]) -> Images:
    pixels = np.zeros((len(names), 2, 2, 3), np.uint8)
    pixels[:, :, :, 0] = 51 * np.arange(len(names))[:, None, None]
    previews = tuple(name.encode() for name in names)
    return Images(pixels, np.array(names), Source(location="photos"), previews=previews)


def given_vectors(ids: Array) -> Images:
    return Images(np.ones((len(ids), 2)), ids, Source(location="v.npy", features=True))


def test_rows_without_ids_are_called_as_the_photographs() -> None:
    found = with_photographs(given_vectors(np.arange(2)), photographs(["a", "b"]))
    assert found.ids.tolist() == ["a", "b"]
    assert found.previews == (b"a", b"b")
    assert found.colours is not None
    assert np.allclose(found.colours, np.array([[0, 0, 0], [0.2, 0, 0]]))


def test_rows_with_ids_find_their_photographs() -> None:
    found = with_photographs(given_vectors(np.array(["c", "a"])), photographs(["a", "b", "c"]))
    assert found.ids.tolist() == ["c", "a"]
    assert found.previews == (b"c", b"a")
    assert found.skipped == ["1 image without a vector (b)"]
    composed = with_photographs(given_vectors(np.array(["\xe9"])), photographs(["e\u0301"]))
    assert composed.ids.tolist() == ["e\u0301"]
    numbers = Images(np.zeros((3, 2, 2, 1), np.uint8), np.arange(3), Source(location="x.npy"))
    assert with_photographs(given_vectors(np.array([2, 0])), numbers).ids.tolist() == [2, 0]


def test_photographs_that_do_not_belong_to_the_rows_are_refused() -> None:
    with refused(what="holds 3 images, and there are 2 vectors", where="photos"):
        with_photographs(given_vectors(np.arange(2)), photographs(["a", "b", "c"]))
    ids = given_vectors(np.array(["x", "a", "y"]))
    with refused(what="2 of 3 ids are not among its 2 images, the first is 'x'", where="photos"):
        with_photographs(ids, photographs(["a", "b"]))
    later = with_photographs(ids, photographs(["a", "b"]), lenient=True)
    assert later.previews == (b"", b"a", b"")
    assert later.colours is None


def test_a_source_of_images_says_nothing_of_features_in_its_json() -> None:
    source = Source(location="x")
    assert "features" not in source.to_json()
    both = source, dataclasses.replace(source, features=True)
    assert [Source(**each.to_json()) for each in both] == list(both)
