"""How fast the work is, beside what the machine can do and beside what others do.

    python benchmarks/speed.py                 # every part, about 40 minutes on two cores
    python benchmarks/speed.py step embed      # some parts
    python benchmarks/speed.py --table         # the latest row of every part

Parts, each of which appends a row to ``benchmarks/results/speed.jsonl``; ratios are of figures of
one run, measured one after the other. Nothing else may run meanwhile.

``matmul``    matrix products of 2048 x 2048, float32 and bfloat16: the roof of the other parts
``step``      a training step of the default recipe: where its time goes, and its share of the roof
``patches``   what a step of ``deep`` in bfloat16 gains by convolving small maps by patches
``embed``     latents of the trained images, and the share of the roof
``loop``      an epoch of the same network on the same images, against a plain PyTorch loop with a
              DataLoader and a chain of transforms for each image
``chain``     kernel PCA, t-SNE and k-means of 8,500 x 4,096 latents, against plain scikit-learn;
              with openTSNE where that extra is installed
``start``     how long the command takes before it works: help, fresh predict, the first step
``accuracy``  time until the default recipe reaches the accuracy that ``baseline`` has in the end

``landscape`` is read from ``AECLUST_DATA`` (or ``../shared/data``); only ``accuracy`` reads labels,
those of the validation images, to score.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from rows import Row, append_row, read_rows
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode

from aeclust.clusters.reduction import reduce
from aeclust.clusters.scores import score
from aeclust.estimator import AutoencoderClusterer
from aeclust.network import convolution, inference
from aeclust.network.batches import generator, to_input
from aeclust.network.losses import objective
from aeclust.network.model import Autoencoder, build
from aeclust.network.optimizers import build_optimizer
from aeclust.network.training import train
from aeclust.network.views import Batch, shown
from aeclust.recipe import named

DATA = Path(os.environ.get("AECLUST_DATA", Path(__file__).parents[2] / "shared" / "data"))
CPU = torch.device("cpu")
HYBRID = named("hybrid")
BATCH = 256


def landscape(name: str = "trainX") -> NDArray[np.uint8]:
    images: NDArray[np.uint8] = np.load(DATA / "landscape" / f"{name}.npy")
    return images


def seconds(work: Callable[[], object], *, repeats: int = 5, warm: int = 2) -> float:
    """Median wall-clock time of a call, after some that do not count."""
    for _ in range(warm):
        work()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times))


# -- the roof ----------------------------------------------------------------------------------


def roof(dtype: torch.dtype) -> float:
    """Floating-point operations a second of a large matrix product."""
    size = 2048
    a, b = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / seconds(lambda: a @ b, repeats=15)


def matmul() -> Row:
    single, half = roof(torch.float32), roof(torch.bfloat16)
    return {"float32": round(single / 1e9), "bfloat16": round(half / 1e9), "unit": "GFLOP/s"}


# -- training and embedding --------------------------------------------------------------------


def flops(work: Callable[[], object]) -> int:
    """Of the products in a call: two for a multiplication and addition."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def step() -> Row:
    network, pixels = build(HYBRID, 3, seed=0).train(), landscape()[:BATCH]
    optimizer = build_optimizer(network, HYBRID)

    def augment() -> Batch:
        source = generator(CPU, 0, "augmentation", 0, 0)
        return shown(to_input(pixels, 32, CPU), HYBRID, source)

    batch = augment()

    def learn() -> None:
        with torch.autocast("cpu", torch.bfloat16):
            output = network(batch.images, None, batch.crops, slice(0, None, batch.every))
        loss = objective(output, batch.drawn, HYBRID).total
        network.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]

    work = flops(learn)
    times = {name: seconds(part) for name, part in (("augment", augment), ("learn", learn))}
    times["optimizer"] = seconds(optimizer.step)
    whole = sum(times.values())
    rate = work / times["learn"]
    return {
        "images": BATCH,
        "gflop": round(work / 1e9, 1),
        **{f"{name}_ms": round(1000 * value, 1) for name, value in times.items()},
        "augment_share": round(times["augment"] / whole, 3),
        "images_per_second": round(BATCH / whole),
        "gflop_per_second": round(rate / 1e9),
        "share_of_bfloat16": round(rate / roof(torch.bfloat16), 3),
        "share_of_whole_step": round(work / whole / roof(torch.bfloat16), 3),
    }


