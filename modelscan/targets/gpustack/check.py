"""Checks of a GPUStack server: reachability, the key's scopes, cluster and workers. Changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from modelscan.core.errors import AuthError, ModelscanError
from modelscan.core.units import format_bytes
from modelscan.state.config import Config
from modelscan.state.targets import TargetConfig
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.plan import cluster_id, read_inventory


def check_server(target: TargetConfig, config: Config) -> dict[str, Any]:
    """``{version, checks[]}``: one check each for server, key's scopes, cluster, workers."""
    connection = Connection(
        target.name, target.url, target.api_key, target.ca_file,
        config.http_timeout_s, config.offline,
    )  # fmt: skip
    checks: list[dict[str, Any]] = []
    version: str | None = None
    with Client(connection) as client:
        server_version = _try("server", lambda: _version(client), checks)
        if server_version:
            version = client.dialect.version
            if _try("management", lambda: _management(client), checks):
                _try("cluster", lambda: _cluster(client, target), checks)
                _try("workers", lambda: _workers(client, target), checks)
            _try("inference", lambda: _inference(client), checks)
    return {"version": version, "checks": checks}


def _try(name: str, ask: Callable[[], str], checks: list[dict[str, Any]]) -> bool:
    try:
        checks.append({"name": name, "status": "ok", "detail": ask(), "hint": None})
    except AuthError as error:
        hint = error.hint or "create another key in GPUStack's UI"
        checks.append(_failed(name, error, hint))
    except ModelscanError as error:
        checks.append(_failed(name, error, error.hint))
    return bool(checks[-1]["status"] == "ok")


# Errors whose own hint is ``modelscan target test``, the current command.
_HINT_IS_THIS = ("unreachable", "remote", "not_understood")


def _failed(name: str, error: ModelscanError, hint: str | None) -> dict[str, Any]:
    if error.code in _HINT_IS_THIS:
        hint = "check its address (modelscan target list) and that it runs"
    return {"name": name, "status": "error", "detail": error.message, "hint": hint,
            "exit_code": error.exit_code}  # fmt: skip


def _version(client: Client) -> str:
    dialect = client.dialect
    newer = " (newer than the tested versions: used as 2.x)"
    return f"GPUStack {dialect.version}{newer if dialect.untested else ''}"


def _management(client: Client) -> str:
    count = len(client.list("models"))
    return f"the key may manage models ({count} there)"


def _inference(client: Client) -> str:
    body = client.infer("models", None, what="list served models")
    rows = (body.get("data") if isinstance(body, dict) else None) or []
    return f"the key may use models ({len(rows)} served)"


def _cluster(client: Client, target: TargetConfig) -> str:
    chosen = cluster_id(client, target)
    return f"cluster {chosen}" if chosen is not None else "this version has no clusters"


def _workers(client: Client, target: TargetConfig) -> str:
    inventory = read_inventory(client, target.name, cluster_id(client, target))
    names = sorted({str(gpu.worker) for gpu in inventory.gpus})
    memory = sum(gpu.memory_bytes or 0 for gpu in inventory.gpus)
    problems = "".join(f"; {problem.message}" for problem in inventory.problems)
    devices = f"{len(inventory.gpus)} GPU(s), {format_bytes(memory)}"
    return f"{len(names)} ready worker(s) with {devices}{problems}"
