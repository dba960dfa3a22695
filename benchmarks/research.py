"""Candidates for the default recipe: trained on several sets and seeds side by side, and compared.

    python benchmarks/research.py --candidate base --candidate hot temperature=.5 --jobs 2
    python benchmarks/research.py --candidates FILE.toml --sets cifar10 tiny10 --seeds 0 1 2
    python benchmarks/research.py --candidates FILE.toml --device cuda --jobs 16 --seconds 840
    python benchmarks/research.py --print --half b

A candidate is the default recipe with some fields changed, here or in a TOML or JSON file with a
table of fields for each; ``base`` is the recipe as it is, and the others are compared with it where
its rows are there. Rows are kept in ``results/research.jsonl``; one with the same settings, set,
seed, kind of processor and code is not measured again. Runs begin in the order of the seeds, then
of the candidates, then of the sets. They share the machine, and so their minutes say little: those
of ``accuracy.py`` are true.

What is measured is the program, ``train`` and ``cluster`` without their files. Labels are read
afterwards, to score. Half of a set's labelled images can choose among candidates (``--half a``),
while the other half says what the choice is worth (``--half b``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import Labels, code_of, in_halves, labelled, nearest, packed, probe, right_of
from methods import recipe, settings_of
from research_table import BASE, identity, print_tables
from rows import Row, append_row, processor, read_rows
from sets import SETS, Set

from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clusterers import cluster
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.consensus import refine
from aeclust.clusters.neighbours import neighbours, places
from aeclust.errors import AeclustError
from aeclust.network.inference import assign, embed, random_views
from aeclust.network.model import build, load_state
from aeclust.network.training import Moment, train
from aeclust.recipe import DEFAULT_RECIPE, Recipe, named

CHOSEN = [
    *("landscape-known", "outdoor", "cifar10", "tiny10", "houses", "fashion-mnist"),
    "demo:digits",
]


@dataclass(frozen=True)
class Job:
    """One row to measure, and what tells it from others."""

    candidate: str
    settings: dict[str, Any] = field(repr=False)
    data: str
    seed: int
    processor: str
    code: str
    fields: dict[str, Any]
    device: str

    def to_row(self) -> Row:
        return {name: value for name, value in asdict(self).items() if name != "device"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--candidate", nargs="+", action="append", default=[], metavar=("NAME", "FIELD=VALUE")
    )
    parser.add_argument("--candidates", type=Path, metavar="FILE")
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=CHOSEN)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, help="after which no run begins")
    parser.add_argument("--half", choices="ab", help="of the labelled images, to score on")
    parser.add_argument("--every-code", action="store_true", help="print rows of earlier code too")
    parser.add_argument("--print", action="store_true", help="measure nothing")
    asked = parser.parse_args()
    failed = False
    if not asked.print:
        deadline = time.monotonic() + (asked.seconds or np.inf)
        try:
            jobs = list(missing(asked))
        except (AeclustError, OSError, ValueError) as error:
            parser.error(str(error))
        failed = measure(jobs, asked.jobs, asked.threads, deadline)
    print_tables(read_rows("research"), asked.half, every_code=asked.every_code)
    sys.exit(failed)


def candidates(asked: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Fields by the candidate's name."""
    found: dict[str, dict[str, Any]] = {}
    if asked.candidates is not None:
        text = asked.candidates.read_text(encoding="utf-8")
        found = json.loads(text) if asked.candidates.suffix == ".json" else tomllib.loads(text)
        if not (isinstance(found, dict) and all(isinstance(f, dict) for f in found.values())):
            raise ValueError(f"{asked.candidates}: expected a table of fields for each candidate")
    for name, *fields in asked.candidate:
        if name in found or any("=" not in text for text in fields):
            raise ValueError(f"candidate {name}: expected one, with FIELD=VALUE for each field")
        found[name] = dict(text.split("=", 1) for text in fields)
    if found.get(BASE):
        raise ValueError(f"{BASE} is the recipe as it is: name what has other fields otherwise")
    return found or {BASE: {}}


def missing(asked: argparse.Namespace) -> Iterator[Job]:
    """Rows that are asked for and not there."""
    done = {identity(row) for row in read_rows("research")}
    place = processor(torch.device(asked.device).type)
    code = code_of("aeclust.network.training", "aeclust.network.inference")
    for seed in asked.seeds:
        for name, fields in candidates(asked).items():
            settings = settings_of(recipe(DEFAULT_RECIPE, **fields)) or {}
            if "k" not in fields:  # then it is the set's
                del settings["k"]
            for data in asked.sets:
                job = Job(name, settings, data, seed, place, code, fields, asked.device)
                if identity(job.to_row()) not in done:
                    done.add(identity(job.to_row()))
                    yield job


