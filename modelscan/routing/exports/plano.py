"""Plano's configuration. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from modelscan.net.address import is_loopback
from modelscan.routing.built_in import AUTO
from modelscan.routing.facts import Known, known_entries, why_unusable
from modelscan.routing.format import PortsFields
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.presets import key_references
from modelscan.routing.select import role_pool
from modelscan.routing.world import World

ENV_FILE = "plano.env"  # next to the routing file: names of variables, without values
_VERSION = "v0.1.0"
_HOST = "host.docker.internal"  # this machine, as a container sees it


def plano_config(file: RoutingFile, world: World) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Plano's file as values, and a warning for each entry that it leaves out."""
    entries = tuple(known_entries(file.routes, file.providers, world))
    warnings = tuple(text for one in entries if (text := _left_out(one)) is not None)
    preferences = _preferences(file, entries)
    ports = (file.embedded.ports if file.embedded else None) or PortsFields()
    providers = [
        _provider(one, preferences.get(one.name, []), one.name == file.default_provider)
        for one in entries
        if _left_out(one) is None
    ]
    listener = {"type": "model", "name": "modelscan", "address": "0.0.0.0", "port": ports.egress}  # noqa: S104
    return {"version": _VERSION, "listeners": [listener], "model_providers": providers}, warnings


def plano_name(model: str) -> str:
    """Plano's name of a model: ``openai/NAME`` is one of any server with OpenAI's interface."""
    return f"openai/{model}"


def variable_names(file: RoutingFile, plano: Mapping[str, Any]) -> tuple[str, ...]:
    """The variables that Plano's container needs: those of its file, and the mode's own."""
    keys = [one["access_key"].removeprefix("$") for one in plano["model_providers"]
            if "access_key" in one]  # fmt: skip
    own = (file.embedded.env if file.embedded else None) or {}
    return tuple(dict.fromkeys([*keys, *own]))


def _left_out(entry: Known) -> str | None:
    if entry.route.model is None:
        return f"{entry.name} is left out: Plano needs the name of a model"
    unusable = why_unusable(entry)
    if unusable is not None:
        return f"{entry.name} is left out: it {unusable}"
    key = entry.route.api_key
    if key is not None and not key.startswith("env:"):
        return f"{entry.name} is left out: Plano reads keys from variables, not from files"
    return None


def _provider(entry: Known, preferences: list[dict[str, str]], default: bool) -> dict[str, Any]:
    """One model: ``openai/NAME`` is any server with that interface at ``base_url``."""
    fields: dict[str, Any] = {
        "model": plano_name(entry.route.sent_model),
        "provider_interface": "openai",
        "base_url": _address(entry.route.base_url),
    }
    key = next(iter(key_references(entry.route)), None)
    if key is not None:
        fields["access_key"] = f"${key.removeprefix('env:')}"
    if default:
        fields["default"] = True
    if preferences:
        fields["routing_preferences"] = preferences
    return fields


def _address(url: str) -> str:
    parts = urlsplit(url)
    if not is_loopback(parts.hostname or ""):
        return url
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{_HOST}{port}{parts.path}"


def _preferences(file: RoutingFile, entries: tuple[Known, ...]) -> dict[str, list[dict[str, str]]]:
    """The roles that choose an entry, as preferences of its model."""
    by_entry: dict[str, list[dict[str, str]]] = {}
    for name, description, chosen in _roles(file, entries):
        by_entry.setdefault(chosen, []).append({"name": name, "description": description})
    return by_entry


def _roles(file: RoutingFile, entries: tuple[Known, ...]) -> Iterator[tuple[str, str, str]]:
    for role in file.roles:
        pool = role_pool(entries, role)
        if role is not AUTO and role.operation == "chat" and pool.choices:
            text = role.description or role.display_name or role.role_id
            yield role.role_id, text, pool.choices[0].entry.name
