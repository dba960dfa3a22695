"""How lots of pictures share the rows of a sheet."""

from __future__ import annotations

import numpy as np
import pytest

from aeclust.show.lots import ACROSS, MOST, Lot, lots_figure, room_for
from aeclust.show.palette import colour, marker


@pytest.mark.parametrize(
    ("sizes", "count"),
    [
        ([2] * 100, 30),  # three beside one another in ten rows
        ([4] * 100, 10),  # the next does not fit beside one
        ([MOST + 1, 2], 1),  # one at least
        ([ACROSS + 2, 4, 5, 2], 4),
        ([], 0),
    ],
)
def test_as_many_lots_are_shown_as_have_room(sizes: list[int], count: int) -> None:
    assert room_for(sizes) == count


def test_each_picture_stands_in_a_place_of_its_own() -> None:
    picture = np.zeros((4, 4, 1))
    lots = [Lot([picture] * n, ["a"] * n, ["b"] * n, "lot") for n in (1, 3, 8, 2)]
    (axes,) = lots_figure(lots, title="all").axes
    places = {tuple(np.round(image.get_extent(), 2)) for image in axes.images}
    assert len(axes.images) == len(places) == 14
    rows = sorted({extent[3] for extent in places})
    assert len(rows) == 3
    assert [text.get_text() for text in axes.texts].count("lot") == 4


def test_the_mark_of_its_cluster_stands_before_what_is_said_of_a_picture() -> None:
    picture, long = np.zeros((4, 4, 1)), "a name that is far too long, 1.23"
    lot = Lot([picture] * 2, ["a", "b"], ["0.5, cluster 3", long], clusters=[3, -1])
    figure = lots_figure([lot], title="all")
    (axes,) = figure.axes
    looks = [(line.get_color(), line.get_marker()) for line in axes.lines]
    assert looks == [(colour(3), marker(3)), (colour(-1), ".")]
    figure.draw_without_rendering()
    for line, said in zip(axes.lines, axes.texts[1::2], strict=True):
        box = said.get_window_extent().transformed(axes.transData.inverted())
        ((x, y),) = np.asarray(line.get_xydata()).tolist()
        assert 0 < box.x0 - x < 0.1
        assert min(box.y0, box.y1) < y < max(box.y0, box.y1)
