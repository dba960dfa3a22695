"""From ten thousand images to a million: time and memory of every stage.

    python benchmarks/scale.py cluster         # 10,000 to 1,000,000 latents, about 10 minutes
    python benchmarks/scale.py million         # all stages on a 3 GB file, about 15 minutes
    python benchmarks/scale.py vectors         # all stages on 100,000 and a million vectors
    python benchmarks/scale.py commands        # every command on 10,000 and 100,000 photographs
    python benchmarks/scale.py processes       # one process against two, about 2 minutes
    python benchmarks/scale.py --table

Every stage is a process of its own, whose time and largest resident set are measured; rows go to
``benchmarks/results/scale.jsonl``. ``million`` needs 5 GB of disk (``--folder``); it trains one
epoch of an eighth of the default's channels, because memory and data are what it is about. Images
and latents are generated.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from commands import commands, measured
from numpy.typing import NDArray
from rows import Row, append_row, read_rows

from aeclust.images import demo

MILLION = 1_000_000
SIZES = (10_000, 100_000, MILLION)

CLUSTER = """
import sys
import numpy as np
from aeclust.clusters.chain import cluster_latents
from aeclust.recipe import named
latents = np.load(sys.argv[1], mmap_mode="r")
found = cluster_latents(latents, named("hybrid").override({"k": 10}), seed=0)
print(np.bincount(found.labels).tolist())
"""


def make_latents(n: int) -> NDArray[np.float32]:
    """Ten overlapping clusters, 128 values."""
    random = np.random.default_rng(0)
    centres = random.normal(size=(10, 128)).astype(np.float32)
    latents = random.standard_normal((n, 128), np.float32)
    for start in range(0, n, 100_000):
        latents[start : start + 100_000] += centres[
            random.integers(0, 10, len(latents[start : start + 100_000]))
        ]
    return latents


def make_images(file: Path, n: int) -> None:
    """Built-in scenes, each brightened a little differently and with noise of its own."""
    scenes = demo.load("scenes").pixels
    random = np.random.default_rng(0)
    images = np.lib.format.open_memmap(file, "w+", np.uint8, (n, *scenes.shape[1:]))
    for start in range(0, n, 10_000):
        rows = np.arange(start, min(n, start + 10_000)) % len(scenes)
        block = scenes[rows] * random.uniform(0.7, 1.0, (len(rows), 1, 1, 1)).astype(np.float32)
        block += random.uniform(0, 20, block.shape).astype(np.float32)
        images[start : start + len(rows)] = block.clip(0, 255)
    images.flush()


def cluster(folder: Path) -> None:
    for n in SIZES:
        file = folder / "latents.npy"
        np.save(file, make_latents(n))
        row = measured([sys.executable, "-c", CLUSTER, str(file)])
        per = 1e6 * row["seconds"] / (n * np.log(n))
        keep("cluster", {"n": n, **row, "us_per_n_log_n": round(per, 2)})


def million(folder: Path) -> None:
    images, run = folder / "images.npy", folder / "run"
    if not images.exists():
        make_images(images, MILLION)
    train = ["train", str(images), "--epochs", "1", "--set", "label_epochs=0", "--force"]
    train += ["--set", "channels=8,16,32"]
    for arguments in (train, ["embed"], ["cluster"], ["predict", "-o", str(folder / "all.csv")]):
        command = [sys.executable, "-m", "aeclust", *arguments, "--run", str(run), "-q"]
        keep("million", {"n": MILLION, "stage": arguments[0], **measured(command)})


def vectors(folder: Path) -> None:
    """A run of vectors: all that comes after a network."""
    have = {(row.get("n"), row.get("stage")) for row in read_rows("scale")}
    for n in SIZES[1:]:
        file, run, table = folder / f"{n}.npy", folder / f"vectors-{n}", folder / "all.csv"
        if not file.exists():
            np.save(file, make_latents(n))
        begin = ["embed", "--features", str(file), "--force"]
        for stage, arguments in {
            "embed --features": begin,
            "cluster -k 10": ["cluster", "-k", "10"],
            "predict of vectors": ["predict", "-o", str(table)],
            "plot": ["plot"],
            "report": ["report"],
            "find similar": ["find", "similar", "5"],
            "find duplicates": ["find", "duplicates"],
            "find outliers": ["find", "outliers"],
            "ask": ["ask", "--force"],
            "info": ["info"],
            "update": ["update"],
        }.items():
            if (n, stage) in have:
                continue
            if stage == "update":  # one in a hundred is gone, and as many have come
                some = np.load(file)
                some[: n // 100] = make_latents(n // 100) + 1
                np.save(file, some)
            place = [str(run)] if stage == "info" else ["--run", str(run), "-q"]
            command = [sys.executable, "-m", "aeclust", *arguments, *place]
            keep("vectors", {"n": n, "stage": stage, **measured(command, threads=1)})


def processes(folder: Path) -> None:
    """The same training by one process on two threads and by two processes on one each."""
    images = folder / "few.npy"
    np.save(images, demo.load("scenes").pixels)
    train = ["aeclust", "train", str(images), "--epochs", "4", "--set", "label_epochs=0", "--force"]
    start = [sys.executable, "-m"]
    two = [*start, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]
    for count, launch, threads in ((1, start, 2), (2, two, 1)):
        run = folder / f"by-{count}"
        measured([*launch, *train, "--run", str(run), "-q"], threads=threads)
        lines = (run / "metrics.jsonl").read_text().splitlines()
        rates = [json.loads(line)["images_per_second"] for line in lines[1:]]
        row = {"processes": count, "threads_each": threads}
        keep("processes", {**row, "images_per_second": round(float(np.median(rates)))})


def keep(part: str, row: Row) -> None:
    append_row("scale", {"part": part, **row, "torch": torch.__version__})


PARTS = {
    "cluster": cluster, "million": million, "vectors": vectors, "commands": commands,
    "processes": processes,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--folder", type=Path, help="where the files lie; temporary if absent")
    parser.add_argument("--table", action="store_true")
    asked = parser.parse_args()
    if asked.table:
        print(table(read_rows("scale")))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name in asked.parts or PARTS:
            PARTS[name](folder)


def table(rows: list[Row]) -> str:
    """Markdown: the latest row of every kind."""
    latest = {(r["part"], r.get("stage"), r.get("n"), r.get("processes")): r for r in rows}
    lines = ["| part | measured |", "| --- | --- |"]
    for row in latest.values():
        cells = [f"{key} {value}" for key, value in row.items() if key not in ("part", "torch")]
        lines.append(f"| {row['part']} | {', '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
