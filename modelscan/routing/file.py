"""The routing file on disk: read it, and change one entry atomically under its lock."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.core.route import Route
from modelscan.core.yaml_reader import MAX_CHARACTERS
from modelscan.routing import history
from modelscan.routing.change_log import record_change
from modelscan.routing.edit import SCHEMA_NAME, drop, entry_fields, put, read_document
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.place_edit import with_defaults
from modelscan.routing.schema import parse_document
from modelscan.state.bundled import schemas_dir
from modelscan.state.files import read_edited, write_atomic
from modelscan.state.locks import hold


def load(path: Path) -> RoutingFile:
    """Read the file; a missing file has no entries. Raises UsageError if it is not valid YAML."""
    text = read_text(path)
    return dataclasses.replace(_parsed(path, text or ""), exists=text is not None)


def _parsed(path: Path, text: str) -> RoutingFile:
    return parse_document(read_document(text, str(path)))


def check(path: Path) -> RoutingFile:
    """Like ``load``, but a file that is not valid YAML becomes a finding of level error."""
    try:
        return load(path)
    except UsageError as error:
        line = error.details.get("line")
        finding = Finding("error", "the file", error.message, error.hint, line)
        return RoutingFile("direct", (), None, False, (finding,))


def add_route(path: Path, route: Route, body_defaults: Mapping[str, Any] | None = None) -> None:
    """Add the entry of a deployment, or update it; a new one gets ``body_defaults``.

    Raises UsageError if an entry of that name has no ``deployment`` or another one.
    """

    def change(text: str) -> str:
        known = _parsed(path, text).route(route.name) is not None
        text = _with_route(path, text, route)
        return (
            text if known or not body_defaults else with_defaults(text, route.name, body_defaults)
        )

    change_text(path, change, f"entry {route.name}")


def check_addable(path: Path, route: Route) -> None:
    """Raise what ``add_route`` would raise, without a change: called before an engine starts."""
    _with_route(path, read_text(path) or "", route)


def _with_route(path: Path, text: str, route: Route) -> str:
    file = _parsed(path, text)
    entry = file.route(route.name)
    if entry is not None and entry.deployment != route.deployment:
        raise UsageError(
            f"the routing file has an entry '{route.name}' that belongs to another owner",
            hint=f"choose another --name, or --no-route; see modelscan route show {route.name}",
            code="route_conflict",
        )
    if file.broken:
        raise _broken(path, file.broken[0])
    return put(text, entry_fields(route))


def _broken(path: Path, finding: Finding) -> UsageError:
    line = "" if finding.line is None else f"line {finding.line}: "
    return UsageError(
        f"{path}: {line}{finding.message}",
        hint=finding.hint or "modelscan route validate",
        code="routing_file",
        details={"line": finding.line, "where": finding.where},
    )


def remove_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Remove an entry. False if there is none, or if it does not belong to ``deployment``."""

    def change(text: str) -> str:
        entry = _parsed(path, text).route(name)
        if entry is None or (deployment is not None and entry.deployment != deployment):
            return text
        return drop(text, name)

    return change_text(path, change, f"remove entry {name}")


def disable_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Set ``enabled: false`` so that the entry gets no requests. False if there is none."""
    return _set_enabled(path, name, False, deployment)


def enable_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Remove ``enabled: false``. False if there is no such entry."""
    return _set_enabled(path, name, True, deployment)


def _set_enabled(path: Path, name: str, enabled: bool, deployment: str | None) -> bool:
    exists = False

    def change(text: str) -> str:
        nonlocal exists
        entry = _parsed(path, text).route(name)
        if entry is None or (deployment is not None and entry.deployment != deployment):
            return text
        exists = True
        if entry.enabled == enabled:
            return text
        return put(text, entry_fields(dataclasses.replace(entry, enabled=enabled)))

    change_text(path, change, f"{'enable' if enabled else 'disable'} entry {name}")
    return exists


def change_text(
    path: Path, change: Callable[[str], str], label: str, warnings: list[str] | None = None
) -> bool:
    """Apply ``change`` under the file's lock.

    True if the text changed. The replaced text is kept: as a revision, with ``label``, and next to
    the file (``.bak``); a new file gets its schema next to it. The server's log of changes gets a
    row; ``warnings`` gets the reason where it could not.
    """
    with hold(path.with_name(f".{path.name}.lock"), what="the routing file"):
        old_text = read_text(path)
        new_text = change(old_text or "")
        if new_text == (old_text or ""):
            return False
        if old_text is not None:
            history.keep(path, old_text, label)
            write_atomic(path.with_name(f"{path.name}.bak"), old_text)
        write_atomic(path, new_text)
        _write_schema(path.with_name(SCHEMA_NAME), new_file=old_text is None)
    _record(path, "routing.edit", label, old_text, new_text, warnings)
    return True


def _record(
    path: Path, action: str, label: str, before: str | None, after: str,
    warnings: list[str] | None,
) -> None:  # fmt: skip
    problem = record_change(path, action, label, before, after)
    if problem is not None and warnings is not None:
        warnings.append(problem)


def _write_schema(path: Path, *, new_file: bool) -> None:
    """Put the schema next to a new file; replace that of an earlier release."""
    content = (schemas_dir() / "files" / "routing.json").read_bytes()
    if new_file or (path.is_file() and path.read_bytes() != content):
        write_atomic(path, content)


def undo(path: Path, number: int | None = None) -> history.Revision:
    """Restore a revision (default: the last one) and forget it and later ones.

    The replaced text stays as ``.bak``. Raises UsageError where there is no such revision.
    """
    with hold(path.with_name(f".{path.name}.lock"), what="the routing file"):
        kept = history.revisions(path)
        chosen = next((one for one in kept if number in (None, one.number)), None)
        chosen = kept[-1] if kept and number is None else chosen
        text = None if chosen is None else history.text_of(path, chosen.number)
        if chosen is None or text is None:
            raise UsageError(
                "there is nothing to undo" if number is None else f"revision {number} is not kept",
                hint="modelscan route history",
                code="no_revision",
            )
        old_text = read_text(path)
        if old_text is not None:
            write_atomic(path.with_name(f"{path.name}.bak"), old_text)
        write_atomic(path, text)
        history.forget_from(path, chosen.number)
    _record(path, "routing.undo", f"revision {chosen.number}", old_text, text, None)
    return chosen


def read_text(path: Path) -> str | None:
    """The file's text; None if there is no file. Raises UsageError for anything else."""
    return read_edited(path, MAX_CHARACTERS, partial(_unreadable, path))


def _unreadable(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"cannot read the routing file {path}: {reason}",
        hint="modelscan config get routing_file",
        code="routing_file",
    )
