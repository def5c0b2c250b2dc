"""A control plane with many nodes, simulated in one process: ``make bench-nodes``.

1,000 nodes with 10 services each register, then report every 10 s; 2,000 requests per second are
resolved. The control application gets its requests as its workers send them (ASGI), over a real
database file. Printed are CPU times, their percentiles, and their share of one core at that rate.

python -m benchmarks.bench_nodes --nodes 1000 --services 10 --resolutions 20000
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from modelscan.gateway.control.app import ControlApp
from modelscan.gateway.control.gateway import Gateway, read
from modelscan.gateway.control.listening import ServeOptions
from modelscan.gateway.control.nodes.registry import NodeRegistry
from modelscan.gateway.control.nodes.secret import Sealer
from modelscan.gateway.control.worker import frame
from modelscan.gateway.counters import Counters, CounterSizes
from modelscan.gateway.data.limits import Timing
from modelscan.gateway.data.state import GatewayState, StateBuilder
from modelscan.gateway.data.writes import Writes
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.choose import Live, choose
from modelscan.routing.lookup import find_route
from modelscan.state.config import Config, load
from modelscan.state.server.database import ServerDatabase
from modelscan.state.server.nodes import NodeStore
from modelscan.traces.store import ReceiptStore
from modelscan.traces.writer import ReceiptWriter

BEAT_S, RESOLUTIONS_PER_S = 10.0, 2000
SILENCE_S = 600.0  # what the nodes state: the simulation's seconds are longer than real ones
FAMILIES = ("Qwen3", "Llama-3.1", "Mistral-Small", "gemma-4", "granite-4")
MODELS = [f"lab/{family}-{size}B-Instruct" for family in FAMILIES for size in range(1, 41)]
ROLES = """
version: 1
routing:
  mode: direct
  roles:
    - {role_id: writer, routing_policy: {preferred_families: [qwen3]}}
    - {role_id: spread, routing_policy: {strategy: round_robin, preferred_families: [llama 3]}}
    - {role_id: balanced, routing_policy: {strategy: least_loaded}}
"""


class Simulation:
    """The control plane's serving process without its workers and its port."""

    def __init__(self, config: Config, database: ServerDatabase, counters: Counters) -> None:
        self.nodes = NodeRegistry(NodeStore(database), Sealer(b"s" * 32))
        inputs = read(config, database)
        options = ServeOptions(port=0)
        self.gateway = Gateway(config, options, database, counters, inputs, self.nodes)
        writer = ReceiptWriter(ReceiptStore(database))
        app = ControlApp(self.gateway, lambda: (), writer, lambda: (), lambda _: None)
        self.app = app.build()
        self.counters = counters

    async def call(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """One request, as uvicorn would pass it."""
        path, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method,
            "scheme": "http", "path": path, "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "server": ("localhost", 80), "client": None,
            "headers": [(b"host", b"localhost"), (b"x-modelscan-client", b"127.0.0.1")],
        }  # fmt: skip
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def service(host: int, place: int) -> dict[str, Any]:
    """One service of a node."""
    model = MODELS[(host * 7 + place * 13) % len(MODELS)]
    return {
        "service_id": f"node{host:04}/chat/{place}",
        "kind": "chat",
        "protocol": "openai",
        "endpoint": f"http://10.{host // 256}.{host % 256}.5:{8000 + place}",
        "runtime": {"engine": "vllm"},
        "assets": [{"asset_id": model, "loaded": True, "context_size": 32_768}],
        "state": {"health": "healthy", "load_state": "loaded", "accept_requests": True},
        "observed": {"p50_latency_ms": 800, "tokens_per_sec": 40.0},
    }


def registration(host: int, services: int) -> bytes:
    """A node's registration."""
    gpus = [{"index": n, "name": "NVIDIA H100", "vendor": "nvidia"} for n in range(4)]
    body = {
        "host_id": f"node{host:04}", "address": f"10.{host // 256}.{host % 256}.5",
        "labels": {"zone": f"z{host % 4}"}, "resources": {"cpu_threads": 64, "ram_gb": 512},
        "services": [service(host, place) for place in range(services)],
        "modelscan": {"instance": f"run{host}", "sequence": 1, "beat_s": SILENCE_S,
                      "hardware": {"gpus": gpus}},
    }  # fmt: skip
    return msgspec.json.encode(body)


