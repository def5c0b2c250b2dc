"""Several workers on one port share their limits, their turns and their places."""

from __future__ import annotations

import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from support.gateway_client import Client, body, one, request
from support.gateway_rig import Gateway, access, backend, key, route, table
from support.gateway_upstream import Upstream

from modelscan.gateway.counters import BackendRow, Counters, CounterSizes, GlobalRow, KeyRow
from modelscan.gateway.snapshot import Snapshot
from modelscan.routing.table import GatewayLimits


def spread(gateway: Gateway, count: int, raw: bytes) -> Counter[int]:
    """Requests on connections of their own; the kernel spreads them over the workers."""
    return Counter(one(gateway.port, raw).status for _ in range(count))


def both_work(gateway: Gateway) -> bool:
    """Whether each worker accepted a connection since the start."""
    at = gateway.counters.overall(GlobalRow.REQUESTS)
    return all(gateway.counters.of_worker(at, worker) for worker in range(2))


def test_two_workers_share(upstream: Upstream) -> None:
    """Turns 3 : 3, requests per minute, and requests at once."""
    with Upstream(2) as two:
        pair = [backend("a", two.ports[0]), backend("b", two.ports[1])]
        made = table(pair, route("r", 0, 1, strategy="round_robin"))
        keys = (key(), key("sk-ms-2", "key2", 1, requests_per_minute=10))
        with Gateway(Snapshot(made, access(*keys)), workers=2) as gateway:
            for _ in range(50):
                two.seen.clear()
                assert spread(gateway, 6, request(body(model="r"))) == {200: 6}
                assert Counter(seen.port for seen in two.seen) == dict.fromkeys(two.ports, 3)
                if both_work(gateway):
                    break
            assert both_work(gateway)
            limited = request(body(model="r")).replace(b"sk-ms-1", b"sk-ms-2")
            assert spread(gateway, 30, limited) == {200: 10, 429: 20}


def test_two_workers_share_places(upstream: Upstream) -> None:
    """Two places at a backend for eight requests over two workers: never three at work."""
    limits = GatewayLimits(queue=64, queue_timeout_s=30)
    made = table([backend("a", upstream.port, max_in_flight=2)], route("r", 0), limits=limits)
    with Gateway(Snapshot(made, access(key())), workers=2) as gateway:
        at = gateway.counters.backend(0, BackendRow.IN_FLIGHT)
        start = len(upstream.seen)
        with ThreadPoolExecutor(8) as pool:
            found = [pool.submit(one, gateway.port, request(body("delay", "r"))) for _ in range(8)]
            most = 0
            while not all(one.done() for one in found):
                most = max(most, gateway.counters.total(at))
                time.sleep(0.001)
        assert [one.result().status for one in found] == [200] * 8
        seen = [seen.at for seen in upstream.seen[start:]]
        # A worker counts itself before it looks whether there is room: 2 and what is being refused.
        assert most <= 4
        assert seen[-1] - seen[0] > 0.3 * (8 / 2 - 1) * 0.9


def test_connections_and_memory_are_limited(upstream: Upstream) -> None:
    limits = GatewayLimits(max_connections=3, max_held_bytes=1 << 20)
    made = table([backend("a", upstream.port)], route("fast", 0), limits=limits)
    with Gateway(Snapshot(made, access(key())), workers=2) as gateway:
        assert one(gateway.port, request(body(pad=2 << 20))).status == 503
        at = gateway.counters.overall(GlobalRow.CONNECTIONS)
        gateway.wait_for(lambda: gateway.counters.total(at) == 0)
        held = [Client(gateway.port) for _ in range(3)]
        assert [client.ask(request()).status for client in held] == [200] * 3
        with Client(gateway.port) as fourth:
            assert fourth.read().status == 503
        for client in held:
            client.close()
        gateway.wait_for(lambda: gateway.counters.total(at) == 0)
        assert one(gateway.port, request()).status == 200


def test_a_worker_drains(upstream: Upstream) -> None:
    """SIGTERM: the answer at work is finished, idle connections close, no new ones."""
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access(key()))) as gateway:
        with Client(gateway.port) as idle, Client(gateway.port) as busy:
            assert idle.ask(request()).status == 200
            before = len(upstream.seen)
            busy.send(request(body("delay")))
            gateway.wait_for(lambda: len(upstream.seen) > before)
            gateway.processes[0].send_signal(signal.SIGTERM)
            assert idle.sock.recv(10) == b""
            assert busy.read().status == 200
        assert gateway.processes[0].wait(120) == 0
        assert len(gateway.receipts) == 2


def test_a_worker_ends_with_its_serving_process(upstream: Upstream) -> None:
    """When the channel closes nothing would tell it of new keys any more."""
    made = table([backend("a", upstream.port)], route("fast", 0))
    with Gateway(Snapshot(made, access(key()))) as gateway:
        gateway.hang_up()
        assert gateway.processes[0].wait(120) == 0


def test_counters() -> None:
    """Cells of one writer, sums of all; what a dead worker had under way is forgotten."""
    counters = Counters.create(CounterSizes(workers=2, backends=3, keys=2, turns=2))
    first, second = (Counters.attach(counters.fileno(), worker) for worker in range(2))
    rows = [
        *(counters.backend(slot, row) for slot in range(3) for row in BackendRow),
        *(counters.key(slot, row) for slot in range(2) for row in KeyRow),
        *(counters.turn(slot) for slot in range(2)),
        *(counters.overall(row) for row in GlobalRow),
    ]
    for number, at in enumerate(rows):
        first.add(at, number)
        second.add(at, 100)
    assert [counters.total(at) for at in rows] == [100 + number for number in range(len(rows))]
    counters.forget_worker(1)
    assert counters.total(counters.backend(2, BackendRow.IN_FLIGHT)) == rows.index(
        counters.backend(2, BackendRow.IN_FLIGHT)
    )
    assert counters.of_worker(counters.backend(2, BackendRow.FAILURES), 1) == 100
    assert counters.of_worker(counters.key(1, KeyRow.IN_FLIGHT), 1) == 0
    assert [int(counters.state(slot)) for slot in range(3)] == [0, 0, 0]
