"""The weights of one model: every repository x format x quantization that any source names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from modelscan.catalog.link.groups import Group, Member
from modelscan.catalog.records import GPUSTACK, HUGGINGFACE, MODELSCOPE, USER
from modelscan.core.architecture import PARTIAL
from modelscan.core.model import Spec, Variant
from modelscan.formats.repo_names import short, split_repo_name

_Identity = tuple[str, str, str, str]  # hub, repository, quantization, files
_ORDER = (USER, HUGGINGFACE, MODELSCOPE, GPUSTACK, "llmfit", "xinference")
# Sizes out of other programs' tables; any config.json of the model goes before them.
_TABLES = ("litgpt", "llmfit", "xinference")
_DTYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_METHODS = {"fp8": "FP8", "mxfp4": "MXFP4", "awq": "AWQ", "bitsandbytes": "BNB-4bit"}


def variants_of(group: Group) -> tuple[Variant, ...]:
    """Merged and in a total order: the released weights first, then by format and name."""
    found: dict[_Identity, list[tuple[int, Variant]]] = defaultdict(list)
    labels = _labels(group)
    for member in group.members:
        rank = _ORDER.index(member.source) if member.source in _ORDER else len(_ORDER)
        for variant in (*member.record.variants, *_of_recipes(member)):
            label = variant.quantization or labels.get(variant.repo.lower())
            reason = variant.link_reason or member.reason
            named = replace(variant, quantization=label, link_reason=reason)
            found[_identity(named)].append((rank, named))
    _drop_unnamed(found)
    merged = [_merged([v for _, v in sorted(vs, key=_rank)]) for vs in found.values()]
    merged += _only_named(group, labels, {v.repo.lower() for v in merged})
    bases = {repo.lower() for repo in group.links}
    return tuple(sorted(_paired(merged), key=lambda v: _position(v, bases)))


def _only_named(group: Group, labels: Mapping[str, str], have: set[str]) -> Iterable[Variant]:
    """Repositories that a source or a link names and of which nothing else is known."""
    named = {r.lower(): (r, m.reason) for m in group.members for r in m.record.repos}
    named |= {repo.lower(): (repo, rule) for repo, rule in group.links.items()}
    for lower, (repo, reason) in sorted(named.items()):
        if lower not in have:
            name = split_repo_name(short(repo))
            label = labels.get(lower) or name.quantization
            yield Variant(repo, name.format or "unknown", label, link_reason=reason)


def _identity(variant: Variant) -> _Identity:
    files = ",".join(f.path for f in variant.files) if variant.format == "gguf" else ""
    quantization = (variant.quantization or "").upper()
    return (variant.source, variant.repo.lower(), quantization, files)


def _drop_unnamed(found: dict[_Identity, list[tuple[int, Variant]]]) -> None:
    """A repository known with its quantizations needs no entry without one: join them."""
    named: dict[tuple[str, str], list[_Identity]] = defaultdict(list)
    for identity in found:
        if identity[2]:
            named[identity[0], identity[1]].append(identity)
    for identity in [i for i in found if not i[2] and (i[0], i[1]) in named]:
        unnamed = found.pop(identity)
        for target in named[identity[0], identity[1]]:
            label = found[target][0][1].quantization
            kept = [(r, replace(v, quantization=label, files=())) for r, v in unnamed]
            found[target].extend(kept)


def _rank(item: tuple[int, Variant]) -> tuple[int, str]:
    return (item[0], repr(item[1]))


def _merged(variants: Sequence[Variant]) -> Variant:
    """The first source's values, gaps filled by the next; a known format beats ``unknown``."""
    made = variants[0]
    for other in variants[1:]:
        changes: dict[str, Any] = {}
        for field in fields(Variant):
            ours, theirs = getattr(made, field.name), getattr(other, field.name)
            if ours in (None, (), "unknown") and theirs not in (None, (), "unknown"):
                changes[field.name] = theirs
        made = replace(made, **changes) if changes else made
    return made


def _position(variant: Variant, bases: set[str]) -> tuple[Any, ...]:
    converted = variant.repo.lower() not in bases
    return (
        converted, variant.source != "huggingface", variant.format, variant.repo.lower(),
        variant.quantization or "", tuple(f.path for f in variant.files),
    )  # fmt: skip


