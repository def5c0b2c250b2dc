"""``modelscan route resolve|explain|match``: where a request would go, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields, Table, Text
from modelscan.cli.framework import command
from modelscan.core.errors import EXIT_REMOTE, EXIT_USAGE, UsageError

if TYPE_CHECKING:
    from modelscan.routing.explain import RouteExplained

OperationName = Literal[
    "chat", "completions", "embeddings", "rerank", "responses", "messages", "transcription",
    "speech", "image",
]  # fmt: skip
TaskOperation = Literal["chat", "embeddings", "rerank", "transcription", "speech", "image"]
_SIGNALS = ("text", "family", "guardrail", "runtime", "bench")


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "resolve")(resolve)
    command(app, "explain")(explain)
    command(app, "match")(match)


def resolve(
    context: Context,
    name: Annotated[str | None, typer.Argument(help="A name (default: the default entry).")] = None,
) -> Document[Any]:
    """Show which entry a name selects, and why; one whose deployment ended is not selected."""
    answer = context.workspace.resolve(name)
    route = answer.route
    pairs: list[tuple[str, object]] = [("route", route and route.name), ("how", answer.how)]
    pairs += [("base_url", route.base_url)] if route else []
    pairs += [("reason", reason) for reason in answer.reasons]
    return Document(
        "route.resolve",
        answer,
        [Fields(pairs)],
        [route.name] if route else [],
        answer.warnings,
        exit_code=0 if route else EXIT_USAGE,
        hint=answer.hint,
    )


def explain(
    context: Context,
    name: Annotated[
        str | None, typer.Argument(help="A provider, model, alias or role (default: the default).")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="The user's message.")] = None,
    body: Annotated[
        Path | None, typer.Option("--body", help="A request's body as JSON; - reads stdin.")
    ] = None,
    operation: Annotated[
        OperationName,
        typer.Option("--operation", help="What is requested.", metavar="OPERATION"),
    ] = "chat",
) -> Document[Any]:
    """Explain a request: every step, each candidate's score, and the body that would be sent.

    Nothing is sent and nothing changes.
    """
    sent = _body(text, body)
    answer = context.workspace.explain(name, sent, operation=operation)
    pairs: list[tuple[str, object]] = [(one.stage, one.text) for one in answer.steps]
    chosen = [("chosen", answer.chosen), ("where", answer.where), ("url", answer.url)]
    table = _candidates(answer)
    final = json.dumps(answer.body, ensure_ascii=False, indent=2) if answer.body else ""
    known = bool(answer.route)
    return Document(
        "route.explain",
        answer,
        [Fields([*pairs, *chosen]), table, Text(final)] if known else [Fields(pairs)],
        [answer.chosen] if answer.chosen else [],
        answer.warnings,
        exit_code=0 if answer.chosen else EXIT_REMOTE if known else EXIT_USAGE,
        hint=_hint(answer),
    )


def _hint(answer: RouteExplained) -> str | None:
    if answer.chosen:
        return None
    if answer.nearest:
        return f"modelscan route explain {answer.nearest[0]}"
    return "modelscan route list"


def _body(text: str | None, file: Path | None) -> dict[str, Any] | None:
    """The body of ``--body``, or a chat with ``--text``; None: neither was given."""
    if text is not None and file is not None:
        raise UsageError("--text and --body exclude each other", hint="give one of them")
    if text is not None:
        return {"messages": [{"role": "user", "content": text}]}
    if file is None:
        return None
    try:
        raw = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
        body = json.loads(raw)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read the body {file}: {error}", hint="--text Hello") from error
    if not isinstance(body, dict):
        raise UsageError("the body is not a JSON object", hint="--text Hello")
    return body


def _candidates(answer: RouteExplained) -> Table:
    rows = [
        (c.name, c.order, c.score, c.where, c.context_tokens, c.context_source,
         *(getattr(c.signals, name) for name in _SIGNALS), c.refused_by)
        for c in answer.candidates
    ]  # fmt: skip
    columns = ("NAME", "ORDER", "SCORE", "WHERE", "CONTEXT", "CONTEXT FROM",
               *(name.upper() for name in _SIGNALS), "REFUSED BY")  # fmt: skip
    return Table(
        columns,
        rows,
        numeric=("ORDER", "SCORE", "CONTEXT", *(name.upper() for name in _SIGNALS)),
        optional=("GUARDRAIL", "BENCH", "FAMILY", "TEXT", "RUNTIME", "CONTEXT FROM", "CONTEXT"),
        folded=("REFUSED BY",),
    )


def match(
    context: Context,
    task: Annotated[str, typer.Argument(help="What it is for, in words.", metavar="TASK")],
    operation: Annotated[
        TaskOperation | None, typer.Option("--operation", help="Only routes for this.")
    ] = None,
    workload: Annotated[
        list[str] | None,
        typer.Option("--workload", help="A benchmark that counts in full; repeatable."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many to list.")] = 10,
) -> Document[Any]:
    """Rank roles and entries for a task: their words, state, speed and benchmark results."""
    answer = context.workspace.match(
        task, operation=operation, limit=limit, workloads=workload or ()
    )
    rows = [
        (c.name, c.kind, c.score, c.state, c.where, c.backend, "; ".join(c.reasons))
        for c in answer.candidates
    ]
    table = Table(
        ("NAME", "KIND", "SCORE", "STATE", "WHERE", "BACKEND", "REASONS"),
        rows,
        numeric=("SCORE",),
        optional=("BACKEND", "WHERE"),
        folded=("REASONS",),
        empty="no route is for that operation: modelscan route list",
    )
    return Document("route.match", answer, [table], [c.name for c in answer.candidates])
