"""The scikit-learn API gives what the stages give."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.exceptions import FitFailedWarning, NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils import get_tags
from support import BY_COLOUR, check_error, make_images, refused

import aeclust
from aeclust import AutoencoderClusterer
from aeclust import recipe as recipes
from aeclust.clusters import neighbours
from aeclust.clusters.chain import cluster_latents
from aeclust.clusters.clustering import Clustering, Views
from aeclust.clusters.evidence import estimate_k
from aeclust.clusters.indicators import indicate
from aeclust.clusters.newcomers import label_new
from aeclust.clusters.reduction import limited, reduce
from aeclust.clusters.scores import score
from aeclust.errors import ArgumentError, DivergedError, InputError
from aeclust.network import inference, training

TINY = {"channels": (4, 8), "image_size": 8, "epochs": 3, "batch_size": 8, "lr": 1e-2}
TINY |= {"reduction": ("pca:2",), "clusterer": "kmeans"}
SMALL = {"channels": (4, 8), "image_size": 8, "epochs": 2, "label_epochs": 1, "batch_size": 8}


def two_kinds(n: int = 24) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images bright on the left and images bright on the right."""
    rng = np.random.default_rng(0)
    kinds = np.arange(n) % 2
    images = rng.integers(0, 60, (n, 8, 8, 3), dtype=np.uint8)
    images[kinds == 0, :, :4] += 180
    images[kinds == 1, :, 4:] += 180
    return images, kinds


IMAGES, KINDS = two_kinds()
ROWS = IMAGES.reshape(24, -1)


def model(**changes: object) -> AutoencoderClusterer:
    return AutoencoderClusterer(2, recipe="baseline", settings={**TINY, **changes}, random_state=0)


def rows_model(**changes: object) -> AutoencoderClusterer:
    stated: dict[str, Any] = {"image_shape": (8, 8, 3), "value_range": (0, 255), **changes}
    return AutoencoderClusterer(**{**model().get_params(), **stated})


def hybrid(**changes: object) -> AutoencoderClusterer:
    """The default recipe, small; it clusters by consensus and labels itself."""
    return AutoencoderClusterer(2, settings={**SMALL, **changes}, random_state=0)


@pytest.fixture(scope="module")
def fitted() -> AutoencoderClusterer:
    """A model of the images; not to be changed."""
    return model().fit(IMAGES)


# -- fit and predict ---------------------------------------------------------------------------


def test_fit_finds_two_obvious_kinds_and_predicts_new_ones(fitted: AutoencoderClusterer) -> None:
    assert score(fitted.labels_, KINDS).accuracy == 1.0
    new, new_kinds = two_kinds(40)
    assert score(fitted.predict(new[24:]), new_kinds[24:]).accuracy == 1.0
    assert fitted.confidence_.shape == (24,)
    assert ((fitted.confidence_ >= 0) & (fitted.confidence_ <= 1)).all()
    # one clusterer has no agreement
    assert (fitted.n_clusters_, fitted.agreement_, fitted.view_agreement_) == (2, None, None)
    # images of another size are resized
    assert score(fitted.predict(IMAGES.repeat(2, axis=1).repeat(2, axis=2)), KINDS).accuracy == 1.0


def test_verbose_prints_epochs_and_nothing_else_does(
    fitted: AutoencoderClusterer, capsys: pytest.CaptureFixture[str]
) -> None:
    chatty = model().set_params(verbose=1).fit(IMAGES)
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert [line.split("  ")[0] for line in lines[:3]] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert lines[3:] == ["clustering 24 images into 2 clusters"]
    assert err == ""
    np.testing.assert_array_equal(chatty.labels_, fitted.labels_)
    for quiet in (0, False):
        model().set_params(verbose=quiet).fit(IMAGES)
        assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("epochs", "settings", "expected"),
    [
        (3, {}, (2, 1)),
        (np.int64(1), {}, (1, 0)),
        (4, {"label_epochs": 2}, (2, 2)),
        (None, {"epochs": 3}, (3, 4)),
    ],
)
def test_epochs_are_those_of_both_phases(
    epochs: int | None, settings: dict[str, object], expected: tuple[int, int]
) -> None:
    small = {"channels": (4, 8), "image_size": 8, "batch_size": 8}
    made = AutoencoderClusterer(settings={**small, **settings}, epochs=epochs, random_state=0)
    recipe = made.fit(IMAGES).recipe_
    assert (recipe.epochs, recipe.label_epochs) == expected
    assert {type(recipe.epochs), type(recipe.label_epochs)} == {int}