def _of_recipes(member: Member) -> Iterable[Variant]:
    """The weights that deployment recipes name."""
    for spec in member.record.specs:
        hub = "modelscope" if spec.source == "model_scope" else spec.source
        gguf = (spec.filename or "").lower().endswith(".gguf")
        yield Variant(
            repo=spec.repo,
            format="gguf" if gguf else split_repo_name(short(spec.repo)).format or "safetensors",
            quantization=spec.quantization,
            source=hub,
        )


def _labels(group: Group) -> dict[str, str]:
    """Repository -> the quantization its config or a recipe states, where its name says none."""
    labels: dict[str, str] = {}
    for member in group.members:
        record = member.record
        for spec in record.specs:
            if spec.quantization:
                labels.setdefault(spec.repo.lower(), spec.quantization)
        label = config_label(record.architecture) if record.architecture else None
        if label and record.repos:
            labels[record.repos[0].lower()] = label
    return labels


def config_label(config: Mapping[str, Any]) -> str | None:
    """What a config.json says its weights are stored as; None when it does not say."""
    quantized = config.get("quantization_config")
    if isinstance(quantized, Mapping):
        method = str(quantized.get("quant_method", "")).lower()
        if method == "modelopt":
            return str(quantized["quant_algo"]).upper() if quantized.get("quant_algo") else None
        if method == "gptq":
            return f"GPTQ-Int{quantized.get('bits', 4)}"
        return _METHODS.get(method)
    text = config.get("text_config")
    inner = text if isinstance(text, Mapping) else {}
    names = (config.get("torch_dtype"), config.get("dtype"), inner.get("torch_dtype"),
             inner.get("dtype"))  # fmt: skip
    return next((_DTYPES[str(n)] for n in names if str(n) in _DTYPES), None)


def _paired(variants: list[Variant]) -> list[Variant]:
    """A ModelScope repository of the same name and quantization is the other hub's copy."""

    def name(variant: Variant) -> tuple[str, str]:
        return short(variant.repo).lower(), (variant.quantization or "").upper()

    by_repo = sorted(variants, key=lambda v: v.repo, reverse=True)
    copies = {name(v): v for v in by_repo if v.source == "modelscope"}
    paired: list[Variant] = []
    used: set[str] = set()
    for variant in variants:
        twin = copies.get(name(variant)) if variant.source == "huggingface" else None
        if twin and variant.modelscope_repo in (None, twin.repo):
            variant = replace(variant, modelscope_repo=twin.repo)
        if variant.modelscope_repo:
            used.add(variant.modelscope_repo.lower())
        paired.append(variant)
    return [v for v in paired if v.source != "modelscope" or v.repo.lower() not in used]


def specs_of(group: Group) -> tuple[Spec, ...]:
    """Every recipe once, in the order in which its catalogue lists them."""
    found: list[Spec] = []
    seen: set[str] = set()
    ordered = sorted(
        group.members,
        key=lambda m: (m.source != USER, m.source, not m.record.repos, m.record.key),
    )
    for member in ordered:
        for spec in member.record.specs:
            if repr(spec) not in seen:
                seen.add(repr(spec))
                found.append(spec)
    return tuple(found)


def architecture_of(group: Group) -> tuple[Mapping[str, Any], str, str | None] | None:
    """(config, source, time): a config.json before a table, the released weights' own first.

    A conversion has the model's architecture, without its own method of quantization.
    """
    having = [m for m in group.members if m.record.architecture]
    if not having:
        return None
    bases = {repo.lower() for repo in group.links}
    best = min(
        having,
        key=lambda m: (
            m.source != USER,
            bool((m.record.architecture or {}).get(PARTIAL)),
            _TABLES.index(m.source) if m.source in _TABLES else -1,
            not _of_base(m, bases),
            m.source,
            m.record.key,
        ),
    )
    config = dict(best.record.architecture or {})
    if not _of_base(best, bases):
        config.pop("quantization_config", None)
        return config, f"{best.source} ({best.record.key})", best.retrieved_at
    return config, best.source, best.retrieved_at


def _of_base(member: Member, bases: set[str]) -> bool:
    return any(repo.lower() in bases for repo in member.record.repos)
