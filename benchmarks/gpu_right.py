"""Whether a GPU computes what the CPU does: the part ``right`` of ``gpu.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from rows import Row
from sets import SETS

from aeclust.network.batches import generator, to_input
from aeclust.network.losses import objective
from aeclust.network.model import build, state_arrays
from aeclust.network.training import Moment, Snapshot, train
from aeclust.network.views import shown
from aeclust.recipe import named

SET, HYBRID = "cifar10", named("hybrid").override({"k": 10})
Work = Iterator[tuple[str, Callable[[], Row]]]


@dataclass(frozen=True)
class Place:
    """Where to measure, and how much."""

    device: torch.device
    card: str
    minutes: float
    n: int  # images
    timed: int  # steps
    least: float  # seconds

    @property
    def far(self) -> bool:
        return self.device.type == "cuda"

    def wait(self) -> None:
        if self.far:
            torch.cuda.synchronize(self.device)

    def forget(self) -> None:
        """Begin to count memory."""
        if self.far:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)

    def reserved(self) -> float | None:
        """Gigabytes that were taken at most since then."""
        return round(torch.cuda.max_memory_reserved(self.device) / 1e9, 2) if self.far else None


def images(place: Place) -> NDArray[np.uint8]:
    """The first ones of CIFAR-10's test images; noise where these are absent."""
    try:
        pixels = SETS[SET]().pixels[: place.n]
    except FileNotFoundError:
        pixels = np.empty((0, 32, 32, 3), np.uint8)
    if len(pixels) < place.n:
        more = place.n - len(pixels), 32, 32, 3
        pixels = np.concatenate([pixels, np.random.default_rng(0).integers(0, 256, more, np.uint8)])
    return pixels


@contextmanager
def one_by_one() -> Iterator[None]:
    """Within it no steps are recorded."""
    with mock.patch("aeclust.network.training.Replayed", lambda step, source, log: step):
        yield


SMALL = HYBRID.override(
    {"epochs": 3, "label_epochs": 2, "batch_size": 64, "steps": 0, "precision": "float32"}
)


def right(place: Place) -> Work:
    yield "a step against the CPU", lambda: against_the_cpu(place)
    yield "recorded against one by one", lambda: recorded_or_not(place)
    yield "resumed against whole", lambda: resumed_or_not(place)


def against_the_cpu(place: Place) -> Row:
    """Largest differences of loss terms and gradients, as shares of the largest value."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    pixels, cpu = images(replace(place, n=64)), torch.device("cpu")
    network = build(SMALL, 3, seed=0).train()
    batch = shown(to_input(pixels, 32, cpu), SMALL, generator(cpu, 0, "augmentation", 0, 0))

    def measured(device: torch.device) -> tuple[torch.Tensor, list[torch.Tensor]]:
        network.to(device)
        crops = None if batch.crops is None else batch.crops.to(device)
        output = network(batch.images.to(device), None, crops, slice(0, None, batch.every))
        loss = objective(output, batch.drawn.to(device), SMALL)
        values = [p for p in network.parameters() if p.requires_grad]
        slopes = torch.autograd.grad(loss.total, values, allow_unused=True)
        return loss.values().cpu(), [slope.cpu() for slope in slopes if slope is not None]

    (terms, slopes), (others, other_slopes) = measured(cpu), measured(place.device)
    torch.backends.cudnn.allow_tf32 = before
    pairs = zip(slopes, other_slopes, strict=True)
    return {
        "terms": share(terms, others),
        "gradients": max(share(one, other) for one, other in pairs),
    }


def share(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max() / one.abs().max().clamp(min=1e-12))


def recorded_or_not(place: Place) -> Row:
    """Two runs of the same steps; a third, done one by one again, says what chance does."""
    with one_by_one():
        plain, again = (weights(place) for _ in range(2))
    lines: list[str] = []
    return {
        "recorded": difference(plain, weights(place, log=lines.append)),
        "by chance": difference(plain, again),
        "said": lines,
    }


def resumed_or_not(place: Place) -> Row:
    """A run that stops in each phase and goes on, against one that never stopped."""
    kept: list[Snapshot] = []
    row: Row = {}
    whole = weights(place)
    for name, epoch in (("first phase", 1), ("second phase", 4)):

        def observe(moment: Moment, epoch: int = epoch) -> None:
            if (moment.epoch, moment.step) == (epoch, 3):
                kept.append(moment.snapshot())

        weights(place, observe=observe)
        row[name] = difference(whole, weights(place, resume=kept[-1]))
    return row


def weights(place: Place, **options: Any) -> dict[str, NDArray[Any]]:
    network = train(images(replace(place, n=600)), SMALL, seed=0, device=place.device, **options)
    return state_arrays(network)


def difference(one: dict[str, NDArray[Any]], other: dict[str, NDArray[Any]]) -> float:
    """Largest distance of a tensor from the other's, as a share of its length."""
    floats = [name for name, value in one.items() if value.dtype.kind == "f"]
    lengths = {name: max(float(np.linalg.norm(one[name])), 1e-12) for name in floats}
    return max(float(np.linalg.norm(one[name] - other[name])) / lengths[name] for name in floats)
