"""A ``.csv`` or ``.txt`` of the paths of images."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aeclust.disk import read_start
from aeclust.errors import InputError, did_you_mean, reason, unreadable
from aeclust.images.listing import Listing, check_utf8, mark_of
from aeclust.images.tables import as_text, csv_rows

LISTS = (".csv", ".txt")
_COLUMNS = ("path", "file", "filename", "id")  # the first of them that is there
_MAX_BYTES, _MAX_PATH = 200_000_000, 1_024


@dataclass(frozen=True)
class PathList(Listing):
    """Images whose paths stand in a file, relative to its folder; ids are the paths as written."""

    lines: dict[str, int] = field(kw_only=True, repr=False, compare=False)

    @classmethod
    def of(cls, path: Path) -> PathList:
        """The list at a path.

        Raises
        ------
        InputError
            If it cannot be read, or names no images.
        """
        text = _text(path)
        written = _of_csv(text) if path.suffix.lower() == ".csv" else _of_text(text)
        lines: dict[str, int] = {}
        for line, name in written:
            lines.setdefault(name, line)
        for name, line in lines.items():
            if "\0" in name or len(name) > _MAX_PATH:
                raise InputError(f"line {line} holds no path", expected="the path of an image")
            check_utf8(name)
        if not lines:
            raise InputError("names no files", expected="the path of an image in each line")
        again = len(written) - len(lines)
        notes = (f"{again} repeated line{'s' * (again != 1)}",) * bool(again)
        names = tuple(sorted(lines, key=os.fsencode))
        marks = np.fromiter((mark_of(path.parent / name) for name in names), np.uint64, len(names))
        return cls(path, names, marks, notes, chosen=True, lines=lines)

    def where(self, name: str) -> str:
        """The line that names a file."""
        return f"{self.place}, line {self.lines.get(name, '-')} ({name})"

    def path(self, name: str) -> Path:
        """Where one of the files lies."""
        return self.place.parent / name


def _text(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            data = read_start(file, _MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise InputError(f"has more than {_MAX_BYTES} bytes", expected="a list of paths")
    except OSError as error:
        raise unreadable(error, expected="a list of paths in UTF-8") from error
    return as_text(data)


def _of_text(text: str) -> list[tuple[int, str]]:
    """Numbers and contents of the lines that are not empty."""
    lines = enumerate(text.replace("\r\n", "\n").split("\n"), 1)
    return [(number, line) for number, line in lines if line.strip()]


def _of_csv(text: str) -> list[tuple[int, str]]:
    """Numbers of the lines that are not empty, and their cells in the column of paths."""
    reader = csv_rows(text)
    try:
        header = [cell.strip().lower() for cell in next(reader, [])]
        column = next((name for name in _COLUMNS if name in header), None)
        if column is None:
            near = next(filter(None, (did_you_mean(cell, _COLUMNS) for cell in header)), "")
            what, expected = (
                "has no column of paths",
                f"one called {', '.join(_COLUMNS[:-1])} or id",
            )
            raise InputError(what, expected=expected, mend=near or "name it in the first line")
        place, rows = header.index(column), []
        for row in reader:
            if len(row) > place and row[place].strip():
                rows.append((reader.line_num, row[place]))
            elif any(row):
                what = f"line {reader.line_num} has no {column}"
                raise InputError(what, expected="the path of an image")
    except csv.Error as error:
        raise InputError(f"cannot be read ({reason(error)})", expected="a CSV file") from error
    return rows
