"""What a shell offers for a value half typed: names this package knows, and files.

Each function takes the beginning of a value and gives what it could become. A shell that splits
words at ``:`` and ``=``, as bash does, is served by :func:`rejoin` and :func:`remaining`.
"""

from __future__ import annotations

import glob
import os
import re
import typing
from collections.abc import Iterable

_BREAKS = ":="  # bash ends a word there


def recipes(incomplete: str) -> list[str]:
    """Names of recipes."""
    from aeclust.recipe import RECIPES

    return _fitting(incomplete, RECIPES)


def clusterers(incomplete: str) -> list[str]:
    """Names of clusterers."""
    from aeclust.recipe import CLUSTERERS

    return _fitting(incomplete, CLUSTERERS)


def optimizers(incomplete: str) -> list[str]:
    """Names of optimisers."""
    return _fitting(incomplete, _choices("optimizer"))


def losses(incomplete: str) -> list[str]:
    """Names of losses."""
    return _fitting(incomplete, _choices("loss"))


def precisions(incomplete: str) -> list[str]:
    """Names of precisions."""
    return _fitting(incomplete, _choices("precision"))


def settings(incomplete: str) -> list[str]:
    """``FIELD=``, and then the values of a field that has a choice of them."""
    from aeclust.recipe import FIELDS

    field, equals, _ = incomplete.partition("=")
    if not equals:
        return _fitting(incomplete, (f"{name}=" for name in FIELDS if name != "name"))
    return _fitting(incomplete, (f"{field}={value}" for value in _choices(field)))


def images(incomplete: str) -> list[str]:
    """Built-in sets, folders, and files that may hold images."""
    return _demo(incomplete) + _files(incomplete, (".npy", ".npz", ".h5", ".hdf5"))


def labels(incomplete: str) -> list[str]:
    """Built-in sets, and files that may hold labels."""
    return _demo(incomplete) + _files(incomplete, (".npy", ".npz", ".h5", ".hdf5", ".csv", ".json"))


def tomls(incomplete: str) -> list[str]:
    """TOML files."""
    return _files(incomplete, (".toml",))


def paths(incomplete: str) -> list[str]:
    """Any file or folder."""
    return _files(incomplete, ("",))


def rejoin(words: str, place: int) -> list[str]:
    """Words as bash split them, one a line, with ``demo : sc`` in one piece again.

    Returns
    -------
    list of str
        The words up to the one to complete, which is the last.

    >>> rejoin("aeclust\\ntrain\\ndemo\\n:\\nsc", 4)
    ['aeclust', 'train', 'demo:sc']
    """
    given = words.split("\n")[: place + 1]
    joined: list[str] = []
    for i, word in enumerate(given):
        parts = i > 1 and bool(word) and word[0] in _BREAKS
        follows = i > 1 and bool(joined) and joined[-1][-1:] in tuple(_BREAKS)
        if parts or follows:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def remaining(value: str, typed: str) -> str:
    """What bash, which keeps what was typed up to the last ``:`` or ``=``, puts after it.

    >>> remaining("demo:scenes", "demo:sc"), remaining("lr=", "l")
    ('scenes', 'lr=')
    """
    kept = max(typed.rfind(mark) for mark in _BREAKS) + 1
    return value.removeprefix(typed[:kept])


def needs_quotes(value: str) -> bool:
    """Whether a shell reads anything into the value, such as two words.

    >>> needs_quotes("my photos/"), needs_quotes("bücher.npy")
    (True, False)
    """
    return re.fullmatch(r"[\w@%+=:,./-]*", value) is None


def _fitting(incomplete: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]


def _choices(field: str) -> tuple[str, ...]:
    from aeclust.recipe import FIELDS

    kind = FIELDS.get(field)
    if kind is bool:
        return ("true", "false")
    return typing.get_args(kind) if typing.get_origin(kind) is typing.Literal else ()


def _demo(incomplete: str) -> list[str]:
    from aeclust.images.demo import NAMES

    return _fitting(incomplete, (f"demo:{name}" for name in NAMES))


def _files(incomplete: str, endings: tuple[str, ...]) -> list[str]:
    """Folders with a slash, and files of these endings."""
    found = []
    for path in sorted(glob.glob(glob.escape(incomplete) + "*")):
        if os.path.isdir(path):
            found.append(path + "/")
        elif path.lower().endswith(endings):
            found.append(path)
    return found
