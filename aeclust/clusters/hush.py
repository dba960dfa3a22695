"""What scikit-learn warns of although it is as it should be here, kept quiet in all threads."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

_lock = Lock()
_within = 0  # threads, and calls within calls
_former = warnings.catch_warnings()


@contextmanager
def hushed() -> Iterator[None]:
    """Within it scikit-learn does not warn of what is no news.

    Filters of warnings are those of the whole process. Were each thread to keep and put back what
    it finds, some would go on with what others left: so the first in changes them, and the last
    out puts back what was there.
    """
    global _within, _former
    from sklearn.exceptions import ConvergenceWarning

    with _lock:
        if not _within:
            _former = warnings.catch_warnings()
            _former.__enter__()
            # too few clusters are an error of our own, and mixtures are not to converge
            warnings.simplefilter("ignore", ConvergenceWarning)
            # a graph in several parts is still a graph
            for start in (
                "Graph is not fully connected",
                "The spectral clustering API has changed",
                "Exited (at iteration|postprocessing)",
            ):
                warnings.filterwarnings("ignore", start, UserWarning)
        _within += 1
    try:
        yield
    finally:
        with _lock:
            _within -= 1
            if not _within:
                _former.__exit__(None, None, None)
