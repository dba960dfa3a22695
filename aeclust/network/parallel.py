"""Several processes that train one network, each on its share of every batch.

``torchrun`` starts them and tells each its rank; gloo (CPU) or NCCL (CUDA) carries what they
exchange. Everything here does nothing in a process that is alone.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn

from aeclust.errors import InputError, Interrupted

T = TypeVar("T")


@dataclass(frozen=True)
class Team:
    """The processes that work together, as one of them sees it.

    Attributes
    ----------
    rank, size : int
        Its number, from 0, and how many there are. Number 0 leads: it alone writes and prints.
    device : torch.device
        Where its tensors lie.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether it is this process that writes, clusters and speaks for all."""
        return self.rank == 0

    def share(self, total: int) -> Share:
        """This process's part of `total` rows."""
        return Share(self, total)

    def tell(self, value: T) -> T:
        """What the leader passes, in every process; what others pass is ignored."""
        if self.size == 1:
            return value
        box: list[Any] = [value if self.leads else None]
        dist.broadcast_object_list(box, src=0, device=self.device)
        told: T = box[0]
        return told

    def most(self, number: int) -> int:
        """The largest number that a process passes."""
        if self.size == 1:
            return number
        value = torch.tensor(number, device=self.device)
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def parallel(self, network: nn.Module, *, idle: nn.Module | None = None) -> nn.Module:
        """The network for training: gradients and batch statistics are those of whole batches.

        Every process starts with the leader's weights. What is `idle` must not be used.
        """
        if self.size == 1:
            return network
        _share_statistics(network, self)
        waiting = [] if idle is None else list(idle.parameters())
        for value in waiting:  # or else the others' gradients would be waited for as well
            value.requires_grad_(False)
        wrapped = nn.parallel.DistributedDataParallel(network)
        for value in waiting:
            value.requires_grad_(True)
        return wrapped


ALONE = Team()


@dataclass(frozen=True)
class Share:
    """The part of some rows that one process works on: consecutive, as even as can be."""

    team: Team
    total: int

    @property
    def sizes(self) -> list[int]:
        """Rows of every process: they differ by one at most, the first have more."""
        least, more = divmod(self.total, self.team.size)
        return [least + (rank < more) for rank in range(self.team.size)]

    @property
    def rows(self) -> slice:
        """Which of the rows are its own."""
        first = sum(self.sizes[: self.team.rank])
        return slice(first, first + self.sizes[self.team.rank])

    @property
    def weight(self) -> float:
        """What a mean over this share counts, so that the mean over processes is that of all."""
        return self.sizes[self.team.rank] * self.team.size / self.total

    def gather(self, own: Tensor) -> Tensor:
        """All rows (total, ...) in every process, of its own (m, ...); gradients flow back."""
        if self.team.size == 1:
            return own
        everyone: Tensor = _Gather.apply(own, self)  # type: ignore[no-untyped-call]
        return everyone

    def gather_views(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """Of two views (2 m, ...), one below the other, all (2 total, ...), and the rows of these
        (2 m,) that are this process's own."""
        both = torch.cat([self.gather(view) for view in own.chunk(2)])
        mine = torch.arange(self.rows.start, self.rows.stop, device=own.device)
        return both, torch.cat([mine, mine + self.total])

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means over all rows, of means (t,) over each process's own; equal in every process."""
        if self.team.size == 1:
            return values
        weighted = torch.tensor(values * (self.weight / self.team.size), device=self.team.device)
        dist.all_reduce(weighted)
        return np.asarray(weighted.cpu().numpy())


@contextmanager
def joined(device: torch.device, *, size: int, local_rank: int = 0) -> Iterator[Team]:
    """Within it this process belongs to the team that ``torchrun`` started.

    Parameters
    ----------
    device : torch.device
        The kind of it; of several GPUs the process takes the one of its number on this machine.
    size : int
        Processes of the team.
    local_rank : int
        Its number among those on this machine.

    Raises
    ------
    InputError
        If processes cannot exchange tensors of this device.
    Interrupted
        If another process of the team is lost.
    """
    backend = {"cpu": "gloo", "cuda": "nccl"}.get(device.type)
    if backend is None:
        raise InputError(
            f"{size} processes cannot work together on {device.type}",
            where="--device",
            expected="cpu or cuda",
            mend="use --device cpu, or a single process",
        )
    if device.type == "cuda":
        device = torch.device("cuda", local_rank)
        if local_rank >= torch.cuda.device_count():
            raise InputError(
                f"process {local_rank} of this machine has no GPU of its own",
                where="--device",
                expected=f"at most {torch.cuda.device_count()} processes",
                mend="start fewer, or use --device cpu",
            )
        torch.cuda.set_device(device)
    try:
        # all wait while the leader alone clusters; a lost process is noticed by its connection
        dist.init_process_group(backend, timeout=timedelta(days=7))
        yield Team(dist.get_rank(), size, device)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise Interrupted(
            signal.SIGTERM, "another process of this job has ended; see what it said"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    """All processes' rows. What a row is used for anywhere comes back to where it was made."""

    @staticmethod
    def forward(ctx: Any, own: Tensor, share: Share) -> Tensor:
        ctx.share = share
        # every process has to pass the same shape
        padded = own.new_zeros((max(share.sizes), *own.shape[1:]))
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in share.sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, share.sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        whole = gradient.contiguous()
        dist.all_reduce(whole)
        return whole[ctx.share.rows], None


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the mean and variance of the batches of all processes.

    PyTorch's ``SyncBatchNorm`` does it on GPUs alone. Means and variances of parts make those of
    the whole (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing
    sample variances", 1979).
    """

    team = ALONE

    def _check_input_dim(self, input: Tensor) -> None:
        """Any number of axes is right: a norm of the same kind was here before."""

    def forward(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        values = input.float()
        axes = [axis for axis in range(values.ndim) if axis != 1]
        own = torch.stack(torch.var_mean(values, axes, correction=0))
        count = torch.full_like(own[:1], values.numel() / values.shape[1])
        parts = self.team.share(self.team.size).gather(torch.cat([own, count])[None])
        variances, means, counts = parts.unbind(1)
        shares = counts / counts.sum(0)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        n = counts.sum(0)
        with torch.no_grad():
            for kept, new in (
                (self.running_mean, mean),
                (self.running_var, variance * n / (n - 1)),
            ):
                if kept is not None and self.momentum is not None:
                    kept.lerp_(new, self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked += 1
        scale = self.weight * torch.rsqrt(variance + self.eps)
        offset = self.bias - mean * scale
        shape = [-1 if axis == 1 else 1 for axis in range(values.ndim)]
        return torch.addcmul(offset.view(shape), values, scale.view(shape)).to(input.dtype)


def _share_statistics(network: nn.Module, team: Team) -> None:
    """Let every batch normalisation of a network see whole batches; names and values stay."""
    for module in list(network.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d) and not isinstance(
                child, _SharedBatchNorm
            ):
                shared = _SharedBatchNorm(child.num_features, child.eps, child.momentum)
                shared.team = team
                shared.weight, shared.bias = child.weight, child.bias
                for buffer, value in child.named_buffers():
                    setattr(shared, buffer, value)
                setattr(module, name, shared)
