"""Search words of models: parts of names, and words for kinds of models.

Index and query use the same ``words``. Versions stay whole (``2.5``); the parts of a mixed word are
added (``qwen2.5`` as ``qwen2.5``, ``qwen``, ``2.5``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from modelscan.catalog.purposes import LONG_CONTEXT_TOKENS, PURPOSES, purposes_of

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant

_WORD = re.compile(r"[^\W_]+(?:\.\d+)*", re.UNICODE)
_PLAIN = re.compile(r"[^a-z0-9.]+")
_PACKED = re.compile(
    r"^(?:gguf|mlx|onnx|awq|gptq|bnb|exl[23]?|(?:nv|mx)?fp[48]|[bf]f?p?16|int[48]|[2-8]bit|i?q[2-8]|w\da\d+)$"
)  # weight formats
_RUNS = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
_PARTS = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*", re.UNICODE)
_SIZE = re.compile(
    r"^[ae]?\d[\d.]*(?:x\d+)?[bmtk]$"
)  # 7b, a3b, e4b, 8x7b, 128k: a size, not a version
IDLE = frozenset(
    (
        *("a", "an", "the", "for", "with", "and", "or", "of", "to", "on", "in", "my", "me", "best"),
        *("good", "model", "models", "llm", "llms", "ai", "weights", "language", "license"),
        *("licence", "licensed"),
    )
)
_TASK_WORDS = {
    "chat": "chat text assistant instruct",
    "embedding": "embedding embeddings embed retrieval rag",
    "rerank": "rerank reranker reranking retrieval rag",
    "image": "imagegen image images diffusion drawing",
    "video": "videogen video",
    "speech_to_text": "asr stt speech audio transcription recognition",
    "text_to_speech": "tts speech audio voice synthesis",
}
# Phrases -> one word of the index.
_PHRASES = (
    ("speech to text", "asr"), ("speech recognition", "asr"), ("text to speech", "tts"),
    ("speech synthesis", "tts"), ("text to image", "imagegen"), ("image generation", "imagegen"),
    ("text to video", "videogen"), ("video generation", "videogen"),
    ("long context", "longcontext"), ("vision language", "vision"), ("image to text", "vision"),
    ("image understanding", "vision"), ("video understanding", "videoinput"),
    ("audio understanding", "audioinput"), ("tool use", "tools"), ("tool calling", "tools"),
    ("tool calls", "tools"), ("function call", "function"),
)  # fmt: skip
_INPUTS = {"video": "videoinput", "audio": "audioinput"}
_SMALL_NAMES = frozenset(("small", "mini", "nano", "tiny", "lite", "micro"))
_ABLE = {
    "reasoning": "reasoning thinking think",
    "vision": "vision visual image multimodal vlm",
    "tools": "tools tool function calling agent agentic",
}
COMMON = 20  # a word of this many models is not used as a prefix
FLAGS = {"open": 1, "closed": 2, "tools": 4, "reasoning": 8, "vision": 16}
TINY, SMALL, LARGE = 1_500_000_000, 5_000_000_000, 60_000_000_000


SIZES = frozenset(("tiny", "small", "little", "large", "big"))
KINDS = frozenset(
    word
    for text in (*_TASK_WORDS.values(), *_ABLE.values(), *(p.search for p in PURPOSES))
    for word in text.split()
) | frozenset(
    (*SIZES, *_INPUTS.values(), "longcontext", "moe", "open", "local")
)  # words for kinds of models


def words(text: str) -> list[str]:
    """The words of a text in lower case, in order, each once."""
    return list(dict.fromkeys(w for w in _WORD.findall(text.lower())))


def mark(kind: str, value: str) -> str:
    """A filter's value as one word of the full text: ``license_apache_2.0``."""
    return f"{kind}_{_PLAIN.sub('_', value.lower())}"


def spelling(text: str) -> str:
    """A form common to all spellings of a name: ``Qwen3-8B`` and ``qwen 3 8b`` are ``qwen 3 8
    b``.
    """
    return " ".join(_RUNS.findall(text.lower()))


def letters(name: str) -> str:
    """The letters and digits of a model's name without its lab, to compare with misspelt names."""
    return spelling(name.rpartition("/")[2]).replace(" ", "")


def query_words(text: str) -> list[str]:
    """The significant words of a query; all words if none is significant."""
    plain = f" {' '.join(words(text))} "
    for phrase, word in _PHRASES:
        plain = plain.replace(f" {phrase} ", f" {word} ")
    tokens = words(plain)
    return [w for w in tokens if w not in IDLE] or tokens


