"""Edits of the routing file's text. Pure: text in, text out.

Only the lines of our own entry change; all other bytes (comments, blank lines, quoting, order)
stay. YAML nodes give the positions. Every result is read again and compared with what it must
say; if the file's style does not allow a line edit (flow style, anchors), ruamel's round trip is
used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.core.yaml_reader import YamlDocument, YamlProblem, read_yaml, yaml_nodes
from modelscan.routing import textnodes as nodes

# Errors other than its own that ruamel raises for a tag with an invalid value (``!!int``).
RUAMEL_BUGS = (ValueError, IndexError, KeyError, TypeError, AttributeError, RecursionError)
SCHEMA_NAME = "routing.schema.json"  # next to the file, for editors
HEADER = (
    "# Where each model is served. Written by modelscan; your own entries and comments stay.\n"
    f"# yaml-language-server: $schema=./{SCHEMA_NAME}\n"
)


def entry_fields(route: Route) -> dict[str, Any]:
    """The fields of an entry to write; unset optional fields are left out."""
    fields: dict[str, Any] = {
        "name": route.name, "type": route.type, "base_url": route.base_url, "model": route.model,
    }  # fmt: skip
    optional = {
        "served_model": route.served_model, "api_key": route.api_key,
        "context_tokens": route.context_tokens, "tags": list(route.tags) or None,
        "deployment": route.deployment,
    }  # fmt: skip
    fields.update({key: value for key, value in optional.items() if value is not None})
    if not route.enabled:
        fields["enabled"] = False
    return fields


def put(text: str, fields: Mapping[str, Any]) -> str:
    """The text with the entry added, or updated if one has the same name; its other fields stay."""
    data = load_plain(text)
    if data is None or data == {}:
        return _first(text, fields)
    expected = _put_data(_copy(data), fields)
    return _checked(text, expected, lambda: nodes.put_text(text, fields), _put_data, fields)


def drop(text: str, name: str) -> str:
    """The text without the entry; the default moves to the first remaining enabled entry."""
    data = load_plain(text)
    if not any(_is(entry, name) for entry in _providers(data)):
        return text
    expected = _drop_data(_copy(data), {"name": name})
    return _checked(text, expected, lambda: nodes.drop_text(text, name, expected), _drop_data,
                    {"name": name})  # fmt: skip


def read_document(text: str, where: str = "the routing file") -> YamlDocument:
    """The file's values and their lines. Raises UsageError with the line of an error."""
    try:
        return read_yaml(text)
    except YamlProblem as error:
        raise UsageError(
            f"{where} is not valid YAML: {error}",
            hint=error.hint or "modelscan config get routing_file",
            code="routing_file",
            details={"line": error.line},
        ) from error


def load_plain(text: str) -> Any:
    """The file's values. Raises UsageError like ``read_document``."""
    return read_document(text).value


def _first(text: str, fields: Mapping[str, Any]) -> str:
    """The first entry of a file that says nothing yet (``{}``, ``null``, comments only)."""
    rest = _without(text, yaml_nodes(text))
    edited = _joined(rest if rest.strip() else HEADER) + _fresh(fields)
    if not _reads_as(edited, _put_data({"version": 1, "routing": {"mode": "direct"}}, fields)):
        raise not_editable("write it again: modelscan config get routing_file")
    return edited


def _without(text: str, node: Any) -> str:
    """The text without its only, empty value."""
    if node is None or node.start_mark.line != node.end_mark.line:
        return text
    lines = text.splitlines(keepends=True)
    if node.start_mark.line < len(lines):
        line, start, end = lines[node.start_mark.line], node.start_mark.column, node.end_mark.column
        kept = line[:start].rstrip() + " " + line[end:].lstrip(" ")
        lines[node.start_mark.line] = kept.lstrip(" ") if not kept[:1].strip() else kept
    return "".join(lines)


def _fresh(fields: Mapping[str, Any]) -> str:
    lines = ["version: 1", "routing:", "  mode: direct", "  direct:"]
    lines += [f"    default_provider: {nodes.scalar(fields['name'])}", "    providers:"]
    return "\n".join([*lines, *nodes.item_lines(fields, 6)]) + "\n"


def _joined(text: str) -> str:
    return text if not text or text.endswith("\n") else text + "\n"


def _checked(
    text: str,
    expected: Any,
    line_edit: Callable[[], str | None],
    data_edit: Callable[[Any, Mapping[str, Any]], Any],
    fields: Mapping[str, Any],
) -> str:
    """The line edit if it parses as expected, else ruamel's round trip."""
    edited = line_edit()
    if edited is not None and _reads_as(edited, expected):
        return edited
    edited = _round_trip(text, data_edit, fields)
    if not _reads_as(edited, expected):
        raise not_editable("write routing.direct.providers as a plain block list")
    return edited


def not_editable(hint: str) -> UsageError:
    """The error for a file whose style does not allow an edit."""
    return UsageError(
        "the routing file cannot be edited without changing your own entries",
        hint=hint,
        code="routing_file",
    )


def _reads_as(text: str, expected: Any) -> bool:
    try:
        return bool(load_plain(text) == expected)
    except UsageError:
        return False


def _round_trip(text: str, edit: Callable[[Any, Mapping[str, Any]], Any], fields: Any) -> str:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    stream = io.StringIO()
    try:
        data = yaml.load(text)
        edit(data, fields)
        yaml.dump(data, stream)
    except (YAMLError, *RUAMEL_BUGS) as error:  # what only the other reader refuses
        raise not_editable("write routing.direct.providers as a plain block list") from error
    return stream.getvalue()


def _copy(data: Any) -> Any:
    import copy

    return copy.deepcopy(data)


def _providers(data: Any) -> list[Any]:
    for key in ("routing", "direct", "providers"):
        data = data.get(key) if isinstance(data, Mapping) else None
    return data if isinstance(data, list) else []


def _is(entry: Any, name: str) -> bool:
    return isinstance(entry, Mapping) and entry.get("name") == name


def _section(data: Any, key: str, where: str) -> Any:
    value = data.get(key)
    if value is None:
        data[key] = value = {}
    if not isinstance(value, Mapping):
        raise UsageError(
            f"the routing file's {where} is not a mapping", hint="modelscan route validate"
        )
    return value


def _put_data(data: Any, fields: Mapping[str, Any]) -> Any:
    if not isinstance(data, Mapping):
        raise UsageError("the routing file is not a mapping", hint="modelscan route validate")
    routing = _section(data, "routing", "routing")
    direct = _section(routing, "direct", "routing.direct")
    entries = direct.get("providers")
    if entries is None:
        direct["providers"] = entries = []
    if not isinstance(entries, list):
        raise UsageError("routing.direct.providers is not a list", hint="modelscan route validate")
    own_entry = next((entry for entry in entries if _is(entry, fields["name"])), None)
    if own_entry is None:
        entries.append(dict(fields))
    else:
        own_entry.update(fields)
        if "enabled" not in fields:
            own_entry.pop("enabled", None)
    if direct.get("default_provider") is None:
        direct["default_provider"] = fields["name"]
    return data


def _drop_data(data: Any, fields: Mapping[str, Any]) -> Any:
    name = fields["name"]
    direct = data["routing"]["direct"]
    entries = direct["providers"]
    for entry in [entry for entry in entries if _is(entry, name)]:
        entries.remove(entry)
    if direct.get("default_provider") == name:
        usable = [
            e for e in entries if isinstance(e, Mapping) and e.get("enabled", True) is not False
        ]
        if usable and usable[0].get("name"):
            direct["default_provider"] = usable[0]["name"]
        else:
            del direct["default_provider"]
    return data
