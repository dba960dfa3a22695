"""Every command on generated photographs, as an array and as JPEG files, in processes of their own.

``benchmarks/scale.py commands`` runs it, on one thread. What is in the rows already is not measured
again.

    python benchmarks/commands.py       # the table of what is measured
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from rows import Row, append_row, read_rows

from aeclust.images import demo

SIZES: tuple[int, ...] = (10_000, 100_000)
KINDS: tuple[str, ...] = ("array", "files")
_AT_ONCE = 10_000
# Arithmetic of a network is in proportion to the images: a small one leaves room for the rest.
_SMALL = ("--epochs", "2", "--set", "label_epochs=1", "--set", "channels=8,16,32", "-k", "10")


def measured(arguments: list[str], *, threads: int | None = None) -> Row:
    """Seconds, seconds of processors and gigabytes (largest resident set) of a process."""
    environment = dict(os.environ)
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    started = time.perf_counter()
    with subprocess.Popen(
        arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        peak = 0.0
        while True:
            peak = max(peak, resident(process.pid))
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            time.sleep(0.02)
        spent = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.stderr is not None
        if process.returncode:
            sys.exit(f"{' '.join(arguments)}\n{process.stderr.read()}")
    cpu = round(used.ru_utime + used.ru_stime, 1)
    return {"seconds": round(spent, 1), "cpu": cpu, "peak_gb": round(peak / 1e6, 2)}


def resident(pid: int) -> float:
    """Kilobytes of the largest resident set so far, by Linux; 0 where it does not tell."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0.0)


def make_photographs(file: Path, n: int) -> None:
    """Scenes that differ all of them, in an array; their classes beside them.

    One in a hundred is a copy, brighter than the one before it.
    """
    pixels = np.lib.format.open_memmap(file, "w+", np.uint8, (n, demo.SIDE, demo.SIDE, 3))
    classes = np.empty(n, np.int64)
    for start in range(0, n, _AT_ONCE):
        made = demo.scenes(min(_AT_ONCE, n - start), seed=100 + start)
        some = slice(start, start + len(made.labels))
        pixels[some], classes[some] = made.pixels, made.labels
    copies = np.arange(99, n, 100)
    pixels[copies] = (pixels[copies - 1] * 1.1).clip(0, 255)
    pixels.flush()
    np.save(truth_of(file), classes)


def truth_of(file: Path) -> Path:
    return file.with_name(f"{file.stem}-truth.npy")


def make_files(folder: Path, file: Path) -> None:
    """The images of an array as JPEG files of 64 x 48 pixels, a thousand in a folder."""
    for i, pixels in enumerate(np.load(file, mmap_mode="r")):
        place = folder / f"{i // 1_000:03d}"
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).resize((64, 48)).save(place / f"{i:06d}.jpg", quality=85)


def commands(folder: Path) -> None:
    for kind in KINDS:
        for n in SIZES:
            _Run(folder, kind, n)()


