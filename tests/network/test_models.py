"""The networks: their shapes, seeds, latents and clusters, and weights that do not fit."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from support import normal, refused, tiny
from torch import Tensor, nn
from torch.nn import functional as F

from aeclust.network.model import Autoencoder, build, load_state, state_arrays
from aeclust.recipe import named

NAMES = ("baseline", "vae", "deep", "hybrid")

# convolutions are (out, in, height, width), transposed ones (in, out, height, width); of the hybrid
# a quarter of the pixels, with four times the channels, is all that convolutions see
SHAPES = {
    "baseline": """encoder.0 64 3 3 3, encoder.3 128 64 3 3, encoder.6 256 128 3 3,
        decoder.0 256 128 5 5, decoder.2 128 64 9 9, decoder.4 64 3 17 17""",
    "deep": """encoder.0 64 3 3 3, encoder.4 128 64 3 3, encoder.8 256 128 3 3,
        encoder.12 512 256 3 3, encoder.16 1024 512 3 3, mean 128 1024, log_variance 128 1024,
        expand 1024 128, decoder.0 1024 512 2 2, decoder.3 512 256 3 3, decoder.6 256 128 5 5,
        decoder.9 128 64 9 9, decoder.12 64 3 17 17""",
    "hybrid": """encoder.1 64 12 3 3, encoder.4.block.0 64 64 3 3, encoder.5 128 64 3 3,
        encoder.8.block.0 128 128 3 3, encoder.9 256 128 3 3, encoder.12.block.0 256 256 3 3,
        expand 4096 256, projector.0 512 256, projector.3 128 512, head 2 256,
        decoder.2 256 128 4 4, decoder.5 128 64 4 4, decoder.8 12 64 3 3""",
}
SHAPES["vae"] = SHAPES["baseline"] + ", mean 128 4096, log_variance 128 4096, expand 4096 128"


def images(n: int = 5, channels: int = 3, size: int = 8) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand((n, channels, size, size), generator=generator) * 2 - 1


def weights(network: Autoencoder) -> set[str]:
    """Names and shapes of all kernels and matrices; normalisations and biases are vectors."""
    return {
        " ".join([name.removesuffix(".weight"), *map(str, value.shape)])
        for name, value in network.named_parameters()
        if value.ndim > 1
    }


def count(part: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in part.modules())


def moved(name: str = "hybrid", **changes: object) -> Autoencoder:
    """A network in evaluation whose running statistics are no longer those of the start."""
    network = build(tiny(name, **changes), 3, seed=0)
    with torch.no_grad():
        for _ in range(10):
            network(images(20))
    return network.eval()


def same(first: dict[str, NDArray[Any]], second: dict[str, NDArray[Any]]) -> bool:
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) for name in first
    )


# -- shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "latent_size", "norms"),
    [
        ("baseline", 4096, (0, 0)),
        ("vae", 128, (0, 0)),
        ("deep", 128, (5, 4)),
        ("hybrid", 256, (6, 3)),
    ],
)
def test_the_recipes_networks_are_those_of_the_design(
    name: str, latent_size: int, norms: tuple[int, int]
) -> None:
    recipe = named(name)
    network = build(recipe, 3, seed=0).eval()
    assert weights(network) == set(re.split(r",\s+", SHAPES[name]))
    assert tuple(count(p, nn.BatchNorm2d) for p in (network.encoder, network.decoder)) == norms
    with torch.no_grad():
        output = network(images(1, size=32))
    hybrid = name == "hybrid"
    assert {key: None if x is None else tuple(x.shape) for key, x in vars(output).items()} == {
        "latent": (1, latent_size),
        "log_variance": (1, latent_size) if recipe.variational else None,
        "reconstruction": (1, 3, 32, 32),
        "projection": (1, 128) if hybrid else None,
        "logits": (1, 2) if hybrid else None,
        "crop_projection": None,
    }


@pytest.mark.parametrize(
    ("name", "first", "norm", "last"),
    [
        ("baseline", [], [], ["ConvTranspose2d"]),
        ("deep", [], ["BatchNorm2d"], ["ConvTranspose2d"]),
        ("hybrid", ["BatchNorm2d", "ReLU"], ["BatchNorm2d"], ["Conv2d", "PixelShuffle"]),
    ],
)
@pytest.mark.parametrize("channels", [(4, 8), (3, 8), (3, 3)])
def test_every_decoder_stage_but_the_last_is_activated(
    name: str, first: list[str], norm: list[str], last: list[str], channels: tuple[int, int]
) -> None:
    """Also where a stage has as many channels as the images."""
    network = build(tiny(name, channels=channels), 3, seed=0)
    kinds = [type(layer).__name__.removeprefix("Patch") for layer in network.decoder]
    assert kinds == [*first, "ConvTranspose2d", *norm, "ReLU", *last, "Tanh"]


def test_every_encoder_stage_is_convolved_and_activated() -> None:
    deep, hybrid = (
        [
            type(layer).__name__.removeprefix("Patch")
            for layer in build(tiny(name), 3, seed=0).encoder
        ]
        for name in ("deep", "hybrid")
    )
    assert deep == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"] * 2
    assert hybrid == ["PixelUnshuffle", *["Conv2d", "BatchNorm2d", "ReLU", "_Residual"] * 2]


@pytest.mark.parametrize(
    ("channels", "extra"), [((4,), 0), ((4, 8), 0), ((4, 8, 8), 0), ((4, 8), 2)]
)
def test_no_residual_convolution_runs_at_full_size(channels: tuple[int, ...], extra: int) -> None:
    """The sides of what every convolution of a pass gives, for images of 16 pixels."""
    recipe = tiny("hybrid", channels=channels, image_size=16, extra_layers=extra)
    network = build(recipe, 3, seed=0).eval()
    sides: list[int] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(lambda _, __, output: sides.append(output.shape[3]))
    output = network(images(2, size=16))
    halves = [16 >> stage for stage in range(1, len(channels) + 1)]
    down = [side for side in halves for _ in range(2 + extra)]
    up = [*reversed(halves[:-1]), 8]
    assert sides == [*down, *up]
    assert output.reconstruction.shape == (1, 3, 16, 16)


def test_the_stem_moves_two_by_two_pixels_into_channels() -> None:
    network = build(tiny("hybrid"), 3, seed=0)
    given = images(2)
    stem = network.encoder[0](given)
    assert stem.shape == (2, 12, 4, 4)
    for colour in range(3):
        for down in range(2):
            for right in range(2):
                expected = given[:, colour, down::2, right::2]
                assert torch.equal(stem[:, 4 * colour + 2 * down + right], expected)
    assert torch.equal(network.decoder[-2](stem), given), "the decoder's last stage undoes it"


def test_a_residual_layer_adds_to_its_input() -> None:
    layer = build(tiny("hybrid"), 3, seed=0).eval().encoder.get_submodule("4")
    values = images(2, channels=4, size=4)
    kernel = layer.get_parameter("block.0.weight")
    # fresh running statistics are 0 and 1
    added = F.conv2d(values, kernel, padding=1).div(math.sqrt(1 + 1e-5)).relu()
    torch.testing.assert_close(layer(values), values + added)
    assert (added > 0).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [8, 16])
def test_reconstructions_have_the_images_shape_and_range(
    name: str, channels: int, size: int
) -> None:
    network = build(tiny(name, image_size=size), channels, seed=0)
    given = images(6, channels=channels, size=size)
    reconstruction = network(given, normal(6, 6)).reconstruction
    assert reconstruction.shape[1:] == given.shape[1:]
    assert len(reconstruction) == (3 if name == "hybrid" else 6), "the first view of two"
    assert -1 <= reconstruction.min() < reconstruction.max() <= 1


def test_reconstructions_stay_in_range_for_wild_latents() -> None:
    network = build(tiny("vae"), 3, seed=0).eval()
    assert network.decode(1e6 * normal(4, 6)).abs().max() == 1


def test_without_a_bottleneck_the_latent_is_the_last_feature_map_or_its_average() -> None:
    plain, residual = (build(tiny(name), 3, seed=0).eval() for name in ("baseline", "hybrid"))
    assert torch.equal(plain.encode(images()), plain.encoder(images()).flatten(1))
    assert plain.encode(images()).shape == (5, 8 * 2 * 2)
    pooled = residual.encoder(images()).mean((2, 3))
    expected = pooled / pooled.norm(dim=1, keepdim=True) * math.sqrt(8)
    torch.testing.assert_close(residual.encode(images()), expected)


# -- seeds ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_weights(name: str) -> None:
    first, again, other = (state_arrays(build(tiny(name), 3, seed=seed)) for seed in (5, 5, 6))
    assert same(first, again)
    kernels = [key for key, value in first.items() if value.ndim > 1]
    assert len(kernels) >= 4
    assert not any(np.array_equal(first[key], other[key]) for key in kernels), "each is drawn"


@pytest.mark.parametrize("changes", [{"k": 5}, {"k": "auto"}, {"label_epochs": 0}])
def test_all_but_the_head_is_the_same_for_every_k(changes: dict[str, object]) -> None:
    two, other = (
        state_arrays(build(tiny("hybrid", **fields), 3, seed=5)) for fields in ({}, changes)
    )
    for arrays, k in ((two, 2), (other, changes.get("k"))):
        head = [arrays.pop(name, None) for name in ("head.weight", "head.bias")]
        shapes = [None if value is None else value.shape for value in head]
        assert shapes == ([(k, 8), (k,)] if isinstance(k, int) else [None, None])
    assert same(two, other)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_spread_as_pytorch_spreads_them(name: str) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        theirs = dict(Autoencoder(named(name), 3).named_parameters())
    for key, value in build(named(name), 3, seed=0).named_parameters():
        other = theirs[key].detach()
        if value.numel() >= 1_000:
            torch.testing.assert_close(value.abs().max(), other.abs().max(), rtol=0.02, atol=0)
            torch.testing.assert_close(value.std(), other.std(), rtol=0.1, atol=0)
        elif len(set(other.flatten().tolist())) == 1:
            assert torch.equal(value, other), "ones and zeros of a normalisation"


def test_no_global_random_state_counts_or_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(1)
        first = state_arrays(build(tiny("vae"), 3, seed=5))
        torch.default_generator.manual_seed(2)
        before = torch.get_rng_state()
        assert same(first, state_arrays(build(tiny("vae"), 3, seed=5)))
        assert torch.equal(torch.get_rng_state(), before)
    assert seeded == [], "GPUs have a global state as well"


# -- passes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_pass_without_noise_decodes_the_latent(name: str) -> None:
    network = moved(name)
    given = images(6)
    output = network(given)
    assert torch.equal(output.latent, network.encode(given))
    decoded = 3 if name == "hybrid" else 6
    assert torch.equal(output.reconstruction, network.decode(output.latent[:decoded]))


@pytest.mark.parametrize(
    ("name", "changes"), [("hybrid", {}), ("vae", {"contrast": 1}), ("deep", {"contrast": 1})]
)
def test_of_two_views_the_first_is_decoded(name: str, changes: dict[str, object]) -> None:
    network = build(tiny(name, **changes), 3, seed=0).eval()
    decoded: list[int] = []
    network.decoder.register_forward_hook(lambda _, given, __: decoded.append(len(given[0])))
    first, second = images(4), images(8)[4:]
    both = network(torch.cat([first, second]))
    assert decoded == [4]
    assert (len(both.latent), len(both.projection), len(both.reconstruction)) == (8, 8, 4)
    other = network(torch.cat([first, -second]))
    assert torch.equal(both.reconstruction, other.reconstruction)
    assert not torch.equal(both.latent[4:], other.latent[4:])


def test_one_view_alone_is_decoded_without_a_contrastive_term() -> None:
    network = build(tiny("hybrid", contrast=0, label_epochs=0), 3, seed=0).eval()
    output = network(images())
    assert network.projector is None
    assert network.head is None
    assert (output.projection, output.logits) == (None, None)
    assert torch.equal(network.encode(images()), output.latent)
    assert torch.equal(network.decode(output.latent), output.reconstruction)
    assert len(output.reconstruction) == 5


@pytest.mark.parametrize("name", ["baseline", "hybrid"])
def test_noise_changes_nothing_without_variance(name: str) -> None:
    network = build(tiny(name), 3, seed=0).eval()
    noisy, plain = network(images(6), normal(6, 6)), network(images(6))
    assert torch.equal(noisy.reconstruction, plain.reconstruction)


def test_noise_is_scaled_by_the_deviation_that_the_network_says() -> None:
    network, noise = build(tiny("vae"), 3, seed=0).eval(), normal(5, 6, seed=1)
    assert network.log_variance is not None
    nn.init.zeros_(network.log_variance.weight)
    variance = torch.tensor([0.01, 0.25, 1.0, 4.0, 9.0, 0.0004])
    network.log_variance.bias.data = variance.log()
    output = network(images(), noise)
    wanted = network.decode(output.latent + variance.sqrt() * noise)
    torch.testing.assert_close(output.reconstruction, wanted)


@pytest.mark.parametrize(("bias", "expected"), [(1e6, 10.0), (-1e6, -10.0), (3.0, 3.0)])
def test_log_variances_stay_where_their_exponential_is_finite(bias: float, expected: float) -> None:
    network = build(tiny("deep"), 3, seed=0).eval()
    assert network.log_variance is not None
    nn.init.zeros_(network.log_variance.weight)
    nn.init.constant_(network.log_variance.bias, bias)
    assert torch.equal(network(images()).log_variance, torch.full((5, 6), expected))


@pytest.mark.parametrize("latent_size", [1, 6, 50])
def test_hybrid_latents_lie_on_a_sphere(latent_size: int) -> None:
    network = moved(latent_size=latent_size)
    radius = torch.full((6,), math.sqrt(latent_size))
    torch.testing.assert_close(network.encode(images(6)).norm(dim=1), radius)


def test_in_evaluation_an_images_latent_does_not_depend_on_its_batch() -> None:
    network = build(tiny("hybrid"), 3, seed=0)
    network(images(20))  # moves the running statistics
    network.eval()
    given = images()
    alone = torch.cat([network.encode(given[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(alone, network.encode(given), rtol=1e-4, atol=1e-5)


# -- clusters of the network's own ----------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 5])
def test_the_head_reads_probabilities_from_latents(k: int) -> None:
    network = moved(k=k)
    assert network.head is not None
    with torch.no_grad():
        output = network(images(6))
        result = network.assign(network.encode(images(6)))
    weight, bias = (p.detach().double().numpy() for p in network.head.parameters())
    scores = np.exp(output.latent.double().numpy() @ weight.T + bias)
    expected = scores / scores.sum(1, keepdims=True)
    assert result.shape == (6, k)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(output.logits.softmax(1).numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "changes"),
    [("baseline", {}), ("hybrid", {"k": "auto"}), ("hybrid", {"label_epochs": 0})],
)
def test_a_network_without_a_head_assigns_nothing(name: str, changes: dict[str, object]) -> None:
    network = build(tiny(name, **changes), 3, seed=0).eval()
    assert network.head is None
    assert network(images(6)).logits is None
    with pytest.raises(ValueError, match=r"^a network without self-labelling assigns no clusters$"):
        network.assign(network.encode(images(6)))


# -- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_weights_written_and_read_make_the_same_network(name: str) -> None:
    network, other = (build(tiny(name), 3, seed=seed) for seed in (0, 1))
    network(images(6))  # moves the running statistics
    stored = state_arrays(network)
    for value in stored.values():
        value.flags.writeable = False  # as from a mapped file
    load_state(other, stored)
    assert same(state_arrays(other), stored)
    assert torch.equal(network.eval()(images()).latent, other.eval()(images()).latent)


def test_arrays_and_network_do_not_follow_each_other() -> None:
    network, other = (build(tiny("deep"), 3, seed=seed) for seed in (0, 1))
    stored = state_arrays(network)
    load_state(other, stored)
    with torch.no_grad():
        network(images())
        for parameter in network.parameters():
            parameter.add_(1)
    assert same(state_arrays(other), stored)
    assert not any(np.array_equal(state_arrays(network)[name], x) for name, x in stored.items())
    for value in stored.values():
        value += 1
    assert not any(np.array_equal(state_arrays(other)[name], x) for name, x in stored.items())


@pytest.mark.parametrize(
    ("missing", "added", "problems"),
    [
        (["encoder.0.bias"], {}, "missing encoder.0.bias"),
        ([], {"extra": (1,)}, "unexpected extra"),
        ([], {"decoder.2.bias": (4, 2)}, "decoder.2.bias is (4, 2) instead of (3,)"),
        (
            ["encoder.0.weight"],
            {"mean.weight": (6, 32), "decoder.0.bias": (5,)},
            "missing encoder.0.weight, unexpected mean.weight, "
            "decoder.0.bias is (5,) instead of (4,)",
        ),
        (
            ["encoder.0.weight", "encoder.0.bias", "encoder.3.weight", "encoder.3.bias"],
            {"a": (), "b": (), "decoder.0.bias": (5,)},
            "missing encoder.0.weight, missing encoder.0.bias, missing encoder.3.weight, "
            "missing encoder.3.bias, unexpected a, unexpected b and 1 more",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(
    missing: list[str], added: dict[str, tuple[int, ...]], problems: str
) -> None:
    network = build(tiny("baseline"), 3, seed=0)
    before = state_arrays(network)
    arrays = {name: value + 1 for name, value in before.items() if name not in missing}
    arrays |= {name: np.zeros(shape, np.float32) for name, shape in added.items()}
    with refused(what=f"the weights do not fit the network: {problems}"):
        load_state(network, arrays)
    assert same(state_arrays(network), before), "nothing is loaded in part"
