"""What a GPU makes of a training, beside what the card can do.

    python benchmarks/gpu.py                   # every part but `long`, less than eight minutes
    python benchmarks/gpu.py right step        # some parts
    python benchmarks/gpu.py long              # a training of eight minutes
    python benchmarks/gpu.py --table

Parts, each of which appends rows with the card's name to ``benchmarks/results/gpu.jsonl``. A row
that this card, this PyTorch and this code gave already is not measured again, so a run that was cut
off goes on where it was. Without a GPU it says so and ends well.

``matrix``    the rate of products of 8192 x 8192 matrices, and of copies: the roof of the others
``right``     a step here against the same step on the CPU; recorded steps against steps done one
              by one; a run resumed against one that never stopped
``step``      training on 10,000 images, for each network of ``aeclust/recipe/budget.py``: time of a
              step, images a second, share of the matrix rate, how busy the card is, memory; and of
              the default network with steps done one by one, and with ``torch.compile``
``embed``     latents of these images
``chain``     how long clustering takes beside it, which stays on the CPU, and what its search of
              neighbours would take here: whether it would pay to move it
``train``     ``--minutes`` (3) of CIFAR-10's test images: what was chosen, and what came of it
``long``      the same for 8 minutes

CIFAR-10 is read from ``AECLUST_DATA`` (or ``../shared/data``); its labels are read after the
clustering, to score it. ``--device cpu`` runs the parts where there is no GPU, to try the script.
"""

from __future__ import annotations

import argparse
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from shutil import which
from typing import Any
from unittest import mock

import numpy as np
import torch
from measures import code_of, labelled, nearest, probe, right_of
from numpy.typing import NDArray
from rows import Row, append_row, read_rows
from sets import SETS
from torch.utils.flop_counter import FlopCounterMode

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.neighbours import neighbour_vote
from aeclust.estimator import AutoencoderClusterer
from aeclust.network import inference, replay
from aeclust.network.batches import generator, to_input
from aeclust.network.losses import objective
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.network.training import Moment, Snapshot, precision_of, train
from aeclust.network.views import shown
from aeclust.recipe import Recipe, named
from aeclust.recipe.budget import ladder

SET, HYBRID = "cifar10", named("hybrid").override({"k": 10})
WARM, TIMED = 40, 200  # steps on a GPU
USUAL = ("matrix", "right", "step", "embed", "chain", "train")


@dataclass(frozen=True)
class Place:
    """Where to measure, and how much."""

    device: torch.device
    card: str
    minutes: float
    n: int  # images
    timed: int  # steps

    @property
    def far(self) -> bool:
        return self.device.type == "cuda"

    def wait(self) -> None:
        if self.far:
            torch.cuda.synchronize(self.device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=TIMED)
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print(table(read_rows("gpu")))
        return
    if asked.device == "cuda" and not torch.cuda.is_available():
        print("no GPU is here, so nothing was measured; --device cpu tries the script")
        return
    card = torch.cuda.get_device_name() if asked.device == "cuda" else "cpu"
    place = Place(torch.device(asked.device), card, asked.minutes, asked.images, asked.steps)
    code = code_of("aeclust.estimator", "aeclust.network.training")
    done = {
        (row["part"], row["what"], row["card"], row["torch"], row["code"])
        for row in read_rows("gpu")
    }
    for part in asked.parts or USUAL:
        for what, measure in PARTS[part](place):
            key = (part, what, card, torch.__version__, code)
            if key in done:
                continue
            started = time.monotonic()
            row = dict(zip(("part", "what", "card", "torch", "code"), key, strict=True))
            try:
                row |= measure()
            except (RuntimeError, OSError) as error:  # the other parts are worth their time
                row["failed"] = str(error).partition("\n")[0]
            append_row("gpu", {**row, "took": round(time.monotonic() - started, 1)})


Work = Iterator[tuple[str, Callable[[], Row]]]


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


# -- the roof -------------------------------------------------------------------------------------


def matrix(place: Place) -> Work:
    yield "8192 x 8192", lambda: roof(place)


def roof(place: Place, side: int = 8192) -> Row:
    """TFLOP/s of products in bfloat16 and float32, and GB/s read and written by a copy."""
    side = side if place.far else 1024
    row: Row = {}
    for kind in (torch.bfloat16, torch.float32):
        one, other = (torch.randn(side, side, device=place.device).to(kind) for _ in range(2))
        seconds = timed(place, lambda a=one, b=other: a @ b, 20)  # type: ignore[misc]
        row[str(kind).removeprefix("torch.")] = round(2 * side**3 / seconds / 1e12, 1)
    source = torch.empty(2**28 if place.far else 2**24, device=place.device)
    target = torch.empty_like(source)
    seconds = timed(place, lambda: target.copy_(source), 20)
    return {**row, "copy_gb_s": round(2 * source.nbytes / seconds / 1e9)}


