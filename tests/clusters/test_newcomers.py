"""Images that were not clustered: labelled by the network itself, or by the nearest that were."""

from __future__ import annotations

import numpy as np

from aeclust.clusters.newcomers import label_new

LATENTS = np.array([[0.0], [1.0], [10.0], [11.0], [99.0]])
LABELS, REFERENCES = np.array([1, 1, 0, 0, 0]), np.arange(4)
# cluster 0 of the network is cluster 1; what is no reference has no say
OURS = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9], [1, 0]], np.float32)
OTHERS, THEIRS = np.array([[0.5], [10.5]]), np.array([[0.2, 0.8], [0.8, 0.2]], np.float32)


def shares(sure: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.where(np.eye(2)[LABELS] == 1, sure, 1 - sure).astype(np.float32)


def test_the_network_labels_by_its_own_clusters_no_surer_than_theirs_are() -> None:
    base = OTHERS, LATENTS, LABELS, REFERENCES, 2
    labels, confidence = label_new(*base, shares(0.9), own=(THEIRS, OURS))
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(confidence, [0.8, 0.8], atol=1e-5)
    # odds of 9 to 1 that are to be 3 to 1 have a temperature of 2, and so 4 to 1 are 2 to 1
    labels, confidence = label_new(*base, shares(0.75), own=(THEIRS, OURS))
    assert labels.tolist() == [0, 1]
    np.testing.assert_allclose(confidence, [2 / 3, 2 / 3], atol=1e-5)


def test_without_its_own_clusters_the_nearest_vote() -> None:
    labels, confidence = label_new(OTHERS, LATENTS, LABELS, REFERENCES, 2, shares(0.9))
    assert labels.tolist() == [0, 0]  # two of each vote: the lower number
    np.testing.assert_allclose(confidence, [0.5, 0.5])
    labels, _ = label_new(OTHERS, LATENTS, LABELS, REFERENCES[:3], 2, shares(0.9))
    assert labels.tolist() == [1, 1]
