"""The colours of clusters: apart for all eyes, and told by the number of the cluster alone."""

from __future__ import annotations

import itertools

import numpy as np
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from aeclust.show.palette import COLOURS, ON_DARK, OUTLIER_COLOURS, colour, marker, place

# What is left of linear RGB without red or green cones (Machado, Oliveira and Fernandes, 2009).
WITHOUT_RED = [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]
WITHOUT_GREEN = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]


def oklab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """OKLab, by its definition, with lightness from 0 to 100."""
    cones = linear.clip(0, 1) @ np.transpose(
        [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    )
    mix = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.asarray(100 * np.cbrt(cones) @ np.transpose(mix))


def linear_rgb(colours: tuple[str, ...]) -> NDArray[np.float64]:
    parts = np.array([to_rgb(each) for each in colours])
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)


def nearest(colours: tuple[str, ...], eyes: list[list[float]] | None = None) -> float:
    """The distance of the two most alike."""
    linear = linear_rgb(colours)
    seen = oklab(linear if eyes is None else linear @ np.transpose(eyes))
    apart = np.sqrt(np.square(seen[:, None] - seen).sum(-1))
    return float(apart[np.triu_indices(len(colours), 1)].min())


def test_twenty_clusters_have_twenty_colours_and_eight_also_for_the_colour_blind() -> None:
    assert len(COLOURS) >= 20
    # 2 is just noticeable side by side; points of a map lie apart
    assert nearest((*COLOURS, *OUTLIER_COLOURS[:1], "#FFFFFF", "#000000")) > 7
    assert nearest(ON_DARK) > 6
    assert all(nearest(COLOURS[:8], eyes) > 7 for eyes in (WITHOUT_RED, WITHOUT_GREEN))


def test_groups_of_one_marker_differ_in_grey() -> None:
    lightness = 116 * np.cbrt(linear_rgb(COLOURS) @ [0.2126, 0.7152, 0.0722]) - 16
    for most, apart in ((14, 14), (24, 10)):
        for one, other in itertools.combinations(range(most), 2):
            if marker(one) == marker(other):
                assert abs(lightness[one] - lightness[other]) > apart


def test_a_cluster_looks_alike_wherever_it_is_shown() -> None:
    looks = {(colour(cluster), marker(cluster)) for cluster in range(100)}
    assert len(looks) == 100
    assert (colour(-1), colour(25), place(25)) == (OUTLIER_COLOURS[0], COLOURS[1], 1)