@pytest.mark.parametrize("epochs", [0, 2.5, "many"])
def test_epochs_must_be_a_number_of_them(epochs: object) -> None:
    with pytest.raises(ArgumentError, match="epochs is"):
        model().set_params(epochs=epochs).fit(IMAGES)


def test_equal_seeds_give_equal_results(fitted: AutoencoderClusterer) -> None:
    np.testing.assert_array_equal(model().fit_predict(IMAGES), fitted.labels_)
    np.testing.assert_array_equal(model().fit_transform(IMAGES), fitted.transform(IMAGES))
    first, second = (
        model().set_params(random_state=np.random.RandomState(3)).fit(IMAGES) for _ in range(2)
    )
    np.testing.assert_array_equal(first.transform(IMAGES), second.transform(IMAGES))
    assert (first.transform(IMAGES) != fitted.transform(IMAGES)).any()
    free = model().set_params(random_state=None).fit(IMAGES)
    assert score(free.labels_, KINDS).accuracy == 1.0


def test_transform_is_the_encoder_and_inverse_transform_the_decoder(
    fitted: AutoencoderClusterer,
) -> None:
    latents = fitted.transform(IMAGES)
    assert latents.shape == (24, 8 * 2 * 2)
    assert latents.dtype == np.float32
    batch = torch.from_numpy(IMAGES).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        np.testing.assert_allclose(latents, fitted.network_.encode(batch).numpy(), atol=1e-5)
        drawn = fitted.network_.decode(torch.from_numpy(latents)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(fitted.inverse_transform(latents), (drawn + 1) / 2, atol=1e-5)
    # whatever the layout and the range
    np.testing.assert_array_equal(fitted.transform(np.moveaxis(IMAGES, 3, 1)), latents)
    np.testing.assert_allclose(fitted.transform(IMAGES / 255.0), latents, atol=1e-5)


def test_a_consensus_is_that_of_the_stages() -> None:
    made = hybrid().fit(IMAGES)
    network = training.train(IMAGES, made.recipe_, seed=0, device=torch.device("cpu"))
    latents = inference.embed(network, IMAGES)
    np.testing.assert_array_equal(made.transform(IMAGES), latents)
    assignments = inference.assign(network, latents)
    assert assignments.shape == (24, 2)
    seen = inference.embed_views(network, IMAGES, seed=0)
    views = Views(np.arange(24), seen, inference.assign(network, seen).argmax(1))
    wanted = cluster_latents(latents, made.recipe_, seed=0, assignments=assignments, views=views)
    assert len(wanted.members) == 8
    np.testing.assert_array_equal(made.labels_, wanted.labels)
    np.testing.assert_array_equal(made.confidence_, wanted.confidence)
    assert (made.n_clusters_, made.agreement_) == (2, wanted.agreement)
    assert made.view_agreement_ == wanted.view_agreement
    assert 0.5 <= (made.agreement_ or 0) <= 1
    np.testing.assert_array_equal(made.predict(IMAGES), wanted.labels)
    others = IMAGES[:, ::-1] // 2
    theirs = made.transform(others)
    base = latents, wanted.labels, wanted.references, 2, wanted.shares
    own = (inference.assign(network, theirs), assignments) if wanted.by_network else None
    np.testing.assert_array_equal(made.predict(others), label_new(theirs, *base, own=own)[0])


def test_without_self_labelling_the_network_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def spy(*args: Any, assignments: object = None, **rest: Any) -> Clustering:
        given.append(assignments)
        return cluster_latents(*args, **rest)

    monkeypatch.setattr("aeclust.run.clusters.cluster_latents", spy)
    hybrid(label_epochs=0, epochs=1).fit(IMAGES)
    hybrid(epochs=1).set_params(n_clusters="auto").fit(IMAGES)
    assert given == [None, None]


@pytest.mark.parametrize("make", [model, hybrid])
def test_auto_estimates_the_number_of_clusters(make: Callable[[], AutoencoderClusterer]) -> None:
    made = make().set_params(n_clusters="auto").fit(IMAGES)
    assert (made.n_clusters, made.recipe_.k) == ("auto", recipes.AUTO_K)
    points = reduce(made.transform(IMAGES), limited(made.recipe_.reduction, (24, 8)), seed=0)
    assert made.n_clusters_ == estimate_k(points, seed=0).k == len(np.unique(made.labels_))
    assert set(made.predict(IMAGES).tolist()) <= set(range(made.n_clusters_))
    assert make is hybrid or score(made.labels_, KINDS).accuracy == 1.0


def test_duplicates_of_training_images_keep_their_label(
    fitted: AutoencoderClusterer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vote(x: NDArray[Any], *_: object, **__: object) -> tuple[NDArray[Any], NDArray[Any]]:
        return np.full(len(x), 8), np.full((len(x), 3), 0.5)  # 0 is no cluster

    monkeypatch.setattr(neighbours, "neighbour_vote", vote)
    mixed = np.concatenate([IMAGES[5:8], 255 - IMAGES[:2], IMAGES[:1]])
    labels = fitted.labels_
    assert fitted.predict(mixed).tolist() == [*labels[5:8], 7, 7, labels[0]]


def test_numbers_of_numpy_are_numbers() -> None:
    made = model(lr=np.float32(0.5), batch_size=np.int64(8), epochs=1)
    made.set_params(n_clusters=np.int64(2)).fit(IMAGES)
    assert made.recipe_ == model(lr=0.5, epochs=1).fit(IMAGES).recipe_


def test_warnings_say_what_the_command_says() -> None:
    assert model().fit(make_images(40, seed=0)[0]).warnings_ == [BY_COLOUR]


# -- rows and ranges ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("images", "shape"),
    [(IMAGES, (8, 8, 3)), (IMAGES, (8, -1, 3)), (IMAGES, (-1, 8, 3)), (IMAGES[..., 0], (8, 8))],
)
def test_rows_are_the_images_that_they_were_flattened_from(
    fitted: AutoencoderClusterer, images: NDArray[np.uint8], shape: tuple[int, ...]
) -> None:
    rows, plain = images.reshape(24, -1), fitted if images.ndim == 4 else model().fit(images)
    made = rows_model(image_shape=shape).fit(rows)
    np.testing.assert_array_equal(made.transform(rows), plain.transform(images))
    np.testing.assert_array_equal(made.labels_, plain.labels_)
    assert made.n_features_in_ == plain.n_features_in_ == rows.shape[1]
    drawn = made.inverse_transform(made.transform(rows))
    wanted = 255 * plain.inverse_transform(plain.transform(images))
    np.testing.assert_allclose(drawn, wanted.reshape(24, -1), atol=1e-3)
    assert drawn.dtype == np.float32


def test_images_come_back_in_the_size_and_range_they_had() -> None:
    wide = np.repeat(IMAGES, 2, axis=2).reshape(24, -1)  # 8 x 16, and 8 x 8 to the network
    made = rows_model(image_shape=(8, 16, 3)).fit(wide)
    assert made.inverse_transform(made.transform(wide)).shape == (24, 8 * 16 * 3)
    small = model(epochs=1).fit(IMAGES)
    latents = np.full((1, 32), 0.5, np.float32)
    drawn = small.inverse_transform(latents)
    assert drawn.shape == (1, 8, 8, 3)
    signed = small.set_params(value_range=(-1, 1)).inverse_transform(latents)
    assert signed == pytest.approx(2 * drawn - 1)


@pytest.mark.parametrize(("scale", "shift", "kind"), [(1, 0, np.int64), (0.02, -2.0, np.float64)])
def test_a_stated_range_takes_whole_numbers_and_standardised_values(
    fitted: AutoencoderClusterer, scale: float, shift: float, kind: type
) -> None:
    values: NDArray[Any] = (IMAGES * scale + shift).astype(kind)
    made = model().set_params(value_range=(shift, 255 * scale + shift)).fit(values)
    wanted = fitted.transform(IMAGES)
    np.testing.assert_allclose(made.transform(values), wanted, rtol=1e-3, atol=1e-4)


def test_a_range_that_is_hardly_used_is_a_warning() -> None:
    fitted = model().set_params(value_range=(0, 65_535)).fit(IMAGES.astype(np.uint16))
    assert fitted.warnings_[0] == (
        "the range 0.0:65535.0 is hardly used: values are "
        f"{IMAGES.min()} to {IMAGES.max()}, and the images nearly black; 0:255 would fit"
    )


# -- errors ------------------------------------------------------------------------------------

NUMBERS = "the numbers that mean black and white, for example (0, 255)"
SHAPE = {"where": "image_shape", "expected": "(h, w) or (h, w, c) of that many values in all"}


@pytest.mark.parametrize(
    ("change", "images", "fields"),
    [
        ({"n_clusters": "many"}, IMAGES, {"where": "settings", "what": "k is 'many'"}),
        ({"n_clusters": 5}, IMAGES[:4], {
            "where": "X", "what": "4 images cannot form 5 clusters",
            "expected": "at least 5 images", "mend": "add images or lower n_clusters"}),
        ({"n_clusters": 4}, IMAGES[:3].repeat(6, axis=0), {
            "where": "X", "what": "only 3 of 18 images are different, too few for 4 clusters",
            "expected": "at least 4 different ones", "mend": "add images or lower n_clusters"}),
        ({}, ROWS, {
            "where": "X", "what": "has shape (24, 192)",
            "expected": "(n, h, w), (n, h, w, c) or (n, c, h, w)",
            "mend": "reshape it, state the image_shape of its rows, or recipe='features'"}),
        ({}, IMAGES * 2.0, {
            "what": "has float64 values 0 to 478", "expected": "float in [0, 1], or uint8",
            "mend": "state the range, for example value_range (0, 1023)"}),
        ({}, IMAGES / 127.5 - 1, {
            "expected": "float in [0, 1], or uint8",
            "mend": "state the range, for example value_range (-1, 1)"}),
        ({}, IMAGES // 128, {
            "expected": "an unambiguous range",
            "mend": "state value_range (0, 255) or value_range (0, 1)"}),
        ({}, IMAGES[:, :, :3, 0], {
            "what": "has shape (24, 8, 3): one colour image, or grey images 3 pixels wide",
            "mend": "reshape it to (n, h, w, c)"}),
        ({"value_range": (0, 100)}, IMAGES, {
            "where": "X", "what": "has values 0 to 239", "expected": "values within 0.0:100.0",
            "mend": "change it, for example to value_range (0, 255)"}),
        *(({"value_range": bad}, IMAGES, {"what": f"value_range is {bad}", "expected": NUMBERS})
          for bad in ((0, "white"), (255, 0), (0, np.inf))),
        *(({"image_shape": bad}, ROWS, {
            "what": f"rows of 192 values are no images of shape {bad!r}", **SHAPE})
          for bad in ((8, 8), "8x8", (-1,))),
        ({"recipe": "basline"}, IMAGES, {
            "where": "recipe", "what": "no recipe is called 'basline'",
            "mend": "did you mean baseline?"}),
        ({"settings": {"epoch": 3}}, IMAGES, {
            "where": "settings", "what": "no recipe field is called 'epoch'"}),
        ({"settings": {**TINY, "reduction": ("tsne:2",)}}, IMAGES, {
            "what": "24 points are too few for t-SNE with perplexity 30",
            "mend": "lower perplexity, or use reduction pca:2"}),
        *(({"random_state": bad}, IMAGES, {
            "what": f"random_state is {bad}", "expected": "a whole number from 0 to 2^32 - 1"})
          for bad in (-1, 2**32)),
    ],
)  # fmt: skip
def test_errors_of_a_fit_speak_of_parameters(
    change: dict[str, Any], images: NDArray[Any], fields: dict[str, str]
) -> None:
    with pytest.raises(ArgumentError) as caught:
        model().set_params(**change).fit(images)
    check_error(caught.value, **fields)


