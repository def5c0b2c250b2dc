"""``modelscan cache``: the pulled weights on this machine."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Note, Table
from modelscan.cli.framework import command, group, single
from modelscan.core.errors import EXIT_FAILED
from modelscan.core.units import format_bytes

if TYPE_CHECKING:
    from modelscan.hub.neighbours.types import NeighbourList
    from modelscan.hub.partial import PartialDownload

app = group("List, verify and delete pulled weights.")
_NOTHING_UNUSED = "every pulled repository is used by a deployment"
_NO_NEIGHBOURS = "no model of Ollama, LM Studio or llama.cpp's cache is on this machine"
_EMPTY = "no weights have been pulled: modelscan pull MODEL"


@command(app, "list")
def list_(
    context: Context,
    neighbours: Annotated[
        bool,
        typer.Option("--neighbours", help="Models of Ollama, LM Studio and llama.cpp instead."),
    ] = False,
) -> Document[Any]:
    """List every pulled repository: size, completeness, deployments that use it.

    --neighbours lists what other programs keep here: plan and deploy run it without a copy.
    """
    if neighbours:
        return neighbours_document(context.workspace.neighbours())
    answer = context.workspace.cache()
    rows = [
        (i.repo, i.revision[:12], i.source, format_bytes(i.size_bytes), i.complete, i.deployments)
        for i in answer.items
    ]
    table = Table(
        ("REPO", "REVISION", "SOURCE", "SIZE", "COMPLETE", "USED BY"), rows, ("SIZE",),
        optional=("SOURCE", "REVISION"), empty=_EMPTY,
    )  # fmt: skip
    parts = _parts(answer.partial)
    blocks: list[Block] = [table] if answer.items or not parts else []
    return Document("cache.list", answer, [*blocks, *parts], [item.repo for item in answer.items])


def neighbours_document(answer: NeighbourList) -> Document[Any]:
    """The models of other programs; those that cannot be run with the reason."""
    rows = [
        (one.model, one.program, one.size_bytes and format_bytes(one.size_bytes), one.problem)
        for one in answer.items
    ]
    table = Table(
        ("MODEL", "PROGRAM", "SIZE", "PROBLEM"), rows, ("SIZE",), empty=_NO_NEIGHBOURS,
        whole=("MODEL",), optional=("PROGRAM",), below=("PROBLEM",),
    )  # fmt: skip
    warnings = [f"{one.path} of {one.program} cannot be read: {one.problem}"
                for one in answer.unreadable]  # fmt: skip
    names = [one.model for one in answer.items if one.problem is None]
    hint = f"modelscan deploy {shlex.quote(names[0])}" if names else None
    return Document("cache.neighbours", answer, [table], names, warnings, hint=hint)


def _parts(partial: Sequence[PartialDownload]) -> list[Block]:
    """Downloads that were interrupted or still run."""
    if not partial:
        return []
    rows = [
        (part.repo, part.source, format_bytes(part.size_bytes),
         "running" if part.active else "interrupted")
        for part in partial
    ]  # fmt: skip
    columns = ("REPO", "SOURCE", "SIZE", "DOWNLOAD")
    return [Table(columns, rows, ("SIZE",), optional=("SOURCE",), whole=("DOWNLOAD",))]


@command(app, "verify")
def verify(
    context: Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Repositories or deployments (default: all).")
    ] = None,
) -> Document[Any]:
    """Verify the SHA-256 of every file; exit 1 where one is damaged or missing."""
    from modelscan.deploy.cache_answers import verify_cache

    with context.output.status("reading every file") as status:
        answer = verify_cache(context.config, names or (), status.update)
    bad = [row.file for row in answer.files if row.status in ("damaged", "missing")]
    rows = [(r.file, r.status, r.repo, r.detail) for r in answer.files]
    table = Table(("FILE", "STATUS", "REPO", "DETAIL"), rows, empty=_EMPTY)
    blocks: list[Block] = [table, Note(f"{len(rows):,} files, {len(bad):,} damaged or missing")]
    code = EXIT_FAILED if bad else 0
    return Document("cache.verify", answer, blocks, bad, exit_code=code)


@command(app, "prune")
def prune(
    context: Context,
    yes: Annotated[
        bool, typer.Option("--yes", help="Delete them; without it they are only listed.")
    ] = False,
) -> Document[Any]:
    """List pulled weights that no deployment uses and interrupted downloads; --yes deletes them."""
    from modelscan.deploy.cache_answers import prune_cache

    answer = prune_cache(context.config, delete=yes)
    table = Table(
        ("REPO", "SOURCE", "SIZE"),
        [(i.repo, i.source, format_bytes(i.size_bytes)) for i in answer.items],
        ("SIZE",),
        empty=_NOTHING_UNUSED if context.workspace.cache().items else _EMPTY,
    )
    parts = _parts(answer.partial)
    if (answer.items or parts) and not yes and context.output.mode.value == "human":
        context.output.note(f"--yes deletes them and frees {format_bytes(answer.freed_bytes)}")
    blocks: list[Block] = [table] if answer.items or not parts else []
    names = [item.repo for item in answer.items]
    return Document("cache.prune", answer, [*blocks, *parts], names)


@command(app, "updates")
def updates(
    context: Context,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Exit 1 when a repository has a newer revision.")
    ] = False,
) -> Document[Any]:
    """Compare the pulled revisions with the newest ones on the hubs."""
    from modelscan.deploy.cache_answers import cache_updates

    with context.output.status("requesting revisions from the hubs"):
        answer = cache_updates(context.config)
    rows = [
        (r.repo, r.status, r.revision[:12], (r.newest or "-")[:12], r.detail) for r in answer.items
    ]
    columns = ("REPO", "STATUS", "PULLED", "NEWEST", "DETAIL")
    table = Table(columns, rows, optional=("DETAIL",), empty=_EMPTY)
    changed = [row.repo for row in answer.items if row.status == "changed"]
    code = EXIT_FAILED if changed and exit_code else 0
    return Document("cache.updates", answer, [table], changed, exit_code=code)


updates_app = single(updates)  # also as ``modelscan updates``
