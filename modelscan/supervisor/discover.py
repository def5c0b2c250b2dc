"""Engines that already run on this machine, found on the ports that engines use.

Loopback only. A probe sends a few GET requests and costs no tokens; ``supervisor.recognise`` tells
the kinds of servers apart.
"""

from __future__ import annotations

from collections.abc import Sequence

from modelscan.supervisor.health import Address
from modelscan.supervisor.recognise import DiscoveredServer, recognise

# vLLM 8000; llama-server and llama-swap 8080; SGLang 30000; Ollama 11434; LM Studio 1234; Docker
# Model Runner 12434; KoboldCpp 5001; other common ports.
PORTS = (8000, 8001, 8002, 8080, 8081, 8888, 9000, 30000, 30001, 11434, 12434, 1234, 5000, 5001)
_TIMEOUT_S = 1.0


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
    return recognise(address) if _listens(address) else None


def _listens(address: Address) -> bool:
    import socket

    try:
        with socket.create_connection((address.host, address.port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False
