"""Changes of the routing file by its owner: entries, roles, aliases, the mode.

Each one is checked before it replaces the file: a change that adds an error is refused with it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.nearest import nearest
from modelscan.core.yaml_reader import Path as Place
from modelscan.core.yaml_reader import YamlProblem, yaml_value
from modelscan.routing.edit import drop, load_plain, put, read_document
from modelscan.routing.file import change_text
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.place_edit import REMOVED, set_value
from modelscan.routing.schema import parse_document

Edits = Iterable[tuple[Place, Any]]


@dataclass(frozen=True, slots=True)
class RoutingFileEdited:
    """A change of the file. ``diff``: its lines, in unified form; ``applied``: whether the file was
    replaced (not with ``--dry-run``, and not where nothing changed)."""

    routing_file: Path
    change: str
    applied: bool
    diff: tuple[str, ...]
    findings: tuple[Finding, ...]
    warnings: tuple[str, ...] = ()


def edit(
    path: Path, label: str, edits: Callable[[Any], Edits], *, dry_run: bool = False
) -> RoutingFileEdited:
    """Set values at their places; ``edits`` gets the file's present data.

    Raises UsageError where the change would add an error, or the file's style forbids it.
    """

    def change(text: str) -> str:
        for place, value in edits(load_plain(text) or {}):
            text = set_value(text, place, value)
        return text

    return edit_text(path, label, change, dry_run=dry_run)


def edit_text(
    path: Path, label: str, change: Callable[[str], str], *, dry_run: bool = False
) -> RoutingFileEdited:
    """The same for any change of the text."""
    seen: list[tuple[str, str]] = []

    def checked(text: str) -> str:
        new_text = change(text)
        _check_no_new_error(path, text, new_text)
        seen.append((text, new_text))
        return text if dry_run else new_text

    warnings: list[str] = []
    applied = change_text(path, checked, label, warnings)
    old_text, new_text = seen[-1]
    diff = difflib.unified_diff(
        old_text.splitlines(), new_text.splitlines(), path.name, path.name, lineterm="", n=2
    )
    file = parse_document(read_document(new_text, str(path)))
    return RoutingFileEdited(path, label, applied, tuple(diff), file.findings, tuple(warnings))


def _check_no_new_error(path: Path, old_text: str, new_text: str) -> None:
    old = {f.message for f in parse_document(read_document(old_text, str(path))).findings}
    for finding in parse_document(read_document(new_text, str(path))).findings:
        if finding.level == "error" and finding.message not in old:
            raise UsageError(
                finding.message,
                hint=finding.hint or "modelscan route validate",
                code="routing_file",
                details={"where": finding.where},
            )


def parsed(data: Any) -> RoutingFile:
    """The typed file of parsed data."""
    from modelscan.routing.schema import parse

    return parse(data)


def add_provider(
    path: Path, fields: Mapping[str, Any], *, dry_run: bool = False
) -> RoutingFileEdited:
    """Add an entry. Raises UsageError where the name is taken."""

    def change(text: str) -> str:
        if _index(load_plain(text), "providers", "name", str(fields["name"])) is not None:
            raise UsageError(
                f"the routing file has an entry '{fields['name']}' already",
                hint=f"modelscan route edit {fields['name']} --set KEY=VALUE",
                code="route_exists",
            )
        plain = {key: value for key, value in fields.items() if not isinstance(value, Mapping)}
        text = put(text, plain)
        index = _index(load_plain(text), "providers", "name", str(fields["name"]))
        for key, value in fields.items():
            if isinstance(value, Mapping):
                text = set_value(text, ("routing", "direct", "providers", index or 0, key), value)
        return text

    return edit_text(path, f"add {fields['name']}", change, dry_run=dry_run)


def remove_provider(path: Path, name: str, *, dry_run: bool = False) -> RoutingFileEdited:
    """Remove an entry that no deployment owns. Raises UsageError for another one."""

    def change(text: str) -> str:
        entry = parsed(load_plain(text)).route(name)
        if entry is not None and entry.deployment is not None:
            raise UsageError(
                f"the entry '{name}' belongs to the deployment '{entry.deployment}'",
                hint=f"modelscan remove {entry.deployment}",
                code="route_of_deployment",
            )
        _required_index(load_plain(text), "providers", name)
        return drop(text, name)

    return edit_text(path, f"remove {name}", change, dry_run=dry_run)


def edit_item(
    path: Path, kind: str, name: str, values: Mapping[str, Any], removed: Sequence[str] = (),
    *, dry_run: bool = False,
) -> RoutingFileEdited:  # fmt: skip
    """Set and remove fields, by dotted keys, of an entry (``providers``) or a role (``roles``)."""

    def edits(data: Any) -> Edits:
        base = (*_base(kind), _required_index(data, kind, name))
        yield from (((*base, *key.split(".")), value) for key, value in values.items())
        yield from (((*base, *key.split(".")), REMOVED) for key in removed)

    return edit(path, f"edit {name}", edits, dry_run=dry_run)


def add_role(path: Path, fields: Mapping[str, Any], *, dry_run: bool = False) -> RoutingFileEdited:
    """Add a role. Raises UsageError where one has that name."""
    name = str(fields["role_id"])

    def edits(data: Any) -> Edits:
        if _index(data, "roles", "role_id", name) is not None:
            raise UsageError(
                f"the routing file has a role '{name}' already",
                hint=f"modelscan route role edit {name} --set KEY=VALUE",
                code="role_exists",
            )
        yield (*_base("roles"), len(_items(data, "roles"))), dict(fields)

    return edit(path, f"add role {name}", edits, dry_run=dry_run)


def remove_role(path: Path, name: str, *, dry_run: bool = False) -> RoutingFileEdited:
    """Remove a role of the file."""

    def edits(data: Any) -> Edits:
        yield (*_base("roles"), _required_index(data, "roles", name)), REMOVED

    return edit(path, f"remove role {name}", edits, dry_run=dry_run)


def set_alias(
    path: Path, alias: str, target: str | None, *, dry_run: bool = False
) -> RoutingFileEdited:
    """Set an alias, or remove it (``target`` None)."""

    def edits(data: Any) -> Edits:
        if target is None and alias not in parsed(data).aliases:
            raise _unknown("alias", alias, parsed(data).aliases, "modelscan route alias")
        yield ("routing", "aliases", alias), REMOVED if target is None else target

    return edit(path, f"alias {alias}", edits, dry_run=dry_run)


def read_assignments(texts: Sequence[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as keys and YAML values. Raises UsageError for another form."""
    values: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"'{text}' is not KEY=VALUE", hint="--set context_tokens=8192")
        try:
            values[key.strip()] = yaml_value(value)
        except YamlProblem as error:
            raise UsageError(f"the value of {key} is not YAML: {error.message}") from error
    return values


