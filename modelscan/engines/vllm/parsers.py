"""vLLM's parsers of tool calls and thinking by family; the version's table decides which exist.

Sources: the recipes of vllm-project/recipes and the parsers' docstrings of 0.33.0. Of several names
the first that the version has is used.
"""

from __future__ import annotations

from modelscan.engines.parsers import Parsers

_HERMES, _CODER = ("hermes",), ("qwen3_coder", "qwen3_xml")
_QWEN, _R1 = ("qwen3", "deepseek_r1"), ("deepseek_r1",)

PARSERS: dict[str, Parsers] = {
    "deepseek-r1-distill": Parsers((), _R1), "deepseek-r1": Parsers(("deepseek_v3",), _R1),
    "deepseek-v3": Parsers(("deepseek_v3",)),
    "deepseek-v3.1": Parsers(("deepseek_v31",), ("deepseek_v3",)),
    "deepseek-v3.2": Parsers(("deepseek_v32",), ("deepseek_v3",)),
    "deepseek-v4": Parsers(("deepseek_v4",), ("deepseek_v4",)),
    "deepseek-v4.1": Parsers(("deepseek_v41",), ("deepseek_v41",)),
    "qwen3": Parsers(_HERMES, _QWEN), "qwen3-instruct": Parsers(_HERMES, _R1),
    "qwen3-thinking": Parsers(_HERMES, _R1), "qwen3-coder": Parsers(_CODER),
    "qwen3.5": Parsers(_CODER, ("qwen3",)), "qwen2.5": Parsers(_HERMES),
    "glm-4.5": Parsers(("glm45",), ("glm45",)), "glm-4.7": Parsers(("glm47",), ("glm45",)),
    "kimi-k2": Parsers(("kimi_k2",), ("kimi_k2",)), "kimi-k3": Parsers(("kimi_k3",), ("kimi_k3",)),
    "minimax-m2": Parsers(("minimax_m2",), ("minimax_m2_append_think", "minimax_m2")),
    "minimax-m3": Parsers(("minimax_m3",), ("minimax_m3",)),
    "gpt-oss": Parsers(("openai",), ("openai_gptoss",)),
    "functiongemma": Parsers(("functiongemma",)),
    "gemma-4": Parsers(("gemma4",), ("gemma4",)), "mistral": Parsers(("mistral",), ("mistral",)),
    "llama-4": Parsers(("llama4_pythonic", "pythonic")), "llama-3": Parsers(("llama3_json",)),
    "granite-4": Parsers(("granite4", "granite")), "granite-3": Parsers(("granite",)),
    "nemotron-3": Parsers(_CODER, ("nemotron_v3",)),
    "step-3.5": Parsers(("step3p5",), ("step3p5",)), "step-3": Parsers(("step3",), ("step3",)),
    "hunyuan-a13b": Parsers(("hunyuan_a13b",), ("hunyuan_a13b",)),
    "hy-3": Parsers(("hy_v3",), ("hy_v3",)), "hy-4": Parsers(("hy_v4",), ("hy_v4",)),
    "seed-oss": Parsers(("seed_oss",), ("seed_oss",)),
    "ernie-4.5": Parsers(("ernie45",), ("ernie45",)), "intern-s2": Parsers(_CODER, ("qwen3",)),
    "internlm": Parsers(("internlm",)), "lfm-2": Parsers(("lfm2",)),
    "olmo-3": Parsers(("olmo3",), ("olmo3",)), "phi-4-mini": Parsers(("phi4_mini_json",)),
    "jamba": Parsers(("jamba",)), "xlam": Parsers(("xlam",)), "longcat": Parsers(("longcat",)),
    "mimo-v2-flash": Parsers(("qwen3_xml",), ("qwen3",)),
    "mimo-v2.5": Parsers(("mimo",), ("mimo", "qwen3")), "apertus": Parsers(("apertus",)),
    "gigachat-3": Parsers(("gigachat3",)), "laguna": Parsers(("poolside_v1",), ("poolside_v1",)),
    "trinity": Parsers(_CODER, _R1), "inkling": Parsers(("inkling",), ("inkling",)),
    "muse-glimmer": Parsers(("muse_glimmer",), ("muse_glimmer",)),
    "k2-horizon": Parsers(("k2_horizon",), ("k2_horizon",)), "ring-2.5": Parsers((), _R1),
    "ling-3": Parsers(("ling3",), ("ling3",)), "plamo-3": Parsers(("plamo3",), ("plamo3",)),
    "minicpm-5": Parsers(("minicpm5",)), "mellum-2": Parsers(_HERMES, _QWEN),
    "command-a": Parsers(("cohere_command4", "cohere_command3"),
                         ("cohere_command4", "cohere_command3")),
    "falcon-h1r": Parsers((), _R1), "hermes": Parsers(_HERMES),
    "phi-4-reasoning": Parsers((), _R1), "smollm-3": Parsers(_HERMES),
    "exaone-4": Parsers(_HERMES, _R1), "k-exaone": Parsers(_HERMES, ("deepseek_v3",)),
    "intern-s1": Parsers(("internlm",), _R1),
}  # fmt: skip
