"""Fewer dimensions before clustering: PCA, kernel PCA and t-SNE, chained.

Kernel PCA and t-SNE take all points up to 10,000, :data:`KERNEL_POINTS` and :data:`TSNE_POINTS`;
beyond, they are taken of some of the points, among which the others are placed. The time and room
of PCA and the sphere grow with the number of points alone.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from aeclust import memory, seeds
from aeclust.clusters import Array, Callback, Floats
from aeclust.clusters.eigen import leading
from aeclust.clusters.neighbours import MAX_REFERENCES, place_by_neighbours, references
from aeclust.errors import InputError
from aeclust.recipe import SPHERE, parse_reduction

KERNEL_POINTS = TSNE_POINTS = MAX_REFERENCES
LANDMARKS = 2_048  # of kernel PCA beyond its limit
FAST_TSNE_POINTS = 100_000  # with openTSNE, whose time grows with the number of points alone
_FAST_FROM = 5_000  # points that openTSNE is quicker with
_SMALLEST, _LARGEST = 1e-12, 1e12
_LEAST_VALUE = 1e-12  # of the largest eigenvalue; what is below is rounding
_ROWS = 1_024  # of many points at a time, so that no step holds another copy of all
_SMALLER = "use `reduction` pca:20"


def reduce(
    latents: Array,
    steps: Sequence[str],
    *,
    seed: int,
    perplexity: float = 30.0,
    note: Callback = lambda sentence: None,
    progress: Callback = lambda step: None,
) -> Floats:
    """Apply the steps of a chain in order.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
    steps : sequence of str
        ``sphere`` (centred, then divided by their norms), ``pca:SIZE``, ``kpca:SIZE`` (RBF kernel
        with gamma 1 / d; Schölkopf, Smola and Müller, 1998; beyond 10,000 points by Nystroem with
        2,048 landmarks; Williams and Seeger, 2001), ``tsne:SIZE`` (Barnes-Hut; van der Maaten,
        2014; beyond 10,000 points of that many, with the others amid their three nearest). With
        the extra ``tsne`` installed, t-SNE to 1 or 2 dimensions of 5,000 points or more is
        openTSNE's (Linderman et al., 2019; Poličar, Stražar and Zupan, 2024), up to 100,000.
    seed : int
    perplexity : float
        Of t-SNE.
    note : callable
        Takes a sentence for every step that something else stood in for.
    progress : callable
        Takes the name of every step that begins.

    Returns
    -------
    ndarray of shape (n, size of the last step)
        float32.

    Raises
    ------
    InputError
        If points are too few, all the same or out of range, or a step needs too much memory.
    """
    methods: dict[str, Callable[[Array, int, int], Floats]] = {
        "pca": _pca,
        "kpca": partial(_kpca, note=note),
        "tsne": partial(_tsne, perplexity=perplexity, note=note),
    }
    points = np.asarray(latents, np.float32)
    for step in steps:
        method, size = parse_reduction(step)
        progress(step)
        check_spread(points)
        if method == SPHERE:
            points = on_sphere(points)
            continue
        points = methods[method](points, size, seed)
        if not np.isfinite(points).all() or points.shape[1] != size:
            raise InputError(
                f"{step} found only {int(np.isfinite(points).all(0).sum())} components",
                expected=f"{size} that differ from noise",
                mend="ask for fewer, for example `reduction` pca:2",
            )
    return points


def on_sphere(points: Array) -> Floats:
    """Unit vectors (n, d) from the mean of points (n, d) towards each; a point on it stays 0."""
    centre = points.mean(0, dtype=np.float64)
    result = np.empty(points.shape, np.float32)
    for first in range(0, len(points), _ROWS):
        block = slice(first, first + _ROWS)
        centred = points[block] - centre
        norms = np.linalg.norm(centred, axis=1, keepdims=True)
        result[block] = centred / np.where(norms > 0, norms, 1)
    return result


def limited(
    steps: Sequence[str], shape: tuple[int, ...], note: Callback = lambda sentence: None
) -> tuple[str, ...]:
    """The steps of a chain with no PCA larger than latents of this shape (n, d) allow.

    >>> limited(("pca:20",), (8, 256))
    ('pca:8',)
    """
    result = []
    for step in steps:
        method, size = parse_reduction(step)
        result.append(f"pca:{min(shape)}" if method == "pca" and size > min(shape) else step)
        if result[-1] != step:
            what = f"{shape[0]:,} images of {shape[1]:,} values"
            note(f"{step} becomes {result[-1]}: {what} allow no more")
    return tuple(result)


def check_spread(points: Array) -> None:
    """Refuse points that no step can work on.

    Points that are all the same crash t-SNE and no clusterer can help; squares of huge ones
    overflow.
    """
    if not max(points.max(), -points.min()) < _LARGEST:  # not >=, which lets NaN pass
        raise InputError(
            f"holds values beyond {_LARGEST:.0e}, infinity or NaN: the network has diverged",
            expected="finite latents of ordinary size",
            mend="train again with a lower `lr`",
        )
    if _spread(points) < _SMALLEST:
        raise InputError(
            f"all {len(points)} points are the same: collapsed network or equal images",
            expected="latents that differ",
            mend="train again with other images, more epochs, or a lower `lr`",
        )


def _spread(points: Array) -> float:
    with np.errstate(over="ignore"):  # beyond the largest number is spread enough
        return float(np.ptp(points, axis=0).max())


def _check_size(method: str, size: int, limit: int, of_what: str) -> None:
    if size > limit:
        raise InputError(
            f"{method}:{size} asks for more components than the {limit} {of_what} allow",
            expected=f"at most {limit}",
            mend=f"use `reduction` {method}:{limit} or less",
        )


def _pca(points: Array, size: int, seed: int) -> Floats:
    from sklearn.decomposition import PCA

    _check_size("pca", size, min(points.shape), "images and latent values")
    model = PCA(size, random_state=seeds.number(seed, "reduction"))
    return np.asarray(model.fit_transform(points), np.float32)


def _kpca(points: Array, size: int, seed: int, note: Callback) -> Floats:
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.preprocessing import KernelCenterer

    n, d = points.shape
    _check_size("kpca", size, n, "images")
    rows = references(n, seed=seed, limit=n if n <= KERNEL_POINTS else max(LANDMARKS, size))
    m = len(rows)
    memory.check(memory.kernel_pca(m, d), f"kernel PCA of {m} points", _SMALLER)
    base = points[rows].astype(np.float64)
    kernel = rbf_kernel(base)
    centre = KernelCenterer().fit(kernel)
    values, vectors = leading(centre.transform(kernel, copy=False), size, seed=seed)
    values = np.where(values > _LEAST_VALUE * values.max(initial=0), values, 0)
    if m == n or len(values) < size:
        return np.asarray(vectors * np.sqrt(values), np.float32)
    note(f"kernel PCA of {n:,} images is approximated by Nystroem with {m:,} landmarks")
    axes = np.divide(vectors, np.sqrt(values), out=np.zeros_like(vectors), where=values > 0)
    placed = np.empty((n, size), np.float32)
    for first in range(0, n, _ROWS):
        block = slice(first, first + _ROWS)
        seen = rbf_kernel(points[block].astype(np.float64), base)
        placed[block] = centre.transform(seen, copy=False) @ axes
    return placed


def _tsne(points: Array, size: int, seed: int, perplexity: float, note: Callback) -> Floats:
    n, d = points.shape
    if n <= perplexity:
        raise InputError(
            f"{n} points are too few for t-SNE with perplexity {perplexity:g}",
            expected=f"more than {perplexity:g}",
            mend="lower `perplexity`, or use `reduction` pca:2",
        )
    fast = _have_open_tsne() and n >= _FAST_FROM and n > 3 * perplexity + 1 and size <= 2
    rows = references(n, seed=seed, limit=FAST_TSNE_POINTS if fast else TSNE_POINTS)
    m = len(rows)
    memory.check(memory.tsne(m, d, perplexity), f"t-SNE of {m} points", _SMALLER)
    if fast:
        note(f"openTSNE places {m:,} images on the map, by interpolation")
    draw = _draw_fast if fast else _draw
    drawn = draw(points[rows], size, perplexity, seeds.number(seed, "reduction"))
    if m == n:
        return drawn
    note(f"t-SNE places {m:,} random images; the others stand amid their three nearest")
    return place_by_neighbours(points, points[rows], drawn)


def _have_open_tsne() -> bool:
    """Whether the extra ``aeclust[tsne]`` is installed."""
    return importlib.util.find_spec("openTSNE") is not None


def _draw(points: Array, size: int, perplexity: float, number: int) -> Floats:
    from sklearn.manifold import TSNE

    # the PCA start needs as many directions as dimensions asked for
    init = "pca" if min(points.shape) >= size else "random"
    model = TSNE(size, perplexity=perplexity, init=init, random_state=number, n_jobs=-1)
    return np.asarray(model.fit_transform(points), np.float32)


def _draw_fast(points: Array, size: int, perplexity: float, number: int) -> Floats:
    from openTSNE import TSNE

    init = "pca" if points.shape[1] >= size else "random"
    model = TSNE(
        size, perplexity=perplexity, initialization=init, neighbors="annoy",
        negative_gradient_method="fft", random_state=number, n_jobs=-1,
    )  # fmt: skip
    return np.asarray(model.fit(points), np.float32)


def picture(latents: Array, *, seed: int, note: Callback = lambda sentence: None) -> Floats:
    """Latents in two dimensions for the eye: PCA to at most 50, then t-SNE.

    Parameters
    ----------
    latents : ndarray of shape (n, d)
        Few points get a lower perplexity, and fewer than five their first two axes.
    seed : int
    note : callable
        See :func:`reduce`.

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
    perplexity = min(30.0, (n - 1) / 3)
    return reduce(latents, [*steps, "tsne:2"], seed=seed, perplexity=perplexity, note=note)
