"""Known labels: what contradicts itself, and clusters that are numbered by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import far_groups, refused

from aeclust.clusters.ask import worth_asking
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clustering import Clustering
from aeclust.clusters.known import Known, without_empty
from aeclust.recipe import named


def pairs(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, np.int64).reshape(-1, 2)


@settings(deadline=None)
@given(st.integers(3, 7), st.data())
def test_known_labels_are_refused_exactly_where_no_labelling_has_them_all(
    n: int, data: st.DataObject
) -> None:
    one = st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
    classes = np.array(data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=n, max_size=n)))
    same, different = (data.draw(st.lists(one, max_size=4)) for _ in range(2))

    # merge the names of images until nothing changes, and look for what cannot be
    name = [c if c >= 0 else 2 + row for row, c in enumerate(classes.tolist())]
    torn = False
    for _ in range(n):
        for a, b in same:
            old, new = max(name[a], name[b]), min(name[a], name[b])
            torn |= old != new and old < 2
            name = [new if each == old else each for each in name]
    torn |= any(name[a] == name[b] for a, b in different)

    known = Known(classes, pairs(*same), pairs(*different))
    if torn:
        with pytest.raises(Exception, match="known labels and pairs that can all be true"):
            known.check()
    else:
        known.check()
        assert known.closed.classes.tolist() == [each if each < 2 else -1 for each in name]


def test_a_contradiction_names_two_images() -> None:
    known = Known(np.array([0, -1, 1, -1]), pairs((0, 1), (1, 2)))
    what = "'a.png' and 'c.png' have different labels and are the same by the pairs"
    with refused(what=what):
        known.check(np.array(["a.png", "b.png", "c.png", "d.png"]))


@pytest.mark.parametrize("clusterer", ["kmeans", "consensus"])
def test_clusters_take_the_numbers_of_known_classes_and_the_others_come_behind(
    clusterer: str,
) -> None:
    points, groups = far_groups([20, 15, 10, 5])
    classes = np.full(50, -1)
    classes[np.flatnonzero(groups == 3)[:2]] = 0
    classes[np.flatnonzero(groups == 1)[:2]] = 1
    recipe = named("hybrid").override({"k": 4, "reduction": "none", "clusterer": clusterer})
    result = cluster_latents(points, recipe, seed=0, known=Known(classes))
    assert result.labels.tolist() == np.array([2, 1, 3, 0])[groups].tolist()
    assert (result.confidence[classes >= 0] == 1).all()


def test_more_kinds_of_known_labels_than_clusters_are_refused() -> None:
    points, groups = far_groups([5, 5, 5])
    recipe = named("features").override({"k": 2})
    with refused(where="`known`", mend="raise `k` to 3 or more"):
        cluster_latents(points, recipe, seed=0, known=Known(groups))


def test_what_is_asked_for_is_new_and_from_all_clusters() -> None:
    points, groups = far_groups([20, 10, 10])
    known = np.arange(40) % 2 == 0
    shares = (0.1 + 0.7 * np.eye(3)[groups]).astype(np.float32)
    rows = worth_asking(points, groups, shares, count=6, seed=0, known=known)
    assert len(set(rows.tolist())) == 6
    assert not known[rows].any()
    assert set(groups[rows].tolist()) == {0, 1, 2}
    assert len(worth_asking(points, groups, shares, count=99, seed=0, known=known)) == 20


def test_a_cluster_that_is_left_without_an_image_is_none() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1]], np.float32)
    points = np.zeros((2, 1), np.float32)
    rows = np.arange(2)
    found = Clustering(
        labels=rows, points=points, references=rows, latents=points, k=3, shares=shares
    )
    left = without_empty(found)
    assert (left.k, left.confidence.tolist()) == (2, found.confidence.tolist())
    assert left.shares is not None
    assert left.shares.shape == (2, 2)
    assert left.substitutions == ("1 cluster is left without an image by the known labels",)


@pytest.mark.parametrize("clusterer", ["kmeans", "consensus"])
def test_a_small_cluster_that_nobody_knows_stays(clusterer: str) -> None:
    points, groups = far_groups([40, 30, 4])
    classes = np.full(74, -1)
    for number in (0, 1):
        classes[np.flatnonzero(groups == number)[:6]] = number
    recipe = named("hybrid").override({"k": 3, "reduction": "none", "clusterer": clusterer})
    result = cluster_latents(points, recipe, seed=0, known=Known(classes))
    assert result.labels.tolist() == groups.tolist()
