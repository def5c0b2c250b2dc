"""A request of the OpenAI Responses API as a chat completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from modelscan.gateway.data.translate.chunks import NULL, given
from modelscan.gateway.data.translate.failure import BadRequest
from modelscan.gateway.data.translate.responses_tools import (
    Tool,
    ToolNames,
    function_name,
    read_tools,
)
from modelscan.gateway.data.translate.sse import encode_json


class _Part(msgspec.Struct):
    """A part of a message, of a tool's output, or of a reasoning item."""

    type: str = ""
    text: str = ""
    refusal: str = ""
    image_url: str | None = None
    file_id: str | None = None


class _Action(msgspec.Struct):
    command: list[str] | None = None


class _Item(msgspec.Struct):
    """An item of the input; one without ``type`` is a message."""

    type: str = "message"
    role: str = "user"
    content: str | list[_Part] | None = None
    summary: list[_Part] | None = None
    id: str = ""
    call_id: str = ""
    name: str = ""
    namespace: str | None = None
    arguments: str = ""
    input: str = ""
    output: msgspec.Raw = NULL
    action: _Action | None = None
    tools: list[Tool] | None = None


class _Reasoning(msgspec.Struct):
    effort: str | None = None


class _TextFormat(msgspec.Struct):
    type: str = "text"
    name: str = "answer"
    schema: msgspec.Raw = NULL
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _TextFormat | None = None


class _ToolChoice(msgspec.Struct):
    type: str = "auto"
    name: str = ""
    namespace: str | None = None
    mode: str = "auto"


