"""The artifact format: what is written comes back, and nothing else comes in."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from test_disk import FAULTS, UNHARMED, raising

from aeclust.artifact import (
    KINDS,
    Artifact,
    decode_ids,
    encode_ids,
    read,
    write,
    write_blocks,
)
from aeclust.artifact.header import (
    MAX_ATTRIBUTE,
    json_bytes,
    library_versions,
    misstated,
    nesting,
    user_block,
)
from aeclust.errors import InputError, WriteError

Array = NDArray[Any]
Build = Callable[[Any], None]

LATENTS: dict[str, Array] = {
    "latents": np.arange(6, dtype=np.float32).reshape(3, 2),
    "ids": np.array([0, 1, 2]),
    "fingerprints": np.array([0, 1, 2**64 - 1], np.uint64),
}
SAMPLES: dict[str, dict[str, Array]] = {
    "weights": {
        "state_dict/encoder.0.weight": np.full((2, 3, 1, 1), -0.5, np.float32),
        "state_dict/encoder.1.num_batches_tracked": np.array(12),
    },
    "resume": {
        "state_dict/w": np.array([1.5, -2.0], np.float32),
        "optimizer/0.exp_avg": np.zeros((0, 3), np.float32),
        "optimizer/0.rng": np.array([0, 255], np.uint8),
        "progress": np.array([4.0, 1e-300]),
        "targets": np.array([[0.25, 0.75], [1.0, 0.0]], np.float32),
    },
    "images": {
        "pixels": np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3),
        "ids": np.array(["a.png", "b/c.jpg"]),
        "skipped": np.array([b"d.png: broken data stream"]),
    },
    "latents": {
        **LATENTS,
        "colours": np.array([[0.1, 0.2, 1.0], [0.0, 0.5, 0.5], [1.0, 1.0, 1.0]], np.float32),
        "assignments": np.array([[0.1, 0.9], [0.5, 0.5], [1.0, 0.0]], np.float32),
        "view_latents": np.array([[0.5, 1.5], [2.0, 3.0]], np.float32),
        "view_clusters": np.array([1, 0]),
    },
    "labels": {
        "labels": np.array([0, 1]),
        "confidence": np.array([0.5, 1.0], np.float32),
        "ids": np.array(["a.png", "é/ü.png"]),
        "fingerprints": np.array([3, 4], np.uint64),
        "reference_latents": np.ones((5, 2), np.float32),
        "reference_labels": np.array([0, 1, 0, 1, 0]),
        "shares": np.array([[1.0, 0.0], [0.25, 0.75]], np.float32),
        "embedding": np.zeros((2, 2), np.float32),
    },
    "embedding": {
        "embedding": np.array([[1.0, -1.0]], np.float32),
        "ids": np.array([2**62]),
    },
    "curve": {
        "epochs": np.array([0, 3]),
        "errors": np.array([0.5, 1e-9]),
        "accuracies": np.array([0.5, 1.0]),
        "rank": np.array([1.0, 2.5]),
        "view_neighbours": np.array([0.0, 1.0]),
        "view_clusters": np.array([0.25, 0.5]),
        "information": np.array([0.0, 0.1]),
        "half_agreement": np.array([-0.1, 1.0]),
        "separation": np.array([0.3, 0.4]),
    },
}
HEADER: dict[str, Any] = {
    "recipe": {"name": "hybrid", "lr": 3e-3, "channels": [64, 128], "note": "Zürich [[[ {"},
    "seed": 7,
    "parents": {"data": "ab" * 32},
    "details": {"epoch": 3, "finished": True, "none": None},
}
ATTRIBUTES = {
    "kind": b"latents",
    "recipe": b"{}",
    "seed": b"0",
    "parents": b"{}",
    "details": b"{}",
    "versions": b"{}",
}
DAMAGED = "damaged or not from aeclust: "


def artifact(kind: str = "latents", arrays: dict[str, Array] | None = None) -> Artifact:
    stored = {
        name: encode_ids(value) if name == "ids" else value
        for name, value in (SAMPLES[kind] if arrays is None else arrays).items()
    }
    return Artifact(kind=kind, arrays=stored, **HEADER)


def encode(made: Artifact) -> tuple[bytes, str]:
    """The bytes of a file and their digest."""
    with TemporaryDirectory() as folder:
        digest = write(Path(folder) / "a.h5", made)
        assert os.listdir(folder) == ["a.h5"]
        return (Path(folder) / "a.h5").read_bytes(), digest


def sign(path: Path) -> None:
    """Give the file the user block that its content calls for, as an attacker would."""
    data = path.read_bytes()
    path.write_bytes(user_block(hashlib.sha256(data[512:]).hexdigest()) + data[512:])


def forge(path: Path, build: Build = lambda file: None, **options: Any) -> Path:
    """A signed latents file, right in every detail until `build` changes it."""
    with h5py.File(path, "w", userblock_size=512, **options) as file:
        for name, text in ATTRIBUTES.items():
            file.attrs[name] = np.bytes_(text)
        for name, value in LATENTS.items():
            file[name] = value
        build(file)
    sign(path)
    return path


def refusal(path: Path, kind: str | None = None) -> str:
    """What reading says, having checked that it is one line, names the file and means exit 2."""
    with pytest.raises(InputError) as caught:
        read(path, kind)
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert told.startswith(f"{path}: ")
    assert told.isprintable()
    return told.removeprefix(f"{path}: ")


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail, rather than hang, if the body waits for something that never comes."""
    before = signal.signal(signal.SIGALRM, raising(TimeoutError(f"hung for {seconds} s")))
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("artifacts")


