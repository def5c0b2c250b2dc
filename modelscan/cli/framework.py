"""Typer with three additions: lazy commands, global flags on every command, documents.

A command function gets the ``Context`` of its run in the parameter of that type, where it has
one, and returns a ``Document``; this module prints it and leaves with its exit code.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import click
import typer
from click.shell_completion import CompletionItem
from typer.core import TyperArgument, TyperCommand, TyperGroup
from typer.main import get_command

from modelscan.cli.commands import TOLERANT, find, shown
from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.help import write_examples, write_options
from modelscan.core.units import LARGEST

_GLOBAL_FLAGS = (
    (("--json",), "as_json", "Print one JSON document."),
    (("-q", "--quiet"), "quiet", "Print only ids."),
    (("--offline",), "offline", "Send no request off this machine."),
    (("--debug",), "debug", "Show the traceback of an error."),
)


def _context(ctx: click.Context) -> Context:
    context = ctx.find_root().obj
    assert isinstance(context, Context)
    return context


def _set_flag(ctx: click.Context, parameter: click.Parameter, value: bool) -> bool:
    if value:
        setattr(_context(ctx).flags, str(parameter.name), True)
    return value


def global_options() -> list[click.Option]:
    """New option objects of the global flags."""
    return [
        click.Option(
            [*names, name],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_set_flag,
            help=text,
        )
        for names, name, text in _GLOBAL_FLAGS
    ]


def prepare(of: click.Command, ctx: click.Context) -> None:
    """Before a command runs: check its options, and whether invalid settings may stop it."""
    _check_options(of, ctx)
    _context(ctx).tolerant = _path(ctx) in TOLERANT


def _check_options(of: click.Command, ctx: click.Context) -> None:
    """Raises click.UsageError for empty texts, NaN and numbers beyond ``LARGEST``."""
    for parameter in of.params:
        value = ctx.params.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or isinstance(value, bool):
            continue
        name = f"option '{parameter.opts[0]}'"
        if isinstance(value, str) and not value.strip():
            raise click.UsageError(f"{name} is empty", ctx)
        if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise click.UsageError(f"{name} is not a number up to {LARGEST:g}", ctx)


def _complete(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    from modelscan.cli.complete import complete

    return complete(ctx, parameter, incomplete)


def _restore_help(command: click.Command) -> None:
    """Set the help of arguments again: Click 8.5 resets what Typer before 0.26 has set."""
    missing = [p for p in command.params if isinstance(p, TyperArgument) and not p.help]
    if not missing or command.callback is None:
        return
    function = inspect.unwrap(command.callback, stop=lambda f: hasattr(f, "__signature__"))
    hints = inspect.signature(function, eval_str=True).parameters
    for parameter in missing:
        notes = getattr(hints[str(parameter.name)].annotation, "__metadata__", ())
        parameter.help = next((note.help for note in notes if hasattr(note, "help")), None)


class Command(TyperCommand):
    """A command that accepts the global flags and prints the document of its function."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        _restore_help(self)
        for parameter in self.params:
            if not isinstance(parameter.type, (click.Choice, click.types.BoolParamType)):
                parameter._custom_shell_complete = _complete
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:
        prepare(self, ctx)
        return printed(ctx, super().invoke(ctx))

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Nothing: ``format_options`` lists the arguments as well (Click 8.5 has both)."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options in groups, without the global ones."""
        write_options(self, ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Examples, then the command's closing text."""
        write_examples(ctx, formatter)
        super().format_epilog(ctx, formatter)


def _path(ctx: click.Context) -> str:
    """``route list``: the command's own names, not aliases."""
    names: list[str] = []
    while ctx.parent is not None:
        names.insert(0, ctx.command.name or "")
        ctx = ctx.parent
    return " ".join(names)


def printed(ctx: click.Context, result: Any) -> Any:
    """Print a command's document and return its exit code."""
    if isinstance(result, Document):
        _context(ctx).output.emit(result)
        return result.exit_code
    return result or 0


class Group(TyperGroup):
    """A group of commands that accepts the global flags."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def format_arguments(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Nothing: ``format_options`` lists the arguments as well (Click 8.5 has both)."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Options in groups, then the commands and examples of the group itself."""
        write_options(self, ctx, formatter)
        self.format_commands(ctx, formatter)
        write_examples(ctx, formatter)

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from modelscan.cli.unknown_command import unknown_command

            raise unknown_command(ctx, args, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class Root(Group):
    """The top level, which imports a command when it runs and none for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in shown()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = find(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command = get_command(getattr(importlib.import_module(module), attribute))
        command.name = entry.name
        return command

    def _main_shell_completion(self, *args: Any, **kwargs: Any) -> None:
        """Click's own completion protocol: Typer's needs its classes registered at start-up."""
        from modelscan.cli.shells import register

        register()
        click.Group._main_shell_completion(self, *args, **kwargs)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Command names from the registry: completing must not import every command."""
        names = [e for e in shown() if e.name.startswith(incomplete)]
        items = [CompletionItem(e.name, help=e.help) for e in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(entry.section for entry in shown()):
            rows = [(e.name, e.help) for e in shown() if e.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)


class Options:
    """The base of a dataclass whose fields are options shared by several commands.

    Every field has a default.
    """


def adapted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the signature for Typer: no ``Context``, each ``Options`` as its fields.

    Unchanged where it has neither.
    """
    signature = inspect.signature(function, eval_str=True)
    contexts: list[str] = []
    groups: dict[str, type[Options]] = {}
    visible: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        kind = parameter.annotation
        if kind is Context:
            contexts.append(name)
        elif inspect.isclass(kind) and issubclass(kind, Options):
            groups[name] = kind
        else:
            visible.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    if not contexts and not groups:
        return function
    visible += [parameter for kind in groups.values() for parameter in _parameters(kind)]

    @functools.wraps(function)
    def command(**values: Any) -> Any:
        for name in contexts:
            values[name] = _context(click.get_current_context())
        for name, kind in groups.items():
            values[name] = kind(**{option: values.pop(option) for option in get_type_hints(kind)})
        return function(**values)

    del vars(command)["__wrapped__"]  # so that Typer reads the new signature
    vars(command)["__signature__"] = signature.replace(parameters=visible)
    command.__annotations__ = {p.name: p.annotation for p in visible}
    return command


def _parameters(kind: type[Options]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    only = inspect.Parameter.KEYWORD_ONLY
    return [
        inspect.Parameter(name, only, default=getattr(kind, name), annotation=hint)
        for name, hint in hints.items()
    ]


def group(help_text: str) -> typer.Typer:
    """A command group (``modelscan catalog …``)."""
    return typer.Typer(
        help=help_text, cls=Group, rich_markup_mode=None, add_completion=False, no_args_is_help=True
    )


def single(
    function: Callable[..., Document[Any] | int | None], *, epilog: str | None = None, **kwargs: Any
) -> typer.Typer:
    """An app with one command (``modelscan plan``)."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Command, epilog=epilog, **kwargs)(adapted(function))
    return app


def command(app: typer.Typer, name: str | None = None, **kwargs: Any) -> Callable[[Any], Any]:
    """``@command(app, "search")`` registers a command of a group; the function is unchanged."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        app.command(name, cls=Command, **kwargs)(adapted(function))
        return function

    return register
