"""Training within some minutes: how long it takes here is measured, then its recipe is chosen."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError
from aeclust.recipe import Recipe
from aeclust.recipe.budget import LADDER, Pace, Plan, affordable
from aeclust.run.progress import duration

if TYPE_CHECKING:
    from torch import Tensor

    from aeclust.network.parallel import Team

# What measuring may take: a share of all, and no more than so many seconds.
_MEASURING, _LONGEST = 0.05, 20.0
_SPENT = 0.96  # of what is left: the rest is for steps that take longer, and to write files
_FEATURES = 64  # images that a frozen encoder is timed with


@dataclass(frozen=True)
class Budget:
    """The minutes that training may take in all, from when this was made.

    Attributes
    ----------
    minutes : float
    stated : collection of str
        Fields of the recipe that stay as they are.
    keep : callable
        Gives the epochs of a recipe that keep a checkpoint; None for the usual ones.
    began : float
        By :func:`time.monotonic`.
    """

    minutes: float
    stated: Collection[str] = ()
    keep: Callable[[Recipe], tuple[int, ...] | None] = lambda recipe: None
    began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        number = isinstance(self.minutes, int | float) and not isinstance(self.minutes, bool)
        if not (number and 0 < self.minutes < math.inf):
            what, expected = f"minutes is {self.minutes!r}", "a number above 0"
            raise InputError(what, expected=expected, mend="change `minutes`")

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.minutes - (time.monotonic() - self.began)

    def planned(
        self,
        pixels: NDArray[Any],
        recipe: Recipe,
        *,
        seed: int,
        team: Team,
        see: Callable[[Tensor], Tensor] | None = None,
        sized: bool = False,
        log: Callable[[str], None],
    ) -> Recipe:
        """The recipe for these minutes, the same in all processes of a team; it is logged.

        Parameters
        ----------
        pixels, recipe, seed, team
            As :func:`~aeclust.network.training.train` takes them.
        see : callable, optional
            The frozen encoder of the recipe, whose time for the features counts, too.
        sized : bool
            Choose epochs alone: there are weights to begin with.
        log : callable
            Takes a line.

        Raises
        ------
        InputError
            If they are too few for anything.
        """
        from aeclust.network.inference import encode_frozen
        from aeclust.network.pace import Paces

        features, encoding = None, 0.0
        if see is not None:
            started, some = time.monotonic(), pixels[:_FEATURES]
            made = encode_frozen(see, some, recipe.image_size, team=team)
            encoding = (time.monotonic() - started) / len(some) * len(pixels)
            features = np.resize(made, (len(pixels), made.shape[1]))
        seconds = min(_LONGEST, _MEASURING * 60 * self.minutes)
        paces = Paces(pixels, seed=seed, seconds=seconds, features=features, team=team)

        def left() -> float:
            # the leader's clock decides for all
            return _SPENT * team.broadcast(self.left - encoding)

        sizes = {name for rung in LADDER for name in rung.fields} if sized else set()
        stated = {*self.stated, *sizes}
        plan = affordable(recipe, len(pixels), left, paces, stated=stated)
        log(described(plan, self.minutes, len(pixels)))
        return plan.recipe


def described(plan: Plan, minutes: float, n: int) -> str:
    """What was measured and chosen, in a line."""
    recipe, pace = plan.recipe, plan.pace
    second = recipe.total_epochs - recipe.epochs
    parts = f"{recipe.epochs} + {second}" if second else f"{recipe.epochs}"
    return (
        f"{minutes:g} minute{'s' * (minutes != 1)}: {parts} epoch{'s' * (parts != '1')} with"
        f" channels {','.join(map(str, recipe.channels))}"
        + f" and {recipe.extra_layers} more layers a stage" * bool(recipe.extra_layers)
        + f" take {duration(plan.seconds)}"
        + ", and more would gain nothing" * plan.capped
        + f" ({_milliseconds(pace)} for a step of {min(n, recipe.batch_of(n))} images)"
    )


def _milliseconds(pace: Pace) -> str:
    first, second = (f"{t:,.0f}" if t >= 10 else f"{t:.2g}" for t in (1e3 * pace[0], 1e3 * pace[1]))
    return f"{first} ms" + f", then {second} ms," * bool(pace.second)
