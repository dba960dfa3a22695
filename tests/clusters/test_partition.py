"""Labels that are changed step by step: values worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from support import far_groups

from aeclust.clusters.edits import Partition, completed, parted
from aeclust.recipe import named

LABELS = np.array([0, 0, 1, 2])
SHARES = np.array(
    [[0.5, 0.25, 0.25], [0.75, 0.25, 0], [0.25, 0.5, 0.25], [0, 0.25, 0.75]], np.float32
)


def check_shares(part: Partition, expected: Sequence[Sequence[float]]) -> None:
    shares = part.shares()
    assert shares is not None
    np.testing.assert_allclose(shares, np.array(expected), rtol=1e-6)


def partition() -> Partition:
    return Partition(LABELS, SHARES.max(1), SHARES)


def test_a_merge_adds_shares() -> None:
    part = partition()
    part.merge(2, [1])
    assert part.labels.tolist() == [0, 0, 2, 2]
    assert part.confidence.tolist() == [0.5, 0.75, 0.75, 1]
    check_shares(part, [[0.5, 0, 0.5], [0.75, 0, 0.25], [0.25, 0, 0.75], [0, 0, 1]])
    assert (part.numbers, part.free()) == ([0, 2], 1)
    part.merge(0, [2])  # the largest number goes, and with it the columns behind
    check_shares(part, [[1.0]] * 4)


def test_what_a_person_says_of_an_image_is_sure() -> None:
    part = partition()
    part.move(np.array([0]), 4)
    part.move(np.array([3]), -1)
    assert part.labels.tolist() == [4, 0, 1, -1]
    assert part.confidence.tolist() == [1, 0.75, 0.5, 1]
    # cluster 2 is empty, so that its share of the third image goes to the other two
    third: list[float] = [1 / 3, 2 / 3, 0, 0, 0]
    check_shares(part, [[0, 0, 0, 0, 1], [0.75, 0.25, 0, 0, 0], third, [0.0] * 5])


def test_a_new_cluster_inherits_nothing_of_an_emptied_one() -> None:
    part = partition()
    part.move(np.array([3]), 0)
    part.move(np.array([0]), 2)  # a number that was free again
    shares: list[list[float]] = [[0, 0, 1], [0.75, 0.25, 0], [1 / 3, 2 / 3, 0], [1, 0, 0]]
    check_shares(part, shares)


def test_a_split_divides_the_shares_of_others_by_size() -> None:
    part = Partition(np.array([0, 0, 0, 1]), np.full(4, 0.5, np.float32), np.full((4, 2), 0.5))
    part.split({0: np.array([0, 2]), 2: np.array([1])})
    assert part.labels.tolist() == [0, 2, 0, 1]
    assert part.confidence.tolist() == [0.5] * 4
    thirds = [1 / 3, 0.5, 1 / 6]
    check_shares(part, [[0.5, 0.5, 0], [0, 0.5, 0.5], [0.5, 0.5, 0], thirds])


def test_labels_without_shares_and_what_was_given_stay_as_they_are() -> None:
    part = Partition(LABELS, SHARES.max(1))
    part.merge(0, [2])
    part.split({1: np.array([2]), 3: np.array([], np.int64)})
    assert part.labels.tolist() == [0, 0, 1, 0]
    assert part.shares() is None
    assert LABELS.tolist() == [0, 0, 1, 2]


def test_parts_are_found_and_the_rest_follows_the_nearest() -> None:
    points, groups = far_groups([12, 8, 20], seed=3, d=5)
    rows = np.flatnonzero(groups < 2)
    recipe = named("pretrained").override({"reduction": ("pca:4",)})
    parts = parted(points, rows, 2, recipe, points=None, seed=0)
    assert parts.tolist() == groups[rows].tolist()  # by falling size
    some = np.where(np.arange(len(rows)) % 3 == 0, parts, -1)
    assert completed(points[rows], some).tolist() == parts.tolist()
