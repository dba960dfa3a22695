"""What is no artifact, or a damaged one, does not pass the gate."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from samples import artifact, damage, encode, refusal, sign
from support import check_error, raising, refused, within

from aeclust.artifact import claimed_digest, is_artifact, read, write
from aeclust.errors import InputError

WHOLE, _ = encode(artifact())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of a property."""
    return tmp_path_factory.mktemp("gate")


def test_what_cannot_be_opened_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = refusal(tmp_path / "none.h5")
    check_error(missing, what="there is no such file", mend="check the path")
    check_error(refusal(tmp_path), what="is not a regular file", expected="an HDF5 file")
    write(tmp_path / "a.h5", artifact())
    denied = raising(PermissionError(errno.EACCES, "Permission denied"))
    monkeypatch.setattr("builtins.open", denied)
    closed = refusal(tmp_path / "a.h5")
    check_error(closed, what="cannot be read (Permission denied)", mend="check its permissions")
    assert not is_artifact(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("error", "what", "mend"),
    [
        (OSError(errno.EIO, "Input/output error"), "cannot be read (Input/output error)", "check"),
        (MemoryError(), "does not fit into the memory that is left", "close other programs"),
    ],
)
@pytest.mark.parametrize("mapped", [False, True])
def test_a_sound_file_that_the_machine_cannot_read_is_not_called_damaged(
    error: Exception, what: str, mend: str, mapped: bool, *, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    write(tmp_path / "a.h5", artifact())
    call = "mmap.mmap" if mapped else "io.BytesIO"
    monkeypatch.setattr(f"aeclust.artifact.gate.{call}", raising(error))
    with refused(what=what, where=str(tmp_path / "a.h5")) as caught:
        read(tmp_path / "a.h5", mapped=mapped)
    assert caught.value.mend.startswith(mend)


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.h5"
    os.mkfifo(path)
    with within(30):
        assert refusal(path).what == "is not a regular file"
        assert not is_artifact(path)
        assert claimed_digest(path) == ""


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x89HDF\r\n\x1a\n", WHOLE[512:]])
def test_a_file_without_the_user_block_is_no_artifact(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(content)
    for mapped in (False, True):
        with refused(what="is not an aeclust artifact", expected="a file written by aeclust"):
            read(tmp_path / "a.h5", mapped=mapped)


def test_a_newer_format_asks_for_a_newer_aeclust(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(WHOLE.replace(b"artifact 1 ", b"artifact 2 ", 1))
    check_error(
        refusal(tmp_path / "a.h5"),
        what="is of format 2",
        expected="format 1",
        mend="read it with a newer aeclust",
    )


def test_another_kind_than_the_expected_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", artifact("labels"))
    error = refusal(tmp_path / "a.h5", "latents")
    check_error(error, what="this is a labels file", expected="a latents file")


def test_a_file_beyond_the_size_cap_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.h5", artifact())
    monkeypatch.setattr("aeclust.artifact.gate._MAX_BYTES", 1_000)
    error = refusal(tmp_path / "a.h5")
    check_error(error, what=f"has {len(WHOLE)} bytes", expected="at most 1000")


def test_signed_garbage_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(bytes(512) + b"garbage" * 100)
    sign(tmp_path / "a.h5")
    assert damage(tmp_path / "a.h5").startswith("HDF5 cannot read it (")


def test_is_artifact_and_claimed_digest_look_at_the_first_line_only(tmp_path: Path) -> None:
    whole, torn, text = tmp_path / "whole.h5", tmp_path / "torn.h5", tmp_path / "text.h5"
    digest = write(whole, artifact())
    torn.write_bytes(whole.read_bytes()[:600])
    text.write_bytes(b"aeclust\n")
    for path, expected in (
        (whole, (True, digest)),
        (torn, (True, digest)),
        (text, (False, "")),
        (tmp_path, (False, "")),
        (tmp_path / "none.h5", (False, "")),
    ):
        assert (is_artifact(path), claimed_digest(path)) == expected


# -- every flipped bit --------------------------------------------------------------------------

FLIPPED = r"is not an aeclust artifact|damaged|is of format"


def test_a_flipped_bit_in_any_byte_of_the_user_block_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    for position in range(512):
        data = bytearray(WHOLE)
        data[position] ^= 1 << position % 8
        path.write_bytes(data)
        with pytest.raises(InputError, match=FLIPPED):
            read(path)


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, len(WHOLE) - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_refused(position: int, bit: int, folder: Path) -> None:
    data = bytearray(WHOLE)
    data[position] ^= 1 << bit
    (folder / "flipped.h5").write_bytes(data)
    with pytest.raises(InputError, match=FLIPPED):
        read(folder / "flipped.h5")


@settings(max_examples=100, deadline=None)
@given(length=st.integers(0, len(WHOLE) - 1))
def test_any_truncation_is_refused(length: int, folder: Path) -> None:
    (folder / "short.h5").write_bytes(WHOLE[:length])
    error = refusal(folder / "short.h5")
    if length >= 512:
        assert error.what.endswith("its bytes do not match its SHA-256")


def test_appended_bytes_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(WHOLE + b"\0")
    assert str(refusal(tmp_path / "a.h5")) == (
        f"{tmp_path / 'a.h5'}: damaged or not from aeclust: its bytes do not match its SHA-256; "
        "expected a file as aeclust wrote it; "
        "delete it to have it made anew, or restore a copy"
    )
