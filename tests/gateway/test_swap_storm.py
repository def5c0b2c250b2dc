"""A storm of requests for three models with memory for one: ``make soak-swap`` and a short form.

Real engines, started and ended by the gateway. Every request is answered or refused with
``Retry-After``, loads are bounded by time, and nothing is left afterwards.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from conftest import Ran
from ruamel.yaml import YAML
from support.engine_processes import eventually, living
from support.served import Served, serving

from modelscan.core.units import GIB
from modelscan.supervisor.rundir import RunDir

pytest_plugins = ("support.engine_fixtures",)
REQUESTS = int(os.environ.get("SWAP_REQUESTS", "30"))
SEED = int(os.environ.get("SWAP_SEED", "1"))
CLIENTS = 8
NAMES = ("a", "b", "c")
RESIDENCE_S = 0.5
pytestmark = pytest.mark.timeout(600 + REQUESTS * 5)


@dataclass
class Seen:
    """What the clients saw."""

    answered: list[str] = field(default_factory=list)
    refused: list[tuple[int, str | None]] = field(default_factory=list)
    left: int = 0
    wrong: list[object] = field(default_factory=list)


def deploy_sleepers(run: Callable[..., Ran], model_file: Path) -> float:
    """Three sleeping deployments; returns the memory that one and a half of them need, in GiB."""
    for name in NAMES:
        done = run("deploy", str(model_file), "--name", name, "--json")
        assert done.code == 0, done.out + done.err
        assert run("stop", name, "--sleep").code == 0
    total = int(done.json["plan"]["estimate"]["total_bytes"])
    return 1.5 * total / GIB


def limit(home: Path, **limits: Any) -> None:
    """Set limits of the gateway in the routing file."""
    file, yaml = home / "config" / "routing.yaml", YAML()
    document = yaml.load(file)
    document["routing"]["limits"] = limits
    with file.open("w") as stream:
        yaml.dump(document, stream)


def ask(url: str, name: str, seen: Seen, *, stream: bool, leave: bool) -> None:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=300)
    body = {"model": name, "stream": stream, "max_tokens": 2,
            "messages": [{"role": "user", "content": "Hi"}]}  # fmt: skip
    headers = {"Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        if leave:
            seen.left += 1
            return
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    after = answer.getheader("Retry-After")
    if answer.status == 200 and (b"[DONE]" in data if stream else json.loads(data)["choices"]):
        seen.answered.append(name)
    elif answer.status in (429, 503) and after is not None:
        seen.refused.append((answer.status, after))
    else:
        seen.wrong.append((name, answer.status, after, data[:300]))


def storm(gateway: Served, seed: int, requests: int) -> Seen:
    chance, seen = random.Random(seed), Seen()

    def one(_: int) -> None:
        name, stream = chance.choice(NAMES), chance.random() < 0.3
        ask(gateway.url, name, seen, stream=stream, leave=chance.random() < 0.1)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(one, range(requests)))
    return seen


def loads(gateway: Served) -> int:
    return sum(row.get("state") == "starting" for row in gateway.events)


def test_a_storm_of_requests_for_three_models_with_memory_for_one(
    run_in_process: Callable[..., Ran], model_file: Path, home: Path
) -> None:
    budget = deploy_sleepers(run_in_process, model_file)
    limit(home, residence_s=RESIDENCE_S, wake_timeout_s=240)
    most: list[int] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            rows = run_engines(home)
            most.append(rows)

    with serving(MODELSCAN_DEPLOYMENTS_MEMORY_GIB=f"{budget:.9f}") as gateway:
        watcher = threading.Thread(target=watch)
        watcher.start()
        seen = storm(gateway, SEED, REQUESTS)
        over.set()
        watcher.join()
        assert gateway.stop() == 0
    while (line := gateway._lines.get()) is not None:
        gateway.events.append(json.loads(line))
    assert seen.wrong == []
    assert len(seen.answered) + len(seen.refused) + seen.left == REQUESTS
    assert set(seen.answered) == set(NAMES)
    assert 3 <= loads(gateway) <= REQUESTS // 2  # each one answers what waits for it
    assert max(most) <= 1  # memory for one
    assert run_in_process("stop", "--all").code == 0
    eventually(lambda: living(home) == [])


def run_engines(home: Path) -> int:
    """Engines that run at the same time, or begin or end to.

    The folders are read one after the other: only those that still run after the last was read
    ran at the same time as it.
    """
    folders = (home / "state" / "deployments").glob("*")
    seen = [one for one in map(RunDir, folders) if one.alive()]
    return sum(one.alive() for one in seen)
