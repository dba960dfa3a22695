"""What is written comes back, equal content gives equal bytes, and nothing unfit is written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from samples import HEADER, LATENTS, SAMPLES, artifact, encode
from support import within

from aeclust.artifact import KINDS, Array, Artifact, decode_ids, encode_ids, read, write
from aeclust.artifact.header import MAX_ATTRIBUTE, check_header, nesting

POINTS = np.arange(8, dtype=np.float32).reshape(4, 2)
FOUR = Artifact("embedding", {"ids": np.arange(4)}, **HEADER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("artifacts")


# -- what is written comes back ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "file.h5"
    digest = write(path, artifact(kind))
    result = read(path)  # of any kind
    assert result.kind == kind
    assert result.digest == digest == hashlib.sha256(path.read_bytes()[512:]).hexdigest()
    assert {name: getattr(result, name) for name in HEADER} == HEADER
    assert result.versions["numpy"] == np.__version__
    assert set(result.arrays) == set(SAMPLES[kind])
    for name, value in SAMPLES[kind].items():
        stored = result.arrays[name]
        back = decode_ids(stored) if name == "ids" else stored
        assert (back.dtype.kind, back.shape) == (value.dtype.kind, value.shape)
        assert back.tolist() == value.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_any_hdf5_reader_reads_it(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "a.h5", artifact(kind))
    end = 0
    with h5py.File(tmp_path / "a.h5") as file:
        assert file.attrs["kind"] == kind.encode()
        assert {name: json.loads(file.attrs[name]) for name in HEADER} == HEADER
        for name, value in artifact(kind).arrays.items():
            assert file[name].dtype == value.dtype
            assert file[name][()].tolist() == value.tolist()
            if value.size:  # in its place, from which it can be mapped
                assert file[name].id.get_offset() % value.dtype.alignment == 0
                end = max(end, file[name].id.get_offset() + value.nbytes)
    assert (tmp_path / "a.h5").stat().st_size == end


def test_the_user_block_is_pinned() -> None:
    data, digest = encode(artifact())
    line = f"aeclust artifact 1 sha256:{digest}\n".encode()
    assert data[:512] == line + b"\0" * (512 - len(line))
    assert data[512:520] == b"\x89HDF\r\n\x1a\n"


def test_optional_datasets_may_be_missing(tmp_path: Path) -> None:
    for kind, name in (
        *(("resume", name) for name in ("targets", "optimizer/0.exp_avg")),
        *(("latents", name) for name in ("colours", "assignments", "view_clusters")),
        *(("labels", name) for name in ("shares", "embedding")),
    ):
        arrays = dict(SAMPLES[kind])
        del arrays[name]
        write(tmp_path / "a.h5", artifact(kind, arrays))
        assert set(read(tmp_path / "a.h5", kind).arrays) == set(arrays)


def test_equal_content_gives_equal_bytes_whenever_and_wherever_it_is_written(
    tmp_path: Path,
) -> None:
    first = {kind: encode(artifact(kind)) for kind in KINDS}
    write(tmp_path / "first.h5", artifact())
    time.sleep(1.1)  # HDF5 keeps times in seconds
    backwards = {kind: dict(reversed(SAMPLES[kind].items())) for kind in KINDS}
    again = {kind: encode(artifact(kind, backwards[kind])) for kind in KINDS}
    write(tmp_path / "elsewhere" / "second.h5", artifact())
    assert first == again
    assert (tmp_path / "first.h5").read_bytes() == first["latents"][0]
    assert (tmp_path / "elsewhere" / "second.h5").read_bytes() == first["latents"][0]


def test_another_value_or_header_gives_another_digest() -> None:
    changed = artifact(arrays={**LATENTS, "ids": np.array([0, 1, 3])})
    reseeded = dataclasses.replace(artifact(), seed=8)
    assert len({encode(each)[1] for each in (artifact(), changed, reseeded)}) == 3


def test_a_group_gives_its_datasets_by_their_inner_names() -> None:
    group = artifact("resume").group("optimizer/")
    assert list(group) == ["0.exp_avg", "0.rng"]
    assert group["0.rng"].tolist() == [0, 255]


finite = {"allow_nan": False, "allow_infinity": False}
plain_dtypes = st.sampled_from(
    [np.dtype(code) for code in ("f4", "f8", "i1", "i8", "u1", "u4", "?")]
)
plain_arrays = plain_dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=3),
        elements=finite if dtype.kind == "f" else None,
    )
)  # fmt: skip
leaves = (
    st.none() | st.booleans() | st.integers() | st.floats(**finite) | st.text(max_size=8)  # type: ignore[arg-type]
)
json_values = st.recursive(
    leaves, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3)
)
json_objects = st.dictionaries(st.text(max_size=5), json_values, max_size=4)
names = st.text(st.characters(codec="utf-8", exclude_characters="/.\0"), min_size=1, max_size=6)


def is_possible(details: dict[str, Any]) -> bool:
    try:
        check_header(0, details)
    except ValueError:
        return False
    return True


@settings(max_examples=100, deadline=None)
@given(
    arrays=st.dictionaries(names, plain_arrays, min_size=1, max_size=4),
    recipe=json_objects,
    seed=st.integers(0, 2**32 - 1),
    parents=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    details=json_objects.filter(is_possible),
)
def test_whatever_fits_comes_back_equal(
    arrays: dict[str, Array], folder: Path, **header: Any
) -> None:
    stored = {f"state_dict/{name}": value for name, value in arrays.items()}
    write(folder / "any.h5", Artifact(kind="weights", arrays=stored, **header))
    result = read(folder / "any.h5", "weights")
    back = result.group("state_dict/")
    facts = [
        {name: (a.dtype, a.shape, a.tobytes()) for name, a in d.items()} for d in (back, arrays)
    ]
    assert facts[0] == facts[1]
    for name, value in header.items():  # as text, so that 1, 1.0 and True differ
        back_again = json.dumps(getattr(result, name), sort_keys=True)
        assert back_again == json.dumps(value, sort_keys=True)


@settings(max_examples=60, deadline=None)
@given(
    ids=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\0")), min_size=1, max_size=6
    )
)
def test_any_texts_can_be_ids(ids: list[str], folder: Path) -> None:
    embedding = np.zeros((len(ids), 2), np.float32)
    arrays = {"embedding": embedding, "ids": np.array(ids, dtype=np.str_)}
    write(folder / "ids.h5", artifact("embedding", arrays))
    assert decode_ids(read(folder / "ids.h5").arrays["ids"]).tolist() == ids


def test_ids_are_stored_as_utf8_of_one_width_or_as_int64() -> None:
    stored = encode_ids(np.array(["a.png", "été/日本.png"]))
    assert stored.dtype == "S16"  # e-acute takes 2 bytes, each ideograph 3
    assert stored.tolist() == [b"a.png", "été/日本.png".encode()]
    assert decode_ids(stored).tolist() == ["a.png", "été/日本.png"]
    rows = encode_ids(np.arange(3, dtype=np.int32))
    assert rows.dtype == np.int64
    assert decode_ids(rows).tolist() == [0, 1, 2]


# -- in blocks ---------------------------------------------------------------------------------


def split(arrays: dict[str, Array], cuts: list[int]) -> list[dict[str, Array]]:
    """The rows between the cuts, some of them perhaps none."""
    edges = [0, *sorted(cuts), max(map(len, arrays.values()), default=0)]
    return [{name: a[i:j] for name, a in arrays.items()} for i, j in pairwise(edges)]


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(1, 300),
    widths=st.tuples(st.integers(1, 3), st.integers(1, 900)),
    cuts=st.lists(st.integers(0, 300), max_size=5),
    texts=st.booleans(),
    streamed=st.sets(st.sampled_from(["latents", "fingerprints", "colours", "ids"]), min_size=1),
    seed=st.integers(0, 99),
)
def test_blocks_give_the_bytes_of_the_whole(
    rows: int,
    widths: tuple[int, int],
    cuts: list[int],
    texts: bool,
    streamed: set[str],
    seed: int,
    folder: Path,
) -> None:
    rng = np.random.default_rng(seed)
    ids = np.array([f"{i:x}\u00fc.png" for i in range(rows)], np.str_) if texts else np.arange(rows)
    arrays: dict[str, Array] = {
        "latents": rng.normal(size=(rows, widths[1])).astype(np.float32)[:, ::-1],
        "ids": encode_ids(ids),
        "fingerprints": rng.integers(0, 2**64, rows, np.uint64),
        "colours": rng.random((rows, widths[0]), np.float32),
    }
    rest = {name: a for name, a in arrays.items() if name not in streamed}
    parts = {name: arrays[name] for name in sorted(streamed)}
    blocks = split(parts, [min(cut, rows) for cut in cuts])
    digest = write(folder / "blocks.h5", Artifact("latents", rest, **HEADER), rows, iter(blocks))
    written = (folder / "blocks.h5").read_bytes()
    assert (written, digest) == encode(Artifact("latents", arrays, **HEADER))
    back = read(folder / "blocks.h5", "latents").arrays
    assert {n: a.tolist() for n, a in back.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_more_values_than_are_handled_at_a_time(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3_000, 700)).astype(np.float32)  # 8 MB
    arrays: dict[str, Array] = {"embedding": values, "ids": np.arange(3_000)}
    blocks = split({"embedding": values}, [0, 1, 2_900])
    rest = Artifact("embedding", {"ids": np.arange(3_000)}, **HEADER)
    write(tmp_path / "a.h5", rest, 3_000, blocks)
    assert (tmp_path / "a.h5").read_bytes() == encode(Artifact("embedding", arrays, **HEADER))[0]
    assert np.array_equal(read(tmp_path / "a.h5").arrays["embedding"], values)


UNFIT_BLOCK = "a block does not fit those before it, or 4 rows"


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([POINTS[:2], POINTS[2:3]], "the blocks have 3 rows instead of 4"),
        ([POINTS[:3], POINTS[:2]], UNFIT_BLOCK),
        ([POINTS[:2], POINTS[2:, :1]], UNFIT_BLOCK),
        ([POINTS[:2], POINTS[2:].astype(int)], UNFIT_BLOCK),
        ([POINTS.astype(np.float64)], "'embedding' has dtype float64 instead of float32"),
        ([POINTS[:, 0]], "'embedding' has 1 dimensions instead of 2"),
        ([], "missing embedding, unexpected nothing"),
        ([POINTS[:2], np.full((2, 2), np.inf, np.float32)], "'embedding' holds NaN or infinity"),
    ],
)
def test_blocks_that_do_not_fit_leave_the_old_file(
    blocks: list[Array], message: str, tmp_path: Path
) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    with pytest.raises(ValueError, match=f"^{message}$"):
        write(tmp_path / "a.h5", FOUR, 4, ({"embedding": block} for block in blocks))
    assert os.listdir(tmp_path) == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"old"


def test_what_fails_between_two_blocks_is_not_a_failure_to_write(tmp_path: Path) -> None:
    def blocks() -> Iterator[dict[str, Array]]:
        yield {"embedding": POINTS[:2]}
        raise OSError("the images are gone")

    with pytest.raises(OSError, match=r"^the images are gone$"):
        write(tmp_path / "a.h5", FOUR, 4, blocks())
    assert os.listdir(tmp_path) == []


# -- what must not be written ------------------------------------------------------------------


def zeros(*shape: int, dtype: Any = np.float32) -> Array:
    return np.zeros(shape, dtype)


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("latents", {"latents": zeros(3, 2, dtype=float)}, "has dtype float64 instead of float32"),
        ("latents", {"latents": zeros(3, 2, dtype=np.float16)}, "'latents' has dtype float16"),
        ("latents", {"latents": zeros(3, 2, dtype=complex)}, "'latents' has dtype complex128"),
        ("latents", {"latents": np.array([[None]])}, "'latents' has dtype object"),
        ("latents", {"latents": zeros(3)}, "'latents' has 1 dimensions instead of 2"),
        ("latents", {"ids": np.arange(4)}, "'ids' has 4 rows or columns where others have 3"),
        ("latents", {"ids": np.array([b"a", b"b", b"\xff"])}, "'ids' is not UTF-8"),
        ("latents", {"labels": np.arange(3)}, "missing nothing, unexpected labels"),
        # optional datasets must fit as well
        ("resume", {"targets": zeros(4, 2, dtype=float)}, "dtype float64 instead of float32"),
        ("resume", {"targets": zeros(4)}, "'targets' has 1 dimensions instead of 2"),
        ("latents", {"colours": zeros(2, 3)}, "'colours' has 2 rows or columns where others have"),
        ("latents", {"assignments": zeros(4, 2)}, "'assignments' has 4 rows or columns where"),
        ("latents", {"view_clusters": zeros(2)}, "dtype float32 instead of int64"),
        ("labels", {"shares": zeros(5, 2)}, "'shares' has 5 rows or columns where others have 2"),
        ("labels", {"shares": zeros(2)}, "'shares' has 1 dimensions instead of 2"),
        # a name that only starts like the required one is another
        ("weights", {"state_dict": np.arange(3)}, "missing nothing, unexpected state_dict"),
    ],
)
def test_arrays_that_do_not_fit_the_kind_are_not_written(
    kind: str, changes: dict[str, Array], message: str, tmp_path: Path
) -> None:
    made = Artifact(kind, {**artifact(kind).arrays, **changes}, **HEADER)
    with pytest.raises(ValueError, match=f"{message}"):
        write(tmp_path / "a.h5", made)
    assert list(tmp_path.iterdir()) == []


def test_missing_datasets_are_named() -> None:
    for kind, missing in (("weights", "state_dict/"), ("embedding", "embedding, ids")):
        with pytest.raises(ValueError, match=f"^missing {missing}, unexpected nothing$"):
            encode(artifact(kind, {}))


BYTES = ("images", "previews")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in BYTES])
def test_nan_and_infinity_are_not_written(kind: str, tmp_path: Path) -> None:
    floating = next(name for name, value in SAMPLES[kind].items() if value.dtype.kind == "f")
    value = np.ones_like(SAMPLES[kind][floating])
    for bad in (np.nan, np.inf, -np.inf):
        value.flat[-1] = bad
        with pytest.raises(ValueError, match=f"^'{floating}' holds NaN or infinity$"):
            write(tmp_path / "a.h5", artifact(kind, {**SAMPLES[kind], floating: value}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": -1}, "seed -1 is not in 0 to 2^32 - 1"),
        ({"details": {"k": True}}, "'details' has an impossible 'k'"),
        ({"details": {"validated": -5}}, "'details' has an impossible 'validated'"),
        ({"details": {"long": "x" * 64_000}}, "the header is too large or nests too deep"),
        (
            {"details": {"deep": json.loads("[" * 40 + "]" * 40)}},
            "the header is too large or nests too deep",
        ),
        ({"details": {"loss": float("nan")}}, "not JSON compliant"),
    ],
)
def test_no_header_is_written_that_no_reader_takes(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    made = Artifact(kind="latents", arrays=LATENTS, **{**HEADER, **changes})
    with pytest.raises(ValueError, match=re.escape(message)):
        write(tmp_path / "a.h5", made)
    assert list(tmp_path.iterdir()) == []


def test_brackets_nest_but_in_texts() -> None:
    for text, depth in (
        ("{}", 1),
        ('{"a": [1, [2]], "b": "]]]["}', 3),
        (r'["\"[[", [0]]', 2),
        ('["[\n[", 1]', 1),  # no JSON, and refused as such
        ('["never ended [[[', 1),
    ):
        assert nesting(text) == depth
    with within(2):  # a text that never ends costs no time
        assert nesting('"' + '\\"' * (MAX_ATTRIBUTE // 2)) == 0
