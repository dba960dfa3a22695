"""The scikit-learn API gives what the stages give."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import aeclust
from aeclust import AutoencoderClusterer
from aeclust.errors import InputError
from aeclust.metrics import scores

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
