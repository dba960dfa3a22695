"""Training: one loop, observed from outside."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from aeclust.errors import DivergedError, InputError
from aeclust.network.batches import epoch_batches, step_draws, to_input
from aeclust.network.losses import objective
from aeclust.network.model import Autoencoder, build, load_state, state_arrays
from aeclust.network.optimizers import build_optimizer, load_optimizer, misfit, optimizer_arrays
from aeclust.network.parallel import ALONE, Team
from aeclust.network.selflabel import self_label
from aeclust.network.views import view
from aeclust.recipe import Recipe

TERMS = ("loss", "reconstruction", "kl", "contrast", "labels")

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
        Sums over the images of the epoch under way, in the order of :data:`TERMS`.
    targets : ndarray of shape (n, k) or None
        What self-labelling learns, float32; None before it begins.
    """

    weights: dict[str, NDArray[Any]]
    optimizer: dict[str, NDArray[Any]]
    epoch: int
    step: int
    totals: tuple[float, ...]
    targets: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Moment:
    """What an observer is told after every step, and once before the first.

    Attributes
    ----------
    epoch, step, steps : int
        Epochs finished; steps finished in the epoch under way and their number in an epoch. At the
        end of an epoch ``step`` is 0.
    images : int
        In the last batch; 0 before the first.
    loss : float
        Objective of the last batch; NaN before the first.
    metrics : dict of str to float
        At the end of an epoch, means over its images (:data:`TERMS`), seconds and images per
        second; otherwise empty.
    snapshot : callable
        Copies the present state.
    """

    epoch: int
    step: int
    steps: int
    images: int
    loss: float
    metrics: dict[str, float]
    snapshot: Callable[[], Snapshot]


