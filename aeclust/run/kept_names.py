"""Names that clusters keep where they are made anew."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeclust.artifact import Artifact
from aeclust.errors import listed
from aeclust.run.context import Context
from aeclust.run.edits.applied import correction
from aeclust.run.images import common_rows
from aeclust.run.names import read_names, write_names
from aeclust.run.steering import steering_of

Numbers = Mapping[int, int]


def keep_names(
    context: Context, former: Artifact | None, labels: Artifact, heirs: Numbers, *, grown: bool
) -> None:
    """Names of former clusters for what these have become, and those of known labels.

    Where a person has given a cluster another name than known labels do, it stays.

    Parameters
    ----------
    context : Context
        Whose folder is locked.
    former : Artifact or None
        The labels that these take the place of.
    labels : Artifact
    heirs : mapping of int to int
        The cluster that each former cluster has become.
    grown : bool
        Whether nobody has stated anything: names that were removed do not come back.
    """
    stored, said = read_names(context.folder), _said(labels)
    if said and (edits := correction(context.folder, labels)) is not None:
        said = {j: name for j, name in said.items() if j not in edits.made}
    names = said
    if stored is not None and former is not None and stored.fit(former):
        before, there = _said(former), {j: n for j, n in stored.names.items() if j in heirs}
        removed = {name for j, name in before.items() if grown and j not in stored.names}
        own = {heirs[j]: name for j, name in there.items() if name != before.get(j)}
        names = {heirs[j]: name for j, name in there.items() if name not in said.values()}
        names |= {j: name for j, name in said.items() if name not in removed} | own
        for j in sorted({*own} & {*said}):
            if own[j] != said[j]:
                context.log(f"cluster {j} keeps the name {own[j]}; known labels call it {said[j]}")
        lost = [*map(repr, sorted({*stored.names.values()} - {*names.values()}))]
        if lost and not grown:
            context.log(f"names that no cluster has any more: {listed(lost)}")
    elif stored is not None and said and {*stored.names.values()} - {*said.values()}:
        context.log("known labels name the clusters now; their former names are gone")
    if names:
        write_names(context.folder, labels.digest, dict(sorted(names.items())))


def _said(labels: Artifact) -> dict[int, str]:
    """What known labels call the clusters."""
    steering = steering_of(labels)
    return {} if steering is None else dict(steering.names)


def going_on(former: Artifact, labels: Artifact) -> dict[int, int]:
    """The cluster that each former cluster has become, if it has.

    It is the one that known labels call the same; or else, one to one, that with more than half of
    its images.
    """
    before, said = _said(former), _said(labels)
    number = {name: j for j, name in said.items()}
    heirs = {old: number[name] for old, name in before.items() if name in number}
    rows, others = common_rows(former, labels)
    was, now = former.arrays["labels"][rows], labels.arrays["labels"][others]
    both = np.stack([was, now], 1)[(was >= 0) & (now >= 0)]
    pairs, counts = np.unique(both, axis=0, return_counts=True)
    sizes = np.bincount(was[was >= 0])
    taken = {*heirs.values()}
    for i in np.argsort(-counts, kind="stable").tolist():
        old, new = map(int, pairs[i])
        if old not in heirs and new not in taken and 2 * counts[i] > sizes[old]:
            heirs[old] = new
            taken.add(new)
    return heirs
