"""``modelscan catalog passport``: where a model comes from and what exactly its files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Table
from modelscan.cli.framework import command

if TYPE_CHECKING:
    from modelscan.catalog.passport import Passport
    from modelscan.core.architecture import Tensor
    from modelscan.core.model import Model
    from modelscan.core.reference import Reference

_SHOWN_FILES = 20


def register(app: typer.Typer) -> None:
    """Add the command to ``modelscan catalog``."""
    command(app, "passport")(passport)


def passport(
    model: Annotated[
        str, typer.Argument(help="A model, hf:ORG/REPO, ms:ORG/REPO, a file or folder.")
    ],
    export: Annotated[
        Path | None, typer.Option("--export", help="Also write the JSON to this file.")
    ] = None,
    checksum: Annotated[
        bool, typer.Option("--checksum", help="Hash local files (reads all of them).")
    ] = False,
) -> Document:
    """License, lineage, gated state, exact parameters and files with their SHA-256."""
    made = _made(model, checksum=checksum)
    document = _document(model, made)
    if export is not None:
        _export(export, document)
    return document


def _made(text: str, *, checksum: bool) -> Passport:
    from modelscan.core.reference import Kind, parse_reference

    reference = parse_reference(text)
    if reference.kind is Kind.PATH:
        return _local(reference.value, checksum=checksum)
    if reference.kind is Kind.NAME:
        return _by_name(text)
    return _asked_or_known(reference, text)


def _local(path: str, *, checksum: bool) -> Passport:
    from modelscan.catalog.passport_local import local_passport

    return local_passport(Path(path), _read_gguf, checksum=checksum)


def _from_hub(reference: Reference) -> Passport:
    from modelscan.catalog.passport import from_hub
    from modelscan.hub.repository import Hub

    with Hub.from_config(current().config) as hub, current().output.status("asking the hub"):
        return from_hub(hub, reference)


def _by_name(text: str) -> Passport:
    """A model of the catalog: from its hub, or from the catalog where there is nothing to ask."""
    from modelscan.catalog.search.lookup import find_model

    model = find_model(text, current().config.paths)
    local = next((v.repo for v in model.variants if v.source == "local_path"), None)
    if local is not None:
        return replace(_local(local, checksum=False), id=model.id)
    reference = _repository(text, model)
    if reference is None:
        return _without_weights(model)
    return replace(_asked_or_known(reference, text, model), id=model.id)


def _asked_or_known(reference: Reference, text: str, model: Model | None = None) -> Passport:
    """From the hub; where it cannot be asked (offline included), what the catalog knows of it."""
    from modelscan.catalog.passport import from_model
    from modelscan.catalog.search.lookup import find_known
    from modelscan.core.errors import RemoteError

    try:
        return _from_hub(reference)
    except RemoteError as error:
        model = model or find_known(text, current().config.paths)
        if model is None:
            raise
        note = f"the hub was not asked ({error.message}): these are the catalog's facts"
        return replace(from_model(model), repo=reference.value, warnings=(note,))


def _repository(text: str, model: Model) -> Reference | None:
    """The repository that was named, else the model's released weights."""
    from modelscan.core.reference import Kind, Reference

    variants = {v.repo: v for v in model.variants}
    named = next((r for r in (*model.repos, *variants) if r.lower() == text.lower()), None)
    repo = named or next(iter((*model.repos, *variants)), None)
    if repo is None:
        return None
    variant = variants.get(repo)
    if variant is not None and variant.source == "modelscope":
        return Reference(Kind.MODELSCOPE, repo)
    if variant is not None and variant.modelscope_repo and _prefers_modelscope():
        return Reference(Kind.MODELSCOPE, variant.modelscope_repo)
    return Reference(Kind.HUGGINGFACE, repo)


def _prefers_modelscope() -> bool:
    return current().config.source == "modelscope"


def _without_weights(model: Model) -> Passport:
    from modelscan.catalog.passport import from_model

    if model.open_weights is False:
        note = f"{model.name} has closed weights: nobody but its owner can run it"
        return replace(from_model(model, alternatives=_alternatives(model)), warnings=(note,))
    note = f"no repository with weights is known for {model.id}"
    return replace(from_model(model), warnings=(note,))


