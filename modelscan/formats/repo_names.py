"""Splits repository names into base name, quantization and format, and into comparable tokens.

``Qwen/Qwen2.5-72B-Instruct-GPTQ-Int4`` has the base name ``Qwen2.5-72B-Instruct``, the format
safetensors and the quantization GPTQ-Int4. Tokens separate digits from letters, so that
``qwen2-5-72b``, ``Qwen2.5 72B`` and ``qwen2.5:72b`` are equal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TOKEN = re.compile(r"[a-z]+|\d+")
_BRACKETS = re.compile(r"\s*[(\[][^)\]]*[)\]]")

# (pattern at the end of a name, format, quantization): the first match is removed, repeatedly.
_GGUF_TYPE = r"(?:ud-)?i?q[2-8](?:_[a-z0-9]+)*"
_SUFFIXES: tuple[tuple[str, str | None, str | None], ...] = (
    (r"gguf", "gguf", None),
    (r"mlx", "mlx", None),
    (r"onnx(?:-web)?", "onnx", None),
    (r"exl[23](?:[-_][\d.]+bpw)?", "exl", "EXL"),
    (r"(?:unsloth-)?bnb-4bit", None, "BNB-4bit"),
    (r"bnb-8bit", None, "BNB-8bit"),
    (r"(?:4bit-)?awq(?:-w4a16|-4bit|-int4|-marlin|-asym|-sym)*", None, "AWQ"),
    (r"awq-(?:8bit|int8)", None, "AWQ-8bit"),
    (r"gptq-?(?:int|w)?4(?:bit|a16)?(?:-\d+g)?(?:-actorder[\w.-]*)?", None, "GPTQ-Int4"),
    (r"gptq-?(?:int|w)?8(?:bit|a16)?", None, "GPTQ-Int8"),
    (r"int4-gptq|gptq|gptqmodel-4bit", None, "GPTQ-Int4"),
    (r"(?:w4a16-|int4-)?auto-?round(?:-awq|-gptq)?", None, "AutoRound"),
    (r"(?:modelopt-)?nvfp4(?:a16)?(?:-fp8)?(?:-dynamic)?", None, "NVFP4"),
    (r"mxfp4(?:a16)?(?:-moe)?", None, "MXFP4"),
    (r"mxfp8", None, "MXFP8"),
    (r"fp4", None, "FP4"),
    (r"fp8(?:[-_](?:dynamic|block|static|kv|e4m3|tensorwise|128))*", None, "FP8"),
    (r"(?:quantized\.|compressed-)?w8a8(?:-fp8|-int8)?", None, "W8A8"),
    (r"(?:quantized\.|compressed-)?w4a16(?:-g128)?", None, "W4A16"),
    (r"quantized\.w8a16", None, "W8A16"),
    (r"w4a8|w4a4|w4afp8", None, "W4A8"),
    (r"(?:quantized-)?int8", None, "INT8"),
    (r"(?:quantized-)?int4", None, "INT4"),
    (r"hqq(?:-\dbit)?", None, "HQQ"),
    (r"aqlm[\w-]*", None, "AQLM"),
    (r"(?:qat-)?" + _GGUF_TYPE, None, "*"),
    (r"([2-8])-?bit(?:-dwq|-ud)?", None, "*"),
    (r"bf16", None, "BF16"),
    (r"fp16|f16", None, "FP16"),
    (r"qat", None, "QAT"),
)  # fmt: skip
_COMPILED = tuple(
    (re.compile(rf"[-_.](?:{pattern})$", re.IGNORECASE), kind, label)
    for pattern, kind, label in _SUFFIXES
)


@dataclass(frozen=True, slots=True)
class RepoName:
    """A repository name, split. ``quantization`` None: the weights as released."""

    base: str
    format: str | None
    quantization: str | None

    @property
    def derived(self) -> bool:
        """True if the name states that the weights were converted from others."""
        return self.format is not None or self.quantization is not None


@lru_cache(maxsize=65536)
def split_repo_name(name: str) -> RepoName:
    """Remove format and quantization words from the end of a repository name (without owner)."""
    base, kind, label = name, None, None
    while True:
        for pattern, suffix_kind, suffix_label in _COMPILED:
            match = pattern.search(base)
            if match and match.start() > 1:
                word = match.group()[1:]
                kind = kind or suffix_kind
                label = label or (_free_label(word) if suffix_label == "*" else suffix_label)
                base = base[: match.start()]
                break
        else:
            return RepoName(base, kind, label)


def _free_label(word: str) -> str:
    text = word.lower()
    if "bit" in text:
        return text[0] + "bit"
    return word.upper().removeprefix("QAT-")


@lru_cache(maxsize=65536)
def tokens(text: str) -> tuple[str, ...]:
    """Runs of letters and runs of digits, in lower case, in order."""
    return tuple(_TOKEN.findall(text.lower()))


@lru_cache(maxsize=65536)
def key(text: str) -> str:
    """A key that is equal for all spellings of a name; without quantization and format words."""
    return " ".join(tokens(split_repo_name(text).base))


def clean_display_name(name: str) -> str:
    """``Qwen: Qwen3 VL 32B (retires Oct 9)`` -> ``Qwen3 VL 32B``."""
    return _BRACKETS.sub("", name.rpartition(": ")[2]).strip()


def owner(repo: str) -> str:
    """The organization of ``org/name``, in lower case."""
    return repo.partition("/")[0].lower()


def short(identifier: str) -> str:
    """The part after the last slash."""
    return identifier.rpartition("/")[2]
