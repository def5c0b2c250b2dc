"""``registry curate``: propose, approve and reject tags that need approvals."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.cli.registry.access import VersionArgument, open_registry

if TYPE_CHECKING:
    from modelscan.registry.desk import CurationDesk

app = group("Tags that need approvals: propose, approve, reject. You are one person here.")
CurationArgument = Annotated[str, typer.Argument(help="A curation's id.", metavar="ID")]


@command(app, "propose")
def propose(
    context: Context,
    version: VersionArgument,
    tag: Annotated[
        str, typer.Option("--tag", metavar="TAG", help="A tag under a policy: curated.")
    ] = "curated",
) -> Document[Any]:
    """Propose a tag for a version; others approve it."""
    from modelscan.cli.registry.curation_view import curation_document
    from modelscan.state.server.audit import local_user

    with _desk(context) as desk:
        return curation_document(desk.propose(local_user(), version, tag))


@command(app, "approve")
def approve(context: Context, curation: CurationArgument) -> Document[Any]:
    """Approve a proposal of somebody else, as the user of this machine."""
    from modelscan.cli.registry.curation_view import curation_document
    from modelscan.state.server.audit import local_user

    with _desk(context) as desk:
        return curation_document(desk.approve(local_user(), curation))


@command(app, "reject")
def reject(
    context: Context,
    curation: CurationArgument,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is recorded.")],
) -> Document[Any]:
    """Reject a proposal, or take an approved tag away."""
    from modelscan.cli.registry.curation_view import curation_document
    from modelscan.state.server.audit import local_user

    with _desk(context) as desk:
        return curation_document(desk.reject(local_user(), curation, reason))


@command(app, "status")
def status(
    context: Context,
    curation: Annotated[
        str | None, typer.Argument(help="A curation's id (default: all).", metavar="[ID]")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="SLUG", help="Only of this model.")
    ] = None,
    tag: Annotated[str | None, typer.Option("--tag", metavar="TAG", help="Only this tag.")] = None,
    flagged: Annotated[
        bool, typer.Option("--flagged", help="Only tags whose gates are not met any more.")
    ] = False,
) -> Document[Any]:
    """Show the curations with their approvals and gates."""
    from modelscan.cli.registry.curation_view import curation_document, list_document

    with _desk(context) as desk:
        if curation is not None:
            return curation_document(desk.show(curation))
        from modelscan.registry.desk import CurationFilter

        return list_document(desk.list(CurationFilter(model, tag, None, flagged)))


@contextmanager
def _desk(context: Context) -> Iterator[CurationDesk]:
    with open_registry(context) as database:
        from modelscan.registry.desk import CurationDesk

        yield CurationDesk(database, context.config)
