"""What the values of options mean: paths, lists of numbers, names of clusters."""

from __future__ import annotations

import os

from aeclust.errors import InputError, at

_ARRAYS = (".npy", ".npz", ".h5", ".hdf5")


def absolute(location: str) -> str:
    """Paths stay right when a later command runs elsewhere."""
    return location if location.startswith("demo:") else os.path.abspath(location)


def together(locations: list[str]) -> tuple[str, tuple[str, ...]]:
    """One location, or the folder that several lie in, with their paths below it."""
    if len(locations) == 1:
        return absolute(locations[0]), ()
    for location in locations:
        if location.startswith("demo:") or "::" in location or location.endswith(_ARRAYS):
            raise InputError(
                "it cannot stand beside others", where=location,
                expected="one source, or several image files and folders of them",
                mend="name it alone",
            )  # fmt: skip
    paths = [os.path.abspath(location) for location in locations]
    place = os.path.commonpath(list(map(os.path.dirname, paths)))
    return place, tuple(sorted({os.path.relpath(path, place) for path in paths}))


def exclusive(settings: str) -> InputError:
    """The error of a command that was given more than one of these settings."""
    return InputError("they exclude each other", where=settings, expected="one of them")


def parse_indices(text: str) -> list[int]:
    """``"1,2,3"`` as numbers."""
    items = [item.strip() for item in text.split(",")]
    if not all(item.isascii() and item.isdigit() and len(item) < 16 for item in items):
        raise InputError(f"reads {text!r}", where="`idx`", expected="row numbers, as 1,2,3")
    return [int(item) for item in items]


def parse_names(assignments: list[str]) -> dict[int, str]:
    """``["0=sea", "1="]`` as names by cluster, an empty one where the name is to be removed."""
    names: dict[int, str] = {}
    with at("CLUSTER=NAME"):
        for text in assignments:
            cluster, equals, name = (part.strip() for part in text.partition("="))
            if not (equals and cluster.isascii() and cluster.isdigit() and len(cluster) < 10):
                raise InputError(
                    f"reads {text!r}",
                    expected="the number of a cluster and its name",
                    mend="for example aeclust name 0=landscape",
                )
            if name == "...":  # as commands print it, to be filled in
                raise InputError(
                    f"reads {text!r}", expected="a name in place of ...", mend="write one there"
                )
            if int(cluster) in names:
                raise InputError(
                    f"cluster {int(cluster)} is named twice", expected="one name for it"
                )
            names[int(cluster)] = name
    return names
