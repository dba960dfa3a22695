"""What fits into a time, by paces that are made up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import refused

from aeclust.errors import InputError
from aeclust.recipe import RECIPES, Recipe, named
from aeclust.recipe.budget import LADDER, Pace, Plan, affordable, ladder, seconds_of, steps_of

HYBRID = named("hybrid").override({"k": 10})
N = 10_000  # 40 steps an epoch


def by_width(recipe: Recipe) -> Pace:
    """A tenth of a second a step at the usual width, four times that at twice of it."""
    first = 0.1 * (recipe.channels[0] / 64) ** 2 * (1 + recipe.extra_layers)
    return Pace(first, 1.5 * first, 10.0)


def plan(seconds: float, recipe: Recipe = HYBRID, **more: object) -> Plan:
    return affordable(recipe, N, lambda: seconds, by_width, **more)  # type: ignore[arg-type]


def test_epochs_fill_the_time() -> None:
    # 14 + 4 epochs: 40 (14 * .1 + 4 * .15) + 10 = 90 s; another epoch of the first phase takes 4
    assert plan(90).recipe == plan(93.9).recipe == HYBRID
    assert plan(94).recipe == HYBRID.override({"epochs": 15})
    assert plan(93.9).seconds == pytest.approx(90)
    assert plan(90).pace == by_width(HYBRID)


def test_recipes_without_a_ladder_get_epochs_alone_and_no_more_than_their_own() -> None:
    baseline = RECIPES["baseline"]  # 157 steps of 64 images an epoch, 15.7 s
    assert plan(160, baseline).recipe == baseline.lasting(10)
    assert plan(1e5, baseline).recipe == baseline
    assert plan(1e5, baseline).capped


def test_too_little_time_says_what_is_missing() -> None:
    # an epoch of the narrowest network takes one second
    with refused(where="`minutes`", expected="at least 0.0083 minutes more"):
        plan(0.5)
    with refused(expected="at least 0.0083 minutes more"):  # 4 + 10 + 4 * 6 s
        plan(37.5, stated=("label_epochs", "channels"))
    assert plan(38.0, stated=("label_epochs", "channels")).recipe == HYBRID.override({"epochs": 1})


def test_self_labelling_needs_a_number_of_clusters_here_too() -> None:
    left_open = HYBRID.override({"k": "auto"})
    assert plan(40, left_open, stated=("channels",)).recipe.epochs == 10


@settings(max_examples=20, deadline=None)
@given(
    seconds=st.floats(5, 1e5),
    more=st.floats(1, 10),
    stated=st.sampled_from([(), ("channels",), ("label_epochs",), ("extra_layers",)]),
    fields=st.sampled_from([{}, {"crops": 2}, {"channels": (32, 64, 128)}]),
)
def test_more_time_is_never_less_training_and_never_exceeded(
    seconds: float, more: float, stated: tuple[str, ...], fields: dict[str, object]
) -> None:
    stated = (*stated, *fields)
    recipe = HYBRID.override(fields)
    try:
        one = plan(seconds, recipe, stated=stated)
    except InputError:
        assert seconds < 60
        return
    two = plan(seconds * more, recipe, stated=stated)
    for each, time in ((one, seconds), (two, seconds * more)):
        assert seconds_of(each.recipe, N, by_width(each.recipe)) <= time + 1e-6
        assert all(getattr(each.recipe, name) == getattr(recipe, name) for name in stated)
    rungs, _ = ladder(recipe, stated)
    at = [
        next(i for i, (rung, _) in enumerate(rungs) if rung == like(recipe, each))
        for each in (one, two)
    ]
    assert at[0] <= at[1]
    if at[0] == at[1]:
        assert one.recipe.total_epochs <= two.recipe.total_epochs
    if at[1] > 0:
        assert steps_of(two.recipe, N) >= rungs[at[1]][1]


def like(recipe: Recipe, plan: Plan) -> Recipe:
    """The recipe of a plan with epochs as they were."""
    epochs = {"epochs": recipe.epochs, "label_epochs": recipe.label_epochs}
    return plan.recipe.override(epochs)


def test_the_ladder_goes_up() -> None:
    assert [rung.least for rung in LADDER] == sorted(rung.least for rung in LADDER)
    rungs, own = ladder(HYBRID)
    assert rungs[own][0] == HYBRID
    assert len({rung for rung, _ in rungs}) == len(LADDER)
