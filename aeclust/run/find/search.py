"""Images like one image, and images like no other."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.clusters.nearest import (
    OUTLIER_NEIGHBOURS,
    far_out,
    nearest,
    odd_looks,
    outlier_factors,
)
from aeclust.clusters.neighbours import copies
from aeclust.errors import InputError, did_you_mean, near_file
from aeclust.images import Source
from aeclust.run.context import Context
from aeclust.run.find.found import Found, Id, draw, found, sheet_file
from aeclust.run.images import as_in_run, check_alike, load_images, other_images
from aeclust.run.latents import embed_alike
from aeclust.run.present import Present, others
from aeclust.show.lots import MOST, Lot

_MOST_NAMES = 5_000  # beyond that, looking for a near one takes a while


@dataclass(frozen=True)
class Neighbour:
    """An image, how far its latent is, and its cluster."""

    id: Id
    distance: float
    label: int
    cluster: str


@dataclass(frozen=True)
class Similar:
    """The images of a run that are most like an image, the nearest first.

    `in_run` is whether that is one of the run; `file` the sheet, None where nothing is to be seen.
    """

    image: Id
    in_run: bool
    neighbours: list[Neighbour]
    file: str | None


@dataclass(frozen=True)
class Outlier:
    """An image that stands alone, how much, the image nearest to it, and its cluster."""

    id: Id
    factor: float
    nearest: Id
    label: int
    cluster: str


@dataclass(frozen=True)
class Outliers:
    """The images of a run that stand alone most, by the factor of so many neighbours.

    `far` of all images have a factor above `bound`, which no usual one has.
    """

    images: int
    neighbours: int
    bound: float
    far: int
    outliers: list[Outlier]
    file: str | None


def similar(
    context: Context, image: str, count: int = 12, *, output: Path | None = None
) -> Similar:
    """The images of the run whose latents are nearest to that of an image.

    Parameters
    ----------
    context : Context
    image : str
        An id of the run, or a file with one image.
    count : int
    output : Path, optional
        ``similar.png`` in the run folder, if None.

    Raises
    ------
    InputError
        If there is no such image, or two different ones of this name.
    """
    file = sheet_file(context, "similar.png", output)
    of = found(context)
    row = _row(of, image)
    if row >= 0:
        latent, picture, itself = of.latents[[row]], (of.clustered.prediction.present, row), row
    else:
        latent, picture, itself = *_other(of, image), -1
    rows, distances = nearest(latent, of.latents, count, exclude=np.array([itself]))
    near = [
        Neighbour(of.ids[i].item(), distance, int(of.clustered.prediction.labels[i]), of.cluster(i))
        for i, distance in zip(rows[0].tolist(), distances[0].round(6).tolist(), strict=True)
    ]
    called: Id = of.ids[row].item() if row >= 0 else image
    lots = []
    if of.seen:
        some = rows[0][: MOST - 1]
        asked = list(of.pictures(np.array([picture[1]]), picture[0]))
        about = of.cluster(row) if row >= 0 else "a file"
        its = [int(of.clustered.prediction.labels[row])] if row >= 0 else []
        lots = [
            Lot(asked, [os.path.basename(str(called))], [about], "this image", its),
            Lot(
                list(of.pictures(some)),
                [str(each.id) for each in near[: len(some)]],
                [f"{each.distance:.3g}, {each.cluster}" for each in near[: len(some)]],
                "most like it, with their distance",
                [each.label for each in near[: len(some)]],
            ),
        ]
    title = f"The {len(near)} of {len(of.ids):,} images most like {os.path.basename(str(called))}"
    return Similar(called, row >= 0, near, draw(file, lots, title, of=of))


def _row(of: Found, image: str) -> int:
    """The row of the run's image of this id, -1 if it is a file; InputError if it is neither."""
    ids, path = of.ids, image.partition("::")[0]
    if os.path.isdir(image):
        what, mend = "is a folder", "name a file of one image"
        raise InputError(what, where=image, expected="one image, or an id of the run", mend=mend)
    there = os.path.exists(path) or image.startswith("demo:")
    rows = np.flatnonzero(ids.astype(np.str_) == image)
    if not len(rows) and there:
        return -1
    if not len(rows):
        former = of.clustered.prediction.present.former
        rows = np.flatnonzero(ids.astype(np.str_) == former.get(image, image))
    if not len(rows):
        names = ids[:_MOST_NAMES].astype(np.str_).tolist()
        raise InputError(
            f"no image of the run and no file is called {image!r}",
            expected="an id as aeclust predict prints it, or a file with one image",
            mend=(did_you_mean(image, names) if ids.dtype.kind == "U" else "") or near_file(path),
        )
    if there and not _is_its_file(of, image):
        raise InputError(
            "is an image of the run, and another file here",
            where=image,
            expected="one of them",
            mend=f"write {os.path.join(os.curdir, image)} for the file, or go to another folder",
        )
    return int(rows[0])


