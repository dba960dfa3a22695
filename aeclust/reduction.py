"""Fewer dimensions before clustering: PCA, kernel PCA and t-SNE, chained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import memory
from aeclust.errors import InputError
from aeclust.recipes import SPHERE, parse_reduction

_SMALLEST, _LARGEST = 1e-12, 1e12
_ROWS = 1_024  # of many points at a time, so that no step holds another copy of all


def reduce(
    latents: NDArray[Any],
    steps: Sequence[str],
    *,
    seed: int,
    perplexity: float = 30.0,
    where: str = "latents",
) -> NDArray[np.float32]:
    """Apply the steps of a chain in order.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    steps : sequence of str
        ``sphere`` (centred, then divided by their norms), ``pca:SIZE``, ``kpca:SIZE`` (RBF kernel
        with gamma 1 / d; Schölkopf, Smola and Müller, 1998), ``tsne:SIZE`` (Barnes-Hut; van der
        Maaten, 2014). None at all returns the latents.
    seed : int
    perplexity : float
        Of t-SNE.
    where : str
        Named in errors.

    Returns
    -------
    ndarray of shape (n, size of the last step)
        float32.

    Raises
    ------
    InputError
        If the points are too few for a step, all the same or out of range, or a step needs more
        memory than there is.
    """
    points = np.asarray(latents, np.float32)
    for step in steps:
        method, size = parse_reduction(step)
        check_spread(points, where)
        if method == SPHERE:
            points = on_sphere(points)
            continue
        points = {"pca": _pca, "kpca": _kpca, "tsne": _tsne}[method](
            points, size, seed, perplexity, where
        )
        if not np.isfinite(points).all() or points.shape[1] != size:
            raise InputError(
                f"{step} found only {int(np.isfinite(points).all(0).sum())} components",
                where=where,
                expected=f"{size} that differ from noise",
                mend="ask for fewer, for example --reduction pca:2",
            )
    return points


def on_sphere(points: NDArray[Any]) -> NDArray[np.float32]:
    """Unit vectors (n, d) from the mean of points (n, d) towards each; a point on it stays 0."""
    centre = points.mean(0, dtype=np.float64)
    found = np.empty(points.shape, np.float32)
    for first in range(0, len(points), _ROWS):
        block = slice(first, first + _ROWS)
        centred = points[block] - centre
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        found[block] = centred / np.where(norms > 0, norms, 1)
    return found


def limited(steps: Sequence[str], shape: tuple[int, ...]) -> tuple[str, ...]:
    """The steps of a chain with no PCA larger than points of this shape (n, d) allow.

    >>> limited(("pca:20",), (8, 256))
    ('pca:8',)
    """
    parsed = [(step, *parse_reduction(step)) for step in steps]
    most = min(shape)
    return tuple(
        f"pca:{most}" if method == "pca" and size > most else step for step, method, size in parsed
    )


def check_spread(points: NDArray[Any], where: str) -> None:
    """Refuse points that no step can work on.

    Points that are all the same crash t-SNE and no clusterer can help; squares of huge ones
    overflow.
    """
    if not max(points.max(), -points.min()) < _LARGEST:  # not >=, which lets NaN pass
        raise InputError(
            f"holds values beyond {_LARGEST:.0e}, infinity or NaN: the network has diverged",
            where=where,
            expected="finite latents of ordinary size",
            mend="train again with a lower --lr",
        )
    if _spread(points) < _SMALLEST:
        raise InputError(
            f"all {len(points)} points are the same: collapsed network or equal images",
            where=where,
            expected="latents that differ",
            mend="train again with other images, more epochs, or a lower --lr",
        )


def _spread(points: NDArray[Any]) -> float:
    with np.errstate(over="ignore"):  # beyond the largest number is spread enough
        return float(np.ptp(points, axis=0).max())


def _pca(
    points: NDArray[Any], size: int, seed: int, perplexity: float, where: str
) -> NDArray[np.float32]:
    from sklearn.decomposition import PCA

    _check_size("pca", size, min(points.shape), "images and latent values", where)
    model = PCA(size, random_state=seed)
    return np.asarray(model.fit_transform(points), np.float32)


def _kpca(
    points: NDArray[Any], size: int, seed: int, perplexity: float, where: str
) -> NDArray[np.float32]:
    from sklearn.decomposition import KernelPCA

    n = len(points)
    _check_size("kpca", size, n, "images", where)
    memory.check(
        memory.kernel_pca(n, points.shape[1]), f"kernel PCA of {n} points", where,
        "use --reduction pca:20",
    )  # fmt: skip
    model = KernelPCA(size, kernel="rbf", eigen_solver="dense", random_state=seed, copy_X=False)
    try:
        reduced = model.fit_transform(points.astype(np.float64))
    except ValueError:  # LAPACK finds none if the kernel sees all points as equally far apart
        reduced = np.empty((n, 0))
    return np.asarray(reduced, np.float32)


def _tsne(
    points: NDArray[Any], size: int, seed: int, perplexity: float, where: str
) -> NDArray[np.float32]:
    from sklearn.manifold import TSNE

    if len(points) <= perplexity:
        raise InputError(
            f"{len(points)} points are too few for t-SNE with perplexity {perplexity:g}",
            where=where,
            expected=f"more than {perplexity:g}",
            mend="lower --perplexity, or use --reduction pca:2",
        )
    n, d = points.shape
    needed = memory.tsne(n, d, perplexity)
    memory.check(needed, f"t-SNE of {n} points", where, "use --reduction pca:20")
    # the PCA start needs as many directions as dimensions asked for
    init = "pca" if min(points.shape) >= size else "random"
    model = TSNE(size, perplexity=perplexity, init=init, random_state=seed, n_jobs=-1)
    return np.asarray(model.fit_transform(points), np.float32)


def _check_size(method: str, size: int, limit: int, of_what: str, where: str) -> None:
    if size > limit:
        raise InputError(
            f"{method}:{size} asks for more components than the {limit} {of_what} allow",
            where=where,
            expected=f"at most {limit}",
            mend=f"use --reduction {method}:{limit} or less",
        )


def picture(latents: NDArray[Any], *, seed: int) -> NDArray[np.float32]:
    """Latents in two dimensions for the eye: PCA to at most 50, then t-SNE.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
        Few points get a lower perplexity, and fewer than five their first two axes.
    seed : int

    Returns
    -------
    ndarray of shape (n, 2)
        float32.
    """
    n, d = latents.shape
    if n < 5 or _spread(latents) < _SMALLEST:
        flat = np.zeros((n, 2), np.float32)
        flat[:, : min(d, 2)] = latents[:, :2]
        return flat
    steps = [f"pca:{min(50, n)}"] if d > 50 else []
    return reduce(latents, [*steps, "tsne:2"], seed=seed, perplexity=min(30.0, (n - 1) / 3))
