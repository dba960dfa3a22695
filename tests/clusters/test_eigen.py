"""Few eigenvalues of many against LAPACK's, which finds them all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aeclust.clusters import eigen
from aeclust.clusters.eigen import leading

Array = NDArray[Any]


def symmetric(values: Array) -> tuple[Array, Array]:
    """A matrix with these eigenvalues, and its eigenvectors by falling value."""
    n = len(values)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(n, n)))[0]
    return (turn * values) @ turn.T, turn[:, np.argsort(-values)]


@pytest.mark.parametrize(("n", "count", "calls"), [(1_000, 5, 0), (1_001, 50, 1), (1_001, 51, 0)])
def test_few_of_many_are_searched(
    n: int, count: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[int] = []
    monkeypatch.setattr(eigen, "_search", lambda matrix, count, seed: searched.append(count))
    values, _ = leading(np.diag(np.arange(float(n))), count, seed=0)
    np.testing.assert_allclose(values, np.arange(float(n))[: -count - 1 : -1])
    assert len(searched) == calls


@pytest.mark.parametrize("count", [1, 2, 30])
def test_what_is_searched_is_what_lapack_finds(count: int) -> None:
    values = 3 * 0.9 ** np.arange(1_001.0)
    matrix, axes = symmetric(values)
    before = matrix.copy()
    leaders, vectors = leading(matrix, count, seed=0)
    np.testing.assert_array_equal(matrix, before)
    np.testing.assert_allclose(leaders, values[:count], rtol=1e-9)
    np.testing.assert_allclose(np.abs((vectors * axes[:, :count]).sum(0)), 1, atol=1e-9)
    largest = vectors[np.abs(vectors).argmax(0), np.arange(count)]
    assert (largest > 0).all()
    again = leading(matrix, count, seed=0)
    assert (leaders.tobytes(), vectors.tobytes()) == (again[0].tobytes(), again[1].tobytes())


def test_a_matrix_of_low_rank_has_zeros_left() -> None:
    matrix, axes = symmetric(np.r_[5.0, 4.0, 4.0, np.zeros(1_098)])
    values, vectors = leading(matrix, 6, seed=0)
    np.testing.assert_allclose(values, [5, 4, 4, 0, 0, 0], atol=1e-8)
    np.testing.assert_allclose(vectors.T @ vectors, np.eye(6), atol=1e-9)
    # the two of one value span what they should
    np.testing.assert_allclose(np.linalg.norm(axes[:, 1:3].T @ vectors[:, 1:3]), 2**0.5)


def test_what_a_search_cannot_tell_apart_is_left_to_lapack() -> None:
    values = 1 + 1e-3 * np.arange(1_001.0)[::-1]  # one close behind the other, down to the last
    matrix, _ = symmetric(values)
    assert eigen._search(matrix, 10, 0) is None
    np.testing.assert_allclose(leading(matrix, 10, seed=0)[0], values[:10])
