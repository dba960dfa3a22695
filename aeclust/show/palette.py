"""The colour and marker of each cluster: the same in every picture, panel and page.

Both follow from the number of the cluster alone, so that it looks alike wherever it is shown.
"""

from __future__ import annotations

from aeclust.clusters.numbers import OUTLIER

# The first six of Okabe and Ito and two dark ones, apart for the colour-blind too; the others are
# far from one another in OKLab, as seen with and without red, green or blue. None is near white,
# black, or the grey of outliers. From the eleventh on, the order keeps those that share a marker
# apart in lightness.
COLOURS = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#6B1030", "#3A2AA0"),
    *("#3E570F", "#AB247E", "#EF89FE", "#7B3C62", "#906CF0", "#B01003", "#EF9CAC", "#6889C6"),
    *("#40D872", "#7B32AE", "#CF3452", "#5151CF", "#6CB88C", "#9B9648", "#846661", "#2F3E52"),
)
# The same for a ground near black: what would drown in it is lighter.
ON_DARK = (
    *("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B04A62", "#C6BFFF"),
    *("#55702A", "#B42E85", "#EF89FE", "#925178", "#906CF0", "#C32C1D", "#EF9CAC", "#6889C6"),
    *("#40D872", "#8B44C0", "#E8566F", "#5C5BE0", "#6CB88C", "#9B9648", "#846661", "#D5DDE8"),
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


def place(cluster: int) -> int:
    """The place of a cluster's colour among :data:`COLOURS`.

    >>> place(0), place(25)
    (0, 1)
    """
    return cluster % len(COLOURS)


def colour(cluster: int) -> str:
    """The colour of a cluster, or of the outliers, on a light ground.

    >>> colour(1), colour(-1)
    ('#E69F00', '#BBBBBB')
    """
    return OUTLIER_COLOURS[0] if cluster == OUTLIER else COLOURS[place(cluster)]


def marker(cluster: int) -> str:
    """The shape of a cluster's points, in pictures and on the page alike."""
    return MARKERS[cluster % len(MARKERS)]
