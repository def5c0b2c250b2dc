"""``modelscan route add|edit|remove|alias|mode``: change the routing file, comments kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Table
from modelscan.cli.framework import command
from modelscan.cli.route.edited import DryRun, Set, Unset, edited
from modelscan.core.errors import UsageError
from modelscan.routing.format import ProviderType

Name = Annotated[str, typer.Argument(help="The entry's name.", metavar="NAME")]
ModeName = Literal["direct", "plano_proxy", "plano_embedded"]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    for name, function in (
        ("add", add), ("edit", edit), ("remove", remove), ("alias", alias), ("mode", mode),
    ):  # fmt: skip
        command(app, name)(function)


def add(
    context: Context,
    name: Name,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="The server's root, without /v1.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="The model's id.")] = None,
    kind: Annotated[
        ProviderType | None,
        typer.Option("--type", help="Default: local on this machine, else openai."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", help="A hosted provider: route preset list.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="Reference to an API key: env:NAME or file:PATH.")
    ] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeatable.")] = None,
    values: Set = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Add an entry: a server of yours or a hosted provider. Sends no request; route test does."""
    from modelscan.net.address import stays_here
    from modelscan.routing.edits import add_provider, read_assignments

    local = base_url is not None and stays_here(base_url)
    fields: dict[str, Any] = {"name": name, "type": kind or ("local" if local else "openai")}
    given = {"preset": preset, "base_url": base_url, "model": model, "api_key": key, "tags": tag}
    fields |= {name_: value for name_, value in given.items() if value is not None}
    fields |= nested(read_assignments(values or ()))
    answer = add_provider(context.config.routing_file, fields, dry_run=dry_run)
    return edited("add", answer, [name], f"modelscan route test {name}")


def nested(values: dict[str, Any]) -> dict[str, Any]:
    """Dotted keys as mappings."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        place = nested
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = value
    return nested


def edit(
    context: Context,
    name: Name,
    values: Set = None,
    removed: Unset = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Change keys of an entry, for example --set request_policy.body_defaults.temperature=0.2."""
    from modelscan.routing.edits import edit_item, read_assignments

    if not values and not removed:
        raise UsageError("nothing to change", hint=f"modelscan route edit {name} --set KEY=VALUE")
    answer = edit_item(
        context.config.routing_file, "providers", name, read_assignments(values or ()),
        removed or (), dry_run=dry_run,
    )  # fmt: skip
    return edited("edit", answer, [name])


def remove(context: Context, name: Name, dry_run: DryRun = False) -> Document[Any]:
    """Remove an entry that no deployment owns."""
    from modelscan.routing.edits import remove_provider

    answer = remove_provider(context.config.routing_file, name, dry_run=dry_run)
    return edited("remove", answer, [name])


def alias(
    context: Context,
    name: Annotated[str | None, typer.Argument(help="The other name.", metavar="NAME")] = None,
    target: Annotated[
        str | None, typer.Argument(help="An entry, model or role.", metavar="TARGET")
    ] = None,
    removed: Annotated[bool, typer.Option("--remove", help="Remove the alias.")] = False,
    dry_run: DryRun = False,
) -> Document[Any]:
    """List the aliases, set one (clients can ask for gpt-4o), or remove it."""
    from modelscan.routing.answers import list_aliases
    from modelscan.routing.edits import set_alias

    path = context.config.routing_file
    if name is None:
        answer = list_aliases(path)
        rows = [(one.name, one.target) for one in answer.aliases]
        table = Table(("NAME", "TARGET"), rows, empty="there are no aliases")
        return Document("route.alias", answer, [table], [row[0] for row in rows], answer.warnings)
    if (target is None) != removed:
        usage = f"modelscan route alias {name} TARGET"
        raise UsageError("an alias needs a TARGET, or --remove", hint=usage)
    return edited("alias.set", set_alias(path, name, target, dry_run=dry_run), [name])


def mode(
    context: Context,
    name: Annotated[ModeName | None, typer.Argument(help="Default: show it.")] = None,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="plano_proxy: the address of Plano.")
    ] = None,
    key: Annotated[
        str | None, typer.Option("--key", help="plano_proxy: env:NAME or file:PATH.")
    ] = None,
    config_path: Annotated[
        str | None, typer.Option("--config-path", help="plano_embedded: Plano's own file.")
    ] = None,
    image: Annotated[
        str | None, typer.Option("--image", help="plano_embedded: the container's image.")
    ] = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Show or set who forwards requests: modelscan and clients (direct), or Plano.

    For plano_embedded it prints the command that starts the container; nothing is started.
    """
    from modelscan.routing.modes import set_mode, show_mode

    path = context.config.routing_file
    if name is None:
        shown = show_mode(path)
        return Document("route.mode", shown, [_mode_fields(shown)], [shown.mode], shown.warnings)
    given = {"base_url": base_url, "api_key": key, "config_path": config_path, "image": image}
    answer = set_mode(path, name, {k: v for k, v in given.items() if v is not None}, dry_run)
    shown = show_mode(path)
    return edited("mode.set", answer, [name], None if dry_run else shown.command)


def _mode_fields(shown: Any) -> Any:
    from modelscan.cli.document import Fields

    return Fields([("mode", shown.mode), ("fallback", shown.fallback), ("command", shown.command)])
