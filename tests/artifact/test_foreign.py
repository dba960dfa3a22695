"""Arrays from HDF5 files that others wrote."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import Build
from support import give_memory, raising, refused

from aeclust.artifact import read_array
from aeclust.errors import InputError, WriteError


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.h5"
    with h5py.File(path, "w") as file:
        file["group/images"] = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
        file["labels"] = [5, 6]
        file.create_dataset("more", data=[7, 8], chunks=(1,))
    return path


@pytest.mark.parametrize(
    ("key", "name", "values"),
    [
        (None, "group/images", [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]),  # the only one with 3 axes
        ("more", "more", [7, 8]),  # whatever its axes
    ],
)
def test_the_array_that_is_meant_is_read(
    key: str | None, name: str, values: list[Any], mixed: Path
) -> None:
    array_name, array = read_array(mixed, key, (3, 4))
    assert array_name == name
    assert array.tolist() == values


ALL = "group/images, labels, more"
SEVERAL = f"2 of its arrays could be meant ({ALL})"
NONE = f"0 of its arrays could be meant ({ALL})"
NAME_IT = "name it, as FILE::KEY"


@pytest.mark.parametrize(
    ("key", "axes", "what", "expected", "mend"),
    [
        (None, (1,), SEVERAL, "one array of numbers with 1 axes", NAME_IT),
        (None, (4, 5), NONE, "one array of numbers with 4 or 5 axes", NAME_IT),
        ("group", (3,), "no array is called 'group'", f"one of {ALL}", "change the part after ::"),
        ("x", (3,), "no array is called 'x'", f"one of {ALL}", "change the part after ::"),
    ],
)
def test_an_unclear_choice_names_all_arrays(
    key: str | None, axes: tuple[int, ...], what: str, expected: str, mend: str, mixed: Path
) -> None:
    with refused(where=str(mixed), what=what, expected=expected, mend=mend):
        read_array(mixed, key, axes)


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    h5py.File(tmp_path / "a.h5", "w").close()
    with refused(what="0 of its arrays could be meant (it is empty)"):
        read_array(tmp_path / "a.h5", None, (1,))


def test_nobody_is_asked_to_delete_a_file_that_aeclust_did_not_write(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["names"] = ["a", "b"]
    with pytest.raises(InputError) as caught:
        read_array(tmp_path / "a.h5", "names", (3,))
    assert str(caught.value) == (
        f"{tmp_path / 'a.h5'}: 'names' has dtype object; "
        'expected numbers, or texts of one width; write texts as numpy.char.encode(names, "utf-8")'
    )


BESIDE: dict[str, tuple[Build, str]] = {
    "texts": (lambda f: f.__setitem__("a", ["x", "y"]), "'a' has dtype object"),
    "one text": (lambda f: f.__setitem__("a", "x"), "'a' has dtype object"),
    "half precision": (lambda f: f.__setitem__("a", np.zeros(3, "f2")), ""),
    "long double": (lambda f: f.__setitem__("a", np.zeros(3, "g")), ""),
    "complex": (lambda f: f.__setitem__("a", np.zeros((2, 3, 4), "c8")), "'a' has dtype complex64"),
    "table": (lambda f: f.__setitem__("a", np.zeros((2, 3, 4), "u1,f4")), "'a' has dtype [("),
    "references": (
        lambda f: f.create_dataset("a", (1, 1, 1), h5py.ref_dtype), "'a' has dtype object",
    ),
    "nothing": (
        lambda f: f.__setitem__("a", h5py.Empty("f4")), "cannot be used: 'a' holds nothing",
    ),
    "dates": (
        lambda f: h5py.h5d.create(
            f.id, b"a", h5py.h5t.UNIX_D32LE, h5py.h5s.create_simple((2, 2, 2))
        ),
        "cannot be used: HDF5 cannot read it (",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", BESIDE)
def test_what_is_no_array_may_lie_beside_one(what: str, tmp_path: Path) -> None:
    build, refusal = BESIDE[what]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.arange(8).reshape(2, 2, 2)
        build(file)
    for key in ("images", "/images", None):
        name, values = read_array(tmp_path / "a.h5", key, (3, 4))
        assert (name, values.ravel().tolist()) == ("images", list(range(8)))
    if refusal:
        with pytest.raises(InputError) as caught:
            read_array(tmp_path / "a.h5", "a", (3,))
        assert caught.value.what.startswith(refusal)
    else:
        assert read_array(tmp_path / "a.h5", "a", (3,))[1].tolist() == [0, 0, 0]


OUTSIDE: dict[str, tuple[Build, str]] = {
    "link": (lambda f: f.__setitem__("a", h5py.SoftLink("/g/x")), "is a link to somewhere else"),
    "file": (
        lambda f: f.__setitem__("a", h5py.ExternalLink("b.h5", "x")), "is a link to somewhere else",
    ),
    "filter": (
        lambda f: f.create_dataset("a", data=np.zeros((2, 2, 2)), compression="lzf"),
        "uses filter 32000",
    ),
    "virtual": (
        lambda f: f.create_virtual_dataset("a", h5py.VirtualLayout((2, 2, 2), "u1")),
        "keeps its data in other files",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", OUTSIDE)
def test_what_might_be_the_images_is_judged_unless_others_are_named(
    what: str, tmp_path: Path
) -> None:
    build, reason = OUTSIDE[what]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["g/x"] = np.arange(8).reshape(2, 2, 2)
        build(file)
    assert read_array(tmp_path / "a.h5", "g/x", (3,))[1].ravel().tolist() == list(range(8))
    refusal = f"cannot be used: 'a' {reason}"
    with refused(what=refusal, mend="name the array, as FILE::KEY"):
        read_array(tmp_path / "a.h5", None, (3,))
    for key in ("a", "a/x"):
        if key == "a" or "link" in reason:
            with refused(what=refusal, mend="copy the array into a new file"):
                read_array(tmp_path / "a.h5", key, (3,))
    with refused(what="no array is called 'b'"):
        read_array(tmp_path / "a.h5", "b", (3,))


def test_of_many_arrays_the_named_one_is_opened_and_few_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aeclust.artifact.gate._MAX_OBJECTS", 300)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for i in range(320):
            file[f"{i:04}"] = np.uint8(i % 7)
        file["deep/images"] = np.arange(8).reshape(2, 2, 2)
    _, values = read_array(tmp_path / "a.h5", "deep/images", (3,))
    assert values.ravel().tolist() == list(range(8))
    with refused(what="cannot be used: '0300' repeats an object or exceeds 300"):
        read_array(tmp_path / "a.h5", None, (3,))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        for i in range(300):
            file[f"{i:04}"] = np.zeros((1, 1, 1), np.uint8)
    names = "0000, 0001, 0002, 0003, 0004, 0005, 0006, 0007, 0008, 0009 and 290 more"
    with refused(what=f"300 of its arrays could be meant ({names})"):
        read_array(tmp_path / "b.h5", None, (3,))
    with refused(what="no array is called 'x'", expected=f"one of {names}"):
        read_array(tmp_path / "b.h5", "x", (3,))


def test_an_array_that_declares_more_than_its_file_can_hold_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["small"] = np.zeros((2, 2, 2))
        file.create_dataset("large", (2**20, 2**10, 2**10), "f4")
    assert read_array(tmp_path / "a.h5", "small", (3,))[1].shape == (2, 2, 2)
    with pytest.raises(InputError, match=f"it declares {2**42} bytes of data, more than"):
        read_array(tmp_path / "a.h5", "large", (3,))


def test_a_column_counts_as_one_axis(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["y"] = np.arange(5)[:, None]
        file["images"] = np.zeros((5, 5))
    assert read_array(tmp_path / "a.h5", None, (1,))[0] == "y"


def test_an_unknown_filter_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=np.zeros((3, 2)), compression="lzf")
    with refused(what="cannot be used: 'x' uses filter 32000"):
        read_array(tmp_path / "a.h5", None, (2,))


def test_more_than_the_memory_holds_is_refused(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5py.Dataset, "__getitem__", raising(MemoryError()))
    with refused(what="does not fit into the memory that is left"):
        read_array(mixed, "more", (1,))


def test_what_lies_in_one_piece_is_mapped_and_stays_that_of_its_file(mixed: Path) -> None:
    name, values = read_array(mixed, "group/images", (3,))
    assert name == "group/images"
    assert isinstance(values, np.memmap)
    assert not values.flags.writeable
    other = mixed.with_name("other.h5")
    with h5py.File(other, "w") as file:
        file["group/images"] = np.zeros((2, 2, 2), np.uint8)
    os.replace(other, mixed)
    assert values.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


@pytest.mark.parametrize("block", [0, 512, 2_048])
@pytest.mark.parametrize("dtype", ["u1", "<f4", ">i2", "<f8", "?"])
def test_a_map_holds_what_hdf5_reads(block: int, dtype: str, tmp_path: Path) -> None:
    wanted = np.random.default_rng(0).integers(0, 2, (7, 3, 5)).astype(dtype)
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=block) as file:
        file["odd"] = np.zeros(3, np.uint8)
        file["images"] = wanted
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert isinstance(values, np.memmap)
    assert values.dtype == wanted.dtype
    assert np.array_equal(values, wanted)


def _compact(file: Any) -> None:
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((2, 2, 2))
    h5py.h5d.create(file.id, b"images", h5py.h5t.NATIVE_UINT8, space, plist)
    file["images"][...] = np.arange(8).reshape(2, 2, 2)


def _twelve_bits(file: Any) -> None:  # in two bytes, which numpy has no type for
    narrow = h5py.h5t.NATIVE_INT16.copy()
    narrow.set_precision(12)
    h5py.h5d.create(file.id, b"images", narrow, h5py.h5s.create_simple((2, 2, 2)))
    file["images"][...] = np.arange(-4, 4).reshape(2, 2, 2)


NOT_MAPPED: dict[str, tuple[Build, list[int]]] = {
    "compact": (_compact, list(range(8))),
    "twelve bits": (_twelve_bits, list(range(-4, 4))),
    "never written": (lambda f: f.create_dataset("images", (2, 2, 2), "u1"), [0] * 8),
    "in chunks": (
        lambda f: f.create_dataset("images", data=np.arange(8).reshape(2, 2, 2), chunks=(1, 2, 1)),
        list(range(8)),
    ),
}


@pytest.mark.parametrize("way", NOT_MAPPED)
def test_what_cannot_be_mapped_is_read(way: str, tmp_path: Path) -> None:
    build, wanted = NOT_MAPPED[way]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        build(file)
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert not isinstance(values, np.memmap)
    assert values.ravel().tolist() == wanted


def test_a_dataset_that_ends_behind_its_file_is_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros((20, 20, 20), np.uint8)
    size = (tmp_path / "a.h5").stat().st_size
    os.truncate(tmp_path / "a.h5", size - 100)
    with pytest.raises(InputError, match="cannot be used: HDF5 cannot read it"):
        read_array(tmp_path / "a.h5", None, (3,))


@pytest.mark.parametrize("chunks", [(1, 4, 3), (7, 2, 5), (64, 6, 5)])
def test_large_chunked_data_is_decoded_to_disk_block_by_block(
    chunks: tuple[int, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = np.random.default_rng(0).integers(0, 256, (500, 6, 5), np.uint8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=wanted, chunks=chunks, compression="gzip")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr("aeclust.artifact.foreign._BLOCK", 16 * 64)
    give_memory(monkeypatch, 4 * wanted.nbytes)
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert not isinstance(values, np.memmap)
    give_memory(monkeypatch, 4 * wanted.nbytes - 4)
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert isinstance(values, np.memmap)
    assert np.array_equal(values, wanted)
    assert os.listdir(tmp_path / "temporary") == []


def test_no_room_for_decoded_data_is_a_write_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=np.ones((9, 6, 5)), chunks=(2, 6, 5))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    give_memory(monkeypatch, 2_000)
    monkeypatch.setattr("aeclust.artifact.foreign._BLOCK", 16)
    with refused(
        WriteError,
        where=str(tmp_path / "none"),
        what="could not be written (No such file or directory)",
    ):
        read_array(tmp_path / "a.h5", None, (3,))
