"""Where an export goes: a free place, or one that holds nothing but an export; filled whole."""

from __future__ import annotations

import contextlib
import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from aeclust.errors import InputError, WriteError, at, reason
from aeclust.images import truth
from aeclust.images.files import TABLE, TABLE_HEADER

_LITTER = {".DS_Store", "Thumbs.db", "desktop.ini"}  # what file managers leave in any folder


def check_free(place: Path, *, folder: bool, force: bool) -> None:
    """Refuse to replace what is there, but for an export of the same kind where `force` says so."""
    _restore(place)
    if not os.path.lexists(place):
        return
    if not force:
        mend = "choose another name, or replace it with `force`"
        raise InputError("is there already", mend=mend)
    if not folder:
        return  # what stands there is a file: `disk.output_file` refuses the rest
    is_folder = place.is_dir() and not place.is_symlink()
    if foreign := _foreign(place) if is_folder else "a file":
        what = f"is or holds what no export like this put there ({foreign})"
        expected = "nothing else where `force` replaces"
        raise InputError(what, expected=expected, mend="choose another name, or remove it yourself")


def _restore(place: Path) -> None:
    """Take back what a process that was killed while it replaced `place` had put aside."""
    former = sorted(place.parent.glob(f".{glob.escape(place.name)}.*.old"))
    if former and not os.path.lexists(place):
        with contextlib.suppress(OSError):
            os.rename(former[0], place)


def _foreign(folder: Path) -> str:
    """What a folder holds that did not come from an export, or an empty text."""
    table = folder / TABLE
    try:
        header, *rows = truth.read_rows(str(table)) if not table.is_symlink() else [[]]
    except InputError:
        header, rows = [], []
    if header != TABLE_HEADER.split(","):
        return f"no {TABLE} of an export"
    exported = {row[-1] for row in rows} | {TABLE}
    for parent, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(parent, name))]
        for name in sorted((*files, *links)):
            path = (Path(parent) / name).relative_to(folder).as_posix()
            if path not in exported and name not in _LITTER:
                return path
    return ""


@contextlib.contextmanager
def whole_folder(place: Path, *, force: bool) -> Iterator[Path]:
    """A folder to fill, beside `place`, whose name it takes if the body ends well.

    Whatever else happens it is removed, and what was there before is still there.
    """
    token = secrets.token_hex(4)
    draft, former = (place.parent / f".{place.name}.{token}.{kind}" for kind in ("tmp", "old"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        yield draft
        with at(place):
            check_free(place, folder=True, force=force)  # again: it took a while
        try:
            if place.exists():
                os.rename(place, former)
            os.rename(draft, place)
        except BaseException:
            if former.exists() and not place.exists():
                os.rename(former, place)
            raise
    except OSError as error:
        mend = "free space or choose another place; what was there before is unharmed"
        what = f"could not be written ({reason(error)})"
        raise WriteError(what, where=str(place), mend=mend) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
        if place.exists():  # or else the former is all there is
            shutil.rmtree(former, ignore_errors=True)
