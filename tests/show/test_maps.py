"""The map is checked by the artists it holds: points, images, names, marks of what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from numpy.typing import NDArray

from aeclust.show.maps import Panel, map_figure, thumbnail_box
from aeclust.show.palette import colour, marker
from aeclust.show.style import INK, PAGE, encoded


def png(figure: Figure) -> bytes:
    return encoded(figure, "png", dpi=60)


def legend_looks(axes: Axes) -> dict[str, tuple[str, Any]]:
    """Colour and marker by the text of each entry."""
    legend = axes.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    looks = [(to_hex(line.get_color()), line.get_marker()) for line in legend.get_lines()]
    return dict(zip(texts, looks, strict=True))


def shown_points(axes: Axes) -> list[tuple[float, float, str]]:
    """Every point of a panel with its colour, sorted."""
    rows = []
    for drawn in axes.collections:
        offsets = np.asarray(drawn.get_offsets())
        colours = np.asarray(drawn.get_facecolor())
        rows += [(x, y, to_hex(c)) for (x, y), c in zip(offsets, colours, strict=True)]
    return sorted(rows)


def two_panels(count: int = 60) -> tuple[NDArray[np.float64], list[Panel]]:
    points = np.random.default_rng(5).normal(size=(count, 2)) * [3, 1]
    clusters = np.arange(count) % 3
    return points, [
        Panel("by cluster", clusters, {0: "zero", 2: "_two"}),
        Panel("by true label", np.where(clusters == 0, -1, 7), {-1: "none", 7: "seven", 8: "no"}),
    ]


def test_panels_share_limits_that_hold_all_points_with_equal_aspect() -> None:
    points, panels = two_panels()
    figure = map_figure(points, panels, title="Latents", note="by t-SNE")
    first, second = figure.axes
    assert first.get_xlim() == second.get_xlim()
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xlim()[0] < points[:, 0].min()
    assert points[:, 0].max() < first.get_xlim()[1]
    assert first.get_ylim()[0] < points[:, 1].min()
    assert points[:, 1].max() < first.get_ylim()[1]
    assert first.get_aspect() == second.get_aspect() == 1.0
    assert [axes.get_title("left") for axes in figure.axes] == ["by cluster", "by true label"]
    assert len(first.get_xticks()) == len(first.get_yticks()) == 0
    assert figure.get_suptitle() == "Latents"
    assert figure.get_supxlabel() == "by t-SNE"
    assert all(drawn.get_rasterized() for axes in figure.axes for drawn in axes.collections)


def test_legend_names_and_counts_match_the_groups() -> None:
    figure = map_figure(*two_panels(), title="")
    assert [*legend_looks(figure.axes[0])] == ["zero (20)", "1 (20)", "_two (20)"]
    assert [*legend_looks(figure.axes[1])] == ["seven (40)", "none (20)"]


@pytest.mark.parametrize("groups", [3, 24])
def test_every_point_is_drawn_in_the_colour_and_marker_of_its_legend_entry(groups: int) -> None:
    points = np.random.default_rng(6).normal(size=(120, 2))
    labels = np.arange(120) % groups
    axes = map_figure(points, [Panel("p", labels, {})], title="t").axes[0]
    looks = [*legend_looks(axes).values()]
    assert looks == [(colour(cluster).lower(), marker(cluster)) for cluster in range(groups)]
    expected = sorted((x, y, looks[g][0]) for (x, y), g in zip(points, labels, strict=True))
    assert shown_points(axes) == expected


def test_outliers_are_grey_below_the_others_and_listed_last() -> None:
    points, labels = np.arange(24.0).reshape(12, 2), np.array([-1, 4, 0] * 4)
    panel = Panel("p", labels, {-1: "outliers"})
    axes = map_figure(points, [panel], title="").axes[0]
    found = legend_looks(axes)
    assert [*found] == ["0 (4)", "4 (4)", "outliers (4)"]
    looks = [*found.values()]  # by the number of the cluster, not by its place among these
    assert looks == [("#0072b2", "o"), ("#cc79a7", "v"), ("#bbbbbb", ".")]
    collections: list[Any] = list(axes.collections)
    drawn = [
        (float(x), float(y), to_hex(shade))
        for each in collections
        for (x, y), shade in zip(each.get_offsets(), each.get_facecolors(), strict=True)
    ]
    expected = {(*points[row].tolist(), looks[(2, 1, 0)[row % 3]][0]) for row in range(12)}
    assert set(drawn) == expected
    assert [shade == "#bbbbbb" for *_, shade in drawn] == [True] * 4 + [False] * 8


def test_groups_take_turns_so_that_none_is_drawn_last() -> None:
    points, labels = np.random.default_rng(6).normal(size=(800, 2)), np.arange(800) % 14
    axes = map_figure(points, [Panel("p", labels, {})], title="").axes[0]
    order = [to_hex(np.asarray(part.get_facecolor())[0]) for part in axes.collections]
    assert len(order) == 8 * 7
    assert len(set(order[-7:])) == len(set(order[:7])) == 7


def test_a_class_looks_like_the_cluster_that_it_matches_and_wrong_points_are_ringed() -> None:
    points = np.arange(12.0).reshape(6, 2)
    clusters, classes = np.array([0, 0, 0, 3, 3, 3]), np.array([8, 8, 5, 5, 5, 6])
    looks = {8: 0, 5: 3, 6: 4}
    panels = [
        Panel("by cluster", clusters, {}, wrong=np.array([looks[c] for c in classes]) != clusters),
        Panel("by true label", classes, {5: "sea"}, looks),
    ]
    first, second = map_figure(points, panels, title="").axes
    named = legend_looks(second)
    assert named == {
        "sea (3)": (colour(3).lower(), marker(3)),
        "6 (1)": (colour(4).lower(), marker(4)),
        "8 (2)": (colour(0).lower(), marker(0)),
    }
    assert [*legend_looks(first)] == ["0 (3)", "3 (3)", "wrong (2)"]
    *dots, rings = first.collections
    np.testing.assert_array_equal(rings.get_offsets(), points[[2, 5]])
    assert len(rings.get_facecolor()) == 0
    assert {to_hex(edge) for edge in np.asarray(rings.get_edgecolor())} == {INK.lower()}
    assert sum(len(np.asarray(part.get_offsets())) for part in dots) == 6
    assert len(second.collections) == 8 - 2  # turns of one point each, and no rings


# ---- names on the map ---------------------------------------------------------------------------


def test_groups_are_named_where_they_are_densest() -> None:
    rng = np.random.default_rng(0)
    dense = [rng.normal(centre, 0.3, (60, 2)) for centre in ((0, 0), (20, 0), (0, 20))]
    points = np.vstack([*dense, rng.uniform(0, 20, (20, 2))])
    labels = np.array([*np.repeat([0, 1, -1], 60), *np.full(20, 1)])
    names = {0: "0: sea", 1: "cluster 1", -1: "outliers"}
    axes = map_figure(points, [Panel("", labels, names)], title="").axes[0]
    written = {text.get_text(): text for text in axes.texts}
    assert [*written] == ["cluster 1", "0: sea"]  # the largest first, and no outliers
    for name, centre in (("0: sea", (0, 0)), ("cluster 1", (20, 0))):
        assert written[name].get_position() == pytest.approx(centre, abs=1.5)
    box = written["0: sea"].get_bbox_patch()
    assert box is not None
    assert to_hex(box.get_edgecolor()) == colour(0).lower()


@pytest.mark.parametrize("name", ["cluster {}", "{}: a name that is far too long for a map", "{}"])
@pytest.mark.parametrize("k", [2, 10, 20])
def test_names_on_the_map_lie_within_it_and_not_on_each_other(k: int, name: str) -> None:
    points = np.random.default_rng(k).normal(size=(40 * k, 2)) * [3, 1]
    labels = np.arange(40 * k) % k  # all of them in one place
    panel = Panel("", labels, {j: name.format(j) for j in range(k)})
    figure = map_figure(points, [panel], title="")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    around = 0.035 * figure.dpi
    boxes = [text.get_window_extent().padded(around) for text in axes.texts]
    assert len(boxes) == k
    assert all(text.get_text().partition(":")[0].split()[-1].isdecimal() for text in axes.texts)
    inside = axes.get_window_extent()
    slack = 0.04 * figure.dpi
    for i, box in enumerate(boxes):
        assert inside.x0 - slack < box.x0 < box.x1 < inside.x1 + slack
        assert inside.y0 - slack < box.y0 < box.y1 < inside.y1 + slack
        for other in boxes[:i]:
            across = min(box.x1, other.x1) - max(box.x0, other.x0)
            down = min(box.y1, other.y1) - max(box.y0, other.y0)
            assert min(across, down) < slack


def test_points_shrink_as_their_number_grows() -> None:
    areas = []
    for count in (1, 20, 500, 5000, 100_000):
        points = np.random.default_rng(0).normal(size=(count, 2))
        panel = Panel("p", np.zeros(count, np.int64), {})
        drawn = map_figure(points, [panel], title="").axes[0].collections[0]
        areas.append(float(np.asarray(drawn.get_sizes())[0]))  # type: ignore[attr-defined]
    assert areas[0] == areas[1] == 36
    assert areas[1] > areas[2] > areas[3] > areas[4] >= 0.8


@pytest.mark.parametrize(("groups", "others"), [(2, ""), (24, ""), (31, "ស្រី Ấĝ̣ {} a long name")])
def test_legend_stays_inside_the_figure_and_off_data_and_note(groups: int, others: str) -> None:
    points = np.random.default_rng(6).normal(size=(240, 2))
    names = {i: others.format(i) for i in range(groups) if others} | {0: "long name " * 20}
    panels = [Panel("p", np.arange(240) % groups, names), two_panels(240)[1][1]]
    figure = map_figure(points, panels, title="Title", note="note")
    figure.draw_without_rendering()
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
    axes = map_figure(points, [Panel("p", np.arange(len(points)), {})], title="").axes[0]
    low, high = axes.get_xlim()
    assert low < points[:, 0].min()
    assert points[:, 0].max() < high
    assert (low + high) / 2 == pytest.approx((points[:, 0].min() + points[:, 0].max()) / 2)
    png(axes.get_figure())  # type: ignore[arg-type]


# ---- thumbnails ---------------------------------------------------------------------------------


def test_thumbnails_lie_around_their_points_in_frames_of_their_groups() -> None:
    points = np.array([[0.0, 0], [18, 0], [18, 18], [0, 18]])
    panels = [
        Panel("p", np.array([5, 0, 0, 5]), {}, wrong=np.array([True, False, False, False])),
        Panel("q", np.array([-1, -1, -1, 7]), {}),
    ]
    laid = {0: np.full((4, 8, 3), 0.25), 3: np.zeros((4, 8, 3))}
    # a panel of 1.06 * 18 has 22 boxes beside one another, or 16 where there are two panels
    assert thumbnail_box(points, 4, 8) == pytest.approx([1.06 * 18 / 22, 1.06 * 9 / 22])
    assert thumbnail_box(points, 4, 8, 2) == pytest.approx([1.06 * 18 / 16, 1.06 * 9 / 16])
    figure = map_figure(points, panels, title="", thumbnails=laid)
    for axes, frames in zip(figure.axes, ([5, 5], [-1, 7]), strict=True):
        patches: Any = axes.patches
        shades = [to_hex(frame.get_facecolor()) for frame in patches]
        assert shades == [colour(group).lower() for group in frames]
        for (row, image), drawn, frame in zip(laid.items(), axes.images, patches, strict=True):
            np.testing.assert_array_equal(drawn.get_array(), image)
            left, right, bottom, top = drawn.get_extent()
            assert ((left + right) / 2, (bottom + top) / 2) == pytest.approx(points[row])
            assert (right - left) / (top - bottom) == pytest.approx(2)  # upright, undistorted
            assert frame.get_x() < left < right < frame.get_x() + frame.get_width()
            assert frame.get_y() < bottom < top < frame.get_y() + frame.get_height()
            assert frame.get_width() < 1.06 * 18 / 16
            assert axes.get_xlim()[0] < frame.get_x()
            assert frame.get_y() + frame.get_height() < axes.get_ylim()[1]
            dots = max(part.get_zorder() for part in axes.collections)
            assert dots < frame.get_zorder() < drawn.get_zorder()
    (ring,) = figure.axes[0].lines  # in the corner of the wrong one
    assert to_hex(ring.get_markeredgecolor()) == INK.lower()
    frame = figure.axes[0].patches[0].get_bbox()  # type: ignore[attr-defined]
    assert (ring.get_xdata(), ring.get_ydata()) == ([frame.x1], [frame.y1])
    assert len(figure.axes[1].lines) == 0


@pytest.mark.parametrize("shape", [(8, 8, 1), (256, 8, 3), (8, 256, 1)])
def test_thumbnails_of_any_shape_stay_within_their_boxes(shape: tuple[int, int, int]) -> None:
    points = np.random.default_rng(0).normal(size=(30, 2))
    box = thumbnail_box(points, *shape[:2])
    panel = Panel("p", np.zeros(30, np.int64), {})
    figure = map_figure(points, [panel], title="", thumbnails={7: np.ones(shape)})
    png(figure)
    assert figure.get_figwidth() == PAGE
    left, right, bottom, top = figure.axes[0].images[0].get_extent()
    assert 0 < right - left < box[0]
    assert 0 < top - bottom < box[1]


def test_images_that_stand_for_all_points_lie_where_they_are_put() -> None:
    points, middle = np.random.default_rng(0).normal(size=(9, 2)), np.array([[0.5, 0.25]])
    panel = Panel("", np.zeros(9, np.int64), {})
    laid: Any = {"thumbnails": {7: np.ones((4, 4, 3))}, "places": middle}
    (axes,) = map_figure(points, [panel], title="", **laid).axes
    left, right, bottom, top = axes.images[0].get_extent()
    assert ((left + right) / 2, (bottom + top) / 2) == pytest.approx(middle[0])
    assert len(axes.collections) == 0
