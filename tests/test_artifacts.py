"""The artifact format: what is written comes back, and nothing else comes in."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
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
from conftest import give_memory
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from aeclust import artifacts
from aeclust.artifacts import (
    KINDS,
    Artifact,
    claimed_digest,
    decode_ids,
    encode_ids,
    is_artifact,
    read,
    read_array,
    write,
    write_blocks,
    write_bytes,
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
UNHARMED = "free space or choose another place; what was there before is unharmed"
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


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
    path.write_bytes(artifacts._user_block(hashlib.sha256(data[512:]).hexdigest()) + data[512:])


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


def instead(name: str, make: Build) -> Build:
    """A build that removes dataset `name` before `make` puts another thing there."""

    def build(file: Any) -> None:
        del file[name]
        make(file)

    return build


def attribute(name: str, value: Any) -> Build:
    def build(file: Any) -> None:
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return build


def refusal(path: Path, kind: str | None = None) -> str:
    """What reading says, having checked that it is one line, names the file and means exit 2."""
    with pytest.raises(InputError) as caught:
        read(path, kind)
    told = str(caught.value)
    assert caught.value.exit_code == 2
    assert told.startswith(f"{path}: ")
    assert told.isprintable()
    return told.removeprefix(f"{path}: ")


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail


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


@contextmanager
def watching(path: Path) -> Iterator[Callable[[], bool]]:
    """Whether anybody, C libraries included, opened the file since the last question (inotify)."""
    libc = ctypes.CDLL(None)
    handle = libc.inotify_init1(os.O_NONBLOCK)
    assert libc.inotify_add_watch(handle, os.fsencode(path), 0x20) >= 0  # IN_OPEN

    def opened() -> bool:
        try:
            return bool(os.read(handle, 65_536))
        except BlockingIOError:
            return False

    try:
        yield opened
    finally:
        os.close(handle)


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
    seed=st.integers(),
    parents=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
    details=json_objects,
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
@given(ids=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0")), max_size=6))
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
            file.attrs[name] = artifacts._json_bytes(getattr(made, name))
        file.attrs["versions"] = artifacts._json_bytes(artifacts._library_versions())
        for name in sorted(made.arrays):
            file.create_dataset(name, data=made.arrays[name], track_times=False)
    payload = buffer.getvalue()[512:]
    return artifacts._user_block(hashlib.sha256(payload).hexdigest()) + payload


def split(arrays: dict[str, Array], cuts: list[int]) -> list[dict[str, Array]]:
    """The rows between the cuts, some of them perhaps none."""
    edges = [0, *sorted(cuts), max(map(len, arrays.values()), default=0)]
    return [{name: a[i:j] for name, a in arrays.items()} for i, j in pairwise(edges)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_laid_out_as_hdf5_does_it(kind: str) -> None:
    assert encode(artifact(kind))[0] == plainly(artifact(kind))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(0, 300),
    widths=st.tuples(st.integers(1, 3), st.integers(0, 900)),
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
    if texts and not rows:
        arrays["ids"] = np.array([], "S1")
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


class FullDisk(io.FileIO):
    """A file on a disk without space."""

    def write(self, data: object) -> int:
        raise NO_SPACE


def on_full_disk(handle: int, mode: str) -> io.BufferedRandom:
    return io.BufferedRandom(FullDisk(handle, mode))


FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "mkstemp": ("tempfile.mkstemp", raising(NO_SPACE), "No space left on device"),
    "write": ("os.fdopen", on_full_disk, "No space left on device"),
    "fsync": ("os.fsync", raising(OSError(errno.EIO, "Input/output error")), "Input/output error"),
    "chmod": ("os.chmod", raising(PermissionError(errno.EPERM, "Not permitted")), "Not permitted"),
    "replace": ("os.replace", raising(NO_SPACE), "No space left on device"),
    **{
        f"read back {name}": ("os.fsync", spoil, "what was read back differs from what was written")
        for name, spoil in {
            "changed": lambda handle: os.pwrite(handle, b"X", 2),
            "short": lambda handle: os.truncate(handle, 2),
            "long": lambda handle: os.pwrite(handle, b"X", 1 << 21),
        }.items()
    },
}


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


@pytest.mark.parametrize("stage", FAULTS)
@pytest.mark.parametrize("size", [3, 1 << 21], ids=["small", "large"])
def test_a_fault_at_any_stage_leaves_the_old_file_and_nothing_else(
    stage: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")
    target, fault, reason = FAULTS[stage]
    with monkeypatch.context() as patch:
        patch.setattr(target, fault)
        with pytest.raises(WriteError) as caught:
            write_bytes(path, b"n" * size)
    assert str(caught.value) == f"{path}: could not be written ({reason}); {UNHARMED}"
    assert caught.value.exit_code == 4
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")
    monkeypatch.setattr("os.fsync", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_below_a_file_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(WriteError, match=r"could not be written \((File exists|Not a directory)\)"):
        write_bytes(tmp_path / "file" / "a.h5", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_folder_in_the_place_of_the_file_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "a.h5").mkdir()
    with pytest.raises(WriteError, match=r"could not be written \(Is a directory\)"):
        write_bytes(tmp_path / "a.h5", b"new")
    assert [p.name for p in tmp_path.rglob("*")] == ["a.h5"]


def test_a_folder_that_cannot_be_forced_to_disk_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forced: list[bool] = []

    def fsync(handle: int) -> None:
        forced.append(os.path.isdir(f"/proc/self/fd/{handle}"))
        if forced[-1]:
            raise OSError(errno.EINVAL, "some file systems refuse")

    monkeypatch.setattr("os.fsync", fsync)
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert forced == [False, True]  # the file first, then its folder


def test_the_new_file_replaces_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"old", b"", b"n" * 3_000_000):
        write_bytes(path, data)
        assert path.read_bytes() == data
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o007, 0o660)])
def test_permissions_follow_the_umask(mask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"x")
    finally:
        after = os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode
    assert after == mask


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


# -- the gate: files that are no artifacts -----------------------------------------------------


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    told = refusal(tmp_path / "none.h5")
    assert told == "cannot be read (No such file or directory); check the path"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is not a regular file; expected an HDF5 file"


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.h5"
    os.mkfifo(path)
    with within(30):
        assert refusal(path) == "is not a regular file; expected an HDF5 file"
        assert not is_artifact(path)
        assert claimed_digest(path) == ""


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x89HDF\r\n\x1a\n", WHOLE[512:]])
def test_a_file_without_the_user_block_is_no_artifact(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    assert refusal(tmp_path / "a.h5") == (
        "is not an aeclust artifact; expected a file written by aeclust; check the path"
    )


def test_a_newer_format_asks_for_a_newer_aeclust(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(WHOLE.replace(b"artifact 1 ", b"artifact 2 ", 1))
    assert refusal(tmp_path / "a.h5") == (
        "is of format 2; expected format 1; read it with a newer aeclust"
    )


def test_another_kind_than_the_one_asked_for_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", artifact("labels"))
    assert refusal(tmp_path / "a.h5", "latents") == (
        "this is a labels file; expected a latents file; name another"
    )


def test_a_file_that_may_not_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.h5", artifact())
    denied = raising(PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr(artifacts, "open", denied, raising=False)
    assert refusal(tmp_path / "a.h5") == "cannot be read (Permission denied); check its permissions"
    assert not is_artifact(tmp_path / "a.h5")


def test_a_file_beyond_the_size_cap_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.h5", artifact())
    monkeypatch.setattr(artifacts, "_MAX_BYTES", 1_000)
    assert refusal(tmp_path / "a.h5") == f"has {len(WHOLE)} bytes; expected at most 1000"


def test_signed_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(bytes(512) + b"garbage" * 100)
    sign(tmp_path / "a.h5")
    assert refusal(tmp_path / "a.h5").startswith(f"{DAMAGED}HDF5 cannot read it (")


def test_is_artifact_and_claimed_digest_look_at_the_first_line_only(tmp_path: Path) -> None:
    whole, torn, text = tmp_path / "whole.h5", tmp_path / "torn.h5", tmp_path / "text.h5"
    digest = write(whole, artifact())
    torn.write_bytes(whole.read_bytes()[:600])
    text.write_bytes(b"aeclust\n")
    found = {p.name: (is_artifact(p), claimed_digest(p)) for p in (whole, torn, text, tmp_path)}
    assert found == {
        "whole.h5": (True, digest),
        "torn.h5": (True, digest),
        "text.h5": (False, ""),
        tmp_path.name: (False, ""),
    }
    assert not is_artifact(tmp_path / "none.h5")


# -- the gate: signed, hostile HDF5 ------------------------------------------------------------


def test_a_forged_file_without_malice_is_read(tmp_path: Path) -> None:
    # so that each refusal below is due to the one thing that is wrong
    found = read(forge(tmp_path / "a.h5"), "latents")
    assert {name: value.tolist() for name, value in found.arrays.items()} == {
        name: value.tolist() for name, value in LATENTS.items()
    }


PLAIN: dict[str, dict[str, Any]] = {
    "filtered": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "growing": {"maxshape": (None, 2)},
    "chunked": {"chunks": (1, 2)},
}


@pytest.mark.parametrize("way", PLAIN)
def test_only_other_files_may_be_stored_in_chunks(way: str, tmp_path: Path) -> None:
    build = instead("latents", lambda f: f.create_dataset("latents", data=[[1, 2]] * 3, dtype="f4",
                                                          **PLAIN[way]))  # fmt: skip
    path = forge(tmp_path / "a.h5", build)
    assert refusal(path).startswith(f"{DAMAGED}'latents' is stored in chunks")
    assert read_array(path, "latents", (2,))[1].tolist() == [[1, 2]] * 3


def test_a_chunk_counts_whole_however_little_of_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 256 MB of zeros are a small file, and HDF5 would take all of them into memory
    build = instead("latents", lambda f: f.create_dataset(
        "latents", data=np.zeros((3, 2), "f4"), maxshape=(None, None), chunks=(32, 2_000_000),
        compression="gzip"))  # fmt: skip
    path = forge(tmp_path / "a.h5", build)
    assert refusal(path).startswith(f"{DAMAGED}'latents' is stored in chunks")
    give_memory(monkeypatch, 2e8)
    with pytest.raises(InputError, match="'latents' needs about 0 GB of memory"):
        read_array(path, "latents", (2,))


def test_a_name_is_never_followed_as_a_path(tmp_path: Path) -> None:
    # HDF5 keeps any bytes as a name, and looks a name with a slash up as a path
    path = tmp_path / "a.h5"
    for written, forged in ((b"zxb\0", b"z/b\0"), (b"zxb\0", b".\0b\0")):
        with h5py.File(path, "w") as file:
            file["zxb"] = np.zeros((3, 2), "f4")
        data = path.read_bytes()
        assert data.count(written) == 1
        path.write_bytes(data.replace(written, forged))
        with pytest.raises(InputError) as caught:
            read_array(path, None, (2,))
        assert f"{forged.partition(bytes(1))[0].decode()!r} is no name" in str(caught.value)


def _compound(file: Any) -> None:
    file["latents"] = np.zeros((3, 2), [("a", "f4")])


def _nested(file: Any) -> None:
    file.create_group("/".join("abcdefghi"))


def _committed(file: Any) -> None:
    file["type"] = np.dtype("f4")


def _texts(file: Any) -> None:
    file["ids"] = ["a", "b", "c"]  # of variable length


def _set(name: str, value: Any) -> Build:
    return instead(name, lambda file: file.create_dataset(name, data=value))


HOSTILE: dict[str, tuple[Build, str]] = {
    "hard-link cycle": (
        lambda f: f.create_group("a").__setitem__("loop", f["/"]),
        "'a/loop/a' repeats an object or exceeds 4096",
    ),
    "second name": (
        lambda f: f.__setitem__("again", f["latents"]),
        "'latents' repeats an object or exceeds 4096",
    ),
    "too deep": (_nested, "'a/b/c/d/e/f/g/h/i' lies deeper than 8 groups"),
    "committed type": (_committed, "'type' is neither group nor dataset"),
    "dangling soft link": (
        lambda f: f.__setitem__("extra", h5py.SoftLink("/nowhere")),
        "'extra' is a link to somewhere else",
    ),
    "unknown filter": (
        instead("latents", lambda f: f.create_dataset(
            "latents", data=np.zeros((3, 2), "f4"), compression="lzf")),
        "'latents' is stored in chunks",
    ),
    "4 TB declared": (
        instead("latents", lambda f: f.create_dataset("latents", shape=(2**38, 4), dtype="f4")),
        f"it declares {2**42 + 48} bytes of data, more than ",
    ),
    "expanding": (
        instead("latents", lambda f: f.create_dataset(
            "latents", shape=(3, 10**7), dtype="f4", chunks=(3, 10**6), compression="gzip")),
        "'latents' is stored in chunks",
    ),
    "bomb": (
        instead("latents", lambda f: f.create_dataset(
            "latents", data=np.zeros((3, 2 * 10**7), "f4"), chunks=(3, 10**6),
            compression="gzip")),
        "'latents' is stored in chunks",
    ),
    "texts of any length": (instead("ids", _texts), "'ids' has dtype object"),
    "compound": (instead("latents", _compound), "'latents' has dtype [('a', '<f4')]"),
    "half precision": (_set("latents", np.zeros((3, 2), "f2")), "'latents' has dtype float16"),
    "complex": (_set("latents", np.zeros((3, 2), complex)), "'latents' has dtype complex128"),
    "no value": (_set("latents", h5py.Empty("f4")), "'latents' has dtype float32"),
    "other precision": (
        _set("latents", np.zeros((3, 2))), "'latents' has dtype float64 instead of float32",
    ),
    "other byte order": (
        _set("latents", np.zeros((3, 2), ">f4")), "'latents' has dtype >f4 instead of float32",
    ),
    "missing": (instead("ids", lambda f: None), "missing ids, unexpected nothing"),
    "unexpected": (
        lambda f: f.__setitem__("group/extra", [1]), "missing nothing, unexpected group/extra",
    ),
    "number of axes": (
        _set("latents", np.zeros((3, 2, 1), "f4")), "'latents' has 3 dimensions instead of 2",
    ),
    "length": (
        _set("latents", np.zeros((4, 2), "f4")),
        "'latents' has 4 rows or columns where others have 3",
    ),
    "NaN": (_set("latents", np.full((3, 2), np.nan, "f4")), "'latents' holds NaN or infinity"),
    "ids of other bytes": (_set("ids", np.array([b"a", b"b", b"\xff"])), "'ids' is not UTF-8"),
    "unknown kind": (attribute("kind", np.bytes_(b"poem")), "kind 'poem' is unknown"),
    "terminal codes": (attribute("kind", np.bytes_(b"\x1b[2J")), r"kind '\x1b[2J' is unknown"),
    "missing attribute": (attribute("seed", None), "attribute 'seed' is missing"),
    "attribute of any length": (attribute("recipe", "{}"), "attribute 'recipe' is not a text"),
    "attribute of numbers": (attribute("seed", 7), "attribute 'seed' is not a text"),
    "attribute of two texts": (
        attribute("kind", np.array([b"latents"] * 2)), "attribute 'kind' is not a text",
    ),
    "attribute of other bytes": (
        attribute("recipe", np.bytes_(b'{"\xff": 1}')), "attribute 'recipe' is not UTF-8",
    ),
    "large attribute": (
        attribute("details", np.bytes_(b" " * 64_000 + b"{}")),
        "attribute 'details' is larger than 64000 bytes",
    ),
    "no JSON": (attribute("recipe", np.bytes_(b"{,}")), "its JSON does not parse (Expecting"),
    "huge number": (attribute("seed", np.bytes_(b"9" * 5_000)), "its JSON does not parse (Exceeds"),
    "deep JSON": (
        attribute("recipe", np.bytes_(b'{"a": ' + b"[" * 3_000 + b"]" * 3_000 + b"}")),
        "its JSON nests too deep",
    ),
    "deep JSON behind brackets in a text": (
        attribute("recipe", np.bytes_(b'{"a": "' + b"]" * 99 + b'", "b": ' + b"[" * 40 + b"]" * 40
                                      + b"}")),
        "its JSON nests too deep",
    ),
    "list for an object": (
        attribute("recipe", np.bytes_(b"[]")), "attribute 'recipe' has the wrong type",
    ),
    "text for the seed": (
        attribute("seed", np.bytes_(b'"1"')), "attribute 'seed' has the wrong type",
    ),
    "true for the seed": (
        attribute("seed", np.bytes_(b"true")), "attribute 'seed' has the wrong type",
    ),
}  # fmt: skip


@pytest.mark.parametrize("malice", HOSTILE)
def test_signed_hostile_files_are_refused(malice: str, tmp_path: Path) -> None:
    build, told = HOSTILE[malice]
    with within(30):
        assert refusal(forge(tmp_path / "a.h5", build)).startswith(f"{DAMAGED}{told}")


MEASURE = """
import re, sys
from pathlib import Path
from aeclust import artifacts
from aeclust.errors import InputError

