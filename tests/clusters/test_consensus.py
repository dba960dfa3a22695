"""Votes by hand, and the laws that no renaming may break."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from aeclust.clusters.consensus import Member, agree, agreement, information, refine, vote
from aeclust.clusters.scores import score

# a busy machine is no failure
FEW = settings(max_examples=60, deadline=None)

Array = NDArray[Any]


def members(*texts: str) -> dict[str, Array]:
    """Labellings written as digits, named a, b, c and on."""
    return {
        name: np.array([int(digit) for digit in text])
        for name, text in zip("abcdefgh", texts, strict=False)
    }


def same(first: Array, second: Array) -> bool:
    """Whether two clusterings are equal up to their names."""
    return score(first, second).ari == 1.0


def whole_labels(n: int, k: int, rng: np.random.Generator) -> Array:
    """Random labels with every cluster in use."""
    labels = rng.integers(0, k, n)
    labels[rng.permutation(n)[:k]] = np.arange(k)
    return labels


def noisy(truth: Array, k: int, share: float, rng: np.random.Generator) -> Array:
    """Some labels drawn anew."""
    return np.where(rng.random(len(truth)) < share, rng.integers(0, k, len(truth)), truth)


# -- agreement ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "k", "wanted"),
    [
        ("0011", "1100", 2, 1.0),
        ("0011", "0001", 2, 0.75),
        ("0011", "0101", 2, 0.5),
        ("001122", "112200", 3, 1.0),
        # 0 and 1 are merged in the second: one of them is matched with an empty cluster
        ("001122", "000022", 3, 4 / 6),
    ],
)
def test_agreement_by_hand(first: str, second: str, k: int, wanted: float) -> None:
    a, b = members(first, second).values()
    assert agreement(a, b, k) == pytest.approx(wanted)
    assert agreement(b, a, k) == pytest.approx(wanted)


@FEW
@given(st.integers(2, 40), st.integers(2, 5), st.integers(0, 2**20))
def test_agreement_is_accuracy_under_any_names(n: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, k, (2, n))
    assert agreement(a, b, k) == pytest.approx(score(a, b).accuracy)
    assert agreement(rng.permutation(k)[a], b, k) == pytest.approx(agreement(a, b, k))


# -- votes -------------------------------------------------------------------------------------


@FEW
@given(st.integers(2, 6), st.integers(0, 40), st.integers(1, 6), st.integers(0, 2**20))
def test_copies_of_one_labelling_give_it_back(k: int, more: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = whole_labels(k + more, k, rng)
    result = vote({str(i): rng.permutation(k)[truth] for i in range(count)}, k)
    assert result.labels.dtype == np.int64
    assert same(result.labels, truth)
    assert result.agreement == 1.0
    assert result.members == [Member(str(i), 1.0, False) for i in range(count)]


def test_a_vote_by_hand() -> None:
    # a and b agree on 9 of 10 images, a and c on 8, b and c on 7; c is written the other way round
    a, b, c = "0000011111", "0000001111", "1110000000"
    result = vote(members(a, b, c), 2)
    assert [member.agreement for member in result.members] == pytest.approx([1.0, 0.9, 0.8])
    assert not any(member.collapsed for member in result.members)
    # a leads, and b and c never object together
    assert result.labels.tolist() == [0] * 5 + [1] * 5
    assert result.votes.tolist() == [[int(d) for d in text] for text in (a, b, "0001111111")]
    assert result.agreement == pytest.approx((1.0 + 0.9 + 0.8) / 3)


def test_a_collapsed_member_has_no_vote() -> None:
    wholes = members("00001111", "00011111", "00000111")
    alone = vote(wholes, 2)
    result = vote({"first": np.zeros(8, np.int64), **wholes, "last": np.ones(8, np.int64)}, 2)
    lost = [Member("first", 0.0, True), Member("last", 0.0, True)]
    assert result.members == [lost[0], *alone.members, lost[1]]
    np.testing.assert_array_equal(result.labels, alone.labels)
    assert result.agreement == alone.agreement
    np.testing.assert_array_equal(result.votes, alone.votes)
    # one of three clusters is enough to lose
    result = vote(members("001122", "000022", "220011"), 3)
    assert [member.collapsed for member in result.members] == [False, True, False]
    assert [member.agreement for member in result.members] == [1.0, 0.0, 1.0]
    assert result.labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("place", range(4))
def test_an_outlier_is_outvoted(place: int) -> None:
    rng = np.random.default_rng(place)
    truth = whole_labels(60, 3, rng)
    # each of the three misses five images of its own
    voters = []
    for i in range(3):
        labels = truth.copy()
        labels[5 * i : 5 * i + 5] = (labels[5 * i : 5 * i + 5] + 1) % 3
        voters.append(rng.permutation(3)[labels])
    voters.insert(place, rng.permutation(truth))
    result = vote({str(i): labels for i, labels in enumerate(voters)}, 3)
    assert same(result.labels, truth)
    assert int(np.argmin([member.agreement for member in result.members])) == place


def test_the_fourth_power_lets_two_that_agree_outvote_three_that_do_not() -> None:
    truth = np.repeat([0, 1], 50)
    voters = {"a": truth, "b": 1 - truth}
    for i, name in enumerate("cde"):  # all wrong on 20 images, and each on 24 others
        labels = truth.copy()
        for start in (0, 50):
            wrong = np.r_[start : start + 10, start + 10 + 12 * i : start + 22 + 12 * i]
            labels[wrong] = 1 - labels[wrong]
        voters[name] = labels
    result = vote(voters, 2)
    agreements = np.array([(1 + 3 * 0.56) / 4] * 2 + [(0.56 + 0.52) / 2] * 3)  # with each other
    assert agreements[:2].sum() < agreements[2:].sum()
    assert same(result.labels, truth)
    assert [m.agreement for m in result.members] == pytest.approx([1.0] * 2 + [0.56] * 3)


def test_a_vote_that_would_lose_a_cluster_falls_back_to_the_best_member() -> None:
    # each member knows cluster 2 by another image, which the two others put into cluster 0
    result = vote(members("2000001110", "0200001111", "0020001101"), 3)
    assert [m.agreement for m in result.members] == pytest.approx([0.7, 1.0, 0.7])
    assert result.labels.tolist() == [0, 2, 0, 0, 0, 0, 1, 1, 1, 1]
    assert result.agreement == pytest.approx((0.7 + 1.0 + 0.7) / 3)


def test_votes_are_aligned_to_labels_from_elsewhere() -> None:
    result = vote(members("00001111", "00011111", "11100000"), 2)
    assert [m.agreement for m in result.members] == pytest.approx([7 / 8, 1.0, 1.0])
    labels = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    led = result.led(labels, 2)
    assert led.labels.tolist() == labels.tolist()
    assert led.votes.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], *2 * [[1, 1, 1, 0, 0, 0, 0, 0]]]
    assert led.agreement == pytest.approx((7 / 8 + 6 / 8 + 6 / 8) / 3)
    assert [m.agreement for m in led.members] == pytest.approx([7 / 8, 6 / 8, 6 / 8])


# -- laws of the vote --------------------------------------------------------------------------


@FEW
@given(st.integers(2, 4), st.integers(1, 5), st.floats(0, 1), st.integers(0, 2**20))
def test_whatever_the_members_say_every_cluster_is_kept(
    k: int, count: int, share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    truth = whole_labels(30, k, rng)
    voters = {"whole": truth}
    voters |= {str(i): noisy(truth, k, share, rng) for i in range(count)}
    before = {name: labels.copy() for name, labels in voters.items()}
    result = vote(voters, k)
    assert np.unique(result.labels).tolist() == list(range(k))
    assert 0 <= result.agreement <= 1
    wholes = {name for name, labels in voters.items() if len(np.unique(labels)) == k}
    assert {m.name for m in result.members if not m.collapsed} == wholes
    for name, labels in voters.items():
        np.testing.assert_array_equal(labels, before[name])


@FEW
@given(st.integers(2, 4), st.integers(0, 2**20))
def test_neither_names_nor_the_order_of_the_images_matter(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = whole_labels(50, k, rng)
    voters = {str(i): noisy(truth, k, 0.15, rng) for i in range(5)}
    first, order = vote(voters, k), rng.permutation(50)
    pairs = np.array([[agreement(a, b, k) for a in first.votes] for b in first.votes])
    weights = ((pairs.sum(1) - 1) / (len(pairs) - 1)) ** 4
    shares = np.sort([weights @ (first.votes == j) for j in range(k)], axis=0)
    assume((shares[-1] - shares[-2] > 1e-6).all())  # ties have a test of their own
    second = vote({name: rng.permutation(k)[labels[order]] for name, labels in voters.items()}, k)
    assert same(first.labels[order], second.labels)
    assert second.agreement == pytest.approx(first.agreement)
    assert [m.agreement for m in second.members] == pytest.approx(
        [m.agreement for m in first.members]
    )


@pytest.mark.parametrize("names", [(0, 1), (1, 0)])
def test_renaming_changes_nothing_where_the_vote_is_tied(names: tuple[int, int]) -> None:
    # two members of equal weight: the one to which the others are aligned must not be overruled
    # by the number that its cluster happens to have
    first, second = members("00001111", "00011111").values()
    plain = vote({"a": first, "b": second}, 2)
    renamed = vote({"a": np.array(names)[first], "b": second}, 2)
    assert same(plain.labels, renamed.labels)


# -- neighbours --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "neighbours", "wanted"),
    [
        # neighbours share a cluster: the whole entropy
        ("0011", "1032", np.log(2)),
        ("012", "012", np.log(3)),
        # every image has one neighbour in each cluster: nothing is told
        ("0101", ("01", "01", "23", "23"), 0.0),
        # one large cluster tells nothing, and a small one less than an even one
        ("0000", "1032", 0.0),
        ("0001", "1023", -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))),
        # pairs 00, 01, 11, 11, both ways: p(0, 0) = 1/4, p(0, 1) = p(1, 0) = 1/8, p(1, 1) = 1/2
        (
            "0011",
            "1232",
            0.25 * np.log(16 / 9 * 1) + 0.25 * np.log(8 / 15) + 0.5 * np.log(32 / 25),
        ),
    ],
)
def test_information_by_hand(labels: str, neighbours: Any, wanted: float) -> None:
    values = np.array([int(digit) for digit in labels])
    rows = np.array([[int(digit) for digit in row] for row in neighbours])
    k = max(2, int(values.max()) + 1)
    assert information(values, rows, k) == pytest.approx(wanted)
    # names do not matter, nor do clusters that nobody uses
    assert information(k - 1 - values, rows, k) == pytest.approx(wanted)
    assert information(values, rows, k + 2) == pytest.approx(wanted)


@FEW
@given(st.integers(2, 40), st.integers(2, 5), st.integers(1, 6), st.integers(0, 2**20))
def test_information_lies_between_nothing_and_the_entropy(
    n: int, k: int, m: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, neighbours = rng.integers(0, k, n), rng.integers(0, n, (n, m))
    value = information(labels, neighbours, k)
    assert -1e-12 <= value <= np.log(k) + 1e-12
    assert information(rng.permutation(k)[labels], neighbours, k) == pytest.approx(value)


def rings(sizes: tuple[int, ...], m: int) -> tuple[Array, Array]:
    """Groups, and m neighbours of each image within its group."""
    labels, rows, start = [], [], 0
    for name, size in enumerate(sizes):
        labels += [name] * size
        rows += [[start + (i + step) % size for step in range(1, m + 1)] for i in range(size)]
        start += size
    return np.array(labels), np.array(rows)


@FEW
@given(st.integers(2, 4), st.integers(0, 2**20))
def test_refining_mends_scattered_errors(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, neighbours = rings(tuple(rng.integers(30, 60, k)), 8)
    wrong = truth.copy()
    for place in range(0, len(truth), 10):  # never two among an image's neighbours
        wrong[place] = (truth[place] + rng.integers(1, k)) % k
    names, before = rng.permutation(k), wrong.copy()
    refined = refine(names[wrong], neighbours, k, seed=seed)
    np.testing.assert_array_equal(refined, names[truth])
    np.testing.assert_array_equal(wrong, before)
    assert refined.dtype == np.int64
    # and leaves alone what needs no mending
    np.testing.assert_array_equal(refine(refined, neighbours, k, seed=seed), refined)


def test_a_small_cluster_is_not_outvoted() -> None:
    # each of four images has the other three and five of the 96 others for neighbours
    truth, neighbours = rings((96, 4), 8)
    for i in range(96, 100):
        others = [row for row in range(96, 100) if row != i]
        neighbours[i] = others + [(8 * i + step) % 96 for step in range(5)]
    plain = np.array([np.bincount(truth[rows], minlength=2).argmax() for rows in neighbours])
    assert plain[96:].tolist() == [0] * 4
    np.testing.assert_array_equal(refine(truth, neighbours, 2, seed=0), truth)


@FEW
@given(st.integers(2, 5), st.integers(0, 40), st.integers(1, 5), st.integers(0, 2**20))
def test_refining_never_loses_a_cluster(k: int, more: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = whole_labels(k + more, k, rng)
    neighbours = rng.integers(0, k + more, (k + more, m))
    refined = refine(labels, neighbours, k, seed=seed, member=3)
    assert np.unique(refined).tolist() == list(range(k))
    assert refined.tobytes() == refine(labels, neighbours, k, seed=seed, member=3).tobytes()
    # a collapsed member stays as it is
    collapsed = np.zeros(k + more, np.int64)
    np.testing.assert_array_equal(refine(collapsed, neighbours, k, seed=seed), collapsed)


@FEW
@given(st.integers(2, 4), st.integers(0, 2**20))
def test_the_most_informative_clustering_decides(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, neighbours = rings(tuple(rng.integers(15, 40, k)), 5)
    voters = {str(i): noisy(truth, k, share, rng) for i, share in enumerate((0.2, 0.4, 0.6, 0.8))}
    assume(all(len(np.unique(labels)) == k for labels in voters.values()))
    result = agree(voters, neighbours, k, seed=seed)
    refined = {
        name: refine(labels, neighbours, k, seed=seed, member=i)
        for i, (name, labels) in enumerate(voters.items())
    }
    voted = vote(refined, k)
    last = refine(voted.labels, neighbours, k, seed=seed, member=4)
    most = max(information(labels, neighbours, k) for labels in (*refined.values(), last))
    assert information(result.labels, neighbours, k) == pytest.approx(most)
    shares = [agreement(labels, result.labels, k) for labels in refined.values()]
    assert [m.agreement for m in result.members] == pytest.approx(shares)
    assert result.agreement == pytest.approx(np.mean(shares))
