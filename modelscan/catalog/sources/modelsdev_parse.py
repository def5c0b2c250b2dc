"""Parses models.dev's ``api.json`` (by provider) and ``models.json`` (canonical models) into
records.

A limit of 0 means unknown, an absent cost is unknown while 0 is free, an absent capability is
unknown, and unknown keys are normal. In ``api.json``, ``base_model`` is already inherited. Its
descriptions are not facts and are dropped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.catalog.records import SourceRecord
from modelscan.core.errors import RemoteError
from modelscan.core.model import Capabilities, Offering, Pricing, TokenLimits

_CAPABILITIES = {
    "tools": "tool_call", "reasoning": "reasoning", "attachment": "attachment",
    "structured_output": "structured_output", "temperature": "temperature",
}  # fmt: skip
_COSTS = {
    "input_usd_per_mtok": "input", "output_usd_per_mtok": "output",
    "reasoning_usd_per_mtok": "reasoning", "cache_read_usd_per_mtok": "cache_read",
    "cache_write_usd_per_mtok": "cache_write",
}  # fmt: skip
_DATE = re.compile(r"^\d{4}(-\d{2}(-\d{2})?)?$")
_HUB = re.compile(r"^https?://(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+?)/?(?:[?#].*)?$")
_NO_LIMIT = 50_000_000  # tokens; no model has a fifth of it


def parse_api(payload: bytes | str) -> tuple[SourceRecord, ...]:
    """One ``offering`` record per provider row. Raises RemoteError if it is not api.json.

    ``catalog.json`` (``{models, providers}``) is accepted too: both parts are parsed.
    """
    data = _object(payload, "api.json")
    if set(data) >= {"models", "providers"} and "models" not in data["providers"]:
        return (*_models(data["models"]), *_providers(data["providers"]))
    return tuple(_providers(data))


def parse_models(payload: bytes | str) -> tuple[SourceRecord, ...]:
    """One ``model`` record per canonical model, with license, weights and benchmarks."""
    return tuple(_models(_object(payload, "models.json")))


def _object(payload: bytes | str, what: str) -> dict[str, Any]:
    try:
        data = json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise RemoteError(f"models.dev sent a {what} that is not JSON: {error}") from error
    if not isinstance(data, dict) or not data:
        raise RemoteError(f"models.dev sent a {what} without entries")
    return data


def _providers(providers: Mapping[str, Any]) -> Iterator[SourceRecord]:
    count = 0
    for provider_id, provider in sorted(providers.items()):
        models = provider.get("models") if isinstance(provider, dict) else None
        if not isinstance(models, dict):
            continue
        for model_id, row in sorted(models.items()):
            if isinstance(row, dict):
                count += 1
                yield _offering(provider_id, provider, model_id, row)
    if not count:
        raise RemoteError("models.dev sent an api.json without any provider row")


def _offering(
    provider_id: str, provider: Mapping[str, Any], model_id: str, row: Mapping[str, Any]
) -> SourceRecord:
    key = f"{provider_id}/{model_id}"
    offering = Offering(
        provider=provider_id,
        id=key,
        name=_text(row.get("name")),
        pricing=pricing(row.get("cost")),
        limits=limits(row.get("limit")),
        status=_text(row.get("status")),
        api=_text(provider.get("api")),
        capabilities=capabilities(row),
    )
    return SourceRecord(
        key=key,
        kind="offering",
        name=_text(row.get("name")),
        canonical=_text(row.get("canonical_model_id")),
        facts=facts(row),
        offerings=(offering,),
    )


def _models(models: Mapping[str, Any]) -> Iterator[SourceRecord]:
    for model_id, row in sorted(models.items()):
        if not isinstance(row, dict):
            continue
        weights = [w for w in row.get("weights") or () if isinstance(w, dict)]
        repos = (_HUB.match(str(w.get("url", ""))) for w in weights)
        benchmarks = [b for b in row.get("benchmarks") or () if isinstance(b, dict)]
        yield SourceRecord(
            key=model_id,
            kind="model",
            name=_text(row.get("name")),
            canonical=model_id,
            repos=tuple(dict.fromkeys(m[1] for m in repos if m)),
            facts=facts(row),
            benchmarks=tuple(benchmarks),
        )


def facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in a row, by ``Model`` field; facts that it does not state are absent."""
    stated: dict[str, Any] = {
        "name": _text(row.get("name")),
        "family": _text(row.get("family")),
        "open_weights": _flag(row.get("open_weights")),
        "license": _text(row.get("license")),
        "status": _text(row.get("status")),
    }
    for field in ("knowledge", "release_date", "last_updated"):
        value = row.get(field)
        stated[field] = value if isinstance(value, str) and _DATE.match(value) else None
    modalities = row.get("modalities")
    if isinstance(modalities, dict):
        stated["modalities_in"] = _words(modalities.get("input"))
        stated["modalities_out"] = _words(modalities.get("output"))
    row_limits, can = limits(row.get("limit")), capabilities(row)
    for field in ("context_tokens", "input_tokens", "output_tokens"):
        stated[f"limits.{field}"] = getattr(row_limits, field)
    for field in ("tools", "reasoning", "vision", "attachment", "structured_output", "temperature"):
        stated[f"capabilities.{field}"] = getattr(can, field)
    return {name: value for name, value in stated.items() if value is not None and value != ()}


def capabilities(row: Mapping[str, Any]) -> Capabilities:
    """The capabilities; an absent key is None. Vision follows from the stated input modalities."""
    modalities = row.get("modalities")
    inputs = _words(modalities.get("input")) if isinstance(modalities, dict) else ()
    flags = {ours: _flag(row.get(theirs)) for ours, theirs in _CAPABILITIES.items()}
    return Capabilities(vision="image" in inputs if inputs else None, **flags)


def limits(value: Any) -> TokenLimits:
    """Limits in tokens; 0, negative numbers and "no limit" values (99999999) are unknown."""
    entry = value if isinstance(value, dict) else {}
    return TokenLimits(
        context_tokens=_tokens(entry.get("context")),
        input_tokens=_tokens(entry.get("input")),
        output_tokens=_tokens(entry.get("output")),
    )


def pricing(value: Any) -> Pricing | None:
    """US dollars per million tokens; None if the row has no cost."""
    if not isinstance(value, dict):
        return None
    costs = {ours: _price(value.get(theirs)) for ours, theirs in _COSTS.items()}
    tiers = value.get("tiers")
    valid_tiers = tuple(t for t in tiers if isinstance(t, dict)) if isinstance(tiers, list) else ()
    if all(cost is None for cost in costs.values()) and not valid_tiers:
        return None
    return Pricing(**costs, tiers=valid_tiers)


def _text(value: Any) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def _flag(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _words(value: Any) -> tuple[str, ...]:
    items = value if isinstance(value, (list, tuple)) else ()
    return tuple(dict.fromkeys(w for w in items if isinstance(w, str)))


def _tokens(value: Any) -> int | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if number and 0 < value < _NO_LIMIT else None


def _price(value: Any) -> float | None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and 0 <= value < 1e6 else None
