"""What a user states of the images that an ONNX encoder takes, and of what it gives."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from aeclust import disk
from aeclust.errors import InputError, at, did_you_mean

EXAMPLE = "layout=nchw,range=0:1,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
_KEYS = ("layout", "size", "range", "mean", "std", "output", "pool")
_MOST = 1 << 20
_LARGEST = 4096


@dataclass(frozen=True)
class Stated:
    """What is stated of an encoder; what is not, is empty.

    Parameters
    ----------
    layout : str
        ``nchw`` or ``nhwc``.
    size : int
        Pixels a side.
    range : tuple of two numbers
        What black and white are to the encoder, before `mean` is subtracted.
    mean, std : tuple of one number or of one for each channel
        It gets ``(value - mean) / std``; 0 and 1 unless stated.
    output : str
        Name or number of the output that holds the features.
    pool : str
        ``mean`` over the positions of the output, or the ``first`` of them.
    """

    layout: str = ""
    size: int = 0
    range: tuple[float, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    output: str = ""
    pool: str = ""

    def text(self) -> str:
        """As JSON on one line, which :func:`read` reads."""
        given = {key: value for key, value in asdict(self).items() if value not in ("", 0, ())}
        return json.dumps(given, sort_keys=True) if given else ""


def read(text: str) -> Stated:
    """Read ``key=value,key=value``, JSON, or the file that a path to JSON names.

    Raises
    ------
    InputError
        For an unknown key, one that is there twice, or a value that it does not take.
    """
    text = text.strip()
    with at("`encoder_input`"):
        if text.startswith("{"):
            return _stated(_json(text))
        if "=" not in text and text.lower().endswith(".json"):
            return read_file(Path(text))
        return _stated(_pairs(_assigned(part) for part in text.split(",")))


def read_file(path: Path) -> Stated:
    """The same from a file of JSON."""
    data, _ = disk.read_whole(path, _MOST)
    with at(path):
        try:
            return _stated(_json(data.decode("utf-8")))
        except UnicodeDecodeError as error:
            raise _wrong("is no text", "JSON in UTF-8") from error


def _json(text: str) -> Mapping[str, Any]:
    try:
        values = json.loads(text, object_pairs_hook=_pairs)
    except (ValueError, RecursionError) as error:
        raise _wrong("is no JSON", "an object of keys and values") from error
    if not isinstance(values, dict):
        raise _wrong("is no JSON object", "an object of keys and values")
    return values


def _assigned(part: str) -> tuple[str, Any]:
    key, equals, value = (piece.strip() for piece in part.partition("="))
    if not equals:
        raise _wrong(f"{part!r} is no key=value", "key=value,key=value, or a path to a .json file")
    if key in ("range", "mean", "std"):
        return key, [_number(item) for item in value.split(":" if key == "range" else "/")]
    return key, int(value) if key == "size" and value.isascii() and value.isdigit() else value


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise _wrong(f"{key} is stated twice", "each key once")
        result[key] = value
    return result


def _stated(values: Mapping[str, Any]) -> Stated:
    for key in values:
        if key not in _KEYS:
            mend = did_you_mean(key, _KEYS, "choose one of these")
            raise InputError(f"{key!r} is no key", expected=f"one of {', '.join(_KEYS)}", mend=mend)
    layout, pool = (values.get(key, "") for key in ("layout", "pool"))
    size, output = values.get("size", 0), values.get("output", "")
    if type(output) is int:
        output = str(output)
    span, mean, std = (_numbers(values, key) for key in ("range", "mean", "std"))
    fits = {
        "layout": (layout in ("", "nchw", "nhwc"), "nchw or nhwc"),
        "size": (
            type(size) is int and ("size" not in values or 1 <= size <= _LARGEST),
            f"a whole number from 1 to {_LARGEST}",
        ),
        "range": (not span or (len(span) == 2 and span[0] < span[1]), "two rising numbers"),
        "mean": (len(mean) in (0, 1, 3), "one number or three"),
        "std": (len(std) in (0, 1, 3) and all(s > 0 for s in std), "one number above 0 or three"),
        "output": (isinstance(output, str), "a name or a number"),
        "pool": (pool in ("", "mean", "first"), "mean or first"),
    }
    for key, (fit, expected) in fits.items():
        if not fit:
            raise _wrong(f"{key} is {values[key]!r}"[:200], expected)
    return Stated(layout, size, span, mean, std, output, pool)


def _numbers(values: Mapping[str, Any], key: str) -> tuple[float, ...]:
    if key not in values:
        return ()
    given = values[key] if isinstance(values[key], list) else [values[key]]
    fit = all(isinstance(v, int | float) and not isinstance(v, bool) for v in given)
    if not fit or not given or not all(abs(v) < 1e6 and math.isfinite(v) for v in given):
        raise _wrong(
            f"{key} is {values[key]!r}"[:200],
            "numbers below a million, as 0:1",
        )
    return tuple(float(value) for value in given)


def _wrong(what: str, expected: str) -> InputError:
    return InputError(what, expected=expected, mend=f"for example {EXAMPLE}")
