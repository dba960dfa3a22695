"""Labels that others gave, from any source, and the tables that labels leave in."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError, at, near_file, unreadable
from aeclust.images import demo
from aeclust.images.arrays import kind_of, npz_keys, read_array
from aeclust.images.columns import (
    NO_CLUSTER,
    as_column,
    as_numbers,
    as_texts,
    is_whole,
    numbered,
    of_images,
    rows_of,
)
from aeclust.images.files import TABLE, look
from aeclust.images.gate import ENDINGS
from aeclust.images.source import demo_name
from aeclust.images.tables import as_text, csv_rows

_MAX_BYTES = 1 << 30
_CSV = "a CSV of id,label"
Former = Mapping[str, str]
_NONE: Former = MappingProxyType({})


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
        Whether they are those of files in a folder, of which ``skip_bad`` may have left out some.
    known : ndarray of shape (n,) or None
        bool, whose label was known before the clusters were made; None where none was.
    remarks : tuple of str
        Remarks on the source, for the user.
    """

    values: NDArray[np.int64]
    ids: NDArray[Any] | None
    location: str
    names: NDArray[np.str_] | None = None
    files: bool = False
    known: NDArray[np.bool_] | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def words(self) -> list[str]:
        """What each label is called, or its number where nothing has a name."""
        if self.names is None or not (self.names != "").any():
            return [*map(str, self.values.tolist())]
        return [str(name) for name in self.names.tolist()]

    @property
    def called(self) -> dict[int, str]:
        """The name of every label that has one."""
        if self.names is None:
            return {}
        pairs = zip(self.values.tolist(), self.names.tolist(), strict=True)
        return {label: name for label, name in pairs if name not in ("", NO_CLUSTER)}

    def aligned(
        self, ids: NDArray[Any], *, gone: Collection[str] = (), former: Former = _NONE
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of `ids` that have a label, and those labels.

        Parameters
        ----------
        ids : ndarray of shape (n,)
        gone : collection of str
            Ids of images that were there once: they may have a label.
        former : mapping of str to str
            What images are called now, by former ids.

        Raises
        ------
        InputError
            If labels without ids have another length, an id is unknown (of files, all are), or two
            are of the same image.
        """
        with at(self.location):
            if self.ids is None:
                if len(self.values) != len(ids):
                    what = f"holds {len(self.values):,} labels for {len(ids):,} images"
                    mend = f"give the labels of these images, or {_CSV}"
                    raise InputError(what, expected="one label for each image", mend=mend)
                return np.arange(len(ids)), self.values
            rows = rows_of(self.ids, ids, former)
            known = rows >= 0
            first: dict[int, Any] = {}
            for row, name in zip(rows[known].tolist(), self.ids[known].tolist(), strict=True):
                if first.setdefault(row, name) != name:
                    what = f"ids {str(first[row])!r} and {str(name)!r} are of the same image"
                    raise InputError(what, expected="each image once", mend="remove one of them")
            passed = rows_of(self.ids, np.array([*gone], np.str_)) >= 0
            unknown = self.ids[~known & ~passed].tolist()
            if unknown and not (self.files and known.any()):
                are = f"and {len(unknown) - 1} others are" if len(unknown) > 1 else "is"
                what = f"id {str(unknown[0])!r} {are} not among the images"
                mend = "check that both belong to the same data"
                raise InputError(what, expected="ids of the clustered images", mend=mend)
            return rows[known], self.values[known]


def load(location: str, *, texts: bool = False, gaps: bool = False) -> Labels:
    """Read labels: ``.csv`` (id,label), ``.json``, ``.npy``, ``.npz``, ``.h5`` or a built-in set.

    A ``.h5`` file may be a labels artifact of aeclust or hold one array of whole numbers. What
    ``aeclust export`` writes is read back, a folder by its ``labels.csv``.

    Parameters
    ----------
    location : str
    texts : bool
        For what compares labels and never prints their numbers: those of a CSV or of an array may
        be any text. They are numbered in the order of the alphabet then, unless all are whole
        numbers. And of a folder of images in folders the outermost of these are the labels.
    gaps : bool
        Texts of an array may be empty.

    Returns
    -------
    Labels

    Raises
    ------
    InputError
        If the source is missing, unreadable, or not one such label for each image.
    """
    if location.startswith("demo:"):
        return Labels(demo.classes(demo_name(location)), None, location)
    path, _, key = location.partition("::")
    ending = _ending(path)
    table = table_at(location)
    if table is not None:
        return _read_csv(table, texts=texts)
    if texts and os.path.isdir(path):
        return _read_classes(path)
    if ending == ".json":
        return _read_json(path, texts=texts, gaps=gaps)
    if not key and ending == ".npz" and {"ids", "labels"} <= (keys := npz_keys(path)):
        columns = {"ids", "labels", "names"} & keys
        read = {name: read_array(path, name)[1] for name in columns}
        return _of_columns(read, path, texts=texts, gaps=gaps)
    if not key and ending == ".h5" and artifact.is_artifact(Path(path)):
        return of_artifact(artifact.read(Path(path), "labels"), location)
    if ending not in (".npy", ".npz", ".h5", ".hdf5"):
        expected = ".csv, .json, .npy, .npz, .h5, a folder that export made, or demo:NAME"
        mend = near_file(path, "check the path")
        raise InputError("is no file of labels", where=path, expected=expected, mend=mend)
    where, values = read_array(path, key or None, axes=(1,))
    with at(where):
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        values, names = as_numbers(values, texts=texts, gaps=gaps)
        return Labels(values, None, location, names)


def _ending(path: str) -> str:
    return kind_of(path) or os.path.splitext(path)[1].lower()


def table_at(location: str) -> str | None:
    """The CSV that labels are read from, which an exported folder has; None of other kinds."""
    path = location.partition("::")[0]
    if _ending(path) == ".csv":
        return path
    table = os.path.join(path, TABLE)
    return table if os.path.isfile(table) else None


def of_artifact(labels: Artifact, location: str) -> Labels:
    """The labels of an artifact."""
    arrays = labels.arrays
    return Labels(arrays["labels"], artifact.decode_ids(arrays["ids"]), location)


def load_named(location: str) -> tuple[Labels, list[str]]:
    """Labels numbered anew from 0, and the name that each number stands for.

    Names are those of the source, without what has none; or, where nothing has a name, its labels
    as they are written, which in a CSV may be any text. The label -1 is no name.

    Raises
    ------
    InputError
        As for :func:`load`.
    """
    labels = load(location, texts=True)
    names = labels.names
    if names is None or not (names != "").any():
        names = labels.values.astype(np.str_)
    known = (names != "") & (names != NO_CLUSTER)
    texts, values = np.unique(names[known], return_inverse=True)
    ids = None if labels.ids is None else labels.ids[known]
    found = Labels(values.astype(np.int64), ids, location, None, labels.files)
    return dataclasses.replace(found, remarks=labels.remarks), texts.tolist()


def pair(
    predicted: Labels, truth: Labels, *, gone: Collection[str] = (), former: Former = _NONE
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the predicted labels of the images that the truth has, and these images' classes.

    Ids are matched where both have them. Where one has none, its row numbers are its ids; only
    beside ids that are no numbers, such as paths, rows are taken as they stand. The truth may know
    images that are `gone`, or know some by `former` ids.

    Raises
    ------
    InputError
        As for :meth:`Labels.aligned`.
    """
    ids = np.arange(len(predicted)) if predicted.ids is None else predicted.ids
    if truth.ids is None and len(truth) == len(ids) and all(map(str.isdecimal, map(str, ids))):
        truth = dataclasses.replace(truth, ids=np.arange(len(truth)))
    return truth.aligned(ids, gone=gone, former=former)


# -- reading -----------------------------------------------------------------------------------


def read_rows(path: str) -> list[list[str]]:
    """The rows of a CSV, its header first, without empty ones.

    Raises
    ------
    InputError
        If it cannot be read, or does not start with the columns id and label.
    """
    rows = [*filter(None, all_rows(path, _CSV))]
    if not rows or [cell.strip().lower() for cell in rows[0][:2]] != ["id", "label"]:
        what = f"starts with {','.join(rows[0])[:60]!r}" if rows else "is empty"
        mend = "write it as aeclust predict does"
        raise InputError(what, where=path, expected="the header id,label", mend=mend)
    return rows


def all_rows(path: str, expected: str) -> list[list[str]]:
    """All rows of a CSV; an error says what was expected where it cannot be read."""
    with _reading(path, expected):
        return [*csv_rows(_text_of(path))]


def _text_of(path: str) -> str:
    if os.path.getsize(path) > _MAX_BYTES or not os.path.isfile(path):
        raise OSError(f"not a regular file of at most {_MAX_BYTES} bytes")
    with open(path, "rb") as file, at(path):
        return as_text(file.read())


@contextmanager
def _reading(path: str, expected: str) -> Iterator[None]:
    """Within it, a file of text that cannot be decoded is an error of ours."""
    try:
        yield
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        mend = near_file(path, "check the path")
        raise unreadable(error, where=path, expected=expected, mend=mend) from error


def _read_csv(path: str, *, texts: bool) -> Labels:
    """A CSV, whose column called name may say what labels are called."""
    header, *rows = read_rows(path)
    if not rows:
        raise InputError("holds no labels", where=path, expected="rows after the header")
    columns = [cell.strip().lower() for cell in header]
    named = columns.index("name") if "name" in columns[2:] else None
    labels = [row[1].strip() if len(row) == len(columns) else "" for row in rows]
    remarks: tuple[str, ...] = ()
    if named is not None:
        whole_rows = [row for row in rows if len(row) == len(columns)]
        cells = [(row[0], row[1].strip(), row[named].strip()) for row in whole_rows]
        with at(path):
            why = of_images(*zip(*cells, strict=True)) if cells else ""
        if why:
            named, remarks = None, (f"{path}: {why}",)
    texts = texts and named is None
    whole = [*map(is_whole, labels)]
    row_of: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        label, place = labels[number - 2], f"{path}, row {number}"
        if not (label if texts else whole[number - 2]):
            what = f"reads {','.join(row)[:60]!r}"
            expected = f"{','.join(columns)} with a {'label' if texts else 'whole number'}"
            words = named is None and any(map(str.isalpha, label))
            mend = "correct that row" + ", or give words to aeclust name" * words
            raise InputError(what, where=place, expected=expected, mend=mend)
        if row[0] in row_of:
            what = f"id {row[0]!r} stands in row {row_of[row[0]]} already"
            raise InputError(what, where=place, expected="each id once", mend="remove one of them")
        row_of[row[0]] = number
    with at(path):
        ids = as_texts(list(row_of))
        values, names = numbered(labels)
        if named is not None:
            names = as_texts([row[named].strip() for row in rows])
    return Labels(values, ids, path, names, remarks=remarks)


def _read_classes(path: str) -> Labels:
    """Images in folders that are named by their classes."""
    listing = look(path)
    ids = [n for n in (listing.names if listing else ()) if n.lower().endswith(ENDINGS)]
    homeless = next((name for name in ids if "/" not in name), None)
    if homeless is not None or not ids:
        what = f"{homeless} is in no folder of a class" if homeless else "holds no image file"
        expected = "images in folders that are named by their classes"
        mend = f"sort them into folders, or write {_CSV}"
        raise InputError(what, where=path, expected=expected, mend=mend)
    names, values = np.unique([name.partition("/")[0] for name in ids], return_inverse=True)
    return Labels(values.astype(np.int64), as_texts(ids), path, names[values], files=True)


def _read_json(path: str, *, texts: bool, gaps: bool) -> Labels:
    with _reading(path, "one object, as aeclust predict --json writes it"):
        content = json.loads(_text_of(path))
    content = content if isinstance(content, dict) else {}
    return _of_columns(content, path, texts=texts, gaps=gaps)


def _of_columns(columns: Mapping[str, Any], path: str, *, texts: bool, gaps: bool) -> Labels:
    """Labels of columns from a file; of ids, labels and names the last may be absent."""
    given = [columns.get("ids"), columns.get("labels")]
    given += [] if columns.get("names") is None else [columns["names"]]
    with at(path):
        arrays = [as_column(cells) for cells in given]
        kinds = "".join(array.dtype.kind for array in arrays)
        allowed = ("ii", "Ui", "iiU", "UiU", *("iU", "UU") * texts)
        if kinds not in allowed or len(set(map(len, arrays))) > 1:
            what = "has no columns ids, labels and names that belong together"
            expected = "lists of one length: ids, whole numbers and, if they are there, names"
            raise InputError(what, expected=expected, mend="write it as aeclust export does")
        if len(np.unique(arrays[0])) < len(arrays[0]):
            mend = "remove one of them"
            raise InputError("has an id twice", expected="each id once", mend=mend)
        values, names = as_numbers(arrays[1], texts=texts, gaps=gaps)
        labels = Labels(values, arrays[0], path, names)
        if len(arrays) < 3:
            return labels
        if why := of_images(*(array.tolist() for array in arrays)):
            return dataclasses.replace(labels, remarks=(f"{path}: {why}",))
        return dataclasses.replace(labels, names=arrays[2])
