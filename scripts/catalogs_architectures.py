"""Which bundled architectures are believed: those whose sizes give the parameters that are stated.

The sizes of a config give a number of parameters; a hub counts them in the files. An architecture
that is more than 3 % away is left out, with a line that says so. The same count tells what tables
leave open: whether the head is the embedding again (``tie_word_embeddings``) and how many
parameters a vision tower has.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from modelscan.catalog.merge.models import merge
from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.architecture import Architecture
from modelscan.core.errors import UsageError
from modelscan.formats.repo_names import short, split_repo_name
from modelscan.memory.architecture.from_config import from_config
from modelscan.memory.tensor_table import tensor_table
from modelscan.models.catalog_shape import COUNTED
from scripts.catalogs_llmfit_shapes import GATED_DELTA

CHECKED = (
    "litgpt",
    "llmfit",
    "xinference",
)  # tables; the other sources carry a model's own config.json
_TRANSCRIBED = ("xinference",)  # from each config.json, whose hash it names: a count may refute it
_ADD_NO_MODELS = ("litgpt", "maxtext", "qvac")  # facts about repositories that others list
TOLERANCE = 0.03  # of a counted number of parameters
_EXACT = 0.001  # small enough to tell a head from none
_TIED_SHARE = 0.25  # of the language models of some sizes, from which on the head counts as tied
_NOMINAL_TOLERANCE = 0.1  # of a size in a name
_MOST_VISION = 0.35  # of all parameters
_CONTEXT = "max_position_embeddings"
_SEES = ("gemma3_text",)  # classes that an entry of a model with a vision tower may have


@dataclass(frozen=True, slots=True)
class Stated:
    """Parameters of a repository, and whether somebody counted them."""

    parameters: int
    counted: bool


Shape = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Sizes whose number of parameters some repository bears out.

    ``tied``: many of them are stored without a head; the others store the tied one twice.
    """

    proven: frozenset[Shape]
    tied: frozenset[Shape]


def verified(snapshots: Sequence[SourceSnapshot]) -> tuple[list[SourceSnapshot], list[str]]:
    """The snapshots with the architectures that hold, and a line for each that does not."""
    listed = _listed(snapshots)
    kept = [_only_listed(s, listed) for s in snapshots]
    stated = _stated(kept)
    evidence = _evidence(kept, stated)
    contexts = _contexts(kept)
    lines: list[str] = []
    made = []
    for snapshot in kept:
        if snapshot.source in CHECKED:
            records = []
            for record in snapshot.records:
                key = record.key.lower()
                completed = _with_context(record, contexts.get(key))
                known = stated.get(key)
                believed, why = _believed(completed, known, evidence)
                if why and snapshot.source in _TRANSCRIBED and not (known and known.counted):
                    believed, why = completed, None
                records.append(believed)
                lines += [f"{snapshot.source}: {record.key} left out: {why}"] if why else []
            snapshot = replace(snapshot, records=_with_something(records))
        made.append(snapshot)
    return made, lines


def _with_something(records: Iterable[SourceRecord]) -> tuple[SourceRecord, ...]:
    return tuple(r for r in records if r.architecture or r.facts or r.variants)


def _listed(snapshots: Iterable[SourceSnapshot]) -> set[str]:
    """Repositories that any other source lists."""
    return {
        repo.lower()
        for snapshot in snapshots
        if snapshot.source not in _ADD_NO_MODELS
        for record in snapshot.records
        for repo in (*record.repos, *(v.repo for v in record.variants))
    }


def _only_listed(snapshot: SourceSnapshot, listed: set[str]) -> SourceSnapshot:
    if snapshot.source not in _ADD_NO_MODELS:
        return snapshot
    kept = (_of_listed(record, listed) for record in snapshot.records)
    return replace(snapshot, records=tuple(record for record in kept if record))


def _of_listed(record: SourceRecord, listed: set[str]) -> SourceRecord | None:
    """The record of a listed repository, or of a conversion of one, which is then its base."""
    if record.key.lower() in listed:
        return record
    stem = split_repo_name(short(record.key)).base.lower()
    if stem == short(record.key).lower():
        return None
    converted = stem.replace("_", "/", 1)  # bartowski/google_gemma-4-E4B-it-GGUF
    named = [repo for repo in listed if repo == converted or short(repo) == stem]
    return replace(record, base=named[0]) if len(named) == 1 else None


def _stated(snapshots: Sequence[SourceSnapshot]) -> dict[str, Stated]:
    """By repository: what a hub counted in it, else what its model has."""
    found: dict[str, Stated] = {}
    for model in merge(snapshots):
        origin = model.provenance.get("parameters")
        if model.parameters and origin:
            known = Stated(model.parameters, origin.source in COUNTED)
            for repo in {*model.repos, *(v.repo for v in model.variants)}:
                found.setdefault(repo.lower(), known)
    for snapshot in snapshots:
        for record in snapshot.records if snapshot.source == "llmfit" else ():
            if record.facts.get("parameters"):
                found[record.key.lower()] = Stated(record.facts["parameters"], True)
    return found


def _contexts(snapshots: Iterable[SourceSnapshot]) -> dict[str, int]:
    """Repository -> the context its config.json states, as llmfit read it."""
    return {
        record.key.lower(): record.architecture[_CONTEXT]
        for snapshot in snapshots
        if snapshot.source == "llmfit"
        for record in snapshot.records
        if record.architecture and _CONTEXT in record.architecture
    }


def _with_context(record: SourceRecord, tokens: int | None) -> SourceRecord:
    if tokens is None or not record.architecture:
        return record
    return replace(record, architecture={**record.architecture, _CONTEXT: tokens})