# -- what is written comes back ----------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "file.h5"
    digest = write(path, artifact(kind))
    found = read(path, kind)
    assert found.kind == kind
    assert found.digest == digest == hashlib.sha256(path.read_bytes()[512:]).hexdigest()
    assert {name: getattr(found, name) for name in HEADER} == HEADER
    assert found.versions["numpy"] == np.__version__
    assert set(found.arrays) == set(SAMPLES[kind])
    for name, value in SAMPLES[kind].items():
        stored = found.arrays[name]
        back = decode_ids(stored) if name == "ids" else stored
        assert (back.dtype.kind, back.shape) == (value.dtype.kind, value.shape)
        assert back.tolist() == value.tolist()


def test_the_user_block_is_pinned() -> None:
    data, digest = encode(artifact())
    line = f"aeclust artifact 1 sha256:{digest}\n".encode()
    assert data[:512] == line + b"\0" * (512 - len(line))
    assert data[512:520] == b"\x89HDF\r\n\x1a\n"


def test_any_kind_is_taken_when_none_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", artifact("embedding"))
    assert read(tmp_path / "a.h5").kind == "embedding"


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("resume", "targets"),
        ("resume", "optimizer/0.exp_avg"),
        ("latents", "colours"),
        ("latents", "assignments"),
        ("latents", "view_clusters"),
        ("labels", "shares"),
        ("labels", "embedding"),
    ],
)
def test_an_optional_dataset_may_be_missing(kind: str, name: str, tmp_path: Path) -> None:
    arrays = {other: value for other, value in SAMPLES[kind].items() if other != name}
    assert set(arrays) == set(SAMPLES[kind]) - {name}
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
    changed = {**LATENTS, "ids": np.array([0, 1, 3])}
    other_seed = Artifact(kind="latents", arrays=LATENTS, **{**HEADER, "seed": 8})
    digests = {encode(a)[1] for a in (artifact(), artifact(arrays=changed), other_seed)}
    assert len(digests) == 3


def test_a_group_gives_its_datasets_by_their_inner_names() -> None:
    group = artifact("resume").group("optimizer/")
    assert list(group) == ["0.exp_avg", "0.rng"]
    assert group["0.rng"].tolist() == [0, 255]


def test_with_digest_changes_only_the_digest() -> None:
    before = artifact()
    after = before.with_digest("ab")
    assert (after.digest, after.arrays, after.recipe) == ("ab", before.arrays, before.recipe)


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("{}", 1),
        ('{"a": [1, [2]], "b": "]]]["}', 3),
        (r'["\"[[", [0]]', 2),
        ('["[\n[", 1]', 1),  # no JSON, and refused as such
        ('["never ended [[[', 1),
    ],
)
def test_brackets_nest_but_in_texts(text: str, depth: int) -> None:
    assert nesting(text) == depth


def test_a_text_that_never_ends_costs_no_time() -> None:
    with within(2):
        assert nesting('"' + '\\"' * (MAX_ATTRIBUTE // 2)) == 0


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": -1}, "latents: seed -1 is not in 0 to 2^32 - 1"),
        ({"details": {"k": True}}, "latents: 'details' has an impossible 'k'"),
    ],
)
def test_no_header_is_written_that_no_reader_takes(
    changed: dict[str, Any], told: str, tmp_path: Path
) -> None:
    made = Artifact(kind="latents", arrays=LATENTS, **{**HEADER, **changed})
    with pytest.raises(ValueError, match=re.escape(told)):
        write(tmp_path / "a.h5", made)
    assert list(tmp_path.iterdir()) == []


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


