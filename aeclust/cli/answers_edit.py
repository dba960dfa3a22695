"""What the commands answer that correct clusters by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from aeclust.cli.answers import Answer
from aeclust.errors import printable

if TYPE_CHECKING:
    from aeclust.run.edits.verbs import Edited


def edited_answer(run: Path, edited: Edited) -> Answer:
    """What was done, in one line with what the clusters are now."""
    n, off = len(edited.edits), sum(bool(each.off) for each in edited.edits)
    edits = f"{n:,} edit{'s' * (n != 1)} in all" + f", {off:,} not in force" * bool(off)
    changed = f"{edited.changed:,} label{'s' * (edited.changed != 1)} changed"
    text = "; ".join((f"{run}: {edited.done}", changed, _sizes(edited), edits))
    return Answer(printable(text), _json(run, edited))


def edits_answer(run: Path, edited: Edited) -> Answer:
    """All edits, and why some are not in force."""
    lines = [
        f"{number:4d}  {each.edit}" + f"  NOT IN FORCE: {each.off}" * bool(each.off)
        for number, each in enumerate(edited.edits, 1)
    ]
    lines += [f"{run}: {_sizes(edited)}" + "; no edits" * (not lines)]
    return Answer("\n".join(map(printable, lines)), _json(run, edited))


def _sizes(edited: Edited) -> str:
    """Clusters by number and name with their sizes."""
    names = {number: f" ({name})" for number, name in edited.names.items()}
    sizes = [f"{number}{names.get(number, '')}: {size:,}" for number, size in edited.sizes.items()]
    outliers = f", outliers: {edited.outliers:,}" if edited.outliers else ""
    return f"clusters now: {', '.join(sizes)}{outliers}"


def _json(run: Path, edited: Edited) -> dict[str, object]:
    return {"run": str(run), **asdict(edited)}
