"""The photographs that vectors were made of: what they are called, and how they look."""

from __future__ import annotations

import dataclasses

import numpy as np

from aeclust.errors import InputError
from aeclust.images.columns import rows_of
from aeclust.images.pixels import mean_colours
from aeclust.images.source import Images


def has_ids(vectors: Images) -> bool:
    """Whether vectors have ids of their own; row numbers are none."""
    ids = vectors.ids
    return ids.dtype.kind == "U" or not np.array_equal(ids, np.arange(len(ids)))


def with_photographs(vectors: Images, photos: Images, *, lenient: bool = False) -> Images:
    """Vectors with previews and mean colours of photographs, and their names if they have no ids.

    Ids that are the row numbers are none: then the rows stand in the order of the photographs.

    Parameters
    ----------
    vectors, photos : Images
    lenient : bool
        A vector may have no photograph by now.

    Raises
    ------
    InputError
        If they do not belong together.
    """
    n, ids, where = len(vectors), vectors.ids, photos.source.location
    notes: tuple[str, ...] = ()
    if not has_ids(vectors):
        if len(photos) != n:
            raise InputError(
                f"holds {len(photos):,} images, and there are {n:,} vectors",
                where=where,
                expected="an image for each vector, in the order of their paths",
                mend="name those images, or save ids beside the vectors",
            )
        rows, ids = np.arange(n), photos.ids
    else:
        rows = rows_of(ids, photos.ids)
        missing = np.flatnonzero(rows < 0)
        if len(missing) and not lenient:
            raise InputError(
                f"{len(missing):,} of {n:,} ids are not among its {len(photos):,} images, the"
                f" first is {str(ids[missing[0]])!r}",
                where=where,
                expected="ids that are paths below that folder, or row numbers of that array",
                mend="correct the ids, or name other images",
            )
        # as the files are called, whose names may be composed otherwise
        ids = np.where(rows < 0, ids, photos.ids[rows])
        unused = np.setdiff1d(np.arange(len(photos)), rows)
        if len(unused):
            s = "s" * (len(unused) > 1)
            notes = (f"{len(unused):,} image{s} without a vector ({photos.ids[unused[0]]})",)
    colours = mean_colours(photos.pixels)[rows]
    coded = photos.previews
    return dataclasses.replace(
        vectors,
        ids=ids,
        notes=notes,
        left_out=photos.left_out,
        previews=tuple(coded[i] if i >= 0 else b"" for i in rows.tolist()) if coded else (),
        colours=None if (rows < 0).any() else colours,
    )
