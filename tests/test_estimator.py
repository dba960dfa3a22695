"""The scikit-learn API gives what the stages give."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import aeclust
from aeclust import AutoencoderClusterer, clustering, inference, nearest, recipes, training
from aeclust.choosing import estimate_k
from aeclust.errors import InputError
from aeclust.metrics import scores
from aeclust.reduction import limited, reduce

TINY = {
    "channels": (4, 8),
    "image_size": 8,
    "epochs": 3,
    "batch_size": 8,
    "lr": 1e-2,
    "reduction": ("pca:2",),
    "clusterer": "kmeans",
}


def two_kinds(n: int = 24) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images bright on the left and images bright on the right."""
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 2
    images = rng.integers(0, 60, (n, 8, 8, 3), dtype=np.uint8)
    images[kinds == 0, :, :4] += 180
    images[kinds == 1, :, 4:] += 180
    return images, kinds


def model(**changes: object) -> AutoencoderClusterer:
    return AutoencoderClusterer(2, recipe="baseline", settings={**TINY, **changes}, random_state=0)


def test_fit_finds_two_obvious_kinds_and_predicts_new_ones() -> None:
    images, kinds = two_kinds()
    fitted = model().fit(images)
    assert scores(fitted.labels_, kinds).accuracy == 1.0
    new, new_kinds = two_kinds(40)
    assert scores(fitted.predict(new[24:]), new_kinds[24:]).accuracy == 1.0
    assert fitted.confidence_.shape == (24,)
    assert ((fitted.confidence_ >= 0) & (fitted.confidence_ <= 1)).all()


def test_fit_predict_equals_labels_and_equal_seeds_give_equal_results() -> None:
    images, _ = two_kinds()
    first, second = model().fit(images), model().fit(images)
    np.testing.assert_array_equal(first.labels_, second.labels_)
    np.testing.assert_array_equal(first.transform(images), second.transform(images))
    np.testing.assert_array_equal(model().fit_predict(images), first.labels_)