def train(
    pixels: NDArray[Any],
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    resume: Snapshot | None = None,
    team: Team = ALONE,
    observe: Callable[[Moment], None] = lambda moment: None,
) -> Autoencoder:
    """Train the network of a recipe on images.

    The first phase knows no k; the second, if the recipe has one, learns to tell k clusters of
    its own latents apart (:mod:`aeclust.network.selflabel`), at a third of the learning rate.

    Order, noise and views of a step depend on (seed, epoch, step) alone: a run that goes on from
    a snapshot ends with the same weights as one that never stopped.

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
    team : Team
        The processes that train together, all with the same images and settings: each takes its
        share of every batch, and the weights become those of one process but for rounding.
    observe : callable
        Called with a :class:`Moment` after each step; what it raises ends training.

    Returns
    -------
    Autoencoder
        In evaluation mode.

    Raises
    ------
    DivergedError
        If the loss or a weight stops being finite.
    InputError
        If there are too few images for the network's batch statistics, or for the team.
    """
    n = len(pixels)
    check_batches(n, recipe, team)
    batch_size = recipe.batch_of(n)
    row_bytes = pixels[:1].nbytes
    first = epoch_batches(n, batch_size, seed=seed, epoch=0, row_bytes=row_bytes)
    steps = len(first)
    network = build(recipe, pixels.shape[3], seed=seed).to(device)
    optimizer = build_optimizer(network, recipe)
    half = computes_in(recipe, device) == "bfloat16"
    epoch, step, totals = 0, 0, np.zeros(len(TERMS))
    targets: NDArray[np.float32] | None = None
    if resume is not None:
        problem = _misfit(resume, recipe, n, steps) or misfit(optimizer, resume.optimizer)
        if problem:
            raise InputError(
                f"the state to resume does not fit this run: {problem}",
                where="resume",
                expected="the state that this run saved",
                mend="restore it, or train again with --force",
            )
        load_state(network, resume.weights, where="resume")
        load_optimizer(optimizer, resume.optimizer)
        epoch, step = resume.epoch, resume.step
        totals[: len(resume.totals)] = resume.totals  # an older version had fewer terms
        targets = None if resume.targets is None else resume.targets.copy()
    parallel = team.parallel(network, idle=network.head if targets is None else None)

    def finite_weights() -> dict[str, NDArray[Any]]:
        weights = state_arrays(network)
        if not all(np.isfinite(value).all() for value in weights.values()):
            raise _diverged(*divmod(epoch * steps + step - 1, steps), "a weight", recipe)
        return weights

    def snapshot() -> Snapshot:
        arrays = optimizer_arrays(optimizer)
        learnt = None if targets is None else targets.copy()
        return Snapshot(finite_weights(), arrays, epoch, step, tuple(totals.tolist()), learnt)

    if resume is None:
        observe(Moment(0, 0, steps, 0, math.nan, {}, snapshot))
    while epoch < recipe.total_epochs:
        if epoch >= recipe.epochs and targets is None:
            targets = self_label(network, pixels, recipe, seed=seed, device=device, team=team)
            parallel = team.parallel(network)
        network.train()
        started, done_before = time.monotonic(), step
        batches = epoch_batches(n, batch_size, seed=seed, epoch=epoch, row_bytes=row_bytes)
        for rows in batches[step:]:
            share = team.share(len(rows))
            own = rows[share.rows]
            draws = step_draws(device, seed=seed, epoch=epoch, step=step, share=share)
            images = to_input(pixels[own], recipe.image_size, device)
            if recipe.contrast:
                images = torch.cat([view(images, draws), view(images, draws)])
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                output = parallel(images, draws, labelling=targets is not None)
            wanted = None if targets is None else torch.from_numpy(targets[own]).to(device)
            loss = objective(output, images, recipe, wanted, share=share)
            parts = (loss.total, loss.reconstruction, loss.kl, loss.contrast, loss.labels)
            terms = share.mean(np.array([part.item() for part in parts]))
            if not np.isfinite(terms).all():
                raise _diverged(epoch, step, "the loss", recipe)
            rate = _schedule(recipe, epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * rate
            optimizer.zero_grad(set_to_none=True)
            (share.weight * loss.total).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            totals += len(rows) * terms
            step += 1
            metrics: dict[str, float] = {}
            if step == steps:
                seconds = max(time.monotonic() - started, 1e-6)  # a coarse clock may stand still
                images_seen = sum(len(rows) for rows in batches[done_before:])
                metrics = dict(zip(TERMS, (totals / n).tolist(), strict=True))
                metrics |= {"seconds": seconds, "images_per_second": images_seen / seconds}
                epoch, step, totals = epoch + 1, 0, np.zeros(len(TERMS))
            observe(Moment(epoch, step, steps, len(rows), float(terms[0]), metrics, snapshot))
    finite_weights()
    return network.eval()


def check_batches(n: int, recipe: Recipe, team: Team = ALONE) -> None:
    """Refuse what :func:`train` would refuse of n images, before anything else is done."""
    if n < 2 and (recipe.batch_norm or recipe.contrast or recipe.network == "residual"):
        raise InputError(
            f"{n} image to train on",
            expected="2 or more, because this recipe normalises or compares batches",
            mend="add images or use --recipe baseline",
        )
    least = min(map(len, epoch_batches(n, recipe.batch_of(n), seed=0, epoch=0)))
    if least < team.size:
        raise InputError(
            f"a batch of {least} images cannot be shared by {team.size} processes",
            expected="an image for each of them in every batch",
            mend="change --batch-size, or start fewer processes",
        )


def computes_in(recipe: Recipe, device: torch.device) -> Literal["float32", "bfloat16"]:
    """The precision that a recipe is trained in on a device."""
    if recipe.precision == "auto":
        return "bfloat16" if _has_bfloat16(device) else "float32"
    return recipe.precision


def _has_bfloat16(device: torch.device) -> bool:
    """Whether bfloat16 is faster here than float32: on CPUs, only with instructions of its own."""
    if device.type == "cpu":
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _misfit(resume: Snapshot, recipe: Recipe, n: int, steps: int) -> str:
    """What keeps a snapshot's place and sums from going on in this run, or an empty text."""
    if not (0 <= resume.epoch <= recipe.total_epochs and 0 <= resume.step < steps):
        return f"epoch {resume.epoch}, step {resume.step}"
    if len(resume.totals) > len(TERMS):
        return f"{len(resume.totals)} sums instead of {len(TERMS)}"
    begun = resume.epoch > recipe.epochs or (resume.epoch == recipe.epochs and resume.step > 0)
    shape = None if resume.targets is None else resume.targets.shape
    if shape != ((n, recipe.k) if begun else None):
        return f"targets of shape {shape}"
    return ""


def _schedule(recipe: Recipe, at: float) -> float:
    """Share of the learning rate after `at` epochs."""
    labelling = at >= recipe.epochs
    peak = _LABEL_RATE if labelling else 1.0
    if recipe.schedule == "constant":
        return peak
    progress = (at - recipe.epochs) / recipe.label_epochs if labelling else at / recipe.epochs
    return peak * _one_cycle(progress)


def _one_cycle(progress: float) -> float:
    rise = 0.2
    if progress < rise:
        return 0.04 + 0.96 * progress / rise
    return 0.5 * (1 + math.cos(math.pi * (progress - rise) / (1 - rise)))


def _diverged(epoch: int, step: int, what: str, recipe: Recipe) -> DivergedError:
    return DivergedError(
        f"training diverged: {what} is not finite in epoch {epoch + 1}, step {step + 1}",
        mend=f"lower the learning rate ({recipe.lr:g}) with --lr; earlier checkpoints are kept",
    )
