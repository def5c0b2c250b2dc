"""llama-server's long options, and what each sets on xllamacpp's ``CommonParams``.

The one place that joins the two. Reading the options (``option_words.parse``) needs no engine, so
a mistake is found before anything starts; ``params.apply`` runs in the engine's process. The
spellings are those of llama.cpp b11549 (``llama-server --help``).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_DEVICES = 128  # llama_max_devices() of the binding: tensor_split has that length
AUTO_LAYERS, ALL_LAYERS = -1, -2


@dataclass(frozen=True, slots=True)
class ServerOption:
    """``attribute`` may be dotted. ``convert`` is None for a flag, which sets ``value``."""

    attribute: str
    convert: Callable[[str], Any] | None
    value: Any = None
    enum: str | None = None


def _number(attribute: str) -> ServerOption:
    return ServerOption(attribute, int)


def _real(attribute: str) -> ServerOption:
    return ServerOption(attribute, float)


def _text(attribute: str) -> ServerOption:
    return ServerOption(attribute, str)


def _flag(attribute: str, value: bool = True) -> ServerOption:
    return ServerOption(attribute, None, value)


def _choice(attribute: str, enum: str, names: dict[str, str]) -> ServerOption:
    def convert(text: str) -> str:
        return names[text.lower()]

    return ServerOption(attribute, convert, None, enum)


def _same(prefix: str, *names: str) -> dict[str, str]:
    return {name: prefix + name.upper() for name in names}


def _layers(text: str) -> int:
    return {"auto": AUTO_LAYERS, "all": ALL_LAYERS}.get(text.lower()) or int(text)


SWITCH = {"on": True, "true": True, "1": True, "off": False, "false": False, "0": False}


def on_off(text: str) -> bool:
    """Raises KeyError for anything but on, off, true, false, 1 and 0."""
    return SWITCH[text.lower()]


def _split(text: str) -> list[float]:
    shares = [float(part) for part in text.replace("/", ",").split(",") if part]
    return shares + [0.0] * (MAX_DEVICES - len(shares))


def _overrides(text: str) -> str:
    if not all(part.partition("=")[2] for part in text.split(",")):
        raise ValueError(text)
    return text


def _reasoning(text: str) -> int:
    return {"auto": -1, "off": 0, "on": 1}[text.lower()]


_CACHE_TYPES = _same("GGML_TYPE_", "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1", "iq4_nl", "q5_0",
                     "q5_1")  # fmt: skip
_FLASH = {"auto": "LLAMA_FLASH_ATTN_TYPE_AUTO"} | {
    word: "LLAMA_FLASH_ATTN_TYPE_" + name
    for name, words in (("ENABLED", ("on", "1", "true")), ("DISABLED", ("off", "0", "false")))
    for word in words
}
_LOAD = _same("LLAMA_LOAD_MODE_", "auto", "none", "mmap", "mlock") | {
    "mmap+mlock": "LLAMA_LOAD_MODE_MMAP_MLOCK", "dio": "LLAMA_LOAD_MODE_DIRECT_IO",
}  # fmt: skip
_ROPE = _same("LLAMA_ROPE_SCALING_TYPE_", "none", "linear", "yarn")
_POOLING = _same("LLAMA_POOLING_TYPE_", "none", "mean", "cls", "last", "rank")
_ATTENTION = {"causal": "LLAMA_ATTENTION_TYPE_CAUSAL", "non-causal": "LLAMA_ATTENTION_TYPE_NON_CAUSAL"}  # noqa: E501 # fmt: skip
_REASONING = {
    "none": "COMMON_REASONING_FORMAT_NONE", "auto": "COMMON_REASONING_FORMAT_AUTO",
    "deepseek": "COMMON_REASONING_FORMAT_DEEPSEEK",
    "deepseek-legacy": "COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY",
}  # fmt: skip
_DRAFTERS = {
    "none": "NONE", "draft-simple": "DRAFT_SIMPLE", "draft-eagle3": "DRAFT_EAGLE3",
    "draft-mtp": "DRAFT_MTP", "ngram-simple": "NGRAM_SIMPLE", "ngram-map-k": "NGRAM_MAP_K",
    "ngram-map-k4v": "NGRAM_MAP_K4V", "ngram-mod": "NGRAM_MOD", "ngram-cache": "NGRAM_CACHE",
}  # fmt: skip
_NUMA = _same("GGML_NUMA_STRATEGY_", "distribute", "isolate", "numactl")

OPTIONS: dict[str, ServerOption] = {
    "model": _text("model.path"),
    "mmproj": _text("mmproj.path"),
    "no-mmproj": _flag("no_mmproj"),
    "no-mmproj-offload": _flag("mmproj_use_gpu", False),
    "alias": ServerOption("model_alias", lambda text: set(text.split(","))),
    "host": ServerOption("hostnames", lambda text: [text]),
    "port": _number("port"),
    "ctx-size": _number("n_ctx"),
    "parallel": _number("n_parallel"),
    "batch-size": _number("n_batch"),
    "ubatch-size": _number("n_ubatch"),
    "predict": _number("n_predict"),
    "keep": _number("n_keep"),
    "threads": _number("cpuparams.n_threads"),
    "threads-batch": _number("cpuparams_batch.n_threads"),
    "poll": _number("cpuparams.poll"),
    "threads-http": _number("n_threads_http"),
    "n-gpu-layers": ServerOption("n_gpu_layers", _layers),
    "main-gpu": _number("main_gpu"),
    "split-mode": _choice("split_mode", "llama_split_mode",
                          _same("LLAMA_SPLIT_MODE_", "none", "layer", "row", "tensor")),
    "tensor-split": ServerOption("tensor_split", _split),
    "override-tensor": ServerOption("tensor_buft_overrides", lambda text: _overrides(text)),
    "cpu-moe": ServerOption(
        "tensor_buft_overrides", None, r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
    ),
    "n-cpu-moe": ServerOption("tensor_buft_overrides", lambda text: experts_on_cpu(int(text))),
    "no-kv-offload": _flag("no_kv_offload"),
    "kv-offload": _flag("no_kv_offload", False),
    "no-op-offload": _flag("no_op_offload"),
    "no-host": _flag("no_host"),
    "no-repack": _flag("no_extra_bufts"),
    "repack": _flag("no_extra_bufts", False),
    "load-mode": _choice("load_mode", "llama_load_mode", _LOAD),
    "check-tensors": _flag("check_tensors"),
    "numa": _choice("numa", "ggml_numa_strategy", _NUMA),
    "fit": ServerOption("fit_params", on_off),
    "cache-type-k": _choice("cache_type_k", "ggml_type", _CACHE_TYPES),
    "cache-type-v": _choice("cache_type_v", "ggml_type", _CACHE_TYPES),
    "flash-attn": _choice("flash_attn_type", "llama_flash_attn_type", _FLASH),
    "kv-unified": _flag("kv_unified"),
    "no-kv-unified": _flag("kv_unified", False),
    "swa-full": _flag("swa_full"),
    "ctx-checkpoints": _number("n_ctx_checkpoints"),
    "cache-ram": _number("cache_ram_mib"),
    "cache-reuse": _number("n_cache_reuse"),
    "cache-prompt": _flag("cache_prompt"),
    "no-cache-prompt": _flag("cache_prompt", False),
    "cont-batching": _flag("cont_batching"),
    "no-cont-batching": _flag("cont_batching", False),
    "context-shift": _flag("ctx_shift"),
    "no-context-shift": _flag("ctx_shift", False),
    "warmup": _flag("warmup"),
    "no-warmup": _flag("warmup", False),
    "embeddings": _flag("embedding"),
    "pooling": _choice("pooling_type", "llama_pooling_type", _POOLING),
    "attention": _choice("attention_type", "llama_attention_type", _ATTENTION),
    "embd-normalize": _number("embd_normalize"),
    "rope-scaling": _choice("rope_scaling_type", "llama_rope_scaling_type", _ROPE),
    "rope-scale": ServerOption("rope_freq_scale", lambda text: 1.0 / float(text)),
    "rope-freq-base": _real("rope_freq_base"),
    "rope-freq-scale": _real("rope_freq_scale"),
    "yarn-orig-ctx": _number("yarn_orig_ctx"),
    "yarn-ext-factor": _real("yarn_ext_factor"),
    "yarn-attn-factor": _real("yarn_attn_factor"),
    "yarn-beta-fast": _real("yarn_beta_fast"),
    "yarn-beta-slow": _real("yarn_beta_slow"),
    "jinja": _flag("use_jinja"),
    "no-jinja": _flag("use_jinja", False),
    "chat-template": _text("chat_template"),
    "chat-template-kwargs": ServerOption("default_template_kwargs", lambda text: _kwargs(text)),
    "reasoning": ServerOption("enable_reasoning", _reasoning),
    "reasoning-format": _choice("reasoning_format", "common_reasoning_format", _REASONING),
    "reasoning-budget": _number("sampling.reasoning_budget_tokens"),
    "temp": _real("sampling.temp"),
    "top-k": _number("sampling.top_k"),
    "top-p": _real("sampling.top_p"),
    "min-p": _real("sampling.min_p"),
    "seed": _number("sampling.seed"),
    "metrics": _flag("endpoint_metrics"),
    "props": _flag("endpoint_props"),
    "slots": _flag("endpoint_slots"),
    "no-slots": _flag("endpoint_slots", False),
    "slot-save-path": _text("slot_save_path"),
    "no-ui": _flag("ui", False),
    "ui": _flag("ui"),
    "api-prefix": _text("api_prefix"),
    "cors-origins": _text("cors_origins"),
    "ssl-key-file": _text("ssl_file_key"),
    "ssl-cert-file": _text("ssl_file_cert"),
    "timeout": _number("timeout_read"),
    "sleep-idle-seconds": _number("sleep_idle_seconds"),
    "verbosity": _number("verbosity"),
    "log-prefix": ServerOption("", None),  # the embedded server always prefixes its lines
    "spec-draft-model": _text("speculative.draft.mparams.path"),
    "spec-draft-n-max": _number("speculative.draft.n_max"),
    "spec-draft-n-min": _number("speculative.draft.n_min"),
    "spec-draft-p-min": _real("speculative.draft.p_min"),
    "spec-draft-ngl": ServerOption("speculative.draft.n_gpu_layers", _layers),
    "spec-draft-type-k": _choice("speculative.draft.cache_type_k", "ggml_type", _CACHE_TYPES),
    "spec-draft-type-v": _choice("speculative.draft.cache_type_v", "ggml_type", _CACHE_TYPES),
    "spec-type": ServerOption("speculative.types", lambda text: drafters(text)),
    "lora": _text("lora"),
    "lora-scaled": _text("lora"),
    "rerank": ServerOption("", None),
}  # fmt: skip

ALIASES = {
    "m": "model", "mm": "mmproj", "a": "alias", "c": "ctx-size", "np": "parallel",
    "b": "batch-size", "ub": "ubatch-size", "n": "predict", "n-predict": "predict",
    "t": "threads", "tb": "threads-batch", "ngl": "n-gpu-layers", "gpu-layers": "n-gpu-layers",
    "mg": "main-gpu", "sm": "split-mode", "ts": "tensor-split", "ot": "override-tensor",
    "cmoe": "cpu-moe", "ncmoe": "n-cpu-moe", "nkvo": "no-kv-offload", "lm": "load-mode",
    "ctk": "cache-type-k", "ctv": "cache-type-v", "fa": "flash-attn", "kvu": "kv-unified",
    "cram": "cache-ram", "cb": "cont-batching", "embedding": "embeddings", "lv": "verbosity",
    "log-verbosity": "verbosity", "reranking": "rerank", "temperature": "temp",
    "md": "spec-draft-model", "model-draft": "spec-draft-model", "draft": "spec-draft-n-max",
    "draft-n": "spec-draft-n-max", "draft-max": "spec-draft-n-max",
    "draft-min": "spec-draft-n-min", "draft-n-min": "spec-draft-n-min",
    "draft-p-min": "spec-draft-p-min", "ngld": "spec-draft-ngl",
    "n-gpu-layers-draft": "spec-draft-ngl", "gpu-layers-draft": "spec-draft-ngl",
    "ctkd": "spec-draft-type-k", "cache-type-k-draft": "spec-draft-type-k",
    "ctvd": "spec-draft-type-v", "cache-type-v-draft": "spec-draft-type-v",
    "swa-checkpoints": "ctx-checkpoints", "no-webui": "no-ui", "webui": "ui", "to": "timeout",
}  # fmt: skip


def experts_on_cpu(layers: int) -> str:
    """The tensor overrides that keep the experts of the first ``layers`` layers on the CPU."""
    pattern = r"blk\.{}\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
    return ",".join(pattern.format(layer) for layer in range(layers))


def _kwargs(text: str) -> dict[str, str]:
    return {key: json.dumps(value) for key, value in json.loads(text).items()}


def drafters(text: str) -> list[str]:
    """llama.cpp's enum names of a comma-separated list of drafters."""
    return ["COMMON_SPECULATIVE_TYPE_" + _DRAFTERS[name] for name in text.lower().split(",")]