import h5py

def peak():
    status = open("/proc/self/status").read()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) * 1024

before = peak()
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        artifacts.read(path)
        print("taken:", path)
    except InputError:
        pass
print((peak() - before) // 10**6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the count is in /proc")
def test_hostile_files_take_no_memory(tmp_path: Path) -> None:
    for i, (build, _) in enumerate(HOSTILE.values()):
        forge(tmp_path / f"{i}.h5", build)
    assert len(HOSTILE) >= 30
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, tmp_path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 64, done.stdout  # megabytes, and nothing was taken


def test_an_attribute_in_dense_storage_is_not_loaded(tmp_path: Path) -> None:
    build = attribute("details", np.bytes_(b" " * 3_000_000 + b"{}"))
    told = refusal(forge(tmp_path / "a.h5", build, libver="latest"))
    assert told.startswith(f"{DAMAGED}attribute 'details' is larger than 64000 bytes")


def test_too_many_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "_MAX_OBJECTS", 2)
    assert refusal(forge(tmp_path / "a.h5")).startswith(
        f"{DAMAGED}'latents' repeats an object or exceeds 2"
    )


# -- the gate: files that make HDF5 open other files -------------------------------------------

SECRET = np.full((3, 2), 42, np.float32)


def _external_link(file: Any, secret: Path) -> None:
    file["latents"] = h5py.ExternalLink(str(secret), "latents")


