"""Figures are checked by the artists they hold: what is shown, in which order, with which words."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from aeclust.plots import Panel, curve_figure, embedding_figure, reconstruction_figure

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
    assert len(axes.collections) == len({marker for _, marker in looks}) == -(-groups // 8)


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
    assert len(set(first)) == 3


def test_no_text_is_below_seven_points() -> None:
    for figure in build_all():
        png(figure)
        texts: Any = figure.findobj(matplotlib.text.Text)
        sizes = [text.get_fontsize() for text in texts if text.get_text()]
        assert min(sizes) == 7.0


def test_pyplot_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from aeclust.plots import curve_figure;"
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
