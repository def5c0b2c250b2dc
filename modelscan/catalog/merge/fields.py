"""Chooses one value per field from all sources, with its origin and the other values.

Precedence: the user's own overlay, then per field the most reliable source: models.dev for facts,
GPUStack for deployment, the hubs last; counted parameters before nominal sizes; for limits and
abilities the model's config.json and the lab's own row before other hosts. Of other hosts' rows the
most frequent value counts, without rows that serve quantized weights. Values are chosen, never
averaged.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from modelscan.catalog.merge import from_config
from modelscan.catalog.merge.from_config import SOURCE as CONFIG
from modelscan.catalog.merge.variants import TABLES, architecture_of
from modelscan.catalog.records import GPUSTACK, HUGGINGFACE, MODELSCOPE, MODELSDEV, USER
from modelscan.core.model import Provenance
from modelscan.formats.repo_names import clean_display_name, key, short, split_repo_name

if TYPE_CHECKING:
    from modelscan.catalog.curated import Curated
    from modelscan.catalog.link.groups import Member, RecordGroup

NAME = "name of the repository"  # the source of a size that is only in the name
HOSTS = "models.dev (hosts)"  # the rows of providers that are not the model's lab
_COUNTED = (HUGGINGFACE, "llmfit", MODELSCOPE)
_FACTS = (
    USER, MODELSDEV, HOSTS, GPUSTACK, HUGGINGFACE, MODELSCOPE, "llmfit", "xinference", "curated",
)  # fmt: skip
_WEIGHTS = (
    USER, GPUSTACK, HUGGINGFACE, MODELSCOPE, "llmfit", "xinference", "curated", MODELSDEV, HOSTS,
)  # fmt: skip
_ABLE = (
    USER, MODELSDEV, CONFIG, GPUSTACK, "xinference", HUGGINGFACE, MODELSCOPE, "llmfit", HOSTS,
)  # fmt: skip
_SIZE = (USER, *_COUNTED, GPUSTACK, "xinference", MODELSDEV, HOSTS, NAME, "curated")
_BY_FIELD = {
    "open_weights": _WEIGHTS,
    "task": _WEIGHTS,
    "parameters": _SIZE,
    "active_parameters": (
        USER,
        GPUSTACK,
        "xinference",
        HUGGINGFACE,
        MODELSCOPE,
        NAME,
        CONFIG,
        MODELSDEV,
        "curated",
    ),
    # llmfit multiplies some contexts by the scaling of their positions (internlm3: 6 times)
    "limits.context_tokens": (
        USER,
        CONFIG,
        HUGGINGFACE,
        MODELSCOPE,
        MODELSDEV,
        GPUSTACK,
        "xinference",
        "llmfit",
        HOSTS,
    ),
    "capabilities.vision": _ABLE,
    "capabilities.tools": _ABLE,
    "capabilities.reasoning": _ABLE,
    "downloads": (USER, HUGGINGFACE, "llmfit", MODELSCOPE),
}
_SAME_MODEL = frozenset(
    {"canonical id", "exact", "name", "display name", "same name", "own id, not its canonical id"}
)
_BILLIONS = re.compile(r"(?:^|[-_])(\d+(?:\.\d+)?)b(?:$|[-_])", re.IGNORECASE)
_TRILLIONS = re.compile(r"(?:^|[-_])(\d(?:\.\d+)?)t(?:$|[-_])", re.IGNORECASE)  # 30T: tokens
_ACTIVE = re.compile(r"[-_]a(\d+(?:\.\d+)?)b(?:$|[-_])", re.IGNORECASE)
_ACTIVE_OF_EXPERTS = re.compile(r"[-_](\d+(?:\.\d+)?)b[-_]\d+e(?:$|[-_])", re.IGNORECASE)
_BRACKETED = re.compile(r"\(([^)]*)\)")
# Facts that depend on how a host serves a model.
_SERVED = ("limits.", "capabilities.", "modalities_")


@dataclass(frozen=True, slots=True)
class StatedValue:
    """One source's value of one field."""

    source: str
    retrieved_at: str | None
    value: Any


def choose(group: RecordGroup, curated: Curated) -> dict[str, tuple[Any, Provenance]]:
    """Field -> (value, provenance), for all fields that any source states."""
    values_by_field: dict[str, list[StatedValue]] = {}

    def add(source: str, retrieved_at: str | None, facts: Mapping[str, Any]) -> None:
        for field, value in facts.items():
            values = values_by_field.setdefault(field, [])
            values.append(StatedValue(source, retrieved_at, value))

    for source in sorted({m.source for m in group.members}):
        members = [m for m in group.members if m.source == source]
        for label, facts in _of_source(source, members, group, curated).items():
            add(label, members[0].retrieved_at, facts)
    add(NAME, None, _of_name(group))
    parameters = values_by_field.get("parameters")
    architecture = architecture_of(group)
    if architecture:
        counted = _pick("parameters", parameters)[0] if parameters else None
        config, source, retrieved_at = architecture
        label = source.partition(" (")[0]
        label = label if label in TABLES else CONFIG
        whole_config = label == CONFIG
        add(label, retrieved_at, from_config.stated(config, counted if whole_config else None))
    chosen = {field: _pick(field, values) for field, values in sorted(values_by_field.items())}
    if chosen.get("active_parameters", (0,))[0] > chosen.get("parameters", (1 << 62,))[0]:
        del chosen["active_parameters"]  # a draft or adapter named after the big model
    return chosen


