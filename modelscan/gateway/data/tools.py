"""The tools that a model called, by name: read from its answer as that passes through. Pure."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from modelscan.core.receipt import ToolUse
from modelscan.gateway.data.usage import Tail

_MARKS = (b'"tool_calls"', b'"tool_use"', b'"function_call"')
_MOST_KEPT = 1024 * 1024
_MOST_TOOLS = 64
_LONGEST_NAME = 128
_decode = msgspec.json.Decoder().decode


class ToolTail(Tail):
    """Of an answer that may call tools, also the lines with a call's name."""

    __slots__ = ("_kept", "_lines", "_rest")

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = []
        self._rest = b""
        self._kept = 0

    def add(self, data: bytes) -> None:
        """The next bytes of the answer."""
        super().add(data)
        whole, line_end, rest = data.rpartition(b"\n")
        if not line_end:
            if len(self._rest) < _MOST_KEPT:
                self._rest += data
            return
        self._keep(self._rest + whole)
        self._rest = rest

    def _keep(self, lines: bytes) -> None:
        if b'"name"' in lines and self._kept < _MOST_KEPT:
            self._lines.append(lines)
            self._kept += len(lines)

    def tools(self) -> tuple[ToolUse, ...]:
        """The called tools, in the order of their first call."""
        self._keep(self._rest)
        self._rest = b""
        return tool_uses(b"\n".join(self._lines)) if self._lines else ()


def tool_uses(answer: bytes) -> tuple[ToolUse, ...]:
    """The tools that an answer calls: chat completions, messages or responses, whole or streamed.

    A call is counted once, by its place or its id, however often a stream repeats its name.
    """
    calls: dict[object, str] = {}
    for document in _documents(answer):
        _chat_calls(document, calls)
        _message_calls(document, calls)
        _response_calls(document, calls)
    counts = Counter(name[:_LONGEST_NAME] for name in calls.values())
    return tuple(ToolUse(name, count) for name, count in counts.items())[:_MOST_TOOLS]


def _documents(answer: bytes) -> list[dict[str, Any]]:
    text = answer.lstrip()
    parts = [text] if text.startswith(b"{") else [
        line[5:] for line in text.splitlines() if line.startswith(b"data:")
    ]  # fmt: skip
    documents = []
    for part in parts:
        if any(mark in part for mark in _MARKS):
            try:
                document = _decode(part)
            except (msgspec.DecodeError, RecursionError):
                continue
            if isinstance(document, dict):
                documents.append(document)
    return documents


def _objects(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _note(calls: dict[object, str], place: object, name: Any) -> None:
    if isinstance(name, str) and name:
        calls.setdefault(place, name)


def _chat_calls(document: dict[str, Any], calls: dict[object, str]) -> None:
    for number, choice in enumerate(_objects(document.get("choices"))):
        place = choice.get("index", number)
        message = _object(choice.get("delta")) or _object(choice.get("message"))
        for at, call in enumerate(_objects(message.get("tool_calls"))):
            where = ("chat", place, call.get("index", at))
            _note(calls, where, _object(call.get("function")).get("name"))
        _note(calls, ("old", place), _object(message.get("function_call")).get("name"))


def _message_calls(document: dict[str, Any], calls: dict[object, str]) -> None:
    blocks = _objects(document.get("content"))
    blocks += _objects([document.get("content_block")])
    for at, block in enumerate(blocks):
        if block.get("type") == "tool_use":
            _note(calls, ("messages", block.get("id", at)), block.get("name"))


def _response_calls(document: dict[str, Any], calls: dict[object, str]) -> None:
    items = _objects(document.get("output")) + _objects([document.get("item")])
    items += _objects(_object(document.get("response")).get("output"))
    for at, item in enumerate(items):
        if item.get("type") == "function_call":
            _note(calls, ("responses", item.get("call_id") or item.get("id", at)), item.get("name"))
