"""The options of ``bench run``, in groups."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, slots=True)
class PromptOptions:
    """What is sent."""

    workload: Annotated[
        str | None,
        typer.Option(
            "--workload",
            metavar="W",
            help="shape (synthetic), chat.short_reasoning, chat.concise_support or a YAML file.",
        ),
    ] = None
    input_tokens: Annotated[
        int | None,
        typer.Option(
            "--input-tokens", min=1, metavar="N", help="Length of synthetic prompts (default 128)."
        ),
    ] = None
    output_tokens: Annotated[
        int | None,
        typer.Option(
            "--output-tokens", min=1, metavar="N", help="Length of their answers (default 64)."
        ),
    ] = None
    dataset: Annotated[
        Path | None,
        typer.Option("--dataset", metavar="FILE", help="Prompts as JSON Lines."),
    ] = None
    replay_receipts: Annotated[
        str | None,
        typer.Option(
            "--replay-receipts",
            metavar="SINCE",
            help="Lengths of the requests of the last 2h, 7d, … as synthetic prompts.",
        ),
    ] = None
    keep_times: Annotated[
        bool,
        typer.Option("--keep-times", help="With --replay-receipts: also their pauses."),
    ] = False
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of words and times.")] = 7


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How much is sent at a time."""

    concurrency: Annotated[
        str | None,
        typer.Option(
            "--concurrency",
            metavar="N,N,…",
            help="Requests at once, each number is one load (default 1); auto: 1, 2, 4, …",
        ),
    ] = None
    rate: Annotated[
        float | None,
        typer.Option(
            "--rate", min=0.001, metavar="R", help="Requests per second at random times instead."
        ),
    ] = None
    requests: Annotated[
        int | None,
        typer.Option("--requests", min=1, max=1_000_000, metavar="N", help="Requests per load."),
    ] = None
    duration: Annotated[
        str | None,
        typer.Option("--duration", metavar="T", help="Start requests for 30s, 5m, … per load."),
    ] = None
    warmup: Annotated[
        int | None,
        typer.Option(
            "--warmup", min=0, metavar="N", help="Uncounted requests first (default: as at once)."
        ),
    ] = None
    repeats: Annotated[
        int,
        typer.Option("--repeats", min=1, max=100, metavar="N", help="Repeat each load N times."),
    ] = 1
    timeout: Annotated[
        float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Of one request.")
    ] = 600.0


@dataclass(frozen=True, slots=True)
class ResultOptions:
    """What is done with the result."""

    slo: Annotated[
        str | None,
        typer.Option(
            "--slo", metavar="LIMITS", help="Count good answers: ttft=500ms,tpot=50ms,e2e=5s."
        ),
    ] = None
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the report.")
    ] = None
    ingest: Annotated[
        bool, typer.Option("--ingest", help="Store the results: routes are scored with them.")
    ] = False
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="With a URL: env:NAME or file:PATH."),
    ] = None
