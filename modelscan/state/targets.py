"""Configured GPUStack servers: ``targets.toml`` in the config folder. Keys only by reference."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from modelscan.core.errors import UsageError
from modelscan.core.nearest import nearest
from modelscan.state.files import write_atomic
from modelscan.state.locks import hold
from modelscan.state.paths import Paths, expand
from modelscan.state.secrets import check_reference

RESERVED = ("local", "auto")
_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,62}$")


@dataclass(frozen=True, slots=True)
class TargetConfig:
    """One server. ``api_key`` is a reference; ``cluster`` a cluster's name or id (GPUStack 2.x).

    ``owner`` is a random id, created when the target is added; it marks the models that we create.
    """

    name: str
    url: str
    api_key: str | None = None
    ca_file: str | None = None
    cluster: str | None = None
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Targets:
    """All configured servers, and the name of the default (``--target auto``)."""

    items: tuple[TargetConfig, ...] = ()
    default: str | None = None

    def get(self, name: str) -> TargetConfig | None:
        """The target with that name, or None."""
        return next((item for item in self.items if item.name == name), None)

    def find(self, name: str) -> TargetConfig:
        """The target with that name. Raises UsageError with the nearest names."""
        target = self.get(name)
        if target is None:
            names = [item.name for item in self.items]
            near = nearest(name, names)
            raise UsageError(
                f"there is no target '{name}' (there are {', '.join(['local', *names])})",
                hint=f"did you mean {near[0]}? modelscan target list"
                if near
                else "modelscan target add NAME URL",
                code="unknown_target", details={"nearest": near},
            )  # fmt: skip
        return target


def load(where: Paths) -> Targets:
    """Read the file; a missing file has no targets. Raises UsageError if it is invalid."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    file = where.config / "targets.toml"
    if file.exists() and not file.is_file():  # a pipe would never answer
        raise UsageError(f"{file} is not a file", hint=f"ls -l {file}")
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Targets()
    except (OSError, ValueError, RecursionError) as error:  # ValueError: also 5,000 digits
        raise UsageError(f"cannot read {file}: {error}", hint=f"edit {file}") from error
    rows = data.get("targets", {})
    if not isinstance(rows, Mapping):
        raise UsageError(f"{file}: targets must be a table", hint=f"edit {file}")
    items = tuple(_parse(str(name), row, str(file)) for name, row in rows.items())
    return Targets(items, data.get("default"))


def _parse(name: str, row: Any, file: str) -> TargetConfig:
    if not isinstance(row, Mapping) or not isinstance(row.get("url"), str):
        raise UsageError(f"{file}: target '{name}' needs a url", hint=f"edit {file}")
    allowed = ("url", "api_key", "ca_file", "cluster", "owner")
    unknown = [key for key in row if key not in allowed]
    if unknown:
        raise UsageError(f"{file}: target '{name}' has an unknown key '{unknown[0]}'")
    values = {key: str(row[key]) for key in allowed if row.get(key) is not None}
    return check(TargetConfig(name, **values))


def check(target: TargetConfig) -> TargetConfig:
    """The target, if name, URL and key reference are valid. Raises UsageError otherwise."""
    if not _NAME.match(target.name) or target.name in RESERVED:
        raise UsageError(
            f"'{target.name}' cannot be a target's name",
            hint="use lower-case letters, digits, '.', '_' and '-'; not local or auto",
        )
    try:
        parts = urlsplit(target.url)
        port = parts.port
    except ValueError as error:
        raise UsageError(
            f"'{target.url}' is not a URL: {error}", hint="http://HOST[:PORT]"
        ) from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"'{target.url}' is not an http(s) URL", hint="http://HOST[:PORT]")
    if port == 0:
        raise UsageError(f"'{target.url}': port 0 is not valid", hint="a port from 1 to 65535")
    if parts.query or parts.fragment or re.search(r"\s", target.url):
        raise UsageError(f"'{target.url}' is not a server's root", hint="http://HOST[:PORT][/PATH]")
    if parts.username or parts.password:
        raise UsageError("credentials in a URL are not accepted", hint="use --key env:NAME")
    if target.api_key is not None:
        check_reference(target.api_key)
    return replace(target, url=target.url.rstrip("/"))


def absolute(target: TargetConfig) -> TargetConfig:
    """The target with absolute paths, because later commands run in other folders.

    Raises UsageError if the CA file does not exist or is not a CA file.
    """
    import ssl

    key = target.api_key
    if key and key.startswith("file:"):
        key = f"file:{expand(key.removeprefix('file:')).absolute()}"
    if target.ca_file is None:
        return replace(target, api_key=key)
    ca_file = expand(target.ca_file).absolute()
    try:
        ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ValueError) as error:
        reason = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
        raise UsageError(
            f"cannot use the CA file {ca_file}: {reason}",
            hint="--ca-file: the certificate of the server's own CA in PEM format",
        ) from error
    return replace(target, api_key=key, ca_file=str(ca_file))


def put(where: Paths, target: TargetConfig, *, default: bool = False) -> Targets:
    """Add or replace a target; the first one becomes the default."""
    import uuid

    check(target)
    with _lock(where):
        old = load(where)
        existing = old.get(target.name)
        owner = (existing.owner if existing else None) or uuid.uuid4().hex
        target = replace(target, owner=target.owner or owner)
        others = tuple(item for item in old.items if item.name != target.name)
        chosen = target.name if default or old.default is None else old.default
        return _write(where, Targets((*others, target), chosen))


def use(where: Paths, name: str) -> Targets:
    """Make a target the default (``auto``)."""
    with _lock(where):
        old = load(where)
        return _write(where, replace(old, default=old.find(name).name))


def drop(where: Paths, name: str) -> Targets:
    """Remove a target; if it was the default, another one becomes the default."""
    with _lock(where):
        old = load(where)
        old.find(name)
        items = tuple(item for item in old.items if item.name != name)
        default = old.default if old.default != name else (items[0].name if items else None)
        return _write(where, Targets(items, default))


def _lock(where: Paths) -> Any:
    return hold(where.locks_dir / "targets.lock", what="the list of targets")


def _write(where: Paths, targets: Targets) -> Targets:
    lines = [f"default = {_quoted(targets.default)}"] if targets.default else []
    for item in targets.items:
        lines += ["", f"[targets.{_quoted(item.name)}]"]
        values = {"url": item.url, "api_key": item.api_key, "ca_file": item.ca_file,
                  "cluster": item.cluster, "owner": item.owner}  # fmt: skip
        lines += [f"{key} = {_quoted(value)}" for key, value in values.items() if value]
    write_atomic(where.config / "targets.toml", "\n".join(lines) + "\n")
    return targets


def _quoted(text: str) -> str:
    import json

    return json.dumps(text, ensure_ascii=False)
