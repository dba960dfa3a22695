"""A trained network at work: nothing depends on the batches, and errors by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import noise_images, tiny

from aeclust.clusters.neighbours import viewed
from aeclust.network import inference
from aeclust.network.batches import generator, to_input
from aeclust.network.inference import (
    BATCH,
    assign,
    decode,
    embed,
    embed_views,
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


def one_by_one(network: Autoencoder, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Latents without batches."""
    network.eval()
    with torch.no_grad():
        rows = [network.encode(to_input(pixels[i : i + 1], 8, CPU)) for i in range(len(pixels))]
    return torch.cat(rows).numpy()


def test_embed_equals_encode(network: Autoencoder) -> None:
    pixels = noise_images(20)
    found = embed(network, pixels)
    assert not network.training
    assert found.dtype == np.float32
    with torch.no_grad():
        wanted = network.encode(to_input(pixels, 8, CPU)).numpy()
    np.testing.assert_array_equal(found, wanted)


def test_batches_do_not_matter(network: Autoencoder, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise_images(N)
    latents = embed(network, pixels)
    chosen = [0, 1, BATCH - 1, BATCH, 2 * BATCH, N - 1]
    np.testing.assert_allclose(
        latents[chosen], one_by_one(network, pixels[chosen]), rtol=1e-4, atol=1e-5
    )
    whole = reconstruct(network, pixels)
    error = mean_squared_error(network, pixels, latents)
    monkeypatch.setattr(inference, "BATCH", 100)
    parts = reconstruct(network, pixels)
    for i in range(3):
        assert len(parts[i]) == N
        np.testing.assert_allclose(whole[i], parts[i], rtol=1e-4, atol=1e-5)
    again = mean_squared_error(network, pixels, latents)
    assert error == pytest.approx(again, rel=1e-6)


def test_progress_is_told_after_every_batch() -> None:
    done: list[int] = []
    network = build(tiny("baseline"), 3, seed=0)
    embed(network, noise_images(N), progress=done.append)
    assert done == [BATCH, 2 * BATCH, N]


def test_a_variational_latent_is_the_mean() -> None:
    network = build(tiny("vae"), 3, seed=0)
    pixels = noise_images(10)
    first = embed(network, pixels)
    assert network.mean is not None
    assert network.log_variance is not None
    with torch.no_grad():
        features = network.encoder(to_input(pixels, 8, CPU)).flatten(1)
        np.testing.assert_array_equal(first, network.mean(features).numpy())
        # the variance is never drawn from
        network.log_variance.bias.add_(5)
    np.testing.assert_array_equal(embed(network, pixels), first)


def test_views_are_drawn_by_seed_and_batch(network: Autoencoder) -> None:
    pixels = noise_images(BATCH + 9)
    found = embed_views(network, pixels, seed=5)
    assert not network.training
    assert found.dtype == np.float32
    with torch.no_grad():
        wanted = [
            network.encode(
                random_view(
                    to_input(pixels[part], 8, CPU),
                    generator(CPU, 5, "views", step),
                )
            )
            for step, part in enumerate((slice(0, BATCH), slice(BATCH, None)))
        ]
    np.testing.assert_array_equal(found, torch.cat(wanted).numpy())
    again = embed_views(network, pixels, seed=5)
    assert again.tobytes() == found.tobytes()
    other = embed_views(network, pixels, seed=6)
    assert (other != found).any(1).mean() > 0.95


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


def labelling() -> Autoencoder:
    """A network with a head of three clusters."""
    return build(tiny("hybrid", k=3), 3, seed=0)


def test_assignments_are_the_softmax_of_the_head() -> None:
    network = labelling()
    pixels = noise_images(20)
    latents = embed(network, pixels)
    network.train()
    found = assign(network, latents)
    assert not network.training
    assert found.dtype == np.float32
    assert found.shape == (20, 3)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-6)
    # what the forward pass says
    with torch.no_grad():
        logits = network(to_input(pixels, 8, CPU)).logits
    assert logits is not None
    powers = np.exp(logits.double().numpy())
    np.testing.assert_allclose(found, powers / powers.sum(1, keepdims=True), atol=1e-4)
    assert np.ptp(found, axis=0).min() > 1e-3


