"""Figures are checked by the artists they hold: what is shown, in which order, with which words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import Indicators
from aeclust.show.plots import (
    Panel,
    curve_figure,
    embedding_figure,
    loss_figure,
    reconstruction_figure,
    thumbnail_box,
)
from aeclust.show.style import encoded

Images = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], list[str]]


def images(count: int, height: int = 5, width: int = 4, channels: int = 3) -> Images:
    originals, others = np.random.default_rng(3).random((2, count, height, width, channels))
    return originals, others, np.linspace(0.01, 0.5, count), [f"id{i}" for i in range(count)]


def png(figure: Figure) -> bytes:
    figure.dpi = 60
    return encoded(figure, "png")


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
    figure = embedding_figure(points, panels, title="Latents", note="by t-SNE")
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
    assert legend_texts(figure.axes[1]) == ["seven (40)", "none (20)"]


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


def test_outliers_are_grey_below_the_others_and_listed_last() -> None:
    points, labels = np.arange(24.0).reshape(12, 2), np.array([-1, 4, 0] * 4)
    panel = Panel("p", labels, {-1: "outliers"})
    axes = embedding_figure(points, [panel], title="").axes[0]
    assert legend_texts(axes) == ["0 (4)", "4 (4)", "outliers (4)"]
    legend = axes.get_legend()
    assert legend is not None
    looks = [(to_hex(line.get_color()), line.get_marker()) for line in legend.get_lines()]
    assert looks == [("#0072b2", "o"), ("#e69f00", "^"), ("#bbbbbb", ".")]
    collections: list[Any] = list(axes.collections)
    drawn = [
        (float(x), float(y), to_hex(colour))
        for each in collections
        for (x, y), colour in zip(each.get_offsets(), each.get_facecolors(), strict=True)
    ]
    expected = {(*points[row].tolist(), looks[(2, 1, 0)[row % 3]][0]) for row in range(12)}
    assert set(drawn) == expected
    assert [colour == "#bbbbbb" for *_, colour in drawn] == [True] * 4 + [False] * 8


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
    figure = embedding_figure(points, panels, title="Title", note="note")
    encoded(figure, "png")
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
    for axes, frames in zip(figure.axes, ([1, 1], [1, 0]), strict=True):
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


# ---- curves -------------------------------------------------------------------------------------

EPOCHS = [1, 5, 10, 20, 40]
ERRORS = [0.5, 0.3, 0.2, 0.15, 0.1]
ACCURACIES = [0.8, 0.75, 0.9, 0.775, 0.7]
VIEWS = [0.1, 0.2, 0.3, 0.4, 0.35]


def curve(
    errors: Sequence[float] = ERRORS, accuracies: Sequence[float | None] = ACCURACIES
) -> Curve:
    points = zip(EPOCHS, errors, accuracies, VIEWS, strict=False)
    return summarise([Point(e, m, a, Indicators(2.0, v, 0, 0, 0, 0)) for e, m, a, v in points])


def test_curves_hold_the_numbers_on_two_axes_told_apart_by_more_than_colour() -> None:
    figure = curve_figure(curve(), note="note", title="Run")
    left, right = figure.axes
    for line, values in zip([*left.lines, *right.lines], (ERRORS, ACCURACIES, VIEWS), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), EPOCHS)
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert left.yaxis.label.get_color() == left.lines[0].get_color()
    for look in (Line2D.get_color, Line2D.get_marker, Line2D.get_linestyle):
        assert len({look(line) for line in (*left.lines, *right.lines)}) == 3
    assert legend_texts(left) == [
        "reconstruction MSE (all training images)",
        "validation accuracy (right)",
        "view_neighbours (right)",
    ]
    assert (left.get_xlabel(), left.get_ylabel()) == ("epoch", "reconstruction MSE")
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Run", "note")
    assert right.yaxis.get_major_formatter()(0.85, 0) == "85%"


def test_the_largest_fall_is_marked_between_its_two_checkpoints() -> None:
    left = curve_figure(curve()).axes[0]
    (span,) = left.patches
    assert isinstance(span, Rectangle)
    assert [text.get_text() for text in left.texts] == ["largest fall: \u221212.5 points"]
    assert (span.get_x(), span.get_x() + span.get_width()) == (10, 20)


@pytest.mark.parametrize("accuracies", [[0.1, 0.1, 0.2, 0.5, 1.0], [0.5] * 5, [None] * 5])
def test_nothing_is_marked_without_a_fall(accuracies: list[float | None]) -> None:
    left, right = curve_figure(curve(accuracies=accuracies)).axes
    assert len(left.patches) == len(left.texts) == 0
    assert len(right.lines) == (1 if accuracies[0] is None else 2)


@pytest.mark.parametrize(
    ("lowest", "scale"), [(0.06, "linear"), (0.04, "log"), (0.0001, "log"), (0.0, "linear")]
)
def test_error_axis_is_logarithmic_beyond_a_decade(lowest: float, scale: str) -> None:
    axes = curve_figure(curve([0.5, 0.3, 0.2, 0.15, lowest])).axes[0]
    assert axes.get_yscale() == scale
    assert axes.yaxis.get_major_formatter()(0.05, 0) == "0.05"
    low, high = axes.get_ylim()
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3


@pytest.mark.parametrize("accuracy", [0.0, 0.25, 0.75, 1.0])
def test_single_checkpoint_shows_error_and_accuracy_apart(accuracy: float) -> None:
    png(curve_figure(curve([0.0], [accuracy])))  # no error at all
    figure = curve_figure(curve([0.02], [accuracy]))
    png(figure)
    left, right = figure.axes
    heights = [
        axes.transAxes.inverted().transform(axes.transData.transform((1, value)))[1]
        for axes, value in ((left, 0.02), (right, accuracy))
    ]
    assert abs(heights[0] - heights[1]) > 0.2
    assert left.get_xticks().tolist() == [1]


@pytest.mark.parametrize(
    ("breaks", "parts"), [(3, [[1, 2, 3], [4, 5]]), (0, [[1, 2, 3, 4, 5]]), (9, [[1, 2, 3, 4, 5]])]
)
def test_the_line_of_the_loss_starts_anew_with_the_second_phase(
    breaks: int, parts: list[list[int]]
) -> None:
    losses = [(epoch, 1 / epoch) for epoch in range(1, 6)]
    (axes,) = loss_figure(losses, breaks=breaks).axes
    assert [np.asarray(line.get_xdata()).tolist() for line in axes.lines] == parts
    drawn = np.concatenate([np.asarray(line.get_ydata()) for line in axes.lines])
    assert drawn.tolist() == [loss for _, loss in losses]
    assert len({line.get_color() for line in axes.lines}) == 1


# ---- all figures --------------------------------------------------------------------------------


def build_all() -> list[Figure]:
    return [
        reconstruction_figure(*images(12)),
        embedding_figure(*two_panels(), title="t", note="n"),
        embedding_figure(*two_panels(), title="", thumbnails={3: np.ones((4, 4, 1))}),
        curve_figure(curve(), note="n", title="t"),
        loss_figure([(1, 2.0), (2, 1.0)], breaks=2),
    ]


def test_pictures_say_whose_they_are_and_a_png_before_its_pixels() -> None:
    figure = build_all()[0]
    drawn, svg, pdf = png(figure), encoded(figure, "svg"), encoded(figure, "pdf")
    # signature and IHDR take 33 bytes; then a length, a name, and 16 bytes
    assert drawn[33:57] == b"\0\0\0\x10tEXtSoftware\0aeclust"
    assert b"<dc:title>aeclust</dc:title>" in svg
    assert b"/Creator (aeclust)" in pdf
    for made in (drawn, svg, pdf):  # nor the version of a library, nor a date
        assert not re.search(rb"atplotlib v|CreationDate|dc:date", made)


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_bytes_are_the_same_each_time_whatever_the_settings_of_the_caller(
    kind: Literal["png", "svg", "pdf"],
) -> None:
    first = [encoded(figure, kind) for figure in build_all()]
    settings: Any = {"font.size": 30, "axes.facecolor": "red", "image.cmap": "jet"}
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        again = [encoded(figure, kind) for figure in build_all()]
        assert dict(matplotlib.rcParams) == before
    assert again == first
    assert len(set(first)) == 5


def test_no_text_is_below_seven_points_and_a_column_or_a_page_is_wide_enough() -> None:
    for figure in build_all():
        png(figure)
        assert 3.4 <= figure.get_figwidth() < 7.1
        texts: Any = figure.findobj(matplotlib.text.Text)
        sizes = [text.get_fontsize() for text in texts if text.get_text()]
        assert min(sizes) == 7.0
