"""Text files and CSVs of others: their bytes as text, and what stands between their columns."""

from __future__ import annotations

import codecs
import csv
import io
from typing import Any

from aeclust.errors import InputError

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS = (",", ";", "\t")  # spreadsheets take the one of their country


def as_text(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 that says so at its start (InputError if it is in neither)."""
    try:
        return data.decode("utf-16" if data.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        mend = "save it as UTF-8, which spreadsheets call CSV UTF-8"
        line = data[: error.start].count(b"\n") + 1
        raise InputError(f"line {line} is not UTF-8", expected="UTF-8", mend=mend) from error


def csv_rows(text: str) -> Any:
    r"""A reader of the rows of a CSV, by the separator that its first line has.

    >>> [*csv_rows("id;label\na;1,5")]
    [['id', 'label'], ['a', '1,5']]
    """
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    separator = next((each for each in _SEPARATORS if each in first), ",")
    return csv.reader(io.StringIO(text, newline=""), delimiter=separator)
