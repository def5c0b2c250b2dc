"""Token counts and the finish reason, read from the last bytes of an answer that passes through."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

_KEEP = 4096
_LIMIT = 16_384
_BRACES = re.compile(rb"[{}]")
_USUAL = frozenset(
    (
        "stop", "length", "tool_calls", "content_filter", "function_call", "end_turn", "tool_use",
        "max_tokens", "stop_sequence",
    )
)  # fmt: skip
_FINISH = re.compile(rb'"(?:finish_reason|stop_reason)"\s*:\s*"([a-z_]{1,40})"')


Tokens = Annotated[int, msgspec.Meta(ge=0, le=2**40)]
"""A count that an answer may state; a server that states another one states none."""


class _Details(msgspec.Struct):
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None


class _Usage(msgspec.Struct):
    """The forms of OpenAI's chat and responses, and of Anthropic's messages."""

    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None
    cache_read_input_tokens: Tokens | None = None
    cache_creation_input_tokens: Tokens | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    """A whole answer of chat, completions, embeddings or messages."""

    usage: _Usage
    choices: tuple[_Choice, ...] = ()
    stop_reason: str | None = None


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one request; None: the answer does not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None


UNKNOWN = TokenUsage()
_decode = msgspec.json.Decoder(_Usage).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class Tail:
    """The first piece and the last bytes of an answer."""

    __slots__ = ("_first", "_parts", "_size")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0
        self._first = b""

    def add(self, data: bytes) -> None:
        """The next bytes of the answer."""
        if self._size + len(data) > _LIMIT:
            self._shorten()
            if len(data) > _LIMIT:
                self._first = self._first or data[:_KEEP]
                data = data[-_KEEP:]
        self._parts.append(data)
        self._size += len(data)

    def _shorten(self) -> None:
        joined = b"".join(self._parts)
        if joined and not self._first:
            self._first = joined[:_KEEP]  # Anthropic's streams state input tokens at the start
        tail = joined[-_KEEP:]
        self._parts, self._size = [tail], len(tail)

    def read(self) -> tuple[TokenUsage, str | None]:
        """The counts and the finish reason."""
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._first:
            data = self._first + b"\n" + data
        elif data[:1] == b"{":
            try:
                return _of_whole(_decode_answer(data), data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # another form: only what is searched for is read
        return read_usage(data), read_finish(data)


def _of_whole(answer: _Answer, data: bytes) -> tuple[TokenUsage, str | None]:
    """The same of an answer that is one object: a quarter of the time of a search."""
    finish = answer.choices[-1].finish_reason if answer.choices else answer.stop_reason
    return _merged(UNKNOWN, answer.usage), finish if finish in _USUAL else read_finish(data)


def read_finish(data: bytes) -> str | None:
    """The last finish reason that is a string."""
    end = len(data)
    for name in (b'"finish_reason"', b'"stop_reason"'):
        at = data.rfind(name)
        while at >= 0:
            found = _FINISH.match(data, at, min(end, at + 80))
            if found is not None:
                return found.group(1).decode()
            at = data.rfind(name, max(0, at - _KEEP), at)
    return None


def read_usage(data: bytes) -> TokenUsage:
    """The counts of the last ``usage`` object; what it lacks comes from the one before."""
    end = len(data)
    usage = UNKNOWN
    for _ in range(3):
        at = data.rfind(b'"usage"', 0, end)
        if at < 0:
            break
        found = _object_after(data, at + 7)
        if found is not None:
            usage = _merged(usage, found)
            if usage.input_tokens is not None and usage.output_tokens is not None:
                break
        end = at
    return usage


def _object_after(data: bytes, start: int) -> _Usage | None:
    """The object behind ``"usage"``: shallow, and no string in it has a brace."""
    begin = data.find(b"{", start, start + 8)
    end = _closing(data, begin) if begin >= 0 else 0
    if not end:
        return None
    try:
        return _decode(data[begin:end])
    except msgspec.DecodeError:
        return None


def _closing(data: bytes, begin: int) -> int:
    """Where the object that begins there ends; 0: it does not."""
    first = data.find(b"}", begin, begin + _KEEP)
    if first >= 0 and data.find(b"{", begin + 1, first) < 0:
        return first + 1  # nothing nested, as in most answers
    depth = 0
    for brace in _BRACES.finditer(data, begin, begin + _KEEP):
        depth += 1 if brace.group() == b"{" else -1
        if depth == 0:
            return brace.end()
    return 0


def _merged(later: TokenUsage, found: _Usage) -> TokenUsage:
    into = found.prompt_tokens_details or found.input_tokens_details
    out = found.completion_tokens_details or found.output_tokens_details
    cached = found.cache_read_input_tokens if into is None else into.cached_tokens
    reasoning = None if out is None else out.reasoning_tokens
    prompt, completion = found.prompt_tokens, found.completion_tokens
    usage = TokenUsage(
        _all_input(found) if prompt is None else prompt,
        found.output_tokens if completion is None else completion,
        cached,
        reasoning,
    )
    return usage if later is UNKNOWN else _filled(later, usage)


def _all_input(found: _Usage) -> int | None:
    """Messages count tokens that come from the cache, or go there, apart from the others."""
    if found.input_tokens is None or found.input_tokens_details is not None:
        return found.input_tokens
    cache = (found.cache_read_input_tokens or 0) + (found.cache_creation_input_tokens or 0)
    return found.input_tokens + cache


def _filled(later: TokenUsage, before: TokenUsage) -> TokenUsage:
    """``later`` with what it lacks from ``before``."""
    pairs = zip(msgspec.structs.astuple(later), msgspec.structs.astuple(before), strict=True)
    return TokenUsage(*(old if new is None else new for new, old in pairs))