class _Request(msgspec.Struct):
    input: str | list[_Item] | None = None
    instructions: str | None = None
    tools: list[Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    reasoning: _Reasoning | None = None
    text: _Text | None = None
    previous_response_id: str | None = None
    conversation: msgspec.Raw = NULL
    background: bool | None = None


_decode = msgspec.json.Decoder(_Request).decode
_decode_output = msgspec.json.Decoder(str | list[_Part]).decode
_RENAMED = {"max_output_tokens": "max_tokens"}
# Read above, or of no meaning at another server; everything else goes on as it is.
_DROPPED = {
    "input", "instructions", "tools", "tool_choice", "reasoning", "text", "previous_response_id",
    "conversation", "background", "store", "include", "prompt_cache_key", "client_metadata",
    "service_tier", "truncation", "metadata", "max_tool_calls", "safety_identifier", "prompt",
    "stream_options", "top_logprobs", "prompt_cache_retention", "context_management",
}  # fmt: skip
_CALLS = ("function_call", "custom_tool_call", "local_shell_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output", "local_shell_call_output")
_TEXTS = ("input_text", "output_text", "text", "summary_text", "reasoning_text")


def to_chat(
    body: bytes, document: Mapping[str, msgspec.Raw]
) -> tuple[dict[str, msgspec.Raw], ToolNames]:
    """The chat completions request for a Responses request, and its tools' names.

    ``document`` are the body's top-level fields; fields that this API does not know are kept.
    Raises BadRequest for what needs an answer that was stored elsewhere.
    """
    try:
        request = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(str(error)) from error
    _refuse_state(request)
    conversation = _Conversation(request.instructions)
    conversation.read(request.input)
    names = read_tools([*(request.tools or ()), *conversation.tools])
    fields = {"messages": conversation.messages(), **_options(request)}
    if names.functions:
        fields |= {"tools": names.functions, **_choice(request.tool_choice)}
    else:
        document = {k: v for k, v in document.items() if k != "parallel_tool_calls"}
    chat = {_RENAMED.get(k, k): v for k, v in document.items() if k not in _DROPPED}
    chat.update({key: msgspec.Raw(encode_json(value)) for key, value in fields.items()})
    return chat, names


def _refuse_state(request: _Request) -> None:
    asked = {
        "previous_response_id": request.previous_response_id is not None,
        "conversation": given(request.conversation),
        "background": bool(request.background),
    }
    for field, refused in asked.items():
        if refused:
            raise BadRequest(
                f"{field} is not supported here: answers are not stored; "
                "send the whole conversation as input",
                field,
                "unsupported_parameter",
            )


def _options(request: _Request) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.reasoning is not None and request.reasoning.effort:
        fields["reasoning_effort"] = request.reasoning.effort
    wanted = request.text.format if request.text is not None else None
    if wanted is None or wanted.type == "text":
        return fields
    if wanted.type != "json_schema":
        return fields | {"response_format": {"type": wanted.type}}
    schema: dict[str, Any] = {"name": wanted.name, "schema": wanted.schema}
    if wanted.strict is not None:
        schema["strict"] = wanted.strict
    return fields | {"response_format": {"type": "json_schema", "json_schema": schema}}


def _choice(choice: str | _ToolChoice | None) -> dict[str, Any]:
    if choice is None or isinstance(choice, str):
        return {"tool_choice": choice} if choice else {}
    if choice.type in ("function", "custom"):
        name = function_name(choice.name, choice.namespace)
        return {"tool_choice": {"type": "function", "function": {"name": name}}}
    return {"tool_choice": choice.mode if choice.type == "allowed_tools" else "auto"}


class _Conversation:
    """The input's items as messages with one leading system message.

    Later system and developer messages become user text, so that the prefix stays as it was.
    """

    def __init__(self, instructions: str | None) -> None:
        self._leading = [instructions] if instructions else []
        self._messages: list[dict[str, Any]] = []
        self._thought = ""
        self.tools: list[Tool] = []

    def messages(self) -> list[dict[str, Any]]:
        system = "\n\n".join(self._leading)
        return (
            [{"role": "system", "content": system}, *self._messages] if system else (self._messages)
        )

    def read(self, items: str | list[_Item] | None) -> None:
        if isinstance(items, str):
            items = [_Item(content=items)]
        for item in items or ():
            self._item(item)

    def _item(self, item: _Item) -> None:
        if item.type == "message":
            self._message(item)
        elif item.type in _CALLS:
            self._call(item)
        elif item.type in _OUTPUTS:
            self._output(item)
        elif item.type == "reasoning":
            self._thought = _text(_parts(item.content)) or _text(_parts(item.summary))
        elif item.type == "additional_tools":
            self.tools += item.tools or []
        elif item.type == "item_reference":
            raise BadRequest(
                "item_reference is not supported here: answers are not stored; send the item",
                "input",
                "unsupported_parameter",
            )

    def _message(self, item: _Item) -> None:
        content = _content(_parts(item.content))
        if item.role not in ("system", "developer"):
            self._messages.append({"role": item.role, "content": content})
            return
        text = _text(_parts(item.content))
        if self._messages:
            self._messages.append({"role": "user", "content": f"<system>\n{text}\n</system>"})
        else:
            self._leading.append(text)

    def _call(self, item: _Item) -> None:
        """Calls in a row belong to one message of the assistant."""
        if not self._messages or self._messages[-1]["role"] != "assistant":
            self._messages.append({"role": "assistant", "content": None})
        message = self._messages[-1]
        name, arguments = _call_of(item)
        function = {"name": name, "arguments": arguments}
        call = {"id": item.call_id or item.id, "type": "function", "function": function}
        message.setdefault("tool_calls", []).append(call)
        if self._thought:
            message.setdefault("reasoning_content", self._thought)
            self._thought = ""

    def _output(self, item: _Item) -> None:
        parts = _output_parts(item.output)
        message = {"role": "tool", "tool_call_id": item.call_id or item.id, "content": _text(parts)}
        self._messages.append(message)
        images = [part for part in parts if part["type"] != "text"]
        if images:
            self._messages.append({"role": "user", "content": images})


def _call_of(item: _Item) -> tuple[str, str]:
    """The function's name and the JSON text of its arguments."""
    if item.type == "custom_tool_call":
        name = function_name(item.name, item.namespace)
        return name, encode_json({"input": item.input}).decode()
    if item.type == "local_shell_call":
        command = (item.action and item.action.command) or []
        return "local_shell", encode_json({"command": command}).decode()
    return function_name(item.name, item.namespace), item.arguments or "{}"


def _output_parts(output: msgspec.Raw) -> list[dict[str, Any]]:
    """A tool's output: a text, parts, or any other JSON, which is sent as its text."""
    try:
        return _parts(_decode_output(output))
    except msgspec.ValidationError:
        return [{"type": "text", "text": bytes(output).decode()}]


def _parts(content: str | list[_Part] | None) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [_part(part) for part in content or ()]


def _part(part: _Part) -> dict[str, Any]:
    if part.type in _TEXTS:
        return {"type": "text", "text": part.text}
    if part.type == "refusal":
        return {"type": "text", "text": part.refusal}
    if part.type == "input_image" and part.image_url:
        return {"type": "image_url", "image_url": {"url": part.image_url}}
    raise BadRequest(
        f"content of type '{part.type}' is not supported by this model's server; "
        "send text or images by URL",
        "input",
    )


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    return _text(parts) if all(part["type"] == "text" for part in parts) else parts


def _text(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in parts if part["type"] == "text")
