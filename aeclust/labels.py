"""Labels from any source, and the CSV they leave in."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifacts, images
from aeclust.errors import InputError, near_file

_MAX_CSV_BYTES = 1 << 30


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
    """

    values: NDArray[np.int64]
    ids: NDArray[Any] | None
    location: str

    def __len__(self) -> int:
        return len(self.values)

    def aligned(self, ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of `ids` that have a label, and those labels.

        Raises
        ------
        InputError
            If labels without ids have another length, or an id is unknown.
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
        unknown = [str(name) for name in self.ids.tolist() if str(name) not in row_of]
        if unknown:
            raise InputError(
                f"id {unknown[0]!r} and {len(unknown) - 1} others are not among the images"
                if len(unknown) > 1
                else f"id {unknown[0]!r} is not among the images",
                where=self.location,
                expected="ids of the clustered images",
                mend="check that both belong to the same data",
            )
        return np.array([row_of[str(name)] for name in self.ids.tolist()], np.int64), self.values


def load(location: str) -> Labels:
    """Read labels: ``.csv`` (id,label), ``.npy``, ``.npz``, ``.h5`` or a built-in set.

    A ``.h5`` file may be a labels artifact of aeclust or hold one array of whole numbers.

    Raises
    ------
    InputError
        If the source is missing, unreadable, or not one whole number for each image.
    """
    if location.startswith("demo:"):
        return Labels(images.demo_set(location).labels, None, location)
    path, _, key = location.partition("::")
    if path.lower().endswith(".csv"):
        return _read_csv(path)
    if not key and path.lower().endswith(".h5") and artifacts.is_artifact(Path(path)):
        artifact = artifacts.read(Path(path), "labels")
        ids = artifacts.decode_ids(artifact.arrays["ids"])
        return Labels(artifact.arrays["labels"], ids, location)
    where, values = images.read_array(path, key or None, axes=(1,))
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
    return Labels(values.astype(np.int64), None, location)


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


def to_csv(ids: NDArray[Any], values: NDArray[Any]) -> str:
    """``id,label`` and one row for each image, every line ended."""
    out = io.StringIO()
    # before Python 3.13 a lone carriage return was written bare, which no reader takes
    bare = ids.dtype.kind == "U" and any("\r" in name for name in ids.tolist())
    writer = csv.writer(
        out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
    )
    writer.writerow(("id", "label"))
    writer.writerows(zip(ids.tolist(), values.tolist(), strict=True))
    return out.getvalue()


def _read_csv(path: str) -> Labels:
    try:
        if os.path.getsize(path) > _MAX_CSV_BYTES or not os.path.isfile(path):
            raise OSError(f"not a regular file of at most {_MAX_CSV_BYTES} bytes")
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"cannot be read ({getattr(error, 'strerror', None) or error})",
            where=path,
            expected="a CSV of id,label",
            mend=near_file(path, "check the path"),
        ) from error
    if not rows or [cell.strip().lower() for cell in rows[0]] != ["id", "label"]:
        raise InputError(
            f"starts with {','.join(rows[0])[:60]!r}" if rows else "is empty",
            where=path,
            expected="the header id,label",
            mend="write it as aeclust predict does",
        )
    if len(rows) == 1:
        raise InputError("holds no labels", where=path, expected="rows after the header")
    return Labels(*_columns(rows[1:], path), path)


def _columns(rows: Sequence[list[str]], path: str) -> tuple[NDArray[np.int64], NDArray[Any]]:
    values = np.empty(len(rows), np.int64)
    seen: dict[str, int] = {}
    for i, row in enumerate(rows):
        line = f"{path}, row {i + 2}"
        number = row[1].strip() if len(row) == 2 else ""
        digits = number.removeprefix("-")
        if not (digits.isdecimal() and len(digits) < 19):
            raise InputError(
                f"reads {','.join(row)[:60]!r}",
                where=line,
                expected="id,label with a whole number",
                mend="correct that row",
            )
        if row[0] in seen:
            raise InputError(
                f"id {row[0]!r} stands in row {seen[row[0]]} already", where=line,
                expected="each id once", mend="remove one of them",
            )  # fmt: skip
        seen[row[0]] = i + 2
        values[i] = int(number)
    return values, np.array(list(seen), dtype=np.str_)
