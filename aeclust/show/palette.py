"""Colours and markers that tell clusters apart, also for the colour-blind and on a dark ground."""

from __future__ import annotations

# Okabe-Ito; then darker and lighter relatives of the same hues.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#F0E442"),
    *("#00395C", "#5C3F00", "#00553E", "#7A3500", "#7D3A60", "#22719E", "#777777", "#968C00"),
    *("#7FB8D9", "#F3CF80", "#80CEB9", "#EAAE80", "#E6BCD3", "#AEDCF5", "#BBBBBB", "#C9BE3A"),
)
# The same for a ground near black: what would drown in it is lighter, and black is white.
ON_DARK = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#FFFFFF", "#F0E442"),
    *("#47708A", "#8C6205", "#2E7461", "#955D33", "#925A79", "#22719E", "#777777", "#968C00"),
    *("#7FB8D9", "#F3CF80", "#80CEB9", "#EAAE80", "#E6BCD3", "#AEDCF5", "#BBBBBB", "#C9BE3A"),
)
# As matplotlib calls them. For a grey print: groups differ in shape, and those of one shape, 7
# apart, in lightness.
MARKERS = "o^sDvPX"


def marker(group: int) -> str:
    """The shape of a group's points, in pictures and on the page alike."""
    return MARKERS[group % len(MARKERS)]
