"""What to train in a given time: the network's size, its crops and the epochs, by a table."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aeclust.errors import AeclustError, DeviceMemoryError, InputError
from aeclust.recipe.bounds import AUTO_K
from aeclust.recipe.fields import Recipe


class Pace(NamedTuple):
    """How long training takes on a device: seconds.

    Attributes
    ----------
    first, second : float
        A step of either phase; a recipe of one phase has no second. A first one of infinity has no
        room in the memory of the device.
    between : float
        The look for clusters between the phases.
    """

    first: float
    second: float = 0.0
    between: float = 0.0


class Rung(NamedTuple):
    """A size of network and views, and the steps in all that it needs to be worth its cost."""

    fields: Mapping[str, object]
    least: int


# Of recipes with a residual network and a contrastive term, from cheap to dear; `{}` is the recipe
# as it stands. docs/performance.md says what was measured: no accuracy of the last three.
LADDER = (
    Rung({"channels": (32, 64, 128)}, 0),
    Rung({}, 300),
    Rung({"channels": (128, 256, 512)}, 3_000),
    Rung({"channels": (128, 256, 512), "extra_layers": 1}, 12_000),
    Rung({"channels": (192, 384, 768), "extra_layers": 1}, 20_000),
)
MOST = 1000  # epochs: nobody has seen a gain beyond


@dataclass(frozen=True)
class Plan:
    """What fits into a time.

    Attributes
    ----------
    recipe : Recipe
    pace : Pace
        That it was chosen by.
    seconds : float
        That it takes.
    capped : bool
        Whether there is time for more epochs, which would gain nothing.
    """

    recipe: Recipe
    pace: Pace
    seconds: float
    capped: bool


def affordable(
    recipe: Recipe,
    n: int,
    left: Callable[[], float],
    pace: Callable[[Recipe], Pace],
    *,
    stated: Collection[str] = (),
) -> Plan:
    """The dearest rung of the ladder that has its least number of steps, filled with epochs.

    It begins with the recipe as it stands. A rung is looked at only if it could fit, because to
    learn its pace takes time. Both phases share the epochs as they do in the recipe.

    A recipe that has no ladder gets no more epochs than its own: more of them gave nothing.

    Parameters
    ----------
    recipe : Recipe
    n : int
        Images.
    left : callable
        Gives the seconds that training may take from now on.
    pace : callable
        Gives the pace of a recipe, whatever its epochs.
    stated : collection of str
        Fields that stay as they are in `recipe`; with ``label_epochs`` the first phase gets the
        rest of the epochs.

    Raises
    ------
    InputError
        If not even the least training of the cheapest rung fits.
    DeviceMemoryError
        If none has room.
    """
    fixed = "label_epochs" in stated and recipe.k != AUTO_K
    rungs, at = ladder(recipe, stated)

    def filled(i: int) -> Plan | None:
        known = pace(rungs[i][0])
        return _filled(rungs[i][0], n, left(), known, fixed=fixed)

    def enough(plan: Plan | None, i: int) -> bool:
        return plan is not None and steps_of(plan.recipe, n) >= rungs[i][1]

    plan = filled(at)
    while at and not enough(plan, at):
        at -= 1
        plan = filled(at)
    if plan is None:
        raise _unaffordable(rungs[at][0], n, left(), pace(rungs[at][0]), fixed=fixed)
    while at + 1 < len(rungs) and left() / plan.pace.first >= rungs[at + 1][1]:
        dearer = filled(at + 1)
        if dearer is None or not enough(dearer, at + 1):
            break
        at, plan = at + 1, dearer
    return filled(at) or plan  # to learn paces took time


def ladder(recipe: Recipe, stated: Collection[str] = ()) -> tuple[list[tuple[Recipe, int]], int]:
    """The rungs of a recipe with their least steps, and which of them is the recipe as it is.

    A rung that contradicts what is stated is none.
    """
    if not recipe.contrast or recipe.network != "residual":
        return [(recipe, 0)], 0
    rungs = [
        (recipe.override(rung.fields), rung.least)
        for rung in LADDER
        if all(n not in stated or getattr(recipe, n) == v for n, v in rung.fields.items())
    ]
    own = next(i for i, (rung, _) in enumerate(rungs) if rung == recipe)
    return rungs, own


def steps_of(recipe: Recipe, n: int) -> int:
    """Steps of a whole training on n images, at most."""
    return recipe.total_epochs * -(-n // recipe.batch_of(n))


def seconds_of(recipe: Recipe, n: int, pace: Pace) -> float:
    """Seconds of a whole training on n images.

    >>> from aeclust.recipe import named
    >>> seconds_of(named("hybrid"), 10_000, Pace(first=0.2, second=0.3, between=5.0))
    165.0
    """
    steps, second = -(-n // recipe.batch_of(n)), recipe.total_epochs - recipe.epochs
    time = steps * recipe.epochs * pace.first
    return time + (steps * second * pace.second + pace.between if second else 0.0)


def _filled(recipe: Recipe, n: int, seconds: float, pace: Pace, *, fixed: bool) -> Plan | None:
    """The recipe with as many epochs as fit; None if its least does not."""
    least = 1 + (recipe.label_epochs if fixed else 0)
    most = max(least, MOST if recipe.contrast else recipe.epochs)

    def time(total: int) -> float:
        return seconds_of(recipe.lasting(total, fixed=fixed), n, pace)

    total = least - 1 + bisect_right(range(least, most + 1), seconds, key=time)
    if total < least:
        return None
    return Plan(recipe.lasting(total, fixed=fixed), pace, time(total), total == most)


def _unaffordable(recipe: Recipe, n: int, left: float, pace: Pace, *, fixed: bool) -> AeclustError:
    """Why not even the cheapest rung fits: the memory, or the time."""
    if pace.first == math.inf:
        return DeviceMemoryError(
            "not even the smallest network fits into the memory of the GPU",
            where="`device`",
            expected="room for it and a batch of images",
            mend="lower `batch_size`, end what else uses the GPU, or use `device` cpu",
        )
    least = 1 + (recipe.label_epochs if fixed else 0)
    needed = seconds_of(recipe.lasting(least, fixed=fixed), n, pace)
    epochs = "one epoch takes" if least == 1 else f"{least} epochs take"
    return InputError(
        f"too little time: {epochs} {needed:,.1f} s with {n:,} images here, and"
        f" {max(0.0, left):,.1f} s are left for training",
        where="`minutes`",
        expected=f"at least {(needed - left) / 60:.2g} minutes more",
        mend="raise it, or train on fewer images",
    )
