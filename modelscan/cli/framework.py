"""Typer with three additions: lazy commands, global flags everywhere, and returned documents.

A command function returns a ``Document``; this module prints it and leaves with its exit code.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import click
import typer
from click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from modelscan.cli.commands import COMMANDS, find
from modelscan.cli.context import current
from modelscan.cli.document import Document
from modelscan.core.nearest import likeness
from modelscan.core.units import LARGEST

_GLOBAL_FLAGS = (
    (("--json",), "as_json", "One JSON document on stdout."),
    (("-q", "--quiet"), "quiet", "Print ids only."),
    (("--offline",), "offline", "Send no request off this machine."),
    (("--debug",), "debug", "Show the traceback of an error."),
)


def _remember(_: click.Context, parameter: click.Parameter, value: bool) -> bool:
    if value:
        setattr(current().flags, str(parameter.name), True)
    return value


def global_options() -> list[click.Option]:
    """Fresh option objects for the flags of the contract."""
    return [
        click.Option(
            [*names, name],
            is_flag=True,
            expose_value=False,
            is_eager=True,
            callback=_remember,
            help=text,
        )
        for names, name, text in _GLOBAL_FLAGS
    ]


def check_options(of: click.Command, ctx: click.Context) -> None:
    """Refuse what no option of ours means: an empty text, NaN, numbers beyond ``LARGEST``."""
    for parameter in of.params:
        value = ctx.params.get(parameter.name or "")
        if not isinstance(parameter, click.Option) or isinstance(value, bool):
            continue
        name = f"option '{parameter.opts[0]}'"
        if isinstance(value, str) and not value.strip():
            raise click.UsageError(f"{name} is empty", ctx)
        if isinstance(value, (int, float)) and not abs(value) <= LARGEST:
            raise click.UsageError(f"{name} is not a number up to {LARGEST:g}", ctx)


class Command(TyperCommand):
    """A leaf: accepts the global flags, prints the document its function returns."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def invoke(self, ctx: click.Context) -> Any:
        check_options(self, ctx)
        result = super().invoke(ctx)
        if isinstance(result, Document):
            current().output.emit(result)
            return result.exit_code
        return result or 0


class Group(TyperGroup):
    """A group whose own flags are the global ones."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_options())

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise unknown_command(ctx, name, self.list_commands(ctx))
        return super().resolve_command(ctx, args)


class Root(Group):
    """The top level: commands are imported when they are run, never for ``--help``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [entry.name for entry in COMMANDS]

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
        click.Group._main_shell_completion(self, *args, **kwargs)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Command names from the registry: completing must not import every command."""
        names = [e for e in COMMANDS if e.name.startswith(incomplete)]
        items = [CompletionItem(e.name, help=e.help) for e in names]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for section in dict.fromkeys(entry.section for entry in COMMANDS):
            rows = [(e.name, e.help) for e in COMMANDS if e.section == section]
            with formatter.section(section):
                formatter.write_dl(rows)


def unknown_command(ctx: click.Context, name: str, names: list[str]) -> click.UsageError:
    """``no such command`` with the nearest one, here or in another group, as a hint to paste."""
    here = {known: f"{ctx.command_path} {known}" for known in names}
    known = {**_everywhere(ctx.find_root()), **here}

    def rank(other: str) -> float:
        alike = likeness(name, other)
        return alike + 0.1 * (other in here) if alike >= 0.6 else 0  # a sibling is likelier

    near = max(known, key=rank)
    error = click.UsageError(f"there is no command '{ctx.command_path} {name}'", ctx)
    error.nearest = known[near] if rank(near) else None  # type: ignore[attr-defined]
    return error


def _everywhere(root: click.Context) -> dict[str, str]:
    """Each command's last word and how it is called; those of the top level win."""
    found: dict[str, str] = {}
    for entry in COMMANDS:
        command = root.command.get_command(root, entry.name)  # type: ignore[attr-defined]
        if isinstance(command, click.Group):
            for name in command.list_commands(root):
                found.setdefault(name, f"{root.command_path} {entry.name} {name}")
    for entry in COMMANDS:
        found |= {name: f"{root.command_path} {name}" for name in (entry.name, *entry.aliases)}
    return found


def group(help_text: str) -> typer.Typer:
    """A command group (``modelscan catalog …``)."""
    return typer.Typer(
        help=help_text, cls=Group, rich_markup_mode=None, add_completion=False, no_args_is_help=True
    )


def single(
    function: Callable[..., Document | int | None], *, epilog: str | None = None, **kwargs: Any
) -> typer.Typer:
    """An app with one command (``modelscan plan``)."""
    app = typer.Typer(rich_markup_mode=None, add_completion=False)
    app.command(cls=Command, epilog=epilog, **kwargs)(function)
    return app


def command(app: typer.Typer, name: str | None = None, **kwargs: Any) -> Callable[[Any], Any]:
    """``@command(app, "search")``: a command of a group."""
    return app.command(name, cls=Command, **kwargs)
