"""Figures are checked by the artists they hold: what is shown, in which order, with which words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust.clusters.curve import Curve, Point, summarise
from aeclust.clusters.indicators import Indicators
from aeclust.show.maps import Panel, map_figure
from aeclust.show.plots import curve_figure, loss_figure, reconstruction_figure
from aeclust.show.style import COLUMN, PAGE, SMALL, encoded, fitted, shortened, text_width

Images = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], list[str]]


def images(count: int, height: int = 5, width: int = 4, channels: int = 3) -> Images:
    originals, others = np.random.default_rng(3).random((2, count, height, width, channels))
    return originals, others, np.linspace(0.01, 0.5, count), [f"id{i}" for i in range(count)]


def png(figure: Figure) -> bytes:
    return encoded(figure, "png", dpi=60)


def legend_texts(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


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
        assert lower.get_xlabel() == f"error {errors[i]:.4f}"


@pytest.mark.parametrize(("count", "bands", "columns"), [(1, 1, 1), (10, 1, 10), (23, 3, 8)])
def test_bands_have_at_most_ten_columns_and_keep_the_order(
    count: int, bands: int, columns: int
) -> None:
    figure = reconstruction_figure(*images(count))
    figure.draw_without_rendering()  # applies the layout
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
    assert COLUMN <= figure.get_figwidth() <= PAGE + 0.01


def test_tiny_errors_keep_their_digits() -> None:
    originals, others, _, captions = images(3)
    figure = reconstruction_figure(originals, others, np.array([0, 1.23e-5, 0.0123]), captions)
    labels = [axes.get_xlabel() for axes in figure.axes[1::2]]
    assert labels == ["error 0.0000", "error 1.2e-05", "error 0.0123"]


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


# ---- curves -------------------------------------------------------------------------------------

EPOCHS = [1, 5, 10, 20, 40]
ERRORS = [0.5, 0.3, 0.2, 0.15, 0.1]
ACCURACIES = [0.8, 0.75, 0.9, 0.775, 0.7]
VIEWS = [0.1, 0.2, 0.3, 0.4, 0.35]


def curve(
    errors: Sequence[float] = ERRORS,
    accuracies: Sequence[float | None] = ACCURACIES,
    validated: int = 500,
) -> Curve:
    points = zip(EPOCHS, errors, accuracies, VIEWS, strict=False)
    measured = [Point(e, m, a, Indicators(2.0, v, 0, 0, 0, 0)) for e, m, a, v in points]
    return summarise(measured, validated)


def test_curves_hold_the_numbers_in_two_panels_told_apart_by_more_than_colour() -> None:
    figure = curve_figure(curve(), note="note", title="Run")
    upper, lower = figure.axes
    lines = [*upper.lines, *lower.lines]
    for line, values in zip(lines, (ERRORS, ACCURACIES, VIEWS), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), EPOCHS)
        np.testing.assert_array_equal(line.get_ydata(), values)
    for look in (Line2D.get_color, Line2D.get_marker):
        assert len({look(line) for line in lines}) == 3
    assert upper.get_title("left") == "reconstruction error of the training images"
    assert legend_texts(lower) == ["validation accuracy", "view_neighbours"]
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "epoch")
    assert upper.get_xlim() == lower.get_xlim()
    assert (figure.get_suptitle(), figure.get_supxlabel()) == ("Run", "note")
    assert lower.yaxis.get_major_formatter()(0.85, 0) == "85%"
    figure.draw_without_rendering()
    boxes = [axes.get_window_extent() for axes in (upper, lower)]
    assert boxes[0].y0 > boxes[1].y1
    assert boxes[0].x0 == pytest.approx(boxes[1].x0)
    for axes, values in ((upper, ERRORS), (lower, ACCURACIES + VIEWS)):
        assert axes.get_ylim()[0] <= np.min(values) < np.max(values) <= axes.get_ylim()[1]


def test_accuracy_lies_in_a_band_of_one_standard_error() -> None:
    (band,) = curve_figure(curve(accuracies=[0.5] * 5, validated=25)).axes[1].collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((0.4, 0.6))  # a half, of 25: 0.1
    assert len(curve_figure(curve(validated=0)).axes[1].collections) == 0


# 0.9 to 0.775 of n images: one standard error is the root of (0.09 + 0.174375) / n
@pytest.mark.parametrize(("validated", "marked"), [(68, True), (67, False), (0, False)])
def test_the_largest_fall_is_marked_where_it_is_beyond_two_standard_errors(
    validated: int, marked: bool
) -> None:
    figure = curve_figure(curve(validated=validated))
    upper, lower = figure.axes
    assert len(upper.patches) == len(upper.texts) == 0
    assert [text.get_text() for text in lower.texts] == (
        ["largest fall: \u221212.5 points"] * marked
    )
    assert len(lower.patches) == marked
    for span in lower.patches:
        assert isinstance(span, Rectangle)
        assert (span.get_x(), span.get_x() + span.get_width()) == (10, 20)
    figure.draw_without_rendering()
    for text in lower.texts:  # above the lines, within the axes
        box = text.get_window_extent().transformed(lower.transData.inverted())
        assert box.y0 > max(ACCURACIES)
        assert box.y1 < lower.get_ylim()[1]


@pytest.mark.parametrize("accuracies", [[0.1, 0.1, 0.2, 0.5, 1.0], [0.5] * 5, [None] * 5])
def test_nothing_is_marked_without_a_fall(accuracies: list[float | None]) -> None:
    _, lower = curve_figure(curve(accuracies=accuracies)).axes
    assert len(lower.patches) == len(lower.texts) == 0
    assert len(lower.lines) == (1 if accuracies[0] is None else 2)


@pytest.mark.parametrize(
    ("lowest", "scale"), [(0.06, "linear"), (0.04, "log"), (0.0001, "log"), (0.0, "linear")]
)
def test_error_axis_is_logarithmic_beyond_a_decade(lowest: float, scale: str) -> None:
    axes = curve_figure(curve([0.5, 0.3, 0.2, 0.15, lowest])).axes[0]
    assert axes.get_yscale() == scale
    assert axes.yaxis.get_major_formatter()(0.05, 0) == "0.05"
    low, high = axes.get_ylim()
    assert low <= lowest < 0.5 <= high
    assert sum(low <= tick <= high for tick in axes.get_yticks()) >= 3


@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_a_single_checkpoint_is_a_point_in_each_panel(accuracy: float) -> None:
    figure = curve_figure(curve([0.0], [accuracy]))  # no error at all
    png(figure)
    upper, lower = figure.axes
    assert lower.get_xticks().tolist() == [1]
    assert upper.get_ylim()[0] <= 0 <= upper.get_ylim()[1]
    assert lower.get_ylim()[0] <= accuracy <= lower.get_ylim()[1]


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
    points = np.random.default_rng(5).normal(size=(60, 2)) * [3, 1]
    panel = Panel("by cluster", np.arange(60) % 3, {0: "zero"}, wrong=np.arange(60) == 7)
    return [
        reconstruction_figure(*images(2)),
        map_figure(points, [panel], title="t", note="n"),
        map_figure(points, [panel], title="", thumbnails={3: np.ones((4, 4, 1))}),
        curve_figure(curve(), note="n", title="t"),
        loss_figure([(1, 2.0), (2, 1.0)], breaks=2),
    ]


def test_pictures_say_whose_they_are_and_a_png_before_its_pixels() -> None:
    figure = loss_figure([(1, 2.0), (2, 1.0)], breaks=2)
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
    first = [encoded(figure, kind, dpi=60) for figure in build_all()]
    settings: Any = {"font.size": 30, "axes.facecolor": "red", "image.cmap": "jet"}
    with matplotlib.rc_context(settings):
        before = dict(matplotlib.rcParams)
        again = [encoded(figure, kind, dpi=60) for figure in build_all()]
        assert dict(matplotlib.rcParams) == before
    assert again == first
    assert len(set(first)) == 5


def test_no_text_is_below_seven_points_and_a_column_or_a_page_is_wide_enough() -> None:
    for figure in build_all():
        figure.draw_without_rendering()
        assert COLUMN <= figure.get_figwidth() <= PAGE
        texts: Any = figure.findobj(matplotlib.text.Text)
        sizes = [text.get_fontsize() for text in texts if text.get_text()]
        assert min(sizes) == 7.0


# ---- text ---------------------------------------------------------------------------------------


def test_text_fits_where_it_was_measured_to_fit() -> None:
    long = "a folder/with a rather long name/IMG_20240817_183512.jpeg"
    for inches in (0.4, 1.0, 2.5):
        short = shortened(long, inches, SMALL)
        assert text_width(short, SMALL) <= inches
        head, _, tail = short.partition("…")
        assert (long.startswith(head), long.endswith(tail)) == (True, True)
        # one character more would not fit
        assert text_width(short + "i", SMALL) > inches - text_width("m", SMALL)
        for line in fitted(long, inches, SMALL).split("\n"):
            assert text_width(line, SMALL) <= inches
    assert shortened(long, 5.0, SMALL) == long
    assert fitted(long, 2.5, SMALL).replace("\n", " ") == long
    figure = curve_figure(curve(), title=long[:20])
    figure.draw_without_rendering()
    drawn = figure._suptitle.get_window_extent().width / figure.dpi  # type: ignore[attr-defined]
    assert drawn == pytest.approx(text_width(figure.get_suptitle(), 9, bold=True), rel=0.02)
