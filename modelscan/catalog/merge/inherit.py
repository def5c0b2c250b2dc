"""``base_model`` in a user's overlay: a model inherits another model's facts. Pure.

Inherited facts have a separate source, ``base_model LAB/NAME``, with the lowest precedence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from modelscan.catalog.records import USER, SourceRecord, SourceSnapshot
from modelscan.core.errors import UsageError

if TYPE_CHECKING:
    from modelscan.core.model import Model

PREFIX = "base_model "
_PLAIN = (
    "family", "description", "task", "open_weights", "license", "parameters", "active_parameters",
    "knowledge", "release_date", "last_updated", "modalities_in", "modalities_out", "tags",
)  # fmt: skip
_NESTED = ("limits", "capabilities")
# Field names of models.dev -> the names in records.
_MODELSDEV_NAMES = {
    "limit": "limits", "tool_call": "capabilities.tools", "modalities": "modalities_",
    "reasoning": "capabilities.reasoning", "attachment": "capabilities.attachment",
    "structured_output": "capabilities.structured_output",
    "temperature": "capabilities.temperature",
}  # fmt: skip


def inheriting(snapshots: Iterable[SourceSnapshot]) -> list[SourceRecord]:
    """The overlay's records with a base model."""
    overlays = [s for s in snapshots if s.source == USER]
    return [r for s in overlays for r in s.records if r.kind == "overlay" and r.base]


def inherited(records: Sequence[SourceRecord], models: Iterable[Model]) -> list[SourceSnapshot]:
    """One snapshot per base, with the facts that its heirs inherit.

    Raises UsageError for an unknown base model and for a cycle of base models.
    """
    by_id = {model.id: model for model in models}
    heirs = {record.key: record for record in records}
    records_by_base: dict[str, list[SourceRecord]] = {}
    for record in sorted(records, key=lambda r: r.key):
        base = str(record.base)
        facts = _facts_of(base, by_id, heirs, seen=(record.key,))
        inherited_facts = {
            name: v for name, v in facts.items() if not _omitted(name, _omits(record))
        }
        heir = SourceRecord(
            key=record.key, kind="overlay", canonical=record.key, facts=inherited_facts
        )
        records_by_base.setdefault(base, []).append(heir)
    return [
        SourceSnapshot(PREFIX + base, None, tuple(records_of_base), origin="user's overlay")
        for base, records_of_base in sorted(records_by_base.items())
    ]


def _facts_of(
    model_id: str,
    by_id: Mapping[str, Model],
    heirs: Mapping[str, SourceRecord],
    seen: tuple[str, ...],
) -> dict[str, Any]:
    """A model's own facts and, with lower precedence, those that it inherits."""
    if model_id in seen:
        circle = " → ".join([*seen, model_id])
        raise UsageError(f"the overlay's base_model entries form a cycle: {circle}")
    model = by_id.get(model_id)
    if model is None:
        raise UsageError(
            f"the overlay's '{seen[-1]}' has base_model '{model_id}', which is not in the catalog",
            hint=f"modelscan catalog search {model_id.rpartition('/')[2]}",
        )
    facts = stated_facts(model)
    heir = heirs.get(model_id)
    if heir is None:
        return facts
    base_facts = _facts_of(str(heir.base), by_id, heirs, (*seen, model_id))
    return {**{k: v for k, v in base_facts.items() if not _omitted(k, _omits(heir))}, **facts}


def stated_facts(model: Model) -> dict[str, Any]:
    """A merged model's facts by the field names of records; unknown ones are absent."""
    facts: dict[str, Any] = {name: getattr(model, name) for name in _PLAIN}
    for group in _NESTED:
        values = getattr(model, group)
        facts |= {f"{group}.{name}": getattr(values, name) for name in values.__slots__}
    return {name: value for name, value in facts.items() if value not in (None, ())}


def _omits(record: SourceRecord) -> tuple[str, ...]:
    return tuple(record.facts.get("base_model_omit") or ())


def _omitted(name: str, omits: tuple[str, ...]) -> bool:
    for word in omits:
        ours = _MODELSDEV_NAMES.get(word, word)
        if name == ours or name.startswith(ours + ".") or (ours[-1] == "_" and ours in name):
            return True
    return False