def test_an_error_is_a_value_error_of_one_line_that_can_be_pickled(
    fitted: AutoencoderClusterer,
) -> None:
    with pytest.raises(ValueError, match=r"^X: has 1 channels; ") as caught:
        fitted.predict(IMAGES[..., 0])
    assert isinstance(caught.value, InputError)
    line = "X: has 1 channels; expected 3, as in training; convert the images"
    assert str(caught.value) == str(pickle.loads(pickle.dumps(caught.value))) == line
    fields = {"what": "has latents of 5 values", "expected": "32, as transform gives them"}
    with refused(ArgumentError, where="X", **fields):
        fitted.inverse_transform(np.zeros((2, 5)))


def test_rows_of_another_length_are_refused() -> None:
    made = rows_model().fit(ROWS)
    with pytest.raises(ValueError, match=r"^X has 768 features, but AutoencoderClusterer is expec"):
        made.predict(ROWS.repeat(4, axis=1))
    with pytest.raises(ValueError, match=r"^Found array with dim 4"):
        made.predict(IMAGES)


def test_a_diverged_training_names_the_setting_and_leaves_nothing_fitted() -> None:
    failed = model(lr=1e20)
    with refused(
        DivergedError,
        what="training diverged: the loss is not finite in epoch 1, step 2",
        mend="lower the learning rate (1e+20) with lr",
    ):
        failed.fit(IMAGES)
    calls: list[Callable[[], object]] = [
        *(lambda use=use: use(IMAGES) for use in (failed.predict, failed.transform, failed.score)),
        lambda: failed.inverse_transform(np.zeros((1, 32))),
        lambda: failed.save("nowhere"),
    ]
    for call in calls:
        with pytest.raises(NotFittedError, match="instance is not fitted"):
            call()