def test_clusters_of_views_are_those_of_their_latents(monkeypatch: pytest.MonkeyPatch) -> None:
    network, pixels = labelling(), noise_images(40)
    again = partial(random_views, network, seed=3)
    rows, views, found = again(pixels, labelled=True)
    assert rows.tolist() == list(range(40))
    wanted = embed_views(network, pixels, seed=3)
    np.testing.assert_array_equal(views, wanted)
    assert found is not None
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, assign(network, views).argmax(1))
    assert len(set(found.tolist())) > 1
    assert again(pixels, labelled=False)[2] is None
    # of many images, of those that the seed picks
    monkeypatch.setattr("aeclust.clusters.neighbours._VIEWED", 10)
    rows, views, some = again(pixels, labelled=True)
    np.testing.assert_array_equal(rows, viewed(40, seed=3))
    assert len(rows) == len(views) == 10
    wanted = embed_views(network, pixels[rows], seed=3)
    np.testing.assert_array_equal(views, wanted)
    assert some is not None
    np.testing.assert_array_equal(some, assign(network, views).argmax(1))


def test_batches_do_not_matter_to_assignments(monkeypatch: pytest.MonkeyPatch) -> None:
    network = labelling()
    latents = embed(network, noise_images(N))
    whole = assign(network, latents)
    assert len(whole) == N
    monkeypatch.setattr(inference, "BATCH", 100)
    np.testing.assert_allclose(assign(network, latents), whole, atol=1e-5)


@pytest.mark.parametrize("name", ["baseline", "hybrid"])
def test_a_network_without_a_head_assigns_nothing(name: str) -> None:
    network = build(tiny(name, label_epochs=0), 3, seed=0)
    latents = embed(network, noise_images(4))
    with pytest.raises(ValueError, match=r"^a network without self-labelling assigns no clusters$"):
        assign(network, latents)


def test_reconstructions_and_errors_by_hand(network: Autoencoder) -> None:
    pixels = noise_images(7)
    originals, copies, errors = reconstruct(network, pixels)
    assert not network.training
    assert originals.dtype == copies.dtype == np.float32
    assert errors.dtype == np.float64
    assert originals.shape == copies.shape == (7, 8, 8, 3)
    np.testing.assert_allclose(originals, pixels / 255, atol=1e-6)
    with torch.no_grad():
        output = network.decode(network.encode(to_input(pixels, 8, CPU))).double().numpy()
    np.testing.assert_allclose(copies, (output.transpose(0, 2, 3, 1) + 1) / 2, atol=1e-6)
    for image, drawn, error in zip(pixels, output, errors, strict=True):
        total = 0.0
        for row in range(8):
            for column in range(8):
                for channel in range(3):
                    value = image[row, column, channel] / 127.5 - 1
                    total += (float(drawn[channel, row, column]) - value) ** 2
        assert error == pytest.approx(total / (8 * 8 * 3), rel=1e-5)


def test_the_mean_squared_error_is_the_mean_of_the_errors(network: Autoencoder) -> None:
    pixels = noise_images(N)
    errors = reconstruct(network, pixels)[2]
    latents = embed(network, pixels)
    network.train()
    error = mean_squared_error(network, pixels, latents)
    assert not network.training
    assert error == pytest.approx(errors.mean(), rel=1e-12)


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
    np.testing.assert_allclose(
        embed(network, floats),
        embed(network, pixels),
        rtol=1e-4,
        atol=1e-5,
    )


def test_other_sizes_are_resized() -> None:
    network = build(tiny("baseline"), 3, seed=0)
    originals, copies, errors = reconstruct(network, noise_images(3, 12))
    assert originals.shape == copies.shape == (3, 8, 8, 3)
    small = to_input(noise_images(3, 12), 8, CPU)
    with torch.no_grad():
        gaps = (network(small).reconstruction - small).double().square().flatten(1).mean(1)
    np.testing.assert_allclose(errors, gaps.numpy(), rtol=1e-6)


def test_decode_draws_what_reconstruct_draws(network: Autoencoder) -> None:
    pixels = noise_images(N)
    latents = embed(network, pixels)
    network.train()
    drawn = decode(network, latents)
    assert not network.training
    assert drawn.dtype == np.float32
    copies = reconstruct(network, pixels)[1]
    np.testing.assert_allclose(drawn, copies, atol=1e-5)


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
