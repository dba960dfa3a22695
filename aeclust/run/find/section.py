"""What the page of a run shows of copies and outliers: a few of each, if there are any."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters.duplicates import LEAST_SIDE
from aeclust.run.find.duplicates import groups_of
from aeclust.run.find.found import Found
from aeclust.run.find.search import factors
from aeclust.show.report import Section, Shown

# Up to so many images the page looks for near copies, and up to so much work, as 20,000 images with
# latents of 320 values are, for outliers: each takes some seconds.
NEAR, WORK = 1_000, 20_000**2 * 320
_GROUPS, _OF_A_GROUP, _OUTLIERS = 6, 6, 12


def copies_and_outliers(of: Found, shown: Callable[[NDArray[np.int64]], Shown]) -> list[Section]:
    """A section if there are copies, or images that are far out, and none else.

    Parameters
    ----------
    of : Found
    shown : callable
        Takes rows of images, and gives them for the page.
    """
    n = len(of.ids)
    comparable = of.side >= LEAST_SIDE
    near = comparable and n <= NEAR
    groups = [rows for _, rows in groups_of(of, near=near)]
    count = sum(len(rows) - 1 for rows in groups)
    far = np.empty(0, np.int64)
    everywhere = n * n * of.latents.shape[1] <= WORK
    if everywhere:
        values, _, bound = factors(of)
        far = np.argsort(-values, kind="stable")[: np.count_nonzero(values > bound)]
    if not (count or len(far)):
        return []
    every = of.context.folder.command("find duplicates")
    note = []
    if count:
        whole = len(groups) <= _GROUPS and all(len(rows) <= _OF_A_GROUP for rows in groups)
        more = "" if whole else f": {every} has them all"
        note = [f"{_are(count)} equal to others{', or nearly so' * near}{more}."]
    if comparable and not near:
        note.append(
            f"With more than {NEAR:,} images, only equal ones are looked for here: {every} finds"
            " nearly equal ones too."
        )
    every = of.context.folder.command("find outliers")
    if len(far):
        more = f": {every} has them all" if len(far) > _OUTLIERS else ""
        note.append(f"{_are(len(far))} unlike all others{more}.")
    if not everywhere:
        note.append(f"With so many images, {every} finds those that are unlike all others.")
    rows = [
        (f"group {i}", shown(group[:_OF_A_GROUP])) for i, group in enumerate(groups[:_GROUPS], 1)
    ]
    rows += [("outliers", shown(far[:_OUTLIERS]))] * (len(far) > 0)
    return [Section("Duplicates and outliers", " ".join(note), rows=rows)]


def _are(count: int) -> str:
    return "1 image is" if count == 1 else f"{count:,} images are"
