"""What somebody knows of the images of a run, said of their rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import encode_ids
from aeclust.clusters.known import Known


@dataclass(frozen=True)
class Steering:
    """What somebody knows of the images of a run.

    Attributes
    ----------
    data : str
        SHA-256 of the images, by whose rows it is said.
    labels : tuple of (int, int)
        Rows, ascending, and the numbers that their clusters must have.
    pairs : tuple of (int, int, int)
        Two rows, ascending, and 1 where they belong together, else 0.
    names : tuple of (int, str)
        Numbers, ascending, and what these clusters are called.
    gone : tuple of str
        Ids, sorted, of images that are no more and of which something was said.
    """

    data: str
    labels: tuple[tuple[int, int], ...] = ()
    pairs: tuple[tuple[int, int, int], ...] = ()
    names: tuple[tuple[int, str], ...] = ()
    gone: tuple[str, ...] = ()

    def known(self, n: int) -> tuple[Known, NDArray[np.int64]]:
        """The same of n images with classes that leave no number out, and the number of each."""
        rows, numbers = np.array(self.labels, np.int64).reshape(-1, 2).T
        used, classes = np.unique(numbers, return_inverse=True)
        of_image = np.full(n, -1)
        of_image[rows] = classes
        pairs = np.array(self.pairs, np.int64).reshape(-1, 3)
        same = pairs[:, 2] == 1
        return Known(of_image, pairs[same, :2], pairs[~same, :2]), used

    def arrays(self, n: int) -> dict[str, NDArray[Any]]:
        """What labels of n images hold of it."""
        numbers = np.full(n, -1)
        rows, values = np.array(self.labels, np.int64).reshape(-1, 2).T
        numbers[rows] = values
        pairs = np.array(self.pairs, np.int64).reshape(-1, 3)
        gone = {"gone": encode_ids(np.array(self.gone))} if self.gone else {}
        return {"known": numbers, "pairs": pairs, **gone}

    def beyond(self, n: int) -> bool:
        """Whether it speaks of rows that n images do not have."""
        rows = [row for row, _ in self.labels] + [row for *two, _ in self.pairs for row in two]
        return max(rows, default=-1) >= n

    @property
    def said(self) -> dict[int, str]:
        """The label of every known image by its row, as a file has it."""
        words = dict(self.names)
        return {row: words.get(number, str(number)) for row, number in self.labels}

    @property
    def details(self) -> dict[str, Any]:
        """What labels say of it: how many labels and pairs, and the names of clusters."""
        names = {str(number): name for number, name in self.names}
        return {"labels": len(self.labels), "pairs": len(self.pairs), "names": names}

    def moved(self, rows: NDArray[np.int64], ids: NDArray[Any], data: str) -> Steering | None:
        """The same of other images; None if none of them is known.

        Parameters
        ----------
        rows : ndarray of shape (m,)
            The row that each of the others has among the images of this, -1 for none.
        ids : ndarray of shape (n,)
            What the images of this are called.
        data : str
            SHA-256 of the others.
        """
        now = np.full(len(ids), -1)
        now[rows[rows >= 0]] = np.flatnonzero(rows >= 0)
        there = [(int(now[row]), number) for row, number in self.labels if now[row] >= 0]
        pairs = [
            (*sorted((int(now[a]), int(now[b]))), same)
            for a, b, same in self.pairs
            if now[a] >= 0 <= now[b]
        ]
        if not (there or pairs):
            return None
        said = {row for row, _ in self.labels} | {r for *both, _ in self.pairs for r in both}
        lost = ids[[row for row in sorted(said) if now[row] < 0]]
        lost = lost if lost.dtype.kind == "U" else lost[:0]  # a row number is another image now
        used = {number for _, number in there}
        return Steering(
            data,
            tuple(sorted(there)),
            tuple(sorted((a, b, same) for a, b, same in pairs)),
            tuple((number, name) for number, name in self.names if number in used),
            tuple(sorted({*self.gone, *map(str, lost.tolist())})),
        )

    def to_json(self) -> dict[str, Any]:
        """As ``run.json`` has it."""
        names = {str(number): name for number, name in self.names}
        gone = {"gone": self.gone} if self.gone else {}
        labels, pairs = self.labels, self.pairs
        return {"data": self.data, "labels": labels, "pairs": pairs, "names": names, **gone}

    @classmethod
    def from_json(cls, values: Any) -> Steering:
        """The inverse of :meth:`to_json`; any exception if the values are of another kind."""
        labels = tuple((int(row), int(number)) for row, number in values["labels"])
        pairs = tuple((int(a), int(b), int(same)) for a, b, same in values["pairs"])
        names = {int(number): str(name) for number, name in values["names"].items()}
        numbers = [*(n for each in labels for n in each), *(n for each in pairs for n in each)]
        if min([*numbers, *names], default=0) < 0 or any(same > 1 for _, _, same in pairs):
            raise ValueError("known labels have numbers below 0, or pairs of another kind")
        gone = tuple(map(str, values.get("gone", ())))
        return cls(str(values["data"]), labels, pairs, tuple(sorted(names.items())), gone)
