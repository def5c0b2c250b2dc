"""``catalog info`` and ``catalog sources``: facts of a model, state of the sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import Context
from modelscan.cli.document import Block, Document, Fields, Note, Table, Text
from modelscan.cli.output import Mode
from modelscan.core.units import format_bytes, format_count

if TYPE_CHECKING:
    from modelscan.catalog.source_states import SourcesAnswer
    from modelscan.core.model import Model, Variant
    from modelscan.models.info import ModelInfo

_SHOWN = 12


def info_document(context: Context, text: str, gpu: str | None) -> Document[ModelInfo]:
    """Every fact about one model, and its fit on this machine."""
    from modelscan.models.info import find_info

    with context.output.status(f"looking up {text}"):
        model, answer, notes = find_info(text, context.workspace.machine(gpu), context.config)
    human = context.output.mode is Mode.HUMAN
    blocks = _blocks(model, answer.alternatives, _SHOWN if human else None)
    if answer.fit is not None:
        blocks.insert(1, Fields([("fits here", answer.fit.text)]))
    hint = f"modelscan plan {model.id}" if answer.deployable else None
    return Document("catalog.info", answer, blocks, [model.id], notes, hint=hint)


def _blocks(model: Model, alternatives: Sequence[str], limit: int | None) -> list[Block]:
    """``limit``: rows per table on a terminal; None for a pipe, which gets all of them."""
    blocks: list[Block] = [
        Table(
            ("FACT", "VALUE", "SOURCE", "OTHER SOURCES"),
            facts(model),
            folded=("VALUE",),
            below=("OTHER SOURCES",),
        )
    ]
    if model.open_weights is False and not model.variants:
        blocks.append(
            Note("\nIts weights are not published: providers host it, and it cannot be deployed.")
        )
        if alternatives:
            blocks.append(Fields([("open alternatives", ", ".join(alternatives))]))
    if model.variants:
        blocks += [_title("weights", model.variants, limit), _variants(model, limit)]
    if model.specs:
        blocks += [_title("recipes", model.specs, limit), _specs(model, limit)]
    if model.offerings:
        blocks += [_title("hosted by", model.offerings, limit), _offerings(model, limit)]
    return blocks


def _title(name: str, items: Sequence[object], limit: int | None) -> Block:
    """The title above a table: data in a pipe, where it separates the tables."""
    text = f"\n{name} ({len(items)}):"
    return Note(text) if limit else Text(text)


def facts(model: Model) -> list[tuple[object, ...]]:
    """Rows (label, value, source, other sources' values) of the facts that are known."""
    capabilities, limits = model.capabilities, model.limits
    rows: list[tuple[str, object, str | None]] = [
        ("id", model.id, None),
        ("name", model.name, "name"),
        ("lab", model.lab, "lab"),
        ("family", model.family, "family"),
        ("task", model.task, "task"),
        ("open weights", model.open_weights, "open_weights"),
        ("license", model.license, "license"),
        ("parameters", _count(model.parameters), "parameters"),
        ("active parameters", _count(model.active_parameters), "active_parameters"),
        ("context", limits.context_tokens, "limits.context_tokens"),
        ("input limit", limits.input_tokens, "limits.input_tokens"),
        ("output limit", limits.output_tokens, "limits.output_tokens"),
        ("tools", capabilities.tools, "capabilities.tools"),
        ("reasoning", capabilities.reasoning, "capabilities.reasoning"),
        ("vision", capabilities.vision, "capabilities.vision"),
        ("attachments", capabilities.attachment, "capabilities.attachment"),
        ("structured output", capabilities.structured_output, "capabilities.structured_output"),
        ("temperature", capabilities.temperature, "capabilities.temperature"),
        ("input", model.modalities_in, "modalities_in"),
        ("output", model.modalities_out, "modalities_out"),
        ("knowledge", model.knowledge, "knowledge"),
        ("released", model.release_date, "release_date"),
        ("updated", model.last_updated, "last_updated"),
        ("status", model.status, "status"),
        ("downloads", _count(model.downloads), "downloads"),
        ("repositories", model.repos, "repos"),
        ("architecture", _architecture(model.architecture), "architecture"),
        ("tags", model.tags, "tags"),
        ("also called", model.aliases, "aliases"),
        ("scores", [_score(b) for b in model.benchmarks], "benchmarks"),
        ("description", model.description, "description"),
    ]
    return [
        (label, value, *_sourced(model, field))
        for label, value, field in rows
        if value not in (None, (), "", [])
    ]


def _score(benchmark: Mapping[str, Any]) -> str:
    """``LiveBench 74.4 (2026-01-08)``."""
    date = f" ({benchmark['date']})" if benchmark.get("date") else ""
    return f"{benchmark.get('name')} {benchmark.get('score')}{date}"


def _sourced(model: Model, field: str | None) -> tuple[str | None, str | None]:
    origin = model.provenance.get(field) if field else None
    if origin is None:
        return None, None
    date = f" {origin.retrieved_at[:10]}" if origin.retrieved_at else ""
    others = "; ".join(f"{source}: {_plain(value)}" for source, value in origin.others)
    return origin.source + date, others or None


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value)
    return str(value)


