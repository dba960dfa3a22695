"""PCA against SVD, kernel PCA against its eigenproblem, t-SNE by what it keeps, the sphere by its
laws, and refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support import far_groups, give_memory, refused

from aeclust import memory
from aeclust.clusters import reduction
from aeclust.clusters.neighbours import place_by_neighbours, references
from aeclust.clusters.reduction import limited, on_sphere, picture, reduce

Points = NDArray[np.float32]


def cloud(n: int = 30, d: int = 6, *, seed: int = 0, scale: float = 1.0) -> Points:
    """Points whose axes have clearly different spreads, so that components have an order."""
    points = np.random.default_rng(seed).normal(size=(n, d)) * np.linspace(3, 1, d)
    return (points * scale).astype(np.float32)


def groups(n: int = 60, d: int = 5) -> tuple[Points, NDArray[np.int64]]:
    """Three groups far enough from each other, and near enough for a kernel."""
    points, labels = far_groups((n // 3,) * 3, d=d)
    return points / np.float32(2), labels


def assert_same_axes(reduced: NDArray[Any], wanted: NDArray[Any], tolerance: float) -> None:
    """Equal columns, where each may be turned round."""
    signs = np.sign((reduced * wanted).sum(0))
    np.testing.assert_allclose(reduced, wanted * signs, atol=tolerance)


def share_beside_their_own(points: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of the points whose nearest other point has the same label."""
    gaps = np.square(points[:, np.newaxis] - points).sum(2)
    np.fill_diagonal(gaps, np.inf)
    return float(np.mean(labels[gaps.argmin(1)] == labels))


# -- values ------------------------------------------------------------------------------------


def test_no_step_returns_the_latents() -> None:
    for latents in (cloud(), np.ones((3, 2), np.float32)):  # only steps look for equal points
        np.testing.assert_array_equal(reduce(latents, (), seed=0), latents)


@pytest.mark.parametrize("size", [1, 3, 6])
@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_pca_is_the_svd_of_the_centred_points(size: int, offset: float) -> None:
    points = cloud() + np.float32(offset)
    centred = points.astype(np.float64) - points.mean(0, dtype=np.float64)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    reduced = reduce(points, [f"pca:{size}"], seed=0)
    assert reduced.dtype == np.float32
    assert_same_axes(reduced, (left * values)[:, :size], 1e-3)


@pytest.mark.parametrize(("n", "size"), [(25, 5), (8, 8)])
def test_kpca_is_the_eigendecomposition_of_the_centred_kernel(n: int, size: int) -> None:
    points = cloud(n, 4, scale=0.5)
    gaps = np.square(points[:, np.newaxis].astype(np.float64) - points).sum(2)
    centre = np.eye(n) - np.full((n, n), 1 / n)
    values, vectors = np.linalg.eigh(centre @ np.exp(-gaps / 4) @ centre)
    wanted = (vectors * np.sqrt(values.clip(0)))[:, ::-1]
    reduced = reduce(points, [f"kpca:{size}"], seed=0)
    assert reduced.dtype == np.float32
    assert_same_axes(reduced, wanted[:, :size], 1e-5)


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tsne_keeps_groups_together(size: int) -> None:
    points, labels = groups()
    drawn = reduce(points, [f"tsne:{size}"], seed=0, perplexity=8.0)
    assert drawn.shape == (60, size)
    assert drawn.dtype == np.float32
    assert share_beside_their_own(drawn, labels) > 0.9
    # of fewer values than it draws
    line = reduce(points[:, :1], [f"tsne:{size}"], seed=0, perplexity=3.0)
    assert line.shape == (60, size)
    assert np.isfinite(line).all()


