"""The application: commands in panels of the help, and options in groups.

A command takes a few frozen dataclasses whose fields are options, which stand in their metadata or
annotations; typer, which needs every option as a parameter, is shown a function that takes the
fields one by one.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, TypeVar

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup
from typer.models import ParameterInfo

Handler = TypeVar("Handler", bound=Callable[..., None])

WORK, LOOK, CORRECT, SHARE, CHECK = "Work", "Look", "Correct", "Share", "Check"
COMMAND_PANELS = (WORK, LOOK, CORRECT, SHARE, CHECK)
IMAGES, TRAINING, CLUSTERING = "Images", "Training", "Clustering"
KNOWN, OUTPUT, COMPUTING = "Known labels", "Output", "Computing"
OPTION = "option"  # the key of a field's metadata
OPTION_PANELS = (None, TRAINING, CLUSTERING, KNOWN, IMAGES, OUTPUT, COMPUTING)


class Command(TyperCommand):
    """A command whose help is tidy."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer's; ``-k=3``, whose value would be ``=3``, is ``-k3``."""
        given = args[: args.index("--")] if "--" in args else args
        args[: len(given)] = [re.sub(r"^(-[a-z])=", r"\1", word) for word in given]
        return super().parse_args(ctx, args)

    def get_params(self, ctx: Any) -> Any:
        """As typer's, with --help among the flags of output."""
        params = _tidied(super().get_params(ctx))
        next(param for param in params if param.name == "help").rich_help_panel = OUTPUT
        return params


class Verbs(TyperGroup):
    """Commands of a command."""

    def get_params(self, ctx: Any) -> Any:
        """As typer's."""
        return _tidied(super().get_params(ctx))


class Commands(Verbs):
    """The commands, panel after panel whatever the order they are written in."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of their panels."""
        commands: Any = self.commands
        names = super().list_commands(ctx)
        return sorted(names, key=lambda n: COMMAND_PANELS.index(commands[n].rich_help_panel))


def _tidied(params: list[Any]) -> list[Any]:
    """Flags without a value and arguments show no type, defaults in words no second brackets."""

    def shown(text: str) -> Callable[..., str]:
        return lambda **_: text

    for param in params:
        if getattr(param, "is_flag", False):
            param.metavar = " "
        if param.param_type_name == "argument":
            param.display_type_rich = shown("")
        if isinstance(param.show_default, str):
            param._get_default_string = shown(param.show_default)
    return params


app = typer.Typer(
    name="aeclust",
    cls=Commands,
    help="Cluster images without labels: train, look at the clusters, correct them, export.\n\n"
    "First run: aeclust train && aeclust predict > submission.csv\n\n"
    "Your own images: aeclust train photos/",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"aeclust {version('aeclust')}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    pass


def verbs(panel: str, name: str, text: str) -> typer.Typer:
    """A command in a panel of the help that has commands of its own, such as ``edit merge``."""
    group = typer.Typer(
        cls=Verbs,
        help=text,
        no_args_is_help=True,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.add_typer(group, name=name, rich_help_panel=panel)
    return group


def command(
    panel: str, name: str | None = None, *, of: typer.Typer = app
) -> Callable[[Handler], Handler]:
    """Make a function a command in a panel of the help; its docstring ends with examples.

    Its parameters are annotated options, and dataclasses whose fields are. It is one of `of`,
    which :func:`verbs` made, or of the application itself.
    """

    def register(handler: Handler) -> Handler:
        hints = typing.get_type_hints(handler, include_extras=True)
        groups = {name: hint for name, hint in hints.items() if is_dataclass(hint)}

        def run(**values: Any) -> None:
            for parameter, group in groups.items():
                values[parameter] = group(**{f.name: values.pop(f.name) for f in fields(group)})  # type: ignore[operator]
            handler(**values)

        options: list[inspect.Parameter] = []
        for parameter in inspect.signature(handler).parameters.values():
            if parameter.name in groups:
                options += _options_of(groups[parameter.name])
            else:
                hint = hints[parameter.name]
                options.append(_option(parameter.name, hint, parameter.default))
        options.sort(key=lambda option: OPTION_PANELS.index(_panel(option.annotation)))
        run.__name__, run.__doc__ = handler.__name__, handler.__doc__
        run.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]
        run.__annotations__ = {option.name: option.annotation for option in options}
        of.command(name, cls=Command, rich_help_panel=panel if of is app else None)(run)
        return handler

    return register


def all_commands() -> dict[str, Any]:
    """Every command by its name, in the order of the help; verbs as ``edit merge``."""
    found: dict[str, Any] = {}
    for name, each in top_commands().items():
        found |= {f"{name} {verb}": sub for verb, sub in getattr(each, "commands", {}).items()}
        if not hasattr(each, "commands"):
            found[name] = each
    return found


def top_commands() -> dict[str, Any]:
    """What stands behind ``aeclust``, in the order of the help: commands, and those with verbs."""
    whole: Any = typer.main.get_command(app)
    return {name: whole.commands[name] for name in whole.list_commands(None)}


def panel_of(name: str) -> str:
    """The panel of the help that a command stands in, or the one that it is a verb of."""
    return str(top_commands()[name.partition(" ")[0]].rich_help_panel)


def _options_of(group: Any) -> list[inspect.Parameter]:
    hints = typing.get_type_hints(group, include_extras=True)
    for each in fields(group):
        if OPTION in each.metadata:
            hints[each.name] = Annotated[hints[each.name], each.metadata[OPTION]]
    return [_option(each.name, hints[each.name], each.default) for each in fields(group)]


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def _panel(annotation: Any) -> str | None:
    (info,) = [each for each in annotation.__metadata__ if isinstance(each, ParameterInfo)]
    return info.rich_help_panel
