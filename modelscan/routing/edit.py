"""Edits of the routing file's text. Pure: text in, text out.

Only the lines of our own entry change; all other bytes (comments, blank lines, quoting, order)
stay. YAML nodes give the positions. The result is parsed again to check it: if the file's style
does not allow a line edit (flow style, anchors), ruamel's round trip is used.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing import textnodes as nodes

HEADER = "# Where each model is served. Written by modelscan; your own entries and comments stay.\n"


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
    if not data:
        start = text if text.strip() else HEADER
        return _joined(start) + _fresh(fields)
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


def load_plain(text: str) -> Any:
    """The file as plain data. Raises UsageError with the line of a syntax error."""
    import yaml

    try:
        return yaml.load(text, Loader=_loader())  # noqa: S506 - a SafeLoader, in C if available
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error).partition("\n")[0]
        raise UsageError(
            f"the routing file is not valid YAML: {line}{problem}",
            hint="modelscan config get routing_file",
            code="routing_file",
            details={"line": mark.line + 1 if mark else None},
        ) from error
    except RecursionError as error:
        raise UsageError("the routing file is nested too deeply", code="routing_file") from error


def _loader() -> Any:
    import yaml

    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)


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
        raise UsageError(
            "the routing file cannot be edited without changing your own entries",
            hint="write routing.direct.providers as a plain block list",
            code="routing_file",
        )
    return edited


def _reads_as(text: str, expected: Any) -> bool:
    try:
        return bool(load_plain(text) == expected)
    except UsageError:
        return False


def _round_trip(text: str, edit: Callable[[Any, Mapping[str, Any]], Any], fields: Any) -> str:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    data = yaml.load(text)
    edit(data, fields)
    stream = io.StringIO()
    yaml.dump(data, stream)
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
