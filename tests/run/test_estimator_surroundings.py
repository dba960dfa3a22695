"""Nothing that goes on around an estimator changes what it computes, nor is it changed."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support import make_images
from threadpoolctl import threadpool_info

from aeclust import AutoencoderClusterer
from aeclust.clusters.hush import hushed
from aeclust.network.model import build, state_arrays
from aeclust.recipe import named

IMAGES = make_images(24, seed=1)[0]
OTHERS = 255 - IMAGES[::-1]
SHAPE: dict[str, object] = {"channels": (4, 8), "image_size": 8, "epochs": 2, "batch_size": 8}
# every optimiser and network, noise of a variational code, two phases, and heads
MODELS = {
    "hybrid": SHAPE | {"label_epochs": 1},
    "vae": SHAPE | {"lr": 1e-3, "reduction": ("pca:2",), "clusterer": "kmeans"},
    "baseline": SHAPE | {"optimizer": "adam", "lr": 1e-3, "reduction": ("pca:2",)},
    "pretrained": SHAPE | {"image_size": 32, "drawn_size": 8},
    "deep": SHAPE | {"optimizer": "adamw", "lr": 1e-3, "reduction": ("pca:2",)},
}


def fitted(recipe: str) -> AutoencoderClusterer:
    settings = MODELS[recipe]
    return AutoencoderClusterer(2, recipe=recipe, settings=settings, random_state=0).fit(IMAGES)


def answers(model: AutoencoderClusterer) -> list[bytes]:
    """All that an estimator has learnt and computes of images, as bytes."""
    latents = model.transform(IMAGES)
    assert latents.dtype == np.float32
    found = [model.labels_, model.confidence_, latents, model.inverse_transform(latents)]
    found += [model.predict(IMAGES), model.predict(OTHERS), model.transform(OTHERS)]
    found += [np.array(model.score(IMAGES)), *state_arrays(model.network_).values()]
    return [values.tobytes() for values in found]


@pytest.fixture(scope="module")
def plain() -> dict[str, list[bytes]]:
    """What it answers where nothing was set."""
    return {recipe: answers(fitted(recipe)) for recipe in MODELS}


# -- settings of a caller ----------------------------------------------------------------------


@contextmanager
def changed(get: Callable[[], Any], put: Callable[[Any], object], value: object) -> Iterator[None]:
    before = get()
    put(value)
    try:
        yield
        assert get() == value, "the caller's own setting is there afterwards"
    finally:
        put(before)


def dtype(value: torch.dtype) -> AbstractContextManager[object]:
    return changed(torch.get_default_dtype, torch.set_default_dtype, value)


def gradients_off() -> AbstractContextManager[object]:
    return changed(torch.is_grad_enabled, torch.set_grad_enabled, False)


def elsewhere() -> AbstractContextManager[object]:
    # None again afterwards, because a device that is set takes its time with everything
    return changed(
        torch.get_default_device,
        lambda device: torch.set_default_device(device if device.type == "meta" else None),
        torch.device("meta"),
    )


SETTINGS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "double precision": lambda: dtype(torch.float64),
    "half precision": lambda: dtype(torch.bfloat16),
    "no gradients": torch.no_grad,
    "gradients off": gradients_off,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "another device": elsewhere,
    "another device for a while": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("recipe", MODELS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_settings_of_a_caller_do_not_reach_in(
    setting: str, recipe: str, plain: dict[str, list[bytes]], tmp_path: Path
) -> None:
    with SETTINGS[setting]():
        model = fitted(recipe)
        assert answers(model) == plain[recipe]
        model.save(tmp_path / "run")
        assert answers(AutoencoderClusterer.load(tmp_path / "run")) == plain[recipe]
    assert answers(model) == plain[recipe], "nor does the model keep them"


# -- threads -----------------------------------------------------------------------------------


def test_a_thread_pool_gives_what_one_thread_gives(plain: dict[str, list[bytes]]) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda recipe: answers(fitted(recipe)), [*MODELS, *MODELS]))
    assert found == [plain[recipe] for recipe in [*MODELS, *MODELS]]


def test_what_scikit_learn_warns_of_is_quiet_in_all_threads_and_loud_again_afterwards() -> None:
    before, entered = list(warnings.filters), threading.Barrier(2, timeout=30)

    def say() -> None:
        warnings.warn("Graph is not fully connected, ...", UserWarning, stacklevel=1)

    def first() -> None:
        with hushed():
            entered.wait()  # both are within it
        entered.wait()  # this one is out, the other is not

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(first)
        with hushed():
            entered.wait()
            say()
            entered.wait()
            say()
        done.result()
    assert list(warnings.filters) == before
    with pytest.raises(UserWarning):
        say()


def test_networks_leave_the_random_numbers_of_other_threads_alone() -> None:
    """What another thread draws meanwhile is what it would draw without us."""
    recipe = named("hybrid").override({"channels": (4, 8), "image_size": 8, "k": 2})

    def draw(count: int) -> list[float]:
        return [float(torch.rand(())) for _ in range(count)]

    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(1) as pool:
        torch.manual_seed(1)
        wanted = draw(20_000)
        torch.manual_seed(1)
        drawing = pool.submit(draw, 20_000)
        networks = 0
        while not drawing.done():
            build(recipe, 3, seed=networks)
            networks += 1
        assert networks > 3, "both were at work together"
        assert drawing.result() == wanted


def test_threads_and_random_numbers_of_the_process_stay_as_they_are() -> None:
    with torch.random.fork_rng(devices=[]):
        np_before, torch_before = np.random.get_state(legacy=False), torch.get_rng_state()  # noqa: NPY002
        threads, libraries = torch.get_num_threads(), threadpool_info()
        answers(fitted("hybrid"))
        assert torch.get_num_threads() == threads
        assert [library for library in threadpool_info() if library in libraries] == libraries
        assert torch.equal(torch.get_rng_state(), torch_before)
        assert str(np.random.get_state(legacy=False)) == str(np_before)  # noqa: NPY002
