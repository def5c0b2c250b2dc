"""The configured GPUStack servers, and the results of checking one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from modelscan.core.errors import EXIT_REMOTE, UsageError
from modelscan.state import targets
from modelscan.state.targets import TargetConfig, Targets

if TYPE_CHECKING:
    from modelscan.state.config import Config
    from modelscan.state.paths import Paths


@dataclass(frozen=True, slots=True)
class TargetRow:
    """A server. ``api_key`` is a reference (env:NAME, file:PATH), never the key."""

    name: str
    kind: Literal["gpustack"]
    url: str
    api_key: str | None
    ca_file: str | None
    cluster: str | None
    default: bool


@dataclass(frozen=True, slots=True)
class TargetAdded:
    """The server's configuration after the command."""

    target: TargetRow


@dataclass(frozen=True, slots=True)
class TargetList:
    """Every configured server, and the default's name."""

    default: str | None
    targets: tuple[TargetRow, ...]


@dataclass(frozen=True, slots=True)
class DefaultTarget:
    """The server that ``--target auto`` and ``--target gpustack`` mean."""

    default: str | None


@dataclass(frozen=True, slots=True)
class TargetRemoved:
    """The name of the removed server, and the default target after that."""

    removed: str
    default: str | None


@dataclass(frozen=True, slots=True)
class ServerCheck:
    """One check of a server and its outcome."""

    name: str
    status: Literal["ok", "error"]
    detail: str
    hint: str | None


@dataclass(frozen=True, slots=True)
class TargetTested:
    """A server, its version (None: no answer) and each check."""

    target: TargetRow
    version: str | None
    checks: tuple[ServerCheck, ...]


def add_target(where: Paths, target: TargetConfig, *, default: bool = False) -> TargetAdded:
    """Configure a server or change its configuration; sends nothing. Raises UsageError for a
    bad URL or key.
    """
    configured = targets.put(where, targets.absolute(target), default=default)
    return TargetAdded(_row(configured.find(target.name), configured))


def list_targets(where: Paths) -> TargetList:
    """Every configured server."""
    configured = targets.load(where)
    return TargetList(
        configured.default, tuple(_row(item, configured) for item in configured.items)
    )


def remove_target(where: Paths, name: str) -> TargetRemoved:
    """Remove a server's configuration. Raises UsageError while deployments on it are recorded."""
    from modelscan.state.store import Store

    targets.load(where).find(name)
    if where.store_file.exists():
        with Store.open(where.store_file) as store:
            names = [row.name for row in store.all() if row.target == name]
        if names:
            raise UsageError(
                f"{len(names)} deployment(s) are on {name}: {', '.join(names)}",
                hint=f"modelscan remove {' '.join(names)}",
            )
    return TargetRemoved(name, targets.drop(where, name).default)


def check_target(config: Config, name: str | None) -> tuple[TargetTested, int]:
    """Check a server (None: the default): its version, its key's scopes, workers and GPUs.

    Returns the answer and the exit code of its worst check (0: all are ok).
    """
    from modelscan.targets.gpustack.check import check_server

    configured = targets.load(config.paths)
    item = configured.find(name or configured.default or "gpustack")
    result = check_server(item, config)
    checks = tuple(
        ServerCheck(c["name"], c["status"], c["detail"], c["hint"]) for c in result["checks"]
    )
    codes = (c.get("exit_code", EXIT_REMOTE) for c in result["checks"] if c["status"] == "error")
    return TargetTested(_row(item, configured), result["version"], checks), max(codes, default=0)


def _row(item: TargetConfig, configured: Targets) -> TargetRow:
    return TargetRow(
        item.name, "gpustack", item.url, item.api_key, item.ca_file, item.cluster,
        item.name == configured.default,
    )  # fmt: skip
