"""Training: one loop, observed from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aeclust.clusters.known import Known
from aeclust.errors import DivergedError, InputError, at
from aeclust.network.batches import as_input, epoch_batches, reseeded, shrunk
from aeclust.network.feed import Feed
from aeclust.network.isolation import isolated
from aeclust.network.losses import TERMS, objective
from aeclust.network.model import Autoencoder, build, load_state, state_arrays
from aeclust.network.optimizers import (
    Muon,
    Optimizer,
    build_optimizer,
    load_optimizer,
    optimizer_arrays,
    set_rate,
)
from aeclust.network.parallel import ALONE, Team
from aeclust.network.replay import Replayed
from aeclust.network.selflabel import self_label
from aeclust.network.views import decoded_of, shown
from aeclust.recipe import Recipe

# The losses of a GPU are read after so many seconds, if nothing else asks for them, and after so
# many steps on MPS, which keeps all that steps under way need.
_UNREAD, _READ_EVERY = 1.0, {"cuda": 10**9, "mps": 8}
# Peak learning rate of self-labelling, as a share of the first phase's.
_LABEL_RATE = 1 / 3


@dataclass(frozen=True)
class Snapshot:
    """All that training needs to go on as if it had never stopped.

    Attributes
    ----------
    weights : dict of str to ndarray
        The network's state dict.
    optimizer : dict of str to ndarray
        Its state by ``<parameter number>/<name>``.
    epoch, step : int
        Epochs finished, and steps finished in the epoch under way.
    totals : tuple of float
        Sums over the images of the epoch under way, in the order of
        :data:`~aeclust.network.losses.TERMS`.
    targets : ndarray of shape (n, k) or None
        What self-labelling learns, float32; None before it begins.
    device : str
        The kind of device that it is of: each draws other numbers of a seed.
    """

    weights: dict[str, NDArray[Any]]
    optimizer: dict[str, NDArray[Any]]
    epoch: int
    step: int
    totals: tuple[float, ...]
    targets: NDArray[np.float32] | None = None
    device: str = "cpu"


@dataclass(frozen=True)
class Moment:
    """What an observer gets after every step, and once before the first.

    Attributes
    ----------
    epoch, step, steps : int
        Epochs finished; steps finished in the epoch under way and their number in an epoch. At the
        end of an epoch ``step`` is 0.
    images : int
        In the last batch; 0 before the first.
    metrics : dict of str to float
        At the end of an epoch, means over its images (:data:`~aeclust.network.losses.TERMS`),
        seconds and images per second; otherwise empty.
    snapshot : callable
        Copies the present state.
    terms : Tensor of shape (5,) or None
        Of the last batch, on the device (:data:`~aeclust.network.losses.TERMS`); None before it.
    """

    epoch: int
    step: int
    steps: int
    images: int
    metrics: dict[str, float]
    snapshot: Callable[[], Snapshot]
    terms: Tensor | None = field(default=None, repr=False, compare=False)

    @property
    def loss(self) -> float:
        """Objective of the last batch, for which a GPU is waited for; NaN before the first."""
        return math.nan if self.terms is None else float(self.terms[0])


@isolated(gradients=True)
def train(
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    resume: Snapshot | None = None,
    initial: Mapping[str, NDArray[Any]] | None = None,
    features: NDArray[np.float32] | None = None,
    known: Known | None = None,
    team: Team = ALONE,
    observe: Callable[[Moment], None] = lambda moment: None,
    log: Callable[[str], None] = lambda line: None,
) -> Autoencoder:
    """Train the network of a recipe on images.

    The first phase needs no k; the second, if the recipe has one, learns to separate k clusters of
    its own latents apart (:mod:`aeclust.network.selflabel`), at a third of the learning rate.

    Order, noise and views of a step depend on (seed, epoch, step) alone: a run that goes on from
    a snapshot ends with the same weights as one that never stopped. Each kind of device draws
    other numbers of a seed; GPUs add in no fixed order, so there "the same" is but for rounding.

    Parameters
    ----------
    pixels : ndarray of shape (n, h, w, c)
        uint8, or float in [0, 1].
    recipe : Recipe
    seed : int
        Decides the initial weights and everything random after them.
    device : torch.device
    resume : Snapshot, optional
        Where to go on.
    initial : mapping of str to ndarray, optional
        The state dict to begin with, instead of random weights.
    features : ndarray of shape (n, d), optional
        Of the images, by the frozen encoder that the recipe has: only the decoder is trained.
    known : Known, optional
        Known labels that steer the clusters of the second phase.
    team : Team
        The processes that train together, all with the same images and settings; the weights
        become those of one process but for rounding.
    observe : callable
        Takes a :class:`Moment` after each step; what it raises ends training.
    log : callable
        Takes a line for the user.

    Returns
    -------
    Autoencoder
        In evaluation mode.

    Raises
    ------
    DivergedError
        If the loss or a weight stops being finite.
    InputError
        If there are too few images for the network's batch statistics or for the team, or if the
        snapshot is of another run.
    """
    # longer than sixty lines, so that the loop is seen as a whole
    check_batches(len(pixels), recipe, team)
    batch_size, row_bytes = recipe.batch_of(len(pixels)), pixels[:1].nbytes
    batches = partial(epoch_batches, len(pixels), batch_size, seed=seed, row_bytes=row_bytes)
    steps = len(batches(epoch=0))
    network = build(recipe, pixels.shape[3], seed=seed).to(device)
    if initial is not None:
        load_state(network, initial)
    elif features is not None:
        network.standardise(features)
    if network.frozen:  # which alone has images larger than it draws
        pixels = shrunk(pixels, network.drawn_size, device)
    optimizer = build_optimizer(network, recipe)
    # several processes notice after the same step what diverges
    read_every = _READ_EVERY.get(device.type, 1) if team.size == 1 else 1
    state = _State(network, optimizer, recipe, len(pixels), steps, read_every)
    if resume is None:
        observe(Moment(0, 0, steps, 0, {}, state.snapshot))
    else:
        state.resume(resume)
        if resume.device != device.type:
            log(
                f"the run was begun on {resume.device}; on {device.type} the same seed draws other"
                " numbers, so it ends with other weights than there"
            )
    parallel, source = state.parallel(team), torch.Generator(device)
    half = precision_of(recipe, device) == "bfloat16"

    def learn(images: Tensor, features: Tensor | None, targets: Tensor | None = None) -> Tensor:
        """One step; the terms of its loss, which stay on the device."""
        images, noise = as_input(images, network.drawn_size), None
        batch = shown(images, recipe, source, whole=targets is not None)
        if recipe.variational:
            shape = (len(batch.images), recipe.latent_size)
            noise = torch.randn(shape, generator=source, device=device, dtype=torch.float32)
        seen = batch.images if features is None else features
        # within a caller's autocast, a cache of weights would outlive the step
        with torch.autocast(device.type, torch.bfloat16, enabled=half, cache_enabled=False):
            output = parallel(seen, noise, batch.crops, slice(0, None, batch.every))
        loss = objective(output, batch.drawn, recipe, targets)
        network.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.values()

    step: Callable[..., Tensor] = learn
    if device.type == "cuda" and team.size == 1 and isinstance(optimizer, Muon):
        step = Replayed(learn, source, log)
    feed = Feed([pixels, features], device)
    if state.targets is not None:
        feed.add(state.targets)
    while state.epoch < recipe.total_epochs:
        if state.epoch >= recipe.epochs and state.targets is None:
            state.targets = self_label(network, pixels, recipe, seed=seed, known=known, team=team)
            parallel = state.parallel(team)
            feed.add(state.targets)
        network.train()
        rows, losses = batches(epoch=state.epoch)[state.step :], state.begin()
        for here, batch, terms in zip(rows, feed.batches(rows), losses, strict=True):
            reseeded(source, seed, "augmentation", state.epoch, state.step)
            set_rate(optimizer, _schedule(recipe, state.epoch + state.step / steps))
            terms.copy_(step(*batch))
            observe(state.advance(len(here), terms))
    state.finite_weights()
    network.zero_grad()  # recorded steps share memory with them
    return network.eval()


@dataclass
class _State:
    """What training changes, in a run of `n` images and so many steps an epoch.

    The losses are read after every `read_every` steps, or sooner.
    """

    network: Autoencoder
    optimizer: Optimizer
    recipe: Recipe
    n: int
    steps: int
    read_every: int
    epoch: int = 0
    step: int = 0
    totals: NDArray[np.float64] = field(default_factory=lambda: np.zeros(len(TERMS)))
    targets: NDArray[np.float32] | None = None
    started: float = 0.0  # when the epoch was begun or resumed
    seen: int = 0  # images since
    unread: list[tuple[int, Tensor]] = field(default_factory=list)  # steps that `totals` lacks
    read_at: float = 0.0

    def resume(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, if it is of this run."""
        epoch, step, targets = snapshot.epoch, snapshot.step, snapshot.targets
        labelling = (epoch, step) > (self.recipe.epochs, 0)
        shape = None if targets is None else targets.shape
        with at("the state to resume"):
            if not (
                0 <= epoch <= self.recipe.total_epochs
                and 0 <= step < self.steps
                and len(snapshot.totals) == len(TERMS)
                and shape == ((self.n, self.recipe.k) if labelling else None)
            ):
                raise InputError(
                    f"epoch {epoch}, step {step} with {len(snapshot.totals)} sums and targets of"
                    f" shape {shape} cannot be of this run",
                    expected="the state that this run saved",
                    mend="restore it, or train again with `force`",
                )
            load_state(self.network, snapshot.weights)
            load_optimizer(self.optimizer, snapshot.optimizer)
        self.epoch, self.step, self.totals = epoch, step, np.array(snapshot.totals)
        self.targets = None if targets is None else targets.copy()

    def snapshot(self) -> Snapshot:
        """A copy of all of it; refused if a loss or a weight is not finite."""
        self.read()
        return Snapshot(
            self.finite_weights(),
            optimizer_arrays(self.optimizer),
            self.epoch,
            self.step,
            tuple(self.totals.tolist()),
            None if self.targets is None else self.targets.copy(),
            self.network.device.type,
        )

    def finite_weights(self) -> dict[str, NDArray[Any]]:
        """The network's state dict, copied; refused if a weight is not finite."""
        weights = state_arrays(self.network)
        if not all(np.isfinite(value).all() for value in weights.values()):
            last = self.epoch * self.steps + self.step - 1
            raise _diverged("a weight", *divmod(last, self.steps), self.recipe)
        return weights

    def parallel(self, team: Team) -> nn.Module:
        """The network as a team trains it; without targets the head is left alone."""
        if self.network.head is not None:
            self.network.head.requires_grad_(self.targets is not None)
        return team.parallel(self.network)

    def begin(self) -> Tensor:
        """An epoch, or the rest of one, begins now: the place of its losses on the device."""
        self.started = self.read_at = time.monotonic()
        self.seen = 0
        shape, device = (self.steps - self.step, len(TERMS)), self.network.device
        return torch.zeros(shape, dtype=torch.float32, device=device)

    def advance(self, images: int, terms: Tensor) -> Moment:
        """Count a step, and the epoch that it may end."""
        self.unread.append((images, terms))
        self.step += 1
        self.seen += images
        metrics: dict[str, float] = {}
        ends = self.step == self.steps
        if ends or self.step % self.read_every == 0 or time.monotonic() - self.read_at > _UNREAD:
            self.read()
        if ends:
            seconds = max(time.monotonic() - self.started, 1e-6)  # a coarse clock may stand still
            metrics = dict(zip(TERMS, (self.totals / self.n).tolist(), strict=True))
            metrics |= {"seconds": seconds, "images_per_second": self.seen / seconds}
            self.epoch, self.step, self.totals = self.epoch + 1, 0, np.zeros(len(TERMS))
        return Moment(self.epoch, self.step, self.steps, images, metrics, self.snapshot, terms)

    def read(self) -> None:
        """Bring `totals` up to date, for which a GPU is waited for."""
        self.read_at = time.monotonic()
        if not self.unread:
            return
        values = torch.stack([terms for _, terms in self.unread]).cpu().double().numpy()
        for before, ((images, _), terms) in enumerate(zip(self.unread, values, strict=True)):
            if not np.isfinite(terms).all():
                step = self.step - len(self.unread) + before
                raise _diverged("the loss", self.epoch, step, self.recipe)
            self.totals = self.totals + images * terms
        self.unread = []


