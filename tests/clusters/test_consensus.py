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
        ("0011", "0011", 2, 1.0),
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
def test_agreement_is_the_accuracy_of_the_scores(n: int, k: int, seed: int) -> None:
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
    found = vote({str(i): rng.permutation(k)[truth] for i in range(count)}, k)
    assert found.labels.dtype == np.int64
    assert same(found.labels, truth)
    assert found.agreement == 1.0
    assert found.shares.dtype == np.float32
    np.testing.assert_array_equal(found.shares, np.eye(k)[found.labels])
    assert found.members == [Member(str(i), 1.0, False) for i in range(count)]


def test_a_member_alone_decides() -> None:
    found = vote(members("0210"), 3)
    assert found.labels.tolist() == [0, 2, 1, 0]
    assert (found.agreement, found.members) == (1.0, [Member("a", 1.0, False)])


def test_a_vote_by_hand() -> None:
    # a and b agree on 9 of 10 images, a and c on 8, b and c on 7; c is written the other way round
    a, b, c = "0000011111", "0000001111", "1110000000"
    found = vote(members(a, b, c), 2)
    agreements = [(0.9 + 0.8) / 2, (0.9 + 0.7) / 2, (0.8 + 0.7) / 2]
    for member, wanted in zip(found.members, agreements, strict=True):
        assert member.agreement == pytest.approx(wanted)
        assert not member.collapsed
    # a leads, and b and c never object together
    assert found.labels.tolist() == [0] * 5 + [1] * 5
    x, y, z = (wanted**4 for wanted in agreements)
    ones = np.array([0, 0, 0, z, z, x + z, x + y + z, x + y + z, x + y + z, x + y + z])
    ones /= x + y + z
    assert found.votes.tolist() == [[int(d) for d in text] for text in (a, b, "0001111111")]
    np.testing.assert_allclose(found.shares, np.stack([1 - ones, ones], 1), atol=1e-6)
    assert found.agreement == pytest.approx((1.0 + 0.9 + 0.8) / 3)


def test_a_collapsed_member_has_no_vote() -> None:
    wholes = members("00001111", "00011111", "00000111")
    alone = vote(wholes, 2)
    found = vote({"first": np.zeros(8, np.int64), **wholes, "last": np.ones(8, np.int64)}, 2)
    assert [member.name for member in found.members] == ["first", "a", "b", "c", "last"]
    assert found.members[0] == Member("first", 0.0, True)
    assert found.members[-1] == Member("last", 0.0, True)
    assert found.members[1:-1] == alone.members
    np.testing.assert_array_equal(found.labels, alone.labels)
    np.testing.assert_array_equal(found.shares, alone.shares)
    assert found.agreement == alone.agreement
    np.testing.assert_array_equal(found.votes, alone.votes)


def test_a_member_that_lost_one_of_three_clusters_has_collapsed() -> None:
    found = vote(members("001122", "000022", "220011"), 3)
    assert [member.collapsed for member in found.members] == [False, True, False]
    assert [member.agreement for member in found.members] == [1.0, 0.0, 1.0]
    assert found.labels.tolist() == [0, 0, 1, 1, 2, 2]


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
    found = vote({str(i): own for i, own in enumerate(voters)}, 3)
    assert same(found.labels, truth)
    agreements = [member.agreement for member in found.members]
    assert int(np.argmin(agreements)) == place
    # three votes of about 0.75**4 against one of about 0.4**4
    own = found.shares[np.arange(60), found.labels]
    assert own[15:].min() > 0.9


def test_the_fourth_power_lets_two_that_agree_outvote_two_that_do_not() -> None:
    truth = np.repeat([0, 1], 20)
    apart = [truth.copy() for _ in range(2)]
    apart[0][:8] = 1
    apart[1][12:20] = 1
    apart[0][38:] = apart[1][38:] = 0  # where both err together, against two that are right
    found = vote({"a": truth, "b": 1 - truth, "c": apart[0], "d": apart[1]}, 2)
    right, wrong = (1 + 2 * 30 / 40) / 3, (2 * 30 / 40 + 24 / 40) / 3
    assert [m.agreement for m in found.members] == pytest.approx([right, right, wrong, wrong])
    assert same(found.labels, truth)
    weight = right**4 / (right**4 + wrong**4)
    np.testing.assert_allclose(found.shares[38:].max(1), weight, atol=1e-6)


