"""The figure that helps to choose k: what it says of trees with gaps, many clusters, and none."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from aeclust.clusters.evidence import Evidence
from aeclust.clusters.tree import Tree, merge_tree
from aeclust.show.choice import MOST_LEAVES, Leaf, choice_figure, images_per_leaf, words
from aeclust.show.style import encoded

TRIED = {k: Evidence(0.2 / k, 1.0, 0.9, 0.8, 0.3 / k) for k in (2, 3, 4)}


def texts(figure: Figure) -> list[str]:
    """What stands beside and above the tree."""
    return [text.get_text() for text in figure.axes[-1].texts]


def test_the_tree_has_a_line_for_each_cluster_and_a_cut_for_each_number() -> None:
    latents = np.array([[0.0], [0.0], [3.0], [10.0], [11.0], [50.0]])
    tree = merge_tree(latents, np.array([7, 7, 2, 4, 4, -1]))
    image = np.zeros((4, 6, 3), np.float32)
    leaves = {
        2: Leaf("cluster 2", [image] * 9),
        4: Leaf("4: a name that is far too long", []),
        7: Leaf("cluster 7", []),
    }
    figure = choice_figure(TRIED, 3, tree, leaves, title="t", note="n")
    # 2 and 7 merge first, and so stand together
    names = ["cluster 2 (1)", "cluster 7 (2)", "4: a name that is far too long (2)"]
    assert texts(figure) == ["number of clusters", "3", "2", *names]
    assert len(figure.axes[-1].images) == 6
    assert [axes.get_title("left") for axes in figure.axes[:5]] == [
        "score, which decides",
        "silhouette",
        "agreement of halves",
        "agreement of seeds",
        "information",
    ]
    assert [np.ravel(line.get_xdata())[0] for line in figure.axes[1].lines[1:]] == [3, 3]
    again = choice_figure(TRIED, 3, tree, leaves, title="t", note="n")
    assert encoded(figure, "svg") == encoded(again, "svg")
    assert words(TRIED, 3, tree) == (
        "Score by number of clusters: 2: 0.150, 3: 0.100, 4: 0.075; 3 was chosen."
        " To 2: 2 with 7. To 1: 2, 7 with 4."
    )


def test_of_many_clusters_the_largest_groups_are_drawn() -> None:
    places = np.arange(60.0)[:, np.newaxis] ** 2
    tree = merge_tree(places, np.arange(60) * 2)
    leaves = {group[0]: Leaf(f"cluster {group[0]}", []) for group in tree.groups(MOST_LEAVES)}
    figure = choice_figure({}, None, tree, leaves)
    assert len(figure.axes) == 1
    drawn = [text for text in texts(figure) if text.startswith("cluster")]
    assert len(drawn) == MOST_LEAVES
    sizes = [int(text.rpartition("(")[2][:-1]) for text in drawn]
    assert sum(sizes) == 60
    more = next(text for text in drawn if "more" in text)
    assert more.startswith("cluster 0 and ")


def test_where_there_is_nothing_to_choose_a_figure_is_empty() -> None:
    figure = choice_figure({}, None, Tree({0: 5}, []), {0: Leaf("cluster 0", [])}, title="t")
    assert figure.axes == []
    assert encoded(figure, "png")
    assert [images_per_leaf(count) for count in (0, 1, 16, 24, 48)] == [6, 6, 6, 4, 2]
