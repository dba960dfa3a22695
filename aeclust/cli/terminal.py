"""What a command shows while it works, on standard error, and the signals that end it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from types import FrameType
from typing import TYPE_CHECKING, Any

from aeclust.errors import Interrupted, printable
from aeclust.run.progress import Lines, State, Tracker, duration

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from aeclust.network.training import Moment


class Terminal:
    """What standard error shows: bars on a terminal, plain lines elsewhere.

    Parameters
    ----------
    quiet : bool
        Show nothing at all.
    epochs : int
        Of the training that :meth:`observe` follows.
    """

    def __init__(self, *, quiet: bool, epochs: int = 0) -> None:
        self.quiet = quiet
        self._tracker = Tracker(epochs)
        self._lines = Lines(None if quiet else write_line, epochs=epochs)
        self._progress: Progress | None = None

    def log(self, line: str) -> None:
        """One line of plain text, control characters escaped."""
        line = printable(line)
        if self._watched():
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        else:
            self._lines.log(line)

    def expect(self, epochs: int) -> None:
        """So many epochs are to come, if that was not known."""
        self._tracker.epochs = self._lines.tracker.epochs = epochs

    def observe(self, moment: Moment) -> None:
        """Follow training: epoch, loss, images per second, time left."""
        if self._watched():
            self._show(self._tracker.observe(moment))
        else:
            self._lines.observe(moment)

    def progress(self, what: str, done: int, total: int) -> None:
        """Follow other long work; a total of 0 is not known."""
        if self._watched():
            self._show(self._tracker.progress(what, done, total))
        else:
            self._lines.progress(what, done, total)

    def close(self) -> None:
        """Leave the bars as they stand, and say no more."""
        self._lines.close()
        self._leave_bar()

    def _leave_bar(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _watched(self) -> bool:
        if self.quiet or sys.stderr is None or not sys.stderr.isatty():
            return False
        # the cells of a notebook pass for a terminal, and cannot draw over what they have drawn
        notebook = "JPY_PARENT_PID" in os.environ
        notebook |= os.environ.get("MPLBACKEND", "").startswith("module://")
        return not notebook and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(stderr=True)

    def _show(self, state: State) -> None:
        """Bring the one bar there is up to date; what is done leaves it on the screen."""
        left = "" if state.left is None else f"{duration(state.left)} left"
        values: dict[str, Any] = {"completed": state.done, "total": state.total or None}
        values |= {"description": state.text, "left": "" if state.ended else left}
        if self._progress is None:
            self._progress = _bar(self._console)
            self._progress.add_task(**values)
            self._progress.start()
        (task,) = self._progress.task_ids
        self._progress.update(task, **values)
        if state.ended:  # what is printed next belongs below the bar
            self._leave_bar()


def write_line(line: str) -> None:
    """Write a line on standard error; where nobody reads it, drop it and what follows."""
    if sys.stderr is None:  # closed
        return
    try:
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
    except BlockingIOError:  # whoever reads is slow: one line is lost, not all
        return
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _bar(console: Console) -> Progress:
    """A bar, drawn a few times a second."""
    from rich import progress
    from rich.table import Column

    columns = (
        progress.SpinnerColumn(finished_text=" "),
        progress.TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
        progress.BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=40)),
        progress.TimeElapsedColumn(),
        progress.TextColumn("{task.fields[left]}", table_column=Column(no_wrap=True)),
    )
    return progress.Progress(*columns, console=console, refresh_per_second=4, expand=True)


class Terminated(BaseException):
    """SIGTERM, where nothing has to be saved first."""


class Signals:
    """Ctrl-C and SIGTERM while training: noted while it works, obeyed at once while it rests.

    Attributes
    ----------
    resting : str or None
        The message of an interrupt while nothing would be lost by it; None while a signal has to
        wait until the state is saved.
    """

    def __init__(self) -> None:
        self.resting: str | None = None
        self._noted: int | None = None

    def noted(self) -> int | None:
        """The number of the signal that came, or None."""
        return self._noted

    def rest(self, what: str | None) -> None:
        """From now on a signal ends the command with this sentence; with None it waits.

        One that waits already ends it now.
        """
        self.resting = what
        if what is not None and self._noted is not None:
            raise Interrupted(self._noted, what)

    def receive(self, number: int) -> None:
        """A signal: the second one does not wait in any case."""
        if self._noted is not None:
            raise KeyboardInterrupt
        self._noted = number
        if self.resting is not None:
            raise Interrupted(number, self.resting)


@contextmanager
def deferred_signals() -> Iterator[Signals]:
    """Within it Ctrl-C and SIGTERM go to the :class:`Signals` that it yields."""
    signals = Signals()

    def handle(number: int, frame: FrameType | None) -> None:
        signals.receive(number)

    with _handlers({signal.SIGINT: handle, signal.SIGTERM: handle}):
        yield signals


@contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises :class:`Terminated`, so that nothing is left half-written."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Terminated

    with _handlers({signal.SIGTERM: stop}):
        yield


@contextmanager
def _handlers(
    wanted: dict[signal.Signals, Callable[[int, FrameType | None], None]],
) -> Iterator[None]:
    old = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
