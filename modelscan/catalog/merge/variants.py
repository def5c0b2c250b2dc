"""Lists the weights of one model: all repositories, formats and quantizations in any source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from modelscan.catalog.records import GPUSTACK, HUGGINGFACE, MODELSCOPE, USER
from modelscan.core.architecture import PARTIAL
from modelscan.core.model import Spec, Variant
from modelscan.formats.repo_names import short, split_repo_name

if TYPE_CHECKING:
    from modelscan.catalog.link.groups import Member, RecordGroup

_Identity = tuple[str, str, str, str]  # hub, repository, quantization, files
_ORDER = (USER, HUGGINGFACE, MODELSCOPE, GPUSTACK, "llmfit", "qvac", "xinference")
# Sizes from other programs' tables; any config.json of the model has precedence.
TABLES = ("litgpt", "llmfit", "xinference")
_CURATED = "curated"  # catalogs/aliases.yaml
_DTYPES = {"bfloat16": "BF16", "float16": "FP16", "float32": "FP32"}
_METHODS = {"fp8": "FP8", "mxfp4": "MXFP4", "awq": "AWQ", "bitsandbytes": "BNB-4bit"}


def variants_of(group: RecordGroup) -> tuple[Variant, ...]:
    """The merged variants in a total order: released weights first, then by format and name."""
    ranked_variants: dict[_Identity, list[tuple[int, Variant]]] = defaultdict(list)
    labels, stated = _labels(group), _curated_formats(group)
    for member in group.members:
        rank = _ORDER.index(member.source) if member.source in _ORDER else len(_ORDER)
        for variant in (*member.record.variants, *_of_recipes(member)):
            repo = variant.repo.lower()
            label = variant.quantization or labels.get(repo)
            if variant.format != "gguf" and member.source != USER:
                label = stated.get(repo, label)
            reason = variant.link_reason or member.reason
            labelled = replace(
                variant,
                quantization=label,
                link_reason=reason,
                listed_at=variant.listed_at or (member.retrieved_at if variant.files else None),
            )
            ranked_variants[_identity(labelled)].append((rank, labelled))
    _drop_unnamed(ranked_variants)
    merged = [_merged([v for _, v in sorted(vs, key=_rank)]) for vs in ranked_variants.values()]
    merged += _only_named(group, labels, {v.repo.lower() for v in merged})
    bases = {repo.lower() for repo in group.links}
    return tuple(sorted(_paired(merged), key=lambda v: _position(v, bases)))


def _only_named(
    group: RecordGroup, labels: Mapping[str, str], listed: set[str]
) -> Iterable[Variant]:
    """Variants for repositories of which only the name is known."""
    reason_by_repo = {r.lower(): (r, m.reason) for m in group.members for r in m.record.repos}
    reason_by_repo |= {repo.lower(): (repo, rule) for repo, rule in group.links.items()}
    for lower, (repo, reason) in sorted(reason_by_repo.items()):
        if lower not in listed:
            name = split_repo_name(short(repo))
            label = labels.get(lower) or name.quantization
            yield Variant(repo, name.format or "unknown", label, link_reason=reason)


def _identity(variant: Variant) -> _Identity:
    files = ",".join(f.path for f in variant.files) if variant.format == "gguf" else ""
    quantization = (variant.quantization or "").upper()
    return (variant.source, variant.repo.lower(), quantization, files)


def _drop_unnamed(variants: dict[_Identity, list[tuple[int, Variant]]]) -> None:
    """Merge a repository's entry without a quantization into its entries with one."""
    identities: dict[tuple[str, str], list[_Identity]] = defaultdict(list)
    for identity in variants:
        if identity[2]:
            identities[identity[0], identity[1]].append(identity)
    for identity in [i for i in variants if not i[2] and (i[0], i[1]) in identities]:
        unnamed = variants.pop(identity)
        for target in identities[identity[0], identity[1]]:
            label = variants[target][0][1].quantization
            relabelled = [(r, replace(v, quantization=label, files=())) for r, v in unnamed]
            variants[target].extend(relabelled)


def _rank(item: tuple[int, Variant]) -> tuple[int, str]:
    return (item[0], repr(item[1]))


def _merged(variants: Sequence[Variant]) -> Variant:
    """The first source's values, gaps filled from the next; a known format replaces ``unknown``."""
    merged = variants[0]
    for other in variants[1:]:
        changes: dict[str, Any] = {}
        for field in fields(Variant):
            ours, theirs = getattr(merged, field.name), getattr(other, field.name)
            if ours in (None, (), "unknown") and theirs not in (None, (), "unknown"):
                changes[field.name] = theirs
        merged = replace(merged, **changes) if changes else merged
    return merged


def _position(variant: Variant, bases: set[str]) -> tuple[Any, ...]:
    converted = variant.repo.lower() not in bases
    return (
        converted, variant.source != "huggingface", variant.format, variant.repo.lower(),
        variant.quantization or "", tuple(f.path for f in variant.files),
    )  # fmt: skip


def _of_recipes(member: Member) -> Iterable[Variant]:
    """The weights in deployment recipes."""
    for spec in member.record.specs:
        hub = "modelscope" if spec.source == "model_scope" else spec.source
        gguf = (spec.filename or "").lower().endswith(".gguf")
        yield Variant(
            repo=spec.repo,
            format="gguf" if gguf else split_repo_name(short(spec.repo)).format or "safetensors",
            quantization=spec.quantization,
            source=hub,
        )


def _labels(group: RecordGroup) -> dict[str, str]:
    """Repository -> the quantization in its config or a recipe."""
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


def _curated_formats(group: RecordGroup) -> dict[str, str]:
    """Repository -> the format it was published in, where a table or recipe may say 16 bits."""
    return {
        variant.repo.lower(): variant.quantization
        for member in group.members if member.source == _CURATED
        for variant in member.record.variants
        if variant.quantization and variant.format != "gguf"
    }  # fmt: skip


def config_label(config: Mapping[str, Any]) -> str | None:
    """The format of the weights according to a config.json, or None."""
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
    """Merge a ModelScope repository with the same name and quantization into the other hub's
    variant.
    """

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


def specs_of(group: RecordGroup) -> tuple[Spec, ...]:
    """All recipes, each once, in the order of their catalog."""
    specs: list[Spec] = []
    seen: set[str] = set()
    ordered = sorted(
        group.members,
        key=lambda m: (m.source != USER, m.source, not m.record.repos, m.record.key),
    )
    for member in ordered:
        for spec in member.record.specs:
            if repr(spec) not in seen:
                seen.add(repr(spec))
                specs.append(spec)
    return tuple(specs)


def architecture_of(group: RecordGroup) -> tuple[Mapping[str, Any], str, str | None] | None:
    """(config, source, time): a config.json before a table, the released weights' own first.

    A conversion has the model's architecture, but its own quantization method is removed.
    """
    candidates = [m for m in group.members if m.record.architecture]
    if not candidates:
        return None
    bases = {repo.lower() for repo in group.links}
    best = min(
        candidates,
        key=lambda m: (
            m.source != USER,
            bool((m.record.architecture or {}).get(PARTIAL)),
            TABLES.index(m.source) if m.source in TABLES else -1,
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
