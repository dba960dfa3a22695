"""Write docs/cli.md from the commands themselves: ``python docs/reference.py > docs/cli.md``."""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from typing import Any

from aeclust.cli.app import COMMAND_PANELS, all_commands, panel_of

HEAD = """# Commands

Every command with examples and flags, as `aeclust COMMAND --help` shows them. `python
docs/reference.py > docs/cli.md` writes this page.

`-` in place of images or labels reads them from standard input (`.npy`, `.npz`, `.h5`, or a CSV of
labels), but not in `train`, whose images later commands must find again. `-o -` writes to standard
output. `aeclust --install-completion` has bash, zsh or fish complete commands, flags and values.

Common flags:
"""
COMMON = ("--run", "--json", "-q, --quiet", "--help", "--device", "--threads")


def main() -> str:
    """The whole page."""
    parts = [HEAD, common()]
    for panel in COMMAND_PANELS:
        names = [name for name in all_commands() if panel_of(name) == panel]
        parts += [f"## {panel}\n"] * bool(names)
        parts += [section(name, all_commands()[name]) for name in names]
    return "\n".join(parts)


def section(name: str, command: Any) -> str:
    """One command: what it does, examples, and a table of flags for each panel."""
    context = command.make_context(f"aeclust {name}", [], resilient_parsing=True)
    what, *examples = inspect.cleandoc(command.help).split("\n\n")
    lines = [f"### aeclust {name}", "", what.replace("\n", " "), ""]
    if examples:
        lines += ["```sh", *examples, "```", ""]
    rows: dict[str, list[str]] = defaultdict(list)
    shared = []
    for param in command.get_params(context):
        if ", ".join(param.opts) in COMMON:
            shared.append(f"`{param.opts[-1]}`")
        elif not param.hidden:
            rows[param.rich_help_panel or "Arguments"].append(row(param, context))
    for panel, cells in rows.items():
        lines += [*heading(panel), *cells, ""]
    return "\n".join([*lines, f"Also {', '.join(shared)}.", ""])


def common() -> str:
    """The flags that most commands have, once."""
    command = all_commands()["predict"]
    context = command.make_context("aeclust predict", [], resilient_parsing=True)
    flags = {", ".join(param.opts): param for param in command.get_params(context)}
    return "\n".join([*heading("Flag"), *(row(flags[name], context) for name in COMMON), ""])


def heading(title: str) -> list[str]:
    """The first two lines of a table."""
    return [f"| {title} | value | what it is | default |", "| --- | --- | --- | --- |"]


def row(param: Any, context: Any) -> str:
    """A flag or an argument as a row of a table."""
    is_argument = param.param_type_name == "argument"
    names = param.display_name_raw if is_argument else ", ".join(param.opts)
    value = "" if is_argument else (param.display_type_rich(ctx=context) or "").strip()
    default = param.show_default if isinstance(param.show_default, str) else ""
    if not default and param.default not in (None, False):
        default = f"`{param._get_default_string(**defaults_of(param, context))}`"
    if param.required:
        default = "required"
    if param.envvar:
        default += f" or `{param.envvar}`"
    cells = [f"`{names}`", f"`{value}`" if value else "", param.help or "", default]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def defaults_of(param: Any, context: Any) -> dict[str, Any]:
    value = param._extract_default_help_str(ctx=context)
    return {"ctx": context, "show_default_is_str": False, "default_value": value}


if __name__ == "__main__":
    sys.stdout.write(main())
