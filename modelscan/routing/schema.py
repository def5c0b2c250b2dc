"""Reads and checks the routing file's data. Pure: parsed data in, typed file and findings out.

``proxy`` and ``embedded``, which occur in older documents, are accepted as mode names; modelscan
writes ``plano_proxy`` and ``plano_embedded``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.finding import Finding
from modelscan.core.route import Route
from modelscan.core.typed_reader import keys_of, place_of, read_as, shortened, unknown_keys
from modelscan.core.yaml_reader import YamlDocument
from modelscan.net.address import in_own_network, is_loopback
from modelscan.routing.format import (
    ProviderFields,
    RoutingDocument,
    RoutingFields,
)
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.presets import preset_named
from modelscan.routing.relations import relations, unresolved_names
from modelscan.routing.table import GatewayLimits, Tier

VERSION = 1
MODE_ALIASES = {"proxy": "plano_proxy", "embedded": "plano_embedded"}


def parse_document(document: YamlDocument) -> RoutingFile:
    """The typed file, with the line of every finding. Never raises."""
    file = parse(document.value)
    lines = {f: replace(f, line=document.line(place_of(f.where))) for f in file.findings}
    findings = tuple(lines[f] for f in file.findings)
    return replace(
        file,
        findings=findings,
        broken=tuple(lines[f] for f in file.broken),
        unresolved=tuple(lines[f] for f in file.unresolved),
    )


def parse(data: Any) -> RoutingFile:
    """The typed file. Never raises: every problem becomes a finding."""
    if data is None or data == {}:
        return RoutingFile("direct", (), None, False, ())
    findings: list[Finding] = []
    routing = _routing(data, findings)
    direct = routing.direct
    providers = tuple((direct and direct.providers) or ())
    broken = tuple(f for f in findings if f.level == "error")
    limits = asdict(routing.limits) if routing.limits else {}
    file = RoutingFile(
        mode=MODE_ALIASES.get(routing.mode, routing.mode),
        routes=tuple(route_of(one) for one in providers),
        default_provider=direct.default_provider if direct else None,
        fallback=routing.fallback,
        findings=tuple(findings),
        broken=broken,
        providers=providers,
        aliases=routing.aliases or {},
        roles=tuple(routing.roles or ()),
        automatic=routing.automatic,
        limits=GatewayLimits(**{key: value for key, value in limits.items() if value is not None}),
        budgets=tuple(routing.budgets or ()),
        tool_policies=tuple(routing.tool_policies or ()),
        proxy=routing.proxy,
        embedded=routing.embedded,
    )
    unresolved = tuple(unresolved_names(file, data))
    found = (*findings, *relations(file, data), *unresolved)
    return replace(file, findings=found, unresolved=unresolved)


def _routing(data: Any, findings: list[Finding]) -> RoutingFields:
    """The part that says where requests go, without what could not be read."""
    if not isinstance(data, Mapping):
        read_as(RoutingFields, data, "the file", findings)
        return RoutingFields()
    findings += unknown_keys(data, "", keys_of(RoutingDocument))
    _check_version(data, findings)
    routing = data.get("routing")
    if routing is None:
        return RoutingFields()
    return read_as(RoutingFields, routing, "routing", findings) or RoutingFields()


def _check_version(top: Mapping[str, Any], findings: list[Finding]) -> None:
    version = top.get("version")
    if version is None and top:
        hint = f"add: version: {VERSION}"
        findings.append(Finding("warning", "version", "version is missing", hint))
    elif version is not None and (type(version) is not int or version != VERSION):
        message = f"version {shortened(version)} is not supported"
        findings.append(Finding("error", "version", message, f"write: version: {VERSION}"))


def route_of(entry: ProviderFields) -> Route:
    """The entry as the rest of the program reads it, with what its preset and address say."""
    preset = preset_named(entry.preset) if entry.preset else None
    return Route(
        name=entry.name,
        type=entry.type,
        base_url=entry.base_url or (preset and preset.base_url) or "",
        model=entry.model,
        served_model=entry.served_model,
        api_key=entry.api_key,
        context_tokens=entry.context_tokens,
        tags=tuple(entry.tags or ()),
        deployment=entry.deployment,
        enabled=entry.enabled,
        preset=preset.name if preset else None,
        tier=entry.tier or _tier(entry),
        unix_socket=entry.unix_socket,
        tls=entry.tls.files if entry.tls else None,
    )


def _tier(entry: ProviderFields) -> Tier:
    """Whose machine it is, by its address: a hosted provider's preset is a third party's."""
    if entry.unix_socket is not None:
        return "local"
    host = urlsplit(entry.base_url or "").hostname
    if host is not None and is_loopback(host):
        return "local"
    return (
        "third_party"
        if entry.type == "openai" and not in_own_network(host or "")
        else "self_hosted"
    )
