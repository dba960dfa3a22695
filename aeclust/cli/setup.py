"""What every command has around it: its context before, its answer on the streams after."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from aeclust.cli import streams
from aeclust.cli.answers import Answer
from aeclust.cli.options import DEFAULT_RUN, Common
from aeclust.cli.streams import STREAM
from aeclust.cli.terminal import Signals, Terminal
from aeclust.errors import InputError

if TYPE_CHECKING:
    from aeclust.run.context import Context
    from aeclust.run.folder import RunFolder


@contextmanager
def surroundings(
    common: Common,
    *,
    output: Path | None = None,
    together: bool = False,
    epochs: int = 0,
    signals: Signals | None = None,
) -> Iterator[Context]:
    """The context of a command; the terminal is left tidy whatever happens.

    Only what can be done `together` may be started as several processes, of which one writes to
    the terminal. `output` may be none of the run's own files.
    """
    from aeclust.run.context import Context, alone, choose_device

    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started > 1 and not together:
        raise InputError(
            f"{started} processes were started",
            where="torchrun",
            expected="several for aeclust train and aeclust embed alone",
            mend="run this command without torchrun",
        )

    signals = signals or Signals()  # without a sender: what ends other commands ends them at once
    with ExitStack() as stack:
        stack.enter_context(on_threads(common.threads))
        assemble, leads = cache(partial(alone, common.device)), True
        if started > 1:
            from aeclust.network.parallel import joined

            place = int(os.environ.get("LOCAL_RANK", "0"))
            joining = joined(choose_device(common.device), size=started, local_rank=place)
            team = stack.enter_context(joining)
            assemble, leads = cache(lambda: team), team.leads
        elif common.device not in ("auto", "cpu"):
            assemble()  # is it there?
        terminal = Terminal(quiet=common.quiet or not leads, epochs=epochs)
        stack.callback(terminal.close)
        folder = run_folder(common.run)
        if output not in (None, STREAM):
            folder.check_foreign(output)
        yield Context(
            folder=folder,
            assemble=assemble,
            log=lambda line: terminal.log(streams.with_names(line)),
            observe=terminal.observe,
            progress=terminal.progress,
            signal=signals.noted,
            rest=signals.rest,
        )


def run_folder(run: Path) -> RunFolder:
    """A run's folder, which knows whether commands find it without a flag."""
    from aeclust.run.folder import RunFolder

    known = run == Path(os.environ.get("AECLUST_RUN", DEFAULT_RUN))
    return RunFolder(run, "" if known else f" --run {shlex.quote(str(run))}")


def log_next(context: Context, *commands: str) -> None:
    """What to do with what is there now."""
    context.log(f"next: {', or '.join(map(context.folder.command, commands))}")


@contextmanager
def on_threads(threads: int | None) -> Iterator[None]:
    """Within it PyTorch and the libraries below NumPy and scikit-learn use so many threads."""
    if threads is None:
        yield
        return
    import sklearn.cluster  # noqa: F401 - what is loaded later would take all cores
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    with threadpool_limits(threads):
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


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
