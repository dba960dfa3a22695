"""Pixels of the images of a run as they are now."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeclust.errors import InputError
from aeclust.images import Listing, look, of_files
from aeclust.run.context import Context
from aeclust.run.images import images_there, kept_images, run_images
from aeclust.run.manifest import Manifest
from aeclust.run.present import Ids, Present


def pixels_at(
    context: Context,
    manifest: Manifest,
    present: Present,
    which: NDArray[np.int64],
    listing: Listing | None = None,
) -> NDArray[Any]:
    """Pixels (m, h, w, c) of some of the images, as the network gets them.

    Parameters
    ----------
    context, manifest, present
    which : ndarray of shape (m,)
        Their numbers among those that are present.
    listing : Listing, optional
        The files that they lie in, if these have been listed already.
    """
    rows = present.rows[which]
    if present.new is not None and not (present.rows >= 0).any():
        return present.new.pixels[which]
    if manifest.vectors or present.ids.dtype.kind != "U":  # the array as it is now
        return images_there(context, manifest).pixels[which]
    if kept_images(context, manifest) is None:
        listing = listing or look(manifest.source.location, manifest.source.files)
        if listing is not None:
            return _read_again(manifest, listing, present.ids[which])
    pixels = run_images(context, manifest).pixels[rows]
    if present.new is not None and (rows < 0).any():
        pixels[rows < 0] = present.new.pixels[present.numbers[which[rows < 0]]]
    return pixels


def _read_again(manifest: Manifest, listing: Listing, names: Ids) -> NDArray[Any]:
    """Pixels of images by their names from their files, where the run's own copies are lost."""
    number = listing.numbers
    wanted = sorted({number[name] for name in names.tolist() if name in number})
    channels = manifest.shape[3]
    images = of_files(manifest.source, listing, wanted, channels=channels, may_be_none=True)
    row = {name: i for i, name in enumerate(images.ids.tolist())}
    missing = next((name for name in names.tolist() if name not in row), None)
    if missing is not None:
        raise InputError(
            "has just been there, and cannot be read any more",
            where=f"{manifest.source.location}{os.sep}{missing}",
            expected="files that nobody changes meanwhile",
            mend="repeat the command",
        )
    return images.pixels[[row[name] for name in names.tolist()]]
