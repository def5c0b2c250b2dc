"""What the server's database of this machine says of the entries: results and recent requests."""

from __future__ import annotations

import importlib.util
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from modelscan.core.errors import ModelscanError
from modelscan.routing.parsed import RoutingFile
from modelscan.routing.world import NOTHING_OBSERVED, World
from modelscan.state.config import Config
from modelscan.state.server.place import FILE_NAME

if TYPE_CHECKING:
    from modelscan.traces.recent import RuntimeHistory


def observed_here(file: RoutingFile, world: World, config: Config) -> World:
    """The world with the results of benchmarks, and the speed of the gateway's last requests.

    Unchanged where no gateway has run on this machine, or its database cannot be read.
    """
    there = config.database_url is not None or (config.paths.state / FILE_NAME).is_file()
    if not there or importlib.util.find_spec("sqlalchemy") is None:
        return world
    from modelscan.bench.observed import benchmarked, world_with_benchmarks
    from modelscan.bench.samples import samples
    from modelscan.routing.scoring import EXPIRES_S
    from modelscan.state.server.database import open_server
    from modelscan.traces.recent import RuntimeHistory
    from modelscan.traces.store import ReceiptStore

    now = time.time()
    try:
        with open_server(config) as database:
            stored = samples(database, since=now - EXPIRES_S)
            receipts = ReceiptStore(database).recent(now)
    except ModelscanError:
        return world
    history = RuntimeHistory()
    history.seed(receipts, {one.name: one.sent_model for one in file.routes})
    seen = _with_speed(world, history, [one.name for one in file.routes])
    return world_with_benchmarks(seen, benchmarked(stored, file, seen, now))


def _with_speed(world: World, history: RuntimeHistory, names: list[str]) -> World:
    seen = dict(world.observations)
    for name in names:
        latency = history.latency(name)
        if latency.requests:
            one = world.observations.get(name, NOTHING_OBSERVED)
            runtime = replace(
                one.runtime, p50_latency_ms=latency.p50_ms, tokens_per_s=latency.tokens_per_s
            )
            seen[name] = replace(one, runtime=runtime)
    return replace(world, observations=seen)
