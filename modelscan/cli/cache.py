"""``modelscan cache``: the weights that were pulled to this machine."""

from __future__ import annotations

from typing import Annotated

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import command, group, single
from modelscan.core.errors import EXIT_FAILED, UsageError
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes

app = group("The weights that were pulled to this machine.")


@command(app, "list")
def list_() -> Document:
    """Every pulled repository: size, whether it is whole, which deployments use it."""
    from modelscan.deploy.cached import list_cached

    found = list_cached(current().config)
    rows = [
        (i.repo, i.revision[:12], i.source, format_bytes(i.size_bytes), i.complete, i.deployments)
        for i in found
    ]
    table = Table(
        ("REPO", "REVISION", "SOURCE", "SIZE", "COMPLETE", "USED BY"), rows, ("SIZE",),
        empty="nothing pulled yet: modelscan pull MODEL",
    )  # fmt: skip
    total = sum(item.size_bytes for item in found)
    return Document("cache.list", {"total_bytes": total, "items": to_json(found)}, [table],
                    [item.repo for item in found])  # fmt: skip


@command(app, "verify")
def verify(
    names: Annotated[
        list[str] | None, typer.Argument(help="Repositories or deployments; none: all.")
    ] = None,
) -> Document:
    """Compute every checksum anew; a damaged or missing file is named, exit 1."""
    from modelscan.deploy.cached import verify as check

    with current().output.status("reading every file") as status:
        rows = []
        for row in check(current().config, names or ()):
            status.update(f"{row.repo}: {row.file}")
            rows.append(row)
    bad = [row for row in rows if row.status in ("damaged", "missing")]
    table = Table(("FILE", "STATUS", "REPO", "DETAIL"),
                  [(r.file, r.status, r.repo, r.detail) for r in rows],
                  empty="nothing pulled yet: modelscan pull MODEL")  # fmt: skip
    blocks: list[Block] = [table, Note(f"{len(rows)} files, {len(bad)} damaged or missing")]
    return Document("cache.verify", {"files": to_json(rows), "damaged": len(bad)}, blocks,
                    [row.file for row in bad], exit_code=EXIT_FAILED if bad else 0)  # fmt: skip


@command(app, "prune")
def prune(
    yes: Annotated[bool, typer.Option("--yes", help="Really delete them.")] = False,
) -> Document:
    """Delete the pulled weights that no deployment uses (shows them first; --yes deletes)."""
    from modelscan.deploy.cached import prune as delete

    found = delete(current().config, dry_run=not yes)
    freed = sum(item.size_bytes for item in found)
    table = Table(("REPO", "SOURCE", "SIZE"),
                  [(i.repo, i.source, format_bytes(i.size_bytes)) for i in found],
                  empty="every pulled repository is used by a deployment")  # fmt: skip
    if found and not yes and current().output.mode.value == "human":
        current().output.note(f"{format_bytes(freed)} would be freed: --yes deletes them")
    body = {"deleted": yes, "freed_bytes": freed, "items": to_json(found)}
    return Document("cache.prune", body, [table], [item.repo for item in found])


@command(app, "updates")
def updates(
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when something has changed.")
    ] = False,
) -> Document:
    """Compare the pulled revisions with what the hubs have now."""
    from modelscan.deploy.cached import updates as ask

    if current().config.offline:
        raise UsageError("updates asks the hubs, and --offline is set", hint="leave out --offline")
    rows = list(ask(current().config))
    changed = [row for row in rows if row.status == "changed"]
    table = Table(
        ("REPO", "STATUS", "HAVE", "NEWEST", "DETAIL"),
        [(r.repo, r.status, r.revision[:12], (r.newest or "-")[:12], r.detail) for r in rows],
        empty="nothing pulled yet: modelscan pull MODEL",
    )
    code = EXIT_FAILED if changed and exit_code else 0
    return Document("cache.updates", {"items": to_json(rows), "changed": len(changed)}, [table],
                    [row.repo for row in changed], exit_code=code)  # fmt: skip


updates_app = single(updates)  # also as ``modelscan updates``
