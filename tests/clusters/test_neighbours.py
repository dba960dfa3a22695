"""Votes and places against plain loops, and the rows that stand for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeclust.clusters import neighbours as module
from aeclust.clusters.neighbours import (
    copies,
    label_others,
    neighbour_vote,
    neighbours,
    place_by_neighbours,
    places,
    references,
    viewed,
    votes_of_others,
)

Array = NDArray[Any]
# a busy machine is no failure
FEW = settings(max_examples=40, deadline=None)


def looped_vote(
    queries: Array, base: Array, labels: Array, k: int, exclude: Array | None, voters: int
) -> tuple[list[int], list[list[float]]]:
    """One query, one reference at a time."""
    winners, shares = [], []
    for i, query in enumerate(queries):
        order = sorted(range(len(base)), key=lambda j: float(((query - base[j]) ** 2).sum()))
        if exclude is not None and exclude[i] >= 0:
            order.remove(int(exclude[i]))
        count = min(voters, len(base) - (exclude is not None))
        nearest = [int(labels[j]) for j in order[:count]]
        votes = [nearest.count(j) for j in range(k)]
        winners.append(next(name for name in nearest if votes[name] == max(votes)))
        shares.append([vote / count for vote in votes])
    return winners, shares


# -- votes -------------------------------------------------------------------------------------


@FEW
@given(
    st.integers(2, 40), st.integers(2, 4), st.booleans(), st.sampled_from([1, 4, 15]),
    st.integers(0, 2**20),
)  # fmt: skip
def test_the_vote_against_a_plain_loop(
    m: int, k: int, leave_out: bool, voters: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    base, labels = rng.normal(size=(m, 3)), rng.integers(0, k, m)
    itself = rng.permutation(m)[: m // 2 + 1]
    queries = np.concatenate([base[itself], rng.normal(size=(5, 3))])
    exclude = np.concatenate([itself, np.full(5, -1)]) if leave_out else None
    winners, votes = neighbour_vote(queries, base, labels, k, exclude=exclude, count=voters)
    wanted = looped_vote(queries, base, labels, k, exclude, voters)
    assert winners.dtype == np.int64
    assert votes.dtype == np.float32
    assert winners.tolist() == wanted[0]
    np.testing.assert_allclose(votes, wanted[1], atol=1e-6)
    np.testing.assert_allclose(votes.sum(1), 1, atol=1e-6)


def test_a_tied_vote_goes_to_the_nearest() -> None:
    base = np.array([[1.0], [-2.0], [3.0], [-4.0], [5.0]])
    winners, votes = neighbour_vote(np.zeros((1, 1)), base[:4], np.array([2, 0, 0, 2]), 3)
    assert winners.tolist() == [2]
    assert votes.tolist() == [[0.5, 0.0, 0.5]]
    # the nearest of all is in no tie
    winners, _ = neighbour_vote(np.zeros((1, 1)), base, np.array([1, 2, 0, 0, 2]), 3)
    assert winners.tolist() == [2]


def test_references_vote_with_their_probabilities() -> None:
    base, labels = np.array([[0.0], [1.0], [2.0]]), np.array([0, 0, 1])
    shares = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]], np.float32)
    winners, votes = neighbour_vote(np.zeros((1, 1)), base, labels, 2, shares=shares)
    # two of three say 0, but one is surer than both of them
    assert winners.tolist() == [1]
    assert votes.dtype == np.float32
    np.testing.assert_allclose(votes, [[1.3 / 3, 1.7 / 3]], rtol=1e-6)
    # sure references vote as their labels do
    points = np.random.default_rng(0).normal(size=(60, 2)).astype(np.float32)
    names = np.arange(60) % 3
    sure = np.eye(3, dtype=np.float32)[names]
    plain = neighbour_vote(points[:20], points[20:], names[20:], 3)
    soft = neighbour_vote(points[:20], points[20:], names[20:], 3, shares=sure[20:])
    np.testing.assert_allclose(soft[1], plain[1], atol=1e-6)
    # and nobody votes for itself
    exclude = np.array([0, -1, -1])
    votes = neighbour_vote(base, base, labels, 2, shares=shares, exclude=exclude)[1]
    np.testing.assert_allclose(votes[0], [0.35, 0.65], rtol=1e-6)


def test_only_the_fifteen_nearest_vote() -> None:
    base = np.arange(1.0, 41.0)[:, np.newaxis]
    labels = (np.arange(40) >= 8).astype(np.int64)
    winners, votes = neighbour_vote(np.zeros((1, 1)), base, labels, 2)
    assert winners.tolist() == [0]
    np.testing.assert_allclose(votes, [[8 / 15, 7 / 15]])


@pytest.mark.parametrize(("offset", "scale"), [(0, 1e-4), (1e3, 1e-2), (0, 1e18)])
def test_neighbours_are_right_at_any_scale(offset: float, scale: float) -> None:
    rng = np.random.default_rng(1)
    base = (offset + scale * rng.normal(size=(60, 8))).astype(np.float32)
    labels, exclude = rng.integers(0, 3, 60), np.arange(60)
    winners, _ = neighbour_vote(base, base, labels, 3, exclude=exclude)
    exact = base.astype(np.float64)
    assert winners.tolist() == looped_vote(exact, exact, labels, 3, exclude, 15)[0]


def test_votes_of_others_by_hand() -> None:
    latents = np.array([[0.0], [1.0], [2.0], [10.0]], np.float32)
    votes = votes_of_others(latents, np.array([0, 0, 0, 1]), np.arange(4), 2)
    # three others vote for each: two of them in the cluster of the first three, none in the last's
    np.testing.assert_allclose(votes, [[2 / 3, 1 / 3]] * 3 + [[1, 0]])
    # by two references; what is none of them has its vote from both
    votes = votes_of_others(latents, np.array([0, 0, 1, 1]), np.array([1, 2]), 2)
    np.testing.assert_allclose(votes, [[1, 0], [0, 1], [1, 0], [0, 1]])


def test_others_get_the_vote_of_the_references_alone() -> None:
    latents = np.array([[0.0], [1.0], [2.0], [10.0], [11.0]])
    labels, others = np.array([0, 0, 1, 1, 0]), np.array([[1.5], [10.5]])
    winners, confidence = label_others(others, latents, labels, np.array([1, 2, 3]), 2)
    assert winners.tolist() == [1, 1]
    np.testing.assert_allclose(confidence, [2 / 3, 2 / 3])
    shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.7, 0.3], [0, 1]], np.float32)
    winners, confidence = label_others(others, latents, labels, np.array([1, 2, 3]), 2, shares)
    assert winners.tolist() == [0, 0]
    np.testing.assert_allclose(confidence, [0.6, 0.6])


def test_copies_are_found_by_their_fingerprints() -> None:
    known = np.array([7, 9, 2**63, 9], np.uint64)
    assert copies(np.array([2**63, 1, 9], np.uint64), known).tolist() == [2, -1, 3]


# -- neighbours and places -----------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 15, 16, 40])
def test_neighbours_are_the_nearest_others(n: int) -> None:
    points = np.random.default_rng(n).normal(size=(n, 3))
    near = neighbours(points)
    assert near.shape == (n, min(15, n - 1))
    for i, rows in enumerate(near.tolist()):
        gaps = np.linalg.norm(points - points[i], axis=1)
        others = sorted((row for row in range(n) if row != i), key=gaps.__getitem__)
        assert rows == others[: len(rows)]


def test_blocks_of_queries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    base, labels = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    positions = base[:, :2].astype(np.float32)

    def results() -> tuple[Array, ...]:
        votes = neighbour_vote(base, base, labels, 2, exclude=np.arange(50))
        return *votes, neighbours(base), place_by_neighbours(base, base, positions)

    whole = results()
    monkeypatch.setattr(module, "_ROWS", 7)
    for part, wanted in zip(results(), whole, strict=True):
        np.testing.assert_allclose(part, wanted)


def test_a_new_point_lands_amid_its_three_nearest() -> None:
    base = np.array([[0.0], [1.0], [2.0], [9.0]])
    positions = np.array([[0, 0], [3, 0], [0, 6], [50, 50]], np.float32)
    placed = place_by_neighbours(np.array([[0.9], [8.0]]), base, positions)
    assert placed.dtype == np.float32
    np.testing.assert_allclose(placed, np.array([[1, 2], [53 / 3, 56 / 3]]), rtol=1e-6)
    # fewer are enough
    for count, wanted in ((2, [[1.5, 0]]), (1, [[0, 0]])):
        placed = place_by_neighbours(np.array([[5.0]]), base[:count], positions[:count])
        np.testing.assert_allclose(placed, wanted)
    # equal references share their mean
    placed = place_by_neighbours(base[:1], np.array([[0.0], [0.0], [1.0]]), positions[1:])
    np.testing.assert_allclose(placed, [[1.5, 3]])


@pytest.mark.parametrize(("offset", "scale"), [(0, 1), (0, 1e-5), (100, 1e-2), (0, 1e18)])
def test_a_reference_lands_on_its_own_position(offset: float, scale: float) -> None:
    rng = np.random.default_rng(0)
    base = (offset + scale * rng.normal(size=(200, 64))).astype(np.float32)
    positions = rng.normal(size=(200, 2)).astype(np.float32)
    order = rng.permutation(200)
    placed = place_by_neighbours(base[order], base, positions)
    np.testing.assert_array_equal(placed, positions[order])


# -- rows that stand for all -----------------------------------------------------------------------


def test_all_rows_are_kept_up_to_the_limit() -> None:
    assert references(5, seed=0, limit=5).tolist() == [0, 1, 2, 3, 4]
    assert len(references(10_000, seed=0)) == len(references(10_001, seed=0)) == 10_000
    assert len(viewed(2_048, seed=0)) == len(viewed(2_049, seed=0)) == 2_048


@FEW
@given(st.integers(1, 300), st.integers(1, 100), st.integers(0, 2**32 - 1))
def test_kept_rows_are_ascending_and_seed_and_purpose_decide_them(
    n: int, limit: int, seed: int
) -> None:
    rows = references(n, seed=seed, limit=limit)
    assert len(rows) == min(n, limit)
    assert (np.diff(rows) > 0).all()
    assert 0 <= rows[0] <= rows[-1] < n
    assert rows.tolist() == references(n, seed=seed, limit=limit).tolist()
    if n >= 2 * limit >= 60:
        others = references(n, seed=seed, limit=limit, purpose="views")
        assert rows.tolist() != others.tolist()
    # where each row stands among those that were kept
    where = places(n, rows)
    assert [int(where[row]) for row in rows] == list(range(len(rows)))
    assert (where < 0).sum() == n - len(rows)


def test_kept_rows_are_even() -> None:
    counts = np.zeros(20)
    for seed in range(400):
        counts[references(20, seed=seed, limit=5)] += 1
    # 100 expected for each row, with a standard deviation of 8.7
    assert abs(counts - 100).max() < 45
