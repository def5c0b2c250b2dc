"""Xinference's model list: repositories on both hubs, with format, quantization and file names.

Its descriptions are left out. ``model_size_in_billions`` is the nominal size ("0_6" = 0.6).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from modelscan.core.model import Variant, WeightFile
from scripts.catalogs_llmfit_shapes import GATED_DELTA
from scripts.catalogs_packages import XINFERENCE, members

SOURCE = "xinference"
_TASKS = {
    "llm": "chat", "embedding": "embedding", "rerank": "rerank", "image": "image",
    "video": "video",
}  # fmt: skip
# Families whose every layer is full attention and a dense feed-forward: these fields are all.
_DENSE = (
    "llama", "mistral", "qwen2", "qwen3", "glm", "glm4", "hunyuan_v1_dense", "internlm3",
    "seed_oss", "ernie4_5",
)  # fmt: skip
_SHAPE = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads",
)  # fmt: skip
_LINEAR = (
    "full_attention_interval", "linear_num_key_heads", "linear_num_value_heads",
    "linear_key_head_dim", "linear_value_head_dim", "linear_conv_kernel_dim",
)  # fmt: skip
# ``weights_bytes`` of a GGUF file includes the repository's mmproj-F32.gguf. Its size: by files
# whose own size is known elsewhere, or (the last three) 4 bytes x parameters of the vision tower.
_PROJECTOR_BYTES = {
    "unsloth/Qwen3.5-0.8B-GGUF": 402_381_664,
    "unsloth/Qwen3.5-2B-GGUF": 1_325_684_416,
    "unsloth/Qwen3.5-4B-GGUF": 1_334_075_072,
    "unsloth/Qwen3.5-9B-GGUF": 1_824_062_016,
    "unsloth/Qwen3.6-35B-A3B-GGUF": 1_786_305_248,
    "unsloth/Qwen3.5-27B-GGUF": 1_842_940_000,
    "unsloth/Qwen3.5-35B-A3B-GGUF": 1_786_305_248,
    "unsloth/Qwen3.5-122B-A10B-GGUF": 1_805_180_000,
}
_EXPERTS = ("num_experts", "num_experts_per_tok", "shared_expert_intermediate_size")
_FORMATS = {
    "pytorch": ("safetensors", None), "ggufv2": ("gguf", None), "mlx": ("mlx", None),
    "awq": ("safetensors", "AWQ"), "gptq": ("safetensors", "GPTQ"), "fp8": ("safetensors", "FP8"),
    "bnb": ("safetensors", "BNB-4bit"), "fp4": ("safetensors", "FP4"),
}  # fmt: skip


def snapshot() -> SourceSnapshot:
    """One record per repository."""
    found: dict[str, list[SourceRecord]] = defaultdict(list)
    for path, data in members(XINFERENCE, inside="/models/", suffix=".json"):
        kind = path.split("/")[2]
        entries = json.loads(data)
        for entry in entries if isinstance(entries, list) else [entries]:
            for record in _entry(kind, entry):
                found[record.key].append(record)
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=XINFERENCE.published,
        records=tuple(_joined(records) for _, records in sorted(found.items())),
        origin=XINFERENCE.origin,
        licence=XINFERENCE.licence,
    )


def _entry(kind: str, entry: Mapping[str, Any]) -> Iterator[SourceRecord]:
    specs = entry.get("model_specs") or [entry]
    bases = {_size(spec): _hub(spec)[0] for spec in reversed(specs) if _unquantized(spec)}
    for spec in specs:
        base = bases.get(_size(spec))
        for variant in _variants(spec):
            repo = variant.repo
            original = repo == base
            yield SourceRecord(
                key=repo if variant.source == "huggingface" else f"modelscope:{repo}",
                kind="repository",
                name=repo.partition("/")[2],
                repos=(repo,) if variant.source == "huggingface" else (),
                base=None if original or _unquantized(spec) else base,
                facts=_facts(kind, entry, spec) if original else {},
                variants=(variant,),
                architecture=_architecture(entry, spec) if original else None,
            )


def _unquantized(spec: Mapping[str, Any]) -> bool:
    plain = spec.get("model_format", "pytorch") == "pytorch"
    quantizations = _source(spec, "huggingface").get("quantizations") or ["none"]
    return plain and "none" in quantizations and _hub(spec)[0] is not None


def _source(spec: Mapping[str, Any], hub: str) -> Mapping[str, Any]:
    sources = spec.get("model_src") or {}
    found: Mapping[str, Any] = sources.get(hub) or {}
    return found


def _hub(spec: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """(Hugging Face repository, ModelScope id)."""
    ids = (_source(spec, hub).get("model_id") for hub in ("huggingface", "modelscope"))
    first, second = (i if isinstance(i, str) and i.count("/") == 1 else None for i in ids)
    return first, second


def _variants(spec: Mapping[str, Any]) -> Iterator[Variant]:
    repo, modelscope = _hub(spec)
    hub = "huggingface" if repo else "modelscope"
    source = _source(spec, hub)
    name = repo or modelscope
    if name is None:
        return
    kind, label = _FORMATS.get(str(spec.get("model_format", "pytorch")), ("unknown", None))
    revision = source.get("model_revision")
    for quantization in source.get("quantizations") or ["none"]:
        place = {"quantization": quantization}
        resolved = name.replace("{quantization}", quantization)
        yield Variant(
            repo=resolved,
            format=kind if spec.get("model_format") else "unknown",
            quantization=_quantization(label, kind, quantization),
            source=hub,
            weight_bytes=_file_bytes(source, quantization) if kind == "gguf" else None,
            files=_files(source, place) if kind == "gguf" else (),
            revision=revision if isinstance(revision, str) and len(revision) == 40 else None,
            modelscope_repo=modelscope.replace("{quantization}", quantization)
            if modelscope
            else None,
        )


def _quantization(label: str | None, kind: str, quantization: str) -> str | None:
    if quantization.lower() == "none":
        return label
    if label == "GPTQ":
        return f"GPTQ-{quantization}"
    if label is not None:
        return label
    if kind == "gguf":
        return quantization.upper().replace("UD-IQ", "UD-IQ")
    return quantization if "bit" in quantization else quantization.upper()


def _file_bytes(source: Mapping[str, Any], quantization: str) -> int | None:
    """The size of a GGUF file, without the projector that the list adds to it."""
    stated = (source.get("model_metadata_by_quantization") or {}).get(quantization) or {}
    projector = _PROJECTOR_BYTES.get(str(source.get("model_id")))
    total = stated.get("weights_bytes")
    return total - projector if isinstance(total, int) and projector else None


def _files(source: Mapping[str, Any], place: Mapping[str, str]) -> tuple[WeightFile, ...]:
    template = source.get("model_file_name_template")
    parts = (source.get("quantization_parts") or {}).get(place["quantization"])
    split = source.get("model_file_name_split_template")
    if parts and split:
        names = [split.format(**place, part=part) for part in parts]
    else:
        names = [template.format(**place)] if template else []
    return tuple(WeightFile(name, None) for name in names)


def _facts(kind: str, entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any]:
    abilities = set(entry.get("model_ability") or ())
    context = entry.get("context_length") or entry.get("max_tokens")
    stated = {
        "task": _task(kind, abilities),
        "open_weights": True,
        "parameters": _size(spec),
        "active_parameters": _billions(spec.get("activated_size_in_billions")),
        "limits.context_tokens": context if isinstance(context, int) and context > 0 else None,
        "capabilities.tools": True if "tools" in abilities else None,
        "capabilities.vision": True if "vision" in abilities else None,
        "capabilities.reasoning": True if "reasoning" in abilities else None,
    }
    return {field: value for field, value in stated.items() if value is not None}


def _architecture(entry: Mapping[str, Any], spec: Mapping[str, Any]) -> dict[str, Any] | None:
    """The config.json fields that the list repeats, where they state all of a model's shape.

    Of latent attention, experts and vision towers it lacks sizes.
    """
    stated = _source(spec, "huggingface").get("model_metadata") or {}
    kind = _class(entry, stated)
    if kind is None or not all(stated.get(field) for field in _SHAPE):
        return None
    names = (*_SHAPE, "head_dim", *_LINEAR)
    config = {
        "architectures": list(entry.get("architectures") or ()),
        "model_type": kind,
        "max_position_embeddings": entry.get("context_length"),
        **{name: stated[name] for name in names if stated.get(name)},
    }
    if kind in GATED_DELTA:
        config |= {"attn_output_gate": True}
    if stated.get("num_experts"):
        del config["intermediate_size"]
        config |= {name: stated[name] for name in _EXPERTS if stated.get(name)}
        config["moe_intermediate_size"] = stated["intermediate_size"]
    return config


def _class(entry: Mapping[str, Any], stated: Mapping[str, Any]) -> str | None:
    """The model_type of the language model, where its fields are complete."""
    kind, layout = entry.get("model_type"), stated.get("architecture_type")
    if layout is None:
        return kind if kind in _DENSE else None
    if layout != "hybrid_attention" or not all(stated.get(field) for field in _LINEAR):
        return None
    if kind in GATED_DELTA:
        return GATED_DELTA[str(kind)]
    return "qwen3_5_moe_text" if stated.get("num_experts") else "qwen3_5_text"


def _task(kind: str, abilities: set[str]) -> str | None:
    if kind == "audio":
        speaks = {"text2audio", "text-to-audio", "tts"} & abilities
        hears = {"audio2text", "audio-to-text"} & abilities
        return "text_to_speech" if speaks else "speech_to_text" if hears else None
    return _TASKS.get(kind)


def _size(spec: Mapping[str, Any]) -> int | None:
    return _billions(spec.get("model_size_in_billions"))


def _billions(value: Any) -> int | None:
    if value is None:
        return None
    try:
        number = float(str(value).replace("_", "."))
    except ValueError:
        return None
    return round(number * 1e9) if number > 0 else None


def _joined(records: list[SourceRecord]) -> SourceRecord:
    """One record for a repository that several entries name."""
    facts: dict[str, Any] = {}
    for record in records:
        facts = {**record.facts, **facts}
    variants = {(v.quantization, v.files): v for r in reversed(records) for v in r.variants}
    stated = [r.base for r in records if r.base]
    first = records[0]
    return SourceRecord(
        key=first.key,
        kind=first.kind,
        name=first.name,
        repos=first.repos,
        base=None if facts else next(iter(stated), None),
        facts=facts,
        architecture=next((r.architecture for r in records if r.architecture), None),
        variants=tuple(
            v for _, v in sorted(variants.items(), key=lambda x: (str(x[0][0]), str(x)))
        ),
    )
