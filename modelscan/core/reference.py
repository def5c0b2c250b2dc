"""The forms of MODEL: classified by syntax alone, without any lookup."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace

from modelscan.core.errors import UsageError


class Kind(str, enum.Enum):
    """What a model reference refers to."""

    NAME = "name"  # catalog id, part of one, alias, offering id, or a known repository
    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"
    PATH = "path"
    NEIGHBOUR = "neighbour"  # another program's model on this machine


@dataclass(frozen=True, slots=True)
class Reference:
    """``value`` is the name, ``org/repo`` or path; ``revision`` only for hubs.

    ``quantization``: a format at the end of the name, as llama.cpp and Ollama write it.
    """

    kind: Kind
    value: str
    revision: str | None = None
    quantization: str | None = None


_HUB_URL = re.compile(
    r"^(?:https?://)?(?P<host>huggingface\.co|hf\.co|(?:www\.)?modelscope\.(?:cn|ai))/(?:models/)?"
    r"(?P<repo>[\w.-]+/[\w.-]+?)(?:/(?:tree|blob|resolve|files|summary)(?:/(?P<rev>[^/?#]+).*)?)?/?(?:[?#].*)?$"
)
# The format in ORG/REPO:Q4_K_M and qwen3:8b-q4_K_M.
_FORMAT = re.compile(
    r"^(?:(?:ud-)?(?:i?q[1-8]|tq[12])(?:_\w+)?|(?:mx|nv)?fp(?:4|8|16|32)|b?f(?:16|32)|mxfp4_moe|int[48])$",
    re.IGNORECASE,
)
# Ollama's addresses and command lines of its own library, and llama.cpp's option.
_LIBRARY = re.compile(
    r"^(?:(?:https?://)?(?:www\.)?(?:ollama\.com|registry\.ollama\.ai)/(?:library/)?"
    r"|ollama (?:run|pull) |-hf )",
    re.IGNORECASE,
)
NEIGHBOURS = ("ollama:", "lmstudio:")
_SCHEMES = ("hf", "ms", "http", "https")
_REVISION = re.compile(r"^(?!.*\.\.)[\w.+-]+(?:/[\w.+-]+)*$")
_REPO = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")


def parse_reference(text: str) -> Reference:
    """Classify MODEL as hub reference, path or name. Raises UsageError if empty or malformed."""
    value = text.strip()
    if not value:
        raise UsageError("the model name is empty", hint="modelscan catalog search")
    if value.lower().startswith(NEIGHBOURS):
        return Reference(Kind.NEIGHBOUR, value)
    value, quantization = _without_format(_LIBRARY.sub("", value))
    return replace(_classified(value), quantization=quantization)


def _without_format(value: str) -> tuple[str, str | None]:
    """The name without a format after its colon, and the format in upper case.

    ``:latest`` after a repository means the default of the repository; ``@FORMAT`` after a name is
    LM Studio's spelling.
    """
    plain, at, label = value.rpartition("@")
    if at and ":" not in plain and _FORMAT.match(label):
        return plain, label.upper()
    name, colon, tag = value.rpartition(":")
    if not colon or name.lower() in _SCHEMES or _looks_like_path(value):
        return value, None
    if _FORMAT.match(tag):
        return name, tag.upper()
    size, dash, label = tag.rpartition("-")
    if dash and _FORMAT.match(label) and "/" not in tag:
        return f"{name}:{size}", label.upper()
    return (name, None) if tag.lower() == "latest" and "/" in name else (value, None)


def _classified(value: str) -> Reference:
    url = _HUB_URL.match(value)
    if url:
        kind = Kind.MODELSCOPE if "modelscope" in url["host"] else Kind.HUGGINGFACE
        return Reference(kind, url["repo"], url["rev"])
    for prefix, kind in (("hf:", Kind.HUGGINGFACE), ("ms:", Kind.MODELSCOPE)):
        if value.startswith(prefix):
            return _hub_reference(kind, value, value[len(prefix) :])
    if _looks_like_path(value):
        return Reference(Kind.PATH, value)
    return Reference(Kind.NAME, value)


def _hub_reference(kind: Kind, text: str, path: str) -> Reference:
    repo, at, revision = path.partition("@")
    if not _REPO.match(repo) or (at and not _REVISION.match(revision)):
        raise UsageError(
            f"'{text}' is not a repository", hint=f"write {text[:3]}ORG/REPO[@REVISION]"
        )
    return Reference(kind, repo, revision or None)


def _looks_like_path(value: str) -> bool:
    return (
        value.startswith(("/", "./", "../", "~"))
        or value.endswith((".gguf", ".json"))
        or value in (".", "..")
    )
