"""What the values of a recipe's fields must be, and how to say so."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

AUTO_K = 0


class Bound(NamedTuple):
    """What the value of a field must be, and how to say so."""

    holds: Callable[[Any], bool]
    words: str


POSITIVE = Bound(lambda value: value > 0, "a number above 0")
FROM_0 = Bound(lambda value: value >= 0, "0 or more")
FROM_1 = Bound(lambda value: value >= 1, "1 or more")
TO_1 = Bound(lambda value: value <= 1, "1 or less")
FEW = Bound(lambda value: value <= 64, "64 or less")
BELOW_1 = Bound(lambda value: value < 1, "less than 1")
FLOAT32 = Bound(lambda value: value <= 1e30, "1e30 or less")  # PyTorch refuses steps beyond it
COUNTED = Bound(lambda value: value < 10**9, "less than 1e9")  # files are named by the epoch
CLUSTERS = Bound(lambda k: k >= 2 or k == AUTO_K, "2 clusters or more, or auto")
A_GROUP = Bound(lambda size: size >= 2 or size == 0, "2 or more, or 0")
PRINTABLE = Bound(str.isprintable, "printable characters")
SHA256 = Bound(
    lambda text: text == "" or re.fullmatch("[0-9a-f]{64}", text) is not None,
    "64 hexadecimal digits",
)
STAGES = Bound(
    lambda channels: 0 < len(channels) <= 16 and min(channels) > 0,
    "one positive number for each of 1 to 16 encoder stages",
)
