"""What a program around us has set in PyTorch, kept out of what we compute."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from aeclust.errors import DeviceMemoryError

# What CUDA, MPS, cuDNN and cuBLAS say when a GPU's memory is full.
_FULL = ("out of memory", "STATUS_ALLOC_FAILED")


@contextmanager
def isolated(*, gradients: bool = False) -> Iterator[None]:
    """Within it a thread has PyTorch's own settings, and those of its caller again afterwards.

    They are whether gradients are recorded, autocast, and the default device. The default dtype
    cannot be among them, because it is that of all threads: state the dtype of what is made from
    nothing.

    Parameters
    ----------
    gradients : bool
        Record what the work inside needs for gradients; otherwise it is in inference mode.

    Raises
    ------
    DeviceMemoryError
        If a GPU has too little memory for the work.
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(not gradients))
        if gradients:
            stack.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # every call would pass through it; PyTorch before 2.8 knows no other way to ask
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(torch.device("cpu"))
        try:
            yield
        except RuntimeError as error:
            if not any(text in str(error) for text in _FULL):
                raise
            line = str(error).strip().splitlines()[0]
            raise DeviceMemoryError(
                f"the GPU has too little memory: {line.partition('. ')[0]}",
                where="`device`",
                expected="room for the network and a batch of images",
                mend="lower `batch_size`, end what else uses the GPU, or use `device` cpu",
            ) from error
