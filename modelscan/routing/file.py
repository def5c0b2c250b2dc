"""The routing file on disk: read it, and change one entry under its lock, atomically."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

from modelscan.core.errors import UsageError
from modelscan.core.route import Route
from modelscan.routing.edit import drop, entry_fields, load_plain, put
from modelscan.routing.schema import Finding, RoutingFile, parse
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold


def load(path: Path) -> RoutingFile:
    """Read the file. A missing one is empty; raises UsageError when it is not YAML."""
    text = _read(path)
    if text is None:
        return dataclasses.replace(parse(None), exists=False)
    return parse(load_plain(text))


def check(path: Path) -> RoutingFile:
    """Like ``load``, but a file that is not YAML becomes an error finding."""
    try:
        return load(path)
    except UsageError as error:
        line = error.details.get("line")
        finding = Finding("error", "the file", error.message, error.hint, line)
        return RoutingFile("direct", (), None, False, (finding,))


def add_route(path: Path, route: Route) -> None:
    """Add the entry of a deployment, or update it.

    Raises UsageError when an entry of that name belongs to somebody else: it has no
    ``deployment``, or another one.
    """

    def change(text: str) -> str:
        mine = parse(load_plain(text)).route(route.name)
        if mine is not None and mine.deployment != route.deployment:
            raise UsageError(
                f"the routing file has an entry '{route.name}' that is not of this deployment",
                hint=f"choose another --name, or --no-route; see modelscan route show {route.name}",
                code="route_conflict",
            )
        return put(text, entry_fields(route))

    _change(path, change)


def remove_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Remove an entry; False if there is none, or it is not of ``deployment`` (when given)."""

    def change(text: str) -> str:
        mine = parse(load_plain(text)).route(name)
        if mine is None or (deployment is not None and mine.deployment != deployment):
            return text
        return drop(text, name)

    return _change(path, change)


def disable_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Mark an entry ``enabled: false`` so that nothing is sent there; False if there is none."""
    return _set_enabled(path, name, False, deployment)


def enable_route(path: Path, name: str, *, deployment: str | None = None) -> bool:
    """Drop ``enabled: false``; False if there is no such entry."""
    return _set_enabled(path, name, True, deployment)


def _set_enabled(path: Path, name: str, enabled: bool, deployment: str | None) -> bool:
    found = False

    def change(text: str) -> str:
        nonlocal found
        mine = parse(load_plain(text)).route(name)
        if mine is None or (deployment is not None and mine.deployment != deployment):
            return text
        found = True
        if mine.enabled == enabled:
            return text
        return put(text, entry_fields(dataclasses.replace(mine, enabled=enabled)))

    _change(path, change)
    return found


def _change(path: Path, change: Callable[[str], str]) -> bool:
    """Apply ``change`` under the file's lock; True if the text changed. Keeps one backup."""
    with hold(path.with_name(f".{path.name}.lock"), what="the routing file"):
        old = _read(path)
        new = change(old or "")
        if new == (old or ""):
            return False
        if old is not None:
            write_atomic(path.with_name(f"{path.name}.bak"), old)
        write_atomic(path, new)
        return True


def _read(path: Path) -> str | None:
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(
            f"cannot read the routing file {path}: {reason}",
            hint="modelscan config get routing_file",
            code="routing_file",
        ) from error
