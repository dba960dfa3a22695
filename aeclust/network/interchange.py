"""Networks for other programs: weights as safetensors, both ways, and encoders as ONNX.

The libraries for it are extras of the installation, imported where they are used.
"""

from __future__ import annotations

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aeclust.errors import AeclustError, InputError, at, reason
from aeclust.network.extras import extra
from aeclust.network.model import Autoencoder, build, check_state, load_state, state_arrays
from aeclust.recipe import Recipe

OPSET = 18
_HEADER = "aeclust"
_FORMAT = 1
_MAX_HEADER = 1 << 20


# -- safetensors -------------------------------------------------------------------------------


def to_safetensors(network: Autoencoder, recipe: Recipe, *, epoch: int, digest: str) -> bytes:
    """A network as a safetensors file.

    Parameters
    ----------
    network : Autoencoder
    recipe : Recipe
        What it was built from.
    epoch : int
        After which it was kept.
    digest : str
        SHA-256 of its weights file.

    Returns
    -------
    bytes
        Its state dict, which has no weights of a frozen encoder, and one metadata entry
        ``aeclust``: JSON of format, recipe, image_channels, epoch and weights (the digest). Equal
        networks give equal bytes.
    """
    with extra("safetensors"):
        from safetensors.numpy import save
    header = {
        "format": _FORMAT,
        "recipe": recipe.to_json(),
        "image_channels": network.image_channels,
        "epoch": epoch,
        "weights": digest,
    }
    # a single entry, because the library writes several in any order
    data: bytes = save(state_arrays(network), {_HEADER: json.dumps(header, sort_keys=True)})
    return data


def load_safetensors(file: str | os.PathLike[str]) -> Autoencoder:
    """The network in a file that ``aeclust export NAME.safetensors`` wrote.

    Returns
    -------
    Autoencoder
        On the CPU, in evaluation mode, equal in every value to the one exported. A frozen encoder
        is not in the file: until :attr:`~aeclust.network.model.Autoencoder.see` is set, to what
        :func:`aeclust.network.pretrained.load_encoder` gives, it takes features for images.

    Raises
    ------
    InputError
        If the library is not installed, or the file is missing, damaged, not from aeclust, or its
        tensors do not fit its recipe.
    """
    path = Path(file)
    with extra("safetensors"):
        from safetensors import safe_open
    with at(path):
        if not path.is_file():  # a FIFO or a device would hang or never end
            raise _unfit("it is no file")
        try:
            with safe_open(path, framework="np") as content:
                recipe, channels = _read_header((content.metadata() or {}).get(_HEADER, ""))
                names = list(content.keys())
                shapes = {name: tuple(content.get_slice(name).get_shape()) for name in names}
                # before a single value is read, or a network built that its recipe made huge
                with torch.device("meta"):
                    state = Autoencoder(recipe, channels).state_dict()
                check_state(state, shapes)
                arrays = {name: np.asarray(content.get_tensor(name)) for name in names}
        except AeclustError:
            raise
        except Exception as error:  # the library has several types, and JSON may hold anything
            raise _unfit(reason(error)[:200]) from error
        for name, array in arrays.items():
            dtype = str(state[name].dtype).removeprefix("torch.")
            if array.dtype != dtype or not np.isfinite(array).all():
                raise _unfit(f"{name} is {array.dtype} instead of {dtype}, or is not finite")
        network = build(recipe, channels, seed=0)
        load_state(network, arrays)
    return network.eval()


def _read_header(text: str) -> tuple[Recipe, int]:
    header = json.loads(text) if len(text) < _MAX_HEADER else None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise _unfit(f"its metadata has no entry {_HEADER} of format {_FORMAT}")
    channels = header["image_channels"]
    if channels not in (1, 3):
        raise _unfit(f"it is for images of {channels} channels")
    return Recipe.from_json(dict(header["recipe"])), int(channels)


def _unfit(what: str) -> InputError:
    expected = "a network as aeclust export wrote it"
    return InputError(f"cannot be used: {what}", expected=expected, mend="export it again")


# -- ONNX --------------------------------------------------------------------------------------


class _Encoder(nn.Module):
    """From pixels to latents, as :func:`aeclust.network.inference.embed` of images of this size.

    A frozen encoder comes apart from the network, as operations that can be exported.
    """

    def __init__(self, network: Autoencoder, see: Callable[[Tensor], Tensor] | None) -> None:
        super().__init__()
        self.network, self.see = network, see

    def forward(self, images: Tensor) -> Tensor:
        scaled = images.permute(0, 3, 1, 2).to(torch.float32) / 127.5 - 1.0
        if self.see is not None:
            scaled = self.see(scaled.expand(-1, 3, -1, -1))
        return self.network.encode(scaled)


def to_onnx(
    network: Autoencoder,
    recipe: Recipe,
    *,
    epoch: int,
    digest: str,
    see: Callable[[Tensor], Tensor] | None = None,
) -> bytes:
    """The encoder of a network as an ONNX file.

    Parameters
    ----------
    network, recipe, epoch, digest
        As for :func:`to_safetensors`.
    see : callable, optional
        The frozen encoder on the CPU by plain operations, for images of three channels.

    Returns
    -------
    bytes
        A model with the input ``images`` (n, s, s, c), uint8, at the recipe's image size s, for any
        n, and the output ``latents`` (n, d), float32, the mean of a variational code: what
        :func:`aeclust.network.inference.embed` gives on the CPU, up to rounding. Equal networks
        give equal bytes; no path is in them.
    """
    side, channels = recipe.image_size, network.image_channels
    # an example of two, because 0 and 1 would be taken for constants
    example = torch.zeros(2, side, side, channels, dtype=torch.uint8)
    with extra("onnx"):
        import onnxscript  # noqa: F401 - the exporter needs both, and says less when one is missing
        from onnx import ModelProto
    with _silenced():
        program = torch.onnx.export(
            _Encoder(network.cpu().eval(), see),
            (example,),
            dynamo=True,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["latents"],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export gave no program")
    model: ModelProto = program.model_proto
    _strip(model)
    text = json.dumps(recipe.to_json(), sort_keys=True)
    for key, value in {"recipe": text, "epoch": str(epoch), "weights": digest}.items():
        model.metadata_props.add(key=key, value=value)
    return bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _silenced() -> Iterator[None]:
    """Within it the exporter keeps to itself what it thinks of its surroundings."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _strip(model: Any) -> None:
    """Remove what the exporter notes of its source: stack traces hold paths of this machine."""
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    model.ClearField("metadata_props")
    for part in (graph, *graph.node, *values):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
