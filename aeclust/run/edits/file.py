"""The file of corrections by hand, ``edits.json``: an object with an edit a line."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aeclust import disk
from aeclust.errors import AeclustError, InputError, at, reason
from aeclust.run.edits.kinds import Drop, Edit, Edits, Ids, Merge, Move, Name, Split
from aeclust.run.folder import RunFolder
from aeclust.run.names import MAX_LENGTH, check_name

FORMAT = 1
MAX_BYTES = 1 << 28
_MOST_PARTS, _LARGEST = 1_000, 10**9


# -- writing -------------------------------------------------------------------------------------


def write_edits(folder: RunFolder, edits: Edits) -> None:
    """Keep edits, or no file if there are none; only for who locks the folder."""
    if not edits.edits:
        folder.edits_file.unlink(missing_ok=True)
        return
    disk.write_bytes(folder.edits_file, to_text(edits).encode())


def to_text(edits: Edits) -> str:
    """As ``edits.json`` has them: an edit a line."""
    clusters = [f"{json.dumps(str(n))}: {_json(ids)}" for n, ids in sorted(edits.clusters.items())]
    lines = [_json(to_json(each)) for each in edits.edits]
    parts = [f'"format": {FORMAT}', f'"labels": {_json(edits.labels)}']
    parts += [f'"data": {_json(edits.data)}'] if edits.data else []
    parts += [_block("clusters", clusters, "{}"), _block("edits", lines, "[]")]
    return "{\n  " + ",\n  ".join(parts) + "\n}\n"


def _block(name: str, lines: list[str], brackets: str) -> str:
    inside = "".join(f"\n    {line}," for line in lines).removesuffix(",") + "\n  " * bool(lines)
    return f'"{name}": {brackets[0]}{inside}{brackets[1]}'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def to_json(edit: Edit) -> dict[str, Any]:
    """One edit as its object."""
    values: dict[str, Any] = {"edit": type(edit).__name__.lower()}
    for each in dataclasses.fields(edit):
        value = getattr(edit, each.name)
        if each.name in _ALWAYS or value:
            numbered = isinstance(value, Mapping)
            values[each.name] = {str(n): v for n, v in value.items()} if numbered else value
    if isinstance(edit, Move) and edit.to is None:
        values["to"] = "new"
    more = {name: values.pop(name) for name in ("names", "off") if name in values}
    return values | more


_ALWAYS = ("cluster", "name", "to")


# -- reading -------------------------------------------------------------------------------------


def read_edits(folder: RunFolder) -> Edits | None:
    """What ``edits.json`` of a run says; None if there is none.

    Raises
    ------
    InputError
        If it is damaged, or not as ``aeclust edit`` writes it.
    """
    if not folder.edits_file.exists():
        return None
    data, _ = disk.read_whole(folder.edits_file, MAX_BYTES)
    with at(folder.edits_file):
        try:
            found = parse_edits(data)
        except InputError as error:
            error.mend = "restore a copy, or delete it and correct the clusters again"
            raise
        whole = all(each.parts for each in found.edits if isinstance(each, Split))
        whole &= bool(found.labels and found.clusters)
        if not whole or any(isinstance(each, Name) for each in found.edits):
            raise InputError(
                "is not as aeclust edit writes it: it lacks what belongs to the labels",
                expected="the run's own edits",
                mend=f"move it elsewhere, and apply it with {folder.command('edit apply FILE')}",
            )
    return found


def parse_edits(data: bytes) -> Edits:
    """Edits from the bytes of a file, of this run or from a report page.

    Raises
    ------
    InputError
        If it is no such object; of an edit, with its number.
    """
    expected = "edits as aeclust edit or a report page writes them"
    try:
        # before Python 3.12 a large number of digits is an error of its own kind
        values = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_once, parse_constant=_no)
    except AeclustError:
        raise
    except (ValueError, RecursionError) as error:
        what = f"cannot be read ({reason(error)})"
        raise InputError(what, expected=expected, mend="write it again") from error
    fields = _object(values, ("edits",), ("format", "labels", "clusters", "data", "after"))
    fields = {"format": FORMAT, "labels": ""} | fields
    if type(fields["format"]) is not int or fields["format"] != FORMAT:
        what = f"is of format {str(fields['format'])[:20]}"
        mend = "read it with the aeclust that wrote it"
        raise InputError(what, expected=f"format {FORMAT}", mend=mend)
    if not isinstance(fields["edits"], list):
        raise InputError("has no list of edits", expected=expected)
    edits = []
    for number, each in enumerate(fields["edits"], 1):
        with _part(f"edit {number}"):
            edits.append(parse_edit(each))
    with _part("clusters"):
        clusters = _by_number(fields.get("clusters", {}), _ids, least=0)
    with _part("labels"):
        digest, images = _text(fields["labels"]), _text(fields.get("data", ""))
    with _part("after"):
        after = _number(fields.get("after", 0))
    return Edits(digest, tuple(edits), clusters, images, after)


@contextmanager
def _part(name: str) -> Iterator[None]:
    """Within it, what is wrong is said to be so in a part of a file."""
    try:
        yield
    except InputError as error:
        error.what = f"{name} {error.what}"
        raise


_KEYS: dict[str, tuple[type[Edit], tuple[str, ...], tuple[str, ...]]] = {
    "merge": (Merge, ("clusters",), ()),
    "split": (Split, ("cluster",), ("k", "parts")),
    "move": (Move, ("ids", "to"), ("new",)),
    "drop": (Drop, ("ids",), ()),
    "name": (Name, ("cluster", "name"), ()),
}


def parse_edit(values: Any) -> Edit:
    """One edit from its object.

    Raises
    ------
    InputError
        If it is none.
    """
    kind = values.get("edit") if isinstance(values, dict) else None
    if not isinstance(kind, str) or kind not in _KEYS:
        raise InputError("is of no known kind", expected=f"one of {', '.join(_KEYS)}")
    made, needed, may = _KEYS[kind]
    fields = _object(values, ("edit", *needed), (*may, "names", "off"))
    del fields["edit"]
    with _part(f"({kind})"):
        parsed = {name: _PARSERS[name](value) for name, value in fields.items()}
        if kind == "name":
            parsed["name"] = parsed["name"] and _checked_name(parsed["name"])
        return made(**parsed)


def _checked_name(name: str) -> str:
    check_name(name)
    return name


def _object(values: Any, needed: Iterable[str], may: Iterable[str]) -> dict[str, Any]:
    """An object with just these keys, of which some may be missing."""
    if not isinstance(values, dict):
        raise InputError("is no object", expected=f"an object with {', '.join(needed)}")
    if lacking := [key for key in needed if key not in values]:
        what = f"has no key {lacking[0]!r}"
        raise InputError(what, expected=f"an object with {', '.join(needed)}")
    if other := sorted(map(str, values.keys() - {*needed, *may})):
        keys = ", ".join((*needed, *may))
        raise InputError(f"has the key {other[0][:40]!r}", expected=f"none but {keys}")
    return dict(values)


def _number(value: Any, least: int = 0, most: int = _LARGEST) -> int:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"has {str(value)[:40]!r}", expected=f"a whole number from {least}")
    return value


def _clusters(value: Any) -> tuple[int, ...]:
    if not isinstance(value, list) or len(value) < 2:
        raise InputError("does not name two clusters", expected="a list of their numbers")
    numbers = tuple(map(_number, value))
    if len({*numbers}) < len(numbers):
        raise InputError("names a cluster twice", expected="each once")
    return numbers


def _ids(value: Any, *, least: int = 1) -> Ids:
    kinds = {*map(type, value)} if isinstance(value, list) else {type(value)}
    if not isinstance(value, list) or kinds not in ({int}, {str}, *([set()] if not least else [])):
        raise InputError("has no ids", expected="a list of texts, or of whole numbers")
    if len({*value}) < len(value):
        raise InputError("has an id twice", expected="each once")
    if kinds == {int} and max(map(abs, value)) >= 2**63:
        raise InputError("has an id beyond 64 bits", expected="ids as in the CSV")
    for each in value if kinds == {str} else ():
        _text(each)
    return tuple(value)


def _text(value: Any) -> str:
    try:
        if not isinstance(value, str):
            raise ValueError("it is no text")
        value.encode()
    except ValueError as error:  # half a character, too
        raise InputError(f"has {str(value)[:40]!r}", expected="a text") from error
    return value


def _target(value: Any) -> int | None:
    return None if value == "new" else _number(value)


def _flag(value: Any) -> bool:
    if value is not True:
        raise InputError(f"has {str(value)[:40]!r}", expected="true, or no such key")
    return True


def _by_number(value: Any, parse: Any, *, least: int) -> dict[int, Any]:
    """An object whose keys are numbers of clusters."""
    if not isinstance(value, dict):
        raise InputError("are no object", expected="one whose keys are numbers of clusters")
    numbers: dict[int, Any] = {}
    for key, each in value.items():
        if not (key.isascii() and key.isdigit() and str(int(key[:12])) == key):
            raise InputError(f"has the key {key[:40]!r}", expected="the number of a cluster")
        numbers[_number(int(key))] = parse(each, least=least) if parse is _ids else parse(each)
    return numbers


def _parts(value: Any) -> dict[int, Ids]:
    parts: dict[int, Ids] = _by_number(value, _ids, least=0)
    whole = [each for part in parts.values() for each in part]
    if len({*whole}) < len(whole):
        raise InputError("has an id in two parts", expected="each in one")
    return parts


def _name(value: Any) -> str:
    if len(_text(value)) > MAX_LENGTH:
        raise InputError(f"has {value[:40]!r}", expected=f"at most {MAX_LENGTH} characters")
    return str(value)


_PARSERS: dict[str, Any] = {
    "clusters": _clusters,
    "cluster": _number,
    "k": lambda value: _number(value, 2, _MOST_PARTS),
    "parts": _parts,
    "ids": _ids,
    "to": _target,
    "new": _flag,
    "name": _name,
    "names": lambda value: _by_number(value, _name, least=0),
    "off": _text,
}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InputError("has a key twice", expected="each once")
    return values


def _no(constant: str) -> float:
    raise InputError(f"has {constant}", expected="ids and numbers")
