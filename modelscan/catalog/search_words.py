"""Words to find models by: tokens of names, and what a person calls a kind of model.

Index and query use the same ``words``. Versions stay whole (``2.5``), and a mixed word is also
entered in its parts (``qwen2.5`` as ``qwen2.5``, ``qwen``, ``2.5``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.model import Model

_WORD = re.compile(r"[^\W_]+(?:\.\d+)*", re.UNICODE)
_PLAIN = re.compile(r"[^a-z0-9.]+")
_RUNS = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
_PARTS = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*", re.UNICODE)
_IDLE = frozenset(
    (
        *("a", "an", "the", "for", "with", "and", "or", "of", "to", "on", "in", "my", "me", "best"),
        *("good", "model", "models", "llm", "llms", "ai", "weights"),
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
_NAME_WORDS = (
    (("coder", "code", "codestral", "devstral", "starcoder", "codegemma", "codellama", "codex"),
     "code coding coder programming generation"),
    (("math", "mathstral"), "math mathematics"),
    (("translate", "translategemma", "mt"), "translation translate"),
    (("guard", "safeguard", "safety", "shield"), "safety moderation guard"),
    (("ocr",), "ocr documents"),
    (("med", "medgemma"), "medical"),
)  # fmt: skip
# What people write in several words -> one word of the index.
_PHRASES = (
    ("speech to text", "asr"), ("speech recognition", "asr"), ("text to speech", "tts"),
    ("speech synthesis", "tts"), ("text to image", "imagegen"), ("image generation", "imagegen"),
    ("text to video", "videogen"), ("video generation", "videogen"),
    ("long context", "longcontext"),
)  # fmt: skip
LONG_CONTEXT_TOKENS = 256_000
_ABLE = {
    "reasoning": "reasoning thinking think",
    "vision": "vision visual image multimodal vlm",
    "tools": "tools tool function calling agent agentic",
}
COMMON = 20  # a word of so many models is not taken for the beginning of another
FLAGS = {"open": 1, "closed": 2, "tools": 4, "reasoning": 8, "vision": 16}
TINY, SMALL, LARGE = 1_500_000_000, 5_000_000_000, 60_000_000_000


_SIZES = ("tiny", "small", "little", "large", "big", "longcontext")
KINDS = frozenset(
    word
    for text in (*_TASK_WORDS.values(), *_ABLE.values(), *(t for _, t in _NAME_WORDS))
    for word in text.split()
) | frozenset((*_SIZES, "moe", "open", "local"))  # words that say what a model is for


def words(text: str) -> list[str]:
    """Lower-case words of a query, in order, once each."""
    return list(dict.fromkeys(w for w in _WORD.findall(text.lower())))


def mark(kind: str, value: str) -> str:
    """A filter's value as one word of the full text: ``license_apache_2.0``."""
    return f"{kind}_{_PLAIN.sub('_', value.lower())}"


def spelling(text: str) -> str:
    """What all spellings of a name share: ``Qwen3-8B`` and ``qwen 3 8b`` are ``qwen 3 8 b``."""
    return " ".join(_RUNS.findall(text.lower()))


def query_words(text: str) -> list[str]:
    """The words of a query that say something; all of them when none does."""
    plain = " ".join(words(text))
    for phrase, word in _PHRASES:
        plain = plain.replace(phrase, word)
    found = words(plain)
    return [w for w in found if w not in _IDLE] or found


def name_tokens(texts: Iterable[str]) -> list[str]:
    """Words of names, and the parts of mixed words."""
    tokens: dict[str, None] = {}
    for text in texts:
        for word in words(text):
            tokens[word] = None
            parts = _PARTS.findall(word)
            if len(parts) > 1:
                tokens.update(dict.fromkeys(parts))
    return list(tokens)


def kind_words(model: Model) -> list[str]:
    """What a person may call this kind of model."""
    can, said = model.capabilities, [_TASK_WORDS.get(model.task or "", "")]
    said.extend(text for name, text in _ABLE.items() if getattr(can, name))
    said.append("open local" if model.open_weights else "")
    said.append("moe mixture experts" if model.active_parameters else "")
    said.append(size_words(model.parameters))
    long = (model.limits.context_tokens or 0) >= LONG_CONTEXT_TOKENS
    said.append("longcontext" if long else "")
    tokens = set(name_tokens([model.id, model.name]))
    said.extend(text for names, text in _NAME_WORDS if tokens & set(names))
    return list(dict.fromkeys(" ".join(said).split()))


def size_words(parameters: int | None) -> str:
    """tiny, small or large; nothing between or when unknown."""
    if parameters is None:
        return ""
    if parameters <= TINY:
        return "tiny small little"
    if parameters <= SMALL:
        return "small"
    return "large big" if parameters >= LARGE else ""


def deletions(word: str) -> set[str]:
    """The word with one character left out, each way: two words one typo apart share one."""
    return {word[:i] + word[i + 1 :] for i in range(len(word))}


def distance(first: str, second: str, limit: int = 3) -> int:
    """Edits between two words (insert, delete, replace, swap neighbours), at most ``limit``."""
    if abs(len(first) - len(second)) >= limit:
        return limit
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        older, before, row = before, row, [i] + [0] * len(second)
        for j, b in enumerate(second, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                row[j] = min(row[j], older[j - 2] + 1)
    return min(row[-1], limit)
