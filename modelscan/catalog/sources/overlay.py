"""A user's own catalog files: TOML or YAML with models.dev's fields, with the highest precedence.

A file contains ``[models."lab/name"]`` tables, or the fields of one model with its ``id``. An entry
changes the model with that id, or creates a new one; with ``base_model`` it inherits all facts of
another model except those in ``base_model_omit``. See examples/overlay.toml.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.catalog.records import USER, SourceRecord, SourceSnapshot
from modelscan.catalog.sources import modelsdev_parse
from modelscan.catalog.sources.overlay_types import wrong_types
from modelscan.core.errors import UsageError
from modelscan.core.foreign import rows, strings, text, whole
from modelscan.core.model import Offering
from modelscan.core.nearest import nearest
from modelscan.core.reference import Kind, parse_reference
from modelscan.core.yaml_reader import YamlProblem, yaml_value
from modelscan.hub.variants import TASKS

SUFFIXES = (".toml", ".yaml", ".yml")
MAX_FILE_BYTES = 4 << 20
FIELDS = frozenset({
    "id", "name", "family", "description", "attachment", "reasoning", "tool_call",
    "structured_output", "temperature", "open_weights", "knowledge", "release_date",
    "last_updated", "modalities", "limit", "cost", "license", "weights", "status", "benchmarks",
    "base_model", "base_model_omit", "lab", "task", "parameters", "active_parameters", "tags",
    "aliases", "repos", "links", "experimental", "interleaved", "provider", "reasoning_options",
})  # fmt: skip
_TASKS = frozenset(TASKS.values())
_ID = re.compile(r"^[\w.@:+-]+(?:/[\w.@:+-]+)+$")


@dataclass(frozen=True, slots=True)
class Overlay:
    """The records in the user's files. ``warnings`` name the file and the key or the error."""

    snapshot: SourceSnapshot
    warnings: tuple[str, ...] = ()


def read(folder: Path) -> Overlay:
    """Read all overlay files of a folder, sorted by name; the folder may be missing or empty.

    A file that cannot be read and a model with a wrong value are skipped; the snapshot's ``error``
    names the file and each error.
    """
    records_by_key: dict[str, SourceRecord] = {}
    warnings: list[str] = []
    errors: list[str] = []
    newest = 0.0
    files = sorted(p for p in folder.glob("*") if p.suffix in SUFFIXES) if folder.is_dir() else []
    for file in files:
        try:
            entries = parse(_load(file), str(file))
            records_by_key |= _new(entries.records, records_by_key, file)
        except UsageError as error:
            errors.append(error.message)
            continue
        warnings += entries.warnings
        errors += entries.errors
        newest = max(newest, file.stat().st_mtime)
    when = _rfc3339(newest) if newest else None
    snapshot = SourceSnapshot(
        USER, when, tuple(records_by_key.values()), state="live", error="; ".join(errors) or None,
        origin=str(folder),
    )  # fmt: skip
    return Overlay(snapshot, (*warnings, *errors))


def _new(
    records: list[SourceRecord], existing: Mapping[str, SourceRecord], file: Path
) -> dict[str, SourceRecord]:
    new_records: dict[str, SourceRecord] = {}
    for record in records:
        if record.key in existing:
            raise UsageError(f"{file}: '{record.key}' is also in another overlay file")
        if record.key in new_records:
            raise UsageError(f"{file}: '{record.key}' is in this file twice")
        new_records[record.key] = record
    return new_records


def _load(file: Path) -> Any:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise UsageError(f"{file} is larger than {MAX_FILE_BYTES >> 20} MiB")
        source = file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file} is not UTF-8 text") from error
    return _toml(source, file) if file.suffix == ".toml" else _yaml(source, file)


def _toml(source: str, file: Path) -> Any:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(source)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of 5,000 digits
        raise UsageError(f"{file} is not valid TOML: {error}", hint=f"edit {file}") from error


def _yaml(source: str, file: Path) -> Any:
    try:
        return yaml_value(source, max_characters=MAX_FILE_BYTES)
    except YamlProblem as error:
        raise UsageError(f"{file} is not valid YAML: {error}", hint=f"edit {file}") from error


@dataclass(frozen=True, slots=True)
class Entries:
    """The models of one file. ``errors``: models that were skipped, and why."""

    records: list[SourceRecord]
    warnings: list[str]
    errors: list[str]


