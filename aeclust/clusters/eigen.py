"""The largest eigenvalues of a symmetric matrix.

For 200 of 8,500, the kernel PCA of the report's recipes, :func:`_search` took 10 seconds of one
core where scipy's ``eigsh`` took 17 for the same values, see docs/performance.md.
"""

from __future__ import annotations

import numpy as np

from aeclust import seeds
from aeclust.clusters import Doubles

DENSE = 1_000  # rows up to which all eigenvalues are as quick
RARE = 20  # as many times more rows than eigenvalues are worth a search
_TOLERANCE = 1e-9  # of the largest eigenvalue, for what is left of A v - w v
_LEAST_BLOCK = 10


def leading(matrix: Doubles, count: int, *, seed: int) -> tuple[Doubles, Doubles]:
    """The largest eigenvalues and their eigenvectors, exact but for rounding to float32.

    Few of many are sought by block Lanczos (Golub and Underwood, 1977), every block made orthogonal
    to all before it: products of matrices, where LAPACK spends its time in products with vectors.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        Symmetric.
    count, seed : int

    Returns
    -------
    values : ndarray of shape (count,)
        Falling. Fewer where LAPACK cannot separate the largest ones from the others.
    vectors : ndarray of shape (n, count)
        Columns of length 1, the largest entry of each above 0.
    """
    from scipy.linalg import eigh  # loading it takes longer than most commands

    n = len(matrix)
    result = _search(matrix, count, seed) if n > DENSE and n >= RARE * count else None
    values, vectors = result or eigh(matrix, subset_by_index=(n - count, n - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    largest = np.abs(vectors).argmax(0)[np.newaxis]
    return values, vectors * np.sign(np.take_along_axis(vectors, largest, 0))


def _search(matrix: Doubles, count: int, seed: int) -> tuple[Doubles, Doubles] | None:
    """Rising eigenvalues and their vectors; None if they do not lie in the first directions.

    Spectra that fall, as those of kernels do, need some 5 x count directions.
    """
    from scipy.linalg import eigh

    n = len(matrix)
    size = max(_LEAST_BLOCK, count // 2)
    most = 20 * size
    basis, images = np.empty((n, most)), np.empty((n, most))
    block = np.linalg.qr(seeds.stream(seed, "reduction").normal(size=(n, size)))[0]
    for width in range(size, most + 1, size):
        new = slice(width - size, width)
        basis[:, new] = block
        images[:, new] = matrix @ block
        held, seen = basis[:, :width], images[:, :width]
        if width >= 2 * count:
            values, mix = eigh(held.T @ seen, subset_by_index=(width - count, width - 1))
            vectors = held @ mix
            left = np.linalg.norm(seen @ mix - vectors * values, axis=0).max()
            if left <= _TOLERANCE * values[-1]:
                return values, vectors
        block = images[:, new]
        for _ in range(3):  # once would leave rounding, and directions that are used up
            block = np.linalg.qr(block - held @ (held.T @ block))[0]
    return None
