"""Module paths of a checkpoint: removal of wrappers, matching of quantizers' patterns."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from functools import lru_cache

_WRAPPERS = ("model.language_model.", "language_model.model.", "language_model.", "model.",
             "backbone.", "thinker.model.")  # fmt: skip


def plain(name: str) -> str:
    """A module path without the wrappers that multimodal models add."""
    for prefix in _WRAPPERS:
        if name.startswith(prefix):
            return name[len(prefix) :]
    return name


@lru_cache(maxsize=65536)
def kept(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether one of a checkpoint's "do not quantize" patterns matches the module path ``name``."""
    return any(_covers(name, pattern) for pattern in patterns)


@lru_cache(maxsize=65536)
def matches(name: str, pattern: str) -> bool:
    """Whether a rule matches the module path ``name``, with or without wrappers."""
    if not pattern.startswith("re:"):
        return _covers(name, pattern)
    compiled = _compiled(pattern[3:])
    if compiled is None:
        return False
    return any(compiled.match(prefix + name) for prefix in ("", *_WRAPPERS))


@lru_cache(maxsize=4096)
def _compiled(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except re.error:
        return None


def _covers(name: str, pattern: str) -> bool:
    if pattern.startswith("re:"):
        compiled = _compiled(pattern[3:].replace("^model\\.", ""))
        return compiled is not None and compiled.search(name) is not None
    short = plain(pattern)
    if "*" in short:
        inside = fnmatchcase(name, short + ".*")  # a module's pattern includes its submodules
        return inside or fnmatchcase(name, short) or fnmatchcase("model." + name, short)
    return name == short or name.startswith(short + ".") or f".{short}." in f".{name}."
