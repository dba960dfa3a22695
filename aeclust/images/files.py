"""Which files may hold images: named, marked, and not opened."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from aeclust.errors import InputError, at, printable, reason
from aeclust.images.archives import ZIPPED, Archive, is_array
from aeclust.images.arrays import kind_of as kind_of_array
from aeclust.images.gate import HEAD, ending_of, kind_of, promises
from aeclust.images.listing import Listing, check_utf8, mark_of
from aeclust.images.lists import LISTS, PathList

TABLE = "labels.csv"  # of a folder that export made
TABLE_HEADER = "id,label,confidence,name,file"
_ARRAYS = (".npy", ".npz", ".h5", ".hdf5")
_RUNS, _RUN_HEAD = ("run.json", "run.json.next"), 64  # a folder with one of them is a run


def is_files(location: str) -> bool:
    """Whether a location is one of files of images, rather than of an array or a built-in set.

    It is a folder, one image, a ``.zip`` of images, or a ``.csv`` or ``.txt`` of paths.
    """
    return not location.startswith("demo:") and _form(location) != ""


def _form(path: str) -> str:
    """What lists images: a folder, an archive, a table of paths, or a file that is one."""
    if os.path.isdir(path):
        return "folder"
    ending = ending_of(path)
    if ending in _ARRAYS or not os.path.isfile(path):
        return ""
    if ending in LISTS:
        return "list"
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD)
    except OSError:  # what reads it says why
        return "image" if promises(path) else ""
    if head.startswith(ZIPPED):
        return "" if is_array(path) else "archive"
    named = promises(path) and not kind_of_array(path)
    return "image" if kind_of(head) or named else ""


def look(location: str, files: Sequence[str] = ()) -> Listing | None:
    """The files at a location; None if there are none, because it is an array, or gone.

    They are named, and not opened. Of a folder, `files` are those that are meant, files and folders
    below it; nothing means all.

    Nothing below a run folder, nor what ``aeclust export`` made, is listed.

    Raises
    ------
    InputError
        If a folder cannot be listed, or a name is not UTF-8.
    """
    form = "" if location.startswith("demo:") else _form(location)
    path = Path(location)
    with at(path):
        if files:
            return _chosen(path, files)
        if form == "folder":
            return _folder(path)
        if form == "archive":
            return Archive.of(path)
        if form == "list":
            return PathList.of(path)
    if form == "image":
        return _chosen(path.parent, [path.name])
    return None


def _chosen(folder: Path, files: Sequence[str]) -> Listing:
    names, notes = set[str](), list[str]()
    for file in files:
        if not os.path.isdir(folder / file):
            names.add(file)
            continue
        below = _folder(folder / file)
        names.update((Path(file) / name).as_posix() for name in below.names)
        notes += below.notes
    listing = _listing(folder, names)
    return dataclasses.replace(listing, notes=tuple(notes), chosen=True)


def _folder(folder: Path) -> Listing:
    names, links, closed, odd = list[str](), list[str](), list[str](), list[str]()
    for path, is_link in _walk(folder, closed):
        (links if is_link else names if _is_utf8(path) else odd).append(path)
    notes = (
        *_counted(links, "linked folder"),
        *_counted(closed, "folder that cannot be read", "folders that cannot be read"),
        *_counted(odd, "file whose name is not UTF-8", "files whose names are not UTF-8"),
    )
    return dataclasses.replace(_listing(folder, names), notes=notes)


def _listing(folder: Path, names: Iterable[str]) -> Listing:
    inorder = sorted(names, key=os.fsencode)
    for name in inorder:
        check_utf8(name)
    paths = (os.path.join(folder, name) for name in inorder)  # a Path takes as long as a look
    marks = np.fromiter(map(mark_of, paths), np.uint64, len(inorder))
    return Listing(folder, tuple(inorder), marks)


def _walk(folder: Path, closed: list[str]) -> Iterator[tuple[str, bool]]:
    """Relative path, and whether it is a link to a folder, of everything visible below.

    Folders that cannot be read are added to those that are `closed`, but for the first.
    """

    def pass_over(error: OSError) -> None:
        place = str(error.filename)
        if place == str(folder):
            mend = "check its permissions"
            raise InputError(f"cannot be read ({reason(error)})", where=place, mend=mend) from error
        closed.append(Path(place).relative_to(folder).as_posix())

    for parent, folders, names in os.walk(folder, onerror=pass_over):
        exported = parent != str(folder) and _is_export(parent, names)  # who names one means it
        if exported or _is_run(parent, names):
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        place = Path(parent).relative_to(folder).as_posix()
        start = "" if place == "." else f"{place}/"
        for name in folders:
            if os.path.islink(os.path.join(parent, name)):
                yield start + name, True
        for name in names:
            if not name.startswith("."):
                yield start + name, False


def _is_run(parent: str, names: list[str]) -> bool:
    """Whether a folder is one of aeclust's runs; other programs have a run.json as well."""
    for name in _RUNS:
        if name in names:
            try:
                with open(os.path.join(parent, name), "rb") as file:
                    return b'"format"' in file.read(_RUN_HEAD)
            except OSError:
                return True
    return False


def _is_export(parent: str, names: list[str]) -> bool:
    if TABLE not in names:
        return False
    try:
        with open(os.path.join(parent, TABLE), "rb") as file:
            return (
                file.read(len(TABLE_HEADER) + 3)
                .lstrip(b"\xef\xbb\xbf")
                .startswith(TABLE_HEADER.encode())
            )
    except OSError:
        return False


def _counted(paths: list[str], one: str, several: str = "") -> tuple[str, ...]:
    """How many there are of something that is passed over, and the first of them."""
    if not paths:
        return ()
    first = printable(os.fsencode(min(paths, key=os.fsencode)).decode(errors="backslashreplace"))
    what = one if len(paths) == 1 else several or f"{one}s"
    return (f"{len(paths)} {what} ({first})",)


def _is_utf8(name: str) -> bool:
    """Whether a file of ours can hold a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
