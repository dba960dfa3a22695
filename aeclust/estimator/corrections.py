"""What a person does with a fitted estimator: answer, correct, look for images alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from aeclust.clusters.nearest import nearest
from aeclust.clusters.neighbours import copies
from aeclust.errors import InputError
from aeclust.estimator.arguments import argument_errors, steering_in
from aeclust.images import fingerprints
from aeclust.run import model as models
from aeclust.run import revised
from aeclust.run.edits.kinds import Drop, Edit, Merge, Move, Split


class Corrections:
    """The commands that correct, for an estimator that keeps a model."""

    _model: models.Model
    _remarks: Sequence[str]

    def _take(
        self, model: models.Model, remarks: Sequence[str] = (), said: Sequence[str] = ()
    ) -> Self:
        """Take over what a model holds."""
        raise NotImplementedError

    def _pixels(self, X: NDArray[Any]) -> NDArray[Any]:
        """Images as the stages take them."""
        raise NotImplementedError

    def _embed(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Their latents (n, d)."""
        raise NotImplementedError

    @argument_errors()
    def ask(self, n: int = 20) -> NDArray[np.int64]:
        """Rows of the images most worth labelling, of those whose labels are not known.

        Parameters
        ----------
        n : int
            How many; fewer where fewer are left.

        Returns
        -------
        ndarray of shape (n,)
            int64, in the order in which to answer.
        """
        check_is_fitted(self)
        return revised.asked(self._model, _number("n", n, 1))

    @argument_errors()
    def cluster(self, known: Any = None) -> Self:
        """Cluster the images of `fit` anew, without training.

        Parameters
        ----------
        known : optional
            What is known by now, as for `fit`; without, clusters are steered by nothing.
        """
        check_is_fitted(self)
        model, said = self._model, list[str]()
        n, k = len(model.labels.arrays["labels"]), model.labels.recipe["k"]
        steering = steering_in(None, known, n, model.manifest.data_digest, k, said.append)
        return self._take(revised.clustered(model, steering), self._remarks, said)

    @argument_errors()
    def merge(self, *clusters: int) -> Self:
        """Make clusters one, which has the number of the first; the others keep theirs."""
        numbers = tuple(_number("clusters", each) for each in clusters)
        if len({*numbers}) < max(2, len(numbers)):
            what = f"clusters are {numbers}"
            raise InputError(what, where="merge", expected="two or more different ones")
        return self._edit(Merge(numbers))

    @argument_errors()
    def split(self, cluster: int, k: int = 2) -> Self:
        """Split a cluster in k: the largest part keeps its number, the others take free ones."""
        return self._edit(Split(_number("cluster", cluster), _number("k", k, 2)))

    @argument_errors()
    def move(self, rows: ArrayLike, to: int | None) -> Self:
        """Put images of `fit` into a cluster, or into a new one if `to` is None."""
        number = None if to is None else _number("to", to)
        return self._edit(Move(self._rows(rows), number, new=to is None))

    @argument_errors()
    def drop(self, rows: ArrayLike) -> Self:
        """Take images of `fit` out of all clusters: their label becomes -1."""
        return self._edit(Drop(self._rows(rows)))

    @argument_errors()
    def similar(self, X: NDArray[Any], n: int = 12) -> NDArray[np.int64]:
        """Rows of the images of `fit` whose latents are nearest to those of images.

        Parameters
        ----------
        X : ndarray
            m images, as for `predict`.
        n : int
            How many for each; fewer if there are fewer.

        Returns
        -------
        ndarray of shape (m, n)
            int64, the nearest first. An image of `fit` is not its own neighbour.
        """
        check_is_fitted(self)
        count, pixels, known = _number("n", n, 1), self._pixels(X), self._model.latents.arrays
        itself = copies(fingerprints(pixels), known["fingerprints"])
        return nearest(self._embed(pixels), known["latents"], count, exclude=itself)[0]

    def _edit(self, edit: Edit) -> Self:
        check_is_fitted(self)
        return self._take(revised.corrected(self._model, edit), self._remarks)

    def _rows(self, rows: ArrayLike) -> tuple[int, ...]:
        """Rows of images, one or several."""
        check_is_fitted(self)
        n, values = len(self._model.labels.arrays["labels"]), np.atleast_1d(np.asarray(rows))
        if values.ndim != 1 or values.dtype.kind not in "iu" or not values.size:
            expected = "row numbers of images of fit"
            raise InputError(f"rows have dtype {values.dtype}", where="rows", expected=expected)
        if not 0 <= values.min() <= values.max() < n:
            beyond = next(row for row in values.tolist() if not 0 <= row < n)
            raise InputError(
                f"there is no image {beyond}", where="rows", expected=f"rows 0 to {n - 1}"
            )
        return tuple(values.tolist())


def _number(name: str, value: Any, least: int = 0) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        what = f"{name} is {value!r}"
        raise InputError(what, where=name, expected=f"a whole number of {least} or more")
    return int(value)
