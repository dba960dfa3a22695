"""A device that is not there: its tensors hold real values and claim to lie on a GPU.

Within :class:`Elsewhere` PyTorch computes on the CPU, so results can be compared, but every tensor
that a program makes on, or brings to, the device says that it lies there. What a GPU refuses is
refused: an operation on tensors of two devices, and dtypes that the device lacks. What comes back
from the device is counted.

:class:`torch._subclasses.FakeTensorMode` does the same without values. A loop that reads its
loss, or clusters its latents, cannot run there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map_only

aten = torch.ops.aten
# Operations that may take tensors of two devices.
_BRIDGES = (aten._to_copy.default, aten.copy_.default)
_INDEXING = (aten.index.Tensor, aten.index_put.default, aten.index_put_.default)
_READS = (aten._local_scalar_dense.default, aten.equal.default, aten.is_nonzero.default)
# The size of what they give depends on values, which a GPU has to send first.
_SIZED = (aten.nonzero.default, aten.masked_select.default, aten._unique2.default)


class Far(Tensor):
    """A tensor of the device: `near` has its values."""

    near: Tensor

    @staticmethod
    def __new__(cls, near: Tensor, device: torch.device) -> Far:
        with torch._C._DisableTorchDispatch():
            size, stride = near.size(), near.stride()
            empty = torch.empty_strided(size, stride, dtype=near.dtype, device="meta")
            made = Tensor._make_subclass(
                cls, empty, False, device_for_backend_keys=device
            )
        made.near, made.claimed = near, device
        return made

    @property
    def device(self) -> torch.device:
        return self.claimed

    def __repr__(self) -> str:
        return f"Far({self.near!r}, device={self.device})"

    @classmethod
    def __torch_dispatch__(
        cls, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} outside of the device")


class Elsewhere(TorchDispatchMode):
    """Within it there is a device of this kind.

    Attributes
    ----------
    reads : list of str
        The operations that brought something back, in their order.
    """

    # in the place of FakeTensorMode, for which PyTorch does not ask whether a device is there
    _mode_key = torch._C._TorchDispatchModeKey.FAKE

    def __init__(self, kind: str, lacks: Sequence[torch.dtype] = ()) -> None:
        super().__init__()
        self.kind, self.lacks, self.reads = kind, tuple(lacks), []

    def __enter__(self):
        self._generator = torch.Generator
        mode=self
        class G(torch.Generator):
            def __new__(cls, device="cpu"):
                made=super().__new__(cls, "cpu")
                made.place=torch.device(device)
                return made
            @property
            def device(self): return self.place
        torch.Generator = G
        self._overwritten = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self._lifted = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *caught):
        torch.Generator = self._generator
        torch._C._set_only_lift_cpu_tensors(self._lifted)
        torch.__future__.set_overwrite_module_params_on_conversion(self._overwritten)
        super().__exit__(*caught)

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
        far = [x for x in given if isinstance(x, Far)]
        near = [x for x in given if not isinstance(x, Far)]
        stated = kwargs.get("device")
        if func in _BRIDGES:
            pass
        elif far and any(x.ndim for x in near) and func not in _INDEXING:
            raise AssertionError(f"{func} of tensors on cpu and {self.kind}")
        here = stated.type not in (self.kind, "meta") if stated is not None else not far
        if func is aten.copy_.default:
            here = not isinstance(args[0], Far)
        if far and (func in _READS or func in _SIZED or here):
            self.reads.append(str(func))
        if stated is not None:
            kwargs["device"] = torch.device("cpu")
        plain = tree_map_only(Far, lambda x: x.near, (tuple(args), kwargs))
        result = func(*plain[0], **plain[1])
        if here:
            return result
        known = {id(x.near): x for x in far}

        def wrapped(x: Tensor) -> Tensor:
            if x.dtype in self.lacks:
                raise AssertionError(f"{func} makes {x.dtype}, which {self.kind} lacks")
            if id(x) in known:
                return known[id(x)]
            return Far(x, torch.device(self.kind, 0))

        return tree_map_only(Tensor, wrapped, result)
