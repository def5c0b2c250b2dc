"""The name of a deployment: which names are valid, and the one that a model gives."""

from __future__ import annotations

import re

from modelscan.core.errors import UsageError

MAX_NAME = 63
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]*$")
_NOT_IN_NAME = re.compile(r"[^a-z0-9._-]+")


def check_name(name: str) -> str:
    """The name, if valid; raises UsageError with the nearest valid name."""
    if _NAME.match(name) and len(name) <= MAX_NAME:
        return name
    raise UsageError(
        f"'{name}' is not a name for a deployment: lower-case letters, digits, '.', '_' and '-', "
        f"at most {MAX_NAME}, starting with a letter or digit",
        hint=f"--name {derive_name(name)}",
        code="bad_name",
    )


def derive_name(text: str) -> str:
    """A deployment's name from a model's id or name: ``Qwen/Qwen3-8B-GGUF`` -> qwen3-8b-gguf.

    A version of the registry (``acme/coder@2``) is left out: the next one takes its place.
    """
    last = text.partition("@")[0].rstrip("/").rsplit("/", 1)[-1].lower().removesuffix(".gguf")
    name = _NOT_IN_NAME.sub("-", last).strip("-._")[:MAX_NAME].strip("-._")
    return name or "model"