def _base(kind: str) -> Place:
    return ("routing", "direct", "providers") if kind == "providers" else ("routing", kind)


def _items(data: Any, kind: str) -> list[Any]:
    for key in _base(kind):
        data = data.get(str(key)) if isinstance(data, Mapping) else None
    return data if isinstance(data, list) else []


def _index(data: Any, kind: str, key: str, name: str) -> int | None:
    for at, item in enumerate(_items(data, kind)):
        if isinstance(item, Mapping) and item.get(key) == name:
            return at
    return None


def _required_index(data: Any, kind: str, name: str) -> int:
    key = "name" if kind == "providers" else "role_id"
    index = _index(data, kind, key, name)
    if index is None:
        word = "entry" if kind == "providers" else "role"
        names = [str(item.get(key)) for item in _items(data, kind) if isinstance(item, Mapping)]
        raise _unknown(word, name, names, "modelscan route list")
    return index


def _unknown(word: str, name: str, names: Iterable[str], hint: str) -> UsageError:
    near = nearest(name, list(names))
    return UsageError(
        f"the routing file has no {word} '{name}'" + (f"; did you mean {near[0]}?" if near else ""),
        hint=hint,
        code=f"unknown_{'route' if word == 'entry' else word}",
        details={"nearest": near},
    )
