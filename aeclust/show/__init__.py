"""Pictures and the page: arrays in, figures and HTML out."""

import os
import sys
from contextlib import suppress

from aeclust.errors import InputError, reason


def _import_matplotlib() -> None:
    """Import it before anything in this room does, whatever a user has set for other figures.

    A notebook names a backend, which need not be installed beside aeclust; ours use none.
    """
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot start ({reason(error)})",
            where="matplotlib",
            expected="a matplotlibrc that can be read, if any, and a folder for temporary files",
            mend="correct or remove that file, or set MPLCONFIGDIR to another folder",
        ) from error
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend is not None:
        with suppress(ValueError):  # for whoever else draws in this process
            matplotlib.rcParams["backend"] = backend


if "matplotlib" not in sys.modules:
    _import_matplotlib()
