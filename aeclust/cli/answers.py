"""What commands print for people: results as lines of text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aeclust.errors import printable
from aeclust.recipe import Recipe

if TYPE_CHECKING:
    from aeclust.clusters.curve import Curve
    from aeclust.clusters.scores import Scores
    from aeclust.run.doctor import Health
    from aeclust.run.info import FileInfo, RunInfo
    from aeclust.run.names import Named


# Checkpoints below which a rank correlation of one may well be chance (p > 0.01).
FEW = 6


def scores_text(scores: Scores) -> str:
    """Accuracy, NMI, ARI and cluster sizes."""
    sizes = ", ".join(f"{name}: {count}" for name, count in scores.sizes.items())
    return (
        f"accuracy {scores.accuracy:.4f}  NMI {scores.nmi:.4f}  ARI {scores.ari:.4f}\n"
        f"cluster sizes {sizes}"
    )


def curve_text(curve: Curve, validated: int) -> str:
    """A row for every checkpoint, rank correlations with accuracy, and its largest fall.

    `validated` is the number of images that accuracies are of.
    """
    lines = ["epoch     MSE  accuracy  view_neighbours"]
    for point in curve.points:
        accuracy = "" if point.accuracy is None else f"{point.accuracy:.3f}"
        views = point.indicators.view_neighbours
        lines.append(f"{point.epoch:5d}  {point.error:.4f}  {accuracy:>8s}  {views:15.3f}")
    shares = [point.indicators.view_neighbours for point in curve.points]
    best = curve.points[shares.index(max(shares))].epoch
    if min(shares) < max(shares):
        lines.append(f"view_neighbours, which needs no labels, is highest after epoch {best}")
    elif len(shares) > 1:
        lines.append("view_neighbours, which needs no labels, does not change")
    if curve.points[0].accuracy is not None:
        few = f" ({len(shares)} checkpoints are too few to mean much)" * (len(shares) < FEW)
        lines.append(f"Spearman correlation with accuracy{few}:")
        for name, rho in curve.correlations.items():
            lines.append(f"  {name:16s} {'undefined' if rho is None else f'{rho:+.2f}'}")
        lines.append(
            "accuracy never falls"
            if curve.fall is None
            else f"largest fall of accuracy: {100 * curve.fall[2]:.1f} points,"
            f" from epoch {curve.fall[0]} to {curve.fall[1]}"
        )
        lines.append(
            f"one standard error of an accuracy on {validated} images:"
            f" {100 * _error(curve, validated):.1f} points"
        )
    return "\n".join(lines)


def _error(curve: Curve, images: int) -> float:
    """One standard error of the accuracies, by their mean."""
    accuracies = [point.accuracy or 0.0 for point in curve.points]
    mean = sum(accuracies) / len(accuracies)
    return float((mean * (1 - mean) / images) ** 0.5)


def clusters_text(found: Named) -> str:
    """Clusters with size, mean confidence and name; how many known labels agree."""
    lines = ["cluster   images  confidence  name"]
    for one in found.clusters:
        known = f"{one.cluster:7d}  {one.size:7d}  {one.confidence:10.3f}"
        lines.append(known if one.name is None else f"{known}  {one.name}")
    if found.known is not None and found.agree is not None:
        share = found.agree / found.known
        lines.append(f"{found.agree} of {found.known} known labels agree ({share:.1%})")
    return "\n".join(lines)


def file_text(found: FileInfo) -> str:
    """All that an artifact says of itself."""
    lines = [f"{found.file}: {found.kind}, intact, sha256 {found.digest}"]
    lines += [f"  {name}: {dtype} {shape}" for name, (dtype, shape) in found.arrays.items()]
    for title in ("parents", "details", "recipe", "versions"):
        pairs = ", ".join(f"{k}={v}" for k, v in getattr(found, title).items())
        lines.append(f"  {title}: {pairs}")
    return _printable([*lines, f"  seed: {found.seed}"])


def run_text(found: RunInfo, resume: str) -> str:
    """A run: recipe, images, and every file with its digest and why it is stale.

    `resume` is the command that continues it.
    """
    recipe = Recipe.from_json(found.manifest["recipe"], where=found.folder)
    data = found.manifest["data"]
    state = "finished" if found.finished else f"interrupted: continue with {resume}"
    if found.process is not None:
        state = f"process {found.process} works here"
    lines = [
        f"{found.folder}: {recipe.name}, {recipe.total_epochs} epochs,"
        f" seed {found.manifest['seed']}, {state}",
        f"images: {data['location']} {tuple(data['shape'])}, sha256 {data['sha256'][:12]}",
    ]
    lines += [
        f"{Path(f.file).relative_to(found.folder)}: {f.kind}, intact, sha256 {f.digest[:12]}"
        + (f", STALE: {f.stale}" if f.stale else "")
        for f in found.files
    ]
    return _printable(lines)


def health_text(health: Health) -> str:
    """What a machine offers, and what will hurt."""

    def size(count: int | None) -> str:
        return "" if count is None else f", {count / 1e9:.1f} GB"

    versions = [f"{name} {version}" for name, version in health.versions.items()]
    watched = [name for name, is_one in health.terminals.items() if is_one]
    state = {"none": "not there yet", "run": "holds a run"}.get(health.run_state, health.run_state)
    lines = [
        f"versions   {', '.join(versions[:5])}",
        f"           {', '.join(versions[5:])}",
        f"system     {health.system}",
        *(f"device     {one.kind}: {one.name}{size(one.memory)}" for one in health.devices),
        f"computing  --device auto takes {health.auto}, in {health.precision};"
        f" {health.threads} of {health.cores} cores",
        f"memory     {'unknown' if health.memory is None else size(health.memory)[2:]}",
        f"run        {health.run}: {state}, {'writable' if health.writable else 'NOT writable'},"
        f" {size(health.disk_free)[2:]} free",
        f"terminals  {', '.join(watched) or 'none'}",
        *(
            f"extra      {extra.name}: {extra.adds or 'optional'};"
            + (" installed" if extra.there else f" pip install 'aeclust[{extra.name}]'")
            for extra in health.extras
        ),
        *(f"problem    {problem}" for problem in health.problems),
    ]
    return _printable(lines if health.problems else [*lines, "all is well"])


def _printable(lines: Sequence[str]) -> str:
    """Lines whose text may come from a file, safe for a terminal."""
    return "\n".join(printable(line) for line in lines)
