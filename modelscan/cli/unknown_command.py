"""The error for an unknown command, with a command to paste."""

from __future__ import annotations

import re
import shlex

import click

from modelscan.cli.commands import COMMANDS, ELSEWHERE
from modelscan.core.nearest import likeness


def unknown_command(ctx: click.Context, args: list[str], names: list[str]) -> click.UsageError:
    """The error for an unknown command with one to paste as its hint: what a word of other tools
    means here, else the nearest name with the words that were typed after it.
    """
    name = args[0]
    path = ctx.command_path
    words = " ".join((*path.split()[1:], name))
    hint = _near_command(ctx, name, names)
    if hint is not None:
        hint = " ".join([hint, *_repeated(args[1:])])
    if words in ELSEWHERE:
        hint = f"{path.split()[0]} {_with_argument(ELSEWHERE[words], args[1:])}"
    error = click.UsageError(f"there is no command '{path} {name}'", ctx)
    error.nearest = hint  # type: ignore[attr-defined]
    return error


def _repeated(args: list[str]) -> list[str]:
    """The typed words, quoted; none where one of them looks like a key."""
    from modelscan.state.secrets import redact

    line = shlex.join(args)
    return [line] if line and redact(line) == line else []


_ENDING = frozenset({"remove", "rm", "stop", "uninstall", "prune", "revoke", "leave", "drain"})


def _near_command(ctx: click.Context, name: str, names: list[str]) -> str | None:
    """The path of the nearest command: of the same group, else one of exactly this name elsewhere
    that ends nothing; at the top level also one of another group with a similar name.
    """
    path = ctx.command_path
    siblings = {sibling: f"{path} {sibling}" for sibling in names}
    others = {
        other: place for other, place in _all_commands(ctx.find_root()).items()
        if other not in _ENDING and (other == name or ctx.parent is None)
    }  # fmt: skip
    commands = {**others, **siblings}

    def rank(other: str) -> float:
        similarity = likeness(name, other)
        return similarity + 0.1 * (other in siblings) if similarity >= 0.6 else 0

    near = max(commands, key=rank)
    return commands[near] if rank(near) else None


def _with_argument(line: str, args: list[str]) -> str:
    """The line with the typed argument in place of MODEL, NAME, KEY or TEXT."""
    given = next((word for word in args if not word.startswith("-")), None)
    if given is None:
        return line
    return re.sub(r"\b(MODEL|NAME|KEY|TEXT)\b", lambda _: shlex.quote(given), line)


def _all_commands(root: click.Context) -> dict[str, str]:
    """Last word of each command -> its full path; the top level has precedence."""
    paths: dict[str, str] = {}
    for entry in COMMANDS:
        command = root.command.get_command(root, entry.name)  # type: ignore[attr-defined]
        if isinstance(command, click.Group):
            for name in command.list_commands(root):
                paths.setdefault(name, f"{root.command_path} {entry.name} {name}")
    for entry in COMMANDS:
        paths |= {name: f"{root.command_path} {name}" for name in (entry.name, *entry.aliases)}
    return paths
