"""How fast photographs are read, beside Pillow alone and beside the limit of its scaled decoding.

    python benchmarks/decoding.py              # a minute on two cores
    python benchmarks/decoding.py --memory     # and what 300 and 1,200 photographs take

It writes JPEG files of 12 megapixels (4000 x 3000, quality 90) of random smooth content, and prints
images for each second that a core works, so that other programs matter little:

``aeclust``  what ``aeclust train FOLDER`` does: 32 x 32 pixels and a preview of each, on all cores
``Pillow``   one thread: open, decode whole, resize to 32 x 32
``draft``    one thread: decode at the scale that aeclust asks for, and nothing else: the limit

How many cores were busy is worth something only where nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from aeclust.images import Source, load

SIZE, PREVIEW = 32, 160
MEMORY = """
import re, sys
from aeclust.images import Source, load
images = load(Source(location=sys.argv[1], size=32))
status = open("/proc/self/status").read()
print(len(images), re.search(r"VmHWM:\\s+(\\d+) kB", status)[1])
"""


def photograph(path: Path, seed: int) -> None:
    """Blots of many sizes, and a little noise as a sensor leaves it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((3000, 4000, 3), np.float32)
    for blots in (4, 16, 64, 256):
        small = Image.fromarray(rng.integers(0, 256, (blots * 3 // 4, blots, 3), np.uint8))
        total += np.asarray(small.resize((4000, 3000), Image.Resampling.BICUBIC)) / 4
    total += rng.normal(0, 3, total.shape).astype(np.float32)
    Image.fromarray(total.clip(0, 255).astype(np.uint8)).save(path, quality=90)


def pillow(path: Path) -> Image.Image:
    """The plain way."""
    with Image.open(path) as image:
        return image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)


def draft(path: Path) -> Image.Image:
    """The least that libjpeg does."""
    with Image.open(path) as image:
        image.draft(None, (PREVIEW, PREVIEW))
        image.load()
        return image


def worked() -> float:
    """Seconds that cores have worked for this process."""
    times = os.times()
    return times.user + times.system


def rate(read: Callable[[], object], n: int) -> tuple[float, float]:
    """Images for each second of work, the best of three rounds, and cores that were busy."""
    rounds = []
    for _ in range(3):
        start, before = time.perf_counter(), worked()
        read()
        work = worked() - before
        rounds.append((n / work, work / (time.perf_counter() - start)))
    return max(rounds)


def memory(files: list[Path], n: int) -> float:
    """The most memory (MB) that a process takes that reads so many photographs."""
    with tempfile.TemporaryDirectory(dir=files[0].parent.parent) as place:
        for i in range(n):
            os.link(files[i % len(files)], Path(place) / f"{i:06}.jpg")
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, place], capture_output=True, text=True, check=True
        )
    return int(done.stdout.split()[1]) / 1_000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=24)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "photographs"
        folder.mkdir()
        files = [folder / f"{i:03}.jpg" for i in range(options.files)]
        for i, path in enumerate(files):
            photograph(path, i)
        cores = len(os.sched_getaffinity(0))
        n, source = len(files), Source(location=str(folder), size=SIZE)
        ours, used = rate(lambda: load(source, preview=True), n)
        plain, _ = rate(lambda: [pillow(path) for path in files], n)
        limit, _ = rate(lambda: [draft(path) for path in files], n)
        mean = sum(path.stat().st_size for path in files) / n / 1e6
        print(f"{n} JPEG files of 12 megapixels, {mean:.1f} MB each")
        print(f"aeclust  {ours:6.1f} images a second and core, {used:.1f} of {cores} cores busy")
        print(f"Pillow   {plain:6.1f}: aeclust is {ours / plain:.1f} times as fast")
        print(f"draft    {limit:6.1f}: aeclust reaches {ours / limit:.0%} of it")
        if options.memory:
            for n in (300, 1_200):
                print(f"{n} photographs: {memory(files, n):.0f} MB at most")


if __name__ == "__main__":
    main()
