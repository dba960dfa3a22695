"""Ids and labels as they stand in files of others: whole numbers, or texts."""

from __future__ import annotations

import sys
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError
from aeclust.images.gate import ENDINGS

NO_CLUSTER = "-1"  # the label of an image that is in none
_MOST = 2**62  # of a label
_NEARLY_ALL = 0.9  # of the names in a column are different where it is one of images
_PLAIN = ({int}, {str})
_Alike = tuple[list[int], list[int]]


def rows_of(
    names: NDArray[Any], ids: NDArray[Any], former: Mapping[str, str] | None = None
) -> NDArray[np.int64]:
    """The row of each name among ids, -1 for none.

    What is no id may be a `former` one, by which that of now is known.

    Names that differ by Unicode composition, as those of files do on macOS, are the same where no
    other could be meant.
    """
    wanted, present = [*map(str, names.tolist())], [*map(str, ids.tolist())]
    row_of = {name: row for row, name in enumerate(present)}
    for old, now in (former or {}).items():
        row_of.setdefault(old, row_of.get(now, -1))
    rows = np.array([row_of.get(name, -1) for name in wanted], np.int64)
    missing = np.flatnonzero(rows < 0).tolist() if names.dtype.kind == "U" else []
    if missing:
        taken, alike = set(rows.tolist()), defaultdict[str, _Alike](lambda: ([], []))
        for place in missing:
            alike[unicodedata.normalize("NFC", wanted[place])][0].append(place)
        for row in (row for row in range(len(present)) if row not in taken):
            alike[unicodedata.normalize("NFC", present[row])][1].append(row)
        for places, candidates in alike.values():
            if len(places) == len(candidates) == 1:
                rows[places] = candidates
    return rows


def numbered(labels: list[str]) -> tuple[NDArray[np.int64], NDArray[np.str_] | None]:
    """Labels that are written as numbers, or those of texts in their order, and what these are.

    Among texts -1 is a number still.
    """
    if all(map(is_whole, labels)):
        return np.array([*map(int, labels)], np.int64), None
    number = {text: row for row, text in enumerate(sorted({*labels} - {NO_CLUSTER}))}
    return np.array([number.get(text, -1) for text in labels], np.int64), as_texts(labels)


def of_images(ids: Sequence[Any], labels: Sequence[Any], names: Sequence[str]) -> str:
    """Why a column of names is one of images rather than of labels; empty if it is of labels.

    It is of images if all of them are those of image files, or the ids; or if labels have several
    names and nearly all names are different.

    Raises
    ------
    InputError
        If it is neither: labels have several names, which many images share.
    """
    given = [row for row in zip(map(str, ids), labels, names, strict=True) if row[2]]
    why = "its column of names is one of images, and names no cluster"
    if given and all(name in (own, own.rpartition("/")[2]) for own, _, name in given):
        return f"{why}: it repeats the ids"
    if given and all(name.lower().endswith(ENDINGS) for _, _, name in given):
        return f"{why}: it has names of image files"
    first: dict[Any, str] = {}
    two = next((n for _, label, n in given if first.setdefault(label, n) != n), None)
    if two is None:
        return ""
    if len({name for _, _, name in given}) > _NEARLY_ALL * len(given):
        return f"{why}: nearly all of them are different"
    label = next(label for _, label, n in given if n == two and first[label] != two)
    raise InputError(
        f"label {label} has the names {first[label][:60]!r} and {two[:60]!r}",
        expected="one name for all images of a label",
        mend="correct it, or call that column otherwise",
    )


def is_whole(label: str) -> bool:
    """Whether a text is a whole number that 64 bits hold."""
    digits = label.removeprefix("-")
    return digits.isdecimal() and len(digits) < 19


def as_texts(values: Sequence[str]) -> NDArray[np.str_]:
    """Texts as an array (InputError if the longest makes it too large)."""
    longest = max(map(len, values))
    memory.check(
        4.0 * longest * len(values),  # numpy gives every text the room of the longest
        f"a column of {len(values)} texts, one of {longest} characters,",
        "shorten the longest",
    )
    return np.array(values, dtype=np.str_)


def as_column(cells: Any) -> NDArray[Any]:
    """A list or an array as whole numbers or texts (n,); empty if it is neither."""
    neither = np.array([])
    if isinstance(cells, list):
        types = set(map(type, cells))
        if types not in _PLAIN:  # numpy would write a mixed list as text
            return neither
        cells = as_texts(cells) if types == {str} else np.array(cells)
    if not isinstance(cells, np.ndarray) or cells.ndim != 1 or not cells.size:
        return neither
    if cells.dtype.kind in "iu" and cells.max() <= np.iinfo(np.int64).max:
        return cells.astype(np.int64)
    return cells if _is_text(cells) or cells.dtype.kind != "U" else neither


def _is_text(cells: NDArray[Any]) -> bool:
    """Whether all are texts; of other code points than there are, numpy would make broken ones."""
    if cells.dtype.kind != "U" or not cells.itemsize:
        return False
    points = np.ascontiguousarray(cells, cells.dtype.newbyteorder("=")).view(np.uint32)
    return bool(points.max(initial=0) <= sys.maxunicode)


def as_numbers(
    values: NDArray[Any], *, texts: bool, gaps: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.str_] | None]:
    """Labels as whole numbers; where any text may be one, those of texts and the texts.

    With `gaps` a text may be empty.
    """
    if values.ndim != 1 or len(values) == 0:
        raise InputError(f"has shape {values.shape}", expected="one label for each image, (n,)")
    if values.dtype.kind in "US":
        return _of_texts(values, texts=texts, gaps=gaps)
    if values.dtype.kind not in "iub":
        mend = "convert it with .astype(int)"
        raise InputError(f"has dtype {values.dtype}", expected="whole numbers", mend=mend)
    if int(values.min()) < -_MOST or int(values.max()) > _MOST:
        raise InputError("holds numbers beyond 2^62", expected="class numbers")
    return values.astype(np.int64), None


def _of_texts(
    values: NDArray[Any], *, texts: bool, gaps: bool
) -> tuple[NDArray[np.int64], NDArray[np.str_] | None]:
    try:
        cells = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    except UnicodeDecodeError:
        cells = np.array([0])
    if not _is_text(cells):
        raise InputError("holds texts that are not Unicode", expected="numbers or UTF-8")
    labels = [str(label).strip() for label in cells.tolist()]
    for row, label in enumerate(labels):
        if not (label or gaps if texts else is_whole(label)):
            mend = "give words to aeclust name, or number them" if label else "fill it in"
            expected = "a label for each image" if texts else "whole numbers"
            raise InputError(f"row {row} reads {label[:60]!r}", expected=expected, mend=mend)
    return numbered(labels)
