"""Every sentence of doubt, exactly, and none about a good clustering."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.model_selection import cross_val_predict

from aeclust.clusters import doubts as diagnosis
from aeclust.clusters.chain import Clustering
from aeclust.clusters.consensus import Member
from aeclust.clusters.doubts import doubts, predicted_by_colour
from aeclust.clusters.mixtures import temper
from aeclust.clusters.neighbours import references

Array = NDArray[Any]


def clustering(
    sizes: tuple[int, ...],
    *,
    agreement: float | None = None,
    members: tuple[Member, ...] = (),
    views: float | None = None,
) -> Clustering:
    """Clusters of these sizes, in mixed order."""
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = np.zeros((len(labels), 2), np.float32)
    return Clustering(
        labels=labels,
        confidence=points[:, 0],
        points=points,
        references=np.arange(len(labels)),
        probabilities=np.eye(len(sizes), dtype=np.float32)[labels],
        agreement=agreement,
        members=list(members),
        view_agreement=views,
    )


def coloured(labels: Array, *, noise: float, seed: int = 0) -> Array:
    """A colour for each cluster, with noise."""
    rng = np.random.default_rng(seed)
    palette = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.1]])
    colours = palette[labels] + noise * rng.normal(size=(len(labels), 3))
    return colours.astype(np.float32)


GOOD = Member("kmeans in 20 dimensions", 0.95, False)
LOST = Member("gmm in 20 dimensions", 0.0, True)
ALSO = Member("spectral in 10 dimensions", 0.0, True)


# -- sentences ---------------------------------------------------------------------------------


def test_a_good_clustering_is_not_doubted() -> None:
    found = clustering((40, 30, 30), agreement=0.97, members=(GOOD,))
    noise = np.random.default_rng(1).uniform(size=(100, 3))
    assert doubts(found, seed=0) == []
    assert doubts(found, noise, seed=0) == []
    # without a consensus nothing is known of agreement
    assert doubts(clustering((40, 30, 30)), noise, seed=0) == []


@pytest.mark.parametrize(
    ("agreement", "said"), [(0.75, None), (0.7, "70%"), (0.5, "50%"), (0.0, "0%")]
)
def test_low_agreement_is_doubted(agreement: float, said: str | None) -> None:
    wanted = [
        f"the members of the consensus agree with it on only {said} of the images: other seeds or"
        " clusterers may group them otherwise"
    ]
    found = clustering((40, 60), agreement=agreement, members=(GOOD,))
    assert doubts(found, seed=0) == (wanted if said else [])


@pytest.mark.parametrize(
    ("views", "said"), [(None, None), (0.75, None), (0.744, "74%"), (0.1, "10%")]
)
def test_views_that_fall_elsewhere_are_doubted(views: float | None, said: str | None) -> None:
    wanted = [
        f"a random view of an image tells its cluster for only {said} of the images: what the"
        " images of a cluster have in common may be hard to see"
    ]
    found = clustering((40, 60), agreement=0.9, members=(GOOD,), views=views)
    assert doubts(found, seed=0) == (wanted if said else [])


def test_collapsed_members_are_named() -> None:
    one = clustering((40, 60), agreement=0.9, members=(GOOD, LOST))
    assert doubts(one, seed=0) == [
        "gmm in 20 dimensions found fewer than 2 clusters and had no vote: 2 may be too many"
    ]
    two = clustering((30, 30, 40), agreement=0.9, members=(ALSO, GOOD, LOST))
    assert doubts(two, seed=0) == [
        "spectral in 10 dimensions, gmm in 20 dimensions found fewer than 3 clusters and had no"
        " vote: 3 may be too many"
    ]


def test_nearly_empty_clusters_are_counted() -> None:
    # an even share of 400 images in four clusters is 100, and a tenth of it 10
    assert doubts(clustering((190, 190, 10, 10)), seed=0) == []
    assert doubts(clustering((200, 188, 9, 3)), seed=0) == [
        "clusters 2, 3 are nearly empty (12 of 400 images together)",
    ]
    assert doubts(clustering((397, 3)), seed=0) == ["cluster 1 is nearly empty (3 of 400 images)"]
    # one or two images are few, unless others have not twice as many
    assert doubts(clustering((9, 7, 2)), seed=0) == ["cluster 2 is nearly empty (2 of 18 images)"]
    assert doubts(clustering((5, 5, 2)), seed=0) == []
    assert doubts(clustering((4, 1)), seed=0) == ["cluster 1 is nearly empty (1 of 5 images)"]
    assert doubts(clustering((2, 2, 2)), seed=0) == doubts(clustering((2, 1)), seed=0) == []


@pytest.mark.parametrize(
    ("agreement", "views", "said"),
    [(0.76, 0.8, "61%"), (0.95, 0.8, None), (0.9, 0.6, "random"), (0.6, 0.9, "members")],
)
def test_two_small_doubts_are_one(agreement: float, views: float, said: str | None) -> None:
    found = clustering((40, 60), agreement=agreement, members=(GOOD,), views=views)
    sure = np.eye(2, dtype=np.float32)[found.labels] * 0.98 + np.float32(0.01)
    told = doubts(dataclasses.replace(found, shares=temper(sure, agreement * views)), seed=0)
    if said == "61%":
        assert told == [
            "only 61% of the labels can be counted on, where guessing gets 50% right: there may be"
            " no such groups"
        ]
    elif said is None:
        assert told == []
    else:
        assert len(told) == 1
        assert said in told[0]


def test_clusters_that_are_colours_are_doubted() -> None:
    found = clustering((50, 50, 50))
    assert doubts(found, coloured(found.labels, noise=0.01), seed=0) == [
        "mean colour and brightness alone predict 100% of each cluster: the groups may follow"
        " colour, not content"
    ]
    assert doubts(found, seed=0) == []


@pytest.mark.parametrize(
    ("share", "said"), [(0.9, "90%"), (0.934, "93%"), (0.899, None), (None, None)]
)
def test_colours_are_told_from_nine_tenths_on(
    share: float | None, said: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = clustering((50, 50))
    colours = np.zeros((100, 3))

    def predicted(given: Array, labels: Array, *, seed: int) -> float | None:
        assert given is colours
        assert labels is found.labels
        return share

    monkeypatch.setattr(diagnosis, "predicted_by_colour", predicted)
    wanted = [
        f"mean colour and brightness alone predict {said} of each cluster: the groups may follow"
        " colour, not content"
    ]
    assert doubts(found, colours, seed=0) == (wanted if said else [])


def test_all_doubts_are_said_in_order() -> None:
    found = clustering((300, 95, 5), agreement=0.5, members=(GOOD, LOST), views=0.5)
    said = doubts(found, coloured(found.labels, noise=0.01), seed=0)
    starts = ["the members", "a random view", "gmm in 20"]
    starts += ["cluster 2 is nearly empty (5 of 400", "mean colour"]
    assert len(said) == 5
    assert all(text.startswith(start) for text, start in zip(said, starts, strict=True))
    assert all(text.isprintable() for text in said)


# -- colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_clusters_that_are_colours_are_predicted(k: int, scale: float) -> None:
    labels = np.random.default_rng(k).permutation(np.arange(120) % k)
    assert predicted_by_colour(scale * coloured(labels, noise=0.02), labels, seed=0) == 1.0


@pytest.mark.parametrize("k", [2, 4])
def test_noise_predicts_no_better_than_chance(k: int) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(1_200) % k)
    share = predicted_by_colour(rng.uniform(size=(1_200, 3)), labels, seed=0)
    # a standard deviation of 0.014 for two clusters
    assert share == pytest.approx(1 / k, abs=0.06)


def test_small_clusters_count_as_much_as_large_ones() -> None:
    # always guessing the larger cluster would find 95% of the images, but half of the clusters
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [950, 50])
    share = predicted_by_colour(rng.uniform(size=(1_000, 3)), labels, seed=0)
    assert share == pytest.approx(0.5, abs=0.15)


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_alone_predicts(channels: int) -> None:
    labels = np.arange(60) % 2
    grey = np.repeat((0.2 + 0.6 * labels)[:, np.newaxis], channels, 1)
    assert predicted_by_colour(grey, labels, seed=0) == 1.0


def test_equal_colours_predict_at_chance() -> None:
    assert predicted_by_colour(np.full((60, 3), 0.5), np.arange(60) % 2, seed=0) == 0.5
    assert predicted_by_colour(np.full((90, 3), 0.5), np.arange(90) % 3, seed=0) == pytest.approx(
        1 / 3
    )


@pytest.mark.parametrize(
    ("sizes", "known"),
    [((30, 2), False), ((30, 30, 1), False), ((30,), False), ((3, 3), True), ((30, 3), True)],
)
def test_tiny_clusters_are_not_predicted(sizes: tuple[int, ...], known: bool) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    share = predicted_by_colour(coloured(labels, noise=0), labels, seed=0)
    assert share == (1.0 if known else None)


def test_the_same_colours_give_the_same_answer_whatever_the_clusters_are_called() -> None:
    labels = np.arange(90) % 3
    colours = coloured(labels, noise=0.5)
    share = predicted_by_colour(colours, labels, seed=0)
    assert share is not None
    assert 0.4 < share < 0.95
    assert predicted_by_colour(colours, labels, seed=0) == share
    assert predicted_by_colour(10 * colours + 3, labels, seed=0) == pytest.approx(share)


def test_a_sample_of_many_images_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.arange(200) % 2
    sizes = []

    def predict(model: Any, colours: Array, given: Array, **rest: Any) -> Any:
        sizes.append((len(colours), len(given)))
        return cross_val_predict(model, colours, given, **rest)

    monkeypatch.setattr(diagnosis, "references", partial(references, limit=100))
    monkeypatch.setattr("sklearn.model_selection.cross_val_predict", predict)
    assert predicted_by_colour(coloured(labels, noise=0.01), labels, seed=0) == 1.0
    assert sizes == [(100, 100)]


def test_images_that_lie_in_order_are_judged_by_all_of_their_clusters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # colours tell cluster 0 from the others, but not 1 from 2, which come last
    labels = np.repeat([0, 1, 2], 100)
    colours = np.where(labels == 0, 0.9, 0.1)[:, np.newaxis]
    monkeypatch.setattr(diagnosis, "references", partial(references, limit=200))
    share = predicted_by_colour(colours, labels, seed=0)
    assert share == pytest.approx(2 / 3, abs=0.1)
