"""Which of several processes this one is, by the environment that started it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aeclust.errors import InputError

_ALONE = "unset WORLD_SIZE to work in one process"


@dataclass(frozen=True)
class Place:
    """A process among those that were started to work together.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many there are.
    host, port : str, int
        Where they meet.
    local_rank : int
        Its number among those on this machine.
    hosted : bool
        Whether whoever started them keeps the meeting point; else process 0 does.
    attempt : str
        Distinguishes a start from earlier ones at the same meeting point.
    """

    rank: int
    size: int
    host: str
    port: int
    local_rank: int = 0
    hosted: bool = False
    attempt: str = ""

    @property
    def address(self) -> str:
        """Host and port, as users write them."""
        return f"{self.host}:{self.port}"


def place_in(environment: Mapping[str, str]) -> Place | None:
    """The place that an environment states, in the variables of ``torchrun``; None if alone.

    Raises
    ------
    InputError
        If there are several processes and a variable is missing or cannot be right.
    """
    if not environment.get("WORLD_SIZE"):
        return None
    size = _number(environment, "WORLD_SIZE", "a number of processes", 1)
    if size > 1 or environment.get("RANK"):
        rank = _number(environment, "RANK", "the number of this process", 0, size - 1)
    if size == 1:
        return None
    if not environment.get("MASTER_ADDR"):
        raise InputError(
            "is not set", where="MASTER_ADDR", expected=f"the host of process 0 of {size}",
            mend=f"set it, or {_ALONE}",
        )  # fmt: skip
    return Place(
        rank,
        size,
        environment["MASTER_ADDR"],
        _number(environment, "MASTER_PORT", "a port of that host", 1, 65_535),
        _number({"LOCAL_RANK": "0", **environment}, "LOCAL_RANK", "a number on this machine", 0),
        environment.get("TORCHELASTIC_USE_AGENT_STORE") == "True",
        environment.get("TORCHELASTIC_RESTART_COUNT", ""),
    )


def by_torchrun(environment: Mapping[str, str]) -> bool:
    """Whether ``torchrun`` itself started this process: others set its variables, too."""
    return "TORCHELASTIC_RUN_ID" in environment


def _number(
    environment: Mapping[str, str], name: str, what: str, least: int, most: int | None = None
) -> int:
    text = environment.get(name, "").strip()
    if text.isdecimal() and least <= int(text) and (most is None or int(text) <= most):
        return int(text)
    bounds = f"{least} or more" if most is None else f"from {least} to {most}"
    if name == "RANK":
        bounds += f", because WORLD_SIZE is {environment['WORLD_SIZE']}"
    raise InputError(
        f"is {text!r}" if text else "is not set",
        where=name,
        expected=f"{what}, {bounds}",
        mend=_ALONE if name == "WORLD_SIZE" else f"set it, or {_ALONE}",
    )