def check_batches(n: int, recipe: Recipe, team: Team = ALONE) -> None:
    """Refuse what :func:`train` would refuse of n images, before anything else is done."""
    if n < 2 and (recipe.batch_norm or recipe.contrast or recipe.network in ("residual", "frozen")):
        raise InputError(
            f"{n} image to train on",
            expected="2 or more, because this recipe normalises or compares batches",
            mend="add images or use `recipe` baseline",
        )
    for size in sorted(set(map(len, epoch_batches(n, recipe.batch_of(n), seed=0, epoch=0)))):
        team.check_batch(size, decoded_of(size, recipe))


def precision_of(recipe: Recipe, device: torch.device) -> Literal["float32", "bfloat16"]:
    """The precision that a recipe is trained in on a device."""
    if recipe.precision != "auto":
        return recipe.precision
    if device.type == "cpu":  # faster only with instructions for it
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    else:
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bfloat16" if fast else "float32"


def _schedule(recipe: Recipe, epochs: float) -> float:
    """Share of the learning rate after so many epochs."""
    labelling = epochs >= recipe.epochs
    peak = _LABEL_RATE if labelling else 1.0
    if recipe.schedule == "constant":
        return peak
    if labelling:
        return peak * _one_cycle((epochs - recipe.epochs) / recipe.label_epochs)
    return peak * _one_cycle(epochs / recipe.epochs)


def _one_cycle(progress: float) -> float:
    """A rise within a fifth of the time, and half a cosine down to nothing.

    Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning
    Rates" (2018).
    """
    rise = 0.2
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


def _diverged(what: str, epoch: int, step: int, recipe: Recipe) -> DivergedError:
    return DivergedError(
        f"training diverged: {what} is not finite in epoch {epoch + 1}, step {step + 1}",
        mend=f"lower the learning rate ({recipe.lr:g}) with `lr`; earlier checkpoints are kept",
    )
