"""Every error a user can meet: one sentence, one exit code."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from typing import ClassVar


class AeclustError(Exception):
    """An error told in one line: what is wrong, where, what was expected, how to mend it.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str, optional
        The file, dataset, flag or index concerned.
    expected : str, optional
        What would have been right.
    mend : str, optional
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", expected: str = "", mend: str = "") -> None:
        self.what, self.where, self.expected, self.mend = what, where, expected, mend
        parts = [what]
        if expected:
            parts.append(f"expected {expected}")
        if mend:
            parts.append(mend)
        line = "; ".join(parts)
        super().__init__(printable(f"{where}: {line}" if where else line))


class InputError(AeclustError):
    """The input or the request is wrong."""

    exit_code = 2


class ArgumentError(InputError, ValueError):
    """What a call was given is wrong: an InputError for those who catch ValueErrors."""


class DivergedError(AeclustError):
    """Training left the finite numbers."""

    exit_code = 3


class WriteError(AeclustError):
    """A file could not be written; nothing that existed was harmed."""

    exit_code = 4


class BusyError(AeclustError):
    """Another process holds the run folder."""

    exit_code = 5


class Interrupted(AeclustError):  # noqa: N818 - it reports a wish, not a fault
    """A signal ended the command after its state was saved."""

    def __init__(self, signal_number: int, what: str, *, mend: str = "") -> None:
        super().__init__(what, mend=mend)
        self.signal_number = signal_number


def printable(text: str) -> str:
    r"""Text from files made safe for one terminal line: control characters become ``\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """What a mistyped word may have meant, as a question, or else something else to say.

    >>> did_you_mean("kmean", ["kmeans", "gmm"])
    'did you mean kmeans?'
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


_MOST_NAMES = 5_000  # beyond that, looking for a near one takes a while


def near_file(path: str | os.PathLike[str], otherwise: str = "") -> str:
    """The same for a path that is not there, from the names in its folder."""
    folder, name = os.path.split(os.fspath(path))
    try:
        names = [] if os.path.exists(path) else os.listdir(folder or ".")[:_MOST_NAMES]
    except OSError:
        return otherwise
    near = did_you_mean(name, names)
    return near.replace("mean ", f"mean {os.path.join(folder, '')}", 1) if near else otherwise
