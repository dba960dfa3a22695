"""Libraries that only some need: extras of the installation, imported where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aeclust.errors import InputError, to_install


@contextmanager
def extra(name: str, where: str = "") -> Iterator[None]:
    """Within it a missing library of the extra `name` is an error that says how to install it.

    `where` is what needs it: the ending of a file or a setting, at first ``.NAME``.
    """
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"a library for it is missing ({error.name})",
            where=where or f".{name}",
            expected=f"aeclust with its extra {name}",
            mend=to_install(name),
        ) from error
