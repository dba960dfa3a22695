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
# The same in a square from -1 to 1, as paths of SVG.
SHAPES = {
    "o": "M-.85 0a.85.85 0 1 0 1.7 0a.85.85 0 1 0-1.7 0z",
    "^": "M0-1L1 .8H-1z",
    "s": "M-.75-.75H.75V.75H-.75z",
    "D": "M0-1L1 0L0 1L-1 0z",
    "v": "M0 1L1-.8H-1z",
    "P": "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35z",
    "X": "M-.95-.5L-.5-.95L0-.45L.5-.95L.95-.5L.45 0L.95 .5L.5 .95L0 .45L-.5 .95L-.95 .5L-.45 0z",
}
# Outliers: small and grey, drawn below all clusters.
OUTLIER_COLOURS = ("#BBBBBB", "#777777")  # the second on a dark ground
OUTLIER_SHAPE = "M-.5 0a.5.5 0 1 0 1 0a.5.5 0 1 0-1 0z"


def marker(group: int) -> str:
    """The shape of a group's points, in pictures and on the page alike."""
    return MARKERS[group % len(MARKERS)]
