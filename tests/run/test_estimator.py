"""The scikit-learn API gives what the stages give."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import get_tags
from support import BY_COLOUR, make_images

import aeclust
from aeclust import AutoencoderClusterer
from aeclust import recipe as recipes
from aeclust.clusters import neighbours
from aeclust.clusters.chain import Clustering, Views, cluster_latents
from aeclust.clusters.indicators import estimate_k, indicate
from aeclust.clusters.reduction import limited, reduce
from aeclust.clusters.scores import score
from aeclust.errors import ArgumentError, DivergedError, InputError
from aeclust.network import inference, training

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
    assert score(fitted.labels_, kinds).accuracy == 1.0
    new, new_kinds = two_kinds(40)
    assert score(fitted.predict(new[24:]), new_kinds[24:]).accuracy == 1.0
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
    assert score(free.labels_, kinds).accuracy == 1.0


def hybrid(**changes: object) -> AutoencoderClusterer:
    """The default recipe, small; it clusters by consensus and labels itself."""
    small = {"channels": (4, 8), "image_size": 8, "epochs": 2, "label_epochs": 1, "batch_size": 8}
    return AutoencoderClusterer(2, settings={**small, **changes}, random_state=0)


def test_one_clusterer_has_no_agreement() -> None:
    images, _ = two_kinds()
    fitted = model().fit(images)
    assert (fitted.n_clusters_, fitted.agreement_, fitted.view_agreement_) == (2, None, None)


def test_a_consensus_is_that_of_the_stages() -> None:
    images, _ = two_kinds()
    fitted = hybrid().fit(images)
    network = training.train(images, fitted.recipe_, seed=0, device=torch.device("cpu"))
    latents = fitted.transform(images)
    shown = inference.embed(network, images)
    np.testing.assert_array_equal(latents, shown)
    assignments = inference.assign(network, latents)
    seen = inference.embed_views(network, images, seed=0)
    told = inference.assign(network, seen).argmax(1)
    views = Views(np.arange(24), seen, told)
    found = cluster_latents(
        latents,
        fitted.recipe_,
        seed=0,
        assignments=assignments,
        views=views,
    )
    assert fitted.view_agreement_ == found.view_agreement
    assert assignments.shape == (24, 2)
    assert len(found.members) == 8
    np.testing.assert_array_equal(fitted.labels_, found.labels)
    assert fitted.agreement_ == found.agreement
    assert fitted.agreement_ is not None
    assert 0.5 <= fitted.agreement_ <= 1
    assert fitted.n_clusters_ == 2
    np.testing.assert_array_equal(fitted.confidence_, found.confidence)
    wanted, _ = neighbours.label_others(
        latents, latents, found.labels, found.references, 2, found.shares
    )
    np.testing.assert_array_equal(fitted.predict(images), wanted)


def test_without_self_labelling_the_network_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def spy(*args: Any, assignments: object = None, **rest: Any) -> Clustering:
        given.append(assignments)
        return cluster_latents(*args, **rest)

    monkeypatch.setattr("aeclust.run.clusters.cluster_latents", spy)
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
        assert score(fitted.labels_, kinds).accuracy == 1.0


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


# -- rows and ranges ---------------------------------------------------------------------------


def rows_model(**changes: object) -> AutoencoderClusterer:
    stated = {"image_shape": (8, 8, 3), "value_range": (0, 255), **changes}
    return AutoencoderClusterer(**{**model().get_params(), **stated})


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, -1, 3), (-1, 8, 3)])
def test_rows_are_the_images_that_they_were_flattened_from(shape: tuple[int, int, int]) -> None:
    images, _ = two_kinds()
    rows = images.reshape(24, -1)
    plain, fitted = model().fit(images), rows_model(image_shape=shape).fit(rows)
    np.testing.assert_array_equal(fitted.transform(rows), plain.transform(images))
    np.testing.assert_array_equal(fitted.labels_, plain.labels_)
    assert fitted.n_features_in_ == plain.n_features_in_ == 192
    drawn = fitted.inverse_transform(fitted.transform(rows))
    wanted = 255 * plain.inverse_transform(plain.transform(images))
    np.testing.assert_allclose(drawn, wanted.reshape(24, -1), atol=1e-3)
    assert drawn.dtype == np.float32


def test_grey_rows_and_images_without_a_channel_are_the_same() -> None:
    grey = two_kinds()[0][..., 0]
    fitted = rows_model(image_shape=(8, 8)).fit(grey.reshape(24, 64))
    np.testing.assert_array_equal(fitted.labels_, model().fit(grey).labels_)


def test_rows_come_back_in_the_size_they_had() -> None:
    images, _ = two_kinds()
    wide = np.repeat(images, 2, axis=2)  # 8 x 16, and 8 x 8 to the network
    fitted = rows_model(image_shape=(8, 16, 3)).fit(wide.reshape(24, -1))
    small = model().fit(images)
    rows = fitted.inverse_transform(fitted.transform(wide.reshape(24, -1)))
    assert rows.shape == (24, 8 * 16 * 3)
    flat = np.full((1, 32), 0.5, np.float32)
    drawn = small.inverse_transform(flat)
    assert drawn.shape == (1, 8, 8, 3)
    assert small.set_params(value_range=(-1, 1)).inverse_transform(flat) == pytest.approx(
        2 * drawn - 1
    )


def test_a_stated_range_takes_whole_numbers_and_standardised_values() -> None:
    images, _ = two_kinds()
    plain = model().fit(images)
    for scale, shift in ((1, 0), (0.02, -2.0)):
        values = (images * scale + shift).astype(np.int64 if scale == 1 else np.float64)
        fitted = model().set_params(value_range=(shift, 255 * scale + shift)).fit(values)
        np.testing.assert_allclose(
            fitted.transform(values), plain.transform(images), rtol=1e-3, atol=1e-4
        )


@pytest.mark.parametrize(
    ("change", "made", "told"),
    [
        ({}, lambda x: x.reshape(24, -1), "X: has shape (24, 192); expected (n, h, w), (n, h, w, c)"
         " or (n, c, h, w); reshape it, or state the image_shape that its rows were flattened"
         " from"),
        ({}, lambda x: x * 2.0, "X: has float64 values 0 to 478; expected float in [0, 1], or"
         " uint8; state value_range, for example (0, 255)"),
        ({}, lambda x: x[:, :, :3, 0], "X: has shape (24, 8, 3): one colour image, or grey images 3"
         " pixels wide; expected an unambiguous shape; reshape it to (n, h, w, c)"),
        ({"value_range": (0, 100)}, lambda x: x, "X: has values 0 to 239; expected values within"
         " 0.0:100.0; change value_range"),
        ({"value_range": (0, "white")}, lambda x: x, "value_range is (0, 'white'); expected the"
         " numbers that mean black and white, for example (0, 255)"),
        ({"value_range": (255, 0)}, lambda x: x, "value_range is (255, 0); expected the"
         " numbers that mean black and white, for example (0, 255)"),
        ({"value_range": (0, np.inf)}, lambda x: x, "value_range is (0, inf); expected the"
         " numbers that mean black and white, for example (0, 255)"),
        ({"image_shape": (8, 8)}, lambda x: x.reshape(24, -1), "image_shape: rows of 192 values are"
         " no images of shape (8, 8); expected (h, w) or (h, w, c) of that many values in all"),
        ({"image_shape": "8x8"}, lambda x: x.reshape(24, -1), "image_shape: rows of 192 values are"
         " no images of shape '8x8'; expected (h, w) or (h, w, c) of that many values in all"),
        ({"image_shape": (-1,)}, lambda x: x.reshape(24, -1), "image_shape: rows of 192 values are"
         " no images of shape (-1,); expected (h, w) or (h, w, c) of that many values in all"),
        ({"recipe": "basline"}, lambda x: x, "recipe: no recipe is called 'basline'; expected one"
         " of baseline, vae, deep, hybrid; did you mean baseline?"),
        ({"settings": {**TINY, "reduction": ("tsne:2",)}}, lambda x: x, "24 points are too"
         " few for t-SNE with perplexity 30; expected more than 30;"
         " lower perplexity, or use reduction pca:2"),
    ],
)  # fmt: skip
def test_errors_are_value_errors_that_speak_of_parameters(
    change: dict[str, object], made: Callable[[NDArray[Any]], NDArray[Any]], told: str
) -> None:
    with pytest.raises(ArgumentError) as caught:
        model().set_params(**change).fit(made(two_kinds()[0]))
    assert str(caught.value) == told
    assert isinstance(caught.value, ValueError)
    assert str(pickle.loads(pickle.dumps(caught.value))) == told


def test_the_number_of_clusters_is_called_by_its_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **rest: object) -> None:
        raise InputError("only 1 of 2", mend="lower `k` or choose another `clusterer`")

    monkeypatch.setattr("aeclust.run.clusters.cluster_latents", refuse)
    told = r"^only 1 of 2; lower n_clusters or choose another clusterer$"
    with pytest.raises(ArgumentError, match=told):
        model().fit(two_kinds()[0])


def test_a_diverged_training_names_the_setting() -> None:
    with pytest.raises(DivergedError) as caught:
        model(lr=1e20).fit(two_kinds()[0])
    assert str(caught.value) == (
        "training diverged: the loss is not finite in epoch 1, step 2;"
        " lower the learning rate (1e+20) with lr"
    )


def test_images_of_another_size_are_resized_and_rows_of_another_length_refused() -> None:
    images, kinds = two_kinds()
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    assert score(model().fit(images).predict(large), kinds).accuracy == 1.0
    fitted = rows_model().fit(images.reshape(24, -1))
    with pytest.raises(ValueError, match=r"^X has 768 features, but AutoencoderClusterer is expec"):
        fitted.predict(large.reshape(24, -1))
    with pytest.raises(ValueError, match=r"^Found array with dim 4"):
        fitted.predict(images)


# -- in the company of scikit-learn ------------------------------------------------------------


def test_duplicates_of_training_images_keep_their_label(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = two_kinds()
    fitted = model().fit(images)
    monkeypatch.setattr(
        neighbours,
        "neighbour_vote",
        lambda x, *a, **b: (np.full(len(x), 7), np.full((len(x), 2), 0.5)),
    )
    mixed = np.concatenate([images[5:8], 255 - images[:2], images[:1]])
    found = fitted.predict(mixed).tolist()
    assert found == [*fitted.labels_[5:8], 7, 7, fitted.labels_[0]]


def test_score_is_the_indicator_of_the_checkpoint_curve() -> None:
    images, _ = two_kinds(40)
    fitted = model(epochs=1).fit(images)
    others = images[12:]
    views = inference.embed_views(fitted.network_, others, seed=0)
    wanted = indicate(fitted.transform(others), views, 2, seed=0).view_neighbours
    assert fitted.score(others) == pytest.approx(wanted)
    assert 0 < wanted < 1
    assert fitted.score(others, y=np.zeros(28)) == fitted.score(others)
    with pytest.raises(ValueError, match=r"^Found array with 1 sample"):
        fitted.score(others[:1])


def test_a_grid_search_picks_by_the_score() -> None:
    images, _ = two_kinds()
    grid = {"settings": [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-6, 1e-2, 1e20)]}
    search = GridSearchCV(model(), grid, cv=2, error_score=-1.0)
    with pytest.warns(FitFailedWarning, match="DivergedError"):
        search.fit(images)
    means = search.cv_results_["mean_test_score"]
    assert means[2] == -1
    assert search.best_index_ == int(means.argmax())
    halves = [images[:12], images[12:]]
    by_hand = [
        search.estimator.set_params(settings=grid["settings"][1]).fit(a).score(b)
        for a, b in (halves[::-1], halves)
    ]
    assert means[1] == pytest.approx(np.mean(by_hand))
    np.testing.assert_array_equal(search.predict(images), search.best_estimator_.labels_)


def test_a_pipeline_scales_clusters_and_draws_in_its_own_units() -> None:
    images, kinds = two_kinds()
    rows = images[..., 0].reshape(24, 64)
    small = model().set_params(image_shape=(8, 8))
    whole = make_pipeline(MinMaxScaler((0, 1), clip=True), small)
    assert score(whole.fit_predict(rows), kinds).accuracy == 1.0
    drawn = whole.inverse_transform(whole.transform(rows))
    assert drawn.shape == (24, 64)
    assert drawn.min() >= rows.min() - 1e-3
    assert drawn.max() <= rows.max() + 1e-3
    assert np.ptp(drawn) > 10  # and not in [0, 1]
    names = whole.get_feature_names_out().tolist()
    assert names == [f"autoencoderclusterer{i}" for i in range(32)]
    assert whole.score(rows) == small.score(whole[0].transform(rows))


def test_a_model_whose_fit_failed_is_not_fitted() -> None:
    images, _ = two_kinds()
    failed = model(lr=1e20)
    with pytest.raises(DivergedError):
        failed.fit(images)
    for use in (failed.predict, failed.transform, failed.score):
        with pytest.raises(
            NotFittedError, match="This AutoencoderClusterer instance is not fitted"
        ):
            use(images)
    with pytest.raises(NotFittedError):
        failed.inverse_transform(np.zeros((1, 32)))
    with pytest.raises(NotFittedError):
        failed.save("nowhere")


def test_tags_say_what_is_taken() -> None:
    assert not get_tags(model()).input_tags.two_d_array
    assert get_tags(model()).input_tags.three_d_array
    assert get_tags(rows_model()).input_tags.two_d_array
    assert not get_tags(rows_model()).input_tags.three_d_array
    assert get_tags(rows_model()).transformer_tags.preserves_dtype == ["float32"]
    assert get_tags(model()).estimator_type == "clusterer"


def test_output_may_be_configured_and_a_pickle_is_the_same_model() -> None:
    images, _ = two_kinds()
    fitted = model().set_output(transform="default").fit(images)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.transform(images), fitted.transform(images))
    np.testing.assert_array_equal(again.predict(255 - images), fitted.predict(255 - images))
    np.testing.assert_array_equal(model().fit_transform(images), fitted.transform(images))


def test_warnings_say_what_the_command_says() -> None:
    images, _ = make_images(40, seed=0)
    assert model().fit(images).warnings_ == [BY_COLOUR]


def test_latents_of_another_length_are_refused() -> None:
    fitted = model().fit(two_kinds()[0])
    with pytest.raises(ArgumentError) as caught:
        fitted.inverse_transform(np.zeros((2, 5)))
    assert str(caught.value) == ("X: has latents of 5 values; expected 32, as transform gives them")


def test_the_package_offers_the_estimator_and_its_version() -> None:
    assert aeclust.__all__ == ["AutoencoderClusterer", "__version__"]
    with pytest.raises(AttributeError, match="no attribute 'Clusterer'"):
        _ = aeclust.Clusterer


def test_fewer_different_images_than_clusters_are_refused() -> None:
    images = np.repeat(two_kinds(4)[0][:3], 6, axis=0)
    with pytest.raises(ArgumentError) as caught:
        AutoencoderClusterer(4, recipe="baseline", settings=TINY).fit(images)
    assert str(caught.value) == (
        "X: only 3 of 18 images are different, too few for 4 clusters;"
        " expected at least 4 different ones; add images or lower n_clusters"
    )


def test_numbers_of_numpy_are_numbers() -> None:
    images, _ = two_kinds()
    settings = {**TINY, "lr": np.float32(0.5), "batch_size": np.int64(8)}
    k: Any = np.int64(2)
    fitted = AutoencoderClusterer(k, recipe="baseline", settings=settings, random_state=0)
    fitted.fit(images)
    plain = {**TINY, "lr": 0.5, "batch_size": 8}
    again = AutoencoderClusterer(2, recipe="baseline", settings=plain, random_state=0).fit(images)
    assert fitted.recipe_ == again.recipe_
    np.testing.assert_array_equal(fitted.labels_, again.labels_)