def _soft_link(file: Any, secret: Path) -> None:
    file["other"] = h5py.ExternalLink(str(secret), "/")
    file["latents"] = h5py.SoftLink("/other/latents")


def _external_storage(file: Any, secret: Path) -> None:
    external = [(os.fspath(secret), len(secret.read_bytes()) - SECRET.nbytes, SECRET.nbytes)]
    file.create_dataset("latents", shape=(3, 2), dtype="f4", external=external)


def _virtual(file: Any, secret: Path) -> None:
    layout = h5py.VirtualLayout(shape=(3, 2), dtype="f4")
    layout[:] = h5py.VirtualSource(str(secret), "latents", shape=(3, 2))
    file.create_virtual_dataset("latents", layout)


def _growing_virtual(file: Any, secret: Path) -> None:  # its shape alone needs the other file
    layout = h5py.VirtualLayout(shape=(3, 2), maxshape=(None, 2), dtype="f4")
    source = h5py.VirtualSource(str(secret), "latents", shape=(3, 2), maxshape=(None, 2))
    layout[: h5py.h5s.UNLIMITED] = source[: h5py.h5s.UNLIMITED]
    file.create_virtual_dataset("latents", layout)


OUTWARD: dict[str, tuple[Callable[[Any, Path], None], str]] = {
    "external link": (_external_link, "'latents' is a link to somewhere else"),
    "soft link": (_soft_link, "is a link to somewhere else"),
    "external storage": (_external_storage, "'latents' keeps its data in other files"),
    "virtual dataset": (_virtual, "'latents' keeps its data in other files"),
    "growing virtual dataset": (_growing_virtual, "'latents' keeps its data in other files"),
}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("latents", data=SECRET, maxshape=(None, 2), chunks=(3, 2))
    path.write_bytes(path.read_bytes() + SECRET.tobytes())  # for external storage, which is raw
    return path


