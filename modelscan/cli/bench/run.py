"""``modelscan bench run``: send load to a route and report its speed."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context, current
from modelscan.cli.document import Document
from modelscan.cli.option_groups import grouped
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.bench.report import BenchReport
    from modelscan.bench.run import BenchRequest
    from modelscan.bench.workload import BenchWorkload
    from modelscan.state.config import Config

INPUT_TOKENS, OUTPUT_TOKENS = 128, 64
_MOST_AT_ONCE = 1_000


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


@grouped
def run(
    context: Context,
    prompts: PromptOptions,
    load: LoadOptions,
    outcome: ResultOptions,
    route: Annotated[
        str,
        typer.Argument(
            metavar="ROUTE", help="An entry of the routing file, a deployment, a role or URL#model."
        ),
    ],
) -> Document[Any]:
    """Measure a route: time to first token, time per token, tokens per second, errors."""
    request = bench_request(route, prompts, load, outcome, context.config)
    document, _ = measured(request, context.config, outcome.output, ingest=outcome.ingest)
    return document


def measured(
    request: BenchRequest, config: Config, output: Path | None, *, ingest: bool
) -> tuple[Document[Any], BenchReport]:
    """Run, record what the run teaches, write and store the report as requested."""
    from modelscan.bench.learn import run_and_learn
    from modelscan.cli.bench import view

    with current().output.status(f"looking up {request.route}") as status:
        report = run_and_learn(request, config, status.update, store=ingest)
    if output is not None:
        from modelscan.bench.stored import write_report

        write_report(report, output)
    return view.report_document(report, config), report


def bench_request(
    route: str, prompts: PromptOptions, load: LoadOptions, outcome: ResultOptions, config: Config
) -> BenchRequest:
    """The request of the command line. Raises UsageError for options that exclude each other."""
    from modelscan.bench.run import BenchRequest
    from modelscan.bench.slo import parse_slo
    from modelscan.core.units import parse_seconds

    if load.concurrency is not None and load.rate is not None:
        raise UsageError(
            "--concurrency keeps requests open, --rate starts them at random times: give one",
            hint=f"modelscan bench run {shlex.quote(route)} --rate {load.rate:g}",
        )
    workload = chosen_workload(prompts, config, route)
    if workload.is_scheduled and (load.concurrency is not None or load.rate is not None):
        raise UsageError(
            "these prompts have their own times: --concurrency and --rate do not apply",
            hint=f"modelscan bench run {shlex.quote(route)} without them",
        )
    grow = load.concurrency == "auto"
    return BenchRequest(
        route=route,
        workload=workload,
        concurrency=(1,) if grow else _levels(load.concurrency or "1"),
        grow=grow,
        rate=load.rate,
        requests=load.requests,
        duration_s=None if load.duration is None else parse_seconds(load.duration),
        warmup=load.warmup,
        repeats=load.repeats,
        slo=None if outcome.slo is None else parse_slo(outcome.slo),
        seed=prompts.seed,
        timeout_s=load.timeout,
        api_key=outcome.api_key,
    )


def chosen_workload(prompts: PromptOptions, config: Config, route: str) -> BenchWorkload:
    """The prompts that were selected; raises UsageError where two sources were."""
    from modelscan.bench.workload import shape
    from modelscan.bench.workload_file import bundled_workload, workload_file

    given = [
        name
        for name in ("workload", "dataset", "replay_receipts")
        if getattr(prompts, name) is not None
    ]
    if len(given) > 1:
        flags = " and ".join(f"--{name.replace('_', '-')}" for name in given)
        raise UsageError(f"{flags} both select prompts: give one", hint="modelscan bench run -h")
    if prompts.keep_times and not prompts.replay_receipts:
        raise UsageError(
            "--keep-times is for --replay-receipts",
            hint=f"modelscan bench run {shlex.quote(route)} --replay-receipts 1d --keep-times",
        )
    lengths = prompts.input_tokens is not None or prompts.output_tokens is not None
    if prompts.replay_receipts is not None:
        return _replayed(prompts, config)
    if prompts.dataset is not None:
        return _dataset(prompts.dataset, prompts.output_tokens)
    name = prompts.workload or "shape"
    if name == "shape":
        return shape(prompts.input_tokens or INPUT_TOKENS, prompts.output_tokens or OUTPUT_TOKENS)
    if lengths:
        raise UsageError(
            f"--input-tokens and --output-tokens are for synthetic prompts, not for {name}",
            hint=f"modelscan bench run {shlex.quote(route)} --input-tokens 512 --output-tokens 128",
        )
    if name.endswith((".yaml", ".yml")) or Path(name).is_file():
        return workload_file(Path(name))
    return bundled_workload(name)


def _replayed(prompts: PromptOptions, config: Config) -> BenchWorkload:
    from modelscan.bench.replay import replay_receipts
    from modelscan.core.units import parse_seconds

    since_s = parse_seconds(prompts.replay_receipts or "")
    return replay_receipts(config, since_s, time.time(), None, keep_times=prompts.keep_times)


def _dataset(file: Path, output_tokens: int | None) -> BenchWorkload:
    from modelscan.bench.dataset import read_dataset

    try:
        with open(file, encoding="utf-8") as lines:
            return read_dataset(lines, str(file), output_tokens)
    except OSError as error:
        raise UsageError(
            f"cannot read {file}: {error.strerror}", hint="see docs/bench.md"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read {file}: it is not UTF-8 text", hint="see docs/bench.md"
        ) from error


def _levels(text: str) -> tuple[int, ...]:
    """``1,2,4`` as numbers; raises UsageError for anything else."""
    levels = []
    for part in text.split(","):
        number = int(part) if part.strip().isdecimal() else 0
        if not 1 <= number <= _MOST_AT_ONCE:
            raise UsageError(
                f"'{part.strip()}' is not a number of requests at once (1 to {_MOST_AT_ONCE:,})",
                hint="--concurrency 1,2,4 or --concurrency auto",
            )
        levels.append(number)
    return tuple(dict.fromkeys(levels))
