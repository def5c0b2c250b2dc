"""``modelscan bench``: measure a route, keep results, compare them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from modelscan.cli.bench import view
from modelscan.cli.bench.run import run
from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note
from modelscan.cli.framework import command, group

app = group("Measure a route: time to first token, tokens per second, right answers.")
command(app, "run")(run)

RouteFilter = Annotated[
    str | None, typer.Option("--route", metavar="NAME", help="Only results of this entry.")
]
WorkloadFilter = Annotated[
    str | None, typer.Option("--workload", metavar="NAME", help="Only results of this workload.")
]
Report = Annotated[str, typer.Argument(help="A report's id, or its file.", metavar="ID")]


@command(app, "list")
def list_(
    context: Context,
    route: RouteFilter = None,
    workload: WorkloadFilter = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=100_000, metavar="N", help="At most N results.")
    ] = 50,
) -> Document[Any]:
    """List the stored results, the newest first."""
    from modelscan.bench.stored import list_samples

    answer = list_samples(context.config, route=route, workload=workload, limit=limit)
    return Document(
        "bench.list", answer, [view.sample_table(answer.samples)],
        [one.benchmark_id for one in answer.samples],
    )  # fmt: skip


@command(app, "show")
def show(context: Context, report: Report) -> Document[Any]:
    """Show a report: what was measured, each load, the estimated speed next to the measured."""
    from modelscan.bench.stored import find_report

    answer = find_report(report, context.config)
    return view.report_document(answer, context.config)


@command(app, "compare")
def compare(
    context: Context,
    a: Annotated[str, typer.Argument(help="A report's id, or its file.", metavar="A")],
    b: Annotated[str, typer.Argument(help="The other one.", metavar="B")],
) -> Document[Any]:
    """Compare two reports of one workload: ratios with their confidence intervals."""
    from modelscan.bench.compare import compare as compared
    from modelscan.bench.stored import find_report

    answer = compared(*(find_report(one, context.config) for one in (a, b)))
    notes = [Note(f"different: {text}") for text in answer.differences]
    blocks: list[Block] = [view.compare_table(answer), *notes]
    return Document("bench.compare", answer, blocks, [a, b], answer.warnings)


@command(app, "ingest")
def ingest(
    context: Context,
    files: Annotated[
        list[Path], typer.Argument(help="Reports of modelscan or GenieHive.", metavar="FILE...")
    ],
) -> Document[Any]:
    """Store the results of reports, for the scores of routes; a repetition is harmless."""
    from modelscan.bench.stored import ingest_files

    answer = ingest_files(files, context.config)
    pairs: list[tuple[str, object]] = [
        ("accepted", answer.accepted),
        ("duplicates", answer.duplicates),
        ("services", ", ".join(answer.matched_services) or "none"),
    ]
    reasons = dict.fromkeys(f"not matched: {one.reason}" for one in answer.unmatched)
    return Document(
        "bench.ingest", answer, [Fields(pairs), *map(Note, reasons)], answer.matched_services
    )


@command(app, "export")
def export(
    context: Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    route: RouteFilter = None,
    workload: WorkloadFilter = None,
) -> Document[Any]:
    """Write the stored results as one report, which GenieHive reads too."""
    from modelscan.bench.stored import export_samples

    answer = export_samples(file, context.config, route=route, workload=workload)
    pairs: list[tuple[str, object]] = [("file", answer.file), ("samples", answer.samples)]
    return Document("bench.export", answer, [Fields(pairs)], [answer.file])
