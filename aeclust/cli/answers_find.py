"""What the commands answer that find images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from aeclust.cli.answers import Answer
from aeclust.errors import printable

if TYPE_CHECKING:
    from aeclust.run.find.duplicates import Duplicates
    from aeclust.run.find.search import Outliers, Similar


def similar_answer(similar: Similar) -> Answer:
    """A line for each neighbour."""
    rows = [(f"{each.distance:.4g}", each.id, each.cluster) for each in similar.neighbours]
    table = _table(("distance", "id", "cluster"), rows)
    return Answer("\n".join([table, *filter(None, [similar.file])]), asdict(similar))


def outliers_answer(outliers: Outliers) -> Answer:
    """A line for each image that stands alone."""
    rows = [(f"{each.factor:.3f}", each.id, each.cluster) for each in outliers.outliers]
    title, *lines = _table(("factor", "id", "cluster"), rows).split("\n")
    if outliers.far < len(lines):
        lines.insert(outliers.far, f"{outliers.bound:>10.3f}  -- the limit: these are not far --")
    far = (
        f"{outliers.far:,} of {outliers.images:,} images {_stand(outliers.far)} far from all others"
        f" (factor above {outliers.bound:.3f}; 1 is usual)"
    )
    return Answer("\n".join([title, *lines, far, *filter(None, [outliers.file])]), asdict(outliers))


def _stand(count: int) -> str:
    return "stands" if count == 1 else "stand"


def duplicates_answer(duplicates: Duplicates) -> Answer:
    """A line for each group, and how many copies there are."""
    lines = []
    for group in duplicates.groups:
        copies = (
            f"{copy.id} ({f'nearly equal, {copy.alike:.2f}' if copy.same_as is None else 'equal'})"
            for copy in group.copies
        )
        lines.append(printable(f"keep {group.keep}: {', '.join(copies)}"))
    n = len(duplicates.groups)
    near = "" if duplicates.near is None else f", {duplicates.near:,} nearly equal"
    lines.append(
        f"{n:,} group{'s' * (n != 1)} of look-alikes in {duplicates.images:,} images:"
        f" {duplicates.exact:,} equal to another one{near}"
        if n
        else f"no look-alikes among {duplicates.images:,} images"
    )
    return Answer("\n".join([*lines, *filter(None, [duplicates.file])]), asdict(duplicates))


def _table(titles: Sequence[str], rows: Sequence[tuple[str, int | str, str]]) -> str:
    """Columns, the first one to the right."""
    texts = [titles, *([printable(str(cell)) for cell in row] for row in rows)]
    wide = max(len(row[1]) for row in texts)
    return "\n".join(f"{first:>10}  {second:{wide}}  {third}" for first, second, third in texts)
