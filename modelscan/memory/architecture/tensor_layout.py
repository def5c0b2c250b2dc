"""Architecture name and tensor layout of a checkpoint after conversion to GGUF.

Source: llama.cpp's converter (convert_hf_to_gguf, ``conversion/``) and of the tensor lists in
src/models/*.cpp at b11549: which matrices are fused, which norms each block has.
"""

from __future__ import annotations

from dataclasses import dataclass

# transformers' model_type -> general.architecture, where they differ by more than "_" and "-".
_NAMES = {
    "mistral": "llama", "mixtral": "llama", "yi": "llama", "internlm3": "llama",
    "ministral3": "mistral3", "mistral3": "mistral3", "aquila": "llama", "smollm": "llama",
    "qwen2_5_vl": "qwen2vl", "qwen2_vl": "qwen2vl", "qwen2_moe": "qwen2moe",
    "qwen3_moe": "qwen3moe", "qwen3_vl": "qwen3vl", "qwen3_vl_text": "qwen3vl",
    "qwen3_vl_moe": "qwen3vlmoe", "qwen3_vl_moe_text": "qwen3vlmoe", "qwen3_next": "qwen3next",
    "qwen3_5": "qwen35", "qwen3_5_text": "qwen35", "qwen3_5_moe": "qwen35moe",
    "qwen3_5_moe_text": "qwen35moe", "deepseek_v2": "deepseek2", "deepseek_v3": "deepseek2",
    "deepseek_v32": "deepseek32", "deepseek_v4": "deepseek4", "kimi_k2": "deepseek2",
    "kimi_k25": "deepseek2", "kimi_linear": "kimi-linear", "glm_moe_dsa": "glm-dsa",
    "glm4_moe": "glm4moe", "glm4_moe_lite": "deepseek2", "chatglm": "chatglm", "glm": "glm4",
    "gpt_oss": "gpt-oss", "phi": "phi2", "phi3_v": "phi3", "phi3small": "phi3",
    "gemma3_text": "gemma3", "gemma4_text": "gemma4", "gemma3n_text": "gemma3n",
    "llama4_text": "llama4", "nemotron_h": "nemotron_h", "nemotron-nas": "deci",
    "granitemoe": "granitemoe", "granitemoehybrid": "granitehybrid", "falcon_h1": "falcon-h1",
    "cohere": "command-r", "olmo3": "olmo2", "ernie4_5": "ernie4_5",
    "ernie4_5_moe": "ernie4_5-moe", "minimax_m2": "minimax-m2", "minimax_m3": "minimax-m3",
    "minimax_m3_vl": "minimax-m3", "mimo": "qwen2", "mimo_v2_flash": "mimo2",
    "step3p7": "step35", "step3p5": "step35", "lfm2_moe": "lfm2moe", "gpt_neox": "gptneox",
    "gpt_bigcode": "starcoder", "stablelm": "stablelm", "exaone4": "exaone4",
    "seed_oss": "seed_oss", "hunyuan_v1_dense": "hunyuan-dense", "hunyuan_v1_moe": "hunyuan-moe",
    "bailing_moe_v2": "bailingmoe2", "bailing_moe": "bailingmoe", "dots1": "dots1",
    "xlm-roberta": "bert", "roberta": "bert", "modernbert": "modern-bert", "unknown": "llama",
}  # fmt: skip
_FUSED_QKV = frozenset(
    {"phi3", "gptneox", "gpt2", "bloom", "mpt", "falcon", "starcoder", "chatglm", "codeshell",
     "jais", "dbrx"}
)  # fmt: skip
_FUSED_UP = frozenset({"phi3", "glm4", "chatglm"})
_SANDWICH = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
_NORMS = {
    **dict.fromkeys(("gemma2", "gemma3", "gemma4", "gemma3n", "glm4"), _SANDWICH),
    **dict.fromkeys(("command-r", "cohere2", "phi2", "gptneox", "falcon"), ("attn_norm",)),
    **dict.fromkeys(("olmo2", "exaone4"), ("post_attention_norm", "post_ffw_norm")),
    **dict.fromkeys(
        ("gpt-oss", "qwen35", "qwen35moe", "qwen3next", "glm4moe"),
        ("attn_norm", "post_attention_norm"),
    ),
    "bert": ("attn_output_norm", "layer_output_norm"),
}
_DEFAULT_NORMS = ("attn_norm", "ffn_norm")
_QK_NORM = frozenset(
    {"qwen3", "qwen3moe", "qwen3vl", "qwen3vlmoe", "qwen3next", "qwen35", "qwen35moe", "gemma3",
     "gemma4", "olmo2", "glm4moe", "minimax-m2", "minimax-m3", "hunyuan-dense", "exaone4",
     "step35"}
)  # fmt: skip
_QKV_BIAS = frozenset({"qwen2", "qwen2vl", "qwen2moe", "gpt-oss", "bert", "glm4moe", "phi2"})


@dataclass(frozen=True, slots=True)
class TensorLayout:
    """Norms per block, fused matrices and biases of an architecture's tensors in a GGUF file."""

    name: str
    norms: tuple[str, ...]
    fused_qkv: bool
    fused_up: bool
    qk_norm: bool
    bias: bool
    expert_bias: bool = False


def gguf_name(model_type: str) -> str:
    """The GGUF architecture of a transformers ``model_type``; unknown ones keep their name."""
    kind = model_type.lower()
    if kind in _NAMES:
        return _NAMES[kind]
    return kind.removesuffix("_text")


def tensor_layout(name: str) -> TensorLayout:
    """The layout of a GGUF architecture or a transformers ``model_type``."""
    gguf = gguf_name(name)
    return TensorLayout(
        name=gguf,
        norms=_NORMS.get(gguf, _DEFAULT_NORMS),
        fused_qkv=gguf in _FUSED_QKV,
        fused_up=gguf in _FUSED_UP,
        qk_norm=gguf in _QK_NORM,
        bias=gguf in _QKV_BIAS,
        expert_bias=gguf == "gpt-oss",
    )