def test_a_vote_that_would_lose_a_cluster_falls_back_to_the_best_member() -> None:
    # each member knows cluster 2 by another image, which the two others put into cluster 0
    found = vote(members("2000001110", "0200001111", "0020001101"), 3)
    assert [m.agreement for m in found.members] == pytest.approx([0.65, 0.7, 0.65])
    assert found.labels.tolist() == [0, 2, 0, 0, 0, 0, 1, 1, 1, 1]
    np.testing.assert_array_equal(found.shares, np.eye(3)[found.labels])
    assert found.agreement == pytest.approx((0.7 + 1.0 + 0.7) / 3)


# -- labels from elsewhere ---------------------------------------------------------------------


def test_labels_that_lead_are_kept_and_the_votes_are_shared_out_among_them() -> None:
    found = vote(members("00001111", "00011111", "11100000"), 2)
    weights = np.array([m.agreement**4 for m in found.members])
    assert weights == pytest.approx([(7 / 8) ** 4, (15 / 16) ** 4, (15 / 16) ** 4])
    own = np.array([1, 1, 1, 1, 1, 0, 0, 0])
    led = found.led(own, 2)
    assert led.labels.tolist() == own.tolist()
    assert led.votes.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0], *2 * [[1, 1, 1, 0, 0, 0, 0, 0]]]
    assert led.agreement == pytest.approx((7 / 8 + 6 / 8 + 6 / 8) / 3)
    ones = np.array([1, 1, 1, weights[0] / weights.sum(), 0, 0, 0, 0])
    np.testing.assert_allclose(led.shares, np.stack([1 - ones, ones], 1), atol=1e-6)
    assert led.shares.dtype == np.float32
    assert led.members == found.members


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
    own = np.array([int(digit) for digit in labels])
    rows = np.array([[int(digit) for digit in row] for row in neighbours])
    k = max(2, int(own.max()) + 1)
    assert information(own, rows, k) == pytest.approx(wanted)
    # names do not matter, nor do clusters that nobody uses
    assert information(k - 1 - own, rows, k) == pytest.approx(wanted)
    assert information(own, rows, k + 2) == pytest.approx(wanted)


