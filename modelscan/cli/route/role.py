"""``modelscan route role``: names for a purpose, served by the entries that pass their gates."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table, Text
from modelscan.cli.framework import command, group
from modelscan.cli.route.edited import DryRun, Set, Unset, edited
from modelscan.core.errors import UsageError

app = group("Roles: names for a purpose that several entries may serve.")
Role = Annotated[str, typer.Argument(help="The role's id.", metavar="ROLE")]


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List the roles, built-in ones too, with the entry that each would choose now."""
    answer = context.workspace.roles()
    rows = [
        (r.role_id, r.operation, r.strategy, r.chosen, r.passed, ", ".join(r.fallbacks), r.origin)
        for r in answer.roles
    ]
    table = Table(
        ("ROLE", "OPERATION", "STRATEGY", "CHOSEN", "ENTRIES", "FALLBACKS", "FROM"),
        rows,
        numeric=("ENTRIES",),
        optional=("FROM", "FALLBACKS", "STRATEGY"),
    )
    return Document("route.role.list", answer, [table], [r.role_id for r in answer.roles])


@command(app, "show")
def show(context: Context, role: Role) -> Document[Any]:
    """Show every field of a role, and which entries pass its gates."""
    import json

    from modelscan.core.jsonform import to_json

    answer = context.workspace.role(role)
    pairs = [("chosen", answer.chosen), ("entries", ", ".join(answer.passed) or None)]
    pairs += [("refused", reason) for reason in answer.refused]
    text = json.dumps(to_json(answer.role), ensure_ascii=False, indent=2)
    return Document("route.role.show", answer, [Fields(pairs), Text(text)], [role])


@command(app, "add")
def add(
    context: Context,
    role: Role,
    operation: Annotated[
        Literal["chat", "embeddings", "rerank", "transcription", "speech", "image"],
        typer.Option("--operation", help="What it is for."),
    ] = "chat",
    description: Annotated[
        str | None, typer.Option("--description", help="What it is for, in words.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option("--strategy", help="scored, round_robin, least_loaded, priority, weighted."),
    ] = None,
    system_prompt: Annotated[
        str | None, typer.Option("--system-prompt", help="Its system prompt.")
    ] = None,
    prefer: Annotated[
        list[str] | None, typer.Option("--prefer", help="A preferred family; repeatable.")
    ] = None,
    min_context: Annotated[
        int | None, typer.Option("--min-context", min=1, help="Tokens an entry must accept.")
    ] = None,
    requires_tag: Annotated[
        list[str] | None,
        typer.Option("--requires-tag", help="A tag entries must have; repeatable."),
    ] = None,
    fallback: Annotated[
        list[str] | None, typer.Option("--fallback", help="A role to try next; repeatable.")
    ] = None,
    values: Set = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Add a role to the routing file."""
    from modelscan.cli.route.edit import nested
    from modelscan.routing.edits import add_role, read_assignments

    selection = {
        "strategy": strategy, "preferred_families": prefer, "min_context": min_context,
        "requires_tags": requires_tag, "fallback_roles": fallback,
    }  # fmt: skip
    given = {
        "description": description,
        "prompt_policy": {"system_prompt": system_prompt} if system_prompt else None,
        "routing_policy": {k: v for k, v in selection.items() if v is not None} or None,
    }
    fields: dict[str, Any] = {"role_id": role, "operation": operation}
    fields |= {key: value for key, value in given.items() if value is not None}
    for key, value in nested(read_assignments(values or ())).items():
        fields[key] = {**fields.get(key, {}), **value} if isinstance(value, dict) else value
    answer = add_role(context.config.routing_file, fields, dry_run=dry_run)
    return edited("role.add", answer, [role], f"modelscan route explain {role}")


@command(app, "edit")
def edit(
    context: Context,
    role: Role,
    values: Set = None,
    removed: Unset = None,
    dry_run: DryRun = False,
) -> Document[Any]:
    """Change keys of a role, for example --set routing_policy.min_context=8192."""
    from modelscan.routing.edits import edit_item, read_assignments

    if not values and not removed:
        usage = f"modelscan route role edit {role} --set KEY=VALUE"
        raise UsageError("nothing to change", hint=usage)
    answer = edit_item(
        context.config.routing_file, "roles", role, read_assignments(values or ()), removed or (),
        dry_run=dry_run,
    )  # fmt: skip
    return edited("role.edit", answer, [role])


@command(app, "remove")
def remove(context: Context, role: Role, dry_run: DryRun = False) -> Document[Any]:
    """Remove a role from the routing file."""
    from modelscan.routing.edits import remove_role

    answer = remove_role(context.config.routing_file, role, dry_run=dry_run)
    return edited("role.remove", answer, [role])
