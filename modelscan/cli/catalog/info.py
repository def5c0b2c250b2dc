"""``catalog info`` and ``catalog sources``: one model's facts with their sources, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.cli.context import current
from modelscan.cli.document import Block, Document, Fields, Note, Table
from modelscan.core.jsonform import to_json
from modelscan.core.units import format_bytes, format_count, format_tokens

if TYPE_CHECKING:
    from modelscan.catalog.index.read import SourceState
    from modelscan.core.model import Model, Provenance, Variant

_APART = ("offerings", "specs", "variants", "repos", "provenance", "architecture")
_SHOWN = 12


def info(text: str, gpu: str | None) -> Document:
    """Every fact about one model; its fit on this machine where it can be told."""
    from modelscan.catalog.alternatives import among
    from modelscan.catalog.index.read import open_index
    from modelscan.cli.catalog.fit import fit_of, room
    from modelscan.cli.catalog.hub import known_or_on_hub

    index = open_index(current().config.paths)
    try:
        model = known_or_on_hub(index, text)
        instead = among(index, model) if is_closed(model) else []
    finally:
        index.close()
    fit = None if is_closed(model) else fit_of(model, room(gpu))
    body = {**model_json(model), "fit": to_json(fit), "alternatives": instead}
    blocks = _blocks(model, instead)
    if fit is not None:
        blocks.insert(1, Fields([("fits here", fit.text)]))
    hint = f"modelscan plan {model.id}" if not is_closed(model) else None
    return Document("catalog.info", body, blocks, [model.id], hint=hint)


def is_closed(model: Model) -> bool:
    """Nothing to download: weights are said to be closed, and no source names any."""
    return model.open_weights is False and not model.variants


def model_json(model: Model) -> dict[str, Any]:
    """The contract's form: facts under ``model``, the lists beside it."""
    whole: dict[str, Any] = to_json(model)
    facts = {name: value for name, value in whole.items() if name not in _APART}
    apart = {name: whole[name] for name in _APART}
    apart["provenance"] = {name: _origin(p) for name, p in sorted(model.provenance.items())}
    return {"model": facts, **apart, "deployable": not is_closed(model)}


def _origin(origin: Provenance) -> dict[str, Any]:
    return {
        "source": origin.source,
        "retrieved_at": origin.retrieved_at,
        "others": [{"source": s, "value": to_json(v)} for s, v in origin.others],
    }


def _blocks(model: Model, instead: Sequence[str]) -> list[Block]:
    blocks: list[Block] = [Table(("FACT", "VALUE", "SOURCE", "OTHERS SAY"), list(_facts(model)))]
    if is_closed(model):
        blocks.append(
            Note(
                "\nIts weights are not published: it can be used where it is hosted, not deployed."
            )
        )
        if instead:
            blocks.append(Fields([("open alternatives", ", ".join(instead))]))
    if model.variants:
        blocks += [Note(f"\nweights ({len(model.variants)}):"), _variants(model)]
    if model.specs:
        blocks += [Note(f"\nrecipes ({len(model.specs)}):"), _specs(model)]
    if model.offerings:
        blocks += [Note(f"\nhosted by ({len(model.offerings)}):"), _offerings(model)]
    return blocks


def _facts(model: Model) -> list[tuple[object, ...]]:
    can, limits = model.capabilities, model.limits
    rows: list[tuple[str, object, str | None]] = [
        ("id", model.id, None),
        ("name", model.name, "name"),
        ("lab", model.lab, None),
        ("family", model.family, "family"),
        ("task", model.task, "task"),
        ("open weights", model.open_weights, "open_weights"),
        ("license", model.license, "license"),
        ("parameters", _count(model.parameters), "parameters"),
        ("active parameters", _count(model.active_parameters), "active_parameters"),
        ("context", _tokens(limits.context_tokens), "limits.context_tokens"),
        ("input limit", _tokens(limits.input_tokens), "limits.input_tokens"),
        ("output limit", _tokens(limits.output_tokens), "limits.output_tokens"),
        ("tools", can.tools, "capabilities.tools"),
        ("reasoning", can.reasoning, "capabilities.reasoning"),
        ("vision", can.vision, "capabilities.vision"),
        ("attachments", can.attachment, "capabilities.attachment"),
        ("structured output", can.structured_output, "capabilities.structured_output"),
        ("temperature", can.temperature, "capabilities.temperature"),
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
        ("also called", model.aliases, None),
        ("description", model.description, "description"),
    ]
    return [
        (label, value, *_sourced(model, field))
        for label, value, field in rows
        if value not in (None, (), "")
    ]


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


def _tokens(value: int | None) -> str | None:
    return None if value is None else format_tokens(value)


def _architecture(config: Mapping[str, Any] | None) -> str | None:
    if config is None:
        return None
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else config
    names = config.get("architectures") or [config.get("model_type")]
    layers = inner.get("num_hidden_layers")
    from modelscan.core.architecture import PARTIAL

    windows = ", windows not known" if config.get(PARTIAL) else ""
    return f"{names[0]}, {layers} layers{windows}" if layers else str(names[0])


