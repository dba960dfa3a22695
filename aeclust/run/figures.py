"""Where figures go: names that say the kind of picture, and files put in place whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeclust import disk
from aeclust.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PICTURES = (".png", ".svg", ".pdf")


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


def save(file: Path, figure: Figure) -> None:
    """Write a figure as the kind of picture that its file ends in."""
    from aeclust.show import style

    kind: Any = file.suffix.lower().lstrip(".")
    disk.write_bytes(file, style.encoded(figure, kind))
