"""The images of a run, and others that a command is given; read and hashed once in a command."""

from __future__ import annotations

import dataclasses
import os
from functools import partial

import numpy as np

from aeclust import artifact
from aeclust.artifact import Artifact
from aeclust.errors import InputError
from aeclust.images import Images, Source, blocks, listing, load
from aeclust.recipe import Recipe
from aeclust.run.context import Context
from aeclust.run.folder import Manifest


def load_images(context: Context, source: Source) -> Images:
    """Images from anywhere, which the context remembers until the command ends.

    Those of a folder come from the run's ``images.h5`` as long as the folder lists the same files
    as when they were decoded.
    """
    if source not in context.loaded:
        kept = _kept_images(context, source)
        reading = partial(context.progress, "reading images")
        context.loaded[source] = load(source, progress=reading) if kept is None else kept
    return context.loaded[source]


def _kept_images(context: Context, source: Source) -> Images | None:
    """What ``images.h5`` holds, if that is what reading the folder anew would give."""
    file, listed = context.folder.images_file, listing(source)
    if not listed or not file.exists():
        return None
    kept = artifact.read(file, "images", mapped=True)
    if kept.details.get("listing") != listed:
        return None
    ids, skipped = (
        artifact.decode_ids(kept.arrays.get(name, np.array([], "S1")))
        for name in ("ids", "skipped")
    )
    # the file is whole, and says which images it holds: they need not be hashed again
    digest, pixels = kept.parents.get("data", ""), kept.arrays["pixels"]
    return Images(pixels, ids, source, tuple(skipped.tolist()), known_digest=digest)


def other_images(context: Context, manifest: Manifest, source: Source) -> Images:
    """Images that a command is given; those of a folder in the run's size, if none is stated."""
    return load_images(context, with_size(manifest, source))


def with_size(manifest: Manifest, source: Source) -> Source:
    """A source whose images are resized as the run's were, if it is a folder without a size."""
    if source.size is None and os.path.isdir(source.location):
        return dataclasses.replace(source, size=manifest.source.size)
    return source


def run_images(context: Context, manifest: Manifest) -> Images:
    """The run's images.

    Raises
    ------
    InputError
        If they are not the ones it was trained on.
    """
    source = manifest.source
    again = source in context.loaded
    images = load_images(context, source)
    if images.listing and context.folder.images_file.exists() and not again:
        context.log(f"{source.location} has changed: its images are decoded anew")
    if images.digest() != manifest.data_digest:
        raise InputError(
            "the images have changed since training",
            where=source.location,
            expected="the images that the run was trained on",
            mend="restore them, or train again with `force`",
        )
    return images


def check_images(context: Context, manifest: Manifest) -> None:
    """Notice that the run's images changed; that they are gone matters only to what needs them."""
    source = manifest.source
    if source.location.startswith("demo:"):
        return
    if os.path.exists(source.location.partition("::")[0]):
        run_images(context, manifest)
    else:
        context.log(f"{source.location} is gone; what was made from it is used as it stands")


def keep_images(context: Context, manifest: Manifest, images: Images) -> None:
    """Keep the run's images if they were decoded just now; only for who locks the folder."""
    if not images.listing:
        return
    arrays = {"ids": artifact.encode_ids(images.ids)}
    if images.skipped:
        arrays["skipped"] = artifact.encode_ids(np.array(images.skipped))
    kept = Artifact(
        kind="images",
        arrays=arrays,
        recipe=manifest.recipe.to_json(),
        seed=manifest.seed,
        parents={"data": images.digest()},
        details={"listing": images.listing},
    )
    parts = ({"pixels": block} for block in blocks(images.pixels))
    artifact.write(context.folder.images_file, kept, len(images), parts)


def check_channels(images: Images, channels: int) -> None:
    """Refuse images of other colours than a network was built for."""
    words, actual = {1: "grey", 3: "RGB"}, images.pixels.shape[3]
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
    if images.pixels.shape[1:3] != (size, size):
        context.log(f"images are resized to {size} x {size} for recipe {recipe.name}")
