"""A client's file with our values merged in, and without them again. Pure: text in, text out.

Each result is read again and must contain what it should and, besides, what was there before.
"""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelscan.routing.clients import json_text, toml_text
from modelscan.routing.clients.json_text import NotEditable
from modelscan.routing.clients.types import DOCUMENTS, ClientFile


def fresh(file: ClientFile) -> str:
    """The file's whole text where there is none yet, for printing and for ``route export``."""
    if file.format == "env":
        return "".join(f"export {key}={_quoted(value)}\n" for key, value in file.values.items())
    if DOCUMENTS in file.values:
        return "---\n".join(_dumped(one, "") for one in file.values[DOCUMENTS])
    return merged("", file)


def _quoted(value: str) -> str:
    """A value for a shell: references to variables stay, everything else is literal."""
    return f'"{value}"' if value.startswith("${") else "'" + value.replace("'", "'\\''") + "'"


def merged(text: str, file: ClientFile, *, choose: bool = False) -> str:
    """The text with the file's values; its defaults where nothing is chosen, or with ``choose``.

    Raises NotEditable with the reason.
    """
    if file.format == "json":
        edited = _merged_json(text, file, choose)
    elif file.format == "toml":
        edited = _merged_toml(text, file)
    else:
        edited = _merged_yaml(text, file, choose)
    if not _contains(read(edited, file), file.values):
        raise NotEditable("the merged text does not have the new values")
    return edited


def read(text: str, file: ClientFile) -> Any:
    """The values of a client's text. Raises NotEditable."""
    if file.format == "json":
        return json_text.read_json(text)
    if file.format == "toml":
        return toml_text.read_toml(text)
    value = _yaml_value(text)
    return {"": value} if isinstance(value, list) else value


def _contains(present: Any, values: Any) -> bool:
    if isinstance(values, Mapping):
        return isinstance(present, Mapping) and all(
            key in present and _contains(present[key], value) for key, value in values.items()
        )
    if isinstance(values, list):
        return isinstance(present, list) and all(one in present for one in values)
    return bool(present == values)


def _leaves(values: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[Any]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _merged_json(text: str, file: ClientFile, choose: bool) -> str:
    present = json_text.read_json(text)
    if not isinstance(present, Mapping):
        raise NotEditable("it is not an object")
    for key, value in file.defaults.items():
        if choose or key not in present:
            text = json_text.put_value(text, (key,), value)
    for path, value in _leaves(file.values):
        text = json_text.put_value(text, path, value)
    return text


def _merged_toml(text: str, file: ClientFile) -> str:
    rest = toml_text.read_toml(toml_text.without_blocks(text))
    first = {} if set(file.defaults) & set(rest) else file.defaults
    return toml_text.with_blocks(text, first, file.values)


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    return yaml


def _yaml_value(text: str) -> Any:
    from ruamel.yaml.error import YAMLError

    try:
        value = _yaml().load(text)
    except (YAMLError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise NotEditable(f"it is not valid YAML: {error}") from error
    return {} if value is None else value


def _dumped(value: Any, like: str) -> str:
    yaml = _yaml()
    item = re.search(r"^( *)[^\s#-][^\n]*:[ \t]*\n(?:[ \t]*(?:#[^\n]*)?\n)*( *)- ", like, re.M)
    unset = 0 if isinstance(value, list) else 2
    offset = len(item.group(2)) - len(item.group(1)) if item else unset
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    stream = io.StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()


def _merged_yaml(text: str, file: ClientFile, choose: bool) -> str:
    present = _yaml_value(text)
    if "" in file.values:  # the whole file is a list
        entries = present or []
        _into_list(entries, file.values[""], file.named_lists[""])
        return _dumped(entries, text)
    if not isinstance(present, Mapping):
        raise NotEditable("it is not a mapping")
    edited: Any = present
    for key, value in file.defaults.items():
        if choose or key not in edited:
            edited[key] = value
    for key, value in copy.deepcopy(dict(file.values)).items():
        if key in file.named_lists:
            _into_list(edited.setdefault(key, []), value, file.named_lists[key])
        elif isinstance(value, Mapping) and isinstance(edited.get(key), Mapping):
            edited[key].update(value)
        else:
            edited[key] = value
    return _dumped(edited, text)


def _into_list(entries: Any, values: list[Any], name: str) -> None:
    if not isinstance(entries, list):
        raise NotEditable("it has another value where a list is needed")
    for value in values:
        same = [i for i, one in enumerate(entries) if _named(one, name) == value[name]]
        if same:
            entries[same[0]] = value
        else:
            entries.append(value)


def _named(entry: Any, name: str) -> Any:
    return entry.get(name) if isinstance(entry, Mapping) else None


def dropped(text: str, file: ClientFile) -> str:
    """The text without the file's values, for one that was edited since they were written."""
    if file.format == "toml":
        return toml_text.without_blocks(text)
    if file.format == "json":
        for path, value in _leaves({**file.values, **file.defaults}):
            if _at(json_text.read_json(text), path) == value:
                text = json_text.drop_value(text, path)
        return text
    return _dropped_yaml(text, file)


def _at(present: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        present = present.get(key) if isinstance(present, Mapping) else None
    return present


def _dropped_yaml(text: str, file: ClientFile) -> str:
    edited = _yaml_value(text)
    for key, value in {**file.values, **file.defaults}.items():
        entries = edited if key == "" else edited.get(key)
        if key in file.named_lists and isinstance(entries, list):
            ours = [one[file.named_lists[key]] for one in value]
            entries[:] = [e for e in entries if _named(e, file.named_lists[key]) not in ours]
        elif entries == value:
            del edited[key]
        elif isinstance(value, Mapping) and isinstance(entries, Mapping):
            for inner in [name for name in value if entries.get(name) == value[name]]:
                del edited[key][inner]
    return _dumped(edited, text) if edited else ""