@pytest.mark.skipif(sys.platform != "linux", reason="inotify")
@pytest.mark.parametrize("way", OUTWARD)
def test_other_files_are_not_even_opened(way: str, tmp_path: Path, secret: Path) -> None:
    make, reason = OUTWARD[way]
    path = forge(tmp_path / "a.h5", instead("latents", lambda file: make(file, secret)))
    with watching(secret) as opened:
        told = refusal(path)
        with pytest.raises(InputError) as of_any_file:
            read_array(path, "latents", (2,))
        assert not opened()
        with h5py.File(path) as unguarded:  # the trap is real: without the gate it snaps
            assert unguarded["latents"][()].tolist() == SECRET.tolist()
        assert opened()
    assert told.startswith(DAMAGED)
    assert reason in told
    assert "cannot be used: " in str(of_any_file.value)
    assert reason in str(of_any_file.value)


# -- arrays of any HDF5 file -------------------------------------------------------------------


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    path = tmp_path / "mixed.h5"
    with h5py.File(path, "w") as file:
        file["group/images"] = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
        file["labels"] = [5, 6]
        file.create_dataset("more", data=[7, 8], chunks=(1,))
    return path


def test_the_only_array_with_so_many_axes_is_found(mixed: Path) -> None:
    name, values = read_array(mixed, None, (3, 4))
    assert name == "group/images"
    assert values.tolist() == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_a_key_chooses_an_array_whatever_its_axes(mixed: Path) -> None:
    name, values = read_array(mixed, "more", (3, 4))
    assert name == "more"
    assert values.tolist() == [7, 8]


