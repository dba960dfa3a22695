"""How fast training is beside other work, by the number of threads.

    python benchmarks/busy.py            # about four minutes on two cores
    python benchmarks/busy.py --seconds 3 --busy 0 1
    python benchmarks/busy.py --table    # the latest rows

The default recipe learns the built-in scenes, beside 0, 1, 2 and 3 processes that do nothing but
count. Each row is images a second with a number of threads: the first step does not count, nor
does starting. ``rule`` is what ``aeclust train`` takes by itself, measured like the others. Rows
are appended to ``benchmarks/results/busy.jsonl``. Nothing else may run meanwhile.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from rows import append_row, read_rows

SPIN = "while True: pass"
STEPS = """
import math, os, sys, time
from aeclust.cli import threads
given, seconds = sys.argv[1], float(sys.argv[2])
number = threads.suitable(lambda line: None) if given == "rule" else int(given)
with threads.on_threads(number):
    import torch
    from aeclust.images import demo
    from aeclust.network.training import train
    from aeclust.recipe import named
    torch.set_num_threads(number)
    started, seen = math.inf, 0
    class Enough(Exception): pass
    def observe(moment):
        global started, seen
        if moment.images == 0: return
        if started == math.inf:  # the first step
            started = time.perf_counter()
            return
        seen += moment.images
        if time.perf_counter() - started > seconds: raise Enough
    pixels = demo.load("scenes").pixels
    try:
        train(pixels, named("hybrid"), seed=0, device=torch.device("cpu"), observe=observe)
    except Enough:
        print(number, seen / (time.perf_counter() - started))
"""


@contextmanager
def beside(count: int) -> Iterator[None]:
    """Within it so many processes are busy."""
    others = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(count)]
    time.sleep(1)
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def measure(threads: str, seconds: float) -> tuple[int, float]:
    """Threads taken, and images a second."""
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", STEPS, threads, str(seconds)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    number, speed = done.stdout.split()
    return int(number), float(speed)


def table() -> None:
    """The latest row of each kind, as Markdown."""
    latest = {(row["busy"], row["asked"]): row for row in read_rows("busy")}
    asked = sorted({kind for _, kind in latest})
    print("| busy processes |", " | ".join(asked), "|\n| --- |", "--- |" * len(asked))
    for busy in sorted({busy for busy, _ in latest}):
        cells = []
        for kind in asked:
            row = latest.get((busy, kind))
            taken = f" ({row['threads']})" if row and kind == "rule" else ""
            cells.append(f"{row['images_per_second']:.0f}{taken}" if row else "")
        print(f"| {busy} |", " | ".join(cells), "|")


def main() -> None:
    """Measure, or show what was measured."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--busy", type=int, nargs="*", default=[0, 1, 2, 3])
    parser.add_argument("--threads", nargs="*", default=["1", "2", "rule"])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    for busy in () if given.table else given.busy:
        with beside(busy):
            for asked in given.threads:
                threads, speed = measure(asked, given.seconds)
                row = {"busy": busy, "asked": asked, "threads": threads}
                row |= {"images_per_second": round(speed, 1), "cores": os.cpu_count()}
                append_row("busy", {**row, "torch": torch.__version__})
    table()


if __name__ == "__main__":
    main()
