"""``modelscan server``: the database of ``modelscan serve``: status, backup, restore, changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.state.server.database import ServerDatabase

app = group("Show, back up and restore the database of modelscan serve.")


@command(app, "status")
def status(context: Context) -> Document[Any]:
    """Show the database: where it is, its size, what is kept, the gateways on it."""
    from modelscan.core.units import format_bytes

    with _database(context) as database:
        from modelscan.state.server.status import server_status

        answer = server_status(database, context.config)
    fields = Fields([
        ("database", answer.place), ("revision", answer.revision),
        ("size", format_bytes(answer.size_bytes)),
    ])  # fmt: skip
    tables = Table(
        ("TABLE", "ROWS", "KEPT"),
        [(one.name, one.rows, one.kept or "all") for one in answer.tables],
        ("ROWS",),
    )
    gateways = Table(
        ("GATEWAY", "STATE", "HOST", "PROCESS", "STARTED_AT"),
        [(g.address, g.state, g.host, g.pid, g.started_at) for g in answer.gateways],
        empty="no gateway runs on it: modelscan serve",
        optional=("STARTED_AT", "HOST"),
        whole=("GATEWAY", "STATE"),
    )
    return Document("server.status", answer, [fields, tables, gateways], [answer.place])


@command(app, "backup")
def backup(
    context: Context,
    file: Annotated[
        Path, typer.Argument(help="A new file, or a folder for one.", metavar="FILE|FOLDER")
    ],
    receipts: Annotated[
        bool, typer.Option("--receipts/--no-receipts", help="Also the requests (default).")
    ] = True,
) -> Document[Any]:
    """Write keys, budgets, requests and changes into one file, also while gateways run."""
    from modelscan.core.units import format_bytes

    with _database(context) as database:
        from modelscan.state.server.backup import backup as write

        answer = write(database, file, receipts=receipts)
    pairs = [
        ("file", answer.file), ("size", format_bytes(answer.size_bytes)),
        ("rows", f"{sum(answer.rows.values()):,}"), ("sha256", answer.sha256),
    ]  # fmt: skip
    note = Note("it contains the secret under which keys are stored: keep it private")
    hint = f"modelscan server restore {answer.file}"
    return Document("server.backup", answer, [Fields(pairs), note], [answer.file], hint=hint)


@command(app, "restore")
def restore(
    context: Context,
    file: Annotated[Path, typer.Argument(help="A file of server backup.", metavar="FILE")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> Document[Any]:
    """Replace the whole database by a backup; refused while a gateway runs on it."""
    from modelscan.cli.deployment_view import confirm

    with _database(context) as database:
        from modelscan.state.server import backup as backups
        from modelscan.state.server.audit import local_user
        from modelscan.state.server.backup_file import checked_backup

        backups.check_backup_revision(checked_backup(file))
        with database.reading() as connection:
            backups.refuse_running(connection)
        if backups.is_used(database):
            question = f"replacing everything in {database.place.shown}"
            confirm(question, yes, f"modelscan server restore {file}")
        answer = backups.restore(database, file, local_user())
    pairs = [
        ("database", answer.database), ("from", answer.file), ("of", answer.created_at),
        ("rows", f"{sum(answer.rows.values()):,}"),
    ]  # fmt: skip
    return Document("server.restore", answer, [Fields(pairs)], [answer.database])


@command(app, "audit")
def audit(
    context: Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not older than 10m, 2h, 7d, …")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="At most N changes.")
    ] = 50,
) -> Document[Any]:
    """List who changed what, the newest first: keys, the routing file, restores."""
    import time

    from modelscan.core.units import parse_seconds

    moment = None if since is None else time.time() - parse_seconds(since)
    with _database(context) as database:
        from modelscan.state.server.audit import list_audit

        answer = list_audit(database, limit=limit, since=moment)
    table = Table(
        ("ID", "AT", "WHO", "ACTION", "TARGET", "AFTER"),
        [(c.id, c.at, c.actor, c.action, c.target, (c.after or "")[:12]) for c in answer.changes],
        ("ID",),
        empty="nothing was changed",
        optional=("AFTER", "AT"),
        whole=("ACTION",),
    )
    blocks: list[Block] = [table]
    if answer.broken_at is not None:
        text = f"row {answer.broken_at} does not fit the row before it: the log was changed"
        return Document("server.audit", answer, blocks, _ids(answer), [text])
    return Document("server.audit", answer, blocks, _ids(answer))


def _ids(answer: Any) -> list[str]:
    return [str(change.id) for change in answer.changes]


@contextmanager
def _database(context: Context) -> Iterator[ServerDatabase]:
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan server")
    from modelscan.state.server.database import open_server

    with open_server(context.config) as database:
        yield database
