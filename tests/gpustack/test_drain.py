"""A drain on a cluster: by the engines' counters where the server shows them, else the whole time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from modelscan.net.httpx_transport import HttpxTransport
from modelscan.targets.gpustack import drain as module
from modelscan.targets.gpustack.client import Client, Connection
from modelscan.targets.gpustack.drain import drain
from modelscan.targets.gpustack.types import parse_model

MODEL = parse_model({"id": 7, "name": "chat", "replicas": 1, "ready_replicas": 1})


class Server:
    """``loads``: running, waiting and the counters' time for each look; the last one stays."""

    def __init__(
        self, loads: list[tuple[int, int, float]], states: list[str] | None = None
    ) -> None:
        self.loads, self.states, self.looks = loads, states or ["running"], 0

    def answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == "/version":
            return httpx.Response(200, json={"version": "v2.3.0"})
        if request.url.path == "/v2/model-instances":
            state = self.states[min(self.looks, len(self.states) - 1)]
            self.looks += 1
            row = {"id": 30, "model_id": 7, "state": state}
            return httpx.Response(200, json={"items": [row]})
        assert request.url.path == "/prometheus/api/v1/query"
        if not self.loads:
            return httpx.Response(404, json={"detail": "Not Found"})
        running, waiting, counted = self.loads[min(self.looks, len(self.loads) - 1)]
        query = request.url.params["query"]
        assert 'model_id="7"' in query
        value = counted if "timestamp" in query else waiting if "waiting" in query else running
        row = {"metric": {"model_instance_id": "30"}, "value": [1000.0 + self.looks, f"{value}"]}
        return httpx.Response(
            200, json={"status": "success", "data": {"resultType": "vector", "result": [row]}}
        )


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(module, "_POLL_S", 0.0)
    yield


def drained(server: Server, drain_s: float) -> Any:
    transport = HttpxTransport(inner=httpx.MockTransport(server.answer))
    with Client(Connection("lab", "http://127.0.0.1:1"), transport) as client:
        return drain(client, MODEL, drain_s)


def test_it_ends_when_new_counters_are_zero() -> None:
    """Zero in counters from before the drain proves nothing."""
    busy = [(0, 0, 990.0), (1, 2, 1001.0), (0, 1, 1006.0), (0, 0, 1009.0), (0, 0, 1011.0)]
    server = Server(busy)
    assert drained(server, 3600) is None
    assert server.looks == 5


def test_what_is_cut_is_counted() -> None:
    cut = drained(Server([(1, 2, 1000.0)]), 0.05)
    assert (cut.running, cut.waiting) == (1, 2)
    assert cut.text.endswith("1 running and 2 waiting requests were cut")
    assert drained(Server([(0, 0, 990.0)]), 0.05) is None


def test_without_counters_the_whole_time_is_waited() -> None:
    cut = drained(Server([]), 0.05)
    assert cut.waited_s >= 0.05 and cut.running is None
    assert "is unknown: lab does not report requests to this key" in cut.text
    assert drained(Server([]), 0) is None


def test_a_model_that_ended_by_itself_is_not_waited_for() -> None:
    assert drained(Server([], ["running", "error"]), 3600) is None
