"""How known labels steer: little where they are few, with the last word where they are many."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from aeclust.clusters import steer
from aeclust.clusters.ask import worth_asking
from aeclust.clusters.known import Known


def followed(
    points: np.ndarray, shares: np.ndarray, classes: np.ndarray, *pairs: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels where all points vote."""
    known = Known(classes, *pairs).closed
    return steer.follow(points, points, shares, known, np.arange(len(points)), seed=0)


def test_the_regression_is_that_of_scikit_learn_where_clusters_tell_nothing() -> None:
    draw = np.random.default_rng(0)
    inputs, classes = draw.normal(size=(60, 4)), draw.integers(3, size=60)
    fit = steer._fitted(inputs, np.zeros((60, 3)), classes, 0.5)
    # a column of this size has the penalty of a bias of ours
    wide = np.column_stack([inputs, np.full(60, (0.5 * 4 / steer._ON_SIZES) ** 0.5)])
    model = LogisticRegression(C=1 / (0.5 * 4), fit_intercept=False, tol=1e-8, max_iter=500)
    theirs = model.fit(wide, classes).predict_log_proba(wide)
    np.testing.assert_allclose(steer._log_softmax(inputs @ fit[:-1] + fit[-1]), theirs, atol=2e-3)


def test_few_labels_leave_sure_clusters_as_they_are_and_are_kept_themselves() -> None:
    draw = np.random.default_rng(1)
    points, sure = draw.normal(size=(300, 5)), np.arange(300) % 2
    shares = np.where(np.eye(2)[sure] == 1, 0.95, 0.05)
    classes = np.full(300, -1)
    classes[:8] = sure[:8]
    classes[8] = 1 - sure[8]  # against the cluster
    answer, labels = followed(points, shares, classes)
    assert labels[8] == 1 - sure[8]
    assert answer[8].tolist() == np.eye(2)[1 - sure[8]].tolist()
    assert (np.delete(labels, 8) == np.delete(sure, 8)).mean() > 0.97
    np.testing.assert_allclose(answer.sum(1), 1, atol=1e-6)


def test_many_labels_overrule_clusters_that_are_wrong() -> None:
    draw = np.random.default_rng(2)
    points = draw.normal(size=(600, 5))
    truth, found = (points[:, 0] > 0).astype(int), (points[:, 1] > 0).astype(int)
    shares = np.where(np.eye(2)[found] == 1, 0.7, 0.3)
    classes = np.full(600, -1)
    classes[:200] = truth[:200]
    _, labels = followed(points, shares, classes)
    assert (found[200:] == truth[200:]).mean() < 0.6
    assert (labels[200:] == truth[200:]).mean() > 0.9


def test_pairs_hold_and_a_chain_of_different_images_takes_turns() -> None:
    draw = np.random.default_rng(3)
    points = draw.normal(size=(40, 3))
    shares = np.where(np.eye(2)[np.zeros(40, int)] == 1, 0.6, 0.4)
    shares[0] = 0.9, 0.1
    chain = np.array([[i, i + 1] for i in range(6)])
    same = np.array([[6, 20], [20, 21]])
    _, labels = followed(points, shares, np.full(40, -1), same, chain)
    assert labels[:7].tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert labels[[20, 21]].tolist() == [0, 0]


def test_a_known_image_decides_for_whoever_is_paired_with_it() -> None:
    points, shares = np.random.default_rng(4).normal(size=(30, 3)), np.full((30, 3), 1 / 3)
    classes = np.full(30, -1)
    classes[[0, 9]] = 2, 1
    _, labels = followed(points, shares, classes, np.array([[0, 1]]), np.array([[1, 2], [2, 9]]))
    assert labels[[0, 1, 2, 9]].tolist() == [2, 2, 0, 1]


def test_a_typical_image_then_whoever_is_in_doubt_is_asked_about_and_equal_images_once() -> None:
    draw = np.random.default_rng(5)
    points = np.repeat(draw.normal(size=(50, 4)), 2, axis=0)
    shares = np.tile([0.99, 0.01], (100, 1))
    shares[40:60] = 0.5
    labels, known = np.zeros(100, int), np.zeros(100, bool)
    first, *rows = worth_asking(points, labels, shares, count=9, seed=0, known=known).tolist()
    assert not 40 <= first < 60
    assert set(rows) <= set(range(40, 60))
    assert len({row // 2 for row in rows}) == len(rows) == 8
    known[first] = True
    again = worth_asking(points, labels, shares, count=9, seed=0, known=known)
    assert all(40 <= row < 60 for row in again.tolist())
