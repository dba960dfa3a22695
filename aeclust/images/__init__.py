"""Any source of images as one array and its ids.

:func:`load` reads a :class:`Source`: image files (:mod:`~aeclust.images.files`, decoded by
:mod:`~aeclust.images.reading`), an array in a file (:mod:`~aeclust.images.arrays`) or a built-in
set (:mod:`~aeclust.images.demo`). :mod:`~aeclust.images.gate` is what the bytes of an image pass,
:mod:`~aeclust.images.ranges` and :mod:`~aeclust.images.depth` decide what values mean,
:mod:`~aeclust.images.columns` what ids and labels are;
:mod:`~aeclust.images.features` reads vectors that somebody else made of images, of which
:mod:`~aeclust.images.photographs` has the looks; :mod:`~aeclust.images.pixels` has what is
worked out from pixels; :mod:`~aeclust.images.truth` reads labels that others gave, and
:mod:`~aeclust.images.written` is how labels leave.
"""

from aeclust.images.arrays import from_array
from aeclust.images.decoding import FITS, from_preview, size_of
from aeclust.images.features import from_features
from aeclust.images.files import is_files, look
from aeclust.images.listing import Listing, mark_of
from aeclust.images.photographs import has_ids, with_photographs
from aeclust.images.pixels import (
    blocks,
    check_enough,
    fingerprints,
    grey_square,
    like_photographs,
    mean_colours,
    to_png,
)
from aeclust.images.ranges import bounds
from aeclust.images.reading import LeftOut
from aeclust.images.source import Images, Source, check_location, load, of_files

__all__ = [
    "FITS",
    "Images",
    "LeftOut",
    "Listing",
    "Source",
    "blocks",
    "bounds",
    "check_enough",
    "check_location",
    "fingerprints",
    "from_array",
    "from_features",
    "from_preview",
    "grey_square",
    "has_ids",
    "is_files",
    "like_photographs",
    "load",
    "look",
    "mark_of",
    "mean_colours",
    "of_files",
    "size_of",
    "to_png",
    "with_photographs",
]