def _is_its_file(of: Found, name: str) -> bool:
    """Whether the file of this name is that of the run's image."""
    listing = of.listing
    path = None if listing is None or name not in listing.numbers else listing.path(name)
    return path is not None and os.path.exists(path) and os.path.samefile(path, name)


def _other(of: Found, image: str) -> tuple[NDArray[Any], tuple[Present, int]]:
    """The latent of an image in a file, and where its picture is."""
    context, manifest = of.context, of.manifest
    source = Source(location=image if image.startswith("demo:") else os.path.abspath(image))
    try:
        if not manifest.vectors:
            load_images(context, as_in_run(manifest, source), preview=True)
        images = other_images(context, manifest, source)
    except InputError as error:
        if "`skip_bad`" in error.mend:  # which leaves nothing of one image
            error.mend = "name another"
        raise
    if len(images) != 1:
        raise InputError(
            f"holds {len(images):,} images",
            where=image,
            expected="one image, or an id of the run",
            mend="name a file of one image",
        )
    check_alike(images, manifest)
    row = int(copies(images.fingerprints, of.contents)[0])
    if row >= 0:  # the same image: the same latent, whatever rounding does in a batch
        return of.latents[[row]], (of.clustered.prediction.present, row)
    epoch = int(of.labels.details["epoch"])
    latents, _ = embed_alike(context, manifest, images, epoch)
    return latents, (others(images), 0)


def factors(of: Found) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """The outlier factor of each image (n,), the row of the one nearest to it, and a bound.

    Images whose looks are odd (blank ones, noise) are beyond the bound too, by as much. Equal
    images count as one: or else whatever lies beside copies would stand alone.
    """
    _, first, which = np.unique(of.contents, return_index=True, return_inverse=True)
    latents = of.latents[np.sort(first)]
    place = np.argsort(np.argsort(first))[which]  # of every image among these
    rows, distances = nearest(
        latents,
        latents,
        OUTLIER_NEIGHBOURS,
        exclude=np.arange(len(latents)),
        progress=lambda done, total: of.context.progress("neighbours", done, total),
    )
    if not rows.shape[1]:
        return np.ones(len(of.ids)), np.zeros(len(of.ids), np.int64), 1.0
    labels = of.clustered.prediction.labels[np.sort(first)]
    values, near = outlier_factors(distances, labels)[place], np.sort(first)[rows[:, 0]][place]
    bound = far_out(values)
    if of.seen:
        beyond = odd_looks(of.squares)
        values = np.where(beyond > 0, np.maximum(values, bound + beyond), values)
    return values, near, bound


def outliers(context: Context, count: int = 30, *, output: Path | None = None) -> Outliers:
    """The images that stand alone most among all: see :func:`factors`.

    Parameters
    ----------
    context : Context
    count : int
    output : Path, optional
        ``outliers.png`` in the run folder, if None.
    """
    file = sheet_file(context, "outliers.png", output)
    of = found(context)
    values, near, bound = factors(of)
    rows = np.argsort(-values, kind="stable")[:count]
    result = [
        Outlier(
            of.ids[i].item(),
            round(float(values[i]), 4),
            of.ids[near[i]].item(),
            int(of.clustered.prediction.labels[i]),
            of.cluster(i),
        )
        for i in rows.tolist()
    ]
    lots = []
    if of.seen:
        some = rows[:MOST]
        remarks = [f"{each.factor:.2f}, {each.cluster}" for each in result[: len(some)]]
        names, clusters = of.ids[some].astype(np.str_).tolist(), [each.label for each in result]
        lots = [Lot(list(of.pictures(some)), names, remarks, clusters=clusters)]
    k = min(OUTLIER_NEIGHBOURS, len(of.ids) - 1)
    title = f"The {len(result)} of {len(of.ids):,} images that stand alone most"
    note = f"Below each: how far its {k} nearest images are, where 1 is usual in its cluster."
    far = int(np.count_nonzero(values > bound))
    drawn = draw(file, lots, title, note, of=of)
    return Outliers(len(of.ids), k, round(bound, 4), far, result, drawn)
