"""The gallery as a figure: where its images lie, and that nothing lies on anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aeclust.show.gallery import gallery_count, gallery_figure
from aeclust.show.palette import colour, marker
from aeclust.show.picks import Picks
from aeclust.show.style import text_width, told_apart


def hang(
    names: list[str],
    *counts: tuple[int, int, int],
    shape: tuple[int, int, int] = (4, 4, 3),
    called: dict[int, str] | None = None,
) -> tuple[Figure, NDArray[np.float64]]:
    """A gallery of clusters with so many images of each kind, and all images in their order."""
    picks, start = [], 0
    for cluster, each in enumerate(counts):
        rows = np.split(np.arange(start, start + sum(each)), np.cumsum(each)[:-1])
        picks.append(Picks(cluster, 7 if cluster == 0 else 1, 0.654, *rows))
        start += sum(each)
    images = np.random.default_rng(0).random((start, *shape))
    sure = 0.5 + np.arange(start) / 1000
    names_of, by_row = dict(enumerate(names)), dict(enumerate(images))
    room: Any = {"shape": shape[:2], "title": "Run", "note": "note", "called": called}
    return gallery_figure(picks, names_of, by_row, sure, **room), images


def test_images_of_a_gallery_lie_where_they_were_worked_out_to_lie() -> None:
    # 6.9 inches are three kinds of 5 images with 0.04 between them and 0.14 between the kinds, so
    # that a kind takes (7.04 / 3) and an image (7.04 / 3 - 0.14 + 0.04) / 5 - 0.04 = 0.40933
    figure, images = hang(["one", "two"], (7, 2, 1), (2, 3, 1))
    side, kind = 0.4093333, 7.04 / 3
    (axes,) = figure.axes
    boxes = [tuple(image.get_extent()) for image in axes.images]
    # below the names of the kinds and the title, 0.22 each; a row takes 0.14 more for confidences
    upper, lower = 0.44, 0.44 + side + 0.14
    assert boxes[0] == pytest.approx((0, side, upper + side, upper), abs=1e-6)
    assert boxes[1] == pytest.approx((side + 0.04, 2 * side + 0.04, upper + side, upper), abs=1e-6)
    assert boxes[5] == pytest.approx((0, side, lower + side, lower), abs=1e-6)
    assert boxes[7] == pytest.approx((kind, kind + side, upper + side, upper), abs=1e-6)
    assert boxes[9] == pytest.approx((2 * kind, 2 * kind + side, upper + side, upper), abs=1e-6)
    # the second block follows the two rows of the first
    below = upper + 2 * (side + 0.14) + 0.22
    assert boxes[10] == pytest.approx((0, side, below + side, below), abs=1e-6)
    for drawn, image in zip(axes.images, images, strict=True):
        np.testing.assert_array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 1)
    assert axes.get_xlim() == (0, 6.9)
    assert axes.get_ylim()[1] == 0
    assert axes.get_ylim()[0] >= below + side


def test_a_gallery_says_names_sizes_and_confidences() -> None:
    figure, _ = hang(["two", "alone"], (2, 2, 1), (1, 1, 1), shape=(4, 4, 1))
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert list(texts) == [
        "typical", "least sure", "random",
        "two", "7 images, confidence 0.65", "0.50", "alone", "1 image, confidence 0.65", "0.51",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.texts].count("0.50") == 2  # 0.502 and 0.503
    left, right, bottom, _ = axes.images[3].get_extent()
    assert texts["0.50"][0] == pytest.approx((left + right) / 2)  # beneath the last doubtful one
    assert bottom < texts["0.50"][1] < bottom + 0.05
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Run", "note")
    marks = [line for line in axes.lines if line.get_marker() != "None"]
    looks = [(line.get_color(), line.get_marker()) for line in marks]
    assert looks == [(colour(0), marker(0)), (colour(1), marker(1))]


def test_names_stand_below_the_images_of_files_without_what_they_share() -> None:
    called = {i: f"IMG_20240817_{i:05d}_burst.jpeg" for i in (35, 7, 12)}
    called = dict(enumerate(called.values()))
    figure, _ = hang(["one"], (1, 1, 1), shape=(12, 8, 3), called=called)
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    for image, name in zip(axes.images, ("IMG…35", "IMG…07", "IMG…12"), strict=True):
        left, right, bottom, _ = image.get_extent()
        assert texts[name] == pytest.approx(((left + right) / 2, bottom + 0.02))
    assert texts["0.50"][1] > texts["IMG…07"][1] + 0.1  # the confidence below the name
    assert told_apart(["a.jpg", "b.jpg"], 1.0, 6) == ["a.jpg", "b.jpg"]  # that fit
    for long in (["x" * 90], ["a/" + "b" * 90 + ".jpg", "c.png"]):
        assert all(0 < text_width(text, 6) <= 0.5 for text in told_apart(long, 0.5, 6))


def test_rows_are_even_where_images_are_not() -> None:
    rows = np.arange(4)
    picks = [Picks(0, 4, 0.5, rows[:2], rows[2:3], rows[3:])]
    shapes = [(20, 20), (20, 60), (60, 20), (20, 20)]
    images = {i: np.zeros((*shape, 3)) for i, shape in enumerate(shapes)}
    figure = gallery_figure(picks, {0: "c"}, images, np.ones(4), shape=(20, 20), title="")
    (axes,) = figure.axes
    grounds: Any = axes.patches
    cell = (7.04 / 3 - 0.14 + 0.04) / 5 - 0.04
    assert [(patch.get_width(), patch.get_height()) for patch in grounds] == [
        pytest.approx((cell, cell)), pytest.approx((cell, cell)),
    ]  # fmt: skip
    for patch, image in zip(grounds, axes.images[1:3], strict=True):
        left, right, bottom, top = image.get_extent()
        assert patch.get_x() - 1e-9 <= left < right <= patch.get_x() + cell + 1e-9
        assert patch.get_y() - 1e-9 <= top < bottom <= patch.get_y() + cell + 1e-9


@pytest.mark.parametrize(
    ("clusters", "shape", "count"),
    [(1, (32, 32), 15), (2, (8, 8), 15), (6, (32, 32), 10), (12, (32, 32), 5), (13, (32, 32), 6),
     (24, (32, 32), 3), (48, (64, 64), 3), (12, (256, 8), 4), (6, (8, 256), 12),
     (4, (107, 160), 12)],
)  # fmt: skip
def test_a_gallery_has_room_for_fewer_images_of_more_clusters(
    clusters: int, shape: tuple[int, int], count: int
) -> None:
    assert gallery_count(clusters, *shape) == count
    assert 2 <= gallery_count(clusters, *shape, named=True) <= count  # names need room


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("clusters", "shape"), [(24, (8, 12, 1)), (5, (64, 20, 3)), (1, (9, 9, 3))]
)
def test_nothing_of_a_full_gallery_lies_on_anything_else(
    clusters: int, shape: tuple[int, int, int], named: bool
) -> None:
    count = gallery_count(clusters, *shape[:2], named=named)
    names = ["$x_1$ \x1b[31m\U0001f431 " * 20, *(f"cluster {j}" for j in range(1, clusters))]
    called = {i: f"IMG_{i:06}_{'x' * i}.jpeg" for i in range(3 * count * clusters)}
    counts = [(count, count, count)] * clusters
    figure, _ = hang(names, *counts, shape=shape, called=called if named else None)
    figure.draw_without_rendering()  # applies the layout
    (axes,) = figure.axes
    boxes = [image.get_window_extent() for image in axes.images]
    boxes += [text.get_window_extent() for text in axes.texts]
    boxes += [text.get_window_extent() for text in figure.texts if text.get_text()]
    low = np.array([[box.x0, box.y0] for box in boxes])
    high = np.array([[box.x1, box.y1] for box in boxes])
    overlap = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    deep = overlap.min(axis=2)
    np.fill_diagonal(deep, -1)
    assert deep.max() < 0.01 * figure.dpi  # a hundredth of an inch
    assert low.min() > -1
    assert bool((high < [figure.bbox.width + 1, figure.bbox.height + 1]).all())
    assert figure.get_figheight() < 10 + 0.5 * named
    title = axes.texts[6 if clusters > 12 else 3]
    assert "$x_1$ \ufffd[31m" in title.get_text() or "…" in title.get_text()
    assert not title.get_parse_math()