@settings(max_examples=100, deadline=None)
@given(
    arrays=st.dictionaries(names, plain_arrays, min_size=1, max_size=4),
    recipe=json_objects,
    seed=st.integers(0, 2**32 - 1),
    parents=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    details=json_objects.filter(lambda details: not misstated(0, details)),
)
def test_whatever_fits_comes_back_equal(
    arrays: dict[str, Array],
    recipe: dict[str, Any],
    seed: int,
    parents: dict[str, str],
    details: dict[str, Any],
    folder: Path,
) -> None:
    stored = {f"state_dict/{name}": value for name, value in arrays.items()}
    header: dict[str, Any] = {
        "recipe": recipe, "seed": seed, "parents": parents, "details": details
    }  # fmt: skip
    write(folder / "any.h5", Artifact(kind="weights", arrays=stored, **header))
    found = read(folder / "any.h5", "weights")
    back = found.group("state_dict/")
    assert set(back) == set(arrays)
    for name, value in arrays.items():
        assert (back[name].dtype, back[name].shape) == (value.dtype, value.shape)
        assert back[name].tobytes() == value.tobytes()
    for name, wanted in header.items():  # as text, so that 1, 1.0 and True differ
        got = getattr(found, name)
        assert json.dumps(got, sort_keys=True) == json.dumps(wanted, sort_keys=True)


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


# -- in blocks ---------------------------------------------------------------------------------


