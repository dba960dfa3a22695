"""Encoders of a few hundred bytes, whose features anybody can work out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

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
