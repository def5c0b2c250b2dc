"""Puts a route's prompts into a request's body: one leading system message, the user's text in its
template. Pure.

Chat templates refuse a second or a later system message (vLLM with Qwen3.5 answers 400), therefore
all of the caller's are joined with the policy's into one at the start. Messages that are not
concerned keep their bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import msgspec

from modelscan.routing.table import Operation, Position

Body = dict[str, msgspec.Raw]
Texts = str | list[msgspec.Raw]  # a content: text, or parts of which some are text
_SYSTEM = ("system", "developer")
_TEXT_PARTS = ("text", "input_text")
_INPUT = "{input}"

_decode_object = msgspec.json.Decoder(Body).decode
_decode_items = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode


class Prompt(NamedTuple):
    """``text``: the system prompt; ``user_template``: text with ``{input}`` for the user's own."""

    text: str | None
    position: Position
    user_template: str | None


class _Kind(msgspec.Struct):
    """The fields that tell messages and parts apart, whatever their values are."""

    role: object = None
    type: object = None


_decode_kind = msgspec.json.Decoder(_Kind).decode


def put_prompt(prompt: Prompt, body: Body, operation: Operation) -> None:
    """Change the body in place. A body of another form than the operation's stays as it is."""
    if prompt.text is not None:
        if operation == "chat":
            _lead_messages(prompt, body)
        elif operation == "messages":
            _lead_field(prompt, body, "system")
        elif operation == "responses":
            _lead_instructions(prompt, body)
    if prompt.user_template is not None:
        key = {"completions": "prompt", "responses": "input"}.get(operation, "messages")
        _wrap(prompt.user_template, body, key)


def _lead_messages(prompt: Prompt, body: Body) -> None:
    messages = _items(body.get("messages"))
    if messages is None:
        return
    rest, system = _split(messages)
    fields = _decode_object(system[0]) if system else {}
    own = [content for one in system if (content := _content(_decode_object(one).get("content")))]
    fields["role"] = msgspec.Raw(b'"system"')
    fields["content"] = _raw(_joined(prompt, own))
    body["messages"] = _raw([_raw(fields), *rest])


def _lead_field(prompt: Prompt, body: Body, key: str) -> None:
    """The system prompt as a field of the body: text, or a list of parts."""
    content = _content(body.get(key))
    body[key] = _raw(_joined(prompt, [content] if content else []))


def _lead_instructions(prompt: Prompt, body: Body) -> None:
    """``instructions``, which are text, together with system messages among the input."""
    own = _content(body.get("instructions"))
    parts: list[Texts] = [own] if own else []
    items = _items(body.get("input"))
    if items is not None:
        rest, system = _split(items)
        contents = (_content(_decode_object(one).get("content")) for one in system)
        parts += [_plain(content) for content in contents if content]
        if system:
            body["input"] = _raw(rest)
    body["instructions"] = _raw(_plain(_joined(prompt, parts)))


def _split(messages: list[msgspec.Raw]) -> tuple[list[msgspec.Raw], list[msgspec.Raw]]:
    """Other messages, and the system messages."""
    system = [one for one in messages if _kind(one).role in _SYSTEM]
    if not system:
        return messages, []
    return [one for one in messages if _kind(one).role not in _SYSTEM], system


def _joined(prompt: Prompt, own: list[Texts]) -> Texts:
    """The policy's text and the caller's, as one text, or as parts if the caller sent parts."""
    text = prompt.text or ""
    if prompt.position == "replace":
        return text
    contents: list[Texts] = [text, *own] if prompt.position == "prepend" else [*own, text]
    if all(isinstance(one, str) for one in contents):
        return "\n\n".join(one for one in contents if isinstance(one, str) and one)
    return [part for one in contents for part in _parts(one)]


def _parts(content: Texts) -> list[msgspec.Raw]:
    if not isinstance(content, str):
        return content
    return [_raw({"type": "text", "text": content})] if content else []


def _plain(content: Texts) -> str:
    """The text of a content, without its other parts."""
    if isinstance(content, str):
        return content
    fields = (_decode_object(one) for one in content if _kind(one).type in _TEXT_PARTS)
    return "\n\n".join(text for one in fields if (text := _text(one.get("text"))))


def _wrap(template: str, body: Body, key: str) -> None:
    """The template around the user's last text."""
    text = None if key == "messages" else _text(body.get(key))
    if text is not None:
        body[key] = _raw(template.replace(_INPUT, text))
        return
    messages = _items(body.get(key))
    at = _last(messages, lambda kind: kind.role == "user")
    if messages is None or at is None:
        return
    fields = _decode_object(messages[at])
    content = _content(fields.get("content"))
    if content is not None:
        fields["content"] = _raw(_wrapped(template, content))
        messages[at] = _raw(fields)
        body[key] = _raw(messages)


def _wrapped(template: str, content: Texts) -> Texts:
    if isinstance(content, str):
        return template.replace(_INPUT, content)
    at = _last(content, lambda kind: kind.type in _TEXT_PARTS)
    if at is None:
        return content
    fields = _decode_object(content[at])
    fields["text"] = _raw(template.replace(_INPUT, _text(fields.get("text")) or ""))
    return [*content[:at], _raw(fields), *content[at + 1 :]]


def _last(items: list[msgspec.Raw] | None, matches: Callable[[_Kind], bool]) -> int | None:
    count = len(items or ())
    return next((i for i in reversed(range(count)) if matches(_kind((items or [])[i]))), None)


def _kind(value: msgspec.Raw) -> _Kind:
    try:
        return _decode_kind(value)
    except msgspec.DecodeError:
        return _Kind()


def _items(value: msgspec.Raw | None) -> list[msgspec.Raw] | None:
    try:
        return None if value is None else _decode_items(value)
    except msgspec.DecodeError:
        return None


def _text(value: msgspec.Raw | None) -> str | None:
    try:
        return None if value is None else _decode_text(value)
    except msgspec.DecodeError:
        return None


def _content(value: msgspec.Raw | None) -> Texts | None:
    text = _text(value)
    return text if text is not None else _items(value)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(_encode(value))
