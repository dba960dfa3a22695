"""The time left, and the lines of those who see no bar."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import within

from aeclust.network.training import Moment, Snapshot
from aeclust.run.progress import Lines, Pace, Tracker, duration

STEPS = 10


def moment(epoch: int, step: int, *, images: int = 8, loss: float = 0.5) -> Moment:
    metrics = {"loss": loss + 1} if images and not step else {}
    empty = Snapshot({}, {}, 0, 0, ())
    return Moment(epoch, step, STEPS, images, metrics, lambda: empty, torch.tensor([loss]))


# -- pace --------------------------------------------------------------------------------------


def test_a_pace_by_hand() -> None:
    pace = Pace()
    assert (pace.speed, pace.left(10)) == (0.0, None)
    pace.reach(100, 5.0)  # what was done before nobody saw
    assert (pace.speed, pace.left(10)) == (0.0, None)
    pace.reach(104, 7.0)
    assert (pace.speed, pace.left(10)) == (2.0, 5.0)
    pace.reach(104 + 60 * 8, 67.0)  # a minute at 8 a second; e is what a minute leaves
    old, new = 2 / math.e, 60.0
    assert pace.speed == pytest.approx((2 * old + 8 * new) / (old + new))


def test_a_pause_is_no_part_of_a_pace() -> None:
    pace = Pace()
    for second in range(10):
        pace.reach(3 * second, float(second))
    pace.pause()
    pace.reach(27, 10_000.0)
    pace.reach(30, 10_001.0)
    assert pace.speed == pytest.approx(3.0)


@given(st.floats(0.01, 1e4), st.lists(st.floats(0.001, 500), min_size=2, max_size=30))
def test_an_even_pace_is_found_whatever_the_steps(speed: float, steps: list[float]) -> None:
    pace, now = Pace(), 0.0
    pace.reach(0.0, now)
    for seconds in steps:
        now += seconds
        pace.reach(speed * now, now)
    assert pace.speed == pytest.approx(speed, rel=1e-6)


# -- time left ---------------------------------------------------------------------------------


def a_run(pause: float) -> Iterator[tuple[float, float]]:
    """Time left, as said and as it was, after each step of a run of two phases.

    Nine epochs of ten steps of 2.0 and 2.2 s, the first of 20 s; after six epochs the clusters are
    looked for.
    """
    clock, epochs = [100.0], 9
    tracker = Tracker(epochs, clock=lambda: clock[0])
    takes = [2.0 if i % 2 else 2.2 for i in range(epochs * STEPS)]
    takes[0] = 20.0
    tracker.observe(moment(0, 0, images=0, loss=float("nan")))
    for i, seconds in enumerate(takes):
        clock[0] += seconds
        state = tracker.observe(moment(*divmod(i + 1, STEPS)))
        assert (state.done, state.total) == (i + 1, epochs * STEPS)
        if state.left is not None:
            yield state.left, sum(takes[i + 1 :])
        if i + 1 == 6 * STEPS:
            state = tracker.progress("looking for 2 clusters to learn", 0, 0)
            assert (state.line, state.left) == ("looking for 2 clusters to learn ...", None)
            clock[0] += pause


@pytest.mark.parametrize("pause", [0.0, 30.0, 3000.0])
def test_the_time_left_is_that_of_both_phases_and_does_not_jump(pause: float) -> None:
    said, true = zip(*a_run(pause), strict=True)
    assert len(said) == 9 * STEPS - 1
    assert said[-1] == 0.0
    assert list(said) == pytest.approx(true, rel=0.05, abs=0.2)
    # from one step to the next it falls by about a step, which is 2.1 s in the mean
    falls = [before - after for before, after in pairwise(said[10:])]
    assert falls == pytest.approx([2.1] * len(falls), abs=2.1)


def test_a_resumed_run_counts_from_where_it_stands() -> None:
    ticks = iter([50.0, 52.0])
    tracker = Tracker(9, clock=lambda: next(ticks))
    assert tracker.observe(moment(4, 1)).left is None
    assert tracker.observe(moment(4, 2)).left == 2.0 * 48


def test_other_work_has_a_pace_of_its_own() -> None:
    ticks = iter([0.0, 10.0, 20.0, 21.0, 31.0])
    tracker = Tracker(0, clock=lambda: next(ticks))
    states = [
        tracker.progress(*each)
        for each in (
            ("embed", 0, 4000),
            ("embed", 1000, 4000),
            ("export", 0, 30),
            ("export", 1, 30),
            ("embed", 0, 9),  # anew
        )
    ]
    assert [state.left for state in states] == [None, 30.0, None, 29.0, None]
    assert states[1].line == "embed  1,000 of 4,000"
    assert not states[1].ended
    assert tracker_ended()


def tracker_ended() -> bool:
    return Tracker(0).progress("embed", 9, 9).ended


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "5 s"), (5, "5 s"), (5.1, "10 s"), (55, "55 s"), (55.1, "1 min"), (60, "1 min")),
        *((61, "2 min"), (3540, "59 min"), (3541, "1 h 0 min"), (86400, "24 h 0 min")),
    ],
)
def test_durations_by_hand(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# -- lines -------------------------------------------------------------------------------------


def without_speed(lines: list[str]) -> list[str]:
    return [line.split("  ")[0] + "  " + line.split("  ")[1] for line in lines]


def test_a_line_after_each_epoch_and_none_within() -> None:
    lines: list[str] = []
    teller = Lines(lines.append, epochs=2)
    teller.observe(moment(0, 0, images=0, loss=float("nan")))
    for epoch, step in ((0, 5), (1, 0), (1, 9), (2, 0)):
        teller.observe(moment(epoch, step))
    teller.close()
    # the mean over the epoch, not the last batch's
    assert without_speed(lines) == ["epoch 1/2  loss 1.5000", "epoch 2/2  loss 1.5000"]
    assert lines[0].endswith("  5 s left")
    assert lines[1].endswith(" images/s")


def spoken(lines: list[str], count: int) -> list[str]:
    """The first lines, once there are so many."""
    with within(20):
        while len(lines) < count:
            time.sleep(0.005)
    return lines[:count]


@pytest.mark.parametrize(
    ("what", "line"),
    [
        (("t-SNE of 9 latents", 0, 0), "t-SNE of 9 latents ..."),
        (("embed", 3, 7), "embed  3 of 7"),
    ],
)
def test_silence_is_broken_while_a_library_works(what: tuple[str, int, int], line: str) -> None:
    lines: list[str] = []
    teller = Lines(lines.append, silence=0.02)
    teller.progress(*what)
    assert spoken(lines, 2) == [line, line]
    teller.close()
    said = len(lines)
    time.sleep(0.1)
    assert len(lines) == said


def test_a_long_epoch_breaks_its_silence_by_its_steps() -> None:
    lines: list[str] = []
    teller = Lines(lines.append, epochs=3, silence=0.02)
    teller.observe(moment(1, 4))
    assert spoken(lines, 1) == ["epoch 2/3  step 4/10  loss 0.5000"]
    teller.close()


def test_a_line_of_another_kind_is_a_sign_of_life_too() -> None:
    lines: list[str] = []
    teller = Lines(lines.append, silence=0.3)
    teller.progress("embed", 3, 7)
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        teller.log("a line")
        time.sleep(0.01)
    teller.close()
    assert set(lines) == {"a line"}


def test_nothing_is_said_of_work_that_is_done() -> None:
    lines: list[str] = []
    teller = Lines(lines.append, silence=0.01)
    teller.progress("embed", 7, 7)
    time.sleep(0.1)
    teller.close()
    assert lines == []


def test_who_wants_no_lines_has_no_thread() -> None:
    before = threading.active_count()
    teller = Lines(None, epochs=1)
    teller.progress("embed", 3, 7)
    teller.observe(moment(1, 0))
    teller.log("a line")
    assert threading.active_count() == before
    teller.close()
