"""Where figures go: names that say the kind of picture, and files put in place whole."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeclust import disk
from aeclust.errors import InputError
from aeclust.images import Source
from aeclust.images.gate import ENDINGS

if TYPE_CHECKING:
    from aeclust.show.style import Picture

_PICTURES = (".png", ".svg", ".pdf")
_DATA = (*ENDINGS, ".npy", ".npz", ".h5", ".hdf5", ".zip", ".tar", ".csv", ".txt")
_LONGEST = 40  # characters of the name of other images


def picture_name(kind: str, *parts: str, others: Source | None = None) -> str:
    """The file name of a picture, where nobody gave one: no other kind or source has it.

    Parameters
    ----------
    kind, *parts : str
        What it shows, and how; words without "-".
    others : Source, optional
        Its images, if these are not the run's.

    >>> picture_name("embedding"), picture_name("embedding", "labels")
    ('embedding.png', 'embedding-labels.png')
    >>> picture_name("embedding", "labels", others=Source(location="valX.npy"))
    'embedding-labels-of-valX.png'
    >>> picture_name("gallery", others=Source(location="data/valX.npz::images"))
    'gallery-of-valX-images-e422c783.png'
    """
    return "-".join([kind, *parts, *(["of", _named(others)] if others else [])]) + ".png"


def _named(source: Source) -> str:
    """A name that a file may have: a hash is part of it, unless nothing of the source is lost."""
    whole = "\n".join([source.location, *source.files])
    place, _, key = source.location.partition("::")
    last = re.split(r"[/\\]", place.rstrip("/\\"))[-1]
    stem, ending = os.path.splitext(last)
    stem = stem if ending.lower() in _DATA else last
    name = re.sub(r"[^\w.-]+", "-", f"{stem}-{key}").strip("-.")[:_LONGEST]
    if whole == (f"demo:{name[5:]}" if name.startswith("demo-") else f"{name}.npy"):
        return name
    digest = hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{name}-{digest[:8]}".lstrip("-")


def with_ending(
    default: Path,
    output: Path | None,
    endings: Sequence[str] = _PICTURES,
    *,
    setting: str = "output",
) -> Path:
    """Where something goes, looked at before any work.

    Raises
    ------
    InputError
        If its ending, which decides the format, is none of `endings`; it names the `setting`.
    """
    file = default if output is None else output
    if file.suffix.lower() not in endings:
        *others, last = endings
        expected = f"{', '.join(others)} or {last}" if others else last
        what, mend = f"ends in {file.suffix or 'nothing'!r}", f"change `{setting}`"
        raise InputError(what, where=str(file), expected=expected, mend=mend)
    return file


def save(file: Path, figure: Picture) -> None:
    """Write a figure as the kind of picture that its file ends in."""
    from aeclust.show import style

    kind: Any = file.suffix.lower().lstrip(".")
    disk.write_bytes(file, style.encoded(figure, kind))
