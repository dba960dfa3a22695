"""Labels as they leave: the tables of predict, compare and export."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_csv(ids: NDArray[Any], values: NDArray[Any], **more: NDArray[Any]) -> str:
    """``id,label`` and `more` columns, and one row for each image, every line ended."""
    columns = [column.tolist() for column in (ids, values, *more.values())]
    return table_of([("id", "label", *more), *zip(*columns, strict=True)])


def table_of(rows: Collection[Sequence[Any]]) -> str:
    """Rows as a CSV, every line ended."""
    out = io.StringIO()
    # before Python 3.13 a lone carriage return was written bare, which no reader takes
    bare = any(isinstance(cell, str) and "\r" in cell for row in rows for cell in row)
    writer = csv.writer(
        out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC if bare else csv.QUOTE_MINIMAL
    )
    writer.writerows(rows)
    return out.getvalue()


def rounded(confidence: NDArray[np.float32]) -> NDArray[np.float64]:
    """Confidences (n,) to six digits after the point, as tables have them."""
    return confidence.astype(np.float64).round(6)


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
        "confidence": rounded(confidence).tolist(),
        **({} if names is None else {"names": names.tolist()}),
    }
    return json.dumps(columns) + "\n"