def _pick(field: str, values: Sequence[StatedValue]) -> tuple[Any, Provenance]:
    order = _BY_FIELD.get(field, _FACTS)
    ranked = sorted(
        values, key=lambda s: (order.index(s.source) if s.source in order else len(order), s.source)
    )
    best = ranked[0]
    others = tuple(
        (s.source, s.value) for s in sorted(ranked[1:], key=lambda s: s.source)
        if not _same(field, best, s)
    )  # fmt: skip
    return best.value, Provenance(best.source, best.retrieved_at, others)


def _same(field: str, best: StatedValue, other: StatedValue) -> bool:
    """True for equal values; also for a nominal size within 10 % of a counted one."""
    if field in ("parameters", "active_parameters"):
        return bool(abs(best.value - other.value) <= 0.1 * max(best.value, other.value))
    if field == "name":
        return key(best.value) == key(other.value)
    if isinstance(best.value, str) and isinstance(other.value, str):
        return best.value.casefold() == other.value.casefold()
    return bool(best.value == other.value)


def _of_source(
    source: str, members: Sequence[Member], group: RecordGroup, curated: Curated
) -> dict[str, dict[str, Any]]:
    """Label of the source -> its facts."""
    if source == MODELSDEV:
        return _of_rows(members, group, curated)
    merged: dict[str, Any] = {}
    for member in sorted(members, key=lambda m: _closeness(m, group)):
        merged = {**member.record.facts, **merged}
        if member.record.kind in ("set", "overlay") and member.record.name:
            merged.setdefault("name", member.record.name)
        elif member.record.name and _is_base(member, group):
            merged.setdefault("name", split_repo_name(member.record.name).base)
    return {source: merged}


def _closeness(member: Member, group: RecordGroup) -> tuple[bool, bool, str]:
    """Sort key: a source's records of the released weights before those of conversions."""
    conversion = not _is_base(member, group)
    return (conversion, key(member.record.name or "") != key(short(group.id)), member.record.key)


def _is_base(member: Member, group: RecordGroup) -> bool:
    bases = {repo.lower() for repo in group.links}
    return any(repo.lower() in bases for repo in member.record.repos)


def _of_rows(
    members: Sequence[Member], group: RecordGroup, curated: Curated
) -> dict[str, dict[str, Any]]:
    """models.dev's values: its canonical entry before the lab's own rows; apart from them, the
    most frequent value of the hosts.
    """
    canonical = [m for m in members if m.record.kind == "model"]
    rows = [m for m in members if m.record.kind != "model"]
    close = [m for m in rows if m.reason in _SAME_MODEL] or rows
    own_rows = [
        m for m in close if group.lab and curated.lab(m.record.key.split("/")[0]) == group.lab
    ]
    hosts = [m for m in close if m not in own_rows]
    own = {**_most_frequent(own_rows), **_most_frequent(canonical)}
    hosted = {**_unserved(_most_frequent(hosts)), **_served(hosts)}
    if not canonical and any("status" not in m.record.facts for m in close):
        own.pop("status", None)  # a provider's deprecation does not apply to the model
        hosted.pop("status", None)
    return {MODELSDEV: own, HOSTS: {k: v for k, v in hosted.items() if k not in own}}


def _served(hosts: Sequence[Member]) -> dict[str, Any]:
    """Limits and abilities of the hosts that serve the weights as released."""
    whole_weights = [m for m in hosts if not _serves_quantized(m)]
    facts = _most_frequent(whole_weights)
    return {field: value for field, value in facts.items() if field.startswith(_SERVED)}


def _unserved(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in facts.items() if not field.startswith(_SERVED)}


def _serves_quantized(member: Member) -> bool:
    """True if a row's id or display name contains a quantization: its limits are the host's."""
    names = (
        short(member.record.key).partition(":")[0],
        *_BRACKETED.findall(member.record.name or ""),
    )
    return any(split_repo_name("row-" + name.replace(" ", "-")).derived for name in names)


def _most_frequent(members: Sequence[Member]) -> dict[str, Any]:
    """Field -> the most frequent value in these records."""
    values: dict[str, list[Any]] = {}
    for member in members:
        for field, value in member.record.facts.items():
            values.setdefault(field, []).append(value)
    chosen = ((field, _frequent(field, stated)) for field, stated in values.items())
    return {field: value for field, value in chosen if value is not None}


def _frequent(field: str, values: Iterable[Any]) -> Any:
    """The most frequent known value; for equal counts the largest limit, or the first in order."""
    values_known = [
        clean_display_name(v) if field == "name" else v for v in values if v is not None
    ]
    counts: Counter[Any] = Counter(v for v in values_known if v != "")
    if field.startswith("limits."):
        return min(counts, key=lambda v: (-counts[v], -v), default=None)
    return min(counts, key=lambda v: (-counts[v], len(str(v)), str(v)), default=None)


def _of_name(group: RecordGroup) -> dict[str, Any]:
    """Nominal sizes in the released repository's name (``-235B-A22B``)."""
    stated: dict[str, Any] = {}
    for repo in sorted(group.links):
        total = [float(text) * 1e9 for text in _BILLIONS.findall(short(repo))]
        total = total or [float(text) * 1e12 for text in _TRILLIONS.findall(short(repo))]
        active = _ACTIVE.search(short(repo)) or _ACTIVE_OF_EXPERTS.search(short(repo))
        if len(total) == 1 and not re.search(r"\d+e(?:$|[-_])|\dx\d", short(repo), re.IGNORECASE):
            stated.setdefault("parameters", round(total[0]))
        if active:
            stated.setdefault("active_parameters", round(float(active[1]) * 1e9))
    return stated


def nested(fields: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """``{"limits.context_tokens": 1}`` with prefix ``limits`` -> ``{"context_tokens": 1}``."""
    start = prefix + "."
    return {name[len(start) :]: v for name, v in fields.items() if name.startswith(start)}
