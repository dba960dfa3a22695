"""One sentence, one line, one exit code."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeclust.errors import (
    AeclustError,
    BusyError,
    DivergedError,
    InputError,
    Interrupted,
    WriteError,
    at,
    listed,
    printable,
    reason,
)

# a busy machine is no failure
FEW = settings(max_examples=50, deadline=None)


@pytest.mark.parametrize(
    ("parts", "line"),
    [
        ({}, "is wrong"),
        ({"where": "a.npy"}, "a.npy is wrong"),
        ({"expected": "uint8"}, "is wrong; expected uint8"),
        ({"mend": "convert it"}, "is wrong; convert it"),
        ({"expected": "uint8", "mend": "convert it"}, "is wrong; expected uint8; convert it"),
        (
            {"where": "a.npy", "expected": "uint8", "mend": "convert it"},
            "a.npy is wrong; expected uint8; convert it",
        ),
    ],
)
def test_the_message_has_only_the_parts_that_are_given(parts: dict[str, str], line: str) -> None:
    error = AeclustError("is wrong", **parts)
    assert str(error) == line
    assert (error.what, error.where) == ("is wrong", parts.get("where", ""))
    assert (error.expected, error.mend) == (parts.get("expected", ""), parts.get("mend", ""))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "nothing"),
        (["a"], "a"),
        (range(10), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9"),
        (range(3_000), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2990 more"),
        (["a" * 60, "b" * 61], f"{'a' * 60}, {'b' * 57}..."),
    ],
)
def test_a_list_in_an_error_is_short(names: Iterable[object], text: str) -> None:
    assert listed(names) == text


def test_the_reason_of_a_library_is_short_and_in_one_line() -> None:
    assert reason(OSError(2, "No such file")) == "No such file"
    assert reason(ValueError("a" * 300)) == "a" * 200
    assert reason(ValueError("one\ntwo")) == "one"
    assert reason(KeyError()) == "KeyError"


@pytest.mark.parametrize(
    ("kind", "code"),
    [(AeclustError, 2), (InputError, 2), (DivergedError, 3), (WriteError, 4), (BusyError, 5)],
)
def test_every_kind_has_its_exit_code(kind: type[AeclustError], code: int) -> None:
    error = kind("is wrong", where="here")
    assert isinstance(error, AeclustError)
    assert error.exit_code == code
    assert str(error) == "here is wrong"


def test_an_interrupt_remembers_its_signal() -> None:
    error = Interrupted(15, "interrupted, state saved", mend="aeclust train --resume goes on")
    assert isinstance(error, AeclustError)
    assert error.signal_number == 15
    assert str(error) == "interrupted, state saved; aeclust train --resume goes on"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, 100 %", "plain text, 100 %"),
        ("Größe 漢字 ×", "Größe 漢字 ×"),
        ("two\nlines", r"two\nlines"),
        ("tab\tand\rreturn", r"tab\tand\rreturn"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("bell\x07 null\x00 delete\x7f", r"bell\x07 null\x00 delete\x7f"),
        ("next line\x85 separator\u2028", r"next line\x85 separator\u2028"),
        ("turned \u202e round", r"turned \u202e round"),
        ("half a pair \ud800", r"half a pair \ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert str(InputError(text, where=text)) == f"{shown}: {shown}"


@FEW
@given(st.text(), st.text(), st.text(), st.text())
def test_a_message_is_one_printable_line_whatever_a_file_holds(
    what: str, where: str, expected: str, mend: str
) -> None:
    line = str(InputError(what, where=where, expected=expected, mend=mend))
    assert line.isprintable()
    assert len(line.splitlines()) <= 1


@pytest.mark.parametrize(
    ("error", "where"),
    [
        (InputError("is wrong"), "a.npy"),
        (InputError("is wrong", where="`range`"), "`range`"),
        (Interrupted(2, "interrupted"), ""),
    ],
)
def test_a_place_is_that_of_errors_that_name_none(error: AeclustError, where: str) -> None:
    with pytest.raises(type(error)), at("a.npy"):
        raise error
    assert error.where == where
