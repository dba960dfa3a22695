"""Convolutions that learn faster from small maps.

oneDNN, which computes for PyTorch on CPUs, takes the gradient of a kernel row by row of each map.
Where rows are 2 to 8 pixels wide, the matrix unit of newer Intel processors (AMX) has next to
nothing to do at a time, and that gradient takes up to eight times as long as the convolution. So
the maps of a batch are laid side by side here, with gaps of zeros, and make a few wide ones. The
sums are the same. That of a bias, which oneDNN takes slowly too, is a plain one.

In maps of a few pixels with very many channels, as in the `deep` recipe, the other products are
slow too. There a convolution is one product of matrices: the kernels times the patches.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

# The widest map that gains, and how wide several become (docs/performance.md has the figures).
_SMALL, _WIDE = 8, 96

# The widest maps of which patches are made.
_PATCHED, _PATCHED_TRANSPOSED = 4, 2


class Conv2d(nn.Conv2d):
    """A convolution with kernels of 3 x 3, padding of 1, and stride 1 or 2."""

    def forward(self, input: Tensor) -> Tensor:
        """As any convolution does."""
        if not _gains(self, input):
            return super().forward(input)
        weight, bias = _fixed(self)
        output = F.conv2d(input, weight, bias, self.stride, 1)
        return _learnt(self, input, output, transposed=False)


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution with kernels of 4 x 4, padding of 1, and stride 2."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As any transposed convolution does."""
        if not _gains(self, input):
            return super().forward(input, output_size)
        weight, bias = _fixed(self)
        output = F.conv_transpose2d(input, weight, bias, 2, 1)
        return _learnt(self, input, output, transposed=True)


class PatchConv2d(nn.Conv2d):
    """A convolution with kernels of 3 x 3 and padding of 1 that turns small maps into patches."""

    def forward(self, input: Tensor) -> Tensor:
        """As any convolution does."""
        n, _, height, width = input.shape
        if width > _PATCHED or not _gains(self, input):
            return super().forward(input)
        patches = F.unfold(input, 3, padding=1)
        output = F.linear(patches.transpose(1, 2), self.weight.flatten(1), self.bias)
        return output.transpose(1, 2).reshape(n, -1, height, width)


class PatchConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution of stride 1 that turns small maps into overlapping patches."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As any transposed convolution does."""
        (height, width), (rows, columns) = input.shape[2:], self.kernel_size
        if width > _PATCHED_TRANSPOSED or not _gains(self, input):
            return super().forward(input, output_size)
        patches = input.flatten(2).transpose(1, 2) @ self.weight.flatten(1)
        output = F.fold(
            patches.transpose(1, 2), (height + rows - 1, width + columns - 1), self.kernel_size
        )
        return output if self.bias is None else output + self.bias.to(output.dtype)[:, None, None]


def _gains(layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor) -> bool:
    """Whether this is a step of training in bfloat16 on AMX; without it most shapes would lose."""
    if not (layer.training and torch.is_grad_enabled() and input.device.type == "cpu"):
        return False
    autocast = torch.is_autocast_enabled("cpu")
    kind = torch.get_autocast_dtype("cpu") if autocast else input.dtype
    return kind == torch.bfloat16 and _has_amx()


@cache
def _has_amx() -> bool:
    return torch.cpu._is_amx_tile_supported()


def _fixed(layer: nn.Conv2d | nn.ConvTranspose2d) -> tuple[Tensor, Tensor | None]:
    """Its parameters, of which PyTorch takes no gradients."""
    return layer.weight.detach(), None if layer.bias is None else layer.bias.detach()


def _learnt(
    layer: nn.Conv2d | nn.ConvTranspose2d, input: Tensor, output: Tensor, *, transposed: bool
) -> Tensor:
    weight, bias, stride = layer.weight, layer.bias, layer.stride[0]
    learnt: Tensor = _Learnt.apply(output, input, weight, bias, stride, transposed)  # type: ignore[no-untyped-call]
    return learnt


class _Learnt(torch.autograd.Function):
    """What a convolution with fixed parameters has made, as one that learns them.

    The gradient of the input is left to PyTorch.
    """

    @staticmethod
    def forward(
        ctx: Any,
        output: Tensor,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int,
        transposed: bool,
    ) -> Tensor:
        ctx.save_for_backward(input.to(output.dtype))
        ctx.shape, ctx.stride, ctx.transposed = weight.shape, stride, transposed
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, ...]:
        (input,) = ctx.saved_tensors
        weight = bias = None
        if ctx.needs_input_grad[2]:
            maps, slopes = (slope, input) if ctx.transposed else (input, slope)
            weight = weight_gradient(maps, slopes, ctx.shape, ctx.stride)
        if ctx.needs_input_grad[3]:
            bias = slope.sum((0, 2, 3), dtype=torch.float32)
        return slope, None, weight, bias, None, None


def weight_gradient(maps: Tensor, slopes: Tensor, shape: torch.Size, stride: int) -> Tensor:
    """The gradient of the kernels of a convolution.

    Parameters
    ----------
    maps : Tensor of shape (n, c, h, w)
        What it saw, padded by 1.
    slopes : Tensor of shape (n, d, ceil(h / stride), ceil(w / stride))
        The gradient of what it made. A transposed convolution sees the latter and makes the former.
    shape : Size
        (d, c, k, k), where k is at most 3 for stride 1, and 4 for stride 2.
    stride : int

    Returns
    -------
    Tensor of that shape
    """
    width = slopes.shape[3]
    if width <= _SMALL:
        columns = max(1, _WIDE // (width + 1))
        maps = _side_by_side(maps, columns, stride * (width + 1))
        slopes = _side_by_side(slopes, columns, width + 1)
    like = slopes.new_empty(shape).to(memory_format=torch.channels_last)
    gradients = torch.ops.aten.convolution_backward(
        slopes, maps, like, None, [stride, stride], [1, 1], [1, 1], False, [0, 0], 1,
        [False, True, False],
    )  # fmt: skip
    weight: Tensor = gradients[1]
    return weight


def _side_by_side(maps: Tensor, columns: int, slot: int) -> Tensor:
    """Maps (n, c, h, w) as rows of so many, each in a slot of a width (m, c, h, columns * slot).

    The rest of the slots is 0, and so are slots without a map.
    """
    n, c, h, w = maps.shape
    whole, rest = divmod(n, columns)
    wide = maps.new_zeros(-(-n // columns), h, columns, slot, c)
    maps = maps.permute(0, 2, 3, 1)
    rows = maps[: n - rest].view(whole, columns, h, w, c)
    wide[:whole, :, :, :w] = rows.transpose(1, 2)
    wide[whole:, :, :rest, :w] = maps[n - rest :].transpose(0, 1)
    return wide.flatten(2, 3).permute(0, 3, 1, 2)
