"""Encoders of a few hundred bytes, whose features anybody can work out."""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save
from torch import Tensor, nn

from aeclust.network.encoder import Encoder

WIDTH = 6
# the images are seen as they are, and so is every number worked out by hand
FROZEN = ["--set", "image_size=8", "--set", "drawn_size=8", "--set", "channels=4,8"]
FROZEN += ["--epochs", "2", "--batch-size", "16"]
SETTINGS: dict[str, Any] = {
    "image_size": 8, "drawn_size": 8, "channels": (4, 8), "epochs": 2, "batch_size": 16,
}  # fmt: skip


def matrix(seed: int = 0) -> NDArray[np.float32]:
    """What the encoder of this seed multiplies a mean colour by."""
    return np.random.default_rng(seed).normal(size=(3, WIDTH)).astype(np.float32)


def colour_encoder(file: Path, *, seed: int = 0, side: int | str = "s", channels: int = 3) -> Path:
    """An ONNX file that takes images (n, s, s, c), uint8, to their mean colour times a matrix."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["f"], ["m"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["m", "w"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n", side, side, channels])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", WIDTH])],
        [numpy_helper.from_array(matrix(seed)[:channels], "w")],
    )
    opset = helper.make_opsetid("", 13)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    file.write_bytes(model.SerializeToString())
    return file


def features_of(pixels: NDArray[np.uint8], seed: int = 0) -> NDArray[np.float64]:
    """What that encoder gives of images (n, h, w, 3)."""
    means: NDArray[np.float64] = pixels.mean((1, 2), dtype=np.float64) @ matrix(seed)
    return means


@contextmanager
def counted() -> Iterator[list[int]]:
    """Within it, the number of images is noted that an encoder sees, but for one it is tried on."""
    seen: list[int] = []
    real = Encoder.__call__

    def counting(encoder: Encoder, images: Tensor) -> Tensor:
        if len(images) > 1 or images.any():
            seen.append(len(images))
        return real(encoder, images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "__call__", counting)
        yield seen


class Tiny(nn.Module):
    """A network as timm makes them, of images of any size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.bn = nn.BatchNorm2d(4)
        self.pretrained_cfg = {"classifier": "fc", "fixed_input_size": False}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.bn(self.conv(x)).mean((2, 3))
        return features


def stand_in() -> types.ModuleType:
    """What is used of timm, which needs a torchvision made for the very PyTorch at hand."""
    timm = types.ModuleType("timm")
    timm.__version__ = "1.0.26"  # type: ignore[attr-defined]
    timm.data = types.ModuleType("timm.data")  # type: ignore[attr-defined]

    def create_model(name: str, *, pretrained: bool, num_classes: int) -> Tiny:
        assert num_classes == 0
        if pretrained and name != "test_ready":
            raise OSError("no route to the hub")
        network = Tiny()
        network.pretrained_cfg["fixed_input_size"] = name == "test_fixed"
        return network

    config = {"input_size": (3, 20, 20), "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    names = ["test_any", "test_fixed", "test_ready"]
    timm.create_model = create_model  # type: ignore[attr-defined]
    timm.list_models = lambda: names  # type: ignore[attr-defined]
    timm.list_pretrained = lambda: ["test_any.in1k"]  # type: ignore[attr-defined]
    timm.data.resolve_model_data_config = lambda network: config
    return timm


def some_state() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        key: torch.rand(value.shape, generator=generator) + 0.5
        if value.is_floating_point()
        else value
        for key, value in Tiny().state_dict().items()
    }


def saved(file: Path, state: dict[str, torch.Tensor]) -> Path:
    file.write_bytes(save(state))
    return file
