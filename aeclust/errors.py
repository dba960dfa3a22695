"""Every error a user can meet: one sentence of four parts, one exit code.

An error is raised where it is noticed, in terms of the thing itself. The place, if the thing does
not know it, is added on the way out by :func:`at`. A setting is written in backticks (``lower
`k```); :meth:`AeclustError.line` writes it as the caller knows it: a flag of the command line, or
a parameter of the estimator.
"""

from __future__ import annotations

import difflib
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import ClassVar

_SETTING = re.compile(r"`(\w+)`")


class AeclustError(Exception):
    """An error in one line: where, what is wrong, what was expected, how to mend it.

    Parameters
    ----------
    what : str
        What is wrong.
    where : str, optional
        The file, dataset, setting or index concerned.
    expected : str, optional
        What would have been right.
    mend : str, optional
        What the user can do about it.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, what: str, *, where: str = "", expected: str = "", mend: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.expected, self.mend = what, where, expected, mend

    def __str__(self) -> str:
        return self.line()

    def line(self, setting: Callable[[str], str] = str) -> str:
        """The whole sentence on one line, safe for a terminal.

        Parameters
        ----------
        setting : callable
            Takes the name of a setting and gives what the caller calls it.

        Returns
        -------
        str
        """
        # a place that is no setting is somebody's path, which may hold anything
        where = (
            self.where if re.search(r"[/\\.]", self.where) else name_settings(self.where, setting)
        )
        expected, mend = (name_settings(text, setting) for text in (self.expected, self.mend))
        parts = [self.what, f"expected {expected}" if expected else "", mend]
        line = "; ".join(filter(None, parts))
        colon = "" if line.startswith("is ") else ":"
        return printable(f"{where}{colon} {line}" if where else line)


class InputError(AeclustError):
    """The input or the request is wrong."""

    exit_code = 2


class ArgumentError(InputError, ValueError):
    """What a call was given is wrong: an InputError for those who catch ValueErrors."""


class DeviceMemoryError(InputError):
    """A network and its images do not fit into the memory of a GPU."""


class DivergedError(AeclustError):
    """Training left the finite numbers."""

    exit_code = 3


class WriteError(AeclustError):
    """A file could not be written; nothing that existed was harmed."""

    exit_code = 4


class BusyError(AeclustError):
    """Another process holds the run folder."""

    exit_code = 5


class Interrupted(AeclustError):  # noqa: N818 - a wish, not a fault
    """A signal ended the command after its state was saved."""

    def __init__(self, signal_number: int, what: str, *, mend: str = "") -> None:
        super().__init__(what, mend=mend)
        self.signal_number = signal_number


def name_settings(text: str, setting: Callable[[str], str]) -> str:
    """A text with every setting in backticks as `setting` calls it.

    >>> name_settings("lower `k`", {"k": "n_clusters"}.__getitem__)
    'lower n_clusters'
    """
    return _SETTING.sub(lambda match: setting(match[1]), text)


@contextmanager
def at(place: object) -> Iterator[None]:
    """Within it, errors that name no place concern `place`.

    Parameters
    ----------
    place : object
        A path, a location or a setting in backticks, as text or by its ``str``.
    """
    try:
        yield
    except Interrupted:  # a signal concerns no place
        raise
    except AeclustError as error:
        error.where = error.where or str(place)
        raise


def printable(text: str) -> str:
    r"""Text from files made safe for one terminal line: control characters become ``\x1b``."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


_MOST_LISTED, _LONGEST_LISTED = 10, 60
_LONGEST_REASON = 200  # of which some hold half a file


def listed(names: Iterable[object], nothing: str = "nothing") -> str:
    """Names for an error, of which a file may hold thousands, each of any length.

    >>> listed(range(13))
    '0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more'
    """
    texts = [
        text if len(text) <= _LONGEST_LISTED else text[: _LONGEST_LISTED - 3] + "..."
        for text in map(str, names)
    ]
    more = len(texts) - _MOST_LISTED
    return (", ".join(texts[:_MOST_LISTED]) or nothing) + (f" and {more} more" if more > 0 else "")


def reason(error: BaseException) -> str:
    """How what a library says of a failure begins, or its kind if it says nothing."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0][:_LONGEST_REASON]


def shortened(text: str, limit: int) -> str:
    """At most `limit` characters that can be seen; the middle goes first, as ids end in a name."""
    if len(text) > 2 * limit:  # what goes in any case is not looked at
        text = text[:limit] + text[-limit:]
    text, tail = printable(text), limit // 2
    return text if len(text) <= limit else f"{text[: limit - tail - 1]}…{text[-tail:]}"


def unreadable(
    error: BaseException, *, where: str = "", expected: str = "", mend: str = ""
) -> InputError:
    """What to say of a file that cannot be read; of one that is not there, only that.

    >>> str(unreadable(FileNotFoundError(2, "No such file"), where="known.csv", mend="check it"))
    'known.csv: there is no such file; check it'
    """
    if isinstance(error, FileNotFoundError):
        return InputError("there is no such file", where=where, mend=mend)
    what = f"cannot be read ({reason(error)})"
    return InputError(what, where=where, expected=expected, mend=mend)


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """What a mistyped word may have meant, as a question, or else something else to say.

    >>> did_you_mean("kmean", ["kmeans", "gmm"])
    'did you mean kmeans?'
    """
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean {near[0]}?" if near else otherwise


def to_install(extra: str) -> str:
    """How to install the packages of an extra of aeclust, which no index need have.

    >>> to_install("safetensors")
    "pip install 'safetensors>=0.5'"
    """
    from importlib import metadata  # which takes a while

    try:
        needs = [need.partition(";") for need in metadata.requires("aeclust") or []]
    except metadata.PackageNotFoundError:  # a checkout that is not installed
        return f"pip install '.[{extra}]'"
    names = [name.strip() for name, _, when in needs if re.search(f"extra == .{extra}\\b", when)]
    return shlex.join(["pip", "install", *names])


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