def timed(place: Place, work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call among several in a row."""
    for _ in range(3):
        work()
    place.wait()
    started = time.perf_counter()
    for _ in range(repeats):
        work()
    place.wait()
    return (time.perf_counter() - started) / repeats


# -- whether it is right --------------------------------------------------------------------------

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


@contextmanager
def one_by_one() -> Iterator[None]:
    """Within it nothing is recorded."""
    before = replay.WARM_UP
    replay.WARM_UP = 10**9
    try:
        yield
    finally:
        replay.WARM_UP = before


# -- how fast it is -------------------------------------------------------------------------------


def step(place: Place) -> Work:
    rungs = [recipe for recipe, _ in ladder(HYBRID)[0]]
    for recipe in rungs if place.far else rungs[:2]:
        yield f"{sizes(recipe)}, recorded", lambda recipe=recipe: pace(place, recipe)  # type: ignore[misc]
    yield f"{sizes(HYBRID)}, one by one", lambda: slow_pace(place)
    if place.far:
        yield f"{sizes(HYBRID)}, compiled", lambda: compiled_pace(place)


def sizes(recipe: Recipe) -> str:
    return "-".join(map(str, recipe.channels)) + f" +{recipe.extra_layers}" * bool(
        recipe.extra_layers
    )


class _Enough(Exception):  # noqa: N818 - no error
    pass


def pace(place: Place, recipe: Recipe) -> Row:
    """Steps of the first phase, after some that warm up."""
    pixels = images(place)
    recipe, count = replace(recipe, epochs=10_000), 0
    warm = WARM if place.far else 2
    started = seconds = 0.0
    if place.far:
        torch.cuda.reset_peak_memory_stats()

    def observe(moment: Moment) -> None:
        nonlocal count, started, seconds
        count += bool(moment.images)
        if count == warm:
            place.wait()
            started = time.perf_counter()
        elif count == warm + place.timed:
            place.wait()
            seconds = (time.perf_counter() - started) / place.timed
            raise _Enough

    with Busy(place) as busy, suppress(_Enough):
        train(pixels, recipe, seed=0, device=place.device, observe=observe)
    work = flops_of(place, recipe)
    batch = recipe.batch_of(len(pixels))
    known = [r for r in read_rows("gpu") if r["part"] == "matrix" and r["card"] == place.card]
    peak = known[-1].get("bfloat16", 0) * 1e12 if known else 0
    return {
        "ms": round(1e3 * seconds, 3),
        "images_per_second": round(batch / seconds),
        "gflop": round(work / 1e9, 1),
        "tflop_s": round(work / seconds / 1e12, 2),
        "share": round(work / seconds / peak, 3) if peak else None,
        "busy": busy.share,
        "gb": round(torch.cuda.max_memory_reserved() / 1e9, 2) if place.far else None,
        "precision": precision_of(recipe, place.device),
    }


def slow_pace(place: Place) -> Row:
    with one_by_one():
        return pace(place, HYBRID)


def compiled_pace(place: Place) -> Row:
    """The encoder compiled, inside of recorded steps."""

    def compiled(recipe: Recipe, channels: int, *, seed: int) -> Autoencoder:
        network = build(recipe, channels, seed=seed)
        network.encoder.compile(dynamic=False)
        return network

    with mock.patch("aeclust.network.training.build", compiled):
        return pace(place, HYBRID)


def flops_of(place: Place, recipe: Recipe) -> int:
    """Of the products of a step; two for a multiplication and addition."""
    size = recipe.batch_of(place.n)
    once = replace(recipe, epochs=1, label_epochs=0, steps=0, batch_size=size)
    with one_by_one(), FlopCounterMode(display=False) as counter:
        train(images(replace(place, n=size)), once, seed=0, device=place.device)
    return int(counter.get_total_flops())


class Busy:
    """The share of the time in which a GPU computes anything, by its driver."""

    def __init__(self, place: Place) -> None:
        self.far, self._seen = place.far, list[float]()
        self._watch: subprocess.Popen[str] | None = None

    def __enter__(self) -> Busy:
        if self.far and which("nvidia-smi"):
            command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
            self._watch = subprocess.Popen(
                [*command, "-lms", "100"], stdout=subprocess.PIPE, text=True
            )
            threading.Thread(target=self._read, daemon=True).start()
        return self

    def _read(self) -> None:
        assert self._watch is not None
        for line in self._watch.stdout or ():
            if line.strip().isdigit():
                self._seen.append(float(line) / 100)

    def __exit__(self, *raised: object) -> None:
        if self._watch is not None:
            self._watch.terminate()

    @property
    def share(self) -> float | None:
        """The median of the later half, when nothing is prepared any more."""
        late = self._seen[len(self._seen) // 2 :]
        return round(float(np.median(late)), 2) if late else None


def embed(place: Place) -> Work:
    def measured() -> Row:
        network, pixels = build(HYBRID, 3, seed=0).to(place.device), images(place)
        inference.embed(network, pixels)
        started = time.perf_counter()
        inference.embed(network, pixels)
        return {"images_per_second": round(len(pixels) / (time.perf_counter() - started))}

    yield sizes(HYBRID), measured


def chain(place: Place) -> Work:
    for n in (place.n, 10 * place.n):
        yield f"{n:,} latents", lambda n=n: clustered(place, n)  # type: ignore[misc]


def clustered(place: Place, n: int) -> Row:
    """Seconds of the default chain; of the votes of the 15 nearest of 10,000, here and there."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(10, 256)).astype(np.float32)
    latents = centres[random.integers(0, 10, n)] + random.standard_normal((n, 256), np.float32)
    base = latents[: min(n, 10_000)]
    started = time.perf_counter()
    cluster_latents(latents, HYBRID, seed=0)
    whole = time.perf_counter() - started
    started = time.perf_counter()
    neighbour_vote(latents, base, np.zeros(len(base), np.int64), 10)
    votes = time.perf_counter() - started
    queries, others = (torch.from_numpy(x).to(place.device) for x in (latents, base))

    def search() -> None:
        for block in torch.split(queries, 8192):
            torch.cdist(block, others).topk(15, largest=False)

    return {
        "seconds": round(whole, 1),
        "votes_seconds": round(votes, 2),
        "search_seconds_there": round(timed(place, search, 3), 3),
    }


# -- what comes of it -----------------------------------------------------------------------------


def budgeted(place: Place) -> Work:
    yield f"{place.minutes:g} minutes", lambda: trained(place, place.minutes)


def long(place: Place) -> Work:
    yield "8 minutes", lambda: trained(place, 8.0)


def trained(place: Place, minutes: float) -> Row:
    """Train, embed and cluster by the estimator, then score."""
    data = SETS[SET]()
    model = AutoencoderClusterer(
        data.k, minutes=minutes, random_state=0, device=place.device, verbose=1
    )
    started = time.perf_counter()
    with Busy(place) as busy:
        labels = model.fit_predict(data.pixels)
    seconds = time.perf_counter() - started
    rows = labelled(data.classes)
    points, classes = model.transform(data.pixels)[rows], data.classes[rows]
    return {
        "data": SET,
        "recipe": changes(model.recipe_),
        "seconds": round(seconds, 1),
        "busy": busy.share,
        "accuracy": round(float(right_of(labels, data.classes)[rows].mean()), 4),
        "probe": round(float(probe(points, classes).mean()), 4),
        "nearest": round(float(nearest(points, classes).mean()), 4),
        "gb": round(torch.cuda.max_memory_reserved() / 1e9, 2) if place.far else None,
    }


def changes(recipe: Recipe) -> dict[str, object]:
    """What a recipe has otherwise than the default one."""
    usual = HYBRID.to_json()
    return {name: value for name, value in recipe.to_json().items() if value != usual[name]}


PARTS: dict[str, Callable[[Place], Work]] = {
    "matrix": matrix,
    "right": right,
    "step": step,
    "embed": embed,
    "chain": chain,
    "train": budgeted,
    "long": long,
}


def table(rows: list[Row]) -> str:
    """Markdown: the latest row of everything on every card."""
    latest = {(row["card"], row["part"], row["what"]): row for row in rows}
    hidden = ("part", "what", "card", "torch", "code", "took")
    lines = ["| card | part | what | measured |", "| --- | --- | --- | --- |"]
    for (card, part, what), row in latest.items():
        cells = ", ".join(f"{key} {row[key]}" for key in row if key not in hidden)
        lines.append(f"| {card} | {part} | {what} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