# -- in the company of scikit-learn ------------------------------------------------------------


def test_score_is_the_indicator_of_the_checkpoint_curve(fitted: AutoencoderClusterer) -> None:
    others = two_kinds(40)[0][12:]
    views = inference.embed_views(fitted.network_, others, seed=0)
    wanted = indicate(fitted.transform(others), views, 2, seed=0).view_neighbours
    assert fitted.score(others) == pytest.approx(wanted)
    assert 0 < wanted < 1
    assert fitted.score(others, y=np.zeros(28)) == fitted.score(others)
    with pytest.raises(ValueError, match=r"^Found array with 1 sample"):
        fitted.score(others[:1])


def test_a_grid_search_picks_by_the_score() -> None:
    grid = {"settings": [{**TINY, "epochs": 1, "lr": lr} for lr in (1e-6, 1e-2, 1e20)]}
    search = GridSearchCV(model(), grid, cv=2, error_score=-1.0)
    with pytest.warns(FitFailedWarning, match="DivergedError"):
        search.fit(IMAGES)
    means = search.cv_results_["mean_test_score"]
    assert means[2] == -1
    assert search.best_index_ == int(means.argmax())
    halves = [IMAGES[:12], IMAGES[12:]]
    by_hand = [
        model().set_params(settings=grid["settings"][1]).fit(a).score(b)
        for a, b in (halves[::-1], halves)
    ]
    assert means[1] == pytest.approx(np.mean(by_hand))
    np.testing.assert_array_equal(search.predict(IMAGES), search.best_estimator_.labels_)


