"""Labels from any source, and the CSV they leave in."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact as artifacts
from aeclust import images
from aeclust.errors import InputError, near_file
from aeclust.images import demo

TABLE = "labels.csv"  # of an exported folder
_MAX_BYTES = 1 << 30


@dataclass(frozen=True)
class Labels:
    """Integers for images.

    Attributes
    ----------
    values : ndarray of shape (n,)
        int64.
    ids : ndarray of shape (n,) or None
        int64 or str; None where the source has none, so that rows count.
    location : str
        Where they came from, for errors.
    names : ndarray of shape (n,) or None
        str, what each label is called, empty where it has no name; None where the source has none.
    files : bool
        Whether they are those of files in a folder, of which ``--skip-bad`` may have left out some.
    """

    values: NDArray[np.int64]
    ids: NDArray[Any] | None
    location: str
    names: NDArray[np.str_] | None = None
    files: bool = False

    def __len__(self) -> int:
        return len(self.values)

    @property
    def called(self) -> dict[int, str]:
        """The name of every label that has one."""
        if self.names is None:
            return {}
        pairs = zip(self.values.tolist(), self.names.tolist(), strict=True)
        return {label: name for label, name in pairs if name}

    def aligned(self, ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of `ids` that have a label, and those labels.

        Raises
        ------
        InputError
            If labels without ids have another length, or an id is unknown (of files, all are).
        """
        if self.ids is None:
            if len(self.values) != len(ids):
                raise InputError(
                    f"holds {len(self.values)} labels for {len(ids)} images",
                    where=self.location,
                    expected="one label for each image",
                    mend="give the labels of these images, or a CSV of id,label",
                )
            return np.arange(len(ids)), self.values
        row_of = {str(name): row for row, name in enumerate(ids.tolist())}
        rows = [row_of.get(str(name), -1) for name in self.ids.tolist()]
        known = np.array(rows, np.int64) >= 0
        unknown = self.ids[~known].tolist()
        if unknown and not (self.files and known.any()):
            raise InputError(
                f"id {str(unknown[0])!r} and {len(unknown) - 1} others are not among the images"
                if len(unknown) > 1
                else f"id {str(unknown[0])!r} is not among the images",
                where=self.location,
                expected="ids of the clustered images",
                mend="check that both belong to the same data",
            )
        return np.array(rows, np.int64)[known], self.values[known]


def load(location: str, *, texts: bool = False) -> Labels:
    """Read labels: ``.csv`` (id,label), ``.json``, ``.npy``, ``.npz``, ``.h5`` or a built-in set.

    A ``.h5`` file may be a labels artifact of aeclust or hold one array of whole numbers. What
    ``aeclust export`` writes is read back, a folder by its ``labels.csv``.

    Parameters
    ----------
    location : str
    texts : bool
        For what compares labels and never prints their numbers: those of a CSV may be any text.
        They are numbered in the order of the alphabet then, unless all are whole numbers. And of
        a folder of images in folders the outermost of these are the labels.

    Raises
    ------
    InputError
        If the source is missing, unreadable, or not one such label for each image.
    """
    if location.startswith("demo:"):
        return Labels(demo.classes(images.demo_name(location)), None, location)
    path, _, key = location.partition("::")
    if _is_table(path):
        return _read_csv(path, texts=texts)
    if texts and os.path.isdir(path):
        return _read_classes(path)
    if path.lower().endswith(".json"):
        return _read_json(path)
    if not key and path.lower().endswith(".npz") and {"ids", "labels"} <= images.npz_keys(path):
        return _read_npz(path)
    if not key and path.lower().endswith(".h5") and artifacts.is_artifact(Path(path)):
        artifact = artifacts.read(Path(path), "labels")
        ids = artifacts.decode_ids(artifact.arrays["ids"])
        return Labels(artifact.arrays["labels"], ids, location)
    if os.path.splitext(path)[1].lower() not in (".npy", ".npz", ".h5", ".hdf5"):
        raise InputError(
            "is no file of labels",
            where=path,
            expected=".csv, .json, .npy, .npz, .h5, a folder that export made, or demo:NAME",
            mend=near_file(path, "check the path"),
        )
    where, values = images.read_array(path, key or None, axes=(1,))
    return Labels(_whole_numbers(values, where), None, location)


