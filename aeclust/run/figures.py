"""Where figures go: names that say the kind of picture, and files put in place whole."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeclust import disk
from aeclust.errors import InputError

if TYPE_CHECKING:
    from aeclust.show.style import Picture

_PICTURES = (".png", ".svg", ".pdf")
_LONGEST = 40  # characters of the name of other images


def picture_name(kind: str, *parts: str, others: str = "") -> str:
    """The file name of a picture, where nobody gave one: no other kind of picture has it.

    Parameters
    ----------
    kind, *parts : str
        What it shows, and how.
    others : str
        Where its images are, if these are not the run's.

    >>> picture_name("embedding"), picture_name("embedding", "labels", others="data/valX.npy")
    ('embedding.png', 'embedding-labels-valX.png')
    >>> picture_name("gallery", others="demo:scenes-val")
    'gallery-scenes-val.png'
    """
    name = others.removeprefix("demo:").rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).stem).strip("-.")[:_LONGEST]
    return "-".join([kind, *parts, *([name or "others"] if others else [])]) + ".png"


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
