"""Which epochs of a run are kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import tiny

from aeclust.recipe import named
from aeclust.run.checkpoints import Keep, checkpoint_epochs, kept_by, parse_keep


def kept(name: str = "baseline", **changes: object) -> list[int]:
    return checkpoint_epochs(tiny(name, **changes))


@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (1, [0, 1]),
        (2, [0, 1, 2]),
        (9, list(range(10))),
        (11, list(range(12))),
        (12, [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 12]),
        (100, [0, 9, 18, 27, 36, 45, 55, 64, 73, 82, 91, 100]),
    ],
)
def test_checkpoint_epochs_by_hand(epochs: int, expected: list[int]) -> None:
    assert kept(epochs=epochs) == expected


@pytest.mark.parametrize(
    ("epochs", "label_epochs", "k", "expected"),
    [
        (12, 4, 2, [0, 1, 3, 4, 6, 7, 9, 10, 12, 13, 15, 16]),
        (10, 3, 2, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]),
        (10, 3, "auto", list(range(11))),
        (1, 1, 2, [0, 1, 2]),
        (100, 10, 9, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 110]),
        (99, 11, 9, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 100, 110]),
    ],
)
def test_the_end_of_the_first_phase_is_a_checkpoint(
    epochs: int, label_epochs: int, k: int | str, expected: list[int]
) -> None:
    assert kept("hybrid", epochs=epochs, label_epochs=label_epochs, k=k) == expected


@pytest.mark.parametrize(
    ("name", "keep", "expected"),
    [
        ("baseline", "last", [100]),
        ("baseline", 1, [100]),
        ("baseline", 2, [0, 100]),
        ("baseline", 3, [0, 50, 100]),
        ("baseline", "all", list(range(101))),
        ("baseline", 1000, list(range(101))),
        ("hybrid", "last", [14, 18]),
        ("hybrid", 2, [0, 14, 18]),
        ("hybrid", 4, [0, 6, 12, 14, 18]),
    ],
)
def test_as_many_as_somebody_wants(name: str, keep: Keep, expected: list[int]) -> None:
    assert checkpoint_epochs(named(name), keep) == expected


@settings(deadline=None)
@given(st.integers(1, 900), st.integers(0, 90), st.one_of(st.integers(1, 1000), st.just("last")))
def test_what_was_asked_for_is_known_from_what_is_kept(
    epochs: int, label_epochs: int, keep: Keep
) -> None:
    recipe = tiny("hybrid", epochs=epochs, label_epochs=label_epochs)
    kept = checkpoint_epochs(recipe, keep)
    assert checkpoint_epochs(recipe, parse_keep(kept_by(recipe, kept))) == kept


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 5000), st.sampled_from(["auto", 2, 10]))
def test_checkpoints_of_two_phases_are_those_of_one_and_the_boundary(
    epochs: int, label_epochs: int, k: int | str
) -> None:
    total = epochs + (0 if k == "auto" else label_epochs)
    both = kept("hybrid", epochs=epochs, label_epochs=label_epochs, k=k)
    assert both == sorted({*kept(epochs=total), epochs})


@settings(deadline=None)
@given(st.integers(1, 5000))
def test_checkpoints_span_the_run_evenly(epochs: int) -> None:
    chosen = kept(epochs=epochs)
    gaps = np.diff(chosen)
    assert (chosen[0], chosen[-1]) == (0, epochs)
    assert gaps.min() >= 1
    assert gaps.max() - gaps.min() <= 1
    assert len(chosen) == min(epochs + 1, 12)
    assert len(chosen) >= 10 or epochs < 9