def patches() -> Row:
    def quickest(width: int) -> float:
        """Of 10 steps of 64 images, where maps up to so wide become patches."""
        ends: list[float] = []
        kept = convolution._PATCHED, convolution._PATCHED_TRANSPOSED
        convolution._PATCHED, convolution._PATCHED_TRANSPOSED = min(width, 4), min(width, 2)
        recipe = named("deep").override({"epochs": 1, "precision": "bfloat16"})
        try:
            train(
                landscape()[:640], recipe, seed=0, device=torch.device("cpu"),
                observe=lambda moment: ends.append(time.perf_counter()),
            )  # fmt: skip
        finally:
            convolution._PATCHED, convolution._PATCHED_TRANSPOSED = kept
        return float(np.diff(ends).min())

    plain, patched = (1000 * min(quickest(width) for _ in range(2)) for width in (0, 4))
    return {"plain_ms": plain, "patches_ms": patched, "share": patched / plain}


def embed() -> Row:
    network, pixels = build(HYBRID, 3, seed=0).eval(), landscape()[: 8 * BATCH]
    work = flops(lambda: network.encode(to_input(pixels[:BATCH], 32, CPU)))
    spent = seconds(lambda: inference.embed(network, pixels), repeats=3, warm=1)
    rate = 8 * work / spent
    single = roof(torch.float32)
    return {
        "images_per_second": round(len(pixels) / spent),
        "mflop_an_image": round(work / BATCH / 1e6, 1),
        "gflop_per_second": round(rate / 1e9),
        "share_of_float32": round(rate / single, 3),
    }


class Views(Dataset[tuple[Tensor, Tensor]]):
    """Two random views of each image, made one by one, as examples on the web do it."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels = pixels
        self.random = np.random.default_rng(0)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.pixels[row])
        return self.transform(image), self.transform(image)

    def transform(self, image: Image.Image) -> Tensor:
        draw = self.random.uniform
        area, ratio = 32 * 32 * draw(0.25, 1), np.exp(draw(np.log(3 / 4), np.log(4 / 3)))
        width, height = min(32.0, (area * ratio) ** 0.5), min(32.0, (area / ratio) ** 0.5)
        x, y = draw(0, 32 - width), draw(0, 32 - height)
        image = image.resize((32, 32), Image.Resampling.BILINEAR, (x, y, x + width, y + height))
        if draw() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if draw() < 0.8:
            image = ImageEnhance.Brightness(image).enhance(draw(0.6, 1.4))
            image = ImageEnhance.Contrast(image).enhance(draw(0.6, 1.4))
            image = ImageEnhance.Color(image).enhance(draw(0.6, 1.4))
            hue, saturation, value = image.convert("HSV").split()
            turn = int(draw(-0.1, 0.1) * 255)
            hue = hue.point([(level + turn) % 256 for level in range(256)])
            image = Image.merge("HSV", (hue, saturation, value)).convert("RGB")
        if draw() < 0.2:
            image = image.convert("L").convert("RGB")
        return torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 127.5 - 1


def plain_epoch(network: Autoencoder, pixels: NDArray[np.uint8]) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    workers = torch.get_num_threads()
    loader = DataLoader(Views(pixels), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    network.train()
    for first, second in loader:
        images = torch.cat([first, second])
        loss = objective(network(images), first, HYBRID).total
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()


def loop() -> Row:
    pixels = landscape()[: 16 * BATCH]
    recipe = HYBRID.override({"epochs": 1, "label_epochs": 0})
    ours = seconds(lambda: train(pixels, recipe, seed=0, device=CPU), repeats=3, warm=1)
    fresh = build(recipe, 3, seed=0).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    plain = seconds(lambda: plain_epoch(fresh, pixels), repeats=3, warm=1)
    return {
        "images": len(pixels),
        "aeclust_s": round(ours, 2),
        "plain_s": round(plain, 2),
        "times_faster": round(plain / ours, 2),
    }


# -- the report's chain ------------------------------------------------------------------------


def chain() -> Row:
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import KernelPCA
    from sklearn.manifold import TSNE, trustworthiness

    network = build(named("baseline"), 3, seed=0)
    latents = inference.embed(network, landscape())

    def plain() -> NDArray[Any]:
        reduced = KernelPCA(200, kernel="rbf", random_state=0).fit_transform(latents)
        placed = TSNE(random_state=0).fit_transform(reduced)
        MiniBatchKMeans(2, random_state=0).fit_predict(placed)
        return np.asarray(placed)

    def ours() -> NDArray[Any]:
        placed = reduce(latents, ("kpca:200", "tsne:2"), seed=0)
        MiniBatchKMeans(2, n_init=10, random_state=0).fit_predict(placed)
        return placed

    row: Row = {"shape": latents.shape, "openTSNE": find_spec("openTSNE") is not None}
    for name, work in (("plain", plain), ("aeclust", ours)):
        started = time.perf_counter()
        placed = work()
        row[f"{name}_s"] = round(time.perf_counter() - started, 1)
        sample = np.random.default_rng(0).choice(len(latents), 3_000, replace=False)
        trust = trustworthiness(latents[sample], placed[sample], n_neighbors=15)
        row[f"{name}_trustworthiness"] = round(float(trust), 4)
    row["times_faster"] = round(row["plain_s"] / row["aeclust_s"], 2)
    return row


# -- the command -------------------------------------------------------------------------------


def command(*arguments: object, folder: Path) -> float:
    """Seconds that a command takes."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "aeclust", *map(str, arguments)],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def first_step(folder: Path, images: Path) -> float:
    """Seconds from the start of ``aeclust train`` until it has saved the untrained weights."""
    run = folder / "started"
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "aeclust", "train", str(images), "--run", str(run), "-q"]
    )
    while not (run / "weights" / "epoch-0000.h5").exists():
        time.sleep(0.01)
    spent = time.perf_counter() - started
    process.terminate()
    process.wait()
    return spent