def _variants(model: Model) -> Table:
    """One row per repository and format, with all of its quantizations."""
    grouped: dict[tuple[str, str], list[Variant]] = {}
    for variant in model.variants:
        grouped.setdefault((variant.repo, variant.format), []).append(variant)
    rows: list[tuple[object, ...]] = []
    for (repo, form), members in list(grouped.items())[:_SHOWN]:
        first = members[0]
        both = "both" if first.modelscope_repo else "huggingface"
        hub = both if first.source == "huggingface" else first.source
        sizes = [v.weight_bytes for v in members if v.weight_bytes]
        size = f"{format_bytes(min(sizes))}{' and up' if len(sizes) > 1 else ''}" if sizes else None
        labels = sorted({v.quantization for v in members if v.quantization})
        rows.append((repo, form, labels, size, hub, first.link_reason))
    if len(grouped) > _SHOWN:
        rows.append((f"… {len(grouped) - _SHOWN} more: --json", "", "", "", "", ""))
    return Table(("REPOSITORY", "FORMAT", "QUANTIZATION", "BYTES", "HUB", "LINKED BY"), rows)


def _specs(model: Model) -> Table:
    rows = [
        (s.repo, s.backend, s.quantization, s.mode,
         ",".join(f"{k}={_plain(v)}" for k, v in sorted(s.gpu_filters.items())) or None)
        for s in model.specs[:_SHOWN]
    ]  # fmt: skip
    return Table(("REPOSITORY", "BACKEND", "QUANTIZATION", "MODE", "GPUS"), rows)


def _offerings(model: Model) -> Table:
    from modelscan.catalog.offers import ranked_offers

    rows: list[tuple[object, ...]] = []
    for offer in ranked_offers(model)[:_SHOWN]:
        price = offer.pricing
        rows.append(
            (offer.id, price and price.input_usd_per_mtok, price and price.output_usd_per_mtok,
             _tokens(offer.limits.context_tokens), offer.status)
        )  # fmt: skip
    if len(model.offerings) > _SHOWN:
        rest = len(model.offerings) - _SHOWN
        rows.append((f"… {rest} more: modelscan catalog offers {model.id}", "", "", "", ""))
    columns = ("OFFERING", "USD/M IN", "USD/M OUT", "CONTEXT", "STATUS")
    return Table(columns, rows, numeric=columns[1:4])


def compare(texts: Sequence[str], gpu: str | None) -> Document:
    """Models side by side: one row per fact, one column per model."""
    from modelscan.catalog.search.lookup import find_model
    from modelscan.cli.catalog.fit import fit_of, room

    here = room(gpu)
    models = [find_model(text, current().config.paths) for text in texts]
    fits = [None if is_closed(m) else fit_of(m, here) for m in models]
    facts = [{str(row[0]): row[1] for row in _facts(m)} for m in models]
    labels = list(dict.fromkeys(label for row in facts for label in row))
    rows = [(label, *(row.get(label) for row in facts)) for label in labels if label != "id"]
    rows.append(("cheapest USD/M", *(_cheapest(m) for m in models)))
    rows.append(("fits here", *(fit.text if fit else None for fit in fits)))
    table = Table(("FACT", *(m.id for m in models)), rows)
    items = [{**model_json(m), "fit": to_json(fit)} for m, fit in zip(models, fits, strict=True)]
    return Document("catalog.compare", {"models": items}, [table], [m.id for m in models])


def _cheapest(model: Model) -> float | None:
    from modelscan.catalog.offers import blended_price

    prices = [p for o in model.offerings if (p := blended_price(o)) is not None]
    return min(prices, default=None)


def sources() -> Document:
    """Per source: state, models, time of its data, and what went wrong last."""
    from modelscan.catalog.index.read import open_index

    config = current().config
    index = open_index(config.paths)
    try:
        states = index.sources()
        total = index.count()
    finally:
        index.close()
    rows = [_source_json(state, config.catalog_max_age_s) for state in states]
    keys = ("name", "state", "models", "entries", "retrieved_at", "origin", "error")
    columns = ("SOURCE", "STATE", "MODELS", "ENTRIES", "RETRIEVED", "FROM", "ERROR")
    table = Table(columns, [[row[k] for k in keys] for row in rows], numeric=("MODELS", "ENTRIES"))
    warnings = [f"{r['name']}: {r['error']}" for r in rows if r["error"]]
    body = {"sources": rows, "models": total, "index": str(index.path)}
    return Document("catalog.sources", body, [table], [r["name"] for r in rows], warnings)


def _source_json(state: SourceState, max_age_s: float) -> dict[str, Any]:
    row: dict[str, Any] = state._asdict()
    if state.state == "live" and _age_s(state.retrieved_at) > max_age_s:
        row["state"] = "stale"
    return row


def _age_s(retrieved_at: str | None) -> float:
    """Seconds since then; infinite when unknown or unreadable."""
    import datetime

    try:
        then = datetime.datetime.fromisoformat((retrieved_at or "").replace("Z", "+00:00"))
    except ValueError:
        return float("inf")
    return (datetime.datetime.now(datetime.timezone.utc) - then).total_seconds()
