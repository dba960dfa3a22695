"""What a step learns from, brought to its device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aeclust.network.batches import in_memory

_BLOCK = 2**26  # bytes that are brought to a device at a time
_AHEAD = 2  # batches that are read before a device asks, and as many on their way there
_LARGEST_ON_MPS = 2**31 - 1  # beyond so many values it gathers rows of zeros, without a word

Batch = tuple[Tensor | None, ...]


class Feed:
    """Rows of arrays as tensors of a device.

    A GPU keeps whole arrays, if they fill no more than half of its free memory: then a batch is
    gathered there. Otherwise another thread reads the next batches while the GPU computes, into
    memory that it copies from by itself.

    Parameters
    ----------
    arrays : sequence of ndarray of shape (n, ...) or None
        uint8, or what float32 can hold. None stays None.
    device : torch.device
    """

    def __init__(self, arrays: Sequence[NDArray[Any] | None], device: torch.device) -> None:
        self._arrays, self._device = tuple(arrays), device
        size = sum(size_of(array) for array in arrays if array is not None)
        self.resident = 0 < size <= room(device)
        self._there: Batch = ()
        if self.resident:
            self._there = tuple(a if a is None else _whole(a, device) for a in arrays)

    def add(self, array: NDArray[Any]) -> None:
        """Rows of another array (n, ...) come last in every batch from now on."""
        self._arrays += (array,)
        if self.resident:
            self._there += (_whole(array, self._device),)

    def batches(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        """The tensors of each batch, of which these are the rows."""
        if self.resident:
            order = torch.from_numpy(np.concatenate([np.empty(0, np.int64), *rows]))
            for here in torch.split(order.to(self._device), [len(batch) for batch in rows]):
                yield tuple(a if a is None else a.index_select(0, here) for a in self._there)
        elif self._device.type == "cpu":
            yield from map(self._read, rows)
        else:
            yield from self._read_ahead(rows)

    def _read(self, rows: NDArray[np.int64]) -> Batch:
        pinned = self._device.type == "cuda"
        near = [a if a is None else in_memory(a[rows]) for a in self._arrays]
        return tuple(x.pin_memory() if pinned and x is not None else x for x in near)

    def _read_ahead(self, rows: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
        send = _Sender(self._device) if self._device.type == "cuda" else self._sent
        with ThreadPoolExecutor(1) as reader:
            coming = [reader.submit(self._read, batch) for batch in rows[:_AHEAD]]
            try:
                for number in range(len(rows)):
                    near = coming.pop(0).result()
                    if number + _AHEAD < len(rows):
                        coming.append(reader.submit(self._read, rows[number + _AHEAD]))
                    yield send(near)
            finally:
                reader.shutdown(cancel_futures=True)

    def _sent(self, near: Batch) -> Batch:
        """To a device that copies at once: what is left of the batch here may go."""
        return tuple(x if x is None else x.to(self._device) for x in near)


class _Sender:
    """Copies batches to a GPU while it computes, and holds them until they are there."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._flying: list[tuple[Any, Batch]] = []

    def __call__(self, near: Batch) -> Batch:
        if len(self._flying) == _AHEAD:
            self._flying.pop(0)[0].synchronize()
        user = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            there = tuple(x if x is None else x.to(self._device, non_blocking=True) for x in near)
            self._flying.append((self._stream.record_event(), near))
        user.wait_stream(self._stream)
        for x in there:
            if x is not None:
                x.record_stream(user)
        return there


def room(device: torch.device) -> int:
    """Bytes of arrays that a device can keep beside what it computes; a CPU needs no copy."""
    if device.type == "cuda":
        # what PyTorch holds and does not use is free, too
        held = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return (torch.cuda.mem_get_info(device)[0] + held) // 2
    if device.type == "mps":
        free = torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
        return min(free // 2, _LARGEST_ON_MPS)
    return 0


def size_of(array: NDArray[Any]) -> int:
    """Bytes that an array takes on a device."""
    return array.size * (1 if array.dtype == np.uint8 else 4)


def _whole(array: NDArray[Any], device: torch.device) -> Tensor:
    """All of an array on a device, without a second copy of it in memory."""
    kind = torch.uint8 if array.dtype == np.uint8 else torch.float32
    there = torch.empty(array.shape, dtype=kind, device=device)
    step = max(1, _BLOCK // max(1, array[:1].nbytes))
    for start in range(0, len(array), step):
        there[start : start + step].copy_(in_memory(array[start : start + step]))
    return there
