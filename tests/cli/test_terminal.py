"""What commands show while they work, and the signals that end them."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr

import pytest
import torch

from aeclust.cli.terminal import Terminal, Terminated, deferred_signals, terminable, write_line
from aeclust.errors import Interrupted
from aeclust.network.training import Moment, Snapshot
from aeclust.run.progress import Tracker


class Stream(io.StringIO):
    """Standard error, watched by somebody or not."""

    def __init__(self, *, watched: bool) -> None:
        super().__init__()
        self._watched = watched

    def isatty(self) -> bool:
        return self._watched


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("JPY_PARENT_PID", "MPLBACKEND"):
        monkeypatch.delenv(name, raising=False)


@contextmanager
def standard_error(*, watched: bool) -> Iterator[Stream]:
    """A stream in the place of standard error."""
    # a fixture could not do this: pytest puts its own stream there before the test begins
    with redirect_stderr(Stream(watched=watched)) as stream:
        yield stream


def snapshot() -> Snapshot:
    return Snapshot({}, {}, 0, 0, ())


def moment(epoch: int, step: int, *, images: int = 64, loss: float = 0.25) -> Moment:
    return Moment(epoch, step, 10, images, {}, snapshot, torch.tensor([loss]))


def work(terminal: Terminal) -> None:
    """A training and an embedding, as a command reports them."""
    terminal.observe(moment(0, 0, images=0, loss=float("nan")))
    terminal.observe(moment(0, 5))
    terminal.observe(moment(3, 0))
    terminal.progress("embed", 256, 500)
    terminal.progress("embed", 500, 500)
    terminal.close()


# -- lines -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("a plain line", "a plain line"),
        ("[red]not markup[/red] [1, 2]", "[red]not markup[/red] [1, 2]"),
        ("Größe 漢字 8 × 8", "Größe 漢字 8 × 8"),
        ("long " * 60, "long " * 60),
        ("cats\x1b[2J\r\x07.npy: two\nlines", r"cats\x1b[2J\r\x07.npy: two\nlines"),
    ],
)
def test_a_line_is_shown_as_it_is(
    line: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with standard_error(watched=False) as stderr:
        Terminal(quiet=False).log(line)
    assert stderr.getvalue() == shown + "\n"
    assert capsys.readouterr().out == ""


def test_a_watched_line_obeys_no_file() -> None:
    with standard_error(watched=True) as stderr:
        Terminal(quiet=False).log("cats\x1b[2J.npy")
    assert "\x1b[2J" not in stderr.getvalue()
    assert r"cats\x1b[2J.npy" in stderr.getvalue()


# -- bars --------------------------------------------------------------------------------------


LINES = """a line
epoch 3/3  loss 0.2500
"""


@pytest.mark.parametrize(
    ("watched", "environment"),
    [
        (False, {}),
        (True, {"TERM": "dumb"}),
        (True, {"TERM": "unknown"}),
        (True, {"JPY_PARENT_PID": "17"}),
        (True, {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    ],
    ids=["a file", "dumb", "unknown", "a cell by Jupyter", "a cell by another notebook"],
)
@pytest.mark.parametrize("quiet", [False, True])
def test_who_cannot_watch_bars_reads_lines_unless_quiet(
    watched: bool, environment: dict[str, str], quiet: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with standard_error(watched=watched) as stderr:
        terminal = Terminal(quiet=quiet, epochs=3)
        terminal.log("a line")
        work(terminal)
    shown = re.sub(r"  \d+ images/s", "", stderr.getvalue())
    assert shown == ("" if quiet else LINES)


def test_quiet_holds_on_a_terminal() -> None:
    with standard_error(watched=True) as stderr:
        terminal = Terminal(quiet=True, epochs=3)
        terminal.log("a line")
        work(terminal)
    assert stderr.getvalue() == ""


def test_somebody_watching_sees_epoch_loss_and_speed() -> None:
    with standard_error(watched=True) as stderr:
        work(Terminal(quiet=False, epochs=3))
    text = stderr.getvalue()
    assert "epoch 3/3  loss 0.2500" in text
    assert "images/s" in text
    assert "embed" in text
    assert "nan" not in text


def test_the_bar_says_what_is_left_of_all_epochs() -> None:
    """Of 30 steps in three epochs, ten took 150 s: the last fifteen take 225 s."""
    with standard_error(watched=True) as stderr:
        terminal = Terminal(quiet=False, epochs=3)
        ticks = iter([0.0, 50.0, 200.0])
        terminal._tracker = Tracker(3, clock=lambda: next(ticks))
        terminal.observe(moment(0, 0, images=0, loss=float("nan")))
        terminal.observe(moment(0, 5))
        terminal.observe(moment(1, 5, images=960))
        terminal.close()
    assert "epoch 2/3  loss 0.2500  6 images/s" in stderr.getvalue()
    assert "4 min left" in stderr.getvalue()


def test_steps_of_unknown_number_move_and_then_leave_a_whole_bar() -> None:
    with standard_error(watched=True) as stderr:
        terminal = Terminal(quiet=False)
        terminal.progress("clustering: kmeans", 0, 0)
        terminal.progress("clustering", 1, 1)
        terminal.log("done")
    text = stderr.getvalue()
    assert text.index("clustering") < text.index("done")


# -- signals -----------------------------------------------------------------------------------

SIGNALS = [signal.SIGINT, signal.SIGTERM]


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def noted_twice(first: signal.Signals, second: signal.Signals) -> None:
    with deferred_signals() as asked:
        signal.raise_signal(first)
        assert asked.noted() == first
        signal.raise_signal(second)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_only_noted_and_forgotten_by_the_next_command(number: signal.Signals) -> None:
    before = handlers()
    with deferred_signals() as asked:
        assert asked.noted() is None
        signal.raise_signal(number)
        assert (asked.noted(), asked.noted()) == (number, number)
    assert handlers() == before
    with deferred_signals() as again:
        assert again.noted() is None


@pytest.mark.parametrize("first", SIGNALS)
@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_interrupts_at_once(first: signal.Signals, second: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(KeyboardInterrupt):
        noted_twice(first, second)
    assert handlers() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_rest_ends_the_command_at_once(number: signal.Signals) -> None:
    before = handlers()
    with deferred_signals() as asked:
        asked.rest("nothing is lost")
        with pytest.raises(Interrupted, match="nothing is lost") as caught:
            signal.raise_signal(number)
    assert caught.value.signal_number == number
    assert handlers() == before


def test_after_a_rest_signals_wait_again() -> None:
    with deferred_signals() as asked:
        asked.rest("nothing is lost")
        asked.rest(None)
        signal.raise_signal(signal.SIGINT)
        assert asked.noted() == signal.SIGINT


def test_termination_is_an_exception_that_nothing_catches_by_accident() -> None:
    before = handlers()
    with pytest.raises(Terminated) as caught, terminable():
        signal.raise_signal(signal.SIGTERM)
    assert not isinstance(caught.value, Exception)
    assert handlers() == before


def test_ctrl_c_stays_ctrl_c_within_terminable() -> None:
    # a shell starts background jobs with it ignored
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), terminable():
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("context", [deferred_signals, terminable])
def test_handlers_are_restored_after_an_error(context: Callable[[], object]) -> None:
    before = handlers()
    manager = deferred_signals() if context is deferred_signals else terminable()
    with pytest.raises(ZeroDivisionError), manager:
        raise ZeroDivisionError
    assert handlers() == before


def test_handlers_nest() -> None:
    before = handlers()
    with terminable():
        outer = handlers()
        with deferred_signals() as asked:
            signal.raise_signal(signal.SIGTERM)
        assert asked.noted() == signal.SIGTERM
        assert handlers() == outer
    assert handlers() == before


# -- nobody there ----------------------------------------------------------------------------------


def test_a_closed_standard_error_takes_nothing() -> None:
    with redirect_stderr(None):
        write_line("a line")
        work(Terminal(quiet=False))
        Terminal(quiet=False).log("a line")


def test_a_standard_error_without_a_reader_takes_nothing_more() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream, redirect_stderr(stream):
        write_line("a line")
        Terminal(quiet=False).log("another line")
        stream.write("what somebody else writes")
