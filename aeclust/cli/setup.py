"""What every command has around it: its context before, its answer on the streams after."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aeclust.cli import streams
from aeclust.cli.answers import Answer
from aeclust.cli.options import DEFAULT_RUN, Common
from aeclust.cli.streams import STREAM
from aeclust.cli.terminal import Signals, Terminal
from aeclust.cli.threads import cores, on_threads, suitable, wished
from aeclust.errors import AeclustError, InputError
from aeclust.network.place import Place, by_torchrun, place_in

if TYPE_CHECKING:
    from aeclust.network.parallel import Team
    from aeclust.run.context import Context
    from aeclust.run.folder import RunFolder


@contextmanager
def surroundings(
    common: Common,
    *,
    output: Path | None = None,
    together: bool = False,
    epochs: int = 0,
    begins: bool = False,
    signals: Signals | None = None,
) -> Iterator[Context]:
    """The context of a command; the terminal is left tidy whatever happens.

    Only what can be done `together` may be started as several processes, of which one writes to
    the terminal. Training has `epochs`, and `begins` where it does not go on with a run. `output`
    may be none of the run's own files.
    """
    from aeclust.run.context import Context, alone, choose_device

    place = _place(together)
    signals = signals or Signals()  # without a sender: what ends other commands ends them at once
    leads = place is None or place.rank == 0
    terminal = Terminal(quiet=common.quiet or not leads, epochs=epochs)

    busy: list[str] = []  # said once training is about to begin

    def log(line: str) -> None:
        terminal.log(streams.with_names(line))

    def expect(epochs: int) -> None:
        terminal.expect(epochs)
        while busy:
            log(busy.pop(0))

    with ExitStack() as stack:
        stack.callback(terminal.close)
        folder = run_folder(common.run)
        assemble = cache(partial(alone, common.device))
        if common.device not in ("auto", "cpu"):
            assemble()  # is it there?
        threads = common.threads
        if threads is None:
            threads = None if begins or wished() else _recorded(folder)
            if epochs and place is None and choose_device(common.device).type == "cpu":
                threads = suitable(busy.append, threads)
        stack.enter_context(on_threads(threads))
        if place is not None:
            signals.rest("interrupted while it waited for other processes; nothing was changed")
            team = stack.enter_context(_team(common, place))
            assemble = cache(lambda: team)
        if output not in (None, STREAM):
            folder.check_foreign(output)
        yield Context(
            folder=folder,
            assemble=assemble,
            log=log,
            observe=terminal.observe,
            expect=expect,
            progress=terminal.progress,
            signal=signals.noted,
            rest=signals.rest,
            threads=threads if place is None else None,
        )


@contextmanager
def about(location: str) -> Iterator[Context]:
    """The context of a command about labels, which are a run's where `location` is one."""
    there = run_folder(Path(location)).exists()
    with surroundings(Common(run=Path(location)) if there else Common()) as context:
        yield context


def _place(together: bool) -> Place | None:
    """Which of several processes this is; None where others have no part in the command."""
    if not together and not by_torchrun(os.environ):
        return None  # a job's variables are for what works together
    place = place_in(os.environ)
    if place is not None and not together:
        raise InputError(
            f"{place.size} processes were started",
            where="torchrun",
            expected="several for aeclust train and aeclust embed alone",
            mend="run this command without torchrun",
        )
    return place


def _team(common: Common, place: Place) -> AbstractContextManager[Team]:
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # what happens is said by us, in a line
    from aeclust.network.parallel import joined
    from aeclust.run.context import choose_device

    terminal = Terminal(quiet=common.quiet)  # who waits says so, not the first alone
    prefix = f"process {place.rank}: " if place.rank else ""
    log = terminal.log
    return joined(choose_device(common.device), place, log=lambda line: log(f"{prefix}{line}"))


def _recorded(folder: RunFolder) -> int | None:
    """With how many threads a run was trained, if it is known; no more than there are cores."""
    try:
        threads = folder.manifest().threads
    except (AeclustError, OSError):
        return None  # what is wrong with it is said by whoever needs it
    return threads and min(threads, cores())


def run_folder(run: Path) -> RunFolder:
    """A run's folder, with the flag by which commands find it."""
    from aeclust.run.folder import RunFolder

    known = run == Path(os.environ.get("AECLUST_RUN", DEFAULT_RUN))
    return RunFolder(run, "" if known else f" --run {shlex.quote(str(run))}")


def log_next(context: Context, *steps: tuple[str, str]) -> None:
    """What to do with what is there now: in words, and the command, a line each."""
    wide = max(len(what) for what, _ in steps)
    for i, (what, command) in enumerate(steps):
        context.log(f"{'     ' if i else 'next:'} {what:{wide}s}  {command}")


def reply(
    answer: Answer, as_json: bool, output: Path | None = None, *, quiet: bool = False
) -> None:
    """The answer on standard output; on standard error if that carries the file itself."""
    line = streams.with_names(json.dumps(answer.json) if as_json else answer.text)
    if output != STREAM:
        emit(f"{line}\n")
    elif not quiet:
        typer.echo(line, err=True)


def emit(text: str, output: Path | None = None) -> None:
    """Text to a file, whole, or to standard output."""
    if output is not None:
        from aeclust.disk import write_bytes

        write_bytes(output, text.encode())
        return
    with streams.standard_output():
        sys.stdout.write(text)
        sys.stdout.flush()


def copy_to(file: Path, output: Path | None) -> Path:
    """The file itself, or its copy where `-o` asks for one."""
    if output is None:
        return file
    from aeclust.disk import write_bytes

    write_bytes(output, file.read_bytes())
    return output
