"""A GPU that is not there: its tensors hold real values and say that they lie on it.

Within :class:`Elsewhere` PyTorch computes on the CPU, so what a program makes can be compared with
what it makes there, number by number. What a GPU refuses is refused: an operation on tensors of
two devices, and dtypes that the device lacks. What crosses between the devices is counted.

PyTorch's own ``FakeTensorMode`` tells the devices apart too, but its tensors have no values: a
loop that reads its loss, or clusters its latents, cannot run there. This mode takes its place, so
that PyTorch asks for no driver either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from aeclust.network import feed, shared_norm, training

MPS_LACKS = (torch.float64, torch.complex128)
_aten = torch.ops.aten
# May take tensors of two devices: the first two are how anything crosses.
_COPIES = (_aten._to_copy.default, _aten.copy_.default, _aten.to.dtype_layout)
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default)
# A GPU has to send what decides the answer, or its size.
_READS = (
    *(_aten._local_scalar_dense.default, _aten.equal.default, _aten.is_nonzero.default),
    *(_aten.nonzero.default, _aten.masked_select.default, _aten._unique2.default),
)


def tensors(values: Iterable[Any]) -> Iterator[Tensor]:
    """Tensors among values and in lists and tuples of them."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors(value)


def mapped(change: Callable[[Any], Any], value: Any) -> Any:
    """A value with every tensor in it changed."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)([mapped(change, each) for each in value])
    return value


class Far(Tensor):
    """A tensor of the device; `near` has its values. To PyTorch itself it has none ("meta")."""

    near: Tensor
    claimed: torch.device

    @staticmethod
    def __new__(cls, near: Tensor, device: torch.device) -> Far:
        with torch._C._DisableTorchDispatch():
            empty = torch.empty_strided(near.size(), near.stride(), dtype=near.dtype, device="meta")
            made: Far = Tensor._make_subclass(cls, empty, False, device_for_backend_keys=device)
        made.near, made.claimed = near, device
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.claimed

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        return False

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Far({self.near!r}, device={self.device})"

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} when the device has gone")


class _Source(torch.Generator):
    """A generator that says that it lies on the device, and draws the CPU's numbers."""

    def __new__(cls, device: torch.device | str = "cpu") -> _Source:
        made: _Source = super().__new__(cls, "cpu")  # type: ignore[call-arg]
        made.claimed = torch.device(device)
        return made

    claimed: torch.device

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return self.claimed


class Graph:
    """What stands for ``torch.cuda.CUDAGraph``: the operations of a recording, to be done again.

    As on a GPU, recording leaves every tensor as it was, and a replay does the same operations on
    the same memory. So what a step takes from Python stays what it was when it was recorded.
    """

    made: ClassVar[list[Graph]] = []  # in the order of their making

    def __init__(self) -> None:
        self._calls: list[tuple[Any, Any, Any, Any]] = []
        self._before: list[tuple[Tensor, Tensor]] = []
        self._states: list[Tensor] = []
        self.sources: list[torch.Generator] = []
        self.replays = 0
        Graph.made.append(self)

    def register_generator_state(self, source: torch.Generator) -> None:
        """Sources that are not registered would give the same numbers in every replay."""
        self.sources.append(source)
        self._states.append(source.get_state())

    def record(self, func: Any, args: Any, kwargs: Any) -> Any:
        """Do an operation, and note how to undo and to repeat it."""
        drawn = kwargs.get("generator")
        if drawn is not None and drawn._cdata not in [source._cdata for source in self.sources]:  # type: ignore[attr-defined]
            raise AssertionError(f"{func} draws from a source that is not registered")
        for argument, value in zip(func._schema.arguments, args, strict=False):
            declared = argument.alias_info is not None and argument.alias_info.is_write
            # which batch normalisation changes without a word
            if value is not None and (declared or argument.name.startswith("running_")):
                self._before += [(x, x.clone()) for x in tensors((value,))]
        result = func(*args, **kwargs)
        self._calls.append((func, args, kwargs, result))
        return result

    def end(self) -> None:
        """Undo everything."""
        for value, before in reversed(self._before):
            value.copy_(before)
        for source, state in zip(self.sources, self._states, strict=True):
            source.set_state(state)

    @torch.no_grad()
    def replay(self) -> None:
        """Do everything once more."""
        self.replays += 1
        for func, args, kwargs, result in self._calls:
            again = tensors((func(*args, **kwargs),))
            for place, value in zip(tensors((result,)), again, strict=True):
                if place.data_ptr() != value.data_ptr():
                    place.copy_(value)


class Stream:
    """What stands for a stream of a GPU: it notes what waits for what.

    Work is done at once here, so what a test can see is whether the waits are asked for.
    """

    current: ClassVar[Stream]
    log: ClassVar[list[str]]

    def __init__(self, device: object = None, name: str = "another") -> None:
        self.device, self.name = device, name

    def wait_stream(self, other: Stream) -> None:
        Stream.log.append(f"{self.name} waits for {other.name}")

    def record_event(self) -> Stream:
        return self

    def synchronize(self) -> None:
        Stream.log.append(f"the program waits for {self.name}")


