"""A GPU that is not there: its tensors hold real values and say that they lie on it.

Within :class:`Elsewhere` PyTorch computes on the CPU, so what a program makes can be compared with
what it makes there, number by number. What a GPU refuses is refused: an operation on tensors of
two devices, and dtypes that the device lacks. What crosses between the devices is counted.

PyTorch's own ``FakeTensorMode`` tells the devices apart too, but its tensors have no values: a
loop that reads its loss, or clusters its latents, cannot run there. This mode takes its place, so
that PyTorch asks for no driver either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

_aten = torch.ops.aten
# May take tensors of two devices: the first two are how anything crosses.
_COPIES = (_aten._to_copy.default, _aten.copy_.default, _aten.to.dtype_layout)
_INDEXING = (_aten.index.Tensor, _aten.index_put.default, _aten.index_put_.default)
# A GPU has to send what decides the answer, or its size.
_READS = (
    *(_aten._local_scalar_dense.default, _aten.equal.default, _aten.is_nonzero.default),
    *(_aten.nonzero.default, _aten.masked_select.default, _aten._unique2.default),
)


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

    def pin_memory(self) -> Tensor:  # type: ignore[override]
        raise AssertionError("only memory of the CPU can be pinned")

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

    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self, kind: str, lacks: Sequence[torch.dtype] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.device, self.lacks = torch.device(kind, 0), tuple(lacks)
        self.reads: list[str] = []
        self.sent: list[str] = []

    def __enter__(self) -> Elsewhere:
        self._before = (
            torch.Generator,
            torch._C._only_lift_cpu_tensors(),
            torch.__future__.get_overwrite_module_params_on_conversion(),
        )
        torch.Generator = _Source  # type: ignore[misc, assignment]
        torch._C._set_only_lift_cpu_tensors(True)
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *raised: Any) -> None:
        generator, lifted, overwritten = self._before
        torch.Generator = generator  # type: ignore[misc]
        torch._C._set_only_lift_cpu_tensors(lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(overwritten)
        super().__exit__(*raised)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
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
        args, kwargs = tree_map_only(Far, lambda x: x.near, (tuple(args), kwargs))
        result = func(*args, **kwargs)
        if not there:
            return result
        known = {
            id(x.near): x for x in far if isinstance(x, Far)
        }  # what was changed in place is what it was

        def claimed(x: Tensor) -> Far:
            return known[id(x)] if id(x) in known else self.far(x, func)

        return tree_map_only(Tensor, claimed, result)

    def far(self, near: Tensor, func: Any = None) -> Far:
        """A tensor of the device with these values."""
        if near.dtype in self.lacks:
            raise AssertionError(f"{func} makes {near.dtype}, which {self.device} lacks")
        return Far(near, self.device)