def test_transform_is_the_encoder_and_inverse_transform_the_decoder() -> None:
    images, _ = two_kinds()
    fitted = model().fit(images)
    latents = fitted.transform(images)
    assert latents.shape == (24, 8 * 2 * 2)
    assert latents.dtype == np.float32
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        np.testing.assert_allclose(latents, fitted.network_.encode(batch).numpy(), atol=1e-5)
        drawn = fitted.network_.decode(torch.from_numpy(latents)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(fitted.inverse_transform(latents), (drawn + 1) / 2, atol=1e-5)


def test_layouts_and_ranges_do_not_change_the_result() -> None:
    images, _ = two_kinds()
    fitted = model().fit(images)
    first = fitted.transform(np.moveaxis(images, 3, 1))
    np.testing.assert_array_equal(first, fitted.transform(images))
    np.testing.assert_allclose(fitted.transform(images / 255.0), first, atol=1e-5)


def test_random_state_may_be_a_generator_or_none() -> None:
    images, kinds = two_kinds()
    fitted = model().set_params(random_state=np.random.RandomState(3)).fit(images)
    again = model().set_params(random_state=np.random.RandomState(3)).fit(images)
    np.testing.assert_array_equal(fitted.labels_, again.labels_)
    free = model().set_params(random_state=None).fit(images)
    assert scores(free.labels_, kinds).accuracy == 1.0


def hybrid(**changes: object) -> AutoencoderClusterer:
    """The default recipe, small; it clusters by consensus and labels itself."""
    small = {"channels": (4, 8), "image_size": 8, "epochs": 2, "label_epochs": 1, "batch_size": 8}
    return AutoencoderClusterer(2, settings={**small, **changes}, random_state=0)


def test_one_clusterer_has_no_agreement() -> None:
    images, _ = two_kinds()
    fitted = model().fit(images)
    assert (fitted.n_clusters_, fitted.agreement_) == (2, None)


def test_a_consensus_is_that_of_the_stages() -> None:
    images, _ = two_kinds()
    fitted = hybrid().fit(images)
    network = training.train(images, fitted.recipe_, seed=0, device=torch.device("cpu"))
    latents = fitted.transform(images)
    shown = inference.embed(network, images, image_size=8, device=torch.device("cpu"))
    np.testing.assert_array_equal(latents, shown)
    assignments = inference.assign(network, latents, device=torch.device("cpu"))
    found = clustering.cluster_latents(latents, fitted.recipe_, seed=0, assignments=assignments)
    assert assignments.shape == (24, 2)
    assert len(found.members) == 8
    np.testing.assert_array_equal(fitted.labels_, found.labels)
    assert fitted.agreement_ == found.agreement
    assert fitted.agreement_ is not None
    assert 0.5 <= fitted.agreement_ <= 1
    assert fitted.n_clusters_ == 2
    base, labels, sure = clustering.confidence(latents, found, seed=0)
    np.testing.assert_array_equal(fitted.confidence_, sure)
    wanted = nearest.neighbour_vote(latents, base, labels, 2, reference_shares=found.tempered)[0]
    np.testing.assert_array_equal(fitted.predict(images), wanted)


def test_without_self_labelling_the_network_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def cluster_latents(*args: object, assignments: object = None, **rest: object) -> object:
        given.append(assignments)
        return clustered(*args, **rest)

    clustered: Callable[..., object] = clustering.cluster_latents
    monkeypatch.setattr(clustering, "cluster_latents", cluster_latents)
    images, _ = two_kinds()
    hybrid(label_epochs=0).fit(images)
    hybrid().set_params(n_clusters="auto").fit(images)
    assert given == [None, None]


@pytest.mark.parametrize("make", [model, hybrid])
def test_auto_estimates_the_number_of_clusters(
    make: Callable[[], AutoencoderClusterer],
) -> None:
    images, kinds = two_kinds()
    fitted = make().set_params(n_clusters="auto").fit(images)
    assert fitted.n_clusters == "auto"
    assert fitted.recipe_.k == recipes.AUTO_K
    assert fitted.n_clusters_ == len(np.unique(fitted.labels_)) >= 2
    points = reduce(fitted.transform(images), limited(fitted.recipe_.reduction, (24, 8)), seed=0)
    assert fitted.n_clusters_ == estimate_k(points, seed=0).k
    assert set(fitted.predict(images).tolist()) <= set(range(fitted.n_clusters_))
    if make is model:
        assert fitted.n_clusters_ == 2
        assert scores(fitted.labels_, kinds).accuracy == 1.0


def test_other_words_than_auto_are_refused() -> None:
    images, _ = two_kinds()
    with pytest.raises(InputError, match=r"^settings: k is 'many'; expected a whole number"):
        model().set_params(n_clusters="many").fit(images)


def test_fewer_images_than_clusters_are_refused() -> None:
    images, _ = two_kinds()
    with pytest.raises(InputError) as caught:
        model().set_params(n_clusters=5).fit(images[:4])
    assert str(caught.value) == (
        "X: 4 images cannot form 5 clusters; expected at least 5 images;"
        " add images or lower n_clusters"
    )


def test_clone_and_params_round_trip() -> None:
    copy = clone(model(epochs=2))
    assert copy.get_params()["settings"]["epochs"] == 2
    assert copy.get_params()["n_clusters"] == 2


def test_unfitted_use_and_other_channels_are_refused() -> None:
    images, _ = two_kinds()
    with pytest.raises(NotFittedError):
        model().predict(images)
    fitted = model().fit(images)
    with pytest.raises(InputError, match=r"^X: has 1 channels; expected 3, as in training"):
        fitted.predict(images[..., 0])


def test_unknown_settings_are_named() -> None:
    images, _ = two_kinds()
    with pytest.raises(InputError, match=r"^settings: no recipe field is called 'epoch'"):
        model(epoch=3).fit(images)


def test_the_package_offers_the_estimator_and_nothing_else() -> None:
    assert aeclust.__all__ == ["AutoencoderClusterer"]
    with pytest.raises(AttributeError, match="no attribute 'Clusterer'"):
        _ = aeclust.Clusterer
