"""Why llama.cpp did not start or ended: its error text, and what to try."""

from __future__ import annotations

import re

from modelscan.engines.base import EngineFailure
from modelscan.engines.failure_rules import rule

_ERROR = re.compile(r"^\s*[\d.]+ E (?P<text>.*)$", re.MULTILINE)
_ABORT = re.compile(r"^.*(?:GGML_ASSERT|GGML_ABORT|terminate called|what\(\):).*$", re.MULTILINE)
_SPACES = re.compile(r"\s+")

RULES = (
    rule("port", r"couldn't bind HTTP server socket", "choose another --port, or leave it out"),
    rule("memory",
         r"(?:failed|unable) to allocate|insufficient memory|out of memory|buffer of size|"
         r"cudaMalloc failed|bad_alloc",
         "deploy it with less --context or --parallel, or a smaller --quantization"),
    rule("files", r"No such file|failed to open GGUF",
         "check that the file still exists, then deploy it again"),
    rule("architecture", r"unknown model architecture|unknown pre-tokenizer|unsupported",
         "pip install --upgrade xllamacpp   (this build does not know the model's architecture)"),
    rule("files", r"invalid magic|magic|corrupt|not within the file bounds|failed to read|tensor",
         "the file is damaged or incomplete: download it again"),
)  # fmt: skip


def failure(log: str) -> EngineFailure | None:
    """The first error line (the cause; later ones follow from it); None without one."""
    lines = [_SPACES.sub(" ", match["text"]).strip() for match in _ERROR.finditer(log)]
    lines = lines or [match.group(0).strip() for match in _ABORT.finditer(log)]
    if not lines:
        return None
    text = "\n".join(lines)
    for one in RULES:
        match = one.pattern.search(text)
        if match is not None:
            return one.failure(lines[0], match)
    return EngineFailure(lines[0], None)
