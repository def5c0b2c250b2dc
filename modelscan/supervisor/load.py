"""What an engine is doing now: requests that run and that wait, as it counts them itself.

A silent engine is not idle: llama.cpp on a CPU answers nothing while it computes a long batch. Its
connections say more: without one, no client can be waiting; and bytes that a client has not read
yet are part of a request.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from modelscan.supervisor.health import Address, metrics

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+([\d.eE+-]+)", re.MULTILINE)
_RUNNING = frozenset({
    "llamacpp:requests_processing", "vllm:num_requests_running", "sglang:num_running_reqs",
})  # fmt: skip
_WAITING = frozenset({
    "llamacpp:requests_deferred", "vllm:num_requests_waiting", "vllm:num_requests_swapped",
    "sglang:num_queue_reqs", "sglang:num_grammar_queue_reqs", "sglang:num_paused_reqs",
})  # fmt: skip
_TABLES = ("/proc/net/tcp", "/proc/net/tcp6")
_ESTABLISHED = "01"


@dataclass(frozen=True, slots=True)
class Requests:
    """Requests that the engine counts itself, over all its models and ranks."""

    running: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Connections:
    """Open connections to a port, and how many of them have bytes that one side must still read."""

    open: int
    unread: int


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """``requests`` is None if the engine is silent or does not count them, ``connections`` where
    the system does not list them.
    """

    requests: Requests | None
    connections: Connections | None

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing waits; unknown counts as busy."""
        links = self.connections
        if self.requests is None:
            return links is not None and links.open == 0  # no client is there to be cut off
        if self.requests.running or self.requests.waiting:
            return False
        return links is None or links.unread == 0


def load_of(address: Address) -> EngineLoad:
    """One look at the engine: its counters, then its connections (without that look's own)."""
    requests = parse_requests(metrics(address))
    return EngineLoad(requests, connections(address.port))


def samples(text: str) -> Iterable[tuple[str, float]]:
    """(name, value) of each sample of a ``/metrics`` page; a broken value is left out."""
    for match in _SAMPLE.finditer(text):
        try:
            yield match[1], float(match[2])
        except ValueError:
            continue


def parse_requests(text: str) -> Requests | None:
    """The running and waiting requests of a ``/metrics`` page; None if it has no such gauge."""
    running: list[float] = []
    waiting: list[float] = []
    for name, value in samples(text):
        if name in _RUNNING:
            running.append(value)
        elif name in _WAITING:
            waiting.append(value)
    if not running:
        return None
    return Requests(_whole(running), _whole(waiting))


def _whole(values: Iterable[float]) -> int:
    return sum(round(value) for value in values if 0 <= value < 1e9)


def connections(port: int) -> Connections | None:
    """The connections to a port of this machine; None where the system does not list them."""
    tables = [Path(name) for name in _TABLES if Path(name).is_file()]
    if not tables:
        return None
    try:
        return parse_connections("\n".join(table.read_text() for table in tables), port)
    except OSError:
        return None


def parse_connections(text: str, port: int) -> Connections:
    """From the text of ``/proc/net/tcp``: the server's side of established connections."""
    opened = unread = 0
    suffix = f":{port:04X}"
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 5 or not fields[1].endswith(suffix) or fields[3] != _ESTABLISHED:
            continue
        opened += 1
        unread += fields[4] != "00000000:00000000"  # bytes to send : bytes received
    return Connections(opened, unread)