def measure(jobs: list[Job], processes: int, threads: int, deadline: float) -> bool:
    """Measure rows until the deadline, and keep them; whether one failed."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)  # for the processes to come
    left, failed = iter(jobs), False
    running: dict[Future[Row], Job] = {}
    with ProcessPoolExecutor(
        processes, get_context("spawn"), torch.set_num_threads, (threads,)
    ) as pool:
        while True:
            while len(running) < processes and time.monotonic() < deadline:
                if (job := next(left, None)) is None:
                    break
                running[pool.submit(measured, job)] = job
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                job = running.pop(future)
                try:
                    append_row("research", future.result(), hidden=("settings", "right"))
                except FileNotFoundError as error:
                    print(f"{job.data} is left out: {error.filename} is absent", file=sys.stderr)
                except BrokenProcessPool as error:  # killed, perhaps for memory
                    print(f"{job}: {error}; begin again", file=sys.stderr)
                    return True
                except Exception as error:  # the others go on
                    failed = True
                    print(f"{job}: {type(error).__name__}: {error}", file=sys.stderr)
    if rest := sum(1 for _ in left):
        print(f"{rest} runs are left for another time", file=sys.stderr)
    return failed


@cache
def loaded(name: str) -> Set:
    return SETS[name]()


def measured(job: Job) -> Row:
    """Train and cluster, then score."""
    data = loaded(job.data)
    ours = named(DEFAULT_RECIPE).override({"k": data.k, **job.fields})
    rows, device = labelled(data.classes), torch.device(job.device)
    classes = data.classes[rows]
    first: Row = {}
    scoring = 0.0  # seconds that the program does not need

    def observe(moment: Moment) -> None:
        nonlocal scoring
        if moment.images and (moment.epoch, moment.step) == (ours.epochs, 0):
            started = time.monotonic()
            network = build(ours, data.pixels.shape[3], seed=job.seed).to(device)
            load_state(network, moment.snapshot().weights)
            found = cluster_latents(embed(network, data.pixels), ours, seed=job.seed)
            first["first"] = in_halves(right_of(found.labels[rows], classes))
            first["members"] = list(scores_of_members(found, ours, rows, classes, job.seed))
            scoring += time.monotonic() - started

    started = time.monotonic()
    network = train(data.pixels, ours, seed=job.seed, device=device, observe=observe)
    latents = embed(network, data.pixels)
    labelling = ours.total_epochs > ours.epochs
    assignments = assign(network, latents) if labelling else None
    views = None
    if ours.contrast:
        views = Views(*random_views(network, data.pixels, seed=job.seed, labelled=labelling))
    found = cluster_latents(latents, ours, seed=job.seed, assignments=assignments, views=views)
    minutes = (time.monotonic() - started - scoring) / 60
    right = {
        "probe": probe(latents[rows], classes),
        "nearest": nearest(latents[rows], classes),
        "outcome": right_of(found.labels[rows], classes),
    }
    if assignments is not None:
        right["network"] = right_of(assignments.argmax(1)[rows], classes)
    return {
        **job.to_row(),
        "n": len(rows),
        **first,
        **{name: in_halves(values) for name, values in right.items()},
        "confidence": in_halves(found.confidence[rows]),
        "minutes": round(minutes, 2),
        "sizes": np.sort(np.bincount(found.labels[found.labels >= 0]))[::-1].tolist(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "right": {name: packed(right[name]) for name in ("probe", "outcome")},
    }


def scores_of_members(
    found: Clustering, ours: Recipe, rows: Labels, classes: Labels, seed: int
) -> Iterator[list[float]]:
    """Of the members of a consensus, refined as there, on the labelled rows (m,) that they have."""
    if ours.clusterer != "consensus":
        return
    points, place = (
        found.points[found.references],
        places(len(found.points), found.references)[rows],
    )
    near, there = neighbours(points), place >= 0
    for i, member in enumerate(found.members):
        if not member.collapsed:
            clusterer, size = member.name.removesuffix(" dimensions").split(" in ")
            labels = cluster(points[:, : int(size)], found.k, clusterer, seed=seed, member=i)
            labels = refine(labels, near, found.k, seed=seed, member=i)
            right = np.full(len(rows), np.nan)
            right[there] = right_of(labels[place[there]], classes[there])
            yield in_halves(right)


if __name__ == "__main__":
    main()
