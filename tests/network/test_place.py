"""What an environment says of the processes that were started together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import refused

from aeclust.network.place import Place, by_torchrun, place_in

WHOLE = {"WORLD_SIZE": "4", "RANK": "2", "MASTER_ADDR": "node-0", "MASTER_PORT": "29500"}


def test_several_processes_have_places() -> None:
    assert place_in(WHOLE) == Place(2, 4, "node-0", 29500)
    assert place_in(WHOLE).address == "node-0:29500"  # type: ignore[union-attr]
    torchrun = {"LOCAL_RANK": "1", "TORCHELASTIC_USE_AGENT_STORE": "True"}
    torchrun |= {"TORCHELASTIC_RESTART_COUNT": "3", "TORCHELASTIC_RUN_ID": "none"}
    assert place_in(WHOLE | torchrun) == Place(2, 4, "node-0", 29500, 1, True, "3")
    assert (by_torchrun(WHOLE | torchrun), by_torchrun(WHOLE)) == (True, False)


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"RANK": "3"},  # of nothing
        {"LOCAL_RANK": "x", "MASTER_PORT": "y"},
        {"WORLD_SIZE": ""},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "RANK": "0", "MASTER_PORT": "y"},
    ],
)
def test_one_process_is_alone(environment: dict[str, str]) -> None:
    assert place_in(environment) is None


@pytest.mark.parametrize(
    ("changes", "where", "what", "expected"),
    [
        ({"WORLD_SIZE": "abc"}, "WORLD_SIZE", "is 'abc'", "a number of processes, 1 or more"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE", "is '0'", "a number of processes, 1 or more"),
        ({"WORLD_SIZE": "-4"}, "WORLD_SIZE", "is '-4'", "a number of processes, 1 or more"),
        ({"WORLD_SIZE": "4.0"}, "WORLD_SIZE", "is '4.0'", "a number of processes, 1 or more"),
        ({"RANK": ""}, "RANK", "is not set",
         "the number of this process, from 0 to 3, because WORLD_SIZE is 4"),
        ({"RANK": "4"}, "RANK", "is '4'",
         "the number of this process, from 0 to 3, because WORLD_SIZE is 4"),
        ({"WORLD_SIZE": "1", "RANK": "2"}, "RANK", "is '2'",
         "the number of this process, from 0 to 0, because WORLD_SIZE is 1"),
        ({"MASTER_ADDR": ""}, "MASTER_ADDR", "is not set", "the host of process 0 of 4"),
        ({"MASTER_PORT": ""}, "MASTER_PORT", "is not set", "a port of that host, from 1 to 65535"),
        ({"MASTER_PORT": "65536"}, "MASTER_PORT", "is '65536'",
         "a port of that host, from 1 to 65535"),
        ({"LOCAL_RANK": "first"}, "LOCAL_RANK", "is 'first'",
         "a number on this machine, 0 or more"),
    ],
)  # fmt: skip
def test_what_cannot_be_right_is_named(
    changes: dict[str, str], where: str, what: str, expected: str
) -> None:
    alone = "unset WORLD_SIZE to work in one process"
    mend = alone if where == "WORLD_SIZE" else f"set it, or {alone}"
    with refused(what=what, where=where, expected=expected, mend=mend):
        place_in(WHOLE | changes)


@given(st.integers(2, 10_000), st.data())
def test_every_rank_of_a_size_has_its_place(size: int, data: st.DataObject) -> None:
    rank = data.draw(st.integers(0, size - 1))
    place = place_in(WHOLE | {"WORLD_SIZE": f" {size}", "RANK": f"{rank}\n"})
    assert place == Place(rank, size, "node-0", 29500)
