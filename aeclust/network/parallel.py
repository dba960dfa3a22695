"""Several processes that train one network, each at work on its share of every batch.

``torchrun`` starts them and gives each its rank; gloo carries what they exchange on CPUs, and NCCL
what lies on GPUs. Everything here does nothing in a process that is alone.

Gradients: every process computes the loss of the whole batch from the gathered outputs. On the way
back :class:`_Gather` adds up what all processes derive for a row, which is the row's gradient once
for each process; DistributedDataParallel then takes the mean over the processes.

Costs: every process prepares the images and views of the whole batch, runs the network on its
share alone, and holds the outputs of all. So memory for a batch and the time to prepare it do not
shrink with more processes. In return the loop and the losses read as if the process were alone,
and draw the same random numbers.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import accumulate
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]

from aeclust.errors import InputError, Interrupted
from aeclust.network.model import Autoencoder, Output
from aeclust.network.place import Place
from aeclust.network.shared_norm import share_statistics

T = TypeVar("T")

# Seconds that processes wait for one another before work begins, and before that is said.
PATIENCE, _SILENCE = 300.0, 2.0


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
        """Whether it is this process that writes, clusters and prints for all."""
        return self.rank == 0

    def sizes(self, total: int) -> list[int]:
        """Shares of so many rows: they differ by one at most, the first have more."""
        least, more = divmod(total, self.size)
        return [least + (rank < more) for rank in range(self.size)]

    def rows(self, total: int) -> slice:
        """Which of so many rows are the share of this process: consecutive ones."""
        first = sum(self.sizes(total)[: self.rank])
        return slice(first, first + self.sizes(total)[self.rank])

    def strided(self, total: int, every: int) -> list[slice]:
        """Slices of each process's share that together are rows 0, `every`, 2 `every`, ..."""
        starts = accumulate(self.sizes(total)[:-1], initial=0)
        return [slice(-start % every, None, every) for start in starts]

    def gather(self, part: Tensor, total: int, every: int = 1) -> Tensor:
        """Rows 0, `every`, ... of all in every process, from those of its share; differentiable."""
        if self.size == 1:
            return part
        shares = zip(self.sizes(total), self.strided(total, every), strict=True)
        counts = [len(range(size)[rows]) for size, rows in shares]
        whole: Tensor = _Gather.apply(part, counts, self.rank)  # type: ignore[no-untyped-call]
        return whole

    def shared(self, work: Callable[[NDArray[Any]], Tensor], rows: NDArray[Any]) -> Tensor:
        """What `work` makes of rows (n, ...), where every process works on its share."""
        return self.gather(work(rows[self.rows(len(rows))]), len(rows))

    def broadcast(self, value: T) -> T:
        """What the leader passes, in every process; what others pass is ignored."""
        if self.size == 1:
            return value
        box: list[Any] = [value if self.leads else None]
        # others wait here for minutes, while the leader clusters
        _abandonable(lambda: dist.broadcast_object_list(box, src=0, device=torch.device("cpu")))
        sent: T = box[0]
        return sent

    def maximum(self, number: int) -> int:
        """The largest number that a process passes."""
        if self.size == 1:
            return number
        value = torch.tensor(number)  # no GPU is waited for
        dist.all_reduce(value, dist.ReduceOp.MAX)
        return int(value)

    def parallel(self, network: Autoencoder) -> nn.Module:
        """The network for training, with the leader's weights.

        Parameters
        ----------
        network : Autoencoder
            Of parameters that need no gradient now, none may be trained later.

        Returns
        -------
        Module
            Takes what the network takes, in every process the same, and gives the whole
            :class:`~aeclust.network.model.Output`, but runs its share of the images alone.
            Gradients and batch statistics become those of whole batches.
        """
        return network if self.size == 1 else _Parallel(network, self)

    def check_batch(self, n: int, every: int = 1) -> None:
        """Refuse batches of `n` images, if a process would get fewer than `every`."""
        if n < self.size * every:
            raise InputError(
                f"a batch of {n} images cannot be shared by {self.size} processes",
                expected=f"at least {self.size * every} images in every batch",
                mend="change `batch_size`, or start fewer processes",
            )


ALONE = Team()


@contextmanager
def joined(
    device: torch.device,
    place: Place,
    *,
    log: Callable[[str], None] = lambda line: None,
    patience: float | None = None,
) -> Iterator[Team]:
    """Within it this process belongs to the team that was started with it.

    Parameters
    ----------
    device : torch.device
        The kind of it; of several GPUs the process takes the one of its number on this machine.
    place : Place
    log : callable
        Takes a line that says who is waited for.
    patience : float, optional
        Seconds to wait for the others; five minutes, if it is not given.

    Yields
    ------
    Team

    Raises
    ------
    InputError
        If processes cannot exchange tensors of this device, or the others do not come.
    Interrupted
        If another process of the team is lost.
    """
    backend, device = _backend(device, place)
    try:
        store = _meet(place, log, PATIENCE if patience is None else patience)

        def begin() -> None:
            # all wait while the leader alone clusters; a lost process is noticed by its connection
            dist.init_process_group(
                backend, store=store, rank=place.rank, world_size=place.size,
                timeout=timedelta(days=7),
            )  # fmt: skip

        _abandonable(begin)
        yield Team(place.rank, place.size, device)
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        raise Interrupted(
            signal.SIGTERM, "another process of this job has ended; see what it said"
        ) from error
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _backend(device: torch.device, place: Place) -> tuple[str, torch.device]:
    """By what processes on this kind of device exchange tensors, and the device of this one."""
    backend = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}.get(device.type)
    if backend is None:
        raise InputError(
            f"{place.size} processes cannot work together on {device.type}",
            where="`device`",
            expected="cpu or cuda",
            mend="use `device` cpu, or a single process",
        )
    if device.type == "cuda":
        device = torch.device("cuda", place.local_rank)
        if place.local_rank >= torch.cuda.device_count():
            raise InputError(
                f"process {place.local_rank} of this machine has no GPU",
                where="`device`",
                expected=f"at most {torch.cuda.device_count()} processes",
                mend="start fewer, or use `device` cpu",
            )
        torch.cuda.set_device(device)
    return backend, device


