"""``modelscan trace``: the requests that ``modelscan serve`` forwarded, without their texts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.state.server.database import ServerDatabase
    from modelscan.traces.answers import Span

app = group("List the requests that modelscan serve forwarded.")


@command(app, "list")
def list_(
    context: Context,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not older than 10m, 2h, 7d, …")
    ] = None,
    route: Annotated[
        str | None, typer.Option("--route", metavar="NAME", help="Only this route or role.")
    ] = None,
    status: Annotated[
        int | None, typer.Option("--status", metavar="N", help="Only this HTTP status.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="At most N requests.")
    ] = 50,
) -> Document[Any]:
    """List requests, the newest first: where they went, tokens, times."""
    from modelscan.core.units import parse_seconds

    since_s = None if since is None else parse_seconds(since)
    with _database(context) as database:
        from modelscan.traces.answers import list_spans

        answer = list_spans(database, limit=limit, since_s=since_s, route=route, status=status)
    table = Table(
        ("TRACE_ID", "STARTED_AT", "MODEL", "PROVIDER", "WHERE", "STATUS", "IN", "OUT", "SECONDS"),
        [_row(span) for span in answer.spans],
        numeric=("STATUS", "IN", "OUT", "SECONDS"),
        empty="there are no requests: modelscan serve writes one row for each",
        optional=("WHERE", "IN", "OUT", "SECONDS", "PROVIDER"),
        whole=("STARTED_AT",),
    )
    return Document("trace.list", answer, [table], [span.trace_id for span in answer.spans])


@command(app, "show")
def show(
    context: Context,
    trace_id: Annotated[str, typer.Argument(help="The request's id.", metavar="ID")],
) -> Document[Any]:
    """Show one request: the route and why, tokens, times, what left this machine."""
    with _database(context) as database:
        from modelscan.traces.answers import show_span

        answer = show_span(database, trace_id)
    return Document("trace.show", answer, [Fields(_pairs(answer.span))], [trace_id])


def _row(span: Span) -> tuple[object, ...]:
    return (
        span.trace_id, span.started_at, span.requested_model, span.provider, span.tier,
        span.status, span.usage.input_tokens, span.usage.output_tokens, span.duration_s,
    )  # fmt: skip


def _pairs(span: Span) -> list[tuple[str, object]]:
    plain = (
        "trace_id", "started_at", "duration_s", "ttft_s", "queue_s", "operation", "requested_model",
        "route", "role", "provider", "served_model", "endpoint_host", "tier", "status",
        "error_type", "fallback_from", "retries", "stream", "key", "client",
    )  # fmt: skip
    usage, left = span.usage, span.left_machine
    return [
        *((name, getattr(span, name)) for name in plain),
        *(("reason", reason) for reason in span.reasons),
        ("finish", ", ".join(span.finish_reasons) or None),
        ("input_tokens", usage.input_tokens),
        ("output_tokens", usage.output_tokens),
        ("cached_tokens", usage.cached_tokens),
        ("reasoning_tokens", usage.reasoning_tokens),
        ("left_machine", f"{left.bytes:,} bytes to {left.host}" if left else "nothing"),
    ]


@contextmanager
def _database(context: Context) -> Iterator[ServerDatabase]:
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan trace")
    from modelscan.state.server.database import open_server

    with open_server(context.config) as database:
        yield database
