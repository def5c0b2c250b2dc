"""Builds one ``Model`` per canonical model from all sources' records.

The result does not depend on the order of sources, and duplicates change nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from modelscan.catalog.curated import Curated, curated
from modelscan.catalog.link.groups import RecordGroup
from modelscan.catalog.link.join import link
from modelscan.catalog.merge import describe, from_config
from modelscan.catalog.merge.fields import choose, nested
from modelscan.catalog.merge.reconcile import add_inputs, reconcile
from modelscan.catalog.merge.variants import architecture_of, specs_of, variants_of
from modelscan.catalog.records import USER, SourceSnapshot
from modelscan.core.model import (
    Capabilities,
    Model,
    Offering,
    Provenance,
    TokenLimits,
    Variant,
)
from modelscan.formats.repo_names import key, short, tokens

_PLAIN = (
    "family", "description", "task", "open_weights", "license", "parameters", "active_parameters",
    "knowledge", "release_date", "last_updated", "status", "downloads",
)  # fmt: skip
_MODALITIES = ("modalities_in", "modalities_out")


def merge(snapshots: Iterable[SourceSnapshot], facts: Curated | None = None) -> tuple[Model, ...]:
    """All models, sorted by id. ``facts`` replaces the bundled curated file (tests)."""
    curated_facts = facts if facts is not None else curated()
    groups = link(snapshots, curated_facts)
    by_repo: dict[str, RecordGroup] = {}
    for group in groups:
        for repo in group.links:
            if group.primary:
                by_repo.setdefault(repo.lower(), group)
    return tuple(_model(group, curated_facts, by_repo) for group in groups)


def _model(group: RecordGroup, curated_facts: Curated, by_repo: Mapping[str, RecordGroup]) -> Model:
    chosen = choose(group, curated_facts)
    values = {field: value for field, (value, _) in chosen.items()}
    provenance = {field: origin for field, (_, origin) in chosen.items() if field in _FIELDS}
    weights = _with_weights_of(group, curated_facts, by_repo, values, provenance)
    _derive_task(group, values, provenance)
    _derive_family(group, curated_facts, values, provenance)
    architecture = architecture_of(weights)
    if architecture:
        add_inputs(from_config.inputs(architecture[0]), values, provenance)
    reconcile(values, provenance)
    _write_texts(group, values, provenance)
    facts: dict[str, Any] = {field: values.get(field) for field in _PLAIN}
    facts |= {field: tuple(values[field]) if values.get(field) else None for field in _MODALITIES}
    facts["tags"] = tuple(values.get("tags") or ())
    model = Model(
        id=group.id,
        name=values.get("name") or short(group.id),
        lab=group.lab or group.id.partition("/")[0],
        capabilities=Capabilities(**nested(values, "capabilities")),
        limits=TokenLimits(**nested(values, "limits")),
        aliases=aliases_of(group, curated_facts),
        offerings=offerings_of(group),
        specs=specs_of(weights),
        variants=variants_of(weights),
        repos=group.repos,
        benchmarks=_benchmarks(weights),
        architecture=architecture[0] if architecture else None,
        **facts,
    )
    origin = Provenance(architecture[1], architecture[2]) if architecture else None
    return replace(model, provenance=provenance | _origins(model, group, weights, origin))


def _with_weights_of(
    group: RecordGroup,
    curated_facts: Curated,
    by_repo: Mapping[str, RecordGroup],
    values: dict[str, Any],
    provenance: dict[str, Provenance],
) -> RecordGroup:
    """The group that owns these weights; for a second name of them, with the common facts."""
    shared = (by_repo[r.lower()] for r in sorted(group.links) if r.lower() in by_repo)
    weights = next(shared, group)
    if weights is group:
        return group
    _borrow(choose(weights, curated_facts), values, provenance)
    records = [m for m in group.members if m.record.kind != "offering"]
    return RecordGroup(
        group.id, group.lab, [*weights.members, *records], {**weights.links, **group.links}
    )


def _benchmarks(group: RecordGroup) -> tuple[Mapping[str, Any], ...]:
    """All measurements, each once."""
    stated = (benchmark for member in group.members for benchmark in member.record.benchmarks)
    return tuple({repr(sorted(b.items())): b for b in stated}.values())


def _origins(
    model: Model, group: RecordGroup, weights: RecordGroup, architecture: Provenance | None
) -> dict[str, Provenance]:
    """The provenance of lists and of the architecture."""
    origins = {"architecture": architecture} if architecture else {}
    for name in ("offerings", "specs", "variants"):
        sources = _sources_of(name, group if name == "offerings" else weights)
        if getattr(model, name) and sources:
            origins[name] = sources
    origins["lab"] = Provenance("name", None)
    if model.aliases:
        origins["aliases"] = Provenance("name", None)
    if group.links:
        origins["repos"] = Provenance(f"link: {group.links[group.repos[0]]}", None)
    benchmarked = next((m for m in weights.members if m.record.benchmarks), None)
    if benchmarked:
        origins["benchmarks"] = Provenance(benchmarked.source, benchmarked.retrieved_at)
    return origins


_OF_WEIGHTS = ("parameters", "active_parameters", "license", "task", "downloads")


def _borrow(
    chosen: Mapping[str, tuple[Any, Provenance]],
    values: dict[str, Any],
    provenance: dict[str, Provenance],
) -> None:
    """Copy the facts of the weights, which are the same for every name of them."""
    for field in _OF_WEIGHTS:
        own = provenance.get(field)
        if field in chosen and (own is None or own.source != USER):
            values[field], provenance[field] = chosen[field]


def _write_texts(
    group: RecordGroup, values: dict[str, Any], provenance: dict[str, Provenance]
) -> None:
    """Tags and a description made from the facts, where the user's files state none."""
    tags = describe.tags(short(group.id), values)
    if tags != tuple(values.get("tags") or ()):
        values["tags"] = tags
        provenance.setdefault("tags", Provenance(describe.SOURCE, None))
    if not values.get("description"):
        lab = group.lab or group.id.partition("/")[0]
        values["description"] = describe.description(lab, values)
        if values["description"]:
            provenance["description"] = Provenance(describe.SOURCE, None)


