"""Every sentence of doubt, exactly, and none about a good clustering."""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from aeclust.clusters import doubts as module
from aeclust.clusters.clustering import Clustering
from aeclust.clusters.consensus import Member
from aeclust.clusters.doubts import colour_share, doubts
from aeclust.clusters.mixtures import temper
from aeclust.clusters.neighbours import references

Array = NDArray[Any]

doubts_of = partial(doubts, seed=0)
share_of = partial(colour_share, seed=0)


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
        points=points,
        references=np.arange(len(labels)),
        latents=points,
        k=len(sizes),
        posteriors=np.eye(len(sizes), dtype=np.float32)[labels],
        agreement=agreement,
        members=list(members),
        view_agreement=views,
    )


def coloured(labels: Array, *, noise: float) -> Array:
    """A colour for each cluster, with noise."""
    palette = np.array([[0.9, 0.1, 0.1], [0.1, 0.9, 0.1], [0.1, 0.1, 0.9], [0.9, 0.9, 0.1]])
    colours = palette[labels] + noise * np.random.default_rng(0).normal(size=(len(labels), 3))
    return colours.astype(np.float32)


GOOD = Member("kmeans in 20 dimensions", 0.95, False)
LOST = Member("gmm in 20 dimensions", 0.0, True)
ALSO = Member("spectral in 10 dimensions", 0.0, True)

LOW = (
    "other ways of clustering give only {} of these labels: another seed may group the images"
    " otherwise; try another number of clusters"
)
VIEWS = (
    "only {} of the images keep their label when seen in part: what the images of a cluster share"
    " may be hard to see; look at them before you use the labels"
)
UNSURE = "only {} of the labels should hold, where guessing gets 50% right: the images may not fall"
UNSURE += " into 2 groups; try another number of clusters"
COLOUR = "mean colour and brightness alone predict {} of each cluster: the clusters may follow"
COLOUR += " colour, not content; a few known labels can steer them"


# -- sentences ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agreement", "views", "wanted"),
    [
        (None, None, []),
        (0.97, None, []),
        (0.75, 0.75, [UNSURE.format("56%")]),
        (0.7, None, [LOW.format("70%")]),
        (0.0, None, [LOW.format("0%")]),
        (0.9, 0.744, [VIEWS.format("74%")]),
        (0.5, 0.1, [LOW.format("50%"), VIEWS.format("10%")]),
        # two small doubts are one
        (0.95, 0.8, []),
        (0.76, 0.8, [UNSURE.format("61%")]),
    ],
)
def test_members_and_views_that_do_not_agree_are_doubted(
    agreement: float | None, views: float | None, wanted: list[str]
) -> None:
    result = clustering((40, 60), agreement=agreement, members=(GOOD,), views=views)
    if agreement is not None:
        sure = np.eye(2, dtype=np.float32)[result.labels] * 0.98 + np.float32(0.01)
        trust = max(0.5, agreement * (1 if views is None else views))
        result = dataclasses.replace(result, shares=temper(sure, trust))
    assert doubts_of(result) == wanted


def test_collapsed_members_are_counted() -> None:
    assert doubts_of(clustering((40, 60), agreement=0.9, members=(GOOD, LOST))) == [
        "1 of 2 ways of clustering found fewer than 2 clusters: there may be no groups"
    ]
    assert doubts_of(clustering((30, 30, 40), agreement=0.9, members=(ALSO, GOOD, LOST))) == [
        "2 of 3 ways of clustering found fewer than 3 clusters: 3 may be too many"
    ]


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        # an even share of 400 images in four clusters is 100, and a tenth of it 10
        ((190, 190, 10, 10), []),
        ((200, 188, 9, 3), ["clusters 2, 3 are nearly empty (12 of 400 images together)"]),
        ((397, 3), ["cluster 1 is nearly empty (3 of 400 images)"]),
        # one or two images are few, unless others have not twice as many
        ((9, 7, 2), ["cluster 2 is nearly empty (2 of 18 images)"]),
        ((4, 1), ["cluster 1 is nearly empty (1 of 5 images)"]),
        ((5, 5, 2), []),
        ((2, 2, 2), []),
        ((2, 1), []),
        ((50, 0, 50), []),  # which known labels have left without an image
    ],
)
def test_nearly_empty_clusters_are_counted(sizes: tuple[int, ...], wanted: list[str]) -> None:
    it = "them" if wanted and wanted[0].startswith("clusters") else "it"
    mend = f": look at {it}, and merge {it} or ask for fewer"
    assert doubts_of(clustering(sizes)) == [f"{each}{mend}" for each in wanted]


