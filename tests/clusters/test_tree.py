"""How clusters merge, by hand and by scipy's tree of points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import linkage

from aeclust.clusters.tree import Merge, Tree, merge_tree


def test_clusters_of_one_point_merge_as_in_scipy() -> None:
    points = np.random.default_rng(0).normal(size=(12, 3))
    labels = np.random.default_rng(1).permutation(30)[:12]  # with gaps
    tree = merge_tree(points, labels)
    steps = linkage(points, "ward")
    groups: list[tuple[int, ...]] = [(int(label),) for label in labels]
    for merge, (a, b, _, size) in zip(tree.merges, steps, strict=True):
        pair = sorted([groups[int(a)], groups[int(b)]])
        assert [merge.left, merge.right] == pair
        groups.append(tuple(sorted(pair[0] + pair[1])))
        assert len(groups[-1]) == size
    lost = np.square(steps[:, 2]) / 2  # scipy's heights are distances
    assert [merge.kept for merge in tree.merges] == pytest.approx(1 - lost.cumsum() / lost.sum())
    assert tree.groups(4) == sorted(tree.groups(4))
    assert sorted(sum(tree.groups(4), ())) == sorted(labels.tolist())


def test_large_clusters_merge_later_and_none_is_none() -> None:
    # on a line at 0, 2 and 4.2: by distance alone 1 would go to 3
    latents = np.array([0.0] * 9 + [2.0] * 9 + [4.2] + [100.0])[:, np.newaxis]
    labels = np.array([3] * 9 + [1] * 9 + [8] + [-1])
    tree = merge_tree(latents, labels)
    assert tree.sizes == {1: 9, 3: 9, 8: 1}
    # 9 * 1 / 10 * 2.2 ** 2 = 4.356 is less than 9 * 9 / 18 * 2 ** 2 = 18
    first = 4.356
    second = 10 * 9 / 19 * 2.22**2
    kept = tree.merges[0].kept
    assert kept == pytest.approx(second / (first + second))
    assert tree.merges == [Merge((1,), (8,), kept), Merge((1, 8), (3,), 0.0)]
    assert tree.groups(2) == [(1, 8), (3,)]
    assert tree.groups(5) == [(1,), (3,), (8,)]
    assert tree.groups(1) == [(1, 3, 8)]


def test_what_has_nothing_to_merge() -> None:
    assert merge_tree(np.eye(3), np.array([4, 4, -1])) == Tree({4: 2}, [])
    assert merge_tree(np.eye(3), np.full(3, -1)) == Tree({}, [])
    same = merge_tree(np.ones((4, 2)), np.array([0, 1, 2, 2]))
    assert [merge.kept for merge in same.merges] == [0.0, 0.0]
