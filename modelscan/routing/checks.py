"""What is wrong with single values of the routing file that have the right kind. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import UsageError
from modelscan.core.finding import Finding
from modelscan.net.address import is_loopback
from modelscan.routing.presets import nearest_preset, preset_named
from modelscan.state.secrets import check_reference, looks_like_a_key

# The gateway decides by these before a policy is applied.
_CALLERS_OWN = ("model", "stream", "messages")
_VARIABLE = re.compile(r"\$\{?[A-Za-z_][A-Za-z0-9_]*\}?$")


def address_problems(
    name: str | None, base_url: str | None, socket: str | None, where: str
) -> Iterator[Finding]:
    """The preset ``name`` and the addresses of an entry, of which one is needed."""
    preset = preset_named(name) if name else None
    if name and preset is None:
        near = nearest_preset(name)
        hint = f"did you mean {near}?" if near else "modelscan route preset list"
        yield Finding("error", f"{where}.preset", f"{where}: there is no preset '{name}'", hint)
    addressed = base_url or socket or (preset and preset.base_url)
    if not addressed and (preset is not None or not name):
        yield Finding("error", f"{where}.base_url", f"{where} needs base_url", "or a preset")
    yield from url_problems(base_url, where)
    if preset is not None and (base_url or "").startswith("http://"):
        yield Finding("error", f"{where}.base_url", f"{where}: a hosted provider needs https")


def url_problems(url: str | None, where: str) -> Iterator[Finding]:
    """What is wrong with the address of a server."""
    if not url:
        return
    try:
        parts = urlsplit(url)
        ok = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        ok = False
    place = f"{where}.base_url"
    if not ok:
        yield Finding("error", place, f"{where}: '{url}' is not an http(s) URL")
        return
    if parts.username or parts.password:
        hint = "use api_key: env:NAME"
        yield Finding("error", place, f"{where}: credentials in a URL", hint)
    if parts.path.rstrip("/").endswith("/v1"):
        hint = "write the server's root: clients add /v1"
        yield Finding("warning", place, f"{where}: base_url ends in /v1", hint)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        message = f"{where}: plain http to {parts.hostname} is not encrypted"
        yield Finding("warning", place, message, "use https")


def key_problems(key: str | None, where: str) -> Iterator[Finding]:
    """A key that is written instead of referred to."""
    if key is None:
        return
    try:
        check_reference(key)
    except UsageError as error:
        yield Finding("error", f"{where}.api_key", f"{where}: {error.message}", error.hint)


def file_problems(files: Mapping[str, str | None], where: str) -> Iterator[Finding]:
    """Paths that are not whole: the gateway, commands and nodes run in different folders."""
    for key, path in files.items():
        if path is not None and (not path.startswith("/") or "\0" in path):
            message = f"{where}: {key} is no whole path: '{path}'"
            yield Finding("error", f"{where}.{key}", message, f"{key}: /the/whole/path.pem")


def variable_problems(env: Mapping[str, str] | None, where: str) -> Iterator[Finding]:
    """Variables of a container with a key as their value."""
    for name, value in (env or {}).items():
        secret = looks_like_a_key(f"{name}={value}") or re.search(r"(?i)key|token|secret", name)
        if secret and not _VARIABLE.match(value):
            message = f"{where}: the value of {name} must be a reference, not the key"
            yield Finding("error", f"{where}.env.{name}", message, f'{name}: "${{{name}}}"')


def policy_problems(parts: Mapping[str, Mapping[str, Any] | None], where: str) -> Iterator[Finding]:
    """Keys of a policy's values that belong to the caller."""
    for part, values in parts.items():
        for key in _CALLERS_OWN:
            if values and key in values:
                message = f"{where}: {part} must not have {key}: it belongs to the caller"
                yield Finding("error", f"{where}.{part}.{key}", message, "remove it")


def template_problems(template: str | None, where: str) -> Iterator[Finding]:
    """A template without a place for the user's text."""
    if template is not None and "{input}" not in template:
        message = f"{where}: user_template has no {{input}}: the user's text would be lost"
        yield Finding("error", f"{where}.user_template", message, 'user_template: "… {input}"')


def weight_problems(
    weighted: bool, weights: Mapping[str, float] | None, where: str
) -> Iterator[Finding]:
    """Weights that the strategy lacks or does not use, and shares that no request could have."""
    place = f"{where}.weights"
    if weighted and not any(value > 0 for value in (weights or {}).values()):
        yield Finding("error", place, f"{where}: the strategy weighted needs weights above 0",
                      "weights: {first: 0.9, second: 0.1}")  # fmt: skip
    if weights and not weighted:
        yield Finding("warning", place, f"{where}: weights count for the strategy weighted only")
    for name, value in (weights or {}).items():
        if not 0 <= value < math.inf:
            yield Finding("error", f"{place}.{name}", f"{place}.{name} must be 0 or more")


def share_problems(share: float, where: str) -> Iterator[Finding]:
    """A share that is none."""
    if not 0 < share < 1:
        yield Finding("error", f"{where}.share", f"{where}.share must be between 0 and 1")
