"""What evaluate and compare answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from aeclust.cli.answers import Answer, scores_text
from aeclust.errors import listed, printable

if TYPE_CHECKING:
    from aeclust.run.compare import Compared
    from aeclust.run.evaluate import Evaluated

_MOST_ROWS, _MOST_COLUMNS, _LONGEST = 40, 20, 20  # of a table on a screen, and of its titles
_MARK = "*"
_STABLE, _UNSURE, _DOUBTFUL = 0.75, 0.6, 0.5  # Hennig's limits of a mean Jaccard index
_MOST_RUNS = 10  # whose indices stand in a triangle
_LEGEND = (
    "stability: how far the same cluster comes again in the others, from 0 to 1",
    "least: its stability in the one that agrees worst",
    "together: the largest share of its images that is in one cluster of another",
)


def evaluated_answer(result: Evaluated) -> Answer:
    """Scores by the best matching and as written, and clusters by classes."""
    lines = [result.added] * bool(result.added)
    if result.left_out:
        lines.append(
            "1 image whose label was known before is left out; --with-known scores it too"
            if result.left_out == 1
            else f"{result.left_out:,} images whose labels were known before are left out;"
            " --with-known scores them too"
        )
    if result.labelled + result.left_out < result.images:
        lines.append(
            f"{result.labelled:,} of {result.images:,} images have a true label and are scored"
        )
    lines.append(scores_text(result.scores, names=result.names, as_written=result.as_written))
    if result.renamed:
        better = (f"{titled(j, result.names)} is {word}" for j, word in result.renamed.items())
        lines.append(f"best matching: {printable(listed(better))}")
    table = result.table
    classes = [result.classes.get(j, str(j)) for j in table.classes.tolist()]
    lines += _table_lines(result, classes)
    json = {
        "images": result.labelled,
        **asdict(result.scores),
        "as_written": result.as_written,
        "by_hand": result.added,
        "left_out": result.left_out,
        "names": {str(j): name for j, name in result.names.items()},
        "table": {
            "clusters": table.clusters.tolist(),
            "classes": classes,
            "counts": table.counts.tolist(),
            "matched": table.matched.tolist(),
        },
    }
    return Answer("\n".join(lines), json)


def compared_answer(compared: Compared) -> Answer:
    """How far clusters and images stay together."""
    import numpy as np

    result, ids = compared.result, compared.ids
    first, stay = compared.labels[0], int((result.kept == 1).sum())
    sizes = [int((first == j).sum()) for j in result.numbers.tolist()]
    lines = [f"{len(compared.places)} clusterings of {len(ids):,} images"]
    beside = [
        f"{count:,} other image{'s' * (count != 1)} of {printable(place)}"
        for place, count in zip(compared.places, compared.left_out, strict=True)
        if count
    ]
    lines += [f"left out: {listed(beside)}"] * bool(beside)
    if compared.by_ids:
        text = printable(listed(compared.by_ids))
        lines.append(f"matched by their ids, because the images differ: {text}")
    lines += [
        f"{printable(place)}: {added}"
        for place, added in zip(compared.places, compared.added, strict=True)
        if added
    ]
    lines += ["", "cluster   images  stability  least  together"]
    clusters = []
    numbers = zip(result.clusters, result.overlap.min(0), result.together, strict=True)
    for j, size, three in zip(result.numbers.tolist(), sizes, numbers, strict=True):
        mean, low, together = map(float, three)
        name = compared.names[0].get(j) or None
        line = f"{j:7d}  {size:7d}  {mean:9.3f}  {low:5.3f}  {together:8.3f}  "
        line += _reading(mean, together)
        lines.append(line + (f"  {printable(name)}" if name else ""))
        row = {"cluster": j, "size": size, "name": name}
        row |= {"stability": round(mean, 6), "lowest": round(low, 6)}
        row["together"] = round(together, 6)
        clusters.append(row)
    lines += ["", *_LEGEND, "", *_index_lines(compared), ""]
    lines.append(f"{stay:,} of {len(ids):,} images stay in their cluster of {compared.places[0]}")
    order = [i for i in np.argsort(result.kept, kind="stable")[:10].tolist() if result.kept[i] < 1]
    shares = [(ids[i].item(), round(float(result.kept[i]), 6)) for i in order]
    if shares:
        least = listed(f"{printable(str(name))} ({share:.2f})" for name, share in shares[:5])
        lines.append(f"least stable images: {least}")
    json = {
        "runs": compared.places,
        "images": len(ids),
        "left_out": compared.left_out,
        "by_ids": compared.by_ids,
        "by_hand": compared.added,
        "clusters": clusters,
        "ari": result.ari.round(6).tolist(),
        "stay_in_all": stay,
        "mean_stays": round(float(result.kept.mean()), 6),
        "least_stable": [{"id": name, "stays": share} for name, share in shares],
    }
    return Answer("\n".join(lines), json)


def _reading(stability: float, together: float) -> str:
    """What a cluster's stability means, by the limits that its author gives.

    Images that stay together may be part of a larger cluster, which nobody would call dissolved.
    """
    if stability >= _STABLE:
        return "stable"
    if stability >= _UNSURE:
        return "unsure"
    if together >= _STABLE:
        return "joined with others"
    return "doubtful" if stability >= _DOUBTFUL else "dissolved"


def _index_lines(compared: Compared) -> list[str]:
    """Adjusted Rand indices of all pairs as a triangle; of many clusterings their range."""
    ari, r = compared.result.ari, len(compared.places)
    if r > _MOST_RUNS:
        pairs = [ari[i, j] for i in range(r) for j in range(i)]
        text = f"{min(pairs):.3f} to {max(pairs):.3f}, mean {sum(pairs) / len(pairs):.3f}"
        return [f"adjusted Rand index of {len(pairs)} pairs: {text}"]
    titles = [f"{i} {printable(place)}" for i, place in enumerate(compared.places, 1)]
    left = max(map(len, (*titles, "adjusted Rand index")))
    heads = "".join(f"{i:8d}" for i in range(1, r))
    lines = [f"{'adjusted Rand index':{left}s}{heads}"]
    for i, title in enumerate(titles):
        cells = "".join(f"{ari[i, j]:8.3f}" for j in range(i))
        lines.append(f"{title:{left}s}{cells}" if i else title)
    return lines


def titled(cluster: int, names: Mapping[int, str]) -> str:
    """The number of a cluster and, in brackets, its name if it has one."""
    return f"{cluster} ({printable(names[cluster])})" if names.get(cluster) else str(cluster)


def _table_lines(result: Evaluated, classes: Sequence[str]) -> list[str]:
    """Clusters by classes, the matched ones marked; of very many, where the table is."""
    table = result.table
    k, c = table.counts.shape
    if k > _MOST_ROWS or c > _MOST_COLUMNS:
        return [f"{k} clusters by {c} classes: --json has the table, and --plot draws it"]
    heads = [_short(printable(name)) for name in classes]
    rows = [
        "outliers" if j == -1 else _short(titled(j, result.names)) for j in table.clusters.tolist()
    ]
    cells = [
        [f"{count}{_MARK if column == match else ' '}" for column, count in enumerate(counts)]
        for counts, match in zip(table.counts.tolist(), table.matched.tolist(), strict=True)
    ]
    wide = [max(len(head), *(len(row[j]) - 1 for row in cells)) for j, head in enumerate(heads)]
    left = max(map(len, (*rows, "cluster")))
    lines = [f"{'cluster':{left}s}  " + "  ".join(map("{:>{}s} ".format, heads, wide)).rstrip()]
    for title, row in zip(rows, cells, strict=True):
        numbers = "  ".join(f"{cell:>{width + 1}s}" for cell, width in zip(row, wide, strict=True))
        lines.append(f"{title:{left}s}  {numbers}".rstrip())
    return [f"images by cluster (row) and true label (column), {_MARK} matched:", *lines]


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
