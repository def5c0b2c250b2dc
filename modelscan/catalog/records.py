"""What every catalog source produces, and how a fetched snapshot is kept on disk.

A parser turns a source's own format into ``SourceRecord``s once, at the rim; linking, merging and
the index know nothing of the formats. ``facts`` uses the field names of ``core.model.Model``,
dotted for nested ones (``limits.context_tokens``, ``capabilities.tools``); a fact a source does not
state is absent, never a guess.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.jsonform import to_json
from modelscan.core.model import (
    Capabilities,
    Limits,
    Model,
    Offering,
    Pricing,
    Provenance,
    Spec,
    Variant,
    WeightFile,
)

FORMAT = "modelscan.snapshot/1"

# The names of the sources, as provenance, ``--source`` and ``catalog sources`` show them.
USER, GPUSTACK, MODELSDEV = "user", "gpustack", "models.dev"
HUGGINGFACE, MODELSCOPE = "huggingface", "modelscope"

BUNDLED, LIVE, FAILED = "bundled", "live", "failed"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One entry of one source.

    ``kind``: ``model`` (a canonical model), ``offering`` (a provider's row), ``set`` (recipes for
    one model), ``repository`` (weights on a hub) or ``overlay`` (a user's own entry; ``canonical``
    names the model it changes or creates). ``repos`` are Hugging Face repositories the source
    itself states as this model's weights; ``base`` is the repository or model id it was derived
    from, when stated.
    """

    key: str  # the source's own id, unique within the source
    kind: str
    name: str | None = None
    canonical: str | None = None  # the canonical model id the source itself states
    repos: tuple[str, ...] = ()
    base: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    offerings: tuple[Offering, ...] = ()
    specs: tuple[Spec, ...] = ()
    variants: tuple[Variant, ...] = ()
    benchmarks: tuple[Mapping[str, Any], ...] = ()
    architecture: Mapping[str, Any] | None = None  # the config.json, verbatim facts


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """Everything one source said at one time. A failed source keeps its last good records."""

    source: str
    retrieved_at: str | None  # RFC 3339 UTC
    records: tuple[SourceRecord, ...] = ()
    state: str = BUNDLED  # bundled | live | stale | failed
    error: str | None = None
    origin: str | None = None  # package and version, or the URL asked (no credentials)
    licence: str | None = None
    etag: str | None = None
    last_modified: str | None = None


def sorted_snapshot(snapshot: SourceSnapshot) -> SourceSnapshot:
    """The records in their total order, so that equal facts give equal bytes."""
    return replace(snapshot, records=tuple(sorted(snapshot.records, key=lambda r: (r.key, r.kind))))


def dump(snapshot: SourceSnapshot) -> bytes:
    """A snapshot as compressed JSON; the same snapshot gives the same bytes."""
    body = {"format": FORMAT, **compact(sorted_snapshot(snapshot))}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)


def load(data: bytes, *, where: str = "snapshot") -> SourceSnapshot:
    """The inverse of ``dump``; raises ModelscanError for a file that is not one."""
    try:
        body = json.loads(gzip.decompress(data))
        if body.pop("format", None) != FORMAT:
            raise ValueError("another format")
        records = tuple(_record(item) for item in body.pop("records", ()))
        return SourceSnapshot(records=records, **{"retrieved_at": None, **body})
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise ModelscanError(
            f"{where} is not a catalog snapshot: {error}",
            hint="modelscan catalog sync",
            code="bad_snapshot",
        ) from error


def compact(value: Any) -> Any:
    """JSON without the empty values, which make up most of a record or model."""
    if hasattr(value, "__dataclass_fields__"):
        empty: tuple[Any, ...] = (None, (), {}, [], "")
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        compacted = {name: compact(item) for name, item in pairs if item not in empty}
        return {name: item for name, item in compacted.items() if item != {}}
    if isinstance(value, (list, tuple)):
        return [compact(item) for item in value]
    return to_json(value)


def _record(item: dict[str, Any]) -> SourceRecord:
    made = dict(item)
    made["offerings"] = tuple(offering_from(x) for x in item.get("offerings", ()))
    made["specs"] = tuple(spec_from(x) for x in item.get("specs", ()))
    made["variants"] = tuple(variant_from(x) for x in item.get("variants", ()))
    for name in ("repos", "aliases", "benchmarks"):
        made[name] = tuple(item.get(name, ()))
    made["facts"] = {k: _frozen(v) for k, v in item.get("facts", {}).items()}
    return SourceRecord(**made)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tuples(item: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {**item, **{name: tuple(item[name]) for name in names if name in item}}


def offering_from(item: Mapping[str, Any]) -> Offering:
    """An Offering from its (compact) JSON form."""
    made = dict(item)
    pricing = item.get("pricing")
    made["pricing"] = None if pricing is None else Pricing(**_tuples(pricing, ("tiers",)))
    made["limits"] = Limits(**item.get("limits", {}))
    made["capabilities"] = Capabilities(**item.get("capabilities", {}))
    return Offering(**made)


def spec_from(item: Mapping[str, Any]) -> Spec:
    """A Spec from its (compact) JSON form."""
    made = {"quantization": None, **_tuples(item, ("backend_parameters", "categories"))}
    return Spec(**made)


def variant_from(item: Mapping[str, Any]) -> Variant:
    """A Variant from its (compact) JSON form."""
    made = {"quantization": None, **item}
    made["files"] = tuple(
        WeightFile(**{"size_bytes": None, **file}) for file in item.get("files", ())
    )
    return Variant(**made)


def model_from(item: Mapping[str, Any]) -> Model:
    """A Model from its (compact) JSON form."""
    names = ("modalities_in", "modalities_out", "tags", "aliases", "repos", "benchmarks")
    made = _tuples(item, names)
    made["capabilities"] = Capabilities(**item.get("capabilities", {}))
    made["limits"] = Limits(**item.get("limits", {}))
    made["offerings"] = tuple(offering_from(x) for x in item.get("offerings", ()))
    made["specs"] = tuple(spec_from(x) for x in item.get("specs", ()))
    made["variants"] = tuple(variant_from(x) for x in item.get("variants", ()))
    made["provenance"] = {k: _provenance(v) for k, v in item.get("provenance", {}).items()}
    return Model(**made)


def _provenance(item: Mapping[str, Any]) -> Provenance:
    others = tuple((source, _frozen(value)) for source, value in item.get("others", ()))
    return Provenance(item["source"], item.get("retrieved_at"), others)