def _meet(place: Place, log: Callable[[str], None], patience: float) -> Store:
    """What the processes keep in common, once all of them are there."""
    started, said = time.monotonic(), ""

    def wait_for(missing: str, mend: str = "start them, or unset WORLD_SIZE") -> float:
        """Seconds that are left to wait."""
        nonlocal said
        passed = time.monotonic() - started
        if passed > patience:
            raise InputError(
                f"{missing} did not come within {patience / 60:.2g} minutes",
                where=place.address,
                expected=f"{place.size} processes, as WORLD_SIZE says",
                mend=mend,
            )
        if passed > min(_SILENCE, patience / 2) and missing != said:
            said = missing
            log(f"waiting for {missing} at {place.address}, as WORLD_SIZE says; {mend}")
        time.sleep(0.05)
        return patience - passed

    server, left = place.rank == 0 and not place.hosted, patience
    while not (server or _answers(place)):
        left = wait_for(f"process 0 of {place.size}", "start it, or unset WORLD_SIZE")

    def connect() -> Store:
        # the server is on this machine, whatever others call it
        host, limit = "127.0.0.1" if server else place.host, timedelta(seconds=patience)
        return TCPStore(host, place.port, place.size, server, limit, wait_for_workers=False)

    try:
        store = PrefixStore(f"aeclust/{place.attempt}", _abandonable(connect, left))
    except (dist.DistNetworkError, TimeoutError) as error:
        raise InputError(
            "another program uses this port",
            where=place.address,
            expected="one where the processes can meet",
            mend="change MASTER_PORT",
        ) from error
    if store.add(str(place.rank), 1) > 1:
        raise InputError(
            f"another process has RANK {place.rank}, too",
            where=place.address,
            expected=f"every number from 0 to {place.size - 1} once",
            mend="start each with its own",
        )
    while missing := [r for r in range(place.size) if not store.check([str(r)])]:
        wait_for(f"{len(missing)} of {place.size} processes")
    return store


def _answers(place: Place) -> bool:
    """Whether somebody listens where the processes meet."""
    try:
        socket.create_connection((place.host, place.port), timeout=1).close()
    except OSError:
        return False
    return True


def _abandonable(work: Callable[[], T], seconds: float | None = None) -> T:
    """What `work` returns, from another thread: in this one, signals are obeyed meanwhile.

    Python heeds none while PyTorch waits for other processes. Work that is not waited for to its
    end goes on until the process ends.
    """
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(work())
        except BaseException as error:
            answer.set_exception(error)

    Thread(target=run, daemon=True).start()
    return answer.result(seconds)


class _Parallel(nn.Module):
    """A network that runs its share of a batch and gathers the output of the whole."""

    def __init__(self, network: Autoencoder, team: Team) -> None:
        super().__init__()
        share_statistics(network, team)
        self.network, self.team = nn.parallel.DistributedDataParallel(network), team
        self.views = network.views

    def forward(
        self,
        images: Tensor,
        noise: Tensor | None = None,
        crops: Tensor | None = None,
        drawn: slice = slice(None),
    ) -> Output:
        n, every = len(images) // self.views, drawn.step or 1
        rows, here = self.team.rows(n), self.team.strided(n, every)[self.team.rank]

        def share(whole: Tensor | None) -> Tensor | None:
            if whole is None:
                return None
            return torch.cat([view[rows] for view in whole.chunk(len(whole) // n)])

        def gathered(name: str, part: Tensor | None) -> Tensor | None:
            if part is None:
                return None
            if name == "reconstruction":
                return self.team.gather(part.float(), n, every)
            views = part.float().chunk(len(part) // (rows.stop - rows.start))
            return torch.cat([self.team.gather(view, n) for view in views])

        output = self.network(share(images), share(noise), share(crops), here)
        return Output(**{name: gathered(name, part) for name, part in vars(output).items()})  # type: ignore[arg-type]


class _Gather(torch.autograd.Function):
    """All processes' rows. What a row is used for anywhere comes back to where it was made."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, sizes: list[int], rank: int) -> Tensor:
        first = sum(sizes[:rank])
        ctx.rows = slice(first, first + sizes[rank])
        # every process has to pass the same shape
        padded = part.new_zeros((max(sizes), *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        whole = gradient.clone(memory_format=torch.contiguous_format)  # others may hold it too
        dist.all_reduce(whole)
        return whole[ctx.rows], None, None
