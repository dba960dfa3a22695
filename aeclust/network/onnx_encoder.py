"""Any encoder in an ONNX file that takes images and gives one vector for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeclust import disk
from aeclust.errors import InputError, at, listed, reason
from aeclust.network import encoder_input
from aeclust.network.encoder import Encoder, tried
from aeclust.network.encoder_input import EXAMPLE, Stated
from aeclust.network.onnx_gate import MOST, session, unfit

_DTYPES = {
    "tensor(uint8)": "uint8",
    "tensor(float16)": "float16",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}
_CHANNELS = (1, 3)


@dataclass(frozen=True)
class _Facts:
    """The input of a file: its layout, and of each axis what is fixed, or 0."""

    layout: str
    batch: int
    channels: int
    size: int
    dtype: str


def load(file: Path, *, stated: str | None = None, asked: int = 0) -> Encoder:
    """The encoder in a file.

    Parameters
    ----------
    file : path
    stated : str, optional
        What :func:`aeclust.network.encoder_input.read` reads. Without it ``FILE.onnx.json`` is
        read, if it is there.
    asked : int
        Pixels a side of the images that it will get.

    Returns
    -------
    Encoder
        Which computes on the CPU, wherever its images lie.
    """
    with at(file):
        data, sha256 = disk.read_whole(file, MOST)
        beside = file.with_name(file.name + ".json")
        if stated is not None:
            said = encoder_input.read(stated)
        else:
            said = encoder_input.read_file(beside) if beside.exists() else Stated()
        network = session(data)
        facts = _facts(network, said)
        output = _output(network, said.output)
        model = _Model(network, facts, said, output)
        return tried(
            file.name,
            sha256,
            model,
            device=torch.device("cpu"),
            plain=partial(_no_export, file.name),
            own_size=facts.size,
            asked=asked,
            channels=facts.channels,
            stated=said.text(),
        )


def _no_export(name: str) -> Callable[[Tensor], Tensor]:
    raise InputError(
        "is an ONNX file already, and is not copied into another",
        where=name,
        expected="an encoder of timm, or efficientnet-lite0",
        mend="use that file: latents are its features, less a centre and divided by a scale that"
        " a .safetensors export holds",
    )


def _facts(network: Any, said: Stated) -> _Facts:
    inputs = network.get_inputs()
    if len(inputs) != 1:
        names = listed(each.name for each in inputs)
        raise unfit(f"has {len(inputs)} inputs ({names})", "an encoder with one input, the images")
    dtype = _DTYPES.get(inputs[0].type)
    if dtype is None:
        raise unfit(f"takes {inputs[0].type}", f"one of {', '.join(_DTYPES)}")
    shape = [axis if isinstance(axis, int) else 0 for axis in inputs[0].shape]
    if len(shape) != 4 or min(shape) < 0:
        raise unfit(f"takes arrays of shape {tuple(inputs[0].shape)}", "images in batches, 4 axes")
    layout = _layout(shape, said.layout)
    first = layout == "nchw"
    channels = shape[1] if first else shape[3]
    size = _size(shape[2:] if first else shape[1:3], said)
    facts = _Facts(layout, shape[0], channels, size, dtype)
    _check_values(facts, said)
    return facts


def _layout(shape: Sequence[int], stated: str) -> str:
    fits = [name for name, axis in (("nchw", 1), ("nhwc", 3)) if shape[axis] in _CHANNELS]
    if not fits:
        raise unfit(f"takes arrays of shape {_shown(shape)}", "an axis of 1 or 3 channels")
    if stated and stated not in fits:
        raise _ask(f"takes arrays of shape {_shown(shape)}, which is not {stated}", fits[0])
    if not stated and len(fits) > 1:
        raise _ask(f"takes arrays of shape {_shown(shape)}", "layout=nchw or layout=nhwc")
    return stated or fits[0]


def _size(sides: Sequence[int], said: Stated) -> int:
    fixed = {side for side in sides if side}
    if len(fixed) > 1:
        raise unfit(f"takes images of {sides[0]} x {sides[1]} pixels", "images as wide as high")
    size = fixed.pop() if fixed else 0
    if said.size and size and said.size != size:
        raise _ask(f"takes images of {size} pixels, not of {said.size}", f"size={size}")
    return size or said.size


def _check_values(facts: _Facts, said: Stated) -> None:
    stated = [name for name in ("range", "mean", "std") if getattr(said, name)]
    if facts.dtype == "uint8" and stated:
        raise InputError(
            f"takes whole numbers from 0 to 255, which have no {stated[0]}",
            where="`encoder_input`",
            expected=f"no {stated[0]}",
            mend="leave it out",
        )
    if facts.dtype != "uint8" and not said.range:
        raise InputError(
            f"takes {facts.dtype}, and nothing says of which range",
            expected=f"`encoder_input`, for example {EXAMPLE}",
            mend="state what it was trained with, or put it beside the file as .onnx.json",
        )
    for name in ("mean", "std"):
        if len(getattr(said, name)) not in (0, 1, facts.channels):
            raise _ask(f"takes images of {facts.channels} channels", f"one {name} for each")


def _output(network: Any, stated: str) -> str:
    names = [str(each.name) for each in network.get_outputs()]
    if not stated and len(names) == 1:
        return names[0]
    if stated in names:
        return stated
    if stated.isascii() and stated.isdigit() and len(stated) < 6 and int(stated) < len(names):
        return names[int(stated)]
    what = f"has no output {stated!r}" if stated else f"has {len(names)} outputs"
    raise _ask(f"{what} ({listed(names)})", f"output=NAME with one of {listed(names)}")


class _Model:
    """From images in [-1, 1] to features, by a session."""

    def __init__(self, network: Any, facts: _Facts, said: Stated, output: str) -> None:
        self._network, self._facts, self._said, self._output = network, facts, said, output
        self._input = network.get_inputs()[0].name

    def __call__(self, images: Tensor) -> Tensor:
        values = self._values(images.numpy())
        batch = self._facts.batch or len(values)
        parts = [self._run(values[i : i + batch], batch) for i in range(0, len(values), batch)]
        return torch.from_numpy(np.concatenate(parts))

    def _values(self, images: NDArray[np.float32]) -> NDArray[Any]:
        if self._facts.dtype == "uint8":
            values = np.clip(np.rint(images * 127.5 + 127.5), 0, 255)
        else:
            low, high = self._said.range
            mean, std = (
                np.reshape(np.asarray(given or usual, np.float32), (1, -1, 1, 1))
                for given, usual in ((self._said.mean, 0.0), (self._said.std, 1.0))
            )
            values = ((images + 1) * ((high - low) / 2) + low - mean) / std
        if self._facts.layout == "nhwc":
            values = values.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(values, self._facts.dtype)

    def _run(self, values: NDArray[Any], batch: int) -> NDArray[np.float32]:
        """Features of at most as many images as the file takes at once, which may be fixed."""
        n = len(values)
        if n < batch:
            values = np.concatenate([values, np.repeat(values[-1:], batch - n, axis=0)])
        try:
            (result,) = self._network.run([self._output], {self._input: values})
        except Exception as error:  # the library has a dozen types
            size = values.shape[2]
            raise unfit(f"does not run on images of {size} pixels ({reason(error)})") from error
        if not isinstance(result, np.ndarray) or result.dtype.kind != "f":
            raise unfit("gives no floating-point numbers", "features")
        if not result.ndim or len(result) != batch:
            raise unfit(f"makes values of shape {result.shape} of {batch} images", "a row for each")
        # an overflow is found by whoever asks for finite features
        with np.errstate(over="ignore"):
            return self._pooled(result[:n].astype(np.float32))

    def _pooled(self, result: NDArray[np.float32]) -> NDArray[np.float32]:
        pool, layout = self._said.pool, self._facts.layout
        if result.ndim == 2 and not pool:
            return result
        if result.ndim == 4 and (pool == "mean" or (not pool and layout == "nchw")):
            return np.asarray(result.mean((2, 3)), np.float32)
        if result.ndim == 3 and pool:
            return np.asarray(result.mean(1) if pool == "mean" else result[:, 0], np.float32)
        shape = ("n", *result.shape[1:])
        known = {
            2: "no pool, because there is one vector for each image",
            3: "pool=mean or pool=first",
            4: "pool=mean, if its axes are n, d, h, w",
        }
        if result.ndim in known:
            raise _ask(f"gives values of shape {_shown(shape)}", known[result.ndim])
        raise unfit(f"gives values of shape {_shown(shape)}", "one vector for each image")


def _ask(what: str, expected: str) -> InputError:
    return InputError(what, expected=f"in `encoder_input` {expected}", mend="state it there")


def _shown(shape: Sequence[object]) -> str:
    return "(" + ", ".join("?" if axis == 0 else str(axis) for axis in shape) + ")"
