"""SGLang's parsers of tool calls and thinking by family; the version's table decides which exist.

Sources: the SGLang cookbook and the detectors' docstrings of 0.5.23. Of several names the first
that the version has is used.
"""

from __future__ import annotations

from modelscan.engines.parsers import Parsers

_QWEN_TOOLS, _CODER, _R1 = ("qwen", "qwen25"), ("qwen3_coder",), ("deepseek-r1",)

PARSERS: dict[str, Parsers] = {
    "deepseek-r1-distill": Parsers((), _R1), "deepseek-r1": Parsers(("deepseekv3",), _R1),
    "deepseek-v3": Parsers(("deepseekv3",)),
    "deepseek-v3.1": Parsers(("deepseekv31",), ("deepseek-v3",)),
    "deepseek-v3.2": Parsers(("deepseekv32",), ("deepseek-v3",)),
    "deepseek-v4": Parsers(("deepseekv4",), ("deepseek-v4",)),
    "deepseek-v4.1": Parsers(("deepseekv41",), ("deepseek-v41",)),
    "qwen3": Parsers(_QWEN_TOOLS, ("qwen3",)), "qwen2.5": Parsers(_QWEN_TOOLS),
    "qwen3-instruct": Parsers(_QWEN_TOOLS, ("qwen3-thinking", "deepseek-r1")),
    "qwen3-thinking": Parsers(_QWEN_TOOLS, ("qwen3-thinking", "deepseek-r1")),
    "qwen3-coder": Parsers(_CODER), "qwen3.5": Parsers(_CODER, ("qwen3",)),
    "glm-4.5": Parsers(("glm45",), ("glm45",)), "glm-4.7": Parsers(("glm47",), ("glm45",)),
    "kimi-k2": Parsers(("kimi_k2",), ("kimi_k2",)), "kimi-k3": Parsers(("kimi_k3",), ("kimi_k3",)),
    "minimax-m2": Parsers(("minimax-m2",), ("minimax-append-think", "minimax")),
    "minimax-m3": Parsers(("minimax-m3",), ("minimax-m3",)),
    "gpt-oss": Parsers(("gpt-oss",), ("gpt-oss",)), "gemma-4": Parsers(("gemma4",), ("gemma4",)),
    "mistral": Parsers(("mistral",), ("mistral",)), "llama-4": Parsers(("pythonic",)),
    "llama-3": Parsers(("llama3",)), "nemotron-3": Parsers(_CODER, ("nemotron_3",)),
    "step-3.5": Parsers(("step3p5",), ("step3p5",)), "step-3": Parsers(("step3",), ("step3",)),
    "hunyuan-a13b": Parsers(("hunyuan",), ("hunyuan",)),
    "hy-3": Parsers(("hunyuan",), ("hunyuan",)),
    "intern-s1": Parsers(("interns1",), ("interns1",)), "intern-s2": Parsers(_CODER, ("qwen3",)),
    "lfm-2": Parsers(("lfm2",)), "mimo-v2-flash": Parsers(("mimo",), ("qwen3",)),
    "mimo-v2.5": Parsers(("mimo",), ("mimo", "qwen3")),
    "apertus": Parsers(("apertus2509",), ("apertus2509",)),
    "gigachat-3": Parsers(("gigachat3",)), "laguna": Parsers(("poolside_v1",), ("poolside_v1",)),
    "trinity": Parsers(("trinity", "qwen3_coder"), _R1),
    "inkling": Parsers(("inkling",), ("inkling",)), "muse-glimmer": Parsers(("muse",), ("muse",)),
    "k2-horizon": Parsers(("k2_horizon",), ("k2_horizon",)),
    "ring-2.5": Parsers(("qwen", "qwen25"), _R1), "ling-3": Parsers(("ling3",), ("ling3",)),
    "minicpm-5": Parsers(("minicpm5",)),
    "command-a": Parsers(("cohere_command4",), ("cohere_command4",)),
    "mellum-2": Parsers(_QWEN_TOOLS, ("qwen3",)), "falcon-h1r": Parsers((), _R1),
    "hermes": Parsers(("hermes", "qwen25")), "smollm-3": Parsers(("hermes", "qwen25")),
    "phi-4-reasoning": Parsers((), _R1), "exaone-4": Parsers(("hermes",), ("qwen3",)),
    "k-exaone": Parsers(("hermes",), ("qwen3",)),
}  # fmt: skip