def heartbeat(host: int, services: int, sequence: int, chance: random.Random) -> bytes:
    """A heartbeat whose figures change and whose states do not."""
    rows = [
        {"service_id": f"node{host:04}/chat/{place}",
         "state": {"health": "healthy", "load_state": "loaded", "accept_requests": True},
         "observed": {"p50_latency_ms": chance.uniform(500, 1400), "in_flight": chance.randrange(8),
                      "tokens_per_sec": chance.uniform(30, 60), "queue_depth": 0}}
        for place in range(services)
    ]  # fmt: skip
    body = {
        "host_id": f"node{host:04}", "status": {"state": "online", "last_seen": time.time()},
        "metrics": {"service_count": services},
        "modelscan": {"instance": f"run{host}", "sequence": sequence, "beat_s": SILENCE_S,
                      "services": rows},
    }  # fmt: skip
    return msgspec.json.encode(body)


class Row:
    """A line of the table: CPU times of some calls, and how often a second has them.

    CPU times of the thread and of those that it waits for: other programs do not count.
    """

    def __init__(self, what: str, per_s: float | None = None) -> None:
        self.what = what
        self.per_s = per_s
        self.times: list[float] = []

    @contextlib.contextmanager
    def once(self) -> Iterator[None]:
        """Measure one call."""
        begun = time.process_time()
        yield
        self.times.append(time.process_time() - begun)

    @property
    def share(self) -> float:
        """The part of one core that the calls of a second take."""
        return statistics.mean(self.times) * (self.per_s or 0.0)

    def text(self) -> str:
        """The line."""
        count, ordered = len(self.times), sorted(self.times)
        places = [ordered[min(count - 1, int(count * q))] * 1e3 for q in (0.5, 0.95, 0.99)]
        share = "" if self.per_s is None else f"{self.share:7.1%}"
        rate = "" if self.per_s is None else f"{self.per_s:,.1f}/s"
        values = " ".join(f"{one:>9.3f}" for one in [statistics.mean(ordered) * 1e3, *places])
        return f"{self.what:44} {count:>6,} {values} {rate:>10} {share:>8}"


async def simulate(options: argparse.Namespace, simulation: Simulation) -> list[Row]:
    """Every measurement, in the order of a cluster's life."""
    nodes, services = options.nodes, options.services
    beats = nodes / BEAT_S
    rows: list[Row] = []

    def row(what: str, per_s: float | None = None) -> Row:
        rows.append(Row(what, per_s))
        return rows[-1]

    async def accepted(done: Awaitable[tuple[int, bytes]]) -> bytes:
        status, body = await done
        assert status == 200, body
        return body

    registering = row(f"registration ({services} services)")
    for host in range(nodes):
        with registering.once():
            await accepted(
                simulation.call("POST", "/v1/nodes/register", registration(host, services))
            )
    state = _tables(simulation, row)
    chance = random.Random(options.seed)
    beating = row("heartbeat, answered", beats)
    exchange = row("heartbeats of 0.4 s written and read", 2.5)
    version = simulation.nodes.version
    for sequence in range(2, 2 + options.rounds):
        for host in range(nodes):
            body = heartbeat(host, services, sequence, chance)
            with beating.once():
                await accepted(simulation.call("POST", "/v1/nodes/heartbeat", body))
            if host % max(1, int(beats * 0.4)) == 0:
                with exchange.once():
                    await simulation.nodes.exchange()
    assert simulation.nodes.version == version, "a heartbeat made a new table"
    ticking = row("search for silent nodes", 10.0)
    for _ in range(200):
        with ticking.once():
            simulation.nodes.tick()
    _resolve(simulation, state, row("resolution of a name", RESOLUTIONS_PER_S), options, chance)
    await _query(simulation, row, accepted, nodes, chance)
    return rows


