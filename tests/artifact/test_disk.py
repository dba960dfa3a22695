"""Files are put in place whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aeclust.disk import meant, remove_leftovers, write_bytes
from aeclust.errors import InputError, WriteError

UNHARMED = "free space or choose another place; what was there before is unharmed"
NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def raising(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **kwargs: object) -> None:
        raise error

    return fail


class FullDisk(io.FileIO):
    """A file on a disk without space."""

    def write(self, data: object) -> int:
        raise NO_SPACE


def on_full_disk(handle: int, mode: str) -> io.BufferedRandom:
    return io.BufferedRandom(FullDisk(handle, mode))


FAULTS: dict[str, tuple[str, Callable[..., Any], str]] = {
    "open": ("os.open", raising(NO_SPACE), "No space left on device"),
    "write": ("os.fdopen", on_full_disk, "No space left on device"),
    "fsync": ("os.fsync", raising(OSError(errno.EIO, "Input/output error")), "Input/output error"),
    "replace": (
        "os.replace",
        raising(PermissionError(errno.EPERM, "Not permitted")),
        "Not permitted",
    ),
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


# -- what a user's name stands for -----------------------------------------------------------------


def test_a_link_stands_for_what_it_points_to(tmp_path: Path) -> None:
    target, link = tmp_path / "deep" / "target", tmp_path / "link"
    link.symlink_to("deep/target")
    assert meant(link) == target  # which is not there yet
    write_bytes(meant(link), b"new")
    assert (link.readlink(), target.read_bytes()) == (Path("deep/target"), b"new")
    for plain in (target, tmp_path / "none"):
        assert meant(plain) == plain


def test_no_file_takes_the_place_of_a_device_or_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in (str(tmp_path / "pipe"), str(tmp_path / "link"), os.devnull):
        with pytest.raises(InputError) as caught:
            meant(Path(name))
        assert str(caught.value) == (
            f"{name}: is a device, a pipe or an open file; expected a file, or a new name;"
            " use -o - and redirect standard output, as in > FILE"
        )


def test_no_file_takes_the_place_of_an_open_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/dev/fd/0")
    with open(tmp_path / "open.csv", "a") as held:
        (tmp_path / "held").symlink_to(f"/dev/fd/{held.fileno()}")
        for name in (tmp_path / "held", tmp_path / "link", f"/dev/fd/{held.fileno()}"):
            with pytest.raises(InputError, match=r": is a device, a pipe or an open file; "):
                meant(Path(name))


def test_links_in_a_circle_are_no_place(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(WriteError) as caught:
        meant(tmp_path / "a")
    assert str(caught.value).startswith(f"{tmp_path}/a: could not be written (Too many levels of")
    assert (tmp_path / "a").is_symlink()


def test_a_folder_that_nobody_may_look_into_is_no_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_dir", refuse)
    with pytest.raises(WriteError, match=r"new.csv: could not be written \(Permission denied\)"):
        meant(tmp_path / "new.csv")


@pytest.mark.parametrize("name", [".", "", "/", "folder"])
def test_no_file_takes_the_place_of_a_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("folder")
    with pytest.raises(InputError) as caught:
        meant(Path(name))
    told = f"{Path(name)}: is a folder; expected a file; add a name to it"
    assert str(caught.value) == told


@pytest.mark.parametrize(("old", "new"), [(0o600, 0o600), (0o644, 0o644), (0o440, 0o640)])
def test_who_may_read_the_old_file_may_read_the_new_one(old: int, new: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(old)
    before = os.umask(0o022)
    try:
        write_bytes(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == new
