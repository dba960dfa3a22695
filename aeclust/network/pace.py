"""How long training takes on this device, found out by a few steps of it."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import DeviceMemoryError
from aeclust.network import feed, inference
from aeclust.network.model import build, load_state
from aeclust.network.parallel import ALONE, Team
from aeclust.network.selflabel import soft_targets
from aeclust.network.training import Moment, Snapshot, train
from aeclust.recipe import Recipe
from aeclust.recipe.budget import Pace

# Steps that measure nothing: what is compiled, captured or set up, and a GPU that is not warm yet.
_WARM_CPU, _WARM = 1, 30
_SOME = 2**14  # images that are enough where they need not be read
_EMBEDDED = 512  # images
_CLUSTERED = 1000  # latents, and at least so many of each cluster
_OF_EACH = 10
_MOST_CLUSTERED = 10_000  # members of a consensus see no more
_ENDLESS = 10_000  # epochs


class Paces:
    """Measures what :func:`aeclust.recipe.budget.affordable` asks for; a recipe's network once.

    Parameters
    ----------
    pixels, seed, features, team
        As :func:`~aeclust.network.training.train` takes them; the team says the device.
    seconds : float
        About how long the first recipe may take; others take half of it.
    """

    def __init__(
        self,
        pixels: NDArray[Any],
        *,
        seed: int,
        seconds: float,
        features: NDArray[np.float32] | None = None,
        team: Team = ALONE,
    ) -> None:
        self.n, self.seed, self.team, self.seconds = len(pixels), seed, team, seconds
        # where all would lie on the device, so may some of them, which are sooner there
        some = _SOME if 0 < feed.size_of(pixels) <= feed.room(team.device) else self.n
        self.pixels, self.features = pixels[:some], features
        if features is not None:
            self.features = features[:some]
        self._known: dict[Recipe, Pace] = {}
        self._clustering: float | None = None

    def __call__(self, recipe: Recipe) -> Pace:
        """The pace of a recipe, the same in all processes of a team."""
        labels = recipe.total_epochs > recipe.epochs
        recipe = dataclasses.replace(recipe, epochs=_ENDLESS, label_epochs=int(labels))
        if recipe not in self._known:
            share = 0.3 if not self._known else 0.15
            self._known[recipe] = self._measured(recipe, share * self.seconds)
        return self._known[recipe]

    def _measured(self, recipe: Recipe, seconds: float) -> Pace:
        try:
            return self._found(recipe, seconds)
        except DeviceMemoryError:
            if self.team.size > 1:  # the others would wait
                raise
            return Pace(math.inf)  # no time is enough

    def _found(self, recipe: Recipe, seconds: float) -> Pace:
        first, state = self._timed(recipe, seconds)
        if recipe.total_epochs == recipe.epochs:
            return self.team.broadcast(Pace(first))
        targets = np.full((len(self.pixels), recipe.k), 1 / recipe.k, np.float32)
        begun = dataclasses.replace(state, epoch=2, step=0, targets=targets)
        later = dataclasses.replace(recipe, epochs=1, label_epochs=_ENDLESS)
        second, state = self._timed(later, seconds, begun)
        return self.team.broadcast(Pace(first, second, self._between(recipe, state)))

    def _timed(
        self, recipe: Recipe, seconds: float, resume: Snapshot | None = None
    ) -> tuple[float, Snapshot]:
        """Seconds of a step, and the state after the last."""
        clock = _Clock(self.team, seconds)
        try:
            train(
                self.pixels,
                recipe,
                seed=self.seed,
                device=self.team.device,
                resume=resume,
                features=self.features,
                team=self.team,
                observe=clock,
            )
        except _Enough as enough:
            return enough.pace, enough.state
        raise AssertionError("training is endless")

    def _between(self, recipe: Recipe, state: Snapshot) -> float:
        """Seconds of embedding all images and clustering them."""
        n, k = self.n, recipe.k
        network = build(recipe, self.pixels.shape[3], seed=self.seed).to(self.team.device)
        load_state(network, state.weights)
        sample = self.pixels[: max(_CLUSTERED, _OF_EACH * k)]
        latents = inference.embed(network, sample, team=self.team)  # and warms up
        started = time.perf_counter()
        inference.embed(network, sample[:_EMBEDDED], team=self.team)
        embedding = (time.perf_counter() - started) * n / min(len(sample), _EMBEDDED)
        if self._clustering is None and self.team.leads:
            started = time.perf_counter()
            soft_targets(latents, recipe, seed=self.seed)
            # a rule of thumb: as the number of points up to the sample, and slowly beyond
            points = min(n, _MOST_CLUSTERED) + n / 100
            self._clustering = (time.perf_counter() - started) * points / len(latents)
        return embedding + (self._clustering or 0.0)


class _Enough(Exception):  # noqa: N818 - no error
    """Ends a training that was only to be timed."""

    def __init__(self, pace: float, state: Snapshot) -> None:
        super().__init__()
        self.pace, self.state = pace, state


class _Clock:
    """Watches training for some seconds.

    Reading a loss waits for a device that works behind the program, which costs time: so it is read
    after 1, 2, 4, 8 ... steps there. The later half of the steps counts, since in the earlier one
    steps may be recorded.
    """

    def __init__(self, team: Team, seconds: float) -> None:
        self.team, self.seconds = team, seconds
        self.behind = team.device.type != "cpu"
        self.steps = -(_WARM if self.behind else _WARM_CPU)
        self.began = self.half = 0.0

    def __call__(self, moment: Moment) -> None:
        if not moment.images:  # before the first step
            return
        self.steps += 1
        if self.steps < 0 or (self.behind and self.steps & (self.steps - 1)):
            return
        float(moment.loss)
        now = time.perf_counter()
        if self.steps == 0:
            self.began = now
        elif self.team.maximum(int(now - self.began >= self.seconds)):
            since, steps = (
                (self.half, (self.steps + 1) // 2) if self.behind else (self.began, self.steps)
            )
            raise _Enough((now - since) / steps, moment.snapshot())
        self.half = now
