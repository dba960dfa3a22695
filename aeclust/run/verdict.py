"""How good the clusters of a run are, in a sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.doubts import little_better_than_guessing
from aeclust.clusters.numbers import in_use
from aeclust.errors import shortened
from aeclust.recipe import AUTO_K, HDBSCAN
from aeclust.run.edits.file import read_edits
from aeclust.run.edits.kinds import Split
from aeclust.run.folder import RunFolder
from aeclust.run.freshness import recipe_of

WEAKER = 0.05  # a cluster's mean confidence, than that of all images
MOST_TO_CHECK = 30  # images, which take a person some minutes
_MOST_CLUSTERS = 3
_MOST_NAMES = 10
_LONGEST_NAME = 24


@dataclass(frozen=True)
class Step:
    """Something to do next, and the command that does it."""

    what: str
    command: str


@dataclass(frozen=True)
class Verdict:
    """How good the clusters are, for somebody who wants to use them.

    Attributes
    ----------
    sentence : str
        The verdict: how many labels should hold, and which clusters to look at.
    share : float or None
        The share of labels that should hold, in [0, 1]: the mean confidence of the images that are
        in a cluster. None where a single clusterer made them, whose confidence nothing checks.
    look_first : tuple of int
        Clusters whose mean confidence is at least 0.05 below that of all, the lowest first; three
        at most.
    to_check : int
        Images worth checking by hand: as many as labels are expected not to hold, 30 at most.
    steps : tuple of Step
        What to do next, in this order.
    """

    sentence: str
    share: float | None
    look_first: tuple[int, ...]
    to_check: int
    steps: tuple[Step, ...]


def verdict(
    folder: RunFolder,
    made: Artifact,
    names: Mapping[int, str],
    *,
    labels: NDArray[np.int64] | None = None,
    confidence: NDArray[np.floating[Any]] | None = None,
) -> Verdict:
    """The verdict on the labels of a run.

    Parameters
    ----------
    folder : RunFolder
    made : Artifact
        The labels of the run, with its edits.
    names : mapping of int to str
        Of the clusters that have one.
    labels, confidence : ndarray of shape (n,), optional
        Those of the images as they are now, or of other images; those of `made`, if None.
    """
    labels = made.arrays["labels"] if labels is None else labels
    confidence = made.arrays["confidence"] if confidence is None else confidence
    inside, used = labels >= 0, in_use(labels)
    if len(used) < 2:
        return _nothing_to_compare(folder, made, inside)
    sure = np.asarray(confidence, np.float64)
    mean = float(sure[inside].mean())
    checked = made.details.get("agreement") is not None  # by several clusterings
    weak = _weakest(labels, sure, used, mean)
    expected = round(float((1 - sure[inside]).sum())) if checked else int((sure[inside] < 1).sum())
    count = min(MOST_TO_CHECK, expected)
    poor = checked and little_better_than_guessing(mean, len(used))
    if checked:
        split = _split_by_hand(folder, made)
        at_best = split or made.details.get("view_agreement") is None
        sentence = _promise(mean, at_best=at_best)
        sentence += ", and nothing checks how clusters were split by hand" if split else ""
    else:
        method = recipe_of(made).clusterer
        sentence = f"Only one method ({method}) made these clusters, so how many labels hold is"
        sentence += " not known"
    sentence += f"; look at {_called(weak, names)} first" if weak else ""
    steps = _steps(folder, made, [j for j in used if not names.get(j)], count, poor=poor)
    return Verdict(f"{sentence}.", mean if checked else None, weak, count, steps)


def _split_by_hand(folder: RunFolder, made: Artifact) -> bool:
    """Whether parts of a cluster have the confidence that the whole had."""
    edits = read_edits(folder) if made.details.get("edits") else None
    return edits is not None and any(isinstance(e, Split) and not e.off for e in edits.edits)


def _nothing_to_compare(folder: RunFolder, made: Artifact, inside: NDArray[np.bool_]) -> Verdict:
    """The verdict on one cluster, or none."""
    n, count = len(inside), int(inside.sum())
    if count == n:
        sentence = f"All {n:,} images are in one cluster: nothing is separated."
    elif count:
        sentence = f"{count:,} of {n:,} images are in one cluster, and the others in none."
    else:
        sentence = "No image is in a cluster."
    other = " --clusterer consensus" * (recipe_of(made).clusterer == HDBSCAN)
    step = Step("ask for more clusters", folder.command(f"cluster -k 2{other}"))
    if made.details.get("edits"):
        step = Step("take the last edit back", folder.command("edit undo"))
    return Verdict(sentence, None, (), 0, (step,))


def _weakest(
    labels: NDArray[np.int64], sure: NDArray[np.float64], used: list[int], mean: float
) -> tuple[int, ...]:
    """The clusters that need a look, the weakest first."""
    means = {j: float(sure[labels == j].mean()) for j in used}
    weak = sorted((j for j in used if mean - means[j] >= WEAKER), key=lambda j: means[j])
    return tuple(weak[:_MOST_CLUSTERS])


def _promise(share: float, *, at_best: bool) -> str:
    """How many labels should hold, in words."""
    if share >= 0.995:
        words = "nearly all"
    elif share >= 0.945:
        words = f"about {100 * share:.0f} of 100"
    elif share >= 0.05:
        words = f"about {10 * share:.0f} of 10"
    else:
        words = "hardly any"
    words = f"at best {words}" if at_best else words
    return f"{words[0].upper()}{words[1:]} labels should hold"


def _called(clusters: tuple[int, ...], names: Mapping[int, str]) -> str:
    """Clusters by number and name: ``clusters 2 (sea), 5 and 4``."""
    texts = [
        f"{j} ({shortened(names[j], _LONGEST_NAME)})" if names.get(j) else str(j) for j in clusters
    ]
    if len(texts) == 1:
        return f"cluster {texts[0]}"
    return f"clusters {', '.join(texts[:-1])} and {texts[-1]}"


def _steps(
    folder: RunFolder, made: Artifact, unnamed: list[int], count: int, *, poor: bool
) -> tuple[Step, ...]:
    steps = []
    recipe = recipe_of(made)
    if poor and recipe.k != AUTO_K and not made.details.get("known"):
        steps.append(Step("try another number of clusters", folder.command("cluster -k auto")))
    if unnamed:
        some = " ".join(f"{j}=..." for j in unnamed[:_MOST_NAMES])
        what = "name the clusters"
        if len(unnamed) > _MOST_NAMES:
            what = f"name the first {_MOST_NAMES} clusters"
        steps.append(Step(what, folder.command(f"name {some}")))
    if count:
        what = f"check {count} images" if count > 1 else "check an image"
        steps.append(Step(what, folder.command(f"ask -n {count}")))
    steps.append(Step("export", folder.command("export labels.csv")))
    return tuple(steps)
