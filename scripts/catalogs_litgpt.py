"""litgpt's table of architectures: the sizes of each Hugging Face repository it can load.

The pinned package's ``config.py`` is run on its own, with stand-ins for what it imports beside the
standard library. What it does not state (tied embeddings, a vision tower)
is found by ``catalogs_architectures`` from counted parameters, or the entry is left out.
"""

from __future__ import annotations

import builtins
import types
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.catalog.records import SourceRecord, SourceSnapshot
from scripts.catalogs_packages import LITGPT, members

SOURCE = "litgpt"
_IMPORTS = frozenset({"copy", "dataclasses", "pathlib", "typing"})
_STAND_INS = {"yaml": {}, "typing_extensions": {"Self": object}}


def snapshot() -> SourceSnapshot:
    """One record per repository that litgpt names."""
    ((_, source),) = members(LITGPT, inside="litgpt/config.py", suffix=".py")
    records = {r.key: r for r in map(_record, entries(source.decode()))}
    if len(records) < 100:
        raise SystemExit("litgpt's config.py lists few models: has its form changed?")
    return SourceSnapshot(
        source=SOURCE,
        retrieved_at=LITGPT.published,
        records=tuple(record for _, record in sorted(records.items())),
        origin=LITGPT.origin,
        licence=LITGPT.licence,
    )


def entries(source: str) -> Iterator[Any]:
    """Every entry as litgpt's own ``Config``, with what it derives itself filled in."""
    scope: dict[str, Any] = {
        "__name__": "litgpt_config",
        "__builtins__": {**vars(builtins), "__import__": _import, "open": None},
    }
    exec(compile(source, "config.py", "exec", dont_inherit=True), scope)
    for entry in scope["configs"]:
        if entry.get("hf_config", {}).get("org"):
            yield scope["Config"](**entry)


def _import(name: str, *rest: Any) -> Any:
    if name in _STAND_INS:
        return types.SimpleNamespace(**_STAND_INS[name])
    if name in _IMPORTS:
        return builtins.__import__(name, *rest)
    raise ImportError(f"litgpt/config.py imports {name}, which this build does not run")


def _record(entry: Any) -> SourceRecord:
    repo = f"{entry.hf_config['org']}/{entry.hf_config['name']}"
    return SourceRecord(
        key=repo,
        kind="repository",
        name=entry.hf_config["name"],
        repos=(repo,),
        architecture=config_of(entry),
    )


def config_of(entry: Any) -> dict[str, Any]:
    """The entry's numbers under the names of config.json."""
    config: dict[str, Any] = {
        "model_type": model_type(entry),
        "num_hidden_layers": entry.n_layer,
        "hidden_size": entry.n_embd,
        "num_attention_heads": entry.n_head,
        "num_key_value_heads": entry.n_query_groups,
        "head_dim": entry.head_size,
        "intermediate_size": entry.intermediate_size,
        "vocab_size": entry.padded_vocab_size,
        "max_position_embeddings": entry.block_size,  # a repository's own goes before it
        "hidden_act": {"GptNeoxMLP": "gelu", "GemmaMLP": "gelu_pytorch_tanh"}.get(
            entry.mlp_class_name, "silu"
        ),
    }
    return {**config, **_windows(entry), **_experts(entry), **_positions(entry)}


def model_type(entry: Any) -> str:
    """transformers' name of the class that litgpt's switches describe."""
    mlp, owner = entry.mlp_class_name, entry.hf_config["org"].lower()
    if mlp == "GemmaMLP":
        if entry.norm_qk:
            return "gemma3_text"
        return "gemma2" if entry.sliding_window_size else "gemma"
    if mlp == "LLaMAMoE":
        return "qwen3_moe" if entry.norm_qk else "mixtral"
    if mlp == "GptNeoxMLP":
        return {"tiiuae": "falcon", "microsoft": "phi"}.get(owner, "gpt_neox")
    if entry.norm_qk:
        return "olmo2" if entry.norm_qk_type == "olmo2" else "qwen3"
    if entry.attn_bias:
        return "qwen2"
    if entry.norm_class_name == "LayerNorm":
        return {"allenai": "olmo"}.get(owner, "stablelm")
    return {"microsoft": "phi3", "mistralai": "mistral"}.get(owner, "llama")


def _windows(entry: Any) -> dict[str, Any]:
    if not entry.sliding_window_size:
        return {}
    words = ("full_attention", "sliding_attention")
    kinds = [words[slides] for slides in entry.sliding_window_indices]
    return {"sliding_window": entry.sliding_window_size, "layer_types": kinds}


def _experts(entry: Any) -> dict[str, Any]:
    if not entry.n_expert:
        return {}
    stated: Mapping[str, Any] = {
        "num_experts": entry.n_expert,
        "num_experts_per_tok": entry.n_expert_per_token,
        "moe_intermediate_size": entry.moe_intermediate_size or entry.intermediate_size,
        "n_shared_experts": entry.n_shared_expert,
        "first_k_dense_replace": entry.first_k_dense_replace,
    }
    return {name: value for name, value in stated.items() if value is not None}


def _positions(entry: Any) -> dict[str, Any]:
    """What the tables of rotary positions follow from."""
    made: dict[str, Any] = {}
    if entry.rotary_percentage != 1.0:
        made["partial_rotary_factor"] = entry.rotary_percentage
    if entry.rope_local_base_freq:
        made["rope_local_base_freq"] = entry.rope_local_base_freq
    scaling = entry.rope_adjustments
    if scaling:
        kind = "llama3" if "low_freq_factor" in scaling else "linear"
        made["rope_scaling"] = {"rope_type": kind, "factor": scaling["factor"]}
    return made
