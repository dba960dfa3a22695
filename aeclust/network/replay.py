"""Steps that a GPU is sent once and then repeats by itself.

A step of a small network is a thousand operations of a few microseconds each, and a GPU would
mostly wait for Python to ask for the next. A CUDA graph records a step and asks for all of it at
once. ``torch.compile`` would merge operations too, but needs a compiler on the user's machine and
a minute for each shape of batch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from aeclust.network.feed import Batch

# Steps of a kind that are done as they are: libraries choose their ways and optimisers begin.
WARM_UP = 3

Step = Callable[..., Tensor]


class Replayed:
    """A step on a GPU, recorded when it comes for the fourth time and repeated from then on.

    A step is of one kind with another if their batches have the same shapes. Recording changes
    nothing: weights, optimiser and learning rate lie where they did.

    Parameters
    ----------
    step : callable
        Takes the tensors of a batch and gives one. It reads nothing back from the device, and
        what else it depends on lies in tensors that stay where they are.
    source : Generator
        That it draws from; it may be seeded anew before every step.
    log : callable
        Takes a line, if the GPU records nothing. Then steps are done as they are.
    """

    def __init__(self, step: Step, source: torch.Generator, log: Callable[[str], None]) -> None:
        self._step, self._source, self._log = step, source, log
        # all on one stream: what libraries and the allocator keep for it serves every kind
        self._stream = torch.cuda.Stream(source.device)  # type: ignore[no-untyped-call]
        self._seen = Counter[Any]()
        self._records: dict[Any, _Record] = {}
        self._pool: Any = None
        self._refused = False

    def __call__(self, *batch: Tensor | None) -> Tensor:
        """One step; what it gives is overwritten by the next."""
        kind = tuple(None if x is None else (x.shape, x.dtype) for x in batch)
        self._seen[kind] += 1
        with torch.cuda.device(self._source.device):
            if self._seen[kind] > WARM_UP and kind not in self._records and not self._refused:
                self._record(kind, batch)
            if kind in self._records:
                return self._records[kind].replay(batch)
            if self._refused:
                return self._step(*batch)
            return self._aside(batch)

    def _aside(self, batch: Batch) -> Tensor:
        """A step as it is, on the stream where it will be recorded."""
        before = torch.cuda.current_stream()
        self._stream.wait_stream(before)
        with _tried_ways(), torch.cuda.stream(self._stream):
            result = self._step(*batch)
        before.wait_stream(self._stream)
        return result

    def _record(self, kind: Any, batch: Batch) -> None:
        before = torch.cuda.current_stream()
        try:
            # graphs that never run at a time can share their memory
            self._pool = self._pool or torch.cuda.graph_pool_handle()
            self._records[kind] = _Record(self._step, batch, self._source, self._pool, self._stream)
        except RuntimeError as error:
            self._refused = True
            _recover(before, self._source)
            reason = str(error).partition("\n")[0]
            self._log(f"the GPU records no steps ({reason}), so training is slower")


class _Record:
    """A recorded step, and the places of its batch and its result."""

    def __init__(
        self, step: Step, batch: Batch, source: torch.Generator, pool: Any, stream: Any
    ) -> None:
        self._batch = tuple(x if x is None else x.clone() for x in batch)
        self._graph = torch.cuda.CUDAGraph()
        self._graph.register_generator_state(source)
        # another thread may prepare the next batch meanwhile
        record = torch.cuda.graph(
            self._graph, pool=pool, stream=stream, capture_error_mode="thread_local"
        )
        with _tried_ways(), record:
            self._result = step(*self._batch)

    def replay(self, batch: Batch) -> Tensor:
        for place, values in zip(self._batch, batch, strict=True):
            if place is not None and values is not None:
                place.copy_(values)
        self._graph.replay()
        return self._result


def _recover(before: Any, source: torch.Generator) -> None:
    """Go on after a recording that failed, which leaves its stream and generators as they were."""
    torch.cuda.set_stream(before)
    usual = torch.cuda.default_generators[torch.cuda.current_device()]
    for stuck in (source, usual):
        fresh = torch.Generator(stuck.device).manual_seed(stuck.initial_seed())
        stuck.graphsafe_set_state(fresh.graphsafe_get_state())


@contextmanager
def _tried_ways() -> Iterator[None]:
    """Let cuDNN try its ways to convolve the first time, and keep the fastest for a shape."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