@contextmanager
def on_stream(stream: Stream) -> Iterator[None]:
    """What stands for ``torch.cuda.stream``."""
    before, Stream.current = Stream.current, stream
    yield
    Stream.current = before


@contextmanager
def recording(
    graph: Graph, pool: object, stream: Stream, capture_error_mode: str
) -> Iterator[None]:
    """What stands for ``torch.cuda.graph``."""
    assert capture_error_mode == "thread_local", "other threads prepare batches meanwhile"
    mode = Elsewhere.inside
    assert mode is not None
    crossed = len(mode.reads), len(mode.sent)
    mode.graph = graph
    try:
        with on_stream(stream):
            yield
    finally:
        mode.graph = None
        graph.end()
    assert crossed == (len(mode.reads), len(mode.sent)), "a recording can wait for nothing"


class Elsewhere(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it there is a device of a kind.

    Parameters
    ----------
    kind : str
        cuda or mps.
    lacks : sequence of dtype
        That no tensor of the device can have.

    Attributes
    ----------
    device : torch.device
    reads : list of str
        The operations for which something came back from the device, in their order.
    sent : list of str
        Those that brought something there.
    """

    inside: ClassVar[Elsewhere | None] = None
    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self, kind: str, lacks: Sequence[torch.dtype] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.lacks = torch.device(kind, 0), tuple(lacks)
        self.reads: list[str] = []
        self.sent: list[str] = []
        self.graph: Graph | None = None

    def __enter__(self) -> Elsewhere:
        self._before = (
            torch.Generator,
            torch._C._only_lift_cpu_tensors(),
            torch.__future__.get_overwrite_module_params_on_conversion(),
        )
        torch.Generator = _Source  # type: ignore[misc, assignment]
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        Elsewhere.inside = self
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        Elsewhere.inside = None
        generator, lifted, overwritten = self._before
        torch.Generator = generator  # type: ignore[misc]
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = list(tensors((*args, *kwargs.values())))
        far, near = ([x for x in given if isinstance(x, Far) == there] for there in (True, False))
        if far and any(x.ndim for x in near) and func not in _COPIES + _INDEXING:
            raise AssertionError(f"{func} takes tensors of the CPU and of {self.device}")
        there = bool(far)
        stated = kwargs.get("device")
        if stated is not None:
            there = stated.type in (self.device.type, "meta")
            kwargs["device"] = torch.device("cpu") if there else stated
        if func is _aten.copy_.default:
            there = isinstance(args[0], Far)
        if far and (func in _READS or not there):
            self.reads.append(str(func))
        if near and there and any(x.ndim for x in near):
            self.sent.append(str(func))
        args = mapped(lambda x: getattr(x, "near", x), tuple(args))
        kwargs = {name: mapped(lambda x: getattr(x, "near", x), v) for name, v in kwargs.items()}
        if self.graph is not None:
            result = self.graph.record(func, args, kwargs)
        else:
            result = func(*args, **kwargs)
        if not there:
            return result
        known = {
            id(x.near): x for x in far if isinstance(x, Far)
        }  # what was changed in place is what it was

        def claimed(x: Tensor) -> Far:
            return known[id(x)] if id(x) in known else self.far(x, func)

        return mapped(claimed, result)

    def far(self, near: Tensor, func: Any = None) -> Far:
        """A tensor of the device with these values."""
        if near.dtype in self.lacks:
            raise AssertionError(f"{func} makes {near.dtype}, which {self.device} lacks")
        return Far(near, self.device)


@contextmanager
def gpu(
    kind: str, *, room: int = 2**30, replayed: Callable[..., Any] = lambda step, source, log: step
) -> Iterator[Elsewhere]:
    """A device with so many bytes for images, whose steps are done as they are, or `replayed`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feed, "room", lambda device: room)
        patch.setattr(Stream, "current", Stream(name="the first"), raising=False)
        patch.setattr(Stream, "log", [], raising=False)
        patch.setattr(Graph, "made", [])
        stands_for: dict[str, Any] = {
            # by these names autocast asks
            **{"is_available": lambda: True, "is_bf16_supported": lambda **_: True},
            **{"Stream": Stream, "stream": on_stream, "current_stream": lambda *_: Stream.current},
            **{"CUDAGraph": Graph, "graph": recording, "graph_pool_handle": lambda: "pool"},
            "device": nullcontext,
        }
        for name, value in stands_for.items():
            patch.setattr(torch.cuda, name, value)
        patch.setattr(Tensor, "pin_memory", lambda self: self)
        patch.setattr(Tensor, "record_stream", lambda self, stream: None)
        # it needs kernels that GPUs alone have, and takes the mean that ours takes
        patch.setattr(nn, "SyncBatchNorm", shared_norm.SharedBatchNorm)
        patch.setattr(training, "Replayed", replayed)
        with Elsewhere(kind, MPS_LACKS if kind == "mps" else ()) as device:
            yield device
