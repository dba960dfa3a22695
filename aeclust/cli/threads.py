"""With how many threads a command computes: as many as there are cores that nobody else uses.

Two threads that work on one network wait for each other at every step. Where another process takes
one of two cores, both run at the pace of the slower, and one thread alone is twice as fast.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_WATCH = 0.25  # seconds over which the cores are watched, at least
# A core counts as idle that is so for most of the time: an idle machine is never wholly idle.
_SLACK = 0.4


@contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Within it PyTorch and the libraries below NumPy and scikit-learn use so many threads."""
    if threads is None:
        yield
        return
    from threadpoolctl import ThreadpoolController, threadpool_limits

    def libraries() -> dict[str, Any]:
        return {library.filepath: library for library in ThreadpoolController().lib_controllers}

    torch, loaded = sys.modules.get("torch"), libraries()
    number = torch.get_num_threads() if torch else 0
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, str(threads)))  # for what is loaded later
    try:
        with threadpool_limits(threads):  # and for what is loaded already
            if torch:
                torch.set_num_threads(threads)
            yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        for path, library in libraries().items():
            if path not in loaded:  # what was loaded meanwhile
                library.set_num_threads(usual())
        if "torch" in sys.modules:
            sys.modules["torch"].set_num_threads(number or usual())


def wished() -> bool:
    """Whether the environment says how many threads there are to be."""
    return bool(os.environ.get("OMP_NUM_THREADS"))


def usual() -> int:
    """How many threads libraries have by themselves."""
    wish = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(wish) if wish.isdecimal() and int(wish) else cores()


def suitable(log: Callable[[str], None], recorded: int | None = None) -> int:
    """How many threads should train now; a busy machine is logged.

    As many as the environment wishes, or else as there are idle cores.

    Parameters
    ----------
    log : callable
        Takes a line for the user.
    recorded : int, optional
        With how many the run was begun: it goes on with them, so that it ends with the same bytes.
    """
    before = _usage()
    import torch
    from joblib import cpu_count  # loky's, which knows the limits of containers

    if wished():
        return torch.get_num_threads()
    most = min(torch.get_num_threads(), int(cpu_count()))
    idle = 1.0 if before is None or most == 1 else _idle_share(before)
    threads = max(1, min(most, int(torch.get_num_threads() * idle + _SLACK)))
    busy = round(cores() * (1 - idle))
    busy_now = f"{busy} of {cores()} cores {'is' if busy == 1 else 'are'} busy"
    if recorded is not None:
        if threads < min(most, recorded):
            log(f"{busy_now}: the run continues with {recorded} threads; --threads asks for fewer")
        return recorded
    if threads < most:
        word = "thread" if threads == 1 else "threads"
        all_ = "both" if most == 2 else "all"
        log(f"{busy_now}: training with {threads} {word}; --threads {most} asks for {all_}")
    return threads


def cores() -> int:
    """Processors that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _idle_share(before: tuple[float, float, float]) -> float:
    """The share of our cores that others have left idle since some usage."""
    until = time.monotonic() + 4 * _WATCH  # the counters of some containers stand still
    while time.monotonic() < until and (now := _usage()) is not None:
        busy, total, own = (new - old for new, old in zip(now, before, strict=True))
        if total >= _WATCH * cores():
            return min(1.0, max(0.0, 1 - (busy - own) / total))
        time.sleep(0.05)
    return 1.0


def _usage() -> tuple[float, float, float] | None:
    """Seconds that our cores were busy, all in all, and busy for us; None where nobody counts."""
    if not hasattr(os, "sched_getaffinity"):
        return None
    ours, tick = os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK")
    busy = total = 0.0
    try:
        with open("/proc/stat", encoding="ascii") as lines:
            for line in lines:
                name, *counts = line.split()
                if name.startswith("cpu") and name[3:].isdecimal() and int(name[3:]) in ours:
                    # user, nice, system, idle, waiting for a disk, interrupts, stolen
                    times = [int(count) / tick for count in counts[:8]]
                    total += sum(times)
                    busy += sum(times) - times[3] - times[4]
    except (OSError, ValueError, IndexError):
        return None
    return (busy, total, time.process_time()) if total else None
