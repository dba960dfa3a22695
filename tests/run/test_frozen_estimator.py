"""The estimator with a frozen encoder: as the commands do it, on any images, in any process."""

from __future__ import annotations

import copy
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from encoders import SETTINGS, WIDTH, colour_encoder, counted, features_of
from sklearn.base import clone
from support import Cli, check_error, make_images, noise_images

from aeclust import AutoencoderClusterer, artifact
from aeclust.errors import ArgumentError

IMAGES, _ = make_images(60, seed=1)
OTHERS, _ = make_images(30, seed=4)


def model(file: Path | str, k: int = 2, **settings: Any) -> AutoencoderClusterer:
    given = {"encoder": str(file), **SETTINGS, **settings}
    return AutoencoderClusterer(k, recipe="pretrained", settings=given, random_state=0)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return colour_encoder(tmp_path_factory.mktemp("encoder") / "colours.onnx")


@pytest.fixture(scope="module")
def fitted(file: Path) -> AutoencoderClusterer:
    return model(file).fit(IMAGES)


def test_labels_and_confidence_are_those_of_the_commands(
    fitted: AutoencoderClusterer, frozen_place: Path
) -> None:
    labels = artifact.read(frozen_place / "aeclust-run" / "labels.h5").arrays
    assert np.array_equal(fitted.labels_, labels["labels"])
    assert fitted.confidence_.tobytes() == labels["confidence"].tobytes()


def test_every_method(fitted: AutoencoderClusterer) -> None:
    wanted, of_all = features_of(OTHERS), features_of(IMAGES)
    latents = fitted.transform(OTHERS)
    assert np.allclose(latents, (wanted - of_all.mean(0)) / of_all.std(0), atol=1e-4)
    assert fitted.inverse_transform(latents).shape == (30, 8, 8, 3)
    assert set(fitted.predict(OTHERS).tolist()) == {0, 1}
    assert np.array_equal(fitted.predict(IMAGES), fitted.labels_)
    assert 0 <= fitted.score(OTHERS) <= 1
    assert len(fitted.get_feature_names_out()) == WIDTH
    assert fitted.recipe_.encoder == "colours.onnx"
    assert fitted.recipe_.latent_size == WIDTH
    assert fitted.view_agreement_ is not None


def test_images_are_seen_once(file: Path) -> None:
    with counted() as seen:
        model(file).fit(IMAGES)
    assert seen == [60, 60]  # and a view of each


def test_rows_are_images_as_well(file: Path, fitted: AutoencoderClusterer) -> None:
    rows = model(file).set_params(image_shape=(8, 8, 3), value_range=(0, 255))
    rows.fit(IMAGES.reshape(60, -1))
    assert np.array_equal(rows.labels_, fitted.labels_)
    assert rows.inverse_transform(rows.transform(OTHERS.reshape(30, -1))).shape == (30, 192)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_answers_alike(fitted: AutoencoderClusterer, copied: Any) -> None:
    other = copied(fitted)
    assert other.transform(OTHERS).tobytes() == fitted.transform(OTHERS).tobytes()
    assert clone(fitted).get_params() == fitted.get_params()


def test_saved_and_loaded_it_answers_alike(
    fitted: AutoencoderClusterer, tmp_path: Path, cli: Cli
) -> None:
    fitted.save("run")
    loaded = AutoencoderClusterer.load("run")
    assert loaded.transform(OTHERS).tobytes() == fitted.transform(OTHERS).tobytes()
    assert np.array_equal(loaded.predict(OTHERS), fitted.predict(OTHERS))
    # and what it was fitted with is known: it can be fitted again
    assert np.array_equal(loaded.fit(IMAGES).labels_, fitted.labels_)
    np.save("others.npy", OTHERS)
    assert cli("predict", "others.npy", "--run", "run").code == 0