def _derive_task(
    group: RecordGroup, values: dict[str, Any], provenance: dict[str, Provenance]
) -> None:
    """Derive a missing task from a word of the name, else from the modalities."""
    if values.get("task"):
        return
    name = short(group.id)
    word = next((task for part, task in _TASK_WORDS if part in name), None)
    task = word or _task_of(set(values.get("modalities_in") or ()), values.get("modalities_out"))
    if task:
        values["task"] = task
        provenance["task"] = Provenance("name" if word else "modalities", None)


def _derive_family(
    group: RecordGroup,
    curated_facts: Curated,
    values: dict[str, Any],
    provenance: dict[str, Provenance],
) -> None:
    """Derive a missing family from the name's first word, if it belongs to this lab."""
    word = next(iter(tokens(short(group.id))), "")
    lab = curated_facts.families.get(word)
    if not values.get("family") and lab is not None and lab == group.lab:
        values["family"] = word
        provenance["family"] = Provenance("name", None)


_TASK_WORDS = (("rerank", "rerank"), ("embed", "embedding"), ("transcribe", "speech_to_text"))


def _task_of(inputs: set[str], out: Sequence[str] | None) -> str | None:
    if not out:
        return None
    for modality in ("video", "image"):
        if modality in out:
            return modality
    if "audio" in out and "text" not in out:
        return "text_to_speech"
    if inputs == {"audio"} and "text" in out:
        return "speech_to_text"
    return "chat" if "text" in out else None


_FIELDS = frozenset({
    "name", *_PLAIN, *_MODALITIES, "tags",
    *(f"limits.{f}" for f in ("context_tokens", "input_tokens", "output_tokens")),
    *(f"capabilities.{f}" for f in ("tools", "reasoning", "vision", "attachment",
                                    "structured_output", "temperature")),
})  # fmt: skip


def offerings_of(group: RecordGroup) -> tuple[Offering, ...]:
    """All providers' rows, each once, by provider and id."""
    offerings = {o.id: o for m in group.members for o in m.record.offerings}
    return tuple(offerings[identifier] for identifier in sorted(offerings))


def aliases_of(group: RecordGroup, curated_facts: Curated) -> tuple[str, ...]:
    """Other spellings of this model's name, and curated names; never another model's name."""
    own_key = key(short(group.id))
    names = set(curated_facts.names.get(group.id, ()))
    for member in group.members:
        names.update(member.record.aliases)
        if member.record.kind == "repository":
            continue
        for spelled in (member.record.canonical, short(member.record.key)):
            if spelled and key(short(spelled)) == own_key:
                names.add(short(spelled).lower())
    names -= {group.id, short(group.id)}
    return tuple(sorted(names))


def _sources_of(name: str, group: RecordGroup) -> Provenance | None:
    """The source that lists most of them; the others with their counts."""
    counts: dict[str, int] = {}
    times: dict[str, str | None] = {}
    for member in group.members:
        count = _count(name, member.record.offerings, member.record.specs, member.record.variants)
        if count:
            counts[member.source] = counts.get(member.source, 0) + count
            times[member.source] = member.retrieved_at
    if not counts:
        return Provenance("link", None) if name == "variants" else None
    first = min(counts, key=lambda s: (-counts[s], s))
    others = tuple((s, counts[s]) for s in sorted(counts) if s != first)
    return Provenance(first, times[first], others)


def _count(
    name: str, offerings: Sequence[Offering], specs: Sequence[Any], variants: Sequence[Variant]
) -> int:
    if name == "offerings":
        return len(offerings)
    return len(specs) if name == "specs" else len(variants) + len(specs)