def test_a_pipeline_scales_clusters_and_draws_in_its_own_units() -> None:
    rows = IMAGES[..., 0].reshape(24, 64)
    small = model().set_params(image_shape=(8, 8))
    whole = make_pipeline(MinMaxScaler((0, 1), clip=True), small)
    assert score(whole.fit_predict(rows), KINDS).accuracy == 1.0
    drawn = whole.inverse_transform(whole.transform(rows))
    assert drawn.shape == (24, 64)
    assert drawn.min() >= rows.min() - 1e-3
    assert drawn.max() <= rows.max() + 1e-3
    assert np.ptp(drawn) > 10  # and not in [0, 1]
    names = whole.get_feature_names_out().tolist()
    assert names == [f"autoencoderclusterer{i}" for i in range(32)]
    assert whole.score(rows) == small.score(whole[0].transform(rows))


def test_tags_say_what_is_taken() -> None:
    images, rows = get_tags(model()), get_tags(rows_model())
    assert (images.input_tags.two_d_array, images.input_tags.three_d_array) == (False, True)
    assert (rows.input_tags.two_d_array, rows.input_tags.three_d_array) == (True, False)
    assert rows.transformer_tags.preserves_dtype == ["float32"]
    assert images.estimator_type == "clusterer"


def test_the_package_offers_the_estimator_and_its_version() -> None:
    assert aeclust.__all__ == ["AutoencoderClusterer", "__version__"]
    with pytest.raises(AttributeError, match="no attribute 'Clusterer'"):
        _ = aeclust.Clusterer
