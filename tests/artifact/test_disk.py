"""Files are put in place whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import CHANGED, FAULTS, HEADER, UNHARMED, artifact, encode
from support import raising, refused

from aeclust.artifact import Artifact, write
from aeclust.disk import output_file, remove_leftovers, write_bytes
from aeclust.errors import WriteError


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


@pytest.mark.parametrize(
    ("name", "reasons"),
    [("file/a.h5", "File exists|Not a directory"), ("folder", "Is a directory")],
)
def test_a_place_where_no_file_can_be_is_a_write_error(
    name: str, reasons: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(WriteError, match=rf"could not be written \(({reasons})\)"):
        write_bytes(tmp_path / name, b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["file", "folder"]


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


@pytest.mark.parametrize(
    ("mask", "old", "new"),
    [
        (0o022, None, 0o644), (0o077, None, 0o600), (0o007, None, 0o660),
        (0o022, 0o600, 0o600), (0o022, 0o644, 0o644), (0o022, 0o440, 0o640),
    ],
)  # fmt: skip
def test_permissions_are_those_of_the_old_file_or_follow_the_umask(
    mask: int, old: int | None, new: int, tmp_path: Path
) -> None:
    if old is not None:
        (tmp_path / "file").touch()
        (tmp_path / "file").chmod(old)
    before = os.umask(mask)
    try:
        write_bytes(tmp_path / "file", b"x")
    finally:
        after = os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == new
    assert after == mask


def test_a_leftover_that_stays_does_not_keep_the_others(tmp_path: Path) -> None:
    stuck, left, other = (
        tmp_path / name for name in (".a.h5.00000000.tmp", ".b.h5.00000000.tmp", ".b.h5.tmp")
    )
    stuck.mkdir()
    left.touch()
    other.touch()
    remove_leftovers(tmp_path, re.compile(r"[ab]\.h5"))
    assert sorted(tmp_path.iterdir()) == [stuck, other]
    remove_leftovers(tmp_path / "nowhere", re.compile(".*"))


# -- the same for artifacts ---------------------------------------------------------------------


@pytest.mark.parametrize("stage", FAULTS)
@pytest.mark.parametrize("count", [1, 100_000], ids=["small", "large"])
def test_a_fault_under_an_artifact_leaves_the_old_file_and_nothing_else(
    stage: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.h5"
    path.write_bytes(b"old")
    target, fault, reason = FAULTS[stage]
    made = Artifact("embedding", {"ids": np.arange(2 * count)}, **HEADER)
    blocks = [{"embedding": np.ones((count, 2), np.float32)}] * 2
    with monkeypatch.context() as patch:
        patch.setattr(target, fault)
        with refused(WriteError, what=f"could not be written ({reason})", where=str(path)):
            write(path, made, 2 * count, blocks)
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
    with refused(WriteError, what=f"could not be written ({CHANGED})"):
        write(tmp_path / "a.h5", artifact())
    assert os.listdir(tmp_path) == []


def test_a_byte_that_changes_before_the_file_is_sealed_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest would be right, but it is not what was handed over."""

    points = np.arange(8, dtype=np.float32).reshape(4, 2)
    made = Artifact("embedding", {"ids": np.arange(4)}, **HEADER)

    class Spoiling(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(bytes(data).replace(points.tobytes(), points[::-1].tobytes()))

    def opened(handle: int, mode: str) -> io.BufferedRandom:
        return io.BufferedRandom(Spoiling(handle, mode))

    monkeypatch.setattr("os.fdopen", opened)
    with refused(WriteError, what=f"could not be written ({CHANGED})"):
        write(tmp_path / "a.h5", made, 4, [{"embedding": points}])
    assert os.listdir(tmp_path) == []


# -- what a user's name stands for -----------------------------------------------------------------


def test_a_link_stands_for_what_it_points_to(tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    link.symlink_to("deep/target")
    assert output_file(link) == target  # which is not there yet
    write_bytes(output_file(link), b"new")
    assert (link.readlink(), target.read_bytes()) == (Path("deep/target"), b"new")
    for plain in (target, tmp_path / "none"):
        assert output_file(plain) == plain


def test_no_file_takes_the_place_of_a_folder_a_device_a_pipe_or_an_open_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    for name in (".", "", "/", "folder"):
        with refused(where=str(Path(name)), what="is a folder", mend="add a name to it"):
            output_file(Path(name))
    os.mkfifo("pipe")
    os.symlink("pipe", "link")
    os.symlink("/dev/fd/0", "input")
    with open("open.csv", "a") as held:
        os.symlink(f"/dev/fd/{held.fileno()}", "held")
        number = f"/dev/fd/{held.fileno()}"
        for name in ("pipe", "link", os.devnull, "held", "input", number):
            with refused(
                where=name,
                what="is a device, a pipe or an open file",
                expected="a file, or a new name",
                mend="use `output` - and redirect standard output, as in > FILE",
            ):
                output_file(Path(name))


def test_links_in_a_circle_are_no_place(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(WriteError, match=r"/a: could not be written \(Too many levels of"):
        output_file(tmp_path / "a")
    assert (tmp_path / "a").is_symlink()


def test_a_folder_that_nobody_may_look_into_is_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "is_dir", raising(PermissionError(13, "Permission denied")))
    with refused(
        WriteError, where=str(tmp_path / "a"), what="could not be written (Permission denied)"
    ):
        output_file(tmp_path / "a")
