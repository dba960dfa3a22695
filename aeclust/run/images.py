"""The images of a run, and others that a command is given; read and hashed once in a command."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import BusyError, InputError, WriteError
from aeclust.images import (
    Images,
    LeftOut,
    Source,
    blocks,
    has_ids,
    is_files,
    load,
    with_photographs,
)
from aeclust.recipe import Recipe
from aeclust.run.context import Context
from aeclust.run.manifest import Manifest

_LEFT_OUT = ("left_out", "left_out_marks", "left_out_kinds", "left_out_reasons")


def load_images(context: Context, source: Source, *, preview: bool = False) -> Images:
    """Images from anywhere, which the context remembers until the command ends."""
    if source not in context.loaded:
        reading = partial(context.progress, "reading images")
        context.loaded[source] = load(source, preview=preview, progress=reading)
    return context.loaded[source]


def other_images(context: Context, manifest: Manifest, source: Source) -> Images:
    """Images that a command is given; those in files are made as large as the run's."""
    if source.features and not manifest.vectors:
        raise InputError(
            "the run is of images, and these are features",
            where=source.location,
            expected="images",
            mend="leave out `features`, or begin another run by aeclust embed `features` FILE",
        )
    return load_images(context, as_in_run(manifest, source))


def as_in_run(manifest: Manifest, source: Source) -> Source:
    """A source whose images are read as the run's are, as far as nothing else is stated."""
    ours = manifest.source
    if manifest.vectors:
        return dataclasses.replace(source, features=True)
    if source.location.startswith("demo:"):
        return source
    source = dataclasses.replace(source, range=source.range or ours.range)
    if source.size is not None or not is_files(source.location):
        return source
    own = (source.location, source.files) == (ours.location, ours.files)
    size = ours.size if own else manifest.recipe.image_size
    bad = source.skip_bad or (own and ours.skip_bad)
    return dataclasses.replace(source, size=size, fit=ours.fit, skip_bad=bad)


def run_images(context: Context, manifest: Manifest) -> Images:
    """The images that the run has, whatever has become of them since where they lie.

    Raises
    ------
    InputError
        If their pixels are neither kept nor to be had again.
    """
    source = manifest.source
    kept = kept_images(context, manifest)
    if kept is not None and len(kept.pixels):
        return kept
    images = images_there(context, manifest)
    if kept is not None and np.array_equal(kept.marks, images.marks):
        # the file is as it was when its images were hashed
        images = dataclasses.replace(images, known_digest=manifest.data_digest)
        context.loaded[source] = images
    if images.digest() != manifest.data_digest:
        raise have_changed(context, manifest, images)
    return images


def is_there(source: Source) -> bool:
    """Whether there is still anything where images lay."""
    path = source.location.partition("::")[0]
    return path.startswith("demo:") or os.path.exists(path)


def images_there(context: Context, manifest: Manifest, *, preview: bool = False) -> Images:
    """The images where those of the run lay, whatever they are now (InputError without any)."""
    location = manifest.source.location
    if not is_there(manifest.source):
        where = context.folder.command("update")
        raise InputError(
            "there is no such file or folder",
            where=location,
            expected="the images of the run",
            mend=f"put them back, or say where they are with {where} PATH",
        )
    images = load_images(context, manifest.source, preview=preview)
    pictures = manifest.pictures
    return images if pictures is None else _with_photographs(context, manifest, images, pictures)


def _with_photographs(
    context: Context, manifest: Manifest, vectors: Images, pictures: Source
) -> Images:
    """The vectors of a run, called and looking as the photographs that they were made of."""
    kept = kept_images(context, manifest)
    untouched = kept is not None and np.array_equal(kept.marks, vectors.marks)
    if kept is not None and untouched and manifest.photographs:  # which take a while to decode
        colours = None
        if context.folder.previews_file.exists():
            made = artifact.read(context.folder.previews_file, "previews", mapped=True)
            if made.parents.get("data") == manifest.data_digest:
                colours = made.arrays.get("colours")
        return dataclasses.replace(vectors, ids=kept.ids, colours=colours)
    if has_ids(vectors) and not is_there(pictures):
        return vectors
    photos = load_images(context, pictures, preview=True)
    return with_photographs(vectors, photos, lenient=True)