@pytest.mark.parametrize(
    ("key", "axes", "told"),
    [
        (None, (1,), "2 of its arrays could be meant (group/images, labels, more); "
         "expected one array with 1 axes; name one, as {path}::KEY"),
        (None, (4, 5), "0 of its arrays could be meant (group/images, labels, more); "
         "expected one array with 4 or 5 axes; name one, as {path}::KEY"),
        ("images", (3,), "no array is called 'images'; "
         "expected one of group/images, labels, more; change the part after ::"),
    ],
)  # fmt: skip
def test_an_unclear_choice_names_all_arrays(
    key: str | None, axes: tuple[int, ...], told: str, mixed: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_array(mixed, key, axes)
    assert str(caught.value) == f"{mixed}: {told.format(path=mixed)}"


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    h5py.File(tmp_path / "a.h5", "w").close()
    with pytest.raises(InputError, match=r"0 of its arrays could be meant \(it is empty\)"):
        read_array(tmp_path / "a.h5", None, (1,))


def test_nobody_is_told_to_delete_a_file_that_aeclust_did_not_write(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["names"] = ["a", "b"]
    with pytest.raises(InputError) as caught:
        read_array(tmp_path / "a.h5", None, (3,))
    assert str(caught.value) == (
        f"{tmp_path / 'a.h5'}: cannot be used: 'names' has dtype object; "
        "expected an HDF5 file of plain arrays of numbers; copy the arrays into a new file"
    )


def test_more_than_the_memory_holds_is_told_and_not_a_traceback(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(h5py.Dataset, "__getitem__", raising(MemoryError()))
    with pytest.raises(InputError, match=r"cannot be used: HDF5 cannot read it \(MemoryError\)"):
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
    monkeypatch.setattr(artifacts, "_CHUNK", 64)
    give_memory(monkeypatch, 4 * wanted.nbytes)
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert not isinstance(values, np.memmap)
    give_memory(monkeypatch, 4 * wanted.nbytes - 4)
    _, values = read_array(tmp_path / "a.h5", None, (3,))
    assert isinstance(values, np.memmap)
    assert np.array_equal(values, wanted)
    assert os.listdir(tmp_path / "temporary") == []


def test_no_room_for_decoded_data_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("images", data=np.ones((9, 6, 5)), chunks=(2, 6, 5))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    give_memory(monkeypatch, 2_000)
    monkeypatch.setattr(artifacts, "_CHUNK", 1)
    with pytest.raises(WriteError) as caught:
        read_array(tmp_path / "a.h5", None, (3,))
    assert str(caught.value) == (
        f"{tmp_path / 'none'}: could not be written (No such file or directory); {UNHARMED}"
    )
