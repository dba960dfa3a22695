"""The loss curve of characters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeclust.cli.chart import LossCurve

BLANK = 0x2800
MASKS = [[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]]


def curve(points: list[tuple[float, float]], end: float, phase: float) -> LossCurve:
    made = LossCurve(end, phase)
    for position, loss in points:
        made.add(position, loss)
    return made


def dots(lines: list[str]) -> set[tuple[int, int]]:
    """The (x, y) of every dot of the curve, y down."""
    found = set()
    for row, line in enumerate(lines[:-1]):
        for column, character in enumerate(line[9:]):
            cell = ord(character) - BLANK
            if 0 < cell < 256:
                found |= {
                    (2 * column + x, 4 * row + y)
                    for y in range(4)
                    for x in range(2)
                    if cell & MASKS[y][x]
                }
    return found


def test_a_straight_fall_is_a_diagonal() -> None:
    # 16 places, 8 rows of dots
    steps = [((i + 1) / 2, 15.0 - i) for i in range(16)]
    lines = curve(steps, 8, 8).lines(17, 2)
    assert lines == [
        "     15 ┤⠉⠒⠤⣀    ",
        "      0 ┤    ⠉⠒⠤⣀",
        "  epoch  0      8",
    ]
    assert dots(lines) == {(x, round(x * 7 / 15)) for x in range(16)}


def test_the_second_phase_stands_behind_a_line_of_its_own() -> None:
    points = [(i / 4, 1.0) for i in range(1, 41)] + [(10 + i / 4, 3.0) for i in range(1, 41)]
    lines = curve(points, 20, 10).lines(49, 3)
    assert [line[9 + 20] for line in lines[:2]] == [lines[0][29], "┊"]
    left = {y for x, y in dots(lines) if x < 40}
    right = {y for x, y in dots(lines) if x >= 40}
    assert (left, right) == ({11}, {0})  # and nothing that joins them
    assert lines[-1].split() == ["epoch", "0", "10", "20"]
    assert lines[-1].index("10") == 9 + 20
    assert lines[0].split()[0] == "3"
    assert lines[2].split()[0] == "1"


def test_one_phase_has_no_border() -> None:
    lines = curve([(1, 2.0), (2, 1.0)], 2, 2).lines(40, 4)
    assert "┊" not in "".join(lines)
    assert lines[-1].split() == ["epoch", "0", "2"]


def test_what_is_ahead_is_left_empty() -> None:
    lines = curve([(i / 10, 5.0 - i) for i in range(1, 6)], 10, 10).lines(109, 4)
    assert max(x for x, _ in dots(lines)) < 2 * 100 * 0.06


def test_many_steps_at_one_place_are_their_mean() -> None:
    noisy = [(1e-6, 0.0), (1e-6, 4.0), (2, 2.0)]
    assert curve(noisy, 2, 2).lines(30, 3) == curve([(1e-6, 2.0), (2, 2.0)], 2, 2).lines(30, 3)


@pytest.mark.parametrize(
    ("points", "columns"), [([], 60), ([(1, 2.0)], 60), ([(1, 2.0), (2, 1.0)], 10)]
)
def test_nothing_is_drawn_of_nothing_or_without_room(
    points: list[tuple[float, float]], columns: int
) -> None:
    assert curve(points, 2, 2).lines(columns, 5) == []


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(-1e9, 1e9)), min_size=2, max_size=50),
    st.integers(1, 9),
    st.integers(11, 140),
    st.integers(1, 8),
)
def test_any_losses_fit_into_the_room_there_is(
    points: list[tuple[float, float]], phase: int, columns: int, rows: int
) -> None:
    lines = curve(points, 9, phase).lines(columns, rows)
    if lines:
        assert len(lines) == rows + 1
        assert {len(line) for line in lines[:-1]} == {columns}
        assert len(lines[-1]) <= columns
        assert dots(lines)
