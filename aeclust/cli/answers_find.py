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
    far = (
        f"{outliers.far:,} of {outliers.images:,} images stand far from all others (factor above"
        f" {outliers.bound:.3f}; 1 is usual)"
    )
    lines = [_table(("factor", "id", "cluster"), rows), far, *filter(None, [outliers.file])]
    return Answer("\n".join(lines), asdict(outliers))


def duplicates_answer(duplicates: Duplicates) -> Answer:
    """A line for each group, and how many copies there are."""
    lines = []
    for group in duplicates.groups:
        copies = (
            f"{copy.id} ({f'alike {copy.alike:.2f}' if copy.same_as is None else 'the same'})"
            for copy in group.copies
        )
        lines.append(printable(f"{group.keep}: {', '.join(copies)}"))
    n = len(duplicates.groups)
    near = "" if duplicates.near is None else f", {duplicates.near:,} nearly equal"
    lines.append(
        f"{n:,} group{'s' * (n != 1)} of look-alikes in {duplicates.images:,} images:"
        f" {duplicates.exact:,} equal to another one{near}"
    )
    return Answer("\n".join([*lines, *filter(None, [duplicates.file])]), asdict(duplicates))


def _table(titles: Sequence[str], rows: Sequence[tuple[str, int | str, str]]) -> str:
    """Columns, the first one to the right."""
    texts = [titles, *([printable(str(cell)) for cell in row] for row in rows)]
    wide = max(len(row[1]) for row in texts)
    return "\n".join(f"{first:>10}  {second:{wide}}  {third}" for first, second, third in texts)
