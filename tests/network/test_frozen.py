"""Networks with a frozen encoder: standardised features, a decoder that learns, and exports."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from encoders import WIDTH, features_of
from numpy.typing import NDArray
from support import make_images, refused
from torch import Tensor

from aeclust.errors import InputError
from aeclust.network import inference
from aeclust.network.interchange import load_safetensors, to_onnx, to_safetensors
from aeclust.network.model import Autoencoder, build, state_arrays
from aeclust.network.pretrained import load_encoder
from aeclust.network.training import Moment, Snapshot, check_batches, train
from aeclust.recipe import named

CPU = torch.device("cpu")
IMAGES, _ = make_images(60, seed=1)
FEATURES = features_of(IMAGES).astype(np.float32)
RECIPE = named("pretrained").override(
    {
        **{"encoder": "a.onnx", "latent_size": WIDTH, "image_size": 8, "drawn_size": 8},
        **{"channels": (4, 8), "epochs": 3, "batch_size": 16, "precision": "float32"},
    }
)
DIGEST = "ab" * 32


def see(images: Tensor) -> Tensor:
    """The mean colour times a matrix, see tests/encoders.py."""
    pixels = ((images + 1) * 127.5).round().permute(0, 2, 3, 1).numpy()
    return torch.from_numpy(features_of(pixels.astype(np.uint8)).astype(np.float32))


def fit(**more: Any) -> Autoencoder:
    return train(IMAGES, RECIPE, seed=3, device=CPU, features=FEATURES, **more)


@pytest.fixture(scope="module")
def network() -> Autoencoder:
    made = fit()
    made.see = see
    return made


# -- latents --------------------------------------------------------------------------------------


def test_latents_of_the_training_images_have_mean_0_and_variance_1(network: Autoencoder) -> None:
    latents = inference.embed(network, FEATURES).astype(np.float64)
    assert np.allclose(latents.mean(0), 0, atol=1e-5)
    assert np.allclose(latents.std(0), 1, atol=1e-5)
    assert np.allclose(network.centre.numpy(), FEATURES.astype(np.float64).mean(0), rtol=1e-6)


def test_a_value_that_never_differs_stays_finite() -> None:
    network = build(RECIPE, 3, seed=0)
    flat = FEATURES.copy()
    flat[:, 2] = 5
    network.standardise(flat)
    latents = inference.embed(network, flat)
    assert np.isfinite(latents).all()
    assert (latents[:, 2] == 0).all()


def test_features_stand_for_the_images(network: Autoencoder) -> None:
    of_images, of_features = (inference.embed(network, each) for each in (IMAGES, FEATURES))
    assert np.allclose(of_images, of_features, atol=1e-4)
    assert of_images.dtype == of_features.dtype == np.float32
    drawn = [inference.reconstruct(network, IMAGES[:5], x) for x in (None, of_images[:5])]
    assert np.allclose(drawn[0][1], drawn[1][1], atol=1e-5)
    assert np.allclose(drawn[0][2], drawn[1][2], atol=1e-6)


def test_images_are_shown_as_the_encoder_sees_them_above_what_is_drawn(
    network: Autoencoder,
) -> None:
    large = IMAGES[:3].repeat(2, 1).repeat(2, 2)  # every pixel four times, of the same mean
    originals, drawn, errors = inference.reconstruct(network, large)
    side = min(RECIPE.image_size, large.shape[1])
    assert (originals.shape, drawn.shape) == ((3, side, side, 3), (3, 8, 8, 3))
    # the error is that of the size that is drawn
    small = large.reshape(3, 8, -1, 8, large.shape[1] // 8, 3).mean((2, 4)) / 255
    by_hand = ((2 * (drawn - small)) ** 2).mean((1, 2, 3))
    assert np.allclose(errors, by_hand, rtol=0.05)


def test_without_an_encoder_features_alone_are_taken() -> None:
    network = build(RECIPE, 3, seed=0)
    assert inference.embed(network, FEATURES).shape == (60, WIDTH)
    with pytest.raises(ValueError, match="no frozen encoder is there to see images"):
        inference.embed(network, IMAGES)


def test_features_are_made_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = inference.encode_frozen(see, IMAGES, 8)
    assert np.allclose(whole, FEATURES, rtol=1e-5)
    monkeypatch.setattr(inference, "BATCH", 7)
    told: list[int] = []
    parts = inference.encode_frozen(see, IMAGES, 8, progress=told.append)
    assert parts.tobytes() == whole.tobytes()
    assert told == [*range(7, 60, 7), 60]


# -- weights and training --------------------------------------------------------------------------


def test_the_weights_are_those_of_the_decoder_and_what_standardises(network: Autoencoder) -> None:
    names = set(state_arrays(network))
    assert {name.partition(".")[0] for name in names} == {"centre", "scale", "expand", "decoder"}
    assert all(value.requires_grad for value in network.parameters())


def test_the_decoder_learns_to_draw_the_images(network: Autoencoder) -> None:
    latents = inference.embed(network, FEATURES)
    untrained = build(RECIPE, 3, seed=3)
    errors = [
        inference.mean_squared_error(each, IMAGES, latents)
        for each in (
            untrained,
            train(IMAGES, RECIPE.override({"epochs": 30}), seed=3, device=CPU, features=FEATURES),
        )
    ]
    # of the two kinds of images all is told by their colour but the noise within one
    noise = float(np.square((IMAGES - IMAGES.mean((1, 2), keepdims=True)) / 127.5).mean())
    assert errors[1] < errors[0] / 4
    assert errors[1] < 3 * noise


@pytest.mark.parametrize("after", [0, 1, 4, 6, 8])
def test_training_that_is_resumed_ends_with_the_same_bytes(after: int) -> None:
    kept: list[Snapshot] = []

    def keep(moment: Moment) -> None:
        if moment.epoch * moment.steps + moment.step == after:
            kept.append(moment.snapshot())

    whole = fit(observe=keep)
    resumed = fit(resume=kept[0])
    assert functools.reduce(
        lambda same, name: (
            same and state_arrays(whole)[name].tobytes() == state_arrays(resumed)[name].tobytes()
        ),
        state_arrays(whole),
        True,
    )


def test_learning_on_keeps_what_latents_mean(network: Autoencoder) -> None:
    other = train(
        IMAGES, RECIPE, seed=4, device=CPU, features=FEATURES + 9, initial=state_arrays(network)
    )
    assert torch.equal(other.centre, network.centre)
    assert torch.equal(other.scale, network.scale)


def test_larger_images_are_drawn_small() -> None:
    large = np.repeat(np.repeat(IMAGES, 3, axis=1), 3, axis=2)
    recipe = RECIPE.override({"image_size": 24})
    made = train(large, recipe, seed=3, device=CPU, features=FEATURES)
    assert inference.decode(made, inference.embed(made, FEATURES)[:2]).shape == (2, 8, 8, 3)
    # shrunk three times, they are what they were
    same = fit()
    for name, value in state_arrays(made).items():
        assert np.allclose(value, state_arrays(same)[name], atol=2e-2), name


def test_one_image_is_too_few() -> None:
    with refused(InputError, what="1 image to train on"):
        check_batches(1, RECIPE)
    check_batches(2, RECIPE)


# -- files for others ------------------------------------------------------------------------------


def test_safetensors_hold_the_decoder_and_no_encoder(network: Autoencoder, tmp_path: Path) -> None:
    file = tmp_path / "net.safetensors"
    file.write_bytes(to_safetensors(network, RECIPE, epoch=3, digest=DIGEST))
    read = load_safetensors(file)
    assert read.see is None
    assert read.frozen
    latents = inference.embed(network, FEATURES)
    assert inference.embed(read, FEATURES).tobytes() == latents.tobytes()
    drawn = [inference.decode(each, latents) for each in (read, network)]
    assert np.allclose(drawn[0], drawn[1], atol=1e-6)


@pytest.mark.parametrize("channels", [1])  # which are repeated for an encoder of colour
def test_onnx_holds_efficientnet_lite0_and_what_standardises(channels: int, tmp_path: Path) -> None:
    encoder = load_encoder("efficientnet-lite0", device=CPU, image_size=32)
    rng = np.random.default_rng(0)
    images: NDArray[np.uint8] = rng.integers(0, 256, (7, 32, 32, channels), np.uint8)
    recipe = named("pretrained").override(
        {"latent_size": encoder.width, "image_size": 32, "drawn_size": 8, "channels": (4, 8)}
    )
    network = build(recipe, channels, seed=0)
    network.see = encoder
    network.standardise(inference.encode_frozen(encoder, images, 32))
    wanted = inference.embed(network, images)
    assert np.allclose(wanted.std(0), 1, atol=1e-3)
    file = tmp_path / "own.onnx"
    file.write_bytes(to_onnx(network, recipe, epoch=1, digest=DIGEST, see=encoder.plain()))
    session = onnxruntime.InferenceSession(file.read_bytes(), providers=["CPUExecutionProvider"])
    for n in (1, 7):  # any number of images
        (found,) = session.run(None, {"images": images[:n]})
        assert np.abs(found - wanted[:n]).max() < 1e-3
    # it is an encoder in its own right, whose features are the latents
    again = load_encoder("own.onnx", file=file, device=CPU)
    assert (again.width, again.image_size, again.channels) == (320, 32, channels)
    batch = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    assert np.abs(again(batch).numpy() - wanted).max() < 1e-3
