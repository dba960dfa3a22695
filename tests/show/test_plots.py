"""Figures are checked by the artists they hold: what is shown, in which order, with which words."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust.show.plots import (
    Exhibit,
    Panel,
    curve_figure,
    embedding_figure,
    gallery_count,
    gallery_figure,
    reconstruction_figure,
    thumbnail_box,
)

Images = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], list[str]]


def images(count: int, height: int = 5, width: int = 4, channels: int = 3) -> Images:
    originals, others = np.random.default_rng(3).random((2, count, height, width, channels))
    return originals, others, np.linspace(0.01, 0.5, count), [f"id{i}" for i in range(count)]


def png(figure: Figure, dpi: int = 60) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def shown_points(axes: Axes) -> list[tuple[float, float, str]]:
    """Every point of a panel with its colour, sorted."""
    rows = []
    for drawn in axes.collections:
        offsets = np.asarray(drawn.get_offsets())
        colours = np.asarray(drawn.get_facecolor())
        rows += [(x, y, to_hex(c)) for (x, y), c in zip(offsets, colours, strict=True)]
    return sorted(rows)


# ---- reconstructions ----------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_shown_unchanged_in_input_order_with_repeats(channels: int) -> None:
    originals, others, errors, captions = images(4, channels=channels)
    order = [2, 0, 2, 1, 3]
    figure = reconstruction_figure(
        originals[order], others[order], errors[order], [captions[i] for i in order]
    )
    assert len(figure.axes) == 10
    for place, i in enumerate(order):
        upper, lower = figure.axes[2 * place : 2 * place + 2]
        for axes, expected in ((upper, originals[i]), (lower, others[i])):
            data = np.asarray(axes.images[0].get_array())
            np.testing.assert_array_equal(data.reshape(expected.shape), expected)
            assert axes.images[0].get_interpolation() == "nearest"
            assert axes.images[0].get_clim() == (0, 1)
        assert upper.get_title() == f"id{i}"
        assert lower.get_xlabel() == f"MSE {errors[i]:.4f}"


def test_only_the_first_column_has_row_labels() -> None:
    figure = reconstruction_figure(*images(3))
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["original", "reconstruction", "", "", "", ""]


@pytest.mark.parametrize(("count", "bands", "columns"), [(1, 1, 1), (10, 1, 10), (23, 3, 8)])
def test_bands_have_at_most_ten_columns_and_keep_the_order(
    count: int, bands: int, columns: int
) -> None:
    figure = reconstruction_figure(*images(count))
    png(figure)  # applies the layout
    boxes = [axes.get_position() for axes in figure.axes]
    left, top = [round(b.x0, 6) for b in boxes], [round(b.y1, 6) for b in boxes]
    assert len(set(left)) == columns
    assert len(set(top)) == 2 * bands
    firsts = [i for i, axes in enumerate(figure.axes) if axes.get_ylabel() == "original"]
    assert firsts == [2 * columns * band for band in range(bands)]
    for i in range(0, 2 * count, 2):
        assert left[i] == left[i + 1]
        assert top[i] > top[i + 1]
        if i not in firsts:
            assert left[i] > left[i - 2]
            assert top[i] == top[i - 2]
    assert 3.4 <= figure.get_figwidth() <= 7.01


def test_tiny_errors_keep_their_digits() -> None:
    originals, others, _, captions = images(3)
    figure = reconstruction_figure(originals, others, np.array([0, 1.23e-5, 0.0123]), captions)
    labels = [axes.get_xlabel() for axes in figure.axes[1::2]]
    assert labels == ["MSE 0.0000", "MSE 1.2e-05", "MSE 0.0123"]


def test_odd_ids_are_drawn_without_warning_and_long_ones_keep_both_ends() -> None:
    odd = ["$x_1$", "a\u6f22\udcff", "_hidden", "first" + "-" * 200 + "last"]
    figure = reconstruction_figure(*images(4)[:3], odd)
    png(figure)
    titles = [axes.get_title() for axes in figure.axes[::2]]
    assert titles[:3] == ["$x_1$", "a\ufffd\ufffd", "_hidden"]
    assert titles[3].startswith("first")
    assert titles[3].endswith("last")
    assert "…" in titles[3]
    assert titles[3].count("\n") == 1
    assert not figure.axes[0].title.get_parse_math()


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (0, np.zeros((2, 5, 4)), r"originals must be \(m, h, w, 1 or 3\), m >= 1, not \(2, 5, 4\)"),
        (0, np.zeros((0, 5, 4, 3)), r"originals must be .* not \(0, 5, 4, 3\)"),
        (0, np.zeros((2, 5, 4, 2)), r"originals must be .* not \(2, 5, 4, 2\)"),
        (0, np.full((2, 5, 4, 3), -1.0), r"originals must be in \[0, 1\], not -1 to -1"),
        (1, np.zeros((2, 4, 5, 3)), r"reconstructions must have shape \(2, 5, 4, 3\), not \(2, 4,"),
        (1, np.full((2, 5, 4, 3), np.nan), "reconstructions must be finite numbers"),
        (2, np.zeros(3), r"errors must have shape \(2,\), not \(3,\)"),
        (2, np.array([0.1, -0.2]), r"errors must be in \[0, inf\], not -0.2 to 0.1"),
        (3, ["a"], "captions must be 2 strings, not 1"),
    ],
)
def test_reconstruction_refuses(place: int, value: Any, message: str) -> None:
    arguments: list[Any] = list(images(2))
    arguments[place] = value
    with pytest.raises(ValueError, match=message) as caught:
        reconstruction_figure(*arguments)
    assert "\n" not in str(caught.value)


# ---- embedding ----------------------------------------------------------------------------------


def two_panels(count: int = 60) -> tuple[NDArray[np.float64], list[Panel]]:
    points = np.random.default_rng(5).normal(size=(count, 2)) * [3, 1]
    clusters = np.arange(count) % 3
    return points, [
        Panel("by cluster", clusters, {0: "zero", 2: "_two"}),
        Panel("by true label", np.where(clusters == 0, -1, 7), {-1: "none", 7: "seven", 8: "no"}),
    ]


def test_panels_share_limits_that_hold_all_points_with_equal_aspect() -> None:
    points, panels = two_panels()
    figure = embedding_figure(points, panels, title="Latents", axis_note="by t-SNE")
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim()[0] < points[:, 0].min()
    assert points[:, 0].max() < first.get_xlim()[1]
    assert first.get_ylim()[0] < points[:, 1].min()
    assert points[:, 1].max() < first.get_ylim()[1]
    assert first.get_aspect() == second.get_aspect() == 1.0
    assert [axes.get_title() for axes in figure.axes] == ["by cluster", "by true label"]
    assert len(first.get_xticks()) == len(first.get_yticks()) == 0
    assert figure.get_suptitle() == "Latents"
    assert figure.get_supxlabel() == "by t-SNE"
    assert all(drawn.get_rasterized() for axes in figure.axes for drawn in axes.collections)


def test_legend_names_and_counts_match_the_groups() -> None:
    figure = embedding_figure(*two_panels(), title="")
    assert legend_texts(figure.axes[0]) == ["zero (20)", "1 (20)", "_two (20)"]
    assert legend_texts(figure.axes[1]) == ["none (20)", "seven (40)"]


@pytest.mark.parametrize("groups", [3, 24])
def test_every_point_is_drawn_in_the_colour_and_marker_of_its_legend_entry(groups: int) -> None:
    points = np.random.default_rng(6).normal(size=(120, 2))
    labels = np.arange(120) % groups
    axes = embedding_figure(points, [Panel("p", labels, {})], title="t").axes[0]
    legend = axes.get_legend()
    assert legend is not None
    handles = legend.get_lines()
    assert len(handles) == groups
    looks = [(to_hex(handle.get_color()), handle.get_marker()) for handle in handles]
    assert len(set(looks)) == groups
    expected = sorted((x, y, looks[g][0]) for (x, y), g in zip(points, labels, strict=True))
    assert shown_points(axes) == expected
    assert len({marker for _, marker in looks}) == min(groups, 7)


def test_groups_of_one_marker_differ_in_grey_and_none_is_drawn_last() -> None:
    points, labels = np.random.default_rng(6).normal(size=(800, 2)), np.arange(800) % 14
    axes = embedding_figure(points, [Panel("p", labels, {})], title="").axes[0]
    legend = axes.get_legend()
    assert legend is not None
    looks = [(to_rgb(line.get_color()), line.get_marker()) for line in legend.get_lines()]
    for (one, marker), (other, same) in zip(looks[:7], looks[7:], strict=True):
        assert marker == same
        grey = [0.299 * r + 0.587 * g + 0.114 * b for r, g, b in (one, other)]
        assert abs(grey[0] - grey[1]) > 0.1
    order = [to_hex(np.asarray(part.get_facecolor())[0]) for part in axes.collections]
    assert len(order) == 8 * 7
    assert len(set(order[-7:])) == len(set(order[:7])) == 7


def test_points_shrink_as_their_number_grows() -> None:
    areas = []
    for count in (1, 20, 500, 5000, 100_000):
        points = np.random.default_rng(0).normal(size=(count, 2))
        panel = Panel("p", np.zeros(count, np.int64), {})
        drawn = embedding_figure(points, [panel], title="").axes[0].collections[0]
        areas.append(float(np.asarray(drawn.get_sizes())[0]))  # type: ignore[attr-defined]
    assert areas[0] == areas[1] == 36
    assert areas[1] > areas[2] > areas[3] > areas[4] >= 0.8


@pytest.mark.parametrize("groups", [2, 24])
def test_legend_stays_inside_the_figure_and_off_data_and_note(groups: int) -> None:
    points = np.random.default_rng(6).normal(size=(240, 2))
    panels = [Panel("p", np.arange(240) % groups, {0: "long name " * 20}), two_panels(240)[1][1]]
    figure = embedding_figure(points, panels, title="Title", axis_note="note")
    png(figure, dpi=300)
    note = next(text for text in figure.texts if text.get_text() == "note").get_window_extent()
    for axes in figure.axes:
        legend = axes.get_legend()
        assert legend is not None
        box, data = legend.get_window_extent(), axes.get_window_extent()
        assert note.y1 <= box.y0
        assert box.y1 <= data.y0 + 1
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.width + 1


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.full((4, 2), 1e9), np.eye(2) * 1e-9])
def test_points_that_coincide_are_in_the_middle(points: NDArray[np.float64]) -> None:
    axes = embedding_figure(points, [Panel("p", np.arange(len(points)), {})], title="").axes[0]
    low, high = axes.get_xlim()
    assert low < points[:, 0].min()
    assert points[:, 0].max() < high
    assert (low + high) / 2 == pytest.approx((points[:, 0].min() + points[:, 0].max()) / 2)
    png(axes.get_figure())  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("points", "panels", "message"),
    [
        (np.zeros((2, 3)), None, r"points must have shape \(2, 2\), not \(2, 3\)"),
        (np.zeros((0, 2)), None, r"points must be \(n, 2\), n >= 1"),
        (np.array([[0, np.inf], [0, 0]]), None, "points must be finite numbers"),
        (np.zeros((2, 2)), [], "panels must hold at least one Panel"),
        (np.zeros((3, 2)), None, r"groups of panel 'p' must have shape \(3,\), not \(2,\)"),
        (np.zeros((2, 2)), [Panel("q", np.zeros(2), {})], "of panel 'q' must be integers"),  # type: ignore[arg-type]
    ],
)
def test_embedding_refuses(points: Any, panels: Any, message: str) -> None:
    if panels is None:
        panels = [Panel("p", np.array([0, 1]), {})]
    with pytest.raises(ValueError, match=message):
        embedding_figure(points, panels, title="")


# ---- thumbnails ---------------------------------------------------------------------------------


def test_thumbnails_lie_around_their_points_in_frames_of_their_groups() -> None:
    points = np.array([[0.0, 0], [18, 0], [18, 18], [0, 18]])
    panels = [
        Panel("p", np.array([5, 0, 0, 5]), {}),
        Panel("q", np.array([-1, -1, -1, 7]), {}),
    ]
    laid = {0: np.full((4, 8, 3), 0.25), 3: np.zeros((4, 8, 3))}
    # a panel of 1.06 * 18 has 18 boxes beside one another, whose longer side is thus 1.06
    assert thumbnail_box(points, 4, 8) == pytest.approx([1.06, 0.53])
    figure = embedding_figure(points, panels, title="", thumbnails=laid)
    for axes, frames in zip(figure.axes, ([1, 1], [0, 1]), strict=True):
        legend = axes.get_legend()
        assert legend is not None
        colours = [to_hex(line.get_color()) for line in legend.get_lines()]
        patches: Any = axes.patches
        assert [to_hex(frame.get_facecolor()) for frame in patches] == [colours[i] for i in frames]
        for (row, image), drawn, frame in zip(laid.items(), axes.images, patches, strict=True):
            np.testing.assert_array_equal(drawn.get_array(), image)
            left, right, bottom, top = drawn.get_extent()
            assert ((left + right) / 2, (bottom + top) / 2) == pytest.approx(points[row])
            assert (right - left) / (top - bottom) == pytest.approx(2)  # upright, undistorted
            assert frame.get_x() < left < right < frame.get_x() + frame.get_width()
            assert frame.get_y() < bottom < top < frame.get_y() + frame.get_height()
            assert frame.get_width() < 1.06
            assert axes.get_xlim()[0] < frame.get_x()
            assert frame.get_y() + frame.get_height() < axes.get_ylim()[1]
            dots = max(part.get_zorder() for part in axes.collections)
            assert dots < frame.get_zorder() < drawn.get_zorder()


@pytest.mark.parametrize("shape", [(8, 8, 1), (256, 8, 3), (8, 256, 1)])
def test_thumbnails_of_any_shape_stay_within_their_boxes(shape: tuple[int, int, int]) -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    box = thumbnail_box(points, *shape[:2])
    panel = Panel("p", np.zeros(30, np.int64), {})
    figure = embedding_figure(points, [panel], title="", thumbnails={7: np.ones(shape)})
    png(figure)
    assert figure.get_figwidth() == 5
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert 0 < right - left < box[0]
    assert 0 < top - bottom < box[1]


@pytest.mark.parametrize(
    ("laid", "message"),
    [
        ({2: np.zeros((4, 4, 3))}, "there is no point 2 for a thumbnail"),
        ({0: np.zeros((4, 4))}, r"thumbnail 0 must be \(h, w, 1 or 3\), not \(4, 4\)"),
        ({1: np.full((4, 4, 1), 2.0)}, r"thumbnail 1 must be in \[0, 1\], not 2 to 2"),
    ],
)
def test_thumbnails_refuse(laid: Any, message: str) -> None:
    panel = Panel("p", np.array([0, 1]), {})
    with pytest.raises(ValueError, match=message):
        embedding_figure(np.eye(2), [panel], title="", thumbnails=laid)


# ---- gallery ------------------------------------------------------------------------------------


def exhibit(
    name: str = "one", counts: tuple[int, int, int] = (2, 3, 1), shape: Any = (4, 4, 3)
) -> Exhibit:
    rng = np.random.default_rng(len(name))
    typical, doubtful, random = (rng.random((count, *shape)) for count in counts)
    confidence = np.linspace(0.5, 0.51, counts[1])
    return Exhibit(name, 7, 0.654, typical, doubtful, random, confidence)


def test_images_of_a_gallery_lie_where_they_were_worked_out_to_lie() -> None:
    # 7 inches are three kinds of 5 images with 0.03 between them and 0.12 between the kinds, so
    # that a kind takes (7.12 / 3) and an image (7.12 / 3 - 0.12 + 0.03) / 5 - 0.03 = 0.42667
    one = exhibit(counts=(7, 2, 1))
    side, kind = 0.4266667, 7.12 / 3
    (axes,) = gallery_figure([one, exhibit("two")], title="t", note="n").axes
    boxes = [tuple(image.get_extent()) for image in axes.images]
    # below the names of the kinds and the title, 0.2 each; a row takes 0.14 more for confidences
    upper, lower = 0.4, 0.4 + side + 0.14
    assert boxes[0] == pytest.approx((0, side, upper + side, upper), abs=1e-6)
    assert boxes[1] == pytest.approx((side + 0.03, 2 * side + 0.03, upper + side, upper), abs=1e-6)
    assert boxes[5] == pytest.approx((0, side, lower + side, lower), abs=1e-6)
    assert boxes[7] == pytest.approx((kind, kind + side, upper + side, upper), abs=1e-6)
    assert boxes[9] == pytest.approx((2 * kind, 2 * kind + side, upper + side, upper), abs=1e-6)
    # the second block follows the two rows of the first
    below = upper + 2 * (side + 0.14) + 0.2
    assert boxes[10] == pytest.approx((0, side, below + side, below), abs=1e-6)
    for drawn, image in zip(
        axes.images, np.concatenate([one.typical, one.doubtful, one.random]), strict=False
    ):
        np.testing.assert_array_equal(drawn.get_array(), image)
        assert drawn.get_clim() == (0, 1)
    assert axes.get_xlim() == (0, 7)
    assert axes.get_ylim()[1] == 0
    assert axes.get_ylim()[0] >= below + side


def test_a_gallery_says_names_sizes_and_confidences() -> None:
    nothing = np.zeros((1, 4, 4, 1))
    alone = Exhibit("alone", 1, 1, nothing, nothing, nothing, np.ones(1))
    two = exhibit("two", shape=(4, 4, 1))
    figure = gallery_figure([two, alone], title="Run", note="note")
    (axes,) = figure.axes
    texts = {text.get_text(): text.get_position() for text in axes.texts}
    assert list(texts) == [
        "typical", "doubtful", "random",
        "two, 7 images, confidence 0.65", "0.50", "0.51", "alone, 1 image, confidence 1.00", "1.00",
    ]  # fmt: skip
    assert [text.get_text() for text in axes.texts].count("0.51") == 2  # 0.505 and 0.51
    left, right, bottom, _ = axes.images[2].get_extent()
    assert texts["0.50"][0] == pytest.approx((left + right) / 2)  # beneath the first doubtful one
    assert bottom < texts["0.50"][1] < bottom + 0.05
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Run", "note")


@pytest.mark.parametrize(
    ("clusters", "shape", "count"),
    [(1, (32, 32), 15), (2, (8, 8), 15), (6, (32, 32), 10), (12, (32, 32), 5), (13, (32, 32), 6),
     (24, (32, 32), 3), (48, (64, 64), 3), (12, (256, 8), 5), (6, (8, 256), 15)],
)  # fmt: skip
def test_a_gallery_has_room_for_fewer_images_of_more_clusters(
    clusters: int, shape: tuple[int, int], count: int
) -> None:
    assert gallery_count(clusters, *shape) == count


@pytest.mark.parametrize(
    ("clusters", "shape"), [(24, (8, 12, 1)), (5, (64, 20, 3)), (1, (9, 9, 3))]
)
def test_nothing_of_a_full_gallery_lies_on_anything_else(
    clusters: int, shape: tuple[int, int, int]
) -> None:
    count = gallery_count(clusters, *shape[:2])
    names = ["$x_1$ \x1b[31m\U0001f431 " * 20, *(f"cluster {j}" for j in range(1, clusters))]
    shown = [exhibit(name, (count, count, count), shape) for name in names]
    figure = gallery_figure(shown, title="t", note="n")
    png(figure)
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
    assert figure.get_figheight() < 10
    title = axes.texts[6 if clusters > 12 else 3]
    assert "$x_1$ \ufffd[31m" in title.get_text() or "…" in title.get_text()
    assert not title.get_parse_math()


@pytest.mark.parametrize(
    ("exhibits", "message"),
    [
        ([], "exhibits must hold at least one Exhibit"),
        ([exhibit(shape=(4, 4))], r"images must be \(m, h, w, 1 or 3\), not \(m, 4, 4\)"),
        ([exhibit(shape=(4, 4, 2))], r"images must be .* not \(m, 4, 4, 2\)"),
        (
            [exhibit(counts=(2, 16, 1))],
            r"each kind of 'one' must hold 1 to 15 images, not \[2, 16,",
        ),
        (
            [exhibit(counts=(0, 1, 1))],
            r"each kind of 'one' must hold 1 to 15 images, not \[0, 1, 1",
        ),
        (
            [exhibit(), exhibit("b", shape=(5, 4, 3))],
            r"images of 'b' must have shape \(2, 4, 4, 3\)",
        ),
        ([replace(exhibit(), mean=1.5)], r"mean of 'one' must be in \[0, 1\], not 1.5 to 1.5"),
        (
            [replace(exhibit(), confidence=np.ones(2))],
            r"confidence of 'one' must have shape \(3,\)",
        ),
        (
            [replace(exhibit(), random=np.full((1, 4, 4, 3), 9))],
            r"images of 'one' must be in \[0, 1",
        ),
    ],
)
def test_a_gallery_refuses(exhibits: list[Exhibit], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gallery_figure(exhibits, title="")


# ---- curves -------------------------------------------------------------------------------------

EPOCHS = np.array([1, 5, 10, 20, 40])
ERRORS = np.array([0.5, 0.3, 0.2, 0.15, 0.1])
ACCURACIES = np.array([0.8, 0.75, 0.9, 0.775, 0.7])


def test_curves_hold_the_numbers_on_two_axes_told_apart_by_more_than_colour() -> None:
    figure = curve_figure(EPOCHS, ERRORS, ACCURACIES, note="note", title="Run")
    left, right = figure.axes
    for axes, values in ((left, ERRORS), (right, ACCURACIES)):
        (line,) = axes.lines
        np.testing.assert_array_equal(line.get_xdata(), EPOCHS)
        np.testing.assert_array_equal(line.get_ydata(), values)
        assert axes.yaxis.label.get_color() == line.get_color()
    (error_line,), (accuracy_line,) = left.lines, right.lines
    assert error_line.get_color() != accuracy_line.get_color()
    assert error_line.get_marker() != accuracy_line.get_marker()
    assert error_line.get_linestyle() != accuracy_line.get_linestyle()
    assert legend_texts(left) == ["reconstruction MSE (all training images)", "validation accuracy"]
    assert left.get_ylabel() == "reconstruction MSE\n(all training images)"
    assert (left.get_xlabel(), right.get_ylabel()) == ("epoch", "validation accuracy")
    assert figure.get_suptitle() == "Run"
    assert figure.get_supxlabel() == "note"
    assert right.yaxis.get_major_formatter()(0.85, 0) == "85%"


def test_the_largest_fall_is_marked_between_its_two_checkpoints() -> None:
    left = curve_figure(EPOCHS, ERRORS, ACCURACIES).axes[0]
    (span,) = left.patches
    assert isinstance(span, Rectangle)
    assert [text.get_text() for text in left.texts] == ["largest fall: \u221212.5 points"]
    assert (span.get_x(), span.get_x() + span.get_width()) == (10, 20)


@pytest.mark.parametrize("accuracies", [[0.1, 0.1, 0.2, 0.5, 1.0], [0.5] * 5, None])
def test_nothing_is_marked_without_a_fall(accuracies: list[float] | None) -> None:
    given = None if accuracies is None else np.array(accuracies)
    figure = curve_figure(EPOCHS, ERRORS, given)
    assert len(figure.axes[0].patches) == len(figure.axes[0].texts) == 0
    assert len(figure.axes) == (1 if accuracies is None else 2)
    assert (figure.axes[0].get_legend() is None) == (accuracies is None)


@pytest.mark.parametrize(
    ("lowest", "scale"), [(0.06, "linear"), (0.04, "log"), (0.0001, "log"), (0.0, "linear")]
)
def test_error_axis_is_logarithmic_beyond_a_decade(lowest: float, scale: str) -> None:
    errors = np.array([0.5, 0.3, 0.2, 0.15, lowest])
    axes = curve_figure(EPOCHS, errors, None).axes[0]
    assert axes.get_yscale() == scale
    assert axes.yaxis.get_major_formatter()(0.05, 0) == "0.05"
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3


@pytest.mark.parametrize("accuracy", [0.0, 0.25, 0.75, 1.0])
def test_single_checkpoint_shows_both_markers_apart(accuracy: float) -> None:
    png(curve_figure(np.array([3]), np.array([0.0]), np.array([accuracy])))  # no error at all
    figure = curve_figure(np.array([3]), np.array([0.02]), np.array([accuracy]))
    png(figure)
    left, right = figure.axes
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform((3, value)))[1]
        for axes, value in ((left, 0.02), (right, accuracy))
    ]
    assert abs(heights[0] - heights[1]) > 0.2
    assert left.get_xticks().tolist() == [3]


@pytest.mark.parametrize(
    ("epochs", "errors", "accuracies", "message"),
    [
        ([], [], None, "epochs must hold at least one checkpoint"),
        ([1.5, 2.0], [1, 1], None, "epochs must be integers"),
        ([2, 2], [1, 1], None, "epochs must be strictly increasing"),
        ([1, 2], [1], None, r"errors must have shape \(2,\), not \(1,\)"),
        ([1, 2], [1, np.nan], None, "errors must be finite numbers"),
        ([1, 2], [1, 1], [0.5], r"accuracies must have shape \(2,\), not \(1,\)"),
        ([1, 2], [1, 1], [0.5, 50], r"accuracies must be in \[0, 1\], not 0.5 to 50"),
    ],
)
def test_curve_refuses(epochs: Any, errors: Any, accuracies: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        curve_figure(epochs, errors, accuracies)


# ---- all figures --------------------------------------------------------------------------------


def build_all() -> list[Figure]:
    return [
        reconstruction_figure(*images(12)),
        embedding_figure(*two_panels(), title="t", axis_note="n"),
        embedding_figure(*two_panels(), title="", thumbnails={3: np.ones((4, 4, 1))}),
        gallery_figure([exhibit()], title="t", note="n"),
        curve_figure(EPOCHS, ERRORS, ACCURACIES, note="n", title="t"),
    ]


def test_bytes_are_the_same_each_time_whatever_the_settings_of_the_caller() -> None:
    first = [png(figure) for figure in build_all()]
    settings: Any = {"font.size": 30, "axes.facecolor": "red", "image.cmap": "jet"}
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        again = build_all()
        assert dict(matplotlib.rcParams) == before
    assert [png(figure) for figure in again] == first
    assert len(set(first)) == 5


def test_no_text_is_below_seven_points_and_a_column_or_a_page_is_wide_enough() -> None:
    for figure in build_all():
        png(figure)
        assert 3.4 <= figure.get_figwidth() < 7.1
        texts: Any = figure.findobj(matplotlib.text.Text)
        sizes = [text.get_fontsize() for text in texts if text.get_text()]
        assert min(sizes) == 7.0


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from aeclust.show.plots import curve_figure;"
        "curve_figure(np.array([1, 2]), np.ones(2), np.array([1, 0.5]));"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "False"