def parse(data: Any, where: str) -> Entries:
    """One file's contents. Raises UsageError if it is not a file of models."""
    if not isinstance(data, dict):
        raise UsageError(f"{where} must be a table of models", hint="see examples/overlay.toml")
    if isinstance(data.get("models"), dict):
        entries = list(data["models"].items())
    elif isinstance(data.get("id"), str):
        entries = [(data["id"], data)]
    else:
        raise UsageError(
            f"{where} has neither a [models] table nor an id", hint="see examples/overlay.toml"
        )
    parsed = Entries([], [], [])
    for key, entry in entries:
        try:
            parsed.records.append(_record(str(key), entry, where, parsed.warnings))
        except UsageError as error:
            parsed.errors.append(error.message)
    return parsed


def _record(model_id: str, entry: Any, where: str, warnings: list[str]) -> SourceRecord:
    if not isinstance(entry, dict) or not _ID.match(model_id):
        raise UsageError(f"{where}: '{model_id}' is not a model (its id looks like lab/name)")
    for key in sorted(set(entry) - FIELDS):
        near = nearest(key, sorted(FIELDS))
        meant = f", did you mean '{near[0]}'?" if near else ""
        warnings.append(f"{where}: '{model_id}' has an unknown key '{key}'{meant}")
    entry = {key: _plain(value) for key, value in entry.items()}
    _refuse_wrong(entry, where, model_id)
    base = text(entry.get("base_model"))
    return SourceRecord(
        key=model_id.lower(),
        kind="overlay",
        name=text(entry.get("name")),
        canonical=model_id.lower(),
        repos=_repos(entry),
        base=base.lower() if base and base.lower() != model_id.lower() else None,
        facts=_facts(entry, where, model_id),
        aliases=strings(entry.get("aliases")),
        offerings=_offering(model_id.lower(), entry),
        benchmarks=tuple(rows(entry.get("benchmarks"))),
    )


def _facts(entry: Mapping[str, Any], where: str, model_id: str) -> dict[str, Any]:
    facts = modelsdev_parse.facts(entry)
    task = text(entry.get("task"))
    if task is not None and task not in _TASKS:
        tasks = ", ".join(sorted(_TASKS))
        raise UsageError(f"{where}: '{model_id}': task '{task}' is not one of {tasks}")
    ours = {
        "lab": text(entry.get("lab")),
        "description": text(entry.get("description")),
        "task": task,
        "parameters": whole(entry.get("parameters")),
        "active_parameters": whole(entry.get("active_parameters")),
        "tags": strings(entry.get("tags")),
    }
    facts |= {name: value for name, value in ours.items() if value not in (None, ())}
    omitted = strings(entry.get("base_model_omit"))
    return {**facts, "base_model_omit": omitted} if omitted else facts


def _refuse_wrong(entry: Mapping[str, Any], where: str, model_id: str) -> None:
    """Raise UsageError for values of a wrong type, which would otherwise be ignored silently."""
    wrong = list(wrong_types(entry))
    if wrong:
        raise UsageError(f"{where}: '{model_id}' is skipped: {'; '.join(wrong)}")


def _offering(model_id: str, entry: Mapping[str, Any]) -> tuple[Offering, ...]:
    """A price in the entry becomes an offering of the provider ``user``."""
    pricing = modelsdev_parse.pricing(entry.get("cost"))
    if pricing is None:
        return ()
    limits = modelsdev_parse.limits(entry.get("limit"))
    return (Offering(provider=USER, id=f"{USER}/{model_id}", pricing=pricing, limits=limits),)


def _repos(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """Hugging Face repositories: from ``repos``, and from the addresses in ``weights``."""
    urls = [text(row.get("url")) for row in rows(entry.get("weights"))]
    references = [parse_reference(url) for url in urls if url]
    hub = [ref.value for ref in references if ref.kind is Kind.HUGGINGFACE]
    return tuple(dict.fromkeys([*strings(entry.get("repos")), *hub]))


def _plain(value: Any) -> Any:
    """Dates as text, like models.dev; TOML parses them as dates."""
    return value.isoformat() if hasattr(value, "isoformat") else value


def _rfc3339(seconds: float) -> str:
    from datetime import datetime, timezone

    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