def start() -> Row:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = folder / "images.npy"
        np.save(images, landscape())
        row = {
            f"{flag.strip('-')}_s": round(seconds(partial(command, flag, folder=folder)), 2)
            for flag in ("--help", "--version")
        }
        row["first_step_s"] = round(first_step(folder, images), 2)
        one = ("--epochs", 1, "--set", "label_epochs=0", "--run", "run")
        command("train", images, *one, folder=folder)
        command("predict", "--run", "run", "-o", "a.csv", folder=folder)
        fresh = seconds(lambda: command("predict", "--run", "run", "-o", "a.csv", folder=folder))
        return {**row, "fresh_predict_s": round(fresh, 2), "images": len(landscape())}


def accuracy() -> Row:
    """Both cluster training and validation images together, as ``benchmarks/accuracy.py`` does."""
    pixels = np.concatenate([landscape(), landscape("valX")])
    classes = np.load(DATA / "landscape" / "valY.npy")

    def measured(recipe: str, **settings: object) -> tuple[float, float]:
        started = time.perf_counter()
        model = AutoencoderClusterer(2, recipe=recipe, settings=settings, random_state=0)
        found = model.fit(pixels).labels_[-len(classes) :]
        return score(found, classes).accuracy, time.perf_counter() - started

    # an epoch of the baseline is the same work each time: a hundred of them would take an hour
    baseline = named("baseline").override({"epochs": 1, "precision": "auto"})
    epoch = seconds(lambda: train(pixels, baseline, seed=0, device=CPU), repeats=1, warm=0)
    reached, spent = measured("hybrid", epochs=2, label_epochs=0)
    return {
        "hybrid_epochs": 2,
        "hybrid_accuracy": reached,
        "hybrid_s": round(spent, 1),
        "baseline_epoch_s": round(epoch, 1),
        "baseline_100_epochs_s": round(100 * epoch),
        "times_faster": round(100 * epoch / spent, 1),
    }


PARTS: dict[str, Callable[[], Row]] = {
    "matmul": matmul,
    "step": step,
    "patches": patches,
    "embed": embed,
    "loop": loop,
    "chain": chain,
    "start": start,
    "accuracy": accuracy,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    unknown = set(asked.parts) - set(PARTS)
    if unknown:
        parser.error(f"unknown part {sorted(unknown)[0]!r}")
    if asked.table:
        print(table(read_rows("speed")))
        return
    for name in asked.parts or PARTS:
        machine = {"threads": torch.get_num_threads(), "torch": torch.__version__}
        append_row("speed", {"part": name, **PARTS[name](), **machine})


def table(rows: list[Row]) -> str:
    """Markdown: the latest row of every part."""
    latest = {row["part"]: row for row in rows}
    lines = ["| part | measured |", "| --- | --- |"]
    for name in PARTS:
        if name in latest:
            row = {k: v for k, v in latest[name].items() if k not in ("part", "torch")}
            cells = ", ".join(f"{key} {json.dumps(value)}" for key, value in row.items())
            lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