def load_named(location: str) -> tuple[Labels, list[str]]:
    """Labels numbered anew from 0, and the name that each number stands for.

    Names are those of the source, without what has none; or, where nothing has a name, its labels
    as they are written, which in a CSV may be any text.

    Raises
    ------
    InputError
        As for :func:`load`.
    """
    found = load(location, texts=True)
    names = found.names
    if names is None or not (names != "").any():
        names = found.values.astype(np.str_)
    known = names != ""
    texts, values = np.unique(names[known], return_inverse=True)
    ids = None if found.ids is None else found.ids[known]
    return Labels(values.astype(np.int64), ids, location, files=found.files), texts.tolist()


def _is_table(path: str) -> bool:
    return path.lower().endswith(".csv") or os.path.isfile(os.path.join(path, TABLE))


def _whole_numbers(values: NDArray[Any], where: str) -> NDArray[np.int64]:
    if values.ndim != 1 or len(values) == 0:
        raise InputError(
            f"has shape {values.shape}", where=where, expected="one label for each image, (n,)"
        )
    if values.dtype.kind not in "iub":
        raise InputError(
            f"has dtype {values.dtype}",
            where=where,
            expected="whole numbers",
            mend="convert it with .astype(int)",
        )
    if int(values.min()) < -(2**62) or int(values.max()) > 2**62:
        raise InputError("holds numbers beyond 2^62", where=where, expected="class numbers")
    return values.astype(np.int64)


