"""Messages of nodes for tests: in GenieHive's shape, and as modelscan's own agent sends them."""

from __future__ import annotations

from typing import Any


def service(name: str, endpoint: str, model: str = "demo", **more: Any) -> dict[str, Any]:
    """A service with one loaded model, as GenieHive's single-box example reports one."""
    asset = {"asset_id": model, "loaded": True, "context_size": None, "max_context_tokens": None}
    return {
        "service_id": name,
        "kind": "chat",
        "protocol": "openai",
        "endpoint": endpoint,
        "runtime": {"engine": "llama.cpp", "launcher": "external"},
        "assets": [asset],
        "state": {"health": "healthy", "load_state": "loaded", "accept_requests": True},
        "observed": {"p50_latency_ms": 900},
        **more,
    }


def registration(host: str, *services: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A registration in GenieHive's shape."""
    return {
        "host_id": host,
        "display_name": host.title(),
        "address": "127.0.0.1",
        "labels": {"topology": "test", "runtime": "llama.cpp"},
        "capabilities": {"cpu": True, "cuda": False},
        "resources": {"cpu_threads": 8, "ram_gb": 32.0, "discovered_models": []},
        "services": [{"host_id": host, **one} for one in services],
        **more,
    }


def beat(host: str, **more: Any) -> dict[str, Any]:
    """A heartbeat in GenieHive's shape."""
    status = {"state": "online", "last_seen": 1_700_000_000.0}
    return {"host_id": host, "status": status, "metrics": {"service_count": 1}, **more}


def run(instance: str, sequence: int, beat_s: float = 10.0, **more: Any) -> dict[str, Any]:
    """What modelscan's agent adds to a message."""
    return {"instance": instance, "sequence": sequence, "beat_s": beat_s, **more}
