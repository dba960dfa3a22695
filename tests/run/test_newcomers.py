"""Images that were not clustered: labelled by the network itself, or by the nearest that were."""

from __future__ import annotations

from typing import Any

import numpy as np

from aeclust.artifact import Artifact
from aeclust.clusters.newcomers import label_new
from aeclust.images import fingerprints
from aeclust.run.predict import label_by_run

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


def test_a_run_asks_its_network_until_somebody_changes_the_clusters() -> None:
    pixels = np.arange(7, dtype=np.uint8).reshape(7, 1, 1, 1)
    latents = Artifact(
        "latents",
        {"latents": LATENTS, "assignments": OURS, "fingerprints": fingerprints(pixels[:5])},
        {}, 0, {}, {},
    )  # fmt: skip
    arrays = {
        "labels": LABELS, "references": REFERENCES, "shares": shares(0.9), "confidence": OURS[:, 0],
    }  # fmt: skip

    def labelled(**details: Any) -> Any:
        labels = Artifact("labels", arrays, {}, 0, {}, details)
        return label_by_run(pixels[5:], OTHERS, THEIRS, latents, labels)[0].tolist()

    assert labelled(by_network=True) == [0, 1]
    # two neighbours of each cluster: the lower number
    for changed in ({"by_network": False}, {}, {"by_network": True, "edits": 1}):
        assert labelled(**changed) == [0, 0]
    assert labelled(by_network=True, known={"labels": 2}) == [0, 0]
