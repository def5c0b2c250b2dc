"""Two gateways on one database, as processes: keys, limits and budgets are common."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import Ran
from support.node_messages import registration, run, service
from support.postgres import PostgresServer
from support.served import Engine, Served, engines, routed, serving, until, write_routing

PAIR = tuple[Served, Served]


@pytest.fixture
def engine(clean_environment: Path) -> Iterator[Engine]:
    with engines("one") as (one,):
        write_routing(clean_environment, routed(one.entry()))
        yield one


@contextlib.contextmanager
def pair(home: Path) -> Iterator[PAIR]:
    """Two gateways with folders of their own and the same routing file and database."""
    other = home.with_name("other-home")
    shutil.copytree(home, other)
    with (
        serving() as first,
        serving(MODELSCAN_HOME=str(other)) as second,
    ):
        yield first, second


def new_key(run: Callable[..., Ran], name: str, *options: str) -> str:
    done = run("key", "create", name, *options, "--json")
    assert done.code == 0, done.out
    return str(done.json["key"])


def statuses(both: PAIR, key: str, requests: int, clients: int = 8) -> Counter[int]:
    """Answers to so many requests, sent to both in turn by several clients."""
    with ThreadPoolExecutor(clients) as pool:
        return Counter(pool.map(lambda n: both[n % 2].chat("one", key)[0], range(requests)))


def test_keys_limits_and_budgets_are_common(
    engine: Engine,
    clean_environment: Path,
    database_url: str,
    run_in_process: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", database_url)
    new_key(run_in_process, "first", "--scope", "admin")
    with pair(clean_environment) as both:
        rate = new_key(run_in_process, "rate", "--rate", "20")
        for gateway in both:  # created elsewhere, and valid in both
            until(lambda g=gateway: g.get("/v1/models", rate)[0] == 200)
        seen = Counter[int]()
        while seen[200] < 10 or seen[429] < 40:
            seen += statuses(both, rate, 20)
        assert set(seen) == {200, 429}
        assert seen[200] <= 20

        few = new_key(run_in_process, "few", "--concurrent", "4")
        for gateway in both:
            until(lambda g=gateway: g.chat("one", few)[0] == 200)
        _never_more_than(4, both, few, engine)

        spend = new_key(run_in_process, "spend", "--budget", "10", "--period", "total")
        until(lambda: both[0].chat("one", spend)[0] == 200)
        for gateway in both:  # the tokens that one gateway counted are gone in the other, too
            until(lambda g=gateway: g.chat("one", spend)[0] == 429)

        assert run_in_process("key", "revoke", "rate").code == 0
        for gateway in both:
            until(lambda g=gateway: g.get("/v1/models", rate)[0] == 401)


def _never_more_than(limit: int, both: PAIR, key: str, engine: Engine) -> None:
    """Requests that do not end: at most so many are under way over both gateways."""
    before = len(engine.requests)
    engine.go.clear()
    answers: list[int] = []
    stop = threading.Event()

    def client(number: int) -> None:
        while not stop.is_set():
            answers.append(both[number % 2].chat("one", key)[0])

    threads = [threading.Thread(target=client, args=(n,)) for n in range(10)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: answers.count(429) >= 40 and len(engine.requests) - before >= limit - 1)
        assert len(engine.requests) - before <= limit
    finally:
        stop.set()
        engine.go.set()
        for thread in threads:
            thread.join()
    assert set(answers) == {200, 429}


def test_a_gateway_serves_on_while_the_database_is_away(
    engine: Engine,
    clean_environment: Path,
    postgres: PostgresServer,
    run_in_process: Callable[..., Ran],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = postgres.database()
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", url)
    key = new_key(run_in_process, "k", "--rate", "1000", "--concurrent", "9")
    with serving() as gateway:
        assert gateway.chat("one", key)[0] == 200
        postgres.stop()
        try:
            event = gateway.event("database", reachable=False)
            assert "pg_isready" not in event["error"] and url.partition("?")[2] in event["text"]
            assert gateway.chat("one", key)[0] == 200
            assert gateway.chat("one", "sk-ms-wrong")[0] == 401
            health = gateway.get("/health")[1]
            assert (health["status"], health["database"]["reachable"]) == ("degraded", False)
            write_routing(clean_environment, routed(engine.entry(), aliases={"gpt": "one"}))
            until(lambda: gateway.chat("gpt", key)[0] == 200)  # the file is still watched
            dead = run_in_process("key", "list")
            assert dead.code == 5
            assert "hint: pg_isready -h" in dead.err
        finally:
            postgres.start()
        gateway.event("database", reachable=True)
        late = new_key(run_in_process, "late")
        until(lambda: gateway.chat("one", late)[0] == 200)
        until(lambda: gateway.get("/health")[1]["status"] == "ok")
        until(lambda: gateway.get("/health")[1]["receipts"]["written"] >= 4)  # kept meanwhile


def test_a_database_that_hangs_stops_nothing_else(
    engine: Engine, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Silent nodes leave routing, answers go on, and the gateway can be ended."""
    monkeypatch.setenv("MODELSCAN_DATABASE_URL", postgres.database())
    box = service("box/chat/one", f"http://127.0.0.1:{engine.port}", "one")
    with serving() as gateway:
        message = registration("box", box, modelscan=run("run", 1, 1.0))
        assert gateway.ask("POST", "/v1/nodes/register", message)[0] == 200
        with postgres.frozen():
            gateway.event("node", node="box", what="stale")
            assert gateway.chat("one")[0] == 200
            assert gateway.get("/v1/cluster/hosts")[1]["data"][0]["status"]["state"] == "stale"
            assert gateway.stop() == 0


def test_a_gateway_that_cannot_reach_its_database_does_not_start(
    engine: Engine, cli: Callable[..., Ran], tmp_path: Path
) -> None:
    url = f"postgresql://me:s3cr3tpassword@/x?host={tmp_path}"
    done = cli("serve", "--port", "0", env={"MODELSCAN_DATABASE_URL": url})
    assert done.code == 5
    assert "s3cr3t" not in done.err and f"hint: pg_isready -h {tmp_path}" in done.err
    assert "s3cr3t" not in " ".join(os.listdir(tmp_path))
