"""What a caller gives in Python, and errors in the caller's words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import ArgumentError, DivergedError, InputError, at, name_settings
from aeclust.images.known import Given, read_known
from aeclust.run.known import Steering
from aeclust.run.steering import numbered

_RANGE = re.compile(r"`range`[ =]([^ :]+):([^ :,;]+)")  # as the command line takes it
_SAME = {"same": True, "different": False}


@contextmanager
def argument_errors() -> Iterator[None]:
    """Errors of the stages as those of arguments, with settings by their names in Python."""
    try:
        yield
    except DivergedError as error:
        mend, _, _ = error.mend.partition(";")  # there are no earlier checkpoints
        raise DivergedError(error.what, mend=_in_python(mend)) from error
    except InputError as error:
        where, expected, mend = map(_in_python, (error.where, error.expected, error.mend))
        raise ArgumentError(error.what, where=where, expected=expected, mend=mend) from error


def _in_python(text: str) -> str:
    if "`layout`" in text:
        return "reshape it to (n, h, w, c)"
    text = _RANGE.sub(r"`range` (\1, \2)", text)
    return name_settings(text, lambda s: {"k": "n_clusters", "range": "value_range"}.get(s, s))


def steering_in(
    y: Any, known: Any, n: int, data: str, k: int, log: Callable[[str], None]
) -> Steering | None:
    """What is known of n images (see :func:`given_of`), for so many clusters; None if nothing is.

    `data` is the SHA-256 of the images; `log` takes remarks for the user.
    """
    given = given_of(y, known, n)
    if given is None:
        return None
    rows = np.arange(n)
    with at("known"):
        return numbered(given, rows, rows, data, k, log=log)


def given_of(y: Any, known: Any, n: int) -> Given | None:
    """What is said of n images; None if nothing is.

    Parameters
    ----------
    y : object
        Of labels with a -1 among them those that are none; anything else says nothing, as scorers
        and searches hand the true labels of all images over.
    known : object
        See :meth:`aeclust.AutoencoderClusterer.fit`.
    n : int

    Raises
    ------
    InputError
        If that is none of these, or speaks of other images.
    """
    given_by: list[tuple[str, Given]] = []
    column = _column(y)
    if column is not None and any(map(_is_none, column)):
        with at("y"):
            given_by.append(("y", _of_labels(column, n)))
    with at("known"):
        if isinstance(known, Mapping):
            given_by.append(("known", _of_mapping(known, n)))
        elif isinstance(known, str | os.PathLike) or _are_paths(known):
            paths = [known] if isinstance(known, str | os.PathLike) else known
            given_by.append(
                ("known", read_known([os.fspath(each) for each in paths], np.arange(n)))
            )
        elif (column := _column(known)) is not None:
            given_by.append(("known", _of_labels(column, n)))
        elif known is not None:
            expected = "a mapping, labels with -1 for unknown ones, or the path of a file"
            raise InputError(f"is of type {type(known).__name__}", expected=expected)
    given = Given()
    for _, each in given_by:
        given.labels.update(each.labels)
        given.pairs.update(each.pairs)
    if len(given_by) > 1:
        for row, label in given_by[0][1].labels.items():
            if given.labels[row] != label:
                what = f"image {row} is {label!r} in y and {given.labels[row]!r} in known"
                raise InputError(what, expected="one of them", mend="leave one out")
    return given if given.labels or given.pairs else None


def _column(values: Any) -> NDArray[Any] | None:
    """Values as an array (n,), if they are one."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # numpy's, of lists of lists of many lengths
        return None
    return array if array.ndim == 1 else None


def _are_paths(known: Any) -> bool:
    kinds = isinstance(known, list | tuple) and len(known) > 0
    return kinds and all(isinstance(each, os.PathLike) for each in known)


def _is_none(label: Any) -> bool:
    """Whether a label is -1."""
    return bool(np.isscalar(label)) and label in (-1, "-1")


def _word(label: Any) -> str:
    """A label as a file has it; InputError for one that is missing otherwise than by -1."""
    if label is None or label != label:
        expected, mend = (
            "a label, or -1 where none is known",
            "for example np.nan_to_num(y, nan=-1)",
        )
        raise InputError(f"has the label {label!r}", expected=expected, mend=mend)
    if isinstance(label, float | np.floating) and float(label).is_integer():
        return str(int(label))
    return str(label)


def _of_labels(labels: NDArray[Any], n: int) -> Given:
    if len(labels) != n:
        what, expected = f"has {len(labels)} labels for {n} images", "one for each, -1 for unknown"
        raise InputError(what, expected=expected)
    words = {row: _word(label) for row, label in enumerate(labels) if not _is_none(label)}
    return Given({row: word for row, word in words.items() if word})


def _of_mapping(known: Mapping[Any, Any], n: int) -> Given:
    given = Given()
    for key, value in known.items():
        rows = key if isinstance(key, tuple) else (key,)
        for row in rows:
            if not isinstance(row, int | np.integer) or not 0 <= row < n:
                raise InputError(f"there is no image {row!r}", expected=f"rows 0 to {n - 1}")
        if len(rows) == 1:
            if not _is_none(value):
                given.labels[int(rows[0])] = _word(value)
            continue
        same = _SAME.get(value, value) if isinstance(value, str) else value
        if len(rows) != 2 or rows[0] == rows[1] or not isinstance(same, bool | np.bool_):
            what, expected = f"says {value!r} of {key!r}", "'same' or 'different' of two images"
            raise InputError(what, expected=expected)
        one, other = sorted(map(int, rows))
        if given.pairs.setdefault((one, other), bool(same)) != same:
            what = f"images {one} and {other} are the same and different"
            raise InputError(what, expected="one of them")
    return given
