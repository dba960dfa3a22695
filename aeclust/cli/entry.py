"""The entry point: runs one command, and turns exceptions into lines and exit codes."""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from functools import partial

import typer

from aeclust.cli import (  # noqa: F401 - their commands
    ask,
    check,
    edit,
    find,
    hints,
    look,
    share,
    streams,
    work,
)
from aeclust.cli.app import all_commands, app
from aeclust.cli.terminal import Terminated, terminable, write_line
from aeclust.errors import AeclustError, InputError, Interrupted, did_you_mean, printable
from aeclust.recipe import FIELDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; errors are one line on standard error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # names and ids may be in any script
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    if arguments is None:
        _set_up_libraries()
    try:
        with terminable():
            code = app(args=arguments, standalone_mode=False, prog_name="aeclust")
        if code == 130:  # typer's own answer to Ctrl-C, without a word
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Interrupted as stop:
        write_line(f"{_process()}{stop}")
        return 128 + stop.signal_number
    except AeclustError as error:
        flags = partial(flag_of, command=_command(sys.argv[1:] if arguments is None else arguments))
        write_line(f"{_process()}error: {streams.with_names(error.line(flags))}")
        return error.exit_code
    except typer.TyperException as error:
        if error.format_message():  # or else a bare aeclust has shown its help
            words = sys.argv[1:] if arguments is None else arguments
            write_line(f"error: {_usage_text(error, words)}")
        return 2
    except OSError as error:
        if error.filename is not None:  # a path that the system does not take
            place = printable(os.fsdecode(error.filename))
            write_line(f"error: {place}: cannot be used ({error.strerror})")
            return 2
        if error.errno == errno.ENOENT:  # asked for by whatever makes a path absolute
            write_line("error: the working folder is gone; change to another one")
            return 2
        # typer's own printing of help
        write_line(f"error: standard output: could not be written ({error.strerror})")
        return 4
    except (KeyboardInterrupt, typer.Abort):
        write_line("interrupted")
        return 130
    except Terminated:
        write_line("terminated")
        return 143


def _set_up_libraries() -> None:
    """Keep what is not ours off standard error, in a process that is, and take large pages."""
    if not sys.warnoptions:  # python -W shows warnings to whoever wants to see them
        warnings.simplefilter("ignore")
    logging.getLogger().addHandler(logging.NullHandler())
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # of 2 MiB, on Linux: a step gains a 20th


def flag_of(setting: str, command: str = "") -> str:
    """What the command line calls a setting that an error names.

    Parameters
    ----------
    setting : str
        Its neutral name.
    command : str
        The command that the error came from; others may have another flag for the setting.

    >>> flag_of("k"), flag_of("skip_bad"), flag_of("reduction", "train")
    ('-k', '--skip-bad', '--set reduction')
    """
    commands = all_commands()
    flags: dict[str, str] = {}
    for name in (*commands, command):  # the command's own last
        if name == "train" == command:  # which has --set for what has no flag of its own
            flags |= {field: f"--set {field}" for field in FIELDS}
        for param in commands[name].params if name in commands else ():
            if param.param_type_name == "option":
                flags[param.name.rstrip("_")] = param.opts[0]
    other = f"--set {setting}" if setting in FIELDS else f"--{setting.replace('_', '-')}"
    return flags.get(setting, other)


def _usage_text(error: typer.TyperException, words: Sequence[str]) -> str:
    """What typer has against a request, in one line that ends with how to mend it."""
    context = getattr(error, "ctx", None)
    mend = f"see {context.command_path if context else 'aeclust'} --help"
    text, _, meant = " ".join(error.format_message().split()).partition(". Did you mean ")
    if meant:
        mend = f"did you mean {meant.split(chr(39))[1]}?"
    if choice := re.search(r"'(-[^']*)'.* '(.*)' is not one of (.*)", text):
        flag, value, known = choice[1], choice[2], re.findall(r"'([^']*)'", choice[3])
        mend = did_you_mean(value, known, mend)
        expected = f"one of {', '.join(known)}"
        return InputError(f"is {value!r}", where=flag, expected=expected, mend=mend).line()
    if flag := getattr(error, "option_name", ""):
        flags = hints.flags_of(all_commands())
        path = context.command_path.partition(" ")[2] if context else ""
        command = path if path in flags else ""
        text, mend = error.message, hints.meant(flag, words, command, flags) or mend
    return f"{text.replace('Value error, ', '').rstrip('.')}; {mend}"


def _process() -> str:
    """Which of several processes writes a line; empty for the first and for one alone."""
    rank = os.environ.get("RANK", "0")
    return f"process {rank}: " if rank.isdecimal() and int(rank) else ""


def _command(arguments: Sequence[str]) -> str:
    """The name of the command that these arguments ask for, with its verb if it has some."""
    first, second = [*(word for word in arguments if not word.startswith("-")), "", ""][:2]
    return f"{first} {second}" if f"{first} {second}" in all_commands() else first