def plainly(made: Artifact) -> bytes:
    """The file that HDF5 makes by itself, all at once and in memory, behind the user block."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=512) as file:
        file.attrs["kind"] = np.bytes_(made.kind.encode())
        for name in ("recipe", "seed", "parents", "details"):
            file.attrs[name] = json_bytes(getattr(made, name))
        file.attrs["versions"] = json_bytes(library_versions())
        for name in sorted(made.arrays):
            file.create_dataset(name, data=made.arrays[name], track_times=False)
    payload = buffer.getvalue()[512:]
    return user_block(hashlib.sha256(payload).hexdigest()) + payload


def split(arrays: dict[str, Array], cuts: list[int]) -> list[dict[str, Array]]:
    """The rows between the cuts, some of them perhaps none."""
    edges = [0, *sorted(cuts), max(map(len, arrays.values()), default=0)]
    return [{name: a[i:j] for name, a in arrays.items()} for i, j in pairwise(edges)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_laid_out_as_hdf5_does_it(kind: str) -> None:
    assert encode(artifact(kind))[0] == plainly(artifact(kind))


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
    made = Artifact("latents", arrays, **HEADER)
    rest = {name: a for name, a in arrays.items() if name not in streamed}
    parts = {name: arrays[name] for name in sorted(streamed)}
    blocks = split(parts, [min(cut, rows) for cut in cuts])
    digest = write_blocks(
        folder / "blocks.h5", Artifact("latents", rest, **HEADER), rows, iter(blocks)
    )
    written = (folder / "blocks.h5").read_bytes()
    assert written == plainly(made)
    assert digest == hashlib.sha256(written[512:]).hexdigest()
    found = read(folder / "blocks.h5", "latents").arrays
    assert {n: a.tolist() for n, a in found.items()} == {n: a.tolist() for n, a in arrays.items()}


def test_more_values_than_are_handled_at_a_time(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3_000, 700)).astype(np.float32)  # 8 MB
    arrays: dict[str, Array] = {"embedding": values, "ids": np.arange(3_000)}
    made = Artifact("embedding", arrays, **HEADER)
    blocks = split({"embedding": values}, [0, 1, 2_900])
    rest = Artifact("embedding", {"ids": np.arange(3_000)}, **HEADER)
    write_blocks(tmp_path / "a.h5", rest, 3_000, blocks)
    assert (tmp_path / "a.h5").read_bytes() == encode(made)[0] == plainly(made)
    assert np.array_equal(read(tmp_path / "a.h5").arrays["embedding"], values)


POINTS = np.arange(8, dtype=np.float32).reshape(4, 2)


@pytest.mark.parametrize(
    ("blocks", "told"),
    [
        ([POINTS[:2], POINTS[2:3]], "the blocks have 3 rows instead of 4"),
        ([POINTS[:3], POINTS[:2]], "a block does not fit those before it, or 4 rows"),
        ([POINTS[:2], POINTS[2:, :1]], "a block does not fit those before it, or 4 rows"),
        ([POINTS[:2], POINTS[2:].astype(int)], "a block does not fit those before it, or 4 rows"),
        ([POINTS.astype(np.float64)], "'embedding' has dtype float64 instead of float32"),
        ([POINTS[:, 0]], "'embedding' has 1 dimensions instead of 2"),
        ([], "missing embedding, unexpected nothing"),
        ([POINTS[:2], POINTS[2:] * np.inf], "'embedding' holds NaN or infinity"),
    ],
)
def test_blocks_that_do_not_fit_leave_the_old_file(
    blocks: list[Array], told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.h5").write_bytes(b"old")
    made = Artifact("embedding", {"ids": np.arange(4)}, **HEADER)
    with (
        np.errstate(invalid="ignore"),
        pytest.raises(ValueError, match=f"^embedding: {told}$"),
    ):
        write_blocks(tmp_path / "a.h5", made, 4, ({"embedding": block} for block in blocks))
    assert os.listdir(tmp_path) == ["a.h5"]
    assert (tmp_path / "a.h5").read_bytes() == b"old"


def test_what_fails_between_two_blocks_is_not_a_failure_to_write(tmp_path: Path) -> None:
    def blocks() -> Iterator[dict[str, Array]]:
        yield {"embedding": POINTS[:2]}
        raise OSError("the images are gone")

    made = Artifact("embedding", {"ids": np.arange(4)}, **HEADER)
    with pytest.raises(OSError, match=r"^the images are gone$"):
        write_blocks(tmp_path / "a.h5", made, 4, blocks())
    assert os.listdir(tmp_path) == []


def test_ids_are_stored_as_utf8_of_one_width_or_as_int64() -> None:
    stored = encode_ids(np.array(["a.png", "été/日本.png"]))
    assert stored.dtype == "S16"  # e-acute takes 2 bytes, each ideograph 3
    assert stored.tolist() == [b"a.png", "été/日本.png".encode()]
    assert decode_ids(stored).tolist() == ["a.png", "été/日本.png"]
    rows = encode_ids(np.arange(3, dtype=np.int32))
    assert rows.dtype == np.int64
    assert decode_ids(rows).tolist() == [0, 1, 2]


# -- what must not be written ------------------------------------------------------------------


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "images"])  # which are bytes
def test_nan_and_infinity_are_refused_before_writing(kind: str, bad: float, tmp_path: Path) -> None:
    floating = next(name for name, value in SAMPLES[kind].items() if value.dtype.kind == "f")
    value = np.ones_like(SAMPLES[kind][floating])
    value.flat[-1] = bad
    with pytest.raises(ValueError, match=f"^{kind}: '{floating}' holds NaN or infinity$"):
        write(tmp_path / "a.h5", artifact(kind, {**SAMPLES[kind], floating: value}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"latents": np.zeros((3, 2))}, "'latents' has dtype float64 instead of float32"),
        ({"latents": np.zeros((3, 2), np.float16)}, "'latents' has dtype float16"),
        ({"latents": np.zeros((3, 2), complex)}, "'latents' has dtype complex128"),
        ({"latents": np.array([[None]])}, "'latents' has dtype object"),
        ({"latents": np.zeros(3, np.float32)}, "'latents' has 1 dimensions instead of 2"),
        ({"ids": np.arange(4)}, "'ids' has 4 rows or columns where others have 3"),
        ({"labels": np.arange(3)}, "missing nothing, unexpected labels"),
    ],
)
def test_arrays_that_do_not_fit_the_kind_are_refused_before_writing(
    changes: dict[str, Array], told: str
) -> None:
    with pytest.raises(ValueError, match="latents") as caught:
        encode(artifact(arrays={**LATENTS, **changes}))
    assert str(caught.value) == f"latents: {told}"


@pytest.mark.parametrize(
    ("kind", "name", "value", "told"),
    [
        ("resume", "targets", np.zeros((4, 2)), "dtype float64 instead of float32"),
        ("resume", "targets", np.zeros(4, np.float32), "1 dimensions instead of 2"),
        (
            "latents", "colours", np.zeros((2, 3), np.float32),
            "2 rows or columns where others have 3",
        ),
        ("latents", "colours", np.zeros((3, 3)), "dtype float64 instead of float32"),
        (
            "latents", "assignments", np.zeros((4, 2), np.float32),
            "4 rows or columns where others have 3",
        ),
        ("latents", "assignments", np.zeros((3, 2), np.int64), "dtype int64 instead of float32"),
        ("latents", "view_clusters", np.zeros(3), "dtype float64 instead of int64"),
        (
            "labels", "shares", np.zeros((5, 2), np.float32),
            "5 rows or columns where others have 2",
        ),
        ("labels", "shares", np.zeros(2, np.float32), "1 dimensions instead of 2"),
    ],
)  # fmt: skip
def test_optional_datasets_must_fit_as_well(kind: str, name: str, value: Array, told: str) -> None:
    with pytest.raises(ValueError, match=name) as caught:
        encode(artifact(kind, {**SAMPLES[kind], name: value}))
    assert str(caught.value) == f"{kind}: {name!r} has {told}"


def test_missing_datasets_are_refused_before_writing() -> None:
    with pytest.raises(ValueError, match=r"^weights: missing state_dict/, unexpected nothing$"):
        encode(artifact("weights", {}))
    with pytest.raises(
        ValueError, match=r"^embedding: missing embedding, ids, unexpected nothing$"
    ):
        encode(artifact("embedding", {}))


def test_ids_that_are_not_utf8_are_refused_before_writing() -> None:
    with pytest.raises(ValueError, match=r"^latents: 'ids' is not UTF-8$"):
        encode(Artifact("latents", {**LATENTS, "ids": np.array([b"a", b"b", b"\xff"])}, **HEADER))


@pytest.mark.parametrize(
    "details",
    [{"long": "x" * 64_000}, {"deep": json.loads("[" * 40 + "]" * 40)}],
    ids=["long", "deep"],
)
def test_a_header_that_reading_would_refuse_is_not_written(details: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^the header is too large or nests too deep: "):
        encode(Artifact("latents", LATENTS, **{**HEADER, "details": details}))


def test_nan_in_the_header_is_refused_before_writing() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode(Artifact("latents", LATENTS, **{**HEADER, "details": {"loss": float("nan")}}))


# -- whole or not at all -----------------------------------------------------------------------


@pytest.mark.parametrize("stage", FAULTS)
@pytest.mark.parametrize("count", [1, 100_000], ids=["small", "large"])
def test_a_fault_under_an_artifact_leaves_the_old_file_and_nothing_else(
    stage: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")
    target, fault, reason = FAULTS[stage]
    made = Artifact("embedding", {"ids": np.arange(2 * count)}, **HEADER)
    with monkeypatch.context() as patch:
        patch.setattr(target, fault)
        with pytest.raises(WriteError) as caught:
            write_blocks(
                path, made, 2 * count, [{"embedding": np.ones((count, 2), np.float32)}] * 2
            )
    assert str(caught.value) == f"{path}: could not be written ({reason}); {UNHARMED}"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", [0, 511, 512, 1_500, -1])
def test_a_byte_that_the_disk_changes_anywhere_is_noticed(
    place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = encode(artifact())
    where = place % len(whole)
    other = bytes([whole[where] ^ 1])
    monkeypatch.setattr("os.fsync", lambda handle: os.pwrite(handle, other, where))
    with pytest.raises(WriteError, match="what was read back differs from what was written"):
        write(tmp_path / "a.h5", artifact())
    assert os.listdir(tmp_path) == []


def test_a_byte_that_changes_before_the_file_is_sealed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest would be right, but it is not what was handed over."""

    class Spoiling(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data).replace(POINTS.tobytes(), POINTS[::-1].tobytes()))

    def opened(handle: int, mode: str) -> io.BufferedRandom:
        return io.BufferedRandom(Spoiling(handle, mode))

    monkeypatch.setattr("os.fdopen", opened)
    with pytest.raises(WriteError, match="what was read back differs from what was written"):
        write(
            tmp_path / "a.h5",
            Artifact("embedding", {"embedding": POINTS, "ids": np.arange(4)}, **HEADER),
        )
    assert os.listdir(tmp_path) == []


# -- every flipped bit -------------------------------------------------------------------------

WHOLE, _ = encode(artifact())


def test_a_flipped_bit_in_any_byte_of_the_user_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for position in range(512):
        data = bytearray(WHOLE)
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        with pytest.raises(InputError, match=r"not an aeclust artifact|damaged|is of format"):
            read(path)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(position: int, bit: int, folder: Path) -> None:
    data = bytearray(WHOLE)
    data[position] ^= 1 << bit
    (folder / "flipped.h5").write_bytes(data)
    with pytest.raises(InputError, match=r"not an aeclust artifact|damaged|is of format"):
        read(folder / "flipped.h5")


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_any_truncation_is_refused(length: int, folder: Path) -> None:
    (folder / "short.h5").write_bytes(WHOLE[:length])
    told = refusal(folder / "short.h5")
    if length >= 512:
        assert told.startswith(f"{DAMAGED}its bytes do not match its SHA-256; expected a file as")


def test_appended_bytes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(WHOLE + b"\0")
    assert refusal(tmp_path / "a.h5") == (
        f"{DAMAGED}its bytes do not match its SHA-256; expected a file as aeclust wrote it; "
        "delete it to have it made anew, or restore a copy"
    )
