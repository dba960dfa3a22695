"""What people added to labels, for whoever prints or draws these."""

from __future__ import annotations

from aeclust.artifact import Artifact
from aeclust.run.edits.kinds import corrected_by
from aeclust.run.steering import steered_by


def added_to(labels: Artifact) -> str:
    """Known labels and edits, in words; empty if there is neither.

    >>> details = {"known": {"labels": 20}, "edits": 1}
    >>> added_to(Artifact("labels", {}, {}, 0, {}, details))
    'steered by 20 labels and corrected by 1 edit'
    """
    return " and ".join(filter(None, (steered_by(labels), corrected_by(labels))))