def test_steps_are_applied_in_order() -> None:
    points, labels = groups()
    steps: list[str] = []
    by_hand = reduce(reduce(points, ["kpca:4"], seed=1), ["pca:2"], seed=1)
    chained = reduce(points, ["kpca:4", "pca:2"], seed=1, progress=steps.append)
    np.testing.assert_array_equal(chained, by_hand)
    assert steps == ["kpca:4", "pca:2"]
    drawn = reduce(points, ["kpca:4", "tsne:2"], seed=1, perplexity=8.0)
    assert share_beside_their_own(drawn, labels) > 0.9


@pytest.mark.parametrize("step", ["pca:2", "kpca:2", "tsne:2"])
def test_the_same_seed_gives_the_same_bytes(step: str) -> None:
    points = cloud()
    before = points.copy()
    first, second = (reduce(points, [step], seed=7, perplexity=5.0) for _ in range(2))
    assert first.tobytes() == second.tobytes()
    np.testing.assert_array_equal(points, before)


# -- the sphere --------------------------------------------------------------------------------


def test_the_sphere_by_hand() -> None:
    # the mean is (1, 2); from there the steps are (3, 4), (-3, 4), (0, -8) and none
    points = np.array([[4.0, 6.0], [-2.0, 6.0], [1.0, -6.0], [1.0, 2.0]])
    reduced = on_sphere(points)
    assert reduced.dtype == np.float32
    wanted = np.array([[0.6, 0.8], [-0.6, 0.8], [0, -1], [0, 0]])
    np.testing.assert_allclose(reduced, wanted, atol=1e-7)
    reduced = on_sphere(np.array([[1.0, 5.0, 2.0], [4.0, 1.0, 2.0]]))
    np.testing.assert_allclose(reduced, [[-0.6, 0.8, 0], [0.6, -0.8, 0]], atol=1e-7)
    np.testing.assert_array_equal(on_sphere(np.full((5, 3), 0.25)), np.zeros((5, 3)))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(2, 30), d=st.integers(1, 6), seed=st.integers(0, 2**20),
    scale=st.floats(1e-6, 1e6), shift=st.floats(-10, 10),
)  # fmt: skip
def test_the_sphere_keeps_directions_from_the_mean_alone(
    n: int, d: int, seed: int, scale: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, d))
    before = points.copy()
    reduced = on_sphere(points)
    np.testing.assert_array_equal(points, before)
    np.testing.assert_allclose(np.linalg.norm(reduced, axis=1), 1, atol=1e-6)
    # each is the same way from the mean as before
    steps = points - points.mean(0)
    lengths = (reduced * steps).sum(1, keepdims=True)
    assert (lengths > 0).all()
    np.testing.assert_allclose(lengths * reduced, steps, atol=1e-5)
    # neither place nor scale is left, and a turn turns the result
    np.testing.assert_allclose(on_sphere(scale * (points + shift)), reduced, atol=1e-4)
    turn = np.linalg.qr(rng.normal(size=(d, d)))[0]
    np.testing.assert_allclose(on_sphere(points @ turn), reduced @ turn, atol=1e-4)


def test_the_sphere_is_a_step_of_a_chain() -> None:
    points = cloud()
    ball = reduce(points, ["sphere"], seed=0)
    np.testing.assert_array_equal(ball, on_sphere(points))
    chained = reduce(points, ["sphere", "pca:3"], seed=0)
    np.testing.assert_array_equal(chained, reduce(ball, ["pca:3"], seed=0))
    assert reduce(points, ["pca:3", "sphere"], seed=0).shape == (30, 3)
    # the largest latents do not overflow
    ball = reduce(np.array([[9e11, 0.0], [-9e11, 0.0]]), ["sphere"], seed=0)
    np.testing.assert_allclose(ball, [[1, 0], [-1, 0]])


# -- many points -------------------------------------------------------------------------------


def noted(points: Points, *steps: str, perplexity: float = 8.0) -> tuple[Points, list[str]]:
    """Reduced points, and what stood in for what."""
    notes: list[str] = []
    return reduce(points, steps, seed=0, perplexity=perplexity, note=notes.append), notes


def of_some(some: int) -> str:
    return f"t-SNE places {some} random images; the others stand amid their three nearest"


