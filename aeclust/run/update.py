"""The folder as it is now, taken into the run: what is new embedded, all clustered anew."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.clusters.numbers import outlier_count
from aeclust.errors import InputError, at
from aeclust.images import Source, check_enough
from aeclust.run.clusters import cluster_numbers, current_labels
from aeclust.run.context import Context
from aeclust.run.edits.applied import corrected
from aeclust.run.images import common_rows, keep_images
from aeclust.run.manifest import Manifest, some_of
from aeclust.run.present import Present, count_present, present_images, remember_whole
from aeclust.run.previews import as_images

_MANY = 0.1  # of the images


@dataclass(frozen=True)
class Updated:
    """What a run took in, and what became of its clusters.

    Attributes
    ----------
    images : int
        That the run has now.
    added, removed, edited, renamed : int
        Images that are new or gone, or have another content or another name.
    moved : int or None
        Images that are in another cluster than before; None if nothing was clustered before.
    clusters, sizes : list of int
        The numbers of the clusters, ascending, and how many images each has.
    outliers : int
        Images in no cluster.
    fresh : bool
        Whether all was as it is.
    """

    images: int
    added: int
    removed: int
    edited: int
    renamed: int
    moved: int | None
    clusters: list[int]
    sizes: list[int]
    outliers: int
    fresh: bool


def update(context: Context, source: Source | None = None) -> Updated:
    """Take the run's images in as they are now, wherever they lie.

    Nothing is trained. Latents of former images stay as they are. Clusters keep their
    numbers and names by the images that they had before.

    Parameters
    ----------
    context : Context
    source : Source, optional
        Where the images lie now.

    Raises
    ------
    InputError
        If training is not finished, or none of the run's images is there.
    """
    folder = context.folder
    with folder.lock():
        manifest = folder.manifest()
        if folder.resume_file.exists() or folder.unfinished(manifest):
            raise InputError(
                "training is not finished",
                where=str(folder.path),
                expected="a finished run",
                mend=f"finish it first with {folder.command('train --resume')}",
            )
        moved = manifest if source is None else moved_to(context, manifest, source)
        present = present_images(context, moved, taking=True)
        former = _labels(context)
        if moved != manifest:
            folder.write_manifest(moved)
        if not present.whole:
            moved = take_in(context, moved, present)
        labels = current_labels(context, moved)
    updated = summary(present, former, labels)
    if updated.moved and updated.moved > _MANY * updated.images:
        context.log(
            f"warning: {updated.moved:,} images are in another cluster than before, more than came"
            f" and went: the clusters are not stable; look at them: {folder.command('report')}"
        )
    return updated


def moved_to(context: Context, manifest: Manifest, source: Source) -> Manifest:
    """The manifest of the same run whose images lie elsewhere.

    Raises
    ------
    InputError
        If most of the run's images are not there.
    """
    location, moved = source.location, _elsewhere(manifest, source)
    for name in ("layout", "range", "skip_bad"):
        if getattr(source, name) not in (None, False, getattr(manifest.source, name)):
            raise InputError(
                "the run reads its images otherwise",
                where=f"`{name}`",
                expected="what it was trained with",
                mend="leave it out, or train again with `force`",
            )
    if moved == manifest:
        return manifest
    if not os.path.exists(location.partition("::")[0]):
        raise InputError("there is no such file or folder", where=location, expected="the images")
    ours, n = shared(context, manifest, source), manifest.shape[0]
    if 2 * ours < n:
        raise InputError(
            f"only {ours:,} of the run's {n:,} images are here",
            where=location,
            expected="most of them",
            mend="name the folder that they were moved to, or train a new run on these",
        )
    context.log(f"the run's images lie in {location} from now on")
    return moved


def shared(context: Context, manifest: Manifest, source: Source) -> int:
    """How many of the run's images are where others are said to be."""
    return count_present(context, _elsewhere(manifest, source))


def _elsewhere(manifest: Manifest, source: Source) -> Manifest:
    there = dataclasses.replace(manifest.source, location=source.location, files=source.files)
    return dataclasses.replace(manifest, source=there)


def take_in(context: Context, manifest: Manifest, present: Present) -> Manifest:
    """Make the images that are there now those of the run, whose folder is locked."""
    images = as_images(context, manifest, present)
    with at(manifest.source.location):
        check_enough(images.pixels, manifest.recipe.k)
    digest, learnt = images.digest(), manifest.weights_digest
    taken = dataclasses.replace(
        manifest,
        data_digest=digest,
        shape=images.pixels.shape,
        some=some_of(images.ids),
        trained_on="" if digest == learnt else learnt,
    )
    keep_images(context, taken, images)
    context.folder.write_manifest(taken)
    remember_whole(context, taken, images)
    return taken


def summary(present: Present, former: Artifact | None, labels: Artifact) -> Updated:
    """What taking in some images has changed."""
    edited = set(present.edited)
    added = 0 if present.new is None else len(present.new)
    values, numbers = labels.arrays["labels"], cluster_numbers(labels)
    moved = None
    if former is not None:
        old, new = common_rows(former, labels)
        moved = int((former.arrays["labels"][old] != labels.arrays["labels"][new]).sum())
    return Updated(
        images=len(labels.arrays["ids"]),
        added=added - len(edited),
        removed=len(present.gone) - len(edited),
        edited=len(edited),
        renamed=len(present.renamed),
        moved=moved,
        clusters=numbers,
        sizes=[int((values == number).sum()) for number in numbers],
        outliers=outlier_count(values),
        fresh=present.whole and former is not None and former.digest == labels.digest,
    )


def _labels(context: Context) -> Artifact | None:
    """The labels as they are, with the edits of the run."""
    file = context.folder.labels_file
    return corrected(context, artifact.read(file, "labels")) if file.exists() else None