def name_tokens(texts: Iterable[str]) -> list[str]:
    """Words of names and parts of mixed words; 3.3 also as 3, ``gemma 3`` also as ``gemma3``."""
    tokens: dict[str, None] = {}
    for text in texts:
        previous = ""
        for word in words(text):
            tokens[word] = None
            for part in word_parts(word) or [word]:
                for number in (part, part.partition(".")[0]) if part[0].isdecimal() else (part,):
                    tokens[number] = None
                    joined = (
                        previous.isalpha() and number[0].isdecimal() and not _SIZE.match(number)
                    )
                    tokens.update({previous + number: None} if joined else {})
                previous = part
    return list(tokens)


def word_parts(word: str) -> list[str]:
    """The parts of a mixed word: ``qwen2.5`` is ``qwen`` and ``2.5``; a size (``3b``) is one
    word.
    """
    parts = [] if _SIZE.match(word) or word[0].isdecimal() else _PARTS.findall(word)
    return parts if len(parts) > 1 else []


def is_packing(word: str) -> bool:
    """True for a weight format (``gguf``, ``awq``, ``q4``), which is not part of a model's name."""
    return bool(_PACKED.match(word))


def lead_words(model: Model) -> list[str]:
    """The words that users type first: the first word of names, family, lab and owner."""
    names = (model.id.rpartition("/")[2], model.name)
    leading: list[str] = []
    for name in names:
        tokens = name_tokens([" ".join(words(name)[:2])])
        leading += [t for t in tokens if t.startswith(next(iter(_RUNS.findall(tokens[0])), t))]
    owners = {text.partition("/")[0] for text in (model.id, *model.repos) if "/" in text}
    leading += words(model.family or "")[:1] + words(model.lab or "")
    leading += [word for owner in sorted(owners) for word in words(owner)]
    return [word for word in dict.fromkeys(leading) if not word.isdecimal()]


def kind_words(model: Model) -> list[str]:
    """The words for a model's kind: task, capabilities, size, weight formats."""
    tokens = set(name_tokens([model.id.rpartition("/")[2], model.name]))
    texts = [
        _TASK_WORDS.get(model.task or "", ""),
        *(text for name, text in _ABLE.items() if getattr(model.capabilities, name)),
        *(word for kind, word in _INPUTS.items() if kind in (model.modalities_in or ())),
        "open local" if model.open_weights else "",
        "moe mixture experts" if model.active_parameters else "",
        *_sizes(model, tokens),
        "longcontext" if (model.limits.context_tokens or 0) >= LONG_CONTEXT_TOKENS else "",
        *(purpose.search for purpose in purposes_of(tokens)),
        *sorted({word for variant in model.variants for word in _packing(variant)}),
    ]
    return list(dict.fromkeys(" ".join(texts).split()))


def _sizes(model: Model, tokens: set[str]) -> list[str]:
    """Size words and their marks: by the parameter count, else by a word of the name."""
    small = model.parameters is None and bool(tokens & _SMALL_NAMES)
    sizes = ["small"] if small else size_words(model.parameters).split()
    return [text for size in sizes for text in (size, mark("size", size))]


def _packing(variant: Variant) -> list[str]:
    """Words for a variant's weight format: ``gguf``, ``awq``, ``q4_k_m``."""
    formats = [variant.format] if variant.format not in ("unknown", "safetensors") else []
    return words(" ".join([*formats, (variant.quantization or "").replace("-", " ")]))


def size_words(parameters: int | None) -> str:
    """Words for a parameter count: tiny, small or large; "" for medium or unknown."""
    if parameters is None:
        return ""
    if parameters <= TINY:
        return "tiny small little"
    if parameters <= SMALL:
        return "small"
    return "large big" if parameters >= LARGE else ""


def deletions(word: str) -> set[str]:
    """All words with one character deleted; two words with one typo between them have one in
    common.
    """
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


def distance(first: str, second: str, limit: int = 3) -> int:
    """The edit distance of two words (insert, delete, replace, swap neighbours), at most
    ``limit``.
    """
    if abs(len(first) - len(second)) >= limit:
        return limit
    previous: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        older, previous, row = previous, row, [i] + [0] * len(second)
        for j, b in enumerate(second, 1):
            row[j] = min(previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                row[j] = min(row[j], older[j - 2] + 1)
    return min(row[-1], limit)
