"""A streamed answer with its arrival times as one measurement. Pure.

The definitions (seconds; ``t0`` is before the request is written, on an open connection):

ttft_s    first event with content, reasoning or tool calls, minus t0
ttfo_s    first event with visible content or tool calls, minus t0
e2e_s     last such event minus t0;  total_s: [DONE] or the end of the body, minus t0
tpot_s    (last - first such event) / (n - 1), where n is usage.completion_tokens; None for n < 2
chunk_gaps_s  between such events: between tokens only where their number is n

A comment, an event with only a role, a finish reason or the usage is no token.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

ErrorClass = Literal["status", "timeout", "broken", "empty"]
MOST_TEXT = 1 << 20  # characters of an answer that are kept for its checks
_S = 1e-9


class Arrival(NamedTuple):
    """A part of the answer's body and when it arrived (nanoseconds of a monotonic clock)."""

    at_ns: int
    data: bytes


class StreamEvent(NamedTuple):
    """The data of one server-sent event, and when the last line of it was complete."""

    at_ns: int
    data: bytes


@dataclass(frozen=True, slots=True)
class EngineTimings:
    """What llama.cpp measured for one request: seconds and tokens."""

    prompt_s: float
    prompt_tokens: int
    predicted_s: float
    predicted_tokens: int

    @property
    def tpot_s(self) -> float | None:
        """Seconds per token after the first; recomputed, since builds divide by n or by n - 1."""
        tokens = self.predicted_tokens
        return self.predicted_s / (tokens - 1) if tokens > 1 else None


@dataclass(slots=True)
class RequestResult:
    """One request. ``error`` None: it was answered in full. Unknown is None.

    ``completion_tokens`` come from the server's usage, never from a guess. ``events`` is the number
    of events with tokens.
    """

    error: ErrorClass | None = None
    reason: str | None = None
    status: int | None = None
    started_s: float = 0.0
    ended_s: float = 0.0
    ttft_s: float | None = None
    ttfo_s: float | None = None
    e2e_s: float | None = None
    total_s: float | None = None
    tpot_s: float | None = None
    chunk_gaps_s: tuple[float, ...] = ()
    events: int = 0
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str | None = None
    served_model: str | None = None
    timings: EngineTimings | None = None
    text: str = ""
    case: str = ""  # which prompt of the workload it was

    @property
    def queue_s(self) -> float | None:
        """The part of ``ttft_s`` before the engine computed the prompt; from its own timings."""
        if self.ttft_s is None or self.timings is None:
            return None
        return max(0.0, self.ttft_s - self.timings.prompt_s)

    @property
    def new_prompt_tokens(self) -> int | None:
        """Tokens of the prompt that were computed."""
        if self.prompt_tokens is None:
            return None
        return max(0, self.prompt_tokens - (self.cached_tokens or 0))


def sse_events(parts: Iterable[Arrival]) -> Iterator[StreamEvent]:
    """The events with data of a body, whatever pieces it came in; lines end with LF or CRLF.

    An event that the end of the body cut off is not one.
    """
    data: list[bytes] = []
    rest, at_ns = b"", 0
    for part in parts:
        text = part.data
        # Nearly every part is one line of data and an empty one.
        is_event = text.startswith(b"data: ") and text.find(b"\n") == len(text) - 2
        if is_event and text.endswith(b"\n\n") and not (rest or data or b"\r" in text):
            yield StreamEvent(part.at_ns, text[6:-2])
            continue
        lines = (rest + text).split(b"\n")
        rest = lines.pop()
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                data.append(line[5:].removeprefix(b" "))
                at_ns = part.at_ns
            elif not line and data:
                yield StreamEvent(at_ns, b"\n".join(data))
                data = []


