"""Checks the routing file's data. Pure: parsed data in, findings out.

``proxy`` and ``embedded``, which occur in older documents, are accepted as mode names; modelscan
writes ``plano_proxy`` and ``plano_embedded``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.core.route import MODES, ROUTE_TYPES, Route
from modelscan.core.yaml_reader import YamlDocument
from modelscan.net.address import is_loopback
from modelscan.routing.format import (
    UNUSED,
    DirectFields,
    ProviderFields,
    RoutingDocument,
    RoutingFields,
    keys_of,
)
from modelscan.state.secrets import check_reference

VERSION = 1
MODE_ALIASES = {"proxy": "plano_proxy", "embedded": "plano_embedded"}
_REQUIRED = ("name", "type", "base_url", "model")


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem in the file: ``level`` is error or warning, ``where`` a path into the file."""

    level: str
    where: str
    message: str
    hint: str | None = None
    line: int | None = None


@dataclass(frozen=True, slots=True)
class RoutingFile:
    """A parsed routing file: its entries in order, and its findings.

    ``broken``: the findings for which the file is not edited: its form is wrong, so that an edit
    could change what its owner meant.
    """

    mode: str
    routes: tuple[Route, ...]
    default_provider: str | None
    fallback: bool
    findings: tuple[Finding, ...]
    exists: bool = True
    broken: tuple[Finding, ...] = ()

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings of level error."""
        return tuple(f for f in self.findings if f.level == "error")

    def route(self, name: str) -> Route | None:
        """The entry with that name, or None."""
        return next((r for r in self.routes if r.name == name), None)


def parse_document(document: YamlDocument) -> RoutingFile:
    """The typed file, with the line of every finding. Never raises."""
    file = parse(document.value)
    lines = {f: replace(f, line=document.line(_path(f.where))) for f in file.findings}
    findings = tuple(lines[f] for f in file.findings)
    return replace(file, findings=findings, broken=tuple(lines[f] for f in file.broken))


def _path(where: str) -> tuple[str | int, ...]:
    """``routing.direct.providers[0].name`` as a path of keys and numbers."""
    steps = re.findall(r"\[(\d+)\]|([^.\[\]]+)", where)
    return tuple(int(number) if number else key for number, key in steps)


def parse(data: Any) -> RoutingFile:
    """The typed file. Never raises: every problem becomes a finding."""
    if data is None or data == {}:
        return RoutingFile("direct", (), None, False, ())
    findings: list[Finding] = []
    top = _mapping(data, "the file", findings)
    findings += _unknown_keys(top, "", keys_of(RoutingDocument))
    findings += _version(top)
    routing = _mapping(top.get("routing"), "routing", findings)
    findings += _unknown_keys(routing, "routing", keys_of(RoutingFields))
    findings += _routing_kinds(routing)
    mode = _mode(routing, findings)
    direct = _mapping(routing.get("direct"), "routing.direct", findings)
    findings += _unknown_keys(direct, "routing.direct", keys_of(DirectFields))
    entries = _sequence(direct.get("providers"), "routing.direct.providers", findings)
    routes = [route for i, entry in enumerate(entries) if (route := _entry(entry, i, findings))]
    default = direct.get("default_provider")
    if default is not None and not isinstance(default, str):
        findings.append(_wrong_kind("routing.direct.default_provider", "text", default))
        default = None
    broken = tuple(f for f in findings if f.level == "error")
    fallback = routing.get("fallback") is True
    findings += _relations(mode, routes, default, fallback, routing)
    return RoutingFile(mode, tuple(routes), default, fallback, tuple(findings), broken=broken)


def _unknown_keys(values: Mapping[str, Any], where: str, keys: Sequence[str]) -> Iterator[Finding]:
    for key in values:
        if key in keys:
            continue
        near = nearest(str(key), keys)
        hint = f"did you mean {near[0]}?" if near else f"the keys here are {', '.join(keys)}"
        place = f"{where}.{key}" if where else str(key)
        yield Finding("error", place, f"{where or 'the file'}: unknown key '{key}'", hint)


def _routing_kinds(routing: Mapping[str, Any]) -> Iterator[Finding]:
    if "fallback" in routing and not isinstance(routing["fallback"], bool):
        yield _wrong_kind("routing.fallback", "true or false", routing["fallback"])
    for key in UNUSED:
        if routing.get(key):
            yield Finding("warning", f"routing.{key}", f"this release does not use routing.{key}")


def _wrong_kind(where: str, kind: str, value: Any) -> Finding:
    scalar = isinstance(value, (bool, int, float))
    hint = f'quote it: {where.rpartition(".")[2]}: "…"' if kind == "text" and scalar else None
    return Finding("error", where, f"{where} must be {kind}, not {_kind(value)}", hint)


def _mapping(value: Any, where: str, findings: list[Finding]) -> Mapping[str, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return value
    findings.append(Finding("error", where, f"{where} must be a mapping, not {_kind(value)}"))
    return {}


def _sequence(value: Any, where: str, findings: list[Finding]) -> Sequence[Any]:
    if value is None:
        return []
    if isinstance(value, list):
        return value
    findings.append(Finding("error", where, f"{where} must be a list, not {_kind(value)}"))
    return []


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    return {str: "text", int: "a number", float: "a number", bool: "true or false"}.get(
        type(value), "a list" if isinstance(value, list) else "a mapping"
    )


def _short(value: Any) -> str:
    """A value in a message: a scalar as it is, else its kind."""
    return _kind(value) if isinstance(value, (list, Mapping)) else repr(value)[:60]


def _version(top: Mapping[str, Any]) -> Iterator[Finding]:
    version = top.get("version")
    if version is None and top:
        yield Finding("warning", "version", "version is missing", f"add: version: {VERSION}")
    elif version is not None and (type(version) is not int or version != VERSION):
        yield Finding(
            "error", "version", f"version {_short(version)} is not supported",
            f"write: version: {VERSION}",
        )  # fmt: skip


def _mode(routing: Mapping[str, Any], findings: list[Finding]) -> str:
    raw = routing.get("mode", "direct")
    mode = MODE_ALIASES.get(raw, raw) if isinstance(raw, str) else raw
    if mode in MODES:
        return str(mode)
    hint = f"use one of {', '.join(MODES)}"
    findings.append(Finding("error", "routing.mode", f"mode {_short(raw)} is not supported", hint))
    return "direct"


def _entry(entry: Any, index: int, findings: list[Finding]) -> Route | None:
    where = f"routing.direct.providers[{index}]"
    before = len(findings)
    fields = _mapping(entry, where, findings)
    if len(findings) > before:
        return None
    findings += _check_entry(fields, where)
    if any(f.level == "error" for f in findings[before:]):
        return None
    context = fields.get("context_tokens")
    return Route(
        name=str(fields["name"]),
        type=str(fields["type"]),
        base_url=str(fields["base_url"]),
        model=str(fields["model"]),
        served_model=fields.get("served_model"),
        api_key=fields.get("api_key"),
        context_tokens=context,
        tags=tuple(fields.get("tags") or ()),
        deployment=fields.get("deployment"),
        enabled=fields.get("enabled", True) is not False,
    )


def _check_entry(fields: Mapping[str, Any], where: str) -> Iterator[Finding]:
    for key in _REQUIRED:
        value = fields.get(key)
        if value is None or value == "":
            yield Finding("error", f"{where}.{key}", f"{where} needs {key} (text)")
        elif not isinstance(value, str):
            yield _wrong_kind(f"{where}.{key}", "text", value)
    yield from _unknown_keys(fields, where, keys_of(ProviderFields))
    kind = fields.get("type")
    if isinstance(kind, str) and kind and kind not in ROUTE_TYPES:
        hint = f"use one of {', '.join(ROUTE_TYPES)}"
        yield Finding("error", f"{where}.type", f"{where}: type '{kind}' is not supported", hint)
    yield from _check_url(fields.get("base_url"), where)
    yield from _check_key(fields.get("api_key"), where)
    yield from _check_kinds(fields, where)


def _check_url(url: Any, where: str) -> Iterator[Finding]:
    if not isinstance(url, str) or not url:
        return
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        ok = False
    if not ok:
        yield Finding("error", f"{where}.base_url", f"{where}: '{url}' is not an http(s) URL")
        return
    if parts.username or parts.password:
        yield Finding("error", f"{where}.base_url", f"{where}: credentials in a URL",
                      "use api_key: env:NAME")  # fmt: skip
    if parts.path.rstrip("/").endswith("/v1"):
        yield Finding("warning", f"{where}.base_url", f"{where}: base_url ends in /v1",
                      "write the server's root: clients add /v1")  # fmt: skip
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        yield Finding("warning", f"{where}.base_url",
                      f"{where}: plain http to {parts.hostname} is not encrypted",
                      "use https")  # fmt: skip


def _check_key(key: Any, where: str) -> Iterator[Finding]:
    if key is None:
        return
    try:
        check_reference(key if isinstance(key, str) else "")
    except UsageError as error:
        yield Finding("error", f"{where}.api_key", f"{where}: {error.message}", error.hint)


def _check_kinds(fields: Mapping[str, Any], where: str) -> Iterator[Finding]:
    context = fields.get("context_tokens")
    if context is not None and (type(context) is not int or context < 1):
        message = f"{where}: context_tokens must be a positive whole number"
        yield Finding("error", f"{where}.context_tokens", message)
    for key in ("served_model", "deployment"):
        if fields.get(key) is not None and not isinstance(fields[key], str):
            yield _wrong_kind(f"{where}.{key}", "text", fields[key])
    if "enabled" in fields and not isinstance(fields["enabled"], bool):
        yield _wrong_kind(f"{where}.enabled", "true or false", fields["enabled"])
    tags = fields.get("tags")
    if tags is not None and not isinstance(tags, list):
        yield _wrong_kind(f"{where}.tags", "a list", tags)
    elif tags and not all(isinstance(tag, str) for tag in tags):
        wrong = next(tag for tag in tags if not isinstance(tag, str))
        yield _wrong_kind(f"{where}.tags", "a list of text", wrong)


def _relations(
    mode: str, routes: list[Route], default: str | None, fallback: bool, routing: Mapping[str, Any]
) -> Iterator[Finding]:
    seen: set[str] = set()
    for route in routes:
        if route.name in seen:
            where = "routing.direct.providers"
            yield Finding("error", where, f"the name '{route.name}' is used twice")
        seen.add(route.name)
    if default is not None and default not in seen:
        where = "routing.direct.default_provider"
        yield Finding("error", where, f"default_provider '{default}' is not among the providers",
                      f"use one of {', '.join(sorted(seen))}" if seen else None)  # fmt: skip
    if fallback and not any(route.enabled for route in routes):
        yield Finding("error", "routing.fallback", "fallback needs at least one enabled provider")
    section = {"plano_proxy": "proxy", "plano_embedded": "embedded"}.get(mode)
    if section and not isinstance(routing.get(section), Mapping):
        yield Finding("error", f"routing.{section}", f"mode {mode} needs routing.{section}")
