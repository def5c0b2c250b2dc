"""Answers without the model's reasoning, for routes whose policy says ``reasoning: strip``.

Only the fields of the OpenAI forms that carry reasoning are removed; all other bytes stay.
"""

from __future__ import annotations

import msgspec

from modelscan.gateway.data.answer import RelayedAnswer
from modelscan.gateway.data.upstream import Upstream

FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
_Object = dict[str, msgspec.Raw]
_decode = msgspec.json.Decoder(_Object).decode
_decode_list = msgspec.json.Decoder(list[_Object]).decode
_encode = msgspec.json.Encoder().encode


def without_reasoning(document: bytes) -> bytes:
    """A whole answer, or one event's data, without reasoning; other documents unchanged."""
    if b'"reasoning' not in document:
        return document
    try:
        outer = _decode(document)
        choices = _decode_list(outer["choices"])
        changed = [_strip(choice, part) for choice in choices for part in ("message", "delta")]
    except (msgspec.DecodeError, KeyError, RecursionError):
        return document
    if not any(changed):
        return document
    outer["choices"] = msgspec.Raw(_encode(choices))
    return _encode(outer)


def _strip(choice: _Object, part: str) -> bool:
    if part not in choice or bytes(choice[part]) == b"null":
        return False
    inner = _decode(choice[part])
    removed = [inner.pop(name) for name in FIELDS if name in inner]
    if removed:
        choice[part] = msgspec.Raw(_encode(inner))
    return bool(removed)


class StrippedEvents:
    """An event stream by lines: a field may be cut anywhere by the network."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """The whole lines so far, without reasoning."""
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        return b"".join(_line(line) + b"\n" for line in lines)

    def end(self) -> bytes:
        """What is left without a line's end."""
        rest, self._rest = self._rest, b""
        return _line(rest) if rest else b""


def _line(line: bytes) -> bytes:
    if not line.startswith(b"data:"):
        return line
    data = line[5:].strip()
    changed = without_reasoning(data)
    return line if changed is data else b"data: " + changed


class StrippedAnswer(RelayedAnswer):
    """An answer that loses its reasoning on the way; JSON is held until it is whole."""

    __slots__ = ("_document", "_lines")

    def __init__(self, upstream: Upstream, extra: bytes, old: bool) -> None:
        super().__init__(upstream, extra, old)
        is_stream = upstream.content_type.startswith(b"text/event-stream")
        self._lines = StrippedEvents() if is_stream else None
        self._document: list[bytes] = []
        self._length = -1
        self._hold = not is_stream

    def chunk(self, data: bytes) -> bytes:
        """What to write now."""
        if self._lines is None:
            self._document.append(data)
            return b""
        whole = self._lines.feed(data)
        return super().chunk(whole) if whole else b""

    def end(self, data: bytes, body: bool = True) -> bytes:
        """What to write for the end."""
        if self._lines is None:
            document = b"".join([*self._document, data])
            return super().end(without_reasoning(document), body)
        return super().end(self._lines.feed(data) + self._lines.end(), body)

    def held(self, last: bytes) -> bytes:
        """The whole body so far."""
        return b"".join([*self._document, last])
