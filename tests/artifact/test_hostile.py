"""A hostile HDF5 file is refused in one line: it opens no other file and takes no memory."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from samples import LATENTS, Build, damage, forge
from support import give_memory, refused, within

from aeclust.artifact import read, read_array
from aeclust.errors import InputError


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


def beside_labels(known: list[int], pairs: list[list[int]]) -> Build:
    """A build of labels of two clusters, and of what somebody knew of them."""
    width = len(pairs[0]) if pairs else 3
    more = {"known": np.array(known), "pairs": np.array(pairs, np.int64).reshape(-1, width)}
    return labelled([0, 1, 1], [0], None, **more)


def labelled(
    labels: list[int], references: list[int], shares: int | None, **more: np.ndarray
) -> Build:
    """A build of labels, their references, and shares in so many columns or none."""
    arrays: dict[str, Any] = {
        "labels": np.array(labels),
        "confidence": np.ones(3, np.float32),
        "references": np.array(references, np.int64),
        **more,
    }
    if shares is not None:
        arrays["shares"] = np.full((3, shares), 0.5, np.float32)

    def build(file: Any) -> None:
        attribute("kind", np.bytes_(b"labels"))(file)
        del file["latents"]
        for name, value in arrays.items():
            file[name] = value

    return build


def viewing(rows: list[int], clusters: list[int]) -> Build:
    """A build of latents whose network knows two clusters, and of views of these images."""

    def build(file: Any) -> None:
        file["assignments"] = np.full((3, 2), 0.5, np.float32)
        file["view_rows"] = np.array(rows)
        file["view_clusters"] = np.array(clusters)

    return build


def test_a_forged_file_without_malice_is_read(tmp_path: Path) -> None:
    # so that each refusal below is due to the one thing that is wrong
    result = read(forge(tmp_path / "a.h5"), "latents")
    assert {name: value.tolist() for name, value in result.arrays.items()} == {
        name: value.tolist() for name, value in LATENTS.items()
    }


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "gzip", "shuffle": True, "fletcher32": True},
        {"maxshape": (None, 2)},
        {"chunks": (1, 2)},
    ],
    ids=["filtered", "growing", "chunked"],
)
def test_only_other_files_may_be_stored_in_chunks(options: dict[str, Any], tmp_path: Path) -> None:
    build = _set("latents", np.array([[1, 2]] * 3, "f4"), **options)
    path = forge(tmp_path / "a.h5", build)
    assert damage(path) == "'latents' is stored in chunks"
    assert read_array(path, "latents", (2,))[1].tolist() == [[1, 2]] * 3


def test_a_chunk_counts_whole_however_little_of_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 256 MB of zeros are a small file, and HDF5 would take all of them into memory
    wide: dict[str, Any] = {"maxshape": (None, None), "chunks": (32, 2_000_000)}
    build = _set("latents", np.zeros((3, 2), "f4"), compression="gzip", **wide)
    path = forge(tmp_path / "a.h5", build)
    assert damage(path) == "'latents' is stored in chunks"
    give_memory(monkeypatch, 2e8)
    with refused(what="'latents' needs about 0 GB of memory", where=str(path)):
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
        name = forged.partition(b"\0")[0].decode()
        with refused(what=f"cannot be used: {name!r} is no name"):
            read_array(path, None, (2,))


def _set(name: str, value: Any, **options: Any) -> Build:
    return instead(name, lambda file: file.create_dataset(name, data=value, **options))


def _two_by_three(dtype: Any) -> Build:
    return _set("latents", np.zeros((3, 2), dtype))


TEXTS = h5py.string_dtype()
GZIP: dict[str, Any] = {"chunks": (3, 10**6), "compression": "gzip"}
DEEP = b"[" * 40 + b"]" * 40

HOSTILE: dict[str, tuple[Build, str]] = {
    "hard-link cycle": (
        lambda f: f.create_group("a").__setitem__("loop", f["/"]),
        "'a/loop/a' repeats an object or exceeds 4096",
    ),
    "second name": (
        lambda f: f.__setitem__("again", f["latents"]),
        "'latents' repeats an object or exceeds 4096",
    ),
    "too deep": (
        lambda f: f.create_group("/".join("abcdefghi")),
        "'a/b/c/d/e/f/g/h/i' lies deeper than 8 groups",
    ),
    "committed type": (
        lambda f: f.__setitem__("type", np.dtype("f4")), "'type' is neither group nor dataset",
    ),
    "dangling soft link": (
        lambda f: f.__setitem__("extra", h5py.SoftLink("/nowhere")),
        "'extra' is a link to somewhere else",
    ),
    "4 TB declared": (
        instead("latents", lambda f: f.create_dataset("latents", (2**38, 4), "f4")),
        f"it declares {2**42 + 48} bytes of data, more than ",
    ),
    "expanding": (
        instead("latents", lambda f: f.create_dataset("latents", (3, 10**7), "f4", **GZIP)),
        "'latents' is stored in chunks",
    ),
    "bomb": (
        _set("latents", np.zeros((3, 2 * 10**7), "f4"), **GZIP), "'latents' is stored in chunks",
    ),
    "texts of any length": (_set("ids", list("abc"), dtype=TEXTS), "'ids' has dtype object"),
    "compound": (_two_by_three([("a", "f4")]), "'latents' has dtype [('a', '<f4')]"),
    "complex": (_two_by_three(complex), "'latents' has dtype complex128"),
    "other precision": (_two_by_three("f8"), "'latents' has dtype float64 instead of float32"),
    "other byte order": (_two_by_three(">f4"), "'latents' has dtype >f4 instead of float32"),
    "no value": (_set("latents", h5py.Empty("f4")), "'latents' has dtype float32"),
    "missing": (instead("ids", lambda f: None), "missing ids, unexpected nothing"),
    "unexpected": (
        lambda f: f.__setitem__("group/extra", [1]), "missing nothing, unexpected group/extra",
    ),
    "length": (
        _set("latents", np.zeros((4, 2), "f4")),
        "'latents' has 4 rows or columns where others have 3",
    ),
    "NaN": (_set("latents", np.full((3, 2), np.nan, "f4")), "'latents' holds NaN or infinity"),
    "ids of other bytes": (_set("ids", np.array([b"a", b"b", b"\xff"])), "'ids' is not UTF-8"),
    "missing attribute": (attribute("seed", None), "attribute 'seed' is missing"),
    **{
        f"{name} = {str(value)[:20]}": (attribute(name, value), message)
        for name, value, message in (
            ("kind", np.bytes_(b"poem"), "kind 'poem' is unknown"),
            ("kind", np.bytes_(b"\x1b[2J"), r"kind '\x1b[2J' is unknown"),
            ("kind", np.array([b"latents"] * 2), "attribute 'kind' is not a text"),
            ("recipe", "of any length", "attribute 'recipe' is not a text"),
            ("recipe", np.bytes_(b'{"\xff": 1}'), "attribute 'recipe' is not UTF-8"),
            ("recipe", np.bytes_(b"{,}"), "its JSON does not parse (Expecting"),
            ("recipe", np.bytes_(b'{"deep": ' + DEEP + b"}"), "its JSON nests too deep"),
            (
                "recipe", np.bytes_(b'{"hidden": "' + b"]" * 99 + b'", "b": ' + DEEP + b"}"),
                "its JSON nests too deep",
            ),
            ("recipe", np.bytes_(b"[]"), "attribute 'recipe' has the wrong type"),
            (
                "details", np.bytes_(b" " * 64_000 + b"{}"),
                "attribute 'details' is larger than 64000 bytes",
            ),
            ("seed", 7, "attribute 'seed' is not a text"),
            ("seed", np.bytes_(b"9" * 5_000), "its JSON does not parse (Exceeds"),
            ("seed", np.bytes_(b'"1"'), "attribute 'seed' has the wrong type"),
            ("seed", np.bytes_(b"true"), "attribute 'seed' has the wrong type"),
            ("seed", np.bytes_(b"-1"), "seed -1 is not in 0 to 2^32 - 1"),
            ("seed", np.bytes_(b"4294967296"), "seed 4294967296 is not in 0 to 2^32 - 1"),
        )
    },
    **{
        f"{name} = {value}": (
            attribute("details", np.bytes_(f'{{"{name}": {value}}}'.encode())),
            f"'details' has an impossible '{name}'",
        )
        for name, value in (
            ("agreement", '"x"'), ("agreement", "1.01"), ("view_agreement", "-0.5"),
            ("view_agreement", "true"), ("members", "[]"), ("members", '{"a": 2}'),
            ("k", "-1"), ("k", "2.0"), ("epoch", '"3"'), ("image_channels", "null"),
            ("validated", '"many"'), ("validated", "-5"),
            ("checkpoint", "[]"), ("run", "1"), ("listing", "{}"), ("warnings", '"none"'),
            ("substitutions", "[1]"), ("known", "7"), ("known", '{"labels": -1}'),
            ("known", '{"names": {"x": "cat"}}'), ("known", '{"names": {"0": 1}}'),
            ("edits", "1.5"),
        )
    },
    **{
        f"clusters {clusters} of views of {rows}": (viewing(rows, clusters), message)
        for rows, clusters, message in (
            ([0, 2], [0, 2], "'view_clusters' has numbers outside 0 to 1"),
            ([0, 2], [-1, 0], "'view_clusters' has numbers outside 0 to 1"),
            ([0, 2], [-(2**62), 0], "'view_clusters' has numbers outside 0 to 1"),
            ([0, 3], [0, 1], "'view_rows' has numbers outside 0 to 2"),
            ([-1, 0], [0, 1], "'view_rows' has numbers outside 0 to 2"),
        )
    },
    **{
        f"labels {labels} and {references}": (labelled(labels, references, shares), message)
        for labels, references, shares, message in (
            ([0, 1, -5], [0], None, "'labels' has numbers outside -1 to 2"),
            ([0, 1, 3], [0], None, "'labels' has numbers outside -1 to 2"),
            ([0, 1, 2**40], [0], None, "'labels' has numbers outside -1 to 2"),
            ([0, 0, -2], [0], 1, "'labels' has numbers outside -1 to 0"),
            ([0, 1, 1], [3], 2, "'references' has numbers outside 0 to 2"),
            ([0, 1, 1], [-1], 2, "'references' has numbers outside 0 to 2"),
        )
    },
    **{
        f"known {known} and pairs {pairs}": (beside_labels(known=known, pairs=pairs), message)
        for known, pairs, message in (
            ([0, -1, 2], [], "'known' has numbers outside -1 to 1"),
            ([0, -2, 1], [], "'known' has numbers outside -1 to 1"),
            ([0, -1, 1], [[0, 3, 1]], "'pairs' has numbers outside 0 to 2"),
            ([0, -1, 1], [[0, 1, 2]], "'pairs' has other columns than two rows, and 0 or 1"),
            ([0, -1, 1], [[0, 1]], "'pairs' has other columns than two rows, and 0 or 1"),
        )
    },
    "more clusters than shares": (
        labelled([0, 1, 2], [0], 2), "'shares' has 2 columns for 3 clusters",
    ),
    "fewer clusters than shares": (
        labelled([0, 0, 0], [0], 2), "'shares' has 2 columns for 1 clusters",
    ),
    "no references": (labelled([0, 1, 1], [], 2), "'references' is empty"),
}  # fmt: skip


def test_cluster_numbers_up_to_their_bound_are_read(tmp_path: Path) -> None:
    without_shares = read(forge(tmp_path / "a.h5", labelled([2, 0, 1], [2], None)), "labels")
    assert without_shares.arrays["labels"].tolist() == [2, 0, 1]
    with_shares = read(forge(tmp_path / "b.h5", labelled([1, 0, 1], [2], 2)), "labels")
    assert with_shares.arrays["references"].tolist() == [2]


@pytest.mark.parametrize("malice", HOSTILE)
def test_signed_hostile_files_are_refused(malice: str, tmp_path: Path) -> None:
    build, damaged = HOSTILE[malice]
    with within(30):
        assert damage(forge(tmp_path / "a.h5", build)).startswith(damaged)


MEASURE = """
import re, sys
from pathlib import Path
from aeclust import artifact as artifacts
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
    path = forge(tmp_path / "a.h5", build, libver="latest")
    assert damage(path) == "attribute 'details' is larger than 64000 bytes"


def test_too_many_objects_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aeclust.artifact.gate._MAX_OBJECTS", 2)
    assert damage(forge(tmp_path / "a.h5")) == "'latents' repeats an object or exceeds 2"


# -- files that make HDF5 open other files ------------------------------------------------------

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
        assert reason in damage(path)
        with pytest.raises(InputError) as of_any_file:
            read_array(path, "latents", (2,))
        with refused(what="no array is called 'none'"):
            read_array(path, "none", (2,))
        assert not opened()
        with h5py.File(path) as unguarded:  # the trap is real: without the gate it snaps
            assert unguarded["latents"][()].tolist() == SECRET.tolist()
        assert opened()
        if way != "soft link":  # what lies beside the array that is named is not even looked at
            with h5py.File(path, "r+") as file:
                file["beside"] = SECRET
            assert read_array(path, "beside", (2,))[1].tolist() == SECRET.tolist()
            with pytest.raises(InputError):
                read_array(path, None, (2,))
    assert of_any_file.value.what.startswith("cannot be used: ")
    assert reason in of_any_file.value.what
