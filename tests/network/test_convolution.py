"""Convolutions that learn from maps side by side: the sums are those of plain convolutions."""

from __future__ import annotations

import pytest
from support import normal
from torch import Tensor, nn
from torch.nn import functional

from aeclust.network import convolution
from aeclust.network.convolution import (
    Conv2d,
    ConvTranspose2d,
    PatchConv2d,
    PatchConvTranspose2d,
)


def gradients(layer: nn.Module, images: Tensor) -> list[Tensor]:
    """Of the input, and of all parameters, where every output counts differently."""
    images = images.clone().requires_grad_()
    output = layer(images)
    output.backward(normal(*output.shape, seed=9).to(output.dtype))
    found = [images.grad, *(value.grad for value in layer.parameters())]
    return [value.double() for value in found if value is not None]


@pytest.mark.parametrize(("n", "side"), [(1, 1), (5, 2), (33, 2), (14, 5), (9, 6), (3, 8), (2, 20)])
@pytest.mark.parametrize("kind", ["stride 1", "stride 2", "transposed"])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_a_plain_convolution_in_float64(
    n: int, side: int, kind: str, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "_has_amx", lambda: True)
    own: nn.Module
    if kind == "transposed":
        own = ConvTranspose2d(3, 2, 4, stride=2, padding=1, bias=bias)
        plain: nn.Module = nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1, bias=bias)
    else:
        own = Conv2d(3, 2, 3, stride=int(kind[-1]), padding=1, bias=bias)
        plain = nn.Conv2d(3, 2, 3, stride=int(kind[-1]), padding=1, bias=bias)
    own.load_state_dict({k: normal(*v.shape, seed=5) for k, v in own.state_dict().items()})
    own.bfloat16()
    plain.load_state_dict(own.state_dict())
    plain.double()
    images = normal(n, 3, side, side).bfloat16()
    assert "_Learnt" in type(own(images).grad_fn).__name__
    wanted = gradients(plain, images.double())
    for found, right in zip(gradients(own, images), wanted, strict=True):
        # bfloat16 keeps 8 bits: the result is rounded once, and so are parts of long sums
        assert (found - right).norm() <= 0.01 * right.norm()


@pytest.mark.parametrize(
    ("kind", "kernel", "side"),
    [("plain", 3, 1), ("plain", 3, 4), ("transposed", 2, 1), ("transposed", 3, 2)],
)
@pytest.mark.parametrize("bias", [True, False])
def test_patches_give_what_a_plain_convolution_gives_in_float64(
    kind: str, kernel: int, side: int, bias: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convolution, "_has_amx", lambda: True)
    if kind == "transposed":
        patched: nn.Module = PatchConvTranspose2d(3, 2, kernel, bias=bias)
        plain: nn.Module = nn.ConvTranspose2d(3, 2, kernel, bias=bias)
    else:
        patched = PatchConv2d(3, 2, kernel, padding=1, bias=bias)
        plain = nn.Conv2d(3, 2, kernel, padding=1, bias=bias)
    patched.load_state_dict({k: normal(*v.shape, seed=5) for k, v in patched.state_dict().items()})
    patched.bfloat16()
    plain.load_state_dict(patched.state_dict())
    plain.double()
    images = normal(7, 3, side, side).bfloat16()
    monkeypatch.setattr(functional, "conv2d", None)  # neither may be asked
    monkeypatch.setattr(functional, "conv_transpose2d", None)
    output, slopes = patched(images), gradients(patched, images)
    monkeypatch.undo()
    pairs = [(output.double(), plain(images.double()))]
    pairs += zip(slopes, gradients(plain, images.double()), strict=True)
    for value, right in pairs:
        assert value.shape == right.shape
        assert (value - right).norm() <= 0.01 * right.norm()


def test_a_plain_convolution_is_left_where_nothing_is_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convolution, "_has_amx", lambda: True)
    layer, images = Conv2d(3, 2, 3, padding=1), normal(4, 3, 6, 6)
    assert "Convolution" in type(layer(images).grad_fn).__name__  # float32 would lose
    layer.bfloat16()
    assert "Convolution" in type(layer.eval()(images.bfloat16()).grad_fn).__name__
