"""``modelscan bench run``: send load to a route and report its speed."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.bench.options import LoadOptions, PromptOptions, ResultOptions
from modelscan.cli.context import Context, current
from modelscan.cli.document import Document
from modelscan.cli.option_groups import grouped
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.bench.report import BenchReport
    from modelscan.bench.request import BenchRequest
    from modelscan.bench.workload import BenchWorkload
    from modelscan.state.config import Config

INPUT_TOKENS, OUTPUT_TOKENS = 128, 64
_MOST_AT_ONCE = 1_000


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
    from modelscan.bench.request import BenchRequest
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
    file = name.partition("#")[0]
    if file.endswith((".yaml", ".yml", ".json")) or Path(file).is_file():
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
            f"cannot read {file}: {error.strerror}", hint="modelscan docs bench"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"cannot read {file}: it is not UTF-8 text", hint="modelscan docs bench"
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
