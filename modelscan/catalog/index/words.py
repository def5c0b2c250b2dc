"""Words to find models by: tokens of names, and what a person calls a kind of model.

Index and query use the same ``words``. Versions stay whole (``2.5``), and a mixed word is also
entered in its parts (``qwen2.5`` as ``qwen2.5``, ``qwen``, ``2.5``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelscan.core.model import Model, Variant

_WORD = re.compile(r"[^\W_]+(?:\.\d+)*", re.UNICODE)
_PLAIN = re.compile(r"[^a-z0-9.]+")
_PACKED = re.compile(
    r"^(?:gguf|mlx|onnx|awq|gptq|bnb|exl[23]?|(?:nv|mx)?fp[48]|[bf]f?p?16|int[48]|[2-8]bit|i?q[2-8]|w\da\d+)$"
)  # what the weights of a model come packed in
_RUNS = re.compile(r"[^\W\d_]+|\d+", re.UNICODE)
_PARTS = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)*", re.UNICODE)
_SIZE = re.compile(r"^[ae]?\d[\d.]*(?:x\d+)?[bmtk]$")  # 7b, a3b, e4b, 8x7b, 128k: no version
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
    ("long context", "longcontext"), ("vision language", "vision"), ("image to text", "vision"),
    ("image understanding", "vision"), ("video understanding", "videoinput"),
    ("audio understanding", "audioinput"), ("tool use", "tools"), ("tool calling", "tools"),
    ("tool calls", "tools"), ("function call", "function"),
)  # fmt: skip
LONG_CONTEXT_TOKENS = 256_000
_INPUTS = {"video": "videoinput", "audio": "audioinput"}
_SMALL_NAMES = frozenset(("small", "mini", "nano", "tiny", "lite", "micro"))
_ABLE = {
    "reasoning": "reasoning thinking think",
    "vision": "vision visual image multimodal vlm",
    "tools": "tools tool function calling agent agentic",
}
COMMON = 20  # a word of so many models is not taken for the beginning of another
FLAGS = {"open": 1, "closed": 2, "tools": 4, "reasoning": 8, "vision": 16}
TINY, SMALL, LARGE = 1_500_000_000, 5_000_000_000, 60_000_000_000


SIZES = frozenset(("tiny", "small", "little", "large", "big"))
KINDS = frozenset(
    word
    for text in (*_TASK_WORDS.values(), *_ABLE.values(), *(t for _, t in _NAME_WORDS))
    for word in text.split()
) | frozenset(
    (*SIZES, *_INPUTS.values(), "longcontext", "moe", "open", "local")
)  # words that say what a model is for


def words(text: str) -> list[str]:
    """Lower-case words of a query, in order, once each."""
    return list(dict.fromkeys(w for w in _WORD.findall(text.lower())))


def mark(kind: str, value: str) -> str:
    """A filter's value as one word of the full text: ``license_apache_2.0``."""
    return f"{kind}_{_PLAIN.sub('_', value.lower())}"


def spelling(text: str) -> str:
    """What all spellings of a name share: ``Qwen3-8B`` and ``qwen 3 8b`` are ``qwen 3 8 b``."""
    return " ".join(_RUNS.findall(text.lower()))


def letters(name: str) -> str:
    """The letters and digits of a model's own name, without its lab: what typing errors change."""
    return spelling(name.rpartition("/")[2]).replace(" ", "")


def query_words(text: str) -> list[str]:
    """The words of a query that say something; all of them when none does."""
    plain = f" {' '.join(words(text))} "
    for phrase, word in _PHRASES:
        plain = plain.replace(f" {phrase} ", f" {word} ")
    found = words(plain)
    return [w for w in found if w not in IDLE] or found


def name_tokens(texts: Iterable[str]) -> list[str]:
    """Words of names and parts of mixed words; a 3.3 is a 3 too, ``gemma 3`` also ``gemma3``."""
    tokens: dict[str, None] = {}
    for text in texts:
        before = ""
        for word in words(text):
            tokens[word] = None
            for part in word_parts(word) or [word]:
                for number in (part, part.partition(".")[0]) if part[0].isdigit() else (part,):
                    tokens[number] = None
                    joined = before.isalpha() and number[0].isdigit() and not _SIZE.match(number)
                    tokens.update({before + number: None} if joined else {})
                before = part
    return list(tokens)


def word_parts(word: str) -> list[str]:
    """``qwen2.5`` is ``qwen`` and ``2.5``; a size (``3b``, ``a3b``) is one word."""
    parts = [] if _SIZE.match(word) or word[0].isdigit() else _PARTS.findall(word)
    return parts if len(parts) > 1 else []


def is_packing(word: str) -> bool:
    """``gguf``, ``awq``, ``q4``: of the weights, not of the model's name."""
    return bool(_PACKED.match(word))


def lead_words(model: Model) -> list[str]:
    """What a person names first: the word that names begin with, the family, lab and owner."""
    names = (model.id.rpartition("/")[2], model.name)
    said: list[str] = []
    for name in names:
        begun = name_tokens([" ".join(words(name)[:2])])
        said += [t for t in begun if t.startswith(next(iter(_RUNS.findall(begun[0])), t))]
    owners = {text.partition("/")[0] for text in (model.id, *model.repos) if "/" in text}
    said += words(model.family or "")[:1] + words(model.lab or "")
    said += [word for owner in sorted(owners) for word in words(owner)]
    return [word for word in dict.fromkeys(said) if not word.isdigit()]


def kind_words(model: Model) -> list[str]:
    """What a person may call this kind of model."""
    tokens = set(name_tokens([model.id.rpartition("/")[2], model.name]))
    texts = [
        _TASK_WORDS.get(model.task or "", ""),
        *(text for name, text in _ABLE.items() if getattr(model.capabilities, name)),
        *(word for kind, word in _INPUTS.items() if kind in model.modalities_in),
        "open local" if model.open_weights else "",
        "moe mixture experts" if model.active_parameters else "",
        *_sizes(model, tokens),
        "longcontext" if (model.limits.context_tokens or 0) >= LONG_CONTEXT_TOKENS else "",
        *(text for names, text in _NAME_WORDS if tokens & set(names)),
        *sorted({word for variant in model.variants for word in _packing(variant)}),
    ]
    return list(dict.fromkeys(" ".join(texts).split()))


def _sizes(model: Model, tokens: set[str]) -> list[str]:
    """Size words and their marks: by the counted parameters, else by a word of the name."""
    small = model.parameters is None and bool(tokens & _SMALL_NAMES)
    sizes = ["small"] if small else size_words(model.parameters).split()
    return [text for size in sizes for text in (size, mark("size", size))]


def _packing(variant: Variant) -> list[str]:
    """``gguf``, ``awq``, ``q4_k_m``: how weights are packed."""
    packed = [variant.format] if variant.format not in ("unknown", "safetensors") else []
    return words(" ".join([*packed, (variant.quantization or "").replace("-", " ")]))


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
