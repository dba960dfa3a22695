"""A trained network at work: nothing depends on the batches, and errors by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import noise_images, tiny

from aeclust.clusters.neighbours import viewed
from aeclust.network import inference
from aeclust.network.batches import generator, to_input, to_unit
from aeclust.network.inference import (
    BATCH,
    assign,
    decode,
    embed,
    embed_views,
    encode_frozen,
    mean_squared_error,
    random_views,
    reconstruct,
)
from aeclust.network.model import Autoencoder, build
from aeclust.network.views import random_view

CPU = torch.device("cpu")
N = 2 * BATCH + 38


@pytest.fixture(params=["baseline", "vae", "deep", "hybrid"])
def network(request: pytest.FixtureRequest) -> Autoencoder:
    """An untrained network, left in training mode as training leaves it."""
    return build(tiny(request.param), 3, seed=0).train()


def encoded(network: Autoencoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Latents as one batch, by the network's own words."""
    with torch.no_grad():
        return network.eval().encode(to_input(pixels, 8, CPU)).numpy()


def test_embed_equals_encode(network: Autoencoder) -> None:
    pixels = noise_images(20)
    latents = embed(network, pixels)
    assert not network.training
    assert latents.dtype == np.float32
    np.testing.assert_array_equal(latents, encoded(network, pixels))


