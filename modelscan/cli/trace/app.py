"""``modelscan trace``: the requests that ``modelscan serve`` forwarded."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table
from modelscan.cli.framework import command, group
from modelscan.cli.trace import cost, files
from modelscan.cli.trace.database import trace_access
from modelscan.cli.trace.options import OfRoute, OfStatus, Since
from modelscan.cli.trace.view import pairs, row, status_pairs

app = group("List the requests that modelscan serve forwarded, their costs, and export them.")


@command(app, "list")
def list_(
    context: Context,
    since: Since = None,
    route: OfRoute = None,
    status: OfStatus = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="At most N requests.")
    ] = 50,
) -> Document[Any]:
    """List requests, the newest first: where they went, tokens, times, costs."""
    from modelscan.core.units import parse_seconds

    since_s = None if since is None else parse_seconds(since)
    with trace_access(context) as access:
        from modelscan.traces.answers import list_spans

        answer = list_spans(access, limit=limit, since_s=since_s, route=route, status=status)
    table = Table(
        ("TRACE_ID", "STARTED_AT", "MODEL", "PROVIDER", "WHERE", "STATUS", "IN", "OUT", "SECONDS",
         "USD", "CONTEXT"),
        [row(span) for span in answer.spans],
        numeric=("STATUS", "IN", "OUT", "SECONDS", "USD", "CONTEXT"),
        empty="there are no requests: modelscan serve writes one row for each",
        optional=("WHERE", "IN", "OUT", "SECONDS", "PROVIDER", "USD", "CONTEXT"),
        whole=("STARTED_AT",),
    )  # fmt: skip
    return Document("trace.list", answer, [table], [span.trace_id for span in answer.spans])


@command(app, "show")
def show(
    context: Context,
    trace_id: Annotated[str, typer.Argument(help="The request's id.", metavar="ID")],
) -> Document[Any]:
    """Show one request: the route and why, tokens, cost, context, tools, what left this machine.

    Its texts are shown only where they were kept by choice (trace on --content).
    """
    with trace_access(context) as access:
        from modelscan.traces.answers import show_span

        answer = show_span(access, trace_id)
    return Document("trace.show", answer, [Fields(pairs(answer.span))], [trace_id])


@command(app, "status")
def status(context: Context) -> Document[Any]:
    """Show what is recorded, whose texts are kept, how much is stored and for how long."""
    with trace_access(context) as access:
        from modelscan.traces.answers import trace_status

        answer = trace_status(access)
    return Document("trace.status", answer, [Fields(status_pairs(answer))])


_CONTENT = typer.Option("--content", help="Texts of requests and answers, not only the receipts.")
_ROUTE = typer.Option("--route", metavar="NAME", help="Only of this route or role; repeatable.")
_KEY = typer.Option("--key", metavar="NAME", help="Only of this key; repeatable.")


@command(app, "on")
def on(
    context: Context,
    content: Annotated[bool, _CONTENT] = False,
    route: Annotated[list[str] | None, _ROUTE] = None,
    key: Annotated[list[str] | None, _KEY] = None,
) -> Document[Any]:
    """Record requests; with --content also keep their texts, of everything or of some.

    Texts are off unless you switch them on. They stay on this machine, for 7 days.
    """
    return _switched(context, content, route, key, on=True)


@command(app, "off")
def off(
    context: Context,
    content: Annotated[bool, _CONTENT] = False,
    route: Annotated[list[str] | None, _ROUTE] = None,
    key: Annotated[list[str] | None, _KEY] = None,
) -> Document[Any]:
    """Record no requests; with --content only keep no more texts.

    Tokens are still counted for the budgets of keys.
    """
    return _switched(context, content, route, key, on=False)


def _switched(
    context: Context, content: bool, route: list[str] | None, key: list[str] | None, *, on: bool
) -> Document[Any]:
    with trace_access(context) as access:
        from modelscan.traces.answers import TraceSwitch, switch_traces

        switch = TraceSwitch(content, tuple(route or ()), tuple(key or ()))
        answer = switch_traces(access, switch, on)
    return Document("trace.status", answer, [Fields(status_pairs(answer))])


@command(app, "prune")
def prune(
    context: Context,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="TIME", help="Older than 12h, 30d, …")
    ],
    sums: Annotated[
        bool, typer.Option("--sums", help="Also the hourly sums that trace cost reads.")
    ] = False,
) -> Document[Any]:
    """Delete old requests and texts now. Hourly sums of tokens stay, unless --sums is given."""
    from modelscan.core.units import parse_seconds

    seconds = parse_seconds(older_than)
    with trace_access(context) as access:
        from modelscan.traces.answers import prune_traces

        answer = prune_traces(access, seconds, sums=sums)
    rows = [(name, getattr(answer, name)) for name in ("receipts", "contents", "sums")]
    return Document("trace.prune", answer, [Fields(rows)])


cost.register(app)
files.register(app)
