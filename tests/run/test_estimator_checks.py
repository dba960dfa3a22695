"""scikit-learn's own checks of estimators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from aeclust import AutoencoderClusterer

# rows of whatever length a check thinks of, as images one pixel high
SETTINGS = {"channels": (4, 8), "image_size": 8, "epochs": 1, "batch_size": 16, "lr": 1e-2}
SETTINGS |= {"reduction": ("pca:2",), "clusterer": "kmeans"}
ESTIMATOR = AutoencoderClusterer(
    2, recipe="baseline", settings=SETTINGS, image_shape=(1, -1), value_range=(-200, 200),
    random_state=0,
)  # fmt: skip
ONE_CLUSTER = "it sets n_clusters to 1, and there is nothing to tell apart in one cluster"
INAPPLICABLE = {
    "check_dont_overwrite_parameters": ONE_CLUSTER,
    "check_fit2d_1feature": ONE_CLUSTER,
    "check_fit2d_predict1d": ONE_CLUSTER,
    "check_methods_subset_invariance": ONE_CLUSTER,
    "check_array_api_input": "it skips itself, unless scipy was started for other array libraries",
}
FAILURES = (AssertionError, ValueError, SkipTest)


class AtLeastTwo(AutoencoderClusterer):
    """The same with two clusters, whatever is set."""

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, 2 if name == "n_clusters" else value)


def checks_of(estimator: AutoencoderClusterer) -> Iterator[tuple[str, Callable[[], None]]]:
    """The name of every check, and what runs it."""
    for example, check in estimator_checks_generator(estimator):
        yield check.func.__name__, partial(check, example)


FEATURES = AutoencoderClusterer(2, recipe="features", random_state=0)
CHECKS = list(checks_of(ESTIMATOR))
OF_FEATURES = list(checks_of(FEATURES))
MADE_TWO = checks_of(AtLeastTwo(**ESTIMATOR.get_params()))


def test_the_checks_are_many_and_those_left_out_few() -> None:
    names = {name for name, _ in CHECKS}
    assert len(names) > 40
    assert INAPPLICABLE.keys() <= names


@pytest.mark.parametrize(
    "check",
    [
        *(pytest.param(c, id=name) for name, c in CHECKS if name not in INAPPLICABLE),
        *(
            pytest.param(c, id=f"{name}, of features")
            for name, c in OF_FEATURES
            if name not in INAPPLICABLE
        ),
        *(
            pytest.param(c, id=f"{name}, with two clusters")
            for name, c in MADE_TWO
            if INAPPLICABLE.get(name) == ONE_CLUSTER
        ),
    ],
)
def test_check(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize(
    "check", [pytest.param(c, id=name) for name, c in CHECKS if name in INAPPLICABLE]
)
def test_what_is_left_out_does_not_pass(check: Callable[[], None]) -> None:
    with pytest.raises(FAILURES):
        check()