def have_changed(context: Context, manifest: Manifest, images: Images) -> InputError:
    """The error for images that are not those of the run, whose pixels are not kept."""
    what = "the images have changed since training"
    known = known_fingerprints(context, manifest)
    if known is not None:
        rows = match(known, images.ids, images.fingerprints)
        names = [*known[0][~np.isin(np.arange(len(known[0])), rows)], *images.ids[rows < 0]]
        if names:
            what += f" ({len(names)} of them came, went or differ, the first is {names[0]})"
    return InputError(
        what,
        where=manifest.source.location,
        expected="the images that the run was trained on",
        mend=f"restore them, take them in with {context.folder.command('update')}, or train again"
        " with `force`",
    )


# -- what a run keeps of its images ----------------------------------------------------------------

Known = tuple[NDArray[np.str_] | NDArray[np.int64], NDArray[np.uint64]]


def kept_images(context: Context, manifest: Manifest) -> Images | None:
    """What ``images.h5`` has of the run's images: of those in arrays no pixels, (0, h, w, c)."""
    file, key = context.folder.images_file, manifest.data_digest
    if key not in context.kept:
        context.kept[key] = None
        if file.exists():
            kept = artifact.read(file, "images", mapped=True)
            if kept.parents.get("data") == key and kept.details.get("way") == manifest.source.way:
                images = _images_of(kept, manifest)
                fits = images.pixels.shape[1:] == manifest.shape[1:]
                if fits and len(images.marks) in (len(images.pixels), 1):
                    context.kept[key] = images
    return context.kept[key]


def _images_of(kept: Artifact, manifest: Manifest) -> Images:
    arrays = kept.arrays
    columns = [artifact.decode_ids(arrays.get(name, np.array([]))).tolist() for name in _LEFT_OUT]
    left_out = tuple(LeftOut(*row) for row in zip(*columns, strict=True))
    ids, marks = artifact.decode_ids(arrays["ids"]), arrays["marks"]
    pixels = arrays.get("pixels", np.empty((0, *manifest.shape[1:]), np.uint8))
    # the file is whole, and says which images it holds: they need not be hashed again
    digest = kept.parents.get("data", "")
    return Images(
        pixels,
        ids,
        manifest.source,
        marks,
        left_out,
        known_digest=digest,
        known_fingerprints=arrays["fingerprints"],
    )


def known_fingerprints(context: Context, manifest: Manifest) -> Known | None:
    """Ids and fingerprints (n,) of the run's images, by what the run keeps; None if it does not."""
    kept = kept_images(context, manifest)
    if kept is not None:
        return kept.ids, kept.fingerprints
    folder = context.folder
    for file, kind in ((folder.latents_file, "latents"), (folder.labels_file, "labels")):
        if file.exists():
            made = artifact.read(file, kind, mapped=True)
            if made.parents.get("data") == manifest.data_digest:
                return artifact.decode_ids(made.arrays["ids"]), made.arrays["fingerprints"]
    return None


