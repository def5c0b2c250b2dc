"""Tools of the Responses API as functions of chat completions, and their calls back again.

Custom tools (one free text) become functions with one string, namespaces become prefixes. A call
must come back under its own kind, name and namespace, or the client does not run it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from modelscan.gateway.data.translate.chunks import NULL, given
from modelscan.gateway.data.translate.sse import new_id

ToolKind = Literal["function", "custom", "local_shell"]
_MAX_NAME = 64  # characters of a function's name at chat completions
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')


class Format(msgspec.Struct):
    """How the text of a custom tool is restricted."""

    type: str = "text"
    syntax: str = ""
    definition: str = ""


class Tool(msgspec.Struct):
    """A tool; ``tools`` are those of a namespace."""

    type: str = ""
    name: str = ""
    description: str | None = None
    parameters: msgspec.Raw = NULL
    strict: bool | None = None
    format: Format | None = None
    tools: list[Tool] | None = None


@dataclass(frozen=True, slots=True)
class Original:
    """The tool of the caller's request behind a function's name."""

    kind: ToolKind
    name: str
    namespace: str | None = None


@dataclass(slots=True)
class ToolNames:
    """The functions that a request offers, and where each comes from.

    ``left_out`` are the kinds that chat completions does not have, such as ``web_search``.
    """

    functions: list[dict[str, Any]] = field(default_factory=list)
    originals: dict[str, Original] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def original(self, name: str) -> Original:
        """The tool behind a function's name; an unknown name is a function of that name."""
        return self.originals.get(name) or Original("function", name)


def function_name(name: str, namespace: str | None = None) -> str:
    """The name at chat completions; one that is too long ends in a hash of the whole."""
    full = f"{namespace}__{name}" if namespace else name
    if len(full) <= _MAX_NAME:
        return full
    digest = hashlib.sha256(full.encode()).hexdigest()[:8]
    return f"{full[: _MAX_NAME - 9]}_{digest}"


def read_tools(tools: Iterable[Tool]) -> ToolNames:
    """Every tool of a request as a function."""
    names = ToolNames()
    for tool in tools:
        _add(names, tool, None)
    return names


def _add(names: ToolNames, tool: Tool, namespace: str | None) -> None:
    if tool.type == "function":
        parameters = tool.parameters if given(tool.parameters) else _NO_PARAMETERS
        _function(names, Original("function", tool.name, namespace), tool, parameters)
    elif tool.type == "custom":
        _function(names, Original("custom", tool.name, namespace), tool, _text_parameters())
    elif tool.type == "local_shell":
        shell = Tool("local_shell", "local_shell", "Run a command and return its output.")
        _function(names, Original("local_shell", "local_shell"), shell, _command_parameters())
    elif tool.type == "namespace" and namespace is None:
        for inner in tool.tools or ():
            _add(names, inner, tool.name)
    else:
        names.left_out.append(tool.type)


def _function(names: ToolNames, original: Original, tool: Tool, parameters: Any) -> None:
    name = function_name(original.name, original.namespace)
    if name in names.originals:
        return
    function = {"name": name, "description": _description(tool), "parameters": parameters}
    names.functions.append({"type": "function", "function": function})
    names.originals[name] = original


def _description(tool: Tool) -> str:
    """A grammar goes into the description: chat completions has no place of its own for it."""
    text = tool.description or ""
    if tool.format is None or tool.format.type != "grammar":
        return text
    wanted = f"The input must match this {tool.format.syntax} grammar:\n{tool.format.definition}"
    return f"{text}\n\n{wanted}".strip()


def _text_parameters() -> dict[str, Any]:
    text = {"type": "string", "description": "The whole input of the tool."}
    return {"type": "object", "properties": {"input": text}, "required": ["input"]}


def _command_parameters() -> dict[str, Any]:
    command = {"type": "array", "items": {"type": "string"}}
    return {"type": "object", "properties": {"command": command}, "required": ["command"]}


def call_item(
    original: Original, call_id: str, arguments: str, status: str, identifier: str | None = None
) -> dict[str, Any]:
    """The output item of one call; ``arguments`` is the JSON text that the model wrote."""
    item: dict[str, Any]
    if original.kind == "custom":
        item = {"type": "custom_tool_call", "id": identifier or new_id("ctc"),
                "input": _text_input(arguments)}  # fmt: skip
    elif original.kind == "local_shell":
        action = {"type": "exec", "command": _fields(arguments).get("command", []), "env": {}}
        item = {"type": "local_shell_call", "id": identifier or new_id("lsh"), "action": action}
    else:
        item = {"type": "function_call", "id": identifier or new_id("fc"),
                "arguments": arguments or "{}"}  # fmt: skip
    item |= {"call_id": call_id, "status": status}
    if original.kind != "local_shell":
        item["name"] = original.name
    if original.namespace:
        item["namespace"] = original.namespace
    return item


def _text_input(arguments: str) -> str:
    """The one text of a custom tool; what is not the expected object is given as it is."""
    text = _fields(arguments).get("input")
    return text if isinstance(text, str) else arguments


def _fields(arguments: str) -> Mapping[str, Any]:
    try:
        value = msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
