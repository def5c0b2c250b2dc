"""``modelscan eval``: how good a model's answers are, measured through a route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import click
import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document
from modelscan.cli.framework import command, group
from modelscan.core.errors import EXIT_FAILED, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from modelscan.evals.options import EvalOptions

app = group("Measure how good a model's answers are, and compare models.")
Suite = Annotated[str, typer.Argument(help="A suite of eval suites.", metavar="SUITE")]
Report = Annotated[str, typer.Argument(help="A run's id, or a report's file.", metavar="ID")]
Box = Annotated[
    str | None,
    typer.Option(
        "--sandbox", click_type=click.Choice(("bwrap", "docker", "local")),
        help="Where code of answers runs; local: unprotected, with --yes.",
    ),
]  # fmt: skip
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Allow --sandbox local.")]
SuiteOption = Annotated[str | None, typer.Option("--suite", help="Only this suite.")]


@command(app, "suites")
def suites(context: Context) -> Document[Any]:
    """List the suites: tasks, version, what they need."""
    from modelscan.cli.eval.view import suites_document
    from modelscan.evals.suite_list import list_suites

    return suites_document(list_suites())


@command(app, "run")
def run(
    context: Context,
    suite: Suite,
    route: Annotated[
        str,
        typer.Option("--route", metavar="ROUTE", help="A deployment, route, role, or URL#MODEL."),
    ],
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", metavar="REF", help="env:NAME or file:PATH, for URL#MODEL."),
    ] = None,
    thinking: Annotated[
        str | None,
        typer.Option(
            "--thinking",
            click_type=click.Choice(("off", "low", "high")),
            help="Of models that think (default: the model's own).",
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N tasks.")
    ] = None,
    epochs: Annotated[
        int, typer.Option("--epochs", min=1, max=100, metavar="N", help="Runs of each task.")
    ] = 1,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of every request.")] = 7,
    temperature: Annotated[
        float, typer.Option("--temperature", min=0, max=2, metavar="T", help="Randomness.")
    ] = 0.0,
    max_tokens: Annotated[
        int | None,
        typer.Option("--max-tokens", min=1, metavar="N", help="Of an answer, not the suite's."),
    ] = None,
    sandbox: Box = None,
    tool_policy: Annotated[
        Path | None,
        typer.Option("--tool-policy", metavar="FILE", help="YAML with name and deny: [TOOL, …]."),
    ] = None,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, max=256, metavar="N", help="Requests at once."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Also write the report.")
    ] = None,
    yes: Yes = False,
) -> Document[Any]:
    """Run a suite through a route and store the report with its receipt."""
    from modelscan.evals.options import EvalOptions

    options = EvalOptions(
        route, api_key, _thinking(thinking), limit, epochs, seed, temperature, max_tokens,
        _sandbox(sandbox), yes, tool_policy, concurrency,
    )  # fmt: skip
    return _run(context, suite, options, output)


def _run(context: Context, suite: str, options: EvalOptions, output: Path | None) -> Document[Any]:
    from modelscan.cli.eval.view import report_document
    from modelscan.cli.interrupt import interruptible
    from modelscan.evals.foreign import is_foreign, run_foreign
    from modelscan.evals.runs import run_suite
    from modelscan.evals.storage import write_report

    start = run_foreign if is_foreign(suite) else run_suite
    with context.output.status(f"{suite}: starting") as status, interruptible():
        report = start(
            suite, options, context.config,
            lambda done, total: status.update(f"{suite}: {done} of {total or '?'} samples"),
        )  # fmt: skip
    if output is not None:
        write_report(output, report)
    codes = {"valid": 0, "invalid": EXIT_FAILED, "cancelled": EXIT_INTERRUPTED}
    return report_document(report, codes[report.status])


def _thinking(value: str | None) -> Any:
    from modelscan.evals.report import Thinking

    return next((one for one in get_args(Thinking) if one == value), "default")


def _sandbox(value: str | None) -> Any:
    from modelscan.evals.items import SandboxKind

    return next((one for one in get_args(SandboxKind) if one == value), None)


@command(app, "list")
def list_(context: Context, suite: SuiteOption = None) -> Document[Any]:
    """List every stored run, the newest first."""
    from modelscan.cli.eval.view import list_document
    from modelscan.evals.board import list_rows
    from modelscan.evals.storage import stored_reports

    return list_document(list_rows(stored_reports(context.config.paths, _suite_name(suite))))


def _suite_name(suite: str | None) -> str | None:
    if suite is None or "/" in suite:
        return suite
    from modelscan.evals.suites.registry import find_suite

    return find_suite(suite).name


@command(app, "show")
def show(
    context: Context,
    report: Report,
    failed: Annotated[
        bool, typer.Option("--failed", help="List only tasks that were not solved.")
    ] = False,
) -> Document[Any]:
    """Show one run: its receipt, scores with intervals, every task."""
    from modelscan.cli.eval.view import report_document
    from modelscan.evals.storage import find_report

    found = find_report(context.config.paths, report)
    return report_document(found, 0, tasks=True, failed_only=failed)


@command(app, "compare")
def compare(
    context: Context,
    a: Annotated[str, typer.Argument(help="A run's id, its file, or a route.", metavar="A")],
    b: Annotated[str, typer.Argument(help="Another one.", metavar="B")],
    suite: Annotated[
        str | None, typer.Option("--suite", help="Compare the newest runs of two routes.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, metavar="N", help="Of resampling.")] = 7,
) -> Document[Any]:
    """Compare two runs of the same tasks: difference, interval, verdict."""
    from modelscan.cli.eval.view import comparison_document
    from modelscan.evals.compare import compare as compared
    from modelscan.evals.pair import find_pair

    first, second = find_pair(context.config.paths, a, b, _suite_name(suite))
    return comparison_document(compared(first, second, seed=seed))


@command(app, "board")
def board(context: Context, suite: SuiteOption = None) -> Document[Any]:
    """Rank the measured models, per suite: score, speed, memory, cost."""
    from modelscan.cli.eval.view import board_document
    from modelscan.evals.board import board as ranked
    from modelscan.evals.storage import stored_reports

    return board_document(ranked(stored_reports(context.config.paths, _suite_name(suite))))


@command(app, "quant")
def quant(
    context: Context,
    model: Annotated[str, typer.Argument(help="The model that both are formats of.")],
    a: Annotated[
        str, typer.Argument(help="The reference: a format, a .gguf file or a route.", metavar="A")
    ],
    b: Annotated[str, typer.Argument(help="The other one.", metavar="B")],
    positions: Annotated[
        int, typer.Option("--positions", min=8, max=2000, metavar="N", help="Of the text.")
    ] = 256,
    suites: Annotated[
        list[str] | None, typer.Option("--suite", help="Also run this suite on both (repeatable).")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N tasks.")
    ] = None,
) -> Document[Any]:
    """Measure what a weight format costs this model; plans use the result."""
    from modelscan.cli.eval.quant_view import quant_document
    from modelscan.cli.interrupt import interruptible, undisturbed
    from modelscan.evals.quantization.measure import QuantOptions, measure

    names = tuple(filter(None, map(_suite_name, suites or ())))
    options = QuantOptions(positions, suites=names, limit=limit)
    with context.output.status(f"{a} and {b}") as status, interruptible():
        answer = measure(
            model, a, b, options, context.config, progress=status.update, shield=undisturbed
        )
    return quant_document(answer)


@command(app, "export")
def export(
    context: Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    suite: SuiteOption = None,
) -> Document[Any]:
    """Write the stored reports into one file, as JSON Lines."""
    from modelscan.cli.eval.view import export_document
    from modelscan.evals.storage import export_reports

    return export_document(export_reports(context.config.paths, file, _suite_name(suite)))


@command(app, "verify")
def verify(
    context: Context,
    names: Annotated[
        list[str] | None, typer.Argument(help="Suites (default: all).", metavar="[SUITE]…")
    ] = None,
    sandbox: Box = None,
    yes: Yes = False,
) -> Document[Any]:
    """Prove the grading: reference answers pass, stubs, wrong answers and cheats fail."""
    from modelscan.cli.eval.view import proofs_document
    from modelscan.cli.interrupt import interruptible
    from modelscan.evals.verify import verify as proved

    with context.output.status("grading scripted answers") as status, interruptible():
        proofs = proved(
            names or (), context.config,
            lambda count: status.update(f"graded {count} scripted answers"),
            sandbox=_sandbox(sandbox), confirmed=yes,
        )  # fmt: skip
    return proofs_document(proofs, 0 if proofs.ok else EXIT_FAILED)
