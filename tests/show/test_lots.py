"""How lots of pictures share the rows of a sheet."""

from __future__ import annotations

import numpy as np
import pytest

from aeclust.show.lots import ACROSS, MOST, Lot, lots_figure, room_for


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
