"""Any network of timm, with weights of its own loading or from a safetensors file."""

from __future__ import annotations

import copy
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aeclust import disk
from aeclust.errors import InputError, at, did_you_mean, listed, reason, to_install
from aeclust.network.encoder import Encoder, state_digest, tried
from aeclust.network.extras import extra

PREFIX = "timm:"
_MOST = 16 << 30
_SAFE = (1, 0, 26)  # since when timm opens weights only, unless it is told otherwise


def load(
    name: str, device: torch.device, *, weights: Path | None = None, asked: int = 0
) -> Encoder:
    """The encoder ``timm:NAME``.

    Parameters
    ----------
    name : str
    device : device
    weights : path, optional
        A safetensors file; without one, timm finds or downloads its own.
    asked : int
        Pixels a side of the images that it will get.

    Returns
    -------
    Encoder
        Mean, deviation and size of its images are those that timm knows for it.
    """
    timm = _library()
    short = _listed_name(timm, name)
    if weights is None and _version(timm) < _SAFE:
        raise InputError(
            f"timm {timm.__version__} may open a pickle with code in it where it loads weights",
            expected=f"timm {'.'.join(map(str, _SAFE))} or newer",
            mend=f"{to_install('timm')}, or name a .safetensors file with `encoder_weights`",
        )
    network = _built(timm, short, pretrained=weights is None)
    if weights is None:
        sha256 = state_digest(network.state_dict())
    else:
        with at(weights):
            data, sha256 = disk.read_whole(weights, _MOST)
            _fill(network, _tensors(data))
    config = timm.data.resolve_model_data_config(network)
    channels, height, width = config["input_size"]
    if channels != 3 or height != width:
        raise _unfit(f"it takes images of shape {channels} x {height} x {width}")
    fixed = bool(network.pretrained_cfg.get("fixed_input_size"))
    network = network.requires_grad_(False).eval().to(device, memory_format=torch.channels_last)
    mean, deviation = (
        torch.tensor(config[key], dtype=torch.float32, device=device).reshape(1, 3, 1, 1)
        for key in ("mean", "std")
    )

    def plain() -> Callable[[Tensor], Tensor]:
        copied = copy.deepcopy(network).cpu()
        return lambda images: copied(((images + 1) / 2 - mean.cpu()) / deviation.cpu())

    def run(images: Tensor) -> Tensor:
        scaled = ((images + 1) / 2 - mean) / deviation
        try:
            result: Tensor = network(scaled.contiguous(memory_format=torch.channels_last))
        except Exception as error:  # a network of timm's may take no images of this size
            what = f"it takes no images of {images.shape[-1]} pixels ({reason(error)})"
            raise _unfit(what) from error
        return result

    own = height if fixed else 0
    return tried(name, sha256, run, device=device, plain=plain, own_size=own, asked=asked)


def _listed_name(timm: Any, name: str) -> str:
    """What timm itself calls the network ``timm:NAME`` (InputError for a place of others)."""
    short = name.removeprefix(PREFIX)
    known = set(timm.list_models()) | set(timm.list_pretrained())
    if short not in known:
        raise InputError(
            f"timm has no network {short!r}",
            where="`encoder`",
            expected=f"{PREFIX}NAME with a name that timm.list_models() gives",
            mend=did_you_mean(short, known, "choose one of these"),
        )
    return short


def _version(timm: Any) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", timm.__version__)[:3]))


def _library() -> Any:
    with extra("timm", "`encoder`"):
        try:
            with _silence():
                import timm
                import timm.data
        except ImportError:
            raise
        except Exception as error:  # a torchvision for another PyTorch fails in ways of its own
            raise InputError(
                f"timm cannot be imported ({reason(error)})",
                where="`encoder`",
                expected=f"a torchvision made for PyTorch {torch.__version__}",
                mend="install torch and torchvision that belong together",
            ) from error
    return timm


@contextmanager
def _silence() -> Iterator[None]:
    """Within it timm and the hub do not say what an error says as well."""
    loggers = [logging.getLogger(name) for name in ("timm", "huggingface_hub")]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _built(timm: Any, name: str, *, pretrained: bool) -> Any:
    try:
        with _silence(), torch.device("cpu"):
            network = timm.create_model(name, pretrained=pretrained, num_classes=0)
            return network.float()  # whatever the default dtype is
    except Exception as error:  # of the network, of a hub or of the disk
        if not pretrained:
            raise _unfit(reason(error)) from error
        raise InputError(
            f"timm could not load its weights ({reason(error)})",
            expected="a way to them, or a file of them",
            mend="name a .safetensors file with `encoder_weights`",
        ) from error


def _tensors(data: bytes) -> dict[str, Tensor]:
    with extra("timm", "`encoder_weights`"):
        from safetensors.torch import load as load_tensors
    try:
        tensors: dict[str, Tensor] = load_tensors(data)
    except Exception as error:  # the library has several types
        raise InputError(
            f"is damaged or no safetensors file ({reason(error)})",
            expected="weights as safetensors",
            mend="choose another file with `encoder_weights`",
        ) from error
    return tensors


def _fill(network: Any, tensors: Mapping[str, Tensor]) -> None:
    """Give the network its weights: all of them, and none but those of a classifier besides."""
    state: dict[str, Tensor] = network.state_dict()
    classifier = network.pretrained_cfg.get("classifier") or ()
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    spare = tuple(f"{head}." for head in heads)
    given = {k: v for k, v in tensors.items() if k in state or not k.startswith(spare)}
    # which counts batches in training, and which files often leave out
    missing = [key for key in state if key not in given and not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} is {tuple(value.shape)} instead of {tuple(state[key].shape)}"
        for key, value in given.items()
        if key in state and value.shape != state[key].shape
    ]
    odd = [
        key
        for key, value in given.items()
        if key in state
        and (
            value.is_floating_point() != state[key].is_floating_point()
            or (value.is_floating_point() and not bool(torch.isfinite(value.float()).all()))
        )
    ]
    faults = (
        ("missing", missing),
        ("unexpected", [key for key in given if key not in state]),
        ("", wrong),
        ("not of finite numbers:", odd),
    )
    for what, names in faults:
        if names:
            raise InputError(
                f"the weights do not fit the network: {what} {listed(names)}".replace("  ", " "),
                expected="the weights of this network of timm",
                mend="name other `encoder_weights`, or another `encoder`",
            )
    network.load_state_dict(given, strict=False)


def _unfit(what: str) -> InputError:
    return InputError(
        f"cannot be used: {what}",
        expected="a network that takes colour images, and the size that it is made for",
        mend="choose another `encoder` or `image_size`",
    )
