"""The built-in image sets: their form, their seeds, and how hard they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aeclust.images.demo import NAMES, DemoSet, classes, digits, load, scenes


@pytest.fixture(scope="module")
def train() -> DemoSet:
    return load("scenes")


@pytest.fixture(scope="module")
def val() -> DemoSet:
    return load("scenes-val")


def layout(demo: DemoSet) -> NDArray[Any]:
    """What lies where, blind to colour, brightness and contrast."""
    grey = demo.pixels.mean(3) / 255
    grey -= grey.mean((1, 2), keepdims=True)
    grey /= grey.std((1, 2), keepdims=True)
    across, down = np.abs(np.diff(grey, axis=2)), np.abs(np.diff(grey, axis=1))
    parts = (grey.mean(2), grey.std(2), across.mean(1), across.mean(2), down.mean(1), down.mean(2))
    return np.concatenate(parts, 1)


@pytest.mark.parametrize(("name", "n"), [("scenes", 2000), ("scenes-val", 500)])
def test_scenes_have_the_promised_form(name: str, n: int, request: pytest.FixtureRequest) -> None:
    demo: DemoSet = request.getfixturevalue({"scenes": "train", "scenes-val": "val"}[name])
    assert demo.pixels.shape == (n, 32, 32, 3)
    assert demo.pixels.dtype == np.uint8
    assert demo.labels.shape == (n,)
    assert demo.labels.dtype == np.int64
    assert demo.classes == ("object", "landscape")
    assert np.bincount(demo.labels).tolist() == [n // 2, n // 2]


def test_labels_are_shuffled(train: DemoSet) -> None:
    # independent fair draws change class half of the time; blocks 0 %, alternation 100 %
    assert np.mean(train.labels[1:] != train.labels[:-1]) == pytest.approx(0.5, abs=0.05)


def test_an_odd_count_gains_an_object() -> None:
    assert np.bincount(scenes(7, seed=3).labels).tolist() == [4, 3]


def test_the_seed_decides_every_byte() -> None:
    first, again, other = scenes(40, seed=5), scenes(40, seed=5), scenes(40, seed=6)
    assert first.pixels.tobytes() == again.pixels.tobytes()
    assert first.labels.tobytes() == again.labels.tobytes()
    assert first.pixels.tobytes() != other.pixels.tobytes()
    assert first.labels.tobytes() != other.labels.tobytes()


def test_load_uses_the_documented_seed(val: DemoSet) -> None:
    expected = scenes(500, seed=1)
    np.testing.assert_array_equal(val.pixels, expected.pixels)
    np.testing.assert_array_equal(val.labels, expected.labels)


def test_classes_are_the_labels_of_the_set(train: DemoSet, val: DemoSet) -> None:
    for name, demo in (("scenes", train), ("scenes-val", val), ("digits", load("digits"))):
        assert np.array_equal(classes(name), demo.labels)


def test_no_image_occurs_twice(train: DemoSet, val: DemoSet) -> None:
    images = {image.tobytes() for demo in (train, val) for image in demo.pixels}
    assert len(images) == 2500


def test_no_image_is_blank(train: DemoSet) -> None:
    assert train.pixels.std((1, 2, 3)).min() > 8


def test_colour_does_not_tell_the_classes(train: DemoSet) -> None:
    things, lands = (train.pixels[train.labels == k].mean((1, 2)) / 255 for k in (0, 1))
    assert np.abs(things.mean(0) - lands.mean(0)).max() < 0.04
    assert abs(things.mean() - lands.mean()) < 0.02


def test_pixels_mislead_where_layout_tells(train: DemoSet, val: DemoSet) -> None:
    pixels = train.pixels.reshape(len(train.pixels), -1) / np.float32(255)
    clusters = KMeans(2, n_init=2, random_state=0).fit_predict(pixels)
    agreement = np.mean(clusters == train.labels)
    assert 0.5 <= max(agreement, 1 - agreement) < 0.7
    oracle = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    oracle.fit(layout(train), train.labels)
    assert oracle.score(layout(val), val.labels) > 0.95


def test_digits_are_scikit_learns() -> None:
    demo, (flat, target) = digits(), load_digits(return_X_y=True)
    assert demo.pixels.shape == (1797, 8, 8, 1)
    assert demo.pixels.dtype == np.uint8
    assert demo.labels.dtype == np.int64
    expected = [round(value * 255 / 16) for value in flat.ravel().tolist()]
    assert demo.pixels.ravel().tolist() == expected
    assert demo.labels.tolist() == target.tolist()
    assert demo.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")
    np.testing.assert_array_equal(load("digits").pixels, demo.pixels)


def test_an_unknown_name_is_a_key_error() -> None:
    assert NAMES == ("scenes", "scenes-val", "digits")
    with pytest.raises(KeyError, match="scenes-test"):
        load("scenes-test")
