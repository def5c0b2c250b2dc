"""Kept texts as chat messages: every dialect's request and answer, whole or streamed. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Message = dict[str, Any]


def request_messages(body: bytes, operation: str = "chat") -> list[Message] | None:
    """The messages of a request for chat, completions, messages or responses; None: another one.

    Pictures, sounds and files are left out; their place says so.
    """
    document = _load(body)
    if document is None:
        return None
    if isinstance(document.get("messages"), list):
        system = document.get("system")
        first = [_message("system", _text(system))] if system else []
        return first + [one for item in document["messages"] for one in _from_item(item)]
    if operation == "responses" and "input" in document:
        system = document.get("instructions")
        first = [_message("system", _text(system))] if system else []
        return first + _from_input(document["input"])
    if isinstance(document.get("prompt"), str):
        return [_message("user", document["prompt"])]
    return None


def offered_tools(body: bytes) -> list[Any]:
    """The tools that a request offers, as it writes them."""
    tools = (_load(body) or {}).get("tools")
    return tools if isinstance(tools, list) else []


def answer_message(answer: bytes) -> Message | None:
    """The first answer of the model; None: it cannot be read."""
    document = _load(answer)
    if document is not None:
        return _whole(document)
    events = list(_events(answer))
    return _streamed(events) if events else None


def _load(data: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _events(answer: bytes) -> Iterator[dict[str, Any]]:
    for line in answer.splitlines():
        if line.startswith(b"data:"):
            event = _load(line[5:])
            if event is not None:
                yield event


def _message(role: str, content: str) -> Message:
    return {"role": role, "content": content}


def _text(content: Any) -> str:
    """The text of a content: a string, or parts of which some are none."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(filter(None, map(_part, content)))
    return ""


def _part(part: Any) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, dict):
        return ""
    text = part.get("text")
    if isinstance(text, str):
        return text
    if part.get("type") in ("tool_use", "tool_result", "thinking", "reasoning"):
        return ""
    return f"({part.get('type', 'part')} left out)"


def _from_item(item: Any) -> Iterator[Message]:
    """The messages of one element: an answer to a tool is a message of its own."""
    if not isinstance(item, dict):
        return
    blocks = item.get("content") if isinstance(item.get("content"), list) else []
    for block in blocks or []:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            yield {**_message("tool", _text(block.get("content"))),
                   "tool_call_id": block.get("tool_use_id")}  # fmt: skip
    message = _message(str(item.get("role", "user")), _text(item.get("content")))
    calls = _calls(item.get("tool_calls")) + _uses(blocks or [])
    if calls:
        message["tool_calls"] = calls
    for name in ("tool_call_id", "name"):
        if isinstance(item.get(name), str):
            message[name] = item[name]
    if message["content"] or calls:
        yield message


def _calls(calls: Any) -> list[dict[str, Any]]:
    rows = []
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            rows.append(_call(call.get("id"), function.get("name"), function.get("arguments")))
    return rows


def _uses(blocks: list[Any]) -> list[dict[str, Any]]:
    return [
        _call(one.get("id"), one.get("name"), one.get("input"))
        for one in blocks
        if isinstance(one, dict) and one.get("type") == "tool_use"
    ]


def _call(number: Any, name: Any, arguments: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"id": number, "type": "function", "function": {"name": name, "arguments": text}}


def _from_input(value: Any) -> list[Message]:
    if isinstance(value, str):
        return [_message("user", value)]
    messages: list[Message] = []
    for item in value if isinstance(value, list) else []:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "function_call":
            call = _call(item.get("call_id"), item.get("name"), item.get("arguments"))
            messages.append({**_message("assistant", ""), "tool_calls": [call]})
        elif kind == "function_call_output":
            answer = _message("tool", _text(item.get("output")))
            messages.append({**answer, "tool_call_id": item.get("call_id")})
        else:
            messages += _from_item(item)
    return messages


def _whole(document: dict[str, Any]) -> Message | None:
    choices = document.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        first = choices[0]
        if isinstance(first.get("text"), str):
            return _message("assistant", first["text"])
        return next(_from_item(first.get("message")), None)
    if isinstance(document.get("output"), list):
        return _joined(_from_input(document["output"]))
    if isinstance(document.get("content"), list):
        return next(_from_item({"role": "assistant", "content": document["content"]}), None)
    return None


def _joined(messages: list[Message]) -> Message | None:
    """One message of the answer's items."""
    if not messages:
        return None
    message = _message("assistant", "\n".join(filter(None, (m["content"] for m in messages))))
    calls = [call for one in messages for call in one.get("tool_calls", [])]
    return {**message, "tool_calls": calls} if calls else message


def _streamed(events: list[dict[str, Any]]) -> Message | None:
    for event in events:
        response = event.get("response")
        if event.get("type") == "response.completed" and isinstance(response, dict):
            return _whole(response)
    if any("choices" in event for event in events):
        return _chat_stream(events)
    return _block_stream(events)


def _chat_stream(events: list[dict[str, Any]]) -> Message:
    text: list[str] = []
    calls: dict[Any, dict[str, Any]] = {}
    for event in events:
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, dict) or choice.get("index", 0) != 0:
            continue
        inner = choice.get("delta")
        delta = inner if isinstance(inner, dict) else choice
        piece = delta.get("content", delta.get("text"))
        text += [piece] if isinstance(piece, str) else []
        for at, part in enumerate(delta.get("tool_calls") or []):
            _add_call(calls, part.get("index", at), part)
    message = _message("assistant", "".join(text))
    return {**message, "tool_calls": list(calls.values())} if calls else message


def _add_call(calls: dict[Any, dict[str, Any]], place: Any, part: dict[str, Any]) -> None:
    function = part.get("function") or {}
    call = calls.setdefault(place, _call(part.get("id"), function.get("name"), ""))
    call["function"]["arguments"] += function.get("arguments") or ""


def _block_stream(events: list[dict[str, Any]]) -> Message | None:
    """Anthropic's stream: blocks that begin, grow and end."""
    blocks: dict[Any, dict[str, Any]] = {}
    for event in events:
        if event.get("type") == "content_block_start":
            blocks[event.get("index")] = {**(event.get("content_block") or {}), "json": ""}
        block = blocks.get(event.get("index"))
        delta = event.get("delta")
        if event.get("type") == "content_block_delta" and block is not None and delta:
            block["text"] = (block.get("text") or "") + (delta.get("text") or "")
            block["json"] += delta.get("partial_json") or ""
    for block in blocks.values():
        if block.get("type") == "tool_use" and block["json"]:
            block["input"] = block["json"]
    content = [block for block in blocks.values() if block.get("type") in ("text", "tool_use")]
    return next(_from_item({"role": "assistant", "content": content}), None)
