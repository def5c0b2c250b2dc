"""Why Ollama did not load a model: from its server's log, or from the error of one answer.

The server writes ``time=… level=ERROR source=sched.go:470 msg="…" error="…"``; its runner, a build
of llama.cpp, writes plain lines between. The server retries with fewer layers on the GPU, so only
the last attempt with an error counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from modelscan.engines.base import EngineFailure, FailureKind
from modelscan.engines.failure_outside import AMD
from modelscan.engines.failure_rules import Advice, Rule, rule
from modelscan.engines.llamacpp import failures as llamacpp
from modelscan.engines.log_text import log_rows

_LONGEST = 4000
_ENTRY = re.compile(r"\btime=\S+ level=(?P<level>[A-Z]+) (?P<rest>.*)$")
_FIELD = re.compile(r'\b(?P<name>msg|error|err)=(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>\S+))')
_ATTEMPT = re.compile(r'msg="?start(?:ing|ed) (?:llama server|llama runner|runner|go runner)')
_OWN = re.compile(r"^(?:Error: |panic: |fatal error: |\{\"error\":|The model you are attempting)")
_NOISE = re.compile(r"^\[GIN|^(?:goroutine |\t|\s+runtime/|r\w+ +0x|created by )")

_UPGRADE = "install a newer Ollama from https://ollama.com/download, then restart its server"
_SMALLER = "deploy it with less --context, or a smaller --quantization"
_HINTS: dict[FailureKind, str] = {
    "build": _UPGRADE, "architecture": _UPGRADE, "package": _UPGRADE, "memory": _SMALLER,
    "option": "leave out the --param that Ollama does not have",
    "driver": "modelscan doctor   (the GPU's driver does not serve this build of Ollama)",
    "crash": f"its runner crashed: {_UPGRADE}",
    "files": "the file is damaged or incomplete: remove the deployment and deploy it again",
}  # fmt: skip

_SERVER = (
    rule("memory", r"requires more system memory \([^)]*\) than is available|request too large for "
         r"system|terminated: signal: killed", _SMALLER),
    rule("build", r"TensileLibrary|invalid device function|Could not initialize Tensile", AMD),
    rule("build", r"[Ii]llegal instruction|0xc000001d",
         "this build of Ollama is made for another processor: see its releases for one for yours"),
    rule("timeout", r"timed out waiting for llama runner",
         "its files load slowly: give it more time with the variable OLLAMA_LOAD_TIMEOUT=15m of "
         "its server"),
    rule("permission", r"permission denied",
         "Ollama's user may not write to the folder that is named: see the variable OLLAMA_MODELS "
         "of its server"),
    rule("port", r"listen tcp \S+: bind: (?:address already in use|Only one usage of each socket)",
         "modelscan discover   (an Ollama server runs already, or another program has its port)"),
    rule("build", r"requires a newer version of Ollama|not supported by your version of Ollama",
         _UPGRADE),
    rule("files", r"digest mismatch",
         "the download was damaged: deploy it again, Ollama downloads it again"),
    rule("files", r"pull model manifest: (?:file does not exist|404)|model '[^']*' not found",
         "modelscan plan MODEL --backend ollama   (the registry has no such name and tag)"),
    rule("disk", r"no space left on device|not enough (?:free )?disk space",
         "free some space on the disk of Ollama's models (the variable OLLAMA_MODELS)"),
)  # fmt: skip


def _as_ollamas(one: Rule) -> Rule:
    """llama.cpp's rule with what helps here: its build is part of Ollama."""
    hint = _HINTS.get(one.kind)
    return one if hint is None else replace(one, advice=Advice(hint))


RULES = (*_SERVER, *(_as_ollamas(one) for one in llamacpp.RULES))
_WEAK = ("driver", "port")  # of llama.cpp's own: another error is the cause if there is one


class _Line(NamedTuple):
    number: int
    text: str
    attempt: int


def failure(log: str) -> EngineFailure | None:
    """The cause of the last attempt with an error; None without one."""
    lines = list(_error_lines(log))
    if not lines:
        return None
    last = [line for line in lines if line.attempt == lines[-1].attempt]
    found = [_explained(line) for line in last]
    named = [one for one in found if one.kind is not None]
    strong = [one for one in named if one.kind not in _WEAK] or named
    return strong[0] if strong else found[-1]


def _explained(line: _Line) -> EngineFailure:
    for one in RULES:
        match = one.pattern.search(line.text)
        if match is not None and one.calls is None:
            return replace(one.failure(line.text, match), line=line.number)
    return EngineFailure(line.text, None, line=line.number)


def _error_lines(log: str) -> Iterator[_Line]:
    """Errors of the server (by level) and of its runner (by words), with their attempt."""
    attempt = 0
    for number, row in enumerate(log_rows(log), 1):
        text = row[:_LONGEST]
        attempt += _ATTEMPT.search(text) is not None
        entry = _ENTRY.search(text)
        if entry is not None:
            if entry["level"] in ("ERROR", "FATAL"):
                yield _Line(number, _message(entry["rest"]), attempt)
        elif _OWN.match(text) or (not _NOISE.match(text) and llamacpp.is_error(text)):
            yield _Line(number, " ".join(text.split())[:300], attempt)


def _message(rest: str) -> str:
    """``msg: error`` of an entry."""
    values = [match["quoted"] or match["plain"] or "" for match in _FIELD.finditer(rest)]
    return ": ".join(" ".join(value.split()) for value in values if value)[:300] or rest[:300]
