"""What the commands print that make, update and name clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aeclust.cli.answers import FRESH, Answer, and_outliers, renamed

if TYPE_CHECKING:
    from aeclust.run.choice import Choice
    from aeclust.run.latents import Made
    from aeclust.run.naming import Named
    from aeclust.run.update import Updated
    from aeclust.run.verdict import Verdict

_MOST_SIZES = 6  # clusters whose sizes stand in a sentence


def clusters_answer(file: Path, made: Made, choice: Choice, verdict: Verdict) -> Answer:
    """Sizes of clusters, and how far to trust them; what helps to choose their number."""
    from aeclust.clusters.numbers import in_use, outlier_count
    from aeclust.run.added import added_to

    arrays, details = made.artifact.arrays, made.artifact.details
    added = added_to(made.artifact)
    labels, numbers = arrays["labels"], in_use(arrays["labels"])
    sizes, outliers = [int((labels == j).sum()) for j in numbers], outlier_count(labels)
    mean = float(arrays["confidence"][labels >= 0].mean(dtype=float)) if numbers else 0.0
    text = f"{file}: {len(labels):,} images {in_clusters(sizes, outliers)}"
    text += f"; {added}" * bool(added) + FRESH * made.fresh + f"\n{verdict.sentence}"
    text += f"\n{choice.file}" if choice.file else ""
    return Answer(
        text,
        {
            "file": str(file),
            "k": len(sizes),
            "clusters": numbers,
            "sizes": sizes,
            "outliers": outliers,
            "verdict": verdict.sentence,
            "should_hold": verdict.share,
            "look_first": list(verdict.look_first),
            "to_check": verdict.to_check,
            "next": [asdict(step) for step in verdict.steps],
            "mean_confidence": mean,
            "agreement": details.get("agreement"),
            "view_agreement": details.get("view_agreement"),
            "members": details.get("members", {}),
            "warnings": details.get("warnings", []),
            "steered_by": details.get("known"),
            "edits": details.get("edits", 0),
            "made": not made.fresh,
            "plot": None if choice.file is None else str(choice.file),
            "estimated": choice.chosen,
            "tried": [{"k": k, **asdict(each)} for k, each in choice.tried.items()],
            "merges": [asdict(merge) for merge in choice.tree.merges],
        },
    )


def in_clusters(sizes: Sequence[int], outliers: int) -> str:
    """How images are spread over clusters, and how many are in none.

    >>> in_clusters([1200, 30], 1)
    'in 2 clusters of 1,200 and 30, and 1 outlier'
    >>> in_clusters([5] * 6 + [2], 0)
    'in 7 clusters of 2 to 5'
    """
    if not sizes:
        return "in no cluster"
    if len(sizes) > _MOST_SIZES:
        of = f"{min(sizes):,} to {max(sizes):,}"
    else:
        of = " and ".join(filter(None, (", ".join(f"{n:,}" for n in sizes[:-1]), f"{sizes[-1]:,}")))
    comma = "," * bool(outliers)
    return (
        f"in {len(sizes)} cluster{'s' * (len(sizes) != 1)} of {of}{comma}{and_outliers(outliers)}"
    )


def updated_answer(run: Path, updated: Updated) -> Answer:
    """What a run took in, and what became of its clusters."""
    counts = [
        f"{count:,} {what}"
        for count, what in (
            (updated.added, "new"),
            (updated.removed, "gone"),
            (updated.edited, "changed"),
            (updated.renamed, "renamed"),
        )
        if count
    ]
    text = f"{run}: {updated.images:,} images {in_clusters(updated.sizes, updated.outliers)}"
    if counts:
        text += f"; {', '.join(counts)}"
    if not updated.fresh and updated.moved is not None:
        text += f"; {updated.moved:,} of the former images are in another cluster now"
    return Answer(text + FRESH * updated.fresh, {"run": str(run), **asdict(updated)})


def names_answer(named: Named) -> Answer:
    """Clusters with size, mean confidence and name; how known labels support these."""
    by_labels = named.known is not None
    names = [cluster.name or "" for cluster in named.clusters]
    wide = max(4, *map(len, names)) if by_labels and names else 0
    lines = [
        f"cluster   images  confidence  {'name':{wide}s}" + "  agree     next label" * by_labels
    ]
    for cluster, name in zip(named.clusters, names, strict=True):
        line = (
            f"{cluster.cluster:7d}  {cluster.size:7d}  {cluster.mean_confidence:10.3f}"
            f"  {name:{wide}s}"
        )
        if cluster.votes is not None:
            votes = cluster.votes
            support = f"{votes.agree} of {votes.known}" if votes.known else "none"
            rival = f"{votes.runner_up} {votes.against}" if votes.runner_up else ""
            line += f"  {support:8s}  {rival}"
        lines.append(line.rstrip())
    if named.outliers:
        lines.append(f"{-1:7d}  {named.outliers:7d}  {'':10s}  outliers, in no cluster")
    for count, what in ((named.of_outliers, "outliers"), (named.of_gone, "images that are gone")):
        if count:
            lines.append(f"known labels of {what}, which name no cluster: {count}")
    if named.known is not None and named.agree is not None:
        share = named.agree / named.known
        lines.append(f"{named.agree:,} of {named.known:,} known labels agree ({share:.1%})")
    if named.added:
        lines.append(named.added)
    return Answer("\n".join(lines), renamed(asdict(named), added="by_hand"))