def parameters_of(architecture: Architecture, tied: bool) -> int:
    """All of a language model's parameters, as its files hold them."""
    table = tensor_table(replace(architecture, tied_embeddings=tied))
    return sum(math.prod(shape) for _, shape in table)


def shape_of(architecture: Architecture) -> Shape:
    """What a count depends on, whatever the model is called."""
    return (architecture.layers, architecture.hidden, architecture.vocabulary, architecture.experts)


def _evidence(snapshots: Iterable[SourceSnapshot], stated: Mapping[str, Stated]) -> Evidence:
    proven: Counter[Shape] = Counter()
    headless: Counter[Shape] = Counter()
    for record in _claims(snapshots):
        known = stated.get(record.key.lower())
        architecture = _read(record.architecture or {})
        if record.facts.get("task", "chat") != "chat":
            continue  # embedding models are stored without a head, tied or not
        if known and known.counted and architecture:
            off = {tie: _off(architecture, tie, known) for tie in (True, False)}
            if min(off.values()) < _EXACT:
                proven[shape_of(architecture)] += 1
                headless[shape_of(architecture)] += off[True] < off[False]
    tied = {shape for shape, count in proven.items() if headless[shape] >= _TIED_SHARE * count}
    return Evidence(frozenset(proven), frozenset(tied))


def _off(architecture: Architecture, tied: bool, stated: Stated) -> float:
    return abs(parameters_of(architecture, tied) / stated.parameters - 1)


def _claims(snapshots: Iterable[SourceSnapshot]) -> Iterator[SourceRecord]:
    for snapshot in snapshots:
        if snapshot.source in CHECKED:
            yield from (r for r in snapshot.records if r.architecture)


def _read(config: Mapping[str, Any]) -> Architecture | None:
    try:
        return from_config(config)
    except UsageError:
        return None


def _believed(
    record: SourceRecord, stated: Stated | None, evidence: Evidence
) -> tuple[SourceRecord, str | None]:
    """The record with what its count tells, or without its architecture and why."""
    if not record.architecture:
        return record, None
    config = dict(record.architecture)
    sees = "vision_config" in config or config["model_type"] in _SEES
    if not config.get("vision_config", True):
        del config["vision_config"]
    architecture = _read(config)
    if architecture is None:
        return replace(record, architecture=None), "its sizes cannot be read"
    settled = _settled(architecture, stated, sees, evidence)
    if settled is None:
        return replace(record, architecture=None), _why(architecture, stated)
    return replace(record, architecture={**config, **settled}), None


def _settled(
    architecture: Architecture, stated: Stated | None, sees: bool, evidence: Evidence
) -> dict[str, Any] | None:
    """``tie_word_embeddings``, and ``vision_config`` with the parameters that are left."""
    if architecture.name in GATED_DELTA.values():
        return gated_delta_settled(architecture, stated)
    shape = shape_of(architecture)
    default = architecture.tied_embeddings or shape in evidence.tied
    if stated is None or not stated.counted:
        near = stated is None or _off(architecture, default, stated) < _NOMINAL_TOLERANCE
        proven = shape in evidence.proven
        return {"tie_word_embeddings": default} if near and proven and not sees else None
    off = {tie: _off(architecture, tie, stated) for tie in (True, False)}
    closest = min(off, key=lambda tie: off[tie])
    if off[closest] < (_EXACT if sees else TOLERANCE):
        return {"tie_word_embeddings": closest or default}
    rest = stated.parameters - parameters_of(architecture, default)
    if sees and 0 < rest < _MOST_VISION * stated.parameters:
        return {"tie_word_embeddings": default, "vision_config": {"parameters": rest}}
    return None


# Parameters of the vision towers of Qwen3.5 and later, with their projector, by model size.
_VISION = (
    0, 100_592_896, 331_416_576, 333_514_240, 446_571_248, 451_290_864, 456_010_480, 460_730_096,
)  # fmt: skip


def gated_delta_settled(architecture: Architecture, stated: Stated | None) -> dict[str, Any] | None:
    """Head, prediction block and vision tower of a Qwen3.5-like model, whose sum was counted.

    There are 32 combinations, so only a sum that is right to a thousandth counts.
    """
    if stated is None or not stated.counted:
        return None
    best = min(
        (abs(_with_block(architecture, tied, block) + vision - stated.parameters), tied, block, at)
        for tied in (True, False)
        for block in (0, 1)
        for at, vision in enumerate(_VISION)
    )
    if best[0] > _EXACT * stated.parameters:
        return None
    settled: dict[str, Any] = {"tie_word_embeddings": best[1]}
    settled |= {"mtp_num_hidden_layers": 1} if best[2] else {}
    return settled | ({"vision_config": {"parameters": _VISION[best[3]]}} if best[3] else {})


def _with_block(architecture: Architecture, tied: bool, blocks: int) -> int:
    whole = replace(architecture, tied_embeddings=tied, mtp_layers=blocks)
    return sum(math.prod(shape) for _, shape in tensor_table(whole, mtp=True))


def _why(architecture: Architecture, stated: Stated | None) -> str:
    counts = {parameters_of(architecture, tie) for tie in (True, False)}
    if stated is None:
        return f"{min(counts):,} parameters by its sizes, nobody states them"
    nearest = min(counts, key=lambda count: abs(count - stated.parameters))
    kind = "counted" if stated.counted else "by name"
    return f"{nearest:,} parameters by its sizes, {stated.parameters:,} {kind}"
