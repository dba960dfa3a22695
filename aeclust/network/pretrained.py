"""Encoders that somebody else trained, by name or from a file.

``efficientnet-lite0`` comes with two packages, ``timm:NAME`` from timm, ``FILE.onnx`` from
anywhere.
No pickle is opened but the one whose SHA-256 is written down here.
"""

from __future__ import annotations

from pathlib import Path

import torch

from aeclust.errors import InputError, at, did_you_mean
from aeclust.network import lite0, onnx_encoder, timm_encoder
from aeclust.network.encoder import Encoder

__all__ = ["Encoder", "load_encoder"]

_ONNX = ".onnx"
_KINDS = f"{lite0.NAME}, {timm_encoder.PREFIX}NAME or FILE{_ONNX}"
_PICKLES = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt", ".tar")


def load_encoder(
    name: str,
    *,
    file: Path | None = None,
    weights: Path | None = None,
    stated: str | None = None,
    image_size: int = 0,
    device: torch.device,
) -> Encoder:
    """A frozen encoder.

    Parameters
    ----------
    name : str
        ``efficientnet-lite0``, ``timm:NAME``, or the base name of an ONNX file.
    file : path, optional
        That ONNX file.
    weights : path, optional
        A safetensors file with the weights of ``timm:NAME``.
    stated : str, optional
        Of the input of an ONNX file, see :func:`aeclust.network.encoder_input.read`.
    image_size : int
        Pixels a side of the images that it will get; 0 if that is not known yet.
    device : device
        Where it computes, or for ONNX where its features are wanted.

    Returns
    -------
    Encoder

    Raises
    ------
    InputError
        If there is no such encoder, a package for it is missing, its file or weights are not as
        they should be, or it takes images of another size.
    """
    kind = Path(name).suffix.lower()
    is_timm, is_onnx = name.startswith(timm_encoder.PREFIX), kind == _ONNX
    if weights is not None and not is_timm:
        raise _needless("encoder_weights", name, f"with {timm_encoder.PREFIX}NAME only")
    if weights is not None and weights.suffix.lower() != ".safetensors":
        with at(weights):
            raise _no_pickle(weights.suffix.lower(), "encoder_weights", "a .safetensors file")
    if stated is not None and not is_onnx:
        raise _needless("encoder_input", name, f"with FILE{_ONNX} only")
    with at(name):
        if is_timm:
            return timm_encoder.load(name, device, weights=weights, asked=image_size)
        if is_onnx:
            return onnx_encoder.load(file or Path(name), stated=stated, asked=image_size)
        if name == lite0.NAME:
            return lite0.load(device, asked=image_size)
    with at("`encoder`"):
        if kind:
            raise _no_pickle(kind, "encoder", _KINDS)
        mend = did_you_mean(name, [lite0.NAME], f"choose one, perhaps {timm_encoder.PREFIX}{name}")
        raise InputError(f"no encoder is called {name!r}", expected=_KINDS, mend=mend)


def _needless(setting: str, name: str, when: str) -> InputError:
    return InputError(
        f"is given with {name}", where=f"`{setting}`", expected=when, mend=f"leave out `{setting}`"
    )


def _no_pickle(kind: str, setting: str, expected: str) -> InputError:
    why = ", because a pickle can run code" if kind in _PICKLES else ""
    mend = f"convert it, and name that file with `{setting}`"
    if kind == ".safetensors":
        mend = f"name it with `encoder_weights`, and as `encoder` {timm_encoder.PREFIX}NAME"
    return InputError(
        f"a {kind or 'nameless'} file is not taken{why}", expected=expected, mend=mend
    )