def by_landmarks(n: int, landmarks: int) -> str:
    return f"kernel PCA of {n} images is approximated by Nystroem with {landmarks} landmarks"


def test_a_search_for_few_components_finds_those_of_scikit_learn() -> None:
    from sklearn.decomposition import KernelPCA

    points = cloud(1_050, 6, scale=0.5)
    reduced, notes = noted(points, "kpca:20")
    wanted = KernelPCA(20, kernel="rbf").fit_transform(points.astype(np.float64))
    assert_same_axes(reduced, wanted, 1e-6)
    assert notes == []


def test_nystroem_with_all_points_as_landmarks_is_kernel_pca(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points = cloud(80, 4, scale=0.5)
    exact = reduce(points, ["kpca:5"], seed=0)
    # the same points once more, so that they are placed by the formula among themselves
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 80)
    monkeypatch.setattr(reduction, "LANDMARKS", 80)
    monkeypatch.setattr(reduction, "references", lambda n, *, seed, limit: np.arange(min(n, limit)))
    reduced, notes = noted(np.concatenate([points, points]), "kpca:5")
    np.testing.assert_allclose(reduced, np.concatenate([exact, exact]), atol=1e-6)
    assert notes == [by_landmarks(160, 80)]


def test_kernel_pca_by_landmarks_keeps_groups_and_blocks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    points, labels = groups(300)
    monkeypatch.setattr(reduction, "KERNEL_POINTS", 299)
    monkeypatch.setattr(reduction, "LANDMARKS", 60)
    reduced, notes = noted(points, "kpca:2")
    assert reduced.dtype == np.float32
    assert notes == [by_landmarks(300, 60)]
    assert share_beside_their_own(reduced, labels) > 0.95
    ball = on_sphere(points)
    monkeypatch.setattr(reduction, "_ROWS", 7)
    np.testing.assert_allclose(noted(points, "kpca:2")[0], reduced, atol=1e-6)
    np.testing.assert_array_equal(on_sphere(points), ball)
    # there are never fewer landmarks than components
    reduced, notes = noted(points, "kpca:100")
    assert reduced.shape == (300, 100)
    assert notes == [by_landmarks(300, 100)]


def test_tsne_of_many_points_is_that_of_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "_have_open_tsne", lambda: False)
    points, labels = groups(150, 60)
    assert noted(points, "tsne:2")[1] == []
    monkeypatch.setattr(reduction, "TSNE_POINTS", 60)
    drawn, notes = noted(points, "tsne:2")
    assert notes == [of_some(60)]
    assert drawn.dtype == np.float32
    assert share_beside_their_own(drawn, labels) > 0.95
    rows = references(150, seed=0, limit=60)
    alone = reduce(points[rows], ["tsne:2"], seed=0, perplexity=8.0)
    np.testing.assert_array_equal(drawn[rows], alone)
    np.testing.assert_array_equal(drawn, place_by_neighbours(points, points[rows], alone))
    # and so is a picture
    notes.clear()
    assert share_beside_their_own(picture(points, seed=0, note=notes.append), labels) > 0.9
    assert notes == [of_some(60)]


def test_few_points_are_never_left_to_open_tsne(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reduction, "_have_open_tsne", lambda: True)
    monkeypatch.setattr(reduction, "_draw_fast", None)
    points = groups(60)[0]
    monkeypatch.setattr(reduction, "_FAST_FROM", 61)
    assert noted(points, "tsne:2")[1] == []
    monkeypatch.setattr(reduction, "_FAST_FROM", 60)
    assert noted(points, "tsne:3")[1] == []  # which it draws in two dimensions at most
    assert noted(points, "tsne:2", perplexity=20.0)[1] == []  # of which it would take fewer


