"""A loss curve of characters, for a terminal."""

from __future__ import annotations

import itertools
import math

_BINS = 512
# the dot of a braille cell by (row, column) in it
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
_BLANK = 0x2800


class LossCurve:
    """Losses over a training of known length, in constant room however many there are.

    Parameters
    ----------
    end : float
        Epochs of the whole training.
    phase : float
        Epochs after which its second phase begins, in which the loss is another one; `end` if
        there is none.
    """

    def __init__(self, end: float, phase: float) -> None:
        self._end, self._phase = end, phase
        self._sums = [0.0] * _BINS
        self._counts = [0] * _BINS

    def add(self, position: float, loss: float) -> None:
        """The loss of a step that ends `position` epochs after the start."""
        # a step belongs to the time before it
        place = min(max(math.ceil(position / self._end * _BINS) - 1, 0), _BINS - 1)
        self._sums[place] += loss
        self._counts[place] += 1

    def lines(self, columns: int, rows: int) -> list[str]:
        """The curve, its axes and their numbers in so many columns, and rows but for the last.

        Empty before there are two places to draw a line between, or without room for one.
        """
        wide = columns - 9
        means = self._means(2 * wide) if wide > 1 else {}
        if len(means) < 2:
            return []
        low, high = min(means.values()), max(means.values())
        tall = 4 * rows
        heights = {
            x: round((high - mean) / (high - low) * (tall - 1)) if high > low else tall // 2
            for x, mean in means.items()
        }
        border = min(round(self._phase / self._end * wide), wide)
        cells = [[0] * wide for _ in range(rows)]
        for x, y in _joined(heights, 2 * border):
            cells[y // 4][x // 2] |= _DOTS[y % 4][x % 2]
        text = [[chr(_BLANK + cell) if cell else " " for cell in row] for row in cells]
        if border < wide:
            for row in text:
                row[border] = "┊" if row[border] == " " else row[border]
        numbers = [_short(high), *[""] * (rows - 2), _short(low)][:rows]
        drawn = [f"{number:>7s} ┤{''.join(row)}" for number, row in zip(numbers, text, strict=True)]
        return [*drawn, self._axis(wide, border)]

    def _means(self, dots: int) -> dict[int, float]:
        """The mean loss at every place of so many that has one."""
        sums: dict[int, float] = {}
        counts: dict[int, int] = {}
        for i, count in enumerate(self._counts):
            if count:
                x = i * dots // _BINS
                sums[x] = sums.get(x, 0.0) + self._sums[i]
                counts[x] = counts.get(x, 0) + count
        return {x: sums[x] / counts[x] for x in sums}

    def _axis(self, wide: int, border: int) -> str:
        """Epochs below the curve: the first, that of the second phase, the last."""
        line = list("0".ljust(wide))
        for place, epoch in ((border, self._phase), (wide, self._end)):
            number = f"{epoch:g}"
            start = min(place, wide - len(number))
            if place == wide or start + len(number) + 3 < wide:
                line[start : start + len(number)] = number
        return f"{'epoch':>7s}  {''.join(line)}"


def _short(number: float) -> str:
    """A number in seven characters at most."""
    text = f"{number:.3g}"
    return text if len(text) <= 7 else f"{number:.0e}"


def _joined(heights: dict[int, int], border: int) -> list[tuple[int, int]]:
    """The places of a line through (x, y), broken where the second phase begins."""
    places = sorted(heights.items())
    dots = [places[0]]
    for (x0, y0), (x1, y1) in itertools.pairwise(places):
        if x0 < border <= x1:
            dots.append((x1, y1))
            continue
        steps = max(x1 - x0, abs(y1 - y0))
        shares = (i / steps for i in range(1, steps + 1))
        dots += [(x0 + round((x1 - x0) * t), y0 + round((y1 - y0) * t)) for t in shares]
    return dots
