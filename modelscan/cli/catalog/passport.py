"""``modelscan catalog passport``: license, lineage and exact files of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Table
from modelscan.cli.output import Mode

if TYPE_CHECKING:
    from modelscan.catalog.find_passport import PassportAnswer
    from modelscan.core.sampling import Sampling

_SHOWN_FILES = 20


def passport(
    context: Context,
    model: Annotated[
        str, typer.Argument(help="A model, hf:ORG/REPO, ms:ORG/REPO, a file or folder.")
    ],
    export: Annotated[
        Path | None, typer.Option("--export", help="Also write the JSON document to this file.")
    ] = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Hash local files, which reads them completely.")
    ] = False,
) -> Document[Any]:
    """Show license, lineage, access, exact parameters and files with their SHA-256."""
    with context.output.status(f"looking up {model}"):
        answer = context.workspace.passport(model, checksum=checksum)
    document = Document(
        "catalog.passport",
        answer,
        _blocks(answer, context.output.mode is Mode.HUMAN),
        [answer.repo or answer.path or answer.id or answer.name],
        answer.warnings,
        hint=_hint(answer),
    )
    if export is not None:
        _export(export, document, context)
    return document


def _hint(answer: PassportAnswer) -> str | None:
    if answer.alternatives:
        return f"modelscan plan {answer.alternatives[0]}"
    if answer.open_weights and (answer.id or answer.path):
        return f"modelscan plan {answer.id or answer.path}"
    return None


def _blocks(answer: PassportAnswer, shorten: bool) -> list[Block]:
    from modelscan.core.units import format_bytes, format_count, format_tokens

    gated = f"yes ({answer.gated_kind})" if answer.gated and answer.gated_kind else answer.gated
    counted = ", ".join(f"{dtype} {n:,}" for dtype, n in (answer.safetensors or {}).items())
    adapter = answer.adapter
    pairs: list[tuple[str, object]] = [
        ("name", answer.name), ("id", answer.id), ("repository", answer.repo),
        ("path", answer.path),
        ("url", answer.url), ("commit", answer.commit), ("open weights", answer.open_weights),
        ("license", _license(answer)), ("gated", gated), ("task", answer.task),
        ("library", answer.library), ("tags", answer.tags), ("languages", answer.languages),
        ("base model", answer.base_models or answer.base_model),
        ("derived by", answer.base_relation),
        ("adapter", adapter and f"{adapter.type or 'unknown type'}, rank {adapter.rank or '-'}"),
        ("adapters", answer.adapters), ("datasets", answer.datasets), ("spaces", answer.spaces),
        ("architecture", answer.architecture),
        ("context", format_tokens(answer.context_tokens)),
        ("recommended sampling", answer.sampling and _sampling(answer.sampling)),
        ("format", answer.format),
        ("quantizations", answer.quantizations), ("parameters", _parameters(answer)),
        ("safetensors", counted), ("size", format_bytes(answer.size_bytes)),
        ("downloads", format_count(answer.downloads)), ("created", answer.created_at),
        ("updated", answer.last_modified), ("open alternatives", answer.alternatives),
    ]  # fmt: skip
    shown = [(name, value) for name, value in pairs if value not in (None, "", (), "-")]
    blocks: list[Block] = [Fields(shown)]
    if answer.files:
        rows = [(f.path, f.size_bytes, f.sha256) for f in answer.files]
        rows = rows[:_SHOWN_FILES] if shorten else rows
        blocks.append(Table(("FILE", "BYTES", "SHA256"), rows, numeric=("BYTES",)))
    return blocks


def _sampling(sampling: Sampling) -> str:
    values = ", ".join(f"{name} {value:g}" for name, value in sampling.body().items())
    return f"{values} ({sampling.source})"


def _license(answer: PassportAnswer) -> str | None:
    parts = [answer.license_name or answer.license, answer.license_url]
    return " ".join(part for part in parts if part) or None


def _parameters(answer: PassportAnswer) -> str | None:
    if answer.parameters is None:
        return None
    basis = {"headers": "counted from the files' headers", "hub": "counted by the hub",
             "gguf": "counted from the file's header", "catalog": "from the catalog"}  # fmt: skip
    return f"{answer.parameters:,} ({basis.get(answer.parameters_basis or '', 'unknown')})"


def _export(file: Path, document: Document[PassportAnswer], context: Context) -> None:
    """Write the JSON document that ``--json`` prints."""
    import json

    from modelscan.cli.output import envelope
    from modelscan.state.files import write_atomic

    text = json.dumps(envelope(document), ensure_ascii=False, indent=2) + "\n"
    write_atomic(file.expanduser().absolute(), text, mode=0o644)
    context.output.note(f"written to {file}")
