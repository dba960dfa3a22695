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
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from shutil import which
from unittest import mock

import numpy as np
import torch
from gpu_right import HYBRID, SET, Place, Work, images, one_by_one, right
from measures import code_of, labelled, nearest, probe, right_of
from rows import Row, append_row, read_rows
from sets import SETS
from torch.utils.flop_counter import FlopCounterMode

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.neighbours import neighbour_vote
from aeclust.estimator import AutoencoderClusterer
from aeclust.network import inference
from aeclust.network.model import Autoencoder, build
from aeclust.network.training import Moment, precision_of, train
from aeclust.recipe import Recipe
from aeclust.recipe.budget import ladder

WARM, TIMED = 40, 100  # steps on a GPU: before the clock starts, and between two looks at it
LEAST = 3.0  # seconds that are timed
USUAL = ("matrix", "right", "step", "embed", "chain", "train")


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
    least = LEAST if asked.device == "cuda" else 0.0
    device = torch.device(asked.device)
    place = Place(device, card, asked.minutes, asked.images, asked.steps, least)
    code = code_of("aeclust.estimator", "aeclust.network.training")
    done = {
        (row["part"], row["what"], row["card"], row["torch"], row["code"])
        for row in read_rows("gpu")
        if "failed" not in row
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
            except Exception as error:  # the other parts are worth their time
                row["failed"] = f"{type(error).__name__}: {error}".partition("\n")[0]
            append_row("gpu", {**row, "took": round(time.monotonic() - started, 1)})


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


class Clock:
    """Watches training: steps that warm up, then some seconds of steps."""

    def __init__(self, place: Place) -> None:
        self.place, self.busy = place, Busy(place)
        self.left = WARM if place.far else 2
        self.steps, self.seconds, self.began = 0, 0.0, 0.0

    def __call__(self, moment: Moment) -> None:
        if self.left > 0:
            self.left -= bool(moment.images)
            if self.left == 0:
                self.place.wait()
                self.began = time.perf_counter()
                self.busy.begin()
            return
        self.steps += 1
        if self.steps % self.place.timed == 0:
            self.place.wait()
            self.seconds = (time.perf_counter() - self.began) / self.steps
            if self.seconds * self.steps >= self.place.least:
                self.busy.end()
                raise _Enough


def pace(place: Place, recipe: Recipe) -> Row:
    """Steps of whole batches of the first phase."""
    batch, work = recipe.batch_of(place.n), flops_of(place, recipe)
    pixels = images(place)[: place.n // batch * batch]
    whole = replace(recipe, epochs=10_000, steps=0, batch_size=batch)
    place.forget()
    clock = Clock(place)
    with suppress(_Enough):
        train(pixels, whole, seed=0, device=place.device, observe=clock)
    known = [r for r in read_rows("gpu") if r["part"] == "matrix" and r["card"] == place.card]
    peak = known[-1].get("bfloat16", 0) * 1e12 if known else 0
    return {
        "ms": round(1e3 * clock.seconds, 3),
        "images_per_second": round(batch / clock.seconds),
        "gflop": round(work / 1e9, 1),
        "tflop_s": round(work / clock.seconds / 1e12, 2),
        "share": round(work / clock.seconds / peak, 3) if peak else None,
        "busy": clock.busy.share,
        "gb": place.reserved(),
        "precision": precision_of(recipe, place.device),
    }


def slow_pace(place: Place) -> Row:
    with one_by_one():
        return pace(place, HYBRID)


def compiled_pace(place: Place) -> Row:
    """The encoder compiled, inside of recorded steps."""
    flops_of(place, HYBRID)  # which is counted without

    def compiled(recipe: Recipe, channels: int, *, seed: int) -> Autoencoder:
        network = build(recipe, channels, seed=seed)
        network.encoder.compile(dynamic=False)
        return network

    with mock.patch("aeclust.network.training.build", compiled):
        return pace(place, HYBRID)


@cache
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
        self._place, self._seen = place, list[float]()
        self._watch: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        if self._place.far and which("nvidia-smi"):
            unit = f"GPU-{torch.cuda.get_device_properties(self._place.device).uuid}"
            command = ["nvidia-smi", "-i", unit, "--query-gpu=utilization.gpu"]
            self._watch = subprocess.Popen(
                [*command, "--format=csv,noheader,nounits", "-lms", "100"],
                stdout=subprocess.PIPE,
                text=True,
            )
            threading.Thread(target=self._read, args=[self._watch], daemon=True).start()

    def _read(self, watch: subprocess.Popen[str]) -> None:
        for line in watch.stdout or ():
            if line.strip().isdigit():
                self._seen.append(float(line) / 100)

    def end(self) -> None:
        if self._watch is not None:
            self._watch.terminate()

    @property
    def share(self) -> float | None:
        """The median of the later half: the driver looks back for up to a second."""
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
    place.forget()
    busy = Busy(place)
    busy.begin()
    started = time.perf_counter()
    labels = model.fit_predict(data.pixels)
    seconds = time.perf_counter() - started
    busy.end()
    memory = place.reserved()
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
        "gb": memory,
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
