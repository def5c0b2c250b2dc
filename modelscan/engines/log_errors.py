"""The errors in the log of a Python engine: each exception whole, with its process and its place.

A failed start prints hundreds of lines from several processes: settings and warnings first, then
the error of a worker, then the echoes of its parents. Levels and positions tell them apart.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

MAIN, ENGINE, WORKER = 1, 2, 3  # how deep a process is: a parent repeats its child's error

_LONGEST = 4000  # characters of a line that are looked at
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_PREFIXES = (
    re.compile(r"\((?P<source>[A-Za-z][\w ]{0,60}?) pid=\d+(?:, ip=[\d.]+)?\) ?"),
    re.compile(r"\[[\d:.,T -]{8,}Z?(?P<source>(?: (?:TP|PP|DP|EP)\d+)*)\] ?"),
    re.compile(r"\[(?P<source>rank\d+)\]:? ?"),
    re.compile(r"(?P<level>ERROR|WARNING|WARN|INFO|DEBUG|CRITICAL|FATAL)\b:? ?"),
    re.compile(r"(?:\d{4}-)?\d{2}-\d{2}[ T][\d:.,]{8,}Z?(?:[+-]\d\d:\d\d)? ?"),
    re.compile(r"\[[\w./]+:\d+\] ?"),
    re.compile(r"\w+\.py:\d+\] ?"),
)
_QUIET = frozenset({"WARNING", "WARN", "INFO", "DEBUG"})
_WORKER = re.compile(r"Worker|rank\d|(?:TP|PP|EP)\d", re.IGNORECASE)
_ENGINE = re.compile(r"EngineCore|Engine|Scheduler|Executor|DP\d", re.IGNORECASE)
_HEADER = "Traceback (most recent call last)"
_NAMED = re.compile(r"(?P<name>[A-Za-z_][\w.]*)(?:: (?P<message>.*)|:?)$")
_LOOSE = re.compile(r"(?:^|[\s:])(?P<text>(?:[A-Za-z_][\w.]*\.)?\w*(?:Error|Exception): \S.*)$")
_ASIDE = re.compile(r"Exception in thread |Exception ignored in|Task exception was never retrieved")
_END = re.compile(
    r"For further information|During handling of|The above exception|Traceback|CUDA kernel "
    r"errors|For debugging|Compile with|Set the environment|File \"|$"
)
_DETAILS = {"validation error": 40, "NCCL": 4, "Capture cuda graph failed": 6, "gated repo": 1}
_NO_MESSAGE = re.compile(r"(?:Error|Exception): *$|[Oo]utput: *$")
_BELOW = 4
_TYPE = re.compile(r"\s*\[type=\w+, input_value=.*$")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line without its prefixes. ``quiet``: of a level that is no error."""

    number: int
    source: str
    body: str
    prefixed: bool
    quiet: bool

    @property
    def depth(self) -> int:
        """How deep its process is."""
        if _WORKER.search(self.source):
            return WORKER
        return ENGINE if _ENGINE.search(self.source) else MAIN


@dataclass(frozen=True, slots=True)
class LogError:
    """An exception with its continuation, and the calls that led to it.

    ``aside``: of a thread that the engine does not need.
    """

    number: int
    depth: int
    text: str
    aside: bool = False
    calls: str = ""


@dataclass(slots=True)
class _Traceback:
    line: LogLine
    aside: bool = False
    calls: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Reading:
    """What was read so far: the open tracebacks by process."""

    open: dict[str, _Traceback] = field(default_factory=dict)
    last: str = ""
    aside: bool = False
    next: int = 0  # lines before it belong to an exception


def log_lines(rows: Sequence[str]) -> tuple[LogLine, ...]:
    """Every line without colours and prefixes."""
    return tuple(_line(number, raw) for number, raw in enumerate(rows, 1))


def _line(number: int, raw: str) -> LogLine:
    body, source, level, prefixed = _ANSI.sub("", raw[:_LONGEST]).rstrip(), "", None, False
    while True:
        match = next((m for one in _PREFIXES if (m := one.match(body)) and m.end()), None)
        if match is None:
            return LogLine(number, source, body, prefixed, level in _QUIET)
        groups = match.groupdict()
        source = source or (groups.get("source") or "").strip()
        level = level or groups.get("level")
        body, prefixed = body[match.end() :], True


def log_errors(lines: Sequence[LogLine]) -> tuple[LogError, ...]:
    """Every exception that is not of a quiet level, in the order of the log."""
    return tuple(_errors(lines))


def _errors(lines: Sequence[LogLine]) -> Iterator[LogError]:
    state = _Reading()
    for at, line in enumerate(lines):
        state.aside = state.aside or bool(_ASIDE.search(line.body))
        if _HEADER in line.body:
            if not line.quiet:
                state.open[line.source] = _Traceback(line, state.aside)
            state.last, state.aside = line.source, False
            continue
        source = line.source if line.prefixed else state.last
        traceback = None if line.quiet else state.open.get(source)
        if traceback is not None:
            named = None if line.body.startswith((" ", "\t")) else _NAMED.match(line.body)
            if named is not None:
                del state.open[source]
                state.next = at + 1 + len(_continuation(line.body, lines, at))
                yield _error(lines, at, line.body, traceback)
            else:
                traceback.calls.append(line.body)
            continue
        loose = None if line.quiet or at < state.next else _LOOSE.search(line.body)
        if loose is not None and "Warning: " not in loose["text"]:
            yield _error(lines, at, loose["text"], _Traceback(line, state.aside))


def _error(lines: Sequence[LogLine], at: int, text: str, of: _Traceback) -> LogError:
    whole, calls = whole_text(text, lines, at), "\n".join(of.calls)
    return LogError(lines[at].number, of.line.depth, whole, of.aside, calls)


def whole_text(text: str, lines: Sequence[LogLine], at: int) -> str:
    """The exception with the lines that belong to it: pydantic's errors, NCCL's own lines."""
    more = _continuation(text, lines, at)
    if "validation error" in text and more:
        return _of_pydantic(more)
    return " ".join([text, *(part.strip() for part in more)])


def _continuation(text: str, lines: Sequence[LogLine], at: int) -> list[str]:
    if _NO_MESSAGE.search(text):  # it is on the lines below
        return _message_below(lines, at)
    limit = next((number for word, number in _DETAILS.items() if word in text), 0)
    more: list[str] = []
    for line in lines[at + 1 : at + 1 + limit]:
        if line.source != lines[at].source or line.quiet or _END.match(line.body.lstrip()):
            break
        more.append(line.body)
    return more


def _message_below(lines: Sequence[LogLine], at: int) -> list[str]:
    """The first lines with words after an exception without any, of the same process."""
    near = lines[at + 1 : at + 1 + 2 * _BELOW]
    same = itertools.takewhile(
        lambda line: line.source == lines[at].source and line.prefixed == lines[at].prefixed
        and not line.quiet, near,
    )  # fmt: skip
    return [line.body for line in same if line.body.strip()][:_BELOW]


def _of_pydantic(lines: Sequence[str]) -> str:
    """``Value error, …`` or ``FIELD: …`` for each error, without the values that it repeats."""
    parts: list[str] = []
    place = ""
    for line in lines:
        if not line.startswith(" "):
            place = line.strip()
            continue
        message = _TYPE.sub("", line.strip())
        parts.append(f"{place}: {message}" if place and "Value error" not in message else message)
    return "; ".join(parts)
