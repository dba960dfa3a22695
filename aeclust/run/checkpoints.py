"""How many epochs a run that learns on has, and which epochs keep their weights."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from typing import Literal, cast

from aeclust.errors import InputError
from aeclust.recipe import Recipe

Keep = int | Literal["last", "all"]
_MOST = 1000


def further(recipe: Recipe) -> Recipe:
    """The recipe of a run that learns on from good weights: a third of the first phase.

    >>> from aeclust.recipe import named
    >>> further(named("hybrid")).epochs
    5
    """
    return dataclasses.replace(recipe, epochs=math.ceil(recipe.epochs / 3))


def checkpoint_epochs(recipe: Recipe, keep: Keep = 12) -> list[int]:
    """The epochs after which a checkpoint is kept.

    So many, evenly from 0 to the last; with ``last`` or 1 the last alone, which every command but
    ``checkpoint-curve`` is content with; with ``all`` every one. The end of the first phase, which
    ``cluster`` goes back to for another number of clusters, is always among them.

    >>> from aeclust.recipe import named
    >>> checkpoint_epochs(named("baseline"))
    [0, 9, 18, 27, 36, 45, 55, 64, 73, 82, 91, 100]
    >>> checkpoint_epochs(named("hybrid"), 3), checkpoint_epochs(named("hybrid"), "last")
    ([0, 9, 14, 18], [14, 18])
    """
    total = recipe.total_epochs
    count = 1 if keep == "last" else total + 1 if keep == "all" else min(keep, total + 1)
    if not 1 <= count <= _MOST:
        raise _refused(f"is {keep}" if keep != "all" else f"all is {count}")
    gaps = count - 1
    evenly = {round(total * i / gaps) for i in range(count)} if gaps else {total}
    return sorted(evenly | {recipe.epochs})


def parse_keep(text: str) -> Keep:
    """``last``, ``all`` or a number, as somebody writes it."""
    if text in ("last", "all"):
        return cast(Keep, text)
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise _refused(f"is {text!r}")
    return int(text)


def kept_by(recipe: Recipe, kept: Collection[int]) -> str:
    """What :func:`checkpoint_epochs` gave these for; empty if nothing does.

    >>> from aeclust.recipe import named
    >>> kept_by(named("hybrid"), [0, 9, 14, 18]), kept_by(named("hybrid"), [3])
    ('3', '')
    """
    if not kept:
        return ""
    asked: list[Keep] = ["last", *range(max(1, len(kept) - 1), len(kept) + 1)]
    if len(kept) == recipe.total_epochs + 1:
        asked.insert(0, "all")
    fits = (str(keep) for keep in asked if checkpoint_epochs(recipe, keep) == sorted(kept))
    return next(fits, "")


def _refused(what: str) -> InputError:
    return InputError(
        what,
        where="`keep_checkpoints`",
        expected=f"1 to {_MOST} checkpoints, last or all",
        mend="leave it out for about a dozen",
    )
