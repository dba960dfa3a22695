"""What ask answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aeclust.cli.answers import Answer

if TYPE_CHECKING:
    from aeclust.run.asking import Asked


def asked_answer(asked: Asked) -> Answer:
    """How many images are asked for, and where they are to be seen."""
    images = f"{len(asked.ids):,} image{'s' * (len(asked.ids) != 1)} to label"
    known = f", beside {asked.known:,} known ones" if asked.known else ""
    sheet = f"; {asked.sheet} shows them" if asked.sheet else ""
    return Answer(
        f"{asked.file}: {images}{known}{sheet}",
        {
            "file": str(asked.file),
            "sheet": None if asked.sheet is None else str(asked.sheet),
            "ids": asked.ids,
            "known": asked.known,
            "next": [{"what": "take the answers in", "command": asked.command}],
        },
    )
