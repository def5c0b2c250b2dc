"""Engines that already run on this machine, found on the ports that engines use.

Loopback only. A probe sends a few GET requests and costs no tokens; each kind of server is
recognised by a response that only it gives (observed: llama.cpp b11549, vLLM 0.32; from source:
SGLang 0.5, Ollama's API).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from modelscan.core.workload import Backend
from modelscan.engines import llamacpp, ollama, sglang, vllm
from modelscan.supervisor.health import Address, ask

# vLLM 8000; llama-server 8080; SGLang 30000; Ollama 11434; LM Studio 1234; other common ports.
PORTS = (8000, 8001, 8002, 8080, 8081, 8888, 9000, 30000, 30001, 11434, 1234, 5000, 5001)
_TIMEOUT_S = 1.0
_OK, _KEY_NEEDED = 200, (401, 403)


ServerKind = Backend | Literal["openai"]


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model that a server lists. ``path``: the location of its weights, as the server
    reports it.
    """

    name: str
    context_tokens: int | None = None
    path: str | None = None


@dataclass(frozen=True, slots=True)
class DiscoveredServer:
    """A server. ``engine`` "openai": an unknown one with an OpenAI-compatible API.

    ``locked``: it requires a key that is not available, so its models are unknown.
    """

    host: str
    port: int
    engine: ServerKind
    version: str | None
    models: tuple[ServedModel, ...]
    locked: bool = False

    @property
    def endpoint(self) -> str:
        """The server's base URL."""
        return f"http://{self.host}:{self.port}"


def scan(
    ports: Sequence[int] = PORTS, host: str = "127.0.0.1", key: str | None = None
) -> tuple[DiscoveredServer, ...]:
    """Every server on these ports, in their order; the probes run in parallel."""
    from concurrent.futures import ThreadPoolExecutor

    unique = list(dict.fromkeys(ports))
    with ThreadPoolExecutor(min(16, max(1, len(unique)))) as pool:
        servers = pool.map(lambda port: probe(Address(host, port, key)), unique)
        return tuple(server for server in servers if server is not None)


def probe(address: Address) -> DiscoveredServer | None:
    """The server at an address; None if nothing listens or it is no engine."""
    if not _listens(address):
        return None
    for recognise in (_ollama, _sglang, _llamacpp, _vllm, _openai):
        server = recognise(address)
        if server is not None:
            return server
    return None


def _listens(address: Address) -> bool:
    import socket

    try:
        with socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False


def _get(address: Address, path: str) -> tuple[int, Any]:
    reply = ask(address, "GET", path, timeout_s=_TIMEOUT_S)
    return (0, None) if reply is None else (reply.status, reply.body)


def _object(address: Address, path: str) -> dict[str, Any]:
    status, body = _get(address, path)
    return body if status == _OK and isinstance(body, dict) else {}


def _models(address: Address) -> tuple[list[Mapping[str, Any]] | None, bool]:
    """Rows of ``/v1/models`` (None: no such server), and whether a key is required."""
    status, body = _get(address, "/v1/models")
    if status in _KEY_NEEDED:
        return [], True
    rows = body.get("data") if status == _OK and isinstance(body, dict) else None
    if not isinstance(rows, list):
        return None, False
    return [row for row in rows if isinstance(row, dict) and isinstance(row.get("id"), str)], False


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _ollama(address: Address) -> DiscoveredServer | None:
    """Its models are loaded on demand; ``/api/ps`` gives the context of those in memory."""
    tags = _object(address, "/api/tags").get("models")
    if not isinstance(tags, list):
        return None
    running = _object(address, "/api/ps").get("models") or []
    contexts = {row.get("name"): _count(row.get("context_length")) for row in running}
    names = [str(row["name"]) for row in tags if isinstance(row, dict) and row.get("name")]
    version = _text(_object(address, "/api/version").get("version"))
    models = tuple(ServedModel(name, contexts.get(name)) for name in names)
    return DiscoveredServer(address.host, address.port, ollama.NAME, version, models)


def _sglang(address: Address) -> DiscoveredServer | None:
    """``/get_model_info`` exists only in SGLang, ``/get_server_info`` has the version; with a key
    required, ``/metrics`` is still readable.
    """
    info = _object(address, "/get_model_info") or _object(address, "/model_info")
    if not info and _models(address)[1] and _has_metrics(address, "sglang:"):
        return DiscoveredServer(address.host, address.port, sglang.NAME, None, (), locked=True)
    if not isinstance(info.get("model_path"), str) or "is_generation" not in info:
        return None
    server = _object(address, "/get_server_info") or _object(address, "/server_info")
    rows, locked = _models(address)
    context = _count(server.get("context_length")) or _count(server.get("max_req_input_len"))
    models = tuple(
        ServedModel(row["id"], _count(row.get("max_model_len")) or context, info["model_path"])
        for row in rows or ()
    )
    return DiscoveredServer(
        address.host, address.port, sglang.NAME, _text(server.get("version")), models, locked
    )


def _llamacpp(address: Address) -> DiscoveredServer | None:
    """``/props`` (public unless there is a key) or the models' ``owned_by``."""
    rows, locked = _models(address)
    owned = any(row.get("owned_by") == "llamacpp" for row in rows or ())
    props = _object(address, "/props") if owned or locked else {}
    settings = props.get("default_generation_settings")
    if not owned and not isinstance(settings, dict):
        return None
    context = _count((settings or {}).get("n_ctx"))
    path = _text(props.get("model_path"))
    models = tuple(
        ServedModel(row["id"], context or _count((row.get("meta") or {}).get("n_ctx")), path)
        for row in rows or ()
    )
    version = _text(props.get("build_info"))
    return DiscoveredServer(address.host, address.port, llamacpp.NAME, version, models, locked)


def _vllm(address: Address) -> DiscoveredServer | None:
    """``owned_by`` is vllm; with a key required, ``/version`` and ``/metrics`` are still
    readable.
    """
    rows, locked = _models(address)
    owned = any(row.get("owned_by") == vllm.NAME for row in rows or ())
    if not owned and not (locked and _has_metrics(address, "vllm:")):
        return None
    version = _text(_object(address, "/version").get("version"))
    models = tuple(
        ServedModel(row["id"], _count(row.get("max_model_len")), _text(row.get("root")))
        for row in rows or ()
    )
    return DiscoveredServer(address.host, address.port, vllm.NAME, version, models, locked)


def _has_metrics(address: Address, prefix: str) -> bool:
    status, body = _get(address, "/metrics")
    return status == _OK and isinstance(body, str) and f"\n{prefix}" in f"\n{body}"


def _openai(address: Address) -> DiscoveredServer | None:
    """Any other server that lists models; one that only answers 401 is not recognised."""
    rows, locked = _models(address)
    if locked or not rows or any(not isinstance(row.get("object"), str) for row in rows):
        return None
    models = tuple(
        ServedModel(
            row["id"], _count(row.get("max_model_len")) or _count(row.get("context_length"))
        )
        for row in rows
    )
    return DiscoveredServer(address.host, address.port, "openai", None, models)
