"""``modelscan key``: keys for the endpoint that ``modelscan serve`` opens."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.cli.framework import command, group

if TYPE_CHECKING:
    from modelscan.core.access import Scope
    from modelscan.state.server.database import ServerDatabase
    from modelscan.state.server.key_answers import KeyCreated, KeyShown
    from modelscan.state.server.usage import BudgetPeriod

app = group("Create, list and revoke keys for modelscan serve.")


@command(app, "create")
def create(
    context: Context,
    name: Annotated[
        str | None, typer.Argument(help="The key's name (default: key-1, key-2, …).")
    ] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="infer (default), read, operator, admin, curator or node; repeatable.",
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this model, route or role; repeatable."),
    ] = None,
    default_route: Annotated[
        str | None,
        typer.Option(
            "--default-route", metavar="NAME", help="The route or role of requests without a model."
        ),
    ] = None,
    rate: Annotated[
        int | None, typer.Option("--rate", metavar="N", help="At most N requests per minute.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option("--concurrent", metavar="N", help="At most N requests at a time.")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", metavar="TOKENS", help="At most so many tokens per period: 2m."),
    ] = None,
    period: Annotated[
        str | None, typer.Option("--period", help="The budget's period: day, month or total.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="TIME", help="Refuse it after 12h, 30d, …")
    ] = None,
    value: Annotated[
        str | None,
        typer.Option("--value", help="A reference to the key to use: env:NAME or file:PATH."),
    ] = None,
) -> Document[Any]:
    """Make a key and print it once; only its hash is stored."""
    from modelscan.core.units import parse_least_tokens, parse_seconds
    from modelscan.state.secrets import resolve

    with _database(context) as database:
        from modelscan.state.server.key_answers import create_key
        from modelscan.state.server.keys import STRONG_LENGTH, KeyLimits

        limits = KeyLimits(
            scopes=cast("tuple[Scope, ...]", tuple(dict.fromkeys(scope or ("infer",)))),
            models=tuple(model) if model else None,
            requests_per_minute=rate,
            max_concurrent=concurrent,
            budget_tokens=None if budget is None else parse_least_tokens(budget),
            budget_period=_period(period, budget),
            default_route=default_route,
            expires_at=None if expires is None else time.time() + parse_seconds(expires),
        )
        token = None if value is None else resolve(value)
        answer = create_key(database, name, limits, token)
    pairs = [("name", answer.name), ("key", answer.key or f"the value of {value}")]
    blocks: list[Block] = [Fields(pairs + _pairs(answer)), *_notes(answer)]
    warnings = _unknown_names(
        context, [*(model or ()), *([default_route] if default_route else ())]
    )
    if token is not None and len(token) < STRONG_LENGTH:
        text = f"this key has {len(token)} characters, which can be guessed"
        warnings.append(f"{text}; one of modelscan's own is random")
    return Document("key.create", answer, blocks, [answer.key or answer.name], warnings)


def _unknown_names(context: Context, names: list[str]) -> list[str]:
    """A warning for each name that the routing file does not have (yet)."""
    from modelscan.core.nearest import nearest
    from modelscan.routing.file import check
    from modelscan.routing.relations import leads_somewhere, names_of

    if not names:
        return []
    file = check(context.config.routing_file)
    warnings = []
    for name in dict.fromkeys(names):
        if not leads_somewhere(file, name):
            near = nearest(name, names_of(file))
            hint = f"; did you mean '{near[0]}'?" if near else ""
            warnings.append(f"the routing file has no name '{name}'{hint}")
    return warnings


def _period(text: str | None, budget: str | None) -> BudgetPeriod | None:
    from modelscan.core.errors import UsageError
    from modelscan.state.server.usage import PERIODS

    if budget is None and text is not None:
        raise UsageError(
            "--period is the period of a budget", hint=f"add --budget 2m --period {text}"
        )
    period = text or ("month" if budget is not None else None)
    if period is not None and period not in PERIODS:
        raise UsageError(
            f"'{text}' is not a period; the periods are {', '.join(PERIODS)}",
            hint="--period month",
        )
    return period


def _notes(answer: KeyCreated) -> list[Block]:
    if answer.key is None:
        return [Note(f"only its hash is stored; modelscan key revoke {answer.name} ends it")]
    url = "http://127.0.0.1:8900/v1"
    return [
        Note("this key is shown only now: only its hash is stored"),
        Note(f"use it:\ncurl {url}/models -H 'Authorization: Bearer {answer.key}'"),
        Note(f"or for OpenAI clients:\nexport OPENAI_BASE_URL={url} OPENAI_API_KEY={answer.key}"),
    ]


@command(app, "list")
def list_(context: Context) -> Document[Any]:
    """List every key: scopes, models, limits, last use. Its value is not stored."""
    with _database(context) as database:
        from modelscan.state.server.key_answers import list_keys

        answer = list_keys(database)
    rows = [
        (k.name, k.state, ",".join(k.scope), ",".join(k.models or ("all",)), _limits(k),
         k.expires_at, k.last_used_at)
        for k in answer.keys
    ]  # fmt: skip
    table = Table(
        ("NAME", "STATE", "SCOPE", "MODELS", "LIMITS", "EXPIRES", "LAST_USED"),
        rows,
        empty="there are no keys: modelscan key create NAME",
        optional=("EXPIRES", "LIMITS", "MODELS"),
        whole=("STATE", "SCOPE"),
    )
    return Document("key.list", answer, [table], [key.name for key in answer.keys])


@command(app, "revoke")
def revoke(
    context: Context,
    names: Annotated[list[str], typer.Argument(help="Names of keys.", metavar="NAME...")],
) -> Document[Any]:
    """Delete keys; a running server refuses them within a second."""
    with _database(context) as database:
        from modelscan.state.server.key_answers import revoke_keys

        answer = revoke_keys(database, names)
    rows = [(name, "revoked") for name in answer.revoked]
    return Document("key.revoke", answer, [Table(("NAME", "STATE"), rows)], list(answer.revoked))


@contextmanager
def _database(context: Context) -> Iterator[ServerDatabase]:
    from modelscan.state.server.extra import require_extra

    require_extra("modelscan key")
    from modelscan.state.server.database import open_server

    with open_server(context.config) as database:
        yield database


def _pairs(key: KeyShown) -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = [("scope", ", ".join(key.scope))]
    pairs += [("models", ", ".join(key.models))] if key.models else []
    pairs += [("default_route", key.default_route)] if key.default_route else []
    pairs += [("limits", _limits(key))] if _limits(key) else []
    return pairs + ([("expires_at", key.expires_at)] if key.expires_at else [])


def _limits(key: KeyShown) -> str | None:
    """The limits in one cell: ``60/min, 4 at a time, 1,200 of 2,097,152 tokens per month``."""
    limits, parts = key.limits, []
    if limits.requests_per_minute is not None:
        parts.append(f"{limits.requests_per_minute}/min")
    if limits.max_concurrent is not None:
        parts.append(f"{limits.max_concurrent} at a time")
    if limits.budget_tokens is not None:
        period = "" if limits.budget_period == "total" else f" per {limits.budget_period}"
        parts.append(f"{limits.used_tokens or 0:,} of {limits.budget_tokens:,} tokens{period}")
    return ", ".join(parts) or None
