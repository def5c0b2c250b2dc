"""Whole lives of models through a proxy that spoils what it can, against the real 2.3.0 server.

Each seed is one life: deploy, perhaps stop and start, perhaps a deploy again, remove; any command
may fail, but only with an error of ours. Afterwards, without the proxy, the record is made to
agree: no model without its row, no two of a name, no route to what does not run.

``FAULT_RUNS`` (default 2; make test-gpustack-faults: 200) and ``FAULT_SEED`` choose the seeds. The
engines are real instances where a life wants to see them run; the others are never scheduled
(no worker matches), which takes a second instead of half a minute and has the same calls.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from support.fault_proxy import FaultProxy
from support.gpustack_session import Server

pytest_plugins = ("support.gpustack_fixtures",)
pytestmark = [pytest.mark.gpustack, pytest.mark.timeout(900)]
RUNS = int(os.environ.get("FAULT_RUNS", "2"))
FIRST = int(os.environ.get("FAULT_SEED", "0"))
REAL_EVERY = 4
Cli = Callable[..., Any]
EXPECTED = {0, 1, 2, 3, 4, 5}


@pytest.fixture
def server(modern: Server) -> Server:
    return modern


@pytest.mark.parametrize("seed", range(FIRST, FIRST + RUNS))
def test_a_life(seed: int, server: Server, pointed: Callable[..., None], cli: Cli) -> None:
    dice = random.Random(seed)
    real = seed % REAL_EVERY == 0
    with FaultProxy(server.url, seed) as proxy:
        pointed(server, url=proxy.url)
        said = [step(cli, words) for words in life(dice, server, real)]
    assert sum(proxy.struck.values()) > 0
    settle(server, cli, said)


def life(dice: random.Random, server: Server, real: bool) -> list[list[str]]:
    """The commands of one life."""
    deploy = ["deploy", server.models["qwen3-0.6b"], "--name", "life", "--target", "lab"]
    if real:
        deploy += ["--timeout", "150"]
    else:
        deploy += ["--env", "GPUSTACK_MODEL_VRAM_CLAIM=900000000000", "--force", "--timeout", "3"]
        deploy += ["--no-wait"] if dice.random() < 0.5 else []
    middle = [["stop", "life", "--drain", "0"], ["start", "life", "--no-wait"], deploy, ["list"]]
    return [
        deploy,
        *dice.sample(middle, dice.randrange(1, 4)),
        ["remove", "life", "--yes", "--drain", "0"],
    ]


def step(cli: Cli, words: list[str]) -> tuple[str, int]:
    done = cli(*words, "--json", timeout=400)
    assert done.code in EXPECTED, (words, done.code, done.err)
    assert "Traceback" not in done.err, done.err
    if done.code:
        assert done.json["error"]["message"] if "error" in done.json else True
    return words[0], done.code


def settle(server: Server, cli: Cli, said: list[tuple[str, int]]) -> None:
    """The proxy is gone: with the true address, everything must come to an end that agrees."""
    assert cli("target", "add", "lab", server.url, "--key", "env:LAB_KEY").code == 0
    names = Counter(row["name"] for row in server.rows("models"))
    assert set(names.values()) <= {1}, names
    rows = cli("list", "--json").json["deployments"]
    assert all(row["managed"] for row in rows), rows  # nothing of ours was lost sight of
    if said[-1] == ("remove", 0):
        assert (rows, names) == ([], Counter()), said
    for row in rows:
        assert cli("remove", row["name"], "--yes", "--drain", "0").code == 0
    assert server.rows("models") == []
    assert cli("route", "list", "--json").json["routes"] == []