class _Run:
    """One run folder, and every command on it in an order that gives each its work."""

    def __init__(self, folder: Path, kind: str, n: int) -> None:
        self.kind, self.n, self.folder = kind, n, folder / f"{kind}-{n}"
        self.array, self.new = folder / f"{n}.npy", folder / f"{n // 10}-new.npy"
        self.data = self.folder / ("photographs" if kind == "files" else "photographs.npy")
        self.run, self.table = self.folder / "run", self.folder / "all.csv"

    def __call__(self) -> None:
        have = {(r["kind"], r["n"], r["step"]) for r in read_rows("commands")}
        todo = [s for s in self.steps() if (self.kind, self.n, s) not in have]
        if not todo:
            return
        self.make()
        for step, (before, arguments) in self.steps().items():
            if step not in todo and (self.run / "run.json").exists():
                continue
            if before is not None:
                before()
            words = [sys.executable, "-m", "aeclust", *arguments]
            row = measured(words, threads=1)
            append_row("commands", {"kind": self.kind, "n": self.n, "step": step, **row})

    def make(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for file, n in ((self.array, self.n), (self.new, self.n // 10)):
            if not file.exists():
                make_photographs(file, n)
        if not self.data.exists() and self.kind == "files":
            make_files(self.data, self.array)
        elif not self.data.exists():
            shutil.copy(self.array, self.data)

    def steps(self) -> dict[str, tuple[Callable[[], None] | None, list[str]]]:
        """What goes before a command, and the command, by what the table calls it."""
        run, data = ["--run", str(self.run), "-q"], str(self.data)
        size = ["--size", "32"] if self.kind == "files" else []
        out = str(self.folder / "out")
        every: dict[str, tuple[Callable[[], None] | None, list[str]]] = {
            "train": (None, ["train", data, *size, *_SMALL, "--force", *run]),
            "embed": (None, ["embed", *run]),
            "cluster": (None, ["cluster", *run]),
            "predict": (None, ["predict", *run, "-o", str(self.table)]),
            "predict, a tenth as many new images": (None, ["predict", str(self.new), *run]),
            "evaluate": (self.answers, ["evaluate", str(self.run), f"{out}.csv", "--json"]),
            "plot": (None, ["plot", *run]),
            "plot --gallery": (None, ["plot", "--gallery", *run]),
            "report": (None, ["report", *run]),
            "find similar": (None, ["find", "similar", self.id(5), *run]),
            "find duplicates": (None, ["find", "duplicates", *run]),
            "find outliers": (None, ["find", "outliers", *run]),
            "ask": (None, ["ask", *run, "--force", "-o", f"{out}-ask.csv"]),
            "reconstruct": (None, ["reconstruct", *run, "--idx", "1,2,3,6,7,9"]),
            "checkpoint-curve": (None, ["checkpoint-curve", *run]),
            "name": (None, ["name", "--run", str(self.run)]),
            "info": (None, ["info", str(self.run)]),
            "compare": (None, ["compare", str(self.run), str(self.table)]),
            "export .csv": (None, ["export", f"{out}-labels.csv", "--force", *run]),
            "export .npz": (None, ["export", f"{out}.npz", "--force", *run]),
            "edit merge": (None, ["edit", "merge", "0", "1", *run]),
            "edit split": (None, ["edit", "split", "2", *run]),
            "edit move": (None, ["edit", "move", self.id(5), "--to", "3", *run]),
            "predict, edited": (None, ["predict", *run]),
            "report, edited": (None, ["report", *run]),
            "update, nothing new": (None, ["update", *run]),
            "predict, all touched": (self.touch, ["predict", *run]),
            "update, one in a hundred new and gone": (self.change, ["update", *run]),
        }
        if self.kind == "files":
            every["export, a folder of links"] = (None, ["export", f"{out}-d", "--link", *run])
        return every

    def id(self, i: int) -> str:
        return f"000/{i:06d}.jpg" if self.kind == "files" else str(i)

    def answers(self) -> None:
        """The true classes by id."""
        labels = np.load(truth_of(self.array)).tolist()
        ids = [line.split(",")[0] for line in self.table.read_text().splitlines()[1:]]
        rows = (f"{name},{label}" for name, label in zip(ids, labels, strict=True))
        (self.folder / "out.csv").write_text("\n".join(["id,label", *rows, ""]))

    def touch(self) -> None:
        """Every file has another time, and is as it was."""
        for file in self.data.rglob("*.jpg") if self.kind == "files" else [self.data]:
            os.utime(file)

    def change(self) -> None:
        """One in a hundred goes, and as many come."""
        pixels, new = np.load(self.array), np.load(self.new)[: self.n // 100]
        if self.kind == "array":
            np.save(self.data, np.concatenate([pixels[len(new) :], new]))
            return
        for i in range(0, self.n, 100):
            (self.data / f"{i // 1_000:03d}" / f"{i:06d}.jpg").unlink(missing_ok=True)
        np.save(self.folder / "new.npy", new)
        make_files(self.data / "new", self.folder / "new.npy")


def table(rows: list[Row]) -> str:
    """Markdown: seconds of a processor and gigabytes of every command, by kind and size."""
    found = {(r["kind"], r["n"], r["step"]): r for r in rows}
    columns = [(kind, n) for kind in KINDS for n in SIZES]
    heads = [f"{n:,} {'photographs' if kind == 'array' else 'JPEG files'}" for kind, n in columns]
    lines = [f"| command | {' | '.join(heads)} |", "| --- " * (len(columns) + 1) + "|"]
    for step in dict.fromkeys(row["step"] for row in rows):
        each = [found.get((*column, step)) for column in columns]
        cells = [f"{r['cpu']} s, {r['peak_gb']} GB" if r else "" for r in each]
        lines.append(f"| {step} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(read_rows("commands")))
