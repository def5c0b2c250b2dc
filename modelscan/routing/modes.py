"""Who forwards requests: ``direct``, or Plano as a proxy or in a container."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelscan.core.errors import UsageError
from modelscan.routing.edits import Edits, RoutingFileEdited, edit
from modelscan.routing.file import load
from modelscan.routing.format import EmbeddedFields, PortsFields

_SECTIONS = {"plano_proxy": "proxy", "plano_embedded": "embedded"}
_KEYS = {"plano_proxy": ("base_url", "api_key"), "plano_embedded": ("config_path", "image")}
_INSIDE = "/app/plano_config.yaml"


@dataclass(frozen=True, slots=True)
class RoutingModeShown:
    """The mode. ``command``: for plano_embedded, the line that starts the container; None for the
    others. It publishes the ports on the loopback address, and keys are in ``env_file`` only."""

    mode: str
    fallback: bool
    base_url: str | None
    config_path: str | None
    env_file: str | None
    command: str | None
    warnings: tuple[str, ...] = ()


def show_mode(path: Path) -> RoutingModeShown:
    """The mode of the routing file."""
    file = load(path)
    embedded = file.embedded if file.mode == "plano_embedded" else None
    proxy = file.proxy if file.mode == "plano_proxy" else None
    config = None if embedded is None else str((path.parent / embedded.config_path).resolve())
    env_file = str(path.with_name("plano.env")) if embedded is not None and embedded.env else None
    return RoutingModeShown(
        mode=file.mode,
        fallback=file.fallback,
        base_url=proxy.base_url if proxy else None,
        config_path=config,
        env_file=env_file,
        command=None if embedded is None else start_command(embedded, config or "", env_file),
    )


def start_command(embedded: EmbeddedFields, config_path: str, env_file: str | None) -> str:
    """The ``docker run`` line: loopback ports, the file read-only, keys from a file."""
    ports = embedded.ports or PortsFields()
    words = ["docker", "run", "--detach", "--name", "plano"]
    for port in (ports.ingress, ports.egress):
        words += ["--publish", f"127.0.0.1:{port}:{port}"]
    words += ["--add-host", "host.docker.internal:host-gateway"]
    words += ["--volume", f"{config_path}:{_INSIDE}:ro"]
    words += ["--env-file", env_file] if env_file else []
    return shlex.join([*words, embedded.image])


def set_mode(
    path: Path, mode: str, values: Mapping[str, str], dry_run: bool = False
) -> RoutingFileEdited:
    """Write the mode and its part. Raises UsageError for a value of another mode, or where one is
    missing."""
    for key in values:
        if key not in _KEYS.get(mode, ()):
            option = f"--{'key' if key == 'api_key' else key.replace('_', '-')}"
            raise UsageError(
                f"{option} is not for mode {mode}", hint=f"modelscan route mode {mode}"
            )

    def edits(data: Any) -> Edits:
        yield ("routing", "mode"), mode
        section = _SECTIONS.get(mode)
        if section is not None:
            yield from _section(data, mode, section, values)

    return edit(path, f"mode {mode}", edits, dry_run=dry_run)


def _section(
    data: Any, mode: str, section: str, values: Mapping[str, str]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    written = (data.get("routing") or {}).get(section) or {}
    if mode == "plano_proxy" and "base_url" not in {*written, *values}:
        raise UsageError(
            "mode plano_proxy needs the address of Plano",
            hint="modelscan route mode plano_proxy --base-url http://127.0.0.1:12000",
        )
    if mode == "plano_embedded" and "config_path" not in {*written, *values}:
        values = {"config_path": EmbeddedFields().config_path, **values}
    for key, value in values.items():
        yield ("routing", section, key), value