@FEW
@given(st.integers(2, 40), st.integers(2, 5), st.integers(1, 6), st.integers(0, 2**20))
def test_information_lies_between_nothing_and_the_entropy(
    n: int, k: int, m: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    labels, neighbours = rng.integers(0, k, n), rng.integers(0, n, (n, m))
    told = information(labels, neighbours, k)
    assert -1e-12 <= told <= np.log(k) + 1e-12
    names = rng.permutation(k)
    assert information(names[labels], neighbours, k) == pytest.approx(told)


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
    names = rng.permutation(k)
    before = wrong.copy()
    found = refine(names[wrong], neighbours, k, seed=seed)
    np.testing.assert_array_equal(found, names[truth])
    np.testing.assert_array_equal(wrong, before)
    assert found.dtype == np.int64
    # and leaves alone what needs no mending
    np.testing.assert_array_equal(refine(found, neighbours, k, seed=seed), found)


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
    found = refine(labels, neighbours, k, seed=seed)
    assert np.unique(found).tolist() == list(range(k))
    again = refine(labels, neighbours, k, seed=seed)
    assert found.tobytes() == again.tobytes()


def test_refining_keeps_a_collapsed_member_as_it_is() -> None:
    _, neighbours = rings((6, 6), 2)
    labels = np.zeros(12, np.int64)
    np.testing.assert_array_equal(refine(labels, neighbours, 2, seed=0), labels)


@FEW
@given(st.integers(2, 4), st.integers(0, 2**20))
def test_the_most_informative_clustering_decides(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth, neighbours = rings(tuple(rng.integers(15, 40, k)), 5)
    voters = {str(i): noisy(truth, k, share, rng) for i, share in enumerate((0.2, 0.4, 0.6, 0.8))}
    assume(all(len(np.unique(own)) == k for own in voters.values()))
    found = agree(voters, neighbours, k, seed=seed)
    refined = {
        name: refine(own, neighbours, k, seed=seed, member=i)
        for i, (name, own) in enumerate(voters.items())
    }
    voted = vote(refined, k)
    last = refine(voted.labels, neighbours, k, seed=seed, member=4)
    most = max(information(own, neighbours, k) for own in (*refined.values(), last))
    assert information(found.labels, neighbours, k) == pytest.approx(most)
    assert found.members == voted.members
    np.testing.assert_array_equal(found.shares, voted.led(found.labels, k).shares)
    assert found.agreement == pytest.approx(
        np.mean([agreement(own, found.labels, k) for own in refined.values()])
    )


# -- laws --------------------------------------------------------------------------------------


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
    found = vote(voters, k)
    assert np.unique(found.labels).tolist() == list(range(k))
    assert found.shares.shape == (30, k)
    assert (found.shares >= 0).all()
    np.testing.assert_allclose(found.shares.sum(1), 1, atol=1e-6)
    # a label has the largest share of its row
    own = found.shares[np.arange(30), found.labels]
    np.testing.assert_array_equal(own, found.shares.max(1))
    assert 0 <= found.agreement <= 1
    wholes = {name for name, labels in voters.items() if len(np.unique(labels)) == k}
    assert {m.name for m in found.members if not m.collapsed} == wholes
    for name, labels in voters.items():
        np.testing.assert_array_equal(labels, before[name])


@FEW
@given(st.integers(2, 4), st.integers(3, 6), st.integers(0, 2**20))
def test_renaming_the_clusters_of_any_member_changes_nothing(k: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = whole_labels(50, k, rng)
    voters = {str(i): noisy(truth, k, 0.15, rng) for i in range(count)}
    first = vote(voters, k)
    ordered = np.sort(first.shares, 1)
    assume((ordered[:, -1] - ordered[:, -2] > 1e-6).all())  # ties have a test of their own
    renamed = {name: rng.permutation(k)[labels] for name, labels in voters.items()}
    second = vote(renamed, k)
    assert same(first.labels, second.labels)
    assert second.agreement == pytest.approx(first.agreement)
    assert [m.agreement for m in second.members] == pytest.approx(
        [m.agreement for m in first.members]
    )
    np.testing.assert_allclose(np.sort(second.shares, 1), ordered, atol=1e-6)


@pytest.mark.parametrize("names", [(0, 1), (1, 0)])
def test_renaming_changes_nothing_where_the_vote_is_tied(names: tuple[int, int]) -> None:
    # two members of equal weight: the one to which the others are aligned must not be overruled
    # by the number that its cluster happens to have
    first, second = members("00001111", "00011111").values()
    plain = vote({"a": first, "b": second}, 2)
    renamed = vote({"a": np.array(names)[first], "b": second}, 2)
    assert same(plain.labels, renamed.labels)
    assert plain.shares[3].tolist() == [0.5, 0.5]


@FEW
@given(st.integers(2, 4), st.integers(0, 2**20))
def test_the_order_of_the_images_does_not_matter(k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = whole_labels(50, k, rng)
    voters = {str(i): noisy(truth, k, 0.15, rng) for i in range(5)}
    order = rng.permutation(50)
    first, second = vote(voters, k), vote({n: own[order] for n, own in voters.items()}, k)
    ordered = np.sort(first.shares, 1)
    assume((ordered[:, -1] - ordered[:, -2] > 1e-6).all())
    assert same(first.labels[order], second.labels)
    assert second.agreement == pytest.approx(first.agreement)
