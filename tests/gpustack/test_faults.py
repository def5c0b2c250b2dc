"""Whole lives of models through a proxy that spoils what it can, against the real 2.3.0 server.

Each seed is one life: deploy, perhaps stop and start, perhaps a deploy again, remove; any command
may fail, but only with an error of ours. Afterwards, without the proxy, the record is made to
agree: no model without its row, no two of a name, no route to what does not run.

``FAULT_RUNS`` (default 2; make test-gpustack-faults: 200) and ``FAULT_SEED`` choose the seeds,
``FAULT_JOBS`` how many live at once. One life in eight has an engine that really starts; the models
of the others claim more memory than there is, so that they are never scheduled: the same calls in
a tenth of the time.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from support.fault_proxy import FaultProxy
from support.gpustack_session import Server
from support.patience import COMMAND_S, ENGINE_S

pytest_plugins = ("support.gpustack_fixtures",)
pytestmark = [pytest.mark.gpustack, pytest.mark.timeout(8 * COMMAND_S)]
RUNS = int(os.environ.get("FAULT_RUNS", "2"))
FIRST = int(os.environ.get("FAULT_SEED", "1"))
JOBS = int(os.environ.get("FAULT_JOBS", "2"))  # lives at the same time
REAL_EVERY = 8
Cli = Callable[..., Any]
EXPECTED = {0, 1, 2, 3, 4, 5}


@pytest.fixture
def server(modern: Server) -> Server:
    return modern


SEEDS = range(FIRST, FIRST + RUNS)


@pytest.mark.parametrize("seeds", [SEEDS[at : at + JOBS] for at in range(0, RUNS, JOBS)], ids=str)
def test_lives(
    seeds: range, server: Server, pointed: Callable[..., None], cli: Cli, tmp_path: Path
) -> None:
    pointed(server)
    with ThreadPoolExecutor(JOBS) as pool:
        ends = [pool.submit(Life(seed, server, cli, tmp_path).run) for seed in seeds]
    for end in ends:
        end.result()


class Life:
    """One seed: a home and a name of its own, so that several can go on at once."""

    def __init__(self, seed: int, server: Server, cli: Cli, folder: Path) -> None:
        self.seed, self.server, self.name = seed, server, f"life-{seed}"
        env = {"MODELSCAN_HOME": str(folder / self.name), "MODELSCAN_HTTP_TIMEOUT_S": "20"}
        self.cli: Cli = lambda *words: cli(*words, env=env, timeout=COMMAND_S)

    def run(self) -> None:
        with FaultProxy(self.server.url, self.seed) as proxy:
            self.aim(proxy.url)
            said = [self.step(words) for words in self.commands()]
        assert sum(proxy.struck.values()) > 0
        self.settle(said)

    def aim(self, url: str) -> None:
        assert self.cli("target", "add", "lab", url, "--key", "env:LAB_KEY").code == 0

    def commands(self) -> list[list[str]]:
        dice = random.Random(self.seed)
        model = self.server.models["qwen3-0.6b"]
        deploy = ["deploy", model, "--name", self.name, "--target", "lab"]
        if self.seed % REAL_EVERY == 0:
            deploy += ["--timeout", str(ENGINE_S)]
        else:
            deploy += ["--env", "GPUSTACK_MODEL_VRAM_CLAIM=900000000000", "--force"]
            deploy += ["--no-wait"] if dice.random() < 0.5 else ["--timeout", "3"]
        stop = ["stop", self.name, "--drain", "0"]
        middle = [stop, ["start", self.name, "--no-wait"], deploy, ["list"]]
        chosen = dice.sample(middle, dice.randrange(1, 4))
        return [deploy, *chosen, ["remove", self.name, "--yes", "--drain", "0"]]

    def step(self, words: list[str]) -> tuple[str, int]:
        done = self.cli(*words, "--json")
        assert done.code in EXPECTED, (words, done.code, done.err)
        assert "Traceback" not in done.err, done.err
        if done.json["schema"] == "modelscan.error/1":
            assert done.json["error"]["message"]
        return words[0], done.code

    def settle(self, said: list[tuple[str, int]]) -> None:
        """The proxy is gone: with the true address, everything must come to an end that agrees."""
        self.aim(self.server.url)
        there = [row["name"] for row in self.server.rows("models") if row["name"] == self.name]
        assert len(there) <= 1, said
        listed = self.cli("list", "--json").json["deployments"]
        mine = [row for row in listed if row["name"] == self.name]
        assert all(row["managed"] for row in mine), mine  # nothing of ours was lost sight of
        if said[-1] == ("remove", 0):
            assert (mine, there) == ([], []), said
        if mine:
            assert self.cli("remove", self.name, "--yes", "--drain", "0").code == 0, said
        assert self.server.model(self.name) is None
        assert self.cli("route", "list", "--json").json["routes"] == []