def pair(predicted: Labels, truth: Labels) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Clusters and classes of the images that the truth knows, in one order.

    Ids are matched where both have them. Where one has none, its row numbers are its ids; only
    beside ids that are no numbers, such as paths, rows are taken as they stand.
    """
    ids = np.arange(len(predicted)) if predicted.ids is None else predicted.ids
    if truth.ids is None and len(truth) == len(ids) and all(map(str.isdecimal, map(str, ids))):
        truth = dataclasses.replace(truth, ids=np.arange(len(truth)))
    rows, classes = truth.aligned(ids)
    return predicted.values[rows], classes


def to_csv(ids: NDArray[Any], values: NDArray[Any], **more: NDArray[Any]) -> str:
    """``id,label`` and `more` columns, and one row for each image, every line ended."""
    out = io.StringIO()
    columns = [column.tolist() for column in (ids, values, *more.values())]
    # before Python 3.13 a lone carriage return was written bare, which no reader takes
    bare = any(isinstance(cell, str) and "\r" in cell for column in columns for cell in column)
    writer = csv.writer(
        out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
    )
    writer.writerow(("id", "label", *more))
    writer.writerows(zip(*columns, strict=True))
    return out.getvalue()


def to_json(
    ids: NDArray[Any],
    values: NDArray[np.int64],
    confidence: NDArray[np.float32],
    names: NDArray[np.str_] | None = None,
) -> str:
    """One object of the columns ids, labels, confidence and, if there are any, names; one line."""
    columns = {
        "ids": ids.tolist(),
        "labels": values.tolist(),
        "confidence": [round(c, 6) for c in confidence.tolist()],
    }
    if names is not None:
        columns["names"] = names.tolist()
    return json.dumps(columns) + "\n"


def read_rows(path: str) -> list[list[str]]:
    """The rows of a CSV, its header first, without empty ones.

    Raises
    ------
    InputError
        If it cannot be read, or does not start with the columns id and label.
    """
    data = _read_text(path, "a CSV of id,label")
    try:
        rows = [row for row in csv.reader(io.StringIO(data, newline="")) if row]
    except csv.Error as error:
        raise _unreadable(path, str(error), "a CSV of id,label") from error
    if not rows or [cell.strip().lower() for cell in rows[0][:2]] != ["id", "label"]:
        raise InputError(
            f"starts with {','.join(rows[0])[:60]!r}" if rows else "is empty",
            where=path,
            expected="the header id,label",
            mend="write it as aeclust predict does",
        )
    return rows


def _read_text(path: str, expected: str) -> str:
    try:
        if os.path.getsize(path) > _MAX_BYTES or not os.path.isfile(path):
            raise OSError(f"not a regular file of at most {_MAX_BYTES} bytes")
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _unreadable(path, reason, expected) from error


def _unreadable(path: str, reason: str, expected: str) -> InputError:
    return InputError(
        f"cannot be read ({reason})",
        where=path,
        expected=expected,
        mend=near_file(path, "check the path"),
    )


def _read_csv(path: str, *, texts: bool = False) -> Labels:
    """A CSV, or that of an exported folder; a column called name says what labels are called."""
    if not path.lower().endswith(".csv"):
        path = os.path.join(path, TABLE)
    header, *rows = read_rows(path)
    if not rows:
        raise InputError("holds no labels", where=path, expected="rows after the header")
    columns = [cell.strip().lower() for cell in header]
    named = columns.index("name") if "name" in columns[2:] else None
    texts = texts and named is None
    cells: list[str] = []
    names: list[str] = []
    seen: dict[str, int] = {}
    numbers = True
    for i, row in enumerate(rows):
        line = f"{path}, row {i + 2}"
        label = row[1].strip() if len(row) == len(columns) else ""
        digits = label.removeprefix("-")
        whole = digits.isdecimal() and len(digits) < 19
        numbers = numbers and whole
        if not (label if texts else whole):
            raise InputError(
                f"reads {','.join(row)[:60]!r}",
                where=line,
                expected=f"{','.join(columns)} with a {'label' if texts else 'whole number'}",
                mend="correct that row"
                + ", or give words to aeclust name"
                * (named is None and any(map(str.isalpha, label))),
            )
        if row[0] in seen:
            raise InputError(
                f"id {row[0]!r} stands in row {seen[row[0]]} already", where=line,
                expected="each id once", mend="remove one of them",
            )  # fmt: skip
        seen[row[0]] = i + 2
        cells.append(label)
        names += [] if named is None else [row[named].strip()]
    values = np.array([int(cell) for cell in cells] if numbers else [], np.int64)
    if not numbers:
        names, values = cells, np.unique(cells, return_inverse=True)[1].astype(np.int64)
    return Labels(values, _texts(list(seen)), path, _texts(names) if names else None)


def _texts(values: Sequence[str]) -> NDArray[np.str_]:
    return np.array(values, dtype=np.str_)


def _read_classes(path: str) -> Labels:
    """Images in folders that are named by their classes."""
    ids = images.image_files(Path(path))
    homeless = next((name for name in ids if "/" not in name), None)
    if homeless is not None or not ids:
        raise InputError(
            f"{homeless} is in no folder of a class" if homeless else "holds no PNG or JPEG file",
            where=path,
            expected="images in folders that are named by their classes",
            mend="sort them into folders, or write a CSV of id,label",
        )
    names, values = np.unique([name.partition("/")[0] for name in ids], return_inverse=True)
    return Labels(values.astype(np.int64), _texts(ids), path, names[values], files=True)


def _read_json(path: str) -> Labels:
    expected = "one object, as aeclust predict --json writes it"
    try:
        found = json.loads(_read_text(path, expected))
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, f"{type(error).__name__}: {error}"[:100], expected) from error
    columns = found if isinstance(found, dict) else {}
    # numpy would write a mixed column as text
    plain = [columns.get(key) for key in ("ids", "labels", "names")]
    ids, values, names = (
        np.array(column)
        if isinstance(column, list) and set(map(type, column)) in ({int}, {str})
        else None
        for column in plain
    )
    if plain[2] is not None and names is None:
        values = None  # names there are, but not as they should be
    return _from_columns(ids, values, names, path)


def _read_npz(path: str) -> Labels:
    names = images.read_array(path, "names")[1] if "names" in images.npz_keys(path) else None
    ids, values = (images.read_array(path, key)[1] for key in ("ids", "labels"))
    return _from_columns(ids, values, names, path)


def _sound(column: NDArray[Any] | None) -> bool:
    """Whether texts are made of characters that there are."""
    if column is None or column.dtype.kind != "U" or not column.dtype.itemsize:
        return True
    points = np.ascontiguousarray(column).view(np.uint32)
    return column.dtype.isnative and int(points.max()) <= sys.maxunicode


def _from_columns(
    ids: NDArray[Any] | None, values: NDArray[Any] | None, names: NDArray[Any] | None, where: str
) -> Labels:
    """Labels of columns from a file; a missing one of the first two is refused."""
    columns = [ids, values] if names is None else [ids, values, names]
    shapes = {None if column is None else column.shape for column in columns}
    kinds = "".join("-" if column is None else column.dtype.kind for column in columns)
    if (
        ids is None
        or values is None
        or kinds not in ("ii", "Ui", "iiU", "UiU")
        or len(shapes) > 1
        or ids.ndim != 1
        or len(ids) == 0
        or not all(map(_sound, columns))
    ):
        raise InputError(
            "has no columns ids, labels and names that belong together",
            where=where,
            expected="lists of one length: ids, whole numbers and, if they are there, names",
            mend="write it as aeclust export does",
        )
    if len(np.unique(ids)) < len(ids):
        raise InputError(
            "has an id twice", where=where, expected="each id once", mend="remove one of them"
        )
    return Labels(_whole_numbers(values, where), ids, where, names)
