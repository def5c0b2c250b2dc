"""The family of a chat model, which decides the format of its tool calls and its thinking.

From its names, the most specific pattern of any first, as a hosted id may say less than a
repository; for a model with a name of its own, from its class.
The formats are those of the chat templates that the families publish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

_NO_CHAT = re.compile(r"\b(base|embedding|reranker|reward|pt)\b|guard\b")
_THINKS = re.compile(r"thinking|reason|magistral|r1\b")


class Family(NamedTuple):
    """``name`` is a key of the engines' tables of parsers; ``thinks``: its answers may start with
    a thinking part, which a parser separates.
    """

    name: str
    thinks: bool = True


# (pattern of the name, family, whether it thinks: None: if its name says so)
_NAMES: tuple[tuple[str, str, bool | None], ...] = (
    (r"r1-distill", "deepseek-r1-distill", True),
    (r"deepseek-v4\.1", "deepseek-v4.1", True), (r"deepseek-v4", "deepseek-v4", True),
    (r"deepseek-v3\.2", "deepseek-v3.2", True), (r"deepseek-v3\.1", "deepseek-v3.1", True),
    (r"deepseek-r1", "deepseek-r1", True), (r"deepseek-v3", "deepseek-v3", False),
    (r"qwen3-coder", "qwen3-coder", False), (r"qwen3\.[5-9]", "qwen3.5", True),
    (r"qwen3.*(instruct|vl-)", "qwen3-instruct", None), (r"qwen3-next", "qwen3-instruct", None),
    (r"qwen3.*thinking", "qwen3-thinking", True), (r"qwen3(?!-(tts|asr|omni))", "qwen3", True),
    (r"qwq", "qwen3-thinking", True), (r"qwen2\.5.*instruct", "qwen2.5", False),
    (r"glm-(5|4\.7)", "glm-4.7", True), (r"glm-4\.[56]", "glm-4.5", True),
    (r"kimi-k3", "kimi-k3", True), (r"kimi-k2(\.|-thinking)", "kimi-k2", True),
    (r"kimi-(k2|linear)", "kimi-k2", False), (r"minimax-m3", "minimax-m3", True),
    (r"minimax-m2", "minimax-m2", True), (r"gpt-oss", "gpt-oss", True),
    (r"functiongemma", "functiongemma", False), (r"gemma-4", "gemma-4", True),
    (r"mistral-small-[4-9]|mistral-medium-[4-9]", "mistral", True),
    (r"(mistral|ministral|devstral|magistral|mixtral).*(instruct|small|medium|large|2\d\d\d)"
     r"|devstral|magistral|mistral-(small|medium|large)", "mistral", None),
    (r"llama-4", "llama-4", False), (r"llama-3\.[123].*instruct", "llama-3", False),
    (r"granite-4", "granite-4", False), (r"granite-3", "granite-3", False),
    (r"nemotron-3|nemotron-cascade", "nemotron-3", True), (r"step-3\.[5-9]", "step-3.5", True),
    (r"step-?3", "step-3", True), (r"hunyuan-a13b", "hunyuan-a13b", True),
    (r"\bhy4\b", "hy-4", True), (r"\bhy3\b", "hy-3", True), (r"seed-oss", "seed-oss", True),
    (r"ernie-4\.5.*thinking", "ernie-4.5", True), (r"intern-s2", "intern-s2", True),
    (r"intern-s1", "intern-s1", True), (r"internlm[23]", "internlm", False),
    (r"lfm2", "lfm-2", False), (r"olmo-3", "olmo-3", None), (r"phi-4-mini", "phi-4-mini", False),
    (r"jamba", "jamba", False), (r"xlam", "xlam", False), (r"longcat", "longcat", False),
    (r"mimo-v2-flash", "mimo-v2-flash", True), (r"mimo-v2", "mimo-v2.5", True),
    (r"apertus", "apertus", False), (r"gigachat3", "gigachat-3", False),
    (r"laguna", "laguna", True), (r"trinity", "trinity", None), (r"inkling", "inkling", True),
    (r"muse-glimmer", "muse-glimmer", True), (r"k2-horizon", "k2-horizon", True),
    (r"ring-2\.5", "ring-2.5", True), (r"(ling|ring)-3", "ling-3", True),
    (r"plamo-3", "plamo-3", True), (r"minicpm5", "minicpm-5", False),
    (r"mellum2", "mellum-2", None), (r"command-a", "command-a", None),
    (r"falcon-h1r", "falcon-h1r", True), (r"hermes-[234]", "hermes", False),
    (r"phi-4-reasoning", "phi-4-reasoning", True), (r"smollm3", "smollm-3", False),
    (r"k-exaone", "k-exaone", True), (r"exaone-4", "exaone-4", True),
)  # fmt: skip
_PATTERNS = tuple((re.compile(pattern), name, thinks) for pattern, name, thinks in _NAMES)
# Classes that only one family has; others (Llama, Qwen2, Mistral …) have many.
_CLASSES = {
    "GptOssForCausalLM": Family("gpt-oss"), "DeepseekV32ForCausalLM": Family("deepseek-v3.2"),
    "DeepseekV4ForCausalLM": Family("deepseek-v4"), "MiniMaxM2ForCausalLM": Family("minimax-m2"),
    "MiniMaxM3SparseForCausalLM": Family("minimax-m3"),
    "MiniMaxM3SparseForConditionalGeneration": Family("minimax-m3"),
    "Glm4MoeForCausalLM": Family("glm-4.5"), "Glm4vMoeForConditionalGeneration": Family("glm-4.5"),
    "GlmMoeDsaForCausalLM": Family("glm-4.7"), "Glm4MoeLiteForCausalLM": Family("glm-4.7"),
    "KimiK25ForConditionalGeneration": Family("kimi-k2"),
    "KimiK3ForConditionalGeneration": Family("kimi-k3"), "Qwen3ForCausalLM": Family("qwen3"),
    "Qwen3MoeForCausalLM": Family("qwen3"), "Qwen3NextForCausalLM": Family("qwen3-instruct", False),
    "Qwen3_5ForConditionalGeneration": Family("qwen3.5"),
    "Qwen3_5MoeForConditionalGeneration": Family("qwen3.5"),
    "Gemma4ForConditionalGeneration": Family("gemma-4"), "SeedOssForCausalLM": Family("seed-oss"),
    "Step3p5ForCausalLM": Family("step-3.5"), "Step3p7ForConditionalGeneration": Family("step-3.5"),
    "HunYuanMoEV1ForCausalLM": Family("hunyuan-a13b"), "HYV3ForCausalLM": Family("hy-3"),
    "Llama4ForConditionalGeneration": Family("llama-4", False),
    "MiMoV2FlashForCausalLM": Family("mimo-v2-flash"), "Lfm2ForCausalLM": Family("lfm-2", False),
    "Lfm2MoeForCausalLM": Family("lfm-2", False), "JambaForCausalLM": Family("jamba", False),
    "ApertusForCausalLM": Family("apertus", False),
}  # fmt: skip


def is_no_chat(names: Iterable[str]) -> bool:
    """Whether a name says that a model is not for chats: a base model, an embedding …"""
    return any(_NO_CHAT.search(name) for name in _plain(names))


def _plain(names: Iterable[str]) -> list[str]:
    return [re.sub(r"[_ ]", "-", name.lower()) for name in names]


def family_of(names: Iterable[str], classes: Iterable[str]) -> Family | None:
    """The family of a chat model; None if neither its names nor its classes tell.

    ``names``: its id and repository; those that say that it is no chat model have no family.
    """
    return _family_of(tuple(names), tuple(classes))


@lru_cache(maxsize=16_384)  # a routing table of ten thousand entries is made again and again
def _family_of(names: tuple[str, ...], classes: tuple[str, ...]) -> Family | None:
    plain = _plain(names)
    if is_no_chat(plain):
        return None
    for pattern, family, thinks in _PATTERNS:
        if any(pattern.search(name) for name in plain):
            says_so = any(_THINKS.search(name) for name in plain)
            return Family(family, says_so if thinks is None else thinks)
    return next((_CLASSES[name] for name in classes if name in _CLASSES), None)
