"""What is on the page of a run, as arrays and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters.numbers import OUTLIER
from aeclust.recipe import Recipe
from aeclust.show.picks import Picks

if TYPE_CHECKING:
    from aeclust.clusters.curve import Curve


@dataclass(frozen=True)
class Shown:
    """Some images and what is said of them.

    Attributes
    ----------
    rows : ndarray of shape (m,)
        int64; their rows in the data, none twice.
    ids : sequence of str
    labels : ndarray of shape (m,)
        int64, their clusters; -1 of outliers.
    confidence : ndarray of shape (m,)
        In [0, 1].
    pictures : sequence of ndarray of shape (h, w, c)
        uint8, each of its own shape; c is 1 or 3. None at all where there is nothing to look at.
    """

    rows: NDArray[np.int64]
    ids: Sequence[str]
    labels: NDArray[np.int64]
    confidence: NDArray[np.floating[Any]]
    pictures: Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class Reconstructed:
    """Some images and what the network makes of them.

    Attributes
    ----------
    ids : sequence of str
    originals, copies : ndarray of shape (m, h, w, c)
        Float in [0, 1].
    errors : ndarray of shape (m,)
        Mean squared errors in [-1, 1] units.
    """

    ids: Sequence[str]
    originals: NDArray[np.floating[Any]]
    copies: NDArray[np.floating[Any]]
    errors: NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Section:
    """A part of the page that a command of its own adds: a note, a figure, rows of images.

    Attributes
    ----------
    title, note : str
        What it is called, and what is to be seen in it in a sentence or two.
    figure : str or None
        An SVG picture, as text, drawn for a light ground on none of its own.
    words : str
        What the figure shows, for those who do not see it; not empty where there is one.
    photographs : bool
        Whether there are images in the figure, which a dark page must not turn around.
    rows : sequence of (str, Shown)
        A caption, and the images that stand beside it.
    """

    title: str
    note: str
    figure: str | None = None
    words: str = ""
    photographs: bool = False
    rows: Sequence[tuple[str, Shown]] = ()


@dataclass(frozen=True)
class Step:
    """Something to do next: what, the command that does it, and the images that it is about."""

    what: str
    command: str
    images: Shown | None = None


@dataclass(frozen=True)
class Editing:
    """What the page needs beside the images so that people can correct it.

    Attributes
    ----------
    labels : str
        SHA-256 of the labels that the edits are made on.
    neighbours : ndarray of shape (m, j)
        int64; of each of the :attr:`Report.rows` the rows among them whose latents are nearest.
    after : int
        How many edits the run has, upon which those of the page come.
    command : str
        What applies the edits that the page has written.
    """

    labels: str
    neighbours: NDArray[np.int64]
    after: int = 0
    command: str = "aeclust edit apply edits.json"


@dataclass(frozen=True)
class Report:
    """What is on the page.

    Attributes
    ----------
    data : str
        What the images are called, without a path.
    shape : tuple of int
        Of all images, (n, h, w, c); of vectors (n, d).
    recipe : Recipe
        That of the labels.
    agreement, view_agreement : float or None
        Shares of the labels that the members that kept all clusters give too, on average, and that
        random views of the images keep; in [0, 1].
    verdict : str
        What a person should know of the clusters, in a sentence.
    steps : sequence of Step
        What to do next, in this order.
    points : ndarray of shape (m, 2)
        The embedding of `mapped`, finite; m at least 1.
    note : str
        How the embedding came to be.
    picks : sequence of Picks
        Of every cluster, and of outliers last.
    gallery : Shown
        All images of the picks that are :func:`shown`.
    reconstructed : Reconstructed or None
        None without a network.
    losses : sequence of (int, float)
        Epochs, ascending, and the loss of each.
    curve : Curve or None
        None if it has not been measured.
    names : mapping of int to str
        Of clusters that have one.
    commands : sequence of str
        What makes the run again.
    remarks : sequence of str
        What people added to the labels: ``steered by 20 labels``.
    sections : sequence of Section
        What stands between the clusters and the reconstructions.
    editing : Editing or None
        None for a page to look at.
    flag : str
        By which a command finds the run, with a space before it; empty where none is needed.
    """

    data: str
    shape: tuple[int, ...]
    recipe: Recipe
    seed: int
    agreement: float | None
    view_agreement: float | None
    verdict: str
    steps: Sequence[Step]
    members: Mapping[str, float]
    warnings: Sequence[str]
    substitutions: Sequence[str]
    points: NDArray[np.floating[Any]]
    mapped: Shown
    note: str
    picks: Sequence[Picks]
    gallery: Shown
    reconstructed: Reconstructed | None
    losses: Sequence[tuple[int, float]]
    curve: Curve | None
    names: Mapping[int, str]
    digests: Mapping[str, str]
    versions: Mapping[str, str]
    commands: Sequence[str]
    remarks: Sequence[str] = ()
    sections: Sequence[Section] = ()
    editing: Editing | None = None
    flag: str = ""

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of all images that are on the page, ascending."""
        return np.unique(np.concatenate([self.mapped.rows, *(each.rows for each in self.beside)]))

    @property
    def beside(self) -> list[Shown]:
        """All images that are somewhere else than on the map, some of them several times."""
        steps = [step.images for step in self.steps if step.images is not None]
        others = [images for section in self.sections for _, images in section.rows]
        return [self.gallery, *steps, *others]

    @property
    def outliers(self) -> int:
        """Images in no cluster."""
        return sum(pick.size for pick in self.picks if pick.cluster == OUTLIER)