@pytest.mark.endurance  # half a minute for each picture, however few the points
def test_open_tsne_keeps_groups_together(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openTSNE")
    monkeypatch.setattr(reduction, "_FAST_FROM", 60)
    points, labels = groups(150)
    drawn, notes = noted(points, "tsne:2")
    assert notes == ["openTSNE places 150 images on the map, by interpolation"]
    assert drawn.dtype == np.float32
    assert share_beside_their_own(drawn, labels) > 0.95
    assert noted(points, "tsne:2")[0].tobytes() == drawn.tobytes()
    monkeypatch.setattr(reduction, "FAST_TSNE_POINTS", 90)
    notes = noted(points, "tsne:2")[1]
    assert notes == ["openTSNE places 90 images on the map, by interpolation", of_some(90)]


# -- limits ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "shape", "wanted"),
    [
        ((), (8, 256), ()),
        (("pca:20",), (8, 256), ("pca:8",)),
        (("pca:20",), (256, 8), ("pca:8",)),
        (("pca:20",), (20, 20), ("pca:20",)),
        (("sphere", "pca:20"), (2, 256), ("sphere", "pca:2")),
        (("pca:50", "pca:5"), (10, 30), ("pca:10", "pca:5")),
        # the others are not PCA, whose size says only how much to keep
        (("kpca:200", "tsne:2"), (1, 256), ("kpca:200", "tsne:2")),
    ],
)
def test_pca_is_limited_to_what_the_points_allow(
    steps: tuple[str, ...], shape: tuple[int, int], wanted: tuple[str, ...]
) -> None:
    assert limited(steps, shape) == limited(list(steps), shape) == wanted


# -- degenerate points -------------------------------------------------------------------------

each_step = pytest.mark.parametrize("step", ["sphere", "pca:1", "kpca:1", "tsne:2"])


@each_step
@pytest.mark.parametrize(
    "latents",
    [np.full((40, 3), 0.3), 1e-30 * cloud(40, 3), np.ones((1, 3))],
    ids=["constant", "tiny", "one"],
)
def test_points_that_are_all_the_same_are_refused(step: str, latents: NDArray[Any]) -> None:
    with refused(
        what=f"all {len(latents)} points are the same: collapsed network or equal images",
        expected="latents that differ",
        mend="train again with other images, more epochs, or a lower `lr`",
    ):
        reduce(latents, [step], seed=0)


@each_step
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, -3e38])
def test_values_that_no_step_can_square_are_refused(step: str, value: float) -> None:
    latents = cloud(40, 3)
    latents[5, 1] = value
    with refused(
        what="holds values beyond 1e+12, infinity or NaN: the network has diverged",
        expected="finite latents of ordinary size",
        mend="train again with a lower `lr`",
    ):
        reduce(latents, [step], seed=0)
    latents[4, 1] = -value
    with refused(what="holds values beyond 1e+12, infinity or NaN: the network has diverged"):
        picture(latents, seed=0)


@pytest.mark.parametrize("step", ["pca:2", "kpca:2", "tsne:2"])
@pytest.mark.parametrize(
    "latents",
    [
        np.repeat(np.eye(2, 3), 20, 0),
        np.concatenate([np.zeros((39, 3)), np.ones((1, 3))]),
        np.array([[0.0, 0.0, 1.0], [1.0, 2.0, 3.0]]),
        np.arange(40.0)[:, np.newaxis] * np.ones(3),
        1e-9 * cloud(40, 3),
        1e6 + cloud(40, 3),
    ],
    ids=["two values", "one outlier", "two points", "a line", "small", "far off"],
)
def test_degenerate_points_still_give_numbers(step: str, latents: NDArray[Any]) -> None:
    reduced = reduce(latents, [step], seed=0, perplexity=1.5)
    assert reduced.shape == (len(latents), 2)
    assert np.isfinite(reduced).all()


def test_duplicates_stay_together() -> None:
    reduced = reduce(np.repeat(np.eye(2, 3), 20, 0), ["pca:2"], seed=0)
    np.testing.assert_allclose(reduced[:20], reduced[:1].repeat(20, 0), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(reduced[0] - reduced[20]), np.sqrt(2), rtol=1e-5)


