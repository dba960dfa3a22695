"""A run of vectors that somebody else made: begun without any training."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np

from aeclust.errors import InputError, at
from aeclust.images import Images, Source, check_enough, is_files, mark_of, with_photographs
from aeclust.recipe import named
from aeclust.run.context import Context
from aeclust.run.folder import RunFolder
from aeclust.run.images import keep_images, kept_images, load_images
from aeclust.run.latents import Made, embed
from aeclust.run.manifest import Manifest, some_of
from aeclust.run.weights import check_room

RECIPE = named("features")
_LEAST = 2  # vectors


def embed_features(
    context: Context, source: Source, pictures: Source | None = None, *, force: bool = False
) -> Made:
    """Begin a run of vectors, whose latents they are; the same run again is left as it is.

    Parameters
    ----------
    context : Context
    source : Source
        The vectors.
    pictures : Source, optional
        The images that they were made of, for people to look at.
    force : bool
        Replace a run that is there.

    Raises
    ------
    InputError
        If the vectors cannot be used, if they and the images do not belong together, or if there
        is another run and `force` is False.
    """
    folder = context.folder
    folder.check_foreign(Path(source.location.partition("::")[0]))
    if pictures is not None and is_files(pictures.location):
        pictures = dataclasses.replace(pictures, size=RECIPE.image_size)
    if not force and folder.exists():
        begun = folder.manifest()
        if not begun.vectors or _of_pictures(begun.pictures) != _of_pictures(pictures):
            raise _other_run(folder)
        if begun.source == source and _untouched(context, begun):
            return embed(context)
    vectors = load_images(context, source)
    with at(source.location):
        check_enough(vectors.pixels, _LEAST)
    if pictures is not None:
        vectors = with_photographs(vectors, load_images(context, pictures, preview=True))
    manifest = Manifest(
        source=source,
        data_digest=vectors.digest(),
        shape=vectors.pixels.shape,
        some=some_of(vectors.ids),
        recipe=RECIPE,
        seed=0,
        threads=context.threads,
        pictures=pictures,
    )
    with folder.lock():
        folder.finish_replacing()
        former = folder.manifest() if folder.exists() and not force else None
        if former is None or not _same(former, manifest):
            _begin(context, manifest, vectors, force=force)
        elif former.source != source:
            folder.write_manifest(dataclasses.replace(former, source=source))
        return embed(context, force=force)


def _untouched(context: Context, manifest: Manifest) -> bool:
    """Whether nobody has touched the file since the run was made of it."""
    kept, path = kept_images(context, manifest), manifest.source.location.partition("::")[0]
    return kept is not None and np.array_equal(kept.marks, [mark_of(path)])


def _same(former: Manifest, manifest: Manifest) -> bool:
    """Whether a run is of these vectors already, wherever they lie."""
    one, other = ((m.data_digest, m.recipe, _of_pictures(m.pictures)) for m in (former, manifest))
    return one == other


def _of_pictures(pictures: Source | None) -> Source | None:
    """What says which images the vectors were made of: not what was done about broken ones."""
    return pictures and dataclasses.replace(pictures, skip_bad=False)


def _other_run(folder: RunFolder) -> InputError:
    return InputError(
        "another run is here already",
        where=str(folder.path),
        expected="an empty or new folder, or a run of the same vectors and images",
        mend="replace it with `force`, or change `run`",
    )


def _begin(context: Context, manifest: Manifest, vectors: Images, *, force: bool) -> None:
    """Make the folder, whose lock is held, that of this run."""
    folder = context.folder
    if (folder.exists() or folder.checkpoints()) and not force:
        raise _other_run(folder)
    if manifest.pictures is not None:
        first, last = (str(vectors.ids[i]) for i in (0, -1))
        context.log(
            f"{manifest.pictures.location}: {len(vectors):,} images; the first vector is"
            f" {first}, the last {last}"
        )
        for line in vectors.skipped:
            context.log(f"left out {line}")
    latents = 4 * math.prod(manifest.shape)  # single precision
    check_room(folder.path, latents + sum(map(len, vectors.previews)))
    folder.begin(manifest)
    for file in (folder.previews_file, folder.start_file):
        file.unlink(missing_ok=True)
    keep_images(context, manifest, vectors)
