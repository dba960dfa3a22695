"""`-`: standard input as a file to read, standard output as a file to write.

A stream can be read only once and has no name, so a command works with a temporary file;
:func:`with_names` puts the name of the stream in the place of that file's.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeclust.disk import read_start
from aeclust.errors import InputError, WriteError

STREAM = Path("-")
_MOST_LINES = 1 << 28  # bytes
_PREFIX = "aeclust-"
# how files of each kind begin; a CSV begins as it likes
_KINDS = {
    b"\x93NUMPY": ".npy",
    b"PK\x03\x04": ".npz",
    b"\x89HDF\r\n": ".h5",
    b"aeclust ": ".h5",
}


@contextmanager
def standard_input(*, csv: bool) -> Iterator[str]:
    """The path of a file with what comes from standard input.

    Parameters
    ----------
    csv : bool
        Whether what is of no known kind is a CSV.

    Yields
    ------
    str

    Raises
    ------
    InputError
        If standard input is a terminal or of an unknown kind.
    WriteError
        If it cannot be kept.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "is a terminal" if sys.stdin else "is closed",
            where="standard input",
            expected="a stream of images or labels",
            mend="for example aeclust predict - < images.npy",
        )
    with _temporary() as folder:
        yield str(_saved_input(folder, csv=csv))


def input_lines() -> list[str]:
    """The lines of standard input that are not empty, as text.

    Raises
    ------
    InputError
        If there are none, or it is a terminal or no text.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "is a terminal" if sys.stdin else "is closed",
            where="standard input",
            expected="an id in each line",
            mend="for example - < ids.txt",
        )
    try:
        data = read_start(sys.stdin.buffer, _MOST_LINES + 1)
        if len(data) > _MOST_LINES:
            expected = f"at most {_MOST_LINES:,} bytes"
            raise InputError("is too large", where="standard input", expected=expected)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError("is no UTF-8", where="standard input", expected="ids") from error
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    if not any(lines):
        raise InputError("is empty", where="standard input", expected="an id in each line")
    return [line for line in lines if line]


@contextmanager
def writable(output: Path | None, ending: str, *, binary: bool = True) -> Iterator[Path | None]:
    """Where a command is to write: for ``-`` a file that goes to standard output in the end.

    Raises
    ------
    InputError
        If bytes would go to a terminal.
    """
    if output != STREAM:
        yield output
        return
    if binary and sys.stdout.isatty():
        expected = "a pipe or a file for bytes"
        mend = f"add > FILE{ending}"
        raise InputError("is a terminal", where="`output` -", expected=expected, mend=mend)
    with _temporary() as folder:
        file = folder / f"standard-output{ending}"
        yield file
        if file.exists():  # or else another process of the team has it
            with open(file, "rb") as content, standard_output():
                sys.stdout.flush()
                shutil.copyfileobj(content, sys.stdout.buffer)
                sys.stdout.buffer.flush()


@contextmanager
def standard_output() -> Iterator[None]:
    """Within it standard output is written to; a reader who has seen enough is no error.

    Raises
    ------
    WriteError
        If it cannot be written.
    """
    if sys.stdout is None:
        raise WriteError("is closed", where="standard output", mend="use `output` FILE")
    try:
        yield
    except BrokenPipeError:
        # keep the interpreter from failing again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise WriteError(
            f"could not be written ({error.strerror})",
            where="standard output",
            mend="free space or write elsewhere with `output`",
        ) from error


def with_names(text: str) -> str:
    """A text with standard input and output by these names, not by those of their files."""
    folder = re.escape(os.path.join(tempfile.gettempdir(), _PREFIX))
    return re.sub(rf"{folder}\w+[/\\]+standard-(input|output)\.\w+", r"standard \1", text)


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as folder:
        yield Path(folder)


def _saved_input(folder: Path, *, csv: bool) -> Path:
    """Standard input in a file whose ending says what it is."""
    stream = sys.stdin.buffer
    start = stream.read(len(b"aeclust "))
    ending = next((end for head, end in _KINDS.items() if start.startswith(head)), "")
    if not ending and not csv:
        raise InputError(
            "is of an unknown kind" if start else "is empty",
            where="standard input",
            expected="the bytes of a .npy, .npz or .h5 file",
            mend="save the images so, or give their path",
        )
    ending = ending or (".json" if start.startswith(b"{") else ".csv")
    file = folder / f"standard-input{ending}"
    try:
        with open(file, "wb") as copy:
            copy.write(start)
            shutil.copyfileobj(stream, copy)
    except OSError as error:
        raise WriteError(
            f"could not be kept ({error.strerror})",
            where="standard input",
            mend="free space in the folder for temporary files, or change TMPDIR",
        ) from error
    return file