# -- refusals ----------------------------------------------------------------------------------


MORE = "asks for more components than the"


@pytest.mark.parametrize(
    ("points", "step", "what", "expected", "mend"),
    [
        (cloud(30), "pca:7", f"pca:7 {MORE} 6 images and latent values allow", "at most 6",
         "use `reduction` pca:6 or less"),
        (cloud(4), "pca:5", f"pca:5 {MORE} 4 images and latent values allow", "at most 4",
         "use `reduction` pca:4 or less"),
        (cloud(30), "kpca:31", f"kpca:31 {MORE} 30 images allow", "at most 30",
         "use `reduction` kpca:30 or less"),
        (cloud(30), "tsne:2", "30 points are too few for t-SNE with perplexity 30", "more than 30",
         "lower `perplexity`, or use `reduction` pca:2"),
        # here the kernel is the unit matrix, in which LAPACK finds no leading eigenvectors
        (cloud(40, 4, scale=1e7), "kpca:2", "kpca:2 found only 0 components",
         "2 that differ from noise", "ask for fewer, for example `reduction` pca:2"),
    ],
    ids=["values", "images", "kernel", "perplexity", "far apart"],
)  # fmt: skip
def test_steps_that_do_not_fit_are_refused(
    points: Points, step: str, what: str, expected: str, mend: str
) -> None:
    with refused(what=what, expected=expected, mend=mend, where=""):
        reduce(points, [step], seed=0)


def test_thirty_one_points_are_enough_for_perplexity_thirty() -> None:
    assert np.isfinite(reduce(cloud(31), ["tsne:2"], seed=0)).all()


@pytest.mark.parametrize("kind", ["too few columns", "NaN"])
def test_a_step_that_comes_back_short_is_refused(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = cloud(30, 3 if kind == "NaN" else 2)
    short[0, 2:] = np.nan
    monkeypatch.setattr(reduction, "_pca", lambda *_: short)
    with refused(what="pca:3 found only 2 components", expected="3 that differ from noise"):
        reduce(cloud(), ["pca:3"], seed=0)


@pytest.mark.parametrize(
    ("step", "method", "needed"),
    [
        ("kpca:2", "kernel PCA", memory.kernel_pca(30, 6)),
        ("tsne:2", "t-SNE", memory.tsne(30, 6, 5)),
    ],
)
def test_steps_ask_before_they_take_memory(
    step: str, method: str, needed: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_memory(monkeypatch, needed - 1)
    what = f"{method} of 30 points needs about 0 GB of memory"
    with refused(what=what, mend="use `reduction` pca:20"):
        reduce(cloud(), [step], seed=0, perplexity=5)
    give_memory(monkeypatch, needed + 1)
    assert reduce(cloud(), [step], seed=0, perplexity=5).shape == (30, 2)


# -- the picture -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "latents",
    [*(cloud(n, d) for n in (1, 2, 3, 4) for d in (1, 2, 7)), np.full((10, 3), 2.0, np.float32)],
    ids=lambda latents: "x".join(map(str, latents.shape)),
)
def test_few_or_equal_points_are_drawn_by_their_first_axes(latents: Points) -> None:
    drawn = picture(latents, seed=0)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn[:, 0], latents[:, 0])
    np.testing.assert_array_equal(drawn[:, 1], latents[:, 1] if latents.shape[1] > 1 else 0)


@pytest.mark.parametrize(("n", "d"), [(5, 1), (5, 60), (6, 3), (6, 60), (60, 60)])
def test_five_points_or_more_are_drawn_by_tsne(n: int, d: int) -> None:
    latents = cloud(n, d)
    drawn = picture(latents, seed=0)
    assert drawn.shape == (n, 2)
    assert drawn.dtype == np.float32
    assert np.isfinite(drawn).all()
    assert len(np.unique(drawn, axis=0)) == n
    assert drawn.tobytes() == picture(latents, seed=0).tobytes()
