"""Facts per GGUF architecture that are in llama.cpp's code and not in the file.

All other facts come from the file's metadata and tensors. Source: ``src/models/<arch>.cpp``
(``load_arch_hparams``) and ``llama_model::create_memory`` at b11549.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WindowRule:
    """Which layers have a sliding window when the file states a window but no pattern.

    ``period`` p: every p-th layer attends fully, the last of each group, or the first when
    ``full_first``; 0 = all slide. ``window_tokens`` overrides or supplies the window.
    """

    period: int
    full_first: bool = False
    window_tokens: int | None = None
    default_window: int | None = None
    chunked: bool = False


WINDOW_RULES: dict[str, WindowRule] = {
    "gemma2": WindowRule(2, default_window=4096),
    "gemma3": WindowRule(6),
    "gemma3n": WindowRule(5),
    "gemma-embedding": WindowRule(6),
    "gemma-embedding2": WindowRule(6),
    "gpt-oss": WindowRule(2),
    "llama4": WindowRule(4, window_tokens=8192, default_window=8192, chunked=True),
    "cohere2": WindowRule(4),
    "cohere2moe": WindowRule(4, full_first=True),
    "exaone-moe": WindowRule(4),
    "exaone4": WindowRule(4),
    "olmo2": WindowRule(4),
    "plamo3": WindowRule(8),
    "muse-glimmer": WindowRule(4),
    "afmoe": WindowRule(4),
    "laguna": WindowRule(4, full_first=True),
    "mellum": WindowRule(4),
    "smallthinker": WindowRule(4, full_first=True, window_tokens=4096),
    "modern-bert": WindowRule(3, full_first=True),
    "lfm2": WindowRule(0),
}

# Architectures that read the pattern from the file only (one flag per layer).
WINDOW_LISTED = frozenset(
    {"gemma4", "mimo2", "step35", "dots3note", "spark2-5", "granite-swa", "maple"}
)

# The file has the key, llama.cpp ignores it ("Phi SWA is currently disabled").
WINDOW_IGNORED = frozenset({"phi3"})

# No KV cache: encoders and diffusion models process the whole batch at once.
NO_CACHE = frozenset(
    {
        "bert", "jina-bert-v2", "jina-bert-v3", "nomic-bert", "nomic-bert-moe", "neo-bert",
        "eurobert", "wavtokenizer-dec", "modern-bert", "gemma-embedding", "gemma-embedding2",
        "dream", "llada", "llada-moe", "rnd1", "clef",
    }
)  # fmt: skip

# Diffusion models have no cache, but sample from logits as decoders do.
DIFFUSION = frozenset({"dream", "llada", "llada-moe", "rnd1"})

# Encoders for which llama.cpp allocates a cache that their graph does not read.
UNREAD_CACHE = frozenset({"llama-embed"})

# No logits when the server returns embeddings.
LOGITS_OR_EMBEDDINGS = frozenset({"lfm2", "lfm2moe"})

# Every layer has both attention and a recurrent state.
PARALLEL_HYBRID = frozenset({"falcon-h1"})

# Layers from this one on read the cache of an earlier layer (the file does not state it).
KV_LAYERS_FROM_START = {"gemma3n": 20}

# Every n-th layer attends, the others have a state, unless the file states otherwise.
FULL_ATTENTION_INTERVAL = {
    "qwen3next": 4, "qwen35": 4, "qwen35moe": 4, "qwen4exp": 4, "minimax-01": 8,
}  # fmt: skip

# Sparse attention with an indexer key cache in addition to the main one.
INDEXER_CACHE = frozenset({"glm-dsa", "deepseek32", "hy-v4"})

# Cache designs that the formulas do not cover: the estimate is a range.
OWN_CACHE_DESIGN = frozenset(
    {"deepseek4", "minimax-m3", "dots3note", "glm5-next", "qwen4exp", "kimi-k3", "dflash"}
)

# "flash_attn is not compatible with Grok - forcing off"
NO_FLASH_ATTENTION = frozenset({"grok"})

# No rotary positions (llama_model_rope_type), or none in every n-th layer.
NO_ROPE = frozenset(
    {"nemotron_h", "nemotron_h_moe", "jamba", "gpt2", "bloom", "mpt", "starcoder", "jais", "refact",
     "kimi-linear", "t5"}
)  # fmt: skip
NO_ROPE_INTERVAL = {"smollm3": 4}
