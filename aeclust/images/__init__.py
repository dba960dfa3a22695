"""Any source of images as one array and its ids.

:func:`load` reads a :class:`Source`: a folder of image files (:mod:`~aeclust.images.folders`), an
array in a file (:mod:`~aeclust.images.arrays`) or a built-in set (:mod:`~aeclust.images.demo`).
:mod:`~aeclust.images.ranges` says what values mean, :mod:`~aeclust.images.columns` what ids and
labels are; :mod:`~aeclust.images.pixels` has what is worked out from pixels;
:mod:`~aeclust.images.truth` reads labels that others gave.
"""

from aeclust.images.arrays import from_array
from aeclust.images.pixels import blocks, check_enough, fingerprints, mean_colours, to_png
from aeclust.images.ranges import bounds
from aeclust.images.source import Images, Source, listing, load

__all__ = [
    "Images",
    "Source",
    "blocks",
    "bounds",
    "check_enough",
    "fingerprints",
    "from_array",
    "listing",
    "load",
    "mean_colours",
    "to_png",
]