def _alternatives(model: Model) -> list[str]:
    from modelscan.catalog.alternatives import open_alternatives

    return open_alternatives(model, current().config.paths)


def _read_gguf(file: Path) -> tuple[Mapping[str, Any], Sequence[Tensor]]:
    from modelscan.formats.gguf import parse_header

    with file.open("rb") as stream:

        def read(offset: int, size: int) -> bytes:
            stream.seek(offset)
            return stream.read(size)

        header = parse_header(read)
    return header.metadata, header.tensors


def _document(asked: str, made: Passport) -> Document:
    from modelscan.core.jsonform import to_json

    body = to_json(made)
    warnings = body.pop("warnings")
    return Document(
        "catalog.passport",
        {"query": asked, **body},
        _blocks(made),
        [made.repo or made.path or made.id or made.name],
        warnings,
        hint=_hint(made),
    )


def _hint(made: Passport) -> str | None:
    if made.alternatives:
        return f"modelscan plan {made.alternatives[0]}"
    if made.open_weights and (made.id or made.path):
        return f"modelscan plan {made.id or made.path}"
    return None


def _blocks(made: Passport) -> list[Block]:
    from modelscan.cli.output import Mode
    from modelscan.core.units import format_bytes, format_count, format_tokens

    gated = f"yes ({made.gated_kind})" if made.gated and made.gated_kind else made.gated
    counted = ", ".join(f"{dtype} {n}" for dtype, n in (made.safetensors or {}).items())
    adapter = made.adapter
    pairs: list[tuple[str, object]] = [
        ("name", made.name), ("id", made.id), ("repository", made.repo), ("path", made.path),
        ("url", made.url), ("commit", made.commit), ("open weights", made.open_weights),
        ("license", _license(made)), ("gated", gated), ("task", made.task),
        ("library", made.library), ("tags", made.tags), ("languages", made.languages),
        ("base model", made.base_models or made.base_model), ("derived by", made.base_relation),
        ("adapter", adapter and f"{adapter.type or 'unknown type'}, rank {adapter.rank or '-'}"),
        ("adapters", made.adapters), ("datasets", made.datasets), ("spaces", made.spaces),
        ("architecture", made.architecture),
        ("context", format_tokens(made.context_tokens)), ("format", made.format),
        ("quantizations", made.quantizations), ("parameters", _parameters(made)),
        ("safetensors", counted), ("size", format_bytes(made.size_bytes)),
        ("downloads", format_count(made.downloads)), ("created", made.created_at),
        ("changed", made.last_modified), ("open alternatives", made.alternatives),
    ]  # fmt: skip
    shown = [(name, value) for name, value in pairs if value not in (None, "", (), "-")]
    blocks: list[Block] = [Fields(shown)]
    if made.files:
        rows = [(f.path, f.size_bytes, f.sha256) for f in made.files]
        if current().output.mode is Mode.HUMAN:
            rows = rows[:_SHOWN_FILES]
        blocks.append(Table(("FILE", "BYTES", "SHA256"), rows, numeric=("BYTES",)))
    return blocks


def _license(made: Passport) -> str | None:
    known = [made.license_name or made.license, made.license_url]
    return " ".join(part for part in known if part) or None


def _parameters(made: Passport) -> str | None:
    if made.parameters is None:
        return None
    basis = {"headers": "counted from the files' headers", "hub": "counted by the hub",
             "gguf": "counted from the file's header", "catalog": "the catalog says"}  # fmt: skip
    return f"{made.parameters} ({basis.get(made.parameters_basis or '', 'unknown')})"


def _export(file: Path, document: Document) -> None:
    """The same JSON as ``--json`` prints."""
    import json

    from modelscan.cli.output import envelope
    from modelscan.state.files import write_atomic

    text = json.dumps(envelope(document), ensure_ascii=False, indent=2) + "\n"
    write_atomic(file.expanduser().absolute(), text, mode=0o644)
    current().output.note(f"written to {file}")
