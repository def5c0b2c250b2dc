"""Waiting for the requests of a cluster's model before its instances end.

GPUStack itself reports no running requests. Its built-in Prometheus (2.x) collects the engines' own
counters, and the server lets an administrator's key query it. Without it the whole time is waited.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modelscan.core.errors import ModelscanError
from modelscan.targets.events import RequestsCut
from modelscan.targets.gpustack.client import Client
from modelscan.targets.gpustack.model import instances
from modelscan.targets.gpustack.types import RemoteModel, as_row, understood

_POLL_S = 2.0
_AGE_S = 10.0  # a worker reads its engines every 3 s, Prometheus reads the worker every 5 s
_RUNNING, _WAITING = "gpustack:num_requests_running", "gpustack:num_requests_waiting"


@dataclass(frozen=True, slots=True)
class ModelLoad:
    """Requests of every instance together, as the engines counted them.

    ``asked_at`` is the time of the query and ``counted_at`` that of the oldest counter, in seconds
    of the server's clock; ``instances`` are the ids that have counters.
    """

    running: int
    waiting: int
    asked_at: float
    counted_at: float
    instances: frozenset[int]

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self.running == 0 and self.waiting == 0


def drain(client: Client, model: RemoteModel, drain_s: float) -> RequestsCut | None:
    """Wait until no request runs or waits, at most ``drain_s`` seconds, or no instance runs.

    Returns what ending the model now cuts; None if nothing.
    """
    begun = time.monotonic()
    load = first = model_load(client, model.id)
    while True:
        serving = {one.id for one in instances(client, model.id) if one.state == "running"}
        if load is not None and not serving <= load.instances:
            load = None  # an engine without counters
        waited_s = time.monotonic() - begun
        if not serving or (load and first and _is_idle(load, first.asked_at)):
            return None
        if waited_s >= drain_s:
            where = client.connection.name
            return None if load is None and not drain_s else _cut(model.name, where, load, waited_s)
        time.sleep(min(_POLL_S, drain_s - waited_s))
        load = model_load(client, model.id) if first is not None else None


def _is_idle(load: ModelLoad, begun_at: float) -> bool:
    """Whether counters that are newer than the begin of the drain are all zero."""
    return load.idle and load.counted_at >= begun_at + _AGE_S


def _cut(name: str, where: str, load: ModelLoad | None, waited_s: float) -> RequestsCut | None:
    after_s = round(waited_s, 1)
    if load is None:
        unknown = f"{where} does not report requests to this key"
        return RequestsCut(name, None, None, None, after_s, unknown)
    return None if load.idle else RequestsCut(name, load.running, load.waiting, None, after_s)


def model_load(client: Client, model_id: int) -> ModelLoad | None:
    """The counters of a model's instances; None if the server has or shows none."""
    chosen = f'{{model_id="{model_id}"}}'
    try:
        running = _vector(client, _RUNNING + chosen)
        waiting = _vector(client, _WAITING + chosen)
        times = _vector(client, f"timestamp({_RUNNING}{chosen})")
        with understood("Prometheus' answer"):
            return _load(running, waiting, times)
    except ModelscanError:  # no Prometheus, no administrator, an older server
        return None


def _load(
    running: list[Mapping[str, Any]], waiting: list[Mapping[str, Any]],
    times: list[Mapping[str, Any]],
) -> ModelLoad | None:  # fmt: skip
    if not (running and waiting and times):
        return None
    return ModelLoad(
        running=sum(int(float(row["value"][1])) for row in running),
        waiting=sum(int(float(row["value"][1])) for row in waiting),
        asked_at=float(running[0]["value"][0]),
        counted_at=min(float(row["value"][1]) for row in times),
        instances=frozenset(int(row["metric"]["model_instance_id"]) for row in running),
    )


def _vector(client: Client, query: str) -> list[Mapping[str, Any]]:
    """The rows of an instant query."""
    body = client.prometheus(query)
    with understood("Prometheus' answer"):
        return [as_row(row) for row in as_row(body)["data"]["result"]]