def match(
    known: Known, ids: NDArray[np.str_] | NDArray[np.int64], marks: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The row of the run that each image has, -1 for those that are new.

    An image is the one of its name if its content is the same; else one of another name with this
    content that is not there any more.

    Parameters
    ----------
    known : (ndarray, ndarray)
        Ids and fingerprints of the run's images.
    ids, marks : ndarray of shape (m,)
        Ids and fingerprints of the images that are there.
    """
    row_of = {name: row for row, name in enumerate(known[0].tolist())}
    contents = known[1].tolist()
    rows = np.full(len(ids), -1, np.int64)
    for i, (name, mark) in enumerate(zip(ids.tolist(), marks.tolist(), strict=True)):
        row = row_of.get(name, -1)
        if row >= 0 and contents[row] == mark:
            rows[i] = row
    taken = set(rows.tolist())
    free: dict[int, list[int]] = {}
    for row in reversed(range(len(contents))):
        if row not in taken:
            free.setdefault(contents[row], []).append(row)
    for i in np.flatnonzero(rows < 0).tolist():
        if others := free.get(int(marks[i])):
            rows[i] = others.pop()
    return rows


def common_rows(one: Artifact, other: Artifact) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows (m,) of the images that two files of labels both have, known by their content."""
    marks, its = (each.arrays["fingerprints"] for each in (one, other))
    _, rows, others = np.intersect1d(marks, its, return_indices=True)
    return rows, others


def keep_images(context: Context, manifest: Manifest, images: Images) -> None:
    """Keep what later commands need of the run's images; only for who locks the folder."""
    folder, source = context.folder, manifest.source
    if not len(images.marks):  # of a built-in set nothing is needed
        for file in (folder.images_file, folder.previews_file):
            file.unlink(missing_ok=True)
        return
    in_files = images.ids.dtype.kind == "U" and not manifest.vectors
    arrays: dict[str, NDArray[Any]] = {
        "ids": artifact.encode_ids(images.ids),
        "fingerprints": images.fingerprints,
        "marks": images.marks,
    }
    if images.left_out:
        names, marks, kinds, reasons = zip(*images.left_out, strict=True)
        arrays["left_out_marks"] = np.array(marks, np.uint64)
        for name, texts in (("", names), ("_kinds", kinds), ("_reasons", reasons)):
            arrays[f"left_out{name}"] = artifact.encode_ids(np.array(texts, np.str_))
    kept = Artifact(
        kind="images",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": images.digest()},
        details={"way": source.way},
    )
    if images.previews:
        keep_previews(context, manifest, images.previews, images.colours)
    elif not in_files and manifest.pictures is None:  # of a former run
        folder.previews_file.unlink(missing_ok=True)
    parts = ({"pixels": block} for block in blocks(images.pixels)) if in_files else ()
    artifact.write(folder.images_file, kept, len(images) if in_files else 0, parts)
    context.kept.clear()


def keep_previews(
    context: Context,
    manifest: Manifest,
    previews: Sequence[bytes],
    colours: NDArray[np.float32] | None = None,
) -> None:
    """Keep the previews of the run's images, and of photographs of vectors the mean colours."""
    arrays: dict[str, NDArray[Any]] = {
        "previews": np.frombuffer(b"".join(previews), np.uint8),
        "ends": np.cumsum([len(each) for each in previews]).astype(np.int64),
        **({} if colours is None else {"colours": colours}),
    }
    made = Artifact(
        kind="previews",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": manifest.data_digest},
        details={},
    )
    artifact.write(context.folder.previews_file, made)


def refresh(context: Context, manifest: Manifest, images: Images) -> None:
    """Keep anew what is known of files that were touched, if the folder is free to write in."""
    if not context.team.leads:
        return
    with contextlib.suppress(BusyError, WriteError), context.folder.lock():
        # another process may have taken in other images meanwhile
        if context.folder.manifest().data_digest == manifest.data_digest:
            keep_images(context, manifest, images)


# -- what commands ask of them ---------------------------------------------------------------------


def check_alike(images: Images, manifest: Manifest) -> None:
    """Refuse images of other colours than a run's network takes, or vectors of other lengths."""
    words, actual, channels = {1: "grey", 3: "RGB"}, images.pixels.shape[-1], manifest.shape[-1]
    if actual != channels and manifest.vectors:
        raise InputError(
            f"has vectors of {actual:,} values",
            where=images.source.location,
            expected=f"{channels:,} values, as those of the run have",
            mend="make them by the same network",
        )
    if actual != channels:
        raise InputError(
            f"the images are {words[actual]} and the weights take {words[channels]}",
            where=images.source.location,
            expected=f"{channels} channels",
            mend="convert them",
        )


def describe_images(context: Context, images: Images, recipe: Recipe) -> None:
    """Log what the images were taken for, what was left out, and that they will be resized."""
    context.log(f"{images.source.location}: {images.describe()}")
    for line in images.remarks:
        context.log(line)
    for line in images.skipped:
        context.log(f"left out {line}")
    size = recipe.image_size
    if images.pixels.ndim == 4 and images.pixels.shape[1:3] != (size, size):
        context.log(f"images are resized to {size} x {size} for recipe {recipe.name}")