def _tables(simulation: Simulation, row: Callable[..., Row]) -> GatewayState:
    """The table and what a worker makes of it; only after a change that moves requests."""
    gateway = simulation.gateway
    first = row("table made, every service is new")
    compiling, packing = row("table made after one change"), row("table packed for workers")
    unpacking = row("table unpacked and put in use by a worker")
    loop = asyncio.get_running_loop()
    builder = StateBuilder(loop, simulation.counters, Timing(), Writes(loop))
    state: GatewayState | None = None
    with first.once():
        gateway.compile()
    for at in range(3):
        simulation.nodes.hosts[f"node{at:04}"].make_entries()  # as after a change of its states
        with compiling.once():
            gateway.compile()
        with packing.once():
            data = frame(gateway.snapshot())
        with unpacking.once():
            state = builder.build(msgspec.msgpack.decode(data, type=Snapshot), state)
    assert state is not None
    print(f"{len(gateway.table.backends):,} backends, {len(gateway.table.routes):,} names, "
          f"{len(data) / 1e6:.1f} MB per table")  # fmt: skip
    return state


def _resolve(
    simulation: Simulation, state: GatewayState, row: Row, options: argparse.Namespace,
    chance: random.Random,
) -> None:  # fmt: skip
    """Names as clients send them: services, models (50 nodes each) and roles."""
    table = simulation.gateway.table
    services = [one.name for one in table.backends]
    roles = [name for name, one in table.routes.items() if one.kind == "role" and one.candidates]
    pools = [services, MODELS, [*MODELS, *roles]]
    for turn in range(options.resolutions):
        name = chance.choice(chance.choice(pools))
        with row.once():
            found = find_route(table.routes, name)
            assert found is not None
            order = choose(found.entry, table.backends, Live(state.in_flight, state.health, turn))
        assert order


async def _query(
    simulation: Simulation, row: Callable[..., Row],
    accepted: Callable[[Awaitable[tuple[int, bytes]]], Awaitable[bytes]], nodes: int,
    chance: random.Random,
) -> None:  # fmt: skip
    queries = {
        "GET /v1/cluster/hosts?host=…": "/v1/cluster/hosts?host=node{:04}",
        "GET /v1/cluster/services?host=…": "/v1/cluster/services?host=node{:04}",
        "GET /v1/cluster/services?limit=100": "/v1/cluster/services?limit=100&offset={}",
        "GET /v1/cluster/health": "/v1/cluster/health",
    }
    for what, path in queries.items():
        asking = row(what)
        for _ in range(100):
            target = path.format(chance.randrange(nodes))
            with asking.once():
                await accepted(simulation.call("GET", target))
    for what in ("hosts", "services"):
        asking = row(f"GET /v1/cluster/{what} (all of them)")
        for _ in range(5):
            with asking.once():
                await accepted(simulation.call("GET", f"/v1/cluster/{what}"))


def main() -> None:
    """Run the simulation and print its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--services", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3, help="heartbeats of each node")
    parser.add_argument("--resolutions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MODELSCAN_HOME"] = folder
        config = load({})
        config.routing_file.parent.mkdir(parents=True, exist_ok=True)
        Path(config.routing_file).write_text(ROLES)
        counters = Counters.create(CounterSizes())
        with ServerDatabase.open(config.paths.state) as database, contextlib.closing(counters):
            worker = Counters.attach(os.dup(counters.fileno()), 0)
            simulation = Simulation(config, database, counters)
            simulation.counters = worker
            rows = asyncio.run(simulate(options, simulation))
    head = ("CPU time in ms", "times", "mean", "median", "p95", "p99", "rate", "of a core")
    print("{:44} {:>6} {:>9} {:>9} {:>9} {:>9} {:>10} {:>8}".format(*head))
    for row in rows:
        print(row.text())
    print(f"steady state: {sum(row.share for row in rows):.1%} of one core")


if __name__ == "__main__":
    main()