class _Delta(msgspec.Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: Any = None
    finish_reason: Any = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None
    timings: Any = None
    error: Any = None
    model: Any = None
    object: Any = None
    message: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


@dataclass(slots=True)
class _Reading:
    """What the events of one answer showed so far; times in nanoseconds."""

    result: RequestResult
    token_ns: list[int] = field(default_factory=list)
    visible_ns: int | None = None
    done_ns: int | None = None
    texts: list[str] = field(default_factory=list)
    fault: str | None = None

    def event(self, event: StreamEvent) -> None:
        if event.data.rstrip() == b"[DONE]":
            self.done_ns = event.at_ns
            return
        try:
            chunk = _decode(event.data)
        except msgspec.DecodeError as error:
            self.fault = self.fault or f"an event is no chunk of an answer ({error})"
            return
        failure = chunk.error or (chunk.message if chunk.object == "error" else None)
        if failure:
            self.fault = self.fault or f"the server ended the answer: {failure!s:.200}"
        self._facts(chunk)
        visible = hidden = False
        for choice in chunk.choices or ():
            if self._visible(choice):
                visible = True
            elif _is_thought(choice):
                hidden = True
        if visible or hidden:
            self.token_ns.append(event.at_ns)
        if visible and self.visible_ns is None:
            self.visible_ns = event.at_ns

    def _facts(self, chunk: _Chunk) -> None:
        result = self.result
        if isinstance(chunk.model, str) and chunk.model:
            result.served_model = chunk.model
        if isinstance(chunk.timings, dict):
            result.timings = engine_timings(chunk.timings) or result.timings
        if isinstance(chunk.usage, dict):
            _read_usage(result, chunk.usage)

    def _visible(self, choice: _Choice) -> bool:
        """Whether it has text or tool calls; the text and a finish reason are noted."""
        if isinstance(choice.finish_reason, str):
            self.result.finish_reason = choice.finish_reason
        delta = choice.delta
        content = choice.text if delta is None else delta.content or choice.text
        if isinstance(content, list):
            content = _text_of_parts(content)
        if isinstance(content, str) and content:
            self.texts.append(content)
        return bool(content) or (delta is not None and bool(delta.tool_calls))


def _text_of_parts(parts: list[Any]) -> str:
    """The visible text of a content in parts, as Mistral's models stream it next to thinking."""
    texts = [one.get("text") for one in parts if isinstance(one, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _is_thought(choice: _Choice) -> bool:
    delta = choice.delta
    if delta is None:
        return False
    parts = delta.content if isinstance(delta.content, list) else ()
    in_parts = any(isinstance(one, dict) and one.get("thinking") for one in parts)
    return bool(delta.reasoning_content or delta.reasoning or in_parts)


def measured(t0_ns: int, parts: Iterable[Arrival], end_ns: int) -> RequestResult:
    """The measurement of an answer whose body ended, completely, at ``end_ns``."""
    return measured_events(t0_ns, sse_events(parts), end_ns)


def measured_events(t0_ns: int, events: Iterable[StreamEvent], end_ns: int) -> RequestResult:
    """Like ``measured``, from events that are separated already."""
    reading = _Reading(RequestResult(status=200))
    for event in events:
        reading.event(event)
    return _finished(reading, t0_ns, end_ns)


def _finished(reading: _Reading, t0_ns: int, end_ns: int) -> RequestResult:
    result, tokens = reading.result, reading.token_ns
    ended = reading.done_ns or end_ns
    result.started_s, result.total_s = t0_ns * _S, (ended - t0_ns) * _S
    result.ended_s = (tokens[-1] if tokens else ended) * _S
    result.events = len(tokens)
    result.text = "".join(reading.texts)[:MOST_TEXT]
    if tokens:
        first, last = tokens[0], tokens[-1]
        result.ttft_s, result.e2e_s = (first - t0_ns) * _S, (last - t0_ns) * _S
        result.chunk_gaps_s = tuple(
            (after - before) * _S for before, after in itertools.pairwise(tokens)
        )
        if reading.visible_ns is not None:
            result.ttfo_s = (reading.visible_ns - t0_ns) * _S
        if (result.completion_tokens or 0) > 1:
            result.tpot_s = (last - first) * _S / ((result.completion_tokens or 0) - 1)
    result.error, result.reason = _error(reading)
    return result


def _error(reading: _Reading) -> tuple[ErrorClass | None, str | None]:
    """The class of a failed answer, and why."""
    if reading.fault is not None:
        return "broken", reading.fault
    if not reading.token_ns:
        return "empty", "the answer had no token"
    if reading.done_ns is None and reading.result.finish_reason is None:
        return "broken", "the stream ended without a finish reason and without [DONE]"
    return None, None


def failed(
    error: ErrorClass, reason: str, t0_ns: int, end_ns: int, status: int | None = None
) -> RequestResult:
    """A request that got no complete answer."""
    return RequestResult(
        error, reason, status, started_s=t0_ns * _S, ended_s=end_ns * _S,
        total_s=(end_ns - t0_ns) * _S,
    )  # fmt: skip


def engine_timings(value: Mapping[str, Any]) -> EngineTimings | None:
    """llama.cpp's ``timings`` object; None if it is incomplete."""
    names = ("prompt_ms", "prompt_n", "predicted_ms", "predicted_n")
    numbers = [value.get(name) for name in names]
    if not all(_is_amount(number) for number in numbers):
        return None
    prompt_ms, prompt, predicted_ms, predicted = (float(number or 0) for number in numbers)
    return EngineTimings(prompt_ms / 1000, int(prompt), predicted_ms / 1000, int(predicted))


def _read_usage(result: RequestResult, usage: Mapping[str, Any]) -> None:
    """Note the counts; what a later usage leaves out stays as an earlier one had it."""
    result.prompt_tokens = _count(usage.get("prompt_tokens"), result.prompt_tokens)
    result.completion_tokens = _count(usage.get("completion_tokens"), result.completion_tokens)
    prompt, completion = (
        usage.get(name) for name in ("prompt_tokens_details", "completion_tokens_details")
    )
    if isinstance(prompt, dict):
        result.cached_tokens = _count(prompt.get("cached_tokens"), result.cached_tokens)
    if isinstance(completion, dict):
        reasoning = completion.get("reasoning_tokens")
        result.reasoning_tokens = _count(reasoning, result.reasoning_tokens)


def _count(value: object, before: int | None = None) -> int | None:
    return int(value) if _is_amount(value) and isinstance(value, (int, float)) else before


def _is_amount(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1e15