def test_batches_do_not_matter(network: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise_images(N)
    latents = embed(network, pixels)
    for row in (0, 1, BATCH - 1, BATCH, 2 * BATCH, N - 1):
        alone = encoded(network, pixels[row : row + 1])[0]
        np.testing.assert_allclose(latents[row], alone, rtol=1e-4, atol=1e-5)
    whole = reconstruct(network, pixels)
    error = mean_squared_error(network.train(), pixels, latents)
    assert not network.training
    assert error == pytest.approx(whole[2].mean(), rel=1e-12)
    np.testing.assert_allclose(decode(network, latents), whole[1], atol=1e-5)
    monkeypatch.setattr(inference, "BATCH", 100)
    assert mean_squared_error(network, pixels, latents) == pytest.approx(error, rel=1e-6)
    parts = reconstruct(network, pixels)
    for i in range(3):
        np.testing.assert_allclose(parts[i], whole[i], rtol=1e-4, atol=1e-5)


def test_progress_comes_after_every_batch() -> None:
    done: list[int] = []
    network = build(tiny("baseline"), 3, seed=0)
    embed(network, noise_images(N), progress=done.append)
    assert done == [BATCH, 2 * BATCH, N]


class Watched:
    """Images of which it is noted how many are taken at a time."""

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        self.pixels, self.taken = pixels, list[int]()

    def __getitem__(self, key: Any) -> Any:
        self.taken.append(len(self.pixels[key]))
        return self.pixels[key]


def test_features_of_some_rows_are_made_batch_by_batch() -> None:
    pixels, done = noise_images(N), list[int]()
    rows = np.flatnonzero(np.arange(N) % 3)

    def see(images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    watched: Any = Watched(pixels)
    features = encode_frozen(see, watched, 8, rows=rows, progress=done.append)
    assert (watched.taken, done) == ([BATCH, len(rows) - BATCH], [BATCH, len(rows)])
    np.testing.assert_array_equal(features, encode_frozen(see, pixels, 8)[rows])
    wanted = pixels[rows].mean((1, 2)) / 127.5 - 1
    np.testing.assert_allclose(features, wanted, atol=1e-5)


def test_a_variational_latent_is_the_mean() -> None:
    network, pixels = build(tiny("vae"), 3, seed=0), noise_images(10)
    first = embed(network, pixels)
    assert network.log_variance is not None
    with torch.no_grad():
        network.log_variance.bias.add_(5)  # the variance is never drawn from
    np.testing.assert_array_equal(embed(network, pixels), first)


def test_views_are_drawn_by_seed_and_batch(network: Autoencoder) -> None:
    pixels = noise_images(BATCH + 9)
    views = embed_views(network, pixels, seed=5)
    assert not network.training
    assert views.dtype == np.float32
    with torch.no_grad():
        for step, part in enumerate((slice(0, BATCH), slice(BATCH, None))):
            view = random_view(to_input(pixels[part], 8, CPU), generator(CPU, 5, "views", step))
            np.testing.assert_array_equal(views[part], network.encode(view).numpy())
    assert embed_views(network, pixels, seed=5).tobytes() == views.tobytes()
    assert (embed_views(network, pixels, seed=6) != views).any(1).mean() > 0.95


def test_a_view_is_not_the_image_but_like_it() -> None:
    network = build(tiny("baseline"), 3, seed=0)
    # dark and light images, whose views differ less than they do
    shades = np.repeat([20, 235], 30)[:, np.newaxis, np.newaxis, np.newaxis]
    pixels = (shades + noise_images(60) // 16).astype(np.uint8)
    latents = embed(network, pixels)
    views = embed_views(network, pixels, seed=0)
    assert views.shape == latents.shape
    assert (views != latents).any(1).all()
    centres = np.stack([latents[:30].mean(0), latents[30:].mean(0)])
    nearest = np.linalg.norm(views[:, np.newaxis] - centres, axis=2).argmin(1)
    assert (nearest == np.repeat([0, 1], 30)).mean() > 0.8


def test_assignments_are_those_of_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(tiny("hybrid", k=3), 3, seed=0)
    latents = embed(network, noise_images(N))
    shares = assign(network.train(), latents)
    assert not network.training
    assert shares.dtype == np.float32
    assert shares.shape == (N, 3)
    with torch.no_grad():
        expected = network.assign(torch.from_numpy(latents)).numpy()
    np.testing.assert_allclose(shares, expected, atol=1e-5)
    assert np.ptp(shares, axis=0).min() > 1e-3
    monkeypatch.setattr(inference, "BATCH", 100)
    np.testing.assert_allclose(assign(network, latents), shares, atol=1e-5)


@pytest.mark.parametrize("most", [40, 10])
def test_random_views_are_of_the_rows_that_the_seed_picks(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aeclust.clusters.neighbours._VIEWED", most)
    network, pixels = build(tiny("hybrid", k=3), 3, seed=0), noise_images(40)
    rows, latents, clusters = random_views(network, pixels, seed=3, labelled=True)
    np.testing.assert_array_equal(rows, viewed(40, seed=3))
    assert len(rows) == most
    np.testing.assert_array_equal(latents, embed_views(network, pixels[rows], seed=3))
    assert clusters is not None
    np.testing.assert_array_equal(clusters, assign(network, latents).argmax(1))
    assert random_views(network, pixels, seed=3, labelled=False)[2] is None


def test_reconstructions_and_errors_by_hand(network: Autoencoder) -> None:
    pixels = noise_images(7)
    originals, copies, errors = reconstruct(network, pixels)
    assert not network.training
    assert originals.dtype == copies.dtype == np.float32
    assert errors.dtype == np.float64
    np.testing.assert_allclose(originals, pixels / 255, atol=1e-6)
    with torch.no_grad():
        output = network.decode(network.encode(to_input(pixels, 8, CPU))).double().numpy()
    drawn = output.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(copies, (drawn + 1) / 2, atol=1e-6)
    expected = ((drawn - (pixels / 127.5 - 1)) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(errors, expected, rtol=1e-5)


def test_a_network_that_draws_grey_has_the_error_of_the_images() -> None:
    network = build(tiny("baseline"), 3, seed=0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    # tanh(0) is mid-grey; black and white are both 1 away from it
    pixels = np.stack([np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 255, np.uint8)])
    _, copies, errors = reconstruct(network, pixels)
    np.testing.assert_array_equal(copies, np.full((2, 8, 8, 3), 0.5))
    assert errors.tolist() == [1.0, 1.0]
    latents = embed(network, pixels)
    assert mean_squared_error(network, pixels, latents) == 1.0


def test_floats_and_bytes_are_the_same_images(network: Autoencoder) -> None:
    pixels = noise_images(5)
    floats = (pixels / 255).astype(np.float32)
    np.testing.assert_allclose(embed(network, floats), embed(network, pixels), rtol=1e-4, atol=1e-5)


def test_other_sizes_are_resized() -> None:
    network, large = build(tiny("baseline"), 3, seed=0), noise_images(3, 12)
    resized = to_unit(to_input(large, 8, CPU))
    first, second = reconstruct(network, large), reconstruct(network, resized)
    for i in range(3):
        np.testing.assert_allclose(first[i], second[i], rtol=1e-4, atol=1e-5)


def test_nothing_asks_for_gradients_or_changes_the_weights(network: Autoencoder) -> None:
    before = {name: value.clone() for name, value in network.state_dict().items()}
    pixels = noise_images(9)
    latents = embed(network, pixels)
    reconstruct(network, pixels)
    mean_squared_error(network, pixels, latents)
    decode(network, latents)
    embed_views(network, pixels, seed=0)
    if network.head is not None:
        assign(network, latents)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in network.parameters())
