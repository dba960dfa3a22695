"""What every encoder of others comes to: images in, features out, and a digest of its weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import torch
from torch import Tensor

from aeclust.errors import InputError

_USUAL_SIZE = 224  # of the images that such a network is tried with where nobody says another
_AT_ONCE = 8 * 160 * 160  # pixels: what lies between two layers stays in the processor's caches
_AT_ONCE_ELSEWHERE = 256 * 160 * 160


@dataclass(frozen=True, eq=False)
class Encoder:
    """A network that somebody else trained, frozen: no gradients, evaluation mode.

    Parameters
    ----------
    name : str
        As ``Recipe.encoder`` has it; of a file only its base name.
    sha256 : str
        Of the file that holds the weights, or, where there is none, see :func:`state_digest`.
    width : int
        Values in a feature.
    image_size : int
        Pixels a side that it wants; 0 if it takes any size.
    input : str
        What was stated of the input, in full: as ``stated`` it gives the same encoder again.
    run : callable
        Takes images (n, `channels`, s, s) on `device` and gives features (n, d).
    device : device
        Where its weights lie.
    channels : int
        Of the images that `run` takes.
    plain : callable
        Gives what does the same on the CPU by operations that every export knows; an
        :class:`~aeclust.errors.InputError` where there is no such thing.
    """

    name: str
    sha256: str
    width: int
    image_size: int
    input: str = ""
    run: Callable[[Tensor], Tensor] = field(kw_only=True, repr=False)
    device: torch.device = field(kw_only=True)
    channels: int = field(default=3, kw_only=True)
    plain: Callable[[], Callable[[Tensor], Tensor]] = field(kw_only=True, repr=False)

    def __call__(self, images: Tensor) -> Tensor:
        """Features of images.

        Parameters
        ----------
        images : Tensor of shape (n, c, s, s)
            float32 in [-1, 1], c 1 or 3; a grey image is repeated for an encoder of colour.

        Returns
        -------
        Tensor of shape (n, width)
            float32, on the device of the images.

        Raises
        ------
        InputError
            If the images have another size than it takes, or colours that it does not, or if a
            feature is not finite.
        """
        n, channels, height, width = images.shape
        if height != width or (self.image_size and height != self.image_size):
            size = f"{self.image_size} pixels a side" if self.image_size else "as wide as high"
            raise self._refusal(f"got images of {height} x {width} pixels", f"images {size}")
        if channels != self.channels and channels != 1:
            known = {1: "grey images", 3: "images in colour"}
            raise self._refusal(f"got images of {channels} channels", known[self.channels])
        most = _AT_ONCE if self.device.type == "cpu" else _AT_ONCE_ELSEWHERE
        step = max(1, most // max(1, height * width))
        source = images.to(self.device, torch.float32).expand(-1, self.channels, -1, -1)
        parts = _spread(self.run, torch.split(source, step) if n else ())
        with torch.no_grad():
            if any(part.shape[1:] != (self.width,) for part in parts):
                raise self._refusal(
                    f"gives features of shape {tuple(parts[0].shape)}", f"{self.width} values each"
                )
            result = torch.cat(parts).to(torch.float32) if n else source.new_empty((0, self.width))
            if not bool(torch.isfinite(result).all()):
                raise self._refusal("gives features that are not finite", "finite numbers")
        return result.to(images.device)

    def _refusal(self, what: str, expected: str) -> InputError:
        mend = "check the images and `encoder_input`, or choose another `encoder`"
        return InputError(what, where=self.name, expected=expected, mend=mend)


def _spread(run: Callable[[Tensor], Tensor], blocks: Sequence[Tensor]) -> list[Tensor]:
    """What `run` makes of each block; on the CPU every thread of PyTorch takes whole blocks.

    Threads that share every single layer wait for each other after each: with other programs on
    the machine that is several times slower.
    """

    def work(block: Tensor) -> Tensor:
        # neither is the caller's own in another thread
        with torch.no_grad(), torch.autocast(block.device.type, enabled=False):
            return run(block)

    threads = torch.get_num_threads()
    if threads == 1 or len(blocks) < 2 or blocks[0].device.type != "cpu":
        return [work(block) for block in blocks]
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return list(pool.map(work, blocks))
    finally:
        torch.set_num_threads(threads)  # which libraries below count for the whole process


def tried(
    name: str,
    sha256: str,
    run: Callable[[Tensor], Tensor],
    *,
    device: torch.device,
    plain: Callable[[], Callable[[Tensor], Tensor]],
    own_size: int = 0,
    asked: int = 0,
    channels: int = 3,
    stated: str = "",
) -> Encoder:
    """An encoder of which a first image has shown that it works.

    Parameters
    ----------
    name, sha256, run, device, channels, plain
        As of an :class:`Encoder`.
    own_size : int
        Pixels a side that it wants; 0 if it takes any.
    asked : int
        Pixels a side of the images that it will get; 0 if that is not known yet.
    stated : str
        What was stated of its input.

    Returns
    -------
    Encoder

    Raises
    ------
    InputError
        If it wants images of another size, or does not give one row of numbers for an image.
    """
    if own_size and asked and own_size != asked:
        raise InputError(
            f"takes images of {own_size} pixels a side, not of {asked}",
            expected=f"`image_size` {own_size}",
            mend=f"set `image_size` to {own_size}, or choose another `encoder`",
        )
    side = own_size or asked or _USUAL_SIZE
    with torch.no_grad():
        first = run(torch.zeros(1, channels, side, side, dtype=torch.float32, device=device))
    if first.ndim != 2 or len(first) != 1 or not first.shape[1] or not first.is_floating_point():
        raise InputError(
            f"makes {tuple(first.shape)} values of one image",
            expected="one row of numbers for each image",
            mend="choose another `encoder`",
        )
    width = first.shape[1]
    encoder = Encoder(
        *(name, sha256, width, own_size, stated),
        run=run,
        device=device,
        channels=channels,
        plain=plain,
    )
    encoder(torch.zeros(1, 1, side, side, dtype=torch.float32))  # which must be finite
    return encoder


def state_digest(state: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, dtypes, shapes and bytes of a state dict, in its order."""
    digest = hashlib.sha256()
    for name, tensor in state.items():
        dtype = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name} {dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.detach().cpu().contiguous()
        digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
