"""``modelscan trace export`` and ``trace dataset``: requests in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Document, Fields
from modelscan.cli.framework import command
from modelscan.cli.trace.database import trace_access
from modelscan.cli.trace.options import OfRoute, OfStatus, Since

FormatName = Literal["otlp-json", "jsonl"]


def register(app: typer.Typer) -> None:
    """Add the commands to the group."""
    command(app, "export")(export)
    command(app, "dataset")(dataset)


def _since(text: str | None) -> float | None:
    import time

    from modelscan.core.units import parse_seconds

    return None if text is None else time.time() - parse_seconds(text)


def export(
    context: Context,
    file: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE")],
    format: Annotated[
        FormatName,
        typer.Option("--format", help="otlp-json (OpenTelemetry) or jsonl.", metavar="FORMAT"),
    ] = "jsonl",
    since: Since = None,
    route: OfRoute = None,
    status: OfStatus = None,
    with_content: Annotated[
        bool, typer.Option("--with-content", help="Also the texts that were kept.")
    ] = False,
) -> Document[Any]:
    """Write requests to a file, without secrets, with their provenance. Nothing is sent.

    A second scan follows: if it finds a secret, nothing is written and the exit code is 1.
    """
    with trace_access(context) as access:
        from modelscan.traces.answers import export_file
        from modelscan.traces.store import ReceiptFilter

        only = ReceiptFilter(_since(since), route, status)
        answer = export_file(access, file, format, only=only, with_content=with_content)
    kinds = ", ".join(f"{kind} {count}" for kind, count in answer.redactions.items())
    rows: list[tuple[str, object]] = [
        ("file", answer.file), ("format", answer.format), ("spans", answer.spans),
        ("contents", answer.contents), ("redacted", kinds or "nothing"), ("sha256", answer.sha256),
    ]  # fmt: skip
    return Document("trace.export", answer, [Fields(rows)], [answer.file])


def dataset(
    context: Context,
    file: Annotated[Path, typer.Argument(help="The file to write (JSON Lines).", metavar="FILE")],
    license: Annotated[
        str, typer.Option("--license", metavar="SPDX", help="The license of the rows: CC-BY-4.0, …")
    ],
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="FIELD=VALUE", help="Only such requests; repeatable."),
    ] = None,
    since: Since = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="A/B", help="Per cent for training and test: 90/10."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the split.")] = 0,
    yes: Annotated[
        bool, typer.Option("--yes", help="The people whose texts these are agreed to this use.")
    ] = False,
) -> Document[Any]:
    """Write kept conversations as chat JSON Lines for training: redacted, without duplicates.

    Conversations are kept only after trace on --content. A file with the provenance, the license
    and the consent is written next to it.
    """
    with trace_access(context) as access:
        from modelscan.traces.answers import write_dataset
        from modelscan.traces.dataset import DatasetWish, parse_split, parse_where
        from modelscan.traces.store import ReceiptFilter

        parts = None if split is None else parse_split(split, seed)
        wish = DatasetWish(license, yes, parse_where(where or ()), parts)
        answer = write_dataset(access, file, wish, ReceiptFilter(_since(since)))
    duplicates = answer.duplicates
    rows: list[tuple[str, object]] = [
        *((one.split, f"{one.file}: {one.rows:,} rows") for one in answer.files),
        ("provenance", answer.provenance_file),
        ("license", answer.license),
        ("duplicates", f"{duplicates.exact} equal, {duplicates.contained} contained in longer "
         f"ones, {duplicates.near} nearly equal"),
        *(("left out", f"{count:,}: {reason}") for reason, count in answer.left_out.items()),
        ("redacted", ", ".join(f"{k} {n}" for k, n in answer.redactions.items()) or "nothing"),
        ("sha256", answer.sha256),
    ]  # fmt: skip
    return Document("trace.dataset", answer, [Fields(rows)], [one.file for one in answer.files])
