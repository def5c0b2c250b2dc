"""The records that all catalog sources produce, and the file format of snapshots.

A parser converts a source's own format into ``SourceRecord``s; linking, merging and the index do
not depend on the formats. ``facts`` has the field names of ``core.model.Model``, with dots for
nested ones (``limits.context_tokens``, ``capabilities.tools``); a fact that a source does not state
is absent.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.core.json_reader import json_value
from modelscan.core.jsonform import to_json
from modelscan.core.model import (
    Capabilities,
    Model,
    Offering,
    Pricing,
    Provenance,
    Spec,
    TokenLimits,
    Variant,
    WeightFile,
)

FORMAT = "modelscan.snapshot/1"

# The names of the sources, in provenance, ``--source`` and ``catalog sources``.
USER, GPUSTACK, MODELSDEV = "user", "gpustack", "models.dev"
HUGGINGFACE, MODELSCOPE = "huggingface", "modelscope"

BUNDLED, LIVE, FAILED = "bundled", "live", "failed"


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """One entry of one source.

    ``kind``: ``model`` (a canonical model), ``offering`` (a provider's row), ``set`` (recipes for
    one model), ``repository`` (weights on a hub), ``scores`` (benchmark results; ``key`` names the
    model) or ``overlay`` (a user's own entry; ``canonical`` is the model it changes or creates).
    ``repos`` are Hugging Face repositories that the source itself states as this model's weights;
    ``base`` is the repository or model id it was derived from, if stated, and ``relation`` how
    (quantized, finetune, merge, adapter).
    """

    key: str  # the source's own id, unique within the source
    kind: str
    name: str | None = None
    canonical: str | None = None  # the canonical model id the source itself states
    repos: tuple[str, ...] = ()
    base: str | None = None
    relation: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    offerings: tuple[Offering, ...] = ()
    specs: tuple[Spec, ...] = ()
    variants: tuple[Variant, ...] = ()
    benchmarks: tuple[Mapping[str, Any], ...] = ()
    architecture: Mapping[str, Any] | None = None  # facts of the config.json, unchanged


@dataclass(frozen=True, slots=True)
class SourceSnapshot:
    """All records of one source at one time. A failed source keeps its last good records."""

    source: str
    retrieved_at: str | None  # RFC 3339 UTC
    records: tuple[SourceRecord, ...] = ()
    state: str = BUNDLED  # bundled | live | stale | failed
    error: str | None = None
    origin: str | None = None  # package and version, or the URL (without credentials)
    licence: str | None = None
    etag: str | None = None
    last_modified: str | None = None


def sorted_snapshot(snapshot: SourceSnapshot) -> SourceSnapshot:
    """The snapshot with its records sorted, so that equal facts give equal bytes."""
    return replace(snapshot, records=tuple(sorted(snapshot.records, key=lambda r: (r.key, r.kind))))


def dump(snapshot: SourceSnapshot) -> bytes:
    """A snapshot as compressed JSON; the same snapshot gives the same bytes."""
    body = {"format": FORMAT, **compact(sorted_snapshot(snapshot))}
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return gzip.compress(text.encode("utf-8"), compresslevel=9, mtime=0)


_DAMAGED = (OSError, EOFError, zlib.error, ValueError, TypeError, KeyError, AttributeError)


def load(data: bytes, *, where: str = "snapshot") -> SourceSnapshot:
    """The inverse of ``dump``. Raises ModelscanError if the file is not a snapshot."""
    try:
        body = json_value(gzip.decompress(data))
        if body.pop("format", None) != FORMAT:
            raise ValueError("another format")
        records = tuple(_record(item) for item in body.pop("records", ()))
        return SourceSnapshot(records=records, **{"retrieved_at": None, **body})
    except _DAMAGED as error:
        raise ModelscanError(
            f"{where} is not a catalog snapshot: {error}",
            hint="modelscan catalog sync",
            code="bad_snapshot",
        ) from error


def compact(value: Any) -> Any:
    """JSON without empty values, which are the majority in a record or model."""
    if hasattr(value, "__dataclass_fields__"):
        empty: tuple[Any, ...] = (None, (), {}, [], "")
        pairs = ((f.name, getattr(value, f.name)) for f in fields(value))
        compacted = {name: compact(item) for name, item in pairs if item not in empty}
        return {name: item for name, item in compacted.items() if item != {}}
    if isinstance(value, (list, tuple)):
        return [compact(item) for item in value]
    return to_json(value)


def _record(item: dict[str, Any]) -> SourceRecord:
    values = dict(item)
    values["offerings"] = tuple(offering_from(x) for x in item.get("offerings", ()))
    values["specs"] = tuple(spec_from(x) for x in item.get("specs", ()))
    values["variants"] = tuple(variant_from(x) for x in item.get("variants", ()))
    for name in ("repos", "aliases", "benchmarks"):
        values[name] = tuple(item.get(name, ()))
    values["facts"] = {k: _frozen(v) for k, v in item.get("facts", {}).items()}
    return SourceRecord(**values)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tuples(item: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {**item, **{name: tuple(item[name]) for name in names if name in item}}


def offering_from(item: Mapping[str, Any]) -> Offering:
    """An Offering from its compact JSON form."""
    values = dict(item)
    pricing = item.get("pricing")
    values["pricing"] = None if pricing is None else Pricing(**_tuples(pricing, ("tiers",)))
    values["limits"] = TokenLimits(**item.get("limits", {}))
    values["capabilities"] = Capabilities(**item.get("capabilities", {}))
    return Offering(**values)


def spec_from(item: Mapping[str, Any]) -> Spec:
    """A Spec from its compact JSON form."""
    values = {"quantization": None, **_tuples(item, ("backend_parameters", "categories"))}
    return Spec(**values)


def variant_from(item: Mapping[str, Any]) -> Variant:
    """A Variant from its compact JSON form."""
    values = {"quantization": None, **item}
    values["files"] = tuple(
        WeightFile(**{"size_bytes": None, **file}) for file in item.get("files", ())
    )
    return Variant(**values)


def model_from(item: Mapping[str, Any]) -> Model:
    """A Model from its compact JSON form."""
    names = ("modalities_in", "modalities_out", "tags", "aliases", "repos", "benchmarks")
    values = _tuples(item, names)
    values["capabilities"] = Capabilities(**item.get("capabilities", {}))
    values["limits"] = TokenLimits(**item.get("limits", {}))
    values["offerings"] = tuple(offering_from(x) for x in item.get("offerings", ()))
    values["specs"] = tuple(spec_from(x) for x in item.get("specs", ()))
    values["variants"] = tuple(variant_from(x) for x in item.get("variants", ()))
    values["provenance"] = {k: _provenance(v) for k, v in item.get("provenance", {}).items()}
    return Model(**values)


def _provenance(item: Mapping[str, Any]) -> Provenance:
    others = tuple((source, _frozen(value)) for source, value in item.get("others", ()))
    return Provenance(item["source"], item.get("retrieved_at"), others)
