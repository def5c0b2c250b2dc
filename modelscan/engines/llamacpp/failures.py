"""Why llama.cpp did not start or ended, in its own words, and what to try."""

from __future__ import annotations

import re

from modelscan.engines.base import Failure, FailureKind

_ERROR = re.compile(r"^\s*[\d.]+ E (?P<text>.*)$", re.MULTILINE)
_ABORT = re.compile(r"^.*(?:GGML_ASSERT|GGML_ABORT|terminate called|what\(\):).*$", re.MULTILINE)
_SPACES = re.compile(r"\s+")

_PORT = re.compile(r"couldn't bind HTTP server socket")
_RULES: tuple[tuple[FailureKind, re.Pattern[str], str], ...] = (
    ("port", _PORT, "choose another --port, or leave it out"),
    ("memory",
     re.compile(r"(?:failed|unable) to allocate|insufficient memory|out of memory|buffer of size|"
                r"cudaMalloc failed|bad_alloc"),
     "deploy it with less --context or --parallel, or a smaller --quantization"),
    ("files", re.compile(r"No such file|failed to open GGUF"),
     "check that the file is still there, then deploy it again"),
    ("architecture", re.compile(r"unknown model architecture|unknown pre-tokenizer|unsupported"),
     "pip install --upgrade xllamacpp   (this build does not know the model's architecture)"),
    ("files",
     re.compile(r"invalid magic|magic|corrupt|not within the file bounds|failed to read|tensor"),
     "the file is damaged or incomplete: download it again"),
)  # fmt: skip


def failure(log: str) -> Failure | None:
    """The first error line (the cause; later ones follow from it); None without any."""
    lines = [_SPACES.sub(" ", match["text"]).strip() for match in _ERROR.finditer(log)]
    lines = lines or [match.group(0).strip() for match in _ABORT.finditer(log)]
    if not lines:
        return None
    text = "\n".join(lines)
    rule = next((rule for rule in _RULES if rule[1].search(text)), None)
    kind, _, hint = rule or (None, None, None)
    return Failure(lines[0], hint, port_taken=bool(_PORT.search(text)), kind=kind)