def _count(value: int | None) -> str | None:
    return None if value is None else format_count(value)


def _architecture(config: Mapping[str, Any] | None) -> str | None:
    if config is None:
        return None
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else config
    names = config.get("architectures") or [config.get("model_type")]
    layers = inner.get("num_hidden_layers")
    from modelscan.core.architecture import PARTIAL

    windows = ", sliding windows unknown" if config.get(PARTIAL) else ""
    return f"{names[0]}, {layers} layers{windows}" if layers else str(names[0])


def _variants(model: Model, limit: int | None) -> Table:
    """One row per repository and format, with all of its quantizations."""
    grouped: dict[tuple[str, str], list[Variant]] = {}
    for variant in model.variants:
        grouped.setdefault((variant.repo, variant.format), []).append(variant)
    rows: list[tuple[object, ...]] = []
    for (repo, form), members in list(grouped.items())[:limit]:
        first = members[0]
        both = "both" if first.modelscope_repo else "huggingface"
        hub = both if first.source == "huggingface" else first.source
        sizes = [v.weight_bytes for v in members if v.weight_bytes]
        size = f"{format_bytes(min(sizes))}{' and up' if len(sizes) > 1 else ''}" if sizes else None
        labels = sorted({v.quantization for v in members if v.quantization})
        rows.append((repo, form, labels, size, hub, first.link_reason))
    if limit and len(grouped) > limit:
        rows.append((f"… {len(grouped) - limit} more: --json", "", "", "", "", ""))
    return Table(
        ("REPOSITORY", "FORMAT", "QUANTIZATION", "SIZE", "HUB", "LINKED BY"), rows,
        optional=("SIZE", "FORMAT", "HUB", "LINKED BY"), folded=("QUANTIZATION",),
    )  # fmt: skip


def _specs(model: Model, limit: int | None) -> Table:
    rows: list[tuple[object, ...]] = [
        (s.repo, s.source, s.backend, s.quantization, s.mode,
         ",".join(f"{k}={_plain(v)}" for k, v in sorted(s.gpu_filters.items())) or None)
        for s in model.specs[:limit]
    ]  # fmt: skip
    columns = ("REPOSITORY", "SOURCE", "BACKEND", "QUANTIZATION", "MODE", "GPUS")
    if limit and len(model.specs) > limit:
        rows.append((f"… {len(model.specs) - limit} more: --json", *[""] * 5))
    return Table(columns, rows, optional=("BACKEND", "MODE", "GPUS", "SOURCE"))


def _offerings(model: Model, limit: int | None) -> Table:
    from modelscan.catalog.offers import ranked_offers

    rows: list[tuple[object, ...]] = []
    for offer in ranked_offers(model)[:limit]:
        price = offer.pricing
        rows.append(
            (offer.id, price and price.input_usd_per_mtok, price and price.output_usd_per_mtok,
             offer.limits.context_tokens, offer.status)
        )  # fmt: skip
    if limit and len(model.offerings) > limit:
        rest = len(model.offerings) - limit
        rows.append((f"… {rest} more: modelscan catalog offers {model.id}", "", "", "", ""))
    columns = ("OFFERING", "USD/M IN", "USD/M OUT", "CONTEXT", "STATUS")
    return Table(columns, rows, numeric=columns[1:4], optional=columns[3:])


def sources_document(answer: SourcesAnswer) -> Document[SourcesAnswer]:
    """Per source: state, models, time of its data, last error."""
    columns = ("SOURCE", "STATE", "MODELS", "ENTRIES", "RETRIEVED", "FROM", "ERROR")
    rows = [
        (s.name, s.state, s.models, s.entries, s.retrieved_at, s.origin, s.error)
        for s in answer.sources
    ]
    table = Table(
        columns, rows, numeric=("MODELS", "ENTRIES"), optional=("ENTRIES", "FROM", "ERROR")
    )
    names = [row.name for row in answer.sources]
    return Document("catalog.sources", answer, [table], names, answer.warnings)