def test_a_run_of_the_commands_is_loaded(fitted: AutoencoderClusterer, frozen_place: Path) -> None:
    loaded = AutoencoderClusterer.load("aeclust-run")
    assert loaded.transform(OTHERS).tobytes() == fitted.transform(OTHERS).tobytes()


def test_a_file_that_is_gone_is_missed_when_it_is_needed(
    fitted: AutoencoderClusterer, file: Path, tmp_path: Path
) -> None:
    here = Path(shutil.copy(file, tmp_path))
    made = model(here).fit(IMAGES)
    made.save(tmp_path / "run")
    here.unlink()
    assert len(made.predict(OTHERS)) == 30  # it is loaded already
    loaded = AutoencoderClusterer.load(tmp_path / "run")
    assert np.array_equal(loaded.labels_, made.labels_)
    with pytest.raises(ArgumentError) as caught:
        loaded.predict(OTHERS)
    check_error(caught.value, what="is not there", where=str(here))


@pytest.mark.parametrize(("n", "k"), [(2, 2), (5, 5), (9, 2), (9, "auto")])
@pytest.mark.parametrize(("side", "channels"), [(8, 3), (9, 1), (300, 3), (64, 1)])
def test_few_images_of_any_size_are_clustered(
    file: Path, n: int, k: Any, side: int, channels: int
) -> None:
    images = noise_images(n, side, channels)
    # as they come: nothing is stated of sizes
    own = {"encoder": str(file), "channels": (4, 8), "epochs": 1}
    made = AutoencoderClusterer(k, recipe="pretrained", settings=own, random_state=0).fit(images)
    assert len(made.labels_) == n
    assert len(set(made.labels_.tolist())) == (k if k != "auto" else made.n_clusters_)
    assert made.recipe_.drawn_size <= max(side + 3, 32)
    drawn = made.inverse_transform(made.transform(images))
    assert drawn.shape == (n, *(made.recipe_.drawn_size,) * 2, channels)
    assert np.isfinite(made.confidence_).all()


@pytest.mark.parametrize(
    ("images", "fields"),
    [
        (np.full((9, 8, 8, 3), 7, np.uint8), {"what": "all 9 images are the same", "where": "X"}),
        (IMAGES[:1], None),
        (IMAGES[:2], {"where": "X"}),
    ],
    ids=["constant", "one", "fewer than clusters"],
)
def test_images_that_are_none_are_one_sentence(
    file: Path, images: Any, fields: dict[str, str] | None
) -> None:
    with pytest.raises(ValueError, match=r".+") as caught:
        model(file, 3).fit(images)
    if fields is not None:
        check_error(caught.value, **fields)


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        ({"encoder": "gone.onnx"}, {"what": "is not there"}),
        ({"latent_size": 5}, {"what": "latent_size is 5", "mend": "leave out latent_size"}),
        (
            {"encoder_weights": "a.safetensors"},
            {"where": "encoder_weights", "what": "is given with encoder colours.onnx"},
        ),
        (
            {"encoder_weights": 3},
            {"where": "settings", "what": "encoder_weights is 3",
             "expected": "the path of a .safetensors file"},
        ),
        ({"encoder": 3}, {"what": "encoder is 3", "expected": "a text", "where": "settings"}),
        ({"contrast": 1.0}, {"where": "settings", "expected": "0 with network frozen"}),
    ],
)  # fmt: skip
def test_settings_that_do_not_fit_are_one_sentence(
    file: Path, settings: dict[str, Any], fields: dict[str, str]
) -> None:
    with pytest.raises(ArgumentError) as caught:
        model(file, **settings).fit(IMAGES)
    check_error(caught.value, **fields)


def test_weights_without_an_encoder_are_refused() -> None:
    with pytest.raises(ArgumentError) as caught:
        AutoencoderClusterer(settings={"encoder_weights": "a.safetensors"}).fit(IMAGES)
    check_error(
        caught.value, where="encoder_weights", what="is given with recipe hybrid",
        mend="leave it out, or change encoder",
    )  # fmt: skip
