"""How far a command has come: the time left, and plain lines for where no bar can be drawn."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aeclust.network.training import Moment

_MEMORY = 60.0  # seconds after which a speed is half forgotten and more
_SILENCE = 60.0  # seconds without a line, at most
_GLANCE = 0.5  # seconds between two looks at a loss, at least: a GPU is waited for


class Pace:
    """The speed of work, in units a second: the mean of about the last minute."""

    def __init__(self) -> None:
        self._units = self._seconds = 0.0
        self._before: tuple[float, float] | None = None

    @property
    def speed(self) -> float:
        """Units a second; 0 before anything is known."""
        return self._units / self._seconds if self._seconds else 0.0

    def reach(self, done: float, now: float) -> None:
        """So much is done at this time; the first time after a pause measures no speed."""
        if self._before is not None:
            units, seconds = done - self._before[0], max(now - self._before[1], 1e-6)
            kept = math.exp(-seconds / _MEMORY)
            self._units = kept * self._units + units
            self._seconds = kept * self._seconds + seconds
        self._before = done, now

    def pause(self) -> None:
        """The time until the next call is no work."""
        self._before = None

    def left(self, units: float) -> float | None:
        """Seconds for so many units; None before anything is known."""
        return units / self.speed if self.speed > 0 else None


@dataclass(frozen=True)
class State:
    """Where work stands.

    Attributes
    ----------
    text : str
        What a bar has beside it.
    line : str
        The same for a line, without the time left.
    done, total : int
        A total of 0 is not known.
    left : float or None
        Seconds; None if unknown.
    whole : bool
        Whether an epoch has just ended.
    """

    text: str
    line: str
    done: int
    total: int
    left: float | None
    whole: bool = False

    @property
    def ended(self) -> bool:
        """Whether all is done."""
        return 0 < self.total <= self.done


class Tracker:
    """Turns what stages report into states.

    The time left of training is that of all its epochs, those of the second phase too, by the
    images a second of about the last minute; the look for clusters between the phases is no part
    of that speed.

    Parameters
    ----------
    epochs : int
        Of the training that is observed.
    clock : callable
        Seconds.
    """

    def __init__(self, epochs: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.epochs, self._clock = epochs, clock
        self._steps, self._images, self._other = Pace(), Pace(), Pace()
        self._seen = 0
        self._last = ("", 0)
        self._loss, self._glanced = math.nan, -math.inf

    def observe(self, moment: Moment) -> State:
        """Training after a step."""
        now, total = self._clock(), self.epochs * moment.steps
        done = moment.epoch * moment.steps + moment.step
        self._seen += moment.images
        if moment.images:  # the first step, which warms up, only starts the clock
            self._steps.reach(done, now)
            self._images.reach(self._seen, now)
        measured = ""
        if moment.images:
            if now - self._glanced >= _GLANCE:
                self._loss, self._glanced = moment.loss, now
            measured = f"  loss {moment.metrics.get('loss', self._loss):.4f}"
        if self._images.speed:
            measured += f"  {self._images.speed:.0f} images/s"
        bar = f"epoch {min(moment.epoch + 1, self.epochs)}/{self.epochs}"
        line = f"epoch {moment.epoch}/{self.epochs}"
        if moment.step or not moment.images:
            line = f"epoch {moment.epoch + 1}/{self.epochs}  step {moment.step}/{moment.steps}"
        whole = moment.step == 0 and moment.images > 0
        left = self._steps.left(total - done)
        return State(bar + measured, line + measured, done, total, left, whole)

    def progress(self, what: str, done: int, total: int) -> State:
        """Other long work."""
        self._steps.pause()
        self._images.pause()
        if self._last[0] != what or done < self._last[1]:
            self._other = Pace()
        self._last = what, done
        self._other.reach(done, self._clock())
        left = self._other.left(total - done) if total else None
        line = f"{what}  {done:,} of {total:,}" if total else f"{what} ..."
        return State(what, line, done, total, left)


class Lines:
    """A line after each epoch, and one a minute while no other comes.

    Parameters
    ----------
    write : callable or None
        Takes a line; None where none is wanted.
    epochs : int
        Of the training that is observed.
    silence : float
        Seconds without a line, at most, of work that was reported.
    """

    def __init__(
        self, write: Callable[[str], None] | None, *, epochs: int = 0, silence: float = _SILENCE
    ) -> None:
        self._write, self._silence = write, silence
        self.tracker = Tracker(epochs)
        self._lock, self._over = threading.Lock(), threading.Event()
        self._state: State | None = None
        self._spoke = time.monotonic()
        self._thread: threading.Thread | None = None

    def log(self, line: str) -> None:
        """A line that is due now."""
        with self._lock:
            self._say(line)

    def observe(self, moment: Moment) -> None:
        """Follow training."""
        if self._write is not None:
            self._follow(self.tracker.observe(moment))

    def progress(self, what: str, done: int, total: int) -> None:
        """Follow other long work; a total of 0 is not known."""
        if self._write is not None:
            self._follow(self.tracker.progress(what, done, total))

    def close(self) -> None:
        """Say no more."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)

    def _say(self, line: str) -> None:
        self._spoke = time.monotonic()
        if self._write is not None:
            self._write(line)

    def _follow(self, state: State) -> None:
        with self._lock:
            self._state = None if state.ended else state
            if state.whole:
                self._say(_with_left(state))
        if self._thread is None and not self._over.is_set():
            # a stage may work for minutes within one call of a library
            self._thread = threading.Thread(target=self._break_silence, daemon=True)
            self._thread.start()

    def _break_silence(self) -> None:
        wait = self._silence
        while not self._over.wait(wait):
            with self._lock:
                wait = self._spoke + self._silence - time.monotonic()
                if wait <= 0:
                    wait = self._silence
                    if self._state is not None and not self._over.is_set():
                        self._say(_with_left(self._state))


def _with_left(state: State) -> str:
    left = "" if state.left is None or state.ended else f"  {duration(state.left)} left"
    return state.line + left


def duration(seconds: float) -> str:
    """A time as far as it can be trusted.

    >>> duration(3), duration(59), duration(200), duration(7300)
    ('5 s', '1 min', '4 min', '2 h 2 min')
    """
    if seconds <= 55:
        return f"{5 * max(1, math.ceil(seconds / 5))} s"
    hours, minutes = divmod(math.ceil(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
