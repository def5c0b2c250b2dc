"""A request of the Anthropic Messages API as a chat completions request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from modelscan.gateway.data.translate.chunks import NULL, given
from modelscan.gateway.data.translate.failure import BadRequest
from modelscan.gateway.data.translate.sse import encode_json

Document = dict[str, msgspec.Raw]
_EMPTY = msgspec.Raw(b"{}")


class _Source(msgspec.Struct):
    """Where an image or a document is: in the request, or behind a URL."""

    type: str = ""
    media_type: str = "image/png"
    data: str = ""
    url: str = ""


class _Block(msgspec.Struct):
    """One content block; which fields have a meaning depends on ``type``."""

    type: str
    text: str = ""
    thinking: str = ""
    source: _Source | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = _EMPTY
    tool_use_id: str = ""
    tool_name: str = ""
    is_error: bool = False
    content: str | list[_Block] | None = None


class _Turn(msgspec.Struct):
    """One message of the conversation."""

    role: str
    content: str | list[_Block] | None = None


class _Tool(msgspec.Struct):
    """A client's tool; server tools have no ``input_schema``."""

    name: str = ""
    description: str = ""
    input_schema: msgspec.Raw = NULL


class _ToolChoice(msgspec.Struct):
    type: str = "auto"
    name: str = ""
    disable_parallel_tool_use: bool = False


class _OutputFormat(msgspec.Struct):
    type: str = ""
    schema: msgspec.Raw = _EMPTY


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _OutputFormat | None = None


class _Request(msgspec.Struct):
    messages: list[_Turn]
    system: str | list[_Block] | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    output_config: _OutputConfig | None = None
    output_format: _OutputFormat | None = None


_decode = msgspec.json.Decoder(_Request).decode
_RENAMED = {"stop_sequences": "stop"}
# Read above, or of no meaning at another server; everything else goes on as it is.
_DROPPED = {
    "messages", "system", "tools", "tool_choice", "output_config", "output_format", "metadata",
    "context_management", "thinking", "cache_control", "container", "mcp_servers", "betas",
    "anthropic_version", "anthropic_beta", "stream_options", "inference_geo", "speed",
}  # fmt: skip
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_EFFORTS = {"max": "high", "xhigh": "high"}
_BILLING = "x-anthropic-billing-header"  # changes with every request: it would spoil prompt caches


def to_chat(body: bytes, document: Mapping[str, msgspec.Raw]) -> Document:
    """The chat completions request for a Messages request.

    ``document`` are the body's top-level fields; fields that this API does not know are kept.
    Raises BadRequest for what chat completions cannot express.
    """
    try:
        request = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise BadRequest(str(error)) from error
    chat = {_RENAMED.get(k, k): v for k, v in document.items() if k not in _DROPPED}
    chat.update({key: _raw(value) for key, value in _fields(request).items()})
    return chat


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(encode_json(value))


def _fields(request: _Request) -> dict[str, Any]:
    fields: dict[str, Any] = {"messages": _messages(request), **_tools(request)}
    config = request.output_config or _OutputConfig()
    if config.effort:
        fields["reasoning_effort"] = _EFFORTS.get(config.effort, config.effort)
    wanted = config.format or request.output_format
    if wanted is not None and wanted.type == "json_schema":
        schema = {"name": "answer", "schema": wanted.schema, "strict": True}
        fields["response_format"] = {"type": "json_schema", "json_schema": schema}
    return fields


def _tools(request: _Request) -> dict[str, Any]:
    tools = [_function(tool) for tool in request.tools or () if given(tool.input_schema)]
    if not tools:
        return {}
    choice = request.tool_choice
    if choice is None:
        return {"tools": tools}
    fields: dict[str, Any] = {"tools": tools, "tool_choice": _CHOICES.get(choice.type, "auto")}
    if choice.type == "tool":
        fields["tool_choice"] = {"type": "function", "function": {"name": choice.name}}
    if choice.disable_parallel_tool_use:
        fields["parallel_tool_calls"] = False
    return fields


def _function(tool: _Tool) -> dict[str, Any]:
    function = {
        "name": tool.name, "description": tool.description, "parameters": tool.input_schema,
    }  # fmt: skip
    return {"type": "function", "function": function}


def _blocks(content: str | list[_Block] | None) -> list[_Block]:
    return [_Block("text", text=content)] if isinstance(content, str) else content or []


def _messages(request: _Request) -> list[dict[str, Any]]:
    """The conversation with one leading system message.

    A system message in the conversation joins the leading one while there is no answer yet, since
    as a user message it would be the one that is answered; later ones keep the prefix stable.
    """
    system = [b.text for b in _blocks(request.system) if not b.text.startswith(_BILLING)]
    messages: list[dict[str, Any]] = []
    answered = False
    for turn in request.messages:
        blocks = _blocks(turn.content)
        if turn.role == "assistant":
            answered = True
            messages.append(_assistant(blocks))
        elif turn.role == "system":
            text = _joined(blocks)
            if answered:
                messages.append({"role": "user", "content": f"<system>\n{text}\n</system>"})
            else:
                system.append(text)
        else:
            messages += _user(blocks)
    leading = "\n\n".join(text for text in system if text)
    return [{"role": "system", "content": leading}, *messages] if leading else messages


def _assistant(blocks: list[_Block]) -> dict[str, Any]:
    calls = [_call(block) for block in blocks if block.type == "tool_use"]
    text = _joined([block for block in blocks if block.type == "text"])
    message: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    thought = "".join(block.thinking for block in blocks if block.type == "thinking")
    if thought and calls:  # models are trained with their reasoning only inside a tool loop
        message["reasoning_content"] = thought
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: _Block) -> dict[str, Any]:
    function = {"name": block.name, "arguments": bytes(block.input).decode()}
    return {"id": block.id or "call_none", "type": "function", "function": function}


def _user(blocks: list[_Block]) -> list[dict[str, Any]]:
    """Tool results as messages of their own, before the rest, as chat templates want them."""
    results, parts = [], []
    for block in blocks:
        if block.type == "tool_result":
            inner = [_part(one) for one in _blocks(block.content)]
            text = _text_of(inner)
            content = f"Error: {text}" if block.is_error else text
            identifier = block.tool_use_id or "call_none"
            results.append({"role": "tool", "tool_call_id": identifier, "content": content})
            parts += [part for part in inner if part["type"] != "text"]
        else:
            parts.append(_part(block))
    if not parts:
        return results
    plain = all(part["type"] == "text" for part in parts)
    return [*results, {"role": "user", "content": _text_of(parts) if plain else parts}]


def _text_of(parts: list[dict[str, Any]]) -> str:
    return "\n".join(part["text"] for part in parts if part["type"] == "text")


def _joined(blocks: list[_Block]) -> str:
    return "\n".join(block.text for block in blocks if block.text)


def _part(block: _Block) -> dict[str, Any]:
    """A content block as a part of a chat message."""
    if block.type == "image" and block.source is not None:
        return {"type": "image_url", "image_url": {"url": _url(block.source)}}
    if block.type == "document" and block.source is not None and block.source.type == "text":
        return {"type": "text", "text": block.source.data}
    if block.type == "tool_reference":
        return {"type": "text", "text": f"tool: {block.tool_name}"}
    if block.type == "text":
        return {"type": "text", "text": block.text}
    raise BadRequest(
        f"content blocks of type '{block.type}' are not supported by this model's server; "
        "send text or images",
        "messages",
    )


def _url(source: _Source) -> str:
    if source.type == "url":
        return source.url
    return f"data:{source.media_type};base64,{source.data}"
