"""Rules that recognise from a log why a Python engine did not start, and which error is the cause.

Each rule has a kind, a pattern of the error that states the cause, and advice. The cause is the
last error of the deepest process: a worker's error comes before the echoes of its parents, and
lines of a level that is no error (settings, warnings, probes) never count.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modelscan.core.remedy import Remedy
from modelscan.engines.base import EngineFailure, FailureKind
from modelscan.engines.log_errors import MAIN, LogError, LogLine, log_errors, log_lines, whole_text
from modelscan.engines.log_text import last_failure

_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Advice:
    """A hint for the user, and the same as a typed change if there is one."""

    hint: str
    remedy: Remedy | None = None


Advise = Callable[[re.Match[str]], Advice]


@dataclass(frozen=True, slots=True)
class Rule:
    """``pattern`` matches the cause; ``advice`` is fixed, or computed from the match.

    ``calls``: what the traceback must contain as well.
    """

    kind: FailureKind
    pattern: re.Pattern[str]
    advice: Advice | Advise
    calls: re.Pattern[str] | None = None

    def failure(self, reason: str, match: re.Match[str]) -> EngineFailure:
        """The failure that this rule recognizes, with the advice for ``match``."""
        advice = self.advice if isinstance(self.advice, Advice) else self.advice(match)
        return EngineFailure(
            reason, advice.hint, port_taken=self.kind == "port", kind=self.kind,
            remedy=advice.remedy,
        )  # fmt: skip


def rule(
    kind: FailureKind, pattern: str, hint: str | Advise, flags: int = 0, calls: str | None = None
) -> Rule:
    """A rule from its texts."""
    advice = Advice(hint) if isinstance(hint, str) else hint
    return Rule(kind, re.compile(pattern, flags), advice, re.compile(calls) if calls else None)


def changed(kind: FailureKind, pattern: str, remedy: Remedy, note: str = "") -> Rule:
    """A rule with a typed change as its advice."""
    return Rule(kind, re.compile(pattern), Advice(remedy.text() + note, remedy))


def number(text: str | None) -> float | None:
    """``40,960`` and ``5.62`` as numbers; None for an absent group."""
    return float(text.replace(",", "")) if text else None


def recognise(rules: Sequence[Rule], log: str, begins: re.Pattern[str]) -> EngineFailure | None:
    """The cause in the log with its advice; None if the log has no error.

    ``begins``: lines with which a start begins; the last one with an error counts.
    """
    return last_failure(log, begins, lambda rows: _of_start(rules, rows))


def _of_start(rules: Sequence[Rule], rows: Sequence[str]) -> EngineFailure | None:
    lines = log_lines(rows)
    errors = log_errors(lines)
    cause = _cause(rules, errors)
    if cause is not None:
        return _explained(rules, cause, lines)
    plain = _plain(rules, lines)
    if plain is not None or not errors:
        return plain
    return EngineFailure(clean(errors[-1].text), None, line=errors[-1].number)


# A parent process repeats that its child failed; a process that is ended reports it.
_ECHO = re.compile(
    r"Engine core initialization failed|Engine process failed to start|Worker failed|WorkerProc "
    r"initialization failed|EngineCore (?:encountered an issue|failed)|EngineDeadError|"
    r"Engine core proc|Rank \d+ scheduler is dead|^SystemExit|KeyboardInterrupt|CancelledError|"
    r"BrokenPipeError|EOFError|ConnectionResetError|[Cc]onnection closed by peer|ChildFailedError|"
    r"process(?:es)? (?:exited|died|terminated)|RayTaskError|ActorDiedError|"
    r"Child process terminated|ShardCannotStart|Shard \d+ failed to start"
)
# Lines without a level that only sound like an error.
_BENIGN = re.compile(
    r"Ignore import error|is already in use, (?:using|trying)|usage (?:stat|report)|"
    r"[Ff]alling back|[Dd]eprecat|non-default args|server_args=|ServerArgs\(|Initializing a V\d"
)


def _cause(rules: Sequence[Rule], errors: Sequence[LogError]) -> LogError | None:
    """The last error of the deepest process; one about the connection between processes only if
    there is no other, because it follows from the end of one of them."""
    own = [error for error in errors if not _ECHO.search(error.text)]
    own = [error for error in own if not error.aside] or own
    deepest = max((error.depth for error in own), default=0)
    candidates = [error for error in own if error.depth == deepest]
    for error in reversed(candidates):
        if _rule_for(rules, error.text, error.calls, "interconnect") is None:
            return error
    return candidates[-1] if candidates else None


def _rule_for(
    rules: Sequence[Rule], text: str, calls: str, kind: FailureKind | None = None
) -> tuple[Rule, re.Match[str]] | None:
    """The first rule that matches; with ``kind`` only if it has that kind."""
    for one in rules:
        match = one.pattern.search(text)
        if match is not None and (one.calls is None or one.calls.search(calls)):
            return (one, match) if kind in (None, one.kind) else None
    return None


def _explained(rules: Sequence[Rule], error: LogError, lines: Sequence[LogLine]) -> EngineFailure:
    text = error.text
    if "NCCL" in text or "nccl" in text:  # it says why in lines of its own, before
        text += "\n" + "\n".join(one.body for one in lines if "NCCL WARN" in one.body)
    found = _rule_for(rules, text, error.calls)
    if found is None:
        return EngineFailure(clean(error.text), None, line=error.number)
    one, match = found
    detail = match.group(0) if match.start() > len(error.text) else _last_words(error.text)
    failure = replace(one.failure(clean(detail), match), line=error.number)
    return _of_port(failure, error.text, error.depth)


def _last_words(text: str) -> str:
    """What NCCL names as its last error, which is at the end of a long text."""
    head, mark, tail = text.partition("Last error:")
    return tail if mark and tail.strip() else head


def _plain(rules: Sequence[Rule], lines: Sequence[LogLine]) -> EngineFailure | None:
    """The last line without an exception that a rule recognises."""
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at]
        if line.quiet or _BENIGN.search(line.body):
            continue
        text = whole_text(line.body, lines, at)
        found = _rule_for(rules, f"{line.body}\n{text}", "")
        if found is not None:
            failure = replace(found[0].failure(clean(text), found[1]), line=line.number)
            return _of_port(failure, text, line.depth)
    return None


_PORT = re.compile(r"\('[^']*', (\d+)|port:? (\d+)")
_OTHER_SOCKET = re.compile(
    r"TCPStore|server socket has failed|zmq|nccl|dist_init|metrics|rpc", re.I
)


def _of_port(failure: EngineFailure, text: str, depth: int) -> EngineFailure:
    """``port_taken`` only for the address that the server itself binds."""
    if not failure.port_taken:
        return failure
    if depth != MAIN or _OTHER_SOCKET.search(text):
        return replace(
            failure, port_taken=False, hint="start it again: another process had taken a port that "
            "its own processes use among themselves",
        )  # fmt: skip
    match = _PORT.search(text)
    return replace(failure, port=int(match[1] or match[2])) if match else failure


def clean(line: str) -> str:
    """A log line without the prefixes of loggers and process names."""
    text = _PREFIX.sub("", " ".join(line.split()))
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    return _LISTS.split(text, maxsplit=1)[0].rstrip(" .")[:_LONGEST].rstrip(" .")


_PREFIX = re.compile(
    r"^(?:\([\w ]+(?:=\d+)?\)|\[[\d:. T-]{10,}(?: (?:TP|PP|DP)\d+)*\]|"
    r"(?:ERROR|WARNING|INFO|CRITICAL)\b:?|\d{2}-\d{2} [\d:.]{8,}|\[[\w./]+:\d+\]|\w+\.py:\d+\])\s*"
)
_LISTS = re.compile(
    r" Supported architectures:| Must be one of| To allow overriding| For debugging"
    r"| Possible solutions:| \[type=\w+, input_value"
)
