"""How much memory a step will take, known before it is taken.

Every estimate is of the most that a step holds at a time beside what was there before, in bytes;
``tests/artifact/test_memory.py`` compares it with what the system counts.
"""

from __future__ import annotations

import os
from pathlib import Path

from aeclust.errors import InputError

_CGROUP = Path("/sys/fs/cgroup/memory.max")  # what a container may use of its machine


def check(needed: float, what: str, mend: str) -> None:
    """Refuse a step that would not fit into the machine's memory.

    Parameters
    ----------
    needed : float
        Bytes.
    what : str
        The step, for the error.
    mend : str
        What the user can do instead.

    Raises
    ------
    InputError
        If `needed` bytes are more than the machine has.
    """
    there = machine()
    if there is not None and needed > there:
        raise InputError(
            f"{what} needs about {needed / 1e9:.0f} GB of memory",
            expected=f"at most {there / 1e9:.0f} GB, all that this machine has",
            mend=mend,
        )


def machine() -> int | None:
    """Bytes of memory of this machine, or of the container; None where it is not known."""
    if not hasattr(os, "sysconf"):  # Windows
        return None
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        limit = _CGROUP.read_text().strip()
    except OSError:
        return total
    return min(total, int(limit)) if limit.isdigit() else total


def kernel_pca(n: int, d: int) -> float:
    """The kernel and what LAPACK makes of it, and two copies of n points of d values.

    A search for few components, see :func:`aeclust.clusters.eigen.leading`, takes less where it
    succeeds.
    """
    return 16.0 * n * n + 16.0 * n * d


def tsne(n: int, d: int, perplexity: float) -> float:
    """Distances and probabilities of 3 x perplexity neighbours, a tree, and a copy of n points."""
    return n * (450 + 190 * perplexity + 8 * d)


def spectral(n: int, d: int, k: int) -> float:
    """A graph of ten neighbours, k eigenvectors and the search for them, by n points."""
    return n * (730 + 8.3 * d + 150 * k)


def agglomerative(n: int, d: int) -> float:
    """All distances, twice, and a copy of n points of d values."""
    return 8.0 * n * n + 8.0 * n * d