@pytest.mark.parametrize(
    ("share", "wanted"), [(0.9, "90%"), (0.934, "93%"), (0.899, None), (None, None)]
)
def test_clusters_that_are_colours_are_doubted_from_nine_tenths_on(
    share: float | None, wanted: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    result, colours = clustering((50, 50)), np.zeros((100, 3))

    def predicted(given: Array, labels: Array, *, seed: int) -> float | None:
        assert given is colours
        assert labels is result.labels
        return share

    monkeypatch.setattr(module, "colour_share", predicted)
    assert doubts_of(result, colours) == ([COLOUR.format(wanted)] if wanted else [])
    assert doubts_of(result) == []


def test_all_doubts_are_said_in_order() -> None:
    result = clustering((300, 95, 5), agreement=0.5, members=(GOOD, LOST), views=0.5)
    sentences = doubts_of(result, coloured(result.labels, noise=0.01))
    starts = ["other ways", "only 50% of the images keep", "1 of 2 ways"]
    starts += ["cluster 2 is nearly empty (5 of 400", "mean colour"]
    for sentence, start in zip(sentences, starts, strict=True):
        assert sentence.startswith(start)
        assert sentence.isprintable()


# -- colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
@pytest.mark.parametrize("scale", [1.0, 1e-3])
def test_clusters_that_are_colours_are_predicted(k: int, scale: float) -> None:
    labels = np.random.default_rng(k).permutation(np.arange(120) % k)
    assert share_of(scale * coloured(labels, noise=0.02), labels) == 1.0


@pytest.mark.parametrize("channels", [1, 3])
def test_brightness_alone_predicts(channels: int) -> None:
    labels = np.arange(60) % 2
    assert share_of(np.repeat((0.2 + 0.6 * labels)[:, np.newaxis], channels, 1), labels) == 1.0


@pytest.mark.parametrize(
    ("sizes", "tolerance"),
    # standard deviations of 0.014 for two even clusters; always guessing the larger of the last
    # two would find 95% of the images, but half of the clusters
    [((600, 600), 0.06), ((300, 300, 300, 300), 0.06), ((950, 50), 0.15)],
)
def test_noise_predicts_no_better_than_chance(sizes: tuple[int, ...], tolerance: float) -> None:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    share = share_of(rng.uniform(size=(len(labels), 3)), labels)
    assert share == pytest.approx(1 / len(sizes), abs=tolerance)


@pytest.mark.parametrize("k", [2, 3])
def test_equal_colours_predict_at_chance(k: int) -> None:
    assert share_of(np.full((30 * k, 3), 0.5), np.arange(30 * k) % k) == pytest.approx(1 / k)


@pytest.mark.parametrize(
    ("sizes", "known"),
    [((30, 2), False), ((30, 30, 1), False), ((30,), False), ((3, 3), True), ((30, 3), True)],
)
def test_tiny_clusters_are_not_predicted(sizes: tuple[int, ...], known: bool) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    assert share_of(coloured(labels, noise=0), labels) == (1.0 if known else None)


def test_the_same_colours_give_the_same_answer_at_any_scale() -> None:
    labels = np.arange(90) % 3
    colours = coloured(labels, noise=0.5)
    share = share_of(colours, labels)
    assert share is not None
    assert 0.4 < share < 0.95
    assert share_of(colours, labels) == share
    assert share_of(10 * colours + 3, labels) == pytest.approx(share)


def test_a_sample_of_many_images_is_judged_by_all_of_its_clusters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # colours tell cluster 0 from the others, but not 1 from 2, which come last
    labels = np.repeat([0, 1, 2], 100)
    sizes = []

    def sampled(n: int, *, seed: int) -> Array:
        rows = references(n, seed=seed, limit=200)
        sizes.append(len(rows))
        return rows

    monkeypatch.setattr(module, "references", sampled)
    share = share_of(np.where(labels == 0, 0.9, 0.1)[:, np.newaxis], labels)
    assert share == pytest.approx(2 / 3, abs=0.1)
    assert sizes == [200]
