"""The images of a run as finding works on them: latents, contents, pictures, and their sheets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.artifact import Artifact
from aeclust.clusters.duplicates import SIDE
from aeclust.clusters.numbers import titled
from aeclust.images import Listing, fingerprints, grey_square, look
from aeclust.run.clustered import Clustered, latents_of, of_run
from aeclust.run.clusters import current_labels
from aeclust.run.context import Context
from aeclust.run.figures import save, with_ending
from aeclust.run.manifest import Manifest
from aeclust.run.present import Present
from aeclust.run.previews import check_pictures, in_unit, pictures_at, typical_shape
from aeclust.show.lots import Lot, lots_figure

Id = int | str


@dataclass(frozen=True)
class Found:
    """The images of a run as they are now.

    Attributes
    ----------
    context, manifest
    labels : Artifact
    clustered : Clustered
    """

    context: Context
    manifest: Manifest
    labels: Artifact
    clustered: Clustered

    @property
    def ids(self) -> NDArray[Any]:
        """What they are called (n,)."""
        return self.clustered.prediction.ids

    @cached_property
    def latents(self) -> NDArray[Any]:
        """Their latents (n, d)."""
        return latents_of(self.context, self.clustered.prediction)

    @cached_property
    def contents(self) -> NDArray[np.uint64]:
        """A number (n,) for the content of each, see :func:`aeclust.images.fingerprints`."""
        present = self.clustered.prediction.present
        contents = self.labels.arrays["fingerprints"][present.rows]
        if present.new is not None:
            contents[present.rows < 0] = fingerprints(present.new.pixels)
        return np.asarray(contents)

    @cached_property
    def listing(self) -> Listing | None:
        """The files that they lie in, or those of their photographs; None if in none."""
        source = self.manifest.pictures or self.manifest.source
        return look(source.location, source.files) if self.ids.dtype.kind == "U" else None

    @cached_property
    def squares(self) -> NDArray[np.uint8]:
        """What all of them look like, small, square and grey."""
        n, present = len(self.ids), self.clustered.prediction.present
        squares = np.empty((n, SIDE, SIDE), np.uint8)
        for i, picture in enumerate(
            pictures_at(self.context, self.manifest, present, np.arange(n))
        ):
            squares[i] = grey_square(picture, SIDE)
            self.context.progress("pictures", i + 1, n)
        return squares

    @property
    def seen(self) -> bool:
        """Whether there is anything to look at."""
        return not self.manifest.vectors or self.manifest.pictures is not None

    @property
    def side(self) -> float:
        """Pixels of the shorter side of a typical picture; 0 if there is nothing to look at."""
        present = self.clustered.prediction.present
        return min(typical_shape(self.context, self.manifest, present)) if self.seen else 0

    def pictures(self, rows: NDArray[np.int64], present: Present | None = None) -> Iterator[Any]:
        """Some of them, or of others, in [0, 1]."""
        present = present or self.clustered.prediction.present
        return map(in_unit, pictures_at(self.context, self.manifest, present, rows))

    def cluster(self, row: int) -> str:
        """What the cluster of an image is called."""
        return titled(int(self.clustered.prediction.labels[row]), self.clustered.names)


def found(context: Context) -> Found:
    """The images of a run, whose latents and labels are made if missing or stale."""
    manifest = context.folder.manifest()
    labels = current_labels(context, manifest)
    return Found(context, manifest, labels, of_run(context, manifest, labels))


def sheet_file(context: Context, name: str, output: Path | None) -> Path:
    """Where a sheet goes, looked at before any work."""
    if output is not None:
        check_pictures(context.folder.manifest(), None)
    return with_ending(context.folder.path / name, output)


def draw(
    file: Path, lots: list[Lot], title: str, note: str = "", *, of: Found
) -> str | None:  # fmt: skip
    """Draw a sheet; None, which is logged, where there is nothing to draw."""
    if not of.seen:
        of.context.log("no picture: the run has vectors and no images to show")
        return None
    if not lots:
        return None
    save(file, lots_figure(lots, title=title, note=note))
    return str(file)
